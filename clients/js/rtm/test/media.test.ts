/** Uploads, downloads and their messages; the network belongs to the test. */
import { describe, expect, it } from 'vitest';
import { measuresOf } from '../src/measures.js';
import type { RtmClient } from '../src/client.js';
import { type Recorder, codeOf, makeClient, makeLoggedIn } from './support/client.js';
import { holdTimers, raised } from './support/raised.js';
import type { FakeExchange, World } from './support/world.js';

const any = (value: unknown) => value as never;
const FILE = { messageType: 'FILE' } as const;
const IMAGE = { messageType: 'IMAGE' } as const;
const STORED = JSON.stringify({ mediaId: 'm1', size: 1, expiresTs: 0 });

function bytesOf(...parts: readonly (string | number)[]): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(
    parts.flatMap((part) =>
      typeof part === 'number' ? [part] : [...part].map((c) => c.charCodeAt(0)),
    ),
  );
}

/** A picture of 3 by 2 pixels, as far as anybody looks. */
const PNG = bytesOf(0x89, 'PNG\r\n', 0x1a, '\n', 0, 0, 0, 13, 'IHDR', 0, 0, 0, 3, 0, 0, 0, 2);

/** The newest request, once it has been made. */
async function newest(world: World, count = 1): Promise<FakeExchange> {
  for (let turn = 0; turn < 100 && world.exchanges.length < count; turn++) {
    await new Promise((resolve) => setImmediate(resolve));
  }
  const exchange = world.exchanges[count - 1];
  if (!exchange) throw new Error(`there are ${world.exchanges.length} requests`);
  return exchange;
}

function upload(
  { client }: { client: RtmClient },
  handler?: Parameters<RtmClient['downloadMedia']>[1],
) {
  return client.createMediaMessageByUploading(new Blob(['x']), FILE, handler);
}

function problem(outcome: number): string {
  return JSON.stringify({
    error: { outcome, name: 'n', text: 'what', hint: 'Do it.', retryAfterMs: 50 },
  });
}

/** The error a promise is rejected with. */
async function errorOf(
  promise: Promise<unknown>,
): Promise<{ name: string; code: number; message: string; retryAfter?: number }> {
  return promise.then(
    () => Promise.reject(new Error('not rejected')),
    (error: { name: string; code: number; message: string }) => error,
  );
}

