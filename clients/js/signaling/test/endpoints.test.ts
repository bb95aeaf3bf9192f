/** Where sessions of a cluster's clients begin. */
import { afterEach, expect, it, vi } from 'vitest';
import { addresses } from '../src/endpoint.js';

const globals = globalThis as unknown as Record<string, unknown>;
const OF = {
  appId: 'app',
  fixed: undefined,
  serverUrls: [],
  addressServices: [],
  proxy: undefined,
};

afterEach(() => {
  delete globals['TIDINGS_ENDPOINT'];
  vi.restoreAllMocks();
});

it('several endpoints are tried in turn, from any of them on', async () => {
  const [one, two, three] = ['one', 'two', 'three'].map((host) => `wss://${host}/legacy/app`);
  for (const given of [
    ['https://one', 'https://two', 'https://three/'],
    'https://one, https://two,wss://three',
  ]) {
    globals['TIDINGS_ENDPOINT'] = given;
    vi.spyOn(Math, 'random').mockReturnValueOnce(0).mockReturnValueOnce(0.5);
    expect(await addresses(OF)).toEqual([one, two, three]);
    expect(await addresses(OF)).toEqual([two, three, one]);
  }
});

it.each([[[]], [''], [[5]], ['host'], [['https://one', 'ftp://two']]])(
  '%j is refused',
  async (given) => {
    globals['TIDINGS_ENDPOINT'] = given;
    await expect(addresses(OF)).rejects.toThrow();
  },
);
