/** The guide's examples: each is a page that runs, tried by two people. */
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { launch } from '../lib/browser.mjs';
import { look } from '../lib/looks.mjs';
import { Server } from '../lib/server.mjs';

const FOLDER = fileURLToPath(new URL('../../../site/guide/public/examples/', import.meta.url));
const TRIED = ['call', 'chat', 'classroom', 'files', 'presence', 'typing'];

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

/** Somebody at an example: logged in by the address, or by its form. */
async function visit(example, name, { byForm = false } = {}) {
  const context = await browser.newContext({
    viewport: { width: 900, height: 800 },
    acceptDownloads: true,
  });
  const page = await context.newPage();
  page.setDefaultTimeout(15_000);
  const faults = [];
  page.on('pageerror', (error) => faults.push(String(error)));
  page.on('console', (message) => message.type() === 'error' && faults.push(message.text()));
  const address = `${server.origin}/docs/examples/${example}.html`;
  await page.goto(byForm ? address : `${address}?user=${name}`);
  if (byForm) {
    await page.getByRole('textbox', { name: 'Your name' }).fill(name);
    await page.getByRole('button', { name: 'Log in' }).click();
  }
  await page.getByText(`${name}: CONNECTED (LOGIN_SUCCESS)`).waitFor();
  const close = async () => {
    assert.deepEqual(faults, [], `faults on ${name}'s page`);
    await page.close({ runBeforeUnload: false });
    await context.close();
  };
  return Object.assign(page, { closes: close });
}

const types = async (page, field, text) => {
  await page.getByRole('textbox', { name: field }).fill(text);
  await page.keyboard.press('Enter');
};
const closeAll = (pages) => Promise.all(pages.map((page) => page.closes()));

test('every example is tried here', () => {
  const pages = readdirSync(FOLDER).filter((name) => name.endsWith('.html'));
  assert.deepEqual(
    pages.sort(),
    TRIED.map((name) => `${name}.html`),
  );
});

test('chat', async () => {
  const alice = await visit('chat', 'alice', { byForm: true });
  await types(alice, 'Message', 'Is anybody here?');
  await alice.getByText('alice: Is anybody here?').waitFor();
  const bob = await visit('chat', 'bob');
  await bob.getByText('alice: Is anybody here?').waitFor();
  await alice.getByText('bob joined').waitFor();
  await types(bob, 'Message', 'I am');
  await alice.getByText('bob: I am').waitFor();
  await look(alice, 'example-chat');
  await bob.closes();
  await alice.getByText('bob left').waitFor();
  await alice.closes();
});

test('presence list', async () => {
  const carol = await visit('presence', 'carol');
  await types(carol, 'Name', 'dave');
  await carol.getByText('dave: OFFLINE').waitFor();
  const dave = await visit('presence', 'dave');
  await carol.getByText('dave: ONLINE').waitFor();
  await types(carol, 'Name', 'no/name');
  await carol.getByRole('alert').getByText('Error Code').waitFor();
  await look(carol, 'example-presence');
  await dave.closes();
  await carol.getByText('dave: OFFLINE').waitFor();
  await carol.closes();
});

test('classroom', async () => {
  const erin = await visit('classroom', 'erin');
  const frank = await visit('classroom', 'frank');
  for (const page of [erin, frank]) await page.getByRole('heading', { name: '2 here' }).waitFor();
  await types(erin, 'Topic', 'Fractions');
  await frank.getByRole('heading', { name: 'Topic: Fractions' }).waitFor();
  await frank.getByRole('button', { name: 'Raise hand' }).click();
  for (const page of [erin, frank]) await page.getByText('frank – hand up').waitFor();
  await look(erin, 'example-classroom');
  await frank.getByRole('button', { name: 'Lower hand' }).click();
  await erin.getByText('frank', { exact: true }).waitFor();
  await closeAll([erin, frank]);
});

/** The other's picture moves. */
const moves = (page) =>
  page.waitForFunction(() => {
    const video = document.querySelector('#remote');
    return video.videoWidth > 0 && video.getVideoPlaybackQuality().totalVideoFrames > 3;
  });

test('video call', async () => {
  const gina = await visit('call', 'gina');
  const hugo = await visit('call', 'hugo');
  const says = (page, text) => page.locator('#call-state', { hasText: text }).waitFor();
  await types(gina, 'Whom to call', 'hugo');
  await says(gina, 'Ringing at hugo');
  await says(hugo, 'gina is calling');
  await hugo.getByRole('button', { name: 'Decline' }).click();
  await says(gina, 'hugo declined.');
  await types(gina, 'Whom to call', 'hugo');
  await says(hugo, 'gina is calling');
  await gina.getByRole('button', { name: 'Hang up' }).click();
  await says(hugo, 'gina hung up.');
  await types(gina, 'Whom to call', 'hugo');
  await hugo.getByRole('button', { name: 'Accept' }).click();
  await Promise.all([moves(gina), moves(hugo)]);
  await says(gina, 'In a call with hugo');
  await look(gina, 'example-call');
  await hugo.getByRole('button', { name: 'Hang up' }).click();
  await says(gina, 'hugo hung up.');
  assert.equal(
    await gina.evaluate(() => document.querySelector('#own').srcObject),
    null,
    'the camera is given back',
  );
  await closeAll([gina, hugo]);
});

test('typing indicator', async () => {
  const ines = await visit('typing', 'ines');
  const jack = await visit('typing', 'jack');
  await ines.getByRole('textbox', { name: 'Message' }).pressSequentially('Hello');
  await jack.getByText('ines is typing …').waitFor();
  await look(jack, 'example-typing');
  await ines.keyboard.press('Enter');
  await jack.getByText('ines: Hello').waitFor();
  await jack.getByText('ines is typing …').waitFor({ state: 'detached' });
  // Whoever stops in the middle is forgotten after a while.
  await ines.getByRole('textbox', { name: 'Message' }).pressSequentially('Hm');
  await jack.getByText('ines is typing …').waitFor();
  await jack.getByText('ines is typing …').waitFor({ state: 'detached' });
  await closeAll([ines, jack]);
});

test('files', async () => {
  const kate = await visit('files', 'kate');
  const liam = await visit('files', 'liam');
  await kate
    .getByLabel('File to send')
    .setInputFiles({ name: 'plan.txt', mimeType: 'text/plain', buffer: Buffer.from('Pier 4') });
  await kate.getByRole('button', { name: 'Send', exact: true }).click();
  await liam.getByText('kate: plan.txt, 6 bytes').waitFor();
  const saved = liam.waitForEvent('download');
  await liam.getByRole('button', { name: 'Save' }).click();
  const download = await saved;
  assert.equal(download.suggestedFilename(), 'plan.txt');
  const stream = await download.createReadStream();
  assert.equal((await stream.toArray()).join(''), 'Pier 4');
  await look(kate, 'example-files');

  // A large one, cancelled while it is on its way.
  await kate.route('**/v1/media**', () => undefined);
  await kate
    .getByLabel('File to send')
    .setInputFiles({ name: 'film.bin', mimeType: 'video/mp4', buffer: Buffer.alloc(4 << 20) });
  await kate.getByRole('button', { name: 'Send', exact: true }).click();
  await kate.getByRole('button', { name: 'Cancel' }).click();
  await kate.getByRole('alert').getByText('Error Code 6').waitFor();
  await closeAll([kate, liam]);
});
