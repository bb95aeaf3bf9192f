/** Who has changed what, and who has looked at stored messages. */
import { all } from '../api';
import { instant } from '../format';
import { useLoad } from '../load';
import { to } from '../router';
import { useSession } from '../session';
import { Filter } from '../ui/act';
import { Empty, Sheet, Shown } from '../ui/state';
import { Table } from '../ui/table';
import { Json, Name } from '../ui/text';

interface Entry {
  cursor: string;
  at_ms: number;
  by: string;
  address?: string;
  action: string;
  app?: string;
  before?: unknown;
  after?: unknown;
}

const ENTRIES_MAX = 2_000;

const SPANS = [
  ['1', 'the last hour'],
  ['24', 'the last day'],
  ['168', 'the last week'],
  ['720', 'the last 30 days'],
  ['', 'all that is kept'],
] as const;

/** The log's cursors are times: microseconds in 20 digits. */
function cursorOf(unixMs: number): string {
  return String(Math.max(0, Math.round(unixMs)) * 1000).padStart(20, '0');
}

export function Audit({ query }: { query: URLSearchParams }) {
  const { api } = useSession();
  const hours = query.get('hours') ?? '24';
  const [by = '', action = ''] = ['by', 'action'].map((name) => query.get(name) ?? '');
  const found = useLoad(`audit ${hours}`, () => {
    const after = hours === '' ? undefined : cursorOf(Date.now() - Number(hours) * 3_600_000);
    const query = { order: 'desc', after };
    return all<Entry>(api, '/audit', query, { max: ENTRIES_MAX, parameter: 'before' });
  });
  const fits = (entry: Entry) => (by === '' || entry.by === by) && entry.action.includes(action);
  return (
    <Sheet
      title="Audit log"
      lead="Each change through the API, and each look at stored messages; the newest first."
      actions={
        <button type="button" class="plain" onClick={found.reload}>
          Look again
        </button>
      }
    >
      <div class="filters">
        <Filter
          submit="Show"
          fields={[
            { name: 'hours', label: 'Of', type: 'select', options: SPANS, value: hours },
            { name: 'by', label: 'By key', value: by },
            { name: 'action', label: 'Action contains', value: action },
          ]}
          apply={({ hours = '', by = '', action = '' }) =>
            (location.hash = `#/audit?${new URLSearchParams({ hours, by, action })}`)
          }
        />
      </div>
      <Shown of={found}>
        {({ items, isWhole }) => (
          <>
            {!isWhole && (
              <Empty>These are the newest {items.length} of this time; there are more.</Empty>
            )}
            <Table
              label="Audit log"
              rows={items.filter(fits)}
              id={(entry) => entry.cursor}
              empty="Nothing that fits was done in this time."
              columns={[
                {
                  title: 'Time',
                  cell: (entry) => <time class="nowrap">{instant(entry.at_ms).slice(0, 19)}</time>,
                },
                { title: 'By', cell: (entry) => <Name text={entry.by} chars={40} /> },
                { title: 'Action', cell: (entry) => <Name text={shortened(entry)} chars={200} /> },
                {
                  title: 'App',
                  cell: (entry) =>
                    entry.app && <a href={to(['apps', entry.app])}>{entry.app.slice(0, 8)}…</a>,
                },
                { title: 'From', cell: (entry) => entry.address && <code>{entry.address}</code> },
                { title: 'More', cell: (entry) => <Change entry={entry} /> },
              ]}
            />
          </>
        )}
      </Shown>
    </Sheet>
  );
}

function Change({ entry }: { entry: Entry }) {
  const { before, after } = entry;
  if (before === undefined && after === undefined) return null;
  return (
    <details>
      <summary>Details</summary>
      {before !== undefined && (
        <>
          <p class="quiet">Before</p>
          <Json value={before} />
        </>
      )}
      {after !== undefined && (
        <>
          <p class="quiet">After</p>
          <Json value={after} />
        </>
      )}
    </details>
  );
}

/** Without what the column of the app says. */
function shortened({ action, app }: Entry): string {
  const plain = decoded(action).replace('/api/v1/', '/');
  return app === undefined ? plain : plain.replace(`/apps/${app}/`, '/');
}

function decoded(text: string): string {
  try {
    return decodeURI(text);
  } catch {
    return text;
  }
}
