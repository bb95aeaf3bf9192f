/** Makes the object of an app, with `new` or without; or of a server's WebSocket address, as the oldest SDK did. */
declare function Signal(appid: string): Signal.SignalObject;

declare namespace Signal {
  /** The same under its native names. */
  function getInstance(appid: string): SignalObject;
  function createAgoraSDKInstance(appid: string): SignalObject;

  /** An app. */
  interface SignalObject {
    readonly vid: string;
    readonly appid: string;
    /** Address services to ask before anything else. */
    lbs_url1: string[];
    lbs_url2: string[];
    lbs_wx: string[];
    /** Kept for pages that set it: nothing is posted. */
    rp_url: string;
    /** WebSocket addresses, tried in turn. */
    server_urls: string[];
    /** `1.4.3`: the version whose surface this is. */
    getSDKVersion(): string;
    getSDKVersion_int(): number;
    setDoLog(isEnabled?: boolean, level?: 'DEBUG' | 'WARNING' | 'INFO'): void;
    /** Where to connect: `ap_url` takes a WebSocket address as it is. */
    setup_debugging(name: 'ap' | 'ap_url' | 'env' | 'proxy_server', value: string): void;
    setUpDebugging(name: 'ap' | 'ap_url' | 'env' | 'proxy_server', value: string): void;
    /** Logs in. A reconnect is tried `reconnectCount` times, for `reconnectTime` milliseconds at most. */
    login(
      account: string | number,
      token: string,
      reconnectCount?: number,
      reconnectTime?: number,
    ): Session;
    /** The native form: the time is in seconds, then comes the number of tries. */
    login2(
      appid: string,
      account: string | number,
      token: string,
      uid?: number,
      deviceId?: string,
      retryTime?: number,
      retryCount?: number,
    ): Session;
  }

  /** A handler that has not been set is `''`. */
  type Handler<Args extends unknown[]> = ((...args: Args) => unknown) | '';

  /** One login, over all its connections. */
  interface Session {
    readonly account: string;
    /** 0 logged out, 1 logging in, 2 logged in, 3 reconnecting. */
    readonly state: number;
    readonly line: string;
    readonly uid: number;
    dbg: boolean;
    readonly config_msg_set: number;
    readonly config_inst_msg_with_msgid: number;
    /** `'legacy'`: attributes that are told on joining come as ('update', name, value). */
    attrOrder: 'legacy' | undefined;
    /** `'1.4.0'`: a reconnect is told by `onLoginSuccess`, too. */
    reconnectEvents: '1.4.0' | undefined;
    getStatus(): number;
    logout(): void;
    /** `done(false)`: the server has it. `done(true)`: it has not. */
    messageInstantSend(
      peer: string | number,
      message: unknown,
      done?: (isFailed: boolean) => unknown,
    ): void;
    /** Leaves the channel of before and joins another. */
    channelJoin(name: string): Channel | undefined;
    channelInviteUser(channelName: string, peer: string): Call;
    channelInviteUser2(channelName: string, peer: string, extra?: unknown): Call;
    /** Invites a telephone number, which the app's gateway answers. */
    channelInvitePhone(channelName: string, phone: string, extra?: unknown): Call;
    /** Calls a function of the server by its long name, `io.agora.signal.…`. */
    invoke(
      name: string,
      args: Record<string, unknown>,
      done?: (error: string, result: Record<string, unknown>) => unknown,
    ): void;
    call2(
      name: string,
      args: Record<string, unknown>,
      done?: (error: string, result: Record<string, unknown>) => unknown,
    ): void;
    onLoginSuccess: Handler<[uid: number]>;
    onLoginFailed: Handler<[code: number]>;
    onLogout: Handler<[code: number]>;
    onMessageInstantReceive: Handler<[account: string, uid: number, message: string]>;
    onInviteReceived: Handler<[call: Call]>;
    onReconnecting: Handler<[attempt: number]>;
    onReconnectFailed: Handler<[]>;
    onReconnectSuccess: Handler<[result: { joined_channels: string[] }]>;
  }

  /** Called with the error's text, or with nothing when it went well. */
  type Done = (error?: string) => unknown;

  interface Channel {
    readonly name: string;
    readonly state: 'joining' | 'joined' | 'leaved';
    messageChannelSend(message: unknown, done?: Done): void;
    channelLeave(done?: () => unknown): void;
    channelSetAttr(name: string, value: unknown, done?: Done): void;
    channelDelAttr(name: string, done?: Done): void;
    channelClearAttr(done?: Done): void;
    onChannelJoined: Handler<[]>;
    onChannelJoinFailed: Handler<[error: string]>;
    onChannelLeaved: Handler<[code: number]>;
    /** The latest 200 members, oneself among them. */
    onChannelUserList: Handler<[users: [account: string, uid: number][]]>;
    onChannelUserJoined: Handler<[account: string, uid: number]>;
    onChannelUserLeaved: Handler<[account: string, uid: number]>;
    /** `type` is `update`, `del` or `clear`. */
    onChannelAttrUpdated: Handler<[name: string, value: string, type: string]>;
    onMessageChannelReceive: Handler<[account: string, uid: number, message: string]>;
  }

  interface Call {
    readonly channelName: string;
    readonly peer: string;
    readonly extra: unknown;
    channelInviteUser2(): void;
    channelInviteAccept(extra?: unknown): void;
    channelInviteRefuse(extra?: unknown): void;
    channelInviteEnd(extra?: unknown): void;
    channelInviteDTMF(digits: string): void;
    onInviteReceivedByPeer: Handler<[extra: unknown]>;
    onInviteAcceptedByPeer: Handler<[extra: unknown]>;
    onInviteRefusedByPeer: Handler<[extra: unknown]>;
    onInviteFailed: Handler<[extra: unknown]>;
    onInviteEndByPeer: Handler<[extra: unknown]>;
    onInviteEndByMyself: Handler<[extra: unknown]>;
    onInviteMsg: Handler<[extra: unknown]>;
  }
}

export default Signal;
export declare const getInstance: typeof Signal.getInstance;
export declare const createAgoraSDKInstance: typeof Signal.createAgoraSDKInstance;
export { Signal };
