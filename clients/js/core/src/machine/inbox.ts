/** Drops peer messages that the application has been given before. */

/**
 * Ids kept. A receiver has at most 200 stored messages (`inbox_messages_max`), so that a message
 * which comes in both forms is among the last few hundred; 4096 ids are about 300 KB at worst.
 */
const IDS_MAX = 4096;
/** Bytes of an id. Source: docs/internals/protocol.md. */
const ID_BYTES = 16;

export class SeenMessages {
  /** In the order of arrival, so that the oldest is forgotten first. Outlives sessions. */
  readonly #ids = new Set<string>();
  /**
   * Highest inbox position seen in this session; a server that lost its store starts again from 1.
   */
  #inbox = 0;

  /** Whether the message is new; remembers it. `inbox` 0: it was not stored. */
  admit(id: Uint8Array, inbox: number): boolean {
    if (inbox > 0) {
      if (inbox <= this.#inbox) return false;
      this.#inbox = inbox;
    }
    if (id.length === 0) return true;
    const key = String.fromCharCode(...id.subarray(0, ID_BYTES));
    if (this.#ids.has(key)) return false;
    this.#ids.add(key);
    if (this.#ids.size > IDS_MAX) {
      for (const oldest of this.#ids) {
        this.#ids.delete(oldest);
        break;
      }
    }
    return true;
  }

  /** A new session begins: positions are counted by the server's store alone. */
  beginSession(): void {
    this.#inbox = 0;
  }

  /** Another user logs in: what the former one has seen no longer counts. */
  clear(): void {
    this.#ids.clear();
    this.#inbox = 0;
  }
}
