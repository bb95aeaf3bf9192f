//! The store for everything that must survive a restart: contract, contract suite, in-memory and
//! embedded store.
//!
//! The hub owns the vocabulary ([`tidings_hub::store_ops`]); an [`Engine`] carries it out, a group
//! of operations at a time, each group durable as a whole or not at all. [`MemoryEngine`] is for
//! the simulator and for tests, [`EmbeddedEngine`] uses one directory. A [`Committer`] owns an
//! engine on a thread of its own and serves the hubs of a node.
//!
//! It is not a general-purpose database: it knows inboxes, attributes, histories and invitations,
//! and their rules are written once, over an ordered map. It knows nothing about the bus, sockets,
//! runtimes or the meaning of a message.
//!
//! Reading order: `engine` (the contract), [`contract`] (its cases), `kv` (the map and a group on
//! it), `inbox` with `kinds`, `attributes`, `history` and `invitations` (the rules), `record`
//! (bytes), `store` (a group from operations to answers), `memory`, [`embedded`], `committer`.
//! `tables` and `streams` are what everybody else keeps here, through [`records`] and [`events`].
//!
//! ```
//! use std::sync::mpsc::channel;
//!
//! use tidings_hub::{Ticket, ids::{HubId, UserKey}, store_ops::{StoreAnswer, StoreOp}};
//! use tidings_store::{Committer, EmbeddedEngine, embedded::Options};
//! use tidings_wire::names::{AppId, UserId};
//!
//! let directory = tempfile::tempdir()?;
//! let engine = EmbeddedEngine::open(directory.path(), &Options::default())?;
//! let (sender, answers) = channel();
//! let committer = Committer::open(engine, move |hub, answers| {
//!     let _ = sender.send((hub, answers));
//! })?;
//!
//! let app = AppId::parse("0123456789abcdef0123456789abcdef")?;
//! let user = UserKey { app, user: UserId::parse("alice")? };
//! let read = StoreOp::InboxRead { user, after: 0, count_max: 32, not_before_ts: 0 };
//! let mut refused = Vec::new();
//! committer.submitter().submit(HubId::local(0), [(Ticket(1), read)], &mut refused);
//! let (hub, answers) = answers.recv()?;
//! assert_eq!((hub, answers[0].0), (HubId::local(0), Ticket(1)));
//! assert!(matches!(&answers[0].1, StoreAnswer::InboxPage { messages, .. } if messages.is_empty()));
//! committer.close();
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![cfg_attr(
    test,
    allow(clippy::unwrap_used, reason = "in a test a panic is the report")
)]

mod attributes;
mod cache;
mod committer;
pub mod contract;
pub mod embedded;
mod engine;
pub mod erasure;
pub mod events;
mod feed;
mod history;
mod inbox;
mod invitations;
mod keys;
mod kinds;
mod kv;
mod memory;
mod pending;
mod record;
pub mod records;
mod shares;
mod store;
mod streams;
mod tables;
mod usage;

pub use committer::{
    AnswerSink, Committer, QUEUE_BYTES_MAX, QUEUE_EVENTS_MAX, QUEUE_OPERATIONS_MAX, Status,
    Submitter,
};
pub use embedded::EmbeddedEngine;
pub use engine::{Access, Engine, Health};
pub use memory::MemoryEngine;
pub use pending::{Call, Ended};
#[doc(hidden)]
pub use record::read_record;
pub use usage::Bounds;
