//! What a test on an absent field means, in the terms of the language.
//!
//! A test of Sigma is false on an absent field, one of ours unknown. Both fail to be true, so the difference shows only
//! under `not`: there `x == 1` becomes `exists(x) and x == 1`, which is false on an absent field, and unknown on a lost
//! one like the test itself. It is left out where the rule cannot match without the field anyway.
//!
//! `a and not b` becomes `where a unless b` where that is the same: an exception that is unknown suppresses nothing,
//! while `not b` is then unknown and the rule not evaluable. So it is the same if `b` is decided whenever `a` is true,
//! which is known if all fields of `b` are looked at by `a` in such a way that they must have arrived whole.

use std::collections::BTreeSet;

use trapline_vm::predicate::{FieldRef, Predicate, Scope, StrOp, Test};
use trapline_vm::record::{FieldType, Scalar};

use super::Inexpressible;
use crate::hir::supply::fields_of;
use crate::hir::{Absent, Expr, Leaf, LeafKind, Operand, Rule, compare_text};

/// A rule's conditions in which every test on an absent field is unknown.
#[derive(Debug)]
pub(super) struct Explicit {
    /// Named conditions, in the order of the source.
    pub(super) lets: Vec<(String, Expr)>,
    pub(super) condition: Expr,
    pub(super) exceptions: Vec<Expr>,
}

type Fields = BTreeSet<String>;

/// Under how many negations a condition stands: an even number, an odd one, or both in different places.
#[derive(Clone, Copy, Debug, Default)]
struct Polarity {
    even: bool,
    odd: bool,
}

const EVEN: Polarity = Polarity { even: true, odd: false };

impl Polarity {
    fn negated(self) -> Self {
        Self { even: self.odd, odd: self.even }
    }
}

/// A named condition, and where it is used.
#[derive(Debug)]
struct Named<'n> {
    name: &'n str,
    expr: &'n Expr,
    uses: usize,
    polarity: Polarity,
    /// Fields that are there wherever it is used and counts.
    there: Option<Fields>,
    explicit: Option<Expr>,
}

pub(super) fn explicit(rule: &Rule, named: &[(String, Expr)]) -> Result<Explicit, Inexpressible> {
    let mut rewriter = Rewriter { named: Vec::new() };
    for (name, expr) in named {
        if rewriter.find(expr).is_none() {
            let polarity = Polarity::default();
            rewriter.named.push(Named { name, expr, uses: 0, polarity, there: None, explicit: None });
        }
    }
    let mut conjuncts = Vec::new();
    rewriter.parts(&rule.condition, true, &mut conjuncts);
    let mut there = Fields::new();
    conjuncts.iter().for_each(|part| there.extend(required(part, true)));
    let (conjuncts, excused) = rewriter.excuses(conjuncts);
    let own = rule.exceptions.iter().map(|exception| &exception.condition);
    let exceptions: Vec<&Expr> = excused.into_iter().chain(own).collect();

    // Once to see where the named conditions are used, once to put them there.
    let all = |rewriter: &mut Rewriter<'_>| -> Result<(Vec<Expr>, Vec<Expr>), Inexpressible> {
        let mut each = |parts: &[&Expr]| -> Result<Vec<Expr>, Inexpressible> {
            parts.iter().map(|part| rewriter.rewrite(part, EVEN, &there)).collect()
        };
        Ok((each(&conjuncts)?, each(&exceptions)?))
    };
    all(&mut rewriter)?;
    let used = rewriter.named.iter().filter(|named| named.uses > 0).count();
    rewriter.named.retain(|named| named.uses > 1 || (named.uses > 0 && used > 1));
    for index in 0..rewriter.named.len() {
        let Some(Named { expr, polarity, there, .. }) = rewriter.named.get(index) else { continue };
        let (expr, polarity, there) = (*expr, *polarity, there.clone().unwrap_or_default());
        let explicit = rewriter.rewrite_inside(expr, polarity, &there)?;
        if let Some(named) = rewriter.named.get_mut(index) {
            named.explicit = Some(explicit);
        }
    }
    let (mut conjuncts, exceptions) = all(&mut rewriter)?;
    let lets = rewriter.named.into_iter().filter_map(|named| Some((named.name.to_owned(), named.explicit?)));
    let condition = if conjuncts.len() == 1 { conjuncts.swap_remove(0) } else { Expr::And(conjuncts) };
    let condition = if condition == Expr::And(Vec::new()) { Expr::Const(true) } else { condition };
    Ok(Explicit { lets: lets.collect(), condition, exceptions })
}

