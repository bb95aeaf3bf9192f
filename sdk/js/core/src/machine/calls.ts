/** Calls on their way: waiting for the link, or sent and without a reply. */
import {
  CALL_TIMEOUT_MS,
  CLIENT_QUEUE_BYTES_MAX,
  CLIENT_QUEUE_CALLS_MAX,
  REQUESTS_IN_FLIGHT_MAX,
} from '../generated/limits.js';
import { Request, type Call, type CallName } from '../wire/messages.js';

/** Why the machine itself makes a call. */
export type Purpose =
  | 'application'
  | 'restoreAttributes'
  | 'restoreChannel'
  | 'restorePresence'
  | 'undoJoin'
  | 'members'
  | 'invitation'
  | 'logout';

export interface PendingCall {
  /** The application's name for it; 0 when nobody waits (any more). */
  id: number;
  readonly call: Call;
  readonly purpose: Purpose;
  /** When the application is told that it took too long. */
  readonly deadline: number;
  /** Bytes of the encoded call. */
  readonly size: number;
  /** Number in the session; 0 before it is sent. */
  cseq: number;
}

/**
 * The application's other calls change nothing when they are executed twice, or their effect belongs to the session:
 * they are sent again in a new session. A message or a channel attribute write may have taken
 * effect under the old session, and what another user did since must not be undone.
 */
const ONCE_ONLY: readonly CallName[] = ['sendToPeer', 'sendToChannel', 'writeChannelAttributes'];

export class Calls {
  /** Machine's own calls: before those of the application, also while that waits for a restore. */
  #urgent: PendingCall[] = [];
  /** Bound: client_queue_calls_max and client_queue_bytes_max; a call above is refused. */
  #queue: PendingCall[] = [];
  #queueBytes = 0;
  /** Sent and not answered, by cseq in ascending order. Bound: requests_in_flight_max. */
  readonly #open = new Map<number, PendingCall>();
  /** Sent in a session that is over and not repeatable: wait for their time to run out. */
  #unknown: PendingCall[] = [];
  #lastCseq = 0;

