/** The transport over a `WebSocket` class: the browser's, Node's (from 22), or an injected one. */
import { CLOSE_ABNORMAL, type Connect, SUB_PROTOCOL } from './transport.js';

/** The part of the WebSocket class that is used. */
export interface WebSocketLike {
  binaryType: string;
  readonly protocol: string;
  onopen: ((event: never) => void) | null;
  onmessage: ((event: { readonly data: unknown }) => void) | null;
  onclose: ((event: { readonly code: number; readonly reason: string }) => void) | null;
  onerror: ((event: never) => void) | null;
  send(data: Uint8Array): void;
  close(code?: number, reason?: string): void;
}
export type WebSocketClass = new (url: string, protocols: string[]) => WebSocketLike;

/** Codes that the WebSocket class lets a page send. */
function isSendable(code: number): boolean {
  return code === 1000 || (code >= 3000 && code <= 4999);
}

export function connectWith(Socket: WebSocketClass): Connect {
  return (url, events) => {
    let socket: WebSocketLike;
    try {
      socket = new Socket(url, [SUB_PROTOCOL]);
    } catch (error) {
      void Promise.resolve().then(() => events.closed(CLOSE_ABNORMAL, String(error)));
      return { send() {}, close() {}, drop() {} };
    }
    socket.binaryType = 'arraybuffer';
    const end = (code: number, reason: string) => {
      detach(socket);
      events.closed(code, reason);
    };
    socket.onopen = () => {
      if (socket.protocol === SUB_PROTOCOL) {
        events.opened();
      } else {
        socket.close();
        end(CLOSE_ABNORMAL, `the server has not selected the sub-protocol ${SUB_PROTOCOL}`);
      }
    };
    socket.onmessage = ({ data }) => {
      if (data instanceof ArrayBuffer) events.received(new Uint8Array(data));
      else if (data instanceof Uint8Array) events.received(data);
    };
    socket.onclose = ({ code, reason }) => end(code, reason);
    return {
      send: (bytes) => socket.send(bytes),
      close(code) {
        detach(socket);
        close(socket, code);
      },
      drop() {
        // A page cannot drop a connection: the server sees a proper close, which keeps the session.
        close(socket, 1000);
        end(CLOSE_ABNORMAL, 'dropped');
      },
    };
  };
}

function close(socket: WebSocketLike, code: number): void {
  socket.close(isSendable(code) ? code : 1000);
}

function detach(socket: WebSocketLike): void {
  socket.onopen = socket.onmessage = socket.onclose = null;
  // A socket that is closed while it opens reports an error, which nobody waits for.
  socket.onerror = null;
}
