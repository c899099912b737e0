//! Text with wildcards, by *Sigma rules specification*, sections *String Wildcard* and *Escaping*, transcribed without a
//! thought for speed.

/// One character of a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Token {
    /// This one.
    Char(char),
    /// Any of the characters that begin a flag on Windows.
    Dash,
    /// `?`
    One,
    /// `*`
    Any,
}

/// What `windash` exchanges: *Modifiers*, section *String Modifiers*.
pub const DASHES: [char; 5] = ['-', '/', '\u{2013}', '\u{2014}', '\u{2015}'];

/// Text with wildcards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(pub Vec<Token>);

impl Pattern {
    /// Reads a value. A backslash takes the next `*`, `?` or backslash as it is; before anything else it is itself.
    pub fn read(text: &str) -> Self {
        let mut tokens = Vec::new();
        let mut chars = text.chars().peekable();
        while let Some(char) = chars.next() {
            tokens.push(match char {
                '*' => Token::Any,
                '?' => Token::One,
                '\\' => Token::Char(chars.next_if(|next| ['*', '?', '\\'].contains(next)).unwrap_or('\\')),
                other => Token::Char(other),
            });
        }
        Self(tokens)
    }

    /// Its text, if it has no wildcards.
    pub fn literal(&self) -> Option<String> {
        let char = |token: &Token| if let Token::Char(char) = token { Some(*char) } else { None };
        self.0.iter().map(char).collect()
    }

    /// Any dash wherever one begins a flag: between what is no part of a word and what is.
    pub fn windash(mut self) -> Self {
        let in_word = |token: Option<&Token>| match token {
            Some(Token::Char(char)) => char.is_alphanumeric() || *char == '_',
            _ => false,
        };
        for at in 0..self.0.len() {
            let begins = !at.checked_sub(1).is_some_and(|at| in_word(self.0.get(at))) && in_word(self.0.get(at + 1));
            if let Some(token) = self.0.get_mut(at)
                && matches!(token, Token::Char(char) if DASHES.contains(char))
                && begins
            {
                *token = Token::Dash;
            }
        }
        self
    }

    /// With any text before, behind, or both.
    pub fn open(mut self, before: bool, behind: bool) -> Self {
        if before {
            self.0.insert(0, Token::Any);
        }
        if behind {
            self.0.push(Token::Any);
        }
        self
    }

    /// With every character folded.
    pub fn folded(mut self) -> Self {
        for token in &mut self.0 {
            if let Token::Char(char) = token {
                *char = fold(*char);
            }
        }
        self
    }

    /// The needle of a pattern that asks for nothing but that some text occurs.
    pub fn needle(&self) -> Option<String> {
        match self.0.as_slice() {
            [Token::Any, inner @ .., Token::Any] => Self(inner.to_vec()).literal(),
            _ => None,
        }
    }

    /// Whether a text fits.
    pub fn fits(&self, text: &[char]) -> bool {
        let (mut at, mut token, mut retry) = (0, 0, None);
        loop {
            match (self.0.get(token), text.get(at)) {
                (None, None) => return true,
                (Some(Token::Any), _) => {
                    retry = Some((token + 1, at));
                    token += 1;
                }
                (Some(wanted), Some(char)) if wanted.is(*char) => {
                    at += 1;
                    token += 1;
                }
                _ => match retry {
                    Some((next, from)) if from < text.len() => {
                        (token, at) = (next, from + 1);
                        retry = Some((next, from + 1));
                    }
                    _ => return false,
                },
            }
        }
    }

    /// The same as a regular expression that fits whole texts.
    pub fn regex(&self) -> String {
        let part = |token: &Token| match token {
            Token::Char(char) => regex::escape(&char.to_string()),
            Token::Dash => "[-/\u{2013}\u{2014}\u{2015}]".to_owned(),
            Token::One => ".".to_owned(),
            Token::Any => ".*".to_owned(),
        };
        format!(r"\A{}\z", self.0.iter().map(part).collect::<String>())
    }

    /// The same as a value, every backslash, `*` and `?` of the text escaped; one for each way to write the dashes.
    pub fn values(&self) -> Vec<String> {
        let mut values = vec![String::new()];
        for token in &self.0 {
            let choices: Vec<String> = match token {
                Token::Char(char @ ('*' | '?' | '\\')) => vec![format!("\\{char}")],
                Token::Char(char) => vec![char.to_string()],
                Token::Dash => DASHES.iter().map(char::to_string).collect(),
                Token::One => vec!["?".to_owned()],
                Token::Any => vec!["*".to_owned()],
            };
            values =
                values.iter().flat_map(|value| choices.iter().map(move |choice| format!("{value}{choice}"))).collect();
        }
        values
    }
}

impl Token {
    fn is(self, char: char) -> bool {
        match self {
            Self::Char(wanted) => wanted == char,
            Self::Dash => DASHES.contains(&char),
            Self::One => true,
            Self::Any => false,
        }
    }
}

/// A character without its case: the lower case of its upper case, where both are one character.
pub fn fold(char: char) -> char {
    if char.is_ascii() {
        return char.to_ascii_lowercase();
    }
    // The only letter whose upper case is that of another letter without being the same letter.
    if char == '\u{131}' {
        return char;
    }
    let one = |mut chars: Box<dyn Iterator<Item = char>>| chars.next().filter(|_| chars.next().is_none());
    let upper = one(Box::new(char.to_uppercase())).unwrap_or(char);
    one(Box::new(upper.to_lowercase())).unwrap_or(char)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(pattern: &str, text: &str) -> bool {
        let text: Vec<char> = text.chars().map(fold).collect();
        let pattern = Pattern::read(pattern).folded();
        let same = pattern.fits(&text);
        for value in pattern.values() {
            assert_eq!(Pattern::read(&value), pattern, "{value}");
        }
        let text: String = text.iter().collect();
        assert_eq!(regex::Regex::new(&format!("(?is){}", pattern.regex())).unwrap().is_match(&text), same);
        same
    }

    #[test]
    fn examples_of_the_specification() {
        for (pattern, yes, no) in [
            (r"C:\a", r"c:\A", r"C:\\a"),
            (r"C:\\a", r"C:\a", r"C:\\a"),
            (r"\*", "*", "x"),
            (r"\?", "?", "x"),
            (r"a\\*", r"a\b", "ab"),
            (r"a\\\*", r"a\*", r"a\b"),
            (r"\\\\", r"\\", r"\"),
            (r"\\\x", r"\\x", r"\x"),
            ("a*b?c", "aXXbbXc", "abc"),
            ("*ab", "aab", "aba"),
            ("a*a*b", "aaab", "aba"),
        ] {
            assert!(fits(pattern, yes), "{pattern} {yes}");
            assert!(!fits(pattern, no), "{pattern} {no}");
        }
    }

    #[test]
    fn dashes_begin_flags() {
        let fits = |pattern: &str, text: &str| Pattern::read(pattern).windash().fits(&text.chars().collect::<Vec<_>>());
        assert!(fits("a -b", "a /b") && fits("a /b", "a \u{2015}b") && fits("-b", "\u{2013}b"));
        assert!(!fits("a-b", "a/b"), "inside of a word");
        assert!(!fits("a - b", "a / b"), "nothing begins");
        assert_eq!(Pattern::read(" -a -b").windash().values().len(), 25);
    }
}
