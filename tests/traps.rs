//! Traps: the table and its document, and what a trap leaves behind.
//!
//! *Injection*: programs are made to trap at each of their instructions, in ways that need nothing in the machine: the
//! instruction is replaced by a load from address 0, what was proved of it is taken away, fuel ends there, or the
//! helper that it calls is one that refuses. Whatever was under way then, the registers are told as they were, the next
//! run begins with a clear stack and gives what it gives in a memory in which nothing ever trapped, and programs on the
//! same event say what they say without the trap. Maps that a program may have left half-changed go back to a snapshot,
//! or to their beginning; until then they are sound, only not what the program meant.

mod objects;

use std::collections::BTreeMap;
use std::path::Path;

use objects::*;
use trapline_engine::{Domain, Instance, LinkOptions, Linked, ReadyProgram};
use trapline_programs::catalogue::catalogue as real_catalogue;
use trapline_programs::compile::compile;
use trapline_programs::stock;
use trapline_vm::helper::{ArgType, Helper, HelperTable, RAW_HELPERS, RULE_HELPERS};
use trapline_vm::interp::{Code, Outcome, Policy, Predicted};
use trapline_vm::isa::{Instruction, Kind, assemble, disassemble_at};
use trapline_vm::map::{MapDecl, MapKind, Placement, Snapshot};
use trapline_vm::memory::{Access, Capacities, Memory, Region};
use trapline_vm::predicate::MASK_LEN;
use trapline_vm::program::{FUEL_LIMIT_DEFAULT, Line, Loaded, Manifest, Program, ProgramKind};
use trapline_vm::record::{GROUP_LEN, HEADER_LEN, RecordHeader, RecordWriter, Slot};
use trapline_vm::trap::{Stop, TRAPS, Trap};
use trapline_vm::verifier::{Verified, load_and_verify};

// --- the document

/// `docs/traps.md`, made from the table.
fn document() -> String {
    let mut text = String::from(
        "# Traps\n\n\
         A trap ends one program on one event. It is data: a stable code and name, the program, the slot of the \
         instruction,\nthe instruction itself, the line of the rule, and the registers `r0` to `r10` as they were. \
         Codes and names never change\ntheir meaning. This page is made from the table in `vm/machine/src/trap.rs`; \
         `trapline explain trap:NAME` prints a page.\n\n\
         | code | name | what happened | a proved program can meet it |\n| --- | --- | --- | --- |\n",
    );
    for info in TRAPS {
        let proved = if info.trap.is_our_bug() { "no: a bug of ours" } else { "yes, as far as its report says" };
        text += &format!("| {} | [`{}`](#{}) | {} | {proved} |\n", info.code, info.name, info.name, info.message);
    }
    for info in TRAPS {
        text += &format!("\n## {}\n\n{}\n", info.name, info.explanation);
    }
    text
}

#[test]
fn the_document_is_as_the_table_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/traps.md");
    let want = document();
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(&path, &want).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default().replace("\r\n", "\n");
    assert!(found == want, "UPDATE_EXPECT=1 writes docs/traps.md anew");
}

// --- programs to inject into

/// A small generator of numbers (xorshift64*).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
}

/// What the host fills before a run.
#[derive(Clone)]
struct Input(Vec<(Region, Vec<u8>)>);

impl Input {
    fn load(&self, memory: &mut Memory) {
        for (region, bytes) in &self.0 {
            memory.whole_mut(*region)[..bytes.len()].copy_from_slice(bytes);
            memory.set_len(*region, bytes.len() as u32).unwrap();
        }
    }
}

/// A proved program, inputs, and what each of them leads to where nothing ever trapped.
struct Subject {
    verified: Verified,
    intact: Code<Predicted>,
    helpers: &'static HelperTable,
    inputs: Vec<Input>,
    fresh: Vec<(Outcome, Memory)>,
    /// Its maps have seen all inputs once; nothing else was done in it.
    start: Memory,
    /// Its maps before anything.
    beginning: Snapshot,
}

/// Inputs of each program.
const INPUTS: usize = 16;

