/** Packs @tidings/rtm, @tidings/react and @tidings/server as a release does, and installs the archives as an application does. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const HERE = fileURLToPath(new URL('..', import.meta.url));
const PACKAGES = ['rtm', 'react', 'server'].map((name) => join(HERE, '../../clients/js', name));
/** Where the archive lies: ignored, as everything that is made. */
const OUT = join(HERE, 'dist/package');

function npm(folder, ...args) {
  const options = { cwd: folder, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] };
  return execFileSync('npm', [...args, '--silent'], options).trim();
}

rmSync(OUT, { recursive: true, force: true });
mkdirSync(OUT, { recursive: true });
execFileSync(process.execPath, [join(HERE, '../../clients/js/rtm/pack.mjs'), OUT, ...PACKAGES], {
  stdio: 'inherit',
});
const versioned = readdirSync(OUT).filter((name) => /\d\.tgz$/.test(name));
// The packages depend on nothing that is not here: nothing is fetched.
const archives = versioned.map((name) => join(OUT, name));
npm(HERE, 'install', '--no-save', '--offline', '--no-fund', '--no-audit', ...archives);
