//! What a register may hold: a number, an address, or nothing that may be used.

use std::fmt;

use crate::memory::{FRAME_LEN, Region};
use crate::verifier::number::{Bits, Scalar};

/// What a register may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegType {
    /// Nothing that may be used.
    Unusable(Why),
    /// A number.
    Scalar(Scalar),
    /// An address.
    Pointer(Pointer),
    /// A map of the program, by index; good for helpers only.
    Map(u16),
    /// What a look-up in a map (by index) found: the address of a value, or 0.
    Nullable(u16),
}

/// Why a register is unusable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// No instruction has written it.
    NeverWritten,
    /// A call left it undefined.
    Call,
    /// It belongs to the caller of this function.
    Caller,
    /// Some paths to here write it and some do not.
    SomePaths,
    /// It is a number on one path and a pointer on another, or points into different regions.
    KindsDiffer,
    /// It was an address in a map, and a call may have given up the entry there.
    Invalidated {
        /// The map, by index.
        map: u16,
    },
}

/// An address in one region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pointer {
    /// The region.
    pub region: Region,
    /// Which object of the region: the frame for the stack (0 is the entry's), the index of the map in the program's
    /// list for map values and constants, else 0.
    pub object: u16,
    /// Bytes past the start of the object: of the region, of the frame's lowest byte, of one value of the map.
    pub offset: Scalar,
}

impl RegType {
    /// Any number.
    pub const fn unknown() -> Self {
        Self::Scalar(Scalar::unknown(Bits::B64))
    }

    /// One number.
    pub const fn exact(value: u64) -> Self {
        Self::Scalar(Scalar::exact(value, Bits::B64))
    }

    /// The start of a region, and some bytes.
    pub const fn pointer(region: Region, offset: u64) -> Self {
        Self::Pointer(Pointer { region, object: 0, offset: Scalar::exact(offset, Bits::B64) })
    }

    /// The frame pointer of the frame with this number.
    pub(super) const fn frame_pointer(frame: u16) -> Self {
        let offset = Scalar::exact(FRAME_LEN as u64, Bits::B64);
        Self::Pointer(Pointer { region: Region::Stack, object: frame, offset })
    }

    /// Whether it is an address in the frame with this number.
    pub(super) fn is_in_frame(&self, frame: u16) -> bool {
        self.as_pointer().is_some_and(|pointer| pointer.region == Region::Stack && pointer.object == frame)
    }

    /// The number, if it is one.
    pub const fn as_scalar(&self) -> Option<Scalar> {
        if let Self::Scalar(scalar) = self { Some(*scalar) } else { None }
    }

    /// The address, if it is one.
    pub const fn as_pointer(&self) -> Option<Pointer> {
        if let Self::Pointer(pointer) = self { Some(*pointer) } else { None }
    }

    /// Whether it is an address or a map: never to be read as a number.
    pub const fn is_address(&self) -> bool {
        matches!(self, Self::Pointer(_) | Self::Map(_) | Self::Nullable(_))
    }

    /// What holds of either.
    #[must_use]
    pub fn join(self, other: Self) -> Self {
        match (self, other) {
            (a, b) if a == b => a,
            (Self::Scalar(a), Self::Scalar(b)) => Self::Scalar(a.join(b, Bits::B64)),
            (Self::Pointer(a), Self::Pointer(b)) if (a.region, a.object) == (b.region, b.object) => {
                Self::Pointer(Pointer { offset: a.offset.join(b.offset, Bits::B64), ..a })
            }
            (Self::Unusable(Why::KindsDiffer), _) | (_, Self::Unusable(Why::KindsDiffer)) => {
                Self::Unusable(Why::KindsDiffer)
            }
            (Self::Unusable(a), Self::Unusable(_)) => Self::Unusable(a),
            (Self::Unusable(_), _) | (_, Self::Unusable(_)) => Self::Unusable(Why::SomePaths),
            (Self::Scalar(_) | Self::Pointer(_) | Self::Map(_) | Self::Nullable(_), _) => {
                match (self.maybe_value(), other.maybe_value()) {
                    // Null, a value's address, or either: all of them are what a look-up can yield.
                    (Some(Some(a)), Some(Some(b))) if a == b => Self::Nullable(a),
                    (Some(Some(map)), Some(None)) | (Some(None), Some(Some(map))) => Self::Nullable(map),
                    _ => Self::Unusable(Why::KindsDiffer),
                }
            }
        }
    }

    /// Whether a look-up could yield this: in the map with this index, or in any if it is null.
    fn maybe_value(&self) -> Option<Option<u16>> {
        match self {
            Self::Nullable(map) => Some(Some(*map)),
            Self::Pointer(Pointer { region: Region::MapValues | Region::Constants, object, offset })
                if offset.as_constant() == Some(0) =>
            {
                Some(Some(*object))
            }
            Self::Scalar(scalar) if scalar.as_constant() == Some(0) => Some(None),
            _ => None,
        }
    }

