/**
 * The invitations that have not ended, as far as the next session has to know of them: its login lists
 * them, and the server says where each stands. Their objects are the application's side's.
 */
import { INVITATIONS_INCOMING_MAX, INVITATIONS_REPORTED_MAX } from '../generated/limits.js';
import type { ServerEvent } from '../wire/messages.js';
import type { Calls } from './calls.js';
import type { InvitationCall } from './types.js';

/** The session that has sent an invitation; `undefined` = the present one, or none yet. */
type Sender = Uint8Array | undefined;

interface Ringing {
  readonly id: Uint8Array;
  readonly callerId: string;
  /** Accepted, with this response. */
  accepting: string | undefined;
}

export class OpenInvitations {
  /** By number. Bound: invitations_open_max, kept by the server. */
  readonly #sent = new Map<number, Sender>();
  /** Cancelled, and the server has not answered that. Bound: as `#sent`. */
  readonly #canceled = new Map<number, Sender>();
  /** By id as text. Bound: invitations_incoming_max, kept by the server. */
  readonly #ringing = new Map<string, Ringing>();
  /** Those that have ended here do not ring again; with the response of a refusal. Bound: invitations_incoming_max. */
  readonly #over = new Map<string, string>();

  constructor(private readonly calls: Calls) {}

  /** Takes a word of the application to the server. */
  tell(call: InvitationCall): void {
    switch (call.is) {
      case 'invite':
        this.#sent.set(call.value.number ?? 0, undefined);
        break;
      case 'cancelInvitation': {
        const number = call.value.number ?? 0;
        this.#canceled.set(number, this.#sent.get(number));
        this.#sent.delete(number);
        break;
      }
      case 'acceptInvitation': {
        const ringing = this.#ringing.get(keyOf(call.value.id));
        if (ringing) ringing.accepting = call.value.response ?? '';
        break;
      }
      case 'refuseInvitation':
        this.#end(keyOf(call.value.id), call.value.response);
        break;
      case 'confirmAccept':
        break;
    }
    this.calls.addOwn('invitation', call);
  }

  /** The server has answered a word. */
  answered(call: { readonly is: string; readonly value: unknown }): void {
    if (call.is === 'cancelInvitation') this.#canceled.delete((call.value as { number?: number }).number ?? 0);
  }

  /** The server has refused an invitation. */
  refused(number: number): void {
    this.#sent.delete(number);
  }

  /** Takes a word of the server; false when the application has heard of that end already. */
  heard(event: ServerEvent): boolean {
    switch (event.is) {
      case 'localInvitationEnded':
        this.#sent.delete(event.value.number);
        return true;
      case 'remoteInvitationEnded':
        this.#end(keyOf(event.value.id), '');
        return true;
      case 'incomingInvitation': {
        const { id, callerId } = event.value;
        const key = keyOf(id);
        const response = this.#over.get(key);
        if (response !== undefined) {
          // The server has lost what became of it.
          this.calls.addOwn('invitation', { is: 'refuseInvitation', value: { id, response } });
          return false;
        }
        if (!this.#ringing.has(key)) this.#ringing.set(key, { id, callerId, accepting: undefined });
        return true;
      }
      default:
        return true;
    }
  }

  /** For a login. */
  report(): { invitations: { sessionId: Uint8Array; number: number }[]; ringing: { id: Uint8Array; callerId: string }[] } {
    const invitations = [];
    for (const [number, sessionId] of [...this.#sent, ...this.#canceled]) {
      if (sessionId) invitations.push({ sessionId, number });
    }
    const ringing = [...this.#ringing.values()].map(({ id, callerId }) => ({ id, callerId }));
    return { invitations, ringing: ringing.slice(0, INVITATIONS_REPORTED_MAX) };
  }

  /**
   * The session is lost. What it has sent is known by it from now on; what the server may not have had is told again
   * in the next one. Returns the ids of ringing ones that are too many to be listed.
   */
  sessionOver(session: Uint8Array, unsent: readonly InvitationCall[]): Uint8Array[] {
    const invites = unsent.filter((call) => call.is === 'invite');
    const isUnsent = (number: number) => invites.some((call) => call.value.number === number);
    for (const numbers of [this.#sent, this.#canceled]) {
      for (const [number, known] of numbers) if (!isUnsent(number)) numbers.set(number, known ?? session);
    }
    for (const call of invites) {
      const number = call.value.number ?? 0;
      // One that was cancelled before anybody heard of it is not sent.
      if (this.#sent.has(number)) this.calls.addOwn('invitation', call);
      this.#canceled.delete(number);
    }
    for (const number of this.#canceled.keys()) {
      this.calls.addOwn('invitation', { is: 'cancelInvitation', value: { number } });
    }
    const excess = [...this.#ringing.entries()].slice(INVITATIONS_REPORTED_MAX);
    for (const [key] of excess) this.#ringing.delete(key);
    for (const { id, accepting: response } of this.#ringing.values()) {
      if (response !== undefined) this.calls.addOwn('invitation', { is: 'acceptInvitation', value: { id, response } });
    }
    return excess.map(([, { id }]) => id);
  }

  /** The login is over, and its invitations with it. */
  clear(): void {
    this.#sent.clear();
    this.#canceled.clear();
    this.#ringing.clear();
    this.#over.clear();
  }

  #end(key: string, response = ''): void {
    if (!this.#ringing.delete(key)) return;
    this.#over.set(key, response);
    for (const oldest of this.#over.keys()) {
      if (this.#over.size <= INVITATIONS_INCOMING_MAX) break;
      this.#over.delete(oldest);
    }
  }
}

function keyOf(id: Uint8Array | undefined): string {
  return (id ?? new Uint8Array()).join(' ');
}
