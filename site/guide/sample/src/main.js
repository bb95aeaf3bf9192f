import { Chat } from './chat.js';

// Two people in one program, and what each of them sees.
const appId = process.env.APP_ID;
const shown = (who) => (line) => console.log(`${who}: ${line}`);
const alice = new Chat(appId, shown('alice'));
const bob = new Chat(appId, shown('bob'));

const until = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

await alice.enter('alice', 'kitchen', process.env.ALICE_TOKEN);
await bob.enter('bob', 'kitchen', process.env.BOB_TOKEN);
await until(200);
await bob.say('coffee is ready');
await alice.whisper('bob', 'thanks');
await alice.whisper('carol', 'come over');
console.log(`name: ${await alice.nameOf('bob')}`);
alice.call('bob');
await until(500);
await bob.leave();
await until(200);
await alice.leave();
