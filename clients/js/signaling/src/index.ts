/** The ES module: `Signal` as the default, and by its native names. */
import { Signal } from './signal.js';

export { Signal, Signal as createAgoraSDKInstance, Signal as getInstance };
export { Call } from './call.js';
export { Channel } from './channel.js';
export { Session } from './session.js';
export default Signal;
