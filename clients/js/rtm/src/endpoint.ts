/** Where the server is. */
import { parseAddress } from '@tidings/core';

interface Globals {
  readonly TIDINGS_ENDPOINT?: unknown;
  readonly location?: { readonly origin?: string };
  readonly document?: { querySelector?(selector: string): { readonly content?: string } | null };
}

/** Path of the native protocol on a server. */
const PATH = '/rtm';

/** How the address is set, for error texts. */
export const HOW_TO_SET =
  'Set config.endpoint, global TIDINGS_ENDPOINT, <meta name="tidings-endpoint"> or process.env.TIDINGS_ENDPOINT';

/**
 * Node's environment, or what a bundler has put in its place: bundlers look for exactly these
 * words.
 */
function ofBuild(): unknown {
  try {
    return process.env.TIDINGS_ENDPOINT;
  } catch {
    return undefined;
  }
}

/**
 * The WebSocket addresses of the servers, at least one, or a text that says what is wrong and what
 * to do. A text has several between commas.
 */
export function resolveEndpoints(configured: unknown): { urls: string[] } | { problem: string } {
  const { TIDINGS_ENDPOINT, document, location } = globalThis as unknown as Globals;
  const origin = location?.origin;
  const isGiven = !Array.isArray(configured) || configured.length > 0;
  const given =
    (isGiven && configured) ||
    TIDINGS_ENDPOINT ||
    document?.querySelector?.('meta[name="tidings-endpoint"]')?.content ||
    ofBuild() ||
    (origin?.startsWith('http') ? origin : undefined);
  if (given === undefined) return { problem: `no endpoint. ${HOW_TO_SET}` };
  const all: readonly unknown[] = Array.isArray(given)
    ? given
    : typeof given === 'string'
      ? given.split(',')
      : [given];
  const urls: string[] = [];
  for (const one of all) {
    const address = typeof one === 'string' && parseAddress(one);
    if (!address)
      return {
        problem: `the endpoint '${String(one)}' is not an address such as https://host[:port]`,
      };
    const { secure, isSocket, host, path, search } = address;
    // A ws: address with a path is used as it is; http: addresses name the server.
    const suffix = (isSocket && path !== '') || path.endsWith(PATH) ? '' : PATH;
    const url = `ws${secure}://${host}${path}${suffix}${search}`;
    if (!urls.includes(url)) urls.push(url);
  }
  return { urls };
}
