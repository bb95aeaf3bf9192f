/**
 * Public types of `@tidings/rtm`: those of the RTM 1.x web SDK, versions 1.2.2 to 1.5.1 together,
 * and what Tidings adds. This file is written by hand; tests compare it with the implementation.
 */

type Values<Names extends string> = { readonly [Name in Names]: Name };

declare namespace AgoraRTM {
  // ---------------------------------------------------------------- enums

  /** Every member's value is its name, so that text and enum may be mixed freely; a member is a type as well. */
  namespace RtmStatusCode {
    type ConnectionState = 'DISCONNECTED' | 'CONNECTING' | 'CONNECTED' | 'RECONNECTING' | 'ABORTED';
    const ConnectionState: Values<ConnectionState>;
    namespace ConnectionState {
      type DISCONNECTED = 'DISCONNECTED';
      type CONNECTING = 'CONNECTING';
      type CONNECTED = 'CONNECTED';
      type RECONNECTING = 'RECONNECTING';
      type ABORTED = 'ABORTED';
    }
    type ConnectionChangeReason =
      | 'LOGIN'
      | 'LOGIN_SUCCESS'
      | 'LOGIN_FAILURE'
      | 'LOGIN_TIMEOUT'
      | 'INTERRUPTED'
      | 'LOGOUT'
      | 'BANNED_BY_SERVER'
      | 'REMOTE_LOGIN'
      | 'TOKEN_EXPIRED';
    const ConnectionChangeReason: Values<ConnectionChangeReason>;
    namespace ConnectionChangeReason {
      type LOGIN = 'LOGIN';
      type LOGIN_SUCCESS = 'LOGIN_SUCCESS';
      type LOGIN_FAILURE = 'LOGIN_FAILURE';
      type LOGIN_TIMEOUT = 'LOGIN_TIMEOUT';
      type INTERRUPTED = 'INTERRUPTED';
      type LOGOUT = 'LOGOUT';
      type BANNED_BY_SERVER = 'BANNED_BY_SERVER';
      type REMOTE_LOGIN = 'REMOTE_LOGIN';
      type TOKEN_EXPIRED = 'TOKEN_EXPIRED';
    }
    type LocalInvitationState =
      | 'IDLE'
      | 'SENT_TO_REMOTE'
      | 'RECEIVED_BY_REMOTE'
      | 'ACCEPTED_BY_REMOTE'
      | 'REFUSED_BY_REMOTE'
      | 'CANCELED'
      | 'FAILURE';
    const LocalInvitationState: Values<LocalInvitationState>;
    namespace LocalInvitationState {
      type IDLE = 'IDLE';
      type SENT_TO_REMOTE = 'SENT_TO_REMOTE';
      type RECEIVED_BY_REMOTE = 'RECEIVED_BY_REMOTE';
      type ACCEPTED_BY_REMOTE = 'ACCEPTED_BY_REMOTE';
      type REFUSED_BY_REMOTE = 'REFUSED_BY_REMOTE';
      type CANCELED = 'CANCELED';
      type FAILURE = 'FAILURE';
    }
    type LocalInvitationFailureReason =
      | 'UNKNOWN'
      | 'PEER_NO_RESPONSE'
      | 'INVITATION_EXPIRE'
      | 'PEER_OFFLINE'
      | 'NOT_LOGGEDIN';
    const LocalInvitationFailureReason: Values<LocalInvitationFailureReason>;
    namespace LocalInvitationFailureReason {
      type UNKNOWN = 'UNKNOWN';
      type PEER_NO_RESPONSE = 'PEER_NO_RESPONSE';
      type INVITATION_EXPIRE = 'INVITATION_EXPIRE';
      type PEER_OFFLINE = 'PEER_OFFLINE';
      type NOT_LOGGEDIN = 'NOT_LOGGEDIN';
    }
    type RemoteInvitationState =
      | 'INVITATION_RECEIVED'
      | 'ACCEPT_SENT_TO_LOCAL'
      | 'REFUSED'
      | 'ACCEPTED'
      | 'CANCELED'
      | 'FAILURE';
    const RemoteInvitationState: Values<RemoteInvitationState>;
    namespace RemoteInvitationState {
      type INVITATION_RECEIVED = 'INVITATION_RECEIVED';
      type ACCEPT_SENT_TO_LOCAL = 'ACCEPT_SENT_TO_LOCAL';
      type REFUSED = 'REFUSED';
      type ACCEPTED = 'ACCEPTED';
      type CANCELED = 'CANCELED';
      type FAILURE = 'FAILURE';
    }
    type RemoteInvitationFailureReason =
      | 'UNKNOWN'
      | 'ACCEPT_FAILURE'
      | 'PEER_OFFLINE'
      | 'INVITATION_EXPIRE';
    const RemoteInvitationFailureReason: Values<RemoteInvitationFailureReason>;
    namespace RemoteInvitationFailureReason {
      type UNKNOWN = 'UNKNOWN';
      type ACCEPT_FAILURE = 'ACCEPT_FAILURE';
      type PEER_OFFLINE = 'PEER_OFFLINE';
      type INVITATION_EXPIRE = 'INVITATION_EXPIRE';
    }
    type MessageType = 'TEXT' | 'RAW' | 'IMAGE' | 'FILE';
    const MessageType: Values<MessageType>;
    namespace MessageType {
      type TEXT = 'TEXT';
      type RAW = 'RAW';
      type IMAGE = 'IMAGE';
      type FILE = 'FILE';
    }
    type PeerOnlineState = 'ONLINE' | 'UNREACHABLE' | 'OFFLINE';
    const PeerOnlineState: Values<PeerOnlineState>;
    namespace PeerOnlineState {
      type ONLINE = 'ONLINE';
      type UNREACHABLE = 'UNREACHABLE';
      type OFFLINE = 'OFFLINE';
    }
    type PeerSubscriptionOption = 'ONLINE_STATUS';
    const PeerSubscriptionOption: Values<PeerSubscriptionOption>;
    namespace PeerSubscriptionOption {
      type ONLINE_STATUS = 'ONLINE_STATUS';
    }
    /** `ASIA` is without mainland China. */
    type AreaCode = 'GLOBAL' | 'INDIA' | 'JAPAN' | 'ASIA' | 'EUROPE' | 'CHINA' | 'NORTH_AMERICA';
    const AreaCode: Values<AreaCode>;
    namespace AreaCode {
      type GLOBAL = 'GLOBAL';
      type INDIA = 'INDIA';
      type JAPAN = 'JAPAN';
      type ASIA = 'ASIA';
      type EUROPE = 'EUROPE';
      type CHINA = 'CHINA';
      type NORTH_AMERICA = 'NORTH_AMERICA';
    }
  }
  export import ConnectionState = RtmStatusCode.ConnectionState;
  export import ConnectionChangeReason = RtmStatusCode.ConnectionChangeReason;
  export import LocalInvitationState = RtmStatusCode.LocalInvitationState;
  export import LocalInvitationFailureReason = RtmStatusCode.LocalInvitationFailureReason;
  export import RemoteInvitationState = RtmStatusCode.RemoteInvitationState;
  export import RemoteInvitationFailureReason = RtmStatusCode.RemoteInvitationFailureReason;
  export import MessageType = RtmStatusCode.MessageType;
  export import PeerOnlineState = RtmStatusCode.PeerOnlineState;
  export import PeerSubscriptionOption = RtmStatusCode.PeerSubscriptionOption;
  export import AreaCode = RtmStatusCode.AreaCode;
  type LegacyAreaCode = 'CN' | 'NA' | 'EU' | 'AS' | 'JP' | 'IN' | 'GLOB' | 'OC' | 'SA' | 'AF' | 'OVS';

