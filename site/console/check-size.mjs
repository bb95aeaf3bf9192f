/** Fails when the built console is larger than it may be: all files, as a browser loads them. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';

const BYTES_MAX = 150_000;

const folder = join(import.meta.dirname, 'dist');
const files = readdirSync(folder, { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile())
  .map((entry) => join(entry.parentPath, entry.name));
const bytes = files.reduce((sum, file) => sum + gzipSync(readFileSync(file)).length, 0);
console.log(`console: ${bytes} bytes with gzip, of at most ${BYTES_MAX}`);
if (bytes >= BYTES_MAX) process.exit(1);
