/** The calls of a backend, one method each. */
import { ApiError, TidingsError } from './errors';
import { type EventOptions, follow, type ReadOptions, readEvents } from './events';
import { type Call, type CallOptions, joined, part, type Settings, Transport } from './transport';
import type * as told from './types';

/**
 * More time than other calls have, for a message that waits for its receiver. The server waits 5 s
 * at most.
 */
const WAIT_MS = 5_000;

/**
 * A backend's access to one app of a server.
 *
 * It keeps connections open between calls; one for the whole program is enough. Calls are repeated
 * where that is safe.
 */
export class Tidings {
  readonly #transport: Transport;
  readonly #app: string | undefined;

  /** Throws a {@link TidingsError} when a setting is missing or wrong. */
  constructor(settings: Settings = {}, shared?: Transport) {
    this.#app = settings.app ?? process.env.TIDINGS_APP;
    this.#transport = shared ?? new Transport(settings);
  }

  /** The same server, key and connections, for another app. */
  forApp(app: string): Tidings {
    return new Tidings({ app }, this.#transport);
  }

  /** Any call of the HTTP API: `path` begins with `/api/v1/`, its parts are escaped. */
  request<T = unknown>(call: Call, options?: CallOptions): Promise<T> {
    return this.#transport.call<T>(call, options);
  }

  // Messages

  /** Sends to a channel, whose members get an ordinary channel message. */
  async sendToChannel(
    channel: string,
    payload: told.Payload,
    options: told.MessageOptions & CallOptions,
  ): Promise<told.Receipt> {
    const { sender, store, ...rest } = options;
    return this.#single({ channel, payload, sender, ...(store !== undefined && { store }) }, rest);
  }

  /** Sends to a user. With `wait`, the receipt tells whether the user's program has it. */
  async sendToPeer(
    peer: string,
    payload: told.Payload,
    options: told.PeerMessageOptions & CallOptions,
  ): Promise<told.Receipt> {
    const { sender, store, offline, wait, ...rest } = options;
    const flags = {
      ...(store !== undefined && { store }),
      ...(offline !== undefined && { offline }),
      ...(wait !== undefined && { wait }),
    };
    return this.#single({ users: [peer], payload, sender, ...flags }, rest);
  }

  /**
   * Sends one message to a channel or to several users; each receiver has a receipt, also one that
   * failed.
   */
  publish(message: told.Message, options?: CallOptions): Promise<told.Published> {
    return this.#post('/publish', bodyOf(message), options, message.wait ? WAIT_MS : 0);
  }

  /**
   * Sends many messages in one call, at most 64 KiB in all; each has receipts, also those that
   * failed.
   */
  publishBatch(messages: told.Message[], options?: CallOptions): Promise<told.PublishedBatch> {
    const waitMs = messages.some(({ wait }) => wait) ? WAIT_MS : 0;
    return this.#post('/publish/batch', { messages: messages.map(bodyOf) }, options, waitMs);
  }

  async #single(message: told.Message, options: CallOptions): Promise<told.Receipt> {
    const { request_id, results } = await this.publish(message, options);
    const [receipt] = results;
    if (receipt === undefined)
      throw new TidingsError(
        'the answer has no receipt',
        'bad_answer',
        'Check that the endpoint is a Tidings server.',
      );
    if (receipt.outcome !== 'failed') return receipt;
    const { code = 'failed', detail = '', hint = '' } = receipt.error ?? {};
    throw new ApiError({
      status: 200,
      code,
      title: 'the message was not sent',
      detail,
      hint,
      request_id,
    });
  }

  /** Messages that were kept, of a channel or of two users to each other. */
  history(
    which: told.HistoryOptions,
    options?: CallOptions,
  ): Promise<told.Page<told.HistoryMessage>> {
    return this.#get('/history', historyQuery(which), options);
  }

  /** Deletes what {@link history} would find. */
  deleteHistory(which: told.HistoryOptions, options?: CallOptions): Promise<unknown> {
    return this.#call({ method: 'DELETE', path: '/history', query: historyQuery(which) }, options);
  }

  // Who is there

