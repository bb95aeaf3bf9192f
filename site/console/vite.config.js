import { defineConfig } from 'vite';

export default defineConfig({
  // Relative, so that the page works wherever the server has it, also below a proxy's path.
  base: './',
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
  build: {
    target: 'es2022',
    assetsInlineLimit: 0,
    // The policy of the page permits no inline script, and every browser of its target needs none.
    modulePreload: false,
  },
  server: { proxy: { '/api': 'http://127.0.0.1:7400' } },
});
