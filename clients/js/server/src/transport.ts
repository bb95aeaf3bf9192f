/**
 * One call over HTTP: time limit, retries with growing pauses, one idempotency key for all its
 * attempts.
 */
import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { apiErrorOf, type ApiError, NoAnswerError, TidingsError } from './errors';

declare const __TIDINGS_VERSION__: string;

/** Statuses that say: nothing was done, try again. */
const NOT_DONE = new Set([429, 503]);
/** Statuses of a proxy that has lost the server: whether something was done is unknown. */
const LOST = new Set([502, 504]);
/** The first pause; each further one is twice as long. */
const PAUSE_MS = 250;
const PAUSE_MS_MAX = 8_000;
/**
 * A server that asks for more patience than this is answered by failing: the caller knows better
 * what to do.
 */
const RETRY_AFTER_S_MAX = 60;

/** Where the server is, and how it is asked. */
export interface Settings {
  /** Such as `https://chat.example.org`. Otherwise the environment's `TIDINGS_ENDPOINT`. */
  endpoint?: string;
  /** An API key, `tdk_…`. Otherwise the environment's `TIDINGS_KEY`. */
  key?: string;
  /** The app id. Otherwise the environment's `TIDINGS_APP`. */
  app?: string;
  /** How long one attempt may take, in milliseconds; 10 seconds if not stated. */
  timeoutMs?: number;
  /** How often a failed attempt is repeated; 4 if not stated, 0 for never. */
  retries?: number;
}

/** What every call takes besides its own words. */
export interface CallOptions {
  /** Ends the call; it then fails with the signal's reason. */
  signal?: AbortSignal;
  /** In place of the client's. */
  timeoutMs?: number;
  /** In place of one that is made for this call. At most 64 bytes. */
  idempotencyKey?: string;
}

export type Query = Record<string, string | number | boolean | undefined>;

export interface Call {
  method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** Begins with `/`, escaped. */
  path: string;
  query?: Query;
  body?: unknown;
  /** More time than the client's, for a call that waits on purpose. */
  waitMs?: number;
  /**
   * Whether a second execution does no harm, so that the call is repeated when its answer is lost.
   * If not stated: every call but a POST without an idempotency key of the caller's.
   */
  isRepeatable?: boolean;
}

/** A name as one part of a path. */
export function part(name: string): string {
  // Every URL parser takes these two for steps, in any spelling.
  if (name === '.' || name === '..' || name === '') {
    throw new TidingsError(
      `${JSON.stringify(name)} cannot be part of an address`,
      'invalid_name',
      'Use another name.',
    );
  }
  return encodeURIComponent(name);
}

/** Names as one parameter. */
export function joined(names: readonly string[] | undefined): string | undefined {
  const wrong = names?.find((name) => name.includes(','));
  if (wrong === undefined) return names?.join(',');
  const hint = 'Names are separated by commas; ask for one that has a comma in another way.';
  throw new TidingsError(`${JSON.stringify(wrong)} has a comma`, 'invalid_name', hint);
}

/** Seconds that a `Retry-After` asks for: a number, or a date. */
export function retryAfterOf(value: string | null, nowMs: number): number | undefined {
  if (value === null) return undefined;
  if (/^\d+(\.\d+)?$/.test(value.trim())) return Number(value);
  const at = Date.parse(value);
  return Number.isNaN(at) ? undefined : Math.max(0, (at - nowMs) / 1000);
}

interface Failure {
  error: TidingsError;
  /** Whether the server may have done what was asked. */
  isUncertain: boolean;
  retryAfterS?: number | undefined;
}

export class Transport {
  readonly #base: string;
  readonly #key: string;
  readonly #timeoutMs: number;
  readonly #retries: number;

