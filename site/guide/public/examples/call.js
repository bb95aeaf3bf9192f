/**
 * A video call: the invitation rings, peer messages carry what the two browsers have to agree on, and WebRTC carries
 * sound and picture from one to the other. The demo at /demo has a fuller version: busy, mute, voice calls, and lines
 * that break.
 */
import { login, onSubmit, show } from './login.js';

/** None is needed on one network; over the internet, name a STUN and a TURN server here. */
const ICE_SERVERS = [];
/** Marks our messages. */
const SIGNAL = 'examples/call';

const $ = (selector) => document.querySelector(selector);
const { client } = await login();
/** The one call that there may be: `{ peer, invitation, line, stream }`. */
let call;

onSubmit('#call', async (peer) => {
  if (call) throw new Error('Hang up first.');
  const stream = await openDevices();
  const invitation = client.createLocalInvitation(peer);
  call = { peer, invitation, stream };
  invitation.on('LocalInvitationReceivedByPeer', () => say(`Ringing at ${peer} …`));
  invitation.on('LocalInvitationAccepted', () => connect(true));
  invitation.on('LocalInvitationRefused', () => end(`${peer} declined.`));
  invitation.on('LocalInvitationCanceled', () => end('You cancelled the call.'));
  invitation.on('LocalInvitationFailure', (reason) => end(`${peer} cannot be reached: ${reason}.`));
  invitation.send();
  say(`Calling ${peer} …`);
  $('#hang-up').hidden = false;
});

client.on('RemoteInvitationReceived', (invitation) => {
  const peer = invitation.callerId;
  if (call) {
    invitation.response = 'busy';
    invitation.refuse();
    return;
  }
  call = { peer, invitation };
  say(`${peer} is calling`);
  $('#incoming').hidden = false;
  invitation.on('RemoteInvitationAccepted', () => connect(false));
  invitation.on('RemoteInvitationRefused', () => end('You declined.'));
  invitation.on('RemoteInvitationCanceled', () => end(`${peer} hung up.`));
  invitation.on('RemoteInvitationFailure', () => end(`You missed a call from ${peer}.`));
});

$('#accept').addEventListener('click', async () => {
  const { invitation } = call;
  $('#incoming').hidden = true;
  try {
    // The devices first: nobody is to be connected with somebody who cannot talk.
    const stream = await openDevices();
    if (call?.invitation !== invitation) return closeDevices(stream);
    call.stream = stream;
    invitation.accept();
  } catch (error) {
    show(error);
    invitation.refuse();
  }
});

$('#refuse').addEventListener('click', () => call.invitation.refuse());

$('#hang-up').addEventListener('click', () => {
  if (call.line) {
    signal(call.peer, { bye: true });
    end('You hung up.');
  } else {
    call.invitation.cancel();
  }
});

/** Both sides come here once the invitation is accepted; the caller makes the offer. */
async function connect(isCaller) {
  const { peer, stream } = call;
  const line = new RTCPeerConnection({ iceServers: ICE_SERVERS });
  call.line = line;
  line.addEventListener(
    'icecandidate',
    ({ candidate }) => candidate && signal(peer, { candidate }),
  );
  line.addEventListener('track', ({ streams }) => {
    $('#remote').srcObject = streams[0];
  });
  line.addEventListener('connectionstatechange', () => {
    if (line.connectionState === 'connected') say(`In a call with ${peer}`);
    if (line.connectionState === 'failed') end('The two browsers found no way to each other.');
  });
  for (const track of stream.getTracks()) line.addTrack(track, stream);
  $('#own').srcObject = stream;
  $('#pictures').hidden = $('#hang-up').hidden = false;
  if (!isCaller) return;
  await line.setLocalDescription();
  signal(peer, { description: line.localDescription });
}

/** Signals of a line are used one after the other: candidates must not overtake their description. */
let used = Promise.resolve();
client.on('MessageFromPeer', (message, from) => {
  if (message.messageType !== 'TEXT' || !message.text.startsWith(SIGNAL)) return;
  const content = JSON.parse(message.text.slice(SIGNAL.length));
  used = used.then(() => use(from, content)).catch(show);
});

async function use(from, { description, candidate, bye }) {
  const line = call?.peer === from ? call.line : undefined;
  if (!line) return;
  if (bye) return end(`${from} hung up.`);
  if (candidate) return line.addIceCandidate(candidate);
  await line.setRemoteDescription(description);
  if (description.type !== 'offer') return;
  await line.setLocalDescription();
  signal(from, { description: line.localDescription });
}

function signal(peer, content) {
  client.sendMessageToPeer({ text: SIGNAL + JSON.stringify(content) }, peer).catch(show);
}

async function openDevices() {
  if (!navigator.mediaDevices)
    throw new Error('Browsers give camera and microphone to https pages and localhost only.');
  return navigator.mediaDevices.getUserMedia({ audio: true, video: true });
}

function closeDevices(stream) {
  for (const track of stream.getTracks()) track.stop();
}

function end(text) {
  call?.line?.close();
  if (call?.stream) closeDevices(call.stream);
  call = undefined;
  $('#own').srcObject = $('#remote').srcObject = null;
  $('#pictures').hidden = $('#hang-up').hidden = $('#incoming').hidden = true;
  say(text);
}

function say(text) {
  $('#call-state').textContent = text;
}
