/** The SDK in Node, for what no person would type. */
import { createRequire } from 'node:module';

const AgoraRTM = createRequire(import.meta.url)('../../sdk/js/rtm/dist/tidings-rtm.umd.js');
/** The demo page's app. */
const APP_ID = 'TidingsDemo000000000000000000000';
const MESSAGES_PER_BURST = 100;
const TOO_OFTEN = 5;

/** Sends `count` messages to somebody who is away. */
export async function store({ origin, from, to, count }) {
  const client = AgoraRTM.createInstance(APP_ID, { endpoint: origin });
  await client.login({ uid: from });
  const send = async (text) => {
    const sent = await client.sendMessageToPeer({ text }, to, { enableOfflineMessaging: true }).catch((error) => {
      if (error.code !== TOO_OFTEN) throw error;
    });
    // The server keeps the peace: once more, in turn.
    return sent ?? send(text);
  };
  for (let first = 1; first <= count; first += MESSAGES_PER_BURST) {
    const numbers = Array.from({ length: Math.min(MESSAGES_PER_BURST, count - first + 1) }, (_, index) => first + index);
    await Promise.all(numbers.map((number) => send(`message ${number}`)));
  }
  await client.logout();
}
