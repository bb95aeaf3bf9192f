//! The model as text, in the notation of scenario files.

use std::fmt::{self, Display, Formatter};

use crate::model::{
    Action, Answer, Conversation, Event, File, InvitationNews, Message, PresenceState, TokenKind,
    Write,
};

/// Texts longer than this are shown as their length.
const SHOWN_BYTES_MAX: usize = 40;

struct Text<'a>(&'a str);

impl Display for Text<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0.len() {
            len if len > SHOWN_BYTES_MAX => write!(f, "<{len}>"),
            _ => write!(f, "{:?}", self.0),
        }
    }
}

/// A user, or a channel without its `#`; quoted where it is not a plain word.
struct Name<'a>(&'a str);

impl Display for Name<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if !self.0.is_empty() && self.0.chars().all(is_plain) {
            f.write_str(self.0)
        } else {
            write!(f, "{}", Text(self.0))
        }
    }
}

/// An invitation's channel, if it has one.
struct In<'a>(&'a str);

impl Display for In<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            Ok(())
        } else {
            write!(f, " in #{}", Name(self.0))
        }
    }
}

impl Display for InvitationNews {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Received => f.write_str("received"),
            Self::Accepted(_) => f.write_str("accepted"),
            Self::Refused(_) => f.write_str("refused"),
            Self::Canceled => f.write_str("canceled"),
            Self::Failed(reason) => write!(f, "failed {reason}"),
        }
    }
}

struct List<'a, T>(
    &'a [T],
    fn(&T, &mut Formatter<'_>) -> fmt::Result,
    &'static str,
);

impl<T> Display for List<'_, T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str(self.2);
        }
        for (index, item) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(" ")?;
            }
            if index == 8 && self.0.len() > 10 {
                return write!(f, "… {} more", self.0.len() - index);
            }
            (self.1)(item, f)?;
        }
        Ok(())
    }
}

fn users(list: &[String]) -> List<'_, String> {
    List(list, |name, f| write!(f, "{}", Name(name)), "nobody")
}

fn channels(list: &[String]) -> List<'_, String> {
    List(list, |name, f| write!(f, "#{}", Name(name)), "no channel")
}

fn attributes(list: &[(String, String)]) -> List<'_, (String, String)> {
    List(
        list,
        |(key, value), f| write!(f, "{key}={}", Text(value)),
        "nothing",
    )
}

fn presence(list: &[(String, PresenceState)]) -> List<'_, (String, PresenceState)> {
    List(
        list,
        |(user, state), f| write!(f, "{} {state}", Name(user)),
        "nobody",
    )
}

impl Display for PresenceState {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Online => "ONLINE",
            Self::Unreachable => "UNREACHABLE",
            Self::Offline => "OFFLINE",
        })
    }
}

impl Display for TokenKind {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Limited(_) => "limited",
            Self::Lasting(seconds) => return write!(f, "{seconds}s"),
            Self::Valid => "valid",
            Self::Expired => "expired",
            Self::Foreign => "foreign",
            Self::Damaged => "damaged",
            Self::No => "no",
        })
    }
}

/// What a limited token permits, as written after the word.
struct Permits<'a>(&'a TokenKind);

impl Display for Permits<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let TokenKind::Limited(list) = self.0 else {
            return Ok(());
        };
        for permission in list {
            let verb = if permission.writes { "write" } else { "read" };
            let hash = if permission.is_channel { "#" } else { "" };
            write!(f, " {verb} {hash}{}", Name(&permission.name))?;
        }
        Ok(())
    }
}

impl Display for Message {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "{}", Text(text)),
            Self::Raw { data, description } => {
                write!(f, "raw {} {}", Hex(data), Text(description))
            }
            Self::File(file) => write!(f, "file {file}"),
            Self::Image {
                file,
                size,
                thumbnail_size,
            } => write!(
                f,
                "image {file} {}x{} {}x{}",
                size.0, size.1, thumbnail_size.0, thumbnail_size.1
            ),
        }
    }
}

