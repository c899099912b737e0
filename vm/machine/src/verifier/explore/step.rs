//! One instruction on the way: what must hold before it is checked and noted, and the state moves past it.

use super::budget::weight_of_links;
use super::induction::Facts;
use super::{Explorer, Pass, Refusal};
use crate::helper::{Helper, KnownArguments};
use crate::isa::{Decoded, Kind, Rmw, Role};
use crate::memory::{Access, Region};
use crate::verifier::instruction::{Assertion, assertions, helper_number, transfer};
use crate::verifier::number::Scalar;
use crate::verifier::reason::Reason;
use crate::verifier::state::{AbstractState, RegType};

/// Registers that hold the arguments of a call, from the first on.
const ARGUMENTS: usize = 5;

impl Explorer<'_, '_> {
    /// Checks what must hold before an instruction and moves the state past it. The fuel that it can cost beside its
    /// own one; None if a guess ends here.
    pub(super) fn instruction(
        &mut self,
        pc: u32,
        instruction: &Decoded,
        state: &mut AbstractState,
    ) -> Result<Option<u64>, Box<Refusal>> {
        let helper = self.called(instruction);
        let parameters = helper.map_or(0, |helper| helper.args.len().min(ARGUMENTS));
        let mut list = std::mem::take(&mut self.list);
        assertions(instruction, u8::try_from(parameters).unwrap_or(0), &mut list);
        let mut access = None;
        let mut ends = false;
        for assertion in &list {
            let checked = match assertion {
                // What a function returns is the caller's to judge, but for what ends with the function.
                Assertion::Result if state.depth() > 0 => match state.returns_own_frame() {
                    true => Err(Reason::FrameReturned),
                    false => Ok(None),
                },
                _ => self.context.check(assertion, instruction, state),
            };
            match checked {
                Ok(proved) => access = proved.or(access),
                // Nothing comes after what is never usable.
                Err(Reason::Unusable { .. }) if self.pass == Pass::Guess => ends = true,
                // A bound may have been let go too far, and come back. The check that follows will tell.
                Err(_) if self.pass == Pass::Guess && !matches!(assertion, Assertion::Writable(_)) => {}
                Err(reason) => {
                    let registers = involved(instruction, parameters, state);
                    let mut refusal = self.refusal(pc, Some(*assertion), reason);
                    refusal.registers = registers;
                    return Err(refusal);
                }
            }
        }
        self.list = list;
        if ends {
            return Ok(None);
        }
        if let Some(access) = access {
            self.note_access(pc, instruction, &access)?;
        }
        let mut fuel = 0;
        if let Some(helper) = helper {
            fuel = self.cost_of(helper, state);
            if self.pass == Pass::Proof {
                self.notes.call(helper, state);
            }
        }
        if self.pass != Pass::Guess
            && let Some(Some(facts)) = self.facts.last_mut()
            && facts.note(pc, instruction, state, access.as_ref())
        {
            self.hold(Facts::ENTRY_LEN)?;
        }
        if self.pass == Pass::Proof {
            self.notes.instruction(instruction);
        }
        if matches!(instruction.kind(), Kind::Store(..) | Kind::Atomic(..) | Kind::CallHelper) {
            self.count_steps(weight_of_links(state))?;
        }
        transfer::step(&self.context, state, instruction, access.as_ref());
        if !state.is_consistent_after(instruction) {
            return Err(self.refusal(pc, None, Reason::Inconsistent));
        }
        Ok(Some(fuel))
    }

    fn called(&self, instruction: &Decoded) -> Option<&'static Helper> {
        let calls = instruction.kind() == Kind::CallHelper;
        if calls { self.context.helpers.get(helper_number(instruction.imm)) } else { None }
    }

    /// The most fuel that the work of a helper can cost.
    fn cost_of(&self, helper: &Helper, state: &AbstractState) -> u64 {
        let mut known = KnownArguments::default();
        for (register, constant) in (1..).zip(&mut known.constants) {
            *constant = state.get(register).as_scalar().and_then(Scalar::as_constant);
        }
        if let RegType::Map(index) = state.get(1) {
            known.map = self.context.map(index).map(|map| &map.decl);
        }
        helper.fuel_max(&known)
    }

    fn note_access(&mut self, pc: u32, instruction: &Decoded, access: &Access) -> Result<(), Box<Refusal>> {
        let writes = !matches!(instruction.kind(), Kind::Load(..));
        if access.region == Region::Stack {
            self.touch_stack(access, writes);
        }
        if self.pass == Pass::Proof
            && let Err(reason) = self.notes.access(pc, access, writes)
        {
            return Err(self.refusal(pc, None, reason));
        }
        Ok(())
    }
}

/// The registers that an instruction reads, and what they hold.
fn involved(instruction: &Decoded, parameters: usize, state: &AbstractState) -> Vec<(u8, RegType)> {
    let row = instruction.op.row();
    let mut registers = Vec::new();
    for (role, register) in [(row.dst, instruction.dst), (row.src, instruction.src)] {
        if matches!(role, Role::Read | Role::Update) {
            registers.push(register);
        }
    }
    match instruction.kind() {
        Kind::CallHelper => registers.extend((1..).take(parameters)),
        Kind::Exit => registers.push(0),
        Kind::Atomic(Rmw::Cmpxchg, ..) => registers.push(0),
        _ => {}
    }
    registers.dedup();
    registers.into_iter().map(|register| (register, state.get(register))).collect()
}
