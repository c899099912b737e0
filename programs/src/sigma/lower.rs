//! From rules of Sigma to the typed form: each test to the field that answers it exactly.
//!
//! A test on a name becomes a leaf on one field, or any of several where sources differ. A leaf of Sigma is false where
//! its field is absent ([`Absent::False`]); tests for null are the exception. What cannot be answered exactly refuses the
//! rule.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use regex_automata::meta::Regex;
use sha2::{Digest, Sha256};
use trapline_vm::predicate::{Cidr, Cmp, FieldRef, Predicate, Scope, StrOp, Test as Predicated};
use trapline_vm::record::{Catalogue, FieldType, Scalar};

use super::condition::{self, Condition};
use super::document::{Body, Filter, Header, Item, Located, Search, SigmaRule};
use super::modifier::{self, Question, Test};
use super::origin::Claim;
use super::pattern::{Literal, Pattern};
use super::stream::{Guard, How, Place, Providers, Stream, Wanted};
use crate::diagnostic::{Diagnostic, Source, Span};
use crate::hir::{Absent, Expr, Leaf, LeafKind, Meta, Operand, Rule};
use crate::lang::limits::LEAF_TEXT_MAX;

/// The most searches of a detection.
pub const SEARCHES_MAX: usize = 1024;
/// The most conditions of a detection.
pub const CONDITIONS_MAX: usize = 16;
/// The most tests that a condition may be written out to: those of a search count wherever it is named, and a regular
/// expression counts as 256.
pub const TESTS_MAX: usize = 262_144;
/// What a regular expression counts for: it takes long to compile.
const REGEX_WEIGHT: usize = 256;
/// The most ways of `N of` to hold.
const CHOICES_MAX: usize = 4096;
/// The most values of one test of the engine, and bytes of all of them; others are in further tests.
const VALUES_OF_TEST_MAX: usize = 16_384;
const VALUES_OF_TEST_LEN_MAX: usize = 1 << 20;
/// The most regular expressions of one.
const REGEXES_OF_TEST_MAX: usize = 256;
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

/// The rule's own name, or its title as one.
pub(crate) fn name(header: &Header) -> String {
    if !header.name.is_empty() {
        return header.name.clone();
    }
    let mut name = String::new();
    for c in header.title.chars().flat_map(char::to_lowercase) {
        match c {
            c if c.is_alphanumeric() => name.push(c),
            _ if name.ends_with('_') || name.is_empty() => {}
            _ => name.push('_'),
        }
        if name.len() >= 120 {
            break;
        }
    }
    name.trim_end_matches('_').to_owned()
}

/// The tactics of ATT&CK as Sigma's tags name them, and their ids.
const TACTICS: &[(&str, &str)] = &[
    ("collection", "TA0009"),
    ("command-and-control", "TA0011"),
    ("credential-access", "TA0006"),
    ("defense-evasion", "TA0005"),
    ("discovery", "TA0007"),
    ("execution", "TA0002"),
    ("exfiltration", "TA0010"),
    ("impact", "TA0040"),
    ("initial-access", "TA0001"),
    ("lateral-movement", "TA0008"),
    ("persistence", "TA0003"),
    ("privilege-escalation", "TA0004"),
    ("reconnaissance", "TA0043"),
    ("resource-development", "TA0042"),
];

fn meta(header: &Header) -> Meta {
    let mut attack = Vec::new();
    for tag in &header.tags {
        let Some(part) = tag.to_ascii_lowercase().strip_prefix("attack.").map(|part| part.replace('_', "-")) else {
            continue;
        };
        let is_technique = part.strip_prefix('t').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
        if is_technique {
            attack.push(part.to_ascii_uppercase());
        } else if let Some((_, id)) = TACTICS.iter().find(|(name, _)| *name == part) {
            attack.push((*id).to_owned());
        }
    }
    Meta {
        id: header.id.clone(),
        version: if header.modified.is_empty() { header.date.clone() } else { header.modified.clone() },
        title: header.title.clone(),
        description: header.description.clone(),
        severity: header.level,
        status: header.status,
        attack,
        references: header.references.clone(),
        false_positives: header.false_positives.clone(),
        authors: header.authors.clone(),
        tags: header.tags.clone(),
        ..Meta::default()
    }
}

