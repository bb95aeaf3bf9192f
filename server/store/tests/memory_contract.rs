//! The in-memory store keeps the contract.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use tidings_store::contract::Subject;
use tidings_store::{Engine, MemoryEngine};

struct Memory(MemoryEngine);

impl Subject for Memory {
    fn engine(&mut self) -> &mut dyn Engine {
        &mut self.0
    }

    fn reopen(&mut self) {
        self.0 = std::mem::take(&mut self.0).reopen();
    }
}

tidings_store::contract_tests!(|| Memory(MemoryEngine::new()));
