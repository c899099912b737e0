//! Tristate numbers: what is known of each bit.
//!
//! The operators are those of "Sound, Precise, and Fast Abstract Interpretation with Tristate Numbers" (CGO 2022),
//! which also proves them. They are checked here against every concrete value at small widths.

use super::bits::Bits;

/// Bits set in `mask` are unknown, the others are as in `value`. No bit is set in both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tnum {
    value: u64,
    mask: u64,
}

impl Tnum {
    /// Every bit of the width unknown, zero above.
    pub const fn unknown(width: Bits) -> Self {
        Self { value: 0, mask: width.mask() }
    }

    /// Every bit known.
    pub const fn exact(value: u64) -> Self {
        Self { value, mask: 0 }
    }

    /// Known bits and unknown bits; what is unknown is not also known.
    pub const fn new(value: u64, mask: u64) -> Self {
        Self { value: value & !mask, mask }
    }

    /// What the numbers `min..=max` have in common: their leading bits.
    pub const fn of_range(min: u64, max: u64) -> Self {
        let differing = min ^ max;
        let unknown = if differing == 0 { 0 } else { u64::MAX >> differing.leading_zeros() };
        Self { value: min & !unknown, mask: unknown }
    }

    /// The bits known to be one; also the smallest member.
    pub const fn ones(self) -> u64 {
        self.value
    }

    /// The unknown bits.
    pub const fn unknown_bits(self) -> u64 {
        self.mask
    }

    /// The bits that are or may be one; also the largest member.
    pub const fn possible_ones(self) -> u64 {
        self.value | self.mask
    }

    /// The number, if every bit is known.
    pub const fn as_constant(self) -> Option<u64> {
        if self.mask == 0 { Some(self.value) } else { None }
    }

    /// Whether `value` agrees with every known bit.
    pub const fn contains(self, value: u64) -> bool {
        value & !self.mask == self.value
    }

    /// Whether no bit is both known and unknown, and none lies outside the width.
    pub const fn is_well_formed(self, width: Bits) -> bool {
        self.value & self.mask == 0 && self.possible_ones() & !width.mask() == 0
    }

    /// The smallest member that is at least `least`; None if all are smaller.
    pub(super) const fn member_from(self, least: u64) -> Option<u64> {
        let conflict = (least ^ self.value) & !self.mask;
        if conflict == 0 {
            return Some(least);
        }
        // The highest bit that is not as it must be. The bits above it can stay.
        let top = 1u64 << conflict.ilog2();
        if self.value & top != 0 {
            return Some(least & !(top | (top - 1)) | self.value & (top | (top - 1)));
        }
        // It must be zero and is one: a free bit above it has to become one, the lowest that can.
        let free = self.mask & !least & !(top | (top - 1));
        if free == 0 {
            return None;
        }
        let raised = free & free.wrapping_neg();
        Some(least & !(raised | (raised - 1)) | raised | self.value & (raised - 1))
    }

    /// The greatest member that is at most `most`; None if all are greater.
    pub(super) const fn member_to(self, most: u64) -> Option<u64> {
        // Inverting all bits turns the order around.
        let inverse = Self { value: !self.possible_ones(), mask: self.mask };
        match inverse.member_from(!most) {
            Some(member) => Some(!member),
            None => None,
        }
    }

    /// What holds of members of either.
    pub const fn join(self, other: Self) -> Self {
        let mask = self.mask | other.mask | (self.value ^ other.value);
        Self { value: self.value & !mask, mask }
    }

    /// What holds of members of both; None if they contradict each other.
    pub const fn meet(self, other: Self) -> Option<Self> {
        if (self.value ^ other.value) & !self.mask & !other.mask != 0 {
            return None;
        }
        let mask = self.mask & other.mask;
        Some(Self { value: (self.value | other.value) & !mask, mask })
    }

    /// The lower bits alone.
    pub(super) const fn truncate(self, width: Bits) -> Self {
        Self { value: width.truncate(self.value), mask: width.truncate(self.mask) }
    }

