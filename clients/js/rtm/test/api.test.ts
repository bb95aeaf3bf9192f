/** The API object: RTM 1.x semantics 1.2, 1.3, 1.10, 2.17. */
import { describe, expect, it } from 'vitest';
import { AgoraRTM } from '../src/api.js';
import errorCodes from '../src/error-code.js';
import type Public from '../types/index.mjs';
import { APP_ID, makeClient, thrownCode } from './support/client.js';

// The implementation has every public member with its type: checked by the compiler.
const api: Omit<typeof Public, 'createInstance'> & { createInstance: unknown } = AgoraRTM;
const client: Public.RtmClient = AgoraRTM.createInstance(APP_ID);
const channel: Public.RtmChannel = client.createChannel('room');
const invitation: Public.LocalInvitation = client.createLocalInvitation('bob');

describe('exports', () => {
  // proves: rtm-1.2-enums, rtm-1.3-values
  it('every member of an enum is its name', () => {
    const sizes: Record<string, number> = {
      ConnectionState: 5,
      ConnectionChangeReason: 9,
      LocalInvitationState: 7,
      RemoteInvitationState: 6,
      LocalInvitationFailureReason: 5,
      RemoteInvitationFailureReason: 4,
      PeerOnlineState: 3,
      PeerSubscriptionOption: 1,
      MessageType: 4,
      AreaCode: 7,
    };
    for (const [name, size] of Object.entries(sizes)) {
      const members = Object.entries((api as unknown as Record<string, object>)[name] ?? {});
      expect(members, name).toHaveLength(size);
      for (const [member, value] of members) expect(value).toBe(member);
    }
  });

  // proves: rtm-1.2-log-filters, rtm-1.2-end-call-prefix, rtm-1.2-process-id, rtm-1.2-parameters
  // proves: rtm-1.4-log-filter
  it('constants', () => {
    const filter = (...on: string[]) =>
      Object.fromEntries(
        ['error', 'warn', 'info', 'track', 'debug'].map((name) => [name, on.includes(name)]),
      );
    expect(api.LOG_FILTER_OFF).toEqual(filter());
    expect(api.LOG_FILTER_ERROR).toEqual(filter('error'));
    expect(api.LOG_FILTER_WARNING).toEqual(filter('error', 'warn'));
    expect(api.LOG_FILTER_INFO).toEqual(filter('error', 'warn', 'info'));
    expect(api.LOG_FILTER_DEBUG).toEqual(filter('error', 'warn', 'info', 'track', 'debug'));
    expect(api.END_CALL_PREFIX).toBe('AgoraRTMLegacyEndcallCompatibleMessagePrefix');
    expect(api.processId).toMatch(
      /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-a[0-9a-f]{3}-[0-9a-f]{12}$/,
    );
    expect(api.processId).toBe(api.processId);
    api.setParameter('key', 5);
    expect(api.getParameter('key')).toBe(5);
    expect(api.getParameter('other')).toBeUndefined();
  });

  it('numeric codes: samples of every family', () => {
    expect(errorCodes).toMatchObject({
      CREATE_INSTANCE_ERR_INVALID_ARGUMENT: 1,
      LOGIN_ERR_TIMEOUT: 9,
      PEER_MESSAGE_ERR_INCOMPATIBLE_MESSAGE: 8,
      JOIN_CHANNEL_TIMEOUT: 4,
      JOIN_CHANNEL_ERR_ALREADY_JOINED_CHANNEL_OF_SAME_ID: 202,
      GET_CHANNEL_MEMBER_COUNT_ERR_NOT_INITIALIZED: 101,
      PEER_SUBSCRIPTION_STATUS_ERR_OVERFLOW: 6,
      ATTRIBUTE_OPERATION_ERR_USER_NOT_LOGGED_IN: 102,
      INVITATION_API_CALL_ERR_ALREADY_SENT: 5,
      UPLOAD_MEDIA_ERR_SIZE_OVERFLOW: 4,
      DOWNLOAD_MEDIA_ERR_NOT_EXIST: 4,
    });
    expect(Object.keys(errorCodes)).toHaveLength(108);
  });

  // proves: rtm-1.2-set-area, rtm-2.17-area-checked
  it('setArea checks the areas', () => {
    expect(api.setArea({ areaCodes: ['GLOBAL', 'ASIA'], excludedArea: 'CHINA' })).toBeUndefined();
    for (const areaCodes of [['MARS'], [], 'GLOBAL', undefined, [null]]) {
      const run = () => api.setArea({ areaCodes: areaCodes as never });
      expect(run, JSON.stringify(areaCodes)).toThrow(/areaCodes/);
      expect(thrownCode(run)).toBeUndefined();
    }
    expect(() => (api.setArea as () => void)()).toThrow(TypeError);
  });
});

