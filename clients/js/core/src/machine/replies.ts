/** What a reply changes in the client's own picture, and what its caller is told. */
import {
  OUTCOME_ALREADY_JOINED,
  OUTCOME_SAME_CHANNEL_TOO_OFTEN,
  OUTCOME_TIMED_OUT,
  OUTCOME_TOO_OFTEN,
  OUTCOME_UNAVAILABLE,
  OUTCOME_UNSUPPORTED,
} from '../generated/codes.js';
import type { Call, Failure, ReplyResult } from '../wire/messages.js';
import type { Calls, PendingCall } from './calls.js';
import type { Replica } from './replica.js';
import type { Restore } from './restore.js';
import type { CallAnswer, CallResult, MachineEvent } from './types.js';

/** Shortest wait before a call of the machine is made again. */
const RETRY_MS = 1_000;
const RETRYABLE = [
  OUTCOME_TOO_OFTEN,
  OUTCOME_SAME_CHANNEL_TOO_OFTEN,
  OUTCOME_TIMED_OUT,
  OUTCOME_UNAVAILABLE,
];

interface Context {
  readonly calls: Calls;
  readonly replica: Replica;
  readonly restore: Restore;
  readonly now: number;
}

interface Applied {
  readonly result: CallResult;
  readonly events: readonly MachineEvent[];
  readonly warnings: readonly string[];
}

/** Takes the reply to a call, of the application or of the machine. */
export function applyReply(
  held: PendingCall,
  reply: ReplyResult | undefined,
  context: Context,
): Applied {
  if (reply === undefined) {
    const text = 'the answer is of an unknown kind';
    const failure = { outcome: OUTCOME_UNSUPPORTED, text, retryAfterMs: 0 };
    return { result: { failure }, events: [], warnings: applyFailure(held, failure, context) };
  }
  if (reply.is === 'error') {
    return {
      result: { failure: reply.value },
      events: inviteFailure(held.call),
      warnings: applyFailure(held, reply.value, context),
    };
  }
  return { result: { ok: reply }, events: applySuccess(held, reply, context), warnings: [] };
}

function inviteFailure({ is, value }: Call): MachineEvent[] {
  return is === 'invite'
    ? [{ is: 'localInvitationEnded', value: { number: value.number || 0, end: 0, response: '' } }]
    : [];
}

function applySuccess(held: PendingCall, answer: CallAnswer, context: Context): MachineEvent[] {
  const { call, purpose } = held;
  const { calls, replica, restore, now } = context;
  let events: MachineEvent[] = [];
  switch (call.is) {
    case 'join': {
      const { channel = '' } = call.value;
      // The application has been told that the join took too long: it must not be in the channel.
      if (purpose === 'overtaken') replica.joinFailed(channel);
      else if (purpose === 'application' && held.id === 0) {
        replica.joinFailed(channel);
        calls.addOwn('undoJoin', { is: 'leave', value: { channel } });
      } else {
        replica.joined(channel, now);
      }
      break;
    }
    case 'leave':
      if (purpose !== 'undoJoin') replica.left(call.value.channel ?? '');
      break;
    case 'getMembers':
      if (answer.is === 'users') {
        events = replica.memberList(call.value.channel ?? '', answer.value.userIds, now);
      }
      break;
    case 'writeUserAttributes':
      if (purpose === 'application') replica.wroteAttributes(call);
      break;
    case 'subscribePresence':
      replica.watched(call.value.userIds ?? []);
      break;
    case 'unsubscribePresence':
      replica.unwatched(call.value.userIds ?? []);
      break;
    default:
      break;
  }
  if (isRestoring(purpose)) restore.answered(purpose, call, undefined);
  return events;
}

function applyFailure(held: PendingCall, failure: Failure, context: Context): string[] {
  const { call, purpose } = held;
  const { replica, restore, now } = context;
  const canRetry = RETRYABLE.includes(failure.outcome);
  const retryAt = now + Math.max(RETRY_MS, failure.retryAfterMs);
  const channel = (call.is === 'join' || call.is === 'getMembers') && call.value.channel;
  if (purpose === 'application' || purpose === 'kept' || purpose === 'overtaken') {
    if (call.is === 'join' && channel) replica.joinFailed(channel);
    return [];
  }
  const warnings: string[] = [];
  if (purpose === 'members') {
    if (canRetry && channel) replica.fetchLater(channel, retryAt);
  } else if (purpose === 'restoreChannel' && channel) {
    if (failure.outcome === OUTCOME_ALREADY_JOINED) replica.joined(channel, now);
    else if (canRetry) replica.joinLater(channel, retryAt);
    else {
      replica.left(channel);
      warnings.push(`join of ${channel} failed: ${failure.text}`);
    }
  } else if (call.is === 'invite' || (isRestoring(purpose) && !canRetry)) {
    warnings.push(`${call.is} failed: ${failure.text}`);
  }
  if (isRestoring(purpose)) restore.answered(purpose, call, canRetry ? retryAt : undefined);
  return warnings;
}

function isRestoring(purpose: PendingCall['purpose']): boolean {
  return (
    purpose === 'restoreAttributes' || purpose === 'restoreChannel' || purpose === 'restorePresence'
  );
}
