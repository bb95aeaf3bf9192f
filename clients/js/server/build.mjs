// Builds dist/: an ES module, CommonJS, and the typings of both.
import { execFileSync } from 'node:child_process';
import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'vite';

const root = dirname(fileURLToPath(import.meta.url));
const dist = join(root, 'dist');
const { version } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'));

await rm(dist, { recursive: true, force: true });
await build({
  root,
  configFile: false,
  logLevel: 'warn',
  define: { __TIDINGS_VERSION__: JSON.stringify(version) },
  build: {
    outDir: dist,
    target: 'node20',
    sourcemap: true,
    minify: false,
    lib: {
      entry: join(root, 'src/index.ts'),
      formats: ['es', 'cjs'],
      fileName: (format) => (format === 'es' ? 'index.mjs' : 'index.cjs'),
    },
    rolldownOptions: { external: [/^node:/], output: { exports: 'named' } },
  },
});
const tsc = join(
  dirname(createRequire(import.meta.url).resolve('typescript/package.json')),
  'bin/tsc',
);
const typings = join(dist, 'typings');
execFileSync(
  process.execPath,
  [tsc, '-p', root, '--declaration', '--emitDeclarationOnly', '--outDir', typings],
  { stdio: 'inherit' },
);
// Each way of loading has typings of its own kind, whose imports name files of the same kind.
for (const file of await readdir(typings)) {
  const text = await readFile(join(typings, file), 'utf8');
  for (const kind of ['mts', 'cts']) {
    const own = text.replace(/(from '\.\/[\w-]+)'/g, `$1.${kind.replace('ts', 'js')}'`);
    await writeFile(join(dist, file.replace(/\.ts$/, `.${kind}`)), own);
  }
}
await rm(typings, { recursive: true });
