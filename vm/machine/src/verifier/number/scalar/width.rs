//! Numbers between widths: cut, extended, put back, and with their bytes in another order.

use super::Scalar;
use super::reduce::crosses_zero;
use crate::isa::Order;
use crate::verifier::number::{Bits, Signed, Tnum, Unsigned};

impl Scalar {
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
}
