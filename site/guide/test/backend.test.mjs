// The pages for backends, followed to the letter, against the real program: curl and every language
// that is on this machine; `cargo xtask test` installs what is missing of Go and PHP.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { program, Place, stepsOf } from './steps.mjs';
import { User } from './user.mjs';

const APP = '0123456789abcdef0123456789abcdef';
/** What xtask has installed of Python: what the package needs is there. */
const PYTHON = join(dirname(program), '../tools/python');
let place;
before(async () => {
  place = await Place.make();
  if (existsSync(PYTHON)) Object.assign(place.env, { PIP_NO_DEPS: '1' });
  const packages = join(place.folder, 'python');
  Object.assign(place.env, {
    PIP_TARGET: packages,
    PYTHONPATH: [packages, PYTHON].join(delimiter),
    PIP_DISABLE_PIP_VERSION_CHECK: '1',
  });
  // So that a second run need not compile the standard library again.
  place.env.GOCACHE ??= join(dirname(program), '../tools/go-cache');
});
after(async () => place?.end());

const works = (text, within) => place.works(text, within);

/** What these lines set, for everything that comes later, as in a reader's shell. */
async function takeVariables(place, texts) {
  for (const text of texts) {
    const { code, output } = await place.run(`${text}\nenv`);
    assert.equal(code, 0, output);
    for (const [, name] of text.matchAll(/^export (\w+)=/gm)) {
      place.env[name] = new RegExp(`^${name}=(.*)$`, 'm').exec(output)[1];
    }
  }
}

/** The JSON texts that commands have written one after the other. */
const answersOf = (output) =>
  output
    .trim()
    .split(/\n|(?<=\})(?=\{)/)
    .map((line) => JSON.parse(line));

const isThere = (name) => {
  try {
    return execFileSync('sh', ['-c', `command -v ${name}`], { encoding: 'utf8' }) !== '';
  } catch {
    return false;
  }
};

test('your backend, in each language', async (context) => {
  const steps = stepsOf('backend.md');
  const of = (what) => steps.filter((step) => step.what === what).map(({ text }) => text);
  const [file, fileOf] = [(name) => of(`file ${name}`)[0], (name) => join(place.folder, name)];
  const server = place.start(of('server')[0]);
  await server.line(/^tidings is ready/);
  const [key] = /tdk_\w+/.exec(await works(of('key')[0])) ?? [];
  assert.ok(key, 'the command shows a key');
  place.replaced['=KEY'] = `=${key}`;
  await takeVariables(place, of('variables'));
  const alice = await User.login(place.address, APP, 'alice');
  context.after(() => alice.logout());
  await alice.join('news');

  await context.test('curl', async () => {
    const [channel, peer, batch, asked, ban, events] = of('curl');
    assert.equal(answersOf(await works(channel))[0].results[0].outcome, 'sent');
    await alice.hears('news', 'system', 'hello');
    assert.equal(answersOf(await works(peer))[0].results[0].outcome, 'delivered');
    await alice.hears(undefined, 'shop', 'your order is on its way');
    const again = answersOf(await works(peer))[0];
    assert.equal(again.results[0].outcome, 'delivered', 'the key is known: the same answer');
    const [{ results }] = answersOf(await works(batch));
    assert.deepEqual(
      results.map(({ results: [one] }) => one.outcome),
      ['sent', 'offline'],
    );
    await alice.hears('news', 'system', 'one');
    const [presence, channels] = answersOf(await works(asked));
    assert.deepEqual(
      presence.items.map(({ online }) => online),
      [true, false],
    );
    assert.equal(channels.items.length, 1, 'one channel begins with n');
    assert.equal(answersOf(await works(ban))[0].user_id, 'mallory');
    const [{ items }] = answersOf(await works(events));
    assert.ok(
      items.some(({ type, user }) => type === 'user.login' && user === 'alice'),
      JSON.stringify(items),
    );
    assert.equal(
      alice.heard.filter(({ text }) => /order/.test(text)).length,
      1,
      'the repeated call sent nothing',
    );
  });

  for (const [language, install, path] of [
    ['Node', 'node shell', 'backend/backend.mjs'],
    ['Python', 'python shell', 'backend.py'],
  ]) {
    await context.test(language, async () => {
      await works(of(install)[0]);
      writeFileSync(fileOf(path), place.own(file(path)));
      const running = place.start(of(language.toLowerCase())[0], dirname(path));
      await running.line('the message was sent');
      await alice.hears('news', 'system', `hello from ${language}`);
      const user = await User.login(place.address, APP, `user-of-${language}`);
      await running.line(new RegExp(`^user\\.login user-of-${language}`));
      await user.hears(undefined, 'system', `welcome, user-of-${language}`);
      await user.logout();
      await running.line(new RegExp(`^user\\.logout user-of-${language}`));
      await running.kill();
    });
  }

  for (const [language, program, path] of [
    ['Go', 'go', 'backend.go'],
    ['PHP', 'php', 'backend.php'],
    ['Java', 'javac', 'Backend.java'],
  ]) {
    await context.test(
      language,
      { skip: !isThere(program) && `${program} is not installed` },
      async () => {
        writeFileSync(fileOf(path), place.own(file(path)));
        const output = await works(of(language.toLowerCase())[0]);
        await alice.hears('news', 'system', `hello from ${language}`);
        assert.match(output, /sent/);
        assert.match(output, /user\.login/);
      },
    );
  }
});

