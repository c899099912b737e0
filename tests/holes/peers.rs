//! What broke PREVAIL, uBPF, rbpf, sBPF and those who embed them, row by row of `README.md`.

use std::path::{Path, PathBuf};

use trapline_vm::helper::RAW_HELPERS;
use trapline_vm::interp::{Code, Outcome};
use trapline_vm::isa::{Instruction, Kind, Role, TABLE, Width, assemble};
use trapline_vm::memory::{GuestAddr, Memory, Region};
use trapline_vm::program::{FUEL_LIMIT_DEFAULT, Loaded};
use trapline_vm::trap::{Stop, Trap};
use trapline_vm::verifier::{Limits, STEPS_MAX, load_and_verify, verify_observed};

use super::support::{CORNERS, harmless, memory, of_code, prove, raw, refused, result, run};

/// A look-up in map 2 with the key at r10-4; its result in r0.
const LOOK_UP: &str = "lddw_map_index r1, 2\nmov r2, r10\nadd r2, -4\ncall 1\n";

/// Two look-ups, the second one unchecked: what was learned of the first result says nothing of the second.
#[test]
fn prevail_1149_each_call_makes_a_new_result() {
    let code = format!(
        "stw [r10-4], 1\n{LOOK_UP}jeq r0, 0, out\nldxdw r6, [r0]\n{LOOK_UP}ldxdw r7, [r0]\nmov r0, r7\nexit\n\
         out: mov r0, 0\nexit"
    );
    refused(&code, 0, "may-be-null");
    // Nor does a copy of the first result, or the first result kept over the call and compared afterwards.
    let kept = format!(
        "stw [r10-4], 1\n{LOOK_UP}mov r6, r0\n{LOOK_UP}jeq r6, 0, out\nldxdw r0, [r0]\nexit\nout: mov r0, 0\nexit"
    );
    refused(&kept, 0, "may-be-null");
    let checked = format!(
        "stw [r10-4], 1\n{LOOK_UP}jeq r0, 0, out\nldxdw r6, [r0]\n{LOOK_UP}jeq r0, 0, out\nldxdw r7, [r0]\nmov r0, r7\n\
         exit\nout: mov r0, 0\nexit"
    );
    prove(&checked, 0).unwrap_or_else(|rejection| panic!("{rejection}"));
    // A number kept in a register that calls leave undefined is gone.
    for register in 1..=5 {
        refused(&format!("mov r1, 1\nmov r{register}, 3\ncall 5\nmov r0, r{register}\nexit"), 0, "unusable-register");
    }
}

/// A loop without a bound that reads past the end is refused, whatever else is right about it.
#[test]
fn prevail_889_an_unbounded_loop_past_the_bounds() {
    for (code, len) in [
        ("again: ldxb r0, [r1]\nadd r1, 1\nja again", 8),
        ("mov r3, 0\nagain: mov r4, r1\nadd r4, r3\nldxb r0, [r4]\nadd r3, 1\njne r0, 0, again\nexit", 8),
        ("mov r3, 0\nagain: mov r4, r1\nadd r4, r3\nldxb r0, [r4]\nadd r3, 1\njlt r3, 9, again\nexit", 8),
        ("ldxdw r5, [r1]\nmov r3, 0\nagain: add r3, 1\njne r3, r5, again\nmov r0, 0\nexit", 8),
        ("mov r3, 0\nagain: add r3, 0\njlt r3, 9, again\nmov r0, 0\nexit", 8),
        ("mov r0, 0\nja -1", 0),
    ] {
        assert!(prove(code, len).is_err(), "{code}");
        harmless(code, len);
    }
}

