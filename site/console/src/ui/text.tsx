/** Texts of strangers: names, payloads, notes. They are shown as what they are, and do nothing. */
import type { ComponentChildren } from 'preact';
import { ago, instant } from '../format';
import { to } from '../router';

// Controls, marks that turn the direction of a line, and what has no width: they would hide or disguise.
const UNSEEN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\u115f\u1160\u3164\uffa0]/u;
const PIECES = new RegExp(`(${UNSEEN.source})`, 'u');

/** A name or another short text. What cannot be seen is shown by its number. */
export function Name({ text, chars = 120 }: { text: string; chars?: number }) {
  const letters = [...text];
  const shown = letters.length > chars ? `${letters.slice(0, chars).join('')}…` : text;
  if (text === '') return <span class="quiet">(empty)</span>;
  return (
    <bdi class="name" {...(shown === text ? {} : { title: text.slice(0, 2_000) })}>
      {UNSEEN.test(shown) ? shown.split(PIECES).map(piece) : shown}
    </bdi>
  );
}

function piece(text: string) {
  if (!UNSEEN.test(text)) return text;
  const code = (text.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0');
  return <span class="unseen">U+{code}</span>;
}

/** A longer text, with its lines. */
export function Payload({ text, chars = 4_000 }: { text: string; chars?: number }) {
  const shown = text.slice(0, chars);
  const lines = shown.split(/\r?\n/);
  return (
    <div class="payload">
      {lines.map((line) => (
        <div>{line === '' ? '\u00a0' : <Name text={line} chars={chars} />}</div>
      ))}
      {text.length > chars && <div class="quiet">… {text.length - chars} more characters</div>}
    </div>
  );
}

export function UserLink({ app, user }: { app: string; user: string }) {
  return (
    <a href={to(['apps', app, 'users', user])}>
      <Name text={user} />
    </a>
  );
}

export function ChannelLink({ app, channel }: { app: string; channel: string }) {
  return (
    <a href={to(['apps', app, 'channels', channel])}>
      <Name text={channel} />
    </a>
  );
}

export function Time({ ms }: { ms: number | null | undefined }) {
  if (ms === null || ms === undefined || ms === 0) return <span class="quiet">–</span>;
  return (
    <time dateTime={isoOf(ms)} title={instant(ms)}>
      {ago(ms)}
    </time>
  );
}

function isoOf(ms: number): string {
  const date = new Date(ms);
  return Number.isNaN(date.getTime()) ? '' : date.toISOString();
}

export function Tag({
  kind,
  children,
}: {
  kind?: 'good' | 'warn' | 'bad';
  children: ComponentChildren;
}) {
  return <span class={`tag ${kind ?? ''}`}>{children}</span>;
}

/** JSON, as it came. */
export function Json({ value }: { value: unknown }) {
  return <Payload text={JSON.stringify(value, null, 2)} />;
}
