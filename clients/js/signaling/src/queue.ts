/**
 * The message queue: a cursor, and when to ask. Source: signaling 6.3 and 6.4.
 *
 * Messages are pushed one after the other; missing ones are requested. A request also confirms: a
 * second after the last message, so that one confirmation stands for many. A message that comes
 * again after a reconnect is known by its id.
 */
import type { Environment } from './environment.js';
import type { Line } from './wire.js';
import { readLine } from './wire.js';

/** A confirmation waits this long for more messages, in milliseconds. */
const TAIL_MS = 1_000;
/** How often the queue is checked while no message arrives, in milliseconds. */
const IDLE_MS = 60_000;
/** Messages asked for at once. */
const PAGE = 30;
/** Ids remembered: more than a server keeps for one user. */
const KNOWN_MAX = 10_000;

export interface QueueDoor {
  readonly environment: Environment;
  /** Calls the server; `answered` is not called when the connection ends first. */
  call(
    name: string,
    args: object,
    answered: (error: string, body: Record<string, unknown>) => void,
  ): void;
  /** A message, once and in order. */
  deliver(line: Line): void;
}

export class Queue {
  #cursor = 0;
  /** What the server last reported as cleared. */
  #cleared = 0;
  #isAsking = false;
  #isAskedAgain = false;
  #timer: unknown;
  /** Survives reconnects. A Map keeps the order in which ids arrived. */
  readonly #known = new Map<string, true>();

  constructor(private readonly door: QueueDoor) {}

  /** A login has begun: its versions are unrelated to earlier ones. */
  start(): void {
    this.#cursor = this.#cleared = 0;
    this.#isAsking = this.#isAskedAgain = false;
    this.#ask();
  }

  stop(): void {
    this.door.environment.clearTimer(this.#timer);
    this.#timer = undefined;
  }

  /** A message was pushed. */
  pushed(version: unknown, line: unknown): void {
    if (typeof version !== 'number' || typeof line !== 'string') return;
    if (version !== this.#cursor + 1) {
      if (version > this.#cursor) this.hint();
      return;
    }
    this.#cursor = version;
    this.#take(line);
    this.#wait();
  }

  /** The server says that messages wait. */
  hint(): void {
    if (this.#isAsking) this.#isAskedAgain = true;
    else this.#ask();
  }

  #ask(): void {
    this.stop();
    this.#isAsking = true;
    this.door.call('user_getmsg', { ver_clear: this.#cursor, max: PAGE }, (error, body) => {
      this.#isAsking = false;
      const count = error === '' ? this.#answered(body) : 0;
      if (count >= PAGE || this.#isAskedAgain) {
        this.#isAskedAgain = false;
        this.#ask();
      } else this.#wait();
    });
  }

  #answered({ ver_clear: base, msgs }: Record<string, unknown>): number {
    if (typeof base === 'number') {
      this.#cleared = base;
      this.#cursor = Math.max(this.#cursor, base);
    }
    if (!Array.isArray(msgs)) return 0;
    for (const [version, line] of msgs as [unknown, unknown][]) {
      if (typeof version !== 'number' || typeof line !== 'string' || version <= this.#cursor)
        continue;
      this.#cursor = version;
      this.#take(line);
    }
    return msgs.length;
  }

  #wait(): void {
    this.stop();
    if (this.#isAsking) return;
    const afterMs = this.#cursor > this.#cleared ? TAIL_MS : IDLE_MS;
    this.#timer = this.door.environment.setTimer(() => this.#ask(), afterMs);
  }

  #take(text: string): void {
    const line = readLine(text);
    if (line === undefined) return;
    if (line.id !== undefined) {
      if (this.#known.has(line.id)) return;
      this.#known.set(line.id, true);
      const oldest = this.#known.size > KNOWN_MAX ? this.#known.keys().next().value : undefined;
      if (oldest !== undefined) this.#known.delete(oldest);
    }
    this.door.deliver(line);
  }
}
