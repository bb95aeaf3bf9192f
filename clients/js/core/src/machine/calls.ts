/** Calls on their way: waiting for the link, or sent and without a reply. */
import {
  CALL_TIMEOUT_MS,
  CLIENT_QUEUE_BYTES_MAX,
  CLIENT_QUEUE_CALLS_MAX,
  REQUESTS_IN_FLIGHT_MAX,
} from '../generated/limits.js';
import { Request, type Call, type CallName } from '../wire/messages.js';

/** Who makes a call, and what for. */
export type Purpose =
  | 'application'
  /**
   * The application's, about its own standing: made when the link is back, though nobody waits for
   * it now.
   */
  | 'kept'
  /** A later call has replaced it: it is not repeated, and its answer changes nothing. */
  | 'overtaken'
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
  purpose: Purpose;
  /** When the application is told that it took too long. */
  readonly deadline: number;
  /** Bytes of the encoded call. */
  readonly size: number;
  /** Number in the session; 0 before it is sent. */
  cseq: number;
  /** It was handed to a connection, and no server has said that it did not arrive. */
  wasSent: boolean;
}

/**
 * The application's other calls change nothing when they are executed twice, or their effect
 * belongs to the session: they are sent again in a new session. A message or a channel attribute
 * write may have taken effect in the old session, and must not undo what another user has done
 * since.
 */
const ONCE_ONLY: readonly CallName[] = ['sendToPeer', 'sendToChannel', 'writeChannelAttributes'];
/**
 * Calls by which an application gives up part of its own standing: made when the link is back,
 * however late.
 */
const KEPT: readonly CallName[] = ['leave', 'subscribePresence', 'unsubscribePresence'];

export class Calls {
  /**
   * The machine's own calls: sent before the application's, and also while those wait for a
   * restore.
   */
  #urgent: PendingCall[] = [];
  /** Bound: client_queue_calls_max and client_queue_bytes_max; further calls are refused. */
  #queue: PendingCall[] = [];
  #queueBytes = 0;
  /** Sent and not answered, by cseq in ascending order. Bound: requests_in_flight_max. */
  readonly #open = new Map<number, PendingCall>();
  /** Sent in a session that has ended, and not repeatable: they wait until their time runs out. */
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
    held.wasSent = true;
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
    // other numbers: a call whose time is up is left out rather than executed late.
    for (const held of unheard) held.wasSent = false;
    const isDropped = ({ id, purpose }: PendingCall) =>
      purpose === 'overtaken' || (id === 0 && purpose === 'application');
    this.#requeue(unheard.filter((held) => !isDropped(held)));
    this.#lastCseq = cseq;
  }

  /**
   * The session has ended: queues what may be repeated, drops the machine's own calls except
   * invitations. Returns the leaves: a new session is in no channel, so they are done.
   */
  sessionOver(): PendingCall[] {
    const open = [...this.#open.values()].filter(
      (held) => held.id !== 0 || held.purpose === 'kept',
    );
    this.#open.clear();
    this.#urgent = this.#urgent.filter(({ call }) => call.is === 'invite');
    this.#lastCseq = 0;
    const isLeave = (held: PendingCall) => held.call.is === 'leave' && held.purpose !== 'undoJoin';
    this.#unknown.push(...open.filter((held) => ONCE_ONLY.includes(held.call.is)));
    this.#requeue(open.filter((held) => !ONCE_ONLY.includes(held.call.is) && !isLeave(held)));
    return [...open.filter(isLeave), ...this.takeWaiting('leave')];
  }

  /** Takes the application's calls of one kind that wait to be sent. */
  takeWaiting(name: CallName): PendingCall[] {
    const taken = this.#queue.filter((held) => held.call.is === name);
    this.#drop(taken);
    return taken;
  }

  /** Attribute writes that the server has probably received. */
  openWrites(): Extract<Call, { is: 'writeUserAttributes' }>[] {
    const calls = [...this.#open.values()].map(({ call }) => call);
    return calls.filter((call) => call.is === 'writeUserAttributes');
  }

  /** Whether a call of the machine with this content waits to be sent. */
  isUnsent(value: unknown): boolean {
    return this.#urgent.some(({ call }) => call.value === value);
  }

  /**
   * A leave overtakes a join of the application: takes the one that waits, or marks the one that
   * was sent.
   */
  leaveJoin(channel: string | undefined): PendingCall | undefined {
    const isIt = ({ call, purpose }: PendingCall) =>
      call.is === 'join' && call.value.channel === channel && purpose === 'application';
    const waiting = this.#queue.find(isIt);
    if (waiting) this.#drop([waiting]);
    const held = waiting ?? [...this.#open.values()].find(isIt);
    if (held) held.purpose = 'overtaken';
    return held;
  }

  /** Calls whose time is up. Those that were sent, and those that are kept, stay open. */
  expired(now: number): PendingCall[] {
    const isOver = (held: PendingCall) => held.id !== 0 && held.deadline <= now;
    const waiting = this.#queue.filter(isOver);
    const open = [...this.#open.values()].filter(isOver);
    const over = [...waiting, ...this.#unknown.filter(isOver), ...open];
    this.#unknown = this.#unknown.filter((held) => !isOver(held));
    for (const held of [...waiting, ...open])
      if (KEPT.includes(held.call.is)) held.purpose = 'kept';
    this.#drop(waiting.filter((held) => held.purpose !== 'kept'));
    return over.sort((one, other) => one.id - other.id);
  }

  /** When the next call's time is up. */
  deadline(): number {
    let next = Infinity;
    for (const held of [...this.#open.values(), ...this.#queue, ...this.#unknown]) {
      if (held.id !== 0) next = Math.min(next, held.deadline);
    }
    return next;
  }

  /** Takes everything. Returns the calls that somebody waits for, in their order. */
  clear(): PendingCall[] {
    const all = [...this.#open.values(), ...this.#queue, ...this.#unknown];
    this.#open.clear();
    this.#urgent = [];
    this.#queue = [];
    this.#unknown = [];
    this.#queueBytes = 0;
    this.#lastCseq = 0;
    return all.filter((held) => held.id !== 0).sort((one, other) => one.id - other.id);
  }

  #drop(calls: PendingCall[]): void {
    this.#queue = this.#queue.filter((held) => !calls.includes(held));
    for (const held of calls) this.#queueBytes -= held.size;
  }

  #shift(): PendingCall | undefined {
    const held = this.#queue.shift();
    if (held) this.#queueBytes -= held.size;
    return held;
  }

  #requeue(calls: PendingCall[]): void {
    for (const held of calls) held.cseq = 0;
    const isOther = ({ purpose }: PendingCall) =>
      ['application', 'kept', 'logout'].includes(purpose);
    const own = calls.filter((held) => !isOther(held));
    const others = calls.filter(isOther);
    this.#urgent.unshift(...own);
    this.#queue.unshift(...others);
    for (const held of others) this.#queueBytes += held.size;
  }
}

function pending(
  id: number,
  call: Call,
  purpose: Purpose,
  deadline: number,
  size: number,
): PendingCall {
  return { id, call, purpose, deadline, size, cseq: 0, wasSent: false };
}

function sizeOf(call: Call): number {
  return Request.encode({ call }).length;
}
