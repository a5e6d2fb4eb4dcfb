//! Random numbers for tests, from a seed that is printed.

use std::env;
use std::time::{SystemTime, UNIX_EPOCH};

/// The environment variable that sets the seed.
const SEED: &str = "TDLET_SEED";

/// SplitMix64.
pub(crate) struct Random(u64);

impl Random {
    /// From `TDLET_SEED`, else from the clock. The seed is printed: `cargo test` shows it
    /// when the test fails.
    pub(crate) fn seeded(test: &str) -> Self {
        let seed = match env::var(SEED) {
            Ok(text) => text.parse().expect("TDLET_SEED is a decimal number"),
            Err(_) => SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64,
        };
        std::println!("{test}: {SEED}={seed}");
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ mixed >> 31
    }

    /// 0 to `end` - 1.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// True once in `times`.
    pub(crate) fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    pub(crate) fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize]
    }
}
