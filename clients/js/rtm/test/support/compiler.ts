/** Compiles programs as an application does that has installed the package. Needs `npm run build`. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** A folder with the package installed under the given names. */
export class Project {
  readonly #folder = mkdtempSync(join(tmpdir(), 'tidings-types-'));

  constructor(...names: string[]) {
    for (const name of names) {
      const place = join(this.#folder, 'node_modules', name);
      mkdirSync(dirname(place), { recursive: true });
      symlinkSync(ROOT, place);
    }
  }

  remove(): void {
    rmSync(this.#folder, { recursive: true });
  }

  /** What the compiler says of a file with this text: `exit 0: ` when it has nothing to say. */
  compile(file: string, text: string, options: object): string {
    writeFileSync(join(this.#folder, file), text);
    const compilerOptions = {
      strict: true,
      noEmit: true,
      target: 'es2022',
      lib: ['es2022', 'dom'],
      types: [],
      noUncheckedIndexedAccess: true,
      ...options,
    };
    writeFileSync(
      join(this.#folder, 'tsconfig.json'),
      JSON.stringify({ compilerOptions, files: [file] }),
    );
    const tsc = join(ROOT, 'node_modules/typescript/bin/tsc');
    const { status, stdout, stderr } = spawnSync(process.execPath, [tsc, '-p', this.#folder], {
      encoding: 'utf8',
    });
    return `exit ${status}: ${stdout}${stderr}`;
  }
}
