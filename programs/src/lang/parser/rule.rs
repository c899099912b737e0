//! A rule: header entries and clauses.

use super::{CLAUSE_WORDS, HEADER_KEYS, ITEM_WORDS, Parser};
use crate::diagnostic::Diagnostic;
use crate::lang::suggest::nearest;
use crate::lang::syntax::SyntaxKind;

/// What a stranger may write first in a rule, for suggestions.
const COMMON_WORDS: &[&str] = &["on", "where", "let", "unless", "output", "test"];

/// What other rule formats call a condition.
const CONDITION_WORDS: &[&str] = &["condition", "query", "filter", "when", "if"];

impl Parser<'_> {
    /// `rule NAME { … }`
    pub(super) fn rule_item(&mut self) {
        self.start(SyntaxKind::RuleItem);
        self.bump();
        if self.name("a name for the rule") && !self.at(SyntaxKind::LBrace) {
            let message = format!("expected `{{`, found {}", self.found());
            let (span, help) = if self.nth_on_new_line(0) {
                (self.after_last(), "the entries of a rule stand in braces: `rule name { … }`")
            } else {
                (self.here(), "the name of a rule is one word of letters, digits and `_`")
            };
            self.error(Diagnostic::error("unexpected-token", message, span, "expected `{`").help(help));
        }
        self.skip_to_brace();
        // Entries on the next line: only the brace is missing, and that was reported.
        if self.at(SyntaxKind::LBrace) || self.at_clause() {
            let open = self.here();
            if self.at(SyntaxKind::LBrace) {
                self.bump();
            }
            self.rule_body();
            self.broken = false;
            self.close(SyntaxKind::RBrace, &open);
        } else {
            self.skip_to_item();
        }
        self.finish();
    }

    /// Skips what is left of the line up to the brace that begins a body.
    pub(super) fn skip_to_brace(&mut self) {
        let mut started = false;
        while !matches!(self.peek(), SyntaxKind::LBrace | SyntaxKind::RBrace | SyntaxKind::Eof)
            && !self.nth_on_new_line(0)
        {
            if !started {
                self.start(SyntaxKind::Skipped);
                started = true;
            }
            self.bump_unchecked();
        }
        if started {
            self.finish();
        }
    }

    fn rule_body(&mut self) {
        while !matches!(self.peek(), SyntaxKind::RBrace | SyntaxKind::Eof) {
            // A rule never holds another item: the closing brace is missing.
            if self.at_item() && self.nth(2) != SyntaxKind::Colon {
                break;
            }
            self.clause_of(|parser| {
                parser.clause();
                if parser.broken {
                    parser.skip_to_clause();
                }
            });
        }
    }

    fn clause(&mut self) {
        if self.at(SyntaxKind::Comma) {
            let span = self.here();
            self.report(
                Diagnostic::error("unexpected-token", "entries of a rule are not separated", span, "a comma")
                    .help("leave the comma out"),
            );
            return self.bump();
        }
        if !self.at(SyntaxKind::Ident) {
            self.expected("a header entry (`title: \"…\"`) or a clause (`on`, `where`, `unless`, …)");
            if !matches!(self.peek(), SyntaxKind::RBrace | SyntaxKind::Eof) {
                self.start(SyntaxKind::Skipped);
                self.bump_unchecked();
                self.finish();
            }
            return;
        }
        let word = self.text().to_owned();
        if self.nth(1) == SyntaxKind::Colon && CONDITION_WORDS.contains(&word.as_str()) {
            let span = self.here();
            let message = format!("the condition of a rule is not written `{word}: …`");
            self.report(
                Diagnostic::error("foreign-syntax", message, span, "not a header entry").help("write `where …`"),
            );
            return self.expr_clause(SyntaxKind::WhereClause);
        }
        if self.nth(1) == SyntaxKind::Colon {
            if !COMMON_WORDS.contains(&word.as_str()) {
                return self.header_entry();
            }
            // `where: …`, as in other rule formats.
            let span = self.here();
            self.report(
                Diagnostic::error(
                    "foreign-syntax",
                    format!("`{word}` takes no colon"),
                    span,
                    "this is a clause, not a header entry",
                )
                .help(format!("write `{word} …`")),
            );
        }
        match word.as_str() {
            "on" => self.on_clause(),
            "where" => self.expr_clause(SyntaxKind::WhereClause),
            "unless" => self.unless_clause(),
            "let" => self.let_clause(),
            "output" => {
                self.start(SyntaxKind::OutputClause);
                self.keyword();
                self.string("the text of the alert in quotes");
                self.finish();
            }
            "test" => self.test_item(),
            "sequence" => self.sequence_clause(),
            "until" => self.until_clause(),
            "count" | "distinct" | "sum" | "avg" | "min" | "max" | "percentile" | "median" => self.count_clause(),
            "first_seen" => self.first_seen_clause(),
            "suppress" => self.suppress_clause(),
            "param" => self.param_clause(),
            "limits" => self.limits_clause(),
            "by" | "within" | "across" => self.modifiers_clause(),
            key if HEADER_KEYS.contains(&key) && !self.nth_on_new_line(1) => self.header_entry(),
            _ => self.unknown_clause(&word),
        }
    }

    fn unknown_clause(&mut self, word: &str) {
        let span = self.here();
        let on_new_line = self.nth_on_new_line(0);
        let mut diagnostic = Diagnostic::error(
            "unexpected-token",
            format!("expected a clause or a header entry, found `{word}`"),
            span,
            "not a clause",
        );
        if ["expect", "source", "from"].contains(&word) {
            diagnostic = diagnostic.help("this stands in a test: `test \"name\" { … }`");
        } else if matches!(self.nth(1), SyntaxKind::String | SyntaxKind::RawString | SyntaxKind::Number) {
            diagnostic = diagnostic.help(format!("a header entry is written with a colon: `{word}: …`"));
        } else if CONDITION_WORDS.contains(&word) {
            diagnostic = diagnostic.help("the condition of a rule is written `where …`");
        } else if let Some(near) = nearest(word, CLAUSE_WORDS.iter().chain(ITEM_WORDS).copied()) {
            diagnostic = diagnostic.help(format!("did you mean `{near}`?"));
        } else if !on_new_line {
            diagnostic = diagnostic.help("conditions are joined by `and` and `or`; strings stand in quotes");
        } else {
            diagnostic = diagnostic.help("clauses are `on`, `where`, `let`, `unless`, `output` and `test`");
        }
        self.error(diagnostic);
        self.start(SyntaxKind::Skipped);
        self.bump_unchecked();
        self.finish();
    }

    /// Takes the clause's word, and a colon that was reported already.
    pub(super) fn keyword(&mut self) {
        self.bump();
        if self.at(SyntaxKind::Colon) {
            self.bump();
        }
    }

    /// `key: value`
    pub(super) fn header_entry(&mut self) {
        self.start(SyntaxKind::HeaderEntry);
        let key = self.text().to_owned();
        self.name("a key");
        if self.at(SyntaxKind::Colon) {
            self.bump();
        } else {
            let span = self.after_last();
            self.report(
                Diagnostic::error("unexpected-token", "a header entry is written with a colon", span, "expected `:`")
                    .help(format!("write `{key}: …`")),
            );
            if self.at(SyntaxKind::Eq) {
                self.bump();
            }
        }
        let start = self.here().range.start;
        self.header_value();
        self.more_values(start);
        self.finish();
    }

    /// `os: linux, windows`: a list without its brackets.
    fn more_values(&mut self, start: usize) {
        let goes_on = |parser: &Self| {
            parser.at(SyntaxKind::Comma)
                && matches!(parser.nth(1), SyntaxKind::Ident | SyntaxKind::String | SyntaxKind::RawString)
                && !parser.nth_on_new_line(1)
                && parser.nth(2) != SyntaxKind::Colon
        };
        if self.broken || !goes_on(self) {
            return;
        }
        while goes_on(self) {
            self.bump();
            self.bump();
        }
        let span = self.since(start);
        let text: String = self.source.text.get(span.range.clone()).unwrap_or_default().chars().take(80).collect();
        self.error(
            Diagnostic::error("unexpected-token", "several values stand in square brackets", span, "a list")
                .help(format!("write `[{text}]`")),
        );
    }

    fn header_value(&mut self) {
        match self.peek() {
            SyntaxKind::String | SyntaxKind::RawString => {
                self.string("a value");
            }
            SyntaxKind::LBracket => self.list_operand(),
            SyntaxKind::Number | SyntaxKind::Minus => {
                self.header_number();
            }
            SyntaxKind::Ident if !self.at_clause() => {
                self.path("a value");
            }
            _ => self.expected("a value"),
        }
    }

    /// A number, or what looks like one and should have been a string: `1.2.0`, `2027-01-31`.
    fn header_number(&mut self) {
        let start = self.here().range.start;
        let goes_on = matches!(
            self.nth(1),
            SyntaxKind::Number | SyntaxKind::Dot | SyntaxKind::Minus | SyntaxKind::Ident | SyntaxKind::Colon
        );
        let plain = self.at(SyntaxKind::Number) && !(goes_on && self.nth_is_adjacent(1));
        if plain {
            self.number("a value");
            return;
        }
        self.start(SyntaxKind::Literal);
        self.bump();
        while self.nth_is_adjacent(0)
            && matches!(
                self.peek(),
                SyntaxKind::Number | SyntaxKind::Dot | SyntaxKind::Minus | SyntaxKind::Ident | SyntaxKind::Colon
            )
        {
            self.bump();
        }
        self.finish();
        let span = self.since(start);
        let text = self.source.text.get(span.range.clone()).unwrap_or_default().to_owned();
        self.error(
            Diagnostic::error("unexpected-token", "this value stands in quotes", span, "neither a number nor a string")
                .help(format!("write \"{text}\"")),
        );
    }

    /// `on CLASS, CLASS`
    fn on_clause(&mut self) {
        self.start(SyntaxKind::OnClause);
        self.keyword();
        self.class_list();
        self.finish();
    }

    /// Classes separated by commas (or, as authors of other languages may write, by `or`).
    pub(super) fn class_list(&mut self) {
        loop {
            if !self.path("an event class such as `process.exec`") {
                break;
            }
            if self.at(SyntaxKind::Comma) {
                self.bump();
                if self.at_clause() {
                    self.expected("another class after the comma");
                    break;
                }
            } else if self.at_word("or") || self.at(SyntaxKind::OrOr) {
                let span = self.here();
                self.report(
                    Diagnostic::error("foreign-syntax", "classes are separated by commas", span, "not a comma")
                        .help("write `on process.exec, process.exit`"),
                );
                self.bump();
            } else {
                break;
            }
        }
    }

    /// A word and a condition.
    fn expr_clause(&mut self, kind: SyntaxKind) {
        self.start(kind);
        self.keyword();
        self.expr();
        self.finish();
    }

    /// `unless EXPR`; in a `tune` also `reason "…" expires "…"`.
    pub(super) fn unless_clause(&mut self) {
        self.start(SyntaxKind::UnlessClause);
        self.keyword();
        self.expr();
        while !self.broken && (self.at_word("reason") || self.at_word("expires")) && self.nth(1) == SyntaxKind::String {
            self.bump();
            self.string("a string");
        }
        self.finish();
    }

    /// `let NAME = EXPR`
    fn let_clause(&mut self) {
        self.start(SyntaxKind::LetClause);
        self.keyword();
        if self.name("a name") && self.expect(SyntaxKind::Eq) {
            self.expr();
        }
        self.finish();
    }
}