  // ---------------------------------------------------------------- plain types

  interface RtmTextMessage {
    /** At most 32 KB of UTF-8. */
    text: string;
    messageType?: 'TEXT';
  }
  interface RtmRawMessage {
    /** With the description together at most 32 KB. */
    rawMessage: Uint8Array;
    description?: string;
    messageType?: 'RAW';
  }
  interface RtmImageMessage {
    mediaId: string;
    fileName: string;
    description: string;
    size: number;
    width: number;
    height: number;
    thumbnail: Blob | undefined;
    thumbnailWidth: number;
    thumbnailHeight: number;
    messageType: 'IMAGE';
  }
  interface RtmFileMessage {
    mediaId: string;
    fileName: string;
    description: string;
    size: number;
    thumbnail: Blob | undefined;
    messageType: 'FILE';
  }
  type RtmMessage = RtmTextMessage | RtmRawMessage | RtmImageMessage | RtmFileMessage;

  interface SendMessageOptions {
    /** Store the message when the peer is off line. Default: false. No effect in channels. */
    enableOfflineMessaging?: boolean;
    /** Keep a copy in the history. Default: false. */
    enableHistoricalMessaging?: boolean;
  }
  interface PeerMessageSendResult {
    /** The peer's client has the message. False: the peer is off line. */
    hasPeerReceived: boolean;
  }
  type RtmPeerMessageSendResult = PeerMessageSendResult;
  interface ReceivedMessageProperties {
    /** When the server received the message. Unix milliseconds. */
    serverReceivedTs: number;
    /** The server had stored the message. */
    isOfflineMessage: boolean;
  }
  type ReceiveMessageProperties = ReceivedMessageProperties;
  interface AttributesMap {
    [key: string]: string;
  }
  interface ChannelAttributeProperties {
    value: string;
    lastUpdateUserId: string;
    /** Unix milliseconds. */
    lastUpdateTs: number;
  }
  interface ChannelAttributes {
    [key: string]: ChannelAttributeProperties;
  }
  interface ChannelAttributeOptions {
    /** Send `AttributesUpdated` to the channel's members for this call. Default: false. */
    enableNotificationToChannelMembers?: boolean;
  }
  interface PeersOnlineStatusResult {
    [peerId: string]: boolean;
  }
  interface PeersOnlineStatusMap {
    [peerId: string]: RtmStatusCode.PeerOnlineState;
  }
  interface ChannelMemberCountResult {
    [channelId: string]: number;
  }
  interface LogFilterType {
    error: boolean;
    warn: boolean;
    info: boolean;
    track: boolean;
    debug: boolean;
  }
  interface RtmConfig {
    /**
     * Where the server is: `https://host[:port][/path]`. Default: the global `TIDINGS_ENDPOINT`, in
     * Node the environment variable of that name, else the page's own origin.
     */
    endpoint?: string;
    /** Default: warnings and errors. */
    logFilter?: LogFilterType;
    /** Accepted for compatibility: nothing is ever uploaded. */
    enableLogUpload?: boolean;
    /** Accepted for compatibility, without effect. */
    enableCloudProxy?: boolean;
  }
  type RtmParameters = RtmConfig;
  interface MediaOperationProgress {
    /** Bytes. */
    currentSize: number;
    totalSize: number;
  }
  interface MediaTransferHandler {
    cancelSignal?: AbortSignal;
    onOperationProgress?: (event: MediaOperationProgress) => void;
  }
  /** What of a history is read: by default the oldest 100 messages. Not in the original API. */
  interface HistoryOptions {
    /** Only messages after this position. */
    after?: number | undefined;
    /** Only messages before this position. */
    before?: number | undefined;
    /** Only messages that the server received at this time or later, in ms. */
    fromTs?: number | undefined;
    /** Only messages that the server received before this time, in ms. */
    untilTs?: number | undefined;
    /** 1 to 100. */
    limit?: number | undefined;
    order?: 'oldest_first' | 'newest_first' | undefined;
  }
  interface HistoryMessage {
    /** The message's place in its conversation; rises from 1. */
    position: number;
    /** The sender. */
    userId: string;
    message: RtmMessage;
    serverReceivedTs: number;
  }
  interface HistoryPage {
    /** In the order asked for; may be fewer than asked for, even none, although more follow. */
    messages: HistoryMessage[];
    /** Where to go on: the next call's `after`, or its `before` when the newest come first. Missing at the end. */
    next?: number;
  }
  /** Events that were meant for this client are missing; nothing later of the source came before. */
  interface MessageGap {
    source: { type: 'channel'; channelId: string } | { type: 'peer' };
    cause:
      | 'unspecified'
      | 'buffer_overflow'
      | 'resume_window'
      | 'node_lost'
      | 'epoch_changed'
      | 'slow_consumer'
      | 'inbox_overflow'
      | 'inbox_expired'
      | 'rate_limited'
      | 'storage_damage';
    /** How many events; absent when not known. */
    missed?: number;
    repaired: boolean;
  }
  /** What rejections and thrown errors are. */
  interface RtmError extends Error {
    /** A constant of the method's family, see `error-code`. */
    code: number;
    /** The server's outcome; `undefined` when the error was found here. */
    serverCode: number | undefined;
    originalError: unknown;
    /** When to try again, in milliseconds, where the server has said it. */
    retryAfter?: number;
  }

