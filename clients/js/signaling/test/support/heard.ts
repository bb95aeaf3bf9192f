/** What somebody was told, in order, and waits for more of it. */

/** Longer than anything takes on a slow machine. */
const LIMIT_MS = 12_000;

export class Heard {
  readonly lines: string[] = [];
  readonly #waiting = new Set<() => void>();

  constructor(private readonly who: string) {}

  add(line: string): void {
    this.lines.push(line);
    for (const look of [...this.#waiting]) look();
  }

  /** Waits for a line; those before it stay. */
  sees(line: string): Promise<void> {
    return this.until(line, () => this.lines.includes(line));
  }

  /** Looks whenever a line is added, until it is so. */
  until(what: string, isSo: () => boolean): Promise<void> {
    if (isSo()) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const end = (then: () => void) => {
        clearTimeout(limit);
        this.#waiting.delete(look);
        then();
      };
      const look = () => {
        if (isSo()) end(resolve);
      };
      const give = () =>
        reject(new Error(`${this.who} has not seen ${what}, but ${this.lines.join(' | ')}`));
      const limit = setTimeout(() => end(give), LIMIT_MS);
      this.#waiting.add(look);
    });
  }
}
