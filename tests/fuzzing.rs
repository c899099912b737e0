//! The checks of the fuzz targets (`tests/fuzz`) in the normal run: on every input that was kept because something once
//! broke on it, on every conformance case, and on seeded random bytes.
//!
//! `FUZZ_SEEDS=1` also writes the conformance cases to `tests/fuzz/corpus`, for the fuzzer to begin with.

#[path = "fuzz/checks/assembler.rs"]
mod assembler;
#[allow(dead_code, reason = "the cases serve the conformance tests too")]
#[path = "conformance/cases.rs"]
mod cases;
#[path = "fuzz/checks/elf.rs"]
mod elf;
#[path = "fuzz/checks/executors.rs"]
mod executors;
#[allow(dead_code, reason = "the generator serves other oracles too")]
#[path = "soundness/generator/mod.rs"]
mod generator;
#[path = "soundness/helpers.rs"]
mod helpers;
#[path = "fuzz/checks/load.rs"]
mod load;
#[allow(dead_code, reason = "the naive machine serves other tests too")]
mod naive;
#[allow(dead_code, reason = "the oracles serve other tests too")]
#[path = "soundness/oracle.rs"]
mod oracle;
#[allow(dead_code, reason = "the oracles serve other tests too")]
#[path = "soundness/proof.rs"]
mod proof;
#[path = "fuzz/checks/sigma.rs"]
mod sigma;
#[path = "fuzz/checks/snapshot.rs"]
mod snapshot;
#[path = "fuzz/checks/soundness.rs"]
mod soundness;

use std::path::{Path, PathBuf};

use trapline_vm::isa::{Instruction, Op, TABLE};

/// Inputs of random bytes for each check.
const RANDOM: u64 = 1_500;

/// A target by name, and the input for it that a program becomes.
struct Target {
    name: &'static str,
    check: fn(&[u8]),
    seed: fn(&[Instruction]) -> Vec<u8>,
}

const TARGETS: &[Target] = &[
    Target {
        name: "assembler",
        check: assembler::check,
        seed: |code| trapline_vm::isa::disassemble(code).into_bytes(),
    },
    // Whole files: a program's bytes in place of a part of one.
    Target { name: "elf", check: elf::check, seed: |code| spliced(elf::sample(), code) },
    Target {
        name: "executors",
        check: executors::check,
        // Rows of the table by their number.
        seed: |code| {
            let row = |slot: &Instruction| TABLE.iter().position(|row| row.opcode == slot.opcode).unwrap_or_default();
            code.iter().flat_map(|slot| Instruction { opcode: row(slot) as u8, ..*slot }.to_bytes()).collect()
        },
    },
    Target {
        name: "load",
        check: load::check,
        seed: |code| [vec![2 * (code.len() as u8 & 1)], Instruction::to_section(code)].concat(),
    },
    // Any bytes choose a rule, and are one.
    Target { name: "sigma", check: sigma::check, seed: Instruction::to_section },
    Target { name: "snapshot", check: snapshot::check, seed: |code| spliced(snapshot::sample(), code) },
    // Any bytes are choices.
    Target {
        name: "soundness",
        check: soundness::check,
        seed: |code| [vec![code.len() as u8], Instruction::to_section(code)].concat().repeat(4),
    },
];

/// A file with the code at a place that depends on it; as it is for the shortest programs.
fn spliced(mut file: Vec<u8>, code: &[Instruction]) -> Vec<u8> {
    if code.len() > 2 {
        let bytes = Instruction::to_section(code);
        let at = bytes.iter().fold(7usize, |at, byte| at * 31 % 4093 + usize::from(*byte)) % file.len();
        let len = bytes.len().min(file.len() - at).min(24);
        file[at..at + len].copy_from_slice(&bytes[..len]);
    }
    file
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz")
}

fn names(folder: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let name = |entry: std::io::Result<std::fs::DirEntry>| entry.unwrap().file_name().to_string_lossy().into_owned();
    let mut names: Vec<String> = entries.map(name).filter(|name| !name.starts_with('.')).collect();
    names.sort();
    names
}

