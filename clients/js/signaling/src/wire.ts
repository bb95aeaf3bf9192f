/**
 * Frames and lines: JSON arrays and texts of the legacy protocol. Source: signaling 3, 5.1, 6.1.
 */

/** A message of the queue, or an event of the channel. */
export interface Line {
  /** Of `msg-v3` lines: the same when the message comes again. */
  readonly id: string | undefined;
  readonly from: string;
  readonly type: string;
  readonly content: string;
}

/** Fields before the content, the first word included. */
const FIELDS: Record<string, number> = { 'msg-v2': 6, 'msg-v3': 7 };

/** Reads a line; `undefined` if it is not one. */
export function readLine(text: string): Line | undefined {
  const version = text.slice(0, text.indexOf(' '));
  const count = FIELDS[version];
  if (count === undefined) return undefined;
  const fields: string[] = [];
  let at = 0;
  for (let number = 0; number < count; number++) {
    const end = text.indexOf(' ', at);
    if (end < 0) return undefined;
    fields.push(text.slice(at, end));
    at = end + 1;
  }
  // The words, the id of msg-v3, source, destination, flag, type, time.
  const [from, , , type] = fields.slice(count - 5);
  return {
    id: version === 'msg-v3' ? fields[1] : undefined,
    from: from ?? '',
    type: type ?? '',
    content: text.slice(at),
  };
}

/** A frame from the server as event and argument; `undefined` if it is not one. */
export function readFrame(text: string): readonly [event: string, argument: unknown] | undefined {
  const frame = parse(text);
  return Array.isArray(frame) && typeof frame[0] === 'string' ? [frame[0], frame[1]] : undefined;
}

/** JSON, or `undefined`. */
export function parse(text: unknown): unknown {
  if (typeof text !== 'string') return undefined;
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

/** A JSON object, or an empty one. */
export function parseObject(text: unknown): Record<string, unknown> {
  const value = parse(text);
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : {};
}

/** What a call was answered: the error's text, empty when it succeeded, and the body. */
export function readAnswer(
  error: unknown,
  body: unknown,
): readonly [error: string, body: Record<string, unknown>] {
  const answer = parseObject(body);
  if (typeof error === 'string' && error !== '') return [error, answer];
  if (answer['result'] === 'ok') return ['', answer];
  const data = answer['data'] as { result?: unknown } | undefined;
  return [String(data?.result ?? answer['reason'] ?? 'failed'), answer];
}
