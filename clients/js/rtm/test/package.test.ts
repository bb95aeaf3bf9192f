/** The built package: every way of loading it, its exports, its size. Needs `npm run build`. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createContext, runInContext } from 'node:vm';
import zopfli from '@gfx/zopfli';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const read = (file: string) => readFileSync(join(ROOT, 'dist', file), 'utf8');
/** Bytes of the UMD file, compressed. */
const SIZE_MAX = 25.5 * 1024;

interface Api extends Record<string, unknown> {
  createInstance: (appId: string, config?: unknown) => { connectionState: string };
}

/** A program's folder with the package installed. */
let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'tidings-rtm-'));
  mkdirSync(join(folder, 'node_modules/@tidings'), { recursive: true });
  symlinkSync(ROOT, join(folder, 'node_modules/@tidings/rtm'));
});
afterAll(() => rmSync(folder, { recursive: true }));

function run(file: string, source: string): string {
  writeFileSync(join(folder, file), source);
  return execFileSync(process.execPath, [join(folder, file)], { encoding: 'utf8' }).trim();
}

const EXPORTS = [
  'AreaCode',
  'BUILD',
  'ConnectionChangeReason',
  'ConnectionState',
  'END_CALL_PREFIX',
  'LOG_FILTER_DEBUG',
  'LOG_FILTER_ERROR',
  'LOG_FILTER_INFO',
  'LOG_FILTER_OFF',
  'LOG_FILTER_WARNING',
  'LocalInvitationFailureReason',
  'LocalInvitationState',
  'MessageType',
  'PeerOnlineState',
  'PeerSubscriptionOption',
  'RemoteInvitationFailureReason',
  'RemoteInvitationState',
  'RtmStatusCode',
  'VERSION',
  'createInstance',
  'getParameter',
  'processId',
  'setArea',
  'setParameter',
];

/** Runs a script without any global but the language's own, and `given`. */
function inBareRealm(file: string, given: Record<string, unknown> = {}): Record<string, unknown> {
  const context = createContext(given);
  runInContext(read(file), context);
  return context as Record<string, unknown>;
}

describe('loading', () => {
  // proves: rtm-1.1-umd, rtm-1.1-node, rtm-1.1-error-code
  it('by script tag: a global, no side effect, no global needed', () => {
    const realm = inBareRealm('tidings-rtm.umd.js');
    expect(Object.keys(realm)).toEqual(['AgoraRTM']);
    const api = realm['AgoraRTM'] as Api;
    expect(Object.keys(api).sort()).toEqual([...EXPORTS, 'default'].sort());
    const codes = inBareRealm('error-code.js');
    expect(Object.keys(codes)).toEqual(['RtmErrorCode']);
  });

  // proves: rtm-1.1-umd
  it('by an AMD loader', () => {
    let made: unknown;
    const define = Object.assign((_names: unknown, factory: () => unknown) => (made = factory()), {
      amd: {},
    });
    const realm = inBareRealm('tidings-rtm.umd.js', { define });
    expect(realm['AgoraRTM']).toBeUndefined();
    expect(made).toHaveProperty('createInstance');
  });

  // proves: rtm-1.1-default, rtm-1.1-umd
  it('by require: itself as default, no __esModule', () => {
    const api = createRequire(join(folder, 'x.js'))('@tidings/rtm') as Api;
    expect(api['default']).toBe(api);
    expect('__esModule' in api).toBe(false);
    expect(Object.keys(api).sort()).toEqual([...EXPORTS, 'default'].sort());
  });

  // proves: rtm-1.1-default, rtm-1.1-node, rtm-1.2-version
  it('by import and require in Node', () => {
    const print =
      'console.log(typeof AgoraRTM.createInstance, AgoraRTM.VERSION, typeof codes.LOGIN_ERR_TIMEOUT)';
    const version = (
      JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string }
    ).version;
    const expected = `function ${version} number`;
    const imports =
      "import AgoraRTM from '@tidings/rtm'; import codes from '@tidings/rtm/error-code';";
    expect(run('a.mjs', `${imports} ${print}`)).toBe(expected);
    const requires =
      "const AgoraRTM = require('@tidings/rtm'); const codes = require('@tidings/rtm/error-code');";
    expect(run('a.cjs', `${requires} ${print}`)).toBe(expected);
    const namespace =
      "import * as x from '@tidings/rtm'; console.log(Object.keys(x).sort().join())";
    expect(run('b.mjs', namespace)).toBe([...EXPORTS, 'default'].sort().join());
  });

  // proves: rtm-1.1-node, rtm-8-node
  it('by a bundler: no warning, nothing of Node in it, and it still finds the socket', async () => {
    const { build } = await import('vite');
    const entry = join(folder, 'app.mjs');
    writeFileSync(
      entry,
      "import AgoraRTM from '@tidings/rtm';\nexport const client = AgoraRTM.createInstance('0'.repeat(32), { endpoint: 'http://127.0.0.1:1' });",
    );
    const warnings: string[] = [];
    const warn = (text: string) => void warnings.push(text);
    const logger = {
      hasWarned: false,
      info: () => undefined,
      warn,
      warnOnce: warn,
      error: warn,
      clearScreen: () => undefined,
      hasErrorLogged: () => false,
    };
    await build({
      root: folder,
      configFile: false,
      customLogger: logger,
      build: {
        lib: { entry, formats: ['es'], fileName: () => 'app.js' },
        outDir: join(folder, 'out'),
      },
    });
    const bundled = readFileSync(join(folder, 'out/app.js'), 'utf8');
    expect(warnings).toEqual([]);
    expect(bundled).not.toContain('node:http');
    writeFileSync(join(folder, 'out/package.json'), '{"type":"module"}');
    const program = [
      'import { client } from "./out/app.js";',
      'client.updateConfig({ logFilter: { info: true, warn: true, error: true } });',
      'const log = console.log; const lines = []; console.log = (line) => lines.push(line);',
      'const login = client.login({ uid: "alice" }).catch(() => {});',
      'setTimeout(() => { log(lines.some((line) => line.includes("ECONNREFUSED"))); process.exit(); }, 300);',
    ].join('\n');
    // Node from 22 has a WebSocket, which does not say why it failed.
    const expected = 'WebSocket' in globalThis ? /^(true|false)$/ : /^true$/;
    expect(run('c.mjs', program)).toMatch(expected);
  });
});

