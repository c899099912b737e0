//! What must hold before an instruction, as data.
//!
//! [`assertions`] lists the preconditions of one instruction; `check` decides whether a state entails one; `transfer`
//! computes the state afterwards and relies on them. Kept apart, a reader can see what is demanded without reading
//! how it is decided, and a forgotten demand shows in a table.

use std::fmt;

use crate::isa::{AluOp, Cond, Decoded, FRAME_POINTER, Kind, Operand, Role, Size, Width};

/// Bytes that an instruction accesses: `size` at `base + offset`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The register with the address.
    pub base: u8,
    /// The displacement.
    pub offset: i32,
    /// How many bytes.
    pub size: Size,
}

/// What is done to memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// A load.
    Read,
    /// A store.
    Write,
    /// An atomic operation, which does both.
    Update,
}

/// One precondition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Assertion {
    /// The register holds something.
    Initialised(u8),
    /// The register holds a number, not an address.
    Number(u8),
    /// The register is not the frame pointer.
    Writable(u8),
    /// The operation is allowed on what its operands are; `src` is None for an immediate.
    Operands {
        /// The operation.
        op: AluOp,
        /// Its width.
        width: Width,
        /// The first operand, and the destination.
        dst: u8,
        /// The second operand, if it is a register.
        src: Option<u8>,
    },
    /// The comparison is allowed for what its operands are; `src` is None for an immediate.
    Comparable {
        /// The condition.
        cond: Cond,
        /// Its width.
        width: Width,
        /// The first operand.
        dst: u8,
        /// The second operand, if it is a register.
        src: Option<u8>,
    },
    /// The bytes lie within one region, within what the program may touch there.
    Accessible(Place, Mode),
    /// The value of the register may be stored in the place: addresses go to the stack only, whole.
    Storable(u8, Place),
    /// The program may call the helper.
    Callable(u32),
    /// The register suits a parameter of the helper, counted from 0.
    Argument {
        /// The helper.
        helper: u32,
        /// Which parameter.
        parameter: u8,
    },
    /// `r0` is what a program of this kind may return.
    Result,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.offset == 0 { write!(f, "[r{}]", self.base) } else { write!(f, "[r{}{:+}]", self.base, self.offset) }
    }
}

impl fmt::Display for Assertion {
    /// In words, as a rejection quotes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Initialised(register) => write!(f, "r{register} holds a value"),
            Self::Number(register) => write!(f, "r{register} holds a number"),
            Self::Writable(register) => write!(f, "r{register} may be written"),
            Self::Operands { dst, src: Some(src), .. } => {
                write!(f, "the operation is defined for what r{dst} and r{src} hold")
            }
            Self::Operands { dst, src: None, .. } => write!(f, "the operation is defined for what r{dst} holds"),
            Self::Comparable { dst, src: Some(src), .. } => {
                write!(f, "the comparison is defined for what r{dst} and r{src} hold")
            }
            Self::Comparable { dst, src: None, .. } => write!(f, "the comparison is defined for what r{dst} holds"),
            Self::Accessible(place, mode) => {
                let (what, bytes) = (mode, place.size.bytes());
                write!(f, "{what} {bytes} byte{} at {place} is allowed", if bytes == 1 { "" } else { "s" })
            }
            Self::Storable(register, place) => write!(f, "what r{register} holds may be stored at {place}"),
            Self::Callable(helper) => write!(f, "the program may call helper {helper}"),
            Self::Argument { helper, parameter } => {
                write!(f, "r{} suits parameter {} of helper {helper}", parameter + 1, parameter + 1)
            }
            Self::Result => f.write_str("r0 is a result that a program of this kind may return"),
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "reading",
            Self::Write => "writing",
            Self::Update => "reading and writing",
        })
    }
}

/// The bytes an instruction accesses, and how; None if it accesses none by itself.
pub(in crate::verifier) fn place(instruction: &Decoded) -> Option<(Place, Mode)> {
    let Decoded { dst, src, offset, .. } = *instruction;
    match instruction.kind() {
        Kind::Load(size, _) => Some((Place { base: src, offset, size }, Mode::Read)),
        Kind::Store(size, _) => Some((Place { base: dst, offset, size }, Mode::Write)),
        Kind::Atomic(_, _, size) => Some((Place { base: dst, offset, size }, Mode::Update)),
        _ => None,
    }
}

