//! rbpf as an independent executor: where it implements RFC 9669 it agrees with us; where it does not, the gap is
//! listed with its reason, and a test notices when a listed gap is gone.
//!
//! Only programs that our verifier accepts are compared at random: rbpf shows programs the addresses of the host.

#[allow(dead_code, reason = "the cases serve the conformance tests too")]
#[path = "conformance/cases.rs"]
mod cases;
#[allow(dead_code, unused_imports, reason = "the generator serves other oracles too")]
#[path = "soundness/generator/mod.rs"]
mod generator;

use std::panic::{AssertUnwindSafe, catch_unwind};

use cases::Want;
use generator::{Entropy, Features, Flavour, mutate, program_of};
use trapline_vm::helper::RAW_HELPERS;
use trapline_vm::interp::Code;
use trapline_vm::isa::{Instruction, assemble, disassemble};
use trapline_vm::memory::{Memory, Region};
use trapline_vm::program::{FUEL_LIMIT_DEFAULT, Loaded, Program, ProgramKind};
use trapline_vm::verifier::load_and_verify;

const PROGRAMS: u64 = 4_000;

/// Something in which rbpf 0.4.1 is not RFC 9669.
struct Gap {
    name: &'static str,
    why: &'static str,
    /// Whether an instruction falls into it.
    has: fn(&Instruction) -> bool,
    /// A program that shows it, and its result by the RFC.
    probe: (&'static str, u64),
}

fn is_jump(slot: &Instruction) -> bool {
    matches!(slot.opcode & 7, 5 | 6) && !matches!(slot.opcode, 0x85 | 0x8d | 0x95)
}

const GAPS: &[Gap] = &[
    Gap {
        name: "atomics",
        why: "its verifier refuses every one",
        has: |slot| matches!(slot.opcode, 0xc3 | 0xdb),
        probe: ("stdw [r10-8], 1\nmov r1, 2\nlock add [r10-8], r1\nldxdw r0, [r10-8]\nexit", 3),
    },
    Gap {
        name: "bswap",
        why: "unknown opcode 0xd7",
        has: |slot| slot.opcode == 0xd7,
        probe: ("mov r0, 1\nbswap16 r0\nexit", 256),
    },
    Gap {
        name: "sign-extending loads",
        why: "unknown opcodes 0x81, 0x89, 0x91",
        has: |slot| matches!(slot.opcode, 0x81 | 0x89 | 0x91),
        probe: ("stdw [r10-8], 0x80\nldxsb r0, [r10-8]\nexit", -128i64 as u64),
    },
    Gap {
        name: "ja32",
        why: "unknown opcode 0x06",
        has: |slot| slot.opcode == 0x06,
        probe: ("ja32 +1\nmov r0, 9\nmov r0, 1\nexit", 1),
    },
    Gap {
        name: "movsx",
        why: "the offset of a move is not looked at: it moves without extending the sign",
        has: |slot| matches!(slot.opcode, 0xbc | 0xbf) && slot.offset != 0,
        probe: ("mov r1, 0x80\nmovsx864 r0, r1\nexit", -128i64 as u64),
    },
    Gap {
        name: "sdiv, smod",
        why: "the offset of a division is not looked at: it divides without sign",
        has: |slot| matches!(slot.opcode & 0xf0, 0x30 | 0x90) && matches!(slot.opcode & 7, 4 | 7) && slot.offset != 0,
        probe: ("mov r0, -6\nsdiv r0, 3\nexit", -2i64 as u64),
    },
    Gap {
        name: "negative constants of unsigned comparisons",
        why: "the constant is extended with zeros to 64 bits, not with its sign",
        has: |slot| matches!(slot.opcode, 0x15 | 0x25 | 0x35 | 0x55 | 0xa5 | 0xb5) && slot.imm < 0,
        probe: ("mov r0, -1\njeq r0, -1, +1\nmov r0, 0\nexit", u64::MAX),
    },
    Gap {
        name: "negation of the smallest number",
        why: "it overflows: a panic where the build checks for that",
        has: |slot| cfg!(debug_assertions) && slot.opcode == 0x87,
        probe: ("mov r0, 1\nlsh r0, 63\nneg r0\nexit", 1 << 63),
    },
    Gap {
        name: "32-bit remainder by zero",
        why: "it leaves the high half of the register as it is",
        has: |slot| slot.opcode == 0x9c || slot.opcode == 0x94 && slot.imm == 0,
        probe: ("mov r0, -1\nmov r1, 0\nmod32 r0, r1\nexit", 0xffff_ffff),
    },
    Gap {
        name: "frames",
        why: "512 bytes of stack in all, 256 for each local call",
        has: |slot| slot.opcode == 0x85 && slot.src == 1,
        probe: ("call local f\nexit\nf: call local g\nexit\ng: stdw [r10-512], 1\nldxdw r0, [r10-512]\nexit", 1),
    },
    Gap {
        name: "a jump to itself",
        why: "refused, taken or not",
        has: |slot| is_jump(slot) && slot.offset == -1,
        probe: ("mov r0, 1\njeq r0, 2, -1\nexit", 1),
    },
    Gap {
        name: "branches on the frame pointer",
        why: "refused as if they wrote it",
        has: |slot| is_jump(slot) && slot.dst == 10,
        probe: ("mov r0, 1\njne r10, 0, +1\nmov r0, 2\nexit", 1),
    },
    Gap {
        name: "the length in r2",
        why: "the interpreter leaves it zero; the programs compared here set it themselves",
        has: |_| false,
        probe: ("mov r0, r2\nexit", 8),
    },
];

fn gap(code: &[Instruction]) -> Option<&'static Gap> {
    GAPS.iter().find(|gap| code.iter().any(|slot| (gap.has)(slot)))
}

