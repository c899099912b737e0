//! Instructions with labels, and their layout into slots.
//!
//! Every jump goes forward. A conditional jump that does not reach its target in 16 bits becomes
//! `jump +1; ja +1; ja32 target`; an unconditional one becomes `ja32`. What no path reaches is left out.

use trapline_vm::isa::{Decoded, Instruction, Kind, Op};
use trapline_vm::program::{Line, Relocation, RelocationKind};

/// A place in the code, bound once, after every jump to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Label(usize);

/// A register.
pub(super) type Reg = u8;

struct Item {
    instruction: Decoded,
    relocation: Option<RelocationKind>,
    target: Option<Label>,
}

/// What was assembled.
pub(super) struct Assembled {
    pub(super) code: Vec<Instruction>,
    pub(super) relocations: Vec<Relocation>,
    pub(super) lines: Vec<Line>,
}

/// Collects instructions.
#[derive(Default)]
pub(super) struct Assembler {
    items: Vec<Item>,
    /// Item that each label stands before.
    labels: Vec<Option<usize>>,
    /// Whether something jumps to the label.
    used: Vec<bool>,
    /// Whether nothing reaches what comes next.
    dead: bool,
    /// Source lines by item.
    lines: Vec<(usize, u32)>,
}

impl Assembler {
    pub(super) fn label(&mut self) -> Label {
        self.labels.push(None);
        self.used.push(false);
        Label(self.labels.len() - 1)
    }

    pub(super) fn bind(&mut self, label: Label) {
        self.labels[label.0] = Some(self.items.len());
        self.dead &= !self.used[label.0];
    }

    /// What follows comes from this line.
    pub(super) fn line(&mut self, line: u32) {
        if self.dead {
            return;
        }
        let at = self.items.len();
        if self.lines.last().is_some_and(|last| last.0 == at) {
            self.lines.pop();
        }
        if self.lines.last().is_none_or(|last| last.1 != line) {
            self.lines.push((at, line));
        }
    }

    /// Items so far: a lower bound of the slots.
    pub(super) fn len(&self) -> usize {
        self.items.len()
    }

    fn push(&mut self, instruction: Decoded, relocation: Option<RelocationKind>, target: Option<Label>) {
        if self.dead {
            return;
        }
        if let Some(label) = target {
            self.used[label.0] = true;
        }
        self.dead = matches!(instruction.kind(), Kind::Jump | Kind::Exit);
        self.items.push(Item { instruction, relocation, target });
    }

    /// `dst op= src`.
    pub(super) fn reg(&mut self, op: Op, dst: Reg, src: Reg) {
        self.push(Decoded { op, dst, src, offset: 0, imm: 0 }, None, None);
    }

    /// `dst op= imm`.
    pub(super) fn imm(&mut self, op: Op, dst: Reg, imm: i32) {
        self.push(Decoded { op, dst, src: 0, offset: 0, imm: imm.into() }, None, None);
    }

    pub(super) fn imm_relocated(&mut self, op: Op, dst: Reg, relocation: RelocationKind) {
        self.push(Decoded { op, dst, src: 0, offset: 0, imm: 0 }, Some(relocation), None);
    }

    /// `dst = value`.
    pub(super) fn constant(&mut self, dst: Reg, value: i64) {
        match i32::try_from(value) {
            Ok(value) => self.imm(Op::Mov64Imm, dst, value),
            Err(_) => self.push(Decoded { op: Op::Lddw, dst, src: 0, offset: 0, imm: value }, None, None),
        }
    }

    /// `dst = *(base + offset)`.
    pub(super) fn load(&mut self, op: Op, dst: Reg, base: Reg, offset: i16) {
        self.push(Decoded { op, dst, src: base, offset: offset.into(), imm: 0 }, None, None);
    }

    pub(super) fn load_relocated(&mut self, op: Op, dst: Reg, base: Reg, offset: i16, relocation: RelocationKind) {
        self.push(Decoded { op, dst, src: base, offset: offset.into(), imm: 0 }, Some(relocation), None);
    }

    /// `*(base + offset) = src`, eight bytes.
    pub(super) fn store(&mut self, base: Reg, offset: i16, src: Reg) {
        self.push(Decoded { op: Op::StxDw, dst: base, src, offset: offset.into(), imm: 0 }, None, None);
    }

    /// `*(base + offset) = imm`, eight bytes.
    pub(super) fn store_imm(&mut self, base: Reg, offset: i16, imm: i32) {
        self.push(Decoded { op: Op::StDw, dst: base, src: 0, offset: offset.into(), imm: imm.into() }, None, None);
    }

    pub(super) fn call(&mut self, helper: u32) {
        self.push(Decoded { op: Op::CallHelper, dst: 0, src: 0, offset: 0, imm: helper.into() }, None, None);
    }

    pub(super) fn exit(&mut self) {
        self.push(Decoded { op: Op::Exit, dst: 0, src: 0, offset: 0, imm: 0 }, None, None);
    }

    pub(super) fn jump(&mut self, target: Label) {
        self.push(Decoded { op: Op::Ja, dst: 0, src: 0, offset: 0, imm: 0 }, None, Some(target));
    }

    pub(super) fn branch_imm(&mut self, op: Op, dst: Reg, imm: i32, target: Label) {
        self.push(Decoded { op, dst, src: 0, offset: 0, imm: imm.into() }, None, Some(target));
    }

    pub(super) fn branch_relocated(&mut self, op: Op, dst: Reg, relocation: RelocationKind, target: Label) {
        self.push(Decoded { op, dst, src: 0, offset: 0, imm: 0 }, Some(relocation), Some(target));
    }

    pub(super) fn branch_reg(&mut self, op: Op, dst: Reg, src: Reg, target: Label) {
        self.push(Decoded { op, dst, src, offset: 0, imm: 0 }, None, Some(target));
    }

