/** The console: who is logged in, where one is, and the page for it. */
import { render } from 'preact';
import { useCallback, useEffect, useState } from 'preact/hooks';
import { Api, Problem, type Credentials } from './api';
import { Frame } from './frame';
import { Login } from './pages/login';
import { usePlace } from './router';
import { kept, sessionOf, SessionProvider, type Me, type Session } from './session';
import { Failure } from './ui/state';

interface CookieLogin {
  csrf: string | null;
}

function Console() {
  const place = usePlace();
  const [session, setSession] = useState<Session>();
  const [why, setWhy] = useState<string>();
  const [isBeginning, setBeginning] = useState(true);
  const [problem, setProblem] = useState<Problem>();

  const leave = useCallback((why?: string) => {
    kept.write(undefined);
    setSession(undefined);
    setWhy(why);
  }, []);

  const enter = useCallback(
    async (credentials: Credentials) => {
      const api = new Api(credentials, (problem) =>
        leave(`You were logged out: ${problem.detail}.`),
      );
      const me = await new Api(credentials).get<Me>('/me');
      kept.write(credentials);
      const logOut = (why?: string) => {
        // The cookie is the server's to end; the key only has to be forgotten.
        if (credentials.kind === 'login') void api.post('/login/end').catch(() => {});
        leave(why);
      };
      setWhy(undefined);
      setSession(sessionOf(api, me, logOut));
    },
    [leave],
  );

  const resume = useCallback(async () => {
    setProblem(undefined);
    setBeginning(true);
    const key = kept.read();
    try {
      if (key !== undefined) await enter({ kind: 'key', key });
      else {
        const login = await new Api(undefined).get<CookieLogin>('/login/session');
        if (login.csrf !== null) await enter({ kind: 'login', csrf: login.csrf });
      }
    } catch (error) {
      const problem = Problem.of(error);
      if (problem.status === 401 && key !== undefined)
        leave(`You were logged out: ${problem.detail}.`);
      else if (problem.status === 0 || problem.status === 429 || problem.status >= 500)
        setProblem(problem);
    } finally {
      setBeginning(false);
    }
  }, [enter, leave]);
  useEffect(() => void resume(), [resume]);

  if (session)
    return (
      <SessionProvider value={session}>
        <Frame place={place} />
      </SessionProvider>
    );
  if (isBeginning)
    return (
      <main class="login">
        <p class="loading" role="status">
          Loading …
        </p>
      </main>
    );
  if (problem)
    return (
      <main class="login">
        <h1>Tidings console</h1>
        <Failure problem={problem} retry={() => void resume()} />
      </main>
    );
  return (
    <Login
      why={why}
      failed={place.query.get('failed')}
      enter={(key) => enter({ kind: 'key', key })}
    />
  );
}

render(<Console />, document.getElementById('console')!);
