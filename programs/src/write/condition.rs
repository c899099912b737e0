//! Conditions as text.

use std::collections::BTreeSet;

use trapline_vm::predicate::{Cidr, Cmp, FieldRef, Predicate, Scope, StrOp, Test};
use trapline_vm::record::{FieldType, Os, OsSet, Scalar};

use super::Inexpressible;
use super::absence::run_of_same;
use super::layout::{Doc, path, quoted, quoted_name};
use crate::hir::supply::read_by;
use crate::hir::{Expr, Leaf, LeafKind, Operand, Rule, case_matters};

/// Words that begin something else than a name where a condition is expected.
const WORDS: &[&str] = &["all", "and", "any", "false", "not", "or", "true"];

/// Writes the conditions of one rule.
pub(super) struct Writer<'w> {
    lets: &'w [(String, Expr)],
    /// First parts of the names of fields: a `let` of that name would stand before them.
    taken: BTreeSet<&'w str>,
    is_windows: bool,
}

impl<'w> Writer<'w> {
    pub(super) fn new(rule: &'w Rule, lets: &'w [(String, Expr)]) -> Self {
        let mut fields = BTreeSet::new();
        read_by(&rule.condition, &mut fields);
        rule.exceptions.iter().for_each(|exception| read_by(&exception.condition, &mut fields));
        let taken = fields.into_iter().filter_map(|field| field.split('.').next()).collect();
        Self { lets, taken, is_windows: rule.meta.os == OsSet::default().with(Os::Windows) }
    }

    /// The name of a `let`.
    pub(super) fn let_name(&self, name: &str) -> Result<String, Inexpressible> {
        let is_free = !WORDS.contains(&name) && !self.taken.contains(name);
        if is_free { quoted_name(name) } else { quoted_name(&format!("search_{name}")) }
    }

    /// A condition, which may be a named one.
    pub(super) fn doc(&self, expr: &Expr) -> Result<Doc, Inexpressible> {
        match self.lets.iter().find(|(_, named)| named == expr) {
            Some((name, _)) => Ok(Doc::Text(self.let_name(name)?)),
            None => self.inside(expr),
        }
    }

    /// A condition by its parts.
    pub(super) fn inside(&self, expr: &Expr) -> Result<Doc, Inexpressible> {
        if let Some((field, leaves)) = defaulted(expr) {
            return self.tests(&leaves, &format!("{} ?? \"\"", path(&field.name)?));
        }
        Ok(match expr {
            Expr::Const(value) => Doc::Text(value.to_string()),
            Expr::Leaf(leaf) => self.leaf(leaf)?,
            Expr::And(_) => self.all(expr)?,
            Expr::Or(_) => {
                let mut parts = Vec::new();
                self.flat(expr, false, &mut parts);
                let docs: Result<Vec<Doc>, _> = parts.into_iter().map(|part| self.doc(part)).collect();
                some(docs?, Doc::Any, "false")
            }
            Expr::Not(inner) => match &**inner {
                Expr::Leaf(Leaf { kind: LeafKind::Exists(field), .. }) if !self.is_named(inner) => {
                    Doc::Text(format!("missing({})", path(&field.name)?))
                }
                inner => Doc::Not(Box::new(self.doc(inner)?)),
            },
            Expr::IsTrue(inner) => Doc::Call("is_true", Box::new(self.doc(inner)?)),
            Expr::Quantifier { .. } => return Err(Inexpressible("quantifiers are not written yet".to_owned())),
        })
    }

    fn is_named(&self, expr: &Expr) -> bool {
        self.lets.iter().any(|(_, named)| named == expr)
    }

