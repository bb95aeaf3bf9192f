/** A call: who, how long, what can be done. On the page only while there is one. */
import type { CallState, Devices } from '../call/state.js';
import { clock } from '../call/calls.js';
import { play } from '../call/ring.js';
import { byId, spoken } from './dom.js';
import { relabel } from './icons.js';

export interface CallActions {
  accept(): void;
  hangUp(): void;
  setMicrophone(isOn: boolean): void;
  setCamera(isOn: boolean): void;
  /** The call is over: the focus is to go to where one goes on. */
  goOn(): void;
}

const KIND_WORDS = { audio: 'Voice call', video: 'Video call' } as const;
const END_WORDS = {
  calling: 'Cancel',
  ringing: 'Decline',
  connecting: 'Hang up',
  talking: 'Hang up',
} as const;

export class CallView {
  readonly #section = byId('call');
  readonly #title = byId('call-title');
  readonly #status = byId('call-status');
  readonly #clock = byId('call-clock');
  readonly #hint = byId('call-hint');
  readonly #said = byId('call-said');
  readonly #avatar = byId('call-avatar');
  readonly #remote = byId<HTMLVideoElement>('remote-video');
  readonly #local = byId<HTMLVideoElement>('local-video');
  readonly #accept = byId<HTMLButtonElement>('call-accept');
  readonly #microphone = byId('call-microphone');
  readonly #camera = byId('call-camera');
  readonly #end = byId('call-end');
  readonly #full = byId('call-full');
  #state: CallState = { is: 'idle' };
  #own: Devices = { microphone: false, camera: false };
  #theirs: Devices = { microphone: false, camera: false };
  #isServerAway = false;
  #silence: () => void = () => undefined;