describe('an upload', () => {
  // proves: rtm-2.18-upload, rtm-1.4-file
  it('resolves with a message that can be sent as often as wanted', async () => {
    const recorder = await makeLoggedIn();
    const thumbnail = new Blob([PNG]);
    const params = { ...FILE, fileName: 'ä b.pdf', description: 'd', thumbnail };
    const uploaded = recorder.client.createMediaMessageByUploading(
      new Blob(['xy'], { type: 'application/pdf' }),
      params,
    );
    const exchange = await newest(recorder.world);
    const { url, headers, body } = exchange.request;
    expect(url).toBe('http://server.test/v1/media/0123456789abcdef0123456789ABCDEF');
    expect(headers).toEqual({
      'Tidings-User': 'alice',
      'Tidings-File-Name': '%C3%A4%20b.pdf',
      'Content-Type': 'application/pdf',
    });
    expect(await body?.text()).toBe('xy');
    exchange.answer(201, STORED);
    const message = await uploaded;
    expect(message).toEqual({ ...params, size: 2, mediaId: 'm1' });
    const { connection } = recorder.world;
    const before = connection.requests.length;
    // In the order of the calls, although the thumbnail is a Blob.
    await Promise.all([
      recorder.client.sendMessageToPeer(message, 'bob'),
      recorder.client.sendMessageToPeer({ text: 'next' }, 'bob'),
      recorder.client.sendMessageToPeer(message, 'carol'),
    ]);
    const sent = connection.requests
      .slice(before)
      .map(({ call }) => call as { value: { message: { body: { is: string } } } });
    expect(sent.map(({ value }) => value.message.body.is)).toEqual(['file', 'text', 'file']);
    expect(sent[0]).toMatchObject({
      value: { message: { body: { value: { mediaId: 'm1', size: 2, thumbnail: PNG } } } },
    });
  });

  // proves: rtm-2.18-measures, rtm-1.4-image
  it('finds the measures of a picture unless they are given', async () => {
    const recorder = await makeLoggedIn();
    const send = async (params: object, count: number) => {
      const uploaded = recorder.client.createMediaMessageByUploading(new Blob([PNG]), {
        ...IMAGE,
        ...params,
      });
      (await newest(recorder.world, count)).answer(201, STORED);
      return uploaded;
    };
    const whole = {
      messageType: 'IMAGE',
      mediaId: 'm1',
      fileName: '',
      description: '',
      size: PNG.length,
      thumbnail: undefined,
      thumbnailWidth: 0,
      thumbnailHeight: 0,
    };
    expect(await send({}, 1)).toEqual({ ...whole, width: 3, height: 2 });
    expect(await send({ width: 30, height: 20 }, 2)).toEqual({ ...whole, width: 30, height: 20 });
    expect(await send({ width: undefined, height: 20 }, 3)).toEqual({
      ...whole,
      width: 3,
      height: 20,
    });
  });

  it('takes a Uint8Array, and a name from a File', async () => {
    const recorder = await makeLoggedIn();
    const fromBytes = recorder.client.createMediaMessageByUploading(any(Buffer.from('abc')), FILE);
    (await newest(recorder.world)).answer(201, STORED);
    expect(await fromBytes).toMatchObject({ size: 3, fileName: '' });
    const fromFile = recorder.client.createMediaMessageByUploading(new File(['x'], 'a.txt'), FILE);
    const exchange = await newest(recorder.world, 2);
    expect(exchange.request.headers['Tidings-File-Name']).toBe('a.txt');
    exchange.answer(201, STORED);
    expect(await fromFile).toMatchObject({ fileName: 'a.txt' });
  });

  it('tells the server no name that it would not take; the message has it', async () => {
    const recorder = await makeLoggedIn();
    for (const [at, fileName] of ['a\nb', 'n'.repeat(256)].entries()) {
      const uploaded = recorder.client.createMediaMessageByUploading(new Blob(['x']), {
        ...FILE,
        fileName,
      });
      const exchange = await newest(recorder.world, at + 1);
      expect(exchange.request.headers).not.toHaveProperty('Tidings-File-Name');
      exchange.answer(201, STORED);
      expect(await uploaded).toMatchObject({ fileName });
    }
  });

  // proves: rtm-2.1-media-size
  it('checks the login, the arguments and the sizes, in this order', async () => {
    const { client, world } = await makeLoggedIn();
    const strange = makeClient().client;
    expect(await codeOf(strange.createMediaMessageByUploading(any(1)))).toBe(102);
    const big = (size: number) => any({ size, type: '', [Symbol.toStringTag]: 'Blob' });
    const cases: [unknown, unknown, number][] = [
      ['x', FILE, 2],
      [null, FILE, 2],
      [new Blob([]), undefined, 2],
      [new Blob([]), { messageType: 'TEXT' }, 2],
      [new Blob([]), { ...FILE, fileName: 7 }, 2],
      [new Blob([]), { ...FILE, description: {} }, 2],
      [new Blob([]), { ...FILE, thumbnail: 'x' }, 2],
      [new Blob([]), FILE, 4],
      [big(33_554_433), FILE, 4],
      [new Blob(['x']), { ...FILE, description: 'd'.repeat(32_769) }, 4],
      [
        new Blob(['x']),
        { ...FILE, fileName: 'n', thumbnail: new Blob([new Uint8Array(32_768)]) },
        4,
      ],
    ];
    for (const [payload, params, code] of cases) {
      expect(await codeOf(client.createMediaMessageByUploading(any(payload), any(params)))).toBe(
        code,
      );
    }
    expect(await codeOf(upload({ client }, any({ onOperationProgress: 1 })))).toBe(2);
    expect(await codeOf(upload({ client }, any({ cancelSignal: {} })))).toBe(2);
    expect(world.exchanges).toEqual([]);
    const most = client.createMediaMessageByUploading(big(33_554_432), FILE);
    (await newest(world)).answer(201, STORED);
    expect(await most).toMatchObject({ size: 33_554_432 });
  });

  it('goes where the endpoint is, with the token of the login', async () => {
    const { client, world } = makeClient();
    client.updateConfig({ endpoint: 'wss://host:8443/chat/rtm?zone=1' });
    await client.login({ uid: 'a b', token: 'secret' });
    const uploaded = upload({ client });
    const exchange = await newest(world);
    expect(exchange.request.url).toBe(
      'https://host:8443/chat/v1/media/0123456789abcdef0123456789ABCDEF?zone=1',
    );
    expect(exchange.request.headers).toMatchObject({
      Authorization: 'Bearer secret',
      'Tidings-User': 'a%20b',
    });
    exchange.answer(201, STORED);
    await uploaded;
  });
});

