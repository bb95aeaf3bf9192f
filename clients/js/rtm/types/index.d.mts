/**
 * Public types of `@tidings/rtm`: those of the RTM 1.x web SDK, versions 1.2.2 to 1.5.1 together,
 * and what Tidings adds. This file is written by hand; tests compare it with the implementation.
 */

type Values<Names extends string> = { readonly [Name in Names]: Name };

/** The API object, and its types. */
declare namespace AgoraRTM {
  // ---------------------------------------------------------------- enums

  /** Every member's value is its name, so that text and enum may be mixed freely; a member is a type as well. */
  namespace RtmStatusCode {
    /** Where a login stands. */
    type ConnectionState = 'DISCONNECTED' | 'CONNECTING' | 'CONNECTED' | 'RECONNECTING' | 'ABORTED';
    /** Where a login stands. */
    const ConnectionState: Values<ConnectionState>;
    /** Where a login stands. */
    namespace ConnectionState {
      /** Not logged in. */
      type DISCONNECTED = 'DISCONNECTED';
      /** A login is on its way, up to 12 s. */
      type CONNECTING = 'CONNECTING';
      /** Logged in. A link that is lost for less than 4 s leaves it so. */
      type CONNECTED = 'CONNECTED';
      /** The link is lost; the SDK comes back by itself. */
      type RECONNECTING = 'RECONNECTING';
      /** The server has ended the login for good: `logout()`, then log in again. */
      type ABORTED = 'ABORTED';
    }
    /** Why the connection state changed. */
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
    /** Why the connection state changed. */
    const ConnectionChangeReason: Values<ConnectionChangeReason>;
    /** Why the connection state changed. */
    namespace ConnectionChangeReason {
      /** `login()` was called. */
      type LOGIN = 'LOGIN';
      /** The server has accepted the login, or the link is back. */
      type LOGIN_SUCCESS = 'LOGIN_SUCCESS';
      /** The server has refused the login. */
      type LOGIN_FAILURE = 'LOGIN_FAILURE';
      /** No attempt was answered within 12 s. */
      type LOGIN_TIMEOUT = 'LOGIN_TIMEOUT';
      /** The link is lost. */
      type INTERRUPTED = 'INTERRUPTED';
      /** `logout()` or `logoutSync()` was called. */
      type LOGOUT = 'LOGOUT';
      /** The server does not let the user in. */
      type BANNED_BY_SERVER = 'BANNED_BY_SERVER';
      /** The same user has logged in elsewhere. */
      type REMOTE_LOGIN = 'REMOTE_LOGIN';
      /** The token has ended and was not renewed in time. */
      type TOKEN_EXPIRED = 'TOKEN_EXPIRED';
    }
    /** Where a call invitation stands, for its caller. */
    type LocalInvitationState =
      | 'IDLE'
      | 'SENT_TO_REMOTE'
      | 'RECEIVED_BY_REMOTE'
      | 'ACCEPTED_BY_REMOTE'
      | 'REFUSED_BY_REMOTE'
      | 'CANCELED'
      | 'FAILURE';
    /** Where a call invitation stands, for its caller. */
    const LocalInvitationState: Values<LocalInvitationState>;
    /** Where a call invitation stands, for its caller. */
    namespace LocalInvitationState {
      /** Not sent. */
      type IDLE = 'IDLE';
      /** On its way to the callee. */
      type SENT_TO_REMOTE = 'SENT_TO_REMOTE';
      /** The callee's client has it. */
      type RECEIVED_BY_REMOTE = 'RECEIVED_BY_REMOTE';
      /** Accepted. An end. */
      type ACCEPTED_BY_REMOTE = 'ACCEPTED_BY_REMOTE';
      /** Refused. An end. */
      type REFUSED_BY_REMOTE = 'REFUSED_BY_REMOTE';
      /** Taken back. An end. */
      type CANCELED = 'CANCELED';
      /** Failed. An end. */
      type FAILURE = 'FAILURE';
    }
    /** Why a call invitation failed, for its caller. */
    type LocalInvitationFailureReason =
      'UNKNOWN' | 'PEER_NO_RESPONSE' | 'INVITATION_EXPIRE' | 'PEER_OFFLINE' | 'NOT_LOGGEDIN';
    /** Why a call invitation failed, for its caller. */
    const LocalInvitationFailureReason: Values<LocalInvitationFailureReason>;
    /** Why a call invitation failed, for its caller. */
    namespace LocalInvitationFailureReason {
      /** None of the others, such as a login elsewhere. */
      type UNKNOWN = 'UNKNOWN';
      /** The callee's client did not confirm it in time. */
      type PEER_NO_RESPONSE = 'PEER_NO_RESPONSE';
      /** Neither accepted nor refused within 60 s. */
      type INVITATION_EXPIRE = 'INVITATION_EXPIRE';
      /** The callee is off line. */
      type PEER_OFFLINE = 'PEER_OFFLINE';
      /** The caller is not logged in. */
      type NOT_LOGGEDIN = 'NOT_LOGGEDIN';
    }
    /** Where a call invitation stands, for its callee. */
    type RemoteInvitationState =
      | 'INVITATION_RECEIVED'
      | 'ACCEPT_SENT_TO_LOCAL'
      | 'REFUSED'
      | 'ACCEPTED'
      | 'CANCELED'
      | 'FAILURE';
    /** Where a call invitation stands, for its callee. */
    const RemoteInvitationState: Values<RemoteInvitationState>;
    /** Where a call invitation stands, for its callee. */
    namespace RemoteInvitationState {
      /** It waits for `accept()` or `refuse()`. */
      type INVITATION_RECEIVED = 'INVITATION_RECEIVED';
      /** Accepted here; the caller has not confirmed it yet. */
      type ACCEPT_SENT_TO_LOCAL = 'ACCEPT_SENT_TO_LOCAL';
      /** Refused. An end. */
      type REFUSED = 'REFUSED';
      /** Accepted, and confirmed by the caller. An end. */
      type ACCEPTED = 'ACCEPTED';
      /** The caller has taken it back. An end. */
      type CANCELED = 'CANCELED';
      /** Failed. An end. */
      type FAILURE = 'FAILURE';
    }
    /** Why a call invitation failed, for its callee. */
    type RemoteInvitationFailureReason =
      'UNKNOWN' | 'ACCEPT_FAILURE' | 'PEER_OFFLINE' | 'INVITATION_EXPIRE';
    /** Why a call invitation failed, for its callee. */
    const RemoteInvitationFailureReason: Values<RemoteInvitationFailureReason>;
    /** Why a call invitation failed, for its callee. */
    namespace RemoteInvitationFailureReason {
      /** None of the others. */
      type UNKNOWN = 'UNKNOWN';
      /** The caller did not confirm the acceptance in time. */
      type ACCEPT_FAILURE = 'ACCEPT_FAILURE';
      /** The caller, or this client, has left. */
      type PEER_OFFLINE = 'PEER_OFFLINE';
      /** Neither accepted nor refused within 60 s. */
      type INVITATION_EXPIRE = 'INVITATION_EXPIRE';
    }
    /** Kinds of messages. */
    type MessageType = 'TEXT' | 'RAW' | 'IMAGE' | 'FILE';
    /** Kinds of messages. */
    const MessageType: Values<MessageType>;
    /** Kinds of messages. */
    namespace MessageType {
      /** Text. */
      type TEXT = 'TEXT';
      /** Bytes with a description. */
      type RAW = 'RAW';
      /** A picture that was uploaded. */
      type IMAGE = 'IMAGE';
      /** A file that was uploaded. */
      type FILE = 'FILE';
    }
    /** Whether a user is on line. */
    type PeerOnlineState = 'ONLINE' | 'UNREACHABLE' | 'OFFLINE';
    /** Whether a user is on line. */
    const PeerOnlineState: Values<PeerOnlineState>;
    /** Whether a user is on line. */
    namespace PeerOnlineState {
      /** Connected, or away for less than the time after which a user counts as unreachable. */
      type ONLINE = 'ONLINE';
      /** The link is lost, the user may come back within the grace of 30 s. */
      type UNREACHABLE = 'UNREACHABLE';
      /** Not logged in. */
      type OFFLINE = 'OFFLINE';
    }
    /** What of users can be subscribed to. */
    type PeerSubscriptionOption = 'ONLINE_STATUS';
    /** What of users can be subscribed to. */
    const PeerSubscriptionOption: Values<PeerSubscriptionOption>;
    /** What of users can be subscribed to. */
    namespace PeerSubscriptionOption {
      /** Whether they are on line. */
      type ONLINE_STATUS = 'ONLINE_STATUS';
    }
    /** `ASIA` is without mainland China. */
    type AreaCode = 'GLOBAL' | 'INDIA' | 'JAPAN' | 'ASIA' | 'EUROPE' | 'CHINA' | 'NORTH_AMERICA';
    /** Areas of the original service; `ASIA` is without mainland China. */
    const AreaCode: Values<AreaCode>;
    /** Areas of the original service; `ASIA` is without mainland China. */
    namespace AreaCode {
      /** Everywhere. */
      type GLOBAL = 'GLOBAL';
      /** India. */
      type INDIA = 'INDIA';
      /** Japan. */
      type JAPAN = 'JAPAN';
      /** Asia without mainland China. */
      type ASIA = 'ASIA';
      /** Europe. */
      type EUROPE = 'EUROPE';
      /** Mainland China. */
      type CHINA = 'CHINA';
      /** North America. */
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
  /** Areas as versions before 1.4 named them. */
  type LegacyAreaCode =
    'CN' | 'NA' | 'EU' | 'AS' | 'JP' | 'IN' | 'GLOB' | 'OC' | 'SA' | 'AF' | 'OVS';

