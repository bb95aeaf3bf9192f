/** API keys: who may call the server. */
import { all, path } from '../api';
import { useLoad } from '../load';
import { to } from '../router';
import { useSession } from '../session';
import { Act, Once, type Field } from '../ui/act';
import { Section, Sheet, Shown } from '../ui/state';
import { Table } from '../ui/table';
import { Name, Tag, Time } from '../ui/text';

interface Key {
  id: string;
  name: string;
  role: 'admin' | 'app' | 'read';
  apps: string[];
  state: 'active' | 'revoked' | 'expired';
  made_ms: number;
  expires_ms: number | null;
  used_ms: number | null;
  old_secrets_until_ms: number | null;
}

type Made = Key & { key: string };

const EXPIRES: Field = {
  name: 'days',
  label: 'Ends',
  type: 'select',
  options: [
    ['', 'never by itself'],
    ['1', 'in a day'],
    ['7', 'in a week'],
    ['30', 'in 30 days'],
    ['365', 'in a year'],
  ],
};

function useKeys() {
  const { api } = useSession();
  // A server has at most 1,000 that are good.
  return useLoad('keys', () => all<Key>(api, '/keys', {}, { max: 2_000 }));
}

export function Keys() {
  const { isAdmin } = useSession();
  const keys = useKeys();
  return (
    <Sheet
      title="Keys"
      lead="Who may call the server from outside. Secrets are shown once, when they are made."
      actions={isAdmin && <NewKey done={keys.reload} />}
    >
      <Shown of={keys}>
        {({ items }) => <KeyTable rows={items} done={keys.reload} empty="There is no key." />}
      </Shown>
    </Sheet>
  );
}

/** The keys that reach an app because they name it. */
export function AppKeys({ app }: { app: string }) {
  const { isAdmin } = useSession();
  const keys = useKeys();
  return (
    <Section title="Keys of this app" actions={isAdmin && <NewKey app={app} done={keys.reload} />}>
      <Shown of={keys}>
        {({ items }) => (
          <KeyTable
            rows={items.filter((key) => key.apps.includes(app))}
            done={keys.reload}
            empty="No key is limited to this app. Keys for all apps are on the page of keys."
          />
        )}
      </Shown>
    </Section>
  );
}

function KeyTable({
  rows,
  done,
  empty,
}: {
  rows: readonly Key[];
  done: () => void;
  empty: string;
}) {
  const { api, isAdmin, me } = useSession();
  const kinds = { active: 'good', revoked: 'bad', expired: 'warn' } as const;
  return (
    <Table
      label="Keys"
      rows={rows}
      id={(key) => key.id}
      empty={empty}
      columns={[
        {
          title: 'Name',
          cell: (key) => (
            <>
              <Name text={key.name} />
              {key.id === me.name && (
                <>
                  {' '}
                  <Tag>yours</Tag>
                </>
              )}
            </>
          ),
        },
        { title: 'Id', cell: (key) => <code>{key.id}</code> },
        { title: 'Role', cell: (key) => key.role },
        {
          title: 'Apps',
          cell: (key) =>
            key.apps.length === 0
              ? 'all'
              : key.apps.map((app) => (
                  <a class="tag" href={to(['apps', app])}>
                    {app.slice(0, 8)}…
                  </a>
                )),
        },
        { title: 'State', cell: (key) => <Tag kind={kinds[key.state]}>{key.state}</Tag> },
        {
          title: 'Used',
          cell: (key) => (key.used_ms === null ? 'never' : <Time ms={key.used_ms} />),
        },
        {
          title: 'Ends',
          cell: (key) => (key.expires_ms === null ? 'never' : <Time ms={key.expires_ms} />),
        },
        { title: 'Old secret until', cell: (key) => <Time ms={key.old_secrets_until_ms} /> },
        isAdmin && {
          title: '',
          cell: (key) =>
            key.state === 'active' && (
              <>
                <Act
                  label="Rotate"
                  about={key.id}
                  title={`Give key ${key.id} a new secret`}
                  fields={[
                    {
                      name: 'overlap',
                      label: 'The old secret is good for',
                      type: 'select',
                      options: [
                        ['86400', 'a day more'],
                        ['3600', 'an hour more'],
                        ['0', 'no longer: it has leaked'],
                      ],
                    },
                  ]}
                  run={async ({ overlap }) => {
                    const made = await api.post<Made>(path`/keys/${key.id}/rotate`, {
                      overlap_s: Number(overlap),
                    });
                    return <Once label="The new text of the key." text={made.key} />;
                  }}
                  done={done}
                />
                <Act
                  label="Revoke"
                  about={key.id}
                  title={`Revoke key ${key.id}?`}
                  lead={
                    key.id === me.name
                      ? 'This is the key that you are logged in with: you are logged out.'
                      : 'Whoever uses it is refused at once.'
                  }
                  isGrave
                  run={async () => (
                    await api.delete(path`/keys/${key.id}`),
                    'The key was revoked.'
                  )}
                  done={done}
                />
              </>
            ),
        },
      ]}
    />
  );
}

function NewKey({ app, done }: { app?: string; done: () => void }) {
  const { api } = useSession();
  const roles =
    app === undefined
      ? ([
          ['read', 'read: looks only'],
          ['app', 'app: everything about its apps'],
          ['admin', 'admin: everything'],
        ] as const)
      : ([
          ['app', 'app: everything about this app'],
          ['read', 'read: looks only'],
        ] as const);
  return (
    <Act
      label="New key"
      title="New key"
      isPlain={false}
      submit="Make it"
      fields={[
        { name: 'name', label: 'Name', hint: 'Whose it is, for people.' },
        { name: 'role', label: 'Role', type: 'select', options: roles },
        ...(app === undefined
          ? [
              {
                name: 'apps',
                label: 'Only for apps',
                hint: 'Their ids, separated by commas. The role app needs some, admin has none.',
              },
            ]
          : []),
        EXPIRES,
      ]}
      run={async ({ name, role, apps = '', days }) => {
        const made = await api.post<Made>('/keys', {
          name,
          role,
          apps: app === undefined ? apps.split(/[\s,]+/).filter((one) => one !== '') : [app],
          ...(days ? { expires_ms: Date.now() + Number(days) * 86_400_000 } : {}),
        });
        return <Once label="The key." text={made.key} />;
      }}
      done={done}
    />
  );
}
