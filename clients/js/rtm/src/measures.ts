/** Width and height of pictures, read from their first bytes. */

export interface Measures {
  readonly width: number;
  readonly height: number;
}

/** How many bytes of a file are searched: cameras write large notes in front of a JPEG's frame. */
export const MEASURED_BYTES = 512 * 1024;

/** Of a PNG, JPEG or BMP as it is stored; `undefined` for anything else. */
export function measuresOf(bytes: Uint8Array): Measures | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  try {
    switch (view.getUint16(0)) {
      case 0x8950:
        return { width: view.getUint32(16), height: view.getUint32(20) };
      case 0x424d:
        // A negative height says that the rows are stored from top to bottom.
        return { width: view.getInt32(18, true), height: Math.abs(view.getInt32(22, true)) };
      case 0xffd8:
        return ofJpeg(view);
      default:
        return undefined;
    }
  } catch {
    // The picture ends before it has said so.
    return undefined;
  }
}

/** Goes from segment to segment until one begins a frame: C0 to CF except DHT, JPG and DAC. */
function ofJpeg(view: DataView): Measures {
  let at = 2;
  for (;;) {
    const marker = view.getUint16(at);
    const isFrame =
      marker >= 0xffc0 && marker <= 0xffcf && ![0xffc4, 0xffc8, 0xffcc].includes(marker);
    if (isFrame) return { width: view.getUint16(at + 7), height: view.getUint16(at + 5) };
    // Fill bytes stand alone; anything that is not a marker soon leads past the last byte.
    at += marker === 0xffff ? 1 : 2 + Math.max(2, view.getUint16(at + 2));
  }
}
