/** The server dies under two pages that are open, and comes back at the same address. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch } from '../lib/browser.mjs';
import { look } from '../lib/looks.mjs';
import { Person } from '../lib/person.mjs';
import { Server } from '../lib/server.mjs';

let server;
let browser;
before(async () => {
  server = await Server.start();
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await server?.stop();
});

/** Two people who have each other's conversation and a channel. */
async function two(first, second, channel) {
  const hash = `#/channels/${channel}`;
  const one = await Person.arrive(browser, server.origin, first, { hash });
  await one.seesMembers([first]);
  const other = await Person.arrive(browser, server.origin, second, { hash });
  await one.seesMembers([first, second]);
  await one.adds(second);
  await other.adds(first);
  await one.seesPresence(second, 'online');
  await other.seesPresence(first, 'online');
  return [one, other];
}

const all = (people, does) => Promise.all(people.map(does));

test('both pages live through kill -9 of the server, and chat again', async () => {
  const people = await two('alice', 'bob', 'lobby');
  const [alice, bob] = people;
  await alice.writes('before the end');
  await bob.sees('alice', 'before the end');

  await server.kill();
  await all(people, (person) => person.seesConnection('RECONNECTING'));
  await server.startAgain();
  // By themselves: nothing tells these pages that the server is back.
  await all(people, (person) => person.seesConnection('CONNECTED'));

  await alice.writes('after the end');
  await alice.sees('bob', 'after the end', 'delivered');
  await bob.sees('alice', 'after the end');
  await bob.writes('still here');
  await alice.sees('bob', 'still here');
  await alice.seesPresence('bob', 'online');

  await all(people, (person) => person.opens('#lobby'));
  await all(people, (person) => person.seesMembers(['alice', 'bob']));
  await alice.writes('Hello again');
  await bob.sees('#lobby', 'Hello again');
  await bob.writes('Hello Alice');
  await alice.sees('#lobby', 'Hello Alice');

  await all(people, (person) =>
    person.sees('#lobby', 'Messages here may be missing: the server was restarted.'),
  );
  assert.equal(await alice.countOf('#lobby', 'bob left'), 0, 'bob was back in time');
  assert.equal(await alice.countOf('#lobby', 'bob joined'), 1, 'bob has joined once');
  await look(alice.page, 'restarted');

  await bob.opens('alice');
  assert.equal(
    await bob.countOf('alice', 'before the end'),
    1,
    'a message from before has come twice',
  );
  await all(people, (person) => person.closes());
});

test('a message that the server could not take fails in words, and goes out when it is tried again', async (t) => {
  const people = await two('carol', 'dave', 'office');
  const [carol, dave] = people;
  await server.kill();
  await all(people, (person) => person.seesConnection('RECONNECTING'));
  await carol.writes('Is anybody there?');
  await carol.sees('dave', 'Is anybody there?', 'sending');
  await carol.sees(
    'dave',
    'Is anybody there?',
    'failed: Not sent: the server could not be reached.',
  );
  await server.startAgain();
  // By now, the SDK's own next attempt may be half a minute away.
  await all(people, ({ page }) => page.getByRole('button', { name: 'Try now' }).click());
  const began = Date.now();
  await all(people, (person) => person.seesConnection('CONNECTED'));
  t.diagnostic(`back ${Date.now() - began} ms after the click`);
  await carol.page.getByRole('button', { name: 'Try again' }).click();
  await carol.sees('dave', 'Is anybody there?', 'delivered');
  await dave.sees('carol', 'Is anybody there?');
  await all(people, (person) => person.closes());
});
