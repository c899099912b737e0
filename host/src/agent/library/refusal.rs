//! Why a change is refused, file by file, and what else should be known of one that is not.

use std::collections::{BTreeMap, BTreeSet};

use trapline_programs::diagnostic::{Diagnostic, Level, render};
use trapline_programs::object;

use super::{InForce, Library};
use crate::agent::control::Refused;
use crate::agent::load::{Loaded, Refusal, SetAside};
use crate::agent::summary::RefusedRule;

/// The most diagnostics that a refusal carries; the rest is counted.
pub const DIAGNOSTICS_SHOWN_MAX: usize = 50;

/// Why a change is refused.
pub(super) struct Failure {
    /// As a whole.
    pub(super) whole: Box<Refused>,
    /// File by file, as far as it is their own matter.
    pub(super) files: Vec<(String, Fault)>,
}

impl From<Box<Refused>> for Failure {
    fn from(whole: Box<Refused>) -> Self {
        Self { whole, files: Vec::new() }
    }
}

/// Why one file of a change is refused.
pub(super) struct Fault {
    pub(super) refused: Refused,
    /// It is so beside another file: with another one there it may pass.
    pub(super) beside: bool,
}

impl Library {
    /// What is wrong with the changed files, if anything is: rules that were refused, and in files that must be of use
    /// rules that the source cannot serve.
    pub(super) fn faults(
        &self,
        loaded: &Loaded,
        changed: &BTreeSet<String>,
        must_be_of_use: impl Fn(&str) -> bool,
    ) -> Option<Failure> {
        let mut by_file: BTreeMap<&str, Vec<&RefusedRule>> = BTreeMap::new();
        for refused in loaded.refused.iter().filter(|refused| changed.contains(&refused.file)) {
            by_file.entry(&refused.file).or_default().push(refused);
        }
        if !by_file.is_empty() {
            let mut errors: BTreeMap<&str, Vec<&Diagnostic>> = BTreeMap::new();
            for error in loaded.diagnostics.iter().filter(|diagnostic| diagnostic.level == Level::Error) {
                if let Some(first) = error.labels.first() {
                    errors.entry(&first.span.source.name).or_default().push(error);
                }
            }
            let mut late: BTreeMap<&str, Vec<&Refusal>> = BTreeMap::new();
            for refusal in &loaded.refusals {
                late.entry(&refusal.file).or_default().push(refusal);
            }
            let mut files = Vec::with_capacity(by_file.len());
            for (file, rules) in &by_file {
                let errors = errors.get(file).map_or(&[][..], Vec::as_slice);
                let late = late.get(file).map_or(&[][..], Vec::as_slice);
                let beside = late.is_empty() && errors.iter().all(|error| is_beside(error, file));
                let Some(reason) = rules_refused(rules) else { continue };
                let mut refused = *self.refuse(reason);
                refused.diagnostics = shown(errors, late);
                files.push(((*file).to_owned(), Fault { refused, beside }));
            }
            let all: Vec<&RefusedRule> = by_file.into_values().flatten().collect();
            let mut whole = self.refuse(rules_refused(&all).unwrap_or_default());
            let diagnostics = files.iter().flat_map(|(_, fault)| fault.refused.diagnostics.iter().cloned());
            whole.diagnostics = at_most(diagnostics.collect());
            return Some(Failure { whole, files });
        }
        let mut by_file: BTreeMap<&str, Vec<&SetAside>> = BTreeMap::new();
        for aside in loaded.inert.iter().filter(|aside| changed.contains(&aside.file) && must_be_of_use(&aside.file)) {
            by_file.entry(&aside.file).or_default().push(aside);
        }
        let unserved = |asides: &[&SetAside]| -> Option<Box<Refused>> {
            let first = asides.first()?;
            let profiles = self.loader.supply().map_or(String::new(), |supply| supply.profiles().join(", "));
            let more = and_more(asides.len());
            let mut refused =
                self.refuse(format!("`{}` can match nothing here: {}{more}", first.info.name, first.lacks));
            let line = |aside: &&SetAside| {
                format!("{}:{}: {}: {} ({profiles})", aside.file, aside.line, aside.info.name, aside.lacks)
            };
            refused.diagnostics = at_most(asides.iter().map(line).collect());
            Some(refused)
        };
        let all: Vec<&SetAside> = by_file.values().flatten().copied().collect();
        let whole = unserved(&all)?;
        let fault = |(file, asides): (&str, Vec<&SetAside>)| {
            Some((file.to_owned(), Fault { refused: *unserved(&asides)?, beside: false }))
        };
        Some(Failure { whole, files: by_file.into_iter().filter_map(fault).collect() })
    }
}

