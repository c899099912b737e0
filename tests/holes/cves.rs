//! What broke the Linux kernel's verifier, row by row of `README.md`.

use std::fmt::Write as _;
use std::path::Path;

use trapline_vm::helper::{Helper, RAW_HELPERS, RULE_HELPERS, Returns};
use trapline_vm::isa::{AluOp, Cond, Instruction, Kind, Op, Operand, Role, Row, TABLE, Width, assemble};
use trapline_vm::memory::{GuestAddr, Region, STACK_LEN};
use trapline_vm::trap::Trap;
use trapline_vm::verifier::{AbstractState, Bits, RegType, Scalar, load_and_verify};

use super::random::Random;
use super::support::{CORNERS, harmless, memory, observe, of_code, prove, raw, refused, result};

const IMMEDIATES: [i32; 9] = [0, 1, -1, i32::MIN, i32::MAX, 2, -2, 63, 0x5555_5555];

/// Whether the state says that the register can hold this number.
fn may_hold(state: &AbstractState, register: u8, value: u64) -> bool {
    match state.get(register) {
        RegType::Scalar(scalar) => scalar.contains(value, Bits::B64),
        other => panic!("r{register} is {other}"),
    }
}

fn constant_of(state: &AbstractState, register: u8) -> Option<u64> {
    state.get(register).as_scalar().and_then(Scalar::as_constant)
}

fn state_at(states: &[(u32, AbstractState)], pc: u32) -> Option<&AbstractState> {
    states.iter().rev().find(|(at, _)| *at == pc).map(|(_, state)| state)
}

/// One instruction between `r0 = [r1]` and the exit.
fn one(row: &Row, imm: i32) -> Vec<Instruction> {
    let mut code = assemble("ldxdw r3, [r1+8]\nldxdw r0, [r1]").unwrap().code;
    let fixed = |role: Role, other: i32| if let Role::Fixed(value) = role { value } else { other };
    code.push(Instruction {
        opcode: row.opcode,
        dst: 0,
        src: fixed(row.src, 3) as u8,
        offset: fixed(row.offset, 0) as i16,
        imm: fixed(row.imm, imm),
    });
    code.push(Instruction { opcode: Op::Exit.row().opcode, ..Instruction::default() });
    code
}

fn buffer(a: u64, b: u64) -> Vec<u8> {
    [a.to_le_bytes(), b.to_le_bytes()].concat()
}

/// Every arithmetic instruction with every class of immediate: what runs lies in what is thought, and what is thought
/// of constants is what runs.
#[test]
fn cve_2017_16995_sign_extension_of_immediates() {
    refused("mov32 r3, -1\njne r3, -1, reached\nmov r0, 0\nexit\nreached: ldxdw r0, [r1+8]\nexit", 8, "out-of-bounds");
    let mut checked = 0;
    for row in TABLE.iter().filter(|row| matches!(row.kind, Kind::Alu(..) | Kind::ByteOrder(..))) {
        for imm in IMMEDIATES {
            let (verified, states) = observe(of_code(one(row, imm), 16));
            let verified = verified.unwrap_or_else(|| panic!("{row:?}"));
            let state = state_at(&states, 3).unwrap();
            for a in CORNERS {
                for b in [0, 1, 0xffff_ffff, u64::MAX, 0x8000_0000, 1 << 63] {
                    let r0 = result(&verified, &buffer(a, b));
                    assert!(may_hold(state, 0, r0), "{row:?} imm {imm}: {a:#x}, {b:#x} gives {r0:#x}: {state}");
                    checked += 1;
                }
            }
        }
    }
    assert!(checked > 50_000, "{checked}");
}

/// The operand of a branch likewise: the side that is taken is one that was thought possible, and what is learned there
/// holds.
#[test]
fn cve_2017_16995_immediates_of_branches() {
    for row in TABLE.iter().filter(|row| matches!(row.kind, Kind::Branch(_, _, Operand::Imm))) {
        for imm in IMMEDIATES {
            let mut code = assemble("ldxdw r3, [r1]\nmov r0, 0\nexit\nmov r0, 1\nexit").unwrap().code;
            code.insert(1, Instruction { opcode: row.opcode, dst: 3, offset: 2, imm, ..Instruction::default() });
            let (verified, states) = observe(of_code(code, 16));
            let verified = verified.unwrap_or_else(|| panic!("{row:?}"));
            for a in CORNERS.into_iter().chain(IMMEDIATES.map(|imm| imm as u64)) {
                let taken = result(&verified, &buffer(a, 0));
                let state = state_at(&states, if taken == 1 { 4 } else { 2 });
                let state = state.unwrap_or_else(|| panic!("{row:?} imm {imm}: {a:#x} goes where nobody was thought"));
                assert!(may_hold(state, 3, a), "{row:?} imm {imm}: {a:#x}: {state}");
            }
        }
    }
}

