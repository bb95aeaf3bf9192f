/** The operator's own login server at the console: a login, its end, and everything that must not be one. */
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { launch } from '../lib/browser.mjs';
import { Backend, PARTS } from '../lib/console.mjs';
import { LoginServer } from '../lib/login-server.mjs';
import { freePort, Server } from '../lib/server.mjs';

const APP = '0123456789abcdef0123456789abcdef';

let login;
let server;
let browser;
let folder;
let admin;
before(async () => {
  login = await LoginServer.start();
  folder = await mkdtemp(join(tmpdir(), 'tidings-e2e-login-'));
  const secret = join(folder, 'secret');
  await writeFile(secret, `${login.clientSecret}\n`);
  const port = await freePort();
  const option = (name, value) => [`--oidc-${name}`, value];
  server = await Server.start({
    parts: PARTS,
    listen: `127.0.0.1:${port}`,
    options: [
      ...option('issuer', login.issuer),
      ...option('client-id', login.clientId),
      ...option('secret-file', secret),
      ...option('console', `http://127.0.0.1:${port}/console/`),
      ...option('name', 'Example login'),
      ...option('role', 'ops=admin'),
      ...option('role', 'eyes=read'),
      ...option('role', `shop=app:${APP}`),
    ],
  });
  admin = new Backend(server.origin, server.key);
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await server?.stop();
  await login?.stop();
  if (folder) await rm(folder, { recursive: true, force: true });
});

/** Somebody at the console's first page, in a browser of their own. */
async function arrive() {
  const context = await browser.newContext();
  const page = await context.newPage();
  page.setDefaultTimeout(15_000);
  await page.goto(`${server.origin}/console/`);
  return page;
}

async function goesIn(page) {
  await page.getByRole('link', { name: 'Log in with Example login' }).click();
}

async function isIn(page) {
  await page.getByRole('heading', { name: 'Overview' }).waitFor();
}

async function logsOut(page) {
  const ended = page.waitForResponse(/\/login\/end$/);
  await page.getByRole('button', { name: 'Log out' }).click();
  assert.equal((await ended).status(), 204);
  await page.getByLabel('API key').waitFor();
}

/** Calls the API from the page, with what its browser sends by itself. */
function calls(page, method, path, headers = {}) {
  const call = async ([method, url, headers]) => (await fetch(url, { method, headers })).status;
  return page.evaluate(call, [method, `${server.origin}/api/v1${path}`, headers]);
}

test('a person logs in, is known by name and role, and logs out', async () => {
  const page = await arrive();
  await goesIn(page);
  await isIn(page);
  await page.getByText('oidc:olga (u-1)').waitFor();
  assert.equal(new URL(page.url()).search, '', 'no code is left in the address');
  const [cookie, ...others] = await page.context().cookies();
  assert.deepEqual(others, []);
  assert.deepEqual(
    [cookie.name, cookie.httpOnly, cookie.sameSite, cookie.path],
    ['tidings-session', true, 'Strict', '/api/v1'],
  );
  assert.equal(await page.evaluate(() => sessionStorage.length), 0);
  await page.reload();
  await isIn(page);
  const app = await page.evaluate(async () => (await fetch('../api/v1/login/session')).json());
  assert.equal(await calls(page, 'GET', '/keys', { 'x-tidings-csrf': app.csrf }), 200);
  await logsOut(page);
  assert.deepEqual(await page.context().cookies(), []);
  // The session is over, not only forgotten by this browser.
  await page.context().addCookies([cookie]);
  assert.equal(await calls(page, 'GET', '/keys', { 'x-tidings-csrf': app.csrf }), 401);
  const { items } = await admin.call('GET', '/audit');
  const own = items.filter((item) => item.by === 'oidc:olga (u-1)').map((item) => item.action);
  assert.deepEqual(own, ['login', 'POST /api/v1/login/end']);
  await page.context().close();
});

test('the cookie alone is no login, here or from another site', async () => {
  const page = await arrive();
  await goesIn(page);
  await isIn(page);
  assert.equal(await calls(page, 'GET', '/keys'), 401);
  assert.equal(await calls(page, 'POST', '/keys'), 401);
  assert.equal(await calls(page, 'GET', '/keys', { 'x-tidings-csrf': 'f'.repeat(64) }), 401);
  // Another site's page cannot even send it.
  const other = await page.context().newPage();
  await other.goto(`${login.issuer}/page`);
  const sent = other.waitForRequest(/login\/session/);
  await other.evaluate(
    (url) =>
      fetch(url, { mode: 'no-cors', credentials: 'include' }).then(
        () => {},
        () => {},
      ),
    `${server.origin}/api/v1/login/session`,
  );
  assert.equal((await (await sent).allHeaders())['cookie'], undefined);
  await page.context().close();
});

