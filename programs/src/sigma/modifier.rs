//! Modifiers: what `Field|a|b: values` asks, as tests that no longer know how they were written.
//!
//! Order counts among the modifiers that change a value (`wide|base64offset|contains`); the others may stand anywhere.
//! *Sigma rules specification* 2.1, appendix *Modifiers*. What two modifiers together would mean is not guessed: a chain
//! that the specification gives no meaning is refused.

use std::net::IpAddr;
use std::ops::Range;
use std::sync::Arc;

use trapline_vm::predicate::{Cidr, Cmp, StrOp, TimePart};

use super::document::{Item, Located};
use super::pattern::Pattern;
use super::regex;
use super::yaml::{Kind, Node};
use crate::diagnostic::{Diagnostic, Source, Span};
use crate::lang::suggest::nearest;

/// An item, understood.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Question {
    /// The field's name in Sigma; None: the event as a whole.
    pub(crate) field: Option<String>,
    /// What is asked of its value, and where each stands.
    pub(crate) tests: Vec<(Test, Range<usize>)>,
    /// All of the tests, or any.
    pub(crate) all: bool,
    /// `neq`: the opposite, as `not` of a search would have it; so it is true of a field that is absent.
    pub(crate) negated: bool,
    /// With case.
    pub(crate) cased: bool,
    /// Of the field, which is a time, this part is compared; tests are [`Test::Compare`] then, with whole numbers.
    pub(crate) part: Option<TimePart>,
    /// The item in the source.
    pub(crate) range: Range<usize>,
    /// The step of a pipeline that changed it last.
    pub(crate) by: Option<Span>,
}

/// A test on one value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Test {
    /// Text with wildcards.
    Text(Pattern),
    /// A regular expression in the syntax of the engine, flags included.
    Regex(String),
    /// An address in a range.
    Cidr(Cidr),
    /// A number: its decimal digits, and as it is written.
    Number(String, String),
    /// A number compared, by its decimal digits.
    Compare(Cmp, String),
    /// True or false.
    Flag(bool),
    /// No value.
    Null,
    /// Whether the field is there.
    Exists(bool),
    /// The value of another field.
    Field(StrOp, String),
}

/// What is wrong with an item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mistake {
    pub(crate) code: &'static str,
    pub(crate) range: Range<usize>,
    pub(crate) message: String,
    pub(crate) label: String,
    pub(crate) help: Option<String>,
}

impl Mistake {
    pub(crate) fn new(code: &'static str, range: &Range<usize>, message: impl Into<String>, label: &str) -> Self {
        Self { code, range: range.clone(), message: message.into(), label: label.to_owned(), help: None }
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// As a diagnostic of the source that the item stands in.
    pub(crate) fn told(self, source: &Arc<Source>) -> Diagnostic {
        let span = Span { source: source.clone(), range: self.range };
        let told = Diagnostic::error(self.code, self.message, span, self.label);
        self.help.into_iter().fold(told, Diagnostic::help)
    }
}

impl Item {
    /// Whether its values begin or end where that of the event does.
    pub(crate) fn is_bound(&self) -> bool {
        let names = ["startswith", "endswith"];
        self.modifiers.iter().any(|known| names.iter().any(|name| known.text.eq_ignore_ascii_case(name)))
    }

    /// What it asks; what a pipeline has made of that.
    pub(crate) fn question(&self) -> Result<Question, Mistake> {
        match &self.touched.question {
            Some(question) => {
                let (field, by) = (self.field.clone(), self.touched.by.clone());
                Ok(Question { field, by, ..question.as_ref().clone() })
            }
            None => understand(self, &self.touched),
        }
    }
}

/// Values for the placeholders of `expand`.
pub(crate) trait Placeholders {
    /// The values of a name; None if nobody gave any.
    fn values(&self, name: &str) -> Option<&[String]>;
}

/// The most values of one item, placeholders, dashes and offsets counted with all that they stand for.
pub const VALUES_MAX: usize = 65_536;

const MODIFIERS: &[&str] = &[
    "all",
    "base64",
    "base64offset",
    "cased",
    "cidr",
    "contains",
    "day",
    "endswith",
    "exists",
    "expand",
    "fieldref",
    "gt",
    "gte",
    "hour",
    "i",
    "lt",
    "lte",
    "m",
    "minute",
    "month",
    "neq",
    "re",
    "s",
    "startswith",
    "utf16",
    "utf16be",
    "utf16le",
    "week",
    "wide",
    "windash",
    "year",
];

/// What changes a value, in the order of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    Expand,
    Windash,
    Utf16 { big: bool, mark: bool },
    Base64,
    Base64Offset,
}

