/** Every state of the page: what it says, that it fits, that it can be used by everybody. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch } from '../lib/browser.mjs';
import { look } from '../lib/looks.mjs';
import { store } from '../lib/node-client.mjs';
import { Person } from '../lib/person.mjs';
import { Server } from '../lib/server.mjs';

const PHONE = [{ width: 390, height: 844 }];

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

const arrive = (name, hash = '') => Person.arrive(browser, server.origin, name, { hash });

test('the login says what is wrong with a name, remembers a good one, and logs out again', async () => {
  const context = await browser.newContext();
  const page = await context.newPage();
  await page.goto(`${server.origin}/demo/`);
  const name = page.getByRole('textbox', { name: 'Your name' });
  await look(page, 'login');
  await name.fill('a/b');
  await name.press('Enter');
  await page.getByRole('alert').getByText('This name is not possible.').waitFor();
  await look(page, 'login-problem');
  await name.fill('alice');
  await page.getByRole('button', { name: 'Log in' }).click();
  await page.getByRole('status').getByText('Connected', { exact: true }).waitFor();
  await page.getByRole('heading', { name: 'Nobody to talk to yet?' }).waitFor();
  await look(page, 'empty');
  assert.equal(new URL(page.url()).searchParams.get('user'), 'alice');

  await page.getByRole('button', { name: 'Log out' }).click();
  await page.getByRole('status').getByText('Not connected', { exact: true }).waitFor();
  await page.goto(`${server.origin}/demo/`);
  assert.equal(await name.inputValue(), 'alice');
  await context.close();
});

test('people', async () => {
  const alice = await arrive('alice');
  const bob = await arrive('bob');
  const carol = await arrive('carol');
  await alice.adds('dave');
  await alice.writes('The tickets are at the desk.');
  await alice.sees('dave', 'The tickets are at the desk.', 'stored for later');
  await look(alice.page, 'person-away');
  await alice.adds('bob');
  await alice.writes('Morning! Is the ferry on time?');
  await bob.opens('alice');
  await bob.writes('It is. Pier 4, leaving at ten past nine.');
  await alice.sees('bob', 'Pier 4');
  await alice.writes('Then I have time for a coffee. Shall I bring you one?');
  await alice.sees('bob', 'Shall I bring you one?', 'delivered');
  await bob.writes('Please – black, no sugar.');
  await alice.sees('bob', 'no sugar');
  await carol.adds('alice');
  await carol.writes('Are you two there yet?');
  await alice.page.getByRole('link', { name: /carol.*1 new/ }).waitFor();
  await alice.seesPresence('bob', 'online');
  await look(alice.page, 'person');
  await alice.writes('x'.repeat(32_769));
  await alice.page.getByText('This message is 32,769 bytes long; the limit is 32,768.').waitFor();
  await look(alice.page, 'too-long');
  await alice.opens('dave');
  await alice.page.getByRole('button', { name: 'Remove dave' }).click();
  await alice.page.getByRole('link', { name: /^dave/ }).waitFor({ state: 'detached' });
  for (const person of [alice, bob, carol]) await person.closes();
});

test('a channel', async () => {
  const erin = await arrive('erin');
  await erin.adds('dave');
  await erin.adds('gina');
  await erin.adds('frank');
  await erin.joins('harbour');
  await erin.seesMembers(['erin']);
  const frank = await arrive('frank', '#/channels/harbour');
  await erin.sees('#harbour', 'frank joined');
  const gina = await arrive('gina', '#/channels/harbour');
  await erin.sees('#harbour', 'gina joined');
  await frank.writes('The noon boat is full, the next one goes at two.');
  await erin.sees('#harbour', 'The noon boat is full');
  await erin.writes('Thanks. I have moved our group to two.');
  await gina.writes('Works for me');
  await erin.sees('#harbour', 'Works for me');
  await erin.seesMembers(['erin', 'frank', 'gina']);
  await erin.seesPresence('frank', 'online');
  await frank.adds('erin');
  await frank.writes('Could you print the list for me?');
  await erin.page.getByRole('link', { name: /frank.*1 new/ }).waitFor();
  await look(erin.page, 'channel');
  await erin.page.setViewportSize(PHONE[0]);
  await erin.page.getByRole('button', { name: '3 members' }).click();
  await look(erin.page, 'channel-members', { sizes: PHONE });
  await erin.page.getByRole('link', { name: 'All conversations' }).click();
  await erin.page.getByRole('link', { name: /harbour/ }).waitFor();
  await look(erin.page, 'conversations', { sizes: PHONE });
  await erin.page.goBack();
  await erin.sees('#harbour', 'Works for me');
  for (const person of [erin, frank, gina]) await person.closes();
});

test('a lost connection', async () => {
  const hugo = await arrive('hugo', '#/people/ines');
  await hugo.seesPresence('ines', 'offline');
  await server.kill();
  try {
    await hugo.seesConnection('RECONNECTING');
    await look(hugo.page, 'reconnecting');
  } finally {
    await server.startAgain();
  }
  await hugo.isOnlineAgain();
  await hugo.seesConnection('CONNECTED');
  await hugo.closes();
});

test('the same name in a second tab: the first says so, and can take the login back', async () => {
  const first = await arrive('jack');
  const second = await arrive('jack');
  await first.seesConnection('ABORTED');
  await look(first.page, 'aborted');
  await first.page.getByRole('button', { name: 'Log in here' }).click();
  await first.seesConnection('CONNECTED');
  await second.seesConnection('ABORTED');
  await first.closes();
  await second.closes();
});

test('what the server could not keep is told, with the number of messages', async () => {
  await store({ origin: server.origin, from: 'kate', to: 'liam', count: 203 });
  const liam = await arrive('liam', '#/people/kate');
  await liam.seesNotice(
    '3 messages that people sent to you are missing: more were waiting for you than the server keeps.',
  );
  await liam.sees('kate', 'message 203', 'sent while you were away');
  const texts = await liam.textsOf('kate');
  assert.deepEqual(
    texts,
    Array.from({ length: 200 }, (_, index) => `message ${index + 4}`),
  );
  await look(liam.page, 'gap');
  await liam.page.getByRole('button', { name: 'Dismiss' }).click();
  await liam.closes();
});