describe('a download', () => {
  // proves: rtm-2.18-mime, rtm-2.18-download
  it('resolves with a Blob whose type is found from its content', async () => {
    const { client, world } = await makeLoggedIn();
    const cases: [Uint8Array<ArrayBuffer>, string][] = [
      [PNG, 'image/png'],
      [bytesOf('GIF89a'), 'image/gif'],
      [bytesOf('%PDF-1.7'), 'application/pdf'],
      [bytesOf(0xff, 0xd8, 0xff, 0xe0), 'image/jpeg'],
      [bytesOf('PK', 3, 4), 'application/zip'],
      [bytesOf('hi'), ''],
    ];
    for (const [at, [content, type]] of cases.entries()) {
      const loaded = client.downloadMedia('id 1');
      const exchange = await newest(world, at + 1);
      expect(exchange.request.url).toMatch(/\/v1\/media\/\w{32}\/id%201$/);
      exchange.answer(200, content);
      const blob = await loaded;
      expect(blob.type).toBe(type);
      expect(new Uint8Array(await blob.arrayBuffer())).toEqual(content);
    }
  });

  it('checks the login, then the id', async () => {
    const { client } = await makeLoggedIn();
    expect(await codeOf(makeClient().client.downloadMedia(''))).toBe(102);
    for (const id of ['', undefined, 7, 'ä', 'x'.repeat(65)])
      expect(await codeOf(client.downloadMedia(any(id)))).toBe(2);
  });
});

describe('both', () => {
  const outcomes: [number, number, number, number, string][] = [
    // HTTP, outcome, code of an upload, of a download, name
    [400, 1, 2, 2, 'RtmInvalidArgumentError'],
    [413, 41, 4, 1, 'RtmLimitExceededError'],
    [404, 42, 1, 4, 'RtmServerError'],
    [429, 44, 5, 5, 'RtmLimitExceededError'],
    [507, 45, 1, 1, 'RtmServerError'],
    [401, 22, 1, 1, 'RtmServerError'],
  ];
  it.each(outcomes)(
    'HTTP %i with outcome %i are codes %i and %i',
    async (status, outcome, ofUpload, ofDownload, name) => {
      const recorder = await makeLoggedIn();
      const [up, down] = [upload(recorder), recorder.client.downloadMedia('m')];
      for (const [at, [promise, code]] of (
        [
          [up, ofUpload],
          [down, ofDownload],
        ] as const
      ).entries()) {
        await newest(recorder.world, 2);
        const failed = errorOf(promise);
        recorder.world.exchanges
          .find(({ request }) => (request.body === undefined) === (at === 1))
          ?.answer(status, problem(outcome));
        const error = await failed;
        expect([error.code, error.name, error.retryAfter]).toEqual([code, name, 50]);
        expect(error.message).toContain('what. Do it.');
      }
    },
  );

  it('fail with 1 when the network does, or something else answers', async () => {
    const recorder = await makeLoggedIn();
    const broken = errorOf(upload(recorder));
    (await newest(recorder.world)).fail(new Error('connection reset'));
    expect(await broken).toMatchObject({ code: 1, name: 'RtmUnavailableError' });
    const foreign = errorOf(recorder.client.downloadMedia('m'));
    (await newest(recorder.world, 2)).answer(502, '<html>bad gateway');
    expect(await foreign).toMatchObject({
      code: 1,
      message: expect.stringContaining('HTTP 502') as string,
    });
  });

  // proves: rtm-2.1-media-at-once
  it('are nine at once, then 5', async () => {
    const recorder = await makeLoggedIn();
    const running = Array.from({ length: 9 }, (_, at) =>
      at % 2 ? upload(recorder) : recorder.client.downloadMedia('m'),
    );
    await newest(recorder.world, 9);
    expect(await codeOf(upload(recorder))).toBe(5);
    expect(await codeOf(recorder.client.downloadMedia('m'))).toBe(5);
    recorder.world.exchanges[0]?.answer(200, 'x');
    await running[0];
    const again = recorder.client.downloadMedia('m');
    for (const exchange of [...recorder.world.exchanges, await newest(recorder.world, 10)])
      exchange.answer(200, STORED);
    await Promise.all([...running, again]);
  });

  // proves: rtm-2.1-media-timeout
  it('end with 3 after 120 s without progress, and only then', async () => {
    const recorder = await makeLoggedIn();
    recorder.world.keepAlive();
    const failed = errorOf(recorder.client.downloadMedia('m'));
    const { request } = await newest(recorder.world);
    await recorder.world.advance(119_000);
    request.moved(1, 10);
    await recorder.world.advance(119_000);
    expect(request.signal.aborted).toBe(false);
    await recorder.world.advance(1_000);
    expect(request.signal.aborted).toBe(true);
    expect(await failed).toMatchObject({ code: 3, name: 'RtmTimeoutError' });
  });

  // proves: rtm-2.18-cancel
  it('end with 6 when cancelled, once, whether running or not begun', async () => {
    const recorder = await makeLoggedIn();
    const cancel = new AbortController();
    const progress: unknown[] = [];
    const handler = {
      cancelSignal: cancel.signal,
      onOperationProgress: (event: unknown) => void progress.push(event),
    };
    const failed = errorOf(upload(recorder, handler));
    const { request } = await newest(recorder.world);
    cancel.abort();
    cancel.abort();
    request.moved(1, 1);
    expect(await failed).toMatchObject({ code: 6, name: 'RtmUnavailableError' });
    expect(request.signal.aborted).toBe(true);
    expect(await codeOf(recorder.client.downloadMedia('m', handler))).toBe(6);
    expect(recorder.world.exchanges.length).toBe(1);
    expect(progress).toEqual([]);
  });

  it('a cancel after the end changes nothing', async () => {
    const recorder = await makeLoggedIn();
    const cancel = new AbortController();
    const loaded = recorder.client.downloadMedia('m', { cancelSignal: cancel.signal });
    (await newest(recorder.world)).answer(200, 'x');
    const blob = await loaded;
    cancel.abort();
    expect(blob.size).toBe(1);
  });

  // proves: rtm-1.4-media-progress
  it('tell of progress once a second, and of the end once', async () => {
    const recorder: Recorder = await makeLoggedIn();
    recorder.world.keepAlive();
    const seen: number[] = [];
    const loaded = recorder.client.downloadMedia('m', {
      onOperationProgress: ({ currentSize, totalSize }) => {
        expect(totalSize).toBe(100);
        seen.push(currentSize);
      },
    });
    const exchange = await newest(recorder.world);
    for (let size = 0; size <= 100; size += 10) {
      exchange.request.moved(size, 100);
      await recorder.world.advance(300);
    }
    exchange.request.moved(100, 100);
    exchange.answer(200, 'x');
    await loaded;
    expect(seen).toEqual([0, 40, 80, 100]);
  });

  it('a listener that throws disturbs nothing', async () => {
    holdTimers();
    const recorder = await makeLoggedIn();
    const failure = new Error('the listener');
    const loaded = recorder.client.downloadMedia('m', {
      onOperationProgress: () => {
        throw failure;
      },
    });
    const exchange = await newest(recorder.world);
    exchange.request.moved(1, 1);
    exchange.answer(200, 'x');
    expect((await loaded).size).toBe(1);
    expect(raised()).toEqual([failure]);
  });

  it('end with 6 at a logout, and leave no timer', async () => {
    const recorder = await makeLoggedIn();
    const failed = [errorOf(upload(recorder)), errorOf(recorder.client.downloadMedia('m'))];
    await newest(recorder.world, 2);
    await recorder.client.logout();
    expect((await Promise.all(failed)).map(({ code }) => code)).toEqual([6, 6]);
    expect(recorder.world.timers).toBe(0);
  });
});

