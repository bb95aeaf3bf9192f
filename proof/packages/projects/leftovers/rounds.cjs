/**
 * Rounds of login and logout, ten thousand of them: half by clients that are used again and again, half
 * by clients that are made for one round. Prints the heap after a collection at two points.
 */
const AgoraRTM = require('@tidings/rtm');

const APP_ID = 'ImportStyles00000000000000000000';
const ROUNDS = 10_000;
const FIRST_LOOK = 2_000;
/** Clients at a time. */
const WIDTH = 20;
/** A client waits so long between two logins: the clock leaps over it while nobody is logged in. */
const LOGIN_SPACING_MS = 500;

let leapMs = 0;
const now = performance.now.bind(performance);
performance.now = () => now() + leapMs;

function make() {
  return AgoraRTM.createInstance(APP_ID, {
    endpoint: process.env.ENDPOINT,
    logFilter: AgoraRTM.LOG_FILTER_WARNING,
  });
}

async function round(client, uid) {
  await client.login({ uid });
  const channel = client.createChannel('leftovers');
  channel.on('MemberJoined', () => undefined);
  await client.logout();
}

function heapBytes() {
  global.gc();
  global.gc();
  return process.memoryUsage().heapUsed;
}

async function main() {
  const lasting = Array.from({ length: WIDTH / 2 }, make);
  const looks = {};
  for (let done = 0; done < ROUNDS; done += WIDTH) {
    if (done === FIRST_LOOK) looks.first = heapBytes();
    const clients = [...lasting, ...Array.from({ length: WIDTH / 2 }, make)];
    // A user each time: a server lets nobody in more than twice a second.
    await Promise.all(clients.map((client, index) => round(client, `round-${done + index}`)));
    leapMs += LOGIN_SPACING_MS;
  }
  looks.last = heapBytes();
  console.log(JSON.stringify({ ...looks, rounds: ROUNDS - FIRST_LOOK }));
}

main();
