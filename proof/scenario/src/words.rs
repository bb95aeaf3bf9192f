//! The client's words in those of a scenario, and back.

use tidings_client_core as core;
use tidings_client_core::ClientEvent;

use crate::{Event, File, InvitationNews, Message, PresenceState, Write};

/// A message to be sent.
pub fn to_message(message: Message) -> core::Message {
    match message {
        Message::Text(text) => core::Message::Text(text),
        Message::Raw { data, description } => core::Message::Raw {
            data: data.into(),
            description,
        },
        Message::File(file) => core::Message::File(to_file(file)),
        Message::Image {
            file,
            size,
            thumbnail_size,
        } => core::Message::Image {
            file: to_file(file),
            size: to_pixels(size),
            thumbnail_size: to_pixels(thumbnail_size),
        },
    }
}

fn to_file(file: File) -> core::MediaFile {
    core::MediaFile {
        media_id: file.media_id,
        size: file.size,
        file_name: file.file_name,
        description: file.description,
        thumbnail: file.thumbnail.into(),
    }
}

fn to_pixels((width, height): (u32, u32)) -> core::PixelSize {
    core::PixelSize { width, height }
}

/// A message of the client.
pub fn from_message(message: core::Message) -> Message {
    match message {
        core::Message::Text(text) => Message::Text(text),
        core::Message::Raw { data, description } => Message::Raw {
            data: data.to_vec(),
            description,
        },
        core::Message::File(file) => Message::File(from_file(file)),
        core::Message::Image {
            file,
            size,
            thumbnail_size,
        } => Message::Image {
            file: from_file(file),
            size: (size.width, size.height),
            thumbnail_size: (thumbnail_size.width, thumbnail_size.height),
        },
    }
}

fn from_file(file: core::MediaFile) -> File {
    File {
        media_id: file.media_id,
        size: file.size,
        file_name: file.file_name,
        description: file.description,
        thumbnail: file.thumbnail.to_vec(),
    }
}

/// What a write does with attributes that are there.
pub fn to_how(how: Write) -> core::AttributeWrite {
    match how {
        Write::Set => core::AttributeWrite::Set,
        Write::Merge => core::AttributeWrite::Merge,
        Write::Delete => core::AttributeWrite::Delete,
        Write::Clear => core::AttributeWrite::Clear,
    }
}

/// Attributes to be written, by key and value.
pub fn to_attributes(attributes: Vec<(String, String)>) -> Vec<core::Attribute> {
    attributes
        .into_iter()
        .map(|(key, value)| core::Attribute::new(key, value))
        .collect()
}

/// Attributes that were read: key and value.
pub fn from_attributes(attributes: Vec<core::Attribute>) -> Vec<(String, String)> {
    attributes
        .into_iter()
        .map(|attribute| (attribute.key, attribute.value))
        .collect()
}

/// Whether users are online.
pub fn from_presence(users: Vec<(String, core::PresenceState)>) -> Vec<(String, PresenceState)> {
    let state = |state| match state {
        core::PresenceState::Online => PresenceState::Online,
        core::PresenceState::Unreachable => PresenceState::Unreachable,
        core::PresenceState::Offline => PresenceState::Offline,
    };
    users
        .into_iter()
        .map(|(user, found)| (user, state(found)))
        .collect()
}

/// An event of the client; `None` for one that scenarios do not name.
pub fn from_event(event: ClientEvent) -> Option<Event> {
    Some(match event {
        ClientEvent::StateChanged { state, reason } => Event::State {
            state: state.to_string(),
            reason: reason.to_string(),
        },
        ClientEvent::PeerMessage {
            from,
            message,
            is_offline,
            ..
        } => Event::PeerMessage {
            from,
            message: from_message(message),
            is_offline,
        },
        ClientEvent::ChannelMessage {
            channel,
            from,
            message,
            ..
        } => Event::ChannelMessage {
            channel,
            from,
            message: from_message(message),
        },
        ClientEvent::MemberJoined { channel, user_id } => Event::MemberJoined { channel, user_id },
        ClientEvent::MemberLeft { channel, user_id } => Event::MemberLeft { channel, user_id },
        ClientEvent::MemberCount { channel, count } => Event::MemberCount { channel, count },
        ClientEvent::ChannelAttributes {
            channel,
            attributes,
        } => Event::ChannelAttributes {
            channel,
            attributes: from_attributes(attributes),
        },
        ClientEvent::PresenceChanged { users } => Event::PresenceChanged {
            users: from_presence(users),
        },
        ClientEvent::Gap { source, .. } => Event::Gap {
            channel: match source {
                core::GapSource::Channel(channel) => Some(channel),
                core::GapSource::Inbox => None,
            },
        },
        ClientEvent::TokenWillExpire { .. } => Event::TokenWillExpire,
        ClientEvent::LocalInvitation {
            callee_id, news, ..
        } => Event::LocalInvitation {
            callee_id,
            news: from_local(news),
        },
        ClientEvent::RemoteInvitation {
            caller_id, news, ..
        } => from_remote(caller_id, news),
        ClientEvent::TokenExpired => Event::TokenExpired,
        ClientEvent::ChannelLost { .. } => return None,
    })
}

/// The fate of an invitation that was sent.
fn from_local(news: core::LocalInvitationNews) -> InvitationNews {
    match news {
        core::LocalInvitationNews::Received => InvitationNews::Received,
        core::LocalInvitationNews::Accepted(response) => InvitationNews::Accepted(response),
        core::LocalInvitationNews::Refused(response) => InvitationNews::Refused(response),
        core::LocalInvitationNews::Canceled => InvitationNews::Canceled,
        core::LocalInvitationNews::Failed(reason) => InvitationNews::Failed(reason.name().into()),
    }
}

/// The fate of an invitation that was received.
fn from_remote(caller_id: String, news: core::RemoteInvitationNews) -> Event {
    let news = match news {
        core::RemoteInvitationNews::Received { content, channel } => {
            return Event::Invited {
                caller_id,
                content,
                channel,
            };
        }
        core::RemoteInvitationNews::Accepted => InvitationNews::Accepted(String::new()),
        core::RemoteInvitationNews::Refused => InvitationNews::Refused(String::new()),
        core::RemoteInvitationNews::Canceled => InvitationNews::Canceled,
        core::RemoteInvitationNews::Failed(reason) => InvitationNews::Failed(reason.name().into()),
    };
    Event::RemoteInvitation { caller_id, news }
}