/// All ranges of a width.
fn ranges(bits: Bits) -> impl Iterator<Item = Scalar> {
    (0..=bits.mask()).flat_map(move |min| (min..=bits.mask()).map(move |max| Scalar::range(min, max, bits)))
}

const CONDS: [Cond; 11] =
    [Cond::Eq, Cond::Ne, Cond::Set, Cond::Gt, Cond::Ge, Cond::Lt, Cond::Le, Cond::Sgt, Cond::Sge, Cond::Slt, Cond::Sle];

fn holds(cond: Cond, a: u64, b: u64, bits: Bits) -> bool {
    let (sa, sb) = (bits.sign_extend(a), bits.sign_extend(b));
    match cond {
        Cond::Eq => a == b,
        Cond::Ne => a != b,
        Cond::Set => a & b != 0,
        Cond::Gt => a > b,
        Cond::Ge => a >= b,
        Cond::Lt => a < b,
        Cond::Le => a <= b,
        Cond::Sgt => sa > sb,
        Cond::Sge => sa >= sb,
        Cond::Slt => sa < sb,
        Cond::Sle => sa <= sb,
    }
}

/// A comparison of the low half of a number, at widths small enough for all ranges: no number that passes is lost.
#[test]
fn cve_2020_8835_narrow_comparisons_of_wide_numbers() {
    let (narrow, wide) = (Bits::new(2), Bits::new(4));
    for a in ranges(wide) {
        for b in 0..=narrow.mask() {
            let constant = Scalar::exact(b, narrow);
            for (cond, side) in CONDS.into_iter().flat_map(|cond| [(cond, true), (cond, false)]) {
                let refined = Scalar::refine(cond, side, a.truncate(narrow, wide), constant, narrow);
                let after = refined.map(|(low, _)| a.with_low(low, narrow, wide));
                for value in (0..=wide.mask()).filter(|value| a.contains(*value, wide)) {
                    if holds(cond, narrow.truncate(value), b, narrow) == side {
                        let after = after.unwrap_or_else(|| panic!("{a} {cond:?} {b}: thought impossible, {value}"));
                        assert!(after.contains(value, wide), "{a} {cond:?} {b} {side}: {value} is not in {after}");
                    }
                }
            }
        }
    }
    let code = "ldxdw r3, [r1]\nmov r4, 1\nlsh r4, 32\njgt32 r3, 0, out\njgt r3, r4, out\nadd r1, r3\nldxb r0, [r1]\n\
                exit\nout: mov r0, 0\nexit";
    refused(code, 8, "pointer-offset");
}

/// Every bitwise operation on all pairs of ranges of three bits, and the low half of what is wider.
#[test]
fn cve_2020_27194_bitwise_operations_in_both_widths() {
    let (narrow, wide) = (Bits::new(3), Bits::new(4));
    let apply = |op, a, b| match op {
        AluOp::Or => a | b,
        AluOp::And => a & b,
        _ => a ^ b,
    };
    for op in [AluOp::Or, AluOp::And, AluOp::Xor] {
        for bits in [narrow, wide] {
            for a in ranges(bits) {
                for b in ranges(bits) {
                    let result = Scalar::alu(op, a, b, bits);
                    assert!(result.is_consistent(bits), "{a} {op:?} {b}: {result}");
                    let low = result.truncate(Bits::new(2), bits);
                    for x in (0..=bits.mask()).filter(|x| a.contains(*x, bits)) {
                        for y in (0..=bits.mask()).filter(|y| b.contains(*y, bits)) {
                            let value: u64 = apply(op, x, y);
                            assert!(result.contains(value, bits), "{a} {op:?} {b}: {value} is not in {result}");
                            assert!(low.contains(value & 3, Bits::new(2)), "{a} {op:?} {b}: low half of {value}");
                        }
                    }
                }
            }
        }
    }
    let code = "ldxdw r3, [r1]\nlddw r4, 0x600000002\njge r3, r4, out\njle r3, 0, out\nor r3, 0\nmov32 r5, r3\n\
                add r1, r5\nldxb r0, [r1]\nexit\nout: mov r0, 0\nexit";
    refused(code, 8, "pointer-offset");
}

