//! Loops and calls, through the front door: what is accepted, what it may cost, what is refused.

use super::induction::PASSES_MAX;
use crate::helper::RAW_HELPERS;
use crate::interp::Code;
use crate::isa::assemble;
use crate::memory::{Capacities, Memory, Region};
use crate::program::{Line, Loaded, Program, ProgramKind};
use crate::verifier::{Limits, LoopProof, Rejection, Verified, verify_observed};

fn load(text: &str) -> Loaded {
    let assembly = assemble(text).unwrap_or_else(|errors| panic!("{errors:?}\n{text}"));
    let program = Program {
        name: "test".to_owned(),
        kind: ProgramKind::Raw { memory_len: 16 },
        lines: (0..).zip(&assembly.lines).map(|(pc, line)| Line { pc, line: *line }).collect(),
        maps: Vec::new(),
        code: assembly.code,
        fuel_limit: u64::MAX,
    };
    Loaded::new(program, &RAW_HELPERS).unwrap()
}

fn within(text: &str, limits: Limits) -> Result<Verified, Box<Rejection>> {
    verify_observed(load(text), limits, &mut |_, _| {})
}

/// Proves it with calls used again and without, which must not differ.
fn verify(text: &str) -> Result<Verified, Box<Rejection>> {
    let verdict = within(text, Limits::default());
    let plain = within(text, Limits { reuse_calls: false, ..Limits::default() });
    match (&verdict, &plain) {
        (Ok(one), Ok(other)) => {
            assert_eq!(one.accesses(), other.accesses());
            let (mut one, mut other) = (one.report().clone(), other.report().clone());
            (one.bytes, other.bytes) = (0, 0);
            assert_eq!(one, other);
        }
        (Err(one), Err(other)) => assert_eq!((one.pc, one.code()), (other.pc, other.code())),
        _ => panic!("{verdict:?}\n{plain:?}"),
    }
    verdict
}

/// Runs it on a buffer; the result and the fuel.
fn run(verified: &Verified, buffer: [u64; 2]) -> (u64, u64) {
    let mut memory = Memory::new(&Capacities { buffer: 16, ..Capacities::default() }).unwrap();
    let bytes: Vec<u8> = buffer.iter().flat_map(|word| word.to_le_bytes()).collect();
    memory.set_len(Region::Buffer, 16).unwrap();
    memory.contents_mut(Region::Buffer).copy_from_slice(&bytes);
    let code = Code::predicted(verified.loaded(), |pc| Some(verified.access(pc))).unwrap();
    let outcome = code.run(&mut memory, verified.report().worst_fuel);
    (outcome.result.unwrap_or_else(|stop| panic!("{stop:?}")), outcome.fuel_used)
}

/// How often each loop is repeated, and by what it was proved.
fn loops(verified: &Verified) -> Vec<(u32, u64, String)> {
    let name = |proof| match proof {
        LoopProof::Explored => "explored".to_owned(),
        LoopProof::Counted(counter) => counter.to_string(),
    };
    verified.report().loops.iter().map(|l| (l.head, l.iterations, name(l.proof))).collect()
}

/// Where and for what it is refused. What is refused for want of a proof takes all of the budget, so it is small here.
fn code(text: &str) -> (Option<u32>, &'static str) {
    let limits = Limits { steps_max: 100_000, loop_steps_max: 4_000, ..Limits::default() };
    let rejection = within(text, limits).err().unwrap_or_else(|| panic!("accepted\n{text}"));
    (rejection.pc, rejection.code())
}

/// Of loops that are followed step by step the worst case is what really happens.
#[test]
fn explored_loops_cost_exactly_what_they_take() {
    for (text, result, iterations) in [
        ("mov r0, 0\na: add r0, 1\njlt r0, 10, a\nexit", 10, 9),
        ("mov r0, 0\na: add r0, 1\njne r0, 1000, a\nexit", 1000, 999),
        ("mov r0, 10\na: sub r0, 1\njne r0, 0, a\nexit", 0, 9),
        ("mov r0, 0\na: jge r0, 7, b\nadd r0, 2\nja a\nb: exit", 8, 4),
        ("mov32 r0, -3\na: add32 r0, 1\njslt32 r0, 3, a\nexit", 3, 5),
        // Halves instead of steps, and wrapping around on purpose.
        ("lddw r0, 0x8000000000000000\na: rsh r0, 1\njne r0, 0, a\nexit", 0, 63),
        ("lddw r0, 0xfffffffffffffff0\na: add r0, 1\njne r0, 4, a\nexit", 4, 19),
        // The counter on the stack.
        ("stdw [r10-8], 0\na: ldxdw r0, [r10-8]\nadd r0, 1\nstxdw [r10-8], r0\njlt r0, 5, a\nexit", 5, 4),
        // With a way out in the middle, and a short cut back.
        ("mov r0, 0\na: add r0, 1\njeq r0, 3, a\njeq r0, 6, b\nja a\nb: exit", 6, 5),
    ] {
        let verified = verify(text).unwrap_or_else(|rejection| panic!("{rejection}\n{text}"));
        let (r0, fuel) = run(&verified, [0; 2]);
        assert_eq!((r0, verified.report().worst_fuel), (result, fuel), "{text}");
        assert_eq!(loops(&verified)[0].1, iterations, "{text}");
        assert_eq!(loops(&verified)[0].2, "explored", "{text}");
    }
}