  // ---------------------------------------------------------------- events

  namespace RtmEvents {
    interface RtmClientEvents {
      ConnectionStateChanged: (
        newState: RtmStatusCode.ConnectionState,
        reason: RtmStatusCode.ConnectionChangeReason,
      ) => void;
      MessageFromPeer: (
        message: RtmMessage,
        peerId: string,
        messageProps: ReceivedMessageProperties,
      ) => void;
      RemoteInvitationReceived: (remoteInvitation: RemoteInvitation) => void;
      PeersOnlineStatusChanged: (status: PeersOnlineStatusMap) => void;
      TokenExpired: () => void;
      TokenPrivilegeWillExpire: () => void;
      FallbackProxyConnected: () => void;
      MessageGap: (gap: MessageGap) => void;
    }
    interface RtmChannelEvents {
      ChannelMessage: (
        message: RtmMessage,
        memberId: string,
        messageProps: ReceivedMessageProperties,
      ) => void;
      MemberJoined: (memberId: string) => void;
      MemberLeft: (memberId: string) => void;
      MemberCountUpdated: (memberCount: number) => void;
      AttributesUpdated: (attributes: ChannelAttributes) => void;
    }
    interface LocalInvitationEvents {
      LocalInvitationReceivedByPeer: () => void;
      LocalInvitationAccepted: (response: string) => void;
      LocalInvitationRefused: (response: string) => void;
      LocalInvitationCanceled: () => void;
      LocalInvitationFailure: (reason: RtmStatusCode.LocalInvitationFailureReason) => void;
    }
    interface RemoteInvitationEvents {
      RemoteInvitationAccepted: () => void;
      RemoteInvitationRefused: () => void;
      RemoteInvitationCanceled: (content: string) => void;
      RemoteInvitationFailure: (reason: RtmStatusCode.RemoteInvitationFailureReason) => void;
    }
  }

