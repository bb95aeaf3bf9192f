/**
 * The ES module: the API object as default, as `import AgoraRTM from '@tidings/rtm'` wants it, and
 * its members by name, so that `import * as AgoraRTM` has them as well.
 */
import { AgoraRTM } from './api.js';

export default AgoraRTM;
export const {
  AreaCode,
  BUILD,
  ConnectionChangeReason,
  ConnectionState,
  END_CALL_PREFIX,
  LOG_FILTER_DEBUG,
  LOG_FILTER_ERROR,
  LOG_FILTER_INFO,
  LOG_FILTER_OFF,
  LOG_FILTER_WARNING,
  LocalInvitationFailureReason,
  LocalInvitationState,
  MessageType,
  PeerOnlineState,
  PeerSubscriptionOption,
  RemoteInvitationFailureReason,
  RemoteInvitationState,
  RtmStatusCode,
  VERSION,
  createInstance,
  getParameter,
  processId,
  setArea,
  setParameter,
} = AgoraRTM;
