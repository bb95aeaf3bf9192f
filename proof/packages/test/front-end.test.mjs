/** Programs of the guide's pages on JavaScript and front ends, as they stand there, with the tools of their kind. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { createServer as createProbe } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, test } from 'node:test';
import { build } from 'esbuild';
import { HERE, open, output, resultOf, within } from '../lib/project.mjs';
import { APP_ID, Stage } from '../lib/stage.mjs';

const bin = (path) => join(HERE, 'node_modules', path);
/** A build of Next.js on a machine that does much else. */
const READY_WITHIN_MS = 120_000;

let stage;
let pages;
before(async () => {
  const read = (name) => readFile(join(HERE, '../../site/guide', name), 'utf8');
  pages = (await Promise.all(['front-end.md', 'javascript.md'].map(read))).join('\n');
  stage = await Stage.open();
});
after(() => stage?.close());

/** The program behind a mark of a page. */
function programOf(name) {
  const found = new RegExp(`<!-- try: ${name} -->\n\`\`\`\\w+\n(.*?)\`\`\``, 's').exec(pages);
  assert.ok(found, `the guide has a program for ${name}`);
  return found[1];
}

/** A fresh folder with files. */
async function folderOf(name, files) {
  const folder = join(output('front-end'), name);
  await rm(folder, { recursive: true, force: true });
  for (const [path, text] of Object.entries(files)) {
    await mkdir(join(folder, path, '..'), { recursive: true });
    await writeFile(join(folder, path), text);
  }
  return folder;
}

const html = () => `<!doctype html>
<html lang="en">
  <head>
    <title>A program of the guide</title>
    <link rel="icon" href="data:," />
    <meta name="tidings-endpoint" content="${stage.server.origin}" />
  </head>
  <body>
    <app-room id="root"></app-room>
    <script src="/main.js"></script>
  </body>
</html>
`;

/** Bundles a program and lets `look` visit its page. */
async function visit(name, files, { entry, ...options }, look) {
  const folder = await folderOf(name, { ...files, 'index.html': html() });
  const { warnings } = await build({
    entryPoints: [join(folder, entry)],
    bundle: true,
    format: 'iife',
    logLevel: 'silent',
    outfile: join(folder, 'main.js'),
    ...options,
  });
  assert.deepEqual(warnings, []);
  await stage.visit([folder], look);
}

/** Somebody in the room beside the page; resolves with its client and the room. */
async function beside(context, uid, name) {
  const client = await stage.beside(context, uid);
  const room = client.createChannel(name);
  await room.join();
  return { client, room };
}

/** The user of the page is in the room, hears what is said, and is gone when its component is. */
async function talks({ page, room, client, uid, unmount }) {
  // It may be in already, and tells of it once.
  const joined = new Promise((resolve) => {
    room.on('MemberJoined', (member) => {
      if (member === uid) resolve();
    });
  });
  const isIn = (await room.getMembers()).includes(uid);
  if (!isIn) await within(READY_WITHIN_MS, () => `${uid} in the room`, joined);
  await room.sendMessage({ text: 'welcome' });
  await page.getByText('welcome').waitFor();
  const left = new Promise((resolve) => room.once('MemberLeft', resolve));
  await unmount();
  assert.equal(await left, uid);
  assert.deepEqual(await client.queryPeersOnlineStatus([uid]), { [uid]: false });
}

const FLAGS = {
  __VUE_OPTIONS_API__: 'true',
  __VUE_PROD_DEVTOOLS__: 'false',
  __VUE_PROD_HYDRATION_MISMATCH_DETAILS__: 'false',
};

test('React', async (context) => {
  const around = `
import { createRoot } from 'react-dom/client';
const root = createRoot(document.getElementById('root'));
root.render(<Room appId="${APP_ID}" uid="guide-react" />);
window.app = { unmount: () => root.unmount() };
`;
  const { client, room } = await beside(context, 'beside-react', 'lobby');
  const options = {
    entry: 'program.jsx',
    jsx: 'automatic',
    define: { 'process.env.NODE_ENV': '"production"' },
  };
  await visit(
    'react',
    { 'program.jsx': programOf('react') + around },
    options,
    async ({ page }) => {
      await page.getByText('CONNECTED, with 2').waitFor();
      const heard = new Promise((resolve) =>
        room.once('ChannelMessage', ({ text }, from) => resolve(`${from}: ${text}`)),
      );
      await page.getByRole('button', { name: 'Greet' }).click();
      assert.equal(await heard, 'guide-react: hello');
      await talks({
        page,
        room,
        client,
        uid: 'guide-react',
        unmount: () => page.evaluate(() => window.app.unmount()),
      });
    },
  );
});

