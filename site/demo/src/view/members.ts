/** Who is in the open channel, and whose hand is up. */
import { type Channel, countOf, handsOf, membersOf } from '../model.js';
import { byId, element, spoken } from './dom.js';
import { icon } from './icons.js';

export class MembersView {
  readonly #aside = byId('members');
  readonly #heading = byId('members-heading');
  readonly #list = byId('member-list');
  readonly #toggle = byId<HTMLButtonElement>('show-members');

  constructor(private readonly me: () => string) {
    // Where there is little room, the members are folded away.
    this.#toggle.addEventListener('click', () =>
      this.setShown(this.#toggle.ariaExpanded !== 'true'),
    );
  }

  setShown(isShown: boolean): void {
    this.#toggle.ariaExpanded = String(isShown);
    this.#aside.dataset['shown'] = String(isShown);
  }

  /** `undefined`: the open conversation has no members. */
  show(channel: Channel | undefined): void {
    this.#aside.hidden = this.#toggle.hidden = !channel;
    if (!channel) return;
    const names = membersOf(channel);
    const hands = handsOf(channel);
    const count = countOf(channel);
    const heading = count === 1 ? '1 member' : `${count} members`;
    this.#heading.textContent = heading;
    this.#toggle.textContent = heading;
    // Raised hands stand first, in the order in which they went up.
    const others = names.filter((name) => !hands.includes(name));
    this.#list.replaceChildren(...[...hands, ...others].map((name) => this.#item(name, hands)));
    if (count > names.length) {
      this.#list.append(element('li', 'state', `and ${count - names.length} more`));
    }
  }

  #item(name: string, hands: readonly string[]): HTMLElement {
    const item = element('li', '', element('span', 'name', name));
    if (name === this.me()) item.append(' ', element('span', 'state', 'you'));
    const place = hands.indexOf(name) + 1;
    if (place > 0) {
      item.append(
        ' ',
        element(
          'span',
          'raised',
          icon('hand'),
          spoken('has raised a hand, number '),
          String(place),
        ),
      );
    }
    return item;
  }
}
