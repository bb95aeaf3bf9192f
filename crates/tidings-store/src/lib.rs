//! The store of what must survive: contract, contract suite, in-memory and embedded store.

mod attributes;
mod committer;
pub mod contract;
pub mod embedded;
mod engine;
mod inbox;
mod kv;
mod memory;
mod record;
mod store;

pub use committer::{
    AnswerSink, Committer, QUEUE_BYTES_MAX, QUEUE_OPERATIONS_MAX, Status, Submitter,
};
pub use embedded::EmbeddedEngine;
pub use engine::{Access, Engine, Health};
pub use memory::MemoryEngine;