impl Subject {
    fn new(program: Program, helpers: &'static HelperTable, random: &mut Random) -> Self {
        let verified = load_and_verify(program, helpers).unwrap_or_else(|rejection| panic!("{rejection}"));
        let inputs: Vec<Input> = (0..INPUTS).map(|_| input(&verified.program().kind, random)).collect();
        let capacity = |region| {
            let len = |input: &Input| input.0.iter().find(|(of, _)| *of == region).map_or(0, |(_, bytes)| bytes.len());
            inputs.iter().map(len).max().unwrap_or(0) as u32
        };
        let capacities = Capacities {
            record: capacity(Region::Record),
            predicates: capacity(Region::Predicates),
            masks: capacity(Region::Masks),
            buffer: capacity(Region::Buffer),
            ..Capacities::default()
        };
        let maps = &verified.program().maps;
        let start = Memory::with_maps(&capacities, maps).unwrap();
        let beginning = start.snapshot();
        let intact = Code::proved(&verified).unwrap();
        let mut subject = Self { verified, intact, helpers, inputs, fresh: Vec::new(), start, beginning };
        let mut warm = subject.start.clone();
        for input in &subject.inputs {
            input.load(&mut warm);
            assert!(subject.intact.run(&mut warm, FUEL_LIMIT_DEFAULT).result.is_ok(), "{}", subject.name());
        }
        subject.start.restore(&warm.snapshot()).unwrap();
        for input in &subject.inputs {
            let mut memory = subject.start.clone();
            input.load(&mut memory);
            let outcome = subject.intact.run(&mut memory, FUEL_LIMIT_DEFAULT);
            assert!(outcome.result.is_ok(), "{}: {outcome:?}", subject.name());
            subject.fresh.push((outcome, memory));
        }
        subject
    }

    fn put_back(&self, memory: &mut Memory, snapshot: Option<&Snapshot>) {
        memory.put_back(self.verified.program().maps.iter().map(|map| map.id), snapshot);
    }

    fn name(&self) -> &str {
        &self.verified.program().name
    }

    /// The program, with what was proved of one access taken away.
    fn without_proof_at(&self, pc: u32) -> Code<Predicted> {
        let access = |at| Some(if at == pc { Access::NEVER } else { self.verified.access(at) });
        Code::predicted(self.verified.loaded(), access).unwrap()
    }

    /// The program, unproved, with one instruction replaced by a load from address 0 that leaves all registers alone.
    fn with_bad_load_at(&self, pc: u32) -> Loaded {
        let mut program = self.verified.program().clone();
        let slots = self.verified.loaded().at(pc).unwrap().slots();
        // `ldxdw r0, [r10 + 32767]`: behind the stack, in no region.
        program.code[pc as usize] = Instruction { opcode: 0x79, dst: 0, src: 10, offset: i16::MAX, imm: 0 };
        if slots == 2 {
            program.code[pc as usize + 1] = assemble("mov r0, r0").unwrap().code[0];
        }
        // Where it stood for the last exit, the code must not end after it.
        program.code.extend(assemble("exit").unwrap().code);
        Loaded::new(program, self.helpers).unwrap()
    }

    /// Runs each input on the faulty code, in one memory; after each trap the intact program must not notice. Says with
    /// what registers it trapped at which of the inputs.
    fn survive<P: Policy>(
        &self,
        faulty: &Code<P>,
        fuel: u64,
        want: Trap,
        at: Option<u32>,
    ) -> BTreeMap<usize, [u64; 11]> {
        let mut memory = self.start.clone();
        let state = self.start.snapshot();
        let mut trapped = BTreeMap::new();
        for (number, input) in self.inputs.iter().enumerate() {
            self.put_back(&mut memory, Some(&state));
            input.load(&mut memory);
            let outcome = faulty.run(&mut memory, fuel);
            let context = || format!("{} at {at:?}, input {number}: {outcome:?}", self.name());
            assert!(outcome.fuel_used <= fuel, "{}", context());
            match outcome.result {
                // The input does not lead there.
                Ok(_) => assert_eq!(outcome, self.fresh[number].0, "{}", context()),
                Err(Stop { trap, pc }) => {
                    assert_eq!(trap, want, "{}", context());
                    assert_eq!(pc, at.unwrap_or(pc), "{}", context());
                    let registers = memory.trap_registers();
                    let report = self.verified.loaded().report(Stop { trap, pc }, registers);
                    assert_eq!((report.program.as_str(), report.pc, report.trap), (self.name(), pc, want));
                    assert_eq!(report.registers, registers);
                    assert_eq!(report.instruction, disassemble_at(self.verified.loaded().code(), pc as usize));
                    assert_eq!(report.line, self.verified.program().line_of(pc), "{}", context());
                    trapped.insert(number, registers);
                }
            }
            assert_eq!(stack_sum(&mut memory), 0, "{}: the stack is not clear", context());
            if outcome.result.is_err() && !self.verified.program().maps.is_empty() {
                self.maps_are_sound(&mut memory);
            }
            self.put_back(&mut memory, Some(&state));
            assert!(memory.snapshot() == state, "{}: the maps are not put back", context());
            let next = (number + 1) % self.inputs.len();
            self.inputs[next].load(&mut memory);
            let after = self.intact.run(&mut memory, FUEL_LIMIT_DEFAULT);
            let (fresh, memory_of_fresh) = &self.fresh[next];
            assert_eq!(after, *fresh, "{}: the run after it", context());
            assert!(memory.snapshot() == memory_of_fresh.snapshot(), "{}: the maps after it", context());
            for region in Region::ALL {
                assert_eq!(memory.contents(region), memory_of_fresh.contents(region), "{}: {region:?}", context());
            }
        }
        trapped
    }
}

