//! A Sigma rule as its text has it: searches made of leaves, and a condition over them.
//!
//! A *leaf* is one line of a search: a field with modifiers and its values, or a list of keywords. Leaves are numbered
//! in the order of the text, and a rule can be written again with some of them put out of the question: that is how a
//! difference between engines is traced to the lines that cause it.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::condition::{self, Condition};

/// A rule.
#[derive(Clone, Debug)]
pub struct Rule {
    /// `id`, or the title of a rule without.
    pub id: String,
    /// `title`.
    pub title: String,
    /// As written.
    pub text: String,
    /// `product`, `category`, `service`.
    pub source: LogSource,
    /// Searches by name.
    pub searches: BTreeMap<String, Search>,
    /// Any of them.
    pub conditions: Vec<Condition>,
    /// As written.
    condition: Value,
    /// All leaves.
    pub leaves: Vec<Leaf>,
}

/// What a rule is for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogSource {
    /// `windows`, `linux` ...
    pub product: Option<String>,
    /// `process_creation` ...
    pub category: Option<String>,
    /// `security` ...
    pub service: Option<String>,
}

/// What a name in a condition stands for.
#[derive(Clone, Debug)]
pub enum Search {
    /// All of a map.
    All(Vec<usize>),
    /// Any of a list.
    Any(Vec<Search>),
    /// One leaf, by number.
    Leaf(usize),
}

/// One line of a search.
#[derive(Clone, Debug, PartialEq)]
pub struct Leaf {
    /// Field and modifiers as written; of keywords, empty or the modifiers alone.
    pub key: String,
    /// The values.
    pub values: Vec<Value>,
}

impl Leaf {
    /// The field; None for keywords.
    pub fn field(&self) -> Option<&str> {
        self.key.split('|').next().filter(|name| !name.is_empty())
    }

    /// The modifiers, in lower case.
    pub fn modifiers(&self) -> Vec<String> {
        self.key.split('|').skip(1).map(str::to_lowercase).collect()
    }

    /// Whether it has this modifier.
    pub fn has(&self, modifier: &str) -> bool {
        self.key.split('|').skip(1).any(|known| known.eq_ignore_ascii_case(modifier))
    }

    /// The same values asked in another way.
    pub fn with_modifiers(&self, modifiers: &[String]) -> Self {
        let parts = [self.field().unwrap_or_default()].into_iter().chain(modifiers.iter().map(String::as_str));
        Self { key: parts.collect::<Vec<_>>().join("|"), values: self.values.clone() }
    }

    /// A rule that asks only this, as text.
    pub fn alone(&self) -> String {
        let search = match self.key.as_str() {
            "" => json!(self.values),
            key => json!({ key: self.values }),
        };
        text_of(json!({ "search": search, "condition": "search" }))
    }
}

/// A rule of this detection, as text: JSON is YAML.
fn text_of(detection: Value) -> String {
    json!({ "title": "x", "logsource": { "product": "windows" }, "detection": detection }).to_string()
}

/// The field that stands for the answer of a leaf, where it is put out of the question.
pub fn answer_field(leaf: usize) -> String {
    format!("answer_of_leaf_{leaf}")
}

impl Rule {
    /// Reads a file with one rule; None if it is none.
    pub fn read(text: &str) -> Result<Option<Self>, String> {
        let value: Value = serde_norway::from_str(text).map_err(|error| error.to_string())?;
        let Some(detection) = value.get("detection").and_then(Value::as_object) else { return Ok(None) };
        let word = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
        let source = value.get("logsource").cloned().unwrap_or_default();
        let mut leaves = Vec::new();
        let mut searches = BTreeMap::new();
        for (name, search) in detection {
            if name != "condition" && name != "timeframe" {
                searches.insert(name.clone(), Search::read(search, &mut leaves));
            }
        }
        let condition = detection.get("condition").cloned().unwrap_or_default();
        let texts: Vec<&str> = match &condition {
            Value::Array(list) => list.iter().filter_map(Value::as_str).collect(),
            single => single.as_str().into_iter().collect(),
        };
        let conditions = texts.into_iter().map(condition::read).collect::<Result<Vec<_>, _>>()?;
        let title = word(&value, "title").unwrap_or_default();
        let source = LogSource {
            product: word(&source, "product"),
            category: word(&source, "category"),
            service: word(&source, "service"),
        };
        let id = word(&value, "id").unwrap_or_else(|| title.clone());
        Ok(Some(Self { id, title, text: text.to_owned(), source, searches, conditions, condition, leaves }))
    }

    /// The rule with these leaves replaced by a question for their [`answer_field`].
    pub fn without(&self, leaves: &[usize]) -> String {
        self.written(leaves, self.condition.clone())
    }

    /// The rule with its condition written out: no quantifiers, every operation in parentheses.
    pub fn with_plain_condition(&self, leaves: &[usize]) -> String {
        let plain = self.conditions.iter().map(|condition| condition.plain(&self.searches));
        let plain = plain.collect::<Vec<_>>().join(" or ");
        self.written(leaves, json!(plain))
    }

    fn written(&self, replaced: &[usize], condition: Value) -> String {
        let mut detection = Map::new();
        for (name, search) in &self.searches {
            detection.insert(name.clone(), search.written(&self.leaves, replaced));
        }
        detection.insert("condition".to_owned(), condition);
        text_of(Value::Object(detection))
    }
}

impl Search {
    fn read(value: &Value, leaves: &mut Vec<Leaf>) -> Self {
        let mut add = |key: &str, values: Vec<Value>| {
            leaves.push(Leaf { key: key.to_owned(), values });
            leaves.len() - 1
        };
        match value {
            Value::Object(map) => {
                let values = |value: &Value| match value {
                    Value::Array(list) => list.clone(),
                    single => vec![single.clone()],
                };
                Self::All(map.iter().map(|(key, value)| add(key, values(value))).collect())
            }
            Value::Array(list) if list.iter().all(|item| !item.is_object() && !item.is_array()) => {
                Self::Leaf(add("", list.clone()))
            }
            Value::Array(list) => Self::Any(list.iter().map(|item| Self::read(item, leaves)).collect()),
            single => Self::Leaf(add("", vec![single.clone()])),
        }
    }

    fn written(&self, leaves: &[Leaf], replaced: &[usize]) -> Value {
        let one = |number: usize| -> (String, Value) {
            match leaves.get(number) {
                Some(leaf) if !replaced.contains(&number) => (leaf.key.clone(), json!(leaf.values)),
                _ => (answer_field(number), json!("yes")),
            }
        };
        match self {
            Self::All(numbers) => Value::Object(numbers.iter().map(|number| one(*number)).collect()),
            Self::Any(parts) => Value::Array(parts.iter().map(|part| part.written(leaves, replaced)).collect()),
            Self::Leaf(number) => match one(*number) {
                (key, values) if key.is_empty() => values,
                (key, value) => json!({ key: value }),
            },
        }
    }
}
