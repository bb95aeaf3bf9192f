//! The hub's random numbers: ChaCha20, seeded by its configuration.

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{RngCore as _, SeedableRng as _};

/// A cryptographic generator: session ids and resume secrets come from it.
#[derive(Debug)]
pub(crate) struct Rng(ChaCha20Rng);

impl Rng {
    pub(crate) fn new(seed: [u8; 32]) -> Self {
        Self(ChaCha20Rng::from_seed(seed))
    }

    pub(crate) fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut out = [0; N];
        self.0.fill_bytes(&mut out);
        out
    }

    pub(crate) fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A time spread by half of it either way, so that those who are told it do not come together.
    /// Milliseconds.
    pub(crate) fn spread(&mut self, wait_ms: u64) -> u64 {
        let bound = usize::try_from(wait_ms).unwrap_or(usize::MAX - 1) + 1;
        wait_ms / 2 + self.below(bound) as u64
    }

    /// A number below `bound`, which is at least 1. The bias is below 2⁻³² for bounds below 2³².
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        debug_assert!(bound > 0, "no number is below 0");
        let wide = u128::from(self.next_u64()) * (bound as u128);
        usize::try_from(wide >> 64).unwrap_or(0)
    }
}
