/** What is left over after logins: memory, timers, handles. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { Server } from '../../browser/lib/server.mjs';
import { node, project } from '../lib/project.mjs';

/**
 * What a round may leave, on average. A client is some kilobytes, an entry of a map that grows is more than
 * this; measured: 33 up to here, while the engine still compiles, and 0.3 over the next 40,000. Bytes.
 */
const LEFT_PER_ROUND_MAX = 64;

let server;
before(async () => {
  server = await Server.start();
});
after(() => server?.stop());

const run = async (...args) =>
  JSON.parse(
    await node([...args.slice(0, -1), join(project('leftovers'), args.at(-1))], {
      ENDPOINT: server.origin,
    }),
  );

test('memory is steady over 10,000 logins and logouts', async (context) => {
  const { first, last, rounds } = await run('--expose-gc', 'rounds.cjs');
  context.diagnostic(`heap ${first} bytes, after ${rounds} more rounds ${last} bytes`);
  assert.ok(
    last - first < rounds * LEFT_PER_ROUND_MAX,
    `${(last - first) / rounds} bytes a round are left`,
  );
});

test('no timer and no handle is left, however a login ends', async () => {
  const nothing = { timers: [], left: [] };
  assert.deepEqual(await run('ends.cjs'), {
    logout: { seen: 'DISCONNECTED', ...nothing },
    logoutWhileConnecting: { seen: [1, 'DISCONNECTED'], ...nothing },
    logoutSync: { seen: [102, 102, 'DISCONNECTED'], ...nothing },
    refusedLogin: { seen: [5, 'DISCONNECTED'], ...nothing },
    remoteLogin: { seen: ['ABORTED', 'REMOTE_LOGIN'], ...nothing },
  });
});
