// Packs packages as `npm pack` does, but to the byte the same on every machine, and says what there is.
//
//   node pack.mjs OUT FOLDER...
//
// OUT gets, for each package: `NAME-VERSION.tgz`, the same as `NAME.tgz`, its script for pages under a name with the
// beginning of its SHA-256, plain and compressed, and `packages.json`, which lists them with what `npm` and `<script integrity>` check.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { promisify } from 'node:util';
import zopfli from '@gfx/zopfli';
import { pack } from 'tar-stream';

/** Hexadecimal digits of a content's hash in a name. */
const HASH_DIGITS = 16;
/** As in every archive of npm. */
const MODIFIED = new Date('1985-10-26T08:15:00Z');

const [out, ...folders] = process.argv.slice(2).map((path) => resolve(path));
if (out === undefined || folders.length === 0)
  throw new Error('usage: node pack.mjs OUT FOLDER...');

const digest = (algorithm, content) =>
  `${algorithm}-${createHash(algorithm).update(content).digest('base64')}`;

/** The files that npm would take, in the order of their names. */
function filesOf(folder) {
  const words = ['pack', '--dry-run', '--json', '--ignore-scripts'];
  const [{ files }] = JSON.parse(
    execFileSync('npm', words, {
      cwd: folder,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'inherit'],
    }),
  );
  return files.map(({ path }) => path).sort();
}

async function archiveOf(folder) {
  const tar = pack();
  for (const path of filesOf(folder)) {
    // Neither the owner nor the mode that a file happens to have here.
    tar.entry(
      { name: `package/${path}`, mode: 0o644, mtime: MODIFIED },
      await readFile(join(folder, path)),
    );
  }
  tar.finalize();
  // The compressor of the platform differs from version to version.
  return Buffer.from(await promisify(zopfli.gzip)(await buffer(tar), { numiterations: 1 }));
}

await rm(out, { recursive: true, force: true });
await mkdir(out, { recursive: true });
const packages = [];
for (const folder of folders) {
  const { name, version, unpkg } = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8'));
  const stem = name.replace('@', '').replace('/', '-');
  const archive = await archiveOf(folder);
  const file = `${stem}-${version}.tgz`;
  await writeFile(join(out, file), archive);
  await writeFile(join(out, `${stem}.tgz`), archive);
  const entry = {
    name,
    version,
    archive: { file, bytes: archive.length, integrity: digest('sha512', archive) },
  };
  if (unpkg !== undefined) {
    const script = await readFile(join(folder, unpkg));
    const hash = createHash('sha256').update(script).digest('hex').slice(0, HASH_DIGITS);
    const named = basename(unpkg).replace('.', `.${hash}.`);
    await writeFile(join(out, named), script);
    // The server sends these bytes, which are what the budget of the script is measured in.
    const compressed = await promisify(zopfli.gzip)(script, { numiterations: 15 });
    await writeFile(join(out, `${named}.gz`), compressed);
    await writeFile(join(folder, `${unpkg}.gz`), compressed);
    entry.script = {
      file: named,
      latest: basename(unpkg),
      bytes: script.length,
      integrity: digest('sha384', script),
    };
  }
  packages.push(entry);
}
await writeFile(join(out, 'packages.json'), `${JSON.stringify({ packages }, undefined, 2)}\n`);
