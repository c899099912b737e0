//! The interpreter at its edges: fuel, traps, memory, calls.

use super::*;
use crate::helper::{RAW_HELPERS, RULE_HELPERS, STR_TEST_LIST};
use crate::isa::{Kind, assemble};
use crate::map::{MapDecl, MapKind, PlacedMap, Placement};
use crate::memory::{Capacities, STACK_LEN};
use crate::program::{FUEL_LIMIT_DEFAULT, Manifest, Program};
use crate::record::{Cell, RecordHeader, RecordWriter, Slot, Value, slots_len};
use crate::verifier;

fn program(text: &str, kind: ProgramKind) -> Program {
    let code = assemble(text).unwrap_or_else(|errors| panic!("{errors:?}")).code;
    Program { name: "test".to_owned(), kind, code, lines: Vec::new(), maps: Vec::new(), fuel_limit: FUEL_LIMIT_DEFAULT }
}

fn raw(text: &str) -> Loaded {
    Loaded::new(program(text, ProgramKind::Raw { memory_len: 16 }), &RAW_HELPERS).unwrap()
}

fn rule(text: &str, record_len: u32) -> Loaded {
    let manifest = Manifest { record_len, ..Manifest::default() };
    Loaded::new(program(text, ProgramKind::Rule(manifest)), &RULE_HELPERS).unwrap()
}

fn run_raw(text: &str, fuel: u64) -> Outcome {
    let mut memory = Memory::for_raw(&[0x11; 16]).unwrap();
    Code::checked(&raw(text)).run(&mut memory, fuel)
}

fn trapped(trap: Trap, pc: u32) -> Result<u64, Stop> {
    Err(Stop { trap, pc })
}

/// A memory with a record of three slots: 7, "Abc" and the list ["x", "zaBC"].
fn record_memory() -> Memory {
    let capacities = Capacities { record: 4096, predicates: 8, masks: 24, ..Capacities::default() };
    let mut memory = Memory::new(&capacities).unwrap();
    let header = RecordHeader { digest: 0, class: 0, os: None, time_ns: 0, sequence: 0 };
    let mut writer = RecordWriter::new(memory.whole_mut(Region::Record), 3, &header).unwrap();
    writer.set(Slot(0), 8, &Cell::Present(Value::Int(7)));
    writer.set(Slot(1), 100, &Cell::Present(Value::Str("Abc")));
    let items = [Cell::Present(Value::Str("x")), Cell::Present(Value::Str("zaBC"))];
    writer.set(Slot(2), 100, &Cell::Present(Value::List(&items)));
    let len = writer.finish();
    for (region, len) in [(Region::Record, len), (Region::Predicates, 8), (Region::Masks, 24)] {
        memory.set_len(region, len).unwrap();
    }
    memory
}

