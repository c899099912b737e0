//! String values of Sigma: wildcards, escapes, and what modifiers make of them.
//!
//! `*` is any run of characters, `?` one character. A backslash before `*`, `?` or a backslash takes the next character
//! as it is; before anything else it is itself, so that paths need no escapes (Sigma rules specification 2.1, *Escaping*).
//!
//! ```text
//! \*    a star               \\*   a backslash, then any run        \\\*   a backslash, then a star
//! \a    a backslash and a    \\a   the same                         \\\\   two backslashes
//! ```

use trapline_vm::predicate::StrOp;

/// A part of a pattern.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Piece {
    /// These characters.
    Text(String),
    /// `*`: any run of characters.
    Run,
    /// `?`: one character.
    One,
    /// One of the [`DASHES`].
    Dash,
}

/// What Windows programs take for the beginning of a flag: hyphen, slash, en dash, em dash, horizontal bar.
pub(crate) const DASHES: [char; 5] = ['-', '/', '\u{2013}', '\u{2014}', '\u{2015}'];
/// Beyond so many spellings of one value it becomes a regular expression.
const SPELLINGS_MAX: usize = 125;

/// A string value: pieces in order, no two texts side by side.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Pattern {
    pieces: Vec<Piece>,
}

/// A pattern as the engine tests it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Literal {
    /// How it is compared.
    pub(crate) op: StrOp,
    /// With what.
    pub(crate) text: String,
}

