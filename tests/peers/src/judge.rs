//! What a rule means by the text of the specification, naively: the opinion that the engines are measured against.
//!
//! Written from *Sigma rules specification* and its appendix *Modifiers* (2.1) alone, and shares no code with any of the
//! engines. Where the text leaves something open, the choice is named at its place.

use std::collections::HashMap;
use std::net::IpAddr;

use regex::Regex;
use serde_json::{Map, Value};

use crate::pattern::{Pattern, fold};
use crate::rule::{Leaf, Rule, Search};

/// An event as the judge sees it: all values are text, any of several counts, null is no value.
#[derive(Debug, Default)]
pub struct View(HashMap<String, Vec<Text>>);

#[derive(Debug)]
struct Text {
    raw: String,
    folded: String,
}

impl View {
    /// Of flat names and values.
    pub fn new(event: &Map<String, Value>) -> Self {
        Self(event.iter().map(|(name, value)| (name.clone(), texts(value))).collect())
    }

    /// Whether it is there, be it null.
    fn has(&self, field: Option<&str>) -> bool {
        field.is_none_or(|name| self.0.contains_key(name))
    }

    fn values(&self, field: Option<&str>) -> Vec<&Text> {
        match field {
            Some(name) => self.0.get(name).into_iter().flatten().collect(),
            None => self.0.values().flatten().collect(),
        }
    }
}

