//! Intervals: the least and the greatest value, read as unsigned and as signed numbers.
//!
//! Both kinds are kept, since neither says what the other can: `-1..=1` has no useful unsigned reading, and
//! `0..=2^63` no useful signed one. An interval whose `min` exceeds its `max` is *empty*; operations are only asked of
//! non-empty ones, and the verifier checks that after every step.

use super::bits::Bits;
use crate::verifier::fault::{Fault, planted};

/// Unsigned bounds, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unsigned {
    /// The least value.
    pub min: u64,
    /// The greatest value.
    pub max: u64,
}

/// Signed bounds, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signed {
    /// The least value.
    pub min: i64,
    /// The greatest value.
    pub max: i64,
}

/// Reduces true bounds modulo the width, counted from `origin` (zero, or the least signed value). None if the
/// values between them wrap at different points, so that the results are no interval.
fn wrap(min: i128, max: i128, origin: i128, width: Bits) -> Option<(i128, i128)> {
    let modulus = 1i128 << width.count();
    let turns = (min - origin).div_euclid(modulus);
    ((max - origin).div_euclid(modulus) == turns).then(|| (min - turns * modulus, max - turns * modulus))
}

impl Unsigned {
    /// Everything the width holds.
    pub const fn full(width: Bits) -> Self {
        Self { min: 0, max: width.mask() }
    }

    /// One value.
    pub const fn exact(value: u64) -> Self {
        Self { min: value, max: value }
    }

    /// Nothing.
    pub const EMPTY: Self = Self { min: u64::MAX, max: 0 };

    /// Whether the value lies within.
    pub const fn contains(self, value: u64) -> bool {
        self.min <= value && value <= self.max
    }

    /// Whether there is no value.
    pub const fn is_empty(self) -> bool {
        self.min > self.max
    }

    /// The smallest interval with both.
    pub fn join(self, other: Self) -> Self {
        Self { min: self.min.min(other.min), max: self.max.max(other.max) }
    }

    /// The intersection, possibly empty.
    pub fn meet(self, other: Self) -> Self {
        Self { min: self.min.max(other.min), max: self.max.min(other.max) }
    }

    fn wrapped(min: i128, max: i128, width: Bits) -> Self {
        let exact = wrap(min, max, 0, width)
            .and_then(|(min, max)| Some(Self { min: u64::try_from(min).ok()?, max: u64::try_from(max).ok()? }));
        exact.unwrap_or(Self::full(width))
    }

    /// Wrapping sum.
    pub(super) fn add(self, other: Self, width: Bits) -> Self {
        let (a, b) = (self, other);
        Self::wrapped(i128::from(a.min) + i128::from(b.min), i128::from(a.max) + i128::from(b.max), width)
    }

    /// Wrapping difference.
    pub(super) fn sub(self, other: Self, width: Bits) -> Self {
        let (a, b) = (self, other);
        Self::wrapped(i128::from(a.min) - i128::from(b.max), i128::from(a.max) - i128::from(b.min), width)
    }

    /// Wrapping product; exact bounds only where nothing wraps.
    pub(super) fn mul(self, other: Self, width: Bits) -> Self {
        match self.max.checked_mul(other.max) {
            // Products of the minima are no larger, so they fit as well.
            Some(max) if max <= width.mask() => Self { min: self.min * other.min, max },
            _ => Self::full(width),
        }
    }

    /// Quotient; zero when the divisor is zero.
    pub(super) fn div(self, other: Self) -> Self {
        match (self.max.checked_div(other.min), self.min.checked_div(other.max)) {
            (Some(max), Some(min)) => Self { min, max },
            (_, None) => Self::exact(0),
            (None, _) => Self { min: 0, max: self.max },
        }
    }

    /// Remainder; the dividend when the divisor is zero.
    pub(super) fn rem(self, other: Self) -> Self {
        if other.max == 0 || self.max < other.min {
            self
        } else if self.min == self.max && other.min == other.max {
            Self::exact(self.min % other.min)
        } else if other.min == 0 {
            Self { min: 0, max: self.max }
        } else {
            Self { min: 0, max: self.max.min(other.max - 1) }
        }
    }

    /// Left by a known amount below the width.
    pub(super) fn shl(self, amount: u32, width: Bits) -> Self {
        if self.max <= width.mask() >> amount {
            Self { min: self.min << amount, max: self.max << amount }
        } else {
            Self::full(width)
        }
    }

