//! From rules of Sigma to the typed form: each test to the field that answers it exactly.
//!
//! A test on a name becomes a leaf on one field, or any of several where sources differ. A leaf of Sigma is false where
//! its field is absent ([`Absent::False`]); tests for null are the exception. What cannot be answered exactly refuses the
//! rule.

mod answer;
mod detection;
mod exact;
mod guard;
mod meta;

use std::borrow::Cow;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use trapline_vm::predicate::FieldRef;
use trapline_vm::record::Catalogue;

use self::answer::Answers;
use self::detection::{Detection, Part, condition_expr};
use self::exact::{address, compile, is_exact, is_raw};
use self::guard::{exists, field_test, guard_expr, has_value, in_module};
use self::meta::meta;
use crate::diagnostic::{Diagnostic, Source, Span};
use crate::hir::{Expr, Meta, Rule};
use crate::sigma::document::{Filter, Header, SigmaRule};
use crate::sigma::modifier::{Question, Test};
use crate::sigma::stream::{How, Place, Stream};

pub use self::detection::{CONDITIONS_MAX, SEARCHES_MAX, TESTS_MAX};
pub(crate) use self::meta::name;

/// All values of an event, for searches without a field.
const VALUES: &str = "event.values";

/// Lowers a rule with the filters that are for it. `pipelines` are the texts of those that changed it. With it come
/// its searches by name. None: it is refused, which is told.
pub(crate) fn lower(
    source: &Arc<Source>,
    rule: &SigmaRule,
    filters: &[(&Arc<Source>, Cow<'_, Filter>)],
    pipelines: &[&str],
    catalogue: &Catalogue,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<(Rule, Vec<(String, Expr)>)> {
    let before = diagnostics.len();
    let span = |range: &std::ops::Range<usize>| Span { source: source.clone(), range: range.clone() };
    if let Some(timeframe) = &rule.timeframe {
        let message = "`timeframe` is of Sigma 1, and no longer in the specification";
        diagnostics.push(
            Diagnostic::error("sigma-old-form", message, span(timeframe), "refused")
                .help("write a correlation: a second document with `correlation:` and `timespan`"),
        );
    }
    for (source, header) in std::iter::once((source, &rule.header)).chain(filters.iter().map(|(s, f)| (*s, &f.header)))
    {
        if let Some(taxonomy) = taxonomy(header) {
            let span = Span { source: source.clone(), range: header.head.clone() };
            let message = format!("the names of this document are of the taxonomy `{taxonomy}`, not of Sigma's");
            diagnostics.push(Diagnostic::error("sigma-unsupported", message, span, "in this").help(
                "map them with a pipeline, which says so by `set_custom_attribute` with `attribute: taxonomy` and `value: sigma`",
            ));
        }
    }
    let detection = Detection::read(source, &rule.searches, &rule.conditions, &rule.added, diagnostics);
    let narrowing: Vec<Option<Detection<'_>>> = filters
        .iter()
        .map(|(source, filter)| {
            Detection::read(source, &filter.searches, std::slice::from_ref(&filter.condition), &[], diagnostics)
        })
        .collect();
    let detection = detection?;
    let stream = match Stream::new(&rule.logsource, &detection.wanted(), catalogue) {
        Ok(stream) => stream,
        Err(unknown) => {
            let source = rule.logsource.source.as_ref().unwrap_or(source);
            let label = Span { source: source.clone(), range: unknown.part.range };
            diagnostics
                .push(Diagnostic::error("sigma-logsource", unknown.message, label, "unknown").help(unknown.help));
            return None;
        }
    };
    let mut parts: Vec<Expr> = Vec::new();
    let head = source.line_of(rule.header.head.start);
    let line = if rule.logsource.source.is_some() { head } else { source.line_of(rule.logsource.range.start) };
    parts.extend(stream.guards.iter().map(|guard| guard_expr(guard, line)));
    let mut lower = Lower { source, elsewhere: None, by: None, catalogue, stream: &stream, diagnostics };
    let (condition, searches) = lower.detection(&detection, head);
    parts.push(condition);
    for ((filter_source, _), filter) in filters.iter().zip(&narrowing) {
        if let Some(filter) = filter {
            lower.source = filter_source;
            lower.elsewhere = (!Arc::ptr_eq(source, filter_source)).then_some(head);
            parts.push(lower.detection(filter, head).0);
        }
    }
    if diagnostics.len() > before {
        return None;
    }
    let text = source.text.get(rule.header.range.clone()).unwrap_or_default();
    let mut digest = Sha256::new();
    digest.update(text);
    for (source, filter) in filters {
        digest.update(source.text.get(filter.header.range.clone()).unwrap_or_default());
    }
    pipelines.iter().for_each(|text| digest.update(text));
    let rule = Rule {
        name: name(&rule.header),
        meta: Meta { os: stream.os, ..meta(&rule.header) },
        classes: stream.classes.clone(),
        condition: if parts.len() == 1 { parts.remove(0) } else { Expr::And(parts) },
        exceptions: Vec::new(),
        output: None,
        tests: Vec::new(),
        source: source.clone(),
        line: source.line_of(rule.header.range.start),
        digest: digest.finalize().into(),
    };
    Some((rule, searches))
}

/// What the names of a document are of, if not of Sigma's own taxonomy.
fn taxonomy(header: &Header) -> Option<&str> {
    let entry = header.attributes.iter().find(|entry| entry.key == "taxonomy")?;
    entry.value.text().filter(|name| !name.eq_ignore_ascii_case("sigma"))
}

struct Lower<'l> {
    /// What the tests stand in.
    source: &'l Arc<Source>,
    /// The line to give for them, if that is not the source of the rule.
    elsewhere: Option<u32>,
    /// The step of a pipeline that made of a test what it is.
    by: Option<Span>,
    catalogue: &'l Catalogue,
    stream: &'l Stream,
    diagnostics: &'l mut Vec<Diagnostic>,
}

impl Lower<'_> {
    /// `head` is the line of the rule's title.
    fn detection(&mut self, detection: &Detection<'_>, head: u32) -> (Expr, Vec<(String, Expr)>) {
        let mut searches: Vec<Expr> = Vec::with_capacity(detection.searches.len());
        for (search, part) in &detection.searches {
            let mut of_search = Lower {
                source: search.source.as_ref().unwrap_or(self.source),
                elsewhere: self.elsewhere.or(search.source.as_ref().map(|_| head)),
                by: None,
                catalogue: self.catalogue,
                stream: self.stream,
                diagnostics: self.diagnostics,
            };
            searches.push(of_search.part(part));
        }
        let condition = condition_expr(&detection.condition, &searches);
        let names = detection.searches.iter().map(|(search, _)| search.name.clone());
        (condition, names.zip(searches).collect())
    }

    fn refuse(&mut self, code: &'static str, range: &std::ops::Range<usize>, message: String, help: &str) {
        let span = Span { source: self.source.clone(), range: range.clone() };
        let told = Diagnostic::error(code, message, span, "here");
        let told = self.by.iter().cloned().fold(told, |told, by| told.label(by, "what this made of it"));
        self.diagnostics.push(if help.is_empty() { told } else { told.help(help) });
    }

    fn part(&mut self, part: &Part) -> Expr {
        match part {
            Part::One(question) => self.question(question),
            Part::All(parts) => one(parts.iter().map(|part| self.part(part)).collect(), Expr::And),
            Part::Any(parts) => one(parts.iter().map(|part| self.part(part)).collect(), Expr::Or),
        }
    }

    fn question(&mut self, question: &Question) -> Expr {
        self.by.clone_from(&question.by);
        let choices = match &question.field {
            Some(name) => self.stream.places(name, self.catalogue),
            None => match self.catalogue.field_id(VALUES) {
                Some(id) => {
                    let field = FieldRef { name: VALUES.to_owned(), ty: self.catalogue.field(id).ty };
                    vec![vec![Place::new(field, How::Text(&[]))]]
                }
                None => Vec::new(),
            },
        };
        let line = self.elsewhere.unwrap_or_else(|| self.source.line_of(question.range.start));
        let expr = if question.all {
            let each =
                question.tests.iter().map(|test| self.tests(question, std::slice::from_ref(test), &choices, line));
            one(each.collect(), Expr::And)
        } else {
            self.tests(question, &question.tests, &choices, line)
        };
        if question.negated { Expr::Not(Box::new(expr)) } else { expr }
    }

    /// Any of the tests holds, of the value in any of its places.
    fn tests(
        &mut self,
        question: &Question,
        tests: &[(Test, std::ops::Range<usize>)],
        choices: &[Vec<Place>],
        line: u32,
    ) -> Expr {
        let mut answers = Answers::default();
        for (test, range) in tests {
            let regex = match test {
                Test::Regex(pattern) => match compile(pattern) {
                    Ok(regex) => Some(regex),
                    Err((message, help)) => {
                        self.refuse("sigma-regex", range, message, &help);
                        continue;
                    }
                },
                _ => None,
            };
            let mut places: Vec<Cow<'_, Place>> = Vec::new();
            let mut unanswered = None;
            for choice in choices {
                let exact = |place: &Place| is_exact(test, place, question, regex.as_ref());
                let same_address = |place: &&Place| place.how == How::Address && address(test).is_some();
                let found = choice.iter().find(|place| exact(place)).or_else(|| choice.iter().find(same_address));
                if found.is_none() {
                    unanswered = unanswered.or(choice.first());
                }
                // Events of other sensors have the field of the catalogue alone.
                let known = choice.iter().filter(|place| !place.is_event_data());
                let elsewhere = known.filter(|_| found.is_some_and(Place::is_event_data));
                let elsewhere = elsewhere.map(Place::elsewhere).find(|place| exact(place) || same_address(&place));
                for place in found.map(Cow::Borrowed).into_iter().chain(elsewhere.map(Cow::Owned)) {
                    if !places.contains(&place) {
                        places.push(place);
                    }
                }
            }
            if unanswered.is_some() || places.is_empty() {
                let name = question.field.as_deref().unwrap_or("values without a field");
                let (message, help) = match unanswered {
                    None => (format!("no event of this log source has the field `{name}`"), String::new()),
                    Some(place) => (
                        format!("this test cannot be answered on `{name}` of this log source"),
                        format!("events have it as `{}`, which is no text", place.field.name),
                    ),
                };
                self.refuse("sigma-unsupported", range, message, &help);
                // The other values have the same fault.
                break;
            }
            match test {
                Test::Null | Test::Exists(false) => {
                    // Absent from all places.
                    let absent = places.iter().map(|place| {
                        let there = if *test == Test::Null { has_value(place, line) } else { exists(place, line) };
                        in_module(place, line, Expr::Leaf(there), |guarded| Expr::Not(Box::new(guarded)))
                    });
                    answers.others.push(one(absent.collect(), Expr::And));
                }
                Test::Field(op, other) => {
                    let mut rights: Vec<Place> = Vec::new();
                    let mut no_text = None;
                    for choice in self.stream.places(other, self.catalogue) {
                        let Some(right) = choice.iter().find(|place| is_raw(place)) else {
                            no_text = no_text.or(choice.into_iter().next());
                            continue;
                        };
                        let known = choice.iter().filter(|place| !place.is_event_data());
                        let elsewhere = known.filter(|_| right.is_event_data()).map(Place::elsewhere);
                        rights.extend(elsewhere.filter(is_raw).take(1));
                        rights.push(right.clone());
                    }
                    let pairs = places.iter().flat_map(|left| rights.iter().map(move |right| (left, right)));
                    let pairs = pairs.filter(|(left, right)| left.elsewhere == right.elsewhere);
                    let found: Vec<Expr> =
                        pairs.map(|(left, right)| field_test(left, right, *op, question, line)).collect();
                    if no_text.is_some() || found.is_empty() {
                        let message = format!("`{other}` of this log source is not always a text to compare with");
                        self.refuse("sigma-unsupported", range, message, "");
                        break;
                    }
                    answers.others.push(one(found, Expr::Or));
                }
                _ => places.iter().for_each(|place| answers.add(test, place, question, line)),
            }
        }
        answers.into_expr(question, line)
    }
}

fn one(mut parts: Vec<Expr>, join: fn(Vec<Expr>) -> Expr) -> Expr {
    if parts.len() == 1 { parts.remove(0) } else { join(parts) }
}
