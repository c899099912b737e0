//! Widening: from what holds before and after an iteration to what may hold after many, in few steps.
//!
//! A bound that moved is let go as far as the next *threshold*, a number that the loop compares with, or a limit of
//! some width; where there is none left, all the way. What was known of low bits (a multiple of eight) is kept as
//! long as it holds. Whatever is guessed here, the checking pass afterwards proves or refuses it.

use std::collections::BTreeSet;

use super::{Pointer, RegType, Why};
use crate::verifier::number::{Bits, Scalar, Tnum};

const B64: Bits = Bits::B64;
const B32: Bits = Bits::B32;

/// Thresholds of one loop, at most; beyond the usual ones those of the loop's first instructions count.
pub(super) const THRESHOLDS_MAX: usize = 64;

/// Limits at which bounds are worth keeping in any loop.
const USUAL: [u64; 11] = [
    0,
    1,
    0xff,
    0x7fff,
    0xffff,
    0x7fff_ffff,
    0xffff_ffff,
    0x7fff_ffff_ffff_ffff,
    0x8000_0000_0000_0000,
    0xffff_ffff_8000_0000,
    0xffff_ffff_ffff_ffff,
];

/// Numbers at which a bound may stop.
#[derive(Clone, Debug, Default)]
pub(in crate::verifier) struct Thresholds {
    /// As unsigned numbers.
    all: BTreeSet<u64>,
}

impl Thresholds {
    /// None but the ends of the width: what moves is let go at once.
    pub(in crate::verifier) const NONE: Self = Self { all: BTreeSet::new() };

    /// The usual ones.
    pub(in crate::verifier) fn usual() -> Self {
        Self { all: USUAL.into_iter().collect() }
    }

    /// Adds a number that is compared with, and its neighbours.
    pub(in crate::verifier) fn add(&mut self, number: u64) {
        for number in [number, number.wrapping_sub(1), number.wrapping_add(1)] {
            if self.all.len() < THRESHOLDS_MAX {
                self.all.insert(number);
            }
        }
    }

    fn at_least(&self, number: u64) -> u64 {
        self.all.range(number..).next().copied().unwrap_or(u64::MAX)
    }

    fn at_most(&self, number: u64) -> u64 {
        self.all.range(..=number).next_back().copied().unwrap_or(0)
    }

    fn signed_at_least(&self, number: i64) -> i64 {
        let above = self.all.iter().map(|threshold| threshold.cast_signed()).filter(|threshold| *threshold >= number);
        above.min().unwrap_or(i64::MAX)
    }

    fn signed_at_most(&self, number: i64) -> i64 {
        let below = self.all.iter().map(|threshold| threshold.cast_signed()).filter(|threshold| *threshold <= number);
        below.max().unwrap_or(i64::MIN)
    }
}

/// What holds of both and, where the newer one goes beyond the older, of more.
pub(super) fn scalar(older: Scalar, newer: Scalar, thresholds: &Thresholds) -> Scalar {
    let both = older.join(newer, B64);
    if both == older {
        return older;
    }
    let (unsigned, before) = (both.unsigned(), older.unsigned());
    let min = if unsigned.min < before.min { thresholds.at_most(unsigned.min) } else { unsigned.min };
    let max = if unsigned.max > before.max { thresholds.at_least(unsigned.max) } else { unsigned.max };
    let by_unsigned = Scalar::range(min, max, B64);
    let (signed, before) = (both.signed(), older.signed());
    let min = if signed.min < before.min { thresholds.signed_at_most(signed.min) } else { signed.min };
    let max = if signed.max > before.max { thresholds.signed_at_least(signed.max) } else { signed.max };
    let by_signed = Scalar::signed_range(min, max, B64);
    let tnum = both.tnum();
    let tnum = if tnum == older.tnum() {
        tnum
    } else {
        let lowest = tnum.unknown_bits().trailing_zeros();
        Tnum::new(tnum.ones(), u64::MAX.checked_shl(lowest).unwrap_or(0))
    };
    let known = by_unsigned.meet(by_signed, B64).meet(Scalar::of_tnum(tnum, B64), B64);
    // The lower half as a signed number.
    let (low, before) = (both.truncate(B32, B64).signed(), older.truncate(B32, B64).signed());
    let min = if low.min < before.min { thresholds.signed_at_most(low.min) } else { low.min };
    let max = if low.max > before.max { thresholds.signed_at_least(low.max) } else { low.max };
    let (min, max) = (min.max(B32.signed_min()), max.min(B32.signed_max()));
    known.with_low(Scalar::signed_range(min, max, B32), B32, B64)
}

