/** A server that answers as it is told, and remembers what it was asked. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import { Tidings } from '../dist/index.mjs';

export const APP = '0123456789abcdef0123456789abcdef';

export class Fake {
  requests = [];
  /** Connections that were made. */
  connections = 0;
  #answers = [];
  #server = createServer(async (request, response) => {
    let body = '';
    for await (const piece of request) body += piece;
    this.requests.push({
      method: request.method,
      url: request.url,
      headers: request.headers,
      body,
    });
    // The last answer is given for ever.
    const answer = this.#answers.length > 1 ? this.#answers.shift() : this.#answers[0];
    answer(response, request);
  }).on('connection', () => this.connections++);

  static async start(context, ...answers) {
    const fake = new Fake();
    fake.#answers = answers;
    fake.#server.listen(0, '127.0.0.1');
    await once(fake.#server, 'listening');
    context.after(() => {
      fake.#server.close();
      fake.#server.closeAllConnections();
    });
    fake.endpoint = `http://127.0.0.1:${fake.#server.address().port}`;
    return fake;
  }

  client(settings = {}) {
    return new Tidings({ endpoint: this.endpoint, key: 'tdk_id_secret', app: APP, ...settings });
  }
}

export const json =
  (status, body, headers = {}) =>
  (response) => {
    response.writeHead(status, { 'content-type': 'application/json', ...headers });
    response.end(body === undefined ? undefined : JSON.stringify(body));
  };

export const text =
  (status, body, headers = {}) =>
  (response) => {
    response.writeHead(status, headers);
    response.end(body);
  };

/** The request arrives, and the connection breaks. */
export const broken = (response) => response.destroy();

/** No answer, ever. */
export const silent = () => {};
