//! Between the scenario's words and the driver's JSON.

use serde_json::{Map, Value, json};
use tidings_scenario::{
    Action, Answer, Conversation, Event, File, InvitationNews, Message, PresenceState, Write,
};

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// The driver's command for an action.
pub fn command(action: &Action, token: Option<String>) -> Value {
    match action {
        Action::LogIn { user_id, .. } => json!({ "do": "login", "uid": user_id, "token": token }),
        Action::LogOut => json!({ "do": "logout" }),
        Action::RenewToken { .. } => json!({ "do": "renewToken", "token": token }),
        Action::Join { channel } => json!({ "do": "join", "channel": channel }),
        Action::Leave { channel } => json!({ "do": "leave", "channel": channel }),
        Action::SendToChannel {
            channel,
            message,
            history,
        } => with_message(
            json!({ "do": "sendChannel", "channel": channel, "history": history }),
            message,
        ),
        Action::SendToPeer {
            peer_id,
            message,
            offline,
            history,
        } => with_message(
            json!({ "do": "sendPeer", "to": peer_id, "offline": offline, "history": history }),
            message,
        ),
        Action::ReadHistory {
            of,
            newest_first,
            count_max,
        } => {
            let mut command = match of {
                Conversation::Channel(name) => json!({ "do": "channelHistory", "channel": name }),
                Conversation::Peer(id) => json!({ "do": "peerHistory", "user": id }),
            };
            let order = if *newest_first {
                "newest_first"
            } else {
                "oldest_first"
            };
            command["options"] = json!({ "order": order });
            if let Some(count) = count_max {
                command["options"]["limit"] = json!(count);
            }
            command
        }
        Action::GetMembers { channel } => json!({ "do": "getMembers", "channel": channel }),
        Action::GetMemberCounts { channels } => {
            json!({ "do": "memberCount", "channels": channels })
        }
        Action::QueryPresence { user_ids } => json!({ "do": "query", "users": user_ids }),
        Action::SubscribePresence { user_ids } => json!({ "do": "subscribe", "users": user_ids }),
        Action::UnsubscribePresence { user_ids } => {
            json!({ "do": "unsubscribe", "users": user_ids })
        }
        Action::QueryPresenceSubscriptions => json!({ "do": "querySubscribed" }),
        Action::WriteUserAttributes { how, attributes } => write("User", *how, attributes),
        Action::ReadUserAttributes { user_id, keys } => {
            with_keys(json!({ "do": "getUserAttributes", "user": user_id }), keys)
        }
        Action::WriteChannelAttributes {
            channel,
            how,
            attributes,
            notify,
        } => {
            let mut command = write("Channel", *how, attributes);
            command["channel"] = json!(channel);
            command["notify"] = json!(notify);
            command
        }
        Action::ReadChannelAttributes { channel, keys } => with_keys(
            json!({ "do": "getChannelAttributes", "channel": channel }),
            keys,
        ),
        Action::Invite {
            callee_id,
            content,
            channel,
        } => json!({ "do": "invite", "to": callee_id, "content": content, "channel": channel }),
        Action::CancelInvitation { callee_id } => {
            json!({ "do": "cancelInvitation", "to": callee_id })
        }
        Action::AcceptInvitation {
            caller_id,
            response,
        } => json!({ "do": "acceptInvitation", "from": caller_id, "response": response }),
        Action::RefuseInvitation {
            caller_id,
            response,
        } => json!({ "do": "refuseInvitation", "from": caller_id, "response": response }),
        Action::Cut
        | Action::ComeBack
        | Action::Drop
        | Action::Pass { .. }
        | Action::RestartServer => unreachable!("{action:?} is no call"),
    }
}

/// The sides of an image message, as the API names them.
const SIDES: [&str; 4] = ["width", "height", "thumbnailWidth", "thumbnailHeight"];

fn media(kind: &str, file: &File) -> Value {
    let mut media = json!({
        "messageType": kind,
        "mediaId": file.media_id,
        "size": file.size,
        "fileName": file.file_name,
        "description": file.description,
    });
    if !file.thumbnail.is_empty() {
        media["thumbnail"] = json!({ "base64": to_base64(&file.thumbnail) });
    }
    media
}

