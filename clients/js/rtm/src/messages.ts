/** Message objects of the API and the protocol's message. */
import {
  type Attribute,
  type File as FileBody,
  type Message,
  MESSAGE_PAYLOAD_BYTES_MAX,
  type MessageBody,
  decodeUtf8,
  encodeUtf8,
} from '@tidings/core';
import type AgoraRTM from '../types/index.mjs';
import { blobOf, isBlob, isBytes, withBytes } from './blobs.js';
import { kindOf } from './checks.js';
import { invalidArgument, limitExceeded } from './errors.js';

/** A message that has passed the check of its shape. */
export interface Checked {
  /** Bytes that count against the limit. */
  readonly size: number;
  /** The message; a promise of it when a thumbnail's bytes have to be fetched out of its Blob. */
  readonly load: () => Message | Promise<Message>;
}

/**
 * The shape of a message to be sent: a string `text`, a Uint8Array `rawMessage`, or the `mediaId`
 * of a file or an image. An object of another realm is accepted. Throws with the family's code.
 */
export function checkMessage(value: unknown, code: number): Checked {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw invalidArgument(code, `message is ${kindOf(value)}, use { text } or { rawMessage }`);
  }
  const fields = value as Readonly<Record<string, unknown>>;
  const { text, rawMessage, messageType } = fields;
  if (
    text === undefined &&
    rawMessage === undefined &&
    (messageType === 'IMAGE' || messageType === 'FILE')
  ) {
    return checkMedia(fields, messageType, code);
  }
  if (text !== undefined && rawMessage !== undefined) {
    throw invalidArgument(code, 'message has both text and rawMessage, use one of them');
  }
  if (typeof text === 'string') {
    const bytes = encodeUtf8(text);
    return { load: () => ({ body: { is: 'text', value: bytes } }), size: bytes.length };
  }
  if (!isBytes(rawMessage)) {
    const found =
      text === undefined ? `rawMessage is ${kindOf(rawMessage)}` : `text is ${kindOf(text)}`;
    throw invalidArgument(code, `message.${found}, use a string text or a Uint8Array rawMessage`);
  }
  const data = new Uint8Array(
    rawMessage.buffer,
    rawMessage.byteOffset,
    rawMessage.byteLength,
  ).slice();
  const description = encodeUtf8(textOf(fields, 'description', code));
  const body: MessageBody = { is: 'raw', value: { data, description } };
  return { load: () => ({ body }), size: data.length + description.length };
}

function checkMedia(
  fields: Readonly<Record<string, unknown>>,
  messageType: 'FILE' | 'IMAGE',
  code: number,
): Checked {
  const { mediaId, thumbnail } = fields;
  if (typeof mediaId !== 'string' || !/^[\x20-\x7e]{1,64}$/.test(mediaId)) {
    const text = `message.mediaId is ${JSON.stringify(mediaId)}, use the one that createMediaMessageByUploading() gave`;
    throw invalidArgument(code, text);
  }
  if (thumbnail !== undefined && thumbnail !== null && !isBlob(thumbnail)) {
    throw invalidArgument(code, `message.thumbnail is ${kindOf(thumbnail)}, use a Blob`);
  }
  const fileName = encodeUtf8(textOf(fields, 'fileName', code));
  const description = encodeUtf8(textOf(fields, 'description', code));
  const number = (name: string) => numberOf(fields, name, code);
  const head = { mediaId, size: number('size'), fileName, description };
  const sides = {
    width: number('width'),
    height: number('height'),
    thumbnailWidth: number('thumbnailWidth'),
    thumbnailHeight: number('thumbnailHeight'),
  };
  const message = (bytes: Uint8Array): Message => {
    const file = { ...head, thumbnail: bytes };
    return {
      body:
        messageType === 'FILE'
          ? { is: 'file', value: file }
          : { is: 'image', value: { file, ...sides } },
    };
  };
  const size = (thumbnail?.size ?? 0) + fileName.length + description.length;
  return { size, load: () => withBytes(thumbnail ?? undefined, message) };
}

function textOf(fields: Readonly<Record<string, unknown>>, name: string, code: number): string {
  const value = fields[name] ?? '';
  if (typeof value === 'string') return value;
  throw invalidArgument(code, `message.${name} is ${kindOf(value)}, use a string`);
}

/** Pages compute the sides of thumbnails, so there are fractions. */
function numberOf(fields: Readonly<Record<string, unknown>>, name: string, code: number): number {
  const value = fields[name] ?? 0;
  if (typeof value === 'number' && value >= 0 && value <= 0xffff_ffff) return Math.round(value);
  throw invalidArgument(code, `message.${name} is ${String(value)}, use a number from 0`);
}

/** Throws with the family's code when the payload is too large. */
export function checkSize(size: number, code: number): void {
  if (size > MESSAGE_PAYLOAD_BYTES_MAX) {
    const text = `the message is ${size} bytes long, at most ${MESSAGE_PAYLOAD_BYTES_MAX} are possible`;
    throw limitExceeded(code, text);
  }
}

/** A received message as the application sees it. */
export function toApplication(body: MessageBody): AgoraRTM.RtmMessage {
  switch (body.is) {
    case 'text':
      return { text: decodeUtf8(body.value), messageType: 'TEXT' };
    case 'raw':
      return {
        rawMessage: body.value.data,
        description: decodeUtf8(body.value.description),
        messageType: 'RAW',
      };
    case 'file':
      return { ...fileOf(body.value), messageType: 'FILE' };
    default: {
      const { file, ...sides } = body.value;
      return { ...fileOf(file ?? NO_FILE), ...sides, messageType: 'IMAGE' };
    }
  }
}

const NO_BYTES = new Uint8Array();
const NO_FILE: FileBody = {
  mediaId: '',
  size: 0,
  fileName: NO_BYTES,
  description: NO_BYTES,
  thumbnail: NO_BYTES,
};

function fileOf({ mediaId, size, fileName, description, thumbnail }: FileBody) {
  return {
    mediaId,
    size,
    fileName: decodeUtf8(fileName),
    description: decodeUtf8(description),
    thumbnail: thumbnail.length > 0 ? blobOf(thumbnail) : undefined,
  };
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
