//! From the typed form to the decision form: questions are pushed down to the leaves.

use std::collections::HashMap;

use trapline_vm::predicate::{Cmp, FieldRef, Predicate, Scope, Test as PredicateTest};
use trapline_vm::record::{Catalogue, FamilyId};

use super::simplify::Facts;
use super::{Cond, DEPTH_MAX, Decision, Each, MirError, Outcomes, Test, TestId};
use crate::hir::{self, Absent, Arithmetic, Expr, Leaf, LeafKind, Operand, Quantifier};

/// The decision form of a rule for the events of one family.
pub fn build(rule: &hir::Rule, catalogue: &Catalogue, family: FamilyId) -> Result<Decision, MirError> {
    check_depth(&rule.condition, rule.line, 0)?;
    for exception in &rule.exceptions {
        check_depth(&exception.condition, exception.line, 0)?;
    }
    let mut builder = Builder { catalogue, family, tests: Vec::new(), ids: HashMap::new() };
    let condition = builder.ask(&rule.condition, DEFINITELY, None)?;
    let possible = builder.ask(&rule.condition, POSSIBLY, None)?;
    // Before anything folds: a quantifier may vanish from one question and stay in the other.
    let mut lists = Vec::new();
    collect_lists(&possible, &mut lists);
    let mut asked = Vec::with_capacity(rule.exceptions.len());
    for exception in &rule.exceptions {
        asked.push((builder.ask(&exception.condition, DEFINITELY, None)?, exception.line));
    }
    let tests = builder.tests;

    let condition = Facts::new(&tests).simplify(condition);
    let mut facts = Facts::new(&tests);
    facts.assume(&condition, false);
    let possible = if condition == Cond::Const(true) { Cond::Const(false) } else { facts.simplify(possible) };
    let mut facts = Facts::new(&tests);
    let mut exceptions = Vec::with_capacity(asked.len());
    for (cond, line) in asked {
        let cond = facts.simplify(cond);
        facts.assume(&cond, false);
        if cond != Cond::Const(false) {
            exceptions.push((cond, line));
        }
    }
    let mut decision = Decision { tests, condition, possible, exceptions, lists };
    if decision.exceptions.iter().any(|(cond, _)| *cond == Cond::Const(true)) {
        decision.condition = Cond::Const(false);
        decision.possible = Cond::Const(false);
    }
    if decision.is_never() {
        decision.exceptions.clear();
    }
    if decision.possible == Cond::Const(false) {
        decision.lists.clear();
    }
    Ok(decision)
}

/// What is asked of an expression.
#[derive(Clone, Copy)]
struct Question {
    /// Is it true, or is it false.
    truth: bool,
    /// What its lost leaves are taken for, by the polarity of each occurrence; None: unknown.
    favour: Option<bool>,
}

/// Is the condition true as things are known.
const DEFINITELY: Question = Question { truth: true, favour: None };
/// Would it be true if each lost leaf took the value that is favourable to that.
const POSSIBLY: Question = Question { truth: true, favour: Some(true) };

impl Question {
    fn negated(self) -> Self {
        Self { truth: !self.truth, favour: self.favour.map(|favour| !favour) }
    }

    /// Whether what is lost answers it with yes.
    fn takes_lost(self) -> bool {
        self.favour == Some(self.truth)
    }

    fn outcomes(self, absent: Absent) -> Outcomes {
        let mut set = if self.truth { Outcomes::TRUE } else { Outcomes::FALSE };
        if self.takes_lost() {
            set = set.or(Outcomes::LOST);
        }
        if !self.truth && absent == Absent::False {
            set = set.or(Outcomes::ABSENT);
        }
        set
    }
}

struct Builder<'c> {
    catalogue: &'c Catalogue,
    family: FamilyId,
    tests: Vec<Test>,
    ids: HashMap<LeafKind, TestId>,
}

