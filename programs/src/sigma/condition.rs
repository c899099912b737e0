//! Conditions of Sigma: searches joined by `and`, `or`, `not`, parentheses and `1 of`.
//!
//! `not` binds tighter than `and`, `and` tighter than `or`. `them` is every search whose name does not begin with an
//! underscore; a pattern finds such a search only if it begins with one itself (Sigma rules specification 2.1,
//! *Condition*). The pipe of Sigma 1 (`| count() > 5`) is answered with what to write instead.

use std::ops::Range;

/// The deepest nesting of parentheses and `not`.
pub const CONDITION_NESTING_MAX: usize = 64;
/// The most words and parentheses of one condition.
pub const CONDITION_TOKENS_MAX: usize = 4096;

/// A condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Condition {
    /// The search of this index.
    Search(usize),
    /// At least so many of these searches.
    AtLeast(usize, Vec<usize>),
    /// All of them.
    And(Vec<Condition>),
    /// Any of them.
    Or(Vec<Condition>),
    /// Not this.
    Not(Box<Condition>),
}

impl Condition {
    /// Whether the search of this index is in it.
    pub(crate) fn names(&self, search: usize) -> bool {
        match self {
            Self::Search(index) => *index == search,
            Self::AtLeast(_, of) => of.contains(&search),
            Self::And(parts) | Self::Or(parts) => parts.iter().any(|part| part.names(search)),
            Self::Not(inside) => inside.names(search),
        }
    }

    /// The condition as if these searches were not in it; None if nothing is left.
    pub(crate) fn without(self, gone: &dyn Fn(usize) -> bool) -> Option<Self> {
        let kept =
            |parts: Vec<Self>| -> Vec<Self> { parts.into_iter().filter_map(|part| part.without(gone)).collect() };
        let some = |parts: Vec<Self>, join: fn(Vec<Self>) -> Self| (!parts.is_empty()).then(|| join(parts));
        match self {
            Self::Search(index) => (!gone(index)).then_some(Self::Search(index)),
            Self::AtLeast(count, of) => {
                let all = count == of.len();
                let of: Vec<usize> = of.into_iter().filter(|index| !gone(*index)).collect();
                let count = if all { of.len() } else { count };
                (!of.is_empty()).then_some(Self::AtLeast(count, of))
            }
            Self::And(parts) => some(kept(parts), Self::And),
            Self::Or(parts) => some(kept(parts), Self::Or),
            Self::Not(inside) => inside.without(gone).map(|inside| Self::Not(Box::new(inside))),
        }
    }
}

/// What is wrong with a condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mistake {
    /// Bytes in the text of the condition.
    pub(crate) range: Range<usize>,
    /// One sentence.
    pub(crate) message: String,
    /// A remark at the place.
    pub(crate) label: String,
    /// What to do about it.
    pub(crate) help: Option<String>,
}

/// Reads a condition over searches of these names.
pub(crate) fn parse(text: &str, names: &[&str]) -> Result<Condition, Mistake> {
    let tokens = tokens(text);
    if let Some((_, range)) = tokens.get(CONDITION_TOKENS_MAX) {
        let message = format!("the condition has more than {CONDITION_TOKENS_MAX} words");
        return Err(Mistake { range: range.clone(), message, label: "here".to_owned(), help: None });
    }
    let mut parser = Parser { text, names, tokens, at: 0, depth: 0 };
    let condition = parser.any()?;
    match parser.tokens.get(parser.at) {
        None => Ok(condition),
        Some((")", range)) => {
            let range = range.clone();
            Err(parser.mistake(range, "this parenthesis closes nothing", "no `(` before it"))
        }
        Some((_, range)) => {
            let range = range.clone();
            Err(parser.mistake(
                range,
                "the condition goes on where it should end",
                "`and` or `or` is missing before this",
            ))
        }
    }
}

