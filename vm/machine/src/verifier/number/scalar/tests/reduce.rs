//! Reduction is exact.

use super::*;

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
                        check_reduction(Scalar { tnum, unsigned: Unsigned { min: *min, max: *max }, signed, low }, w);
                    }
                }
            }
        }
    }
}

/// The check that the verifier makes of itself: each part goes beyond its width by one, or is empty, or contradicts
/// the others.
#[test]
fn numbers_that_cannot_be_are_noticed() {
    let half = W.half();
    let good = Scalar::unknown(W);
    assert!(good.is_consistent(W) && !good.is_empty());
    let beyond = W.mask() + 1;
    for (bad, what) in [
        (Scalar { tnum: Tnum::exact(beyond), ..good }, "a known bit"),
        (Scalar { tnum: Tnum::new(0, W.mask() | beyond), ..good }, "an unknown bit"),
        (Scalar { unsigned: Unsigned { min: 0, max: beyond }, ..good }, "the greatest"),
        (Scalar { signed: Signed { min: W.signed_min() - 1, ..good.signed }, ..good }, "the least signed one"),
        (Scalar { signed: Signed { max: W.signed_max() + 1, ..good.signed }, ..good }, "the greatest signed one"),
        (Scalar { low: Signed { min: half.signed_min() - 1, ..good.low }, ..good }, "the least of the lower half"),
        (Scalar { low: Signed { max: half.signed_max() + 1, ..good.low }, ..good }, "the greatest of the lower half"),
        (Scalar { tnum: Tnum::exact(1), unsigned: Unsigned { min: 2, max: 3 }, ..good }, "no number"),
    ] {
        assert!(!bad.is_consistent(W), "{what}");
    }
    for empty in [
        Scalar { unsigned: Unsigned::EMPTY, ..good },
        Scalar { signed: Signed::EMPTY, ..good },
        Scalar { low: Signed::EMPTY, ..good },
    ] {
        assert!(empty.is_empty() && !empty.is_consistent(W));
    }
}
