/** A typing indicator: small messages that nobody has to keep, a few a minute and not one for each key. */
import { addLine, login, onSubmit } from './login.js';

/** Our own mark; a message with it is not shown. */
const TYPING = '\u0000typing';
/** Somebody who goes on typing says so once in this time. Milliseconds. */
const TELL_EVERY_MS = 3000;
/** Somebody who says nothing for longer has stopped; longer than the above, for a slow network. */
const FORGET_AFTER_MS = 5000;

const { client, uid } = await login();
const room = client.createChannel('examples-typing');
const timers = new Map();
let toldAt = 0;

room.on('ChannelMessage', ({ text }, from) => {
  clearTimeout(timers.get(from));
  timers.delete(from);
  if (text === TYPING)
    timers.set(
      from,
      setTimeout(() => render(timers.delete(from)), FORGET_AFTER_MS),
    );
  else addLine('#messages', `${from}: ${text}`);
  render();
});
room.on('MemberLeft', (member) => {
  clearTimeout(timers.get(member));
  render(timers.delete(member));
});
await room.join();

document.querySelector('#say input').addEventListener('input', () => {
  if (Date.now() - toldAt < TELL_EVERY_MS) return;
  toldAt = Date.now();
  // An indicator that is lost is no harm.
  room.sendMessage({ text: TYPING }).catch(() => undefined);
});

onSubmit('#say', async (text) => {
  toldAt = 0;
  await room.sendMessage({ text });
  addLine('#messages', `${uid}: ${text}`);
});

function render() {
  const names = [...timers.keys()].sort();
  const verb = names.length === 1 ? 'is' : 'are';
  document.querySelector('#typing').textContent =
    names.length === 0 ? '' : `${names.join(', ')} ${verb} typing …`;
}
