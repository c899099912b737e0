//! Processing pipelines, as pySigma has them: what a site says about rules that it did not write.
//!
//! A pipeline is a YAML document with `transformations`, `vars` or both, and stands among the rules, like a filter. All
//! that are loaded are one list of steps, by priority and then by name, which every rule of Sigma goes through with the
//! filters that narrow it. A step has conditions on the rule, on an item and on the name of a field.
//!
//! ```text
//! Node --read--> Pipeline: Steps, each a Change with Conditions
//! SigmaRule, Filters --apply--> the same, changed: what lowering sees
//! ```
//!
//! Steps see values as modifiers leave them (`contains: x` is `*x*`), and keep their hands off those that a modifier
//! spells in several ways (`windash`, `base64offset`). What concerns the text of queries (`postprocessing`, `finalizers`)
//! has no meaning here, which is said. A part that is not known, or cannot be done, is a mistake of the pipeline, and
//! then no rule of Sigma is compiled: without its pipelines it would be another rule.

mod apply;
mod condition;
mod read;
mod value;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use self::condition::{Conditions, OfItem, OfName, OfRule};
use super::document::{Body, Filter, SigmaRule};
use super::modifier::{self, Question};
use super::yaml::{Kind, Node};
use crate::diagnostic::{Diagnostic, Level, Source, Span};

/// The most steps of all pipelines together.
pub const STEPS_MAX: usize = 4096;
/// The most items that a rule may have after its pipelines.
pub const ITEMS_MAX: usize = 8192;
/// The most bytes of a value, and of the name of a field, that pipelines make.
pub const MADE_LEN_MAX: usize = 8192;

/// A pipeline.
#[derive(Debug)]
pub(super) struct Pipeline {
    source: Arc<Source>,
    range: Range<usize>,
    name: String,
    priority: i64,
    vars: BTreeMap<String, Vec<String>>,
    steps: Vec<Step>,
}

/// A step of a pipeline.
#[derive(Debug)]
struct Step {
    id: Option<String>,
    change: Change,
    rule: Conditions<OfRule>,
    item: Conditions<OfItem>,
    name: Conditions<OfName>,
    /// Its type in the source.
    range: Range<usize>,
}

impl Step {
    /// A step without conditions.
    fn of(change: Change, range: Range<usize>) -> Self {
        let (rule, item, name) = (Conditions::none(), Conditions::none(), Conditions::none());
        Self { id: None, change, rule, item, name, range }
    }
}

/// What a step does.
#[derive(Debug)]
enum Change {
    /// Other names of fields: one each, or any of several. Of no field: the empty name.
    Names(Vec<(String, Vec<String>)>),
    /// Other beginnings of names.
    Prefixes(Vec<(String, Vec<String>)>),
    /// Before and behind each name.
    Around(String, String),
    DropItem,
    Values(value::Change),
    /// Placeholders take the values of `vars`, or any run of characters.
    Placeholders {
        any: bool,
        which: Which,
    },
    /// A search that must hold besides, or must not.
    AddCondition {
        name: Option<String>,
        conditions: Node,
        template: bool,
        negated: bool,
    },
    LogSource {
        category: Option<super::document::Located>,
        product: Option<super::document::Located>,
        service: Option<super::document::Located>,
    },
    State(String, Kind),
    Attribute(String, Node),
    RuleFailure(String),
    ItemFailure(String),
}

/// Which placeholders.
#[derive(Debug)]
enum Which {
    All,
    Only(Vec<String>),
    AllBut(Vec<String>),
}

impl Which {
    fn has(&self, name: &str) -> bool {
        let among = |names: &[String]| names.iter().any(|known| known == name);
        match self {
            Self::All => true,
            Self::Only(names) => among(names),
            Self::AllBut(names) => !among(names),
        }
    }
}

/// What pipelines made of an item.
#[derive(Clone, Debug, Default)]
pub(crate) struct Touched {
    /// Values of placeholders.
    placeholders: BTreeMap<String, Vec<String>>,
    /// What it asks, once a step has changed that.
    pub(super) question: Option<Box<Question>>,
    /// The steps that changed it, by id.
    ids: BTreeSet<String>,
    /// The last of them.
    pub(super) by: Option<Span>,
}

