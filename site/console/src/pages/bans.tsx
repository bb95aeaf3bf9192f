/** Who may not log in, join or send. */
import { path, type Page } from '../api';
import { useList } from '../load';
import { go } from '../router';
import { useSession } from '../session';
import { Act, Filter } from '../ui/act';
import { Sheet, Shown } from '../ui/state';
import { Table } from '../ui/table';
import { ChannelLink, Name, Tag, Time, UserLink } from '../ui/text';
import { BAN_TIMES } from './user';

interface Ban {
  id: number | null;
  source: 'api' | 'file';
  user_id: string | null;
  channel: string | null;
  address: string | null;
  privileges: string[];
  note: string;
  by: string | null;
  made_ms: number | null;
  until_ms: number | null;
}

export function Bans({ app, query }: { app: string; query: URLSearchParams }) {
  const { api, writes } = useSession();
  const user = query.get('user') ?? '';
  const found = useList<Ban>(`bans ${app}`, (cursor, signal) =>
    api.get<Page<Ban>>(path`/apps/${app}/bans`, { cursor, limit: 100 }, signal),
  );
  return (
    <Sheet
      title="Bans"
      lead="Rules in force. They reach running sessions within a second."
      actions={writes && <NewBan app={app} user={user} done={found.reload} />}
    >
      <div class="filters">
        <Filter
          submit="Show"
          fields={[{ name: 'user', label: 'Only of user', value: user }]}
          apply={(values) => go(['apps', app, 'bans'], values)}
        />
      </div>
      <Shown of={found}>
        {(rows) => (
          <Table
            label="Bans"
            rows={rows.filter((ban) => user === '' || ban.user_id === user)}
            id={(ban) => `${ban.id} ${ban.user_id}`}
            more={found.more}
            empty={user === '' ? 'Nobody is banned.' : 'No rule in this list names this user.'}
            columns={[
              {
                title: 'User',
                cell: (ban) =>
                  ban.user_id === null ? 'everybody' : <UserLink app={app} user={ban.user_id} />,
              },
              {
                title: 'Channel',
                cell: (ban) =>
                  ban.channel === null ? (
                    'everywhere'
                  ) : (
                    <ChannelLink app={app} channel={ban.channel} />
                  ),
              },
              {
                title: 'Address',
                cell: (ban) => (ban.address === null ? 'any' : <code>{ban.address}</code>),
              },
              {
                title: 'Takes away',
                cell: (ban) =>
                  ban.privileges.map((one) => <Tag kind="bad">{one.replaceAll('_', ' ')}</Tag>),
              },
              {
                title: 'Ends',
                cell: (ban) => (ban.until_ms === null ? 'never' : <Time ms={ban.until_ms} />),
              },
              { title: 'Why', cell: (ban) => ban.note !== '' && <Name text={ban.note} /> },
              {
                title: 'By',
                cell: (ban) =>
                  ban.source === 'file' ? 'the file of apps' : <Name text={ban.by ?? ''} />,
              },
              writes && {
                title: '',
                cell: (ban) =>
                  ban.id !== null && (
                    <Act
                      label="Lift"
                      about={`ban ${ban.id}`}
                      title="Lift this ban?"
                      run={async () => (
                        await api.delete(path`/apps/${app}/bans/${String(ban.id)}`),
                        'The ban was lifted.'
                      )}
                      done={found.reload}
                    />
                  ),
              },
            ]}
          />
        )}
      </Shown>
    </Sheet>
  );
}

function NewBan({ app, user, done }: { app: string; user: string; done: () => void }) {
  const { api } = useSession();
  return (
    <Act
      label="New ban"
      title="New ban"
      isPlain={false}
      submit="Ban"
      isGrave
      lead="Whom the rule names: a user, a channel, an address or a mixture. What stays empty fits everybody."
      fields={[
        { name: 'user_id', label: 'User', value: user },
        { name: 'channel', label: 'Channel' },
        {
          name: 'address',
          label: 'Address',
          hint: 'Such as 192.0.2.7 or 192.0.2.0/24; not together with a channel.',
        },
        {
          name: 'privilege',
          label: 'Takes away',
          type: 'select',
          options: [
            ['', 'login, or joining where a channel is named'],
            ['login', 'login'],
            ['join_channel', 'joining'],
            ['send_message', 'sending'],
          ],
        },
        {
          name: 'seconds',
          label: 'For',
          type: 'select',
          options: [...BAN_TIMES, ['', 'ever']],
          value: '86400',
        },
        { name: 'note', label: 'Why', hint: 'For people, at most 500 characters.' },
      ]}
      run={async ({ privilege, seconds, ...rest }) => {
        const given = Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== ''));
        await api.post(path`/apps/${app}/bans`, {
          ...given,
          ...(privilege ? { privileges: [privilege] } : {}),
          ...(seconds ? { seconds: Number(seconds) } : {}),
        });
        return 'The ban is in force.';
      }}
      done={done}
    />
  );
}
