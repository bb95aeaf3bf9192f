//! Legacy clients: their translators, and who may log in by them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use bytes::Bytes;
use tidings_hub::credentials::Grant;
use tidings_hub::ids::{ConnectionId, InvitationId, UserKey};
use tidings_hub::{Input, Time, Traits};
use tidings_legacy::{
    AppRules, LATE_LOGIN_S, LoginRefusal, LoginRequest, Now, Output, Translator, check_token,
};
use tidings_token::AppKeys;
use tidings_wire::codes::CloseCode;
use tidings_wire::frame::decode_server;
use tidings_wire::names::{AppId, NameRule, UserId};
use tidings_wire::proto::ClientFrame;
use tidings_wire::proto::server_message::Kind;
use tidings_wire::ws::{Opcode, encode_frame};

use crate::admitting::Entry;
use crate::clock::Clock;
use crate::config::LegacyConfig;
use crate::worker::Worker;
use crate::writing::payload_of;

/// A token that has ended is good for a login so long after one with it was there, in milliseconds.
const LATELY_MS: u64 = LATE_LOGIN_S * 1_000;
/// Logins remembered for that; when there are more, those that do not count any more are forgotten first.
const LATELY_MAX: usize = 65_536;

/// What a legacy client can do.
const TRAITS: Traits = Traits {
    names: NameRule::Wide,
    is_text_only: true,
    knows_library_types: true,
    processes_late: true,
    ends_with_connection: true,
    is_paced: true,
    lists_all_members: true,
    ends_messages: true,
    reaches_any_channel: false,
    rings_on: true,
};

/// A connection's part of the legacy protocol.
#[derive(Debug)]
pub(crate) struct Legacy {
    translator: Translator,
    /// When it is looked at, in monotonic milliseconds.
    due_ms: Option<u64>,
    /// Notes the login's end when it is dropped.
    lately: Option<Lately>,
}

impl Legacy {
    pub(crate) fn open(now: Time, id: ConnectionId, app: &str) -> Box<Self> {
        // The line is checked against its own connection only, so that a foreseeable one does no harm.
        let random = getrandom::u64().unwrap_or(id.0);
        Box::new(Self {
            translator: Translator::new(to_now(now), app, random),
            due_ms: None,
            lately: None,
        })
    }

    /// What the hub is to be given of a client whose connection is gone, before it hears of that.
    pub(crate) fn last_frames(&mut self, now: Time) -> Vec<ClientFrame> {
        self.translator.lose(to_now(now));
        let outputs = self.translator.outputs().into_iter();
        outputs
            .filter_map(|output| match output {
                Output::Send(frame) => Some(frame),
                _ => None,
            })
            .collect()
    }
}

/// What the node's hubs share of the legacy protocol. Touched by logins and their ends only.
#[derive(Debug)]
pub(crate) struct LegacyDoor {
    /// Whether legacy clients are served at all.
    is_open: bool,
    public_url: Option<String>,
    /// The rules of apps without rules of their own.
    rules: AppRules,
    /// Rules of single apps.
    app_rules: RwLock<BTreeMap<AppId, AppRules>>,
    clock: Clock,
    has_tls: bool,
    /// Logins that there are, or were lately. Bound: `LATELY_MAX`.
    lately: Mutex<BTreeMap<(AppId, String), Seen>>,
}

#[derive(Debug)]
struct Seen {
    token: String,
    /// Monotonic milliseconds; `None` = it is there.
    ended_ms: Option<u64>,
}

impl LegacyDoor {
    pub(crate) fn new(config: LegacyConfig, clock: Clock, has_tls: bool) -> Self {
        Self {
            is_open: config.enabled,
            public_url: config.public_url,
            rules: config.rules,
            app_rules: RwLock::new(config.apps),
            clock,
            has_tls,
            lately: Mutex::default(),
        }
    }

    /// Whether legacy clients are served at all.
    pub(crate) fn is_open(&self) -> bool {
        self.is_open
    }

