/** What the server sends. */
import {
  CLOSE_PROTOCOL_ERROR,
  OUTCOME_UNKNOWN_SESSION,
  OUTCOME_WINDOW_OVER,
} from '../generated/codes.js';
import { decodeServerFrame, type Received } from '../wire/frames.js';
import type { Failure, GapCause, Resumed, ServerEvent, Welcome } from '../wire/messages.js';
import { beginAnew, greet, handleTokenExpired, lose } from './connecting.js';
import type { Core } from './core.js';
import { abort, endLogin, endSession, finishLogout } from './endings.js';
import { eventOf } from './events.js';
import { applyReply } from './replies.js';
import { refusal } from './states.js';

export function handleFrame(core: Core, bytes: Uint8Array): void {
  const { phase } = core.link;
  if (phase !== 'greeting' && phase !== 'live') return;
  core.link.heard(core.now);
  const { connection } = core.link;
  let messages: Received[];
  try {
    messages = decodeServerFrame(bytes);
  } catch (error) {
    const text = `a frame of the server cannot be read: ${String(error)}`;
    core.closeLink(CLOSE_PROTOCOL_ERROR);
    if (core.login) lose(core, text, {});
    else beginAnew(core, text, 0);
    return;
  }
  for (const { event, isNumbered, size } of messages) {
    // An earlier message of the frame may have ended the connection.
    if (core.link.connection !== connection || core.link.phase === 'down') return;
    if (isNumbered && core.link.phase !== 'live') continue;
    if (event) handleServerEvent(core, event);
    if (isNumbered) core.confirmation.count(size, isAwaited(event), core.now);
  }
}

function handleServerEvent(core: Core, event: ServerEvent): void {
  switch (event.is) {
    case 'welcome':
      if (core.link.phase === 'greeting') handleWelcome(core, event.value);
      return;
    case 'resumed':
      if (core.link.phase === 'greeting' && core.identity.hasSession)
        handleResumed(core, event.value);
      return;
    case 'refused':
      if (core.link.phase === 'greeting') handleRefused(core, event.value.error);
      // Before it closes a connection that is served, the server says when to come back.
      else if (core.link.phase === 'live') core.hintMs = event.value.error?.retryAfterMs ?? 0;
      return;
    case 'ping':
      core.out.message({ is: 'pong', value: {} });
      return;
    case 'skip':
      if (core.link.phase !== 'live') return;
      for (const value of event.value.gaps) handleEvent(core, { is: 'gap', value });
      core.confirmation.skip(event.value.count, core.now);
      return;
    case 'reply':
      handleReply(core, event.value.cseq, event.value.result);
      return;
    default:
      handleEvent(core, event);
  }
}

function handleEvent(core: Core, event: ServerEvent): void {
  if (!core.invitations.heard(event)) return;
  for (const told of eventOf(event, core.replica, core.seen, core.now)) core.out.emit(told);
}

function handleWelcome(core: Core, welcome: Welcome): void {
  core.identity.welcomed(welcome);
  if (welcome.heartbeatMs > 0) core.link.heartbeatMs = welcome.heartbeatMs;
  core.confirmation.beginSession();
  core.seen.beginSession();
  accept(core);
  const login = core.login;
  if (login) {
    core.login = undefined;
    core.out.done(login.id);
    return;
  }
  const cause = core.overCause ?? 'node_lost';
  core.overCause = undefined;
  // A server that did not know the session has restarted: others may be reconnecting.
  for (const channel of core.replica.sessionOver(cause === 'node_lost')) {
    core.out.emit({ is: 'gap', channel, cause, missed: 0 });
  }
  for (const held of core.calls.takeWaiting('renewToken')) {
    core.out.done(held.id);
  }
  core.restore.begin();
}

function handleResumed(core: Core, resumed: Resumed): void {
  core.identity.resumed(resumed);
  core.calls.resumed(resumed.cseq);
  accept(core);
  // The server joins the channels again; attributes end with the user's presence.
  if (!resumed.wasGone && !core.replica.isAheadOfServer) return;
  // Writes on their way count as done: they come before this one.
  for (const call of core.calls.openWrites()) core.replica.wroteAttributes(call);
  core.restore.attributes();
}

function accept(core: Core): void {
  core.link.accept(core.now);
  core.hintMs = 0;
  core.hasToldExpiry = false;
  if (!core.logout) core.move('accepted');
}

function handleRefused(
  core: Core,
  error: Failure = { outcome: 0, text: 'no reason given', retryAfterMs: 0 },
): void {
  if (core.logout) {
    finishLogout(core);
    return;
  }
  const kind = refusal(error.outcome);
  if (core.identity.hasSession && kind === 'sessionOver') {
    core.out.log('info', `the session is over: ${error.text}`);
    endSession(core, causeOf(error.outcome));
    greet(core);
    return;
  }
  if (core.login) {
    if (kind === 'later') lose(core, error.text, { retryAfterMs: error.retryAfterMs });
    else endLogin(core, 'refused', error);
    return;
  }
  if (kind === 'tokenExpired') {
    for (const held of core.calls.takeWaiting('renewToken')) core.out.fail(held.id, error);
    core.identity.refused();
    handleTokenExpired(core, error.text);
  } else if (kind === 'banned' || kind === 'remoteLogin') {
    abort(core, kind, error.text);
  } else {
    core.out.log('warn', `the server refuses to let the session go on: ${error.text}`);
    lose(core, error.text, { retryAfterMs: error.retryAfterMs });
  }
}

function handleReply(core: Core, cseq: number, result: Parameters<typeof applyReply>[1]): void {
  const held = core.calls.answered(cseq);
  if (!held) return;
  if (held.purpose === 'logout') {
    finishLogout(core);
    return;
  }
  if (held.call.is === 'renewToken')
    core.identity.judged(held.call.value.token, result?.is === 'done');
  const context = {
    calls: core.calls,
    replica: core.replica,
    restore: core.restore,
    now: core.now,
  };
  const applied = applyReply(held, result, context);
  for (const text of applied.warnings) core.out.log('warn', text);
  if (held.id !== 0) core.out.settle(held.id, applied.result);
  core.invitations.answered(held.call);
  for (const event of applied.events) core.out.emit(event);
}

/** Whether somebody waits for the confirmation. */
function isAwaited(event: ServerEvent | undefined): boolean {
  return event?.is === 'peerMessage' || event?.is === 'incomingInvitation';
}

function causeOf(outcome: number): GapCause {
  if (outcome === OUTCOME_WINDOW_OVER) return 'resume_window';
  return outcome === OUTCOME_UNKNOWN_SESSION ? 'node_lost' : 'unspecified';
}
