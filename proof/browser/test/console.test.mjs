/** The console: what an operator does there, and what it never does. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch } from '../lib/browser.mjs';
import { CHANNEL, LONG, Operator, PARTS, populate, SCRIPT, USER } from '../lib/console.mjs';
import { Server } from '../lib/server.mjs';

let server;
let browser;
let world;
/** Every call of every page, for the comparison at the end. */
const calls = new Set();

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

async function arrive(key = server.key) {
  const operator = await Operator.arrive(browser, server.origin);
  await operator.logsIn(key);
  return operator;
}

async function leave(operator) {
  for (const call of operator.calls) calls.add(call);
  await operator.leaves();
}

test('the page is served with a strict policy, and apart from others', async () => {
  const response = await fetch(`${server.origin}/console/`);
  const header = (name) => response.headers.get(name) ?? '';
  const policy = Object.fromEntries(
    header('content-security-policy')
      .split(';')
      .map((part) => part.trim().split(/ (.*)/s)),
  );
  assert.equal(policy['default-src'], "'none'");
  for (const kind of ['script-src', 'style-src', 'connect-src', 'img-src'])
    assert.equal(policy[kind], "'self'", kind);
  assert.equal(policy['frame-ancestors'], "'none'");
  assert.equal(policy['require-trusted-types-for'], "'script'");
  assert.doesNotMatch(header('content-security-policy'), /unsafe|https?:|\*/);
  assert.equal(header('x-frame-options'), 'DENY');
  assert.equal(header('x-content-type-options'), 'nosniff');
  assert.equal(header('referrer-policy'), 'no-referrer');
  assert.equal(header('cross-origin-opener-policy'), 'same-origin');
});

test('everything that a browser loads of it is small', async () => {
  const seen = [];
  const page = await browser.newPage();
  page.on('response', (response) => {
    if (response.url().includes('/console/')) seen.push(response.url());
  });
  await page.goto(`${server.origin}/console/`);
  await page.getByLabel('API key').waitFor();
  await page.close();
  assert.ok(seen.length >= 3, `${seen}`);
  let bytes = 0;
  for (const url of seen) {
    const response = await fetch(url, { headers: { 'accept-encoding': 'gzip' } });
    bytes += Number(response.headers.get('content-length'));
  }
  assert.ok(bytes > 10_000 && bytes < 150_000, `${bytes} bytes with gzip`);
});

test('a key is asked for, judged by the server, and kept in this tab only', async () => {
  const operator = await Operator.arrive(browser, server.origin);
  const { page } = operator;
  const field = page.getByLabel('API key');
  await field.fill('no key');
  await page.getByRole('button', { name: 'Log in', exact: true }).click();
  await operator.sees('This is no key.');
  await field.fill('tdk_000000000000_wrong');
  await page.getByRole('button', { name: 'Log in', exact: true }).click();
  await operator.sees(/unknown, revoked or expired/);
  await operator.logsIn(server.key);
  assert.ok(!page.url().includes('tdk_'));
  await page.reload();
  await page.getByRole('heading', { name: 'Overview' }).waitFor();
  const kept = await page.evaluate(() => [
    document.cookie,
    localStorage.length,
    sessionStorage.length,
  ]);
  assert.deepEqual(kept, ['', 0, 1]);
  await page.getByRole('button', { name: 'Log out' }).click();
  await field.waitFor();
  assert.equal(await page.evaluate(() => sessionStorage.length), 0);
  await page.reload();
  await field.waitFor();
  await operator.leaves();
});

test('a key that is revoked ends the login, and says so', async () => {
  const { id, key } = await world.admin.call('POST', '/keys', { name: 'short', role: 'read' });
  const operator = await arrive(key);
  await world.admin.call('DELETE', `/keys/${id}`);
  await operator.sees(/You were logged out/);
  await operator.page.getByLabel('API key').waitFor();
  await leave(operator);
});

test('the overview shows the apps, and its plots move', async () => {
  const operator = await arrive();
  await operator.page.getByRole('img', { name: /^Sessions: 3 now/ }).waitFor();
  const plot = operator.page.getByRole('img', {
    name: /^Messages accepted: .* now, at most [1-9]/,
  });
  await world.admin.call('POST', `/apps/${world.app}/publish`, {
    channel: CHANNEL,
    from: USER,
    payload: 'hi',
  });
  await world.clients[2].sendMessageToPeer({ text: 'hi' }, USER);
  await plot.waitFor();
  await operator.page
    .getByRole('table', { name: 'Apps by messages since the start' })
    .getByRole('link', { name: /^Shop/ })
    .waitFor();
  await leave(operator);
});

