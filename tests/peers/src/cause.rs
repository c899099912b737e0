//! Why an engine answers otherwise than the text of the specification.
//!
//! A difference is first traced to the leaves on which the engine alone errs; with these put out of the question the
//! engine must agree, or the condition itself is tried in a plainer form. For each such leaf, neutral changes are made,
//! of the rule or of the event, that by the specification change nothing: the one after which the engine agrees names the
//! cause. So a cause is a finding that can be repeated, and what no change explains is left *unexplained*, which fails
//! the run.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;

use serde_json::{Map, Value, json};

use crate::engines::{Compiled, Given, Peer};
use crate::event::without_blanks;
use crate::judge::{Judge, Question, View, plain_texts, with_pcre_ends};
use crate::pattern::{Pattern, fold};
use crate::rule::{Leaf, Rule, answer_field};

/// Why engines differ.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// The engine does not take the rule, for this reason.
    Refused(String),
    /// `null` asked of a field that is absent.
    NullOfAbsent,
    /// `null` that is written out in the event, and so is there, without a value.
    NullWritten,
    /// A field with several values.
    SeveralValues,
    /// A number in the rule and text in the event, or the reverse.
    NumberAndText,
    /// A truth value and text.
    TruthAndText,
    /// Dashes that `windash` exchanges.
    Windash,
    /// The value of another field.
    FieldRef,
    /// Backslashes before wildcards and backslashes.
    Escapes,
    /// Wildcards within a value.
    Wildcards,
    /// A line break in the value of the event.
    LineBreaks,
    /// Letters beyond ASCII in another case.
    CaseBeyondAscii,
    /// Keywords that are a part of a value only.
    KeywordsAnywhere,
    /// Keywords that must all occur.
    KeywordsAll,
    /// `exists: false` of a field that is there.
    ExistsAsValue,
    /// `$` before a line break that ends the text.
    EndOfText,
    /// A time with an offset.
    TimeOffset,
    /// `neq` asked of a field that is absent.
    NeqOfAbsent,
    /// Names with blanks.
    BlanksInNames,
    /// The channel is spelled in another case than in the table of log sources.
    ChannelSpelling,
    /// How the searches are joined.
    Condition,
    /// The table of log sources does not have the rule's.
    SourceNotInTable,
    /// Trapline takes an event for another log source than the table does.
    LogSource,
    /// A name of Sysmon's on the audit's process events.
    AuditAlias,
    /// Blanks around a number, a truth value or an address, another way to write one, or a prefix of a path: Trapline
    /// reads what it knows to be one.
    Normalised,
    /// The event lost a value: the rule counts as not evaluable.
    Lost,
    /// Nothing of the above.
    Unexplained(String),
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Refused(reason) => return write!(f, "refused: {reason}"),
            Self::Unexplained(what) => return write!(f, "UNEXPLAINED: {what}"),
            Self::NullOfAbsent => "null of an absent field",
            Self::NullWritten => "null written in the event",
            Self::SeveralValues => "several values",
            Self::NumberAndText => "number and text",
            Self::TruthAndText => "truth value and text",
            Self::Windash => "windash",
            Self::FieldRef => "fieldref",
            Self::Escapes => "escapes",
            Self::Wildcards => "wildcards",
            Self::LineBreaks => "line breaks",
            Self::CaseBeyondAscii => "case beyond ASCII",
            Self::KeywordsAnywhere => "keyword within a value",
            Self::KeywordsAll => "keywords, all",
            Self::ExistsAsValue => "exists: false",
            Self::EndOfText => "end of a text",
            Self::TimeOffset => "offset of a time",
            Self::NeqOfAbsent => "neq of an absent field",
            Self::BlanksInNames => "blanks in names",
            Self::ChannelSpelling => "spelling of the channel",
            Self::Condition => "condition",
            Self::SourceNotInTable => "log source that the table lacks",
            Self::LogSource => "log source",
            Self::AuditAlias => "names of the audit's process events",
            Self::Normalised => "normalised value",
            Self::Lost => "lost value",
        })
    }
}

