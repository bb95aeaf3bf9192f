/** Microphone and camera. */
import type { CallKind } from './state.js';

/** The reason, in words, why a call cannot be. */
export class NoDevices extends Error {}

/** Asks the browser, which asks the user. Without a camera, a video call is one with sound alone. */
export async function openDevices(kind: CallKind): Promise<MediaStream> {
  try {
    return await open({ audio: true, video: kind === 'video' });
  } catch (error) {
    if (kind === 'audio' || isRefusal(error)) throw inWords(error);
    return open({ audio: true, video: false }).catch((second: unknown) => {
      throw inWords(second);
    });
  }
}

export async function openCamera(): Promise<MediaStreamTrack> {
  try {
    const [track] = (await open({ video: true })).getVideoTracks();
    if (track) return track;
  } catch (error) {
    throw inWords(error);
  }
  throw new NoDevices('There is no camera. Connect one and try again.');
}

export function closeDevices(stream: MediaStream): void {
  for (const track of stream.getTracks()) track.stop();
}

async function open(constraints: MediaStreamConstraints): Promise<MediaStream> {
  // Missing on pages that are not secure: plain http from another machine.
  if (!('mediaDevices' in navigator)) {
    throw new NoDevices(
      'The browser gives microphone and camera to secure pages only. Open this page by https, or on localhost.',
    );
  }
  return navigator.mediaDevices.getUserMedia(constraints);
}

function isRefusal(error: unknown): boolean {
  return (
    error instanceof NoDevices ||
    (error instanceof DOMException && error.name === 'NotAllowedError')
  );
}

function inWords(error: unknown): NoDevices {
  if (error instanceof NoDevices) return error;
  switch (error instanceof DOMException ? error.name : '') {
    case 'NotAllowedError':
      return new NoDevices(
        'The browser does not let this page use microphone and camera. Allow it beside the address, and call again.',
      );
    case 'NotFoundError':
      return new NoDevices('There is no microphone. Connect one and try again.');
    case 'NotReadableError':
      return new NoDevices(
        'Another program uses the microphone or the camera. Close it and try again.',
      );
    default:
      return new NoDevices(`Microphone and camera cannot be used: ${String(error)}`);
  }
}
