/** A token that permits a channel no more: the server says that the user itself has left. */
import { expect, it } from 'vitest';
import { join, makeLoggedIn } from '../../rtm/test/support/client.js';
import { friendly, refused } from '../../rtm/test/support/world.js';

// proves: rtm-7.5-replaced
it('the user is told its own leave, may join again, and is not joined again by itself', async () => {
  const { client, world, take, ...recorder } = await makeLoggedIn();
  const channel = await join({ client, world, take, ...recorder });
  take();
  world.connection.serve({ is: 'memberLeft', value: { channel: 'room', userId: 'alice' } });
  expect(take()).toEqual([['MemberLeft', 'alice']]);
  const joins = (): number =>
    world.connection.messages.filter((it) => it.is === 'request' && it.value.call?.is === 'join')
      .length;
  await expect(channel.sendMessage({ text: 'x' })).rejects.toMatchObject({ code: 5 });
  world.answer = (message, connection) =>
    message.is === 'resume' ? [refused(26)] : friendly(message, connection);
  world.connection.end(1006);
  await world.advance(2_000);
  expect(client.connectionState).toBe('CONNECTED');
  expect(joins()).toBe(0);
  await channel.join();
  expect(joins()).toBe(1);
});
