/**
 * What the members of a channel share: a topic, and who has raised a hand. Both are channel
 * attributes, which the server keeps and tells every member about; nobody has to ask.
 */
import type AgoraRTM from '@tidings/rtm';
import type { RtmClient } from '@tidings/rtm';
import type { Channel } from './model.js';

const TOPIC = 'topic';
const HAND = 'hand:';
/** A key has at most 32 bytes; people whose long names begin alike share a hand. */
const handOf = (name: string) => `${HAND}${name}`.slice(0, 32);

/** Without this, the members would not be told. */
const TELL = { enableNotificationToChannelMembers: true };

export async function setTopic(client: RtmClient, channel: Channel, text: string): Promise<void> {
  if (text === '') await client.deleteChannelAttributesByKeys(channel.name, [TOPIC], TELL);
  else await client.addOrUpdateChannelAttributes(channel.name, { [TOPIC]: text }, TELL);
}

/** One key for each hand: two people who raise theirs at once do not overwrite each other's. */
export async function raiseHand(client: RtmClient, channel: Channel, me: string): Promise<void> {
  await client.addOrUpdateChannelAttributes(channel.name, { [handOf(me)]: me }, TELL);
}

export async function lowerHand(client: RtmClient, channel: Channel, me: string): Promise<void> {
  await client.deleteChannelAttributesByKeys(channel.name, [handOf(me)], TELL);
}

/** Takes over what the server has told: always all attributes, never a difference. */
export function readBoard(channel: Channel, attributes: AgoraRTM.ChannelAttributes): void {
  const topic = attributes[TOPIC];
  channel.topic = topic && { text: topic.value, by: topic.lastUpdateUserId };
  channel.hands = Object.entries(attributes)
    .filter(([key]) => key.startsWith(HAND))
    .sort(([, a], [, b]) => a.lastUpdateTs - b.lastUpdateTs)
    .map(([, { value }]) => value);
}
