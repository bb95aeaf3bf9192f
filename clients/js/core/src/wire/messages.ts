/**
 * The messages of `proto/tidings.proto`, field by field. Which is used when:
 * `docs/internals/protocol.md`.
 */
import {
  type In,
  type Out,
  bool,
  bytes,
  many,
  maybe,
  message,
  one,
  oneof,
  string,
  uint,
} from './codec.js';

const OpenInvitation = /* @__PURE__ */ message({
  sessionId: one(1, bytes),
  number: one(2, uint),
  id: one(3, bytes),
  callerId: one(4, string),
});
export const Login = /* @__PURE__ */ message({
  appId: one(1, string),
  userId: one(2, string),
  token: one(3, string),
  client: one(4, string),
  invitations: many(5, OpenInvitation),
});
export const Resume = /* @__PURE__ */ message({
  appId: one(1, string),
  userId: one(2, string),
  sessionId: one(3, bytes),
  secret: one(4, bytes),
  confirm: one(5, uint),
  token: one(6, string),
});
export const Empty = /* @__PURE__ */ message({});

export const Raw = /* @__PURE__ */ message({ data: one(1, bytes), description: one(2, bytes) });
export const File = /* @__PURE__ */ message({
  mediaId: one(1, string),
  size: one(2, uint),
  fileName: one(3, bytes),
  description: one(4, bytes),
  thumbnail: one(5, bytes),
});
export const Image = /* @__PURE__ */ message({
  file: maybe(1, File),
  width: one(2, uint),
  height: one(3, uint),
  thumbnailWidth: one(4, uint),
  thumbnailHeight: one(5, uint),
});
export const Message = /* @__PURE__ */ message({
  body: oneof({ text: [1, bytes], raw: [2, Raw], file: [3, File], image: [4, Image] }),
  type: one(5, string),
  expiresTs: one(6, uint),
});
export const SendToPeer = /* @__PURE__ */ message({
  peerId: one(1, string),
  message: maybe(2, Message),
  offline: one(3, bool),
  history: one(4, bool),
});
export const SendToChannel = /* @__PURE__ */ message({
  channel: one(1, string),
  message: maybe(2, Message),
  history: one(3, bool),
});
export const ChannelName = /* @__PURE__ */ message({ channel: one(1, string) });
export const ChannelNames = /* @__PURE__ */ message({ channels: many(1, string) });
export const UserIds = /* @__PURE__ */ message({ userIds: many(1, string) });
export const Attribute = /* @__PURE__ */ message({
  key: one(1, string),
  value: one(2, string),
  updatedBy: one(3, string),
  updatedTs: one(4, uint),
});

/** How an attribute write treats existing attributes. */
export const ATTRIBUTES_SET = 0;
export const ATTRIBUTES_MERGE = 1;
export const ATTRIBUTES_DELETE = 2;
export const ATTRIBUTES_CLEAR = 3;

export const WriteUserAttributes = /* @__PURE__ */ message({
  how: one(1, uint),
  attributes: many(2, Attribute),
});
export const ReadUserAttributes = /* @__PURE__ */ message({
  userId: one(1, string),
  keys: many(2, string),
});
export const WriteChannelAttributes = /* @__PURE__ */ message({
  channel: one(1, string),
  how: one(2, uint),
  attributes: many(3, Attribute),
  notify: one(4, bool),
});
export const ReadChannelAttributes = /* @__PURE__ */ message({
  channel: one(1, string),
  keys: many(2, string),
});
export const ReadHistory = /* @__PURE__ */ message({
  conversation: oneof({ channel: [1, string], peerId: [2, string] }),
  after: one(3, uint),
  before: one(4, uint),
  fromTs: one(5, uint),
  untilTs: one(6, uint),
  countMax: one(7, uint),
  newestFirst: one(8, bool),
});
export const RenewToken = /* @__PURE__ */ message({ token: one(1, string) });

export const Invite = /* @__PURE__ */ message({
  number: one(1, uint),
  calleeId: one(2, string),
  content: one(3, string),
  channel: one(4, string),
  type: one(5, string),
});
export const InvitationNumber = /* @__PURE__ */ message({ number: one(1, uint) });
export const InvitationDecision = /* @__PURE__ */ message({
  id: one(1, bytes),
  response: one(2, string),
});

