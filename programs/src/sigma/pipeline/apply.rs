//! A rule on its way through the steps.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::super::document::{Body, Filter, Item, Located, LogSource, Search, SigmaRule, read_search};
use super::super::modifier::{self, Test};
use super::super::yaml::{Entry, Kind, Node};
use super::condition::{self, OfRule, has_spellings};
use super::value::Unchangeable;
use super::{Change, ITEMS_MAX, MADE_LEN_MAX, Pipeline, Step, Which, count};
use crate::diagnostic::{Diagnostic, Source, Span};

/// What the steps so far have left for those behind them.
#[derive(Debug, Default)]
pub(super) struct State {
    /// By `set_state`.
    pub(super) set: BTreeMap<String, Kind>,
    /// Ids of the steps that were for this rule.
    pub(super) applied: BTreeSet<String>,
}

/// Why a rule is refused.
type Refusal = Box<Diagnostic>;

/// What a step does to an item of this source, after what others have left.
type OfItem<'o> = &'o mut dyn FnMut(Item, &Arc<Source>, &State) -> Result<Outcome, Refusal>;
/// Other names of a field, if there are any for it in this item; None: of no field.
type OfName<'o> = &'o dyn Fn(Option<&str>, &Item) -> Option<Vec<String>>;

/// What becomes of an item.
enum Outcome {
    One(Item),
    Any(Vec<Item>),
    All(Vec<Item>),
    Gone,
}

/// One rule, the filters that narrow it, and the steps.
pub(super) struct Run<'r, 'f> {
    pipelines: &'r [Pipeline],
    source: &'r Arc<Source>,
    rule: &'r mut SigmaRule,
    filters: &'r mut [(&'f Arc<Source>, Cow<'f, Filter>)],
    state: State,
    /// By pipeline, whether it changed anything.
    used: Vec<bool>,
}

/// A step, and the pipeline it is of.
#[derive(Clone, Copy)]
struct At<'p> {
    pipeline: &'p Pipeline,
    step: &'p Step,
}

impl At<'_> {
    fn span(self) -> Span {
        Span { source: self.pipeline.source.clone(), range: self.step.range.clone() }
    }

    /// A refusal of a rule, at this place of it, by this step.
    fn refuse(self, at: Span, message: impl Into<String>) -> Refusal {
        Box::new(
            Diagnostic::error("sigma-pipeline-refuses", message, at, "of this rule").label(self.span(), "by this step"),
        )
    }
}

impl<'r, 'f> Run<'r, 'f> {
    pub(super) fn new(
        pipelines: &'r [Pipeline],
        source: &'r Arc<Source>,
        rule: &'r mut SigmaRule,
        filters: &'r mut [(&'f Arc<Source>, Cow<'f, Filter>)],
    ) -> Self {
        let used = vec![false; pipelines.len()];
        Self { pipelines, source, rule, filters, state: State::default(), used }
    }

    /// Runs all steps and says which pipelines changed anything.
    pub(super) fn run(&mut self) -> Result<Vec<bool>, Refusal> {
        for (number, pipeline) in self.pipelines.iter().enumerate() {
            for step in &pipeline.steps {
                let at = At { pipeline, step };
                if !self.is_for(&step.rule) {
                    continue;
                }
                if self.step(at)?
                    && let Some(used) = self.used.get_mut(number)
                {
                    *used = true;
                }
                self.state.applied.extend(step.id.clone());
            }
        }
        Ok(std::mem::take(&mut self.used))
    }

    fn is_for(&self, conditions: &super::Conditions<OfRule>) -> bool {
        let own = self.rule.searches.iter();
        let all = own.chain(self.filters.iter().flat_map(|(_, filter)| &filter.searches));
        let bodies: Vec<&Body> = all.map(|search| &search.body).collect();
        conditions.hold(&|condition| condition.holds(self.rule, &bodies, &self.state))
    }

    fn head(&self) -> Span {
        Span { source: self.source.clone(), range: self.rule.header.head.clone() }
    }

