/** Media messages: their checks. The protocol does not carry media yet, so every transfer fails. */
import { RTM_ERROR_CODES as CODES } from '@tidings/core';
import { kindOf } from './checks.js';
import { RtmError, invalidArgument, limitExceeded } from './errors.js';

/** Largest file. Bytes. Source: RTM 1.x semantics 9.2. */
const MEDIA_BYTES_MAX = 33_554_432;

function notLoggedIn(what: string): RtmError {
  return new RtmError('RtmInvalidStatusError', CODES.UPLOAD_MEDIA_ERR_NOT_LOGGED_IN, `${what} needs a login`);
}

export function uploadFailure(payload: unknown, params: unknown, isLoggedIn: boolean): RtmError {
  const code = CODES.UPLOAD_MEDIA_ERR_INVALID_ARGUMENT;
  if (typeof Blob === 'undefined' || !(payload instanceof Blob)) {
    return invalidArgument(code, `payload is ${kindOf(payload)}, use a Blob`);
  }
  const messageType = (params as { messageType?: unknown } | null | undefined)?.messageType;
  if (messageType !== 'FILE' && messageType !== 'IMAGE') {
    return invalidArgument(code, `messageType is ${String(messageType)}, use 'FILE' or 'IMAGE'`);
  }
  if (!isLoggedIn) return notLoggedIn('createMediaMessageByUploading()');
  if (payload.size === 0 || payload.size > MEDIA_BYTES_MAX) {
    const text = `the file has ${payload.size} bytes, 1 to ${MEDIA_BYTES_MAX} are possible`;
    return limitExceeded(CODES.UPLOAD_MEDIA_ERR_SIZE_OVERFLOW, text);
  }
  return mediaUnsupported(CODES.UPLOAD_MEDIA_ERR_FAILURE);
}

export function downloadFailure(mediaId: unknown, isLoggedIn: boolean): RtmError {
  if (typeof mediaId !== 'string' || mediaId === '') {
    const text = `mediaId is ${mediaId === '' ? 'empty' : kindOf(mediaId)}, use the id of a media message`;
    return invalidArgument(CODES.DOWNLOAD_MEDIA_ERR_INVALID_ARGUMENT, text);
  }
  if (!isLoggedIn) return notLoggedIn('downloadMedia()');
  return mediaUnsupported(CODES.DOWNLOAD_MEDIA_ERR_FAILURE);
}

function mediaUnsupported(code: number): RtmError {
  return new RtmError('RtmUnavailableError', code, 'this server does not carry media');
}
