/** Says in words what the SDK says in codes. */
import type AgoraRTM from '@tidings/rtm';
import codes from '@tidings/rtm/error-code';
import { APP_ID } from './app-id.js';

const NAME_RULE =
  'Use 1 to 64 letters without accents, digits, spaces, or any of ! # $ % & ( ) + , - . : ; < = > ? @ [ ] ^ _ { | } ~';
const TOO_OFTEN = 'That was too often in a short time. Wait a moment and try again.';
const NO_ANSWER = 'The server did not answer in time.';
const NOT_LOGGED_IN = 'You are not logged in any more.';

/** A code has its meaning only together with the method that failed. */
export type Action =
  | 'login'
  | 'sendToPerson'
  | 'sendToChannel'
  | 'join'
  | 'watch'
  | 'share'
  | 'upload'
  | 'download';

const WORDS: Readonly<Record<Action, Readonly<Record<number, string>>>> = {
  login: {
    [codes.LOGIN_ERR_INVALID_ARGUMENT]: `This name is not possible. ${NAME_RULE}`,
    [codes.LOGIN_ERR_INVALID_APP_ID]: `The server does not serve this page’s app. Start it with --dev, or with --app ${APP_ID}`,
    [codes.LOGIN_ERR_INVALID_TOKEN]: 'The server asks for a token, and this page has none. Start the server with --dev.',
    [codes.LOGIN_ERR_NOT_AUTHORIZED]: 'This user has been banned.',
    [codes.LOGIN_ERR_TIMEOUT]: `${NO_ANSWER} Is it running?`,
    [codes.LOGIN_ERR_TOO_OFTEN]: TOO_OFTEN,
  },
  sendToPerson: {
    [codes.PEER_MESSAGE_ERR_TIMEOUT]: `${NO_ANSWER} The message may have arrived all the same.`,
    [codes.PEER_MESSAGE_ERR_TOO_OFTEN]: TOO_OFTEN,
    [codes.PEER_MESSAGE_ERR_INVALID_MESSAGE]: 'The message is too long: 32 KB is the most.',
    [codes.PEER_MESSAGE_ERR_USER_NOT_LOGGED_IN]: NOT_LOGGED_IN,
  },
  sendToChannel: {
    [codes.CHANNEL_MESSAGE_ERR_TIMEOUT]: `${NO_ANSWER} The message may have arrived all the same.`,
    [codes.CHANNEL_MESSAGE_ERR_TOO_OFTEN]: TOO_OFTEN,
    [codes.CHANNEL_MESSAGE_ERR_INVALID_MESSAGE]: 'The message is too long: 32 KB is the most.',
    [codes.CHANNEL_MESSAGE_ERR_NOT_IN_CHANNEL]: 'You are not in this channel any more.',
    [codes.CHANNEL_MESSAGE_ERR_USER_NOT_LOGGED_IN]: NOT_LOGGED_IN,
  },
  join: {
    [codes.CREATE_CHANNEL_ERR_INVALID_ARGUMENT]: `This channel name is not possible. ${NAME_RULE}`,
    [codes.JOIN_CHANNEL_TIMEOUT]: NO_ANSWER,
    [codes.JOIN_CHANNEL_ERR_EXCEED_LIMIT]: 'You are in 20 channels, which is the most. Leave one first.',
    [codes.JOIN_CHANNEL_ERR_TOO_OFTEN]: TOO_OFTEN,
    [codes.JOIN_CHANNEL_ERR_JOIN_SAME_CHANNEL_TOO_OFTEN]: TOO_OFTEN,
    [codes.JOIN_CHANNEL_ERR_USER_NOT_LOGGED_IN]: NOT_LOGGED_IN,
  },
  watch: {
    [codes.PEER_SUBSCRIPTION_STATUS_ERR_INVALID_ARGUMENT]: `This name is not possible. ${NAME_RULE}`,
    [codes.PEER_SUBSCRIPTION_STATUS_ERR_TIMEOUT]: NO_ANSWER,
    [codes.PEER_SUBSCRIPTION_STATUS_ERR_TOO_OFTEN]: TOO_OFTEN,
    [codes.PEER_SUBSCRIPTION_STATUS_ERR_OVERFLOW]: 'You follow 512 people, which is the most. Remove one first.',
    [codes.PEER_SUBSCRIPTION_STATUS_ERR_USER_NOT_LOGGED_IN]: NOT_LOGGED_IN,
  },
  share: {
    [codes.ATTRIBUTE_OPERATION_ERR_SIZE_OVERFLOW]: 'A channel keeps at most 32 KB, and 31 hands. Shorten the topic, or wait for a hand to go down.',
    [codes.ATTRIBUTE_OPERATION_ERR_TIMEOUT]: `${NO_ANSWER} Try again.`,
    [codes.ATTRIBUTE_OPERATION_ERR_TOO_OFTEN]: TOO_OFTEN,
    [codes.ATTRIBUTE_OPERATION_ERR_USER_NOT_LOGGED_IN]: NOT_LOGGED_IN,
  },
  upload: {
    [codes.UPLOAD_MEDIA_ERR_FAILURE]: 'The picture could not be uploaded. Is the server reachable?',
    [codes.UPLOAD_MEDIA_ERR_TIMEOUT]: 'The upload has stopped. Try again when the connection is better.',
    [codes.UPLOAD_MEDIA_ERR_SIZE_OVERFLOW]: 'The picture is too large: 32 MB is the most.',
    [codes.UPLOAD_MEDIA_ERR_CONCURRENCY_LIMIT_EXCEEDED]: 'Nine pictures are on their way already. Try again when one has arrived.',
    [codes.UPLOAD_MEDIA_ERR_NOT_LOGGED_IN]: NOT_LOGGED_IN,
  },
  download: {
    [codes.DOWNLOAD_MEDIA_ERR_FAILURE]: 'The picture could not be loaded. Is the server reachable?',
    [codes.DOWNLOAD_MEDIA_ERR_TIMEOUT]: 'The download has stopped. Try again when the connection is better.',
    [codes.DOWNLOAD_MEDIA_ERR_NOT_EXIST]: 'The picture is not kept any more: the server keeps pictures for 7 days.',
    [codes.DOWNLOAD_MEDIA_ERR_CONCURRENCY_LIMIT_EXCEEDED]: 'Nine pictures are on their way already. Try again when one has arrived.',
    [codes.DOWNLOAD_MEDIA_ERR_NOT_LOGGED_IN]: NOT_LOGGED_IN,
  },
};

