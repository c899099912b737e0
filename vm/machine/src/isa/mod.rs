//! The instruction set: RFC 9669.

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
