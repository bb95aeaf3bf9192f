// Users in a process of their own, to be stopped with it: ADDRESS APP NUMBER.
// Says a line once all are there.

import { User } from './user.mjs';

const [address, app, number] = process.argv.slice(2);
for (let at = 0; at < Number(number); at += 1) await User.login(address, app, `deaf${at}`);
console.log('there');
