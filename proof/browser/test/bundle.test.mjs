/** The UMD bundle by a script tag, in a plain page that another web server has. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { after, before, test } from 'node:test';
import { launch } from '../lib/browser.mjs';
import { Server } from '../lib/server.mjs';

const APP_ID = 'PlainPage00000000000000000000000';

let server;
let browser;
let web;
let address;
before(async () => {
  server = await Server.start();
  browser = await launch();
  const html = `<!doctype html><title>plain</title><script src="${server.origin}/sdk/tidings-rtm.umd.js"></script>`;
  web = createServer((_request, response) => {
    response.setHeader('content-type', 'text/html');
    response.end(html);
  });
  web.listen(0, '127.0.0.1');
  await once(web, 'listening');
  address = `http://127.0.0.1:${web.address().port}/`;
});
after(async () => {
  await browser?.close();
  web?.close();
  await server?.stop();
});

/** Runs in the page: logs in twice, sends from one to the other and to a channel. */
async function conversation([appId, endpoint]) {
  const { AgoraRTM } = window;
  const eva = AgoraRTM.createInstance(appId, { endpoint });
  const finn = AgoraRTM.createInstance(appId, { endpoint });
  await Promise.all([eva.login({ uid: 'eva' }), finn.login({ uid: 'finn' })]);
  const next = (source, event) =>
    new Promise((resolve) => source.once(event, (...args) => resolve(args)));

  const fromPeer = next(finn, 'MessageFromPeer');
  const receipt = await eva.sendMessageToPeer({ text: 'Hello Finn' }, 'finn');
  const [peerMessage, peerId] = await fromPeer;

  const [hers, his] = [eva.createChannel('garden'), finn.createChannel('garden')];
  await Promise.all([hers.join(), his.join()]);
  const inChannel = next(his, 'ChannelMessage');
  await hers.sendMessage({ rawMessage: new Uint8Array([1, 2, 255]), description: 'bytes' });
  const [channelMessage, memberId] = await inChannel;
  const members = (await his.getMembers()).sort();
  await Promise.all([eva.logout(), finn.logout()]);
  return {
    receipt,
    peer: [peerMessage.text, peerId],
    channel: [[...channelMessage.rawMessage], channelMessage.description, memberId],
    members,
    states: [eva.connectionState, finn.connectionState],
  };
}

test('a plain page has the global AgoraRTM, and talks to a server of another origin', async () => {
  const page = await browser.newPage();
  await page.goto(address);
  const seen = await page.evaluate(conversation, [APP_ID, server.origin]);
  assert.deepEqual(seen, {
    receipt: { hasPeerReceived: true },
    peer: ['Hello Finn', 'eva'],
    channel: [[1, 2, 255], 'bytes', 'eva'],
    members: ['eva', 'finn'],
    states: ['DISCONNECTED', 'DISCONNECTED'],
  });
  await page.close();
});

test('the endpoint may be a global of the page', async () => {
  const page = await browser.newPage();
  await page.goto(address);
  const state = await page.evaluate(
    async ([appId, endpoint]) => {
      window.TIDINGS_ENDPOINT = endpoint;
      const client = window.AgoraRTM.createInstance(appId);
      await client.login({ uid: 'greta' });
      const { connectionState } = client;
      await client.logout();
      return connectionState;
    },
    [APP_ID, server.origin],
  );
  assert.equal(state, 'CONNECTED');
  await page.close();
});