/// After every step every interval has a member and every tnum meets its interval; in release builds a violation is a
/// refusal that says it is our bug. Here: no program of many has one, with 32-bit operations on half-known numbers.
#[test]
fn cve_2021_3490_no_state_contradicts_itself() {
    refused(
        "ldxdw r3, [r1]\nlddw r4, 0xffffffff00000000\nand r3, r4\nlddw r5, 0x100000002\nand r3, r5\nadd r1, r3\n\
         ldxb r0, [r1]\nexit",
        8,
        "pointer-offset",
    );
    let mut random = Random(3490);
    let mut states_seen = 0;
    for _ in 0..400 {
        let mut text = String::from("ldxdw r3, [r1]\nldxdw r0, [r1+8]\n");
        for _ in 0..8 {
            let op = random.pick(&["and", "or", "xor", "add", "and32", "or32", "xor32", "add32", "rsh32", "arsh32"]);
            let (dst, other) = random.pick(&[(0, 3), (3, 0)]);
            match random.next() % 3 {
                0 => writeln!(text, "lddw r4, {:#x}\n{} r{dst}, r4", random.pick(&CORNERS), op).unwrap(),
                1 => writeln!(text, "{op} r{dst}, r{other}").unwrap(),
                _ => {
                    writeln!(text, "j{}32 r{dst}, {}, +0", random.pick(&["gt", "lt", "sgt"]), random.pick(&IMMEDIATES))
                        .unwrap()
                }
            }
        }
        text.push_str("exit");
        let (verified, states) = observe(raw(&text, 16));
        assert!(verified.is_some(), "{text}");
        for (pc, state) in &states {
            assert!(state.is_consistent(), "at {pc}: {state}\n{text}");
        }
        states_seen += states.len();
    }
    assert!(states_seen > 4_000, "{states_seen}");
}

/// Bounds that go from 64 to 32 bits: with both ends at and beside 2^31, 2^32 and 2^63.
#[test]
fn cve_2021_31440_bounds_between_the_widths() {
    for min in CORNERS {
        for max in CORNERS {
            let text = format!(
                "ldxdw r3, [r1]\nlddw r4, {min:#x}\nlddw r5, {max:#x}\nmov r0, 0\njlt r3, r4, out\njgt r3, r5, out\n\
                 mov32 r6, r3\nmovsx3264 r7, r3\njgt32 r3, 7, out\nmov r0, 1\nout: exit"
            );
            let (verified, states) = observe(raw(&text, 16));
            let Some(verified) = verified else { panic!("{text}") };
            for value in CORNERS {
                if result(&verified, &buffer(value, 0)) == 0 {
                    continue;
                }
                // At `mov r0, 1`: slot 11, two wide loads before it.
                let state =
                    state_at(&states, 11).unwrap_or_else(|| panic!("{value:#x} was thought impossible\n{text}"));
                assert!(may_hold(state, 3, value), "{value:#x}: {state}\n{text}");
                assert!(may_hold(state, 6, u64::from(value as u32)), "{value:#x}: {state}\n{text}");
                assert!(may_hold(state, 7, value as i32 as u64), "{value:#x}: {state}\n{text}");
            }
        }
    }
    let code = "ldxdw r3, [r1]\nlddw r4, 0x100000001\njgt r3, r4, out\nmov32 r3, r3\nadd r1, r3\nldxb r0, [r1]\nexit\n\
                out: mov r0, 0\nexit";
    refused(code, 8, "pointer-offset");
}

/// Everything that a register can be, and how it comes to be that in r6 or r7.
const KINDS: [(&str, &str); 9] = [
    ("unwritten", ""),
    ("constant", "mov rX, 4"),
    ("number", "ldxdw rX, [r9]"),
    ("buffer", "mov rX, r9"),
    ("stack", "mov rX, r10\nadd rX, -16"),
    ("map", "lddw_map_index rX, 2"),
    ("value", "lddw_map_value_index rX, 0"),
    ("data", "lddw_map_value_index rX, 1"),
    ("nullable", "lddw_map_index r1, 2\nmov r2, r10\nadd r2, -4\ncall 1\nmov rX, r0"),
];

