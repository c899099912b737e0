//! The machine against its peers: the same programs on our interpreter, on rbpf's, and as native Rust, side by side.
//!
//! *Proved*: the verifier accepted the program, and every access is checked against the region and the range that it
//! proved. *Unproved*: every access is checked against all regions. Fuel is charged in both. Maps are held against
//! the [`HashMap`] of the standard library, in the column for native code: rbpf has none.

#[path = "../measure/mod.rs"]
mod measure;

use std::collections::HashMap;
use std::hint::black_box;

use measure::{Subject, medians, show, table};
use trapline_vm::helper::RAW_HELPERS;
use trapline_vm::interp::Code;
use trapline_vm::isa::{Instruction, assemble};
use trapline_vm::map::{MapDecl, MapId, MapKind, PlacedMap};
use trapline_vm::memory::{Capacities, Memory, Region};
use trapline_vm::program::{FUEL_LIMIT_DEFAULT, Loaded, Program, ProgramKind};
use trapline_vm::verifier::verify;

const RETURN: &str = "mov r0, 0\nexit";
const PREDICATE: &str = include_str!("predicate.s");
const LOOP: &str = include_str!("loop.s");
const SEARCH: &str = include_str!("search.s");
const HELP: &str = include_str!("help.s");
const COUNT: &str = include_str!("count.s");
const REPLACE: &str = include_str!("replace.s");
/// What stands for a time that there is none of.
const NONE: &str = "—";

/// A record that [`PREDICATE`] matches.
fn record() -> [u8; 64] {
    let mut record = [0; 64];
    record[0..2].copy_from_slice(&7u16.to_le_bytes());
    record[2..4].copy_from_slice(&0x0230u16.to_le_bytes());
    record[4..8].copy_from_slice(&4100u32.to_le_bytes());
    record[8..12].copy_from_slice(&812u32.to_le_bytes());
    record[12..16].copy_from_slice(&1000u32.to_le_bytes());
    record[16..24].copy_from_slice(&0x17a1_2233_4455_6677_u64.to_le_bytes());
    record[24..28].copy_from_slice(&[203, 0, 113, 9]);
    record[28..30].copy_from_slice(&8443u16.to_le_bytes());
    record[30..32].copy_from_slice(&40_000u16.to_le_bytes());
    record[32..40].copy_from_slice(&0xfedc_ba98_7654_3210_u64.to_le_bytes());
    record[40..48].copy_from_slice(&1u64.to_le_bytes());
    record[48..63].copy_from_slice(b"/usr/bin/ncat\0\0");
    record
}

fn native_predicate(record: &[u8; 64]) -> u64 {
    let u16_at = |at: usize| u16::from_le_bytes([record[at], record[at + 1]]);
    let u32_at = |at: usize| u32::from_le_bytes(*record[at..].first_chunk().expect("inside the record"));
    let u64_at = |at: usize| u64::from_le_bytes(*record[at..].first_chunk().expect("inside the record"));
    let flags = u16_at(2);
    let (pid, parent, user) = (u32_at(4), u32_at(8), u32_at(12));
    let (start, address, digest) = (u64_at(16), u32_at(24), u64_at(32));
    let (first, second) = (u64_at(48), u64_at(56));
    let holds = u16_at(0) == 7
        && flags & 0x30 == 0x30
        && flags >> 8 <= 6
        && pid >= 300
        && parent != 1
        && parent < pid
        && user != 0
        && user <= 60_000
        && start >= 0x17a0_0000_0000_0000
        && start >> 48 <= 0x1800
        && !matches!(address & 0xff, 10 | 127)
        && address & 0xffff != 0xa8c0
        && matches!(u16_at(28), 4444 | 8443)
        && u16_at(30) >= 1024
        && digest != 0x0102_0304_0506_0708
        && (digest ^ 0x0102_0304_0506_0708) >> 60 != 0
        && u64_at(40) != digest
        && first == 0x6e69_622f_7273_752f
        && second == 0x0000_0074_6163_6e2f
        && record[3] & 2 != 0
        && first.wrapping_add(second) & 0x7f <= 0x7e;
    u64::from(holds)
}

