//! An alert: one match of one rule on one event, with all that a person needs to judge it.

use std::sync::Arc;

use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use trapline_programs::catalogue::int_text;
use trapline_programs::hir::{self, Severity, Status};

/// Version of ECS that our field names follow.
pub const ECS_VERSION: &str = "8.17.0";

/// The most characters kept of a value that stands in a message or as evidence; the event has all of it.
pub const SHOWN_CHARS_MAX: usize = 1024;

/// How far a rule is trusted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stage {
    /// It is part of the binary, or replayed: in force.
    #[default]
    Active,
    /// Nobody signed it: it runs because the operator asked for that, and its alerts say so.
    Dev,
}

impl Stage {
    /// As a word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Dev => "dev",
        }
    }
}

/// What an alert says of its rule: the same for all alerts of one program.
#[derive(Clone, Debug)]
pub struct RuleInfo {
    /// The rule's own id; its name if it has none.
    pub id: String,
    /// Name in the source.
    pub name: String,
    /// One line; the name if the rule has no title.
    pub title: String,
    /// Semantic version; may be empty.
    pub version: String,
    /// Where the rule came from: `stock`, or the path it was loaded from.
    pub ruleset: String,
    /// Longer text; may be empty.
    pub description: String,
    /// How bad a match is.
    pub severity: Severity,
    /// Maturity.
    pub status: Status,
    /// ATT&CK technique and tactic ids.
    pub attack: Vec<String>,
    /// Free tags.
    pub tags: Vec<String>,
    /// Links.
    pub references: Vec<String>,
    /// SHA-256 of the text of the rule.
    pub digest: [u8; 32],
    /// How far it is trusted.
    pub stage: Stage,
}

/// One test of the rule that held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// In the words of the rule.
    pub test: String,
    /// The field it looked at.
    pub field: String,
    /// What the field held; None if it held nothing.
    pub value: Option<String>,
}

/// Where the event came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// File, or `-` for standard input.
    pub file: Arc<str>,
    /// EVTX record id, or the line on which the object starts.
    pub record: u64,
}

/// One match.
#[derive(Clone, Debug)]
pub struct Alert {
    /// The rule.
    pub rule: Arc<RuleInfo>,
    /// Digest of the program that matched and of the event's source, sequence number and time: the same on every replay.
    pub id: String,
    /// SHA-256 of the program.
    pub program_digest: [u8; 32],
    /// SHA-256 of the catalogue.
    pub catalogue_digest: [u8; 32],
    /// Event time, nanoseconds since 1970.
    pub time_ns: i64,
    /// The rule's message about this event.
    pub message: String,
    /// Number of the generation of rules that judged the event.
    pub generation: u64,
    /// Why the rule matched.
    pub evidence: Vec<Evidence>,
    /// Where the event came from.
    pub origin: Origin,
    /// The whole event as nested ECS.
    pub event: Value,
}

/// A severity as a word.
pub fn severity_name(severity: Severity) -> &'static str {
    match severity {
        Severity::Informational => "informational",
        Severity::Low => "low",
        Severity::Medium => "medium",
        Severity::High => "high",
        Severity::Critical => "critical",
    }
}

/// A status as a word.
pub fn status_name(status: Status) -> &'static str {
    match status {
        Status::Experimental => "experimental",
        Status::Test => "test",
        Status::Stable => "stable",
        Status::Deprecated => "deprecated",
        Status::Unsupported => "unsupported",
    }
}

/// A severity as `event.severity`, on the scale from 0 to 100 that Elastic's risk scores use.
pub fn severity_number(severity: Severity) -> u8 {
    match severity {
        Severity::Informational => 1,
        Severity::Low => 21,
        Severity::Medium => 47,
        Severity::High => 73,
        Severity::Critical => 99,
    }
}

/// An event time as RFC 3339 in UTC, as short as its precision allows.
pub fn rfc3339(time_ns: i64) -> String {
    match jiff::Timestamp::from_nanosecond(i128::from(time_ns)) {
        Ok(time) => time.to_string(),
        Err(_) => format!("{time_ns} ns"),
    }
}

