/**
 * What the client knows of its own standing, so that a new session can be given the same: its
 * attributes, its channels with their members, the users it watches. Section 3.3 of the RTM 1.x
 * semantics; member lists: contract PRE-9.
 */
import { MEMBER_EVENTS_MAX, PRESENCE_GRACE_MS } from '../generated/limits.js';
import {
  ATTRIBUTES_CLEAR,
  ATTRIBUTES_DELETE,
  ATTRIBUTES_SET,
  type Call,
  type Presence,
} from '../wire/messages.js';
import type { MachineEvent } from './types.js';

/**
 * How long after a join the member list is fetched in the background, and the time between two such
 * fetches. `getMembers` is limited to 5 per 2 s; after this time, a list that the application asks
 * for itself has nearly always come first.
 */
const MEMBERS_WAIT_MS = 2000;

interface Channel {
  /** Whether the session has joined it; false while a new session joins it again. */
  isJoined: boolean;
  /** Members that the application can know of, oneself excluded. Bound: member_events_max. */
  readonly members: Set<string>;
  /** Whether `members` are all. */
  isComplete: boolean;
  /** Members that a restarted server does not have (yet), and until when they may come back. */
  readonly missing: Map<string, number>;
  /** When to fetch the list; Infinity = never. */
  fetchAt: number;
  /**
   * Whether the fetched list is compared with `members`, and how long missing members have to come
   * back.
   */
  compare: 'no' | 'atOnce' | 'afterGrace';
  /** When to try to join again after a refusal; Infinity = never. */
  joinAt: number;
}

export class Replica {
  /** Bound: channels_per_session_max, kept by the server. */
  readonly #channels = new Map<string, Channel>();
  /** How many joins of each are on their way. */
  readonly #joining = new Map<string, number>();
  #attributes = new Map<string, string>();
  /** The application has written attributes that the server does not have, and has been told so. */
  isAheadOfServer = false;
  readonly #watched = new Set<string>();
  readonly #presence = new Map<string, number>();
  /** Presence answers that follow a restored subscription and repeat what is known. */
  #repeats = 0;
  #nextFetchAt = 0;

  constructor(private readonly self: () => string) {}

  clear(): void {
    this.#channels.clear();
    this.#joining.clear();
    this.#attributes.clear();
    this.isAheadOfServer = false;
    this.#watched.clear();
    this.#presence.clear();
    this.#repeats = 0;
  }

  isJoined(channel: string): boolean {
    return this.#channels.has(channel);
  }

  /** A join is on its way: events may come before its reply. */
  joining(channel: string): void {
    this.#joining.set(channel, (this.#joining.get(channel) ?? 0) + 1);
  }

