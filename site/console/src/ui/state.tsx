/** What stands where data will be: loading, nothing, or why there is none. */
import type { ComponentChildren } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import type { Problem } from '../api';
import type { Loaded } from '../load';

export function Failure({ problem, retry }: { problem: Problem; retry?: () => void }) {
  return (
    <div class="failure" role="alert">
      <p>
        <strong>{titleOf(problem)}</strong> {problem.detail}
      </p>
      {problem.hint !== '' && <p class="hint">{problem.hint}</p>}
      {retry && (
        <button type="button" class="plain" onClick={retry}>
          Try again
        </button>
      )}
    </div>
  );
}

function titleOf({ status }: Problem): string {
  if (status === 0) return '';
  if (status === 403) return 'Not with this key:';
  if (status === 404) return 'Not there:';
  if (status === 429) return 'Too often:';
  return `Refused (${status}):`;
}

export function Empty({ children }: { children: ComponentChildren }) {
  return <p class="empty">{children}</p>;
}

/** Shows what was loaded, and beside it what went wrong since. */
export function Shown<T>({
  of,
  missing,
  children,
}: {
  of: Loaded<T>;
  /** What stands in the place of a 404: this server has no such thing. */
  missing?: ComponentChildren;
  children: (data: T) => ComponentChildren;
}) {
  if (of.problem?.status === 404 && missing !== undefined) return <Empty>{missing}</Empty>;
  return (
    <>
      {of.problem && <Failure problem={of.problem} retry={of.reload} />}
      {of.data !== undefined && children(of.data)}
      {of.data === undefined && !of.problem && (
        <p class="loading" role="status">
          Loading …
        </p>
      )}
    </>
  );
}

/** A page: its heading takes the focus, so that a screen reader tells where one is. */
export function Sheet({
  title,
  lead,
  actions,
  children,
}: {
  title: ComponentChildren;
  lead?: ComponentChildren;
  actions?: ComponentChildren;
  children: ComponentChildren;
}) {
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => {
    heading.current?.focus({ preventScroll: true });
    scrollTo(0, 0);
  }, []);
  return (
    <>
      <header class="sheet-head">
        <div>
          <h1 ref={heading} tabIndex={-1}>
            {title}
          </h1>
          {lead && <p class="lead">{lead}</p>}
        </div>
        {actions && <div class="actions">{actions}</div>}
      </header>
      {children}
    </>
  );
}

export function Section({
  title,
  actions,
  children,
}: {
  title: ComponentChildren;
  actions?: ComponentChildren;
  children: ComponentChildren;
}) {
  return (
    <section class="section">
      <header class="section-head">
        <h2>{title}</h2>
        {actions && <div class="actions">{actions}</div>}
      </header>
      {children}
    </section>
  );
}

/** Names and values. */
export function Facts({ rows }: { rows: readonly (readonly [string, ComponentChildren])[] }) {
  return (
    <dl class="facts">
      {rows.map(([name, value]) => (
        <div>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}
