import { readFileSync } from 'node:fs';
import { defineConfig } from 'vitepress';

/** The version of the program, which serves this guide. */
const version = /^version = "(.*)"$/m.exec(
  readFileSync(new URL('../../../Cargo.toml', import.meta.url), 'utf8'),
)?.[1];

// The program serves the built site at /docs; it asks nothing of any other host.
export default defineConfig({
  title: 'Tidings',
  description: 'Real-time messaging and call signaling on your own server',
  base: '/docs/',
  lang: 'en-GB',
  outDir: './dist',
  cacheDir: './node_modules/.cache/vitepress',
  srcExclude: ['sample/**', 'README.md'],
  // The server finds quick-start.html for /docs/quick-start.
  cleanUrls: true,
  // Pages are addressed as they lie in the folder; a link that leads nowhere fails the build.
  ignoreDeadLinks: [
    /^https?:\/\/(127\.0\.0\.1|localhost)/,
    /^\/(demo|docs|sdk)\b/,
    /^\/reference\b/,
  ],
  head: [['link', { rel: 'icon', type: 'image/svg+xml', href: '/docs/mark.svg' }]],
  markdown: { theme: { light: 'github-light-high-contrast', dark: 'github-dark-high-contrast' } },
  themeConfig: {
    logo: '/mark.svg',
    search: { provider: 'local' },
    outline: [2, 3],
    docFooter: { prev: 'Previous page', next: 'Next page' },
    notFound: {
      title: 'Page not found',
      quote:
        'There is no page at this address. It may have been renamed: search for a word of it, or start from the beginning.',
      linkText: 'To the first page of the guide',
      linkLabel: 'To the first page of the guide',
    },
    nav: [
      { text: 'Quick start', link: '/quick-start' },
      { text: 'Examples', link: '/examples' },
      { text: 'From RTM 1.x', link: '/from-rtm' },
      { text: 'Running it', link: '/running' },
      { text: `Version ${version}`, link: '/upgrading' },
    ],
    sidebar: [
      {
        text: 'Start',
        items: [
          { text: 'Quick start', link: '/quick-start' },
          { text: 'Examples', link: '/examples' },
          { text: 'Concepts', link: '/concepts' },
          { text: 'Questions and answers', link: '/faq' },
          { text: 'Compared with other systems', link: '/comparison' },
        ],
      },
      {
        text: 'Migrate',
        items: [
          { text: 'From RTM 1.x', link: '/from-rtm' },
          { text: 'From legacy Signaling', link: '/from-signaling' },
        ],
      },
      {
        text: 'Build',
        items: [
          { text: 'JavaScript', link: '/javascript' },
          { text: 'Front ends', link: '/front-end' },
          // Not a page of VitePress: the browser loads it anew.
          { text: 'JavaScript reference', link: '/reference/index.html', target: '_self' },
          { text: 'Rust', link: '/rust' },
          { text: 'Your backend', link: '/backend' },
          { text: 'Webhooks', link: '/webhooks' },
          { text: 'Tokens', link: '/tokens' },
          { text: 'JWT', link: '/jwt' },
          { text: 'Permissions', link: '/permissions' },
          { text: 'The wire protocol', link: '/protocol' },
        ],
      },
      {
        text: 'Run',
        items: [
          { text: 'Running it', link: '/running' },
          { text: 'More than one machine', link: '/more-machines' },
          { text: 'Capacity and cost', link: '/capacity' },
          { text: 'Metrics and alerts', link: '/metrics' },
          { text: 'The console', link: '/console' },
          { text: 'Backups', link: '/backups' },
          { text: 'Logs', link: '/logs' },
          { text: 'The security log', link: '/security-log' },
          { text: 'Find one message', link: '/tracing' },
          { text: 'Upgrading', link: '/upgrading' },
          { text: 'Security', link: '/security' },
          { text: 'Runbooks', link: '/runbooks' },
          { text: 'Troubleshooting', link: '/trouble' },
        ],
      },
      {
        text: 'Reference',
        items: [
          { text: 'Commands', link: '/commands' },
          { text: 'Settings', link: '/settings' },
          { text: 'Errors', link: '/errors' },
          { text: 'Limits', link: '/limits' },
        ],
      },
      {
        text: 'Specification',
        items: [
          { text: 'The delivery contract', link: '/spec/contract' },
          { text: 'RTM 1.x', link: '/spec/rtm' },
          { text: 'Legacy Signaling', link: '/spec/signaling' },
          { text: 'Token formats', link: '/spec/tokens' },
          { text: 'Server-side HTTP API (planned)', link: '/spec/rest' },
          { text: 'Cluster (storage planned)', link: '/spec/cluster' },
          { text: 'RTM 2.x (later)', link: '/spec/rtm2' },
        ],
      },
    ],
  },
});
