/** Message objects of the API and the protocol's message. */
import {
  type Attribute,
  type Message,
  MESSAGE_PAYLOAD_BYTES_MAX,
  type MessageBody,
  decodeUtf8,
  encodeUtf8,
} from '@tidings/core';
import type AgoraRTM from '../types/index.mjs';
import { kindOf } from './checks.js';
import { invalidArgument, limitExceeded } from './errors.js';

/** A message that has passed the check of its shape. */
export type Checked =
  | { readonly is: 'sendable'; readonly message: Message; readonly size: number }
  /** An image or a file: there is no way to carry it yet. */
  | { readonly is: 'media' };

/**
 * The shape of a message to be sent: a string `text` or a Uint8Array `rawMessage`, not both. An
 * object of another realm will do. Throws with the family's code.
 */
export function checkMessage(value: unknown, code: number): Checked {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw invalidArgument(code, `message is ${kindOf(value)}, use { text } or { rawMessage }`);
  }
  const { text, rawMessage, description, messageType, mediaId } = value as Readonly<Record<string, unknown>>;
  if (text === undefined && rawMessage === undefined && typeof mediaId === 'string') {
    if (messageType === 'IMAGE' || messageType === 'FILE') return { is: 'media' };
  }
  if (text !== undefined && rawMessage !== undefined) {
    throw invalidArgument(code, 'message has both text and rawMessage, use one of them');
  }
  if (typeof text === 'string') {
    const bytes = encodeUtf8(text);
    return { is: 'sendable', message: { body: { is: 'text', value: bytes } }, size: bytes.length };
  }
  if (!isBytes(rawMessage)) {
    const found = text === undefined ? `rawMessage is ${kindOf(rawMessage)}` : `text is ${kindOf(text)}`;
    throw invalidArgument(code, `message.${found}, use a string text or a Uint8Array rawMessage`);
  }
  if (description !== undefined && description !== null && typeof description !== 'string') {
    throw invalidArgument(code, `message.description is ${kindOf(description)}, use a string`);
  }
  const data = new Uint8Array(rawMessage.buffer, rawMessage.byteOffset, rawMessage.byteLength);
  const described = encodeUtf8(description ?? '');
  const body: MessageBody = { is: 'raw', value: { data: data.slice(), description: described } };
  return { is: 'sendable', message: { body }, size: data.length + described.length };
}

/** Throws with the family's code when the payload is too large. */
export function checkSize(size: number, code: number): void {
  if (size > MESSAGE_PAYLOAD_BYTES_MAX) {
    const text = `the message is ${size} bytes long, at most ${MESSAGE_PAYLOAD_BYTES_MAX} are possible`;
    throw limitExceeded(code, text);
  }
}

/** A Uint8Array of this realm or another one. */
function isBytes(value: unknown): value is Uint8Array {
  return ArrayBuffer.isView(value) && Object.prototype.toString.call(value) === '[object Uint8Array]';
}

/** A received message as the application sees it. */
export function toApplication(body: MessageBody): AgoraRTM.RtmTextMessage | AgoraRTM.RtmRawMessage {
  if (body.is === 'text') return { text: decodeUtf8(body.value), messageType: 'TEXT' };
  const { data, description } = body.value;
  return { rawMessage: data, description: decodeUtf8(description), messageType: 'RAW' };
}

/** A copy with the type inferred and the defaults filled in. Unchecked: sending checks. */
export function createMessage(partial: unknown): object {
  if (typeof partial !== 'object' || partial === null) return {};
  const copy: Record<string, unknown> = { ...partial };
  if (copy['messageType'] === undefined) {
    if (typeof copy['text'] === 'string') copy['messageType'] = 'TEXT';
    else if (isBytes(copy['rawMessage'])) copy['messageType'] = 'RAW';
  }
  const { messageType } = copy;
  if (messageType === 'RAW') copy['description'] ??= '';
  if (messageType === 'FILE' || messageType === 'IMAGE') {
    copy['fileName'] ??= '';
    copy['description'] ??= '';
    copy['size'] ??= 0;
    if (!('thumbnail' in copy)) copy['thumbnail'] = undefined;
  }
  if (messageType === 'IMAGE') {
    for (const side of ['width', 'height', 'thumbnailWidth', 'thumbnailHeight']) copy[side] ??= 0;
  }
  return copy;
}

export function toChannelAttributes(attributes: readonly Attribute[]): AgoraRTM.ChannelAttributes {
  return Object.fromEntries(
    attributes.map(({ key, value, updatedBy, updatedTs }) => [
      key,
      { value, lastUpdateUserId: updatedBy, lastUpdateTs: updatedTs },
    ]),
  );
}
