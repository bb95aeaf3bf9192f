/** A world for the shell whose time, chance and network belong to the test. */
import type {
  Environment,
  HttpAnswer,
  HttpRequest,
  Rivals,
  Transport,
  TransportEvents,
} from '@tidings/core';
import {
  ClientFrame,
  type In,
  type Out,
  ServerFrame,
  type ServerMessage,
} from '@tidings/core/wire';
import type { ClientMessage } from '@tidings/core/wire';

export type FromClient = NonNullable<Out<typeof ClientMessage>['kind']>;
export type FromServer = NonNullable<In<typeof ServerMessage>['kind']>;
export type SentRequest = Extract<FromClient, { is: 'request' }>['value'];

/** One connection as the server's end sees it. */
export class FakeConnection implements Transport {
  readonly messages: FromClient[] = [];
  /** The confirmations, in order. */
  readonly confirms: number[] = [];
  closeCode: number | undefined;
  #isOver = false;

  constructor(
    readonly url: string,
    private readonly events: TransportEvents,
    readonly world: World,
  ) {}

  send(bytes: Uint8Array): void {
    const frame = ClientFrame.decode(bytes);
    if (frame.confirm > 0) this.confirms.push(frame.confirm);
    for (const { kind } of frame.messages) {
      if (!kind) throw new Error('the client sent a message of an unknown kind');
      this.messages.push(kind);
      this.world.heard(this, kind);
    }
  }

  close(code: number): void {
    this.closeCode = code;
    this.#isOver = true;
  }

  drop(): void {
    this.end(1006, 'dropped');
  }

  open(): void {
    if (!this.#isOver) this.events.opened();
  }

  /** Sends messages in one frame. */
  serve(...messages: FromServer[]): void {
    const bytes = ServerFrame.encode({ messages: messages.map((kind) => ({ kind })) });
    this.serveBytes(bytes);
  }

  serveBytes(bytes: Uint8Array): void {
    if (!this.#isOver) this.events.received(bytes);
  }

  end(code: number, reason = ''): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.events.closed(code, reason);
  }

  get requests(): SentRequest[] {
    return this.messages.flatMap((message) => (message.is === 'request' ? [message.value] : []));
  }
}

/** What the server answers; `undefined` = nothing. */
export type Answer = (message: FromClient, connection: FakeConnection) => FromServer[] | undefined;

/** One HTTP request as the server sees it. */
export class FakeExchange {
  readonly answered: Promise<HttpAnswer>;
  answer!: (status: number, body: string | Uint8Array<ArrayBuffer>) => void;
  fail!: (error: Error) => void;

  constructor(readonly request: HttpRequest) {
    this.answered = new Promise((resolve, reject) => {
      this.fail = reject;
      this.answer = (status, body) =>
        resolve({
          status,
          chunks: [typeof body === 'string' ? new TextEncoder().encode(body) : body],
        });
    });
    request.signal.addEventListener('abort', () => this.fail(new Error('aborted')));
  }
}

export class World implements Environment {
  readonly connections: FakeConnection[] = [];
  /** 'open': connections open by themselves; 'refuse': they fail; 'silent': nothing happens. */
  network: 'open' | 'refuse' | 'silent' = 'open';
  chance = 0;
  answer: Answer = () => undefined;
  #now = 1000;
  #timers: { readonly at: number; readonly run: () => void }[] = [];
  #wake: (() => void) | undefined;

  readonly #rivals: Rivals = new Map();

  rivals = (): Rivals => this.#rivals;

  now(): number {
    return this.#now;
  }

  random(): number {
    return this.chance;
  }

