//! Conditions of steps: on the rule, on an item, on the name of a field.

use std::collections::BTreeSet;

use regex_automata::meta::Regex;

use super::super::condition::Condition;
use super::super::document::{Body, Item, LogSource, SigmaRule};
use super::super::modifier::{self, Question, Test};
use super::super::pattern::Pattern;
use super::super::yaml::{Kind, Node};
use super::apply::State;
use crate::hir::{Severity, Status};

/// Conditions of one kind, and how they are joined.
#[derive(Debug)]
pub(super) struct Conditions<C> {
    pub(super) all: Vec<C>,
    pub(super) join: Condition,
    pub(super) negated: bool,
}

impl<C> Conditions<C> {
    /// No conditions.
    pub(super) fn none() -> Self {
        Self { all: Vec::new(), join: Condition::And(Vec::new()), negated: false }
    }

    /// Without conditions, a step is for everything.
    pub(super) fn hold(&self, holds: &dyn Fn(&C) -> bool) -> bool {
        self.all.is_empty() || self.negated != self.joined(&self.join, holds)
    }

    fn joined(&self, join: &Condition, holds: &dyn Fn(&C) -> bool) -> bool {
        match join {
            Condition::Search(index) => self.all.get(*index).is_some_and(holds),
            Condition::AtLeast(count, of) => {
                of.iter().filter(|index| self.all.get(**index).is_some_and(holds)).count() >= *count
            }
            Condition::And(parts) => parts.iter().all(|part| self.joined(part, holds)),
            Condition::Or(parts) => parts.iter().any(|part| self.joined(part, holds)),
            Condition::Not(inside) => !self.joined(inside, holds),
        }
    }
}

/// How two values are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Op {
    Eq,
    Ne,
    Gte,
    Gt,
    Lte,
    Lt,
    In,
    NotIn,
}

impl Op {
    fn holds<T: PartialOrd + ?Sized>(self, left: &T, right: &T) -> bool {
        match self {
            Self::Eq => left == right,
            Self::Ne => left != right,
            Self::Gte => left >= right,
            Self::Gt => left > right,
            Self::Lte => left <= right,
            Self::Lt => left < right,
            Self::In | Self::NotIn => false,
        }
    }
}

/// `processing_state`: what a step set.
#[derive(Debug)]
pub(super) struct OfState {
    pub(super) key: String,
    pub(super) value: Kind,
    pub(super) op: Op,
}

impl OfState {
    fn holds(&self, state: &State) -> bool {
        let Some(known) = state.set.get(&self.key) else { return false };
        match (known, &self.value) {
            (Kind::Text(left), Kind::Text(right)) => self.op.holds(left.as_str(), right.as_str()),
            (left, right) => match (number(left), number(right)) {
                (Some(left), Some(right)) => self.op.holds(&left, &right),
                // What cannot be ordered differs.
                _ => match self.op {
                    Op::Eq => left == right,
                    Op::Ne => left != right,
                    _ => false,
                },
            },
        }
    }
}

fn number(kind: &Kind) -> Option<f64> {
    match kind {
        #[expect(clippy::cast_precision_loss, reason = "as JSON and YAML readers of the field compare numbers")]
        Kind::Int(number, _) => Some(*number as f64),
        Kind::Float(number, _) => Some(*number),
        Kind::Bool(value) => Some(f64::from(u8::from(*value))),
        _ => None,
    }
}

/// A condition on a rule.
#[derive(Debug)]
pub(super) enum OfRule {
    LogSource { category: Option<String>, product: Option<String>, service: Option<String> },
    ContainsField(String),
    ContainsItem(String, Kind),
    IsRule(bool),
    Attribute { name: String, value: Node, op: Op },
    Tag(String),
    Applied(String),
    State(OfState),
}

impl OfRule {
    pub(super) fn holds(&self, rule: &SigmaRule, bodies: &[&Body], state: &State) -> bool {
        match self {
            Self::LogSource { category, product, service } => {
                let LogSource { category: of_category, product: of_product, service: of_service, .. } = &rule.logsource;
                let pairs = [(category, of_category), (product, of_product), (service, of_service)];
                pairs.iter().all(|(wanted, part)| {
                    wanted.as_ref().is_none_or(|wanted| part.as_ref().is_some_and(|part| part.text == *wanted))
                })
            }
            Self::ContainsField(name) => any_item(bodies, &|item| item.field.as_ref() == Some(name)),
            Self::ContainsItem(name, value) => any_item(bodies, &|item| {
                item.field.as_ref() == Some(name) && seen(item).iter().any(|(test, _)| is_value(test, value))
            }),
            Self::IsRule(yes) => *yes,
            Self::Attribute { name, value, op } => attribute(rule, name, value, *op),
            Self::Tag(tag) => rule.header.tags.iter().any(|known| known.eq_ignore_ascii_case(tag)),
            Self::Applied(id) => state.applied.contains(id),
            Self::State(of) => of.holds(state),
        }
    }
}

fn any_item(bodies: &[&Body], is: &dyn Fn(&Item) -> bool) -> bool {
    fn any(body: &Body, is: &dyn Fn(&Item) -> bool) -> bool {
        match body {
            Body::One(item) => is(item),
            Body::All(parts) | Body::Any(parts) => parts.iter().any(|part| any(part, is)),
        }
    }
    bodies.iter().any(|body| any(body, is))
}

