/** One small interface between the shell and whatever carries bytes. */

/** The sub-protocol that client and server agree on. */
export const SUB_PROTOCOL = 'tidings.v1';
/** Close code of a connection that ended without one. Source: RFC 6455, 7.1.5. */
export const CLOSE_ABNORMAL = 1006;

/**
 * There is no way to open a connection at all; the reason says what is missing. Ours; not a code of
 * the protocol.
 */
export const CLOSE_NO_SOCKET = 0;

/** What a connection reports. Never called before `connect` has returned. */
export interface TransportEvents {
  opened(): void;
  /** One binary message. */
  received(bytes: Uint8Array): void;
  /** The end, once; `reason` may be empty. */
  closed(code: number, reason: string): void;
}

export interface Transport {
  /** Only after `opened` and before `closed`. */
  send(bytes: Uint8Array): void;
  /** Ends the connection politely; nothing is reported afterwards. */
  close(code: number): void;
  /** Drops the connection without a farewell, as a broken network would; reports `closed`. */
  drop(): void;
}

/** Opens a connection to a `ws:` or `wss:` address. Failures are reported by `closed`. */
export type Connect = (url: string, events: TransportEvents) => Transport;

/** A `Connect` that is fetched when it is first needed. */
export function connectLater(load: () => Promise<Connect>): Connect {
  return (url, events) => {
    let transport: Transport | undefined;
    let isOver = false;
    load().then(
      (connect) => {
        if (!isOver) transport = connect(url, events);
      },
      (error: unknown) => {
        if (!isOver)
          events.closed(CLOSE_NO_SOCKET, error instanceof Error ? error.message : String(error));
        isOver = true;
      },
    );
    return {
      send: (bytes) => transport?.send(bytes),
      close(code) {
        isOver = true;
        transport?.close(code);
      },
      drop() {
        if (transport) transport.drop();
        else if (!isOver) {
          isOver = true;
          events.closed(CLOSE_ABNORMAL, 'dropped');
        }
      },
    };
  };
}
