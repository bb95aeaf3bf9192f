// A member of a channel in a process of its own: ADDRESS APP USER CHANNEL. Says a line once it is there.

import { User } from './user.mjs';

const [address, app, uid, channel] = process.argv.slice(2);
const user = await User.login(address, app, uid);
await user.join(channel);
console.log('there');