/// A rule, a judge of it, and an event.
#[derive(Clone, Copy, Debug)]
pub struct Case<'c> {
    /// The rule.
    pub rule: &'c Rule,
    /// What it means.
    pub judge: &'c Judge,
    /// The event as the engines take it.
    pub event: &'c Map<String, Value>,
}

impl Case<'_> {
    /// What the specification says.
    pub fn wanted(&self) -> bool {
        self.judge.matches(self.rule, &view(self.event))
    }

    /// Why this engine says the opposite.
    pub fn causes(&self, peer: Peer, compiled: &Result<Compiled, String>) -> BTreeSet<Cause> {
        if let Err(error) = compiled {
            return BTreeSet::from([Cause::Refused(reason(error))]);
        }
        let wanted = self.wanted();
        let (seen, given) = (view(self.event), Given::new(self.event));
        let mut answered = self.event.clone();
        let mut differing = Vec::new();
        let mut causes = BTreeSet::new();
        for (number, leaf) in self.rule.leaves.iter().enumerate() {
            let right = self.judge.leaf(number, &seen);
            if peer.compile(&leaf.alone()).is_ok_and(|alone| alone.matches(&given) == right) {
                continue;
            }
            causes.extend(of_leaf(peer, leaf, self.event, right));
            differing.push(number);
            answered.insert(answer_field(number), json!(if right { "yes" } else { "no" }));
        }
        let answered = Given::new(&answered);
        let agrees = |text: &str| peer.compile(text).is_ok_and(|rule| rule.matches(&answered) == wanted);
        if !agrees(&self.rule.without(&differing)) {
            causes.insert(if agrees(&self.rule.with_plain_condition(&differing)) {
                Cause::Condition
            } else {
                Cause::Unexplained("its searches do not explain it".to_owned())
            });
        }
        causes
    }
}

fn view(event: &Map<String, Value>) -> View {
    View::new(&without_blanks(event))
}

/// The first line of what an engine says, without the values of the rule.
fn reason(error: &str) -> String {
    let line = error.lines().next().unwrap_or_default();
    line.split(" at line").next().unwrap_or_default().trim().to_owned()
}

/// Changes a leaf or an event, so that by the specification nothing changes; several where one of them must do.
type Change = fn(&Leaf, &Map<String, Value>) -> Vec<(Leaf, Map<String, Value>)>;

