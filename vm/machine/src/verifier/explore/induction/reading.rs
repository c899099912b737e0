//! How 64 bits are read as a number, for those who ask whether it can wrap around.

use crate::verifier::number::{Bits, Scalar};
use crate::verifier::state::RegType;

const B32: Bits = Bits::B32;

/// How 64 bits are read as a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    U64,
    S64,
    U32,
    S32,
}

/// A set of readings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Readings(pub(super) u8);

impl Readings {
    pub(super) const ALL: [Reading; 4] = [Reading::U64, Reading::S64, Reading::U32, Reading::S32];

    const fn bit(reading: Reading) -> u8 {
        1 << reading as u8
    }

    pub(super) fn of(keep: impl Fn(Reading) -> bool) -> Self {
        Self(Self::ALL.into_iter().filter(|reading| keep(*reading)).fold(0, |bits, reading| bits | Self::bit(reading)))
    }

    pub(super) const fn contains(self, reading: Reading) -> bool {
        self.0 & Self::bit(reading) != 0
    }

    pub(super) const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl Reading {
    /// Least and greatest number that it can be.
    pub(super) const fn limits(self) -> (i128, i128) {
        match self {
            Self::U64 => (0, u64::MAX as i128),
            Self::S64 => (i64::MIN as i128, i64::MAX as i128),
            Self::U32 => (0, u32::MAX as i128),
            Self::S32 => (i32::MIN as i128, i32::MAX as i128),
        }
    }

    pub(super) const fn is_narrow(self) -> bool {
        matches!(self, Self::U32 | Self::S32)
    }

    /// Least and greatest number that a value can be. An address is read as its signed offset.
    pub(super) fn range(self, value: RegType) -> Option<(i128, i128)> {
        let scalar = match (self, value) {
            (_, RegType::Scalar(scalar)) => scalar,
            (Self::S64, RegType::Pointer(pointer)) => pointer.offset,
            _ => return None,
        };
        let unsigned = |scalar: Scalar| (i128::from(scalar.unsigned().min), i128::from(scalar.unsigned().max));
        let signed = |scalar: Scalar| (i128::from(scalar.signed().min), i128::from(scalar.signed().max));
        Some(match self {
            Self::U64 => unsigned(scalar),
            Self::S64 => signed(scalar),
            Self::U32 => unsigned(scalar.truncate(B32, Bits::B64)),
            Self::S32 => signed(scalar.truncate(B32, Bits::B64)),
        })
    }
}
