/**
 * Somebody at the page: does what a person does, and waits for what a person would see. Everything
 * is found by its role and its name, as a screen reader finds it.
 */
import assert from 'node:assert/strict';

/** Long enough for a slow machine; a condition that holds ends the wait at once. */
const SEEN_WITHIN_MS = 15_000;
/** A lost link is shown after 4 s; the way back has waits that grow. */
const RECONNECTED_WITHIN_MS = 45_000;

const CONNECTION_WORDS = {
  DISCONNECTED: 'Not connected',
  CONNECTING: 'Connecting …',
  CONNECTED: 'Connected',
  RECONNECTING: 'Reconnecting …',
  ABORTED: 'Logged out',
};

export class Person {
  /** @type {string[]} */
  #faults = [];

  constructor(name, context, page) {
    this.name = name;
    this.context = context;
    this.page = page;
    page.setDefaultTimeout(SEEN_WITHIN_MS);
    page.on('pageerror', (error) => this.#faults.push(String(error)));
    page.on('console', (message) => {
      // The browser itself reports every refused connection while the server is away.
      const isRefusal = /WebSocket connection to|Failed to load resource/.test(message.text());
      if (message.type() === 'error' && !isRefusal) this.#faults.push(message.text());
    });
  }

  /** A new browser profile, logged in by the address; `prepare` gets it before there is a page. */
  static async arrive(browser, origin, name, { hash = '', prepare } = {}) {
    const context = await browser.newContext({ viewport: { width: 1280, height: 800 } });
    await prepare?.(context);
    const page = await context.newPage();
    const person = new Person(name, context, page);
    await page.goto(`${origin}/demo/?user=${encodeURIComponent(name)}${hash}`);
    await person.seesConnection('CONNECTED');
    await page.getByRole('navigation', { name: 'Conversations' }).waitFor();
    return person;
  }

  /** Closes the page as the browser's own button does: handlers for its end run. */
  async closes() {
    assert.deepEqual(this.#faults, [], `faults on ${this.name}'s page`);
    await this.page.close({ runBeforeUnload: false });
    await this.context.close();
  }

  // ---------------------------------------------------------------- does

  async adds(name) {
    await this.page.getByRole('textbox', { name: 'Name of a person' }).fill(name);
    await this.page.getByRole('button', { name: 'Add' }).click();
    await this.page.getByRole('log', { name: `Messages with ${name}`, exact: true }).waitFor();
  }

  async joins(channel) {
    await this.page.getByRole('textbox', { name: 'Name of a channel' }).fill(channel);
    await this.page.getByRole('button', { name: 'Join' }).click();
    await this.page.getByRole('log', { name: `Messages with #${channel}`, exact: true }).waitFor();
  }

  async opens(title) {
    const name = title.replace(/^#/, '');
    await this.#listOf(title).getByRole('link').filter({ hasText: name }).click();
    await this.#log(title).waitFor();
  }

  /** Into the open conversation, by keyboard. */
  async writes(text) {
    const field = this.page.getByRole('textbox', { name: /^Message to / });
    await field.fill(text);
    await field.press('Enter');
  }

  async leaves(channel) {
    await this.page.getByRole('button', { name: `Leave #${channel}` }).click();
    await this.#log(`#${channel}`).waitFor({ state: 'detached' });
  }

  /** The system tells the page that the network is back; the page need not wait for its next attempt. */
  async isOnlineAgain() {
    await this.page.evaluate(() => dispatchEvent(new Event('online')));
  }

  // ---------------------------------------------------------------- sees

  /** `state` as the SDK calls it; the page has words for it. */
  async seesConnection(state) {
    await this.page
      .locator(`#connection[data-state="${state}"]`)
      .getByText(CONNECTION_WORDS[state], { exact: true })
      .waitFor({ timeout: RECONNECTED_WITHIN_MS });
  }

  /** A message in a conversation; `also` is what stands beside it, such as its receipt. */
  async sees(title, text, also = '') {
    const message = this.#log(title).getByRole('listitem').filter({ hasText: text });
    await (also === '' ? message : message.filter({ hasText: also }))
      .first()
      .waitFor({ state: 'attached' });
    return message;
  }

  async seesPresence(name, state, withinMs = SEEN_WITHIN_MS) {
    const link = this.page
      .getByRole('list')
      .getByRole('link', { name: new RegExp(`^${name} ${state}`) });
    await link.waitFor({ timeout: withinMs });
  }

  async seesMembers(names) {
    const members = this.page.getByRole('complementary', { name: /members?$/ });
    const count = names.length === 1 ? '1 member' : `${names.length} members`;
    await members.getByRole('heading', { name: count, exact: true }).waitFor();
    for (const name of names)
      await members.getByRole('listitem').filter({ hasText: name }).waitFor();
    assert.equal(await members.getByRole('listitem').count(), names.length);
  }

  /** A notice that belongs to no conversation. */
  async seesNotice(text) {
    await this.page.getByRole('alert').getByText(text).waitFor();
  }

  /** How often a message stands in a conversation. */
  async countOf(title, text) {
    return this.#log(title).getByRole('listitem').filter({ hasText: text }).count();
  }

  /** The texts of the messages of a conversation, in their order. */
  async textsOf(title) {
    return this.#log(title).locator('.text').allTextContents();
  }

  #log(title) {
    return this.page.getByRole('log', {
      name: `Messages with ${title}`,
      exact: true,
      includeHidden: true,
    });
  }

  #listOf(title) {
    const name = title.startsWith('#') ? 'Channels' : 'People';
    return this.page.getByRole('region', { name });
  }
}
