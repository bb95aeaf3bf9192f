/** Every state of a call: what it says, that it fits, and that it can be used without a mouse. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch } from '../lib/browser.mjs';
import { calls, isCalledBy, presses, seesInCall, seesMoving, seesNoCall } from '../lib/calls.mjs';
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

const both = (people, does) => Promise.all(people.map(does));

async function pair(first, second) {
  const arrive = (name, peer) =>
    Person.arrive(browser, server.origin, name, { hash: `#/people/${peer}` });
  const people = [await arrive(first, second), await arrive(second, first)];
  await people[0].seesPresence(second, 'online');
  await people[1].seesPresence(first, 'online');
  return people;
}

test('a video call, from its ring to its end', async () => {
  const people = await pair('maya', 'noah');
  const [maya, noah] = people;
  await maya.writes('Do you have a minute?');
  await noah.writes('Sure, give me a ring.');
  await maya.sees('noah', 'give me a ring');
  await calls(maya, 'noah');
  await isCalledBy(noah, 'maya');
  await both(people, ({ page }) => look(page, page === maya.page ? 'call-out' : 'call-in'));
  await presses(noah, 'Accept');
  await both(people, seesMoving);
  await look(maya.page, 'call-video');
  await presses(noah, 'Camera off');
  await presses(noah, 'Mute');
  await seesInCall(maya, 'noah', 'noah is muted.');
  await both(people, ({ page }) =>
    look(page, page === maya.page ? 'call-peer-muted' : 'call-muted'),
  );
  await server.kill();
  try {
    await maya.seesConnection('RECONNECTING');
    await look(maya.page, 'call-no-server');
  } finally {
    await server.startAgain();
  }
  await both(people, (person) => person.isOnlineAgain());
  await both(people, (person) => person.seesConnection('CONNECTED'));
  await presses(maya, 'Hang up');
  await seesNoCall(noah);
  await look(noah.page, 'call-over');
  await both(people, (person) => person.closes());
});

test('a voice call', async () => {
  const people = await pair('olga', 'paul');
  const [olga, paul] = people;
  await calls(olga, 'paul', 'audio');
  await isCalledBy(paul, 'olga');
  await presses(paul, 'Accept');
  await seesInCall(olga, 'paul', /^0:0\d$/);
  await look(olga.page, 'call-voice');
  await both(people, (person) => person.closes());
});

test('a browser that gives no microphone: the page says what to do, and nobody is rung', async () => {
  const [quin, rosa] = await pair('quin', 'rosa');
  await quin.page.evaluate(() => {
    navigator.mediaDevices.getUserMedia = () =>
      Promise.reject(new DOMException('no', 'NotAllowedError'));
  });
  await calls(quin, 'rosa');
  await quin.seesNotice('Allow it beside the address, and call again.');
  await seesNoCall(quin);
  await look(quin.page, 'call-refused-devices');
  assert.equal(await rosa.countOf('quin', 'call'), 0);
  await both([quin, rosa], (person) => person.closes());
});

/** Presses Tab until the element with this name has the focus; a circle without it is a failure. */
async function tabTo(page, role, name) {
  const wanted = page.getByRole(role, { name, exact: true });
  for (let step = 0; step < 40; step++) {
    if (await wanted.evaluate((element) => element === document.activeElement)) return;
    await page.keyboard.press('Tab');
  }
  assert.fail(`${role} '${name}' cannot be reached with the Tab key`);
}

test('everything can be done by keyboard alone: log in, write, join, raise a hand, call, answer, hang up', async () => {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 } });
  const page = await context.newPage();
  const sara = new Person('sara', context, page);
  const { keyboard } = page;
  await page.goto(`${server.origin}/demo/`);
  await tabTo(page, 'textbox', 'Your name');
  await keyboard.type('sara');
  await keyboard.press('Enter');
  await sara.seesConnection('CONNECTED');
  await tabTo(page, 'textbox', 'Name of a channel');
  await keyboard.type('deck');
  await keyboard.press('Enter');
  await sara.seesMembers(['sara']);
  await tabTo(page, 'button', 'Raise hand');
  await keyboard.press('Space');
  await page.getByRole('button', { name: 'Lower hand' }).waitFor();
  await tabTo(page, 'textbox', 'Name of a person');
  await keyboard.type('tom');
  await keyboard.press('Enter');
  await page.getByRole('log', { name: 'Messages with tom' }).waitFor();

  const tom = await Person.arrive(browser, server.origin, 'tom', { hash: '#/people/sara' });
  await sara.seesPresence('tom', 'online');
  await page.getByRole('textbox', { name: 'Message to tom' }).and(page.locator(':focus')).waitFor();
  await keyboard.type('Hello Tom');
  await keyboard.press('Enter');
  await sara.sees('tom', 'Hello Tom', 'delivered');
  await tabTo(page, 'button', 'Call tom with video');
  await keyboard.press('Enter');
  await isCalledBy(tom, 'sara');

  // Tom is writing: his keys go on into his message until he asks for the call.
  await tom.page.keyboard.type('Hi s');
  assert.equal(
    await tom.page.getByRole('textbox', { name: 'Message to sara' }).inputValue(),
    'Hi s',
  );
  await tom.page.keyboard.press('F6');
  await tabTo(tom.page, 'button', 'Accept');
  await tom.page.keyboard.press('Enter');
  await both([sara, tom], seesMoving);
  await tabTo(page, 'button', 'Mute');
  await keyboard.press('Space');
  await seesInCall(tom, 'sara', 'sara is muted.');
  await page.keyboard.press('F6');
  await tabTo(page, 'button', 'Hang up');
  await keyboard.press('Enter');
  await seesNoCall(tom);
  await both([sara, tom], (person) => person.closes());
});
