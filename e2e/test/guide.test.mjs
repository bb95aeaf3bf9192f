/** The guide at /docs: every page, every link, the search; on a laptop and a phone, by day and by night. */
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

/** Addresses of the guide that a page links to, without the part behind #. */
const linksOf = (page) =>
  page.$$eval('a[href]', (links) => links.map((link) => link.href).filter((href) => !href.startsWith('javascript:')));

test('every page is there, without an error, and every link on it leads somewhere', async () => {
  const context = await browser.newContext();
  const page = await context.newPage();
  const faults = [];
  page.on('pageerror', (error) => faults.push(String(error)));
  page.on('console', (message) => message.type() === 'error' && faults.push(message.text()));
  page.on('requestfailed', (request) => {
    // What was fetched ahead is broken off by the next page.
    if (request.failure()?.errorText !== 'net::ERR_ABORTED') faults.push(`${request.url()} failed`);
  });
  page.on('request', (request) => {
    if (!request.url().startsWith(server.origin) && !request.url().startsWith('data:')) {
      faults.push(`${request.url()} is another host's`);
    }
  });

  const anchors = new Map();
  const wanted = new Set();
  const waiting = [`${server.origin}/docs/`];
  for (let address; (address = waiting.pop()) !== undefined; ) {
    if (anchors.has(address)) continue;
    const answer = await page.goto(address);
    assert.equal(answer.status(), 200, address);
    await page.locator('main, .VPHome').first().waitFor();
    anchors.set(address, new Set(await page.$$eval('[id]', (nodes) => nodes.map((node) => node.id))));
    for (const link of await linksOf(page)) {
      if (!link.startsWith(server.origin)) continue;
      wanted.add(link);
      const plain = link.split('#')[0];
      if (plain.startsWith(`${server.origin}/docs/`)) waiting.push(plain);
    }
  }
  assert.ok(anchors.size >= 14, `only ${anchors.size} pages were found`);
  for (const link of wanted) {
    const [plain, anchor] = link.split('#');
    if (!anchors.has(plain)) {
      assert.ok((await fetch(plain)).ok, `${link} leads nowhere`);
    } else if (anchor !== undefined && anchor !== '') {
      assert.ok(anchors.get(plain).has(decodeURIComponent(anchor)), `${link} names a place that is not there`);
    }
  }
  assert.deepEqual(faults, []);
  await context.close();
});

test('a word is found', async () => {
  const context = await browser.newContext();
  const page = await context.newPage();
  await page.goto(`${server.origin}/docs/`);
  await page.getByRole('button', { name: 'Search' }).click();
  await page.getByRole('searchbox').or(page.locator('#localsearch-input')).first().fill('rotate certificate');
  await page.getByRole('option').filter({ hasText: 'Change a certificate' }).first().click();
  await page.waitForURL(/tokens\.html#change-a-certificate/);
  await page.getByRole('heading', { name: 'Change a certificate' }).waitFor();
  await context.close();
});

test('how it looks', async () => {
  const context = await browser.newContext();
  const page = await context.newPage();
  for (const name of ['index', 'quick-start', 'from-rtm', 'running', 'errors', 'settings', 'protocol']) {
    await page.goto(`${server.origin}/docs/${name}.html`);
    await page.locator('main, .VPHome').first().waitFor();
    await look(page, `guide-${name}`, { grave: true });
  }
  await context.close();
});
