//! Where choices come from: a seed, or the bytes that a fuzzer gives.

use super::random::Random;

/// A source of choices. From a seed it never ends; bytes that have run out give zeros, so that small inputs are small
/// programs.
#[derive(Clone, Debug)]
pub(crate) enum Entropy<'b> {
    Seed(Random),
    Bytes(&'b [u8]),
}

impl<'b> Entropy<'b> {
    pub(crate) fn seed(seed: u64) -> Self {
        Self::Seed(Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x1234_5678))
    }

    #[allow(dead_code, reason = "for fuzz targets, which share this module")]
    pub(crate) fn bytes(bytes: &'b [u8]) -> Self {
        Self::Bytes(bytes)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.take(8)
    }

    /// A number of at most so many bytes.
    fn take(&mut self, count: usize) -> u64 {
        match self {
            Self::Seed(random) => random.next(),
            Self::Bytes(bytes) => {
                let (taken, left) = bytes.split_at(bytes.len().min(count));
                *bytes = left;
                taken.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte))
            }
        }
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        let count = if bound <= 1 << 8 { 1 } else { 4 };
        (self.take(count) % bound as u64) as usize
    }

    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    /// Bytes that have run out say no.
    pub(crate) fn chance(&mut self, percent: usize) -> bool {
        self.below(100) >= 100 - percent
    }

    /// A number near a place where something turns over, or any.
    pub(crate) fn number(&mut self) -> u64 {
        let base = self.pick(&[0, 0, 0, 7, 8, 56, 64, 255, 1 << 15, 1 << 31, 1 << 32, 1 << 63, u64::MAX]);
        match self.below(5) {
            1 => self.next(),
            2 => base.wrapping_neg(),
            _ => base.wrapping_add(self.below(5) as u64).wrapping_sub(2),
        }
    }

    /// The low half of such a number.
    pub(crate) fn imm(&mut self) -> i32 {
        self.number() as i32
    }
}
