/** Reading histories: an extension of ours, the RTM 1.x SDKs have no such methods. */
import { type Call, type Family, HISTORY_PAGE_MAX, type HistoryPage } from '@tidings/core';
import type AgoraRTM from '../types/index.mjs';
import { kindOf } from './checks.js';
import type { Connection } from './connection.js';
import { invalidArgument } from './errors.js';
import { toApplication } from './messages.js';

type Conversation = NonNullable<Extract<Call, { is: 'readHistory' }>['value']['conversation']>;

/** How the method is called, and the codes of its errors. */
interface Method {
  readonly what: string;
  readonly family: Family;
  readonly invalid: number;
}

const ORDERS: readonly unknown[] = ['oldest_first', 'newest_first'];

export async function readHistory(
  connection: Connection,
  conversation: Conversation,
  options: AgoraRTM.HistoryOptions | undefined = {},
  { what, family, invalid }: Method,
): Promise<AgoraRTM.HistoryPage> {
  if (typeof options !== 'object' || options === null) {
    throw invalidArgument(invalid, `options is ${kindOf(options)}, use an object`);
  }
  const { after = 0, before = 0, fromTs = 0, untilTs = 0, limit, order = 'oldest_first' } = options;
  for (const [name, value] of Object.entries({ after, before, fromTs, untilTs })) {
    if (Number.isSafeInteger(value) && value >= 0) continue;
    throw invalidArgument(
      invalid,
      `options.${name} is ${String(value)}, use a whole number from 0`,
    );
  }
  if (
    limit !== undefined &&
    !(Number.isSafeInteger(limit) && limit > 0 && limit <= HISTORY_PAGE_MAX)
  ) {
    const text = `options.limit is ${String(limit)}, use a whole number from 1 to ${HISTORY_PAGE_MAX}`;
    throw invalidArgument(invalid, text);
  }
  if (!ORDERS.includes(order)) {
    throw invalidArgument(invalid, `options.order is ${String(order)}, use ${ORDERS.join(' or ')}`);
  }
  const value = {
    conversation,
    after,
    before,
    fromTs,
    untilTs,
    countMax: limit ?? 0,
    newestFirst: order === 'newest_first',
  };
  const page = await connection.call(what, family, { is: 'readHistory', value }, 'history');
  return toPage(page);
}

function toPage({ messages, next }: HistoryPage): AgoraRTM.HistoryPage {
  const list = messages.flatMap(({ position, from, message, serverTs, id }) => {
    if (!message?.body) return [];
    return [
      {
        position,
        userId: from,
        message: toApplication(message.body),
        serverReceivedTs: serverTs,
        messageId: [...id].map((byte) => (byte + 256).toString(16).slice(1)).join(''),
      },
    ];
  });
  return { messages: list, ...(next > 0 && { next }) };
}
