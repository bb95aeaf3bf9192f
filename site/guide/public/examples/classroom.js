/** A classroom: members, their count, and what they share as attributes of the channel. */
import { addLine, login, onSubmit, show } from './login.js';

const ROOM = 'examples-classroom';
const { client, uid } = await login();
const room = client.createChannel(ROOM);
const members = new Set([uid]);
let attributes = {};

/** Each hand has a key of its own, so that two people who raise theirs at once do not overwrite each other. */
const handOf = (name) => `hand:${name}`.slice(0, 32);
const tell = { enableNotificationToChannelMembers: true };

room.on('MemberJoined', (member) => render(members.add(member)));
room.on('MemberLeft', (member) => render(members.delete(member)));
// For a lesson of thousands: above 512 members only the count is sent.
room.on('MemberCountUpdated', (count) => {
  document.querySelector('#count').textContent = count;
});
// Always the full set of attributes, never a difference.
room.on('AttributesUpdated', (all) => {
  attributes = all;
  render();
});

await room.join();
for (const member of await room.getMembers()) members.add(member);
attributes = await client.getChannelAttributes(ROOM);
render();

onSubmit('#set-topic', (topic) => client.addOrUpdateChannelAttributes(ROOM, { topic }, tell));

document.querySelector('#hand').addEventListener('click', () => {
  const isUp = handOf(uid) in attributes;
  const done = isUp
    ? client.deleteChannelAttributesByKeys(ROOM, [handOf(uid)], tell)
    : client.addOrUpdateChannelAttributes(ROOM, { [handOf(uid)]: uid }, tell);
  done.catch(show);
});

function render() {
  document.querySelector('#topic').textContent = attributes.topic?.value ?? 'none yet';
  document.querySelector('#count').textContent = members.size;
  document.querySelector('#members').replaceChildren();
  for (const member of [...members].sort()) {
    addLine('#members', handOf(member) in attributes ? `${member} – hand up` : member);
  }
  document.querySelector('#hand').textContent =
    handOf(uid) in attributes ? 'Lower hand' : 'Raise hand';
}
