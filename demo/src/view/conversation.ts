/** The open conversation: its head, its timeline, the field to write in, and a channel's members. */
import { type Conversation, membersOf } from '../model.js';
import { byId, element } from './dom.js';
import { PRESENCE_WORDS } from './sidebar.js';
import type { Timeline } from './timeline.js';

export interface ConversationActions {
  send(to: Conversation, text: string): void;
  /** Leaves a channel, forgets a person. */
  end(conversation: Conversation): void;
}

export class ConversationView {
  readonly #chat = byId('chat');
  readonly #section = byId('conversation');
  readonly #nothing = byId('nothing-open');
  readonly #name = byId('conversation-name');
  readonly #state = byId('conversation-state');
  readonly #end = byId<HTMLButtonElement>('end-conversation');
  readonly #showMembers = byId<HTMLButtonElement>('show-members');
  readonly #members = byId('members');
  readonly #memberCount = byId('members-heading');
  readonly #memberList = byId('member-list');
  readonly #text = byId<HTMLTextAreaElement>('text');
  readonly #textLabel = byId('text-label');
  #open: Conversation | undefined;
  #timeline: Timeline | undefined;

  constructor(
    private readonly me: () => string,
    private readonly actions: ConversationActions,
  ) {
    byId('composer').addEventListener('submit', (event) => {
      event.preventDefault();
      this.#send();
    });
    this.#text.addEventListener('keydown', (event) => {
      const isSend = event.key === 'Enter' && !event.shiftKey && !event.isComposing;
      if (!isSend) return;
      event.preventDefault();
      this.#send();
    });
    this.#end.addEventListener('click', () => {
      if (this.#open) this.actions.end(this.#open);
    });
    this.#showMembers.addEventListener('click', () => {
      this.#setMembersShown(this.#showMembers.ariaExpanded !== 'true');
    });
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
    this.#setMembersShown(false);
    this.update();
    if (isNew) this.#focus();
  }

  /** Shows anew what may change about the open conversation. */
  update(): void {
    const conversation = this.#open;
    if (!conversation) return;
    const isChannel = conversation.is === 'channel';
    const title = isChannel ? `#${conversation.name}` : conversation.name;
    this.#name.textContent = title;
    this.#textLabel.textContent = `Message to ${title}`;
    this.#text.placeholder = `Message to ${title}`;
    this.#end.textContent = isChannel ? 'Leave' : 'Remove';
    this.#end.ariaLabel = isChannel ? `Leave ${title}` : `Remove ${title}`;
    this.#showMembers.hidden = !isChannel;
    this.#members.hidden = !isChannel;
    this.#section.dataset['kind'] = conversation.is;
    delete this.#state.dataset['presence'];
    if (conversation.is === 'channel') {
      this.#state.textContent = membersInWords(conversation.count);
      this.#showMemberList(membersOf(conversation), conversation.count);
    } else {
      const { presence } = conversation;
      this.#state.textContent = presence ? PRESENCE_WORDS[presence] : '';
      if (presence) this.#state.dataset['presence'] = presence;
    }
  }

  #showMemberList(names: readonly string[], count: number): void {
    this.#memberCount.textContent = membersInWords(count);
    this.#showMembers.textContent = membersInWords(count);
    const me = this.me();
    this.#memberList.replaceChildren(
      ...names.map((name) => {
        const item = element('li', '', name);
        if (name === me) item.append(' ', element('span', 'state', 'you'));
        return item;
      }),
    );
    if (count > names.length && names.length > 0) {
      this.#memberList.append(element('li', 'state', `and ${count - names.length} more`));
    }
  }

  #setMembersShown(isShown: boolean): void {
    this.#showMembers.ariaExpanded = String(isShown);
    this.#members.dataset['shown'] = String(isShown);
  }

  #send(): void {
    const text = this.#text.value.trim();
    if (!this.#open || text === '') return;
    this.#text.value = '';
    this.actions.send(this.#open, text);
    this.#text.focus();
  }

  /** To the field where there is a keyboard; elsewhere an on-screen one would cover the messages. */
  #focus(): void {
    (hasKeyboard() ? this.#text : this.#name).focus({ preventScroll: true });
  }
}

function hasKeyboard(): boolean {
  return matchMedia('(hover: hover) and (pointer: fine)').matches;
}

function membersInWords(count: number): string {
  return count === 1 ? '1 member' : `${count} members`;
}