  setTimer(run: () => void, afterMs: number): unknown {
    const timer = { at: this.#now + afterMs, run };
    this.#timers.push(timer);
    return timer;
  }

  clearTimer(timer: unknown): void {
    this.#timers = this.#timers.filter((other) => other !== timer);
  }

  connect = (url: string, events: TransportEvents): Transport => {
    const connection = new FakeConnection(url, events, this);
    this.connections.push(connection);
    const { network } = this;
    if (network === 'open') queueMicrotask(() => connection.open());
    if (network === 'refuse') queueMicrotask(() => connection.end(1006, 'refused'));
    return connection;
  };

  /** HTTP requests that wait for their answer, or have had it. */
  readonly exchanges: FakeExchange[] = [];

  exchange = (request: HttpRequest): Promise<HttpAnswer> => {
    const fake = new FakeExchange(request);
    this.exchanges.push(fake);
    return fake.answered;
  };

  get timers(): number {
    return this.#timers.length;
  }

  watchWakeUps(wake: () => void): () => void {
    this.#wake = wake;
    return () => {
      this.#wake = undefined;
    };
  }

  wake(): void {
    this.#wake?.();
  }

  /** The server pings the newest connection from now on, as it does when it has nothing to say. */
  keepAlive(): void {
    this.setTimer(() => {
      this.connection.serve({ is: 'ping', value: {} });
      this.keepAlive();
    }, 9_000);
  }

  get isWatching(): boolean {
    return this.#wake !== undefined;
  }

  heard(connection: FakeConnection, message: FromClient): void {
    const answers = this.answer(message, connection);
    if (answers) queueMicrotask(() => connection.serve(...answers));
  }

  get connection(): FakeConnection {
    const last = this.connections[this.connections.length - 1];
    if (!last) throw new Error('no connection has been opened');
    return last;
  }

  /** Lets promises and the fake network settle. */
  async settle(): Promise<void> {
    for (let turn = 0; turn < 50; turn++) await Promise.resolve();
  }

  /** Moves the clock, running what is due in order. */
  async advance(ms: number): Promise<void> {
    await this.settle();
    const until = this.#now + ms;
    for (;;) {
      const next = this.#timers.reduce<number>((least, { at }) => Math.min(least, at), Infinity);
      if (next > until) break;
      this.#now = Math.max(this.#now, next);
      const due = this.#timers.filter(({ at }) => at <= this.#now);
      this.#timers = this.#timers.filter(({ at }) => at > this.#now);
      for (const { run } of due) run();
      await this.settle();
    }
    this.#now = until;
  }
}

export const SESSION_ID = new Uint8Array(16).fill(7);

export function secretOf(byte: number): Uint8Array {
  return new Uint8Array(32).fill(byte);
}

export function welcome(secret = 1): FromServer {
  return {
    is: 'welcome',
    value: {
      sessionId: SESSION_ID,
      secret: secretOf(secret),
      heartbeatMs: 10_000,
      resumeWindowMs: 120_000,
      presenceGraceMs: 30_000,
      server: 'fake',
    },
  };
}

export function refused(outcome: number, retryAfterMs = 0): FromServer {
  return {
    is: 'refused',
    value: { error: { outcome, text: `refused with ${outcome}`, retryAfterMs } },
  };
}

export function reply(cseq: number, result: ReplyTo): FromServer {
  return { is: 'reply', value: { cseq, result } };
}
export type ReplyTo = NonNullable<
  NonNullable<Extract<FromServer, { is: 'reply' }>['value']['result']>
>;

/** What a friendly server answers to a call. */
export function usual(request: SentRequest): ReplyTo {
  switch (request.call?.is) {
    case 'sendToPeer':
      return { is: 'peerSent', value: { received: true } };
    case 'getMembers':
    case 'queryPresenceSubscriptions':
      return { is: 'users', value: { userIds: ['alice', 'bob'] } };
    case 'getMemberCounts':
      return {
        is: 'memberCounts',
        value: { counts: request.call.value.channels.map((channel) => ({ channel, count: 2 })) },
      };
    case 'queryPresence':
      return {
        is: 'presence',
        value: { users: request.call.value.userIds.map((userId) => ({ userId, state: 1 })) },
      };
    case 'readUserAttributes':
    case 'readChannelAttributes':
      return {
        is: 'attributes',
        value: { attributes: [{ key: 'k', value: 'v', updatedBy: 'bob', updatedTs: 5 }] },
      };
    default:
      return { is: 'done', value: {} };
  }
}

/** Accepts every login and resume, and answers every call as usual. */
export const friendly: Answer = (message, connection) => {
  switch (message.is) {
    case 'login':
      return [welcome()];
    case 'resume':
      return [{ is: 'resumed', value: { secret: secretOf(2), cseq: highestCseq(connection) } }];
    case 'request':
      return [reply(message.value.cseq, usual(message.value))];
    case 'ping':
      return [{ is: 'pong', value: {} }];
    case 'pong':
      return undefined;
  }
};

/** Highest number of a request that has arrived on any connection. */
function highestCseq({ world }: FakeConnection): number {
  const all = world.connections.flatMap((connection) => connection.requests);
  return Math.max(0, ...all.map((request) => request.cseq));
}
