/** The page of two generations: a Signaling user and an RTM user talk, share a topic and call each other. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch } from '../lib/browser.mjs';
import { look } from '../lib/looks.mjs';
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

test('two generations on one page', async () => {
  const context = await browser.newContext();
  const page = await context.newPage();
  const faults = [];
  page.on('pageerror', (error) => faults.push(String(error)));
  await page.goto(`${server.origin}/demo/legacy?room=pier`);
  const [lena, rita] = ['#lena', '#rita'].map((id) => page.locator(id));
  for (const side of [lena, rita]) {
    await side.getByRole('status').getByText('online').waitFor();
    await side.getByText('Here: lena-pier, rita-pier').waitFor();
  }

  const say = async (side, text, button) => {
    await side.getByRole('textbox').fill(text);
    await side.getByRole('button', { name: button }).click();
  };
  await say(lena, 'Is the ferry on time?', 'To the channel');
  await rita.getByText('lena-pier: Is the ferry on time?').waitFor();
  await say(rita, 'Ten minutes late', 'To the channel');
  await lena.getByText('rita-pier: Ten minutes late').waitFor();
  await say(rita, 'A coffee meanwhile?', 'Only to the other');
  await lena.getByText('rita-pier to me: A coffee meanwhile?').waitFor();
  await say(lena, 'With pleasure', 'Only to the other');
  await rita.getByText('lena-pier to me: With pleasure').waitFor();
  await say(lena, 'Pier 4, ten past nine', 'Make it the topic');
  for (const side of [lena, rita])
    await side.locator('.topic-text', { hasText: 'Pier 4, ten past nine' }).waitFor();

  await lena.getByRole('button', { name: 'Invite to a call' }).click();
  await lena.getByText("It rings at rita-pier's").waitFor();
  await look(page, 'legacy-ringing');
  await rita.getByRole('button', { name: 'Accept' }).click();
  for (const [side, peer] of [
    [lena, 'rita-pier'],
    [rita, 'lena-pier'],
  ])
    await side.getByText(`In a call with ${peer}`).waitFor();
  await rita.getByRole('button', { name: 'End', exact: true }).click();
  await lena.getByText('rita-pier has ended the call').waitFor();

  await rita.getByRole('button', { name: 'Invite to a call' }).click();
  await lena.getByRole('button', { name: 'Decline' }).click();
  await rita.getByText('lena-pier has declined').waitFor();
  await rita.getByRole('button', { name: 'Invite to a call' }).click();
  await lena.getByRole('button', { name: 'Accept' }).click();
  await rita.getByText('In a call with lena-pier').waitFor();
  await lena.getByRole('button', { name: 'End', exact: true }).click();
  await rita.getByText('lena-pier has ended the call').waitFor();
  assert.deepEqual(faults, []);
  await context.close();
});