test('a backend of the hosted service, with another host', async (context) => {
  const steps = stepsOf('from-rtm.md');
  const of = (what) => steps.filter((step) => step.what === what).map(({ text }) => text);
  const own = await Place.make();
  context.after(() => own.end());
  const run = async (text) => {
    const { code, output } = await own.run(text);
    assert.equal(code, 0, `${own.own(text)}\n${output}`);
    return output;
  };
  const made = await run('tidings app create --data-dir ./data');
  const [app, certificate] = made.match(/\b[0-9a-f]{32}\b/g);
  own.replaced[' ID '] = ` ${app} `;
  await own.start('tidings serve --data-dir ./data').line(/^tidings is ready/);
  const [, id, secret] = /tdk_([^_\s]+)_(\w+)/.exec(await run(of('key')[0])) ?? [];
  Object.assign(own.replaced, {
    '=ID': `=${app}`,
    '=KEY_ID': `=${id}`,
    '=KEY_SECRET': `=${secret}`,
  });
  await takeVariables(own, of('variables'));
  const token = (await run(`tidings token issue --app ${app}:${certificate} --user alice`)).trim();
  const alice = await User.login(own.address, app, 'alice', token);
  context.after(() => alice.logout());
  await alice.join('room');

  const [messages, events, history, bans] = of('backend');
  const [peer, channel] = answersOf(await run(messages));
  const shape = ({ request_id, ...fields }) => (assert.equal(typeof request_id, 'string'), fields);
  assert.deepEqual(shape(peer), { result: 'success', code: 'message_delivered' });
  assert.deepEqual(shape(channel), { result: 'success', code: 'message_sent' });
  await alice.hears(undefined, 'server', 'hello');
  await alice.hears('room', 'server', 'hello, all');
  const [came, joined] = answersOf(await run(events));
  assert.deepEqual(
    came.events.map(({ user_id, type }) => [user_id, type]),
    [['alice', 'Login']],
  );
  assert.deepEqual(
    joined.events.map(({ group_id, type }) => [group_id, type]),
    [['room', 'Join']],
  );
  assert.deepEqual(
    answersOf(await run(events)).map((one) => one.events),
    [[], []],
    'what was read is gone',
  );
  const [found, counted] = answersOf(await run(history));
  assert.deepEqual(
    found.messages.map(({ src, dst, message_type, payload }) => [src, dst, message_type, payload]),
    [['server', 'room', 'channel_message', 'hello, all']],
  );
  assert.equal(counted.count, 1);
  const [rule, rules] = answersOf(await run(bans));
  assert.equal(rule.status, 'success');
  assert.deepEqual(
    rules.rules.map(({ id, uid }) => [id, String(uid)]),
    [[rule.id, 'alice']],
  );
  await alice.ended('ABORTED', 'BANNED_BY_SERVER');
});
