// The proxies of "Running it": each block of the page in the real proxy, and a user who comes through it.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { freePort, guide, Place } from './steps.mjs';

const CLIENT = fileURLToPath(new URL('proxy-client.mjs', import.meta.url));
/** Where the users come from: not the address of the proxy, 127.0.0.1. */
const USER_ADDRESS = '127.0.0.5';
const CERTIFICATE =
  'openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost ' +
  '-addext subjectAltName=DNS:localhost,IP:127.0.0.1 -keyout privkey.pem -out fullchain.pem';

let place;
let server;
let securityLog;
before(async () => {
  place = await Place.make();
  // Where Debian keeps servers; not everybody has it on the path.
  place.env.PATH += `${delimiter}/usr/sbin`;
  // A proxy that is started by root goes on as somebody else.
  chmodSync(place.folder, 0o755);
  assert.equal((await place.run(CERTIFICATE)).code, 0);
  const pem = ['fullchain.pem', 'privkey.pem'].map((name) =>
    readFileSync(join(place.folder, name)),
  );
  writeFileSync(join(place.folder, 'both.pem'), Buffer.concat(pem));
  securityLog = join(place.folder, 'security.log');
  // As the page says, with --trusted-proxy.
  server = place.start(
    `tidings serve --dev --trusted-proxy 127.0.0.1 --security-log ${securityLog}`,
  );
  await server.line(/^tidings is ready/);
});
after(async () => place?.end());

/** The block of the page, with what is this test's own. */
function blockOf(proxy, own) {
  const page = readFileSync(join(guide, 'running.md'), 'utf8');
  const found = new RegExp(`<!-- proxy: ${proxy} -->\n\`\`\`\\w+\n(.*?)\`\`\``, 's').exec(page);
  assert.ok(found, `running.md has a block for ${proxy}`);
  let text = place.own(found[1]);
  for (const [from, to] of Object.entries(own)) {
    assert.ok(text.includes(from), `the block for ${proxy} has ${from}`);
    text = text.replaceAll(from, to);
  }
  return text;
}

/** Waits until somebody listens there, or the proxy has ended. */
async function opens(port, running) {
  const look = `until (exec 3<> /dev/tcp/127.0.0.1/${port}) 2> /dev/null; do kill -0 ${running.id} || exit 1; done`;
  const looked = spawnSync('bash', ['-c', look], { timeout: 60_000 });
  assert.equal(looked.status, 0, `nothing listens on ${port}:\n${running.output()}`);
}

async function waitFor(holds, running) {
  const until = Date.now() + 60_000;
  while (!holds()) {
    assert.ok(Date.now() < until, running.output());
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** A user goes through the proxy and does what users do; the server knows where it came from. */
async function goesThrough(proxy, endpoint, uid, authority) {
  const env = { ...process.env, NODE_EXTRA_CA_CERTS: authority };
  const args = [CLIENT, endpoint, uid, USER_ADDRESS];
  const ran = spawnSync(process.execPath, args, { encoding: 'utf8', env, timeout: 120_000 });
  // What was written meanwhile is taken in now.
  await new Promise((resolve) => setImmediate(resolve));
  const told = () =>
    `the user: ${ran.stderr}\nthe proxy: ${proxy.output()}\nthe server: ${server.output()}`;
  assert.equal(ran.status, 0, told());
  const said = ran.stdout;
  const expected = {
    sent: { hasPeerReceived: true },
    messages: ['to myself'],
    members: [uid],
    bytes: 33_554_432,
  };
  assert.deepEqual(JSON.parse(said), expected, told());
  const events = readFileSync(securityLog, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  const login = events.find(({ event, user }) => event === 'login' && user === uid);
  assert.equal(login?.source, USER_ADDRESS, JSON.stringify(login));
}

test('nginx', async () => {
  const port = await freePort();
  const block = blockOf('nginx', {
    'listen 443 ssl': `listen 127.0.0.1:${port} ssl`,
    '/etc/letsencrypt/live/chat.example.org': place.folder,
  });
  const own = (path) => `${path}_temp_path ${join(place.folder, path)};`;
  const around = [
    `pid ${place.folder}/nginx.pid;\nerror_log stderr;\nevents {}\nhttp {\naccess_log off;`,
    ...['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(own),
    `${block}}`,
  ];
  const file = join(place.folder, 'nginx.conf');
  writeFileSync(file, around.join('\n'));
  const checked = await place.run(`nginx -t -e stderr -c ${file}`);
  assert.equal(checked.code, 0, checked.output);
  assert.doesNotMatch(checked.output, /\[(warn|error|emerg)\]/);
  const proxy = place.start(`exec nginx -e stderr -c ${file} -g 'daemon off;'`);
  await opens(port, proxy);
  await goesThrough(
    proxy,
    `https://127.0.0.1:${port}`,
    'behind-nginx',
    join(place.folder, 'fullchain.pem'),
  );
});

test('Caddy', async () => {
  const port = await freePort();
  // Caddy makes a certificate of its own for a name of this machine, and otherwise asks an authority for one.
  const block = blockOf('caddy', { 'chat.example.org': `https://localhost:${port}` });
  const global = '{\n  admin off\n  auto_https disable_redirects\n  skip_install_trust\n}\n';
  const file = join(place.folder, 'Caddyfile');
  writeFileSync(file, global + block);
  const home = join(place.folder, 'caddy');
  mkdirSync(home);
  place.env.XDG_DATA_HOME = home;
  place.env.XDG_CONFIG_HOME = home;
  const proxy = place.start(`exec caddy run --adapter caddyfile --config ${file}`);
  await opens(port, proxy);
  const authority = join(home, 'caddy/pki/authorities/local/root.crt');
  await waitFor(() => existsSync(authority), proxy);
  await goesThrough(proxy, `https://localhost:${port}`, 'behind-caddy', authority);
});

test('HAProxy, which forwards bytes', async () => {
  const port = await freePort();
  const block = blockOf('haproxy', {
    'bind :443': `bind 127.0.0.1:${port}`,
    '/etc/haproxy/chat.example.org.pem': join(place.folder, 'both.pem'),
  });
  const file = join(place.folder, 'haproxy.cfg');
  writeFileSync(file, block);
  const checked = await place.run(`haproxy -c -f ${file}`);
  assert.equal(checked.code, 0, checked.output);
  assert.doesNotMatch(checked.output, /\[(WARNING|ALERT)\]/);
  const proxy = place.start(`exec haproxy -db -f ${file}`);
  await opens(port, proxy);
  await goesThrough(
    proxy,
    `https://127.0.0.1:${port}`,
    'behind-haproxy',
    join(place.folder, 'fullchain.pem'),
  );
});
