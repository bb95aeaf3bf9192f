/** A channel, as one client sees it. */
import {
  FAMILY_CHANNEL_MESSAGE_ERR,
  FAMILY_GET_MEMBERS_ERR,
  FAMILY_JOIN_CHANNEL,
  FAMILY_LEAVE_CHANNEL_ERR,
  type MachineEvent,
  CODES,
} from '@tidings/core';
import type AgoraRTM from '../types/index.mjs';
import { isOn } from './checks.js';
import type { Connection } from './connection.js';
import { EventEmitter } from './emitter.js';
import { type RtmError, invalidStatus } from './errors.js';
import { readHistory } from './history.js';
import { checkMessage, checkSize, toApplication, toChannelAttributes } from './messages.js';

/** Which object of a client stands for a joined channel. One entry per channel name. */
export type JoinedChannels = Map<string, RtmChannel>;

export class RtmChannel
  extends EventEmitter<AgoraRTM.RtmEvents.RtmChannelEvents>
  implements AgoraRTM.RtmChannel
{
  readonly #connection: Connection;
  readonly #joined: JoinedChannels;
  /** Whether the join has been answered; it counts only while the object is the one in `joined`. */
  #isIn = false;

  constructor(
    readonly channelId: string,
    connection: Connection,
    joined: JoinedChannels,
  ) {
    super();
    this.#connection = connection;
    this.#joined = joined;
  }

  async join(): Promise<void> {
    this.#connection.checkLogin('join()');
    const holder = this.#joined.get(this.channelId);
    if (holder === this) {
      const text = `this object has joined, or is joining, the channel '${this.channelId}' already`;
      throw invalidStatus(CODES.JOIN_CHANNEL_ERR_ALREADY_JOINED, text);
    }
    if (holder) {
      const text = `another object of this client has joined '${this.channelId}'; use that one`;
      throw invalidStatus(CODES.JOIN_CHANNEL_ERR_ALREADY_JOINED_CHANNEL_OF_SAME_ID, text);
    }
    this.#isIn = false;
    this.#joined.set(this.channelId, this);
    try {
      const call = { is: 'join', value: { channel: this.channelId } } as const;
      await this.#connection.call('join()', FAMILY_JOIN_CHANNEL, call, 'done');
    } catch (error) {
      this.#forget();
      throw error;
    }
    this.#isIn = this.#holds;
  }

  async leave(): Promise<void> {
    this.#connection.checkLogin('leave()');
    const wasIn = this.#isIn;
    // A join that is under way ends with code 201.
    if (!this.#holds) this.#checkJoined(CODES.LEAVE_CHANNEL_ERR_NOT_IN_CHANNEL);
    // From here on another object may join: the server does both in this order.
    this.#forget();
    const call = { is: 'leave', value: { channel: this.channelId } } as const;
    try {
      await this.#connection.call('leave()', FAMILY_LEAVE_CHANNEL_ERR, call, 'done');
    } catch (error) {
      const { code, isSent } = error as RtmError;
      const isOut = code === CODES.LEAVE_CHANNEL_ERR_NOT_IN_CHANNEL;
      // The join may have been refused in the meantime.
      if (isOut && !wasIn) return;
      // A leave that waits for the link is done when it is back; after any other failure the user
      // is still in.
      if (!isOut && isSent === undefined && wasIn && !this.#joined.has(this.channelId)) {
        this.#joined.set(this.channelId, this);
        this.#isIn = true;
      }
      throw error;
    }
  }

  async sendMessage(
    message: AgoraRTM.RtmMessage,
    messageOptions?: AgoraRTM.SendMessageOptions,
  ): Promise<void> {
    const checked = checkMessage(message, CODES.CHANNEL_MESSAGE_ERR_INVALID_MESSAGE);
    this.#connection.checkLogin('sendMessage()');
    this.#checkJoined(CODES.CHANNEL_MESSAGE_ERR_NOT_IN_CHANNEL);
    checkSize(checked.size, CODES.CHANNEL_MESSAGE_ERR_INVALID_MESSAGE);
    const load = checked.load();
    // No wait where none is needed, so that calls keep their order.
    const loaded = load instanceof Promise ? await load : load;
    const history = isOn(messageOptions, 'enableHistoricalMessaging');
    const value = { channel: this.channelId, message: loaded, history };
    const call = { is: 'sendToChannel', value } as const;
    await this.#connection.call('sendMessage()', FAMILY_CHANNEL_MESSAGE_ERR, call, 'done');
  }

  async getMembers(): Promise<string[]> {
    this.#connection.checkLogin('getMembers()');
    this.#checkJoined(CODES.GET_MEMBERS_ERR_NOT_IN_CHANNEL);
    const call = { is: 'getMembers', value: { channel: this.channelId } } as const;
    const answer = await this.#connection.call(
      'getMembers()',
      FAMILY_GET_MEMBERS_ERR,
      call,
      'users',
    );
    return answer.userIds;
  }

  /** An extension of ours: messages that were sent with `enableHistoricalMessaging`. */
  async getHistory(options?: AgoraRTM.HistoryOptions): Promise<AgoraRTM.HistoryPage> {
    const what = 'getHistory()';
    this.#connection.checkLogin(what);
    this.#checkJoined(CODES.CHANNEL_MESSAGE_ERR_NOT_IN_CHANNEL);
    const invalid = CODES.CHANNEL_MESSAGE_ERR_FAILURE;
    const method = { what, family: FAMILY_CHANNEL_MESSAGE_ERR, invalid };
    return readHistory(this.#connection, { is: 'channel', value: this.channelId }, options, method);
  }

  #checkJoined(code: number): void {
    if (this.#isIn && this.#holds) return;
    throw invalidStatus(
      code,
      `the channel '${this.channelId}' is not joined; wait until join() has resolved`,
    );
  }

  /** Whether this object stands for the channel. */
  get #holds(): boolean {
    return this.#joined.get(this.channelId) === this;
  }

  #forget(): void {
    this.#isIn = false;
    if (this.#holds) this.#joined.delete(this.channelId);
  }
}

/** Raises a channel's event on its object. */
export function raise(channel: RtmChannel, event: MachineEvent): void {
  switch (event.is) {
    case 'channelMessage': {
      const props = { serverReceivedTs: event.serverTs, isOfflineMessage: false };
      channel.emit('ChannelMessage', toApplication(event.body), event.from, props);
      break;
    }
    case 'memberJoined':
      channel.emit('MemberJoined', event.userId);
      break;
    case 'memberLeft':
      channel.emit('MemberLeft', event.userId);
      break;
    case 'memberCount':
      channel.emit('MemberCountUpdated', event.count);
      break;
    case 'channelAttributes':
      channel.emit('AttributesUpdated', toChannelAttributes(event.attributes));
      break;
    default:
      break;
  }
}
