//! Proofs as a whole: their budget, the worst case they find, what a rejection shows.

use super::budget::STATE_STEP_LEN;
use super::*;
use crate::helper::RAW_HELPERS;
use crate::isa::assemble;
use crate::map::{MapDecl, MapId, MapKind, PlacedMap};
use crate::program::{CODE_LEN_MAX, Line, Program};
use crate::verifier::report::PATH_SHOWN;
use crate::verifier::{BYTES_MAX, Bits, STEPS_MAX, Scalar, Verified, verify, verify_observed};

fn load(text: &str) -> Loaded {
    let assembly = assemble(text).unwrap();
    let program = Program {
        name: "test".to_owned(),
        kind: ProgramKind::Raw { memory_len: 16 },
        lines: (0..).zip(&assembly.lines).map(|(pc, line)| Line { pc, line: *line }).collect(),
        maps: Vec::new(),
        code: assembly.code,
        fuel_limit: 100,
    };
    Loaded::new(program, &RAW_HELPERS).unwrap()
}

fn within(text: &str, limits: Limits) -> Result<Verified, Box<Rejection>> {
    verify_observed(load(text), limits, &mut |_, _| {})
}

const BRANCHING: &str = "ldxb r3, [r1]\nmov r0, 0\njeq r3, 0, a\nstdw [r10-8], 1\na: jeq r3, 1, b\nb: exit";

#[test]
fn steps_at_their_limit() {
    let needed = within(BRANCHING, Limits::default()).unwrap().report().steps;
    for (steps_max, good) in [(needed - 1, false), (needed, true), (needed + 1, true)] {
        let verdict = within(BRANCHING, Limits { steps_max, ..Limits::default() });
        assert_eq!(verdict.is_ok(), good, "{steps_max}");
        if let Err(rejection) = verdict {
            assert_eq!(rejection.cause, Cause::Proof(Reason::Budget { what: "steps", limit: steps_max }));
        }
    }
}

#[test]
fn bytes_at_their_limit() {
    let needed = usize::try_from(within(BRANCHING, Limits::default()).unwrap().report().bytes).unwrap();
    for (bytes_max, good) in [(needed - 1, false), (needed, true), (needed + 1, true)] {
        let verdict = within(BRANCHING, Limits { bytes_max, ..Limits::default() });
        assert_eq!(verdict.is_ok(), good, "{bytes_max}");
        assert!(verdict.is_ok() || verdict.is_err_and(|rejection| rejection.code() == "budget"));
    }
}

/// The longest program, every slot a branch to the next: the most blocks and steps there can be.
#[test]
fn the_longest_program_fits_the_budget() {
    let mut text = String::from("ldxb r0, [r1]\n");
    for _ in 0..CODE_LEN_MAX - 2 {
        text.push_str("jeq r0, 1, +0\n");
    }
    text.push_str("exit");
    let verified = verify(load(&text)).unwrap();
    assert!(verified.report().steps <= STEPS_MAX);
    assert_eq!(verified.report().worst_fuel, CODE_LEN_MAX as u64);
    assert!(verified.report().can_run_out());
}

/// Steps stand for work, so a block costs more where eight frames are full of saved registers.
#[test]
fn large_states_cost_more_steps() {
    let mut text = String::new();
    for depth in 0..8 {
        text.push_str("ldxdw r0, [r1]\n");
        for slot in 1..=64 {
            text.push_str(&format!("stxdw [r10-{}], r0\n", slot * 8));
        }
        if depth < 7 {
            text.push_str(&format!("call local f{depth}\nmov r0, 0\nexit\nf{depth}: "));
        }
    }
    let with = |count: usize| {
        let text = text.clone() + "ldxb r0, [r1]\n" + &"jeq r0, 1, +0\n".repeat(count) + "mov r0, 0\nexit";
        verify(load(&text)).unwrap().report().steps
    };
    let saved = (8 * 64 * size_of::<(u8, RegType)>() / STATE_STEP_LEN) as u64;
    let each = (with(200) - with(100)) / 100;
    assert!(each >= saved, "{each} steps a block");
    // A small state costs nothing beside the instruction and the two states that the branch hands on.
    let small = |count: usize| {
        let text = "ldxb r0, [r1]\n".to_owned() + &"jeq r0, 1, +0\n".repeat(count) + "mov r0, 0\nexit";
        verify(load(&text)).unwrap().report().steps
    };
    assert!((small(200) - small(100)) / 100 <= 3);
    // A loop of such blocks without a bound is given up all the sooner.
    let endless = text.clone() + "a: ldxb r3, [r1]\njeq r3, 1, +0\nadd r0, r3\njne r0, 1, a\nmov r0, 0\nexit";
    let rejection = verify(load(&endless)).unwrap_err();
    assert!(["unbounded-loop", "budget"].contains(&rejection.code()));
}

