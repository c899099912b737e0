//! From the decision form to bytecode: one [`Object`] for a rule and a family.
//!
//! Straight-line tests and forward jumps; no loop, no local call. At every exit `r0` is a constant.
//!
//! ```text
//!           move the arguments out of the helpers' way (only if a helper is called)
//!           condition?      yes → hit       no ↓
//!           impaired?       no  → r0 = 0    yes ↓
//!           possible?       no  → r0 = 0    yes → hit
//! hit:      an exception?   yes → r0 = 0    no  → r0 = 1, or 2 if it is only possible
//! ```
//!
//! Registers (see `Registers`): record, predicate bits and masks have one each; `r9` says whether a hit is a match
//! or only possible; the others are scratch. Nothing is kept in scratch from one test to the next.
//!
//! Every field is read through a relocation: its state byte, its slot, or its slot number handed to a helper.

mod assembler;
mod leaf;
mod mask;
mod print;

use std::collections::HashMap;

use trapline_vm::isa::Op;
use trapline_vm::predicate::{FieldRef, Predicate};
use trapline_vm::program::{CODE_LEN_MAX, Object, RelocationKind, Verdict};
use trapline_vm::record::{MASK_ELEMENTS_MAX, OsSet, flags, header, state};

pub use print::print;

use crate::hir::{LeafKind, Operand};
use crate::mir::{Cond, Decision, Outcomes, Test, TestId};
use assembler::{Assembler, Label, Reg};

/// The most distinct predicates of one rule.
pub const RULE_PREDICATES_MAX: usize = 8_192;
/// The most distinct fields of one rule.
pub const RULE_FIELDS_MAX: usize = 3_600;
/// Eight-byte stack slots of a program.
const STACK_SLOTS: usize = 64;

/// Why a decision does not become an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodegenError {
    /// More instructions than [`CODE_LEN_MAX`].
    #[error("the rule needs more than {CODE_LEN_MAX} instructions")]
    TooLong,
    /// More than [`RULE_PREDICATES_MAX`].
    #[error("the rule has more than {RULE_PREDICATES_MAX} distinct tests on literals")]
    TooManyPredicates,
    /// More than [`RULE_FIELDS_MAX`].
    #[error("the rule reads more than {RULE_FIELDS_MAX} distinct fields")]
    TooManyFields,
    /// Intermediate results do not fit the stack.
    #[error("one `any`, `all` or computation needs more than {STACK_SLOTS} intermediate results at once")]
    TooManyIntermediates,
}

/// What an object says of itself beside its code.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Name of the rule.
    pub name: String,
    /// SHA-256 of the catalogue.
    pub catalogue_digest: [u8; 32],
    /// Name of the family.
    pub family: String,
    /// Names of the classes.
    pub classes: Vec<String>,
    /// Operating systems.
    pub os: OsSet,
    /// Line of the rule's head.
    pub line: u32,
}

/// The object of a decision.
pub fn generate(decision: &Decision, identity: Identity) -> Result<Object, CodegenError> {
    let registers = if calls_helpers(decision) { Registers::BESIDE_CALLS } else { Registers::AS_ENTERED };
    let mut generator = Generator {
        asm: Assembler::default(),
        decision,
        registers,
        fields: Vec::new(),
        field_numbers: HashMap::new(),
        predicates: Vec::new(),
        predicate_numbers: HashMap::new(),
        predicate_texts: Vec::new(),
        stack_used: 0,
    };
    generator.asm.line(identity.line);
    generator.program(identity.line)?;
    let Generator { asm, fields, predicates, predicate_texts, .. } = generator;
    let assembled = asm.finish(CODE_LEN_MAX).ok_or(CodegenError::TooLong)?;
    Ok(Object {
        name: identity.name,
        catalogue_digest: identity.catalogue_digest,
        family: identity.family,
        classes: identity.classes,
        os: identity.os,
        code: assembled.code,
        fields,
        predicates,
        relocations: assembled.relocations,
        lines: assembled.lines,
        maps: Vec::new(),
        predicate_texts,
    })
}

/// Which register holds what.
#[derive(Clone, Copy, Debug)]
struct Registers {
    record: Reg,
    predicates: Reg,
    masks: Reg,
    scratch: [Reg; 6],
}

impl Registers {
    /// Without calls the arguments stay where they are.
    const AS_ENTERED: Self = Self { record: 1, predicates: 2, masks: 3, scratch: [0, 4, 5, 6, 7, 8] };
    /// A call overwrites r0 to r5.
    const BESIDE_CALLS: Self = Self { record: 6, predicates: 7, masks: 8, scratch: [0, 1, 2, 3, 4, 5] };
}

/// 1: a hit is a match; 2: it is only possible.
const HIT: Reg = 9;
const FRAME: Reg = 10;

