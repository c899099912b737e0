//! Shifts, by a known amount or by one of several.

use super::Scalar;
use crate::verifier::number::{Bits, Signed, Unsigned};

/// Amounts by which an unknown shift is tried one by one.
const SHIFTS_TRIED_MAX: usize = 3;

#[derive(Clone, Copy)]
pub(super) enum Shift {
    Left,
    Right,
    Signed,
}

/// A shift amount modulo the width.
fn reduce_amount(amount: u64, bits: Bits) -> u32 {
    let reduced = amount % u64::from(bits.count());
    u32::try_from(reduced).expect("a remainder of at most 64 fits")
}

impl Scalar {
    /// A shift by an amount modulo the width: exactly by each of a few possible amounts, by bounds if there are more.
    pub(super) fn shift(self, amount: Self, bits: Bits, op: Shift) -> Self {
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
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One bit shifted up by few amounts is known to be one of few numbers; by more, it is any.
    #[test]
    fn shifts_are_tried_one_by_one_up_to_their_number() {
        let one = Scalar::exact(1, Bits::B64);
        for (amounts, tried) in [(SHIFTS_TRIED_MAX - 1, true), (SHIFTS_TRIED_MAX, true), (SHIFTS_TRIED_MAX + 1, false)]
        {
            let amount = Scalar::range(4, 3 + amounts as u64, Bits::B64);
            let shifted = one.shift(amount, Bits::B64, Shift::Left);
            let want = Scalar::exact(1 << 4, Bits::B64).join(Scalar::exact(1 << (3 + amounts), Bits::B64), Bits::B64);
            assert_eq!(shifted.unsigned() == want.unsigned(), tried, "{amounts}: {shifted}");
            assert_eq!(shifted == Scalar::unknown(Bits::B64), !tried, "{amounts}: {shifted}");
        }
        // Amounts that the known bits exclude do not count.
        let amount =
            Scalar::alu(crate::isa::AluOp::And, Scalar::unknown(Bits::B64), Scalar::exact(0x20, Bits::B64), Bits::B64);
        assert_eq!(one.shift(amount, Bits::B64, Shift::Left).tnum(), crate::verifier::Tnum::new(0, 1 << 32 | 1));
    }
}
