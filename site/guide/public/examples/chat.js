/** A chat in a channel: history first, then whatever is said. */
import { addLine, login, onSubmit } from './login.js';

const { client, uid } = await login();
const room = client.createChannel('examples-chat');

/** Messages that arrive while the history is read; `undefined` once it is shown. */
let early = [];

// Listen first, join then: nothing can slip through between the two.
room.on('ChannelMessage', ({ text }, from, { serverReceivedTs }) => {
  if (early) early.push({ text, from, serverReceivedTs });
  else addLine('#messages', `${from}: ${text}`);
});
room.on('MemberJoined', (member) => addLine('#messages', `${member} joined`));
room.on('MemberLeft', (member) => addLine('#messages', `${member} left`));
// Rare, and never silent: the server could not keep everything while this page was away.
client.on('MessageGap', () => addLine('#messages', '(some messages are missing here)'));

await room.join();
const { messages } = await room.getHistory({ limit: 50, order: 'newest_first' });
for (const { userId, message } of messages.reverse())
  addLine('#messages', `${userId}: ${message.text}`);
// What arrived meanwhile may be in the history already: sender and time stamp tell.
const isShown = ({ from, serverReceivedTs }) =>
  messages.some((old) => old.userId === from && old.serverReceivedTs === serverReceivedTs);
for (const message of early)
  if (!isShown(message)) addLine('#messages', `${message.from}: ${message.text}`);
early = undefined;

onSubmit('#say', async (text) => {
  await room.sendMessage({ text }, { enableHistoricalMessaging: true });
  // A channel does not send your own messages back to you.
  addLine('#messages', `${uid}: ${text}`);
});
