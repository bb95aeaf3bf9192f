// The plain protocol (src/drivers/plain.rs) on uWebSockets, as Bun has it built in: topics are its own.
const port = Number(process.argv[2]);
const users = new Map();

Bun.serve({
  hostname: '127.0.0.1',
  port,
  fetch: (request, server) => (server.upgrade(request) ? undefined : new Response('ready')),
  websocket: {
    perMessageDeflate: false,
    idleTimeout: 0,
    maxPayloadLength: 1 << 20,
    backpressureLimit: 1 << 30,
    message(socket, data) {
      const blank = data.indexOf(32);
      const name = data.toString('latin1', 1, blank < 0 ? undefined : blank);
      switch (data[0]) {
        case 76: // L
          users.set(name, socket);
          socket.sendBinary(Buffer.from('l'));
          break;
        case 83: // S
          socket.subscribe(name);
          socket.sendBinary(Buffer.from('s'));
          break;
        case 80: // P: to all but the sender
          socket.publishBinary(name, data.subarray(blank + 1));
          break;
        case 77: // M
          users.get(name)?.sendBinary(data.subarray(blank + 1));
          break;
      }
    },
  },
});
