/** The event emitter: RTM 1.x semantics 1.9, and Node's behaviour where that is silent. */
import { EventEmitter as NodeEmitter } from 'node:events';
import { describe, expect, it } from 'vitest';
import { EventEmitter } from '../src/emitter.js';

type Listener = (...args: never[]) => void;
type Open = Record<string, Listener>;

/** Runs the same steps on both emitters and returns what each has seen. */
function both(steps: (emitter: NodeEmitter, seen: unknown[]) => void): [unknown[], unknown[]] {
  const run = (emitter: unknown): unknown[] => {
    const seen: unknown[] = [];
    steps(emitter as NodeEmitter, seen);
    return seen;
  };
  return [run(new EventEmitter<Open>()), run(new NodeEmitter())];
}

const cases: [string, (emitter: NodeEmitter, seen: unknown[]) => void][] = [
  [
    'calls in order, prepended first, with arguments and this',
    (emitter, seen) => {
      emitter.on('a', function (this: unknown, ...args: unknown[]) {
        seen.push(1, this === emitter, args);
      });
      emitter.addListener('a', () => seen.push(2));
      emitter.prependListener('a', () => seen.push(0));
      seen.push(emitter.emit('a', 'x', 5), emitter.emit('b'));
    },
  ],
  [
    'once calls once, also when it emits the event itself',
    (emitter, seen) => {
      emitter.once('a', () => {
        seen.push('once');
        emitter.emit('a');
      });
      emitter.prependOnceListener('a', () => seen.push('first'));
      emitter.emit('a');
      emitter.emit('a');
    },
  ],
  [
    'off removes the last addition of a listener, also of a once',
    (emitter, seen) => {
      const one = () => seen.push('one');
      emitter
        .on('a', one)
        .on('a', () => seen.push('two'))
        .on('a', one)
        .once('a', one);
      emitter.off('a', one);
      emitter.emit('a');
      emitter
        .removeListener('a', one)
        .off('a', one)
        .off('a', () => undefined);
      emitter.emit('a');
    },
  ],
  [
    'a listener removed by another one still runs this time',
    (emitter, seen) => {
      const second = () => seen.push('second');
      emitter.on('a', () => emitter.off('a', second).on('a', () => seen.push('added')));
      emitter.on('a', second);
      emitter.emit('a');
      emitter.emit('a');
    },
  ],
  [
    'lists, counts and names',
    (emitter, seen) => {
      const one = () => undefined;
      emitter.on('a', one).once('a', one).on('b', one);
      seen.push(emitter.listeners('a').map((listener) => listener === one));
      seen.push(emitter.rawListeners('a').map((listener) => listener === one));
      seen.push(emitter.listenerCount('a'), emitter.listenerCount('none'), emitter.eventNames());
    },
  ],
  [
    'removeAllListeners, of one event and of all',
    (emitter, seen) => {
      for (const name of ['a', 'a', 'b', 'c']) emitter.on(name, () => seen.push(name));
      emitter.removeAllListeners('a');
      seen.push(emitter.emit('a'), emitter.emit('b'));
      emitter.removeAllListeners();
      seen.push(emitter.emit('b'), emitter.eventNames());
    },
  ],
  [
    'newListener before, removeListener after',
    (emitter, seen) => {
      emitter.on('newListener', (name) => seen.push(['new', name, emitter.listenerCount('a')]));
      emitter.on('removeListener', (name) => seen.push(['removed', name]));
      const one = () => undefined;
      emitter.on('a', one).once('a', one);
      emitter.emit('a');
      emitter.off('a', one);
    },
  ],
  [
    'a raw once listener runs once, whoever calls it',
    (emitter, seen) => {
      emitter.once('a', () => seen.push('once'));
      const [raw] = emitter.rawListeners('a');
      raw?.();
      emitter.emit('a');
    },
  ],
  [
    'wrong listeners and an unheard error are thrown',
    (emitter, seen) => {
      for (const bad of [undefined, null, 'x', {}]) {
        try {
          emitter.on('a', bad as never);
        } catch (error) {
          seen.push(error instanceof TypeError);
        }
      }
      try {
        emitter.emit('error', new RangeError('mine'));
      } catch (error) {
        seen.push(String(error));
      }
    },
  ],
];

describe('as in Node', () => {
  // proves: rtm-1.9-node, rtm-1.9-chain
  it.each(cases)('%s', (_, steps) => {
    const [ours, theirs] = both(steps);
    expect(ours).toEqual(theirs);
    expect(ours.length).toBeGreaterThan(0);
  });
});

describe('ours', () => {
  // proves: rtm-1.9-max-listeners
  it('512 listeners are no leak', () => {
    const emitter = new EventEmitter<Open>();
    expect(EventEmitter.defaultMaxListeners).toBe(512);
    expect(emitter.getMaxListeners()).toBe(512);
    expect(emitter.setMaxListeners(3)).toBe(emitter);
    expect(emitter.getMaxListeners()).toBe(3);
    expect(() => emitter.setMaxListeners(-1)).toThrow(RangeError);
  });

  it('is no plain data to state libraries', () => {
    expect(Object.prototype.toString.call(new EventEmitter<Open>())).toBe('[object RtmObject]');
  });

  // proves: rtm-1.9-throwing
  it('an exception hinders neither the other listeners nor the caller, and is thrown later', async () => {
    const emitter = new EventEmitter<Open>();
    const seen: unknown[] = [];
    const caught = new Promise<unknown>((resolve) => {
      const others = process.listeners('uncaughtException');
      process.removeAllListeners('uncaughtException');
      process.once('uncaughtException', (error) => {
        for (const other of others) process.on('uncaughtException', other);
        resolve(error);
      });
    });
    emitter.on('a', () => {
      throw new Error('mine');
    });
    emitter.on('a', () => void seen.push('second'));
    expect(emitter.emit('a')).toBe(true);
    expect(seen).toEqual(['second']);
    expect(String(await caught)).toBe('Error: mine');
  });
});
