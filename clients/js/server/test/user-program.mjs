// A user for tests in other languages: logs in, tells what it hears as lines of JSON, logs out when
// its input ends.
//
//   node user-program.mjs ENDPOINT APP USER TOKEN [CHANNEL]
import { createRequire } from 'node:module';

const AgoraRTM = createRequire(import.meta.url)('../../rtm/dist/tidings-rtm.umd.js');
const [endpoint, app, uid, token, name] = process.argv.slice(2);
const tell = (what) => console.log(JSON.stringify(what));

const client = AgoraRTM.createInstance(app, { endpoint, logFilter: AgoraRTM.LOG_FILTER_OFF });
client.on('ConnectionStateChanged', (state, reason) => tell({ state, reason }));
client.on('MessageFromPeer', ({ text }, from) => tell({ text, from }));
try {
  await client.login({ uid, token });
} catch ({ code, message }) {
  tell({ refused: code, message });
  process.exit();
}
if (name !== undefined) {
  const channel = client.createChannel(name);
  channel.on('ChannelMessage', ({ text }, from) => tell({ text, from, channel: name }));
  await channel.join();
}
tell({ ready: uid });
process.stdin.resume().on('end', async () => {
  // A login that was ended from outside is over already.
  await client.logout().catch(() => {});
  process.exit();
});