/// Every target is known to cargo-fuzz, has a file, and a check here; every folder of kept inputs belongs to one.
#[test]
fn targets_are_the_same_everywhere() {
    let here: Vec<String> = TARGETS.iter().map(|target| target.name.to_owned()).collect();
    let files: Vec<String> =
        names(&folder().join("fuzz_targets")).iter().map(|name| name.trim_end_matches(".rs").to_owned()).collect();
    assert_eq!(files, here, "tests/fuzz/fuzz_targets");
    let manifest = std::fs::read_to_string(folder().join("Cargo.toml")).unwrap();
    for name in &here {
        assert!(manifest.contains(&format!("path = \"fuzz_targets/{name}.rs\"")), "{name} is not in Cargo.toml");
    }
    for name in names(&folder().join("kept")) {
        assert!(here.contains(&name), "kept inputs of {name}, which is no target");
    }
}

#[test]
fn kept_inputs_pass() {
    let mut count = 0;
    for target in TARGETS {
        let kept = folder().join("kept").join(target.name);
        for name in names(&kept) {
            println!("{}/{name}", target.name);
            (target.check)(&std::fs::read(kept.join(name)).unwrap());
            count += 1;
        }
    }
    println!("{count} kept inputs");
}

#[test]
fn conformance_cases_pass() {
    let write = std::env::var_os("FUZZ_SEEDS").is_some();
    for (name, case) in cases::own().into_iter().chain(cases::suite().into_iter().flatten()) {
        let Ok(loaded) = cases::load(&case) else { continue };
        for target in TARGETS {
            let seed = (target.seed)(loaded.code());
            (target.check)(&seed);
            if write {
                let corpus = folder().join("corpus").join(target.name);
                std::fs::create_dir_all(&corpus).unwrap();
                std::fs::write(corpus.join(name.replace('/', "-")), seed).unwrap();
            }
        }
    }
}

/// Random bytes, and random slots whose opcodes exist.
#[test]
fn random_bytes_pass() {
    let mut entropy = generator::Entropy::seed(0x5eed);
    let mut next = || entropy.next();
    let exit = Op::Exit.row().opcode;
    for _ in 0..RANDOM {
        let slots = next() % 12;
        let mut bytes = vec![next() as u8];
        for _ in 0..slots {
            let mut slot = Instruction::from_bytes(next().to_le_bytes());
            if !next().is_multiple_of(8) {
                let sloppy = next();
                slot.opcode = TABLE[(sloppy >> 8) as usize % TABLE.len()].opcode;
                slot.offset = if sloppy & 1 == 0 { 0 } else { slot.offset % 16 };
                slot.imm = if sloppy & 2 == 0 { 0 } else { slot.imm };
                (slot.dst, slot.src) = (slot.dst % 11, if sloppy & 4 == 0 { 0 } else { slot.src % 11 });
            }
            bytes.extend(slot.to_bytes());
        }
        bytes.extend(Instruction { opcode: exit, ..Instruction::default() }.to_bytes());
        for target in TARGETS {
            (target.check)(&bytes);
        }
    }
}

/// Rules made of random bytes: enough of them compile, and enough do not. `SIGMA_RULES=N` makes so many.
#[test]
fn rules_of_sigma_are_compiled_or_refused() {
    let count = std::env::var("SIGMA_RULES").map_or(3_000, |count| count.parse().unwrap());
    let mut entropy = generator::Entropy::seed(0x51_64a);
    let mut made = 0;
    for _ in 0..count {
        let bytes: Vec<u8> = (0..8).flat_map(|_| entropy.next().to_le_bytes()).collect();
        made += u64::from(sigma::made_rule(&bytes));
    }
    println!("{made} of {count} rules compiled");
    assert!(made * 20 > count && made * 20 < count * 19, "{made} of {count}");
}
