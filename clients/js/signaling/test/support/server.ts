/** The real program on a free port. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const PROGRAM =
  process.env['TIDINGS_BIN'] ??
  fileURLToPath(new URL('../../../../../target/debug/tidings', import.meta.url));

/** By this process. */
let started = 0;

export class Server {
  readonly #folder = mkdtempSync(join(tmpdir(), 'tidings-signaling-'));
  #process: ChildProcess | undefined;
  /** A loopback address of its own, so that nobody else is given its port while it is stopped. */
  address = `127.${((process.pid >> 8) & 255) | 1}.${process.pid & 255}.${++started}:0`;

  static async start(...settings: string[]): Promise<Server> {
    const server = new Server(settings);
    await server.start();
    return server;
  }

  private constructor(private readonly settings: string[]) {}

  get origin(): string {
    return `http://${this.address}`;
  }

  /** Runs a command of the program on the data directory of this server, which is told of it. */
  command(...words: string[]): void {
    execFileSync(PROGRAM, [...words, '--data-dir', this.#folder], { stdio: 'pipe' });
  }

  /** Starts; again after `kill`, on the same port and directory. */
  async start(): Promise<void> {
    const args = [
      'serve',
      '--dev',
      '--hubs',
      '2',
      '--disk-reserve',
      '0',
      '--listen',
      this.address,
      '--data-dir',
      this.#folder,
    ];
    const child = spawn(PROGRAM, [...args, ...this.settings], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    this.#process = child;
    for await (const line of createInterface({ input: child.stdout })) {
      const ready = /^tidings is ready: http:\/\/([^/]+)\//.exec(line);
      if (ready?.[1] !== undefined) {
        this.address = ready[1];
        return;
      }
    }
    throw new Error('the program ended before it was ready');
  }

  /** `SIGKILL`: as a crash. */
  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    const child = this.#process;
    if (child === undefined) return;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill(signal);
    await ended;
  }

  async stop(): Promise<void> {
    await this.kill();
    rmSync(this.#folder, { recursive: true });
  }
}