struct Rewriter<'n> {
    named: Vec<Named<'n>>,
}

impl<'n> Rewriter<'n> {
    fn find(&self, expr: &Expr) -> Option<usize> {
        self.named.iter().position(|named| named.expr == expr)
    }

    /// The parts that must all be true, or of which any must be; named ones whole.
    fn parts<'e>(&self, expr: &'e Expr, and: bool, into: &mut Vec<&'e Expr>) {
        match expr {
            Expr::And(parts) | Expr::Or(parts)
                if self.find(expr).is_none() && (parts.len() == 1 || and == matches!(expr, Expr::And(_))) =>
            {
                parts.iter().for_each(|part| self.parts(part, and, into));
            }
            // What changes nothing, or stands there already.
            Expr::Const(value) if *value == and => {}
            _ if into.contains(&expr) => {}
            _ => into.push(expr),
        }
    }

    /// Takes those negated parts out that mean the same as exceptions.
    fn excuses<'e>(&self, conjuncts: Vec<&'e Expr>) -> (Vec<&'e Expr>, Vec<&'e Expr>) {
        let mut arrived = Arrived::default();
        conjuncts.iter().for_each(|part| arrived.extend(&Arrived::if_true(part)));
        let (mut rest, mut excused) = (Vec::new(), Vec::new());
        for part in conjuncts {
            match part {
                Expr::Not(inner) if self.find(part).is_none() && arrived.decides(inner) => {
                    self.parts(inner, false, &mut excused);
                }
                _ => rest.push(part),
            }
        }
        (rest, excused)
    }

    fn rewrite(&mut self, expr: &Expr, polarity: Polarity, there: &Fields) -> Result<Expr, Inexpressible> {
        let Some(named) = self.find(expr).and_then(|index| self.named.get_mut(index)) else {
            return self.rewrite_inside(expr, polarity, there);
        };
        if let Some(explicit) = &named.explicit {
            return Ok(explicit.clone());
        }
        named.uses += 1;
        named.polarity.even |= polarity.even;
        named.polarity.odd |= polarity.odd;
        named.there = Some(match named.there.take() {
            None => there.clone(),
            Some(before) => before.intersection(there).cloned().collect(),
        });
        Ok(Expr::Const(false))
    }

    /// `there`: fields without which the rule cannot match, whatever this is.
    fn rewrite_inside(&mut self, expr: &Expr, polarity: Polarity, there: &Fields) -> Result<Expr, Inexpressible> {
        match expr {
            Expr::Const(_) => Ok(expr.clone()),
            Expr::Leaf(leaf) => Ok(guarded(std::slice::from_ref(leaf), polarity, there)),
            Expr::And(parts) | Expr::Or(parts) => {
                let is_and = matches!(expr, Expr::And(_));
                let mut flat = Vec::with_capacity(parts.len());
                parts.iter().for_each(|part| self.parts(part, is_and, &mut flat));
                let mut there = there.clone();
                if polarity.even != polarity.odd && is_and == polarity.even {
                    // All of these count together, so each may rely on what the others need.
                    parts.iter().for_each(|part| there.extend(required(part, polarity.even)));
                }
                let mut rewritten = Vec::with_capacity(flat.len());
                let mut rest = flat.as_slice();
                while let Some(first) = rest.first() {
                    let own = rest.iter().copied().take_while(|part| is_and && self.find(part).is_none());
                    let run = run_of_same(own);
                    let len = run.len().max(1);
                    rewritten.push(if run.len() > 1 {
                        guarded(&run, polarity, &there)
                    } else {
                        self.rewrite(first, polarity, &there)?
                    });
                    rest = rest.get(len..).unwrap_or_default();
                }
                Ok(match rewritten.len() {
                    1 => rewritten.swap_remove(0),
                    _ if is_and => Expr::And(rewritten),
                    _ => Expr::Or(rewritten),
                })
            }
            Expr::Not(inner) => Ok(Expr::Not(Box::new(self.rewrite(inner, polarity.negated(), there)?))),
            // It is asked only whether the inside is true; and a test that is less true may make the rule more so.
            Expr::IsTrue(inner) => Ok(Expr::IsTrue(Box::new(self.rewrite(inner, EVEN, &Fields::new())?))),
            Expr::Quantifier { absent: Absent::Unknown, .. } => Ok(expr.clone()),
            Expr::Quantifier { .. } => {
                Err(Inexpressible("a quantifier that is false over an absent list has no words".to_owned()))
            }
        }
    }
}

