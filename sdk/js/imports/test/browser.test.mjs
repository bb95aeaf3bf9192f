/** Programs in Chromium: bundlers, a script tag, React, a Web Worker, a page in the background. */
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { build as esbuild } from 'esbuild';
import { build as vite } from 'vite';
import { launch } from '../../../../e2e/lib/browser.mjs';
import { Server } from '../../../../e2e/lib/server.mjs';
import { EXPECTED, INSTALLED, open, output, project, resultOf, serve } from '../lib/project.mjs';

/** Long enough for a slow machine. */
const CLOSED_WITHIN_MS = 10_000;

let server;
let browser;
before(async () => {
  [server, browser] = await Promise.all([Server.start(), launch()]);
});
after(async () => {
  await browser?.close();
  await server?.stop();
});

/** Bundlers: from the name of a project to a folder with the page. Each fails on a warning. */
const BUNDLERS = {
  async vite(name) {
    const outDir = join(output(name), 'vite');
    const warnings = [];
    const warn = (text) => warnings.push(text);
    const customLogger = {
      hasWarned: false,
      info: () => undefined,
      warn,
      warnOnce: warn,
      error: warn,
      clearScreen: () => undefined,
      hasErrorLogged: () => false,
    };
    await vite({
      root: project(name),
      configFile: false,
      customLogger,
      worker: { format: 'es' },
      build: { outDir, emptyOutDir: true },
    });
    assert.deepEqual(warnings, []);
    return [outDir];
  },
  async esbuild(name, entry = 'main.js') {
    const outdir = join(output(name), 'esbuild');
    const { warnings } = await esbuild({
      entryPoints: [join(project(name), entry)],
      outdir,
      bundle: true,
      minify: true,
      format: 'iife',
      jsx: 'automatic',
      define: { 'process.env.NODE_ENV': '"development"' },
      logLevel: 'silent',
    });
    assert.deepEqual(warnings, []);
    return [outdir, project(name)];
  },
};

/** Waits until no connection of the page is left: the server ends them after a logout. */
async function allClosed(sockets) {
  const until = Date.now() + CLOSED_WITHIN_MS;
  while (sockets.open > 0) {
    assert.ok(Date.now() < until, `${sockets.open} of ${sockets.opened} connections were left`);
    await setTimeout(20);
  }
}

/** Opens the page of a project, gives it to `look`, and sees that nothing went wrong on it. */
async function visit(folders, look) {
  const web = await serve(...folders);
  const visited = await open(browser, `${web.origin}/?endpoint=${encodeURIComponent(server.origin)}`);
  try {
    await look(visited);
    assert.deepEqual(visited.faults, []);
    await allClosed(visited.sockets);
  } finally {
    await visited.close();
    web.close();
  }
}

const converses = async (visited) => assert.deepEqual(await resultOf(visited), EXPECTED);

for (const [bundler, bundle] of Object.entries(BUNDLERS)) {
  test(`default import, bundled by ${bundler}`, async () => visit(await bundle('bundler-default'), converses));
  test(`namespace import, bundled by ${bundler}`, async () => visit(await bundle('bundler-namespace'), converses));
}

test('script tag: the global AgoraRTM', async () => {
  await visit([project('script'), join(INSTALLED, 'dist'), project('shared')], converses);
});

test('Web Worker', async () => {
  await visit(await BUNDLERS.vite('worker'), async (visited) => {
    assert.deepEqual(await resultOf(visited), { ...EXPECTED, hasWindow: false });
  });
});

test('React, mounted twice by StrictMode: one login remains, and none after the end', async (context) => {
  const AgoraRTM = createRequire(import.meta.url)('@tidings/rtm');
  const watcher = AgoraRTM.createInstance('ImportStyles00000000000000000000', { endpoint: server.origin });
  await watcher.login({ uid: 'react-watcher' });
  context.after(() => watcher.logout());
  const isOnline = async () => (await watcher.queryPeersOnlineStatus(['react-reader']))['react-reader'];
  await visit(await BUNDLERS.esbuild('react', 'main.jsx'), async ({ page, sockets }) => {
    await page.getByRole('status').getByText('CONNECTED', { exact: true }).waitFor();
    assert.equal(await page.evaluate(() => window.app.mounts), 2);
    assert.equal(sockets.open, 1);
    const sent = await watcher.sendMessageToPeer({ text: 'to whoever is mounted' }, 'react-reader');
    assert.deepEqual(sent, { hasPeerReceived: true });
    await page.getByRole('listitem').getByText('to whoever is mounted').waitFor();
    assert.equal(await isOnline(), true);

    await page.evaluate(() => window.app.unmount());
    await page.waitForFunction(() => window.app.connections.at(-1) === 'DISCONNECTED LOGOUT');
    const { faults, connections } = await page.evaluate(() => window.app);
    assert.deepEqual(faults, []);
    // The first mount's login is given up before it has a session, the second one's is not disturbed by it.
    assert.deepEqual(connections.filter((line) => /ABORTED|RECONNECTING|FAILURE|TIMEOUT/.test(line)), []);
    assert.equal(connections.filter((line) => line === 'CONNECTED LOGIN_SUCCESS').length, 1);
    // The first mount has not even opened a connection.
    assert.equal(sockets.opened, 1);
    assert.equal(await isOnline(), false);
  });
});
