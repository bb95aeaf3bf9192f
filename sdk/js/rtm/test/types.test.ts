/** The typings, as a program sees them through the installed package. Needs `npm run build`. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const PROGRAM = readFileSync(join(ROOT, 'test/programs/program.ts'), 'utf8');
const CODES = 'const timeout: 9 = codes.LOGIN_ERR_TIMEOUT; console.log(timeout);';
let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'tidings-types-'));
  mkdirSync(join(folder, 'node_modules/@tidings'), { recursive: true });
  symlinkSync(ROOT, join(folder, 'node_modules/@tidings/rtm'));
});
afterAll(() => rmSync(folder, { recursive: true }));

/** What the compiler says of a program that begins with `load`. */
function compile(file: string, load: string, options: object): string {
  writeFileSync(join(folder, file), PROGRAM.replace('/* LOAD */', load));
  const compilerOptions = {
    strict: true,
    noEmit: true,
    target: 'es2022',
    lib: ['es2022', 'dom'],
    types: [],
    noUncheckedIndexedAccess: true,
    ...options,
  };
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: [file] }));
  const tsc = join(ROOT, 'node_modules/typescript/bin/tsc');
  const { status, stdout, stderr } = spawnSync(process.execPath, [tsc, '-p', folder], { encoding: 'utf8' });
  return `exit ${status}: ${stdout}${stderr}`;
}

const named = 'import type { RtmChannel, RtmClient, RtmEvents, RtmMessage, RtmStatusCode, RtmTextMessage } from';
const uses = 'export type All = [RtmChannel, RtmClient, RtmEvents.RtmClientEvents, RtmMessage, RtmStatusCode.AreaCode, RtmTextMessage];';
const programs: [string, string, string, object][] = [
  [
    'an ES module',
    'a.mts',
    `import AgoraRTM from '@tidings/rtm'; ${named} '@tidings/rtm'; ${uses} import codes from '@tidings/rtm/error-code'; ${CODES}`,
    { module: 'nodenext' },
  ],
  [
    'CommonJS',
    'a.cts',
    `import AgoraRTM = require('@tidings/rtm'); import codes = require('@tidings/rtm/error-code'); ${CODES}`,
    { module: 'nodenext' },
  ],
  [
    'a bundled program',
    'b.ts',
    `import AgoraRTM from '@tidings/rtm'; ${named} '@tidings/rtm'; ${uses}`,
    { module: 'esnext', moduleResolution: 'bundler' },
  ],
  [
    'a script that uses the globals',
    'c.ts',
    '/// <reference path="./node_modules/@tidings/rtm/dist/index.d.cts" />\n/// <reference path="./node_modules/@tidings/rtm/dist/error-code.d.ts" />',
    { module: 'esnext', moduleResolution: 'bundler', moduleDetection: 'legacy' },
  ],
];
// proves: rtm-1.1-types-cjs, rtm-1.1-types-esm, rtm-1.3-legacy-area-code, rtm-1.4-text, rtm-1.4-raw
// proves: rtm-1.4-received, rtm-1.4-config, rtm-1.4-counts, rtm-1.4-enum-or-text, rtm-1.7-callee-read-only
// proves: rtm-1.4-send-result
it.each(programs)('%s compiles', (_, file, load, options) => {
  expect(compile(file, load, options)).toBe('exit 0: ');
});
