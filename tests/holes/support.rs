//! Programs, memories and runs for the tests of holes.

use std::cell::RefCell;
use std::collections::BTreeMap;

use trapline_vm::helper::RAW_HELPERS;
use trapline_vm::interp::Code;
use trapline_vm::isa::{Instruction, assemble, disassemble};
use trapline_vm::map::{MapDecl, MapKind, PlacedMap, Placement};
use trapline_vm::memory::{Capacities, Memory, PAGE_LEN, Region};
use trapline_vm::program::{Loaded, Program, ProgramKind};
use trapline_vm::record::{RecordHeader, RecordWriter};
use trapline_vm::verifier::{AbstractState, Limits, Rejection, Verified, load_and_verify, verify_observed};

pub(crate) const FUEL: u64 = 10_000;

/// The maps of the programs here: 0 an array of two values of 16 bytes, 1 read-only data of 16 bytes, 2 a hash.
pub(crate) fn maps() -> Vec<MapDecl> {
    let decl = |name: &str, kind, entries, contents| MapDecl {
        name: name.to_owned(),
        kind,
        key_len: 4,
        value_len: 16,
        entries,
        contents,
    };
    vec![
        decl("array", MapKind::Array, 2, Vec::new()),
        decl("data", MapKind::Data, 1, vec![3; 16]),
        decl("hash", MapKind::Hash, 4, Vec::new()),
    ]
}

/// A raw program with a buffer of this length, and the maps above.
pub(crate) fn raw(text: &str, memory_len: u32) -> Program {
    let code = assemble(text).unwrap_or_else(|errors| panic!("{errors:?}\n{text}")).code;
    of_code(code, memory_len)
}

pub(crate) fn of_code(code: Vec<Instruction>, memory_len: u32) -> Program {
    // A program with maps runs only in a memory that has them: only those that name one are given any.
    let names_maps = code.iter().any(|slot| slot.opcode == 0x18 && slot.src != 0);
    let maps = if names_maps { placed_maps() } else { Vec::new() };
    let kind = ProgramKind::Raw { memory_len };
    Program { name: "hole".to_owned(), kind, code, lines: Vec::new(), maps, fuel_limit: FUEL }
}

fn placed_maps() -> Vec<PlacedMap> {
    let mut placement = Placement::default();
    maps().into_iter().map(|decl| placement.place(decl).expect("small maps")).collect()
}

pub(crate) fn prove(text: &str, memory_len: u32) -> Result<Verified, Box<Rejection>> {
    load_and_verify(raw(text, memory_len), &RAW_HELPERS)
}

/// The verdict with the states seen on the way.
pub(crate) fn observe(program: Program) -> (Option<Verified>, Vec<(u32, AbstractState)>) {
    let text = disassemble(&program.code);
    let loaded = Loaded::new(program, &RAW_HELPERS).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let mut states = Vec::new();
    let verdict = verify_observed(loaded, Limits::default(), &mut |pc, state| states.push((pc, state.clone())));
    (verdict.ok(), states)
}

/// It is refused for this reason (a code), and run unproved, with whatever in memory, it does no harm.
pub(crate) fn refused(text: &str, memory_len: u32, code: &str) {
    let rejection = prove(text, memory_len).map(drop).expect_err(text);
    assert_eq!(rejection.code(), code, "{rejection}\n{text}");
    harmless(text, memory_len);
}

/// Run unproved, it ends in a result or a trap, and changes nothing that it may not write.
pub(crate) fn harmless(text: &str, memory_len: u32) {
    let Ok(loaded) = Loaded::new(raw(text, memory_len), &RAW_HELPERS) else { return };
    for fill in [0, 1, 0x7f, 0x80, 0xff] {
        // Any outcome will do; the checks are in `run`.
        let _outcome = run("hole", &loaded, memory_len, fill);
    }
}

