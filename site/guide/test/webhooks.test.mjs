// The page on webhooks, followed to the letter, against the real program.

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { freePort, Place, stepsOf } from './steps.mjs';
import { User } from './user.mjs';

const APP = '0123456789abcdef0123456789abcdef';
let place;
before(async () => {
  const port = await freePort();
  place = await Place.make({ '127.0.0.1:8080': `127.0.0.1:${port}` });
});
after(async () => place?.end());

const steps = stepsOf('webhooks.md');
const of = (what) => steps.filter((step) => step.what === what).map(({ text }) => text);

const works = (text) => place.works(text);

/** The JSON texts that commands have written one after the other. */
const answersOf = (output) =>
  output
    .trim()
    .split(/\n|(?<=\})(?=\{)/)
    .map((line) => JSON.parse(line));

test('webhooks and moderation, as the page says', async (context) => {
  const server = place.start(of('server')[0]);
  await server.line(/^tidings is ready/);
  const [key] = /tdk_\w+/.exec(await works(of('key')[0])) ?? [];
  assert.ok(key, 'the command shows a key');
  place.replaced['=KEY'] = `=${key}`;
  place.takeVariables(of('variables')[0]);
  const [made] = answersOf(await works(of('create')[0]));
  Object.assign(place.replaced, { '=ID': `=${made.id}`, '=SECRET': `=${made.secret}` });
  place.takeVariables(of('made')[0]);

  writeFileSync(join(place.folder, 'receiver.py'), place.own(of('file receiver.py')[0]));
  let receiver = place.start(of('receiver')[0]);
  await receiver.line('listening');
  const [sample] = answersOf(await works(of('test')[0]));
  assert.equal(sample.state, 'delivered', JSON.stringify(sample));
  await receiver.line('webhook.test 12121212 test_webhook');
  const alice = await User.login(place.address, APP, 'alice');
  context.after(() => alice.logout());
  await receiver.line('user.login alice None');
  await alice.join('lobby.1');
  await receiver.line('channel.join alice lobby.1');

  const [deliveries, status, dead] = answersOf(await works(of('look')[0]));
  assert.ok(deliveries.items.length >= 3, JSON.stringify(deliveries));
  assert.equal(status.status.failing, undefined);
  assert.deepEqual(dead, { items: [], next: null });
  const [again, all] = answersOf(await works(of('again')[0]));
  assert.equal(again.attempt_count, 2);
  assert.deepEqual(all, { delivered: 0, left: 0 });

  const [rotate, drop] = of('rotate');
  const [{ secret }] = answersOf(await works(rotate));
  assert.match(secret, /^whsec_/);
  const [dropped] = answersOf(await works(drop));
  assert.equal(dropped.secrets_created_ms.length, 1);

  const [{ secret: third }] = answersOf(await works(of('moderation')[0]));
  place.env.WEBHOOK_SECRETS = `${secret},${third}`;
  await receiver.kill();
  receiver = place.start(of('receiver')[0]);
  await receiver.line('listening');
  const bob = await User.login(place.address, APP, 'bob');
  context.after(() => bob.logout());
  await receiver.line('user.login bob None');
  await bob.join('lobby.1');
  const words = (payload) => ({ channel: 'lobby.1', from: 'bob', payload });
  const publish = (payload) =>
    works(
      `curl -sS "\${WEBHOOKS%webhooks}publish" -H "Authorization: Bearer $TIDINGS_KEY" -H 'Content-Type: application/json' -d '${JSON.stringify(words(payload))}'`,
    );
  assert.equal(answersOf(await publish('darn good'))[0].results[0].outcome, 'sent');
  await alice.hears('lobby.1', 'bob', 'd*** good');
  const [refused] = answersOf(await publish('rude'));
  assert.match(JSON.stringify(refused), /be polite/);
});
