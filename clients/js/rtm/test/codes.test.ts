/** Numbers and names: every enum, every numeric constant, and the code of each method for what a server says. */
import { OUTCOME_NOT_PERMITTED, RTM_ERROR_CODES } from '@tidings/core';
import { describe, expect, it } from 'vitest';
import { AgoraRTM } from '../src/api.js';
import errorCodes from '../src/error-code.js';
import { type Recorder, join, makeLoggedIn } from './support/client.js';
import { type Answer, friendly, reply } from './support/world.js';

const api = AgoraRTM as unknown as Readonly<Record<string, Readonly<Record<string, string>>>>;
const membersOf = (name: string) =>
  Object.keys(api[name] ?? {})
    .sort()
    .join(' ');
const sorted = (names: string) => names.split(' ').sort().join(' ');

describe('enums have exactly their members', () => {
  // proves: rtm-1.3-connection-state
  it('ConnectionState', () => {
    expect(membersOf('ConnectionState')).toBe(
      sorted('DISCONNECTED CONNECTING CONNECTED RECONNECTING ABORTED'),
    );
  });
  // proves: rtm-1.3-change-reason
  it('ConnectionChangeReason', () => {
    const names =
      'LOGIN LOGIN_SUCCESS LOGIN_FAILURE LOGIN_TIMEOUT INTERRUPTED LOGOUT BANNED_BY_SERVER REMOTE_LOGIN';
    expect(membersOf('ConnectionChangeReason')).toBe(sorted(`${names} TOKEN_EXPIRED`));
  });
  // proves: rtm-1.3-local-state
  it('LocalInvitationState', () => {
    const names =
      'IDLE SENT_TO_REMOTE RECEIVED_BY_REMOTE ACCEPTED_BY_REMOTE REFUSED_BY_REMOTE CANCELED FAILURE';
    expect(membersOf('LocalInvitationState')).toBe(sorted(names));
  });
  // proves: rtm-1.3-remote-state
  it('RemoteInvitationState', () => {
    const names = 'INVITATION_RECEIVED ACCEPT_SENT_TO_LOCAL REFUSED ACCEPTED CANCELED FAILURE';
    expect(membersOf('RemoteInvitationState')).toBe(sorted(names));
  });
  // proves: rtm-1.3-local-failure
  it('LocalInvitationFailureReason', () => {
    const names = 'UNKNOWN PEER_OFFLINE PEER_NO_RESPONSE INVITATION_EXPIRE NOT_LOGGEDIN';
    expect(membersOf('LocalInvitationFailureReason')).toBe(sorted(names));
  });
  // proves: rtm-1.3-remote-failure
  it('RemoteInvitationFailureReason', () => {
    const names = 'UNKNOWN PEER_OFFLINE ACCEPT_FAILURE INVITATION_EXPIRE';
    expect(membersOf('RemoteInvitationFailureReason')).toBe(sorted(names));
  });
  // proves: rtm-1.3-online-state
  it('PeerOnlineState', () => {
    expect(membersOf('PeerOnlineState')).toBe(sorted('ONLINE UNREACHABLE OFFLINE'));
  });
  // proves: rtm-1.3-subscription-option
  it('PeerSubscriptionOption', () => {
    expect(membersOf('PeerSubscriptionOption')).toBe('ONLINE_STATUS');
  });
  // proves: rtm-1.3-message-type
  it('MessageType', () => {
    expect(membersOf('MessageType')).toBe(sorted('TEXT RAW IMAGE FILE'));
  });
  // proves: rtm-1.3-area-code
  it('AreaCode', () => {
    expect(membersOf('AreaCode')).toBe(
      sorted('GLOBAL INDIA JAPAN ASIA EUROPE CHINA NORTH_AMERICA'),
    );
  });
});

/** A family's constants, the prefix left out. */
function family(prefix: string): Record<string, number> {
  const entries = Object.entries(errorCodes as Record<string, number>);
  const own = entries.filter(([name]) => name.startsWith(prefix));
  return Object.fromEntries(own.map(([name, code]) => [name.slice(prefix.length), code]));
}