  constructor(settings: Settings) {
    const endpoint = settings.endpoint ?? process.env.TIDINGS_ENDPOINT;
    const key = settings.key ?? process.env.TIDINGS_KEY;
    if (!endpoint)
      throw new TidingsError(
        'no endpoint',
        'no_endpoint',
        'Give `endpoint`, or set TIDINGS_ENDPOINT, such as https://chat.example.org.',
      );
    if (!key)
      throw new TidingsError(
        'no API key',
        'no_key',
        'Give `key`, or set TIDINGS_KEY; `tidings key create` makes one.',
      );
    if (!/^https?:\/\/[^/?#]+\/?$/.test(endpoint)) {
      const hint = 'Give the scheme and the host, such as https://chat.example.org.';
      throw new TidingsError(`the endpoint is ${JSON.stringify(endpoint)}`, 'bad_endpoint', hint);
    }
    if (!/^[\x21-\x7e]+$/.test(key)) {
      throw new TidingsError(
        'the API key has characters that no key has',
        'bad_key',
        'Copy the key again, without quotes, spaces and line ends.',
      );
    }
    this.#base = endpoint.replace(/\/$/, '');
    this.#key = key;
    this.#timeoutMs = settings.timeoutMs ?? 10_000;
    this.#retries = settings.retries ?? 4;
  }

  /** Resolves with the answer's JSON, `undefined` when it has none. */
  async call<T>(call: Call, options: CallOptions = {}): Promise<T> {
    // One key for all attempts: a retry after a lost answer is the same call to the server.
    // The beginning tells the server that the key is for these attempts only.
    const ownKey = options.idempotencyKey ?? `auto-${randomUUID()}`;
    const key = call.method === 'POST' ? ownKey : undefined;
    for (let attempt = 0; ; attempt++) {
      const result = await this.#attempt(call, options, key);
      if ('value' in result) return result.value as T;
      const isRepeatable =
        call.isRepeatable ?? (call.method !== 'POST' || options.idempotencyKey !== undefined);
      const waitMs = this.#pauseMs(attempt, result, isRepeatable);
      if (waitMs === undefined) throw result.error;
      await sleep(waitMs, options.signal);
    }
  }

  /** How long to wait before the next attempt; `undefined`: there is none. */
  #pauseMs(attempt: number, failure: Failure, isRepeatable: boolean): number | undefined {
    if (attempt >= this.#retries) return undefined;
    const asked = failure.retryAfterS;
    if (asked !== undefined && asked > RETRY_AFTER_S_MAX) return undefined;
    const status = (failure.error as Partial<ApiError>).status;
    const isRetried =
      (failure.isUncertain && isRepeatable) || (status !== undefined && NOT_DONE.has(status));
    if (!isRetried) return undefined;
    // Half of it is chance, so that those who were refused together do not come back together.
    const pauseMs = Math.min(PAUSE_MS * 2 ** attempt, PAUSE_MS_MAX);
    return (asked ?? 0) * 1000 + pauseMs * (0.5 + Math.random() / 2);
  }

  async #attempt(
    call: Call,
    options: CallOptions,
    key: string | undefined,
  ): Promise<{ value: unknown } | Failure> {
    options.signal?.throwIfAborted();
    const timeoutMs = (options.timeoutMs ?? this.#timeoutMs) + (call.waitMs ?? 0);
    // Not `AbortSignal.any`: with a signal that lives long, older versions of Node keep each of its
    // results for ever.
    const control = new AbortController();
    let isLate = false;
    const late = setTimeout(() => {
      isLate = true;
      control.abort();
    }, timeoutMs);
    const cancel = () => control.abort(options.signal?.reason);
    options.signal?.addEventListener('abort', cancel);
    const headers: Record<string, string> = {
      accept: 'application/json',
      authorization: `Bearer ${this.#key}`,
      'user-agent': `tidings-server-js/${__TIDINGS_VERSION__}`,
    };
    if (call.body !== undefined) headers['content-type'] = 'application/json';
    if (key !== undefined) headers['idempotency-key'] = key;
    const body = call.body === undefined ? null : JSON.stringify(call.body);
    let response: Response;
    let text: string;
    try {
      // A redirect would take the key elsewhere.
      response = await fetch(this.#url(call), {
        method: call.method,
        headers,
        body,
        signal: control.signal,
        redirect: 'manual',
      });
      text = await response.text();
    } catch (cause) {
      options.signal?.throwIfAborted();
      return { error: this.#noAnswer(cause, isLate ? timeoutMs : undefined), isUncertain: true };
    } finally {
      clearTimeout(late);
      options.signal?.removeEventListener('abort', cancel);
    }
    if (response.status >= 200 && response.status < 300) return readJson(text, response.status);
    const retryAfterS = retryAfterOf(response.headers.get('retry-after'), Date.now());
    const error = apiErrorOf(response.status, response.headers, text, retryAfterS);
    return { error, isUncertain: LOST.has(response.status), retryAfterS };
  }

  #url(call: Call): string {
    const query = new URLSearchParams();
    for (const [name, value] of Object.entries(call.query ?? {})) {
      if (value !== undefined) query.set(name, String(value));
    }
    const text = query.toString();
    return `${this.#base}${call.path}${text && `?${text}`}`;
  }

  #noAnswer(cause: unknown, timeoutMs: number | undefined): NoAnswerError {
    if (timeoutMs !== undefined) {
      const hint = 'Look at the load of the server, or give the call more time.';
      return new NoAnswerError(
        `${this.#base} has not answered within ${timeoutMs} ms`,
        'timed_out',
        hint,
        { cause },
      );
    }
    const { cause: inner, message } = cause as Error;
    const why =
      inner instanceof Error ? inner.message || (inner as NodeJS.ErrnoException).code : message;
    const hint = 'Check the endpoint, and that the server runs and can be reached from here.';
    return new NoAnswerError(`${this.#base} cannot be reached: ${why}`, 'unreachable', hint, {
      cause,
    });
  }
}

function readJson(text: string, status: number): { value: unknown } | Failure {
  if (text === '') return { value: undefined };
  try {
    return { value: JSON.parse(text) };
  } catch (cause) {
    const message = `the answer (${status}) is not JSON: ${JSON.stringify(text.slice(0, 100))}`;
    const error = new NoAnswerError(
      message,
      'bad_answer',
      'Check that the endpoint is a Tidings server.',
      { cause },
    );
    return { error, isUncertain: false };
  }
}

/** Waits; fails with the signal's reason. */
export async function sleep(ms: number, signal: AbortSignal | undefined): Promise<void> {
  try {
    await pause(ms, undefined, signal ? { signal } : {});
  } catch (error) {
    signal?.throwIfAborted();
    throw error;
  }
}
