/** Apps: all of them, and one with its limits, use and certificates. */
import { path, type Page } from '../api';
import { count } from '../format';
import { useList, useLoad } from '../load';
import { go, to } from '../router';
import { useSession } from '../session';
import { Act, Once } from '../ui/act';
import { Facts, Section, Sheet, Shown } from '../ui/state';
import { Table } from '../ui/table';
import { Json, Name, Tag, Time } from '../ui/text';
import { AppKeys } from './keys';
import { Certificates, Limits } from './limits';
import { Use } from './use';

interface Certificate {
  number: number;
  added_ms: number | null;
  age_ms: number | null;
}

export interface Rate {
  calls: number;
  window_ms: number;
}

export interface AppRecord {
  id: string;
  name: string;
  enabled: boolean;
  source: 'file' | 'options';
  created_ms: number | null;
  certificates: Certificate[];
  settings: Record<string, unknown>;
  rates: Record<string, Rate>;
  set: string[];
  banned: string[];
  services: string[];
  jwt: Record<string, unknown> | null;
}

export function Apps() {
  const { api, isAdmin } = useSession();
  const apps = useList<AppRecord>('apps', (cursor, signal) =>
    api.get<Page<AppRecord>>('/apps', { limit: 100, cursor }, signal),
  );
  return (
    <Sheet title="Apps" actions={isAdmin && <NewApp done={apps.reload} />}>
      <Shown of={apps}>
        {(rows) => (
          <Table
            label="Apps"
            rows={rows}
            id={(app) => app.id}
            more={apps.more}
            empty="There is no app yet. With --dev, the server accepts every app id without listing it."
            columns={[
              {
                title: 'App',
                cell: (app) => (
                  <a href={to(['apps', app.id])}>
                    <Name text={app.name === '' ? app.id : app.name} />
                  </a>
                ),
              },
              { title: 'Id', cell: (app) => <code>{app.id}</code> },
              { title: 'State', cell: (app) => <State app={app} /> },
              { title: 'Certificates', isNumber: true, cell: (app) => app.certificates.length },
              { title: 'Differs from defaults', isNumber: true, cell: (app) => app.set.length },
              { title: 'Made', cell: (app) => <Time ms={app.created_ms} /> },
            ]}
          />
        )}
      </Shown>
    </Sheet>
  );
}

function State({ app }: { app: AppRecord }) {
  if (!app.enabled) return <Tag kind="bad">off</Tag>;
  const isOpen = app.certificates.length === 0 && app.jwt === null;
  return isOpen ? <Tag kind="warn">open: no token needed</Tag> : <Tag kind="good">served</Tag>;
}

function NewApp({ done }: { done: () => void }) {
  const { api } = useSession();
  return (
    <Act
      label="New app"
      title="New app"
      isPlain={false}
      submit="Make it"
      fields={[
        { name: 'name', label: 'Name', hint: 'For people; it may stay empty.' },
        { name: 'open', label: 'Open: whoever knows the id can be any user', type: 'check' },
      ]}
      run={async ({ name, open }) => {
        const made = await api.post<AppRecord & { certificate: string | null }>('/apps', {
          name,
          open: open === 'yes',
        });
        if (made.certificate === null) {
          go(['apps', made.id]);
          return 'The app was made.';
        }
        return (
          <>
            <p>
              App <code>{made.id}</code> was made.
            </p>
            <Once label="Its certificate, which signs tokens." text={made.certificate} />
          </>
        );
      }}
      done={done}
    />
  );
}

export function App({ app }: { app: string }) {
  const { api, isAdmin, seesServer } = useSession();
  const found = useLoad(`app ${app}`, (signal) =>
    api.get<AppRecord>(path`/apps/${app}`, {}, signal),
  );
  return (
    <Sheet
      title={<Name text={found.data?.name || app} />}
      lead={<code>{app}</code>}
      actions={isAdmin && found.data && <AppActions app={found.data} done={found.reload} />}
    >
      <Shown
        of={found}
        missing="The server has no record of this app. With --dev it serves every app id, also those that it does not list: its users, channels and events are shown all the same."
      >
        {(record) => (
          <Facts
            rows={[
              ['State', <State app={record} />],
              ['Made', <Time ms={record.created_ms} />],
              [
                'Written down in',
                record.source === 'file'
                  ? 'the file of apps'
                  : 'the options of the server, where it is changed',
              ],
              ['JSON Web Tokens', record.jwt === null ? 'not taken' : 'taken'],
              [
                'Service users',
                record.services.length === 0
                  ? 'none'
                  : record.services.map((user) => (
                      <Tag>
                        <Name text={user} />
                      </Tag>
                    )),
              ],
              ['Banned by the file', count(record.banned.length)],
            ]}
          />
        )}
      </Shown>
      <Section title="Use">
        <Use app={app} />
      </Section>
      {found.data && (
        <>
          <Certificates app={found.data} done={found.reload} />
          <Limits app={found.data} done={found.reload} />
          {found.data.jwt !== null && (
            <Section title="JSON Web Tokens">
              <Json value={found.data.jwt} />
            </Section>
          )}
        </>
      )}
      {seesServer && <AppKeys app={app} />}
    </Sheet>
  );
}

function AppActions({ app, done }: { app: AppRecord; done: () => void }) {
  const { api } = useSession();
  const change = (patch: object) => api.patch(path`/apps/${app.id}`, patch);
  return (
    <>
      <Act
        label="Rename"
        title="Rename the app"
        fields={[{ name: 'name', label: 'Name', value: app.name }]}
        run={async ({ name }) => (await change({ name }), 'The app was renamed.')}
        done={done}
      />
      <Act
        label={app.enabled ? 'Switch off' : 'Switch on'}
        title={app.enabled ? 'Switch the app off?' : 'Switch the app on?'}
        lead={
          app.enabled
            ? 'Its sessions end at once and nobody can log in. Its data are kept.'
            : 'Its users can log in again.'
        }
        isGrave={app.enabled}
        run={async () => (
          await change({ enabled: !app.enabled }),
          app.enabled ? 'The app is off.' : 'The app is on.'
        )}
        done={done}
      />
      <Act
        label="Delete"
        title="Delete the app?"
        lead="Its sessions end, its certificates and webhooks are gone. What its users have stored stays on disk."
        isGrave
        fields={[
          {
            name: 'id',
            label: 'To be sure, write the beginning of its id',
            isRequired: true,
            hint: `${app.id.slice(0, 6)} …`,
          },
        ]}
        run={async ({ id }) => {
          if (id !== app.id && id !== app.id.slice(0, 6))
            throw new Error('That is not the beginning of its id.');
          await api.delete(path`/apps/${app.id}`);
          go(['apps']);
          return 'The app was deleted.';
        }}
      />
    </>
  );
}