  type ListenerType = (...args: never[]) => void;

  interface EventEmitter<Events extends object = Record<string, ListenerType>> {
    on<Name extends keyof Events>(eventName: Name, listener: Events[Name]): this;
    addListener<Name extends keyof Events>(eventName: Name, listener: Events[Name]): this;
    once<Name extends keyof Events>(eventName: Name, listener: Events[Name]): this;
    prependListener<Name extends keyof Events>(eventName: Name, listener: Events[Name]): this;
    prependOnceListener<Name extends keyof Events>(eventName: Name, listener: Events[Name]): this;
    off<Name extends keyof Events>(eventName: Name, listener: Events[Name]): this;
    removeListener<Name extends keyof Events>(eventName: Name, listener: Events[Name]): this;
    removeAllListeners(eventName?: keyof Events): this;
    listeners<Name extends keyof Events>(eventName: Name): Events[Name][];
    rawListeners<Name extends keyof Events>(eventName: Name): Events[Name][];
    listenerCount(eventName: keyof Events): number;
    eventNames(): (keyof Events)[];
    emit<Name extends keyof Events>(
      eventName: Name,
      ...args: Events[Name] extends (...args: infer Args) => unknown ? Args : never
    ): boolean;
    setMaxListeners(count: number): this;
    getMaxListeners(): number;
  }

