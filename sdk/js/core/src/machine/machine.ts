/**
 * The client's connection machine: state, input and time in; outputs out. No clock, no timer, no
 * socket, no random source of its own. `handle` takes everything; `deadline` says when it wants to
 * be called with `{ is: 'timer' }`.
 *
 * Reading order: `types.ts` (inputs, outputs), `states.ts` (tables), this file, then the parts that
 * it is made of: `identity.ts`, `link.ts`, `confirm.ts`, `calls.ts`, `inbox.ts`, `replica.ts`,
 * `restore.ts`, `replies.ts`.
 */
import {
  CLOSE_LOGIN_REFUSED,
  CLOSE_PROTOCOL_ERROR,
  OUTCOME_INVALID_TOKEN,
  OUTCOME_UNKNOWN_SESSION,
  OUTCOME_WINDOW_OVER,
} from '../generated/codes.js';
import { CALL_TIMEOUT_MS, LOGIN_TIMEOUT_MS, TOKEN_BYTES_MAX } from '../generated/limits.js';
import { encodeUtf8 } from '../wire/codec.js';
import { type Received, decodeServerFrame } from '../wire/frames.js';
import type { Failure, GapCause, Resumed, ServerEvent, Welcome } from '../wire/messages.js';
import { Calls, type PendingCall } from './calls.js';
import { Confirmation } from './confirm.js';
import { eventOf } from './events.js';
import { Identity } from './identity.js';
import { SeenMessages } from './inbox.js';
import { Link, type RetryHint } from './link.js';
import { Outputs, givenUp, notLoggedIn, timedOut } from './outputs.js';
import { Replica } from './replica.js';
import { applyReply } from './replies.js';
import { Restore } from './restore.js';
import {
  type ConnectionState,
  type Trigger,
  STATES,
  closeRule,
  refusal,
  takesCalls,
} from './states.js';
import type { CallFailure, Input, Output } from './types.js';

/** Fresh sessions in a row after protocol errors; then the client gives up. Source: docs/protocol.md 2.5. */
const PROTOCOL_ERRORS_MAX = 3;
/** How long a logout waits for the server before the client leaves without its answer. */
const LOGOUT_WAIT_MS = 5_000;
const CLOSE_NORMAL = 1000;

/** What a machine is made with. */
export interface MachineSettings {
  readonly appId: string;
  /** Name and version of the library, for the server's log. At most client_name_bytes_max. */
  readonly client: string;
  /** 0 ≤ value < 1. */
  readonly random: () => number;
}

export class Machine {
  #state: ConnectionState = 'DISCONNECTED';
  #login: { readonly id: number; readonly deadline: number } | undefined;
  #logout: { readonly ids: number[]; readonly deadline: number } | undefined;
  /** Why the former session is over, until a new one has begun. */
  #overCause: GapCause | undefined;
  #protocolErrors = 0;
  #hasToldExpiry = false;
  readonly #identity: Identity;
  readonly #link: Link;
  readonly #confirmation = new Confirmation();
  readonly #calls = new Calls();
  readonly #seen = new SeenMessages();
  readonly #replica = new Replica(() => this.#identity.userId);
  readonly #restore = new Restore(this.#calls, this.#replica);
  readonly #out = new Outputs();
  #now = 0;

  constructor(settings: MachineSettings) {
    this.#identity = new Identity(settings.appId, settings.client);
    this.#link = new Link(settings.random);
  }

  get state(): ConnectionState {
    return this.#state;
  }

  get userId(): string {
    return this.#identity.userId;
  }

  /** The token that the server has accepted last. */
  get token(): string {
    return this.#identity.token;
  }