fn with_message(mut command: Value, message: &Message) -> Value {
    match message {
        Message::Text(text) => command["text"] = json!(text),
        Message::Raw { data, description } => {
            command["raw"] = json!({ "base64": to_base64(data) });
            command["description"] = json!(description);
        }
        Message::File(file) => command["media"] = media("FILE", file),
        Message::Image {
            file,
            size,
            thumbnail_size,
        } => {
            command["media"] = media("IMAGE", file);
            let sides = [size.0, size.1, thumbnail_size.0, thumbnail_size.1];
            for (name, side) in SIDES.into_iter().zip(sides) {
                command["media"][name] = json!(side);
            }
        }
    }
    command
}

fn with_keys(mut command: Value, keys: &[String]) -> Value {
    if !keys.is_empty() {
        command["keys"] = json!(keys);
    }
    command
}

fn write(owner: &str, how: Write, attributes: &[(String, String)]) -> Value {
    let verb = match how {
        Write::Set => "set",
        Write::Merge => "add",
        Write::Delete => "delete",
        Write::Clear => "clear",
    };
    let mut command = json!({ "do": format!("{verb}{owner}Attributes") });
    match how {
        Write::Set | Write::Merge => {
            let entries: Map<String, Value> = attributes
                .iter()
                .map(|(key, value)| (key.clone(), json!(value)))
                .collect();
            command["attributes"] = Value::Object(entries);
        }
        Write::Delete => {
            command["keys"] = attributes.iter().map(|(key, _)| json!(key)).collect();
        }
        Write::Clear => {}
    }
    command
}

/// What a result line says of an action.
pub fn answer(action: &Action, line: &Value) -> Answer {
    if let Some(error) = line.get("error") {
        if matches!(action, Action::Join { .. }) && error["code"] == json!(1) {
            // Here a bad name fails already when the channel object is made, which no other SDK has
            // (rtm 2.4: code 1); what scenarios say of it is what `join` would answer.
            return Answer::Error(tidings_wire::codes::join_channel::ERR_INVALID_ARGUMENT);
        }
        let code = error["code"]
            .as_u64()
            .and_then(|code| u32::try_from(code).ok());
        return Answer::Error(code.unwrap_or_else(|| panic!("an error without a code: {line}")));
    }
    let ok = &line["ok"];
    match action {
        Action::SendToPeer { .. } if ok["hasPeerReceived"] == json!(true) => Answer::Received,
        Action::SendToPeer { .. } => Answer::NotReceived,
        Action::GetMembers { .. } | Action::QueryPresenceSubscriptions => {
            Answer::Users(ok.as_array().into_iter().flatten().map(text).collect())
        }
        Action::ReadHistory { .. } => Answer::History(
            ok["messages"]
                .as_array()
                .into_iter()
                .flatten()
                .map(|kept| (text(&kept["userId"]), message(&kept["message"])))
                .collect(),
        ),
        Action::GetMemberCounts { .. } => Answer::MemberCounts(
            entries(ok)
                .map(|(channel, count)| (channel, number(count)))
                .collect(),
        ),
        Action::QueryPresence { .. } => Answer::Presence(
            entries(ok)
                .map(|(user, is_online)| {
                    let state = match is_online.as_bool() {
                        Some(true) => PresenceState::Online,
                        _ => PresenceState::Offline,
                    };
                    (user, state)
                })
                .collect(),
        ),
        Action::ReadUserAttributes { .. } => {
            Answer::Attributes(entries(ok).map(|(key, value)| (key, text(value))).collect())
        }
        Action::ReadChannelAttributes { .. } => Answer::Attributes(channel_attributes(ok)),
        _ => Answer::Done,
    }
}