    /// Lays the code out; None if it takes more than `limit` slots.
    pub(super) fn finish(self, limit: usize) -> Option<Assembled> {
        let targets: Vec<Option<usize>> = self
            .items
            .iter()
            .map(|item| item.target.map(|label| self.labels[label.0].expect("every label that is used is bound")))
            .collect();
        let mut long = vec![false; self.items.len()];
        let starts = loop {
            let starts = self.starts(&long);
            let mut changed = false;
            for (index, target) in targets.iter().enumerate() {
                let Some(target) = *target else { continue };
                if !long[index] && starts[target] - (starts[index] + 1) > i16::MAX as usize {
                    long[index] = true;
                    changed = true;
                }
            }
            if !changed {
                break starts;
            }
        };
        let len = starts[self.items.len()];
        if len > limit {
            return None;
        }
        let slot = |pc: usize| u32::try_from(pc).unwrap_or(u32::MAX);
        let mut code = Vec::with_capacity(len);
        let mut relocations = Vec::new();
        for (index, item) in self.items.iter().enumerate() {
            let pc = starts[index];
            if let Some(kind) = item.relocation {
                relocations.push(Relocation { pc: slot(pc), kind });
            }
            let mut instruction = item.instruction;
            if let Some(target) = targets[index] {
                let distance = |from: usize| i32::try_from(starts[target] - (from + 1)).unwrap_or(i32::MAX);
                let conditional = matches!(instruction.kind(), Kind::Branch(..));
                if !long[index] {
                    instruction.offset = distance(pc);
                } else if conditional {
                    instruction.offset = 1;
                    code.push(instruction.encode().0);
                    code.push(Decoded { op: Op::Ja, dst: 0, src: 0, offset: 1, imm: 0 }.encode().0);
                    instruction = Decoded { op: Op::Ja32, dst: 0, src: 0, offset: distance(pc + 2), imm: 0 };
                } else {
                    instruction.op = Op::Ja32;
                    instruction.offset = distance(pc);
                }
            }
            let (first, second) = instruction.encode();
            code.push(first);
            code.extend(second);
        }
        let lines = self.lines.iter().map(|(item, line)| Line { pc: slot(starts[*item]), line: *line }).collect();
        Some(Assembled { code, relocations, lines })
    }

    /// First slot of each item, and the end.
    fn starts(&self, long: &[bool]) -> Vec<usize> {
        let mut starts = Vec::with_capacity(self.items.len() + 1);
        let mut pc = 0;
        for (item, long) in self.items.iter().zip(long) {
            starts.push(pc);
            let conditional = matches!(item.instruction.kind(), Kind::Branch(..));
            pc += if *long && conditional { 3 } else { item.instruction.slots() as usize };
        }
        starts.push(pc);
        starts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs code of moves, jumps and exits: what a far jump must not change.
    fn run(code: &[Instruction], r1: i64) -> i64 {
        let mut pc = 0u32;
        let mut r0 = -1;
        loop {
            let decoded = Decoded::at(code, pc as usize).unwrap().unwrap();
            match decoded.op {
                Op::Exit => return r0,
                Op::Mov64Imm => r0 = decoded.imm,
                Op::Jeq64Imm if r1 != decoded.imm => {}
                Op::Ja | Op::Ja32 | Op::Jeq64Imm => {
                    pc = u32::try_from(decoded.target(pc).unwrap()).unwrap();
                    continue;
                }
                other => panic!("{other:?}"),
            }
            pc += 1;
        }
    }

    #[test]
    fn jumps_at_and_beyond_their_reach() {
        for filler in [0, 1, 32_764, 32_765, 32_766, 32_767, 40_000] {
            let mut assembler = Assembler::default();
            let (far, end, between) = (assembler.label(), assembler.label(), assembler.label());
            assembler.branch_imm(Op::Jeq64Imm, 1, 9, between);
            assembler.branch_imm(Op::Jeq64Imm, 1, 7, far);
            assembler.imm(Op::Mov64Imm, 0, 1);
            assembler.jump(end);
            assembler.bind(between);
            for _ in 0..filler {
                assembler.imm(Op::Mov64Imm, 0, 9);
            }
            assembler.bind(far);
            assembler.imm(Op::Mov64Imm, 0, 2);
            assembler.bind(end);
            assembler.exit();
            let code = assembler.finish(65_535).unwrap().code;
            assert_eq!(run(&code, 7), 2, "{filler}");
            assert_eq!(run(&code, 8), 1, "{filler}");
            let long = code.iter().any(|slot| slot.opcode == Op::Ja32.row().opcode);
            assert_eq!(long, filler + 2 > 32_767, "{filler}");
        }
    }

    #[test]
    fn what_no_path_reaches_is_left_out() {
        let mut assembler = Assembler::default();
        let (used, unused) = (assembler.label(), assembler.label());
        assembler.jump(used);
        assembler.imm(Op::Mov64Imm, 0, 1);
        assembler.bind(unused);
        assembler.exit();
        assembler.bind(used);
        assembler.imm(Op::Mov64Imm, 0, 2);
        assembler.exit();
        let code = assembler.finish(65_535).unwrap().code;
        assert_eq!(code.len(), 3);
        assert_eq!(run(&code, 0), 2);
    }

    #[test]
    fn the_limit_is_on_slots() {
        for (limit, fits) in [(3, false), (4, true), (5, true)] {
            let mut assembler = Assembler::default();
            assembler.constant(1, 1 << 40);
            assembler.imm(Op::Mov64Imm, 0, 0);
            assembler.exit();
            assert_eq!(assembler.finish(limit).is_some(), fits);
        }
    }
}
