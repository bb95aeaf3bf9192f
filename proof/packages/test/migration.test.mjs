/** An app of Vite, React and TypeScript, written for the original package, is moved over by the words of the guide. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { cp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { HERE, node, output, project } from '../lib/project.mjs';
import { Stage } from '../lib/stage.mjs';

let stage;
before(async () => {
  stage = await Stage.open();
});
after(() => stage?.close());

/** The blocks of the page that stand behind a mark. */
async function blocksOf(mark) {
  const page = await readFile(join(HERE, '../../site/guide/from-rtm.md'), 'utf8');
  return [...page.matchAll(new RegExp(`<!-- ${mark} -->\\n\`\`\`\\w+\\n(.*?)\`\`\``, 'gs'))].map(
    ([, text]) => text,
  );
}

test('a page of Vite, React and TypeScript', async (context) => {
  const app = output('migration');
  await rm(app, { recursive: true, force: true });
  await cp(project('migration'), app, { recursive: true });
  // Step 1 is what `lib/install.mjs` has done; the guide's own test does it with npm. Step 2:
  const [, rename] = await blocksOf('step');
  execFileSync('sh', ['-c', rename], { cwd: app });
  assert.match(await readFile(join(app, 'app/session.ts'), 'utf8'), /from '@tidings\/rtm'/);
  // Step 3:
  const [config] = await blocksOf('vite');
  await writeFile(join(app, 'vite.config.mjs'), config);
  const bin = (path) => join(HERE, 'node_modules', path);
  assert.equal(await node([bin('typescript/bin/tsc'), '-p', app]), '');
  await node([bin('vite/bin/vite.js'), 'build', app, '--logLevel', 'warn'], {
    TIDINGS_ENDPOINT: stage.server.origin,
  });

  const watcher = await stage.beside(context, 'migration-watcher');
  const room = watcher.createChannel('moved-room');
  await room.join();
  await watcher.setLocalUserAttributes({ name: 'WATCHER' });
  await stage.visit([join(app, 'dist')], async ({ page }) => {
    await page.getByRole('status').getByText('CONNECTED').waitFor();
    const heard = new Promise((resolve) =>
      room.once('ChannelMessage', ({ text }, from) => resolve(`${from}: ${text}`)),
    );
    await page.getByRole('button', { name: 'Send' }).click();
    assert.equal(await heard, 'mover: moved over');
    await room.sendMessage({ text: 'welcome' });
    await page.getByRole('listitem').getByText('WATCHER: welcome').waitFor();
    await page.evaluate(() => window.app.unmount());
  });
});
