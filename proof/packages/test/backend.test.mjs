/**
 * The packed package for backends: what checkers say of it, and programs in each way of loading it.
 */
import assert from 'node:assert/strict';
import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { checkPackage, createPackageFromTarballData } from '@arethetypeswrong/core';
import { publint } from 'publint';
import { formatMessage } from 'publint/utils';
import { Server } from '../../browser/lib/server.mjs';
import { HERE, compile, node, output } from '../lib/project.mjs';

const INSTALLED = join(HERE, 'node_modules/@tidings/server');
const KEY = 'tdk_packages_0123456789abcdef0123456789abcdef';
let server;
before(async () => {
  // A key that the server is given.
  process.env.TIDINGS_API_KEY = KEY;
  server = await Server.start();
});
after(() => server?.stop());

test('publint has nothing to say', async () => {
  const manifest = JSON.parse(await readFile(join(INSTALLED, 'package.json'), 'utf8'));
  assert.equal(manifest.dependencies, undefined);
  const { messages } = await publint({ pkgDir: INSTALLED, strict: true, pack: false });
  assert.deepEqual(
    messages.map((message) => formatMessage(message, manifest, { color: false })),
    [],
  );
});

test('the typings are right in every resolution', async () => {
  const folder = join(HERE, 'dist/package');
  const [archive] = (await readdir(folder)).filter((name) => /^tidings-server-.*\.tgz$/.test(name));
  const analysis = await checkPackage(
    createPackageFromTarballData(await readFile(join(folder, archive))),
  );
  assert.deepEqual(analysis.types, { kind: 'included' });
  assert.deepEqual(analysis.problems, []);
});

test('TypeScript, strict, moduleResolution node16, as ES module and as CommonJS', async () => {
  assert.equal(await compile('backend'), '');
  const expected = {
    outcome: 'offline',
    refused: 'unknown_ban',
    webhook: 'no_signature',
    token: '007',
  };
  for (const file of ['module.mjs', 'commonjs.cjs']) {
    const told = await node([join(output('backend'), file)], { ENDPOINT: server.origin, KEY });
    assert.deepEqual(JSON.parse(told), expected, file);
  }
});
