//! The shell: sockets, TLS, one loop per core, HTTP, embedded pages.
//!
//! **What it is.** Everything that a [`tidings_hub::Hub`] must not know: it owns the sockets, the clock, the
//! random seed and the threads, and carries the hub's effects out. Each hub runs on a thread of its own with its
//! own event loop and its own listener on the shared port; hubs reach each other through their inboxes only.
//!
//! **What it is not.** It knows nothing of sessions, channels or messages: it moves frames.
//!
//! **Reading order.** `server` (threads, start, drain), `worker` (a hub's turn), `arrivals`, `reading`,
//! `admitting` and `writing` (its parts), `lanes` (turns shared between apps), `security` (the log of who was let in), `connection` and `connections` (what is kept of each), `head` (the request that decides what a
//! connection becomes), `legacy` (translators and who may log in by them), `stream` and `outgoing` (bytes), `inbox` (what hubs tell each other), `gate`,
//! `forwarded`, `network` and `deadlines` (what strangers may cost), `http` (pages, health, uploads and downloads), `media` (where uploaded files are kept).
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
mod arrivals;
mod clock;
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
mod inbox;
mod kept_sessions;
mod lanes;
mod legacy;
mod listen;
mod media;
mod memory;
mod network;
mod origins;
mod outgoing;
mod proxy_line;
mod readiness;
mod report;
mod reading;
mod security;
mod server;
mod stream;
mod tls;
mod worker;
mod writing;

pub use config::{
    HUBS_MAX, LegacyConfig, Limits, MediaConfig, ServerConfig, StoreConfig, TlsFiles,
};
pub use error::StartError;
pub use http::unbuilt;
pub use media::{MediaFile, MediaFiles};
pub use memory::{MEMORY_MIN, memory_max_default, memory_used};
pub use network::{Network, NetworkError};
pub use origins::{OriginError, OriginPattern, Origins, Page};
pub use report::{HubReport, NodeReport};
pub use server::{RunningServer, Server, ServerHandle};
// What a configuration is made of, so that a program needs no other crate for it.
pub use tidings_cell::{CellReport, Counts};
pub use tidings_hub::counts::AppCounts;
pub use tidings_hub::credentials::fingerprint;
pub use tidings_hub::{App, AppSettings, Apps, FOR_EVER, Quotas, RateKind};
pub use tidings_legacy::AppRules;
pub use tidings_store::{Access, Status as StoreStatus};
pub use tidings_store::embedded::DiskReserve;
pub use tidings_wire::names::{AppId, NameError, NameRule, UserId};
pub use tidings_wire::rates::Rate;
