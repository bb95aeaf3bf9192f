/** The object that `Signal(appid)` returns. Source: signaling 2.4 and 14. */
import { type Addresses, addresses, urlOf } from './endpoint.js';
import { PLATFORM } from './environment.js';
import { Log, type LogLevel } from './log.js';
import { Session } from './session.js';

/** What the object's surface corresponds to: pages compare it. */
const COMPATIBLE_VERSION = '1.4.3';
const COMPATIBLE_VERSION_INT = 1_010_403_000;
const RECONNECT_COUNT = 10;
const RECONNECT_TIME_MS = 300_000;

export class SignalObject {
  readonly vid: string;
  readonly appid: string;
  lbs_url1: string[] = [];
  lbs_url2: string[] = [];
  lbs_wx: string[] = [];
  /** Pages set it; nothing is ever posted. */
  rp_url = '';
  server_urls: string[] = [];

  readonly #log = new Log();
  #fixed: string | undefined;
  #proxy: string | undefined;

  /** Not plain data: state libraries leave it as it is, and do not wrap it in proxies. */
  get [Symbol.toStringTag](): string {
    return 'Signal';
  }

  constructor(appid: string) {
    // The oldest SDK was given an address instead of an app.
    this.#fixed = /^wss?:\/\//.test(appid) ? appid : undefined;
    this.vid = this.appid = this.#fixed === undefined ? appid : '';
  }

  getSDKVersion(): string {
    return COMPATIBLE_VERSION;
  }

  getSDKVersion_int(): number {
    return COMPATIBLE_VERSION_INT;
  }

  setDoLog(isEnabled = false, level: LogLevel = 'DEBUG'): void {
    this.#log.set(isEnabled, level);
  }

  setup_debugging(name: 'ap' | 'ap_url' | 'env' | 'proxy_server', value: string): void {
    switch (name) {
      case 'ap_url':
        this.#fixed = value;
        break;
      case 'ap':
        this.#fixed = value.includes('://') ? value : urlOf([value, 8001]);
        if (!this.#fixed.includes('://')) this.#fixed = `wss://${value}`;
        break;
      case 'env':
        this.lbs_url1 = [1, 2].map((number) => `https://${value}-${number}-sig.agora.io`);
        this.lbs_url2 = [3, 4].map((number) => `https://${value}-${number}-sig.agora.io`);
        break;
      case 'proxy_server':
        this.#proxy = value;
    }
  }

  setUpDebugging(name: 'ap' | 'ap_url' | 'env' | 'proxy_server', value: string): void {
    this.setup_debugging(name, value);
  }

  login(
    account: unknown,
    token: string,
    reconnectCount = RECONNECT_COUNT,
    reconnectTime = RECONNECT_TIME_MS,
  ): Session {
    const of: Addresses = {
      appId: this.vid,
      fixed: this.#fixed,
      serverUrls: this.server_urls,
      addressServices: [...this.lbs_url1, ...this.lbs_url2],
      proxy: this.#proxy,
    };
    return new Session({
      appId: this.vid,
      account,
      token,
      reconnectCount,
      reconnectTime,
      log: this.#log,
      environment: PLATFORM,
      addresses: () => addresses(of),
    });
  }

  /** The native form: an app, then seconds and tries of a reconnect. */
  login2(
    _appid: string,
    account: unknown,
    token: string,
    _uid = 0,
    _deviceId = '',
    retryTimeS = RECONNECT_TIME_MS / 1000,
    retryCount = RECONNECT_COUNT,
  ): Session {
    return this.login(account, token, retryCount, retryTimeS * 1000);
  }
}

/** Makes the object, with `new` or without. */
export function Signal(this: unknown, appid: string): SignalObject {
  return new SignalObject(appid);
}
