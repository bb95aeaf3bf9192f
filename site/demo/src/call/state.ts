/** What a call can be. Plain data: the page shows nothing about a call that is not in here. */

export type CallKind = 'audio' | 'video';

export type CallState =
  | { readonly is: 'idle' }
  /** We have called, and wait for an answer. */
  | {
      readonly is: 'calling';
      readonly peer: string;
      readonly kind: CallKind;
      /** Whether the other person's page has the invitation: only then does it ring there. */
      readonly isRinging: boolean;
      /** When the server gives up. Unix milliseconds. */
      readonly until: number;
    }
  /** Somebody calls us. */
  | {
      readonly is: 'ringing';
      readonly peer: string;
      readonly kind: CallKind;
      readonly until: number;
      /** We have accepted, and wait for the browser to give us the camera. */
      readonly isAnswered: boolean;
    }
  /** Both want to talk; the two browsers look for a way to each other. */
  | { readonly is: 'connecting'; readonly peer: string; readonly kind: CallKind }
  | {
      readonly is: 'talking';
      readonly peer: string;
      readonly kind: CallKind;
      /** Unix milliseconds. */
      readonly since: number;
      /** The way to the other browser is broken at the moment; WebRTC looks for another. */
      readonly isBroken: boolean;
    };

/** What a person's own side of a call gives. */
export interface Devices {
  readonly microphone: boolean;
  readonly camera: boolean;
}

/** Carried by the invitation, as JSON in its `content`. */
export interface Offer {
  readonly call: string;
  readonly kind: CallKind;
}

/** Reads what an invitation carries; another program's may carry anything, and is a call all the same. */
export function offerIn(content: string): Offer | undefined {
  try {
    const { call, kind } = JSON.parse(content) as Partial<Offer>;
    if (typeof call !== 'string') return undefined;
    return { call, kind: kind === 'audio' ? 'audio' : 'video' };
  } catch {
    return undefined;
  }
}
