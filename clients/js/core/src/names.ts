/** Identifiers of users and channels. Source: protocol 3. */
import { APP_ID_BYTES, NAME_BYTES_MAX } from './generated/limits.js';

const PUNCTUATION = ' !#$%&()+,-.:;<=>?@[]^_{|}~';

function isAllowed(character: string): boolean {
  return /^[A-Za-z0-9]$/.test(character) || PUNCTUATION.includes(character);
}

/** What is wrong with a user id or channel name, for people; `undefined` when it is good. */
export function nameProblem(value: unknown): string | undefined {
  if (typeof value === 'number') {
    return `is the number ${value}, use a string: '${value}'`;
  }
  if (typeof value !== 'string') {
    return `is ${value === null ? 'null' : typeof value}, use a string`;
  }
  if (value === '') return `is empty, use 1 to ${NAME_BYTES_MAX} characters`;
  if (value === 'null') return "is the text 'null', which is reserved";
  let position = 0;
  for (const character of value) {
    position++;
    if (isAllowed(character)) continue;
    const code = character.codePointAt(0) ?? 0;
    const shown = code < 0x20 || code === 0x7f ? '' : ` "${character}"`;
    const hex = code.toString(16).toUpperCase().padStart(4, '0');
    return `has the character${shown} U+${hex} at position ${position}, use letters, digits, space and ${PUNCTUATION.trim()}`;
  }
  if (value.length > NAME_BYTES_MAX) {
    return `is ${value.length} bytes long, at most ${NAME_BYTES_MAX} are possible`;
  }
  return undefined;
}

/** What is wrong with an app id; `undefined` when it is good. */
export function appIdProblem(value: unknown): string | undefined {
  if (typeof value !== 'string')
    return `is ${value === null ? 'null' : typeof value}, use a string`;
  if (value.length === APP_ID_BYTES && /^[A-Za-z0-9]+$/.test(value)) return undefined;
  return `is not ${APP_ID_BYTES} ASCII letters or digits`;
}