  // ---------------------------------------------------------------- classes

  interface RtmClient extends EventEmitter<RtmEvents.RtmClientEvents> {
    readonly connectionState: RtmStatusCode.ConnectionState;
    login(options: { uid: string; token?: string | null | undefined }): Promise<void>;
    logout(): Promise<void>;
    logoutSync(): void;
    renewToken(token: string): Promise<void>;
    sendMessageToPeer(
      message: RtmMessage,
      peerId: string,
      options?: SendMessageOptions,
    ): Promise<PeerMessageSendResult>;
    /** The conversation with one user: messages sent with `enableHistoricalMessaging`. Not in the original API. */
    getPeerHistory(peerId: string, options?: HistoryOptions): Promise<HistoryPage>;
    createMessage<T extends RtmMessage>(message: Partial<T>): T;
    createChannel(channelId: string): RtmChannel;
    createLocalInvitation(calleeId: string): LocalInvitation;
    queryPeersOnlineStatus(peerIds: string[]): Promise<PeersOnlineStatusResult>;
    subscribePeersOnlineStatus(peerIds: string[]): Promise<void>;
    unsubscribePeersOnlineStatus(peerIds: string[]): Promise<void>;
    queryPeersBySubscriptionOption(option: RtmStatusCode.PeerSubscriptionOption): Promise<string[]>;
    setLocalUserAttributes(attributes: AttributesMap): Promise<void>;
    addOrUpdateLocalUserAttributes(attributes: AttributesMap): Promise<void>;
    deleteLocalUserAttributesByKeys(attributeKeys: string[]): Promise<void>;
    clearLocalUserAttributes(): Promise<void>;
    getUserAttributes(userId: string): Promise<AttributesMap>;
    getUserAttributesByKeys(userId: string, attributeKeys: string[]): Promise<AttributesMap>;
    setChannelAttributes(
      channelId: string,
      attributes: AttributesMap,
      options?: ChannelAttributeOptions,
    ): Promise<void>;
    addOrUpdateChannelAttributes(
      channelId: string,
      attributes: AttributesMap,
      options?: ChannelAttributeOptions,
    ): Promise<void>;
    deleteChannelAttributesByKeys(
      channelId: string,
      attributeKeys: string[],
      options?: ChannelAttributeOptions,
    ): Promise<void>;
    clearChannelAttributes(channelId: string, options?: ChannelAttributeOptions): Promise<void>;
    getChannelAttributes(channelId: string): Promise<ChannelAttributes>;
    getChannelAttributesByKeys(channelId: string, keys: string[]): Promise<ChannelAttributes>;
    getChannelMemberCount(channelIds: string[]): Promise<ChannelMemberCountResult>;
    createMediaMessageByUploading(
      payload: Blob,
      params?: Partial<RtmFileMessage> | Partial<RtmImageMessage>,
      transHandler?: MediaTransferHandler,
    ): Promise<RtmFileMessage | RtmImageMessage>;
    downloadMedia(mediaId: string, transHandler?: MediaTransferHandler): Promise<Blob>;
    /** @deprecated Use `updateConfig`. */
    setParameters(config: RtmConfig): void;
    updateConfig(config: RtmConfig): void;
  }

  interface RtmChannel extends EventEmitter<RtmEvents.RtmChannelEvents> {
    readonly channelId: string;
    join(): Promise<void>;
    leave(): Promise<void>;
    sendMessage(message: RtmMessage, messageOptions?: SendMessageOptions): Promise<void>;
    /** Above 512 members: 512 of them, chosen at random. */
    getMembers(): Promise<string[]>;
    /** Messages sent with `enableHistoricalMessaging`; the channel must be joined. Not in the original API. */
    getHistory(options?: HistoryOptions): Promise<HistoryPage>;
  }

  interface LocalInvitation extends EventEmitter<RtmEvents.LocalInvitationEvents> {
    readonly calleeId: string;
    content: string;
    channelId: string;
    readonly response: string;
    readonly state: RtmStatusCode.LocalInvitationState;
    send(): void;
    cancel(): void;
  }

