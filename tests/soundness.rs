//! Is the verifier right? Programs it accepts are run, and every concrete state is looked for in the abstract one.
//!
//! *State embedding*: of seeded random programs, before each instruction of each run, every register must lie in what
//! the verifier says of it, every saved register on the stack likewise, every access in its proved range; the result
//! and the fuel must be as proved; and the interpreter must agree with the naive machine used here, which is written
//! from the text of RFC 9669 and shares no arithmetic with either.

#[path = "soundness/generator.rs"]
mod generator;
#[path = "soundness/machine.rs"]
mod machine;

use generator::{Flavour, Input, Rng, mutate, program_of, random_code};
use machine::Machine;
use trapline_vm::interp::Code;
use trapline_vm::isa::{Instruction, TABLE, assemble, disassemble};
use trapline_vm::memory::{Access, Memory, Region};
use trapline_vm::program::{Loaded, Program, ProgramKind, Verdict};
use trapline_vm::trap::{Stop, Trap};
use trapline_vm::verifier::{AbstractState, Bits, Bytes, Limits, RegType, Verified, load_and_verify, verify_observed};

/// A verified program with the state before each instruction that a run can reach.
struct Proof {
    verified: Verified,
    states: Vec<Option<AbstractState>>,
}

fn prove(program: &Program) -> Option<Proof> {
    let loaded = Loaded::new(program.clone(), generator::helpers(&program.kind)).ok()?;
    let mut states = vec![None; program.code.len()];
    match verify_observed(loaded, Limits::default(), &mut |pc, state| states[pc as usize] = Some(state.clone())) {
        Ok(verified) => Some(Proof { verified, states }),
        Err(rejection) => {
            assert_ne!(rejection.code(), "inconsistent", "{rejection}\n{}", disassemble(&program.code));
            None
        }
    }
}

fn contains(value: RegType, concrete: u64) -> bool {
    match value {
        RegType::Unusable(_) | RegType::Map(_) | RegType::Nullable(_) => true,
        RegType::Scalar(scalar) => scalar.contains(concrete, Bits::B64),
        RegType::Pointer(pointer) => {
            pointer.offset.contains(concrete.wrapping_sub(u64::from(pointer.region.base())), Bits::B64)
        }
    }
}

/// Two memories of each kind of program, used again and again: making one is slow.
struct Bench {
    naive: Memory,
    other: Memory,
}

/// Runs the program on one input and holds each step against the proof.
fn embed(proof: &Proof, input: &Input, bench: &mut Bench) {
    let program = proof.verified.program();
    let fail = |pc: u32, what: &str| panic!("at {pc}: {what}\n{}", disassemble(&program.code));
    input.load(&mut bench.naive);
    let mut machine = Machine::new(proof.verified.loaded(), &mut bench.naive);
    let r0 = loop {
        let pc = machine.pc;
        let Some(state) = &proof.states[pc as usize] else { fail(pc, "reached, and thought unreachable") };
        for register in 0..11 {
            let (value, concrete) = (state.get(register), machine.registers[usize::from(register)]);
            if !contains(value, concrete) {
                fail(pc, &format!("r{register} is {concrete:#x}, and should be {value}"));
            }
        }
        for slot in 0..64 {
            if let Some(value) = state.stack().saved(Bytes::new(slot * 8, 8).unwrap()) {
                let concrete = machine.stack_word(slot * 8);
                if !contains(value, concrete) {
                    fail(pc, &format!("stack slot {slot} is {concrete:#x}, and should be {value}"));
                }
            }
        }
        if let Some(address) = machine.address() {
            let Access { region, lo, hi, .. } = proof.verified.access(pc);
            let offset = address.wrapping_sub(u64::from(region.base()));
            if offset < u64::from(lo) || offset > u64::from(hi) {
                fail(pc, &format!("accesses {region:?} at {offset}, and should at {lo}..={hi}"));
            }
        }
        match machine.step() {
            Ok(None) => {}
            Ok(Some(r0)) => break r0,
            Err(trap) => fail(pc, &format!("trapped: {trap:?}")),
        }
    };
    let report = proof.verified.report();
    if machine.fuel > report.worst_fuel {
        fail(machine.pc, &format!("used {} fuel, worst case {}", machine.fuel, report.worst_fuel));
    }
    if matches!(program.kind, ProgramKind::Rule(_)) && Verdict::from_r0(r0).is_none() {
        fail(machine.pc, &format!("{r0} is no verdict"));
    }
    let code = Code::predicted(proof.verified.loaded(), |pc| Some(proof.verified.access(pc))).unwrap();
    input.load(&mut bench.other);
    let outcome = code.run(&mut bench.other, report.worst_fuel);
    if outcome.result != Ok(r0) || outcome.fuel_used != machine.fuel {
        fail(machine.pc, &format!("the interpreter gives {outcome:?}, not {r0} with {} fuel", machine.fuel));
    }
    if bench.other.contents(Region::Buffer) != machine.memory.contents(Region::Buffer) {
        fail(machine.pc, "the interpreter leaves another buffer");
    }
    // With every access checked against all regions instead of the proof: the same.
    input.load(&mut bench.other);
    let checked = Code::checked(proof.verified.loaded()).run(&mut bench.other, report.worst_fuel);
    if checked != outcome {
        fail(machine.pc, &format!("checked, the interpreter gives {checked:?}, predicted {outcome:?}"));
    }
    // With one fuel less than it needs it stops, and nothing else happens.
    input.load(&mut bench.other);
    let stopped = code.run(&mut bench.other, outcome.fuel_used - 1);
    if !matches!(stopped.result, Err(Stop { trap: Trap::FuelExhausted, .. })) {
        fail(machine.pc, &format!("with too little fuel the interpreter gives {stopped:?}"));
    }
}

