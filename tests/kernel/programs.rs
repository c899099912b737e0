//! Generated programs: what we accept the kernel accepts, or the difference is explained; and where both accept, both
//! give the same result and leave the same memory.
//!
//! `KERNEL_SCALE=100` tries a hundred times as many programs; `KERNEL_SHOW=1` prints an example of each difference.

use std::collections::BTreeMap;
use std::fmt;

use trapline_vm::interp::Code;
use trapline_vm::isa::{Instruction, Kind, disassemble};
use trapline_vm::map::MapKind;
use trapline_vm::memory::{Memory, Region};
use trapline_vm::program::{Loaded, Program, ProgramKind};
use trapline_vm::verifier::{Verified, load_and_verify};

use super::classes::{CLASSES, Class, explain, reason};
use super::generator::{self, Entropy, Features, Flavour, mutate, program_of, random_code};
use super::oracle::{Kernel, Left};

const PROGRAMS: u64 = 3_000;
/// Inputs for a program that both accept, and for one whose refusal by the kernel runs must prove wrong.
const INPUTS: u32 = 3;
const INPUTS_OF_EVIDENCE: u32 = 100;

const LOOPS_AND_CALLS: Features = Features { loops: true, calls: true, helpers: false, ..Features::PLAIN };
const MAPS: Features = Features { maps: true, helpers: false, ..Features::PLAIN };

/// Whether it calls a helper.
pub(crate) fn calls_helpers(loaded: &Loaded) -> bool {
    loaded.instructions().any(|(_, instruction)| instruction.kind() == Kind::CallHelper)
}

/// Makes a program one of the common subset: our helper that returns its argument becomes a move.
fn common(program: &mut Program) {
    for slot in &mut program.code {
        if slot.opcode == 0x85 && slot.src == 0 && slot.imm == 5 {
            *slot = Instruction { opcode: 0xbf, dst: 0, src: 1, ..Instruction::default() };
        }
    }
}

/// Takes away what the kernel refuses for its form, so that more programs get as far as its proof.
fn adapt(program: &mut Program) {
    for slot in &mut program.code {
        let bytes = match slot.opcode & 0x18 {
            0x00 => 4,
            0x08 => 2,
            0x10 => 1,
            _ => 8,
        };
        match slot.opcode {
            // A subtraction of a constant from a pointer into the stack.
            0x17 if slot.imm != i32::MIN => (slot.opcode, slot.imm) = (0x07, -slot.imm),
            0x34 | 0x37 | 0x94 | 0x97 if slot.imm == 0 => slot.imm = 3,
            0x64 | 0x74 | 0xc4 => slot.imm &= 31,
            0x67 | 0x77 | 0xc7 => slot.imm &= 63,
            _ => {}
        }
        // Accesses at constant offsets of the stack and, for atomics, of the buffer.
        let base = if slot.opcode & 7 == 1 { slot.src } else { slot.dst };
        let aligned = base == 10 || base == 1 && matches!(slot.opcode, 0xc3 | 0xdb);
        if matches!(slot.opcode & 7, 1..=3) && aligned {
            slot.offset &= -bytes;
        }
    }
}

