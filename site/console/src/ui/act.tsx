/** Things to do: a button that asks first, runs, and says what came of it. */
import type { ComponentChildren, TargetedSubmitEvent } from 'preact';
import { useEffect, useId, useRef, useState } from 'preact/hooks';
import { Problem } from '../api';
import { Failure } from './state';

let announce: (text: string) => void = () => {};

/** Where what has been done is said; one per window. */
export function Said() {
  const [text, setText] = useState('');
  useEffect(() => {
    let timer: number | undefined;
    announce = (text) => {
      clearTimeout(timer);
      setText(text);
      timer = setTimeout(() => setText(''), 6_000);
    };
    return () => clearTimeout(timer);
  }, []);
  return (
    <p class={text === '' ? 'said' : 'said shown'} role="status">
      {text}
    </p>
  );
}

export function say(text: string): void {
  announce(text);
}

/** A window above the page. `onClose` also for Escape. */
export function Window({
  title,
  onClose,
  children,
}: {
  title: string;
  onClose: () => void;
  children: ComponentChildren;
}) {
  const dialog = useRef<HTMLDialogElement>(null);
  const heading = useId();
  useEffect(() => {
    const shown = dialog.current;
    if (shown && !shown.open) shown.showModal();
    return () => shown?.close();
  }, []);
  return (
    <dialog ref={dialog} aria-labelledby={heading} onClose={onClose}>
      <h2 id={heading}>{title}</h2>
      {children}
    </dialog>
  );
}

type Values = Record<string, string>;

export interface Field {
  name: string;
  label: string;
  hint?: string;
  type?: 'text' | 'number' | 'select' | 'area' | 'check';
  options?: readonly (readonly [string, string])[];
  value?: string;
  isRequired?: boolean;
}

/** A button that opens a window with a question or a form; `run` returns what is said afterwards, or what is shown. */
export function Act({
  label,
  title,
  lead,
  fields = [],
  isGrave = false,
  isPlain = true,
  about,
  submit,
  run,
  done,
}: {
  label: string;
  title: string;
  lead?: ComponentChildren;
  fields?: readonly Field[];
  isGrave?: boolean;
  isPlain?: boolean;
  /** Whom it is about, for who hears the button and does not see its row. */
  about?: string;
  submit?: string;
  run: (values: Values) => Promise<ComponentChildren>;
  done?: () => void;
}) {
  const [isOpen, setOpen] = useState(false);
  const [isRunning, setRunning] = useState(false);
  const [problem, setProblem] = useState<Problem>();
  const [shown, setShown] = useState<ComponentChildren>();
  const close = () => {
    setOpen(false);
    setProblem(undefined);
    setShown(undefined);
  };
  const send = async (event: TargetedSubmitEvent<HTMLFormElement>) => {
    event.preventDefault();
    const values = valuesOf(event.currentTarget, fields);
    setRunning(true);
    setProblem(undefined);
    try {
      const result = await run(values);
      if (typeof result === 'string') {
        close();
        say(result);
      } else setShown(result);
      done?.();
    } catch (error) {
      setProblem(Problem.of(error));
    } finally {
      setRunning(false);
    }
  };
  const classes = [isPlain && 'plain', isGrave && 'grave'].filter(Boolean).join(' ');
  return (
    <>
      <button
        type="button"
        class={classes}
        onClick={() => setOpen(true)}
        {...(about === undefined ? {} : { 'aria-label': `${label} ${about}` })}
      >
        {label}
      </button>
      {isOpen && (
        <Window title={title} onClose={close}>
          {shown ? (
            <>
              {shown}
              <div class="window-actions">
                <button type="button" onClick={close}>
                  Close
                </button>
              </div>
            </>
          ) : (
            <form onSubmit={(event) => void send(event)} noValidate={false}>
              {lead && <div class="window-lead">{lead}</div>}
              {fields.map((field) => (
                <Input key={field.name} field={field} wrong={problem?.field === field.name} />
              ))}
              {problem && <Failure problem={problem} />}
              <div class="window-actions">
                <button type="button" class="plain" onClick={close}>
                  Cancel
                </button>
                <button type="submit" class={isGrave ? 'grave' : ''} disabled={isRunning}>
                  {isRunning ? 'Working …' : (submit ?? label)}
                </button>
              </div>
            </form>
          )}
        </Window>
      )}
    </>
  );
}

function valuesOf(form: HTMLFormElement, fields: readonly Field[]): Values {
  const data = new FormData(form);
  return Object.fromEntries(fields.map(({ name }) => [name, String(data.get(name) ?? '')]));
}

export function Input({ field, wrong = false }: { field: Field; wrong?: boolean }) {
  const id = useId();
  const { name, label, hint, type = 'text', options = [], value = '', isRequired = false } = field;
  const shared = {
    id,
    name,
    required: isRequired,
    'aria-invalid': wrong,
    ...(hint === undefined ? {} : { 'aria-describedby': `${id}-hint` }),
  };
  return (
    <div class={type === 'check' ? 'field check' : 'field'}>
      <label for={id}>{label}</label>
      {type === 'select' ? (
        <select {...shared}>
          {options.map(([choice, text]) => (
            <option value={choice} selected={choice === value}>
              {text}
            </option>
          ))}
        </select>
      ) : type === 'area' ? (
        <textarea {...shared} rows={4} spellcheck={false} defaultValue={value} />
      ) : type === 'check' ? (
        <input {...shared} type="checkbox" value="yes" defaultChecked={value === 'yes'} />
      ) : (
        <input
          {...shared}
          // A number is checked by the server, which says what is wrong with it.
          type="text"
          inputMode={type === 'number' ? 'numeric' : 'text'}
          defaultValue={value}
          autocomplete="off"
          autocapitalize="none"
          spellcheck={false}
        />
      )}
      {hint !== undefined && (
        <p class="hint" id={`${id}-hint`}>
          {hint}
        </p>
      )}
    </div>
  );
}

/** A form in the page whose values become the address's query. */
export function Filter({
  fields,
  apply,
  submit = 'Find',
}: {
  fields: readonly Field[];
  apply: (values: Values) => void;
  submit?: string;
}) {
  const send = (event: TargetedSubmitEvent<HTMLFormElement>) => {
    event.preventDefault();
    apply(valuesOf(event.currentTarget, fields));
  };
  return (
    <form class="filter" onSubmit={send}>
      {fields.map((field) => (
        <Input key={`${field.name}=${field.value ?? ''}`} field={field} />
      ))}
      <button type="submit">{submit}</button>
    </form>
  );
}

/** A secret that is shown once. */
export function Once({ label, text }: { label: string; text: string }) {
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      say('Copied.');
    } catch {
      say('The browser did not permit it: select the text and copy it.');
    }
  };
  return (
    <div class="once">
      <p>{label} It is shown this once.</p>
      <code class="secret">{text}</code>
      <button type="button" class="plain" onClick={() => void copy()}>
        Copy
      </button>
    </div>
  );
}