  // ---------------------------------------------------------------- plain types

  /** A text. */
  interface RtmTextMessage {
    /** At most 32 KB of UTF-8. */
    text: string;
    /** Never there: so that it can be asked for without a look at the kind. */
    rawMessage?: never;
    /** Never there, as `rawMessage`. */
    description?: never;
    /** The kind. */
    messageType?: 'TEXT';
  }
  /** Bytes. */
  interface RtmRawMessage {
    /** With the description together at most 32 KB. */
    rawMessage: Uint8Array;
    /** Text beside the content. */
    description?: string;
    /** Never there: so that it can be asked for without a look at the kind. */
    text?: never;
    /** The kind. */
    messageType?: 'RAW';
  }
  /** A picture that was uploaded. */
  interface RtmImageMessage {
    /** Names the upload, for `downloadMedia`. */
    mediaId: string;
    /** The file's name. */
    fileName: string;
    /** Text beside the content. */
    description: string;
    /** Bytes of the file. */
    size: number;
    /** Pixels; 0 = not known. */
    width: number;
    /** Pixels; 0 = not known. */
    height: number;
    /** A small picture; `undefined` = none. */
    thumbnail: Blob | undefined;
    /** Pixels; 0 = not known. */
    thumbnailWidth: number;
    /** Pixels; 0 = not known. */
    thumbnailHeight: number;
    /** Never there: for programs that know texts and bytes only and take this for the one or the other. */
    text?: any;
    /** Never there, as `text`. */
    rawMessage?: any;
    /** The kind. */
    messageType: 'IMAGE';
  }
  /** A file that was uploaded. */
  interface RtmFileMessage {
    /** Names the upload, for `downloadMedia`. */
    mediaId: string;
    /** The file's name. */
    fileName: string;
    /** Text beside the content. */
    description: string;
    /** Bytes of the file. */
    size: number;
    /** A small picture; `undefined` = none. */
    thumbnail: Blob | undefined;
    /** Never there: for programs that know texts and bytes only and take this for the one or the other. */
    text?: any;
    /** Never there, as `text`. */
    rawMessage?: any;
    /** The kind. */
    messageType: 'FILE';
  }
  /** Any message; `messageType` says which. */
  type RtmMessage = RtmTextMessage | RtmRawMessage | RtmImageMessage | RtmFileMessage;