/// What a branch teaches is written to all copies, and a store may end any of them: that is work, too.
#[test]
fn many_copies_cost_more_steps() {
    let steps = |copies: usize, line: &str, count: usize| {
        let spills: String = (1..=copies).map(|slot| format!("stxdw [r10-{}], r0\n", slot * 8)).collect();
        let text = format!("ldxdw r0, [r1]\n{spills}{}mov r0, 0\nexit", line.repeat(count));
        verify(load(&text)).unwrap().report().steps
    };
    for (line, few, more) in [("jeq r0, 1, +0\n", 3, 7), ("stb [r10-512], 1\n", 1, 7), ("mov r3, 1\n", 1, 0)] {
        let each = |copies| (steps(copies, line, 200) - steps(copies, line, 100)) / 100;
        assert_eq!(each(1), few, "{line}");
        assert!(each(60) >= few + more && (more > 0 || each(60) == few), "{line}");
    }
}

/// What is never reached is read all the same, to guess what a loop does and to see what is counted. Loops within loops
/// are looked at as a whole again and again, so that this was half a minute's work in a small budget.
#[test]
fn dead_parts_of_loops_cost_steps() {
    let steps = |dead: usize| {
        let dead = "jeq r7, 1, +0\n".repeat(dead);
        let text = format!("mov r7, 0\na: jne r7, 1, c\n{dead}c: add r7, 2\njlt r7, 1000000, a\nmov r0, 0\nexit");
        let limits = Limits { loop_steps_max: 100, ..Limits::default() };
        within(&text, limits).unwrap().report().steps
    };
    // Once to guess; what is counted is looked for when that is tried, and when it is proved.
    assert_eq!(steps(2000) - steps(1000), 3 * 1000);
}

/// Every branch leads to its own place far ahead: the most states there can be at a time.
#[test]
fn the_most_states_fit_the_budget() {
    let count = CODE_LEN_MAX / 2 - 1;
    let mut text = String::from("ldxdw r0, [r1]\n");
    for number in 0..count {
        text.push_str(&format!("jeq r0, {number}, l{number}\n"));
    }
    for number in 0..count {
        text.push_str(&format!("l{number}: mov r0, 1\n"));
    }
    text.push_str("exit");
    let bytes = usize::try_from(verify(load(&text)).unwrap().report().bytes).unwrap();
    assert!(bytes >= count * size_of::<AbstractState>() && bytes <= BYTES_MAX, "{bytes}");
}

#[test]
fn the_worst_case_is_the_longest_possible_way() {
    for (text, worst) in [
        ("mov r0, 0\nexit", 2),
        ("ldxb r0, [r1]\njeq r0, 0, +2\nmov r0, 1\nmov r0, 2\nexit", 5),
        // The long way is impossible.
        ("mov r0, 0\njeq r0, 0, +2\nmov r0, 1\nmov r0, 2\nexit", 3),
        ("lddw r0, 5\nexit", 2),
        // Different lengths before and after a meeting point.
        ("ldxb r0, [r1]\njeq r0, 0, +1\nmov r2, 1\njeq r0, 1, +3\nmov r2, 1\nmov r2, 1\nmov r2, 1\nexit", 8),
    ] {
        assert_eq!(verify(load(text)).unwrap().report().worst_fuel, worst, "{text}");
    }
}

