/** Takes the pictures of the guide's page about the console: a small shop with a few people in it. */
import { mkdir } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { launch } from './lib/browser.mjs';
import { Backend, Operator, PARTS } from './lib/console.mjs';
import { Server } from './lib/server.mjs';

const AgoraRTM = createRequire(import.meta.url)('../../clients/js/rtm/dist/tidings-rtm.umd.js');
const FOLDER = fileURLToPath(new URL('../../site/guide/public/console/', import.meta.url));
const SECONDS = 40;

const server = await Server.start({ parts: PARTS });
const browser = await launch();
const clients = [];
try {
  await mkdir(FOLDER, { recursive: true });
  const admin = new Backend(server.origin, server.key);
  const { id: app } = await admin.call('POST', '/apps', { name: 'Harbour tours', open: true });
  for (const user of ['erin', 'frank', 'gina', 'hugo', 'ines']) {
    const client = AgoraRTM.createInstance(app, { endpoint: server.origin });
    await client.login({ uid: user });
    const channel = client.createChannel('harbour');
    await channel.join();
    clients.push({ client, channel });
  }
  await clients[0].client.createChannel('guides').join();
  await admin.call('PUT', `/apps/${app}/users/erin/attributes`, {
    attributes: { name: 'Erin', language: 'en', boat: 'Marlin' },
  });
  const operator = await Operator.arrive(browser, server.origin);
  await operator.page.emulateMedia({ colorScheme: 'light' });
  await operator.logsIn(server.key);
  // Something to plot: a busy channel, now more, now less.
  for (let second = 0; second < SECONDS; second++) {
    const messages = 6 + Math.round(5 * Math.sin(second / 5) + 3 * Math.sin(second / 1.7));
    for (let number = 0; number < messages; number++)
      await clients[number % 5].channel.sendMessage({ text: `boat ${number}` });
    await operator.page.waitForTimeout(1_000);
  }
  await operator.page.screenshot({ path: `${FOLDER}overview.png` });
  await operator.opens('apps', app, 'users', 'erin');
  await operator.page.screenshot({ path: `${FOLDER}user.png` });
} finally {
  for (const { client } of clients) await client.logout().catch(() => {});
  await browser.close();
  await server.stop();
}
