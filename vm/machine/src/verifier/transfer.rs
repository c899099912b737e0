//! What holds after an instruction, given what holds before it.
//!
//! These functions never judge: `check` has found every [`assertion`](super::assertion) entailed before they are
//! asked. Where an operation would be undefined all the same, the result is unusable, never something invented.

use super::assertion::{Operands, Yields, allowed, ignores_dst};
use super::bits::Bits;
use super::capability::frame_bytes;
use super::scalar::Scalar;
use super::state::{AbstractState, Pointer, RegType, Why};
use crate::isa::{AluOp, Cond, Decoded, Extension, Kind, Operand, Pseudo, Rmw, Size, Width};
use crate::memory::{Access, Region};
use crate::program::map_operands;

const B32: Bits = Bits::B32;
const B64: Bits = Bits::B64;

/// Changes the state from before the instruction to after it. `access` is what was proved of the memory it touches,
/// `result` what the called helper returns. Branches change nothing here, see [`assume`].
pub(super) fn step(state: &mut AbstractState, instruction: &Decoded, access: Option<&Access>, result: Scalar) {
    let Decoded { dst, src, imm, .. } = *instruction;
    match instruction.kind() {
        Kind::Alu(op, width, operand) => {
            let value = arithmetic(op, width, state.get(dst), second(state, operand, src, imm));
            state.set(dst, value);
        }
        Kind::ByteOrder(order, bits) => {
            let value = match state.get(dst) {
                RegType::Scalar(value) => RegType::Scalar(value.byte_order(order, Bits::new(u32::from(bits)), B64)),
                RegType::Pointer(_) | RegType::Map(_) | RegType::Nullable(_) | RegType::Unusable(_) => UNDEFINED,
            };
            state.set(dst, value);
        }
        Kind::LoadImm => state.set(dst, RegType::exact(imm.cast_unsigned())),
        Kind::Load(size, extend) => {
            let value = loaded(state, access, size, extend);
            state.set(dst, value);
        }
        Kind::Store(_, operand) => {
            let value = second(state, operand, src, imm);
            store(state, access, value);
        }
        Kind::Atomic(rmw, fetch, size) => {
            store(state, access, RegType::unknown());
            if fetch {
                let target = if rmw == Rmw::Cmpxchg { 0 } else { src };
                state.set(target, RegType::Scalar(of_size(size, Extension::Zero)));
            }
        }
        Kind::CallHelper => {
            state.set(0, RegType::Scalar(result));
            for argument in 1..=5 {
                state.set(argument, RegType::Unusable(Why::Call));
            }
        }
        Kind::Jump | Kind::Branch(..) | Kind::Exit => {}
        Kind::LoadPseudo(pseudo) => state.set(dst, map_constant(pseudo, imm)),
        // Never decoded, or refused with the control flow.
        Kind::LegacyPacket | Kind::CallLocal | Kind::CallBtf | Kind::CallRegister => {}
    }
}

/// A map, or an address in its first value, as a wide load names it.
fn map_constant(pseudo: Pseudo, imm: i64) -> RegType {
    let (index, _) = map_operands(imm);
    match (pseudo, u16::try_from(index)) {
        (Pseudo::MapByIndex, Ok(index)) => RegType::Map(index),
        _ => UNDEFINED,
    }
}

const UNDEFINED: RegType = RegType::Unusable(Why::NeverWritten);

/// The second operand of an instruction.
fn second(state: &AbstractState, operand: Operand, src: u8, imm: i64) -> RegType {
    match operand {
        Operand::Imm => RegType::exact(imm.cast_unsigned()),
        Operand::Reg => state.get(src),
    }
}

/// What kinds of value two operands are; None if one is unusable.
pub(super) fn kinds(op: AluOp, a: RegType, b: RegType) -> Option<Operands> {
    let a = if ignores_dst(op) { RegType::exact(0) } else { a };
    Some(match (a, b) {
        (RegType::Unusable(_), _) | (_, RegType::Unusable(_)) => return None,
        (RegType::Scalar(_), RegType::Scalar(_)) => Operands::Numbers,
        (RegType::Pointer(_), RegType::Scalar(_)) => Operands::PointerNumber,
        (RegType::Scalar(_), RegType::Pointer(_)) => Operands::NumberPointer,
        (RegType::Pointer(_), RegType::Pointer(_)) => Operands::Pointers,
        (RegType::Map(_) | RegType::Nullable(_), _) | (_, RegType::Map(_) | RegType::Nullable(_)) => Operands::Opaque,
    })
}

