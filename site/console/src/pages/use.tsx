/** Live figures of one app, and what was refused. */
import { path } from '../api';
import { bytes, count } from '../format';
import { useLoad } from '../load';
import { useSession } from '../session';
import { Plot, push, Rates, useSeries, type Sample } from '../ui/plot';
import { Empty, Facts, Section, Shown } from '../ui/state';
import { Table } from '../ui/table';
import { Tag } from '../ui/text';

/** How often live figures are asked for. */
export const LIVE_MS = 2_000;

interface Traffic {
  sent: number;
  bytes: number;
  delivered: number;
}

interface AppStats {
  at_ms: number;
  is_counted: boolean;
  sessions: number;
  connections: number;
  channels: number;
  messages: { peer: Traffic; channel: Traffic };
  logins: { native: number; legacy: number; resumed: number; refused: Record<string, number> };
  refusals: Record<string, number>;
  errors: Record<string, number>;
  webhooks: { on: number; failing: number; off: number; dead_letters: number };
  media_bytes: number;
  tokens_near_expiry: number;
}

/** Live figures of one app. */
export function Use({ app }: { app: string }) {
  const { api } = useSession();
  const plots = useSeries(() => ({
    messages: new Rates(),
    deliveries: new Rates(),
    logins: new Rates(),
    sessions: [] as Sample[],
  }));
  const stats = useLoad(
    `stats ${app}`,
    (signal) => api.get<AppStats>(path`/apps/${app}/stats`, {}, signal),
    {
      everyMs: LIVE_MS,
      onData: ({ at_ms: at, messages, logins, sessions }) => {
        plots.messages.add(at, messages.peer.sent + messages.channel.sent);
        plots.deliveries.add(at, messages.peer.delivered + messages.channel.delivered);
        plots.logins.add(at, logins.native + logins.legacy + logins.resumed);
        push(plots.sessions, { at_ms: at, value: sessions });
      },
    },
  );
  return (
    <Shown of={stats} missing="The server has no figures of this app.">
      {(stats) => (
        <>
          {!stats.is_counted && (
            <Empty>
              More apps have been used than the server counts one by one: the figures of this one
              are among the others’.
            </Empty>
          )}
          <div class="plots">
            <Plot title="Messages" unit=" /s" samples={plots.messages.samples} />
            <Plot title="Deliveries" unit=" /s" samples={plots.deliveries.samples} />
            <Plot title="Logins and resumes" unit=" /s" samples={plots.logins.samples} />
            <Plot title="Sessions" samples={plots.sessions} />
          </div>
          <Facts
            rows={[
              ['Connections', count(stats.connections)],
              ['Channels', count(stats.channels)],
              ['Messages to users', count(stats.messages.peer.sent)],
              ['Messages to channels', count(stats.messages.channel.sent)],
              ['Logins, native', count(stats.logins.native)],
              ['Logins, legacy', count(stats.logins.legacy)],
              ['Tokens near their end', count(stats.tokens_near_expiry)],
              ['Files', bytes(stats.media_bytes)],
              [
                'Webhooks on, failing, off',
                [stats.webhooks.on, stats.webhooks.failing, stats.webhooks.off]
                  .map(count)
                  .join(', '),
              ],
              ['Dead letters', count(stats.webhooks.dead_letters)],
            ]}
          />
          <Refused
            kinds={[
              ['by a limit', stats.refusals],
              ['at the login', stats.logins.refused],
              ['with an error', stats.errors],
            ]}
          />
        </>
      )}
    </Shown>
  );
}

/** What was refused since the start, and why: the first thing to look at when somebody complains. */
export function Refused({
  kinds,
}: {
  kinds: readonly (readonly [string, Record<string, number>])[];
}) {
  const rows = kinds.flatMap(([how, reasons]) =>
    Object.entries(reasons).map(([reason, times]) => ({ how, reason, times })),
  );
  const some = rows.filter((row) => row.times > 0).sort((one, other) => other.times - one.times);
  if (some.length === 0) return null;
  return (
    <Section title="Refused since the start">
      <Table
        label="Refused since the start"
        rows={some}
        id={(row) => `${row.how} ${row.reason}`}
        empty=""
        columns={[
          { title: 'How', cell: (row) => row.how },
          { title: 'Why', cell: (row) => <Tag kind="warn">{row.reason.replaceAll('_', ' ')}</Tag> },
          { title: 'Times', isNumber: true, cell: (row) => count(row.times) },
        ]}
      />
    </Section>
  );
}