/// What other machines let through or die of (each was found in a widely used one).
#[test]
fn holes() {
    let far = format!("ja32 far\nback: mov r0, 9\nexit\n{}far: ja32 back", "mov r0, 1\n".repeat(40_000));
    for (name, text, want) in [
        ("load at 0x1000", "mov r1, 0x1000\nldxdw r0, [r1]\nexit", trapped(Trap::OutOfRegion, 1)),
        ("store at 0x1000", "mov r1, 0x1000\nstdw [r1], 1\nexit", trapped(Trap::OutOfRegion, 1)),
        ("load at 0", "mov r1, 0\nldxb r0, [r1]\nexit", trapped(Trap::OutOfRegion, 1)),
        ("load at the end of addresses", "mov r1, -1\nldxdw r0, [r1]\nexit", trapped(Trap::OutOfRegion, 1)),
        ("load past the last byte", "ldxh r0, [r1+15]\nexit", trapped(Trap::OutOfRegion, 0)),
        ("load of the last byte", "ldxb r0, [r1+15]\nexit", Ok(0x11)),
        ("load before the first byte", "ldxb r0, [r1-1]\nexit", trapped(Trap::OutOfRegion, 0)),
        ("store 4 KiB below the frame", "stdw [r10-4096], 1\nexit", trapped(Trap::OutOfRegion, 0)),
        ("store above the stack", "stdw [r10+3584], 1\nexit", trapped(Trap::OutOfRegion, 0)),
        ("store of the first bytes of the frame", "stdw [r10-512], 1\nldxdw r0, [r10-512]\nexit", Ok(1)),
        ("store before the stack", "stdw [r10-513], 1\nexit", trapped(Trap::OutOfRegion, 0)),
        ("endless loop", "ja -1\nexit", trapped(Trap::FuelExhausted, 0)),
        ("endless loop of two", "a: mov r0, 1\nja a\nexit", trapped(Trap::FuelExhausted, 0)),
        ("unbounded recursion", "f: call local f\nexit", trapped(Trap::CallDepth, 0)),
        ("register never written", "mov r0, r7\nexit", Ok(0)),
        ("jump past slot 32767", far.as_str(), Ok(9)),
        ("a callee's frame", "stdw [r10-8], 1\ncall local f\nldxdw r0, [r10-8]\nexit\nf: stdw [r10-8], 2\nexit", Ok(1)),
        ("division by zero", "mov r0, 5\ndiv r0, 0\nexit", Ok(0)),
        ("remainder by zero", "mov r0, 5\nmod r0, r9\nexit", Ok(5)),
        ("smallest by -1", "lddw r0, 0x8000000000000000\nsdiv r0, -1\nexit", Ok(1 << 63)),
        ("remainder of smallest by -1", "lddw r0, 0x8000000000000000\nsmod r0, -1\nexit", Ok(0)),
        ("shift by 200", "mov r0, 1\nmov r1, 200\nlsh r0, r1\nexit", Ok(1 << 8)),
        ("atomic on the unwritable", "mov r1, 0x10000\nlock add [r1], r1\nexit", trapped(Trap::OutOfRegion, 1)),
        ("atomic half outside", "lock add [r1+12], r1\nexit", trapped(Trap::OutOfRegion, 0)),
    ] {
        let got = run_raw(text, 1000);
        assert_eq!(got.result, want, "{name}");
        assert!(got.fuel_used <= 1000, "{name}");
    }
}

#[test]
fn read_only_regions_stay_as_they_are() {
    for region in [Region::Record, Region::Predicates, Region::Masks] {
        for store in ["stb [r1], 1", "stxdw [r1], r1", "lock add [r1], r1", "lock xchg32 [r1], r1"] {
            let text = format!("mov r1, {}\n{store}\nmov r0, 0\nexit", region.base());
            let mut memory = record_memory();
            let before = memory.contents(region).to_vec();
            let got = Code::checked(&rule(&text, 48)).run(&mut memory, 100);
            assert_eq!(got.result, trapped(Trap::ReadOnly, 1), "{region:?} {store}");
            assert_eq!(memory.contents(region), before);
        }
    }
}

#[test]
fn call_depth_at_its_edge() {
    let nested = |calls: u32| {
        let mut text = String::new();
        for level in 0..calls {
            text += &format!("f{level}: call local f{}\nexit\n", level + 1);
        }
        text + &format!("f{calls}: mov r0, r10\nstdw [r10-8], 3\nexit")
    };
    for (calls, good) in [(FRAMES_MAX - 2, true), (FRAMES_MAX - 1, true), (FRAMES_MAX, false)] {
        let want = match good {
            true => Ok(u64::from(Region::Stack.base() + FRAME_LEN * (calls + 1))),
            false => trapped(Trap::CallDepth, 2 * (calls - 1)),
        };
        assert_eq!(run_raw(&nested(calls), 1000).result, want, "{calls}");
    }
}

#[test]
fn fuel_is_charged_by_block() {
    let text = "mov r0, 3\nl: sub r0, 1\nmov r2, 1\njne r0, 0, l\nmov r1, 8\ncall 5\nexit";
    let cost = 1 + 3 * 3 + 2 + 1;
    for (limit, want) in [
        (cost + 1, Ok(8)),
        (cost, Ok(8)),
        (cost - 1, trapped(Trap::FuelExhausted, 6)),
        (cost - 2, trapped(Trap::FuelExhausted, 4)),
        (4, trapped(Trap::FuelExhausted, 1)),
        (1, trapped(Trap::FuelExhausted, 1)),
        (0, trapped(Trap::FuelExhausted, 0)),
    ] {
        let got = run_raw(text, limit);
        assert_eq!(got.result, want, "{limit}");
        assert!(got.fuel_used <= limit);
    }
    assert_eq!(run_raw(text, 100).fuel_used, cost);
    assert_eq!(run_raw(text, cost - 1).fuel_used, cost - 1);
    assert_eq!(run_raw(text, 6).fuel_used, 4, "a block that is refused is not charged");
}

