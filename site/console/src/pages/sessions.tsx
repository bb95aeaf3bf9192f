/** Users and sessions of an app: who is there, and away with one. */
import { path, type Page } from '../api';
import { bytes, count } from '../format';
import { useList } from '../load';
import { go } from '../router';
import { useSession } from '../session';
import { Act, Filter } from '../ui/act';
import { Sheet, Shown } from '../ui/state';
import { Table } from '../ui/table';
import { Name, Tag, Time, UserLink } from '../ui/text';

export interface SessionRecord {
  id: string;
  user: string;
  protocol: 'native' | 'legacy';
  sdk_version?: string;
  address?: string;
  connected: boolean;
  state: string;
  since_ms: number;
  last_seen_ms: number;
  channels: number;
  queue_messages: number;
  queue_bytes: number;
  token_ends_ms?: number;
  node: number;
}

export function Sessions({ app, query }: { app: string; query: URLSearchParams }) {
  const { api } = useSession();
  const [user, channel, protocol] = ['user', 'channel', 'protocol'].map(
    (name) => query.get(name) ?? '',
  );
  const found = useList<SessionRecord>(
    `sessions ${app} ${query}`,
    (cursor, signal) =>
      api.get<Page<SessionRecord>>(
        path`/apps/${app}/sessions`,
        { user, channel, protocol, cursor, limit: 50 },
        signal,
      ),
    { everyMs: 5_000 },
  );
  return (
    <Sheet
      title="Users and sessions"
      lead="Who is connected now, or can still come back to a session."
    >
      <div class="filters">
        <Filter
          submit="Open"
          fields={[{ name: 'user', label: 'A user, by exact id', isRequired: true }]}
          apply={({ user = '' }) => go(['apps', app, 'users', user])}
        />
        <Filter
          submit="Show"
          fields={[
            { name: 'channel', label: 'Only in channel', value: channel ?? '' },
            {
              name: 'protocol',
              label: 'Only by',
              type: 'select',
              value: protocol ?? '',
              options: [
                ['', 'any protocol'],
                ['native', 'native'],
                ['legacy', 'legacy'],
              ],
            },
          ]}
          apply={(values) => go(['apps', app, 'users'], values)}
        />
      </div>
      <Shown of={found}>
        {(rows) => (
          <SessionTable
            app={app}
            rows={rows}
            more={found.more}
            done={found.reload}
            empty={`${query}` === '' ? 'Nobody is there now.' : 'Nobody who fits is there now.'}
          />
        )}
      </Shown>
    </Sheet>
  );
}

export function SessionTable({
  app,
  rows,
  more,
  done,
  empty,
  ofOne = false,
}: {
  app: string;
  rows: readonly SessionRecord[];
  more?: (() => void) | undefined;
  done: () => void;
  empty: string;
  ofOne?: boolean;
}) {
  const { writes } = useSession();
  return (
    <Table
      label="Sessions"
      rows={rows}
      id={(one) => one.id}
      more={more}
      empty={empty}
      columns={[
        !ofOne && { title: 'User', cell: (one) => <UserLink app={app} user={one.user} /> },
        { title: 'State', cell: (one) => <SessionState of={one} /> },
        {
          title: 'Client',
          cell: (one) => (
            <>
              <Tag>{one.protocol}</Tag> <Name text={one.sdk_version ?? ''} chars={40} />
            </>
          ),
        },
        { title: 'Address', cell: (one) => (one.address ? <code>{one.address}</code> : '–') },
        { title: 'Since', cell: (one) => <Time ms={one.since_ms} /> },
        { title: 'Heard', cell: (one) => <Time ms={one.last_seen_ms} /> },
        { title: 'Channels', isNumber: true, cell: (one) => count(one.channels) },
        {
          title: 'Queue',
          isNumber: true,
          cell: (one) =>
            one.queue_messages === 0
              ? '0'
              : `${count(one.queue_messages)} (${bytes(one.queue_bytes)})`,
        },
        { title: 'Token ends', cell: (one) => <Time ms={one.token_ends_ms} /> },
        writes && { title: '', cell: (one) => <EndSession app={app} session={one} done={done} /> },
      ]}
    />
  );
}

function SessionState({ of }: { of: SessionRecord }) {
  if (!of.connected) return <Tag kind="warn">may come back</Tag>;
  return <Tag kind={of.state === 'online' ? 'good' : 'warn'}>{of.state}</Tag>;
}

function EndSession({
  app,
  session,
  done,
}: {
  app: string;
  session: SessionRecord;
  done: () => void;
}) {
  const { api } = useSession();
  return (
    <Act
      label="Disconnect"
      about={session.user.slice(0, 60)}
      title="End this session?"
      lead={
        <>
          Of <Name text={session.user} />. Its client is told to stay away, but may log in again.
        </>
      }
      isGrave
      run={async () => (
        await api.delete(path`/apps/${app}/sessions/${session.id}`),
        'The session was ended.'
      )}
      done={done}
    />
  );
}
