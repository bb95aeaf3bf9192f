import { readdirSync } from 'node:fs';
import { defineConfig } from 'vite';

/** The built page loads nothing from anywhere else, and the browser is told so. */
const POLICY =
  "default-src 'self'; img-src 'self' data: blob:; base-uri 'none'; form-action 'self'";

/** Every page of this folder. */
const PAGES = readdirSync(import.meta.dirname).filter((name) => name.endsWith('.html'));

export default defineConfig({
  // Relative, so that the page works wherever the server has it: at /demo/ of whatever host.
  base: './',
  build: { target: 'es2022', assetsInlineLimit: 0, rolldownOptions: { input: PAGES } },
  server: { proxy: { '/rtm': { target: 'ws://127.0.0.1:7400', ws: true } } },
  plugins: [
    {
      name: 'content-security-policy',
      apply: 'build',
      transformIndexHtml: () => [
        {
          tag: 'meta',
          attrs: { 'http-equiv': 'Content-Security-Policy', content: POLICY },
          injectTo: 'head-prepend',
        },
      ],
    },
  ],
});
