/**
 * One WebSocket with text messages: the browser's own, Node's from 22 on, otherwise that of the
 * `ws` package.
 */

export interface SocketEvents {
  opened(): void;
  received(text: string): void;
  /** The end, once, whatever the reason; also when it could not be opened. */
  closed(): void;
}

export interface Socket {
  send(text: string): void;
  /** Nothing is reported afterwards. */
  close(): void;
}

interface SocketLike {
  onopen: (() => void) | null;
  onmessage: ((event: { readonly data: unknown }) => void) | null;
  onclose: (() => void) | null;
  onerror: (() => void) | null;
  send(text: string): void;
  close(): void;
}
type SocketClass = new (url: string) => SocketLike;

/** Not a literal, so that bundlers for browsers leave it alone: browsers have a WebSocket. */
const NODE_PACKAGE = 'ws';

async function socketClass(): Promise<SocketClass> {
  const own = (globalThis as { WebSocket?: SocketClass }).WebSocket;
  if (own !== undefined) return own;
  const loaded = (await import(/* webpackIgnore: true */ /* @vite-ignore */ NODE_PACKAGE)) as {
    default: SocketClass;
  };
  return loaded.default;
}

/** Opens a connection and reports what becomes of it. */
export function open(url: string, events: SocketEvents): Socket {
  let socket: SocketLike | undefined;
  let isOver = false;
  const end = () => {
    if (isOver) return;
    isOver = true;
    events.closed();
  };
  const begin = (Class: SocketClass) => {
    if (isOver) return;
    socket = new Class(url);
    socket.onopen = () => {
      if (!isOver) events.opened();
    };
    socket.onmessage = ({ data }) => {
      if (!isOver && typeof data === 'string') events.received(data);
    };
    socket.onclose = end;
    // An error is followed by a close.
    socket.onerror = () => {};
  };
  const own = (globalThis as { WebSocket?: SocketClass }).WebSocket;
  if (own === undefined) socketClass().then(begin).catch(end);
  else {
    try {
      begin(own);
    } catch {
      queueMicrotask(end);
    }
  }
  return {
    send: (text) => socket?.send(text),
    close() {
      isOver = true;
      socket?.close();
    },
  };
}
