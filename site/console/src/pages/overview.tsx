/** How the server is, now and in the last minutes. */
import { useLoad } from '../load';
import { bytes, count, latency, short, span } from '../format';
import { to } from '../router';
import { useSession } from '../session';
import {
  Plot,
  push,
  Rates,
  SAMPLES_MAX,
  Slowest,
  useSeries,
  type Histogram,
  type Sample,
} from '../ui/plot';
import { Empty, Facts, Section, Sheet, Shown } from '../ui/state';
import { Table } from '../ui/table';
import { Name, Tag } from '../ui/text';
import type { AppRecord } from './apps';
import { LIVE_MS, Refused, Use } from './use';

interface Hub {
  hub: number;
  sockets: number;
  connections: number;
  legacy_connections: number;
  sessions: number;
  channels: number;
  open_questions: number;
  open_store_operations: number;
  replay_bytes: number;
  connections_ended: number;
  frames_received: number;
  frames_sent: number;
  longest_turn_ms: number;
}

interface AppNumbers {
  app?: string;
  logins: number;
  resumes: number;
  peer_messages: number;
  channel_messages: number;
}

interface Family {
  type: string;
  help: string;
  samples: { labels: Record<string, string>; value: number | Histogram }[];
}

/** The samples of a metric; counters may be named with what OpenMetrics adds to them. */
function samplesOf(stats: Stats, name: string): Family['samples'] {
  return (stats.metrics?.[name] ?? stats.metrics?.[`${name}_total`])?.samples ?? [];
}

function histogramOf(stats: Stats, name: string): Histogram | undefined {
  const value = samplesOf(stats, name)[0]?.value;
  return typeof value === 'object' ? value : undefined;
}

/** A metric's sums by one of its labels. */
function sums(stats: Stats, name: string, label: string): Record<string, number> {
  const sums: Record<string, number> = {};
  for (const { labels, value } of samplesOf(stats, name)) {
    const key = labels[label] ?? '';
    if (typeof value === 'number') sums[key] = (sums[key] ?? 0) + value;
  }
  return sums;
}

interface Stats {
  at_ms: number;
  uptime_s: number;
  memory_bytes: number | null;
  store_accepts: 'everything' | 'deletions' | 'nothing';
  hubs: Hub[];
  silent_hubs: number;
  apps: AppNumbers[];
  other_apps: AppNumbers;
  store: {
    queued_operations: number;
    operations: number;
    refused: number;
    longest_group_ms: number;
  };
  metrics?: Record<string, Family>;
}

const total = <T,>(rows: readonly T[], of: (row: T) => number) =>
  rows.reduce((sum, row) => sum + of(row), 0);
const messagesOf = (app: AppNumbers) => app.peer_messages + app.channel_messages;

export function Overview() {
  const { seesServer } = useSession();
  return seesServer ? <ServerOverview /> : <AppsOverview />;
}

/** One series for each plot; they are kept while the page is open. */
function series() {
  return {
    messages: new Rates(),
    out: new Rates(),
    logins: new Rates(),
    written: new Rates(),
    requests: new Slowest(),
    writes: new Slowest(),
    sessions: [] as Sample[],
    memory: [] as Sample[],
  };
}

