/** Tokens that are made here: the fields of the specification's example. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { inflateSync } from 'node:zlib';
import { buildToken, TidingsError } from '../dist/index.mjs';

const { vectors } = JSON.parse(
  readFileSync(new URL('../../../../server/token/tests/vectors.json', import.meta.url), 'utf8'),
);
const {
  app_id: app,
  app_certificate: certificate,
  user_id: user,
  now,
  token: published,
} = vectors.find(({ name }) => name === '007_ok_rtm');
// Compressors differ, and the bytes below them do not.
const bytesOf = (token) => inflateSync(Buffer.from(token.slice(3), 'base64'));

test('a token has the bytes that the format asks for', () => {
  const token = buildToken({ app, certificate, user, ttl: 3600, issuedAt: now, salt: 0x00bc614f });
  assert.match(token, /^007eJ/);
  assert.deepEqual(bytesOf(token), bytesOf(published));
  const [one, other] = [0, 1].map(() => buildToken({ app, certificate, user }));
  assert.notEqual(one, other, 'the salt is random');
});

test('wrong fields are told', () => {
  for (const wrong of [
    { app: 'short' },
    { certificate: '' },
    { user: '' },
    { user: 'u'.repeat(70_000) },
    { ttl: 0 },
    { ttl: 1.5 },
    { ttl: 86_401 },
  ]) {
    const make = () => buildToken({ app, certificate, user, ...wrong });
    assert.throws(
      make,
      (error) =>
        error instanceof TidingsError && error.code === 'invalid_argument' && error.hint !== '',
    );
  }
});
