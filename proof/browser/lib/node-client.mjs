/** The SDK in Node, for what no person would type. */
import { createRequire } from 'node:module';

const AgoraRTM = createRequire(import.meta.url)('../../../clients/js/rtm/dist/tidings-rtm.umd.js');
/** The demo page's app. */
const APP_ID = 'TidingsDemo000000000000000000000';
const TOO_OFTEN = 5;

/** Sends `count` messages, one after the other, to somebody who is away; `history`: for the history, not to wait for them. */
export async function store({ origin, from, to, count, history = false }) {
  const client = AgoraRTM.createInstance(APP_ID, { endpoint: origin });
  await client.login({ uid: from });
  for (let number = 1; number <= count;) {
    const message = { text: `message ${number}` };
    try {
      await client.sendMessageToPeer(message, to, {
        enableOfflineMessaging: !history,
        enableHistoricalMessaging: history,
      });
      number++;
    } catch (error) {
      // Over the rate: the same message once more, until its turn has come.
      if (error.code !== TOO_OFTEN) throw error;
    }
  }
  await client.logout();
}
