/** The protobuf codec: bytes known from the encoding's rules, round trips, damage. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import * as wire from '../src/wire/index.js';
import { toJson } from '../../rtm/test/support/json.js';

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
const unhex = (text: string) => new Uint8Array(Buffer.from(text, 'hex'));
const utf8 = (text: string) => new TextEncoder().encode(text);

describe('numbers', () => {
  const numbers: [number, string][] = [
    [0, '00'],
    [1, '01'],
    [127, '7f'],
    [128, '8001'],
    [300, 'ac02'],
    [2 ** 32, '8080808010'],
    [Number.MAX_SAFE_INTEGER, 'ffffffffffffff0f'],
  ];
  it.each(numbers)('%i', (value, bytes) => {
    expect(hex(new wire.Writer().varint(value).finish())).toBe(bytes);
    expect(new wire.Reader(unhex(bytes)).varint()).toBe(value);
  });

  it.each([
    ['80', 'ends early'],
    ['ffffffffffffff7f', '2^53'],
    ['8080808080808080808001', 'ends late'],
  ])('%s is refused: %s', (bytes, text) => {
    expect(() => new wire.Reader(unhex(bytes)).varint()).toThrow(text);
  });
});

describe('messages', () => {
  it('leave defaults out and keep the order of the fields', () => {
    expect(hex(wire.Login.encode({}))).toBe('');
    expect(hex(wire.Login.encode({ appId: 'a', token: 't' }))).toBe('0a01611a0174');
    expect(hex(wire.Request.encode({ cseq: 1, call: { is: 'logout', value: {} } }))).toBe(
      '08018a0100',
    );
  });

  it('keep an empty case apart from none', () => {
    const empty = wire.Message.encode({ body: { is: 'text', value: new Uint8Array(0) } });
    expect(hex(empty)).toBe('0a00');
    expect(wire.Message.decode(empty).body).toEqual({ is: 'text', value: new Uint8Array(0) });
    expect(wire.Message.decode(new Uint8Array(0)).body).toBeUndefined();
  });

  it('absent fields have their default', () => {
    expect(wire.Welcome.decode(new Uint8Array(0))).toEqual({
      sessionId: new Uint8Array(0),
      secret: new Uint8Array(0),
      heartbeatMs: 0,
      resumeWindowMs: 0,
      presenceGraceMs: 0,
      serverTs: 0,
      server: '',
    });
  });

  it('round trip', () => {
    const message = {
      body: { is: 'raw', value: { data: Uint8Array.of(0, 255), description: utf8('ü') } },
      type: '',
      expiresTs: 0,
    } as const;
    const frame = {
      messages: [
        { kind: { is: 'ping', value: {} } },
        {
          kind: {
            is: 'peerMessage',
            value: {
              from: 'a',
              message,
              serverTs: 1_700_000_000_000,
              inbox: 3,
              id: Uint8Array.of(1),
            },
          },
        },
        { kind: { is: 'memberCount', value: { channel: 'c', count: 512 } } },
        { kind: { is: 'gap', value: { source: { is: 'inbox', value: {} }, cause: 6, missed: 2 } } },
        {
          kind: {
            is: 'reply',
            value: { cseq: 9, result: { is: 'users', value: { userIds: ['', 'x'] } } },
          },
        },
      ],
    } as const;
    const bytes = wire.ServerFrame.encode(frame);
    expect(wire.ServerFrame.decode(bytes)).toEqual(frame);
    expect(wire.decodeServerFrame(bytes).map(({ isNumbered }) => isNumbered)).toEqual([
      false,
      true,
      true,
      true,
      true,
    ]);
  });

  it('skip unknown fields of every wire type', () => {
    const unknown = 'f80101' + 'f9010000000000000000' + 'fa010161' + 'fd0100000000';
    expect(wire.RenewToken.decode(unhex(`${unknown}0a0174${unknown}`))).toEqual({ token: 't' });
  });

  it('give bytes of their own, also from a Buffer', () => {
    const frame = Buffer.from('0a020102', 'hex');
    const { data } = wire.Raw.decode(frame);
    frame.fill(9);
    expect(data).toEqual(Uint8Array.of(1, 2));
    expect(Object.getPrototypeOf(data)).toBe(Uint8Array.prototype);
  });

  it('of an unknown kind count by their number', () => {
    const known = wire.ServerMessage.encode({ kind: { is: 'ping', value: {} } });
    const numbered = unhex('e20300');
    const unnumbered = unhex('7a00');
    const frame = wire.encodeClientFrame([known, numbered, unnumbered], 0);
    expect(
      wire.decodeServerFrame(frame).map(({ event, isNumbered }) => [event?.is, isNumbered]),
    ).toEqual([
      ['ping', false],
      [undefined, true],
      [undefined, false],
    ]);
  });

  const damaged: [string, string][] = [
    ['a field beyond the end', '0a05'],
    ['a field number of 0', '0200'],
    ['a wire type that does not fit', '0801'],
    ['an unknown wire type', 'ff0100'],
    ['a string that is not UTF-8', '0a01ff'],
  ];
  it.each(damaged)('%s is a DecodeError', (_, bytes) => {
    expect(() => wire.RenewToken.decode(unhex(bytes))).toThrow(wire.DecodeError);
  });

  it('never fail otherwise, whatever the bytes', () => {
    let seed = 1;
    const random = () => (seed = (seed * 48_271) % 2_147_483_647);
    const good = wire.ServerFrame.encode({
      messages: [
        { kind: { is: 'welcome', value: { sessionId: new Uint8Array(16), serverTs: 12 } } },
        { kind: { is: 'channelMessage', value: { channel: 'c', from: 'a', serverTs: 5 } } },
      ],
    });
    let refusals = 0;
    for (let round = 0; round < 20_000; round++) {
      const bytes = good.slice(0, random() % (good.length + 1));
      for (let flips = random() % 4; flips > 0 && bytes.length > 0; flips--) {
        bytes[random() % bytes.length] = random() & 0xff;
      }
      try {
        wire.decodeServerFrame(bytes);
      } catch (error) {
        expect(error).toBeInstanceOf(wire.DecodeError);
        refusals++;
      }
    }
    expect(refusals).toBeGreaterThan(1_000);
  });
});

// Written by the server's codec: { type, hex, json } with the canonical JSON mapping of proto3.
const VECTORS = new URL('../../../../proto/vectors.json', import.meta.url);

interface Vector {
  readonly type: string;
  readonly hex: string;
  readonly json: unknown;
}

describe('vectors of the server', () => {
  const vectors = JSON.parse(readFileSync(VECTORS, 'utf8')) as Vector[];
  it.each(vectors.map((vector) => [vector.type, vector] as const))('%s', (type, vector) => {
    const codec = (wire as unknown as Record<string, wire.MessageType<object, object>>)[type];
    if (!codec) throw new Error(`no codec for ${type}`);
    const value = codec.decode(unhex(vector.hex));
    expect(toJson(type, value)).toEqual(vector.json);
    expect(hex(codec.encode(value))).toBe(vector.hex);
  });
});
