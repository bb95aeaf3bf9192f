//! A session's memberships: joining, leaving, and what becomes of them when the user is gone.

use std::sync::Arc;

use tidings_fault::fault;
use tidings_token::Access;
use tidings_wire::codes::Outcome;

use crate::bus_ops::{BusOp, Publication, Question, Topic};
use crate::channels::state::{Channel, ChannelAsk, Channels, Own, Published};
use crate::ids::{ChannelKey, SessionKey};
use crate::io::{Effect, Sink};
use crate::kernel::Kernel;
use crate::kernel::caller::Caller;
use crate::kernel::reply::error;
use crate::rates;
use crate::store_ops::events::EventKind;

/// Whether others see a session's memberships.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Visibility {
    Visible,
    Hidden,
}

impl Channels {
    pub(crate) fn handle_join(
        &mut self,
        caller: Caller,
        channel: &str,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        let Some(key) = kernel.session_of(caller, out) else {
            // It is answered.
            return;
        };
        let Some(channel) = kernel.parse_channel(caller, channel, out) else {
            // It is answered.
            return;
        };
        if !kernel.permit_in(caller, Access::Read, &channel.channel, out)
            || kernel.bars_join(caller, &channel.channel, out)
        {
            return;
        }
        let now_ms = kernel.now.mono_ms;
        let Some(session) = kernel.sessions.get_mut(key) else {
            debug_assert!(false, "a session is gone while it is dealt with");
            return;
        };
        let mut rate = None;
        let refusal = if session.channels.contains(&channel.channel) {
            let text = format!("channel {} is joined already", channel.channel);
            Err(error(Outcome::AlreadyJoined, text))
        } else if session.channels.len() >= session.traits.channels_max() {
            let max = session.traits.channels_max();
            let text = format!("{max} channels are joined; leave one first");
            Err(error(Outcome::TooManyChannels, text))
        } else if session.settings.rate_limits {
            let listed = kernel.config.apps.listed.get(&channel.app);
            let rates = listed.map_or(&kernel.default_rates, |app| &app.rates);
            let limiter = &mut session.rates.limiter;
            rate = Some(rates::Kind::Join);
            limiter
                .take_join(&channel.channel, rates, now_ms)
                .and_then(|()| limiter.take(rates::Kind::Join, rates, now_ms))
        } else {
            Ok(())
        };
        if let Err(refusal) = refusal {
            return match rate {
                Some(kind) => kernel.refuse_rate(caller, (kind, refusal), out),
                None => kernel.reply_error(caller, refusal, out),
            };
        }
        session.channels.push(channel.channel.clone());
        let is_new = self.become_interested(&channel, kernel, out);
        self.publish_membership(&channel, key, Own::Join { caller }, kernel, out);
        if is_new {
            // Order: asked after the change was published. What comes before that change is then in
            // the answers, or is left over from an earlier interest of ours; so none of it counts.
            let pending = ChannelAsk::Members(channel.clone());
            let asked = (Topic::Channel(channel), Question::Members);
            self.ask(kernel, asked, pending, out);
        }
    }

    /// Makes the channel known here and subscribes to it; returns whether that was news.
    pub(crate) fn become_interested(
        &mut self,
        key: &ChannelKey,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) -> bool {
        debug_assert!(self.epochs < u64::MAX, "no interest is left to be counted");
        if self.known.contains_key(key) {
            return false;
        }
        self.epochs += 1;
        let channel = Channel::new(key.clone(), kernel.hasher, self.epochs);
        self.known.insert(key.clone(), channel);
        let topic = Topic::Channel(key.clone());
        out.emit(Effect::Bus(BusOp::Subscribe(topic)));
        true
    }

    /// Publishes a change of one of our members and remembers it until it comes back in the topic's
    /// order.
    pub(crate) fn publish_membership(
        &mut self,
        key: &ChannelKey,
        session_key: SessionKey,
        what: Own,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        let Some(session) = kernel.sessions.get(session_key) else {
            debug_assert!(false, "a session is gone while it is dealt with");
            return;
        };
        let Some(channel) = self.known.get_mut(key) else {
            debug_assert!(false, "a channel is gone while it is dealt with");
            return;
        };
        debug_assert!(channel.epoch > 0, "a change of no interest");
        debug_assert_eq!(key.app, session.user.app, "a member of another app");
        channel.seq += 1;
        let (seq, epoch) = (channel.seq, channel.epoch);
        let (user, id) = (session.user.clone(), session.id);
        let message = match what {
            Own::Join { .. } | Own::Show => Publication::Joined {
                seq,
                epoch,
                user,
                session: id,
            },
            Own::Leave { .. } | Own::Hide | Own::End => Publication::Left {
                seq,
                epoch,
                user,
                session: id,
            },
            Own::Moved | Own::Message { .. } | Own::KeptMessage => return,
        };
        channel.published.push_back(Published {
            session: session_key,
            id,
            what,
            member_lists: Vec::new(),
        });
        let kind = match message {
            Publication::Joined { .. } => EventKind::Join,
            _ => EventKind::Leave,
        };
        let topic = Topic::Channel(key.clone());
        out.emit(Effect::Bus(BusOp::Publish {
            topic,
            message: Arc::new(message),
        }));
        kernel.tell_membership(session_key, key, kind, out);
    }

    pub(crate) fn handle_leave(
        &mut self,
        caller: Caller,
        channel: &str,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        let Some(key) = kernel.session_of(caller, out) else {
            // It is answered.
            return;
        };
        let Some(channel) = kernel.joined_channel(caller, channel, out) else {
            // It is answered.
            return;
        };
        if let Some(session) = kernel.sessions.get_mut(key) {
            session.channels.retain(|joined| *joined != channel.channel);
        }
        self.publish_membership(&channel, key, Own::Leave { caller }, kernel, out);
    }

    /// The user is gone: others see it leave, but messages are kept for its return.
    pub(crate) fn hide_memberships(
        &mut self,
        key: SessionKey,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        for channel in Self::channels_of(key, kernel) {
            self.publish_membership(&channel, key, Own::Hide, kernel, out);
        }
    }

    /// The user is back: others see it join.
    pub(crate) fn show_memberships(
        &mut self,
        key: SessionKey,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        for channel in Self::channels_of(key, kernel) {
            self.publish_membership(&channel, key, Own::Show, kernel, out);
        }
    }

    /// The session is over. A session whose user was gone has left its channels before.
    pub(crate) fn end_memberships(
        &mut self,
        key: SessionKey,
        visibility: Visibility,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        for channel_key in Self::channels_of(key, kernel) {
            if visibility == Visibility::Visible && !fault!(LogoutStaysMember) {
                self.publish_membership(&channel_key, key, Own::End, kernel, out);
            }
            if let Some(channel) = self.known.get_mut(&channel_key) {
                channel.locals.swap_remove(&key);
            }
            self.drop_channel_if_unused(&channel_key, out);
        }
    }

    fn channels_of(key: SessionKey, kernel: &Kernel) -> Vec<ChannelKey> {
        let Some(session) = kernel.sessions.get(key) else {
            return Vec::new();
        };
        let app = &session.user.app;
        session
            .channels
            .iter()
            .map(|channel| ChannelKey {
                app: app.clone(),
                channel: channel.clone(),
            })
            .collect()
    }
}
