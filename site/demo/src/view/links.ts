/** Links: those that bring others here, and those that people write. */
import { addressOf } from '../address.js';
import type { Conversation } from '../model.js';
import type { Notices } from './connection.js';
import { element } from './dom.js';

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

/** Web addresses only: nothing else that somebody may write becomes a thing to click on. */
const WEB_ADDRESS = /\bhttps?:\/\/[^\s<>"“”]+/gi;
/** What ends a sentence or a bracket around an address does not belong to it. */
const TAIL = /[.,;:!?'’)\]}*_]+$/;

/** A text, with its web addresses as links. */
export function withLinks(text: string): (Node | string)[] {
  const parts: (Node | string)[] = [];
  let done = 0;
  for (const { 0: found, index } of text.matchAll(WEB_ADDRESS)) {
    const address = withoutTail(found);
    if (!URL.canParse(address)) continue;
    const link = element('a', '', address);
    link.href = address;
    link.target = '_blank';
    link.rel = 'noopener noreferrer';
    parts.push(text.slice(done, index), link);
    done = index + address.length;
  }
  parts.push(text.slice(done));
  return parts;
}

/** A closing bracket stays when the address has an opening one, as in Wikipedia's. */
function withoutTail(found: string): string {
  const tail = TAIL.exec(found)?.[0] ?? '';
  const kept = tail.startsWith(')') && found.includes('(') ? 1 : 0;
  return found.slice(0, found.length - tail.length + kept);
}
