/** The API object, `AgoraRTM`. Making it has no side effect and needs no global. */
import { type Connect, CODES, appIdProblem, platformEnvironment } from '@tidings/core';
import type Public from '../types/index.mjs';
import { RtmClient } from './client.js';
import { kindOf } from './checks.js';
import { RtmStatusCode } from './enums.js';
import { RtmError, invalidArgument } from './errors.js';
import {
  LOG_FILTER_DEBUG,
  LOG_FILTER_ERROR,
  LOG_FILTER_INFO,
  LOG_FILTER_OFF,
  LOG_FILTER_WARNING,
} from './log.js';
import { loadNodeSocket } from './node-loader.js';
import { BUILD, VERSION } from './version.js';

/**
 * Prefix of the text that ends an accepted call with a legacy peer. Source: RTM 1.x semantics 6.8.
 */
const END_CALL_PREFIX = 'AgoraRTMLegacyEndcallCompatibleMessagePrefix';

const parameters = new Map<string, unknown>();
let processId: string | undefined;

// The third argument, areaCodes, is accepted and has no effect; `length` is 1, as in the original.
function createInstance(
  appId: string,
  ...rest: [config?: Public.RtmConfig, areaCodes?: unknown]
): RtmClient {
  const problem = appIdProblem(appId);
  if (problem !== undefined) {
    throw invalidArgument(CODES.CREATE_INSTANCE_ERR_INVALID_ARGUMENT, `appId ${problem}`);
  }
  const environment = platformEnvironment(loadNodeSocket as () => Promise<Connect>);
  return new RtmClient(appId, rest[0] ?? {}, environment);
}

function setArea(areaConfig: Parameters<typeof Public.setArea>[0]): void {
  const { areaCodes } = areaConfig;
  const known: readonly unknown[] = Object.values(RtmStatusCode.AreaCode);
  const bad = Array.isArray(areaCodes)
    ? areaCodes.find((area) => !known.includes(area))
    : areaCodes;
  if (Array.isArray(areaCodes) && areaCodes.length > 0 && bad === undefined) return;
  const error = new RtmError(
    'RtmInvalidArgumentError',
    0,
    `areaCodes has ${typeof bad === 'string' ? `'${bad}'` : kindOf(bad)}, use members of AreaCode`,
  );
  // The one error of the API without a code: observed, RTM 1.4.5 and 1.5.1.
  Reflect.deleteProperty(error, 'code');
  error.message = error.message.replace('Error Code 0 - ', '');
  throw error;
}

function makeProcessId(): string {
  return 'xxxxxxxx-xxxx-4xxx-axxx-xxxxxxxxxxxx'.replace(/x/g, () =>
    Math.floor(Math.random() * 16).toString(16),
  );
}

export const AgoraRTM = {
  createInstance,
  setArea,
  setParameter(key: string, value: unknown): void {
    parameters.set(key, value);
  },
  getParameter(key: string): unknown {
    return parameters.get(key);
  },
  get processId(): string {
    return (processId ??= makeProcessId());
  },
  VERSION,
  BUILD,
  END_CALL_PREFIX,
  LOG_FILTER_OFF,
  LOG_FILTER_ERROR,
  LOG_FILTER_WARNING,
  LOG_FILTER_INFO,
  LOG_FILTER_DEBUG,
  ...RtmStatusCode,
  RtmStatusCode,
};