#[test]
fn nested_loops_are_followed() {
    let text =
        "mov r0, 0\nmov r1, 0\na: mov r2, 0\nb: add r0, 1\nadd r2, 1\njlt r2, 5, b\nadd r1, 1\njlt r1, 4, a\nexit";
    let verified = verify(text).unwrap();
    assert_eq!(run(&verified, [0; 2]), (20, verified.report().worst_fuel));
    assert_eq!(loops(&verified), [(2, 3, "explored".to_owned()), (3, 4, "explored".to_owned())]);
}

/// Counts up to what the buffer holds: the bound is not known, only that there is one.
#[test]
fn long_loops_are_counted() {
    // The worst input, and how often the loop is repeated then.
    for (text, worst, counter) in [
        ("ldxw r3, [r1]\nand r3, 0xfffff\nmov r0, 0\na: jge r0, r3, b\nadd r0, 1\nja a\nb: exit", [0xf_ffff, 0], "r0"),
        ("ldxh r3, [r1]\nmov r0, 0\na: jge r0, r3, b\nadd r0, 3\nja a\nb: exit", [0xffff, 0], "r0"),
        ("ldxdw r3, [r1]\njgt r3, 100000, b\na: jeq r3, 0, b\nsub r3, 1\nja a\nb: mov r0, 0\nexit", [100_000, 0], "r3"),
        ("mov r0, 0\na: add r0, 1\njlt r0, 1000000, a\nexit", [0; 2], "r0"),
        ("mov r0, 1000000\na: sub r0, 1\njgt r0, 0, a\nexit", [0; 2], "r0"),
        ("mov r0, 1000000\na: add r0, -2\njsgt r0, -1000000, a\nexit", [0; 2], "r0"),
        // 32-bit counters.
        ("mov32 r0, 0\na: add32 r0, 1\njlt32 r0, 1000000, a\nexit", [0; 2], "r0"),
        ("mov32 r0, -1000000\na: add32 r0, 1\njslt32 r0, -1, a\nexit", [0; 2], "r0"),
        ("mov32 r0, -500000\na: add32 r0, 1\njslt32 r0, 500000, a\nexit", [0; 2], "r0"),
        // A counter on the stack.
        (
            "stdw [r10-16], 0\na: ldxdw r3, [r10-16]\nadd r3, 1\nstxdw [r10-16], r3\njlt r3, 1000000, a\nmov r0, r3\nexit",
            [0; 2],
            "[r10-16]",
        ),
        // Steps of different lengths.
        (
            "ldxdw r3, [r1]\nmov r0, 0\na: add r0, 2\njset r3, 1, c\nadd r0, 5\nc: jlt r0, 1000000, a\nexit",
            [1, 0],
            "r0",
        ),
        // By a number that is read, but bounded.
        ("ldxb r3, [r1]\nadd r3, 1\nmov r0, 0\na: add r0, r3\njlt r0, 1000000, a\nexit", [0; 2], "r0"),
        // The bound is that of a copy of the lower half, as C compilers make it without 32-bit instructions.
        (
            "mov r3, 0\na: jgt r3, 0x7ffffff, b\nadd r3, 1\nmov r4, r3\nlsh r4, 32\nrsh r4, 32\njlt r4, 1000000, a\nb: mov r0, 0\nexit",
            [0; 2],
            "r3",
        ),
        (
            "mov r3, 0\na: jgt r3, 0x7ffffff, b\nadd r3, 1\nmov r4, r3\nlsh r4, 32\narsh r4, 32\njslt r4, 1000000, a\nb: mov r0, 0\nexit",
            [0; 2],
            "r3",
        ),
        // Left in the middle.
        ("ldxw r3, [r1]\nmov r0, 0\na: add r0, 1\njeq r0, r3, b\njlt r0, 1000000, a\nb: exit", [0; 2], "r0"),
    ] {
        let verified = verify(text).unwrap_or_else(|rejection| panic!("{rejection}\n{text}"));
        assert_eq!(loops(&verified).len(), 1, "{text}");
        assert_eq!(loops(&verified)[0].2, counter, "{text}");
        let (_, fuel) = run(&verified, worst);
        let bound = verified.report().worst_fuel;
        assert!(fuel <= bound, "{text}");
        // Not much more than what can happen.
        assert!(bound <= 4 * fuel, "{bound} {fuel} {text}");
    }
}