/// Words, and parentheses and pipes by themselves.
fn tokens(text: &str) -> Vec<(&str, Range<usize>)> {
    let mut tokens = Vec::new();
    let mut start = None;
    let word = |start: &mut Option<usize>, end: usize, tokens: &mut Vec<_>| {
        if let Some(start) = start.take() {
            tokens.push((text.get(start..end).unwrap_or_default(), start..end));
        }
    };
    for (at, c) in text.char_indices() {
        if c.is_whitespace() {
            word(&mut start, at, &mut tokens);
        } else if matches!(c, '(' | ')' | '|') {
            word(&mut start, at, &mut tokens);
            tokens.push((text.get(at..at + 1).unwrap_or_default(), at..at + 1));
        } else if start.is_none() {
            start = Some(at);
        }
    }
    word(&mut start, text.len(), &mut tokens);
    tokens
}

struct Parser<'t> {
    text: &'t str,
    names: &'t [&'t str],
    tokens: Vec<(&'t str, Range<usize>)>,
    at: usize,
    depth: usize,
}

impl<'t> Parser<'t> {
    fn peek_is(&self, word: &str) -> bool {
        self.tokens.get(self.at).is_some_and(|(token, _)| token.eq_ignore_ascii_case(word))
    }

    fn take_if(&mut self, word: &str) -> bool {
        let found = self.peek_is(word);
        self.at += usize::from(found);
        found
    }

    fn mistake(&self, range: Range<usize>, message: impl Into<String>, label: impl Into<String>) -> Mistake {
        Mistake { range, message: message.into(), label: label.into(), help: None }
    }

    /// `a or b`
    fn any(&mut self) -> Result<Condition, Mistake> {
        self.depth += 1;
        if self.depth > CONDITION_NESTING_MAX {
            let range = self.tokens.get(self.at).map_or(0..0, |(_, range)| range.clone());
            let message = format!("the condition is nested deeper than {CONDITION_NESTING_MAX} levels");
            return Err(self.mistake(range, message, "here"));
        }
        let mut parts = vec![self.all()?];
        while self.take_if("or") {
            parts.push(self.all()?);
        }
        self.depth -= 1;
        Ok(one_or(parts, Condition::Or))
    }

    /// `a and b`
    fn all(&mut self) -> Result<Condition, Mistake> {
        let mut parts = vec![self.part()?];
        while self.take_if("and") {
            parts.push(self.part()?);
        }
        Ok(one_or(parts, Condition::And))
    }

    /// `not a`, `(a)`, `1 of a*`, `a`
    fn part(&mut self) -> Result<Condition, Mistake> {
        let mut negated = false;
        while self.take_if("not") {
            negated = !negated;
        }
        let inside = self.positive()?;
        Ok(if negated { Condition::Not(Box::new(inside)) } else { inside })
    }

    fn positive(&mut self) -> Result<Condition, Mistake> {
        let end = self.text.len();
        let Some((word, range)) = self.tokens.get(self.at).cloned() else {
            return Err(self.mistake(end..end, "the condition ends too early", "a search is missing here"));
        };
        self.at += 1;
        match word {
            "(" => {
                let inside = self.any()?;
                if !self.take_if(")") {
                    return Err(match self.tokens.get(self.at) {
                        Some((_, at)) if !self.peek_is("|") => {
                            let message = "the condition goes on where it should end";
                            self.mistake(at.clone(), message, "`and`, `or` or `)` is missing before this")
                        }
                        Some((_, at)) => self.pipe(at.clone()),
                        None => self.mistake(range, "this parenthesis is not closed", "a `)` is missing"),
                    });
                }
                Ok(inside)
            }
            "|" => Err(self.pipe(range)),
            ")" => Err(self.mistake(range, "a search is missing before this parenthesis", "here")),
            _ if ["and", "or"].iter().any(|operator| word.eq_ignore_ascii_case(operator)) => {
                Err(self.mistake(range, format!("a search is missing before `{word}`"), "here"))
            }
            _ if self.peek_is("of") => self.quantified(word, range),
            _ => {
                let found = self.names.iter().position(|name| *name == word);
                if self.peek_is("|") && found.is_some() {
                    let at = self.tokens.get(self.at).map_or(range, |(_, at)| at.clone());
                    return Err(self.pipe(at));
                }
                found.map(Condition::Search).ok_or_else(|| self.unknown(word, range))
            }
        }
    }

