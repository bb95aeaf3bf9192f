// Writes spec/jwt-vectors.json: JSON Web Tokens, good and bad, made with Node's own crypto (OpenSSL), which shares no
// code with the server. Each run makes other keys; the cases and their results stay the same.
//
//   node server/token/tests/make_jwt_vectors.mjs

import { createHmac, generateKeyPairSync, sign } from 'node:crypto';
import { writeFileSync } from 'node:fs';

const APP = '0123456789abcdef0123456789abcdef';
const NOW = 1_700_000_000;
const SECRET = 'a secret of the backend, with 41 bytes in';
const OTHER_SECRET = 'the previous secret of the very same backend';

const pair = (kind, options) => generateKeyPairSync(kind, options);
const keys = {
  rsa: pair('rsa', { modulusLength: 2048 }),
  rsaSmall: pair('rsa', { modulusLength: 1024 }),
  rsaOther: pair('rsa', { modulusLength: 2048 }),
  ec: pair('ec', { namedCurve: 'P-256' }),
  ec384: pair('ec', { namedCurve: 'P-384' }),
  ed: pair('ed25519'),
};
const pem = (name) => keys[name].publicKey.export({ type: 'spki', format: 'pem' });
const jwk = (name, more = {}) => ({ ...keys[name].publicKey.export({ format: 'jwk' }), ...more });
const jwks = (...members) => JSON.stringify({ keys: members });

const encode = (value) => Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');
const signers = {
  HS256: (text, secret = SECRET) => createHmac('sha256', secret).update(text).digest(),
  RS256: (text, name = 'rsa') => sign('sha256', Buffer.from(text), keys[name].privateKey),
  ES256: (text, name = 'ec') =>
    sign('sha256', Buffer.from(text), { key: keys[name].privateKey, dsaEncoding: 'ieee-p1363' }),
  EdDSA: (text, name = 'ed') => sign(null, Buffer.from(text), keys[name].privateKey),
};

const claims = { sub: 'alice', iat: NOW - 60, exp: NOW + 3600 };
/** Header and claims may be texts, for bytes that JSON.stringify would not write. */
function token(header, body = claims, key = undefined, signer = header.alg) {
  const text = `${encode(header)}.${encode(body)}`;
  return `${text}.${signers[signer](text, key).toString('base64url')}`;
}
const hs = (body, header = {}) => token({ alg: 'HS256', typ: 'JWT', ...header }, body);
const without = (name) => Object.fromEntries(Object.entries(claims).filter(([key]) => key !== name));

const secrets = { secrets: [SECRET] };
const all = {
  secrets: [SECRET],
  jwks: jwks(jwk('rsa', { kid: 'rsa-1', alg: 'RS256', use: 'sig' }), jwk('ec', { kid: 'ec-1' }), jwk('ed', { kid: 'ed-1' })),
};
const END = NOW + 3600 + 30;
const vectors = [];
const add = (name, expect, text, more = {}) =>
  vectors.push({ name, app_id: APP, user: 'alice', now: NOW, keys: secrets, rules: {}, ...more, token: text, expect });
const good = (name, text, more = {}) => add(name, 'ok', text, { expires_at: END, ...more });