/// What kind of test it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Text,
    Regex,
    Cidr,
    Compare(Cmp),
    Exists,
    Field,
}

#[derive(Debug)]
struct Chain {
    changes: Vec<(Change, Range<usize>)>,
    /// Any run before, any run behind.
    ends: Option<(bool, bool)>,
    form: Form,
    flags: String,
    part: Option<TimePart>,
    all: bool,
    cased: bool,
    negated: bool,
}

/// Understands an item.
pub(crate) fn understand(item: &Item, placeholders: &dyn Placeholders) -> Result<Question, Mistake> {
    let chain = Chain::read(item)?;
    let mut tests = Vec::new();
    for node in &item.values {
        chain.tests(node, placeholders, &mut tests)?;
        if tests.len() > VALUES_MAX {
            let message = format!("the item has more than {VALUES_MAX} values");
            return Err(Mistake::new("sigma-too-large", &item.range, message, "here"));
        }
    }
    Ok(Question {
        field: item.field.clone(),
        tests,
        all: chain.all,
        negated: chain.negated,
        cased: chain.cased,
        part: chain.part,
        range: item.range.clone(),
        by: item.touched.by.clone(),
    })
}

impl Chain {
    fn read(item: &Item) -> Result<Self, Mistake> {
        let mut chain = Self {
            changes: Vec::new(),
            ends: None,
            form: Form::Text,
            flags: String::new(),
            part: None,
            all: false,
            cased: false,
            negated: false,
        };
        for (at, modifier) in item.modifiers.iter().enumerate() {
            let name = modifier.text.to_ascii_lowercase();
            let before = item.modifiers.get(..at).unwrap_or_default();
            let again = before.iter().any(|other| other.text.eq_ignore_ascii_case(&name));
            // Encoding twice is another thing than encoding once.
            if again && !name.starts_with("base64") {
                let message = format!("the modifier `{name}` stands here twice");
                return Err(Mistake::new("sigma-modifier", &modifier.range, message, "the second one"));
            }
            chain.add(&name, modifier)?;
        }
        let clash = |message: &str| Err(Mistake::new("sigma-modifier", &item.range, message, "this chain"));
        let plain = chain.changes.is_empty() && chain.ends.is_none();
        match chain.form {
            Form::Regex if !chain.changes.iter().all(|(change, _)| *change == Change::Expand) => {
                return clash("a regular expression cannot be encoded or given other dashes");
            }
            Form::Regex if chain.ends.is_some() => {
                return clash("a regular expression is looked for anywhere already: write `^` or `$` to bind it");
            }
            Form::Cidr | Form::Compare(_) | Form::Exists if !plain && chain.form != Form::Cidr => {
                return clash("modifiers for text do not go with numbers");
            }
            Form::Cidr if chain.ends.is_some() => return clash("modifiers for text do not go with `cidr`"),
            Form::Regex if chain.cased && chain.flags.contains('i') => {
                return clash("`cased` and `i` contradict each other");
            }
            Form::Field if !chain.changes.is_empty() => return clash("the value of another field cannot be changed"),
            _ if chain.part.is_some()
                && !(plain && matches!(chain.form, Form::Text | Form::Compare(_)) && !chain.cased) =>
            {
                return clash("parts of a time are numbers: they go with `lt`, `lte`, `gt`, `gte` and `neq`");
            }
            _ => {}
        }
        Ok(chain)
    }

