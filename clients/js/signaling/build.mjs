// Builds dist/: ES module, UMD, and the typings.
import { copyFile, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { build, parseAst } from 'vite';
import { privateNames, target, transform } from '../core/build/compatible.mjs';

const root = dirname(fileURLToPath(import.meta.url));
const dist = join(root, 'dist');

/** Bytes of the UMD file as it travels, compressed. Source: ours. */
const UMD_BYTES_MAX = 10 * 1024;
/** Bundlers must leave the import for old Node alone; minifiers drop the comments that say so. */
const IGNORE = '/* webpackIgnore: true */ /* @vite-ignore */';

async function bundle({ entry, file, format, isMinified }) {
  await build({
    root,
    configFile: false,
    logLevel: 'warn',
    plugins: [privateNames(parseAst, [join(root, '../core/src'), join(root, 'src')])],
    build: {
      outDir: dist,
      emptyOutDir: false,
      target,
      sourcemap: true,
      minify: isMinified ? 'oxc' : false,
      lib: { entry: join(root, entry), formats: [format], name: 'Signal', fileName: () => file },
      rolldownOptions: {
        transform,
        external: ['ws'],
        output: { exports: format === 'umd' ? 'default' : 'named' },
      },
    },
  });
  const path = join(dist, file);
  const code = await readFile(path, 'utf8');
  const kept = code.replace(
    /\bimport\(\s*(?:\/\*[^*]*\*\/\s*)*([\w$]+|`ws`|"ws"|'ws')\s*\)/g,
    `import(${IGNORE} $1)`,
  );
  if (kept !== code) await writeFile(path, kept);
}

async function typings() {
  const module = await readFile(join(root, 'types/index.d.mts'), 'utf8');
  await writeFile(join(dist, 'index.d.mts'), module);
  const common = module.slice(0, module.indexOf('export default Signal;'));
  const typings = `${common}export = Signal;\nexport as namespace Signal;\n`;
  for (const file of ['index.d.cts', 'index.d.ts']) await writeFile(join(dist, file), typings);
}

async function checkSize() {
  const size = gzipSync(await readFile(join(dist, 'tidings-signaling.umd.js')), {
    level: 9,
  }).length;
  if (size <= UMD_BYTES_MAX) return;
  throw new Error(
    `dist/tidings-signaling.umd.js has ${size} bytes compressed, at most ${UMD_BYTES_MAX} are allowed`,
  );
}

await rm(dist, { recursive: true, force: true });
await mkdir(dist);
await bundle({ entry: 'src/index.ts', file: 'signaling.mjs', format: 'es', isMinified: false });
await bundle({
  entry: 'src/umd.ts',
  file: 'tidings-signaling.umd.js',
  format: 'umd',
  isMinified: true,
});
await copyFile(join(dist, 'signaling.mjs'), join(dist, 'index.mjs'));
await rm(join(dist, 'signaling.mjs'));
await typings();
await checkSize();