export const Request = /* @__PURE__ */ message({
  cseq: one(1, uint),
  call: oneof({
    sendToPeer: [2, SendToPeer],
    sendToChannel: [3, SendToChannel],
    join: [4, ChannelName],
    leave: [5, ChannelName],
    getMembers: [6, ChannelName],
    getMemberCounts: [7, ChannelNames],
    queryPresence: [8, UserIds],
    subscribePresence: [9, UserIds],
    unsubscribePresence: [10, UserIds],
    queryPresenceSubscriptions: [11, Empty],
    writeUserAttributes: [12, WriteUserAttributes],
    readUserAttributes: [13, ReadUserAttributes],
    writeChannelAttributes: [14, WriteChannelAttributes],
    readChannelAttributes: [15, ReadChannelAttributes],
    renewToken: [16, RenewToken],
    logout: [17, Empty],
    readHistory: [30, ReadHistory],
    invite: [18, Invite],
    cancelInvitation: [19, InvitationNumber],
    confirmAccept: [20, InvitationNumber],
    acceptInvitation: [21, InvitationDecision],
    refuseInvitation: [22, InvitationDecision],
  }),
});
export const ClientMessage = /* @__PURE__ */ message({
  kind: oneof({
    login: [1, Login],
    resume: [2, Resume],
    pong: [3, Empty],
    request: [4, Request],
    ping: [5, Empty],
  }),
});
export const ClientFrame = /* @__PURE__ */ message({
  messages: many(1, ClientMessage),
  confirm: one(2, uint),
});

export const Welcome = /* @__PURE__ */ message({
  sessionId: one(1, bytes),
  secret: one(2, bytes),
  heartbeatMs: one(3, uint),
  resumeWindowMs: one(4, uint),
  presenceGraceMs: one(5, uint),
  serverTs: one(6, uint),
  server: one(7, string),
});
export const Resumed = /* @__PURE__ */ message({
  secret: one(1, bytes),
  cseq: one(2, uint),
  serverTs: one(3, uint),
  wasGone: one(4, bool),
});
export const Failure = /* @__PURE__ */ message({
  outcome: one(1, uint),
  text: one(2, string),
  retryAfterMs: one(3, uint),
});
export const Refused = /* @__PURE__ */ message({ error: maybe(1, Failure) });
export const PeerSent = /* @__PURE__ */ message({ received: one(1, bool) });
export const MemberCount = /* @__PURE__ */ message({
  channel: one(1, string),
  count: one(2, uint),
});
export const MemberCounts = /* @__PURE__ */ message({ counts: many(1, MemberCount) });

export const PRESENCE_OFFLINE = 0;
export const PRESENCE_ONLINE = 1;
export const PRESENCE_UNREACHABLE = 2;

export const Presence = /* @__PURE__ */ message({ userId: one(1, string), state: one(2, uint) });
export const PresenceList = /* @__PURE__ */ message({ users: many(1, Presence) });
export const AttributeList = /* @__PURE__ */ message({ attributes: many(1, Attribute) });
export const HistoryMessage = /* @__PURE__ */ message({
  position: one(1, uint),
  from: one(2, string),
  message: maybe(3, Message),
  serverTs: one(4, uint),
  id: one(5, bytes),
});
export const HistoryPage = /* @__PURE__ */ message({
  messages: many(1, HistoryMessage),
  next: one(2, uint),
});
export const Reply = /* @__PURE__ */ message({
  cseq: one(1, uint),
  result: oneof({
    error: [2, Failure],
    done: [3, Empty],
    peerSent: [4, PeerSent],
    users: [5, UserIds],
    memberCounts: [6, MemberCounts],
    presence: [7, PresenceList],
    attributes: [8, AttributeList],
    history: [30, HistoryPage],
  }),
});
export const PeerMessage = /* @__PURE__ */ message({
  from: one(1, string),
  message: maybe(2, Message),
  serverTs: one(3, uint),
  inbox: one(4, uint),
  id: one(5, bytes),
});
export const ChannelMessage = /* @__PURE__ */ message({
  channel: one(1, string),
  from: one(2, string),
  message: maybe(3, Message),
  serverTs: one(4, uint),
});
export const ChannelUser = /* @__PURE__ */ message({
  channel: one(1, string),
  userId: one(2, string),
});
export const ChannelAttributes = /* @__PURE__ */ message({
  channel: one(1, string),
  attributes: many(2, Attribute),
  how: one(3, uint),
  keys: many(4, string),
  by: one(5, string),
});

