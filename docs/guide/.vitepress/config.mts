import { defineConfig } from 'vitepress';

// The program serves the built site at /docs; it asks nothing of any other host.
export default defineConfig({
  title: 'Tidings',
  description: 'Real-time messaging and call signaling on your own server',
  base: '/docs/',
  lang: 'en-GB',
  outDir: './dist',
  cacheDir: './node_modules/.cache/vitepress',
  srcExclude: ['sample/**', 'README.md'],
  // Pages are addressed as they lie in the folder; a link that leads nowhere fails the build.
  ignoreDeadLinks: [/^https?:\/\/(127\.0\.0\.1|localhost)/, /^\/(demo|sdk)\b/],
  head: [['link', { rel: 'icon', type: 'image/svg+xml', href: '/docs/mark.svg' }]],
  markdown: { theme: { light: 'github-light-high-contrast', dark: 'github-dark-high-contrast' } },
  themeConfig: {
    logo: '/mark.svg',
    search: { provider: 'local' },
    outline: [2, 3],
    docFooter: { prev: 'Before', next: 'Next' },
    nav: [
      { text: 'Quick start', link: '/quick-start' },
      { text: 'From RTM 1.x', link: '/from-rtm' },
      { text: 'From Signaling', link: '/from-signaling' },
      { text: 'Running it', link: '/running' },
    ],
    sidebar: [
      {
        text: 'Start',
        items: [
          { text: 'Quick start', link: '/quick-start' },
          { text: 'Concepts', link: '/concepts' },
        ],
      },
      {
        text: 'The way over',
        items: [
          { text: 'From RTM 1.x', link: '/from-rtm' },
          { text: 'From legacy Signaling', link: '/from-signaling' },
        ],
      },
      {
        text: 'Build',
        items: [
          { text: 'JavaScript', link: '/javascript' },
          { text: 'Rust', link: '/rust' },
          { text: 'Tokens', link: '/tokens' },
          { text: 'Permissions', link: '/permissions' },
          { text: 'The wire protocol', link: '/protocol' },
        ],
      },
      {
        text: 'Run',
        items: [
          { text: 'Running it', link: '/running' },
          { text: 'Security', link: '/security' },
          { text: 'When something is wrong', link: '/trouble' },
        ],
      },
      {
        text: 'Look up',
        items: [
          { text: 'Settings', link: '/settings' },
          { text: 'Errors', link: '/errors' },
          { text: 'Limits', link: '/limits' },
        ],
      },
    ],
  },
});
