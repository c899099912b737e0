//! The width of an operation, as a value.
//!
//! Every domain operation takes the width it works at, so that 64-bit and 32-bit arithmetic are one piece of code,
//! and so that tests can run that same code at widths of three to five bits, where every abstract value and every
//! concrete value can be tried.

/// Bits of an operation, 1 to 64. A value of this width is kept zero-extended in a `u64`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bits(u32);

impl Bits {
    /// The whole register.
    pub const B64: Self = Self(64);
    /// The lower half.
    pub const B32: Self = Self(32);
    /// Two bytes.
    pub const B16: Self = Self(16);
    /// One byte.
    pub const B8: Self = Self(8);

    /// A width of `bits`, brought into 1 to 64.
    pub const fn new(bits: u32) -> Self {
        Self(if bits == 0 {
            1
        } else if bits > 64 {
            64
        } else {
            bits
        })
    }

    /// The lower half of this width.
    pub const fn half(self) -> Self {
        Self::new(self.0 / 2)
    }

    /// Number of bits.
    pub const fn count(self) -> u32 {
        self.0
    }

    /// The largest unsigned value, which is also the mask of the width.
    pub const fn mask(self) -> u64 {
        u64::MAX >> (64 - self.0)
    }

    /// The sign bit.
    pub const fn sign(self) -> u64 {
        1 << (self.0 - 1)
    }

    /// The smallest signed value.
    pub const fn signed_min(self) -> i64 {
        i64::MIN >> (64 - self.0)
    }

    /// The largest signed value.
    pub const fn signed_max(self) -> i64 {
        i64::MAX >> (64 - self.0)
    }

    /// The value cut to this width.
    pub const fn truncate(self, value: u64) -> u64 {
        value & self.mask()
    }

    /// The signed reading of the value's lower bits.
    pub const fn sign_extend(self, value: u64) -> i64 {
        (value << (64 - self.0)).cast_signed() >> (64 - self.0)
    }

    /// A signed value as this width keeps it.
    pub const fn from_signed(self, value: i64) -> u64 {
        self.truncate(value.cast_unsigned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_of_each_width() {
        assert_eq!(Bits::B64.mask(), u64::MAX);
        assert_eq!((Bits::B64.signed_min(), Bits::B64.signed_max()), (i64::MIN, i64::MAX));
        assert_eq!(Bits::B32.mask(), 0xffff_ffff);
        assert_eq!((Bits::B32.signed_min(), Bits::B32.signed_max()), (i64::from(i32::MIN), i64::from(i32::MAX)));
        assert_eq!((Bits::new(3).signed_min(), Bits::new(3).signed_max()), (-4, 3));
        assert_eq!(Bits::new(3).sign(), 4);
    }

    #[test]
    fn signed_and_unsigned_readings_are_inverse() {
        for bits in 1..=8 {
            let width = Bits::new(bits);
            for value in 0..=width.mask() {
                assert_eq!(width.from_signed(width.sign_extend(value)), value);
            }
        }
        assert_eq!(Bits::B32.sign_extend(0x8000_0000), i64::from(i32::MIN));
        assert_eq!(Bits::B32.sign_extend(0xdead_0000_7fff_ffff), i64::from(i32::MAX));
    }
}
