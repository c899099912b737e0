//! Numbers in words, for those who read rejections.

use std::fmt;

use super::Scalar;
use crate::verifier::number::{Bits, Signed, Tnum, Unsigned};

/// A 64-bit number in words: `7`, `0..=255`, `-4..=4`, `0..=248 (multiple of 8)`, `any number`.
impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { tnum, unsigned, signed, low } = *self;
        if let Some(value) = self.as_constant() {
            return write!(f, "{}", Number(value));
        }
        if signed.max < 0 || signed.max.abs_diff(signed.min) < unsigned.max - unsigned.min {
            write!(f, "{}..={}", Number(signed.min.cast_unsigned()), Number(signed.max.cast_unsigned()))?;
        } else if unsigned != Unsigned::full(Bits::B64) {
            write!(f, "{}..={}", PlainNumber(unsigned.min), PlainNumber(unsigned.max))?;
        } else {
            write!(f, "any number")?;
        }
        if low != Signed::full(Bits::B32) {
            return write!(f, " (lower half {}..={})", low.min, low.max);
        }
        let implied = Tnum::of_range(unsigned.min, unsigned.max).unknown_bits();
        if implied & !tnum.unknown_bits() == 0 {
            return Ok(());
        }
        let zeros = tnum.possible_ones().trailing_zeros();
        if zeros > 0 && implied & !tnum.unknown_bits() == (1 << zeros) - 1 {
            write!(f, " (multiple of {})", 1u64 << zeros)
        } else {
            write!(f, " (bits {:#x} set, {:#x} unknown)", tnum.ones(), tnum.unknown_bits())
        }
    }
}

/// A register's value as a person reads it: small negative numbers signed, large ones in hexadecimal.
struct Number(u64);

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let signed = self.0.cast_signed();
        if (-0x1_0000_0000..0).contains(&signed) { write!(f, "{signed}") } else { PlainNumber(self.0).fmt(f) }
    }
}

struct PlainNumber(u64);

impl fmt::Display for PlainNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 < 0x1_0000_0000 { write!(f, "{}", self.0) } else { write!(f, "{:#x}", self.0) }
    }
}
