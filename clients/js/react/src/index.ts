/**
 * React hooks for `@tidings/rtm`. Whatever a hook begins it ends when the component unmounts, also
 * under StrictMode, which mounts everything twice. Nothing happens while a page is rendered on a
 * server.
 */
import AgoraRTM from '@tidings/rtm';
import { useEffect, useRef, useState } from 'react';

/** How to log in. */
export interface RtmLogin {
  /** 32 letters or digits. */
  readonly appId: string;
  /** Who logs in; nobody while it is missing or empty. */
  readonly uid: string | null | undefined;
  /** The user's token; a later one replaces it without a new login. */
  readonly token?: string | null | undefined;
  /** Settings of the client. Except for `endpoint`, those of the first rendering count. */
  readonly config?: AgoraRTM.RtmConfig | undefined;
}

/** The state of a login. */
export interface RtmSession {
  /** The client; `undefined` before the first effect and while nobody logs in. */
  readonly client: AgoraRTM.RtmClient | undefined;
  /** As `client.connectionState`. */
  readonly state: AgoraRTM.RtmStatusCode.ConnectionState;
  /** Why the state is what it is. */
  readonly reason: AgoraRTM.RtmStatusCode.ConnectionChangeReason | undefined;
  /** Why the login or the last renewal of the token failed. */
  readonly error: AgoraRTM.RtmError | undefined;
}

const NOBODY: RtmSession = {
  client: undefined,
  state: 'DISCONNECTED',
  reason: undefined,
  error: undefined,
};

/**
 * Logs in while the component is mounted; again for another user, app or endpoint. A new token
 * renews the old one.
 */
export function useRtmClient({ appId, uid, token, config }: RtmLogin): RtmSession {
  const [session, setSession] = useState(NOBODY);
  const latest = useRef({ token, config, used: token });
  latest.current.token = token;
  const given = config?.endpoint;
  // A list written in place is a new one at each rendering.
  const endpoint = typeof given === 'object' ? given.join(',') : given;
  useEffect(() => {
    if (!uid) return undefined;
    const { token: first, config: settings } = latest.current;
    latest.current.used = first;
    const client = AgoraRTM.createInstance(appId, {
      ...settings,
      ...(endpoint === undefined ? {} : { endpoint }),
    });
    let isThere = true;
    const change = (news: Partial<RtmSession>) => {
      if (isThere) setSession((former) => ({ ...former, ...news }));
    };
    client.on('ConnectionStateChanged', (state, reason) => change({ state, reason }));
    setSession({ ...NOBODY, client });
    client
      .login({ uid, token: first ?? null })
      .catch((error: AgoraRTM.RtmError) => change({ error }));
    return () => {
      isThere = false;
      setSession(NOBODY);
      // It also gives up a login that is still under way.
      if (client.connectionState !== 'DISCONNECTED') client.logout().catch(() => undefined);
    };
  }, [appId, uid, endpoint]);

  const { client, state } = session;
  const isIn = isLoggedIn(state);
  useEffect(() => {
    if (!client || !isIn || !token || token === latest.current.used) return;
    latest.current.used = token;
    client.renewToken(token).then(
      () => setSession((former) => ({ ...former, error: undefined })),
      (error: AgoraRTM.RtmError) =>
        setSession((former) => (former.client === client ? { ...former, error } : former)),
    );
  }, [client, isIn, token]);
  return session;
}

/** A channel that is joined while the component is mounted. */
export interface RtmChannelState {
  /** The channel; `undefined` until the user is logged in. */
  readonly channel: AgoraRTM.RtmChannel | undefined;
  /** Whether the join is done. */
  readonly isJoined: boolean;
  /** The members, oneself included, as far as the server tells them: up to 512. */
  readonly members: readonly string[];
  /** Why the join failed. */
  readonly error: AgoraRTM.RtmError | undefined;
}

const OUTSIDE: RtmChannelState = {
  channel: undefined,
  isJoined: false,
  members: [],
  error: undefined,
};

/**
 * Joins a channel while the component is mounted and its user logged in; none while the name is
 * missing or empty.
 */