/// Levels and statuses in their order, dates by date, other texts as they are, lists by what they hold.
fn attribute(rule: &SigmaRule, name: &str, value: &Node, op: Op) -> bool {
    let wanted = value.text().unwrap_or_default();
    let status = |status: Status| match status {
        Status::Unsupported => 0,
        Status::Deprecated => 1,
        Status::Experimental => 2,
        Status::Test => 3,
        Status::Stable => 4,
    };
    let Some(known) = rule.header.attributes.iter().find(|entry| entry.key == name) else { return false };
    match name {
        "level" => severity(wanted).is_some_and(|wanted| op.holds(&rule.header.level, &wanted)),
        "status" => status_named(wanted).is_some_and(|wanted| op.holds(&status(rule.header.status), &status(wanted))),
        _ => match &known.value.kind {
            Kind::List(items) => {
                let has = items.iter().any(|item| item.text() == Some(wanted));
                match op {
                    Op::In => has,
                    Op::NotIn => !has,
                    Op::Ne => true,
                    _ => false,
                }
            }
            Kind::Map(_) | Kind::Null => false,
            kind => match (number(kind), number(&value.kind)) {
                (Some(known), Some(wanted)) => op.holds(&known, &wanted),
                // Dates are written so that their order is that of the texts.
                _ => op.holds(known.value.text().unwrap_or_default(), wanted),
            },
        },
    }
}

/// A level by its name.
pub(super) fn severity(name: &str) -> Option<Severity> {
    super::super::document::LEVELS.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, level)| *level)
}

/// A status by its name.
pub(super) fn status_named(name: &str) -> Option<Status> {
    super::super::document::STATUSES
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(name))
        .map(|(_, status)| *status)
}

/// Whether any value counts, or only all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Of {
    Any,
    All,
}

/// A condition on an item.
#[derive(Debug)]
pub(super) enum OfItem {
    MatchString { of: Of, pattern: Regex, negated: bool },
    MatchValue(Of, Kind),
    Wildcard(Of),
    IsNull(Of),
    Applied(String),
    State(OfState),
}

impl OfItem {
    pub(super) fn holds(&self, item: &Item, state: &State) -> bool {
        let values = |of: Of, is: &dyn Fn(&Test) -> bool| {
            let seen = seen(item);
            match of {
                Of::Any => seen.iter().any(|(test, _)| is(test)),
                Of::All => seen.iter().all(|(test, _)| is(test)),
            }
        };
        let has_spellings = has_spellings(item);
        match self {
            Self::MatchString { of, pattern, negated } => values(*of, &|test| {
                let fits = matches!(test, Test::Text(text) if !has_spellings && pattern.is_match(&text.plain()));
                fits != *negated
            }),
            Self::MatchValue(of, value) => values(*of, &|test| is_value(test, value)),
            Self::Wildcard(of) => values(*of, &|test| matches!(test, Test::Text(text) if text.has_wildcards())),
            Self::IsNull(of) => values(*of, &|test| *test == Test::Null),
            Self::Applied(id) => item.touched.ids.contains(id),
            Self::State(of) => of.holds(state),
        }
    }
}

/// Whether a modifier spells its values in several ways.
pub(super) fn has_spellings(item: &Item) -> bool {
    let spells = |name: &str| ["windash", "base64offset"].iter().any(|known| name.eq_ignore_ascii_case(known));
    item.modifiers.iter().any(|modifier| spells(&modifier.text))
}

/// The values of an item as modifiers leave them, placeholders that have no values yet as they are written. None of an item
/// with mistakes.
fn seen(item: &Item) -> Vec<(Test, std::ops::Range<usize>)> {
    struct Lenient<'t>(&'t super::Touched, Vec<(String, [String; 1])>);
    impl modifier::Placeholders for Lenient<'_> {
        fn values(&self, name: &str) -> Option<&[String]> {
            let written = || self.1.iter().find(|(known, _)| known == name).map(|(_, written)| written.as_slice());
            self.0.values(name).or_else(written)
        }
    }
    let question: Option<Question> = match &item.touched.question {
        Some(question) => Some(question.as_ref().clone()),
        None => {
            let texts = item.values.iter().filter_map(Node::text);
            let names: BTreeSet<&str> = texts.flat_map(modifier::placeholder_names).collect();
            let written = names.into_iter().map(|name| (name.to_owned(), [format!("%{name}%")])).collect();
            modifier::understand(item, &Lenient(&item.touched, written)).ok()
        }
    };
    question.map_or_else(Vec::new, |question| question.tests)
}

fn is_value(test: &Test, value: &Kind) -> bool {
    match (test, value) {
        (Test::Text(pattern), Kind::Text(text)) => *pattern == Pattern::parse(text),
        (Test::Number(number, _), Kind::Int(value, _)) => *number == value.to_string(),
        (Test::Flag(flag), Kind::Bool(value)) => flag == value,
        (Test::Null, Kind::Null) => true,
        _ => false,
    }
}

/// A condition on the name of a field.
#[derive(Debug)]
pub(super) enum OfName {
    Include(Names),
    Exclude(Names),
    Applied(String),
    State(OfState),
}

/// Names, as they are or as regular expressions that fit their beginning.
#[derive(Debug)]
pub(super) enum Names {
    Plain(Vec<String>),
    Regexes(Vec<Regex>),
}

impl Names {
    fn has(&self, name: Option<&str>) -> bool {
        let Some(name) = name else { return false };
        match self {
            Self::Plain(names) => names.iter().any(|known| known == name),
            Self::Regexes(regexes) => regexes.iter().any(|regex| regex.is_match(name)),
        }
    }
}

impl OfName {
    /// Of the name of a field; None: of no field.
    pub(super) fn holds(&self, name: Option<&str>, item: &Item, state: &State) -> bool {
        match self {
            Self::Include(names) => names.has(name),
            Self::Exclude(names) => !names.has(name),
            Self::Applied(id) => item.touched.ids.contains(id),
            Self::State(of) => of.holds(state),
        }
    }
}
