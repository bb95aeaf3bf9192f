/** The open conversation: its head, its timeline, and the parts that have files of their own. */
import type { CallKind } from '../call/state.js';
import type { Channel, Conversation, Person } from '../model.js';
import { Composer } from './composer.js';
import { byId } from './dom.js';
import { MembersView } from './members.js';
import { presenceWords } from './sidebar.js';
import type { Timeline } from './timeline.js';
import { type BoardActions, BoardView } from './topic.js';

export interface ConversationActions extends BoardActions {
  send(to: Conversation, text: string): void;
  sendPicture(to: Conversation, file: File): void;
  call(person: Person, kind: CallKind): void;
  copyLink(channel: Channel): void;
  /** Leaves a channel, forgets a person. */
  end(conversation: Conversation): void;
}

export class ConversationView {
  readonly #chat = byId('chat');
  readonly #section = byId('conversation');
  readonly #nothing = byId('nothing-open');
  #isConnected = false;
  readonly #name = byId('conversation-name');
  readonly #state = byId('conversation-state');
  readonly #remove = byId('remove-person');
  readonly #leave = byId('leave-channel');
  readonly #calls = {
    audio: byId<HTMLButtonElement>('call-audio'),
    video: byId<HTMLButtonElement>('call-video'),
  };
  readonly #board: BoardView;
  readonly #members: MembersView;
  readonly #composer: Composer;
  #open: Conversation | undefined;
  #timeline: Timeline | undefined;

  constructor(me: () => string, actions: ConversationActions) {
    this.#board = new BoardView(me, actions);
    this.#members = new MembersView(me);
    this.#composer = new Composer({
      send: (text) => this.#with((open) => actions.send(open, text)),
      sendPicture: (file) => this.#with((open) => actions.sendPicture(open, file)),
    });
    const end = () => this.#with((open) => actions.end(open));
    this.#remove.addEventListener('click', end);
    this.#leave.addEventListener('click', end);
    byId('channel-link').addEventListener('click', () => {
      if (this.#open?.is === 'channel') actions.copyLink(this.#open);
    });
    for (const kind of ['audio', 'video'] as const) {
      this.#calls[kind].addEventListener('click', () => {
        if (this.#open?.is === 'person') actions.call(this.#open, kind);
      });
    }
  }

  get open(): Conversation | undefined {
    return this.#open;
  }

  show(conversation: Conversation | undefined, timeline: Timeline | undefined): void {
    const isNew = conversation !== this.#open;
    if (this.#timeline) this.#timeline.element.hidden = true;
    this.#open = conversation;
    this.#timeline = timeline;
    this.#chat.dataset['open'] = String(conversation !== undefined);
    this.#section.hidden = conversation === undefined;
    this.#nothing.hidden = conversation !== undefined;
    if (!conversation || !timeline) {
      if (hasKeyboard()) byId('person').focus();
      return;
    }
    timeline.element.hidden = false;
    timeline.scrollToEnd();
    this.#members.setShown(false);
    this.update();
    if (isNew) this.#focus();
  }

  /** Shows anew what may change about the open conversation. */
  update(): void {
    const conversation = this.#open;
    if (!conversation) return;
    const channel = conversation.is === 'channel' ? conversation : undefined;
    const title = channel ? `#${channel.name}` : conversation.name;
    this.#section.dataset['kind'] = conversation.is;
    this.#name.textContent = title;
    this.#composer.addressTo(title);
    this.#board.show(channel);
    this.#members.show(channel);
    this.#leave.ariaLabel = `Leave ${title}`;
    this.#remove.ariaLabel = `Remove ${title}`;
    this.#calls.audio.ariaLabel = `Call ${title}`;
    this.#calls.video.ariaLabel = `Call ${title} with video`;
    for (const button of [this.#remove, this.#calls.audio, this.#calls.video])
      button.hidden = channel !== undefined;
    delete this.#state.dataset['presence'];
    this.#state.textContent = '';
    if (conversation.is !== 'person') return;
    this.#state.textContent = presenceWords(conversation.presence, this.#isConnected);
    if (conversation.presence && this.#isConnected)
      this.#state.dataset['presence'] = conversation.presence;
  }

  /** While the connection is lost, nothing is said about who is there. */
  setConnected(isConnected: boolean): void {
    this.#isConnected = isConnected;
    this.update();
  }

  /** Something about what was to be sent to `to` is wrong. */
  problem(to: Conversation, text: string): void {
    if (to === this.#open) this.#composer.problem(text);
  }

  /** To where one goes on: the message field, or the way to a conversation. */
  focus(): void {
    if (this.#open) this.#focus();
    else if (hasKeyboard()) byId('person').focus();
  }

  /** There is one call at a time. */
  setCallable(isCallable: boolean): void {
    for (const button of Object.values(this.#calls)) button.disabled = !isCallable;
  }

  #with(act: (open: Conversation) => void): void {
    if (this.#open) act(this.#open);
  }

  /** To the field where there is a keyboard; elsewhere an on-screen one would cover the messages. */
  #focus(): void {
    if (hasKeyboard()) this.#composer.focus();
    else this.#name.focus({ preventScroll: true });
  }
}

function hasKeyboard(): boolean {
  return matchMedia('(hover: hover) and (pointer: fine)').matches;
}