// Good ones.
good('hs256', hs());
good('hs256_without_typ', token({ alg: 'HS256' }));
good('hs256_previous_secret', token({ alg: 'HS256' }, claims, OTHER_SECRET), { keys: { secrets: [SECRET, OTHER_SECRET] } });
good('hs256_kid_of_nobody_with_a_plain_secret', hs(claims, { kid: 'anything' }));
good('hs256_spaces_in_json', token('{ "typ" : "JWT",\r\n "alg" : "HS256" }', claims, SECRET, 'HS256'));
for (const [alg, name, kid] of [['RS256', 'rsa', 'rsa-1'], ['ES256', 'ec', 'ec-1'], ['EdDSA', 'ed', 'ed-1']]) {
  const low = alg.toLowerCase();
  good(`${low}_by_kid`, token({ alg, kid }), { keys: all });
  good(`${low}_without_kid`, token({ alg }), { keys: all });
  good(`${low}_pem`, token({ alg }), { keys: { pem: pem(name) } });
  good(`${low}_pem_and_a_kid`, token({ alg, kid: 'x' }), { keys: { pem: pem(name) } });
}
good('ed25519_by_its_newer_name', token({ alg: 'Ed25519', kid: 'ed-1' }, claims, 'ed', 'EdDSA'), { keys: all });
good('pem_of_two_keys', token({ alg: 'ES256' }), { keys: { pem: pem('rsa') + pem('ec') } });
good('jwks_with_kinds_that_nobody_knows', token({ alg: 'ES256', kid: 'ec-1' }), {
  keys: { jwks: jwks({ kty: 'PQ', kid: 'a' }, jwk('ec384', { kid: 'b' }), jwk('rsa', { kid: 'c', use: 'enc' }), 5, jwk('ec', { kid: 'ec-1' })) },
});
good('jwks_same_kid_twice', token({ alg: 'RS256', kid: 'k' }), {
  keys: { jwks: jwks(jwk('rsaOther', { kid: 'k' }), jwk('rsa', { kid: 'k' })) },
});
good('at_jwt', hs(claims, { typ: 'at+jwt' }));
good('typ_in_full', hs(claims, { typ: 'application/JWT' }));
good('aud_is_the_app', hs({ ...claims, aud: APP }));
good('aud_list', hs({ ...claims, aud: ['other', 'chat'] }), { rules: { audiences: ['chat', 'talk'] } });
good('iss', hs({ ...claims, iss: 'https://login.example.org' }), { rules: { issuers: ['https://login.example.org'] } });
good('iss_that_nobody_asks_for', hs({ ...claims, iss: 'me' }));
good('app', hs({ ...claims, app: APP }), { rules: { require_app: true } });
good('app_list', hs({ ...claims, app: ['other', APP] }));
good('app_claim_of_another_name', hs({ ...claims, app: 'mobile', 'https://example.org/app': APP }), {
  rules: { app_claim: 'https://example.org/app', require_app: true },
});
good('app_claim_switched_off', hs({ ...claims, app: 'mobile' }), { rules: { app_claim: '' } });
good('user_claim', hs({ ...claims, sub: 'x', uid: 'alice' }), { rules: { user_claim: 'uid' } });
good('user_claim_by_path', hs({ ...claims, sub: 'x', chat: { user: 'alice' } }), { rules: { user_claim: 'chat.user' } });
good('user_claim_a_number', hs({ ...claims, uid: 1234567 }), { rules: { user_claim: 'uid' }, user: '1234567' });
good('exp_with_a_fraction', hs({ ...claims, exp: NOW + 3600.9 }));
good('exp_within_leeway', hs({ ...claims, exp: NOW - 29 }), { expires_at: NOW + 1 });
good('nbf_within_leeway', hs({ ...claims, nbf: NOW + 30 }));
good('iat_within_leeway', hs({ ...claims, iat: NOW + 30 }));
good('without_iat', hs(without('iat')));
good('long_is_capped', hs({ ...claims, exp: NOW + 10 * 86_400 }), { expires_at: NOW - 60 + 86_400 + 30 });
good('long_where_allowed', hs({ ...claims, exp: NOW + 864_000 }), { rules: { lifetime_max_s: 0 }, expires_at: NOW + 864_030 });
good('rights', hs({ ...claims, tidings: { rights: { read_channels: ['lobby', 'team-*'], write_users: ['bob'] } } }), {
  rights: 'read message channel "lobby", read message channel "team-*", write user "bob"',
});
good('rights_none', hs({ ...claims, tidings: { rights: {} } }), { rights: 'nothing' });
good('rights_by_another_claim', hs({ ...claims, acl: { write_channels: ['*'] } }), {
  rules: { rights_claim: 'acl' },
  rights: 'write message channel "*"',
});
good('rights_of_a_claim_that_nobody_asks_for', hs({ ...claims, rights: { read_channels: [] } }));
good('jti', hs({ ...claims, jti: 'one' }));