test('groups decide what somebody may do', async () => {
  const cases = [
    [['eyes'], 'read'],
    [['shop'], 'app'],
    [['shop', 'eyes', 'ops'], 'admin'],
  ];
  const before = login.person;
  for (const [groups, role] of cases) {
    login.person = { sub: `u-${role}`, groups };
    const page = await arrive();
    await goesIn(page);
    await isIn(page);
    await page.getByText(`oidc:u-${role}`).waitFor();
    const csrf = await page.evaluate(
      async () => (await (await fetch('../api/v1/login/session')).json()).csrf,
    );
    const headers = { 'x-tidings-csrf': csrf };
    assert.equal(await calls(page, 'GET', '/keys', headers), role === 'app' ? 403 : 200, role);
    assert.equal(
      await calls(page, 'DELETE', '/keys/000000000000', headers),
      role === 'admin' ? 404 : 403,
      role,
    );
    // Whoever only reads can log out all the same.
    await logsOut(page);
    await page.context().close();
  }
  login.person = before;
});

/** What the login server does wrong, and what the console says then. */
const LIES = [
  ['nonce', /could not be trusted/],
  ['no nonce', /could not be trusted/],
  ['issuer', /could not be trusted/],
  ['audience', /could not be trusted/],
  ['expired', /could not be trusted/],
  ['key', /could not be trusted/],
  ['unsigned', /could not be trusted/],
  ['shared secret', /could not be trusted/],
  ['no ID token', /could not be trusted/],
  ['code', /could not be trusted/],
  ['iss', /could not be trusted/],
  ['state', /was begun in another window/],
  ['denied', /did not let you in/],
];

for (const [lie, said] of LIES) {
  test(`nobody is let in where this is wrong: ${lie}`, async () => {
    login.lie = lie;
    try {
      const page = await arrive();
      await goesIn(page);
      await page.getByRole('alert').getByText(said).waitFor();
      assert.deepEqual(await page.context().cookies(), []);
      await page.context().close();
    } finally {
      login.lie = '';
    }
  });
}

test('somebody without a role is told so', async () => {
  const before = login.person;
  for (const groups of [['guests'], [], undefined, 'opsies', { ops: true }]) {
    login.person = { sub: 'u-2', groups };
    const page = await arrive();
    await goesIn(page);
    await page
      .getByRole('alert')
      .getByText(/you have no role here/)
      .waitFor();
    assert.deepEqual(await page.context().cookies(), []);
    await page.context().close();
  }
  login.person = before;
});

test('a code is not taken from whoever has not begun the login', async () => {
  const victim = await arrive();
  // A stranger's own login, stopped before it comes back.
  const next = async (url) => (await fetch(url, { redirect: 'manual' })).headers.get('location');
  const back = await next(await next(`${server.origin}/api/v1/login/start`));
  assert.match(back, /\/login\/callback\?.*code=/);
  await victim.goto(back);
  await victim
    .getByRole('alert')
    .getByText(/was begun in another window/)
    .waitFor();
  assert.deepEqual(await victim.context().cookies(), []);
  await victim.context().close();
});

test('a callback is good once', async () => {
  const page = await arrive();
  const back = page.waitForRequest(/login\/callback/);
  await goesIn(page);
  await isIn(page);
  const url = (await back).url();
  await page.context().clearCookies();
  await page.goto(url);
  await page
    .getByRole('alert')
    .getByText(/was begun in another window/)
    .waitFor();
  assert.deepEqual(await page.context().cookies(), []);
  await page.context().close();
});

test('a login server that is away is told, and a key still lets one in', async () => {
  const away = await LoginServer.start();
  const { issuer } = away;
  await away.stop();
  const port = await freePort();
  const other = await Server.start({
    parts: PARTS,
    listen: `127.0.0.1:${port}`,
    options: [
      '--oidc-issuer',
      issuer,
      '--oidc-client-id',
      'x',
      '--oidc-role',
      'ops=admin',
      '--oidc-console',
      `http://127.0.0.1:${port}/console/`,
    ],
  });
  try {
    const page = await browser.newPage();
    await page.goto(`${other.origin}/console/`);
    await page.getByRole('link', { name: /^Log in with localhost/ }).click();
    await page
      .getByRole('alert')
      .getByText(/cannot be reached/)
      .waitFor();
    await page.getByLabel('API key').fill(other.key);
    await page.getByRole('button', { name: 'Log in', exact: true }).click();
    await isIn(page);
    await page.close();
  } finally {
    await other.stop();
  }
});
