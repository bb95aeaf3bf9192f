/** Calls between two browsers: rung by invitation, agreed on by peer messages, then without the server. */
import assert from 'node:assert/strict';
import { availableParallelism, loadavg } from 'node:os';
import { after, before, test } from 'node:test';
import { launch } from '../lib/browser.mjs';
import {
  callEachOther,
  calls,
  hears,
  hearsRing,
  isCalledBy,
  listenToSpeaker,
  presses,
  seesInCall,
  seesMoving,
  seesNoCall,
  talk,
  watchForFirstFrame,
} from '../lib/calls.mjs';
import { Person } from '../lib/person.mjs';
import { Server } from '../lib/server.mjs';

/** From the caller's click to the first frame of the other, the callee's click included. */
const FIRST_FRAME_WITHIN_MS = 2000;

let server;
let browser;
/** The long waits of unanswered calls go on beside the other tests. */
let unanswered;

before(async () => {
  server = await Server.start();
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await server?.stop();
});

const both = (people, does) => Promise.all(people.map(does));

/** Two people, each with the other's conversation open. */
async function pair(first, second) {
  const people = [];
  for (const [name, other] of [
    [first, second],
    [second, first],
  ]) {
    people.push(
      await Person.arrive(browser, server.origin, name, {
        hash: `#/people/${other}`,
        prepare: listenToSpeaker,
      }),
    );
  }
  await people[0].seesPresence(second, 'online');
  await people[1].seesPresence(first, 'online');
  return people;
}

test('calls that nobody answers begin to ring; their ends are the last test', async () => {
  const [xena, yuri] = await pair('xena', 'yuri');
  const zoe = await Person.arrive(browser, server.origin, 'zoe', { hash: '#/people/nobody' });
  await calls(xena, 'yuri');
  await seesInCall(xena, 'yuri', 'Ringing …');
  await calls(zoe, 'nobody', 'audio');
  await seesInCall(zoe, 'nobody', 'It will ring as soon as they come online.');
  unanswered = { xena, yuri, zoe };
});

/** From the caller's click until both see the other, in milliseconds. */
async function timeToFirstFrame(caller, callee, t) {
  const firstFrames = await both([caller, callee], watchForFirstFrame);
  const started = Date.now();
  await calls(caller, callee.name);
  await isCalledBy(callee, caller.name);
  const rang = Date.now() - started;
  await presses(callee, 'Accept');
  const [atCaller, atCallee] = await both(firstFrames, async (frame) => (await frame()) - started);
  t.diagnostic(
    `after the caller's click: ring ${rang} ms, first frame at the caller ${atCaller} ms, at the callee ${atCallee} ms`,
  );
  return Math.max(atCaller, atCallee);
}

test('a video call: both see and hear each other within two seconds of the ring, until one hangs up', async (t) => {
  const people = await pair('alice', 'bob');
  const [alice, bob] = people;
  const waits = [];
  // On a machine with several runnable processes per core, everything takes so many times as long.
  const within = FIRST_FRAME_WITHIN_MS * Math.max(1, loadavg()[0] / availableParallelism());
  for (let attempt = 0; attempt < 3 && !(Math.min(...waits) < within); attempt++) {
    if (attempt > 0) {
      await presses(bob, 'Hang up');
      await both(people, (person) => seesNoCall(person));
    }
    waits.push(await timeToFirstFrame(alice, bob, t));
  }
  const shortest = Math.min(...waits);
  assert.ok(
    shortest < within,
    `they waited ${shortest} ms for a picture, at best; ${within} ms would be enough`,
  );
  await both(people, seesMoving);
  await both(people, (person) => hears(person, true));

  await alice.writes('Can you hear me?');
  await bob.sees('alice', 'Can you hear me?');
  await presses(bob, 'Hang up');
  await both(people, (person) => seesNoCall(person));
  await alice.sees('bob', 'Call ended after 0:0');
  await bob.sees('alice', 'Call ended after 0:0');
  const live = await alice.page.locator('#local-video').evaluate((video) => video.srcObject);
  assert.equal(live, null, 'the camera is given back');
  await both(people, (person) => person.closes());
});

test('muted is silent, a camera that is off is not shown, and both come back', async () => {
  const people = await pair('carol', 'dave');
  const [carol, dave] = people;
  await talk(carol, dave);
  await presses(carol, 'Mute');
  await seesInCall(dave, 'carol', 'carol is muted.');
  await hears(dave, false);
  await presses(carol, 'Unmute');
  await dave.page.getByText('carol is muted.').waitFor({ state: 'detached' });
  await hears(dave, true);
  await presses(carol, 'Camera off');
  await dave.page.locator('#remote-video[data-shown="false"]').waitFor({ state: 'attached' });
  await presses(carol, 'Camera on');
  await seesMoving(dave);
  await carol.page.reload();
  await seesNoCall(dave);
  await both(people, (person) => person.closes());
});

