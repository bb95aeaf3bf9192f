/** What was said in one conversation. */
import type { Entry, Message, Picture, Receipt } from '../model.js';
import { element, spoken } from './dom.js';
import { pictureButton } from './picture.js';

/** Older ones are taken off the page. */
const ENTRIES_MAX = 500;
/** As near to the end as this counts as at the end. Pixels. */
const NEAR_END_PX = 120;

const RECEIPTS: Readonly<Record<Exclude<Receipt['is'], 'failed' | 'uploading'>, string>> = {
  sending: 'sending …',
  sent: 'sent',
  delivered: 'delivered',
  stored: 'stored for later',
};

const TIME = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' });
const DAY_AND_TIME = new Intl.DateTimeFormat(undefined, {
  day: 'numeric',
  month: 'short',
  hour: '2-digit',
  minute: '2-digit',
});

export class Timeline {
  /** A log: screen readers say what is added at the end. Its height is what scrolls. */
  readonly element = element('div', 'timeline');
  readonly #list = element('ol', '');
  readonly #receipts = new WeakMap<Message, HTMLElement>();
  /** Who wrote the last entry; `undefined` after a note. */
  #lastAuthor: string | undefined;
  /** Whoever has scrolled up is reading, and is not to be disturbed. */
  #isAtEnd = true;

  constructor(
    label: string,
    /** What stands there as long as nothing has been said. */
    private readonly empty: HTMLElement,
    private readonly me: string,
    /** In a conversation of two, everybody knows whose the other messages are. */
    private readonly shows: 'authors' | 'messages',
    private readonly actions: {
      readonly again: (message: Message) => void;
      readonly openPicture: (picture: Picture) => void;
    },
  ) {
    this.element.setAttribute('role', 'log');
    this.element.setAttribute('aria-label', label);
    // What scrolls can be reached and scrolled by keyboard.
    this.element.tabIndex = 0;
    this.element.hidden = true;
    this.element.append(empty, this.#list);
    this.element.addEventListener('scroll', () => {
      const { scrollHeight, scrollTop, clientHeight } = this.element;
      this.#isAtEnd = scrollHeight - scrollTop - clientHeight < NEAR_END_PX;
    });
    // A window that turns, or an on-screen keyboard, does not hide the newest message.
    new ResizeObserver(() => {
      if (this.#isAtEnd) this.scrollToEnd();
    }).observe(this.element);
  }

  add(entry: Entry): void {
    this.empty.remove();
    this.#list.append(entry.is === 'note' ? this.#note(entry) : this.#message(entry));
    this.#lastAuthor = entry.is === 'note' ? undefined : entry.from;
    while (this.#list.children.length > ENTRIES_MAX) this.#list.firstElementChild?.remove();
    if (this.#isAtEnd || (entry.is === 'message' && entry.receipt)) this.scrollToEnd();
  }

  showReceipt(message: Message): void {
    const line = this.#receipts.get(message);
    const { receipt } = message;
    if (!line || !receipt) return;
    line.dataset['receipt'] = receipt.is;
    if (receipt.is === 'uploading') {
      line.textContent = `uploading, ${Math.round(receipt.share * 100)} %`;
      return;
    }
    if (receipt.is !== 'failed') {
      line.replaceChildren(RECEIPTS[receipt.is]);
      return;
    }
    const again = element('button', 'link', 'Try again');
    again.type = 'button';
    again.addEventListener('click', () => this.actions.again(message));
    line.replaceChildren(`failed: ${receipt.why} `, again);
    if (this.#isAtEnd) this.scrollToEnd();
  }

  scrollToEnd(): void {
    this.element.scrollTop = this.element.scrollHeight;
  }

  #note({ text, kind }: Extract<Entry, { is: 'note' }>): HTMLElement {
    const item = element('li', 'note', text);
    item.dataset['kind'] = kind;
    return item;
  }

  #message(message: Message): HTMLElement {
    const isOwn = message.from === this.me && message.receipt !== undefined;
    // Everybody sees who begins to speak; a screen reader says it with each message.
    const isNamed = !isOwn && this.shows === 'authors' && message.from !== this.#lastAuthor;
    const author = isNamed
      ? element('span', 'author', message.from, spoken(': '))
      : spoken(`${isOwn ? 'You' : message.from}: `);
    const about = element('p', 'about', timeOf(message));
    if (message.wasStored) about.append(element('span', 'was-stored', 'sent while you were away'));
    if (message.receipt) {
      const receipt = element('span', 'receipt');
      this.#receipts.set(message, receipt);
      about.append(receipt);
    }
    const item = element('li', isOwn ? 'message own' : 'message');
    const { picture } = message;
    const content = picture
      ? pictureButton(picture, this.actions.openPicture)
      : element('p', 'text', message.text);
    item.append(author, content, about);
    this.showReceipt(message);
    return item;
  }
}

function timeOf({ at }: Message): HTMLElement {
  const date = new Date(at);
  const isToday = date.toDateString() === new Date().toDateString();
  const time = element('time', '', (isToday ? TIME : DAY_AND_TIME).format(date));
  time.dateTime = date.toISOString();
  return time;
}
