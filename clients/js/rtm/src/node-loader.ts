/**
 * Fetches the WebSocket client for Node before 22, which is in a file beside this bundle.
 *
 * The names are not literals and the comments tell bundlers to leave the imports alone, so that
 * they neither follow them nor warn. A program that is itself bundled finds the file by package
 * name.
 */
import type { Connect } from '@tidings/core';

const BESIDE = './node-socket.mjs';
const BY_PACKAGE = '@tidings/rtm/node-socket';

type SocketModule = { readonly connect: Connect };

export async function loadNodeSocket(): Promise<Connect> {
  for (const name of [BESIDE, BY_PACKAGE]) {
    try {
      const loaded = (await import(
        /* webpackIgnore: true */ /* @vite-ignore */ name
      )) as SocketModule;
      return loaded.connect;
    } catch {
      // Not there: the next name, or the error below.
    }
  }
  throw new Error(
    'there is no WebSocket: use Node 22 or later, or keep @tidings/rtm out of the bundle',
  );
}
