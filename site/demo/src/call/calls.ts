/**
 * One call at a time: rings by invitation, then opens a line. Read `call` and `#comes` for the two
 * ways in, `#end` for the only way out.
 */
import type { LocalInvitation, RemoteInvitation, RtmClient, RtmStatusCode } from '@tidings/rtm';
import { closeDevices, openCamera, openDevices } from './devices.js';
import { Line } from './line.js';
import { type CallKind, type CallState, type Devices, offerIn } from './state.js';
import { type Signal, Signals, parcelIn } from './signals.js';

/** The server ends an invitation that nobody answers. Milliseconds after it was sent. */
const ANSWER_WITHIN_MS = 60_000;
/** A line that is broken for longer is given up. Milliseconds. */
const BROKEN_MAX_MS = 20_000;
/** Answers that are not the callee's own choice, in the invitation's `response`. */
const BUSY = 'busy';
const CROSSED = 'crossed';

export interface CallListener {
  callChanged(state: CallState): void;
  /** How a call ended, for the conversation with `peer`; `isNews`: we may have missed it. */
  callEnded(peer: string, text: string, isNews: boolean): void;
  /** Something stands in the way of a call. */
  callProblem(text: string): void;
  localStream(stream: MediaStream | undefined, devices: Devices): void;
  remoteStream(stream: MediaStream | undefined, devices: Devices): void;
}

const NOTHING: Devices = { microphone: false, camera: false };

const FAILURES: Readonly<
  Record<RtmStatusCode.LocalInvitationFailureReason, (peer: string) => string>
> = {
  PEER_OFFLINE: (peer) =>
    `${peer} is not here. Write a message instead: it is kept until they come back.`,
  PEER_NO_RESPONSE: (peer) => `${peer} could not be reached. Try again later.`,
  INVITATION_EXPIRE: (peer) => `${peer} did not answer.`,
  NOT_LOGGEDIN: () => 'The call was not placed: you are not logged in any more.',
  UNKNOWN: () => 'The call was not placed: the connection to the server was lost. Try again.',
};

export class Calls {
  #state: CallState = { is: 'idle' };
  #outgoing: LocalInvitation | undefined;
  #incoming: RemoteInvitation | undefined;
  #signals: Signals | undefined;
  #line: Line | undefined;
  #stream: MediaStream | undefined;
  #devices = NOTHING;
  #remote: MediaStream | undefined;
  #remoteDevices = NOTHING;
  /** Came before the line was there. */
  #early: Signal[] = [];
  /** Ends what takes too long. */
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** Changes with each end, so that what was begun for one call never goes on in the next. */
  #attempt = 0;