    /// Where clients reach this server: as configured, else as they have reached it.
    pub(crate) fn base(&self, host: &str) -> String {
        match &self.public_url {
            Some(url) => url.trim_end_matches('/').to_owned(),
            None => format!("{}://{host}", if self.has_tls { "wss" } else { "ws" }),
        }
    }

    fn rules(&self, app: &AppId) -> AppRules {
        let apps = self
            .app_rules
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        apps.get(app).unwrap_or(&self.rules).clone()
    }

    pub(crate) fn replace_rules(&self, rules: BTreeMap<AppId, AppRules>) {
        let apps = self.app_rules.write();
        *apps.unwrap_or_else(PoisonError::into_inner) = rules;
    }

    fn was_in_lately(&self, key: &(AppId, String), token: &str) -> bool {
        let now_ms = self.clock.now().mono_ms;
        let lately = self.lately.lock().unwrap_or_else(PoisonError::into_inner);
        lately
            .get(key)
            .is_some_and(|seen| seen.token == token && seen.counts_at(now_ms))
    }

    fn note_login(self: &Arc<Self>, key: (AppId, String), token: String) -> Lately {
        let now_ms = self.clock.now().mono_ms;
        let mut lately = self.lately.lock().unwrap_or_else(PoisonError::into_inner);
        if lately.len() >= LATELY_MAX {
            lately.retain(|_, seen| seen.counts_at(now_ms));
        }
        if lately.len() < LATELY_MAX || lately.contains_key(&key) {
            let ended_ms = None;
            lately.insert(key.clone(), Seen { token, ended_ms });
        }
        Lately {
            door: self.clone(),
            key,
        }
    }
}

impl Seen {
    fn counts_at(&self, now_ms: u64) -> bool {
        self.ended_ms
            .is_none_or(|ended_ms| ended_ms + LATELY_MS > now_ms)
    }
}

/// A login that is let in.
struct Admitted {
    user: UserKey,
    rules: AppRules,
    grant: Grant,
    lately: Option<Lately>,
}

/// A login that is there.
#[derive(Debug)]
struct Lately {
    door: Arc<LegacyDoor>,
    key: (AppId, String),
}

impl Lately {
    /// The login's token is good for no login more.
    fn forget(&self) {
        let mut lately = self
            .door
            .lately
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        lately.remove(&self.key);
    }
}

impl Drop for Lately {
    fn drop(&mut self) {
        let now_ms = self.door.clock.now().mono_ms;
        let mut lately = self
            .door
            .lately
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(seen) = lately.get_mut(&self.key) {
            seen.ended_ms = Some(now_ms);
        }
    }
}

impl Worker {
    pub(crate) fn is_legacy(&mut self, slot: usize) -> bool {
        let connection = self.connections.get(slot);
        connection.is_some_and(|connection| connection.legacy.is_some())
    }

    fn legacy(&mut self, slot: usize) -> Option<&mut Legacy> {
        self.connections.get(slot)?.legacy.as_deref_mut()
    }

    /// A legacy client has sent a text.
    pub(crate) fn hear_legacy(&mut self, slot: usize, text: &[u8]) {
        let now = to_now(self.now);
        if let Some(legacy) = self.legacy(slot) {
            legacy.translator.hear(now, text);
        }
        self.obey(slot);
        self.settle();
    }

    /// The hub has a frame for a legacy client.
    pub(crate) fn send_legacy(&mut self, slot: usize, frame: &[u8]) {
        let now = to_now(self.now);
        let Some(connection) = self.connections.get(slot) else {
            return;
        };
        if !connection.is_open() {
            return;
        }
        let Some(legacy) = &mut connection.legacy else {
            return;
        };
        let Ok(frame) = decode_server(payload_of(frame)) else {
            return;
        };
        let mut begins = false;
        for kind in frame
            .messages
            .into_iter()
            .filter_map(|message| message.kind)
        {
            begins |= matches!(kind, Kind::Welcome(_));
            legacy.translator.take(now, kind);
        }
        if begins {
            self.begin_session(slot, Entry::Login);
        }
        self.obey(slot);
    }

