/**
 * A WebSocket client (RFC 6455, version 13) over `node:http`, for Node before 22, which has none.
 * A file of its own, loaded when it is needed, so that no browser bundle contains it.
 */
import { createHash, randomBytes } from 'node:crypto';
import { type IncomingMessage, request as requestPlain } from 'node:http';
import { request as requestSecure } from 'node:https';
import type { Socket } from 'node:net';
import { REPLAY_BYTES_MAX } from '../generated/limits.js';
import {
  FrameParser,
  OP_BINARY,
  OP_CLOSE,
  OP_PING,
  OP_PONG,
  ProtocolError,
  frame,
} from './node-frames.js';
import { CLOSE_ABNORMAL, SUB_PROTOCOL, type Transport, type TransportEvents } from './transport.js';

/**
 * Appended to the key, hashed, is what proves that the server speaks WebSocket. Source: RFC 6455,
 * 1.3.
 */
const ACCEPT_GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
/** Longest message accepted: a server may put everything it replays into one. */
const MESSAGE_BYTES_MAX = 2 * REPLAY_BYTES_MAX;
/** How long the other side may take to answer a close frame. */
const CLOSE_WAIT_MS = 2_000;

/** Opens a connection; failures are reported by `events.closed`. */
export function connect(url: string, events: TransportEvents): Transport {
  return new NodeSocket(url, events);
}

class NodeSocket implements Transport {
  #socket: Socket | undefined;
  /** Nothing is reported from now on. */
  #isMuted = false;
  #hasSentClose = false;
  readonly #abort: () => void;

  constructor(
    url: string,
    private readonly events: TransportEvents,
  ) {
    const { protocol, hostname, port, pathname, search } = new URL(url);
    const key = randomBytes(16).toString('base64');
    const open = protocol === 'wss:' ? requestSecure : requestPlain;
    const request = open({
      hostname: hostname.replace(/^\[(.*)\]$/, '$1'),
      port: port === '' ? undefined : port,
      path: pathname + search,
      headers: {
        Connection: 'Upgrade',
        Upgrade: 'websocket',
        'Sec-WebSocket-Version': '13',
        'Sec-WebSocket-Key': key,
        'Sec-WebSocket-Protocol': SUB_PROTOCOL,
      },
    });
    this.#abort = () => request.destroy();
    request.on('upgrade', (response, socket, head) => this.#upgraded(response, socket, head, key));
    request.on('response', (response) => {
      response.resume();
      this.#end(CLOSE_ABNORMAL, `HTTP ${response.statusCode ?? 0} instead of a WebSocket`);
      request.destroy();
    });
    request.on('error', (error) => this.#end(CLOSE_ABNORMAL, error.message));
    request.end();
  }

  send(bytes: Uint8Array): void {
    if (!this.#hasSentClose) this.#socket?.write(frame(OP_BINARY, bytes));
  }

  close(code: number): void {
    this.#isMuted = true;
    if (this.#socket) this.#sendClose(code);
    else this.#abort();
  }

  drop(): void {
    this.#socket?.destroy();
    this.#abort();
    this.#end(CLOSE_ABNORMAL, 'dropped');
  }

  #upgraded(response: IncomingMessage, socket: Socket, head: Buffer, key: string): void {
    const accept = createHash('sha1')
      .update(key + ACCEPT_GUID)
      .digest('base64');
    const problem =
      response.headers['sec-websocket-accept'] !== accept
        ? 'the server has not proven that it speaks WebSocket'
        : response.headers['sec-websocket-protocol'] !== SUB_PROTOCOL
          ? `the server has not selected the sub-protocol ${SUB_PROTOCOL}`
          : undefined;
    if (problem !== undefined || this.#isMuted) {
      socket.destroy();
      this.#end(CLOSE_ABNORMAL, problem ?? '');
      return;
    }
    this.#socket = socket;
    socket.setNoDelay(true);
    const parser = new FrameParser(MESSAGE_BYTES_MAX);
    socket.on('data', (data: Buffer) => this.#read(parser, data));
    socket.on('error', (error) => this.#end(CLOSE_ABNORMAL, error.message));
    socket.on('close', () => this.#end(CLOSE_ABNORMAL, 'the connection broke off'));
    this.events.opened();
    if (head.length > 0) this.#read(parser, head);
  }

  #read(parser: FrameParser, data: Uint8Array): void {
    try {
      for (const { op, payload } of parser.push(data)) {
        if (op === OP_BINARY) {
          if (!this.#isMuted) this.events.received(payload);
        } else if (op === OP_PING) {
          if (!this.#hasSentClose) this.#socket?.write(frame(OP_PONG, payload));
        } else if (op === OP_CLOSE) {
          this.#closed(payload);
          return;
        }
      }
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.#end(error.code, error.message);
      this.#sendClose(error.code);
    }
  }

  #closed(payload: Uint8Array): void {
    const code = payload.length >= 2 ? ((payload[0] ?? 0) << 8) | (payload[1] ?? 0) : 1005;
    this.#end(code, Buffer.from(payload.subarray(2)).toString('utf8'));
    this.#sendClose(code === 1005 ? 1000 : code);
    this.#socket?.end();
  }

  #sendClose(code: number): void {
    const socket = this.#socket;
    if (!socket || this.#hasSentClose) return;
    this.#hasSentClose = true;
    socket.write(frame(OP_CLOSE, Uint8Array.of(code >> 8, code & 0xff)));
    const timer = setTimeout(() => socket.destroy(), CLOSE_WAIT_MS);
    timer.unref();
    socket.on('close', () => clearTimeout(timer));
    socket.on('end', () => socket.destroy());
  }

  #end(code: number, reason: string): void {
    if (this.#isMuted) return;
    this.#isMuted = true;
    this.events.closed(code, reason);
  }
}
