/**
 * The UMD module. It carries itself as `default`, without `__esModule`, so that `require`, a
 * bundler's default import and a script tag all get the same object.
 */
import { AgoraRTM } from './api.js';

export default Object.assign(AgoraRTM, { default: AgoraRTM });