/// Whether the operation is one that addresses may take part in at all.
fn allowed_for_addresses(row: &Row) -> bool {
    matches!(
        row.kind,
        Kind::Alu(AluOp::Mov | AluOp::Add | AluOp::Sub, Width::W64, _)
            | Kind::Branch(_, Width::W64, _)
            | Kind::Load(..)
            | Kind::Store(..)
            | Kind::Atomic(..)
    )
}

/// The whole product of operation and kinds of operands, as a table to be read; what is not on the allow-list is
/// refused for addresses.
#[test]
fn cve_2021_4204_and_2022_23222_the_table_of_operations_and_types() {
    // Operations with the same answers stand together.
    let mut groups: Vec<(String, Vec<&str>)> = Vec::new();
    let (mut accepted, mut tried) = (0, 0);
    let addresses = ["buffer", "stack", "map", "value", "data", "nullable"];
    for row in TABLE.iter().filter(|row| row.refusal().is_none() && row.dst != Role::Fixed(0) && row.slots() == 1) {
        let both = !matches!(row.src, Role::Fixed(_));
        let mut answers = String::new();
        for (left, make_left) in KINDS {
            let mut cells = Vec::new();
            for (right, make_right) in KINDS.into_iter().take(if both { KINDS.len() } else { 1 }) {
                let make = |text: &str, register: &str| text.replace("rX", register);
                let setup = format!(
                    "mov r9, r1\nstdw [r10-8], 1\nstdw [r10-16], 1\n{}\n{}",
                    make(make_left, "r6"),
                    make(make_right, "r7")
                );
                let fixed = |role: Role, other: i32| if let Role::Fixed(value) = role { value } else { other };
                let mut code = assemble(&setup).unwrap().code;
                code.push(Instruction {
                    opcode: row.opcode,
                    dst: 6,
                    src: fixed(row.src, 7) as u8,
                    offset: fixed(row.offset, 0) as i16,
                    imm: fixed(row.imm, 4),
                });
                // Atomic compare-and-exchange reads r0; what is made last leaves it.
                let before = code.len() - 1;
                code.insert(before, assemble("mov r0, 0").unwrap().code[0]);
                code.extend(assemble("mov r0, 0\nexit").unwrap().code);
                let program = of_code(code, 16);
                let verdict = load_and_verify(program, &RAW_HELPERS);
                tried += 1;
                let answer = match &verdict {
                    Ok(_) => "ok",
                    Err(rejection) => rejection.code(),
                };
                accepted += u32::from(verdict.is_ok());
                let reads_left = row.dst != Role::Write && addresses.contains(&left);
                if verdict.is_ok() && (reads_left || both && addresses.contains(&right)) {
                    assert!(allowed_for_addresses(row), "{} {left} {right} is accepted", row.mnemonic);
                }
                cells.push(if both { format!("{right} {answer}") } else { answer.to_owned() });
            }
            writeln!(answers, "  {left}: {}", cells.join(", ")).unwrap();
        }
        match groups.iter_mut().find(|(same, _)| *same == answers) {
            Some((_, mnemonics)) => mnemonics.push(row.mnemonic),
            None => groups.push((answers, vec![row.mnemonic])),
        }
    }
    let mut table =
        String::from("# What r6 and r7 are, and what becomes of an operation on them. Written by the test.\n");
    for (answers, mnemonics) in groups {
        writeln!(table, "\n{}\n{}", mnemonics.join(", "), answers.trim_end()).unwrap();
    }
    assert!(tried > 5_000 && accepted > 500, "{accepted} of {tried}");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/holes/types.txt");
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(&path, &table).unwrap();
    }
    let wanted = std::fs::read_to_string(&path).unwrap_or_default();
    for (line, want) in table.lines().zip(wanted.lines()) {
        assert_eq!(line, want, "UPDATE_EXPECT=1 refreshes tests/holes/types.txt; review the difference");
    }
    assert_eq!(table.lines().count(), wanted.lines().count());
}

