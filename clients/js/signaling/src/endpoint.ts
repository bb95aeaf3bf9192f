/**
 * The server's address: the one that the page has set, otherwise the page's own origin. Source:
 * signaling 2.
 */

interface Globals {
  readonly TIDINGS_ENDPOINT?: unknown;
  readonly process?: { readonly env?: Readonly<Record<string, string | undefined>> };
  readonly location?: { readonly origin?: string };
}

/** An address of the address service: a URL, or an IPv4 address and a port. */
type Entry = string | readonly [string, number?];

export interface Addresses {
  readonly appId: string;
  /** From `setup_debugging` and from a constructor that was given a URL. */
  readonly fixed: string | undefined;
  readonly serverUrls: readonly string[];
  readonly addressServices: readonly string[];
  readonly proxy: string | undefined;
}

/** How long the address service may take, in milliseconds. Source: signaling 2.1. */
const ADDRESS_WAIT_MS = 5_000;

const IPV4 = /^\d{1,3}(\.\d{1,3}){3}$/;
const SCHEMES: Record<string, string> = {
  'http:': 'ws:',
  'https:': 'wss:',
  'ws:': 'ws:',
  'wss:': 'wss:',
};

/** All addresses to be tried, in turn; at least one, or an error that says what to set. */
export async function addresses(of: Addresses): Promise<string[]> {
  if (of.fixed !== undefined) return [of.fixed];
  if (of.serverUrls.length > 0) return [...of.serverUrls];
  for (const base of of.addressServices) {
    const found = await ask(base, of);
    if (found.length > 0) return found;
  }
  return ownEndpoints(of.appId);
}

async function ask(base: string, of: Addresses): Promise<string[]> {
  const cancel = new AbortController();
  const timer = setTimeout(() => cancel.abort(), ADDRESS_WAIT_MS);
  try {
    const answer = await fetch(`${base}/getaddr?vid=${of.appId}`, { signal: cancel.signal });
    const { web } = (await answer.json()) as { web?: readonly Entry[] };
    return (web ?? []).map((entry) => urlOf(entry, of.proxy));
  } catch {
    return [];
  } finally {
    clearTimeout(timer);
  }
}

/** The WebSocket address of an entry. Source: signaling 2.2. */
export function urlOf(entry: Entry, proxy?: string): string {
  const [host, port] = typeof entry === 'string' ? [entry] : entry;
  if (!IPV4.test(host)) return host;
  const dashed = `${host.split('.').join('-')}-sig-web.agora.io`;
  const securePort = (port ?? 8001) + 1;
  return proxy === undefined
    ? `wss://${dashed}:${securePort}/`
    : `wss://${proxy}/ws/?h=${dashed}&p=${securePort}`;
}

/** Several, in a list or between commas, are the nodes of one cluster. */
function ownEndpoints(appId: string): string[] {
  const globals = globalThis as unknown as Globals;
  const origin = globals.location?.origin;
  const given =
    globals.TIDINGS_ENDPOINT ||
    globals.process?.env?.['TIDINGS_ENDPOINT'] ||
    (origin?.startsWith('http') ? origin : undefined);
  const all: readonly unknown[] = Array.isArray(given)
    ? given
    : typeof given === 'string'
      ? given.split(',')
      : [];
  if (all.length === 0 || !all.every((one) => typeof one === 'string')) {
    throw new Error(
      'no endpoint: set TIDINGS_ENDPOINT to https://host[:port], or call setup_debugging("ap_url", …)',
    );
  }
  const urls = all.map((one) => legacyUrl(one, appId));
  // Clients with one list spread over its servers.
  const first = Math.floor(Math.random() * urls.length);
  return [...urls.slice(first), ...urls.slice(0, first)];
}

function legacyUrl(given: string, appId: string): string {
  const url = new URL(given.trim());
  const scheme = SCHEMES[url.protocol];
  if (scheme === undefined) {
    throw new Error(
      `the endpoint '${given}' does not begin with https://, http://, wss:// or ws://`,
    );
  }
  return `${scheme}//${url.host}${url.pathname.replace(/\/+$/, '')}/legacy/${appId}`;
}
