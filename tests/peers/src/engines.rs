//! The engines: Trapline through its library, from text to bytecode that is proved and run; rsigma and sigma-rust, which
//! judge flat events.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rsigma_eval::event::JsonEvent;
use serde_json::{Map, Value};
use trapline::agent::load::{RuleText, load};
use trapline::agent::worker::{Item, Output, Worker};
use trapline::source::RawEvent;
use trapline_programs::catalogue::catalogue;
use trapline_programs::diagnostic::Source;

/// The others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Peer {
    /// `rsigma-eval`.
    Rsigma,
    /// `sigma-rust`.
    SigmaRust,
}

/// A rule as one of them holds it.
#[derive(Debug)]
pub enum Compiled {
    /// Of `rsigma-eval`.
    Rsigma(Box<rsigma_eval::CompiledRule>),
    /// Of `sigma-rust`.
    SigmaRust(Box<sigma_rust::Rule>),
}

/// A flat event as the others take it.
#[derive(Debug)]
pub struct Given {
    json: Value,
    event: sigma_rust::Event,
}

impl Given {
    /// Of names and values.
    pub fn new(event: &Map<String, Value>) -> Self {
        let json = Value::Object(event.clone());
        Self { event: sigma_rust::Event::try_from(json.clone()).unwrap_or_default(), json }
    }
}

impl Peer {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Rsigma, Self::SigmaRust];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rsigma => "rsigma",
            Self::SigmaRust => "sigma-rust",
        }
    }

    /// The rule of a text, or why not.
    pub fn compile(self, text: &str) -> Result<Compiled, String> {
        match self {
            Self::Rsigma => {
                let parsed = rsigma_parser::parse_sigma_yaml(text).map_err(|error| error.to_string())?;
                let Some(rule) = parsed.rules.first() else {
                    return Err(parsed.errors.first().map_or_else(|| "no rule".to_owned(), |error| error.to_string()));
                };
                rsigma_eval::compile_rule(rule)
                    .map(|rule| Compiled::Rsigma(Box::new(rule)))
                    .map_err(|error| error.to_string())
            }
            Self::SigmaRust => sigma_rust::rule_from_yaml(text)
                .map(|rule| Compiled::SigmaRust(Box::new(rule)))
                .map_err(|error| error.to_string()),
        }
    }
}

impl Compiled {
    /// Whether the rule matches.
    pub fn matches(&self, event: &Given) -> bool {
        match self {
            Self::Rsigma(rule) => rsigma_eval::evaluate_rule(rule, &JsonEvent::borrow(&event.json)).is_some(),
            Self::SigmaRust(rule) => rule.is_match(&event.event),
        }
    }
}

/// Trapline with a set of rules.
pub struct Trapline {
    worker: Worker,
    /// By file, why its rule does not run.
    pub refused: BTreeMap<String, String>,
}

/// What Trapline says of one raw event.
#[derive(Debug, Default)]
pub struct Said {
    /// Rules that matched, by id and record.
    pub matched: BTreeSet<(String, u64)>,
    /// Rules that could not tell.
    pub unsure: BTreeSet<String>,
    /// What must not happen: traps, and events that cannot be judged.
    pub bugs: Vec<String>,
}

impl Trapline {
    /// Compiles, links and proves rules, given by the names of their files and their texts.
    pub fn new(rules: impl IntoIterator<Item = (String, String)>) -> Result<Self, String> {
        let text = |(name, text)| RuleText { source: Source::new(name, text), ruleset: "peers".to_owned() };
        let texts: Vec<RuleText> = rules.into_iter().map(text).collect();
        let loaded = load(&texts, catalogue()).map_err(|error| error.to_string())?;
        let mut refused = BTreeMap::new();
        for rule in loaded.refused {
            refused.insert(rule.file, format!("{}: {}", rule.code, rule.reason));
        }
        let worker = Worker::new(Arc::new(loaded.ruleset)).map_err(|error| error.to_string())?;
        Ok(Self { worker, refused })
    }

    /// How many rules run.
    pub fn rule_count(&self) -> usize {
        self.worker.ruleset().rules.len()
    }

    /// Judges a raw event.
    pub fn take(&mut self, raw: RawEvent) -> Said {
        let before = self.worker.counts().not_evaluable();
        let mut said = Said::default();
        self.worker.take(Item::Raw(raw), &mut |output| match output {
            Output::Alert(alert) => {
                said.matched.insert((alert.rule.id.clone(), alert.origin.record));
            }
            Output::Refused(_) => {}
            Output::Trap(report) => said.bugs.push(report.to_string()),
            Output::Failed(reason) => said.bugs.push(reason),
        });
        let after = self.worker.counts().not_evaluable();
        said.unsure = after.into_iter().filter(|(id, count)| before.get(id) != Some(count)).map(|(id, _)| id).collect();
        said
    }
}
