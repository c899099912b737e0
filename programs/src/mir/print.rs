//! The decision form as text, for `trapline debug mir` and the goldens.

use std::fmt::Write;

use trapline_vm::predicate::{Cmp, Predicate, Scope, StrOp, Test as PredicateTest};

use super::{Cond, Decision, Outcomes, TestId};
use crate::catalogue::int_text;
use crate::hir::{Arithmetic, LeafKind, Operand};

/// Stable text: the tests, then each question as a tree.
pub fn print(decision: &Decision) -> String {
    let mut text = String::from("tests\n");
    for (index, test) in decision.tests.iter().enumerate() {
        line(&mut text, 1, format_args!("t{index}  line {}  {}", test.line, describe(&test.kind)));
    }
    text.push_str("match if\n");
    tree(&mut text, &decision.condition, 1);
    if decision.possible != Cond::Const(false) {
        text.push_str("else, if impaired");
        for list in &decision.lists {
            push(&mut text, format_args!(" or more than 64 in {}", list.name));
        }
        text.push_str(", not evaluable if\n");
        tree(&mut text, &decision.possible, 1);
    }
    for (cond, at) in &decision.exceptions {
        line(&mut text, 0, format_args!("unless (line {at})"));
        tree(&mut text, cond, 1);
    }
    text
}

fn push(text: &mut String, what: std::fmt::Arguments<'_>) {
    text.write_fmt(what).expect("writing to a string does not fail");
}

fn line(text: &mut String, depth: usize, what: std::fmt::Arguments<'_>) {
    push(text, format_args!("{:width$}{what}\n", "", width = 2 * depth));
}

fn tree(text: &mut String, cond: &Cond, depth: usize) {
    match cond {
        Cond::Const(value) => line(text, depth, format_args!("{value}")),
        Cond::Test { test: TestId(test), ask, .. } => line(text, depth, format_args!("t{test} {}", outcomes(*ask))),
        Cond::All(parts) | Cond::Any(parts) => {
            line(text, depth, format_args!("{}", if matches!(cond, Cond::All(_)) { "all" } else { "any" }));
            parts.iter().for_each(|part| tree(text, part, depth + 1));
        }
        Cond::Each(each) => {
            let mut answers = String::new();
            for (state, yes) in [("absent", each.on_absent), ("lost", each.on_lost), ("beyond", each.on_beyond)] {
                if yes {
                    push(&mut answers, format_args!(", or {state}"));
                }
            }
            let which = if each.every { "every" } else { "some" };
            line(text, depth, format_args!("{which} element of {}{answers}", each.list.name));
            tree(text, &each.body, depth + 1);
        }
    }
}

fn outcomes(set: Outcomes) -> String {
    let names = ["true", "false", "absent", "lost", "undefined"];
    let named: Vec<_> =
        Outcomes::EACH.iter().zip(names).filter(|(outcome, _)| set.meets(**outcome)).map(|(_, name)| name).collect();
    named.join("|")
}

/// A test on one line.
pub(crate) fn describe(kind: &LeafKind) -> String {
    match kind {
        LeafKind::Predicate(predicate) => describe_predicate(predicate),
        LeafKind::Exists(field) => format!("exists {}", field.name),
        LeafKind::Flag(field) => field.name.clone(),
        LeafKind::Compare { cmp, left, right } => {
            format!("{} {} {}", beside(left, right), cmp_sign(*cmp), beside(right, left))
        }
        LeafKind::OneOf { field, values } => {
            let values: Vec<String> = values.iter().map(|value| int_text(&field.name, *value)).collect();
            format!("{} in [{}]", field.name, values.join(", "))
        }
        LeafKind::AnyInt { field, cmp, value } => {
            format!("any of {} {} {}", field.name, cmp_sign(*cmp), int_text(&field.name, *value))
        }
        LeafKind::FieldTest { op, fold, left, right } => {
            format!("{} {}{} {}", left.name, op_name(*op), fold_sign(*fold), right.name)
        }
    }
}

/// A predicate on one line.
pub(crate) fn describe_predicate(predicate: &Predicate) -> String {
    let name = &predicate.field.name;
    let place = match &predicate.scope {
        Scope::Any => name.clone(),
        Scope::Elements => format!("{name}[]"),
        Scope::Member(member) => format!("{name}[].{member}"),
    };
    match &predicate.test {
        PredicateTest::Str { op, literals, fold } => {
            format!("{place} {}{} {literals:?}", op_name(*op), fold_sign(*fold))
        }
        PredicateTest::Bytes(values) => {
            let values: Vec<String> = values
                .iter()
                .map(|bytes| bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}")))
                .collect();
            format!("{place} bytes [{}]", values.join(", "))
        }
        PredicateTest::Cidr(ranges) => {
            let ranges: Vec<String> =
                ranges.iter().map(|range| format!("{}/{}", range.address, range.prefix)).collect();
            format!("{place} cidr [{}]", ranges.join(", "))
        }
        PredicateTest::Int { cmp, values } => format!("{place} {} {values:?}", cmp_sign(*cmp)),
        PredicateTest::Number { cmp, value } => format!("number {place} {} {value}", cmp_sign(*cmp)),
        PredicateTest::Time { part, cmp, values } => {
            let part = format!("{part:?}").to_ascii_lowercase();
            format!("{part} {place} {} {values:?}", cmp_sign(*cmp))
        }
        PredicateTest::Exists => format!("exists {place}"),
    }
}

/// An operand, a number as people write those of the field that it is compared with.
fn beside(this: &Operand, other: &Operand) -> String {
    match (this, other) {
        (Operand::Const(value), Operand::Field(field)) => int_text(&field.name, *value),
        _ => operand(this),
    }
}

fn operand(operand_: &Operand) -> String {
    match operand_ {
        Operand::Const(value) => value.to_string(),
        Operand::Field(field) => field.name.clone(),
        Operand::Length(field) => format!("length({})", field.name),
        Operand::ToDecimal(inside) => format!("decimal({})", operand(inside)),
        Operand::Arithmetic { op, decimal, left, right } => {
            let sign = match op {
                Arithmetic::Add => "+",
                Arithmetic::Sub => "-",
                Arithmetic::Mul => "*",
                Arithmetic::Div => "/",
                Arithmetic::Rem => "%",
            };
            let kind = if *decimal { "." } else { "" };
            format!("({} {sign}{kind} {})", operand(left), operand(right))
        }
    }
}

fn cmp_sign(cmp: Cmp) -> &'static str {
    match cmp {
        Cmp::Eq => "==",
        Cmp::Ne => "!=",
        Cmp::Lt => "<",
        Cmp::Le => "<=",
        Cmp::Gt => ">",
        Cmp::Ge => ">=",
    }
}

fn op_name(op: StrOp) -> &'static str {
    match op {
        StrOp::Equals => "equals",
        StrOp::Contains => "contains",
        StrOp::StartsWith => "startswith",
        StrOp::EndsWith => "endswith",
        StrOp::Like => "like",
        StrOp::Regex => "regex",
        StrOp::Under => "under",
    }
}

fn fold_sign(fold: bool) -> &'static str {
    if fold { "~" } else { "" }
}
