//! Arithmetic at both widths, byte order, and branches that go forward.

use super::Generator;
use super::code::{ALU, ARSH, BRANCHES, DIV, Imm, LSH, MOD, MOV, RSH, Reg};

impl Generator<'_, '_> {
    pub(super) fn arithmetic(&mut self) {
        let wide = self.entropy.chance(50);
        let dst = self.updatable();
        match self.entropy.below(14) {
            0 => self.code.neg(wide, dst),
            1 => {
                let (order, bits) = (self.entropy.below(3), self.entropy.pick(&[16, 32, 64]));
                self.code.byte_order(order, bits, dst);
            }
            2 => {
                let src = self.number();
                let bits = self.entropy.pick(&[8, 16, 32]);
                self.code.movsx(bits, wide || bits == 32, dst, src);
            }
            3 => {
                let src = self.number();
                self.code.alu(MOV, wide, dst, Reg(src));
            }
            4 => {
                let (op, operand) = (self.entropy.pick(&[DIV, MOD]), self.operand());
                self.code.signed(op, wide, dst, operand);
            }
            5 | 6 => {
                let (op, amount) = (self.entropy.pick(&[LSH, RSH, ARSH]), self.entropy.below(40) as i32);
                self.code.alu(op, wide, dst, Imm(amount));
            }
            _ => {
                let (op, operand) = (self.entropy.pick(&ALU), self.operand());
                self.code.alu(op, wide, dst, operand);
            }
        }
    }

    pub(super) fn constant(&mut self) {
        let (dst, value) = (self.target(), self.entropy.number());
        self.code.load_imm(dst, value);
    }

    /// A branch over the next parts.
    pub(super) fn branch(&mut self) {
        let dst = self.number();
        let operand = self.operand();
        let (op, wide, parts) = (self.entropy.pick(&BRANCHES), self.entropy.chance(60), self.entropy.below(6));
        let mut ahead = self.ahead();
        self.branch_to(op, wide, dst, operand, &mut ahead);
        self.scope.pending.push((ahead, parts));
    }

    /// A copy of a number is bounded, and both are used.
    pub(super) fn copied(&mut self) {
        let original = self.number();
        let Some(copy) = self.take() else { return self.branch() };
        if copy == original {
            return self.release(copy, true);
        }
        let wide = self.entropy.chance(70);
        self.code.alu(MOV, wide, copy, Reg(original));
        if self.entropy.chance(30) {
            let (op, imm) = (self.entropy.pick(&ALU), self.entropy.imm());
            self.code.alu(op, true, copy, Imm(imm));
        }
        let mut ahead = self.ahead();
        let (op, wide, imm) = (self.entropy.pick(&BRANCHES), self.entropy.chance(60), self.entropy.imm());
        self.branch_to(op, wide, copy, Imm(imm), &mut ahead);
        self.nested(1);
        let dst = self.updatable();
        let op = self.entropy.pick(&ALU);
        self.code.alu(op, true, dst, Reg(copy));
        self.place(ahead);
        self.release(copy, true);
    }
}