fn texts(value: &Value) -> Vec<Text> {
    let raw = match value {
        Value::Null | Value::Object(_) => return Vec::new(),
        Value::Array(list) => return list.iter().flat_map(texts).collect(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let folded = raw.chars().map(fold).collect();
    vec![Text { raw, folded }]
}

/// The texts of a value, in order.
pub fn plain_texts(value: &Value) -> Vec<String> {
    texts(value).into_iter().map(|text| text.raw).collect()
}

/// A rule, understood.
#[derive(Debug)]
pub struct Judge {
    leaves: Vec<Question>,
}

impl Judge {
    /// Understands a rule, or says what of it has no meaning without more than the text.
    pub fn new(rule: &Rule) -> Result<Self, String> {
        Ok(Self { leaves: rule.leaves.iter().map(Question::new).collect::<Result<_, _>>()? })
    }

    /// Whether the rule matches.
    pub fn matches(&self, rule: &Rule, event: &View) -> bool {
        rule.conditions.iter().any(|condition| condition.holds(&rule.searches, &|search| self.search(search, event)))
    }

    fn search(&self, search: &Search, event: &View) -> bool {
        match search {
            Search::All(leaves) => leaves.iter().all(|leaf| self.leaf(*leaf, event)),
            Search::Any(parts) => parts.iter().any(|part| self.search(part, event)),
            Search::Leaf(leaf) => self.leaf(*leaf, event),
        }
    }

    /// What one leaf says.
    pub fn leaf(&self, number: usize, event: &View) -> bool {
        self.leaves.get(number).is_some_and(|question| question.holds(event))
    }
}

/// A leaf, understood.
#[derive(Debug)]
pub struct Question {
    field: Option<String>,
    tests: Vec<Test>,
    all: bool,
    negated: bool,
    cased: bool,
}

#[derive(Debug)]
enum Test {
    Needle(String),
    Pattern(Pattern),
    Regex(Regex),
    Cidr(IpAddr, u8),
    Compare(&'static str, f64),
    /// A part of a date and time as it is written, compared.
    Part(&'static str, &'static str, f64),
    Null,
    Exists(bool),
    /// Open before, open behind, the other field.
    Field(bool, bool, String),
}

impl Question {
    /// Understands a leaf.
    pub fn new(leaf: &Leaf) -> Result<Self, String> {
        let modifiers = leaf.modifiers();
        let has = |name: &str| modifiers.iter().any(|known| known == name);
        let cased = has("cased");
        let mut question = Self {
            field: leaf.field().map(str::to_owned),
            tests: Vec::new(),
            all: has("all"),
            negated: has("neq"),
            cased,
        };
        for value in &leaf.values {
            question.read(value, &modifiers)?;
        }
        Ok(question)
    }

    fn read(&mut self, value: &Value, modifiers: &[String]) -> Result<(), String> {
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Null if modifiers.is_empty() || modifiers == ["neq"] => {
                self.tests.push(Test::Null);
                return Ok(());
            }
            Value::Null | Value::Array(_) | Value::Object(_) => return Err(format!("the value {value}")),
            other => other.to_string(),
        };
        // A keyword occurs anywhere in the log message.
        let bound = ["startswith", "endswith"].iter().any(|name| modifiers.iter().any(|modifier| modifier == name));
        let anywhere = self.field.is_none() && !bound;
        let (mut before, mut behind) = (anywhere, anywhere);
        let mut patterns = vec![Pattern::read(&text)];
        let mut bytes: Option<Vec<u8>> = None;
        let mut flags = String::new();
        let mut regex = false;
        if let Some(part) = PARTS.into_iter().find(|part| modifiers.iter().any(|modifier| modifier == part)) {
            let number = text.parse().map_err(|_| format!("the number {text}"))?;
            self.tests.push(Test::Part(part, order(modifiers).unwrap_or("eq"), number));
            return Ok(());
        }
        for modifier in modifiers {
            let literal = || patterns.first().and_then(Pattern::literal).ok_or("a wildcard that is encoded");
            match modifier.as_str() {
                "all" | "cased" | "neq" => {}
                "contains" => (before, behind) = (true, true),
                "startswith" => behind = true,
                "endswith" => before = true,
                "windash" => patterns = patterns.into_iter().map(Pattern::windash).collect(),
                "wide" | "utf16le" => bytes = Some(literal()?.encode_utf16().flat_map(u16::to_le_bytes).collect()),
                "utf16be" => bytes = Some(literal()?.encode_utf16().flat_map(u16::to_be_bytes).collect()),
                "utf16" => {
                    let text = literal()?;
                    bytes = Some([0xfeff].into_iter().chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect());
                }
                "base64" | "base64offset" => {
                    let bytes = match bytes.take() {
                        Some(bytes) => bytes,
                        None => literal()?.into_bytes(),
                    };
                    let texts = if modifier == "base64" { vec![base64(&bytes)] } else { base64_offsets(&bytes) };
                    patterns = texts
                        .iter()
                        .map(|text| Pattern(text.chars().map(crate::pattern::Token::Char).collect()))
                        .collect();
                }
                "re" => regex = true,
                "i" | "m" | "s" => flags.push_str(modifier),
                "cidr" => {
                    let (address, prefix) = text.split_once('/').unwrap_or((&text, ""));
                    let address: IpAddr = address.parse().map_err(|_| format!("the address {text}"))?;
                    let prefix = prefix.parse().unwrap_or(if address.is_ipv4() { 32 } else { 128 });
                    self.tests.push(Test::Cidr(address, prefix));
                    return Ok(());
                }
                "lt" | "lte" | "gt" | "gte" => {
                    let number = text.parse().map_err(|_| format!("the number {text}"))?;
                    self.tests.push(Test::Compare(order(modifiers).unwrap_or("lt"), number));
                    return Ok(());
                }
                "exists" => {
                    self.tests.push(Test::Exists(text == "true"));
                    return Ok(());
                }
                "fieldref" => {}
                other => return Err(format!("the modifier {other}")),
            }
        }
        if modifiers.iter().any(|modifier| modifier == "fieldref") {
            self.tests.push(Test::Field(before, behind, text));
            return Ok(());
        }
        if regex {
            let text = if flags.contains('m') { text } else { with_pcre_ends(&text) };
            let flags = if flags.is_empty() { flags } else { format!("(?{flags})") };
            let regex = Regex::new(&format!("{flags}{text}")).map_err(|error| error.to_string())?;
            self.tests.push(Test::Regex(regex));
            return Ok(());
        }
        if bytes.is_some() {
            return Err("UTF-16 that is not encoded as text".to_owned());
        }
        for pattern in patterns {
            let pattern = pattern.open(before, behind);
            let pattern = if self.cased { pattern } else { pattern.folded() };
            self.tests.push(match pattern.needle() {
                Some(needle) => Test::Needle(needle),
                None => Test::Pattern(pattern),
            });
        }
        Ok(())
    }

    /// Whether it holds of an event.
    pub fn holds(&self, event: &View) -> bool {
        let values = event.values(self.field.as_deref());
        let mut each = self.tests.iter().map(|test| self.test(test, &values, event));
        let found = if self.all { each.all(|held| held) } else { each.any(|held| held) };
        // `neq`: different from all of the values; of an absent field no value is the same.
        found != self.negated
    }

    fn test(&self, test: &Test, values: &[&Text], event: &View) -> bool {
        let text = |value: &Text| if self.cased { value.raw.clone() } else { value.folded.clone() };
        let any = |holds: &dyn Fn(&Text) -> bool| values.iter().any(|value| holds(value));
        match test {
            Test::Null => values.is_empty(),
            Test::Exists(there) => event.has(self.field.as_deref()) == *there,
            Test::Needle(needle) => {
                any(&|value| if self.cased { value.raw.contains(needle) } else { value.folded.contains(needle) })
            }
            Test::Pattern(pattern) => any(&|value| pattern.fits(&text(value).chars().collect::<Vec<_>>())),
            Test::Regex(regex) => any(&|value| regex.is_match(&value.raw)),
            Test::Cidr(address, prefix) => {
                any(&|value| value.raw.parse().is_ok_and(|other| same_bits(*address, other, *prefix)))
            }
            Test::Compare(order, number) => {
                any(&|value| value.raw.parse::<f64>().is_ok_and(|value| compares(value, order, *number)))
            }
            Test::Part(part, order, number) => {
                any(&|value| time_part(&value.raw, part).is_some_and(|value| compares(value, order, *number)))
            }
            Test::Field(before, behind, other) => {
                let others = event.values(Some(other));
                any(&|value| {
                    others.iter().any(|other| {
                        let literal = Pattern(text(other).chars().map(crate::pattern::Token::Char).collect());
                        literal.open(*before, *behind).fits(&text(value).chars().collect::<Vec<_>>())
                    })
                })
            }
        }
    }
}

/// A regular expression whose `$` also holds before a line break that ends the text, as that of PCRE does: the flavour
/// that the specification names.
pub fn with_pcre_ends(regex: &str) -> String {
    let (mut text, mut escaped, mut in_class) = (String::new(), false, false);
    for char in regex.chars() {
        match char {
            '$' if !escaped && !in_class => text.push_str(r"(?:\n?\z)"),
            other => text.push(other),
        }
        in_class = if escaped { in_class } else { char == '[' || in_class && char != ']' };
        escaped = char == '\\' && !escaped;
    }
    text
}

/// Parts of a time, but for `week`.
const PARTS: [&str; 5] = ["minute", "hour", "day", "month", "year"];

/// How the modifiers compare numbers, if they do.
fn order(modifiers: &[String]) -> Option<&'static str> {
    ["lt", "lte", "gt", "gte"].into_iter().find(|name| modifiers.iter().any(|modifier| modifier == name))
}

fn compares(value: f64, order: &str, number: f64) -> bool {
    match order {
        "lt" => value < number,
        "lte" => value <= number,
        "gt" => value > number,
        "gte" => value >= number,
        _ => value == number,
    }
}

/// A part of `2026-02-03T04:05:06`: *it is not designed to handle timezone or format conversions*.
fn time_part(text: &str, part: &str) -> Option<f64> {
    let is_date = text.len() >= 16 && text.get(4..5) == Some("-") && text.get(13..14) == Some(":");
    let place = match part {
        "year" => 0..4,
        "month" => 5..7,
        "day" => 8..10,
        "hour" => 11..13,
        _ => 14..16,
    };
    text.get(place).filter(|_| is_date)?.parse().ok()
}

fn same_bits(a: IpAddr, b: IpAddr, prefix: u8) -> bool {
    let bits = |address: IpAddr| match address {
        IpAddr::V4(address) => (u128::from(u32::from(address)) << 96, 4),
        IpAddr::V6(address) => (u128::from(address), 6),
    };
    let ((a, a_kind), (b, b_kind)) = (bits(a), bits(b));
    a_kind == b_kind && (prefix == 0 || (a ^ b).checked_shr(128 - u32::from(prefix.min(128))).unwrap_or(1) == 0)
}

/// Base 64 of bytes, padded.
pub fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let at = |index: usize| u32::from(chunk.get(index).copied().unwrap_or(0));
        let group = at(0) << 16 | at(1) << 8 | at(2);
        for digit in 0..4 {
            let index = group >> (18 - 6 * digit) & 63;
            let known = digit <= u32::try_from(chunk.len()).unwrap_or(0);
            text.push(if known { char::from(DIGITS[index as usize]) } else { '=' });
        }
    }
    text
}

