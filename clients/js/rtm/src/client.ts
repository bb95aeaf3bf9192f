/** The client: login, peer messages, presence, attributes, and the objects made from it. */
import {
  type Environment,
  FAMILY_GET_CHANNEL_MEMBER_COUNT_ERR,
  FAMILY_LOGIN_ERR,
  FAMILY_LOGOUT_ERR,
  FAMILY_PEER_MESSAGE_ERR,
  FAMILY_PEER_SUBSCRIPTION_STATUS_ERR,
  FAMILY_QUERY_PEERS_BY_SUBSCRIPTION_OPTION_ERR,
  FAMILY_QUERY_PEERS_ONLINE_STATUS_ERR,
  FAMILY_RENEW_TOKEN_ERR,
  LOGIN_SPACING_MS,
  MEMBER_COUNTS_PER_CALL_MAX,
  type MachineEvent,
  PRESENCE_OFFLINE,
  PRESENCE_ONLINE,
  PRESENCE_QUERY_USERS_MAX,
  PRESENCE_SUBSCRIPTIONS_MAX,
  CODES,
  Shell,
  TOKEN_BYTES_MAX,
} from '@tidings/core';
import type AgoraRTM from '../types/index.mjs';
import * as attributes from './attributes.js';
import { type JoinedChannels, RtmChannel, raise } from './channel.js';
import { byteLength, checkName, checkNames, isOn, kindOf } from './checks.js';
import { Connection } from './connection.js';
import { EventEmitter } from './emitter.js';
import { HOW_TO_SET, resolveEndpoints } from './endpoint.js';
import { RtmError, fromCall, invalidArgument, invalidStatus, notLoggedIn } from './errors.js';
import { readHistory } from './history.js';
import { LocalInvitation } from './invitation.js';
import { Invitations } from './invitations.js';
import { LOG_FILTER_WARNING, log } from './log.js';
import { Media } from './media.js';
import { checkMessage, checkSize, createMessage, toApplication } from './messages.js';
import { VERSION } from './version.js';

/** For tests: breaks the connection off. Not part of the API. */
export const CUT = Symbol.for('tidings.cut');

const PRESENCE_NAMES = { [PRESENCE_OFFLINE]: 'OFFLINE', [PRESENCE_ONLINE]: 'ONLINE' } as const;