impl Builder<'_> {
    /// `list`: the list whose elements the expression is about.
    fn ask(&mut self, expr: &Expr, question: Question, list: Option<&FieldRef>) -> Result<Cond, MirError> {
        match expr {
            Expr::Const(value) => Ok(Cond::Const(*value == question.truth)),
            Expr::Leaf(leaf) => self.leaf(leaf, question, list),
            Expr::And(parts) | Expr::Or(parts) => {
                let parts: Result<_, _> = parts.iter().map(|part| self.ask(part, question, list)).collect();
                let all = matches!(expr, Expr::And(_)) == question.truth;
                Ok(if all { Cond::All(parts?) } else { Cond::Any(parts?) })
            }
            Expr::Not(inside) => self.ask(inside, question.negated(), list),
            Expr::IsTrue(inside) if question.truth => self.ask(inside, question, list),
            // False when the inside is not true, be that false or unknown.
            Expr::IsTrue(inside) => Ok(negate(self.ask(inside, Question { truth: true, ..question }, list)?)),
            Expr::Quantifier { kind, list, body, absent, line } => {
                let on_absent = !question.truth && *absent == Absent::False;
                if !self.has(list) {
                    return Ok(Cond::Const(on_absent));
                }
                let body = self.ask(body, question, Some(list))?;
                Ok(Cond::Each(Box::new(Each {
                    every: (*kind == Quantifier::All) == question.truth,
                    list: list.clone(),
                    body,
                    on_absent,
                    on_lost: question.takes_lost(),
                    on_beyond: question.takes_lost(),
                    line: *line,
                })))
            }
        }
    }

    fn leaf(&mut self, leaf: &Leaf, question: Question, list: Option<&FieldRef>) -> Result<Cond, MirError> {
        if let LeafKind::Predicate(predicate) = &leaf.kind
            && predicate.is_mask()
            && list != Some(&predicate.field)
        {
            return Err(MirError::ElementOutsideQuantifier { line: leaf.line });
        }
        let kind = normalise(&leaf.kind);
        let ask = question.outcomes(leaf.absent);
        if let LeafKind::Compare { cmp, left: Operand::Const(left), right: Operand::Const(right) } = kind {
            return Ok(Cond::Const(compare(cmp, left, right) == question.truth));
        }
        let test = match self.ids.get(&kind) {
            Some(id) => *id,
            None => {
                let id = TestId(u32::try_from(self.tests.len()).unwrap_or(u32::MAX));
                let possible = self.possible(&kind);
                self.ids.insert(kind.clone(), id);
                self.tests.push(Test { kind, possible, line: leaf.line, text: leaf.text.clone() });
                id
            }
        };
        Ok(Cond::Test { test, ask, possible: self.tests[test.0 as usize].possible })
    }

    /// What can come out of a test in this family.
    fn possible(&self, kind: &LeafKind) -> Outcomes {
        let mut fields = Vec::new();
        fields_of(kind, &mut fields);
        let absent = fields.iter().any(|field| !self.has(field));
        let exists = match kind {
            LeafKind::Exists(_) => true,
            LeafKind::Predicate(predicate) => predicate.test == PredicateTest::Exists,
            _ => false,
        };
        let decided = Outcomes::TRUE.or(Outcomes::FALSE);
        match (exists, absent) {
            (true, true) => Outcomes::FALSE,
            (true, false) => decided.or(Outcomes::LOST),
            (false, true) => Outcomes::ABSENT,
            (false, false) => {
                let undefined = if may_be_undefined(kind) { Outcomes::UNDEFINED } else { Outcomes::NONE };
                let missing = Outcomes::ABSENT.or(Outcomes::LOST);
                if fields.is_empty() { decided.or(undefined) } else { decided.or(missing).or(undefined) }
            }
        }
    }

    /// Whether records of the family have a slot for the field. A name that the catalogue does not know is left to
    /// linking, which refuses it by name.
    fn has(&self, field: &FieldRef) -> bool {
        self.catalogue.field_id(&field.name).is_none_or(|id| self.catalogue.slot(self.family, id).is_some())
    }
}

