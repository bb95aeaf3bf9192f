/** The WebSocket client for Node, against a server of raw sockets. */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { type Server, createServer } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Transport } from '@tidings/core';
import { connect } from '@tidings/core/node-socket';
import {
  FrameParser,
  OP_BINARY,
  OP_CLOSE,
  OP_PING,
  frame,
} from '../../core/src/transport/node-frames.js';

type Event = ['opened'] | ['received', number[]] | ['closed', number, string];

let server: Server;
let url: string;
/** The server's end; what the client has sent, unmasked. */
let socket: Socket;
let sent: { op: number; payload: number[] }[];
let events: Event[];
let protocol: string | undefined;
let accept: (key: string) => string;

/** The proof that a key was read. */
const accepted = (key: string) =>
  createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');

/** A server's frame: unmasked, in as many parts as wanted. */
function serverFrame(first: number, payload: readonly number[]): Buffer {
  const { length } = payload;
  const head = length < 126 ? [first, length] : [first, 126, length >> 8, length & 0xff];
  return Buffer.from([...head, ...payload]);
}

function readClient(data: Buffer): void {
  for (let at = 0; at < data.length;) {
    const short = (data[at + 1] ?? 0) & 0x7f;
    const extended = short === 126 ? 2 : 0;
    const length = extended ? data.readUInt16BE(at + 2) : short;
    const start = at + 2 + extended + 4;
    const payload = [...data.subarray(start, start + length)];
    sent.push({
      op: (data[at] ?? 0) & 0x0f,
      payload: payload.map((byte, index) => byte ^ (data[start - 4 + (index & 3)] ?? 0)),
    });
    expect((data[at + 1] ?? 0) & 0x80).toBe(0x80);
    at = start + length;
  }
}

/** Waits for a condition, within the limits of a slow machine. */
function until(condition: () => boolean): Promise<void> {
  const look = () => {
    if (!condition()) throw new Error(`not in time; events: ${JSON.stringify(events)}`);
  };
  return vi.waitFor(look, { timeout: 4_500, interval: 2 });
}

function open(address = url): Transport {
  return connect(address, {
    opened: () => void events.push(['opened']),
    received: (bytes) => {
      expect(Object.getPrototypeOf(bytes)).toBe(Uint8Array.prototype);
      events.push(['received', [...bytes]]);
    },
    closed: (code, reason) => void events.push(['closed', code, reason]),
  });
}

async function opened(): Promise<Transport> {
  const transport = open();
  await until(() => events.length > 0);
  expect(events).toEqual([['opened']]);
  events = [];
  return transport;
}