  /** How a message is sent. */
  interface SendMessageOptions {
    /** Store the message when the peer is off line. Default: false. No effect in channels. */
    enableOfflineMessaging?: boolean;
    /** Keep a copy in the history. Default: false. */
    enableHistoricalMessaging?: boolean;
  }
  /** What became of a peer message. */
  interface PeerMessageSendResult {
    /** The peer's client has the message. False: the peer is off line. */
    hasPeerReceived: boolean;
  }
  /** The same by its name in 1.2. */
  type RtmPeerMessageSendResult = PeerMessageSendResult;
  /** What is known of a message besides its content. */
  interface ReceivedMessageProperties {
    /** When the server received the message. Unix milliseconds. */
    serverReceivedTs: number;
    /** The server had stored the message. */
    isOfflineMessage: boolean;
  }
  /** The same by its name in 1.2. */
  type ReceiveMessageProperties = ReceivedMessageProperties;
  /** Attributes of a user: 1 to 32 keys of 1 to 32 bytes with values of 1 to 8 KB, 16 KB together. */
  interface AttributesMap {
    [key: string]: string;
  }
  /** One attribute of a channel. */
  interface ChannelAttributeProperties {
    /** 1 to 8 KB of text. */
    value: string;
    /** Who wrote it last. */
    lastUpdateUserId: string;
    /** Unix milliseconds. */
    lastUpdateTs: number;
  }
  /** Attributes of a channel, by key. */
  interface ChannelAttributes {
    [key: string]: ChannelAttributeProperties;
  }
  /** How channel attributes are written. */
  interface ChannelAttributeOptions {
    /** Send `AttributesUpdated` to the channel's members for this call. Default: false. */
    enableNotificationToChannelMembers?: boolean;
  }
  /** Whether users are on line, by user. */
  interface PeersOnlineStatusResult {
    [peerId: string]: boolean;
  }
  /** States of users, by user. */
  interface PeersOnlineStatusMap {
    [peerId: string]: RtmStatusCode.PeerOnlineState;
  }
  /** Numbers of members, by channel; 0 where there is no such channel. */
  interface ChannelMemberCountResult {
    [channelId: string]: number;
  }
  /** Which lines go to the console. */
  interface LogFilterType {
    /** A person must act. */
    error: boolean;
    /** It healed itself. */
    warn: boolean;
    /** Once per step of a connection. */
    info: boolean;
    /** Calls. */
    track: boolean;
    /** The rest. */
    debug: boolean;
  }
  /** Settings of a client. */
  interface RtmConfig {
    /**
     * `https://host[:port][/path]`; of a cluster all nodes, in a list or between commas. Default: global
     * `TIDINGS_ENDPOINT`, else `<meta name="tidings-endpoint">`, else `process.env.TIDINGS_ENDPOINT`, else the page.
     */
    endpoint?: string | readonly string[];
    /** Default: warnings and errors. */
    logFilter?: LogFilterType;
    /** Accepted for compatibility: nothing is ever uploaded. */
    enableLogUpload?: boolean;
    /** Accepted for compatibility, without effect. */
    enableCloudProxy?: boolean;
  }
  /** The same by its name in 1.2. */
  type RtmParameters = RtmConfig;
  /** How far an upload or a download is. */
  interface MediaOperationProgress {
    /** Bytes. */
    currentSize: number;
    /** Bytes of the whole. */
    totalSize: number;
  }
  /** Follows an upload or a download, and cancels it. */
  interface MediaTransferHandler {
    /** Ends the transfer: its promise rejects with code 6. */
    cancelSignal?: AbortSignal;
    /** Called about once a second, and at the end. */
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
    /** Which end comes first. Default: the oldest. */
    order?: 'oldest_first' | 'newest_first' | undefined;
  }
  /** A message of a history. Not in the original API. */
  interface HistoryMessage {
    /** The message's place in its conversation; rises from 1. */
    position: number;
    /** The sender's id. */
    userId: string;
    /** What was sent. */
    message: RtmMessage;
    /** When the server received it. Unix milliseconds. */
    serverReceivedTs: number;
    /** Names it to operators: 32 hexadecimal digits; empty if a server before 0.2 has kept it. */
    messageId: string;
  }
  /** Part of a history. Not in the original API. */
  interface HistoryPage {
    /** In the order asked for; may be fewer than asked for, even none, although more follow. */
    messages: HistoryMessage[];
    /** Where to go on: the next call's `after`, or its `before` when the newest come first. Missing at the end. */
    next?: number;
  }
  /** Events that were meant for this client are missing; nothing later of the source came before. */
  interface MessageGap {
    /** Whose events are missing. */
    source:
      | {
          /** Events of a channel. */
          type: 'channel';
          /** Which. */
          channelId: string;
        }
      | {
          /** Messages of users. */
          type: 'peer';
        };
    /** Why they are. */
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
      | 'storage_damage'
      | 'node_link';
    /** How many events, at most if the cause is `node_link`; absent when not known. */
    missed?: number;
    /** Whether lists of members and attributes have been read anew. */
    repaired: boolean;
  }
  /** What rejections and thrown errors are. */
  interface RtmError extends Error {
    /** A constant of the method's family, see `error-code`. */
    code: number;
    /** The server's outcome; `undefined` when the error was found here. */
    serverCode: number | undefined;
    /** What lies beneath, if anything. */
    originalError: unknown;
    /**
     * Of a call that had no answer: `false` = it never left this client and has had no effect, so it may be made again;
     * `true` = it had left, and may have taken effect. Missing when the server has answered, or the call was refused
     * before. Not in the original API.
     */
    isSent?: boolean;
    /** When to try again, in milliseconds, where the server has said it. */
    retryAfter?: number;
  }

