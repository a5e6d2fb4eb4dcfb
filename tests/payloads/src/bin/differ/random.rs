//! Numbers from a seed and a case's number.

/// A stream of numbers (SplitMix64).
pub(crate) struct Random(u64);

impl Random {
    /// The stream of one case.
    pub(crate) fn new(seed: u64, case: u64) -> Self {
        let mut random = Self(seed ^ case.wrapping_mul(0xD134_2543_DE82_EF95));
        random.next();
        random
    }

    /// Any 64 bits.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `bound`.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// A value as operands have them: often small, all ones, or with only its sign set.
    pub(crate) fn operand(&mut self) -> u64 {
        let value = self.next();
        match value >> 61 {
            0 => value & 3,
            1 => u64::MAX - (value & 3),
            2 => (value & 1) << 63 | (0x8000_8080 - (value >> 8 & 1)),
            _ => value,
        }
    }

    /// One of these.
    pub(crate) fn one_of<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize]
    }

    /// Heads or tails.
    pub(crate) fn flip(&mut self) -> bool {
        self.next() & 1 == 1
    }
}
