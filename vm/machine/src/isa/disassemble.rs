//! Instructions to text that assembles back to the same bytes.

use super::assemble::syntax;
use super::decode::find_row;
use super::table::Role;
use super::{Instruction, REGISTERS};

/// The code as assembly, one instruction a line; slots that are no instruction as `.slot`.
pub fn disassemble(code: &[Instruction]) -> String {
    let mut text = String::new();
    let mut pc = 0;
    while pc < code.len() {
        let (line, slots) = line_at(code, pc);
        text.push_str(&line);
        text.push('\n');
        pc += slots;
    }
    text
}

/// The instruction that begins at slot `pc`, empty if there is none.
pub fn disassemble_at(code: &[Instruction], pc: usize) -> String {
    line_at(code, pc).0
}

fn line_at(code: &[Instruction], pc: usize) -> (String, usize) {
    let Some(slot) = code.get(pc).copied() else { return (String::new(), 1) };
    let in_range = |role: Role, register: u8| matches!(role, Role::Fixed(_)) || register < REGISTERS;
    let row = find_row(slot).ok().filter(|row| in_range(row.dst, slot.dst) && in_range(row.src, slot.src));
    match row {
        Some(row) if row.imm == Role::Wide => {
            let next = code.get(pc + 1).copied();
            if let Some(next) = next.filter(|next| Instruction { imm: 0, ..*next } == Instruction::default()) {
                return (syntax::write(row, slot, next.imm), 2);
            }
        }
        Some(row) => return (syntax::write(row, slot, 0), 1),
        None => {}
    }
    (format!(".slot {:016x}", u64::from_be_bytes(slot.to_bytes())), 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{Role, TABLE, assemble};
    use super::*;

    #[test]
    fn every_row_round_trips() {
        for row in TABLE {
            for (register, number) in [(0, 0), (10, -1), (3, i32::MAX), (4, i32::MIN), (9, 0x7fff)] {
                let pick = |role: Role, other: i32| if let Role::Fixed(value) = role { value } else { other };
                let mut code = vec![Instruction {
                    opcode: row.opcode,
                    dst: pick(row.dst, register) as u8,
                    src: pick(row.src, 10 - register) as u8,
                    offset: pick(row.offset, number) as i16,
                    imm: pick(row.imm, number),
                }];
                if row.slots() == 2 {
                    code.push(Instruction { imm: number, ..Instruction::default() });
                }
                let text = disassemble(&code);
                assert!(text.starts_with(row.mnemonic), "{text}");
                assert_eq!(assemble(&text).unwrap().code, code, "{text}");
            }
        }
    }

    proptest! {
        #[test]
        fn any_bytes_round_trip(bytes in prop::collection::vec(any::<[u8; 8]>(), 0..8)) {
            let code: Vec<_> = bytes.into_iter().map(Instruction::from_bytes).collect();
            prop_assert_eq!(assemble(&disassemble(&code)).unwrap().code, code);
        }

        #[test]
        fn assembling_any_text_is_total(text in "(mov|jeq|ldxw|lock|call|local|[%r0-9\\[\\],+\\-x:# \n]|\\PC){0,40}") {
            if let Err(errors) = assemble(&text) {
                prop_assert!(!errors.is_empty());
            }
        }
    }
}
