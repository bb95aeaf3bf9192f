// Builds dist/: an ES module, CommonJS, and the typings.
import { execFileSync } from 'node:child_process';
import { copyFile, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'vite';
import { target, transform } from '../core/build/compatible.mjs';

const root = dirname(fileURLToPath(import.meta.url));
const dist = join(root, 'dist');

await rm(dist, { recursive: true, force: true });
await build({
  root,
  configFile: false,
  logLevel: 'warn',
  build: {
    outDir: dist,
    target,
    sourcemap: true,
    minify: false,
    lib: {
      entry: join(root, 'src/index.ts'),
      formats: ['es', 'cjs'],
      fileName: (format) => (format === 'es' ? 'index.mjs' : 'index.js'),
    },
    rolldownOptions: {
      transform,
      external: ['react', '@tidings/rtm'],
      output: { exports: 'named' },
    },
  },
});
const tsc = join(
  dirname(createRequire(import.meta.url).resolve('typescript/package.json')),
  'bin/tsc',
);
execFileSync(process.execPath, [tsc, '-p', root], { stdio: 'inherit' });
await copyFile(join(dist, 'index.d.ts'), join(dist, 'index.d.mts'));
