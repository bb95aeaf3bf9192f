const AgoraRTM = require('@tidings/rtm');

import('../shared/converse.mjs')
  .then(({ converse }) => converse(AgoraRTM, process.env.ENDPOINT, 'commonjs'))
  .then((result) => console.log(JSON.stringify(result)));
