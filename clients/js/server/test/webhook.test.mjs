/** Signatures of webhooks: the vectors of the specification, and what goes wrong in practice. */
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { checkSignature, verifyWebhook, WebhookError } from '../dist/index.mjs';

const { signed, verified } = JSON.parse(
  readFileSync(new URL('../../../../spec/webhook-vectors.json', import.meta.url), 'utf8'),
);
const VERDICTS = { form: 'malformed_signature', time: 'too_old', mismatch: 'bad_signature' };
const fails = (code) => (error) =>
  error instanceof WebhookError && error.code === code && error.hint !== '';

for (const { why, secret, header, body, now, verdict } of verified) {
  test(`vector: ${why}`, () => {
    const check = () =>
      checkSignature(body, { 'Tidings-Signature': header }, { secrets: secret, nowMs: now * 1000 });
    if (verdict === 'good') check();
    else assert.throws(check, fails(VERDICTS[verdict]));
  });
}

for (const { secret, next_secret, t, body, headers } of signed) {
  test(`vector: the headers for a body with ${secret.slice(0, 10)}`, () => {
    const nowMs = t * 1000;
    for (const secrets of [secret, next_secret, ['another', secret]].filter(Boolean)) {
      checkSignature(body, headers, { secrets, nowMs });
      // As a body that has not been read, and headers as frameworks give them.
      checkSignature(Buffer.from(body), new Headers(headers), { secrets, nowMs });
    }
    assert.throws(
      () => checkSignature(body, headers, { secrets: 'another', nowMs }),
      fails('bad_signature'),
    );
    // Behind a proxy that passes on only what the hosted service has; time is the body's.
    const { 'tidings-signature': _, ...hosted } = headers;
    for (const secrets of [secret, next_secret].filter(Boolean))
      checkSignature(body, hosted, { secrets, toleranceS: 0 });
    assert.throws(() => checkSignature(body, hosted, { secrets: secret }), fails('too_old'));
  });
}

const BODY = JSON.stringify({
  noticeId: 'n1',
  type: 'user.login',
  notifyMs: 1_700_000_000_123,
  payload: { account: 'alice' },
});
const NOW = { nowMs: 1_700_000_000_999 };
const hmac = (secret, text) => createHmac('sha256', secret).update(text).digest('hex');
const stamp = (body, secret = 'whsec', t = 1_700_000_000) => ({
  'tidings-signature': `t=${t},v1=${hmac(secret, `${t}.${body}`)}`,
});

test('a genuine event is read', () => {
  assert.equal(
    verifyWebhook(BODY, stamp(BODY), { secrets: 'whsec', ...NOW }).payload.account,
    'alice',
  );
  const node = { host: 'x', 'tidings-signature': [stamp(BODY)['tidings-signature']] };
  assert.equal(
    verifyWebhook(Buffer.from(BODY), node, { secrets: ['new', 'whsec'], ...NOW }).noticeId,
    'n1',
  );
});

test('what is not genuine is refused', () => {
  const verify =
    (body, headers, options = {}) =>
    () =>
      verifyWebhook(body, headers, { secrets: 'whsec', ...NOW, ...options });
  assert.throws(verify(BODY, {}), fails('no_signature'));
  assert.throws(verify(`${BODY} `, stamp(BODY)), fails('bad_signature'));
  assert.throws(
    verify(JSON.stringify(JSON.parse(BODY), null, 2), stamp(BODY)),
    fails('bad_signature'),
  );
  assert.throws(verify(BODY, stamp(BODY), { secrets: '' }), fails('no_secret'));
  assert.throws(verify(BODY, stamp(BODY), { secrets: [] }), fails('no_secret'));
  assert.throws(verify('no json', stamp('no json')), fails('bad_body'));
  assert.throws(verify('[1]'.slice(1, 2), stamp('1')), fails('bad_body'));
  for (const header of [
    '',
    't=1',
    'v1=00',
    't=,v1=00',
    't=1,v1=0',
    't=-1,v1=00',
    't=1e3,v1=00',
    't=1 v1=00',
    'nonsense',
    `t=${'9'.repeat(40)},v1=00`,
  ]) {
    assert.throws(
      verify(BODY, { 'tidings-signature': header }),
      fails('malformed_signature'),
      header,
    );
  }
  // A signature that was cut, or has none of the signature's form, fits nothing, also an empty one.
  const [head, hex] = stamp(BODY)['tidings-signature'].split('v1=');
  for (const cut of ['', hex.slice(0, 62), `${hex}00`]) {
    assert.throws(
      verify(BODY, { 'tidings-signature': `${head}v1=${cut}` }),
      fails('bad_signature'),
      cut,
    );
  }
  // The timed header counts where it is there: without its time, an old request could be sent
  // again.
  const old = stamp(BODY, 'whsec', 1_600_000_000);
  const both = {
    ...old,
    'agora-signature-v2': createHmac('sha256', 'whsec').update(BODY).digest('hex'),
  };
  assert.throws(verify(BODY, both), fails('too_old'));
});