/// The same of any value.
pub(super) fn value(older: RegType, newer: RegType, thresholds: &Thresholds) -> RegType {
    match (older, newer) {
        (RegType::Scalar(a), RegType::Scalar(b)) => RegType::Scalar(scalar(a, b, thresholds)),
        (RegType::Pointer(a), RegType::Pointer(b)) if (a.region, a.object) == (b.region, b.object) => {
            RegType::Pointer(Pointer { offset: scalar(a.offset, b.offset, thresholds), ..a })
        }
        // Other kinds have few values.
        (RegType::Unusable(why), RegType::Unusable(_)) => RegType::Unusable(why),
        (older, newer) => match older.join(newer) {
            RegType::Unusable(Why::NeverWritten) => RegType::Unusable(Why::SomePaths),
            joined => joined,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn thresholds(numbers: &[u64]) -> Thresholds {
        let mut thresholds = Thresholds::usual();
        for number in numbers {
            thresholds.add(*number);
        }
        thresholds
    }

    #[test]
    fn bounds_stop_at_thresholds() {
        let loop_to_ten = thresholds(&[10]);
        let range = |min, max| Scalar::range(min, max, B64);
        let signed = |min, max| Scalar::signed_range(min, max, B64);
        assert_eq!(scalar(range(0, 1), range(1, 2), &loop_to_ten), range(0, 9));
        assert_eq!(scalar(range(0, 9), range(1, 10), &loop_to_ten), range(0, 10));
        assert_eq!(scalar(range(0, 10), range(1, 11), &loop_to_ten), range(0, 11));
        // As far as the bits that are known to be zero.
        assert_eq!(scalar(range(0, 11), range(1, 12), &loop_to_ten), range(0, 15));
        assert_eq!(scalar(range(0, 15), range(1, 16), &loop_to_ten), range(0, 255));
        assert_eq!(scalar(range(5, 9), range(4, 8), &loop_to_ten), range(1, 9));
        assert_eq!(scalar(signed(-3, 3), signed(-4, 2), &thresholds(&[-4i64 as u64])), signed(-4, 3));
        // What did not move stays, so half of all numbers are left.
        let wide = scalar(range(0, 1), range(1, 2), &Thresholds::NONE);
        assert!(wide.is_within(signed(0, i64::MAX)) && wide.signed().max > i64::MAX / 2);
        assert_eq!(scalar(range(3, 9), range(4, 8), &Thresholds::NONE), range(3, 9));
    }

    #[test]
    fn multiples_stay_multiples() {
        let widened = scalar(Scalar::exact(0, B64), Scalar::exact(8, B64), &thresholds(&[]));
        assert_eq!(widened.to_string(), "0..=248 (multiple of 8)");
    }

    /// Every chain ends, soon, and each element holds what led to it.
    #[test]
    fn chains_are_short() {
        let mut random = 1u64;
        let mut next = || {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            random.rotate_left(32) >> (random >> 58)
        };
        for _ in 0..500 {
            let loop_thresholds = thresholds(&[next(), next()]);
            let mut widened = Scalar::exact(next(), B64);
            let mut changes = 0;
            for _ in 0..2000 {
                let newer = match next() % 3 {
                    0 => Scalar::exact(next(), B64),
                    1 => Scalar::range(next() / 2, next() | 1 << 63, B64),
                    _ => Scalar::alu(crate::isa::AluOp::Add, widened, Scalar::exact(next() % 16, B64), B64),
                };
                let wider = scalar(widened, newer, &loop_thresholds);
                assert!(wider.is_consistent(B64) && widened.is_within(wider) && newer.is_within(wider));
                changes += u32::from(wider != widened);
                widened = wider;
            }
            assert!(changes < 60, "{changes}");
        }
    }

    /// Numbers that are compared with, and their neighbours, at the places where readings turn over.
    #[test]
    fn the_next_threshold_in_both_readings() {
        let (s31, s63) = (1u64 << 31, 1u64 << 63);
        let low = 0xffff_ffff_8000_0000;
        for (number, below, above) in [
            (0, 0, 0),
            (2, 1, 0xff),
            (0x100, 0xff, 0x7fff),
            (s31 - 1, s31 - 1, s31 - 1),
            (s31, s31 - 1, 0xffff_ffff),
            (1 << 32, 0xffff_ffff, s63 - 1),
            (s63, s63, s63),
            (s63 + 1, s63, low),
            (u64::MAX - 1, low, u64::MAX),
        ] {
            let usual = Thresholds::usual();
            assert_eq!((usual.at_most(number), usual.at_least(number)), (below, above), "{number:#x}");
        }
        let (min32, max32) = (i64::from(i32::MIN), i64::from(i32::MAX));
        for (number, below, above) in [
            (i64::MIN, i64::MIN, i64::MIN),
            (i64::MIN + 1, i64::MIN, min32),
            (min32 - 1, i64::MIN, min32),
            (min32, min32, min32),
            (-2, min32, -1),
            (-1, -1, -1),
            (max32, max32, max32),
            (max32 + 1, max32, 0xffff_ffff),
            (1 << 32, 0xffff_ffff, i64::MAX),
        ] {
            let usual = Thresholds::usual();
            assert_eq!((usual.signed_at_most(number), usual.signed_at_least(number)), (below, above), "{number:#x}");
        }
        // Neighbours wrap around with the number.
        for (number, want) in [
            (0, [0, 1, u64::MAX]),
            (u64::MAX, [0, u64::MAX - 1, u64::MAX]),
            (s63, [s63 - 1, s63, s63 + 1]),
            (s31, [s31 - 1, s31, s31 + 1]),
        ] {
            let mut one = Thresholds::default();
            one.add(number);
            assert_eq!(one.all.into_iter().collect::<Vec<_>>(), want, "{number:#x}");
        }
        // None but the ends of the width.
        let none = Thresholds::NONE;
        assert_eq!((none.at_most(5), none.at_least(5)), (0, u64::MAX));
        assert_eq!((none.signed_at_most(5), none.signed_at_least(5)), (i64::MIN, i64::MAX));
    }

    #[test]
    fn thresholds_at_their_limit() {
        for count in [THRESHOLDS_MAX - 1, THRESHOLDS_MAX, THRESHOLDS_MAX + 1, 1000] {
            let mut thresholds = Thresholds::default();
            // Neighbours of each other, so that each adds one; the first adds three.
            (1..count as u64 - 1).for_each(|number| thresholds.add(number));
            assert_eq!(thresholds.all.len(), count.min(THRESHOLDS_MAX), "{count}");
            // The first ones are kept.
            assert!(thresholds.all.iter().copied().eq(0..count.min(THRESHOLDS_MAX) as u64), "{count}");
        }
    }

    /// What did not move stays, whatever the thresholds: of numbers in all readings, and where addresses lead.
    #[test]
    fn what_did_not_move_stays() {
        let range = |min, max| Scalar::range(min, max, B64);
        let signed = |min, max| Scalar::signed_range(min, max, B64);
        for thresholds in [thresholds(&[]), thresholds(&[100]), Thresholds::NONE] {
            for (older, newer) in [(range(5, 9), range(5, 12)), (range(5, 9), range(6, 12))] {
                assert_eq!(scalar(older, newer, &thresholds).unsigned().min, 5);
            }
            for (older, newer) in [(range(5, 9), range(4, 9)), (range(5, 9), range(4, 8))] {
                assert_eq!(scalar(older, newer, &thresholds).unsigned().max, 9);
            }
            assert_eq!(scalar(signed(-5, 9), signed(-5, 12), &thresholds).signed().min, -5);
            assert_eq!(scalar(signed(-5, 9), signed(-7, 9), &thresholds).signed().max, 9);
            // Of the lower half.
            let low = |min, max| Scalar::signed_range(min, max, B32).zero_extend(B32, B64);
            let half = |older, newer| scalar(older, newer, &thresholds).truncate(B32, B64).signed();
            assert_eq!(half(low(-5, 9), low(-5, 12)).min, -5);
            assert_eq!(half(low(-5, 9), low(-7, 9)).max, 9);
        }
    }

    #[test]
    fn addresses_widen_within_one_object() {
        let at =
            |region, object, offset| RegType::Pointer(Pointer { region, object, offset: Scalar::exact(offset, B64) });
        use crate::memory::Region::{MapValues, Record, Stack};
        let none = Thresholds::NONE;
        let moved = value(at(MapValues, 1, 0), at(MapValues, 1, 8), &none);
        let pointer = moved.as_pointer().unwrap();
        assert_eq!((pointer.region, pointer.object), (MapValues, 1));
        assert_eq!(pointer.offset, scalar(Scalar::exact(0, B64), Scalar::exact(8, B64), &none));
        for other in [at(MapValues, 2, 0), at(Record, 1, 0), at(Stack, 1, 0), RegType::exact(8)] {
            assert!(matches!(value(at(MapValues, 1, 8), other, &none), RegType::Unusable(_)), "{other}");
        }
        let unusable = |why| RegType::Unusable(why);
        assert_eq!(value(unusable(Why::Call), unusable(Why::NeverWritten), &none), unusable(Why::Call));
        assert_eq!(value(unusable(Why::NeverWritten), RegType::exact(0), &none), unusable(Why::SomePaths));
    }
}
