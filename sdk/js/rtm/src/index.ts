/** The ES module: the API object as default, as `import AgoraRTM from '@tidings/rtm'` wants it. */
import { AgoraRTM } from './api.js';

export default AgoraRTM;
export const { RtmStatusCode } = AgoraRTM;