    fn add(&mut self, name: &str, modifier: &Located) -> Result<(), Mistake> {
        let range = &modifier.range;
        let form = match name {
            "all" | "cased" | "neq" => {
                self.all |= name == "all";
                self.cased |= name == "cased";
                self.negated |= name == "neq";
                return Ok(());
            }
            "contains" | "startswith" | "endswith" => {
                if self.ends.is_some() {
                    let message = format!("`{name}` after another of contains, startswith and endswith");
                    return Err(Mistake::new("sigma-modifier", range, message, "one of them is enough"));
                }
                self.ends = Some((name != "startswith", name != "endswith"));
                return Ok(());
            }
            "i" | "m" | "s" => {
                if self.form != Form::Regex {
                    let message = format!("`{name}` is a flag of regular expressions");
                    return Err(Mistake::new("sigma-modifier", range, message, "without `re` before it")
                        .help(format!("write `|re|{name}`")));
                }
                self.flags.push_str(name);
                return Ok(());
            }
            "expand" | "windash" | "wide" | "utf16le" | "utf16be" | "utf16" | "base64" | "base64offset" => {
                let change = match name {
                    "expand" => Change::Expand,
                    "windash" => Change::Windash,
                    "utf16" => Change::Utf16 { big: false, mark: true },
                    "utf16be" => Change::Utf16 { big: true, mark: false },
                    "base64" => Change::Base64,
                    "base64offset" => Change::Base64Offset,
                    _ => Change::Utf16 { big: false, mark: false },
                };
                if self.ends.is_some() && change != Change::Expand && change != Change::Windash {
                    let message = format!("`{name}` behind a modifier that opens the ends of the value");
                    return Err(Mistake::new("sigma-modifier", range, message, "too late")
                        .help(format!("write it first: `|{name}|contains`")));
                }
                self.changes.push((change, range.clone()));
                return Ok(());
            }
            "minute" | "hour" | "day" | "week" | "month" | "year" => {
                self.part = Some(match name {
                    "minute" => TimePart::Minute,
                    "hour" => TimePart::Hour,
                    "day" => TimePart::Day,
                    "week" => TimePart::Week,
                    "month" => TimePart::Month,
                    _ => TimePart::Year,
                });
                return Ok(());
            }
            "re" => Form::Regex,
            "cidr" => Form::Cidr,
            "lt" => Form::Compare(Cmp::Lt),
            "lte" => Form::Compare(Cmp::Le),
            "gt" => Form::Compare(Cmp::Gt),
            "gte" => Form::Compare(Cmp::Ge),
            "exists" => Form::Exists,
            "fieldref" => Form::Field,
            "" => {
                let mistake = Mistake::new("sigma-modifier", range, "the name of a modifier is missing", "behind `|`");
                return Err(mistake.help("take the `|` away, or write a modifier behind it"));
            }
            _ => {
                let mistake =
                    Mistake::new("sigma-modifier", range, format!("there is no modifier `{name}`"), "unknown");
                return Err(match nearest(name, MODIFIERS.iter().copied()) {
                    Some(near) => mistake.help(format!("did you mean `{near}`?")),
                    None => mistake.help(format!("the modifiers are {}", MODIFIERS.join(", "))),
                });
            }
        };
        if self.form != Form::Text {
            let message = format!("`{name}` together with another kind of test");
            return Err(Mistake::new("sigma-modifier", range, message, "a value is tested in one way"));
        }
        self.form = form;
        Ok(())
    }