    /// Whether the step changed anything.
    fn step(&mut self, at: At<'_>) -> Result<bool, Refusal> {
        match &at.step.change {
            Change::Names(mapping) => self.names(at, &|name| {
                let name = name.unwrap_or_default();
                mapping.iter().find(|(known, _)| known == name).map(|(_, to)| to.clone())
            }),
            Change::Prefixes(mapping) => self.names(at, &|name| {
                let name = name?;
                let (rest, to) =
                    mapping.iter().find_map(|(prefix, to)| Some((name.strip_prefix(prefix.as_str())?, to)))?;
                Some(to.iter().map(|prefix| format!("{prefix}{rest}")).collect())
            }),
            Change::Around(before, behind) => {
                self.names(at, &|name| name.map(|name| vec![format!("{before}{name}{behind}")]))
            }
            Change::DropItem => self.items(at, &mut |_, _, _| Ok(Outcome::Gone)),
            Change::ItemFailure(message) => self.items(at, &mut |item, source, _| {
                Err(at.refuse(Span { source: source.clone(), range: item.range }, message.clone()))
            }),
            Change::Values(change) => self.values(at, change),
            Change::Placeholders { any, which } => self.placeholders(at, *any, which),
            Change::AddCondition { name, conditions, template, negated } => {
                self.add_condition(at, name.as_deref(), conditions, *template, *negated)
            }
            Change::LogSource { category, product, service } => {
                let known = &mut self.rule.logsource;
                *known = LogSource {
                    category: category.clone(),
                    product: product.clone(),
                    service: service.clone(),
                    source: Some(at.pipeline.source.clone()),
                    range: at.step.range.clone(),
                    definition: std::mem::take(&mut known.definition),
                };
                Ok(true)
            }
            Change::State(key, value) => {
                self.state.set.insert(key.clone(), value.clone());
                Ok(true)
            }
            Change::Attribute(key, value) => {
                let attributes = &mut self.rule.header.attributes;
                attributes.retain(|entry| entry.key != *key);
                attributes.push(Entry { key: key.clone(), key_range: at.step.range.clone(), value: value.clone() });
                Ok(true)
            }
            Change::RuleFailure(message) => Err(at.refuse(self.head(), message.clone())),
        }
    }

    /// Changes the items that the step is for, and marks them.
    fn items(&mut self, at: At<'_>, change: OfItem<'_>) -> Result<bool, Refusal> {
        let (source, state) = (self.source, &self.state);
        let own = self.rule.searches.iter_mut().map(|search| (source, search));
        let filters = self.filters.iter_mut();
        let all = own.chain(
            filters.flat_map(|(source, filter)| filter.to_mut().searches.iter_mut().map(|search| (*source, search))),
        );
        let mut changed = false;
        let mut items = 0;
        for (source, search) in all {
            let source = search.source.clone().unwrap_or_else(|| source.clone());
            let body = std::mem::replace(&mut search.body, Body::All(Vec::new()));
            let mut of_item = |item: Item| {
                if !is_for_item(at.step, &item, state) {
                    return Ok(Outcome::One(item));
                }
                changed = true;
                change(item, &source, state)
            };
            search.body = rewrite(body, &mut of_item)?.unwrap_or(Body::All(Vec::new()));
            items += count(&search.body);
            if items > ITEMS_MAX {
                let span = Span { source: source.clone(), range: search.range.clone() };
                let message = format!("the pipelines make more than {ITEMS_MAX} items of this rule");
                let told = Diagnostic::error("sigma-too-large", message, span, "here");
                return Err(Box::new(told.label(at.span(), "by this step")));
            }
        }
        Ok(changed)
    }

    /// Gives names others: of items, and of the fields that `fieldref` names.
    fn names(&mut self, at: At<'_>, map: &dyn Fn(Option<&str>) -> Option<Vec<String>>) -> Result<bool, Refusal> {
        let mut changed = false;
        self.items(at, &mut |mut item, source, state| {
            let is_for = |name: Option<&str>, item: &Item| {
                at.step.name.hold(&|condition: &condition::OfName| condition.holds(name, item, state))
            };
            let of = |name: Option<&str>, item: &Item| map(name).filter(|_| is_for(name, item));
            let mapped = map_references(&mut item, &of);
            let Some(names) = of(item.field.as_deref(), &item) else {
                changed |= mapped;
                return Ok(Outcome::One(if mapped { marked(item, at) } else { item }));
            };
            changed = true;
            if names.len() > ITEMS_MAX || names.iter().any(|name| name.len() > MADE_LEN_MAX) {
                let span = Span { source: source.clone(), range: item.range.clone() };
                return Err(too_long(at, span, "the name of a field"));
            }
            if item.field.is_none() && !item.is_bound() {
                // What is looked for anywhere in the event is looked for anywhere in the field.
                let mut question = item.question().map_err(|mistake| Box::new(mistake.told(source)))?;
                for (test, _) in &mut question.tests {
                    if let Test::Text(pattern) = test {
                        *pattern = std::mem::take(pattern).open(true, true);
                    }
                }
                item.touched.question = Some(Box::new(question));
            }
            let is_negated = item.modifiers.iter().any(|modifier| modifier.text.eq_ignore_ascii_case("neq"));
            let item = marked(item, at);
            let mut items = names.into_iter().map(|name| Item { field: Some(name), ..item.clone() });
            Ok(match (items.next(), items.len()) {
                (Some(item), 0) => Outcome::One(item),
                // Not any of them.
                (first, _) if is_negated => Outcome::All(first.into_iter().chain(items).collect()),
                (first, _) => Outcome::Any(first.into_iter().chain(items).collect()),
            })
        })?;
        Ok(changed)
    }