/** `GapCause`, by number. */
export const GAP_CAUSES = [
  'unspecified',
  'buffer_overflow',
  'resume_window',
  'node_lost',
  'epoch_changed',
  'slow_consumer',
  'inbox_overflow',
  'inbox_expired',
  'rate_limited',
  'storage_damage',
  'node_link',
] as const;
export type GapCause = (typeof GAP_CAUSES)[number];

export const Gap = /* @__PURE__ */ message({
  source: oneof({ channel: [1, string], inbox: [2, Empty] }),
  cause: one(3, uint),
  missed: one(4, uint),
});
export const Skip = /* @__PURE__ */ message({ count: one(1, uint), gaps: many(2, Gap) });
export const TokenWillExpire = /* @__PURE__ */ message({ expiresTs: one(1, uint) });
/** `InvitationEnd`, by number. */
export const INVITATION_ENDS = [
  'unspecified',
  'accepted',
  'refused',
  'canceled',
  'peer_offline',
  'no_response',
  'expired',
  'accept_failed',
  'callee_gone',
  'caller_gone',
  'not_recorded',
] as const;
export type InvitationEnd = (typeof INVITATION_ENDS)[number];

export const AcceptAsked = /* @__PURE__ */ message({
  number: one(1, uint),
  response: one(2, string),
});
export const LocalInvitationEnded = /* @__PURE__ */ message({
  number: one(1, uint),
  end: one(2, uint),
  response: one(3, string),
});
export const IncomingInvitation = /* @__PURE__ */ message({
  id: one(1, bytes),
  callerId: one(2, string),
  content: one(3, string),
  channel: one(4, string),
  type: one(5, string),
});
export const RemoteInvitationEnded = /* @__PURE__ */ message({
  id: one(1, bytes),
  end: one(2, uint),
});
export const ServerMessage = /* @__PURE__ */ message({
  kind: oneof({
    welcome: [1, Welcome],
    resumed: [2, Resumed],
    refused: [3, Refused],
    ping: [4, Empty],
    skip: [5, Skip],
    pong: [6, Empty],
    reply: [16, Reply],
    peerMessage: [17, PeerMessage],
    channelMessage: [18, ChannelMessage],
    memberJoined: [19, ChannelUser],
    memberLeft: [20, ChannelUser],
    memberCount: [21, MemberCount],
    channelAttributes: [22, ChannelAttributes],
    presenceChanged: [23, PresenceList],
    gap: [24, Gap],
    tokenWillExpire: [32, TokenWillExpire],
    invitationReceived: [25, InvitationNumber],
    acceptAsked: [26, AcceptAsked],
    localInvitationEnded: [27, LocalInvitationEnded],
    incomingInvitation: [28, IncomingInvitation],
    remoteInvitationEnded: [29, RemoteInvitationEnded],
  }),
});
export const ServerFrame = /* @__PURE__ */ message({ messages: many(1, ServerMessage) });

export type Call = NonNullable<In<typeof Request>['call']>;
export type CallName = Call['is'];
export type ServerEvent = NonNullable<Out<typeof ServerMessage>['kind']>;
export type ReplyResult = NonNullable<Out<typeof Reply>['result']>;
export type Failure = Out<typeof Failure>;
export type File = Out<typeof File>;
export type Message = In<typeof Message>;
export type MessageBody = NonNullable<Out<typeof Message>['body']>;
export type Attribute = Out<typeof Attribute>;
export type Presence = Out<typeof Presence>;
export type Welcome = Out<typeof Welcome>;
export type Resumed = Out<typeof Resumed>;
export type HistoryPage = Out<typeof HistoryPage>;
export type PeerMessage = Out<typeof PeerMessage>;
export type Gap = Out<typeof Gap>;
