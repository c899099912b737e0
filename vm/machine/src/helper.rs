//! Helpers: what a program can call beyond its own code.
//!
//! A helper is a row of a table: number, name, what its arguments must be, what it returns, what it costs. Verifier,
//! linker and executors read the same row. A helper is total: it answers, or traps with
//! [`Trap::HelperArgument`] for arguments that the verifier would have refused. It never reads beyond the record and
//! keeps no state but its scratch buffers.
//!
//! # Fuel
//!
//! A call is one instruction of its block. Before a helper with [`Work::Bytes`] runs, it is charged one fuel per
//! started 16 bytes that it will look at; if that is more than is left, it does not run.
//!
//! # Answers of three values
//!
//! Tests on fields return [`FALSE`], [`TRUE`] or [`UNKNOWN`]: a field that is absent or lost decides nothing; a
//! truncated one decides what its kept beginning can decide.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::map::MapKind;
use crate::memory::{GuestAddr, Memory, Region};
use crate::predicate::{Cmp, StrOp};
use crate::record::{LIST_LEN_MAX, LONG_STRING_LEN_MAX, ListView, RECORD_LEN_MAX, RecordView, Slot, state};
use crate::text::fold_str_into;
use crate::trap::Trap;

/// Answer of a test: it does not hold.
pub const FALSE: u64 = 0;
/// Answer of a test: it holds.
pub const TRUE: u64 = 1;
/// Answer of a test: it cannot be told.
pub const UNKNOWN: u64 = 2;

/// Flag of `str_test`: compare by Unicode simple case folding.
pub const STR_TEST_FOLD: u64 = 0x100;
/// Flag of `str_test`: the left slot is a list of strings; any element will do.
pub const STR_TEST_LIST: u64 = 0x200;

/// Flag of `str_test`: both slots are addresses, an IPv4 one equal to its IPv4-mapped IPv6 form.
pub const STR_TEST_IP: u64 = 0x400;
/// All flags of `str_test`.
const STR_TEST_FLAGS: u64 = STR_TEST_FOLD | STR_TEST_LIST | STR_TEST_IP;

/// Bytes of work that one fuel pays for.
pub const WORK_BYTES_PER_FUEL: u32 = 16;

/// What an argument must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArgType {
    /// Any initialised scalar.
    Scalar,
    /// The address of the record (`r1` at entry), unchanged.
    Record,
    /// A constant: the number of a slot that the program's manifest lists.
    Slot,
    /// A constant that has only bits of this mask.
    ConstMask(u64),
    /// A constant of at most this.
    ConstMax(u64),
    /// A map of the program, of one of these kinds.
    Map(MapKinds),
    /// The address of as many readable bytes as a key of the map in `r1` has.
    Key,
    /// The address of as many readable bytes as a value of the map in `r1` has.
    Value,
}

/// Kinds of maps that a helper works on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MapKinds {
    /// Those whose values lie in guest memory.
    Values,
    /// Those, but read-only data: whose entries a program may change.
    Entries,
    /// [`MapKind::Window`].
    Window,
    /// [`MapKind::Distinct`].
    Distinct,
    /// [`MapKind::Seen`].
    Seen,
}

impl MapKinds {
    /// Whether a kind is one of these.
    pub const fn contains(self, kind: MapKind) -> bool {
        match self {
            Self::Values => kind.has_values(),
            Self::Entries => kind.has_values() && !matches!(kind, MapKind::Data),
            Self::Window => matches!(kind, MapKind::Window { .. }),
            Self::Distinct => matches!(kind, MapKind::Distinct { .. }),
            Self::Seen => matches!(kind, MapKind::Seen { .. }),
        }
    }
}

/// What `r0` holds after the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Returns {
    /// A number between two bounds.
    Number {
        /// Smallest value, signed.
        min: i64,
        /// Largest value, signed.
        max: i64,
    },
    /// The address of a value of the map in `r1`, or 0.
    NullableValue,
}

const ANY_SCALAR: Returns = Returns::Number { min: i64::MIN, max: i64::MAX };
const THREE_VALUED: Returns = Returns::Number { min: 0, max: 2 };

/// Which addresses a call leaves without meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Invalidates {
    /// None.
    Nothing,
    /// Those of values of the map in `r1`.
    Values,
    /// Those of values of the map in `r1`, if maps of its kind evict.
    ValuesIfEvicting,
}

/// What a helper works on.
#[derive(Debug)]
pub struct HelperContext<'m> {
    record: Option<RecordView<'m>>,
    scratch: &'m mut Scratch,
}

