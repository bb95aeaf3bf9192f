/** Counts the numbered messages of a session and says when to confirm them. */
import {
  CLIENT_CONFIRM_BYTES,
  CLIENT_CONFIRM_FRAMES,
  CLIENT_CONFIRM_WAIT_MS,
} from '../generated/limits.js';

export class Confirmation {
  #sseq = 0;
  #said = 0;
  #bytes = 0;
  #isUrgent = false;
  /** When the oldest unconfirmed message must be confirmed. */
  #deadline = Infinity;

  /** Highest server sequence processed. */
  get sseq(): number {
    return this.#sseq;
  }

  /** A numbered message has been processed. A sender waits for the answer to a peer message. */
  count(size: number, isPeerMessage: boolean, now: number): void {
    this.#sseq++;
    this.#bytes += size;
    if (isPeerMessage) this.#isUrgent = true;
    this.#deadline = Math.min(this.#deadline, now + CLIENT_CONFIRM_WAIT_MS);
  }

  /** The next `count` numbers will never come. */
  skip(count: number, now: number): void {
    if (count === 0) return;
    this.#sseq += count;
    this.#deadline = Math.min(this.#deadline, now + CLIENT_CONFIRM_WAIT_MS);
  }

  isDue(now: number): boolean {
    if (this.#sseq === this.#said) return false;
    if (this.#isUrgent || this.#deadline <= now) return true;
    return this.#sseq - this.#said >= CLIENT_CONFIRM_FRAMES || this.#bytes >= CLIENT_CONFIRM_BYTES;
  }

  /** The number for a frame that is sent now; 0 when there is nothing new. */
  take(): number {
    const isNew = this.#sseq > this.#said;
    this.said();
    return isNew ? this.#sseq : 0;
  }

  /** Everything processed has been confirmed, for instance by a Resume. */
  said(): void {
    this.#said = this.#sseq;
    this.#bytes = 0;
    this.#isUrgent = false;
    this.#deadline = Infinity;
  }

  deadline(): number {
    return this.#deadline;
  }

  beginSession(): void {
    this.#sseq = 0;
    this.said();
  }
}
