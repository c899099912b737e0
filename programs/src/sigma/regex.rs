//! Regular expressions of Sigma, which are PCRE, as our engine takes them (*Sigma rules specification* 2.1, appendix
//! *Modifiers*).
//!
//! Most of both is one. Without `m`, `$` of PCRE also holds before a line break that ends the text, so it is written
//! out. What our engine would read as something else is refused: `a++`, which gives nothing back, and classes in classes.

use regex_syntax::ast::{self, Assertion, AssertionKind, Ast, Flag, RepetitionKind};

/// Why an expression is refused, and what to write.
pub(crate) type Refused = (&'static str, &'static str);

/// The expression in our syntax, with these flags. What is no expression at all stays as it is, for others to tell.
pub(crate) fn of_pcre(pattern: &str, flags: &str) -> Result<String, Refused> {
    let mut text = if flags.is_empty() { String::new() } else { format!("(?{flags})") };
    let Ok(tree) = ast::parse::Parser::new().parse(pattern) else { return Ok(text + pattern) };
    let found = ast::visit(&tree, Found { ends: Vec::new(), is_multi_line: flags.contains('m') })?;
    let mut from = 0;
    for end in found.ends.iter().filter(|_| !found.is_multi_line) {
        text.push_str(pattern.get(from..*end).unwrap_or_default());
        text.push_str(r"(?:\n?\z)");
        from = end + 1;
    }
    Ok(text + pattern.get(from..).unwrap_or_default())
}

/// What was met on the way.
struct Found {
    /// Where a `$` stands.
    ends: Vec<usize>,
    /// The expression itself says `(?m)`, somewhere.
    is_multi_line: bool,
}

impl ast::Visitor for Found {
    type Output = Self;
    type Err = Refused;

    fn finish(self) -> Result<Self, Refused> {
        Ok(self)
    }

    fn visit_pre(&mut self, tree: &Ast) -> Result<(), Refused> {
        match tree {
            Ast::Assertion(assertion) => return self.assertion(assertion),
            Ast::Repetition(outer)
                if matches!(*outer.ast, Ast::Repetition(_)) && !matches!(outer.op.kind, RepetitionKind::Range(_)) =>
            {
                return Err((
                    "a repetition of a repetition gives nothing back in PCRE, which takes more than linear time",
                    "write `a+` for `a++`",
                ));
            }
            Ast::Flags(set) => self.is_multi_line |= set.flags.flag_state(Flag::MultiLine) == Some(true),
            Ast::Group(group) => {
                let flags = group.flags();
                self.is_multi_line |= flags.is_some_and(|flags| flags.flag_state(Flag::MultiLine) == Some(true));
            }
            _ => {}
        }
        Ok(())
    }

    fn visit_class_set_item_pre(&mut self, item: &ast::ClassSetItem) -> Result<(), Refused> {
        match item {
            ast::ClassSetItem::Bracketed(_) => {
                Err(("a `[` in a class is a character in PCRE, and another class here", r"write `\[`"))
            }
            _ => Ok(()),
        }
    }

    fn visit_class_set_binary_op_pre(&mut self, _: &ast::ClassSetBinaryOp) -> Result<(), Refused> {
        Err((
            "`&&`, `--` and `~~` in a class are characters in PCRE, and take classes together here",
            r"write `\&&`, `\--` or `\~~`",
        ))
    }
}

impl Found {
    fn assertion(&mut self, assertion: &Assertion) -> Result<(), Refused> {
        match assertion.kind {
            AssertionKind::EndLine => self.ends.push(assertion.span.start.offset),
            AssertionKind::WordBoundaryStartAngle | AssertionKind::WordBoundaryEndAngle => {
                return Err((
                    r"`\<` and `\>` are characters in PCRE, and bounds of words here",
                    r"write `<`, `>`, or `\b` for bounds of words",
                ));
            }
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use regex_automata::meta::Regex;

    use super::*;

    #[test]
    fn the_end_may_come_before_a_last_line_break() {
        for (pattern, flags, text, expected) in [
            ("a$", "", "a", true),
            ("a$", "", "a\n", true),
            ("a$", "", "a\n\n", false),
            ("a$", "", "a\nb", false),
            ("a$|b$", "i", "xB\n", true),
            ("^(a$)", "s", "a\n", true),
            (r"a\$", "", "a$", true),
            (r"a\$", "", "a", false),
            ("[$]", "", "$", true),
            ("a$", "m", "a\nb", true),
            ("(?m)a$", "", "a\nb", true),
            ("(?m:a$)", "", "a\nb", true),
            (r"a\z", "", "a\n", false),
            ("(?x) a $ # end", "", "a\n", true),
        ] {
            let made = of_pcre(pattern, flags).unwrap();
            assert_eq!(Regex::new(&made).unwrap().is_match(text), expected, "{pattern} {flags} {text:?}: {made}");
        }
    }

    #[test]
    fn what_would_mean_something_else_is_refused() {
        for pattern in ["a++", "a*+", "a?+b", "(a+)?+", "a{2}+", "[[a]]", "[a&&b]", "[a--b]", "[a~~b]", r"\<a", r"a\>"]
        {
            assert!(of_pcre(pattern, "").is_err(), "{pattern}");
        }
        for pattern in ["a+", "a+?", "(a+)+", "a{2}{3}", r"[\[a]", r"[a\&&b]", "[[:digit:]]", "(", "[", r"\bcmd\b"] {
            assert_eq!(of_pcre(pattern, ""), Ok(pattern.to_owned()));
        }
    }
}
