//! One test: from its outcome to an exit.
//!
//! An outcome that cannot occur costs nothing, and outcomes with the same answer are not told apart.

use trapline_vm::helper::{FALSE, STR_TEST_FOLD, STR_TEST_IP, STR_TEST_LIST, STR_TEST_RIGHT_LIST, TRUE, UNKNOWN};
use trapline_vm::isa::Op;
use trapline_vm::predicate::{Cmp, FieldRef, Predicate, StrOp};
use trapline_vm::program::RelocationKind;
use trapline_vm::record::{FieldType, Scalar};

use super::assembler::{Label, Reg};
use super::{Answers, CodegenError, Exits, FRAME, Generator, LOST, PRESENT, TRUNCATED};
use crate::hir::{Arithmetic, LeafKind, Operand};
use crate::mir::{DECIMAL_ONE, Outcomes, TestId, fields_of};

/// Numbers of the helpers that programs call.
mod helper {
    pub(super) const STR_TEST: u32 = 1024;
    pub(super) const SAT_ADD: u32 = 1025;
    pub(super) const SAT_SUB: u32 = 1026;
    pub(super) const SAT_MUL: u32 = 1027;
    pub(super) const DECIMAL_MUL: u32 = 1028;
    pub(super) const DECIMAL_DIV: u32 = 1029;
    pub(super) const STR_LEN: u32 = 1030;
    pub(super) const INT_LIST_TEST: u32 = 1031;
}

const DECIDED: Outcomes = Outcomes::TRUE.or(Outcomes::FALSE);
const MISSING: Outcomes = Outcomes::ABSENT.or(Outcomes::LOST);

/// What a register is compared with.
#[derive(Clone, Copy)]
pub(super) enum With {
    Imm(i32),
    Reg(Reg),
    Relocated(RelocationKind),
}

impl<'d> Generator<'d> {
    /// Whether the outcome of a test is one of `ask`.
    pub(super) fn test(
        &mut self,
        id: TestId,
        ask: Outcomes,
        possible: Outcomes,
        exits: Exits,
    ) -> Result<(), CodegenError> {
        let test = self.test_of(id);
        let answers = Answers { ask, possible };
        self.asm.line(test.line);
        match &test.kind {
            LeafKind::Predicate(predicate) => self.predicate_bits(predicate, &test.text, answers, exits),
            LeafKind::Exists(field) => self.exists(field, answers, exits),
            LeafKind::Flag(field) => {
                let field = self.field(field)?;
                self.guard(&[field], answers, exits);
                let (yes, no) = (exits.of(answers.any(Outcomes::TRUE)), exits.of(answers.any(Outcomes::FALSE)));
                if !answers.agree(DECIDED) {
                    let scratch = self.registers.scratch[1];
                    self.load_slot(scratch, field);
                    self.compare(Cmp::Ne, scratch, With::Imm(0), yes, no, exits.next);
                } else {
                    self.goto(exits.of(answers.any(DECIDED)), exits.next);
                }
                Ok(())
            }
            LeafKind::Compare { cmp, left: Operand::Length(field), right: Operand::Const(value) } => {
                self.length(*cmp, field, *value, answers, exits)
            }
            LeafKind::Compare { cmp, left, right } => self.numbers(&test.kind, *cmp, left, right, answers, exits),
            LeafKind::OneOf { field, values } => self.one_of(field, values, answers, exits),
            LeafKind::AnyInt { field, cmp, value } => {
                let field = self.field(field)?;
                if !self.guard_helper(&[field], answers, exits) {
                    return Ok(());
                }
                self.asm.reg(Op::Mov64Reg, 1, self.registers.record);
                self.asm.imm_relocated(Op::Mov64Imm, 2, RelocationKind::SlotNumber(field));
                self.asm.imm(Op::Mov64Imm, 3, cmp_number(*cmp));
                self.asm.constant(4, *value);
                self.asm.call(helper::INT_LIST_TEST);
                self.helper_outcome(answers, exits);
                Ok(())
            }
            LeafKind::FieldTest { op, fold, left, right } => {
                let mut flags = op_number(*op);
                if *fold {
                    flags |= STR_TEST_FOLD as i32;
                }
                if matches!(left.ty, FieldType::List(_)) {
                    flags |= STR_TEST_LIST as i32;
                }
                if matches!(right.ty, FieldType::List(_)) {
                    flags |= STR_TEST_RIGHT_LIST as i32;
                }
                if matches!(left.ty, FieldType::Scalar(Scalar::Ip) | FieldType::List(Scalar::Ip)) {
                    flags |= STR_TEST_IP as i32;
                }
                let (left, right) = (self.field(left)?, self.field(right)?);
                let both = [left, right];
                if !self.guard_helper(if left == right { &both[..1] } else { &both }, answers, exits) {
                    return Ok(());
                }
                self.asm.reg(Op::Mov64Reg, 1, self.registers.record);
                self.asm.imm_relocated(Op::Mov64Imm, 2, RelocationKind::SlotNumber(left));
                self.asm.imm_relocated(Op::Mov64Imm, 3, RelocationKind::SlotNumber(right));
                self.asm.imm(Op::Mov64Imm, 4, flags);
                self.asm.call(helper::STR_TEST);
                self.helper_outcome(answers, exits);
                Ok(())
            }
        }
    }