    /// Right by a known amount below the width, zeros shifted in.
    pub(super) fn shr(self, amount: u32) -> Self {
        Self { min: self.min >> amount, max: self.max >> amount }
    }

    /// The lower bits alone.
    pub(super) fn truncate(self, width: Bits) -> Self {
        let cut = Self { min: width.truncate(self.min), max: width.truncate(self.max) };
        if planted(Fault::TruncatedBounds) && !cut.is_empty() {
            return cut;
        }
        Self::wrapped(i128::from(self.min), i128::from(self.max), width)
    }
}

impl Signed {
    /// Everything the width holds.
    pub const fn full(width: Bits) -> Self {
        Self { min: width.signed_min(), max: width.signed_max() }
    }

    /// One value.
    pub const fn exact(value: i64) -> Self {
        Self { min: value, max: value }
    }

    /// Nothing.
    pub const EMPTY: Self = Self { min: i64::MAX, max: i64::MIN };

    /// Whether the value lies within.
    pub const fn contains(self, value: i64) -> bool {
        self.min <= value && value <= self.max
    }

    /// Whether there is no value.
    pub const fn is_empty(self) -> bool {
        self.min > self.max
    }

    /// The smallest interval with both.
    pub fn join(self, other: Self) -> Self {
        Self { min: self.min.min(other.min), max: self.max.max(other.max) }
    }

    /// The intersection, possibly empty.
    pub fn meet(self, other: Self) -> Self {
        Self { min: self.min.max(other.min), max: self.max.min(other.max) }
    }

    fn wrapped(min: i128, max: i128, width: Bits) -> Self {
        let exact = wrap(min, max, i128::from(width.signed_min()), width)
            .and_then(|(min, max)| Some(Self { min: i64::try_from(min).ok()?, max: i64::try_from(max).ok()? }));
        exact.unwrap_or(Self::full(width))
    }

    /// Wrapping sum.
    pub(super) fn add(self, other: Self, width: Bits) -> Self {
        let (a, b) = (self, other);
        Self::wrapped(i128::from(a.min) + i128::from(b.min), i128::from(a.max) + i128::from(b.max), width)
    }

    /// Wrapping difference.
    pub(super) fn sub(self, other: Self, width: Bits) -> Self {
        let (a, b) = (self, other);
        Self::wrapped(i128::from(a.min) - i128::from(b.max), i128::from(a.max) - i128::from(b.min), width)
    }

    /// Wrapping product; exact bounds only where nothing wraps.
    pub(super) fn mul(self, other: Self, width: Bits) -> Self {
        let product = |x: i64, y: i64| i128::from(x) * i128::from(y);
        let corners = [
            product(self.min, other.min),
            product(self.min, other.max),
            product(self.max, other.min),
            product(self.max, other.max),
        ];
        let min = corners.into_iter().fold(i128::MAX, i128::min);
        let max = corners.into_iter().fold(i128::MIN, i128::max);
        if min >= i128::from(width.signed_min()) && max <= i128::from(width.signed_max()) {
            Self::wrapped(min, max, width)
        } else {
            Self::full(width)
        }
    }

    /// Quotient rounded toward zero; zero when the divisor is zero, and MIN / −1 = MIN.
    pub(super) fn div(self, other: Self, width: Bits) -> Self {
        if self.min == self.max && other.min == other.max && other.min != 0 {
            let quotient = self.min.wrapping_div(other.min);
            return Self::exact(width.sign_extend(width.from_signed(quotient)));
        }
        if self.min == width.signed_min() && other.contains(-1) {
            return Self::full(width);
        }
        if other.min == other.max && other.min != 0 {
            let (a, b) = (self.min / other.min, self.max / other.min);
            return Self { min: a.min(b), max: a.max(b) };
        }
        // A quotient is no larger than its dividend, of either sign, and dividing by zero gives zero.
        let magnitude = i128::from(self.min).abs().max(i128::from(self.max).abs());
        let bound = i64::try_from(magnitude).unwrap_or(i64::MAX).min(width.signed_max());
        let negative = self.min < 0 && other.max > 0 || self.max > 0 && other.min < 0;
        let positive = self.max > 0 && other.max > 0 || self.min < 0 && other.min < 0;
        // MIN itself is a result only of MIN / 1; the magnitude of MIN is one more than `signed_max`.
        let least = if self.min == width.signed_min() { self.min } else { -bound };
        Self { min: if negative { least } else { 0 }, max: if positive { bound } else { 0 } }
    }