fn native_loop(rounds: u64) -> u64 {
    let mut value = 7u64;
    for _ in 0..rounds {
        value = value.wrapping_add(0xd6e8_feb8_6659_fd93);
        value ^= value >> 9;
    }
    value
}

fn load(text: &str, memory_len: u32, maps: &[PlacedMap]) -> Loaded {
    let code = assemble(text).expect("the program assembles").code;
    let kind = ProgramKind::Raw { memory_len };
    let program = Program {
        name: "bench".to_owned(),
        kind,
        code,
        lines: Vec::new(),
        maps: maps.to_vec(),
        fuel_limit: FUEL_LIMIT_DEFAULT,
    };
    Loaded::new(program, &RAW_HELPERS).expect("the program loads")
}

/// A needle, and a haystack that ends with it.
fn haystack() -> Vec<u8> {
    let needle: Vec<u8> = (0..16).map(|byte| 0x61 + byte).collect();
    let mut buffer = needle.clone();
    buffer.extend((0..240u32).map(|byte| (byte * 7 % 26) as u8 + 0x41));
    buffer.extend(needle);
    buffer
}

fn native_search(buffer: &[u8]) -> u64 {
    let (needle, haystack) = buffer.split_at(16);
    haystack.windows(16).position(|window| window == needle).map_or(u64::MAX, |at| at as u64)
}

#[inline(never)]
fn identity(first: u64, _: u64, _: u64, _: u64, _: u64) -> u64 {
    first
}

fn native_help() -> u64 {
    let helper: fn(u64, u64, u64, u64, u64) -> u64 = black_box(identity);
    (0..10).fold(1, |value, _| helper(value, 0, 0, 0, 0))
}

/// The times of one program: native, ours proved (if the verifier takes it), ours unproved, rbpf.
fn compare(name: &str, text: &str, buffer: &[u8], native: impl Fn() -> u64) -> Option<Vec<String>> {
    let loaded = load(text, u32::try_from(buffer.len()).expect("a small buffer"), &[]);
    let want = native();
    let verified = verify(loaded.clone()).unwrap_or_else(|rejection| panic!("{name} is proved\n{rejection}"));
    let proved = Code::proved(&verified).expect("a proof fits its program");
    let unproved = Code::checked(&loaded);
    let memory = || Memory::for_raw(buffer).expect("a small buffer");
    let (mut memory_proved, mut memory_unproved) = (memory(), memory());
    assert_eq!(proved.run(&mut memory_proved, FUEL_LIMIT_DEFAULT).result, Ok(want), "{name}");
    assert_eq!(unproved.run(&mut memory_unproved, FUEL_LIMIT_DEFAULT).result, Ok(want), "{name}");

    let bytes = Instruction::to_section(loaded.code());
    let mut vm = rbpf::EbpfVmRaw::new(Some(&bytes)).expect("rbpf takes the program");
    vm.register_helper(5, identity).expect("rbpf takes the helper");
    let mut buffer = buffer.to_vec();
    assert_eq!(vm.execute_program(&mut buffer).expect("rbpf runs it"), want, "{name}");
    let mut subjects: [Subject<'_>; 4] = [
        ("native", Box::new(|| _ = black_box(native()))),
        ("proved", Box::new(|| _ = black_box(black_box(&proved).run(&mut memory_proved, FUEL_LIMIT_DEFAULT)))),
        ("unproved", Box::new(|| _ = black_box(black_box(&unproved).run(&mut memory_unproved, FUEL_LIMIT_DEFAULT)))),
        ("rbpf", Box::new(|| _ = black_box(black_box(&vm).execute_program(&mut buffer)))),
    ];
    let times = medians(&mut subjects)?;
    let [native, proved, unproved, rbpf] = times[..] else { return None };
    let ratio = |of: f64, to: f64| format!("{:.1}", of / to);
    Some(vec![
        name.to_owned(),
        show(native),
        show(proved),
        show(unproved),
        show(rbpf),
        ratio(rbpf, proved),
        ratio(rbpf, unproved),
        ratio(proved, native),
    ])
}