impl Subject {
    /// What a trap left of the maps: any program can go on with them, they can be stored, and begin anew.
    fn maps_are_sound(&self, memory: &mut Memory) {
        let left = memory.snapshot();
        for input in &self.inputs {
            input.load(memory);
            let outcome = self.intact.run(memory, FUEL_LIMIT_DEFAULT);
            assert!(outcome.result.is_ok(), "{}: {outcome:?}", self.name());
        }
        self.put_back(memory, None);
        assert!(memory.snapshot() == self.beginning, "{}: the maps do not begin anew", self.name());
        memory.restore(&left).unwrap();
        assert!(memory.snapshot() == left, "{}: the maps cannot be stored", self.name());
    }
}

/// Adds up the whole stack as the next program to run would see it.
fn stack_sum(memory: &mut Memory) -> u64 {
    let text = format!(
        "lddw r1, {}\nmov r2, 512\nmov r0, 0\nl: ldxdw r3, [r1]\nor r0, r3\nadd r1, 8\nsub r2, 1\njne r2, 0, l\nexit",
        Region::Stack.base()
    );
    let loaded = Loaded::new(raw("reader", &text, 0), &RAW_HELPERS).unwrap();
    Code::checked(&loaded).run(memory, FUEL_LIMIT_DEFAULT).result.unwrap()
}

fn raw(name: &str, text: &str, memory_len: u32) -> Program {
    let assembly = assemble(text).unwrap_or_else(|errors| panic!("{errors:?}"));
    Program {
        name: name.to_owned(),
        kind: ProgramKind::Raw { memory_len },
        lines: (0..).zip(&assembly.lines).map(|(pc, line)| Line { pc, line: *line }).collect(),
        code: assembly.code,
        maps: Vec::new(),
        fuel_limit: FUEL_LIMIT_DEFAULT,
    }
}

fn input(kind: &ProgramKind, random: &mut Random) -> Input {
    let mut bytes = |len: usize| -> Vec<u8> { (0..len).map(|_| random.next() as u8).collect() };
    match kind {
        ProgramKind::Raw { memory_len } => Input(vec![(Region::Buffer, bytes(*memory_len as usize))]),
        ProgramKind::Rule(manifest) => {
            let len = |last: Option<&u16>| last.map_or(0, |last| usize::from(*last) + 1);
            let predicates = bytes(len(manifest.predicate_bytes.last()));
            let masks = bytes(len(manifest.masks.last()) * MASK_LEN as usize);
            let noise = bytes(manifest.record_len as usize + GROUP_LEN as usize);
            let record = record(manifest, &noise, random.next() & 1 == 0);
            Input(vec![(Region::Record, record), (Region::Predicates, predicates), (Region::Masks, masks)])
        }
    }
}

