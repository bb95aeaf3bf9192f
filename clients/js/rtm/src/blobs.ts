/** Blobs: the bytes of thumbnails, and what kind of file some bytes are. */

/**
 * The bytes of Blobs made here, so that forwarding a message needs no wait: otherwise a later
 * message would overtake it.
 */
let known: WeakMap<Blob, Uint8Array> | undefined;

/** A Uint8Array of this realm or another one. */
export function isBytes(value: unknown): value is Uint8Array {
  return (
    ArrayBuffer.isView(value) && Object.prototype.toString.call(value) === '[object Uint8Array]'
  );
}

/** A Blob of this realm or another one. */
export function isBlob(value: unknown): value is Blob {
  return /^\[object (Blob|File)\]$/.test(Object.prototype.toString.call(value));
}

/** A Blob whose type is found from its content. */
export function blobOf(bytes: Uint8Array): Blob {
  const blob = new Blob([bytes as Uint8Array<ArrayBuffer>], { type: typeOf(bytes) });
  remember(blob, bytes);
  return blob;
}

export function remember(blob: Blob, bytes: Uint8Array): void {
  (known ??= new WeakMap()).set(blob, bytes);
}

/** Passes the Blob's bytes on, at once if they are known. */
export function withBytes<T>(
  blob: Blob | undefined,
  give: (bytes: Uint8Array) => T,
): T | Promise<T> {
  const bytes = blob ? known?.get(blob) : new Uint8Array();
  return bytes
    ? give(bytes)
    : (blob as Blob).arrayBuffer().then((buffer) => give(new Uint8Array(buffer)));
}

/**
 * In hexadecimal: a page without a charset may take a script's other characters for something else.
 */
const TYPES: readonly (readonly [start: string, type: string])[] = [
  ['89504e47', 'image/png'],
  ['47494638', 'image/gif'],
  ['25504446', 'application/pdf'],
  ['ffd8ff', 'image/jpeg'],
  ['504b0304', 'application/zip'],
];

/** The MIME type that the first bytes show, or ''. Source: RTM 1.x semantics 2.18. */
export function typeOf(bytes: Uint8Array): string {
  const start = Array.from(bytes.subarray(0, 4), (byte) => byte.toString(16).padStart(2, '0')).join(
    '',
  );
  return TYPES.find(([magic]) => start.startsWith(magic))?.[1] ?? '';
}
