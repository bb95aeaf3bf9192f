//! The channels that announce logins, joins and their ends, for legacy users. Source: signaling
//! 7.7.

use serde_json::json;
use tidings_wire::names::NEWS_CHANNELS;
use tidings_wire::proto::SendToChannel;
use tidings_wire::proto::request::Call as HubCall;

use crate::messages::text_message;
use crate::requests::Pending;
use crate::translator::Translator;

/// The documented spellings, and the name towards the hub, which native clients cannot write.
const USER_ONLINE: ([&str; 2], &str) = (
    ["__agora_user_online", "_agora_user_online"],
    NEWS_CHANNELS[0],
);
const CHANNEL_EVENT: ([&str; 2], &str) = (
    ["__agora_channel_event", "_agora_channel_event"],
    NEWS_CHANNELS[1],
);

/// The hub's name for a special channel, if it is one.
pub(crate) fn hub_name(name: &str) -> Option<&'static str> {
    [USER_ONLINE, CHANNEL_EVENT]
        .into_iter()
        .find(|(spellings, hub)| spellings.contains(&name) || *hub == name)
        .map(|(_, hub)| hub)
}

/// How the hub's name for a channel is shown to a legacy client.
pub(crate) fn shown(channel: &str) -> &str {
    [USER_ONLINE, CHANNEL_EVENT]
        .into_iter()
        .find(|(_, hub)| *hub == channel)
        .map_or(channel, |([spelling, _], _)| spelling)
}

/// What is announced.
#[derive(Debug, Clone, Copy)]
pub(crate) enum News {
    Online,
    Offline,
    Join,
    Leave,
}

impl Translator {
    /// Announces what this user does to all listeners. `channel` is empty for logins and their
    /// ends.
    pub(crate) fn announce(&mut self, news: News, channel: &str) {
        if !self.rules.allows_special_channels {
            return;
        }
        let (event, (_, hub)) = match news {
            News::Online => ("online", USER_ONLINE),
            News::Offline => ("offline", USER_ONLINE),
            News::Join => ("join", CHANNEL_EVENT),
            News::Leave => ("leave", CHANNEL_EVENT),
        };
        let text = json!({
            "event": event,
            "account": self.account,
            "uid": self.uid_of(&self.account),
            "channel": channel,
            "ts": self.now.unix_ms / 1_000,
        });
        let send = HubCall::SendToChannel(SendToChannel {
            channel: hub.into(),
            message: Some(text_message(text.to_string(), "", 0)),
            history: false,
        });
        self.request_now(send, Pending::Nothing);
    }
}