/// Searches and condition, understood.
struct Detection<'d> {
    searches: Vec<(&'d Search, Part)>,
    condition: Condition,
}

/// A search, understood.
enum Part {
    One(Box<Question>),
    All(Vec<Part>),
    Any(Vec<Part>),
}

impl<'d> Detection<'d> {
    fn read(
        source: &Arc<Source>,
        searches: &'d [Search],
        conditions: &[Located],
        added: &[(String, bool)],
        diagnostics: &mut Vec<Diagnostic>,
    ) -> Option<Self> {
        let before = diagnostics.len();
        let mut large = |range: &std::ops::Range<usize>, message: String, help: &str| {
            let span = Span { source: source.clone(), range: range.clone() };
            diagnostics.push(Diagnostic::error("sigma-too-large", message, span, "here").help(help));
            None
        };
        if let Some(search) = searches.get(SEARCHES_MAX).filter(|search| search.source.is_none()) {
            let message = format!("the detection has more than {SEARCHES_MAX} searches");
            return large(&search.range, message, "write what is alike as one search with a list, or split the rule");
        }
        if let Some(condition) = conditions.get(CONDITIONS_MAX) {
            let message = format!("the detection has more than {CONDITIONS_MAX} conditions");
            return large(&condition.range, message, "join them by `or`, or split the rule");
        }
        // What pipelines added stands behind, and is nothing that the rule itself names.
        let own = searches.len().saturating_sub(added.len());
        let names: Vec<&str> = searches.iter().take(own).map(|search| search.name.as_str()).collect();
        let mut read = Vec::new();
        for condition in conditions {
            match condition::parse(&condition.text, &names) {
                Ok(condition) => read.push(condition),
                Err(mistake) => {
                    let span = Span { source: source.clone(), range: inside(source, condition, &mistake.range) };
                    let told = Diagnostic::error("sigma-condition", mistake.message, span, mistake.label);
                    diagnostics.push(mistake.help.into_iter().fold(told, Diagnostic::help));
                }
            }
        }
        let mut all = vec![Condition::Or(read)];
        all.extend(added.iter().filter_map(|(name, negated)| {
            let found = Condition::Search(searches.iter().position(|search| search.name == *name)?);
            Some(if *negated { Condition::Not(Box::new(found)) } else { found })
        }));
        let searches = searches.iter().map(|search| {
            let source = search.source.as_ref().unwrap_or(source);
            (search, part(source, &search.body, diagnostics))
        });
        let searches: Vec<(&Search, Part)> = searches.collect();
        if diagnostics.len() > before {
            return None;
        }
        let gone =
            |index| searches.get(index).is_some_and(|(_, part)| matches!(part, Part::All(parts) if parts.is_empty()));
        match Condition::And(all).without(&gone) {
            Some(condition) => {
                let weights: Vec<usize> = searches.iter().map(|(_, part)| part.weight()).collect();
                if weight(&condition, &weights) > TESTS_MAX {
                    let range = conditions.first().map_or(0..0, |condition| condition.range.clone());
                    let span = Span { source: source.clone(), range };
                    let message = format!("the condition is more than {TESTS_MAX} tests, searches written out");
                    let help = "name each search once, write `1 of` or `all of`, or split the rule";
                    diagnostics.push(Diagnostic::error("sigma-too-large", message, span, "this one").help(help));
                    return None;
                }
                Some(Self { searches, condition })
            }
            None => {
                let range = searches.first().map_or(0..0, |(search, _)| search.range.clone());
                let span = Span { source: source.clone(), range };
                let message = "the pipelines drop all that this rule looks for";
                diagnostics.push(Diagnostic::error("sigma-pipeline-refuses", message, span, "nothing is left"));
                None
            }
        }
    }

    /// What is known of its events: the ids that one must have one of, whatever else holds, and whether fields tell them.
    fn wanted(&self) -> Wanted {
        let keywords = self.searches.iter().any(|(_, part)| part.has_keywords());
        Wanted { ids: self.ids_of(&self.condition), keywords }
    }