  constructor(
    private readonly client: RtmClient,
    private readonly me: string,
    private readonly listener: CallListener,
  ) {
    client.on('RemoteInvitationReceived', (invitation) => this.#comes(invitation));
    client.on('MessageFromPeer', (message, from) => {
      const parcel = parcelIn(message);
      if (parcel && this.#state.is !== 'idle' && from === this.#state.peer)
        this.#signals?.take(parcel);
    });
  }

  get state(): CallState {
    return this.#state;
  }

  // ---------------------------------------------------------------- what the user does

  async call(peer: string, kind: CallKind): Promise<void> {
    if (this.#state.is !== 'idle') {
      this.listener.callProblem(`You are in a call with ${this.#state.peer}. Hang up first.`);
      return;
    }
    const until = Date.now() + ANSWER_WITHIN_MS;
    this.#become({ is: 'calling', peer, kind, isRinging: false, until });
    if (!(await this.#openDevices(kind))) return;
    // They may have called us in the same moment.
    if (this.#incoming) this.#incoming.accept();
    else this.#placeCall(peer, kind);
  }

  async accept(): Promise<void> {
    const state = this.#state;
    if (state.is !== 'ringing' || state.isAnswered) return;
    this.#become({ ...state, isAnswered: true });
    // Accepted only when the devices are there: nobody is to talk to somebody who cannot.
    if (await this.#openDevices(state.kind)) this.#incoming?.accept();
  }

  /** Refuses, cancels or ends, whichever it is now. `why` is told instead of the obvious. */
  hangUp(why?: string): void {
    const state = this.#state;
    switch (state.is) {
      case 'idle':
        return;
      case 'calling':
        this.#cancel();
        return this.#end(why ?? 'You cancelled the call.');
      case 'ringing':
        // What has been accepted cannot be refused any more; the goodbye of `#end` tells the caller.
        if (this.#incoming?.state === 'INVITATION_RECEIVED') this.#incoming.refuse();
        return this.#end(why ?? 'You declined the call.');
      case 'connecting':
      case 'talking':
        return this.#end(lengthOf(state));
    }
  }

  setMicrophone(isOn: boolean): void {
    for (const track of this.#stream?.getAudioTracks() ?? []) track.enabled = isOn;
    this.#devicesChanged({ ...this.#devices, microphone: isOn });
  }

  /** The first time in a call that began with sound alone, the browser is asked for the camera. */
  async setCamera(isOn: boolean): Promise<void> {
    const stream = this.#stream;
    if (!stream) return;
    if (isOn && stream.getVideoTracks().length === 0) {
      try {
        const track = await openCamera();
        if (stream !== this.#stream) return track.stop();
        stream.addTrack(track);
        this.#line?.addTrack(track);
      } catch (error) {
        return this.listener.callProblem((error as Error).message);
      }
    }
    for (const track of stream.getVideoTracks()) track.enabled = isOn;
    this.#devicesChanged({ ...this.#devices, camera: isOn });
  }

  // ---------------------------------------------------------------- we call

  #placeCall(peer: string, kind: CallKind): void {
    const call = String(Math.random()).slice(2);
    const invitation = this.client.createLocalInvitation(peer);
    invitation.content = JSON.stringify({ call, kind });
    this.#outgoing = invitation;
    this.#signals = this.#signalsOf(peer, call);
    const isOurs = () => this.#outgoing === invitation;

    invitation.on('LocalInvitationReceivedByPeer', () => {
      if (this.#state.is === 'calling' && isOurs())
        this.#become({ ...this.#state, isRinging: true });
    });
    invitation.on('LocalInvitationAccepted', () => {
      if (isOurs()) this.#connect('caller', peer, kind);
    });
    invitation.on('LocalInvitationRefused', (response) => {
      if (isOurs()) this.#refused(peer, response);
    });
    invitation.on('LocalInvitationFailure', (reason) => {
      if (isOurs()) this.#end(FAILURES[reason](peer));
    });
    invitation.send();
  }

  #refused(peer: string, response: string): void {
    if (response === CROSSED) {
      // Their own invitation is on its way to us.
      this.#timer = setTimeout(() => this.#end(FAILURES.INVITATION_EXPIRE(peer)), ANSWER_WITHIN_MS);
    } else {
      this.#end(
        response === BUSY
          ? `${peer} is in another call. Try again later.`
          : `${peer} declined the call.`,
      );
    }
  }

  #cancel(): void {
    try {
      this.#outgoing?.cancel();
    } catch {
      // Accepted in this very moment. The goodbye of `#end` tells them.
    }
  }

  // ---------------------------------------------------------------- somebody calls us

  #comes(invitation: RemoteInvitation): void {
    const offer = offerIn(invitation.content);
    if (!offer) return;
    const { call, kind } = offer;
    const peer = invitation.callerId;
    const state = this.#state;
    if (state.is === 'calling' && state.peer === peer) {
      this.#crosses(invitation, call, kind);
    } else if (state.is !== 'idle') {
      invitation.response = BUSY;
      invitation.refuse();
      this.listener.callEnded(peer, `${peer} called while you were in another call.`, true);
    } else {
      this.#listenTo(invitation, call, kind);
      const until = Date.now() + ANSWER_WITHIN_MS;
      this.#become({ is: 'ringing', peer, kind, until, isAnswered: false });
    }
  }

  /** Two people call each other: both want to talk, and one invitation will do. The first name's is taken. */
  #crosses(invitation: RemoteInvitation, call: string, kind: CallKind): void {
    if (this.me < invitation.callerId) {
      invitation.response = CROSSED;
      invitation.refuse();
      return;
    }
    this.#cancel();
    this.#outgoing = undefined;
    clearTimeout(this.#timer);
    this.#listenTo(invitation, call, kind);
    // Otherwise as soon as the browser has given us microphone and camera.
    if (this.#stream) invitation.accept();
  }

  #listenTo(invitation: RemoteInvitation, call: string, kind: CallKind): void {
    const peer = invitation.callerId;
    this.#incoming = invitation;
    this.#signals = this.#signalsOf(peer, call);
    const isOurs = () => this.#incoming === invitation;
    const missed = () => {
      if (isOurs()) this.#end(`You missed a call from ${peer}.`, true);
    };
    invitation.on('RemoteInvitationAccepted', () => {
      if (isOurs()) this.#connect('callee', peer, kind);
    });
    invitation.on('RemoteInvitationCanceled', missed);
    invitation.on('RemoteInvitationFailure', missed);
  }

  // ---------------------------------------------------------------- we talk

  #connect(role: 'caller' | 'callee', peer: string, kind: CallKind): void {
    const stream = this.#stream;
    const signals = this.#signals;
    if (!stream || !signals) return;
    this.#become({ is: 'connecting', peer, kind });
    const noWay = `The two browsers found no way to each other. ${peer} may be behind a firewall.`;
    this.#timer = setTimeout(() => this.#end(noWay), BROKEN_MAX_MS);
    const line = new Line(role, stream, {
      signal: (signal) => signals.send(signal),
      remoteStream: (remote) => this.#remoteChanged(remote, this.#remoteDevices),
      remoteDevices: (devices) => this.#remoteChanged(this.#remote, devices),
      changed: (state) => this.#lineChanged(state),
    });
    this.#line = line;
    line.tellDevices(this.#devices);
    for (const signal of this.#early.splice(0)) line.take(signal);
  }

  #signalsOf(peer: string, call: string): Signals {
    return new Signals(this.client, peer, call, (signal) => {
      if ('bye' in signal) this.#takeGoodbye(peer);
      else if (this.#line) this.#line.take(signal);
      else this.#early.push(signal);
    });
  }

  /** It overtakes the invitation's own end, which is written down before it is told. */
  #takeGoodbye(peer: string): void {
    switch (this.#state.is) {
      case 'calling':
        return this.#end(`${peer} declined the call.`);
      case 'ringing':
        return this.#end(`You missed a call from ${peer}.`, true);
      default:
        return this.#end(lengthOf(this.#state));
    }
  }

  #lineChanged(line: 'connected' | 'broken' | 'closed'): void {
    const state = this.#state;
    if (state.is !== 'connecting' && state.is !== 'talking') return;
    clearTimeout(this.#timer);
    if (line === 'closed') return this.#end(lengthOf(state));
    if (line === 'broken') {
      const why = `The connection to ${state.peer} broke down.`;
      this.#timer = setTimeout(() => this.#end(why), BROKEN_MAX_MS);
    }
    const since = state.is === 'talking' ? state.since : Date.now();
    if (line === 'connected' || state.is === 'talking') {
      this.#become({
        is: 'talking',
        peer: state.peer,
        kind: state.kind,
        since,
        isBroken: line === 'broken',
      });
    }
  }

  #remoteChanged(stream: MediaStream | undefined, devices: Devices): void {
    this.#remote = stream;
    this.#remoteDevices = devices;
    this.listener.remoteStream(stream, devices);
  }

  // ---------------------------------------------------------------- inside

  /** Whether we have them, and the call has not ended meanwhile. */
  async #openDevices(kind: CallKind): Promise<boolean> {
    const attempt = this.#attempt;
    const isSame = () => attempt === this.#attempt;
    try {
      const stream = await openDevices(kind);
      if (!isSame()) {
        closeDevices(stream);
        return false;
      }
      this.#stream = stream;
      this.#devicesChanged({ microphone: true, camera: stream.getVideoTracks().length > 0 });
      return true;
    } catch (error) {
      if (!isSame()) return false;
      this.listener.callProblem((error as Error).message);
      this.hangUp('The call was not possible without a microphone.');
      return false;
    }
  }

  #devicesChanged(devices: Devices): void {
    this.#devices = devices;
    this.#line?.tellDevices(devices);
    this.listener.localStream(this.#stream, devices);
  }

  #become(state: CallState): void {
    this.#state = state;
    this.listener.callChanged(state);
  }

  #end(text: string, isNews = false): void {
    const state = this.#state;
    if (state.is === 'idle') return;
    clearTimeout(this.#timer);
    this.#attempt++;
    this.#signals?.end();
    this.#line?.close();
    if (this.#stream) closeDevices(this.#stream);
    this.#outgoing = this.#incoming = this.#signals = this.#line = this.#stream = undefined;
    this.#early = [];
    this.#devicesChanged(NOTHING);
    this.#remoteChanged(undefined, NOTHING);
    this.#become({ is: 'idle' });
    this.listener.callEnded(state.peer, text, isNews);
  }
}

function lengthOf(state: CallState): string {
  if (state.is !== 'talking') return 'The call ended before it was connected.';
  const seconds = Math.round((Date.now() - state.since) / 1000);
  return `Call ended after ${clock(seconds)}.`;
}

/** Minutes and seconds. */
export function clock(seconds: number): string {
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`;
}