  joinFailed(channel: string): void {
    const others = (this.#joining.get(channel) ?? 1) - 1;
    if (others > 0) this.#joining.set(channel, others);
    else this.#joining.delete(channel);
  }

  /** Whether events of the channel concern the application. */
  isHeard(channel: string): boolean {
    return this.#channels.has(channel) || this.#joining.has(channel);
  }

  joined(name: string, now: number): void {
    this.joinFailed(name);
    const known = this.#channels.get(name);
    if (known) {
      known.isJoined = true;
      known.fetchAt = now;
      return;
    }
    this.#channels.set(name, {
      isJoined: true,
      members: new Set(),
      isComplete: false,
      missing: new Map(),
      fetchAt: now + MEMBERS_WAIT_MS,
      compare: 'no',
      joinAt: Infinity,
    });
  }

  left(channel: string): void {
    this.#channels.delete(channel);
  }

  /** A joined channel could not be joined again yet. */
  joinLater(channel: string, at: number): void {
    const known = this.#channels.get(channel);
    if (known) known.joinAt = at;
  }

  /** A successful write of the user's own attributes. */
  wroteAttributes(call: Extract<Call, { is: 'writeUserAttributes' }>): void {
    const { how = ATTRIBUTES_SET, attributes = [] } = call.value;
    if (how === ATTRIBUTES_SET || how === ATTRIBUTES_CLEAR) this.#attributes = new Map();
    if (how === ATTRIBUTES_CLEAR) return;
    for (const { key = '', value = '' } of attributes) {
      if (how === ATTRIBUTES_DELETE) this.#attributes.delete(key);
      else this.#attributes.set(key, value);
    }
  }

  /** A write that will be made when the link is back. */
  wroteLater(call: Extract<Call, { is: 'writeUserAttributes' }>): void {
    this.wroteAttributes(call);
    this.isAheadOfServer = true;
  }

  watched(userIds: readonly string[]): void {
    for (const userId of userIds) this.#watched.add(userId);
  }

  unwatched(userIds: readonly string[]): void {
    for (const userId of userIds) {
      this.#watched.delete(userId);
      this.#presence.delete(userId);
    }
  }

  /** The write that restores the user's attributes; `undefined` when there is nothing to write. */
  restoreAttributes(): Call | undefined {
    if (this.#attributes.size === 0 && !this.isAheadOfServer) return undefined;
    this.isAheadOfServer = false;
    const attributes = [...this.#attributes].map(([key, value]) => ({ key, value }));
    return { is: 'writeUserAttributes', value: { how: ATTRIBUTES_SET, attributes } };
  }

  /** Names of the channels that the session has not joined (again). */
  channelsToJoin(): string[] {
    return [...this.#channels].filter(([, channel]) => !channel.isJoined).map(([name]) => name);
  }

  /** Another session begins; returns the names of the channels that the former one had joined. */
  sessionOver(isRestart: boolean): string[] {
    this.#joining.clear();
    this.#repeats = 0;
    for (const channel of this.#channels.values()) {
      channel.isJoined = false;
      channel.joinAt = Infinity;
      channel.fetchAt = Infinity;
      channel.compare = isRestart ? 'afterGrace' : 'atOnce';
    }
    return [...this.#channels.keys()];
  }

  /** The call that restores the watched users; `undefined` when there are none. */
  restorePresence(): Call | undefined {
    if (this.#watched.size === 0) return undefined;
    this.#repeats++;
    return { is: 'subscribePresence', value: { userIds: [...this.#watched] } };
  }

  /** The server has left out events of a channel: its members have to be compared. */
  gap(name: string, now: number): void {
    const channel = this.#channels.get(name);
    if (!channel) return;
    channel.compare = 'atOnce';
    channel.fetchAt = now;
  }

  /**
   * The server says that a member has left; whether it is the user itself, whose token no longer
   * permits the channel.
   */
  isPutOut(name: string, userId: string): boolean {
    return userId === this.self() && this.#channels.delete(name);
  }

  /** A member event of the server; whether the application is told of it. */
  memberEvent(kind: 'memberJoined' | 'memberLeft', name: string, userId: string): boolean {
    const channel = this.#channels.get(name);
    if (!channel) return this.#joining.has(name);
    channel.missing.delete(userId);
    if (kind === 'memberLeft') return channel.members.delete(userId) || !channel.isComplete;
    if (channel.members.has(userId)) return false;
    channel.members.add(userId);
    return true;
  }

  memberCount(name: string, count: number): void {
    const channel = this.#channels.get(name);
    if (channel && count > MEMBER_EVENTS_MAX) forgetMembers(channel);
  }

  /** A member list of the server, asked for by the application or by us: the missing events. */
  memberList(name: string, userIds: readonly string[], now: number): MachineEvent[] {
    const channel = this.#channels.get(name);
    if (!channel) return [];
    channel.fetchAt = Infinity;
    if (userIds.length >= MEMBER_EVENTS_MAX) {
      forgetMembers(channel);
      return [];
    }
    const listed = new Set(userIds);
    listed.delete(this.self());
    const events: MachineEvent[] = [];
    const { compare } = channel;
    for (const userId of listed) {
      channel.missing.delete(userId);
      if (channel.members.has(userId)) continue;
      channel.members.add(userId);
      // Without a complete earlier list nobody can say that the member is new.
      if (channel.isComplete && compare !== 'no') {
        events.push({ is: 'memberJoined', channel: name, userId });
      }
    }
    for (const userId of channel.members) {
      if (listed.has(userId) || compare === 'no') continue;
      if (compare === 'afterGrace') {
        channel.missing.set(userId, now + PRESENCE_GRACE_MS);
      } else {
        channel.members.delete(userId);
        events.push({ is: 'memberLeft', channel: name, userId });
      }
    }
    channel.isComplete = true;
    channel.compare = 'no';
    return events;
  }

  /** A list could not be fetched. */
  fetchLater(name: string, at: number): void {
    const channel = this.#channels.get(name);
    if (channel) channel.fetchAt = at;
  }

  /** Presence of the server; what the application has not been told. */
  presenceChanged(users: readonly Presence[]): Presence[] {
    const isRepeat = this.#repeats > 0;
    if (isRepeat) this.#repeats--;
    const news = users.filter(({ userId, state }) => this.#presence.get(userId) !== state);
    for (const { userId, state } of users) this.#presence.set(userId, state);
    return isRepeat ? news : [...users];
  }

  /** Members that have not come back in time. */
  expireMissing(now: number): MachineEvent[] {
    const events: MachineEvent[] = [];
    for (const [name, channel] of this.#channels) {
      for (const [userId, until] of channel.missing) {
        if (until > now) continue;
        channel.missing.delete(userId);
        channel.members.delete(userId);
        events.push({ is: 'memberLeft', channel: name, userId });
      }
    }
    return events;
  }

  /** Channels to join again now. */
  dueJoins(now: number): string[] {
    const due: string[] = [];
    for (const [name, channel] of this.#channels) {
      if (channel.isJoined || channel.joinAt > now) continue;
      channel.joinAt = Infinity;
      due.push(name);
    }
    return due;
  }

  /** The channel whose members to fetch now; one at a time, spaced. */
  dueFetch(now: number): string | undefined {
    for (const [name, channel] of this.#channels) {
      if (!channel.isJoined || channel.fetchAt > now) continue;
      if (channel.compare === 'no' && this.#nextFetchAt > now) continue;
      channel.fetchAt = Infinity;
      this.#nextFetchAt = now + MEMBERS_WAIT_MS;
      return name;
    }
    return undefined;
  }

  /** When the next missing member counts as left. */
  missingDeadline(): number {
    let next = Infinity;
    for (const channel of this.#channels.values()) {
      for (const until of channel.missing.values()) next = Math.min(next, until);
    }
    return next;
  }

  /** When `dueJoins` has something. */
  joinDeadline(): number {
    let next = Infinity;
    for (const channel of this.#channels.values()) {
      if (!channel.isJoined) next = Math.min(next, channel.joinAt);
    }
    return next;
  }

  /** When `dueFetch` has something. */
  fetchDeadline(): number {
    let next = Infinity;
    for (const { isJoined, compare, fetchAt } of this.#channels.values()) {
      if (!isJoined || fetchAt === Infinity) continue;
      next = Math.min(next, compare === 'no' ? Math.max(fetchAt, this.#nextFetchAt) : fetchAt);
    }
    return next;
  }
}

/** Above the limit nobody is told who joins and leaves. */
function forgetMembers(channel: Channel): void {
  channel.members.clear();
  channel.missing.clear();
  channel.isComplete = false;
  channel.compare = 'no';
  channel.fetchAt = Infinity;
}
