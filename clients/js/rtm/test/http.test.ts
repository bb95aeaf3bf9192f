/** The real HTTP of Node, against a server that misbehaves as told. */
import { once } from 'node:events';
import { type IncomingMessage, type Server, type ServerResponse, createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { exchange } from '@tidings/core';
import { afterEach, describe, expect, it } from 'vitest';

type Serve = (request: IncomingMessage, response: ServerResponse) => void;

let server: Server | undefined;
afterEach(() => {
  server?.closeAllConnections();
  server?.close();
});

async function serve(answer: Serve): Promise<string> {
  server = createServer(answer).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1/media/app`;
}

/** What has come with a request. */
async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

function recorded(signal = new AbortController().signal) {
  const moves: [number, number][] = [];
  return {
    moves,
    signal,
    moved: (current: number, total: number) => void moves.push([current, total]),
  };
}

describe('an exchange', () => {
  it('sends a Blob whole, in pieces, and tells of each', async () => {
    const content = Buffer.alloc(200_000, 'abcdefg');
    const came: unknown[] = [];
    const url = await serve((request, response) => {
      void bodyOf(request).then((body) => {
        came.push(request.method, request.headers['tidings-user'], body.equals(content));
        response.writeHead(201).end('{}');
      });
    });
    const { moves, ...rest } = recorded();
    const answer = await exchange({
      url,
      headers: { 'Tidings-User': 'a' },
      body: new Blob([content]),
      ...rest,
    });
    expect(came).toEqual(['POST', 'a', true]);
    expect([answer.status, Buffer.concat(answer.chunks).toString()]).toEqual([201, '{}']);
    expect(moves).toEqual([65_536, 131_072, 196_608, 200_000].map((size) => [size, 200_000]));
  });

  it('gives a download, and tells of each piece', async () => {
    const content = Buffer.alloc(300_000, 'xyz');
    const url = await serve((_request, response) => {
      response.writeHead(200, { 'content-length': content.length }).end(content);
    });
    const { moves, ...rest } = recorded();
    const answer = await exchange({ url, headers: {}, ...rest });
    expect(Buffer.concat(answer.chunks).equals(content)).toBe(true);
    expect(moves.at(-1)).toEqual([300_000, 300_000]);
  });

  it('tells of no progress while an error comes', async () => {
    const url = await serve((_request, response) => response.writeHead(404).end('{"error":{}}'));
    const { moves, ...rest } = recorded();
    expect((await exchange({ url, headers: {}, ...rest })).status).toBe(404);
    expect(moves).toEqual([]);
  });

  it('rejects when only a part of a file comes', async () => {
    const url = await serve((_request, response) => {
      response.writeHead(200, { 'content-length': 100 }).write('half', () => response.destroy());
    });
    await expect(exchange({ url, headers: {}, ...recorded() })).rejects.toThrow();
  });

  it('rejects when there is nobody', async () => {
    const url = await serve(() => undefined);
    server?.close();
    server?.closeAllConnections();
    await expect(exchange({ url, headers: {}, ...recorded() })).rejects.toThrow();
  });

  it.each([true, false])('ends when it is aborted, an upload: %s', async (isUpload) => {
    const cancel = new AbortController();
    const ended = new Promise<void>((resolve) => {
      void serve((request, response) => {
        request.on('close', resolve);
        // Half an answer to a download, none to an upload.
        if (isUpload) request.once('data', () => cancel.abort());
        else response.writeHead(200, { 'content-length': 100 }).write('half', () => cancel.abort());
      }).then((url) => {
        const body = isUpload ? { body: new Blob([new Uint8Array(20_000_000)]) } : {};
        result = exchange({ url, headers: {}, ...body, ...recorded(cancel.signal) }).then(
          () => 'done',
          () => 'rejected',
        );
      });
    });
    let result: Promise<string> | undefined;
    await ended;
    expect(await result).toBe('rejected');
  });
});
