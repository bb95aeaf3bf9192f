/** A channel's topic line and raised hands. */
import { type Channel, handsOf } from '../model.js';
import { byId } from './dom.js';
import { relabel } from './icons.js';

export interface BoardActions {
  setTopic(channel: Channel, text: string): void;
  setHand(channel: Channel, isRaised: boolean): void;
}

export class BoardView {
  readonly #line = byId('topic');
  readonly #text = byId('topic-text');
  readonly #edit = byId('edit-topic');
  readonly #form = byId<HTMLFormElement>('topic-form');
  readonly #field = byId<HTMLInputElement>('topic-field');
  readonly #hand = byId('hand');
  #channel: Channel | undefined;

  constructor(
    private readonly me: () => string,
    private readonly actions: BoardActions,
  ) {
    this.#edit.addEventListener('click', () => this.#setEditing(true));
    byId('topic-cancel').addEventListener('click', () => this.#setEditing(false));
    this.#field.addEventListener('keydown', (event) => {
      if (event.key === 'Escape') this.#setEditing(false);
    });
    this.#form.addEventListener('submit', (event) => {
      event.preventDefault();
      if (this.#channel) this.actions.setTopic(this.#channel, this.#field.value.trim());
      this.#setEditing(false);
    });
    this.#hand.addEventListener('click', () => {
      if (this.#channel) this.actions.setHand(this.#channel, !this.#isRaised);
    });
  }

  /** `undefined`: the open conversation has no board. */
  show(channel: Channel | undefined): void {
    if (channel !== this.#channel) this.#form.hidden = true;
    this.#channel = channel;
    this.#hand.hidden = !channel;
    this.#line.hidden = !channel || !this.#form.hidden;
    if (!channel) return;
    const { topic } = channel;
    this.#text.textContent = topic?.text ?? '';
    this.#text.title = topic ? `Set by ${topic.by}` : '';
    relabel(this.#edit, 'pencil', topic ? 'Change topic' : 'Set a topic');
    this.#edit.dataset['quiet'] = String(topic !== undefined);
    relabel(this.#hand, 'hand', this.#isRaised ? 'Lower hand' : 'Raise hand');
    this.#hand.dataset['raised'] = String(this.#isRaised);
  }

  get #isRaised(): boolean {
    return this.#channel ? handsOf(this.#channel).includes(this.me()) : false;
  }

  #setEditing(isEditing: boolean): void {
    this.#form.hidden = !isEditing;
    this.show(this.#channel);
    if (isEditing) {
      this.#field.value = this.#channel?.topic?.text ?? '';
      this.#field.select();
    } else {
      this.#edit.focus();
    }
  }
}
