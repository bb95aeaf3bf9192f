/** Pages in the background: their timers are slow, or nothing of them runs for a while. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { INSTALLED, project } from '../lib/project.mjs';
import { APP_ID, Stage } from '../lib/stage.mjs';

let stage;
before(async () => {
  stage = await Stage.open();
});
after(() => stage?.close());

/** Runs in the page: logs in, joins, and writes down what comes. */
async function listenInPage([appId, uid]) {
  const endpoint = new URL(location.href).searchParams.get('endpoint');
  const client = window.AgoraRTM.createInstance(appId, { endpoint });
  window.seen = { messages: [], states: [], gaps: 0 };
  window.client = client;
  client.on('MessageFromPeer', ({ text }) => window.seen.messages.push(text));
  client.on('ConnectionStateChanged', (state, reason) =>
    window.seen.states.push(`${state} ${reason}`),
  );
  client.on('MessageGap', () => window.seen.gaps++);
  await client.login({ uid });
  const channel = client.createChannel(uid);
  channel.on('ChannelMessage', ({ text }) => window.seen.messages.push(text));
  await channel.join();
}
const SCRIPT_PAGE = () => [project('background'), join(INSTALLED, 'dist')];
/** Longer than the server waits for a silent client: its heartbeat of 10 s and the answer's 6 s. */
const AWAY_MS = 18_000;

/** Sends to the channel and to the page's user; resolves when the user has received it. */
async function sendBoth(writer, channel, uid, number) {
  await channel.sendMessage({ text: `channel ${number}` });
  return writer.sendMessageToPeer({ text: `peer ${number}` }, uid, {
    enableOfflineMessaging: true,
  });
}

describe('in the background', { concurrency: true }, () => {
  // proves: rtm-3.5-wake-up
  test('a frozen page is told afterwards of what came meanwhile, in order and once', async (context) => {
    const writer = await stage.beside(context, 'freeze-writer');
    const channel = writer.createChannel('frozen');
    await channel.join();
    await stage.visit(SCRIPT_PAGE(), async ({ page }) => {
      await page.evaluate(listenInPage, [APP_ID, 'frozen']);
      await sendBoth(writer, channel, 'frozen', 1);
      const devtools = await page.context().newCDPSession(page);
      // Not by `Page.setWebLifecycleState`, which has no effect on the visible pages of a headless browser.
      await devtools.send('Debugger.enable');
      await devtools.send('Debugger.pause');
      let receipts = 0;
      const sent = Promise.all(
        [2, 3].map((number) => sendBoth(writer, channel, 'frozen', number).then(() => receipts++)),
      );
      await setTimeout(2_000);
      assert.equal(receipts, 0, 'the page was not frozen');
      await setTimeout(AWAY_MS - 2_000);
      await devtools.send('Debugger.resume');
      await devtools.send('Debugger.disable');
      // What the browser says at the end of a freeze.
      await page.evaluate(() => window.dispatchEvent(new Event('pageshow')));
      await sent;
      await page.waitForFunction(() => window.seen.messages.length >= 6);
      await sendBoth(writer, channel, 'frozen', 4);
      await page.waitForFunction(() => window.seen.messages.length >= 8);
      const { messages, gaps } = await page.evaluate(() => window.seen);
      const of = (kind) => messages.filter((text) => text.startsWith(kind));
      assert.deepEqual(
        of('channel'),
        [1, 2, 3, 4].map((number) => `channel ${number}`),
      );
      assert.deepEqual(
        of('peer'),
        [1, 2, 3, 4].map((number) => `peer ${number}`),
      );
      assert.equal(gaps, 0);
      await page.evaluate(() => window.client.logout());
    });
  });

  // proves: rtm-3.5-no-page-timer
  test('a background page whose timers run once a minute keeps its link and is told at once', async (context) => {
    const writer = await stage.beside(context, 'hidden-writer');
    const channel = writer.createChannel('hidden');
    await channel.join();
    await stage.visit(SCRIPT_PAGE(), async ({ page }) => {
      // As browsers do to pages that have been hidden for five minutes.
      await page.evaluate(() => {
        const original = window.setTimeout;
        window.setTimeout = (run, afterMs, ...args) =>
          original(run, Math.max(afterMs ?? 0, 60_000), ...args);
      });
      await page.evaluate(listenInPage, [APP_ID, 'hidden']);
      await setTimeout(AWAY_MS);
      assert.deepEqual(await sendBoth(writer, channel, 'hidden', 1), { hasPeerReceived: true });
      assert.deepEqual(await page.evaluate(() => window.seen), {
        messages: ['channel 1', 'peer 1'],
        states: ['CONNECTING LOGIN', 'CONNECTED LOGIN_SUCCESS'],
        gaps: 0,
      });
      await page.evaluate(() => window.client.logout());
    });
  });
});
