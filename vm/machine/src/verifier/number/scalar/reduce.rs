//! Each part of a number sharpens the others, as far as it can.

use super::Scalar;
use crate::verifier::number::{Bits, Signed, Tnum, Unsigned};

impl Scalar {
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
        let half = |least: i64, greatest: i64| {
            let by_sign = signed.meet(Signed { min: least, max: greatest });
            if by_sign.is_empty() {
                return None;
            }
            let by_sign = Unsigned { min: bits.from_signed(by_sign.min), max: bits.from_signed(by_sign.max) };
            let both = unsigned.meet(by_sign);
            let (min, max) = (member_from(both.min)?, member_to(both.max)?);
            (min <= max).then_some(Unsigned { min, max })
        };
        let below = half(0, bits.signed_max());
        let above = half(bits.signed_min(), -1);
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

    /// Whether it is one number or any number, the commonest values, whose parts have nothing to tell each other.
    fn is_settled(self, bits: Bits) -> bool {
        match self.tnum.as_constant() {
            Some(value) => self == Self::exact(value, bits),
            None => self == Self::unknown(bits),
        }
    }
}

/// Whether the numbers are two intervals as unsigned ones.
pub(super) const fn crosses_zero(signed: Signed) -> bool {
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