  /** Whether calls are taken now. */
  get takesCalls(): boolean {
    return takesCalls(this.#state) && !this.#logout;
  }

  get connection(): number {
    return this.#link.connection;
  }

  /** Takes an input at `now` (monotonic milliseconds) and returns what is to be done, in order. */
  handle(input: Input, now: number): Output[] {
    this.#now = now;
    switch (input.is) {
      case 'login':
        this.#handleLogin(input);
        break;
      case 'logout':
        this.#handleLogout(input.id);
        break;
      case 'logoutSync':
        this.#handleLogoutSync();
        break;
      case 'call':
        this.#handleCall(input);
        break;
      case 'invitation':
        if (this.takesCalls) this.#calls.addOwn('invitation', input.call);
        break;
      case 'opened':
        if (input.connection === this.#link.connection && this.#link.phase === 'opening') this.#greet();
        break;
      case 'received':
        if (input.connection === this.#link.connection) this.#handleFrame(input.bytes);
        break;
      case 'closed':
        if (input.connection === this.#link.connection) this.#handleClosed(input.code, input.reason);
        break;
      case 'timer':
        this.#handleTimer();
        break;
      case 'woken':
        this.#handleWoken();
        break;
    }
    this.#pump();
    return this.#out.take();
  }

  /** When `handle({ is: 'timer' })` is wanted; Infinity = not. */
  deadline(): number {
    const link = this.#link;
    const isLive = link.phase === 'live';
    return Math.min(
      this.#login?.deadline ?? Infinity,
      this.#logout?.deadline ?? Infinity,
      link.deadline(),
      this.#state === 'CONNECTED' ? link.quietUntil : Infinity,
      this.#calls.deadline(),
      this.#replica.missingDeadline(),
      isLive ? this.#restore.deadline() : Infinity,
      isLive ? this.#confirmation.deadline() : Infinity,
    );
  }

  // ------------------------------------------------------------------ the application's inputs

  #handleLogin({ id, userId, token }: Extract<Input, { is: 'login' }>): void {
    if (this.#state !== 'DISCONNECTED') {
      this.#out.fail(id, givenUp(`the client is ${this.#state}`));
      return;
    }
    if (this.#identity.beginLogin(userId, token)) this.#seen.clear();
    this.#login = { id, deadline: this.#now + LOGIN_TIMEOUT_MS };
    this.#protocolErrors = 0;
    this.#hasToldExpiry = false;
    this.#link.reset();
    this.#move('login');
    const length = encodeUtf8(token).length;
    if (length > TOKEN_BYTES_MAX) {
      const text = `the token is ${length} bytes long, at most ${TOKEN_BYTES_MAX} are possible`;
      this.#endLogin('refused', { outcome: OUTCOME_INVALID_TOKEN, text, retryAfterMs: 0 });
      return;
    }
    this.#attempt();
  }

  #handleLogout(id: number): void {
    if (this.#logout) {
      this.#logout.ids.push(id);
      return;
    }
    this.#logout = { ids: [id], deadline: this.#now + LOGOUT_WAIT_MS };
    if (this.#link.phase === 'live') this.#calls.addLogout();
    else this.#finishLogout();
  }

  #handleLogoutSync(): void {
    if (this.#link.phase === 'live') {
      this.#calls.addLogout();
      this.#pump();
    }
    this.#finishLogout();
  }

  #handleCall({ id, call }: Extract<Input, { is: 'call' }>): void {
    if (!this.takesCalls) {
      this.#out.fail(id, notLoggedIn(`the client is ${this.#state}`));
    } else if (!this.#calls.add(id, call, this.#now)) {
      this.#out.fail(id, timedOut('too many calls wait for the link already'));
    } else if (call.is === 'renewToken') {
      this.#hasToldExpiry = false;
      this.#link.retryNow(this.#now);
    }
  }

  #handleWoken(): void {
    this.#link.retryNow(this.#now);
    this.#handleTimer();
    if (this.#link.phase !== 'live' || !this.#link.startProbe(this.#now)) return;
    this.#out.message({ is: 'ping', value: {} });
  }

  // ------------------------------------------------------------------ time

  #handleTimer(): void {
    const now = this.#now;
    const link = this.#link;
    if (this.#login && this.#login.deadline <= now) {
      const tries = link.attempts + (link.phase === 'waiting' ? 0 : 1);
      const end = link.lastEnd === '' ? '' : `; the last attempt ended with: ${link.lastEnd}`;
      this.#endLogin(
        'timedOut',
        timedOut(`no answer to the login within ${LOGIN_TIMEOUT_MS} ms and ${tries} attempts${end}`),
      );
    }
    if (this.#logout && this.#logout.deadline <= now) this.#finishLogout();
    if (link.isAttemptOver(now)) this.#lose(`no answer while ${link.phase}`, {});
    if (link.isSilent(now)) this.#lose('the server has fallen silent', {}, true);
    if (this.#state === 'CONNECTED' && link.quietUntil <= now) this.#move('interrupted');
    if (link.isRetryDue(now)) this.#attempt();
    for (const held of this.#calls.expired(now)) {
      const since = link.lostAt < Infinity ? `the link has been down for ${now - link.lostAt} ms` : 'the link is up';
      this.#out.fail(held.id, timedOut(`no answer within ${CALL_TIMEOUT_MS} ms; ${since}`));
      held.id = 0;
    }
    for (const event of this.#replica.expireMissing(now)) this.#out.emit(event);
  }

  // ------------------------------------------------------------------ the connection

  #attempt(): void {
    const connection = this.#link.attempt(this.#now, this.#login !== undefined);
    this.#out.push({ is: 'open', connection });
  }

  /** The connection is open, or a refused resume allows a login on it. */
  #greet(): void {
    this.#link.greet(this.#now, this.#login !== undefined);
    const greeting = this.#identity.greeting(this.#calls.newestToken(), this.#confirmation.sseq);
    this.#out.greeting(this.#link.connection, greeting);
    this.#confirmation.said();
  }

  #handleClosed(code: number, reason: string): void {
    const text = `close code ${code}${reason === '' ? '' : `, ${reason}`}`;
    if (this.#logout) {
      this.#finishLogout();
      return;
    }
    const rule = closeRule(code);
    if (this.#login) {
      if (rule.outcome !== undefined || code === CLOSE_LOGIN_REFUSED) {
        this.#endLogin('refused', { outcome: rule.outcome ?? 0, text, retryAfterMs: 0 });
      } else {
        this.#lose(text, { waitMs: rule.waitMs });
      }
      return;
    }
    switch (rule.then) {
      case 'resumeAtOnce':
        this.#lose(text, { isAtOnce: true });
        break;
      case 'resume':
        this.#lose(text, { waitMs: rule.waitMs });
        break;
      case 'newSession':
        this.#beginAnew(text, rule.waitMs);
        break;
      case 'tokenExpired':
        this.#handleTokenExpired(text);
        break;
      case 'banned':
      case 'remoteLogin':
        this.#abort(rule.then, text);
        break;
      case 'loggedOut':
        this.#finishLogout();
        break;
    }
  }

