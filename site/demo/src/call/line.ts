/**
 * The line between the two browsers: picture and sound go over WebRTC, straight from one to the
 * other. Once it stands, it needs no server.
 */
import type { Devices } from './state.js';
import type { Signal } from './signals.js';

/**
 * Helpers for finding a way between the browsers. None is needed on one machine or one network; over
 * the internet, name a STUN and a TURN server here.
 */
const ICE_SERVERS: RTCIceServer[] = [];

export interface LineListener {
  /** To be carried to the other side. */
  signal(signal: Signal): void;
  remoteStream(stream: MediaStream): void;
  remoteDevices(devices: Devices): void;
  /** `connected` for the first time or again, `broken`, or `closed` by the other side. */
  changed(state: 'connected' | 'broken' | 'closed'): void;
}

export class Line {
  readonly #pc = new RTCPeerConnection({ iceServers: ICE_SERVERS });
  readonly #isPolite: boolean;
  readonly #early: RTCIceCandidateInit[] = [];
  #side: RTCDataChannel | undefined;
  #devices: Devices | undefined;
  #isMakingOffer = false;
  #ignoresOffer = false;
  /** Signals are handled one after the other. */
  #handled: Promise<void> = Promise.resolve();

  constructor(
    role: 'caller' | 'callee',
    private readonly stream: MediaStream,
    private readonly listener: LineListener,
  ) {
    this.#isPolite = role === 'callee';
    const pc = this.#pc;
    pc.addEventListener('icecandidate', ({ candidate }) => {
      if (candidate) listener.signal({ candidate: candidate.toJSON() });
    });
    pc.addEventListener('track', ({ streams: [stream] }) => {
      if (stream) listener.remoteStream(stream);
    });
    pc.addEventListener('negotiationneeded', () => void this.#makeOffer());
    pc.addEventListener('connectionstatechange', () => this.#connectionChanged());
    pc.addEventListener('datachannel', ({ channel }) => this.#useSideChannel(channel));
    // The callee waits for the offer, and adds its tracks to the answer: one round trip for both.
    if (role === 'callee') return;
    this.#addTracks();
    this.#useSideChannel(pc.createDataChannel('side'));
  }

  /** A signal from the other side. */
  take(signal: Signal): void {
    this.#handled = this.#handled
      .then(() => this.#take(signal))
      .catch((error: unknown) => {
        console.warn('a signal of the call could not be used', error);
      });
  }

  /** Tells the other side what it can hear and see. */
  tellDevices(devices: Devices): void {
    this.#devices = devices;
    if (this.#side?.readyState === 'open') this.#side.send(JSON.stringify(devices));
  }

  /** A call that began with sound alone gets a picture; the browsers agree on it by themselves. */
  addTrack(track: MediaStreamTrack): void {
    this.#pc.addTrack(track, this.stream);
  }

  close(): void {
    this.#side = undefined;
    this.#pc.close();
  }

  // ---------------------------------------------------------------- agreeing

  /*
   * Both sides may propose a change at any time. When two proposals cross, the callee is polite and
   * takes its own back: this is the pattern that the WebRTC specification calls perfect negotiation.
   */

  async #makeOffer(): Promise<void> {
    try {
      this.#isMakingOffer = true;
      await this.#pc.setLocalDescription();
      this.#sayDescription();
    } finally {
      this.#isMakingOffer = false;
    }
  }

  async #take(signal: Signal): Promise<void> {
    if (this.#pc.signalingState === 'closed') return;
    if ('description' in signal) await this.#takeDescription(signal.description);
    else if ('candidate' in signal) await this.#takeCandidate(signal.candidate);
  }

  async #takeDescription(description: RTCSessionDescriptionInit): Promise<void> {
    const isOffer = description.type === 'offer';
    const crosses = isOffer && (this.#isMakingOffer || this.#pc.signalingState !== 'stable');
    this.#ignoresOffer = crosses && !this.#isPolite;
    if (this.#ignoresOffer) return;
    await this.#pc.setRemoteDescription(description);
    for (const candidate of this.#early.splice(0)) await this.#takeCandidate(candidate);
    if (!isOffer) return;
    if (this.#pc.getSenders().every(({ track }) => track === null)) this.#addTracks();
    await this.#pc.setLocalDescription();
    this.#sayDescription();
  }

  async #takeCandidate(candidate: RTCIceCandidateInit): Promise<void> {
    if (this.#ignoresOffer) return;
    if (this.#pc.remoteDescription) await this.#pc.addIceCandidate(candidate);
    else this.#early.push(candidate);
  }

  #sayDescription(): void {
    const description = this.#pc.localDescription;
    if (description) this.listener.signal({ description: description.toJSON() });
  }

  #addTracks(): void {
    for (const track of this.stream.getTracks()) this.#pc.addTrack(track, this.stream);
  }

  // ---------------------------------------------------------------- living

  /**
   * Beside picture and sound, a channel for small words. It also closes at once when the other side
   * hangs up, with or without the server.
   */
  #useSideChannel(channel: RTCDataChannel): void {
    this.#side = channel;
    channel.addEventListener('open', () => {
      if (this.#devices) channel.send(JSON.stringify(this.#devices));
    });
    channel.addEventListener('message', ({ data }) => {
      const { microphone, camera } = JSON.parse(String(data)) as Partial<Devices>;
      this.listener.remoteDevices({ microphone: microphone === true, camera: camera === true });
    });
    channel.addEventListener('close', () => {
      if (this.#side) this.listener.changed('closed');
    });
  }

  #connectionChanged(): void {
    switch (this.#pc.connectionState) {
      case 'connected':
        return this.listener.changed('connected');
      case 'disconnected':
        return this.listener.changed('broken');
      case 'failed':
        this.listener.changed('broken');
        return this.#pc.restartIce();
    }
  }
}
