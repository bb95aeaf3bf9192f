/** Channels of an app, and one with its members, attributes and what happens in it. */
import { path, type Page } from '../api';
import { count } from '../format';
import { useList, useLoad } from '../load';
import { go, to } from '../router';
import { useSession } from '../session';
import { Act, Filter } from '../ui/act';
import { Facts, Section, Sheet, Shown } from '../ui/state';
import { Table } from '../ui/table';
import { ChannelLink, Name, UserLink } from '../ui/text';
import { AttributesSection } from './attributes';
import { Tail } from './events';

interface ChannelRecord {
  name: string;
  members: number;
}

export function Channels({ app, query }: { app: string; query: URLSearchParams }) {
  const { api } = useSession();
  const prefix = query.get('prefix') ?? '';
  const found = useList<ChannelRecord>(
    `channels ${app} ${prefix}`,
    (cursor, signal) =>
      api.get<Page<ChannelRecord>>(
        path`/apps/${app}/channels`,
        { prefix, cursor, limit: 100 },
        signal,
      ),
    { everyMs: 5_000 },
  );
  return (
    <Sheet title="Channels" lead="Those that somebody is in.">
      <div class="filters">
        <Filter
          submit="Open"
          fields={[{ name: 'channel', label: 'A channel, by exact name', isRequired: true }]}
          apply={({ channel = '' }) => go(['apps', app, 'channels', channel])}
        />
        <Filter
          submit="Show"
          fields={[{ name: 'prefix', label: 'Names that begin with', value: prefix }]}
          apply={(values) => go(['apps', app, 'channels'], values)}
        />
      </div>
      <Shown of={found}>
        {(rows) => (
          <Table
            label="Channels"
            rows={rows}
            id={(one) => one.name}
            more={found.more}
            empty={
              prefix === ''
                ? 'Nobody is in a channel now.'
                : 'Nobody is in a channel whose name begins so.'
            }
            columns={[
              { title: 'Channel', cell: (one) => <ChannelLink app={app} channel={one.name} /> },
              { title: 'Members', isNumber: true, cell: (one) => count(one.members) },
            ]}
          />
        )}
      </Shown>
    </Sheet>
  );
}

export function Channel({ app, channel }: { app: string; channel: string }) {
  const { api } = useSession();
  const found = useLoad(
    `channel ${app} ${channel}`,
    (signal) => api.get<ChannelRecord>(path`/apps/${app}/channels/${channel}`, {}, signal),
    { everyMs: 5_000 },
  );
  return (
    <Sheet title={<Name text={channel} />} lead="Channel">
      <Shown of={found}>
        {(record) => (
          <>
            <Facts rows={[['Members', count(record.members)]]} />
            <p class="links">
              <a href={to(['apps', app, 'stored'], { channel })}>Its stored messages</a>
              <a href={to(['apps', app, 'trace'], { channel })}>Trace its messages</a>
            </p>
            <Members app={app} channel={channel} />
            <Section title="Live">
              <Tail
                app={app}
                keep={(event) => event.channel === channel}
                types=""
                awaited={['channel_message_events']}
              />
            </Section>
            <AttributesSection app={app} owner={['channels', channel]} />
          </>
        )}
      </Shown>
    </Sheet>
  );
}

function Members({ app, channel }: { app: string; channel: string }) {
  const { api, writes } = useSession();
  const members = useList<{ user: string }>(
    `members ${app} ${channel}`,
    (cursor, signal) =>
      api.get<Page<{ user: string }>>(
        path`/apps/${app}/channels/${channel}/members`,
        { cursor, limit: 50 },
        signal,
      ),
    { everyMs: 5_000 },
  );
  return (
    <Section title="Members">
      <Shown of={members}>
        {(rows) => (
          <Table
            label="Members"
            rows={rows}
            id={(one) => one.user}
            more={members.more}
            empty="Nobody is in it now."
            columns={[
              { title: 'User', cell: (one) => <UserLink app={app} user={one.user} /> },
              writes && {
                title: '',
                cell: (one) => (
                  <Act
                    label="Remove"
                    about={one.user.slice(0, 60)}
                    title="Take this user out of the channel?"
                    lead={
                      <>
                        <Name text={one.user} /> is told, and may join again.
                      </>
                    }
                    isGrave
                    run={async () => {
                      await api.post(
                        path`/apps/${app}/channels/${channel}/members/${one.user}/remove`,
                      );
                      return 'The user was taken out of the channel.';
                    }}
                    done={members.reload}
                  />
                ),
              },
            ]}
          />
        )}
      </Shown>
    </Section>
  );
}
