//! Does a state entail an assertion? Never changes the state.

use super::assertion::{Assertion, Mode, Place, allowed, comparable, ignores_dst};
use super::capability;
use super::context::Context;
use super::transfer;
use crate::helper::ArgType;
use crate::isa::{AluOp, Cond, Decoded, Size, Width};
use crate::map::MapDecl;
use crate::memory::{Access, Region};
use crate::program::ProgramKind;
use crate::verifier::number::{Bits, Scalar};
use crate::verifier::reason::Reason;
use crate::verifier::state::{AbstractState, Pointer, RegType};

/// How far an address may be moved from the start of its region, in either direction, while it is computed. An
/// access is held to its region besides; this bound says where the trouble begins.
pub const POINTER_OFFSET_MAX: i64 = 1 << 29;

impl Context<'_> {
    /// Whether the state entails the assertion, which belongs to this instruction. The proof of an access yields its
    /// range.
    pub(in crate::verifier) fn check(
        &self,
        assertion: &Assertion,
        instruction: &Decoded,
        state: &AbstractState,
    ) -> Result<Option<Access>, Reason> {
        match *assertion {
            Assertion::Accessible(place, mode) => return self.access(state, place, mode).map(Some),
            Assertion::Initialised(register) => usable(state, register).map(|_| ()),
            Assertion::Number(register) => number(state, register).map(|_| ()),
            Assertion::Writable(_) => Err(Reason::FramePointer),
            Assertion::Operands { op, width, dst, src } => self.operands(state, op, width, (dst, src, instruction.imm)),
            Assertion::Comparable { cond, width, dst, src } => {
                let b = src.map_or(RegType::exact(instruction.imm.cast_unsigned()), |src| state.get(src));
                self.comparable(cond, width, (dst, state.get(dst)), (src, b))
            }
            Assertion::Storable(register, place) => self.storable(state, register, place),
            Assertion::Callable(helper) => self.callable(helper),
            Assertion::Argument { helper, parameter } => self.argument(state, helper, parameter),
            Assertion::Result => self.result(state),
        }
        .map(|()| None)
    }

    /// The one region and proved range of an access.
    fn access(&self, state: &AbstractState, place: Place, mode: Mode) -> Result<Access, Reason> {
        let pointer = match usable(state, place.base)? {
            RegType::Pointer(pointer) => pointer,
            RegType::Nullable(map) => return Err(Reason::MayBeNull { register: place.base, map }),
            value => return Err(Reason::NotAPointer { register: place.base, value }),
        };
        capability::access(self, state, pointer, place.offset, place.size, mode)
    }

    /// Whether the operation is on the allow-list for these operands, and moves no address too far.
    fn operands(
        &self,
        state: &AbstractState,
        op: AluOp,
        width: Width,
        (dst, src, imm): (u8, Option<u8>, i64),
    ) -> Result<(), Reason> {
        let a = state.get(dst);
        let b = src.map_or(RegType::exact(imm.cast_unsigned()), |src| state.get(src));
        let listed = transfer::kinds(self, op, a, b).and_then(|kinds| allowed(op, width, kinds));
        if listed.is_none() {
            for (register, value) in [(Some(dst).filter(|_| !ignores_dst(op)), a), (src, b)] {
                if let (Some(register), RegType::Nullable(map)) = (register, value) {
                    return Err(Reason::MayBeNull { register, map });
                }
            }
            return Err(Reason::PointerArithmetic { width, operands: Box::new((a, b)) });
        }
        if a.as_pointer().or(b.as_pointer()).is_none() {
            return Ok(());
        }
        if let RegType::Pointer(pointer) = transfer::arithmetic(self, op, width, a, b) {
            let bounds = pointer.offset.signed();
            if bounds.min < -POINTER_OFFSET_MAX || bounds.max > POINTER_OFFSET_MAX {
                return Err(Reason::PointerOffset { pointer });
            }
        }
        Ok(())
    }

    /// Whether the comparison is on the allow-list for these operands.
    fn comparable(
        &self,
        cond: Cond,
        width: Width,
        (dst, a): (u8, RegType),
        (src, b): (Option<u8>, RegType),
    ) -> Result<(), Reason> {
        if comparable(cond, width, transfer::compared(self, a, b)) {
            return Ok(());
        }
        for (register, value) in [(Some(dst), a), (src, b)] {
            if let (Some(register), RegType::Nullable(map)) = (register, value) {
                return Err(Reason::MayBeNull { register, map });
            }
        }
        Err(Reason::Comparison { width, operands: Box::new((a, b)) })
    }

    fn storable(&self, state: &AbstractState, register: u8, place: Place) -> Result<(), Reason> {
        let value = usable(state, register)?;
        if !value.is_address() {
            return Ok(());
        }
        let access = self.access(state, place, Mode::Write)?;
        let whole_slot = access.size == Size::Double && access.lo == access.hi && access.lo.is_multiple_of(8);
        if access.region == Region::Stack && whole_slot {
            return Ok(());
        }
        let Some(base) = state.get(place.base).as_pointer() else { return Err(Reason::Inconsistent) };
        let by = Scalar::exact(i64::from(place.offset).cast_unsigned(), Bits::B64);
        let target = Pointer { offset: Scalar::alu(AluOp::Add, base.offset, by, Bits::B64), ..base };
        Err(Reason::PointerStored { stored: Box::new((value, target)), size: place.size })
    }

    fn callable(&self, helper: u32) -> Result<(), Reason> {
        if self.helpers.get(helper).is_none() {
            return Err(Reason::UnknownHelper { helper });
        }
        match self.kind {
            ProgramKind::Rule(manifest) if manifest.helpers.binary_search(&helper).is_err() => {
                Err(Reason::HelperNotGranted { helper })
            }
            _ => Ok(()),
        }
    }

    fn argument(&self, state: &AbstractState, helper: u32, parameter: u8) -> Result<(), Reason> {
        let Some(ty) = self.helpers.get(helper).and_then(|row| row.args.get(usize::from(parameter))) else {
            return Err(Reason::UnknownHelper { helper });
        };
        let register = parameter + 1;
        let constant = || {
            let value = number(state, register)?;
            value.as_constant().ok_or(Reason::ArgumentNotConstant { register, value: RegType::Scalar(value) })
        };
        let suits = match *ty {
            ArgType::Scalar => return number(state, register).map(|_| ()),
            ArgType::Record => usable(state, register)? == RegType::pointer(Region::Record, 0),
            ArgType::Slot => match self.kind {
                ProgramKind::Rule(manifest) => {
                    let slot = constant()?;
                    u16::try_from(slot).is_ok_and(|slot| manifest.slots.binary_search(&slot).is_ok())
                }
                ProgramKind::Raw { .. } => false,
            },
            ArgType::ConstMask(mask) => constant()? & !mask == 0,
            ArgType::ConstMax(max) => constant()? <= max,
            ArgType::Map(kinds) => match usable(state, register)? {
                RegType::Map(index) => self.map(index).is_some_and(|map| kinds.contains(map.decl.kind)),
                _ => false,
            },
            ArgType::Key => return self.bytes(state, register, *ty, |decl| decl.key_len),
            ArgType::Value => return self.bytes(state, register, *ty, |decl| decl.value_len),
        };
        if suits { Ok(()) } else { Err(Reason::Argument { register, value: state.get(register), want: *ty }) }
    }

    /// Whether a register holds the address of as many readable bytes as the map in `r1` says.
    fn bytes(
        &self,
        state: &AbstractState,
        register: u8,
        want: ArgType,
        len: impl Fn(&MapDecl) -> u32,
    ) -> Result<(), Reason> {
        let map = match state.get(1) {
            RegType::Map(index) => self.map(index),
            _ => None,
        };
        match (usable(state, register)?, map) {
            (RegType::Pointer(pointer), Some(map)) => capability::readable_bytes(self, state, pointer, len(&map.decl)),
            (RegType::Nullable(map), _) => Err(Reason::MayBeNull { register, map }),
            (value, _) => Err(Reason::Argument { register, value, want }),
        }
    }

    fn result(&self, state: &AbstractState) -> Result<(), Reason> {
        let value = usable(state, 0)?;
        if value.is_address() {
            return Err(Reason::PointerReturned { value });
        }
        let is_verdict = value.as_scalar().is_some_and(|value| value.unsigned().max <= VERDICT_MAX);
        match self.kind {
            ProgramKind::Rule(_) if !is_verdict => Err(Reason::NotAVerdict { value }),
            _ => Ok(()),
        }
    }
}

