/** Reading histories: what is sent, what comes back, which arguments are refused. */
import { CODES } from '@tidings/core';
import { describe, expect, it } from 'vitest';
import type AgoraRTM from '../types/index.mjs';
import { codeOf, join, makeClient, makeLoggedIn } from './support/client.js';
import { type Answer, friendly, reply } from './support/world.js';

const text = (value: string) =>
  ({ body: { is: 'text', value: new TextEncoder().encode(value) } }) as const;
const withPage =
  (next: number): Answer =>
  (message, connection) => {
    if (message.is !== 'request' || message.value.call?.is !== 'readHistory')
      return friendly(message, connection);
    const id = new Uint8Array([...Array(16).keys()].map((at) => at * 17));
    const old = {
      position: 6,
      from: 'bob',
      message: text('ho'),
      serverTs: 4,
      id: new Uint8Array(),
    };
    const messages = [{ ...old, position: 7, message: text('hi'), serverTs: 5, id }, old];
    return [reply(message.value.cseq, { is: 'history', value: { messages, next } })];
  };

describe('a history', () => {
  // proves: rtm-4.4-sdk
  it('of a peer: the options go out, the page comes back', async () => {
    const { client, world } = await makeLoggedIn();
    world.answer = withPage(7);
    const page = await client.getPeerHistory('bob', { before: 9, limit: 1, order: 'newest_first' });
    expect(page).toEqual({
      messages: [
        {
          position: 7,
          userId: 'bob',
          message: { text: 'hi', messageType: 'TEXT' },
          serverReceivedTs: 5,
          messageId: '00112233445566778899aabbccddeeff',
        },
        {
          position: 6,
          userId: 'bob',
          message: { text: 'ho', messageType: 'TEXT' },
          serverReceivedTs: 4,
          messageId: '',
        },
      ],
      next: 7,
    });
    expect(world.connection.requests.at(-1)?.call?.value).toMatchObject({
      conversation: { is: 'peerId', value: 'bob' },
      before: 9,
      countMax: 1,
      newestFirst: true,
    });
  });

  // proves: rtm-4.4-sdk
  it('of a channel: without options from the oldest on; no next at the end', async () => {
    const recorder = await makeLoggedIn();
    const channel = await join(recorder);
    recorder.world.answer = withPage(0);
    expect(await channel.getHistory()).not.toHaveProperty('next');
    expect(recorder.world.connection.requests.at(-1)?.call?.value).toMatchObject({
      conversation: { is: 'channel', value: 'room' },
      after: 0,
      countMax: 0,
      newestFirst: false,
    });
  });

  it('needs a login, a joined channel and proper arguments', async () => {
    expect(await codeOf(makeClient().client.getPeerHistory('bob'))).toBe(102);
    const { client, world } = await makeLoggedIn();
    const unjoined = client.createChannel('room');
    expect(await codeOf(unjoined.getHistory())).toBe(CODES.CHANNEL_MESSAGE_ERR_NOT_IN_CHANNEL);
    expect(await codeOf(client.getPeerHistory(''))).toBe(CODES.PEER_MESSAGE_ERR_INVALID_USERID);
    const bad: unknown[] = [
      null,
      1,
      { limit: 0 },
      { limit: 101 },
      { after: -1 },
      { fromTs: 0.5 },
      { order: 'x' },
    ];
    for (const options of bad) {
      const call = client.getPeerHistory('bob', options as AgoraRTM.HistoryOptions);
      expect(await codeOf(call)).toBe(CODES.PEER_MESSAGE_ERR_FAILURE);
    }
    expect(world.connection.requests).toHaveLength(0);
  });
});