/// Eight paths through three branches, one of which is unsafe: whichever it is, it is found. And a function called
/// twice, safe the first time.
#[test]
fn cve_2023_2163_the_unsafe_path_among_safe_ones() {
    for unsafe_path in 0..8 {
        let code = format!(
            "ldxb r3, [r1]\nmov r4, 0\nmov r5, 0\n\
             jset r3, 1, a\nja b\na: add r4, 1\n\
             b: jset r3, 2, c\nja d\nc: add r4, 2\n\
             d: jset r3, 4, e\nja f\ne: add r4, 4\n\
             f: jne r4, {unsafe_path}, safe\nmov r5, 16\n\
             safe: add r1, r5\nldxb r0, [r1]\nexit"
        );
        refused(&code, 16, "out-of-bounds");
        // The same with no unsafe path is accepted: it is the path that is refused.
        prove(&code.replace("mov r5, 16", "mov r5, 15"), 16).unwrap();
    }
    for (first, second) in [(15, 16), (16, 15)] {
        let code = format!(
            "mov r6, r1\nmov r2, {first}\ncall local f\nmov r1, r6\nmov r2, {second}\ncall local f\nexit\n\
             f: add r1, r2\nldxb r0, [r1]\nexit"
        );
        assert!(prove(&code, 16).is_err(), "{code}");
        harmless(&code, 16);
    }
    for unsafe_trip in [0, 3, 7] {
        let code = format!(
            "mov r3, 0\nagain: mov r4, r1\njne r3, {unsafe_trip}, safe\nadd r4, 16\nsafe: ldxb r0, [r4]\nadd r3, 1\n\
             jlt r3, 8, again\nexit"
        );
        assert!(prove(&code, 16).is_err(), "{code}");
        harmless(&code, 16);
    }
}

/// Arithmetic soup with copies and comparisons of them: where a constant is claimed at the end, it is what runs give.
#[test]
fn cve_2024_41003_claimed_constants_are_true() {
    refused(
        "ldxdw r3, [r1]\nmov r4, r3\nadd r3, 1\njgt r3, 7, out\nadd r1, r4\nldxb r0, [r1]\nexit\nout: mov r0, 0\nexit",
        8,
        "pointer-offset",
    );
    let mut random = Random(41003);
    let (mut claims, mut runs) = (0, 0);
    for _ in 0..3_000 {
        let mut text = String::from("ldxdw r3, [r1]\nmov r4, r3\nldxdw r5, [r1+8]\nmov r0, 0\n");
        for _ in 0..6 {
            let register = random.pick(&[3, 4, 5]);
            let other = random.pick(&[3, 4, 5]);
            let number = random.pick(&[0, 1, -1, 2, 7, 8, i32::MAX, i32::MIN]);
            match random.next() % 6 {
                0 => writeln!(text, "add r{register}, {number}"),
                1 => writeln!(text, "mov r{register}, r{other}"),
                2 => writeln!(text, "{} r{register}, {number}", random.pick(&["and", "and32", "or", "rsh", "add32"])),
                3 => writeln!(text, "{} r{register}, r{other}, out", random.pick(&["jne", "jeq", "jne32", "jgt"])),
                _ => writeln!(
                    text,
                    "{} r{register}, {number}, out",
                    random.pick(&["jne", "jgt", "jsgt", "jlt", "jne32", "jsgt32", "jge32"])
                ),
            }
            .unwrap();
        }
        writeln!(text, "mov r0, r{}\nout: exit", random.pick(&[3, 4, 5])).unwrap();
        let program = raw(&text, 16);
        let end = program.code.len() as u32 - 1;
        let (verified, states) = observe(program);
        let Some(verified) = verified else { panic!("{text}") };
        let Some(state) = state_at(&states, end) else { continue };
        let claimed = constant_of(state, 0);
        claims += u32::from(claimed.is_some());
        for a in [0, 1, 7, 8, u64::MAX, 0x7fff_ffff, 0x8000_0000, 0x1_0000_0000, random.next()] {
            let r0 = result(&verified, &buffer(a, random.pick(&CORNERS)));
            assert!(may_hold(state, 0, r0), "{r0:#x}: {state}\n{text}");
            assert!(claimed.is_none_or(|claimed| claimed == r0), "{claimed:?} is claimed, {r0:#x} it is\n{text}");
            runs += 1;
        }
    }
    assert!(claims > 100 && runs > 20_000, "{claims} claims, {runs} runs");
}

