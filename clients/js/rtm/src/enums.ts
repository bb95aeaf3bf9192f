/** The enums of the API: every member's value is its name. */

type Members<Names extends readonly string[]> = { readonly [Name in Names[number]]: Name };

function members<const Names extends readonly string[]>(...names: Names): Members<Names> {
  return Object.freeze(Object.fromEntries(names.map((name) => [name, name]))) as Members<Names>;
}

export const ConnectionState = /* @__PURE__ */ members(
  'DISCONNECTED',
  'CONNECTING',
  'CONNECTED',
  'RECONNECTING',
  'ABORTED',
);
export const ConnectionChangeReason = /* @__PURE__ */ members(
  'LOGIN',
  'LOGIN_SUCCESS',
  'LOGIN_FAILURE',
  'LOGIN_TIMEOUT',
  'INTERRUPTED',
  'LOGOUT',
  'BANNED_BY_SERVER',
  'REMOTE_LOGIN',
  'TOKEN_EXPIRED',
);
export const LocalInvitationState = /* @__PURE__ */ members(
  'IDLE',
  'SENT_TO_REMOTE',
  'RECEIVED_BY_REMOTE',
  'ACCEPTED_BY_REMOTE',
  'REFUSED_BY_REMOTE',
  'CANCELED',
  'FAILURE',
);
export const LocalInvitationFailureReason = /* @__PURE__ */ members(
  'UNKNOWN',
  'PEER_NO_RESPONSE',
  'INVITATION_EXPIRE',
  'PEER_OFFLINE',
  'NOT_LOGGEDIN',
);
export const RemoteInvitationState = /* @__PURE__ */ members(
  'INVITATION_RECEIVED',
  'ACCEPT_SENT_TO_LOCAL',
  'REFUSED',
  'ACCEPTED',
  'CANCELED',
  'FAILURE',
);
export const RemoteInvitationFailureReason = /* @__PURE__ */ members(
  'UNKNOWN',
  'ACCEPT_FAILURE',
  'PEER_OFFLINE',
  'INVITATION_EXPIRE',
);
export const MessageType = /* @__PURE__ */ members('TEXT', 'RAW', 'IMAGE', 'FILE');
export const PeerOnlineState = /* @__PURE__ */ members('ONLINE', 'UNREACHABLE', 'OFFLINE');
export const PeerSubscriptionOption = /* @__PURE__ */ members('ONLINE_STATUS');
export const AreaCode = /* @__PURE__ */ members(
  'GLOBAL',
  'INDIA',
  'JAPAN',
  'ASIA',
  'EUROPE',
  'CHINA',
  'NORTH_AMERICA',
);

/** The enums by name, as the typings group them. */
export const RtmStatusCode = /* @__PURE__ */ Object.freeze({
  ConnectionState,
  ConnectionChangeReason,
  LocalInvitationState,
  LocalInvitationFailureReason,
  RemoteInvitationState,
  RemoteInvitationFailureReason,
  MessageType,
  PeerOnlineState,
  PeerSubscriptionOption,
  AreaCode,
});