test('agora-rtm-react, which gets this package in place of the original', async (context) => {
  // Apart from what is installed here: it wants another React.
  const folder = await mkdtemp(join(tmpdir(), 'tidings-alias-'));
  context.after(() => rm(folder, { recursive: true, force: true }));
  const manifest = JSON.parse(
    programOf('alias').replaceAll('http://127.0.0.1:7400', stage.server.origin),
  );
  for (const name of ['react', 'react-dom']) manifest.dependencies[name] = '^18';
  await writeFile(join(folder, 'package.json'), JSON.stringify(manifest));
  const npm = spawn('npm', ['install', '--no-fund', '--no-audit', '--silent'], {
    cwd: folder,
    stdio: 'inherit',
  });
  assert.deepEqual(await once(npm, 'close'), [0, null]);
  await writeFile(
    join(folder, 'main.jsx'),
    `import AgoraRTM, { createChannel, createClient } from 'agora-rtm-react';
import Aliased from 'agora-rtm-sdk';
import { useEffect, useState } from 'react';
import { createRoot } from 'react-dom/client';

const useClient = createClient('${APP_ID}');
const useChannel = createChannel('alias-lobby');
function Room() {
  const client = useClient();
  const channel = useChannel(client);
  const [lines, setLines] = useState([]);
  useEffect(() => {
    channel.on('ChannelMessage', ({ text }) => setLines((all) => [...all, text]));
    client.login({ uid: 'guide-alias' }).then(() => channel.join());
    return () => void client.logout();
  }, []);
  return <ul><li>{String(AgoraRTM === Aliased)}</li>{lines.map((line) => <li key={line}>{line}</li>)}</ul>;
}
const root = createRoot(document.getElementById('root'));
root.render(<Room />);
window.app = { unmount: () => root.unmount() };
`,
  );
  await writeFile(join(folder, 'index.html'), html());
  const define = { 'process.env.NODE_ENV': '"production"' };
  const options = { bundle: true, format: 'iife', jsx: 'automatic', define, logLevel: 'silent' };
  await build({
    entryPoints: [join(folder, 'main.jsx')],
    outfile: join(folder, 'main.js'),
    ...options,
  });
  const { client, room } = await beside(context, 'beside-alias', 'alias-lobby');
  await stage.visit([folder], async ({ page }) => {
    await page.getByText('true').waitFor();
    await talks({
      page,
      room,
      client,
      uid: 'guide-alias',
      unmount: () => page.evaluate(() => window.app.unmount()),
    });
  });
});

test('Vue', async (context) => {
  const files = {
    'room.js': programOf('vue'),
    'main.mjs': `
import { createApp, h } from 'vue';
import { useRoom } from './room.js';
const app = createApp({
  setup() {
    const lines = useRoom('${APP_ID}', 'guide-vue', 'vue-lobby');
    return () => h('ul', lines.value.map((line) => h('li', line)));
  },
});
app.mount('#root');
window.app = { unmount: () => app.unmount() };
`,
  };
  const { client, room } = await beside(context, 'beside-vue', 'vue-lobby');
  const define = { 'process.env.NODE_ENV': '"production"', ...FLAGS };
  await visit('vue', files, { entry: 'main.mjs', define }, async ({ page }) => {
    await talks({
      page,
      room,
      client,
      uid: 'guide-vue',
      unmount: () => page.evaluate(() => window.app.unmount()),
    });
  });
});

/** An application around the component of the page. Compiled in the browser, which needs no build of Angular's own. */
const angular = (providers, imports = '') => `
import '@angular/compiler';
${imports}
import { Component, provideZoneChangeDetection, provideZonelessChangeDetection } from '@angular/core';
import { bootstrapApplication } from '@angular/platform-browser';
import { Room } from './room';

@Component({
  selector: '#root',
  imports: [Room],
  template: '<app-room appId="${APP_ID}" uid="guide-angular" />',
})
class App {}

bootstrapApplication(App, { providers: [${providers}] }).then((app) => {
  (window as any).app = { unmount: () => app.destroy() };
});
`;

for (const [how, main] of [
  ['without Zone.js', angular('provideZonelessChangeDetection()')],
  ['with Zone.js', angular('provideZoneChangeDetection()', "import 'zone.js';")],
]) {
  test(`Angular ${how}`, async (context) => {
    const files = { 'room.ts': withInputs(programOf('angular')), 'main.ts': main };
    const tsconfigRaw = {
      compilerOptions: {
        experimentalDecorators: true,
        useDefineForClassFields: true,
        target: 'es2022',
      },
    };
    const { client, room } = await beside(context, 'beside-angular', 'lobby');
    await visit(
      'angular',
      files,
      { entry: 'main.ts', tsconfigRaw, target: 'es2022' },
      async ({ page }) => {
        await talks({
          page,
          room,
          client,
          uid: 'guide-angular',
          unmount: () => page.evaluate(() => window.app.unmount()),
        });
      },
    );
  });
}

