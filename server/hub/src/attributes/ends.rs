//! When attributes end: with their owner, or, where nobody saw the owner go, when a sweep finds
//! them.

use tidings_fault::fault;
use tidings_wire::names::AppId;

use crate::attributes::{AttributeAsk, AttributeStore, Attributes, SWEEP};
use crate::bus_ops::Topic;
use crate::channels::state::Channels;
use crate::config::{AppSettings, FOR_EVER};
use crate::ids::{ChannelKey, SessionKey, UserKey};
use crate::io::Sink;
use crate::kernel::Kernel;
use crate::kernel::timers::Timer;
use crate::store_ops::{AttributeOwner, StoreOp};

/// How often attributes without an owner are looked for. Smaller costs a store read each time.
const SWEEP_MS: u64 = 10_000;

/// Owners looked at in one step of a sweep.
const SWEEP_PAGE: usize = 100;

impl Attributes {
    /// A user's attributes end with its session (rtm 5.1), unless the app keeps them (8).
    pub(crate) fn drop_user_attributes(key: SessionKey, kernel: &mut Kernel, out: &mut dyn Sink) {
        let Some(session) = kernel.sessions.get(key).filter(|session| {
            session.has_attributes
                && !session.settings.keep_user_attributes
                && !fault!(AttributesOutliveSession)
        }) else {
            // None were written, or the app keeps them.
            return;
        };
        let owner = AttributeOwner::User(session.user.clone());
        let op = StoreOp::AttributesDrop {
            owner,
            unless_touched_after: u64::MAX,
        };
        kernel.store_and_forget(op, out);
    }

    /// The attributes of a user whose client was lost without a window to resume outlive it by the
    /// grace.
    pub(crate) fn drop_user_attributes_late(
        key: SessionKey,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        let Some(session) = kernel.sessions.get(key) else {
            debug_assert!(false, "a session is gone while it is dealt with");
            return;
        };
        if !session.traits.ends_with_connection {
            return Self::drop_user_attributes(key, kernel, out);
        }
        if !session.has_attributes || session.settings.keep_user_attributes {
            return;
        }
        let (user, now_ts) = (session.user.clone(), kernel.now.unix_ms);
        let due_ms = kernel.now.mono_ms + session.settings.presence_grace_ms;
        kernel
            .timers
            .set(due_ms, Timer::LostUser(Box::new(user.clone()), now_ts));
        Self::touch_user_attributes(user, kernel, out);
    }

    /// Notes that the user's attributes are in use, if it has any.
    pub(crate) fn touch_user_attributes(user: UserKey, kernel: &mut Kernel, out: &mut dyn Sink) {
        let op = StoreOp::AttributesTouch {
            owner: AttributeOwner::User(user),
            now_ts: kernel.now.unix_ms,
        };
        kernel.store_and_forget(op, out);
    }

    pub(crate) fn drop_lost_attributes(
        user: UserKey,
        lost_ts: u64,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        let op = StoreOp::AttributesDrop {
            owner: AttributeOwner::User(user),
            unless_touched_after: lost_ts,
        };
        kernel.store_and_forget(op, out);
    }

    /// Begins to look for attributes that outlive their owner: of users after a crash, of channels
    /// always.
    pub(crate) fn start_sweeps(kernel: &mut Kernel) {
        // Users from before a restart have the presence grace to come back (contract PRE-1).
        let first_ms = tidings_wire::limits::PRESENCE_GRACE_MS + SWEEP_MS;
        kernel
            .timers
            .set(kernel.now.mono_ms + first_ms, Timer::Sweep);
        kernel
            .timers
            .set(kernel.now.mono_ms + first_ms, Timer::HistorySweep);
    }