impl Display for File {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self {
            media_id,
            size,
            file_name,
            description,
            thumbnail,
        } = self;
        let (name, description) = (Text(file_name), Text(description));
        write!(
            f,
            "{media_id} {size} {name} {description} {}",
            Hex(thumbnail)
        )
    }
}

/// Bytes: written out, or as their number.
struct Hex<'a>(&'a [u8]);

impl Display for Hex<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() || self.0.len() > SHOWN_BYTES_MAX {
            return write!(f, "<{}>", self.0.len());
        }
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl Display for Event {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::State { state, reason } => write!(f, "state {state} {reason}"),
            Self::PeerMessage {
                from,
                message,
                is_offline,
            } => {
                let stored = if *is_offline { " stored" } else { "" };
                write!(f, "{} {message}{stored}", Name(from))
            }
            Self::ChannelMessage {
                channel,
                from,
                message,
            } => {
                write!(f, "{} #{} {message}", Name(from), Name(channel))
            }
            Self::MemberJoined { channel, user_id } => {
                write!(f, "joined {} #{}", Name(user_id), Name(channel))
            }
            Self::MemberLeft { channel, user_id } => {
                write!(f, "left {} #{}", Name(user_id), Name(channel))
            }
            Self::MemberCount { channel, count } => write!(f, "count #{} {count}", Name(channel)),
            Self::ChannelAttributes {
                channel,
                attributes: list,
            } => {
                write!(f, "attributes #{} {}", Name(channel), attributes(list))
            }
            Self::PresenceChanged { users } => write!(f, "presence {}", presence(users)),
            Self::Gap {
                channel: Some(channel),
            } => write!(f, "gap #{}", Name(channel)),
            Self::Gap { channel: None } => f.write_str("gap inbox"),
            Self::TokenWillExpire => f.write_str("token ends soon"),
            Self::Invited {
                caller_id,
                content,
                channel,
            } => {
                write!(f, "invited by {} {}", Name(caller_id), Text(content))?;
                write!(f, "{}", In(channel))
            }
            Self::LocalInvitation { callee_id, news } => {
                write!(f, "invitation to {} {news}", Name(callee_id))?;
                match news {
                    InvitationNews::Accepted(response) | InvitationNews::Refused(response) => {
                        write!(f, " {}", Text(response))
                    }
                    _ => Ok(()),
                }
            }
            Self::RemoteInvitation { caller_id, news } => {
                write!(f, "invitation by {} {news}", Name(caller_id))
            }
            Self::TokenExpired => f.write_str("token expired"),
        }
    }
}

impl Display for Answer {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done => f.write_str("ok"),
            Self::Received => f.write_str("received"),
            Self::NotReceived => f.write_str("not received"),
            Self::Users(list) => write!(f, "{}", users(list)),
            Self::MemberCounts(list) => {
                let show = |(channel, count): &(String, u32), f: &mut Formatter<'_>| {
                    write!(f, "#{} {count}", Name(channel))
                };
                write!(f, "{}", List(list, show, "no channel"))
            }
            Self::Presence(list) => write!(f, "{}", presence(list)),
            Self::Attributes(list) => write!(f, "{}", attributes(list)),
            Self::History(list) => {
                let show = |(from, message): &(String, Message), f: &mut Formatter<'_>| {
                    write!(f, "{} {message}", Name(from))
                };
                write!(f, "{}", List(list, show, "nothing"))
            }
            Self::Error(code) => write!(f, "error {code}"),
        }
    }
}

impl Display for Write {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Set => "sets",
            Self::Merge => "merges",
            Self::Delete => "deletes",
            Self::Clear => "clears",
        })
    }
}

fn write_attributes(
    f: &mut Formatter<'_>,
    how: Write,
    channel: Option<&str>,
    list: &[(String, String)],
) -> fmt::Result {
    write!(f, "{how} attributes")?;
    if let Some(channel) = channel {
        write!(f, " of #{}", Name(channel))?;
    }
    match how {
        Write::Set | Write::Merge => write!(f, " {}", attributes(list)),
        Write::Delete => list
            .iter()
            .try_for_each(|(key, _)| write!(f, " {}", Name(key))),
        Write::Clear => Ok(()),
    }
}

