//! When attributes end: with their owner, or, where nobody saw the owner go, when a sweep finds them.

use tidings_fault::fault;
use tidings_wire::names::AppId;

use super::{AttributeAsk, AttributeStore, SWEEP};
use crate::bus_ops::Topic;
use crate::ids::{ChannelKey, UserKey};
use crate::io::Sink;
use crate::session::SessionKey;
use crate::store_ops::{AttributeOwner, StoreOp};
use crate::timers::Timer;
use crate::{AppSettings, FOR_EVER, Hub};

/// How often attributes without an owner are looked for. Smaller costs a store read each time.
const SWEEP_MS: u64 = 10_000;
/// Owners looked at in one step of a sweep.
const SWEEP_PAGE: usize = 100;

impl Hub {
    /// A user's attributes end with its session (rtm 5.1), unless the app keeps them (8).
    pub(crate) fn drop_user_attributes(&mut self, key: SessionKey, out: &mut dyn Sink) {
        let Some(session) = self.kernel.sessions.get(key).filter(|session| {
            session.has_attributes
                && !session.settings.keep_user_attributes
                && !fault!(AttributesOutliveSession)
        }) else {
            return;
        };
        let owner = AttributeOwner::User(session.user.clone());
        let op = StoreOp::AttributesDrop {
            owner,
            unless_touched_after: u64::MAX,
        };
        self.kernel.store_and_forget(op, out);
    }

    /// The attributes of a user whose client was lost without a window to resume outlive it by the grace.
    pub(crate) fn drop_user_attributes_late(&mut self, key: SessionKey, out: &mut dyn Sink) {
        let Some(session) = self.kernel.sessions.get(key) else {
            return;
        };
        if !session.traits.ends_with_connection {
            return self.drop_user_attributes(key, out);
        }
        if !session.has_attributes || session.settings.keep_user_attributes {
            return;
        }
        let (user, now_ts) = (session.user.clone(), self.kernel.now.unix_ms);
        let due_ms = self.kernel.now.mono_ms + session.settings.presence_grace_ms;
        self.kernel
            .timers
            .set(due_ms, Timer::LostUser(Box::new(user.clone()), now_ts));
        self.touch_user_attributes(user, out);
    }

    /// Notes that the user's attributes are in use, if it has any.
    pub(crate) fn touch_user_attributes(&mut self, user: UserKey, out: &mut dyn Sink) {
        let op = StoreOp::AttributesTouch {
            owner: AttributeOwner::User(user),
            now_ts: self.kernel.now.unix_ms,
        };
        self.kernel.store_and_forget(op, out);
    }

    pub(crate) fn drop_lost_attributes(&mut self, user: UserKey, lost_ts: u64, out: &mut dyn Sink) {
        let op = StoreOp::AttributesDrop {
            owner: AttributeOwner::User(user),
            unless_touched_after: lost_ts,
        };
        self.kernel.store_and_forget(op, out);
    }

    /// Begins to look for attributes that outlive their owner: of users after a crash, of channels always.
    pub(crate) fn start_sweeps(&mut self) {
        // Users of before a restart have the presence grace to come back (contract PRE-1).
        let first_ms = tidings_wire::limits::PRESENCE_GRACE_MS + SWEEP_MS;
        self.kernel
            .timers
            .set(self.kernel.now.mono_ms + first_ms, Timer::Sweep);
        self.kernel
            .timers
            .set(self.kernel.now.mono_ms + first_ms, Timer::HistorySweep);
    }

    pub(crate) fn sweep_attributes(&mut self, out: &mut dyn Sink) {
        self.kernel
            .timers
            .set(self.kernel.now.mono_ms + SWEEP_MS, Timer::Sweep);
        let keeps = self.kernel.config.apps.listed.values();
        let keeps = keeps.map(|app| app.settings.channel_attributes_keep_ms);
        let shortest_ms = keeps.min().unwrap_or(u64::MAX);
        let shortest_ms = shortest_ms.min(AppSettings::default().channel_attributes_keep_ms);
        // What users of before the last start have left is over long before the wait for channels.
        let touched_before =
            (self.kernel.now.unix_ms).saturating_sub(self.deletion_age_ms(shortest_ms));
        self.list_owners(touched_before.max(self.kernel.clock.started_ts), None, out);
    }