/// A record of the right length whose states and values are noise, with or without the mark that something was lost.
fn record(manifest: &Manifest, noise: &[u8], impaired: bool) -> Vec<u8> {
    let mut slots = 0;
    while trapline_vm::record::slots_len(slots) < manifest.record_len {
        slots += 1;
    }
    let mut record = vec![0; noise.len()];
    let header = RecordHeader { digest: 1, class: 0, os: None, time_ns: 1, sequence: 1 };
    let len = RecordWriter::new(&mut record, slots as u16, &header).unwrap().finish() as usize;
    record.truncate(len);
    let header = HEADER_LEN as usize;
    record[header..].copy_from_slice(&noise[header..len]);
    record[12] = u8::from(impaired);
    record
}

/// The programs of the stock rules, linked in one domain.
fn stock_programs() -> Vec<Linked> {
    let compiled = compile(&stock::sources(), real_catalogue());
    let mut domain = Domain::new(real_catalogue().clone());
    let objects = compiled.rules.iter().flat_map(|rule| &rule.objects);
    objects.map(|object| domain.link(object, &LinkOptions::default()).unwrap()).collect()
}

/// Rule programs that call each kind of helper, and raw ones with everything that can be under way at a trap.
fn by_hand() -> Vec<(Program, &'static HelperTable)> {
    let raws = [
        ("buffer", "ldxb r3, [r1+1]\nand r3, 7\nadd r1, r3\nstxb [r1+8], r3\nstdw [r1], 7\nldxdw r0, [r1+1]\nexit"),
        (
            "stack",
            "stxdw [r10-8], r1\nstdw [r10-512], -1\nldxdw r3, [r10-8]\nldxb r0, [r3]\nldxw r4, [r10-512]\nadd r0, r4\nexit",
        ),
        (
            "atomics",
            "mov r3, 5\nlock add [r1], r3\nlock fetch or [r1+8], r3\nmov r0, 1\nlock cmpxchg [r1], r3\nstxdw [r10-16], r3\nlock xchg [r10-16], r0\nexit",
        ),
        (
            "helper",
            "mov r6, r1\nldxdw r1, [r6]\ncall 5\nldxb r2, [r6+8]\nadd r0, r2\njset r0, 1, +2\nmov r1, 7\ncall 5\nexit",
        ),
        (
            "ways",
            "ldxb r3, [r1]\nmov r0, 0\njset r3, 1, a\nstdw [r10-8], 3\nldxdw r0, [r10-8]\nja b\na: lddw r0, 0x1122334455667788\nstxdw [r10-24], r0\nb: add r0, r3\nexit",
        ),
        (
            "loop",
            "mov r3, 0\nmov r0, 0\nround: mov r4, r1\nadd r4, r3\nldxb r5, [r4]\nadd r0, r5\nstxb [r4], r0\n\
             add r3, 1\njlt r3, 8, round\nexit",
        ),
        (
            "calls",
            "mov r6, r1\nldxb r7, [r6]\nstxdw [r10-8], r7\nmov r8, 3\ncall local outer\nldxdw r2, [r10-8]\n\
             add r0, r2\nadd r0, r8\nexit\n\
             outer: mov r8, r1\nstxdw [r10-16], r8\nldxb r1, [r8+1]\ncall local inner\nldxdw r3, [r10-16]\n\
             stxb [r3], r0\nexit\n\
             inner: stxdw [r10-512], r1\nmov r0, r1\nldxdw r2, [r10-512]\nadd r0, r2\nexit",
        ),
    ];
    let raws = raws.map(|(name, text)| (raw(name, text, 32), &RAW_HELPERS));
    let keepers = keepers().map(|program| (program, &RAW_HELPERS));
    raws.into_iter()
        .chain(keepers)
        .chain(RULE_HELPERS.iter().filter_map(calling).map(|program| (program, &RULE_HELPERS)))
        .collect()
}

