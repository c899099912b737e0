//! What must hold of an event to be of a log source, and of a place to have its meaning.

use trapline_vm::predicate::{FieldRef, StrOp};
use trapline_vm::record::{FieldType, Scalar};

use super::answer::{equals, leaf, strings, word};
use super::one;
use crate::hir::{Absent, Expr, Leaf, LeafKind};
use crate::sigma::modifier::Question;
use crate::sigma::origin::Claim;
use crate::sigma::stream::{Guard, Place, Providers};

/// A guard as a condition.
pub(super) fn guard_expr(guard: &Guard, line: u32) -> Expr {
    let leaf = |kind: LeafKind, text: &str| leaf(kind, line, text.to_owned());
    let text = |name: &str| FieldRef { name: name.to_owned(), ty: FieldType::Scalar(Scalar::Str) };
    let is = |field: &FieldRef, values: &[String]| {
        let text = format!("{} is {}", field.name, values.join(" or "));
        leaf(LeafKind::Predicate(equals(field.clone(), values.to_vec())), &text)
    };
    match guard {
        Guard::Is(field, values) => is(field, values),
        Guard::Windows(events) => {
            let id = FieldRef { name: "winlog.event_id".to_owned(), ty: FieldType::Scalar(Scalar::Int) };
            let module = text("event.module");
            let ours = events.iter().map(|(name, ids)| {
                let one_of = LeafKind::OneOf { field: id.clone(), values: ids.clone() };
                Expr::And(vec![is(&module, std::slice::from_ref(name)), leaf(one_of, "winlog.event_id")])
            });
            one(std::iter::once(not_of_windows(line)).chain(ours).collect(), Expr::Or)
        }
        Guard::Channel(channels, providers) => {
            let channel = text("winlog.channel");
            let provider = text("winlog.provider_name");
            let hidden = Expr::Or(vec![
                is(&channel, &["ForwardedEvents".to_owned()]),
                Expr::Not(Box::new(leaf(LeafKind::Exists(channel.clone()), "winlog.channel exists"))),
            ]);
            let writes = match providers {
                Providers::These(names) => is(&provider, names),
                Providers::AllBut(names) => Expr::Not(Box::new(is(&provider, names))),
            };
            Expr::Or(vec![is(&channel, channels), Expr::And(vec![hidden, writes])])
        }
        Guard::Origin { claims, has, or } => {
            let exist = |fields: &[FieldRef]| {
                let there =
                    fields.iter().map(|field| leaf(LeafKind::Exists(field.clone()), &format!("{} exists", field.name)));
                one(there.collect(), Expr::Or)
            };
            let silent = if has.is_empty() { Expr::Const(true) } else { exist(has) };
            let says = claims.iter().rev().fold(silent, |next, Claim { fields, equal, begins }| {
                let mut parts: Vec<Expr> = Vec::new();
                for field in fields {
                    if !equal.is_empty() {
                        parts.push(is(field, equal));
                    }
                    if !begins.is_empty() {
                        let shown = format!("{} begins with {}", field.name, begins.join(" or "));
                        let predicate = strings(field.clone(), StrOp::StartsWith, begins.clone(), true);
                        parts.push(leaf(LeafKind::Predicate(predicate), &shown));
                    }
                }
                parts.push(Expr::And(vec![Expr::Not(Box::new(exist(fields))), next]));
                Expr::Or(parts)
            });
            if or.is_empty() { says } else { Expr::Or(vec![exist(or), says]) }
        }
    }
}

pub(super) fn exists(place: &Place, line: u32) -> Leaf {
    let kind = LeafKind::Exists(place.field.clone());
    Leaf { kind, absent: Absent::False, line, text: format!("{} exists", place.field.name) }
}

/// As [`exists`]; of a list of values, that it is not empty: it is for a field that is there and has none.
pub(super) fn has_value(place: &Place, line: u32) -> Leaf {
    let FieldType::List(_) = place.field.ty else { return exists(place, line) };
    let any = strings(place.field.clone(), StrOp::Like, vec!["*".to_owned()], false);
    Leaf { kind: LeafKind::Predicate(any), ..exists(place, line) }
}

/// The condition, where the field has its meaning only in some events.
pub(super) fn guarded(place: &Place, line: u32, expr: Expr) -> Expr {
    in_module(place, line, expr, |expr| expr)
}

pub(super) fn in_module(place: &Place, line: u32, expr: Expr, wrap: impl FnOnce(Expr) -> Expr) -> Expr {
    let mut parts = Vec::new();
    if place.elsewhere {
        parts.push(not_of_windows(line));
    }
    if let Some(module) = &place.module {
        let field = FieldRef { name: "event.module".to_owned(), ty: FieldType::Scalar(Scalar::Str) };
        let predicate = equals(field, vec![module.clone()]);
        parts.push(leaf(LeafKind::Predicate(predicate), line, format!("event.module is {module}")));
    }
    parts.push(expr);
    wrap(one(parts, Expr::And))
}

/// The event is not as Windows writes them.
pub(super) fn not_of_windows(line: u32) -> Expr {
    let id = FieldRef { name: "winlog.event_id".to_owned(), ty: FieldType::Scalar(Scalar::Int) };
    Expr::Not(Box::new(leaf(LeafKind::Exists(id), line, "winlog.event_id exists".to_owned())))
}

pub(super) fn field_test(left: &Place, right: &Place, op: StrOp, question: &Question, line: u32) -> Expr {
    let kind = LeafKind::FieldTest { op, fold: !question.cased, left: left.field.clone(), right: right.field.clone() };
    let text = format!("{} {} {}", left.field.name, word(op), right.field.name);
    guarded(left, line, guarded(right, line, leaf(kind, line, text)))
}
