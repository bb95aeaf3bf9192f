/** One login of an account, over all its connections. Source: signaling 4 and 14. */
import { Call } from './call.js';
import { type Answered, Calls } from './calls.js';
import { Channel } from './channel.js';
import {
  LOGGED_IN,
  LOGGED_OUT,
  LOGGING_IN,
  LOGIN_NETWORK,
  LOGOUT_BY_USER,
  LOGOUT_KICKED,
  LOGOUT_NETWORK,
  RECONNECTING,
  loginCode,
} from './codes.js';
import type { Environment } from './environment.js';
import { type Log, run } from './log.js';
import { Queue } from './queue.js';
import type { Socket } from './socket.js';
import { type Line, parse, parseObject, readAnswer, readFrame } from './wire.js';

const INVOKE_PREFIX = 'io.agora.signal.';
const PING_MS = 10_000;
/**
 * After this long without a sign of life from the server the connection counts as lost, in
 * milliseconds.
 */
const SILENCE_MS = 30_000;
/** Time for opening a connection and logging in, in milliseconds. Source: signaling 2.3. */
const LOGIN_WAIT_MS = 6_000;
/** Attempts of a first login before it fails. */
const LOGIN_TRIES = 3;
const DELAY_FIRST_MS = 200;
const DELAY_MAX_MS = 2_000;
/** How long a logout waits for an answer, in milliseconds; then it is done without one. */
const LOGOUT_WAIT_MS = 3_000;

export interface Settings {
  readonly appId: string;
  readonly account: unknown;
  readonly token: string;
  /** Most attempts, and most milliseconds, of one reconnect. */
  readonly reconnectCount: number;
  readonly reconnectTime: number;
  readonly log: Log;
  readonly environment: Environment;
  addresses(): Promise<string[]>;
}

export class Session {
  onLoginSuccess: ((uid: number) => unknown) | '' = '';
  onLoginFailed: ((code: number) => unknown) | '' = '';
  onLogout: ((code: number) => unknown) | '' = '';
  onMessageInstantReceive: ((account: string, uid: number, message: string) => unknown) | '' = '';
  onInviteReceived: ((call: Call) => unknown) | '' = '';
  onReconnecting: ((attempt: number) => unknown) | '' = '';
  onReconnectFailed: (() => unknown) | '' = '';
  onReconnectSuccess: ((result: { joined_channels: string[] }) => unknown) | '' = '';

  readonly account: string;
  state: number = LOGGING_IN;
  line = '';
  uid = 0;
  dbg = false;
  readonly config_msg_set = 0;
  readonly config_inst_msg_with_msgid = 0;
  /** `legacy`: attributes that are told on joining come as ('update', name, value). */
  attrOrder: 'legacy' | undefined;
  /** `1.4.0`: a reconnect is told by `onLoginSuccess`, too. */
  reconnectEvents: '1.4.0' | undefined;

