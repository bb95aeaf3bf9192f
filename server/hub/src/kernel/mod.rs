//! What every feature works with: who is connected, who is logged in, time, chance, and what is
//! under way.

pub(crate) mod ages;
pub(crate) mod asks;
pub(crate) mod barred;
pub(crate) mod caller;
pub(crate) mod check;
pub(crate) mod clients;
pub(crate) mod events;
pub(crate) mod floods;
pub(crate) mod limiter;
pub(crate) mod limits;
pub(crate) mod link;
pub(crate) mod maps;
pub(crate) mod moves;
pub(crate) mod outbox;
pub(crate) mod outsiders;
pub(crate) mod permit;
pub(crate) mod replicas;
pub(crate) mod reply;
pub(crate) mod rng;
pub(crate) mod session;
pub(crate) mod stores;
pub(crate) mod timers;
pub(crate) mod traces;
pub(crate) mod users;
pub(crate) mod wall;

use std::sync::Arc;

use bytes::Bytes;
use slotmap::SlotMap;
use tidings_wire::frame::encode_server;
use tidings_wire::names::AppId;
use tidings_wire::proto::Ping;
use tidings_wire::proto::server_message::Kind;

use crate::bus_ops::{BusOp, Question, Topic};
use crate::config::HubConfig;
use crate::counts::{AppCounts, AppTally, HubCounts};
use crate::ids::{ConnectionId, SessionKey, UserKey};
use crate::io::{Effect, Sink, Ticket};
use crate::kernel::asks::{AskRule, Asks};
use crate::kernel::clients::ClientNames;
use crate::kernel::events::Events;
use crate::kernel::maps::{Map, SeededHasher};
use crate::kernel::moves::Moving;
use crate::kernel::outbox::Gauge;
use crate::kernel::outsiders::Outsiders;
use crate::kernel::replicas::Groups;
use crate::kernel::rng::Rng;
use crate::kernel::session::Session;
use crate::kernel::stores::{StoreTag, Stores};
use crate::kernel::timers::Timers;
use crate::kernel::traces::Traces;
use crate::kernel::users::{Stage, UserEntry};
use crate::kernel::wall::Clock;
use crate::rates::Rates;
use crate::store_ops::StoreOp;
use crate::time::Time;

/// The state that no feature owns. It knows none of them.
#[derive(Debug)]
pub(crate) struct Kernel {
    pub(crate) config: HubConfig,
    /// The time of the input being handled.
    ///
    /// Its monotonic part is the hub's own clock: it stands still while the process does.
    pub(crate) now: Time,
    pub(crate) clock: Clock,
    pub(crate) rng: Rng,
    pub(crate) hasher: SeededHasher,
    pub(crate) timers: Timers,
    /// Open connections. Bound: the shell's limits on connections.
    pub(crate) connections: Map<ConnectionId, Stage>,
    pub(crate) sessions: SlotMap<SessionKey, Session>,
    /// Users with a session here or a login in progress: this hub subscribes to their topics.
    pub(crate) users: Map<UserKey, UserEntry>,
    /// Users whose sessions move between nodes.
    pub(crate) moves: Moving,
    /// Services with several sessions.
    pub(crate) groups: Groups,
    pub(crate) asks: Asks,
    pub(crate) stores: Stores,
    pub(crate) outsiders: Outsiders,
    pub(crate) clients: ClientNames,
    /// Rates of apps that are not listed.
    pub(crate) default_rates: Rates,
    /// Some app has a quota of messages.
    pub(crate) has_message_quotas: bool,
    /// Some app has rules that bar somebody.
    pub(crate) has_bans: bool,
    /// Bytes of all frames that are kept for clients; one for many counts once.
    pub(crate) replay_bytes: Gauge,
    /// Nobody is connected any more: what is under way comes to an end.
    pub(crate) is_settling: bool,
    /// The one ping frame.
    pub(crate) ping: Bytes,
    /// What has happened by app, for the operator.
    pub(crate) tally: AppTally,
    /// What has happened in whichever app.
    pub(crate) counts: HubCounts,
    pub(crate) events: Events,
    pub(crate) traces: Traces,
}

impl Kernel {
    pub(crate) fn new(config: HubConfig, rng: Rng, hasher: SeededHasher) -> Self {
        Self {
            now: Time::default(),
            clock: Clock::default(),
            rng,
            hasher,
            timers: Timers::default(),
            connections: hasher.map(),
            sessions: SlotMap::with_key(),
            users: hasher.map(),
            moves: Moving::new(hasher),
            groups: Groups::new(hasher),
            asks: Asks::new(),
            stores: Stores::new(),
            outsiders: Outsiders::new(),
            clients: ClientNames::default(),
            default_rates: Rates::default(),
            has_message_quotas: config.apps.has_message_quotas(),
            has_bans: config.apps.has_bans(),
            replay_bytes: Gauge::default(),
            is_settling: false,
            tally: AppTally::default(),
            counts: HubCounts::default(),
            events: Events::new(config.apps.has_message_events()),
            traces: Traces::new(),
            ping: encode_server(Kind::Ping(Ping {})),
            config,
        }
    }