/// 57 bytes are no program; whatever the bytes, the verifier ends within its steps, and says so when that is why.
#[test]
fn ubpf_762_the_verifier_has_a_budget_of_its_own() {
    assert_eq!(Instruction::from_section(&[0x95; 57]), None);
    // Branches that double the paths: joined where they meet, they cost as many steps as there are instructions.
    let mut wide = String::from("ldxdw r3, [r1]\nmov r0, 0\n");
    for bit in 0..2_000 {
        wide.push_str(&format!("jset r3, {}, l{bit}\nadd r0, {bit}\nl{bit}: ", 1u64 << (bit % 31)));
    }
    wide.push_str("mov r0, 0\nexit");
    let verified = prove(&wide, 8).unwrap_or_else(|rejection| panic!("{rejection}"));
    assert!(verified.report().steps < 20_000, "{} steps", verified.report().steps);
    // Below what it takes: refused, and by that name.
    let loaded = Loaded::new(raw(&wide, 8), &RAW_HELPERS).unwrap();
    let needed = verified.report().steps;
    for (steps_max, good) in [(needed - 1, false), (needed, true), (needed + 1, true), (0, false)] {
        let limits = Limits { steps_max, ..Limits::default() };
        let verdict = verify_observed(loaded.clone(), limits, &mut |_, _| {});
        assert_eq!(verdict.is_ok(), good, "{steps_max} of {needed}");
        assert!(verdict.is_ok_and(|_| true) || !good);
    }
    let limits = Limits { steps_max: needed - 1, ..Limits::default() };
    let mut steps = 0;
    let rejection = verify_observed(loaded, limits, &mut |_, _| steps += 1).map(drop).unwrap_err();
    assert_eq!(rejection.code(), "budget");
    assert!(steps <= needed, "{steps} steps were seen");
    // Loops in loops in loops that all go round for long.
    let mut nest = String::from("mov r0, 0\n");
    for level in 0..6 {
        nest.push_str(&format!("mov r{}, 0\nl{level}: ", level + 3));
    }
    for level in (0..6).rev() {
        nest.push_str(&format!("add r{r}, 1\njlt r{r}, 100000, l{level}\n", r = level + 3));
    }
    nest.push_str("exit");
    let loaded = Loaded::new(raw(&nest, 0), &RAW_HELPERS).unwrap();
    let mut steps = 0;
    if let Ok(verified) = verify_observed(loaded, Limits::default(), &mut |_, _| steps += 1) {
        assert!(verified.report().can_run_out(), "its worst case is beyond any limit");
    }
    assert!(steps <= STEPS_MAX, "{steps}");
}

/// Numbers beyond what other types hold, and a function of several exits.
#[test]
fn prevail_conversions_and_several_exits_of_a_function() {
    for value in CORNERS {
        for op in ["add", "sub"] {
            let code = format!("lddw r3, {value:#x}\n{op} r1, r3\nldxb r0, [r1]\nexit");
            let inside = value < 8 && op == "add" || value.wrapping_neg() < 8 && op == "sub";
            assert_eq!(prove(&code, 8).is_ok(), inside, "{code}");
            harmless(&code, 8);
        }
    }
    // Both exits give their number; the caller sees one of the two.
    let code = "ldxb r1, [r1]\ncall local f\nmov r1, r10\nadd r1, -16\nadd r1, r0\nstb [r1], 1\nmov r0, 0\nexit\n\
                f: jgt r1, 7, other\nmov r0, 3\nexit\nother: mov r0, EXIT\nexit";
    for (number, bad) in [(15, false), (-496, false), (16, true), (-497, true)] {
        let code = code.replace("EXIT", &number.to_string());
        let verdict = prove(&code, 8);
        assert_eq!(verdict.is_err(), bad, "{code}");
        if let Ok(verified) = verdict {
            assert_eq!(result(&verified, &[9; 8]), 0);
        }
        harmless(&code, 8);
    }
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// A verifier that is shipped is the one that was tested: there is one, in the same crate as the machine, and no way to
/// a proved program but through it.
#[test]
fn jbpf_97_one_verifier_of_one_version() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for manifest in ["vm/machine/Cargo.toml", "vm/engine/Cargo.toml", "host/Cargo.toml", "programs/Cargo.toml"] {
        let text = std::fs::read_to_string(root.join(manifest)).unwrap();
        assert!(text.contains("version.workspace = true"), "{manifest} has a version of its own");
    }
    let mut files = Vec::new();
    for folder in ["vm", "programs/src", "host/src"] {
        sources(&root.join(folder), &mut files);
    }
    let makers: Vec<_> = files
        .iter()
        .filter(|path| {
            let text = std::fs::read_to_string(path).unwrap();
            text.lines().any(|line| {
                let code = line.split("//").next().unwrap_or_default();
                code.contains("Verified {")
                    && !code.contains("struct ")
                    && !code.contains("impl ")
                    && !code.contains("->")
            })
        })
        .collect();
    assert!(makers.iter().all(|path| path.starts_with(root.join("vm/machine/src/verifier"))), "{makers:?}");
    assert!(!makers.is_empty(), "the search finds nothing: it is out of step");
}

/// There is no mode that only warns: limits bound the verifier's work, and none of them lets a program through.
#[test]
fn bpftime_329_no_mode_that_only_warns() {
    let loaded = Loaded::new(raw("mov r0, r7\nexit", 0), &RAW_HELPERS).unwrap();
    for steps_max in [0, 1, 2, 3, 1000, u64::MAX] {
        for bytes_max in [0, 1, 1 << 20, usize::MAX] {
            let limits = Limits { steps_max, bytes_max, ..Limits::default() };
            assert!(verify_observed(loaded.clone(), limits, &mut |_, _| {}).is_err(), "{steps_max}, {bytes_max}");
        }
    }
}

