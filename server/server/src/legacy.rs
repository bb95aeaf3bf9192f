//! What the threads of a node share of the legacy protocol: whether it is served, where, and by
//! which rules. Its clients' translators and logins are the cells' ([`tidings_cell`]).

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use tidings_cell::RecentLogins;
use tidings_legacy::AppRules;
use tidings_wire::names::AppId;

use crate::cluster::Membership;
use crate::config::LegacyConfig;

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
    has_tls: bool,
    /// The node's place in its cluster; `None` = it is alone.
    membership: Option<Arc<Membership>>,
    /// Counts the answers that name nodes.
    turn: AtomicUsize,
    recent: Mutex<RecentLogins>,
}

impl LegacyDoor {
    pub(crate) fn new(
        config: LegacyConfig,
        has_tls: bool,
        membership: Option<Arc<Membership>>,
    ) -> Self {
        Self {
            is_open: config.enabled,
            public_url: config.public_url,
            rules: config.rules,
            app_rules: RwLock::new(config.apps),
            has_tls,
            membership,
            turn: AtomicUsize::new(0),
            recent: Mutex::default(),
        }
    }

    /// Whether legacy clients are served at all.
    pub(crate) fn is_open(&self) -> bool {
        self.is_open
    }

    /// Where clients reach this server: as configured, else as they have reached it. In a cluster,
    /// where they reach its nodes that live and do not drain; at least one address.
    pub(crate) fn bases(&self, host: &str) -> Vec<String> {
        let nodes = self.membership.as_ref();
        let nodes = nodes.map(|membership| membership.addresses());
        if let Some(mut nodes) = nodes.filter(|nodes| !nodes.is_empty()) {
            // Each client begins at another node than the one before it.
            let turn = self.turn.fetch_add(1, Ordering::Relaxed);
            let first = turn % nodes.len();
            nodes.rotate_left(first);
            return nodes;
        }
        vec![match &self.public_url {
            Some(url) => url.trim_end_matches('/').to_owned(),
            None => format!("{}://{host}", if self.has_tls { "wss" } else { "ws" }),
        }]
    }

    /// The rules of an app's logins.
    pub(crate) fn rules(&self, app: &AppId) -> AppRules {
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

    /// Does something with the memory of who was logged in a moment ago.
    pub(crate) fn with_recent<R>(&self, act: impl FnOnce(&mut RecentLogins) -> R) -> R {
        act(&mut self.recent.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