struct Generator<'d> {
    asm: Assembler,
    decision: &'d Decision,
    registers: Registers,
    fields: Vec<FieldRef>,
    field_numbers: HashMap<FieldRef, u16>,
    predicates: Vec<Predicate>,
    predicate_numbers: HashMap<Predicate, u16>,
    predicate_texts: Vec<String>,
    stack_used: usize,
}

/// Where to go on.
#[derive(Clone, Copy)]
struct Exits {
    yes: Label,
    no: Label,
    /// The one of them that will be bound right behind.
    next: Label,
}

impl Exits {
    fn of(&self, answer: bool) -> Label {
        if answer { self.yes } else { self.no }
    }
}

impl<'d> Generator<'d> {
    fn program(&mut self, line: u32) -> Result<(), CodegenError> {
        let decision = self.decision;
        let undecidable = decision.possible != Cond::Const(false);
        let guarded = !decision.exceptions.is_empty();
        let (no, hit, missed) = (self.asm.label(), self.asm.label(), self.asm.label());
        self.prologue();

        self.cond(&decision.condition, Exits { yes: hit, no: missed, next: missed })?;
        self.asm.bind(missed);
        let only_possible = self.asm.label();
        if undecidable {
            self.asm.line(line);
            self.if_impaired()?;
            self.cond(&decision.possible, Exits { yes: only_possible, no, next: no })?;
        }
        self.asm.bind(no);
        self.asm.line(line);
        self.verdict(Verdict::NoMatch);

        if undecidable {
            self.asm.bind(only_possible);
            if guarded {
                self.asm.imm(Op::Mov64Imm, HIT, Verdict::NotEvaluable as i32);
                let exceptions = self.asm.label();
                self.asm.jump(exceptions);
                self.asm.bind(hit);
                self.asm.imm(Op::Mov64Imm, HIT, Verdict::Match as i32);
                self.asm.bind(exceptions);
            } else {
                self.verdict(Verdict::NotEvaluable);
            }
        }
        if !(undecidable && guarded) {
            self.asm.bind(hit);
        }
        // A second exit for `no match`: jumps only go forward.
        let excepted = self.asm.label();
        for (exception, line) in &decision.exceptions {
            self.asm.line(*line);
            let next = self.asm.label();
            self.cond(exception, Exits { yes: excepted, no: next, next })?;
            self.asm.bind(next);
        }
        self.asm.line(line);
        if undecidable && guarded {
            let matched = self.asm.label();
            self.asm.branch_imm(Op::Jeq64Imm, HIT, Verdict::Match as i32, matched);
            self.verdict(Verdict::NotEvaluable);
            self.asm.bind(matched);
        }
        self.verdict(Verdict::Match);
        self.asm.bind(excepted);
        if guarded {
            self.verdict(Verdict::NoMatch);
        }
        Ok(())
    }

    fn prologue(&mut self) {
        if self.registers.record == Registers::AS_ENTERED.record {
            return;
        }
        let entered = Registers::AS_ENTERED;
        let tests = &self.decision.tests;
        let uses = |mask: bool| {
            tests.iter().any(|test| matches!(&test.kind, LeafKind::Predicate(predicate) if predicate.is_mask() == mask))
        };
        self.asm.reg(Op::Mov64Reg, self.registers.record, entered.record);
        if uses(false) {
            self.asm.reg(Op::Mov64Reg, self.registers.predicates, entered.predicates);
        }
        if uses(true) {
            self.asm.reg(Op::Mov64Reg, self.registers.masks, entered.masks);
        }
    }

    /// Ends with *no match* unless something of the record may be lost. Most runs of most rules end here.
    fn if_impaired(&mut self) -> Result<(), CodegenError> {
        let scratch = self.registers.scratch[0];
        let impaired = self.asm.label();
        self.asm.load(Op::LdxW, scratch, self.registers.record, header::FLAGS as i16);
        self.asm.branch_imm(Op::Jset64Imm, scratch, flags::IMPAIRED as i32, impaired);
        let decision = self.decision;
        for list in &decision.lists {
            let field = self.field(list)?;
            self.load_count(scratch, field);
            self.asm.branch_imm(Op::Jgt64Imm, scratch, MASK_ELEMENTS_MAX as i32, impaired);
        }
        self.verdict(Verdict::NoMatch);
        self.asm.bind(impaired);
        Ok(())
    }

    fn verdict(&mut self, verdict: Verdict) {
        self.asm.imm(Op::Mov64Imm, 0, verdict as i32);
        self.asm.exit();
    }

    fn goto(&mut self, target: Label, next: Label) {
        if target != next {
            self.asm.jump(target);
        }
    }

