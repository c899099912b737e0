//! Any text: the assembler answers, and what it takes survives the way to text and back.

use trapline_vm::isa::{Instruction, assemble, disassemble};

pub(crate) fn check(data: &[u8]) {
    // As text, or as slots.
    let text = String::from_utf8_lossy(data);
    match assemble(&text) {
        Ok(assembly) => {
            assert_eq!(assembly.code.len(), assembly.lines.len());
            again(&assembly.code);
        }
        Err(errors) => {
            assert!(!errors.is_empty(), "refused without a reason");
            let lines = text.lines().count() as u32;
            assert!(errors.iter().all(|error| (1..=lines).contains(&error.line)), "{errors:?}");
        }
    }
    if let Some(code) = Instruction::from_section(&data[..data.len() & !7]) {
        again(&code);
    }
}

fn again(code: &[Instruction]) {
    let text = disassemble(code);
    assert_eq!(assemble(&text).as_ref().map(|assembly| assembly.code.as_slice()), Ok(code), "{text}");
}