/// Bounds of 2^32 and more are bounds as well. They saturate.
#[test]
fn very_long_loops_have_a_bound() {
    for (text, worst) in [
        ("ldxw r3, [r1]\nmov r0, 0\na: jge r0, r3, b\nadd r0, 1\nja a\nb: exit", u64::from(u32::MAX) * 3 + 4),
        ("ldxdw r3, [r1]\nmov r0, 0\na: jge r0, r3, b\nadd r0, 1\nja a\nb: exit", u64::MAX),
    ] {
        let verified = verify(text).unwrap_or_else(|rejection| panic!("{rejection}\n{text}"));
        assert_eq!(verified.report().worst_fuel, worst, "{text}");
    }
}

#[test]
fn loops_that_may_not_end_are_refused() {
    for text in [
        "ja -1",
        "mov r0, 0\na: add r0, 1\nja a",
        // Endless on one way only.
        "ldxb r0, [r1]\na: jeq r0, 7, a\nexit",
        // What is compared is read anew, or nothing is known of it.
        "a: ldxdw r0, [r1]\njne r0, 0, a\nexit",
        "ldxdw r3, [r1]\na: add r3, 1\njne r3, 0, a\nmov r0, 0\nexit",
        // It wraps around before it gets there.
        "ldxdw r3, [r1]\nmov r0, 0\na: jeq r0, r3, b\nadd r0, 1\nja a\nb: exit",
        "ldxdw r3, [r1]\nmov r0, 0\na: jgt r0, r3, b\nadd r0, 1\nja a\nb: exit",
        "ldxdw r3, [r1]\nmov r0, 0\na: jge r0, r3, b\nadd r0, 2\nja a\nb: exit",
        "ldxdw r3, [r1]\nmov r0, 0\na: jsge r0, r3, b\nadd r0, 2\nja a\nb: exit",
        "ldxw r3, [r1]\nmov32 r0, 0\na: jge32 r0, r3, b\nadd32 r0, 2\nja a\nb: exit",
        "ldxw r3, [r1]\nmov32 r0, 0\na: jsge32 r0, r3, b\nadd32 r0, 2\nja a\nb: exit",
        "ldxdw r0, [r1]\na: sub r0, 3\njne r0, 0, a\nexit",
        "ldxw r0, [r1]\na: sub32 r0, 3\njne32 r0, 0, a\nexit",
        // Not every way moves the counter on; or it goes both ways.
        "ldxdw r3, [r1]\nmov r0, 0\na: jset r3, 1, b\nadd r0, 1\nb: ldxdw r3, [r1]\njlt r0, 9999999, a\nexit",
        "mov r0, 0\na: add r0, 1\nldxdw r3, [r1]\njeq r3, 0, b\nsub r0, 1\nb: jlt r0, 9999999, a\nexit",
        // By an amount that can be 0.
        "ldxb r3, [r1]\nmov r0, 0\na: add r0, r3\njlt r0, 9999999, a\nexit",
        // The counter is overwritten; in the register, on the stack, in part, somewhere.
        "mov r0, 0\na: add r0, 1\nldxb r3, [r1]\njne r3, 0, b\nmov r0, 1\nb: jlt r0, 9999999, a\nexit",
        "stdw [r10-8], 0\na: ldxdw r0, [r10-8]\nadd r0, 1\nstxdw [r10-8], r0\nstb [r10-8], 0\njlt r0, 9999999, a\nexit",
        "stdw [r10-8], 0\nstdw [r10-16], 0\na: ldxdw r0, [r10-8]\nadd r0, 1\nstxdw [r10-8], r0\nldxb r3, [r1]\n\
         and r3, 15\nmov r4, r10\nadd r4, -16\nadd r4, r3\nstb [r4], 0\njlt r0, 9999999, a\nexit",
        // The inner loop takes back what the outer one counts.
        "mov r0, 0\na: add r0, 1\nldxb r3, [r1]\nb: jeq r3, 0, c\nsub r3, 1\nsub r0, 1\nja b\nc: jlt r0, 9999999, a\nexit",
    ] {
        assert_eq!(code(text).1, "unbounded-loop", "{text}");
    }
}

#[test]
fn loops_within_long_loops() {
    for (text, inner_iterations) in [
        // The inner one is short and the same each time, or bounded by the outer counter, or long itself.
        ("mov r0, 0\na: mov r2, 0\nb: add r2, 1\njlt r2, 10, b\nadd r0, 1\njlt r0, 100000, a\nexit", 9),
        ("mov r0, 0\na: mov r2, 0\nb: jge r2, r0, c\nadd r2, 1\nja b\nc: add r0, 1\njlt r0, 3000, a\nexit", 2999),
        ("mov r0, 0\na: mov r2, 0\nb: add r2, 1\njlt r2, 3000, b\nadd r0, 1\njlt r0, 3000, a\nexit", 2999),
    ] {
        let verified = verify(text).unwrap_or_else(|rejection| panic!("{rejection}\n{text}"));
        let report = verified.report();
        let (_, fuel) = run(&verified, [0; 2]);
        assert!(fuel <= report.worst_fuel && report.worst_fuel <= 4 * fuel, "{} {fuel} {text}", report.worst_fuel);
        let inner = report.loops.iter().find(|inner| inner.head == 2).unwrap();
        assert_eq!(inner.iterations, inner_iterations, "{text}");
    }
}