describe('objects', () => {
  // proves: rtm-1.5-methods, rtm-1.6-members, rtm-1.9-methods, rtm-1.6-new-object, rtm-1.5-connection-state
  it('every public method exists on the object', () => {
    const methods = {
      client: [
        'login logout logoutSync renewToken sendMessageToPeer createMessage createChannel createLocalInvitation',
        'queryPeersOnlineStatus subscribePeersOnlineStatus unsubscribePeersOnlineStatus queryPeersBySubscriptionOption',
        'setLocalUserAttributes addOrUpdateLocalUserAttributes deleteLocalUserAttributesByKeys clearLocalUserAttributes',
        'getUserAttributes getUserAttributesByKeys setChannelAttributes addOrUpdateChannelAttributes',
        'deleteChannelAttributesByKeys clearChannelAttributes getChannelAttributes getChannelAttributesByKeys',
        'getChannelMemberCount createMediaMessageByUploading downloadMedia setParameters updateConfig',
      ].join(' '),
      channel: 'join leave sendMessage getMembers',
      invitation: 'send cancel',
      emitter: [
        'on once off addListener removeListener prependListener prependOnceListener removeAllListeners',
        'listeners rawListeners listenerCount eventNames emit setMaxListeners getMaxListeners',
      ].join(' '),
    };
    const has = (object: object, names: string) => {
      for (const name of names.split(' ')) {
        expect((object as Record<string, unknown>)[name], name).toBeTypeOf('function');
      }
    };
    has(client, methods.client);
    has(channel, methods.channel);
    has(invitation, methods.invitation);
    for (const object of [client, channel, invitation]) has(object, methods.emitter);
    expect(client.connectionState).toBe('DISCONNECTED');
    expect(client.createChannel('room')).not.toBe(channel);
  });

  // proves: rtm-2.17-config
  it('settings are taken and answer nothing', () => {
    expect(client.setParameters({ enableLogUpload: false })).toBeUndefined();
    expect(
      client.updateConfig({ logFilter: AgoraRTM.LOG_FILTER_OFF, enableCloudProxy: true }),
    ).toBeUndefined();
  });

  // proves: rtm-2.17-endpoint
  it('a new endpoint is for the next login', async () => {
    const { client: other, world } = makeClient();
    other.updateConfig({ endpoint: 'https://elsewhere/base' });
    await other.login({ uid: 'alice' });
    expect(world.connection.url).toBe('wss://elsewhere/base/rtm');
  });

  // proves: rtm-1.10-object, rtm-1.10-local, rtm-1.10-name-argument, rtm-1.10-text
  it('an error has its own name, code, message, serverCode and originalError', () => {
    try {
      client.createChannel('');
    } catch (error) {
      expect(error).toBeInstanceOf(Error);
      expect(Object.keys(error as object).sort()).toEqual([
        'code',
        'message',
        'name',
        'originalError',
        'serverCode',
      ]);
      expect(error).toMatchObject({
        name: 'RtmInvalidArgumentError',
        code: 1,
        serverCode: undefined,
      });
      expect(String(error)).toBe(
        'RtmInvalidArgumentError: Error Code 1 - channelId is empty, use 1 to 64 characters',
      );
      return;
    }
    throw new Error('nothing was thrown');
  });
});
