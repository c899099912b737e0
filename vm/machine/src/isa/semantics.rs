//! What the operations compute: total functions on 64-bit registers, shared by the interpreter and by whoever folds
//! constants. What is compared with this in tests is a separate transcription of the RFC.

use super::table::{AluOp, Cond, Extension, Order, Rmw, Size, Width};

impl AluOp {
    /// The new `dst` from the old one and the second operand. Of a [`Width::W32`] operation the result is
    /// zero-extended.
    #[inline(always)]
    pub const fn apply(self, width: Width, dst: u64, operand: u64) -> u64 {
        match width {
            Width::W64 => self.apply_64(dst, operand),
            Width::W32 => self.apply_32(dst as u32, operand as u32) as u64,
        }
    }

    #[inline(always)]
    const fn apply_64(self, a: u64, b: u64) -> u64 {
        let (sa, sb) = (a.cast_signed(), b.cast_signed());
        match self {
            Self::Add => a.wrapping_add(b),
            Self::Sub => a.wrapping_sub(b),
            Self::Mul => a.wrapping_mul(b),
            Self::Div => match b {
                0 => 0,
                b => a / b,
            },
            Self::Sdiv => match sb {
                0 => 0,
                sb => sa.wrapping_div(sb).cast_unsigned(),
            },
            Self::Or => a | b,
            Self::And => a & b,
            Self::Lsh => a.wrapping_shl(b as u32),
            Self::Rsh => a.wrapping_shr(b as u32),
            Self::Neg => a.wrapping_neg(),
            Self::Mod => match b {
                0 => a,
                b => a % b,
            },
            Self::Smod => match sb {
                0 => a,
                sb => sa.wrapping_rem(sb).cast_unsigned(),
            },
            Self::Xor => a ^ b,
            Self::Mov => b,
            Self::Movsx8 => b as i8 as i64 as u64,
            Self::Movsx16 => b as i16 as i64 as u64,
            Self::Movsx32 => b as i32 as i64 as u64,
            Self::Arsh => sa.wrapping_shr(b as u32).cast_unsigned(),
        }
    }

    #[inline(always)]
    const fn apply_32(self, a: u32, b: u32) -> u32 {
        let (sa, sb) = (a.cast_signed(), b.cast_signed());
        match self {
            Self::Add => a.wrapping_add(b),
            Self::Sub => a.wrapping_sub(b),
            Self::Mul => a.wrapping_mul(b),
            Self::Div => match b {
                0 => 0,
                b => a / b,
            },
            Self::Sdiv => match sb {
                0 => 0,
                sb => sa.wrapping_div(sb).cast_unsigned(),
            },
            Self::Or => a | b,
            Self::And => a & b,
            Self::Lsh => a.wrapping_shl(b),
            Self::Rsh => a.wrapping_shr(b),
            Self::Neg => a.wrapping_neg(),
            Self::Mod => match b {
                0 => a,
                b => a % b,
            },
            Self::Smod => match sb {
                0 => a,
                sb => sa.wrapping_rem(sb).cast_unsigned(),
            },
            Self::Xor => a ^ b,
            Self::Mov | Self::Movsx32 => b,
            Self::Movsx8 => b as i8 as i32 as u32,
            Self::Movsx16 => b as i16 as i32 as u32,
            Self::Arsh => sa.wrapping_shr(b).cast_unsigned(),
        }
    }
}

impl Cond {
    /// Whether the branch is taken.
    #[inline(always)]
    pub const fn holds(self, width: Width, dst: u64, operand: u64) -> bool {
        let (a, b) = match width {
            Width::W64 => (dst, operand),
            Width::W32 => (dst as u32 as u64, operand as u32 as u64),
        };
        let (sa, sb) = match width {
            Width::W64 => (dst.cast_signed(), operand.cast_signed()),
            Width::W32 => (dst as i32 as i64, operand as i32 as i64),
        };
        match self {
            Self::Eq => a == b,
            Self::Ne => a != b,
            Self::Set => a & b != 0,
            Self::Gt => a > b,
            Self::Ge => a >= b,
            Self::Lt => a < b,
            Self::Le => a <= b,
            Self::Sgt => sa > sb,
            Self::Sge => sa >= sb,
            Self::Slt => sa < sb,
            Self::Sle => sa <= sb,
        }
    }
}