/// What rbpf makes of a program, as it is: `r0` and the memory after; None if it refuses or panics.
fn theirs(code: &[Instruction], memory: &[u8]) -> Result<(u64, Vec<u8>), String> {
    let bytes = Instruction::to_section(code);
    let mut memory = memory.to_vec();
    let run = AssertUnwindSafe(|| {
        let mut vm = rbpf::EbpfVmRaw::new(Some(&bytes)).map_err(|error| error.to_string())?;
        vm.register_helper(5, |r1, _, _, _, _| r1).map_err(|error| error.to_string())?;
        let r0 = vm.execute_program(&mut memory).map_err(|error| error.to_string())?;
        drop(vm);
        Ok(r0)
    });
    let r0 = catch_unwind(run).unwrap_or_else(|_| Err("panics".to_owned()))?;
    Ok((r0, memory))
}

/// With `r2` set to the length, as it is here at entry.
fn with_length(code: &[Instruction], memory: &[u8]) -> Vec<Instruction> {
    let imm = i32::try_from(memory.len()).expect("short memories");
    let mut whole = vec![Instruction { opcode: 0xb7, dst: 2, imm, ..Instruction::default() }];
    whole.extend(code);
    whole
}

fn raw(code: Vec<Instruction>, memory_len: u32) -> Program {
    let kind = ProgramKind::Raw { memory_len };
    let name = "case".to_owned();
    Program { name, kind, code, lines: Vec::new(), maps: Vec::new(), fuel_limit: FUEL_LIMIT_DEFAULT }
}

/// A gap that is no longer there must be taken from the list, so that its programs are compared.
#[test]
fn every_listed_gap_is_still_there() {
    for Gap { name, why, probe: (text, want), .. } in GAPS {
        let code = assemble(text).expect("probes assemble").code;
        let memory = [0; 8];
        let loaded = Loaded::new(raw(code.clone(), 8), &RAW_HELPERS).expect("probes load");
        let mut ours = Memory::for_raw(&memory).expect("a small memory");
        let outcome = Code::checked(&loaded).run(&mut ours, FUEL_LIMIT_DEFAULT);
        assert_eq!(outcome.result, Ok(*want), "{name}: our own result");
        let got = theirs(&code, &memory).map(|(r0, _)| r0);
        assert_ne!(got, Ok(*want), "rbpf has no gap any more: {name} ({why}); take it from the list");
    }
}

