//! Comparisons: no pair that satisfies one is lost.

use super::*;

#[test]
fn every_refinement_keeps_every_pair_that_satisfies_it() {
    let all = with_members(W);
    for cond in CONDS {
        for outcome in [true, false] {
            for (a, xs) in &all {
                for (b, ys) in &all {
                    let refined = Scalar::refine(cond, outcome, *a, *b, W);
                    if let Some((a_after, b_after)) = refined {
                        assert!(a_after.is_consistent(W) && b_after.is_consistent(W));
                        assert!(
                            a_after.is_within_at(*a, W) && b_after.is_within_at(*b, W),
                            "{cond:?} widens {a:?} or {b:?}"
                        );
                    }
                    for (x, y) in xs.iter().flat_map(|x| ys.iter().map(move |y| (*x, *y))) {
                        if holds(cond, x, y, W) == outcome {
                            let (a, b) = refined.expect("some pair satisfies it");
                            assert!(a.contains(x, W) && b.contains(y, W), "{cond:?} {outcome} loses {x}, {y}");
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn every_refinement_of_lower_bits_keeps_every_pair_that_satisfies_it() {
    for (narrow, wide) in WIDTHS.map(|(narrow, wide)| (Bits::new(narrow), Bits::new(wide))) {
        let all = with_members(wide);
        for (cond, outcome) in CONDS.into_iter().flat_map(|cond| [(cond, true), (cond, false)]) {
            for (index, (a, xs)) in all.iter().enumerate() {
                for (b, ys) in all.iter().skip(index % 7).step_by(7) {
                    let refined = Scalar::refine_low(cond, outcome, *a, *b, narrow, wide);
                    if let Some((a_after, b_after)) = refined {
                        assert!(a_after.is_consistent(wide) && b_after.is_consistent(wide));
                        assert!(a_after.is_within_at(*a, wide) && b_after.is_within_at(*b, wide));
                    }
                    for (x, y) in xs.iter().flat_map(|x| ys.iter().map(move |y| (*x, *y))) {
                        if holds(cond, narrow.truncate(x), narrow.truncate(y), narrow) == outcome {
                            let (a, b) = refined.expect("some pair satisfies it");
                            assert!(a.contains(x, wide) && b.contains(y, wide), "{cond:?} {outcome} loses {x}, {y}");
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn comparing_constants_decides_the_branch() {
    for cond in CONDS {
        for x in 0..=W.mask() {
            for y in 0..=W.mask() {
                for outcome in [true, false] {
                    let refined = Scalar::refine(cond, outcome, Scalar::exact(x, W), Scalar::exact(y, W), W);
                    assert_eq!(refined.is_some(), holds(cond, x, y, W) == outcome, "{cond:?} of {x} and {y}");
                }
            }
        }
    }
}

#[test]
fn refinements_are_sound_at_the_corners_of_both_register_widths() {
    for bits in [Bits::B32, Bits::B64] {
        let all = corner_scalars(bits);
        let points = corners().into_iter().map(|value| bits.truncate(value)).collect::<Vec<_>>();
        for (index, a) in all.iter().enumerate().step_by(7) {
            for b in all.iter().skip(index % 11).step_by(11) {
                for (cond, outcome) in CONDS.into_iter().flat_map(|cond| [(cond, true), (cond, false)]) {
                    let refined = Scalar::refine(cond, outcome, *a, *b, bits);
                    for x in points.iter().filter(|x| a.contains(**x, bits)) {
                        for y in points.iter().filter(|y| b.contains(**y, bits)) {
                            if holds(cond, *x, *y, bits) == outcome {
                                let (a, b) = refined.expect("some pair satisfies it");
                                assert!(a.contains(*x, bits) && b.contains(*y, bits));
                            }
                        }
                    }
                }
            }
        }
    }
}
