/** Where the client connects to. */
import { afterEach, describe, expect, it } from 'vitest';
import { resolveEndpoint } from '../src/endpoint.js';

const globals = globalThis as unknown as Record<string, unknown>;

afterEach(() => {
  delete globals['TIDINGS_ENDPOINT'];
  delete globals['location'];
  delete process.env['TIDINGS_ENDPOINT'];
});

describe('an address', () => {
  it.each([
    ['http://host', 'ws://host/rtm'],
    ['https://host', 'wss://host/rtm'],
    ['https://host:8443/', 'wss://host:8443/rtm'],
    ['https://host/a/b/', 'wss://host/a/b/rtm'],
    ['https://host/rtm', 'wss://host/rtm'],
    ['http://[::1]:8080', 'ws://[::1]:8080/rtm'],
    ['ws://host', 'ws://host/rtm'],
    ['wss://host/', 'wss://host/rtm'],
    ['wss://host/as/it/stands', 'wss://host/as/it/stands'],
  ])('%s → %s', (given, url) => {
    expect(resolveEndpoint(given)).toEqual({ url });
  });

  it.each([['host'], ['host:80'], ['ftp://host'], ['file:///x'], ['//host'], [5], [{}]])(
    '%s is refused',
    (given) => {
      expect(resolveEndpoint(given)).toEqual({ problem: expect.any(String) });
    },
  );
});

it('config, then the global, then the environment, then the page', () => {
  expect(resolveEndpoint(undefined)).toEqual({
    problem: expect.stringContaining('config.endpoint'),
  });
  globals['location'] = { origin: 'null' };
  expect(resolveEndpoint(undefined)).toHaveProperty('problem');
  globals['location'] = { origin: 'https://page' };
  expect(resolveEndpoint('')).toEqual({ url: 'wss://page/rtm' });
  process.env['TIDINGS_ENDPOINT'] = 'http://environment';
  expect(resolveEndpoint(undefined)).toEqual({ url: 'ws://environment/rtm' });
  globals['TIDINGS_ENDPOINT'] = 'http://global';
  expect(resolveEndpoint(undefined)).toEqual({ url: 'ws://global/rtm' });
  expect(resolveEndpoint('http://config')).toEqual({ url: 'ws://config/rtm' });
});