/// The fields a test reads, in order of appearance.
pub(crate) fn fields_of<'k>(kind: &'k LeafKind, into: &mut Vec<&'k FieldRef>) {
    match kind {
        LeafKind::Predicate(Predicate { field, .. })
        | LeafKind::Exists(field)
        | LeafKind::Flag(field)
        | LeafKind::OneOf { field, .. }
        | LeafKind::AnyInt { field, .. } => into.push(field),
        LeafKind::Compare { left, right, .. } => {
            operand_fields(left, into);
            operand_fields(right, into);
        }
        LeafKind::FieldTest { left, right, .. } => {
            into.push(left);
            if right != left {
                into.push(right);
            }
        }
    }
}

fn operand_fields<'k>(operand: &'k Operand, into: &mut Vec<&'k FieldRef>) {
    match operand {
        Operand::Const(_) => {}
        Operand::Field(field) | Operand::Length(field) => {
            if !into.contains(&field) {
                into.push(field);
            }
        }
        Operand::ToDecimal(inside) => operand_fields(inside, into),
        Operand::Arithmetic { left, right, .. } => {
            operand_fields(left, into);
            operand_fields(right, into);
        }
    }
}

fn may_be_undefined(kind: &LeafKind) -> bool {
    fn divides(operand: &Operand) -> bool {
        match operand {
            Operand::Const(_) | Operand::Field(_) | Operand::Length(_) => false,
            Operand::ToDecimal(inside) => divides(inside),
            Operand::Arithmetic { op, left, right, .. } => {
                let by_zero = matches!(op, Arithmetic::Div | Arithmetic::Rem)
                    && !matches!(**right, Operand::Const(value) if value != 0);
                by_zero || divides(left) || divides(right)
            }
        }
    }
    matches!(kind, LeafKind::Compare { left, right, .. } if divides(left) || divides(right))
}

/// One form for tests that say the same.
fn normalise(kind: &LeafKind) -> LeafKind {
    match kind {
        LeafKind::Predicate(Predicate { field, scope: Scope::Any, test: PredicateTest::Exists }) => {
            LeafKind::Exists(field.clone())
        }
        LeafKind::Compare { cmp, left, right } => {
            let (left, right) = (fold(left), fold(right));
            if matches!(left, Operand::Const(_)) && !matches!(right, Operand::Const(_)) {
                LeafKind::Compare { cmp: swapped(*cmp), left: right, right: left }
            } else {
                LeafKind::Compare { cmp: *cmp, left, right }
            }
        }
        LeafKind::OneOf { field, values } => {
            let mut values = values.clone();
            values.sort_unstable();
            values.dedup();
            match values[..] {
                [value] => LeafKind::Compare {
                    cmp: Cmp::Eq,
                    left: Operand::Field(field.clone()),
                    right: Operand::Const(value),
                },
                _ => LeafKind::OneOf { field: field.clone(), values },
            }
        }
        other => other.clone(),
    }
}

/// The operand with arithmetic on constants done; a division by a constant zero stays.
fn fold(operand: &Operand) -> Operand {
    match operand {
        Operand::Const(_) | Operand::Field(_) | Operand::Length(_) => operand.clone(),
        Operand::ToDecimal(inside) => match fold(inside) {
            Operand::Const(value) => Operand::Const(value.saturating_mul(DECIMAL_ONE)),
            inside => Operand::ToDecimal(Box::new(inside)),
        },
        Operand::Arithmetic { op, decimal, left, right } => {
            let (left, right) = (fold(left), fold(right));
            if let (Operand::Const(left), Operand::Const(right)) = (&left, &right)
                && let Some(value) = arithmetic(*op, *decimal, *left, *right)
            {
                return Operand::Const(value);
            }
            Operand::Arithmetic { op: *op, decimal: *decimal, left: Box::new(left), right: Box::new(right) }
        }
    }
}

/// The slot value of the decimal 1.
pub(crate) const DECIMAL_ONE: i64 = 1_000_000;

