/** One half of the page: what a person sees and can do, whichever protocol is behind it. */

/** What a protocol does for its person. */
export interface Actions {
  toChannel(text: string): void;
  toPeer(text: string): void;
  setTopic(text: string): void;
  invite(): void;
  accept(): void;
  refuse(): void;
  end(): void;
}

type Ringing = 'in' | 'out' | 'call' | 'none';

export class Side {
  readonly #root: HTMLElement;

  constructor(id: string) {
    this.#root = find(document, `#${id}`);
    const template = find<HTMLTemplateElement>(document, '#side');
    this.#root.append(template.content.cloneNode(true));
    const name = find(this.#root, 'h2').firstChild?.textContent?.trim() ?? id;
    find(this.#root, 'input').setAttribute('aria-label', `What ${name} says`);
    find(this.#root, '.log').setAttribute('aria-label', `What ${name} sees`);
  }

  /** Ties the buttons to a protocol. */
  connect(actions: Actions): void {
    const form = find<HTMLFormElement>(this.#root, '.say');
    const input = find<HTMLInputElement>(form, 'input');
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      const text = input.value.trim();
      if (text === '') return;
      const isToPeer = (event.submitter as HTMLButtonElement | null)?.value === 'peer';
      if (isToPeer) actions.toPeer(text);
      else actions.toChannel(text);
      input.value = '';
    });
    const onClick = (selector: string, act: () => void) =>
      find(this.#root, selector).addEventListener('click', act);
    onClick('.set-topic', () => {
      const text = input.value.trim();
      if (text === '') input.focus();
      else actions.setTopic(text);
      input.value = '';
    });
    onClick('.invite', () => actions.invite());
    onClick('.accept', () => actions.accept());
    onClick('.refuse', () => actions.refuse());
    onClick('.end', () => actions.end());
  }

  set state(text: string) {
    find(this.#root, '.state').textContent = text;
  }

  set topic(text: string) {
    find(this.#root, '.topic-text').textContent = text === '' ? 'none yet' : text;
  }

  set members(names: readonly string[]) {
    find(this.#root, '.members').textContent =
      names.length === 0 ? '' : `Here: ${[...names].sort().join(', ')}`;
  }

  log(text: string, kind: 'message' | 'note' = 'note'): void {
    const line = document.createElement('li');
    line.className = kind;
    line.textContent = text;
    const log = find(this.#root, '.log');
    log.append(line);
    log.scrollTop = log.scrollHeight;
  }

  /** Shows a call that rings, is under way, or is over. */
  ring(ringing: Ringing, text = ''): void {
    find(this.#root, '.ring').hidden = ringing === 'none';
    find(this.#root, '.ring-text').textContent = text;
    find(this.#root, '.accept').hidden = find(this.#root, '.refuse').hidden = ringing !== 'in';
    find(this.#root, '.end').hidden = ringing !== 'out' && ringing !== 'call';
    find<HTMLButtonElement>(this.#root, '.invite').disabled = ringing !== 'none';
  }
}

function find<Kind extends HTMLElement = HTMLElement>(within: ParentNode, selector: string): Kind {
  const found = within.querySelector<Kind>(selector);
  if (found === null) throw new Error(`the page has no ${selector}`);
  return found;
}
