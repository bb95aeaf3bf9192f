/**
 * What each call sends, and what it makes of the answer: by the table that the other languages
 * follow, too.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { ApiError } from '../dist/index.mjs';
import { APP, Fake, json, text } from './fake.mjs';

const { calls, refusals } = JSON.parse(
  readFileSync(new URL('../../../server-calls.json', import.meta.url), 'utf8'),
);
const camel = (name) => name.replace(/_(.)/g, (_, letter) => letter.toUpperCase());
const own = (value) => (value?.bytes === undefined ? value : Buffer.from(value.bytes, 'base64'));
const plain = (value) => (value instanceof Map ? Object.fromEntries(value) : value);

for (const { call, args = [], options, request, answer, gives, fails } of calls) {
  test(`${call} ${JSON.stringify(args)}`, async (context) => {
    const fake = await Fake.start(context, answer === undefined ? json(204) : json(200, answer));
    const words = [...args.map(own), ...(options === undefined ? [] : [options])];
    const asked = fake.client()[camel(call)](...words);
    if (fails) {
      await assert.rejects(asked, (error) => error instanceof ApiError && has(error, fails));
    } else {
      const given = plain(await asked);
      if (answer !== undefined) assert.deepEqual(given, gives ?? answer);
    }
    const [sent] = fake.requests;
    const url = new URL(sent.url, fake.endpoint);
    assert.equal(sent.method, request.method);
    assert.equal(url.pathname, `/api/v1/apps/${APP}${request.path}`);
    assert.deepEqual(Object.fromEntries(url.searchParams), request.query ?? {});
    assert.deepEqual(sent.body === '' ? undefined : JSON.parse(sent.body), request.body);
    assert.equal(sent.headers.authorization, 'Bearer tdk_id_secret');
    assert.equal(
      sent.headers['content-type'],
      request.body === undefined ? undefined : 'application/json',
    );
    assert.equal(
      sent.headers['idempotency-key'] !== undefined,
      request.method === 'POST',
      'posts have keys',
    );
  });
}

for (const { why, answer, fails } of refusals) {
  test(`refused: ${why}`, async (context) => {
    const told =
      answer.text === undefined
        ? json(answer.status, answer.body, answer.headers)
        : text(answer.status, answer.text, answer.headers);
    const fake = await Fake.start(context, told);
    await assert.rejects(
      fake.client().bans(),
      (error) => error instanceof ApiError && has(error, fails),
    );
    assert.equal(fake.requests.length, 1, 'it was not asked again');
  });
}

function has(error, fields) {
  for (const [name, value] of Object.entries(fields)) assert.equal(error[name], value, name);
  return true;
}