const CHANGES: &[(Cause, Change)] = &[
    (Cause::BlanksInNames, |leaf, event| vec![(leaf.clone(), without_blanks(event))]),
    (Cause::NullOfAbsent, write_null),
    (Cause::NullWritten, |leaf, event| vec![(leaf.clone(), without_nulls(event))]),
    (Cause::NullWritten, null_as_empty),
    (Cause::SeveralValues, one_value),
    (Cause::NumberAndText, |leaf, event| vec![as_text(leaf, event, Value::is_number)]),
    (Cause::NumberAndText, |leaf, event| {
        let number =
            |value: &Value| value.as_str().and_then(|text| text.parse::<i64>().ok()).map(|number| json!(number));
        let with = |value: &Value| number(value).unwrap_or_else(|| value.clone());
        vec![(leaf.clone(), event.iter().map(|(name, value)| (name.clone(), with(value))).collect())]
    }),
    (Cause::TruthAndText, |leaf, event| vec![as_text(leaf, event, Value::is_boolean)]),
    (Cause::Windash, |leaf, event| {
        if !leaf.has("windash") {
            return Vec::new();
        }
        let rest: Vec<String> = leaf.modifiers().into_iter().filter(|name| name != "windash").collect();
        vec![(values_of(&leaf.with_modifiers(&rest), |pattern| pattern.windash().values()), event.clone())]
    }),
    (Cause::FieldRef, other_value),
    (Cause::KeywordsAnywhere, |leaf, event| match leaf.field() {
        None => vec![(values_of(leaf, |pattern| pattern.open(true, true).values()), event.clone())],
        Some(_) => Vec::new(),
    }),
    (Cause::KeywordsAll, all_in_one),
    (Cause::LineBreaks, |leaf, event| vec![(leaf.clone(), each_text(event, |text| text.replace(['\r', '\n'], " ")))]),
    (Cause::CaseBeyondAscii, |leaf, event| {
        let plain = |text: &str| text.chars().map(fold).collect::<String>();
        let mut leaf = leaf.clone();
        leaf.values.iter_mut().for_each(|value| {
            if let Value::String(text) = value {
                *text = plain(text);
            }
        });
        vec![(leaf, each_text(event, plain))]
    }),
    (Cause::Escapes, |leaf, event| match is_pattern(leaf) {
        true => vec![(values_of(leaf, |pattern| pattern.values()), event.clone())],
        false => Vec::new(),
    }),
    (Cause::Wildcards, |leaf, event| vec![(as_regex(leaf), event.clone())]),
    (Cause::ExistsAsValue, |leaf, event| {
        let mut event = event.clone();
        if let Some(value) = leaf.field().filter(|_| leaf.has("exists")).and_then(|field| event.get_mut(field)) {
            *value = json!("\u{1}");
        }
        vec![(leaf.clone(), event)]
    }),
    (Cause::EndOfText, |leaf, event| {
        let mut leaf = leaf.clone();
        for value in leaf.values.iter_mut().filter(|_| leaf.key.contains("|re") && !leaf.key.contains("|m")) {
            if let Value::String(text) = value {
                *text = with_pcre_ends(text);
            }
        }
        vec![(leaf, event.clone())]
    }),
    (Cause::TimeOffset, |leaf, event| {
        let offset = |text: &str| match text.rsplit_once('+').filter(|_| text.contains(':')) {
            Some((time, _)) => format!("{time}Z"),
            None => text.to_owned(),
        };
        vec![(leaf.clone(), each_text(event, offset))]
    }),
    (Cause::NeqOfAbsent, |leaf, event| {
        let mut event = event.clone();
        if let Some(field) = leaf.field().filter(|_| leaf.has("neq")) {
            event.entry(field).or_insert_with(|| json!("\u{1}"));
        }
        vec![(leaf.clone(), event)]
    }),
];

/// Why an engine errs on a leaf.
fn of_leaf(peer: Peer, leaf: &Leaf, event: &Map<String, Value>, right: bool) -> Vec<Cause> {
    let agrees = |leaf: &Leaf, event: &Map<String, Value>| {
        Question::new(leaf).is_ok_and(|question| question.holds(&view(event)) == right)
            && peer.compile(&leaf.alone()).is_ok_and(|rule| rule.matches(&Given::new(event)) == right)
    };
    let changed = |leaf: &Leaf, event: &Map<String, Value>, change: &Change| {
        let mut changed = change(leaf, event);
        changed.retain(|(new_leaf, new_event)| new_leaf != leaf || new_event != event);
        changed
    };
    for (cause, change) in CHANGES {
        if changed(leaf, event, change).iter().any(|(leaf, event)| agrees(leaf, event)) {
            return vec![cause.clone()];
        }
    }
    // Two at once.
    for (cause, first) in CHANGES {
        for (leaf, event) in changed(leaf, event, first) {
            for (other, second) in CHANGES {
                if changed(&leaf, &event, second).iter().any(|(leaf, event)| agrees(leaf, event)) {
                    return vec![cause.clone(), other.clone()];
                }
            }
        }
    }
    let value = leaf.field().map_or_else(|| Some(json!(event)), |field| event.get(field).cloned());
    vec![Cause::Unexplained(format!("{} on {leaf:?} of {value:?}, which should be {right}", peer.name()))]
}

