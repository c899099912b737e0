//! The control flow graph: blocks, where they lead, and an order in which every block follows all that lead to it.
//!
//! The graph has no loops. A jump that closes one is refused here, and so are calls of the program's own functions
//! and code that nothing leads to.

use super::reason::Reason;
use crate::isa::{Decoded, Kind};
use crate::program::{Block, Loaded};

/// The number of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct BlockId(pub u32);

impl BlockId {
    const fn index(self) -> usize {
        self.0 as usize
    }
}

/// Where a block leads. A block that ends with an exit leads nowhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Successors {
    /// The target of the jump or branch at its end.
    pub taken: Option<BlockId>,
    /// What follows it.
    pub next: Option<BlockId>,
}

/// The control flow of one program.
#[derive(Debug)]
pub(super) struct Cfg<'p> {
    program: &'p Loaded,
    successors: Vec<Successors>,
    order: Vec<BlockId>,
}

/// A flaw of the control flow, and the instruction that shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Flaw {
    /// Its slot.
    pub pc: u32,
    /// What is wrong.
    pub reason: Reason,
}

impl<'p> Cfg<'p> {
    /// The control flow of a program, if it is one that this verifier takes.
    pub(super) fn new(program: &'p Loaded) -> Result<Self, Flaw> {
        if let Some((pc, _)) = program.instructions().find(|(_, instruction)| instruction.kind() == Kind::CallLocal) {
            return Err(Flaw { pc, reason: Reason::LocalCall });
        }
        let successors =
            (0..).zip(program.blocks()).map(|(id, block)| successors(program, BlockId(id), block)).collect();
        let mut cfg = Self { program, successors, order: Vec::new() };
        cfg.order = cfg.topological_order()?;
        Ok(cfg)
    }

    /// All blocks, each after all blocks that lead to it.
    pub(super) fn order(&self) -> &[BlockId] {
        &self.order
    }

    /// Number of blocks.
    pub(super) fn len(&self) -> usize {
        self.successors.len()
    }

    /// A block.
    pub(super) fn block(&self, id: BlockId) -> Option<&'p Block> {
        self.program.blocks().get(id.index())
    }

    /// Where a block leads.
    pub(super) fn successors(&self, id: BlockId) -> Successors {
        self.successors.get(id.index()).copied().unwrap_or_default()
    }

    /// The last instruction of a block.
    pub(super) fn last(&self, id: BlockId) -> Option<(u32, &'p Decoded)> {
        last(self.program, self.block(id)?)
    }

    /// Depth first from the entry, without recursion: programs are long and stacks are not.
    fn topological_order(&self) -> Result<Vec<BlockId>, Flaw> {
        #[derive(Clone, Copy, PartialEq)]
        enum Mark {
            New,
            Open,
            Done,
        }
        let mut marks = vec![Mark::New; self.len()];
        let mut order = Vec::with_capacity(self.len());
        // A block and the number of its successors that were looked at.
        let mut open = vec![(BlockId(0), 0)];
        while let Some((id, looked_at)) = open.last_mut() {
            let id = *id;
            let successors = self.successors(id);
            // What follows is looked at last, so that it comes first in the order: blocks stay as written.
            let next = match looked_at {
                0 => successors.taken,
                1 => successors.next,
                _ => {
                    set(&mut marks, id, Mark::Done);
                    order.push(id);
                    open.pop();
                    continue;
                }
            };
            *looked_at += 1;
            set(&mut marks, id, Mark::Open);
            let Some(next) = next else { continue };
            match marks.get(next.index()) {
                Some(Mark::New) => open.push((next, 0)),
                Some(Mark::Open) => {
                    let pc = self.last(id).map_or(0, |(pc, _)| pc);
                    let target = self.block(next).map_or(0, |block| block.start);
                    return Err(Flaw { pc, reason: Reason::Loop { target } });
                }
                Some(Mark::Done) | None => {}
            }
        }
        if let Some(unreached) = marks.iter().position(|mark| *mark == Mark::New) {
            let pc = self.program.blocks().get(unreached).map_or(0, |block| block.start);
            return Err(Flaw { pc, reason: Reason::Unreachable });
        }
        order.reverse();
        return Ok(order);

        fn set(marks: &mut [Mark], id: BlockId, mark: Mark) {
            if let Some(entry) = marks.get_mut(id.index()) {
                *entry = mark;
            }
        }
    }
}