// The algorithm is the key's.
const bare = (header) => `${encode(header)}.${encode(claims)}`;
add('alg_none', 'malformed', `${bare({ alg: 'none' })}.`);
add('alg_none_signed', 'malformed', token({ alg: 'none' }, claims, SECRET, 'HS256'));
add('alg_none_in_capitals', 'malformed', `${bare({ alg: 'NONE' })}.`);
add('alg_missing', 'malformed', token({ typ: 'JWT' }, claims, SECRET, 'HS256'));
add('alg_a_number', 'malformed', token({ alg: 256 }, claims, SECRET, 'HS256'));
add('alg_hs512', 'malformed', token({ alg: 'HS512' }, claims, SECRET, 'HS256'));
add('alg_ps256', 'malformed', token({ alg: 'PS256' }, claims, 'rsa', 'RS256'), { keys: { pem: pem('rsa') } });
add('alg_in_small_letters', 'malformed', token({ alg: 'hs256' }, claims, SECRET, 'HS256'));
add('confusion_public_key_as_secret', 'unknown_key', token({ alg: 'HS256' }, claims, pem('rsa')), { keys: { pem: pem('rsa') } });
add('confusion_public_key_as_secret_beside_a_secret', 'invalid_signature', token({ alg: 'HS256', kid: 'rsa-1' }, claims, pem('rsa')), { keys: all });
add('confusion_raw_point_as_secret', 'invalid_signature', token({ alg: 'HS256', kid: 'ed-1' }, claims, Buffer.from(jwk('ed').x, 'base64url')), { keys: all });
add('confusion_rsa_signature_named_es256', 'invalid_signature', token({ alg: 'ES256', kid: 'ec-1' }, claims, 'rsa', 'RS256'), { keys: all });
add('confusion_kid_of_another_algorithm', 'unknown_key', token({ alg: 'RS256', kid: 'ec-1' }), { keys: all });
add('empty_signature', 'invalid_signature', `${bare({ alg: 'HS256' })}.`);
add('own_key_in_the_header', 'invalid_signature', token({ alg: 'RS256', jwk: jwk('rsaOther'), kid: 'rsa-1' }, claims, 'rsaOther'), { keys: all });
add('own_key_by_url', 'unknown_key', token({ alg: 'RS256', jku: 'https://evil.example/keys', kid: 'evil' }, claims, 'rsaOther'), { keys: all });
add('kid_of_nobody', 'unknown_key', token({ alg: 'RS256', kid: '../../etc/passwd' }), { keys: all });
add('kid_a_number', 'malformed', token({ alg: 'RS256', kid: 1 }), { keys: all });
add('kid_too_long', 'malformed', token({ alg: 'RS256', kid: 'k'.repeat(257) }), { keys: all });
add('many_keys_and_no_kid', 'unknown_key', token({ alg: 'RS256' }), {
  keys: { jwks: jwks(...[1, 2, 3, 4, 5].map((n) => jwk('rsa', { kid: `k${n}` }))) },
});
add('no_keys_at_all', 'unknown_key', token({ alg: 'RS256', kid: 'rsa-1' }), { keys: {} });
add('wrong_secret', 'invalid_signature', token({ alg: 'HS256' }, claims, OTHER_SECRET));
add('wrong_rsa_key', 'invalid_signature', token({ alg: 'RS256' }, claims, 'rsaOther'), { keys: { pem: pem('rsa') } });

