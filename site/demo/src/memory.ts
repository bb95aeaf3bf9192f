/** What the browser remembers from one visit to the next. Without storage, nothing: the page works all the same. */

/** The name of the last login. Shared by all tabs. */
export const lastName = {
  read: (): string => read('name') ?? '',
  write: (name: string): void => write('name', name),
};

/** The people that `user` has added. Each user of the page has its own. */
export const people = {
  read(user: string): string[] {
    try {
      const names: unknown = JSON.parse(read(`people.${user}`) ?? '[]');
      return Array.isArray(names) ? names.filter((name) => typeof name === 'string') : [];
    } catch {
      return [];
    }
  },
  write: (user: string, names: readonly string[]): void => {
    write(`people.${user}`, JSON.stringify(names));
  },
};

function read(key: string): string | null {
  try {
    return localStorage.getItem(`tidings-demo.${key}`);
  } catch {
    return null;
  }
}

function write(key: string, value: string): void {
  try {
    localStorage.setItem(`tidings-demo.${key}`, value);
  } catch {
    // Private windows may refuse; what is not remembered is typed again.
  }
}
