/** The channel of a login: there is one at a time. Source: signaling 7. */
import { run } from './log.js';
import type { Session } from './session.js';
import { parseObject, readLine } from './wire.js';

/** Called with the error's text, or with nothing on success. */
export type Done = ((error?: string) => unknown) | undefined;
type Member = [account: string, uid: number];

export class Channel {
  onChannelJoined: (() => unknown) | '' = '';
  onChannelJoinFailed: ((error: string) => unknown) | '' = '';
  onChannelLeaved: ((code: number) => unknown) | '' = '';
  onChannelUserList: ((users: Member[]) => unknown) | '' = '';
  onChannelUserJoined: ((account: string, uid: number) => unknown) | '' = '';
  onChannelUserLeaved: ((account: string, uid: number) => unknown) | '' = '';
  onChannelAttrUpdated: ((...args: [string, string, string]) => unknown) | '' = '';
  onMessageChannelReceive: ((account: string, uid: number, message: string) => unknown) | '' = '';

  state: 'joining' | 'joined' | 'leaved' = 'joining';

  readonly #session: Session;
  /** Number of the last event; they rise on a connection. */
  #lastEvent = 0;

  /** Not plain data: state libraries leave it as it is, and do not wrap it in proxies. */
  get [Symbol.toStringTag](): string {
    return 'Channel';
  }

  constructor(
    session: Session,
    readonly name: string,
  ) {
    this.#session = session;
  }

  messageChannelSend(message: unknown, done?: Done): void {
    const id = this.#session.nextMessageId();
    this.#call('channel_sendmsg', { name: this.name, msg: message, msgID: id }, done);
  }

  channelLeave(done?: () => unknown): void {
    this.#session.request('channel_leave', { name: this.name }, () => {
      this.left();
      if (typeof done === 'function') run(done);
      else run(this.onChannelLeaved, 0);
    });
  }

  channelSetAttr(name: string, value: unknown, done?: Done): void {
    this.#call('channel_set_attr', { channel: this.name, name, value }, done);
  }

  channelDelAttr(name: string, done?: Done): void {
    this.#call('channel_del_attr', { channel: this.name, name }, done);
  }

  channelClearAttr(done?: Done): void {
    this.#call('channel_clear_attr', { channel: this.name }, done);
  }

  /** Joins; again after a reconnect, when `then` is told whether it succeeded. */
  join(then?: (isJoined: boolean) => void): void {
    this.#lastEvent = 0;
    const isAgain = this.state === 'joined';
    this.#session.request('channel_join', { name: this.name }, (error, body) => {
      if (this.state === 'leaved') return;
      if (error !== '') {
        this.left();
        run(this.onChannelJoinFailed, error);
        then?.(false);
        return;
      }
      this.state = 'joined';
      if (!isAgain) run(this.onChannelJoined);
      if (Array.isArray(body['list'])) run(this.onChannelUserList, body['list'] as Member[]);
      for (const [name, value] of Object.entries((body['attrs'] as Record<string, string>) ?? {})) {
        if (this.#session.attrOrder === 'legacy')
          run(this.onChannelAttrUpdated, 'update', name, value);
        else run(this.onChannelAttrUpdated, name, value, 'update');
      }
      then?.(true);
    });
  }

  /** The login is no longer in this channel. */
  left(): void {
    this.state = 'leaved';
    this.#session.forgetChannel(this);
  }

  /** An event of the channel. */
  heard(number: unknown, text: string): void {
    const line = readLine(text);
    if (line === undefined || typeof number !== 'number' || number <= this.#lastEvent) return;
    this.#lastEvent = number;
    const event = parseObject(line.content) as {
      account: string;
      uid: number;
      msg: string;
      name: string;
      value: string;
      type: string;
    };
    switch (line.type) {
      case 'channel_msg':
        return run(this.onMessageChannelReceive, event.account, event.uid, event.msg);
      case 'channel_user_join':
        return run(this.onChannelUserJoined, event.account, event.uid);
      case 'channel_user_leave':
        return run(this.onChannelUserLeaved, event.account, event.uid);
      case 'channel_attr_update':
        return run(this.onChannelAttrUpdated, event.name, event.value, event.type);
    }
  }

  #call(name: string, args: object, done: Done): void {
    if (this.state === 'leaved') {
      run(done, 'not in channel');
      return;
    }
    this.#session.request(name, args, (error) => run(done, error === '' ? undefined : error));
  }
}
