/**
 * Earlier messages. The server keeps a copy of whatever was sent with `enableHistoricalMessaging`;
 * a page that is loaded again asks for it, the newest part first.
 */
import type AgoraRTM from '@tidings/rtm';
import type { RtmClient } from '@tidings/rtm';
import type { Conversation } from './model.js';

/** Messages in one request; the server's own maximum. */
const PAGE = 100;

export interface Earlier {
  /** The oldest one first. */
  readonly messages: readonly AgoraRTM.HistoryMessage[];
  /** Whether there are still older ones. */
  readonly hasMore: boolean;
}

export class History {
  /** Where the next request goes on; `undefined` when everything has been read. */
  readonly #next = new Map<Conversation, number | undefined>();

  constructor(private readonly client: RtmClient) {}

  /** The newest messages; each further call brings the ones before them. */
  async earlier(conversation: Conversation): Promise<Earlier> {
    let messages: AgoraRTM.HistoryMessage[] = [];
    let before = this.#next.get(conversation);
    if (before === undefined && this.#next.has(conversation)) return { messages, hasMore: false };
    do {
      // A page may be empty although more follow: what it would have had is no longer kept.
      const page = await this.#read(conversation, { before, order: 'newest_first', limit: PAGE });
      messages = page.messages;
      before = page.next;
    } while (messages.length === 0 && before !== undefined);
    this.#next.set(conversation, before);
    return { messages: [...messages].reverse(), hasMore: before !== undefined };
  }

  /** The newest messages once more, for a page that has missed some. The oldest one first. */
  async latest(conversation: Conversation): Promise<readonly AgoraRTM.HistoryMessage[]> {
    const { messages } = await this.#read(conversation, { order: 'newest_first', limit: PAGE });
    return [...messages].reverse();
  }

  forget(conversation: Conversation): void {
    this.#next.delete(conversation);
  }

  #read(
    conversation: Conversation,
    options: AgoraRTM.HistoryOptions,
  ): Promise<AgoraRTM.HistoryPage> {
    return conversation.is === 'channel'
      ? conversation.rtm.getHistory(options)
      : this.client.getPeerHistory(conversation.name, options);
  }
}
