/** Who is logged in at the console, and what that person may see. */
import { createContext } from 'preact';
import { useContext } from 'preact/hooks';
import type { Api, Credentials } from './api';

export interface Me {
  name: string;
  role: 'admin' | 'app' | 'read';
  apps: string[] | null;
  /** Of a login: when it ends, in Unix milliseconds. */
  ends_ms?: number;
}

export interface Session {
  api: Api;
  me: Me;
  /** Whether the whole server may be looked at. */
  seesServer: boolean;
  /** Whether the server, its apps and its keys may be changed. */
  isAdmin: boolean;
  /** Whether anything may be changed. */
  writes: boolean;
  logOut: (why?: string) => void;
}

export function sessionOf(api: Api, me: Me, logOut: (why?: string) => void): Session {
  return {
    api,
    me,
    seesServer: me.role !== 'app' && me.apps === null,
    isAdmin: me.role === 'admin',
    writes: me.role !== 'read',
    logOut,
  };
}

const Current = createContext<Session | undefined>(undefined);
export const SessionProvider = Current.Provider;

export function useSession(): Session {
  const session = useContext(Current);
  if (!session) throw new Error('nobody is logged in');
  return session;
}

const PLACE = 'tidings-console-key';

/** The key lasts as long as this tab, and no longer. A browser that keeps nothing keeps it in memory only. */
export const kept = {
  read(): string | undefined {
    try {
      return sessionStorage.getItem(PLACE) ?? undefined;
    } catch {
      return undefined;
    }
  },
  write(credentials: Credentials | undefined): void {
    try {
      if (credentials?.kind === 'key') sessionStorage.setItem(PLACE, credentials.key);
      else sessionStorage.removeItem(PLACE);
    } catch {
      // Nothing is kept: the next reload asks for the key again.
    }
  },
};
