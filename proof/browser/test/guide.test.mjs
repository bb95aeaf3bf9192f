/** The guide at /docs: every page, every link, the search; on a laptop and a phone, by day and by night. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
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
  page.$$eval('a[href]', (links) =>
    links.map((link) => link.href).filter((href) => !href.startsWith('javascript:')),
  );

/** The pages that a page of the reference links to; rejects when it is not there. */
async function referenceLinks(address) {
  const answer = await fetch(address);
  assert.equal(answer.status, 200, address);
  const found = [...(await answer.text()).matchAll(/ href="([^"#]+)/g)].map(
    ([, href]) => new URL(href, address).href,
  );
  return found.filter(
    (href) => href.startsWith(`${server.origin}/docs/`) && href.endsWith('.html'),
  );
}

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
  for (let address; (address = waiting.pop()) !== undefined;) {
    if (anchors.has(address)) continue;
    if (address.includes('/docs/reference/')) {
      // Made by TypeDoc, from the typings, by the hundred: read, not shown.
      anchors.set(address, new Set());
      waiting.push(...(await referenceLinks(address)));
      continue;
    }
    const answer = await page.goto(address);
    assert.equal(answer.status(), 200, address);
    await page.locator('main, .VPHome').first().waitFor();
    anchors.set(
      address,
      new Set(await page.$$eval('[id]', (nodes) => nodes.map((node) => node.id))),
    );
    for (const link of await linksOf(page)) {
      if (!link.startsWith(server.origin)) continue;
      wanted.add(link);
      const plain = link.split('#')[0];
      if (plain.startsWith(`${server.origin}/docs/`) && !plain.endsWith('.js')) waiting.push(plain);
    }
  }
  assert.ok(anchors.size >= 150, `only ${anchors.size} pages were found`);
  for (const link of wanted) {
    const [plain, anchor] = link.split('#');
    if (!anchors.has(plain) || plain.includes('/docs/reference/')) {
      assert.ok((await fetch(plain)).ok, `${link} leads nowhere`);
    } else if (anchor !== undefined && anchor !== '') {
      assert.ok(
        anchors.get(plain).has(decodeURIComponent(anchor)),
        `${link} names a place that is not there`,
      );
    }
  }
  assert.deepEqual(faults, []);
  await context.close();
});

test('the addresses that the first command prints lead to the demo and the guide', async () => {
  const context = await browser.newContext();
  const page = await context.newPage();
  for (const [from, to] of [
    ['/', '/demo/'],
    ['/demo', '/demo/'],
    ['/docs', '/docs/'],
  ]) {
    const answer = await page.goto(`${server.origin}${from}`);
    assert.equal(answer.status(), 200, from);
    assert.equal(new URL(page.url()).pathname, to);
  }
  await context.close();
});

test('a word is found', async () => {
  const context = await browser.newContext();
  const page = await context.newPage();
  await page.goto(`${server.origin}/docs/`);
  await page.getByRole('button', { name: 'Search' }).click();
  await page
    .getByRole('searchbox')
    .or(page.locator('#localsearch-input'))
    .first()
    .fill('rotate certificate');
  await page.getByRole('option').filter({ hasText: 'Change a certificate' }).first().click();
  await page.waitForURL(/\/docs\/tokens#change-a-certificate/);
  await page.getByRole('heading', { name: 'Change a certificate' }).waitFor();
  await context.close();
});

test('a page that is not there is said to be missing, within the guide', async () => {
  const context = await browser.newContext();
  const page = await context.newPage();
  const answer = await page.goto(`${server.origin}/docs/no-such-page`);
  assert.equal(answer.status(), 404);
  await page.getByRole('heading', { name: 'Page not found' }).waitFor();
  await look(page, 'guide-404', { grave: true });
  await page.getByRole('link', { name: 'To the first page of the guide' }).click();
  await page
    .getByRole('heading', { name: 'Messaging and call signaling on your own server' })
    .waitFor();
  await context.close();
});

test('pages have addresses without an ending, a landmark for their content, and the version in the menu', async () => {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 } });
  const page = await context.newPage();
  const version = /^version = "(.*)"$/m.exec(
    readFileSync(new URL('../../../Cargo.toml', import.meta.url), 'utf8'),
  )[1];
  await page.goto(`${server.origin}/docs/`);
  await page.getByRole('main').waitFor();
  await page.getByRole('link', { name: `Version ${version}` }).waitFor();
  await page.getByRole('link', { name: 'Quick start' }).first().click();
  await page.waitForURL(`${server.origin}/docs/quick-start`);
  assert.equal(await page.getByRole('main').count(), 1);
  await page.reload();
  await page.getByRole('heading', { name: 'Quick start', level: 1 }).waitFor();
  await page.getByRole('link', { name: /^Next page/ }).click();
  await page.waitForURL(`${server.origin}/docs/examples`);
  await context.close();
});

test('the reference has the SDK and leads back to the guide', async () => {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 } });
  const page = await context.newPage();
  await page.goto(`${server.origin}/docs/javascript`);
  await page.getByRole('link', { name: 'JavaScript reference', exact: true }).click();
  await page.getByRole('heading', { name: '@tidings/rtm' }).first().waitFor();
  await page.goto(`${server.origin}/docs/reference/interfaces/default.RtmClient.html`);
  await page.getByRole('heading', { name: /sendMessageToPeer/ }).waitFor();
  await look(page, 'guide-reference', { access: false });
  await page.getByRole('link', { name: 'Guide' }).click();
  await page.waitForURL(`${server.origin}/docs/`);
  await context.close();
});

test('the page of the quick start logs in from wherever it is served', async () => {
  const text = readFileSync(new URL('../../../site/guide/quick-start.md', import.meta.url), 'utf8');
  const [, block] = /<!-- run: page -->\n```html\n(.*?)```/s.exec(text);
  const html = block.replaceAll('http://127.0.0.1:7400', server.origin);
  const elsewhere = createServer((_, answer) =>
    answer.setHeader('content-type', 'text/html').end(html),
  );
  await new Promise((resolve) => elsewhere.listen(0, '127.0.0.1', resolve));
  const context = await browser.newContext();
  const page = await context.newPage();
  await page.goto(`http://127.0.0.1:${elsewhere.address().port}/`);
  await page.waitForFunction(() => document.title !== '');
  assert.equal(await page.title(), 'logged in');
  await context.close();
  await new Promise((resolve) => elsewhere.close(resolve));
});

test('how it looks', async () => {
  const context = await browser.newContext();
  const page = await context.newPage();
  const names = [
    'index',
    'quick-start',
    'examples',
    'comparison',
    'capacity',
    'backups',
    'faq',
    'from-rtm',
    'running',
    'errors',
    'settings',
    'protocol',
  ];
  for (const name of names) {
    await page.goto(`${server.origin}/docs/${name}`);
    await page.locator('main, .VPHome').first().waitFor();
    await look(page, `guide-${name}`, { grave: true });
  }
  await context.close();
});