    fn tests(
        &self,
        node: &Node,
        placeholders: &dyn Placeholders,
        tests: &mut Vec<(Test, Range<usize>)>,
    ) -> Result<(), Mistake> {
        let mistake = |message: String| Mistake::new("sigma-type", &node.range, message, "this one");
        let put = |tests: &mut Vec<_>, test: Test| tests.push((test, node.range.clone()));
        match (self.form, &node.kind) {
            (Form::Exists, Kind::Bool(there)) => put(tests, Test::Exists(*there)),
            (Form::Exists, _) => {
                let message = format!("`exists` takes true or false, not {}", node.describe());
                return Err(mistake(message).help("write `true` or `false` without quotes; `yes` and `no` are texts"));
            }
            (Form::Compare(_) | Form::Text, _) if self.part.is_some() => {
                let cmp = if let Form::Compare(cmp) = self.form { cmp } else { Cmp::Eq };
                for text in self.expanded(node, placeholders)? {
                    let number = decimal(&node.kind, &text).filter(|number| number.parse::<i64>().is_ok());
                    let message = || format!("parts of a time are whole numbers, not {}", node.describe());
                    put(tests, Test::Compare(cmp, number.ok_or_else(|| mistake(message()))?));
                }
            }
            (Form::Compare(cmp), _) => {
                for text in self.expanded(node, placeholders)? {
                    let message = || format!("only numbers can be compared, not {}", node.describe());
                    put(tests, Test::Compare(cmp, decimal(&node.kind, &text).ok_or_else(|| mistake(message()))?));
                }
            }
            (_, Kind::Null) if self.changes.is_empty() && self.ends.is_none() && self.form == Form::Text => {
                put(tests, Test::Null);
            }
            (_, Kind::Null) => return Err(mistake("these modifiers need a value, and here is none".to_owned())),
            (Form::Field, _) => {
                let op = match self.ends {
                    None => StrOp::Equals,
                    Some((false, _)) => StrOp::StartsWith,
                    Some((_, false)) => StrOp::EndsWith,
                    Some((true, true)) => StrOp::Contains,
                };
                let name = node.text().unwrap_or_default().trim().to_owned();
                if name.is_empty() {
                    return Err(mistake("`fieldref` takes the name of a field".to_owned()));
                }
                put(tests, Test::Field(op, name));
            }
            (Form::Cidr, _) => {
                for text in self.expanded(node, placeholders)? {
                    let Some(range) = cidr(&text) else {
                        return Err(mistake(format!("`{text}` is no address range"))
                            .help("ranges are written like 10.0.0.0/8 or 2001:db8::/32"));
                    };
                    put(tests, Test::Cidr(range));
                }
            }
            (Form::Regex, _) => {
                for text in self.expanded(node, placeholders)? {
                    let regex = regex::of_pcre(&text, &self.flags).map_err(|(message, help)| {
                        Mistake::new("sigma-regex", &node.range, message, "this one").help(help)
                    })?;
                    put(tests, Test::Regex(regex));
                }
            }
            (Form::Text, Kind::Bool(value)) if self.changes.is_empty() && self.ends.is_none() => {
                put(tests, Test::Flag(*value));
            }
            (Form::Text, Kind::Int(_, text) | Kind::Float(_, text))
                if self.changes.is_empty()
                    && self.ends.is_none()
                    && let Some(number) = decimal(&node.kind, text) =>
            {
                put(tests, Test::Number(number, text.clone()));
            }
            (Form::Text, _) => {
                for pattern in self.patterns(node, placeholders)? {
                    let pattern = match self.ends {
                        Some((before, behind)) => pattern.open(before, behind),
                        None => pattern,
                    };
                    put(tests, Test::Text(pattern));
                }
            }
        }
        Ok(())
    }

    /// The texts of a value that is no pattern, placeholders filled in.
    fn expanded(&self, node: &Node, placeholders: &dyn Placeholders) -> Result<Vec<String>, Mistake> {
        let text = node.text().unwrap_or_default().to_owned();
        if self.changes.iter().any(|(change, _)| *change == Change::Expand) {
            return expand(&text, self.form == Form::Text, &node.range, placeholders);
        }
        Ok(vec![text])
    }

    /// The patterns of a value, changed in the order of the modifiers.
    fn patterns(&self, node: &Node, placeholders: &dyn Placeholders) -> Result<Vec<Pattern>, Mistake> {
        let texts = self.expanded(node, placeholders)?;
        let is_encoded = |(change, _): &(Change, Range<usize>)| {
            matches!(change, Change::Utf16 { .. } | Change::Base64 | Change::Base64Offset)
        };
        let dashes = self.changes.iter().position(|(change, _)| *change == Change::Windash);
        let encoding = self.changes.iter().position(is_encoded);
        let Some((_, range)) = encoding.and_then(|at| self.changes.get(at)) else {
            let mut patterns: Vec<Pattern> = texts.iter().map(|text| Pattern::parse(text)).collect();
            if dashes.is_some() {
                patterns = patterns.into_iter().map(Pattern::windash).collect();
            }
            return Ok(patterns);
        };
        if dashes > encoding {
            let message = "what is encoded has no dashes any more";
            return Err(Mistake::new("sigma-modifier", range, message, "write `windash` before it"));
        }
        let mut all = Vec::new();
        for text in texts {
            let pattern = Pattern::parse(&text);
            if pattern.as_literal().is_none() {
                let message = "a value with wildcards cannot be encoded";
                return Err(Mistake::new("sigma-type", &node.range, message, "this one")
                    .help(r"write `\*` and `\?` for the characters themselves"));
            }
            let spelled = if dashes.is_some() { pattern.windash() } else { pattern }.literals();
            if spelled.iter().any(|literal| literal.op == StrOp::Regex) {
                let message = "the value has more spellings of its dashes than are written out to be encoded";
                return Err(Mistake::new("sigma-too-large", &node.range, message, "this one"));
            }
            let mut values: Vec<Vec<u8>> = spelled.into_iter().map(|literal| literal.text.into_bytes()).collect();
            for (change, _) in &self.changes {
                values = values.into_iter().flat_map(|value| change.encode(value)).collect();
            }
            let offset = self.changes.iter().any(|(change, _)| *change == Change::Base64Offset);
            if offset && values.iter().any(Vec::is_empty) {
                let message = "the value is too short: no character of the encoded text depends on it alone";
                return Err(Mistake::new("sigma-type", &node.range, message, "this one"));
            }
            for value in values {
                let Ok(text) = String::from_utf8(value) else {
                    let message = "the encoded value is no text, and fields are text";
                    return Err(Mistake::new(
                        "sigma-modifier",
                        range,
                        message,
                        "needs `base64` or `base64offset` behind it",
                    ));
                };
                all.push(Pattern::literal(&text));
            }
        }
        Ok(all)
    }
}