/** Every error of the SDK has a code and a text; the text serves where we know nothing better. */
export function inWords(action: Action, error: unknown): string {
  const { code } = error as { code?: number };
  const known = code === undefined ? undefined : WORDS[action][code];
  return known ?? (error instanceof Error ? error.message : String(error));
}

const CAUSES: Readonly<Partial<Record<AgoraRTM.MessageGap['cause'], string>>> = {
  buffer_overflow: 'too much happened while the connection was down',
  resume_window: 'the connection was down for too long',
  node_lost: 'the server was restarted',
  epoch_changed: 'the server was restarted',
  slow_consumer: 'they came faster than this page could take them',
  inbox_overflow: 'more were waiting for you than the server keeps',
  inbox_expired: 'they waited for you longer than the server keeps them',
  rate_limited: 'too many came at once',
  storage_damage: 'the server’s storage was damaged',
};

/** The SDK tells of every hole in what it delivers, so that a page never pretends to be complete. */
export function gapInWords({ source, cause, missed }: AgoraRTM.MessageGap): string {
  const where = source.type === 'channel' ? 'here' : 'that people sent to you';
  let what = `Messages ${where} may be missing`;
  if (missed !== undefined) what = missed === 1 ? `1 message ${where} is missing` : `${missed} messages ${where} are missing`;
  const why = CAUSES[cause];
  return why ? `${what}: ${why}.` : `${what}.`;
}
