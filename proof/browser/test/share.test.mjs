/** What people share: a channel's topic, raised hands, links, pictures. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch } from '../lib/browser.mjs';
import { look } from '../lib/looks.mjs';
import { Person } from '../lib/person.mjs';
import { harbourPicture } from '../lib/pictures.mjs';
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

const arrive = (name, hash, prepare) =>
  Person.arrive(browser, server.origin, name, { hash, prepare });
const button = (person, name) => person.page.getByRole('button', { name, exact: true });
const both = (people, does) => Promise.all(people.map(does));

/** The names of the members' list, hands first, as `name` or `name 1`. */
async function handsSeen(person, expected) {
  const members = person.page.getByRole('complementary', { name: /members?$/ });
  for (const [name, place] of expected) {
    await members
      .getByRole('listitem')
      .filter({ hasText: name })
      .filter({ hasText: `number ${place}` })
      .waitFor();
  }
  await person.page.waitForFunction(
    (count) => document.querySelectorAll('#member-list .raised').length === count,
    expected.length,
  );
}

async function setsTopic(person, from, text) {
  await button(person, from).click();
  const field = person.page.getByRole('textbox', { name: 'Topic of the channel' });
  await field.fill(text);
  await field.press('Enter');
}

test('all members see the topic and the raised hands, those who come later too', async () => {
  const anna = await arrive('anna', '#/channels/pier');
  const ben = await arrive('ben', '#/channels/pier');
  const cleo = await arrive('cleo', '#/channels/pier');
  await setsTopic(anna, 'Set a topic', 'Boats to the island this summer');
  await both([anna, ben, cleo], ({ page }) =>
    page.getByText('Boats to the island this summer').waitFor(),
  );

  await button(cleo, 'Raise hand').click();
  await handsSeen(anna, [['cleo', 1]]);
  await button(ben, 'Raise hand').click();
  await both([anna, ben, cleo], (person) =>
    handsSeen(person, [
      ['cleo', 1],
      ['ben', 2],
    ]),
  );
  await look(anna.page, 'board');

  const dora = await arrive('dora', '#/channels/pier');
  await dora.page.getByText('Boats to the island this summer').waitFor();
  await handsSeen(dora, [
    ['cleo', 1],
    ['ben', 2],
  ]);
  await button(cleo, 'Lower hand').click();
  await handsSeen(dora, [['ben', 1]]);

  await server.kill();
  await both([anna, ben, cleo, dora], (person) => person.seesConnection('RECONNECTING'));
  await server.startAgain();
  await both([anna, ben, cleo, dora], (person) => person.isOnlineAgain());
  await both([anna, ben, cleo, dora], (person) => person.seesConnection('CONNECTED'));
  await handsSeen(cleo, [['ben', 1]]);
  await dora.page.reload();
  await dora.page.getByText('Boats to the island this summer').waitFor();

  await ben.leaves('pier');
  await handsSeen(anna, []);
  await button(anna, 'Change topic').click();
  await look(anna.page, 'topic-form', { sizes: PHONE });
  await anna.page.keyboard.press('Escape');
  await setsTopic(anna, 'Change topic', '');
  await button(dora, 'Set a topic').waitFor();
  await both([anna, ben, cleo, dora], (person) => person.closes());
});

const canCopy = (context) => context.grantPermissions(['clipboard-read', 'clipboard-write']);
const copied = (person) => person.page.evaluate(() => navigator.clipboard.readText());

test('a link leads others to a channel, or into a conversation with whoever sent it', async () => {
  const emil = await arrive('emil', '#/channels/lounge', canCopy);
  await button(emil, 'Copy link').click();
  await emil.seesNotice('Copied: ');
  await look(emil.page, 'link-copied');
  const toChannel = await copied(emil);
  await button(emil, 'Copy my link').first().click();
  await emil.page.getByRole('alert').getByText('people/emil').waitFor();
  const toEmil = await copied(emil);

  const context = await browser.newContext();
  const page = await context.newPage();
  await page.goto(toEmil);
  await page.getByRole('heading', { name: 'Talk to emil' }).waitFor();
  await look(page, 'invited');
  await page.getByRole('textbox', { name: 'Your name' }).fill('fay');
  await page.getByRole('button', { name: 'Log in' }).click();
  const fay = new Person('fay', context, page);
  await fay.writes('I came by your link');
  await emil.page.getByRole('link', { name: /^fay.*1 new/ }).waitFor();
  await page.goto(toChannel.replace('#', '?user=fay#'));
  await emil.seesMembers(['emil', 'fay']);
  await both([emil, fay], (person) => person.closes());
});

/** The image with this name, once it is loaded: its width in its file and on the page. */
async function widths(person, name) {
  const image = person.page.getByRole('img', { name, exact: true });
  await image.waitFor();
  await image.evaluate((element) => element.decode());
  return image.evaluate(({ naturalWidth, width }) => ({ naturalWidth, width }));
}

async function sendsPicture(person, picture) {
  const chooser = person.page.waitForEvent('filechooser');
  await button(person, 'Send a picture').click();
  await (await chooser).setFiles(picture);
}

test('a picture is sent, seen small at once, and in full when it is opened', async () => {
  const gus = await arrive('gus', '#/people/hal');
  const hal = await arrive('hal', '#/people/gus');
  const picture = await harbourPicture(gus.page);
  await gus.writes('Look where I am:');
  await sendsPicture(gus, picture);
  await gus.page.getByRole('listitem').filter({ hasText: 'delivered' }).getByRole('img').waitFor();
  const small = await widths(hal, 'Picture harbour.png');
  assert.deepEqual(small, { naturalWidth: 480, width: 300 });
  await hal.writes('Lucky you!');
  await gus.sees('hal', 'Lucky you!');
  await look(gus.page, 'picture');

  await hal.page.getByRole('button', { name: 'Picture harbour.png' }).click();
  const full = await widths(hal, 'Picture harbour.png, in full');
  assert.equal(full.naturalWidth, 1600);
  await look(hal.page, 'picture-open');
  await hal.page.keyboard.press('Escape');
  await hal.page.getByRole('dialog').waitFor({ state: 'hidden' });

  await sendsPicture(gus, {
    name: 'notes.txt',
    mimeType: 'text/plain',
    buffer: Buffer.from('no picture'),
  });
  await gus.seesNotice('“notes.txt” is not a picture that this browser can show.');
  await both([gus, hal], (person) => person.closes());
});

test('a picture for somebody who is away waits for them, and one for a channel reaches all', async () => {
  const ida = await arrive('ida', '#/people/jon');
  await sendsPicture(ida, await harbourPicture(ida.page));
  await ida.page
    .getByRole('listitem')
    .filter({ hasText: 'stored for later' })
    .getByRole('img')
    .waitFor();
  const jon = await arrive('jon', '#/people/ida');
  assert.equal((await widths(jon, 'Picture harbour.png')).naturalWidth, 480);
  await both([ida, jon], (person) => person.joins('photos'));
  await ida.seesMembers(['ida', 'jon']);
  await sendsPicture(ida, await harbourPicture(ida.page));
  await ida.page.getByRole('listitem').filter({ hasText: 'sent' }).getByRole('img').waitFor();
  await jon.page.getByRole('log', { name: 'Messages with #photos' }).getByRole('img').waitFor();
  await both([ida, jon], (person) => person.closes());
});
