/** The same sources make the same packages, to the byte, wherever and in whichever order they are read. */
import { execFileSync } from 'node:child_process';
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, it } from 'vitest';

const SDK = fileURLToPath(new URL('../..', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'tidings-reproducible-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** Copies the sources, file by file in the given order, and builds and packs them there. */
function make(place: string, order: (names: string[]) => string[]): Map<string, string> {
  const root = join(folder, place);
  for (const name of ['core', 'rtm']) {
    const from = join(SDK, name);
    const files = readdirSync(from, { recursive: true, withFileTypes: true, encoding: 'utf8' });
    const paths = files
      .filter((file) => file.isFile())
      .map((file) => join(file.parentPath, file.name));
    const sources = paths.filter(
      (path) => !/\/(node_modules|dist|test)\//.test(path.slice(from.length)),
    );
    for (const path of order(sources.sort())) {
      const to = join(root, name, path.slice(from.length));
      mkdirSync(join(to, '..'), { recursive: true });
      cpSync(path, to);
    }
  }
  mkdirSync(join(root, 'rtm/node_modules'));
  for (const entry of readdirSync(join(SDK, 'rtm/node_modules'))) {
    if (entry !== '@tidings')
      symlinkSync(join(SDK, 'rtm/node_modules', entry), join(root, 'rtm/node_modules', entry));
  }
  mkdirSync(join(root, 'rtm/node_modules/@tidings'));
  symlinkSync(join(root, 'core'), join(root, 'rtm/node_modules/@tidings/core'));
  const options = { cwd: join(root, 'rtm'), stdio: 'pipe' } as const;
  // Files that are made get other modes, and threads finish in another order.
  const shell = (umask: string, line: string) =>
    execFileSync('sh', ['-c', `umask ${umask} && ${line}`], options);
  shell(place.length > 3 ? '077' : '022', 'node build.mjs && node pack.mjs ../pack .');
  const made = readdirSync(join(root, 'pack')).sort();
  return new Map(
    made.map((name) => [name, readFileSync(join(root, 'pack', name)).toString('base64')]),
  );
}

it('in two folders', () => {
  const one = make('one', (names) => names);
  const other = make('another/place with a space', (names) => names.reverse());
  expect([...other.keys()]).toEqual([...one.keys()]);
  expect([...one.keys()]).toHaveLength(5);
  for (const [name, content] of one) expect(other.get(name) === content, name).toBe(true);
}, 120_000);