    fn predicate_bits(
        &mut self,
        predicate: &Predicate,
        text: &str,
        answers: Answers,
        exits: Exits,
    ) -> Result<(), CodegenError> {
        use RelocationKind::{PredicateBoth, PredicateByte, PredicateKnown, PredicateTrue};
        let scratch = self.registers.scratch[1];
        let number = self.predicate(predicate, text)?;
        let bits = self.registers.predicates;
        self.asm.load_relocated(Op::LdxB, scratch, bits, 0, PredicateByte(number));
        let exit = |outcomes: Outcomes| exits.of(answers.any(outcomes));
        let (on_true, on_false) = (exit(Outcomes::TRUE), exit(Outcomes::FALSE));
        if answers.agree(Outcomes::FALSE.or(MISSING)) {
            let rest = exit(Outcomes::FALSE.or(MISSING));
            self.bits(scratch, With::Relocated(PredicateTrue(number)), on_true, rest, exits.next);
        } else if answers.agree(DECIDED) && answers.agree(MISSING) {
            let known = With::Relocated(PredicateKnown(number));
            self.bits(scratch, known, exit(DECIDED), exit(MISSING), exits.next);
        } else if answers.agree(Outcomes::TRUE.or(MISSING)) {
            let rest = exit(Outcomes::TRUE.or(MISSING));
            self.asm.imm_relocated(Op::And64Imm, scratch, PredicateBoth(number));
            let known = With::Relocated(PredicateKnown(number));
            self.compare(Cmp::Eq, scratch, known, on_false, rest, exits.next);
        } else {
            if answers.agree(DECIDED) && answers.of(Outcomes::TRUE).is_some() {
                self.asm.branch_relocated(Op::Jset64Imm, scratch, PredicateKnown(number), exit(DECIDED));
            } else {
                if answers.of(Outcomes::TRUE).is_some() {
                    self.asm.branch_relocated(Op::Jset64Imm, scratch, PredicateTrue(number), on_true);
                }
                if answers.of(Outcomes::FALSE).is_some() {
                    self.asm.branch_relocated(Op::Jset64Imm, scratch, PredicateKnown(number), on_false);
                }
            }
            if answers.agree(MISSING) {
                self.goto(exit(MISSING), exits.next);
            } else {
                // Not known although the field is there: lost, or cut so that it does not decide.
                let field = self.field(&predicate.field)?;
                self.load_state(scratch, field);
                let (absent, lost) = (exit(Outcomes::ABSENT), exit(Outcomes::LOST));
                self.compare(Cmp::Eq, scratch, With::Imm(0), absent, lost, exits.next);
            }
        }
        Ok(())
    }

    fn exists(&mut self, field: &FieldRef, answers: Answers, exits: Exits) -> Result<(), CodegenError> {
        let field = self.field(field)?;
        let scratch = self.registers.scratch[1];
        let exit = |outcomes: Outcomes| exits.of(answers.any(outcomes));
        self.load_state(scratch, field);
        let (not_there, not_empty) = (Outcomes::FALSE.or(Outcomes::LOST), Outcomes::TRUE.or(Outcomes::LOST));
        if answers.agree(not_there) {
            self.bits(scratch, With::Imm(PRESENT), exit(Outcomes::TRUE), exit(not_there), exits.next);
        } else if answers.agree(not_empty) {
            self.compare(Cmp::Eq, scratch, With::Imm(0), exit(Outcomes::FALSE), exit(not_empty), exits.next);
        } else {
            self.bits(scratch, With::Imm(LOST), exit(Outcomes::LOST), exit(DECIDED), exits.next);
        }
        Ok(())
    }

