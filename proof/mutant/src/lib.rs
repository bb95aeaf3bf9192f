//! Switches of the deliberate faults ("mutants") that prove the simulator's checks.
//!
//! A product crate asks [`mutant!`] at the place that a fault would break. Without the feature `mutants` the
//! answer is the constant `false` and the compiler removes the branch: what is shipped is the normal code. With it,
//! which only `cargo xtask mutants` asks for, the thread's choice answers. What each number breaks is said by
//! `tidings_sim::mutants` and, with the check that catches it, by `docs/mutants.md`.
//!
//! ```
//! assert!(!tidings_mutant::mutant!(1));
//! ```

/// Whether the deliberate fault of this number is switched on in this thread.
#[macro_export]
macro_rules! mutant {
    ($number:literal) => {
        $crate::is_on($number)
    };
}

#[cfg(feature = "mutants")]
mod chosen {
    use std::cell::Cell;

    thread_local! {
        /// 0 = none.
        static CHOSEN: Cell<u32> = const { Cell::new(0) };
        static COUNT: Cell<u64> = const { Cell::new(0) };
    }

    /// Switches one fault on in this thread and all others off; `None` = all off.
    pub fn choose(number: Option<u32>) {
        CHOSEN.set(number.unwrap_or(0));
    }

    /// Whether the fault is switched on in this thread.
    pub fn is_on(number: u32) -> bool {
        CHOSEN.get() == number
    }

    /// A number that no seed decides: other in every run of the process.
    pub fn unseeded() -> u64 {
        COUNT.set(COUNT.get() + 1);
        COUNT.get()
    }
}

#[cfg(feature = "mutants")]
pub use chosen::{choose, is_on, unseeded};

/// Whether the fault is switched on: never, in a build without the feature `mutants`.
#[cfg(not(feature = "mutants"))]
#[inline(always)]
pub const fn is_on(_number: u32) -> bool {
    false
}

/// A number that no seed decides; 0 in a build without the feature `mutants`.
#[cfg(not(feature = "mutants"))]
#[inline(always)]
pub const fn unseeded() -> u64 {
    0
}