    /// Attributes of this app that nobody has touched since are over, if their owner is not there.
    fn over_before(&self, app: &AppId) -> u64 {
        let keep_ms = self
            .kernel
            .config
            .apps
            .settings(app)
            .channel_attributes_keep_ms;
        (self.kernel.now.unix_ms).saturating_sub(self.deletion_age_ms(keep_ms))
    }

    /// Whether the channel has a member, as far as this hub knows.
    pub(crate) fn has_members(&self, channel: &ChannelKey) -> bool {
        let channel = self.channels.known.get(channel);
        channel.is_some_and(|channel| channel.members.len() > 0 || !channel.is_ready())
    }

    fn list_owners(
        &mut self,
        touched_before: u64,
        after: Option<AttributeOwner>,
        out: &mut dyn Sink,
    ) {
        let op = StoreOp::AttributeOwners {
            touched_before,
            count_max: SWEEP_PAGE,
            after,
        };
        let pending = AttributeStore::Owners { touched_before };
        self.attributes.store(&mut self.kernel, op, pending, out);
    }

    pub(super) fn sweep_owners(
        &mut self,
        touched_before: u64,
        owners: Vec<AttributeOwner>,
        has_more: bool,
        out: &mut dyn Sink,
    ) {
        let last = owners.last().cloned();
        for owner in owners {
            match owner {
                AttributeOwner::User(user) => {
                    let touched_before = self.over_before(&user.app);
                    let touched_before =
                        touched_before.max(self.kernel.clock.started_ts.saturating_sub(1));
                    let is_kept = self
                        .kernel
                        .config
                        .apps
                        .settings(&user.app)
                        .keep_user_attributes;
                    if is_kept || self.kernel.users.contains_key(&user) {
                        let owner = AttributeOwner::User(user);
                        self.settle_owner(owner, true, touched_before, out);
                        continue;
                    }
                    let ask = AttributeAsk::SweepUser {
                        user: user.clone(),
                        touched_before,
                    };
                    let topic = Topic::User(user);
                    self.attributes
                        .ask(&mut self.kernel, topic, &SWEEP, ask, out);
                }
                AttributeOwner::Channel(channel) => {
                    let touched_before = self.over_before(&channel.app);
                    let settings = self.kernel.config.apps.settings(&channel.app);
                    let is_kept = settings.channel_attributes_keep_ms == FOR_EVER;
                    if is_kept || self.has_members(&channel) {
                        let owner = AttributeOwner::Channel(channel);
                        self.settle_owner(owner, true, touched_before, out);
                        continue;
                    }
                    let ask = AttributeAsk::SweepChannel {
                        channel: channel.clone(),
                        touched_before,
                    };
                    let topic = Topic::Channel(channel);
                    self.attributes
                        .ask(&mut self.kernel, topic, &SWEEP, ask, out);
                }
            }
        }
        if has_more {
            self.list_owners(touched_before, last, out);
        }
    }

    /// An owner that is in use is touched, so that the next sweeps pass it by; one that is not loses its attributes.
    pub(crate) fn settle_owner(
        &mut self,
        owner: AttributeOwner,
        is_in_use: bool,
        touched_before: u64,
        out: &mut dyn Sink,
    ) {
        let op = if is_in_use {
            StoreOp::AttributesTouch {
                owner,
                now_ts: self.kernel.now.unix_ms,
            }
        } else {
            StoreOp::AttributesDrop {
                owner,
                unless_touched_after: touched_before,
            }
        };
        self.kernel.store_and_forget(op, out);
    }
}
