//! Any bytes as a program: loader and verifier answer within their budget; what they accept runs without a trap, and
//! what they refuse runs, if it can be loaded, to a result or a trap and changes nothing that it may not write.

use std::cell::RefCell;
use std::thread::LocalKey;

use trapline_vm::helper::{HelperTable, RAW_HELPERS, RULE_HELPERS};
use trapline_vm::interp::Code;
use trapline_vm::isa::{Instruction, Kind, disassemble};
use trapline_vm::map::{MapDecl, MapKind, PlacedMap, Placement};
use trapline_vm::memory::{Capacities, Memory, Region};
use trapline_vm::program::{Loaded, Manifest, Program, ProgramKind, Verdict};
use trapline_vm::record::{RecordHeader, RecordWriter, slots_len};
use trapline_vm::trap::Trap;
use trapline_vm::verifier::{Limits, Rejection, Verified, verify_observed};

const FUEL: u64 = 2_000;
const SLOTS: u16 = 20;
/// Less than by default, so that a fuzzer tries more.
const LIMITS: Limits = Limits { steps_max: 20_000, bytes_max: 4 << 20, loop_steps_max: 2_000, reuse_calls: true };

pub(crate) fn check(data: &[u8]) {
    let Some((how, code)) = data.split_first() else { return };
    let Some(code) = Instruction::from_section(&code[..code.len() & !7]) else { return };
    let (program, helpers) = program(*how, code);
    // Text for any slots.
    let text = disassemble(&program.code);
    let loaded = match Loaded::new(program, helpers) {
        Ok(loaded) => loaded,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    let mut steps = 0;
    let verified = verify_observed(loaded.clone(), LIMITS, &mut |_, state| {
        steps += 1;
        assert!(state.is_consistent(), "{state}\n{text}");
    });
    // Without using again what calls came to: the same verdict, unless that takes more steps than there are.
    if loaded.instructions().any(|(_, instruction)| instruction.kind() == Kind::CallLocal) {
        let limits = Limits { reuse_calls: false, ..LIMITS };
        let anew = verify_observed(loaded.clone(), limits, &mut |_, _| {});
        match (&verified, &anew) {
            (Ok(one), Ok(other)) => {
                assert_eq!(one.accesses(), other.accesses(), "{text}");
                assert_eq!(one.report().worst_fuel, other.report().worst_fuel, "{text}");
            }
            (Err(one), Err(other)) if one.code() == other.code() => {}
            (_, Err(other)) => assert_eq!(other.code(), "budget", "{other}\n{text}"),
            (Err(one), Ok(_)) => panic!("refused only where calls are used again: {one}\n{text}"),
        }
    }
    let state = program_state(loaded.program().maps.is_empty());
    state.with_borrow_mut(|(before, memory)| {
        run(&loaded, verified.as_ref().map_err(Box::as_ref), before, memory, &text)
    });
}

/// Runs a program, proved if it could be, and unproved.
fn run(loaded: &Loaded, verified: Result<&Verified, &Rejection>, before: &Memory, memory: &mut Memory, text: &str) {
    match verified {
        Ok(verified) => {
            let code = Code::predicted(verified.loaded(), |pc| Some(verified.access(pc))).expect("a proof fits");
            let fuel = verified.report().worst_fuel;
            let outcome = code.run(memory, FUEL.min(fuel));
            match outcome.result {
                Ok(r0) => {
                    let rule = matches!(verified.program().kind, ProgramKind::Rule(_));
                    assert!(!rule || Verdict::from_r0(r0).is_some(), "{r0} is no verdict\n{text}");
                }
                Err(stop) => assert!(stop.trap == Trap::FuelExhausted && fuel > FUEL, "verified: {stop}\n{text}"),
            }
            assert!(outcome.fuel_used <= fuel, "{} fuel, worst case {fuel}\n{text}", outcome.fuel_used);
        }
        Err(rejection) => {
            let message = rejection.to_string();
            assert!(message.contains("help: "), "{message}");
            assert_ne!(rejection.code(), "inconsistent", "{message}\n{text}");
        }
    }
    restore(before, memory, text);
    let outcome = Code::checked(loaded).run(memory, FUEL);
    assert!(outcome.fuel_used <= FUEL, "{text}");
    restore(before, memory, text);
}

/// Takes back what programs may write; every other byte must be as it was.
fn restore(before: &Memory, memory: &mut Memory, text: &str) {
    for region in Region::ALL.into_iter().filter(|region| region.writable()) {
        memory.contents_mut(region).copy_from_slice(before.contents(region));
    }
    assert!(memory.bytes() == before.bytes(), "a byte changed that programs may not write\n{text}");
}

thread_local! {
    // Making a memory is slow, more so one with map values, which lie far up.
    static WITHOUT_MAPS: RefCell<(Memory, Memory)> = RefCell::new((memory(0), memory(0)));
    static WITH_MAPS: RefCell<(Memory, Memory)> = RefCell::new((memory(128), memory(128)));
}

fn program_state(without_maps: bool) -> &'static LocalKey<RefCell<(Memory, Memory)>> {
    if without_maps { &WITHOUT_MAPS } else { &WITH_MAPS }
}

/// The first byte says what kind of program it is and what it has.
fn program(how: u8, code: Vec<Instruction>) -> (Program, &'static HelperTable) {
    let (kind, helpers) = if how & 1 == 0 {
        (ProgramKind::Raw { memory_len: 64 }, &RAW_HELPERS)
    } else {
        let manifest = Manifest {
            record_len: slots_len(u32::from(SLOTS)),
            slots: vec![0, 7, 8, 15, 19],
            predicate_bytes: vec![0, 1, 2, 3, 9],
            masks: vec![0, 2],
            helpers: RULE_HELPERS.iter().map(|helper| helper.number).collect(),
        };
        (ProgramKind::Rule(manifest), &RULE_HELPERS)
    };
    let maps = if how & 2 == 0 { Vec::new() } else { maps() };
    let program = Program { name: "bytes".to_owned(), kind, code, lines: Vec::new(), maps, fuel_limit: FUEL };
    (program, helpers)
}

fn maps() -> Vec<PlacedMap> {
    let decl = |name: &str, kind, value_len, entries, contents| MapDecl {
        name: name.to_owned(),
        kind,
        key_len: 4,
        value_len,
        entries,
        contents,
    };
    let decls =
        [decl("constants", MapKind::Data, 16, 1, vec![7; 16]), decl("array", MapKind::Array, 24, 3, Vec::new())];
    let mut placement = Placement::default();
    decls.into_iter().map(|decl| placement.place(decl).expect("small maps")).collect()
}

fn memory(map_values: u32) -> Memory {
    let capacities =
        Capacities { record: 4096, predicates: 16, masks: 96, output: 16, constants: 16, buffer: 64, map_values };
    let mut memory = Memory::new(&capacities).expect("small regions");
    for region in [Region::Predicates, Region::Masks, Region::Constants, Region::Buffer] {
        memory.whole_mut(region).fill(0x5a);
        memory.set_len(region, memory.capacity(region)).expect("the capacity");
    }
    let header = RecordHeader { digest: 7, class: 1, os: None, time_ns: 5, sequence: 3 };
    let len = RecordWriter::new(memory.whole_mut(Region::Record), SLOTS, &header).expect("room").finish();
    memory.set_len(Region::Record, len).expect("the record fits");
    if map_values > 0 {
        memory.add_maps(&maps()).expect("maps fit");
    }
    memory
}
