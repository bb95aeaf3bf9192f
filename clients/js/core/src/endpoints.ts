/** Which of a client's servers it connects to. */
import { CLOSE_GOING_AWAY, CLOSE_NODE_ISOLATED } from './generated/codes.js';
import { parseAddress } from './address.js';

/**
 * The servers of a cluster, of which a client uses one at a time.
 *
 * The first is chosen at random, so that clients with one list spread over its servers. A server
 * that was reached is kept, also over a broken network: the session is there, and goes on without a
 * move. The next one in the list follows when a connection was never answered, or when the server
 * has sent its clients away; then an address that it has named goes first.
 */
export class Endpoints {
  #urls: readonly string[] = [''];
  #at = 0;
  /** An address that the server has named, for the next attempt alone. */
  #hint: string | undefined;

  constructor(private readonly random: () => number) {}

  /** Takes WebSocket addresses; the one in use stays if it is among them. */
  use(urls: readonly string[]): void {
    const at = urls.indexOf(this.#urls[this.#at] ?? '');
    this.#urls = urls;
    if (urls.length === 1) this.#at = 0;
    else this.#at = at < 0 ? Math.floor(this.random() * urls.length) : at;
    this.#hint = undefined;
  }

  /** The address for the next connection. */
  get url(): string {
    return this.#hint ?? this.#urls[this.#at] ?? '';
  }

  /** A connection has ended. `wasHeard`: the server has said something on it. */
  ended(wasHeard: boolean, code: number, reason: string): void {
    const isSentAway = code === CLOSE_GOING_AWAY || code === CLOSE_NODE_ISOLATED;
    if (wasHeard && !isSentAway) return;
    const from = this.url;
    const hint = isSentAway ? hinted(reason, from) : undefined;
    if (this.#hint === undefined) this.#at = (this.#at + 1) % this.#urls.length;
    this.#hint = undefined;
    const known = hint === undefined ? -1 : this.#urls.indexOf(hint);
    if (known >= 0) this.#at = known;
    else this.#hint = hint;
  }
}

/**
 * The address behind the name of a close code, as that of a server like this one. It never leads
 * from an encrypted connection to one that is not.
 */
function hinted(reason: string, from: string): string | undefined {
  const [, text = ''] = /^\S+ (\S+)$/.exec(reason) ?? [];
  const [to, at] = [parseAddress(text), parseAddress(from)];
  if (!to || !at || (at.secure !== '' && to.secure === '')) return undefined;
  return `ws${to.secure}://${to.host}${to.path === '' ? at.path : to.path}${at.search}`;
}