    pub(crate) fn sweep_attributes(&mut self, kernel: &mut Kernel, out: &mut dyn Sink) {
        kernel
            .timers
            .set(kernel.now.mono_ms + SWEEP_MS, Timer::Sweep);
        let keeps = kernel.config.apps.listed.values();
        let keeps = keeps.map(|app| app.settings.channel_attributes_keep_ms);
        let shortest_ms = keeps.min().unwrap_or(u64::MAX);
        let shortest_ms = shortest_ms.min(AppSettings::default().channel_attributes_keep_ms);
        // What users from before the last start left behind ends long before the wait for channels.
        let touched_before =
            (kernel.now.unix_ms).saturating_sub(kernel.deletion_age_ms(shortest_ms));
        self.list_owners(
            touched_before.max(kernel.clock.started_ts),
            None,
            kernel,
            out,
        );
    }

    /// Attributes of this app that nobody has touched since are over, if their owner is not there.
    fn over_before(app: &AppId, kernel: &Kernel) -> u64 {
        let keep_ms = kernel.config.apps.settings(app).channel_attributes_keep_ms;
        (kernel.now.unix_ms).saturating_sub(kernel.deletion_age_ms(keep_ms))
    }

    fn list_owners(
        &mut self,
        touched_before: u64,
        after: Option<AttributeOwner>,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        let op = StoreOp::AttributeOwners {
            touched_before,
            count_max: SWEEP_PAGE,
            after,
        };
        let pending = AttributeStore::Owners { touched_before };
        self.store(kernel, op, pending, out);
    }

    pub(crate) fn sweep_owners(
        &mut self,
        touched_before: u64,
        owners: Vec<AttributeOwner>,
        has_more: bool,
        channels: &Channels,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        debug_assert!(
            owners.len() <= SWEEP_PAGE,
            "more owners than were asked for"
        );
        debug_assert!(
            !has_more || !owners.is_empty(),
            "a sweep that does not come on"
        );
        let last = owners.last().cloned();
        for owner in owners {
            match owner {
                AttributeOwner::User(user) => {
                    let touched_before = Self::over_before(&user.app, kernel);
                    let touched_before =
                        touched_before.max(kernel.clock.started_ts.saturating_sub(1));
                    let is_kept = kernel.config.apps.settings(&user.app).keep_user_attributes;
                    if is_kept || kernel.users.contains_key(&user) {
                        let owner = AttributeOwner::User(user);
                        Self::settle_owner(owner, true, touched_before, kernel, out);
                        continue;
                    }
                    let ask = AttributeAsk::SweepUser {
                        user: user.clone(),
                        touched_before,
                    };
                    let topic = Topic::User(user);
                    self.ask(kernel, topic, &SWEEP, ask, out);
                }
                AttributeOwner::Channel(channel) => {
                    let touched_before = Self::over_before(&channel.app, kernel);
                    let settings = kernel.config.apps.settings(&channel.app);
                    let is_kept = settings.channel_attributes_keep_ms == FOR_EVER;
                    if is_kept || channels.has_members(&channel) {
                        let owner = AttributeOwner::Channel(channel);
                        Self::settle_owner(owner, true, touched_before, kernel, out);
                        continue;
                    }
                    let ask = AttributeAsk::SweepChannel {
                        channel: channel.clone(),
                        touched_before,
                    };
                    let topic = Topic::Channel(channel);
                    self.ask(kernel, topic, &SWEEP, ask, out);
                }
            }
        }
        if has_more {
            self.list_owners(touched_before, last, kernel, out);
        }
    }

    /// An owner that is in use is touched, so that the next sweeps pass it by; one that is not
    /// loses its attributes.
    pub(crate) fn settle_owner(
        owner: AttributeOwner,
        is_in_use: bool,
        touched_before: u64,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        let op = if is_in_use {
            StoreOp::AttributesTouch {
                owner,
                now_ts: kernel.now.unix_ms,
            }
        } else {
            StoreOp::AttributesDrop {
                owner,
                unless_touched_after: touched_before,
            }
        };
        kernel.store_and_forget(op, out);
    }
}

impl Channels {
    /// Whether the channel has a member, as far as this hub knows.
    pub(crate) fn has_members(&self, channel: &ChannelKey) -> bool {
        let channel = self.known.get(channel);
        channel.is_some_and(|channel| channel.members.len() > 0 || !channel.is_ready())
    }
}
