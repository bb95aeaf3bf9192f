/** Wires the connection machine to a transport, timers and promises. */
import type { Call } from './wire/messages.js';
import { Endpoints } from './endpoints.js';
import { CLOSE_NORMAL } from './machine/core.js';
import { Machine } from './machine/machine.js';
import type { ConnectionReason, ConnectionState } from './machine/states.js';
import type {
  CallAnswer,
  CallFailure,
  CallResult,
  Input,
  InvitationCall,
  MachineEvent,
  Output,
} from './machine/types.js';
import { type Rival, type Rivals, setRivals } from './rivals.js';
import type { Exchange } from './transport/http.js';
import type { Connect, Transport } from './transport/transport.js';

/** The outside world: injected, so that tests control time, randomness and the network. */
export interface Environment {
  /** The time, in monotonic milliseconds. */
  now(): number;
  /** 0 ≤ value < 1. */
  random(): number;
  setTimer(run: () => void, afterMs: number): unknown;
  clearTimer(timer: unknown): void;
  readonly connect: Connect;
  /** Shared by all clients of the program. */
  readonly rivals: () => Rivals;
  /** One HTTP request. */
  readonly exchange: Exchange;
  /**
   * Calls `wake` when the page is shown again, the network is back and the like; returns its end.
   */
  watchWakeUps(wake: () => void): () => void;
}

export interface ShellListener {
  stateChanged(state: ConnectionState, reason: ConnectionReason): void;
  event(event: MachineEvent): void;
  log(level: 'warn' | 'info' | 'debug', text: string): void;
}

/** Why a call was not done. */
export class CallError extends Error {
  constructor(readonly failure: CallFailure) {
    super(failure.text);
    this.name = 'CallError';
  }
}

/**
 * How much later than another login of its user in this program a login opens its connection, in
 * milliseconds: the server orders a user's logins by the millisecond in which their connections are
 * opened.
 */
const AFTER_RIVAL_MS = 10;
/**
 * How long the connection of a given-up login waits for its answer, so that the server ends it too.
 * Milliseconds.
 */
const FAREWELL_MS = 5_000;
/** Timers of browsers and Node overflow above this. */
const TIMER_MS_MAX = 2 ** 31 - 1;

interface Open {
  readonly connection: number;
  readonly socket: Transport;
  /** The server has said something on it. */
  wasHeard: boolean;
  /** Takes the answer when the login has been given up. */
  leave: (() => void) | undefined;
}

interface Waiter {
  resolve(answer: CallAnswer): void;
  reject(error: CallError): void;
}

export class Shell {
  readonly #machine: Machine;
  readonly #waiters = new Map<number, Waiter>();
  /** Outputs not yet carried out; a listener that calls back adds to the end. */
  readonly #outputs: Output[] = [];
  readonly #endpoints: Endpoints;
  #lastId = 0;
  #transport: Open | undefined;
  #timer: unknown;
  #timerAt = Infinity;
  #stopWatching: (() => void) | undefined;
  #rival: { readonly key: string; readonly rival: Rival } | undefined;

  constructor(
    private readonly settings: { readonly appId: string; readonly client: string },
    private readonly environment: Environment,
    private readonly listener: ShellListener,
  ) {
    const random = () => environment.random();
    this.#machine = new Machine({ ...settings, random });
    this.#endpoints = new Endpoints(random);
  }

  get state(): ConnectionState {
    return this.#machine.state;
  }

  get takesCalls(): boolean {
    return this.#machine.takesCalls;
  }

  /** User of the current or last login. */
  get userId(): string {
    return this.#machine.userId;
  }

  /** The address of the server in use, and what the user logs in with. */
  get access(): {
    readonly url: string;
    readonly appId: string;
    readonly userId: string;
    readonly token: string;
  } {
    return {
      url: this.#endpoints.url,
      appId: this.settings.appId,
      userId: this.userId,
      token: this.#machine.token,
    };
  }

  /**
   * Logs in at one of these servers. Rejects with CallError. The first state change happens before
   * this returns.
   */
  login(urls: readonly string[], userId: string, token: string): Promise<CallAnswer> {
    this.#endpoints.use(urls);
    this.#stopWatching ??= this.environment.watchWakeUps(() => this.wake());
    let afterMs = 0;
    if (this.state === 'DISCONNECTED') {
      const key = JSON.stringify([[...urls].sort(), this.settings.appId, userId]);
      const rival: Rival = {
        tell: (word) => this.#handle({ is: 'rival', word }),
        isPending: true,
        told: 'go',
      };
      const rivals = this.environment.rivals();
      const others = rivals.get(key) ?? [];
      this.#rival = { key, rival };
      if (others.length > 0) afterMs = AFTER_RIVAL_MS;
      setRivals(rivals, key, [...others, rival]);
    }
    return this.#ask((id) => ({ is: 'login', id, userId, token, afterMs }));
  }

  logout(): Promise<CallAnswer> {
    return this.#ask((id) => ({ is: 'logout', id }));
  }