// Signatures.
const flip = (text, at) => {
  const parts = text.split('.');
  const bytes = Buffer.from(parts[2], 'base64url');
  bytes[at] ^= 1;
  return `${parts[0]}.${parts[1]}.${bytes.toString('base64url')}`;
};
const signed = { HS256: hs(), RS256: token({ alg: 'RS256' }), ES256: token({ alg: 'ES256' }), EdDSA: token({ alg: 'EdDSA' }) };
for (const [alg, text] of Object.entries(signed)) {
  const low = alg.toLowerCase();
  const [header, body, signature] = text.split('.');
  add(`${low}_bit_flipped`, 'invalid_signature', flip(text, 5), { keys: all });
  add(`${low}_cut`, 'invalid_signature', `${header}.${body}.${signature.slice(0, 40)}`, { keys: all });
  const other = encode({ ...claims, sub: 'bob' });
  add(`${low}_other_claims`, 'invalid_signature', `${header}.${other}.${signature}`, { keys: all, user: 'bob' });
}
const es = bare({ alg: 'ES256' });
const der = sign('sha256', Buffer.from(es), keys.ec.privateKey).toString('base64url');
add('es256_der_signature', 'invalid_signature', `${es}.${der}`, { keys: all });
add('es256_zeros', 'invalid_signature', `${es}.${Buffer.alloc(64).toString('base64url')}`, { keys: all });

// Form.
const whole = hs();
const [head, body, tail] = whole.split('.');
add('two_parts', 'malformed', `${head}.${body}`);
add('four_parts', 'malformed', `${whole}.x`);
add('five_parts_encrypted', 'malformed', `${head}.x.x.x.x`);
add('dots_only', 'malformed', '..');
add('padded', 'malformed', `${head}.${body}.${tail}=`);
add('standard_alphabet', 'malformed', `${encode({ alg: 'HS256' })}.${body}.+/${tail.slice(2)}`);
add('bits_after_the_end', 'malformed', `${head}.${body}.${tail.slice(0, -1)}${tail.at(-1) === 'B' ? 'D' : 'B'}`);
add('space_before', 'malformed', ` ${whole}`);
add('newline_after', 'malformed', `${whole}\n`);
add('bearer', 'malformed', `Bearer ${whole}`);
add('claims_empty', 'malformed', token({ alg: 'HS256' }, ''));
add('claims_a_list', 'malformed', token({ alg: 'HS256' }, [claims]));
add('claims_no_json', 'malformed', token({ alg: 'HS256' }, '{"sub":"alice",}'));
const bytes = `${encode({ alg: 'HS256' })}.${Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]).toString('base64url')}`;
add('claims_no_utf8', 'malformed', `${bytes}.${signers.HS256(bytes).toString('base64url')}`);
add('claims_deep', 'malformed', token({ alg: 'HS256' }, '{"a":'.repeat(300) + '1' + '}'.repeat(300)));
add('sub_twice', 'malformed', token({ alg: 'HS256' }, `{"sub":"alice","sub":"bob","exp":${NOW + 60}}`));
add('sub_twice_by_escape', 'malformed', token({ alg: 'HS256' }, `{"sub":"alice","\\u0073ub":"bob","exp":${NOW + 60}}`));
add('twice_inside', 'malformed', token({ alg: 'HS256' }, `{"sub":"alice","exp":${NOW + 60},"a":[{"b":1,"b":2}]}`));
add('alg_twice', 'malformed', token('{"alg":"none","alg":"HS256"}', claims, SECRET, 'HS256'));
add('crit', 'malformed', hs(claims, { crit: ['exp'], exp: 1 }));
add('crit_empty', 'malformed', hs(claims, { crit: [] }));
add('b64', 'malformed', hs(claims, { b64: false }));
add('zip', 'malformed', hs(claims, { zip: 'DEF' }));
add('nested', 'malformed', hs(claims, { cty: 'JWT' }));
add('typ_of_another_kind', 'malformed', hs(claims, { typ: 'logout+jwt' }));
add('typ_a_number', 'malformed', hs(claims, { typ: 1 }));
add('too_long', 'malformed', hs({ ...claims, a: 'a'.repeat(4000) }));

