/**
 * Carries what the two browsers have to agree on (WebRTC calls them descriptions and candidates) as
 * peer messages. The server never looks inside; this is all that a call needs of it.
 */
import type { RtmClient, RtmMessage } from '@tidings/rtm';

export type Signal =
  | { readonly description: RTCSessionDescriptionInit }
  | { readonly candidate: RTCIceCandidateInit }
  /** For a call that ends before the browsers have found each other. */
  | { readonly bye: true };

interface Parcel {
  readonly call: string;
  readonly number: number;
  readonly signals: readonly Signal[];
}

/** Tells our raw messages from anybody else's. */
const DESCRIPTION = 'tidings-demo/call';
/** Between two attempts while the server or the other page is away. Milliseconds. */
const AGAIN_MS = 500;

/** The signals of one call, in both directions. */
export class Signals {
  #waiting: Signal[] = [];
  #isSending = false;
  #isOver = false;
  #lastSent = 0;
  #lastReceived = 0;

  constructor(
    private readonly client: RtmClient,
    private readonly peer: string,
    private readonly call: string,
    private readonly received: (signal: Signal) => void,
  ) {}

  send(signal: Signal): void {
    this.#waiting.push(signal);
    if (!this.#isSending) void this.#sendAll();
  }

  /** The last word. What has not been sent by now is not sent. */
  end(): void {
    this.#isOver = true;
    const message = parcelOf({
      call: this.call,
      number: this.#lastSent + 1,
      signals: [{ bye: true }],
    });
    // If it does not arrive, the closed WebRTC connection says the same.
    this.client.sendMessageToPeer(message, this.peer).catch(() => undefined);
  }

  /** Takes a message of the peer if it belongs to this call. */
  take(parcel: Parcel): void {
    // The answer to a message may get lost, and the message is then sent again: each counts once.
    const isNew = parcel.call === this.call && parcel.number > this.#lastReceived;
    if (!isNew || this.#isOver) return;
    this.#lastReceived = parcel.number;
    for (const signal of parcel.signals) this.received(signal);
  }

  /** One message at a time, until it has arrived. Whatever comes up meanwhile goes into the next one. */
  async #sendAll(): Promise<void> {
    this.#isSending = true;
    while (this.#waiting.length > 0 && !this.#isOver) {
      const signals = this.#waiting;
      this.#waiting = [];
      const message = parcelOf({ call: this.call, number: ++this.#lastSent, signals });
      while (!this.#isOver && !(await this.#arrives(message))) await pause(AGAIN_MS);
    }
    this.#isSending = false;
  }

  async #arrives(message: RtmMessage): Promise<boolean> {
    try {
      return (await this.client.sendMessageToPeer(message, this.peer)).hasPeerReceived;
    } catch {
      return false;
    }
  }
}

function parcelOf(parcel: Parcel): RtmMessage {
  return { rawMessage: new TextEncoder().encode(JSON.stringify(parcel)), description: DESCRIPTION };
}

/** What a message carries if it is about a call; such a message is not shown in the chat. */
export function parcelIn(message: RtmMessage): Parcel | undefined {
  if (!('rawMessage' in message) || message.description !== DESCRIPTION) return undefined;
  try {
    const parcel = JSON.parse(new TextDecoder().decode(message.rawMessage)) as Parcel;
    return Array.isArray(parcel.signals) ? parcel : undefined;
  } catch {
    return undefined;
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