describe('constants have exactly their numbers', () => {
  const LOGIN = { USER_NOT_LOGGED_IN: 102 };
  // proves: rtm-1.10-create-instance
  it('CREATE_INSTANCE_ERR', () => {
    expect(family('CREATE_INSTANCE_ERR_')).toEqual({ INVALID_ARGUMENT: 1 });
  });
  // proves: rtm-1.10-create-channel
  it('CREATE_CHANNEL_ERR', () => {
    expect(family('CREATE_CHANNEL_ERR_')).toEqual({ INVALID_ARGUMENT: 1 });
  });
  // proves: rtm-1.10-login
  it('LOGIN_ERR', () => {
    const first = {
      UNKNOWN: 1,
      REJECTED: 2,
      INVALID_ARGUMENT: 3,
      INVALID_APP_ID: 4,
      INVALID_TOKEN: 5,
    };
    const rest = {
      TOKEN_EXPIRED: 6,
      NOT_AUTHORIZED: 7,
      ALREADY_LOGIN: 8,
      TIMEOUT: 9,
      TOO_OFTEN: 10,
    };
    expect(family('LOGIN_ERR_')).toEqual({ ...first, ...rest });
  });
  // proves: rtm-1.10-logout
  it('LOGOUT_ERR', () => {
    expect(family('LOGOUT_ERR_')).toEqual(LOGIN);
  });
  // proves: rtm-1.10-renew-token
  it('RENEW_TOKEN_ERR', () => {
    const codes = {
      FAILURE: 1,
      INVALID_ARGUMENT: 2,
      REJECTED: 3,
      TOO_OFTEN: 4,
      TOKEN_EXPIRED: 5,
      INVALID_TOKEN: 6,
    };
    expect(family('RENEW_TOKEN_ERR_')).toEqual({ ...codes, ...LOGIN });
  });
  // proves: rtm-1.10-peer-message
  it('PEER_MESSAGE_ERR, the two of native SDKs included', () => {
    const first = {
      FAILURE: 1,
      TIMEOUT: 2,
      PEER_UNREACHABLE: 3,
      CACHED_BY_SERVER: 4,
      TOO_OFTEN: 5,
    };
    const rest = { INVALID_USERID: 6, INVALID_MESSAGE: 7, INCOMPATIBLE_MESSAGE: 8 };
    expect(family('PEER_MESSAGE_ERR_')).toEqual({ ...first, ...rest, ...LOGIN });
  });
  // proves: rtm-1.10-channel-message
  it('CHANNEL_MESSAGE_ERR', () => {
    const codes = { FAILURE: 1, TIMEOUT: 2, TOO_OFTEN: 3, INVALID_MESSAGE: 4, NOT_IN_CHANNEL: 5 };
    expect(family('CHANNEL_MESSAGE_ERR_')).toEqual({ ...codes, ...LOGIN });
  });
  // proves: rtm-1.10-join-channel
  it('JOIN_CHANNEL, the timeout without ERR', () => {
    const first = {
      ERR_FAILURE: 1,
      ERR_REJECTED: 2,
      ERR_INVALID_ARGUMENT: 3,
      TIMEOUT: 4,
      ERR_EXCEED_LIMIT: 5,
    };
    const rest = { ERR_ALREADY_JOINED: 6, ERR_TOO_OFTEN: 7, ERR_JOIN_SAME_CHANNEL_TOO_OFTEN: 8 };
    const large = { ERR_USER_NOT_LOGGED_IN: 102, ERR_ABORTED_BY_LEAVE: 201 };
    const other = { ERR_ALREADY_JOINED_CHANNEL_OF_SAME_ID: 202 };
    expect(family('JOIN_CHANNEL_')).toEqual({ ...first, ...rest, ...large, ...other });
  });
  // proves: rtm-1.10-leave-channel
  it('LEAVE_CHANNEL_ERR', () => {
    expect(family('LEAVE_CHANNEL_ERR_')).toEqual({
      FAILURE: 1,
      REJECTED: 2,
      NOT_IN_CHANNEL: 3,
      ...LOGIN,
    });
  });
  // proves: rtm-1.10-get-members
  it('GET_MEMBERS_ERR', () => {
    const codes = { FAILURE: 1, REJECTED: 2, TIMEOUT: 3, TOO_OFTEN: 4, NOT_IN_CHANNEL: 5 };
    expect(family('GET_MEMBERS_ERR_')).toEqual({ ...codes, ...LOGIN });
  });
  // proves: rtm-1.10-member-count
  it('GET_CHANNEL_MEMBER_COUNT_ERR', () => {
    const codes = { FAILURE: 1, INVALID_ARGUMENT: 2, TOO_OFTEN: 3, TIMEOUT: 4, EXCEED_LIMIT: 5 };
    expect(family('GET_CHANNEL_MEMBER_COUNT_ERR_')).toEqual({
      ...codes,
      NOT_INITIALIZED: 101,
      ...LOGIN,
    });
  });
  // proves: rtm-1.10-query-online
  it('QUERY_PEERS_ONLINE_STATUS_ERR, the failure of native SDKs included', () => {
    const codes = { FAILURE: 1, INVALID_ARGUMENT: 2, REJECTED: 3, TIMEOUT: 4, TOO_OFTEN: 5 };
    expect(family('QUERY_PEERS_ONLINE_STATUS_ERR_')).toEqual({ ...codes, ...LOGIN });
  });
  // proves: rtm-1.10-subscription
  it('PEER_SUBSCRIPTION_STATUS_ERR', () => {
    const codes = {
      FAILURE: 1,
      INVALID_ARGUMENT: 2,
      REJECTED: 3,
      TIMEOUT: 4,
      TOO_OFTEN: 5,
      OVERFLOW: 6,
    };
    expect(family('PEER_SUBSCRIPTION_STATUS_ERR_')).toEqual({ ...codes, ...LOGIN });
  });
  // proves: rtm-1.10-query-subscribed
  it('QUERY_PEERS_BY_SUBSCRIPTION_OPTION_ERR', () => {
    const codes = { FAILURE: 1, TIMEOUT: 2, TOO_OFTEN: 3 };
    expect(family('QUERY_PEERS_BY_SUBSCRIPTION_OPTION_ERR_')).toEqual({ ...codes, ...LOGIN });
  });
  // proves: rtm-1.10-attributes
  it('ATTRIBUTE_OPERATION_ERR, those of native SDKs included', () => {
    const first = { NOT_READY: 1, FAILURE: 2, INVALID_ARGUMENT: 3, SIZE_OVERFLOW: 4, TOO_OFTEN: 5 };
    const rest = { USER_NOT_FOUND: 6, TIMEOUT: 7, NOT_INITIALIZED: 101 };
    expect(family('ATTRIBUTE_OPERATION_ERR_')).toEqual({ ...first, ...rest, ...LOGIN });
  });
  // proves: rtm-1.10-invitation
  it('INVITATION_API_CALL_ERR', () => {
    const codes = {
      INVALID_ARGUMENT: 1,
      NOT_STARTED: 2,
      ALREADY_END: 3,
      ALREADY_ACCEPT: 4,
      ALREADY_SENT: 5,
    };
    expect(family('INVITATION_API_CALL_ERR_')).toEqual(codes);
  });
  const transfer = {
    FAILURE: 1,
    INVALID_ARGUMENT: 2,
    TIMEOUT: 3,
    CONCURRENCY_LIMIT_EXCEEDED: 5,
    INTERRUPTED: 6,
    NOT_LOGGED_IN: 102,
  };
  // proves: rtm-1.10-upload
  it('UPLOAD_MEDIA_ERR', () => {
    expect(family('UPLOAD_MEDIA_ERR_')).toEqual({ ...transfer, SIZE_OVERFLOW: 4 });
  });
  // proves: rtm-1.10-download
  it('DOWNLOAD_MEDIA_ERR', () => {
    expect(family('DOWNLOAD_MEDIA_ERR_')).toEqual({ ...transfer, NOT_EXIST: 4 });
  });
});