    /// The map whose value it is the address of, or may be.
    pub(in crate::verifier) fn value_of_map(&self) -> Option<u16> {
        match self {
            Self::Nullable(map) => Some(*map),
            Self::Pointer(Pointer { region: Region::MapValues | Region::Constants, object, .. }) => Some(*object),
            _ => None,
        }
    }

    /// Whether there is something to learn of it, so that it matters where else the same is held.
    pub(super) fn can_be_refined(&self) -> bool {
        match self {
            Self::Scalar(number) | Self::Pointer(Pointer { offset: number, .. }) => number.as_constant().is_none(),
            Self::Nullable(_) => true,
            Self::Unusable(_) | Self::Map(_) => false,
        }
    }

    /// Whether the other allows all that this one does.
    pub fn is_within(self, other: Self) -> bool {
        match (self, other) {
            (_, Self::Unusable(_)) => true,
            (Self::Scalar(a), Self::Scalar(b)) => a.is_within(b),
            (Self::Pointer(a), Self::Pointer(b)) if (a.region, a.object) == (b.region, b.object) => {
                a.offset.is_within(b.offset)
            }
            (a, b) => a == b || a.join(b) == b,
        }
    }

    /// Whether the invariants of its numbers hold.
    pub fn is_consistent(&self) -> bool {
        match self {
            Self::Unusable(_) | Self::Map(_) | Self::Nullable(_) => true,
            Self::Scalar(scalar) => scalar.is_consistent(Bits::B64),
            Self::Pointer(pointer) => pointer.offset.is_consistent(Bits::B64),
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Invalidated { map } => {
                return write!(f, "an address in map {map} whose entry a call may have given up");
            }
            Self::NeverWritten => "never written",
            Self::Call => "undefined since a call",
            Self::Caller => "the caller's, and no argument",
            Self::SomePaths => "written on some paths only",
            Self::KindsDiffer => "of different kinds on different paths",
        })
    }
}

/// A region in words.
pub(in crate::verifier) const fn region_name(region: Region) -> &'static str {
    match region {
        Region::Record => "record",
        Region::Predicates => "predicate bits",
        Region::Masks => "masks",
        Region::Stack => "stack frame",
        Region::Output => "output",
        Region::Constants => "constants",
        Region::Buffer => "buffer",
        Region::MapValues => "map values",
    }
}

impl Pointer {
    /// Whether it leads into a value of a map.
    const fn is_value(&self) -> bool {
        matches!(self.region, Region::MapValues | Region::Constants)
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let offset = if self.region == Region::Stack {
            // As assembly writes it, from the frame pointer.
            f.write_str("frame")?;
            if self.object != 0 {
                write!(f, "#{}", self.object)?;
            }
            Scalar::alu(crate::isa::AluOp::Sub, self.offset, Scalar::exact(u64::from(FRAME_LEN), Bits::B64), Bits::B64)
        } else {
            match self.region {
                Region::MapValues => write!(f, "a value of map {}", self.object)?,
                Region::Constants => write!(f, "the data of map {}", self.object)?,
                region => f.write_str(region_name(region))?,
            }
            self.offset
        };
        match offset.as_constant().map(u64::cast_signed) {
            Some(0) => Ok(()),
            Some(constant) if self.is_value() => write!(f, " {constant:+}"),
            None if self.is_value() => write!(f, " + ({offset})"),
            Some(constant) => write!(f, "{constant:+}"),
            None => write!(f, "+({offset})"),
        }
    }
}

