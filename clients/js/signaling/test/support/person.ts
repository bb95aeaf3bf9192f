/** An account that is logged in, and everything that its page was told, in order. */
import type { Call } from '../../src/call.js';
import type { Channel } from '../../src/channel.js';
import type { Session } from '../../src/session.js';
import { Signal } from '../../src/signal.js';

export const APP = '0123456789abcdef0123456789abcdef';
const WAIT_MS = 8_000;

export class Person {
  readonly seen: string[] = [];
  readonly calls: Call[] = [];
  channel: Channel | undefined;
  readonly session: Session;

  constructor(url: string, account: string, token = '_no_need_token', tries?: number) {
    const signal = Signal(APP);
    signal.setup_debugging('ap_url', url);
    this.session = signal.login(account, token, tries);
    const { session, seen } = this;
    session.onLoginSuccess = (uid) => seen.push(`in ${typeof uid}`);
    session.onLoginFailed = (code) => seen.push(`refused ${code}`);
    session.onLogout = (code) => seen.push(`out ${code}`);
    session.onMessageInstantReceive = (from, uid, text) => seen.push(`from ${from} ${uid} ${text}`);
    session.onReconnecting = (attempt) => seen.push(`reconnecting ${attempt}`);
    session.onReconnectFailed = () => seen.push('reconnect failed');
    session.onReconnectSuccess = ({ joined_channels }) => seen.push(`back in [${joined_channels.join()}]`);
    session.onInviteReceived = (call) => {
      seen.push(`invited ${call.channelName} ${call.peer} ${String(call.extra)}`);
      this.watch(call);
    };
  }

  watch(call: Call): Call {
    this.calls.push(call);
    for (const name of ['ReceivedByPeer', 'AcceptedByPeer', 'RefusedByPeer', 'Failed', 'EndByPeer', 'EndByMyself', 'Msg'] as const) {
      call[`onInvite${name}`] = (extra) => this.seen.push(`${name} ${String(extra)}`);
    }
    return call;
  }

  async logsIn(): Promise<this> {
    await this.sees('in number');
    return this;
  }

  async joins(name: string): Promise<Channel> {
    const channel = this.session.channelJoin(name);
    if (channel === undefined) throw new Error('not logged in');
    this.channel = channel;
    const { seen } = this;
    channel.onChannelJoined = () => seen.push('joined');
    channel.onChannelJoinFailed = (error) => seen.push(`not joined ${error}`);
    channel.onChannelLeaved = (code) => seen.push(`left ${code}`);
    channel.onChannelUserList = (users) => seen.push(`users ${users.map(([account]) => account).join()}`);
    channel.onChannelUserJoined = (account) => seen.push(`+${account}`);
    channel.onChannelUserLeaved = (account) => seen.push(`-${account}`);
    channel.onChannelAttrUpdated = (...event) => seen.push(`attr ${event.join()}`);
    channel.onMessageChannelReceive = (account, _uid, text) => seen.push(`#${account} ${text}`);
    await this.sees('joined');
    return channel;
  }

  /** Waits until the page was told that; what came before stays. */
  async sees(line: string): Promise<void> {
    const until = Date.now() + WAIT_MS;
    while (!this.seen.includes(line)) {
      if (Date.now() > until) throw new Error(`${this.session.account} has not seen ${line}, but ${this.seen.join(' | ')}`);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  forget(): void {
    this.seen.length = 0;
  }
}

export const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
