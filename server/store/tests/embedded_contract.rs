//! The embedded store keeps the contract.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use tempfile::TempDir;
use tidings_store::contract::Subject;
use tidings_store::embedded::{DiskReserve, Options};
use tidings_store::{EmbeddedEngine, Engine};

struct Embedded {
    /// `None` only while it is opened again.
    engine: Option<EmbeddedEngine>,
    directory: TempDir,
}

impl Embedded {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let engine = Some(open(&directory));
        Self { engine, directory }
    }
}

fn open(directory: &TempDir) -> EmbeddedEngine {
    let options = Options {
        disk_reserve: DiskReserve::Bytes(0),
        ..Options::default()
    };
    EmbeddedEngine::open(&directory.path().join("store"), &options).unwrap()
}

impl Subject for Embedded {
    fn engine(&mut self) -> &mut dyn Engine {
        self.engine.as_mut().unwrap()
    }

    fn reopen(&mut self) {
        self.engine = None;
        let engine = open(&self.directory);
        let report = engine.verify().unwrap();
        assert!(report.is_sound(), "{report:?}");
        self.engine = Some(engine);
    }
}

tidings_store::contract_tests!(Embedded::new);