#[test]
fn the_work_of_helpers_is_charged_before_it_is_done() {
    // Two strings of 3 bytes: one fuel of work.
    let text = "mov r2, 1\nmov r3, 1\nmov r4, 0\ncall 1024\nexit";
    let loaded = rule(text, 48);
    for (limit, want, used) in [
        (6, Ok(1), 6),
        (5, trapped(Trap::FuelExhausted, 4), 5),
        (4, trapped(Trap::FuelExhausted, 3), 4),
        (3, trapped(Trap::FuelExhausted, 0), 0),
    ] {
        let got = Code::checked(&loaded).run(&mut record_memory(), limit);
        assert_eq!((got.result, got.fuel_used), (want, used), "{limit}");
    }
}

#[test]
fn helpers_refuse_what_the_verifier_would_have_refused() {
    let ok = format!("mov r2, 2\nmov r3, 1\nmov r4, {}\ncall 1024\nexit", STR_TEST_LIST | 0x103);
    assert_eq!(Code::checked(&rule(&ok, 48)).run(&mut record_memory(), 100).result, Ok(1));
    for text in [
        "mov r1, 0\nmov r2, 1\nmov r3, 1\nmov r4, 0\ncall 1024\nexit",
        "add r1, 8\nmov r2, 1\nmov r3, 1\nmov r4, 0\ncall 1024\nexit",
        "lddw r2, 0x10001\nmov r3, 1\nmov r4, 0\nmov r5, 0\ncall 1024\nexit",
        "mov r2, 1\nmov r3, 1\nmov r4, 4\nmov r5, 0\ncall 1024\nexit",
        "mov r2, 1\nmov r3, 6\nmov r4, 4\nmov r5, 0\ncall 1031\nexit",
    ] {
        let got = Code::checked(&rule(text, 48)).run(&mut record_memory(), 100);
        assert!(matches!(got.result, Err(Stop { trap: Trap::HelperArgument, .. })), "{text}: {got:?}");
    }
}

#[test]
fn a_record_that_lacks_slots_is_not_entered() {
    let have = slots_len(3);
    for (needed, want) in
        [(have - 8, Ok(7)), (have, Ok(7)), (have + 8, trapped(Trap::RecordTooShort { needed: have + 8, have }, 0))]
    {
        let text = format!("ldxdw r0, [r1+{}]\nsub r0, 6\nexit", Slot(0).offset());
        let got = Code::checked(&rule(&text, needed)).run(&mut record_memory(), 100);
        assert_eq!(got.result.map(|r0| r0 + 6), want, "{needed}");
    }
    let mut empty = Memory::new(&Capacities::default()).unwrap();
    let got = Code::checked(&rule("mov r0, 0\nexit", 48)).run(&mut empty, 100);
    assert_eq!(got.result, trapped(Trap::RecordTooShort { needed: 48, have: 0 }, 0));
    assert_eq!(got.fuel_used, 0);
}

#[test]
fn a_rule_ends_in_a_verdict() {
    for (r0, want) in [(0, Ok(0)), (1, Ok(1)), (2, Ok(2)), (3, trapped(Trap::InvalidVerdict, 1))] {
        let loaded = rule(&format!("mov r0, {r0}\nexit"), 48);
        assert_eq!(Code::checked(&loaded).run(&mut record_memory(), 100).result, want);
    }
}