    /// The parts of a connective, and those of the same connective in it.
    fn flat<'e>(&self, expr: &'e Expr, and: bool, into: &mut Vec<&'e Expr>) {
        let (Expr::And(parts) | Expr::Or(parts)) = expr else { return };
        for part in parts {
            let same = if and { matches!(part, Expr::And(_)) } else { matches!(part, Expr::Or(_)) };
            if same && !self.is_named(part) && defaulted(part).is_none() {
                self.flat(part, and, into);
            } else {
                into.push(part);
            }
        }
    }

    fn all(&self, expr: &Expr) -> Result<Doc, Inexpressible> {
        let mut parts = Vec::new();
        self.flat(expr, true, &mut parts);
        let mut docs = Vec::new();
        let mut rest = parts.as_slice();
        while let Some(first) = rest.first() {
            let run = run_of_same(rest.iter().take_while(|part| !self.is_named(part)).copied());
            let len = run.len();
            if len > 1 {
                docs.push(self.tests(&run, "")?);
            } else {
                docs.push(self.doc(first)?);
            }
            rest = rest.get(len.max(1)..).unwrap_or_default();
        }
        Ok(some(docs, Doc::All, "true"))
    }

    /// Tests that differ in one literal only, of which all must hold; or a single one. `left` may be given.
    fn tests(&self, leaves: &[Leaf], left: &str) -> Result<Doc, Inexpressible> {
        let Some(Leaf { kind: LeafKind::Predicate(first), .. }) = leaves.first() else {
            return Err(Inexpressible("a test without a field has no words".to_owned()));
        };
        let mut all = Vec::new();
        for leaf in leaves {
            if let LeafKind::Predicate(Predicate { test: Test::Str { literals, .. }, .. }) = &leaf.kind {
                all.extend(literals.iter().map(String::as_str));
            }
        }
        let Test::Str { op, fold, .. } = &first.test else {
            return Err(Inexpressible("this default has no words".to_owned()));
        };
        let left = if left.is_empty() { self.left(&first.field, *op, *fold, &all)? } else { left.to_owned() };
        let tilde = if *fold { "~" } else { "" };
        let (word, one) = match op {
            StrOp::Equals => ("in", "=="),
            op => (word(*op), word(*op)),
        };
        let items = all.iter().map(|text| quoted(text)).collect();
        Ok(match (leaves.len(), all.len()) {
            (1, 1) => Doc::List { head: format!("{left} {one}{tilde}"), items, is_single: true },
            (1, _) => Doc::List { head: format!("{left} {word}{tilde}"), items, is_single: false },
            _ => Doc::List { head: format!("{left} {word}{tilde} all"), items, is_single: false },
        })
    }

    /// A field; marked where the exact case on Windows is meant.
    fn left(&self, field: &FieldRef, op: StrOp, fold: bool, literals: &[&str]) -> Result<String, Inexpressible> {
        let name = path(&field.name)?;
        let matters = literals.is_empty() || literals.iter().any(|text| case_matters(op, text));
        Ok(if self.is_windows && !fold && matters { format!("cased({name})") } else { name })
    }

    fn leaf(&self, leaf: &Leaf) -> Result<Doc, Inexpressible> {
        Ok(match &leaf.kind {
            LeafKind::Predicate(Predicate { field, scope: Scope::Any, test }) => match test {
                Test::Str { .. } => self.tests(std::slice::from_ref(leaf), "")?,
                Test::Cidr(ranges) if !is_address(field.ty) => {
                    let ranges: Vec<String> = ranges.iter().map(range).collect();
                    Doc::Call("cidr", Box::new(Doc::Sequence([vec![path(&field.name)?], ranges].concat())))
                }
                Test::Cidr(ranges) => Doc::List {
                    head: format!("{} in", path(&field.name)?),
                    items: ranges.iter().map(range).collect(),
                    is_single: false,
                },
                Test::Exists => Doc::Text(format!("exists({})", path(&field.name)?)),
                Test::Bytes(_) | Test::Int { .. } | Test::Number { .. } | Test::Time { .. } => {
                    return Err(unwritten(leaf));
                }
            },
            LeafKind::Exists(field) => Doc::Text(format!("exists({})", path(&field.name)?)),
            LeafKind::Flag(field) => Doc::Text(path(&field.name)?),
            LeafKind::OneOf { field, values } if is_int(field) => {
                let is_single = values.len() == 1;
                let word = if is_single { "==" } else { "in" };
                let items = values.iter().map(i64::to_string).collect();
                Doc::List { head: format!("{} {word}", path(&field.name)?), items, is_single }
            }
            LeafKind::AnyInt { field, cmp, value } if field.ty == FieldType::List(Scalar::Int) => {
                Doc::Text(format!("{} {} {value}", path(&field.name)?, symbol(*cmp)))
            }
            LeafKind::Compare { cmp, left: Operand::Field(left), right: Operand::Field(right) }
                if is_int(left) && is_int(right) =>
            {
                Doc::Text(format!("{} {} {}", path(&left.name)?, symbol(*cmp), path(&right.name)?))
            }
            LeafKind::Compare { cmp, left: Operand::Field(field), right: Operand::Const(value) } if is_int(field) => {
                Doc::Text(format!("{} {} {value}", path(&field.name)?, symbol(*cmp)))
            }
            LeafKind::FieldTest { op, fold, left, right } => {
                let tilde = if *fold { "~" } else { "" };
                let word = if *op == StrOp::Equals { "==" } else { word(*op) };
                Doc::Text(format!("{} {word}{tilde} {}", self.left(left, *op, *fold, &[])?, path(&right.name)?))
            }
            _ => return Err(unwritten(leaf)),
        })
    }
}