/** What Angular's own build adds for the compiler in the browser: decorators of inputs that are signals. */
function withInputs(text) {
  return text
    .replace('import { Component,', 'import { Component, Input,')
    .replace(
      /readonly (\w+) = input\.required/g,
      "@Input({ isSignal: true, alias: '$1', required: true } as any) readonly $1 = input.required",
    );
}

/** Starts a program that goes on; resolves when a line of it matches. */
async function start(context, args, cwd, variables, wanted) {
  const options = { cwd, env: { ...process.env, ...variables }, stdio: ['ignore', 'pipe', 'pipe'] };
  const child = spawn(process.execPath, args, options);
  const ended = once(child, 'exit');
  context.after(async () => {
    child.kill();
    await ended;
  });
  let said = '';
  child.stderr.on('data', (data) => (said += data));
  const ready = (async () => {
    for await (const line of createInterface({ input: child.stdout })) {
      said += `${line}\n`;
      if (wanted.test(line)) return true;
    }
    return false;
  })();
  const what = () => `${args.join(' ')} said:\n${said}`;
  assert.ok(await within(READY_WITHIN_MS, what, ready), what());
  child.stdout.resume();
}

async function freePort() {
  const probe = createProbe().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address();
  probe.close();
  await once(probe, 'close');
  return port;
}

test('Next.js: built once, the endpoint is told when it runs', async (context) => {
  const last = `\nexport default function Page() {\n  return <Room appId="${APP_ID}" uid="guide-next" />;\n}\n`;
  const folder = await folderOf('next', {
    'app/layout.jsx': programOf('next'),
    'app/page.jsx': `'use client';\n${programOf('react')}${last}`,
    'package.json': '{ "private": true }\n',
    'next.config.mjs': `export default { turbopack: { root: ${JSON.stringify(HERE)} } };\n`,
  });
  const next = bin('next/dist/bin/next');
  const port = await freePort();
  const quiet = { NEXT_TELEMETRY_DISABLED: '1' };
  await start(context, [next, 'build'], folder, { ...quiet, TIDINGS_ENDPOINT: '' }, /Dynamic/);
  await start(
    context,
    [next, 'start', '--hostname', '127.0.0.1', '--port', String(port)],
    folder,
    { ...quiet, TIDINGS_ENDPOINT: stage.server.origin },
    /Ready/,
  );
  const { room } = await beside(context, 'beside-next', 'lobby');
  const visited = await open(stage.browser, `http://127.0.0.1:${port}/`);
  try {
    await visited.page.getByText('CONNECTED, with 2').waitFor();
    const heard = new Promise((resolve) =>
      room.once('ChannelMessage', ({ text }, from) => resolve(`${from}: ${text}`)),
    );
    await visited.page.getByRole('button', { name: 'Greet' }).click();
    assert.equal(await heard, 'guide-next: hello');
    assert.deepEqual(visited.faults, []);
  } finally {
    await visited.close();
  }
});

test('Content Security Policy: the header of the page is enough, and no wider than it must be', async (context) => {
  const { origin } = stage.server;
  const policy = programOf('csp')
    .replaceAll('https://chat.example.org', origin)
    .replaceAll('wss://chat.example.org', origin.replace('http', 'ws'))
    .replaceAll('\n', ' ');
  const { packages } = await (await fetch(`${origin}/sdk/packages.json`)).json();
  const { script } = packages.find(({ name }) => name === '@tidings/rtm');
  const files = {
    '/': `<!doctype html><title>CSP</title><link rel="icon" href="data:," /><img id="picture" alt="" />
<script src="${origin}/sdk/${script.file}" integrity="${script.integrity}" crossorigin></script><script src="/own.js"></script>`,
    '/own.js': `window.blocked = [];
addEventListener('securitypolicyviolation', (event) => window.blocked.push(event.violatedDirective + ' ' + event.blockedURI));
(async () => {
  const client = AgoraRTM.createInstance('${APP_ID}', { endpoint: '${origin}' });
  await client.login({ uid: 'guide-csp' });
  const canvas = document.createElement('canvas');
  canvas.width = canvas.height = 8;
  const picture = await new Promise((resolve) => canvas.toBlob(resolve));
  const { mediaId } = await client.createMediaMessageByUploading(picture, { messageType: 'IMAGE', fileName: 'a.png' });
  const image = document.getElementById('picture');
  const loaded = new Promise((resolve, reject) => { image.onload = resolve; image.onerror = reject; });
  image.src = URL.createObjectURL(await client.downloadMedia(mediaId));
  await loaded;
  await client.logout();
  // What is not in the header is kept out, which shows that it counts.
  await fetch('https://elsewhere.example/').catch(() => undefined);
  return { width: image.naturalWidth, blocked: window.blocked };
})().then((seen) => { window.seen = seen; }, (error) => { window.seen = String(error); });`,
  };
  const web = createServer((request, answer) => {
    answer.setHeader('content-security-policy', policy);
    answer.setHeader('content-type', request.url === '/' ? 'text/html' : 'text/javascript');
    answer.end(files[request.url]);
  });
  web.listen(0, '127.0.0.1');
  await once(web, 'listening');
  context.after(() => web.close());
  const visited = await open(stage.browser, `http://127.0.0.1:${web.address().port}/`);
  try {
    await visited.page.waitForFunction(() => window.seen !== undefined);
    const seen = await visited.page.evaluate(() => window.seen);
    assert.deepEqual(seen, { width: 8, blocked: ['connect-src https://elsewhere.example/'] });
  } finally {
    await visited.close();
  }
});

