/**
 * The UMD module: the function `Signal`, and in a page the globals that the old builds set. Source:
 * signaling 14.
 */
import { LOGGED_IN, LOGGED_OUT, LOGGING_IN, RECONNECTING } from './codes.js';
import { Signal } from './signal.js';

const version = new (Signal as unknown as new (appid: string) => ReturnType<typeof Signal>)('');
const api = Object.assign(Signal, {
  Signal,
  getInstance: Signal,
  createAgoraSDKInstance: Signal,
  default: Signal,
});

if (typeof window !== 'undefined') {
  Object.assign(window, {
    LOGIN_STATE_NOT_LOGIN: LOGGED_OUT,
    LOGIN_STATE_LOGINING: LOGGING_IN,
    LOGIN_STATE_LOGINED: LOGGED_IN,
    LOGIN_STATE_RECONNECTING: RECONNECTING,
    SIGNALING_SDK_VERSION: version.getSDKVersion(),
    SIGNALING_SDK_VERSION_INT: version.getSDKVersion_int(),
    Signal_: Signal,
    getInstance: Signal,
    createAgoraSDKInstance: Signal,
  });
}

export default api;
