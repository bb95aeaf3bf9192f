import AgoraRTM = require('@tidings/rtm');

const endpoint = process.env['ENDPOINT'] ?? '';
const style = 'ts-commonjs';

/** As an application keeps what it is told. */
interface Received {
  readonly text: string;
  readonly from: string;
}

function listen(client: AgoraRTM.RtmClient): Promise<Received> {
  return new Promise((resolve) => {
    client.on('MessageFromPeer', (message: AgoraRTM.RtmMessage, peerId: string) => {
      if (message.messageType !== 'TEXT') return;
      resolve({ text: message.text, from: peerId.replace(`${style}-`, '') });
    });
  });
}

async function converse(): Promise<object> {
  const config: AgoraRTM.RtmConfig = { endpoint, logFilter: AgoraRTM.LOG_FILTER_WARNING };
  const sender: AgoraRTM.RtmClient = AgoraRTM.createInstance(
    'ImportStyles00000000000000000000',
    config,
  );
  const reader = AgoraRTM.createInstance('ImportStyles00000000000000000000', config);
  await Promise.all([
    sender.login({ uid: `${style}-sender` }),
    reader.login({ uid: `${style}-reader` }),
  ]);
  const states: AgoraRTM.RtmStatusCode.ConnectionState[] = [sender.connectionState];
  const received = listen(reader);
  const receipt = await sender.sendMessageToPeer({ text: 'hello' }, `${style}-reader`);
  const message = await received;
  // @ts-expect-error a number is no user
  await sender.sendMessageToPeer({ text: 'hello' }, 7).catch(() => undefined);
  await Promise.all([sender.logout(), reader.logout()]);
  return {
    states: [...states, sender.connectionState],
    received: receipt.hasPeerReceived,
    ...message,
  };
}

void converse().then((result) => console.log(JSON.stringify(result)));