/// A digest in hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Alert {
    /// The alert as nested ECS: the whole event, with what the alert adds.
    ///
    /// What an alert replaces of the event is kept below `trapline.source`: its own `message`, `event.id` (as
    /// `event_id`), `event.kind`, `event.severity`, `rule`, `threat`.
    pub fn to_ecs(&self) -> Value {
        let mut rest = match &self.event {
            Value::Object(event) => event.clone(),
            _ => Map::new(),
        };
        let mut source = Map::new();
        source.insert("file".into(), json!(&*self.origin.file));
        source.insert("record".into(), json!(self.origin.record));
        if let Some(message) = rest.remove("message") {
            source.insert("message".into(), message);
        }
        let mut event = Map::new();
        event.insert("kind".into(), json!("alert"));
        event.insert("id".into(), json!(self.id));
        event.insert("severity".into(), json!(severity_number(self.rule.severity)));
        if let Some(Value::Object(own)) = rest.remove("event") {
            for (key, value) in own {
                match key.as_str() {
                    "id" => source.insert("event_id".into(), value),
                    "kind" | "severity" => source.insert(format!("event_{key}"), value),
                    _ => event.insert(key, value),
                };
            }
        }
        // What a reader looks for first comes first.
        let mut root = Map::new();
        root.insert("@timestamp".into(), json!(rfc3339(self.time_ns)));
        root.insert("message".into(), json!(self.message));
        root.insert("event".into(), Value::Object(event));
        root.insert("rule".into(), self.rule.to_ecs());
        if !self.rule.attack.is_empty() {
            root.insert("threat".into(), threat(&self.rule.attack));
        }
        for key in ["@timestamp", "rule", "threat", "ecs", "trapline"] {
            if let Some(value) = rest.remove(key).filter(|_| key != "@timestamp" && key != "ecs") {
                source.insert(key.into(), value);
            }
        }
        root.append(&mut rest);
        root.insert("ecs".into(), json!({ "version": ECS_VERSION }));
        root.insert(
            "trapline".into(),
            json!({
                "title": self.rule.title,
                "severity": severity_name(self.rule.severity),
                "status": status_name(self.rule.status),
                "tags": self.rule.tags,
                "stage": self.rule.stage.name(),
                "generation": self.generation,
                "digests": {
                    "program": hex(&self.program_digest),
                    "catalogue": hex(&self.catalogue_digest),
                    "rule": hex(&self.rule.digest),
                },
                "source": source,
                "evidence": self.evidence.iter().map(|evidence| json!({
                    "test": evidence.test,
                    "field": evidence.field,
                    "value": evidence.value,
                })).collect::<Vec<_>>(),
            }),
        );
        Value::Object(root)
    }
}

impl RuleInfo {
    /// What alerts say of this rule.
    pub fn new(rule: &hir::Rule, ruleset: String) -> Self {
        let or_name = |text: &str| if text.is_empty() { rule.name.clone() } else { text.to_owned() };
        let meta = &rule.meta;
        Self {
            id: or_name(&meta.id),
            name: rule.name.clone(),
            title: or_name(&meta.title),
            version: meta.version.clone(),
            ruleset,
            description: meta.description.clone(),
            severity: meta.severity,
            status: meta.status,
            tags: meta.tags.clone(),
            attack: meta.attack.clone(),
            references: meta.references.clone(),
            digest: rule.digest,
            stage: Stage::Active,
        }
    }

    /// The same, trusted so far.
    #[must_use]
    pub fn at(self, stage: Stage) -> Self {
        Self { stage, ..self }
    }

    fn to_ecs(&self) -> Value {
        let mut rule = Map::new();
        rule.insert("id".into(), json!(self.id));
        rule.insert("name".into(), json!(self.name));
        rule.insert("ruleset".into(), json!(self.ruleset));
        let description = if self.description.is_empty() { &self.title } else { &self.description };
        for (key, value) in [("version", &self.version), ("description", description)] {
            if !value.is_empty() {
                rule.insert(key.into(), json!(value));
            }
        }
        if let Some(reference) = self.references.first() {
            rule.insert("reference".into(), json!(reference));
        }
        Value::Object(rule)
    }
}