/// The bounds check at the ends of the regions and of the numbers: no sum in it wraps.
#[test]
fn ubpf_720_the_bounds_check_does_not_wrap() {
    let mut memory = memory(64, 0x33);
    let lens = Region::ALL.map(|region| (u128::from(region.base()), u128::from(memory.len(region))));
    for size in [1u32, 2, 4, 8] {
        for region in Region::ALL {
            let base = u64::from(region.base());
            let len = u64::from(memory.len(region));
            for near in [base, base + len, 0, u64::MAX, 1 << 31, 1 << 32, 1 << 63, u64::from(u32::MAX)] {
                for delta in -9i64..=9 {
                    let addr = near.wrapping_add_signed(delta);
                    let first = u128::from(addr);
                    let inside =
                        lens.iter().any(|(base, len)| first >= *base && first + u128::from(size) <= base + len);
                    let checked = memory.check(GuestAddr(addr), size, false);
                    assert_eq!(checked.is_ok(), inside, "{size} bytes at {addr:#x}");
                    assert!(checked.is_err() || checked == Ok(addr as usize));
                }
            }
        }
    }
    refused("lddw r3, 0x7fffffffffffffff\nadd r1, r3\nadd r1, r3\nldxb r0, [r1+10]\nexit", 8, "pointer-offset");
}

/// A test that matches nothing tests nothing: every folder and file of cases has some, and every corpus test says so
/// when it finds none.
#[test]
fn ubpf_718_no_suite_runs_nothing() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (folder, extension, least) in
        [("tests/conformance", "data", 40), ("tests/verifier", "txt", 6), ("programs/stock", "trap", 30)]
    {
        let mut found = 0;
        let mut folders = vec![root.join(folder)];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    found += usize::from(path.extension().is_some_and(|found| found == extension));
                }
            }
        }
        assert!(found >= least, "{folder} has {found} cases");
    }
    for (file, words) in [
        ("tests/conformance/cases.rs", "has no cases"),
        ("tests/verifier.rs", "cases were found"),
        ("tests/corpora.rs", "events_min"),
        (".ci/run", "TESTS_MIN"),
    ] {
        let text = std::fs::read_to_string(root.join(file)).unwrap();
        assert!(text.contains(words), "{file} no longer fails when it finds nothing");
    }
}

/// One region for each access, provenance for each register: where paths bring different regions, the access is
/// refused, and what is computed from two addresses is none.
#[test]
fn ubpf_793_one_region_for_each_access() {
    refused(
        "stdw [r10-8], 1\nldxb r3, [r1]\nmov r4, r1\njeq r3, 0, on\nmov r4, r10\nadd r4, -8\non: ldxb r0, [r4]\nexit",
        8,
        "unusable-register",
    );
    refused("stdw [r10-8], 1\nadd r1, r10\nldxb r0, [r1]\nexit", 8, "pointer-arithmetic");
    refused("mov r3, r10\nsub r3, r1\nmov r0, r3\nexit", 8, "pointer-arithmetic");
    refused("stdw [r10-8], 1\nxor r1, 8\nldxb r0, [r1]\nexit", 8, "pointer-arithmetic");
}

/// Fuel is the same in every executor: of the interpreter with and without proof, to the last unit.
#[test]
fn ubpf_audit_fuel_is_the_same_in_every_executor() {
    for text in [
        "mov r0, 0\nexit",
        "ldxb r3, [r1]\nmov r0, 0\njeq r3, 0, on\nadd r0, 1\nadd r0, 1\non: add r0, 1\nexit",
        "lddw r0, 1\nmov r1, 2\ncall 5\nja on\non: exit",
    ] {
        let verified = prove(text, 8).unwrap_or_else(|rejection| panic!("{rejection}"));
        let predicted = Code::predicted(verified.loaded(), |pc| Some(verified.access(pc))).unwrap();
        let checked = Code::checked(verified.loaded());
        for fill in [0, 1] {
            for fuel in 0..=verified.report().worst_fuel + 1 {
                let run = |code: &dyn Fn(&mut Memory) -> Outcome| code(&mut Memory::for_raw(&[fill; 8]).unwrap());
                let outcome = run(&|memory| checked.run(memory, fuel));
                assert_eq!(run(&|memory| predicted.run(memory, fuel)), outcome, "{text}, {fuel}");
                assert!(outcome.fuel_used <= fuel);
            }
        }
    }
}

