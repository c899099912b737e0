//! Helpers that compute: saturating arithmetic of numbers and of counts of millionths.

use super::Arguments;

pub(super) fn signed(args: &Arguments, op: fn(i64, i64) -> i64) -> u64 {
    op(args[0].cast_signed(), args[1].cast_signed()).cast_unsigned()
}

const MILLION: i128 = 1_000_000;

pub(super) fn decimal_mul(a: i64, b: i64) -> i64 {
    saturate(i128::from(a) * i128::from(b) / MILLION)
}

pub(super) fn decimal_div(a: i64, b: i64) -> i64 {
    if b == 0 { 0 } else { saturate(i128::from(a) * MILLION / i128::from(b)) }
}

fn saturate(value: i128) -> i64 {
    i64::try_from(value).unwrap_or(if value < 0 { i64::MIN } else { i64::MAX })
}
