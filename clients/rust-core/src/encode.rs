//! Calls as the server reads them.

use tidings_wire::proto::{self, read_history, request::Call as To};

use crate::call::{Attribute, AttributeWrite, Call, Conversation, HistoryRange};
use crate::invitation::InvitationWord;

/// A numbered request, ready to be written.
pub(crate) fn request(cseq: u64, call: &Call) -> proto::client_message::Kind {
    proto::client_message::Kind::Request(proto::Request {
        cseq,
        call: Some(to_proto(call.clone())),
    })
}

fn to_proto(call: Call) -> To {
    match call {
        Call::SendToPeer {
            peer_id,
            message,
            offline,
            history,
        } => To::SendToPeer(proto::SendToPeer {
            peer_id,
            message: Some(message.to_proto()),
            offline,
            history,
        }),
        Call::SendToChannel {
            channel,
            message,
            history,
        } => To::SendToChannel(proto::SendToChannel {
            channel,
            message: Some(message.to_proto()),
            history,
        }),
        Call::Join { channel } => To::Join(proto::Join { channel }),
        Call::Leave { channel } => To::Leave(proto::Leave { channel }),
        Call::GetMembers { channel } => To::GetMembers(proto::GetMembers { channel }),
        Call::GetMemberCounts { channels } => {
            To::GetMemberCounts(proto::GetMemberCounts { channels })
        }
        Call::QueryPresence { user_ids } => To::QueryPresence(proto::QueryPresence { user_ids }),
        Call::SubscribePresence { user_ids } => {
            To::SubscribePresence(proto::SubscribePresence { user_ids })
        }
        Call::UnsubscribePresence { user_ids } => {
            To::UnsubscribePresence(proto::UnsubscribePresence { user_ids })
        }
        Call::QueryPresenceSubscriptions => {
            To::QueryPresenceSubscriptions(proto::QueryPresenceSubscriptions {})
        }
        Call::WriteUserAttributes { how, attributes } => user_write(how, &attributes),
        Call::ReadUserAttributes { user_id, keys } => {
            To::ReadUserAttributes(proto::ReadUserAttributes { user_id, keys })
        }
        Call::WriteChannelAttributes {
            channel,
            how,
            attributes,
            notify,
        } => channel_write(channel, how, &attributes, notify),
        Call::ReadChannelAttributes { channel, keys } => {
            To::ReadChannelAttributes(proto::ReadChannelAttributes { channel, keys })
        }
        Call::ReadHistory {
            conversation,
            range,
        } => To::ReadHistory(history(conversation, &range)),
        Call::RenewToken { token } => To::RenewToken(proto::RenewToken { token }),
        Call::InvitationWord(word) => invitation(word),
        Call::Invitation(call) => unreachable!("{call:?} is done by the machine itself"),
        Call::Logout => To::Logout(proto::Logout {}),
    }
}

fn user_write(how: AttributeWrite, attributes: &[Attribute]) -> To {
    To::WriteUserAttributes(proto::WriteUserAttributes {
        how: how.into(),
        attributes: attributes.iter().map(Attribute::to_proto).collect(),
    })
}

fn channel_write(
    channel: String,
    how: AttributeWrite,
    attributes: &[Attribute],
    notify: bool,
) -> To {
    To::WriteChannelAttributes(proto::WriteChannelAttributes {
        channel,
        how: how.into(),
        attributes: attributes.iter().map(Attribute::to_proto).collect(),
        notify,
    })
}

fn history(conversation: Conversation, range: &HistoryRange) -> proto::ReadHistory {
    proto::ReadHistory {
        conversation: Some(match conversation {
            Conversation::Channel(name) => read_history::Conversation::Channel(name),
            Conversation::Peer(id) => read_history::Conversation::PeerId(id),
        }),
        after: range.after.unwrap_or(0),
        before: range.before.unwrap_or(0),
        from_ts: range.from_ts_ms.unwrap_or(0),
        until_ts: range.until_ts_ms.unwrap_or(0),
        count_max: range.count_max.unwrap_or(0),
        newest_first: range.newest_first,
    }
}

fn invitation(word: InvitationWord) -> To {
    match word {
        InvitationWord::Invite(word) => To::Invite(word),
        InvitationWord::Cancel(word) => To::CancelInvitation(word),
        InvitationWord::Confirm(word) => To::ConfirmAccept(word),
        InvitationWord::Accept(word) => To::AcceptInvitation(word),
        InvitationWord::Refuse(word) => To::RefuseInvitation(word),
    }
}