    fn ids_of(&self, condition: &Condition) -> Option<BTreeSet<i64>> {
        match condition {
            Condition::Search(index) => self.searches.get(*index).and_then(|(_, part)| part.event_ids()),
            Condition::AtLeast(count, of) if *count == of.len() => {
                narrowest(of.iter().filter_map(|index| self.ids_of(&Condition::Search(*index))))
            }
            Condition::AtLeast(_, of) => union(of.iter().map(|index| self.ids_of(&Condition::Search(*index)))),
            Condition::And(parts) => narrowest(parts.iter().filter_map(|part| self.ids_of(part))),
            Condition::Or(parts) => union(parts.iter().map(|part| self.ids_of(part))),
            Condition::Not(_) => None,
        }
    }
}

fn narrowest(sets: impl Iterator<Item = BTreeSet<i64>>) -> Option<BTreeSet<i64>> {
    sets.reduce(|left, right| left.intersection(&right).copied().collect())
}

/// None if one of them is any id.
fn union(mut sets: impl Iterator<Item = Option<BTreeSet<i64>>>) -> Option<BTreeSet<i64>> {
    sets.try_fold(BTreeSet::new(), |mut all, ids| {
        all.extend(ids?);
        Some(all)
    })
}

/// The tests of a condition, searches of these weights written out.
fn weight(condition: &Condition, weights: &[usize]) -> usize {
    let of = |index: &usize| weights.get(*index).copied().unwrap_or(0);
    match condition {
        Condition::Search(index) => of(index),
        Condition::AtLeast(count, chosen) if *count > 1 && choices(chosen.len(), *count) > CHOICES_MAX => usize::MAX,
        Condition::AtLeast(count, chosen) => {
            // The search behind so many others stands once for each way to choose some of these that leaves a choice.
            let copies = |before: usize| -> usize {
                let least = count.saturating_sub(chosen.len() - before);
                (least..*count).map(|taken| choices(before, taken)).fold(0, usize::saturating_add)
            };
            let copies = |before| if *count == 1 { 1 } else { copies(before) };
            (0..)
                .zip(chosen)
                .fold(0, |all, (before, index)| all.saturating_add(copies(before).saturating_mul(of(index))))
        }
        Condition::And(parts) | Condition::Or(parts) => {
            parts.iter().map(|part| weight(part, weights)).fold(0, usize::saturating_add)
        }
        Condition::Not(inside) => weight(inside, weights),
    }
}

impl Part {
    fn weight(&self) -> usize {
        let of = |test: &Test| if let Test::Regex(_) = test { REGEX_WEIGHT } else { 1 };
        match self {
            Self::One(question) => question.tests.iter().map(|(test, _)| of(test)).sum(),
            Self::All(parts) | Self::Any(parts) => parts.iter().map(Self::weight).sum(),
        }
    }

    fn has_keywords(&self) -> bool {
        match self {
            Self::One(question) => question.field.is_none(),
            Self::All(parts) | Self::Any(parts) => parts.iter().any(Self::has_keywords),
        }
    }

    fn event_ids(&self) -> Option<BTreeSet<i64>> {
        match self {
            Self::One(question) => event_ids(question),
            Self::All(parts) => narrowest(parts.iter().filter_map(Self::event_ids)),
            Self::Any(parts) => union(parts.iter().map(Self::event_ids)),
        }
    }
}

fn event_ids(question: &Question) -> Option<BTreeSet<i64>> {
    let is_plain = question.field.as_deref() == Some("EventID") && !question.negated && question.part.is_none();
    if !is_plain {
        return None;
    }
    let numbers = question.tests.iter().map(|(test, _)| match test {
        Test::Number(number, _) => number.parse().ok(),
        Test::Text(pattern) => pattern.as_literal().and_then(|text| text.parse().ok()),
        _ => None,
    });
    numbers.collect()
}

/// A range inside the text of a condition, in the source. A quoted or folded text is shown as a whole.
fn inside(source: &Source, condition: &Located, range: &std::ops::Range<usize>) -> std::ops::Range<usize> {
    match source.text.get(condition.range.clone()) {
        Some(text) if text == condition.text => condition.range.start + range.start..condition.range.start + range.end,
        _ => condition.range.clone(),
    }
}

fn part(source: &Arc<Source>, body: &Body, diagnostics: &mut Vec<Diagnostic>) -> Part {
    match body {
        Body::One(item) => match question(item) {
            Ok(question) => Part::One(Box::new(question)),
            Err(mistake) => {
                diagnostics.push(mistake.told(source));
                Part::Any(Vec::new())
            }
        },
        Body::All(parts) => Part::All(parts.iter().map(|body| part(source, body, diagnostics)).collect()),
        Body::Any(parts) => Part::Any(parts.iter().map(|body| part(source, body, diagnostics)).collect()),
    }
}