/// Signed division and remainder at the smallest number, -1 and 0: interpreter, verifier and arithmetic of 128 bits.
#[test]
fn cve_2026_31525_signed_division_at_its_corners() {
    let rows = TABLE.iter().filter(|row| {
        matches!(row.kind, Kind::Alu(AluOp::Sdiv | AluOp::Smod | AluOp::Div | AluOp::Mod, _, Operand::Reg))
    });
    for row in rows {
        let Kind::Alu(op, width, _) = row.kind else { continue };
        let (verified, states) = observe(of_code(one(row, 0), 16));
        let (verified, state) = (verified.unwrap(), state_at(&states, 3).unwrap());
        for a in CORNERS {
            for b in CORNERS {
                let cut = |value: i128| if width == Width::W64 { value as u64 } else { u64::from(value as u32) };
                let signed = |value: u64| match width {
                    Width::W64 => i128::from(value as i64),
                    Width::W32 => i128::from(value as i32),
                };
                let unsigned = |value: u64| match width {
                    Width::W64 => i128::from(value),
                    Width::W32 => i128::from(value as u32),
                };
                let want = match op {
                    AluOp::Sdiv if signed(b) == 0 => 0,
                    AluOp::Sdiv => cut(signed(a) / signed(b)),
                    AluOp::Smod if signed(b) == 0 => cut(signed(a)),
                    AluOp::Smod => cut(signed(a) % signed(b)),
                    AluOp::Div if unsigned(b) == 0 => 0,
                    AluOp::Div => cut(unsigned(a) / unsigned(b)),
                    _ if unsigned(b) == 0 => cut(unsigned(a)),
                    _ => cut(unsigned(a) % unsigned(b)),
                };
                let got = result(&verified, &buffer(a, b));
                assert_eq!(got, want, "{} {a:#x}, {b:#x}", row.mnemonic);
                assert!(may_hold(state, 0, got), "{} {a:#x}, {b:#x}: {state}", row.mnemonic);
                let constants = format!("lddw r0, {a:#x}\nlddw r3, {b:#x}\n{} r0, r3\nexit", row.mnemonic);
                let (_, states) = observe(raw(&constants, 0));
                assert_eq!(constant_of(state_at(&states, 5).unwrap(), 0), Some(want), "{constants}");
            }
        }
    }
}

/// What an atomic operation fetches is unknown, whatever its register held; a comparison with a length proves nothing
/// of a pointer; a copy with an offset is not the original.
#[test]
fn cve_2026_43009_43030_53081_fetched_numbers_lengths_and_copies() {
    for operation in ["fetch add", "fetch or", "fetch and", "fetch xor", "xchg"] {
        for width in ["", "32"] {
            let code = format!(
                "mov r3, 0\nldxdw r4, [r1]\nstxdw [r10-8], r4\nlock {operation}{width} [r10-8], r3\nadd r1, r3\n\
                 ldxb r0, [r1]\nexit"
            );
            refused(&code, 8, "pointer-offset");
        }
    }
    // The old value in r0.
    refused(
        "mov r0, 0\nmov r3, 5\nldxdw r4, [r1]\nstxdw [r10-8], r4\nlock cmpxchg [r10-8], r3\nadd r1, r0\nldxb r0, [r1]\n\
         exit",
        8,
        "pointer-offset",
    );
    // What was stored is forgotten where an atomic operation changed it.
    refused(
        "stdw [r10-8], 0\nldxdw r3, [r1]\nlock add [r10-8], r3\nldxdw r4, [r10-8]\nadd r1, r4\nldxb r0, [r1]\nexit",
        8,
        "pointer-offset",
    );
    // Comparing the length with itself says nothing of an offset; one too many is one too many.
    refused("ldxdw r3, [r1]\njgt r2, 7, on\nmov r0, 0\nexit\non: add r1, r3\nldxb r0, [r1]\nexit", 8, "pointer-offset");
    refused(
        "ldxdw r3, [r1]\njgt r3, r2, out\nadd r1, r3\nldxb r0, [r1]\nexit\nout: mov r0, 0\nexit",
        8,
        "out-of-bounds",
    );
    prove("ldxdw r3, [r1]\njge r3, r2, out\nadd r1, r3\nldxb r0, [r1]\nexit\nout: mov r0, 0\nexit", 8).unwrap();
    for delta in [1, -1] {
        let code = format!(
            "ldxdw r3, [r1]\nmov r4, r3\nadd r4, {delta}\njgt r4, 7, out\njgt r3, 8, out\nadd r1, r3\nldxb r0, [r1]\n\
             exit\nout: mov r0, 0\nexit"
        );
        let refused_at = |delta| if delta == 1 { None } else { Some("out-of-bounds") };
        let verdict = prove(&code, 8);
        // With r3 + 1 <= 7, r3 is below 8 (or -1, which the second comparison refuses); with r3 - 1 <= 7 it can be 8.
        match (verdict, refused_at(delta)) {
            (Ok(verified), None) => {
                for value in [0, 6, 7, 8, u64::MAX] {
                    result(&verified, &value.to_le_bytes());
                }
            }
            (Ok(_), Some(_)) => panic!("accepted:\n{code}"),
            (Err(_), _) => harmless(&code, 8),
        }
    }
}

