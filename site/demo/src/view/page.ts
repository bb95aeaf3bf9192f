/** The page of somebody who is logged in: routes what the chat tells to the parts that show it. */
import type { RtmStatusCode } from '@tidings/rtm';
import { addressOf, conversationIn } from '../address.js';
import { type CallListener, Calls } from '../call/calls.js';
import type { CallState, Devices } from '../call/state.js';
import { Chat, type ChatListener } from '../chat.js';
import * as memory from '../memory.js';
import type { Conversation, Entry, Message, Picture } from '../model.js';
import { type Action, inWords } from '../words.js';
import { CallView } from './call.js';
import type { ConnectionView, Notices } from './connection.js';
import { ConversationView } from './conversation.js';
import { byId, onSubmit } from './dom.js';
import { linkTo, offerLink } from './links.js';
import { NothingOpen } from './nothing-open.js';
import { Viewer } from './picture.js';
import { Sidebar, beginningOf } from './sidebar.js';
import { Timeline } from './timeline.js';

interface Shown {
  readonly timeline: Timeline;
  unread: number;
  /** The newest part of its history has been asked for. */
  isRead: boolean;
}

export class Page implements ChatListener, CallListener {
  readonly #sidebar = new Sidebar();
  readonly #timelines = byId('timelines');
  readonly #shown = new Map<Conversation, Shown>();
  readonly #viewer = new Viewer();
  readonly #conversation: ConversationView;
  readonly #call: CallView;
  readonly #nothing = new NothingOpen((candidates) => this.#chat?.freeName(candidates));
  #isConnected = false;
  #chat: Chat | undefined;
  #calls: Calls | undefined;

