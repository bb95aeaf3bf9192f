/** The real program with one app, an API key for it, and users who log in there. */
import { spawn } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { buildToken, Tidings } from '../dist/index.mjs';

const ROOT = fileURLToPath(new URL('../../../../', import.meta.url));
export const PROGRAM = process.env.TIDINGS_BIN ?? join(ROOT, 'target/debug/tidings');
const AgoraRTM = createRequire(import.meta.url)(
  join(ROOT, 'clients/js/rtm/dist/tidings-rtm.umd.js'),
);
/** For a machine that does much else; whatever is waited for ends the wait at once. */
const WITHIN_MS = 30_000;

export class RealServer {
  /** A key with the role `admin`, and one with the role `app`. */
  keys = {};
  #process;
  #folder;

  static async start() {
    const server = new RealServer();
    server.#folder = await mkdtemp(join(tmpdir(), 'tidings-server-js-'));
    const words = [
      'serve',
      '--listen',
      '127.0.0.1:0',
      '--disk-reserve',
      '0',
      '--data-dir',
      join(server.#folder, 'data'),
    ];
    // Receivers of webhooks are on this machine, in tests.
    server.#process = spawn(PROGRAM, words, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...server.#settings() },
    });
    const log = [];
    // The first start shows the first key.
    createInterface({ input: server.#process.stderr }).on('line', (line) => {
      log.push(line);
      server.keys.admin ??= /^\s*(tdk_\w+)$/.exec(line)?.[1];
    });
    for await (const line of createInterface({ input: server.#process.stdout })) {
      server.endpoint = /^tidings is ready: (http:\/\/[^/\s]+)/.exec(line)?.[1];
      if (server.endpoint) break;
    }
    if (!server.endpoint || !server.keys.admin)
      throw new Error(`the program did not start: ${log.join('\n')}`);
    const admin = new Tidings({ endpoint: server.endpoint, key: server.keys.admin });
    const wish = { name: 'tests', settings: { issue_tokens: true } };
    const made = await admin.request({ method: 'POST', path: '/api/v1/apps', body: wish });
    server.app = made.id;
    server.certificate = made.certificate;
    for (const role of ['app', 'read']) {
      const body = { name: role, role, apps: [made.id] };
      server.keys[role] = (await admin.request({ method: 'POST', path: '/api/v1/keys', body })).key;
    }
    return server;
  }

  #settings() {
    return { TIDINGS_WEBHOOKS_PRIVATE_TARGETS: 'true' };
  }

  client(settings = {}) {
    return new Tidings({ endpoint: this.endpoint, key: this.keys.app, app: this.app, ...settings });
  }

  /** A user who has logged in with a token that was made here. */
  async login(
    uid,
    token = buildToken({ app: this.app, certificate: this.certificate, user: uid }),
  ) {
    const user = new User(
      AgoraRTM.createInstance(this.app, {
        endpoint: this.endpoint,
        logFilter: AgoraRTM.LOG_FILTER_OFF,
      }),
    );
    await user.client.login({ uid, token });
    return user;
  }

  async stop() {
    const ended = once(this.#process, 'exit');
    this.#process.kill();
    await ended;
    await rm(this.#folder, { recursive: true });
  }
}

class User {
  #news = new EventEmitter();
  heard = [];

  constructor(client) {
    this.client = client;
    client.on('MessageFromPeer', (message, from) => this.#hear({ from, message }));
    client.on('ConnectionStateChanged', (state, reason) => this.#hear({ state, reason }));
  }

  async join(channel) {
    const joined = this.client.createChannel(channel);
    joined.on('ChannelMessage', (message, from) => this.#hear({ channel, from, message }));
    await joined.join();
    return joined;
  }

  #hear(what) {
    this.heard.push(what);
    this.#news.emit('news');
  }

  /** The first that fits. */
  async hears(fits) {
    const limit = AbortSignal.timeout(WITHIN_MS);
    for (;;) {
      const found = this.heard.find(fits);
      if (found) return found;
      await once(this.#news, 'news', { signal: limit }).catch(() => {
        throw new Error(
          `not within ${WITHIN_MS} ms: ${fits}; heard: ${JSON.stringify(this.heard)}`,
        );
      });
    }
  }

  text = (text) => this.hears(({ message }) => message?.text === text);

  /** A login that was ended from outside is over already. */
  logout = () => this.client.logout().catch(() => {});
}

/** Asks until it is so. */
export async function eventually(ask, isSo) {
  const limit = Date.now() + WITHIN_MS;
  for (;;) {
    const found = await ask();
    if (isSo(found)) return found;
    if (Date.now() > limit)
      throw new Error(`not within ${WITHIN_MS} ms: ${isSo}; last: ${JSON.stringify(found)}`);
  }
}