/// Programs that change maps of each kind: several times a run, so that a trap comes half-way.
fn keepers() -> impl Iterator<Item = Program> {
    /// The first byte of the buffer, two bits of it, as a key of four bytes.
    const KEY: &str = "mov r6, r1\nldxb r7, [r6]\nand r7, 3\nstxw [r10-4], r7\nstdw [r10-16], 1\n";
    /// Looks up the key, adds to its value, or makes it.
    const COUNT: &str = "lddw_map_index r1, 0\nmov r2, r10\nadd r2, -4\ncall 1\njeq r0, 0, new\nldxdw r3, [r0]\nadd r3, 1\n\
                         stxdw [r0], r3\nlock add [r0], r7\nja done\nnew: lddw_map_index r1, 0\nmov r2, r10\nadd r2, -4\n\
                         mov r3, r10\nadd r3, -16\nmov r4, 0\ncall 2\ndone: ";
    const DELETE: &str =
        "ldxb r7, [r6+1]\nand r7, 3\nstxw [r10-4], r7\nlddw_map_index r1, 0\nmov r2, r10\nadd r2, -4\ncall 3\n";
    let decl = |kind, value_len, entries| MapDecl {
        name: "m".to_owned(),
        kind,
        key_len: 4,
        value_len,
        entries,
        contents: Vec::new(),
    };
    let with_time = |call: &str| {
        let one = format!(
            "lddw_map_index r1, 0\nmov r2, r10\nadd r2, -4\nldxb r3, [r6+1]\nmov r4, 1\n{call}\nstxw [r10-4], r0\n"
        );
        format!("{KEY}{one}{one}mov r0, 0\nexit")
    };
    let window_ns = 64;
    let (window, distinct) = (MapKind::Window { window_ns, panes: 4 }, MapKind::Distinct { window_ns, members: 3 });
    let count_and_delete = format!("{KEY}{COUNT}{DELETE}mov r0, 0\nexit");
    let distinct_add = "mov r3, r10\nadd r3, -16\nldxb r4, [r6+2]\ncall 1033";
    [
        ("array", decl(MapKind::Array, 8, 4), format!("{KEY}{COUNT}mov r0, 0\nexit")),
        (
            "array-value",
            decl(MapKind::Array, 16, 4),
            "lddw_map_value_index r3, 0\nldxb r4, [r1]\nstxdw [r3+8], r4\n\
            lock fetch add [r3], r4\nldxdw r0, [r3]\nstdw [r3+8], 1\nexit"
                .to_owned(),
        ),
        ("hash", decl(MapKind::Hash, 8, 3), count_and_delete.clone()),
        ("lru-hash", decl(MapKind::LruHash, 8, 2), count_and_delete),
        ("window", decl(window, 0, 2), with_time("call 1032")),
        ("distinct", decl(distinct, 8, 2), with_time(distinct_add)),
        ("seen", decl(MapKind::Seen { ttl_ns: 32 }, 0, 2), with_time("call 1034")),
    ]
    .into_iter()
    .map(|(name, decl, text)| {
        let maps = vec![Placement::default().place(decl).unwrap()];
        Program { maps, ..raw(name, &text, 32) }
    })
}

/// A rule that calls a helper twice; None of one that takes maps.
fn calling(helper: &Helper) -> Option<Program> {
    let arguments = (1..).zip(helper.args).map(|(register, ty)| {
        Some(match ty {
            ArgType::Record => format!("mov r{register}, r6\n"),
            ArgType::Scalar | ArgType::Slot => format!("mov r{register}, {register}\n"),
            ArgType::ConstMask(_) | ArgType::ConstMax(_) => format!("mov r{register}, 0\n"),
            _ => return None,
        })
    });
    let call = format!("{}call {}\n", arguments.collect::<Option<String>>()?, helper.number);
    let text = format!("mov r6, r1\n{call}mov r7, r0\nstxdw [r10-8], r0\n{call}xor r0, r7\nand r0, 1\nexit");
    let manifest = Manifest {
        record_len: trapline_vm::record::slots_len(8),
        slots: (0..8).collect(),
        helpers: vec![helper.number],
        ..Manifest::default()
    };
    Some(Program { kind: ProgramKind::Rule(manifest), ..raw(helper.name, &text, 0) })
}

fn subjects() -> Vec<Subject> {
    let mut random = Random(0x5eed_7a45);
    let stock = stock_programs().into_iter().map(|linked| (linked.program().clone(), &RULE_HELPERS));
    stock.chain(by_hand()).map(|(program, helpers)| Subject::new(program, helpers, &mut random)).collect()
}

// --- injection