  constructor(
    private readonly connection: ConnectionView,
    private readonly notices: Notices,
  ) {
    this.#conversation = new ConversationView(() => this.#chat?.me ?? '', {
      send: (to, text) => void this.#chat?.send(to, text),
      sendPicture: (to, file) => {
        this.#chat
          ?.sendPicture(to, file)
          .catch((error: unknown) => this.#conversation.problem(to, inWords('upload', error)));
      },
      call: ({ name }, kind) => void this.#calls?.call(name, kind),
      copyLink: (channel) => void offerLink(linkTo(channel), notices),
      setTopic: (channel, text) => this.#try(this.#chat?.setTopic(channel, text), 'share'),
      setHand: (channel, isRaised) => this.#try(this.#chat?.setHand(channel, isRaised), 'share'),
      end: (conversation) => this.#end(conversation),
    });
    this.#call = new CallView({
      accept: () => {
        const state = this.#calls?.state;
        // What is said about the call afterwards stands in the caller's conversation.
        if (state?.is === 'ringing') location.hash = addressOf({ is: 'person', name: state.peer });
        void this.#calls?.accept();
      },
      hangUp: () => this.#calls?.hangUp(),
      setMicrophone: (isOn) => this.#calls?.setMicrophone(isOn),
      setCamera: (isOn) => void this.#calls?.setCamera(isOn),
      goOn: () => this.#conversation.focus(),
    });
    for (const id of ['my-link', 'my-link-too']) {
      byId(id).addEventListener('click', () => {
        if (this.#chat) void offerLink(linkTo({ is: 'person', name: this.#chat.me }), notices);
      });
    }
    onSubmit(
      byId<HTMLFormElement>('add-person'),
      (name) => this.#open({ is: 'person', name }),
      (error) => inWords('watch', error),
    );
    onSubmit(
      byId<HTMLFormElement>('join-channel'),
      (name) => this.#open({ is: 'channel', name: name.replace(/^#/, '') }),
      (error) => inWords('join', error),
    );
    window.addEventListener('hashchange', () => this.follow());
  }

  get chat(): Chat | undefined {
    return this.#chat;
  }

  /** Rejects when the server refuses. The caller shows the page, then calls `follow`. */
  async login(user: string): Promise<void> {
    const chat = new Chat(user, this);
    this.#chat = chat;
    this.#calls = new Calls(chat.client, user, this);
    this.#clear();
    try {
      await chat.login();
    } catch (error) {
      this.#chat = this.#calls = undefined;
      throw error;
    }
    chat.addPeople(memory.people.read(user)).catch((error: unknown) => {
      this.noticed(`Your people are not shown. ${inWords('watch', error)}`);
    });
  }

  async logout(): Promise<void> {
    const chat = this.#chat;
    this.#calls?.hangUp();
    this.#chat = this.#calls = undefined;
    await chat?.logout();
    this.#clear();
  }

  /** The page is being closed. */
  leaveNow(): void {
    this.#calls?.hangUp();
    this.#chat?.leaveNow();
  }

  /** Opens the conversation that the address names, and makes it if it is not there yet. */
  follow(): void {
    const wanted = conversationIn(location.hash);
    const previous = this.#conversation.open;
    const found = [...this.#shown.keys()].find(
      ({ is, name }) => is === wanted?.is && name === wanted.name,
    );
    const shown = found && this.#shown.get(found);
    if (shown) shown.unread = 0;
    this.#conversation.show(found, shown?.timeline);
    if (found) this.#readHistory(found);
    for (const conversation of [previous, found]) {
      if (conversation && this.#shown.has(conversation)) this.conversationChanged(conversation);
    }
    this.#showNothing();
    if (!wanted || found || !this.#chat) return;
    this.#open(wanted).catch((error: unknown) => {
      this.noticed(inWords(wanted.is === 'person' ? 'watch' : 'join', error));
      location.hash = '#/';
    });
  }

  /** The page is looked at again: what is open has been read. */
  seen(): void {
    const shown = this.#conversation.open && this.#shown.get(this.#conversation.open);
    if (!this.#conversation.open || !shown) return;
    shown.unread = 0;
    this.conversationChanged(this.#conversation.open);
  }

  /** The connection is lost, and the user does not want to wait for the SDK's next attempt. */
  reconnectNow(): void {
    this.#chat?.reconnectNow();
  }

  // ---------------------------------------------------------------- what the chat tells

  connectionChanged(
    state: RtmStatusCode.ConnectionState,
    reason: RtmStatusCode.ConnectionChangeReason,
  ): void {
    this.connection.show(state, reason);
    this.#isConnected = state === 'CONNECTED';
    this.#call.connectionChanged(!this.#isConnected);
    this.#conversation.setConnected(this.#isConnected);
    for (const conversation of this.#shown.keys()) this.#showInSidebar(conversation);
  }

  conversationChanged(conversation: Conversation): void {
    this.#shownOf(conversation);
    this.#showInSidebar(conversation);
    if (conversation === this.#conversation.open) this.#conversation.update();
    this.#showNothing();
    this.#showTitle();
    if (conversation.is === 'person') this.#rememberPeople();
  }

  conversationRemoved(conversation: Conversation): void {
    this.#shown.get(conversation)?.timeline.element.remove();
    this.#shown.delete(conversation);
    this.#sidebar.remove(conversation);
    if (conversation === this.#conversation.open) {
      this.#conversation.show(undefined, undefined);
      location.hash = '#/';
    }
    this.#showNothing();
    this.#showTitle();
    if (conversation.is === 'person') this.#rememberPeople();
  }

  entryAdded(conversation: Conversation, entry: Entry): void {
    const shown = this.#shownOf(conversation);
    shown.timeline.add(entry);
    const isSeen = conversation === this.#conversation.open && !document.hidden;
    const isNews = entry.is === 'message' ? !entry.receipt : entry.isNews === true;
    if (isNews && !isSeen) shown.unread++;
    this.conversationChanged(conversation);
  }

  earlierAdded(conversation: Conversation, messages: readonly Message[], hasMore?: boolean): void {
    this.#shownOf(conversation).timeline.addEarlier(messages, hasMore);
  }

  receiptChanged(conversation: Conversation, message: Message): void {
    this.#shownOf(conversation).timeline.showReceipt(message);
  }

  noticed(text: string): void {
    this.notices.add(text);
  }

  // ---------------------------------------------------------------- what a call tells

  callChanged(state: CallState): void {
    this.#call.show(state);
    this.#conversation.setCallable(state.is === 'idle');
    byId('chat').dataset['call'] = state.is;
    this.#showTitle();
  }

  callEnded(peer: string, text: string, isNews: boolean): void {
    const person = this.#chat?.personOf(peer);
    if (!person) return;
    this.entryAdded(person, { is: 'note', text, kind: 'call', isNews });
    // News are counted; the rest would be seen in the conversation only.
    if (!isNews && person !== this.#conversation.open) this.notices.brief(`${peer}: ${text}`);
  }

  callProblem(text: string): void {
    this.noticed(text);
  }

  localStream(stream: MediaStream | undefined, devices: Devices): void {
    this.#call.local(stream, devices);
  }

  remoteStream(stream: MediaStream | undefined, devices: Devices): void {
    this.#call.remote(stream, devices);
  }

  // ---------------------------------------------------------------- what the user does

  /** Adds a person or joins a channel, then opens it. */
  async #open(wanted: Pick<Conversation, 'is' | 'name'>): Promise<void> {
    await this.#add(wanted);
    byId<HTMLInputElement>(wanted.is === 'person' ? 'person' : 'channel').value = '';
    const address = addressOf(wanted);
    if (location.hash === address) this.follow();
    else location.hash = address;
  }

  async #add({ is, name }: Pick<Conversation, 'is' | 'name'>): Promise<void> {
    if (is === 'person') await this.#chat?.addPeople([name]);
    else await this.#chat?.join(name);
  }

  #end(conversation: Conversation): void {
    const isChannel = conversation.is === 'channel';
    this.#try(
      isChannel ? this.#chat?.leave(conversation) : this.#chat?.removePerson(conversation),
      'watch',
    );
  }

  #openPicture(picture: Picture): void {
    const chat = this.#chat;
    if (chat)
      void this.#viewer.open(
        picture,
        () => chat.loadPicture(picture),
        (error) => inWords('download', error),
      );
  }

  #try(done: Promise<void> | undefined, action: Action): void {
    done?.catch((error: unknown) => this.noticed(inWords(action, error)));
  }

  // ---------------------------------------------------------------- inside

  #showInSidebar(conversation: Conversation): void {
    const unread = this.#shown.get(conversation)?.unread ?? 0;
    this.#sidebar.show(
      conversation,
      unread,
      conversation === this.#conversation.open,
      this.#isConnected,
    );
  }

  #showNothing(): void {
    if (this.#conversation.open || !this.#chat) return;
    const unread = [...this.#shown]
      .filter(([, shown]) => shown.unread > 0)
      .map(([conversation]) => conversation);
    this.#nothing.show(this.#chat.me, this.#shown.size > 0, unread.at(-1));
  }

  /** When a conversation is opened for the first time; the button above it asks for more. */
  #readHistory(conversation: Conversation): void {
    const shown = this.#shown.get(conversation);
    if (!shown || shown.isRead) return;
    shown.isRead = true;
    this.#loadEarlier(conversation);
  }

  #loadEarlier(conversation: Conversation): void {
    this.#chat?.loadEarlier(conversation).catch((error: unknown) => {
      const shown = this.#shown.get(conversation);
      if (!shown) return;
      // The next time that it is opened is the next attempt.
      shown.isRead = false;
      const text = `Earlier messages cannot be shown. ${inWords('history', error)}`;
      this.entryAdded(conversation, { is: 'note', text, kind: 'warning' });
    });
  }

  #shownOf(conversation: Conversation): Shown {
    const known = this.#shown.get(conversation);
    if (known) return known;
    const isChannel = conversation.is === 'channel';
    const label = `Messages with ${isChannel ? '#' : ''}${conversation.name}`;
    const timeline = new Timeline(
      label,
      beginningOf(conversation),
      isChannel ? 'authors' : 'messages',
      {
        again: (message) => void this.#chat?.deliver(conversation, message),
        earlier: () => this.#loadEarlier(conversation),
        openPicture: (picture) => this.#openPicture(picture),
      },
    );
    this.#timelines.append(timeline.element);
    const shown = { timeline, unread: 0, isRead: false };
    this.#shown.set(conversation, shown);
    return shown;
  }

  #rememberPeople(): void {
    if (this.#chat) memory.people.write(this.#chat.me, this.#chat.people);
  }

  #showTitle(): void {
    let unread = 0;
    for (const shown of this.#shown.values()) unread += shown.unread;
    const call = this.#calls?.state;
    if (call?.is === 'ringing') {
      document.title = `☎ ${call.peer} is calling`;
      return;
    }
    const title = this.#chat ? `${this.#chat.me} – Tidings demo` : 'Tidings demo';
    document.title = unread > 0 ? `(${unread}) ${title}` : title;
  }

  #clear(): void {
    this.#shown.clear();
    this.#timelines.replaceChildren();
    this.#sidebar.clear();
    this.#conversation.show(undefined, undefined);
    this.notices.clear();
    this.#showTitle();
  }
}
