//! Comparisons: the type of the left side decides which test they become.

use std::rc::Rc;

use trapline_vm::predicate::{Cidr, Cmp, FieldRef, Predicate, Scope, StrOp, Test};
use trapline_vm::record::{FieldType, Scalar};

use super::condition::{negate, scope_of};
use super::constant::{case_matters, cidr, compare_text, host};
use super::scope::Env;
use super::value::{Const, FieldValue, Item, Num, Place, Value, scalar_name, to_decimal, type_name};
use super::{Cx, not_yet};
use crate::diagnostic::Diagnostic;
use crate::hir::{Expr, LeafKind, Literal, Operand};
use crate::lang::ast::{self, Op, Range};

/// Where a test is written.
#[derive(Clone, Debug)]
pub(super) struct Site {
    /// All of it.
    pub(super) range: Range,
    /// Its operator.
    pub(super) op_range: Range,
    /// The operator as written, without `~`.
    pub(super) op: &'static str,
}

/// The operator of a comparison, `!=` aside.
#[derive(Clone, Copy, Debug)]
struct Comparison {
    op: Op,
    fold: bool,
    all: bool,
}

fn str_op(op: Op) -> Option<StrOp> {
    Some(match op {
        Op::Eq | Op::In => StrOp::Equals,
        Op::Like => StrOp::Like,
        Op::Regex => StrOp::Regex,
        Op::Contains => StrOp::Contains,
        Op::StartsWith => StrOp::StartsWith,
        Op::EndsWith => StrOp::EndsWith,
        Op::Under => StrOp::Under,
        Op::Ne | Op::Lt | Op::Le | Op::Gt | Op::Ge => return None,
    })
}

fn cmp(op: Op) -> Option<Cmp> {
    Some(match op {
        Op::Eq | Op::In => Cmp::Eq,
        Op::Lt => Cmp::Lt,
        Op::Le => Cmp::Le,
        Op::Gt => Cmp::Gt,
        Op::Ge => Cmp::Ge,
        _ => return None,
    })
}

/// The operator with its sides changed over.
fn mirrored(op: Op) -> Op {
    match op {
        Op::Lt => Op::Gt,
        Op::Le => Op::Ge,
        Op::Gt => Op::Lt,
        Op::Ge => Op::Le,
        other => other,
    }
}

/// The scalar that is compared: a list's element.
fn inner(ty: FieldType) -> Option<Scalar> {
    match ty {
        FieldType::Scalar(scalar) | FieldType::List(scalar) => Some(scalar),
        FieldType::Records(_) => None,
    }
}

