// The plain protocol (src/drivers/plain.rs) on the `ws` package.
import { WebSocketServer } from 'ws';

const users = new Map();
const rooms = new Map();
const server = new WebSocketServer({ host: '127.0.0.1', port: Number(process.argv[2]), perMessageDeflate: false, backlog: 4096 });

server.on('connection', (socket) => {
  socket.on('message', (data) => {
    const blank = data.indexOf(32);
    const name = data.toString('latin1', 1, blank < 0 ? undefined : blank);
    switch (data[0]) {
      case 76: // L
        users.set(name, socket);
        socket.send(Buffer.from('l'));
        break;
      case 83: // S
        if (!rooms.has(name)) rooms.set(name, new Set());
        rooms.get(name).add(socket);
        socket.send(Buffer.from('s'));
        break;
      case 80: { // P: to all but the sender
        const body = data.subarray(blank + 1);
        for (const member of rooms.get(name) ?? []) if (member !== socket) member.send(body);
        break;
      }
      case 77: // M
        users.get(name)?.send(data.subarray(blank + 1));
        break;
    }
  });
  socket.on('close', () => rooms.forEach((members) => members.delete(socket)));
});
