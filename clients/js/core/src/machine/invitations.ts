/**
 * The invitations that have not ended, as far as the next session has to know them: its login lists
 * them, and the server says where each stands. The objects that an application holds belong to the
 * SDK.
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
  /** Of one that was received. */
  readonly id?: Uint8Array;
  readonly callerId?: string;
  /** The application's decision: told again in a new session. */
  decision?: InvitationCall;
}

export class OpenInvitations {
  /**
   * By number or id as text, until it has ended or the server has its cancellation. Bound:
   * invitations_open_max and invitations_incoming_max, kept by the server.
   */
  readonly #open = new Map<string, Open>();
  /**
   * Received invitations that have ended, by id as text, newest first. Bound:
   * invitations_incoming_max.
   */
  #over: string[] = [];

  constructor(private readonly calls: Calls) {}

  /** Tells the server what the application does with an invitation. */
  tell(call: InvitationCall): void {
    this.calls.addOwn('invitation', call);
    const name = nameOf(call.value);
    const open = this.#open.get(name);
    if (!open) this.#open.set(name, call.value);
    else if (call.is !== 'confirmAccept') open.decision = call;
  }

  /** The server has answered; about a cancelled invitation it says nothing more. */
  answered({ is, value }: Call): void {
    if (is === 'cancelInvitation') this.#open.delete(nameOf(value));
  }

  /** Takes what the server says; false if it is no news for the application. */
  heard({ is, value }: ServerEvent): boolean {
    const name = nameOf(value as Open);
    if (is.endsWith('Ended')) this.#open.delete(name);
    if (is === 'remoteInvitationEnded')
      this.#over = [name, ...this.#over].slice(0, INVITATIONS_INCOMING_MAX);
    if (is !== 'incomingInvitation') return true;
    const isNew = !this.#open.has(name) && !this.#over.includes(name);
    if (isNew) this.#open.set(name, value);
    return isNew;
  }

  /** For a login: invitations that an earlier session has sent, and those that ring. */
  report(): Open[] {
    return [...this.#open.values()]
      .filter((open) => open.id ?? open.sessionId)
      .slice(0, INVITATIONS_REPORTED_MAX);
  }

  /**
   * A session is lost: invitations it has sent are reported under its id; whatever may be lost is
   * told again.
   */
  sessionOver(session: Uint8Array): void {
    for (const open of this.#open.values()) {
      if (!this.calls.isUnsent(open)) open.sessionId ??= session;
      if (open.decision) this.calls.addOwn('invitation', open.decision);
    }
  }

  /** The login has ended, and its invitations with it. */
  clear(): void {
    this.#open.clear();
    // Whatever still rings will ring again in the next login.
    this.#over = [];
  }
}

function nameOf({ id, number }: Open): string {
  return `${id ?? number}`;
}