impl<'a> Cx<'a, '_> {
    /// `a not OP~ all b`
    pub(super) fn compare(&mut self, compare: &'a ast::Compare, range: &Range, env: &Rc<Env<'a>>) -> Option<Expr> {
        let left = self.value(&compare.left, env);
        let right = self.value(&compare.right, env);
        let (mut left, mut right) = (left?, right?);
        let site = Site { range: range.clone(), op_range: compare.op_range.clone(), op: compare.op.text() };
        let mut op = if compare.op == Op::Ne { Op::Eq } else { compare.op };
        // The field goes to the left: `5 < x`, `"-c" in process.args`.
        let constant = matches!(left, Value::Const(_) | Value::List(_) | Value::Ranges(_));
        let other = matches!(right, Value::Field(_) | Value::Computed(..) | Value::Default(_));
        if constant && other {
            let list = matches!(&right, Value::Field(FieldValue { ty: FieldType::List(_), .. }));
            if op == Op::In && list && matches!(left, Value::Const(_)) {
                op = Op::Eq;
                std::mem::swap(&mut left, &mut right);
            } else if matches!(op, Op::Eq | Op::Lt | Op::Le | Op::Gt | Op::Ge) {
                op = mirrored(op);
                std::mem::swap(&mut left, &mut right);
            }
        }
        let comparison = Comparison { op, fold: compare.fold, all: compare.all };
        let tested = self.sides(&left, comparison, &right, &site)?;
        let negative = compare.negated != (compare.op == Op::Ne);
        Some(if negative { negate(tested) } else { tested })
    }

    /// Takes `??` apart.
    fn sides(&mut self, left: &Value, comparison: Comparison, right: &Value, site: &Site) -> Option<Expr> {
        if let Value::Default(all) = left {
            return self.alternatives(all, site, |cx, left| cx.sides(left, comparison, right, site));
        }
        if let Value::Default(all) = right {
            return self.alternatives(all, site, |cx, right| cx.sides(left, comparison, right, site));
        }
        self.test(left, comparison, right, site)
    }

    fn test(&mut self, left: &Value, comparison: Comparison, right: &Value, site: &Site) -> Option<Expr> {
        let Comparison { op, all, .. } = comparison;
        if all && !(matches!(op, Op::Contains | Op::Like | Op::Regex) && matches!(right, Value::List(_))) {
            let span = self.file.span(&site.op_range);
            self.report(
                Diagnostic::error(
                    "operator-type",
                    "`all` goes with `contains`, `like` or `regex` and a list",
                    span,
                    "`all` is out of place",
                )
                .help("write `x contains all [\"a\", \"b\"]`; several fields are compared one by one, with `and`"),
            );
            return None;
        }
        if op == Op::In && matches!(right, Value::Const(_)) {
            let span = self.file.span(&site.op_range);
            self.report(
                Diagnostic::error(
                    "type-mismatch",
                    "`in` needs a list on its right",
                    span,
                    "followed by a single value",
                )
                .help("write `x in [a, b]`, or `x == a` for a single value"),
            );
            return None;
        }
        match (left, right) {
            (Value::Field(field), Value::Const(item)) => {
                self.against_constants(field, comparison, std::slice::from_ref(item), site)
            }
            (Value::Field(field), Value::List(items)) => self.against_constants(field, comparison, items, site),
            (Value::Field(_), Value::Ranges(_)) if op == Op::In => {
                self.cidr(left.clone(), vec![right.clone()], &site.range, site)
            }
            (Value::Field(a), Value::Field(b)) => self.fields(a, comparison, b, site),
            (Value::Computed(..), Value::List(items)) if op == Op::In || op == Op::Eq => {
                let tests: Vec<Option<Expr>> = items
                    .iter()
                    .map(|item| self.numbers(left, comparison, &Value::Const(item.clone()), site))
                    .collect();
                tests.into_iter().collect::<Option<Vec<Expr>>>().map(Expr::Or)
            }
            (Value::Computed(..), Value::Field(_) | Value::Const(_) | Value::Computed(..))
            | (Value::Field(_), Value::Computed(..)) => self.numbers(left, comparison, right, site),
            (Value::Const(a), Value::Const(b)) => self.constants(a, comparison, std::slice::from_ref(b), site),
            (Value::Const(a), Value::List(items)) => self.constants(a, comparison, items, site),
            _ => {
                let message = format!("`{}` does not compare {} with {}", site.op, left.describe(), right.describe());
                let span = self.file.span(&site.op_range);
                let help = if matches!(right, Value::Ranges(_)) {
                    "an address is within ranges: write `x in private_ranges` or `not cidr(x, private_ranges)`"
                } else {
                    "write the field on the left and the constant on the right"
                };
                self.report(Diagnostic::error("type-mismatch", message, span, "these do not compare").help(help));
                None
            }
        }
    }

    /// An operator that the type does not have.
    fn wrong_operator(&mut self, what: &str, scalar: Scalar, site: &Site) -> Option<Expr> {
        let (message, help) = match scalar {
            Scalar::Str | Scalar::Path => (
                format!("text has no order: `{}` does not compare {what}", site.op),
                "text takes == != in like regex contains startswith endswith".to_owned(),
            ),
            Scalar::Bytes => (format!("`{}` does not compare bytes", site.op), "bytes take ==, != and `in`".to_owned()),
            Scalar::Ip => (
                format!("`{}` does not compare addresses", site.op),
                "addresses take ==, !=, `in` and `cidr(…)`".to_owned(),
            ),
            Scalar::Enum(id) => {
                let variants =
                    self.file.catalogue.enums.get(usize::from(id.0)).map_or(&[][..], |found| &found.variants);
                let shown: Vec<String> = variants.iter().take(20).map(|variant| format!("\"{variant}\"")).collect();
                (
                    format!("`{}` does not compare enumerations", site.op),
                    format!("{what} takes ==, != and `in`; its values are {}", shown.join(", ")),
                )
            }
            Scalar::Bool => {
                (format!("`{}` does not compare booleans", site.op), "write the field alone, or `not` it".to_owned())
            }
            other => (
                format!("`{}` is for text, and {what} is {}", site.op, scalar_name(other)),
                "numbers, times and durations take == != < <= > >= and `in`".to_owned(),
            ),
        };
        let span = self.file.span(&site.op_range);
        self.report(Diagnostic::error("operator-type", message, span, "not an operator for this").help(help));
        None
    }

    fn no_fold(&mut self, comparison: Comparison, scalar: Scalar, site: &Site) -> Option<()> {
        if !comparison.fold {
            return Some(());
        }
        let span = self.file.span(&site.op_range);
        let message = format!("`~` is for text, and this is {}", scalar_name(scalar));
        self.report(
            Diagnostic::error("operator-type", message, span, "there is no case to ignore")
                .help(format!("write `{}`", site.op)),
        );
        None
    }

    /// A field against one constant or any of several.
    fn against_constants(
        &mut self,
        field: &FieldValue,
        comparison: Comparison,
        items: &[Item],
        site: &Site,
    ) -> Option<Expr> {
        let what = format!("`{}`", field.name);
        let Some(scalar) = inner(field.ty) else {
            let message = format!("{what} is a list of records");
            let help = format!("write `any p in {} {{ p.name == … }}`", field.name);
            let span = self.file.span(&field.range);
            self.report(Diagnostic::error("type-mismatch", message, span, "not a single value").help(help));
            return None;
        };
        match scalar {
            Scalar::Str | Scalar::Path => self.text(field, scalar, comparison, items, site),
            Scalar::Bytes => {
                if !matches!(comparison.op, Op::Eq | Op::In) {
                    return self.wrong_operator(&what, scalar, site);
                }
                self.no_fold(comparison, scalar, site)?;
                let mut all = Vec::new();
                for literal in self.literals(scalar, field, items)? {
                    if let Literal::Bytes(bytes) = literal {
                        all.push(bytes);
                    }
                }
                all.sort_unstable();
                all.dedup();
                self.predicate(field, Test::Bytes(all), site)
            }
            Scalar::Ip => {
                if !matches!(comparison.op, Op::Eq | Op::In) {
                    return self.wrong_operator(&what, scalar, site);
                }
                self.no_fold(comparison, scalar, site)?;
                let mut ranges = Vec::new();
                let mut complete = true;
                for item in items {
                    let range = if comparison.op == Op::In {
                        self.range(&field.name, item)
                    } else {
                        match self.literal(scalar, &field.name, item) {
                            Some(Literal::Ip(address)) => Some(host(address)),
                            _ => None,
                        }
                    };
                    complete &= range.is_some();
                    ranges.extend(range);
                }
                if !complete {
                    return None;
                }
                self.predicate(field, Test::Cidr(sorted(ranges)), site)
            }
            Scalar::Bool | Scalar::Int | Scalar::Decimal | Scalar::Time | Scalar::Duration | Scalar::Enum(_) => {
                let Some(cmp) = cmp(comparison.op) else { return self.wrong_operator(&what, scalar, site) };
                if matches!(scalar, Scalar::Bool | Scalar::Enum(_)) && cmp != Cmp::Eq {
                    return self.wrong_operator(&what, scalar, site);
                }
                self.no_fold(comparison, scalar, site)?;
                if cmp != Cmp::Eq && items.len() > 1 {
                    let span = self.file.span(&site.op_range);
                    let message = format!("`{}` compares with one value, not with a list", site.op);
                    self.report(Diagnostic::error("operator-type", message, span, "followed by a list"));
                    return None;
                }
                let mut values: Vec<i64> = Vec::new();
                for literal in self.literals(scalar, field, items)? {
                    values.push(match literal {
                        Literal::Bool(value) => i64::from(value),
                        Literal::Int(value) => value,
                        Literal::Enum(index) => index.map_or(i64::from(u32::MAX), i64::from),
                        _ => continue,
                    });
                }
                values.sort_unstable();
                values.dedup();
                self.int_test(field, scalar, cmp, values, site)
            }
        }
    }

    fn int_test(
        &mut self,
        field: &FieldValue,
        scalar: Scalar,
        cmp: Cmp,
        values: Vec<i64>,
        site: &Site,
    ) -> Option<Expr> {
        if let Place::Element(member) = &field.place {
            let scope = scope_of(member.clone());
            let test = Test::Int { cmp, values };
            return self.leaf(LeafKind::Predicate(Predicate { field: field.field.clone(), scope, test }), site);
        }
        if let FieldType::List(_) = field.ty {
            let tests: Vec<Option<Expr>> = values
                .into_iter()
                .map(|value| self.leaf(LeafKind::AnyInt { field: field.field.clone(), cmp, value }, site))
                .collect();
            return tests.into_iter().collect::<Option<Vec<Expr>>>().map(any);
        }
        match values.as_slice() {
            // `x == true` is `x`, `x == false` is `not x`.
            [value] if scalar == Scalar::Bool => {
                let flag = self.leaf(LeafKind::Flag(field.field.clone()), site)?;
                Some(if *value == 0 { negate(flag) } else { flag })
            }
            [value] => {
                let (left, right) = (Operand::Field(field.field.clone()), Operand::Const(*value));
                self.leaf(LeafKind::Compare { cmp, left, right }, site)
            }
            _ => self.leaf(LeafKind::OneOf { field: field.field.clone(), values }, site),
        }
    }

    fn literals(&mut self, scalar: Scalar, field: &FieldValue, items: &[Item]) -> Option<Vec<Literal>> {
        let all: Vec<Option<Literal>> = items.iter().map(|item| self.literal(scalar, &field.name, item)).collect();
        all.into_iter().collect()
    }

    /// A test of literals that the engine evaluates.
    fn predicate(&mut self, field: &FieldValue, test: Test, site: &Site) -> Option<Expr> {
        let scope = match &field.place {
            Place::Event => Scope::Any,
            Place::Element(member) => scope_of(member.clone()),
        };
        self.leaf(LeafKind::Predicate(Predicate { field: field.field.clone(), scope, test }), site)
    }

    fn text(
        &mut self,
        field: &FieldValue,
        scalar: Scalar,
        comparison: Comparison,
        items: &[Item],
        site: &Site,
    ) -> Option<Expr> {
        let Comparison { op, fold, all } = comparison;
        let Some(op) = str_op(op) else { return self.wrong_operator(&format!("`{}`", field.name), scalar, site) };
        self.check_under(op, scalar, field, site)?;
        let mut literals = Vec::new();
        let mut complete = true;
        for item in items {
            let fine = self.check_pattern(op, fold, item).is_some();
            match self.literal(scalar, &field.name, item) {
                Some(Literal::Str(text)) if fine => literals.push(text),
                _ => complete = false,
            }
        }
        if !complete {
            return None;
        }
        self.check_case(field, op, fold, &literals, site);
        if all {
            let tests: Vec<Option<Expr>> = literals
                .into_iter()
                .map(|literal| self.predicate(field, Test::Str { op, literals: vec![literal], fold }, site))
                .collect();
            return tests.into_iter().collect::<Option<Vec<Expr>>>().map(Expr::And);
        }
        literals.sort_unstable();
        literals.dedup();
        self.predicate(field, Test::Str { op, literals, fold }, site)
    }

    fn check_under(&mut self, op: StrOp, scalar: Scalar, field: &FieldValue, site: &Site) -> Option<()> {
        if op != StrOp::Under || scalar == Scalar::Path || field.open {
            return Some(());
        }
        let message = format!("`under` compares paths, and `{}` is {}", field.name, type_name(field.ty));
        let span = self.file.span(&site.op_range);
        self.report(
            Diagnostic::error("operator-type", message, span, "not an operator for this")
                .help("for text that is no path, write `startswith`"),
        );
        None
    }

    /// Windows ignores case in paths, names and the registry; a rule for Windows that does not can be walked around.
    fn check_case(&mut self, field: &FieldValue, op: StrOp, fold: bool, literals: &[String], site: &Site) {
        if !self.windows_only || !field.folds || field.cased || fold {
            return;
        }
        if !literals.is_empty() && !literals.iter().any(|literal| case_matters(op, literal)) {
            return;
        }
        let span = self.file.span(&site.op_range);
        let message = format!("Windows ignores the case of `{}`, and this comparison does not", field.name);
        self.report(
            Diagnostic::error("case-sensitive-on-windows", message, span, "compares the exact case")
                .help(format!("write `{}~`; to compare the exact case, write `cased({})`", site.op, field.name)),
        );
    }

    /// `cidr(x, …)` and `x in SET`.
    pub(super) fn cidr(&mut self, left: Value, right: Vec<Value>, place: &Range, site: &Site) -> Option<Expr> {
        if let Value::Default(all) = &left {
            return self.alternatives(all, site, |cx, value| cx.cidr(value.clone(), right.clone(), place, site));
        }
        let field = match &left {
            Value::Field(field) if matches!(inner(field.ty), Some(Scalar::Ip | Scalar::Str | Scalar::Path)) => field,
            Value::Const(item) => {
                let Some(Literal::Ip(address)) = self.literal(Scalar::Ip, "an address", item) else { return None };
                let ranges = self.ranges("an address", right, site)?;
                return Some(Expr::Const(ranges.iter().any(|range| within(address, range))));
            }
            other => {
                let message = format!("address ranges are compared with addresses, not with {}", other.describe());
                self.error("type-mismatch", message, place, "not an address");
                return None;
            }
        };
        let ranges = self.ranges(&field.name, right, site)?;
        self.predicate(field, Test::Cidr(ranges), site)
    }

    fn ranges(&mut self, name: &str, values: Vec<Value>, site: &Site) -> Option<Vec<Cidr>> {
        let mut ranges = Vec::new();
        let mut complete = true;
        for value in values {
            match value {
                Value::Const(item) => match self.range(name, &item) {
                    Some(range) => ranges.push(range),
                    None => complete = false,
                },
                Value::List(items) => {
                    for item in items {
                        match self.range(name, &item) {
                            Some(range) => ranges.push(range),
                            None => complete = false,
                        }
                    }
                }
                Value::Ranges(texts) => ranges.extend(texts.iter().filter_map(|text| cidr(text))),
                other => {
                    let message = format!("{} is no address range", other.describe());
                    self.error("wrong-arguments", message, &site.range, "ranges are constants");
                    complete = false;
                }
            }
        }
        complete.then(|| sorted(ranges))
    }

    /// One field against another.
    fn fields(&mut self, a: &FieldValue, comparison: Comparison, b: &FieldValue, site: &Site) -> Option<Expr> {
        let Comparison { op, fold, .. } = comparison;
        if a.place != Place::Event || b.place != Place::Event {
            let span = self.file.span(&site.range);
            self.report(
                not_yet("comparing an element with another field", span)
                    .help("inside `any p in LIST { … }`, compare `p` with constants"),
            );
            return None;
        }
        let (Some(a_scalar), Some(b_scalar)) = (inner(a.ty), inner(b.ty)) else {
            let message = format!("a list of records is not compared with `{}`", site.op);
            self.error("type-mismatch", message, &site.op_range, "look through it with `any p in LIST { … }`");
            return None;
        };
        let lists = (matches!(a.ty, FieldType::List(_)), matches!(b.ty, FieldType::List(_)));
        if op == Op::In && lists != (false, true) {
            let message = format!("`in` needs a list on its right, and `{}` is {}", b.name, type_name(b.ty));
            let span = self.file.span(&site.op_range);
            self.report(Diagnostic::error("type-mismatch", message, span, "not followed by a list").help("write `==`"));
            return None;
        }
        let text = |scalar| matches!(scalar, Scalar::Str | Scalar::Path);
        if lists == (true, true) && !(text(a_scalar) && text(b_scalar)) {
            self.error(
                "operator-type",
                "two lists are not compared",
                &site.op_range,
                "one side must be a single value",
            );
            return None;
        }
        // The list goes to the left: any of its elements.
        let (a, b, a_scalar, b_scalar, op) = if lists == (false, true) {
            if !matches!(op, Op::Eq | Op::In) {
                let message = format!("`{}` takes a list on its left, not on its right", site.op);
                self.error("operator-type", message, &site.op_range, "the list is on the right");
                return None;
            }
            (b, a, b_scalar, a_scalar, Op::Eq)
        } else {
            (a, b, a_scalar, b_scalar, op)
        };
        if text(a_scalar) && text(b_scalar) {
            let op = match str_op(op) {
                Some(op @ (StrOp::Equals | StrOp::Contains | StrOp::StartsWith | StrOp::EndsWith)) => op,
                Some(_) => {
                    let message = format!("the right side of `{}` is a constant", site.op);
                    let span = self.file.span(&b.range);
                    self.report(
                        Diagnostic::error("operator-type", message, span, "a field")
                            .help("fields are compared with each other by == != contains startswith endswith"),
                    );
                    return None;
                }
                None => return self.wrong_operator(&format!("`{}`", a.name), a_scalar, site),
            };
            let cased = a.cased || b.cased;
            let folds = a.folds || b.folds;
            let either = FieldValue { folds, cased, ..a.clone() };
            self.check_case(&either, op, fold, &[], site);
            return self.field_test(op, fold, &a.field, &b.field, site);
        }
        if matches!(a_scalar, Scalar::Bytes | Scalar::Ip) && a_scalar == b_scalar {
            if op != Op::Eq {
                return self.wrong_operator(&format!("`{}`", a.name), a_scalar, site);
            }
            self.no_fold(comparison, a_scalar, site)?;
            return self.field_test(StrOp::Equals, false, &a.field, &b.field, site);
        }
        if Num::of(a_scalar).is_some() && Num::of(b_scalar).is_some() {
            if lists != (false, false) {
                let span = self.file.span(&site.range);
                self.report(not_yet("comparing a list of numbers with a field", span));
                return None;
            }
            let (a, b) = (Value::Field(a.clone()), Value::Field(b.clone()));
            return self.numbers(&a, Comparison { op, ..comparison }, &b, site);
        }
        let message = format!("`{}` is {} and `{}` is {}", a.name, type_name(a.ty), b.name, type_name(b.ty));
        self.error("type-mismatch", message, &site.range, "fields of different types");
        None
    }

    fn field_test(&mut self, op: StrOp, fold: bool, a: &FieldRef, b: &FieldRef, site: &Site) -> Option<Expr> {
        self.leaf(LeafKind::FieldTest { op, fold, left: a.clone(), right: b.clone() }, site)
    }

    /// Two numbers, at least one of them computed or both fields.
    fn numbers(&mut self, left: &Value, comparison: Comparison, right: &Value, site: &Site) -> Option<Expr> {
        // Text beside a time is a time; beside an enumeration, one of its values.
        let a = self.operand(left, &site.range);
        let b = self.operand(right, &site.range);
        let ((mut a, a_num), (mut b, b_num)) = (a?, b?);
        let Some(cmp) = cmp(comparison.op) else {
            return self.wrong_operator(&left.describe(), a_num.scalar(), site);
        };
        self.no_fold(comparison, a_num.scalar(), site)?;
        match (a_num, b_num) {
            (Num::Int, Num::Decimal) => a = to_decimal(a),
            (Num::Decimal, Num::Int) => b = to_decimal(b),
            (a, b) if a == b => {}
            _ => {
                let names = (scalar_name(a_num.scalar()), scalar_name(b_num.scalar()));
                let message = if names.0 == names.1 {
                    "two different enumerations are not compared".to_owned()
                } else {
                    format!("`{}` does not compare {} with {}", site.op, names.0, names.1)
                };
                let span = self.file.span(&site.op_range);
                let mut diagnostic = Diagnostic::error("type-mismatch", message, span, "of different types");
                if matches!((a_num, b_num), (Num::Duration, Num::Int) | (Num::Int, Num::Duration)) {
                    diagnostic = diagnostic.help("write a unit: `30s`, `5m`");
                }
                self.report(diagnostic);
                return None;
            }
        }
        if matches!(a_num, Num::Bool | Num::Enum(_)) && cmp != Cmp::Eq {
            return self.wrong_operator(&left.describe(), a_num.scalar(), site);
        }
        self.leaf(LeafKind::Compare { cmp, left: a, right: b }, site)
    }

    /// Constants with each other: the argument of a macro, the end of a `??`.
    fn constants(&mut self, left: &Item, comparison: Comparison, items: &[Item], site: &Site) -> Option<Expr> {
        let Comparison { op, fold, all } = comparison;
        let mut results = Vec::new();
        for item in items {
            let result = match (&left.value, &item.value) {
                (Const::Str(a), Const::Str(b)) => {
                    let Some(op) = str_op(op) else { return self.wrong_operator("a string", Scalar::Str, site) };
                    self.check_pattern(op, fold, item)?;
                    match compare_text(op, fold, &a.text, &b.text) {
                        Some(result) => result,
                        None => {
                            let span = self.file.span(&site.range);
                            self.report(not_yet("`regex` on a constant", span));
                            return None;
                        }
                    }
                }
                (a, b) => {
                    let Some(cmp) = cmp(op) else { return self.wrong_operator(a.describe(), Scalar::Int, site) };
                    let sides = match (a, b) {
                        (Const::Bool(a), Const::Bool(b)) if cmp == Cmp::Eq => Some((i64::from(*a), i64::from(*b))),
                        (Const::Int(a), Const::Int(b))
                        | (Const::Decimal(a), Const::Decimal(b))
                        | (Const::Duration(a), Const::Duration(b)) => Some((*a, *b)),
                        (Const::Int(a), Const::Decimal(b)) => {
                            Some((a.saturating_mul(crate::lang::literal::DECIMAL_ONE), *b))
                        }
                        (Const::Decimal(a), Const::Int(b)) => {
                            Some((*a, b.saturating_mul(crate::lang::literal::DECIMAL_ONE)))
                        }
                        _ => None,
                    };
                    let Some((a_value, b_value)) = sides else {
                        let message = format!("`{}` does not compare {} with {}", site.op, a.describe(), b.describe());
                        self.error("type-mismatch", message, &site.op_range, "of different types");
                        return None;
                    };
                    match cmp {
                        Cmp::Eq => a_value == b_value,
                        Cmp::Ne => a_value != b_value,
                        Cmp::Lt => a_value < b_value,
                        Cmp::Le => a_value <= b_value,
                        Cmp::Gt => a_value > b_value,
                        Cmp::Ge => a_value >= b_value,
                    }
                }
            };
            results.push(result);
        }
        Some(Expr::Const(if all { results.iter().all(|result| *result) } else { results.contains(&true) }))
    }
}

/// Whether an address lies in a range; IPv4 also as its mapped form.
fn within(address: std::net::IpAddr, range: &Cidr) -> bool {
    match ipnet::IpNet::new(range.address, range.prefix) {
        Ok(net) => net.contains(&address) || net.contains(&address.to_canonical()),
        Err(_) => false,
    }
}

fn sorted(mut ranges: Vec<Cidr>) -> Vec<Cidr> {
    ranges.sort_unstable_by_key(|range| (range.address, range.prefix));
    ranges.dedup();
    ranges
}

/// One of them, or the only one.
fn any(mut tests: Vec<Expr>) -> Expr {
    if tests.len() == 1 { tests.swap_remove(0) } else { Expr::Or(tests) }
}
