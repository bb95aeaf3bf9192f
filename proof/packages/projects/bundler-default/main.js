import AgoraRTM from '@tidings/rtm';
import { converse } from '../shared/converse.mjs';

const endpoint = new URL(location.href).searchParams.get('endpoint');
window.result = converse(AgoraRTM, endpoint, 'default');