#[test]
fn predicted_accesses_are_enforced() {
    let text = "add r1, r2\nldxw r0, [r1-12]\nexit";
    let loaded = raw(text);
    let access = |lo: u32, hi: u32| Access { region: Region::Buffer, lo, hi, size: Size::Word };
    // The buffer has 16 bytes: the load is at offset 4.
    for (access, want) in [
        (access(4, 4), Ok(0x1111_1111)),
        (access(0, 12), Ok(0x1111_1111)),
        (access(0, 3), trapped(Trap::PredictedRange, 1)),
        (access(5, 12), trapped(Trap::PredictedRange, 1)),
        (Access::NEVER, trapped(Trap::PredictedRange, 1)),
        (Access { region: Region::Output, ..access(0, 12) }, trapped(Trap::RegionTooShort, 0)),
        (access(0, 13), trapped(Trap::RegionTooShort, 0)),
    ] {
        let mut memory = Memory::for_raw(&[0x11; 16]).unwrap();
        let code = Code::predicted(&loaded, |pc| (pc == 1).then_some(access)).unwrap();
        assert_eq!(code.run(&mut memory, 100).result, want, "{access:?}");
        if let Err(Stop { trap: Trap::PredictedRange, .. }) = want {
            assert_eq!(memory.trap_registers()[2], 16);
        }
    }
    let max = Region::Buffer.capacity_max();
    for wrong in [None, Some(Access { size: Size::Half, ..access(0, 4) }), Some(access(5, 4)), Some(access(0, max - 3))]
    {
        assert_eq!(Code::predicted(&loaded, |_| wrong).unwrap_err(), AccessError { pc: 1 }, "{wrong:?}");
    }
    assert!(Code::predicted(&loaded, |_| Some(access(0, max - 4))).is_ok());
    let store = raw("stw [r1], 1\nexit");
    let record = Access { region: Region::Record, ..access(0, 0) };
    assert!(Code::predicted(&store, |_| Some(record)).is_err(), "a store into a read-only region");
}

#[test]
fn the_stack_is_zero_at_each_entry() {
    let text = "ldxdw r0, [r10-16]\nstdw [r10-16], 5\nmov r1, r10\nadd r1, 1024\nstb [r1], 9\nldxb r2, [r1-512]\n\
                add r0, r2\nstb [r1-512], 1\nexit";
    let loaded = raw(text);
    let accesses = |pc| {
        loaded.at(pc).and_then(|instruction| match instruction.kind() {
            Kind::Load(size, _) | Kind::Store(size, _) => {
                Some(Access { region: Region::Stack, lo: 0, hi: STACK_LEN - size.bytes(), size })
            }
            _ => None,
        })
    };
    let mut memory = Memory::for_raw(&[0; 16]).unwrap();
    let (checked, predicted) = (Code::checked(&loaded), Code::predicted(&loaded, accesses).unwrap());
    for _ in 0..3 {
        assert_eq!(checked.run(&mut memory, 100).result, Ok(0));
        assert_eq!(predicted.run(&mut memory, 100).result, Ok(0));
    }
}

#[test]
fn a_trap_is_reported_with_all_that_is_known() {
    let mut program = program("mov r3, 5\nldxw r0, [r3+4]\nexit", ProgramKind::Raw { memory_len: 0 });
    program.lines = vec![crate::program::Line { pc: 1, line: 12 }];
    let loaded = Loaded::new(program, &RAW_HELPERS).unwrap();
    let mut memory = Memory::for_raw(&[]).unwrap();
    let stop = Code::checked(&loaded).run(&mut memory, 100).result.unwrap_err();
    let report = loaded.report(stop, memory.trap_registers());
    assert_eq!(report.registers[3], 5);
    assert_eq!(
        report.to_string(),
        "test: memory access outside every region [out-of-region] at pc 1, line 12: ldxw %r0, [%r3+4]"
    );
}

fn map(kind: MapKind, contents: &[u8]) -> MapDecl {
    MapDecl { name: "m".to_owned(), kind, key_len: 4, value_len: 8, entries: 1, contents: contents.to_vec() }
}

/// A raw program of 16 bytes with a map.
fn with_map(text: &str, placed: &PlacedMap) -> Loaded {
    let program = program(text, ProgramKind::Raw { memory_len: 16 });
    Loaded::new(Program { maps: vec![placed.clone()], ..program }, &RAW_HELPERS).unwrap()
}

