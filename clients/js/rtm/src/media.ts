/** Uploads and downloads, and the messages made of them. */
import {
  CallError,
  type Environment,
  type Family,
  FAMILY_DOWNLOAD_MEDIA_ERR,
  FAMILY_UPLOAD_MEDIA_ERR,
  type HttpRequest,
  MEDIA_BYTES_MAX,
  MEDIA_PROGRESS_MS,
  MEDIA_STALL_MS,
  MEDIA_TRANSFERS_MAX,
  MESSAGE_PAYLOAD_BYTES_MAX,
  CODES,
  decodeUtf8,
  encodeUtf8,
} from '@tidings/core';
import type AgoraRTM from '../types/index.mjs';
import { isBlob, isBytes, remember, typeOf } from './blobs.js';
import { kindOf } from './checks.js';
import type { Connection } from './connection.js';
import { RtmError, fromCall, invalidArgument, limitExceeded } from './errors.js';
import { MEASURED_BYTES, measuresOf } from './measures.js';
import { createMessage } from './messages.js';

// The codes of both families have the same numbers.
const INVALID = CODES.UPLOAD_MEDIA_ERR_INVALID_ARGUMENT;
const TIMEOUT = CODES.UPLOAD_MEDIA_ERR_TIMEOUT;
const TOO_MANY = CODES.UPLOAD_MEDIA_ERR_CONCURRENCY_LIMIT_EXCEEDED;
const INTERRUPTED = CODES.UPLOAD_MEDIA_ERR_INTERRUPTED;
const UPLOAD = 'createMediaMessageByUploading()';
const DOWNLOAD = 'downloadMedia()';

type Params = Partial<Record<string, unknown>>;

/** What a transfer asks the server for. */
interface Wanted {
  readonly what: string;
  readonly family: Family;
  /** Behind the app's address. */
  readonly path?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Blob;
}

export class Media {
  /** What ends each transfer under way. Bound: media_transfers_max. */
  readonly #open = new Set<(text: string) => void>();

  constructor(
    private readonly connection: Connection,
    private readonly environment: Environment,
  ) {}

  /** The login has ended. */
  stop(): void {
    for (const stop of this.#open) stop('the login is over');
  }

  async upload(
    payload: unknown,
    params: unknown,
    handler: unknown,
  ): Promise<AgoraRTM.RtmFileMessage | AgoraRTM.RtmImageMessage> {
    this.connection.checkLogin(UPLOAD);
    const body = isBytes(payload) ? new Blob([payload as Uint8Array<ArrayBuffer>]) : payload;
    if (!isBlob(body)) throw invalidArgument(INVALID, `payload is ${kindOf(payload)}, use a Blob`);
    const given = checkParams(params);
    const { size, type } = body;
    const named = { fileName: (body as Partial<File>).name, ...given, size };
    const message = createMessage(named) as AgoraRTM.RtmImageMessage;
    const { fileName, thumbnail } = message;
    checkSizes(size, message);
    if (thumbnail) remember(thumbnail, await bytesOf(thumbnail));
    if (
      message.messageType === 'IMAGE' &&
      (given['width'] === undefined || given['height'] === undefined)
    ) {
      const found = measuresOf(await bytesOf(body.slice(0, MEASURED_BYTES)));
      if (found) Object.assign(message, found, given);
    }
    const headers: Record<string, string> = {
      'Content-Type': type && type.length < 128 ? type : 'application/octet-stream',
    };
    const name = encodeUtf8(fileName);
    // The server is told only a name it accepts; the message has the name in any case.
    if (name.length < 256 && !/\p{Cc}/u.test(fileName))
      headers['Tidings-File-Name'] = percent(name);
    const family = FAMILY_UPLOAD_MEDIA_ERR;
    const answer = await this.#transfer({ what: UPLOAD, family, headers, body }, handler);
    const { mediaId } = JSON.parse(await textOf(answer)) as { mediaId: string };
    return { ...message, mediaId };
  }

  async download(mediaId: unknown, handler: unknown): Promise<Blob> {
    this.connection.checkLogin(DOWNLOAD);
    if (typeof mediaId !== 'string' || !/^[\x20-\x7e]{1,64}$/.test(mediaId)) {
      throw invalidArgument(
        INVALID,
        `mediaId is ${JSON.stringify(mediaId)}, use the one of a file or image message`,
      );
    }
    const path = `/${encodeURIComponent(mediaId)}`;
    const blob = await this.#transfer(
      { what: DOWNLOAD, family: FAMILY_DOWNLOAD_MEDIA_ERR, path },
      handler,
    );
    return blob.slice(0, blob.size, typeOf(await bytesOf(blob.slice(0, 4))));
  }

