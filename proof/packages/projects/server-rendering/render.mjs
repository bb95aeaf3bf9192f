import { createElement } from 'react';
import { renderToString } from 'react-dom/server';
import { touched } from './guard.mjs';

// Only what the package does counts.
touched.length = 0;
const before = new Set(process.getActiveResourcesInfo());
const { Inbox } = await import(process.env.COMPONENT);
const ofImport = [...touched];
const html = renderToString(createElement(Inbox, { uid: 'alice' }));
console.log(
  JSON.stringify({
    html,
    ofImport,
    resources: process.getActiveResourcesInfo().filter((name) => !before.has(name)),
  }),
);