/// The id of an alert: a digest of program, source, sequence number and time of the event. The time is in it because a
/// live source counts from 0 again at each start.
pub fn alert_id(program: &[u8; 32], source: &str, sequence: u64, time_ns: i64) -> String {
    let mut hasher = Sha256::new();
    hasher.update(program);
    hasher.update((source.len() as u64).to_le_bytes());
    hasher.update(source);
    hasher.update(sequence.to_le_bytes());
    hasher.update(time_ns.to_le_bytes());
    hex(&hasher.finalize())
}

/// ATT&CK ids as ECS nests them: a sub-technique below its technique.
fn threat(attack: &[String]) -> Value {
    const SITE: &str = "https://attack.mitre.org";
    let mut tactics = Vec::new();
    let mut techniques: Vec<(String, Vec<Value>)> = Vec::new();
    for id in attack {
        if id.starts_with("TA") {
            tactics.push(json!({ "id": id, "reference": format!("{SITE}/tactics/{id}/") }));
            continue;
        }
        let (technique, sub) = match id.split_once('.') {
            Some((technique, sub)) => (technique, Some(sub)),
            None => (id.as_str(), None),
        };
        let at = techniques.iter().position(|(known, _)| known == technique).unwrap_or_else(|| {
            techniques.push((technique.to_owned(), Vec::new()));
            techniques.len() - 1
        });
        if let (Some(sub), Some((_, subs))) = (sub, techniques.get_mut(at)) {
            subs.push(json!({ "id": id, "reference": format!("{SITE}/techniques/{technique}/{sub}/") }));
        }
    }
    let mut threat = Map::new();
    threat.insert("framework".into(), json!("MITRE ATT&CK"));
    if !tactics.is_empty() {
        threat.insert("tactic".into(), Value::Array(tactics));
    }
    let techniques: Vec<Value> = techniques
        .into_iter()
        .map(|(id, subs)| {
            let mut technique = Map::new();
            technique.insert("reference".into(), json!(format!("{SITE}/techniques/{id}/")));
            technique.insert("id".into(), Value::String(id));
            if !subs.is_empty() {
                technique.insert("subtechnique".into(), Value::Array(subs));
            }
            Value::Object(technique)
        })
        .collect();
    if !techniques.is_empty() {
        threat.insert("technique".into(), Value::Array(techniques));
    }
    Value::Object(threat)
}

/// The value at a dotted path of an event, whether it is nested (`{"a": {"b": 1}}`), flat (`{"a.b": 1}`) or a mix.
pub fn value_at<'v>(event: &'v Value, path: &str) -> Option<&'v Value> {
    let map = event.as_object()?;
    if let Some(value) = map.get(path) {
        return Some(value);
    }
    path.match_indices('.').find_map(|(dot, _)| value_at(map.get(&path[..dot])?, &path[dot + 1..]))
}

/// A value of an event as text for a person: scalars as they are, lists with commas, None for nothing.
pub fn value_text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        Value::Array(items) => Some(items.iter().filter_map(value_text).collect::<Vec<_>>().join(", ")),
        Value::Object(_) => Some(value.to_string()),
    }
}