/** Every method that asks the server, on a client that is logged in and has joined "room". */
type Method = (recorder: Recorder, room: Awaited<ReturnType<typeof join>>) => Promise<unknown>;
const METHODS: Record<string, Method> = {
  sendMessageToPeer: ({ client }) => client.sendMessageToPeer({ text: 'x' }, 'bob'),
  sendMessage: (_, room) => room.sendMessage({ text: 'x' }),
  join: ({ client }) => client.createChannel('other').join(),
  leave: (_, room) => room.leave(),
  getMembers: (_, room) => room.getMembers(),
  getChannelMemberCount: ({ client }) => client.getChannelMemberCount(['room']),
  queryPeersOnlineStatus: ({ client }) => client.queryPeersOnlineStatus(['bob']),
  subscribePeersOnlineStatus: ({ client }) => client.subscribePeersOnlineStatus(['bob']),
  unsubscribePeersOnlineStatus: ({ client }) => client.unsubscribePeersOnlineStatus(['bob']),
  queryPeersBySubscriptionOption: ({ client }) =>
    client.queryPeersBySubscriptionOption('ONLINE_STATUS'),
  setLocalUserAttributes: ({ client }) => client.setLocalUserAttributes({ k: 'v' }),
  clearLocalUserAttributes: ({ client }) => client.clearLocalUserAttributes(),
  getUserAttributes: ({ client }) => client.getUserAttributes('bob'),
  setChannelAttributes: ({ client }) => client.setChannelAttributes('room', { k: 'v' }),
  getChannelAttributes: ({ client }) => client.getChannelAttributes('room'),
  renewToken: ({ client }) => client.renewToken('t'),
};