    /// The lower `from` bits, sign-extended to `to` bits.
    pub(super) const fn sign_extend(self, from: Bits, to: Bits) -> Self {
        // Extending both halves copies an unknown sign bit into the mask and a known one into the value.
        Self { value: to.from_signed(from.sign_extend(self.value)), mask: to.from_signed(from.sign_extend(self.mask)) }
    }

    /// Bit by bit.
    pub(super) const fn and(self, other: Self) -> Self {
        let ones = self.value & other.value;
        let possible = self.possible_ones() & other.possible_ones();
        Self { value: ones, mask: possible & !ones }
    }

    /// Bit by bit.
    pub(super) const fn or(self, other: Self) -> Self {
        let ones = self.value | other.value;
        Self { value: ones, mask: (self.mask | other.mask) & !ones }
    }

    /// Bit by bit.
    pub(super) const fn xor(self, other: Self) -> Self {
        let mask = self.mask | other.mask;
        Self { value: (self.value ^ other.value) & !mask, mask }
    }

    /// Wrapping sum.
    pub(super) const fn add(self, other: Self, width: Bits) -> Self {
        let smallest = self.value.wrapping_add(other.value);
        let largest = self.mask.wrapping_add(other.mask).wrapping_add(smallest);
        let carries = largest ^ smallest;
        let mask = carries | self.mask | other.mask;
        Self { value: smallest & !mask, mask }.truncate(width)
    }

    /// Wrapping difference.
    pub(super) const fn sub(self, other: Self, width: Bits) -> Self {
        let difference = self.value.wrapping_sub(other.value);
        let most = difference.wrapping_add(self.mask);
        let least = difference.wrapping_sub(other.mask);
        let mask = (most ^ least) | self.mask | other.mask;
        Self { value: difference & !mask, mask }.truncate(width)
    }

    /// Wrapping product: long multiplication, the known part and the uncertain part added up apart.
    pub(super) const fn mul(self, other: Self, width: Bits) -> Self {
        let known = self.value.wrapping_mul(other.value);
        let (mut a, mut b) = (self, other);
        let mut uncertain = Self::exact(0);
        while a.possible_ones() != 0 {
            if a.value & 1 != 0 {
                uncertain = uncertain.add(Self { value: 0, mask: b.mask }, Bits::B64);
            } else if a.mask & 1 != 0 {
                uncertain = uncertain.add(Self { value: 0, mask: b.possible_ones() }, Bits::B64);
            }
            a = Self { value: a.value >> 1, mask: a.mask >> 1 };
            b = Self { value: b.value << 1, mask: b.mask << 1 };
        }
        Self::exact(known).add(uncertain, Bits::B64).truncate(width)
    }

    /// Left by a known amount below the width.
    pub(super) const fn shl(self, amount: u32, width: Bits) -> Self {
        Self { value: self.value << amount, mask: self.mask << amount }.truncate(width)
    }

    /// Right by a known amount below the width, zeros shifted in.
    pub(super) const fn shr(self, amount: u32) -> Self {
        Self { value: self.value >> amount, mask: self.mask >> amount }
    }

    /// Right by a known amount below the width, the sign shifted in.
    pub(super) const fn sar(self, amount: u32, width: Bits) -> Self {
        Self {
            value: width.from_signed(width.sign_extend(self.value) >> amount),
            mask: width.from_signed(width.sign_extend(self.mask) >> amount),
        }
    }