/// A program that changes nothing may be stopped for want of fuel; one with state may not.
#[test]
fn worst_cases_at_the_fuel_limit() {
    let text = "mov r0, 7\nstxdw [r10-8], r0\nlddw_map_value_index r1, 0\nCHANGE\nexit";
    let decl = MapDecl {
        name: "counts".to_owned(),
        kind: MapKind::Array,
        key_len: 4,
        value_len: 8,
        entries: 1,
        contents: Vec::new(),
    };
    let map = PlacedMap { owner: "test".to_owned(), decl, id: MapId(0), region: Region::MapValues, base: 0 };
    for (change, changes) in [("ldxdw r2, [r1]", false), ("stxdw [r1], r0", true)] {
        for (fuel_limit, enough) in [(4, false), (5, true), (6, true)] {
            let program = Program {
                name: "test".to_owned(),
                kind: ProgramKind::Raw { memory_len: 16 },
                lines: Vec::new(),
                maps: vec![map.clone()],
                code: assemble(&text.replace("CHANGE", change)).unwrap().code,
                fuel_limit,
            };
            match verify(Loaded::new(program, &RAW_HELPERS).unwrap()) {
                Ok(verified) => {
                    assert!(enough || !changes, "{fuel_limit}");
                    let report = verified.report();
                    assert_eq!((report.worst_fuel, report.can_run_out()), (5, !enough), "{fuel_limit}");
                }
                Err(rejection) => {
                    assert!(changes && !enough, "{fuel_limit}");
                    let reason = Reason::StateFuel { worst: 5, limit: fuel_limit };
                    assert_eq!(rejection.cause, Cause::Proof(reason));
                }
            }
        }
    }
}

/// Of long ways the last decisions are shown, and how many came before.
#[test]
fn a_rejection_shows_the_end_of_a_long_way() {
    let shown = |branches: usize| {
        let text = format!("ldxb r3, [r1]\n{}mov r0, r9\nexit", "jeq r3, 1, +1\nmov r4, 1\n".repeat(branches));
        verify(load(&text)).unwrap_err().to_string()
    };
    // Each branch is a decision, whichever way.
    assert!(!shown(PATH_SHOWN - 1).contains("earlier") && !shown(PATH_SHOWN).contains("earlier"));
    assert!(shown(PATH_SHOWN + 1).contains("path: 1 earlier, "));
}

#[test]
fn a_rejection_shows_a_shortest_way() {
    let text = "ldxb r3, [r1]\njeq r3, 1, a\njeq r3, 2, a\nexit\na: ja b\nb: jne r3, 2, c\nmov r0, 0\nexit\n\
                c: mov r0, r9\nexit";
    let text = text.replacen("exit", "mov r0, 0\nexit", 1);
    let rejection = verify(load(&text)).unwrap_err();
    let way = rejection.path.iter().map(Decision::to_string).collect::<Vec<_>>().join(", ");
    assert_eq!(way, "1 taken, 5 taken, 6 taken");
    assert_eq!((rejection.pc, rejection.line), (Some(9), Some(10)));
}

#[test]
fn accesses_are_known_by_slot() {
    let verified = verify(load("ldxdw r3, [r1+8]\nand r3, 7\nadd r1, r3\nstxb [r1+1], r3\nmov r0, 0\nexit")).unwrap();
    let access = |lo, hi, size| Access { region: Region::Buffer, lo, hi, size };
    assert_eq!(verified.access(0), access(8, 8, crate::isa::Size::Double));
    assert_eq!(verified.access(3), access(1, 8, crate::isa::Size::Byte));
    for pc in [1, 2, 4, 5, 6, u32::MAX] {
        assert_eq!(verified.access(pc), Access::NEVER);
    }
}

#[test]
fn a_contradictory_state_is_noticed() {
    let mut state = AbstractState::entry();
    assert!(state.is_consistent());
    let impossible = Scalar::range(5, 4, Bits::B64);
    state.set(4, RegType::Scalar(impossible));
    assert!(!state.is_consistent());
    let mut state = AbstractState::entry();
    state.set(10, RegType::exact(0));
    assert!(!state.is_consistent());
}
