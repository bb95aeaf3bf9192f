/**
 * Calls to the server: numbered, each answered once, kept over a reconnect. Source: signaling 5.
 */

export type Answered = (error: string, body: Record<string, unknown>) => void;

interface Open {
  readonly name: string;
  readonly args: object;
  readonly answered: Answered;
}

/** Calls that may wait for a login. More are failed at once. */
const WAITING_MAX = 1_024;

/**
 * Calls that are not repeated if the connection ended before their answer: they belong to the old
 * login.
 */
const OF_THE_LOGIN = new Set(['user_getmsg', 'user_logout', 'channel_join', 'channel_leave']);

export class Calls {
  #number = 0;
  #open = new Map<number, Open>();
  /** Made before the login, or while there is no connection. */
  #waiting: Open[] = [];

  constructor(private readonly send: (name: string, number: number, args: object) => void) {}

  /** Makes a call now, or when the login is done. */
  make(isLoggedIn: boolean, name: string, args: object, answered: Answered): void {
    const call = { name, args, answered };
    if (isLoggedIn) this.#make(call);
    else if (this.#waiting.length < WAITING_MAX) this.#waiting.push(call);
    else answered('too frequent', {});
  }

  /** The server has answered. */
  answered(number: unknown, error: string, body: Record<string, unknown>): void {
    if (typeof number !== 'number') return;
    const call = this.#open.get(number);
    this.#open.delete(number);
    call?.answered(error, body);
  }

  /**
   * The connection has ended: open calls are made again with the next login. The server drops those
   * it had.
   */
  interrupted(): void {
    const again = [...this.#open.values()].filter(({ name }) => !OF_THE_LOGIN.has(name));
    this.#open.clear();
    this.#waiting.unshift(...again);
  }

  /** A login is done. */
  resume(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const call of waiting) this.#make(call);
  }

  /** There will be no further login. */
  fail(error: string): void {
    const calls = [...this.#open.values(), ...this.#waiting];
    this.#open.clear();
    this.#waiting = [];
    for (const { answered } of calls) answered(error, {});
  }

  #make(call: Open): void {
    const number = ++this.#number;
    this.#open.set(number, call);
    this.send(call.name, number, call.args);
  }
}
