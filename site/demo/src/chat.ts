/**
 * The chat itself: login, people, channels and messages. Read this file first to learn how to use
 * the SDK; `board.ts`, `pictures.ts` and `call/` have the rest, and `view/` only shows what happens.
 */
import AgoraRTM from '@tidings/rtm';
import type { RtmClient, RtmMessage, RtmStatusCode } from '@tidings/rtm';
import { APP_ID } from './app-id.js';
import { lowerHand, raiseHand, readBoard, setTopic } from './board.js';
import { History } from './history.js';
import { parcelIn } from './call/signals.js';
import type { Channel, Conversation, Entry, Message, Person, Picture } from './model.js';
import { load, pictureIn, pictureOf, upload } from './pictures.js';
import { type Action, canRetry, gapInWords, inWords } from './words.js';

/** What the chat tells the page. */
export interface ChatListener {
  connectionChanged(
    state: RtmStatusCode.ConnectionState,
    reason: RtmStatusCode.ConnectionChangeReason,
  ): void;
  /** New, or something about it is: a person's presence, a channel's members. */
  conversationChanged(conversation: Conversation): void;
  conversationRemoved(conversation: Conversation): void;
  entryAdded(conversation: Conversation, entry: Entry): void;
  /** From the server's history, the oldest one first; some may be on the page already. `hasMore`: older ones are left. */
  earlierAdded(conversation: Conversation, messages: readonly Message[], hasMore?: boolean): void;
  receiptChanged(conversation: Conversation, message: Message): void;
  /** Something that belongs to no conversation. */
  noticed(text: string): void;
}

export class Chat {
  readonly client: RtmClient;
  readonly #people = new Map<string, Person>();
  readonly #channels = new Map<string, Channel>();
  readonly #history: History;
  /** Conversations whose history is being read. */
  readonly #reading = new Map<Conversation, Promise<void>>();

  constructor(
    readonly me: string,
    private readonly listener: ChatListener,
  ) {
    // Without an endpoint the client connects to where the page came from.
    this.client = AgoraRTM.createInstance(APP_ID);
    this.#history = new History(this.client);
    this.#listen();
  }

