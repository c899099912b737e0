//! Helpers against their definitions.

use super::*;
use crate::memory::Capacities;
use crate::predicate::{Cmp, StrOp};
use crate::record::{
    Cell, LIST_LEN_MAX, LONG_STRING_LEN_MAX, RECORD_LEN_MAX, RecordHeader, RecordView, RecordWriter, Slot, Value,
    header, slot_offset, state, state_offset,
};

fn constants(args: Arguments) -> KnownArguments<'static> {
    KnownArguments { constants: args.map(Some), map: None }
}

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
    let helper = RULE_HELPERS.iter().find(|helper| helper.name == name).unwrap();
    let mut args = [u64::from(Region::Record.base()), 0, 0, 0, 0];
    args[1..=rest.len()].copy_from_slice(rest);
    let fuel = helper.fuel(memory, &args).unwrap();
    assert!(fuel <= helper.fuel_max(&constants(args)) && fuel <= helper.fuel_max(&KnownArguments::default()));
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
            let outcomes: Vec<bool> = all_a.iter().flat_map(|a| all_b.iter().map(move |b| holds(op, a, b))).collect();
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
        assert_eq!(call(&mut memory, "int_list_test", &[slot, cmp as u64, value]).0, want, "{slot} {cmp:?} {value}");
    }
}

/// Changes the record to one that no writer makes.
fn forge(memory: &mut Memory, at: u32, bytes: &[u8]) {
    memory.whole_mut(Region::Record)[at as usize..][..bytes.len()].copy_from_slice(bytes);
}

/// What a slot that points somewhere holds: where, and how much.
fn points(memory: &Memory, slot: u16) -> (u32, u32) {
    let raw = RecordView::new(memory.contents(Region::Record)).unwrap().raw(Slot(slot));
    (raw as u32, (raw >> 32) as u32)
}

#[test]
fn texts_longer_than_any_that_is_kept_are_cut() {
    let most = LONG_STRING_LEN_MAX as usize;
    let text = "a".repeat(most);
    for (len, equal) in [(most - 1, FALSE), (most, TRUE), (most + 1, UNKNOWN)] {
        // What follows the first text makes it longer.
        let cells = [&text, "abc", &text[..100_000]].map(|text| Cell::Present(Value::Str(text)));
        let mut memory = memory(&cells);
        let (at, _) = points(&memory, 0);
        forge(&mut memory, Slot(1).offset(), &(u64::from(at) | (len as u64) << 32).to_le_bytes());
        assert_eq!(call(&mut memory, "str_len", &[1]).0, len.min(most) as u64, "{len}");
        assert_eq!(call(&mut memory, "str_test", &[0, 1, StrOp::Equals as u64]).0, equal, "{len}");
        assert_eq!(call(&mut memory, "str_test", &[1, 2, StrOp::StartsWith as u64]).0, TRUE, "{len}");
    }
}

#[test]
fn elements_of_a_list_at_and_over_their_number() {
    let most = LIST_LEN_MAX;
    let numbers = vec![Cell::Present(Value::Int(1)); most as usize];
    for (len, want) in [(most - 1, FALSE), (most, FALSE), (most + 1, UNKNOWN)] {
        let mut memory = memory(&[Cell::Present(Value::List(&numbers))]);
        let (at, count) = points(&memory, 0);
        assert_eq!(count, most);
        // One more group, with a present 9 in it: nobody looks at it.
        let total = at + slot_offset(most) + 64;
        forge(&mut memory, header::TOTAL_LEN, &total.to_le_bytes());
        forge(&mut memory, at + state_offset(most), &[state::PRESENT]);
        forge(&mut memory, at + slot_offset(most), &9u64.to_le_bytes());
        forge(&mut memory, Slot(0).offset() + 4, &len.to_le_bytes());
        memory.set_len(Region::Record, total).unwrap();
        let (answer, fuel) = call(&mut memory, "int_list_test", &[0, Cmp::Eq as u64, 9]);
        assert_eq!((answer, fuel), (want, u64::from(len.min(most) * 8).div_ceil(16)), "{len}");
    }
}

