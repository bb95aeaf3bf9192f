/** Where the client connects to. */
import { afterEach, describe, expect, it } from 'vitest';
import { resolveEndpoints } from '../src/endpoint.js';

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
    expect(resolveEndpoints(given)).toEqual({ urls: [url] });
  });

  it.each([['host'], ['host:80'], ['ftp://host'], ['file:///x'], ['//host'], [5], [{}]])(
    '%s is refused',
    (given) => {
      expect(resolveEndpoints(given)).toEqual({ problem: expect.any(String) });
    },
  );
});

it('config, then the global, then the environment, then the page', () => {
  expect(resolveEndpoints(undefined)).toEqual({
    problem: expect.stringContaining('config.endpoint'),
  });
  globals['location'] = { origin: 'null' };
  expect(resolveEndpoints(undefined)).toHaveProperty('problem');
  globals['location'] = { origin: 'https://page' };
  expect(resolveEndpoints('')).toEqual({ urls: ['wss://page/rtm'] });
  process.env['TIDINGS_ENDPOINT'] = 'http://environment';
  expect(resolveEndpoints(undefined)).toEqual({ urls: ['ws://environment/rtm'] });
  globals['TIDINGS_ENDPOINT'] = 'http://global';
  expect(resolveEndpoints(undefined)).toEqual({ urls: ['ws://global/rtm'] });
  expect(resolveEndpoints('http://config')).toEqual({ urls: ['ws://config/rtm'] });
});

it('several are the nodes of a cluster, in a list or between commas', () => {
  const urls = ['wss://one/rtm', 'wss://two/rtm'];
  expect(resolveEndpoints(['https://one', 'https://two', 'https://one/'])).toEqual({ urls });
  expect(resolveEndpoints('https://one, https://two')).toEqual({ urls });
  expect(resolveEndpoints(['https://one', 'two'])).toEqual({
    problem: expect.stringContaining("'two'"),
  });
  globals['TIDINGS_ENDPOINT'] = ['https://one', 'https://two'];
  expect(resolveEndpoints([])).toEqual({ urls });
});
