//! Sigma rules (specification 2.1): compiled exactly, or refused with the reason.
//!
//! ```text
//! text --yaml--> Node --document--> SigmaRule, Correlation, Filter
//!   condition --condition--> Condition          which searches must hold
//!   item      --modifier--> Question            tests on a field, values as patterns
//!   logsource --stream--> Stream                classes of events, and the places of names
//!                          --lower--> hir::Rule
//! ```
//!
//! Between reading and lowering, pipelines (`pipeline`) change rules as a site wants them.
//!
//! Sigma is two-valued: a test on a field that is absent is false, so `not` of it is true.

mod condition;
mod correlation;
mod document;
mod import;
mod lower;
mod modifier;
mod origin;
mod pattern;
mod pipeline;
mod regex;
pub mod regression;
mod stream;
mod yaml;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use trapline_vm::record::Catalogue;

use self::correlation::Named;
use self::document::{Correlation, Document, Filter, Header, LogSource, SigmaRule};
use self::pipeline::Pipelines;
use crate::diagnostic::{Diagnostic, Source, Span};
use crate::hir::{Expr, Rule};

pub use condition::{CONDITION_NESTING_MAX, CONDITION_TOKENS_MAX};
pub use import::{Searches, import};
pub use lower::{CONDITIONS_MAX, SEARCHES_MAX, TESTS_MAX};
pub use modifier::VALUES_MAX;
pub use pipeline::{ITEMS_MAX, MADE_LEN_MAX, STEPS_MAX};
pub use yaml::{BROKEN_MAX, DOCUMENTS_MAX, NESTING_MAX, NODES_MAX, SCALAR_LEN_MAX};

/// Whether a source of this name is YAML, and so Sigma.
pub fn is_sigma(name: &str) -> bool {
    let suffix = name.rsplit_once('.').map_or("", |(_, suffix)| suffix);
    suffix.eq_ignore_ascii_case("yml") || suffix.eq_ignore_ascii_case("yaml")
}

/// Whether YAML may hold rules, or what changes them: one of its lines begins a detection, a correlation, a filter or a
/// pipeline. Folders hold other YAML too, and nobody wants to be told that it is no rule.
pub fn has_rules(source: &Source) -> bool {
    let keys = ["detection", "correlation", "filter", "transformations", "vars"];
    // However it is written: on one line, indented as a whole, with a blank before the colon.
    let has = |word| source.text.contains(word);
    has_line(source, &keys) || has("logsource") && (has("detection") || has("filter"))
}

/// Whether a line begins with one of these keys.
fn has_line(source: &Source, keys: &[&str]) -> bool {
    source.text.lines().any(|line| {
        let line = line.trim_start_matches(['"', '\'']);
        keys.iter().any(|key| line.strip_prefix(key).is_some_and(|rest| rest.starts_with([':', '"', '\''])))
    })
}

/// What a rule is switched off by: its id, which is its own whatever other files there are, or without one its name.
pub fn key(id: &str, name: &str) -> String {
    (if id.is_empty() { name } else { id }).to_owned()
}

/// The [`key`]s of the rules of a source.
pub fn keys(source: &Arc<Source>) -> Vec<String> {
    documents(source).into_iter().map(|header| key(&header.id, &lower::name(&header))).collect()
}

