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
  /** What has rung here and is over, by id as text; the oldest first. Bound: invitations_incoming_max. */
  readonly #over = new Set<string>();

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
    if (is === 'remoteInvitationEnded') this.#remember(name);
    if (is !== 'incomingInvitation') return true;
    if (this.#over.has(name)) {
      // The server has lost what became of it.
      this.calls.addOwn('invitation', { is: 'refuseInvitation', value: { id: value.id, response: '' } });
      return false;
    }
    const isNew = !this.#open.has(name);
    if (isNew) this.#open.set(name, value);
    return isNew;
  }

  /** For a login: what an earlier session has sent, and what rings. */
  report(): Open[] {
    const isKnown = ({ id, sessionId }: Open) => id !== undefined || sessionId !== undefined;
    return [...this.#open.values()].filter(isKnown).slice(0, INVITATIONS_REPORTED_MAX);
  }

  /**
   * A session is lost: what it has sent is known by it from now on; what the server may not have had is told again.
   * `unsent`: what has never been on its way to the server.
   */
  sessionOver(session: Uint8Array, unsent: readonly Call[]): void {
    const invites = new Map(unsent.map((call) => [nameOf(call.value as Open), call]));
    for (const [name, open] of this.#open) {
      const invite = invites.get(name);
      if (!invite) open.sessionId ??= session;
      if (invite && !open.decision) this.calls.addOwn('invitation', invite);
      // One that was cancelled before anybody heard of it is not sent.
      else if (invite) this.#open.delete(name);
      else if (open.decision) this.calls.addOwn('invitation', open.decision);
    }
  }

  /** The login is over, and its invitations with it. */
  clear(): void {
    this.#open.clear();
    // The next login lets ring what rings on.
    this.#over.clear();
  }

  #remember(name: string): void {
    const [oldest] = this.#over;
    if (oldest !== undefined && this.#over.size === INVITATIONS_INCOMING_MAX) this.#over.delete(oldest);
    this.#over.add(name);
  }
}

function nameOf({ id, number }: Open): string {
  return `${id ?? number}`;
}
