/**
 * UTF-8 by the platform, or without it: React Native before 0.85 and small runtimes have no
 * `TextDecoder`.
 */

interface Globals {
  readonly TextEncoder?: typeof TextEncoder;
  readonly TextDecoder?: typeof TextDecoder;
  /** One character per byte, from and to what `encodeURIComponent` makes. */
  escape(binary: string): string;
  unescape(escaped: string): string;
}

const globals = () => globalThis as unknown as Globals;

// Made on first use: importing the SDK must not need any global.
let encoder: TextEncoder | undefined;
const decoders: Partial<Record<'fatal' | 'lenient', TextDecoder>> = {};

/** UTF-8 of a text; a lone surrogate becomes U+FFFD. */
export function encodeUtf8(text: string): Uint8Array {
  const { TextEncoder: Encoder, unescape } = globals();
  if (Encoder) return (encoder ??= new Encoder()).encode(text);
  const binary = unescape(encodeURIComponent(text.replace(/[\ud800-\udfff]/gu, '\ufffd')));
  return Uint8Array.from(binary, (byte) => byte.charCodeAt(0));
}

/** Text of UTF-8 bytes. What is not UTF-8 becomes U+FFFD, or is thrown if that is `fatal`. */
export function decodeUtf8(bytes: Uint8Array, how: 'fatal' | 'lenient' = 'lenient'): string {
  const { TextDecoder: Decoder, escape } = globals();
  const fatal = how === 'fatal';
  if (Decoder)
    return (decoders[how] ??= new Decoder('utf-8', { fatal, ignoreBOM: true })).decode(bytes);
  let binary = '';
  for (const byte of bytes) binary += String.fromCharCode(byte);
  try {
    return decodeURIComponent(escape(binary));
  } catch (error) {
    if (fatal) throw error;
    return binary.replace(/[\x80-\xff]/g, '\ufffd');
  }
}
