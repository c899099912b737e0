//! What each predicate means, in code.
//!
//! This is the *naive definition*: one predicate, one record, no knowledge of any other predicate. It is what an
//! index over many predicates must agree with. [`trapline_vm::predicate`] has the same meaning in prose.
//!
//! A [`Matcher`] is a predicate with its field resolved to a slot and its literals prepared (folded, sorted, compiled).
//! Its result is three-valued, `Option<bool>`: None is *unknown*. A truncated value is a prefix of an unknown value,
//! perhaps all of it: a test on it is decided only if every continuation, the empty one included, decides it alike.
//!
//! ```text
//! Test --prepare--> PreparedTest     numbers, addresses, bytes, text (text.rs: like.rs, under.rs, regex.rs), and text
//!                                    that is one of these (number.rs, address.rs, time.rs)
//! + Slot, Shape  =  Matcher          one value, any element of a list, or 64 elements (here)
//! + numbers      =  PredicateTable   each distinct predicate once in a domain (table.rs)
//! ```

mod address;
mod like;
mod number;
mod regex;
mod scratch;
mod table;
mod text;
mod time;
mod under;

use std::cmp::Ordering;

use trapline_vm::predicate::{Cmp, Test, TimePart};
use trapline_vm::record::{FieldType, ListView, MASK_ELEMENTS_MAX, RecordView, Scalar, Slot, state};

pub use self::like::{LIKE_PIECES_MAX, LIKE_RUN_LEN_MAX};
pub use self::number::HEX_DIGITS_MAX;
pub use self::regex::{
    REGEX_CACHE_LEN_MAX, REGEX_DEPTH_MAX, REGEX_LEN_MAX, REGEX_NFA_LEN_MAX, REGEX_STEPS_MAX, REGEXES_MAX,
};
pub use self::scratch::{FOLDED_LEN_MAX, Scratch};
pub use self::table::{InternError, Interned, MaskId, PredicateId, PredicateLimits, PredicateTable, TableMark};

use self::address::Range;
use self::number::Number;
use self::text::TextTest;

/// The most literals of one predicate.
pub const LITERALS_MAX: usize = 16_384;
/// The most bytes of all literals of one predicate together.
pub const LITERALS_LEN_MAX: usize = 1 << 20;

/// Why a test cannot be prepared.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TestError {
    /// There is nothing to compare with.
    #[error("the test has no values")]
    Empty,
    /// More literals than [`LITERALS_MAX`].
    #[error("the test has {0} values, more than {LITERALS_MAX}")]
    TooMany(usize),
    /// More bytes of literals than [`LITERALS_LEN_MAX`].
    #[error("the values of the test are {0} bytes long together, more than {LITERALS_LEN_MAX}")]
    TooLong(usize),
    /// A regular expression that does not compile within its limits.
    #[error("the regular expression `{pattern}` is refused: {reason}")]
    Regex {
        /// The expression.
        pattern: String,
        /// What its compiler says.
        reason: String,
    },
    /// A glob that would take too long, or too much room.
    #[error("the pattern `{pattern}` is refused: {reason}")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// Which limit it exceeds.
        reason: String,
    },
    /// A prefix longer than its address.
    #[error("the range {address}/{prefix} has a prefix longer than its address")]
    Prefix {
        /// The address.
        address: std::net::IpAddr,
        /// The prefix.
        prefix: u8,
    },
    /// Something else than a number to compare numbers with.
    #[error("`{0}` is no number")]
    Number(String),
    /// Several values for a comparison that takes one.
    #[error("only equality can be tested against several numbers")]
    SeveralOrdered,
    /// The test does not apply to values of the field.
    #[error("a test on {test} cannot be applied to values of type {}", type_name(*ty))]
    Type {
        /// What the test is on.
        test: &'static str,
        /// The type of the field or member.
        ty: FieldType,
    },
}

/// Which values of the field a matcher looks at; resolved from a scope and the field's type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Shape {
    /// The value of a scalar, or the field itself, whatever its type, for `Exists`.
    Value,
    /// Any element of a list of scalars.
    AnyElement,
    /// Each element of a list of scalars.
    Elements,
    /// One member of each element of a list of records.
    Member {
        /// Index of the member.
        member: u32,
        /// Number of members of the element type.
        members: u32,
    },
}

