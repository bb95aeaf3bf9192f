import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));

// The core is source only: it has no packages of its own, and its tests drive it by the classes of this package.
export default defineConfig({
  resolve: { alias: { vitest: here('node_modules/vitest') } },
  test: { include: ['test/**/*.test.ts', '../core/test/**/*.test.ts'] },
});
