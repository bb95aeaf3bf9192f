/** What was said in one conversation. */
import type { Entry, Message, Picture, Receipt } from '../model.js';
import { element, spoken } from './dom.js';
import { withLinks } from './links.js';
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

/** An entry as it stands on the page. */
interface Line {
  readonly entry: Entry;
  readonly element: HTMLElement;
  /** When it was said, or noted. Unix milliseconds. */
  readonly at: number;
  /** Read from the history; the same message may still come by itself. */
  isEarlier: boolean;
}

export class Timeline {
  /** A log: screen readers say what is added at the end. Its height is what scrolls. */
  readonly element = element('div', 'timeline');
  readonly #list = element('ol', '');
  readonly #earlier = element('button', 'quiet earlier', 'Show earlier messages');
  readonly #receipts = new WeakMap<Message, HTMLElement>();
  /** What is on the page, in its order. */
  #lines: Line[] = [];
  /** Whoever has scrolled up is reading, and is not to be disturbed. */
  #isAtEnd = true;

  constructor(
    label: string,
    /** What stands there as long as nothing has been said. */
    private readonly empty: HTMLElement,
    /** In a conversation of two, everybody knows whose the other messages are. */
    private readonly shows: 'authors' | 'messages',
    private readonly actions: {
      readonly again: (message: Message) => void;
      readonly earlier: () => void;
      readonly openPicture: (picture: Picture) => void;
    },
  ) {
    this.element.setAttribute('role', 'log');
    this.element.setAttribute('aria-label', label);
    // What scrolls can be reached and scrolled by keyboard.
    this.element.tabIndex = 0;
    this.element.hidden = true;
    this.#earlier.type = 'button';
    this.#earlier.hidden = true;
    this.#earlier.addEventListener('click', () => {
      // The button goes away when there is nothing older; the focus does not go with it.
      this.element.focus({ preventScroll: true });
      actions.earlier();
    });
    this.element.append(this.#earlier, empty, this.#list);
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
    const known =
      entry.is === 'message' &&
      this.#lines.find((line) => line.isEarlier && isSame(line.entry, entry));
    if (known) {
      known.isEarlier = false;
      if (entry.wasStored) markStored(known.element);
      return;
    }
    this.#insert(entry, this.#lines.length, false);
    while (this.#lines.length > ENTRIES_MAX) this.#lines.shift()?.element.remove();
    if (this.#isAtEnd || (entry.is === 'message' && entry.receipt)) this.scrollToEnd();
  }

  /** Puts messages of the history where they belong. `hasMore`: there are older ones; missing when nothing is known. */
  addEarlier(messages: readonly Message[], hasMore?: boolean): void {
    const before = this.element.scrollHeight;
    // Two may be the same in all that can be seen of them: each stands for one.
    const known = new Set<Line>();
    for (const message of messages) {
      const line = this.#lines.find((line) => !known.has(line) && isSame(line.entry, message));
      const next = this.#lines.findIndex(({ at }) => at > message.at);
      known.add(line ?? this.#insert(message, next < 0 ? this.#lines.length : next, true));
    }
    if (hasMore !== undefined) this.#earlier.hidden = !hasMore;
    if (this.#isAtEnd) this.scrollToEnd();
    // What is being read stays where it is.
    else this.element.scrollTop += this.element.scrollHeight - before;
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
    line.replaceChildren(`failed: ${receipt.why}`);
    if (receipt.canRetry) {
      const again = element('button', 'link', 'Try again');
      again.type = 'button';
      again.addEventListener('click', () => this.actions.again(message));
      line.append(' ', again);
    }
    if (this.#isAtEnd) this.scrollToEnd();
  }

  scrollToEnd(): void {
    this.element.scrollTop = this.element.scrollHeight;
  }

  #insert(entry: Entry, index: number, isEarlier: boolean): Line {
    this.empty.remove();
    const made = entry.is === 'note' ? this.#note(entry) : this.#message(entry);
    const at = entry.is === 'note' ? Date.now() : entry.at;
    this.#list.insertBefore(made, this.#lines[index]?.element ?? null);
    const line = { entry, element: made, at, isEarlier };
    this.#lines.splice(index, 0, line);
    this.#nameAuthor(index);
    this.#nameAuthor(index + 1);
    return line;
  }

  /** Everybody sees who begins to speak; a screen reader says it with each message. */
  #nameAuthor(index: number): void {
    const line = this.#lines[index];
    if (line?.entry.is !== 'message') return;
    const previous = this.#lines[index - 1]?.entry;
    const goesOn = previous?.is === 'message' && previous.from === line.entry.from;
    const isNamed = !line.entry.isOwn && this.shows === 'authors' && !goesOn;
    const author = line.element.firstElementChild;
    if (author) author.className = isNamed ? 'author' : 'visually-hidden';
  }

  #note({ text, kind }: Extract<Entry, { is: 'note' }>): HTMLElement {
    const item = element('li', 'note', text);
    item.dataset['kind'] = kind;
    return item;
  }

  #message(message: Message): HTMLElement {
    const { isOwn, picture } = message;
    const author = element('span', '', isOwn ? 'You' : message.from, spoken(': '));
    const about = element('p', 'about', timeOf(message));
    if (message.receipt) {
      const receipt = element('span', 'receipt');
      this.#receipts.set(message, receipt);
      about.append(receipt);
    }
    const item = element('li', isOwn ? 'message own' : 'message');
    const content = picture
      ? pictureButton(picture, this.actions.openPicture)
      : element('p', 'text', ...withLinks(message.text));
    item.append(author, content, about);
    if (message.wasStored) markStored(item);
    this.showReceipt(message);
    return item;
  }
}

/** What waited for us, or came while the history was read, is in the history as well. */
function isSame(one: Entry, other: Message): boolean {
  if (one.is !== 'message' || one.receipt) return false;
  return one.from === other.from && one.at === other.at && one.text === other.text;
}

function markStored(item: HTMLElement): void {
  if (item.querySelector('.was-stored')) return;
  item.querySelector('time')?.after(element('span', 'was-stored', 'sent while you were away'));
}

function timeOf({ at }: Message): HTMLElement {
  const date = new Date(at);
  const isToday = date.toDateString() === new Date().toDateString();
  const time = element('time', '', (isToday ? TIME : DAY_AND_TIME).format(date));
  time.dateTime = date.toISOString();
  return time;
}
