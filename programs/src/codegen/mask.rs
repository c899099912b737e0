//! Quantifiers: 64 elements at once, one bit each.
//!
//! A test on an element is a word of bits made from its mask entry; `and` and `or` are bitwise. Conditions on the
//! event are decided first and stand in the algebra as all zeros or all ones. Bits beyond the list are cleared at
//! the end, if they can be set at all.

use std::collections::HashMap;

use trapline_vm::isa::Op;
use trapline_vm::predicate::{Cmp, MASK_KNOWN, MASK_LOST, MASK_TRUE};
use trapline_vm::program::RelocationKind;
use trapline_vm::record::MASK_ELEMENTS_MAX;

use super::leaf::With;
use super::{CodegenError, Exits, FRAME, Generator, LOST, PRESENT, TRUNCATED};
use crate::hir::LeafKind;
use crate::mir::{Cond, Each, Outcomes};

/// A condition on an element, as bits.
enum Mask {
    Const(bool),
    /// A stack slot with all zeros or all ones.
    Event(i16),
    /// Words of a mask entry.
    Element {
        predicate: u16,
        words: Words,
    },
    All(Vec<Mask>),
    Any(Vec<Mask>),
}

/// Which words of a mask entry make the bits, and whether the result is inverted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Words {
    /// Known and not true: both words, xored.
    is_false: bool,
    is_true: bool,
    known: bool,
    lost: bool,
    inverted: bool,
}

impl Words {
    /// The cheapest words that say `ask` wherever only `possible` outcomes occur.
    fn of(ask: Outcomes, possible: Outcomes) -> Self {
        let mut best: Option<(u32, Self)> = None;
        let given = Outcomes::TRUE.or(Outcomes::FALSE).or(Outcomes::LOST);
        for bits in 0..8u32 {
            let mut set = Outcomes::NONE;
            for (bit, outcome) in [Outcomes::TRUE, Outcomes::FALSE, Outcomes::LOST].into_iter().enumerate() {
                if bits >> bit & 1 != 0 {
                    set = set.or(outcome);
                }
            }
            let rest = given.without(set).or(Outcomes::ABSENT);
            for (inverted, covers) in [(false, set), (true, rest)] {
                if covers.and(possible) != ask.and(possible) {
                    continue;
                }
                let has = |outcome: Outcomes| set.meets(outcome);
                let known = has(Outcomes::TRUE) && has(Outcomes::FALSE);
                let words = Self {
                    is_false: has(Outcomes::FALSE) && !known,
                    is_true: has(Outcomes::TRUE) && !known,
                    known,
                    lost: has(Outcomes::LOST),
                    inverted,
                };
                let loads = 2 * u32::from(words.is_false)
                    + u32::from(words.is_true)
                    + u32::from(words.known)
                    + u32::from(words.lost);
                let cost = 2 * loads + u32::from(inverted);
                if best.is_none_or(|(least, _)| cost < least) {
                    best = Some((cost, words));
                }
            }
        }
        // Either `ask` or its complement is without the absent outcome, so one always covers it.
        best.map_or(
            Self { is_false: false, is_true: false, known: false, lost: false, inverted: false },
            |(_, words)| words,
        )
    }
}

impl Mask {
    /// Whether no bit beyond the list is ever set.
    fn is_bounded(&self) -> bool {
        match self {
            Self::Const(value) => !value,
            Self::Event(_) => false,
            Self::Element { words, .. } => !words.inverted,
            Self::All(parts) => parts.iter().any(Self::is_bounded),
            Self::Any(parts) => parts.iter().all(Self::is_bounded),
        }
    }

    /// Registers to compute it, if the part that needs most goes first.
    fn need(&self) -> usize {
        match self {
            Self::Const(_) | Self::Event(_) => 1,
            Self::Element { .. } => 2,
            Self::All(parts) | Self::Any(parts) => {
                let mut needs: Vec<usize> = parts.iter().map(Self::need).collect();
                needs.sort_unstable_by(|a, b| b.cmp(a));
                let first = needs.first().copied().unwrap_or(1);
                needs.iter().skip(1).fold(first, |most, need| most.max(need + 1))
            }
        }
    }
}

