/** An account that is logged in, and everything that its page was told, in order. */
import type { Call } from '../../src/call.js';
import type { Channel } from '../../src/channel.js';
import type { Session } from '../../src/session.js';
import { Signal } from '../../src/signal.js';
import { Heard } from './heard.js';

export const APP = '0123456789abcdef0123456789abcdef';

export class Person {
  readonly heard: Heard;
  readonly seen: readonly string[];
  readonly calls: Call[] = [];
  channel: Channel | undefined;
  readonly session: Session;

  constructor(url: string, account: string, token = '_no_need_token', tries?: number) {
    const signal = Signal(APP);
    signal.setup_debugging('ap_url', url);
    this.session = signal.login(account, token, tries);
    this.heard = new Heard(account);
    this.seen = this.heard.lines;
    const { session } = this;
    const told = (line: string) => this.heard.add(line);
    session.onLoginSuccess = (uid) => told(`in ${typeof uid}`);
    session.onLoginFailed = (code) => told(`refused ${code}`);
    session.onLogout = (code) => told(`out ${code}`);
    session.onMessageInstantReceive = (from, uid, text) => told(`from ${from} ${uid} ${text}`);
    session.onReconnecting = (attempt) => told(`reconnecting ${attempt}`);
    session.onReconnectFailed = () => told('reconnect failed');
    session.onReconnectSuccess = ({ joined_channels }) =>
      told(`back in [${joined_channels.join()}]`);
    session.onInviteReceived = (call) => {
      told(`invited ${call.channelName} ${call.peer} ${String(call.extra)}`);
      this.watch(call);
    };
  }

  watch(call: Call): Call {
    this.calls.push(call);
    for (const name of [
      'ReceivedByPeer',
      'AcceptedByPeer',
      'RefusedByPeer',
      'Failed',
      'EndByPeer',
      'EndByMyself',
      'Msg',
    ] as const) {
      call[`onInvite${name}`] = (extra) => this.heard.add(`${name} ${String(extra)}`);
    }
    return call;
  }

  async logsIn(): Promise<this> {
    await this.sees('in number');
    return this;
  }

  /** Sends, and waits for the server to say that it has the message, stored if its receiver is away. */
  async sends(peer: string, text: string): Promise<void> {
    const isFailed = await new Promise((resolve) =>
      this.session.messageInstantSend(peer, text, resolve),
    );
    if (isFailed !== false) throw new Error(`the server refused ${text} for ${peer}`);
  }

  async joins(name: string): Promise<Channel> {
    const channel = this.session.channelJoin(name);
    if (channel === undefined) throw new Error('not logged in');
    this.channel = channel;
    const told = (line: string) => this.heard.add(line);
    channel.onChannelJoined = () => told('joined');
    channel.onChannelJoinFailed = (error) => told(`not joined ${error}`);
    channel.onChannelLeaved = (code) => told(`left ${code}`);
    channel.onChannelUserList = (users) =>
      told(`users ${users.map(([account]) => account).join()}`);
    channel.onChannelUserJoined = (account) => told(`+${account}`);
    channel.onChannelUserLeaved = (account) => told(`-${account}`);
    channel.onChannelAttrUpdated = (...event) => told(`attr ${event.join()}`);
    channel.onMessageChannelReceive = (account, _uid, text) => told(`#${account} ${text}`);
    await this.sees('joined');
    return channel;
  }

  /** Waits until the page was told that; what came before stays. */
  sees(line: string): Promise<void> {
    return this.heard.sees(line);
  }

  forget(): void {
    this.heard.lines.length = 0;
  }
}
