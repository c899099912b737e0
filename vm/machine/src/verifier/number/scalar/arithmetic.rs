//! What arithmetic makes of numbers.

use super::Scalar;
use super::shift::Shift;
use crate::isa::AluOp;
use crate::verifier::number::{Bits, Signed, Tnum, Unsigned};

impl Scalar {
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
}