  /** Resolves with the body of the answer. */
  async #transfer(wanted: Wanted, handler: unknown): Promise<Blob> {
    const { what, family } = wanted;
    const { cancelSignal, onOperationProgress } = checkHandler(handler);
    if (this.#open.size >= MEDIA_TRANSFERS_MAX) {
      throw limitExceeded(
        TOO_MANY,
        `${MEDIA_TRANSFERS_MAX} transfers go on already, wait until one has ended`,
      );
    }
    const { environment } = this;
    const controller = new AbortController();
    let failure: RtmError | undefined;
    const end = (error: RtmError) => {
      failure ??= error;
      controller.abort();
    };
    const stop = (text: string) =>
      end(new RtmError('RtmUnavailableError', INTERRUPTED, `${what}: ${text}`));
    const cancel = () => stop('cancelled by cancelSignal');
    const stalled = () =>
      end(
        new RtmError(
          'RtmTimeoutError',
          TIMEOUT,
          `${what}: no progress for ${MEDIA_STALL_MS / 1000} s`,
        ),
      );
    let timer = environment.setTimer(stalled, MEDIA_STALL_MS);
    const report = reporter(environment, onOperationProgress);
    const moved = (currentSize: number, totalSize: number) => {
      environment.clearTimer(timer);
      timer = environment.setTimer(stalled, MEDIA_STALL_MS);
      if (!failure) report({ currentSize, totalSize });
    };
    this.#open.add(stop);
    cancelSignal?.addEventListener('abort', cancel);
    try {
      if (cancelSignal?.aborted) cancel();
      if (failure) throw failure;
      const request = { ...this.#request(wanted), signal: controller.signal, moved };
      const { status, chunks } = await environment.exchange(request);
      const answer = new Blob([...chunks]);
      if (status < 200 || status > 299) throw await problemOf(status, answer, wanted);
      return answer;
    } catch (error) {
      if (failure ?? error instanceof RtmError) throw failure ?? error;
      const text = `${what}: the transfer was broken off: ${String(error)}; try again`;
      throw new RtmError('RtmUnavailableError', family.other, text);
    } finally {
      environment.clearTimer(timer);
      cancelSignal?.removeEventListener('abort', cancel);
      this.#open.delete(stop);
    }
  }

  #request({ path = '', headers, body }: Wanted): Pick<HttpRequest, 'url' | 'headers' | 'body'> {
    const { url, appId, userId, token } = this.connection.shell.access;
    const address = url.replace(/^ws/, 'http');
    const media = (_rtm: string, _path: string, search = '') =>
      `/v1/media/${appId}${path}${search}`;
    const login = token === '' ? undefined : { Authorization: `Bearer ${token}` };
    const all = { 'Tidings-User': percent(encodeUtf8(userId)), ...login, ...headers };
    return { url: address.replace(/(\/rtm)?(\?.*)?$/, media), headers: all, ...(body && { body }) };
  }
}

