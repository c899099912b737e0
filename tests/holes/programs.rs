//! Holes of other machines, run here *unproved*: what happens if the verifier were switched off, or wrong.
//!
//! The programs are those of `tests/verifier/holes.txt`, where each is refused for its reason. Whatever they do, a run
//! ends in a result or a trap, within its fuel, and no byte changes that programs may not write.

use std::path::Path;

use trapline_vm::helper::{RAW_HELPERS, RULE_HELPERS};
use trapline_vm::isa::assemble;
use trapline_vm::program::{Loaded, Manifest, Program, ProgramKind};
use trapline_vm::record::slots_len;

use super::support::{FUEL, run};

/// Name and code of each program, and its buffer if it is a raw one.
fn programs() -> Vec<(String, Option<u32>, String)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/verifier/holes.txt");
    let file = std::fs::read_to_string(path).unwrap();
    let mut programs = Vec::new();
    for case in file.split("\n== ").skip(1) {
        let mut sections = case.split("\n-- ");
        let name = sections.next().unwrap().trim().to_owned();
        let (header, code) = sections.next().unwrap().split_once('\n').unwrap();
        let buffer = header.trim().strip_prefix("raw ").map(|len| len.parse().unwrap());
        programs.push((name, buffer, code.to_owned()));
    }
    programs
}

fn load(buffer: Option<u32>, code: &str) -> Option<Loaded> {
    let (kind, helpers) = match buffer {
        Some(memory_len) => (ProgramKind::Raw { memory_len }, &RAW_HELPERS),
        None => (ProgramKind::Rule(Manifest { record_len: slots_len(0), ..Manifest::default() }), &RULE_HELPERS),
    };
    let code = assemble(code).expect("cases assemble").code;
    Loaded::new(
        Program { name: "hole".to_owned(), kind, code, lines: Vec::new(), maps: Vec::new(), fuel_limit: FUEL },
        helpers,
    )
    .ok()
}

#[test]
fn every_hole_ends_in_a_result_or_a_trap_and_leaves_the_rest_alone() {
    let programs = programs();
    assert!(programs.len() >= 20, "only {} programs", programs.len());
    for (name, buffer, code) in &programs {
        let Some(loaded) = load(*buffer, code) else { continue };
        for fill in [0, 1, 0x7f, 0x80, 0xff] {
            // Any outcome will do; the checks are in `run`.
            let _outcome = run(name, &loaded, buffer.unwrap_or(0), fill);
        }
    }
}

/// The table of our comparison with peers, one line each.
#[test]
fn what_crashes_others_is_a_named_trap_here() {
    let programs = programs();
    for (name, want) in [
        ("load at 0x1000", Some(Err("out-of-region"))),
        ("store at 0x1000", Some(Err("out-of-region"))),
        ("store 4 KiB below r10", Some(Err("out-of-region"))),
        ("infinite loop of two instructions", Some(Err("fuel-exhausted"))),
        ("unbounded recursion", Some(Err("call-depth"))),
        ("read r7, never written", Some(Ok(0))),
        ("an offset that wraps around", Some(Err("out-of-region"))),
        // Not even loaded.
        ("the last instruction is a conditional jump", None),
        ("local call into the second slot of a wide load", None),
    ] {
        let (_, buffer, code) = programs.iter().find(|program| program.0 == name).expect(name);
        let loaded = load(*buffer, code);
        assert_eq!(loaded.map(|loaded| run(name, &loaded, buffer.unwrap_or(0), 0xff)), want, "{name}");
    }
}

#[test]
fn a_callee_has_a_frame_of_its_own() {
    let code = "stdw [r10-8], 7\ncall local f\nldxdw r0, [r10-8]\nexit\nf: stdw [r10-8], 9\nmov r0, 1\nexit";
    assert_eq!(run("frames", &load(Some(0), code).unwrap(), 0, 0), Ok(7));
}

#[test]
fn jumps_reach_over_slot_32767_in_both_directions() {
    let far = format!(
        "mov r0, 1\nja32 over\nback: add r0, 1\nexit\n{}over: add r0, 40\nja32 back",
        "mov r1, r1\n".repeat(65_000)
    );
    assert_eq!(run("far", &load(Some(0), &far).unwrap(), 0, 0), Ok(42));
    // Branches of 16 bits beyond the middle of a long program.
    let near = format!("ja32 +40000\n{}mov r0, 1\njeq r0, 1, +1\nexit\nmov r0, 2\nexit", "mov r1, r1\n".repeat(40_000));
    assert_eq!(run("beyond", &load(Some(0), &near).unwrap(), 0, 0), Ok(2));
}