/// Makes programs from as many seeds, proves them, and runs those accepted. At least `least` in a hundred must be.
///
/// `SOUNDNESS_SCALE=100` tries a hundred times as many.
fn check(seeds: u64, least: u64, make: impl Fn(&mut Rng) -> Program) {
    let scale = std::env::var("SOUNDNESS_SCALE").ok().and_then(|scale| scale.parse().ok()).unwrap_or(1);
    let seeds = seeds * scale;
    let mut count = 0;
    let mut bench: Option<Bench> = None;
    for seed in 0..seeds {
        let mut rng = Rng::new(seed);
        let program = make(&mut rng);
        let Some(proof) = prove(&program) else { continue };
        count += 1;
        for _ in 0..6 {
            let bench = bench.get_or_insert_with(|| Bench {
                naive: generator::memory(&program.kind),
                other: generator::memory(&program.kind),
            });
            embed(&proof, &generator::input(&mut rng, &program.kind), bench);
        }
    }
    assert!(
        count * 100 > seeds * least,
        "only {count} of {seeds} programs were accepted: the generator is out of step"
    );
}

#[test]
fn every_state_of_raw_programs_is_embedded() {
    check(1000, 80, |rng| program_of(rng, Flavour::Raw));
}

#[test]
fn every_state_of_rule_programs_is_embedded() {
    check(800, 80, |rng| program_of(rng, Flavour::Rule));
}

/// Programs with one field of one instruction changed: many are refused; those accepted must be right.
#[test]
fn every_state_of_mutated_programs_is_embedded() {
    for flavour in [Flavour::Raw, Flavour::Rule] {
        check(1000, 10, |rng| {
            let program = program_of(rng, flavour);
            mutate(rng, program)
        });
    }
}

/// Instructions drawn from the whole table, with any operands.
#[test]
fn every_state_of_random_code_is_embedded() {
    check(30_000, 1, random_code);
}

/// Bytes that are no program, or hardly one: an answer, never a panic.
#[test]
fn any_bytes_get_an_answer() {
    for seed in 0..20_000 {
        let mut rng = Rng::new(seed);
        let mut code = Vec::new();
        for _ in 0..rng.below(6) {
            let mut bytes = rng.next().to_le_bytes();
            if rng.chance(80) {
                bytes[0] = rng.pick(TABLE).opcode;
                bytes[1] = rng.pick(&[0, 0x10, 0x21, 0x0a, 0xa1]);
            }
            if rng.chance(60) {
                bytes[2..].fill(0);
            }
            code.push(Instruction::from_bytes(bytes));
        }
        code.extend(assemble("exit").unwrap().code);
        for flavour in [Flavour::Raw, Flavour::Rule] {
            let program = Program { code: code.clone(), ..program_of(&mut Rng::new(0), flavour) };
            let helpers = generator::helpers(&program.kind);
            if let Err(rejection) = load_and_verify(program, helpers) {
                assert!(rejection.to_string().contains("help: "));
                assert_ne!(rejection.code(), "inconsistent", "{rejection}");
            }
        }
    }
}

#[test]
fn the_same_program_gets_the_same_answer() {
    for seed in 0..200 {
        let mut rng = Rng::new(seed);
        let program = program_of(&mut rng, Flavour::Raw);
        let program = mutate(&mut rng, program);
        let answer = || {
            let loaded = Loaded::new(program.clone(), generator::helpers(&program.kind)).ok()?;
            let mut seen = Vec::new();
            let result =
                verify_observed(loaded, Limits::default(), &mut |pc, state| seen.push((pc, state.to_string())));
            Some((seen, result.map(|verified| verified.report().clone()).map_err(|rejection| rejection.to_string())))
        };
        assert_eq!(answer(), answer());
    }
}