    /// `1 of selection_*`, behind the number.
    fn quantified(&mut self, number: &str, range: Range<usize>) -> Result<Condition, Mistake> {
        self.at += 1;
        let Some((target, target_range)) = self.tokens.get(self.at).cloned() else {
            let end = self.text.len();
            return Err(self.mistake(end..end, "`of` needs `them`, or a pattern of names", "missing here"));
        };
        self.at += 1;
        let chosen: Vec<usize> = if target.eq_ignore_ascii_case("them") {
            (0..).zip(self.names).filter(|(_, name)| !name.starts_with('_')).map(|(index, _)| index).collect()
        } else {
            let hidden = target.starts_with('_');
            let suits = |name: &str| (hidden || !name.starts_with('_')) && glob(target, name);
            (0..).zip(self.names).filter(|(_, name)| suits(name)).map(|(index, _)| index).collect()
        };
        if chosen.is_empty() && target.eq_ignore_ascii_case("them") {
            let message = "`them` are no searches: names that begin with an underscore are not among it";
            return Err(self.mistake(target_range, message, "name them, or write `1 of _*`"));
        }
        if chosen.is_empty() {
            return Err(self.unknown(target, target_range));
        }
        let count = match number.parse::<usize>() {
            _ if number.eq_ignore_ascii_case("all") => chosen.len(),
            _ if number.eq_ignore_ascii_case("any") => 1,
            Ok(count) if count >= 1 => count,
            _ => {
                let message = format!("`{number} of` is not a number of searches");
                return Err(self.mistake(range, message, "write `1 of`, `all of`, or a number above zero"));
            }
        };
        if count > chosen.len() {
            let message = format!("{count} of {} searches can never hold", chosen.len());
            return Err(self.mistake(range, message, format!("`{target}` names {} of them", chosen.len())));
        }
        Ok(match chosen.as_slice() {
            [only] => Condition::Search(*only),
            _ => Condition::AtLeast(count, chosen),
        })
    }

    fn pipe(&self, range: Range<usize>) -> Mistake {
        Mistake {
            range: range.start..self.text.trim_end().len().max(range.end),
            message: "aggregations behind `|` are of Sigma 1, and no longer in the specification".to_owned(),
            label: "refused".to_owned(),
            help: Some(
                "write a correlation: a second document with `correlation:`, `type: event_count` or `value_count`, `rules`, \
                 `group-by`, `timespan` and `condition: {gte: 5}`"
                    .to_owned(),
            ),
        }
    }

    fn unknown(&self, word: &str, range: Range<usize>) -> Mistake {
        let what = if word.contains('*') { "no search fits the pattern" } else { "there is no search" };
        let near = crate::lang::suggest::nearest(word, self.names.iter().copied());
        let help = match near {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("the searches are {}", self.names.join(", ")),
        };
        let mut mistake = self.mistake(range, format!("{what} `{word}`"), "not in `detection`");
        mistake.help = Some(help);
        mistake
    }
}

fn one_or(mut parts: Vec<Condition>, join: fn(Vec<Condition>) -> Condition) -> Condition {
    match parts.pop() {
        Some(only) if parts.is_empty() => only,
        last => {
            parts.extend(last);
            join(parts)
        }
    }
}

