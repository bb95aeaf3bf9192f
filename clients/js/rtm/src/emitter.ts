/**
 * An event emitter with the methods of Node's, and one difference: each listener runs on its own.
 * An exception of one is thrown again from a timer, where `window.onerror` or `uncaughtException`
 * sees it, and disturbs neither the other listeners nor the SDK.
 */

import type AgoraRTM from '../types/index.mjs';

type Listener = (...args: never[]) => unknown;
type ArgumentsOf<T> = AgoraRTM.ArgumentsOf<T>;

interface Entry {
  readonly listener: Listener;
  readonly isOnce: boolean;
  /** What `rawListeners` shows: the listener, or the wrapper of a `once`. */
  readonly raw: Listener;
}

/** Listeners of one event above which a leak is suspected. Source: RTM 1.4.5 and later. */
const MAX_LISTENERS = 512;

export class EventEmitter<Events extends object> {
  static defaultMaxListeners = MAX_LISTENERS;

  readonly #entries = new Map<PropertyKey, Entry[]>();
  #maxListeners: number | undefined;

  /**
   * A tag of its own tells state libraries that this is no plain data: they wrap plain objects in
   * proxies, through which private members cannot be reached, or walk them.
   */
  get [Symbol.toStringTag](): string {
    return 'RtmObject';
  }

  on<Name extends keyof Events>(
    name: Name,
    listener: (...args: ArgumentsOf<Events[Name]>) => unknown,
  ): this {
    return this.#add(name, listener, { isOnce: false, isFirst: false });
  }

  addListener<Name extends keyof Events>(
    name: Name,
    listener: (...args: ArgumentsOf<Events[Name]>) => unknown,
  ): this {
    return this.on(name, listener);
  }

  once<Name extends keyof Events>(
    name: Name,
    listener: (...args: ArgumentsOf<Events[Name]>) => unknown,
  ): this {
    return this.#add(name, listener, { isOnce: true, isFirst: false });
  }

  prependListener<Name extends keyof Events>(
    name: Name,
    listener: (...args: ArgumentsOf<Events[Name]>) => unknown,
  ): this {
    return this.#add(name, listener, { isOnce: false, isFirst: true });
  }

  prependOnceListener<Name extends keyof Events>(
    name: Name,
    listener: (...args: ArgumentsOf<Events[Name]>) => unknown,
  ): this {
    return this.#add(name, listener, { isOnce: true, isFirst: true });
  }

  /** Removes the listener that was added last, if it was added several times. */
  off<Name extends keyof Events>(name: Name, listener: Listener): this {
    checkListener(listener);
    const entries = this.#entries.get(name) ?? [];
    for (let at = entries.length - 1; at >= 0; at--) {
      const entry = entries[at];
      if (!entry || (entry.listener !== listener && entry.raw !== listener)) continue;
      this.#remove(name, entry);
      break;
    }
    return this;
  }

  removeListener<Name extends keyof Events>(name: Name, listener: Listener): this {
    return this.off(name, listener);
  }

  removeAllListeners(name?: keyof Events): this {
    if (name !== undefined) {
      for (const entry of [...(this.#entries.get(name) ?? [])].reverse()) this.#remove(name, entry);
      return this;
    }
    for (const each of [...this.#entries.keys()]) {
      if (each !== 'removeListener') this.removeAllListeners(each as keyof Events);
    }
    this.#entries.clear();
    return this;
  }

  listeners<Name extends keyof Events>(name: Name): Events[Name][] {
    return (this.#entries.get(name) ?? []).map((entry) => entry.listener) as Events[Name][];
  }

  rawListeners<Name extends keyof Events>(name: Name): Events[Name][] {
    return (this.#entries.get(name) ?? []).map((entry) => entry.raw) as Events[Name][];
  }

  listenerCount(name: keyof Events): number {
    return this.#entries.get(name)?.length ?? 0;
  }

  eventNames(): (keyof Events)[] {
    return [...this.#entries.keys()] as (keyof Events)[];
  }

  /** Whether anybody listens. An `error` that nobody listens to is thrown, as in Node. */
  emit<Name extends keyof Events>(name: Name, ...args: ArgumentsOf<Events[Name]>): boolean {
    return this.#emit(name, args as unknown[]);
  }

  setMaxListeners(count: number): this {
    if (typeof count !== 'number' || count < 0 || Number.isNaN(count)) {
      throw new RangeError(`the number of listeners must not be negative: ${String(count)}`);
    }
    this.#maxListeners = count;
    return this;
  }

  getMaxListeners(): number {
    return this.#maxListeners ?? EventEmitter.defaultMaxListeners;
  }

  #emit(name: PropertyKey, args: readonly unknown[]): boolean {
    const entries = this.#entries.get(name);
    if (!entries) {
      if (name !== 'error') return false;
      throw args[0] instanceof Error ? args[0] : new Error(`Unhandled error: ${String(args[0])}`);
    }
    // A copy: listeners may add and remove listeners.
    for (const entry of [...entries]) {
      if (entry.isOnce) this.#remove(name, entry);
      try {
        entry.listener.apply(this, args as never[]);
      } catch (error) {
        setTimeout(() => {
          throw error;
        }, 0);
      }
    }
    return true;
  }

  #add(name: PropertyKey, given: unknown, how: { isOnce: boolean; isFirst: boolean }): this {
    const listener = checkListener(given);
    this.#emit('newListener', [name, listener]);
    const entries = this.#entries.get(name) ?? [];
    const entry: Entry = {
      listener,
      isOnce: how.isOnce,
      raw: how.isOnce ? this.#wrapper(name, listener) : listener,
    };
    this.#entries.set(name, how.isFirst ? [entry, ...entries] : [...entries, entry]);
    const max = this.getMaxListeners();
    if (max > 0 && entries.length === max) {
      console.warn(
        `RTM:WARN ${max + 1} listeners of ${String(name)}: possible leak, remove them or call setMaxListeners()`,
      );
    }
    return this;
  }

  /** As in Node: a `once` shows itself as a function that removes and calls the listener. */
  #wrapper(name: PropertyKey, listener: Listener): Listener {
    const wrapper = (...args: never[]): unknown => {
      this.off(name as keyof Events, wrapper);
      return listener.apply(this, args);
    };
    return Object.assign(wrapper, { listener });
  }

  #remove(name: PropertyKey, entry: Entry): void {
    const entries = this.#entries.get(name);
    if (!entries?.includes(entry)) return;
    const rest = entries.filter((other) => other !== entry);
    if (rest.length > 0) this.#entries.set(name, rest);
    else this.#entries.delete(name);
    this.#emit('removeListener', [name, entry.listener]);
  }
}

function checkListener(listener: unknown): Listener {
  if (typeof listener !== 'function') {
    throw new TypeError(
      `The listener must be a function, not ${listener === null ? 'null' : typeof listener}`,
    );
  }
  return listener as Listener;
}