/// What the machine would compute; None for a division by zero.
fn arithmetic(op: Arithmetic, decimal: bool, left: i64, right: i64) -> Option<i64> {
    let clamp = |value: i128| value.clamp(i64::MIN.into(), i64::MAX.into()) as i64;
    Some(match op {
        Arithmetic::Add => left.saturating_add(right),
        Arithmetic::Sub => left.saturating_sub(right),
        Arithmetic::Mul if decimal => clamp(i128::from(left) * i128::from(right) / i128::from(DECIMAL_ONE)),
        Arithmetic::Mul => left.saturating_mul(right),
        Arithmetic::Div | Arithmetic::Rem if right == 0 => return None,
        Arithmetic::Div if decimal => clamp(i128::from(left) * i128::from(DECIMAL_ONE) / i128::from(right)),
        Arithmetic::Div => left.saturating_div(right),
        Arithmetic::Rem => left.wrapping_rem(right),
    })
}

fn compare(cmp: Cmp, left: i64, right: i64) -> bool {
    match cmp {
        Cmp::Eq => left == right,
        Cmp::Ne => left != right,
        Cmp::Lt => left < right,
        Cmp::Le => left <= right,
        Cmp::Gt => left > right,
        Cmp::Ge => left >= right,
    }
}

fn swapped(cmp: Cmp) -> Cmp {
    match cmp {
        Cmp::Eq | Cmp::Ne => cmp,
        Cmp::Lt => Cmp::Gt,
        Cmp::Le => Cmp::Ge,
        Cmp::Gt => Cmp::Lt,
        Cmp::Ge => Cmp::Le,
    }
}

/// The two-valued negation.
fn negate(cond: Cond) -> Cond {
    match cond {
        Cond::Const(value) => Cond::Const(!value),
        Cond::Test { test, ask, possible } => Cond::Test { test, ask: possible.without(ask), possible },
        Cond::All(parts) => Cond::Any(parts.into_iter().map(negate).collect()),
        Cond::Any(parts) => Cond::All(parts.into_iter().map(negate).collect()),
        Cond::Each(each) => Cond::Each(Box::new(Each {
            every: !each.every,
            body: negate(each.body),
            on_absent: !each.on_absent,
            on_lost: !each.on_lost,
            on_beyond: !each.on_beyond,
            list: each.list,
            line: each.line,
        })),
    }
}

fn collect_lists(cond: &Cond, into: &mut Vec<FieldRef>) {
    match cond {
        Cond::Const(_) | Cond::Test { .. } => {}
        Cond::All(parts) | Cond::Any(parts) => parts.iter().for_each(|part| collect_lists(part, into)),
        Cond::Each(each) => {
            if !into.contains(&each.list) {
                into.push(each.list.clone());
            }
            collect_lists(&each.body, into);
        }
    }
}

fn check_depth(expr: &Expr, line: u32, depth: usize) -> Result<(), MirError> {
    if depth >= DEPTH_MAX {
        return Err(MirError::TooDeep { line });
    }
    match expr {
        Expr::Const(_) => Ok(()),
        Expr::Leaf(leaf) => match &leaf.kind {
            LeafKind::Compare { left, right, .. } => {
                check_operand_depth(left, leaf.line, depth + 1)?;
                check_operand_depth(right, leaf.line, depth + 1)
            }
            _ => Ok(()),
        },
        Expr::And(parts) | Expr::Or(parts) => parts.iter().try_for_each(|part| check_depth(part, line, depth + 1)),
        Expr::Not(inside) | Expr::IsTrue(inside) => check_depth(inside, line, depth + 1),
        Expr::Quantifier { body, line, .. } => check_depth(body, *line, depth + 1),
    }
}

fn check_operand_depth(operand: &Operand, line: u32, depth: usize) -> Result<(), MirError> {
    if depth >= DEPTH_MAX {
        return Err(MirError::TooDeep { line });
    }
    match operand {
        Operand::Const(_) | Operand::Field(_) | Operand::Length(_) => Ok(()),
        Operand::ToDecimal(inside) => check_operand_depth(inside, line, depth + 1),
        Operand::Arithmetic { left, right, .. } => {
            check_operand_depth(left, line, depth + 1)?;
            check_operand_depth(right, line, depth + 1)
        }
    }
}
