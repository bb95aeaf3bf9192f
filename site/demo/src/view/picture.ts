/** A picture in the timeline, and in full when it is clicked. */
import type { Picture } from '../model.js';
import { byId, element } from './dom.js';

/** The longer side of a picture in the timeline. Pixels. */
const SIDE_PX = 300;

/** A button that shows the thumbnail; the space for it is there before the picture is. */
export function pictureButton(picture: Picture, open: (picture: Picture) => void): HTMLElement {
  const button = element('button', 'picture');
  button.type = 'button';
  const image = element('img', '');
  image.alt = `Picture ${picture.fileName}`;
  const { width, height } = picture;
  if (width > 0 && height > 0) {
    const scale = Math.min(1, SIDE_PX / Math.max(width, height));
    image.width = Math.round(width * scale);
    image.height = Math.round(height * scale);
  }
  if (picture.thumbnail) {
    image.src = URL.createObjectURL(picture.thumbnail);
    image.addEventListener('load', () => URL.revokeObjectURL(image.src), { once: true });
    button.append(image);
  } else {
    button.append(element('span', '', `Show ${picture.fileName}`));
  }
  button.addEventListener('click', () => open(picture));
  return button;
}

/** Shows one picture in full. Escape closes it, and the browser puts the focus back. */
export class Viewer {
  readonly #dialog = byId<HTMLDialogElement>('viewer');
  readonly #name = byId('viewer-name');
  readonly #state = byId('viewer-state');
  readonly #image = byId<HTMLImageElement>('viewer-picture');
  readonly #save = byId<HTMLAnchorElement>('viewer-save');
  #open: Picture | undefined;

  constructor() {
    byId('viewer-close').addEventListener('click', () => this.#dialog.close());
    this.#dialog.addEventListener('close', () => this.#clear());
  }

  /** Resolves when the picture is on the page or the reason why it is not. */
  async open(
    picture: Picture,
    load: () => Promise<Blob>,
    inWords: (error: unknown) => string,
  ): Promise<void> {
    this.#clear();
    this.#open = picture;
    this.#name.textContent = picture.fileName;
    this.#state.textContent = 'Loading …';
    this.#dialog.showModal();
    try {
      const file = await load();
      // Closed meanwhile, perhaps with another one opened.
      if (picture !== this.#open) return;
      const url = URL.createObjectURL(file);
      this.#image.src = url;
      this.#image.alt = `Picture ${picture.fileName}, in full`;
      this.#save.href = url;
      this.#save.download = picture.fileName;
      this.#save.hidden = this.#image.hidden = false;
      this.#state.textContent = '';
    } catch (error) {
      if (picture === this.#open) this.#state.textContent = inWords(error);
    }
  }

  #clear(): void {
    this.#open = undefined;
    if (this.#image.src) URL.revokeObjectURL(this.#image.src);
    this.#image.removeAttribute('src');
    this.#save.hidden = this.#image.hidden = true;
  }
}