    /// The counts of an app, to be raised.
    pub(crate) fn count(&mut self, app: &AppId) -> &mut AppCounts {
        let listed = &self.config.apps.listed;
        self.tally.of(app, || listed.contains_key(app))
    }

    /// Asks a topic. What the answer is for is kept, under the number that is returned, by the
    /// feature that asks.
    pub(crate) fn ask(
        &mut self,
        topic: Topic,
        question: Question,
        rule: &'static AskRule,
        out: &mut dyn Sink,
    ) -> u64 {
        let ask = self.asks.add(self.now.mono_ms, rule);
        out.emit(Effect::Bus(BusOp::Ask {
            topic,
            ask,
            question: Arc::new(question),
        }));
        ask.number
    }

    /// Gives the store an operation. What it is for is kept, under the ticket that is returned, by
    /// the feature.
    pub(crate) fn store(&mut self, op: StoreOp, tag: StoreTag, out: &mut dyn Sink) -> Ticket {
        let ticket = self.stores.add(tag);
        out.emit(Effect::Store { ticket, op });
        ticket
    }

    /// Gives the store an operation for whose answer nobody waits.
    pub(crate) fn store_and_forget(&mut self, op: StoreOp, out: &mut dyn Sink) {
        self.store(op, StoreTag::Forgotten, out);
    }
}

impl Kernel {
    /// Asserts what holds between two inputs. Cost: O(sessions and what they hold).
    pub(crate) fn assert_consistent(&self) {
        let now_ms = self.now.mono_ms;
        self.asks.assert_consistent(now_ms);
        self.stores.assert_consistent();
        self.events.assert_consistent(&self.stores);
        self.outsiders.assert_consistent(self.now.unix_ms);
        self.clients.assert_consistent();
        self.traces.assert_consistent();
        assert_eq!(
            self.has_bans,
            self.config.apps.has_bans(),
            "rules that nobody looks at"
        );
        assert_eq!(
            self.has_message_quotas,
            self.config.apps.has_message_quotas(),
            "quotas that nobody looks at"
        );
        assert_eq!(
            self.events.of_messages,
            self.config.apps.has_message_events(),
            "events of messages that nobody tells"
        );
        self.timers.assert_consistent(now_ms);
        let kept = self.replay_bytes.get();
        for (key, session) in &self.sessions {
            session.assert_consistent(now_ms);
            assert!(
                session.outbox.bytes_kept() <= kept,
                "frames are kept that are not counted"
            );
            let of_app = self.config.apps.settings(&session.user.app);
            assert_eq!(
                session.settings,
                of_app.of(session.traits),
                "a session goes by numbers that its app no longer has"
            );
            assert!(
                self.clients.has(session.link.client),
                "a client whose name is not kept"
            );
            let is_known = self.has_session(&session.user, key);
            assert!(is_known, "a session that its user does not have");
            if let Some(connection) = session.connection {
                let stage = self.connections.get(&connection);
                assert_eq!(
                    stage,
                    Some(&Stage::Serving(key)),
                    "a connection that serves nobody"
                );
            }
        }
        for (user, entry) in &self.users {
            assert!(
                entry.session.is_some() || entry.claim.is_some(),
                "a user without a login"
            );
            let session = entry.session.map(|key| self.sessions.get(key));
            if let Some(session) = session {
                let user_of = session.map(|session| &session.user);
                assert_eq!(user_of, Some(user), "a user has somebody else's session");
            }
            if let Some(claim) = &entry.claim {
                let stage = self.connections.get(&claim.connection);
                let is_its = matches!(stage, Some(Stage::Claiming(of)) if **of == *user);
                assert!(is_its, "a claim whose connection does not claim");
                let of_app = self.config.apps.settings(&user.app);
                assert_eq!(
                    claim.settings,
                    of_app.of(claim.traits),
                    "a login goes by numbers that its app no longer has"
                );
                claim.assert_consistent();
            }
        }
        self.assert_groups();
        self.assert_connections();
        self.clock.assert_consistent(self.now);
    }

    fn assert_connections(&self) {
        let now_ms = self.now.mono_ms;
        for (connection, stage) in &self.connections {
            match stage {
                Stage::Serving(key) => {
                    let session = self.sessions.get(*key);
                    let serves = session.and_then(|session| session.connection);
                    assert_eq!(
                        serves,
                        Some(*connection),
                        "a connection serves an older session"
                    );
                }
                Stage::Claiming(user) => {
                    let entry = self.users.get(&**user);
                    let claim = entry.and_then(|entry| entry.claim.as_ref());
                    let is_its = claim.is_some_and(|claim| claim.has(*connection));
                    assert!(is_its, "a connection claims for nobody");
                }
                Stage::Fresh { .. } => {}
                Stage::Resuming { asked_ms } => assert!(*asked_ms <= now_ms, "asked in the future"),
            }
        }
    }
}