    fn values(&mut self, at: At<'_>, change: &super::value::Change) -> Result<bool, Refusal> {
        let mut changed = false;
        self.items(at, &mut |mut item, source, _| {
            let mut question = item.question().map_err(|mistake| Box::new(mistake.told(source)))?;
            let mut tests = Vec::with_capacity(question.tests.len());
            let mut own = false;
            for (test, range) in std::mem::take(&mut question.tests) {
                let made = if has_spellings(&item) { Ok(None) } else { change.apply(&test) };
                match made {
                    Ok(None) => tests.push((test, range)),
                    Ok(Some(made)) => {
                        own = true;
                        tests.extend(made.into_iter().map(|test| (test, range.clone())));
                    }
                    Err(why) => {
                        let span = Span { source: source.clone(), range };
                        return Err(match why {
                            Unchangeable::TooLong => too_long(at, span, "a value"),
                            Unchangeable::Other(why) => at.refuse(span, why),
                        });
                    }
                }
                if tests.len() > modifier::VALUES_MAX {
                    let span = Span { source: source.clone(), range: item.range.clone() };
                    let message = format!("the item has more than {} values", modifier::VALUES_MAX);
                    let told = Diagnostic::error("sigma-too-large", message, span, "here");
                    return Err(Box::new(told.label(at.span(), "by this step")));
                }
            }
            if !own {
                return Ok(Outcome::One(item));
            }
            changed = true;
            question.tests = tests;
            item.touched.question = Some(Box::new(question));
            Ok(Outcome::One(marked(item, at)))
        })?;
        Ok(changed)
    }

    /// Gives placeholders values. Those that have none yet are left to the steps behind.
    fn placeholders(&mut self, at: At<'_>, any: bool, which: &Which) -> Result<bool, Refusal> {
        let pipelines = self.pipelines;
        let mut changed = false;
        let mut given_by = BTreeSet::new();
        self.items(at, &mut |mut item, _, _| {
            let is = |name: &str| item.modifiers.iter().any(|modifier| modifier.text.eq_ignore_ascii_case(name));
            if !is("expand") || item.touched.question.is_some() {
                return Ok(Outcome::One(item));
            }
            let run = if is("re") { ".*" } else { "*" };
            let mut found = Vec::new();
            for name in item.values.iter().filter_map(Node::text).flat_map(modifier::placeholder_names) {
                if item.touched.placeholders.contains_key(name) || !which.has(name) {
                    continue;
                }
                // Of several pipelines, the last one says.
                let given = pipelines
                    .iter()
                    .enumerate()
                    .rev()
                    .find_map(|(number, pipeline)| pipeline.vars.get(name).map(|values| (number, values.clone())));
                match given {
                    _ if any => found.push((name.to_owned(), vec![run.to_owned()])),
                    Some((number, values)) => {
                        given_by.insert(number);
                        found.push((name.to_owned(), values));
                    }
                    None => {}
                }
            }
            if found.is_empty() {
                return Ok(Outcome::One(item));
            }
            changed = true;
            item.touched.placeholders.extend(found);
            Ok(Outcome::One(marked(item, at)))
        })?;
        for number in given_by {
            if let Some(used) = self.used.get_mut(number) {
                *used = true;
            }
        }
        Ok(changed)
    }

    fn add_condition(
        &mut self,
        at: At<'_>,
        name: Option<&str>,
        conditions: &Node,
        template: bool,
        negated: bool,
    ) -> Result<bool, Refusal> {
        let name = match name {
            Some(name) => name.to_owned(),
            // Hidden from `them`, and no name that somebody would give.
            None => format!("_pipeline_{}", self.rule.added.len() + 1),
        };
        if self.rule.searches.iter().any(|search| search.name == name) {
            return Err(at.refuse(self.head(), format!("the rule has a search `{name}` already")));
        }
        let mut conditions = conditions.clone();
        if template {
            self.fill(&mut conditions).map_err(|why| at.refuse(self.head(), why))?;
        }
        let mut told = Vec::new();
        let source = &at.pipeline.source;
        let Some(body) = read_search(source, &conditions, &name, &mut told) else {
            let first = told.into_iter().next().map(Box::new);
            return Err(first.unwrap_or_else(|| at.refuse(self.head(), "the conditions cannot be read")));
        };
        let mut marked_body = rewrite(body, &mut |item| Ok(Outcome::One(marked(item, at))))?;
        let body = marked_body.take().unwrap_or(Body::All(Vec::new()));
        let range = at.step.range.clone();
        self.rule.searches.push(Search { name: name.clone(), range, body, source: Some(source.clone()) });
        self.rule.added.push((name, negated));
        Ok(true)
    }