impl Change {
    fn encode(self, value: Vec<u8>) -> Vec<Vec<u8>> {
        match self {
            Self::Expand | Self::Windash => vec![value],
            Self::Utf16 { big, mark } => {
                let text = String::from_utf8_lossy(&value).into_owned();
                let units = mark.then_some(0xfeff).into_iter().chain(text.encode_utf16());
                vec![units.flat_map(|unit| if big { unit.to_be_bytes() } else { unit.to_le_bytes() }).collect()]
            }
            Self::Base64 => vec![base64(&value).into_bytes()],
            Self::Base64Offset => (0..3).map(|offset| base64_at(&value, offset).into_bytes()).collect(),
        }
    }
}

/// A text with each `%name%` replaced by each of its values. In a text with wildcards, a backslash where one of them begins
/// or ends is itself, whatever comes next.
fn expand(
    text: &str,
    wildcards: bool,
    range: &Range<usize>,
    placeholders: &dyn Placeholders,
) -> Result<Vec<String>, Mistake> {
    let closed = |text: &str| {
        let backslashes = text.len() - text.trim_end_matches('\\').len();
        if wildcards && backslashes % 2 == 1 { format!("{text}\\") } else { text.to_owned() }
    };
    let mut texts = vec![String::new()];
    let mut rest = text;
    while let Some((before, name, behind)) = placeholder(rest) {
        let Some(values) = placeholders.values(name) else {
            let message = format!("the placeholder `%{name}%` has no values");
            return Err(Mistake::new("sigma-placeholder", range, message, "this one").help(format!(
                "give them in a YAML file beside the rules, with the one line `vars: {{{name}: [first, second]}}`"
            )));
        };
        if values.is_empty() {
            let message = format!("the placeholder `%{name}%` stands for no value at all");
            let help = "give it values, or leave out the rule";
            return Err(Mistake::new("sigma-placeholder", range, message, "this one").help(help));
        }
        if texts.len().saturating_mul(values.len()) > VALUES_MAX {
            let message = format!("the placeholders stand for more than {VALUES_MAX} values");
            return Err(Mistake::new("sigma-too-large", range, message, "this one"));
        }
        texts = texts.iter().map(|text| closed(&format!("{text}{}", plain_percents(before)))).collect();
        let values: Vec<String> = values.iter().map(|value| closed(value)).collect();
        texts = texts.iter().flat_map(|text| values.iter().map(move |value| format!("{text}{value}"))).collect();
        rest = behind;
    }
    texts.iter_mut().for_each(|text| text.push_str(&plain_percents(rest)));
    Ok(texts)
}

/// Whether an odd number of backslashes precedes this place.
fn is_escaped(text: &str, at: usize) -> bool {
    let before = text.get(..at).unwrap_or_default();
    (before.len() - before.trim_end_matches('\\').len()) % 2 == 1
}

/// `\%` as the percent character that it stands for.
fn plain_percents(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for (at, c) in text.char_indices() {
        if c == '%' && is_escaped(text, at) {
            plain.pop();
        }
        plain.push(c);
    }
    plain
}

/// The names of the placeholders of a text.
pub(crate) fn placeholder_names(text: &str) -> Vec<&str> {
    let mut names = Vec::new();
    let mut rest = text;
    while let Some((_, name, behind)) = placeholder(rest) {
        names.push(name);
        rest = behind;
    }
    names
}

