/** What the address of the page says: who logs in, and which conversation is open. */
import type { Conversation } from './model.js';

/** The open conversation stands behind the #, so that the browser's back button works on a phone too. */
export function addressOf({ is, name }: Pick<Conversation, 'is' | 'name'>): string {
  return `#/${is === 'person' ? 'people' : 'channels'}/${encodeURIComponent(name)}`;
}

/** The opposite of `addressOf`; `undefined` when no conversation is named. */
export function conversationIn(hash: string): Pick<Conversation, 'is' | 'name'> | undefined {
  const [, kind, encoded] = /^#\/(people|channels)\/([^/]+)$/.exec(hash) ?? [];
  if (kind === undefined || encoded === undefined) return undefined;
  try {
    return { is: kind === 'people' ? 'person' : 'channel', name: decodeURIComponent(encoded) };
  } catch {
    return undefined;
  }
}

/** `?user=alice` logs alice in at once. */
export function userInAddress(): string | null {
  return new URL(location.href).searchParams.get('user');
}

/** So that a tab that is loaded again is the same person, and the next tab may be another. */
export function setUserInAddress(user: string | null): void {
  const url = new URL(location.href);
  if (user === null) {
    url.searchParams.delete('user');
    url.hash = '';
  } else {
    url.searchParams.set('user', user);
  }
  history.replaceState(null, '', url);
}
