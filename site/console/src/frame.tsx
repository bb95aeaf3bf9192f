/** What stands around every page: the bar, the ways to other pages, and the page itself. */
import { useEffect, useState } from 'preact/hooks';
import { useLoad } from './load';
import { ago } from './format';
import { Brand } from './pages/login';
import { type AppRecord, App, Apps } from './pages/apps';
import { Audit } from './pages/audit';
import { Bans } from './pages/bans';
import { Channel, Channels } from './pages/channels';
import { Events } from './pages/events';
import { Invitations } from './pages/invitations';
import { Keys } from './pages/keys';
import { Nodes } from './pages/nodes';
import { Overview } from './pages/overview';
import { Sessions } from './pages/sessions';
import { Stored } from './pages/stored';
import { Tokens } from './pages/tokens';
import { Trace } from './pages/trace';
import { User } from './pages/user';
import { Webhook, Webhooks } from './pages/webhooks';
import { go, to, type Place } from './router';
import { useSession } from './session';
import { Said } from './ui/act';
import { Empty, Sheet } from './ui/state';
import { Name } from './ui/text';

/** Pages of an app by their place in the address, as the menu has them. */
const OF_APP = [
  ['', 'App'],
  ['users', 'Users and sessions'],
  ['channels', 'Channels'],
  ['events', 'Events'],
  ['trace', 'Message tracer'],
  ['invitations', 'Invitations'],
  ['stored', 'Stored messages'],
  ['webhooks', 'Webhooks'],
  ['bans', 'Bans'],
  ['tokens', 'Tokens'],
] as const;

const OF_SERVER = [
  ['keys', 'Keys'],
  ['nodes', 'Nodes'],
  ['audit', 'Audit log'],
] as const;

export function Frame({ place }: { place: Place }) {
  const { me, seesServer, logOut } = useSession();
  const [isOpen, setOpen] = useState(false);
  const [first, app] = place.parts;
  useEffect(() => setOpen(false), [place]);
  const isHere = (parts: string[]) =>
    parts.every((part, at) => place.parts[at] === part) &&
    (parts.length > 2 || place.parts.length === parts.length);
  const link = (parts: string[], text: string) => (
    <li>
      <a href={to(parts)} {...(isHere(parts) ? { 'aria-current': 'page' as const } : {})}>
        {text}
      </a>
    </li>
  );
  return (
    <>
      <a class="skip" href="#content" onClick={skip}>
        To the content
      </a>
      <header class="bar">
        <button
          type="button"
          class="plain menu-button"
          aria-expanded={isOpen}
          aria-controls="menu"
          onClick={() => setOpen(!isOpen)}
        >
          Menu
        </button>
        <a class="home" href={to([])}>
          <Brand />
        </a>
        <div class="me">
          <span class="who">
            <Name text={me.name} chars={40} />{' '}
            <span class="quiet">
              {me.role}
              {me.ends_ms !== undefined && `, ends ${ago(me.ends_ms)}`}
            </span>
          </span>
          <button type="button" class="plain" onClick={() => logOut()}>
            Log out
          </button>
        </div>
      </header>
      <div class="body">
        <nav id="menu" class={isOpen ? 'menu open' : 'menu'} aria-label="Pages">
          <ul>
            {link([], 'Overview')}
            {link(['apps'], 'Apps')}
          </ul>
          {first === 'apps' && app !== undefined && (
            <>
              <AppChoice app={app} page={place.parts[2] ?? ''} />
              <ul>
                {OF_APP.map(([page, text]) =>
                  link(page === '' ? ['apps', app] : ['apps', app, page], text),
                )}
              </ul>
            </>
          )}
          {seesServer && (
            <>
              <p class="menu-title">Server</p>
              <ul>{OF_SERVER.map(([page, text]) => link([page], text))}</ul>
            </>
          )}
        </nav>
        <main id="content" tabIndex={-1}>
          <Content key={place.parts.slice(0, 4).join('/')} place={place} />
        </main>
      </div>
      <Said />
    </>
  );
}

function skip(event: Event): void {
  event.preventDefault();
  document.getElementById('content')?.focus();
}

function AppChoice({ app, page }: { app: string; page: string }) {
  const { api } = useSession();
  const apps = useLoad('apps', (signal) =>
    api.get<{ items: AppRecord[] }>('/apps', { limit: 100 }, signal),
  );
  const items = apps.data?.items ?? [];
  const isListed = items.some((one) => one.id === app);
  return (
    <p class="menu-title">
      <label for="app-choice">App</label>
      <select
        id="app-choice"
        value={app}
        onChange={(event) =>
          go(['apps', event.currentTarget.value, ...(page === '' ? [] : [page])])
        }
      >
        {!isListed && <option value={app}>{app}</option>}
        {items.map((one) => (
          <option value={one.id}>{labelOf(one)}</option>
        ))}
      </select>
    </p>
  );
}

/** A menu's entries are text only: what would hide or turn is left out. */
function labelOf({ name, id }: AppRecord): string {
  const seen = name.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, '').trim();
  return seen === '' ? id : `${seen.slice(0, 40)} (${id.slice(0, 6)}…)`;
}

function Content({ place }: { place: Place }) {
  const { seesServer } = useSession();
  const [first, app, page, name] = place.parts;
  useEffect(() => {
    const words = place.parts.map((part) => part.slice(0, 40).replace(/\p{Cf}/gu, '')).reverse();
    document.title = [...words, 'Tidings console'].join(' – ');
  }, [place]);
  if (first === undefined || first === 'login') return <Overview />;
  if (first === 'apps' && app === undefined) return <Apps />;
  if (first === 'apps' && app !== undefined) {
    const query = place.query;
    switch (page) {
      case undefined:
        return <App app={app} />;
      case 'users':
        return name === undefined ? (
          <Sessions app={app} query={query} />
        ) : (
          <User app={app} user={name} />
        );
      case 'channels':
        return name === undefined ? (
          <Channels app={app} query={query} />
        ) : (
          <Channel app={app} channel={name} />
        );
      case 'events':
        return <Events app={app} query={query} />;
      case 'trace':
        return <Trace app={app} query={query} message={name} />;
      case 'invitations':
        return <Invitations app={app} query={query} />;
      case 'stored':
        return <Stored app={app} query={query} />;
      case 'webhooks':
        return name === undefined ? <Webhooks app={app} /> : <Webhook app={app} id={name} />;
      case 'bans':
        return <Bans app={app} query={query} />;
      case 'tokens':
        return <Tokens app={app} query={query} />;
    }
  }
  if (seesServer && first === 'keys') return <Keys />;
  if (seesServer && first === 'nodes') return <Nodes />;
  if (seesServer && first === 'audit') return <Audit query={place.query} />;
  const isServers = ['keys', 'nodes', 'audit'].includes(first);
  return (
    <Sheet title={isServers ? 'Not with this key' : 'No such page'}>
      <Empty>
        {isServers
          ? 'This page is about the whole server: it needs a key with the role admin, or a read key for every app.'
          : 'There is nothing at this address. The menu has all pages.'}
      </Empty>
    </Sheet>
  );
}
