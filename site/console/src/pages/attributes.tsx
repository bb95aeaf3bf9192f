/** Attributes of a user or a channel. */
import { path } from '../api';
import { useLoad } from '../load';
import { useSession } from '../session';
import { Act } from '../ui/act';
import { Section, Shown } from '../ui/state';
import { Table } from '../ui/table';
import { Name, Payload, Time } from '../ui/text';

interface AttributeView {
  attributes: Record<string, string>;
  updated: Record<string, { by: string; at_ms: number }>;
}

export function AttributesSection({
  app,
  owner,
}: {
  app: string;
  owner: ['users' | 'channels', string];
}) {
  const { api, writes } = useSession();
  const [kind, name] = owner;
  const address = () =>
    kind === 'users'
      ? path`/apps/${app}/users/${name}/attributes`
      : path`/apps/${app}/channels/${name}/attributes`;
  const found = useLoad(`attributes ${app} ${kind} ${name}`, (signal) =>
    api.get<AttributeView>(address(), {}, signal),
  );
  const change = (key: string, value: string) =>
    api.patch(address(), { attributes: { [key]: value } });
  const remove = (key: string, all: Record<string, string>) => {
    if (!key.includes(',')) return api.delete(address(), { keys: key });
    // A comma parts the names of a query: the others are written without it.
    const rest = Object.fromEntries(Object.entries(all).filter(([name]) => name !== key));
    return Object.keys(rest).length === 0
      ? api.delete(address())
      : api.put(address(), { attributes: rest });
  };
  return (
    <Section
      title="Attributes"
      actions={
        writes && (
          <Act
            label="Set one"
            title="Set an attribute"
            fields={[
              { name: 'key', label: 'Key', isRequired: true },
              { name: 'value', label: 'Value', type: 'area' },
            ]}
            run={async ({ key = '', value = '' }) => (
              await change(key, value),
              'The attribute was set.'
            )}
            done={found.reload}
          />
        )
      }
    >
      <Shown of={found} missing="A user’s attributes are there while the user is online.">
        {({ attributes, updated }) => (
          <Table
            label="Attributes"
            rows={Object.entries(attributes)}
            id={([key]) => key}
            empty="None."
            columns={[
              { title: 'Key', cell: ([key]) => <Name text={key} /> },
              { title: 'Value', cell: ([, value]) => <Payload text={value} chars={600} /> },
              { title: 'By', cell: ([key]) => <Name text={updated[key]?.by ?? ''} /> },
              { title: 'Changed', cell: ([key]) => <Time ms={updated[key]?.at_ms} /> },
              writes && {
                title: '',
                cell: ([key]) => (
                  <Act
                    label="Delete"
                    about={key.slice(0, 60)}
                    title="Delete this attribute?"
                    isGrave
                    run={async () => (await remove(key, attributes), 'The attribute was deleted.')}
                    done={found.reload}
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
