/** The real world for the shell. Nothing here runs when the module is loaded. */
import type { Environment } from './shell.js';
import type { Rivals } from './rivals.js';
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
 * Time, timers and randomness of the platform, and its WebSocket; where there is none, the one that
 * `loadSocket` loads.
 */
export function platformEnvironment(loadSocket: () => Promise<Connect>): Environment {
  return {
    now: () => globals().performance?.now() ?? Date.now(),
    random: () => Math.random(),
    setTimer: (run, afterMs) => setTimeout(run, afterMs),
    clearTimer: (timer) => clearTimeout(timer as ReturnType<typeof setTimeout>),
    connect(url, events) {
      const { WebSocket } = globals();
      // Deferred even where there is one: a login that is undone in the same turn, as React's
      // double mount does, then opens nothing.
      const load = WebSocket ? () => Promise.resolve(connectWith(WebSocket)) : loadSocket;
      return connectLater(load)(url, events);
    },
    exchange,
    rivals,
    watchWakeUps,
  };
}

/** Copies of the SDK in one program share the list. */
const RIVALS = Symbol.for('tidings.rivals');

function rivals(): Rivals {
  const holder = globalThis as unknown as Record<symbol, Rivals | undefined>;
  return (holder[RIVALS] ??= new Map());
}

/** Source: RTM 1.x semantics 3.5: visibility, `online`, `pageshow`; `focus` is ours. */
const WAKING = ['online', 'pageshow', 'focus'] as const;

function watchWakeUps(wake: () => void): () => void {
  const { document } = globals();
  const shown = () => {
    if (document?.visibilityState === 'visible') wake();
  };
  // React Native has a `window` without events, and no document.
  const change = (how: 'addEventListener' | 'removeEventListener') => {
    document?.[how]?.('visibilitychange', shown);
    for (const name of WAKING) globals()[how]?.(name, wake);
  };
  change('addEventListener');
  return () => change('removeEventListener');
}
