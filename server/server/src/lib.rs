//! The shell: sockets, TLS, one loop per core, HTTP, embedded pages.
//!
//! **What it is.** Everything that a [`tidings_hub::Hub`] must not know: it owns the sockets, the
//! clock, the random seed and the threads, and is the host of a [`tidings_cell::Cell`] per hub.
//! Each runs on a thread of its own with its own event loop and its own listener on the shared
//! port; hubs reach each other through their mailboxes only.
//!
//! **What it is not.** It knows nothing of channels or messages: it moves frames. It looks into
//! those of connections without a session only, to count logins and refusals.
//!
//! **Reading order.** `start` and `stages` (a start), `supervisor` (what it looks after, and the
//! drain), `server` (the handle), `worker` (a hub's turn), `hosting` (what it does for its cell),
//! `arrivals`, `reading`, `admitting` and `writing` (its parts), `lanes` (turns shared between
//! apps), `security` (the log of who was let in), `connection` and `connections` (what is kept of
//! each), `head` (the request that decides what a connection becomes), `legacy` (whether and where
//! the legacy protocol is served), `stream` and `outgoing` (bytes), `mailbox` (what hubs tell each
//! other), `report` and `times` (how they are), `meters` (metrics), `gate`, `forwarded`, `network`
//! and `deadlines` (what strangers may cost), `http` (pages, health, uploads and downloads),
//! `media` (where uploaded files are kept), `cluster` (a node's part in a cluster: each hub's connection to
//! NATS).
//!
//! ```
//! use tidings_server::{Apps, Server, ServerConfig};
//!
//! let mut config = ServerConfig::new("127.0.0.1:0".parse()?);
//! config.apps = Apps { accept_any: true, ..Apps::default() };
//! let server = Server::start(config)?;
//! println!("clients connect to ws://{}/rtm", server.local_addr());
//! server.drain();
//! server.join();
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod admitting;
mod alpn;
mod api;
mod arrivals;
mod barring;
mod bounds;
mod clock;
mod cluster;
mod commands;
mod config;
mod connection;
mod connections;
mod deadlines;
mod error;
mod forwarded;
mod gate;
mod head;
mod hosting;
mod http;
mod kept_sessions;
mod key_sets;
mod lanes;
mod legacy;
mod listen;
mod login;
mod mailbox;
mod mailboxes;
mod media;
mod memory;
mod meters;
mod moderating;
mod network;
mod opening;
mod origins;
mod outgoing;
mod outside;
mod proxy_line;
mod readiness;
mod reading;
mod report;
mod security;
mod server;
mod spans;
mod stages;
mod start;
mod storage;
mod stream;
mod supervisor;
mod times;
mod tls;
mod webhooks;
mod worker;
mod writing;

pub use api::config::ApiConfig;
pub use bounds::HUBS_MAX;
pub use cluster::{
    CLUSTER_NAME_MAX, ClusterError, ClusterKey, ClusterNode, ClusterReport, ClusterSettings,
    Durability, LinkReport, Made as MadeCluster, NODE_NAME_MAX, NatsLogin, NatsUrl,
    drain as drain_node, init as init_cluster, is_cluster_name, status as cluster_status,
};
pub use commands::Ended;
pub use config::{
    LegacyConfig, Limits, LoginConfig, MediaConfig, ServerConfig, StoreConfig, TlsFiles,
};
pub use error::StartError;
pub use http::unbuilt;
pub use key_sets::{KeySetReport, check_key_url, load_key_set};
pub use media::{MediaFile, MediaFiles};
pub use memory::{MEMORY_MIN, memory_max_default, memory_used};
pub use network::{Network, NetworkError};
pub use origins::{OriginError, OriginPattern, Origins, Page};
pub use readiness::Trouble;
pub use report::{DoorCounts, HubReport, NodeReport};
pub use server::{RunningServer, Server, ServerHandle};
pub use webhooks::WebhooksConfig;
// What a configuration is made of, so that a program needs no other crate for it.
pub use tidings_api::admin;
pub use tidings_api::keys::{FixedKeys, KeyEntry, Keys, Role, hash_secret, split as split_key};
pub use tidings_api::metrics::{Metric, Reading, Value as MetricValue};
pub use tidings_api::registry;
pub use tidings_api::{Rates, Settings as ApiSettings};
pub use tidings_cell::{CellReport, Counts};
pub use tidings_hub::counts::AppCounts;
pub use tidings_hub::credentials::fingerprint;
pub use tidings_hub::jwt::{JwtLogins, KeySource};
pub use tidings_hub::{
    AddressPrefix, App, AppSettings, Apps, Ban, Bans, Barred, FOR_EVER, Quotas, RateKind, Replicas,
};
pub use tidings_legacy::AppRules;
pub use tidings_oidc as oidc;
pub use tidings_store::embedded::DiskReserve;
pub use tidings_store::{Access, Status as StoreStatus};
pub use tidings_webhooks::{Range, Rules as WebhookRules};
pub use tidings_wire::names::{AppId, NameError, NameRule, UserId};
pub use tidings_wire::rates::Rate;