  // ---------------------------------------------------------------- events

  /** Events with their listeners, by object. */
  namespace RtmEvents {
    /** Events of a client. */
    interface RtmClientEvents {
      /** The connection state has changed. */
      ConnectionStateChanged: (
        newState: RtmStatusCode.ConnectionState,
        reason: RtmStatusCode.ConnectionChangeReason,
      ) => void;
      /** A user has sent a message. */
      MessageFromPeer: (
        message: RtmMessage,
        peerId: string,
        messageProps: ReceivedMessageProperties,
      ) => void;
      /** A user invites to a call. */
      RemoteInvitationReceived: (remoteInvitation: RemoteInvitation) => void;
      /** Users that are subscribed to have come, gone, or been lost. */
      PeersOnlineStatusChanged: (status: PeersOnlineStatusMap) => void;
      /** The token has ended: `renewToken()`, or log out and in. */
      TokenExpired: () => void;
      /** The token ends within 30 s: `renewToken()`. */
      TokenPrivilegeWillExpire: () => void;
      /** Never raised: there is no proxy. */
      FallbackProxyConnected: () => void;
      /** Events are missing. Not in the original API. */
      MessageGap: (gap: MessageGap) => void;
    }
    /** Events of a channel. */
    interface RtmChannelEvents {
      /** A member has sent a message. */
      ChannelMessage: (
        message: RtmMessage,
        memberId: string,
        messageProps: ReceivedMessageProperties,
      ) => void;
      /** A user has joined; in channels of up to 512 members. */
      MemberJoined: (memberId: string) => void;
      /** A user has left; in channels of up to 512 members. */
      MemberLeft: (memberId: string) => void;
      /** How many members there are now. */
      MemberCountUpdated: (memberCount: number) => void;
      /** All attributes of the channel after a change that was to be told. */
      AttributesUpdated: (attributes: ChannelAttributes) => void;
    }
    /** Events of a call invitation, for its caller. */
    interface LocalInvitationEvents {
      /** The callee's client has it. */
      LocalInvitationReceivedByPeer: () => void;
      /** The callee has accepted. */
      LocalInvitationAccepted: (response: string) => void;
      /** The callee has refused. */
      LocalInvitationRefused: (response: string) => void;
      /** `cancel()` was called. */
      LocalInvitationCanceled: () => void;
      /** It has failed. */
      LocalInvitationFailure: (reason: RtmStatusCode.LocalInvitationFailureReason) => void;
    }
    /** Events of a call invitation, for its callee. */
    interface RemoteInvitationEvents {
      /** The acceptance counts. */
      RemoteInvitationAccepted: () => void;
      /** The refusal counts. */
      RemoteInvitationRefused: () => void;
      /** The caller has taken it back. */
      RemoteInvitationCanceled: (content: string) => void;
      /** It has failed. */
      RemoteInvitationFailure: (reason: RtmStatusCode.RemoteInvitationFailureReason) => void;
    }
  }

