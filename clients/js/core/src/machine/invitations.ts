/**
 * The invitations that have not ended, as far as the next session has to know of them: its login lists
 * them, and the server says where each stands. Their objects are the application's side's.
 */
import { INVITATIONS_INCOMING_MAX, INVITATIONS_REPORTED_MAX } from '../generated/limits.js';
import type { Call, ServerEvent } from '../wire/messages.js';
import type { Calls } from './calls.js';
import type { InvitationCall } from './types.js';

interface Open {
  /** Of one that was sent. */
  readonly number?: number;
  /** The session that has sent it; `undefined` = the present one, or none yet. */
  sessionId?: Uint8Array;
  /** Of one that has come. */
  readonly id?: Uint8Array;
  readonly callerId?: string;
  /** What the application has decided: told again in a new session. */
  decision?: InvitationCall;
}

export class OpenInvitations {
  /**
   * By number or id as text, until it has ended or the server has its cancellation. Bound: invitations_open_max and
   * invitations_incoming_max, kept by the server.
   */
  readonly #open = new Map<string, Open>();
  /** What has rung here and is over, by id as text; the newest first. Bound: invitations_incoming_max. */
  #over: string[] = [];

  constructor(private readonly calls: Calls) {}

  /** Takes a word of the application to the server. */
  tell(call: InvitationCall): void {
    this.calls.addOwn('invitation', call);
    const name = nameOf(call.value);
    const open = this.#open.get(name);
    if (!open) this.#open.set(name, call.value);
    else if (call.is !== 'confirmAccept') open.decision = call;
  }

  /** The server has answered a word; of a cancellation it says nothing more. */
  answered({ is, value }: Call): void {
    if (is === 'cancelInvitation') this.#open.delete(nameOf(value));
  }

  /** Takes a word of the server; false when it is no news for the application. */
  heard({ is, value }: ServerEvent): boolean {
    const name = nameOf(value as Open);
    if (is.endsWith('Ended')) this.#open.delete(name);
    if (is === 'remoteInvitationEnded') this.#over = [name, ...this.#over].slice(0, INVITATIONS_INCOMING_MAX);
    if (is !== 'incomingInvitation') return true;
    const isNew = !this.#open.has(name) && !this.#over.includes(name);
    if (isNew) this.#open.set(name, value);
    return isNew;
  }

  /** For a login: what an earlier session has sent, and what rings. */
  report(): Open[] {
    return [...this.#open.values()].filter((open) => open.id ?? open.sessionId).slice(0, INVITATIONS_REPORTED_MAX);
  }

  /** A session is lost: what it has sent is known by it from now on; what the server may not have had is told again. */
  sessionOver(session: Uint8Array): void {
    for (const open of this.#open.values()) {
      if (!this.calls.isUnsent(open)) open.sessionId ??= session;
      if (open.decision) this.calls.addOwn('invitation', open.decision);
    }
  }

  /** The login is over, and its invitations with it. */
  clear(): void {
    this.#open.clear();
    // The next login lets ring what rings on.
    this.#over = [];
  }
}

function nameOf({ id, number }: Open): string {
  return `${id ?? number}`;
}
