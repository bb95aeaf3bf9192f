// Drives the built SDK for tests against a real server: one JSON command per line of standard input,
// one JSON line per result or event on standard output.
//
//   {"id":1,"client":"a","do":"create","appId":"…","endpoint":"http://127.0.0.1:8080"}
//   {"id":2,"client":"a","do":"login","uid":"alice","token":"…"}
//   → {"id":2,"ok":null}   {"client":"a","event":"ConnectionStateChanged","args":["CONNECTED","LOGIN_SUCCESS"]}
//
// Commands run at once, without waiting for earlier ones. Bytes are written as {"base64": …}.
import { createInterface } from 'node:readline';
import AgoraRTM from '../dist/index.mjs';

const CLIENT_EVENTS = [
  'ConnectionStateChanged',
  'MessageFromPeer',
  'PeersOnlineStatusChanged',
  'TokenExpired',
  'TokenPrivilegeWillExpire',
  'FallbackProxyConnected',
  'MessageGap',
];
const CHANNEL_EVENTS = [
  'ChannelMessage',
  'MemberJoined',
  'MemberLeft',
  'MemberCountUpdated',
  'AttributesUpdated',
];

/** By the command's `client`: the RtmClient, its channel objects by name, and its network. */
const clients = new Map();

// Node has no 'online' event; the command of that name raises one, as a browser does when the network is back. Here
// every client has a network of its own: an SDK listens while a command to its client runs.
let acting;
globalThis.addEventListener ??= (...args) => acting.network.addEventListener(...args);
globalThis.removeEventListener ??= (...args) => {
  for (const { network } of clients.values()) network.removeEventListener(...args);
};

/** Lines are written in order, also those that have to fetch the bytes of a Blob first. */
let written = Promise.resolve();

function write(line) {
  const blobs = new Map();
  collect(line, blobs);
  written = written.then(async () => {
    for (const blob of blobs.keys()) blobs.set(blob, new Uint8Array(await blob.arrayBuffer()));
    process.stdout.write(
      `${JSON.stringify(line, (_key, value) => encode(blobs.get(value) ?? value))}\n`,
    );
  });
}

function collect(value, blobs) {
  if (value instanceof Blob) blobs.set(value, undefined);
  else if (typeof value === 'object' && value !== null)
    for (const part of Object.values(value)) collect(part, blobs);
}

function encode(value) {
  return value instanceof Uint8Array ? { base64: Buffer.from(value).toString('base64') } : value;
}

const LOCAL_EVENTS = ['ReceivedByPeer', 'Accepted', 'Refused', 'Canceled', 'Failure'];
const REMOTE_EVENTS = ['Accepted', 'Refused', 'Canceled', 'Failure'];

/** Tells of an invitation that has come, and of what becomes of it. */
function received(name, received, invitation) {
  const from = invitation.callerId;
  received.set(from, invitation);
  write({ client: name, event: 'Invited', from, args: [invitation.content, invitation.channelId] });
  for (const event of REMOTE_EVENTS.map((what) => `RemoteInvitation${what}`)) {
    invitation.on(event, (...args) => write({ client: name, event, from, args }));
  }
}

function invite(held, { client: name, to, content, channel }) {
  const invitation = held.rtm.createLocalInvitation(to);
  invitation.content = content;
  if (channel !== '') invitation.channelId = channel;
  for (const event of LOCAL_EVENTS.map((what) => `LocalInvitation${what}`)) {
    invitation.on(event, (...args) => write({ client: name, event, to, args }));
  }
  invitation.send();
  held.sent.set(to, invitation);
}

function decide(held, { from, response }, how) {
  const invitation = held.received.get(from);
  invitation.response = response;
  invitation[how]();
}

function create({ client: name, appId, endpoint }) {
  const rtm = AgoraRTM.createInstance(appId, { endpoint });
  for (const event of CLIENT_EVENTS)
    rtm.on(event, (...args) => write({ client: name, event, args }));
  const held = {
    rtm,
    channels: new Map(),
    sent: new Map(),
    received: new Map(),
    network: new EventTarget(),
  };
  rtm.on('RemoteInvitationReceived', (invitation) => received(name, held.received, invitation));
  clients.set(name, held);
}

function channelOf({ client: name, channel: channelId }) {
  const { rtm, channels } = clients.get(name);
  let channel = channels.get(channelId);
  if (!channel) {
    channel = rtm.createChannel(channelId);
    channels.set(channelId, channel);
    for (const event of CHANNEL_EVENTS) {
      channel.on(event, (...args) => write({ client: name, channel: channelId, event, args }));
    }
  }
  return channel;
}