impl Order {
    /// The low `bits` (16, 32 or 64) of `dst` in that order; the rest zero.
    #[inline(always)]
    pub const fn apply(self, bits: u8, dst: u64) -> u64 {
        match (self, bits) {
            (Self::ToLittle, 16) => dst as u16 as u64,
            (Self::ToLittle, 32) => dst as u32 as u64,
            (Self::ToLittle, _) => dst,
            (Self::ToBig | Self::Reverse, 16) => (dst as u16).swap_bytes() as u64,
            (Self::ToBig | Self::Reverse, 32) => (dst as u32).swap_bytes() as u64,
            (Self::ToBig | Self::Reverse, _) => dst.swap_bytes(),
        }
    }
}

impl Rmw {
    /// The new value of the memory from the old one, the source register and `r0`, all cut to the size of the
    /// access by the caller.
    #[inline(always)]
    pub const fn apply(self, old: u64, src: u64, r0: u64) -> u64 {
        match self {
            Self::Add => old.wrapping_add(src),
            Self::Or => old | src,
            Self::And => old & src,
            Self::Xor => old ^ src,
            Self::Xchg => src,
            Self::Cmpxchg => {
                if old == r0 {
                    src
                } else {
                    old
                }
            }
        }
    }
}

impl Size {
    /// The low bytes of a value.
    #[inline(always)]
    pub const fn truncate(self, value: u64) -> u64 {
        match self {
            Self::Byte => value as u8 as u64,
            Self::Half => value as u16 as u64,
            Self::Word => value as u32 as u64,
            Self::Double => value,
        }
    }

    /// A value of this size as it fills a register.
    #[inline(always)]
    pub const fn extend(self, extension: Extension, value: u64) -> u64 {
        match (extension, self) {
            (Extension::Zero, size) => size.truncate(value),
            (Extension::Sign, Self::Byte) => value as i8 as i64 as u64,
            (Extension::Sign, Self::Half) => value as i16 as i64 as u64,
            (Extension::Sign, Self::Word) => value as i32 as i64 as u64,
            (Extension::Sign, Self::Double) => value,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn corners_of_the_rfc() {
        use Width::{W32, W64};
        let min = i64::MIN.cast_unsigned();
        let minus = |n: i64| (-n).cast_unsigned();
        let high = 0xffff_ffff_0000_0000;
        for (op, width, dst, operand, want) in [
            (AluOp::Div, W64, 7, 0, 0),
            (AluOp::Sdiv, W64, 7, 0, 0),
            (AluOp::Mod, W64, 7, 0, 7),
            (AluOp::Smod, W64, 7, 0, 7),
            (AluOp::Div, W32, high | 7, high, 0),
            (AluOp::Mod, W32, high | 7, high, 7),
            (AluOp::Sdiv, W64, min, u64::MAX, min),
            (AluOp::Smod, W64, min, u64::MAX, 0),
            (AluOp::Sdiv, W32, 0x8000_0000, u64::MAX, 0x8000_0000),
            (AluOp::Smod, W32, 0x8000_0000, u64::MAX, 0),
            (AluOp::Sdiv, W64, minus(13), 4, minus(3)),
            (AluOp::Smod, W64, minus(13), 4, minus(1)),
            (AluOp::Smod, W64, 13, minus(4), 1),
            (AluOp::Lsh, W64, 1, 64, 1),
            (AluOp::Lsh, W32, 1, 33, 2),
            (AluOp::Arsh, W64, min, 127, u64::MAX),
            (AluOp::Arsh, W32, 0x8000_0000, 4, 0xf800_0000),
            (AluOp::Add, W32, 0xffff_ffff, 1, 0),
            (AluOp::Neg, W32, 1, 0, 0xffff_ffff),
            (AluOp::Neg, W64, min, 0, min),
            (AluOp::Mov, W32, 0, u64::MAX, 0xffff_ffff),
            (AluOp::Movsx8, W32, 0, 0x80, 0xffff_ff80),
            (AluOp::Movsx8, W64, 0, 0x80, minus(128)),
            (AluOp::Movsx32, W64, 0, 0x8000_0000, 0xffff_ffff_8000_0000),
            (AluOp::Mul, W32, 0x1_0000, 0x1_0000, 0),
        ] {
            assert_eq!(op.apply(width, dst, operand), want, "{op:?} {width:?} {dst:#x} {operand:#x}");
        }
        assert!(Cond::Sgt.holds(W32, 1, 0xffff_ffff));
        assert!(!Cond::Sgt.holds(W64, 1, 0xffff_ffff));
        assert!(Cond::Eq.holds(W32, high | 5, 5));
        assert_eq!(Order::ToBig.apply(16, 0x11_2233), 0x3322);
        assert_eq!(Order::ToLittle.apply(32, u64::MAX), 0xffff_ffff);
        assert_eq!(Order::Reverse.apply(64, 1), 1 << 56);
    }
}