    /// Leaves through an exit unless all fields have a value.
    fn guard(&mut self, fields: &[u16], answers: Answers, exits: Exits) {
        let scratch = self.registers.scratch[1];
        let exit = |outcomes: Outcomes| exits.of(answers.any(outcomes));
        if !answers.possible.meets(MISSING) {
            return;
        }
        if answers.agree(MISSING) {
            for field in fields {
                let there = self.asm.label();
                self.load_state(scratch, *field);
                self.bits(scratch, With::Imm(PRESENT), there, exit(MISSING), there);
                self.asm.bind(there);
            }
            return;
        }
        // An absent field outweighs a lost one: all are looked at before any is taken for lost.
        for field in fields {
            self.load_state(scratch, *field);
            self.asm.branch_imm(Op::Jeq64Imm, scratch, 0, exit(Outcomes::ABSENT));
        }
        for field in fields {
            if fields.len() > 1 {
                self.load_state(scratch, *field);
            }
            self.asm.branch_imm(Op::Jset64Imm, scratch, LOST, exit(Outcomes::LOST));
        }
    }

    /// As [`Self::guard`], before a helper that answers *undecided* for a field without a value. False if nothing is
    /// left to ask.
    fn guard_helper(&mut self, fields: &[u16], answers: Answers, exits: Exits) -> bool {
        if answers.agree(DECIDED.or(Outcomes::LOST)) {
            self.guard(fields, answers, exits);
            self.goto(exits.of(answers.any(DECIDED.or(Outcomes::LOST))), exits.next);
            return false;
        }
        if !answers.agree(MISSING) {
            self.guard(fields, answers, exits);
        }
        true
    }

    /// From what a helper answered (0 false, 1 true, 2 undecided) to an exit.
    fn helper_outcome(&mut self, answers: Answers, exits: Exits) {
        let exit = |outcomes: Outcomes| exits.of(answers.any(outcomes));
        // Where absent and lost have one answer, nothing was checked before the call.
        let undecided = if answers.agree(MISSING) { MISSING } else { Outcomes::LOST };
        let (value, one, rest) = if answers.agree(Outcomes::FALSE.or(undecided)) {
            (TRUE, Outcomes::TRUE, Outcomes::FALSE.or(undecided))
        } else if answers.agree(Outcomes::TRUE.or(undecided)) {
            (FALSE, Outcomes::FALSE, Outcomes::TRUE.or(undecided))
        } else {
            (UNKNOWN, undecided, DECIDED)
        };
        self.compare(Cmp::Eq, 0, With::Imm(value as i32), exit(one), exit(rest), exits.next);
    }

    fn one_of(&mut self, field: &FieldRef, values: &[i64], answers: Answers, exits: Exits) -> Result<(), CodegenError> {
        let field = self.field(field)?;
        self.guard(&[field], answers, exits);
        let (yes, no) = (exits.of(answers.any(Outcomes::TRUE)), exits.of(answers.any(Outcomes::FALSE)));
        if answers.agree(DECIDED) {
            self.goto(exits.of(answers.any(DECIDED)), exits.next);
            return Ok(());
        }
        let [_, value, constant, ..] = self.registers.scratch;
        self.load_slot(value, field);
        let Some((last, others)) = values.split_last() else {
            self.goto(no, exits.next);
            return Ok(());
        };
        for other in others {
            match self.with(*other, constant) {
                With::Imm(imm) => self.asm.branch_imm(Op::Jeq64Imm, value, imm, yes),
                _ => self.asm.branch_reg(Op::Jeq64Reg, value, constant, yes),
            }
        }
        let with = self.with(*last, constant);
        self.compare(Cmp::Eq, value, with, yes, no, exits.next);
        Ok(())
    }