  /** Which of these users are online. At most 256 in a call. */
  async queryPresence(users: string[], options?: CallOptions): Promise<Map<string, boolean>> {
    const { items } = await this.#post<told.Page<{ user: string; online: boolean }>>(
      '/users/query',
      { user_ids: users },
      options,
    );
    return new Map(items.map(({ user, online }) => [user, online]));
  }

  /** A user's logins and channels. */
  user(user: string, options?: CallOptions): Promise<told.User> {
    return this.#get(`/users/${part(user)}`, undefined, options);
  }

  /** A page of the channels that have members. */
  channels(
    which: told.PageOptions & { prefix?: string } = {},
    options?: CallOptions,
  ): Promise<told.Page<told.Channel>> {
    return this.#get('/channels', { ...which }, options);
  }

  channel(channel: string, options?: CallOptions): Promise<told.Channel> {
    return this.#get(`/channels/${part(channel)}`, undefined, options);
  }

  /** A page of a channel's members. */
  members(
    channel: string,
    which: told.PageOptions = {},
    options?: CallOptions,
  ): Promise<told.Page<{ user: string }>> {
    return this.#get(`/channels/${part(channel)}/members`, { ...which }, options);
  }

  /** Takes a user out of a channel. */
  removeMember(channel: string, user: string, options?: CallOptions): Promise<unknown> {
    return this.#post(`/channels/${part(channel)}/members/${part(user)}/remove`, {}, options);
  }

  /** A page of the logins, all or those of a user or in a channel. */
  sessions(
    which: told.PageOptions & { user?: string; channel?: string; protocol?: string } = {},
    options?: CallOptions,
  ): Promise<told.Page<told.Session>> {
    return this.#get('/sessions', { ...which }, options);
  }

  /** Ends one login. */
  endSession(session: string, options?: CallOptions): Promise<unknown> {
    return this.#call({ method: 'DELETE', path: `/sessions/${part(session)}` }, options);
  }

  /** Ends all logins of a user; with `ban_seconds`, new ones are refused for that time. */
  disconnect(
    user: string,
    how: { reason?: string; ban_seconds?: number } = {},
    options?: CallOptions,
  ): Promise<unknown> {
    // With a ban, as a ban: see there.
    return this.#call(
      {
        method: 'POST',
        path: `/users/${part(user)}/disconnect`,
        body: how,
        isRepeatable: !how.ban_seconds,
      },
      options,
    );
  }

  // Attributes

  userAttributes(user: string, options?: CallOptions): Promise<told.Attributes> {
    return this.#attributes('GET', 'users', user, undefined, options);
  }

  /** Replaces all attributes of a user. */
  setUserAttributes(
    user: string,
    attributes: told.Attributes,
    options?: CallOptions,
  ): Promise<told.Attributes> {
    return this.#attributes('PUT', 'users', user, attributes, options);
  }

  /** Adds attributes of a user, or changes them; the others stay. */
  updateUserAttributes(
    user: string,
    attributes: told.Attributes,
    options?: CallOptions,
  ): Promise<told.Attributes> {
    return this.#attributes('PATCH', 'users', user, attributes, options);
  }

  /** Deletes these attributes of a user, or all. */
  deleteUserAttributes(
    user: string,
    keys?: string[],
    options?: CallOptions,
  ): Promise<told.Attributes> {
    return this.#attributes('DELETE', 'users', user, keys, options);
  }

  channelAttributes(channel: string, options?: CallOptions): Promise<told.Attributes> {
    return this.#attributes('GET', 'channels', channel, undefined, options);
  }

  /** Replaces all attributes of a channel. */
  setChannelAttributes(
    channel: string,
    attributes: told.Attributes,
    options?: CallOptions,
  ): Promise<told.Attributes> {
    return this.#attributes('PUT', 'channels', channel, attributes, options);
  }

  /** Adds attributes of a channel, or changes them; the others stay. */
  updateChannelAttributes(
    channel: string,
    attributes: told.Attributes,
    options?: CallOptions,
  ): Promise<told.Attributes> {
    return this.#attributes('PATCH', 'channels', channel, attributes, options);
  }

  /** Deletes these attributes of a channel, or all. */
  deleteChannelAttributes(
    channel: string,
    keys?: string[],
    options?: CallOptions,
  ): Promise<told.Attributes> {
    return this.#attributes('DELETE', 'channels', channel, keys, options);
  }

  // Bans and tokens

  /** A page of the bans. */
  bans(which: told.PageOptions = {}, options?: CallOptions): Promise<told.Page<told.Ban>> {
    return this.#get('/bans', { ...which }, options);
  }

  /** Bans; those who are there are put out at once. */
  ban(what: told.BanOptions, options?: CallOptions): Promise<told.Ban> {
    // Not repeated when its answer is lost: the second would be another ban.
    return this.#call({ method: 'POST', path: '/bans', body: what }, options);
  }

  /** Changes a ban. */
  changeBan(id: string | number, change: told.BanChange, options?: CallOptions): Promise<told.Ban> {
    return this.#call(
      { method: 'PATCH', path: `/bans/${part(String(id))}`, body: change },
      options,
    );
  }

  /** Ends a ban. */
  unban(id: string | number, options?: CallOptions): Promise<unknown> {
    return this.#call({ method: 'DELETE', path: `/bans/${part(String(id))}` }, options);
  }

  /**
   * Lets the server make a token. `buildToken` does it without a call, where the certificate is
   * known.
   */
  async issueToken(
    user: string,
    how: told.TokenOptions = {},
    options?: CallOptions,
  ): Promise<string> {
    const { token } = await this.#post<{ token: string }>(
      '/tokens',
      { user_id: user, ...how },
      options,
    );
    return token;
  }

  /** What a token says, and whether it is good; for support. */
  inspectToken(token: string, options?: CallOptions): Promise<Record<string, unknown>> {
    return this.#post('/tokens/inspect', { token }, options);
  }

  /** Takes one token back. */
  revokeToken(token: string, options?: CallOptions): Promise<unknown> {
    return this.#post('/revocations', { token }, options);
  }

  /**
   * Takes back all tokens of a user that were made before a time, Unix seconds; until now if not
   * stated.
   */
  revokeTokensOf(user: string, not_before?: number, options?: CallOptions): Promise<unknown> {
    return this.#post(
      '/revocations',
      { user_id: user, ...(not_before !== undefined && { not_before }) },
      options,
    );
  }

  // Events

  /** A page of events behind a cursor; empty when nothing has happened within `wait` seconds. */
  eventPage(
    which: EventOptions & { wait?: number } = {},
    options?: CallOptions,
  ): Promise<told.Page<told.Event>> {
    const { after, types, limit, wait } = which;
    const query = { after, types: joined(types), limit, wait };
    return this.#call(
      { method: 'GET', path: '/events', query, waitMs: (wait ?? 0) * 1000 },
      options,
    );
  }

  /**
   * All events behind a cursor, and those to come; ends only with its signal, or with an error that
   * a retry does not mend.
   */
  events(
    which: EventOptions = {},
    options: CallOptions = {},
  ): AsyncGenerator<told.Event, void, undefined> {
    return follow((page) => this.eventPage(page, options), which, options.signal);
  }

  /**
   * Hands every event to `handle` at least once, across restarts: the cursor is saved after
   * `handle` is done.
   */
  readEvents(how: ReadOptions, options: CallOptions = {}): Promise<void> {
    return readEvents((page) => this.eventPage(page, options), how, options.signal);
  }

  async #attributes(
    method: Call['method'],
    kind: 'users' | 'channels',
    name: string,
    given: told.Attributes | string[] | undefined,
    options?: CallOptions,
  ): Promise<told.Attributes> {
    const path = `/${kind}/${part(name)}/attributes`;
    const call: Omit<Call, 'waitMs'> = Array.isArray(given)
      ? { method, path, query: { keys: joined(given) } }
      : { method, path, ...(given !== undefined && { body: { attributes: given } }) };
    const answer = await this.#call<{ attributes?: told.Attributes } | undefined>(call, options);
    return answer?.attributes ?? {};
  }

  #get<T>(path: string, query: Call['query'], options: CallOptions | undefined): Promise<T> {
    return this.#call({ method: 'GET', path, ...(query && { query }) }, options);
  }

  /**
   * A POST that may be executed twice: the server knows its key again, or it has the same effect.
   */
  #post<T>(path: string, body: unknown, options: CallOptions | undefined, waitMs = 0): Promise<T> {
    return this.#call({ method: 'POST', path, body, waitMs, isRepeatable: true }, options);
  }

  #call<T>(call: Call, options: CallOptions | undefined): Promise<T> {
    if (!this.#app)
      throw new TidingsError('no app id', 'no_app', 'Give `app`, or set TIDINGS_APP.');
    return this.#transport.call<T>(
      { ...call, path: `/api/v1/apps/${part(this.#app)}${call.path}` },
      options,
    );
  }
}

/** A message as the API takes it. */
function bodyOf(message: told.Message): Record<string, unknown> {
  const { sender, payload, ...rest } = message;
  const isText = typeof payload === 'string';
  const content = isText
    ? { payload }
    : { payload_base64: Buffer.from(payload).toString('base64') };
  return { ...rest, from: sender, type: isText ? 'text' : 'raw', ...content };
}

function historyQuery({
  channel,
  users,
  from_ms,
  to_ms,
  ...page
}: told.HistoryOptions): NonNullable<Call['query']> {
  return { channel, users: joined(users), from: from_ms, to: to_ms, ...page };
}
