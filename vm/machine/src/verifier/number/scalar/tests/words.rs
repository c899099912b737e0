//! How numbers read.

use super::*;

#[test]
fn numbers_read_well() {
    let w = Bits::B64;
    for (scalar, text) in [
        (Scalar::unknown(w), "any number"),
        (Scalar::exact(7, w), "7"),
        (Scalar::exact(u64::MAX, w), "-1"),
        (Scalar::exact(0x4000_0000_0000, w), "0x400000000000"),
        (Scalar::range(0, 255, w), "0..=255"),
        (Scalar::range(0, 0xffff_ffff, w), "0..=4294967295"),
        (Scalar::signed_range(-4, 4, w), "-4..=4"),
        (Scalar::of_tnum(Tnum::new(1, 2), w), "1..=3 (bits 0x1 set, 0x2 unknown)"),
        (Scalar::of_tnum(Tnum::new(0, !7), w), "0..=0xfffffffffffffff8 (multiple of 8)"),
    ] {
        assert_eq!(scalar.to_string(), text);
    }
}
