import AgoraRTM, { createInstance } from '@tidings/rtm';
import commonJs from '@tidings/rtm/dist/index.js';
import deep from '@tidings/rtm/dist/index.mjs';
import { createRequire } from 'node:module';

const umd = createRequire(import.meta.url)('@tidings/rtm');
console.log(
  JSON.stringify([deep === AgoraRTM, createInstance === AgoraRTM.createInstance, commonJs === umd]),
);