#[test]
fn a_trap_at_each_instruction_leaves_nothing_behind() {
    let (mut places, mut reached) = (0, 0);
    for subject in subjects() {
        for (pc, instruction) in subject.verified.loaded().instructions() {
            places += 1;
            let bad = subject.with_bad_load_at(pc);
            let by_load = subject.survive(&Code::checked(&bad), FUEL_LIMIT_DEFAULT, Trap::OutOfRegion, Some(pc));
            reached += usize::from(!by_load.is_empty());
            if matches!(instruction.kind(), Kind::Load(..) | Kind::Store(..) | Kind::Atomic(..)) {
                let code = subject.without_proof_at(pc);
                let by_proof = subject.survive(&code, FUEL_LIMIT_DEFAULT, Trap::PredictedRange, Some(pc));
                // Two ways to stop at one place: the same inputs lead there, with the same registers.
                assert_eq!(by_load, by_proof, "{} at {pc}", subject.name());
            }
        }
    }
    // Inputs that lead nowhere would show nothing.
    assert!(places > 1500 && reached * 4 > places * 3, "{reached} of {places} places were reached");
}

#[test]
fn fuel_that_ends_anywhere_leaves_nothing_behind() {
    for subject in subjects() {
        let worst = subject.fresh.iter().map(|(outcome, _)| outcome.fuel_used).max().unwrap_or(0);
        let mut last = usize::MAX;
        for fuel in 0..=worst {
            let stopped = subject.survive(&subject.intact, fuel, Trap::FuelExhausted, None).len();
            assert!(stopped <= last, "{}: more fuel stops more inputs", subject.name());
            last = stopped;
        }
        assert_eq!(last, 0, "{} ends with the fuel that it needs", subject.name());
    }
}

#[test]
fn a_helper_that_refuses_leaves_nothing_behind() {
    let mut refused = 0;
    for subject in subjects() {
        for helper in &subject.verified.report().helpers {
            let code = subject.intact.clone().refusing_helper(*helper);
            refused += subject.survive(&code, FUEL_LIMIT_DEFAULT, Trap::HelperArgument, None).len();
        }
    }
    assert!(refused >= 9 * INPUTS, "only {refused} refusals");
}

/// Between two neighbours on the same events: they say what they say without it, and so does the next event.
#[test]
fn neighbours_on_the_event_do_not_notice() {
    let catalogue = catalogue(4);
    let victims = [contains(&catalogue, "victim", "f1", "x"), reads(&catalogue, "victim", "f2")];
    let events = [vec![(Slot(0), "xyz"), (Slot(1), "a")], vec![(Slot(0), "abc")], vec![(Slot(1), "x"), (Slot(2), "y")]];
    let mut traps = 0;
    for victim in victims {
        for pc in 0..victim.code.len() {
            let mut domain = Domain::new(catalogue.clone());
            let before = verified(&mut domain, &contains(&catalogue, "before", "f1", "y"));
            let after = verified(&mut domain, &reads(&catalogue, "after", "f2"));
            let linked = link(&mut domain, &victim);
            let mut faulty = victim.clone();
            faulty.relocations.retain(|relocation| relocation.pc as usize != pc);
            faulty.code[pc] = Instruction { opcode: 0x79, dst: 0, src: 10, offset: i16::MAX, imm: 0 };
            faulty.code.extend(assemble("exit").unwrap().code);
            let faulty = unverified(&mut domain, &faulty);
            let intact = std::sync::Arc::new(linked.verify().unwrap());
            let with = |program: &std::sync::Arc<ReadyProgram>| {
                let programs = [before.clone(), program.clone(), after.clone()];
                Instance::new(generation(&domain, &programs)).unwrap()
            };
            let (mut faulty, mut intact) = (with(&faulty), with(&intact));
            for cells in &events {
                let (got, want) = (run(&mut faulty, 4, cells), run(&mut intact, 4, cells));
                assert_eq!((&got[0], &got[2]), (&want[0], &want[2]), "at {pc}");
                match &got[1].1 {
                    Err(trap) => assert_eq!(*trap, Trap::OutOfRegion, "at {pc}"),
                    verdict => assert_eq!(verdict, &want[1].1, "at {pc}"),
                }
                traps += usize::from(got[1].1.is_err());
            }
            assert_eq!(faulty.accounts()[0], intact.accounts()[0]);
            assert_eq!(faulty.accounts()[2], intact.accounts()[2]);
        }
    }
    assert!(traps > 20, "only {traps} traps");
}
