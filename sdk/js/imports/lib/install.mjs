/** Packs @tidings/rtm as a release does, and installs the archive as an application does. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const HERE = fileURLToPath(new URL('..', import.meta.url));
const PACKAGE = join(HERE, '../rtm');
/** Where the archive lies: ignored, as everything that is made. */
const OUT = join(HERE, 'dist/package');

function npm(folder, ...args) {
  const options = { cwd: folder, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] };
  return execFileSync('npm', [...args, '--silent'], options).trim();
}

rmSync(OUT, { recursive: true, force: true });
mkdirSync(OUT, { recursive: true });
const archive = join(OUT, npm(PACKAGE, 'pack', '--ignore-scripts', '--pack-destination', OUT));
// The package has no dependencies: nothing is fetched.
npm(HERE, 'install', '--no-save', '--no-package-lock', '--offline', '--no-fund', '--no-audit', archive);