impl Pattern {
    /// Reads a value with its wildcards and escapes.
    pub(crate) fn parse(text: &str) -> Self {
        let mut pattern = Self::default();
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            match c {
                '\\' => match chars.next_if(|next| matches!(next, '*' | '?' | '\\')) {
                    Some(next) => pattern.push_char(next),
                    None => pattern.push_char('\\'),
                },
                '*' => pattern.push(Piece::Run),
                '?' => pattern.push(Piece::One),
                c => pattern.push_char(c),
            }
        }
        pattern
    }

    /// Whether it has this character, not as a wildcard.
    pub(crate) fn has(&self, wanted: char) -> bool {
        self.pieces.iter().any(|piece| matches!(piece, Piece::Text(text) if text.contains(wanted)))
    }

    /// A value without wildcards.
    pub(crate) fn literal(text: &str) -> Self {
        let mut pattern = Self::default();
        text.chars().for_each(|c| pattern.push_char(c));
        pattern
    }

    /// Its text, if it has no wildcards.
    pub(crate) fn as_literal(&self) -> Option<&str> {
        match self.pieces.as_slice() {
            [] => Some(""),
            [Piece::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// As it would be written without a backslash that is not needed: wildcards as they are, and a backslash before a star
    /// or question mark that is none. What the transformations of pySigma see.
    pub(crate) fn plain(&self) -> String {
        let mut plain = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => {
                    for c in text.chars() {
                        plain.extend(matches!(c, '*' | '?').then_some('\\'));
                        plain.push(c);
                    }
                }
                Piece::Run => plain.push('*'),
                Piece::One => plain.push('?'),
                Piece::Dash => plain.push('-'),
            }
        }
        plain
    }

    /// With other text in place of each text between wildcards; `None` of a text that grew too long.
    pub(crate) fn map_texts(&self, map: &dyn Fn(&str) -> Option<Self>) -> Option<Self> {
        let mut pattern = Self::default();
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => map(text)?.pieces.into_iter().for_each(|piece| pattern.push(piece)),
                piece => pattern.push(piece.clone()),
            }
        }
        Some(pattern)
    }

    /// Whether it has wildcards.
    pub(crate) fn has_wildcards(&self) -> bool {
        self.pieces.iter().any(|piece| matches!(piece, Piece::Run | Piece::One))
    }

    fn push_char(&mut self, c: char) {
        match self.pieces.last_mut() {
            Some(Piece::Text(text)) => text.push(c),
            _ => self.pieces.push(Piece::Text(c.to_string())),
        }
    }

    fn push(&mut self, piece: Piece) {
        match (piece, self.pieces.last()) {
            (Piece::Run, Some(Piece::Run)) => {}
            (Piece::Text(text), Some(Piece::Text(_))) => text.chars().for_each(|c| self.push_char(c)),
            (piece, _) => self.pieces.push(piece),
        }
    }

    /// Whether it fits a short text. For long ones the engine has better ways.
    pub(crate) fn matches(&self, text: &str, fold: bool) -> bool {
        let text: Vec<char> = text.chars().collect();
        // The places in the text that the pieces so far can end at.
        let mut ends: Vec<bool> = vec![true];
        ends.resize(text.len() + 1, false);
        let step = |ends: &[bool], fits: &dyn Fn(char) -> bool| -> Vec<bool> {
            let moved = ends.iter().zip(&text).map(|(end, c)| *end && fits(*c));
            std::iter::once(false).chain(moved).collect()
        };
        for piece in &self.pieces {
            ends = match piece {
                Piece::Run => {
                    let first = ends.iter().position(|end| *end).unwrap_or(ends.len());
                    (0..ends.len()).map(|at| at >= first).collect()
                }
                Piece::One => step(&ends, &|_| true),
                Piece::Dash => step(&ends, &|c| DASHES.contains(&c)),
                Piece::Text(content) => content.chars().fold(ends, |ends, wanted| {
                    step(&ends, &|c| c == wanted || (fold && c.to_lowercase().eq(wanted.to_lowercase())))
                }),
            };
        }
        ends.last().copied().unwrap_or(false)
    }

    /// With any run of characters before it, behind it, or both: `endswith`, `startswith`, `contains`.
    pub(crate) fn open(self, before: bool, behind: bool) -> Self {
        let mut pattern = Self::default();
        if before {
            pattern.push(Piece::Run);
        }
        self.pieces.into_iter().for_each(|piece| pattern.push(piece));
        if behind {
            pattern.push(Piece::Run);
        }
        pattern
    }

    /// `windash`: each dash at the beginning of a word, with no word right before it, is any of the [`DASHES`].
    pub(crate) fn windash(self) -> Self {
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        let mut pattern = Self::default();
        for piece in self.pieces {
            let Piece::Text(text) = piece else {
                pattern.push(piece);
                continue;
            };
            let mut before = None;
            let mut chars = text.chars().peekable();
            while let Some(c) = chars.next() {
                let is_flag = !before.is_some_and(is_word) && chars.peek().is_some_and(|next| is_word(*next));
                if DASHES.contains(&c) && is_flag {
                    pattern.push(Piece::Dash);
                } else {
                    pattern.push_char(c);
                }
                before = Some(c);
            }
        }
        pattern
    }

    /// The tests that together mean this pattern: any of them.
    pub(crate) fn literals(&self) -> Vec<Literal> {
        let dashes = self.pieces.iter().filter(|piece| **piece == Piece::Dash).count();
        let spellings = DASHES.len().checked_pow(u32::try_from(dashes).unwrap_or(u32::MAX));
        match spellings {
            Some(spellings) if spellings <= SPELLINGS_MAX => {
                (0..spellings).map(|number| self.spelled(number).literal_of_wildcards()).collect()
            }
            _ => vec![Literal { op: StrOp::Regex, text: self.regex() }],
        }
    }

    /// With the dashes that the digits of `number` name.
    fn spelled(&self, mut number: usize) -> Self {
        let mut pattern = Self::default();
        for piece in &self.pieces {
            match piece {
                Piece::Dash => {
                    pattern.push_char(DASHES.get(number % DASHES.len()).copied().unwrap_or('-'));
                    number /= DASHES.len();
                }
                Piece::Text(text) => text.chars().for_each(|c| pattern.push_char(c)),
                piece => pattern.push(piece.clone()),
            }
        }
        pattern
    }

    fn literal_of_wildcards(&self) -> Literal {
        let (op, text) = match self.pieces.as_slice() {
            [] => (StrOp::Equals, ""),
            [Piece::Text(text)] => (StrOp::Equals, text.as_str()),
            [Piece::Text(text), Piece::Run] => (StrOp::StartsWith, text.as_str()),
            [Piece::Run, Piece::Text(text)] => (StrOp::EndsWith, text.as_str()),
            [Piece::Run, Piece::Text(text), Piece::Run] => (StrOp::Contains, text.as_str()),
            pieces => {
                let glob = pieces.iter().map(|piece| match piece {
                    Piece::Text(text) => escape_glob(text),
                    Piece::Run => "*".to_owned(),
                    Piece::One | Piece::Dash => "?".to_owned(),
                });
                return Literal { op: StrOp::Like, text: glob.collect() };
            }
        };
        Literal { op, text: text.to_owned() }
    }

    /// As a regular expression over the whole value.
    fn regex(&self) -> String {
        let mut regex = "(?s)^".to_owned();
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => regex.push_str(&regex_syntax::escape(text)),
                Piece::Run => regex.push_str(".*"),
                Piece::One => regex.push('.'),
                Piece::Dash => {
                    regex.push('[');
                    DASHES.iter().for_each(|dash| regex.push_str(&regex_syntax::escape(&dash.to_string())));
                    regex.push(']');
                }
            }
        }
        regex.push('$');
        regex
    }
}

