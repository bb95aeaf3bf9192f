//! The store of what must survive: contract, contract suite, in-memory and embedded store.

mod attributes;
pub mod contract;
mod engine;
mod inbox;
mod kv;
mod memory;
mod record;
mod store;

pub use engine::{Access, Engine, Health};
pub use memory::MemoryEngine;
