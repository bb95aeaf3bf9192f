/** Files between two pages: the real program, the built bundle, a real browser. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { after, before, test } from 'node:test';
import { launch } from '../lib/browser.mjs';
import { Server } from '../lib/server.mjs';

/** The demo page's app. */
const APP_ID = 'TidingsDemo000000000000000000000';
/** Large enough for several reports of progress through the throttled network. */
const SIZE = 3_000_000;

let server;
let browser;
/** Serves an empty page. */
let pages;
before(async () => {
  pages = createServer((_request, response) =>
    response.setHeader('content-type', 'text/html').end('<!doctype html>'),
  ).listen(0, '127.0.0.1');
  await once(pages, 'listening');
  server = await Server.start();
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await server?.stop();
  pages.close();
});

/** A page of another origin than the server's, with a client that is logged in. */
async function arrive(uid) {
  const context = await browser.newContext();
  const page = await context.newPage();
  await page.goto(`http://127.0.0.1:${pages.address().port}/`);
  await page.addScriptTag({ url: `${server.origin}/sdk/tidings-rtm.umd.js` });
  await page.evaluate(
    async ([app, endpoint, name]) => {
      window.client = AgoraRTM.createInstance(app, { endpoint });
      window.received = new Promise((resolve) => window.client.on('MessageFromPeer', resolve));
      // Every byte is told by its place.
      window.contentOf = (size) => Uint8Array.from({ length: size }, (_, at) => (at * 31) % 251);
      await window.client.login({ uid: name });
    },
    [APP_ID, server.origin, uid],
  );
  return page;
}

// proves: rtm-2.18-upload, rtm-2.18-measures, rtm-2.18-download
test('a picture goes from page to page, with its thumbnail, its measures and its progress', async () => {
  const alice = await arrive('alice');
  const bob = await arrive('bob');
  const sent = await alice.evaluate(async () => {
    const canvas = new OffscreenCanvas(640, 480);
    const context = canvas.getContext('2d');
    // Noise, so that the picture is large.
    const pixels = context.createImageData(640, 480);
    for (let at = 0; at < pixels.data.length; at++)
      pixels.data[at] = at % 4 === 3 ? 255 : (at * 2_654_435_761) >>> 24;
    context.putImageData(pixels, 0, 0);
    const picture = await canvas.convertToBlob({ type: 'image/png' });
    const small = new OffscreenCanvas(32, 24);
    small.getContext('2d').drawImage(canvas, 0, 0, 32, 24);
    const thumbnail = await small.convertToBlob({ type: 'image/png' });
    const progress = [];
    const params = {
      messageType: 'IMAGE',
      fileName: 'Bild ä.png',
      description: 'noise',
      thumbnail,
      thumbnailWidth: 32,
      thumbnailHeight: 24,
    };
    const message = await client.createMediaMessageByUploading(picture, params, {
      onOperationProgress: ({ currentSize, totalSize }) =>
        void progress.push([currentSize, totalSize]),
    });
    const { hasPeerReceived } = await client.sendMessageToPeer(message, 'bob');
    window.picture = picture;
    return {
      hasPeerReceived,
      size: picture.size,
      small: thumbnail.size,
      progress,
      width: message.width,
    };
  });
  assert.equal(sent.hasPeerReceived, true);
  assert.equal(sent.width, 640, 'the SDK has measured the picture');
  assert.deepEqual(sent.progress.at(-1), [sent.size, sent.size]);

  const got = await bob.evaluate(async () => {
    const message = await window.received;
    const progress = [];
    const blob = await client.downloadMedia(message.mediaId, {
      onOperationProgress: ({ currentSize, totalSize }) =>
        void progress.push([currentSize, totalSize]),
    });
    const shown = await createImageBitmap(blob);
    const thumbnail = await createImageBitmap(message.thumbnail);
    const {
      fileName,
      description,
      messageType,
      size,
      width,
      height,
      thumbnailWidth,
      thumbnailHeight,
    } = message;
    return {
      message: {
        fileName,
        description,
        messageType,
        size,
        width,
        height,
        thumbnailWidth,
        thumbnailHeight,
      },
      type: blob.type,
      thumbnailType: message.thumbnail.type,
      sides: [shown.width, shown.height, thumbnail.width, thumbnail.height],
      progress,
      bytes: [...new Uint8Array(await blob.arrayBuffer())],
    };
  });
  assert.deepEqual(got.message, {
    fileName: 'Bild ä.png',
    description: 'noise',
    messageType: 'IMAGE',
    size: sent.size,
    width: 640,
    height: 480,
    thumbnailWidth: 32,
    thumbnailHeight: 24,
  });
  assert.deepEqual([got.type, got.thumbnailType], ['image/png', 'image/png']);
  assert.deepEqual(got.sides, [640, 480, 32, 24]);
  assert.deepEqual(got.progress.at(-1), [sent.size, sent.size]);
  const uploaded = await alice.evaluate(async () => [
    ...new Uint8Array(await window.picture.arrayBuffer()),
  ]);
  assert.ok(Buffer.from(uploaded).equals(Buffer.from(got.bytes)), 'other bytes');
  await alice.context().close();
  await bob.context().close();
});

// proves: rtm-2.18-cancel
test('an upload and a download are cancelled on the way, and both can be done again', async () => {
  const page = await arrive('carol');
  const session = await page.context().newCDPSession(page);
  const throttle = (bytesPerSecond) =>
    session.send('Network.emulateNetworkConditions', {
      offline: false,
      latency: 0,
      uploadThroughput: bytesPerSecond,
      downloadThroughput: bytesPerSecond,
    });
  await session.send('Network.enable');
  await throttle(SIZE / 4);
  const codes = await page.evaluate(async (size) => {
    const blob = new Blob([contentOf(size)]);
    const cancelled = async (begin) => {
      const cancel = new AbortController();
      let reports = 0;
      const onOperationProgress = ({ currentSize, totalSize }) => {
        if (currentSize === totalSize) throw new Error('it was not slow enough');
        reports++;
        cancel.abort();
        cancel.abort();
      };
      return begin({ cancelSignal: cancel.signal, onOperationProgress }).then(
        () => 'not cancelled',
        ({ code }) => [code, reports],
      );
    };
    const upload = await cancelled((handler) =>
      client.createMediaMessageByUploading(blob, { messageType: 'FILE' }, handler),
    );
    const { mediaId } = await client.createMediaMessageByUploading(blob, { messageType: 'FILE' });
    window.mediaId = mediaId;
    const download = await cancelled((handler) => client.downloadMedia(mediaId, handler));
    return { upload, download };
  }, SIZE);
  assert.deepEqual(codes, { upload: [6, 1], download: [6, 1] });
  await throttle(-1);
  const isSame = await page.evaluate(async (size) => {
    const bytes = new Uint8Array(await (await client.downloadMedia(window.mediaId)).arrayBuffer());
    return bytes.length === size && contentOf(size).every((byte, at) => bytes[at] === byte);
  }, SIZE);
  assert.ok(isSame, 'other bytes');
  await page.context().close();
});

test('what the server refuses comes with its code, although the page is of another origin', async () => {
  const page = await arrive('dave');
  const error = await page.evaluate(() =>
    client.downloadMedia('0'.repeat(42)).then(
      () => undefined,
      ({ code, name, message, serverCode }) => ({ code, name, message, serverCode }),
    ),
  );
  assert.equal(error.code, 4);
  assert.equal(error.serverCode, 42);
  assert.match(error.message, /kept for 7 days/);
  await page.context().close();
});
