/** Lines on the console, and handlers of pages that may throw. */

const LEVELS = ['DEBUG', 'INFO', 'WARNING'] as const;
export type LogLevel = (typeof LEVELS)[number];

export class Log {
  #least: number | undefined;

  /** Source: signaling 14, `setDoLog`. */
  set(isEnabled: boolean, level: LogLevel): void {
    const least = LEVELS.indexOf(level);
    this.#least = isEnabled ? Math.max(least, 0) : undefined;
  }

  debug(...words: unknown[]): void {
    this.#write('DEBUG', words);
  }

  info(...words: unknown[]): void {
    this.#write('INFO', words);
  }

  #write(level: LogLevel, words: unknown[]): void {
    if (this.#least !== undefined && LEVELS.indexOf(level) >= this.#least) {
      console.log(`signaling ${level}`, ...words);
    }
  }
}

/**
 * Calls a page's handler, if there is one. One that throws does no harm: its exception is thrown
 * again from a timer, where the page's own error handling sees it.
 */
export function run<Args extends unknown[]>(
  handler: ((...args: Args) => unknown) | '' | null | undefined,
  ...args: Args
): void {
  if (typeof handler !== 'function') return;
  try {
    handler(...args);
  } catch (error) {
    setTimeout(() => {
      throw error;
    }, 0);
  }
}