/// The result of an arithmetic instruction.
pub(super) fn arithmetic(op: AluOp, width: Width, a: RegType, b: RegType) -> RegType {
    let moved = |pointer: Pointer, op, by: Scalar| {
        RegType::Pointer(Pointer { offset: Scalar::alu(op, pointer.offset, by, B64), ..pointer })
    };
    let yields = kinds(op, a, b).and_then(|kinds| allowed(op, width, kinds));
    match (yields, a, b) {
        (Some(Yields::Number), _, RegType::Scalar(b)) => {
            // What a move overwrites may be anything.
            let a = a.as_scalar().unwrap_or(Scalar::exact(0, B64));
            RegType::Scalar(match width {
                Width::W64 => Scalar::alu(op, a, b, B64),
                Width::W32 => Scalar::alu(op, a.truncate(B32), b.truncate(B32), B32).zero_extend(B64),
            })
        }
        (Some(Yields::MovedFirst), RegType::Pointer(a), RegType::Scalar(b)) => moved(a, op, b),
        (Some(Yields::MovedSecond), _, RegType::Map(_) | RegType::Nullable(_)) if op == AluOp::Mov => b,
        (Some(Yields::MovedSecond), _, RegType::Pointer(b)) => match (op, a) {
            (AluOp::Mov, _) => RegType::Pointer(b),
            (_, RegType::Scalar(a)) => moved(b, op, a),
            _ => UNDEFINED,
        },
        _ => UNDEFINED,
    }
}

/// Any number of these bytes, extended to a register.
fn of_size(size: Size, extend: Extension) -> Scalar {
    let bits = Bits::new(size.bytes() * 8);
    match extend {
        Extension::Zero if bits != B64 => Scalar::low_bits(bits),
        Extension::Zero => Scalar::unknown(B64),
        Extension::Sign => Scalar::signed_range(bits.signed_min(), bits.signed_max(), B64),
    }
}

/// What a load yields: a saved register as it was, else any number of that size.
fn loaded(state: &AbstractState, access: Option<&Access>, size: Size, extend: Extension) -> RegType {
    let saved = access
        .filter(|access| access.region == Region::Stack && access.lo == access.hi)
        .and_then(frame_bytes)
        .and_then(|bytes| state.stack().saved(bytes));
    saved.unwrap_or(RegType::Scalar(of_size(size, extend)))
}

/// A store of a register or constant. Only the stack is followed; other memory may hold any number at any time.
fn store(state: &mut AbstractState, access: Option<&Access>, value: RegType) {
    let Some(access) = access.filter(|access| access.region == Region::Stack) else { return };
    let Some(bytes) = frame_bytes(access) else { return };
    if access.lo == access.hi {
        state.stack_mut().store(bytes, value);
    } else {
        state.stack_mut().store_somewhere(bytes);
    }
}

