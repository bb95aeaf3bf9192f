/** Follows a page of the guide: its marked code blocks, run as a reader would, in a fresh folder. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const guide = fileURLToPath(new URL('..', import.meta.url));
export const program = process.env.TIDINGS_BIN ?? join(guide, '../../target/debug/tidings');
/** The address that the guide names; every test has a port of its own. */
const ADDRESS = '127.0.0.1:7400';
/** For a machine that does much else; whatever is waited for ends the wait at once. */
const WITHIN_MS = 60_000;

/** The blocks that stand behind `<!-- run: WHAT -->`, in their order: `{ what, text }`; those of a list without its
 * indentation. */
export function stepsOf(page) {
  const text = readFileSync(join(guide, page), 'utf8');
  const blocks = text.matchAll(/^( *)<!-- run: (.*?) -->\n\1```\w+\n(.*?)^\1```/gms);
  return [...blocks].map(([, indent, what, block]) => ({
    what,
    text: block.replaceAll(new RegExp(`^${indent}`, 'gm'), ''),
  }));
}

/** The lines of the blocks of plain text, which is what a reader should see. */
export function outputsOf(page) {
  const text = readFileSync(join(guide, page), 'utf8');
  return [...text.matchAll(/```text\n(.*?)```/gs)].map(([, block]) => block.trimEnd().split('\n'));
}

/** A port of this machine that nobody uses. */
export async function freePort() {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address();
  probe.close();
  await once(probe, 'close');
  return port;
}

/** A folder with a free port, in which a reader works; ends what was started there. */
export class Place {
  #started = [];
  #leaving = [];

  static async make(replaced = {}) {
    const place = new Place();
    place.address = `127.0.0.1:${await freePort()}`;
    place.folder = mkdtempSync(join(tmpdir(), 'tidings-guide-'));
    place.replaced = { [ADDRESS]: place.address, ...replaced };
    place.env = {
      ...process.env,
      PATH: `${dirname(program)}${delimiter}${process.env.PATH}`,
      // The commands stay as they are in the guide.
      TIDINGS_LISTEN: place.address,
      TIDINGS_DISK_RESERVE: '0',
    };
    return place;
  }

  /** What the page says, with what is this place's own. */
  own(text) {
    return Object.entries(this.replaced).reduce(
      (done, [from, to]) => done.replaceAll(from, to),
      text,
    );
  }

  /** Runs commands to their end; resolves with what they wrote to the terminal and how they ended. */
  async run(text, within = '.') {
    const running = this.start(text, within);
    const code = await running.ended();
    return { code, output: running.output() };
  }

  /** Runs commands that have to succeed; resolves with what they wrote. */
  async works(text, within) {
    const { code, output } = await this.run(text, within);
    assert.equal(code, 0, `${this.own(text)}\n${output}`);
    return output;
  }

  /** What `export` lines set, for everything that comes later, as in a reader's shell. */
  takeVariables(text) {
    for (const [, name, value] of this.own(text).matchAll(/^export (\w+)=(.*)$/gm))
      this.env[name] = value;
  }

  /** What is to be done before everything that was started is ended. */
  atEnd(work) {
    this.#leaving.push(work);
  }

  /** Starts commands that go on. */
  start(text, within = '.') {
    // The shell waits for what it runs to deal with a Ctrl-C.
    const child = spawn('sh', ['-c', `trap : INT\nset -e\n${this.own(text)}`], {
      cwd: join(this.folder, within),
      env: this.env,
      // A process group of its own, as a terminal gives it: Ctrl-C is for all of it.
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const running = new Running(child, this.own(text));
    this.#started.push(running);
    return running;
  }

  async end() {
    await Promise.all(this.#leaving.map((work) => work()));
    await Promise.all(this.#started.map((running) => running.kill()));
    rmSync(this.folder, { recursive: true, force: true });
  }
}

class Running {
  #output = '';
  #child;
  #text;
  #ended;

  constructor(child, text) {
    this.#child = child;
    this.#text = text;
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (data) => (this.#output += data));
    this.#ended = once(child, 'close').then(([code, signal]) => code ?? signal);
  }

  output() {
    return this.#output;
  }

  /** The process id of the shell, and of what it has become by `exec`. */
  get id() {
    return this.#child.pid;
  }

  /** Resolves as soon as a line is there that matches, with the match. */
  async line(wanted) {
    const matches = () =>
      this.#output
        .split('\n')
        .map((line) => (wanted instanceof RegExp ? wanted.exec(line) : line === wanted))
        .find(Boolean);
    return this.#within(`the line ${wanted}`, (resolve) => {
      const look = () => {
        const found = matches();
        if (found) resolve(found);
      };
      look();
      this.#child.stdout.on('data', look);
      this.#child.stderr.on('data', look);
    });
  }

  async ended() {
    return this.#within('its end', (resolve) => this.#ended.then(resolve));
  }

  /** As Ctrl-C does. */
  async interrupt() {
    process.kill(-this.#child.pid, 'SIGINT');
    return this.ended();
  }

  async kill() {
    try {
      process.kill(-this.#child.pid, 'SIGKILL');
    } catch {
      // It has ended by itself.
    }
    await this.#ended;
  }

  #within(what, wait) {
    return new Promise((resolve, reject) => {
      const fail = () =>
        reject(
          new Error(
            `waited ${WITHIN_MS} ms for ${what} of:\n${this.#text}\nits output:\n${this.#output}`,
          ),
        );
      const timer = setTimeout(fail, WITHIN_MS);
      wait((value) => {
        clearTimeout(timer);
        resolve(value);
      });
    });
  }
}