    /// The number of characters of a string against a constant. Of a truncated one at least the kept characters are
    /// there, which may decide.
    fn length(
        &mut self,
        cmp: Cmp,
        field: &FieldRef,
        value: i64,
        answers: Answers,
        exits: Exits,
    ) -> Result<(), CodegenError> {
        let field = self.field(field)?;
        self.guard(&[field], answers, exits);
        if answers.agree(DECIDED.or(Outcomes::LOST)) {
            self.goto(exits.of(answers.any(DECIDED.or(Outcomes::LOST))), exits.next);
            return Ok(());
        }
        let constant = self.registers.scratch[2];
        let exit = |outcomes: Outcomes| exits.of(answers.any(outcomes));
        let (on_true, on_false) = (exit(Outcomes::TRUE), exit(Outcomes::FALSE));
        self.asm.reg(Op::Mov64Reg, 1, self.registers.record);
        self.asm.imm_relocated(Op::Mov64Imm, 2, RelocationKind::SlotNumber(field));
        self.asm.call(helper::STR_LEN);
        let with = self.with(value, constant);
        if answers.possible.meets(Outcomes::LOST) {
            let beyond = if matches!(cmp, Cmp::Ge | Cmp::Lt) { Cmp::Ge } else { Cmp::Gt };
            let decided = if matches!(cmp, Cmp::Gt | Cmp::Ge | Cmp::Ne) { on_true } else { on_false };
            let short = self.asm.label();
            self.compare(beyond, 0, with, decided, short, short);
            self.asm.bind(short);
            // Short of it, an ordered comparison is decided by whether there is more.
            let short_of_it = match cmp {
                Cmp::Gt | Cmp::Ge => Some(on_false),
                Cmp::Lt | Cmp::Le => Some(on_true),
                Cmp::Eq | Cmp::Ne => None,
            };
            let lost = exit(Outcomes::LOST);
            if short_of_it == Some(lost) {
                self.goto(lost, exits.next);
                return Ok(());
            }
            let scratch = self.registers.scratch[1];
            self.load_state(scratch, field);
            if let Some(complete) = short_of_it {
                self.bits(scratch, With::Imm(TRUNCATED), lost, complete, exits.next);
                return Ok(());
            }
            self.asm.branch_imm(Op::Jset64Imm, scratch, TRUNCATED, lost);
        }
        self.compare(cmp, 0, with, on_true, on_false, exits.next);
        Ok(())
    }

    fn numbers(
        &mut self,
        kind: &LeafKind,
        cmp: Cmp,
        left: &Operand,
        right: &Operand,
        answers: Answers,
        exits: Exits,
    ) -> Result<(), CodegenError> {
        let exit = |outcomes: Outcomes| exits.of(answers.any(outcomes));
        let mut fields = Vec::new();
        fields_of(kind, &mut fields);
        let mut numbers = Vec::with_capacity(fields.len());
        for field in &fields {
            numbers.push(self.field(field)?);
        }
        self.guard(&numbers, answers, exits);
        if answers.possible.meets(Outcomes::LOST) {
            let mut measured = Vec::new();
            measured_fields(left, &mut measured);
            measured_fields(right, &mut measured);
            for field in measured {
                let (scratch, field) = (self.registers.scratch[1], self.field(field)?);
                self.load_state(scratch, field);
                self.asm.branch_imm(Op::Jset64Imm, scratch, TRUNCATED, exit(Outcomes::LOST));
            }
        }
        if answers.agree(DECIDED.or(Outcomes::UNDEFINED)) {
            self.goto(exit(DECIDED.or(Outcomes::UNDEFINED)), exits.next);
            return Ok(());
        }
        let undefined = exit(Outcomes::UNDEFINED);
        let [_, a, b, ..] = self.registers.scratch;
        let with = match right {
            Operand::Const(value) => {
                self.value(left, a, undefined)?;
                self.with(*value, b)
            }
            right => {
                self.pair(left, right, undefined)?;
                With::Reg(b)
            }
        };
        self.compare(cmp, a, with, exit(Outcomes::TRUE), exit(Outcomes::FALSE), exits.next);
        Ok(())
    }

