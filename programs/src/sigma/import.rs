//! Sigma rules as rules of our own language.
//!
//! Nobody has to believe the writer: what it wrote is compiled again, and must come to the decision of the rule that
//! it was written from, test by test, in every family of events. If it does not, nothing is written.

use std::collections::HashMap;
use std::sync::Arc;

use trapline_vm::record::Catalogue;

use super::lower_and;
use crate::compile::{decide, families};
use crate::diagnostic::{Level, Source};
use crate::hir::{self, Expr, Rule};
use crate::mir::Decision;
use crate::write::{Inexpressible, write};

/// The searches of rules, by file and line.
#[derive(Clone, Debug, Default)]
pub struct Searches(HashMap<(String, u32), Vec<(String, Expr)>>);

impl Searches {
    /// Those of the rules of these sources.
    pub fn of(sources: &[Arc<Source>], catalogue: &Catalogue) -> Self {
        let mut all = HashMap::new();
        lower_and(sources, catalogue, &mut |rule, searches| {
            all.insert((rule.source.name.clone(), rule.line), searches);
        });
        Self(all)
    }
}

/// A rule of Sigma as text in the rule language, from `rule` to the closing brace. Searches keep their names.
pub fn import(rule: &Rule, searches: &Searches, catalogue: &Catalogue) -> Result<String, Inexpressible> {
    let key = (rule.source.name.clone(), rule.line);
    let named = searches.0.get(&key).map_or(&[][..], Vec::as_slice);
    let written = write(rule, named, catalogue)?;
    let source = Source::new("written.trap", written.text.clone());
    let (found, diagnostics) = hir::lower(&[source], catalogue);
    if let Some(error) = diagnostics.iter().find(|diagnostic| diagnostic.level == Level::Error) {
        return Err(Inexpressible(format!("the language does not take it: {}", error.message)));
    }
    let [found] = found.as_slice() else {
        return Err(Inexpressible("what was written is not one rule".to_owned()));
    };
    let is_same = found.name == rule.name
        && found.classes == rule.classes
        && (found.meta.os, found.meta.severity, found.meta.status)
            == (rule.meta.os, rule.meta.severity, rule.meta.status)
        && same_decisions(found, &written.rule, catalogue);
    if is_same { Ok(written.text) } else { Err(Inexpressible("what was written does not mean the same".to_owned())) }
}

/// Whether two rules on the same classes decide the same by the same tests.
fn same_decisions(left: &Rule, right: &Rule, catalogue: &Catalogue) -> bool {
    families(left, catalogue).iter().all(|(family, _)| {
        match (decide(left, catalogue, *family), decide(right, catalogue, *family)) {
            (Ok(left), Ok(right)) => without_places(left) == without_places(right),
            _ => false,
        }
    })
}

/// A decision without what says where in a text it stands.
fn without_places(mut decision: Decision) -> Decision {
    for test in &mut decision.tests {
        test.line = 0;
        test.text.clear();
    }
    decision.exceptions.iter_mut().for_each(|(_, line)| *line = 0);
    decision
}
