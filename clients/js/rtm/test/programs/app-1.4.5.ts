// A program as it is written for version 1.4.5 of the original SDK, media and areas included. `versions.test.ts`
// compiles it unchanged.
/* LOAD */

AgoraRTM.setArea({ areaCodes: [AgoraRTM.AreaCode.GLOBAL], excludedArea: AgoraRTM.AreaCode.CHINA });
const config: AgoraRTM.RtmConfig = { enableLogUpload: false, enableCloudProxy: false };
const client = AgoraRTM.createInstance('0123456789abcdef0123456789abcdef', config, [
  AgoraRTM.AreaCode.EUROPE,
]);

async function upload(file: File): Promise<AgoraRTM.RtmImageMessage> {
  const controller = new AbortController();
  const handler: AgoraRTM.MediaTransferHandler = {
    cancelSignal: controller.signal,
    onOperationProgress: ({ currentSize, totalSize }: AgoraRTM.MediaOperationProgress) => {
      console.log(`${Math.round((100 * currentSize) / totalSize)} %`);
    },
  };
  setTimeout(() => controller.abort(), 60_000);
  const message = await client.createMediaMessageByUploading(
    file,
    {
      messageType: 'IMAGE',
      fileName: file.name,
      description: 'a picture',
      thumbnail: file,
      width: 100,
      height: 50,
    },
    handler,
  );
  console.log(message.mediaId, message.size);
  if (message.messageType !== 'IMAGE') throw new Error(message.messageType);
  return message;
}

async function show(message: AgoraRTM.RtmMessage): Promise<string | undefined> {
  switch (message.messageType) {
    case 'TEXT':
      return message.text;
    case AgoraRTM.MessageType.RAW:
      return message.description;
    case 'IMAGE': {
      const blob: Blob = await client.downloadMedia(message.mediaId, {
        onOperationProgress: () => undefined,
      });
      const thumbnail: Blob | undefined = message.thumbnail;
      return `${message.width} x ${message.height}, ${blob.size}, ${thumbnail?.size}, ${message.thumbnailWidth}`;
    }
    case 'FILE':
      return `${message.fileName}: ${message.size} bytes, ${message.thumbnail?.type ?? 'no picture'}`;
    default:
      return undefined;
  }
}

async function run(): Promise<void> {
  client.on(
    'MessageFromPeer',
    (message, _peerId, messageProps: AgoraRTM.ReceivedMessageProperties) => {
      void show(message);
      console.log(messageProps.isOfflineMessage, messageProps.serverReceivedTs);
    },
  );
  const options: AgoraRTM.SendMessageOptions = {
    enableOfflineMessaging: true,
    enableHistoricalMessaging: false,
  };
  const text = client.createMessage<AgoraRTM.RtmTextMessage>({ text: 'x', messageType: 'TEXT' });
  const file = client.createMessage<AgoraRTM.RtmFileMessage>({
    messageType: AgoraRTM.MessageType.FILE,
    mediaId: 'm',
  });
  await client.sendMessageToPeer(text, 'bob', options);
  await client.sendMessageToPeer(file, 'bob');
  const picture = await upload(new File(['x'], 'x.png'));
  await client.createChannel('room').sendMessage(picture, { enableHistoricalMessaging: true });
  const generated = await client.createMediaMessageByUploading(new Blob(['x']), {
    messageType: 'FILE',
  });
  console.log(generated.description);
  client.updateConfig({ logFilter: AgoraRTM.LOG_FILTER_ERROR });
  const status: AgoraRTM.PeersOnlineStatusResult = await client.queryPeersOnlineStatus(['bob']);
  const counts: AgoraRTM.ChannelMemberCountResult = await client.getChannelMemberCount(['room']);
  console.log(status['bob'] === true, (counts['room'] ?? 0) + 1);
}
void run();