export class RtmClient
  extends EventEmitter<AgoraRTM.RtmEvents.RtmClientEvents>
  implements AgoraRTM.RtmClient
{
  readonly #environment: Environment;
  readonly #shell: Shell;
  readonly #connection: Connection;
  /** Bound: channels_per_session_max, kept by the server. */
  readonly #joined: JoinedChannels = new Map();
  readonly #invitations: Invitations;
  readonly #media: Media;
  #config: AgoraRTM.RtmConfig;
  #lastLoginAt = -Infinity;

  constructor(appId: string, config: AgoraRTM.RtmConfig, environment: Environment) {
    super();
    this.#config = { ...config };
    this.#environment = environment;
    this.#shell = new Shell({ appId, client: `tidings-rtm-js/${VERSION}` }, environment, {
      stateChanged: (state, reason) => {
        const isOver = state === 'DISCONNECTED' || state === 'ABORTED';
        if (isOver) {
          this.#joined.clear();
          this.#media.stop();
        }
        log(this.#logFilter, 'info', `${state} (${reason})`);
        this.emit('ConnectionStateChanged', state, reason);
        if (isOver)
          this.#invitations.sessionOver(reason === 'REMOTE_LOGIN' ? 'UNKNOWN' : 'NOT_LOGGEDIN');
      },
      event: (event) => this.#raise(event),
      log: (level, text) => log(this.#logFilter, level, text),
    });
    this.#connection = new Connection(this.#shell);
    this.#media = new Media(this.#connection, environment);
    this.#invitations = new Invitations((call) => this.#shell.tellInvitation(call));
  }

  get connectionState(): AgoraRTM.RtmStatusCode.ConnectionState {
    return this.#shell.state;
  }

  // ---------------------------------------------------------------- login

  async login(options: { uid: string; token?: string | null | undefined }): Promise<void> {
    const invalid = CODES.LOGIN_ERR_INVALID_ARGUMENT;
    if (typeof options !== 'object' || options === null) {
      throw invalidArgument(invalid, `the argument is ${kindOf(options)}, use { uid, token }`);
    }
    const { uid, token } = options;
    checkName('uid', uid, invalid);
    if (token !== undefined && token !== null && typeof token !== 'string') {
      throw invalidArgument(invalid, `token is ${kindOf(token)}, use a string`);
    }
    const now = this.#environment.now();
    const since = now - this.#lastLoginAt;
    if (since < LOGIN_SPACING_MS) {
      const text = `login() was called ${Math.round(since)} ms ago, wait ${LOGIN_SPACING_MS} ms between two calls`;
      const retryAfterMs = Math.ceil(LOGIN_SPACING_MS - since);
      throw new RtmError('RtmInvokeTooOftenError', CODES.LOGIN_ERR_TOO_OFTEN, text, {
        outcome: 0,
        text,
        retryAfterMs,
        local: 'given_up',
      });
    }
    this.#lastLoginAt = now;
    if (this.#shell.state !== 'DISCONNECTED') {
      const text = `the client is ${this.#shell.state} already; call logout() before another login()`;
      throw invalidStatus(CODES.LOGIN_ERR_ALREADY_LOGIN, text);
    }
    const endpoint = resolveEndpoints(this.#config.endpoint);
    if ('problem' in endpoint) throw invalidArgument(invalid, endpoint.problem);
    try {
      await this.#shell.login(endpoint.urls, uid, token ?? '');
    } catch (error) {
      const failed = fromCall(error, FAMILY_LOGIN_ERR, 'login()') as RtmError;
      if (failed.code === CODES.LOGIN_ERR_TIMEOUT)
        failed.message += `. Tried: ${endpoint.urls.join(', ')}. ${HOW_TO_SET}`;
      throw failed;
    }
  }

  async logout(): Promise<void> {
    this.#checkNotDisconnected('logout()');
    try {
      await this.#shell.logout();
    } catch (error) {
      throw fromCall(error, FAMILY_LOGOUT_ERR, 'logout()');
    }
  }

  /**
   * An extension of ours: connects now instead of waiting for the next attempt; checks a link that
   * seems alive.
   */
  reconnectNow(): void {
    this.#shell.wake();
  }

  logoutSync(): void {
    this.#checkNotDisconnected('logoutSync()');
    this.#shell.logoutSync();
  }

  async renewToken(token: string): Promise<void> {
    if (typeof token !== 'string') {
      const text = `token is ${kindOf(token)}, use a string`;
      throw invalidArgument(CODES.RENEW_TOKEN_ERR_INVALID_ARGUMENT, text);
    }
    this.#connection.checkLogin('renewToken()');
    const length = byteLength(token);
    if (length > TOKEN_BYTES_MAX) {
      const text = `the token is ${length} bytes long, at most ${TOKEN_BYTES_MAX} are possible`;
      throw invalidArgument(CODES.RENEW_TOKEN_ERR_INVALID_TOKEN, text);
    }
    const call = { is: 'renewToken', value: { token } } as const;
    await this.#connection.call('renewToken()', FAMILY_RENEW_TOKEN_ERR, call, 'done');
  }

  // ---------------------------------------------------------------- messages

  async sendMessageToPeer(
    message: AgoraRTM.RtmMessage,
    peerId: string,
    options?: AgoraRTM.SendMessageOptions,
  ): Promise<AgoraRTM.PeerMessageSendResult> {
    const what = 'sendMessageToPeer()';
    const checked = checkMessage(message, CODES.PEER_MESSAGE_ERR_INVALID_MESSAGE);
    this.#connection.checkLogin(what);
    checkName('peerId', peerId, CODES.PEER_MESSAGE_ERR_INVALID_USERID);
    checkSize(checked.size, CODES.PEER_MESSAGE_ERR_INVALID_MESSAGE);
    const load = checked.load();
    // No wait where none is needed, so that calls keep their order.
    const loaded = load instanceof Promise ? await load : load;
    const value = {
      peerId,
      message: loaded,
      offline: isOn(options, 'enableOfflineMessaging'),
      history: isOn(options, 'enableHistoricalMessaging'),
    };
    const call = { is: 'sendToPeer', value } as const;
    const sent = await this.#connection.call(what, FAMILY_PEER_MESSAGE_ERR, call, 'peerSent');
    return { hasPeerReceived: sent.received };
  }

  /**
   * An extension of ours: the conversation with one user, as far as its messages were sent with
   * `enableHistoricalMessaging`.
   */
  async getPeerHistory(
    peerId: string,
    options?: AgoraRTM.HistoryOptions,
  ): Promise<AgoraRTM.HistoryPage> {
    const what = 'getPeerHistory()';
    this.#connection.checkLogin(what);
    checkName('peerId', peerId, CODES.PEER_MESSAGE_ERR_INVALID_USERID);
    const invalid = CODES.PEER_MESSAGE_ERR_FAILURE;
    const method = { what, family: FAMILY_PEER_MESSAGE_ERR, invalid };
    return readHistory(this.#connection, { is: 'peerId', value: peerId }, options, method);
  }

  createMessage<T extends AgoraRTM.RtmMessage>(message: Partial<T>): T {
    return createMessage(message) as T;
  }

  createChannel(channelId: string): RtmChannel {
    checkName('channelId', channelId, CODES.CREATE_CHANNEL_ERR_INVALID_ARGUMENT);
    return new RtmChannel(channelId, this.#connection, this.#joined);
  }

  createLocalInvitation(calleeId: string): LocalInvitation {
    checkName('calleeId', calleeId, CODES.INVITATION_API_CALL_ERR_INVALID_ARGUMENT);
    return new LocalInvitation(calleeId, this.#connection, this.#invitations);
  }

  /** An extension of ours: an open invitation that was received, by its `invitationId`. */
  getRemoteInvitation(invitationId: string): AgoraRTM.RemoteInvitation | undefined {
    return this.#invitations.find(invitationId);
  }

  async createMediaMessageByUploading(
    payload: Blob | Uint8Array,
    params?: Partial<AgoraRTM.RtmFileMessage> | Partial<AgoraRTM.RtmImageMessage>,
    transHandler?: AgoraRTM.MediaTransferHandler,
  ): Promise<AgoraRTM.RtmFileMessage | AgoraRTM.RtmImageMessage> {
    return this.#media.upload(payload, params, transHandler);
  }

  async downloadMedia(
    mediaId: string,
    transHandler?: AgoraRTM.MediaTransferHandler,
  ): Promise<Blob> {
    return this.#media.download(mediaId, transHandler);
  }

  // ---------------------------------------------------------------- presence

  async queryPeersOnlineStatus(peerIds: string[]): Promise<AgoraRTM.PeersOnlineStatusResult> {
    const what = 'queryPeersOnlineStatus()';
    this.#connection.checkLogin(what);
    const code = CODES.QUERY_PEERS_ONLINE_STATUS_ERR_INVALID_ARGUMENT;
    const rule = { what: 'peerIds', code, max: PRESENCE_QUERY_USERS_MAX, overflowCode: code };
    const userIds = checkNames(peerIds, rule);
    const call = { is: 'queryPresence', value: { userIds } } as const;
    const answer = await this.#connection.call(
      what,
      FAMILY_QUERY_PEERS_ONLINE_STATUS_ERR,
      call,
      'presence',
    );
    const states = new Map(answer.users.map(({ userId, state }) => [userId, state]));
    return Object.fromEntries(
      userIds.map((userId) => [
        userId,
        (states.get(userId) ?? PRESENCE_OFFLINE) !== PRESENCE_OFFLINE,
      ]),
    );
  }

  async subscribePeersOnlineStatus(peerIds: string[]): Promise<void> {
    await this.#changeSubscription('subscribePeersOnlineStatus()', 'subscribePresence', peerIds);
  }

  async unsubscribePeersOnlineStatus(peerIds: string[]): Promise<void> {
    await this.#changeSubscription(
      'unsubscribePeersOnlineStatus()',
      'unsubscribePresence',
      peerIds,
    );
  }

  async queryPeersBySubscriptionOption(
    option: AgoraRTM.RtmStatusCode.PeerSubscriptionOption,
  ): Promise<string[]> {
    const what = 'queryPeersBySubscriptionOption()';
    this.#connection.checkLogin(what);
    if (option !== 'ONLINE_STATUS') {
      const text = `option is ${String(option)}, use 'ONLINE_STATUS'`;
      throw invalidArgument(CODES.QUERY_PEERS_BY_SUBSCRIPTION_OPTION_ERR_FAILURE, text);
    }
    const family = FAMILY_QUERY_PEERS_BY_SUBSCRIPTION_OPTION_ERR;
    const call = { is: 'queryPresenceSubscriptions', value: {} } as const;
    return (await this.#connection.call(what, family, call, 'users')).userIds;
  }

  async #changeSubscription(
    what: string,
    is: 'subscribePresence' | 'unsubscribePresence',
    peerIds: unknown,
  ): Promise<void> {
    this.#connection.checkLogin(what);
    const userIds = checkNames(peerIds, {
      what: 'peerIds',
      code: CODES.PEER_SUBSCRIPTION_STATUS_ERR_INVALID_ARGUMENT,
      max: PRESENCE_SUBSCRIPTIONS_MAX,
      overflowCode: CODES.PEER_SUBSCRIPTION_STATUS_ERR_OVERFLOW,
    });
    await this.#connection.call(
      what,
      FAMILY_PEER_SUBSCRIPTION_STATUS_ERR,
      { is, value: { userIds } },
      'done',
    );
  }

  // ---------------------------------------------------------------- attributes and counts

  async setLocalUserAttributes(map: AgoraRTM.AttributesMap): Promise<void> {
    await attributes.writeUserAttributes(this.#connection, 'setLocalUserAttributes()', 'set', map);
  }

  async addOrUpdateLocalUserAttributes(map: AgoraRTM.AttributesMap): Promise<void> {
    const what = 'addOrUpdateLocalUserAttributes()';
    await attributes.writeUserAttributes(this.#connection, what, 'merge', map);
  }

  async deleteLocalUserAttributesByKeys(attributeKeys: string[]): Promise<void> {
    const what = 'deleteLocalUserAttributesByKeys()';
    await attributes.writeUserAttributes(this.#connection, what, 'delete', attributeKeys);
  }

  async clearLocalUserAttributes(): Promise<void> {
    await attributes.writeUserAttributes(
      this.#connection,
      'clearLocalUserAttributes()',
      'clear',
      undefined,
    );
  }

  async getUserAttributes(userId: string): Promise<AgoraRTM.AttributesMap> {
    return attributes.readUserAttributes(this.#connection, 'getUserAttributes()', { userId });
  }

  async getUserAttributesByKeys(userId: string, keys: string[]): Promise<AgoraRTM.AttributesMap> {
    return attributes.readUserAttributes(this.#connection, 'getUserAttributesByKeys()', {
      userId,
      keys,
    });
  }

  async setChannelAttributes(
    channelId: string,
    map: AgoraRTM.AttributesMap,
    options?: AgoraRTM.ChannelAttributeOptions,
  ): Promise<void> {
    const given = { channelId, attributes: map, options };
    await attributes.writeChannelAttributes(
      this.#connection,
      'setChannelAttributes()',
      'set',
      given,
    );
  }

  async addOrUpdateChannelAttributes(
    channelId: string,
    map: AgoraRTM.AttributesMap,
    options?: AgoraRTM.ChannelAttributeOptions,
  ): Promise<void> {
    const given = { channelId, attributes: map, options };
    const what = 'addOrUpdateChannelAttributes()';
    await attributes.writeChannelAttributes(this.#connection, what, 'merge', given);
  }

  async deleteChannelAttributesByKeys(
    channelId: string,
    attributeKeys: string[],
    options?: AgoraRTM.ChannelAttributeOptions,
  ): Promise<void> {
    const given = { channelId, attributes: attributeKeys, options };
    const what = 'deleteChannelAttributesByKeys()';
    await attributes.writeChannelAttributes(this.#connection, what, 'delete', given);
  }

  async clearChannelAttributes(
    channelId: string,
    options?: AgoraRTM.ChannelAttributeOptions,
  ): Promise<void> {
    const given = { channelId, options };
    await attributes.writeChannelAttributes(
      this.#connection,
      'clearChannelAttributes()',
      'clear',
      given,
    );
  }

  async getChannelAttributes(channelId: string): Promise<AgoraRTM.ChannelAttributes> {
    return attributes.readChannelAttributes(this.#connection, 'getChannelAttributes()', {
      channelId,
    });
  }

  async getChannelAttributesByKeys(
    channelId: string,
    keys: string[],
  ): Promise<AgoraRTM.ChannelAttributes> {
    const what = 'getChannelAttributesByKeys()';
    return attributes.readChannelAttributes(this.#connection, what, { channelId, keys });
  }

  async getChannelMemberCount(channelIds: string[]): Promise<AgoraRTM.ChannelMemberCountResult> {
    const what = 'getChannelMemberCount()';
    this.#connection.checkLogin(what);
    const channels = checkNames(channelIds, {
      what: 'channelIds',
      code: CODES.GET_CHANNEL_MEMBER_COUNT_ERR_INVALID_ARGUMENT,
      max: MEMBER_COUNTS_PER_CALL_MAX,
      overflowCode: CODES.GET_CHANNEL_MEMBER_COUNT_ERR_EXCEED_LIMIT,
    });
    const call = { is: 'getMemberCounts', value: { channels } } as const;
    const answer = await this.#connection.call(
      what,
      FAMILY_GET_CHANNEL_MEMBER_COUNT_ERR,
      call,
      'memberCounts',
    );
    const counts = new Map(answer.counts.map(({ channel, count }) => [channel, count]));
    return Object.fromEntries(channels.map((channel) => [channel, counts.get(channel) ?? 0]));
  }

  // ---------------------------------------------------------------- settings

  setParameters(config: AgoraRTM.RtmConfig): void {
    this.updateConfig(config);
  }

  /** A new `endpoint` is for the next login. */
  updateConfig(config: AgoraRTM.RtmConfig): void {
    this.#config = { ...this.#config, ...config };
  }

  [CUT](): void {
    this.#shell.dropConnection();
  }

  get #logFilter(): AgoraRTM.LogFilterType {
    return this.#config.logFilter ?? LOG_FILTER_WARNING;
  }

  #checkNotDisconnected(what: string): void {
    if (this.#shell.state === 'DISCONNECTED') throw notLoggedIn(what, 'DISCONNECTED');
  }

  // ---------------------------------------------------------------- events

  #raise(event: MachineEvent): void {
    switch (event.is) {
      case 'peerMessage': {
        const props = { serverReceivedTs: event.serverTs, isOfflineMessage: event.wasStored };
        this.emit('MessageFromPeer', toApplication(event.body), event.from, props);
        break;
      }
      case 'presenceChanged':
        this.emit(
          'PeersOnlineStatusChanged',
          Object.fromEntries(event.users.map(({ userId, state }) => [userId, presenceName(state)])),
        );
        break;
      case 'tokenWillExpire':
        this.emit('TokenPrivilegeWillExpire');
        break;
      case 'tokenExpired':
        this.emit('TokenExpired');
        break;
      case 'gap':
        this.#raiseGap(event);
        break;
      case 'invitationReceived':
      case 'acceptAsked':
      case 'localInvitationEnded':
      case 'incomingInvitation':
      case 'remoteInvitationEnded': {
        const invitation = this.#invitations.heard(event);
        if (invitation) this.emit('RemoteInvitationReceived', invitation);
        break;
      }
      default: {
        const channel = this.#joined.get(event.channel);
        // The user's token no longer permits the channel.
        if (event.is === 'memberLeft' && event.isSelf) this.#joined.delete(event.channel);
        if (channel) raise(channel, event);
      }
    }
  }

  #raiseGap({ channel, cause, missed }: Extract<MachineEvent, { is: 'gap' }>): void {
    const source =
      channel === undefined
        ? ({ type: 'peer' } as const)
        : ({ type: 'channel', channelId: channel } as const);
    log(
      this.#logFilter,
      'warn',
      `events are missing: ${channel === undefined ? 'peer messages' : `channel ${channel}`}, ${cause}`,
    );
    this.emit('MessageGap', { source, cause, repaired: false, ...(missed > 0 ? { missed } : {}) });
  }
}

function presenceName(state: number): AgoraRTM.RtmStatusCode.PeerOnlineState {
  return (PRESENCE_NAMES as Readonly<Record<number, 'OFFLINE' | 'ONLINE'>>)[state] ?? 'UNREACHABLE';
}
