/** Which server of a cluster a client goes to. */
import { describe, expect, it } from 'vitest';
import { CLOSE_GOING_AWAY, CLOSE_NODE_ISOLATED, CLOSE_OVERLOADED } from '../src/generated/codes.js';
import { Endpoints } from '../src/endpoints.js';
import { type Environment, Shell } from '../src/shell.js';

const URLS = ['wss://a/rtm', 'wss://b/rtm', 'wss://c/rtm'];

function endpoints(random = 0, urls = URLS): Endpoints {
  const all = new Endpoints(() => random);
  all.use(urls);
  return all;
}

describe('the next connection', () => {
  it('begins anywhere, so that clients spread', () => {
    expect([0, 0.34, 0.99].map((random) => endpoints(random).url)).toEqual(URLS);
  });

  it('goes where the last one was answered, unless that sends its clients away', () => {
    const all = endpoints();
    all.ended(true, 1006, '');
    all.ended(true, CLOSE_OVERLOADED, 'overloaded');
    expect(all.url).toBe('wss://a/rtm');
    all.ended(true, CLOSE_GOING_AWAY, 'going_away');
    expect(all.url).toBe('wss://b/rtm');
    all.ended(true, CLOSE_NODE_ISOLATED, 'node_isolated');
    expect(all.url).toBe('wss://c/rtm');
    all.ended(false, 1006, '');
    expect(all.url).toBe('wss://a/rtm');
  });

  it('goes to the address that the server has named, once', () => {
    const all = endpoints();
    all.ended(true, CLOSE_GOING_AWAY, 'going_away https://d:8443');
    expect(all.url).toBe('wss://d:8443/rtm');
    all.ended(false, 1006, '');
    expect(all.url).toBe('wss://b/rtm');
    all.ended(true, CLOSE_GOING_AWAY, 'going_away wss://c/rtm');
    expect(all.url).toBe('wss://c/rtm');
    all.ended(false, 1006, '');
    expect(all.url).toBe('wss://a/rtm');
  });

  it.each(['going_away', 'going_away http://d', 'going_away d', 'going_away ftp://d', 'https://d'])(
    'is not led astray by %s',
    (reason) => {
      const all = endpoints();
      all.ended(true, CLOSE_GOING_AWAY, reason);
      expect(all.url).toBe('wss://b/rtm');
    },
  );

  it('stays where it is with the same list, and goes to the only one there is', () => {
    const all = endpoints(0.5);
    all.use([...URLS].reverse());
    expect(all.url).toBe('wss://b/rtm');
    all.use(['wss://x/rtm']);
    all.ended(false, 1006, '');
    expect(all.url).toBe('wss://x/rtm');
  });
});

it('a login tries one server after the other', () => {
  const tried: string[] = [];
  const timers: (() => void)[] = [];
  let now = 0;
  const environment: Environment = {
    now: () => now,
    random: () => 0.5,
    setTimer: (run) => timers.push(run),
    clearTimer: () => undefined,
    connect: (url, listener) => {
      tried.push(url);
      queueMicrotask(() => listener.closed(1006, ''));
      return { send: () => undefined, close: () => undefined, drop: () => undefined };
    },
    rivals: () => new Map(),
    exchange: () => Promise.reject(new Error('no file is sent')),
    watchWakeUps: () => () => undefined,
  };
  const listener = { stateChanged: () => undefined, event: () => undefined, log: () => undefined };
  const shell = new Shell({ appId: 'a'.repeat(32), client: 'test' }, environment, listener);
  const login = shell.login(URLS, 'alice', '');
  login.catch(() => undefined);
  const turn = async (): Promise<void> => {
    for (let at = 0; at < 12 && tried.length < 4; at++) {
      await Promise.resolve();
      now += 1_000;
      timers.splice(0).forEach((run) => run());
    }
  };
  return turn().then(() => {
    expect(tried.slice(0, 4)).toEqual(['wss://b/rtm', 'wss://c/rtm', 'wss://a/rtm', 'wss://b/rtm']);
  });
});
