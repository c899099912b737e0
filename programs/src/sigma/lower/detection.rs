//! Searches and conditions, understood and bounded, before any field is looked up.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::diagnostic::{Diagnostic, Source, Span};
use crate::hir::Expr;
use crate::sigma::condition::{self, Condition};
use crate::sigma::document::{Body, Item, Located, Search};
use crate::sigma::modifier::{self, Question, Test};
use crate::sigma::pattern::Pattern;
use crate::sigma::stream::Wanted;

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

/// Searches and condition, understood.
pub(super) struct Detection<'d> {
    pub(super) searches: Vec<(&'d Search, Part)>,
    pub(super) condition: Condition,
}

/// A search, understood.
pub(super) enum Part {
    One(Box<Question>),
    All(Vec<Part>),
    Any(Vec<Part>),
}

impl<'d> Detection<'d> {
    pub(super) fn read(
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
    pub(super) fn wanted(&self) -> Wanted {
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

pub(super) fn narrowest(sets: impl Iterator<Item = BTreeSet<i64>>) -> Option<BTreeSet<i64>> {
    sets.reduce(|left, right| left.intersection(&right).copied().collect())
}

/// None if one of them is any id.
pub(super) fn union(mut sets: impl Iterator<Item = Option<BTreeSet<i64>>>) -> Option<BTreeSet<i64>> {
    sets.try_fold(BTreeSet::new(), |mut all, ids| {
        all.extend(ids?);
        Some(all)
    })
}

/// The tests of a condition, searches of these weights written out.
pub(super) fn weight(condition: &Condition, weights: &[usize]) -> usize {
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

pub(super) fn event_ids(question: &Question) -> Option<BTreeSet<i64>> {
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
pub(super) fn inside(source: &Source, condition: &Located, range: &std::ops::Range<usize>) -> std::ops::Range<usize> {
    match source.text.get(condition.range.clone()) {
        Some(text) if text == condition.text => condition.range.start + range.start..condition.range.start + range.end,
        _ => condition.range.clone(),
    }
}

pub(super) fn part(source: &Arc<Source>, body: &Body, diagnostics: &mut Vec<Diagnostic>) -> Part {
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
pub(super) fn question(item: &Item) -> Result<Question, modifier::Mistake> {
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
pub(super) fn condition_expr(condition: &Condition, searches: &[Expr]) -> Expr {
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

/// Ways to choose so many of so many, at most [`usize::MAX`].
pub(super) fn choices(of: usize, count: usize) -> usize {
    let mut ways: usize = 1;
    for at in 0..count.min(of - count.min(of)) {
        ways = ways.saturating_mul(of - at) / (at + 1);
    }
    ways
}

pub(super) fn at_least(count: usize, of: &[Expr]) -> Expr {
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
