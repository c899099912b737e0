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
