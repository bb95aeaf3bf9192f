/** Console lines. Never a token, never a message's content. */
import type AgoraRTM from '../types/index.mjs';

export type Level = 'error' | 'warn' | 'info' | 'track' | 'debug';

function upTo(count: number): AgoraRTM.LogFilterType {
  const levels: Level[] = ['error', 'warn', 'info', 'debug', 'track'];
  const on = (level: Level) => levels.indexOf(level) < count;
  return {
    error: on('error'),
    warn: on('warn'),
    info: on('info'),
    track: on('track'),
    debug: on('debug'),
  };
}

export const LOG_FILTER_OFF = /* @__PURE__ */ upTo(0);
export const LOG_FILTER_ERROR = /* @__PURE__ */ upTo(1);
export const LOG_FILTER_WARNING = /* @__PURE__ */ upTo(2);
export const LOG_FILTER_INFO = /* @__PURE__ */ upTo(3);
export const LOG_FILTER_DEBUG = /* @__PURE__ */ upTo(5);

export function log(filter: AgoraRTM.LogFilterType, level: Level, text: string): void {
  if (!filter[level]) return;
  const line = `RTM:${level.toUpperCase()} ${text}`;
  if (level === 'error') console.error(line);
  else if (level === 'warn') console.warn(line);
  else console.log(line);
}