test('a file is deleted by whoever has uploaded it', async () => {
  const main = `import AgoraRTM from '@tidings/rtm';
${programOf('delete')}
const [endpoint, appId] = ['${stage.server.origin}', '${APP_ID}'];
const failure = (call) => call.then(() => 'none', (error) => error.code ?? error.message);
window.result = (async () => {
  const client = AgoraRTM.createInstance(appId);
  await client.login({ uid: 'a file owner' });
  const { mediaId } = await client.createMediaMessageByUploading(new Blob(['x']), { messageType: 'FILE', fileName: 'x' });
  const seen = {
    stranger: await failure(deleteMedia({ endpoint, appId, uid: 'stranger' }, mediaId)),
    owner: await failure(deleteMedia({ endpoint, appId, uid: 'a file owner' }, mediaId)),
    download: await failure(client.downloadMedia(mediaId)),
  };
  await client.logout();
  return seen;
})();
`;
  await visit('delete', { 'program.mjs': main }, { entry: 'program.mjs' }, async (visited) => {
    // The browser itself notes refused requests in the console: one of a deletion, one of a download.
    const { stranger, owner, download } = await resultOf(visited);
    assert.match(stranger, /not uploaded by this user/);
    assert.deepEqual([owner, download], ['none', 4]);
    assert.deepEqual(
      visited.faults.splice(0).map((text) => /status of (\d+)/.exec(text)?.[1]),
      ['403', '404'],
    );
  });
});

for (const [name, first] of [
  ['vitest', "import { expect, test, vi } from 'vitest';\n"],
  ['jest', ''],
]) {
  test(`a mock in ${name}`, async () => {
    const text = `${first}import AgoraRTM from '@tidings/rtm';

${programOf(name)}
const mockClient = { login: async ({ uid }) => uid };

test('the client is the mock', async () => {
  expect(await AgoraRTM.createInstance('anything').login({ uid: 'alice' })).toBe('alice');
});
`;
    const folder = await folderOf(name, {
      'mock.test.js': text,
      'package.json': '{ "private": true }\n',
      'babel.config.cjs':
        "module.exports = { presets: [['@babel/preset-env', { targets: { node: 'current' } }]] };\n",
    });
    const args =
      name === 'vitest'
        ? [bin('vitest/vitest.mjs'), 'run', '--root', folder]
        : [bin('jest/bin/jest.js'), '--rootDir', folder];
    await passes(args, folder);
  });
}

test('Jest with jsdom: require gets the UMD file and the WebSocket of jsdom', async () => {
  const folder = await folderOf('jsdom', {
    'login.test.js': `/** @jest-environment jsdom */
const AgoraRTM = require('@tidings/rtm');

test('a user logs in', async () => {
  let opened = 0;
  window.WebSocket = class extends window.WebSocket {
    constructor(...args) {
      super(...args);
      opened += 1;
    }
  };
  const client = AgoraRTM.createInstance('${APP_ID}', { endpoint: '${stage.server.origin}' });
  await client.login({ uid: 'guide-jsdom' });
  expect(await client.sendMessageToPeer({ text: 'hello' }, 'guide-jsdom')).toEqual({ hasPeerReceived: true });
  await client.logout();
  expect(opened).toBe(1);
  expect(require.resolve('@tidings/rtm')).toMatch(/umd\\.js$/);
});
`,
    'package.json': '{ "private": true }\n',
  });
  await passes([bin('jest/bin/jest.js'), '--rootDir', folder], folder);
});

/** Runs a runner of tests, which must say that all have passed. */
async function passes(args, cwd) {
  const child = spawn(process.execPath, args, {
    cwd,
    env: { ...process.env, CI: '1' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => (said += data));
  const [code] = await once(child, 'close');
  assert.equal(code, 0, said);
  assert.match(said, /1 passed/, said);
}