fn write_null(leaf: &Leaf, event: &Map<String, Value>) -> Vec<(Leaf, Map<String, Value>)> {
    let mut event = event.clone();
    if let Some(field) = leaf.field()
        && leaf.values.iter().any(Value::is_null)
    {
        event.entry(field).or_insert(Value::Null);
    }
    vec![(leaf.clone(), event)]
}

/// Existence does not ask for the value.
fn null_as_empty(leaf: &Leaf, event: &Map<String, Value>) -> Vec<(Leaf, Map<String, Value>)> {
    let mut event = event.clone();
    if let Some(value) = leaf.field().filter(|_| leaf.has("exists")).and_then(|field| event.get_mut(field))
        && value.is_null()
    {
        *value = json!("");
    }
    vec![(leaf.clone(), event)]
}

/// Without the fields that have no value.
fn without_nulls(event: &Map<String, Value>) -> Map<String, Value> {
    let kept = event.iter().filter(|(_, value)| !value.is_null());
    kept.map(|(name, value)| (name.clone(), value.clone())).collect()
}

fn one_value(leaf: &Leaf, event: &Map<String, Value>) -> Vec<(Leaf, Map<String, Value>)> {
    let Some(field) = leaf.field() else { return Vec::new() };
    let Some(Value::Array(items)) = event.get(field) else { return Vec::new() };
    let with = |item: &Value| {
        let mut event = event.clone();
        event.insert(field.to_owned(), item.clone());
        (leaf.clone(), event)
    };
    let joined = json!(items.iter().flat_map(plain_texts).collect::<Vec<_>>().join(" "));
    items.iter().chain([&joined]).map(with).collect()
}

/// Values of a kind as text, in the leaf and in the event.
fn as_text(leaf: &Leaf, event: &Map<String, Value>, is: fn(&Value) -> bool) -> (Leaf, Map<String, Value>) {
    fn text(value: &Value, is: fn(&Value) -> bool) -> Value {
        match value {
            Value::Array(items) => items.iter().map(|item| text(item, is)).collect(),
            value if is(value) => json!(value.to_string()),
            other => other.clone(),
        }
    }
    let leaf = Leaf { key: leaf.key.clone(), values: leaf.values.iter().map(|value| text(value, is)).collect() };
    (leaf, event.iter().map(|(name, value)| (name.clone(), text(value, is))).collect())
}

fn each_text(event: &Map<String, Value>, change: impl Fn(&str) -> String) -> Map<String, Value> {
    fn changed(value: &Value, change: &dyn Fn(&str) -> String) -> Value {
        match value {
            Value::String(text) => json!(change(text)),
            Value::Array(items) => items.iter().map(|item| changed(item, change)).collect(),
            other => other.clone(),
        }
    }
    event.iter().map(|(name, value)| (name.clone(), changed(value, &change))).collect()
}

