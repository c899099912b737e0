//! The typed form as rule text: the way back from [`crate::hir`] to a `.trap` file that a person reads.
//!
//! ```text
//! hir::Rule --absence--> conditions in which every test on an absent field is unknown
//!           --condition--> tests and connectives as text     --layout--> lines
//! ```
//!
//! Our language and Sigma differ in what a test on an absent field is: unknown, or false ([`Absent`]). Where that
//! matters, which is under `not`, what is written asks first whether the field is there. What is written compiles to
//! the same decision, and the caller can see so: [`Written::rule`] is what the text must mean.
//!
//! Whatever has no words in the language is refused ([`Inexpressible`]), never approximated. Tests of rules are not
//! written; lists and macros of the text that a rule came from are not found again.
//!
//! [`Absent`]: crate::hir::Absent

mod absence;
mod condition;
mod header;
mod layout;

use trapline_vm::record::Catalogue;

use self::layout::{Doc, clause, quoted_name};
use crate::hir::{Exception, Expr, Rule};

/// Why a rule cannot be written in the rule language.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Inexpressible(pub(crate) String);

/// A rule as text.
#[derive(Clone, Debug)]
pub struct Written {
    /// From `rule` to the closing brace, with a line end.
    pub text: String,
    /// What the text means: the rule, its conditions in the terms of the language.
    pub rule: Rule,
}

/// Writes a rule. `named` are conditions that its author gave names to: where several of them are used they become
/// `let`s.
pub fn write(rule: &Rule, named: &[(String, Expr)], catalogue: &Catalogue) -> Result<Written, Inexpressible> {
    let explicit = absence::explicit(rule, named)?;
    let writer = condition::Writer::new(rule, &explicit.lets);
    let mut out = format!("rule {} {{\n", quoted_name(&rule.name)?);
    header::write(&rule.meta, &mut out);
    out.push('\n');
    let classes = header::classes(&rule.classes, catalogue);
    clause(&mut out, "on", &Doc::Sequence(classes));
    for (name, expr) in &explicit.lets {
        let keyword = format!("let {} =", writer.let_name(name)?);
        clause(&mut out, &keyword, &writer.inside(expr)?);
    }
    if explicit.condition != Expr::Const(true) {
        clause(&mut out, "where", &writer.doc(&explicit.condition)?);
    }
    for exception in &explicit.exceptions {
        clause(&mut out, "unless", &writer.doc(exception)?);
    }
    if let Some(output) = &rule.output {
        clause(&mut out, "output", &Doc::Text(header::template(output)));
    }
    out.push_str("}\n");
    let exceptions = explicit.exceptions.into_iter().map(|condition| Exception { condition, line: rule.line });
    let meaning = Rule { condition: explicit.condition, exceptions: exceptions.collect(), ..rule.clone() };
    Ok(Written { text: out, rule: meaning })
}
