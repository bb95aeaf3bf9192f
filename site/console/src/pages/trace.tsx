/** The message tracer: switch it on for an app, a user or a channel, and follow one message. */
import { useState } from 'preact/hooks';
import { path, type Page } from '../api';
import { clock, instant, span } from '../format';
import { useLoad } from '../load';
import { go, to } from '../router';
import { useSession } from '../session';
import { Act, Filter } from '../ui/act';
import { Empty, Section, Sheet, Shown } from '../ui/state';
import { Table } from '../ui/table';
import { ChannelLink, Name, Tag, Time, UserLink } from '../ui/text';

interface TraceRule {
  id: string;
  user?: string | null;
  channel?: string | null;
  until_ms: number;
}

interface TracedMessage {
  message_id: string;
  at_ms: number;
  from: string;
  user?: string;
  channel?: string;
}

interface Step {
  at_ms: number;
  step: string;
  hub: number;
  user?: string;
  channel?: string;
  members?: number;
  detail?: string;
}

const NO_TRACER = 'This version of the server does not trace messages.';

export function Trace({
  app,
  query,
  message,
}: {
  app: string;
  query: URLSearchParams;
  message: string | undefined;
}) {
  const user = query.get('user') ?? '';
  const channel = query.get('channel') ?? '';
  return (
    <Sheet
      title="Message tracer"
      lead="While it is on, the server notes the whole way of each message: accepted, ordered, given, queued, written, confirmed."
      actions={
        message === undefined ? undefined : (
          <a class="button plain" href={to(['apps', app, 'trace'])}>
            All traced messages
          </a>
        )
      }
    >
      <div class="filters">
        <Filter
          submit="Inspect"
          fields={[{ name: 'id', label: 'Message id', value: message ?? '', isRequired: true }]}
          apply={({ id = '' }) => go(['apps', app, 'trace', id.trim()])}
        />
        {message === undefined && (
          <Filter
            submit="Show"
            fields={[
              { name: 'user', label: 'Only of user', value: user },
              { name: 'channel', label: 'Only in channel', value: channel },
            ]}
            apply={(values) => go(['apps', app, 'trace'], values)}
          />
        )}
      </div>
      {message === undefined ? (
        <>
          <Rules app={app} user={user} channel={channel} />
          <Messages app={app} user={user} channel={channel} />
        </>
      ) : (
        <Inspector app={app} message={message} />
      )}
    </Sheet>
  );
}

