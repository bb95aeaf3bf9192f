/** The real program, on a port of its own, with an empty data directory. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
const READY = /^tidings is ready: (\S+)/;
const READY_WITHIN_MS = 15_000;

/** What has to be built before, and how. */
const PARTS = [
  ['site/demo/dist/index.html', 'npm ci && npm run build in site/demo/'],
  ['clients/js/rtm/dist/tidings-rtm.umd.js', 'npm ci && npm run build in clients/js/rtm/'],
];

export class Server {
  /** `http://127.0.0.1:PORT`, the same after a restart. */
  origin = '';
  #dataDir = '';
  /** @type {import('node:child_process').ChildProcess | undefined} */
  #process;
  /** The last lines of its log, for the message of a failure. */
  #log = [];
  /** Options of `serve` besides those that every test gives. */
  #more = [];
  /** The admin key that it has printed at its first start. */
  key = '';

  /** `options`: of `serve`, besides those that every test gives; `parts`: what has to be built before, if not everything; `listen`: where, if not at any free port. */
  static async start({ options = [], parts = PARTS, listen = '127.0.0.1:0' } = {}) {
    const server = new Server();
    server.#more = options;
    const program = programPath();
    const missing = [
      [program, 'cargo build -p tidings'],
      ...parts.map(([path, how]) => [join(ROOT, path), how]),
    ].filter(([path]) => !existsSync(path));
    if (missing.length > 0) {
      throw new Error(missing.map(([path, how]) => `there is no ${path}; run ${how}`).join('\n'));
    }
    server.#dataDir = await mkdtemp(join(tmpdir(), 'tidings-e2e-data-'));
    try {
      await server.#run(listen);
    } catch (error) {
      await server.stop();
      throw error;
    }
    return server;
  }

  /** `kill -9`: no drain, no goodbye. */
  async kill() {
    const running = this.#process;
    if (!running) return;
    this.#process = undefined;
    const ended =
      running.exitCode === null && running.signalCode === null ? once(running, 'exit') : undefined;
    running.kill('SIGKILL');
    await ended;
  }

  /** The same address and the same data. */
  async startAgain() {
    await this.#run(new URL(this.origin).host);
  }

  async stop() {
    await this.kill();
    await rm(this.#dataDir, { recursive: true, force: true });
  }

  async #run(listen) {
    const options = [
      'serve',
      '--dev',
      '--hubs',
      '2',
      '--disk-reserve',
      '0',
      '--listen',
      listen,
      '--data-dir',
      this.#dataDir,
      ...this.#more,
    ];
    const started = spawn(programPath(), options, { stdio: ['ignore', 'pipe', 'pipe'] });
    this.#process = started;
    createInterface({ input: started.stderr }).on('line', (line) => this.#note(line));
    const lines = createInterface({ input: started.stdout });
    const address = await new Promise((resolve, reject) => {
      const timer = setTimeout(
        () => fail(`was not ready within ${READY_WITHIN_MS} ms`),
        READY_WITHIN_MS,
      );
      const fail = (what) => {
        clearTimeout(timer);
        reject(new Error(`the server ${what}; its last lines:\n${this.#log.join('\n')}`));
      };
      started.once('error', (error) => fail(`could not be started: ${error.message}`));
      started.once('exit', (code, signal) => fail(`has ended with ${signal ?? code}`));
      lines.on('line', (line) => {
        this.#note(line);
        const ready = READY.exec(line);
        if (!ready) return;
        clearTimeout(timer);
        resolve(ready[1]);
      });
    });
    this.origin = new URL(address).origin;
  }

  /** The last lines of its log. */
  get log() {
    return this.#log.join('\n');
  }

  #note(line) {
    this.key ||= /^\s+(tdk_\S+)$/.exec(line)?.[1] ?? '';
    this.#log.push(line);
    if (this.#log.length > 40) this.#log.shift();
  }
}

/** A port that nobody listens at now. */
export async function freePort() {
  const listener = createServer().listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const { port } = listener.address();
  listener.close();
  await once(listener, 'close');
  return port;
}

function programPath() {
  return process.env['TIDINGS_BIN'] ?? join(ROOT, 'target/debug/tidings');
}
