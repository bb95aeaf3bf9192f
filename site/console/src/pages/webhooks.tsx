/** Webhooks of an app, and one with its deliveries. */
import { path, type Page } from '../api';
import { count, span } from '../format';
import { useList, useLoad } from '../load';
import { go, to } from '../router';
import { useSession } from '../session';
import { Act, Once } from '../ui/act';
import { Facts, Section, Sheet, Shown } from '../ui/state';
import { Table } from '../ui/table';
import { Name, Tag, Time } from '../ui/text';

interface Subscription {
  id: string;
  url: string;
  events: string[];
  filter: { channels?: string[]; users?: string[] };
  enabled: boolean;
  off_reason?: string;
  created_ms: number;
  secret?: string;
  dead_letters: number;
  status: {
    delivered: number;
    failed_attempts: number;
    dead: number;
    lost: number;
    throttled_ms: number;
    failing?: { since_ms?: number };
  };
}

interface Attempt {
  at_ms: number;
  took_ms: number;
  status?: number;
  answer?: string;
  error?: string;
}

interface Delivery {
  n: number;
  type: string;
  event_ms: number;
  state: 'delivered' | 'retrying' | 'dead' | 'failed';
  attempt_count: number;
  attempts: Attempt[];
}

const lines = (text = '') => text.split(/[\s,]+/).filter((one) => one !== '');

export function Webhooks({ app }: { app: string }) {
  const { api, writes } = useSession();
  const found = useLoad(
    `webhooks ${app}`,
    (signal) => api.get<Page<Subscription>>(path`/apps/${app}/webhooks`, {}, signal),
    {
      everyMs: 5_000,
    },
  );
  return (
    <Sheet
      title="Webhooks"
      lead="Where the events of the app are posted."
      actions={writes && <NewWebhook app={app} done={found.reload} />}
    >
      <Shown of={found}>
        {({ items }) => (
          <Table
            label="Webhooks"
            rows={items}
            id={(one) => one.id}
            empty="There is none."
            columns={[
              {
                title: 'To',
                cell: (one) => (
                  <a href={to(['apps', app, 'webhooks', one.id])}>
                    <Name text={one.url} />
                  </a>
                ),
              },
              { title: 'State', cell: (one) => <State of={one} /> },
              {
                title: 'Events',
                cell: (one) =>
                  one.events.map((event) => (
                    <Tag>
                      <Name text={event} />
                    </Tag>
                  )),
              },
              { title: 'Delivered', isNumber: true, cell: (one) => count(one.status.delivered) },
              {
                title: 'Failed attempts',
                isNumber: true,
                cell: (one) => count(one.status.failed_attempts),
              },
              { title: 'Dead letters', isNumber: true, cell: (one) => count(one.dead_letters) },
            ]}
          />
        )}
      </Shown>
    </Sheet>
  );
}

function State({ of }: { of: Subscription }) {
  if (!of.enabled)
    return (
      <>
        <Tag kind="bad">off</Tag> {of.off_reason && <Name text={of.off_reason} />}
      </>
    );
  if (of.status.failing) return <Tag kind="warn">failing</Tag>;
  return <Tag kind="good">on</Tag>;
}

function NewWebhook({ app, done }: { app: string; done: () => void }) {
  const { api } = useSession();
  return (
    <Act
      label="New webhook"
      title="New webhook"
      isPlain={false}
      submit="Make it"
      fields={[
        { name: 'url', label: 'Address', value: 'https://', isRequired: true },
        {
          name: 'events',
          label: 'Events',
          value: 'user.*',
          isRequired: true,
          hint: 'Kinds, separated by commas; user.* stands for all of user.',
        },
        {
          name: 'channels',
          label: 'Only of channels',
          hint: 'Exact, or with * at the end; empty = all.',
        },
        {
          name: 'users',
          label: 'Only of users',
          hint: 'Exact, or with * at the end; empty = all.',
        },
      ]}
      run={async ({ url, events, channels, users }) => {
        const made = await api.post<Subscription>(path`/apps/${app}/webhooks`, {
          url,
          events: lines(events),
          filter: { channels: lines(channels), users: lines(users) },
        });
        return made.secret ? (
          <Once label="The secret that signs its notices." text={made.secret} />
        ) : (
          'The webhook was made.'
        );
      }}
      done={done}
    />
  );
}

