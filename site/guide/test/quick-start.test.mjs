// The quick start, followed to the letter: its commands and its program are read from the page.

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { outputsOf, Place, stepsOf } from './steps.mjs';

const PAGE = 'quick-start.md';
let place;
before(async () => {
  place = await Place.make();
});
after(async () => place?.end());

test('quick start', async () => {
  const steps = stepsOf(PAGE);
  const names = [
    'server',
    'shell',
    'file hello/hello.mjs',
    'alice',
    'bob',
    'page',
    'app',
    'server',
    'token',
    'alice',
    'fails',
  ];
  assert.deepEqual(
    steps.map(({ what }) => what),
    names,
  );
  const [firstServer, shell, file, alice, bob, , app, server, token, aliceWithToken, fails] =
    steps.map(({ text }) => text);
  const [seenByAlice, seenByBob, thenByAlice] = outputsOf(PAGE);

  const running = place.start(firstServer);
  await running.line(new RegExp(`^tidings is ready: http://${place.address}/demo$`));
  const installed = await place.run(shell);
  assert.equal(installed.code, 0, installed.output);
  writeFileSync(join(place.folder, 'hello/hello.mjs'), place.own(file));

  const first = place.start(alice, 'hello');
  for (const line of seenByAlice) await first.line(line);
  const second = place.start(bob, 'hello');
  for (const line of seenByBob) await second.line(line);
  for (const line of thenByAlice) await first.line(line);
  assert.equal(await second.interrupt(), 0, second.output());
  assert.equal(await first.interrupt(), 0, first.output());
  assert.equal(await running.interrupt(), 0, running.output());

  const made = await place.run(app);
  assert.equal(made.code, 0, made.output);
  const id = /\b[0-9a-f]{32}\b/g;
  const [appId, certificate] = made.output.match(id) ?? [];
  assert.ok(appId && certificate, made.output);
  Object.assign(place.replaced, {
    'ID:CERTIFICATE': `${appId}:${certificate}`,
    'APP_ID=ID': `APP_ID=${appId}`,
  });
  await place.start(server).line(/^tidings is ready/);
  const issued = await place.run(token);
  assert.equal(issued.code, 0, issued.output);
  place.replaced[' TOKEN'] = ` ${issued.output.trim()}`;

  const withToken = place.start(aliceWithToken, 'hello');
  await withToken.line('CONNECTED LOGIN_SUCCESS');
  const refused = await place.run(fails, 'hello');
  assert.notEqual(refused.code, 0, 'bob has logged in with the token of alice');
  assert.match(refused.output, /alice/, 'the error names whose token it is');
  const without = await place.run(fails.replace(' TOKEN', ''), 'hello');
  assert.notEqual(without.code, 0, 'bob has logged in without a token');
  assert.equal(await withToken.interrupt(), 0, withToken.output());
});
