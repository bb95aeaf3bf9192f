/** Programs in Chromium: bundlers, a script tag, React, a Web Worker. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { build as esbuild } from 'esbuild';
import { build as vite } from 'vite';
import { EXPECTED, INSTALLED, output, project, resultOf } from '../lib/project.mjs';
import { Stage } from '../lib/stage.mjs';

let stage;
before(async () => {
  stage = await Stage.open();
});
after(() => stage?.close());

/** Bundlers: from the name of a project to a folder with the page. Each fails on a warning. */
/** What Vue asks every bundler to settle. */
const VUE_FLAGS = {
  __VUE_OPTIONS_API__: 'true',
  __VUE_PROD_DEVTOOLS__: 'false',
  __VUE_PROD_HYDRATION_MISMATCH_DETAILS__: 'false',
};

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
      define: { 'process.env.NODE_ENV': '"development"', ...VUE_FLAGS },
      logLevel: 'silent',
    });
    assert.deepEqual(warnings, []);
    return [outdir, project(name)];
  },
};

const converses = async (visited) => assert.deepEqual(await resultOf(visited), EXPECTED);

for (const [bundler, bundle] of Object.entries(BUNDLERS)) {
  test(`default import, bundled by ${bundler}`, async () =>
    stage.visit(await bundle('bundler-default'), converses));
  test(`namespace import, bundled by ${bundler}`, async () =>
    stage.visit(await bundle('bundler-namespace'), converses));
}

// proves: rtm-1.1-umd
test('script tag: the global AgoraRTM', async () => {
  await stage.visit([project('script'), join(INSTALLED, 'dist'), project('shared')], converses);
});

test('Web Worker', async () => {
  await stage.visit(await BUNDLERS.vite('worker'), async (visited) => {
    assert.deepEqual(await resultOf(visited), { ...EXPECTED, hasWindow: false });
  });
});

test('Vue, with client, channel and invitation in reactive data', async (context) => {
  const watcher = await stage.beside(context, 'vue-watcher');
  const called = new Promise((resolve) => watcher.once('RemoteInvitationReceived', resolve));
  await stage.visit(await BUNDLERS.esbuild('vue', 'main.js'), async ({ page }) => {
    await page.getByRole('status').getByText('in the channel').waitFor();
    const channel = watcher.createChannel('vue-room');
    await channel.join();
    await channel.sendMessage({ text: 'reactive' });
    await page.getByRole('listitem').getByText('reactive').waitFor();
    const invitation = await called;
    assert.equal(invitation.content, 'from Vue');
    invitation.accept();
    await page.getByRole('status').getByText('accepted').waitFor();
    await page.evaluate(() => window.app.unmount());
  });
});

test('React, mounted twice by StrictMode: one login remains, and none after the end', async (context) => {
  const watcher = await stage.beside(context, 'react-watcher');
  const isOnline = async () =>
    (await watcher.queryPeersOnlineStatus(['react-reader']))['react-reader'];
  await stage.visit(await BUNDLERS.esbuild('react', 'main.jsx'), async ({ page, sockets }) => {
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
    assert.deepEqual(
      connections.filter((line) => /ABORTED|RECONNECTING|FAILURE|TIMEOUT/.test(line)),
      [],
    );
    assert.equal(connections.filter((line) => line === 'CONNECTED LOGIN_SUCCESS').length, 1);
    // The first mount has not even opened a connection.
    assert.equal(sockets.opened, 1);
    assert.equal(await isOnline(), false);
  });
});

test('the hooks of @tidings/react, under StrictMode: logged in once, in one room at a time, gone with the component', async (context) => {
  const watcher = await stage.beside(context, 'hook-watcher');
  const room = watcher.createChannel('first-room');
  await room.join();
  await stage.visit(
    await BUNDLERS.esbuild('react-hooks', 'main.jsx'),
    async ({ page, sockets }) => {
      await page.getByRole('status').getByText('CONNECTED in first-room').waitFor();
      await page.getByText('Members: hook-user, hook-watcher').waitFor();
      await page.getByText('Watcher: ONLINE').waitFor();
      assert.equal(sockets.opened, 1);
      const heard = new Promise((resolve) =>
        room.once('ChannelMessage', ({ text }, from) => resolve(`${from}: ${text}`)),
      );
      await page.getByRole('button', { name: 'Send' }).click();
      assert.equal(await heard, 'hook-user: from React');
      await room.sendMessage({ text: 'to all' });
      await page.getByText('hook-watcher to first-room: to all').waitFor();
      await watcher.sendMessageToPeer({ text: 'to you' }, 'hook-user');
      await page.getByText('hook-watcher: to you').waitFor();

      const left = new Promise((resolve) => room.once('MemberLeft', resolve));
      await page.getByRole('button', { name: 'Move' }).click();
      assert.equal(await left, 'hook-user');
      await page.getByRole('status').getByText('CONNECTED in second-room').waitFor();
      assert.deepEqual(await room.getMembers(), ['hook-watcher']);

      await page.evaluate(() => window.app.unmount());
    },
  );
  assert.deepEqual(await watcher.queryPeersOnlineStatus(['hook-user']), { 'hook-user': false });
});