/// The first `%name%` of a text that is not written `\%name%`: what is before it, its name, what is behind.
fn placeholder(text: &str) -> Option<(&str, &str, &str)> {
    let mut from = 0;
    loop {
        let start = from + text.get(from..)?.find('%')?;
        if is_escaped(text, start) {
            from = start + 1;
            continue;
        }
        let (name, behind) = text.get(start + 1..)?.split_once('%')?;
        if !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.')) {
            return Some((text.get(..start)?, name, behind));
        }
        from = start + 1;
    }
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let word = (0..3).fold(0u32, |word, at| word << 8 | u32::from(chunk.get(at).copied().unwrap_or(0)));
        for digit in 0..4 {
            let value = (word >> (18 - 6 * digit)) as usize & 63;
            let digit = if digit > chunk.len() { b'=' } else { DIGITS.get(value).copied().unwrap_or(b'=') };
            text.push(char::from(digit));
        }
    }
    text
}

/// The digits that a value yields inside of base64 text, where so many bytes precede it in its group of three: only those
/// that depend on the value alone.
fn base64_at(value: &[u8], offset: usize) -> String {
    let mut bytes = vec![b' '; offset];
    bytes.extend(value);
    let text = base64(&bytes);
    let start = [0, 2, 3].get(offset).copied().unwrap_or(0);
    let cut = [0, 3, 2].get(bytes.len() % 3).copied().unwrap_or(0);
    text.get(start..text.len().saturating_sub(cut)).unwrap_or_default().to_owned()
}

/// The digits of a number, or of a text that is one: decimal, and none that change nothing.
fn decimal(kind: &Kind, text: &str) -> Option<String> {
    match kind {
        Kind::Int(number, _) => Some(number.to_string()),
        Kind::Float(number, text) => plain_decimal(text).or_else(|| plain_decimal(&number.to_string())),
        Kind::Text(_) => plain_decimal(text.trim()),
        _ => None,
    }
}

/// `1.5` of `+01.50`. None of what is no number, or has an exponent.
fn plain_decimal(text: &str) -> Option<String> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let is_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !is_digits(whole) || !is_digits(fraction) {
        return None;
    }
    let (whole, fraction) = (whole.trim_start_matches('0'), fraction.trim_end_matches('0'));
    let sign = if text.starts_with('-') && !(whole.is_empty() && fraction.is_empty()) { "-" } else { "" };
    let (whole, dot) = (if whole.is_empty() { "0" } else { whole }, if fraction.is_empty() { "" } else { "." });
    Some(format!("{sign}{whole}{dot}{fraction}"))
}

