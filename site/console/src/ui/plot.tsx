/** A small plot of figures over time: one line, its newest value, its highest. */
import { useRef } from 'preact/hooks';
import { short } from '../format';

export interface Sample {
  at_ms: number;
  value: number;
}

/** So many samples are kept: at one each two seconds, five minutes. */
export const SAMPLES_MAX = 150;

/** Keeps samples of rising counts as rates per second. */
export class Rates {
  private before: { at_ms: number; count: number } | undefined;
  readonly samples: Sample[] = [];

  add(at_ms: number, count: number): void {
    const before = this.before;
    this.before = { at_ms, count };
    if (!before || at_ms <= before.at_ms) return;
    // A server that began anew counts from 0 again.
    const more = count >= before.count ? count - before.count : count;
    push(this.samples, { at_ms, value: (more * 1_000) / (at_ms - before.at_ms) });
  }
}

/** A count of durations by their bounds, each bucket with those below it; the last has no bound. */
export interface Histogram {
  count: number;
  sum: number;
  buckets: { le: number | null; count: number }[];
}

/** Keeps, from reading to reading, the time within which 99 of 100 were done: an upper bound, in seconds. */
export class Slowest {
  private before: Histogram | undefined;
  readonly samples: Sample[] = [];

  add(at_ms: number, now: Histogram): void {
    const before = this.before;
    this.before = now;
    if (!before) return;
    // A server that began anew counts from 0 again.
    const isAnew = now.count < before.count;
    const more = isAnew ? now.count : now.count - before.count;
    let value = 0;
    if (more > 0) {
      const since = (at: number) =>
        now.buckets[at]!.count - (isAnew ? 0 : (before.buckets[at]?.count ?? 0));
      const at = now.buckets.findIndex((_, at) => since(at) >= more * 0.99);
      const bounds = now.buckets.map((bucket) => bucket.le).filter((le) => le !== null);
      value = now.buckets[at]?.le ?? bounds.at(-1) ?? 0;
    }
    push(this.samples, { at_ms, value });
  }
}

export function push(samples: Sample[], sample: Sample): void {
  samples.push(sample);
  if (samples.length > SAMPLES_MAX) samples.shift();
}

export function useSeries<T>(make: () => T): T {
  const series = useRef<T>();
  series.current ??= make();
  return series.current;
}

const WIDTH = 300;
const HEIGHT = 64;

export function Plot({
  title,
  samples,
  unit = '',
  format = short,
}: {
  title: string;
  samples: readonly Sample[];
  unit?: string;
  format?: (value: number | undefined) => string;
}) {
  const newest = samples.at(-1);
  const highest = Math.max(0, ...samples.map((sample) => sample.value));
  const said =
    newest === undefined
      ? `${title}: no figures yet`
      : `${title}: ${format(newest.value)}${unit} now, at most ${format(highest)}${unit}`;
  return (
    <figure class="plot">
      <figcaption>
        <span>{title}</span>
        <strong>
          {newest === undefined ? '…' : format(newest.value)}
          <span class="unit">{unit}</span>
        </strong>
      </figcaption>
      <svg
        viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
        preserveAspectRatio="none"
        role="img"
        aria-label={said}
      >
        <path class="plot-base" d={`M0 ${HEIGHT - 1}H${WIDTH}`} />
        {samples.length > 1 && (
          <>
            <path
              class="plot-area"
              d={`${line(samples, highest)}V${HEIGHT}H${x(samples, samples[0]!)}Z`}
            />
            <path class="plot-line" d={line(samples, highest)} />
          </>
        )}
      </svg>
      <p class="plot-foot">
        <span>
          {samples.length > 1 ? `at most ${format(highest)}${unit}` : 'gathering figures …'}
        </span>
      </p>
    </figure>
  );
}

function x(samples: readonly Sample[], sample: Sample): number {
  const last = samples.at(-1)!.at_ms;
  // The newest stands at the right; the plot grows from there to the left.
  const perSample = (last - samples[0]!.at_ms) / Math.max(1, samples.length - 1);
  const whole = Math.max(1, perSample * (SAMPLES_MAX - 1));
  const shown =
    samples.length < 30
      ? Math.max(1, last - samples[0]!.at_ms)
      : Math.min(whole, last - samples[0]!.at_ms);
  return Math.round((WIDTH - ((last - sample.at_ms) / shown) * WIDTH) * 10) / 10;
}

function line(samples: readonly Sample[], highest: number): string {
  const scale = highest > 0 ? (HEIGHT - 6) / highest : 0;
  const points = samples.map(
    (sample) =>
      `${x(samples, sample)} ${Math.round((HEIGHT - 1 - sample.value * scale) * 10) / 10}`,
  );
  return `M${points.join('L')}`;
}