    /// Fills in `$category`, `$product` and `$service`.
    fn fill(&self, node: &mut Node) -> Result<(), String> {
        match &mut node.kind {
            Kind::Map(entries) => entries.iter_mut().try_for_each(|entry| self.fill(&mut entry.value)),
            Kind::List(items) => items.iter_mut().try_for_each(|item| self.fill(item)),
            Kind::Text(text) => {
                let source = &self.rule.logsource;
                let parts =
                    [("category", &source.category), ("product", &source.product), ("service", &source.service)];
                for (name, part) in parts {
                    for spelling in [format!("${{{name}}}"), format!("${name}")] {
                        if text.contains(&spelling) {
                            let Some(Located { text: part, .. }) = part else {
                                return Err(format!("the log source has no {name}, which `{spelling}` stands for"));
                            };
                            *text = text.replace(&spelling, part);
                        }
                    }
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

fn is_for_item(step: &Step, item: &Item, state: &State) -> bool {
    let references: Vec<&str> = references(item);
    let named = step.name.hold(&|condition: &condition::OfName| {
        condition.holds(item.field.as_deref(), item, state)
            || references.iter().any(|name| condition.holds(Some(name), item, state))
    });
    named && step.item.hold(&|condition| condition.holds(item, state))
}

/// The fields that an item compares with.
fn references(item: &Item) -> Vec<&str> {
    match &item.touched.question {
        Some(question) => {
            let tests = question.tests.iter();
            tests
                .filter_map(|(test, _)| if let Test::Field(_, name) = test { Some(name.as_str()) } else { None })
                .collect()
        }
        None if is_reference(item) => item.values.iter().filter_map(Node::text).map(str::trim).collect(),
        None => Vec::new(),
    }
}

fn is_reference(item: &Item) -> bool {
    item.modifiers.iter().any(|modifier| modifier.text.eq_ignore_ascii_case("fieldref"))
}

/// Gives the fields that an item compares with their other names. Whether there was any.
fn map_references(item: &mut Item, of: OfName<'_>) -> bool {
    let names: Vec<Option<Vec<String>>> =
        references(item).into_iter().map(|name| of(Some(name), item).filter(|to| to.len() <= ITEMS_MAX)).collect();
    if names.iter().all(Option::is_none) {
        return false;
    }
    let mut names = names.into_iter();
    match &mut item.touched.question {
        Some(question) => {
            let tests = std::mem::take(&mut question.tests).into_iter();
            question.tests = tests
                .flat_map(|(test, range)| match test {
                    Test::Field(op, name) => {
                        let to = names.next().flatten().unwrap_or_else(|| vec![name]);
                        to.into_iter().map(|name| (Test::Field(op, name), range.clone())).collect()
                    }
                    test => vec![(test, range)],
                })
                .collect();
        }
        None => {
            let values = std::mem::take(&mut item.values).into_iter();
            item.values = values
                .flat_map(|value| {
                    let to = if value.text().is_some() { names.next().flatten() } else { None };
                    let made = |name| Node { kind: Kind::Text(name), range: value.range.clone() };
                    match to {
                        Some(to) => to.into_iter().map(made).collect(),
                        None => vec![value],
                    }
                })
                .collect();
        }
    }
    true
}

/// An item that a step has changed.
fn marked(mut item: Item, at: At<'_>) -> Item {
    item.touched.ids.extend(at.step.id.clone());
    item.touched.by = Some(at.span());
    item
}

fn too_long(at: At<'_>, span: Span, what: &str) -> Refusal {
    let message = format!("a pipeline makes {what} longer than {MADE_LEN_MAX} bytes of this");
    Box::new(Diagnostic::error("sigma-too-large", message, span, "here").label(at.span(), "by this step"))
}

/// A search with other items. None: nothing is left of it.
fn rewrite(body: Body, change: &mut dyn FnMut(Item) -> Result<Outcome, Refusal>) -> Result<Option<Body>, Refusal> {
    let mut all = |parts: Vec<Body>, flat: bool| -> Result<Vec<Body>, Refusal> {
        let mut kept = Vec::with_capacity(parts.len());
        for part in parts {
            match rewrite(part, change)? {
                // Any of any.
                Some(Body::Any(parts)) if flat => kept.extend(parts),
                part => kept.extend(part),
            }
        }
        Ok(kept)
    };
    Ok(match body {
        Body::One(item) => match change(item)? {
            Outcome::One(item) => Some(Body::One(item)),
            Outcome::Any(items) => Some(Body::Any(items.into_iter().map(Body::One).collect())),
            Outcome::All(items) => Some(Body::All(items.into_iter().map(Body::One).collect())),
            Outcome::Gone => None,
        },
        Body::All(parts) => Some(all(parts, false)?).filter(|parts| !parts.is_empty()).map(Body::All),
        Body::Any(parts) => Some(all(parts, true)?).filter(|parts| !parts.is_empty()).map(Body::Any),
    })
}
