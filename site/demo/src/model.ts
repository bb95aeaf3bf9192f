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
  topic: { readonly text: string; readonly by: string } | undefined;
  /** Who has raised a hand, the first one first. */
  hands: readonly string[];
}

export type Conversation = Person | Channel;

/** What became of a message that we have sent. */
export type Receipt =
  | { readonly is: 'sending' }
  /** A picture on its way to the server: how much of it is there, from 0 to 1. */
  | { readonly is: 'uploading'; readonly share: number }
  /** The channel has it. */
  | { readonly is: 'sent' }
  /** The other person's page has it. */
  | { readonly is: 'delivered' }
  /** The other person is away; the server keeps it for the next login. */
  | { readonly is: 'stored' }
  | {
      readonly is: 'failed';
      readonly why: string;
      /** The same message may go through at another time. */
      readonly canRetry: boolean;
    };

export interface Message {
  readonly is: 'message';
  readonly from: string;
  readonly text: string;
  /** With a picture, the text is its file name. */
  readonly picture?: Picture | undefined;
  /** Unix milliseconds. */
  readonly at: number;
  /** Came from the server's store: it was sent while we were away. */
  readonly wasStored: boolean;
  /** We have written it, here or on an earlier visit. */
  readonly isOwn: boolean;
  /** Only on messages that were sent by this page. */
  receipt?: Receipt;
}

export interface Picture {
  readonly fileName: string;
  /** In pixels; 0 when the sender has not said. */
  readonly width: number;
  readonly height: number;
  readonly thumbnail: Blob | undefined;
  readonly source:
    | { readonly is: 'file'; readonly file: File }
    | { readonly is: 'server'; readonly mediaId: string };
}

/** A line between the messages. */
export interface Note {
  readonly is: 'note';
  readonly text: string;
  /** `call`: about a call; `warning`: something is missing. */
  readonly kind: 'plain' | 'call' | 'warning';
  /** Counts as unread. */
  readonly isNews?: boolean;
}

export type Entry = Message | Note;

/** Who is in the channel, as far as we know, in the order of the alphabet. */
export function membersOf(channel: Channel): string[] {
  return [...channel.members]
    .filter(([, isIn]) => isIn)
    .map(([name]) => name)
    .sort((a, b) => a.localeCompare(b));
}

/** How many are in the channel; before the server has told, as many as we know. */
export function countOf(channel: Channel): number {
  return channel.count || membersOf(channel).length;
}

/** The hands of those who are still in the channel. */
export function handsOf(channel: Channel): string[] {
  return channel.hands.filter((name) => channel.members.get(name) === true);
}
