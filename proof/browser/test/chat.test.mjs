/** Two people at two pages, and the real program between them. */
import { after, before, test } from 'node:test';
import { launch } from '../lib/browser.mjs';
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

const arrive = (name, options) => Person.arrive(browser, server.origin, name, options);

test('two people see each other come, write to each other, and see their messages delivered', async () => {
  const alice = await arrive('alice');
  await alice.adds('bob');
  await alice.seesPresence('bob', 'offline');

  const bob = await arrive('bob');
  await alice.seesPresence('bob', 'online');

  await alice.writes('Hello Bob');
  await alice.sees('bob', 'Hello Bob', 'delivered');
  await bob.opens('alice');
  await bob.sees('alice', 'Hello Bob');
  await bob.seesPresence('alice', 'online');

  await bob.writes('Hello Alice');
  await alice.sees('bob', 'Hello Alice');
  await bob.sees('alice', 'Hello Alice', 'delivered');
  await alice.closes();
  await bob.closes();
});

test('a message for somebody who is away is stored, and marked at the next login', async () => {
  const carol = await arrive('carol');
  const dave = await arrive('dave');
  await carol.adds('dave');
  await carol.seesPresence('dave', 'online');

  await dave.closes();
  await carol.seesPresence('dave', 'offline');
  await carol.writes('Read this later');
  await carol.writes('and this');
  await carol.sees('dave', 'Read this later', 'stored for later');
  await carol.sees('dave', 'and this', 'stored for later');

  const back = await arrive('dave', { hash: '#/people/carol' });
  await back.sees('carol', 'Read this later', 'sent while you were away');
  await back.sees('carol', 'and this', 'sent while you were away');
  await carol.seesPresence('dave', 'online');
  await carol.writes('Welcome back');
  await carol.sees('dave', 'Welcome back', 'delivered');
  await carol.closes();
  await back.closes();
});

test('a page that dies without a goodbye is unreachable first', async () => {
  const erin = await arrive('erin');
  const frank = await arrive('frank');
  await erin.adds('frank');
  await erin.seesPresence('frank', 'online');
  await frank.page.goto('chrome://crash').catch(() => undefined);
  await erin.seesPresence('frank', 'unreachable', 20_000);
  await frank.context.close();
  await erin.closes();
});

test('a channel has members who come and go, a count, and messages for all others', async () => {
  const gina = await arrive('gina');
  await gina.joins('lobby');
  await gina.seesMembers(['gina']);

  const hugo = await arrive('hugo', { hash: '#/channels/lobby' });
  await gina.sees('#lobby', 'hugo joined');
  await gina.seesMembers(['gina', 'hugo']);
  await hugo.seesMembers(['gina', 'hugo']);

  await gina.writes('Hello everybody');
  await gina.sees('#lobby', 'Hello everybody', 'sent');
  await hugo.sees('#lobby', 'Hello everybody');
  await hugo.writes('Hello Gina');
  await gina.sees('#lobby', 'Hello Gina');

  await hugo.leaves('lobby');
  await gina.sees('#lobby', 'hugo left');
  await gina.seesMembers(['gina']);
  await gina.closes();
  await hugo.closes();
});
