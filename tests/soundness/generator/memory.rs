//! Reads and writes: of the context, of what pointers point to at constant and variable offsets, of the stack.

use super::code::{
    ADD, ALU, AND, ATOMICS, BRANCHES, Imm, JEQ, JGE, JGT, JLE, JLT, JNE, JSGT, JSLT, LSH, MOD, MOV, MUL, RSH, Reg,
    SIZES, SUB,
};
use super::{Generator, Pointer, RULE_SLOTS, SPILLS, SPILLS_COUNT};
use trapline_vm::record::Slot;

impl Generator<'_, '_> {
    /// A number from outside into a register.
    pub(super) fn load_input(&mut self, register: u8) {
        let bytes = self.entropy.pick(&SIZES);
        let sign = bytes < 8 && self.entropy.chance(30);
        let (base, offset) = match self.scope.context {
            Some([record, predicates, masks]) => match self.entropy.below(8) {
                0 => (record, self.entropy.below(49 - bytes as usize) as u32),
                1 if bytes <= 4 => (predicates, 0),
                2 => (masks, self.entropy.pick(&[0, 8, 16, 48, 64])),
                3 if bytes == 1 => (record, Slot(self.entropy.pick(&RULE_SLOTS)).state_offset()),
                _ => {
                    let slot = Slot(self.entropy.pick(&RULE_SLOTS));
                    (record, slot.offset() + self.entropy.below(9 - bytes as usize) as u32)
                }
            },
            None => match self.scope.pointers.first().filter(|pointer| pointer.room >= bytes).copied() {
                Some(pointer) => {
                    let offset = self.entropy.below((pointer.room - bytes) as usize + 1) as u32;
                    (pointer.register, offset.wrapping_add_signed(pointer.bias))
                }
                None => {
                    let imm = self.entropy.imm();
                    return self.code.mov(register, Imm(imm));
                }
            },
        };
        if sign {
            self.code.load_signed(bytes, register, base, offset as i32);
        } else {
            self.code.load(bytes, register, base, offset as i32);
        }
    }

    pub(super) fn any_input(&mut self) {
        let register = self.target();
        self.load_input(register);
    }

    /// Loads, stores or updates `bytes` at an address.
    pub(super) fn touch(&mut self, bytes: u32, base: u8, offset: i32, writable: bool) {
        match self.entropy.below(if writable { 9 } else { 3 }) {
            0 if bytes < 8 => {
                let dst = self.target();
                self.code.load_signed(bytes, dst, base, offset);
            }
            0..=3 => {
                let dst = self.target();
                self.code.load(bytes, dst, base, offset);
            }
            4 => {
                let imm = self.entropy.imm();
                self.code.store(bytes, base, offset, Imm(imm));
            }
            5 | 6 if bytes >= 4 => {
                let src = self.updatable();
                if self.scope.numbers & 1 == 0 {
                    // For the comparison with r0.
                    if self.scope.taken & 1 != 0 {
                        return;
                    }
                    self.code.mov(0, Imm(1));
                    self.scope.numbers |= 1;
                }
                if self.scope.taken & 1 != 0 {
                    return self.code.atomic(0x01, bytes, base, offset, src);
                }
                let op = self.entropy.pick(&ATOMICS);
                self.code.atomic(op, bytes, base, offset, src);
            }
            _ => {
                let src = self.number();
                self.code.store(bytes, base, offset, Reg(src));
            }
        }
    }

    /// An access at a constant or at a variable offset.
    pub(super) fn access(&mut self) {
        let pointer = self.any_memory();
        let Pointer { register, bias, room, writable } = pointer;
        let bytes = self.entropy.pick(&SIZES);
        if room < bytes {
            return self.arithmetic();
        }
        let room = room - bytes;
        if self.entropy.chance(35) {
            let offset = self.entropy.below(room as usize + 1) as i32;
            let offset = if self.entropy.chance(70) { offset & !7 } else { offset };
            return self.touch(bytes, register, bias + offset, writable);
        }
        self.variable_access(pointer, bytes);
    }