test('a user is found, looked at, disconnected and banned, and the ban is lifted', async () => {
  const operator = await arrive();
  const { page } = operator;
  await operator.opens('apps', world.app, 'users');
  const row = page.getByRole('row').filter({ hasText: USER });
  await row.getByRole('link', { name: USER }).click();
  await page.getByRole('heading', { level: 1, name: USER }).waitFor();
  await page.getByRole('link', { name: CHANNEL }).waitFor();
  await operator.sees(SCRIPT);
  const gone = new Promise((resolve) =>
    world.clients[1].once('ConnectionStateChanged', (state) => resolve(state)),
  );
  await operator.opens('apps', world.app, 'users', LONG);
  await operator.does('Ban', { fields: { For: '3600', Why: SCRIPT } });
  await operator.sees('The user is banned, and no session is left.');
  assert.equal(await gone, 'ABORTED');
  await operator.sees('No session now.');
  await operator.opens('apps', world.app, 'bans');
  const ban = page.getByRole('row').filter({ hasText: LONG });
  await ban.getByText(SCRIPT).waitFor();
  await ban.getByRole('button', { name: /^Lift/ }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Lift' }).click();
  await operator.sees('The ban was lifted.');
  await ban.waitFor({ state: 'detached' });
  const { items } = await world.admin.call('GET', `/apps/${world.app}/bans`);
  assert.deepEqual(
    items.map((item) => item.user_id),
    ['mallory'],
  );
  await leave(operator);
});

test('a channel shows its members, and what happens in it while it happens', async () => {
  const operator = await arrive();
  const { page } = operator;
  await operator.opens('apps', world.app, 'channels', CHANNEL);
  await page.getByRole('table', { name: 'Members' }).getByText(USER).waitFor();
  await page.getByText('live', { exact: true }).waitFor();
  await world.admin.call('POST', `/apps/${world.app}/publish`, {
    channel: CHANNEL,
    from: 'alice',
    payload: 'now',
  });
  const events = page.getByRole('table', { name: 'Events, the newest first' });
  await events.getByText('message.channel').first().waitFor();
  const member = page
    .getByRole('table', { name: 'Members' })
    .getByRole('row')
    .filter({ hasText: 'alice' });
  await member.getByRole('button', { name: /^Remove/ }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Remove' }).click();
  await events.getByText('channel.leave').first().waitFor();
  await member.waitFor({ state: 'detached' });
  await leave(operator);
});

test('each look at stored messages is in the audit log, once', async () => {
  const operator = await arrive();
  const { page } = operator;
  await operator.opens('apps', world.app, 'stored');
  await page.getByLabel('History of channel').fill(CHANNEL);
  await page.getByRole('button', { name: 'Look' }).first().click();
  await operator.sees(SCRIPT);
  await page.reload();
  await operator.sees(SCRIPT);
  await page.getByLabel('Waiting for user').fill('nobody');
  await page.getByRole('button', { name: 'Look' }).last().click();
  await page.getByRole('heading', { name: 'Messages that wait for a user' }).waitFor();
  await operator.sees(SCRIPT);
  const { items } = await world.admin.call('GET', '/audit');
  const looks = items.filter((item) => item.action.startsWith('GET '));
  assert.deepEqual(
    looks.map((look) => look.after),
    [{ channel: CHANNEL }, { waiting_for: 'nobody' }],
  );
  await operator.opens('audit');
  await page
    .getByRole('table', { name: 'Audit log' })
    .getByText(/\/offline$/)
    .waitFor();
  await leave(operator);
});

test('the tracer is switched on, shows the way of a message, and is stopped', async () => {
  const operator = await arrive();
  const { page } = operator;
  await operator.opens('apps', world.app, 'trace');
  await operator.sees('The tracer is off.');
  await operator.does('Trace', { fields: { Channel: CHANNEL }, submit: 'Switch on' });
  await operator.sees('The tracer is on.');
  await world.admin.call('POST', `/apps/${world.app}/publish`, {
    channel: CHANNEL,
    from: USER,
    payload: 'traced',
  });
  await page.getByRole('table', { name: 'Traced messages' }).getByRole('link').last().click();
  for (const step of ['accepted', 'given', 'queued', 'written'])
    await page
      .getByRole('table', { name: 'Steps' })
      .getByText(step, { exact: true })
      .first()
      .waitFor();
  await page.getByRole('link', { name: 'All traced messages' }).click();
  await page.getByRole('button', { name: /^Stop/ }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Stop' }).click();
  await operator.sees('The tracer is off.');
  await operator.opens('apps', world.app, 'trace', '0'.repeat(32));
  await operator.sees('Nothing is known of this message');
  await leave(operator);
});

test('a webhook tells its deliveries, and one is tried again', async () => {
  const operator = await arrive();
  const { page } = operator;
  await operator.opens('apps', world.app, 'webhooks', world.webhook);
  const deliveries = page.getByRole('table', { name: 'Deliveries' });
  await deliveries.getByText('retrying').first().waitFor();
  await deliveries
    .getByRole('button', { name: /^Retry/ })
    .first()
    .click();
  await page.getByRole('dialog').getByRole('button', { name: 'Retry' }).click();
  await page.getByRole('dialog').getByText('It failed:').waitFor();
  await page.getByRole('dialog').getByRole('button', { name: 'Close' }).click();
  await leave(operator);
});

test('apps, certificates and keys are made, and their secrets are shown once', async () => {
  const operator = await arrive();
  const { page } = operator;
  await operator.opens('apps');
  const made = await operator.does('New app', { fields: { Name: SCRIPT }, submit: 'Make it' });
  await made.getByText('It is shown this once.').waitFor();
  const app = await made.locator('code').first().textContent();
  await made.getByRole('button', { name: 'Close' }).click();
  await operator.opens('apps', app);
  const added = await operator.does('Add');
  await added.getByText('It is shown this once.').waitFor();
  await added.getByRole('button', { name: 'Close' }).click();
  await page.getByRole('button', { name: 'Promote certificate 2' }).waitFor();
  const key = await operator.does('New key', { fields: { Name: 'mine' }, submit: 'Make it' });
  await key.locator('.secret').getByText(/^tdk_/).waitFor();
  await key.getByRole('button', { name: 'Close' }).click();
  await page.getByRole('table', { name: 'Keys' }).getByText('mine').waitFor();
  await operator.does('Change history_retention', { fields: {}, submit: 'Change' }).catch(() => {});
  await page.keyboard.press('Escape');
  await operator.does('Switch off');
  await operator.sees('The app is off.');
  await leave(operator);
});

test('the token tool says why a token is not good', async () => {
  const operator = await arrive();
  await operator.opens('apps', world.app, 'tokens');
  await operator.page.getByLabel('Token', { exact: true }).fill(SCRIPT);
  await operator.page.getByRole('button', { name: 'Inspect' }).click();
  await operator.page.getByRole('alert').waitFor();
  await leave(operator);
});

test('a limited key sees its app only, and one that reads has no buttons that write', async () => {
  const limited = await arrive(world.limited);
  await limited.sees('What your key reaches: one app.');
  for (const page of ['keys', 'nodes', 'audit']) {
    await limited.opens(page);
    await limited.sees('This page is about the whole server');
  }
  await limited.opens('apps', 'f'.repeat(32));
  await limited.sees(/is not one that these credentials reach/);
  await limited.opens('apps', world.app, 'bans');
  await limited.page.getByRole('button', { name: 'New ban' }).waitFor();
  await leave(limited);
  const reader = await arrive(world.reads);
  for (const page of ['users', 'channels', 'invitations', 'webhooks', 'bans', 'trace']) {
    await reader.opens('apps', world.app, page);
    const writes = reader.page.locator('#content button.grave, #content .sheet-head button');
    assert.equal(await writes.count(), 0, page);
  }
  await leave(reader);
});

test('names that no address can have are told, and everything else is one part of it', async () => {
  const operator = await arrive();
  await operator.opens('apps', world.app, 'users');
  await operator.page.getByLabel('A user, by exact id').fill('..');
  await operator.page.getByRole('button', { name: 'Open' }).click();
  await operator.sees('No address can have ".." as one of its parts.');
  await operator.opens('apps', world.app, 'users', 'a/../../../nodes?x#y%2F');
  await operator.page
    .getByRole('heading', { level: 1 })
    .filter({ hasText: 'a/../../../nodes?x#y%2F' })
    .waitFor();
  await leave(operator);
});

test('a server that is away is told, and found again', async () => {
  const operator = await arrive();
  await server.kill();
  try {
    await operator.sees('The server cannot be reached.');
  } finally {
    await server.startAgain();
  }
  await operator.page.getByRole('alert').waitFor({ state: 'detached' });
  await operator.page.context().close();
});

test('every call of the console is in the description of the API', async () => {
  const { paths } = await (await fetch(`${server.origin}/api/v1/openapi.json`)).json();
  const known = Object.entries(paths).flatMap(([path, methods]) =>
    Object.keys(methods).map(
      (method) => new RegExp(`^${method.toUpperCase()} ${path.replace(/\{[^}]+\}/g, '[^/]+')}$`),
    ),
  );
  const strange = [...calls].filter((call) => !known.some((one) => one.test(call)));
  assert.ok(calls.size > 25, `${calls.size} calls`);
  assert.deepEqual(strange, []);
});
