/** Invitations under way: who calls whom. */
import { path, type Page } from '../api';
import { useLoad } from '../load';
import { go } from '../router';
import { useSession } from '../session';
import { Act, Filter } from '../ui/act';
import { Sheet, Shown } from '../ui/state';
import { Table } from '../ui/table';
import { ChannelLink, Name, Tag, Time, UserLink } from '../ui/text';

interface Invitation {
  id: string;
  from: string;
  to: string;
  state: string;
  content: string;
  channel?: string;
  at_ms: number;
}

export function Invitations({ app, query }: { app: string; query: URLSearchParams }) {
  const { api, writes } = useSession();
  const user = query.get('user') ?? '';
  const found = useLoad(
    `invitations ${app}`,
    (signal) => api.get<Page<Invitation>>(path`/apps/${app}/invitations`, { limit: 100 }, signal),
    { everyMs: 3_000 },
  );
  const fits = (one: Invitation) => user === '' || one.from === user || one.to === user;
  return (
    <Sheet title="Invitations" lead="Those under way now, at most 100 of each hub.">
      <div class="filters">
        <Filter
          submit="Show"
          fields={[{ name: 'user', label: 'Only of or to user', value: user }]}
          apply={(values) => go(['apps', app, 'invitations'], values)}
        />
      </div>
      <Shown of={found}>
        {({ items }) => (
          <Table
            label="Invitations"
            rows={items.filter(fits)}
            id={(one) => one.id}
            empty={
              user === ''
                ? 'No invitation is under way.'
                : 'No invitation of or to this user is under way.'
            }
            columns={[
              { title: 'From', cell: (one) => <UserLink app={app} user={one.from} /> },
              { title: 'To', cell: (one) => <UserLink app={app} user={one.to} /> },
              {
                title: 'State',
                cell: (one) => (
                  <Tag {...(one.state === 'ended' ? {} : { kind: 'good' as const })}>
                    {one.state}
                  </Tag>
                ),
              },
              {
                title: 'Channel',
                cell: (one) => one.channel && <ChannelLink app={app} channel={one.channel} />,
              },
              {
                title: 'Content',
                cell: (one) => one.content !== '' && <Name text={one.content} />,
              },
              { title: 'Sent', cell: (one) => <Time ms={one.at_ms} /> },
              writes && {
                title: '',
                cell: (one) =>
                  one.state !== 'ended' && (
                    <Act
                      label="End"
                      about={`invitation of ${one.from.slice(0, 60)}`}
                      title="End this invitation?"
                      lead="Both sides are told that it has ended."
                      isGrave
                      run={async () => (
                        await api.delete(path`/apps/${app}/invitations/${one.id}`),
                        'The invitation was ended.'
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
