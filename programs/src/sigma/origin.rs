//! Where an event that no class describes says it comes from.
//!
//! The data are the entries `[[service]]` of `logsource.toml`. An event says it in fields that its forwarder fills: the
//! program, the data set, the module; the first of these that an event has at all decides. An event that says nothing is
//! told by the names of its fields: those that the rule itself asks for, and for rules that name none, those that every
//! event of the source has.

use std::collections::BTreeMap;

use serde::Deserialize;
use trapline_vm::predicate::FieldRef;

use super::document::{Located, LogSource};

/// Fields that hold the program that wrote a line, as forwarders of system logs name it.
const PROGRAM: &[&str] =
    &["process.name", "raw.SYSLOG_IDENTIFIER", "raw.programname", "raw.appname", "raw.ident", "raw.program"];
const DATASET: &str = "event.dataset";
const MODULE: &str = "event.module";

/// What is known of a log source beside its names.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Origin {
    product: Option<String>,
    category: Option<String>,
    service: Option<String>,
    /// Fields that tell it before all others, and their values.
    #[serde(default)]
    told: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    program: Vec<String>,
    #[serde(default)]
    dataset: Vec<String>,
    #[serde(default)]
    module: Vec<String>,
    /// Any of these fields is in each of its events.
    #[serde(default)]
    pub(super) has: Vec<String>,
    /// Classes that its events may be of besides.
    #[serde(default)]
    pub(super) classes: Vec<String>,
    /// An event with any of these fields is of it, whoever reports it.
    #[serde(default)]
    pub(super) known: Vec<String>,
    /// Names of Sigma, and what producers call the same.
    #[serde(default)]
    pub(super) fields: BTreeMap<String, Vec<String>>,
    /// Prefixes that producers put before its names.
    #[serde(default)]
    pub(super) below: Vec<String>,
}

/// What an event says of where it comes from, if it has one of these fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Claim {
    pub(crate) fields: Vec<FieldRef>,
    /// Any of them is one of these,
    pub(crate) equal: Vec<String>,
    /// or begins with one of these.
    pub(crate) begins: Vec<String>,
}

/// The entry that names most parts of a log source, and no others.
pub(super) fn find<'o>(known: &'o [Origin], source: &LogSource) -> Option<&'o Origin> {
    let suits = |part: &Option<String>, of: &Option<Located>| match (part, of) {
        (None, _) => Some(0),
        (Some(part), Some(of)) if of.text == *part => Some(1),
        (Some(_), _) => None,
    };
    let parts = |origin: &Origin| -> Option<usize> {
        let product = suits(&origin.product, &source.product)?;
        Some(product + suits(&origin.category, &source.category)? + suits(&origin.service, &source.service)?)
    };
    known
        .iter()
        .filter_map(|origin| Some((parts(origin)?, origin)))
        .max_by_key(|(parts, _)| *parts)
        .map(|(_, origin)| origin)
}

/// What an event of the source says, best first. Its own names are always among it.
pub(super) fn claims(origin: Option<&Origin>, source: &LogSource, field: &dyn Fn(&String) -> FieldRef) -> Vec<Claim> {
    let claim = |fields: &[&str], values: &[String]| {
        let (begins, equal): (Vec<&String>, Vec<&String>) = values.iter().partition(|value| value.ends_with('*'));
        Claim {
            fields: fields.iter().map(|name| field(&(*name).to_owned())).collect(),
            equal: equal.into_iter().cloned().collect(),
            begins: begins.iter().map(|value| value.trim_end_matches('*').to_owned()).collect(),
        }
    };
    let mut claims = Vec::new();
    if let Some(origin) = origin {
        claims.extend(origin.told.iter().map(|(name, values)| claim(&[name], values)));
        if !origin.program.is_empty() {
            claims.push(claim(PROGRAM, &origin.program));
        }
    }
    let text = |part: &'_ Option<Located>| part.as_ref().map(|part| part.text.clone());
    let (product, service) = (text(&source.product), text(&source.service));
    // A category alone is a name, too; beside a product it is the kind of many.
    let category = text(&source.category).filter(|_| product.is_none());
    let own: Vec<String> = [&product, &category, &service].into_iter().flatten().cloned().collect();
    let of = |given: fn(&Origin) -> &Vec<String>| origin.map_or(&[][..], |origin| given(origin).as_slice());
    let mut datasets = own.clone();
    datasets.extend(own.iter().filter(|_| service.is_none() || own.len() == 1).map(|name| format!("{name}.*")));
    if let (Some(product), Some(service)) = (&product, &service) {
        datasets.push(format!("{product}.{service}"));
    }
    datasets.extend(of(|origin| &origin.dataset).iter().cloned());
    claims.push(claim(&[DATASET], &datasets));
    let modules: Vec<String> = own.iter().chain(of(|origin| &origin.module)).cloned().collect();
    claims.push(claim(&[MODULE], &modules));
    claims
}