export function Webhook({ app, id }: { app: string; id: string }) {
  const { api, writes } = useSession();
  const found = useLoad(
    `webhook ${app} ${id}`,
    (signal) => api.get<Subscription>(path`/apps/${app}/webhooks/${id}`, {}, signal),
    {
      everyMs: 5_000,
    },
  );
  const deliveries = useLoad(
    `deliveries ${app} ${id}`,
    (signal) => api.get<Page<Delivery>>(path`/apps/${app}/webhooks/${id}/deliveries`, {}, signal),
    { everyMs: 5_000 },
  );
  const dead = useList<Delivery>(`dead ${app} ${id}`, (cursor, signal) =>
    api.get<Page<Delivery>>(
      path`/apps/${app}/webhooks/${id}/dead-letters`,
      { cursor, limit: 50 },
      signal,
    ),
  );
  const reload = () => [found, deliveries, dead].forEach((one) => one.reload());
  return (
    <Sheet
      title={<Name text={found.data?.url ?? 'Webhook'} chars={80} />}
      lead="Webhook"
      actions={writes && found.data && <WebhookActions app={app} of={found.data} done={reload} />}
    >
      <Shown of={found}>
        {(one) => (
          <Facts
            rows={[
              ['State', <State of={one} />],
              [
                'Events',
                one.events.map((event) => (
                  <Tag>
                    <Name text={event} />
                  </Tag>
                )),
              ],
              [
                'Only of channels',
                one.filter.channels?.length
                  ? one.filter.channels.map((name) => (
                      <Tag>
                        <Name text={name} />
                      </Tag>
                    ))
                  : 'all',
              ],
              [
                'Only of users',
                one.filter.users?.length
                  ? one.filter.users.map((name) => (
                      <Tag>
                        <Name text={name} />
                      </Tag>
                    ))
                  : 'all',
              ],
              ['Made', <Time ms={one.created_ms} />],
              ['Delivered', count(one.status.delivered)],
              ['Failed attempts', count(one.status.failed_attempts)],
              ['Given up', count(one.status.dead)],
              ['Events lost', count(one.status.lost)],
              ['Waited for the rate', span(one.status.throttled_ms)],
            ]}
          />
        )}
      </Shown>
      <Section title="Deliveries">
        <Shown of={deliveries}>
          {({ items }) => (
            <Deliveries
              app={app}
              id={id}
              rows={items}
              empty="Nothing was delivered yet."
              done={reload}
            />
          )}
        </Shown>
      </Section>
      <Section
        title="Dead letters"
        actions={
          writes &&
          (dead.data?.length ?? 0) > 0 && (
            <Act
              label="Retry all"
              title="Deliver the dead letters again?"
              lead="One after the other, the oldest first, until one fails."
              run={async () => {
                const done = await api.post<{ delivered: number }>(
                  path`/apps/${app}/webhooks/${id}/dead-letters/retry`,
                );
                return `${done.delivered} were delivered.`;
              }}
              done={reload}
            />
          )
        }
      >
        <Shown of={dead}>
          {(rows) => (
            <Deliveries
              app={app}
              id={id}
              rows={rows}
              more={dead.more}
              empty="None: nothing was given up."
              done={reload}
            />
          )}
        </Shown>
      </Section>
    </Sheet>
  );
}

function Deliveries({
  app,
  id,
  rows,
  empty,
  more,
  done,
}: {
  app: string;
  id: string;
  rows: readonly Delivery[];
  empty: string;
  more?: (() => void) | undefined;
  done: () => void;
}) {
  const { api, writes } = useSession();
  const kinds = { delivered: 'good', retrying: 'warn', dead: 'bad', failed: 'bad' } as const;
  return (
    <Table
      label="Deliveries"
      rows={rows}
      id={(one) => String(one.n)}
      empty={empty}
      more={more}
      columns={[
        { title: 'Number', isNumber: true, cell: (one) => one.n },
        {
          title: 'Event',
          cell: (one) => (
            <Tag>
              <Name text={one.type} />
            </Tag>
          ),
        },
        { title: 'Happened', cell: (one) => <Time ms={one.event_ms} /> },
        { title: 'State', cell: (one) => <Tag kind={kinds[one.state]}>{one.state}</Tag> },
        { title: 'Attempts', isNumber: true, cell: (one) => count(one.attempt_count) },
        { title: 'Last answer', cell: (one) => <Answer attempt={one.attempts.at(-1)} /> },
        writes && {
          title: '',
          cell: (one) => (
            <Act
              label="Retry"
              about={`delivery ${one.n}`}
              title={`Deliver number ${one.n} again?`}
              lead="The receiver tells repeats by their notice id."
              run={async () => {
                const again = await api.post<Delivery>(
                  path`/apps/${app}/webhooks/${id}/deliveries/${String(one.n)}/retry`,
                );
                return again.state === 'delivered' ? (
                  'It was delivered.'
                ) : (
                  <p>
                    It failed: <Answer attempt={again.attempts.at(-1)} />
                  </p>
                );
              }}
              done={done}
            />
          ),
        },
      ]}
    />
  );
}

function Answer({ attempt }: { attempt: Attempt | undefined }) {
  if (!attempt) return <span class="quiet">–</span>;
  return (
    <>
      {attempt.status !== undefined && (
        <Tag kind={attempt.status < 300 ? 'good' : 'bad'}>{attempt.status}</Tag>
      )}{' '}
      {attempt.error && <Name text={attempt.error} />}{' '}
      {attempt.answer && (
        <span class="quiet">
          <Name text={attempt.answer} chars={80} />
        </span>
      )}{' '}
      <span class="quiet">in {span(attempt.took_ms)}</span>
    </>
  );
}

function WebhookActions({ app, of, done }: { app: string; of: Subscription; done: () => void }) {
  const { api } = useSession();
  const address = path`/apps/${app}/webhooks/${of.id}`;
  return (
    <>
      <Act
        label="Test"
        title="Post a sample event?"
        run={async () => {
          const tried = await api.post<Delivery>(`${address}/test`);
          return tried.state === 'delivered' ? (
            'The target has taken it.'
          ) : (
            <p>
              It failed: <Answer attempt={tried.attempts.at(-1)} />
            </p>
          );
        }}
        done={done}
      />
      <Act
        label={of.enabled ? 'Switch off' : 'Switch on'}
        title={of.enabled ? 'Switch the webhook off?' : 'Switch the webhook on?'}
        lead={
          of.enabled
            ? 'Events wait in the stream for as long as that keeps them.'
            : 'It goes on where it stopped.'
        }
        run={async () => (
          await api.patch(address, { enabled: !of.enabled }),
          of.enabled ? 'It is off.' : 'It is on.'
        )}
        done={done}
      />
      <Act
        label="Delete"
        title="Delete the webhook?"
        lead="Its deliveries and dead letters are gone too."
        isGrave
        run={async () => {
          await api.delete(address);
          go(['apps', app, 'webhooks']);
          return 'The webhook was deleted.';
        }}
      />
    </>
  );
}