/// Values and constants, with each access checked and with a proof.
#[test]
fn values_of_maps_and_constants() {
    let values = Placement::default().place(map(MapKind::Array, &[1; 8])).unwrap();
    let constants = Placement::default().place(map(MapKind::Data, &[2; 8])).unwrap();
    let outside = |pc| trapped(Trap::OutOfRegion, pc);
    for (name, placed, text, proved, want) in [
        ("read", &values, "lddw_map_value_index r1, 0\nldxb r0, [r1+7]\nexit", true, Ok(1)),
        ("write", &values, "lddw_map_value_index r1, 0\nstb [r1], 9\nldxb r0, [r1]\nexit", true, Ok(9)),
        ("past the last", &values, "lddw_map_value_index r1, 0\nldxb r0, [r1+8]\nexit", false, outside(2)),
        ("before the first", &values, "lddw_map_value_index r1, 0\nldxb r0, [r1-1]\nexit", false, outside(2)),
        ("constant", &constants, "lddw_map_value_index r1, 0\nldxb r0, [r1]\nexit", true, Ok(2)),
        ("past constants", &constants, "lddw_map_value_index r1, 0\nldxb r0, [r1+8]\nexit", false, outside(2)),
    ] {
        let loaded = with_map(text, placed);
        let memory = || {
            let mut memory = Memory::for_raw(&[0; 16]).unwrap();
            memory.add_maps([placed]).unwrap();
            memory
        };
        assert_eq!(Code::checked(&loaded).run(&mut memory(), 100).result, want, "{name}");
        let verified = verifier::verify(loaded);
        assert_eq!(verified.is_ok(), proved, "{name}");
        if let Ok(verified) = verified {
            assert_eq!(Code::proved(&verified).unwrap().run(&mut memory(), 100).result, want, "{name}");
        }
    }
}

/// A program is not entered with a memory that lacks its map, or has it elsewhere or with another layout.
#[test]
fn maps_that_are_not_there() {
    let mut placement = Placement::default();
    let first = placement.place(map(MapKind::Array, &[])).unwrap();
    let elsewhere = PlacedMap { base: placement.place(map(MapKind::Array, &[])).unwrap().base, ..first.clone() };
    let other = PlacedMap { decl: map(MapKind::Hash, &[]), ..first.clone() };
    let loaded = with_map("mov r0, 1\nexit", &first);
    let verified = verifier::verify(loaded.clone()).unwrap();
    for (maps, fits) in [(vec![], false), (vec![elsewhere], false), (vec![other], false), (vec![first], true)] {
        let mut memory = Memory::for_raw(&[0; 16]).unwrap();
        memory.add_maps(&maps).unwrap();
        let checked = Code::checked(&loaded).run(&mut memory, 100);
        for outcome in [checked, Code::proved(&verified).unwrap().run(&mut memory, 100)] {
            let want = if fits { Ok(1) } else { trapped(Trap::MapMismatch, 0) };
            assert_eq!((outcome.result, outcome.fuel_used), (want, if fits { 2 } else { 0 }), "{maps:?}");
        }
    }
}

#[test]
fn one_helper_can_be_made_to_refuse() {
    let text = "mov r1, 8\ncall 5\nexit";
    let code = || Code::checked(&raw(text));
    let run = |code: Code<Checked>| code.run(&mut Memory::for_raw(&[0; 16]).unwrap(), 100).result;
    assert!(run(code()).is_ok());
    assert_eq!(run(code().refusing_helper(5)), trapped(Trap::HelperArgument, 1));
    assert!(run(code().refusing_helper(6)).is_ok(), "another one");
}

/// What was proved of the accesses, one by one and as a whole.
#[test]
fn a_proof_has_an_access_for_each_slot() {
    let verified = verifier::verify(raw("ldxw r0, [r1+4]\nlddw r2, 7\nstxb [r10-1], r0\nexit")).unwrap();
    let at = |region, lo, size| Access { region, lo, hi: lo, size };
    let never = Access::NEVER;
    let want = [at(Region::Buffer, 4, Size::Word), never, never, at(Region::Stack, FRAME_LEN - 1, Size::Byte), never];
    assert_eq!(verified.accesses(), want);
    for (pc, access) in (0..).zip(want) {
        assert_eq!(verified.access(pc), access);
    }
    assert_eq!(verified.access(5), never);
}
