//! The instruction set: RFC 9669, from one table.
//!
//! [`TABLE`] has a row for each operation; a row says its opcode, what each field is for or must hold, how it is
//! written in assembly, and what it does ([`Kind`]). [`Decoded::at`] turns slots into typed instructions and refuses
//! what the table does not allow; [`assemble`] and [`disassemble`] turn text into slots and back.
//!
//! ```text
//! bytes  <->  Instruction (a slot)  ->  Decoded (typed)  ->  verifier, executors
//! text   <->
//! ```
//!
//! Decoding is not verification: it knows one instruction at a time.

mod assemble;
mod decode;
mod disassemble;
mod semantics;
mod table;

pub use assemble::{AssembleError, Assembly, assemble};
pub use decode::{DecodeError, Decoded, FieldName, SecondSlotField};
pub use disassemble::{disassemble, disassemble_at};
pub use table::{
    AluOp, Cond, Extension, Group, Kind, Op, Operand, Order, Pseudo, Rmw, Role, Row, Size, TABLE, Width, rows_of,
};

/// Number of registers, `r0` to `r10`.
pub const REGISTERS: u8 = 11;
/// The frame pointer, which no program may write.
pub const FRAME_POINTER: u8 = 10;
/// Bytes of a slot.
pub const INSTRUCTION_LEN: usize = 8;

/// One eight-byte instruction slot, fields as RFC 9669 section 3 lays them out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Instruction {
    /// Operation and class.
    pub opcode: u8,
    /// Destination register, 0 to 10 (4 bits).
    pub dst: u8,
    /// Source register, 0 to 10, or a sub-operation (4 bits).
    pub src: u8,
    /// Signed offset.
    pub offset: i16,
    /// Signed immediate.
    pub imm: i32,
}

impl Instruction {
    /// From its encoding: little endian, destination in the low half of the second byte.
    pub const fn from_bytes(bytes: [u8; INSTRUCTION_LEN]) -> Self {
        let [opcode, registers, o0, o1, i0, i1, i2, i3] = bytes;
        Self {
            opcode,
            dst: registers & 0xf,
            src: registers >> 4,
            offset: i16::from_le_bytes([o0, o1]),
            imm: i32::from_le_bytes([i0, i1, i2, i3]),
        }
    }

    /// Its encoding. Register fields are cut to four bits.
    pub const fn to_bytes(self) -> [u8; INSTRUCTION_LEN] {
        let [o0, o1] = self.offset.to_le_bytes();
        let [i0, i1, i2, i3] = self.imm.to_le_bytes();
        [self.opcode, self.dst & 0xf | self.src << 4, o0, o1, i0, i1, i2, i3]
    }

    /// All the instructions of a text section; None if its length is not a multiple of eight.
    pub fn from_section(bytes: &[u8]) -> Option<Vec<Self>> {
        let (slots, rest) = bytes.as_chunks();
        rest.is_empty().then(|| slots.iter().map(|slot| Self::from_bytes(*slot)).collect())
    }

    /// The text section of these instructions.
    pub fn to_section(code: &[Self]) -> Vec<u8> {
        code.iter().flat_map(|slot| slot.to_bytes()).collect()
    }
}