describe('the measures of', () => {
  const jpeg = bytesOf(
    0xff,
    0xd8,
    0xff,
    0xe1,
    0,
    6,
    1,
    2,
    3,
    4,
    0xff,
    0xff,
    0xc4,
    0,
    4,
    9,
    9,
    0xff,
    0xc2,
    0,
    17,
    8,
    1,
    2,
    3,
    4,
  );
  const bmp = new Uint8Array(26);
  bmp.set(bytesOf('BM'));
  bmp.set([5, 0, 0, 0, 0xf9, 0xff, 0xff, 0xff], 18);
  const pictures: [string, Uint8Array, unknown][] = [
    ['a PNG', PNG, { width: 3, height: 2 }],
    ['a JPEG with notes, fill bytes and tables in front', jpeg, { width: 0x304, height: 0x102 }],
    ['a BMP that stands on its head', bmp, { width: 5, height: 7 }],
    ['a PNG that ends too early', PNG.subarray(0, 20), undefined],
    ['a JPEG without a frame', jpeg.subarray(0, 17), undefined],
    ['something else', bytesOf('hello'), undefined],
    ['nothing', new Uint8Array(), undefined],
  ];
  it.each(pictures)('%s', (_, bytes, measures) => {
    expect(measuresOf(bytes)).toEqual(measures);
  });

  it('anything end', () => {
    let seed = 7;
    const random = () => (seed = (seed * 48_271) % 2_147_483_647) & 0xff;
    for (let round = 0; round < 2_000; round++) {
      const bytes = Uint8Array.from({ length: 200 }, random);
      bytes.set([0xff, 0xd8]);
      measuresOf(bytes);
    }
  });
});
