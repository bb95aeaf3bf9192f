/** Every page of the console on a laptop and a phone, by day and by night: it fits, and everybody can use it. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch } from '../lib/browser.mjs';
import { CHANNEL, Operator, PARTS, populate, USER } from '../lib/console.mjs';
import { Server } from '../lib/server.mjs';

const PHONE = { width: 390, height: 844 };

let server;
let browser;
let world;
let operator;
before(async () => {
  server = await Server.start({ parts: PARTS });
  browser = await launch();
  world = await populate(server);
});
after(async () => {
  for (const client of world?.clients ?? []) await client.logout().catch(() => {});
  await browser?.close();
  await server?.stop();
});

test('the way in', async () => {
  operator = await Operator.arrive(browser, server.origin);
  await operator.page.getByLabel('API key').waitFor();
  await operator.looks('login');
  await operator.page.getByLabel('API key').fill('x y');
  await operator.page.getByLabel('API key').press('Enter');
  await operator.sees('This is no key.');
  await operator.looks('login-problem');
  await operator.logsIn(server.key);
});

test('every page with something in it', async () => {
  const of = ['apps', world.app];
  const pages = {
    overview: [],
    apps: ['apps'],
    app: of,
    sessions: [...of, 'users'],
    user: [...of, 'users', USER],
    channels: [...of, 'channels'],
    channel: [...of, 'channels', CHANNEL],
    events: [...of, 'events'],
    trace: [...of, 'trace'],
    message: [...of, 'trace', '0'.repeat(32)],
    invitations: [...of, 'invitations'],
    webhooks: [...of, 'webhooks'],
    webhook: [...of, 'webhooks', world.webhook],
    bans: [...of, 'bans'],
    tokens: [...of, 'tokens'],
    keys: ['keys'],
    nodes: ['nodes'],
    audit: ['audit'],
    nowhere: ['nowhere'],
  };
  for (const [name, parts] of Object.entries(pages)) {
    await operator.opens(...parts);
    await operator.looks(name);
  }
  await operator.opens(...of, 'stored');
  await operator.page.getByLabel('History of channel').fill(CHANNEL);
  await operator.page.getByRole('button', { name: 'Look' }).first().click();
  await operator.page.getByRole('table', { name: 'Messages, the oldest first' }).waitFor();
  await operator.looks('stored');
});

test('every page with nothing in it', async () => {
  const { id } = await world.admin.call('POST', '/apps', { name: 'Empty' });
  for (const page of [
    '',
    'users',
    'channels',
    'events',
    'trace',
    'invitations',
    'stored',
    'webhooks',
    'bans',
    'tokens',
  ]) {
    await operator.opens('apps', id, ...(page === '' ? [] : [page]));
    await operator.looks(`empty-${page || 'app'}`, { sizes: [PHONE] });
  }
  await operator.opens('apps', id, 'users', 'nobody');
  await operator.looks('empty-user', { sizes: [PHONE] });
});

test('a window above the page, and what is shown once', async () => {
  await operator.opens('apps', world.app, 'bans');
  await operator.page.getByRole('button', { name: 'New ban' }).click();
  await operator.page.getByRole('dialog').getByLabel('Address').fill('nonsense');
  await operator.page.getByRole('dialog').getByRole('button', { name: 'Ban', exact: true }).click();
  await operator.page.getByRole('dialog').getByRole('alert').waitFor();
  await operator.looks('window');
  await operator.page.keyboard.press('Escape');
  await operator.page.getByRole('dialog').waitFor({ state: 'detached' });
  await operator.opens('keys');
  const window = await operator.does('New key', { fields: { Name: 'look' }, submit: 'Make it' });
  await window.locator('.secret').waitFor();
  await operator.looks('once');
  await operator.page.keyboard.press('Escape');
});

test('the menu of a phone, and a key that sees little', async () => {
  await operator.page.setViewportSize(PHONE);
  await operator.opens('apps', world.app);
  await operator.page.getByRole('button', { name: 'Menu' }).click();
  await operator.page.getByRole('navigation', { name: 'Pages' }).waitFor();
  await operator.looks('menu', { sizes: [PHONE] });
  await operator.leaves();
  const limited = await Operator.arrive(browser, server.origin);
  await limited.logsIn(world.limited);
  await limited.rests();
  await limited.looks('limited-overview');
  await limited.opens('keys');
  await limited.looks('limited-keys');
  await limited.leaves();
});

test('a keyboard is enough, and one sees where it is', async () => {
  const person = await Operator.arrive(browser, server.origin);
  const { page } = person;
  await page.getByLabel('API key').waitFor();
  await page.keyboard.press('Tab');
  await page.keyboard.type(server.key);
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'Overview' }).waitFor();
  // From the page's first on, every stop of the Tab key has a ring around it.
  await page.evaluate(() => document.querySelector('#console a').focus({ focusVisible: true }));
  const stops = [];
  for (let stop = 0; stop < 12; stop++) {
    if (stop > 0) await page.keyboard.press('Tab');
    stops.push(
      await page.evaluate(() => {
        const element = document.activeElement;
        const { outlineStyle, outlineWidth } = getComputedStyle(element);
        // Behind the last one, the browser itself has the focus.
        if (element === document.body) return ['', 'solid', '2px'];
        return [element.textContent.trim().slice(0, 20), outlineStyle, outlineWidth];
      }),
    );
  }
  assert.equal(stops[0][0], 'To the content');
  for (const [name, style, width] of stops)
    assert.deepEqual([style, width], ['solid', '2px'], name);
  await page.getByRole('link', { name: 'Apps', exact: true }).focus();
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { level: 1, name: 'Apps' }).waitFor();
  assert.equal(await page.evaluate(() => document.activeElement.tagName), 'H1');
  await page.getByRole('button', { name: 'New app' }).focus();
  await page.keyboard.press('Enter');
  await page.getByRole('dialog').waitFor();
  await page.keyboard.press('Escape');
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  assert.equal(await page.evaluate(() => document.activeElement.textContent), 'New app');
  await person.leaves();
});
