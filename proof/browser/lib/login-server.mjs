/**
 * A login server that speaks OpenID Connect: discovery, keys, authorization code with PKCE, ID tokens. Everybody who
 * comes is let in at once, as `person`; `lie` makes it do one thing wrong.
 */
import { createHash, createHmac, generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';

const encode = (value) =>
  Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');

export class LoginServer {
  /** Its issuer. The name is another site's than 127.0.0.1 is, for a browser. */
  issuer = '';
  clientId = 'tidings console';
  clientSecret = randomBytes(18).toString('base64');
  person = { sub: 'u-1', preferred_username: 'olga', groups: ['ops'] };
  /** What it does wrong: a word of `#idToken` or `#authorize`. */
  lie = '';
  /** Why it has refused to redeem a code. */
  refused = [];
  #keys = generateKeyPairSync('rsa', { modulusLength: 2048 });
  #others = generateKeyPairSync('rsa', { modulusLength: 2048 });
  #codes = new Map();
  #server = createServer((request, response) => this.#answer(request, response));

  static async start() {
    const server = new LoginServer();
    server.#server.listen(0, '127.0.0.1');
    await once(server.#server, 'listening');
    server.issuer = `http://localhost:${server.#server.address().port}/ops`;
    return server;
  }

  async stop() {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }

  async #answer(request, response) {
    const url = new URL(request.url, this.issuer);
    const json = (status, body) => {
      response.writeHead(status, { 'content-type': 'application/json' });
      response.end(JSON.stringify(body));
    };
    switch (url.pathname) {
      case '/ops/.well-known/openid-configuration':
        return json(200, this.#description());
      case '/ops/keys':
        return json(200, { keys: [this.#publicKey()] });
      case '/ops/authorize':
        response.writeHead(302, { location: this.#authorize(url.searchParams) });
        return response.end();
      case '/ops/token': {
        let body = '';
        for await (const piece of request) body += piece;
        return json(...this.#redeem(new URLSearchParams(body), request.headers));
      }
      case '/ops/page':
        // A page of another site, for what such pages try.
        response.writeHead(200, { 'content-type': 'text/html' });
        return response.end('<!doctype html><title>Elsewhere</title>');
      default:
        return json(404, {});
    }
  }

  #description() {
    const at = (path) => `${this.issuer}/${path}`;
    return {
      issuer: this.lie === 'issuer of the description' ? 'http://localhost:1/ops' : this.issuer,
      authorization_endpoint: at('authorize'),
      token_endpoint: at('token'),
      jwks_uri: at('keys'),
      response_types_supported: ['code'],
      subject_types_supported: ['public'],
      id_token_signing_alg_values_supported: ['RS256', 'HS256', 'none'],
    };
  }

  #publicKey() {
    return {
      ...this.#keys.publicKey.export({ format: 'jwk' }),
      kid: 'k1',
      use: 'sig',
      alg: 'RS256',
    };
  }

  #authorize(query) {
    const back = new URL(query.get('redirect_uri'));
    const needed = ['client_id', 'state', 'nonce', 'code_challenge'];
    const missing = needed.filter((name) => !query.get(name));
    if (
      missing.length > 0 ||
      query.get('code_challenge_method') !== 'S256' ||
      query.get('response_type') !== 'code'
    )
      throw new Error(`the request is not as it should be: ${query}`);
    back.searchParams.set('state', this.lie === 'state' ? 'another' : query.get('state'));
    if (this.lie === 'denied') back.searchParams.set('error', 'access_denied');
    else {
      const code = randomBytes(18).toString('base64url');
      this.#codes.set(code, query);
      back.searchParams.set('code', this.lie === 'code' ? 'another' : code);
    }
    if (this.lie === 'iss') back.searchParams.set('iss', 'http://localhost:1/ops');
    return back.href;
  }

  #redeem(body, headers) {
    const asked = this.#codes.get(body.get('code'));
    this.#codes.delete(body.get('code'));
    const pair = [this.clientId, this.clientSecret].map((part) =>
      encodeURIComponent(part).replace(/%20/g, '+'),
    );
    const basic = `Basic ${Buffer.from(pair.join(':')).toString('base64')}`;
    const challenge = createHash('sha256')
      .update(body.get('code_verifier') ?? '')
      .digest('base64url');
    const faults = [
      [!asked, 'unknown code'],
      [headers.authorization !== basic, `credentials ${headers.authorization}`],
      [asked?.get('code_challenge') !== challenge, 'code_verifier'],
      [asked?.get('redirect_uri') !== body.get('redirect_uri'), 'redirect_uri'],
    ];
    const fault = faults.find(([is]) => is);
    if (fault) {
      this.refused.push(fault[1]);
      return [400, { error: 'invalid_grant', error_description: fault[1] }];
    }
    const answer = {
      access_token: randomBytes(18).toString('base64url'),
      token_type: 'Bearer',
      expires_in: 60,
    };
    return [
      200,
      this.lie === 'no ID token' ? answer : { ...answer, id_token: this.#idToken(asked) },
    ];
  }

  #idToken(asked) {
    const now = Math.floor(Date.now() / 1000);
    const lies = (what) => this.lie === what;
    const claims = {
      iss: lies('issuer') ? 'http://localhost:1/ops' : this.issuer,
      aud: lies('audience') ? 'somebody else' : this.clientId,
      nonce: lies('nonce') ? 'another' : asked.get('nonce'),
      iat: lies('expired') ? now - 7_200 : now,
      exp: lies('expired') ? now - 3_600 : now + 300,
      ...this.person,
    };
    if (lies('no nonce')) delete claims.nonce;
    const alg = lies('unsigned') ? 'none' : lies('shared secret') ? 'HS256' : 'RS256';
    const signed = `${encode({ alg, kid: 'k1', typ: 'JWT' })}.${encode(claims)}`;
    if (alg === 'none') return `${signed}.`;
    if (alg === 'HS256')
      return `${signed}.${createHmac('sha256', this.clientSecret).update(signed).digest('base64url')}`;
    const { privateKey } = lies('key') ? this.#others : this.#keys;
    return `${signed}.${sign('sha256', Buffer.from(signed), privateKey).toString('base64url')}`;
  }
}
