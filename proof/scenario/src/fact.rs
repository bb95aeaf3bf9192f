//! Expectations: facts, answers and their times.

use crate::model::{Answer, Event, File, InvitationNews, Message, PresenceState};
use crate::token::{Cursor, duration, range, sized};

/// A fact's times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Times {
    pub(crate) after_ms: u64,
    pub(crate) within_ms: u64,
}

/// Parses `[after D] [within D]`, which ends a column.
pub(crate) fn times(cursor: &mut Cursor<'_>, default_ms: u64) -> Result<Times, String> {
    let mut times = Times {
        after_ms: 0,
        within_ms: default_ms,
    };
    let mut is_within_stated = false;
    while !cursor.is_at_end() {
        let is_within = match cursor.word("\"after\" or \"within\"")? {
            "within" => true,
            "after" => false,
            other => return Err(format!("{other:?} is not understood here")),
        };
        let word = cursor.word("a duration")?;
        let ms = duration(word).ok_or(format!("{word:?} is not a duration such as 500ms or 3s"))?;
        if is_within {
            (times.within_ms, is_within_stated) = (ms, true);
        } else {
            times.after_ms = ms;
        }
    }
    if !is_within_stated {
        times.within_ms = times.after_ms + default_ms;
    }
    if times.after_ms <= times.within_ms {
        Ok(times)
    } else {
        Err("\"within\" ends before \"after\"".to_owned())
    }
}

/// Parses a message: a text, `raw HEX TEXT`, `file ID SIZE NAME TEXT HEX`, or `image ID SIZE NAME
/// TEXT HEX WIDTHxHEIGHT WIDTHxHEIGHT`.
pub(crate) fn message(cursor: &mut Cursor<'_>) -> Result<Message, String> {
    match cursor.peek() {
        Some("raw") if cursor.take("raw") => Ok(Message::Raw {
            data: bytes(cursor)?,
            description: cursor.text()?,
        }),
        Some("file") if cursor.take("file") => Ok(Message::File(file(cursor)?)),
        Some("image") if cursor.take("image") => Ok(Message::Image {
            file: file(cursor)?,
            size: pixels(cursor)?,
            thumbnail_size: pixels(cursor)?,
        }),
        _ => Ok(Message::Text(cursor.text()?)),
    }
}

fn file(cursor: &mut Cursor<'_>) -> Result<File, String> {
    let media_id = cursor.word("a media id")?.to_owned();
    let word = cursor.word("a size in bytes")?;
    Ok(File {
        media_id,
        size: word
            .parse()
            .map_err(|_| format!("{word:?} is not a number of bytes"))?,
        file_name: cursor.text()?,
        description: cursor.text()?,
        thumbnail: bytes(cursor)?,
    })
}

fn bytes(cursor: &mut Cursor<'_>) -> Result<Vec<u8>, String> {
    let word = cursor.word("bytes in hexadecimal")?;
    match sized(word) {
        Some(bytes) => Ok(vec![0; bytes]),
        None => hex(word).ok_or(format!("{word:?} is neither hexadecimal nor <n>")),
    }
}

fn pixels(cursor: &mut Cursor<'_>) -> Result<(u32, u32), String> {
    let word = cursor.word("a width and a height such as 640x480")?;
    word.split_once('x')
        .and_then(|(width, height)| Some((width.parse().ok()?, height.parse().ok()?)))
        .ok_or(format!(
            "{word:?} is not a width and a height such as 640x480"
        ))
}

fn hex(word: &str) -> Option<Vec<u8>> {
    if !word.is_ascii() || !word.len().is_multiple_of(2) {
        return None;
    }
    (0..word.len())
        .step_by(2)
        .map(|i| u8::from_str_radix(&word[i..i + 2], 16).ok())
        .collect()
}

fn presence_state(word: &str) -> Option<PresenceState> {
    match word {
        "ONLINE" => Some(PresenceState::Online),
        "UNREACHABLE" => Some(PresenceState::Unreachable),
        "OFFLINE" => Some(PresenceState::Offline),
        _ => None,
    }
}

fn is_time(cursor: &Cursor<'_>) -> bool {
    matches!(cursor.peek(), Some("after" | "within"))
}

