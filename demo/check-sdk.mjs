// The page is built with the project's own SDK, which npm links but does not build.
import { existsSync } from 'node:fs';

const entry = new URL('../sdk/js/rtm/dist/index.mjs', import.meta.url);
if (!existsSync(entry)) {
  console.error(
    'the SDK has not been built: there is no sdk/js/rtm/dist/index.mjs\n' +
      'hint: Run `npm ci && npm run build` in sdk/js/rtm first.',
  );
  process.exit(1);
}