/// The tests that the parts begin with and that differ in one literal only: `contains all` of one field.
pub(super) fn run_of_same<'e>(parts: impl Iterator<Item = &'e Expr>) -> Vec<Leaf> {
    let mut run: Vec<Leaf> = Vec::new();
    for part in parts {
        let Expr::Leaf(leaf) = part else { break };
        let key = same_but_literal(leaf);
        if key.is_none() || run.first().is_some_and(|first| same_but_literal(first) != key) {
            break;
        }
        run.push(leaf.clone());
    }
    run
}

/// What tests that can stand in one `contains all` have in common.
fn same_but_literal(leaf: &Leaf) -> Option<(&FieldRef, StrOp, bool)> {
    let LeafKind::Predicate(Predicate { field, scope: Scope::Any, test }) = &leaf.kind else { return None };
    match test {
        Test::Str { op: op @ (StrOp::Contains | StrOp::Like | StrOp::Regex), literals, fold }
            if literals.len() == 1 =>
        {
            Some((field, *op, *fold))
        }
        _ => None,
    }
}

/// Tests on the same fields, all of them, and false if a field is absent, where that matters.
fn guarded(leaves: &[Leaf], polarity: Polarity, there: &Fields) -> Expr {
    let Some(first) = leaves.first() else { return Expr::And(Vec::new()) };
    let plain = leaves.iter().map(|leaf| Expr::Leaf(Leaf { absent: Absent::Unknown, ..leaf.clone() })).collect();
    let matters = polarity.odd && first.absent == Absent::False && !matches!(first.kind, LeafKind::Exists(_));
    let mut missing: Vec<&FieldRef> = Vec::new();
    if matters {
        crate::mir::fields_of(&first.kind, &mut missing);
        missing.retain(|field| !there.contains(&field.name));
    }
    let all = one(plain);
    let exists = |field: &FieldRef| {
        let text = format!("{} exists", field.name);
        let kind = LeafKind::Exists(field.clone());
        Expr::Leaf(Leaf { kind, absent: Absent::Unknown, line: first.line, text })
    };
    match missing.as_slice() {
        [] => all,
        [field] if leaves.iter().all(is_false_of_nothing) => {
            // As `x ?? "" contains "a"` is understood.
            let never = one(leaves.iter().map(|_| Expr::Const(false)).collect());
            let absent = Expr::Not(Box::new(exists(field)));
            Expr::Or(vec![Expr::And(vec![exists(field), all]), Expr::And(vec![absent, never])])
        }
        fields => Expr::And(fields.iter().map(|field| exists(field)).chain([all]).collect()),
    }
}

fn one(mut parts: Vec<Expr>) -> Expr {
    if parts.len() == 1 { parts.swap_remove(0) } else { Expr::And(parts) }
}

/// Whether the test is one on a text, and false of the empty one.
fn is_false_of_nothing(leaf: &Leaf) -> bool {
    let LeafKind::Predicate(Predicate { field, scope: Scope::Any, test: Test::Str { op, literals, fold } }) =
        &leaf.kind
    else {
        return false;
    };
    matches!(field.ty, FieldType::Scalar(Scalar::Str | Scalar::Path) | FieldType::List(Scalar::Str | Scalar::Path))
        && literals.iter().all(|literal| compare_text(*op, *fold, "", literal) == Some(false))
}

