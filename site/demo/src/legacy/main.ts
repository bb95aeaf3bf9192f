/** Lena and Rita, side by side; each visit has a room of its own, unless the address names one. */
import { lena } from './lena.js';
import { rita } from './rita.js';
import { Side } from './side.js';

const room =
  new URLSearchParams(location.search).get('room') ??
  `harbour-${Math.random().toString(36).slice(2, 7)}`;
const [first, second] = [`lena-${room}`, `rita-${room}`];

lena(new Side('lena'), first, second, room);
const side = new Side('rita');
rita(side, second, first, room).catch((error: unknown) => side.log(String(error)));