/// The value of a field as [`value_text`], numbers as people write those of this field, cut to [`SHOWN_CHARS_MAX`]
/// characters.
pub fn value_shown(field: &str, value: &Value) -> Option<String> {
    let mut text = match value.as_i64() {
        Some(number) => int_text(field, number),
        None => value_text(value)?,
    };
    if let Some((end, _)) = text.char_indices().nth(SHOWN_CHARS_MAX) {
        text.truncate(end);
        text.push('…');
    }
    Some(text)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// An alert about an event, for the tests of the sinks.
    pub(crate) fn sample(event: Value) -> Alert {
        Alert {
            rule: Arc::new(RuleInfo {
                id: "0a6c0d2e-8f0a-4f0e-9a2b-6d3f6a8f1c01".into(),
                name: "reverse_shell".into(),
                title: "Shell opens a network socket".into(),
                version: "1.2.0".into(),
                ruleset: "stock".into(),
                description: String::new(),
                severity: Severity::High,
                status: Status::Stable,
                tags: Vec::new(),
                attack: vec!["T1059.004".into(), "TA0002".into(), "T1105".into()],
                references: vec!["https://example.org/".into()],
                digest: [3; 32],
                stage: Stage::Active,
            }),
            id: "00ff".into(),
            program_digest: [1; 32],
            catalogue_digest: [2; 32],
            time_ns: 1_700_000_000_123_000_000,
            message: "root ran bash".into(),
            generation: 1,
            evidence: vec![Evidence {
                test: "process.name == \"bash\"".into(),
                field: "process.name".into(),
                value: Some("bash".into()),
            }],
            origin: Origin { file: "events.jsonl".into(), record: 7 },
            event,
        }
    }

    #[test]
    fn an_alert_adds_to_its_event_and_loses_nothing_of_it() {
        let alert = sample(json!({
            "message": "original", "event": { "id": "42", "code": "1", "kind": "event" }, "rule": { "name": "x" }, "process": { "name": "bash" }
        }));
        let ecs = alert.to_ecs();
        assert_eq!(ecs["@timestamp"], "2023-11-14T22:13:20.123Z");
        assert_eq!(ecs["event"], json!({ "kind": "alert", "id": "00ff", "severity": 73, "code": "1" }));
        assert_eq!(ecs["message"], "root ran bash");
        assert_eq!(ecs["trapline"]["source"]["message"], "original");
        assert_eq!(ecs["trapline"]["source"]["event_id"], "42");
        assert_eq!(ecs["trapline"]["source"]["event_kind"], "event");
        assert_eq!(ecs["trapline"]["source"]["rule"]["name"], "x");
        assert_eq!(ecs["rule"]["name"], "reverse_shell");
        assert_eq!(ecs["process"]["name"], "bash");
        assert_eq!(ecs["threat"]["technique"][0]["subtechnique"][0]["id"], "T1059.004");
        assert_eq!(ecs["threat"]["technique"][1]["id"], "T1105");
        assert_eq!(ecs["threat"]["tactic"][0]["id"], "TA0002");
    }

    #[test]
    fn an_alert_has_one_id_per_program_source_and_event() {
        let id = alert_id(&[1; 32], "a", 1, 9);
        assert_eq!(id, alert_id(&[1; 32], "a", 1, 9));
        assert_eq!(id.len(), 64);
        for other in [([2; 32], "a", 1, 9), ([1; 32], "b", 1, 9), ([1; 32], "a", 2, 9), ([1; 32], "a", 1, 8)] {
            assert_ne!(id, alert_id(&other.0, other.1, other.2, other.3));
        }
    }

    #[test]
    fn values_are_found_nested_flat_and_mixed() {
        let event = json!({ "a": { "b": { "c": 1 }, "b.d": 2 }, "a.e": 3 });
        for (path, value) in [("a.b.c", 1), ("a.b.d", 2), ("a.e", 3)] {
            assert_eq!(value_at(&event, path), Some(&json!(value)), "{path}");
        }
        assert_eq!(value_at(&event, "a.b.x"), None);
        assert_eq!(value_at(&event, ""), None);
    }

    #[test]
    fn long_values_are_cut_where_shown() {
        for (len, shown) in [(SHOWN_CHARS_MAX - 1, SHOWN_CHARS_MAX - 1), (SHOWN_CHARS_MAX, SHOWN_CHARS_MAX)] {
            assert_eq!(value_shown("x", &json!("é".repeat(len))).unwrap().chars().count(), shown);
        }
        let cut = value_shown("x", &json!("é".repeat(SHOWN_CHARS_MAX + 1))).unwrap();
        assert_eq!(cut.chars().count(), SHOWN_CHARS_MAX + 1);
        assert!(cut.ends_with('…'));
    }

    #[test]
    fn masks_are_shown_as_authors_write_them() {
        let shown = |field, value| value_shown(field, &value);
        assert_eq!(shown("process.access.granted", json!(0x1f_ffff)).as_deref(), Some("0x1fffff"));
        assert_eq!(shown("process.access.granted", json!(-1)).as_deref(), Some("-1"));
        assert_eq!(shown("process.access.granted", json!("0x10")).as_deref(), Some("0x10"));
        assert_eq!(shown("process.pid", json!(4242)).as_deref(), Some("4242"));
        assert_eq!(shown("not.a.field", json!(1.5)).as_deref(), Some("1.5"));
        assert_eq!(shown("process.access.granted", json!(null)), None);
    }
}