/// The tests of `x ?? "" OP …`, as the language understands it with a text that fails them.
fn defaulted(expr: &Expr) -> Option<(&FieldRef, Vec<Leaf>)> {
    let Expr::Or(cases) = expr else { return None };
    let [Expr::And(there), Expr::And(absent)] = cases.as_slice() else { return None };
    let ([Expr::Leaf(Leaf { kind: LeafKind::Exists(field), .. }), tests], [Expr::Not(missing), never]) =
        (there.as_slice(), absent.as_slice())
    else {
        return None;
    };
    let is_same = matches!(&**missing, Expr::Leaf(Leaf { kind: LeafKind::Exists(same), .. }) if same == field);
    let fails = match never {
        Expr::And(parts) => parts.iter().all(|part| *part == Expr::Const(false)),
        never => *never == Expr::Const(false),
    };
    if !is_same || !fails {
        return None;
    }
    match tests {
        Expr::Leaf(leaf) => Some((field, vec![leaf.clone()])),
        Expr::And(parts) => {
            let leaves = parts.iter().map(|part| match part {
                Expr::Leaf(leaf) => Some(leaf.clone()),
                _ => None,
            });
            Some((field, leaves.collect::<Option<_>>()?))
        }
        _ => None,
    }
}

fn unwritten(leaf: &Leaf) -> Inexpressible {
    Inexpressible(format!("the test `{}` has no words in the rule language", leaf.text))
}

fn some(mut docs: Vec<Doc>, join: fn(Vec<Doc>) -> Doc, none: &str) -> Doc {
    match docs.len() {
        0 => Doc::Text(none.to_owned()),
        1 => docs.swap_remove(0),
        _ => join(docs),
    }
}

fn is_address(ty: FieldType) -> bool {
    matches!(ty, FieldType::Scalar(Scalar::Ip) | FieldType::List(Scalar::Ip))
}

fn is_int(field: &FieldRef) -> bool {
    field.ty == FieldType::Scalar(Scalar::Int)
}

fn range(range: &Cidr) -> String {
    let most = if range.address.is_ipv4() { 32 } else { 128 };
    if range.prefix == most {
        quoted(&range.address.to_string())
    } else {
        quoted(&format!("{}/{}", range.address, range.prefix))
    }
}

fn word(op: StrOp) -> &'static str {
    match op {
        StrOp::Equals => "==",
        StrOp::Contains => "contains",
        StrOp::StartsWith => "startswith",
        StrOp::EndsWith => "endswith",
        StrOp::Like => "like",
        StrOp::Regex => "regex",
        StrOp::Under => "under",
    }
}

fn symbol(cmp: Cmp) -> &'static str {
    match cmp {
        Cmp::Eq => "==",
        Cmp::Ne => "!=",
        Cmp::Lt => "<",
        Cmp::Le => "<=",
        Cmp::Gt => ">",
        Cmp::Ge => ">=",
    }
}