/// The text without the rules of these keys: they are blank, so that everything else stands where it stood.
pub fn without(source: &Arc<Source>, off: &BTreeSet<String>) -> String {
    let mut bytes = source.text.clone().into_bytes();
    for header in documents(source) {
        if off.contains(&key(&header.id, &lower::name(&header)))
            && let Some(bytes) = bytes.get_mut(header.range)
        {
            bytes.iter_mut().filter(|byte| **byte != b'\n').for_each(|byte| *byte = b' ');
        }
    }
    // Whole documents are blanked: what is left begins and ends at characters.
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The headers of the rules of a source that can be read.
fn documents(source: &Arc<Source>) -> Vec<Header> {
    let mut ignored = Vec::new();
    let nodes = yaml::read(source, &mut ignored);
    let rules = nodes.iter().filter_map(|node| match document::read(source, node, &mut ignored) {
        Some(Document::Rule(rule)) => Some(rule.header),
        _ => None,
    });
    rules.collect()
}

/// Lowers all rules of the sources: those without mistakes, and every mistake of the others. Filters narrow the rules
/// they name and pipelines change all of them, whichever source holds these.
pub fn lower(sources: &[Arc<Source>], catalogue: &Catalogue) -> (Vec<Rule>, Vec<Diagnostic>) {
    lower_and(sources, catalogue, &mut |_, _| {})
}

/// Takes a rule, and its searches by name.
type Keep<'k> = dyn FnMut(&Rule, Vec<(String, Expr)>) + 'k;

/// `keep` is given the searches of each rule by name, as conditions that stand in its own.
fn lower_and(sources: &[Arc<Source>], catalogue: &Catalogue, keep: &mut Keep<'_>) -> (Vec<Rule>, Vec<Diagnostic>) {
    let mut diagnostics = Vec::new();
    let mut pipelines = Pipelines::default();
    let mut rules: Vec<(&Arc<Source>, Box<SigmaRule>)> = Vec::new();
    let mut filters: Vec<(&Arc<Source>, Box<Filter>)> = Vec::new();
    let mut correlations: Vec<(&Arc<Source>, Box<Correlation>)> = Vec::new();
    for source in sources {
        let before = diagnostics.len();
        let mut nodes = yaml::read(source, &mut diagnostics);
        if let Some(told) = diagnostics.get(before)
            && has_line(source, &["transformations", "vars"])
        {
            pipelines.lose(told);
        }
        // Of an old collection no document stands for itself.
        let is_old = |node: &yaml::Node| node.get("action").is_some();
        if nodes.iter().any(is_old) {
            nodes.retain(is_old);
        }
        for node in nodes {
            match document::read(source, &node, &mut diagnostics) {
                Some(Document::Rule(rule)) => rules.push((source, rule)),
                Some(Document::Filter(filter)) => filters.push((source, filter)),
                Some(Document::Correlation(correlation)) => correlations.push((source, correlation)),
                Some(Document::Pipeline) => pipelines.add(source, &node, &mut diagnostics),
                None => {}
            }
        }
    }
    pipelines.sort();
    if pipelines.refuse(rules.len(), &mut diagnostics) {
        return (Vec::new(), diagnostics);
    }
    diagnostics.extend(check_names(&filters, &rules));
    let named = Named { rules: &rules, correlations: &correlations };
    for number in 0..correlations.len() {
        correlation::check(number, &named, catalogue, &mut diagnostics);
    }
    let held: BTreeMap<usize, (Span, String)> =
        named.held_back().into_iter().map(|(rule, by, title)| (rule, (by, title))).collect();
    let mut lowered = Vec::with_capacity(rules.len());
    for (number, (source, mut rule)) in rules.into_iter().enumerate() {
        if let Some((by, title)) = held.get(&number) {
            let title_of = &rule.header.title;
            let message =
                format!("the rule `{title_of}` is only a part of the correlation `{title}`, which cannot be run yet");
            let span = Span { source: source.clone(), range: rule.header.head.clone() };
            diagnostics.push(
                Diagnostic::error("sigma-unsupported", message, span, "it does not alert by itself")
                    .label(by.clone(), "named here")
                    .help("with `generate: true` in the correlation it would alert by itself as well"),
            );
            continue;
        }
        let mut chosen: Vec<(&Arc<Source>, Cow<'_, Filter>)> = filters
            .iter()
            .filter(|(_, filter)| is_for(filter, &rule))
            .map(|(source, filter)| (*source, Cow::Borrowed(filter.as_ref())))
            .collect();
        let changed_by = match pipelines.apply(source, &mut rule, &mut chosen, &mut diagnostics) {
            Some(changed_by) => changed_by,
            None => continue,
        };
        if let Some((rule, searches)) = lower::lower(source, &rule, &chosen, &changed_by, catalogue, &mut diagnostics) {
            keep(&rule, searches);
            lowered.push(rule);
        }
    }
    (lowered, diagnostics)
}

/// A document as its text says at a glance, whether or not it can be read: what a refusal is told of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outline {
    /// The document in the source.
    pub range: Range<usize>,
    /// The value of `title`.
    pub title: String,
    /// The value of `id`.
    pub id: String,
    /// The value of `regression_tests_path`.
    pub tests: String,
}

/// The documents of a source.
pub fn outline(source: &Source) -> Vec<Outline> {
    let mut documents = vec![Outline::default()];
    let mut at = 0;
    for line in source.text.split_inclusive('\n') {
        if line.starts_with("---") && documents.last().is_some_and(|document| !document.range.is_empty()) {
            documents.push(Outline { range: at..at, ..Outline::default() });
        }
        at += line.len();
        if let Some(document) = documents.last_mut() {
            document.range.end = at;
            let value = |key: &str| Some(line.strip_prefix(key)?.trim().trim_matches(['\'', '"']).to_owned());
            if let Some(title) = value("title:") {
                document.title = title;
            } else if let Some(id) = value("id:") {
                document.id = id;
            } else if let Some(tests) = value("regression_tests_path:") {
                document.tests = tests;
            }
        }
    }
    documents
}

/// Whether a filter narrows a rule: it names it, and its log source holds that of the rule.
fn is_for(filter: &Filter, rule: &SigmaRule) -> bool {
    let named = filter.rules.as_ref().is_none_or(|rules| rules.iter().any(|name| is_named(&name.text, &rule.header)));
    named && holds(&filter.logsource, &rule.logsource)
}

/// Whether it is known by this id or name.
fn is_named(name: &str, header: &Header) -> bool {
    !name.is_empty() && (name == header.name || name.eq_ignore_ascii_case(&header.id))
}

/// Tells of the names in filters that are nobody's: such a filter does less than its author believes.
fn check_names(filters: &[(&Arc<Source>, Box<Filter>)], rules: &[(&Arc<Source>, Box<SigmaRule>)]) -> Vec<Diagnostic> {
    let headers = || rules.iter().map(|(_, rule)| &rule.header);
    let names: BTreeSet<&str> = headers().flat_map(|header| [header.name.as_str(), header.id.as_str()]).collect();
    let is_known =
        |name: &str| !name.is_empty() && (names.contains(name) || names.contains(&*name.to_ascii_lowercase()));
    let mut told = Vec::new();
    for (source, filter) in filters {
        for name in filter.rules.iter().flatten().filter(|name| !is_known(&name.text)) {
            let span = Span { source: (*source).clone(), range: name.range.clone() };
            let message = format!("no rule among the files is called `{}`", name.text);
            told.push(
                Diagnostic::warning("sigma-document", message, span, "nothing is narrowed by this")
                    .help("rules are named by `id` or `name`, not by title"),
            );
        }
    }
    told
}

/// Whether every part that the wider log source names is that of the narrower.
fn holds(wider: &LogSource, narrower: &LogSource) -> bool {
    let pairs = [
        (&wider.product, &narrower.product),
        (&wider.category, &narrower.category),
        (&wider.service, &narrower.service),
    ];
    pairs.iter().all(|(wider, narrower)| {
        wider.as_ref().is_none_or(|wider| narrower.as_ref().is_some_and(|narrower| narrower.text == wider.text))
    })
}
