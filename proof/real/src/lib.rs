//! Proofs with real processes: what the simulator leaves out, real sockets and real time, is put to
//! the program and its SDKs here.
//!
//! It is not a load generator (that is `tidings-load`) and measures nothing but whether promises
//! were kept.
//!
//! Reading order: [`proxy`] (a network that breaks by seed), [`program`] (the server in a process
//! of its own), [`cluster`] (several of them on NATS servers), [`soak`] (clients that write to each
//! other over those networks, and the judge of what they got), [`autobahn`] (WebSocket
//! conformance), [`power`] (a disk that forgets what was not synced), [`raw`] (clients that read
//! nothing).
//!
//! ```no_run
//! use std::time::Duration;
//! use tidings_proof::soak::{self, Settings};
//!
//! # async fn example() -> Result<(), tidings_proof::Failure> {
//! let report = soak::run(&Settings::new(Duration::from_secs(60), 7)).await?;
//! println!("{report}");
//! assert!(report.is_good());
//! # Ok(())
//! # }
//! ```

pub mod autobahn;
pub mod cluster;
pub mod power;
pub mod program;
pub mod proxy;
pub mod random;
pub mod raw;
pub mod soak;
pub mod tries;

/// Waits for a time: of a load, of the network that is played, between two attempts. Never for
/// something to have happened.
pub(crate) async fn pace(time: std::time::Duration) {
    tokio::time::sleep(time).await;
}

/// Why a proof could not be begun or ended: about the machine, not about a promise.
#[derive(Debug)]
pub struct Failure {
    what: String,
    source: Option<std::io::Error>,
}

impl Failure {
    /// A failure without a cause of the system's.
    pub fn new(what: impl Into<String>) -> Self {
        let what = what.into();
        Self { what, source: None }
    }

    /// Names what was tried when the system refused.
    pub fn of(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        |source| Self {
            what,
            source: Some(source),
        }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.source {
            Some(source) => write!(f, "{}: {source}", self.what),
            None => f.write_str(&self.what),
        }
    }
}

impl std::error::Error for Failure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        let source = self.source.as_ref()?;
        Some(source)
    }
}
