/** An app's certificates, limits and settings. */
import { path } from '../api';
import { count, span } from '../format';
import { useSession } from '../session';
import { Act, Once } from '../ui/act';
import { Empty, Section } from '../ui/state';
import { Table } from '../ui/table';
import { Name, Tag, Time } from '../ui/text';
import type { AppRecord, Rate } from './apps';

export function Certificates({ app, done }: { app: AppRecord; done: () => void }) {
  const { api, isAdmin } = useSession();
  const add = async () => {
    const made = await api.post<{ certificate: string }>(path`/apps/${app.id}/certificates`);
    return <Once label="The new certificate." text={made.certificate} />;
  };
  return (
    <Section
      title="Certificates"
      actions={
        isAdmin && (
          <Act
            label="Add"
            title="Add a certificate?"
            lead="It is taken beside the present one, so that you can change over without a pause; then promote it and drop the old one."
            run={add}
            done={done}
          />
        )
      }
    >
      <Table
        label="Certificates"
        rows={app.certificates}
        id={(one) => String(one.number)}
        empty="None: whoever knows the app id can be any user, unless JSON Web Tokens are asked for."
        columns={[
          {
            title: 'Number',
            cell: (one) => (
              <>
                {one.number} {one.number === 1 && <Tag kind="good">signs</Tag>}
              </>
            ),
          },
          { title: 'Added', cell: (one) => <Time ms={one.added_ms} /> },
          { title: 'Age', cell: (one) => (one.age_ms === null ? '–' : span(one.age_ms)) },
          isAdmin && {
            title: '',
            cell: (one) => (
              <>
                {one.number > 1 && (
                  <Act
                    label="Promote"
                    about={`certificate ${one.number}`}
                    title={`Promote certificate ${one.number}?`}
                    lead="It signs the tokens that the server issues from now on."
                    run={async () => (
                      await api.post(
                        path`/apps/${app.id}/certificates/${String(one.number)}/promote`,
                      ),
                      'Promoted.'
                    )}
                    done={done}
                  />
                )}
                <Act
                  label="Drop"
                  about={`certificate ${one.number}`}
                  title={`Drop certificate ${one.number}?`}
                  lead="Tokens that it has signed are good no longer."
                  isGrave
                  fields={[
                    { name: 'disconnect', label: 'End the sessions that it let in', type: 'check' },
                  ]}
                  run={async ({ disconnect }) => {
                    const query = disconnect === 'yes' ? { disconnect: 'true' } : {};
                    await api.delete(
                      path`/apps/${app.id}/certificates/${String(one.number)}`,
                      query,
                    );
                    return 'Dropped.';
                  }}
                  done={done}
                />
              </>
            ),
          },
        ]}
      />
    </Section>
  );
}

export function Limits({ app, done }: { app: AppRecord; done: () => void }) {
  const { api, isAdmin } = useSession();
  const canChange = isAdmin && app.source === 'file';
  const change = (patch: object) => api.patch(path`/apps/${app.id}`, patch);
  const rows = [
    ...Object.entries(app.rates).map(([name, rate]) => ({
      name,
      kind: 'rates' as const,
      shown: rate.calls === 0 ? 'no limit' : `${count(rate.calls)} in ${span(rate.window_ms)}`,
      text: `${rate.calls}/${rate.window_ms}`,
    })),
    ...Object.entries(app.settings).map(([name, value]) => ({
      name,
      kind: 'settings' as const,
      shown: typeof value === 'number' ? count(value) : JSON.stringify(value),
      text: JSON.stringify(value),
    })),
  ];
  return (
    <Section title="Limits and settings">
      {!canChange && isAdmin && (
        <Empty>This app is written down in the options of the server: change it there.</Empty>
      )}
      <Table
        label="Limits and settings"
        rows={rows}
        id={(row) => row.kind + row.name}
        empty="The server tells none."
        columns={[
          { title: 'Name', cell: (row) => <code>{row.name}</code> },
          { title: 'Value', cell: (row) => <Name text={row.shown} /> },
          { title: '', cell: (row) => app.set.includes(row.name) && <Tag kind="warn">set</Tag> },
          canChange && {
            title: '',
            cell: (row) => (
              <>
                <Act
                  label="Change"
                  about={row.name}
                  title={`Change ${row.name}`}
                  fields={[
                    {
                      name: 'value',
                      label: 'Value',
                      value: row.text,
                      isRequired: true,
                      hint:
                        row.kind === 'rates'
                          ? 'Calls, a slash, and the window in milliseconds; 0 calls = no limit.'
                          : 'As JSON: a number, true or false, or a text in quotes.',
                    },
                  ]}
                  run={async ({ value = '' }) => {
                    await change({
                      [row.kind]: {
                        [row.name]: row.kind === 'rates' ? rateOf(value) : jsonOf(value),
                      },
                    });
                    return `${row.name} was changed; running hubs know it.`;
                  }}
                  done={done}
                />
                {app.set.includes(row.name) && (
                  <Act
                    label="Default"
                    about={`of ${row.name}`}
                    title={`Take ${row.name} back to its default?`}
                    run={async () => (
                      await change({ [row.kind]: { [row.name]: null } }),
                      `${row.name} has its default.`
                    )}
                    done={done}
                  />
                )}
              </>
            ),
          },
        ]}
      />
    </Section>
  );
}

function rateOf(text: string): Rate {
  const found = /^\s*(\d+)\s*\/\s*(\d+)\s*$/.exec(text);
  if (!found) throw new Error('Write it as calls/milliseconds, such as 60/1000.');
  return { calls: Number(found[1]), window_ms: Number(found[2]) };
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new Error('This is no JSON. A text needs double quotes.');
  }
}
