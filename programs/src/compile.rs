//! From rules to objects: what the command line and the agent call.
//!
//! Pure: no clock, no IO, the same bytes every time.

use std::ops::Range;
use std::sync::Arc;

use trapline_vm::program::Object;
use trapline_vm::record::{Catalogue, ClassId, FamilyId};

use crate::codegen::{self, CodegenError, Identity};
use crate::diagnostic::{Diagnostic, Source, Span};
use crate::hir;
use crate::mir::{self, Decision, MirError};

/// A rule and its programs.
#[derive(Clone, Debug)]
pub struct CompiledRule {
    /// The typed form.
    pub rule: hir::Rule,
    /// One object for each family whose events can matter to it.
    pub objects: Vec<Object>,
}

/// What became of some sources.
#[derive(Clone, Debug, Default)]
pub struct Compiled {
    /// The rules without mistakes, in order of the text.
    pub rules: Vec<CompiledRule>,
    /// All there is to say, in order of the text.
    pub diagnostics: Vec<Diagnostic>,
}

/// Compiles all rules of the sources: those without mistakes, and every mistake of the others.
pub fn compile(sources: &[Arc<Source>], catalogue: &Catalogue) -> Compiled {
    let (lowered, mut diagnostics) = hir::lower(sources, catalogue);
    let mut rules = Vec::with_capacity(lowered.len());
    let told = diagnostics.len();
    for rule in lowered {
        match compile_rule(&rule, catalogue) {
            Ok(objects) => rules.push(CompiledRule { rule, objects }),
            Err(diagnostic) => diagnostics.push(diagnostic),
        }
    }
    if diagnostics.len() > told {
        diagnostics.sort_by_key(|diagnostic| {
            let span = diagnostic.labels.first().map(|label| &label.span);
            let source = span.and_then(|span| sources.iter().position(|source| Arc::ptr_eq(source, &span.source)));
            (source, span.map(|span| span.range.start))
        });
    }
    Compiled { rules, diagnostics }
}

/// The families that a rule's classes belong to, in the order of their first class, with these classes.
pub fn families(rule: &hir::Rule, catalogue: &Catalogue) -> Vec<(FamilyId, Vec<ClassId>)> {
    let mut families: Vec<(FamilyId, Vec<ClassId>)> = Vec::new();
    for class in &rule.classes {
        let Some(family) = catalogue.classes.get(usize::from(class.0)).map(|class| class.family) else { continue };
        match families.iter_mut().find(|entry| entry.0 == family) {
            Some(entry) => entry.1.push(*class),
            None => families.push((family, vec![*class])),
        }
    }
    families
}

/// The decision form of a rule for one family.
pub fn decide(rule: &hir::Rule, catalogue: &Catalogue, family: FamilyId) -> Result<Decision, Diagnostic> {
    mir::build(rule, catalogue, family).map_err(|error| {
        let (code, line, help) = match error {
            MirError::TooDeep { line } => {
                ("condition-too-deep", line, "split the condition into several rules, or write it flatter")
            }
            MirError::ElementOutsideQuantifier { line } => {
                ("element-outside-quantifier", line, "put the test inside `any x in LIST { … }`")
            }
        };
        let line = if line == 0 { rule.line } else { line };
        Diagnostic::error(code, error.to_string(), line_span(rule, line), "in this condition").help(help)
    })
}

/// The objects of a rule: one a family, without those families where no event can ever match, unless that leaves
/// none.
pub fn compile_rule(rule: &hir::Rule, catalogue: &Catalogue) -> Result<Vec<Object>, Diagnostic> {
    let mut decisions = Vec::new();
    for (family, classes) in families(rule, catalogue) {
        decisions.push((family, classes, decide(rule, catalogue, family)?));
    }
    if decisions.iter().any(|(_, _, decision)| !decision.is_never()) {
        decisions.retain(|(_, _, decision)| !decision.is_never());
    } else {
        decisions.truncate(1);
    }
    let mut objects = Vec::with_capacity(decisions.len());
    for (family, classes, decision) in decisions {
        let identity = Identity {
            name: rule.name.clone(),
            catalogue_digest: catalogue.digest(),
            family: catalogue.family(family).name.clone(),
            classes: classes.iter().map(|class| catalogue.class(*class).name.clone()).collect(),
            os: rule.meta.os,
            line: rule.line,
        };
        objects.push(codegen::generate(&decision, identity).map_err(|error| {
            let (code, help) = match error {
                CodegenError::TooLong => ("rule-too-long", "split it into several rules"),
                CodegenError::TooManyPredicates => ("too-many-predicates", "split it into several rules"),
                CodegenError::TooManyFields => ("too-many-fields", "split it into several rules"),
                CodegenError::TooManyIntermediates => {
                    ("too-many-intermediates", "move parts that are about the event out of `any` or `all`")
                }
            };
            Diagnostic::error(code, error.to_string(), line_span(rule, rule.line), "this rule").help(help)
        })?);
    }
    Ok(objects)
}

/// A line of the rule's source without the space around it.
fn line_span(rule: &hir::Rule, line: u32) -> Span {
    let text = rule.source.text.as_str();
    let mut start = 0;
    let mut range: Range<usize> = 0..0;
    for (number, content) in (1u32..).zip(text.split_inclusive('\n')) {
        if number == line {
            let indent = content.len() - content.trim_start().len();
            range = start + indent.min(content.trim_end().len())..start + content.trim_end().len();
            break;
        }
        start += content.len();
    }
    Span { source: rule.source.clone(), range }
}
