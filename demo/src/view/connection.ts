/** The state of the connection, always in sight, and what it means while it is not well. */
import type { RtmStatusCode } from '@tidings/rtm';
import { byId, element } from './dom.js';

type State = RtmStatusCode.ConnectionState;
type Reason = RtmStatusCode.ConnectionChangeReason;

const RECONNECTING =
  'The connection is lost. What you send now waits for it, for up to 10 seconds.';

const ABORTED: Readonly<Partial<Record<Reason, string>>> = {
  REMOTE_LOGIN: 'You have logged in elsewhere under this name, perhaps in another tab.',
  BANNED_BY_SERVER: 'You have been banned from this server.',
  TOKEN_EXPIRED: 'Your token has expired.',
};

export class ConnectionView {
  readonly #pill = byId('connection');
  readonly #state = byId('connection-state');
  readonly #banner = byId('banner');
  readonly #text = byId('banner-text');
  readonly #action = byId<HTMLButtonElement>('banner-action');

  constructor(loginAgain: () => void) {
    this.#action.textContent = 'Log in here';
    this.#action.addEventListener('click', loginAgain);
  }

  show(state: State, reason: Reason): void {
    this.#pill.dataset['state'] = state;
    this.#state.textContent = state;
    let text = '';
    if (state === 'RECONNECTING') text = RECONNECTING;
    if (state === 'ABORTED') text = ABORTED[reason] ?? 'The server has ended this login.';
    this.#text.textContent = text;
    this.#banner.hidden = text === '';
    this.#banner.dataset['state'] = state;
    this.#action.hidden = !(state === 'ABORTED' && reason === 'REMOTE_LOGIN');
  }
}

/** How long good news stay. Milliseconds. */
const BRIEF_MS = 6000;

/** Notices stay until they are dismissed: whoever looked away has missed nothing. */
export class Notices {
  readonly #list = byId('notices');

  /** For good news, which takes itself away. */
  brief(text: string): void {
    const notice = this.add(text);
    notice.classList.add('good');
    setTimeout(() => notice.remove(), BRIEF_MS);
  }

  add(text: string): HTMLElement {
    const dismiss = element('button', 'quiet', 'Dismiss');
    dismiss.type = 'button';
    const notice = element('div', 'notice', element('p', '', text), dismiss);
    dismiss.addEventListener('click', () => notice.remove());
    this.#list.append(notice);
    // Bound: the newest three.
    while (this.#list.children.length > 3) this.#list.firstElementChild?.remove();
    return notice;
  }

  clear(): void {
    this.#list.replaceChildren();
  }
}