function ServerOverview() {
  const { api } = useSession();
  const apps = useLoad('apps', (signal) =>
    api.get<{ items: AppRecord[] }>('/apps', { limit: 100 }, signal),
  );
  const nameOf = (id = '') => apps.data?.items.find((app) => app.id === id)?.name || id;
  const plots = useSeries(series);
  const stats = useLoad('stats', (signal) => api.get<Stats>('/stats', {}, signal), {
    everyMs: LIVE_MS,
    onData: (stats) => {
      const at = stats.at_ms;
      const apps = [...stats.apps, stats.other_apps];
      plots.messages.add(at, total(apps, messagesOf));
      plots.logins.add(
        at,
        total(apps, (app) => app.logins + app.resumes),
      );
      plots.out.add(
        at,
        total(stats.hubs, (hub) => hub.frames_sent),
      );
      plots.written.add(at, stats.store.operations);
      push(plots.sessions, { at_ms: at, value: total(stats.hubs, (hub) => hub.sessions) });
      const [requests, writes] = ['tidings_request_seconds', 'tidings_message_write_seconds'].map(
        (name) => histogramOf(stats, name),
      );
      if (requests) plots.requests.add(at, requests);
      if (writes) plots.writes.add(at, writes);
      if (stats.memory_bytes !== null) push(plots.memory, { at_ms: at, value: stats.memory_bytes });
    },
  });
  return (
    <Sheet
      title="Overview"
      lead={`Live: asked every ${LIVE_MS / 1000} s; the plots hold up to ${(SAMPLES_MAX * LIVE_MS) / 60_000} minutes.`}
    >
      <Shown of={stats}>
        {(stats) => (
          <>
            {stats.silent_hubs > 0 && (
              <p class="notice bad" role="alert">
                {stats.silent_hubs} of the hubs did not answer in time: busy, or stuck.
              </p>
            )}
            {Object.entries(sums(stats, 'tidings_trouble', 'reason'))
              .filter(([, is]) => is > 0)
              .map(([reason]) => (
                <p class="notice bad" role="alert">
                  Trouble: {reason.replaceAll('_', ' ')}. The guide’s page “Runbooks” says what to
                  do.
                </p>
              ))}
            {stats.store_accepts !== 'everything' && (
              <p class="notice bad" role="alert">
                The store accepts{' '}
                {stats.store_accepts === 'deletions' ? 'deletions only' : 'nothing'}: messages to be
                stored, attributes and files are refused. The page of nodes says why.
              </p>
            )}
            <div class="plots">
              <Plot title="Messages accepted" unit=" /s" samples={plots.messages.samples} />
              <Plot title="Frames sent" unit=" /s" samples={plots.out.samples} />
              <Plot title="Sessions" samples={plots.sessions} />
              <Plot title="Logins and resumes" unit=" /s" samples={plots.logins.samples} />
              <Plot title="Written to the store" unit=" /s" samples={plots.written.samples} />
              <Plot title="Requests, 99 of 100" samples={plots.requests.samples} format={latency} />
              <Plot title="Messages, 99 of 100" samples={plots.writes.samples} format={latency} />
              <Plot title="Memory" samples={plots.memory} format={bytes} />
            </div>
            <Facts
              rows={[
                ['Running for', span(stats.uptime_s * 1000)],
                ['Connections', count(total(stats.hubs, (hub) => hub.connections))],
                ['of them legacy', count(total(stats.hubs, (hub) => hub.legacy_connections))],
                // One with members on several hubs is one.
                [
                  'Channels',
                  count(total(Object.values(sums(stats, 'tidings_channels', 'app')), (of) => of)),
                ],
                ['Kept for clients', bytes(total(stats.hubs, (hub) => hub.replay_bytes))],
                ['Waiting for the store', count(stats.store.queued_operations)],
                ['Refused by the store', count(stats.store.refused)],
                ['Longest write', `${count(stats.store.longest_group_ms)} ms`],
              ]}
            />
            <Refused
              kinds={[
                ['by a limit', sums(stats, 'tidings_refused', 'limit')],
                ['at the login', sums(stats, 'tidings_login_refused', 'reason')],
                ['at the door', sums(stats, 'tidings_sockets_refused', 'limit')],
                ['gap told', sums(stats, 'tidings_gap', 'cause')],
              ]}
            />
            <Section title="Apps">
              <Table
                label="Apps by messages since the start"
                rows={stats.apps}
                id={(app) => app.app ?? ''}
                empty="No app has had a login since the start."
                columns={[
                  {
                    title: 'App',
                    cell: (app) => (
                      <a href={to(['apps', app.app ?? ''])}>
                        <Name text={nameOf(app.app)} />
                      </a>
                    ),
                  },
                  { title: 'Logins', isNumber: true, cell: (app) => count(app.logins) },
                  { title: 'Resumes', isNumber: true, cell: (app) => count(app.resumes) },
                  { title: 'To users', isNumber: true, cell: (app) => count(app.peer_messages) },
                  {
                    title: 'To channels',
                    isNumber: true,
                    cell: (app) => count(app.channel_messages),
                  },
                ]}
              />
            </Section>
            <Section title="Hubs">
              <Table
                label="Hubs"
                rows={stats.hubs}
                id={(hub) => String(hub.hub)}
                empty="No hub has answered."
                columns={[
                  { title: 'Hub', cell: (hub) => hub.hub },
                  { title: 'Sessions', isNumber: true, cell: (hub) => count(hub.sessions) },
                  { title: 'Connections', isNumber: true, cell: (hub) => count(hub.connections) },
                  { title: 'Channels', isNumber: true, cell: (hub) => count(hub.channels) },
                  { title: 'Frames in', isNumber: true, cell: (hub) => short(hub.frames_received) },
                  { title: 'Frames out', isNumber: true, cell: (hub) => short(hub.frames_sent) },
                  { title: 'Kept', isNumber: true, cell: (hub) => bytes(hub.replay_bytes) },
                  {
                    title: 'Longest turn',
                    isNumber: true,
                    cell: (hub) => `${hub.longest_turn_ms} ms`,
                  },
                ]}
              />
            </Section>
            {stats.metrics && <Metrics families={stats.metrics} />}
          </>
        )}
      </Shown>
    </Sheet>
  );
}

