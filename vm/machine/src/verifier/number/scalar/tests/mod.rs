//! Every abstract value of a small width against every concrete one, and both register widths at their corners.
//!
//! Here is what the tests share: the values, and what operations mean.

mod arithmetic;
mod compare;
mod reduce;
mod width;
mod words;

use super::*;
use crate::isa::{AluOp, Cond};

const W: Bits = Bits::new(4);

/// Every tnum, unsigned and signed interval of a width, and every meet of a tnum with an unsigned interval.
fn all(bits: Bits) -> Vec<Scalar> {
    let mut found = Vec::new();
    let values = 0..=bits.mask();
    for low in values.clone() {
        for high in values.clone() {
            if low & high == 0 {
                found.push(Scalar::of_tnum(Tnum::new(low, high), bits));
            }
            if low <= high {
                found.push(Scalar::range(low, high, bits));
            }
            let (low, high) = (bits.sign_extend(low), bits.sign_extend(high));
            if low <= high {
                found.push(Scalar::signed_range(low, high, bits));
            }
        }
    }
    // What is known of the lower half alone, of the rest nothing or that it is zero.
    let half = bits.half();
    for min in half.signed_min()..=half.signed_max() {
        for max in min..=half.signed_max() {
            let low = Scalar { low: Signed { min, max }, ..Scalar::unknown(bits) };
            found.push(low.reduced(bits));
            found.push(Scalar { unsigned: Unsigned { min: 0, max: half.mask() }, ..low }.reduced(bits));
        }
    }
    found.dedup();
    found
}

fn members(scalar: Scalar, bits: Bits) -> Vec<u64> {
    (0..=bits.mask()).filter(|value| scalar.contains(*value, bits)).collect()
}

fn with_members(bits: Bits) -> Vec<(Scalar, Vec<u64>)> {
    all(bits).into_iter().map(|scalar| (scalar, members(scalar, bits))).collect()
}

/// What RFC 9669 says, at any width: the reference that the abstract operations are held against.
fn concrete(op: AluOp, x: u64, y: u64, bits: Bits) -> u64 {
    let (sx, sy) = (bits.sign_extend(x), bits.sign_extend(y));
    let amount = (y % u64::from(bits.count())) as u32;
    bits.truncate(match op {
        AluOp::Add => x.wrapping_add(y),
        AluOp::Sub => x.wrapping_sub(y),
        AluOp::Mul => x.wrapping_mul(y),
        AluOp::Div => x.checked_div(y).unwrap_or(0),
        AluOp::Sdiv => {
            if sy == 0 {
                0
            } else {
                sx.wrapping_div(sy).cast_unsigned()
            }
        }
        AluOp::Or => x | y,
        AluOp::And => x & y,
        AluOp::Lsh => x << amount,
        AluOp::Rsh => x >> amount,
        AluOp::Neg => x.wrapping_neg(),
        AluOp::Mod => x.checked_rem(y).unwrap_or(x),
        AluOp::Smod => {
            if sy == 0 {
                x
            } else {
                sx.wrapping_rem(sy).cast_unsigned()
            }
        }
        AluOp::Xor => x ^ y,
        AluOp::Mov => y,
        AluOp::Movsx8 => i64::from(y as i8).cast_unsigned(),
        AluOp::Movsx16 => i64::from(y as i16).cast_unsigned(),
        AluOp::Movsx32 => i64::from(y as i32).cast_unsigned(),
        AluOp::Arsh => (sx >> amount).cast_unsigned(),
    })
}

fn holds(cond: Cond, x: u64, y: u64, bits: Bits) -> bool {
    let (sx, sy) = (bits.sign_extend(x), bits.sign_extend(y));
    match cond {
        Cond::Eq => x == y,
        Cond::Ne => x != y,
        Cond::Set => x & y != 0,
        Cond::Gt => x > y,
        Cond::Ge => x >= y,
        Cond::Lt => x < y,
        Cond::Le => x <= y,
        Cond::Sgt => sx > sy,
        Cond::Sge => sx >= sy,
        Cond::Slt => sx < sy,
        Cond::Sle => sx <= sy,
    }
}

const OPS: [AluOp; 15] = [
    AluOp::Add,
    AluOp::Sub,
    AluOp::Mul,
    AluOp::Div,
    AluOp::Sdiv,
    AluOp::Or,
    AluOp::And,
    AluOp::Lsh,
    AluOp::Rsh,
    AluOp::Neg,
    AluOp::Mod,
    AluOp::Smod,
    AluOp::Xor,
    AluOp::Mov,
    AluOp::Arsh,
];

const CONDS: [Cond; 11] =
    [Cond::Eq, Cond::Ne, Cond::Set, Cond::Gt, Cond::Ge, Cond::Lt, Cond::Le, Cond::Sgt, Cond::Sge, Cond::Slt, Cond::Sle];

/// Lower bits, and the width that they are of.
const WIDTHS: [(u32, u32); 2] = [(2, 4), (3, 4)];

/// Numbers around every place where a width or a sign turns over.
fn corners() -> Vec<u64> {
    let mut found = vec![0, 1, 2, 7, 8, 63, 64, 0x7f, 0x80, 0xff, 0x7fff, 0x8000];
    for base in [1u64 << 31, 1 << 32, 1 << 63] {
        found.extend([base - 2, base - 1, base, base + 1]);
    }
    found.extend(found.clone().iter().map(|value| value.wrapping_neg()));
    found.sort_unstable();
    found.dedup();
    found
}

/// Every interval between two corners, of either reading, and every tnum that leaves the bits between them open.
fn corner_scalars(bits: Bits) -> Vec<Scalar> {
    let corners = corners();
    let mut found = Vec::new();
    for low in &corners {
        for high in corners.iter().filter(|high| *high >= low) {
            if *high <= bits.mask() {
                found.push(Scalar::range(*low, *high, bits));
                found.push(Scalar::of_tnum(Tnum::new(*low, low ^ high), bits));
            }
            let (low, high) = (bits.sign_extend(*low), bits.sign_extend(*high));
            if low <= high {
                found.push(Scalar::signed_range(low, high, bits));
            }
        }
    }
    found.sort_by_key(|scalar| (scalar.unsigned.min, scalar.unsigned.max, scalar.signed.min));
    found.dedup();
    found
}

/// One set is within another only if all its numbers are in there; it is within itself and within any number.
#[test]
fn a_set_is_within_another_with_all_its_numbers() {
    let all = with_members(W);
    for (a, xs) in &all {
        assert!(a.is_within_at(*a, W) && a.is_within_at(Scalar::unknown(W), W));
        for (b, ys) in &all {
            assert!(!a.is_within_at(*b, W) || xs.iter().all(|x| ys.contains(x)), "{a:?} {b:?}");
        }
    }
}

#[test]
fn join_and_meet_are_sound() {
    let all = with_members(W);
    for (a, xs) in &all {
        for (b, ys) in &all {
            let (joined, met) = (a.join(*b, W), a.meet(*b, W));
            assert!(joined.is_consistent(W) && a.is_within_at(joined, W) && b.is_within_at(joined, W));
            assert!(xs.iter().chain(ys).all(|x| joined.contains(*x, W)));
            for x in xs.iter().filter(|x| ys.contains(x)) {
                assert!(!met.is_empty() && met.contains(*x, W));
            }
        }
    }
}