/// Whether a pattern with `*` and `?` fits a whole name.
pub(crate) fn glob(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut at, mut of, mut star) = (0, 0, None);
    while let Some(c) = name.get(of) {
        match pattern.get(at) {
            Some('*') => {
                star = Some((at, of));
                at += 1;
            }
            Some(p) if p == c || *p == '?' => (at, of) = (at + 1, of + 1),
            _ => match star.as_mut() {
                Some((back, from)) => {
                    *from += 1;
                    (at, of) = (*back + 1, *from);
                }
                None => return false,
            },
        }
    }
    pattern.get(at..).unwrap_or_default().iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: &[&str] = &["a", "b", "sel_1", "sel_2", "sel_3", "_hidden", "a-b"];

    fn shown(text: &str) -> String {
        fn show(condition: &Condition) -> String {
            let join =
                |parts: &[Condition], by: &str| format!("({})", parts.iter().map(show).collect::<Vec<_>>().join(by));
            match condition {
                Condition::Search(index) => NAMES[*index].to_owned(),
                Condition::AtLeast(count, of) => {
                    format!("{count}{:?}", of.iter().map(|index| NAMES[*index]).collect::<Vec<_>>()).replace('"', "")
                }
                Condition::And(parts) => join(parts, " & "),
                Condition::Or(parts) => join(parts, " | "),
                Condition::Not(inside) => format!("!{}", show(inside)),
            }
        }
        match parse(text, NAMES) {
            Ok(condition) => show(&condition),
            Err(mistake) => format!("{:?} {}", text.get(mistake.range).unwrap(), mistake.message),
        }
    }

    #[test]
    fn precedence_and_quantifiers() {
        for (text, expected) in [
            ("a", "a"),
            ("a or b and not sel_1", "(a | (b & !sel_1))"),
            ("not a and b", "(!a & b)"),
            ("not (a or b)", "!(a | b)"),
            ("not not a", "a"),
            ("NOT a OR b AND a", "(!a | (b & a))"),
            ("((a))", "a"),
            ("1 of sel_*", "1[sel_1, sel_2, sel_3]"),
            ("all of sel_*", "3[sel_1, sel_2, sel_3]"),
            ("2 of sel_*", "2[sel_1, sel_2, sel_3]"),
            ("any of sel_*", "1[sel_1, sel_2, sel_3]"),
            ("all of them", "6[a, b, sel_1, sel_2, sel_3, a-b]"),
            ("1 of _*", "_hidden"),
            ("1 of *", "1[a, b, sel_1, sel_2, sel_3, a-b]"),
            ("a and not 1 of sel_*", "(a & !1[sel_1, sel_2, sel_3])"),
            ("a-b", "a-b"),
            ("1 of a", "a"),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
    }

    #[test]
    fn mistakes_are_located() {
        for (text, expected) in [
            ("", "\"\" the condition ends too early"),
            ("a and", "\"\" the condition ends too early"),
            ("and a", "\"and\" a search is missing before `and`"),
            ("a b", "\"b\" the condition goes on where it should end"),
            ("(a", "\"(\" this parenthesis is not closed"),
            ("(a b)", "\"b\" the condition goes on where it should end"),
            ("a)", "\")\" this parenthesis closes nothing"),
            ("()", "\")\" a search is missing before this parenthesis"),
            ("a or slection", "\"slection\" there is no search `slection`"),
            ("1 of x*", "\"x*\" no search fits the pattern `x*`"),
            ("1 of", "\"\" `of` needs `them`, or a pattern of names"),
            ("0 of them", "\"0\" `0 of` is not a number of searches"),
            ("few of them", "\"few\" `few of` is not a number of searches"),
            ("4 of sel_*", "\"4\" 4 of 3 searches can never hold"),
            (
                "a | count() > 5",
                "\"| count() > 5\" aggregations behind `|` are of Sigma 1, and no longer in the specification",
            ),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
        assert_eq!(parse("sel_4", NAMES).unwrap_err().help.unwrap(), "did you mean `sel_1`?");
    }

    #[test]
    fn at_and_over_the_limits() {
        for (depth, ok) in [(CONDITION_NESTING_MAX - 1, true), (CONDITION_NESTING_MAX, false)] {
            let text = format!("{}a{}", "(".repeat(depth), ")".repeat(depth));
            assert_eq!(parse(&text, NAMES).is_ok(), ok, "{depth}");
        }
        for (words, ok) in [(CONDITION_TOKENS_MAX - 1, true), (CONDITION_TOKENS_MAX + 1, false)] {
            let text = vec!["a"; words.div_ceil(2)].join(" or ");
            assert_eq!(parse(&text, NAMES).is_ok(), ok, "{words}");
        }
    }
}