#[test]
fn conformance_cases_give_the_same_result() {
    let (mut same, mut gaps) = (0, std::collections::BTreeMap::<&str, u32>::new());
    for (name, case) in cases::own().into_iter().chain(cases::suite().into_iter().flatten()) {
        let (Ok(loaded), Want::Result(want)) = (cases::load(&case), &case.want) else { continue };
        if let Some(gap) = gap(loaded.code()) {
            *gaps.entry(gap.name).or_default() += 1;
            continue;
        }
        match theirs(&with_length(loaded.code(), &case.mem), &case.mem) {
            Ok((r0, _)) => assert_eq!(r0, *want, "{name}: rbpf differs, and no gap is listed"),
            Err(error) => panic!("{name}: rbpf refuses it, and no gap is listed: {error}"),
        }
        same += 1;
    }
    println!("{same} results are rbpf's; in its gaps: {gaps:?}");
    assert!(same > 5, "only {same} results were compared");
}

/// The program with what falls into a gap made something that does not.
fn adapt(program: &mut Program) {
    for slot in &mut program.code {
        match slot.opcode {
            // Atomics to stores.
            0xc3 | 0xdb => (slot.opcode, slot.imm) = (if slot.opcode == 0xc3 { 0x63 } else { 0x7b }, 0),
            0xd7 => slot.opcode = 0xdc,
            0x81 | 0x89 | 0x91 => slot.opcode -= 0x20,
            0xbc | 0xbf | 0x34 | 0x37 | 0x3c | 0x3f | 0x97 | 0x9f => slot.offset = 0,
            0x15 | 0x25 | 0x35 | 0x55 | 0xa5 | 0xb5 => slot.imm &= i32::MAX,
            // Remainders that may be by zero to others.
            0x9c => (slot.opcode, slot.offset) = (0x5c, 0),
            0x94 => (slot.imm, slot.offset) = (slot.imm.max(1), 0),
            // Negation to a multiplication with -1.
            0x87 => (slot.opcode, slot.imm) = (0x27, -1),
            _ => {}
        }
    }
}

#[test]
fn generated_programs_give_the_same_result_and_memory() {
    let (mut compared, mut memory) = (0, None);
    for seed in 0..PROGRAMS {
        let mut rng = Entropy::seed(seed);
        let mut program = program_of(&mut rng, Flavour::Raw, Features::PLAIN);
        if rng.chance(50) {
            program = mutate(&mut rng, program);
        }
        adapt(&mut program);
        if gap(&program.code).is_some() || !program.maps.is_empty() {
            continue;
        }
        let Ok(verified) = load_and_verify(program.clone(), generator::helpers(&program.kind)) else { continue };
        let memory = memory.get_or_insert_with(|| generator::memory(&program.kind));
        for _ in 0..3 {
            generator::input(&mut rng, &program.kind).load(memory);
            let before = memory.contents(Region::Buffer).to_vec();
            let code = Code::predicted(verified.loaded(), |pc| Some(verified.access(pc))).expect("a proof fits");
            let outcome = code.run(memory, verified.report().worst_fuel);
            let r0 = outcome.result.expect("a verified program does not trap");
            let ours = (r0, memory.contents(Region::Buffer).to_vec());
            let theirs = theirs(&with_length(&program.code, &before), &before);
            assert_eq!(theirs, Ok(ours), "seed {seed}, input {before:x?}\n{}", disassemble(&program.code));
        }
        compared += 1;
    }
    println!("{compared} of {PROGRAMS} programs were compared with rbpf");
    assert!(compared > PROGRAMS / 2, "only {compared} of {PROGRAMS} programs were compared");
}
