/** What the page knows: people, channels and what was said. Plain data. */
import type { RtmChannel, RtmStatusCode } from '@tidings/rtm';

/** Someone to write to. */
export interface Person {
  readonly is: 'person';
  readonly name: string;
  /** `undefined` until the server has told. */
  presence: RtmStatusCode.PeerOnlineState | undefined;
}

/** A channel that we have joined. */
export interface Channel {
  readonly is: 'channel';
  readonly name: string;
  readonly rtm: RtmChannel;
  /** Whether each name that was heard of is in the channel. */
  readonly members: Map<string, boolean>;
  /** How many are in the channel, ourselves included. 0 until the server has told. */
  count: number;
}

export type Conversation = Person | Channel;

/** What became of a message that we have sent. */
export type Receipt =
  | { readonly is: 'sending' }
  /** The channel has it. */
  | { readonly is: 'sent' }
  /** The other person's page has it. */
  | { readonly is: 'delivered' }
  /** The other person is away; the server keeps it for the next login. */
  | { readonly is: 'stored' }
  | { readonly is: 'failed'; readonly why: string };

export interface Message {
  readonly is: 'message';
  readonly from: string;
  readonly text: string;
  /** Unix milliseconds. */
  readonly at: number;
  /** Came from the server's store: it was sent while we were away. */
  readonly wasStored: boolean;
  /** Only on our own messages. */
  receipt?: Receipt;
}

/** A line between the messages. */
export interface Note {
  readonly is: 'note';
  readonly text: string;
  readonly isWarning: boolean;
}

export type Entry = Message | Note;

/** Who is in the channel, as far as we know, in the order of the alphabet. */
export function membersOf(channel: Channel): string[] {
  return [...channel.members]
    .filter(([, isIn]) => isIn)
    .map(([name]) => name)
    .sort((a, b) => a.localeCompare(b));
}
