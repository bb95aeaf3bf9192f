// What @babel/preset-env 7.0 makes of an async function that logs in and out.
var endpoint = new URL(location.href).searchParams.get('endpoint');
function step(generator, resolve, reject) {
  return function next(value) {
    try {
      var info = generator.next(value);
      if (info.done) resolve(info.value);
      else Promise.resolve(info.value).then(next, reject);
    } catch (error) {
      reject(error);
    }
  };
}
var run = regeneratorRuntime.mark(function body() {
  var client;
  return regeneratorRuntime.wrap(function (context) {
    while (1) {
      switch ((context.prev = context.next)) {
        case 0:
          client = AgoraRTM.createInstance('ImportStyles00000000000000000000', {
            endpoint: endpoint,
          });
          context.next = 3;
          return client.login({ uid: 'old-babel' });
        case 3:
          context.next = 5;
          return client.logout();
        case 5:
          return context.abrupt('return', client.connectionState);
        case 6:
        case 'end':
          return context.stop();
      }
    }
  }, body);
});
window.result = new Promise(function (resolve, reject) {
  step(run(), resolve, reject)();
});