impl Display for Action {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::LogIn { user_id, token } => {
                write!(
                    f,
                    "logs in as {} with {token} token{}",
                    Name(user_id),
                    Permits(token)
                )
            }
            Self::LogOut => f.write_str("logs out"),
            Self::RenewToken { token } => write!(f, "renews with {token} token{}", Permits(token)),
            Self::Join { channel } => write!(f, "joins #{}", Name(channel)),
            Self::Leave { channel } => write!(f, "leaves #{}", Name(channel)),
            Self::SendToChannel {
                channel,
                message,
                history,
            } => {
                let history = if *history { " history" } else { "" };
                write!(f, "sends #{} {message}{history}", Name(channel))
            }
            Self::SendToPeer {
                peer_id,
                message,
                offline,
                history,
            } => {
                let offline = if *offline { " offline" } else { "" };
                let history = if *history { " history" } else { "" };
                write!(f, "sends {} {message}{offline}{history}", Name(peer_id))
            }
            Self::ReadHistory {
                of,
                newest_first,
                count_max,
            } => {
                match of {
                    Conversation::Channel(name) => write!(f, "reads history of #{}", Name(name))?,
                    Conversation::Peer(id) => write!(f, "reads history of {}", Name(id))?,
                }
                f.write_str(if *newest_first { " newest" } else { " oldest" })?;
                count_max.map_or(Ok(()), |count| write!(f, " {count}"))
            }
            Self::GetMembers { channel } => write!(f, "lists #{}", Name(channel)),
            Self::GetMemberCounts { channels: list } => write!(f, "counts {}", channels(list)),
            Self::QueryPresence { user_ids } => write!(f, "queries {}", users(user_ids)),
            Self::SubscribePresence { user_ids } => {
                write!(f, "subscribes to {}", users(user_ids))
            }
            Self::UnsubscribePresence { user_ids } => {
                write!(f, "unsubscribes from {}", users(user_ids))
            }
            Self::QueryPresenceSubscriptions => f.write_str("lists subscriptions"),
            Self::WriteUserAttributes { how, attributes } => {
                write_attributes(f, *how, None, attributes)
            }
            Self::ReadUserAttributes { user_id, keys } => {
                write!(f, "reads attributes of {}", Name(user_id))?;
                keys.iter().try_for_each(|key| write!(f, " {}", Name(key)))
            }
            Self::WriteChannelAttributes {
                channel,
                how,
                attributes,
                notify,
            } => {
                write_attributes(f, *how, Some(channel), attributes)?;
                f.write_str(if *notify { " notify" } else { "" })
            }
            Self::ReadChannelAttributes { channel, keys } => {
                write!(f, "reads attributes of #{}", Name(channel))?;
                keys.iter().try_for_each(|key| write!(f, " {}", Name(key)))
            }
            Self::Invite {
                callee_id,
                content,
                channel,
            } => {
                write!(f, "invites {} {}", Name(callee_id), Text(content))?;
                write!(f, "{}", In(channel))
            }
            Self::CancelInvitation { callee_id } => write!(f, "cancels {}", Name(callee_id)),
            Self::AcceptInvitation {
                caller_id,
                response,
            } => write!(f, "accepts {} {}", Name(caller_id), Text(response)),
            Self::RefuseInvitation {
                caller_id,
                response,
            } => write!(f, "refuses {} {}", Name(caller_id), Text(response)),
            Self::Cut => f.write_str("is cut"),
            Self::ComeBack => f.write_str("comes back"),
            Self::Drop => f.write_str("drops"),
            Self::Pass { ms } => write!(f, "{ms}ms pass"),
            Self::RestartServer => f.write_str("server restarts"),
        }
    }
}