    /// Ends a connection for a reason of the hub's, in the words of its protocol.
    pub(crate) fn close_by(&mut self, slot: usize, code: CloseCode) {
        if code == CloseCode::TokenExpired
            && let Some(legacy) = self.legacy(slot)
            && let Some(lately) = &legacy.lately
        {
            // It was not lost: it has had its time.
            lately.forget();
        }
        if code == CloseCode::SlowConsumer
            && let Some(connection) = self.connections.get(slot)
        {
            // It would not be read, and the session has it still.
            connection.outgoing.drop_unwritten();
        }
        let Some(legacy) = self.legacy(slot) else {
            return self.close(slot, code as u16, code.name());
        };
        let ending = legacy.translator.end(code);
        for text in &ending.texts {
            self.queue_text(slot, text);
        }
        self.close(slot, ending.code, code.name());
    }

    /// Looks at the translators whose time has come.
    pub(crate) fn tick_legacy(&mut self) {
        let now = to_now(self.now);
        while let Some((due_ms, id)) = self.legacy_due.first().copied() {
            if due_ms > now.mono_ms {
                return;
            }
            self.legacy_due.pop_first();
            let Some(slot) = self.connections.slot(id) else {
                continue;
            };
            let Some(legacy) = self.legacy(slot) else {
                continue;
            };
            legacy.due_ms = None;
            legacy.translator.tick(now);
            self.obey(slot);
            self.settle();
        }
    }

    /// Does what a translator wants.
    fn obey(&mut self, slot: usize) {
        let Some(connection) = self.connections.get(slot) else {
            return;
        };
        let id = connection.id;
        let Some(legacy) = &mut connection.legacy else {
            return;
        };
        let outputs = legacy.translator.outputs();
        for output in outputs {
            match output {
                Output::Text(text) => self.queue_text(slot, &text),
                Output::Login(request) => self.check_legacy_login(slot, request),
                Output::Send(frame) => self.legacy_inputs.push_back(Input::Frame {
                    connection: id,
                    frame,
                }),
                Output::Processed(sseq) => self.legacy_inputs.push_back(Input::Processed {
                    connection: id,
                    sseq,
                }),
                Output::Rung(ring) => {
                    if let Ok(ring) = <[u8; 16]>::try_from(&ring[..]) {
                        self.legacy_inputs.push_back(Input::Rung {
                            connection: id,
                            id: InvitationId(ring),
                        });
                    }
                }
                Output::Close { code, reason } => {
                    self.close(slot, code, reason);
                    self.legacy_inputs
                        .push_back(Input::Closed { connection: id });
                }
            }
        }
        self.note_due(slot);
    }

    /// Remembers when a translator is to be looked at. A later time than the one remembered is found out then.
    fn note_due(&mut self, slot: usize) {
        let Some(connection) = self.connections.get(slot) else {
            return;
        };
        let id = connection.id;
        let Some(legacy) = &mut connection.legacy else {
            return;
        };
        let Some(due_ms) = legacy.translator.deadline() else {
            return;
        };
        if legacy.due_ms.is_none_or(|at| at > due_ms) {
            if let Some(at) = legacy.due_ms.replace(due_ms) {
                self.legacy_due.remove(&(at, id));
            }
            self.legacy_due.insert((due_ms, id));
        }
    }

    fn queue_text(&mut self, slot: usize, text: &str) {
        let mut frame = Vec::with_capacity(text.len() + 10);
        encode_frame(&mut frame, Opcode::Text, text.as_bytes(), None);
        self.queue(slot, &Bytes::from(frame));
    }

