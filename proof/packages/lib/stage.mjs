/** The real program and a browser: pages of projects are visited there. */
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { setTimeout } from 'node:timers/promises';
import { launch } from '../../browser/lib/browser.mjs';
import { Server } from '../../browser/lib/server.mjs';
import { open, serve } from './project.mjs';

export const APP_ID = 'ImportStyles00000000000000000000';
/** Long enough for a slow machine. */
const CLOSED_WITHIN_MS = 10_000;

export class Stage {
  static async open() {
    const stage = new Stage();
    [stage.server, stage.browser] = await Promise.all([Server.start(), launch()]);
    return stage;
  }

  async close() {
    await this.browser.close();
    await this.server.stop();
  }

  /** Opens the page of a project, gives it to `look`, and sees that nothing went wrong on it. */
  async visit(folders, look) {
    const web = await serve(...folders);
    const visited = await open(
      this.browser,
      `${web.origin}/?endpoint=${encodeURIComponent(this.server.origin)}`,
    );
    try {
      await look(visited);
      assert.deepEqual(visited.faults, []);
      await allClosed(visited.sockets);
    } finally {
      await visited.close();
      web.close();
    }
  }

  /** A client in Node beside the pages. */
  async beside(context, uid) {
    const AgoraRTM = createRequire(import.meta.url)('@tidings/rtm');
    const client = AgoraRTM.createInstance(APP_ID, {
      endpoint: this.server.origin,
      logFilter: AgoraRTM.LOG_FILTER_OFF,
    });
    await client.login({ uid });
    context.after(() => client.logout());
    return client;
  }
}

/** Waits until no connection of the page is left: the server ends them after a logout. */
async function allClosed(sockets) {
  const until = Date.now() + CLOSED_WITHIN_MS;
  while (sockets.open > 0) {
    assert.ok(Date.now() < until, `${sockets.open} of ${sockets.opened} connections were left`);
    await setTimeout(20);
  }
}
