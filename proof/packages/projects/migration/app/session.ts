import AgoraRTM, { type RtmChannel, type RtmClient, type RtmMessage } from 'agora-rtm-sdk';

export interface Session {
  readonly client: RtmClient;
  readonly channel: RtmChannel;
}

/** Logs in and joins; `hear` gets every message of the channel, one's own included. */
export async function enter(
  uid: string,
  room: string,
  hear: (line: string) => void,
): Promise<Session> {
  const client = AgoraRTM.createInstance('ImportStyles00000000000000000000', {
    logFilter: AgoraRTM.LOG_FILTER_WARNING,
  });
  await client.login({ uid });
  await client.setLocalUserAttributes({ name: uid.toUpperCase() });
  const channel = client.createChannel(room);
  channel.on('ChannelMessage', async (message: RtmMessage, memberId: string) => {
    const { name } = await client.getUserAttributes(memberId);
    hear(`${name ?? memberId}: ${message.text}`);
  });
  await channel.join();
  return { client, channel };
}