/// Takes in that a branch is taken (or not). False if that is impossible; the state is then of no use.
pub(super) fn assume(state: &mut AbstractState, instruction: &Decoded, taken: bool) -> bool {
    let Kind::Branch(cond, width, operand) = instruction.kind() else { return true };
    let Decoded { dst, src, imm, .. } = *instruction;
    let (RegType::Scalar(a), RegType::Scalar(b)) = (state.get(dst), second(state, operand, src, imm)) else {
        return true;
    };
    if operand == Operand::Reg && dst == src {
        match cond {
            Cond::Eq | Cond::Ge | Cond::Le | Cond::Sge | Cond::Sle => return taken,
            Cond::Ne | Cond::Gt | Cond::Lt | Cond::Sgt | Cond::Slt => return !taken,
            Cond::Set => {}
        }
    }
    let refined = match width {
        Width::W64 => Scalar::refine(cond, taken, a, b, B64),
        Width::W32 => Scalar::refine(cond, taken, a.truncate(B32), b.truncate(B32), B32)
            .map(|(low_a, low_b)| (a.with_low(low_a, B32, B64), b.with_low(low_b, B32, B64))),
    };
    let Some((a, b)) = refined.filter(|(a, b)| !a.is_empty() && !b.is_empty()) else { return false };
    if operand == Operand::Reg && dst == src {
        // Both refinements hold of it.
        let both = a.meet(b, B64);
        state.set(dst, RegType::Scalar(both));
        return !both.is_empty();
    }
    state.set(dst, RegType::Scalar(a));
    if operand == Operand::Reg {
        state.set(src, RegType::Scalar(b));
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::{REGISTERS, assemble};
    use crate::memory::FRAME_LEN;

    fn decode(text: &str) -> Decoded {
        Decoded::at(&assemble(text).unwrap().code, 0).unwrap().unwrap()
    }

    fn number(min: u64, max: u64) -> RegType {
        RegType::Scalar(Scalar::range(min, max, B64))
    }

    /// A state with these registers, as text after one instruction.
    fn after(text: &str, registers: &[(u8, RegType)], access: Option<Access>) -> AbstractState {
        let mut state = AbstractState::entry();
        for (register, value) in registers {
            state.set(*register, *value);
        }
        step(&mut state, &decode(text), access.as_ref(), Scalar::range(0, 9, B64));
        state
    }

    #[test]
    fn arithmetic_of_both_widths() {
        for (text, a, b, want) in [
            ("add r1, r2", number(1, 4), number(10, 20), "11..=24"),
            ("add32 r1, -1", number(0, 0), number(0, 0), "4294967295"),
            ("add r1, -1", number(0, 0), number(0, 0), "-1"),
            ("mov32 r1, -1", number(0, 0), number(0, 0), "4294967295"),
            ("and r1, 0x3f", RegType::unknown(), number(0, 0), "0..=63"),
            ("and32 r1, -8", RegType::unknown(), number(0, 0), "0..=4294967288 (multiple of 8)"),
            ("rsh32 r1, 28", RegType::unknown(), number(0, 0), "0..=15"),
            ("arsh32 r1, 31", RegType::exact(0x8000_0000), number(0, 0), "4294967295"),
            ("arsh r1, 63", RegType::exact(1 << 63), number(0, 0), "-1"),
            ("neg r1", RegType::exact(3), number(0, 0), "-3"),
            ("neg32 r1", RegType::exact(3), number(0, 0), "4294967293"),
            ("be16 r1", RegType::exact(0x1122), number(0, 0), "8721"),
            ("movsx832 r1, r2", number(0, 0), number(0x80, 0x80), "4294967168"),
            ("movsx3264 r1, r2", number(0, 0), number(0x8000_0000, 0x8000_0000), "-2147483648"),
            ("lddw r1, 0x123456789a", number(0, 0), number(0, 0), "0x123456789a"),
        ] {
            let state = after(text, &[(1, a), (2, b)], None);
            assert_eq!(state.get(1).to_string(), want, "{text}");
        }
    }

    #[test]
    fn pointers_are_copied_and_moved() {
        let buffer = RegType::pointer(Region::Buffer, 8);
        for (text, a, b, want) in [
            ("mov r1, r2", RegType::exact(1), buffer, "pointer to buffer+8"),
            ("add r1, 4", buffer, buffer, "pointer to buffer+12"),
            ("sub r1, 12", buffer, buffer, "pointer to buffer-4"),
            ("add r1, r2", buffer, number(0, 3), "pointer to buffer+(8..=11)"),
            ("add r1, r2", number(0, 3), buffer, "pointer to buffer+(8..=11)"),
            // What the checker would have refused yields nothing.
            ("mov32 r1, r2", RegType::exact(1), buffer, "never written"),
            ("sub r1, r2", buffer, buffer, "never written"),
            ("sub r1, r2", number(0, 3), buffer, "never written"),
            ("add32 r1, 4", buffer, buffer, "never written"),
        ] {
            assert_eq!(after(text, &[(1, a), (2, b)], None).get(1).to_string(), want, "{text}");
        }
    }

    #[test]
    fn loads_extend_to_the_register() {
        let access = |size| Some(Access { region: Region::Record, lo: 0, hi: 0, size });
        for (text, size, want) in [
            ("ldxb r1, [r2]", Size::Byte, "0..=255"),
            ("ldxh r1, [r2]", Size::Half, "0..=65535"),
            ("ldxw r1, [r2]", Size::Word, "0..=4294967295"),
            ("ldxdw r1, [r2]", Size::Double, "any number"),
            ("ldxsb r1, [r2]", Size::Byte, "-128..=127"),
            ("ldxsw r1, [r2]", Size::Word, "-2147483648..=2147483647"),
        ] {
            assert_eq!(after(text, &[], access(size)).get(1).to_string(), want, "{text}");
        }
    }

    #[test]
    fn a_call_leaves_its_result_and_nothing_in_the_argument_registers() {
        let registers: Vec<_> = (0..REGISTERS - 1).map(|register| (register, RegType::exact(1))).collect();
        let state = after("call 1", &registers, None);
        assert_eq!(state.get(0).to_string(), "0..=9");
        for register in 1..=5 {
            assert_eq!(state.get(register), RegType::Unusable(Why::Call));
        }
        for register in 6..=9 {
            assert_eq!(state.get(register), RegType::exact(1));
        }
    }

    /// What helper 2 left in r0 before (prevail#1149: a stale constraint on a result).
    #[test]
    fn a_call_forgets_the_earlier_result() {
        let state = after("call 1", &[(0, RegType::exact(77))], None);
        assert_eq!(state.get(0), number(0, 9));
    }

    #[test]
    fn atomics_fetch_any_number_of_their_size() {
        let place = Access { region: Region::Stack, lo: FRAME_LEN - 8, hi: FRAME_LEN - 8, size: Size::Word };
        let fetched = after("lock fetch add32 [r10-8], r3", &[(3, RegType::exact(1))], Some(place));
        assert_eq!(fetched.get(3).to_string(), "0..=4294967295");
        let plain = after("lock add32 [r10-8], r3", &[(3, RegType::exact(1))], Some(place));
        assert_eq!(plain.get(3), RegType::exact(1));
        let compared =
            after("lock cmpxchg32 [r10-8], r3", &[(0, RegType::exact(5)), (3, RegType::exact(1))], Some(place));
        assert_eq!((compared.get(0).to_string().as_str(), compared.get(3)), ("0..=4294967295", RegType::exact(1)));
    }

    #[test]
    fn an_atomic_update_replaces_what_was_saved() {
        let mut state = AbstractState::entry();
        let place = Access { region: Region::Stack, lo: FRAME_LEN - 8, hi: FRAME_LEN - 8, size: Size::Double };
        store(&mut state, Some(&place), RegType::exact(7));
        assert_eq!(loaded(&state, Some(&place), Size::Double, Extension::Zero), RegType::exact(7));
        state.set(3, RegType::exact(1));
        step(&mut state, &decode("lock add [r10-8], r3"), Some(&place), Scalar::unknown(B64));
        assert_eq!(loaded(&state, Some(&place), Size::Double, Extension::Zero), RegType::unknown());
    }

    #[test]
    fn branches_refine_both_sides() {
        for (text, a, b, taken, not_taken) in [
            ("jlt r1, 8, +1", RegType::unknown(), 0, "0..=7", "8..=0xffffffffffffffff"),
            ("jslt r1, 0, +1", RegType::unknown(), 0, "0x8000000000000000..=-1", "0..=0x7fffffffffffffff"),
            ("jeq r1, 5, +1", number(0, 5), 0, "5", "0..=4"),
            ("jne r1, r2, +1", number(3, 9), 3, "4..=9", "3"),
            ("jset r1, 1, +1", number(0, 3), 0, "1..=3 (bits 0x1 set, 0x2 unknown)", "0..=2 (multiple of 2)"),
            // With the upper half known to be zero a 32-bit comparison bounds the register.
            ("jlt32 r1, 8, +1", number(0, 0xffff_ffff), 0, "0..=7", "8..=4294967295"),
            // Otherwise it tells low bits only.
            ("jeq32 r1, 0, +1", RegType::unknown(), 0, "multiple of 4294967296", "any number"),
            ("jgt r1, 5, +1", number(0, 5), 0, "impossible", "0..=5"),
            ("jle r1, 5, +1", number(0, 5), 0, "0..=5", "impossible"),
            ("jgt r1, r1, +1", number(0, 5), 0, "impossible", "0..=5"),
            ("jne r1, r1, +1", RegType::unknown(), 0, "impossible", "any number"),
            ("jset32 r1, r1, +1", number(0, 1), 0, "1", "0..=1"),
        ] {
            for (outcome, want) in [(true, taken), (false, not_taken)] {
                let mut state = AbstractState::entry();
                state.set(1, a);
                state.set(2, RegType::exact(b));
                let possible = assume(&mut state, &decode(text), outcome);
                let got = if possible { state.get(1).to_string() } else { "impossible".to_owned() };
                assert!(got == want || got.contains(want) && want.starts_with("multiple"), "{text} {outcome}: {got}");
            }
        }
    }
}
