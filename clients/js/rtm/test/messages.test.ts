/** Messages as applications see them, and listeners that do things. RTM 1.x semantics 1.4, 2.8, 2.16, section 10. */
import { describe, expect, it } from 'vitest';
import type AgoraRTM from '../types/index.mjs';
import { type Recorder, join, makeLoggedIn } from './support/client.js';
import { holdTimers, raised } from './support/raised.js';
import { type FromServer, friendly, refused } from './support/world.js';

const bytes = (text: string) => new TextEncoder().encode(text);
type Body =
  | { is: 'text'; value: Uint8Array }
  | { is: 'raw'; value: { data: Uint8Array; description: Uint8Array } };
const raw = (description: string): Body => ({
  is: 'raw',
  value: { data: Uint8Array.of(1, 2), description: bytes(description) },
});

function peerMessage(body: Body, id: number, inbox = 0): FromServer {
  return {
    is: 'peerMessage',
    value: { from: 'bob', message: { body }, serverTs: 7, inbox, id: new Uint8Array(16).fill(id) },
  };
}
function channelMessage(body: Body): FromServer {
  return {
    is: 'channelMessage',
    value: { channel: 'room', from: 'bob', message: { body }, serverTs: 9 },
  };
}

describe('a received message', () => {
  // proves: rtm-2.8-event, rtm-2.8-received-shape, rtm-1.5-event-message, rtm-1.4-received, rtm-1.11-offline-flag
  it('of a peer: message, sender, receipt time, whether it was stored', async () => {
    const { world, take } = await makeLoggedIn();
    world.connection.serve(
      peerMessage({ is: 'text', value: bytes('hi') }, 1),
      peerMessage(raw(''), 2, 4),
      peerMessage(raw('d'), 3),
    );
    const props = (isOfflineMessage: boolean) => ({ serverReceivedTs: 7, isOfflineMessage });
    expect(take()).toEqual([
      ['MessageFromPeer', { text: 'hi', messageType: 'TEXT' }, 'bob', props(false)],
      [
        'MessageFromPeer',
        { rawMessage: Uint8Array.of(1, 2), description: '', messageType: 'RAW' },
        'bob',
        props(true),
      ],
      [
        'MessageFromPeer',
        { rawMessage: Uint8Array.of(1, 2), description: 'd', messageType: 'RAW' },
        'bob',
        props(false),
      ],
    ]);
  });

  // proves: rtm-2.8-resend
  it('may be sent again as it is', async () => {
    const recorder = await makeLoggedIn();
    const { client, world } = recorder;
    const room = await join(recorder);
    const received: AgoraRTM.RtmMessage[] = [];
    client.on('MessageFromPeer', (message) => void received.push(message));
    world.connection.serve(
      peerMessage({ is: 'text', value: bytes('hi') }, 1),
      peerMessage(raw('d'), 2),
    );
    for (const message of received) {
      await client.sendMessageToPeer(message, 'carol');
      await room.sendMessage(message);
    }
    const sent = world.connection.requests.slice(1).map(({ call }) => call?.value);
    const text = { message: { body: { is: 'text', value: bytes('hi') } } };
    const again = { message: { body: raw('d') } };
    expect(sent).toMatchObject([text, text, again, again]);
  });

  // proves: rtm-2.16-no-offline
  it('of a channel is never an offline one, whatever its sender asked for', async () => {
    const recorder = await makeLoggedIn();
    const room = await join(recorder);
    await room.sendMessage({ text: 'x' }, { enableOfflineMessaging: true });
    expect(recorder.world.connection.requests.at(-1)?.call?.value).not.toHaveProperty('offline');
    recorder.take();
    recorder.world.connection.serve(channelMessage({ is: 'text', value: bytes('hi') }));
    const props = { serverReceivedTs: 9, isOfflineMessage: false };
    expect(recorder.take()).toEqual([
      ['ChannelMessage', { text: 'hi', messageType: 'TEXT' }, 'bob', props],
    ]);
  });

  // proves: rtm-6.8-rtm
  it('that ends a call of the legacy system is the plain text that it is', async () => {
    const { world, take } = await makeLoggedIn();
    const text = 'AgoraRTMLegacyEndcallCompatibleMessagePrefix_my_room_bye';
    world.connection.serve(peerMessage({ is: 'text', value: bytes(text) }, 1));
    expect(take()).toMatchObject([['MessageFromPeer', { text, messageType: 'TEXT' }, 'bob', {}]]);
  });
});