/// The largest `r0` that is a [`Verdict`](crate::program::Verdict).
const VERDICT_MAX: u64 = 2;

/// What a register holds, if that may be used.
fn usable(state: &AbstractState, register: u8) -> Result<RegType, Reason> {
    match state.get(register) {
        RegType::Unusable(why) => Err(Reason::Unusable { register, why }),
        value => Ok(value),
    }
}

fn number(state: &AbstractState, register: u8) -> Result<Scalar, Reason> {
    match usable(state, register)? {
        value @ (RegType::Pointer(_) | RegType::Map(_) | RegType::Nullable(_)) => {
            Err(Reason::NotANumber { register, value })
        }
        RegType::Scalar(scalar) => Ok(scalar),
        RegType::Unusable(why) => Err(Reason::Unusable { register, why }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program::Verdict;

    #[test]
    fn the_largest_verdict_is_the_largest_verdict() {
        assert!((0..=VERDICT_MAX).all(|r0| Verdict::from_r0(r0).is_some()));
        assert_eq!(Verdict::from_r0(VERDICT_MAX + 1), None);
    }

    #[test]
    fn pointer_offsets_at_their_limit() {
        for (by, good) in [
            (POINTER_OFFSET_MAX - 1, true),
            (POINTER_OFFSET_MAX, true),
            (POINTER_OFFSET_MAX + 1, false),
            (-POINTER_OFFSET_MAX, true),
            (-POINTER_OFFSET_MAX - 1, false),
        ] {
            let mut state = AbstractState::entry();
            state.set(1, RegType::pointer(Region::Buffer, 0));
            state.set(2, RegType::exact(by.cast_unsigned()));
            let moved = |state: &AbstractState, op| Context::of(&[]).operands(state, op, Width::W64, (1, Some(2), 0));
            assert_eq!(moved(&state, AluOp::Add).is_ok(), good, "{by}");
            state.set(2, RegType::exact(by.wrapping_neg().cast_unsigned()));
            assert_eq!(moved(&state, AluOp::Sub).is_ok(), good, "{by}");
        }
    }
}