function Rules({ app, user, channel }: { app: string; user: string; channel: string }) {
  const { api, writes } = useSession();
  const rules = useLoad(
    `traces ${app}`,
    (signal) => api.get<Page<TraceRule>>(path`/apps/${app}/traces`, {}, signal),
    {
      everyMs: 5_000,
    },
  );
  return (
    <Section
      title="On now"
      actions={
        writes &&
        rules.problem?.status !== 404 && (
          <Act
            label="Trace"
            title="Trace messages"
            isPlain={false}
            submit="Switch on"
            lead="Give a user or a channel; with neither, every message of the app is traced. It ends by itself."
            fields={[
              { name: 'user', label: 'User', value: user },
              { name: 'channel', label: 'Channel', value: channel },
              {
                name: 'minutes',
                label: 'Minutes',
                type: 'number',
                value: '10',
                isRequired: true,
                hint: '1 to 60',
              },
            ]}
            run={async ({ user = '', channel = '', minutes }) => {
              const of = {
                ...(user === '' ? {} : { user }),
                ...(channel === '' ? {} : { channel }),
              };
              await api.post(path`/apps/${app}/traces`, { ...of, minutes: Number(minutes) });
              return 'The tracer is on.';
            }}
            done={rules.reload}
          />
        )
      }
    >
      <Shown of={rules} missing={NO_TRACER}>
        {({ items }) => (
          <Table
            label="Traces that are on"
            rows={items}
            id={(rule) => rule.id}
            empty="The tracer is off."
            columns={[
              { title: 'Of', cell: (rule) => <Of app={app} rule={rule} /> },
              { title: 'Ends', cell: (rule) => <Time ms={rule.until_ms} /> },
              writes && {
                title: '',
                cell: (rule) => (
                  <Act
                    label="Stop"
                    about={`trace ${rule.id}`}
                    title="Stop this trace?"
                    run={async () => (
                      await api.delete(path`/apps/${app}/traces/${rule.id}`),
                      'The trace was stopped.'
                    )}
                    done={rules.reload}
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

function Of({ app, rule }: { app: string; rule: TraceRule }) {
  if (rule.user) return <UserLink app={app} user={rule.user} />;
  if (rule.channel) return <ChannelLink app={app} channel={rule.channel} />;
  return <>everything in the app</>;
}

function Messages({ app, user, channel }: { app: string; user: string; channel: string }) {
  const { api } = useSession();
  const found = useLoad(
    `traced ${app} ${user} ${channel}`,
    (signal) =>
      api.get<Page<TracedMessage>>(
        path`/apps/${app}/traces/messages`,
        { user, channel, limit: 100 },
        signal,
      ),
    { everyMs: 3_000 },
  );
  return (
    <Section title="Latest traced messages">
      <Shown of={found} missing={NO_TRACER}>
        {({ items }) => (
          <Table
            label="Traced messages"
            rows={items}
            id={(one) => one.message_id}
            empty="No message was traced yet."
            columns={[
              { title: 'Time', cell: (one) => <Time ms={one.at_ms} /> },
              { title: 'From', cell: (one) => <UserLink app={app} user={one.from} /> },
              {
                title: 'To',
                cell: (one) =>
                  one.channel ? (
                    <ChannelLink app={app} channel={one.channel} />
                  ) : (
                    one.user && <UserLink app={app} user={one.user} />
                  ),
              },
              {
                title: 'Message',
                cell: (one) => (
                  <a href={to(['apps', app, 'trace', one.message_id])}>
                    <Name text={one.message_id} chars={40} />
                  </a>
                ),
              },
            ]}
          />
        )}
      </Shown>
    </Section>
  );
}

const BAD_STEPS = ['gap', 'refused', 'dropped'];

function Inspector({ app, message }: { app: string; message: string }) {
  const { api } = useSession();
  const [isComplete, setComplete] = useState(false);
  const found = useLoad(
    `trace ${app} ${message}`,
    (signal) =>
      api.get<{ steps: Step[]; complete: boolean }>(
        path`/apps/${app}/traces/messages/${message}`,
        {},
        signal,
      ),
    // A message may still be on its way.
    { everyMs: isComplete ? 0 : 2_000, onData: ({ complete }) => setComplete(complete) },
  );
  return (
    <Section
      title="The way of one message"
      actions={
        <button type="button" class="plain" onClick={found.reload}>
          Look again
        </button>
      }
    >
      <p>
        <code class="id">
          <Name text={message} />
        </code>
      </p>
      <Shown
        of={found}
        missing="Nothing is known of this message: it was not traced, its steps have made room for newer ones, or this server has no tracer. Switch the tracer on, and let the message be sent again."
      >
        {({ steps, complete }) =>
          steps.length === 0 ? (
            <Empty>No step is known.</Empty>
          ) : (
            <>
              <Table
                label="Steps"
                rows={steps.map((step, index) => ({ ...step, index }))}
                id={(step) => String(step.index)}
                empty=""
                columns={[
                  {
                    title: 'Time',
                    cell: (step) => <time title={instant(step.at_ms)}>{clock(step.at_ms)}</time>,
                  },
                  {
                    title: 'After',
                    isNumber: true,
                    cell: (step) => `+${span(step.at_ms - steps[0]!.at_ms)}`,
                  },
                  {
                    title: 'Step',
                    cell: (step) => (
                      <Tag kind={BAD_STEPS.includes(step.step) ? 'bad' : 'good'}>
                        {step.step.replaceAll('_', ' ')}
                      </Tag>
                    ),
                  },
                  { title: 'Hub', isNumber: true, cell: (step) => step.hub },
                  {
                    title: 'Whom',
                    cell: (step) =>
                      step.user ? (
                        <UserLink app={app} user={step.user} />
                      ) : (
                        step.channel && <ChannelLink app={app} channel={step.channel} />
                      ),
                  },
                  { title: 'Members', isNumber: true, cell: (step) => step.members ?? '' },
                  { title: 'More', cell: (step) => step.detail && <Name text={step.detail} /> },
                ]}
              />
              {!complete && (
                <Empty>
                  Not at its end yet: something is still waited for. This page looks again by
                  itself.
                </Empty>
              )}
            </>
          )
        }
      </Shown>
    </Section>
  );
}