export function useRtmChannel(
  session: RtmSession,
  channelId: string | null | undefined,
): RtmChannelState {
  const [outcome, setOutcome] = useState(OUTSIDE);
  const { client } = session;
  const isIn = isLoggedIn(session.state);
  useEffect(() => {
    if (!client || !isIn || !channelId) return undefined;
    const channel = client.createChannel(channelId);
    let isThere = true;
    const change = (made: (former: RtmChannelState) => Partial<RtmChannelState>) => {
      if (isThere) setOutcome((former) => ({ ...former, ...made(former) }));
    };
    const without = (members: readonly string[], member: string) =>
      members.filter((other) => other !== member);
    channel.on('MemberJoined', (member) =>
      change(({ members }) => ({ members: [...without(members, member), member] })),
    );
    channel.on('MemberLeft', (member) =>
      change(({ members }) => ({ members: without(members, member) })),
    );
    setOutcome({ ...OUTSIDE, channel });
    const join = async () => {
      await channel.join();
      change(() => ({ isJoined: true }));
      const members = await channel.getMembers();
      change(() => ({ members }));
    };
    join().catch((error: AgoraRTM.RtmError) => change(() => ({ error })));
    return () => {
      isThere = false;
      setOutcome(OUTSIDE);
      // Also while the join is on its way; without a login there is nothing to leave.
      channel.leave().catch(() => undefined);
    };
  }, [client, isIn, channelId]);
  return outcome;
}

/** What raises events. */
type Emitter =
  AgoraRTM.RtmClient | AgoraRTM.RtmChannel | AgoraRTM.LocalInvitation | AgoraRTM.RemoteInvitation;
type EventsOf<E extends Emitter> = E extends AgoraRTM.RtmClient
  ? AgoraRTM.RtmEvents.RtmClientEvents
  : E extends AgoraRTM.RtmChannel
    ? AgoraRTM.RtmEvents.RtmChannelEvents
    : E extends AgoraRTM.LocalInvitation
      ? AgoraRTM.RtmEvents.LocalInvitationEvents
      : AgoraRTM.RtmEvents.RemoteInvitationEvents;

/** Listens to an event of a client, channel or invitation; the newest listener is called. */
export function useRtmEvent<E extends Emitter, Name extends keyof EventsOf<E>>(
  emitter: E | undefined,
  name: Name,
  listener: (...args: AgoraRTM.ArgumentsOf<EventsOf<E>[Name]>) => unknown,
): void {
  const latest = useRef(listener);
  useEffect(() => {
    latest.current = listener;
  });
  useEffect(() => {
    if (!emitter) return undefined;
    const call = (...args: AgoraRTM.ArgumentsOf<EventsOf<E>[Name]>) => latest.current(...args);
    const plain = emitter as unknown as AgoraRTM.EventEmitter<EventsOf<E>>;
    plain.on(name, call);
    return () => {
      plain.off(name, call);
    };
  }, [emitter, name]);
}

/** States of up to 512 users, by user, while the component is mounted. */
export function usePeersOnline(
  session: RtmSession,
  peerIds: readonly string[],
): AgoraRTM.PeersOnlineStatusMap {
  const [states, setStates] = useState<AgoraRTM.PeersOnlineStatusMap>({});
  const { client } = session;
  const isIn = isLoggedIn(session.state);
  const key = JSON.stringify([...new Set(peerIds)].sort());
  useRtmEvent(client, 'PeersOnlineStatusChanged', (news) =>
    setStates((former) => ({ ...former, ...news })),
  );
  useEffect(() => {
    const wanted = JSON.parse(key) as string[];
    if (!client || !isIn || wanted.length === 0) return undefined;
    client.subscribePeersOnlineStatus(wanted).catch(() => undefined);
    return () => {
      setStates({});
      client.unsubscribePeersOnlineStatus(wanted).catch(() => undefined);
    };
  }, [client, isIn, key]);
  return states;
}

function isLoggedIn(state: AgoraRTM.RtmStatusCode.ConnectionState): boolean {
  return state === 'CONNECTED' || state === 'RECONNECTING';
}
