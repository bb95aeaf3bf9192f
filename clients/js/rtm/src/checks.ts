/**
 * Argument checks. Which code applies and in which order they run: RTM 1.x semantics 2.1 to 2.3.
 */
import {
  ATTRIBUTES_MAX,
  ATTRIBUTE_KEY_BYTES_MAX,
  ATTRIBUTE_VALUE_BYTES_MAX,
  CODES,
  encodeUtf8,
  nameProblem,
} from '@tidings/core';
import { invalidArgument, invalidStatus, limitExceeded } from './errors.js';

const INVALID_ATTRIBUTE = CODES.ATTRIBUTE_OPERATION_ERR_INVALID_ARGUMENT;
const OVERFLOW = CODES.ATTRIBUTE_OPERATION_ERR_SIZE_OVERFLOW;

/** Bytes of a text in UTF-8. */
export function byteLength(text: string): number {
  return encodeUtf8(text).length;
}

/** What kind of value it is, for error texts. */
export function kindOf(value: unknown): string {
  if (value === null) return 'null';
  return Array.isArray(value) ? 'an array' : typeof value;
}

/** A user id or channel name; throws with the family's code. */
export function checkName(what: string, value: unknown, code: number): string {
  const problem = nameProblem(value);
  if (problem !== undefined) throw invalidArgument(code, `${what} ${problem}`);
  return value as string;
}

/** What a list of names must be like, and the codes of its family. */
export interface NameListRule {
  readonly what: string;
  readonly code: number;
  readonly max: number;
  readonly overflowCode: number;
}

/** A list of names that is not empty; each name once. */
export function checkNames(value: unknown, rule: NameListRule): string[] {
  const { what, code, max, overflowCode } = rule;
  if (!Array.isArray(value))
    throw invalidArgument(code, `${what} is ${kindOf(value)}, use an array`);
  if (value.length === 0) throw invalidArgument(code, `${what} is empty, name at least one`);
  const names = value.map((name: unknown, at) => checkName(`${what}[${at}]`, name, code));
  if (value.length > max) {
    const text = `${what} has ${value.length} entries, at most ${max} are possible`;
    throw code === overflowCode ? invalidArgument(code, text) : limitExceeded(overflowCode, text);
  }
  return [...new Set(names)];
}

/** Attributes to be written; `totalMax` in bytes of keys and values together. */
export function checkAttributes(
  value: unknown,
  totalMax: number,
): { key: string; value: string }[] {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw invalidArgument(
      INVALID_ATTRIBUTE,
      `attributes is ${kindOf(value)}, use an object of strings`,
    );
  }
  const entries: [string, unknown][] = Object.entries(value);
  if (entries.length === 0) throw invalidArgument(INVALID_ATTRIBUTE, 'attributes is empty');
  let total = 0;
  for (const [key] of entries) {
    const length = byteLength(key);
    total += length;
    if (length === 0 || length > ATTRIBUTE_KEY_BYTES_MAX) {
      const range = `1 to ${ATTRIBUTE_KEY_BYTES_MAX} bytes are possible`;
      throw invalidArgument(
        INVALID_ATTRIBUTE,
        `the key '${key}' is ${length} bytes long, ${range}`,
      );
    }
  }
  const attributes = entries.map(([key, entry]) => ({ key, value: checkValue(key, entry) }));
  for (const attribute of attributes) {
    const length = byteLength(attribute.value);
    total += length;
    if (length > ATTRIBUTE_VALUE_BYTES_MAX) {
      const limit = `at most ${ATTRIBUTE_VALUE_BYTES_MAX} are possible`;
      throw limitExceeded(
        OVERFLOW,
        `the value of '${attribute.key}' is ${length} bytes long, ${limit}`,
      );
    }
  }
  if (entries.length > ATTRIBUTES_MAX) {
    throw limitExceeded(
      OVERFLOW,
      `${entries.length} attributes, at most ${ATTRIBUTES_MAX} are possible`,
    );
  }
  if (total > totalMax) {
    throw limitExceeded(
      OVERFLOW,
      `keys and values are ${total} bytes, at most ${totalMax} are possible`,
    );
  }
  return attributes;
}

function checkValue(key: string, value: unknown): string {
  if (typeof value !== 'string') {
    throw invalidArgument(
      INVALID_ATTRIBUTE,
      `the value of '${key}' is ${kindOf(value)}, use a string`,
    );
  }
  if (value === '') throw invalidArgument(INVALID_ATTRIBUTE, `the value of '${key}' is empty`);
  return value;
}

/** Keys of attributes to be deleted or read. */
export function checkKeys(what: string, value: unknown): string[] {
  if (!Array.isArray(value)) {
    throw invalidArgument(
      INVALID_ATTRIBUTE,
      `${what} is ${kindOf(value)}, use an array of strings`,
    );
  }
  // The name of the error is the original's: observed, RTM 1.2.2 and 1.5.1.
  if (value.length === 0)
    throw invalidStatus(INVALID_ATTRIBUTE, `${what} is empty, name at least one key`);
  for (const key of value as unknown[]) {
    if (typeof key !== 'string' || key === '') {
      const shown = key === '' ? 'an empty string' : kindOf(key);
      throw invalidArgument(
        INVALID_ATTRIBUTE,
        `${what} has ${shown}, use strings that are not empty`,
      );
    }
  }
  return [...new Set(value as string[])];
}

/** An option that is on only when it is `true`; any other value is off. */
export function isOn(options: unknown, name: string): boolean {
  return (
    typeof options === 'object' &&
    options !== null &&
    (options as Readonly<Record<string, unknown>>)[name] === true
  );
}
