/** The token tool: what a token says, a new one, and taking tokens back. */
import type { TargetedSubmitEvent } from 'preact';
import { useState } from 'preact/hooks';
import { path, Problem } from '../api';
import { useSession } from '../session';
import { Act, Input, Once } from '../ui/act';
import { Empty, Facts, Failure, Section, Sheet } from '../ui/state';
import { Json, Name, Tag, Time } from '../ui/text';

interface Inspection extends Record<string, unknown> {
  check?: { verdict: string; text: string };
}

export function Tokens({ app, query }: { app: string; query: URLSearchParams }) {
  const { writes } = useSession();
  const user = query.get('user') ?? '';
  return (
    <Sheet
      title="Tokens"
      lead="Why does this token not let its user in? Paste it here; it is not kept."
    >
      {writes ? (
        <>
          <Inspect app={app} />
          <Section title="Issue and take back" actions={<TokenActions app={app} user={user} />}>
            <p>
              The server issues tokens only where the app’s setting <code>issue_tokens</code> allows
              it. Taking back is for every token that was issued before a time; sessions that they
              let in end.
            </p>
          </Section>
        </>
      ) : (
        <Empty>
          A key that only reads cannot use the token tool: it needs the role app or admin.
        </Empty>
      )}
    </Sheet>
  );
}

function Inspect({ app }: { app: string }) {
  const { api } = useSession();
  const [found, setFound] = useState<Inspection>();
  const [problem, setProblem] = useState<Problem>();
  const send = async (event: TargetedSubmitEvent<HTMLFormElement>) => {
    event.preventDefault();
    const data = new FormData(event.currentTarget);
    const user = String(data.get('user') ?? '');
    try {
      setFound(
        await api.post<Inspection>(path`/apps/${app}/tokens/inspect`, {
          token: String(data.get('token') ?? '').trim(),
          ...(user === '' ? {} : { user_id: user }),
        }),
      );
      setProblem(undefined);
    } catch (error) {
      setFound(undefined);
      setProblem(Problem.of(error));
    }
  };
  const verdict = found?.check?.verdict;
  const isGood = verdict !== undefined && ['good', 'valid', 'ok'].includes(verdict);
  return (
    <Section title="Inspect">
      <form class="wide" onSubmit={(event) => void send(event)}>
        <Input field={{ name: 'token', label: 'Token', type: 'area', isRequired: true }} />
        <Input
          field={{ name: 'user', label: 'Who would log in with it', hint: 'Empty: whom it names.' }}
        />
        <button type="submit">Inspect</button>
      </form>
      {problem && <Failure problem={problem} />}
      {found && (
        <div role="status">
          {found.check && (
            <Facts
              rows={[
                ['Verdict', <Tag kind={isGood ? 'good' : 'bad'}>{found.check.verdict}</Tag>],
                ['Why', <Name text={found.check.text} chars={400} />],
              ]}
            />
          )}
          <Json value={found} />
        </div>
      )}
    </Section>
  );
}

function TokenActions({ app, user }: { app: string; user: string }) {
  const { api } = useSession();
  const revoke = (body: object) => api.post(path`/apps/${app}/revocations`, body);
  return (
    <>
      <Act
        label="Issue"
        title="Issue a token"
        fields={[
          { name: 'user_id', label: 'For user', value: user, isRequired: true },
          {
            name: 'ttl',
            label: 'Good for, in seconds',
            type: 'number',
            value: '3600',
            isRequired: true,
            hint: '1 to 86,400',
          },
        ]}
        run={async ({ user_id, ttl }) => {
          const made = await api.post<{ token: string; expires_ms: number }>(
            path`/apps/${app}/tokens`,
            { user_id, ttl: Number(ttl) },
          );
          return (
            <>
              <Once label="The token." text={made.token} />
              <p>
                It ends <Time ms={made.expires_ms} />.
              </p>
            </>
          );
        }}
      />
      <Act
        label="Take one back"
        title="Take a token back"
        isGrave
        fields={[{ name: 'token', label: 'Token', type: 'area', isRequired: true }]}
        run={async ({ token = '' }) => (
          await revoke({ token: token.trim() }),
          'The token is good no longer.'
        )}
      />
      <Act
        label="Take a user’s back"
        title="Take all tokens of a user back"
        lead="Those issued until now. The user needs a new token to log in."
        isGrave
        fields={[{ name: 'user_id', label: 'User', value: user, isRequired: true }]}
        run={async ({ user_id }) => (
          await revoke({ user_id }),
          'The tokens of this user are good no longer.'
        )}
      />
      <Act
        label="Take everybody’s back"
        title="Take everybody’s tokens back?"
        lead="Every session of the app ends, and everybody needs a new token."
        isGrave
        fields={[
          { name: 'sure', label: 'End every session of the app', type: 'check', isRequired: true },
        ]}
        run={async () => (
          await revoke({ everybody: true }),
          'All tokens issued until now are good no longer.'
        )}
      />
    </>
  );
}
