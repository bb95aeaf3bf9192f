/** The address holds the state: `#/apps/ID/users/NAME?query`. Nothing secret is ever in it. */
import { useEffect, useState } from 'preact/hooks';

export interface Place {
  parts: string[];
  query: URLSearchParams;
}

export function read(hash: string): Place {
  const [path = '', query = ''] = split(hash.replace(/^#\/?/, ''));
  const parts = path.split('/').filter((part) => part !== '');
  return { parts: parts.map(decode), query: new URLSearchParams(query) };
}

function split(text: string): [string, string] {
  const at = text.indexOf('?');
  return at < 0 ? [text, ''] : [text.slice(0, at), text.slice(at + 1)];
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** The address of a place; every part is one segment, whatever is in it. */
export function to(parts: readonly string[], query: Record<string, string> = {}): string {
  const given = Object.entries(query).filter(([, value]) => value !== '');
  const text = new URLSearchParams(given).toString();
  return `#/${parts.map(encodeURIComponent).join('/')}${text === '' ? '' : `?${text}`}`;
}

export function go(parts: readonly string[], query: Record<string, string> = {}): void {
  location.hash = to(parts, query);
}

export function usePlace(): Place {
  const [place, setPlace] = useState(() => read(location.hash));
  useEffect(() => {
    const moved = () => setPlace(read(location.hash));
    addEventListener('hashchange', moved);
    return () => removeEventListener('hashchange', moved);
  }, []);
  return place;
}
