/** Collects what one `handle` asks for, in order. */
import { OUTCOME_TIMED_OUT } from '../generated/codes.js';
import { encodeClientFrame, encodeClientMessage } from '../wire/frames.js';
import type { Confirmation } from './confirm.js';
import type { CallFailure, CallResult, MachineEvent, Output } from './types.js';

/** Limit for a frame of several messages: with its own overhead it stays below frame_bytes_max. */
const BATCH_BYTES_MAX = 60 * 1024;

export class Outputs {
  #list: Output[] = [];
  /** Encoded messages for the next frames; emptied by `flush` or `dropMessages`. */
  #messages: Uint8Array[] = [];

  take(): Output[] {
    const list = this.#list;
    this.#list = [];
    return list;
  }

  push(output: Output): void {
    this.#list.push(output);
  }

  emit(event: MachineEvent): void {
    this.#list.push({ is: 'event', event });
  }

  settle(id: number, result: CallResult): void {
    this.#list.push({ is: 'settled', id, result });
  }

  done(id: number): void {
    this.settle(id, { ok: { is: 'done', value: {} } });
  }

  fail(id: number, failure: CallFailure): void {
    this.settle(id, { failure });
  }

  log(level: 'warn' | 'info' | 'debug', text: string): void {
    this.#list.push({ is: 'log', level, text });
  }

  /** Queues a message for the end of the turn, so that several share a frame. */
  message(kind: Parameters<typeof encodeClientMessage>[0]): void {
    this.#messages.push(encodeClientMessage(kind));
  }

  /** Sends a message that is a frame of its own and confirms nothing: the greeting. */
  greeting(connection: number, kind: Parameters<typeof encodeClientMessage>[0]): void {
    const bytes = encodeClientFrame([encodeClientMessage(kind)], 0);
    this.#list.push({ is: 'send', connection, bytes });
  }

  /** Ends a connection whose login has no answer yet; the logout follows that. */
  farewell(connection: number): void {
    const logout = {
      is: 'request',
      value: { cseq: 1, call: { is: 'logout', value: {} } },
    } as const;
    this.#list.push({
      is: 'farewell',
      connection,
      bytes: encodeClientFrame([encodeClientMessage(logout)], 0),
    });
  }

  dropMessages(): void {
    this.#messages = [];
  }

  /** Puts the queued messages into frames. A confirmation that is due goes with them, or alone. */
  flush(connection: number, confirmation: Confirmation, now: number): void {
    const send = (messages: readonly Uint8Array[]) => {
      const bytes = encodeClientFrame(messages, confirmation.take());
      this.#list.push({ is: 'send', connection, bytes });
    };
    let batch: Uint8Array[] = [];
    let size = 0;
    for (const message of this.#messages) {
      if (size > 0 && size + message.length > BATCH_BYTES_MAX) {
        send(batch);
        batch = [];
        size = 0;
      }
      batch.push(message);
      size += message.length;
    }
    this.#messages = [];
    if (batch.length > 0 || confirmation.isDue(now)) send(batch);
  }
}

export function timedOut(text: string, isSent: boolean): CallFailure {
  return { outcome: OUTCOME_TIMED_OUT, text, retryAfterMs: 0, local: 'timed_out', isSent };
}

/** A failure found here, without asking the server. */
export function foundHere(
  local: 'not_logged_in' | 'given_up' | 'left',
  text: string,
  isSent = false,
): CallFailure {
  return { outcome: 0, text, retryAfterMs: 0, local, isSent };
}
