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
}

const KIND_WORDS = { audio: 'Voice call', video: 'Video call' } as const;
const END_WORDS = { calling: 'Cancel', ringing: 'Decline', connecting: 'Hang up', talking: 'Hang up' } as const;

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
  #state: CallState = { is: 'idle' };
  #own: Devices = { microphone: false, camera: false };
  #theirs: Devices = { microphone: false, camera: false };
  #isServerAway = false;
  #silence: () => void = () => undefined;

  constructor(actions: CallActions) {
    this.#accept.addEventListener('click', () => actions.accept());
    this.#end.addEventListener('click', () => actions.hangUp());
    this.#microphone.addEventListener('click', () => actions.setMicrophone(!this.#own.microphone));
    this.#camera.addEventListener('click', () => actions.setCamera(!this.#own.camera));
    // The key that goes from one part of a window to the next.
    document.addEventListener('keydown', (event) => {
      if (event.key !== 'F6' || this.#state.is === 'idle') return;
      event.preventDefault();
      this.#title.focus();
    });
    setInterval(() => this.#showClock(), 500);
  }

  show(state: CallState): void {
    const previous = this.#state;
    this.#state = state;
    this.#section.hidden = state.is === 'idle';
    this.#section.dataset['state'] = state.is;
    this.#sound();
    if (state.is === 'idle') return;
    // The conversation has the name too; only one of them is the call.
    this.#title.replaceChildren(
      ...(state.is === 'ringing' ? [`${state.peer} is calling`] : [spoken('Call with '), state.peer]),
    );
    this.#avatar.textContent = state.peer.slice(0, 1).toUpperCase();
    this.#remote.setAttribute('aria-label', `Picture of ${state.peer}`);
    this.#accept.hidden = state.is !== 'ringing';
    this.#accept.disabled = state.is === 'ringing' && state.isAnswered;
    this.#microphone.hidden = this.#camera.hidden = state.is !== 'connecting' && state.is !== 'talking';
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
    relabel(this.#microphone, microphone ? 'microphone' : 'microphone-off', microphone ? 'Mute' : 'Unmute');
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

  #showHint(): void {
    const state = this.#state;
    if (state.is !== 'talking') {
      const isReaching = state.is === 'calling' && !state.isRinging;
      this.#hint.textContent = isReaching ? 'It rings as soon as they are here.' : '';
    } else if (state.isBroken) {
      this.#hint.textContent = 'The line is broken. Looking for another way …';
    } else if (this.#isServerAway) {
      this.#hint.textContent = 'The server is away. Your call goes on without it.';
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
