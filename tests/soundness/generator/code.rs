//! Instructions, encoded as RFC 9669 says, and labels. Shares nothing with the machine but the shape of a slot.

use trapline_vm::isa::Instruction;

// Arithmetic
pub(crate) const ADD: u8 = 0x00;
pub(crate) const SUB: u8 = 0x10;
pub(crate) const MUL: u8 = 0x20;
pub(crate) const DIV: u8 = 0x30;
pub(crate) const OR: u8 = 0x40;
pub(crate) const AND: u8 = 0x50;
pub(crate) const LSH: u8 = 0x60;
pub(crate) const RSH: u8 = 0x70;
pub(crate) const NEG: u8 = 0x80;
pub(crate) const MOD: u8 = 0x90;
pub(crate) const XOR: u8 = 0xa0;
pub(crate) const MOV: u8 = 0xb0;
pub(crate) const ARSH: u8 = 0xc0;
pub(crate) const ALU: [u8; 11] = [ADD, SUB, MUL, DIV, OR, AND, LSH, RSH, MOD, XOR, ARSH];

// Branches
pub(crate) const JA: u8 = 0x00;
pub(crate) const JEQ: u8 = 0x10;
pub(crate) const JGT: u8 = 0x20;
pub(crate) const JGE: u8 = 0x30;
pub(crate) const JSET: u8 = 0x40;
pub(crate) const JNE: u8 = 0x50;
pub(crate) const JSGT: u8 = 0x60;
pub(crate) const JSGE: u8 = 0x70;
pub(crate) const JLT: u8 = 0xa0;
pub(crate) const JLE: u8 = 0xb0;
pub(crate) const JSLT: u8 = 0xc0;
pub(crate) const JSLE: u8 = 0xd0;
pub(crate) const BRANCHES: [u8; 11] = [JEQ, JGT, JGE, JSET, JNE, JSGT, JSGE, JLT, JLE, JSLT, JSLE];

// Atomics
pub(crate) const ATOMICS: [i32; 10] = [0x00, 0x01, 0x40, 0x41, 0x50, 0x51, 0xa0, 0xa1, 0xe1, 0xf1];

pub(crate) const SIZES: [u32; 4] = [1, 2, 4, 8];

const CLASS_LD: u8 = 0;
const CLASS_LDX: u8 = 1;
const CLASS_ST: u8 = 2;
const CLASS_STX: u8 = 3;
const CLASS_ALU: u8 = 4;
const CLASS_JMP: u8 = 5;
const CLASS_JMP32: u8 = 6;
const CLASS_ALU64: u8 = 7;

/// A second operand.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Operand {
    Reg(u8),
    Imm(i32),
}

pub(crate) use Operand::{Imm, Reg};

/// A place in the code, perhaps not yet known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Label(usize);

/// Code under construction.
#[derive(Debug, Default)]
pub(crate) struct Code {
    slots: Vec<Instruction>,
    labels: Vec<Option<usize>>,
    /// Slots that name labels.
    uses: Vec<(usize, Label)>,
}

fn size_bits(bytes: u32) -> u8 {
    match bytes {
        1 => 0x10,
        2 => 0x08,
        4 => 0x00,
        _ => 0x18,
    }
}

impl Code {
    fn emit(&mut self, opcode: u8, dst: u8, src: u8, offset: i32, imm: i32) {
        self.slots.push(Instruction { opcode, dst, src, offset: offset as i16, imm });
    }

    fn operand(&mut self, opcode: u8, dst: u8, operand: Operand, offset: i32) {
        match operand {
            Imm(imm) => self.emit(opcode, dst, 0, offset, imm),
            Reg(src) => self.emit(opcode | 8, dst, src, offset, 0),
        }
    }

    pub(crate) fn alu(&mut self, op: u8, wide: bool, dst: u8, operand: Operand) {
        self.operand(op | if wide { CLASS_ALU64 } else { CLASS_ALU }, dst, operand, 0);
    }

    /// Signed division or remainder.
    pub(crate) fn signed(&mut self, op: u8, wide: bool, dst: u8, operand: Operand) {
        self.operand(op | if wide { CLASS_ALU64 } else { CLASS_ALU }, dst, operand, 1);
    }

    pub(crate) fn neg(&mut self, wide: bool, dst: u8) {
        self.emit(NEG | if wide { CLASS_ALU64 } else { CLASS_ALU }, dst, 0, 0, 0);
    }