/// Buffers that helpers keep between calls, so that no call allocates once they have grown.
#[derive(Clone, Debug, Default)]
pub struct Scratch {
    left: String,
    right: String,
}

/// Arguments `r1` to `r5`.
pub type Arguments = [u64; 5];

/// The work that a call does, in bytes looked at.
#[derive(Clone, Copy, Debug)]
pub enum Work {
    /// Nothing beyond the instruction.
    None,
    /// What depends on its arguments.
    Bytes {
        /// For this call.
        of: fn(&HelperContext<'_>, &Arguments) -> Result<u32, Trap>,
        /// At most, where only some arguments are known.
        most: fn(&[Option<u64>; 5]) -> u32,
    },
}

/// One helper.
#[derive(Clone, Copy, Debug)]
pub struct Helper {
    /// The number that `call` names.
    pub number: u32,
    /// Its name.
    pub name: &'static str,
    /// What it does, in one sentence.
    pub doc: &'static str,
    /// What it takes, from `r1` on.
    pub args: &'static [ArgType],
    /// What it returns.
    pub returns: Returns,
    /// Which addresses it leaves without meaning.
    pub invalidates: Invalidates,
    /// What it costs.
    pub work: Work,
    run: fn(&mut HelperContext<'_>, &Arguments) -> Result<u64, Trap>,
}

/// A set of helpers.
#[derive(Debug)]
pub struct HelperTable {
    /// For messages.
    pub name: &'static str,
    /// Ascending by number.
    pub helpers: &'static [Helper],
}

impl HelperTable {
    /// The helper with this number.
    pub fn get(&self, number: u32) -> Option<&'static Helper> {
        self.helpers.iter().find(|helper| helper.number == number)
    }
}

impl Helper {
    /// Fuel for the work of a call with these arguments.
    #[inline]
    pub fn fuel(&self, memory: &mut Memory, args: &Arguments) -> Result<u64, Trap> {
        match self.work {
            Work::None => Ok(0),
            Work::Bytes { of, .. } => Ok(fuel_of(of(&HelperContext::new(memory), args)?)),
        }
    }

    /// The most fuel that the work of any call can cost; what is known of the arguments may lower it.
    pub fn fuel_max(&self, known: &[Option<u64>; 5]) -> u64 {
        match self.work {
            Work::None => 0,
            Work::Bytes { most, .. } => fuel_of(most(known)),
        }
    }

    /// Does the work.
    #[inline]
    pub fn call(&self, memory: &mut Memory, args: &Arguments) -> Result<u64, Trap> {
        (self.run)(&mut HelperContext::new(memory), args)
    }
}

fn fuel_of(bytes: u32) -> u64 {
    u64::from(bytes.div_ceil(WORK_BYTES_PER_FUEL))
}

impl<'m> HelperContext<'m> {
    fn new(memory: &'m mut Memory) -> Self {
        let (record, scratch) = memory.record_and_scratch();
        Self { record: RecordView::new(record), scratch }
    }

    /// The record, if `addr` is its address.
    fn record(&self, addr: u64) -> Result<RecordView<'m>, Trap> {
        let here = GuestAddr(addr) == GuestAddr(u64::from(Region::Record.base()));
        self.record.filter(|_| here).ok_or(Trap::HelperArgument)
    }
}

/// For raw programs.
pub static RAW_HELPERS: HelperTable = HelperTable {
    name: "raw",
    helpers: &[Helper {
        number: 5,
        name: "identity",
        doc: "Returns its first argument.",
        args: &[ArgType::Scalar],
        returns: ANY_SCALAR,
        invalidates: Invalidates::Nothing,
        work: Work::None,
        run: |_, args| Ok(args[0]),
    }],
};

