/** Figures and times as people read them. */

const WHOLE = new Intl.NumberFormat('en');
const SHORT = new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 });

export function count(value: number | undefined): string {
  return value === undefined ? '–' : WHOLE.format(value);
}

/** Few figures, for plots and tiles. */
export function short(value: number | undefined): string {
  if (value === undefined) return '–';
  if (Math.abs(value) < 10) return String(Math.round(value * 10) / 10);
  return Math.abs(value) < 10_000 ? WHOLE.format(Math.round(value)) : SHORT.format(value);
}

export function bytes(value: number | undefined): string {
  if (value === undefined) return '–';
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let step = 0;
  let left = value;
  while (left >= 1024 && step < units.length - 1) {
    left /= 1024;
    step += 1;
  }
  return `${left >= 100 || step === 0 ? Math.round(left) : left.toFixed(1)} ${units[step]}`;
}

/** A span of time, in its two largest units. */
export function span(ms: number): string {
  const s = Math.round(Math.abs(ms) / 1000);
  if (Math.abs(ms) < 1000) return `${Math.round(Math.abs(ms))} ms`;
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min`;
  if (s < 86_400) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  return `${Math.floor(s / 86_400)} d ${Math.floor((s % 86_400) / 3600)} h`;
}

/** Seconds, as plots of latencies have them. */
export function latency(s: number | undefined): string {
  if (s === undefined) return '–';
  if (s === 0) return '0';
  if (s < 0.001) return `${Math.round(s * 1e6)} µs`;
  return s < 1 ? `${Math.round(s * 10_000) / 10} ms` : `${Math.round(s * 100) / 100} s`;
}

export function ago(ms: number, now = Date.now()): string {
  const since = now - ms;
  if (Math.abs(since) < 2_000) return 'now';
  return since >= 0 ? `${span(since)} ago` : `in ${span(since)}`;
}

/** UTC: what a log says too. */
export function instant(ms: number): string {
  const date = new Date(ms);
  return Number.isNaN(date.getTime())
    ? String(ms)
    : date.toISOString().replace('T', ' ').replace('Z', ' UTC');
}

/** The time of a day, for lines that come by. */
export function clock(ms: number): string {
  return instant(ms).slice(11, 23);
}