impl fmt::Display for RegType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unusable(why) => why.fmt(f),
            Self::Scalar(scalar) => scalar.fmt(f),
            Self::Pointer(pointer) => write!(f, "pointer to {pointer}"),
            Self::Map(index) => write!(f, "map {index}"),
            Self::Nullable(index) => write!(f, "pointer to a value of map {index}, or null"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    fn record(offset: u64) -> RegType {
        RegType::pointer(Region::Record, offset)
    }

    #[test]
    fn joining_registers() {
        let (one, nine) = (RegType::exact(1), RegType::exact(9));
        assert_eq!(one.join(nine).to_string(), "1..=9 (bits 0x1 set, 0x8 unknown)");
        assert_eq!(record(8).join(record(8)), record(8));
        assert_eq!(record(8).join(record(24)).to_string(), "pointer to record+(8..=24 (bits 0x8 set, 0x10 unknown))");
        let unwritten = RegType::Unusable(Why::NeverWritten);
        assert_eq!(one.join(unwritten), RegType::Unusable(Why::SomePaths));
        assert_eq!(one.join(record(0)), RegType::Unusable(Why::KindsDiffer));
        assert_eq!(record(0).join(RegType::pointer(Region::Stack, 0)), RegType::Unusable(Why::KindsDiffer));
        // Once unusable, always unusable, in either order.
        for why in [Why::NeverWritten, Why::Call, Why::SomePaths, Why::KindsDiffer] {
            for other in [one, record(0), unwritten] {
                assert!(matches!(RegType::Unusable(why).join(other), RegType::Unusable(_)));
                assert!(matches!(other.join(RegType::Unusable(why)), RegType::Unusable(_)));
            }
        }
    }

    #[test]
    fn what_a_look_up_can_yield_stays_that_when_it_meets_null() {
        let value = |map, offset| {
            RegType::Pointer(Pointer {
                region: Region::MapValues,
                object: map,
                offset: Scalar::exact(offset, Bits::B64),
            })
        };
        let (null, differ) = (RegType::exact(0), RegType::Unusable(Why::KindsDiffer));
        for (a, b, want) in [
            (RegType::Nullable(1), null, RegType::Nullable(1)),
            (RegType::Nullable(1), value(1, 0), RegType::Nullable(1)),
            (value(1, 0), null, RegType::Nullable(1)),
            (RegType::Nullable(1), RegType::Nullable(1), RegType::Nullable(1)),
            (RegType::Nullable(1), RegType::Nullable(2), differ),
            (RegType::Nullable(1), value(2, 0), differ),
            (RegType::Nullable(1), value(1, 8), differ),
            (RegType::Nullable(1), RegType::exact(1), differ),
            (value(1, 8), null, differ),
            (value(1, 0), value(2, 0), differ),
            (RegType::Map(1), null, differ),
            (RegType::Map(1), RegType::Map(2), differ),
            (RegType::Map(1), RegType::Nullable(1), differ),
            (record(0), null, differ),
        ] {
            assert_eq!((a.join(b), b.join(a)), (want, want), "{a} and {b}");
        }
    }

    /// One thing that a register can really hold.
    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Concrete {
        Number(u64),
        Address(Region, u16, u64),
        Map(u16),
        Garbage,
    }

    /// What it says, spelled out: whether a register of this type can hold that.
    fn holds(register: RegType, concrete: Concrete) -> bool {
        match (register, concrete) {
            (RegType::Unusable(_), _) => true,
            (RegType::Scalar(set), Concrete::Number(number)) => set.contains(number, Bits::B64),
            (RegType::Pointer(pointer), Concrete::Address(region, object, offset)) => {
                (pointer.region, pointer.object) == (region, object) && pointer.offset.contains(offset, Bits::B64)
            }
            (RegType::Map(map), Concrete::Map(index)) => map == index,
            (RegType::Nullable(_), Concrete::Number(number)) => number == 0,
            (RegType::Nullable(map), Concrete::Address(region, object, offset)) => {
                (region, object, offset) == (Region::MapValues, map, 0)
            }
            _ => false,
        }
    }

    /// One type is within another just if all that it allows is allowed there; a join allows what either does.
    #[test]
    fn within_and_joined_as_sets() {
        let numbers = [0, 1, 2, 8, u64::MAX];
        let mut concrete: Vec<_> = numbers.map(Concrete::Number).to_vec();
        let mut types = vec![RegType::Unusable(Why::Call), RegType::unknown(), RegType::Scalar(small(0, 2))];
        types.extend(numbers.map(RegType::exact));
        for region in [Region::Record, Region::Stack, Region::MapValues] {
            for object in [0, 1] {
                concrete.extend(numbers.map(|offset| Concrete::Address(region, object, offset)));
                for offset in [small(0, 0), small(1, 1), small(0, 2), small(8, 8), Scalar::unknown(Bits::B64)] {
                    types.push(RegType::Pointer(Pointer { region, object, offset }));
                }
            }
        }
        for map in [0, 1] {
            concrete.push(Concrete::Map(map));
            types.extend([RegType::Map(map), RegType::Nullable(map)]);
        }
        concrete.push(Concrete::Garbage);
        for a in &types {
            for b in &types {
                let subset = concrete.iter().all(|concrete| !holds(*a, *concrete) || holds(*b, *concrete));
                assert_eq!(a.is_within(*b), subset, "{a} within {b}");
                let joined = a.join(*b);
                assert!(a.is_within(joined) && b.is_within(joined), "{a} and {b} are {joined}");
                assert_eq!(joined, if a == b { *a } else { joined });
            }
        }
    }

    fn small(min: u64, max: u64) -> Scalar {
        Scalar::range(min, max, Bits::B64)
    }

    #[test]
    fn addresses_in_words() {
        let at = |region, object, offset| RegType::Pointer(Pointer { region, object, offset }).to_string();
        for (region, object, offset, want) in [
            (Region::Record, 0, small(8, 8), "pointer to record+8"),
            (Region::Record, 0, small(8, 9), "pointer to record+(8..=9)"),
            (Region::Stack, 0, small(504, 504), "pointer to frame-8"),
            (Region::Stack, 2, small(512, 512), "pointer to frame#2"),
            (Region::MapValues, 1, small(0, 0), "pointer to a value of map 1"),
            (Region::MapValues, 1, small(8, 8), "pointer to a value of map 1 +8"),
            (Region::MapValues, 1, small(0, 3), "pointer to a value of map 1 + (0..=3)"),
            (Region::Constants, 3, small(8, 8), "pointer to the data of map 3 +8"),
        ] {
            assert_eq!(at(region, object, offset), want);
        }
    }
}