  constructor(private readonly actions: CallActions) {
    this.#accept.addEventListener('click', () => actions.accept());
    this.#end.addEventListener('click', () => actions.hangUp());
    this.#microphone.addEventListener('click', () => actions.setMicrophone(!this.#own.microphone));
    this.#camera.addEventListener('click', () => actions.setCamera(!this.#own.camera));
    this.#full.addEventListener('click', () =>
      this.#setFull(this.#section.dataset['full'] !== 'true'),
    );
    document.addEventListener('fullscreenchange', () => {
      if (!document.fullscreenElement) this.#setFull(false);
    });
    // The key that goes from one part of a window to the next.
    document.addEventListener('keydown', (event) => {
      if (event.key !== 'F6' || this.#state.is === 'idle') return;
      event.preventDefault();
      this.#title.focus();
    });
    setInterval(() => this.#showClock(), 500);
    this.#setFull(false);
  }

  show(state: CallState): void {
    const previous = this.#state;
    this.#state = state;
    const hadFocus = this.#section.contains(document.activeElement);
    this.#section.hidden = state.is === 'idle';
    this.#section.dataset['state'] = state.is;
    this.#sound();
    if (state.is === 'idle') {
      this.#setFull(false);
      if (hadFocus) this.actions.goOn();
      return;
    }
    // The conversation has the name too; only one of them is the call.
    this.#title.replaceChildren(
      ...(state.is === 'ringing'
        ? [`${state.peer} is calling`]
        : [spoken('Call with '), state.peer]),
    );
    this.#avatar.textContent = state.peer.slice(0, 1).toUpperCase();
    this.#remote.setAttribute('aria-label', `Picture of ${state.peer}`);
    this.#accept.hidden = state.is !== 'ringing';
    this.#accept.disabled = state.is === 'ringing' && state.isAnswered;
    const isUnderWay = state.is === 'connecting' || state.is === 'talking';
    this.#microphone.hidden = this.#camera.hidden = this.#full.hidden = !isUnderWay;
    relabel(this.#end, 'hang-up', END_WORDS[state.is]);
    this.#status.textContent = statusOf(state);
    this.#showHint();
    this.#showClock();
    if (state.is !== previous.is) this.#changed(state);
  }

  local(stream: MediaStream | undefined, devices: Devices): void {
    this.#own = devices;
    attach(this.#local, stream, devices.camera);
    const { microphone, camera } = devices;
    relabel(
      this.#microphone,
      microphone ? 'microphone' : 'microphone-off',
      microphone ? 'Mute' : 'Unmute',
    );
    relabel(this.#camera, camera ? 'camera' : 'camera-off', camera ? 'Camera off' : 'Camera on');
    this.#microphone.dataset['off'] = String(!microphone);
    this.#camera.dataset['off'] = String(!camera);
  }

  remote(stream: MediaStream | undefined, devices: Devices): void {
    this.#theirs = devices;
    attach(this.#remote, stream, devices.camera);
    this.#showHint();
  }

  /** Without the server no new call can be placed; this one goes on. */
  connectionChanged(isServerAway: boolean): void {
    this.#isServerAway = isServerAway;
    this.#showHint();
  }

  #changed(state: Exclude<CallState, { is: 'idle' }>): void {
    const { peer } = state;
    if (state.is === 'ringing') this.#said.textContent = `${peer} is calling. Press F6 to answer.`;
    if (state.is === 'talking') this.#said.textContent = `You are connected with ${peer}.`;
    // Somebody who is typing must not answer a call by the next letter.
    const isTyping = document.activeElement?.matches('input, textarea') ?? false;
    if (!isTyping && state.is !== 'talking') this.#title.focus({ preventScroll: true });
  }

  /** The browser's own full screen where there is one, else the whole window: a phone may have only that. */
  #setFull(isFull: boolean): void {
    this.#section.dataset['full'] = String(isFull);
    relabel(this.#full, isFull ? 'shrink' : 'expand', isFull ? 'Leave full screen' : 'Full screen');
    if (isFull && document.fullscreenEnabled)
      this.#section.requestFullscreen().catch(() => undefined);
    if (!isFull && document.fullscreenElement) document.exitFullscreen().catch(() => undefined);
  }

  #showHint(): void {
    const state = this.#state;
    if (state.is !== 'talking') {
      const isReaching = state.is === 'calling' && !state.isRinging;
      this.#hint.textContent = isReaching ? 'It will ring as soon as they come online.' : '';
    } else if (state.isBroken) {
      this.#hint.textContent = 'The connection is interrupted. Looking for another route …';
    } else if (this.#isServerAway) {
      this.#hint.textContent = 'The server cannot be reached. Your call continues without it.';
    } else {
      this.#hint.textContent = this.#theirs.microphone ? '' : `${state.peer} is muted.`;
    }
  }

  #showClock(): void {
    const state = this.#state;
    if (state.is === 'talking') {
      this.#clock.textContent = clock(Math.round((Date.now() - state.since) / 1000));
    } else if (state.is === 'calling' || state.is === 'ringing') {
      const seconds = Math.max(0, Math.ceil((state.until - Date.now()) / 1000));
      this.#clock.textContent = `${seconds} s`;
    } else {
      this.#clock.textContent = '';
    }
  }

  #sound(): void {
    this.#silence();
    const state = this.#state;
    if (state.is === 'ringing' && !state.isAnswered) this.#silence = play('ring');
    else if (state.is === 'calling' && state.isRinging) this.#silence = play('ringback');
    else this.#silence = () => undefined;
  }
}

function statusOf(state: Exclude<CallState, { is: 'idle' }>): string {
  switch (state.is) {
    case 'calling':
      return state.isRinging ? 'Ringing …' : `Reaching ${state.peer} …`;
    case 'ringing':
      return state.isAnswered ? 'Waiting for your microphone and camera …' : KIND_WORDS[state.kind];
    case 'connecting':
      return 'Connecting …';
    case 'talking':
      return '';
  }
}

/** A picture that is switched off is hidden, not taken away: the sound comes from the same element. */
function attach(video: HTMLVideoElement, stream: MediaStream | undefined, isShown: boolean): void {
  if (video.srcObject !== (stream ?? null)) video.srcObject = stream ?? null;
  video.dataset['shown'] = String(isShown);
}
