/**
 * What went wrong, as classes and codes; every message says what happened, every hint what to do.
 */

/** The base of all errors that this package throws. */
export class TidingsError extends Error {
  override name = 'TidingsError';

  constructor(
    message: string,
    /**
     * A stable word to act on: the server's, or one of this package's own (`unreachable`,
     * `timed_out`, …).
     */
    readonly code: string,
    /** What to do about it: a sentence. Empty when there is nothing to say. */
    readonly hint: string = '',
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** What the server says when it refuses: `application/problem+json`. */
export interface Problem {
  status: number;
  code: string;
  title: string;
  detail: string;
  hint: string;
  /** The field of the request that is wrong. */
  field?: string;
  request_id?: string;
  /** Seconds after which the same call may succeed. */
  retry_after_s?: number;
}

/** The server has answered, and refuses. */
export class ApiError extends TidingsError {
  override name = 'ApiError';
  /** The HTTP status. */
  readonly status: number;
  /** The call's id in the server's log, to be told to whoever runs the server. */
  readonly request_id: string | undefined;
  readonly title: string;
  readonly detail: string;
  readonly field: string | undefined;
  readonly retry_after_s: number | undefined;

  constructor(problem: Problem) {
    super(
      `${problem.status} ${problem.code}: ${problem.detail || problem.title}`,
      problem.code,
      problem.hint,
    );
    this.status = problem.status;
    this.request_id = problem.request_id;
    this.title = problem.title;
    this.detail = problem.detail;
    this.field = problem.field;
    this.retry_after_s = problem.retry_after_s;
  }
}

/**
 * No answer came: `unreachable` (no connection, or it broke), `timed_out`, or `bad_answer` (not
 * from a Tidings server). Whether the call had an effect is unknown.
 */
export class NoAnswerError extends TidingsError {
  override name = 'NoAnswerError';
}

/** A webhook's request that must not be believed; `code` says why. */
export class WebhookError extends TidingsError {
  override name = 'WebhookError';
}

const textOf = (value: unknown): string => (typeof value === 'string' ? value : '');

/** Reads a refusal, also one that something between here and the server has made. */
export function apiErrorOf(
  status: number,
  headers: Headers,
  body: string,
  retryAfterS: number | undefined,
): ApiError {
  let told: Record<string, unknown> = {};
  try {
    const parsed: unknown = JSON.parse(body);
    if (typeof parsed === 'object' && parsed !== null) told = parsed as Record<string, unknown>;
  } catch {
    // A proxy's page.
  }
  const request_id = textOf(told.request_id) || headers.get('x-request-id') || undefined;
  const field = textOf(told.field) || undefined;
  const title = textOf(told.title) || `HTTP ${status}`;
  return new ApiError({
    status,
    code: textOf(told.code) || `http_${status}`,
    title,
    detail:
      textOf(told.detail) ||
      textOf(told.reason) ||
      textOf(told.message) ||
      (told.title ? '' : body.slice(0, 200)),
    hint: textOf(told.hint),
    ...(field !== undefined && { field }),
    ...(request_id !== undefined && { request_id }),
    ...(retryAfterS !== undefined && { retry_after_s: retryAfterS }),
  });
}