  /** Queues an application's call; false when the queue is full. */
  add(id: number, call: Call, now: number): boolean {
    const size = sizeOf(call);
    if (this.#queue.length >= CLIENT_QUEUE_CALLS_MAX) return false;
    if (this.#queueBytes + size > CLIENT_QUEUE_BYTES_MAX) return false;
    this.#queue.push(pending(id, call, 'application', now + CALL_TIMEOUT_MS, size));
    this.#queueBytes += size;
    return true;
  }

  /** Queues the logout behind the application's calls; it is never refused. */
  addLogout(): void {
    this.#queue.push(pending(0, { is: 'logout', value: {} }, 'logout', Infinity, 0));
  }

  /** Queues a call of the machine, ahead of the application's. */
  addOwn(purpose: Purpose, call: Call): void {
    this.#urgent.push(pending(0, call, purpose, Infinity, 0));
  }

  has(purpose: Purpose): boolean {
    const isSought = (held: PendingCall) => held.purpose === purpose;
    return this.#urgent.some(isSought) || [...this.#open.values()].some(isSought);
  }

  /** The next call to be sent, numbered; `undefined` when there is none or too many are open. */
  next(isRestoring: boolean): PendingCall | undefined {
    if (this.#open.size >= REQUESTS_IN_FLIGHT_MAX) return undefined;
    const held = this.#urgent.shift() ?? (isRestoring ? undefined : this.#shift());
    if (!held) return undefined;
    held.cseq = ++this.#lastCseq;
    this.#open.set(held.cseq, held);
    return held;
  }

  /** Takes the call that a reply belongs to. */
  answered(cseq: number): PendingCall | undefined {
    const held = this.#open.get(cseq);
    this.#open.delete(cseq);
    return held;
  }

  /** The session goes on; the server has received nothing above `cseq`. */
  resumed(cseq: number): void {
    const unheard = [...this.#open.values()].filter((held) => held.cseq > cseq);
    for (const held of unheard) this.#open.delete(held.cseq);
    // The server executes nothing from an older connection, so what it has not received may get
    // other numbers: a call whose time is over is left out rather than executed late.
    this.#requeue(unheard.filter((held) => held.id !== 0 || held.purpose !== 'application'));
    this.#lastCseq = cseq;
  }

  /**
   * The session is over: queues again what may be repeated, drops the machine's own calls but invitations.
   * Returns the leaves that had been sent: a new session is in no channel, so they are done.
   */
  sessionOver(): PendingCall[] {
    const open = [...this.#open.values()].filter((held) => held.id !== 0);
    this.#open.clear();
    this.#urgent = this.#urgent.filter(({ call }) => call.is === 'invite');
    this.#lastCseq = 0;
    const isLeave = (held: PendingCall) => held.call.is === 'leave';
    this.#unknown.push(...open.filter((held) => ONCE_ONLY.includes(held.call.is)));
    this.#requeue(open.filter((held) => !ONCE_ONLY.includes(held.call.is) && !isLeave(held)));
    return open.filter(isLeave);
  }

  /** Takes the application's calls of one kind that wait to be sent. */
  takeWaiting(name: CallName): PendingCall[] {
    const taken = this.#queue.filter((held) => held.call.is === name && held.purpose === 'application');
    this.#queue = this.#queue.filter((held) => !taken.includes(held));
    for (const held of taken) this.#queueBytes -= held.size;
    return taken;
  }

  /** Whether this is said in a call of the machine that waits to be sent. */
  isUnsent(value: unknown): boolean {
    return this.#urgent.some(({ call }) => call.value === value);
  }

  /** The token of the newest renewal that somebody waits for. */
  newestToken(): string | undefined {
    let token: string | undefined;
    for (const { call, id } of [...this.#open.values(), ...this.#queue]) {
      if (call.is === 'renewToken' && id !== 0) token = call.value.token;
    }
    return token;
  }

  /** Calls whose time is over. Those that were sent stay open, as the server may answer. */
  expired(now: number): PendingCall[] {
    const isOver = (held: PendingCall) => held.id !== 0 && held.deadline <= now;
    const over = [...this.#queue.filter(isOver), ...this.#unknown.filter(isOver)];
    if (over.length > 0) {
      this.#queue = this.#queue.filter((held) => !isOver(held));
      this.#unknown = this.#unknown.filter((held) => !isOver(held));
      this.#queueBytes = this.#queue.reduce((sum, held) => sum + held.size, 0);
    }
    for (const held of this.#open.values()) if (isOver(held)) over.push(held);
    return over.sort((one, other) => one.id - other.id);
  }

  /** When the next call's time is over. */
  deadline(): number {
    let next = Infinity;
    for (const held of [...this.#open.values(), ...this.#queue, ...this.#unknown]) {
      if (held.id !== 0) next = Math.min(next, held.deadline);
    }
    return next;
  }

  /** Takes everything; the application's ids in the order of the calls. */
  clear(): number[] {
    const all = [...this.#open.values(), ...this.#queue, ...this.#unknown];
    this.#open.clear();
    this.#urgent = [];
    this.#queue = [];
    this.#unknown = [];
    this.#queueBytes = 0;
    this.#lastCseq = 0;
    return all
      .map((held) => held.id)
      .filter((id) => id !== 0)
      .sort((one, other) => one - other);
  }

  #shift(): PendingCall | undefined {
    const held = this.#queue.shift();
    if (held) this.#queueBytes -= held.size;
    return held;
  }

  #requeue(calls: PendingCall[]): void {
    for (const held of calls) held.cseq = 0;
    const own = calls.filter((held) => held.purpose !== 'application' && held.purpose !== 'logout');
    const others = calls.filter((held) => !own.includes(held));
    this.#urgent.unshift(...own);
    this.#queue.unshift(...others);
    for (const held of others) this.#queueBytes += held.size;
  }
}

function pending(id: number, call: Call, purpose: Purpose, deadline: number, size: number): PendingCall {
  return { id, call, purpose, deadline, size, cseq: 0 };
}

function sizeOf(call: Call): number {
  return Request.encode({ call }).length;
}
