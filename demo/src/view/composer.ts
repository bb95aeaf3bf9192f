/** The field to write in, and the ways in for a picture: chosen, pasted, dropped. */
import { byId } from './dom.js';

export interface ComposerActions {
  send(text: string): void;
  sendPicture(file: File): void;
}

export class Composer {
  readonly #text = byId<HTMLTextAreaElement>('text');
  readonly #label = byId('text-label');
  readonly #file = byId<HTMLInputElement>('file');

  constructor(private readonly actions: ComposerActions) {
    byId('composer').addEventListener('submit', (event) => {
      event.preventDefault();
      this.#send();
    });
    this.#text.addEventListener('keydown', (event) => {
      const isSend = event.key === 'Enter' && !event.shiftKey && !event.isComposing;
      if (!isSend) return;
      event.preventDefault();
      this.#send();
    });
    byId('attach').addEventListener('click', () => this.#file.click());
    this.#file.addEventListener('change', () => {
      this.#sendFiles(this.#file.files);
      // So that the same file can be chosen again.
      this.#file.value = '';
    });
    this.#text.addEventListener('paste', (event) => {
      if (this.#sendFiles(event.clipboardData?.files)) event.preventDefault();
    });
    const section = byId('conversation');
    section.addEventListener('dragover', (event) => {
      if (event.dataTransfer?.types.includes('Files')) event.preventDefault();
    });
    section.addEventListener('drop', (event) => {
      if (this.#sendFiles(event.dataTransfer?.files)) event.preventDefault();
    });
  }

  /** `title` is the name of the open conversation. */
  addressTo(title: string): void {
    this.#label.textContent = `Message to ${title}`;
    this.#text.placeholder = `Message to ${title}`;
  }

  focus(): void {
    this.#text.focus({ preventScroll: true });
  }

  #send(): void {
    const text = this.#text.value.trim();
    if (text === '') return;
    this.#text.value = '';
    this.actions.send(text);
    this.#text.focus();
  }

  #sendFiles(files: FileList | null | undefined): boolean {
    for (const file of files ?? []) this.actions.sendPicture(file);
    return (files?.length ?? 0) > 0;
  }
}