  #lose(text: string, hint: RetryHint, isSilent = false): void {
    this.#link.lastEnd = text;
    this.#out.log('info', `connection lost: ${text}`);
    this.#closeLink(CLOSE_NORMAL);
    if (this.#logout) {
      this.#finishLogout();
      return;
    }
    if (this.#link.hasBeenGood(this.#now)) this.#protocolErrors = 0;
    this.#link.lose(this.#now, hint, isSilent);
  }

  /** The session cannot go on because one side misunderstands the other. */
  #beginAnew(text: string, waitMs: number): void {
    this.#lose(text, { waitMs });
    if (this.#identity.hasSession) this.#endSession('epoch_changed');
    this.#protocolErrors++;
    if (this.#protocolErrors > PROTOCOL_ERRORS_MAX) {
      this.#out.log('warn', `gave up after ${PROTOCOL_ERRORS_MAX} fresh sessions (${text}); log out, then in again`);
      this.#link.stop();
    } else {
      this.#out.log('warn', `a new session is needed: ${text}`);
    }
  }

  #handleTokenExpired(text: string): void {
    if (this.#state === 'CONNECTED' && this.#link.phase === 'live') {
      this.#out.emit({ is: 'tokenExpired' });
      this.#abort('tokenExpired', text);
      return;
    }
    this.#lose(text, {});
    this.#move('interrupted');
    if (this.#hasToldExpiry) return;
    this.#hasToldExpiry = true;
    this.#out.emit({ is: 'tokenExpired' });
  }

