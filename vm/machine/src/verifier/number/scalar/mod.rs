//! Numbers: a tnum, an unsigned and a signed interval of the same value, kept in agreement.
//!
//! The three say different things and each sharpens the others ([`Scalar::reduced`]). There are no 32-bit bounds that
//! are computed beside them: a 32-bit operation cuts its operands to 32 bits, works at that width, and extends the
//! result with zeros, exactly as the machine does. What cannot go wrong is a second set of bounds out of step with the
//! first, which is how most unsound verifiers came about. One thing is remembered of the lower half, because C needs it:
//! its signed bounds, where they say more than all the rest (an `int` of -1..=5 is 0..=5 or 0xffffffff in a register).
//! Copies, joins, comparisons and 32-bit arithmetic keep them; all other operations forget them.
//!
//! All operations are small and pure, and take their width ([`Bits`]), so that the tests below try every abstract
//! value of a small width against every concrete one.
//!
//! `arithmetic`, `shift`, `width` and `compare` make numbers of numbers; `reduce` keeps the parts in agreement.

mod arithmetic;
mod compare;
mod reduce;
mod shift;
#[cfg(test)]
mod tests;
mod width;
mod words;

use super::{Bits, Signed, Tnum, Unsigned};

/// A set of numbers of one width, over-approximated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scalar {
    tnum: Tnum,
    unsigned: Unsigned,
    signed: Signed,
    /// Signed bounds of the lower half of the bits; full unless they say more than the other parts.
    low: Signed,
}

impl Scalar {
    /// Any number of the width.
    pub const fn unknown(bits: Bits) -> Self {
        Self {
            tnum: Tnum::unknown(bits),
            unsigned: Unsigned::full(bits),
            signed: Signed::full(bits),
            low: Signed::full(bits.half()),
        }
    }

    /// One number.
    pub const fn exact(value: u64, bits: Bits) -> Self {
        let value = bits.truncate(value);
        Self {
            tnum: Tnum::exact(value),
            unsigned: Unsigned::exact(value),
            signed: Signed::exact(bits.sign_extend(value)),
            low: Signed::full(bits.half()),
        }
    }

    /// Unsigned numbers between two bounds.
    pub fn range(min: u64, max: u64, bits: Bits) -> Self {
        Self { unsigned: Unsigned { min, max }, ..Self::unknown(bits) }.reduced(bits)
    }

    /// Any number of the lower bits of a register, zeros above; fewer than all.
    pub const fn low_bits(low: Bits) -> Self {
        let (min, max) = (0, low.mask());
        Self {
            tnum: Tnum::unknown(low),
            unsigned: Unsigned { min, max },
            signed: Signed { min: 0, max: max.cast_signed() },
            low: Signed::full(Bits::B64.half()),
        }
    }

    /// Signed numbers between two bounds.
    pub fn signed_range(min: i64, max: i64, bits: Bits) -> Self {
        Self { signed: Signed { min, max }, ..Self::unknown(bits) }.reduced(bits)
    }

    /// Numbers with these known bits.
    pub fn of_tnum(tnum: Tnum, bits: Bits) -> Self {
        Self { tnum, ..Self::unknown(bits) }.reduced(bits)
    }

    /// The known bits.
    pub const fn tnum(self) -> Tnum {
        self.tnum
    }

    /// The unsigned bounds.
    pub const fn unsigned(self) -> Unsigned {
        self.unsigned
    }

    /// The signed bounds.
    pub const fn signed(self) -> Signed {
        self.signed
    }

    /// The number, if there is only one.
    pub const fn as_constant(self) -> Option<u64> {
        if self.unsigned.min == self.unsigned.max { Some(self.unsigned.min) } else { None }
    }

    /// Whether the number is possible.
    pub const fn contains(self, value: u64, bits: Bits) -> bool {
        self.tnum.contains(value)
            && self.unsigned.contains(value)
            && self.signed.contains(bits.sign_extend(value))
            && self.low.contains(bits.half().sign_extend(value))
    }

    /// Whether no number is possible: a contradiction, which makes a branch impossible.
    pub const fn is_empty(self) -> bool {
        self.unsigned.is_empty() || self.signed.is_empty() || self.low.is_empty()
    }

    /// The invariants that hold after every step: something is possible, all within the width, and the parts agree
    /// (reducing them again finds no contradiction).
    pub fn is_consistent(self, bits: Bits) -> bool {
        !self.is_empty()
            && self.tnum.is_well_formed(bits)
            && self.unsigned.max <= bits.mask()
            && self.signed.min >= bits.signed_min()
            && self.signed.max <= bits.signed_max()
            && self.low.min >= bits.half().signed_min()
            && self.low.max <= bits.half().signed_max()
            && !self.reduced(bits).is_empty()
    }

    const EMPTY: Self =
        Self { tnum: Tnum::exact(0), unsigned: Unsigned::EMPTY, signed: Signed::EMPTY, low: Signed::EMPTY };

    /// What follows from these parts.
    fn of(tnum: Tnum, unsigned: Unsigned, signed: Signed, bits: Bits) -> Self {
        Self { tnum, unsigned, signed, low: Signed::full(bits.half()) }.reduced(bits)
    }

    /// The signed bounds of the lower half, by all that is known.
    fn signed_low(self, bits: Bits) -> Signed {
        self.truncate(bits.half(), bits).signed
    }

    /// What holds of members of either.
    #[must_use]
    pub fn join(self, other: Self, bits: Bits) -> Self {
        if self == other {
            return self;
        }
        let (a, b) = (self, other);
        let narrow = bits.half();
        let full = Signed::full(narrow);
        // Two numbers of the lower half may be next to each other as signed numbers only.
        let crosses = |x: Self, y: Self| {
            x.unsigned.max < narrow.sign() && y.unsigned.min >= narrow.sign() && y.unsigned.max <= narrow.mask()
        };
        let low = if a.low != full || b.low != full || crosses(a, b) || crosses(b, a) {
            a.signed_low(bits).join(b.signed_low(bits))
        } else {
            full
        };
        Self { tnum: a.tnum.join(b.tnum), unsigned: a.unsigned.join(b.unsigned), signed: a.signed.join(b.signed), low }
            .reduced(bits)
    }

    /// What holds of members of both; possibly empty.
    #[must_use]
    pub fn meet(self, other: Self, bits: Bits) -> Self {
        let (a, b) = (self, other);
        for (number, set) in [(a, b), (b, a)] {
            if let Some(value) = number.as_constant() {
                return if set.contains(value, bits) { number } else { Self::EMPTY };
            }
        }
        match a.tnum.meet(b.tnum) {
            Some(tnum) => {
                let (unsigned, signed) = (a.unsigned.meet(b.unsigned), a.signed.meet(b.signed));
                Self { tnum, unsigned, signed, low: a.low.meet(b.low) }.reduced(bits)
            }
            None => Self::EMPTY,
        }
    }

    /// Whether every number of this set is in the other, of registers.
    pub fn is_within(self, other: Self) -> bool {
        self.is_within_at(other, Bits::B64)
    }

    /// Whether every number of this set is in the other.
    fn is_within_at(self, other: Self, bits: Bits) -> bool {
        let within_low = || {
            let low = self.signed_low(bits);
            other.low.min <= low.min && low.max <= other.low.max
        };
        other.unsigned.min <= self.unsigned.min
            && self.unsigned.max <= other.unsigned.max
            && other.signed.min <= self.signed.min
            && self.signed.max <= other.signed.max
            && self.tnum.join(other.tnum) == other.tnum
            && (other.low == Signed::full(bits.half()) || within_low())
    }
}