/// For rule programs.
pub static RULE_HELPERS: HelperTable = HelperTable {
    name: "rule",
    helpers: &[
        Helper {
            number: 1,
            name: "str_test",
            doc: "Compares the string, path, bytes or ip of two slots: 0 false, 1 true, 2 unknown.",
            args: &[ArgType::Record, ArgType::Slot, ArgType::Slot, ArgType::ConstMask(STR_TEST_FLAGS | 3)],
            returns: THREE_VALUED,
            invalidates: Invalidates::Nothing,
            work: Work::Bytes { of: str_test_work, most: str_test_work_max },
            run: str_test,
        },
        Helper {
            number: 2,
            name: "sat_add",
            doc: "Signed sum, saturating.",
            args: &[ArgType::Scalar, ArgType::Scalar],
            returns: ANY_SCALAR,
            invalidates: Invalidates::Nothing,
            work: Work::None,
            run: |_, args| Ok(signed(args, i64::saturating_add)),
        },
        Helper {
            number: 3,
            name: "sat_sub",
            doc: "Signed difference, saturating.",
            args: &[ArgType::Scalar, ArgType::Scalar],
            returns: ANY_SCALAR,
            invalidates: Invalidates::Nothing,
            work: Work::None,
            run: |_, args| Ok(signed(args, i64::saturating_sub)),
        },
        Helper {
            number: 4,
            name: "sat_mul",
            doc: "Signed product, saturating.",
            args: &[ArgType::Scalar, ArgType::Scalar],
            returns: ANY_SCALAR,
            invalidates: Invalidates::Nothing,
            work: Work::None,
            run: |_, args| Ok(signed(args, i64::saturating_mul)),
        },
        Helper {
            number: 6,
            name: "decimal_mul",
            doc: "Product of two counts of millionths, towards zero, saturating.",
            args: &[ArgType::Scalar, ArgType::Scalar],
            returns: ANY_SCALAR,
            invalidates: Invalidates::Nothing,
            work: Work::None,
            run: |_, args| Ok(signed(args, decimal_mul)),
        },
        Helper {
            number: 7,
            name: "decimal_div",
            doc: "Quotient of two counts of millionths, towards zero, saturating; 0 for a divisor of 0.",
            args: &[ArgType::Scalar, ArgType::Scalar],
            returns: ANY_SCALAR,
            invalidates: Invalidates::Nothing,
            work: Work::None,
            run: |_, args| Ok(signed(args, decimal_div)),
        },
        Helper {
            number: 8,
            name: "str_len",
            doc: "Length of a string slot in characters (of what is kept of it); 0 without a value.",
            args: &[ArgType::Record, ArgType::Slot],
            returns: Returns::Number { min: 0, max: LONG_STRING_LEN_MAX as i64 },
            invalidates: Invalidates::Nothing,
            work: Work::Bytes { of: str_len_work, most: |_| LONG_STRING_LEN_MAX },
            run: str_len,
        },
        Helper {
            number: 9,
            name: "int_list_test",
            doc: "Compares any element of a list of numbers with a number: 0 false, 1 true, 2 unknown.",
            args: &[ArgType::Record, ArgType::Slot, ArgType::ConstMax(Cmp::Ge as u64), ArgType::Scalar],
            returns: THREE_VALUED,
            invalidates: Invalidates::Nothing,
            work: Work::Bytes { of: int_list_work, most: |_| LIST_LEN_MAX * ELEMENT_WORK },
            run: int_list_test,
        },
    ],
};

/// Bytes that looking at one element of a list counts for, beside the bytes it points to.
const ELEMENT_WORK: u32 = 8;
/// The most bytes of the elements of one list that are compared; later ones count as unknown.
const LIST_BYTES_MAX: u32 = RECORD_LEN_MAX;

fn signed(args: &Arguments, op: fn(i64, i64) -> i64) -> u64 {
    op(args[0].cast_signed(), args[1].cast_signed()).cast_unsigned()
}

const MILLION: i128 = 1_000_000;

fn decimal_mul(a: i64, b: i64) -> i64 {
    saturate(i128::from(a) * i128::from(b) / MILLION)
}

fn decimal_div(a: i64, b: i64) -> i64 {
    if b == 0 { 0 } else { saturate(i128::from(a) * MILLION / i128::from(b)) }
}

fn saturate(value: i128) -> i64 {
    i64::try_from(value).unwrap_or(if value < 0 { i64::MIN } else { i64::MAX })
}

fn slot(number: u64) -> Result<Slot, Trap> {
    u16::try_from(number).map(Slot).map_err(|_| Trap::HelperArgument)
}

/// A value as far as it is known.
#[derive(Clone, Copy)]
struct Known<'m> {
    bytes: &'m [u8],
    truncated: bool,
}

impl<'m> Known<'m> {
    /// None without a value. A string longer than any that a record keeps is cut, which bounds the work.
    fn new(bits: u8, bytes: Option<&'m [u8]>) -> Option<Self> {
        let bytes = bytes.filter(|_| bits & state::PRESENT != 0)?;
        let cut = bytes.get(..LONG_STRING_LEN_MAX as usize);
        Some(Self {
            bytes: cut.unwrap_or(bytes),
            truncated: bits & state::TRUNCATED != 0 || cut.is_some_and(|cut| cut.len() < bytes.len()),
        })
    }

