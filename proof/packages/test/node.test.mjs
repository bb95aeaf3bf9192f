/** Programs in Node: CommonJS, TypeScript in each resolution, rendering on a server. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { build } from 'esbuild';
import { Server } from '../../browser/lib/server.mjs';
import { EXPECTED, compile, node, output, project } from '../lib/project.mjs';

let server;
before(async () => {
  server = await Server.start();
});
after(() => server?.stop());

/** A program's conversation with the real server; it ends by itself. */
const run = async (file) => JSON.parse(await node([file], { ENDPOINT: server.origin }));

// proves: rtm-1.1-umd, rtm-1.1-node
test('CommonJS require', async () => {
  assert.deepEqual(await run(join(project('commonjs'), 'main.cjs')), EXPECTED);
});

test('deep paths, from CommonJS and from an ES module', async () => {
  const commonJs = JSON.parse(await node([join(project('deep-commonjs'), 'main.js')]));
  assert.deepEqual(commonJs, [true, true, true, 'function', true, 'object']);
  assert.deepEqual(JSON.parse(await node([join(project('deep-module'), 'main.js')])), [
    true,
    true,
    true,
  ]);
});

// proves: rtm-1.1-types-esm
test('TypeScript, strict, moduleResolution bundler', async () => {
  assert.equal(await compile('typescript-bundler'), '');
  const outfile = join(output('typescript-bundler'), 'main.mjs');
  const entry = join(project('typescript-bundler'), 'main.ts');
  const { warnings } = await build({
    entryPoints: [entry],
    outfile,
    bundle: true,
    format: 'esm',
    platform: 'node',
    logLevel: 'silent',
  });
  assert.deepEqual(warnings, []);
  assert.deepEqual(await run(outfile), EXPECTED);
});

// proves: rtm-1.1-types-esm, rtm-1.1-types-cjs
test('TypeScript, strict, moduleResolution node16, as ES module and as CommonJS', async () => {
  assert.equal(await compile('typescript-node16'), '');
  for (const file of ['module.mjs', 'commonjs.cjs']) {
    assert.deepEqual(await run(join(output('typescript-node16'), file)), EXPECTED, file);
  }
});

const SSR = project('server-rendering');
/** Imported and rendered: nothing of a browser was looked at, nothing runs, and the process has ended. */
const UNTOUCHED = { html: '<p>DISCONNECTED</p>', ofImport: [], resources: [] };

for (const [how, packages] of [
  ['left to Node', 'external'],
  ['bundled', 'bundle'],
]) {
  test(`rendering on a server, the package ${how}`, async () => {
    const outfile = join(output('server-rendering'), `${packages}.mjs`);
    await build({
      entryPoints: [join(SSR, 'main.jsx')],
      outfile,
      bundle: true,
      format: 'esm',
      platform: 'node',
      jsx: 'automatic',
      external: ['react', 'react/jsx-runtime'],
      packages,
      logLevel: 'silent',
    });
    const rendered = await node([join(SSR, 'render.mjs')], { COMPONENT: outfile });
    assert.deepEqual(JSON.parse(rendered), UNTOUCHED);
  });
}

// proves: rtm-1.1-node
test('require on a server', async () => {
  const seen = JSON.parse(await node([join(SSR, 'require.cjs')]));
  assert.deepEqual(seen, { ...UNTOUCHED, html: 'function' });
});
