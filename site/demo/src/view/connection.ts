/** The state of the connection, always in sight, and what it means while it is not well. */
import type { RtmStatusCode } from '@tidings/rtm';
import { byId, element } from './dom.js';

type State = RtmStatusCode.ConnectionState;
type Reason = RtmStatusCode.ConnectionChangeReason;

const WORDS: Readonly<Record<State, string>> = {
  DISCONNECTED: 'Not connected',
  CONNECTING: 'Connecting …',
  CONNECTED: 'Connected',
  RECONNECTING: 'Reconnecting …',
  ABORTED: 'Logged out',
};

const RECONNECTING =
  'The connection is lost. Messages that you send now wait up to 10 seconds for it to come back.';

const ABORTED: Readonly<Partial<Record<Reason, string>>> = {
  REMOTE_LOGIN: 'You have logged in elsewhere under this name, perhaps in another tab.',
  BANNED_BY_SERVER: 'You have been banned from this server.',
  TOKEN_EXPIRED: 'Your token has expired.',
};

export interface ConnectionActions {
  loginAgain(): void;
  /** Tries to reconnect at once. */
  reconnectNow(): void;
}

export class ConnectionView {
  readonly #pill = byId('connection');
  readonly #state = byId('connection-state');
  readonly #banner = byId('banner');
  readonly #text = byId('banner-text');
  readonly #loginAgain = byId<HTMLButtonElement>('login-again');
  readonly #reconnect = byId<HTMLButtonElement>('reconnect');

  constructor(actions: ConnectionActions) {
    this.#loginAgain.addEventListener('click', () => actions.loginAgain());
    this.#reconnect.addEventListener('click', () => actions.reconnectNow());
  }

  show(state: State, reason: Reason): void {
    this.#pill.dataset['state'] = state;
    // What a developer looks for in the SDK's documentation.
    this.#pill.title = `ConnectionStateChanged: ${state}, ${reason}`;
    this.#state.textContent = WORDS[state];
    let text = '';
    if (state === 'RECONNECTING') text = RECONNECTING;
    if (state === 'ABORTED') text = ABORTED[reason] ?? 'The server has ended this login.';
    this.#text.textContent = text;
    this.#banner.hidden = text === '';
    this.#banner.dataset['state'] = state;
    this.#loginAgain.hidden = !(state === 'ABORTED' && reason === 'REMOTE_LOGIN');
    this.#reconnect.hidden = state !== 'RECONNECTING';
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