  /** What the listeners of an event get. Tuples around the types keep a union of events together. */
  type ArgumentsOf<T> = [T] extends [(...args: infer Args) => any]
    ? Args
    : [T] extends [void]
      ? []
      : [T];
  /** Any listener. */
  type ListenerType = (...args: never[]) => void;

  /** Node's emitter. A listener that throws hinders nobody: its error is raised afterwards. */
  interface EventEmitter<Events extends object = Record<string, ListenerType>> {
    /** Adds a listener. */
    on<Name extends keyof Events>(
      eventName: Name,
      listener: (...args: ArgumentsOf<Events[Name]>) => unknown,
    ): this;
    /** Adds a listener. */
    addListener<Name extends keyof Events>(
      eventName: Name,
      listener: (...args: ArgumentsOf<Events[Name]>) => unknown,
    ): this;
    /** Adds a listener for one time. */
    once<Name extends keyof Events>(
      eventName: Name,
      listener: (...args: ArgumentsOf<Events[Name]>) => unknown,
    ): this;
    /** Adds a listener before the others. */
    prependListener<Name extends keyof Events>(
      eventName: Name,
      listener: (...args: ArgumentsOf<Events[Name]>) => unknown,
    ): this;
    /** Adds a listener before the others, for one time. */
    prependOnceListener<Name extends keyof Events>(
      eventName: Name,
      listener: (...args: ArgumentsOf<Events[Name]>) => unknown,
    ): this;
    /** Removes a listener; if it was added several times, the last of them. */
    off<Name extends keyof Events>(eventName: Name, listener: (...args: never[]) => unknown): this;
    /** The same as `off`. */
    removeListener<Name extends keyof Events>(
      eventName: Name,
      listener: (...args: never[]) => unknown,
    ): this;
    /** Removes all listeners, of one event or of all. */
    removeAllListeners(eventName?: keyof Events): this;
    /** Listeners of an event. */
    listeners<Name extends keyof Events>(eventName: Name): Events[Name][];
    /** Listeners of an event, with the wrappers of `once`. */
    rawListeners<Name extends keyof Events>(eventName: Name): Events[Name][];
    /** How many listeners an event has. */
    listenerCount(eventName: keyof Events): number;
    /** Events with listeners. */
    eventNames(): (keyof Events)[];
    /** Calls the listeners; says whether there was one. */
    emit<Name extends keyof Events>(eventName: Name, ...args: ArgumentsOf<Events[Name]>): boolean;
    /** From how many listeners of one event on a leak is suspected; 0 = never. */
    setMaxListeners(count: number): this;
    /** What `setMaxListeners` has set; 512 otherwise. */
    getMaxListeners(): number;
  }

