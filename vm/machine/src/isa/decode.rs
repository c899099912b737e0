//! Slots to typed instructions.

use std::fmt;

use super::table::{Kind, Op, Role, Row, rows_of};
use super::{FRAME_POINTER, Instruction, REGISTERS};

/// A typed instruction. Its registers are in range and `r10` is not written; fields that the operation does not use
/// are zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Decoded {
    /// The operation.
    pub op: Op,
    /// Destination register.
    pub dst: u8,
    /// Source register.
    pub src: u8,
    /// Displacement of a memory access in bytes, or of a jump or local call in slots from the next instruction.
    pub offset: i32,
    /// The constant, sign-extended; of a wide load all 64 bits; the number of a helper.
    pub imm: i64,
}

/// A field of an instruction, for messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FieldName {
    /// The destination register.
    Dst,
    /// The source register or sub-operation.
    Src,
    /// The offset.
    Offset,
    /// The immediate.
    Imm,
}

impl fmt::Display for FieldName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dst => "dst",
            Self::Src => "src",
            Self::Offset => "offset",
            Self::Imm => "imm",
        })
    }
}

/// Why a slot is not an instruction of this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// No such opcode.
    #[error("unknown opcode 0x{0:02x}")]
    UnknownOpcode(u8),
    /// A field that must be zero is not.
    #[error("reserved field {field} of `{mnemonic}` is {value:#x}, must be 0")]
    Reserved {
        /// The operation.
        mnemonic: &'static str,
        /// The field.
        field: FieldName,
        /// What it holds.
        value: i32,
    },
    /// A field that tells operations apart holds none of their values.
    #[error("{field} of opcode 0x{opcode:02x} is {value:#x}, which names no operation")]
    UnknownOperation {
        /// The opcode.
        opcode: u8,
        /// The field.
        field: FieldName,
        /// What it holds.
        value: i32,
    },
    /// A register above `r10`.
    #[error("{field} of `{mnemonic}` names register {value}, there are r0 to r10")]
    Register {
        /// The operation.
        mnemonic: &'static str,
        /// The field.
        field: FieldName,
        /// What it holds.
        value: u8,
    },
    /// `r10` is the frame pointer.
    #[error("`{mnemonic}` writes r10, the frame pointer, which is read-only")]
    FramePointer {
        /// The operation.
        mnemonic: &'static str,
    },
    /// A wide load at the end of the program.
    #[error("`{mnemonic}` takes two slots and its second is missing")]
    MissingSecondSlot {
        /// The operation.
        mnemonic: &'static str,
    },
    /// The second slot of a wide load holds more than its immediate.
    #[error("the second slot of `{mnemonic}` has {field} {value:#x}, must be 0")]
    SecondSlot {
        /// The operation.
        mnemonic: &'static str,
        /// The field.
        field: SecondSlotField,
        /// What it holds.
        value: i32,
    },
    /// A wide load of something that only a relocation could name.
    #[error("wide load of {what} (src {src}), which no relocation resolved")]
    Unresolved {
        /// The source field.
        src: u8,
        /// What it names.
        what: &'static str,
    },
    /// A known instruction that this machine does not run.
    #[error("`{mnemonic}`: {reason}")]
    Refused {
        /// The operation.
        mnemonic: &'static str,
        /// Why.
        reason: &'static str,
    },
}

/// A field of the second slot of a wide load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SecondSlotField {
    /// The opcode.
    Opcode,
    /// Another field.
    Field(FieldName),
}

impl fmt::Display for SecondSlotField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Opcode => f.write_str("opcode"),
            Self::Field(field) => field.fmt(f),
        }
    }
}

impl Decoded {
    /// The instruction that begins at slot `pc`. None if the code ends before it.
    pub fn at(code: &[Instruction], pc: usize) -> Option<Result<Self, DecodeError>> {
        let slot = *code.get(pc)?;
        Some(Self::from_slots(slot, code.get(pc + 1).copied()))
    }

    /// An instruction from its slot and the one after it, which only a wide load needs.
    pub fn from_slots(slot: Instruction, next: Option<Instruction>) -> Result<Self, DecodeError> {
        let row = find_row(slot)?;
        let mnemonic = row.mnemonic;
        if let Kind::LoadPseudo(pseudo) = row.kind
            && row.refusal().is_some()
        {
            return Err(DecodeError::Unresolved { src: slot.src, what: pseudo.describe() });
        }
        if let Some(reason) = row.refusal() {
            return Err(DecodeError::Refused { mnemonic, reason });
        }
        for (field, role, value) in [(FieldName::Dst, row.dst, slot.dst), (FieldName::Src, row.src, slot.src)] {
            if matches!(role, Role::Read | Role::Write | Role::Update) && value >= REGISTERS {
                return Err(DecodeError::Register { mnemonic, field, value });
            }
            if matches!(role, Role::Write | Role::Update) && value == FRAME_POINTER {
                return Err(DecodeError::FramePointer { mnemonic });
            }
        }
        let offset = match (row.offset, row.imm) {
            (Role::Memory | Role::Target, _) => i32::from(slot.offset),
            (_, Role::Target) => slot.imm,
            _ => 0,
        };
        let imm = match row.imm {
            Role::Value => i64::from(slot.imm),
            Role::Wide => {
                let high = second_slot(mnemonic, next)?;
                (u64::from(high.cast_unsigned()) << 32 | u64::from(slot.imm.cast_unsigned())).cast_signed()
            }
            _ => 0,
        };
        let src = if matches!(row.src, Role::Fixed(_)) { 0 } else { slot.src };
        Ok(Self { op: row.op, dst: slot.dst, src, offset, imm })
    }

