/** The current connection and the way to the next one: phases, back-off, watchdog. */
import {
  BACKOFF_EARLY_MAX_MS,
  BACKOFF_EARLY_MS,
  BACKOFF_FIRST_MS,
  BACKOFF_MAX_MS,
  HEARTBEAT_MS,
  RECONNECT_QUIET_MS,
} from '../generated/limits.js';

/**
 * After a connection of this length the back-off starts again from its first step. Source: contract
 * OVL-5.
 */
const GOOD_MS = 60_000;
/**
 * Time for one attempt: opening the connection and the answer to the greeting. It leaves room for a
 * second try within a login's 12 s; a reconnect may take longer, for the sake of slow links.
 */
const LOGIN_ATTEMPT_MS = 5_000;
const RECONNECT_ATTEMPT_MS = 10_000;
/** A silence longer than the heartbeat by this much is a lost link. Source: protocol 2.4. */
const WATCHDOG_EXTRA_MS = 4_000;
/**
 * An attempt older than this is given up when the page is shown again or the network has changed.
 */
const STALE_MS = 3_000;
/** A link heard within this time needs no check after a wake-up. */
const FRESH_MS = 1_000;

export type Phase =
  | 'down'
  /** Until the time of the next attempt. */
  | 'waiting'
  | 'opening'
  /** Login or Resume sent. */
  | 'greeting'
  | 'live';

/** Conditions of a retry. */
export interface RetryHint {
  /** Shortest wait. Milliseconds. */
  readonly waitMs?: number;
  /** The server's `retry_after_ms`, 0 = none. */
  readonly retryAfterMs?: number;
  /** Without a wait, unless an earlier retry has failed. */
  readonly isAtOnce?: boolean;
}

export class Link {
  phase: Phase = 'down';
  /** Rises with each attempt; what comes from an older connection is ignored. */
  connection = 0;
  heartbeatMs = HEARTBEAT_MS;
  /** When the link that had been live was lost; Infinity while it is live. */
  lostAt = Infinity;
  /** When a lost link becomes visible to the application. */
  quietUntil = Infinity;
  /** Attempts since the last good connection. */
  attempts = 0;
  /** What ended the last attempt, for error texts. */
  lastEnd = '';
  #retryAt = Infinity;
  /** The server has asked not to come back before this time. */
  #notBefore = 0;
  #attemptAt = 0;
  #attemptUntil = Infinity;
  /** When the first of the attempts that are counted was planned. */
  #triesSince = 0;
  #liveSince = 0;
  #receivedAt = 0;
  #probeUntil = Infinity;

  constructor(private readonly random: () => number) {}

  /** Starts an attempt; returns the number of its connection. */
  attempt(now: number, isLogin: boolean): number {
    this.phase = 'opening';
    this.#retryAt = Infinity;
    this.#attemptAt = now;
    this.#attemptUntil = now + (isLogin ? LOGIN_ATTEMPT_MS : RECONNECT_ATTEMPT_MS);
    return ++this.connection;
  }

  greet(now: number, isLogin: boolean): void {
    this.phase = 'greeting';
    this.#attemptUntil = now + (isLogin ? LOGIN_ATTEMPT_MS : RECONNECT_ATTEMPT_MS);
  }

  /** The server has accepted. */
  accept(now: number): void {
    this.phase = 'live';
    this.#attemptUntil = Infinity;
    this.#liveSince = now;
    this.lostAt = Infinity;
    this.quietUntil = Infinity;
  }

  heard(now: number): void {
    this.#receivedAt = now;
    this.#probeUntil = Infinity;
  }

  /** The connection is lost; plans the next one. `isSilent`: a silence has shown it. */
  lose(now: number, hint: RetryHint, isSilent: boolean): void {
    if (this.phase === 'live') {
      this.lostAt = now;
      this.quietUntil = isSilent ? now : now + RECONNECT_QUIET_MS;
      if (now - this.#liveSince >= GOOD_MS) this.attempts = 0;
    }
    if (this.attempts === 0) this.#triesSince = now;
    this.#notBefore = now + Math.max(hint.retryAfterMs ?? 0, hint.waitMs ?? 0);
    this.wait(now + this.#delay(hint, now - this.#triesSince));
    this.attempts++;
  }

  /** No connection until a time. */
  wait(until: number): void {
    this.stop();
    this.phase = 'waiting';
    this.#retryAt = until;
  }

  /** No connection and no attempt. */
  stop(): void {
    this.phase = 'down';
    this.#retryAt = Infinity;
    this.#attemptUntil = Infinity;
    this.#probeUntil = Infinity;
  }

  /** Everything as before the first login. */
  reset(): void {
    this.stop();
    this.attempts = 0;
    this.#notBefore = 0;
    this.lastEnd = '';
    this.lostAt = Infinity;
    this.quietUntil = Infinity;
  }

  /** A wake-up: whether the server has to be asked for a sign of life. */
  startProbe(now: number): boolean {
    const isNeeded = now - this.#receivedAt >= FRESH_MS && this.#probeUntil === Infinity;
    if (isNeeded) this.#probeUntil = now + WATCHDOG_EXTRA_MS;
    return isNeeded;
  }

  retryNow(now: number): void {
    if (this.phase === 'waiting') this.#retryAt = Math.max(now, this.#notBefore);
  }

  /**
   * Whether an attempt is old enough to be given up, when there is reason to believe that a new one
   * would do better.
   */
  isStale(now: number): boolean {
    return this.#attemptUntil < Infinity && now - this.#attemptAt >= STALE_MS;
  }

  isRetryDue(now: number): boolean {
    return this.phase === 'waiting' && this.#retryAt <= now;
  }

  isAttemptOver(now: number): boolean {
    return this.#attemptUntil <= now;
  }

  isSilent(now: number): boolean {
    return this.phase === 'live' && this.#silentAt() <= now;
  }

  hasBeenGood(now: number): boolean {
    return this.phase === 'live' && now - this.#liveSince >= GOOD_MS;
  }

  deadline(): number {
    const silentAt = this.phase === 'live' ? this.#silentAt() : Infinity;
    return Math.min(this.#retryAt, this.#attemptUntil, silentAt);
  }

  #silentAt(): number {
    return Math.min(this.#receivedAt + this.heartbeatMs + WATCHDOG_EXTRA_MS, this.#probeUntil);
  }

  #delay(hint: RetryHint, sinceMs: number): number {
    if (hint.isAtOnce && this.attempts === 0) return hint.waitMs ?? 0;
    // Clients are back soon after a restart; a storm of them is spread by the server's hints.
    const max = sinceMs < BACKOFF_EARLY_MS ? BACKOFF_EARLY_MAX_MS : BACKOFF_MAX_MS;
    const bound = Math.min(max, BACKOFF_FIRST_MS * 2 ** this.attempts);
    const after = hint.retryAfterMs ?? 0;
    const delay = after > 0 ? after * (1 + this.random()) : this.random() * bound;
    return Math.max(delay, hint.waitMs ?? 0);
  }
}