  // ---------------------------------------------------------------- classes

  /** One login of one user at a time; made by `createInstance`. */
  interface RtmClient extends EventEmitter<RtmEvents.RtmClientEvents> {
    /** Where the login stands. */
    readonly connectionState: RtmStatusCode.ConnectionState;
    /** Logs in; resolves when the server has accepted, rejects after at most 12 s. Codes `LOGIN_ERR_…`. */
    login(options: { uid: string; token?: string | null | undefined }): Promise<void>;
    /** Logs out: the user is gone at once. Codes `LOGOUT_ERR_…`. */
    logout(): Promise<void>;
    /**
     * Tries to connect at once instead of waiting for the next attempt, for a button or the like; when the link seems to
     * stand, looks whether it does. No effect while logged out. Not in the original API.
     */
    reconnectNow(): void;
    /** Logs out without waiting, for handlers of a page's end. */
    logoutSync(): void;
    /** Replaces the token. Codes `RENEW_TOKEN_ERR_…`. */
    renewToken(token: string): Promise<void>;
    /** Sends to a user, at most 32 KB. Codes `PEER_MESSAGE_ERR_…`. */
    sendMessageToPeer(
      message: RtmMessage,
      peerId: string,
      options?: SendMessageOptions,
    ): Promise<PeerMessageSendResult>;
    /** The conversation with one user: messages sent with `enableHistoricalMessaging`. Not in the original API. */
    getPeerHistory(peerId: string, options?: HistoryOptions): Promise<HistoryPage>;
    /** Makes a message; the fields that are not given are guessed. */
    createMessage<T extends RtmMessage>(message: Partial<T>): T;
    /** Makes an object for a channel; `join()` enters it. Code `CREATE_CHANNEL_ERR_INVALID_ARGUMENT`. */
    createChannel(channelId: string): RtmChannel;
    /** Makes a call invitation; `send()` sends it. */
    createLocalInvitation(calleeId: string): LocalInvitation;
    /** An open invitation that has come, by its `invitationId`. Not in the original API. */
    getRemoteInvitation(invitationId: string): RemoteInvitation | undefined;
    /** Asks whether 1 to 256 users are on line. Codes `QUERY_PEERS_ONLINE_STATUS_ERR_…`. */
    queryPeersOnlineStatus(peerIds: string[]): Promise<PeersOnlineStatusResult>;
    /** Subscribes to 1 to 512 users; their states follow as an event. Codes `PEER_SUBSCRIPTION_STATUS_ERR_…`. */
    subscribePeersOnlineStatus(peerIds: string[]): Promise<void>;
    /** Ends subscriptions. Codes `PEER_SUBSCRIPTION_STATUS_ERR_…`. */
    unsubscribePeersOnlineStatus(peerIds: string[]): Promise<void>;
    /** Lists the users subscribed to. Codes `QUERY_PEERS_BY_SUBSCRIPTION_OPTION_ERR_…`. */
    queryPeersBySubscriptionOption(option: RtmStatusCode.PeerSubscriptionOption): Promise<string[]>;
    /** Replaces all attributes of the own user. Codes `ATTRIBUTE_OPERATION_ERR_…`. */
    setLocalUserAttributes(attributes: AttributesMap): Promise<void>;
    /** Writes some attributes of the own user. */
    addOrUpdateLocalUserAttributes(attributes: AttributesMap): Promise<void>;
    /** Deletes some attributes of the own user. */
    deleteLocalUserAttributesByKeys(attributeKeys: string[]): Promise<void>;
    /** Deletes all attributes of the own user. */
    clearLocalUserAttributes(): Promise<void>;
    /** Reads all attributes of a user who is on line. */
    getUserAttributes(userId: string): Promise<AttributesMap>;
    /** Reads some attributes of a user who is on line; keys that do not exist are left out. */
    getUserAttributesByKeys(userId: string, attributeKeys: string[]): Promise<AttributesMap>;
    /** Replaces all attributes of a channel. Codes `ATTRIBUTE_OPERATION_ERR_…`. */
    setChannelAttributes(
      channelId: string,
      attributes: AttributesMap,
      options?: ChannelAttributeOptions,
    ): Promise<void>;
    /** Writes some attributes of a channel. */
    addOrUpdateChannelAttributes(
      channelId: string,
      attributes: AttributesMap,
      options?: ChannelAttributeOptions,
    ): Promise<void>;
    /** Deletes some attributes of a channel. */
    deleteChannelAttributesByKeys(
      channelId: string,
      attributeKeys: string[],
      options?: ChannelAttributeOptions,
    ): Promise<void>;
    /** Deletes all attributes of a channel. */
    clearChannelAttributes(channelId: string, options?: ChannelAttributeOptions): Promise<void>;
    /** Reads all attributes of a channel. */
    getChannelAttributes(channelId: string): Promise<ChannelAttributes>;
    /** Reads some attributes of a channel; keys that do not exist are left out. */
    getChannelAttributesByKeys(channelId: string, keys: string[]): Promise<ChannelAttributes>;
    /** Counts the members of 1 to 32 channels. Codes `GET_CHANNEL_MEMBER_COUNT_ERR_…`. */
    getChannelMemberCount(channelIds: string[]): Promise<ChannelMemberCountResult>;
    /**
     * Uploads a file of 1 byte to 32 MB, and makes a message of it that may be sent as often as wanted. `params` needs
     * a `messageType`. Width and height of PNG, JPEG and BMP pictures are found unless given. Codes `UPLOAD_MEDIA_ERR_…`.
     */
    createMediaMessageByUploading(
      payload: Blob | Uint8Array,
      params?: Partial<RtmFileMessage> | Partial<RtmImageMessage>,
      transHandler?: MediaTransferHandler,
    ): Promise<RtmFileMessage | RtmImageMessage>;
    /**
     * Fetches what was uploaded in the last 7 days. The Blob's type is found from its content: png, gif, jpeg, pdf, zip,
     * or none. Codes `DOWNLOAD_MEDIA_ERR_…`.
     */
    downloadMedia(mediaId: string, transHandler?: MediaTransferHandler): Promise<Blob>;
    /** @deprecated Use `updateConfig`. */
    setParameters(config: RtmConfig): void;
    /** Changes settings; a new `endpoint` is for the next login. */
    updateConfig(config: RtmConfig): void;
  }

