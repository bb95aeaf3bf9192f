/** What stands beside the list while no conversation is open: what to do next. */
import { addressOf } from '../address.js';
import type { Conversation } from '../model.js';
import { byId } from './dom.js';

/** Who a second tab may be. */
const NAMES = ['bob', 'alice', 'carol', 'dave', 'erin'];

/** Somebody of `candidates` who is not online. */
type FreeName = (candidates: readonly string[]) => Promise<string | undefined> | undefined;

export class NothingOpen {
  readonly #title = byId('nothing-title');
  readonly #unread = byId<HTMLAnchorElement>('open-unread');
  readonly #invitation = byId('invitation');
  readonly #second = byId<HTMLAnchorElement>('second-person');
  #me = '';

  constructor(private readonly freeName: FreeName) {
    // Somebody may have come since the page was opened, and a second login under a name ends the first.
    for (const event of ['pointerenter', 'focus'] as const) {
      this.#second.addEventListener(event, () => void this.#chooseName());
    }
  }

  /** `unread`: a conversation in which something waits to be read. */
  show(me: string, hasConversations: boolean, unread: Conversation | undefined): void {
    this.#unread.hidden = !unread;
    this.#invitation.hidden = unread !== undefined;
    if (unread) {
      const name = unread.is === 'channel' ? `#${unread.name}` : unread.name;
      this.#title.textContent =
        unread.is === 'channel'
          ? `There is something new in ${name}`
          : `There is something new from ${name}`;
      this.#unread.textContent = `Open the conversation${unread.is === 'channel' ? ' in' : ' with'} ${name}`;
      this.#unread.href = addressOf(unread);
    } else {
      this.#title.textContent = hasConversations
        ? 'Choose a conversation'
        : 'Nobody to talk to yet?';
    }
    if (me === this.#me) return;
    this.#me = me;
    this.#offer(NAMES.find((name) => name !== me) ?? '');
    void this.#chooseName();
  }

  async #chooseName(): Promise<void> {
    const me = this.#me;
    // Without an answer, or with everybody online: a name that nobody has.
    const free = await Promise.resolve(this.freeName(NAMES)).catch(() => undefined);
    if (me === this.#me) this.#offer(free ?? `guest-${Math.random().toString(36).slice(2, 7)}`);
  }

  #offer(name: string): void {
    this.#second.href = `?user=${name}${addressOf({ is: 'person', name: this.#me })}`;
    this.#second.textContent = `Be ${name}`;
  }
}
