// The sample is moved over by following the guide to the letter: the commands are read from the page.

import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, test } from 'node:test';

const guide = new URL('..', import.meta.url).pathname;
const program = process.env.TIDINGS_BIN ?? join(guide, '../../target/debug/tidings');
const app = {
  id: '0123456789abcdef0123456789abcdef',
  certificate: 'fedcba9876543210fedcba9876543210',
};
const folder = mkdtempSync(join(tmpdir(), 'tidings-migration-'));
let server;
let address;

before(async () => {
  server = spawn(
    program,
    [
      'serve',
      '--listen',
      '127.0.0.1:0',
      '--data-dir',
      join(folder, 'data'),
      '--app',
      `${app.id}:${app.certificate}`,
    ].concat('--disk-reserve', '0'),
    { stdio: ['ignore', 'pipe', 'ignore'] },
  );
  for await (const line of createInterface({ input: server.stdout })) {
    const ready = /^tidings is ready: (http:\/\/[^/\s]+)/.exec(line);
    if (ready !== null) {
      address = ready[1];
      return;
    }
  }
  assert.fail('the program ended before it was ready');
});

after(async () => {
  const ended = once(server, 'exit');
  server.kill();
  // It writes until then.
  await ended;
  rmSync(folder, { recursive: true });
});

/** The commands that stand in the guide behind a mark, in their order. */
function steps() {
  const page = readFileSync(join(guide, 'from-rtm.md'), 'utf8');
  return [...page.matchAll(/<!-- step -->\n```sh\n(.*?)```/gs)].map((match) => match[1]);
}

const tokenOf = (user) =>
  execFileSync(
    program,
    ['token', 'issue', '--app', `${app.id}:${app.certificate}`, '--user', user],
    {
      encoding: 'utf8',
    },
  ).trim();

test('the sample runs after the three steps of the guide, with its tokens', () => {
  assert.equal(steps().length, 3, 'the guide has three steps');
  const copy = join(folder, 'small-chat');
  cpSync(join(guide, 'sample'), copy, { recursive: true });
  // As a user would: in one shell, one after the other. Only the address is this test's own.
  const script = ['set -e', ...steps(), 'npm start --silent']
    .join('\n')
    .replaceAll('http://127.0.0.1:7400', address);
  const output = execFileSync('sh', ['-c', script], {
    cwd: copy,
    encoding: 'utf8',
    env: {
      ...process.env,
      APP_ID: app.id,
      ALICE_TOKEN: tokenOf('alice'),
      BOB_TOKEN: tokenOf('bob'),
    },
    timeout: 120_000,
  });
  for (const line of [
    'alice: state CONNECTED LOGIN_SUCCESS',
    'alice: joined bob',
    'alice: room bob coffee is ready',
    'bob: peer alice thanks',
    'alice: whispered true',
    'alice: whispered false',
    'name: BOB',
    'bob: ring alice lunch?',
    'bob: call alice',
    'alice: call bob',
    'alice: left bob',
  ]) {
    assert.ok(output.split('\n').includes(line), `no line ${JSON.stringify(line)} in:\n${output}`);
  }
});
