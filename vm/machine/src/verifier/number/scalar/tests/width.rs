//! Changes of width and of byte order.

use super::*;
use crate::isa::Order;

#[test]
fn changes_of_width_are_sound() {
    for (narrow, wide) in [(3, 5), (3, 6), (2, 4), (2, 5)].map(|(narrow, wide)| (Bits::new(narrow), Bits::new(wide))) {
        for (a, xs) in with_members(wide) {
            let cut = a.truncate(narrow, wide);
            assert!(cut.is_consistent(narrow));
            assert!(xs.iter().all(|x| cut.contains(narrow.truncate(*x), narrow)));
            for (low, _) in with_members(narrow) {
                let refined = a.with_low(low, narrow, wide);
                for x in xs.iter().filter(|x| low.contains(narrow.truncate(**x), narrow)) {
                    assert!(!refined.is_empty() && refined.contains(*x, wide), "{a:?} with low {low:?} loses {x}");
                }
                assert!(refined.is_empty() || refined.is_consistent(wide) && refined.is_within_at(a, wide));
            }
        }
        for (a, xs) in with_members(narrow) {
            let (zeros, signs) = (a.zero_extend(narrow, wide), a.sign_extend(narrow, wide));
            assert!(zeros.is_consistent(wide) && signs.is_consistent(wide));
            for x in xs {
                assert!(zeros.contains(x, wide));
                assert!(signs.contains(wide.from_signed(narrow.sign_extend(x)), wide));
            }
        }
    }
}

/// Signed bounds survive being a zero-extended lower half, and extending its sign by shifts.
#[test]
fn the_lower_half_remembers_its_signed_bounds() {
    let (narrow, wide) = (Bits::new(3), Bits::new(6));
    let amount = Scalar::exact(3, wide);
    for min in -4..=3 {
        for max in min..=3 {
            let signed = Scalar::signed_range(min, max, narrow);
            let held = signed.zero_extend(narrow, wide);
            assert_eq!(held.truncate(narrow, wide), signed);
            let up = Scalar::alu(AluOp::Lsh, held, amount, wide);
            assert_eq!(Scalar::alu(AluOp::Arsh, up, amount, wide), signed.sign_extend(narrow, wide));
            assert_eq!(held.join(held, wide), held);
            for value in members(signed, narrow) {
                let one = Scalar::exact(value, wide);
                assert!(one.is_within_at(held, wide));
                assert_eq!(one.join(held, wide), held);
                assert_eq!(one.meet(held, wide), one);
            }
        }
    }
    // As C on the second version of the instruction set has it: `if (i < -3 || i > 3)`, then i extended.
    let w = Bits::B64;
    let i = Scalar::low_bits(Bits::B32);
    let refine = |a: Scalar, cond, number: i64| {
        let low = a.truncate(Bits::B32, w);
        let number = Scalar::exact(number.cast_unsigned(), Bits::B32);
        let (low, _) = Scalar::refine(cond, false, low, number, Bits::B32).unwrap();
        a.with_low(low, Bits::B32, w)
    };
    let bounded = refine(refine(i, Cond::Slt, -3), Cond::Sgt, 3);
    assert_eq!(bounded.to_string(), "0..=4294967295 (lower half -3..=3)");
    let up = Scalar::alu(AluOp::Lsh, bounded, Scalar::exact(32, w), w);
    assert_eq!(Scalar::alu(AluOp::Arsh, up, Scalar::exact(32, w), w).to_string(), "-3..=3");
    assert_eq!(refine(bounded, Cond::Slt, 0).to_string(), "0..=3");
    let minus_one = Scalar::exact(0xffff_ffff, w);
    assert_eq!(minus_one.join(Scalar::exact(5, w), w).to_string(), "5..=4294967295 (lower half -1..=5)");
}

#[test]
fn byte_order_is_sound_at_the_corners() {
    let points = corners();
    for a in corner_scalars(Bits::B64) {
        for order in [Order::ToLittle, Order::ToBig, Order::Reverse] {
            for low in [16, 32, 64] {
                let result = a.byte_order(order, Bits::new(low), Bits::B64);
                assert!(result.is_consistent(Bits::B64), "{order:?} {low} of {a:?} is {result:?}");
                for x in points.iter().filter(|x| a.contains(**x, Bits::B64)) {
                    let value = order.apply(low as u8, *x);
                    assert!(result.contains(value, Bits::B64), "{order:?} {low} of {a:?} without {value:#x}");
                }
            }
        }
    }
}

#[test]
fn byte_order_is_sound_and_exact_on_constants() {
    let w = Bits::B64;
    let value = 0x1122_3344_5566_7788_u64;
    let exact = |order, low| Scalar::exact(value, w).byte_order(order, low, w).as_constant();
    assert_eq!(exact(Order::ToBig, Bits::B16), Some(0x8877));
    assert_eq!(exact(Order::Reverse, Bits::B32), Some(0x8877_6655));
    assert_eq!(exact(Order::ToBig, Bits::B64), Some(value.swap_bytes()));
    assert_eq!(exact(Order::ToLittle, Bits::B32), Some(0x5566_7788));
    let byte = Scalar::range(0, 255, w).byte_order(Order::ToBig, Bits::B16, w);
    assert_eq!((byte.unsigned().max, byte.tnum().possible_ones()), (0xff00, 0xff00));
    assert_eq!(Scalar::unknown(w).byte_order(Order::ToLittle, Bits::B64, w), Scalar::unknown(w));
}

/// Where the bits above are known, bounds of the lower ones are bounds of the whole.
#[test]
fn bounds_of_the_lower_bits_are_taken_in() {
    let (narrow, wide) = (Bits::new(3), Bits::new(6));
    for above in 0..8 {
        let whole = Scalar::range(above << 3, above << 3 | 7, wide);
        for (low, xs) in with_members(narrow) {
            let known = whole.with_low(low, narrow, wide);
            let want = xs.iter().map(|x| Scalar::exact(above << 3 | x, wide)).reduce(|a, b| a.join(b, wide)).unwrap();
            assert!(known.is_within_at(want, wide), "{known:?} is not {want:?}");
            assert_eq!(known.unsigned(), want.unsigned(), "{low:?} below {above}");
        }
    }
}
