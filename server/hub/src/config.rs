//! What a hub is told once: who it is, and which apps there are.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use tidings_token::{Policy, Refusal, TokenId};
use tidings_wire::limits;
use tidings_wire::names::{AppId, NameRule, UserId};

use crate::bans::Bans;
use crate::grant::Proof;
use crate::ids::{HubId, UserKey};
use crate::jwt::JwtLogins;
use crate::quotas::{Quotas, Usage};
use crate::rates::Rates;
use crate::store_ops::HistoryLimits;

/// What makes one hub.
#[derive(Debug, Clone)]
pub struct HubConfig {
    /// Its name on this node.
    pub id: HubId,
    /// Seeds the session ids, the secrets and the hashing of user-chosen keys: from the operating
    /// system in production, from the seed in a simulation.
    pub seed: [u8; 32],
    /// The tenants, shared by all hubs; replaced by [`crate::Input::Apps`].
    pub apps: Arc<Apps>,
    /// Name and version of the program, told to clients.
    pub server: String,
    /// Time over which the clients of a draining hub are sent away, in milliseconds. 0 = at once.
    pub drain_window_ms: u64,
    /// Where the hub's numbering of its interests in channels begins; `None` = anywhere, which is
    /// enough on a node that is alone.
    ///
    /// On a node of a cluster it must be greater than what any earlier process with the node's
    /// number has come to: others know by it which of two is newer.
    pub epoch_base: Option<u64>,
}

impl HubConfig {
    /// Bounds of a history of this app.
    pub(crate) fn history_limits(&self, app: &AppId) -> HistoryLimits {
        let settings = self.apps.settings(app);
        HistoryLimits {
            messages_max: settings.history_messages_max,
            age_ms: settings.history_age_ms,
        }
    }
}

/// The tenants.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Apps {
    /// Accept every well-formed app id that is not listed, without certificate. Not for production.
    pub accept_any: bool,
    /// The listed ones.
    pub listed: BTreeMap<AppId, App>,
}

impl Apps {
    /// The numbers of an app; the defaults for one that is not listed.
    pub fn settings(&self, app: &AppId) -> AppSettings {
        let listed = self.listed.get(app);
        listed.map(|app| app.settings).unwrap_or_default()
    }

    /// Whether the app is served at all.
    pub fn has(&self, app: &AppId) -> bool {
        self.accept_any || self.listed.contains_key(app)
    }

    /// Whether the user may not log in at this time, in Unix milliseconds.
    pub fn is_banned(&self, user: &UserKey, now_ms: u64) -> bool {
        let listed = self.listed.get(&user.app);
        listed.is_some_and(|app| {
            app.banned.contains(&user.user) || app.bans.bars_login(&user.user, now_ms)
        })
    }

    /// Whether the user may not log in from there at this time, in Unix milliseconds.
    pub fn is_banned_from(&self, user: &UserKey, address: IpAddr, now_ms: u64) -> bool {
        let listed = self.listed.get(&user.app);
        listed.is_some_and(|app| app.bans.bars_address(&user.user, address, now_ms))
    }

    /// Whether the user is part of its app's backend.
    pub fn is_service(&self, user: &UserKey) -> bool {
        let listed = self.listed.get(&user.app);
        listed.is_some_and(|app| {
            app.services.contains(&user.user) || app.replicas.contains_key(&user.user)
        })
    }

    /// How the sessions of a service share what is sent to it; `None` = the user has one session.
    pub fn replicas_of(&self, user: &UserKey) -> Option<Replicas> {
        let listed = self.listed.get(&user.app)?;
        listed.replicas.get(&user.user).copied()
    }

    /// The apps whose rules of bans are others than before, if that is all that has changed and
    /// anything has. Cost: O(what the apps hold).
    pub(crate) fn only_rules_since(&self, before: &Self) -> Option<Vec<AppId>> {
        let is_same_list =
            self.accept_any == before.accept_any && self.listed.keys().eq(before.listed.keys());
        if !is_same_list {
            return None;
        }
        let mut ruled = Vec::new();
        for ((id, now), before) in self.listed.iter().zip(before.listed.values()) {
            if now == before {
                continue;
            }
            let with_new_rules = App {
                bans: now.bans.clone(),
                ..before.clone()
            };
            if *now != with_new_rules {
                return None;
            }
            ruled.push(id.clone());
        }
        (!ruled.is_empty()).then_some(ruled)
    }