    fn check_legacy_login(&mut self, slot: usize, request: LoginRequest) {
        let now_ms = self.now.mono_ms;
        if let Some(connection) = self.connections.get(slot) {
            connection.claim(&request.app, &request.account);
        }
        let checked = match self.admit_page(slot, &request.app) {
            Ok(()) => self.admit_legacy(&request),
            Err(_) => Err(LoginRefusal::UnknownApp),
        };
        if checked.is_ok()
            && self
                .charge_login(slot, &request.app, &request.account)
                .is_err()
        {
            // Its words have no time to come back; it tries again by itself, after seconds.
            self.close_by(slot, CloseCode::Overloaded);
            if let Some(connection) = self.connections.get(slot) {
                let connection = connection.id;
                self.legacy_inputs.push_back(Input::Closed { connection });
            }
            return;
        }
        let Some(connection) = self.connections.get(slot) else {
            return;
        };
        let id = connection.id;
        match checked {
            Ok(Admitted {
                user,
                rules,
                grant,
                lately,
            }) => {
                let traits = Traits {
                    reaches_any_channel: rules.allows_force || rules.allows_special_channels,
                    ..TRAITS
                };
                let Some(legacy) = &mut connection.legacy else {
                    return;
                };
                legacy.translator.admit(rules);
                legacy.lately = lately;
                self.legacy_inputs.push_back(Input::Admitted {
                    connection: id,
                    user,
                    traits,
                    grant,
                });
            }
            Err(why) => {
                self.security.legacy_refusal(connection, &why.to_string());
                if let Some(admission) = connection.admission() {
                    admission.note_failure(now_ms);
                }
                if let Some(legacy) = &mut connection.legacy {
                    legacy.translator.refuse(why);
                }
                self.obey(slot);
            }
        }
    }

    fn admit_legacy(&self, request: &LoginRequest) -> Result<Admitted, LoginRefusal> {
        let app = AppId::parse(&request.app).map_err(|_| LoginRefusal::UnknownApp)?;
        let listed = self.apps.listed.get(&app);
        if listed.is_none() && !self.apps.accept_any {
            return Err(LoginRefusal::UnknownApp);
        }
        let user = UserId::parse_by(NameRule::Wide, &request.account)
            .map_err(|_| LoginRefusal::WrongAccount)?;
        let door = &self.node.legacy;
        let rules = door.rules(&app);
        let certificates: Vec<&str> = listed
            .map(|app| app.certificates.iter().map(String::as_str).collect())
            .unwrap_or_default();
        let keys = AppKeys {
            app_id: app.as_str(),
            certificates: &certificates,
        };
        let key = (app.clone(), request.account.clone());
        let was_in_lately = door.was_in_lately(&key, &request.token);
        let granted = check_token(
            &keys,
            &rules,
            &request.account,
            self.now.unix_s(),
            &request.token,
            was_in_lately,
        )?;
        let mut grant = match (granted, listed) {
            (Some(granted), Some(listed)) => Grant::of(granted, listed),
            _ => Grant::default(),
        };
        if listed.is_some_and(|listed| listed.has_taken_back(&user, &grant.proof)) {
            return Err(LoginRefusal::TokenInvalid);
        }
        let has_tokens = !certificates.is_empty();
        let lately = has_tokens.then(|| door.note_login(key, request.token.clone()));
        let has_ended = grant.expires_s.is_some_and(|end| self.now.unix_s() >= end);
        let kicks = self.apps.settings(&app).kick_on_token_expiry;
        if was_in_lately && has_ended && kicks {
            // Let in late, it ends with the time in which that is possible.
            grant.expires_s = grant.expires_s.map(|end| end.saturating_add(LATE_LOGIN_S));
        }
        Ok(Admitted {
            user: UserKey { app, user },
            rules,
            grant,
            lately,
        })
    }
}

fn to_now(time: Time) -> Now {
    Now {
        mono_ms: time.mono_ms,
        unix_ms: time.unix_ms,
    }
}
