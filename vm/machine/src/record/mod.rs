//! Records: what a program reads of an event.
//!
//! A record is one event of one family, laid out so that a program finds a field by a constant offset. All numbers
//! are little-endian.
//!
//! ```text
//!   0  u64  catalogue digest (first 8 bytes)         ┐
//!   8  u32  class                                    │
//!  12  u32  flags (operating system, IMPAIRED)       │
//!  16  i64  event time, ns since 1970                │ header, HEADER_LEN bytes
//!  24  u64  sequence number                          │
//!  32  u32  length of header + slots                 │
//!  36  u32  total length                             │
//!  40  u64  reserved, zero                           ┘
//!  48  group 0: 8 state bytes, then 8 slots of 8 bytes ┐ slot i: group i/8, entry i%8
//! 120  group 1: …                                      ┘
//!   …  heap: bytes of strings, elements of lists
//! ```
//!
//! Slots come in groups of eight so that a slot appended later moves no earlier one: loading a rule never changes
//! another rule's code. A slot holds an integer, boolean, time, duration, decimal or enum index itself; a string,
//! path, bytes or ip is `offset | length << 32`; a list is `offset | count << 32`, offset from the start of the
//! record, 8-byte aligned for lists. The elements of a list lie in the heap as groups of the same shape: a list of
//! scalars is a run of groups with one slot an element; a list of records is, per element, the groups of its members.
//!
//! Only the slots that loaded programs read are filled; the rest stay *absent*.

mod catalogue;
mod layout;
mod view;
mod writer;

pub use catalogue::{
    Catalogue, CatalogueError, Class, ClassId, ENUM_OTHER, Element, ElementId, EnumId, Enumeration, Family, FamilyId,
    Field, FieldId, FieldType, Scalar, VALUES_PREFIX,
};
pub use layout::{Layouts, SLOTS_MAX, Slot};
pub use view::{ListView, RecordView};
pub use writer::{Cell, RecordHeader, RecordWriter, Value};

/// Bytes before the first group of slots.
pub const HEADER_LEN: u32 = 48;
/// Slots in a group.
pub const GROUP_SLOTS: u32 = 8;
/// Bytes of a group: eight state bytes, eight slots.
pub const GROUP_LEN: u32 = 72;
/// The longest record, header and heap included.
pub const RECORD_LEN_MAX: u32 = 256 * 1024;
/// The longest string kept in a field, unless the catalogue says otherwise.
pub const STRING_LEN_MAX: u32 = 32 * 1024;
/// The longest string kept in script text and command lines.
pub const LONG_STRING_LEN_MAX: u32 = 128 * 1024;
/// The most elements kept of a list.
pub const LIST_LEN_MAX: u32 = 256;
/// The most elements of a list that `any` and `all` look at: one bit each in a predicate mask.
pub const MASK_ELEMENTS_MAX: u32 = 64;

/// State bits of a field, one byte a field. Zero is *absent*.
pub mod state {
    /// The field has a value.
    pub const PRESENT: u8 = 1;
    /// The value existed but did not reach us.
    pub const LOST: u8 = 2;
    /// The slot holds a prefix of the value (set together with [`PRESENT`]).
    pub const TRUNCATED: u8 = 4;
}

/// Header flags.
pub mod flags {
    /// Some field of this record is lost or truncated.
    pub const IMPAIRED: u32 = 1;
    /// Shift of the operating system: 0 unknown, else [`super::Os`].
    pub const OS_SHIFT: u32 = 8;
    /// Mask of the operating system after shifting.
    pub const OS_MASK: u32 = 0xff;
}

/// Offsets of the header's fields.
pub mod header {
    /// u64, first eight bytes of the catalogue digest.
    pub const DIGEST: u32 = 0;
    /// u32, [`super::ClassId`].
    pub const CLASS: u32 = 8;
    /// u32, [`super::flags`].
    pub const FLAGS: u32 = 12;
    /// i64, nanoseconds since 1970.
    pub const TIME: u32 = 16;
    /// u64.
    pub const SEQUENCE: u32 = 24;
    /// u32, length of header and slots: where the last slot ends ([`super::slots_len`]), not its group.
    pub const SLOTS_LEN: u32 = 32;
    /// u32, total length.
    pub const TOTAL_LEN: u32 = 36;
}

/// The operating system of the host an event came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Os {
    /// Linux.
    Linux = 1,
    /// Windows.
    Windows = 2,
    /// macOS.
    MacOs = 3,
}

/// A set of operating systems; a rule with a non-empty set is woken by events of these, and of unknown ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct OsSet(pub u8);

impl OsSet {
    /// Any operating system.
    pub const ANY: Self = Self(0);

    /// This set and one more.
    #[must_use]
    pub fn with(self, os: Os) -> Self {
        Self(self.0 | 1 << os as u8)
    }

    /// Whether an event of this system (None: unknown) concerns a rule with this set.
    pub fn admits(self, os: Option<Os>) -> bool {
        self.0 == 0 || os.is_none_or(|os| self.0 & 1 << os as u8 != 0)
    }

    /// Whether the set names this system.
    pub fn contains(self, os: Os) -> bool {
        self.0 & 1 << os as u8 != 0
    }
}

/// Offset of slot `index` from the start of its run of groups (a record's begins at [`HEADER_LEN`]).
pub const fn slot_offset(index: u32) -> u32 {
    index / GROUP_SLOTS * GROUP_LEN + 8 + index % GROUP_SLOTS * 8
}

/// Offset of the state byte of slot `index` from the start of its run of groups.
pub const fn state_offset(index: u32) -> u32 {
    index / GROUP_SLOTS * GROUP_LEN + index % GROUP_SLOTS
}

/// Bytes of the groups that hold `count` slots.
pub const fn groups_len(count: u32) -> u32 {
    count.div_ceil(GROUP_SLOTS).saturating_mul(GROUP_LEN)
}

/// Length of header and slots of a record with `count` slots: where the last slot ends, not its group. A record that
/// lacks a field is shorter than a program that reads the field asks for, even if both end in one group.
pub const fn slots_len(count: u32) -> u32 {
    match count.checked_sub(1) {
        Some(last) => HEADER_LEN + slot_offset(last) + 8,
        None => HEADER_LEN,
    }
}
