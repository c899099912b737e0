//! Arithmetic, shifts and byte order: sound, and as precise as can be expected.

use super::*;
use crate::isa::Width;

#[test]
fn every_operation_is_sound_on_every_four_bit_value() {
    let all = with_members(W);
    for op in OPS {
        for (a, xs) in &all {
            for (b, ys) in &all {
                let result = Scalar::alu(op, *a, *b, W);
                assert!(result.is_consistent(W), "{op:?} of {a:?} and {b:?} is {result:?}");
                for x in xs {
                    for y in ys {
                        let value = concrete(op, *x, *y, W);
                        assert!(result.contains(value, W), "{op:?} of {a:?} and {b:?} is {result:?} without {value}");
                    }
                }
            }
        }
    }
}

#[test]
fn operations_on_constants_give_constants() {
    for op in OPS {
        for x in 0..=W.mask() {
            for y in 0..=W.mask() {
                let result = Scalar::alu(op, Scalar::exact(x, W), Scalar::exact(y, W), W);
                assert_eq!(result.as_constant(), Some(concrete(op, x, y, W)), "{op:?} of {x} and {y}");
            }
        }
    }
}

#[test]
fn every_operation_on_lower_bits_is_sound() {
    for (narrow, wide) in WIDTHS.map(|(narrow, wide)| (Bits::new(narrow), Bits::new(wide))) {
        // Every seventh value on the right, in turn: every pair of parts meets, in time.
        let all = with_members(wide);
        for op in OPS {
            for (index, (a, xs)) in all.iter().enumerate() {
                for (b, ys) in all.iter().skip(index % 7).step_by(7) {
                    let result = Scalar::alu_low(op, *a, *b, narrow, wide);
                    assert!(result.is_consistent(wide), "{op:?} of {a:?} and {b:?} is {result:?}");
                    for (x, y) in xs.iter().flat_map(|x| ys.iter().map(move |y| (*x, *y))) {
                        let value = concrete(op, narrow.truncate(x), narrow.truncate(y), narrow);
                        assert!(result.contains(value, wide), "{op:?} {a:?} {b:?}: {result:?} without {value}");
                    }
                }
            }
        }
    }
}

#[test]
fn operations_are_sound_at_the_corners_of_both_register_widths() {
    for bits in [Bits::B32, Bits::B64] {
        // Every seventh value on the left, against a rotating choice on the right: all corners meet, in time.
        let all = corner_scalars(bits);
        let points = corners().into_iter().map(|value| bits.truncate(value)).collect::<Vec<_>>();
        for (index, a) in all.iter().enumerate().step_by(7) {
            for b in all.iter().skip(index % 11).step_by(11) {
                for op in OPS.into_iter().chain([AluOp::Movsx8, AluOp::Movsx16, AluOp::Movsx32]) {
                    if op == AluOp::Movsx32 && bits == Bits::B32 {
                        continue;
                    }
                    let result = Scalar::alu(op, *a, *b, bits);
                    assert!(result.is_consistent(bits), "{op:?} of {a:?} and {b:?} is {result:?}");
                    for x in points.iter().filter(|x| a.contains(**x, bits)) {
                        for y in points.iter().filter(|y| b.contains(**y, bits)) {
                            let value = concrete(op, *x, *y, bits);
                            assert!(result.contains(value, bits), "{op:?} {a:?} {b:?}: {result:?} without {value:#x}");
                        }
                    }
                }
            }
        }
    }
}

/// 32-bit arithmetic and comparisons of whole registers, with the machine's own meaning as the reference.
#[test]
fn narrow_operations_of_registers_are_sound_at_the_corners() {
    let (narrow, wide) = (Bits::B32, Bits::B64);
    let (all, points) = (corner_scalars(wide), corners());
    for (index, a) in all.iter().enumerate().step_by(11) {
        for b in all.iter().skip(index % 29).step_by(29) {
            let pairs = || {
                let ys = || points.iter().filter(|y| b.contains(**y, wide));
                points.iter().filter(|x| a.contains(**x, wide)).flat_map(move |x| ys().map(move |y| (*x, *y)))
            };
            for op in OPS.into_iter().chain([AluOp::Movsx8, AluOp::Movsx16]) {
                let result = Scalar::alu_low(op, *a, *b, narrow, wide);
                assert!(result.is_consistent(wide), "{op:?} of {a:?} and {b:?} is {result:?}");
                for (x, y) in pairs() {
                    let value = op.apply(Width::W32, x, y);
                    assert!(result.contains(value, wide), "{op:?} {a:?} {b:?}: {result:?} without {value:#x}");
                }
            }
            for (cond, outcome) in CONDS.into_iter().flat_map(|cond| [(cond, true), (cond, false)]) {
                let refined = Scalar::refine_low(cond, outcome, *a, *b, narrow, wide);
                for (x, y) in pairs().filter(|(x, y)| cond.holds(Width::W32, *x, *y) == outcome) {
                    let (a, b) = refined.expect("some pair satisfies it");
                    assert!(a.contains(x, wide) && b.contains(y, wide), "{cond:?} {outcome} loses {x:#x}, {y:#x}");
                }
            }
        }
    }
}

