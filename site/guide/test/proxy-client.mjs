// A program of a user behind a proxy: logs in through it, writes to itself and to a channel, sends a large file and
// loads it again. Prints what came back.
//
// node proxy-client.mjs ENDPOINT USER [LOCAL_ADDRESS]

import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { globalAgent } from 'node:https';
import AgoraRTM from '../../../clients/js/rtm/dist/index.mjs';

const [endpoint, uid, localAddress] = process.argv.slice(2);
// As many users as there are addresses: what a proxy says of them is to be seen in the log. Only the socket of
// `node:https` can be told where to come from.
globalAgent.options.localAddress = localAddress;
delete globalThis.WebSocket;

const client = AgoraRTM.createInstance('0123456789abcdef0123456789abcdef', { endpoint });
const messages = [];
client.on('MessageFromPeer', ({ text }) => messages.push(text));
await client.login({ uid });
const sent = await client.sendMessageToPeer({ text: 'to myself' }, uid);
const room = client.createChannel('room');
await room.join();
await room.sendMessage({ text: 'to all' });

// The most that a file may have.
const file = new Blob([randomBytes(32 * 1024 * 1024)]);
const { mediaId } = await client.createMediaMessageByUploading(file, {
  messageType: 'FILE',
  fileName: 'large',
});
const back = await client.downloadMedia(mediaId);
const sum = async (blob) =>
  createHash('sha256')
    .update(Buffer.from(await blob.arrayBuffer()))
    .digest('hex');
assert.equal(await sum(back), await sum(file), 'the file came back as it was');
console.log(JSON.stringify({ sent, messages, members: await room.getMembers(), bytes: back.size }));
await client.logout();
