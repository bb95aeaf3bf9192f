/** The list of people and channels. */
import { type Conversation, countOf } from '../model.js';
import { addressOf } from '../address.js';
import { byId, element, spoken } from './dom.js';

/** What a person's presence is called. */
const PRESENCE_WORDS = {
  ONLINE: 'online',
  UNREACHABLE: 'unreachable',
  OFFLINE: 'offline',
} as const;

/** While we hear nothing from the server, nobody knows who is there. */
export function presenceWords(
  presence: keyof typeof PRESENCE_WORDS | undefined,
  isConnected: boolean,
): string {
  return presence && isConnected ? PRESENCE_WORDS[presence] : '';
}

export class Sidebar {
  readonly #lists = { person: byId('people'), channel: byId('channels') };
  readonly #items = new Map<Conversation, HTMLLIElement>();

  show(conversation: Conversation, unread: number, isOpen: boolean, isConnected: boolean): void {
    let item = this.#items.get(conversation);
    if (!item) {
      item = element('li', '', element('a', ''));
      this.#items.set(conversation, item);
      this.#lists[conversation.is].append(item);
    }
    const link = item.querySelector('a');
    if (!link) return;
    link.href = addressOf(conversation);
    if (isOpen) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
    link.replaceChildren(...labelOf(conversation, isConnected));
    if (unread > 0) link.append(' ', element('span', 'unread', String(unread), spoken(' new')));
  }

  remove(conversation: Conversation): void {
    this.#items.get(conversation)?.remove();
    this.#items.delete(conversation);
  }

  clear(): void {
    for (const conversation of [...this.#items.keys()]) this.remove(conversation);
  }
}

/** What stands in a conversation in which nothing has been said. */
export function beginningOf({ is, name }: Conversation): HTMLElement {
  const lines =
    is === 'channel'
      ? [`This is #${name}.`, 'Copy its link to invite others, or write the first message.']
      : [
          `This is your conversation with ${name}.`,
          'Write, send a picture or call. Messages are kept while they are away.',
        ];
  return element('div', 'beginning', ...lines.map((line) => element('p', '', line)));
}

function labelOf(conversation: Conversation, isConnected: boolean): (Node | string)[] {
  const name = element('span', 'name', conversation.name);
  if (conversation.is === 'channel') {
    const hash = element('span', 'hash', '#');
    return [
      hash,
      name,
      ' ',
      element('span', 'state', String(countOf(conversation)), spoken(' members')),
    ];
  }
  const { presence } = conversation;
  const dot = element('span', 'presence');
  if (presence && isConnected) dot.dataset['presence'] = presence;
  return [dot, name, ' ', element('span', 'state', presenceWords(presence, isConnected))];
}
