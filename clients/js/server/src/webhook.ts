/** Is a webhook's request from the server, unchanged and fresh? */
import { createHmac, timingSafeEqual } from 'node:crypto';
import { WebhookError } from './errors';

/** How old a request may be, and how far ahead of this machine's clock, in seconds. */
const TOLERANCE_S = 300;

/** What a webhook's request says. */
export interface WebhookEvent {
  /** Equal in repeats of one event: remember it, and act once. */
  noticeId: string;
  productId: number;
  eventType: number;
  /** Such as `user.login`. */
  type?: string;
  /** When this attempt was made, Unix milliseconds. */
  notifyMs: number;
  payload: Record<string, unknown>;
  [more: string]: unknown;
}

export interface WebhookOptions {
  /** The webhook's secret; during a rotation both, in any order. */
  secrets: string | string[];
  /** Seconds, 300 if not stated; 0 takes requests of any age. */
  toleranceS?: number;
  /** Unix milliseconds; now if not stated. */
  nowMs?: number;
}

/** `request.headers` of Node, a `Headers`, or any object with header names. */
export type HeaderSource =
  Record<string, string | string[] | undefined> | { get(name: string): string | null };

const NOT_OURS =
  'Answer 401. If it is a request of your own server, check the secret, ' +
  'and that `body` is what came, byte for byte.';

function headerOf(headers: HeaderSource, name: string): string | undefined {
  if (typeof headers.get === 'function')
    return (headers as { get(name: string): string | null }).get(name) ?? undefined;
  for (const [key, value] of Object.entries(
    headers as Record<string, string | string[] | undefined>,
  )) {
    if (key.toLowerCase() === name) return Array.isArray(value) ? value[0] : value;
  }
  return undefined;
}

/**
 * Returns the event of a genuine request, and throws a {@link WebhookError} otherwise.
 *
 * `body` is the request's body as it came, before any parser: a body that was parsed and written
 * again has other bytes.
 */
export function verifyWebhook(
  body: Uint8Array | string,
  headers: HeaderSource,
  options: WebhookOptions,
): WebhookEvent {
  checkSignature(body, headers, options);
  const event = parse(body);
  if (event === undefined)
    throw new WebhookError(
      'the body is signed, but no event',
      'bad_body',
      'Give the body of a webhook of Tidings.',
    );
  return event as WebhookEvent;
}

/** The same check without reading the body; throws a {@link WebhookError}. */
export function checkSignature(
  body: Uint8Array | string,
  headers: HeaderSource,
  options: WebhookOptions,
): void {
  const secrets = [options.secrets].flat();
  if (secrets.length === 0 || secrets.includes('')) {
    throw new WebhookError(
      'no secret',
      'no_secret',
      'Give the secret that was shown when the webhook was made.',
    );
  }
  const timed = headerOf(headers, 'tidings-signature');
  if (timed !== undefined) return checkTimed(body, timed, secrets, options);
  // Receivers behind a proxy that passes on only the headers of the hosted service. Which of them
  // has the old secret's signature and which the new one's, nobody need know.
  const plain = ['agora-signature-v2', 'tidings-signature-next']
    .map((name) => headerOf(headers, name))
    .filter((value) => value !== undefined);
  if (plain.length === 0) {
    throw new WebhookError(
      'the request has no header Tidings-Signature',
      'no_signature',
      'Answer 401. If a proxy is in front, let it pass the header on.',
    );
  }
  checkFits(secrets, '', body, plain);
  checkAge(Number(parse(body)?.notifyMs), options);
}

/** `t=<Unix seconds>,v1=<hex>`: a `v1` for each secret that is in use. */
function checkTimed(
  body: Uint8Array | string,
  header: string,
  secrets: string[],
  options: WebhookOptions,
): void {
  let time: string | undefined;
  const signatures: string[] = [];
  for (const field of header.split(',')) {
    const [, name, value = ''] = /^\s*(\w+)=(.*?)\s*$/.exec(field) ?? [];
    if (name === undefined) throw malformed(header);
    if (name === 't') time = value;
    if (name === 'v1') signatures.push(value);
  }
  if (time === undefined || !/^\d{1,15}$/.test(time) || signatures.length === 0)
    throw malformed(header);
  if (!signatures.every((signature) => /^([0-9a-f]{2})*$/i.test(signature)))
    throw malformed(header);
  checkAge(Number(time) * 1000, options);
  checkFits(secrets, `${time}.`, body, signatures);
}

function malformed(header: string): WebhookError {
  return new WebhookError(
    `Tidings-Signature is ${JSON.stringify(header.slice(0, 100))}, not t=<seconds>,v1=<hex>`,
    'malformed_signature',
    NOT_OURS,
  );
}

/** Compares every signature with every secret's, in a time that tells nothing of them. */
function checkFits(
  secrets: string[],
  stamp: string,
  body: Uint8Array | string,
  signatures: string[],
): void {
  let isGood = false;
  for (const secret of secrets) {
    const expected = createHmac('sha256', secret).update(stamp).update(body).digest();
    for (const signature of signatures) {
      const bytes = Buffer.from(signature, 'hex');
      if (bytes.length === expected.length && timingSafeEqual(bytes, expected)) isGood = true;
    }
  }
  if (!isGood) throw new WebhookError('no signature fits the body', 'bad_signature', NOT_OURS);
}

function checkAge(madeMs: number, options: WebhookOptions): void {
  const toleranceMs = (options.toleranceS ?? TOLERANCE_S) * 1000;
  if (toleranceMs === 0) return;
  const nowMs = options.nowMs ?? Date.now();
  // Not a number where the body tells no time: then it is of no time that is allowed.
  if (Math.abs(Math.floor(nowMs / 1000) - Math.floor(madeMs / 1000)) * 1000 <= toleranceMs) return;
  const hint =
    'Answer 401: it may be a recorded request. ' +
    'If all requests fail so, set the clock of this machine.';
  const age = Number.isNaN(madeMs)
    ? 'at no stated time'
    : `${Math.round((nowMs - madeMs) / 1000)} s ago`;
  throw new WebhookError(`the request was made ${age}`, 'too_old', hint);
}

function parse(body: Uint8Array | string): Record<string, unknown> | undefined {
  const text = typeof body === 'string' ? body : Buffer.from(body).toString('utf8');
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null
      ? (value as Record<string, unknown>)
      : undefined;
  } catch {
    return undefined;
  }
}