impl modifier::Placeholders for Touched {
    fn values(&self, name: &str) -> Option<&[String]> {
        self.placeholders.get(name).map(Vec::as_slice)
    }
}

/// Whether a document is a pipeline: it has what no rule has.
pub(super) fn is_pipeline(node: &Node) -> bool {
    let has = |key: &str| node.get(key).is_some();
    let parts = ["transformations", "vars", "postprocessing", "finalizers"];
    parts.into_iter().any(has) && !["detection", "correlation", "filter"].into_iter().any(has)
}

/// All pipelines at hand.
#[derive(Debug, Default)]
pub(super) struct Pipelines {
    list: Vec<Pipeline>,
    broken: Vec<Span>,
}

impl Pipelines {
    /// Reads one more.
    pub(super) fn add(&mut self, source: &Arc<Source>, node: &Node, diagnostics: &mut Vec<Diagnostic>) {
        let before = diagnostics.len();
        match read::pipeline(source, node, diagnostics) {
            Some(pipeline) => {
                let steps: usize = self.list.iter().map(|known| known.steps.len()).sum();
                if steps + pipeline.steps.len() > STEPS_MAX {
                    let span = Span { source: source.clone(), range: super::document::first_key(node) };
                    let message = format!("the pipelines have more than {STEPS_MAX} transformations together");
                    diagnostics.push(Diagnostic::error("sigma-too-large", message, span.clone(), "with this one"));
                    self.broken.push(span);
                    return;
                }
                self.list.push(pipeline);
            }
            None => {
                if let Some(told) = diagnostics.iter().skip(before).find(|told| told.level == Level::Error) {
                    self.lose(told);
                }
            }
        }
    }

    /// There is one more that cannot be read, which was told like this.
    pub(super) fn lose(&mut self, told: &Diagnostic) {
        self.broken.extend(told.labels.first().map(|label| label.span.clone()));
    }

    /// Brings them in order, once all are there.
    pub(super) fn sort(&mut self) {
        self.list.sort_by(|a, b| (a.priority, &a.name).cmp(&(b.priority, &b.name)));
    }

    /// Whether one of them has mistakes, so that no rule can be compiled. Says so, if there are rules.
    pub(super) fn refuse(&self, rules: usize, diagnostics: &mut Vec<Diagnostic>) -> bool {
        let Some(span) = self.broken.first() else { return false };
        if rules > 0 {
            let them = if rules == 1 { "the rule".to_owned() } else { format!("all {rules} rules") };
            let message = format!("{them} of Sigma beside this pipeline cannot be compiled until it is right");
            diagnostics.push(
                Diagnostic::error("sigma-pipeline", message, span.clone(), "it has a mistake")
                    .help("without it they would be other rules; take it away if that is what you want"),
            );
        }
        true
    }

    /// Runs a rule, with the filters that narrow it, through all steps, and returns the texts of the pipelines that changed
    /// it. None: it is refused, which is told.
    pub(super) fn apply<'f>(
        &self,
        source: &Arc<Source>,
        rule: &mut SigmaRule,
        filters: &mut [(&'f Arc<Source>, Cow<'f, Filter>)],
        diagnostics: &mut Vec<Diagnostic>,
    ) -> Option<Vec<&str>> {
        if self.list.is_empty() {
            return Some(Vec::new());
        }
        let mut run = apply::Run::new(&self.list, source, rule, filters);
        match run.run() {
            Ok(used) => {
                let used = self.list.iter().zip(used).filter(|(_, used)| *used);
                Some(used.map(|(pipeline, _)| pipeline.text()).collect())
            }
            Err(refusal) => {
                diagnostics.push(*refusal);
                None
            }
        }
    }
}

impl Pipeline {
    fn text(&self) -> &str {
        self.source.text.get(self.range.clone()).unwrap_or_default()
    }
}

/// The number of items of a search.
fn count(body: &Body) -> usize {
    match body {
        Body::One(_) => 1,
        Body::All(parts) | Body::Any(parts) => parts.iter().map(count).sum(),
    }
}

#[cfg(test)]
mod tests;