  #closeLink(code: number): void {
    const { phase, connection } = this.#link;
    if (phase === 'down' || phase === 'waiting') return;
    this.#out.push({ is: 'close', connection, code });
  }

  // ------------------------------------------------------------------ what the server sends

  #handleFrame(bytes: Uint8Array): void {
    const { phase } = this.#link;
    if (phase !== 'greeting' && phase !== 'live') return;
    this.#link.heard(this.#now);
    const { connection } = this.#link;
    let messages: Received[];
    try {
      messages = decodeServerFrame(bytes);
    } catch (error) {
      const text = `a frame of the server cannot be read: ${String(error)}`;
      this.#closeLink(CLOSE_PROTOCOL_ERROR);
      if (this.#login) this.#lose(text, {});
      else this.#beginAnew(text, 0);
      return;
    }
    for (const { event, isNumbered, size } of messages) {
      // An earlier message of the frame may have ended the connection.
      if (this.#link.connection !== connection || this.#link.phase === 'down') return;
      if (isNumbered && this.#link.phase !== 'live') continue;
      if (event) this.#handleServerEvent(event);
      if (isNumbered) this.#confirmation.count(size, isAwaited(event), this.#now);
    }
  }

  #handleServerEvent(event: ServerEvent): void {
    switch (event.is) {
      case 'welcome':
        if (this.#link.phase === 'greeting') this.#handleWelcome(event.value);
        return;
      case 'resumed':
        if (this.#link.phase === 'greeting' && this.#identity.hasSession) this.#handleResumed(event.value);
        return;
      case 'refused':
        if (this.#link.phase === 'greeting') this.#handleRefused(event.value.error);
        return;
      case 'ping':
        this.#out.message({ is: 'pong', value: {} });
        return;
      case 'skip':
        if (this.#link.phase !== 'live') return;
        for (const value of event.value.gaps) this.#handleEvent({ is: 'gap', value });
        this.#confirmation.skip(event.value.count, this.#now);
        return;
      case 'reply':
        this.#handleReply(event.value.cseq, event.value.result);
        return;
      default:
        this.#handleEvent(event);
    }
  }

  #handleEvent(event: ServerEvent): void {
    for (const told of eventOf(event, this.#replica, this.#seen, this.#now)) this.#out.emit(told);
  }

  #handleWelcome(welcome: Welcome): void {
    this.#identity.welcomed(welcome);
    if (welcome.heartbeatMs > 0) this.#link.heartbeatMs = welcome.heartbeatMs;
    this.#confirmation.beginSession();
    this.#seen.beginSession();
    this.#accept();
    const login = this.#login;
    if (login) {
      this.#login = undefined;
      this.#out.done(login.id);
      return;
    }
    const cause = this.#overCause ?? 'node_lost';
    this.#overCause = undefined;
    // A server that did not know the session has restarted: others may be on their way back.
    for (const channel of this.#replica.sessionOver(cause === 'node_lost')) {
      this.#out.emit({ is: 'gap', channel, cause, missed: 0 });
    }
    for (const held of this.#calls.takeWaiting('renewToken')) {
      this.#out.done(held.id);
    }
    this.#restore.begin();
  }

  #handleResumed(resumed: Resumed): void {
    this.#identity.resumed(resumed);
    this.#calls.resumed(resumed.cseq);
    this.#accept();
    // The server joins the channels again; attributes end with the user's presence.
    if (resumed.wasGone) this.#restore.attributes();
  }

  #accept(): void {
    this.#link.accept(this.#now);
    this.#hasToldExpiry = false;
    this.#move('accepted');
  }

  #handleRefused(error: Failure = { outcome: 0, text: 'no reason given', retryAfterMs: 0 }): void {
    const kind = refusal(error.outcome);
    if (this.#identity.hasSession && kind === 'sessionOver') {
      this.#out.log('info', `the session is over: ${error.text}`);
      this.#endSession(causeOf(error.outcome));
      this.#greet();
      return;
    }
    if (this.#login) {
      if (kind === 'later') this.#lose(error.text, { retryAfterMs: error.retryAfterMs });
      else this.#endLogin('refused', error);
      return;
    }
    if (kind === 'tokenExpired') {
      for (const held of this.#calls.takeWaiting('renewToken')) this.#out.fail(held.id, error);
      this.#handleTokenExpired(error.text);
    } else if (kind === 'banned' || kind === 'remoteLogin') {
      this.#abort(kind, error.text);
    } else {
      this.#out.log('warn', `the server refuses to let the session go on: ${error.text}`);
      this.#lose(error.text, { retryAfterMs: error.retryAfterMs });
    }
  }

  #handleReply(cseq: number, result: Parameters<typeof applyReply>[1]): void {
    const held = this.#calls.answered(cseq);
    if (!held) return;
    if (held.purpose === 'logout') {
      this.#finishLogout();
      return;
    }
    if (held.call.is === 'renewToken' && result?.is === 'done') this.#identity.renewed(held.call.value.token ?? '');
    const context = { calls: this.#calls, replica: this.#replica, restore: this.#restore, now: this.#now };
    const applied = applyReply(held, result, context);
    for (const text of applied.warnings) this.#out.log('warn', text);
    if (held.id !== 0) this.#out.settle(held.id, applied.result);
    for (const event of applied.events) this.#out.emit(event);
  }

  // ------------------------------------------------------------------ ends

  /** The session is over; the calls of it are sorted into those to repeat and those to give up. */
  #endSession(cause: GapCause): void {
    this.#identity.endSession();
    this.#overCause ??= cause;
    this.#out.emit({ is: 'sessionOver' });
    this.#restore.stop();
    for (const held of this.#calls.sessionOver()) {
      if (held.call.is === 'leave') this.#replica.left(held.call.value.channel ?? '');
      this.#out.done(held.id);
    }
  }

  #endLogin(trigger: 'refused' | 'timedOut', failure: CallFailure): void {
    const login = this.#login;
    this.#login = undefined;
    this.#forget();
    this.#move(trigger);
    if (login) this.#out.fail(login.id, failure);
  }

  #finishLogout(): void {
    const ids = this.#logout?.ids ?? [];
    const login = this.#login;
    this.#logout = undefined;
    this.#login = undefined;
    const abandoned = this.#forget();
    if (login) {
      this.#out.fail(login.id, givenUp('the login was given up because of a logout'));
    }
    this.#move('logout');
    for (const id of abandoned) this.#out.fail(id, notLoggedIn('the client has logged out'));
    for (const id of ids) this.#out.done(id);
  }

  #abort(trigger: 'banned' | 'remoteLogin' | 'tokenExpired', text: string): void {
    this.#out.log('warn', `the login has ended: ${text}`);
    const abandoned = this.#forget();
    this.#move(trigger);
    for (const id of abandoned) this.#out.fail(id, notLoggedIn('the client is ABORTED'));
  }

  /** Drops connection, session and calls; returns the ids of calls that wait for an answer. */
  #forget(): number[] {
    this.#closeLink(CLOSE_NORMAL);
    this.#link.reset();
    this.#identity.endSession();
    this.#overCause = undefined;
    this.#out.dropMessages();
    this.#confirmation.beginSession();
    this.#restore.stop();
    this.#replica.clear();
    return this.#calls.clear();
  }

  // ------------------------------------------------------------------ outputs

  /** Sends what may be sent now. */
  #pump(): void {
    if (this.#link.phase !== 'live') return;
    this.#restore.pump(this.#now);
    for (let held = this.#next(); held; held = this.#next()) {
      if (held.call.is === 'join') this.#replica.joining(held.call.value.channel ?? '');
      this.#out.message({ is: 'request', value: { cseq: held.cseq, call: held.call } });
    }
    this.#out.flush(this.#link.connection, this.#confirmation, this.#now);
  }

  #next(): PendingCall | undefined {
    return this.#calls.next(this.#restore.isRunning);
  }

  #move(trigger: Trigger): void {
    const step = STATES[this.#state][trigger];
    if (!step) return;
    const [state, reason] = step;
    this.#state = state;
    this.#out.push({ is: 'state', state, reason });
  }
}

/** Whether somebody waits for the confirmation. */
function isAwaited(event: ServerEvent | undefined): boolean {
  return event?.is === 'peerMessage' || event?.is === 'incomingInvitation';
}

function causeOf(outcome: number): GapCause {
  if (outcome === OUTCOME_WINDOW_OVER) return 'resume_window';
  return outcome === OUTCOME_UNKNOWN_SESSION ? 'node_lost' : 'unspecified';
}
