/** Reading the app's events: by pages, in order, without losing one. */
import { ApiError, NoAnswerError } from './errors';
import { sleep } from './transport';
import type { Event, Page } from './types';

/**
 * Seconds that one call waits for the next event. Proxies end requests that are silent for a
 * minute.
 */
const WAIT_S = 25;
/** The pause after the calls' own retries have failed; doubled up to the longest. */
const PAUSE_MS = 1_000;
const PAUSE_MS_MAX = 30_000;

export interface EventOptions {
  /** The cursor behind which reading begins; the oldest event that is kept if not stated. */
  after?: string;
  /** Only these types; all if not stated. */
  types?: string[];
  /** Events in one call. */
  limit?: number;
}

export interface ReadOptions extends EventOptions {
  /**
   * Is called with each event, one after the other. When it throws, reading ends and the event is
   * not counted as read.
   */
  handle: (event: Event) => unknown;
  /**
   * Keeps the cursor, so that another start of the program goes on there: write it to where your
   * data is.
   */
  save?: (cursor: string) => unknown;
  /** Is called in place of `handle` where events were dropped before they could be read. */
  onGap?: (gap: Event) => unknown;
}

type Ask = (page: EventOptions & { wait: number }) => Promise<Page<Event>>;

/**
 * Pages without end; an outage is waited for. Yields empty pages too, as their cursor may be newer.
 */
async function* pages(
  ask: Ask,
  which: EventOptions,
  signal: AbortSignal | undefined,
): AsyncGenerator<Page<Event>, void, undefined> {
  let { after } = which;
  let pauseMs = PAUSE_MS;
  for (;;) {
    let page: Page<Event>;
    try {
      page = await ask({ ...which, ...(after !== undefined && { after }), wait: WAIT_S });
    } catch (error) {
      if (!isOutage(error)) throw error;
      await sleep(Math.max(pauseMs * (0.5 + Math.random() / 2), retryAfterMs(error)), signal);
      pauseMs = Math.min(pauseMs * 2, PAUSE_MS_MAX);
      continue;
    }
    pauseMs = PAUSE_MS;
    yield page;
    after = page.next ?? page.items.at(-1)?.cursor ?? after;
  }
}

export async function* follow(
  ask: Ask,
  which: EventOptions,
  signal: AbortSignal | undefined,
): AsyncGenerator<Event, void, undefined> {
  for await (const page of pages(ask, which, signal)) yield* page.items;
}

export async function readEvents(
  ask: Ask,
  how: ReadOptions,
  signal: AbortSignal | undefined,
): Promise<void> {
  const { handle, save, onGap, ...which } = how;
  let saved = which.after;
  for await (const page of pages(ask, which, signal)) {
    for (const event of page.items) {
      if (event.type === 'gap' && onGap) await onGap(event);
      else await handle(event);
      signal?.throwIfAborted();
    }
    const cursor = page.next ?? page.items.at(-1)?.cursor;
    if (cursor === undefined || cursor === saved) continue;
    await save?.(cursor);
    saved = cursor;
  }
}

/** Whether the server may answer later what it does not answer now. */
function isOutage(error: unknown): boolean {
  if (error instanceof NoAnswerError) return error.code !== 'bad_answer';
  return error instanceof ApiError && (error.status === 429 || error.status >= 500);
}

function retryAfterMs(error: unknown): number {
  return error instanceof ApiError ? (error.retry_after_s ?? 0) * 1000 : 0;
}