fn last<'p>(program: &'p Loaded, block: &Block) -> Option<(u32, &'p Decoded)> {
    // The last slot may be the second half of a wide load.
    (block.start..block.end).rev().find_map(|pc| Some((pc, program.at(pc)?)))
}

fn successors(program: &Loaded, id: BlockId, block: &Block) -> Successors {
    let Some((pc, instruction)) = last(program, block) else { return Successors::default() };
    let block_at = |pc: u32| {
        let index = program.blocks().binary_search_by_key(&pc, |block| block.start).ok()?;
        u32::try_from(index).ok().map(BlockId)
    };
    let target = || instruction.target(pc).and_then(|target| u32::try_from(target).ok()).and_then(block_at);
    let next = Some(BlockId(id.0 + 1)).filter(|next| next.index() < program.blocks().len());
    match instruction.kind() {
        Kind::Exit => Successors::default(),
        Kind::Jump => Successors { taken: target(), next: None },
        Kind::Branch(..) => Successors { taken: target(), next },
        _ => Successors { taken: None, next },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::helper::RAW_HELPERS;
    use crate::isa::assemble;
    use crate::program::{Program, ProgramKind};

    fn load(text: &str) -> Loaded {
        let program = Program {
            name: "test".to_owned(),
            kind: ProgramKind::Raw { memory_len: 0 },
            code: assemble(text).unwrap().code,
            lines: Vec::new(),
            maps: Vec::new(),
            fuel_limit: 100,
        };
        Loaded::new(program, &RAW_HELPERS).unwrap()
    }

    fn order(text: &str) -> Result<Vec<u32>, (u32, Reason)> {
        let loaded = load(text);
        let cfg = Cfg::new(&loaded).map_err(|flaw| (flaw.pc, flaw.reason))?;
        Ok(cfg.order().iter().map(|id| cfg.block(*id).unwrap().start).collect())
    }

    #[test]
    fn blocks_follow_all_that_lead_to_them() {
        assert_eq!(order("mov r0, 0\nexit"), Ok(vec![0]));
        assert_eq!(order("jeq r1, 0, a\nmov r0, 1\nexit\na: mov r0, 0\nexit"), Ok(vec![0, 1, 3]));
        // A diamond, and a jump that leads back without closing a loop.
        assert_eq!(order("jeq r1, 0, a\nmov r0, 1\nja b\na: mov r0, 0\nb: exit"), Ok(vec![0, 1, 3, 4]));
        assert_eq!(order("ja b\na: mov r0, 0\nexit\nb: mov r1, 0\nja a"), Ok(vec![0, 3, 1]));
        // A wide load as the last instruction of a block.
        assert_eq!(order("jeq r1, 0, a\nlddw r0, 1\na: exit"), Ok(vec![0, 1, 3]));
    }

    #[test]
    fn loops_are_refused_where_they_close() {
        assert_eq!(order("ja -1\nexit"), Err((0, Reason::Loop { target: 0 })));
        assert_eq!(order("mov r0, 0\na: add r0, 1\njlt r0, 9, a\nexit"), Err((2, Reason::Loop { target: 1 })));
        assert_eq!(order("a: jeq r1, 0, b\nexit\nb: ja a"), Err((2, Reason::Loop { target: 0 })));
    }

    #[test]
    fn local_calls_and_unreachable_code_are_refused() {
        assert_eq!(order("call local +1\nexit\nexit"), Err((0, Reason::LocalCall)));
        assert_eq!(order("mov r0, 0\nexit\nmov r0, 1\nexit"), Err((2, Reason::Unreachable)));
        assert_eq!(order("ja +1\nmov r0, 0\nexit"), Err((1, Reason::Unreachable)));
    }

    #[test]
    fn deep_programs_do_not_overflow_our_stack() {
        let mut text = String::from("mov r0, 0\n");
        for _ in 0..30_000 {
            text.push_str("jeq r0, 1, +0\n");
        }
        text.push_str("exit");
        assert_eq!(order(&text).unwrap().len(), 30_001);
    }
}