/// `10.0.0.0/8`, or an address by itself.
fn cidr(text: &str) -> Option<Cidr> {
    let text = text.trim();
    let (address, prefix) = match text.split_once('/') {
        Some((address, prefix)) => (address, Some(prefix.parse::<u8>().ok()?)),
        None => (text, None),
    };
    let address: IpAddr = address.parse().ok()?;
    let whole = if address.is_ipv4() { 32 } else { 128 };
    let net = ipnet::IpNet::new(address, prefix.unwrap_or(whole)).ok()?;
    Some(Cidr { address: net.network(), prefix: net.prefix_len() })
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Site(Vec<String>);

    impl Placeholders for Site {
        fn values(&self, name: &str) -> Option<&[String]> {
            (name == "known").then_some(&self.0)
        }
    }

    fn item(modifiers: &[&str], values: Vec<Kind>) -> Item {
        let located = |text: &&str| Located { text: (*text).to_owned(), range: 0..0 };
        Item {
            field: Some("F".to_owned()),
            modifiers: modifiers.iter().map(located).collect(),
            values: values.into_iter().map(|kind| Node { kind, range: 0..0 }).collect(),
            range: 0..0,
            touched: Default::default(),
        }
    }

    fn text(text: &str) -> Kind {
        Kind::Text(text.to_owned())
    }

    fn tests(modifiers: &[&str], value: Kind) -> Result<Vec<Test>, String> {
        let site = Site(vec!["a".to_owned(), "b*".to_owned()]);
        let question = understand(&item(modifiers, vec![value]), &site).map_err(|mistake| mistake.message)?;
        Ok(question.tests.into_iter().map(|(test, _)| test).collect())
    }

    #[test]
    fn values_at_and_over_their_number() {
        for (count, ok) in [(VALUES_MAX - 1, true), (VALUES_MAX, true), (VALUES_MAX + 1, false)] {
            let values = vec![text("x"); count];
            assert_eq!(understand(&item(&[], values), &Site(Vec::new())).is_ok(), ok, "{count}");
            let site = Site(vec!["x".to_owned(); count]);
            assert_eq!(understand(&item(&["expand"], vec![text("%known%")]), &site).is_ok(), ok, "{count}");
        }
    }

    #[test]
    fn base64_as_it_stands_in_a_text() {
        assert_eq!(base64(b""), "");
        assert_eq!(base64(b"f"), "Zg==");
        assert_eq!(base64(b"fo"), "Zm8=");
        assert_eq!(base64(b"foo"), "Zm9v");
        for value in ["f", "fo", "foo", "foobar", "http://"] {
            for offset in 0..3 {
                for behind in ["", "x", "xy", "xyz"] {
                    let whole = base64(format!("{}{value}{behind}", "q".repeat(offset)).as_bytes());
                    assert!(whole.contains(&base64_at(value.as_bytes(), offset)), "{value} {offset} {behind}");
                }
            }
        }
    }

    #[test]
    fn placeholders_are_filled_in_and_keep_their_wildcards() {
        let patterns =
            |texts: &[&str]| -> Vec<Test> { texts.iter().map(|text| Test::Text(Pattern::parse(text))).collect() };
        assert_eq!(tests(&["expand"], text("x%known%y")).unwrap(), patterns(&["xay", "xb*y"]));
        assert_eq!(tests(&["expand"], text("100% %d")).unwrap(), patterns(&["100% %d"]));
        // A percent character behind a backslash is itself.
        assert_eq!(tests(&["expand"], text(r"\%plain%known%")).unwrap(), patterns(&["%plaina", "%plainb*"]));
        assert_eq!(tests(&["expand"], text(r"\%known%")).unwrap(), patterns(&["%known%"]));
        assert_eq!(tests(&["expand"], text(r"C:\\%known%")).unwrap(), patterns(&[r"C:\a", r"C:\b*"]));
        assert_eq!(tests(&["expand"], text("%other%")).unwrap_err(), "the placeholder `%other%` has no values");
        assert_eq!(tests(&[], text("%known%")).unwrap(), patterns(&["%known%"]));
    }

    #[test]
    fn chains_without_a_meaning_are_refused() {
        let none = "these modifiers need a value, and here is none";
        for (modifiers, value, message) in [
            (&["contians"][..], text("x"), "there is no modifier `contians`"),
            (&["all", "all"], text("x"), "the modifier `all` stands here twice"),
            (&["i"], text("x"), "`i` is a flag of regular expressions"),
            (&["re", "cidr"], text("x"), "`cidr` together with another kind of test"),
            (&["contains", "endswith"], text("x"), "`endswith` after another of contains, startswith and endswith"),
            (&["contains", "base64"], text("x"), "`base64` behind a modifier that opens the ends of the value"),
            (
                &["re", "contains"],
                text("x"),
                "a regular expression is looked for anywhere already: write `^` or `$` to bind it",
            ),
            (&["re", "windash"], text("x"), "a regular expression cannot be encoded or given other dashes"),
            (&["lt", "contains"], Kind::Int(1, "1".to_owned()), "modifiers for text do not go with numbers"),
            (&["wide"], text("é"), "the encoded value is no text, and fields are text"),
            (&["base64"], text("a*"), "a value with wildcards cannot be encoded"),
            (&["base64", "windash"], text("-a"), "what is encoded has no dashes any more"),
            (&["re", "i", "cased"], text("a"), "`cased` and `i` contradict each other"),
            (
                &["base64offset", "contains"],
                text("a"),
                "the value is too short: no character of the encoded text depends on it alone",
            ),
            (&["contains"], Kind::Null, none),
            (&["re"], Kind::Null, none),
            (&["gt"], text("many"), "only numbers can be compared, not a text"),
            (&["exists"], Kind::Null, "`exists` takes true or false, not nothing"),
            (&["cidr"], text("10.0.0.0/33"), "`10.0.0.0/33` is no address range"),
            (
                &["hour", "contains"],
                text("3"),
                "parts of a time are numbers: they go with `lt`, `lte`, `gt`, `gte` and `neq`",
            ),
        ] {
            assert_eq!(tests(modifiers, value), Err(message.to_owned()), "{modifiers:?}");
        }
    }
}
