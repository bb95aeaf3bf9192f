/** A client in a test's world, and a record of what it raised. */
import { RtmClient } from '../../src/client.js';
import { LOG_FILTER_OFF } from '../../src/log.js';
import { World, friendly } from './world.js';

export const APP_ID = '0123456789abcdef0123456789ABCDEF';

const CLIENT_EVENTS = [
  'ConnectionStateChanged',
  'MessageFromPeer',
  'PeersOnlineStatusChanged',
  'TokenPrivilegeWillExpire',
  'TokenExpired',
  'MessageGap',
] as const;
const CHANNEL_EVENTS = [
  'ChannelMessage',
  'MemberJoined',
  'MemberLeft',
  'MemberCountUpdated',
  'AttributesUpdated',
] as const;

export interface Recorder {
  readonly world: World;
  readonly client: RtmClient;
  readonly events: unknown[][];
  /** Takes what has been recorded since the last call. */
  take(): unknown[][];
}

export function makeClient(): Recorder {
  const world = new World();
  world.answer = friendly;
  const config = { endpoint: 'http://server.test', logFilter: LOG_FILTER_OFF };
  const client = new RtmClient(APP_ID, config, world);
  const events: unknown[][] = [];
  for (const name of CLIENT_EVENTS) {
    client.on(name, (...args: unknown[]) => void events.push([name, ...args]));
  }
  return { world, client, events, take: () => events.splice(0) };
}

export async function makeLoggedIn(): Promise<Recorder> {
  const made = makeClient();
  await made.client.login({ uid: 'alice' });
  made.take();
  return made;
}

/** A channel that is joined, its events recorded with those of the client. */
export async function join(recorder: Recorder, channelId = 'room') {
  const channel = recorder.client.createChannel(channelId);
  for (const name of CHANNEL_EVENTS) {
    channel.on(name, (...args: unknown[]) => void recorder.events.push([name, ...args]));
  }
  await channel.join();
  return channel;
}

/** The code a promise is rejected with; fails when it is not. */
export async function codeOf(promise: Promise<unknown>): Promise<number | undefined> {
  try {
    await promise;
  } catch (error) {
    return (error as { code?: number }).code;
  }
  throw new Error('the promise was not rejected');
}

/** The code a function throws. */
export function thrownCode(run: () => unknown): number | undefined {
  try {
    run();
  } catch (error) {
    return (error as { code?: number }).code;
  }
  throw new Error('nothing was thrown');
}
