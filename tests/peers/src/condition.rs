//! Conditions, by *Sigma rules specification*, section *Condition*: `or` binds least, then `and`, `not`, `N of`,
//! parentheses. `them` leaves out names that begin with an underscore.

use std::collections::BTreeMap;

use crate::rule::Search;

/// A condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// A search by name.
    Name(String),
    /// At least so many (None: all) of the searches that fit the pattern.
    Of(Option<usize>, String),
    /// Not.
    Not(Box<Condition>),
    /// All of them.
    And(Vec<Condition>),
    /// Any of them.
    Or(Vec<Condition>),
}

/// Reads a condition.
pub fn read(text: &str) -> Result<Condition, String> {
    let spaced = text.replace('(', " ( ").replace(')', " ) ");
    let mut words = spaced.split_whitespace().peekable();
    let found = any(&mut words)?;
    match words.next() {
        None => Ok(found),
        Some(word) => Err(format!("`{word}` is too much in `{text}`")),
    }
}

type Words<'t> = std::iter::Peekable<std::str::SplitWhitespace<'t>>;

fn any(words: &mut Words<'_>) -> Result<Condition, String> {
    chain(words, "or", all, Condition::Or)
}

fn all(words: &mut Words<'_>) -> Result<Condition, String> {
    chain(words, "and", one, Condition::And)
}

fn chain(
    words: &mut Words<'_>,
    operator: &str,
    inner: fn(&mut Words<'_>) -> Result<Condition, String>,
    join: fn(Vec<Condition>) -> Condition,
) -> Result<Condition, String> {
    let mut parts = vec![inner(words)?];
    while words.next_if(|word| word.eq_ignore_ascii_case(operator)).is_some() {
        parts.push(inner(words)?);
    }
    Ok(if parts.len() == 1 { parts.remove(0) } else { join(parts) })
}

fn one(words: &mut Words<'_>) -> Result<Condition, String> {
    let word = words.next().ok_or("the condition ends too early")?;
    if word.eq_ignore_ascii_case("not") {
        return Ok(Condition::Not(Box::new(one(words)?)));
    }
    if word == "(" {
        let inside = any(words)?;
        return match words.next() {
            Some(")") => Ok(inside),
            _ => Err("a parenthesis is not closed".to_owned()),
        };
    }
    if words.next_if(|next| next.eq_ignore_ascii_case("of")).is_some() {
        let count = match word.to_ascii_lowercase().as_str() {
            "all" => None,
            "any" => Some(1),
            number => Some(number.parse().map_err(|_| format!("`{number} of`"))?),
        };
        let pattern = words.next().ok_or("`of` of what?")?;
        return Ok(Condition::Of(count, pattern.to_owned()));
    }
    Ok(Condition::Name(word.to_owned()))
}

impl Condition {
    /// Whether it holds, by what its searches say.
    pub fn holds(&self, searches: &BTreeMap<String, Search>, answer: &dyn Fn(&Search) -> bool) -> bool {
        match self {
            Self::Name(name) => searches.get(name).is_some_and(answer),
            Self::Not(inside) => !inside.holds(searches, answer),
            Self::And(parts) => parts.iter().all(|part| part.holds(searches, answer)),
            Self::Or(parts) => parts.iter().any(|part| part.holds(searches, answer)),
            Self::Of(count, pattern) => {
                let chosen = chosen(searches, pattern);
                let held = chosen.iter().filter(|name| searches.get(**name).is_some_and(answer)).count();
                held >= count.unwrap_or(chosen.len())
            }
        }
    }

    /// The same with each `of` written out, and everything in parentheses.
    pub fn plain(&self, searches: &BTreeMap<String, Search>) -> String {
        let join = |parts: &[Condition], word: &str| {
            let parts: Vec<String> = parts.iter().map(|part| part.plain(searches)).collect();
            format!("({})", parts.join(word))
        };
        match self {
            Self::Name(name) => name.clone(),
            Self::Not(inside) => format!("(not {})", inside.plain(searches)),
            Self::And(parts) => join(parts, " and "),
            Self::Or(parts) => join(parts, " or "),
            Self::Of(count, pattern) => {
                let chosen = chosen(searches, pattern);
                let ways = ways(&chosen, count.unwrap_or(chosen.len()));
                let ways: Vec<String> = ways.iter().map(|way| format!("({})", way.join(" and "))).collect();
                format!("({})", ways.join(" or "))
            }
        }
    }
}

fn chosen<'s>(searches: &'s BTreeMap<String, Search>, pattern: &str) -> Vec<&'s str> {
    let fits = |name: &str| match pattern {
        "them" => !name.starts_with('_'),
        _ => fits(name, pattern),
    };
    searches.keys().map(String::as_str).filter(|name| fits(name)).collect()
}

/// Whether a name fits a pattern with `*`.
fn fits(name: &str, pattern: &str) -> bool {
    match pattern.split_once('*') {
        None => name == pattern,
        Some((head, rest)) => name
            .strip_prefix(head)
            .is_some_and(|name| (0..=name.len()).any(|at| name.get(at..).is_some_and(|name| fits(name, rest)))),
    }
}

/// All ways to choose so many of the names.
fn ways<'n>(names: &[&'n str], count: usize) -> Vec<Vec<&'n str>> {
    match names.split_first() {
        _ if count == 0 => vec![Vec::new()],
        None => Vec::new(),
        Some((first, rest)) => {
            let with = ways(rest, count - 1).into_iter().map(|mut way| {
                way.insert(0, *first);
                way
            });
            with.chain(ways(rest, count)).collect()
        }
    }
}
