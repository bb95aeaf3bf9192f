/** Somebody at the console, and a server with names that would like to do harm. */
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { look } from './looks.mjs';

const AgoraRTM = createRequire(import.meta.url)('../../../clients/js/rtm/dist/tidings-rtm.umd.js');

/** What has to be built before. */
export const PARTS = [
  ['site/console/dist/index.html', 'npm ci && npm run build in site/console/'],
  ['clients/js/rtm/dist/tidings-rtm.umd.js', 'npm ci && npm run build in clients/js/rtm/'],
];

/** Turns the text behind it around; has no width; ends the line for some programs. */
export const TURNED = 'invoice\u202egnp.exe\u200b';
export const SCRIPT = '<script>hacked = 1</script><img src=x onerror="hacked = 1">';
/** Names of users and channels: what is allowed there. */
export const USER = '<img src=x onerror=hacked=1>';
export const LONG = 'w'.repeat(64);
export const CHANNEL = '<b onmouseover=hacked=1>{{7+7}}';

const SEEN_WITHIN_MS = 15_000;

export class Operator {
  #faults = [];
  /** Every call that the page has made: method and path. */
  calls = new Set();

  constructor(page, origin) {
    this.page = page;
    this.origin = origin;
    page.setDefaultTimeout(SEEN_WITHIN_MS);
    page.on('pageerror', (error) => this.#faults.push(String(error)));
    page.on('console', (message) => {
      // The browser reports every answer that is no success, also those that a page expects.
      if (message.type() === 'error' && !/Failed to load resource/.test(message.text()))
        this.#faults.push(message.text());
    });
    page.on('request', (request) => {
      const { origin, pathname } = new URL(request.url());
      assert.equal(origin, this.origin, 'the console asks its own server only');
      if (pathname.startsWith('/api/')) this.calls.add(`${request.method()} ${pathname}`);
    });
  }

  static async arrive(browser, origin, { viewport = { width: 1280, height: 800 } } = {}) {
    const context = await browser.newContext({ viewport });
    const operator = new Operator(await context.newPage(), origin);
    await operator.page.goto(`${origin}/console/`);
    return operator;
  }

  async logsIn(key) {
    await this.page.getByLabel('API key').fill(key);
    await this.page.getByRole('button', { name: 'Log in', exact: true }).click();
    await this.page.getByRole('heading', { name: 'Overview' }).waitFor();
  }

  /** To a page by its parts, and until it has loaded. */
  async opens(...parts) {
    await this.page.evaluate(
      (hash) => (location.hash = hash),
      `/${parts.map(encodeURIComponent).join('/')}`,
    );
    await this.rests();
  }

  /** Until nothing loads any more. */
  async rests() {
    await this.page.waitForFunction(
      () => document.querySelector('h1') !== null && document.querySelector('.loading') === null,
    );
  }

  /** Does what a button's window asks for. */
  async does(button, { fields = {}, submit = button } = {}) {
    await this.page.getByRole('button', { name: button, exact: true }).first().click();
    const window = this.page.getByRole('dialog');
    for (const [label, value] of Object.entries(fields)) {
      const field = window.getByLabel(label, { exact: true });
      const kind = await field.evaluate((element) => element.type ?? element.tagName);
      if (kind === 'checkbox') await field.check();
      else if (kind.startsWith('select')) await field.selectOption(value);
      else await field.fill(value);
    }
    await window.getByRole('button', { name: submit, exact: true }).click();
    return window;
  }

  async sees(text) {
    await this.page.getByText(text).first().waitFor();
  }

  async looks(state, options) {
    await look(this.page, `console-${state}`, options);
    await this.isUnharmed();
  }

  /** No text of a stranger has become markup or code. */
  async isUnharmed() {
    const harm = await this.page.evaluate(() => [
      typeof window.hacked,
      document.querySelectorAll('#console :is(script, img, b, iframe, object, style, link)').length,
    ]);
    assert.deepEqual(harm, ['undefined', 0], 'a text became markup');
    assert.deepEqual(this.#faults, [], 'faults on the page');
  }

  async leaves() {
    await this.isUnharmed();
    await this.page.context().close();
  }
}

/** Calls of a backend or an operator, by a key. */
export class Backend {
  constructor(origin, key) {
    this.origin = origin;
    this.key = key;
  }

  async call(method, path, body) {
    const response = await fetch(`${this.origin}/api/v1${path}`, {
      method,
      headers: { authorization: `Bearer ${this.key}`, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    assert.ok(response.ok, `${method} ${path}: ${response.status} ${text}`);
    return text === '' ? undefined : JSON.parse(text);
  }
}

/** An app with users who are logged in, and something for every page of the console to show. */
export async function populate(server) {
  const admin = new Backend(server.origin, server.key);
  const { id: app } = await admin.call('POST', '/apps', { name: `Shop ${TURNED}`, open: true });
  const of = `/apps/${app}`;
  await admin.call('PATCH', of, { settings: { channel_message_events: true } });
  const at = (name) => encodeURIComponent(name);
  const clients = [];
  for (const user of [USER, LONG, 'alice']) {
    const client = AgoraRTM.createInstance(app, { endpoint: server.origin });
    await client.login({ uid: user });
    clients.push(client);
    for (const name of [CHANNEL, LONG]) await client.createChannel(name).join();
  }
  await admin.call('PUT', `${of}/users/${at(USER)}/attributes`, {
    attributes: { mood: SCRIPT, [TURNED]: 'x' },
  });
  await admin.call('PUT', `${of}/channels/${at(CHANNEL)}/attributes`, {
    attributes: { topic: SCRIPT },
  });
  for (const payload of [SCRIPT, TURNED, `two\nlines ${'long '.repeat(200)}`])
    await admin.call('POST', `${of}/publish`, {
      channel: CHANNEL,
      from: USER,
      payload,
      store: true,
    });
  await admin.call('POST', `${of}/publish`, {
    users: ['nobody'],
    from: USER,
    payload: SCRIPT,
    offline: true,
  });
  await admin.call('POST', `${of}/invitations`, {
    from: USER,
    to: 'alice',
    content: SCRIPT,
    channel: CHANNEL,
  });
  const webhook = await admin.call('POST', `${of}/webhooks`, {
    url: 'https://hooks.example.invalid/%3Cscript%3Ehacked=1%3C/script%3E',
    events: ['user.*', 'channel.*'],
    filter: { channels: [], users: [] },
  });
  await admin.call('POST', `${of}/bans`, {
    user_id: 'mallory',
    note: `${SCRIPT} ${TURNED}`,
    seconds: 86_400,
  });
  const made = (role, apps) =>
    admin.call('POST', '/keys', { name: `${role} ${TURNED}`, role, apps });
  const limited = await made('app', [app]);
  const reads = await made('read', [app]);
  return { admin, app, clients, webhook: webhook.id, limited: limited.key, reads: reads.key };
}