  /** Leaves at once: the server is told if the link is up, but nobody waits for its answer. */
  logoutSync(): void {
    this.#handle({ is: 'logoutSync' });
  }

  /** Rejects with CallError. */
  call(call: Call): Promise<CallAnswer> {
    return this.#ask((id) => ({ is: 'call', id, call }));
  }

  /** Tells the server about an invitation; events tell what becomes of it. */
  tellInvitation(call: InvitationCall): void {
    this.#handle({ is: 'invitation', call });
  }

  /** Tries to connect now, or checks whether the link is still alive. */
  wake(): void {
    this.#handle({ is: 'woken' });
  }

  /** For tests: breaks the connection as a bad network would. */
  dropConnection(): void {
    this.#transport?.socket.drop();
  }

  #ask(input: (id: number) => Input): Promise<CallAnswer> {
    return new Promise((resolve, reject) => {
      const id = ++this.#lastId;
      this.#waiters.set(id, { resolve, reject });
      this.#handle(input(id));
    });
  }

  #handle(input: Input): void {
    this.#outputs.push(...this.#machine.handle(input, this.environment.now()));
    // A listener may call back from inside this loop: the inner call carries out what is left, in
    // order, and then its own outputs, so that a login changes the state before it returns.
    for (let output = this.#outputs.shift(); output; output = this.#outputs.shift()) {
      this.#carryOut(output);
    }
    this.#setTimer();
    if (this.#machine.state === 'DISCONNECTED') {
      this.#stopWatching?.();
      this.#stopWatching = undefined;
    }
  }

  #carryOut(output: Output): void {
    switch (output.is) {
      case 'open':
        this.#open(output.connection);
        break;
      case 'send':
        if (this.#transport?.connection === output.connection)
          this.#transport.socket.send(output.bytes);
        break;
      case 'close':
        if (this.#transport?.connection !== output.connection) break;
        this.#endpoints.ended(this.#transport.wasHeard, output.code, '');
        this.#transport.socket.close(output.code);
        this.#transport = undefined;
        break;
      case 'farewell':
        this.#sayFarewell(output.connection, output.bytes);
        break;
      case 'settled':
        this.#settle(output.id, output.result);
        break;
      case 'state':
        this.#tellRivals(output.state);
        this.listener.stateChanged(output.state, output.reason);
        break;
      case 'event':
        this.listener.event(output.event);
        break;
      case 'log':
        this.listener.log(output.level, output.text);
        break;
    }
  }

  #open(connection: number): void {
    const socket = this.environment.connect(this.#endpoints.url, {
      opened: () => this.#handle({ is: 'opened', connection }),
      received: (bytes) => {
        open.wasHeard = true;
        if (open.leave) open.leave();
        else this.#handle({ is: 'received', connection, bytes });
      },
      closed: (code, reason) => {
        if (open.leave) return;
        if (this.#transport === open) {
          this.#transport = undefined;
          this.#endpoints.ended(open.wasHeard, code, reason);
        }
        this.#handle({ is: 'closed', connection, code, reason });
      },
    });
    const open: Open = { connection, socket, wasHeard: false, leave: undefined };
    this.#transport = open;
  }

  /**
   * The login of this connection was given up, but the server may have it: its answer is followed
   * by a logout.
   */
  #sayFarewell(connection: number, bytes: Uint8Array): void {
    const open = this.#transport;
    if (open?.connection !== connection) return;
    this.#transport = undefined;
    const close = () => open.socket.close(CLOSE_NORMAL);
    const timer = this.environment.setTimer(close, FAREWELL_MS);
    open.leave = () => {
      this.environment.clearTimer(timer);
      open.socket.send(bytes);
      close();
    };
  }

  #tellRivals(state: ConnectionState): void {
    if (!this.#rival) return;
    const { key, rival } = this.#rival;
    const rivals = this.environment.rivals();
    const all = rivals.get(key) ?? [];
    if (state === 'DISCONNECTED' || state === 'ABORTED') {
      this.#rival = undefined;
      setRivals(
        rivals,
        key,
        all.filter((other) => other !== rival),
      );
    } else if (state === 'CONNECTED' && rival.isPending) {
      rival.isPending = false;
      const at = all.indexOf(rival);
      setRivals(rivals, key, all.slice(at));
      for (const earlier of all.slice(0, at)) earlier.tell('over');
    }
  }

  #settle(id: number, result: CallResult): void {
    const waiter = this.#waiters.get(id);
    this.#waiters.delete(id);
    if ('ok' in result) waiter?.resolve(result.ok);
    else waiter?.reject(new CallError(result.failure));
  }

  #setTimer(): void {
    const at = this.#machine.deadline();
    if (at === this.#timerAt) return;
    if (this.#timerAt < Infinity) this.environment.clearTimer(this.#timer);
    this.#timerAt = at;
    if (at === Infinity) return;
    const afterMs = Math.min(TIMER_MS_MAX, Math.max(0, at - this.environment.now()));
    this.#timer = this.environment.setTimer(() => {
      this.#timerAt = Infinity;
      this.#handle({ is: 'timer' });
    }, afterMs);
  }
}