/// Elements may share their bytes, so all of them together can be longer than a record.
#[test]
fn bytes_of_a_list_at_and_over_their_number() {
    let (text, half) = ("a".repeat(LONG_STRING_LEN_MAX as usize), u64::from(LONG_STRING_LEN_MAX));
    assert_eq!(half * 2, u64::from(RECORD_LEN_MAX));
    let some = [(); 3].map(|()| Cell::Present(Value::Str("x")));
    for (lens, want) in [
        ([half, half - 1, 0], FALSE),
        ([half, half, 0], FALSE),
        ([half, half, 1], UNKNOWN),
        ([half, half, half], UNKNOWN),
    ] {
        let mut memory = memory(&[Value::Str(&text), Value::List(&some), Value::Str("b")].map(Cell::Present));
        let ((from, _), (list, _)) = (points(&memory, 0), points(&memory, 1));
        for (element, len) in (0..).zip(lens) {
            forge(&mut memory, list + slot_offset(element), &(u64::from(from) | len << 32).to_le_bytes());
        }
        let flags = StrOp::Equals as u64 | STR_TEST_LIST;
        assert_eq!(call(&mut memory, "str_test", &[1, 2, flags]).0, want, "{lens:?}");
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
        let helper = RULE_HELPERS.iter().find(|helper| helper.name == name).unwrap();
        let args = [a.cast_unsigned(), b.cast_unsigned(), 0, 0, 0];
        let mut memory = Memory::new(&Capacities::default()).unwrap();
        assert_eq!(helper.call(&mut memory, &args), Ok(want.cast_unsigned()), "{name} {a} {b}");
        assert_eq!(helper.fuel(&mut memory, &args), Ok(0));
    }
}

#[test]
fn the_table_is_complete_and_in_order() {
    assert!(HELPERS.is_sorted_by(|a, b| a.number < b.number));
    for helper in HELPERS {
        let Helper { name, doc, args, cost, work, source, callers, .. } = helper;
        assert!(args.len() <= 5 && !doc.is_empty() && !source.is_empty(), "{name}");
        assert_eq!(cost.is_empty(), matches!(work, Work::None), "{name}");
        assert_eq!(source.contains("Linux"), helper.number < OWN_HELPERS_MIN && *name != "identity", "{name}");
        for (table, caller) in [(&RAW_HELPERS, Caller::Raw), (&RULE_HELPERS, Caller::Rule)] {
            let found = table.get(helper.number).map(|found| found.name);
            assert_eq!(found, callers.contains(caller).then_some(*name));
        }
    }
    assert!(RULE_HELPERS.get(5).is_none() && RAW_HELPERS.get(1024).is_none());
    assert_eq!(RAW_HELPERS.iter().map(|helper| helper.number).collect::<Vec<_>>(), [1, 2, 3, 5, 1032, 1033, 1034]);
}

#[test]
fn eight_bytes_of_a_text_at_any_offset() {
    let text = "0123456789";
    let mut memory = memory(&[Cell::Present(Value::Bytes(text.as_bytes())), Cell::Absent]);
    let mut load = |slot: u64, offset: u64| {
        let (answer, fuel) = call(&mut memory, "str_load", &[slot, offset]);
        assert_eq!(fuel, 1);
        answer.to_le_bytes()
    };
    assert_eq!(load(0, 0), *b"01234567");
    assert_eq!(load(0, 2), *b"23456789");
    assert_eq!(load(0, 3), *b"3456789\0");
    assert_eq!(load(0, 9), *b"9\0\0\0\0\0\0\0");
    for offset in [10, 11, u64::from(u32::MAX), u64::MAX] {
        assert_eq!(load(0, offset), [0; 8]);
    }
    assert_eq!(load(1, 0), [0; 8]);
    assert_eq!(load(99, 0), [0; 8]);
}
