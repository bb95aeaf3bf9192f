/** Builds and runs the projects. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';

export const HERE = fileURLToPath(new URL('..', import.meta.url));
export const INSTALLED = join(HERE, 'node_modules/@tidings/rtm');
/** What every project reports of its conversation. */
export const EXPECTED = {
  states: ['CONNECTED', 'DISCONNECTED'],
  received: true,
  text: 'hello',
  from: 'sender',
};

/** Rounds of logins take half of it. */
const RUN_MS_MAX = 60_000;
const TYPES = { '.html': 'text/html', '.js': 'text/javascript', '.mjs': 'text/javascript' };

export const project = (name) => join(HERE, 'projects', name);
/** Where what is made of a project lies. Below the installed packages, as an application's is. */
export const output = (name) => join(HERE, 'dist', name);

/** What a promise gives; fails and says what did not come within that many milliseconds. */
export async function within(ms, what, promise) {
  const limit = new AbortController();
  const late = setTimeout(() => limit.abort(), ms);
  const failed = once(limit.signal, 'abort').then(() =>
    Promise.reject(new Error(`not within ${ms} ms: ${what()}`)),
  );
  try {
    return await Promise.race([promise, failed]);
  } finally {
    clearTimeout(late);
  }
}

/** Runs Node until it ends by itself; fails when it does not, or writes to its standard error. */
export async function node(args, variables = {}) {
  const child = spawn(process.execPath, args, {
    cwd: HERE,
    env: { ...process.env, ...variables },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const text = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr']) child[name].on('data', (chunk) => (text[name] += chunk));
  let isLate = false;
  const timer = setTimeout(() => {
    isLate = true;
    child.kill();
  }, RUN_MS_MAX);
  const [code] = await once(child, 'close');
  clearTimeout(timer);
  if (isLate || code !== 0 || text.stderr !== '') {
    const end = isLate ? `did not end within ${RUN_MS_MAX} ms` : `ended with ${code}`;
    throw new Error(`node ${args.join(' ')} ${end}\n${text.stdout}${text.stderr}`);
  }
  return text.stdout.trim();
}

/** The TypeScript compiler on a project; what it says, empty if nothing. */
export async function compile(name) {
  const tsc = join(HERE, 'node_modules/typescript/bin/tsc');
  return node([tsc, '-p', project(name)]);
}

/** A web server over folders, the first that has a file wins. Ends with `close()`. */
export async function serve(...folders) {
  const web = createServer(async (request, response) => {
    const path = normalize(new URL(request.url, 'http://page').pathname).replace(
      /\/$/,
      '/index.html',
    );
    for (const folder of folders) {
      const content = await readFile(join(folder, path)).catch(() => undefined);
      if (!content) continue;
      response.setHeader('content-type', TYPES[extname(path)] ?? 'application/octet-stream');
      response.end(content);
      return;
    }
    response.statusCode = 404;
    response.end();
  });
  web.listen(0, '127.0.0.1');
  await once(web, 'listening');
  return { origin: `http://127.0.0.1:${web.address().port}`, close: () => web.close() };
}

/** A page that has been opened; everything that went wrong on it, and its open WebSockets. */
export async function open(browser, address) {
  const context = await browser.newContext();
  const page = await context.newPage();
  const faults = [];
  const sockets = { opened: 0, open: 0 };
  page.on('pageerror', (error) => faults.push(String(error)));
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type()) && !/favicon/.test(message.location().url))
      faults.push(message.text());
  });
  page.on('websocket', (socket) => {
    sockets.opened++;
    sockets.open++;
    socket.on('close', () => sockets.open--);
  });
  await page.goto(address);
  return { page, faults, sockets, close: () => context.close() };
}

/** What the page has put into `window.result`, a promise. */
export async function resultOf({ page }) {
  await page.waitForFunction(() => window.result !== undefined);
  return page.evaluate(() => window.result);
}