/// What the two said of a program.
enum Comparison {
    /// The code of our reason.
    BothRefuse(&'static str),
    /// And agree on every input.
    BothAccept,
    /// Only the kernel refuses, and that is understood.
    Explained(&'static Class, String),
    /// Only we refuse: the code of our reason.
    OnlyWeRefuse(&'static str),
    /// A bug, or something to explain.
    Difference(String),
}

/// Compares on inputs that follow from `seed`.
fn compare(kernel: &mut Kernel, program: &Program, seed: u64, memory: &mut Memory) -> Comparison {
    let ProgramKind::Raw { memory_len } = program.kind else { return Comparison::BothRefuse("not raw") };
    let ours = load_and_verify(program.clone(), generator::helpers(&program.kind));
    let theirs = kernel.load(&program.code, memory_len, &program.maps);
    match (ours, theirs) {
        (Err(rejection), Err(_)) => Comparison::BothRefuse(rejection.code()),
        (Err(rejection), Ok(_)) => Comparison::OnlyWeRefuse(rejection.code()),
        (Ok(verified), Err(refusal)) => {
            let Some(class) = explain(&refusal.log) else {
                return Comparison::Difference(format!(
                    "only the kernel refuses: {}\n{}\n{}",
                    refusal.error,
                    reason(&refusal.log),
                    tail(&refusal.log)
                ));
            };
            if class.about_runs
                && let Err(what) =
                    inputs(seed, INPUTS_OF_EVIDENCE, program, memory, |memory| run(&verified, memory).map(drop))
            {
                return Comparison::Difference(format!("the kernel is right: {}\n{what}", reason(&refusal.log)));
            }
            Comparison::Explained(class, reason(&refusal.log).to_owned())
        }
        (Ok(verified), Ok(loaded)) => {
            let both = inputs(seed, INPUTS, program, memory, |memory| {
                let before = memory.contents(Region::Buffer).to_vec();
                let ours = run(&verified, memory)?;
                // Maps as they are at first: loaded again.
                let fresh = if program.maps.is_empty() {
                    None
                } else {
                    let again = kernel.load(&program.code, memory_len, &program.maps);
                    Some(again.map_err(|refusal| refusal.error.to_string())?)
                };
                let fresh = fresh.as_ref().unwrap_or(&loaded);
                let mut theirs = kernel.run(fresh, &before).map_err(|error| error.to_string())?;
                for (index, map) in program.maps.iter().enumerate().filter(|(_, map)| map.decl.kind == MapKind::Array) {
                    for key in 0..map.decl.entries {
                        let value = fresh.value(index, &key.to_le_bytes()).map_err(|error| error.to_string())?;
                        theirs.memory.extend(value.unwrap_or_default());
                    }
                }
                if ours == theirs {
                    Ok(())
                } else {
                    Err(format!("input {before:x?}\nours {ours:x?}\ntheirs {theirs:x?}"))
                }
            });
            match both {
                Ok(()) => Comparison::BothAccept,
                Err(what) => Comparison::Difference(what),
            }
        }
    }
}

/// Runs something on inputs that follow from a seed.
fn inputs(
    seed: u64,
    count: u32,
    program: &Program,
    memory: &mut Memory,
    mut each: impl FnMut(&mut Memory) -> Result<(), String>,
) -> Result<(), String> {
    let mut rng = Entropy::seed(seed);
    for _ in 0..count {
        generator::input(&mut rng, &program.kind).load(memory);
        each(memory)?;
    }
    Ok(())
}

/// A run of ours, as proved.
fn run(verified: &Verified, memory: &mut Memory) -> Result<Left, String> {
    let code = Code::predicted(verified.loaded(), |pc| Some(verified.access(pc))).map_err(|error| error.to_string())?;
    let maps = &verified.program().maps;
    memory.remove_maps();
    memory.add_maps(maps).map_err(|error| error.to_string())?;
    let outcome = code.run(memory, verified.report().worst_fuel);
    let r0 = outcome.result.map_err(|stop| format!("a verified program traps: {stop}"))?;
    // The buffer, and the values of arrays.
    let mut left = memory.contents(Region::Buffer).to_vec();
    for map in maps.iter().filter(|map| map.decl.kind == MapKind::Array) {
        let values = memory.contents(Region::MapValues).get(map.base as usize..).unwrap_or_default();
        for value in values.chunks(map.decl.stride() as usize).take(map.decl.entries as usize) {
            left.extend(value.iter().take(map.decl.value_len as usize));
        }
    }
    Ok(Left { r0, memory: left })
}

fn tail(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(12)..].join("\n")
}

/// The program with every instruction made a jump to the next that is not needed for a difference.
fn minimise(kernel: &mut Kernel, mut program: Program, seed: u64, memory: &mut Memory) -> Program {
    let nothing = Instruction { opcode: 0x05, ..Instruction::default() };
    loop {
        let before = program.clone();
        for pc in 0..program.code.len() {
            let mut smaller = program.clone();
            let slots = if smaller.code[pc].opcode == 0x18 { 2 } else { 1 };
            for slot in smaller.code.iter_mut().skip(pc).take(slots) {
                *slot = nothing;
            }
            if matches!(compare(kernel, &smaller, seed, memory), Comparison::Difference(_)) {
                program = smaller;
            }
        }
        if program == before {
            return program;
        }
    }
}

#[derive(Default)]
struct Counts {
    tried: u64,
    both_accept: u64,
    /// Of these, with maps.
    both_accept_maps: u64,
    both_refuse: BTreeMap<&'static str, u64>,
    explained: BTreeMap<&'static str, u64>,
    only_we_refuse: BTreeMap<&'static str, u64>,
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { tried, both_accept, both_accept_maps, both_refuse, .. } = self;
        writeln!(f, "{tried} programs: both accept {both_accept} ({both_accept_maps} with maps) and agree")?;
        writeln!(f, "  both refuse {}, we for {both_refuse:?}", both_refuse.values().sum::<u64>())?;
        writeln!(f, "  only the kernel refuses, explained:")?;
        for class in CLASSES {
            let count = self.explained.get(class.name).copied().unwrap_or_default();
            writeln!(f, "  {count:8} {:36} {}", class.name, class.why)?;
        }
        writeln!(f, "  only we refuse:")?;
        for (code, count) in &self.only_we_refuse {
            writeln!(f, "  {count:8} {code}")?;
        }
        Ok(())
    }
}

/// Tries programs from as many seeds. Of a hundred, at least `least` must be accepted by both.
fn check(what: &str, seeds: u64, least: u64, make: impl Fn(&mut Entropy<'_>) -> Program) {
    let Some(mut kernel) = Kernel::ask() else { return };
    let scale = std::env::var("KERNEL_SCALE").ok().and_then(|scale| scale.parse().ok()).unwrap_or(1);
    let show = std::env::var_os("KERNEL_SHOW").is_some();
    let mut counts = Counts::default();
    let mut memory: Option<Memory> = None;
    for seed in 0..seeds * scale {
        let mut rng = Entropy::seed(seed);
        let mut program = make(&mut rng);
        common(&mut program);
        if rng.chance(90) {
            adapt(&mut program);
        }
        let memory = memory.get_or_insert_with(|| generator::memory(&program.kind));
        counts.tried += 1;
        match compare(&mut kernel, &program, seed, memory) {
            Comparison::BothAccept => {
                counts.both_accept += 1;
                counts.both_accept_maps += u64::from(!program.maps.is_empty());
            }
            Comparison::BothRefuse(code) => *counts.both_refuse.entry(code).or_default() += 1,
            Comparison::Explained(class, reason) => {
                let count = counts.explained.entry(class.name).or_default();
                *count += 1;
                if show {
                    println!("{} (seed {seed}): {reason}", class.name);
                    if *count == 1 {
                        println!("{}", disassemble(&program.code));
                    }
                }
            }
            Comparison::OnlyWeRefuse(code) => {
                let count = counts.only_we_refuse.entry(code).or_default();
                *count += 1;
                if show && *count == 1 {
                    println!("we refuse, {code} (seed {seed}):\n{}", disassemble(&program.code));
                }
            }
            Comparison::Difference(what) => {
                let maps: Vec<_> = program.maps.iter().map(|map| map.decl.clone()).collect();
                let least = minimise(&mut kernel, program, seed, memory);
                let text = disassemble(&least.code);
                panic!("seed {seed}: {what}\n\nthe least program that differs:\n{text}\nmaps: {maps:?}");
            }
        }
    }
    println!("{what}: {counts}");
    let accepted = counts.both_accept;
    assert!(accepted * 100 >= counts.tried * least, "{what}: both accept only {accepted} of {}", counts.tried);
}

#[test]
fn generated_programs_get_the_same_answers() {
    check("generated", PROGRAMS, 40, |rng| program_of(rng, Flavour::Raw, Features::PLAIN));
}

#[test]
fn mutated_programs_get_the_same_answers() {
    check("mutated", PROGRAMS, 10, |rng| {
        let program = program_of(rng, Flavour::Raw, Features::PLAIN);
        mutate(rng, program)
    });
}

#[test]
fn programs_with_loops_and_functions_get_the_same_answers() {
    check("loops and functions", PROGRAMS, 20, |rng| program_of(rng, Flavour::Raw, LOOPS_AND_CALLS));
}

#[test]
fn programs_with_maps_get_the_same_answers() {
    check("maps", PROGRAMS, 10, |rng| {
        let program = program_of(rng, Flavour::Raw, MAPS);
        let known = |kind| matches!(kind, MapKind::Array | MapKind::Data | MapKind::Hash);
        if program.maps.iter().all(|map| known(map.decl.kind)) {
            program
        } else {
            program_of(rng, Flavour::Raw, Features::PLAIN)
        }
    });
}

#[test]
fn random_code_gets_the_same_answers() {
    check("random", 3 * PROGRAMS, 0, random_code);
}
