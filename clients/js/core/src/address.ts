/**
 * Addresses of servers, without `URL`: the one in React Native before 0.80 has no working
 * properties.
 */

export interface Address {
  /** Empty, or `s` of `https:` and `wss:`. */
  readonly secure: string;
  readonly isSocket: boolean;
  /** With the port, if any. */
  readonly host: string;
  /** Without slashes at its end. */
  readonly path: string;
  /** With its question mark; empty if none. */
  readonly search: string;
}

/** The parts of an `http:`, `https:`, `ws:` or `wss:` address; `undefined` for anything else. */
export function parseAddress(text: string): Address | undefined {
  const parts =
    /^\s*(http|ws)(s?):\/\/(?:[^/?#@\s]*@)?((?:[^/?#@:[\]\s]+|\[[\da-f:.]+\])(?::\d{1,5})?)([/?#]\S*)?\s*$/i.exec(
      text,
    );
  if (!parts) return undefined;
  const [, scheme = '', secure = '', host = '', rest = ''] = parts;
  const [, path = '', search = ''] = /^([^?#]*?)\/*(\?[^#]*)?(?:#.*)?$/.exec(rest) ?? [];
  return { secure: secure.toLowerCase(), isSocket: /ws/i.test(scheme), host, path, search };
}
