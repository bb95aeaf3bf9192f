/** Records what a module does when it is merely imported: globals of browsers, timers, randomness of its own. */
export const touched = [];

for (const name of [
  'window',
  'document',
  'navigator',
  'location',
  'localStorage',
  'sessionStorage',
  'WebSocket',
]) {
  Object.defineProperty(globalThis, name, {
    configurable: true,
    get() {
      touched.push(name);
      return undefined;
    },
  });
}
for (const name of ['setTimeout', 'setInterval', 'setImmediate', 'fetch']) {
  const original = globalThis[name];
  globalThis[name] = (...args) => {
    touched.push(name);
    return original(...args);
  };
}