/// Whatever an instruction does to a number in place, a copy made before no longer tells anything of it.
#[test]
fn cve_2026_43070_a_change_in_place_ends_what_a_copy_tells() {
    let mut tried = 0;
    for row in TABLE.iter().filter(|row| row.dst == Role::Update && row.src == Role::Fixed(0)) {
        let fixed = |role: Role, other: i32| if let Role::Fixed(value) = role { value } else { other };
        let change = Instruction {
            opcode: row.opcode,
            dst: 3,
            src: 0,
            offset: fixed(row.offset, 0) as i16,
            imm: fixed(row.imm, 3),
        };
        for (tested, used) in [(3, 4), (4, 3)] {
            let mut code = assemble("ldxdw r3, [r1]\nmov r4, r3").unwrap().code;
            code.push(change);
            let rest = format!(
                "jgt r{tested}, 7, out\nmov r5, r1\nadd r5, r{used}\nldxb r0, [r5]\nexit\nout: mov r0, 0\nexit"
            );
            code.extend(assemble(&rest).unwrap().code);
            let program = of_code(code, 8);
            tried += 1;
            let text = trapline_vm::isa::disassemble(&program.code);
            // Accepted only where every number gets by with it.
            if let Ok(verified) = load_and_verify(program, &RAW_HELPERS) {
                for value in CORNERS {
                    result(&verified, &value.to_le_bytes());
                }
            } else {
                harmless(&text, 8);
            }
        }
    }
    assert!(tried > 50, "{tried}");
    for op in ["be16", "bswap32", "bswap64", "neg", "xor", "mul"] {
        let operand = if matches!(op, "xor" | "mul") { ", 3" } else { "" };
        let code = format!(
            "ldxdw r3, [r1]\nmov r4, r3\n{op} r3{operand}\njgt r3, 7, out\nadd r1, r4\nldxb r0, [r1]\nexit\n\
             out: mov r0, 0\nexit"
        );
        refused(&code, 8, "pointer-offset");
    }
}

/// Every register that the table says an instruction reads must hold something; there is no jump through a register.
#[test]
fn cve_2026_43321_every_register_read_is_in_the_table() {
    let mut tried = 0;
    for row in TABLE.iter().filter(|row| row.refusal().is_none() && row.slots() == 1) {
        let reads = |role: Role| matches!(role, Role::Read | Role::Update);
        for (missing, role) in [(6, row.dst), (7, row.src)] {
            if !reads(role) {
                continue;
            }
            let present = 13 - missing;
            let mut code =
                assemble(&format!("mov r0, 0\nmov r{present}, r10\nadd r{present}, -8\nstdw [r10-8], 1")).unwrap().code;
            let fixed = |role: Role, other: i32| if let Role::Fixed(value) = role { value } else { other };
            code.push(Instruction {
                opcode: row.opcode,
                dst: fixed(row.dst, 6) as u8,
                src: fixed(row.src, 7) as u8,
                offset: fixed(row.offset, 0) as i16,
                imm: fixed(row.imm, 4),
            });
            code.extend(assemble("mov r0, 0\nexit").unwrap().code);
            let rejection = load_and_verify(of_code(code, 8), &RAW_HELPERS).map(drop).unwrap_err();
            let says = rejection.to_string();
            assert!(says.contains(&format!("r{missing} is never written")), "{row:?}: {says}");
            tried += 1;
        }
    }
    assert!(tried > 150, "{tried}");
    for text in
        ["exit", "mov r3, 1\nstdw [r10-8], 1\nlock cmpxchg [r10-8], r3\nmov r0, 0\nexit", "mov r0, 0\ncall 5\nexit"]
    {
        let reads = if text.ends_with("call 5\nexit") { "mov r1, r9\n" } else { "" };
        refused(&format!("{reads}{text}"), 0, "unusable-register");
    }
    assert!(TABLE.iter().any(|row| row.kind == Kind::CallRegister && row.refusal().is_some()));
}