/// How many results are as small as they can be. Not a promise: a floor, so that a loss of precision shows.
#[test]
fn most_operations_are_as_precise_as_they_can_be() {
    let all = with_members(W);
    for (op, floor) in [
        (AluOp::Add, 80),
        (AluOp::Sub, 80),
        (AluOp::Mul, 55),
        (AluOp::Div, 70),
        (AluOp::Sdiv, 35),
        (AluOp::Or, 75),
        (AluOp::And, 75),
        (AluOp::Lsh, 15),
        (AluOp::Rsh, 40),
        (AluOp::Neg, 95),
        (AluOp::Mod, 45),
        (AluOp::Smod, 60),
        (AluOp::Xor, 60),
        (AluOp::Mov, 100),
        (AluOp::Arsh, 70),
    ] {
        let (mut exact, mut total) = (0, 0);
        for (index, (a, xs)) in all.iter().enumerate() {
            for (b, ys) in all.iter().skip(index % 7).step_by(7) {
                let results = xs.iter().flat_map(|x| ys.iter().map(|y| concrete(op, *x, *y, W)));
                let best = results.map(|value| Scalar::exact(value, W)).reduce(|a, b| a.join(b, W));
                total += 1;
                exact += usize::from(best.is_some_and(|best| Scalar::alu(op, *a, *b, W).is_within_at(best, W)));
            }
        }
        assert!(exact * 100 >= total * floor, "{op:?}: {} of 100", exact * 100 / total);
    }
}

#[test]
fn masks_and_bounds_sharpen_each_other() {
    let w = Bits::B64;
    let masked = Scalar::alu(AluOp::And, Scalar::unknown(w), Scalar::exact(0x38, w), w);
    assert_eq!((masked.unsigned().min, masked.unsigned().max), (0, 0x38));
    assert_eq!(masked.to_string(), "0..=56 (multiple of 8)");
    let bounded = Scalar::range(16, 31, w);
    assert_eq!(bounded.tnum(), Tnum::new(16, 15));
    let (negative, _) = Scalar::refine(Cond::Slt, true, Scalar::unknown(w), Scalar::exact(0, w), w).unwrap();
    assert_eq!(negative.tnum().ones(), 1 << 63);
}

/// What is known of bits survives a remainder: by zero all of it, by a power of two what is below.
#[test]
fn remainders_keep_bits() {
    for a in all(W) {
        let all = Scalar::alu(AluOp::Mod, a, Scalar::exact(0, W), W);
        assert_eq!((all.tnum(), all.unsigned()), (a.tnum(), a.unsigned()));
        for power in 0..3 {
            let remainder = Scalar::alu(AluOp::Mod, a, Scalar::exact(1 << power, W), W);
            let known = a.tnum().and(Tnum::exact((1 << power) - 1));
            assert_eq!(remainder.tnum().meet(known), Some(remainder.tnum()), "{a:?} % {}", 1 << power);
        }
    }
}

/// Shifts right by one of several amounts keep the bounds that they can have, the most of them by the least amount.
#[test]
fn shifts_by_several_amounts_keep_bounds() {
    let w = Bits::new(8);
    let samples = [(0, 255), (100, 200), (7, 9), (0x80, 0xff), (0x40, 0xc0)];
    for (min, max) in samples {
        let a = Scalar::range(min, max, w);
        for least in 0..8 {
            for most in least..10 {
                let amount = Scalar::range(least, most, w);
                for (op, shift) in [(AluOp::Rsh, 0), (AluOp::Arsh, 1), (AluOp::Lsh, 2)] {
                    let amounts = if most < 8 { least..=most } else { 0..=7 };
                    let shifted = Scalar::alu(op, a, amount, w);
                    let results = || {
                        (min..=max).flat_map(|x| amounts.clone().map(move |by| (x, by))).map(|(x, by)| match shift {
                            0 => x >> by,
                            1 => w.from_signed(w.sign_extend(x) >> by),
                            _ => w.truncate(x << by),
                        })
                    };
                    assert!(results().all(|value| shifted.contains(value, w)), "{op:?} {a:?} {amount:?}");
                    if op == AluOp::Rsh {
                        let hull = (results().min(), results().max());
                        assert_eq!((Some(shifted.unsigned().min), Some(shifted.unsigned().max)), hull, "{a} {amount}");
                    }
                    if op == AluOp::Arsh {
                        let hull =
                            (results().map(|x| w.sign_extend(x)).min(), results().map(|x| w.sign_extend(x)).max());
                        assert_eq!((Some(shifted.signed().min), Some(shifted.signed().max)), hull, "{a} {amount}");
                    }
                }
            }
        }
    }
}
