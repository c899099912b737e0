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

use std::fmt;

use super::bits::Bits;
use super::interval::{Signed, Unsigned};
use super::tnum::Tnum;
use crate::isa::{AluOp, Cond, Order};

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

    /// Lets each part sharpen the others, as far as they can: afterwards all bounds are possible numbers. Empty if
    /// and only if no number is possible, so that a contradiction shows where it arises and never later.
    #[must_use]
    pub fn reduced(self, bits: Bits) -> Self {
        if self.is_settled(bits) {
            return self;
        }
        if self.is_empty() {
            return Self::EMPTY;
        }
        let tnum = self.tnum;
        if self.low == Signed::full(bits.half()) {
            self.with_bounds(bits, |least| tnum.member_from(least), |most| tnum.member_to(most))
        } else {
            self.reduced_with_low(bits)
        }
    }

    /// The same where something is known of the lower half.
    #[inline(never)]
    fn reduced_with_low(self, bits: Bits) -> Self {
        let (tnum, low, narrow) = (self.tnum, self.low, bits.half());
        let reduced = self.with_bounds(
            bits,
            |least| low_member_from(tnum, low, narrow, least),
            |most| low_member_to(tnum, low, narrow, most),
        );
        if reduced.is_empty() { reduced } else { reduced.with_signed_low(low, bits) }
    }

    /// Moves all bounds to the nearest members, which the functions find from a number on, upwards and downwards, and
    /// takes in what they say of bits. Leaves the lower half alone: full.
    #[inline(always)]
    fn with_bounds(
        self,
        bits: Bits,
        member_from: impl Fn(u64) -> Option<u64>,
        member_to: impl Fn(u64) -> Option<u64>,
    ) -> Self {
        let Self { tnum, unsigned, signed, .. } = self;
        // Each half of the circle is one interval in both readings.
        let half = |unsigned_half: Unsigned, least: i64, greatest: i64| {
            let by_sign = signed.meet(Signed { min: least, max: greatest });
            if by_sign.is_empty() {
                return None;
            }
            let by_sign = Unsigned { min: bits.from_signed(by_sign.min), max: bits.from_signed(by_sign.max) };
            let both = unsigned.meet(unsigned_half).meet(by_sign);
            let (min, max) = (member_from(both.min)?, member_to(both.max)?);
            (min <= max).then_some(Unsigned { min, max })
        };
        let below = half(Unsigned { min: 0, max: bits.sign() - 1 }, 0, bits.signed_max());
        let above = half(Unsigned { min: bits.sign(), max: bits.mask() }, bits.signed_min(), -1);
        let tnum_of = |range: Unsigned| Tnum::of_range(range.min, range.max);
        let (unsigned, signed, ranges) = match (below, above) {
            (Some(below), Some(above)) => (
                Unsigned { min: below.min, max: above.max },
                Signed { min: bits.sign_extend(above.min), max: bits.sign_extend(below.max) },
                tnum_of(below).join(tnum_of(above)),
            ),
            (Some(one), None) | (None, Some(one)) => {
                (one, Signed { min: bits.sign_extend(one.min), max: bits.sign_extend(one.max) }, tnum_of(one))
            }
            (None, None) => return Self::EMPTY,
        };
        match tnum.meet(ranges) {
            Some(tnum) => Self { tnum, unsigned, signed, low: Signed::full(bits.half()) },
            None => Self::EMPTY,
        }
    }

    /// The same with bounds of the lower half that all bounds have been adapted to: they sharpen the known bits, and
    /// are kept if they say more than the rest does.
    fn with_signed_low(self, low: Signed, bits: Bits) -> Self {
        let narrow = bits.half();
        let implied = self.truncate(narrow, bits);
        let known = Self { signed: implied.signed.meet(low), ..implied }.reduced(narrow);
        if known.is_empty() {
            return Self::EMPTY;
        }
        let above = bits.mask() & !narrow.mask();
        let Some(tnum) = self.tnum.meet(Tnum::new(known.tnum.ones(), known.tnum.unknown_bits() | above)) else {
            return Self::EMPTY;
        };
        let low = if known.signed == implied.signed { Signed::full(narrow) } else { known.signed };
        Self { tnum, low, ..self }
    }

    /// The signed bounds of the lower half, by all that is known.
    fn signed_low(self, bits: Bits) -> Signed {
        self.truncate(bits.half(), bits).signed
    }

    /// Whether it is one number or any number, the commonest values, whose parts have nothing to tell each other.
    fn is_settled(self, bits: Bits) -> bool {
        match self.tnum.as_constant() {
            Some(value) => self == Self::exact(value, bits),
            None => self == Self::unknown(bits),
        }
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

    // Between widths

    /// The lower bits of a number of this width, as a number of the narrow width.
    #[must_use]
    pub fn truncate(self, narrow: Bits, bits: Bits) -> Self {
        let signed = if narrow == bits.half() { self.low } else { Signed::full(narrow) };
        Self::of(self.tnum.truncate(narrow), self.unsigned.truncate(narrow), signed, narrow)
    }

    /// A narrow number in a wider register, zeros above.
    #[must_use]
    pub fn zero_extend(self, narrow: Bits, wide: Bits) -> Self {
        let low =
            if narrow == wide.half() && crosses_zero(self.signed) { self.signed } else { Signed::full(wide.half()) };
        Self { signed: Signed::full(wide), low, ..self }.reduced(wide)
    }

    /// A narrow number in a wider register, its sign above.
    #[must_use]
    pub fn sign_extend(self, narrow: Bits, wide: Bits) -> Self {
        Self::of(self.tnum.sign_extend(narrow, wide), Unsigned::full(wide), self.signed, wide)
    }

    /// This number, now that its lower bits are known to be in `low`; possibly empty.
    #[must_use]
    pub fn with_low(self, low: Self, narrow: Bits, wide: Bits) -> Self {
        let above = wide.mask() & !narrow.mask();
        let Some(tnum) = self.tnum.meet(Tnum::new(low.tnum.ones(), low.tnum.unknown_bits() | above)) else {
            return Self::EMPTY;
        };
        let mut unsigned = self.unsigned;
        let mut by_low = if narrow == wide.half() { self.low.meet(low.signed) } else { self.low };
        if (unsigned.min ^ unsigned.max) & above == 0 {
            if self.low == Signed::full(narrow) && !crosses_zero(low.signed) {
                // The bounds say the same.
                by_low = Signed::full(narrow);
            }
            // The bits above are one known number, so bounds of the low bits are bounds of the whole.
            let high = unsigned.min & above;
            unsigned = unsigned.meet(Unsigned { min: high | low.unsigned.min, max: high | low.unsigned.max });
        }
        Self { tnum, unsigned, signed: self.signed, low: by_low }.reduced(wide)
    }

    // Arithmetic

    /// The result of an arithmetic instruction of this width.
    #[must_use]
    pub fn alu(op: AluOp, a: Self, b: Self, bits: Bits) -> Self {
        match op {
            AluOp::Add => a.add(b, bits),
            AluOp::Sub => a.sub(b, bits),
            AluOp::Mul => a.mul(b, bits),
            AluOp::Div => a.div(b, bits),
            AluOp::Sdiv => a.sdiv(b, bits),
            AluOp::Or => a.or(b, bits),
            AluOp::And => a.and(b, bits),
            AluOp::Lsh => a.shift(b, bits, Shift::Left),
            AluOp::Rsh => a.shift(b, bits, Shift::Right),
            AluOp::Arsh => a.shift(b, bits, Shift::Signed),
            AluOp::Neg => Self::exact(0, bits).sub(a, bits),
            AluOp::Mod => a.rem(b, bits),
            AluOp::Smod => a.srem(b, bits),
            AluOp::Xor => a.xor(b, bits),
            AluOp::Mov => b,
            AluOp::Movsx8 => b.truncate(Bits::B8, bits).sign_extend(Bits::B8, bits),
            AluOp::Movsx16 => b.truncate(Bits::B16, bits).sign_extend(Bits::B16, bits),
            AluOp::Movsx32 => b.truncate(Bits::B32, bits).sign_extend(Bits::B32, bits),
        }
    }

    /// The result of an arithmetic instruction on the lower bits of two registers; zeros above.
    #[must_use]
    pub fn alu_low(op: AluOp, a: Self, b: Self, narrow: Bits, wide: Bits) -> Self {
        Self::alu(op, a.truncate(narrow, wide), b.truncate(narrow, wide), narrow).zero_extend(narrow, wide)
    }

    fn add(self, other: Self, bits: Bits) -> Self {
        let tnum = self.tnum.add(other.tnum, bits);
        Self::of(tnum, self.unsigned.add(other.unsigned, bits), self.signed.add(other.signed, bits), bits)
    }

    fn sub(self, other: Self, bits: Bits) -> Self {
        let tnum = self.tnum.sub(other.tnum, bits);
        Self::of(tnum, self.unsigned.sub(other.unsigned, bits), self.signed.sub(other.signed, bits), bits)
    }

    fn mul(self, other: Self, bits: Bits) -> Self {
        let tnum = self.tnum.mul(other.tnum, bits);
        Self::of(tnum, self.unsigned.mul(other.unsigned, bits), self.signed.mul(other.signed, bits), bits)
    }

    fn and(self, other: Self, bits: Bits) -> Self {
        let max = self.unsigned.max.min(other.unsigned.max);
        let tnum = self.tnum.and(other.tnum);
        Self::of(tnum, Unsigned { min: 0, max }, Signed::full(bits), bits)
    }

    fn or(self, other: Self, bits: Bits) -> Self {
        let min = self.unsigned.min.max(other.unsigned.min);
        let tnum = self.tnum.or(other.tnum);
        Self::of(tnum, Unsigned { min, max: bits.mask() }, Signed::full(bits), bits)
    }

    fn xor(self, other: Self, bits: Bits) -> Self {
        Self::of_tnum(self.tnum.xor(other.tnum), bits)
    }

    fn div(self, other: Self, bits: Bits) -> Self {
        let unsigned = self.unsigned.div(other.unsigned);
        Self { unsigned, ..Self::unknown(bits) }.reduced(bits)
    }

    fn sdiv(self, other: Self, bits: Bits) -> Self {
        let signed = self.signed.div(other.signed, bits);
        Self { signed, ..Self::unknown(bits) }.reduced(bits)
    }

    fn rem(self, other: Self, bits: Bits) -> Self {
        let tnum = match other.as_constant() {
            Some(divisor) if divisor.is_power_of_two() => self.tnum.and(Tnum::exact(divisor - 1)),
            Some(0) => self.tnum,
            _ => Tnum::unknown(bits),
        };
        Self::of(tnum, self.unsigned.rem(other.unsigned), Signed::full(bits), bits)
    }

    fn srem(self, other: Self, bits: Bits) -> Self {
        let signed = self.signed.rem(other.signed);
        Self { signed, ..Self::unknown(bits) }.reduced(bits)
    }

    /// A shift by an amount modulo the width: exactly by each of a few possible amounts, by bounds if there are more.
    fn shift(self, amount: Self, bits: Bits, op: Shift) -> Self {
        let by = |amount: u32| match op {
            Shift::Left => self.shl(amount, bits),
            Shift::Right => self.shr(amount, bits),
            Shift::Signed => self.sar(amount, bits),
        };
        let count = u64::from(bits.count());
        if let Some(amount) = amount.as_constant() {
            return by(reduce_amount(amount, bits));
        }
        // What is beyond the width comes back from below: then any amount is possible.
        let (least, most) = match amount.unsigned {
            Unsigned { min, max } if max < count => (min, max),
            _ => (0, count - 1),
        };
        let possible = || (least..=most).filter(|candidate| most == count - 1 || amount.tnum.contains(*candidate));
        if possible().nth(SHIFTS_TRIED_MAX).is_none() {
            let each = possible().map(|candidate| by(reduce_amount(candidate, bits)));
            return each.reduce(|a, b| a.join(b, bits)).unwrap_or(Self::unknown(bits));
        }
        let (least, most) = (reduce_amount(least, bits), reduce_amount(most, bits));
        match op {
            Shift::Left => Self::unknown(bits),
            Shift::Right => Self::range(self.unsigned.min >> most, self.unsigned.max >> least, bits),
            Shift::Signed => {
                let Signed { min, max } = self.signed;
                Self::signed_range((min >> least).min(min >> most), (max >> least).max(max >> most), bits)
            }
        }
    }

    fn shl(self, amount: u32, bits: Bits) -> Self {
        let tnum = self.tnum.shl(amount, bits);
        // What is shifted out does not matter: by half the width, only the lower half does.
        let half = bits.half();
        let kept = if amount >= bits.count() - half.count() { self.truncate(half, bits) } else { self };
        Self::of(tnum, kept.unsigned.shl(amount, bits), kept.signed.shl(amount, bits), bits)
    }

    fn shr(self, amount: u32, bits: Bits) -> Self {
        let (tnum, unsigned) = (self.tnum.shr(amount), self.unsigned.shr(amount));
        Self::of(tnum, unsigned, Signed::full(bits), bits)
    }

    fn sar(self, amount: u32, bits: Bits) -> Self {
        let (tnum, signed) = (self.tnum.sar(amount, bits), self.signed.sar(amount));
        Self::of(tnum, Unsigned::full(bits), signed, bits)
    }

    /// The result of a byte-order instruction on the low `low` bits, in a register of `bits`.
    #[must_use]
    pub fn byte_order(self, order: Order, low: Bits, bits: Bits) -> Self {
        if low == bits && order == Order::ToLittle {
            return self;
        }
        let low_half = if low == bits { self } else { self.truncate(low, bits) };
        match order {
            Order::ToLittle => low_half.zero_extend(low, bits),
            Order::ToBig | Order::Reverse => Self::of_tnum(low_half.tnum.swap_bytes(low), bits),
        }
    }

    // Comparison

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

/// Whether the numbers are two intervals as unsigned ones.
const fn crosses_zero(signed: Signed) -> bool {
    signed.min < 0 && signed.max >= 0
}

/// The lower half as unsigned intervals, ascending: one, or two around the gap between the greatest and the least.
fn pieces(low: Signed, narrow: Bits) -> [Unsigned; 2] {
    let of = |min: i64, max: i64| Unsigned { min: narrow.from_signed(min), max: narrow.from_signed(max) };
    if crosses_zero(low) { [of(0, low.max), of(low.min, -1)] } else { [of(low.min, low.max), Unsigned::EMPTY] }
}

/// The smallest member of the tnum that is at least `least` and whose lower half lies within `low`.
fn low_member_from(tnum: Tnum, low: Signed, narrow: Bits, least: u64) -> Option<u64> {
    let mask = narrow.mask();
    let (high, rest) = (Tnum::new(tnum.ones() & !mask, tnum.unknown_bits() & !mask), tnum.truncate(narrow));
    let lower = |from: u64| {
        let first = |piece: &Unsigned| rest.member_from(from.max(piece.min)).filter(|member| *member <= piece.max);
        pieces(low, narrow).iter().filter(|piece| !piece.is_empty()).find_map(first)
    };
    let start = least & !mask;
    if high.contains(start)
        && let Some(member) = lower(least & mask)
    {
        return Some(start | member);
    }
    let next = high.member_from(start.checked_add(mask)?.checked_add(1)?)?;
    Some(next | lower(0)?)
}

/// The greatest such member that is at most `most`.
fn low_member_to(tnum: Tnum, low: Signed, narrow: Bits, most: u64) -> Option<u64> {
    let mask = narrow.mask();
    let (high, rest) = (Tnum::new(tnum.ones() & !mask, tnum.unknown_bits() & !mask), tnum.truncate(narrow));
    let lower = |to: u64| {
        let last = |piece: &Unsigned| rest.member_to(to.min(piece.max)).filter(|member| *member >= piece.min);
        pieces(low, narrow).iter().rev().filter(|piece| !piece.is_empty()).find_map(last)
    };
    let start = most & !mask;
    if high.contains(start)
        && let Some(member) = lower(most & mask)
    {
        return Some(start | member);
    }
    let next = high.member_to(start.checked_sub(mask)?.checked_sub(1)?)?;
    Some(next | lower(mask)?)
}

/// Amounts by which an unknown shift is tried one by one.
const SHIFTS_TRIED_MAX: usize = 3;

#[derive(Clone, Copy)]
enum Shift {
    Left,
    Right,
    Signed,
}

/// A shift amount modulo the width.
fn reduce_amount(amount: u64, bits: Bits) -> u32 {
    let reduced = amount % u64::from(bits.count());
    u32::try_from(reduced).expect("a remainder of at most 64 fits")
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::Width;

    const W: Bits = Bits::new(4);

    /// Every tnum, unsigned and signed interval of a width, and every meet of a tnum with an unsigned interval.
    fn all(bits: Bits) -> Vec<Scalar> {
        let mut found = Vec::new();
        let values = 0..=bits.mask();
        for low in values.clone() {
            for high in values.clone() {
                if low & high == 0 {
                    found.push(Scalar::of_tnum(Tnum::new(low, high), bits));
                }
                if low <= high {
                    found.push(Scalar::range(low, high, bits));
                }
                let (low, high) = (bits.sign_extend(low), bits.sign_extend(high));
                if low <= high {
                    found.push(Scalar::signed_range(low, high, bits));
                }
            }
        }
        // What is known of the lower half alone, of the rest nothing or that it is zero.
        let half = bits.half();
        for min in half.signed_min()..=half.signed_max() {
            for max in min..=half.signed_max() {
                let low = Scalar { low: Signed { min, max }, ..Scalar::unknown(bits) };
                found.push(low.reduced(bits));
                found.push(Scalar { unsigned: Unsigned { min: 0, max: half.mask() }, ..low }.reduced(bits));
            }
        }
        found.dedup();
        found
    }

    fn members(scalar: Scalar, bits: Bits) -> Vec<u64> {
        (0..=bits.mask()).filter(|value| scalar.contains(*value, bits)).collect()
    }

    fn with_members(bits: Bits) -> Vec<(Scalar, Vec<u64>)> {
        all(bits).into_iter().map(|scalar| (scalar, members(scalar, bits))).collect()
    }

    /// What RFC 9669 says, at any width: the reference that the abstract operations are held against.
    fn concrete(op: AluOp, x: u64, y: u64, bits: Bits) -> u64 {
        let (sx, sy) = (bits.sign_extend(x), bits.sign_extend(y));
        let amount = (y % u64::from(bits.count())) as u32;
        bits.truncate(match op {
            AluOp::Add => x.wrapping_add(y),
            AluOp::Sub => x.wrapping_sub(y),
            AluOp::Mul => x.wrapping_mul(y),
            AluOp::Div => x.checked_div(y).unwrap_or(0),
            AluOp::Sdiv => {
                if sy == 0 {
                    0
                } else {
                    sx.wrapping_div(sy).cast_unsigned()
                }
            }
            AluOp::Or => x | y,
            AluOp::And => x & y,
            AluOp::Lsh => x << amount,
            AluOp::Rsh => x >> amount,
            AluOp::Neg => x.wrapping_neg(),
            AluOp::Mod => x.checked_rem(y).unwrap_or(x),
            AluOp::Smod => {
                if sy == 0 {
                    x
                } else {
                    sx.wrapping_rem(sy).cast_unsigned()
                }
            }
            AluOp::Xor => x ^ y,
            AluOp::Mov => y,
            AluOp::Movsx8 => i64::from(y as i8).cast_unsigned(),
            AluOp::Movsx16 => i64::from(y as i16).cast_unsigned(),
            AluOp::Movsx32 => i64::from(y as i32).cast_unsigned(),
            AluOp::Arsh => (sx >> amount).cast_unsigned(),
        })
    }

    fn holds(cond: Cond, x: u64, y: u64, bits: Bits) -> bool {
        let (sx, sy) = (bits.sign_extend(x), bits.sign_extend(y));
        match cond {
            Cond::Eq => x == y,
            Cond::Ne => x != y,
            Cond::Set => x & y != 0,
            Cond::Gt => x > y,
            Cond::Ge => x >= y,
            Cond::Lt => x < y,
            Cond::Le => x <= y,
            Cond::Sgt => sx > sy,
            Cond::Sge => sx >= sy,
            Cond::Slt => sx < sy,
            Cond::Sle => sx <= sy,
        }
    }

    const OPS: [AluOp; 15] = [
        AluOp::Add,
        AluOp::Sub,
        AluOp::Mul,
        AluOp::Div,
        AluOp::Sdiv,
        AluOp::Or,
        AluOp::And,
        AluOp::Lsh,
        AluOp::Rsh,
        AluOp::Neg,
        AluOp::Mod,
        AluOp::Smod,
        AluOp::Xor,
        AluOp::Mov,
        AluOp::Arsh,
    ];

    const CONDS: [Cond; 11] = [
        Cond::Eq,
        Cond::Ne,
        Cond::Set,
        Cond::Gt,
        Cond::Ge,
        Cond::Lt,
        Cond::Le,
        Cond::Sgt,
        Cond::Sge,
        Cond::Slt,
        Cond::Sle,
    ];

    #[test]
    fn every_operation_is_sound_on_every_four_bit_value() {
        let all = with_members(W);
        for op in OPS {
            for (a, xs) in &all {
                for (b, ys) in &all {
                    let result = Scalar::alu(op, *a, *b, W);
                    assert!(result.is_consistent(W), "{op:?} of {a:?} and {b:?} is {result:?}");
                    for x in xs {
                        for y in ys {
                            let value = concrete(op, *x, *y, W);
                            assert!(
                                result.contains(value, W),
                                "{op:?} of {a:?} and {b:?} is {result:?} without {value}"
                            );
                        }
                    }
                }
            }
        }
    }

    /// Whatever the parts say: nothing is empty that has members, nothing else is not, and the bounds are members.
    fn check_reduction(parts: Scalar, w: Bits) {
        let (reduced, found) = (parts.reduced(w), members(parts, w));
        let (Some(least), Some(most)) = (found.first(), found.last()) else {
            assert!(reduced.is_empty(), "{parts:?} has no members");
            return;
        };
        assert_eq!(members(reduced, w), found, "{parts:?}");
        assert_eq!(reduced.unsigned, Unsigned { min: *least, max: *most }, "{parts:?}");
        let signs = || found.iter().map(|value| w.sign_extend(*value));
        let bounds = signs().min().zip(signs().max());
        assert_eq!(bounds, Some((reduced.signed.min, reduced.signed.max)), "{parts:?}");
        assert!(reduced.is_consistent(w) && reduced.reduced(w).is_within_at(reduced, w), "{parts:?}");
    }

    #[test]
    fn reduction_is_exact() {
        let w = Bits::new(3);
        let values = || 0..=w.mask();
        let tnums = values().flat_map(|ones| values().map(move |unknown| Tnum::new(ones, unknown)));
        let pairs = || values().flat_map(|min| values().map(move |max| (min, max)));
        for tnum in tnums {
            for (min, max) in pairs() {
                let unsigned = Unsigned { min, max };
                for (min, max) in pairs().map(|(min, max)| (w.sign_extend(min), w.sign_extend(max))) {
                    let parts = Scalar { tnum, unsigned, signed: Signed { min, max }, ..Scalar::unknown(w) };
                    check_reduction(parts, w);
                    assert_eq!(parts.reduced(w).reduced(w), parts.reduced(w));
                }
            }
        }
    }

    #[test]
    fn reduction_with_a_known_lower_half_is_exact() {
        let w = W;
        let intervals: Vec<_> = (0..=w.mask()).flat_map(|min| (min..=w.mask()).map(move |max| (min, max))).collect();
        let lows = (-2..=1).flat_map(|min| (min..=1).map(move |max| Signed { min, max }));
        for low in lows {
            let mut index = 0;
            for ones in 0..=w.mask() {
                for unknown in (0..=w.mask()).filter(|unknown| ones & unknown == 0) {
                    let tnum = Tnum::new(ones, unknown);
                    for (min, max) in &intervals {
                        // Every interval of one reading, and in turn those of the other.
                        index += 7;
                        let (least, most) = intervals[index % intervals.len()];
                        let (least, most) = (w.sign_extend(least), w.sign_extend(most));
                        let signed = Signed { min: least.min(most), max: least.max(most) };
                        for signed in [signed, Signed::full(w)] {
                            check_reduction(
                                Scalar { tnum, unsigned: Unsigned { min: *min, max: *max }, signed, low },
                                w,
                            );
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn operations_on_constants_give_constants() {
        for op in OPS {
            for x in 0..=W.mask() {
                for y in 0..=W.mask() {
                    let result = Scalar::alu(op, Scalar::exact(x, W), Scalar::exact(y, W), W);
                    assert_eq!(result.as_constant(), Some(concrete(op, x, y, W)), "{op:?} of {x} and {y}");
                }
            }
        }
    }

    #[test]
    fn every_refinement_keeps_every_pair_that_satisfies_it() {
        let all = with_members(W);
        for cond in CONDS {
            for outcome in [true, false] {
                for (a, xs) in &all {
                    for (b, ys) in &all {
                        let refined = Scalar::refine(cond, outcome, *a, *b, W);
                        if let Some((a_after, b_after)) = refined {
                            assert!(a_after.is_consistent(W) && b_after.is_consistent(W));
                            assert!(
                                a_after.is_within_at(*a, W) && b_after.is_within_at(*b, W),
                                "{cond:?} widens {a:?} or {b:?}"
                            );
                        }
                        for (x, y) in xs.iter().flat_map(|x| ys.iter().map(move |y| (*x, *y))) {
                            if holds(cond, x, y, W) == outcome {
                                let (a, b) = refined.expect("some pair satisfies it");
                                assert!(a.contains(x, W) && b.contains(y, W), "{cond:?} {outcome} loses {x}, {y}");
                            }
                        }
                    }
                }
            }
        }
    }

    const WIDTHS: [(u32, u32); 2] = [(2, 4), (3, 4)];

    #[test]
    fn every_operation_on_lower_bits_is_sound() {
        for (narrow, wide) in WIDTHS.map(|(narrow, wide)| (Bits::new(narrow), Bits::new(wide))) {
            // Every seventh value on the right, in turn: every pair of parts meets, in time.
            let all = with_members(wide);
            for op in OPS {
                for (index, (a, xs)) in all.iter().enumerate() {
                    for (b, ys) in all.iter().skip(index % 7).step_by(7) {
                        let result = Scalar::alu_low(op, *a, *b, narrow, wide);
                        assert!(result.is_consistent(wide), "{op:?} of {a:?} and {b:?} is {result:?}");
                        for (x, y) in xs.iter().flat_map(|x| ys.iter().map(move |y| (*x, *y))) {
                            let value = concrete(op, narrow.truncate(x), narrow.truncate(y), narrow);
                            assert!(result.contains(value, wide), "{op:?} {a:?} {b:?}: {result:?} without {value}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn every_refinement_of_lower_bits_keeps_every_pair_that_satisfies_it() {
        for (narrow, wide) in WIDTHS.map(|(narrow, wide)| (Bits::new(narrow), Bits::new(wide))) {
            let all = with_members(wide);
            for (cond, outcome) in CONDS.into_iter().flat_map(|cond| [(cond, true), (cond, false)]) {
                for (index, (a, xs)) in all.iter().enumerate() {
                    for (b, ys) in all.iter().skip(index % 7).step_by(7) {
                        let refined = Scalar::refine_low(cond, outcome, *a, *b, narrow, wide);
                        if let Some((a_after, b_after)) = refined {
                            assert!(a_after.is_consistent(wide) && b_after.is_consistent(wide));
                            assert!(a_after.is_within_at(*a, wide) && b_after.is_within_at(*b, wide));
                        }
                        for (x, y) in xs.iter().flat_map(|x| ys.iter().map(move |y| (*x, *y))) {
                            if holds(cond, narrow.truncate(x), narrow.truncate(y), narrow) == outcome {
                                let (a, b) = refined.expect("some pair satisfies it");
                                assert!(
                                    a.contains(x, wide) && b.contains(y, wide),
                                    "{cond:?} {outcome} loses {x}, {y}"
                                );
                            }
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn comparing_constants_decides_the_branch() {
        for cond in CONDS {
            for x in 0..=W.mask() {
                for y in 0..=W.mask() {
                    for outcome in [true, false] {
                        let refined = Scalar::refine(cond, outcome, Scalar::exact(x, W), Scalar::exact(y, W), W);
                        assert_eq!(refined.is_some(), holds(cond, x, y, W) == outcome, "{cond:?} of {x} and {y}");
                    }
                }
            }
        }
    }

    #[test]
    fn join_and_meet_are_sound() {
        let all = with_members(W);
        for (a, xs) in &all {
            for (b, ys) in &all {
                let (joined, met) = (a.join(*b, W), a.meet(*b, W));
                assert!(joined.is_consistent(W) && a.is_within_at(joined, W) && b.is_within_at(joined, W));
                assert!(xs.iter().chain(ys).all(|x| joined.contains(*x, W)));
                for x in xs.iter().filter(|x| ys.contains(x)) {
                    assert!(!met.is_empty() && met.contains(*x, W));
                }
            }
        }
    }

    #[test]
    fn changes_of_width_are_sound() {
        for (narrow, wide) in
            [(3, 5), (3, 6), (2, 4), (2, 5)].map(|(narrow, wide)| (Bits::new(narrow), Bits::new(wide)))
        {
            for (a, xs) in with_members(wide) {
                let cut = a.truncate(narrow, wide);
                assert!(cut.is_consistent(narrow));
                assert!(xs.iter().all(|x| cut.contains(narrow.truncate(*x), narrow)));
                for (low, _) in with_members(narrow) {
                    let refined = a.with_low(low, narrow, wide);
                    for x in xs.iter().filter(|x| low.contains(narrow.truncate(**x), narrow)) {
                        assert!(!refined.is_empty() && refined.contains(*x, wide), "{a:?} with low {low:?} loses {x}");
                    }
                    assert!(refined.is_empty() || refined.is_consistent(wide) && refined.is_within_at(a, wide));
                }
            }
            for (a, xs) in with_members(narrow) {
                let (zeros, signs) = (a.zero_extend(narrow, wide), a.sign_extend(narrow, wide));
                assert!(zeros.is_consistent(wide) && signs.is_consistent(wide));
                for x in xs {
                    assert!(zeros.contains(x, wide));
                    assert!(signs.contains(wide.from_signed(narrow.sign_extend(x)), wide));
                }
            }
        }
    }

    /// Signed bounds survive being a zero-extended lower half, and extending its sign by shifts.
    #[test]
    fn the_lower_half_remembers_its_signed_bounds() {
        let (narrow, wide) = (Bits::new(3), Bits::new(6));
        let amount = Scalar::exact(3, wide);
        for min in -4..=3 {
            for max in min..=3 {
                let signed = Scalar::signed_range(min, max, narrow);
                let held = signed.zero_extend(narrow, wide);
                assert_eq!(held.truncate(narrow, wide), signed);
                let up = Scalar::alu(AluOp::Lsh, held, amount, wide);
                assert_eq!(Scalar::alu(AluOp::Arsh, up, amount, wide), signed.sign_extend(narrow, wide));
                assert_eq!(held.join(held, wide), held);
                for value in members(signed, narrow) {
                    let one = Scalar::exact(value, wide);
                    assert!(one.is_within_at(held, wide));
                    assert_eq!(one.join(held, wide), held);
                    assert_eq!(one.meet(held, wide), one);
                }
            }
        }
        // As C on the second version of the instruction set has it: `if (i < -3 || i > 3)`, then i extended.
        let w = Bits::B64;
        let i = Scalar::low_bits(Bits::B32);
        let refine = |a: Scalar, cond, number: i64| {
            let low = a.truncate(Bits::B32, w);
            let number = Scalar::exact(number.cast_unsigned(), Bits::B32);
            let (low, _) = Scalar::refine(cond, false, low, number, Bits::B32).unwrap();
            a.with_low(low, Bits::B32, w)
        };
        let bounded = refine(refine(i, Cond::Slt, -3), Cond::Sgt, 3);
        assert_eq!(bounded.to_string(), "0..=4294967295 (lower half -3..=3)");
        let up = Scalar::alu(AluOp::Lsh, bounded, Scalar::exact(32, w), w);
        assert_eq!(Scalar::alu(AluOp::Arsh, up, Scalar::exact(32, w), w).to_string(), "-3..=3");
        assert_eq!(refine(bounded, Cond::Slt, 0).to_string(), "0..=3");
        let minus_one = Scalar::exact(0xffff_ffff, w);
        assert_eq!(minus_one.join(Scalar::exact(5, w), w).to_string(), "5..=4294967295 (lower half -1..=5)");
    }

    /// Numbers around every place where a width or a sign turns over.
    fn corners() -> Vec<u64> {
        let mut found = vec![0, 1, 2, 7, 8, 63, 64, 0x7f, 0x80, 0xff, 0x7fff, 0x8000];
        for base in [1u64 << 31, 1 << 32, 1 << 63] {
            found.extend([base - 2, base - 1, base, base + 1]);
        }
        found.extend(found.clone().iter().map(|value| value.wrapping_neg()));
        found.sort_unstable();
        found.dedup();
        found
    }

    /// Every interval between two corners, of either reading, and every tnum that leaves the bits between them open.
    fn corner_scalars(bits: Bits) -> Vec<Scalar> {
        let corners = corners();
        let mut found = Vec::new();
        for low in &corners {
            for high in corners.iter().filter(|high| *high >= low) {
                if *high <= bits.mask() {
                    found.push(Scalar::range(*low, *high, bits));
                    found.push(Scalar::of_tnum(Tnum::new(*low, low ^ high), bits));
                }
                let (low, high) = (bits.sign_extend(*low), bits.sign_extend(*high));
                if low <= high {
                    found.push(Scalar::signed_range(low, high, bits));
                }
            }
        }
        found.sort_by_key(|scalar| (scalar.unsigned.min, scalar.unsigned.max, scalar.signed.min));
        found.dedup();
        found
    }

    #[test]
    fn operations_are_sound_at_the_corners_of_both_register_widths() {
        for bits in [Bits::B32, Bits::B64] {
            // Every seventh value on the left, against a rotating choice on the right: all corners meet, in time.
            let all = corner_scalars(bits);
            let points = corners().into_iter().map(|value| bits.truncate(value)).collect::<Vec<_>>();
            for (index, a) in all.iter().enumerate().step_by(7) {
                for b in all.iter().skip(index % 11).step_by(11) {
                    for op in OPS.into_iter().chain([AluOp::Movsx8, AluOp::Movsx16, AluOp::Movsx32]) {
                        if op == AluOp::Movsx32 && bits == Bits::B32 {
                            continue;
                        }
                        let result = Scalar::alu(op, *a, *b, bits);
                        assert!(result.is_consistent(bits), "{op:?} of {a:?} and {b:?} is {result:?}");
                        for x in points.iter().filter(|x| a.contains(**x, bits)) {
                            for y in points.iter().filter(|y| b.contains(**y, bits)) {
                                let value = concrete(op, *x, *y, bits);
                                assert!(
                                    result.contains(value, bits),
                                    "{op:?} {a:?} {b:?}: {result:?} without {value:#x}"
                                );
                            }
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn refinements_are_sound_at_the_corners_of_both_register_widths() {
        for bits in [Bits::B32, Bits::B64] {
            let all = corner_scalars(bits);
            let points = corners().into_iter().map(|value| bits.truncate(value)).collect::<Vec<_>>();
            for (index, a) in all.iter().enumerate().step_by(7) {
                for b in all.iter().skip(index % 11).step_by(11) {
                    for (cond, outcome) in CONDS.into_iter().flat_map(|cond| [(cond, true), (cond, false)]) {
                        let refined = Scalar::refine(cond, outcome, *a, *b, bits);
                        for x in points.iter().filter(|x| a.contains(**x, bits)) {
                            for y in points.iter().filter(|y| b.contains(**y, bits)) {
                                if holds(cond, *x, *y, bits) == outcome {
                                    let (a, b) = refined.expect("some pair satisfies it");
                                    assert!(a.contains(*x, bits) && b.contains(*y, bits));
                                }
                            }
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn byte_order_is_sound_at_the_corners() {
        let points = corners();
        for a in corner_scalars(Bits::B64) {
            for order in [Order::ToLittle, Order::ToBig, Order::Reverse] {
                for low in [16, 32, 64] {
                    let result = a.byte_order(order, Bits::new(low), Bits::B64);
                    assert!(result.is_consistent(Bits::B64), "{order:?} {low} of {a:?} is {result:?}");
                    for x in points.iter().filter(|x| a.contains(**x, Bits::B64)) {
                        let value = order.apply(low as u8, *x);
                        assert!(result.contains(value, Bits::B64), "{order:?} {low} of {a:?} without {value:#x}");
                    }
                }
            }
        }
    }

    /// 32-bit arithmetic and comparisons of whole registers, with the machine's own meaning as the reference.
    #[test]
    fn narrow_operations_of_registers_are_sound_at_the_corners() {
        let (narrow, wide) = (Bits::B32, Bits::B64);
        let (all, points) = (corner_scalars(wide), corners());
        for (index, a) in all.iter().enumerate().step_by(11) {
            for b in all.iter().skip(index % 29).step_by(29) {
                let pairs = || {
                    let ys = || points.iter().filter(|y| b.contains(**y, wide));
                    points.iter().filter(|x| a.contains(**x, wide)).flat_map(move |x| ys().map(move |y| (*x, *y)))
                };
                for op in OPS.into_iter().chain([AluOp::Movsx8, AluOp::Movsx16]) {
                    let result = Scalar::alu_low(op, *a, *b, narrow, wide);
                    assert!(result.is_consistent(wide), "{op:?} of {a:?} and {b:?} is {result:?}");
                    for (x, y) in pairs() {
                        let value = op.apply(Width::W32, x, y);
                        assert!(result.contains(value, wide), "{op:?} {a:?} {b:?}: {result:?} without {value:#x}");
                    }
                }
                for (cond, outcome) in CONDS.into_iter().flat_map(|cond| [(cond, true), (cond, false)]) {
                    let refined = Scalar::refine_low(cond, outcome, *a, *b, narrow, wide);
                    for (x, y) in pairs().filter(|(x, y)| cond.holds(Width::W32, *x, *y) == outcome) {
                        let (a, b) = refined.expect("some pair satisfies it");
                        assert!(a.contains(x, wide) && b.contains(y, wide), "{cond:?} {outcome} loses {x:#x}, {y:#x}");
                    }
                }
            }
        }
    }

    /// How many results are as small as they can be. Not a promise: a floor, so that a loss of precision shows.
    #[test]
    fn most_operations_are_as_precise_as_they_can_be() {
        let all = with_members(W);
        for (op, floor) in [
            (AluOp::Add, 80),
            (AluOp::Sub, 80),
            (AluOp::Mul, 55),
            (AluOp::Div, 70),
            (AluOp::Sdiv, 35),
            (AluOp::Or, 75),
            (AluOp::And, 75),
            (AluOp::Lsh, 15),
            (AluOp::Rsh, 40),
            (AluOp::Neg, 95),
            (AluOp::Mod, 45),
            (AluOp::Smod, 60),
            (AluOp::Xor, 60),
            (AluOp::Mov, 100),
            (AluOp::Arsh, 70),
        ] {
            let (mut exact, mut total) = (0, 0);
            for (index, (a, xs)) in all.iter().enumerate() {
                for (b, ys) in all.iter().skip(index % 7).step_by(7) {
                    let results = xs.iter().flat_map(|x| ys.iter().map(|y| concrete(op, *x, *y, W)));
                    let best = results.map(|value| Scalar::exact(value, W)).reduce(|a, b| a.join(b, W));
                    total += 1;
                    exact += usize::from(best.is_some_and(|best| Scalar::alu(op, *a, *b, W).is_within_at(best, W)));
                }
            }
            assert!(exact * 100 >= total * floor, "{op:?}: {} of 100", exact * 100 / total);
        }
    }

    #[test]
    fn byte_order_is_sound_and_exact_on_constants() {
        let w = Bits::B64;
        let value = 0x1122_3344_5566_7788_u64;
        let exact = |order, low| Scalar::exact(value, w).byte_order(order, low, w).as_constant();
        assert_eq!(exact(Order::ToBig, Bits::B16), Some(0x8877));
        assert_eq!(exact(Order::Reverse, Bits::B32), Some(0x8877_6655));
        assert_eq!(exact(Order::ToBig, Bits::B64), Some(value.swap_bytes()));
        assert_eq!(exact(Order::ToLittle, Bits::B32), Some(0x5566_7788));
        let byte = Scalar::range(0, 255, w).byte_order(Order::ToBig, Bits::B16, w);
        assert_eq!((byte.unsigned().max, byte.tnum().possible_ones()), (0xff00, 0xff00));
        assert_eq!(Scalar::unknown(w).byte_order(Order::ToLittle, Bits::B64, w), Scalar::unknown(w));
    }

    #[test]
    fn masks_and_bounds_sharpen_each_other() {
        let w = Bits::B64;
        let masked = Scalar::alu(AluOp::And, Scalar::unknown(w), Scalar::exact(0x38, w), w);
        assert_eq!((masked.unsigned().min, masked.unsigned().max), (0, 0x38));
        assert_eq!(masked.to_string(), "0..=56 (multiple of 8)");
        let bounded = Scalar::range(16, 31, w);
        assert_eq!(bounded.tnum(), Tnum::new(16, 15));
        let (negative, _) = Scalar::refine(Cond::Slt, true, Scalar::unknown(w), Scalar::exact(0, w), w).unwrap();
        assert_eq!(negative.tnum().ones(), 1 << 63);
    }

    #[test]
    fn numbers_read_well() {
        let w = Bits::B64;
        for (scalar, text) in [
            (Scalar::unknown(w), "any number"),
            (Scalar::exact(7, w), "7"),
            (Scalar::exact(u64::MAX, w), "-1"),
            (Scalar::exact(0x4000_0000_0000, w), "0x400000000000"),
            (Scalar::range(0, 255, w), "0..=255"),
            (Scalar::range(0, 0xffff_ffff, w), "0..=4294967295"),
            (Scalar::signed_range(-4, 4, w), "-4..=4"),
            (Scalar::of_tnum(Tnum::new(1, 2), w), "1..=3 (bits 0x1 set, 0x2 unknown)"),
            (Scalar::of_tnum(Tnum::new(0, !7), w), "0..=0xfffffffffffffff8 (multiple of 8)"),
        ] {
            assert_eq!(scalar.to_string(), text);
        }
    }
}
