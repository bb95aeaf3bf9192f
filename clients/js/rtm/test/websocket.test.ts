/** The transport over a WebSocket class. */
import { expect, it } from 'vitest';
import { type WebSocketClass, type WebSocketLike, connectWith } from '@tidings/core';

class FakeSocket implements WebSocketLike {
  static last: FakeSocket;
  binaryType = 'blob';
  protocol = 'tidings.v1';
  onopen: WebSocketLike['onopen'] = null;
  onmessage: WebSocketLike['onmessage'] = null;
  onclose: WebSocketLike['onclose'] = null;
  onerror: WebSocketLike['onerror'] = null;
  readonly sent: unknown[] = [];
  readonly closed: unknown[] = [];

  constructor(
    readonly url: string,
    readonly protocols: string[],
  ) {
    if (url === 'bad') throw new SyntaxError('bad address');
    FakeSocket.last = this;
  }

  send(data: Uint8Array): void {
    this.sent.push(data);
  }

  close(code?: number): void {
    this.closed.push(code);
  }
}

function open(url = 'ws://x/rtm', Socket: WebSocketClass = FakeSocket) {
  const seen: unknown[] = [];
  const transport = connectWith(Socket)(url, {
    opened: () => void seen.push('opened'),
    received: (bytes) => void seen.push([...bytes]),
    closed: (code, reason) => void seen.push([code, reason]),
  });
  return { seen, transport, socket: FakeSocket.last };
}

it('offers the sub-protocol and carries binary messages', () => {
  const { seen, transport, socket } = open();
  expect([socket.protocols, socket.binaryType]).toEqual([['tidings.v1'], 'arraybuffer']);
  socket.onopen?.(undefined as never);
  socket.onmessage?.({ data: Uint8Array.of(1, 2).buffer });
  socket.onmessage?.({ data: 'text is not ours' });
  transport.send(Uint8Array.of(3));
  socket.onclose?.({ code: 4010, reason: 'bye' });
  expect(seen).toEqual(['opened', [1, 2], [4010, 'bye']]);
  expect(socket.sent).toEqual([Uint8Array.of(3)]);
});

it('does not go on without the sub-protocol', () => {
  const { seen, socket } = open();
  socket.protocol = '';
  socket.onopen?.(undefined as never);
  expect(seen).toEqual([[1006, expect.stringContaining('tidings.v1')]]);
});

it('reports nothing after close, and closes with codes that a page may use', () => {
  for (const [code, used] of [
    [1000, 1000],
    [4016, 4016],
    [1002, 1000],
  ] as const) {
    const { seen, transport, socket } = open();
    transport.close(code);
    expect([socket.closed, socket.onclose, seen]).toEqual([[used], null, []]);
  }
});

it('drop reports the end at once, a bad address later', async () => {
  const { seen, transport } = open();
  transport.drop();
  expect(seen).toEqual([[1006, 'dropped']]);
  const bad = open('bad');
  expect(bad.seen).toEqual([]);
  await Promise.resolve();
  expect(bad.seen).toEqual([[1006, expect.stringContaining('bad address')]]);
});