/// Addresses that move with the counter stay within what it bounds.
#[test]
fn accesses_in_long_loops_are_bounded_by_the_loop() {
    let text = "mov r3, 0\nmov r0, 0\na: mov r4, r3\nand r4, 7\nmov r5, r1\nadd r5, r4\nldxdw r6, [r5]\nadd r0, r6\n\
                add r3, 1\njlt r3, 100000, a\nexit";
    let verified = verify(text).unwrap();
    assert_eq!((verified.access(6).lo, verified.access(6).hi), (0, 7));
    run(&verified, [5, 6]);
    let rejection = verify(&text.replace("and r4, 7", "and r4, 15")).unwrap_err();
    assert_eq!((rejection.pc, rejection.code()), (Some(6), "out-of-bounds"));
    // An address that counts.
    let text = "mov r0, 0\nmov r3, r1\nadd r3, 16\na: ldxb r4, [r1]\nadd r0, r4\nadd r1, 1\njlt r1, r3, a\nexit";
    assert_eq!(loops(&verify(text).unwrap()), [(3, 15, "explored".to_owned())]);
    assert_eq!(code(&text.replace("add r3, 16", "add r3, 17")).1, "out-of-bounds");
}

#[test]
fn loops_entered_in_the_middle() {
    let text = "ldxb r3, [r1]\nmov r0, 0\njeq r3, 0, b\na: add r0, 1\nb: add r0, 2\njlt r0, LIMIT, a\nexit";
    let verified = verify(&text.replace("LIMIT", "100")).unwrap();
    let (_, fuel) = run(&verified, [0; 2]).max(run(&verified, [1, 0]));
    // The two ways meet, so it is not exact.
    assert!((fuel..=fuel + 3).contains(&verified.report().worst_fuel));
    assert_eq!(code(&text.replace("LIMIT", "10000000")), (Some(4), "irreducible-loop"));
}

/// What holds in the first iterations may not hold later.
#[test]
fn later_iterations_count() {
    // r4 is written in the second iteration only; r5 becomes an address in some.
    let text = "mov r0, 0\na: add r0, 1\njlt r0, 50000, b\nmov r0, r4\nb: jlt r0, 100000, a\nexit";
    assert_eq!(code(text), (Some(3), "unusable-register"));
    let text =
        "mov r0, 0\nmov r5, 0\na: add r0, 1\njlt r0, 50000, b\nmov r5, r1\nb: jlt r0, 100000, a\nadd r5, 1\nexit";
    assert_eq!(code(text), (Some(6), "unusable-register"));
    // The stack byte is written in the first iteration only if it is not.
    let text = "mov r0, 0\na: jne r0, 70000, b\nldxb r3, [r10-1]\nb: add r0, 1\njlt r0, 100000, a\nexit";
    assert_eq!(code(text), (Some(2), "uninitialised-stack"));
}

#[test]
fn steps_before_a_loop_is_looked_at_as_a_whole_at_their_limit() {
    // An instruction, a branch and an arrival each time.
    let text = "mov r0, 0\na: add r0, 1\njlt r0, 100, a\nexit";
    let proof = |loop_steps_max| {
        let verified = within(text, Limits { loop_steps_max, ..Limits::default() }).unwrap();
        (loops(&verified)[0].2.clone(), verified.report().worst_fuel)
    };
    // Ninety-nine times back, of which the last needs no counter.
    let limit = 98 * 3;
    for (loop_steps_max, by) in [(1, "r0"), (limit - 1, "r0"), (limit, "explored"), (limit + 1, "explored")] {
        assert_eq!(proof(loop_steps_max), (by.to_owned(), 202), "{loop_steps_max}");
    }
}

#[test]
fn calls_are_followed_with_the_state_of_each() {
    // The same function, with different arguments: the result is as exact as each call.
    let text = "mov r6, r1\nmov r1, 3\ncall local f\nmov r7, r0\nmov r1, 12\ncall local f\nadd r0, r7\n\
                add r6, r0\nldxb r0, [r6-15]\nexit\nf: mov r0, r1\nadd r0, 7\nadd r0, -7\nexit";
    let verified = verify(text).unwrap();
    assert_eq!((verified.access(8).lo, verified.access(8).hi), (0, 0));
    let (_, fuel) = run(&verified, [0; 2]);
    assert_eq!((verified.report().worst_fuel, verified.report().call_depth), (fuel, 1));
}

