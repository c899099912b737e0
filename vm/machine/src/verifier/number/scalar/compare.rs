//! What a comparison teaches about its operands.

use super::Scalar;
use crate::isa::Cond;
use crate::verifier::number::{Bits, Signed, Tnum, Unsigned};

impl Scalar {
    /// What is known of both operands once `a cond b` is known to hold (or not to); None if it cannot be so.
    pub fn refine(cond: Cond, holds: bool, a: Self, b: Self, bits: Bits) -> Option<(Self, Self)> {
        let (a, b) = match (cond, holds) {
            (Cond::Eq, true) | (Cond::Ne, false) => {
                let both = a.meet(b, bits);
                (both, both)
            }
            (Cond::Ne, true) | (Cond::Eq, false) => (a.without(b, bits), b.without(a, bits)),
            (Cond::Lt, true) | (Cond::Ge, false) => less(a, b, bits),
            (Cond::Ge, true) | (Cond::Lt, false) => swap(less_or_equal(b, a, bits)),
            (Cond::Le, true) | (Cond::Gt, false) => less_or_equal(a, b, bits),
            (Cond::Gt, true) | (Cond::Le, false) => swap(less(b, a, bits)),
            (Cond::Slt, true) | (Cond::Sge, false) => signed_less(a, b, bits),
            (Cond::Sge, true) | (Cond::Slt, false) => swap(signed_less_or_equal(b, a, bits)),
            (Cond::Sle, true) | (Cond::Sgt, false) => signed_less_or_equal(a, b, bits),
            (Cond::Sgt, true) | (Cond::Sle, false) => swap(signed_less(b, a, bits)),
            (Cond::Set, true) => (a.sharing_a_bit(b, bits), b.sharing_a_bit(a, bits)),
            (Cond::Set, false) => (a.sharing_no_bit(b, bits), b.sharing_no_bit(a, bits)),
        };
        (!a.is_empty() && !b.is_empty()).then_some((a, b))
    }

    /// The same of two registers of which the lower bits are compared.
    pub fn refine_low(cond: Cond, holds: bool, a: Self, b: Self, narrow: Bits, wide: Bits) -> Option<(Self, Self)> {
        let (low_a, low_b) = Self::refine(cond, holds, a.truncate(narrow, wide), b.truncate(narrow, wide), narrow)?;
        let (a, b) = (a.with_low(low_a, narrow, wide), b.with_low(low_b, narrow, wide));
        (!a.is_empty() && !b.is_empty()).then_some((a, b))
    }

    /// This set without the one number that `other` is, if that number is at an end.
    fn without(self, other: Self, bits: Bits) -> Self {
        let Some(value) = other.as_constant() else { return self };
        let Self { mut unsigned, mut signed, .. } = self;
        if unsigned.min == value && unsigned.max == value {
            return Self::EMPTY;
        }
        if unsigned.min == value {
            unsigned.min += 1;
        } else if unsigned.max == value {
            unsigned.max -= 1;
        }
        let value = bits.sign_extend(value);
        if signed.min == value && signed.max == value {
            return Self::EMPTY;
        }
        if signed.min == value {
            signed.min += 1;
        } else if signed.max == value {
            signed.max -= 1;
        }
        Self { unsigned, signed, ..self }.reduced(bits)
    }

    /// Members that can have a bit in common with a member of `other`.
    fn sharing_a_bit(self, other: Self, bits: Bits) -> Self {
        let common = self.tnum.possible_ones() & other.tnum.possible_ones();
        if common == 0 {
            return Self::EMPTY;
        }
        if common.is_power_of_two() {
            // Only one bit can do it, so it is set.
            return self.with_tnum(Tnum::new(common, bits.mask() & !common), bits);
        }
        self.at_least(1, bits)
    }

    /// Members that can have no bit in common with a member of `other`.
    fn sharing_no_bit(self, other: Self, bits: Bits) -> Self {
        self.with_tnum(Tnum::new(0, bits.mask() & !other.tnum.ones()), bits)
    }

    // What teaches nothing new is told apart first: most comparisons are with constants, which learn nothing.

    fn with_tnum(self, tnum: Tnum, bits: Bits) -> Self {
        match self.tnum.meet(tnum) {
            Some(tnum) if tnum == self.tnum => self,
            Some(tnum) => Self { tnum, ..self }.reduced(bits),
            None => Self::EMPTY,
        }
    }

    fn at_most(self, max: u64, bits: Bits) -> Self {
        if self.unsigned.max <= max {
            return self;
        }
        Self { unsigned: Unsigned { min: self.unsigned.min, max }, ..self }.reduced(bits)
    }

    fn at_least(self, min: u64, bits: Bits) -> Self {
        if self.unsigned.min >= min {
            return self;
        }
        Self { unsigned: Unsigned { min, max: self.unsigned.max }, ..self }.reduced(bits)
    }

    fn signed_at_most(self, max: i64, bits: Bits) -> Self {
        if self.signed.max <= max {
            return self;
        }
        Self { signed: Signed { min: self.signed.min, max }, ..self }.reduced(bits)
    }

    fn signed_at_least(self, min: i64, bits: Bits) -> Self {
        if self.signed.min >= min {
            return self;
        }
        Self { signed: Signed { min, max: self.signed.max }, ..self }.reduced(bits)
    }
}

fn swap((a, b): (Scalar, Scalar)) -> (Scalar, Scalar) {
    (b, a)
}

fn less(a: Scalar, b: Scalar, bits: Bits) -> (Scalar, Scalar) {
    match (b.unsigned.max.checked_sub(1), a.unsigned.min.checked_add(1)) {
        (Some(max), Some(min)) => (a.at_most(max, bits), b.at_least(min, bits)),
        _ => (Scalar::EMPTY, Scalar::EMPTY),
    }
}

fn less_or_equal(a: Scalar, b: Scalar, bits: Bits) -> (Scalar, Scalar) {
    (a.at_most(b.unsigned.max, bits), b.at_least(a.unsigned.min, bits))
}

fn signed_less(a: Scalar, b: Scalar, bits: Bits) -> (Scalar, Scalar) {
    match (b.signed.max.checked_sub(1), a.signed.min.checked_add(1)) {
        (Some(max), Some(min)) => (a.signed_at_most(max, bits), b.signed_at_least(min, bits)),
        _ => (Scalar::EMPTY, Scalar::EMPTY),
    }
}

fn signed_less_or_equal(a: Scalar, b: Scalar, bits: Bits) -> (Scalar, Scalar) {
    (a.signed_at_most(b.signed.max, bits), b.signed_at_least(a.signed.min, bits))
}
