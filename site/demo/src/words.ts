/** Says in words what the SDK says in codes. */
import type AgoraRTM from '@tidings/rtm';
import codes from '@tidings/rtm/error-code';

const NAME_RULE =
  'Use 1 to 64 unaccented letters, digits, spaces, or any of ! # $ % & ( ) + , - . : ; < = > ? @ [ ] ^ _ { | } ~';
const TOO_OFTEN = 'Too many requests in a short time. Wait a moment and try again.';
const NO_ANSWER = 'The server did not answer in time.';
const NOT_LOGGED_IN = 'You are no longer logged in.';
const TOO_LONG = 'The message is too long: the limit is 32 KB.';

/** A code has its meaning only together with the method that failed. */
export type Action =
  | 'login'
  | 'sendToPerson'
  | 'sendToChannel'
  | 'join'
  | 'watch'
  | 'share'
  | 'upload'
  | 'download'
  | 'history';

const WORDS: Readonly<Record<Action, Readonly<Record<number, string>>>> = {
  login: {
    [codes.LOGIN_ERR_INVALID_ARGUMENT]: `This name is not possible. ${NAME_RULE}`,
    [codes.LOGIN_ERR_INVALID_APP_ID]:
      'The demo’s app is not set up on this server. To try the demo, start the server with --dev.',
    [codes.LOGIN_ERR_INVALID_TOKEN]:
      'The server requires a token, and the demo has none. To try the demo, start the server with --dev.',
    [codes.LOGIN_ERR_NOT_AUTHORIZED]: 'This user has been banned.',
    [codes.LOGIN_ERR_TIMEOUT]: `${NO_ANSWER} Is it running?`,
    [codes.LOGIN_ERR_TOO_OFTEN]: TOO_OFTEN,
  },
  sendToPerson: {
    [codes.PEER_MESSAGE_ERR_TIMEOUT]: `${NO_ANSWER} The message may have arrived all the same.`,
    [codes.PEER_MESSAGE_ERR_TOO_OFTEN]: TOO_OFTEN,
    [codes.PEER_MESSAGE_ERR_INVALID_MESSAGE]: TOO_LONG,
    [codes.PEER_MESSAGE_ERR_USER_NOT_LOGGED_IN]: NOT_LOGGED_IN,
  },
  sendToChannel: {
    [codes.CHANNEL_MESSAGE_ERR_TIMEOUT]: `${NO_ANSWER} The message may have arrived all the same.`,
    [codes.CHANNEL_MESSAGE_ERR_TOO_OFTEN]: TOO_OFTEN,
    [codes.CHANNEL_MESSAGE_ERR_INVALID_MESSAGE]: TOO_LONG,
    [codes.CHANNEL_MESSAGE_ERR_NOT_IN_CHANNEL]: 'You are no longer in this channel.',
    [codes.CHANNEL_MESSAGE_ERR_USER_NOT_LOGGED_IN]: NOT_LOGGED_IN,
  },
  join: {
    [codes.CREATE_CHANNEL_ERR_INVALID_ARGUMENT]: `This channel name is not possible. ${NAME_RULE}`,
    [codes.JOIN_CHANNEL_TIMEOUT]: NO_ANSWER,
    [codes.JOIN_CHANNEL_ERR_EXCEED_LIMIT]: 'You are in 20 channels, the maximum. Leave one first.',
    [codes.JOIN_CHANNEL_ERR_TOO_OFTEN]: TOO_OFTEN,
    [codes.JOIN_CHANNEL_ERR_JOIN_SAME_CHANNEL_TOO_OFTEN]: TOO_OFTEN,
    [codes.JOIN_CHANNEL_ERR_USER_NOT_LOGGED_IN]: NOT_LOGGED_IN,
  },
  watch: {
    [codes.PEER_SUBSCRIPTION_STATUS_ERR_INVALID_ARGUMENT]: `This name is not possible. ${NAME_RULE}`,
    [codes.PEER_SUBSCRIPTION_STATUS_ERR_TIMEOUT]: NO_ANSWER,
    [codes.PEER_SUBSCRIPTION_STATUS_ERR_TOO_OFTEN]: TOO_OFTEN,
    [codes.PEER_SUBSCRIPTION_STATUS_ERR_OVERFLOW]:
      'You follow 512 people, the maximum. Remove one first.',
    [codes.PEER_SUBSCRIPTION_STATUS_ERR_USER_NOT_LOGGED_IN]: NOT_LOGGED_IN,
  },
  share: {
    [codes.ATTRIBUTE_OPERATION_ERR_SIZE_OVERFLOW]:
      'A channel holds at most 32 KB and 31 raised hands. Shorten the topic, or wait for a hand to go down.',
    [codes.ATTRIBUTE_OPERATION_ERR_TIMEOUT]: `${NO_ANSWER} Try again.`,
    [codes.ATTRIBUTE_OPERATION_ERR_TOO_OFTEN]: TOO_OFTEN,
    [codes.ATTRIBUTE_OPERATION_ERR_USER_NOT_LOGGED_IN]: NOT_LOGGED_IN,
  },
  upload: {
    [codes.UPLOAD_MEDIA_ERR_FAILURE]: 'The picture could not be uploaded. Is the server reachable?',
    [codes.UPLOAD_MEDIA_ERR_TIMEOUT]:
      'The upload stalled. Try again when the connection is better.',
    [codes.UPLOAD_MEDIA_ERR_SIZE_OVERFLOW]: 'The picture is too large: the limit is 32 MB.',
    [codes.UPLOAD_MEDIA_ERR_CONCURRENCY_LIMIT_EXCEEDED]:
      'Nine pictures are being transferred already. Try again when one has finished.',
    [codes.UPLOAD_MEDIA_ERR_NOT_LOGGED_IN]: NOT_LOGGED_IN,
  },
  download: {
    [codes.DOWNLOAD_MEDIA_ERR_FAILURE]: 'The picture could not be loaded. Is the server reachable?',
    [codes.DOWNLOAD_MEDIA_ERR_TIMEOUT]:
      'The download stalled. Try again when the connection is better.',
    [codes.DOWNLOAD_MEDIA_ERR_NOT_EXIST]:
      'The picture has expired: the server keeps pictures for 7 days.',
    [codes.DOWNLOAD_MEDIA_ERR_CONCURRENCY_LIMIT_EXCEEDED]:
      'Nine pictures are being transferred already. Try again when one has finished.',
    [codes.DOWNLOAD_MEDIA_ERR_NOT_LOGGED_IN]: NOT_LOGGED_IN,
  },
  history: {
    [codes.PEER_MESSAGE_ERR_TIMEOUT]: NO_ANSWER,
    [codes.PEER_MESSAGE_ERR_USER_NOT_LOGGED_IN]: NOT_LOGGED_IN,
  },
};

