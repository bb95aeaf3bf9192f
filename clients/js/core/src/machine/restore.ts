/**
 * Gives a new session what the former one had: attributes first, so that whoever sees the user join
 * can read them; then channels and watched users; only then the application's waiting calls.
 */
import type { Call } from '../wire/messages.js';
import type { Calls, Purpose } from './calls.js';
import type { Replica } from './replica.js';

export class Restore {
  #step: 'none' | 'attributes' | 'channels' = 'none';
  /** Calls of the step without a reply. */
  #waiting = 0;
  /** Calls that the server asked to be made later. Bound: one for attributes, one for presence. */
  #later: { readonly at: number; readonly purpose: Purpose; readonly call: Call }[] = [];

  constructor(
    private readonly calls: Calls,
    private readonly replica: Replica,
  ) {}

  /** Whether the application's calls have to wait. */
  get isRunning(): boolean {
    return this.#step !== 'none';
  }

  begin(): void {
    this.#later = [];
    this.#step = 'attributes';
    this.#waiting = this.attributes() ? 1 : 0;
    if (this.#waiting === 0) this.#joinChannels();
  }

  stop(): void {
    this.#step = 'none';
    this.#waiting = 0;
    this.#later = [];
  }

  /** Writes the attributes again; false when there are none. */
  attributes(): boolean {
    const call = this.replica.restoreAttributes();
    if (call) this.calls.addOwn('restoreAttributes', call);
    return call !== undefined;
  }

  /** A restoring call has its reply; `retryAt` if it has to be made again. */
  answered(purpose: Purpose, call: Call, retryAt: number | undefined): void {
    if (retryAt !== undefined && purpose !== 'restoreChannel') {
      this.#later = this.#later.filter((later) => later.purpose !== purpose);
      this.#later.push({ at: retryAt, purpose, call });
    }
    if (this.#waiting === 0) return;
    this.#waiting--;
    if (this.#waiting > 0) return;
    if (this.#step === 'attributes') this.#joinChannels();
    else this.#step = 'none';
  }

  /** Queues what is due. */
  pump(now: number): void {
    const due = this.#later.filter((later) => later.at <= now);
    this.#later = this.#later.filter((later) => later.at > now);
    for (const { purpose, call } of due) this.calls.addOwn(purpose, call);
    if (this.#step === 'none') {
      for (const channel of this.replica.dueJoins(now)) this.#join(channel);
    }
    if (this.calls.has('members')) return;
    const channel = this.replica.dueFetch(now);
    if (channel !== undefined)
      this.calls.addOwn('members', { is: 'getMembers', value: { channel } });
  }

  deadline(): number {
    return Math.min(
      ...this.#later.map((later) => later.at),
      this.#step === 'none' ? this.replica.joinDeadline() : Infinity,
      this.calls.has('members') ? Infinity : this.replica.fetchDeadline(),
    );
  }

  #joinChannels(): void {
    this.#step = 'channels';
    const channels = this.replica.channelsToJoin();
    for (const channel of channels) this.#join(channel);
    const presence = this.replica.restorePresence();
    if (presence) this.calls.addOwn('restorePresence', presence);
    this.#waiting = channels.length + (presence ? 1 : 0);
    if (this.#waiting === 0) this.#step = 'none';
  }

  #join(channel: string): void {
    this.calls.addOwn('restoreChannel', { is: 'join', value: { channel } });
  }
}