#[test]
fn registers_across_calls() {
    let f = "\nf: mov r0, r6\nexit";
    let call = |before: &str, after: &str, f: &str| format!("{before}call local f\n{after}exit\nf: {f}\nexit");
    assert_eq!(code(&format!("mov r6, 1\ncall local f\nexit{f}")), (Some(3), "unusable-register"));
    // r6 to r9 come back, whatever the function does; r1 to r5 do not.
    let text = call("mov r6, 5\n", "mov r0, r6\n", "mov r6, 9\nmov r0, 0");
    assert_eq!(run(&verify(&text).unwrap(), [0; 2]).0, 5);
    assert_eq!(code(&call("", "mov r0, r2\n", "mov r0, 0")), (Some(1), "unusable-register"));
    // A function may return nothing, as long as nobody looks.
    assert!(verify(&call("", "mov r0, 1\n", "mov r6, 0")).is_ok());
    assert_eq!(code(&call("", "", "mov r6, 0")), (Some(1), "unusable-register"));
    // It may return an address, but not one in its own frame.
    let text = call("", "stb [r0], 7\nldxb r0, [r0]\n", "mov r0, r1\nadd r0, 3");
    assert_eq!(run(&verify(&text).unwrap(), [0; 2]).0, 7);
    let text = call("mov r1, r10\n", "stb [r0-1], 7\nldxb r0, [r10-1]\n", "mov r0, r1");
    assert_eq!(run(&verify(&text).unwrap(), [0; 2]).0, 7);
    assert_eq!(code(&call("", "mov r0, 0\n", "mov r0, r10")), (Some(4), "frame-returned"));
    // r10 is back.
    let text = call("stb [r10-1], 4\n", "ldxb r0, [r10-1]\n", "stb [r10-1], 9");
    assert_eq!(run(&verify(&text).unwrap(), [0; 2]).0, 4);
}

#[test]
fn frames_across_calls() {
    let call = |before: &str, after: &str, f: &str| format!("{before}call local f\n{after}exit\nf: {f}\nexit");
    // Out-parameters.
    let text = call("mov r1, r10\nadd r1, -8\n", "ldxdw r0, [r10-8]\n", "stdw [r1], 77");
    assert_eq!(run(&verify(&text).unwrap(), [0; 2]).0, 77);
    assert_eq!(
        code(&call("mov r1, r10\nadd r1, -8\n", "ldxdw r0, [r10-8]\n", "stw [r1], 77")).1,
        "uninitialised-stack"
    );
    // What it saved for the caller is as it was saved; an address in its own frame is gone.
    let text = call("mov r2, r10\n", "ldxdw r3, [r10-8]\nldxb r0, [r3+2]\n", "stxdw [r2-8], r1");
    assert!(verify(&text).is_ok());
    let text = call("mov r2, r10\n", "ldxdw r3, [r10-8]\nmov r0, 0\n", "stxdw [r2-8], r10");
    assert!(["uninitialised-stack", "unreadable"].contains(&code(&text).1));
    // The frame of a call begins with nothing in it, also the second time, and is not the caller's.
    let text = "call local f\ncall local f\nmov r0, 0\nexit\nf: ldxb r0, [r10-1]\nstb [r10-1], 1\nexit";
    assert_eq!(code(text), (Some(4), "uninitialised-stack"));
    assert_eq!(code(&call("stb [r10-1], 1\n", "", "ldxb r0, [r10-1]")), (Some(3), "uninitialised-stack"));
    for offset in [-513, 0, -520] {
        let text = call("stb [r10-1], 1\nmov r1, r10\n", "mov r0, 0\n", &format!("stb [r10{offset:+}], 1"));
        assert_eq!(code(&text), (Some(5), "out-of-bounds"));
    }
}

/// Each frame counts as far down as it is used, and only on ways that calls can take.
#[test]
fn stack_of_frames() {
    let stack = |text: &str| verify(text).unwrap().report().stack_bytes;
    let text = "stb [r10-100], 1\ncall local f\ncall local g\nexit\n\
                f: stb [r10-10], 1\ncall local h\nexit\ng: stb [r10-200], 1\nmov r0, 0\nexit\n\
                h: stb [r10-20], 1\nmov r0, 0\nexit";
    assert_eq!(stack(text), 300);
    assert_eq!(stack(&text.replace("r10-20]", "r10-500]")), 610);
    // What a function does to the caller's frame is the caller's.
    let text = "mov r1, r10\ncall local f\nmov r1, r10\ncall local f\nexit\nf: stb [r1-40], 1\nmov r0, 0\nexit";
    assert_eq!(stack(text), 40);
}

/// Calls in the same state are followed once, and count as if they were not.
#[test]
fn calls_in_the_same_state_are_followed_once() {
    let text =
        format!("{}exit\nf: mov r0, 0\na: add r0, 1\njlt r0, 100, a\nexit", "mov r1, 5\ncall local f\n".repeat(5));
    let seen = |reuse_calls| {
        let mut seen = 0;
        let limits = Limits { reuse_calls, ..Limits::default() };
        let verified = verify_observed(load(&text), limits, &mut |pc, _| seen += u32::from(pc == 12)).unwrap();
        (seen, verified.report().worst_fuel, verified.report().steps)
    };
    let ((once, fuel, steps), (each, same_fuel, same_steps)) = (seen(true), seen(false));
    // The second call finds other registers unusable than the first; those after it are like it.
    assert_eq!((once, each, fuel, steps), (200, 500, same_fuel, same_steps));
    // Also the budget is used as if it had been followed.
    for reuse_calls in [false, true] {
        for (steps_max, good) in [(steps - 1, false), (steps, true)] {
            assert_eq!(within(&text, Limits { reuse_calls, steps_max, ..Limits::default() }).is_ok(), good);
        }
    }
}

