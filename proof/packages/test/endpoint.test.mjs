/** Each way of telling a page where its server is, in Chromium: config is tried by all other tests. */
import assert from 'node:assert/strict';
import { cp, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { build, createServer } from 'vite';
import webpack from 'webpack';
import { EXPECTED, INSTALLED, open, output, project, resultOf, serve } from '../lib/project.mjs';
import { Stage } from '../lib/stage.mjs';

let stage;
before(async () => {
  stage = await Stage.open();
});
after(() => stage?.close());

const converses = async (visited) => assert.deepEqual(await resultOf(visited), EXPECTED);
/** As the guide says. */
const define = () => ({ 'process.env.TIDINGS_ENDPOINT': JSON.stringify(stage.server.origin) });

/** The page of the project with something put in front of its scripts. */
async function pageWith(name, head) {
  const folder = join(output('endpoint'), name);
  await mkdir(folder, { recursive: true });
  const page = await readFile(join(project('endpoint'), 'index.html'), 'utf8');
  await writeFile(join(folder, 'index.html'), page.replace('  <script', `  ${head}\n  <script`));
  return folder;
}

async function byVite(name, options) {
  const outDir = join(output('endpoint'), name);
  const root = project('endpoint');
  await build({
    root,
    configFile: false,
    logLevel: 'error',
    build: { outDir, emptyOutDir: true },
    ...options,
  });
  return outDir;
}

async function byWebpack(name, plugins) {
  const path = join(output('endpoint'), name);
  const entry = join(project('endpoint'), 'main.js');
  const compiler = webpack({
    mode: 'production',
    entry,
    output: { path, filename: 'main.js' },
    plugins,
  });
  const stats = await new Promise((resolve, reject) =>
    compiler.run((error, made) => (error ? reject(error) : resolve(made))),
  );
  const { errors, warnings } = stats.toJson({ all: false, errors: true, warnings: true });
  assert.deepEqual([...errors, ...warnings], []);
  return path;
}

test('Vite, define', async () => {
  await stage.visit([await byVite('vite-define', { define: define() })], converses);
});

test('Vite, define, while developing', async () => {
  const place = join(output('endpoint'), 'dev');
  await rm(place, { recursive: true, force: true });
  await cp(project('endpoint'), join(place, 'app'), { recursive: true });
  await cp(project('shared'), join(place, 'shared'), { recursive: true });
  const server = await createServer({
    root: join(place, 'app'),
    configFile: false,
    logLevel: 'error',
    cacheDir: join(place, 'cache'),
    define: define(),
    server: { host: '127.0.0.1', port: 0, fs: { allow: [join(place, '../../../sdk')] } },
  });
  await server.listen();
  const { port } = server.httpServer.address();
  const visited = await open(stage.browser, `http://127.0.0.1:${port}/`);
  try {
    await converses(visited);
  } finally {
    await visited.close();
    await server.close();
  }
});

test('webpack, DefinePlugin', async () => {
  const made = await byWebpack('webpack', [new webpack.DefinePlugin(define())]);
  await stage.visit([made, project('endpoint')], converses);
});

test('webpack without anything: the page says it, by meta and by a global', async () => {
  const made = await byWebpack('webpack-plain', []);
  const { origin } = stage.server;
  const meta = await pageWith('meta', `<meta name="tidings-endpoint" content="${origin}" />`);
  await stage.visit([meta, made], converses);
  const global = await pageWith(
    'global',
    `<script>globalThis.TIDINGS_ENDPOINT = '${origin}';</script>`,
  );
  await stage.visit([global, made], converses);
});

for (const [how, head] of [
  ['meta', (origin) => `<meta name="tidings-endpoint" content="${origin}" />`],
  ['global', (origin) => `<script>var TIDINGS_ENDPOINT = '${origin}';</script>`],
]) {
  test(`script tag, ${how}`, async () => {
    const folder = await pageWith(
      `script-${how}`,
      `${head(stage.server.origin)}\n  <script src="/tidings-rtm.umd.js"></script>`,
    );
    await writeFile(
      join(folder, 'main.js'),
      "import { converse } from '/converse.mjs';\nwindow.result = converse(AgoraRTM, undefined, 'script');\n",
    );
    await stage.visit([folder, join(INSTALLED, 'dist'), project('shared')], converses);
  });
}

test('a page that says nothing tries its own origin, and the error says which that was and what to set', async () => {
  const made = await byVite('nothing', {});
  const page = await readFile(join(made, 'index.html'), 'utf8');
  const watch =
    '<script>addEventListener("unhandledrejection", ({ reason }) => (window.failed = reason.message));</script>';
  await writeFile(join(made, 'index.html'), page.replace('<title>', `${watch}\n  <title>`));
  const web = await serve(made);
  const visited = await open(stage.browser, web.origin);
  try {
    // A login takes 12 s to give up.
    await visited.page.waitForFunction(() => window.failed !== undefined, undefined, {
      timeout: 40_000,
    });
    const text = await visited.page.evaluate(() => window.failed);
    const ways = [
      'config.endpoint',
      'TIDINGS_ENDPOINT',
      '<meta name="tidings-endpoint">',
      'process.env',
    ];
    for (const part of [web.origin.replace('http', 'ws'), ...ways])
      assert.ok(text.includes(part), `${part} is not in: ${text}`);
  } finally {
    await visited.close();
    web.close();
  }
});

test('a program of an old Babel preset has its regeneratorRuntime', async () => {
  await stage.visit([project('old-babel'), join(INSTALLED, 'dist')], async (visited) => {
    assert.equal(await resultOf(visited), 'DISCONNECTED');
  });
});