/// Whether an error of a file is one only beside another file.
fn is_beside(error: &Diagnostic, file: &str) -> bool {
    error.labels.iter().any(|label| label.span.source.name != file)
}

/// Why these rules are refused, in one line; nothing if there are none.
fn rules_refused(rules: &[&RefusedRule]) -> Option<String> {
    let first = rules.first()?;
    let what = first.rule.as_deref().map_or_else(|| first.file.clone(), |rule| format!("`{rule}`"));
    Some(format!("{what}: {}{}", first.reason, and_more(rules.len())))
}

fn and_more(count: usize) -> String {
    if count > 1 { format!(", and {} more", count - 1) } else { String::new() }
}

/// What the compiler, the linker and the verifier say, as text.
fn shown(errors: &[&Diagnostic], late: &[&Refusal]) -> Vec<String> {
    let late = late.iter().map(|refusal| match &refusal.rejection {
        Some(rejection) => rejection.to_string(),
        None => refusal.to_string(),
    });
    at_most(errors.iter().map(|error| render(error, false)).chain(late).collect())
}

/// So many of these as a refusal carries.
fn at_most(mut diagnostics: Vec<String>) -> Vec<String> {
    if diagnostics.len() > DIAGNOSTICS_SHOWN_MAX {
        let more = diagnostics.len() - DIAGNOSTICS_SHOWN_MAX;
        diagnostics.truncate(DIAGNOSTICS_SHOWN_MAX);
        diagnostics.push(format!("and {more} more"));
    }
    diagnostics
}

/// What else should be known of the files that changed.
pub(super) fn notes(next: &InForce, changed: &BTreeSet<String>, diagnostics: &[Diagnostic]) -> Vec<String> {
    let mut notes = Vec::new();
    for rule in next.ruleset.rules.iter().filter(|rule| changed.contains(&rule.rule.source.name)) {
        if !rule.never.is_empty() {
            let (name, fields) = (&rule.info.name, rule.never.join(", "));
            notes.push(if object::is_object(&rule.rule.source) {
                format!(
                    "`{name}` is without a field that the source never has, and its object file does not say that it needs \
                     it: {fields}"
                )
            } else {
                format!("`{name}` can match without a field that the source never has: {fields}")
            });
        }
        if !rule.never_on.is_empty() {
            let classes = rule.never_on.join(", ");
            notes.push(format!("`{}` matches nothing here on {classes}: the source does not serve it", rule.info.name));
        }
    }
    for aside in next.inert.iter().filter(|aside| changed.contains(&aside.file)) {
        notes.push(format!("`{}` is set aside: {}", aside.info.name, aside.lacks));
    }
    let warnings = diagnostics.iter().filter(|diagnostic| diagnostic.level == Level::Warning);
    let warnings = warnings.filter_map(|warning| Some((warning, &warning.labels.first()?.span)));
    let warnings = warnings.filter(|(_, span)| changed.contains(&span.source.name));
    notes.extend(warnings.take(DIAGNOSTICS_SHOWN_MAX).map(|(warning, span)| {
        let line = span.source.line_of(span.range.start);
        format!("{}:{line}: {} [{}]", span.source.name, warning.message, warning.code)
    }));
    if next.ruleset.rules.is_empty() {
        notes.push("no rule is in force now".to_owned());
    }
    notes
}
