/** The field to write in, and the ways in for a picture: chosen, pasted, dropped. */
import { byId } from './dom.js';

/** The most that a message carries. Bytes of UTF-8. */
const BYTES_MAX = 32_768;

export interface ComposerActions {
  send(text: string): void;
  sendPicture(file: File): void;
}

export class Composer {
  readonly #text = byId<HTMLTextAreaElement>('text');
  readonly #label = byId('text-label');
  readonly #file = byId<HTMLInputElement>('file');
  readonly #problem = byId('text-problem');

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
    const label = `Message to ${title}`;
    // What was wrong in one conversation has no business in the next.
    if (label !== this.#label.textContent) this.problem('');
    this.#label.textContent = label;
    this.#text.placeholder = label;
  }

  /** Says what is wrong with what was to be sent; empty for nothing. */
  problem(text: string): void {
    this.#problem.textContent = text;
  }

  focus(): void {
    this.#text.focus({ preventScroll: true });
  }

  #send(): void {
    const text = this.#text.value.trim();
    if (text === '') return;
    const bytes = new TextEncoder().encode(text).length;
    if (bytes > BYTES_MAX) {
      // The text stays: it can be made shorter.
      this.problem(
        `This message is ${bytes.toLocaleString()} bytes long; the limit is ${BYTES_MAX.toLocaleString()}. Shorten it, or send it in parts.`,
      );
      return;
    }
    this.problem('');
    this.#text.value = '';
    this.actions.send(text);
    this.#text.focus();
  }

  #sendFiles(files: FileList | null | undefined): boolean {
    this.problem('');
    for (const file of files ?? []) this.actions.sendPicture(file);
    return (files?.length ?? 0) > 0;
  }
}