    fn of_slot(record: &RecordView<'m>, slot: Slot) -> Option<Self> {
        Self::new(record.state(slot), record.bytes(slot))
    }

    fn len(&self) -> u32 {
        self.bytes.len() as u32
    }
}

/// The elements of a list of scalars that are looked at, and whether these are all.
fn elements<'m>(record: &RecordView<'m>, slot: Slot) -> Option<(ListView<'m>, u32, bool)> {
    let bits = record.state(slot);
    let list = record.list(slot, 0).filter(|_| bits & state::PRESENT != 0)?;
    let count = list.len().min(LIST_LEN_MAX);
    Some((list, count, bits & state::TRUNCATED == 0 && count == list.len()))
}

struct StrTest<'m> {
    record: RecordView<'m>,
    left: Slot,
    right: Option<Known<'m>>,
    op: StrOp,
    fold: bool,
    list: bool,
    ip: bool,
}

impl<'m> StrTest<'m> {
    fn new(context: &HelperContext<'m>, args: &Arguments) -> Result<Self, Trap> {
        let record = context.record(args[0])?;
        let op = match args[3] & !STR_TEST_FLAGS {
            0 => StrOp::Equals,
            1 => StrOp::Contains,
            2 => StrOp::StartsWith,
            3 => StrOp::EndsWith,
            _ => return Err(Trap::HelperArgument),
        };
        let right = Known::of_slot(&record, slot(args[2])?);
        let has = |flag: u64| args[3] & flag != 0;
        let (fold, list, ip) = (has(STR_TEST_FOLD), has(STR_TEST_LIST), has(STR_TEST_IP));
        Ok(Self { record, left: slot(args[1])?, right, op, fold, list, ip })
    }

