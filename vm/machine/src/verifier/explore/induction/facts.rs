//! What a checking pass sees of a loop: of each instruction, what its operands can be; of each block, where it leads.

use std::collections::BTreeMap;

use crate::isa::{AluOp, Decoded, Kind, Operand};
use crate::memory::Access;
use crate::verifier::state::{AbstractState, RegType};

/// What was seen at one instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fact {
    /// The operands, of arithmetic.
    pub operands: Option<(RegType, RegType)>,
    /// The memory that was accessed, if it was one range in one region.
    pub access: Option<Access>,
    /// Whether the called function wrote to the frame.
    pub frame_written: bool,
}

/// What was seen in a loop while it was checked.
#[derive(Debug, Default)]
pub(in crate::verifier::explore) struct Facts {
    /// By slot.
    pub(super) seen: BTreeMap<u32, Fact>,
    /// From and to which positions a run can go.
    pub(super) ways: BTreeMap<(u32, u32), ()>,
}

impl Facts {
    /// Bytes counted for each thing seen.
    pub(in crate::verifier::explore) const ENTRY_LEN: usize = size_of::<Fact>() + 16;

    pub(in crate::verifier::explore) fn bytes(&self) -> usize {
        (self.seen.len() + self.ways.len()) * Self::ENTRY_LEN
    }

    /// Notes an instruction, before it is done. Whether it was seen for the first time.
    pub(in crate::verifier::explore) fn note(
        &mut self,
        pc: u32,
        instruction: &Decoded,
        state: &AbstractState,
        access: Option<&Access>,
    ) -> bool {
        let operands = match instruction.kind() {
            Kind::Alu(op, _, operand) if follows(op) => {
                let b = match operand {
                    Operand::Imm => RegType::exact(instruction.imm.cast_unsigned()),
                    Operand::Reg => state.get(instruction.src),
                };
                Some((state.get(instruction.dst), b))
            }
            Kind::Load(..) | Kind::Store(..) | Kind::Atomic(..) | Kind::CallLocal => None,
            _ => return false,
        };
        self.add(pc, Fact { operands, access: access.copied(), frame_written: false })
    }

    /// Notes that a local call wrote to the frame of its caller.
    pub(in crate::verifier::explore) fn note_written_frame(&mut self, pc: u32) {
        if let Some(fact) = self.seen.get_mut(&pc) {
            fact.frame_written = true;
        }
    }

    /// Notes a way from block to block. Whether it was seen for the first time.
    pub(in crate::verifier::explore) fn note_way(&mut self, from: u32, to: u32) -> bool {
        self.ways.insert((from, to), ()).is_none()
    }

    fn add(&mut self, pc: u32, fact: Fact) -> bool {
        let Some(there) = self.seen.get_mut(&pc) else {
            self.seen.insert(pc, fact);
            return true;
        };
        there.operands = there.operands.zip(fact.operands).map(|((a, b), (c, d))| (a.join(c), b.join(d)));
        there.access = there
            .access
            .zip(fact.access)
            .filter(|(a, b)| (a.region, a.size) == (b.region, b.size))
            .map(|(a, b)| Access { lo: a.lo.min(b.lo), hi: a.hi.max(b.hi), ..a });
        there.frame_written |= fact.frame_written;
        false
    }

    /// Takes in what was seen elsewhere.
    pub(in crate::verifier::explore) fn merge(&mut self, other: Self) {
        for (pc, fact) in other.seen {
            self.add(pc, fact);
        }
        self.ways.extend(other.ways);
    }
}

/// Operations that deltas follow.
const fn follows(op: AluOp) -> bool {
    matches!(op, AluOp::Add | AluOp::Sub | AluOp::Mov | AluOp::Movsx32 | AluOp::Lsh | AluOp::Rsh | AluOp::Arsh)
}