    /// Both values, in the second and third scratch register, which are `r1` and `r2` where helpers are called.
    fn pair(&mut self, left: &Operand, right: &Operand, undefined: Label) -> Result<(), CodegenError> {
        let simple = |operand: &Operand| matches!(operand, Operand::Const(_) | Operand::Field(_));
        let [_, a, b, ..] = self.registers.scratch;
        if simple(right) {
            self.value(left, a, undefined)?;
            self.value(right, b, undefined)
        } else if simple(left) {
            self.value(right, b, undefined)?;
            self.value(left, a, undefined)
        } else {
            let mark = self.stack_used;
            let slot = self.stack_slot()?;
            self.value(left, a, undefined)?;
            self.asm.store(FRAME, slot, a);
            self.value(right, b, undefined)?;
            self.asm.load(Op::LdxDw, a, FRAME, slot);
            self.stack_used = mark;
            Ok(())
        }
    }

    /// The value of an operand whose fields all have one. Overwrites `r0` to `r5` unless it is a field or constant.
    fn value(&mut self, operand: &Operand, into: Reg, undefined: Label) -> Result<(), CodegenError> {
        match operand {
            Operand::Const(value) => self.asm.constant(into, *value),
            Operand::Field(field) => {
                let field = self.field(field)?;
                self.load_slot(into, field);
            }
            Operand::Length(field) => {
                let field = self.field(field)?;
                self.asm.reg(Op::Mov64Reg, 1, self.registers.record);
                self.asm.imm_relocated(Op::Mov64Imm, 2, RelocationKind::SlotNumber(field));
                self.asm.call(helper::STR_LEN);
                self.asm.reg(Op::Mov64Reg, into, 0);
            }
            Operand::ToDecimal(inside) => {
                self.value(inside, 1, undefined)?;
                self.asm.constant(2, DECIMAL_ONE);
                self.asm.call(helper::SAT_MUL);
                self.asm.reg(Op::Mov64Reg, into, 0);
            }
            Operand::Arithmetic { op, decimal, left, right } => {
                self.pair(left, right, undefined)?;
                let divisor = if let Operand::Const(value) = **right { Some(value) } else { None };
                match (op, decimal) {
                    (Arithmetic::Add, _) => self.asm.call(helper::SAT_ADD),
                    (Arithmetic::Sub, _) => self.asm.call(helper::SAT_SUB),
                    (Arithmetic::Mul, false) => self.asm.call(helper::SAT_MUL),
                    (Arithmetic::Mul, true) => self.asm.call(helper::DECIMAL_MUL),
                    (Arithmetic::Div | Arithmetic::Rem, _) => {
                        if divisor.is_none_or(|value| value == 0) {
                            self.asm.branch_imm(Op::Jeq64Imm, 2, 0, undefined);
                        }
                        match (op, decimal) {
                            (Arithmetic::Rem, _) => {
                                self.asm.reg(Op::Smod64Reg, 1, 2);
                                self.asm.reg(Op::Mov64Reg, 0, 1);
                            }
                            (_, true) => self.asm.call(helper::DECIMAL_DIV),
                            (_, false) => self.divide(divisor),
                        }
                    }
                }
                self.asm.reg(Op::Mov64Reg, into, 0);
            }
        }
        Ok(())
    }

    /// `r0 = r1 / r2`, which is not zero. The smallest number by -1 does not fit and saturates.
    fn divide(&mut self, divisor: Option<i64>) {
        let end = self.asm.label();
        if divisor.is_none_or(|value| value == -1) {
            let plain = self.asm.label();
            self.asm.branch_imm(Op::Jne64Imm, 2, -1, plain);
            self.asm.reg(Op::Mov64Reg, 2, 1);
            self.asm.imm(Op::Mov64Imm, 1, 0);
            self.asm.call(helper::SAT_SUB);
            self.asm.jump(end);
            self.asm.bind(plain);
        }
        self.asm.reg(Op::Sdiv64Reg, 1, 2);
        self.asm.reg(Op::Mov64Reg, 0, 1);
        self.asm.bind(end);
    }

    /// A constant to compare with; a wide one goes through `register`.
    fn with(&mut self, value: i64, register: Reg) -> With {
        match i32::try_from(value) {
            Ok(value) => With::Imm(value),
            Err(_) => {
                self.asm.constant(register, value);
                With::Reg(register)
            }
        }
    }