// Claims.
const claim = (name, expect, more, rest = {}) => add(name, expect, hs({ ...claims, ...more }), rest);
add('exp_missing', 'malformed', hs(without('exp')));
claim('exp_a_text', 'malformed', { exp: `${NOW + 60}` });
claim('exp_null', 'malformed', { exp: null });
claim('exp_before_1970', 'malformed', { exp: -1 });
add('exp_beyond_all_calendars', 'malformed', token({ alg: 'HS256' }, `{"sub":"alice","exp":1e300}`));
claim('nbf_a_text', 'malformed', { nbf: 'now' });
claim('iat_true', 'malformed', { iat: true });
claim('expired', 'expired', { exp: NOW - 30 }, { expires_at: NOW });
claim('expired_by_its_cap', 'expired', { iat: NOW - 90_000, exp: NOW + 60 }, { expires_at: NOW - 90_000 + 86_430 });
claim('not_yet', 'not_yet_valid', { nbf: NOW + 31 });
claim('issued_tomorrow', 'not_yet_valid', { iat: NOW + 86_400, exp: NOW + 90_000 });
add('no_iat_and_too_long', 'malformed', hs({ ...without('iat'), exp: NOW + 86_401 }));
claim('wrong_user', 'wrong_user', { sub: 'bob' });
claim('wrong_user_by_letter_case', 'wrong_user', { sub: 'Alice' });
add('user_missing', 'wrong_user', hs(without('sub')));
claim('user_empty', 'wrong_user', { sub: '' }, { user: '' });
claim('user_a_list', 'malformed', { sub: ['alice', 'bob'] });
claim('user_a_fraction', 'malformed', { sub: 1.5 }, { user: '1.5' });
claim('app_of_another', 'wrong_claim', { app: APP.replace('0', 'f') });
claim('app_empty_list', 'wrong_claim', { app: [] });
claim('app_a_number', 'malformed', { app: 5 });
claim('app_missing', 'wrong_claim', {}, { rules: { require_app: true } });
claim('aud_of_another', 'wrong_claim', { aud: 'somebody' });
claim('aud_of_another_than_listed', 'wrong_claim', { aud: ['somebody'] }, { rules: { audiences: ['chat'] } });
claim('aud_missing', 'wrong_claim', {}, { rules: { audiences: ['chat'] } });
claim('aud_is_the_app_but_others_are_listed', 'wrong_claim', { aud: APP }, { rules: { audiences: ['chat'] } });
claim('aud_of_numbers', 'malformed', { aud: [1] });
claim('iss_of_another', 'wrong_claim', { iss: 'https://evil.example' }, { rules: { issuers: ['https://login.example.org'] } });
claim('iss_longer', 'wrong_claim', { iss: 'https://login.example.org/' }, { rules: { issuers: ['https://login.example.org'] } });
claim('iss_missing', 'wrong_claim', {}, { rules: { issuers: ['https://login.example.org'] } });
claim('rights_a_list', 'malformed', { tidings: { rights: ['*'] } });
claim('rights_null', 'malformed', { tidings: { rights: null } });
claim('rights_of_an_unknown_name', 'malformed', { tidings: { rights: { read_channel: ['lobby'] } } });
claim('rights_of_numbers', 'malformed', { tidings: { rights: { read_channels: [1] } } });

// The examples of RFC 7515 (A.1 to A.3) and RFC 7519 (6.1, and an encrypted one), as published.
const PUBLISHED = 'eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ';
const published = { user: 'joe', now: 1_300_819_300, rules: { user_claim: 'iss', leeway_s: 0 }, expires_at: 1_300_819_380 };
good('rfc7515_a1', `eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.${PUBLISHED}.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk`, {
  ...published,
  keys: { secret_base64url: 'AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow' },
});
good('rfc7515_a2', `eyJhbGciOiJSUzI1NiJ9.${PUBLISHED}.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw`, {
  ...published,
  keys: {
    jwks: jwks({
      kty: 'RSA',
      n: 'ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ',
      e: 'AQAB',
    }),
  },
});
good('rfc7515_a3', `eyJhbGciOiJFUzI1NiJ9.${PUBLISHED}.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q`, {
  ...published,
  keys: {
    jwks: jwks({ kty: 'EC', crv: 'P-256', x: 'f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU', y: 'x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0' }),
  },
});
add('rfc7519_6_1_unsecured', 'malformed', `eyJhbGciOiJub25lIn0.${PUBLISHED}.`, published);
// RFC 8037, A.4 signs a text that is no JSON: its signature is good, its payload is not.
add('rfc8037_a4', 'malformed', 'eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg', {
  keys: { jwks: jwks({ kty: 'OKP', crv: 'Ed25519', x: '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo' }) },
});