/** Refuses every call but the first, which is the join of "room". */
const refusing =
  (outcome: number): Answer =>
  (message, connection) =>
    message.is === 'request' && message.value.cseq > 1
      ? [
          reply(message.value.cseq, {
            is: 'error',
            value: { outcome, text: 'because', retryAfterMs: 40 },
          }),
        ]
      : friendly(message, connection);

async function refusedWith(method: string, outcome: number): Promise<Record<string, unknown>> {
  const recorder = await makeLoggedIn();
  const room = await join(recorder);
  recorder.world.answer = refusing(outcome);
  const call = METHODS[method];
  if (!call) throw new Error(`no method ${method}`);
  return call(recorder, room).then(
    () => ({ code: 'resolved' }),
    (error: Record<string, unknown>) => error,
  );
}

describe('codes of what a server says', () => {
  const A =
    'setLocalUserAttributes clearLocalUserAttributes getUserAttributes setChannelAttributes getChannelAttributes';
  const table = (rows: [string, number][]): [string, number][] =>
    rows.flatMap(([methods, code]) =>
      methods.split(' ').map((method): [string, number] => [method, code]),
    );

  const tooOften = table([
    [
      'sendMessageToPeer queryPeersOnlineStatus subscribePeersOnlineStatus unsubscribePeersOnlineStatus',
      5,
    ],
    ['sendMessage getChannelMemberCount queryPeersBySubscriptionOption', 3],
    ['join', 7],
    ['getMembers renewToken', 4],
    [A, 5],
  ]);
  // proves: rtm-2.1-message-rate, rtm-2.1-join-rate, rtm-2.1-members-rate, rtm-2.1-count-rate, rtm-2.1-query-rate
  // proves: rtm-2.1-subscribe-rate, rtm-2.1-unsubscribe-rate, rtm-2.1-subscriptions-rate, rtm-2.1-renew-rate
  // proves: rtm-2.1-user-write-rate, rtm-2.1-user-read-rate, rtm-2.1-channel-write-rate, rtm-2.1-channel-read-rate
  // proves: rtm-1.10-name-often, rtm-8-retry-after, rtm-1.10-server
  it.each(tooOften)('%s too often: %i, with the wait', async (method, code) => {
    const error = await refusedWith(method, 4);
    expect(error).toMatchObject({
      name: 'RtmInvokeTooOftenError',
      code,
      retryAfter: 40,
      serverCode: 4,
    });
    expect(error['originalError']).toBeUndefined();
  });

  // proves: rtm-2.1-join-same-rate
  it('a channel joined too often is 8', async () => {
    expect(await refusedWith('join', 15)).toMatchObject({
      name: 'RtmInvokeTooOftenError',
      code: 8,
      retryAfter: 40,
    });
  });

  const failed = table([
    ['sendMessageToPeer sendMessage join leave getMembers getChannelMemberCount renewToken', 1],
    ['queryPeersOnlineStatus subscribePeersOnlineStatus unsubscribePeersOnlineStatus', 1],
    ['queryPeersBySubscriptionOption', 1],
    [A, 2],
  ]);
  // proves: rtm-2.8-codes, rtm-2.16-codes, rtm-2.16-members-codes, rtm-2.13-codes, rtm-2.10-codes, rtm-2.12-codes
  // proves: rtm-2.7-codes, rtm-9.2-rejected
  it.each(failed)('%s that the server cannot do: %i, never REJECTED', async (method, code) => {
    for (const outcome of [12, 13, 25, 99])
      expect(await refusedWith(method, outcome)).toMatchObject({ code });
  });

  const others: [string, number, number, string][] = [
    ['sendMessageToPeer', 1, 6, 'RtmInvalidArgumentError'],
    ['sendMessageToPeer', 2, 7, 'RtmInvalidArgumentError'],
    ['sendMessageToPeer', 3, 7, 'RtmLimitExceededError'],
    ['sendMessage', 3, 4, 'RtmLimitExceededError'],
    ['sendMessage', 6, 5, 'RtmInvalidStatusError'],
    ['join', 8, 5, 'RtmLimitExceededError'],
    ['join', 7, 6, 'RtmInvalidStatusError'],
    ['getMembers', 6, 5, 'RtmInvalidStatusError'],
    ['getChannelMemberCount', 1, 2, 'RtmInvalidArgumentError'],
    ['getChannelMemberCount', 14, 5, 'RtmLimitExceededError'],
    ['queryPeersOnlineStatus', 11, 2, 'RtmLimitExceededError'],
    ['subscribePeersOnlineStatus', 11, 6, 'RtmLimitExceededError'],
    ['setLocalUserAttributes', 9, 4, 'RtmLimitExceededError'],
    ['setChannelAttributes', 9, 4, 'RtmLimitExceededError'],
    ['getUserAttributes', 10, 6, 'RtmServerError'],
    ['renewToken', 22, 6, 'RtmServerError'],
    ['renewToken', 23, 5, 'RtmServerError'],
  ];
  // proves: rtm-2.8-codes, rtm-2.16-codes, rtm-2.13-codes, rtm-2.7-codes, rtm-2.12-codes, rtm-2.10-codes
  // proves: rtm-1.10-name-limit, rtm-2.11-not-found
  it.each(others)('%s, outcome %i: code %i, %s', async (method, outcome, code, name) => {
    expect(await refusedWith(method, outcome)).toMatchObject({ code, name, serverCode: outcome });
  });

  const timeouts = table([
    ['sendMessageToPeer sendMessage queryPeersBySubscriptionOption', 2],
    ['join queryPeersOnlineStatus subscribePeersOnlineStatus unsubscribePeersOnlineStatus', 4],
    ['getChannelMemberCount', 4],
    ['getMembers', 3],
    [A, 7],
  ]);
  // proves: rtm-2.1-peer-timeout, rtm-2.1-channel-timeout, rtm-2.1-join-timeout, rtm-2.1-presence-timeout
  // proves: rtm-2.1-attribute-timeout, rtm-1.10-name-timeout, rtm-8-true-times, rtm-2.16-members-codes
  it.each(timeouts)(
    '%s without an answer: %i after 10 s, and the text says so',
    async (method, code) => {
      const recorder = await makeLoggedIn();
      const room = await join(recorder);
      recorder.world.answer = () => undefined;
      const call = METHODS[method]?.(recorder, room);
      const failure = call?.catch((error: unknown) => error);
      let isOver = false;
      void failure?.then(() => (isOver = true));
      await recorder.world.advance(9_999);
      expect(isOver).toBe(false);
      recorder.world.connection.serve({ is: 'ping', value: {} });
      await recorder.world.advance(1);
      expect(await failure).toMatchObject({
        code,
        name: 'RtmTimeoutError',
        message: expect.stringMatching(/10 s|10000 ms|10,000 ms/),
      });
    },
  );
});

// proves: rtm-1.10-name-limit
it('attributes that are too large or too many are an RtmLimitExceededError', async () => {
  const { client } = await makeLoggedIn();
  const many = Object.fromEntries(Array.from({ length: 33 }, (_, at) => [`k${at}`, 'v']));
  for (const attributes of [
    { k: 'x'.repeat(8_193) },
    many,
    { a: 'x'.repeat(8_192), b: 'x'.repeat(8_192) },
  ]) {
    const error: unknown = await client
      .setLocalUserAttributes(attributes)
      .catch((caught: unknown) => caught);
    expect(error).toMatchObject({ name: 'RtmLimitExceededError', code: 4 });
  }
});

// proves: rtm-9.2-rejected
it('no outcome of the server becomes a REJECTED code, but for what a token does not permit', async () => {
  expect(RTM_ERROR_CODES.LOGIN_ERR_REJECTED).toBe(2);
  for (let outcome = 1; outcome < 40; outcome++) {
    if (outcome === OUTCOME_NOT_PERMITTED) continue;
    const error = await refusedWith('join', outcome);
    expect(error['code'], `outcome ${outcome}`).not.toBe(RTM_ERROR_CODES.JOIN_CHANNEL_ERR_REJECTED);
  }
});