/// Puts the preconditions of an instruction into `list`, in the order in which they are checked. `parameters` is the
/// number of parameters of a helper that is called.
pub(in crate::verifier) fn assertions(instruction: &Decoded, parameters: u8, list: &mut Vec<Assertion>) {
    list.clear();
    let Decoded { op, dst, src, imm, .. } = *instruction;
    match instruction.kind() {
        Kind::Alu(op, width, operand) => {
            let src = (operand == Operand::Reg).then_some(src);
            if !ignores_dst(op) {
                list.push(Assertion::Initialised(dst));
            }
            if let Some(src) = src {
                list.push(Assertion::Initialised(src));
            }
            list.push(Assertion::Operands { op, width, dst, src });
        }
        Kind::ByteOrder(..) => list.push(Assertion::Number(dst)),
        Kind::LoadImm | Kind::LoadPseudo(_) | Kind::Jump => {}
        Kind::Load(..) | Kind::Store(..) | Kind::Atomic(..) => {
            if let Some((place, mode)) = place(instruction) {
                list.push(Assertion::Initialised(place.base));
                list.push(Assertion::Accessible(place, mode));
                match instruction.kind() {
                    Kind::Store(_, Operand::Reg) => list.push(Assertion::Storable(src, place)),
                    Kind::Atomic(rmw, ..) => {
                        list.push(Assertion::Number(src));
                        if rmw == crate::isa::Rmw::Cmpxchg {
                            list.push(Assertion::Number(0));
                        }
                    }
                    _ => {}
                }
            }
        }
        Kind::Branch(cond, width, operand) => {
            let src = (operand == Operand::Reg).then_some(src);
            list.push(Assertion::Initialised(dst));
            if let Some(src) = src {
                list.push(Assertion::Initialised(src));
            }
            list.push(Assertion::Comparable { cond, width, dst, src });
        }
        Kind::CallHelper => {
            let helper = helper_number(imm);
            list.push(Assertion::Callable(helper));
            list.extend((0..parameters).map(|parameter| Assertion::Argument { helper, parameter }));
        }
        Kind::Exit => list.push(Assertion::Result),
        // Never decoded, or refused with the control flow.
        Kind::LegacyPacket | Kind::CallLocal | Kind::CallBtf | Kind::CallRegister => {}
    }
    for (role, register) in [(op.row().dst, dst), (op.row().src, src)] {
        if matches!(role, Role::Write | Role::Update) && register == FRAME_POINTER {
            list.push(Assertion::Writable(register));
        }
    }
}

/// Whether an operation overwrites its destination without reading it.
pub(super) const fn ignores_dst(op: AluOp) -> bool {
    matches!(op, AluOp::Mov | AluOp::Movsx8 | AluOp::Movsx16 | AluOp::Movsx32)
}

/// The helper that a call names.
pub(in crate::verifier) const fn helper_number(imm: i64) -> u32 {
    (imm & 0xffff_ffff) as u32
}

/// What kind of value a register holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operands {
    /// Both are numbers (or the only one is).
    Numbers,
    /// An address, then a number.
    PointerNumber,
    /// A number, then an address.
    NumberPointer,
    /// Two addresses in one object, of which it is known where it lies.
    SameObject,
    /// Two other addresses.
    Pointers,
    /// A map, or an address that may be null, beside anything.
    Opaque,
}

/// What an allowed operation yields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Yields {
    /// A number.
    Number,
    /// The address of the first operand, moved.
    MovedFirst,
    /// The address of the second operand, moved.
    MovedSecond,
}

/// The allow-list of arithmetic: what an operation on such operands yields. What is not listed is refused; a new
/// kind of value is therefore refused everywhere until someone says otherwise.
///
/// Moves ask with their source as second operand; what the destination held before is a number to them.
pub(super) const fn allowed(op: AluOp, width: Width, operands: Operands) -> Option<Yields> {
    match (operands, op, width) {
        (Operands::Numbers, _, _) => Some(Yields::Number),
        (Operands::PointerNumber, AluOp::Add | AluOp::Sub, Width::W64) => Some(Yields::MovedFirst),
        (Operands::NumberPointer, AluOp::Add | AluOp::Mov, Width::W64) => Some(Yields::MovedSecond),
        (Operands::SameObject, AluOp::Sub, Width::W64) => Some(Yields::Number),
        (Operands::Opaque, AluOp::Mov, Width::W64) => Some(Yields::MovedSecond),
        _ => None,
    }
}

/// What is compared, in either order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compared {
    /// Two numbers.
    Numbers,
    /// An address and 0.
    PointerZero,
    /// An address that may be null and 0.
    NullableZero,
    /// Two addresses in one object, of which it is known where it lies.
    SameObject,
    /// Anything else.
    Other,
}