    /// A signed comparison, falling through to `next` if it can.
    pub(super) fn compare(&mut self, cmp: Cmp, left: Reg, with: With, if_true: Label, if_false: Label, next: Label) {
        if if_true == if_false {
            return self.goto(if_true, next);
        }
        let (cmp, taken, other) =
            if if_true == next { (inverse(cmp), if_false, if_true) } else { (cmp, if_true, if_false) };
        let (with_imm, with_reg) = match cmp {
            Cmp::Eq => (Op::Jeq64Imm, Op::Jeq64Reg),
            Cmp::Ne => (Op::Jne64Imm, Op::Jne64Reg),
            Cmp::Lt => (Op::Jslt64Imm, Op::Jslt64Reg),
            Cmp::Le => (Op::Jsle64Imm, Op::Jsle64Reg),
            Cmp::Gt => (Op::Jsgt64Imm, Op::Jsgt64Reg),
            Cmp::Ge => (Op::Jsge64Imm, Op::Jsge64Reg),
        };
        match with {
            With::Imm(imm) => self.asm.branch_imm(with_imm, left, imm, taken),
            With::Reg(reg) => self.asm.branch_reg(with_reg, left, reg, taken),
            With::Relocated(relocation) => self.asm.branch_relocated(with_imm, left, relocation, taken),
        }
        self.goto(other, next);
    }

    /// Whether a register has one of these bits.
    pub(super) fn bits(&mut self, left: Reg, with: With, if_set: Label, if_clear: Label, next: Label) {
        if if_set == if_clear {
            return self.goto(if_set, next);
        }
        match with {
            With::Imm(imm) => self.asm.branch_imm(Op::Jset64Imm, left, imm, if_set),
            With::Reg(reg) => self.asm.branch_reg(Op::Jset64Reg, left, reg, if_set),
            With::Relocated(relocation) => self.asm.branch_relocated(Op::Jset64Imm, left, relocation, if_set),
        }
        self.goto(if_clear, next);
    }
}

/// Fields whose length is part of the operand.
fn measured_fields<'o>(operand: &'o Operand, into: &mut Vec<&'o FieldRef>) {
    match operand {
        Operand::Const(_) | Operand::Field(_) => {}
        Operand::Length(field) => {
            if !into.contains(&field) {
                into.push(field);
            }
        }
        Operand::ToDecimal(inside) => measured_fields(inside, into),
        Operand::Arithmetic { left, right, .. } => {
            measured_fields(left, into);
            measured_fields(right, into);
        }
    }
}

fn inverse(cmp: Cmp) -> Cmp {
    match cmp {
        Cmp::Eq => Cmp::Ne,
        Cmp::Ne => Cmp::Eq,
        Cmp::Lt => Cmp::Ge,
        Cmp::Le => Cmp::Gt,
        Cmp::Gt => Cmp::Le,
        Cmp::Ge => Cmp::Lt,
    }
}

/// How helpers number comparisons.
fn cmp_number(cmp: Cmp) -> i32 {
    match cmp {
        Cmp::Eq => 0,
        Cmp::Ne => 1,
        Cmp::Lt => 2,
        Cmp::Le => 3,
        Cmp::Gt => 4,
        Cmp::Ge => 5,
    }
}

/// How helpers number string operators.
fn op_number(op: StrOp) -> i32 {
    match op {
        StrOp::Equals => 0,
        StrOp::Contains => 1,
        StrOp::StartsWith => 2,
        StrOp::EndsWith => 3,
        StrOp::Like => 4,
        StrOp::Regex => 5,
        StrOp::Under => 6,
    }
}

#[cfg(test)]
mod tests {
    use trapline_vm::helper::RULE_HELPERS;

    use super::*;

    #[test]
    fn helpers_are_the_machines() {
        for (number, name) in [
            (helper::STR_TEST, "str_test"),
            (helper::SAT_ADD, "sat_add"),
            (helper::SAT_SUB, "sat_sub"),
            (helper::SAT_MUL, "sat_mul"),
            (helper::DECIMAL_MUL, "decimal_mul"),
            (helper::DECIMAL_DIV, "decimal_div"),
            (helper::STR_LEN, "str_len"),
            (helper::INT_LIST_TEST, "int_list_test"),
        ] {
            assert_eq!(RULE_HELPERS.get(number).map(|helper| helper.name), Some(name));
        }
    }
}