    /// Decides the condition and goes on at one of the exits.
    fn cond(&mut self, cond: &Cond, exits: Exits) -> Result<(), CodegenError> {
        if self.asm.len() > CODE_LEN_MAX {
            return Err(CodegenError::TooLong);
        }
        match cond {
            Cond::Const(value) => self.goto(exits.of(*value), exits.next),
            Cond::Test { test, ask, possible } => self.test(*test, *ask, *possible, exits)?,
            Cond::All(parts) | Cond::Any(parts) => {
                let all = matches!(cond, Cond::All(_));
                for (index, part) in parts.iter().enumerate() {
                    if index + 1 == parts.len() {
                        self.cond(part, exits)?;
                    } else {
                        let next = self.asm.label();
                        let inner =
                            if all { Exits { yes: next, next, ..exits } } else { Exits { no: next, next, ..exits } };
                        self.cond(part, inner)?;
                        self.asm.bind(next);
                    }
                }
            }
            Cond::Each(each) => self.each(each, exits)?,
        }
        Ok(())
    }

    fn test_of(&self, id: TestId) -> &'d Test {
        &self.decision.tests[id.0 as usize]
    }

    /// The number of a field in the object.
    fn field(&mut self, field: &FieldRef) -> Result<u16, CodegenError> {
        if let Some(number) = self.field_numbers.get(field) {
            return Ok(*number);
        }
        let number = number_below(self.fields.len(), RULE_FIELDS_MAX).ok_or(CodegenError::TooManyFields)?;
        self.fields.push(field.clone());
        self.field_numbers.insert(field.clone(), number);
        Ok(number)
    }

    /// The number of a predicate in the object.
    fn predicate(&mut self, predicate: &Predicate, text: &str) -> Result<u16, CodegenError> {
        if let Some(number) = self.predicate_numbers.get(predicate) {
            return Ok(*number);
        }
        let number = number_below(self.predicates.len(), RULE_PREDICATES_MAX).ok_or(CodegenError::TooManyPredicates)?;
        self.predicates.push(predicate.clone());
        self.predicate_texts.push(text.to_owned());
        self.predicate_numbers.insert(predicate.clone(), number);
        Ok(number)
    }

    fn load_state(&mut self, into: Reg, field: u16) {
        self.asm.load_relocated(Op::LdxB, into, self.registers.record, 0, RelocationKind::State(field));
    }

    fn load_slot(&mut self, into: Reg, field: u16) {
        self.asm.load_relocated(Op::LdxDw, into, self.registers.record, 0, RelocationKind::Slot(field));
    }

    /// The number of elements of a list: the upper half of its slot.
    fn load_count(&mut self, into: Reg, field: u16) {
        self.asm.load_relocated(Op::LdxW, into, self.registers.record, 4, RelocationKind::Slot(field));
    }

    /// Offset from the frame pointer of a new stack slot. Give it back by restoring `stack_used`.
    fn stack_slot(&mut self) -> Result<i16, CodegenError> {
        let index = i16::try_from(self.stack_used).ok().filter(|index| (*index as usize) < STACK_SLOTS);
        let index = index.ok_or(CodegenError::TooManyIntermediates)?;
        self.stack_used += 1;
        Ok(-8 * (index + 1))
    }
}

fn number_below(number: usize, limit: usize) -> Option<u16> {
    u16::try_from(number).ok().filter(|_| number < limit)
}

/// What to answer for each outcome; None where it cannot occur.
#[derive(Clone, Copy, Debug)]
struct Answers {
    ask: Outcomes,
    possible: Outcomes,
}

impl Answers {
    fn of(&self, outcome: Outcomes) -> Option<bool> {
        self.possible.meets(outcome).then(|| self.ask.meets(outcome))
    }

    /// Whether all of these outcomes that can occur have one answer.
    fn agree(&self, outcomes: Outcomes) -> bool {
        let asked = outcomes.and(self.possible);
        asked.and(self.ask) == asked || !asked.meets(self.ask)
    }

    /// The one answer of these outcomes, which agree; false if none can occur.
    fn any(&self, outcomes: Outcomes) -> bool {
        self.ask.and(self.possible).meets(outcomes)
    }
}

/// Whether some test needs a helper: then r0 to r5 do not survive.
fn calls_helpers(decision: &Decision) -> bool {
    fn in_operand(operand: &Operand) -> bool {
        match operand {
            Operand::Const(_) | Operand::Field(_) => false,
            Operand::Length(_) | Operand::ToDecimal(_) | Operand::Arithmetic { .. } => true,
        }
    }
    decision.tests.iter().any(|test| match &test.kind {
        LeafKind::Compare { left, right, .. } => in_operand(left) || in_operand(right),
        LeafKind::AnyInt { .. } | LeafKind::FieldTest { .. } => true,
        LeafKind::Predicate(_) | LeafKind::Exists(_) | LeafKind::Flag(_) | LeafKind::OneOf { .. } => false,
    })
}

// State bits, as immediates.
const PRESENT: i32 = state::PRESENT as i32;
const LOST: i32 = state::LOST as i32;
const TRUNCATED: i32 = state::TRUNCATED as i32;
