//! What clients do at random.

use tidings_client_core::{Attribute, AttributeWrite, Call, CallId, ConnectionState, Message};

use super::{CHANNELS, Chaos};
use crate::checks::Done;
use crate::world::ClientId;

impl Chaos {
    pub(super) fn call(&mut self, client: ClientId, call: Call, done: Done) -> CallId {
        let id = self.world.call(client, call);
        self.calls += 1;
        self.checker
            .note_call(self.world.now_ms(), client, id, done);
        id
    }

    pub(super) fn text(&mut self) -> String {
        self.texts += 1;
        format!("t{}", self.texts)
    }

    pub(super) fn send_to_peer(&mut self, client: ClientId, to: String, is_offline: bool) {
        let text = self.text();
        let call = Call::SendToPeer {
            peer_id: to.clone(),
            message: Message::Text(text.clone()),
            offline: is_offline,
            history: false,
        };
        let done = Done::SentToPeer {
            to,
            text,
            is_offline,
        };
        self.call(client, call, done);
    }

    pub(super) fn act_on_invitations(&mut self, client: ClientId) {
        let users = self.clients.len() as u64;
        let call = Call::Invitation(self.invitations.draw(client, users, &mut self.random));
        let at_ms = self.world.now_ms();
        let id = self.call(client, call.clone(), Done::Other);
        self.invitations.note_call(at_ms, client, id, &call);
    }

    pub(super) fn act(&mut self, client: ClientId) {
        if !matches!(
            self.world.state(client),
            ConnectionState::Connected | ConnectionState::Reconnecting
        ) || self.world.is_frozen(client)
        {
            return;
        }
        if self.random.percent(10) && self.has_invitations {
            return self.act_on_invitations(client);
        }
        let channel = *self.random.pick(&CHANNELS);
        if self.uncertain.contains(&(client, channel)) {
            return;
        }
        let is_joined = self.joined.entry(client).or_default().contains(channel);
        match self.random.between(0, 9) {
            0..=3 => {
                let to = format!("u{}", self.random.between(0, self.clients.len() as u64 - 1));
                let is_offline = self.random.percent(50);
                for _ in 0..self.random.between(1, 3) {
                    self.send_to_peer(client, to.clone(), is_offline);
                }
            }
            4..=6 if is_joined => {
                let text = self.text();
                let message = Message::Text(text.clone());
                let is_kept = self.random.percent(50);
                let call = Call::SendToChannel {
                    channel: channel.into(),
                    message,
                    history: is_kept,
                };
                self.call(
                    client,
                    call,
                    Done::SentToChannel {
                        channel: channel.into(),
                        text,
                        is_kept,
                    },
                );
            }
            7 if is_joined => {
                self.joined.entry(client).or_default().remove(channel);
                let done = Done::Left {
                    channel: channel.into(),
                };
                let id = self.call(
                    client,
                    Call::Leave {
                        channel: channel.into(),
                    },
                    done,
                );
                self.membership_calls.insert(id, channel);
            }
            8 => {
                let attribute = Attribute::new("k", self.text());
                let call = Call::WriteChannelAttributes {
                    channel: channel.into(),
                    how: AttributeWrite::Merge,
                    attributes: vec![attribute],
                    notify: true,
                };
                self.call(client, call, Done::Other);
            }
            _ if !is_joined => {
                self.joined.entry(client).or_default().insert(channel);
                let done = Done::Joined {
                    channel: channel.into(),
                };
                let id = self.call(
                    client,
                    Call::Join {
                        channel: channel.into(),
                    },
                    done,
                );
                self.membership_calls.insert(id, channel);
            }
            _ => {
                let call = Call::GetMembers {
                    channel: channel.into(),
                };
                self.call(
                    client,
                    call,
                    Done::Listed {
                        channel: channel.into(),
                    },
                );
            }
        }
    }
}
