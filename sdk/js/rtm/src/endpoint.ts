/** Where the server is. */

interface Globals {
  readonly TIDINGS_ENDPOINT?: unknown;
  readonly process?: { readonly env?: Readonly<Record<string, string | undefined>> };
  readonly location?: { readonly origin?: string };
}

/** Path of the native protocol on a server. */
const PATH = '/rtm';

/** The WebSocket address, or a text that says what is wrong and what to do. */
export function resolveEndpoint(configured: unknown): { url: string } | { problem: string } {
  const globals = globalThis as unknown as Globals;
  const origin = globals.location?.origin;
  const given =
    configured ||
    globals.TIDINGS_ENDPOINT ||
    globals.process?.env?.['TIDINGS_ENDPOINT'] ||
    (origin?.startsWith('http') ? origin : undefined);
  if (given === undefined) {
    return { problem: 'no endpoint: set config.endpoint or TIDINGS_ENDPOINT to https://host[:port]' };
  }
  if (typeof given !== 'string') {
    return { problem: `the endpoint is ${typeof given}, use a string such as https://host[:port]` };
  }
  let url: URL;
  try {
    url = new URL(given);
  } catch {
    return { problem: `the endpoint '${given}' is not an address, use https://host[:port]` };
  }
  const scheme = { 'http:': 'ws:', 'https:': 'wss:', 'ws:': 'ws:', 'wss:': 'wss:' }[url.protocol];
  if (scheme === undefined || url.host === '') {
    return { problem: `the endpoint '${given}' does not begin with https://, http://, wss:// or ws://` };
  }
  let path = url.pathname.replace(/\/+$/, '');
  // A ws: address with a path is taken as it stands; http: addresses name the server.
  const isComplete = url.protocol.startsWith('ws') && path !== '';
  if (!isComplete && !path.endsWith(PATH)) path += PATH;
  return { url: `${scheme}//${url.host}${path}${url.search}` };
}
