// The page is built with the project's own SDKs, which npm links but does not build.
import { existsSync } from 'node:fs';

for (const sdk of ['rtm', 'signaling']) {
  const entry = `clients/js/${sdk}/dist/index.mjs`;
  if (existsSync(new URL(`../../${entry}`, import.meta.url))) continue;
  console.error(
    `the SDK has not been built: there is no ${entry}\n` +
      `hint: Run \`npm ci && npm run build\` in clients/js/${sdk} first.`,
  );
  process.exit(1);
}
