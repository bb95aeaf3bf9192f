/** The real world for the shell. Nothing here runs when the module is loaded. */
import type { Environment } from './shell.js';
import { exchange } from './transport/http.js';
import { type Connect, connectLater } from './transport/transport.js';
import { type WebSocketClass, connectWith } from './transport/websocket.js';

/** The parts of the global object that are used where they exist. */
interface Globals {
  readonly WebSocket?: WebSocketClass;
  readonly performance?: { now(): number };
  readonly document?: EventTarget & { readonly visibilityState?: string };
  readonly addEventListener?: EventTarget['addEventListener'];
  readonly removeEventListener?: EventTarget['removeEventListener'];
}

function globals(): Globals {
  return globalThis as unknown as Globals;
}

/**
 * Time, timers and chance of the platform; the platform's WebSocket, or what `loadSocket` brings
 * where there is none.
 */
export function platformEnvironment(loadSocket: () => Promise<Connect>): Environment {
  return {
    now: () => globals().performance?.now() ?? Date.now(),
    random: () => Math.random(),
    setTimer: (run, afterMs) => setTimeout(run, afterMs),
    clearTimer: (timer) => clearTimeout(timer as ReturnType<typeof setTimeout>),
    connect(url, events) {
      const { WebSocket } = globals();
      // Later than at once, also where there is one: a login that is undone in the same turn, as by
      // the double mount of React, opens nothing.
      const load = WebSocket ? () => Promise.resolve(connectWith(WebSocket)) : loadSocket;
      return connectLater(load)(url, events);
    },
    exchange,
    watchWakeUps,
  };
}

/** Source: RTM 1.x semantics 3.5: visibility, `online`, `pageshow`. */
function watchWakeUps(wake: () => void): () => void {
  const { document } = globals();
  const shown = () => {
    if (document?.visibilityState === 'visible') wake();
  };
  document?.addEventListener('visibilitychange', shown);
  globals().addEventListener?.('online', wake);
  globals().addEventListener?.('pageshow', wake);
  return () => {
    document?.removeEventListener('visibilitychange', shown);
    globals().removeEventListener?.('online', wake);
    globals().removeEventListener?.('pageshow', wake);
  };
}
