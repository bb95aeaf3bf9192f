/** The server's HTTP API, as the console calls it. There is no other way in. */

/** Who calls: by a key, or by a login at the operator's login server (its cookie is not ours to read). */
export type Credentials = { kind: 'key'; key: string } | { kind: 'login'; csrf: string };

/** Why a call was not done. */
export class Problem extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    readonly detail: string,
    readonly hint = '',
    readonly field = '',
  ) {
    super(detail);
    this.name = 'Problem';
  }

  static of(error: unknown): Problem {
    if (error instanceof Problem) return error;
    if (error instanceof TypeError)
      return new Problem(
        0,
        'unreachable',
        'The server cannot be reached.',
        'It is tried again when you reload.',
      );
    return new Problem(0, 'fault', error instanceof Error ? error.message : String(error));
  }
}

/** A path of the API: what is put in is one segment, whatever is in it. */
export function path(parts: TemplateStringsArray, ...names: string[]): string {
  let text = parts[0] ?? '';
  names.forEach((name, index) => {
    // A browser takes these for steps in the path, however they are written.
    if (name === '.' || name === '..' || name === '')
      throw new Problem(
        0,
        'unaddressable',
        `No address can have ${JSON.stringify(name)} as one of its parts.`,
        'Use the list of sessions: a session has an id of its own.',
      );
    text += encodeURIComponent(name) + (parts[index + 1] ?? '');
  });
  return text;
}

type Query = Record<string, string | number | undefined>;

export interface Page<T> {
  items: T[];
  next: string | null;
}

/** An event of an app's stream; kinds have fields besides. */
export interface AppEvent {
  cursor: string;
  type: string;
  at_ms: number;
  user?: string;
  channel?: string;
  peer?: string;
  id?: string;
  bytes?: number;
  detail?: string;
  missing?: number;
  session?: string;
}

const BASE = new URL('../api/v1/', document.baseURI);

export class Api {
  constructor(
    private readonly credentials: Credentials | undefined,
    /** The credentials are no longer good. */
    private readonly onRefused: (problem: Problem) => void = () => {},
  ) {}

  get<T>(path: string, query: Query = {}, signal?: AbortSignal): Promise<T> {
    return this.call<T>('GET', path, query, undefined, signal);
  }

  post<T>(path: string, body: unknown = {}): Promise<T> {
    return this.call<T>('POST', path, {}, body);
  }

  put<T>(path: string, body: unknown): Promise<T> {
    return this.call<T>('PUT', path, {}, body);
  }

  patch<T>(path: string, body: unknown): Promise<T> {
    return this.call<T>('PATCH', path, {}, body);
  }

  delete<T>(path: string, query: Query = {}): Promise<T> {
    return this.call<T>('DELETE', path, query);
  }

  private async call<T>(
    method: string,
    path: string,
    query: Query = {},
    body?: unknown,
    signal?: AbortSignal,
  ): Promise<T> {
    const response = await this.fetch(method, path, query, body, signal);
    const text = await response.text();
    return (text === '' ? undefined : JSON.parse(text)) as T;
  }

  private async fetch(
    method: string,
    path: string,
    query: Query,
    body: unknown,
    signal: AbortSignal | undefined,
  ): Promise<Response> {
    const address = new URL(path.replace(/^\//, ''), BASE);
    for (const [name, value] of Object.entries(query))
      if (value !== undefined && value !== '') address.searchParams.set(name, String(value));
    const headers: Record<string, string> = {};
    if (this.credentials?.kind === 'key')
      headers['authorization'] = `Bearer ${this.credentials.key}`;
    if (this.credentials?.kind === 'login') headers['x-tidings-csrf'] = this.credentials.csrf;
    if (body !== undefined) headers['content-type'] = 'application/json';
    const response = await fetch(address, {
      method,
      headers,
      // The cookie of a login goes along with a login only: a key is judged by itself.
      credentials: this.credentials?.kind === 'key' ? 'omit' : 'same-origin',
      cache: 'no-store',
      redirect: 'error',
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      ...(signal === undefined ? {} : { signal }),
    });
    if (response.ok) return response;
    const problem = await problemOf(response);
    if (problem.status === 401 && this.credentials !== undefined) this.onRefused(problem);
    throw problem;
  }

  /** Events of an app from now on, for as long as `signal` lets it; a stream that ends is taken up again. */
  async follow(
    app: string,
    types: string,
    signal: AbortSignal,
    told: {
      event: (event: AppEvent) => void;
      state: (state: 'open' | 'lost', why?: Problem) => void;
    },
  ): Promise<void> {
    let after: string | undefined;
    for (let wait = 500; !signal.aborted; wait = Math.min(wait * 2, 15_000)) {
      try {
        const response = await this.fetch(
          'GET',
          path`/apps/${app}/events/stream`,
          { after, types },
          undefined,
          signal,
        );
        told.state('open');
        wait = 500;
        for await (const { id, data } of eventsOf(response)) {
          after = id ?? after;
          if (data !== '') told.event(JSON.parse(data) as AppEvent);
        }
      } catch (error) {
        if (signal.aborted) return;
        const problem = Problem.of(error);
        told.state('lost', problem);
        // Another try changes nothing about these.
        if ([400, 401, 403, 404].includes(problem.status)) return;
      }
      await pause(wait, signal);
    }
  }
}

async function problemOf(response: Response): Promise<Problem> {
  const text = await response.text();
  const words = response.statusText || 'no reason given';
  try {
    const body = JSON.parse(text) as Partial<Record<'code' | 'detail' | 'hint' | 'field', string>>;
    return new Problem(
      response.status,
      body.code ?? '',
      body.detail ?? words,
      body.hint ?? '',
      body.field ?? '',
    );
  } catch {
    return new Problem(response.status, '', text.slice(0, 300) || words);
  }
}

/** Server-sent events, read by hand: the browser's own reader cannot send a key. */
async function* eventsOf(
  response: Response,
): AsyncGenerator<{ id: string | undefined; data: string }> {
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  if (!reader) return;
  let rest = '';
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const blocks = (rest + value).split('\n\n');
      rest = blocks.pop() ?? '';
      for (const block of blocks) {
        let id: string | undefined;
        let data = '';
        for (const line of block.split('\n')) {
          if (line.startsWith('id: ')) id = line.slice(4);
          if (line.startsWith('data: ')) data += line.slice(6);
        }
        yield { id, data };
      }
    }
  } finally {
    await reader.cancel().catch(() => {});
  }
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener('abort', () => (clearTimeout(timer), resolve()), { once: true });
  });
}

/** All pages of a list, at most so many items. */
export async function all<T>(
  api: Api,
  path: string,
  query: Query = {},
  { max = 1_000, parameter = 'cursor' } = {},
): Promise<{ items: T[]; isWhole: boolean }> {
  const items: T[] = [];
  let next: string | null = null;
  do {
    const page: Page<T> = await api.get(path, {
      ...query,
      limit: 100,
      [parameter]: next ?? query[parameter],
    });
    items.push(...page.items);
    next = page.next;
  } while (next !== null && items.length < max);
  return { items, isWhole: next === null };
}