/// An item, with values without a field looked for anywhere in the values of the event.
fn question(item: &Item) -> Result<Question, modifier::Mistake> {
    let mut question = item.question()?;
    if question.field.is_none() {
        let anywhere = !item.is_bound();
        for (test, range) in &mut question.tests {
            let pattern = match test {
                Test::Text(pattern) => std::mem::take(pattern),
                Test::Number(_, text) => Pattern::literal(text),
                Test::Flag(value) => Pattern::literal(if *value { "true" } else { "false" }),
                Test::Null | Test::Exists(_) | Test::Field(..) => {
                    let message = "a search without a field looks at the values of the event for one";
                    return Err(modifier::Mistake::new("sigma-type", range, message, "this one")
                        .help("write the name of a field before it"));
                }
                _ => continue,
            };
            *test = Test::Text(pattern.open(anywhere, anywhere));
        }
    }
    Ok(question)
}

/// A condition, with the searches written out wherever it names them.
fn condition_expr(condition: &Condition, searches: &[Expr]) -> Expr {
    let of = |index: &usize| searches.get(*index).cloned().unwrap_or(Expr::Const(false));
    match condition {
        Condition::Search(index) => of(index),
        Condition::AtLeast(1, chosen) => Expr::Or(chosen.iter().map(of).collect()),
        Condition::AtLeast(count, chosen) => at_least(*count, &chosen.iter().map(of).collect::<Vec<_>>()),
        Condition::And(parts) => Expr::And(parts.iter().map(|part| condition_expr(part, searches)).collect()),
        Condition::Or(parts) => Expr::Or(parts.iter().map(|part| condition_expr(part, searches)).collect()),
        Condition::Not(inside) => Expr::Not(Box::new(condition_expr(inside, searches))),
    }
}

