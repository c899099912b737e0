//! Helpers that read values of the record: tests on text, bytes, addresses and lists.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::{
    Arguments, FALSE, HelperContext, KnownArguments, STR_TEST_FLAGS, STR_TEST_FOLD, STR_TEST_IP, STR_TEST_LIST,
    STR_TEST_RIGHT_LIST, Scratch, TRUE, UNKNOWN,
};
use crate::predicate::StrOp;
use crate::record::{LIST_LEN_MAX, LONG_STRING_LEN_MAX, ListView, RECORD_LEN_MAX, RecordView, Slot, state};
use crate::text::fold_str_into;
use crate::trap::Trap;

/// Bytes that looking at one element of a list counts for, beside the bytes it points to.
const ELEMENT_WORK: u32 = 8;
/// The most bytes of the elements of one list that are compared; later ones count as unknown.
const LIST_BYTES_MAX: u32 = RECORD_LEN_MAX;
/// The most work of a test of a list of numbers.
pub(super) const INT_LIST_WORK_MAX: u32 = LIST_LEN_MAX * ELEMENT_WORK;

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
    left: Side,
    right: Side,
    op: StrOp,
    fold: bool,
    ip: bool,
}

/// A slot, and whether it is a list.
#[derive(Clone, Copy)]
struct Side {
    slot: Slot,
    is_list: bool,
}

impl Side {
    /// Calls `f` with each value (None: not known) until it breaks. Elements beyond the caps are given as one unknown
    /// value.
    fn each<'m>(self, record: &RecordView<'m>, mut f: impl FnMut(Option<Known<'m>>) -> bool) {
        if !self.is_list {
            f(Known::of_slot(record, self.slot));
            return;
        }
        let Some((list, count, complete)) = elements(record, self.slot) else {
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

    /// Bytes that looking at all of its values counts for, and how many these are.
    fn work(self, record: &RecordView<'_>) -> (u32, u32) {
        let each = if self.is_list { ELEMENT_WORK } else { 0 };
        let (mut bytes, mut count) = (0, 0);
        self.each(record, |value| {
            bytes += value.map_or(0, |value| value.len()) + each;
            count += 1;
            true
        });
        (bytes, count)
    }
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
        let has = |flag: u64| args[3] & flag != 0;
        let left = Side { slot: slot(args[1])?, is_list: has(STR_TEST_LIST) };
        let right = Side { slot: slot(args[2])?, is_list: has(STR_TEST_RIGHT_LIST) };
        Ok(Self { record, left, right, op, fold: has(STR_TEST_FOLD), ip: has(STR_TEST_IP) })
    }
}

pub(super) fn str_test_work(context: &HelperContext<'_>, args: &Arguments) -> Result<u32, Trap> {
    let test = StrTest::new(context, args)?;
    let (left, _) = test.left.work(&test.record);
    let (right, count) = test.right.work(&test.record);
    Ok(left.saturating_mul(count).saturating_add(right))
}

pub(super) fn str_test_work_max(known: &KnownArguments<'_>) -> u32 {
    let is_list = |flag: u64| known.constants[3].is_none_or(|flags| flags & flag != 0);
    // One more element for what is not known.
    let (list, elements) = (LIST_BYTES_MAX + (LIST_LEN_MAX + 1) * ELEMENT_WORK, LIST_LEN_MAX + 1);
    let left = if is_list(STR_TEST_LIST) { list } else { LONG_STRING_LEN_MAX };
    if is_list(STR_TEST_RIGHT_LIST) { left * elements + list } else { left + LONG_STRING_LEN_MAX }
}

pub(super) fn str_test(context: &mut HelperContext<'_>, args: &Arguments) -> Result<u64, Trap> {
    let test = StrTest::new(context, args)?;
    let mut answer = FALSE;
    test.right.each(&test.record, |right| {
        let one = right.map_or(UNKNOWN, |right| test.left_against(right, &mut *context.scratch));
        answer = if one == TRUE { TRUE } else { answer.max(one) };
        one != TRUE
    });
    Ok(answer)
}

impl<'m> StrTest<'m> {
    /// Any value on the left against one on the right.
    fn left_against(&self, right: Known<'m>, scratch: &mut Scratch) -> u64 {
        let Scratch { left: left_folded, right: right_folded } = scratch;
        if self.fold {
            let Ok(text) = std::str::from_utf8(right.bytes) else { return UNKNOWN };
            right_folded.clear();
            fold_str_into(text, right_folded);
        }
        let mut answer = FALSE;
        self.left.each(&self.record, |left| {
            let one = match left {
                None => UNKNOWN,
                Some(left) if self.ip => compare_addresses(self.op, left, right),
                Some(left) if self.fold => match std::str::from_utf8(left.bytes) {
                    Ok(text) => {
                        left_folded.clear();
                        fold_str_into(text, left_folded);
                        let folded = Known { bytes: left_folded.as_bytes(), ..left };
                        compare(self.op, folded, Known { bytes: right_folded.as_bytes(), ..right })
                    }
                    Err(_) => UNKNOWN,
                },
                Some(left) => compare(self.op, left, right),
            };
            answer = if one == TRUE { TRUE } else { answer.max(one) };
            one != TRUE
        });
        answer
    }
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

pub(super) fn str_len_work(context: &HelperContext<'_>, args: &Arguments) -> Result<u32, Trap> {
    Ok(Known::of_slot(&context.record(args[0])?, slot(args[1])?).map_or(0, |value| value.len()))
}

pub(super) fn str_len(context: &mut HelperContext<'_>, args: &Arguments) -> Result<u64, Trap> {
    let value = Known::of_slot(&context.record(args[0])?, slot(args[1])?);
    // Counts the bytes that begin a character, which is also an answer for what is not text.
    Ok(value.map_or(0, |value| value.bytes.iter().filter(|byte| **byte & 0xc0 != 0x80).count() as u64))
}

pub(super) fn int_list_work(context: &HelperContext<'_>, args: &Arguments) -> Result<u32, Trap> {
    let count = elements(&context.record(args[0])?, slot(args[1])?).map_or(0, |(_, count, _)| count);
    Ok(count * ELEMENT_WORK)
}

/// Bytes that `str_load` yields.
pub(super) const STR_LOAD_LEN: u32 = 8;

pub(super) fn str_load(context: &mut HelperContext<'_>, args: &Arguments) -> Result<u64, Trap> {
    let record = context.record(args[0])?;
    let value = Known::of_slot(&record, slot(args[1])?);
    let bytes = value.map_or(&[][..], |value| value.bytes);
    let rest = usize::try_from(args[2]).ok().and_then(|offset| bytes.get(offset..)).unwrap_or_default();
    let mut word = [0; STR_LOAD_LEN as usize];
    word.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
    Ok(u64::from_le_bytes(word))
}

pub(super) fn int_list_test(context: &mut HelperContext<'_>, args: &Arguments) -> Result<u64, Trap> {
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