/// A text as `like` takes it: `*`, `?` and `[` in brackets.
fn escape_glob(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '*' | '?' | '[' => escaped.extend(['[', c, ']']),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> (StrOp, String) {
        let [literal] = Pattern::parse(text).literals().try_into().unwrap();
        (literal.op, literal.text)
    }

    #[test]
    fn escapes_as_the_specification_has_them() {
        let cases: &[(&str, StrOp, &str)] = &[
            (r"C:\Windows", StrOp::Equals, r"C:\Windows"),
            (r"C:\\Windows", StrOp::Equals, r"C:\Windows"),
            (r"\\\\host", StrOp::Equals, r"\\host"),
            (r"\\\host", StrOp::Equals, r"\\host"),
            (r"a\*b", StrOp::Equals, "a*b"),
            (r"a\?b", StrOp::Equals, "a?b"),
            (r"C:\Temp\\*", StrOp::StartsWith, r"C:\Temp\"),
            (r"a\\\*", StrOp::Equals, r"a\*"),
            (r"a\\\*b*", StrOp::StartsWith, r"a\*b"),
            (r"end\", StrOp::Equals, r"end\"),
            ("*.exe", StrOp::EndsWith, ".exe"),
            ("*x*", StrOp::Contains, "x"),
            ("**x***", StrOp::Contains, "x"),
            ("a*b", StrOp::Like, "a*b"),
            ("?", StrOp::Like, "?"),
            ("*", StrOp::Like, "*"),
            ("", StrOp::Equals, ""),
            (r"\*[a]*b", StrOp::Like, "[*][[]a]*b"),
        ];
        for (text, op, literal) in cases {
            assert_eq!(one(text), (*op, (*literal).to_owned()), "{text}");
        }
    }

    #[test]
    fn fits_short_texts() {
        for (pattern, text, expected) in [
            ("", "", true),
            ("", "-", false),
            ("*", "", true),
            ("?", "-", true),
            ("*-*", "-", true),
            ("a*b", "aXb", true),
            ("a*b", "ab", true),
            ("A*B", "ab", true),
            ("a*b?", "ab", false),
            ("%%17*", "%%1793", true),
        ] {
            assert_eq!(Pattern::parse(pattern).matches(text, true), expected, "{pattern} {text}");
        }
        assert!(!Pattern::parse("A").matches("a", false));
    }

    #[test]
    fn modifiers_open_the_ends() {
        let of = |text: &str, before, behind| Pattern::parse(text).open(before, behind).literals().remove(0);
        assert_eq!(of("x", true, true), Literal { op: StrOp::Contains, text: "x".to_owned() });
        assert_eq!(of("*x", true, false), Literal { op: StrOp::EndsWith, text: "x".to_owned() });
        assert_eq!(of("a*b", true, true), Literal { op: StrOp::Like, text: "*a*b*".to_owned() });
        assert_eq!(of("", false, true), Literal { op: StrOp::Like, text: "*".to_owned() });
    }

    #[test]
    fn dashes_are_exchanged_where_a_flag_begins() {
        let texts = |text: &str| -> Vec<String> {
            Pattern::parse(text).windash().literals().into_iter().map(|literal| literal.text).collect()
        };
        assert_eq!(texts("-x"), ["-x", "/x", "–x", "—x", "―x"]);
        assert_eq!(texts("/x"), texts("-x"));
        assert_eq!(texts("―x"), texts("-x"));
        // Inside of words, before blanks and at the end they are what they are.
        assert_eq!(texts("no-op a - b-"), ["no-op a - b-"]);
        assert_eq!(texts(" -param-name ").len(), 5);
        assert_eq!(texts("-a -b").len(), 25);
        assert_eq!(texts("-a -b -c").len(), 125);
        let [regex] = Pattern::parse("-a -b -c -d*").windash().literals().try_into().unwrap();
        assert_eq!(regex.op, StrOp::Regex);
        assert_eq!(regex.text, r"(?s)^[\-/–—―]a [\-/–—―]b [\-/–—―]c [\-/–—―]d.*$");
    }
}
