/** Two users of one program: both log in, one writes, the other reads, both log out. */
const APP_ID = 'ImportStyles00000000000000000000';

export async function converse(AgoraRTM, endpoint, style) {
  const [from, to] = [`${style}-sender`, `${style}-reader`];
  const config = { endpoint, logFilter: AgoraRTM.LOG_FILTER_WARNING };
  const sender = AgoraRTM.createInstance(APP_ID, config);
  const reader = AgoraRTM.createInstance(APP_ID, config);
  await Promise.all([sender.login({ uid: from }), reader.login({ uid: to })]);
  const states = [sender.connectionState];
  const message = new Promise((resolve) => {
    reader.on('MessageFromPeer', ({ text }, peerId) =>
      resolve({ text, from: peerId.replace(`${style}-`, '') }),
    );
  });
  const { hasPeerReceived } = await sender.sendMessageToPeer({ text: 'hello' }, to);
  const { text, from: peer } = await message;
  await Promise.all([sender.logout(), reader.logout()]);
  states.push(sender.connectionState);
  return { states, received: hasPeerReceived, text, from: peer };
}
