/** What happens in an app, as it happens. */
import { useEffect, useRef, useState } from 'preact/hooks';
import { path, type AppEvent, type Problem } from '../api';
import { bytes, clock, instant } from '../format';
import { useLoad } from '../load';
import { go, to } from '../router';
import { useSession } from '../session';
import type { AppRecord } from './apps';
import { Filter } from '../ui/act';
import { Failure, Sheet } from '../ui/state';
import { Table } from '../ui/table';
import { ChannelLink, Name, Tag, UserLink } from '../ui/text';

/** Lines that stand in the page; older ones are forgotten. */
const LINES_MAX = 200;

/** Busy streams are shown in steps: a page that is drawn for each event would do nothing else. */
const DRAW_MS = 250;

const FAMILIES = [
  ['', 'everything'],
  ['user.*', 'logins, logouts, bans'],
  ['channel.*', 'joins and leaves'],
  ['message.*', 'messages'],
  ['invitation.*', 'invitations'],
] as const;

export function Events({ app, query }: { app: string; query: URLSearchParams }) {
  const types = query.get('types') ?? '';
  const user = query.get('user') ?? '';
  const isOf = (event: AppEvent) => user === '' || event.user === user || event.peer === user;
  return (
    <Sheet title="Events" lead="From now on, as they happen. Messages are told by their size only.">
      <div class="filters">
        <Filter
          submit="Show"
          fields={[
            { name: 'types', label: 'Kinds', type: 'select', value: types, options: FAMILIES },
            { name: 'user', label: 'Only of user', value: user },
          ]}
          apply={(values) => go(['apps', app, 'events'], values)}
        />
      </div>
      <Tail key={`${types} ${user}`} app={app} types={types} keep={isOf} />
    </Sheet>
  );
}

export function Tail({
  app,
  types,
  keep,
  awaited = ['peer_message_events', 'channel_message_events'],
}: {
  app: string;
  types: string;
  keep: (event: AppEvent) => boolean;
  /** Settings without which somebody might wait here for nothing. */
  awaited?: readonly string[];
}) {
  const { api } = useSession();
  const [lines, setLines] = useState<AppEvent[]>([]);
  const [state, setState] = useState<'opening' | 'open' | 'lost'>('opening');
  const [problem, setProblem] = useState<Problem>();
  const [isHeld, setHeld] = useState(false);
  const latest = useRef({ keep, isHeld });
  latest.current = { keep, isHeld };
  useEffect(() => {
    const stop = new AbortController();
    let fresh: AppEvent[] = [];
    const draw = setInterval(() => {
      if (fresh.length === 0 || latest.current.isHeld) return;
      const added = fresh.reverse();
      fresh = [];
      setLines((lines) => [...added, ...lines].slice(0, LINES_MAX));
    }, DRAW_MS);
    void api.follow(app, types, stop.signal, {
      event: (event) => {
        if (event.type !== 'gap' && !latest.current.keep(event)) return;
        fresh.push(event);
        if (fresh.length > LINES_MAX) fresh.shift();
      },
      state: (state, why) => {
        setState(state);
        setProblem(why);
      },
    });
    return () => {
      stop.abort();
      clearInterval(draw);
    };
  }, [api, app, types]);
  return (
    <>
      <p class="tail-state">
        <span role="status">
          {state === 'open' && <Tag kind="good">live</Tag>}
          {state === 'opening' && 'Connecting …'}
          {state === 'lost' && <Tag kind="warn">not connected</Tag>}
        </span>{' '}
        <button type="button" class="plain" aria-pressed={isHeld} onClick={() => setHeld(!isHeld)}>
          {isHeld ? 'Go on' : 'Hold'}
        </button>{' '}
        <button type="button" class="plain" onClick={() => setLines([])}>
          Clear
        </button>
      </p>
      {problem && <Failure problem={problem} />}
      {['', 'message.*'].includes(types) && <Unheard app={app} awaited={awaited} />}
      <Table
        label="Events, the newest first"
        rows={lines}
        id={(event) => event.cursor + event.type}
        empty={
          state === 'open'
            ? 'Nothing has happened yet.'
            : 'Nothing is shown until the stream is open.'
        }
        columns={[
          {
            title: 'Time',
            cell: (event) => <time title={instant(event.at_ms)}>{clock(event.at_ms)}</time>,
          },
          {
            title: 'Event',
            cell: (event) => (
              <Tag {...(event.type === 'gap' ? { kind: 'bad' as const } : {})}>{event.type}</Tag>
            ),
          },
          {
            title: 'User',
            cell: (event) => event.user !== undefined && <UserLink app={app} user={event.user} />,
          },
          { title: 'Where', cell: (event) => <Where app={app} event={event} /> },
          { title: 'More', cell: (event) => <More app={app} event={event} /> },
        ]}
      />
    </>
  );
}

/** Events that the app does not ask for. */
function Unheard({ app, awaited }: { app: string; awaited: readonly string[] }) {
  const { api } = useSession();
  const record = useLoad(`app ${app}`, (signal) =>
    api.get<AppRecord>(path`/apps/${app}`, {}, signal),
  );
  const settings = record.data?.settings ?? {};
  const off = awaited.filter((name) => settings[name] === false);
  if (off.length === 0) return null;
  const kinds = off.map((name) => name.replace('_message_events', ' messages')).join(' and ');
  return (
    <p class="hint">
      {kinds} are not among the events of this app, because it has{' '}
      {off.map((name, at) => (
        <>
          {at > 0 && ' and '}
          <code>{name}</code>
        </>
      ))}{' '}
      off.
    </p>
  );
}

function Where({ app, event }: { app: string; event: AppEvent }) {
  if (event.channel !== undefined) return <ChannelLink app={app} channel={event.channel} />;
  if (event.peer !== undefined) return <UserLink app={app} user={event.peer} />;
  return null;
}

function More({ app, event }: { app: string; event: AppEvent }) {
  const isMessage = event.type.startsWith('message.');
  return (
    <>
      {event.missing !== undefined && <>{event.missing} events are missing </>}
      {event.bytes !== undefined && <>{bytes(event.bytes)} </>}
      {event.detail !== undefined && <Name text={event.detail} />}
      {isMessage && event.id !== undefined && (
        <a href={to(['apps', app, 'trace', event.id])}>trace</a>
      )}
    </>
  );
}