fn presence(cursor: &mut Cursor<'_>) -> Result<Vec<(String, PresenceState)>, String> {
    let mut list = vec![];
    while !cursor.is_at_end() && !is_time(cursor) {
        let users = range(&cursor.name("a user")?)?;
        let word = cursor.word("a state")?;
        let state = presence_state(word)
            .ok_or(format!("{word:?} is not ONLINE, UNREACHABLE or OFFLINE"))?;
        list.extend(users.into_iter().map(|user| (user, state)));
    }
    Ok(list)
}

/// Parses `key="value" …` up to a word of another form.
pub(crate) fn pairs(cursor: &mut Cursor<'_>) -> Result<Vec<(String, String)>, String> {
    let mut list = vec![];
    while cursor.peek().is_some_and(|word| word.contains('=')) {
        let (keys, value) = cursor.pair()?;
        list.extend(range(&keys)?.into_iter().map(|key| (key, value.clone())));
    }
    Ok(list)
}

/// Parses a fact.
pub(crate) fn fact(cursor: &mut Cursor<'_>) -> Result<Event, String> {
    match cursor.peek() {
        Some("joined") if cursor.take("joined") => {
            let user_id = cursor.name("a user")?;
            Ok(Event::MemberJoined {
                user_id,
                channel: cursor.channel()?,
            })
        }
        Some("left") if cursor.take("left") => {
            let user_id = cursor.name("a user")?;
            Ok(Event::MemberLeft {
                user_id,
                channel: cursor.channel()?,
            })
        }
        Some("count") if cursor.take("count") => {
            let channel = cursor.channel()?;
            let word = cursor.word("a number")?;
            let count = word
                .parse()
                .map_err(|_| format!("{word:?} is not a number"))?;
            Ok(Event::MemberCount { channel, count })
        }
        Some("attributes") if cursor.take("attributes") => {
            let channel = cursor.channel()?;
            Ok(Event::ChannelAttributes {
                channel,
                attributes: stated_pairs(cursor)?,
            })
        }
        Some("presence") if cursor.take("presence") => Ok(Event::PresenceChanged {
            users: presence(cursor)?,
        }),
        Some("gap") if cursor.take("gap") => {
            if cursor.take("inbox") {
                Ok(Event::Gap { channel: None })
            } else {
                Ok(Event::Gap {
                    channel: Some(cursor.channel()?),
                })
            }
        }
        Some("state") if cursor.take("state") => {
            let state = cursor.word("a state")?.to_owned();
            Ok(Event::State {
                state,
                reason: cursor.word("a reason")?.to_owned(),
            })
        }
        Some("token") if cursor.take("token") => {
            if cursor.take("expired") {
                return Ok(Event::TokenExpired);
            }
            cursor.expect("ends soon")?;
            Ok(Event::TokenWillExpire)
        }
        Some("invited") if cursor.take("invited") => invited(cursor),
        Some("invitation") if cursor.take("invitation") => invitation(cursor),
        _ => message_fact(cursor),
    }
}

fn invited(cursor: &mut Cursor<'_>) -> Result<Event, String> {
    cursor.expect("by")?;
    let caller_id = cursor.name("a user")?;
    let content = cursor.text()?;
    Ok(Event::Invited {
        caller_id,
        content,
        channel: in_channel(cursor)?,
    })
}

/// Parses `[in #channel]`.
pub(crate) fn in_channel(cursor: &mut Cursor<'_>) -> Result<String, String> {
    if cursor.take("in") {
        cursor.channel()
    } else {
        Ok(String::new())
    }
}

