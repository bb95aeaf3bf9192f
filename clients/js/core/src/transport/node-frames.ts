/** WebSocket frames, client's side: written masked, read unmasked. Source: RFC 6455, section 5. */
import { randomBytes } from 'node:crypto';

export const OP_CONTINUATION = 0;
export const OP_TEXT = 1;
export const OP_BINARY = 2;
export const OP_CLOSE = 8;
export const OP_PING = 9;
export const OP_PONG = 10;

const CODE_PROTOCOL = 1002;
const CODE_UNSUPPORTED = 1003;
const CODE_TOO_BIG = 1009;

/** The server has broken RFC 6455; `code` is the close code that says so. */
export class ProtocolError extends Error {
  constructor(
    readonly code: number,
    text: string,
  ) {
    super(text);
  }
}

/** A whole message or a control frame. */
export interface ReadFrame {
  readonly op: number;
  readonly payload: Uint8Array;
}

/** One unfragmented frame from the client. */
export function frame(op: number, payload: Uint8Array): Uint8Array {
  const { length } = payload;
  const extended = length < 126 ? 0 : length < 65536 ? 2 : 8;
  const bytes = new Uint8Array(2 + extended + 4 + length);
  const view = new DataView(bytes.buffer);
  bytes[0] = 0x80 | op;
  bytes[1] = 0x80 | (extended === 0 ? length : extended === 2 ? 126 : 127);
  if (extended === 2) view.setUint16(2, length);
  if (extended === 8) view.setBigUint64(2, BigInt(length));
  const mask = randomBytes(4);
  const start = 2 + extended + 4;
  bytes.set(mask, start - 4);
  for (let at = 0; at < length; at++) {
    bytes[start + at] = (payload[at] ?? 0) ^ (mask[at & 3] ?? 0);
  }
  return bytes;
}

/** Cuts a byte stream into messages. */
export class FrameParser {
  #rest: Uint8Array = new Uint8Array(0);
  #parts: Uint8Array[] = [];
  #partsLength = 0;
  #isInMessage = false;

  /** `messageBytesMax`: a longer message is a ProtocolError with code 1009. */
  constructor(private readonly messageBytesMax: number) {}

  push(data: Uint8Array): ReadFrame[] {
    // A plain view: the methods of Node's Buffer differ.
    const plain = new Uint8Array(data.buffer, data.byteOffset, data.length);
    this.#rest = this.#rest.length === 0 ? plain : joined([this.#rest, plain]);
    const frames: ReadFrame[] = [];
    for (;;) {
      const read = this.#next();
      if (read === undefined) return frames;
      if (read !== 'part') frames.push(read);
    }
  }

  #next(): ReadFrame | 'part' | undefined {
    const rest = this.#rest;
    const [first, second] = rest;
    if (first === undefined || second === undefined) return undefined;
    if ((first & 0x70) !== 0) throw new ProtocolError(CODE_PROTOCOL, 'reserved bits are set');
    if ((second & 0x80) !== 0)
      throw new ProtocolError(CODE_PROTOCOL, 'the server masks its frames');
    const extended = second === 126 ? 2 : second === 127 ? 8 : 0;
    if (rest.length < 2 + extended) return undefined;
    const view = new DataView(rest.buffer, rest.byteOffset);
    const length =
      extended === 2 ? view.getUint16(2) : extended === 8 ? Number(view.getBigUint64(2)) : second;
    if (this.#partsLength + length > this.messageBytesMax) {
      throw new ProtocolError(
        CODE_TOO_BIG,
        `a message is longer than ${this.messageBytesMax} bytes`,
      );
    }
    const end = 2 + extended + length;
    if (rest.length < end) return undefined;
    const payload = rest.slice(2 + extended, end);
    this.#rest = rest.subarray(end);
    return this.#take(first & 0x0f, (first & 0x80) !== 0, payload);
  }

  #take(op: number, isFinal: boolean, payload: Uint8Array): ReadFrame | 'part' {
    if (op >= OP_CLOSE) {
      if (op > OP_PONG || !isFinal || payload.length > 125) {
        throw new ProtocolError(CODE_PROTOCOL, `control frame ${op} is not valid`);
      }
      return { op, payload };
    }
    if (op === OP_TEXT) throw new ProtocolError(CODE_UNSUPPORTED, 'a text message');
    if (op > OP_BINARY || (op === OP_CONTINUATION) !== this.#isInMessage) {
      throw new ProtocolError(CODE_PROTOCOL, `frame ${op} is out of place`);
    }
    this.#parts.push(payload);
    this.#partsLength += payload.length;
    this.#isInMessage = !isFinal;
    if (!isFinal) return 'part';
    const whole = this.#parts.length === 1 ? payload : joined(this.#parts);
    this.#parts = [];
    this.#partsLength = 0;
    return { op: OP_BINARY, payload: whole };
  }
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
