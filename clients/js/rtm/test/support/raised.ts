/** Errors of listeners are raised from timers of the runtime: here these belong to the test. */
import { onTestFinished, vi } from 'vitest';

/** From now on, until the test is over, a timer of the runtime runs when `raised` is called. */
export function holdTimers(): void {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  onTestFinished(() => void vi.useRealTimers());
}

/** Runs the timers that wait, in order, and gathers what they throw. */
export function raised(): unknown[] {
  const errors: unknown[] = [];
  while (vi.getTimerCount() > 0) {
    try {
      vi.advanceTimersToNextTimer();
    } catch (error) {
      errors.push(error);
    }
  }
  return errors;
}
