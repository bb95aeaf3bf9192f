/** Stored messages: histories, and what waits for a user. Every look is in the audit log. */
import { path, type Page } from '../api';
import { bytes } from '../format';
import { useList } from '../load';
import { go } from '../router';
import { useSession } from '../session';
import { Act, Filter } from '../ui/act';
import { Empty, Section, Sheet, Shown } from '../ui/state';
import { Table } from '../ui/table';
import { ChannelLink, Name, Payload, Tag, Time, UserLink } from '../ui/text';

interface Message {
  message_id: string;
  from: string;
  channel?: string;
  user?: string;
  at_ms: number;
  expires_ms?: number;
  type: string;
  payload?: string;
  payload_base64?: string;
}

interface Which {
  title: string;
  key: string;
  load: (cursor: string | undefined, signal: AbortSignal) => Promise<Page<Message>>;
  remove: () => Promise<unknown>;
  removing: string;
}

export function Stored({ app, query }: { app: string; query: URLSearchParams }) {
  const { api } = useSession();
  const [channel = '', one = '', other = '', waiting = ''] = [
    'channel',
    'one',
    'other',
    'waiting',
  ].map((name) => query.get(name) ?? '');
  const history = (of: Record<string, string>): Pick<Which, 'load' | 'remove' | 'removing'> => ({
    load: (after, signal) =>
      api.get(path`/apps/${app}/history`, { ...of, after, limit: 50 }, signal),
    remove: () => api.delete(path`/apps/${app}/history`, of),
    removing: 'The whole history is deleted, for everybody.',
  });
  const historyOf = (one: string, other: string) => {
    // The first comma parts the two, so that the first has none.
    const [first, second] = one.includes(',') ? [other, one] : [one, other];
    return history({ users: `${first},${second}` });
  };
  let which: Which | undefined;
  if (channel !== '')
    which = { title: 'History of a channel', key: `c ${channel}`, ...history({ channel }) };
  else if (one !== '' && other !== '')
    which = { title: 'History of two users', key: `u ${one},${other}`, ...historyOf(one, other) };
  else if (waiting !== '')
    which = {
      title: 'Messages that wait for a user',
      key: `w ${waiting}`,
      load: (cursor, signal) =>
        api.get(path`/apps/${app}/users/${waiting}/offline`, { cursor, limit: 50 }, signal),
      remove: () => api.delete(path`/apps/${app}/users/${waiting}/offline`),
      removing: 'The user never gets these messages.',
    };
  return (
    <Sheet
      title="Stored messages"
      lead="What people wrote to each other. Each look is written into the audit log, with your name."
    >
      <div class="filters">
        <Filter
          submit="Look"
          fields={[
            { name: 'channel', label: 'History of channel', value: channel, isRequired: true },
          ]}
          apply={(values) => go(['apps', app, 'stored'], values)}
        />
        <Filter
          submit="Look"
          fields={[
            { name: 'one', label: 'Between user', value: one, isRequired: true },
            { name: 'other', label: 'and user', value: other, isRequired: true },
          ]}
          apply={(values) => go(['apps', app, 'stored'], values)}
        />
        <Filter
          submit="Look"
          fields={[
            { name: 'waiting', label: 'Waiting for user', value: waiting, isRequired: true },
          ]}
          apply={(values) => go(['apps', app, 'stored'], values)}
        />
      </div>
      {which ? (
        <Messages key={which.key} app={app} which={which} />
      ) : (
        <Empty>Say whose messages you want to see.</Empty>
      )}
    </Sheet>
  );
}

function Messages({ app, which }: { app: string; which: Which }) {
  const { writes } = useSession();
  const found = useList<Message>(`stored ${app} ${which.key}`, which.load);
  return (
    <Section
      title={which.title}
      actions={
        writes &&
        (found.data?.length ?? 0) > 0 && (
          <Act
            label="Delete all"
            title="Delete these messages?"
            lead={which.removing}
            isGrave
            run={async () => (await which.remove(), 'The messages were deleted.')}
            done={found.reload}
          />
        )
      }
    >
      <Shown of={found}>
        {(rows) => (
          <Table
            label="Messages, the oldest first"
            rows={rows}
            id={(one) => one.message_id}
            more={found.more}
            empty="Nothing is stored there."
            columns={[
              { title: 'Sent', cell: (one) => <Time ms={one.at_ms} /> },
              { title: 'From', cell: (one) => <UserLink app={app} user={one.from} /> },
              { title: 'To', cell: (one) => <To app={app} message={one} /> },
              { title: 'Kind', cell: (one) => <Tag>{one.type}</Tag> },
              { title: 'Message', cell: (one) => <Content message={one} /> },
            ]}
          />
        )}
      </Shown>
    </Section>
  );
}

function To({ app, message }: { app: string; message: Message }) {
  if (message.channel !== undefined) return <ChannelLink app={app} channel={message.channel} />;
  if (message.user !== undefined) return <UserLink app={app} user={message.user} />;
  return <span class="quiet">–</span>;
}

function Content({ message }: { message: Message }) {
  if (message.payload !== undefined) return <Payload text={message.payload} chars={2_000} />;
  const raw = message.payload_base64;
  if (raw === undefined) return <span class="quiet">no text</span>;
  return (
    <>
      <span class="quiet">{bytes(Math.floor((raw.length * 3) / 4))}, base64 </span>
      <Name text={raw} chars={60} />
    </>
  );
}
