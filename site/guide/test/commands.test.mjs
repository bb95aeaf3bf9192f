// The page of commands, followed to the letter: a server, a look at it, a key, a context, completions.

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { Place, stepsOf } from './steps.mjs';

let place;
before(async () => {
  place = await Place.make();
  place.env.XDG_CONFIG_HOME = join(place.folder, 'settings');
});
after(async () => place?.end());

const works = (text) => place.works(text);

test('a server is looked at from its own machine and from elsewhere', async () => {
  const steps = Object.fromEntries(stepsOf('commands.md').map(({ what, text }) => [what, text]));
  assert.deepEqual(Object.keys(steps), ['serve', 'look', 'key', 'context', 'completions']);
  const server = place.start(`exec ${steps.serve}`);
  await server.line(/^tidings is ready/);

  const seen = await works(steps.look);
  assert.match(seen, /^program +tidings /m);
  assert.match(seen, /^nobody is logged in$/m);
  assert.match(seen, /^sent: the server has it/m);

  await works(steps.key);
  const told = await works(steps.context);
  assert.match(told, /^context home is added .*; in use$/m);
  assert.match(told, /^\* home /m);
  assert.match(told, /^context home is removed$/m);

  // The page says bash, and `sh` may be another shell.
  writeFileSync(join(place.folder, 'completions.sh'), steps.completions);
  assert.equal(await works('bash -e completions.sh'), '');
  await server.interrupt();
});