  readonly #settings: Settings;
  readonly #environment: Environment;
  readonly #calls = new Calls((name, number, args) =>
    this.#send('call2', [name, number, { ...args, line: this.line }]),
  );
  readonly #queue: Queue;
  /** By channel and peer in one key, which is how all builds find them. */
  readonly #invitations = new Map<string, Call>();
  #channel: Channel | undefined;
  #socket: Socket | undefined;
  #urls: string[] = [];
  #attempt = 0;
  #reconnectSince = 0;
  #pings = 0;
  #heardAt = 0;
  /** Begins the ids of this session's messages. */
  readonly #firstId: string;
  #messages = 0;
  #pingTimer: unknown;
  #timer: unknown;

  /** Not plain data: state libraries leave it as it is, and do not wrap it in proxies. */
  get [Symbol.toStringTag](): string {
    return 'Session';
  }

  constructor(settings: Settings) {
    this.#settings = settings;
    const { account, environment } = settings;
    this.#environment = environment;
    const chance = environment.random().toString(36).slice(2, 8);
    this.#firstId = `${environment.now().toString(36)}${chance}`;
    this.account = typeof account === 'string' ? account : (JSON.stringify(account) ?? '');
    this.#queue = new Queue({
      environment,
      call: (name, args, answered) => this.#calls.make(true, name, args, answered),
      deliver: (line) => this.#deliver(line),
    });
    // Order: the page sets its handlers before anything can happen.
    queueMicrotask(() => this.#begin());
  }

  /** 0 logged out, 1 logging in, 2 logged in, 3 reconnecting. */
  getStatus(): number {
    return this.state;
  }

  logout(): void {
    switch (this.state) {
      case LOGGED_IN: {
        const end = () => this.#end(LOGOUT_BY_USER);
        this.#calls.make(true, 'user_logout', {}, end);
        this.#schedule(LOGOUT_WAIT_MS, end);
        return;
      }
      case RECONNECTING:
        return this.#end(LOGOUT_BY_USER);
      case LOGGING_IN:
        return this.#close();
    }
  }

  /** `done(false)`: the server has it. `done(true)`: it has not. */
  messageInstantSend(peer: unknown, message: unknown, done?: (isFailed: boolean) => unknown): void {
    const args = {
      peer,
      flag: 'v1:E:3600',
      t: 'instant',
      content: message,
      messageID: this.nextMessageId(),
    };
    this.request('user_sendmsg', args, (error) => run(done, error !== ''));
  }

  /**
   * Leaves the previous channel, if there is one, and joins another. `undefined` when logged out.
   */
  channelJoin(name: unknown): Channel | undefined {
    if (this.state === LOGGED_OUT) return undefined;
    const before = this.#channel;
    const channel = new Channel(this, typeof name === 'string' ? name : JSON.stringify(name));
    this.#channel = channel;
    if (before !== undefined) before.state = 'leaved';
    channel.join();
    return channel;
  }

  channelInviteUser2(channelName: string, peer: string, extra: unknown = ''): Call {
    return this.#invite('voip_invite', channelName, String(peer), extra);
  }

  /** The same without `extra`. */
  channelInviteUser(channelName: string, peer: string): Call {
    return this.channelInviteUser2(channelName, peer);
  }

  /** Invites a telephone number, which the app's gateway answers. */
  channelInvitePhone(channelName: string, phone: string, extra: unknown = ''): Call {
    return this.#invite('voip_invite_phone', channelName, String(phone), extra);
  }

  /**
   * Calls a function of the server by its long name, `io.agora.signal.…`; another name is ignored.
   */
  invoke(
    name: string,
    args: Record<string, unknown>,
    done?: (error: string, body: Record<string, unknown>) => unknown,
  ): void {
    if (typeof name !== 'string' || !name.startsWith(INVOKE_PREFIX)) return;
    this.call2(name.slice(INVOKE_PREFIX.length).split('.')[0] ?? '', args, done);
  }

  /** Calls a function of the server. */
  call2(
    name: string,
    args: Record<string, unknown>,
    done?: (error: string, body: Record<string, unknown>) => unknown,
  ): void {
    this.request(name, args ?? {}, (error, body) => run(done, error, body));
  }

  /**
   * Makes a call; it waits for the login, and is made again when a connection ends before its
   * answer.
   */
  request(name: string, args: object, answered: Answered): void {
    if (this.state === LOGGED_OUT) answered('not login', {});
    else this.#calls.make(this.state === LOGGED_IN, name, args, answered);
  }

  /** Numbers a message, so that the server knows one that is sent again. */
  nextMessageId(): string {
    this.#messages += 1;
    return `${this.#firstId}-${this.#messages}`;
  }

  forgetChannel(channel: Channel): void {
    if (this.#channel === channel) this.#channel = undefined;
  }

  #invite(type: string, channelName: string, peer: string, extra: unknown): Call {
    const call = new Call(this, channelName, peer, extra ?? '');
    this.#invitations.set(channelName + peer, call);
    if (type === 'voip_invite') call.channelInviteUser2();
    else {
      this.request(type, { channelName, peer, extra: extra ?? '' }, (error) => {
        if (error !== '') run(call.onInviteFailed, error);
      });
    }
    return call;
  }

  async #begin(): Promise<void> {
    try {
      this.#urls = await this.#settings.addresses();
    } catch (error) {
      this.#settings.log.info(String(error));
      return this.#failLogin(LOGIN_NETWORK);
    }
    if (this.state === LOGGING_IN) this.#connect();
  }

  #connect(): void {
    const url = this.#urls[this.#attempt % this.#urls.length] ?? '';
    this.#attempt += 1;
    this.#settings.log.debug('connecting to', url);
    this.#schedule(LOGIN_WAIT_MS, () => this.#lost());
    this.#socket = this.#environment.open(url, {
      opened: () => {
        const { appId: vid, token } = this.#settings;
        this.#send('login', {
          vid,
          account: this.#settings.account,
          uid: 0,
          token,
          device: 'websdk',
          ip: '',
        });
      },
      received: (text) => this.#received(text),
      closed: () => this.#lost(),
    });
  }

  #received(text: string): void {
    this.#heardAt = this.#environment.now();
    const frame = readFrame(text);
    if (frame === undefined) return;
    this.#settings.log.debug('<', text);
    this.#take(...frame);
  }

  #take(event: string, argument: unknown): void {
    switch (event) {
      case 'login_ret':
        return this.#loginAnswered(argument);
      case 'call2-ret': {
        if (!Array.isArray(argument)) return;
        const [error, body] = readAnswer(argument[1], argument[2]);
        return this.#calls.answered(argument[0], error, body);
      }
      case 'notify':
        return this.#notified(argument);
      case 'kick':
        return this.#end(LOGOUT_KICKED);
      case 'close':
        return this.state === LOGGING_IN
          ? this.#failLogin(LOGIN_NETWORK)
          : this.#end(LOGOUT_NETWORK);
      case 'multi':
        for (const frame of Array.isArray(argument) ? argument : []) {
          if (Array.isArray(frame) && typeof frame[0] === 'string') this.#take(frame[0], frame[1]);
        }
    }
  }

  #loginAnswered(argument: unknown): void {
    if (this.state !== LOGGING_IN && this.state !== RECONNECTING) return;
    const [error, text] = Array.isArray(argument) ? argument : [];
    const body = parseObject(text);
    if (error !== '' || body['result'] !== 'ok') {
      const reason =
        typeof error === 'string' && error !== '' ? error : String(body['reason'] ?? '');
      return this.state === LOGGING_IN
        ? this.#failLogin(loginCode(reason))
        : this.#end(LOGOUT_NETWORK);
    }
    this.#environment.clearTimer(this.#timer);
    const isAgain = this.state === RECONNECTING;
    this.state = LOGGED_IN;
    this.line = String(body['line']);
    this.uid = Number(body['uid']);
    // The next connection goes to the same server first.
    const at = (this.#attempt - 1) % this.#urls.length;
    this.#urls = [...this.#urls.slice(at), ...this.#urls.slice(0, at)];
    this.#attempt = 0;
    this.#send('set_flag', { binary: 1 });
    this.#startPings();
    if (!isAgain || this.reconnectEvents === '1.4.0') run(this.onLoginSuccess, this.uid);
    // The page may have logged out in its handler.
    if (this.getStatus() !== LOGGED_IN) return;
    this.#queue.start();
    if (isAgain) this.#restore();
    else this.#calls.resume();
  }

  /** Joins the channel again before waiting messages are sent to it. */
  #restore(): void {
    const done = (joined: string[]) => {
      this.#calls.resume();
      run(this.onReconnectSuccess, { joined_channels: joined });
    };
    const channel = this.#channel;
    if (channel === undefined) return done([]);
    channel.join((isJoined) => done(isJoined ? [channel.name] : []));
  }

  #notified(argument: unknown): void {
    if (typeof argument === 'string') {
      // The first word means nothing, the second is the event.
      const [, event, ...rest] = argument.split(' ');
      if (event === 'recvmsg') this.#pushed(rest.join(' '));
      return;
    }
    if (!Array.isArray(argument)) return;
    const [event, first, second, third] = argument as unknown[];
    if (event === 'recvmsg') this.#pushed(first);
    else if (event === 'msg') this.#queue.hint();
    else if (event === 'channel2' && typeof third === 'string') this.#channel?.heard(second, third);
  }

  #pushed(text: unknown): void {
    const message = parse(text);
    if (Array.isArray(message)) this.#queue.pushed(message[0], message[1]);
  }

  #deliver(line: Line): void {
    if (line.type === 'instant')
      return run(this.onMessageInstantReceive, line.from, 0, line.content);
    const { channel, peer, extra } = parseObject(line.content);
    if (typeof channel !== 'string' || typeof peer !== 'string') return;
    const key = channel + peer;
    if (line.type !== 'voip_invite') return this.#invitations.get(key)?.heard(line.type, extra);
    const call = new Call(this, channel, peer, extra);
    this.#invitations.set(key, call);
    call.acknowledge();
    run(this.onInviteReceived, call);
  }

  #startPings(): void {
    this.#environment.clearTimer(this.#pingTimer);
    const ping = () => {
      if (this.#environment.now() - this.#heardAt > SILENCE_MS) return this.#lost();
      this.#pingTimer = this.#environment.setTimer(ping, PING_MS);
      this.#send('ping', ++this.#pings);
    };
    ping();
  }

  /** The connection has ended, or could not be opened. */
  #lost(): void {
    if (this.state === LOGGED_OUT) return;
    this.#stop();
    if (this.state === LOGGED_IN) {
      this.state = RECONNECTING;
      this.line = '';
      this.#attempt = 0;
      this.#reconnectSince = this.#environment.now();
      this.#calls.interrupted();
    }
    const { reconnectCount, reconnectTime } = this.#settings;
    if (this.state === LOGGING_IN) {
      if (this.#attempt >= LOGIN_TRIES) return this.#failLogin(LOGIN_NETWORK);
    } else if (
      this.#attempt >= reconnectCount ||
      this.#environment.now() - this.#reconnectSince > reconnectTime
    ) {
      run(this.onReconnectFailed);
      return this.#end(LOGOUT_NETWORK);
    }
    this.#schedule(Math.min(DELAY_FIRST_MS * 2 ** this.#attempt, DELAY_MAX_MS), () => {
      if (this.state === RECONNECTING) run(this.onReconnecting, this.#attempt + 1);
      if (this.state !== LOGGED_OUT) this.#connect();
    });
  }

  #failLogin(code: number): void {
    if (this.state !== LOGGING_IN) return;
    this.#close();
    run(this.onLoginFailed, code);
  }

  #end(code: number): void {
    if (this.state === LOGGED_OUT) return;
    this.#close();
    run(this.onLogout, code);
  }

  /** Stops everything: no connection, no timer. */
  #close(): void {
    this.state = LOGGED_OUT;
    this.#stop();
    if (this.#channel !== undefined) this.#channel.state = 'leaved';
    this.#channel = undefined;
    this.#calls.fail('not login');
  }

  #stop(): void {
    this.#environment.clearTimer(this.#timer);
    this.#environment.clearTimer(this.#pingTimer);
    this.#queue.stop();
    this.#socket?.close();
    this.#socket = undefined;
  }

  #schedule(ms: number, what: () => void): void {
    this.#environment.clearTimer(this.#timer);
    this.#timer = this.#environment.setTimer(what, ms);
  }

  #send(event: string, argument: unknown): void {
    const text = JSON.stringify([event, argument]);
    this.#settings.log.debug('>', event);
    this.#socket?.send(text);
  }
}
