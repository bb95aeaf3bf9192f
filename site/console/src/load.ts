/** What a page loads: once, page by page, or again and again. */
import { useCallback, useEffect, useRef, useState } from 'preact/hooks';
import { Problem, type Page } from './api';

export interface Loaded<T> {
  data: T | undefined;
  problem: Problem | undefined;
  isLoading: boolean;
  reload: () => void;
}

/** Loads when `key` changes; with `everyMs` also again and again while the page is looked at. */
export function useLoad<T>(
  key: string,
  load: (signal: AbortSignal) => Promise<T>,
  { everyMs = 0, onData }: { everyMs?: number; onData?: (data: T) => void } = {},
): Loaded<T> {
  const [state, setState] = useState<{
    key: string;
    data?: T;
    problem?: Problem;
    isLoading: boolean;
  }>({
    key,
    isLoading: true,
  });
  const [round, setRound] = useState(0);
  const latest = useRef({ load, onData });
  latest.current = { load, onData };
  useEffect(() => {
    const stop = new AbortController();
    let timer: number | undefined;
    const run = async () => {
      if (everyMs > 0 && document.hidden) {
        timer = setTimeout(run, everyMs);
        return;
      }
      try {
        const data = await latest.current.load(stop.signal);
        if (stop.signal.aborted) return;
        latest.current.onData?.(data);
        setState({ key, data, isLoading: false });
      } catch (error) {
        if (stop.signal.aborted) return;
        const problem = Problem.of(error);
        // What was loaded before stays in sight beside the problem.
        setState((before) => ({
          ...(before.key === key ? before : { key }),
          problem,
          isLoading: false,
        }));
        if ([401, 403, 404].includes(problem.status)) return;
      }
      if (everyMs > 0) timer = setTimeout(run, everyMs);
    };
    setState((before) =>
      before.key === key ? { ...before, isLoading: true } : { key, isLoading: true },
    );
    void run();
    return () => {
      stop.abort();
      clearTimeout(timer);
    };
  }, [key, round, everyMs]);
  const reload = useCallback(() => setRound((round) => round + 1), []);
  const isCurrent = state.key === key;
  return {
    data: isCurrent ? state.data : undefined,
    problem: isCurrent ? state.problem : undefined,
    isLoading: !isCurrent || state.isLoading,
    reload,
  };
}

export interface List<T> extends Loaded<T[]> {
  /** Loads the next page; absent = there is none. */
  more: (() => void) | undefined;
}

/** A list that is loaded page by page. */
export function useList<T>(
  key: string,
  load: (cursor: string | undefined, signal: AbortSignal) => Promise<Page<T>>,
  options: { everyMs?: number } = {},
): List<T> {
  const [extra, setExtra] = useState<{ key: string; items: T[]; next: string | null }>();
  const first = useLoad<Page<T>>(key, (signal) => load(undefined, signal), {
    ...options,
    onData: () => setExtra(undefined),
  });
  const [problem, setProblem] = useState<Problem>();
  const added = extra?.key === key ? extra : undefined;
  const next = added ? added.next : (first.data?.next ?? null);
  const more = async () => {
    if (next === null) return;
    try {
      const page = await load(next, new AbortController().signal);
      setProblem(undefined);
      setExtra((before) => ({
        key,
        items: [...(before?.key === key ? before.items : []), ...page.items],
        next: page.next,
      }));
    } catch (error) {
      setProblem(Problem.of(error));
    }
  };
  return {
    ...first,
    data: first.data && [...first.data.items, ...(added?.items ?? [])],
    problem: first.problem ?? problem,
    more: next === null ? undefined : () => void more(),
  };
}
