/** The nodes of the server. */
import type { Page } from '../api';
import { bytes, span } from '../format';
import { useLoad } from '../load';
import { useSession } from '../session';
import { Facts, Section, Sheet, Shown } from '../ui/state';
import { Json, Name, Tag } from '../ui/text';

type Node = Record<string, unknown> & { id: number };

export function Nodes() {
  const { api } = useSession();
  const nodes = useLoad('nodes', (signal) => api.get<Page<Node>>('/nodes', {}, signal), {
    everyMs: 5_000,
  });
  const version = useLoad('version', (signal) =>
    api.get<{ name: string; version: string }>('/version', {}, signal),
  );
  return (
    <Sheet title="Nodes" lead={version.data && `Tidings ${version.data.version}`}>
      <Shown of={nodes}>
        {({ items }) =>
          items.map((node) => (
            <Section title={`Node ${node.id}`}>
              <Facts rows={rowsOf(node)} />
            </Section>
          ))
        }
      </Shown>
    </Sheet>
  );
}

function rowsOf({ id: _, ...node }: Node) {
  return Object.entries(node)
    .filter(([, value]) => value !== null && value !== undefined && value !== '')
    .map(([name, value]) => [wordsOf(name), shown(name, value)] as const);
}

const WORDS: Record<string, string> = {
  tls: 'TLS',
  pid: 'Process',
  uptime_s: 'Running for',
  admin_listen: 'Health at',
};

function wordsOf(name: string): string {
  const known = WORDS[name];
  if (known !== undefined) return known;
  const words = name.replace(/_(s|bytes)$/, '').replaceAll('_', ' ');
  return words.charAt(0).toUpperCase() + words.slice(1);
}

function shown(name: string, value: unknown) {
  if (name === 'uptime_s') return span(Number(value) * 1000);
  if (name.endsWith('_bytes')) return bytes(Number(value));
  if (typeof value === 'boolean')
    return <Tag kind={value ? 'good' : 'warn'}>{value ? 'yes' : 'no'}</Tag>;
  return typeof value === 'object' ? <Json value={value} /> : <Name text={String(value)} />;
}
