/** The machine's state, which its parts share, and what more than one of them does with it. */
import type { GapCause } from '../wire/messages.js';
import { Calls, type PendingCall } from './calls.js';
import { Confirmation } from './confirm.js';
import { Identity } from './identity.js';
import { OpenInvitations } from './invitations.js';
import { SeenMessages } from './inbox.js';
import { Link } from './link.js';
import { Outputs } from './outputs.js';
import { Replica } from './replica.js';
import { Restore } from './restore.js';
import { type ConnectionState, STATES, type Trigger, takesCalls } from './states.js';
import type { RivalWord } from './types.js';

/** What a machine is made with. */
export interface MachineSettings {
  readonly appId: string;
  /** Name and version of the library, for the server's log. At most client_name_bytes_max. */
  readonly client: string;
  /** 0 ≤ value < 1. */
  readonly random: () => number;
}

export const CLOSE_NORMAL = 1000;

export class Core {
  state: ConnectionState = 'DISCONNECTED';
  login: { readonly id: number; readonly deadline: number } | undefined;
  logout: { readonly ids: number[]; readonly deadline: number } | undefined;
  /** Why the last session has ended, until a new one begins. */
  overCause: GapCause | undefined;
  protocolErrors = 0;
  /**
   * The server's hint when to come back, given on the link that is live; 0 = none. Milliseconds.
   */
  hintMs = 0;
  hasToldExpiry = false;
  /** What a later login of the same user in this program does to this one. */
  rival: RivalWord = 'go';
  readonly identity: Identity;
  readonly link: Link;
  readonly confirmation = new Confirmation();
  readonly calls = new Calls();
  readonly invitations = new OpenInvitations(this.calls);
  readonly seen = new SeenMessages();
  readonly replica = new Replica(() => this.identity.userId);
  readonly restore = new Restore(this.calls, this.replica);
  readonly out = new Outputs();
  /** Time of the input under way. */
  now = 0;

  constructor(settings: MachineSettings) {
    this.identity = new Identity(settings.appId, settings.client);
    this.link = new Link(settings.random);
  }

  /** Whether calls are taken now. */
  get takesCalls(): boolean {
    return takesCalls(this.state) && !this.logout;
  }

  closeLink(code: number): void {
    const { phase, connection } = this.link;
    if (phase === 'down' || phase === 'waiting') return;
    this.out.push({ is: 'close', connection, code });
  }

  /** Tries again at once, unless a later login is on its way. */
  retryNow(): void {
    if (this.rival === 'go') this.link.retryNow(this.now);
  }

  /** Drops connection, session and calls; returns the calls that wait for an answer. */
  forget(): PendingCall[] {
    this.closeLink(CLOSE_NORMAL);
    this.link.reset();
    this.identity.endSession();
    this.overCause = undefined;
    this.rival = 'go';
    this.out.dropMessages();
    this.confirmation.beginSession();
    this.restore.stop();
    this.replica.clear();
    this.invitations.clear();
    return this.calls.clear();
  }

  move(trigger: Trigger): void {
    const step = STATES[this.state][trigger];
    if (!step) return;
    const [state, reason] = step;
    this.state = state;
    this.out.push({ is: 'state', state, reason });
  }

  /** Sends what may be sent now. */
  pump(): void {
    if (this.link.phase !== 'live') return;
    this.restore.pump(this.now);
    for (let held = this.#next(); held; held = this.#next()) {
      if (held.call.is === 'join') this.replica.joining(held.call.value.channel ?? '');
      this.out.message({ is: 'request', value: { cseq: held.cseq, call: held.call } });
    }
    this.out.flush(this.link.connection, this.confirmation, this.now);
  }

  #next(): PendingCall | undefined {
    return this.calls.next(this.restore.isRunning);
  }
}
