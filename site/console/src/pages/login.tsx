/** The way in: an API key, or the operator's own login server. */
import type { TargetedSubmitEvent } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { Api, Problem } from '../api';
import { Failure } from '../ui/state';

interface Offer {
  /** Absent: this server has none. */
  login_server: { name: string } | null;
}

/** What the server says in the address when a login did not succeed. */
const REASONS: Record<string, string> = {
  denied: 'The login server did not let you in.',
  expired: 'The login took too long, or was begun in another window. Begin again.',
  invalid: 'The answer of the login server could not be trusted. The server’s log says why.',
  no_role: 'You are known, but you have no role here. Ask whoever runs this server.',
  unavailable: 'The login server cannot be reached. Try again, or use a key.',
};

export function Login({
  why,
  failed,
  enter,
}: {
  why: string | undefined;
  failed: string | null;
  enter: (key: string) => Promise<void>;
}) {
  const [offer, setOffer] = useState<Offer>();
  const [problem, setProblem] = useState<Problem>();
  const [isChecking, setChecking] = useState(false);
  const field = useRef<HTMLInputElement>(null);
  useEffect(() => {
    const stop = new AbortController();
    // A server without this path has no login server either.
    new Api(undefined).get<Offer>('/login', {}, stop.signal).then(setOffer, () => {});
    return () => stop.abort();
  }, []);
  const send = async (event: TargetedSubmitEvent<HTMLFormElement>) => {
    event.preventDefault();
    const key = field.current?.value.trim() ?? '';
    if (!/^[\x21-\x7e]+$/.test(key)) {
      setProblem(
        new Problem(0, 'form', 'This is no key.', 'A key begins with tdk_ and has no spaces.'),
      );
      field.current?.focus();
      return;
    }
    setChecking(true);
    setProblem(undefined);
    try {
      await enter(key);
    } catch (error) {
      setProblem(Problem.of(error));
      setChecking(false);
      field.current?.select();
    }
  };
  const reason = failed === null ? undefined : (REASONS[failed] ?? REASONS['invalid']);
  return (
    <main class="login">
      <h1>
        <Brand />
      </h1>
      {why !== undefined && (
        <p class="notice" role="status">
          {why}
        </p>
      )}
      {reason !== undefined && (
        <p class="notice bad" role="alert">
          {reason}
        </p>
      )}
      {offer?.login_server && (
        <>
          <a class="button" href={new URL('../api/v1/login/start', document.baseURI).href}>
            Log in with {offer.login_server.name}
          </a>
          <p class="or">or</p>
        </>
      )}
      <form onSubmit={(event) => void send(event)}>
        <label for="key">API key</label>
        <input
          id="key"
          ref={field}
          type="password"
          autocomplete="off"
          spellcheck={false}
          required
          aria-describedby="key-hint"
          aria-invalid={problem !== undefined}
        />
        <p class="hint" id="key-hint">
          The server printed one at its first start; <code>tidings key create</code> makes more. It
          stays in this tab until you close it or log out.
        </p>
        {problem && <Failure problem={problem} />}
        <button type="submit" disabled={isChecking}>
          {isChecking ? 'Checking …' : 'Log in'}
        </button>
      </form>
    </main>
  );
}

export function Brand() {
  return (
    <span class="brand">
      <svg viewBox="0 0 32 32" aria-hidden="true">
        <path d="M4 13.5c4-3.6 8-3.6 12 0s8 3.6 12 0M4 21c4-3.6 8-3.6 12 0s8 3.6 12 0" />
      </svg>
      Tidings <span class="brand-kind">console</span>
    </span>
  );
}