// proves: rtm-2.9-boolean, rtm-1.4-online-maps, rtm-1.4-counts
it('an online query answers true or false, UNREACHABLE is true, and counts are numbers', async () => {
  const { client, world } = await makeLoggedIn();
  world.answer = (message, connection) => {
    const call = message.is === 'request' ? message.value.call : undefined;
    if (message.is !== 'request' || call?.is !== 'queryPresence')
      return friendly(message, connection);
    const users = call.value.userIds.map((userId, state) => ({ userId, state }));
    return [
      {
        is: 'reply',
        value: { cseq: message.value.cseq, result: { is: 'presence', value: { users } } },
      },
    ];
  };
  const online = await client.queryPeersOnlineStatus(['off', 'on', 'unreachable']);
  expect(online).toEqual({ off: false, on: true, unreachable: true });
  expect(await client.getChannelMemberCount(['room'])).toEqual({ room: 2 });
});

describe('listeners that do things', () => {
  const hi = channelMessage({ is: 'text', value: bytes('hi') });
  async function inRoom(): Promise<{ recorder: Recorder; room: Awaited<ReturnType<typeof join>> }> {
    const recorder = await makeLoggedIn();
    const room = await join(recorder);
    recorder.take();
    return { recorder, room };
  }

  // proves: rtm-10-13
  it('one that removes all listeners: those of this event still run, later ones do not', async () => {
    const { recorder, room } = await inRoom();
    room.prependListener('ChannelMessage', () => room.removeAllListeners());
    recorder.world.connection.serve(hi, hi);
    expect(recorder.take()).toHaveLength(1);
    await room.leave();
  });

  // proves: rtm-10-13
  it('one that leaves: what came with the event is told, nothing after the leave', async () => {
    const { recorder, room } = await inRoom();
    let left: Promise<void> | undefined;
    room.once('ChannelMessage', () => (left = room.leave()));
    recorder.world.connection.serve(hi);
    await left;
    recorder.take();
    recorder.world.connection.serve(hi);
    expect(recorder.take()).toEqual([]);
    await room.join();
  });

  // proves: rtm-10-13, rtm-1.9-one-thread
  it('one that logs out: nothing of the session comes later', async () => {
    const { recorder, room } = await inRoom();
    let out: Promise<void> | undefined;
    room.once('ChannelMessage', () => (out = recorder.client.logout()));
    recorder.world.connection.serve(hi);
    await out;
    expect(recorder.take().map(([name]) => name)).toEqual([
      'ChannelMessage',
      'ConnectionStateChanged',
    ]);
    recorder.world.connection.serve(hi);
    await recorder.world.advance(60_000);
    expect(recorder.take()).toEqual([]);
  });

  // proves: rtm-10-13, rtm-1.9-throwing
  it('one that throws in every event: a whole life goes on', async () => {
    holdTimers();
    const { recorder, room } = await inRoom();
    const { client, world } = recorder;
    const fail = () => {
      throw new Error('mine');
    };
    client.prependListener('ConnectionStateChanged', fail).prependListener('MessageFromPeer', fail);
    room.prependListener('ChannelMessage', fail);
    world.connection.serve(hi, peerMessage(raw('d'), 1));
    world.answer = (message, connection) =>
      message.is === 'resume' ? [refused(26)] : friendly(message, connection);
    world.connection.end(1006);
    await world.advance(1_000);
    await room.sendMessage({ text: 'still in' });
    await client.logout();
    expect(recorder.take().map(([name]) => name)).toContain('ChannelMessage');
    expect(raised().map(String)).toEqual(['Error: mine', 'Error: mine', 'Error: mine']);
  });
});
