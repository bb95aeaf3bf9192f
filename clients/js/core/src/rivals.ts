/**
 * The logins of one user in one program. The server lets the newest of a user's connections win;
 * which of two that are opened in the same moment it sees first depends on the network. So a login
 * holds back the earlier ones of its user that are not connected, until it has succeeded, which
 * ends them, or failed, which lets them continue.
 */
import type { RivalWord } from './machine/types.js';

export interface Rival {
  readonly tell: (word: RivalWord) => void;
  isPending: boolean;
  told: RivalWord;
}

/** Logins that have not ended, in their order, by server, app and user. */
export type Rivals = Map<string, readonly Rival[]>;

/** Takes a new list, and tells each of them what follows from it. */
export function setRivals(table: Rivals, key: string, all: readonly Rival[]): void {
  if (all.length > 0) table.set(key, all);
  else table.delete(key);
  all.forEach((rival, at) => {
    const word = all.slice(at + 1).some((later) => later.isPending) ? 'hold' : 'go';
    if (word === rival.told) return;
    rival.told = word;
    rival.tell(word);
  });
}