/// Numbers, truth values and addresses as Trapline reads them, where a field is known to be one: without blanks around
/// them, hexadecimal numbers as the number they are, addresses in their shortest form, paths without their prefix.
pub fn normalised(event: &Map<String, Value>) -> Map<String, Value> {
    fn read(value: &Value) -> Value {
        match value {
            Value::Array(items) => items.iter().map(read).collect(),
            Value::String(text) => known(text.trim()).unwrap_or_else(|| json!(without_prefix(text))),
            other => other.clone(),
        }
    }
    fn without_prefix(path: &str) -> String {
        let rest = [r"\\?\", r"\??\"].into_iter().find_map(|prefix| path.strip_prefix(prefix));
        match rest {
            Some(rest) if rest.get(1..3) == Some(r":\") => rest.to_owned(),
            Some(rest) if rest.starts_with(r"UNC\") => rest.replacen("UNC", r"\", 1),
            _ => path.to_owned(),
        }
    }
    fn known(text: &str) -> Option<Value> {
        let hexadecimal = text.strip_prefix("0x").and_then(|digits| i64::from_str_radix(digits, 16).ok());
        if let Some(number) = hexadecimal.or_else(|| text.parse().ok()) {
            return Some(json!(number));
        }
        let is_truth = ["true", "false"].iter().any(|word| text.eq_ignore_ascii_case(word));
        let address = text.split('%').next().and_then(|text| text.parse::<IpAddr>().ok());
        let address = address.map(|address| json!(address.to_canonical().to_string()));
        address.or_else(|| (is_truth || text.parse::<f64>().is_ok()).then(|| json!(text)))
    }
    event.iter().map(|(name, value)| (name.clone(), read(value))).collect()
}

/// Whether the values are text with wildcards.
fn is_pattern(leaf: &Leaf) -> bool {
    const NONE: [&str; 8] = ["re", "cidr", "fieldref", "exists", "gt", "gte", "lt", "lte"];
    !NONE.iter().any(|modifier| leaf.has(modifier))
}

fn values_of(leaf: &Leaf, values: impl Fn(Pattern) -> Vec<String>) -> Leaf {
    let written = |value: &Value| match value {
        Value::String(text) => values(Pattern::read(text)).into_iter().map(Value::String).collect(),
        other => vec![other.clone()],
    };
    Leaf { key: leaf.key.clone(), values: leaf.values.iter().flat_map(written).collect() }
}

/// Text with wildcards as a regular expression.
fn as_regex(leaf: &Leaf) -> Leaf {
    let Some(field) = leaf.field().filter(|_| is_pattern(leaf)) else { return leaf.clone() };
    let (before, behind) =
        (leaf.has("contains") || leaf.has("endswith"), leaf.has("contains") || leaf.has("startswith"));
    let flags = if leaf.has("cased") { "(?s)" } else { "(?is)" };
    let windash = leaf.has("windash");
    let regex = |value: &Value| {
        let text = plain_texts(value).concat();
        let pattern = Pattern::read(&text);
        let pattern = if windash { pattern.windash() } else { pattern };
        json!(format!("{flags}{}", pattern.open(before, behind).regex()))
    };
    let kept = ["all", "neq"].into_iter().filter(|modifier| leaf.has(modifier));
    let key = [field, "re"].into_iter().chain(kept).collect::<Vec<_>>().join("|");
    Leaf { key, values: leaf.values.iter().map(regex).collect() }
}

/// The text of the other field in place of its name.
fn other_value(leaf: &Leaf, event: &Map<String, Value>) -> Vec<(Leaf, Map<String, Value>)> {
    if !leaf.has("fieldref") {
        return Vec::new();
    }
    let rest: Vec<String> = leaf.modifiers().into_iter().filter(|name| name != "fieldref").collect();
    let mut written = leaf.with_modifiers(&rest);
    let texts = |value: &Value| {
        let other = value.as_str().and_then(|name| event.get(name)).map(plain_texts).unwrap_or_default();
        if other.is_empty() { vec!["\u{1}".to_owned()] } else { other }
    };
    let literal = |text: String| Pattern(text.chars().map(crate::pattern::Token::Char).collect()).values();
    written.values = leaf.values.iter().flat_map(texts).flat_map(literal).map(Value::String).collect();
    vec![(written, event.clone())]
}

/// Keywords that must all occur, asked of one field with all values.
fn all_in_one(leaf: &Leaf, event: &Map<String, Value>) -> Vec<(Leaf, Map<String, Value>)> {
    if leaf.field().is_some() || !leaf.has("all") {
        return Vec::new();
    }
    let mut event = event.clone();
    let all: Vec<String> = event.values().flat_map(plain_texts).collect();
    event.insert(String::new(), json!(all.join("\n")));
    vec![(Leaf { key: format!("{}|contains", leaf.key), values: leaf.values.clone() }, event)]
}
