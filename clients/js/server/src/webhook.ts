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
export type HeaderSource = Record<string, string | string[] | undefined> | { get(name: string): string | null };

function headerOf(headers: HeaderSource, name: string): string | undefined {
  if (typeof headers.get === 'function') return (headers as { get(name: string): string | null }).get(name) ?? undefined;
  for (const [key, value] of Object.entries(headers as Record<string, string | string[] | undefined>)) {
    if (key.toLowerCase() === name) return Array.isArray(value) ? value[0] : value;
  }
  return undefined;
}

/**
 * Returns the event of a genuine request, and throws a {@link WebhookError} otherwise.
 *
 * `body` is the request's body as it came, before any parser: a body that was parsed and written again has other bytes.
 */
export function verifyWebhook(body: Uint8Array | string, headers: HeaderSource, options: WebhookOptions): WebhookEvent {
  const secrets = [options.secrets].flat();
  if (secrets.length === 0 || secrets.includes('')) {
    throw new WebhookError('no secret', 'no_secret', "Give the secret that was shown when the webhook was made.");
  }
  // Both headers are looked at with every secret: which of them is the old one, the receiver need not know.
  const given = ['agora-signature-v2', 'tidings-signature-next'].map((name) => headerOf(headers, name)).filter((value) => value !== undefined);
  if (given.length === 0) {
    const hint = 'Answer 401. If a proxy is in front, let it pass the header on.';
    throw new WebhookError('the request has no header Agora-Signature-V2', 'no_signature', hint);
  }
  let isGood = false;
  for (const secret of secrets) {
    const expected = createHmac('sha256', secret).update(body).digest();
    for (const signature of given) {
      const bytes = Buffer.from(/^[0-9a-f]{64}$/.test(signature) ? signature : '', 'hex');
      if (bytes.length === expected.length && timingSafeEqual(bytes, expected)) isGood = true;
    }
  }
  if (!isGood) {
    const hint = 'Answer 401. If this is a request of your own server, check the secret, and that `body` is what came, byte for byte.';
    throw new WebhookError('the signature does not fit the body', 'bad_signature', hint);
  }
  const event = parse(body);
  const toleranceMs = (options.toleranceS ?? TOLERANCE_S) * 1000;
  const ageMs = (options.nowMs ?? Date.now()) - event.notifyMs;
  if (toleranceMs > 0 && !(Math.abs(ageMs) <= toleranceMs)) {
    const hint = 'Answer 401: it may be a recorded request. If all requests fail so, set the clock of this machine.';
    throw new WebhookError(`the request was made ${Math.round(ageMs / 1000)} s ago`, 'too_old', hint);
  }
  return event;
}

function parse(body: Uint8Array | string): WebhookEvent {
  const text = typeof body === 'string' ? body : Buffer.from(body).toString('utf8');
  let event: unknown;
  try {
    event = JSON.parse(text);
  } catch {
    event = undefined;
  }
  if (typeof event !== 'object' || event === null || typeof (event as WebhookEvent).notifyMs !== 'number') {
    throw new WebhookError('the body is signed, but no event', 'bad_body', 'Give the body of a webhook of Tidings.');
  }
  return event as WebhookEvent;
}