/// A guard as a condition.
fn guard_expr(guard: &Guard, line: u32) -> Expr {
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

fn leaf(kind: LeafKind, line: u32, mut text: String) -> Expr {
    if text.len() > LEAF_TEXT_MAX {
        let end = (0..=LEAF_TEXT_MAX - '…'.len_utf8()).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
    Expr::Leaf(Leaf { kind, absent: Absent::False, line, text })
}

fn strings(field: FieldRef, op: StrOp, mut literals: Vec<String>, fold: bool) -> Predicate {
    literals.sort_unstable();
    literals.dedup();
    Predicate { field, scope: Scope::Any, test: Predicated::Str { op, literals, fold } }
}

fn equals(field: FieldRef, literals: Vec<String>) -> Predicate {
    strings(field, StrOp::Equals, literals, true)
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

/// Literals of one operator on one field.
struct Group {
    place: Place,
    op: StrOp,
    fold: bool,
    texts: Vec<String>,
}

/// Alternatives that are tested together.
#[derive(Default)]
struct Answers {
    literals: Vec<Group>,
    numbers: Vec<(Place, Vec<i64>)>,
    ranges: Vec<(Place, Vec<Cidr>)>,
    others: Vec<Expr>,
}

impl Answers {
    fn add(&mut self, test: &Test, place: &Place, question: &Question, line: u32) {
        let name = question.field.as_deref().unwrap_or("any value");
        match (test, place.how) {
            (Test::Text(_) | Test::Number(..) | Test::Flag(_), How::Text(_)) => {
                let literals = match test {
                    Test::Text(pattern) => pattern.literals(),
                    Test::Number(number, text) => {
                        let spellings = if number == text { vec![text] } else { vec![text, number] };
                        spellings.into_iter().map(|text| Literal { op: StrOp::Equals, text: text.clone() }).collect()
                    }
                    Test::Flag(value) => vec![Literal { op: StrOp::Equals, text: value.to_string() }],
                    _ => Vec::new(),
                };
                for literal in literals {
                    self.literal(place, literal.op, literal.text, !question.cased);
                }
            }
            (Test::Regex(pattern), How::Text(_)) => self.literal(place, StrOp::Regex, pattern.clone(), false),
            (Test::Number(number, _), How::Int) => {
                // No whole number of 64 bits is equal to any other.
                if let Ok(number) = number.parse() {
                    self.number(place, number);
                }
            }
            (Test::Text(pattern), How::Int) => {
                if let Some(number) = pattern.as_literal().and_then(|text| text.parse().ok()) {
                    self.number(place, number);
                }
            }
            (Test::Compare(cmp, number), _) => self.comparison(place, (*cmp, number), question, line),
            (Test::Flag(_) | Test::Text(_), How::Flag) => {
                let value = match test {
                    Test::Flag(value) => *value,
                    Test::Text(pattern) => pattern.as_literal().is_some_and(|text| text.eq_ignore_ascii_case("true")),
                    _ => false,
                };
                let flag = leaf(LeafKind::Flag(place.field.clone()), line, format!("{name} is {value}"));
                let expr = if value {
                    flag
                } else {
                    Expr::And(vec![Expr::Leaf(exists(place, line)), Expr::Not(Box::new(flag))])
                };
                self.others.push(guarded(place, line, expr));
            }
            (Test::Cidr(range), _) => self.range(place, *range),
            (Test::Text(_), How::Address) => address(test).into_iter().for_each(|range| self.range(place, range)),
            (Test::Exists(true), _) => self.others.push(guarded(place, line, Expr::Leaf(exists(place, line)))),
            _ => {}
        }
    }

    /// The field, or a part of the time that it is, compared with a number.
    fn comparison(&mut self, place: &Place, (cmp, number): (Cmp, &str), question: &Question, line: u32) {
        let name = question.field.as_deref().unwrap_or("any value");
        let predicate = |test| LeafKind::Predicate(Predicate { field: place.field.clone(), scope: Scope::Any, test });
        let (kind, what) = match (question.part, place.how) {
            (Some(part), _) => {
                let values = vec![number.parse().unwrap_or_default()];
                (predicate(Predicated::Time { part, cmp, values }), format!("{part:?} of {name}").to_lowercase())
            }
            (None, How::Int) => {
                let (cmp, number) = of_whole_numbers(cmp, number);
                let (left, right) = (Operand::Field(place.field.clone()), Operand::Const(number));
                (LeafKind::Compare { cmp, left, right }, name.to_owned())
            }
            (None, _) => (predicate(Predicated::Number { cmp, value: number.to_owned() }), name.to_owned()),
        };
        let text = format!("{what} {} {number}", symbol(cmp));
        self.others.push(guarded(place, line, leaf(kind, line, text)));
    }

    fn literal(&mut self, place: &Place, op: StrOp, text: String, fold: bool) {
        let same = |group: &&mut Group| group.place == *place && group.op == op && group.fold == fold;
        match self.literals.iter_mut().find(same) {
            Some(group) => group.texts.push(text),
            None => self.literals.push(Group { place: place.clone(), op, fold, texts: vec![text] }),
        }
    }

    fn range(&mut self, place: &Place, range: Cidr) {
        put(&mut self.ranges, place, range);
    }

    fn number(&mut self, place: &Place, number: i64) {
        put(&mut self.numbers, place, number);
    }

    fn into_expr(self, question: &Question, line: u32) -> Expr {
        let name = question.field.as_deref().unwrap_or("any value");
        let mut parts = self.others;
        for Group { place, op, fold, texts } in self.literals {
            for texts in tests_of(texts, op) {
                let text = describe(name, op, &texts);
                let predicate = strings(place.field.clone(), op, texts, fold);
                parts.push(guarded(&place, line, leaf(LeafKind::Predicate(predicate), line, text)));
            }
        }
        for (place, mut values) in self.numbers {
            values.sort_unstable();
            values.dedup();
            let text = format!("{name} is {}", list(values.iter().map(i64::to_string)));
            let kind = LeafKind::OneOf { field: place.field.clone(), values };
            parts.push(guarded(&place, line, leaf(kind, line, text)));
        }
        for (place, mut ranges) in self.ranges {
            ranges.sort_unstable_by_key(|range| (range.address, range.prefix));
            ranges.dedup();
            for ranges in ranges.chunks(VALUES_OF_TEST_MAX) {
                let shown = ranges.iter().map(|range| format!("{}/{}", range.address, range.prefix));
                let text = format!("{name} in {}", list(shown));
                let test = Predicated::Cidr(ranges.to_vec());
                let predicate = Predicate { field: place.field.clone(), scope: Scope::Any, test };
                parts.push(guarded(&place, line, leaf(LeafKind::Predicate(predicate), line, text)));
            }
        }
        one(parts, Expr::Or)
    }
}

/// Puts a value among those of its place.
fn put<T>(groups: &mut Vec<(Place, Vec<T>)>, place: &Place, value: T) {
    match groups.iter_mut().find(|(known, _)| known == place) {
        Some((_, values)) => values.push(value),
        None => groups.push((place.clone(), vec![value])),
    }
}

/// The texts in parts that tests of the engine take.
fn tests_of(texts: Vec<String>, op: StrOp) -> Vec<Vec<String>> {
    let most = if op == StrOp::Regex { REGEXES_OF_TEST_MAX } else { VALUES_OF_TEST_MAX };
    let mut tests: Vec<Vec<String>> = Vec::new();
    let mut len = 0;
    for text in texts {
        len += text.len();
        match tests.last_mut() {
            Some(test) if test.len() < most && len <= VALUES_OF_TEST_LEN_MAX => test.push(text),
            _ => {
                len = text.len();
                tests.push(vec![text]);
            }
        }
    }
    tests
}

/// The comparison of whole numbers of 64 bits that means the same.
fn of_whole_numbers(cmp: Cmp, number: &str) -> (Cmp, i64) {
    if let Ok(number) = number.parse() {
        return (cmp, number);
    }
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let is_negative = number.starts_with('-');
    // The next whole number below it; beyond 64 bits the least or the greatest there is.
    let below = match whole.parse::<i64>() {
        Ok(whole) if is_negative && !fraction.is_empty() => whole.saturating_sub(1),
        Ok(whole) => whole,
        Err(_) if is_negative => {
            return (if matches!(cmp, Cmp::Lt | Cmp::Le) { Cmp::Lt } else { Cmp::Ge }, i64::MIN);
        }
        Err(_) => i64::MAX,
    };
    (if matches!(cmp, Cmp::Lt | Cmp::Le) { Cmp::Le } else { Cmp::Gt }, below)
}

/// Whether the answer of this place is that of the raw value, whatever it is.
fn is_exact(test: &Test, place: &Place, question: &Question, regex: Option<&Regex>) -> bool {
    let is_canonical = |text: &str| text.parse::<i64>().is_ok_and(|number| number.to_string() == text);
    match (test, place.how) {
        (Test::Compare(..), How::Time) => question.part.is_some(),
        (Test::Compare(..), How::Int) => question.part.is_none(),
        (Test::Compare(..) | Test::Cidr(_), How::Text(_)) => true,
        // Paths of the catalogue have lost prefixes with question marks, so who looks for these asks the text.
        (Test::Text(pattern), _) if is_path(place) && pattern.has('?') => false,
        (Test::Regex(text), _) if is_path(place) && text.contains(r"\?") => false,
        (Test::Text(pattern), How::Text(nothing)) => !nothing.iter().any(|text| pattern.matches(text, !question.cased)),
        (Test::Regex(_), How::Text(nothing)) => {
            regex.is_some_and(|regex| !nothing.iter().any(|text| regex.is_match(text)))
        }
        (Test::Null | Test::Exists(_), _) if place.elsewhere => true,
        (Test::Null | Test::Exists(_), How::Text(_)) => is_raw(place),
        (Test::Number(..) | Test::Flag(_), How::Text(_)) => true,
        (Test::Field(..), _) => is_raw(place),
        (Test::Number(..), How::Int) => true,
        (Test::Text(pattern), How::Int) => pattern.as_literal().is_some_and(is_canonical),
        (Test::Flag(_), How::Flag) => true,
        (Test::Text(pattern), How::Flag) => pattern
            .as_literal()
            .is_some_and(|text| text.eq_ignore_ascii_case("true") || text.eq_ignore_ascii_case("false")),
        (Test::Cidr(_), How::Address) => true,
        (Test::Null | Test::Exists(_), How::Int) => place.field.name.starts_with("winlog."),
        _ => false,
    }
}

/// The range of the one address that a text is: what only holds addresses is the same as its text.
fn address(test: &Test) -> Option<Cidr> {
    let Test::Text(pattern) = test else { return None };
    let address: IpAddr = pattern.as_literal()?.parse().ok()?;
    Some(Cidr { address, prefix: if address.is_ipv4() { 32 } else { 128 } })
}

fn is_path(place: &Place) -> bool {
    place.field.ty == FieldType::Scalar(Scalar::Path)
}

/// Whether the place holds any text there may be.
fn is_raw(place: &Place) -> bool {
    matches!(place.how, How::Text([]))
}

/// A regular expression as the engine will compile it, or why not and what to do.
fn compile(pattern: &str) -> Result<Regex, (String, String)> {
    crate::hir::check_regex(pattern)?;
    Regex::new(pattern).map_err(|error| (error.to_string(), String::new()))
}

fn exists(place: &Place, line: u32) -> Leaf {
    let kind = LeafKind::Exists(place.field.clone());
    Leaf { kind, absent: Absent::False, line, text: format!("{} exists", place.field.name) }
}

/// As [`exists`]; of a list of values, that it is not empty: it is for a field that is there and has none.
fn has_value(place: &Place, line: u32) -> Leaf {
    let FieldType::List(_) = place.field.ty else { return exists(place, line) };
    let any = strings(place.field.clone(), StrOp::Like, vec!["*".to_owned()], false);
    Leaf { kind: LeafKind::Predicate(any), ..exists(place, line) }
}

/// The condition, where the field has its meaning only in some events.
fn guarded(place: &Place, line: u32, expr: Expr) -> Expr {
    in_module(place, line, expr, |expr| expr)
}

fn in_module(place: &Place, line: u32, expr: Expr, wrap: impl FnOnce(Expr) -> Expr) -> Expr {
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
fn not_of_windows(line: u32) -> Expr {
    let id = FieldRef { name: "winlog.event_id".to_owned(), ty: FieldType::Scalar(Scalar::Int) };
    Expr::Not(Box::new(leaf(LeafKind::Exists(id), line, "winlog.event_id exists".to_owned())))
}

fn field_test(left: &Place, right: &Place, op: StrOp, question: &Question, line: u32) -> Expr {
    let kind = LeafKind::FieldTest { op, fold: !question.cased, left: left.field.clone(), right: right.field.clone() };
    let text = format!("{} {} {}", left.field.name, word(op), right.field.name);
    guarded(left, line, guarded(right, line, leaf(kind, line, text)))
}

fn one(mut parts: Vec<Expr>, join: fn(Vec<Expr>) -> Expr) -> Expr {
    if parts.len() == 1 { parts.remove(0) } else { join(parts) }
}

/// Ways to choose so many of so many, at most [`usize::MAX`].
fn choices(of: usize, count: usize) -> usize {
    let mut ways: usize = 1;
    for at in 0..count.min(of - count.min(of)) {
        ways = ways.saturating_mul(of - at) / (at + 1);
    }
    ways
}

fn at_least(count: usize, of: &[Expr]) -> Expr {
    match of.split_first() {
        _ if count == 0 => Expr::Const(true),
        _ if count == of.len() => Expr::And(of.to_vec()),
        None => Expr::Const(false),
        Some((first, rest)) => {
            let with = Expr::And(vec![first.clone(), at_least(count - 1, rest)]);
            Expr::Or(vec![with, at_least(count, rest)])
        }
    }
}

fn word(op: StrOp) -> &'static str {
    match op {
        StrOp::Equals => "is",
        StrOp::Contains => "contains",
        StrOp::StartsWith => "starts with",
        StrOp::EndsWith => "ends with",
        StrOp::Like => "is like",
        StrOp::Regex => "fits",
        StrOp::Under => "is under",
    }
}

fn symbol(cmp: Cmp) -> &'static str {
    match cmp {
        Cmp::Eq => "=",
        Cmp::Ne => "≠",
        Cmp::Lt => "<",
        Cmp::Le => "≤",
        Cmp::Gt => ">",
        Cmp::Ge => "≥",
    }
}

fn describe(name: &str, op: StrOp, literals: &[String]) -> String {
    let shown = literals.iter().map(|text| format!("{:?}", text.chars().take(60).collect::<String>()));
    format!("{name} {} {}", word(op), list(shown))
}

/// The first few, and how many there are besides.
fn list(items: impl ExactSizeIterator<Item = String>) -> String {
    let more = items.len().saturating_sub(4);
    let mut text = items.take(4).collect::<Vec<_>>().join(" or ");
    if more > 0 {
        text.push_str(&format!(" or {more} more"));
    }
    text
}