/// What base 64 of the bytes looks like after zero, one and two others, without the digits that the neighbours change.
pub fn base64_offsets(bytes: &[u8]) -> Vec<String> {
    let shifted = |offset: usize| {
        let all = [vec![0; offset], bytes.to_vec()].concat();
        let text = base64(&all);
        let (first, last) = ([0, 2, 3][offset], all.len() * 8 / 6);
        text.get(first..last.max(first)).unwrap_or_default().to_owned()
    };
    [0, 1, 2].map(shifted).into_iter().filter(|text| !text.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn holds(key: &str, values: Value, event: Value) -> bool {
        let values = values.as_array().cloned().unwrap_or_else(|| vec![values]);
        let event = event.as_object().cloned().unwrap();
        Question::new(&Leaf { key: key.to_owned(), values }).unwrap().holds(&View::new(&event))
    }

    #[test]
    fn absent_null_and_empty() {
        assert!(holds("a", json!(null), json!({})) && holds("a", json!(null), json!({ "a": null })));
        assert!(!holds("a", json!(null), json!({ "a": "" })) && holds("a", json!(""), json!({ "a": "" })));
        assert!(!holds("a", json!(""), json!({})) && !holds("a", json!("*"), json!({})));
        assert!(holds("a|exists", json!(true), json!({ "a": "" })) && holds("a|exists", json!(false), json!({})));
        assert!(holds("a|exists", json!(true), json!({ "a": null })), "only the presence counts");
    }

    #[test]
    fn values_and_modifiers() {
        assert!(holds("a", json!(5), json!({ "a": "5" })) && holds("a", json!("5"), json!({ "a": 5 })));
        assert!(holds("a", json!("TRUE"), json!({ "a": true })));
        assert!(holds("a|endswith", json!(".exe"), json!({ "a": ["x", "y.EXE"] })));
        assert!(holds("a|contains|all", json!(["x", "y"]), json!({ "a": ["x", "y"] })));
        assert!(!holds("a|cased", json!("X"), json!({ "a": "x" })));
        assert!(holds("", json!(["mimi"]), json!({ "a": 1, "b": "a Mimikatz" })));
        assert!(holds("a|cidr", json!("10.0.0.0/8"), json!({ "a": "10.1.2.3" })));
        assert!(!holds("a|cidr", json!("10.0.0.0/8"), json!({ "a": "::1" })));
        assert!(holds("a|cidr", json!("fe80::/10"), json!({ "a": "fe80::1" })));
        assert!(holds("a|gt", json!(4), json!({ "a": "5" })) && !holds("a|gt", json!(5), json!({ "a": "5" })));
        assert!(holds("a|re|i", json!("^X$"), json!({ "a": "x" })) && !holds("a|re", json!("X"), json!({ "a": "x" })));
        let ends = |text: &str| holds("a|re", json!(r"^x[$]\$$"), json!({ "a": text }));
        assert!(ends("x$$") && ends("x$$\n") && !ends("x$$\n\n"));
        assert!(holds("a|fieldref|endswith", json!("b"), json!({ "a": "xy", "b": "Y" })));
        let time = json!({ "a": "2026-02-03T04:05:06+02:00" });
        assert!(holds("a|hour", json!(4), time.clone()) && holds("a|year|gt", json!(2025), time.clone()));
        assert!(!holds("a|minute", json!(4), time) && !holds("a|hour", json!(4), json!({ "a": "4" })));
        assert!(holds("a|neq", json!("x"), json!({ "a": "y" })) && !holds("a|neq", json!("x"), json!({ "a": "X" })));
    }

    #[test]
    fn encodings() {
        assert_eq!(base64(b"IEX"), "SUVY");
        assert_eq!(base64(b"IE"), "SUU=");
        assert_eq!(base64_offsets(b"IEX"), ["SUVY", "lFW", "JRV"]);
        assert!(holds("a|wide|base64offset|contains", json!("IEX"), json!({ "a": "x AEkARQBYAA" })));
    }
}