function messageOf({ text, raw, description, media }) {
  if (media !== undefined) {
    const { thumbnail, ...fields } = media;
    if (thumbnail === undefined) return fields;
    return { ...fields, thumbnail: new Blob([Buffer.from(thumbnail.base64, 'base64')]) };
  }
  if (raw === undefined) return { text };
  const bytes = new Uint8Array(Buffer.from(typeof raw === 'string' ? raw : raw.base64, 'base64'));
  return description === undefined ? { rawMessage: bytes } : { rawMessage: bytes, description };
}

function optionsOf({ notify }) {
  return notify === undefined ? undefined : { enableNotificationToChannelMembers: notify };
}

/** Each command: the client and the command in, a value or a promise of it out. */
const commands = {
  login: (rtm, { uid, token }) => rtm.login({ uid, token }),
  logout: (rtm) => rtm.logout(),
  logoutSync: (rtm) => rtm.logoutSync(),
  renewToken: (rtm, { token }) => rtm.renewToken(token),
  sendPeer: (rtm, command) =>
    rtm.sendMessageToPeer(messageOf(command), command.to, {
      enableOfflineMessaging: command.offline === true,
      enableHistoricalMessaging: command.history === true,
    }),
  join: (_rtm, command) => channelOf(command).join(),
  leave: (_rtm, command) => channelOf(command).leave(),
  sendChannel: (_rtm, command) =>
    channelOf(command).sendMessage(messageOf(command), {
      enableHistoricalMessaging: command.history === true,
    }),
  channelHistory: (_rtm, command) => channelOf(command).getHistory(command.options),
  peerHistory: (rtm, { user, options }) => rtm.getPeerHistory(user, options),
  getMembers: (_rtm, command) => channelOf(command).getMembers(),
  memberCount: (rtm, { channels }) => rtm.getChannelMemberCount(channels),
  query: (rtm, { users }) => rtm.queryPeersOnlineStatus(users),
  subscribe: (rtm, { users }) => rtm.subscribePeersOnlineStatus(users),
  unsubscribe: (rtm, { users }) => rtm.unsubscribePeersOnlineStatus(users),
  querySubscribed: (rtm) => rtm.queryPeersBySubscriptionOption('ONLINE_STATUS'),
  setUserAttributes: (rtm, { attributes }) => rtm.setLocalUserAttributes(attributes),
  addUserAttributes: (rtm, { attributes }) => rtm.addOrUpdateLocalUserAttributes(attributes),
  deleteUserAttributes: (rtm, { keys }) => rtm.deleteLocalUserAttributesByKeys(keys),
  clearUserAttributes: (rtm) => rtm.clearLocalUserAttributes(),
  getUserAttributes: (rtm, { user, keys }) =>
    keys === undefined ? rtm.getUserAttributes(user) : rtm.getUserAttributesByKeys(user, keys),
  setChannelAttributes: (rtm, command) =>
    rtm.setChannelAttributes(command.channel, command.attributes, optionsOf(command)),
  addChannelAttributes: (rtm, command) =>
    rtm.addOrUpdateChannelAttributes(command.channel, command.attributes, optionsOf(command)),
  deleteChannelAttributes: (rtm, command) =>
    rtm.deleteChannelAttributesByKeys(command.channel, command.keys, optionsOf(command)),
  clearChannelAttributes: (rtm, command) =>
    rtm.clearChannelAttributes(command.channel, optionsOf(command)),
  getChannelAttributes: (rtm, { channel, keys }) =>
    keys === undefined
      ? rtm.getChannelAttributes(channel)
      : rtm.getChannelAttributesByKeys(channel, keys),
  invite: (_rtm, command, held) => invite(held, command),
  cancelInvitation: (rtm, { to }, held) =>
    (held.sent.get(to) ?? rtm.createLocalInvitation(to)).cancel(),
  acceptInvitation: (_rtm, command, held) => decide(held, command, 'accept'),
  refuseInvitation: (_rtm, command, held) => decide(held, command, 'refuse'),
  state: (rtm) => rtm.connectionState,
  online: (_rtm, _command, { network }) => void network.dispatchEvent(new Event('online')),
  cut: (rtm) => rtm[Symbol.for('tidings.cut')](),
};

async function run(command) {
  if (command.do === 'create') return create(command);
  const held = clients.get(command.client);
  if (!held) throw new Error(`no client '${command.client}': create it first`);
  const action = commands[command.do];
  if (!action) throw new Error(`no command '${command.do}'`);
  acting = held;
  return action(held.rtm, command, held);
}

function failure(error) {
  const { name, code, message, serverCode, retryAfter } = error;
  return { name, code, message, serverCode, retryAfter };
}

for await (const line of createInterface({ input: process.stdin })) {
  if (line.trim() === '') continue;
  let command;
  try {
    command = JSON.parse(line);
  } catch (error) {
    write({ error: failure(error) });
    continue;
  }
  if (command.do === 'exit') break;
  run(command).then(
    (value) => write({ id: command.id, ok: value ?? null }),
    (error) => write({ id: command.id, error: failure(error) }),
  );
}
await written;
process.exit(0);
