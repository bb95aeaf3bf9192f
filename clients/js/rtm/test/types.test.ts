/** The typings, as a program sees them through the installed package. Needs `npm run build`. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { Project, ROOT } from './support/compiler.js';

const PROGRAM = readFileSync(join(ROOT, 'test/programs/program.ts'), 'utf8');
const CODES = 'const timeout: 9 = codes.LOGIN_ERR_TIMEOUT; console.log(timeout);';
const project = new Project('@tidings/rtm');
afterAll(() => project.remove());

const named =
  'import type { RtmChannel, RtmClient, RtmEvents, RtmMessage, RtmStatusCode, RtmTextMessage } from';
const uses =
  'export type All = [RtmChannel, RtmClient, RtmEvents.RtmClientEvents, RtmMessage, RtmStatusCode.AreaCode, RtmTextMessage];';
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
it('what the original typings let through compiles: members without a look at the kind, enums and texts mixed', () => {
  const program = readFileSync(join(ROOT, 'test/programs/loose.ts'), 'utf8');
  for (const options of [
    { module: 'esnext', moduleResolution: 'bundler' },
    { module: 'nodenext' },
  ]) {
    expect(project.compile('loose.mts', program, options)).toBe('exit 0: ');
  }
});

// proves: rtm-1.1-types-cjs, rtm-1.1-types-esm, rtm-1.3-legacy-area-code, rtm-1.4-text, rtm-1.4-raw
// proves: rtm-1.4-received, rtm-1.4-config, rtm-1.4-counts, rtm-1.4-enum-or-text, rtm-1.7-callee-read-only
// proves: rtm-1.4-send-result
it.each(programs)('%s compiles', (_, file, load, options) => {
  expect(project.compile(file, PROGRAM.replace('/* LOAD */', load), options)).toBe('exit 0: ');
});
