//! Predicates: the string tests that the engine evaluates for programs.
//!
//! A program never searches a string itself. It names a *predicate* (field, operator, literals, case), the engine
//! evaluates each distinct one at most once an event, and the program tests the resulting bits. What each operator
//! means is decided here, in prose; `trapline-engine` has the naive definition in code, which is the oracle for any
//! index that is ever put in front of it.
//!
//! ```text
//! predicate bits: two bits a predicate, four predicates a byte
//!   predicate p: byte p/4, bits 2(p%4) = true, 2(p%4)+1 = known
//! predicate masks: for tests on the elements of a list, three words an entry
//!   mask m: at 24 m:  u64 true | u64 known | u64 lost      bit i = element i, at most 64 elements
//! ```
//!
//! *Known* is 0 for a field that is absent or lost, and for a truncated value whose kept prefix does not decide.
//! *True* implies *known*. An element beyond the list is neither true, known nor lost.

use std::net::IpAddr;

use crate::record::FieldType;

/// A field by name, as a compiled program asks for it; resolved to a slot when the program is linked.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FieldRef {
    /// Dotted name in the catalogue, or below one of its open prefixes.
    pub name: String,
    /// The type the program was compiled against; linking refuses another.
    pub ty: FieldType,
}

/// How a string is compared with a literal. All operators work on UTF-8 text; none treats a backslash specially
/// except [`StrOp::Under`], which takes both `/` and `\` for separators.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StrOp {
    /// The whole value.
    Equals,
    /// A substring.
    Contains,
    /// A prefix.
    StartsWith,
    /// A suffix.
    EndsWith,
    /// `*` any run, `?` one character; `[*]`, `[?]`, `[[]` the literal characters. The whole value must match.
    Like,
    /// A regular expression in the syntax of the `regex` crate, unanchored. Of a very long value, a very large
    /// expression searches a beginning only, and the rest counts as cut off.
    Regex,
    /// The value is the literal path or lies below it, component by component. A trailing separator in the literal
    /// is ignored; `/tmp` is under `/tmp/`, `/tmpfile` is not.
    Under,
}

/// How an integer is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cmp {
    /// Equal.
    Eq,
    /// Not equal.
    Ne,
    /// Less.
    Lt,
    /// Less or equal.
    Le,
    /// Greater.
    Gt,
    /// Greater or equal.
    Ge,
}

/// A part of a date and time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TimePart {
    /// 0 to 59.
    Minute,
    /// 0 to 23.
    Hour,
    /// Of the month, from 1.
    Day,
    /// Of the year by ISO 8601, from 1: the first week has the year's first Thursday.
    Week,
    /// From 1.
    Month,
    /// Of the common era.
    Year,
}

/// An address range: an address and a prefix length in bits (at most 32 or 128). An IPv4 address also matches as
/// its IPv4-mapped IPv6 form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cidr {
    /// Any address of the range.
    pub address: IpAddr,
    /// Bits that must agree.
    pub prefix: u8,
}

/// What is tested. Several literals mean *any of them*.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Test {
    /// A string (or path) against literals.
    Str {
        /// The comparison.
        op: StrOp,
        /// Literals, patterns or regular expressions; at least one, sorted and without duplicates.
        literals: Vec<String>,
        /// Compare by Unicode simple case folding.
        fold: bool,
    },
    /// Bytes equal to one of these.
    Bytes(Vec<Vec<u8>>),
    /// An address inside one of these ranges. Of a string: the address that it is, blanks around it and a zone
    /// (`fe80::1%2`) left out; one that is no address is inside of none.
    Cidr(Vec<Cidr>),
    /// A string that is a number, compared with a number: decimal with or without sign and fraction (`-0.5`), or
    /// hexadecimal of at most 16 digits after `0x`, blanks around it left out. One that is no number does not hold.
    Number {
        /// The comparison.
        cmp: Cmp,
        /// The number, decimal.
        value: String,
    },
    /// A part of a time, in UTC, compared with any of these. Of a string: of the date, or date and time, that it is by
    /// ISO 8601 (`2026-03-01`, `2026-03-01T10:00:00.5+02:00`, a blank for `T`), as it is written: an offset changes
    /// nothing. One that is no such text, or has no such part, does not hold.
    Time {
        /// Which part.
        part: TimePart,
        /// The comparison; with several values it is [`Cmp::Eq`].
        cmp: Cmp,
        /// Values; at least one.
        values: Vec<i64>,
    },
    /// An integer, time, duration, decimal, enum or boolean slot, compared as a signed number with any of these.
    Int {
        /// The comparison; with several values it is [`Cmp::Eq`].
        cmp: Cmp,
        /// Values; at least one.
        values: Vec<i64>,
    },
    /// The field has a value. Known unless lost: absent is a known *false*.
    Exists,
}

/// Which values of the field are tested.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// The value; of a list of scalars, *any element* (true if some element is; false if all are known to be false
    /// and the list is complete; unknown otherwise). Yields two bits.
    Any,
    /// Each of the first 64 elements of a list of scalars. Yields a mask.
    Elements,
    /// One member of each of the first 64 elements of a list of records. Yields a mask.
    Member(String),
}

/// One predicate of a program, by field name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Predicate {
    /// The field.
    pub field: FieldRef,
    /// Which of its values.
    pub scope: Scope,
    /// The test.
    pub test: Test,
}

impl Predicate {
    /// Whether it yields a mask rather than two bits.
    pub fn is_mask(&self) -> bool {
        self.scope != Scope::Any
    }
}

/// Bytes of one mask entry.
pub const MASK_LEN: u32 = 24;
/// Offset of the *true* word in a mask entry.
pub const MASK_TRUE: u32 = 0;
/// Offset of the *known* word in a mask entry.
pub const MASK_KNOWN: u32 = 8;
/// Offset of the *lost* word in a mask entry.
pub const MASK_LOST: u32 = 16;
/// The most two-bit predicates of one domain: their bytes stay within an instruction's 16-bit offset.
pub const PREDICATES_MAX: u32 = 4 * 32_767;
/// The most masks of one domain, likewise.
pub const MASKS_MAX: u32 = 32_767 / MASK_LEN;
