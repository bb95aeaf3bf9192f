import AgoraRTM from '@tidings/rtm';
import { converse } from '../shared/converse.mjs';

window.result = converse(AgoraRTM, undefined, 'endpoint');