/// Fields without which the condition is not true (or not false), nor would be if what is lost were favourable.
fn required(expr: &Expr, truth: bool) -> Fields {
    match expr {
        Expr::Leaf(leaf) => {
            let holds = truth || (leaf.absent == Absent::Unknown && !matches!(leaf.kind, LeafKind::Exists(_)));
            if holds { fields_of(leaf).into_iter().map(str::to_owned).collect() } else { Fields::new() }
        }
        Expr::And(parts) | Expr::Or(parts) => {
            let sets = parts.iter().map(|part| required(part, truth));
            let all = matches!(expr, Expr::And(_)) == truth;
            let joined = sets.reduce(|left, right| match all {
                true => left.into_iter().chain(right).collect(),
                false => left.intersection(&right).cloned().collect(),
            });
            joined.unwrap_or_default()
        }
        Expr::Not(inner) => required(inner, !truth),
        Expr::Const(_) | Expr::IsTrue(_) | Expr::Quantifier { .. } => Fields::new(),
    }
}

/// Fields that are not lost.
#[derive(Clone, Debug, Default)]
struct Arrived {
    /// As a whole or in part, or absent.
    some: Fields,
    /// As a whole, or absent; no lists.
    whole: Fields,
}

impl Arrived {
    fn extend(&mut self, other: &Self) {
        self.some.extend(other.some.iter().cloned());
        self.whole.extend(other.whole.iter().cloned());
    }

    /// What has arrived if the condition is true.
    fn if_true(expr: &Expr) -> Self {
        match expr {
            Expr::Leaf(leaf) => {
                let some: Fields = fields_of(leaf).into_iter().map(str::to_owned).collect();
                let whole = if is_true_of_whole_values_only(leaf) { some.clone() } else { Fields::new() };
                Self { some, whole }
            }
            Expr::And(parts) => parts.iter().fold(Self::default(), |mut all, part| {
                all.extend(&Self::if_true(part));
                all
            }),
            Expr::Or(parts) => {
                let both = |left: Self, right: Self| Self {
                    some: left.some.intersection(&right.some).cloned().collect(),
                    whole: left.whole.intersection(&right.whole).cloned().collect(),
                };
                parts.iter().map(Self::if_true).reduce(both).unwrap_or_default()
            }
            Expr::Const(_) | Expr::Not(_) | Expr::IsTrue(_) | Expr::Quantifier { .. } => Self::default(),
        }
    }

    /// Whether the condition is then true or false, whatever the values are.
    fn decides(&self, expr: &Expr) -> bool {
        match expr {
            Expr::Const(_) => true,
            Expr::Leaf(leaf) => {
                let known = match &leaf.kind {
                    LeafKind::Exists(_) => &self.some,
                    // A regular expression may give up on a long value.
                    LeafKind::Predicate(Predicate { test: Test::Str { op: StrOp::Regex, .. }, .. })
                    | LeafKind::FieldTest { .. } => return false,
                    LeafKind::Compare { left, right, .. } if !is_plain(left) || !is_plain(right) => return false,
                    _ => &self.whole,
                };
                leaf.absent == Absent::False && fields_of(leaf).into_iter().all(|field| known.contains(field))
            }
            Expr::And(parts) | Expr::Or(parts) => parts.iter().all(|part| self.decides(part)),
            Expr::Not(inner) => self.decides(inner),
            Expr::IsTrue(_) | Expr::Quantifier { .. } => false,
        }
    }
}

fn is_plain(operand: &Operand) -> bool {
    matches!(operand, Operand::Const(_) | Operand::Field(_))
}

fn is_true_of_whole_values_only(leaf: &Leaf) -> bool {
    match &leaf.kind {
        LeafKind::Predicate(Predicate { field, scope: Scope::Any, test }) => {
            let is_scalar = matches!(field.ty, FieldType::Scalar(_));
            is_scalar
                && match test {
                    Test::Str { op: StrOp::Equals | StrOp::EndsWith, literals, .. } => {
                        literals.iter().all(|literal| !literal.is_empty())
                    }
                    Test::Cidr(_) => true,
                    _ => false,
                }
        }
        LeafKind::Compare { left, right, .. } => is_plain(left) && is_plain(right),
        LeafKind::OneOf { .. } | LeafKind::Flag(_) => true,
        _ => false,
    }
}
