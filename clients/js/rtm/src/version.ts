/** Set by the build from package.json. */
declare const __TIDINGS_VERSION__: string | undefined;

export const VERSION: string =
  typeof __TIDINGS_VERSION__ === 'string' ? __TIDINGS_VERSION__ : '0.0.0-source';
export const BUILD: string = `v${VERSION}`;
