/** What is sent and what comes back, spelled as in the HTTP API. Servers may add fields. */

/** Text is sent as a text message, bytes as a raw one. */
export type Payload = string | Uint8Array;

export interface MessageOptions {
  /** The user in whose name it is sent; need not be logged in, nor a member. */
  sender: string;
  /** Keeps it in the history. */
  store?: boolean;
}

export interface PeerMessageOptions extends MessageOptions {
  /** Keeps it for a receiver that is offline. */
  offline?: boolean;
  /** Answers when the receiver has it, not when the server has it. */
  wait?: boolean;
}

/** A message of a batch, to either a channel or users. */
export type Message = PeerMessageOptions & { payload: Payload } & (
    { channel: string; users?: never } | { users: string[]; channel?: never }
  );

/** What has become of a message for one receiver. */
export interface Receipt {
  channel?: string;
  user?: string;
  /**
   * `sent`: the server has it; `delivered`: the receiver has it; `stored`: it is kept; `offline`:
   * nobody is there; `failed`: see `error`.
   */
  outcome: 'sent' | 'delivered' | 'stored' | 'offline' | 'failed';
  message_id?: string;
  at_ms?: number;
  error?: { code: string; detail?: string; hint?: string; [more: string]: unknown };
}

/** The receipts of one message. */
export interface Published {
  request_id: string;
  results: Receipt[];
}

/** The receipts of each message of a batch, in its order. */
export interface PublishedBatch {
  request_id: string;
  results: { results: Receipt[] }[];
}

/** A page of a list. */
export interface Page<T> {
  items: T[];
  /** Where the next page begins; null at the end. */
  next: string | null;
}

export interface PageOptions {
  /** At most so many items; the server's own bound is 100. */
  limit?: number;
  /** `next` of the page before. */
  cursor?: string;
}

/** A user, as the server sees it now. */
export interface User {
  user: string;
  online: boolean;
  sessions: Session[];
  channels: string[];
  [more: string]: unknown;
}

/** One login. */
export interface Session {
  id: string;
  user: string;
  protocol?: string;
  sdk_version?: string;
  address?: string;
  since_ms?: number;
  last_seen_ms?: number;
  [more: string]: unknown;
}

export interface Channel {
  name: string;
  members: number;
  [more: string]: unknown;
}

/** A message of the history. */
export interface HistoryMessage {
  /** Names it, as the answer to `publish` does; its position if a server before 0.2 has kept it. */
  message_id: string;
  /** Its place in the history, a number that rises. */
  position?: string;
  from: string;
  channel?: string;
  user?: string;
  at_ms: number;
  type: 'text' | 'raw';
  /** A text message. */
  payload?: string;
  /** A raw message, in Base64. */
  payload_base64?: string;
  [more: string]: unknown;
}

/** Whose history: a channel's, or that of two users. */
export interface HistoryOptions extends PageOptions {
  channel?: string;
  /** Two users; their messages to each other. */
  users?: [string, string];
  /** The first millisecond, Unix time. */
  from_ms?: number;
  /** The millisecond after the last. */
  to_ms?: number;
}

export type Attributes = Record<string, string>;

/**
 * Who is banned from what: a user everywhere, an address, a channel as a whole, or a user in a
 * channel.
 */
export interface BanOptions {
  user_id?: string;
  channel?: string;
  /** An address or a prefix such as `203.0.113.0/24`. */
  address?: string;
  /** How long; for ever if not stated. 0 puts out once, and bans nobody. */
  seconds?: number;
  /** The same as a time, Unix milliseconds. */
  until_ms?: number;
  /** For whoever reads the list later. */
  note?: string;
  /** What is refused; everything that applies if not stated. */
  privileges?: ('login' | 'join_channel' | 'send_message')[];
}

/** What of a ban is changed; the rest stays. */
export type BanChange = Pick<BanOptions, 'seconds' | 'note' | 'privileges'> & {
  /** Unix milliseconds; null for ever. */
  until_ms?: number | null;
};

export interface Ban {
  /** Null for a ban of the file of apps, which `tidings app unban` ends. */
  id: number | null;
  user_id: string | null;
  channel: string | null;
  address: string | null;
  privileges: string[];
  /** Unix milliseconds; null for ever. */
  until_ms: number | null;
  note: string;
  [more: string]: unknown;
}

export interface TokenOptions {
  /** Seconds until it ends. */
  ttl?: number;
  format?: '007' | '006';
}

/** What happened in the app. */
export interface Event {
  /** Where this event stands; reading goes on behind it. */
  cursor: string;
  /**
   * Such as `user.login`, `user.logout`, `channel.join`; `gap` says that events before this one
   * were dropped.
   */
  type: string;
  at_ms: number;
  user?: string;
  channel?: string;
  /** Counts the events of this user or channel. */
  order?: number;
  [more: string]: unknown;
}