    /// Whether any app has rules that bar somebody: if not, nobody has to look.
    pub(crate) fn has_bans(&self) -> bool {
        self.listed.values().any(|app| !app.bans.is_empty())
    }
}

/// How the sessions of one service share the peer messages to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replicas {
    /// Each message goes to one of them; another one gets it if that one leaves without having
    /// confirmed it.
    Share,
    /// Each message goes to all of them.
    All,
}

/// One tenant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct App {
    /// None, one or two certificates; with none, and without `jwt`, no token is needed.
    pub certificates: Vec<String>,
    /// Keys and rules for JSON Web Tokens; `None` = they are not taken.
    pub jwt: Option<Box<JwtLogins>>,
    /// Its numbers.
    pub settings: AppSettings,
    /// How often its users may do what, if `settings.rate_limits` says so.
    pub rates: Rates,
    /// Users who may not log in. Source: rtm 7.5.
    pub banned: BTreeSet<UserId>,
    /// Users who are parts of the app's backend: their logins are not bound by rates and by the
    /// number of channels.
    pub services: BTreeSet<UserId>,
    /// Services that have several sessions at once, and how these share what is sent to them.
    pub replicas: BTreeMap<UserId, Replicas>,
    /// Cap on the life of a 007 token, in seconds from its issue; 0 = no cap, `None` = a day.
    /// Source: tokens 5.
    pub token_lifetime_max_s: Option<u64>,
    /// Rules that bar users, channels and addresses for a time. Source: rest 11.3.
    pub bans: Bans,
    /// What it may use of a node.
    pub quotas: Quotas,
    /// What it uses of a node; shared by all hubs.
    pub usage: Usage,
    /// Tokens that were taken back, with the Unix seconds at which they end by themselves. Source:
    /// tokens 6.7.
    pub revoked: BTreeMap<TokenId, u64>,
    /// Tokens of these users count only if they were issued then or later, in Unix seconds.
    pub not_before: BTreeMap<UserId, u64>,
    /// The same of all users.
    pub not_before_all: u64,
    /// Certificates, by fingerprint, whose sessions must end. Source: tokens 6.5.
    pub ended_certificates: BTreeSet<u64>,
    /// Origins of pages that may connect, as the door reads them; none = the server's rule. A hub
    /// knows no pages.
    pub origins: Vec<String>,
    /// Whether programs, which state no origin, are turned away.
    pub requires_origin: bool,
}

impl App {
    /// How its tokens are looked at when somebody logs in.
    pub fn token_policy(&self) -> Policy {
        let policy = Policy::login();
        Policy {
            max_lifetime_s: self.token_lifetime_max_s.unwrap_or(policy.max_lifetime_s),
            ..policy
        }
    }

    /// Whether a login needs a token. An app whose key set could not be loaded yet needs one too.
    pub fn needs_token(&self) -> bool {
        !self.certificates.is_empty() || self.jwt.is_some()
    }

    /// Whether a token was refused for want of a key that may be there soon; asks for the key.
    pub fn may_get_key(&self, refusal: &Refusal) -> bool {
        let is_missing = matches!(refusal, Refusal::NoSuchKey { .. });
        is_missing && self.jwt.as_ref().is_some_and(|jwt| jwt.misses_key())
    }

    /// Whether what a user was let in by was taken back since.
    pub fn has_taken_back(&self, user: &UserId, proof: &Proof) -> bool {
        let not_before = self.not_before.get(user).copied().unwrap_or(0);
        let not_before = not_before.max(self.not_before_all);
        // Of a token that does not say when it was issued, nobody knows that it is new.
        let is_too_old = not_before > 0 && proof.issued_s.is_none_or(|issued| issued < not_before);
        let is_revoked = |id| self.revoked.contains_key(&id);
        proof.token.is_some_and(is_revoked)
            || (proof.token.is_some() && is_too_old)
            || self.ended_certificates.contains(&proof.certificate)
    }
}

/// Numbers of an app, with the documented defaults.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AppSettings {
    /// Whether a session ends when its token expires. Source: rtm 7.3.
    pub kick_on_token_expiry: bool,
    /// Whether rate limits are enforced.
    pub rate_limits: bool,
    /// Stored messages per receiver, 0 to 100,000.
    pub inbox_messages_max: usize,
    /// Age of stored messages, in milliseconds.
    pub inbox_age_ms: u64,
    /// Messages of one history, 0 to 10,000,000; 0 = none is kept.
    pub history_messages_max: usize,
    /// Age of messages of a history, in milliseconds.
    pub history_age_ms: u64,
    /// Silence after which a user is gone, in milliseconds.
    pub presence_grace_ms: u64,
    /// How long channel attributes outlive the last member, in milliseconds; [`FOR_EVER`] = until
    /// they are deleted.
    pub channel_attributes_keep_ms: u64,
    /// Whether user attributes outlive the login; they can then be read while the user is offline.
    /// Source: rtm 8.
    pub keep_user_attributes: bool,
    /// Whether the app has a stream of events. Source: rest 12.
    pub events: bool,
    /// Whether peer messages are events too.
    pub peer_message_events: bool,
    /// Whether channel messages are events too.
    pub channel_message_events: bool,
}