  get people(): readonly string[] {
    return [...this.#people.keys()];
  }

  // ---------------------------------------------------------------- login

  /** Once this has resolved, the SDK keeps the login alive: over lost networks and restarts of the server. */
  async login(): Promise<void> {
    await this.client.login({ uid: this.me });
  }

  async logout(): Promise<void> {
    await this.client.logout();
  }

  /** While the connection is lost, the SDK tries again by itself, with pauses that grow. This ends the pause. */
  reconnectNow(): void {
    const client = this.client as RtmClient & { reconnectNow?: () => void };
    client.reconnectNow?.();
  }

  /** For a page that is being closed: others see at once that we are gone. */
  leaveNow(): void {
    if (this.client.connectionState !== 'DISCONNECTED') this.client.logoutSync();
  }

  #listen(): void {
    this.client.on('ConnectionStateChanged', (state, reason) => {
      this.listener.connectionChanged(state, reason);
    });

    this.client.on('MessageFromPeer', (message, from, { serverReceivedTs, isOfflineMessage }) => {
      // Calls use messages of their own, which nobody wants to read.
      if (parcelIn(message)) return;
      this.#received(this.personOf(from), message, {
        from,
        at: serverReceivedTs,
        wasStored: isOfflineMessage,
      });
    });

    // The first event after a subscription has everybody; later ones have whoever changed.
    this.client.on('PeersOnlineStatusChanged', (states) => {
      for (const [name, presence] of Object.entries(states)) {
        const person = this.#people.get(name);
        if (!person) continue;
        person.presence = presence;
        this.listener.conversationChanged(person);
      }
    });

    this.client.on('MessageGap', (gap) => {
      const text = gapInWords(gap);
      const channel = gap.source.type === 'channel' && this.#channels.get(gap.source.channelId);
      if (!channel) return this.listener.noticed(text);
      this.listener.entryAdded(channel, { is: 'note', text, kind: 'warning' });
      // A change of the topic or of a hand may be among what is missing, and can be asked for; so can messages.
      this.#readBoard(channel).catch(() => undefined);
      this.#readMissed(channel).catch(() => undefined);
    });
  }

  // ---------------------------------------------------------------- people

  /** Somebody who is not online, so that a second tab of ours takes nobody's place. */
  async freeName(candidates: readonly string[]): Promise<string | undefined> {
    const others = candidates.filter((name) => name !== this.me);
    const isOnline = await this.client.queryPeersOnlineStatus([...others]);
    return others.find((name) => !isOnline[name]);
  }

  /** Follows the presence of people, so that we see who is there to talk to. */
  async addPeople(names: readonly string[]): Promise<void> {
    const added = names.filter((name) => !this.#people.has(name)).map((name) => this.#add(name));
    if (added.length === 0) return;
    try {
      await this.client.subscribePeersOnlineStatus(added.map(({ name }) => name));
    } catch (error) {
      for (const person of added) this.#forget(person);
      throw error;
    }
  }

  async removePerson(person: Person): Promise<void> {
    this.#forget(person);
    await this.client.unsubscribePeersOnlineStatus([person.name]);
  }

  /** Who has written to us or called us, perhaps for the first time. */
  personOf(name: string): Person {
    const known = this.#people.get(name);
    if (known) return known;
    const person = this.#add(name);
    this.client.subscribePeersOnlineStatus([name]).catch((error: unknown) => {
      this.listener.noticed(`Cannot tell whether ${name} is there. ${inWords('watch', error)}`);
    });
    return person;
  }

  #add(name: string): Person {
    const person: Person = { is: 'person', name, presence: undefined };
    this.#people.set(name, person);
    this.listener.conversationChanged(person);
    return person;
  }

  #forget(person: Person): void {
    this.#people.delete(person.name);
    this.#history.forget(person);
    this.listener.conversationRemoved(person);
  }

  // ---------------------------------------------------------------- channels

  async join(name: string): Promise<void> {
    if (this.#channels.has(name)) return;
    const rtm = this.client.createChannel(name);
    const channel: Channel = {
      is: 'channel',
      name,
      rtm,
      members: new Map(),
      count: 0,
      topic: undefined,
      hands: [],
    };

    // Listen first, join then: no event can slip through between the two.
    rtm.on('ChannelMessage', (message, from, { serverReceivedTs, isOfflineMessage }) => {
      this.#received(channel, message, { from, at: serverReceivedTs, wasStored: isOfflineMessage });
    });
    rtm.on('MemberJoined', (member) => this.#memberChanged(channel, member, true));
    rtm.on('MemberLeft', (member) => this.#memberChanged(channel, member, false));
    rtm.on('MemberCountUpdated', (count) => {
      channel.count = count;
      this.listener.conversationChanged(channel);
    });

    rtm.on('AttributesUpdated', (attributes) => {
      readBoard(channel, attributes);
      this.listener.conversationChanged(channel);
    });

    this.#channels.set(name, channel);
    try {
      await rtm.join();
    } catch (error) {
      this.#channels.delete(name);
      throw error;
    }
    this.listener.conversationChanged(channel);

    // What an event has told meanwhile is newer than the list.
    for (const member of await rtm.getMembers()) {
      if (!channel.members.has(member)) channel.members.set(member, true);
    }
    await this.#readBoard(channel);
  }

  async #readBoard(channel: Channel): Promise<void> {
    readBoard(channel, await this.client.getChannelAttributes(channel.name));
    this.listener.conversationChanged(channel);
  }

  async leave(channel: Channel): Promise<void> {
    if (channel.hands.includes(this.me)) await this.setHand(channel, false);
    await channel.rtm.leave();
    channel.rtm.removeAllListeners();
    this.#channels.delete(channel.name);
    this.#history.forget(channel);
    this.listener.conversationRemoved(channel);
  }

  async setTopic(channel: Channel, text: string): Promise<void> {
    await setTopic(this.client, channel, text);
  }

  async setHand(channel: Channel, isRaised: boolean): Promise<void> {
    await (isRaised ? raiseHand : lowerHand)(this.client, channel, this.me);
  }

  #memberChanged(channel: Channel, member: string, isIn: boolean): void {
    channel.members.set(member, isIn);
    const text = `${member} ${isIn ? 'joined' : 'left'}`;
    this.listener.entryAdded(channel, { is: 'note', text, kind: 'plain' });
    this.listener.conversationChanged(channel);
  }

  // ---------------------------------------------------------------- messages

  async send(to: Conversation, text: string, picture?: Picture): Promise<void> {
    const message: Message = {
      is: 'message',
      from: this.me,
      text,
      picture,
      at: Date.now(),
      wasStored: false,
      isOwn: true,
      receipt: { is: 'sending' },
    };
    this.listener.entryAdded(to, message);
    // What is being read of the history must not have this message in it as well.
    await this.#reading.get(to)?.catch(() => undefined);
    await this.deliver(to, message);
  }

  /** Rejects, in words, when the file is no picture. */
  async sendPicture(to: Conversation, file: File): Promise<void> {
    await this.send(to, file.name, await pictureOf(file));
  }

  /** A picture in full, as a file. */
  async loadPicture(picture: Picture): Promise<Blob> {
    return load(this.client, picture);
  }

  /** Sends a message, for the first time or once more, and notes on it what became of it. */
  async deliver(to: Conversation, message: Message): Promise<void> {
    const become = (receipt: Message['receipt'] & {}) => {
      message.receipt = receipt;
      this.listener.receiptChanged(to, message);
    };
    let action: Action = 'upload';
    become({ is: 'sending' });
    try {
      const content = await this.#contentOf(message, (share) => become({ is: 'uploading', share }));
      if (to.is === 'channel') {
        action = 'sendToChannel';
        await to.rtm.sendMessage(content, { enableHistoricalMessaging: true });
        become({ is: 'sent' });
      } else {
        action = 'sendToPerson';
        const options = { enableOfflineMessaging: true, enableHistoricalMessaging: true };
        const { hasPeerReceived } = await this.client.sendMessageToPeer(content, to.name, options);
        become({ is: hasPeerReceived ? 'delivered' : 'stored' });
      }
    } catch (error) {
      become({ is: 'failed', why: inWords(action, error), canRetry: canRetry(action, error) });
    }
  }

  /** Shows what was said before: the newest messages first, the ones before them with each further call. */
  loadEarlier(conversation: Conversation): Promise<void> {
    const known = this.#reading.get(conversation);
    if (known) return known;
    const read = async () => {
      const { messages, hasMore } = await this.#history.earlier(conversation);
      this.listener.earlierAdded(
        conversation,
        messages.map((message) => this.#fromHistory(message)),
        hasMore,
      );
    };
    const reading = read().finally(() => this.#reading.delete(conversation));
    this.#reading.set(conversation, reading);
    return reading;
  }

  /** Our own messages are on the page since they were sent. */
  async #readMissed(channel: Channel): Promise<void> {
    const messages = (await this.#history.latest(channel)).filter(
      ({ userId }) => userId !== this.me,
    );
    this.listener.earlierAdded(
      channel,
      messages.map((message) => this.#fromHistory(message)),
    );
  }

  #fromHistory({ message, userId, serverReceivedTs }: AgoraRTM.HistoryMessage): Message {
    const content = { text: textOf(message), picture: pictureIn(message) };
    const about = {
      from: userId,
      at: serverReceivedTs,
      wasStored: false,
      isOwn: userId === this.me,
    };
    return { is: 'message', ...content, ...about };
  }

  async #contentOf(
    { text, picture }: Message,
    progress: (share: number) => void,
  ): Promise<RtmMessage> {
    if (picture?.source.is !== 'file') return { text };
    return upload(this.client, picture, picture.source.file, progress);
  }

  #received(
    conversation: Conversation,
    message: RtmMessage,
    about: { from: string; at: number; wasStored: boolean },
  ): void {
    const content = { text: textOf(message), picture: pictureIn(message) };
    this.listener.entryAdded(conversation, { is: 'message', isOwn: false, ...content, ...about });
  }
}

/** Other programs may send more than text. */
function textOf(message: RtmMessage): string {
  if ('text' in message) return message.text;
  if ('rawMessage' in message) {
    return message.description || `(binary message of ${message.rawMessage.length} bytes)`;
  }
  return message.fileName;
}
