// Puts the reference of the JavaScript SDK, which TypeDoc makes from the package's typings, into the built guide.
import { cpSync, existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const made = fileURLToPath(new URL('../reference/dist', import.meta.url));
if (!existsSync(made)) {
  console.error(`there is no ${made}; run \`npm ci && npm run build\` in site/reference first`);
  process.exit(1);
}
cpSync(made, fileURLToPath(new URL('dist/reference', import.meta.url)), { recursive: true });
