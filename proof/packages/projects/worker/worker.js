import AgoraRTM from '@tidings/rtm';
import { converse } from '../shared/converse.mjs';

self.onmessage = async ({ data: endpoint }) => {
  self.postMessage({
    ...(await converse(AgoraRTM, endpoint, 'worker')),
    hasWindow: 'window' in self,
  });
};