describe('files', () => {
  it(`the UMD file has at most ${SIZE_MAX} bytes compressed`, async () => {
    const size = await new Promise<number>((resolve, reject) => {
      const code = Buffer.from(read('tidings-rtm.umd.js'));
      zopfli.gzip(code, { numiterations: 15 }, (error: unknown, zipped: Uint8Array) =>
        error ? reject(error) : resolve(zipped.length),
      );
    });
    expect(size).toBeGreaterThan(5_000);
    expect(size).toBeLessThanOrEqual(SIZE_MAX);
  });

  // proves: rtm-8-one-version, rtm-1.2-version
  it('the SDK has the version of the server, and tells it at the login', () => {
    const workspace = readFileSync(join(ROOT, '../../../Cargo.toml'), 'utf8');
    const [, version] = /\[workspace\.package\][^[]*\nversion = "([^"]+)"/.exec(workspace) ?? [];
    const ours = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
      version: string;
    };
    expect(ours.version).toBe(version);
    expect(read('index.mjs')).toContain(`"${ours.version}"`);
    expect(read('index.mjs')).toContain('tidings-rtm-js/');
  });

  it('source maps fit', () => {
    for (const file of ['index.mjs', 'tidings-rtm.umd.js', 'node-socket.mjs', 'error-code.js']) {
      const map = JSON.parse(read(`${file}.map`)) as { sources: string[]; mappings: string };
      expect(map.sources.length).toBeGreaterThan(0);
      expect(read(file)).toContain(`sourceMappingURL=${file}.map`);
    }
  });

  it('bundlers are told to leave the import of the Node file alone', () => {
    for (const file of ['index.mjs', 'tidings-rtm.umd.js']) {
      const imports = read(file).match(/\bimport\([^)]*\)/g);
      expect(imports).toEqual([expect.stringMatching(/webpackIgnore: true.*@vite-ignore/)]);
    }
  });

  it('the lock file names no registry', () => {
    const lock = readFileSync(join(ROOT, 'package-lock.json'), 'utf8');
    expect(/"resolved": "http/.test(lock)).toBe(false);
  });
});
