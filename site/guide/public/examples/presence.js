/** Who is online: a subscription, one event for each change, no polling. */
import { addLine, login, onSubmit } from './login.js';

const { client } = await login();
const lines = new Map();

// The first event after a subscription has everybody, later ones have whoever changed.
client.on('PeersOnlineStatusChanged', (states) => {
  for (const [name, state] of Object.entries(states)) {
    // ONLINE; UNREACHABLE after 6 seconds of silence; OFFLINE after 30, or at once after a logout.
    if (lines.has(name)) lines.get(name).textContent = `${name}: ${state}`;
  }
});

onSubmit('#add', async (name) => {
  if (lines.has(name)) return;
  lines.set(name, addLine('#people', `${name}: …`));
  try {
    await client.subscribePeersOnlineStatus([name]);
  } catch (error) {
    lines.get(name).remove();
    lines.delete(name);
    throw error;
  }
});
