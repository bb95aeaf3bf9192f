/** What keeps a process alive after each way in which a login may end: nothing. */
const AgoraRTM = require('@tidings/rtm');

const APP_ID = 'ImportStyles00000000000000000000';
const endpoint = process.env.ENDPOINT;
/** The sockets' farewells take a moment. */
const CLOSED_WITHIN_MS = 5_000;

const make = (settings) =>
  AgoraRTM.createInstance(APP_ID, { endpoint, logFilter: AgoraRTM.LOG_FILTER_OFF, ...settings });
const code = (promise) =>
  promise.then(
    () => 0,
    (error) => error.code,
  );

/** Each returns what is to be seen, and is over when the login is. */
const ENDS = {
  async logout() {
    const client = make();
    await client.login({ uid: 'ends-logout' });
    const channel = client.createChannel('ends');
    await channel.join();
    await channel.sendMessage({ text: 'x' });
    client.createLocalInvitation('nobody').send();
    await client.subscribePeersOnlineStatus(['ends-other']);
    await client.logout();
    return client.connectionState;
  },
  async logoutWhileConnecting() {
    const client = make();
    const login = code(client.login({ uid: 'ends-early' }));
    await client.logout();
    return [await login, client.connectionState];
  },
  async logoutSync() {
    const client = make();
    await client.login({ uid: 'ends-sync' });
    const calls = ['a', 'b'].map((channel) => code(client.createChannel(channel).join()));
    client.logoutSync();
    return [...(await Promise.all(calls)), client.connectionState];
  },
  async refusedLogin() {
    const client = make();
    // Beyond what any token may have.
    const refused = await code(client.login({ uid: 'ends-refused', token: 'x'.repeat(1 << 20) }));
    return [refused, client.connectionState];
  },
  async remoteLogin() {
    const [first, second] = [make(), make()];
    await first.login({ uid: 'ends-twice' });
    const aborted = new Promise((resolve) =>
      first.on('ConnectionStateChanged', (...change) => resolve(change)),
    );
    await second.login({ uid: 'ends-twice' });
    const change = await aborted;
    await second.logout();
    return change;
  },
};

async function main() {
  // What Node itself has to do after loading is over.
  await new Promise((resolve) => setImmediate(resolve));
  const report = {};
  for (const [name, end] of Object.entries(ENDS)) {
    const seen = await end();
    // No timer at all, at once.
    const timers = process
      .getActiveResourcesInfo()
      .filter((resource) => /Timeout|Immediate/.test(resource));
    const until = performance.now() + CLOSED_WITHIN_MS;
    let left;
    do {
      // Not by a timer of ours: it would be seen.
      await new Promise((resolve) => setImmediate(resolve));
      // The process's own output is a pipe.
      left = process
        .getActiveResourcesInfo()
        .filter((resource) => !/Immediate|Pipe|TTY/.test(resource));
    } while (left.length > 0 && performance.now() < until);
    report[name] = { seen, timers, left };
  }
  console.log(JSON.stringify(report));
}

main();
