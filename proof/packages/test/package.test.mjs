/** What the checkers of packages say of the archive. */
import assert from 'node:assert/strict';
import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { checkPackage, createPackageFromTarballData } from '@arethetypeswrong/core';
import { parse } from 'acorn';
import { publint } from 'publint';
import { formatMessage } from 'publint/utils';
import { HERE, INSTALLED } from '../lib/project.mjs';

/**
 * The checker reads the minified UMD file and does not see that it carries itself as `default`, which is
 * what the typings for the oldest resolution say. The package's own tests prove that it does.
 */
function isSelfAsDefault({ kind, implementationFileName }) {
  return (
    kind === 'FalseExportDefault' && implementationFileName.endsWith('/dist/tidings-rtm.umd.js')
  );
}

test('publint has nothing to say', async () => {
  const manifest = JSON.parse(await readFile(join(INSTALLED, 'package.json'), 'utf8'));
  const { messages } = await publint({ pkgDir: INSTALLED, strict: true, pack: false });
  assert.deepEqual(
    messages.map((message) => formatMessage(message, manifest, { color: false })),
    [],
  );
});

test('the typings are right in every resolution', async () => {
  const folder = join(HERE, 'dist/package');
  const [archive] = (await readdir(folder)).filter((name) => /^tidings-rtm-.*\.tgz$/.test(name));
  const data = createPackageFromTarballData(await readFile(join(folder, archive)));
  // The first is for the package itself, which fetches it with `import()` in Node without a WebSocket; the second is
  // loaded for its effect and has nothing to type.
  const analysis = await checkPackage(data, {
    excludeEntrypoints: ['node-socket', 'regenerator-runtime'],
  });
  assert.deepEqual(analysis.types, { kind: 'included' });
  assert.deepEqual(
    analysis.problems.filter((problem) => !isSelfAsDefault(problem)),
    [],
  );
});

test('webpack 4, of which this is the parser, can read every file', async () => {
  const folder = join(INSTALLED, 'dist');
  const files = (await readdir(folder)).filter((name) => /\.m?js$/.test(name));
  assert.ok(files.length >= 4, files.join());
  for (const name of files) {
    const sourceType = name.endsWith('.mjs') ? 'module' : 'script';
    parse(await readFile(join(folder, name), 'utf8'), { ecmaVersion: 11, sourceType });
  }
});