    /// Remainder with the sign of the dividend; the dividend when the divisor is zero, and MIN % −1 = 0.
    pub(super) fn rem(self, other: Self) -> Self {
        if other == Self::exact(0) {
            return self;
        }
        if self.min == self.max && other.min == other.max {
            return Self::exact(self.min.wrapping_rem(other.min));
        }
        let mut result = Self { min: self.min.min(0), max: self.max.max(0) };
        if !other.contains(0) {
            let magnitude = i128::from(other.min).abs().max(i128::from(other.max).abs()) - 1;
            if let Ok(bound) = i64::try_from(magnitude) {
                result = Self { min: result.min.max(-bound), max: result.max.min(bound) };
            }
        }
        result
    }

    /// Left by a known amount below the width.
    pub(super) fn shl(self, amount: u32, width: Bits) -> Self {
        let (min, max) = (i128::from(self.min) << amount, i128::from(self.max) << amount);
        if min >= i128::from(width.signed_min()) && max <= i128::from(width.signed_max()) {
            Self { min: self.min << amount, max: self.max << amount }
        } else {
            Self::full(width)
        }
    }

    /// Right by a known amount below the width, the sign shifted in.
    pub(super) fn sar(self, amount: u32) -> Self {
        Self { min: self.min >> amount, max: self.max >> amount }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const W: Bits = Bits::new(4);

    fn all_unsigned(width: Bits) -> Vec<Unsigned> {
        let max = width.mask();
        (0..=max).flat_map(|min| (min..=max).map(move |max| Unsigned { min, max })).collect()
    }

    fn all_signed(width: Bits) -> Vec<Signed> {
        let (min, max) = (width.signed_min(), width.signed_max());
        (min..=max).flat_map(|min| (min..=max).map(move |max| Signed { min, max })).collect()
    }

    fn check_unsigned(abstract_op: impl Fn(Unsigned, Unsigned) -> Unsigned, concrete_op: impl Fn(u64, u64) -> u64) {
        for a in all_unsigned(W) {
            for b in all_unsigned(W) {
                let result = abstract_op(a, b);
                assert!(result.max <= W.mask() && !result.is_empty(), "{a:?} {b:?} gives {result:?}");
                for x in a.min..=a.max {
                    for y in b.min..=b.max {
                        let value = W.truncate(concrete_op(x, y));
                        assert!(result.contains(value), "{a:?} {b:?} gives {result:?} without {x} op {y} = {value}");
                    }
                }
            }
        }
    }

    fn check_signed(abstract_op: impl Fn(Signed, Signed) -> Signed, concrete_op: impl Fn(i64, i64) -> i64) {
        for a in all_signed(W) {
            for b in all_signed(W) {
                let result = abstract_op(a, b);
                assert!(result.min >= W.signed_min() && result.max <= W.signed_max() && !result.is_empty());
                for x in a.min..=a.max {
                    for y in b.min..=b.max {
                        let value = W.sign_extend(W.from_signed(concrete_op(x, y)));
                        assert!(result.contains(value), "{a:?} {b:?} gives {result:?} without {x} op {y} = {value}");
                    }
                }
            }
        }
    }

    #[test]
    fn unsigned_arithmetic_is_sound() {
        check_unsigned(|a, b| a.add(b, W), u64::wrapping_add);
        check_unsigned(|a, b| a.sub(b, W), u64::wrapping_sub);
        check_unsigned(|a, b| a.mul(b, W), u64::wrapping_mul);
        check_unsigned(Unsigned::div, |x, y| x.checked_div(y).unwrap_or(0));
        check_unsigned(Unsigned::rem, |x, y| x.checked_rem(y).unwrap_or(x));
    }

    #[test]
    fn signed_arithmetic_is_sound() {
        check_signed(|a, b| a.add(b, W), i64::wrapping_add);
        check_signed(|a, b| a.sub(b, W), i64::wrapping_sub);
        check_signed(|a, b| a.mul(b, W), i64::wrapping_mul);
        // MIN / −1 = 8 wraps to −8 at four bits, as the RFC says of 32 and 64 bits.
        check_signed(|a, b| a.div(b, W), |x, y| x.checked_div(y).unwrap_or(0));
        check_signed(Signed::rem, |x, y| x.checked_rem(y).unwrap_or(x));
    }

    #[test]
    fn sums_without_overflow_are_exact() {
        let sum = Unsigned { min: 1, max: 3 }.add(Unsigned { min: 2, max: 5 }, W);
        assert_eq!(sum, Unsigned { min: 3, max: 8 });
        // All of it wraps: still an interval.
        let sum = Unsigned { min: 12, max: 14 }.add(Unsigned { min: 5, max: 6 }, W);
        assert_eq!(sum, Unsigned { min: 1, max: 4 });
        // Some of it wraps: nothing is known.
        assert_eq!(Unsigned { min: 1, max: 14 }.add(Unsigned::exact(5), W), Unsigned::full(W));
    }

    #[test]
    fn shifts_are_sound() {
        for amount in 0..W.count() {
            for a in all_unsigned(W) {
                let (left, right) = (a.shl(amount, W), a.shr(amount));
                for x in a.min..=a.max {
                    assert!(left.contains(W.truncate(x << amount)) && right.contains(x >> amount));
                }
            }
            for a in all_signed(W) {
                let (left, right) = (a.shl(amount, W), a.sar(amount));
                for x in a.min..=a.max {
                    assert!(left.contains(W.sign_extend(W.from_signed(x << amount))) && right.contains(x >> amount));
                }
            }
        }
    }

    #[test]
    fn truncation_is_sound() {
        let narrow = Bits::new(2);
        for a in all_unsigned(W) {
            let cut = a.truncate(narrow);
            assert!((a.min..=a.max).all(|x| cut.contains(narrow.truncate(x))), "{a:?} cut to {cut:?}");
        }
    }

    #[test]
    fn corners_of_the_full_width() {
        let w = Bits::B64;
        assert_eq!(Unsigned::full(w).add(Unsigned::full(w), w), Unsigned::full(w));
        assert_eq!(Unsigned::exact(u64::MAX).mul(Unsigned::exact(u64::MAX), w), Unsigned::full(w));
        assert_eq!(Signed::exact(i64::MIN).div(Signed::exact(-1), w), Signed::exact(i64::MIN));
        assert_eq!(Signed { min: i64::MIN, max: 0 }.div(Signed::exact(-1), w), Signed::full(w));
        assert_eq!(Signed::exact(i64::MIN).rem(Signed::exact(-1)), Signed::exact(0));
        assert_eq!(Signed::full(w).rem(Signed::exact(i64::MIN)), Signed { min: -i64::MAX, max: i64::MAX });
        assert_eq!(Signed::full(w).div(Signed::full(w), w), Signed::full(w));
        assert_eq!(Signed { min: i64::MIN, max: 0 }.shl(1, w), Signed::full(w));
        assert_eq!(Signed::exact(i64::MIN).add(Signed::exact(-1), w), Signed::exact(i64::MAX));
        assert_eq!(Unsigned { min: 1 << 32, max: (1 << 32) + 5 }.truncate(Bits::B32), Unsigned { min: 0, max: 5 });
        assert_eq!(Unsigned { min: u64::from(u32::MAX), max: 1 << 32 }.truncate(Bits::B32), Unsigned::full(Bits::B32));
    }

    /// The least interval with all results, if none wraps.
    fn hull(results: impl Iterator<Item = i128>, least: i128, most: i128) -> Option<(i128, i128)> {
        let hull = results.fold((i128::MAX, i128::MIN), |(min, max), value| (min.min(value), max.max(value)));
        (least <= hull.0 && hull.1 <= most).then_some(hull)
    }

    /// What is said of each operation: bounds are exact where nothing wraps.
    #[test]
    fn unsigned_bounds_are_exact_where_nothing_wraps() {
        type Operation = (fn(Unsigned, Unsigned) -> Unsigned, fn(i128, i128) -> i128);
        let operations: [Operation; 4] = [
            (|a, b| a.add(b, W), |x, y| x + y),
            (|a, b| a.sub(b, W), |x, y| x - y),
            (|a, b| a.mul(b, W), |x, y| x * y),
            (Unsigned::div, |x, y| x.checked_div(y).unwrap_or(0)),
        ];
        for a in all_unsigned(W) {
            let numbers = |of: Unsigned| i128::from(of.min)..=i128::from(of.max);
            for b in all_unsigned(W) {
                for (index, (operation, value)) in operations.iter().enumerate() {
                    let values = numbers(a).flat_map(|x| numbers(b).map(move |y| value(x, y)));
                    let Some((min, max)) = hull(values, 0, W.mask().into()) else { continue };
                    let result = operation(a, b);
                    assert_eq!((result.min.into(), result.max.into()), (min, max), "{a:?} {b:?} by {index}");
                }
                let remainder = a.rem(b);
                assert!(remainder.max <= a.max && (b.min == 0 || remainder.max < b.max || remainder == a));
            }
            for amount in 0..W.count() {
                let (shifted, down) = (a.shl(amount, W), a.shr(amount));
                let left = hull(numbers(a).map(|x| x << amount), 0, W.mask().into());
                let want = left.map_or((0, W.mask().into()), |hull| hull);
                assert_eq!((shifted.min.into(), shifted.max.into()), want, "{a:?} {amount}");
                assert_eq!((down.min, down.max), (a.min >> amount, a.max >> amount));
            }
        }
        assert!(Unsigned::EMPTY.is_empty() && Signed::EMPTY.is_empty());
        assert!(!Unsigned::full(W).is_empty() && !Signed::full(W).is_empty());
    }

    #[test]
    fn signed_bounds_are_exact_where_nothing_wraps() {
        type Operation = (fn(Signed, Signed) -> Signed, fn(i128, i128) -> i128);
        let operations: [Operation; 3] = [
            (|a, b| a.add(b, W), |x, y| x + y),
            (|a, b| a.sub(b, W), |x, y| x - y),
            (|a, b| a.mul(b, W), |x, y| x * y),
        ];
        let (least, most) = (W.signed_min().into(), W.signed_max().into());
        for a in all_signed(W) {
            let numbers = |of: Signed| i128::from(of.min)..=i128::from(of.max);
            for b in all_signed(W) {
                for (index, (operation, value)) in operations.iter().enumerate() {
                    let values = numbers(a).flat_map(|x| numbers(b).map(move |y| value(x, y)));
                    let Some((min, max)) = hull(values, least, most) else { continue };
                    let result = operation(a, b);
                    assert_eq!((result.min.into(), result.max.into()), (min, max), "{a:?} {b:?} by {index}");
                }
                let result = a.div(b, W);
                let quotients = || numbers(a).flat_map(|x| numbers(b).map(move |y| x.checked_div(y).unwrap_or(0)));
                let hull = hull(quotients(), least, most);
                if b.min == b.max || hull.is_none() {
                    let (min, max) = if b.min == 0 && b.max == 0 { (0, 0) } else { hull.unwrap_or((least, most)) };
                    // MIN / -1 wraps to MIN.
                    let wrapped = a.min == a.max && hull.is_none();
                    let want = if wrapped && b.min == b.max { (least, least) } else { (min, max) };
                    assert_eq!((result.min.into(), result.max.into()), want, "{a:?} / {b:?}");
                    continue;
                }
                // Of several divisors: the signs that results can have, and no more than the dividend.
                let (negative, positive) = (a.min < 0 && b.max > 0 || a.max > 0 && b.min < 0, {
                    a.max > 0 && b.max > 0 || a.min < 0 && b.min < 0
                });
                let largest = i128::from(a.min).abs().max(i128::from(a.max).abs());
                let (min, max) = (if negative { -largest } else { 0 }, if positive { largest.min(most) } else { 0 });
                let min = if a.min == W.signed_min() { min } else { min.max(-most) };
                assert_eq!((result.min.into(), result.max.into()), (min, max), "{a:?} / {b:?}");
            }
            for amount in 0..W.count() {
                let (left, right) = (a.shl(amount, W), a.sar(amount));
                let want = super::tests::hull(numbers(a).map(|x| x << amount), least, most).unwrap_or((least, most));
                assert_eq!((left.min.into(), left.max.into()), want, "{a:?} {amount}");
                assert_eq!((right.min, right.max), (a.min >> amount, a.max >> amount));
            }
        }
    }
}
