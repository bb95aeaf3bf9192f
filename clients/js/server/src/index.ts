export { Tidings } from './client';
export { ApiError, NoAnswerError, TidingsError, WebhookError, type Problem } from './errors';
export type { EventOptions, ReadOptions } from './events';
export { buildToken, type TokenInput } from './token';
export type { Call, CallOptions, Query, Settings } from './transport';
export type {
  Attributes,
  Ban,
  BanChange,
  BanOptions,
  Channel,
  Event,
  HistoryMessage,
  HistoryOptions,
  Message,
  MessageOptions,
  Page,
  PageOptions,
  Payload,
  PeerMessageOptions,
  Published,
  PublishedBatch,
  Receipt,
  Session,
  TokenOptions,
  User,
} from './types';
export {
  checkSignature,
  type HeaderSource,
  verifyWebhook,
  type WebhookEvent,
  type WebhookOptions,
} from './webhook';