/// Parses `to bob received`, `to bob accepted "yes"`, `by alice accepted` and the like.
fn invitation(cursor: &mut Cursor<'_>) -> Result<Event, String> {
    let is_local = match cursor.word("\"to\" or \"by\"")? {
        "to" => true,
        "by" => false,
        other => return Err(format!("{other:?} is neither \"to\" nor \"by\"")),
    };
    let user = cursor.name("a user")?;
    let response = |cursor: &mut Cursor<'_>| {
        if is_local {
            cursor.text()
        } else {
            Ok(String::new())
        }
    };
    let news = match cursor.word("what has become of the invitation")? {
        "received" if is_local => InvitationNews::Received,
        "accepted" => InvitationNews::Accepted(response(cursor)?),
        "refused" => InvitationNews::Refused(response(cursor)?),
        "canceled" => InvitationNews::Canceled,
        "failed" => InvitationNews::Failed(cursor.word("a reason")?.to_owned()),
        other => return Err(format!("{other:?} does not become of an invitation")),
    };
    Ok(if is_local {
        Event::LocalInvitation {
            callee_id: user,
            news,
        }
    } else {
        Event::RemoteInvitation {
            caller_id: user,
            news,
        }
    })
}

fn message_fact(cursor: &mut Cursor<'_>) -> Result<Event, String> {
    let from = cursor.name("a fact")?;
    if cursor.is_at_channel() {
        let channel = cursor.channel()?;
        return Ok(Event::ChannelMessage {
            channel,
            from,
            message: message(cursor)?,
        });
    }
    let message = message(cursor)?;
    Ok(Event::PeerMessage {
        from,
        message,
        is_offline: cursor.take("stored"),
    })
}

fn stated_pairs(cursor: &mut Cursor<'_>) -> Result<Vec<(String, String)>, String> {
    if cursor.take("nothing") {
        return Ok(vec![]);
    }
    let list = pairs(cursor)?;
    if list.is_empty() {
        Err(format!(
            "expected key=\"value\" or \"nothing\", found {}",
            cursor.found()
        ))
    } else {
        Ok(list)
    }
}

/// The parts of a call's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    Done,
    PeerSent,
    Users,
    MemberCounts,
    Presence,
    Attributes,
    History,
}

impl Shape {
    /// The answer when none is written.
    pub(crate) fn default_answer(self) -> Option<Answer> {
        match self {
            Self::Done => Some(Answer::Done),
            Self::PeerSent => Some(Answer::Received),
            Self::Users
            | Self::MemberCounts
            | Self::Presence
            | Self::Attributes
            | Self::History => None,
        }
    }
}

/// Parses a result up to its times.
pub(crate) fn answer(cursor: &mut Cursor<'_>, shape: Shape) -> Result<Answer, String> {
    if cursor.take("error") {
        let word = cursor.word("a code")?;
        let code = word
            .parse()
            .map_err(|_| format!("{word:?} is not a number"))?;
        return Ok(Answer::Error(code));
    }
    match shape {
        Shape::Done => cursor.expect("ok").map(|()| Answer::Done),
        Shape::PeerSent => {
            if cursor.take("not") {
                cursor.expect("received").map(|()| Answer::NotReceived)
            } else {
                cursor.expect("received").map(|()| Answer::Received)
            }
        }
        Shape::Users => Ok(Answer::Users(users(cursor)?)),
        Shape::MemberCounts => {
            let mut list = vec![];
            while cursor.is_at_channel() {
                let channel = cursor.channel()?;
                let word = cursor.word("a number")?;
                list.push((
                    channel,
                    word.parse().map_err(|_| format!("{word:?} is no number"))?,
                ));
            }
            Ok(Answer::MemberCounts(list))
        }
        Shape::Presence => Ok(Answer::Presence(presence(cursor)?)),
        Shape::Attributes => Ok(Answer::Attributes(stated_pairs(cursor)?)),
        Shape::History => Ok(Answer::History(messages(cursor)?)),
    }
}

fn messages(cursor: &mut Cursor<'_>) -> Result<Vec<(String, Message)>, String> {
    let mut list = vec![];
    if cursor.take("nothing") {
        return Ok(list);
    }
    while !cursor.is_at_end() && !is_time(cursor) {
        list.push((cursor.name("a user")?, message(cursor)?));
    }
    Ok(list)
}

fn users(cursor: &mut Cursor<'_>) -> Result<Vec<String>, String> {
    let mut list = vec![];
    if cursor.take("nobody") {
        return Ok(list);
    }
    while !cursor.is_at_end() && !is_time(cursor) {
        list.extend(range(&cursor.name("a user")?)?);
    }
    Ok(list)
}