  /** A channel as one client sees it; made by `createChannel`. */
  interface RtmChannel extends EventEmitter<RtmEvents.RtmChannelEvents> {
    /** The channel's name. */
    readonly channelId: string;
    /** Enters the channel. Codes `JOIN_CHANNEL_ERR_…`. */
    join(): Promise<void>;
    /** Leaves the channel. Codes `LEAVE_CHANNEL_ERR_…`. */
    leave(): Promise<void>;
    /** Sends to all members, at most 32 KB. Codes `CHANNEL_MESSAGE_ERR_…`. */
    sendMessage(message: RtmMessage, messageOptions?: SendMessageOptions): Promise<void>;
    /** Above 512 members: 512 of them, chosen at random. */
    getMembers(): Promise<string[]>;
    /** Messages sent with `enableHistoricalMessaging`; the channel must be joined. Not in the original API. */
    getHistory(options?: HistoryOptions): Promise<HistoryPage>;
  }

  /** A call invitation of the caller's; made by `createLocalInvitation`. */
  interface LocalInvitation extends EventEmitter<RtmEvents.LocalInvitationEvents> {
    /** Who is called. */
    readonly calleeId: string;
    /** Text of the caller, at most 8 KB. */
    content: string;
    /** Channel of the call, as the caller states it. At most 64 bytes. */
    channelId: string;
    /** Text of the callee, at most 8 KB. */
    readonly response: string;
    /** Where it stands. */
    readonly state: RtmStatusCode.LocalInvitationState;
    /** Sends it, once. */
    send(): void;
    /** Takes it back. */
    cancel(): void;
  }

