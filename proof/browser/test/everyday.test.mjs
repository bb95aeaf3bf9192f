/** What people do with the page without thinking about it: come back, look away, paste a link, press Enter too early. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch } from '../lib/browser.mjs';
import { calls, isCalledBy, presses, seesMoving, seesNoCall, talk } from '../lib/calls.mjs';
import { look } from '../lib/looks.mjs';
import { store } from '../lib/node-client.mjs';
import { Person } from '../lib/person.mjs';
import { Server } from '../lib/server.mjs';

const PHONE = { width: 390, height: 844 };

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

const arrive = (name, hash = '', prepare) =>
  Person.arrive(browser, server.origin, name, { hash, prepare });
const both = (people, does) => Promise.all(people.map(does));
const isFocused = (locator) => locator.and(locator.page().locator(':focus')).waitFor();

test('a login without a name says what is missing, and the page names its neighbour', async () => {
  const context = await browser.newContext();
  const page = await context.newPage();
  await page.goto(`${server.origin}/demo/`);
  await page.getByRole('button', { name: 'Log in' }).click();
  await page.getByRole('alert').getByText('Type a name.').waitFor();
  await page.getByRole('link', { name: 'two generations' }).click();
  await page.getByRole('heading', { name: 'Two generations, one channel' }).waitFor();
  await context.close();
});

test('a login that gets no answer says so while it goes on', async () => {
  const other = await Server.start();
  const context = await browser.newContext();
  const page = await context.newPage();
  try {
    await page.goto(`${other.origin}/demo/`);
    await other.kill();
    await page.getByRole('textbox', { name: 'Your name' }).fill('amy');
    await page.keyboard.press('Enter');
    await page.getByRole('status').getByText('Still trying …').waitFor();
    await look(page, 'login-waits');
    await other.startAgain();
    await page.evaluate(() => dispatchEvent(new Event('online')));
    await page.getByRole('navigation', { name: 'Conversations' }).waitFor();
    assert.equal(
      await page.locator('#connection').getAttribute('title'),
      'ConnectionStateChanged: CONNECTED, LOGIN_SUCCESS',
    );
  } finally {
    await context.close();
    await other.stop();
  }
});

test('the second person that the page offers is never somebody who is on line', async () => {
  const bob = await arrive('bob');
  const alice = await arrive('alice');
  const link = alice.page.getByRole('link', { name: /^Be / });
  await alice.page.getByRole('link', { name: 'Be carol' }).waitFor();
  const carol = await arrive('carol');
  await link.hover();
  await alice.page.getByRole('link', { name: 'Be dave' }).waitFor();
  const others = [await arrive('dave'), await arrive('erin')];
  await link.focus();
  await alice.page.getByRole('link', { name: /^Be guest-/ }).waitFor();
  const [second] = await Promise.all([alice.context.waitForEvent('page'), link.click()]);
  await second.getByRole('log', { name: 'Messages with alice' }).waitFor();
  await alice.seesConnection('CONNECTED');
  await second.close();
  await both([bob, alice, carol, ...others], (person) => person.closes());
});

test('with nothing open, the page leads to what is new; an accepted call opens its conversation', async () => {
  const fred = await arrive('fred');
  const gwen = await arrive('gwen', '#/people/fred');
  await gwen.seesPresence('fred', 'online');
  await gwen.writes('Are you there?');
  await fred.page.getByRole('heading', { name: 'There is something new from gwen' }).waitFor();
  await look(fred.page, 'something-new');
  await fred.page.getByRole('link', { name: 'Open the conversation with gwen' }).click();
  await fred.sees('gwen', 'Are you there?');
  await fred.page.goto(`${server.origin}/demo/?user=fred#/`);
  await fred.page.getByRole('heading', { name: 'Choose a conversation' }).waitFor();

  await talk(gwen, fred);
  await fred.page.getByRole('log', { name: 'Messages with gwen' }).waitFor();
  await presses(gwen, 'Hang up');
  await both([fred, gwen], (person) => seesNoCall(person));
  await fred.sees('gwen', 'Call ended after 0:0');

  // Somebody who is elsewhere by the end of the call is told as well.
  await talk(gwen, fred);
  await fred.joins('attic');
  await presses(gwen, 'Hang up');
  await fred.seesNotice('gwen: Call ended after 0:0');
  await both([fred, gwen], (person) => person.closes());
});

test('a page that is loaded again shows what was said before, each message once and in order', async () => {
  const hana = await arrive('hana', '#/people/ivan');
  const ivan = await arrive('ivan', '#/people/hana');
  await hana.seesPresence('ivan', 'online');
  await hana.writes('one');
  await ivan.sees('hana', 'one');
  await ivan.writes('two');
  await hana.sees('ivan', 'two');
  await both([hana, ivan], (person) => person.joins('cellar'));
  await hana.seesMembers(['hana', 'ivan']);
  await hana.writes('to all');
  await ivan.sees('#cellar', 'to all');
  await ivan.closes();
  await hana.opens('ivan');
  await hana.seesPresence('ivan', 'offline');
  await hana.writes('three');
  await hana.sees('ivan', 'three', 'stored for later');

  const back = await arrive('ivan', '#/people/hana');
  await back.sees('hana', 'three', 'sent while you were away');
  await back.sees('hana', 'one');
  assert.deepEqual(await back.textsOf('hana'), ['one', 'two', 'three']);
  await back.joins('cellar');
  await back.sees('#cellar', 'to all');
  await back.page
    .getByRole('log', { name: 'Messages with #cellar' })
    .locator('.author', { hasText: 'hana' })
    .waitFor();

  await hana.page.reload();
  await hana.sees('ivan', 'three');
  assert.deepEqual(await hana.textsOf('ivan'), ['one', 'two', 'three']);
  const own = hana.page.getByRole('listitem').filter({ hasText: 'one' });
  assert.match(await own.getAttribute('class'), /\bown\b/);
  await look(hana.page, 'history');
  await both([hana, back], (person) => person.closes());
});

test('a long history comes in parts, and the message that is read stays where it is', async () => {
  await store({ origin: server.origin, from: 'jill', to: 'kurt', count: 130, history: true });
  const kurt = await arrive('kurt', '#/people/jill');
  await kurt.sees('jill', 'message 130');
  assert.equal((await kurt.textsOf('jill')).length, 100);
  await kurt.page.getByRole('button', { name: 'Show earlier messages' }).click();
  await kurt.sees('jill', 'message 30');
  assert.deepEqual(
    await kurt.textsOf('jill'),
    Array.from({ length: 130 }, (_, index) => `message ${index + 1}`),
  );
  await kurt.page
    .getByRole('button', { name: 'Show earlier messages' })
    .waitFor({ state: 'hidden' });
  await kurt.closes();
});

test('a message that is too long stays in its field, and nothing is sent', async () => {
  const lara = await arrive('lara', '#/people/mick');
  const text = 'ä'.repeat(16_385);
  await lara.writes(text);
  await lara.page.getByRole('alert').getByText('This message is 32,770 bytes long').waitFor();
  const field = lara.page.getByRole('textbox', { name: 'Message to mick' });
  assert.equal(await field.inputValue(), text);
  assert.equal(await lara.countOf('mick', 'ä'), 0);
  await lara.writes('shorter');
  await lara.sees('mick', 'shorter', 'stored for later');
  assert.equal(await lara.page.locator('#text-problem').textContent(), '');
  await lara.closes();
});

test('web addresses are links, what is around them is not, and nothing else is', async () => {
  const nora = await arrive('nora', '#/people/olaf');
  await nora.writes(
    'See https://example.org/a/long-path_(with)-brackets?x=1&y=2, or (http://example.org/b). javascript:alert(1) <b>no</b>',
  );
  const message = await nora.sees('olaf', 'See https://example.org');
  const links = await message
    .getByRole('link')
    .evaluateAll((found) => found.map(({ href, rel, target }) => ({ href, rel, target })));
  const rest = { rel: 'noopener noreferrer', target: '_blank' };
  assert.deepEqual(links, [
    { href: 'https://example.org/a/long-path_(with)-brackets?x=1&y=2', ...rest },
    { href: 'http://example.org/b', ...rest },
  ]);
  await message.getByText('<b>no</b>').waitFor();
  await nora.writes(`The plan is at https://example.org/${'folder/'.repeat(40)}plan`);
  await look(nora.page, 'links');
  await nora.closes();
});

test('a file that is no picture is complained about where it was to be sent, not elsewhere', async () => {
  const pete = await arrive('pete', '#/people/quin');
  await pete.adds('rosa');
  await pete.opens('quin');
  const chooser = pete.page.waitForEvent('filechooser');
  await presses(pete, 'Send a picture');
  await (
    await chooser
  ).setFiles({ name: 'notes.txt', mimeType: 'text/plain', buffer: Buffer.from('no picture') });
  await pete.seesNotice('“notes.txt” is not a picture that this browser can show.');
  await look(pete.page, 'not-a-picture');
  await pete.opens('rosa');
  await pete.page.getByText('is not a picture').waitFor({ state: 'detached' });
  await pete.closes();
});

test('nobody is said to be there while the connection is lost', async () => {
  const other = await Server.start();
  try {
    const sven = await Person.arrive(browser, other.origin, 'sven', { hash: '#/people/tara' });
    const tara = await Person.arrive(browser, other.origin, 'tara');
    await sven.seesPresence('tara', 'online');
    await other.kill();
    await sven.seesConnection('RECONNECTING');
    await sven.page.getByRole('list').getByRole('link', { name: 'tara', exact: true }).waitFor();
    assert.equal(await sven.page.locator('#conversation-state').textContent(), '');
    await other.startAgain();
    await both([sven, tara], (person) => person.isOnlineAgain());
    await both([sven, tara], (person) => person.seesConnection('CONNECTED'));
    await sven.seesPresence('tara', 'online');
    await both([sven, tara], (person) => person.closes());
  } finally {
    await other.stop();
  }
});

test('a page that nobody has touched does not try to ring, and rings at the first touch', async () => {
  const untouched = (context) =>
    context.addInitScript(() => {
      // What the browser itself would say; here, every look at the page counts as a touch.
      Object.defineProperty(navigator, 'userActivation', { value: { hasBeenActive: false } });
      window.audioContexts = 0;
      window.AudioContext = class extends AudioContext {
        constructor(...options) {
          super(...options);
          window.audioContexts++;
        }
      };
    });
  const ursa = await arrive('ursa', '#/people/vera', untouched);
  const vera = await arrive('vera', '#/people/ursa');
  await vera.seesPresence('ursa', 'online');
  await calls(vera, 'ursa');
  await isCalledBy(ursa, 'vera');
  assert.equal(await ursa.page.evaluate(() => window.audioContexts), 0);
  await ursa.page.keyboard.press('Shift');
  assert.equal(await ursa.page.evaluate(() => window.audioContexts), 1);
  await presses(ursa, 'Decline');
  await both([ursa, vera], (person) => seesNoCall(person));
  await both([ursa, vera], (person) => person.closes());
});

test('after a call one goes on writing; on a phone, the call may have the whole screen', async () => {
  const [will, yara] = [
    await arrive('will', '#/people/yara'),
    await arrive('yara', '#/people/will'),
  ];
  await will.seesPresence('yara', 'online');
  await talk(will, yara);
  await will.page.setViewportSize(PHONE);
  const call = will.page.locator('#call');
  await presses(will, 'Full screen');
  await will.page.getByRole('button', { name: 'Leave full screen' }).waitFor();
  const { width, height } = await call.boundingBox();
  const window = await will.page.evaluate(() => ({ width: innerWidth, height: innerHeight }));
  assert.deepEqual({ width, height }, window);
  await seesMoving(will);
  await will.page.screenshot({
    path: `${process.env['E2E_SCREENSHOTS'] ?? '/tmp'}/call-full-390x844.png`,
  });
  await presses(will, 'Leave full screen');
  await will.page.getByRole('button', { name: 'Full screen', exact: true }).waitFor();
  assert.ok((await call.boundingBox()).height < window.height);
  await will.page.setViewportSize({ width: 1280, height: 800 });
  await presses(will, 'Hang up');
  await both([will, yara], (person) => seesNoCall(person));
  await isFocused(will.page.getByRole('textbox', { name: 'Message to yara' }));
  await both([will, yara], (person) => person.closes());
});

test('the ring around the topic field leaves the name of the channel whole', async () => {
  const zita = await arrive('zita', '#/channels/gypsy-jogging');
  await zita.seesMembers(['zita']);
  await presses(zita, 'Set a topic');
  const field = zita.page.getByRole('textbox', { name: 'Topic of the channel' });
  await isFocused(field);
  const name = await zita.page.getByRole('heading', { name: '#gypsy-jogging' }).boundingBox();
  const gap = (await field.boundingBox()).y - (name.y + name.height);
  assert.ok(gap >= 4, `the field is ${gap} px below the name, its ring reaches 4`);
  await look(zita.page, 'topic-edit');
  await zita.closes();
});