/// `r0` of a proved program on this buffer, as proved and with every access checked.
pub(crate) fn result(verified: &Verified, buffer: &[u8]) -> u64 {
    let fuel = verified.report().worst_fuel;
    let predicted =
        Code::predicted(verified.loaded(), |pc| Some(verified.access(pc))).expect("a proof fits its program");
    let checked = Code::checked(verified.loaded());
    let (proved, checked) = BUFFER.with_borrow_mut(|memory| {
        let fill = |memory: &mut Memory| {
            memory.set_len(Region::Buffer, buffer.len() as u32).expect("a small buffer");
            memory.contents_mut(Region::Buffer).copy_from_slice(buffer);
        };
        fill(memory);
        let proved = predicted.run(memory, fuel);
        fill(memory);
        (proved, checked.run(memory, fuel))
    });
    assert_eq!(proved, checked, "{}", disassemble(&verified.program().code));
    let text = || disassemble(&verified.program().code);
    proved.result.unwrap_or_else(|stop| panic!("a verified program stops: {stop}\n{}", text()))
}

/// Numbers at which widths and signs turn over.
pub(crate) const CORNERS: [u64; 20] = [
    0,
    1,
    2,
    7,
    0x7f,
    0x80,
    0xff,
    0x7fff_fffe,
    0x7fff_ffff,
    0x8000_0000,
    0x8000_0001,
    0xffff_fffe,
    0xffff_ffff,
    0x1_0000_0000,
    0x1_0000_0001,
    0x7fff_ffff_ffff_ffff,
    0x8000_0000_0000_0000,
    0x8000_0000_0000_0001,
    0xffff_ffff_8000_0000,
    u64::MAX,
];

/// A memory in which every region holds something that a stray access could hit.
pub(crate) fn memory(buffer: u32, fill: u8) -> Memory {
    let capacities = Capacities {
        record: 4096,
        predicates: 64,
        masks: 96,
        output: 64,
        constants: 64,
        buffer,
        map_values: 3 * PAGE_LEN,
    };
    let mut memory = Memory::new(&capacities).unwrap();
    for region in Region::ALL {
        if region != Region::Stack {
            memory.whole_mut(region).fill(fill);
            memory.set_len(region, memory.capacity(region)).unwrap();
        }
    }
    let header = RecordHeader { digest: 1, class: 1, os: None, time_ns: 1, sequence: 1 };
    RecordWriter::new(memory.whole_mut(Region::Record), 8, &header).unwrap().finish();
    memory.add_maps(&placed_maps()).expect("maps fit");
    memory
}

thread_local! {
    /// Memories by buffer length and filling, as they are and to run in: making one is slow.
    static MEMORIES: RefCell<BTreeMap<(u32, u8), (Memory, Memory)>> = const { RefCell::new(BTreeMap::new()) };
    /// For proved programs.
    static BUFFER: RefCell<Memory> =
        RefCell::new(Memory::new(&Capacities { buffer: 64, ..Capacities::default() }).expect("a small buffer"));
}

/// Runs unproved code: the result, or the name of the trap. Checks that nothing else changed.
pub(crate) fn run(name: &str, loaded: &Loaded, buffer: u32, fill: u8) -> Result<u64, &'static str> {
    MEMORIES.with_borrow_mut(|memories| {
        let fresh = || (memory(buffer, fill), memory(buffer, fill));
        let (before, memory) = memories.entry((buffer, fill)).or_insert_with(fresh);
        let outcome = Code::checked(loaded).run(memory, FUEL);
        assert!(outcome.fuel_used <= FUEL, "{name} used {} fuel", outcome.fuel_used);
        for region in Region::ALL.into_iter().filter(|region| region.writable()) {
            memory.contents_mut(region).copy_from_slice(before.contents(region));
        }
        assert!(memory.bytes() == before.bytes(), "{name} changed a byte that programs may not write");
        outcome.result.map_err(|stop| stop.trap.info().name)
    })
}