test('a voice call has sound alone, until somebody switches a camera on', async () => {
  const people = await pair('erin', 'frank');
  const [erin, frank] = people;
  await calls(erin, 'frank', 'audio');
  await seesInCall(frank, 'erin is calling', 'Voice call');
  await presses(frank, 'Accept');
  await seesInCall(erin, 'frank', /^0:0\d$/);
  await hears(erin, true);
  assert.equal(await frank.page.locator('#remote-video').getAttribute('data-shown'), 'false');
  await presses(erin, 'Camera on');
  await seesMoving(frank);
  await presses(frank, 'Camera on');
  await seesMoving(erin);
  await presses(erin, 'Hang up');
  await both(people, (person) => seesNoCall(person));
  await both(people, (person) => person.closes());
});

test('it rings aloud; the callee declines, the caller cancels, and both are told', async () => {
  const people = await pair('gina', 'hugo');
  const [gina, hugo] = people;
  await calls(gina, 'hugo');
  await seesInCall(gina, 'hugo', /^[3-6]\d s$/);
  await seesInCall(hugo, 'gina is calling', /^[3-6]\d s$/);
  assert.equal(await hugo.page.title(), '☎ gina is calling');
  await both(people, hearsRing);
  await presses(hugo, 'Decline');
  await both(people, (person) => seesNoCall(person));
  await gina.sees('hugo', 'hugo declined the call.');

  await calls(gina, 'hugo');
  await isCalledBy(hugo, 'gina');
  await presses(gina, 'Cancel');
  await both(people, (person) => seesNoCall(person));
  await hugo.sees('gina', 'You missed a call from gina.');
  await gina.sees('hugo', 'You cancelled the call.');
  await both(people, (person) => person.closes());
});

test('whoever is in a call is busy for others, and learns who has called', async () => {
  const people = await pair('ines', 'jack');
  const [ines, jack] = people;
  const kate = await Person.arrive(browser, server.origin, 'kate', { hash: '#/people/ines' });
  await talk(ines, jack);
  await calls(kate, 'ines');
  await seesNoCall(kate);
  await kate.sees('ines', 'ines is in another call. Try again later.');
  await ines.page.getByRole('link', { name: /^kate.*1 new/ }).waitFor();
  await both(people, seesMoving);
  await both([...people, kate], (person) => person.closes());
});

test('two who call each other at the same moment are in one call', async () => {
  const people = await pair('lena', 'milo');
  const [lena, milo] = people;
  await callEachOther(lena, milo);
  await both(people, seesMoving);
  await presses(lena, 'Hang up');
  await both(people, (person) => seesNoCall(person));
  await both(people, (person) => person.closes());
});

test('the call goes on when the server is killed, and the chat when it is back', async () => {
  // A server of its own: the others' calls are not to be disturbed.
  const other = await Server.start();
  try {
    const arrive = (name, peer) =>
      Person.arrive(browser, other.origin, name, { hash: `#/people/${peer}` });
    const people = [await arrive('nina', 'otto'), await arrive('otto', 'nina')];
    const [nina, otto] = people;
    await nina.seesPresence('otto', 'online');
    const voices = [await arrive('pia', 'rolf'), await arrive('rolf', 'pia')];
    const [pia, rolf] = voices;
    await pia.seesPresence('rolf', 'online');
    await calls(pia, 'rolf', 'audio');
    await isCalledBy(rolf, 'pia');
    await presses(rolf, 'Accept');
    await talk(nina, otto);
    await other.kill();
    await both(people, (person) => person.seesConnection('RECONNECTING'));
    await seesInCall(nina, 'otto', 'The server cannot be reached. Your call continues without it.');
    await both(people, seesMoving);
    await presses(nina, 'Mute');
    await seesInCall(otto, 'nina', 'The server cannot be reached.');
    // What the browsers have to agree on again waits for the server.
    await seesInCall(rolf, 'pia', 'The server cannot be reached.');
    await presses(pia, 'Camera on');

    await other.startAgain();
    await both([...people, ...voices], (person) => person.isOnlineAgain());
    await seesMoving(rolf);
    await presses(pia, 'Hang up');
    await seesNoCall(rolf);
    await both(voices, (person) => person.closes());
    await both(people, (person) => person.seesConnection('CONNECTED'));
    await both(people, seesMoving);
    await seesInCall(otto, 'nina', 'nina is muted.');
    await nina.writes('Still talking');
    await nina.sees('otto', 'Still talking', 'delivered');
    await otto.sees('nina', 'Still talking');
    await presses(otto, 'Camera off');
    await nina.page.locator('#remote-video[data-shown="false"]').waitFor({ state: 'attached' });

    await other.kill();
    await nina.seesConnection('RECONNECTING');
    await presses(otto, 'Hang up');
    await both(people, (person) => seesNoCall(person));
    await both(people, (person) => person.closes());
  } finally {
    await other.stop();
  }
});

test('a call that nobody answers ends by itself on both sides, one to somebody who is away too', async () => {
  const { xena, yuri, zoe } = unanswered;
  const withinMs = 65_000;
  await Promise.all([
    seesNoCall(zoe, withinMs),
    seesNoCall(xena, withinMs),
    seesNoCall(yuri, withinMs),
  ]);
  await zoe.sees('nobody', 'nobody is not here. Write a message instead');
  await xena.sees('yuri', 'yuri did not answer.');
  await yuri.sees('xena', 'You missed a call from xena.');
  await both([xena, yuri, zoe], (person) => person.closes());
});
