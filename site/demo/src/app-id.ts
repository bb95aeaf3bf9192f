/**
 * The app that this page belongs to: users of one app id share one world. It is 32 letters or digits;
 * a server that runs with --dev accepts any.
 */
export const APP_ID = 'TidingsDemo000000000000000000000';
