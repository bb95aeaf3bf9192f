const umd = require('@tidings/rtm/dist/tidings-rtm.umd.js');
const names = [
  '@tidings/rtm',
  '@tidings/rtm/dist/index.js',
  '@tidings/rtm/dist/tidings-rtm.umd.js',
];
const required = names.map((name) => require(name) === umd && require(name).default === umd);
import('@tidings/rtm').then(async (module) => {
  const deep = await import('@tidings/rtm/dist/index.js');
  require('@tidings/rtm/regenerator-runtime');
  const isGlobal = typeof globalThis.regeneratorRuntime;
  console.log(
    JSON.stringify([
      ...required,
      typeof module.default.createInstance,
      deep.default === umd,
      isGlobal,
    ]),
  );
});
