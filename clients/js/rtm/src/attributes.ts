/** Attributes of users and channels: the calls behind the client's methods. */
import {
  ATTRIBUTES_CLEAR,
  ATTRIBUTES_DELETE,
  ATTRIBUTES_MERGE,
  ATTRIBUTES_SET,
  CHANNEL_ATTRIBUTES_BYTES_MAX,
  FAMILY_ATTRIBUTE_OPERATION_ERR as FAMILY,
  CODES,
  USER_ATTRIBUTES_BYTES_MAX,
} from '@tidings/core';
import type AgoraRTM from '../types/index.mjs';
import { checkAttributes, checkKeys, checkName, isOn } from './checks.js';
import type { Connection } from './connection.js';
import { toChannelAttributes } from './messages.js';

const INVALID = CODES.ATTRIBUTE_OPERATION_ERR_INVALID_ARGUMENT;

/** How a write treats existing attributes. */
export type Write = 'set' | 'merge' | 'delete' | 'clear';

const HOW = {
  set: ATTRIBUTES_SET,
  merge: ATTRIBUTES_MERGE,
  delete: ATTRIBUTES_DELETE,
  clear: ATTRIBUTES_CLEAR,
} as const;

function checkWritten(
  write: Write,
  given: unknown,
  totalMax: number,
): { key: string; value?: string }[] {
  if (write === 'clear') return [];
  if (write === 'delete') return checkKeys('attributeKeys', given).map((key) => ({ key }));
  return checkAttributes(given, totalMax);
}

export async function writeUserAttributes(
  connection: Connection,
  what: string,
  write: Write,
  given: unknown,
): Promise<void> {
  const attributes = checkWritten(write, given, USER_ATTRIBUTES_BYTES_MAX);
  connection.checkLogin(what);
  const value = { how: HOW[write], attributes };
  await connection.call(what, FAMILY, { is: 'writeUserAttributes', value }, 'done');
}

export async function writeChannelAttributes(
  connection: Connection,
  what: string,
  write: Write,
  given: { readonly channelId: unknown; readonly attributes?: unknown; readonly options: unknown },
): Promise<void> {
  // The channel's name is looked at last when everything is removed: observed, RTM 1.5.1.
  if (write === 'clear') connection.checkLogin(what);
  const channel = checkName('channelId', given.channelId, INVALID);
  const attributes = checkWritten(write, given.attributes, CHANNEL_ATTRIBUTES_BYTES_MAX);
  connection.checkLogin(what);
  const notify = isOn(given.options, 'enableNotificationToChannelMembers');
  const value = { channel, how: HOW[write], attributes, notify };
  await connection.call(what, FAMILY, { is: 'writeChannelAttributes', value }, 'done');
}

/** `keys` absent: all. */
export async function readUserAttributes(
  connection: Connection,
  what: string,
  given: { readonly userId: unknown; readonly keys?: unknown },
): Promise<AgoraRTM.AttributesMap> {
  const byKeys = 'keys' in given;
  if (byKeys) connection.checkLogin(what);
  const userId = checkName('userId', given.userId, INVALID);
  const keys = byKeys ? checkKeys('attributeKeys', given.keys) : [];
  connection.checkLogin(what);
  const call = { is: 'readUserAttributes', value: { userId, keys } } as const;
  const { attributes } = await connection.call(what, FAMILY, call, 'attributes');
  return Object.fromEntries(attributes.map(({ key, value }) => [key, value]));
}

/** `keys` absent: all. */
export async function readChannelAttributes(
  connection: Connection,
  what: string,
  given: { readonly channelId: unknown; readonly keys?: unknown },
): Promise<AgoraRTM.ChannelAttributes> {
  const byKeys = 'keys' in given;
  if (byKeys) connection.checkLogin(what);
  const channel = checkName('channelId', given.channelId, INVALID);
  const keys = byKeys ? checkKeys('keys', given.keys) : [];
  connection.checkLogin(what);
  const call = { is: 'readChannelAttributes', value: { channel, keys } } as const;
  const { attributes } = await connection.call(what, FAMILY, call, 'attributes');
  return toChannelAttributes(attributes);
}
