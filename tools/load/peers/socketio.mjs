// Rooms and users on Socket.IO; the driver is src/drivers/socketio.rs.
import { createServer } from 'node:http';
import { Server } from 'socket.io';

const http = createServer();
const server = new Server(http, {
  transports: ['websocket'],
  perMessageDeflate: false,
  pingInterval: 30_000,
  pingTimeout: 60_000,
});

server.on('connection', (socket) => {
  socket.on('login', (user) => {
    socket.join(`user${user}`);
    socket.emit('in');
  });
  socket.on('join', (room) => {
    socket.join(`room${room}`);
    socket.emit('joined');
  });
  socket.on('pub', (room, body) => socket.to(`room${room}`).emit('m', body));
  socket.on('msg', (user, body) => socket.to(`user${user}`).emit('m', body));
});

http.listen(Number(process.argv[2]), '127.0.0.1');
