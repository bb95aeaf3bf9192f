import('./guard.mjs').then(({ touched }) => {
  touched.length = 0;
  const before = new Set(process.getActiveResourcesInfo());
  const AgoraRTM = require('@tidings/rtm');
  const resources = process.getActiveResourcesInfo().filter((name) => !before.has(name));
  console.log(
    JSON.stringify({ html: typeof AgoraRTM.createInstance, ofImport: [...touched], resources }),
  );
});