/// The allow-list of comparisons.
pub(super) const fn comparable(cond: Cond, width: Width, compared: Compared) -> bool {
    match (compared, cond, width) {
        (Compared::Numbers, _, _) => true,
        (Compared::PointerZero | Compared::NullableZero, Cond::Eq | Cond::Ne, Width::W64) => true,
        (Compared::SameObject, Cond::Set, _) => false,
        (Compared::SameObject, _, Width::W64) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::TABLE;

    /// The whole product of operations, widths and operand kinds: whoever adds to the allow-list changes this list.
    #[test]
    fn the_allow_list_of_pointer_arithmetic() {
        let mut found = Vec::new();
        for row in TABLE {
            let Kind::Alu(op, width, Operand::Reg) = row.kind else { continue };
            for operands in [
                Operands::Numbers,
                Operands::PointerNumber,
                Operands::NumberPointer,
                Operands::SameObject,
                Operands::Pointers,
                Operands::Opaque,
            ] {
                match allowed(op, width, operands) {
                    Some(Yields::Number) if operands == Operands::Numbers => {}
                    Some(_) => found.push(format!("{} {operands:?}", row.mnemonic)),
                    None => assert_ne!(operands, Operands::Numbers, "{}", row.mnemonic),
                }
            }
        }
        assert_eq!(
            found,
            [
                "add PointerNumber",
                "add NumberPointer",
                "sub PointerNumber",
                "sub SameObject",
                "mov NumberPointer",
                "mov Opaque"
            ]
        );
    }

    /// The same of comparisons.
    #[test]
    fn the_allow_list_of_comparisons() {
        let mut found = Vec::new();
        for row in TABLE {
            let Kind::Branch(cond, width, Operand::Reg) = row.kind else { continue };
            assert!(comparable(cond, width, Compared::Numbers) && !comparable(cond, width, Compared::Other));
            for compared in [Compared::PointerZero, Compared::NullableZero, Compared::SameObject] {
                if comparable(cond, width, compared) {
                    found.push(format!("{} {compared:?}", row.mnemonic));
                }
            }
        }
        assert_eq!(
            found,
            [
                "jeq PointerZero",
                "jeq NullableZero",
                "jeq SameObject",
                "jgt SameObject",
                "jge SameObject",
                "jne PointerZero",
                "jne NullableZero",
                "jne SameObject",
                "jsgt SameObject",
                "jsge SameObject",
                "jlt SameObject",
                "jle SameObject",
                "jslt SameObject",
                "jsle SameObject"
            ]
        );
    }

    /// Every register that the table says is read is covered by some assertion, and every memory access by one.
    #[test]
    fn every_register_read_is_asserted() {
        let mut list = Vec::new();
        for row in TABLE.iter().filter(|row| row.refusal().is_none()) {
            let instruction = Decoded { op: row.op, dst: 3, src: 4, offset: 8, imm: 1 };
            assertions(&instruction, 0, &mut list);
            let covers = |register: u8| {
                list.iter().any(|assertion| match *assertion {
                    Assertion::Initialised(r) | Assertion::Number(r) | Assertion::Storable(r, _) => r == register,
                    _ => false,
                })
            };
            if matches!(row.dst, Role::Read | Role::Update) {
                assert!(covers(3), "{}", row.mnemonic);
            }
            if matches!(row.src, Role::Read | Role::Update) {
                assert!(covers(4), "{}", row.mnemonic);
            }
            let accesses = row.offset == Role::Memory;
            assert_eq!(place(&instruction).is_some(), accesses, "{}", row.mnemonic);
            assert_eq!(list.iter().any(|a| matches!(a, Assertion::Accessible(..))), accesses, "{}", row.mnemonic);
        }
    }

    #[test]
    fn writing_the_frame_pointer_is_asserted_wherever_the_table_writes() {
        let mut list = Vec::new();
        let writes = |role| matches!(role, Role::Write | Role::Update);
        for row in TABLE.iter().filter(|row| row.refusal().is_none()) {
            for (role, dst, src) in [(row.dst, FRAME_POINTER, 1), (row.src, 1, FRAME_POINTER)] {
                assertions(&Decoded { op: row.op, dst, src, offset: 0, imm: 0 }, 0, &mut list);
                assert_eq!(list.contains(&Assertion::Writable(FRAME_POINTER)), writes(role), "{}", row.mnemonic);
            }
        }
    }
}