    /// Its slots again; the second one is there for wide loads.
    pub fn encode(&self) -> (Instruction, Option<Instruction>) {
        let row = self.op.row();
        let fixed = |role: Role, other: i32| if let Role::Fixed(value) = role { value } else { other };
        let first = Instruction {
            opcode: row.opcode,
            dst: self.dst,
            src: fixed(row.src, i32::from(self.src)) as u8,
            offset: if row.imm == Role::Target { 0 } else { fixed(row.offset, self.offset) as i16 },
            imm: if row.imm == Role::Target { self.offset } else { fixed(row.imm, self.imm as i32) },
        };
        let second =
            (row.imm == Role::Wide).then(|| Instruction { imm: (self.imm >> 32) as i32, ..Instruction::default() });
        (first, second)
    }

    /// What it does.
    pub const fn kind(&self) -> Kind {
        self.op.kind()
    }

    /// Slots it takes.
    pub const fn slots(&self) -> u32 {
        self.op.row().slots()
    }

    /// Where a jump, branch or local call at slot `pc` leads, as a slot number; negative or beyond the program if it
    /// leads outside. None for other instructions.
    pub fn target(&self, pc: u32) -> Option<i64> {
        match self.kind() {
            Kind::Jump | Kind::Branch(..) | Kind::CallLocal => Some(i64::from(pc) + 1 + i64::from(self.offset)),
            _ => None,
        }
    }
}

/// The row whose fixed fields all agree.
pub(super) fn find_row(slot: Instruction) -> Result<&'static Row, DecodeError> {
    let rows = rows_of(slot.opcode);
    let first = rows.first().ok_or(DecodeError::UnknownOpcode(slot.opcode))?;
    let mut best = (usize::MAX, first, FieldName::Dst, 0);
    for row in rows {
        let mut wrong = 0;
        let mut worst = (FieldName::Dst, 0);
        for (field, role, value) in fields(row, slot) {
            if matches!(role, Role::Fixed(fixed) if fixed != value) {
                wrong += 1;
                worst = (field, value);
            }
        }
        if wrong == 0 {
            return Ok(row);
        }
        if wrong < best.0 {
            best = (wrong, row, worst.0, worst.1);
        }
    }
    let (_, row, field, value) = best;
    let role_of = |row: &'static Row| fields(row, slot).into_iter().find(|entry| entry.0 == field).map(|entry| entry.1);
    if rows.iter().all(|other| role_of(other) == Some(Role::Fixed(0))) {
        return Err(DecodeError::Reserved { mnemonic: row.mnemonic, field, value });
    }
    Err(DecodeError::UnknownOperation { opcode: slot.opcode, field, value })
}

fn fields(row: &Row, slot: Instruction) -> [(FieldName, Role, i32); 4] {
    [
        (FieldName::Dst, row.dst, i32::from(slot.dst)),
        (FieldName::Src, row.src, i32::from(slot.src)),
        (FieldName::Offset, row.offset, i32::from(slot.offset)),
        (FieldName::Imm, row.imm, slot.imm),
    ]
}

fn second_slot(mnemonic: &'static str, next: Option<Instruction>) -> Result<i32, DecodeError> {
    let next = next.ok_or(DecodeError::MissingSecondSlot { mnemonic })?;
    for (field, value) in [
        (SecondSlotField::Opcode, i32::from(next.opcode)),
        (SecondSlotField::Field(FieldName::Dst), i32::from(next.dst)),
        (SecondSlotField::Field(FieldName::Src), i32::from(next.src)),
        (SecondSlotField::Field(FieldName::Offset), i32::from(next.offset)),
    ] {
        if value != 0 {
            return Err(DecodeError::SecondSlot { mnemonic, field, value });
        }
    }
    Ok(next.imm)
}

#[cfg(test)]
mod tests {
    use super::super::table::TABLE;
    use super::*;