/// Arguments for helpers: corners, and addresses of every region.
fn arguments(random: &mut Random) -> [u64; 5] {
    std::array::from_fn(|_| match random.next() % 4 {
        0 => random.pick(&CORNERS),
        1 => u64::from(random.pick(&Region::ALL).base()) + random.next() % 24,
        2 => random.next() % 24,
        _ => random.next(),
    })
}

fn helpers() -> Vec<&'static Helper> {
    let mut helpers: Vec<&Helper> = RAW_HELPERS.iter().chain(RULE_HELPERS.iter()).collect();
    helpers.dedup_by_key(|helper| helper.number);
    helpers
}

/// What a helper can come to is a row of one table, for verifier and executors: a value in its range, or a trap.
#[test]
fn cve_2026_53090_every_exit_of_a_helper_is_in_its_row() {
    let mut random = Random(53090);
    for helper in helpers() {
        let mut memory = memory(64, 0x11);
        let (mut values, mut traps) = (0, 0);
        for _ in 0..2_000 {
            let arguments = arguments(&mut random);
            match helper.call(&mut memory, &arguments) {
                Ok(value) => {
                    values += 1;
                    match helper.returns {
                        Returns::Number { min, max } => {
                            assert!((min..=max).contains(&value.cast_signed()), "{}: {value:#x}", helper.name);
                        }
                        Returns::NullableValue => {
                            let of_values = [Some(Region::MapValues), Some(Region::Constants)];
                            let region = value == 0 || of_values.contains(&Region::of(GuestAddr(value)));
                            assert!(region, "{}: {value:#x} is no value", helper.name);
                        }
                    }
                }
                Err(trap) => {
                    // What it cannot take, or an address (of a key, of a value) that is none.
                    assert!(matches!(trap, Trap::HelperArgument | Trap::OutOfRegion), "{}: {trap}", helper.name);
                    traps += 1;
                }
            }
        }
        assert!(values + traps == 2_000, "{}", helper.name);
    }
}

/// Jumps at their largest displacements, in both directions and both widths, in the interpreter.
#[test]
fn cve_2026_53036_jumps_at_their_largest_displacement() {
    let filler = |count: usize| "mov r1, r1\n".repeat(count);
    // A conditional jump of 32767 slots forward, and one of 32768 back.
    let forward = format!("mov r0, 1\njeq r0, 1, over\n{}over: add r0, 1\nexit", filler(32_767));
    assert_eq!(result(&prove(&forward, 0).unwrap_or_else(|error| panic!("{error}")), &[]), 2);
    // The jump back is at slot 32 770: from the slot after it, 32 768 back is slot 3.
    let back =
        format!("mov r0, 1\nja32 last\nexit\nback: add r0, 1\n{}exit\nlast: jeq r0, 1, back\nexit", filler(32_768 - 3));
    let program = raw(&back, 0);
    assert_eq!(program.code.iter().map(|slot| slot.offset).min(), Some(i16::MIN));
    let loaded = trapline_vm::program::Loaded::new(program, &RAW_HELPERS).unwrap();
    let mut memory = trapline_vm::memory::Memory::for_raw(&[]).unwrap();
    assert_eq!(trapline_vm::interp::Code::checked(&loaded).run(&mut memory, 100_000).result, Ok(2));
    // One slot further does not assemble.
    assert!(assemble(&format!("jeq r0, 1, over\n{}over: exit", filler(32_768))).is_err());
    assert!(assemble(&format!("back: mov r0, 1\n{}jeq r0, 1, back\nexit", filler(32_767))).is_err());
}

/// Every helper with arguments of the full range: no panic, no byte outside the writable regions changed, and the stack
/// and the record as they were.
#[test]
fn cve_2026_64548_63926_helpers_take_any_argument() {
    let mut random = Random(64548);
    for helper in helpers() {
        let mut memory = memory(64, 0x22);
        let before = memory.clone();
        for _ in 0..2_000 {
            let arguments = arguments(&mut random);
            // Work is priced before it is done, whatever the arguments.
            let fuel = helper.fuel(&mut memory, &arguments);
            if let Ok(fuel) = fuel {
                assert!(fuel <= helper.fuel_max(&Default::default()), "{}: {fuel}", helper.name);
            }
            let _answer = helper.call(&mut memory, &arguments);
        }
        for region in Region::ALL.into_iter().filter(|region| *region != Region::MapValues) {
            assert_eq!(memory.contents(region), before.contents(region), "{} changed {region:?}", helper.name);
        }
        assert_eq!(memory.len(Region::Stack), STACK_LEN);
    }
}