/// What a call did to the frames of its callers counts also when it is not followed again.
#[test]
fn calls_that_are_used_again_did_what_they_did() {
    // A counter on the stack that the function resets, in a loop that is looked at as a whole.
    let text = "stdw [r10-8], 0\na: mov r1, r10\ncall local f\nmov r1, r10\ncall local f\nldxdw r0, [r10-8]\n\
                add r0, 1\nstxdw [r10-8], r0\njlt r0, 9999999, a\nexit\nf: BODY\nmov r0, 0\nexit";
    assert!(verify(&text.replace("BODY", "mov r2, r1")).is_ok());
    assert!(verify(&text.replace("BODY", "stdw [r1-16], 0")).is_err());
    assert_eq!(code(&text.replace("BODY", "stdw [r1-8], 0")).1, "unbounded-loop");
    // What is not followed again is a call within the call: the functions around it did the same.
    let text = "stdw [r10-8], 0\na: ldxdw r6, [r10-8]\nadd r6, 1\nstxdw [r10-8], r6\nmov r1, r10\nmov r2, 1\n\
                call local g\nstxdw [r10-8], r6\nmov r1, r10\nmov r2, 2\ncall local g\nldxdw r0, [r10-8]\n\
                jlt r0, 9999999, a\nexit\n\
                g: mov r0, 0\nmov r2, 0\nmov r3, 0\nmov r4, 0\nmov r5, 0\ncall local f\nexit\nf: BODY\nmov r0, 0\nexit";
    assert!(verify(&text.replace("BODY", "ldxdw r2, [r1-8]")).is_ok());
    assert_eq!(code(&text.replace("BODY", "stdw [r1-8], 0")).1, "unbounded-loop");
    // And used as much of the stack: here of the second one's, below which lies a deep one.
    let call = "mov r0, 0\nmov r1, r10\nmov r2, 0\nmov r3, 0\nmov r4, 0\nmov r5, 0\ncall local";
    let text = format!(
        "call local g\ncall local h\nexit\ng: {call} f\nexit\nh: {call} f\ncall local k\nexit\n\
         f: stb [r1-40], 1\nmov r0, 0\nexit\nk: stb [r10-100], 1\nmov r0, 0\nexit"
    );
    assert_eq!(verify(&text).unwrap().report().stack_bytes, 140);
}

/// The same one call deeper: it is the frame of the function with the loop that counts.
#[test]
fn a_loop_in_a_function_loses_a_counter_that_a_call_resets() {
    let text = "call local f\nexit\nf: stdw [r10-8], 0\na: mov r1, r10\ncall local g\nldxdw r0, [r10-8]\nadd r0, 1\n\
                stxdw [r10-8], r0\njlt r0, 9999999, a\nexit\ng: BODY\nmov r0, 0\nexit";
    assert!(verify(&text.replace("BODY", "mov r2, r1")).is_ok());
    assert_eq!(code(&text.replace("BODY", "stdw [r1-8], 0")).1, "unbounded-loop");
}

#[test]
fn loops_and_calls_together() {
    // A loop that calls, and a function that loops.
    let text = "mov r6, 0\nmov r7, 0\na: mov r1, r6\ncall local f\nadd r7, r0\nadd r6, 1\njlt r6, LIMIT, a\n\
                mov r0, r7\nexit\nf: mov r0, 0\nb: jge r0, r1, c\nadd r0, 1\nja b\nc: exit";
    let verified = verify(&text.replace("LIMIT", "20")).unwrap();
    assert_eq!(run(&verified, [0; 2]), (190, verified.report().worst_fuel));
    let verified = verify(&text.replace("LIMIT", "2000")).unwrap();
    let (r0, fuel) = run(&verified, [0; 2]);
    assert_eq!(r0, 1999 * 1000);
    assert!(fuel <= verified.report().worst_fuel && verified.report().worst_fuel <= 4 * fuel);
}

#[test]
fn a_rejection_in_a_call_or_loop_shows_the_way() {
    let text = "mov r3, 0\na: add r3, 1\njlt r3, 5, a\ncall local f\nexit\nf: mov r0, r9\nexit";
    let rejection = verify(text).unwrap_err();
    let way: Vec<_> = rejection.path.iter().map(ToString::to_string).collect();
    assert_eq!(way, ["2 taken (x4)", "2 not taken", "3 called"]);
}

#[test]
fn one_instruction_accesses_one_region() {
    let f = "\nf: ldxb r0, [r1]\nexit";
    let one = format!("mov r6, r1\ncall local f\nadd r6, 5\nmov r1, r6\ncall local f\nexit{f}");
    let verified = verify(&one).unwrap();
    assert_eq!((verified.access(6).lo, verified.access(6).hi), (0, 5));
    let two = format!("call local f\nstb [r10-1], 0\nmov r1, r10\nadd r1, -1\ncall local f\nexit{f}");
    assert_eq!(code(&two), (Some(6), "regions-differ"));
}

