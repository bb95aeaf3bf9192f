//! Deliberate faults, which prove the simulator's checks.
//!
//! A product crate asks [`fault!`] at the place where a fault would break it. Without the feature
//! `faults` the answer is the constant `false` and the compiler removes the branch, so shipped
//! programs contain only the normal code. With the feature, which only `cargo xtask faults`
//! enables, the answer is the thread's choice. `docs/proven/faults.md` says which check catches
//! each fault.
//!
//! ```
//! assert!(!tidings_fault::fault!(StampsGoBack));
//! ```

mod list;

pub use list::Fault;

/// Whether the named deliberate fault is switched on in this thread.
#[macro_export]
macro_rules! fault {
    ($name:ident) => {
        $crate::is_on($crate::Fault::$name)
    };
}

#[cfg(feature = "faults")]
mod chosen {
    use std::cell::Cell;

    use crate::Fault;

    thread_local! {
        static CHOSEN: Cell<Option<Fault>> = const { Cell::new(None) };
        static COUNT: Cell<u64> = const { Cell::new(0) };
    }

    /// Switches one fault on in this thread and all others off; `None` = all off.
    pub fn choose(fault: Option<Fault>) {
        CHOSEN.set(fault);
    }

    /// Whether the fault is switched on in this thread.
    pub fn is_on(fault: Fault) -> bool {
        CHOSEN.get() == Some(fault)
    }

    /// A number that does not depend on the seed: another one in every run of the process.
    pub fn unseeded() -> u64 {
        COUNT.set(COUNT.get() + 1);
        COUNT.get()
    }
}

#[cfg(feature = "faults")]
pub use chosen::{choose, is_on, unseeded};

/// Whether the fault is switched on: never in a build without the feature `faults`.
#[cfg(not(feature = "faults"))]
#[inline(always)]
pub const fn is_on(_fault: Fault) -> bool {
    false
}

/// A number that does not depend on the seed; 0 in a build without the feature `faults`.
#[cfg(not(feature = "faults"))]
#[inline(always)]
pub const fn unseeded() -> u64 {
    0
}