/// A time that does not end, in milliseconds.
pub const FOR_EVER: u64 = u64::MAX;

/// What the client of a session can do, and what it leaves to others. The default is a native
/// client.
///
/// Source: decision 0009.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Traits {
    /// Which texts it may use as names of users and channels.
    pub names: NameRule,
    /// It takes no raw, file or image messages: their senders are told that it has not received
    /// them.
    pub is_text_only: bool,
    /// It knows message types that begin with `lib.`.
    pub knows_library_types: bool,
    /// It says apart when it has received and when it has processed: senders are answered at the
    /// first, stored copies go at the second, by [`crate::Input::Processed`].
    pub processes_late: bool,
    /// It never resumes: its session ends with its connection.
    pub ends_with_connection: bool,
    /// Whoever speaks for it limits its rates.
    pub is_paced: bool,
    /// Its member lists hold up to 10,000 users of any channel, in the order in which they came.
    pub lists_all_members: bool,
    /// It may give its messages an end (`expires_ts`): a stored one is kept until then, by bounds
    /// of its own.
    pub ends_messages: bool,
    /// It may send to channels that it is not in.
    pub reaches_any_channel: bool,
    /// An invitation between two clients of this kind rings until one of them ends it, and goes on
    /// ringing if the callee's is back soon.
    pub rings_on: bool,
    /// It is part of a backend: rates and the bound of channels for one login are not meant for it.
    pub is_service: bool,
}

impl AppSettings {
    /// As they count for a client.
    pub(crate) fn of(mut self, traits: Traits) -> Self {
        self.rate_limits &= !traits.is_paced && !traits.is_service;
        self
    }
}

impl Default for AppSettings {
    fn default() -> Self {
        Self {
            kick_on_token_expiry: true,
            rate_limits: true,
            inbox_messages_max: limits::INBOX_MESSAGES_MAX,
            inbox_age_ms: limits::INBOX_AGE_MS,
            history_messages_max: limits::HISTORY_MESSAGES_MAX,
            history_age_ms: limits::HISTORY_AGE_MS,
            presence_grace_ms: limits::PRESENCE_GRACE_MS,
            channel_attributes_keep_ms: limits::CHANNEL_ATTRIBUTES_KEEP_MS,
            keep_user_attributes: false,
            events: true,
            peer_message_events: false,
            channel_message_events: false,
        }
    }
}

impl Apps {
    /// What the app may use: what it says itself, else the defaults, which are for nodes with more
    /// than one app.
    pub fn quotas(&self, app: &AppId) -> Quotas {
        let own = self.listed.get(app).map(|app| app.quotas);
        let default = if self.listed.len() > 1 {
            Quotas::SHARED
        } else {
            Quotas::default()
        };
        own.unwrap_or_default().or(default)
    }

    /// Whether any app is bound by a quota of messages: if not, nobody has to look.
    pub(crate) fn has_message_quotas(&self) -> bool {
        self.listed.keys().any(|app| {
            let quotas = self.quotas(app);
            Quotas::bound(quotas.max_messages_per_s).is_some()
                || Quotas::bound(quotas.max_fanout_per_s).is_some()
        })
    }

    /// Whether any app wants to hear of messages: if not, nobody has to look.
    pub(crate) fn has_message_events(&self) -> bool {
        self.listed
            .values()
            .any(|app| app.settings.peer_message_events || app.settings.channel_message_events)
    }

    /// The same apps, which go on counting where `before` has come to, with the key sets that it
    /// has loaded.
    #[must_use]
    pub fn counting_on(mut self, before: &Self) -> Self {
        for (id, app) in &mut self.listed {
            if let Some(before) = before.listed.get(id) {
                app.usage = before.usage.clone();
                if let (Some(jwt), Some(before)) = (&mut app.jwt, &before.jwt) {
                    jwt.going_on(before);
                }
            }
        }
        self
    }
}
