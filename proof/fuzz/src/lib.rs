//! Hostile bytes for every decoder and for the state machines behind them.
//!
//! A [`Target`] is an ordinary function of bytes. The [`run`](fn@run::fuzz) loop mutates the
//! target's inputs with a seeded generator, keeps those whose answers were not seen before, and
//! fails on a panic, on more memory than the target's bound, and on an input that takes too long.
//! It needs no nightly compiler and no instrumentation; unlike a coverage-guided fuzzer, it sees
//! answers, not branches.
//!
//! Findings are kept in `proof/fuzz/regressions/<target>/` and given to the target in every test
//! run.
//!
//! Reading order: [`target`], [`targets`], [`mutate`], [`run`](mod@run).
//!
//! ```
//! use std::time::Duration;
//! use tidings_fuzz::{run, targets};
//!
//! let target = targets::all().into_iter().find(|target| target.name == "native_frame").expect("it is one");
//! let report = run::fuzz(&target, Duration::from_millis(100), 7);
//! assert!(report.failure.is_none(), "{report}");
//! ```

pub mod mutate;
mod node;
pub mod run;
pub mod target;
pub mod targets;

pub use target::Target;