/// Every instruction of the table runs, on corners, to a result or a trap; 32-bit results have zeros above; a constant
/// of zero is a constant; targets at the ends of their range are refused.
#[test]
fn rbpf_every_instruction_runs_and_narrow_results_are_narrow() {
    let mut ran = 0;
    for row in TABLE.iter().filter(|row| row.refusal().is_none()) {
        for imm in [0, 1, -1, i32::MIN, i32::MAX] {
            for (a, b) in [(0, 0), (u64::MAX, 0), (u64::MAX, u64::MAX), (1 << 63, u64::MAX), (5, 3)] {
                let fixed = |role: Role, other: i32| if let Role::Fixed(value) = role { value } else { other };
                let target = |role: Role, other: i32| if role == Role::Target { 0 } else { fixed(role, other) };
                let mut code = assemble(&format!("lddw r0, {a:#x}\nlddw r3, {b:#x}")).unwrap().code;
                code.push(Instruction {
                    opcode: row.opcode,
                    dst: fixed(row.dst, 0) as u8,
                    src: fixed(row.src, 3) as u8,
                    offset: target(row.offset, 0) as i16,
                    imm: if row.kind == Kind::CallHelper { 5 } else { target(row.imm, imm) },
                });
                if row.slots() == 2 {
                    code.push(Instruction { imm, ..Instruction::default() });
                }
                code.extend(assemble("exit").unwrap().code);
                let Ok(loaded) = Loaded::new(of_code(code, 0), &RAW_HELPERS) else { continue };
                let end = run(row.mnemonic, &loaded, 0, 0x44);
                if let (Kind::Alu(_, Width::W32, _), Ok(r0)) = (row.kind, end) {
                    assert!(r0 <= u64::from(u32::MAX), "{} {a:#x} {b:#x} {imm}: {r0:#x}", row.mnemonic);
                }
                ran += 1;
            }
        }
    }
    assert!(ran > 3_000, "{ran}");
    for (op, want) in [("div", 0), ("mod", 7), ("sdiv", 0), ("smod", 7), ("div32", 0), ("mod32", 7)] {
        assert_eq!(result(&prove(&format!("mov r0, 7\n{op} r0, 0\nexit"), 0).unwrap(), &[]), want, "{op}");
    }
    for imm in [i32::MIN, i32::MIN + 1, -2, 1, 2, i32::MAX - 1, i32::MAX] {
        for (opcode, src) in [(0x85, 1), (0x06, 0)] {
            let mut code = vec![Instruction { opcode, src, imm, ..Instruction::default() }];
            code.extend(assemble("exit").unwrap().code);
            assert!(Loaded::new(of_code(code, 0), &RAW_HELPERS).is_err(), "{opcode:#x} {imm}");
        }
    }
}

/// Accesses at the very ends of regions; fuel limits at their ends; and every configuration, not only every input.
#[test]
fn sbpf_configurations_at_their_ends() {
    let texts = [
        "ldxdw r0, [r1+56]\nexit",
        "stdw [r10-512], 1\nldxdw r0, [r10-512]\nexit",
        "stdw [r10-8], 1\nldxdw r0, [r10-8]\nexit",
        "mov r0, 0\njeq r2, 64, on\nadd r0, 1\non: exit",
    ];
    for text in texts {
        let mut verdicts = Vec::new();
        for steps_max in [0, 1, 2, 4, 8, 1 << 10, u64::MAX] {
            for bytes_max in [0, 1 << 10, 1 << 16, 1 << 20, usize::MAX] {
                let limits = Limits { steps_max, bytes_max, ..Limits::default() };
                let loaded = Loaded::new(raw(text, 64), &RAW_HELPERS).unwrap();
                match verify_observed(loaded, limits, &mut |_, _| {}) {
                    Ok(verified) => verdicts.push(format!("{:?}", verified.accesses())),
                    Err(rejection) => assert_eq!(rejection.code(), "budget", "{text}: {rejection}"),
                }
            }
        }
        verdicts.dedup();
        assert_eq!(verdicts.len(), 1, "{text}: limits change what is proved");
        let verified = load_and_verify(raw(text, 64), &RAW_HELPERS).unwrap();
        let predicted = Code::predicted(verified.loaded(), |pc| Some(verified.access(pc))).unwrap();
        let worst = verified.report().worst_fuel;
        for fuel in [0, 1, worst - 1, worst, worst + 1, FUEL_LIMIT_DEFAULT, u64::MAX - 1, u64::MAX] {
            let outcome = predicted.run(&mut Memory::for_raw(&[1; 64]).unwrap(), fuel);
            assert!(outcome.fuel_used <= fuel.min(worst), "{text}, {fuel}: {outcome:?}");
            match outcome.result {
                Ok(_) => assert!(outcome.fuel_used > 0),
                Err(Stop { trap, .. }) => {
                    assert!(trap == Trap::FuelExhausted && fuel < worst, "{text}, {fuel}: {trap}")
                }
            }
        }
    }
    for (text, len) in
        [("ldxdw r0, [r1+57]\nexit", 64), ("stdw [r10-513], 1\nmov r0, 0\nexit", 0), ("stdw [r10-7], 1\nexit", 0)]
    {
        refused(text, len, "out-of-bounds");
    }
}