// Keys that an app must not have, each with a word of what is told.
const privateJwk = keys.rsa.privateKey.export({ format: 'jwk' });
const refused_keys = [
  ['secret_short', { secrets: ['x'.repeat(31)] }, '31 bytes'],
  ['secret_long', { secrets: ['x'.repeat(1025)] }, '1025 bytes'],
  ['pem_empty', { pem: '' }, 'no block'],
  ['pem_private', { pem: keys.rsa.privateKey.export({ type: 'pkcs8', format: 'pem' }) }, 'private key'],
  ['pem_private_of_old', { pem: keys.rsa.privateKey.export({ type: 'pkcs1', format: 'pem' }) }, 'private key'],
  ['pem_small_rsa', { pem: pem('rsaSmall') }, '1024 bits'],
  ['pem_p384', { pem: pem('ec384') }, 'P-256'],
  ['pem_x25519', { pem: pair('x25519').publicKey.export({ type: 'spki', format: 'pem' }) }, '1.3.101.110'],
  ['pem_cut', { pem: pem('rsa').slice(0, 200) + '\n-----END PUBLIC KEY-----\n' }, 'DER'],
  ['pem_damaged', { pem: '-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n' }, 'DER'],
  ['jwks_no_json', { jwks: '<html>' }, 'no key set'],
  ['jwks_no_keys', { jwks: '{}' }, 'no list'],
  ['jwks_empty', { jwks: jwks() }, 'empty'],
  ['jwks_keys_twice', { jwks: '{"keys":[],"keys":[]}' }, 'twice'],
  ['jwks_secret', { jwks: jwks({ kty: 'oct', k: encode(SECRET), kid: 's' }) }, 'secret'],
  ['jwks_private', { jwks: jwks({ ...privateJwk, kid: 'p' }) }, 'private part'],
  ['jwks_small_rsa', { jwks: jwks(jwk('rsaSmall')) }, '1024 bits'],
  ['jwks_even_exponent', { jwks: jwks(jwk('rsa', { e: encode('\u0002') })) }, 'exponent'],
  ['jwks_exponent_one', { jwks: jwks(jwk('rsa', { e: encode('\u0001') })) }, 'exponent'],
  ['jwks_short_point', { jwks: jwks(jwk('ec', { y: 'AAAA' })) }, 'point'],
  ['jwks_short_ed25519', { jwks: jwks(jwk('ed', { x: 'AAAA' })) }, '3 bytes'],
  ['jwks_other_alg', { jwks: jwks(jwk('rsa', { alg: 'PS256' })) }, 'PS256'],
  ['jwks_not_to_verify', { jwks: jwks(jwk('rsa', { key_ops: ['sign'] })) }, 'key_ops'],
  ['jwks_padded', { jwks: jwks(jwk('ed', { x: `${jwk('ed').x}=` })) }, 'base64url'],
  ['jwks_kid_a_number', { jwks: jwks(jwk('ed', { kid: 7 })) }, 'kid'],
  ['jwks_kid_too_long', { jwks: jwks(jwk('ed', { kid: 'k'.repeat(257) })) }, '256'],
  ['jwks_too_many', { jwks: jwks(...Array.from({ length: 65 }, (_, n) => jwk('ed', { kid: `${n}` }))) }, '65 keys'],
].map(([name, keys, told]) => ({ name, keys, told }));

const file = new URL('../../../spec/jwt-vectors.json', import.meta.url);
writeFileSync(file, `${JSON.stringify({ vectors, refused_keys }, null, 1)}\n`);
console.log(`${vectors.length} tokens and ${refused_keys.length} keys`);