/// A call that is not followed again holds the bytes that it held, at a time when more is held already.
#[test]
fn calls_that_are_used_again_hold_what_they_held() {
    // In the function many states wait at a time; before its second call some wait in the caller.
    let wait = |name: &str, count: usize| -> (String, String) {
        let ways = (0..count).map(|way| format!("jeq r0, {way}, {name}{way}\n")).collect();
        (ways, (0..count).map(|way| format!("{name}{way}: mov r2, 1\n")).collect())
    };
    let ((here, there), (inside, after)) = (wait("h", 50), wait("i", 40));
    let call = "mov r2, 0\nmov r3, 0\nmov r4, 0\nmov r5, 0\nmov r1, 0\ncall local f\n";
    let text = format!(
        "mov r6, r1\n{call}ldxdw r0, [r6]\nmov r1, 0\n{here}{call}ldxdw r0, [r6]\n{there}mov r0, 0\nexit\n\
         f: ldxdw r0, [r10-8]\n{inside}{after}mov r0, 0\nexit"
    )
    .replace("f: ldxdw r0, [r10-8]", "f: call 5\nmov r2, 1");
    let bytes = |reuse_calls| within(&text, Limits { reuse_calls, ..Limits::default() }).unwrap().report().bytes;
    let needed = usize::try_from(bytes(false)).unwrap();
    for reuse_calls in [false, true] {
        for (bytes_max, good) in [(needed - 1, false), (needed, true), (needed + 1, true)] {
            let verdict = within(&text, Limits { reuse_calls, bytes_max, ..Limits::default() });
            assert_eq!(verdict.is_ok(), good, "{bytes_max} {reuse_calls}");
        }
    }
    // What does not fit is followed to where it goes too far, so the words are the same as well.
    for limits in [
        Limits { bytes_max: needed - 1, ..Limits::default() },
        Limits { steps_max: within(&text, Limits::default()).unwrap().report().steps - 150, ..Limits::default() },
    ] {
        let words = |reuse_calls| within(&text, Limits { reuse_calls, ..limits }).unwrap_err().to_string();
        assert_eq!(words(true), words(false));
    }
}

/// What leaves a loop at several places and meets behind it is all of that, also what only late iterations do.
#[test]
fn ways_out_of_a_long_loop_meet() {
    let text = "ldxdw r3, [r1]\nmov r0, 0\na: mov r4, 1\njeq r0, r3, out\njlt r0, 50000, b\nmov r4, LAST\n\
                jset r3, 1, out\nb: add r0, 1\njlt r0, 100000, a\nmov r4, 1\nout: add r1, r4\nldxb r0, [r1]\nexit";
    let verified = verify(&text.replace("LAST", "15")).unwrap();
    assert_eq!(loops(&verified)[0].2, "r0");
    assert_eq!((verified.access(11).lo, verified.access(11).hi), (1, 15));
    assert_eq!(code(&text.replace("LAST", "16")), (Some(11), "out-of-bounds"));
}

/// Fourteen times back, which nothing counts: a loop that can only be followed, and is after each try to look at it as a
/// whole has failed. Of r8 such a try knows no bound.
const FOLLOWED: &str = "mov r6, 0x4000\nmov r8, 0\na: BODYadd r8, 1\nrsh r6, 1\njne r6, 0, a\n";

fn tried(text: &str) -> Result<Verified, Box<Rejection>> {
    within(text, Limits { loop_steps_max: 20, ..Limits::default() })
}

/// A failed try takes nothing with it that waits outside of the loop.
#[test]
fn what_waits_elsewhere_is_looked_at_after_a_try_that_failed() {
    // One way goes around the loop to right behind it, one to a place of its own; neither has written r4.
    let text = format!(
        "ldxdw r3, [r1]\nmov r0, 0\njeq r3, 1, out\njeq r3, 2, away\nmov r4, 0\n{}out: OUT\nexit\naway: AWAY\nexit",
        FOLLOWED.replace("BODY", "")
    );
    let with = |out, away| tried(&text.replace("OUT", out).replace("AWAY", away));
    let explored = loops(&with("mov r0, 1", "mov r0, 2").unwrap());
    assert_eq!((explored[0].1, explored[0].2.as_str()), (14, "explored"));
    for (out, away) in [("mov r0, r4", "mov r0, 2"), ("mov r0, 1", "mov r0, r4")] {
        assert_eq!(with(out, away).unwrap_err().code(), "unusable-register", "{out} {away}");
    }
}

