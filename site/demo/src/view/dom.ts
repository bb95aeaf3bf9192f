/** Small helpers for the page's elements. */

/** The element of `index.html` with this id. */
export function byId<Kind extends HTMLElement = HTMLElement>(id: string): Kind {
  const found = document.getElementById(id);
  if (!found) throw new Error(`index.html has no element with the id '${id}'`);
  return found as Kind;
}

type Child = Node | string;

/** A new element. Text goes in as text, so that nothing that users write becomes markup. */
export function element<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  className: string,
  ...children: Child[]
): HTMLElementTagNameMap[Tag] {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.append(...children);
  return made;
}

/** Text for screen readers only. */
export function spoken(text: string): HTMLElement {
  return element('span', 'visually-hidden', text);
}

/** Runs `submit` for the name that has been typed into a form of one field, and shows beside it what went wrong. */
export function onSubmit(
  form: HTMLFormElement,
  submit: (typed: string) => Promise<void>,
  inWords: (error: unknown) => string,
): void {
  const field = form.querySelector('input');
  const problem = form.querySelector<HTMLElement>('.problem');
  const button = form.querySelector('button');
  if (!field || !problem || !button) throw new Error(`the form '${form.id}' is not complete`);
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    const typed = field.value.trim();
    if (typed === '') {
      problem.textContent = 'Type a name.';
      field.setAttribute('aria-invalid', 'true');
      field.focus();
      return;
    }
    problem.textContent = '';
    field.removeAttribute('aria-invalid');
    button.disabled = true;
    submit(typed)
      .catch((error: unknown) => {
        problem.textContent = inWords(error);
        field.setAttribute('aria-invalid', 'true');
        field.focus();
      })
      .finally(() => {
        button.disabled = false;
      });
  });
}
