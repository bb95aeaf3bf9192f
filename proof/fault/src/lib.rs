//! Deliberate faults, with which the simulator's checks are proven.
//!
//! A product crate asks [`fault!`] at the place that a fault would break. Without the feature `faults` the answer is
//! the constant `false` and the compiler removes the branch: what is shipped is the normal code. With it, which only
//! `cargo xtask faults` asks for, the thread's choice answers. `docs/proven/faults.md` says which check catches each.
//!
//! ```
//! assert!(!tidings_fault::fault!(StampsGoBack));
//! ```

mod list;

pub use list::Fault;

/// Whether the deliberate fault of this name is switched on in this thread.
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

    /// A number that no seed decides: another one in every run of the process.
    pub fn unseeded() -> u64 {
        COUNT.set(COUNT.get() + 1);
        COUNT.get()
    }
}

#[cfg(feature = "faults")]
pub use chosen::{choose, is_on, unseeded};

/// Whether the fault is switched on: never, in a build without the feature `faults`.
#[cfg(not(feature = "faults"))]
#[inline(always)]
pub const fn is_on(_fault: Fault) -> bool {
    false
}

/// A number that no seed decides; 0 in a build without the feature `faults`.
#[cfg(not(feature = "faults"))]
#[inline(always)]
pub const fn unseeded() -> u64 {
    0
}