beforeEach(async () => {
  sent = [];
  events = [];
  protocol = 'tidings.v1';
  accept = accepted;
  server = createServer((_request, response) => response.writeHead(400).end('no'));
  server.on('upgrade', (request, duplex) => {
    socket = duplex as Socket;
    socket.on('error', () => undefined);
    expect(request.headers['sec-websocket-protocol']).toBe('tidings.v1');
    if (request.url === '/refuse') {
      socket.end('HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n');
      return;
    }
    socket.on('data', readClient);
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
        `Sec-WebSocket-Accept: ${accept(request.headers['sec-websocket-key'] ?? '')}\r\n` +
        `${protocol === undefined ? '' : `Sec-WebSocket-Protocol: ${protocol}\r\n`}\r\n`,
    );
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `ws://127.0.0.1:${(server.address() as AddressInfo).port}/rtm`;
});

afterEach(() => {
  server.close();
  server.closeAllConnections();
});

describe('the handshake', () => {
  it('fails when nobody listens', async () => {
    open('ws://127.0.0.1:1/rtm');
    await until(() => events.length > 0);
    expect(events).toEqual([['closed', 1006, expect.stringContaining('ECONNREFUSED')]]);
  });

  it('fails with the status when the server refuses', async () => {
    open(url.replace('/rtm', '/refuse'));
    await until(() => events.length > 0);
    expect(events).toEqual([['closed', 1006, expect.stringContaining('400')]]);
  });

  it('fails without proof, and without the sub-protocol', async () => {
    accept = () => 'wrong';
    open();
    await until(() => events.length > 0);
    expect(events).toEqual([['closed', 1006, expect.stringContaining('proven')]]);
    events = [];
    accept = accepted;
    protocol = undefined;
    open();
    await until(() => events.length > 0);
    expect(events).toEqual([['closed', 1006, expect.stringContaining('tidings.v1')]]);
  });

  it('that is given up reports nothing', async () => {
    // Given up at once, and when the server has been asked already.
    open().close(1000);
    const asked = once(server, 'upgrade');
    const early = open();
    await asked;
    early.close(1000);
    // Whatever the two report comes before the next is open, which is seen to be the only one.
    await opened();
  });
});

describe('messages', () => {
  it.each([0, 1, 125, 126, 65_535])('of %i bytes go out masked and whole', async (length) => {
    const transport = await opened();
    const payload = Array.from({ length }, (_, at) => at & 0xff);
    const read = Buffer.alloc(0);
    let all = read;
    socket.removeAllListeners('data');
    socket.on('data', (data: Buffer) => (all = Buffer.concat([all, data])));
    transport.send(Uint8Array.from(payload));
    const head = length < 126 ? 6 : 8;
    await until(() => all.length === head + length);
    readClient(all);
    expect(sent).toEqual([{ op: OP_BINARY, payload }]);
  });

  it('arrive also when cut into single bytes, and in fragments with a ping between', async () => {
    await opened();
    const bytes = Buffer.concat([
      serverFrame(0x02, [1, 2]),
      serverFrame(0x80 | OP_PING, [9]),
      serverFrame(0x00, [3]),
      serverFrame(0x80, [4]),
      serverFrame(
        0x82,
        Array.from({ length: 200 }, () => 5),
      ),
    ]);
    for (const byte of bytes) {
      socket.write(Uint8Array.of(byte));
      await new Promise((resolve) => setImmediate(resolve));
    }
    await until(() => events.length === 2);
    expect(events[0]).toEqual(['received', [1, 2, 3, 4]]);
    expect(events[1]?.[1]).toHaveLength(200);
    await until(() => sent.length === 1);
    expect(sent).toEqual([{ op: 10, payload: [9] }]);
  });
});

describe('the end', () => {
  it('by the server: code and reason are told, the close is answered', async () => {
    await opened();
    socket.write(serverFrame(0x80 | OP_CLOSE, [4010 >> 8, 4010 & 0xff, 0x62, 0x79, 0x65]));
    await until(() => events.length > 0);
    expect(events).toEqual([['closed', 4010, 'bye']]);
    await until(() => sent.length > 0);
    expect(sent).toEqual([{ op: OP_CLOSE, payload: [4010 >> 8, 4010 & 0xff] }]);
  });

  it.each(['destroy', 'resetAndDestroy'] as const)(
    'by a broken connection (%s) is 1006, once',
    async (how) => {
      await opened();
      socket[how]();
      await until(() => events.length > 0);
      expect(events).toEqual([['closed', 1006, expect.any(String)]]);
      events = [];
      // Another report would come before the next connection is open, which is seen to report alone.
      await opened();
    },
  );

  it('drop breaks off without a close frame', async () => {
    const transport = await opened();
    const isGone = new Promise<void>((resolve) => socket.on('end', () => resolve()));
    transport.drop();
    expect(events).toEqual([['closed', 1006, 'dropped']]);
    await isGone;
    expect(sent).toEqual([]);
  });

  it('close says farewell and reports nothing', async () => {
    const transport = await opened();
    transport.close(1000);
    await until(() => sent.length > 0);
    expect(sent).toEqual([{ op: OP_CLOSE, payload: [1000 >> 8, 1000 & 0xff] }]);
    expect(events).toEqual([]);
  });

  const broken: [string, number[], number][] = [
    ['a masked frame', [0x82, 0x80, 0, 0, 0, 0], 1002],
    ['reserved bits', [0xc2, 0], 1002],
    ['a continuation of nothing', [0x80, 0], 1002],
    ['a text message', [0x81, 0], 1003],
    ['a fragmented ping', [0x09, 0], 1002],
    ['a message above 2 MiB', [0x82, 127, 0, 0, 0, 0, 0, 0x20, 0, 1], 1009],
  ];
  it.each(broken)('%s ends the connection', async (_, bytes, code) => {
    await opened();
    socket.write(Uint8Array.from(bytes));
    await until(() => events.length > 0);
    expect(events).toEqual([['closed', code, expect.any(String)]]);
  });
});

it('the parser reads what a client would send, were it not masked', () => {
  const masked = frame(OP_BINARY, Uint8Array.of(1));
  expect(masked).toHaveLength(7);
  expect(() => new FrameParser(10).push(masked)).toThrow(/masks/);
});
