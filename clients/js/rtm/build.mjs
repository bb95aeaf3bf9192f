// Builds dist/: ES module, UMD, the Node WebSocket client, the error codes, and the typings.
import { copyFile, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import zopfli from '@gfx/zopfli';
import { minify } from 'terser';
import { build, parseAst } from 'vite';
import { internalNames, privateNames, target, transform } from '../core/build/compatible.mjs';

const root = dirname(fileURLToPath(import.meta.url));
const dist = join(root, 'dist');
const { version } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'));

const sources = [join(root, '../core/src'), join(root, 'src')];
const ours = internalNames(parseAst, sources, {
  typings: join(root, 'types/index.d.mts'),
  shared: join(root, '../core/src/rivals.ts'),
});
/** For what is sent to pages: names of our own are shortened as well. */
const terserOptions = {
  ecma: 2019,
  compress: { passes: 3, pure_getters: true, inline: 1 },
  mangle: { properties: { regex: new RegExp(`^(${ours.join('|')})$`) } },
};

/** Bytes of the UMD file as it travels, compressed. Source: ours; half a KiB of it is for lists of endpoints. */
const UMD_BYTES_MAX = 25.5 * 1024;
/** Bundlers must leave the import of the Node file alone; minifiers drop the comments that say so. */
const IGNORE = '/* webpackIgnore: true */ /* @vite-ignore */';

/** One file from one entry. */
async function bundle({ entry, file, format, name, isMinified }) {
  await build({
    root,
    configFile: false,
    logLevel: 'warn',
    plugins: [privateNames(parseAst, sources)],
    define: { __TIDINGS_VERSION__: JSON.stringify(version) },
    build: {
      outDir: dist,
      emptyOutDir: false,
      target,
      sourcemap: true,
      minify: false,
      lib: { entry: join(root, entry), formats: [format], name, fileName: () => file },
      rolldownOptions: {
        transform,
        external: [/^node:/],
        output: { exports: format === 'umd' ? 'default' : 'named' },
      },
    },
  });
  const path = join(dist, file);
  if (isMinified) await shorten(path);
  const code = await readFile(path, 'utf8');
  // The length of what stands before the import in its line stays, so the source map stays right
  // for everything but the rest of this one expression.
  const kept = code.replace(
    /\bimport\(\s*(?:\/\*[^*]*\*\/\s*)*([\w$]+)\s*\)/g,
    `import(${IGNORE} $1)`,
  );
  if (kept !== code) await writeFile(path, kept);
}

/** Minifies a file where it lies, and its source map with it. */
async function shorten(path) {
  const content = await readFile(`${path}.map`, 'utf8');
  const sourceMap = { content, filename: basename(path), url: `${basename(path)}.map` };
  const code = (await readFile(path, 'utf8')).replace(/\n\/\/# sourceMappingURL=.*\s*$/, '');
  const short = await minify(code, { ...terserOptions, sourceMap });
  await writeFile(path, short.code);
  await writeFile(`${path}.map`, short.map);
}

/** The typings for each way of loading, from the one file that is written by hand. */
async function typings() {
  const module = await readFile(join(root, 'types/index.d.mts'), 'utf8');
  await writeFile(join(dist, 'index.d.mts'), module);
  await writeFile(join(dist, 'index.d.ts'), module);
  const common = module.slice(0, module.indexOf('export default AgoraRTM;'));
  await writeFile(
    join(dist, 'index.d.cts'),
    `${common}export = AgoraRTM;\nexport as namespace AgoraRTM;\n`,
  );
  const codes = await readFile(join(root, '../core/src/generated/codes.ts'), 'utf8');
  const table = codes.slice(codes.indexOf('RTM_ERROR_CODES = {'));
  const constants = [...table.matchAll(/^ {2}(\w+): (\d+),$/gm)];
  const members = constants.map(([, name, value]) => `  const ${name}: ${value};\n`);
  const head =
    '/** Numeric constants of the RTM 1.x API: what `code` of an error means, by method. */\n';
  const names = constants.map(([, name]) => name);
  await writeFile(
    join(dist, 'error-code.mjs'),
    `${constants.map(([, name, value]) => `export const ${name} = ${value};\n`).join('')}export default { ${names.join(', ')} };\n`,
  );
  await writeFile(
    join(dist, 'error-code.d.mts'),
    `${head}${constants.map(([, name, value]) => `export declare const ${name}: ${value};\n`).join('')}declare const RtmErrorCode: { ${names.map((name) => `readonly ${name}: typeof ${name}`).join('; ')} };\nexport default RtmErrorCode;\n`,
  );
  await writeFile(
    join(dist, 'error-code.d.ts'),
    `${head}declare namespace RtmErrorCode {\n${members.join('')}}\nexport = RtmErrorCode;\nexport as namespace RtmErrorCode;\n`,
  );
}

/** Fails when the UMD file has outgrown its budget, compressed as far as gzip goes; Brotli makes it a tenth smaller. */
async function checkSize() {
  const code = await readFile(join(dist, 'tidings-rtm.umd.js'));
  const { length: size } = await promisify(zopfli.gzip)(code, { numiterations: 15 });
  if (size <= UMD_BYTES_MAX) return;
  throw new Error(
    `dist/tidings-rtm.umd.js has ${size} bytes compressed, at most ${UMD_BYTES_MAX} are allowed`,
  );
}

await rm(dist, { recursive: true, force: true });
await mkdir(dist);
await bundle({ entry: 'src/index.ts', file: 'index.mjs', format: 'es', isMinified: false });
await bundle({
  entry: 'src/umd.ts',
  file: 'tidings-rtm.umd.js',
  format: 'umd',
  name: 'AgoraRTM',
  isMinified: true,
});
await bundle({
  entry: 'src/node-socket.ts',
  file: 'node-socket.mjs',
  format: 'es',
  isMinified: false,
});
await bundle({
  entry: 'src/error-code.ts',
  file: 'error-code.js',
  format: 'umd',
  name: 'RtmErrorCode',
  isMinified: true,
});
// The package is "commonjs": what ends in .js is for `require`, what ends in .mjs for `import`.
await writeFile(
  join(dist, 'index.js'),
  "'use strict';\nmodule.exports = require('./tidings-rtm.umd.js');\n",
);
// The global that the original bundle leaves behind, on which programs built with an old Babel preset rely.
await copyFile(
  createRequire(import.meta.url).resolve('regenerator-runtime/runtime'),
  join(dist, 'regenerator-runtime.js'),
);
await typings();
await checkSize();
