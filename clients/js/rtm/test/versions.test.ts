/** Programs written for 1.2.2, 1.4.5 and 1.5.1 compile unchanged, also when ours is installed under the original's name. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { Project, ROOT } from './support/compiler.js';

const NAMES = ['@tidings/rtm', 'agora-rtm-sdk'];
const project = new Project(...NAMES);
afterAll(() => project.remove());

const BUNDLER = { module: 'esnext', moduleResolution: 'bundler' };
const NODE = { module: 'nodenext' };
const program = (version: string) =>
  readFileSync(join(ROOT, `test/programs/app-${version}.ts`), 'utf8');
const compile = (version: string, file: string, load: string, options: object) =>
  project.compile(file, program(version).replace('/* LOAD */', load), options);

describe.each(NAMES)('as %s', (name) => {
  // proves: rtm-1.4-union-1.2.2, rtm-1.1-types-cjs, rtm-1.1-error-code, rtm-1.4-text, rtm-1.4-raw, rtm-1.4-attributes
  // proves: rtm-1.4-online-maps, rtm-1.4-send-options, rtm-1.4-send-result
  it('a program of 1.2.2, in CommonJS, bundled, and with the globals', { timeout: 60_000 }, () => {
    const requires = `import AgoraRTM = require('${name}'); import RtmErrorCode = require('${name}/error-code');`;
    expect(compile('1.2.2', 'a.cts', requires, NODE)).toBe('exit 0: ');
    const imports = `import AgoraRTM from '${name}'; import RtmErrorCode from '${name}/error-code';`;
    expect(compile('1.2.2', 'a.ts', imports, { ...BUNDLER, esModuleInterop: true })).toBe(
      'exit 0: ',
    );
    const path = (file: string) => `/// <reference path="./node_modules/${name}/dist/${file}" />`;
    const globals = `${path('index.d.cts')}\n${path('error-code.d.ts')}`;
    expect(compile('1.2.2', 'c.ts', globals, { ...BUNDLER, moduleDetection: 'legacy' })).toBe(
      'exit 0: ',
    );
  });

  // proves: rtm-1.4-union-1.4.5, rtm-1.4-image, rtm-1.4-file, rtm-1.4-media-progress, rtm-1.4-config
  it('a program of 1.4.5, in CommonJS and bundled', { timeout: 60_000 }, () => {
    expect(compile('1.4.5', 'b.cts', `import AgoraRTM = require('${name}');`, NODE)).toBe(
      'exit 0: ',
    );
    expect(compile('1.4.5', 'b.ts', `import AgoraRTM from '${name}';`, BUNDLER)).toBe('exit 0: ');
  });

  // proves: rtm-1.4-union-1.5.1, rtm-1.1-types-esm, rtm-1.4-enum-or-text
  it(
    'a program of 1.5.1, with its named types, as ES module and bundled',
    { timeout: 60_000 },
    () => {
      const types =
        'LocalInvitation, RemoteInvitation, RtmChannel, RtmClient, RtmEvents, RtmMessage, RtmRawMessage, RtmTextMessage';
      const load = `import AgoraRTM, { RtmStatusCode } from '${name}'; import type { ${types} } from '${name}';`;
      expect(compile('1.5.1', 'c.mts', load, NODE)).toBe('exit 0: ');
      expect(compile('1.5.1', 'd.ts', load, BUNDLER)).toBe('exit 0: ');
    },
  );
});

// proves: rtm-1.7-callee-read-only
it('what must not compile does not', { timeout: 60_000 }, () => {
  const wrong = `import AgoraRTM from '@tidings/rtm';
    const client = AgoraRTM.createInstance('x');
    client.createLocalInvitation('bob').calleeId = 'carol';`;
  expect(project.compile('e.ts', wrong, BUNDLER)).toMatch(/calleeId.*read-only/);
});
