//! An object as text, for `trapline debug asm` and the goldens: assembly with what linking will patch, and the
//! source line of each run of instructions.

use std::fmt::Write;

use trapline_vm::isa::{Decoded, disassemble_at};
use trapline_vm::program::{Object, RelocationKind};

use crate::mir::describe_predicate;

/// Stable text.
pub fn print(object: &Object) -> String {
    let mut text = String::new();
    let mut push = |what: std::fmt::Arguments<'_>| {
        text.write_fmt(what).expect("writing to a string does not fail");
        text.push('\n');
    };
    push(format_args!("# {} on {}: {}", object.name, object.family, object.classes.join(", ")));
    for (index, predicate) in object.predicates.iter().enumerate() {
        push(format_args!("# p{index}: {}", describe_predicate(predicate)));
    }
    let mut lines = object.lines.iter().peekable();
    let mut relocations = object.relocations.iter().peekable();
    let mut pc = 0;
    while pc < object.code.len() {
        let here = |at: u32| at as usize <= pc;
        while let Some(line) = lines.next_if(|line| here(line.pc)) {
            push(format_args!("# line {}", line.line));
        }
        let decoded = Decoded::at(&object.code, pc).and_then(Result::ok);
        let target = decoded.and_then(|decoded| decoded.target(u32::try_from(pc).unwrap_or(u32::MAX)));
        let mut remark = target.map_or(String::new(), |target| format!("-> {target}"));
        while let Some(relocation) = relocations.next_if(|relocation| here(relocation.pc)) {
            if !remark.is_empty() {
                remark.push_str("  ");
            }
            remark.push_str(&relocation_text(object, relocation.kind));
        }
        let instruction = disassemble_at(&object.code, pc);
        if remark.is_empty() {
            push(format_args!("{pc:5}  {instruction}"));
        } else {
            push(format_args!("{pc:5}  {instruction:<28} # {remark}"));
        }
        pc += decoded.map_or(1, |decoded| decoded.slots() as usize);
    }
    text
}

fn relocation_text(object: &Object, kind: RelocationKind) -> String {
    let field = |index: u16| object.fields.get(usize::from(index)).map_or("?", |field| field.name.as_str());
    match kind {
        RelocationKind::Slot(index) => format!("slot of {}", field(index)),
        RelocationKind::State(index) => format!("state of {}", field(index)),
        RelocationKind::SlotNumber(index) => format!("number of {}", field(index)),
        RelocationKind::PredicateByte(index) => format!("byte of p{index}"),
        RelocationKind::PredicateTrue(index) => format!("p{index} true"),
        RelocationKind::PredicateKnown(index) => format!("p{index} known"),
        RelocationKind::PredicateBoth(index) => format!("p{index} both"),
        RelocationKind::Mask(index) => format!("mask p{index}"),
        RelocationKind::SlotOffset(index) => format!("offset of the slot of {}", field(index)),
        RelocationKind::StateOffset(index) => format!("offset of the state of {}", field(index)),
        RelocationKind::PredicateOffset(index) => format!("offset of the byte of p{index}"),
        RelocationKind::MaskOffset(index) => format!("offset of mask p{index}"),
    }
}
