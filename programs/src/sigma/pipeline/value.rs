//! What steps make of values.

use regex_automata::Input;
use regex_automata::meta::Regex;

use super::super::modifier::Test;
use super::super::pattern::Pattern;
use super::MADE_LEN_MAX;

/// A change of values.
#[derive(Debug)]
pub(super) enum Change {
    /// `replace_string`
    Replace {
        regex: Regex,
        replacement: Vec<Part>,
        /// Only in the texts between wildcards.
        between: bool,
        /// And wildcards in what comes of it are wildcards.
        interpret: bool,
    },
    /// `map_string`
    Map(Vec<(String, Vec<String>)>),
    /// `set_value`
    Set(Test),
    /// `convert_type`: to a number, or to text.
    Convert { number: bool },
}

/// A part of a replacement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Text(String),
    Group(usize),
}

/// Why a value cannot be changed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unchangeable {
    TooLong,
    Other(String),
}

impl Change {
    /// What becomes of a value; None: the change is not for it.
    pub(super) fn apply(&self, test: &Test) -> Result<Option<Vec<Test>>, Unchangeable> {
        let one = |pattern: Option<Pattern>| match pattern {
            Some(pattern) => Ok(Some(vec![Test::Text(pattern)])),
            None => Err(Unchangeable::TooLong),
        };
        match (self, test) {
            (Self::Replace { between: true, interpret, .. }, Test::Text(pattern)) => {
                let made = |text: &str| {
                    let text = self.replaced(text)?;
                    Some(if *interpret { Pattern::parse(&text) } else { Pattern::literal(&text) })
                };
                one(pattern.map_texts(&made).filter(|pattern| pattern.plain().len() <= MADE_LEN_MAX))
            }
            (Self::Replace { .. }, Test::Text(pattern)) => {
                one(self.replaced(&pattern.plain()).map(|text| Pattern::parse(&kept(&text))))
            }
            (Self::Replace { .. }, Test::Number(_, text)) => {
                one(self.replaced(text).map(|text| Pattern::parse(&kept(&text))))
            }
            (Self::Map(mapping), Test::Text(pattern)) => {
                let plain = pattern.plain();
                let found = mapping.iter().find(|(from, _)| *from == plain);
                Ok(found.map(|(_, to)| to.iter().map(|text| Test::Text(Pattern::parse(text))).collect()))
            }
            (Self::Set(value), _) => Ok(Some(vec![value.clone()])),
            (Self::Convert { number: false }, Test::Number(_, text)) => {
                Ok(Some(vec![Test::Text(Pattern::literal(text))]))
            }
            (Self::Convert { number: true }, Test::Text(pattern)) => {
                let number = pattern.as_literal().and_then(|text| Some((text.parse::<i64>().ok()?, text.to_owned())));
                match number {
                    Some((number, text)) => Ok(Some(vec![Test::Number(number.to_string(), text)])),
                    None => Err(Unchangeable::Other(format!("`{}` is no whole number", pattern.plain()))),
                }
            }
            _ => Ok(None),
        }
    }

    /// The text with all that the expression fits replaced; None if that is too long.
    fn replaced(&self, text: &str) -> Option<String> {
        let Self::Replace { regex, replacement, .. } = self else { return None };
        let mut captures = regex.create_captures();
        let (mut made, mut from, mut at) = (String::new(), 0, 0);
        while at <= text.len() {
            regex.search_captures(&Input::new(text).range(at..), &mut captures);
            let Some(found) = captures.get_match() else { break };
            made.push_str(text.get(from..found.start())?);
            for part in replacement {
                match part {
                    Part::Text(part) => made.push_str(part),
                    Part::Group(group) => {
                        let group = captures.get_group(*group).and_then(|span| text.get(span.range()));
                        made.push_str(group.unwrap_or_default());
                    }
                }
                if made.len() > MADE_LEN_MAX {
                    return None;
                }
            }
            from = found.end();
            // Behind an empty match the next character is looked at.
            let width = text.get(from..).and_then(|rest| rest.chars().next()).map_or(1, char::len_utf8);
            at = if found.is_empty() { from + width } else { from };
        }
        made.push_str(text.get(from..).unwrap_or_default());
        (made.len() <= MADE_LEN_MAX).then_some(made)
    }
}

/// Backslashes that are not before a wildcard stay what they are when the text is read again.
fn kept(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        kept.push(c);
        if c == '\\' && !chars.peek().is_some_and(|next| matches!(next, '*' | '?')) {
            kept.push('\\');
        }
    }
    kept
}

/// Reads a replacement as Python writes it: `\1`, `\g<1>`, `\g<name>`, `\\`, `\n`.
pub(super) fn replacement(text: &str, regex: &Regex) -> Result<Vec<Part>, String> {
    let mut parts: Vec<Part> = Vec::new();
    let push = |parts: &mut Vec<Part>, c: char| match parts.last_mut() {
        Some(Part::Text(text)) => text.push(c),
        _ => parts.push(Part::Text(c.to_string())),
    };
    let groups = regex.group_info().group_len(regex_automata::PatternID::ZERO);
    let numbered = |digits: &str| match digits.parse::<usize>() {
        Ok(number) if number < groups => Ok(Part::Group(number)),
        _ => Err(format!("the expression has no group {digits}")),
    };
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        rest = rest.get(c.len_utf8()..).unwrap_or_default();
        if c != '\\' {
            push(&mut parts, c);
            continue;
        }
        let next = rest.chars().next();
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        if digits > 0 {
            let (number, behind) = rest.split_at(digits.min(2));
            parts.push(numbered(number)?);
            rest = behind;
        } else if let Some((name, behind)) = rest.strip_prefix("g<").and_then(|rest| rest.split_once('>')) {
            let named = regex.group_info().to_index(regex_automata::PatternID::ZERO, name);
            parts.push(match named {
                Some(number) => Part::Group(number),
                None => numbered(name)?,
            });
            rest = behind;
        } else {
            match next {
                Some('\\') => push(&mut parts, '\\'),
                Some('n') => push(&mut parts, '\n'),
                Some('r') => push(&mut parts, '\r'),
                Some('t') => push(&mut parts, '\t'),
                _ => {
                    return Err(
                        "a backslash in a replacement stands before a number, `g<name>`, `\\`, n, r or t".to_owned()
                    );
                }
            }
            rest = rest.get(1..).unwrap_or_default();
        }
    }
    Ok(parts)
}