/** Every error of the SDK has a code and a text; the text serves where we know nothing better. */
export function inWords(action: Action, error: unknown): string {
  if (wasNotSent(error)) return 'Not sent: the server could not be reached.';
  const { code } = error as { code?: number };
  const known = code === undefined ? undefined : WORDS[action][code];
  return known ?? (error instanceof Error ? error.message : String(error));
}

/** The SDK knows whether a call has left the page: what has not cannot have arrived. */
function wasNotSent(error: unknown): boolean {
  return (error as { isSent?: unknown } | undefined)?.isSent === false;
}

const FINAL: Readonly<Partial<Record<Action, readonly unknown[]>>> = {
  sendToPerson: [codes.PEER_MESSAGE_ERR_INVALID_MESSAGE, codes.PEER_MESSAGE_ERR_INVALID_USERID],
  sendToChannel: [
    codes.CHANNEL_MESSAGE_ERR_INVALID_MESSAGE,
    codes.CHANNEL_MESSAGE_ERR_NOT_IN_CHANNEL,
  ],
  upload: [codes.UPLOAD_MEDIA_ERR_SIZE_OVERFLOW],
};

/** Whether to offer the same message once more: one that is too long stays too long. */
export function canRetry(action: Action, error: unknown): boolean {
  return !FINAL[action]?.includes((error as { code?: unknown } | undefined)?.code);
}

const CAUSES: Readonly<Partial<Record<AgoraRTM.MessageGap['cause'], string>>> = {
  buffer_overflow: 'too many arrived while the connection was down',
  resume_window: 'the connection was down for too long',
  node_lost: 'the server was restarted',
  epoch_changed: 'the server was restarted',
  slow_consumer: 'they arrived faster than this page could read them',
  inbox_overflow: 'more were waiting for you than the server keeps',
  inbox_expired: 'they waited longer than the server keeps them',
  rate_limited: 'too many arrived at once',
  storage_damage: 'the server’s storage was damaged',
  node_link: 'the connection between two servers was broken',
};

/** The SDK reports every gap in what it delivers, so that a page never pretends to be complete. */
export function gapInWords({ source, cause, missed }: AgoraRTM.MessageGap): string {
  const where = source.type === 'channel' ? 'here' : 'that people sent to you';
  let what = `Messages ${where} may be missing`;
  if (missed !== undefined)
    what =
      missed === 1 ? `1 message ${where} is missing` : `${missed} messages ${where} are missing`;
  const why = CAUSES[cause];
  return why ? `${what}: ${why}.` : `${what}.`;
}
