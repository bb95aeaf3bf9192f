/** Links that bring others here: to a channel, or to a conversation with somebody. */
import { addressOf } from '../address.js';
import type { Conversation } from '../model.js';
import type { Notices } from './connection.js';

/** Without a user: whoever opens it logs in under their own name first. */
export function linkTo(conversation: Pick<Conversation, 'is' | 'name'>): string {
  const url = new URL(location.href);
  url.search = '';
  url.hash = addressOf(conversation);
  return url.href;
}

/** Copies a link, and shows it where the browser does not let a page copy. */
export async function offerLink(link: string, notices: Notices): Promise<void> {
  try {
    await navigator.clipboard.writeText(link);
    notices.brief(`Copied: ${link}`);
  } catch {
    notices.add(`Send this link: ${link}`);
  }
}
