/** One user: sessions, channels, attributes, and what can be done about it. */
import { path } from '../api';
import { useLoad } from '../load';
import { to } from '../router';
import { useSession } from '../session';
import { Act, type Field } from '../ui/act';
import { Empty, Facts, Section, Sheet, Shown } from '../ui/state';
import { ChannelLink, Name, Tag } from '../ui/text';
import { AttributesSection } from './attributes';
import { SessionTable, type SessionRecord } from './sessions';

interface UserRecord {
  user: string;
  online: boolean;
  state: string;
  sessions: SessionRecord[];
  channels: string[];
}

const REASON: Field = {
  name: 'reason',
  label: 'Why',
  hint: 'For the audit log and the list of bans.',
};

/** For how long a ban lasts, as forms offer it. */
export const BAN_TIMES = [
  ['3600', 'an hour'],
  ['86400', 'a day'],
  ['604800', 'a week'],
  ['2592000', '30 days'],
  ['31536000', 'a year'],
] as const;

export function User({ app, user }: { app: string; user: string }) {
  const { api, writes } = useSession();
  const found = useLoad(
    `user ${app} ${user}`,
    (signal) => api.get<UserRecord>(path`/apps/${app}/users/${user}`, {}, signal),
    {
      everyMs: 5_000,
    },
  );
  return (
    <Sheet
      title={<Name text={user} />}
      lead="User"
      actions={writes && <UserActions app={app} user={user} done={found.reload} />}
    >
      <Shown of={found}>
        {(record) => (
          <>
            <Facts
              rows={[
                ['Presence', <Tag kind={record.online ? 'good' : 'warn'}>{record.state}</Tag>],
                ['Sessions', record.sessions.length],
                ['Channels', record.channels.length],
              ]}
            />
            <p class="links">
              <a href={to(['apps', app, 'stored'], { waiting: user })}>
                Messages that wait for this user
              </a>
              <a href={to(['apps', app, 'trace'], { user })}>Trace this user’s messages</a>
              <a href={to(['apps', app, 'events'], { user })}>Events of this user</a>
              <a href={to(['apps', app, 'bans'], { user })}>Bans</a>
            </p>
            <Section title="Sessions">
              <SessionTable
                app={app}
                rows={record.sessions}
                done={found.reload}
                ofOne
                empty="No session now. Its messages are stored where the sender asked for it."
              />
            </Section>
            <Section title="Channels">
              {record.channels.length === 0 ? (
                <Empty>In no channel.</Empty>
              ) : (
                <ul class="names">
                  {record.channels.map((channel) => (
                    <li>
                      <ChannelLink app={app} channel={channel} />
                    </li>
                  ))}
                </ul>
              )}
            </Section>
            <AttributesSection app={app} owner={['users', user]} />
          </>
        )}
      </Shown>
    </Sheet>
  );
}

function UserActions({ app, user, done }: { app: string; user: string; done: () => void }) {
  const { api, isAdmin } = useSession();
  const end = async (body: object) => {
    const { ended } = await api.post<{ ended: number }>(
      path`/apps/${app}/users/${user}/disconnect`,
      body,
    );
    return ended === 1 ? '1 session was ended' : `${ended} sessions were ended`;
  };
  return (
    <>
      <Act
        label="Disconnect"
        title="End all sessions of this user?"
        lead="The user may log in again at once."
        isGrave
        fields={[REASON]}
        run={async ({ reason }) => `${await end({ reason })}.`}
        done={done}
      />
      <Act
        label="Ban"
        title="Ban this user?"
        lead="All sessions end, and new logins are refused for the time. The page of bans has finer rules."
        isGrave
        fields={[
          { name: 'seconds', label: 'For', type: 'select', options: BAN_TIMES, value: '86400' },
          REASON,
        ]}
        run={async ({ reason, seconds }) => {
          // The ban itself ends the sessions, so that none may be left to end.
          await end({ reason, ban_seconds: Number(seconds) });
          return 'The user is banned, and no session is left.';
        }}
        done={done}
      />
      {isAdmin && (
        <Act
          label="Erase"
          title="Erase what is stored of this user?"
          lead="Waiting messages, histories, attributes and files of this user are gone for good, for others too."
          isGrave
          fields={[{ name: 'sure', label: 'Erase it for good', type: 'check', isRequired: true }]}
          run={async () => {
            await api.delete(path`/apps/${app}/users/${user}/data`);
            return 'What was stored of this user is erased.';
          }}
          done={done}
        />
      )}
    </>
  );
}