    pub(crate) fn mov(&mut self, dst: u8, operand: Operand) {
        self.alu(MOV, true, dst, operand);
    }

    pub(crate) fn add(&mut self, dst: u8, operand: Operand) {
        self.alu(ADD, true, dst, operand);
    }

    /// A move with sign extension from so many bits.
    pub(crate) fn movsx(&mut self, bits: u8, wide: bool, dst: u8, src: u8) {
        self.emit(MOV | 8 | if wide { CLASS_ALU64 } else { CLASS_ALU }, dst, src, i32::from(bits), 0);
    }

    /// 0: `le`, 1: `be`, 2: `bswap`.
    pub(crate) fn byte_order(&mut self, order: usize, bits: i32, dst: u8) {
        self.emit([0xd4, 0xdc, 0xd7][order], dst, 0, 0, bits);
    }

    fn wide(&mut self, dst: u8, src: u8, low: u32, high: u32) {
        self.emit(0x18 | CLASS_LD, dst, src, 0, low as i32);
        self.emit(0, 0, 0, 0, high as i32);
    }

    pub(crate) fn load_imm(&mut self, dst: u8, value: u64) {
        self.wide(dst, 0, value as u32, (value >> 32) as u32);
    }

    pub(crate) fn load_map(&mut self, dst: u8, index: u32) {
        self.wide(dst, 5, index, 0);
    }

    pub(crate) fn load_map_value(&mut self, dst: u8, index: u32, offset: u32) {
        self.wide(dst, 6, index, offset);
    }

    pub(crate) fn load(&mut self, bytes: u32, dst: u8, base: u8, offset: i32) {
        self.emit(0x60 | size_bits(bytes) | CLASS_LDX, dst, base, offset, 0);
    }

    pub(crate) fn load_signed(&mut self, bytes: u32, dst: u8, base: u8, offset: i32) {
        self.emit(0x80 | size_bits(bytes) | CLASS_LDX, dst, base, offset, 0);
    }

    pub(crate) fn store(&mut self, bytes: u32, base: u8, offset: i32, value: Operand) {
        match value {
            Imm(imm) => self.emit(0x60 | size_bits(bytes) | CLASS_ST, base, 0, offset, imm),
            Reg(src) => self.emit(0x60 | size_bits(bytes) | CLASS_STX, base, src, offset, 0),
        }
    }

    pub(crate) fn atomic(&mut self, op: i32, bytes: u32, base: u8, offset: i32, src: u8) {
        self.emit(0xc0 | size_bits(bytes) | CLASS_STX, base, src, offset, op);
    }

    pub(crate) fn label(&mut self) -> Label {
        self.labels.push(None);
        Label(self.labels.len() - 1)
    }

    pub(crate) fn place(&mut self, label: Label) {
        self.labels[label.0] = Some(self.slots.len());
    }

    pub(crate) fn jump(&mut self, label: Label) {
        self.uses.push((self.slots.len(), label));
        self.emit(JA | CLASS_JMP, 0, 0, 0, 0);
    }

    pub(crate) fn branch(&mut self, op: u8, wide: bool, dst: u8, operand: Operand, label: Label) {
        self.uses.push((self.slots.len(), label));
        self.operand(op | if wide { CLASS_JMP } else { CLASS_JMP32 }, dst, operand, 0);
    }

    pub(crate) fn call(&mut self, helper: u32) {
        self.emit(0x80 | CLASS_JMP, 0, 0, 0, helper as i32);
    }

    pub(crate) fn call_local(&mut self, label: Label) {
        self.uses.push((self.slots.len(), label));
        self.emit(0x80 | CLASS_JMP, 0, 1, 0, 0);
    }

    pub(crate) fn exit(&mut self) {
        self.emit(0x90 | CLASS_JMP, 0, 0, 0, 0);
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// The code, with all labels placed.
    pub(crate) fn finish(mut self) -> Vec<Instruction> {
        for (at, label) in self.uses {
            let target = self.labels[label.0].expect("labels are placed");
            let distance = target as i32 - at as i32 - 1;
            let slot = &mut self.slots[at];
            if slot.opcode == 0x80 | CLASS_JMP { slot.imm = distance } else { slot.offset = distance as i16 }
        }
        self.slots
    }
}
