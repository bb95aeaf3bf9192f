// How the guide reads: rows that stand alone, and words of the field instead of words of our own.

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { guide } from './steps.mjs';

const textOf = (page) => readFileSync(join(guide, page), 'utf8');
/** All of them, also the one that the program makes of its own help texts. */
const pages = readdirSync(guide).filter((name) => name.endsWith('.md'));

/** What a search would not find, with what people search for. */
const WORDS = [
  [/\bon line\b/i, 'online'],
  [/\boff line\b/i, 'offline'],
  [/\bway over\b/i, 'migrate'],
  [/\bhurts nobody\b/i, 'does not affect others'],
  [/\bpass(es)? WebSockets on\b/i, 'forward WebSocket upgrades'],
  [/\basks? (nobody )?for (no|a) token\b/i, 'requires a token'],
  [/\b(is|are|was|were) sent away\b/i, 'is disconnected'],
  [
    /\btold to come (again|back)\b/i,
    'is disconnected with a retry hint, or refused with a time to retry',
  ],
  [/\bto the world\b/i, 'to production'],
];

test('the guide uses the words that people search for', () => {
  const found = [];
  for (const page of pages) {
    textOf(page)
      .split('\n')
      .forEach((line, index) => {
        for (const [odd, plain] of WORDS)
          if (odd.test(line))
            found.push(`${page}:${index + 1}: ${odd.exec(line)[0]}; say: ${plain}`);
      });
  }
  assert.deepEqual(found, []);
});

test('each row of the limits says what it is without the row above, as rows are sorted by name', () => {
  const rows = [...textOf('limits.md').matchAll(/^\| `(\w+)` \| [\d,]+ \| (.*) \|$/gm)];
  assert.ok(rows.length > 60, `${rows.length} rows`);
  const leaning = rows.filter(
    ([, , text]) => !/^[A-Z]/.test(text) || /^(The same|Bytes of them|And )|…/.test(text),
  );
  assert.deepEqual(
    leaning.map(([, name, text]) => `${name}: ${text}`),
    [],
  );
});
