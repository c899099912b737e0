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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::Size;
    use crate::memory::Region;
    use crate::verifier::number::{Bits, Scalar};

    #[test]
    fn what_is_seen_again_is_joined() {
        let access = |lo, hi| Access { region: Region::Stack, lo, hi, size: Size::Byte };
        let fact = |number, access, frame_written| Fact {
            operands: Some((RegType::exact(number), RegType::exact(1))),
            access,
            frame_written,
        };
        let (one, other) = (fact(3, Some(access(4, 6)), false), fact(7, Some(access(2, 9)), true));
        let number = RegType::Scalar(Scalar::exact(3, Bits::B64).join(Scalar::exact(7, Bits::B64), Bits::B64));
        for (first, second) in [(one, other), (other, one)] {
            let mut facts = Facts::default();
            assert!(facts.add(5, first));
            assert!(!facts.add(5, second));
            let there = &facts.seen[&5];
            assert_eq!((there.access, there.frame_written), (Some(access(2, 9)), true));
            assert_eq!(there.operands, Some((number, RegType::exact(1))));
        }
        // Of accesses to other regions, or of other sizes, or where one is not known, nothing is.
        let elsewhere = Access { region: Region::Buffer, ..access(4, 6) };
        let longer = Access { size: Size::Half, ..access(4, 6) };
        for second in [Some(elsewhere), Some(longer), None] {
            let mut facts = Facts::default();
            facts.add(5, one);
            facts.add(5, fact(3, second, false));
            assert_eq!(facts.seen[&5].access, None, "{second:?}");
        }
    }
}