  /** A call invitation of the callee's; brought by `RemoteInvitationReceived`. */
  interface RemoteInvitation extends EventEmitter<RtmEvents.RemoteInvitationEvents> {
    /** Who calls. */
    readonly callerId: string;
    /** Channel of the call, as the caller states it. At most 64 bytes. */
    readonly channelId: string;
    /** Text of the caller, at most 8 KB. */
    readonly content: string;
    /** Names it at this client, for programs that keep or pass on texts. Not in the original API. */
    readonly invitationId: string;
    /** Text of the callee, at most 8 KB. */
    response: string;
    /** Where it stands. */
    readonly state: RtmStatusCode.RemoteInvitationState;
    /** Accepts it; it counts once `RemoteInvitationAccepted` is raised. */
    accept(): void;
    /** Refuses it, for good. */
    refuse(): void;
  }

  // ---------------------------------------------------------------- functions and constants

  /**
   * Makes a client.
   * @param appId 32 letters or digits.
   */
  function createInstance(appId: string, config?: RtmConfig): RtmClient;
  /**
   * Makes a client.
   * @deprecated Areas: use `setArea`.
   */
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
  /** Keeps a value under a name. Without effect. */
  function setParameter(key: string, value: unknown): void;
  /** Reads what `setParameter` has kept. */
  function getParameter(key: string): unknown;
  /** Names this load of the package. */
  const processId: string;
  /** Version of the package. */
  const VERSION: string;
  /** Names the build. */
  const BUILD: string;
  /** Begins the text that ends an accepted call with a legacy peer. */
  const END_CALL_PREFIX: string;
  /** No lines. */
  const LOG_FILTER_OFF: LogFilterType;
  /** Errors. */
  const LOG_FILTER_ERROR: LogFilterType;
  /** Errors and warnings. */
  const LOG_FILTER_WARNING: LogFilterType;
  /** Errors, warnings and what happens to connections. */
  const LOG_FILTER_INFO: LogFilterType;
  /** Everything. */
  const LOG_FILTER_DEBUG: LogFilterType;
}

export default AgoraRTM;
/** The same as `AgoraRTM.LocalInvitation`. */
export type LocalInvitation = AgoraRTM.LocalInvitation;
/** The same as `AgoraRTM.RemoteInvitation`. */
export type RemoteInvitation = AgoraRTM.RemoteInvitation;
/** The same as `AgoraRTM.RtmChannel`. */
export type RtmChannel = AgoraRTM.RtmChannel;
/** The same as `AgoraRTM.RtmClient`. */
export type RtmClient = AgoraRTM.RtmClient;
/** The same as `AgoraRTM.RtmMessage`. */
export type RtmMessage = AgoraRTM.RtmMessage;
/** The same as `AgoraRTM.RtmTextMessage`. */
export type RtmTextMessage = AgoraRTM.RtmTextMessage;
/** The same as `AgoraRTM.RtmRawMessage`. */
export type RtmRawMessage = AgoraRTM.RtmRawMessage;
/** The same as `AgoraRTM.RtmImageMessage`. */
export type RtmImageMessage = AgoraRTM.RtmImageMessage;
/** The same as `AgoraRTM.RtmFileMessage`. */
export type RtmFileMessage = AgoraRTM.RtmFileMessage;
/** The same as `AgoraRTM.RtmConfig`. */
export type RtmConfig = AgoraRTM.RtmConfig;
/** The same as `AgoraRTM.RtmError`. */
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
