// "Find one message", followed: a message is sent to a channel with somebody in it, and its way is
// told.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Place, stepsOf } from './steps.mjs';

let place;
before(async () => {
  place = await Place.make();
});
after(async () => place?.end());

test('a message is followed, and its way is told', async () => {
  const steps = Object.fromEntries(stepsOf('tracing.md').map(({ what, text }) => [what, text]));
  assert.deepEqual(Object.keys(steps), ['on', 'messages', 'way']);
  const works = async (text) => {
    const { code, output } = await place.run(text);
    assert.equal(code, 0, `${place.own(text)}\n${output}`);
    return output;
  };
  const server = place.start('tidings serve --dev');
  await server.line(/^tidings is ready/);
  await works('tidings app create --id 0123456789abcdef0123456789abcdef --open');
  const listener = place.start('tidings sub lobby --as bob');
  for (;;) if ((await works('tidings who --json')).includes('"bob"')) break;

  assert.match(await works(steps.on), /messages to the channel lobby are followed until/);
  await works('tidings pub lobby hello --from alice');
  await listener.line(/hello/);
  const id = /\b[0-9a-f]{32}\b/.exec(await works(steps.messages))?.[0];
  assert.ok(id, 'the message is listed');
  place.replaced['4bf92f3577b34da6a3ce929d0e0e4736'] = id;
  const way = await works(`${steps.way.trim()} --wait 20s`);
  for (const step of ['accepted', 'stamped', 'ordered', 'given', 'queued', 'written', 'confirmed'])
    assert.match(way, new RegExp(`^${step} `, 'm'), way);
  assert.match(way, /^complete$/m, way);
  assert.ok(!way.includes('hello'), way);
});