/** Everything that `/metrics` has, for whoever looks for one figure. */
function Metrics({ families }: { families: Record<string, Family> }) {
  const rows = Object.entries(families).flatMap(([name, family]) =>
    family.samples.map((sample, index) => ({
      id: `${name}-${index}`,
      name,
      help: family.help,
      ...sample,
    })),
  );
  return (
    <details class="section">
      <summary>All figures, as the monitoring gets them ({rows.length})</summary>
      <Table
        label="Metrics"
        rows={rows}
        id={(row) => row.id}
        empty="There are none."
        columns={[
          { title: 'Name', cell: (row) => <code title={row.help}>{row.name}</code> },
          {
            title: 'Of',
            cell: (row) =>
              Object.entries(row.labels).map(([name, value]) => (
                <Tag>
                  {name}=<Name text={value} />
                </Tag>
              )),
          },
          { title: 'Value', isNumber: true, cell: (row) => figure(row.value) },
        ]}
      />
    </details>
  );
}

/** Of a histogram, how many and how long on the average. */
function figure(value: number | Histogram): string {
  if (typeof value === 'number') return short(value);
  return value.count === 0
    ? '0'
    : `${count(value.count)}, ${latency(value.sum / value.count)} each`;
}

/** Whoever does not see the whole server sees the apps of the key. */
function AppsOverview() {
  const { api, me } = useSession();
  const apps = useLoad('apps', (signal) =>
    api.get<{ items: AppRecord[] }>('/apps', { limit: 100 }, signal),
  );
  return (
    <Sheet
      title="Overview"
      lead={`What your key reaches: ${me.apps?.length === 1 ? 'one app' : `${me.apps?.length ?? 'all'} apps`}. Figures of the whole server need a key for all apps.`}
    >
      <Shown of={apps}>
        {({ items }) =>
          items.length === 0 ? (
            <Empty>The server serves none of the apps of your key.</Empty>
          ) : (
            <>
              {items.slice(0, 12).map((app) => (
                <Section
                  key={app.id}
                  title={<Name text={app.name === '' ? app.id : app.name} />}
                  actions={
                    <a class="button plain" href={to(['apps', app.id])}>
                      Open
                    </a>
                  }
                >
                  <Use app={app.id} />
                </Section>
              ))}
              {items.length > 12 && (
                <p>
                  <a href={to(['apps'])}>All {items.length} apps</a>
                </p>
              )}
            </>
          )
        }
      </Shown>
    </Sheet>
  );
}