/// The bits of a mask predicate: bit i is element i.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MaskBits {
    /// The test holds.
    pub truth: u64,
    /// The test is decided.
    pub known: u64,
    /// The test is undecided because the value was lost or truncated.
    pub lost: u64,
}

/// A predicate ready to be evaluated on records of one family.
#[derive(Debug)]
pub struct Matcher {
    slot: Slot,
    shape: Shape,
    test: PreparedTest,
}

/// A test with its literals prepared.
#[derive(Debug)]
enum PreparedTest {
    Text(TextTest),
    Bytes(Vec<Box<[u8]>>),
    Ranges(Vec<Range>),
    Int(Ints),
    Time(TimePart, Ints),
    /// Text that is an address, a number, a time.
    TextRanges(Vec<Range>),
    TextNumber(Cmp, Number),
    TextTime(TimePart, Ints),
    Exists,
}

/// Numbers to compare with.
#[derive(Debug)]
enum Ints {
    Compare(Cmp, i64),
    /// Sorted.
    OneOf(Vec<i64>),
}

impl Ints {
    fn new(cmp: Cmp, values: &[i64]) -> Result<Self, TestError> {
        check_literals(values.len(), values.iter().map(|_| size_of::<i64>()))?;
        Ok(match (cmp, values) {
            (cmp, [value]) => Self::Compare(cmp, *value),
            (Cmp::Eq, values) => {
                let mut values = values.to_vec();
                values.sort_unstable();
                values.dedup();
                Self::OneOf(values)
            }
            _ => return Err(TestError::SeveralOrdered),
        })
    }

    fn decide(&self, number: i64) -> bool {
        match self {
            Self::Compare(cmp, value) => holds(*cmp, number.cmp(value)),
            Self::OneOf(values) => values.binary_search(&number).is_ok(),
        }
    }
}

/// One value as it lies in a record: state, slot, and the heap bytes it points to.
struct Cell<'a> {
    state: u8,
    raw: u64,
    bytes: Option<&'a [u8]>,
}

impl Matcher {
    /// Prepares a test on the values that `shape` selects of `slot`, which are of type `ty`.
    pub fn new(slot: Slot, shape: Shape, ty: FieldType, test: &Test) -> Result<Self, TestError> {
        check_type(test, ty)?;
        Ok(Self { slot, shape, test: PreparedTest::new(test, is_text(ty))? })
    }

    /// The slot it reads.
    pub fn slot(&self) -> Slot {
        self.slot
    }

    /// Whether it can hold, or be known, on a record that does not have the field.
    pub fn is_known_when_absent(&self) -> bool {
        self.shape == Shape::Value && matches!(self.test, PreparedTest::Exists)
    }

    /// Evaluates a two-bit predicate: Some if known. A mask predicate is unknown here.
    pub fn bits(&self, record: &RecordView<'_>, scratch: &mut Scratch) -> Option<bool> {
        let cell = Cell { state: record.state(self.slot), raw: record.raw(self.slot), bytes: record.bytes(self.slot) };
        match self.shape {
            Shape::Value => self.test.decide(&cell, scratch),
            Shape::AnyElement => {
                if cell.state & state::PRESENT == 0 || cell.state & state::LOST != 0 {
                    return None;
                }
                let list = record.list(self.slot, 0)?;
                let mut all_known = cell.state & state::TRUNCATED == 0;
                for element in 0..list.len() {
                    match self.test.decide(&element_cell(&list, element, 0), scratch) {
                        Some(true) => return Some(true),
                        Some(false) => {}
                        None => all_known = false,
                    }
                }
                all_known.then_some(false)
            }
            Shape::Elements | Shape::Member { .. } => None,
        }
    }