  interface RemoteInvitation extends EventEmitter<RtmEvents.RemoteInvitationEvents> {
    readonly callerId: string;
    readonly channelId: string;
    readonly content: string;
    response: string;
    readonly state: RtmStatusCode.RemoteInvitationState;
    accept(): void;
    refuse(): void;
  }

  // ---------------------------------------------------------------- functions and constants

  /** @param appId 32 letters or digits. */
  function createInstance(appId: string, config?: RtmConfig): RtmClient;
  /** @deprecated Use `setArea`. */
  function createInstance(
    appId: string,
    config?: RtmConfig,
    areaCodes?: (RtmStatusCode.AreaCode | LegacyAreaCode)[],
  ): RtmClient;
  /** Validated and kept; without effect on where the client connects. */
  function setArea(areaConfig: {
    areaCodes: RtmStatusCode.AreaCode[];
    excludedArea?: RtmStatusCode.AreaCode;
  }): void;
  function setParameter(key: string, value: unknown): void;
  function getParameter(key: string): unknown;
  const processId: string;
  const VERSION: string;
  const BUILD: string;
  const END_CALL_PREFIX: string;
  const LOG_FILTER_OFF: LogFilterType;
  const LOG_FILTER_ERROR: LogFilterType;
  const LOG_FILTER_WARNING: LogFilterType;
  const LOG_FILTER_INFO: LogFilterType;
  const LOG_FILTER_DEBUG: LogFilterType;
}

export default AgoraRTM;
export type LocalInvitation = AgoraRTM.LocalInvitation;
export type RemoteInvitation = AgoraRTM.RemoteInvitation;
export type RtmChannel = AgoraRTM.RtmChannel;
export type RtmClient = AgoraRTM.RtmClient;
export type RtmMessage = AgoraRTM.RtmMessage;
export type RtmTextMessage = AgoraRTM.RtmTextMessage;
export type RtmRawMessage = AgoraRTM.RtmRawMessage;
export type RtmImageMessage = AgoraRTM.RtmImageMessage;
export type RtmFileMessage = AgoraRTM.RtmFileMessage;
export type RtmConfig = AgoraRTM.RtmConfig;
export type RtmError = AgoraRTM.RtmError;
export import RtmEvents = AgoraRTM.RtmEvents;
export import RtmStatusCode = AgoraRTM.RtmStatusCode;
export import AreaCode = AgoraRTM.AreaCode;
export import BUILD = AgoraRTM.BUILD;
export import ConnectionChangeReason = AgoraRTM.ConnectionChangeReason;
export import ConnectionState = AgoraRTM.ConnectionState;
export import END_CALL_PREFIX = AgoraRTM.END_CALL_PREFIX;
export import LOG_FILTER_DEBUG = AgoraRTM.LOG_FILTER_DEBUG;
export import LOG_FILTER_ERROR = AgoraRTM.LOG_FILTER_ERROR;
export import LOG_FILTER_INFO = AgoraRTM.LOG_FILTER_INFO;
export import LOG_FILTER_OFF = AgoraRTM.LOG_FILTER_OFF;
export import LOG_FILTER_WARNING = AgoraRTM.LOG_FILTER_WARNING;
export import LocalInvitationFailureReason = AgoraRTM.LocalInvitationFailureReason;
export import LocalInvitationState = AgoraRTM.LocalInvitationState;
export import MessageType = AgoraRTM.MessageType;
export import PeerOnlineState = AgoraRTM.PeerOnlineState;
export import PeerSubscriptionOption = AgoraRTM.PeerSubscriptionOption;
export import RemoteInvitationFailureReason = AgoraRTM.RemoteInvitationFailureReason;
export import RemoteInvitationState = AgoraRTM.RemoteInvitationState;
export import VERSION = AgoraRTM.VERSION;
export import createInstance = AgoraRTM.createInstance;
export import getParameter = AgoraRTM.getParameter;
export import processId = AgoraRTM.processId;
export import setArea = AgoraRTM.setArea;
export import setParameter = AgoraRTM.setParameter;