/// What an event line says; `None` for one that scenarios do not know.
pub fn event(line: &Value) -> Option<Event> {
    let channel = text(&line["channel"]);
    let args = &line["args"];
    Some(match line["event"].as_str()? {
        "ConnectionStateChanged" => Event::State {
            state: text(&args[0]),
            reason: text(&args[1]),
        },
        "MessageFromPeer" => Event::PeerMessage {
            from: text(&args[1]),
            message: message(&args[0]),
            is_offline: args[2]["isOfflineMessage"] == json!(true),
        },
        "ChannelMessage" => Event::ChannelMessage {
            channel,
            from: text(&args[1]),
            message: message(&args[0]),
        },
        "MemberJoined" => Event::MemberJoined {
            channel,
            user_id: text(&args[0]),
        },
        "MemberLeft" => Event::MemberLeft {
            channel,
            user_id: text(&args[0]),
        },
        "MemberCountUpdated" => Event::MemberCount {
            channel,
            count: number(&args[0]),
        },
        "AttributesUpdated" => Event::ChannelAttributes {
            channel,
            attributes: channel_attributes(&args[0]),
        },
        "PeersOnlineStatusChanged" => Event::PresenceChanged {
            users: entries(&args[0])
                .map(|(user, state)| {
                    let state = match state.as_str() {
                        Some("ONLINE") => PresenceState::Online,
                        Some("UNREACHABLE") => PresenceState::Unreachable,
                        _ => PresenceState::Offline,
                    };
                    (user, state)
                })
                .collect(),
        },
        "MessageGap" => Event::Gap {
            channel: args[0]["source"]["channelId"].as_str().map(Into::into),
        },
        "TokenPrivilegeWillExpire" => Event::TokenWillExpire,
        "TokenExpired" => Event::TokenExpired,
        "Invited" => Event::Invited {
            caller_id: text(&line["from"]),
            content: text(&args[0]),
            channel: text(&args[1]),
        },
        other => return invitation(other, line),
    })
}

/// An event on an invitation object: its name in the RTM 1.x API, the other user and its argument.
fn invitation(event: &str, line: &Value) -> Option<Event> {
    let argument = text(&line["args"][0]);
    let news = |what: &str, response: String| {
        Some(match what {
            "ReceivedByPeer" => InvitationNews::Received,
            "Accepted" => InvitationNews::Accepted(response),
            "Refused" => InvitationNews::Refused(response),
            "Canceled" => InvitationNews::Canceled,
            "Failure" => InvitationNews::Failed(argument.clone()),
            _ => return None,
        })
    };
    if let Some(what) = event.strip_prefix("LocalInvitation") {
        return Some(Event::LocalInvitation {
            callee_id: text(&line["to"]),
            news: news(what, argument.clone())?,
        });
    }
    let what = event.strip_prefix("RemoteInvitation")?;
    Some(Event::RemoteInvitation {
        caller_id: text(&line["from"]),
        news: news(what, String::new())?,
    })
}

fn message(value: &Value) -> Message {
    let number = |name: &str| value[name].as_u64().unwrap_or(u64::MAX);
    let side = |name: &str| u32::try_from(number(name)).unwrap_or(u32::MAX);
    let file = || File {
        media_id: text(&value["mediaId"]),
        size: number("size"),
        file_name: text(&value["fileName"]),
        description: text(&value["description"]),
        thumbnail: from_base64(value["thumbnail"]["base64"].as_str().unwrap_or_default()),
    };
    match value["messageType"].as_str() {
        Some("FILE") => return Message::File(file()),
        Some("IMAGE") => {
            return Message::Image {
                file: file(),
                size: (side(SIDES[0]), side(SIDES[1])),
                thumbnail_size: (side(SIDES[2]), side(SIDES[3])),
            };
        }
        _ => {}
    }
    match value["rawMessage"]["base64"].as_str() {
        Some(data) => Message::Raw {
            data: from_base64(data),
            description: text(&value["description"]),
        },
        None => Message::Text(text(&value["text"])),
    }
}

fn channel_attributes(value: &Value) -> Vec<(String, String)> {
    entries(value)
        .map(|(key, entry)| (key, text(&entry["value"])))
        .collect()
}

fn entries(value: &Value) -> impl Iterator<Item = (String, &Value)> {
    value
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, value)| (key.clone(), value))
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn number(value: &Value) -> u32 {
    value
        .as_u64()
        .and_then(|number| u32::try_from(number).ok())
        .unwrap_or(u32::MAX)
}

fn to_base64(data: &[u8]) -> String {
    data.chunks(3)
        .flat_map(|chunk| {
            let bits = chunk
                .iter()
                .fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte))
                << (8 * (3 - chunk.len()));
            (0..4_usize).map(move |at| {
                if at <= chunk.len() {
                    char::from(BASE64[(bits >> (18 - 6 * at)) as usize & 63])
                } else {
                    '='
                }
            })
        })
        .collect()
}

fn from_base64(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let (mut bits, mut count) = (0_u32, 0);
    for symbol in text.bytes().filter(|symbol| *symbol != b'=') {
        let value = BASE64
            .iter()
            .position(|known| *known == symbol)
            .expect("base64") as u32;
        bits = bits << 6 | value;
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    bytes
}
