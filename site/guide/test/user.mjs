/** A user who is logged in, and what they hear. */
import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import AgoraRTM from '../../../clients/js/rtm/dist/index.mjs';

/** For a machine that does much else; whatever is waited for ends the wait at once. */
const WITHIN_MS = 30_000;

export class User {
  heard = [];
  states = [];
  #client;
  #channels = new Map();
  #news = new EventEmitter();

  static async login(address, app, uid, token) {
    const user = new User();
    user.#client = AgoraRTM.createInstance(app, {
      endpoint: `http://${address}`,
      logFilter: AgoraRTM.LOG_FILTER_OFF,
    });
    user.#client.on('MessageFromPeer', ({ text }, from) => user.#hear({ from, text }));
    user.#client.on('ConnectionStateChanged', (...state) => {
      user.states.push(state);
      user.#news.emit('news');
    });
    await user.#client.login({ uid, token });
    return user;
  }

  async join(channel) {
    const joined = this.#client.createChannel(channel);
    joined.on('ChannelMessage', ({ text }, from) => this.#hear({ channel, from, text }));
    await joined.join();
    this.#channels.set(channel, joined);
  }

  /** Sends to a channel that was joined. */
  async say(channel, text) {
    await this.#channels.get(channel).sendMessage({ text });
  }

  /** Sends to another user. */
  async send(peer, text) {
    await this.#client.sendMessageToPeer({ text }, peer);
  }

  /** Sends to another user, who need not be there. */
  async sendOffline(peer, text) {
    const options = { enableOfflineMessaging: true };
    await this.#client.sendMessageToPeer({ text }, peer, options);
  }

  #hear(message) {
    this.heard.push(message);
    this.#news.emit('news');
  }

  /** Resolves once this was heard. */
  async hears(channel, from, text) {
    const is = (one) => one.channel === channel && one.from === from && one.text === text;
    await this.#until(
      () => this.heard.some(is),
      () => `no ${JSON.stringify(text)} from ${from} in ${JSON.stringify(this.heard)}`,
    );
  }

  /** Resolves once the login has ended so. */
  async ended(state, reason) {
    await this.#until(
      () => this.states.some(([now, why]) => now === state && why === reason),
      () => JSON.stringify(this.states),
    );
  }

  async #until(isThere, told) {
    const limit = AbortSignal.timeout(WITHIN_MS);
    while (!isThere())
      await once(this.#news, 'news', { signal: limit }).catch(() =>
        assert.fail(`after ${WITHIN_MS} ms: ${told()}`),
      );
  }

  async logout() {
    // A login that was ended is over already.
    await this.#client.logout().catch(() => {});
  }
}
