// Welcomes everybody who logs in. Started again, it goes on where it left off.
//
//   export TIDINGS_ENDPOINT=http://127.0.0.1:7400 TIDINGS_APP=… TIDINGS_KEY=tdk_…
//   node greeter.mjs [FILE]
//
// FILE keeps the cursor: the place behind the last event that was dealt with.
import { readFile, rename, writeFile } from 'node:fs/promises';
import { Tidings, TidingsError } from '@tidings/server';

const file = process.argv[2] ?? 'greeter.cursor';
const tidings = new Tidings();
const stop = new AbortController();
process.once('SIGINT', () => stop.abort());

const after = (await readFile(file, 'utf8').catch(() => '')).trim() || undefined;
console.log(after ? `going on behind ${after}` : 'beginning with the oldest event');

try {
  await tidings.readEvents(
    {
      ...(after && { after }),
      types: ['user.login'],
      async handle({ cursor, user }) {
        // After a crash the same event may come again: its cursor is the key, so the message is not
        // sent again.
        const options = { sender: 'greeter', idempotencyKey: `greet-${cursor}` };
        const { outcome } = await tidings.sendToPeer(user, `welcome, ${user}`, options);
        console.log(`${user}: ${outcome}`);
      },
      async save(cursor) {
        // Whole or not at all.
        await writeFile(`${file}.new`, cursor);
        await rename(`${file}.new`, file);
      },
      onGap: () => console.warn('events were dropped before they were read'),
    },
    { signal: stop.signal },
  );
} catch (error) {
  if (!stop.signal.aborted) {
    if (!(error instanceof TidingsError)) throw error;
    console.error(`${error.message}\n${error.hint}`);
    process.exitCode = 1;
  }
}
