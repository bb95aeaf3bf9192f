/**
 * What the Tidings SDKs for JavaScript share: codec, connection machine, transports.
 *
 * It knows nothing of the RTM 1.x API: `clients/js/rtm` gives it names, codes and classes.
 */
export * from './address.js';
export * from './endpoints.js';
export * from './environment.js';
export * from './generated/codes.js';
export * from './generated/limits.js';
export * as CODES from './generated/rtm-codes.js';
export * from './machine/states.js';
export * from './machine/types.js';
export * from './names.js';
export * from './rivals.js';
export * from './shell.js';
export * from './transport/http.js';
export * from './transport/transport.js';
export * from './transport/websocket.js';
export * from './wire/messages.js';
export { decodeUtf8, encodeUtf8 } from './wire/utf8.js';