/// Nor does it leave behind what it guessed: in the loop, in functions that it called, wherever these lie.
#[test]
fn nothing_is_left_of_a_try_that_failed() {
    // Of both ways one is refused while the number is guessed, and the other waits.
    let ways =
        "jset r2, 1, x\nmov r3, r1\nadd r3, r2\nldxb r0, [r3]\nja y\nx: mov r3, r1\nadd r3, r2\nldxb r0, [r3]\ny: ";
    let calls = FOLLOWED.replace("BODY", "mov r1, r7\nmov r2, r8\ncall local f\n");
    let inline = FOLLOWED.replace("BODY", &format!("mov r2, r8\n{ways}"));
    for text in [
        format!("{inline}mov r0, 0\nexit"),
        format!("mov r7, r1\n{calls}mov r0, 0\nexit\nf: {ways}exit"),
        // The function that loops lies behind the one that it calls.
        format!("call local g\nexit\nf: {ways}exit\ng: mov r7, r1\n{calls}mov r0, 0\nexit"),
    ] {
        let verified = tried(&text).unwrap_or_else(|rejection| panic!("{rejection}\n{text}"));
        assert_eq!((loops(&verified)[0].1, loops(&verified)[0].2.as_str()), (14, "explored"), "{text}");
        let followed = within(&text, Limits { loop_steps_max: 1_000_000, ..Limits::default() }).unwrap();
        assert_eq!(verified.accesses(), followed.accesses(), "{text}");
    }
}

/// Bytes that a loop holds are given back, and no others.
#[test]
fn bytes_after_loops_are_as_before() {
    let wait = |name: &str, count: usize| -> (String, String) {
        let ways = (0..count).map(|way| format!("jeq r0, {way}, {name}{way}\n")).collect();
        (ways, (0..count).map(|way| format!("{name}{way}: mov r2, 1\n")).collect())
    };
    // What waits before the loops waits on while they are looked at; afterwards more does than they ever held.
    let ((before, there), (after, there_too)) = (wait("h", 60), wait("i", 200));
    // A loop with ways out, one within it.
    let one = |name: usize| {
        format!(
            "mov r6, 0\na{name}: mov r7, 0\nb{name}: add r7, 1\njeq r7, r0, c{name}\njlt r7, 3000, b{name}\n\
             add r6, 1\njeq r6, r0, c{name}\njlt r6, 3000, a{name}\nc{name}: mov r6, 0\nmov r7, 0\n"
        )
    };
    let bytes = |loops: usize| {
        let loops: String = (0..loops).map(one).collect();
        let text =
            format!("mov r6, 0\nmov r7, 0\nldxdw r0, [r1]\n{before}{loops}{after}{there}{there_too}mov r0, 0\nexit");
        let limits = Limits { loop_steps_max: 100, ..Limits::default() };
        let verified = within(&text, limits).unwrap_or_else(|rejection| panic!("{rejection}\n{text}"));
        verified.report().bytes
    };
    assert_eq!((bytes(1), bytes(5)), (bytes(0), bytes(0)));
}

#[test]
fn bytes_at_their_limit_with_loops_and_calls() {
    let text = "mov r6, 0\na: mov r1, r6\ncall local f\nadd r6, 1\njlt r6, 100, a\nexit\nf: mov r0, r1\nexit";
    let bytes = |reuse_calls| within(text, Limits { reuse_calls, ..Limits::default() }).unwrap().report().bytes;
    assert!(bytes(true) > bytes(false));
    let least = usize::try_from(bytes(false)).unwrap();
    for reuse_calls in [false, true] {
        for (bytes_max, good) in [(least - 1, false), (least, true), (least + 1, true)] {
            let verdict = within(text, Limits { reuse_calls, bytes_max, ..Limits::default() });
            assert_eq!(verdict.is_ok(), good);
            // What calls gave is let go before it is too much.
            assert!(verdict.is_err() || verdict.is_ok_and(|it| it.report().bytes <= bytes_max as u64));
        }
    }
}

/// A loop around one that hands what all slots hold from slot to slot, one further each time that it is repeated: so
/// many passes it takes to see that none keeps it.
#[test]
fn a_loop_is_not_counted_when_its_deltas_take_too_many_passes() {
    let text = |slots: usize| {
        let mut text = "mov r6, 0\na: ".to_owned();
        for slot in 1..=slots {
            text.push_str(&format!("stxdw [r10-{}], r6\n", slot * 8));
        }
        text.push_str("mov r7, 0\nb: ");
        for slot in 1..slots {
            text.push_str(&format!("ldxdw r0, [r10-{}]\nstxdw [r10-{}], r0\n", slot * 8 + 8, slot * 8));
        }
        text.push_str(&format!("ldxdw r0, [r1]\nstxdw [r10-{}], r0\n", slots * 8));
        text + "add r7, 1\njlt r7, 3000, b\nadd r6, 1\njlt r6, 3000, a\nmov r0, 0\nexit"
    };
    let limits = Limits { loop_steps_max: 2000, ..Limits::default() };
    // One pass for each slot, and one in which nothing changes.
    let most = PASSES_MAX as usize - 1;
    for (slots, good) in [(most - 1, true), (most, true), (most + 1, false)] {
        match within(&text(slots), limits) {
            Ok(verified) => {
                let by_r6 = loops(&verified).iter().any(|(head, _, by)| *head == 1 && by == "r6");
                assert!(good && by_r6, "{slots}");
            }
            Err(rejection) => assert_eq!((good, rejection.code()), (false, "unbounded-loop"), "{slots}"),
        }
    }
}