/** What is `undefined` or `null` counts as not given. */
function checkParams(params: unknown): Params {
  const entries = Object.entries({ ...(params as Params | null | undefined) });
  const given: Params = Object.fromEntries(
    entries.filter(([, value]) => value !== undefined && value !== null),
  );
  const { messageType, fileName = '', description = '', thumbnail } = given;
  const check = (name: string, isRight: boolean, use: string) => {
    if (!isRight)
      throw invalidArgument(INVALID, `params.${name} is ${kindOf(given[name])}, use ${use}`);
  };
  check('messageType', messageType === 'FILE' || messageType === 'IMAGE', "'FILE' or 'IMAGE'");
  check('fileName', typeof fileName === 'string', 'a string');
  check('description', typeof description === 'string', 'a string');
  check('thumbnail', thumbnail === undefined || isBlob(thumbnail), 'a Blob');
  return given;
}

function checkSizes(
  size: number,
  { fileName, description, thumbnail }: AgoraRTM.RtmFileMessage | AgoraRTM.RtmImageMessage,
): void {
  const code = CODES.UPLOAD_MEDIA_ERR_SIZE_OVERFLOW;
  if (size === 0 || size > MEDIA_BYTES_MAX) {
    throw limitExceeded(code, `the file has ${size} bytes, 1 to ${MEDIA_BYTES_MAX} are possible`);
  }
  const told = encodeUtf8(fileName + description).length + (thumbnail?.size ?? 0);
  if (told > MESSAGE_PAYLOAD_BYTES_MAX) {
    const text = `thumbnail, fileName and description have ${told} bytes, at most ${MESSAGE_PAYLOAD_BYTES_MAX} fit a message`;
    throw limitExceeded(code, text);
  }
}

function checkHandler(handler: unknown): AgoraRTM.MediaTransferHandler {
  const given = (handler ?? {}) as AgoraRTM.MediaTransferHandler;
  const { cancelSignal, onOperationProgress } = given;
  const isFunction = (value: unknown) => typeof value === 'function';
  const isWrong =
    (cancelSignal && !isFunction(cancelSignal.addEventListener)) ||
    (onOperationProgress && !isFunction(onOperationProgress));
  if (isWrong)
    throw invalidArgument(
      INVALID,
      'use { cancelSignal: an AbortSignal, onOperationProgress: a function }',
    );
  return given;
}

/**
 * Reports progress about once a second, and the end once. A listener that throws disturbs nothing.
 */
function reporter(
  environment: Environment,
  listener: AgoraRTM.MediaTransferHandler['onOperationProgress'],
) {
  let toldAt = -Infinity;
  let toldSize = -1;
  return (event: AgoraRTM.MediaOperationProgress): void => {
    const now = environment.now();
    const isDue = now - toldAt >= MEDIA_PROGRESS_MS || event.currentSize === event.totalSize;
    if (!isDue || event.currentSize === toldSize) return;
    toldAt = now;
    toldSize = event.currentSize;
    try {
      listener?.(event);
    } catch (error) {
      setTimeout(() => {
        throw error;
      }, 0);
    }
  };
}

async function problemOf(status: number, answer: Blob, { what, family }: Wanted): Promise<unknown> {
  let failure = { outcome: 0, text: `HTTP ${status}`, retryAfterMs: 0 };
  try {
    const { error } = JSON.parse(await textOf(answer)) as {
      error: Record<string, never> & { text: string; hint: string };
    };
    // By texts of templates: these two names of the server's would be shortened by the build, as
    // ours are.
    const [outcome, retryAfterMs] = [`outcome`, `retryAfterMs`].map(
      (name) => error[name],
    ) as unknown as [number, number];
    failure = { outcome, text: `${error.text}. ${error.hint}`, retryAfterMs };
  } catch {
    // A proxy on the way to the server has answered.
  }
  return fromCall(new CallError(failure), family, what);
}

async function bytesOf(blob: Blob): Promise<Uint8Array> {
  return new Uint8Array(await blob.arrayBuffer());
}

async function textOf(blob: Blob): Promise<string> {
  return decodeUtf8(await bytesOf(blob));
}

/** For a header; half a surrogate pair becomes the replacement character. */
function percent(utf8: Uint8Array): string {
  return encodeURIComponent(decodeUtf8(utf8));
}