    /// Calls `f` with each value on the left (None: not known) until it breaks. Elements beyond the caps are given
    /// as one unknown value.
    fn each_left(&self, mut f: impl FnMut(Option<Known<'m>>) -> bool) {
        if !self.list {
            f(Known::of_slot(&self.record, self.left));
            return;
        }
        let Some((list, count, complete)) = elements(&self.record, self.left) else {
            f(None);
            return;
        };
        let mut room = LIST_BYTES_MAX;
        for element in 0..count {
            let value = Known::new(list.state(element, 0), list.bytes(element, 0));
            match room.checked_sub(value.map_or(0, |value| value.len())) {
                Some(left) => room = left,
                None => {
                    f(None);
                    return;
                }
            }
            if !f(value) {
                return;
            }
        }
        if !complete {
            f(None);
        }
    }
}

fn str_test_work(context: &HelperContext<'_>, args: &Arguments) -> Result<u32, Trap> {
    let test = StrTest::new(context, args)?;
    let mut bytes = test.right.map_or(0, |right| right.len());
    test.each_left(|value| {
        bytes += value.map_or(0, |value| value.len()) + if test.list { ELEMENT_WORK } else { 0 };
        true
    });
    Ok(bytes)
}

fn str_test_work_max(known: &[Option<u64>; 5]) -> u32 {
    let left = match known[3] {
        Some(flags) if flags & STR_TEST_LIST == 0 => LONG_STRING_LEN_MAX,
        _ => LIST_BYTES_MAX + (LIST_LEN_MAX + 1) * ELEMENT_WORK,
    };
    left + LONG_STRING_LEN_MAX
}

fn str_test(context: &mut HelperContext<'_>, args: &Arguments) -> Result<u64, Trap> {
    let test = StrTest::new(context, args)?;
    let Some(right) = test.right else { return Ok(UNKNOWN) };
    let Scratch { left: left_folded, right: right_folded } = &mut *context.scratch;
    let right_text = std::str::from_utf8(right.bytes).ok();
    if test.fold {
        let Some(text) = right_text else { return Ok(UNKNOWN) };
        right_folded.clear();
        fold_str_into(text, right_folded);
    }
    let mut answer = FALSE;
    test.each_left(|left| {
        let one = match left {
            None => UNKNOWN,
            Some(left) if test.ip => compare_addresses(test.op, left, right),
            Some(left) if test.fold => match std::str::from_utf8(left.bytes) {
                Ok(text) => {
                    left_folded.clear();
                    fold_str_into(text, left_folded);
                    let folded = Known { bytes: left_folded.as_bytes(), ..left };
                    compare(test.op, folded, Known { bytes: right_folded.as_bytes(), ..right })
                }
                Err(_) => UNKNOWN,
            },
            Some(left) => compare(test.op, left, right),
        };
        answer = if one == TRUE { TRUE } else { answer.max(one) };
        one != TRUE
    });
    Ok(answer)
}

/// Three-valued comparison of two values of which the end may be missing.
fn compare(op: StrOp, left: Known<'_>, right: Known<'_>) -> u64 {
    let (a, b) = (left.bytes, right.bytes);
    let decided = |holds: bool| if holds { TRUE } else { FALSE };
    let possible = |may_hold: bool| if may_hold { UNKNOWN } else { FALSE };
    match (op, left.truncated, right.truncated) {
        (StrOp::Equals, false, false) => decided(a == b),
        (StrOp::Equals, true, false) => possible(b.starts_with(a)),
        (StrOp::Equals, false, true) => possible(a.starts_with(b)),
        (StrOp::Equals, true, true) => possible(a.starts_with(b) || b.starts_with(a)),
        (StrOp::StartsWith, false, false) => decided(a.starts_with(b)),
        (StrOp::StartsWith, true, false) if a.starts_with(b) => TRUE,
        (StrOp::StartsWith, true, false) => possible(b.starts_with(a)),
        (StrOp::StartsWith, false, true) => possible(a.starts_with(b)),
        (StrOp::StartsWith, true, true) => possible(a.starts_with(b) || b.starts_with(a)),
        (StrOp::EndsWith, false, false) => decided(a.ends_with(b)),
        (StrOp::EndsWith, true, false) => {
            if b.is_empty() {
                TRUE
            } else {
                UNKNOWN
            }
        }
        (StrOp::EndsWith, false, true) => find(a, b).map_or(UNKNOWN, possible),
        (StrOp::EndsWith, true, true) => UNKNOWN,
        (StrOp::Contains, false, false) => find(a, b).map_or(UNKNOWN, decided),
        (StrOp::Contains, true, false) => {
            if find(a, b) == Some(true) {
                TRUE
            } else {
                UNKNOWN
            }
        }
        (StrOp::Contains, false, true) => find(a, b).map_or(UNKNOWN, possible),
        (StrOp::Contains, true, true) => UNKNOWN,
        (StrOp::Like | StrOp::Regex | StrOp::Under, ..) => UNKNOWN,
    }
}

/// Only [`StrOp::Equals`] means something between addresses.
fn compare_addresses(op: StrOp, left: Known<'_>, right: Known<'_>) -> u64 {
    match (op, address(left), address(right)) {
        (StrOp::Equals, Some(left), Some(right)) => u64::from(left == right),
        _ => UNKNOWN,
    }
}

fn address(value: Known<'_>) -> Option<Ipv6Addr> {
    if let Ok(octets) = <[u8; 4]>::try_from(value.bytes) {
        return Some(Ipv4Addr::from(octets).to_ipv6_mapped());
    }
    <[u8; 16]>::try_from(value.bytes).ok().map(Ipv6Addr::from)
}

/// Whether `b` occurs in `a`, in time linear in both; None if one is not text.
fn find(a: &[u8], b: &[u8]) -> Option<bool> {
    if b.len() > a.len() {
        return Some(false);
    }
    Some(std::str::from_utf8(a).ok()?.contains(std::str::from_utf8(b).ok()?))
}

fn str_len_work(context: &HelperContext<'_>, args: &Arguments) -> Result<u32, Trap> {
    Ok(Known::of_slot(&context.record(args[0])?, slot(args[1])?).map_or(0, |value| value.len()))
}

fn str_len(context: &mut HelperContext<'_>, args: &Arguments) -> Result<u64, Trap> {
    let value = Known::of_slot(&context.record(args[0])?, slot(args[1])?);
    // Counts the bytes that begin a character, which is also an answer for what is not text.
    Ok(value.map_or(0, |value| value.bytes.iter().filter(|byte| **byte & 0xc0 != 0x80).count() as u64))
}

fn int_list_work(context: &HelperContext<'_>, args: &Arguments) -> Result<u32, Trap> {
    let count = elements(&context.record(args[0])?, slot(args[1])?).map_or(0, |(_, count, _)| count);
    Ok(count * ELEMENT_WORK)
}

fn int_list_test(context: &mut HelperContext<'_>, args: &Arguments) -> Result<u64, Trap> {
    let record = context.record(args[0])?;
    let holds: fn(&i64, &i64) -> bool = match args[2] {
        0 => i64::eq,
        1 => i64::ne,
        2 => i64::lt,
        3 => i64::le,
        4 => i64::gt,
        5 => i64::ge,
        _ => return Err(Trap::HelperArgument),
    };
    let Some((list, count, complete)) = elements(&record, slot(args[1])?) else { return Ok(UNKNOWN) };
    let mut answer = if complete { FALSE } else { UNKNOWN };
    for element in 0..count {
        if list.state(element, 0) & state::PRESENT == 0 {
            answer = UNKNOWN;
        } else if holds(&list.raw(element, 0).cast_signed(), &args[3].cast_signed()) {
            return Ok(TRUE);
        }
    }
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::Capacities;
    use crate::record::{Cell, RecordHeader, RecordWriter, Value};

    fn memory(cells: &[Cell<'_>]) -> Memory {
        let mut memory = Memory::new(&Capacities { record: RECORD_LEN_MAX, ..Capacities::default() }).unwrap();
        let header = RecordHeader { digest: 0, class: 0, os: None, time_ns: 0, sequence: 0 };
        let bytes = memory.whole_mut(Region::Record);
        let mut writer = RecordWriter::new(bytes, cells.len() as u16, &header).unwrap();
        for (slot, cell) in (0..).map(Slot).zip(cells) {
            writer.set(slot, LONG_STRING_LEN_MAX, cell);
        }
        let len = writer.finish();
        memory.set_len(Region::Record, len).unwrap();
        memory
    }

    /// Calls a helper with the record as first argument; the answer and its fuel.
    fn call(memory: &mut Memory, name: &str, rest: &[u64]) -> (u64, u64) {
        let helper = RULE_HELPERS.helpers.iter().find(|helper| helper.name == name).unwrap();
        let mut args = [u64::from(Region::Record.base()), 0, 0, 0, 0];
        args[1..=rest.len()].copy_from_slice(rest);
        let fuel = helper.fuel(memory, &args).unwrap();
        assert!(fuel <= helper.fuel_max(&args.map(Some)) && fuel <= helper.fuel_max(&[None; 5]));
        let answer = helper.call(memory, &args).unwrap();
        let Returns::Number { min, max } = helper.returns else { panic!("{name} returns no number") };
        assert!((min..=max).contains(&answer.cast_signed()));
        (answer, fuel)
    }

    const OPS: [StrOp; 4] = [StrOp::Equals, StrOp::Contains, StrOp::StartsWith, StrOp::EndsWith];

    fn holds(op: StrOp, a: &str, b: &str) -> bool {
        match op {
            StrOp::Equals => a == b,
            StrOp::Contains => a.contains(b),
            StrOp::StartsWith => a.starts_with(b),
            _ => a.ends_with(b),
        }
    }

    /// All texts of `a` and `b` of at most this length.
    fn texts(len: usize) -> Vec<String> {
        let mut all = vec![String::new()];
        let mut from = 0;
        for _ in 0..len {
            let to = all.len();
            for at in from..to {
                all.extend(["a", "b"].map(|c| format!("{}{c}", all[at])));
            }
            from = to;
        }
        all
    }

    /// Against the definition: true if the test holds however truncated values go on, false if it never does.
    #[test]
    fn truncated_values_decide_what_they_can() {
        let (kept, rests) = (texts(2), texts(3));
        for (a, b, op) in kept.iter().flat_map(|a| kept.iter().flat_map(move |b| OPS.map(|op| (a, b, op)))) {
            for (cut_a, cut_b) in [(false, false), (true, false), (false, true), (true, true)] {
                let whole = |kept: &str, cut: bool| -> Vec<String> {
                    let ends = if cut { rests.as_slice() } else { &rests[..1] };
                    ends.iter().map(|end| format!("{kept}{end}")).collect()
                };
                let (all_a, all_b) = (whole(a, cut_a), whole(b, cut_b));
                let outcomes: Vec<bool> =
                    all_a.iter().flat_map(|a| all_b.iter().map(move |b| holds(op, a, b))).collect();
                let want = match (outcomes.contains(&true), outcomes.contains(&false)) {
                    (true, false) => TRUE,
                    (false, true) => FALSE,
                    _ => UNKNOWN,
                };
                let cell =
                    |text, cut| if cut { Cell::Truncated(Value::Str(text)) } else { Cell::Present(Value::Str(text)) };
                let mut memory = memory(&[cell(a, cut_a), cell(b, cut_b)]);
                for fold in [0, STR_TEST_FOLD] {
                    let (got, _) = call(&mut memory, "str_test", &[0, 1, op as u64 | fold]);
                    assert_eq!(got, want, "{op:?} {a}({cut_a}) {b}({cut_b})");
                }
            }
        }
    }

    #[test]
    fn strings_of_two_slots() {
        let list = [Cell::Lost, Cell::Present(Value::Str("b.EXE"))];
        let mut memory = memory(&[
            Cell::Present(Value::Str("C:\\ÄB.exe")),
            Cell::Present(Value::Str("äb.EXE")),
            Cell::Absent,
            Cell::Lost,
            Cell::Present(Value::Bytes(&[0xff, 1])),
            Cell::Present(Value::Bytes(&[0xff, 1])),
            Cell::Present(Value::List(&list)),
            Cell::Present(Value::Str("b.exe")),
            Cell::Truncated(Value::List(&list[1..])),
        ]);
        let [equals, contains, _, ends] = OPS.map(|op| op as u64);
        for (left, right, flags, want) in [
            (0, 1, contains, FALSE),
            (0, 1, contains | STR_TEST_FOLD, TRUE),
            (0, 1, ends | STR_TEST_FOLD, TRUE),
            (0, 1, equals | STR_TEST_FOLD, FALSE),
            (0, 2, equals, UNKNOWN),
            (2, 0, equals, UNKNOWN),
            (3, 3, equals, UNKNOWN),
            (4, 5, equals, TRUE),
            (4, 5, contains, UNKNOWN),
            (4, 5, equals | STR_TEST_FOLD, UNKNOWN),
            (6, 7, equals | STR_TEST_LIST | STR_TEST_FOLD, TRUE),
            (6, 7, equals | STR_TEST_LIST, UNKNOWN),
            (6, 0, equals | STR_TEST_LIST, UNKNOWN),
            (8, 7, equals | STR_TEST_LIST | STR_TEST_FOLD, TRUE),
            (8, 7, equals | STR_TEST_LIST, UNKNOWN),
            (2, 7, equals | STR_TEST_LIST, UNKNOWN),
            (0, 99, equals, UNKNOWN),
        ] {
            assert_eq!(call(&mut memory, "str_test", &[left, right, flags]).0, want, "{left} {right} {flags:#x}");
        }
    }

    #[test]
    fn addresses_of_two_slots() {
        let ip = |text: &str| Cell::Present(Value::Ip(text.parse().unwrap()));
        let list = [ip("::1"), ip("::ffff:10.0.0.1")];
        let mut memory = memory(&[
            ip("10.0.0.1"),
            ip("::ffff:10.0.0.1"),
            ip("10.0.0.2"),
            ip("::10.0.0.1"),
            Cell::Present(Value::List(&list)),
            Cell::Present(Value::Bytes(&[1])),
            Cell::Absent,
        ]);
        for (left, right, flags, want) in [
            (0, 0, 0, TRUE),
            (0, 1, 0, TRUE),
            (1, 0, 0, TRUE),
            (0, 2, 0, FALSE),
            (0, 3, 0, FALSE),
            (4, 0, STR_TEST_LIST, TRUE),
            (4, 2, STR_TEST_LIST, FALSE),
            (0, 5, 0, UNKNOWN),
            (0, 6, 0, UNKNOWN),
            (0, 0, StrOp::StartsWith as u64, UNKNOWN),
        ] {
            let got = call(&mut memory, "str_test", &[left, right, flags | STR_TEST_IP]).0;
            assert_eq!(got, want, "{left} {right} {flags:#x}");
        }
        assert_eq!(call(&mut memory, "str_test", &[0, 1, 0]).0, FALSE, "as bytes they differ");
    }

    #[test]
    fn work_is_counted_in_sixteenths() {
        for (len, fuel) in [(15, 1), (16, 1), (17, 2)] {
            let text = "x".repeat(len);
            let mut memory = memory(&[Cell::Present(Value::Str(&text)), Cell::Present(Value::Str(""))]);
            assert_eq!(call(&mut memory, "str_test", &[0, 1, 1]), (TRUE, fuel));
            assert_eq!(call(&mut memory, "str_len", &[0]), (len as u64, fuel));
        }
    }

    #[test]
    fn long_values_stay_within_the_worst_case() {
        let text = "ab".repeat(LONG_STRING_LEN_MAX as usize / 2);
        let mut memory = memory(&[Cell::Present(Value::Str(&text[..100_000])), Cell::Present(Value::Str(&text))]);
        for op in OPS {
            assert_eq!(call(&mut memory, "str_test", &[0, 1, op as u64]).0, FALSE);
        }
        assert_eq!(call(&mut memory, "str_test", &[1, 0, StrOp::Contains as u64]), (TRUE, (131_072 + 100_000) / 16));
    }

    #[test]
    fn lists_of_numbers() {
        let numbers = [Cell::Present(Value::Int(-5)), Cell::Present(Value::Int(9))];
        let gaps = [Cell::Present(Value::Int(1)), Cell::Lost];
        let mut memory = memory(&[
            Cell::Present(Value::List(&numbers)),
            Cell::Truncated(Value::List(&numbers)),
            Cell::Present(Value::List(&gaps)),
            Cell::Present(Value::List(&[])),
            Cell::Absent,
        ]);
        let minus = |n: i64| (-n).cast_unsigned();
        for (slot, cmp, value, want) in [
            (0, Cmp::Eq, 9, TRUE),
            (0, Cmp::Eq, 8, FALSE),
            (0, Cmp::Ne, 9, TRUE),
            (0, Cmp::Lt, minus(5), FALSE),
            (0, Cmp::Le, minus(5), TRUE),
            (0, Cmp::Gt, 8, TRUE),
            (0, Cmp::Ge, 10, FALSE),
            (1, Cmp::Eq, 9, TRUE),
            (1, Cmp::Eq, 8, UNKNOWN),
            (2, Cmp::Eq, 1, TRUE),
            (2, Cmp::Eq, 2, UNKNOWN),
            (3, Cmp::Eq, 2, FALSE),
            (4, Cmp::Eq, 2, UNKNOWN),
        ] {
            assert_eq!(
                call(&mut memory, "int_list_test", &[slot, cmp as u64, value]).0,
                want,
                "{slot} {cmp:?} {value}"
            );
        }
    }

    #[test]
    fn lengths_in_characters() {
        let mut memory = memory(&[
            Cell::Present(Value::Str("äbc€")),
            Cell::Present(Value::Str("")),
            Cell::Truncated(Value::Str("abc")),
            Cell::Absent,
            Cell::Lost,
        ]);
        for (slot, want) in [(0, 4), (1, 0), (2, 3), (3, 0), (4, 0)] {
            assert_eq!(call(&mut memory, "str_len", &[slot]).0, want);
        }
    }

    #[test]
    fn arithmetic_saturates() {
        let minus = |n: i64| -n;
        for (name, a, b, want) in [
            ("sat_add", i64::MAX, 1, i64::MAX),
            ("sat_add", i64::MIN, -1, i64::MIN),
            ("sat_add", 2, 3, 5),
            ("sat_sub", i64::MIN, 1, i64::MIN),
            ("sat_sub", 2, 3, -1),
            ("sat_mul", i64::MAX, -2, i64::MIN),
            ("sat_mul", 4, -2, -8),
            ("decimal_mul", 1_500_000, 2_000_000, 3_000_000),
            ("decimal_mul", -1, 1, 0),
            ("decimal_mul", i64::MAX, 2_000_000, i64::MAX),
            ("decimal_mul", i64::MAX, minus(2_000_000), i64::MIN),
            ("decimal_div", 3_000_000, 2_000_000, 1_500_000),
            ("decimal_div", 7, 0, 0),
            ("decimal_div", i64::MIN, minus(1), i64::MAX),
            ("decimal_div", i64::MAX, 1, i64::MAX),
        ] {
            let helper = RULE_HELPERS.helpers.iter().find(|helper| helper.name == name).unwrap();
            let args = [a.cast_unsigned(), b.cast_unsigned(), 0, 0, 0];
            let mut memory = Memory::new(&Capacities::default()).unwrap();
            assert_eq!(helper.call(&mut memory, &args), Ok(want.cast_unsigned()), "{name} {a} {b}");
            assert_eq!(helper.fuel(&mut memory, &args), Ok(0));
        }
    }

    #[test]
    fn tables_are_in_order() {
        for table in [&RAW_HELPERS, &RULE_HELPERS] {
            assert!(table.helpers.is_sorted_by_key(|helper| helper.number), "{}", table.name);
            for helper in table.helpers {
                assert_eq!(table.get(helper.number).map(|found| found.name), Some(helper.name));
                assert!(helper.args.len() <= 5 && !helper.doc.is_empty());
            }
        }
        assert!(RULE_HELPERS.get(5).is_none());
    }
}