    /// Evaluates a mask predicate. All zero if the list is absent or lost, and for a two-bit predicate.
    pub fn mask(&self, record: &RecordView<'_>, scratch: &mut Scratch) -> MaskBits {
        let mut mask = MaskBits::default();
        let (member, members) = match self.shape {
            Shape::Elements => (0, 0),
            Shape::Member { member, members } => (member, members),
            Shape::Value | Shape::AnyElement => return mask,
        };
        let state = record.state(self.slot);
        if state & state::PRESENT == 0 || state & state::LOST != 0 {
            return mask;
        }
        let Some(list) = record.list(self.slot, members) else {
            return mask;
        };
        for element in 0..list.len().min(MASK_ELEMENTS_MAX) {
            let cell = element_cell(&list, element, member);
            let bit = 1 << element;
            match self.test.decide(&cell, scratch) {
                Some(truth) => {
                    mask.known |= bit;
                    mask.truth |= if truth { bit } else { 0 };
                }
                None if cell.state != 0 => mask.lost |= bit,
                None => {}
            }
        }
        mask
    }
}

fn element_cell<'a>(list: &ListView<'a>, element: u32, member: u32) -> Cell<'a> {
    Cell { state: list.state(element, member), raw: list.raw(element, member), bytes: list.bytes(element, member) }
}

impl PreparedTest {
    fn new(test: &Test, of_text: bool) -> Result<Self, TestError> {
        Ok(match test {
            Test::Str { op, literals, fold } => {
                check_literals(literals.len(), literals.iter().map(String::len))?;
                Self::Text(TextTest::new(*op, literals, *fold)?)
            }
            Test::Bytes(literals) => {
                check_literals(literals.len(), literals.iter().map(Vec::len))?;
                let mut literals: Vec<Box<[u8]>> = literals.iter().map(|bytes| bytes.as_slice().into()).collect();
                literals.sort_unstable();
                literals.dedup();
                Self::Bytes(literals)
            }
            Test::Cidr(ranges) => {
                check_literals(ranges.len(), ranges.iter().map(|_| size_of::<Range>()))?;
                let ranges = ranges.iter().map(Range::new).collect::<Result<_, _>>()?;
                if of_text { Self::TextRanges(ranges) } else { Self::Ranges(ranges) }
            }
            Test::Int { cmp, values } => Self::Int(Ints::new(*cmp, values)?),
            Test::Number { cmp, value } => {
                check_literals(1, std::iter::once(value.len()))?;
                Self::TextNumber(*cmp, Number::new(value).ok_or_else(|| TestError::Number(regex::shortened(value)))?)
            }
            Test::Time { part, cmp, values } if of_text => Self::TextTime(*part, Ints::new(*cmp, values)?),
            Test::Time { part, cmp, values } => Self::Time(*part, Ints::new(*cmp, values)?),
            Test::Exists => Self::Exists,
        })
    }

    /// The test on one value. A slot that points outside the record is a value we do not have: unknown.
    fn decide(&self, cell: &Cell<'_>, scratch: &mut Scratch) -> Option<bool> {
        let decided = self.decide_known(cell, scratch);
        if decided.is_none() && cell.state == state::PRESENT {
            scratch.set_undecided();
        }
        decided
    }

    fn decide_known(&self, cell: &Cell<'_>, scratch: &mut Scratch) -> Option<bool> {
        if cell.state & state::LOST != 0 {
            return None;
        }
        let present = cell.state & state::PRESENT != 0;
        if matches!(self, Self::Exists) {
            return Some(present);
        }
        if !present {
            return None;
        }
        let complete = cell.state & state::TRUNCATED == 0;
        match self {
            Self::Text(test) => test.decide(cell.raw, cell.bytes?, complete, scratch),
            Self::Bytes(literals) => equals_any(literals, cell.bytes?, complete),
            Self::Int(numbers) => Some(numbers.decide(cell.raw.cast_signed())),
            Self::Time(part, numbers) => Some(numbers.decide(time::of_nanoseconds(*part, cell.raw.cast_signed()))),
            // What is cut off may be what makes it a number or not.
            Self::Ranges(_) | Self::TextRanges(_) | Self::TextNumber(..) | Self::TextTime(..) if !complete => None,
            Self::Ranges(ranges) => {
                let address = address::mapped(cell.bytes?)?;
                Some(ranges.iter().any(|range| range.contains(address)))
            }
            Self::TextRanges(ranges) => {
                let address = address::of_text(cell.bytes?);
                Some(address.is_some_and(|address| ranges.iter().any(|range| range.contains(address))))
            }
            Self::TextNumber(cmp, number) => Some(number.compared(cell.bytes?).is_some_and(|order| holds(*cmp, order))),
            Self::TextTime(part, numbers) => {
                Some(time::of_text(*part, cell.bytes?).is_some_and(|number| numbers.decide(number)))
            }
            Self::Exists => Some(present),
        }
    }
}

