//! Conditions: connectives, functions, quantifiers, flags.

use std::rc::Rc;

use trapline_vm::predicate::{Cmp, Predicate, Scope, Test};
use trapline_vm::record::{FieldType, Scalar};

use super::compare::Site;
use super::scope::{Env, FUNCTIONS, Group, Resolved, plural};
use super::value::{Const, FieldValue, Place, Value};
use super::{Cx, not_yet};
use crate::diagnostic::Diagnostic;
use crate::hir::{Absent, Expr, Leaf, LeafKind};
use crate::lang::ast::{self, ExprKind, Range};
use crate::lang::suggest::nearest;

/// What stands for a function of another language.
enum Foreign {
    Operator(&'static str),
    Function(&'static str),
    Fold,
}

fn foreign_function(name: &str) -> Option<Foreign> {
    Some(match name.to_ascii_lowercase().as_str() {
        "wildcard" | "glob" => Foreign::Operator("like~"),
        "match" | "matches" | "regex_match" | "re_match" => Foreign::Operator("regex"),
        "startswith" | "starts_with" => Foreign::Operator("startswith"),
        "endswith" | "ends_with" => Foreign::Operator("endswith"),
        "stringcontains" | "contains" => Foreign::Operator("contains"),
        "indexof" => Foreign::Operator("contains"),
        "len" | "size" | "strlen" => Foreign::Function("length"),
        "isnull" | "is_null" | "isempty" => Foreign::Function("missing"),
        "isnotnull" | "has" | "defined" => Foreign::Function("exists"),
        "cidrmatch" | "ip_in" | "ipv4_is_in_range" => Foreign::Function("cidr"),
        "lower" | "tolower" | "lowercase" | "upper" | "toupper" => Foreign::Fold,
        _ => return None,
    })
}

impl<'a> Cx<'a, '_> {
    /// Lowers a condition; None: reported.
    pub(super) fn condition(&mut self, expr: &'a ast::Expr, env: &Rc<Env<'a>>) -> Option<Expr> {
        self.deeper(&expr.range, |cx| cx.condition_here(expr, env))
    }

    fn condition_here(&mut self, expr: &'a ast::Expr, env: &Rc<Env<'a>>) -> Option<Expr> {
        match &expr.kind {
            ExprKind::Error => None,
            ExprKind::Or(all) => self.conditions(all, env).map(Expr::Or),
            ExprKind::And(all) => self.conditions(all, env).map(Expr::And),
            ExprKind::Not(inner) => {
                self.negated = !self.negated;
                let inner = self.condition(inner, env);
                self.negated = !self.negated;
                inner.map(negate)
            }
            ExprKind::Compare(compare) => self.compare(compare, &expr.range, env),
            ExprKind::Quantifier(quantifier) => self.quantifier(quantifier, expr, env),
            ExprKind::Call(callee, arguments) => self.condition_call(callee, arguments, expr, env),
            ExprKind::Path(path) => match self.resolve(path, env)? {
                Resolved::Bool(value) => Some(Expr::Const(value)),
                Resolved::Expr(inner, env) => {
                    self.expanding(&path.dotted(), &expr.range, |cx| cx.condition(inner, &env))
                }
                Resolved::Macro(item) => {
                    let env = Rc::new(Env::default());
                    self.expanding(&item.name.text, &expr.range, |cx| cx.condition(&item.body, &env))
                }
                Resolved::Value(value) => self.flag(value, &expr.range),
                Resolved::Group(_) => {
                    let message = format!("`{}` is a group of fields, not a condition", path.dotted());
                    self.error("not-a-condition", message, &expr.range, "test one of its fields");
                    None
                }
            },
            ExprKind::Default(_) => {
                let value = self.value(expr, env)?;
                self.flag(value, &expr.range)
            }
            ExprKind::Str(_)
            | ExprKind::Number(_)
            | ExprKind::List(_)
            | ExprKind::Arithmetic(..)
            | ExprKind::Neg(_)
            | ExprKind::Index(_) => {
                let value = self.value(expr, env)?;
                self.flag(value, &expr.range)
            }
        }
    }

    fn conditions(&mut self, all: &'a [ast::Expr], env: &Rc<Env<'a>>) -> Option<Vec<Expr>> {
        // Every part is looked at, whatever the others are.
        let parts: Vec<Option<Expr>> = all.iter().map(|part| self.condition(part, env)).collect();
        parts.into_iter().collect()
    }

    /// A boolean value as a condition.
    fn flag(&mut self, value: Value, range: &Range) -> Option<Expr> {
        let site = Site { range: range.clone(), op_range: range.clone(), op: "" };
        let described = value.describe();
        match value {
            Value::Field(FieldValue { ty: FieldType::Scalar(Scalar::Bool), place, field, .. }) => match place {
                Place::Event => self.leaf(LeafKind::Flag(field), &site),
                Place::Element(member) => {
                    let test = Test::Int { cmp: Cmp::Eq, values: vec![1] };
                    let predicate = Predicate { field, scope: scope_of(member), test };
                    self.leaf(LeafKind::Predicate(predicate), &site)
                }
            },
            Value::Const(item) if matches!(item.value, Const::Bool(_)) => {
                Some(Expr::Const(matches!(item.value, Const::Bool(true))))
            }
            Value::Default(all) => self.alternatives(&all, &site, |cx, value| cx.flag(value.clone(), range)),
            _ => {
                let span = self.file.span(range);
                self.report(
                    Diagnostic::error(
                        "not-a-condition",
                        format!("{described} is not a condition"),
                        span,
                        "neither true nor false",
                    )
                    .help("compare it with something, or write `exists(…)`"),
                );
                None
            }
        }
    }

    /// `a ?? b` under a test: `exists(a) and test(a) or missing(a) and test(b)`.
    pub(super) fn alternatives(
        &mut self,
        values: &[Value],
        site: &Site,
        mut test: impl FnMut(&mut Self, &Value) -> Option<Expr>,
    ) -> Option<Expr> {
        let mut cases = Vec::new();
        let mut missing: Vec<Expr> = Vec::new();
        let mut complete = true;
        for (index, value) in values.iter().enumerate() {
            let mut case = missing.clone();
            if index + 1 < values.len()
                && let Value::Field(field) = value
            {
                let exists = self.exists(field, site)?;
                missing.push(negate(exists.clone()));
                case.push(exists);
            }
            match test(self, value) {
                Some(tested) => case.push(tested),
                None => complete = false,
            }
            cases.push(if case.len() == 1 { case.swap_remove(0) } else { Expr::And(case) });
        }
        complete.then_some(Expr::Or(cases))
    }

    fn exists(&mut self, field: &FieldValue, site: &Site) -> Option<Expr> {
        let kind = match &field.place {
            Place::Event => LeafKind::Exists(field.field.clone()),
            Place::Element(member) => LeafKind::Predicate(Predicate {
                field: field.field.clone(),
                scope: scope_of(member.clone()),
                test: Test::Exists,
            }),
        };
        self.leaf(kind, site)
    }

    /// A test with its place.
    pub(super) fn leaf(&mut self, kind: LeafKind, site: &Site) -> Option<Expr> {
        self.count_leaf(&site.range)?;
        let text = self.file.one_line(&site.range);
        Some(Expr::Leaf(Leaf { kind, absent: Absent::Unknown, line: self.file.line(site.range.start), text }))
    }

    fn quantifier(&mut self, quantifier: &'a ast::Quantifier, expr: &'a ast::Expr, env: &Rc<Env<'a>>) -> Option<Expr> {
        if self.quantified {
            let span = self.file.span(&expr.range);
            self.report(
                not_yet("`any` inside `any`", span)
                    .help("test two lists side by side: `any p in A { … } and any q in B { … }`"),
            );
            return None;
        }
        let list = match self.resolve(&quantifier.list, env)? {
            Resolved::Value(Value::Field(field)) => field,
            Resolved::Expr(inner, inner_env) => {
                let name = quantifier.list.dotted();
                match self.expanding(&name, &quantifier.list.range, |cx| cx.value(inner, &inner_env))? {
                    Value::Field(field) => field,
                    other => return self.not_a_list(&other.describe(), &quantifier.list.range),
                }
            }
            _ => return self.not_a_list(&format!("`{}`", quantifier.list.dotted()), &quantifier.list.range),
        };
        if matches!(list.ty, FieldType::Scalar(_)) {
            let name = format!("`{}` ({})", list.name, super::value::type_name(list.ty));
            return self.not_a_list(&name, &quantifier.list.range);
        }
        if !self.negated {
            self.quantifiers.push((quantifier.kind, list.name.clone(), expr.range.clone()));
        }
        let group = Group::Element { list: list.field.clone(), folds: list.folds };
        let inner = Rc::new(env.with_element(&quantifier.var.text, group));
        self.quantified = true;
        let body = self.condition(&quantifier.body, &inner);
        self.quantified = false;
        Some(Expr::Quantifier {
            kind: quantifier.kind,
            list: list.field,
            body: Box::new(body?),
            absent: Absent::Unknown,
            line: self.file.line(expr.range.start),
        })
    }

    fn not_a_list(&mut self, what: &str, range: &Range) -> Option<Expr> {
        let span = self.file.span(range);
        self.report(
            Diagnostic::error("type-mismatch", format!("{what} is not a list field"), span, "not a list of the event")
                .help("`any` and `all` look through lists such as `process.ancestors` and `process.args`"),
        );
        None
    }

    /// The macro of this name; reports when there is none.
    pub(super) fn callee(&mut self, callee: &'a ast::Path) -> Option<&'a ast::Macro> {
        let name = callee.dotted();
        if FUNCTIONS.contains(&name.as_str()) || self.file.poisoned.contains(name.as_str()) {
            return None;
        }
        if let Some(item) = self.file.macros.get(name.as_str()) {
            return Some(item);
        }
        let span = self.file.span(&callee.range);
        let mut diagnostic =
            Diagnostic::error("unknown-name", format!("there is no function or macro `{name}`"), span, "not defined");
        // `process.name.startswith("x")` as in other languages, or the function alone.
        let last = callee.parts.last().map_or("", String::as_str);
        let subject = match callee.parts.split_last() {
            Some((_, before)) if !before.is_empty() => before.join("."),
            _ => "x".to_owned(),
        };
        let known = FUNCTIONS.iter().copied().chain(self.file.macros.keys().copied());
        diagnostic = match (foreign_function(last), nearest(&name, known)) {
            (Some(Foreign::Operator(operator)), _) => {
                diagnostic.help(format!("this is an operator: write `{subject} {operator} y`"))
            }
            (Some(Foreign::Function(function)), _) => diagnostic.help(format!("write `{function}({subject})`")),
            (Some(Foreign::Fold), _) => {
                diagnostic.help("to compare without regard to case, write `~` after the operator")
            }
            (None, Some(near)) => diagnostic.help(format!("did you mean `{near}`?")),
            (None, None) => diagnostic.help(format!("functions are {}", FUNCTIONS.join(", "))),
        };
        self.report(diagnostic);
        None
    }

    fn condition_call(
        &mut self,
        callee: &'a ast::Path,
        arguments: &'a [ast::Expr],
        expr: &'a ast::Expr,
        env: &Rc<Env<'a>>,
    ) -> Option<Expr> {
        let name = callee.dotted();
        let site = Site { range: expr.range.clone(), op_range: callee.range.clone(), op: "" };
        match name.as_str() {
            "exists" | "missing" => {
                let argument = self.only_argument(&name, arguments, expr)?;
                let field = match self.value(argument, env)? {
                    Value::Field(field) => field,
                    other => {
                        let message = format!("`{name}` takes a field, not {}", other.describe());
                        self.error("wrong-arguments", message, &argument.range, "not a field");
                        return None;
                    }
                };
                let exists = self.exists(&field, &site)?;
                Some(if name == "exists" { exists } else { negate(exists) })
            }
            "is_true" => {
                let argument = self.only_argument(&name, arguments, expr)?;
                Some(Expr::IsTrue(Box::new(self.condition(argument, env)?)))
            }
            "cidr" => {
                let Some((field, ranges)) = arguments.split_first().filter(|(_, ranges)| !ranges.is_empty()) else {
                    let message = format!("`cidr` takes {} or more, {} given", plural(2, "argument"), arguments.len());
                    let span = self.file.span(&expr.range);
                    self.report(
                        Diagnostic::error("wrong-arguments", message, span, "wrong number of arguments")
                            .help("write `cidr(source.ip, \"10.0.0.0/8\")` or `cidr(source.ip, private_ranges)`"),
                    );
                    return None;
                };
                let left = self.value(field, env);
                let right: Vec<Option<Value>> = ranges.iter().map(|range| self.value(range, env)).collect();
                let right: Option<Vec<Value>> = right.into_iter().collect();
                self.cidr(left?, right?, &field.range, &site)
            }
            "cased" | "length" => {
                let value = self.value(expr, env)?;
                self.flag(value, &expr.range)
            }
            _ => {
                let item = self.callee(callee)?;
                let env = self.bind(item, arguments, &expr.range, env)?;
                self.expanding(&item.name.text, &expr.range, |cx| cx.condition(&item.body, &env))
            }
        }
    }

    /// Looks at a `let` where it stands, whether it is used or not.
    pub(super) fn check_let(&mut self, expr: &'a ast::Expr, env: &Rc<Env<'a>>) {
        match &expr.kind {
            ExprKind::Or(_) | ExprKind::And(_) | ExprKind::Not(_) | ExprKind::Compare(_) | ExprKind::Quantifier(_) => {
                self.condition(expr, env);
            }
            // A call may be either: its use decides. Its names are checked with the macro.
            ExprKind::Call(callee, _) if !matches!(callee.single(), Some("cased" | "length")) => {
                if !FUNCTIONS.contains(&callee.dotted().as_str()) {
                    self.callee(callee);
                }
            }
            _ => {
                self.value(expr, env);
            }
        }
    }
}

/// The scope of tests on an element.
pub(super) fn scope_of(member: Option<String>) -> Scope {
    member.map_or(Scope::Elements, Scope::Member)
}

/// Kleene negation, without double ones.
pub(super) fn negate(expr: Expr) -> Expr {
    match expr {
        Expr::Not(inner) => *inner,
        Expr::Const(value) => Expr::Const(!value),
        other => Expr::Not(Box::new(other)),
    }
}