    /// The lower `width` bits, a multiple of eight, with their bytes in reverse order.
    pub(super) const fn swap_bytes(self, width: Bits) -> Self {
        let unused = 64 - width.count();
        Self { value: (self.value << unused).swap_bytes(), mask: (self.mask << unused).swap_bytes() }.truncate(width)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const W: Bits = Bits::new(5);

    fn all(width: Bits) -> Vec<Tnum> {
        let mut found = Vec::new();
        for mask in 0..=width.mask() {
            for value in 0..=width.mask() {
                if value & mask == 0 {
                    found.push(Tnum { value, mask });
                }
            }
        }
        found
    }

    fn members(tnum: Tnum, width: Bits) -> impl Iterator<Item = u64> {
        (0..=width.mask()).filter(move |value| tnum.contains(*value))
    }

    /// The smallest tnum with these members.
    fn hull(values: impl Iterator<Item = u64>) -> Option<Tnum> {
        values.map(Tnum::exact).reduce(Tnum::join)
    }

    /// Every concrete result lies in the abstract one; returns how many results are as small as can be.
    fn check(
        abstract_op: impl Fn(Tnum, Tnum) -> Tnum,
        concrete_op: impl Fn(u64, u64) -> u64,
        width: Bits,
    ) -> (usize, usize) {
        let all = all(width);
        let (mut exact, mut total) = (0, 0);
        for a in &all {
            for b in &all {
                let result = abstract_op(*a, *b);
                assert!(result.is_well_formed(width), "{a:?} {b:?} gives {result:?}");
                let concrete = members(*a, width).flat_map(|x| members(*b, width).map(move |y| (x, y)));
                let hull = hull(concrete.map(|(x, y)| {
                    let value = width.truncate(concrete_op(x, y));
                    assert!(result.contains(value), "{a:?} {b:?} gives {result:?} without {x} op {y} = {value}");
                    value
                }));
                total += 1;
                exact += usize::from(hull == Some(result));
            }
        }
        (exact, total)
    }

    fn check_optimal(abstract_op: impl Fn(Tnum, Tnum) -> Tnum, concrete_op: impl Fn(u64, u64) -> u64) {
        let (exact, total) = check(abstract_op, concrete_op, W);
        assert_eq!(exact, total, "sound, but not as precise as can be");
    }

    #[test]
    fn addition_is_sound_and_optimal() {
        check_optimal(|a, b| a.add(b, W), u64::wrapping_add);
    }

    #[test]
    fn subtraction_is_sound_and_optimal() {
        check_optimal(|a, b| a.sub(b, W), u64::wrapping_sub);
    }

    #[test]
    fn bitwise_operations_are_sound_and_optimal() {
        check_optimal(Tnum::and, |x, y| x & y);
        check_optimal(Tnum::or, |x, y| x | y);
        check_optimal(Tnum::xor, |x, y| x ^ y);
    }

    #[test]
    fn multiplication_is_sound_and_mostly_precise() {
        let (exact, total) = check(|a, b| a.mul(b, W), u64::wrapping_mul, W);
        assert!(exact * 10 >= total * 6, "{exact} of {total}");
    }

    #[test]
    fn join_is_the_smallest_common_superset() {
        let all = all(W);
        for a in &all {
            for b in &all {
                assert_eq!(Some(a.join(*b)), hull(members(*a, W).chain(members(*b, W))));
            }
        }
    }

    #[test]
    fn meet_is_the_intersection() {
        let all = all(W);
        for a in &all {
            for b in &all {
                let both = members(*a, W).filter(|value| b.contains(*value)).collect::<Vec<_>>();
                match a.meet(*b) {
                    Some(met) => assert_eq!(members(met, W).collect::<Vec<_>>(), both),
                    None => assert!(both.is_empty()),
                }
            }
        }
    }

    #[test]
    fn members_next_to_any_number_are_found() {
        for a in all(W) {
            for x in 0..=W.mask() {
                assert_eq!(a.member_from(x), members(a, W).find(|member| *member >= x), "{a:?} from {x}");
                assert_eq!(a.member_to(x), members(a, W).filter(|member| *member <= x).last(), "{a:?} to {x}");
            }
        }
        let all = Tnum::unknown(Bits::B64);
        assert_eq!((all.member_from(u64::MAX), all.member_to(0)), (Some(u64::MAX), Some(0)));
        let odd = Tnum::new(1, u64::MAX - 1);
        assert_eq!((odd.member_from(u64::MAX - 1), odd.member_to(0)), (Some(u64::MAX), None));
        assert_eq!(Tnum::new(0, u64::MAX - 1).member_from(u64::MAX), None);
    }

    #[test]
    fn shifts_are_exact() {
        for a in all(W) {
            for amount in 0..W.count() {
                let shifted = |op: &dyn Fn(u64) -> u64| hull(members(a, W).map(op));
                assert_eq!(Some(a.shl(amount, W)), shifted(&|x| W.truncate(x << amount)));
                assert_eq!(Some(a.shr(amount)), shifted(&|x| x >> amount));
                assert_eq!(Some(a.sar(amount, W)), shifted(&|x| W.from_signed(W.sign_extend(x) >> amount)));
            }
        }
    }

    #[test]
    fn widening_and_narrowing_are_exact() {
        let (narrow, wide) = (Bits::new(3), Bits::new(5));
        for a in all(wide) {
            assert_eq!(Some(a.truncate(narrow)), hull(members(a, wide).map(|x| narrow.truncate(x))));
            let extended = hull(members(a, wide).map(|x| wide.from_signed(narrow.sign_extend(x))));
            assert_eq!(Some(a.sign_extend(narrow, wide)), extended);
        }
    }

    #[test]
    fn ranges_are_covered_by_their_common_prefix() {
        let width = Bits::new(6);
        for min in 0..=width.mask() {
            for max in min..=width.mask() {
                assert_eq!(
                    Some(Tnum::of_range(min, max)),
                    hull([min, max].into_iter()).map(|hull| {
                        // Below the first differing bit everything occurs.
                        let unknown = if hull.mask == 0 { 0 } else { u64::MAX >> hull.mask.leading_zeros() };
                        Tnum::new(min, unknown)
                    })
                );
                assert!((min..=max).all(|value| Tnum::of_range(min, max).contains(value)));
            }
        }
        assert_eq!(Tnum::of_range(0, u64::MAX), Tnum::unknown(Bits::B64));
    }

    #[test]
    fn byte_swaps_move_unknown_bits_too() {
        let a = Tnum::new(0x1122_3344_5566_7700, 0xff);
        assert_eq!(a.swap_bytes(Bits::B64), Tnum::new(0x0077_6655_4433_2211, 0xff << 56));
        assert_eq!(a.swap_bytes(Bits::B16), Tnum::new(0x0077, 0xff00));
        assert_eq!(a.swap_bytes(Bits::B32), Tnum::new(0x0077_6655, 0xff00_0000));
    }

    #[test]
    fn corners_of_the_full_width() {
        let w = Bits::B64;
        assert_eq!(Tnum::unknown(w).add(Tnum::exact(1), w), Tnum::unknown(w));
        assert_eq!(Tnum::exact(u64::MAX).add(Tnum::exact(1), w), Tnum::exact(0));
        assert_eq!(Tnum::exact(0).sub(Tnum::exact(1), w), Tnum::exact(u64::MAX));
        assert_eq!(Tnum::exact(1 << 63).mul(Tnum::exact(2), w), Tnum::exact(0));
        assert_eq!(Tnum::exact(1 << 31).sign_extend(Bits::B32, w), Tnum::exact(0xffff_ffff_8000_0000));
        assert_eq!(Tnum::new(0, 1 << 31).sign_extend(Bits::B32, w), Tnum::new(0, 0xffff_ffff_8000_0000));
    }

    #[test]
    fn what_is_no_tnum_of_the_width_is_noticed() {
        for value in 0..64 {
            for mask in 0..64 {
                let good = value & mask == 0 && value <= W.mask() && mask <= W.mask();
                assert_eq!(Tnum { value, mask }.is_well_formed(W), good, "{value:#x} {mask:#x}");
                let one = Tnum { value, mask: 0 };
                assert_eq!(one.as_constant(), Some(value));
                assert_eq!(Tnum { value, mask: 1 << 6 }.as_constant(), None);
            }
        }
    }
}