fn check_literals(count: usize, lengths: impl Iterator<Item = usize>) -> Result<(), TestError> {
    if count == 0 {
        return Err(TestError::Empty);
    }
    if count > LITERALS_MAX {
        return Err(TestError::TooMany(count));
    }
    let len = lengths.fold(0usize, usize::saturating_add);
    if len > LITERALS_LEN_MAX {
        return Err(TestError::TooLong(len));
    }
    Ok(())
}

fn holds(cmp: Cmp, order: Ordering) -> bool {
    match cmp {
        Cmp::Eq => order.is_eq(),
        Cmp::Ne => order.is_ne(),
        Cmp::Lt => order.is_lt(),
        Cmp::Le => order.is_le(),
        Cmp::Gt => order.is_gt(),
        Cmp::Ge => order.is_ge(),
    }
}

/// Whether the value equals one of the sorted literals.
fn equals_any(literals: &[Box<[u8]>], kept: &[u8], complete: bool) -> Option<bool> {
    if complete {
        return Some(literals.binary_search_by(|literal| literal.as_ref().cmp(kept)).is_ok());
    }
    // What begins with the kept bytes follows them in the order, so the first one not before them tells.
    let first = literals.partition_point(|literal| literal.as_ref() < kept);
    let possible = literals.get(first).is_some_and(|literal| literal.starts_with(kept));
    if possible { None } else { Some(false) }
}

/// A type as authors write it; enumerations and records without their names.
pub(crate) fn type_name(ty: FieldType) -> String {
    match ty {
        FieldType::Scalar(scalar) => scalar.name().to_owned(),
        FieldType::List(scalar) => format!("list<{}>", scalar.name()),
        FieldType::Records(_) => "list<record>".to_owned(),
    }
}

fn is_text(ty: FieldType) -> bool {
    matches!(ty, FieldType::Scalar(Scalar::Str | Scalar::Path) | FieldType::List(Scalar::Str | Scalar::Path))
}

/// Whether a test can be applied to a value of this type.
fn check_type(test: &Test, ty: FieldType) -> Result<(), TestError> {
    let (name, suits) = match (test, ty) {
        (Test::Exists, _) => return Ok(()),
        (_, FieldType::Records(_)) => ("values", false),
        (Test::Str { .. }, _) => ("text", is_text(ty)),
        (Test::Bytes(_), FieldType::Scalar(scalar) | FieldType::List(scalar)) => ("bytes", scalar == Scalar::Bytes),
        (Test::Cidr(_), FieldType::Scalar(scalar) | FieldType::List(scalar)) => {
            ("addresses", scalar == Scalar::Ip || is_text(ty))
        }
        (Test::Number { .. }, _) => ("text that is a number", is_text(ty)),
        (Test::Time { .. }, FieldType::Scalar(scalar) | FieldType::List(scalar)) => {
            ("times", scalar == Scalar::Time || is_text(ty))
        }
        (Test::Int { .. }, FieldType::Scalar(scalar) | FieldType::List(scalar)) => (
            "numbers",
            match scalar {
                Scalar::Bool | Scalar::Int | Scalar::Decimal | Scalar::Time | Scalar::Duration | Scalar::Enum(_) => {
                    true
                }
                Scalar::Str | Scalar::Path | Scalar::Bytes | Scalar::Ip => false,
            },
        ),
    };
    if suits { Ok(()) } else { Err(TestError::Type { test: name, ty }) }
}

#[cfg(test)]
mod tests;