fn hash() -> PlacedMap {
    let decl = MapDecl {
        name: "counts".to_owned(),
        kind: MapKind::Hash,
        key_len: 8,
        value_len: 8,
        entries: 1024,
        contents: Vec::new(),
    };
    PlacedMap { owner: "bench".to_owned(), decl, id: MapId(0), region: Region::MapValues, base: 0 }
}

/// The same of a program with a hash map, beside the map of the standard library.
fn compare_maps(name: &str, text: &str, native: impl Fn(&mut HashMap<u64, u64>) -> u64) -> Option<Vec<String>> {
    let loaded = load(text, 0, &[hash()]);
    let verified = verify(loaded.clone()).unwrap_or_else(|rejection| panic!("{name} is proved\n{rejection}"));
    let proved = Code::proved(&verified).expect("a proof fits its program");
    let unproved = Code::checked(&loaded);
    let memory = || Memory::with_maps(&Capacities::default(), &[hash()]).expect("a small map");
    let (mut memory_proved, mut memory_unproved, mut entries) = (memory(), memory(), HashMap::new());
    // At first the map is empty; after that it is not.
    for _ in 0..2 {
        let want = native(&mut entries);
        assert_eq!(proved.run(&mut memory_proved, FUEL_LIMIT_DEFAULT).result, Ok(want), "{name}");
        assert_eq!(unproved.run(&mut memory_unproved, FUEL_LIMIT_DEFAULT).result, Ok(want), "{name}");
    }
    let mut subjects: [Subject<'_>; 3] = [
        ("native", Box::new(|| _ = black_box(native(black_box(&mut entries))))),
        ("proved", Box::new(|| _ = black_box(black_box(&proved).run(&mut memory_proved, FUEL_LIMIT_DEFAULT)))),
        ("unproved", Box::new(|| _ = black_box(black_box(&unproved).run(&mut memory_unproved, FUEL_LIMIT_DEFAULT)))),
    ];
    let times = medians(&mut subjects)?;
    let [native, proved, unproved] = times[..] else { return None };
    let none = || NONE.to_owned();
    let ratio = format!("{:.1}", proved / native);
    Some(vec![name.to_owned(), show(native), show(proved), show(unproved), none(), none(), none(), ratio])
}

fn native_count(entries: &mut HashMap<u64, u64>) -> u64 {
    let mut found = 0;
    for key in 0..black_box(10) {
        match entries.get_mut(&key) {
            Some(count) => {
                *count += 1;
                found += 1;
            }
            None => _ = entries.insert(key, 1),
        }
    }
    found
}

fn native_replace(entries: &mut HashMap<u64, u64>) -> u64 {
    let keys = black_box(10);
    (0..keys).for_each(|key| _ = entries.insert(key, key));
    keys
}

fn main() {
    let (record, haystack) = (record(), haystack());
    let rows: Vec<Vec<String>> = [
        compare("`return 0`", RETURN, &[], || black_box(0)),
        compare("detection predicate, 61 instructions", PREDICATE, &record, || native_predicate(black_box(&record))),
        compare("loop, 1000 iterations", LOOP, &[], || native_loop(black_box(1000))),
        compare("search, 241 places", SEARCH, &haystack, || native_search(black_box(&haystack))),
        compare("ten helper calls", HELP, &[], native_help),
        compare_maps("ten keys counted in a hash map", COUNT, native_count),
        compare_maps("ten entries of a hash map replaced", REPLACE, native_replace),
    ]
    .into_iter()
    .flatten()
    .collect();
    if !rows.is_empty() {
        let head =
            ["program", "native", "proved", "unproved", "rbpf", "rbpf / proved", "rbpf / unproved", "proved / native"];
        table(&head, &rows);
    }
}
