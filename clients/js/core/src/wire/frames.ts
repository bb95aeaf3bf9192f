/** Frames: what one WebSocket message holds in either direction. */
import { type In, DecodeError, Reader, Writer } from './codec.js';
import { ClientMessage, type ServerEvent, ServerMessage } from './messages.js';

/** Messages with this field number or a higher one count in the server sequence. */
const NUMBERED_FROM = 16;
const WIRE_BYTES = 2;

/** One message of a received frame. */
export interface Received {
  /** `undefined`: a kind that this version does not know. */
  readonly event: ServerEvent | undefined;
  /** Whether it counts in the server sequence; unknown kinds count as well. */
  readonly isNumbered: boolean;
  /** Bytes of the message. */
  readonly size: number;
}

/** Reads a `ServerFrame`. Throws DecodeError. */
export function decodeServerFrame(data: Uint8Array): Received[] {
  const reader = new Reader(data);
  const received: Received[] = [];
  while (!reader.isAtEnd) {
    const { field, wire } = reader.tag();
    if (field !== 1 || wire !== WIRE_BYTES) {
      reader.skip(wire);
      continue;
    }
    const view = reader.view();
    if (view.length === 0) throw new DecodeError('a server message is empty');
    received.push({
      event: ServerMessage.decode(view).kind,
      isNumbered: new Reader(view).tag().field >= NUMBERED_FROM,
      size: view.length,
    });
  }
  return received;
}

/** One `ClientMessage`, encoded for `encodeClientFrame`. */
export function encodeClientMessage(
  kind: NonNullable<In<typeof ClientMessage>['kind']>,
): Uint8Array {
  return ClientMessage.encode({ kind });
}

/** A `ClientFrame` of encoded messages; `confirm` 0 says nothing. */
export function encodeClientFrame(messages: readonly Uint8Array[], confirm: number): Uint8Array {
  const writer = new Writer();
  for (const bytes of messages) writer.tag(1, WIRE_BYTES).view(bytes);
  if (confirm > 0) writer.tag(2, 0).varint(confirm);
  return writer.finish();
}
