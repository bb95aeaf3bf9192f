/** Which of the server's events the application is told. */
import { GAP_CAUSES, type ServerEvent } from '../wire/messages.js';
import type { SeenMessages } from './inbox.js';
import type { Replica } from './replica.js';
import type { MachineEvent } from './types.js';

/** The application's events for one of the server's; none when it has been told before. */
export function eventOf(
  event: ServerEvent,
  replica: Replica,
  seen: SeenMessages,
  now: number,
): MachineEvent[] {
  switch (event.is) {
    case 'peerMessage': {
      const { from, message, serverTs, inbox, id } = event.value;
      if (!seen.admit(id, inbox) || !message?.body) return [];
      return [{ is: 'peerMessage', from, body: message.body, serverTs, wasStored: inbox > 0 }];
    }
    case 'channelMessage': {
      const { channel, from, message, serverTs } = event.value;
      if (!replica.isHeard(channel) || !message?.body) return [];
      return [{ is: 'channelMessage', channel, from, body: message.body, serverTs }];
    }
    case 'memberJoined':
    case 'memberLeft': {
      const { channel, userId } = event.value;
      if (event.is === 'memberLeft' && replica.isPutOut(channel, userId)) {
        return [{ is: 'memberLeft', channel, userId, isSelf: true }];
      }
      return replica.memberEvent(event.is, channel, userId)
        ? [{ is: event.is, channel, userId }]
        : [];
    }
    case 'memberCount': {
      const { channel, count } = event.value;
      replica.memberCount(channel, count);
      return replica.isHeard(channel) ? [{ is: 'memberCount', channel, count }] : [];
    }
    case 'channelAttributes': {
      const { channel, attributes } = event.value;
      return replica.isHeard(channel) ? [{ is: 'channelAttributes', channel, attributes }] : [];
    }
    case 'presenceChanged': {
      const users = replica.presenceChanged(event.value.users);
      return users.length > 0 ? [{ is: 'presenceChanged', users }] : [];
    }
    case 'invitationReceived':
    case 'acceptAsked':
    case 'localInvitationEnded':
    case 'incomingInvitation':
    case 'remoteInvitationEnded':
      return [event];
    case 'gap': {
      const { source, cause, missed } = event.value;
      const channel = source?.is === 'channel' ? source.value : undefined;
      if (channel !== undefined) replica.gap(channel, now);
      return [{ is: 'gap', channel, cause: GAP_CAUSES[cause] ?? 'unspecified', missed }];
    }
    case 'tokenWillExpire':
      return [{ is: 'tokenWillExpire', expiresTs: event.value.expiresTs }];
    default:
      return [];
  }
}