    /// An access of `bytes` somewhere in the memory of a pointer that has room for them.
    pub(super) fn variable_access(&mut self, pointer: Pointer, bytes: u32) {
        let Pointer { register, bias, room, writable } = pointer;
        let room = room - bytes;
        let Some(index) = self.take_number() else { return };
        let Some(address) = self.take() else { return self.release(index, true) };
        let mut ahead = self.ahead();
        let most = self.entropy.below(room as usize + 1) as i32;
        // What may be added to the index's largest value.
        let mut left = room as i32 - most;
        match self.entropy.below(9) {
            0 => {
                let mask = if most == 0 { 0 } else { (1 << (31 - most.leading_zeros())) - 1 };
                let mask = self.entropy.pick(&[mask, mask & !7, mask & !3]);
                left = room as i32 - mask;
                self.code.alu(AND, true, index, Imm(mask));
            }
            1 => self.code.alu(MOD, true, index, Imm(most + 1)),
            2 => self.branch_to(JGT, true, index, Imm(most), &mut ahead),
            3 => self.branch_to(JGE, true, index, Imm(most + 1), &mut ahead),
            4 => {
                self.branch_to(JSLT, true, index, Imm(0), &mut ahead);
                self.branch_to(JSGT, true, index, Imm(most), &mut ahead);
            }
            5 => {
                self.code.alu(MOV, false, index, Reg(index));
                let op = self.entropy.pick(&[JGT, JSGT]);
                if op == JSGT {
                    self.branch_to(JSLT, false, index, Imm(0), &mut ahead);
                }
                self.branch_to(op, false, index, Imm(most), &mut ahead);
            }
            6 => {
                self.code.alu(RSH, true, index, Imm(60));
                left = room as i32 - 15;
                if left < 0 {
                    self.branch_to(JGT, true, index, Imm(most), &mut ahead);
                    left = room as i32 - most;
                }
            }
            // Bounded after a shift: a known multiple.
            7 => {
                let shift = self.entropy.below(4) as i32;
                self.branch_to(JGT, true, index, Imm(most >> shift), &mut ahead);
                let scale = self.entropy.chance(50);
                if scale {
                    self.code.alu(LSH, true, index, Imm(shift));
                } else {
                    self.code.alu(MUL, true, index, Imm(1 << shift));
                }
            }
            // One value only.
            _ => {
                self.branch_to(JNE, true, index, Imm(most), &mut ahead);
            }
        }
        self.code.mov(address, Reg(register));
        let mut offset = bias + self.entropy.below(left as usize + 1) as i32;
        match self.entropy.below(4) {
            // The constant goes into the address.
            0 => {
                self.code.add(address, Imm(offset));
                offset = 0;
            }
            // More than needed, and back.
            1 => {
                self.code.add(address, Imm(offset + 100));
                offset = -100;
            }
            2 => {
                self.code.alu(SUB, true, address, Imm(-offset));
                offset = 0;
            }
            _ => {}
        }
        if self.entropy.chance(20) {
            self.code.alu(ADD, true, index, Reg(address));
            self.touch(bytes, index, offset, writable);
            self.release(index, false);
        } else {
            self.code.alu(ADD, true, address, Reg(index));
            self.touch(bytes, address, offset, writable);
            self.release(index, true);
        }
        self.release(address, false);
        self.place(ahead);
    }

    /// A register saved on the stack and read again, whole or in part.
    pub(super) fn spill(&mut self) {
        let slot = SPILLS - 8 * self.entropy.below(SPILLS_COUNT) as i32;
        let pointer = self.entropy.below(self.scope.pointers.len() + 1);
        if let Some(pointer) = self.scope.pointers.get(pointer).copied() {
            let Some(address) = self.take() else { return self.arithmetic() };
            self.code.store(8, 10, slot, Reg(pointer.register));
            self.nested(1);
            self.code.load(8, address, 10, slot);
            let moved = Pointer { register: address, ..pointer };
            let bytes = self.entropy.pick(&SIZES);
            if pointer.room >= bytes {
                if self.entropy.chance(50) {
                    self.touch(bytes, address, pointer.bias, pointer.writable);
                } else {
                    self.variable_access(moved, bytes);
                }
            }
            return self.release(address, false);
        }
        let number = self.number();
        self.code.store(8, 10, slot, Reg(number));
        if self.entropy.chance(60) {
            let (op, imm) = (self.entropy.pick(&BRANCHES), self.entropy.imm());
            let mut ahead = self.ahead();
            self.branch_to(op, true, number, Imm(imm), &mut ahead);
            self.nested(1);
            let dst = self.target();
            self.code.load(8, dst, 10, slot);
            let (op, imm) = (self.entropy.pick(&ALU), self.entropy.imm());
            self.code.alu(op, true, dst, Imm(imm));
            self.place(ahead);
        } else {
            let (dst, bytes) = (self.target(), self.entropy.pick(&SIZES));
            let offset = slot + self.entropy.below((9 - bytes) as usize) as i32;
            self.code.load(bytes, dst, 10, offset);
        }
    }

    /// A branch on addresses: of one object, or on whether it is null.
    pub(super) fn compare_addresses(&mut self) {
        let pointer = self.any_memory();
        let parts = self.entropy.below(4);
        let mut ahead = self.ahead();
        if self.entropy.chance(40) {
            let op = self.entropy.pick(&[JEQ, JNE]);
            self.branch_to(op, true, pointer.register, Imm(0), &mut ahead);
        } else {
            let Some(other) = self.take() else { return self.code.place(ahead.label) };
            self.code.mov(other, Reg(pointer.register));
            let by = self.entropy.below(pointer.room as usize + 1) as i32 + pointer.bias;
            self.code.add(other, Imm(by));
            let op = self.entropy.pick(&[JEQ, JNE, JGT, JGE, JLT, JLE, JSGT, JSLT]);
            let (a, b) = if self.entropy.chance(50) { (other, pointer.register) } else { (pointer.register, other) };
            self.branch_to(op, true, a, Reg(b), &mut ahead);
            // The distance is a number.
            if self.entropy.chance(50) {
                self.code.alu(SUB, true, other, Reg(pointer.register));
                self.release(other, true);
            } else {
                self.release(other, false);
            }
        }
        self.scope.pending.push((ahead, parts));
    }

    /// Reads what only one way has written; refused, unless the branch is decided.
    pub(super) fn perhaps_written(&mut self) {
        let (number, imm) = (self.number(), self.entropy.imm());
        let mut ahead = self.ahead();
        self.branch_to(JSGT, true, number, Imm(imm), &mut ahead);
        self.code.store(8, 10, -512, Imm(1));
        self.place(ahead);
        let dst = self.target();
        self.code.load(8, dst, 10, -512);
    }
}