impl Generator<'_> {
    /// Decides a quantifier.
    pub(super) fn each(&mut self, each: &Each, exits: Exits) -> Result<(), CodegenError> {
        self.asm.line(each.line);
        let list = self.field(&each.list)?;
        let scratch = self.registers.scratch;
        let (absent, lost) = (exits.of(each.on_absent), exits.of(each.on_lost));
        self.load_state(scratch[0], list);
        if absent == lost {
            let there = self.asm.label();
            self.bits(scratch[0], With::Imm(PRESENT), there, absent, there);
            self.asm.bind(there);
        } else {
            self.asm.branch_imm(Op::Jeq64Imm, scratch[0], 0, absent);
            self.asm.branch_imm(Op::Jset64Imm, scratch[0], LOST, lost);
        }
        if each.every && !each.on_beyond {
            self.asm.branch_imm(Op::Jset64Imm, scratch[0], TRUNCATED, exits.no);
            self.load_count(scratch[0], list);
            self.asm.branch_imm(Op::Jgt64Imm, scratch[0], MASK_ELEMENTS_MAX as i32, exits.no);
        }
        let mark = self.stack_used;
        let mask = self.lower(&each.body, &mut HashMap::new())?;
        self.asm.line(each.line);
        self.mask(&mask, 0)?;
        self.stack_used = mark;
        if each.every {
            self.asm.imm(Op::Xor64Imm, scratch[0], -1);
        }
        if each.every || !mask.is_bounded() {
            self.clear_beyond(list);
        }
        if each.every {
            self.compare(Cmp::Eq, scratch[0], With::Imm(0), exits.yes, exits.no, exits.next);
        } else if each.on_beyond {
            self.asm.branch_imm(Op::Jne64Imm, scratch[0], 0, exits.yes);
            self.load_state(scratch[0], list);
            self.asm.branch_imm(Op::Jset64Imm, scratch[0], TRUNCATED, exits.yes);
            self.load_count(scratch[0], list);
            self.compare(Cmp::Gt, scratch[0], With::Imm(MASK_ELEMENTS_MAX as i32), exits.yes, exits.no, exits.next);
        } else {
            self.compare(Cmp::Ne, scratch[0], With::Imm(0), exits.yes, exits.no, exits.next);
        }
        Ok(())
    }

    /// Clears the bits of the first scratch register that are not elements of the list.
    fn clear_beyond(&mut self, list: u16) {
        let [bits, valid, count, ..] = self.registers.scratch;
        let full = self.asm.label();
        self.load_count(count, list);
        self.asm.imm(Op::Mov64Imm, valid, -1);
        self.asm.branch_imm(Op::Jge64Imm, count, MASK_ELEMENTS_MAX as i32, full);
        self.asm.imm(Op::Mov64Imm, valid, 1);
        self.asm.reg(Op::Lsh64Reg, valid, count);
        self.asm.imm(Op::Add64Imm, valid, -1);
        self.asm.bind(full);
        self.asm.reg(Op::And64Reg, bits, valid);
    }

    /// The bits that a condition stands for; decides its parts about the event on the way.
    fn lower(&mut self, cond: &Cond, decided: &mut HashMap<Cond, i16>) -> Result<Mask, CodegenError> {
        if self.is_event(cond) {
            return self.lower_event(cond, decided);
        }
        match cond {
            Cond::Test { test, ask, possible } => {
                let test = self.test_of(*test);
                match &test.kind {
                    LeafKind::Predicate(predicate) => {
                        let predicate = self.predicate(predicate, &test.text)?;
                        Ok(Mask::Element { predicate, words: Words::of(*ask, *possible) })
                    }
                    _ => self.lower_event(cond, decided),
                }
            }
            Cond::All(parts) | Cond::Any(parts) => {
                let all = matches!(cond, Cond::All(_));
                let (events, elements): (Vec<_>, Vec<_>) = parts.iter().partition(|part| self.is_event(part));
                let mut lowered = Vec::with_capacity(elements.len() + 1);
                if let [event] = events[..] {
                    lowered.push(self.lower_event(event, decided)?);
                } else if !events.is_empty() {
                    let events = events.into_iter().cloned().collect();
                    let together = if all { Cond::All(events) } else { Cond::Any(events) };
                    lowered.push(self.lower_event(&together, decided)?);
                }
                for element in elements {
                    lowered.push(self.lower(element, decided)?);
                }
                Ok(if all { Mask::All(lowered) } else { Mask::Any(lowered) })
            }
            Cond::Const(_) | Cond::Each(_) => self.lower_event(cond, decided),
        }
    }

    /// A condition on the event: decided now, kept on the stack.
    fn lower_event(&mut self, cond: &Cond, decided: &mut HashMap<Cond, i16>) -> Result<Mask, CodegenError> {
        if let Cond::Const(value) = cond {
            return Ok(Mask::Const(*value));
        }
        if let Some(slot) = decided.get(cond) {
            return Ok(Mask::Event(*slot));
        }
        let slot = self.stack_slot()?;
        let (yes, no, end) = (self.asm.label(), self.asm.label(), self.asm.label());
        self.cond(cond, Exits { yes, no, next: no })?;
        self.asm.bind(no);
        self.asm.store_imm(FRAME, slot, 0);
        self.asm.jump(end);
        self.asm.bind(yes);
        self.asm.store_imm(FRAME, slot, -1);
        self.asm.bind(end);
        decided.insert(cond.clone(), slot);
        Ok(Mask::Event(slot))
    }

    fn is_event(&self, cond: &Cond) -> bool {
        match cond {
            Cond::Const(_) | Cond::Each(_) => true,
            Cond::Test { test, .. } => {
                !matches!(&self.test_of(*test).kind, LeafKind::Predicate(predicate) if predicate.is_mask())
            }
            Cond::All(parts) | Cond::Any(parts) => parts.iter().all(|part| self.is_event(part)),
        }
    }

    /// Computes the bits into scratch register `depth`, using those above it.
    fn mask(&mut self, mask: &Mask, depth: usize) -> Result<(), CodegenError> {
        let scratch = self.registers.scratch;
        let (into, above) = (scratch[depth], scratch[depth + 1]);
        match mask {
            Mask::Const(value) => self.asm.imm(Op::Mov64Imm, into, if *value { -1 } else { 0 }),
            Mask::Event(slot) => self.asm.load(Op::LdxDw, into, FRAME, *slot),
            Mask::Element { predicate, words } => {
                let entry = self.registers.masks;
                let load = |this: &mut Self, register, word: u32| {
                    let relocation = RelocationKind::Mask(*predicate);
                    this.asm.load_relocated(Op::LdxDw, register, entry, word as i16, relocation);
                };
                let mut begun = false;
                for (used, word) in [(words.is_true, MASK_TRUE), (words.known, MASK_KNOWN), (words.lost, MASK_LOST)] {
                    if used && begun {
                        load(self, above, word);
                        self.asm.reg(Op::Or64Reg, into, above);
                    } else if used {
                        load(self, into, word);
                        begun = true;
                    } else if word == MASK_TRUE && words.is_false {
                        load(self, into, MASK_KNOWN);
                        load(self, above, MASK_TRUE);
                        self.asm.reg(Op::Xor64Reg, into, above);
                        begun = true;
                    }
                }
                if !begun {
                    self.asm.imm(Op::Mov64Imm, into, 0);
                }
                if words.inverted {
                    self.asm.imm(Op::Xor64Imm, into, -1);
                }
            }
            Mask::All(parts) | Mask::Any(parts) => {
                let op = if matches!(mask, Mask::All(_)) { Op::And64Reg } else { Op::Or64Reg };
                let mut order: Vec<&Mask> = parts.iter().collect();
                order.sort_by_cached_key(|part| std::cmp::Reverse(part.need()));
                for (index, part) in order.into_iter().enumerate() {
                    if index == 0 {
                        self.mask(part, depth)?;
                    } else if depth + 2 < scratch.len() {
                        self.mask(part, depth + 1)?;
                        self.asm.reg(op, into, above);
                    } else {
                        // Out of registers: what there is waits on the stack.
                        let mark = self.stack_used;
                        let slot = self.stack_slot()?;
                        self.asm.store(FRAME, slot, into);
                        self.mask(part, depth)?;
                        self.asm.load(Op::LdxDw, above, FRAME, slot);
                        self.asm.reg(op, into, above);
                        self.stack_used = mark;
                    }
                }
            }
        }
        Ok(())
    }
}