    /// A slot of this row with plausible operands.
    fn sample(row: &Row) -> (Instruction, Option<Instruction>) {
        let pick = |role: Role, other: i32| if let Role::Fixed(value) = role { value } else { other };
        let slot = Instruction {
            opcode: row.opcode,
            dst: pick(row.dst, 3) as u8,
            src: pick(row.src, 4) as u8,
            offset: pick(row.offset, -8) as i16,
            imm: pick(row.imm, -123_456),
        };
        (slot, Some(Instruction { imm: 77, ..Instruction::default() }))
    }

    #[test]
    fn every_row_decodes_to_its_operation_and_back() {
        for row in TABLE {
            let (slot, next) = sample(row);
            match Decoded::from_slots(slot, next) {
                Ok(decoded) => {
                    assert_eq!(decoded.op, row.op);
                    assert_eq!(row.refusal(), None);
                    assert_eq!(decoded.encode(), (slot, next.filter(|_| row.slots() == 2)));
                }
                Err(error) => assert!(row.refusal().is_some(), "{row:?}: {error}"),
            }
            assert_eq!(Instruction::from_bytes(slot.to_bytes()), slot);
        }
    }

    #[test]
    fn every_fixed_field_is_checked() {
        for row in TABLE {
            let (slot, next) = sample(row);
            for field in [FieldName::Dst, FieldName::Src, FieldName::Offset, FieldName::Imm] {
                for value in 0..16 {
                    let mut changed = slot;
                    let (role, was) = match field {
                        FieldName::Dst => (row.dst, std::mem::replace(&mut changed.dst, value) as i32),
                        FieldName::Src => (row.src, std::mem::replace(&mut changed.src, value) as i32),
                        FieldName::Offset => (row.offset, std::mem::replace(&mut changed.offset, value.into()) as i32),
                        FieldName::Imm => (row.imm, std::mem::replace(&mut changed.imm, value.into())),
                    };
                    if matches!(role, Role::Fixed(_)) && was != i32::from(value) {
                        let decoded = Decoded::from_slots(changed, next);
                        assert!(decoded.map_or(true, |decoded| decoded.op != row.op), "{row:?} {field} {value}");
                    }
                }
            }
        }
    }

    #[test]
    fn errors_name_the_field() {
        let check = |bytes: [u8; 8], want: &str| {
            let got = Decoded::from_slots(Instruction::from_bytes(bytes), None).unwrap_err().to_string();
            assert_eq!(got, want);
        };
        check([0x07, 0x01, 1, 0, 1, 0, 0, 0], "reserved field offset of `add` is 0x1, must be 0");
        check([0x37, 0x01, 2, 0, 1, 0, 0, 0], "offset of opcode 0x37 is 0x2, which names no operation");
        check([0xdb, 0x1a, 0, 0, 2, 0, 0, 0], "imm of opcode 0xdb is 0x2, which names no operation");
        check([0x85, 0x00, 1, 0, 1, 0, 0, 0], "reserved field offset of `call` is 0x1, must be 0");
        check([0x85, 0x30, 0, 0, 1, 0, 0, 0], "src of opcode 0x85 is 0x3, which names no operation");
        check([0xff, 0, 0, 0, 0, 0, 0, 0], "unknown opcode 0xff");
        check([0xb7, 0x0b, 0, 0, 0, 0, 0, 0], "dst of `mov` names register 11, there are r0 to r10");
        check([0xb7, 0x0a, 0, 0, 0, 0, 0, 0], "`mov` writes r10, the frame pointer, which is read-only");
        check([0x18, 0x01, 0, 0, 0, 0, 0, 0], "`lddw` takes two slots and its second is missing");
        check(
            [0x18, 0x11, 0, 0, 0, 0, 0, 0],
            "wide load of a map by file descriptor (src 1), which no relocation resolved",
        );
        check([0x8d, 0x01, 0, 0, 0, 0, 0, 0], "`callx`: calls through registers are not supported");
        check([0x85, 0x20, 0, 0, 7, 0, 0, 0], "`call btf`: kernel functions cannot be called");
        check([0x20, 0x00, 0, 0, 7, 0, 0, 0], "`ldabsw`: legacy packet access has no packet here");
        let next = Instruction { opcode: 0x95, ..Instruction::default() };
        let wide = Decoded::from_slots(Instruction::from_bytes([0x18, 1, 0, 0, 0, 0, 0, 0]), Some(next));
        assert_eq!(wide.unwrap_err().to_string(), "the second slot of `lddw` has opcode 0x95, must be 0");
    }

    #[test]
    fn decoding_is_total() {
        for opcode in 0..=255 {
            for registers in 0..=255 {
                for (offset, imm) in [(0, 0), (1, 1), (8, 16), (-1, -1), (32, 0xf1)] {
                    let slot = Instruction { opcode, dst: registers & 15, src: registers >> 4, offset, imm };
                    if let Ok(decoded) = Decoded::from_slots(slot, Some(Instruction::default())) {
                        assert_eq!(decoded.encode().0, slot);
                    }
                }
            }
        }
    }
}
