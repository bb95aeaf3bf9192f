/** A world for a session whose time, chance and network belong to the test, which plays the server. */
import type { Environment } from '../../src/environment.js';
import { Log } from '../../src/log.js';
import { Session } from '../../src/session.js';
import type { Socket, SocketEvents } from '../../src/socket.js';
import { Heard } from './heard.js';

/** What the client asks: a call of the server, or an event of the connection. */
export interface Asked {
  readonly atMs: number;
  readonly name: string;
  readonly args: Record<string, unknown>;
  /** Of a call. */
  readonly number: number | undefined;
}

/** One connection as the server's end sees it. */
export class Connection implements Socket {
  isOpen = true;
  readonly asked: Asked[] = [];

  constructor(
    readonly url: string,
    private readonly events: SocketEvents,
    private readonly world: World,
  ) {}

  send(text: string): void {
    const [event, argument] = JSON.parse(text) as [string, unknown];
    const { now: atMs } = this.world;
    if (event === 'call2') {
      const [name, number, args] = argument as [string, number, Record<string, unknown>];
      this.#heard({ atMs, name, args, number });
    } else
      this.#heard({
        atMs,
        name: event,
        args: Object(argument) as Record<string, unknown>,
        number: undefined,
      });
  }

  close(): void {
    this.isOpen = false;
  }

  opened(): void {
    if (this.isOpen) this.events.opened();
  }

  serve(event: string, argument: unknown): void {
    if (this.isOpen) this.events.received(JSON.stringify([event, argument]));
  }

  /** Pushes a message of the queue. */
  push(version: number, line: string): void {
    this.serve('notify', ['recvmsg', JSON.stringify([version, line])]);
  }

  /** The connection breaks. */
  break(): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    this.events.closed();
  }

  /** The times of what was asked by this name, in milliseconds. */
  times(name: string): number[] {
    return this.asked.filter((asked) => asked.name === name).map(({ atMs }) => atMs);
  }

  #heard(asked: Asked): void {
    this.asked.push(asked);
    // Never at once: no network answers before the call returns.
    queueMicrotask(() => this.world.answer(asked, this));
  }
}

export class World {
  /** `open`: connections open by themselves; `refuse`: they fail; `silent`: nothing happens. */
  network: 'open' | 'refuse' | 'silent' = 'open';
  now = 0;
  readonly connections: Connection[] = [];
  /** Whether pings are answered, and calls; a login always is. */
  isAnswering = true;
  /** What the queue holds for a login, as pairs of version and line. */
  stored: [number, string][] = [];
  #timers: { readonly at: number; readonly run: () => void }[] = [];

  readonly environment: Environment = {
    now: () => this.now,
    random: () => 0.5,
    setTimer: (run, afterMs) => {
      const timer = { at: this.now + afterMs, run };
      this.#timers.push(timer);
      return timer;
    },
    clearTimer: (timer) => {
      this.#timers = this.#timers.filter((other) => other !== timer);
    },
    open: (url, events) => {
      const connection = new Connection(url, events, this);
      this.connections.push(connection);
      if (this.network === 'open') queueMicrotask(() => connection.opened());
      if (this.network === 'refuse') queueMicrotask(() => connection.break());
      return connection;
    },
  };

  get timers(): number {
    return this.#timers.length;
  }

  get connection(): Connection {
    const last = this.connections.at(-1);
    if (last === undefined) throw new Error('no connection was opened');
    return last;
  }

  /** Answers as a server does; a test may put its own in place. */
  answer = ({ name, number, args }: Asked, connection: Connection): void => {
    if (name === 'login') connection.serve('login_ret', ['', '{"result":"ok","line":"L","uid":7}']);
    else if (!this.isAnswering) return;
    else if (name === 'ping') connection.serve('pong', 0);
    else if (number !== undefined)
      connection.serve('call2-ret', [number, '', this.#resultOf(name, args)]);
  };

  #resultOf(name: string, args: Record<string, unknown>): string {
    if (name !== 'user_getmsg') return '{"result":"ok"}';
    const cleared = Number(args['ver_clear']);
    const waiting = this.stored.filter(([version]) => version > cleared);
    return JSON.stringify({
      result: 'ok',
      ver_clear: cleared,
      msgs: waiting.slice(0, Number(args['max'])),
    });
  }

  /** Lets promises settle. */
  async settle(): Promise<void> {
    for (let turn = 0; turn < 50; turn++) await Promise.resolve();
  }

  /** Moves the clock and runs what is due, in order. */
  async advance(ms: number): Promise<void> {
    await this.settle();
    const until = this.now + ms;
    for (;;) {
      const next = this.#timers.reduce<number>((least, { at }) => Math.min(least, at), Infinity);
      if (next > until) break;
      this.now = next;
      const due = this.#timers.find(({ at }) => at === next);
      this.#timers = this.#timers.filter((timer) => timer !== due);
      due?.run();
      await this.settle();
    }
    this.now = until;
  }

  /** A session, which has not begun to log in; what its page is told is heard. */
  login({ reconnectCount = 10, reconnectTime = 300_000 } = {}): { session: Session; heard: Heard } {
    const session = new Session({
      appId: 'app',
      account: 'alice',
      token: '_no_need_token',
      reconnectCount,
      reconnectTime,
      log: new Log(),
      environment: this.environment,
      addresses: () => Promise.resolve(['ws://one', 'ws://two']),
    });
    const heard = new Heard('alice');
    session.onLoginSuccess = () => heard.add('in');
    session.onLoginFailed = (code) => heard.add(`refused ${code}`);
    session.onLogout = (code) => heard.add(`out ${code}`);
    session.onMessageInstantReceive = (from, _uid, text) => heard.add(`from ${from} ${text}`);
    session.onReconnecting = (attempt) => heard.add(`reconnecting ${attempt} at ${this.now}`);
    session.onReconnectFailed = () => heard.add('reconnect failed');
    session.onReconnectSuccess = ({ joined_channels }) =>
      heard.add(`back in [${joined_channels.join()}]`);
    return { session, heard };
  }
}

/** A message of the queue; `id` is the same when it comes again. */
export const lineOf = (id: string, text: string) =>
  `msg-v3 ${id} bob alice v1:E:3600 instant 0 ${text}`;
