//! Conditions and values, by precedence climbing.
//!
//! From loosest to tightest: `or`, `and`, `not`, comparison (not chained), `??`, `+ -`, `* / %`, unary `-`, primary.
//! A chain of one level is one flat node, so the depth of the tree is the depth of the brackets, not the length of
//! the text.

use rowan::Checkpoint;

use super::{CLAUSE_WORDS, Parser};
use crate::diagnostic::{Diagnostic, Span};
use crate::lang::limits::LIST_ITEMS_MAX;
use crate::lang::suggest::nearest;
use crate::lang::syntax::SyntaxKind;

/// Comparison operators that are words.
const WORD_OPERATORS: &[&str] = &["in", "like", "regex", "contains", "startswith", "endswith", "under"];

/// Words that go on after an expression and are no operators.
const FOLLOWERS: &[&str] =
    &["and", "or", "not", "by", "within", "for", "as", "runs", "reason", "expires", "history", "learn", "across"];

/// Other languages' words for our operators.
fn foreign_operator(word: &str) -> Option<&'static str> {
    Some(match word.to_ascii_lowercase().as_str() {
        "is" | "equals" | "eq" => "==",
        "ne" | "isnot" => "!=",
        "matches" | "match" | "re" | "rlike" => "regex",
        "wildcard" | "glob" | "ilike" => "like~",
        "has" | "icontains" | "includes" | "has_any" => "contains~",
        "istartswith" | "starts_with" => "startswith",
        "iendswith" | "ends_with" => "endswith",
        "gt" => ">",
        "gte" | "ge" => ">=",
        "lt" => "<",
        "lte" | "le" => "<=",
        "pmatch" => "under",
        _ => return None,
    })
}

/// A unit written as a word of its own, as we write it.
fn unit_of(word: &str) -> Option<&'static str> {
    Some(match word.to_ascii_lowercase().as_str() {
        "ns" | "nanoseconds" => "ns",
        "us" | "microseconds" => "us",
        "ms" | "millis" | "milliseconds" => "ms",
        "s" | "sec" | "secs" | "second" | "seconds" => "s",
        "m" | "min" | "mins" | "minute" | "minutes" => "m",
        "h" | "hour" | "hours" => "h",
        "d" | "day" | "days" => "d",
        "w" | "week" | "weeks" => "w",
        "b" | "byte" | "bytes" => "B",
        "kb" => "kB",
        "mb" => "MB",
        "gb" => "GB",
        "tb" => "TB",
        "kib" => "KiB",
        "mib" => "MiB",
        "gib" => "GiB",
        "tib" => "TiB",
        _ => return None,
    })
}

impl Parser<'_> {
    /// A condition or value.
    pub(super) fn expr(&mut self) {
        self.nested(Self::or_expr);
    }

    /// A clause begins here, or nothing is left: an operand is missing.
    fn at_end_of_expr(&self) -> bool {
        self.at(SyntaxKind::Eof) || self.at(SyntaxKind::RBrace) || self.at_clause() || self.at_item()
    }

    fn foreign(&mut self, message: &str, help: &str) {
        let span = self.here();
        self.report(Diagnostic::error("foreign-syntax", message, span, "").help(help));
    }

    /// Whether a connective stands here: ours, or another language's, which is reported.
    fn connective(&mut self, ours: &str, symbol: SyntaxKind) -> bool {
        if self.at_word(ours) {
            return true;
        }
        let upper = self.at(SyntaxKind::Ident) && self.text().eq_ignore_ascii_case(ours);
        if upper || self.at(symbol) {
            let message = format!("`{}` is written `{ours}`", self.text());
            self.foreign(&message, &format!("write `{ours}`"));
            return true;
        }
        false
    }

    fn or_expr(&mut self) {
        let checkpoint = self.checkpoint();
        self.and_expr();
        let mut open = false;
        while !self.broken && self.connective("or", SyntaxKind::OrOr) {
            if !open {
                self.start_at(checkpoint, SyntaxKind::OrExpr);
                open = true;
            }
            self.bump();
            self.and_expr();
        }
        if open {
            self.finish();
        }
    }

    fn and_expr(&mut self) {
        let checkpoint = self.checkpoint();
        self.not_expr();
        let mut open = false;
        while !self.broken && self.connective("and", SyntaxKind::AndAnd) {
            if !open {
                self.start_at(checkpoint, SyntaxKind::AndExpr);
                open = true;
            }
            self.bump();
            self.not_expr();
        }
        if open {
            self.finish();
        }
    }

    fn not_expr(&mut self) {
        let word = self.at_word("not");
        let foreign = self.at(SyntaxKind::Bang) || (!word && self.at(SyntaxKind::Ident) && self.text() == "NOT");
        if word || foreign {
            if foreign {
                let message = format!("`{}` is written `not`", self.text());
                self.foreign(&message, "write `not`");
            }
            self.nested(|parser| {
                parser.start(SyntaxKind::NotExpr);
                parser.bump();
                parser.not_expr();
                parser.finish();
            });
        } else {
            self.comparison();
        }
    }

    /// How many tokens make a comparison operator here, `not` and `~` left out; 0: none.
    fn at_operator(&self, ahead: usize) -> bool {
        match self.nth(ahead) {
            SyntaxKind::EqEq
            | SyntaxKind::NotEq
            | SyntaxKind::Less
            | SyntaxKind::LessEq
            | SyntaxKind::Greater
            | SyntaxKind::GreaterEq
            | SyntaxKind::Eq
            | SyntaxKind::Colon => true,
            SyntaxKind::Ident => WORD_OPERATORS.contains(&self.nth_text(ahead)),
            _ => false,
        }
    }

    /// A word in the place of an operator, with something to compare after it.
    fn at_unknown_operator(&self, ahead: usize) -> bool {
        let word = self.nth_text(ahead);
        let operand = matches!(
            self.nth(ahead + 1),
            SyntaxKind::String
                | SyntaxKind::RawString
                | SyntaxKind::Number
                | SyntaxKind::LBracket
                | SyntaxKind::LParen
                | SyntaxKind::Tilde
        );
        self.nth(ahead) == SyntaxKind::Ident
            && !self.nth_on_new_line(ahead)
            && operand
            && !FOLLOWERS.contains(&word)
            && !CLAUSE_WORDS.contains(&word)
            && !["AND", "OR", "NOT"].contains(&word)
    }

    /// A constant right after an operand, on the same line.
    fn at_missing_operator(&self) -> bool {
        matches!(self.peek(), SyntaxKind::String | SyntaxKind::RawString | SyntaxKind::Number)
            && !self.nth_on_new_line(0)
    }

    fn comparison(&mut self) {
        let checkpoint = self.checkpoint();
        self.default_expr();
        let mut open = false;
        let mut last_operator: Option<Span> = None;
        while !self.broken {
            if !open && self.at_missing_operator() {
                // Two values side by side: the comparison has no operator, and means nothing further on.
                self.start_at(checkpoint, SyntaxKind::CompareExpr);
                open = true;
                let span = self.here();
                self.report(
                    Diagnostic::error(
                        "unexpected-token",
                        "an operator is missing before this value",
                        span,
                        "compared how?",
                    )
                    .help("operators are == != < <= > >= in like regex contains startswith endswith under"),
                );
                self.default_expr();
                continue;
            }
            let negated = self.at_word("not") && (self.at_operator(1) || self.at_unknown_operator(1));
            if !negated && !self.at_operator(0) && !self.at_unknown_operator(0) {
                break;
            }
            if !open {
                self.start_at(checkpoint, SyntaxKind::CompareExpr);
                open = true;
            }
            let start = self.here().range.start;
            if negated {
                self.bump();
            }
            if let Some(first) = &last_operator {
                let span = self.here();
                self.error(
                    Diagnostic::error("unexpected-token", "comparisons are not chained", span, "a second comparison")
                        .label(first.clone(), "the first one")
                        .help("join two comparisons with `and`: `1 < x and x < 5`"),
                );
                break;
            }
            let is_in = self.operator();
            last_operator = Some(self.since(start));
            if self.broken {
                break;
            }
            let takes_all = self.at_word("all")
                && matches!(
                    self.nth(1),
                    SyntaxKind::LBracket
                        | SyntaxKind::LParen
                        | SyntaxKind::Ident
                        | SyntaxKind::String
                        | SyntaxKind::RawString
                )
                && !self.nth_on_new_line(1);
            if takes_all {
                self.bump();
            }
            if self.at(SyntaxKind::LParen) && (is_in || takes_all) {
                self.list_operand();
            } else {
                self.default_expr();
            }
        }
        if open {
            self.finish();
        }
    }

    /// Takes the operator and its `~`; true for `in`.
    fn operator(&mut self) -> bool {
        let text = self.text().to_owned();
        match self.peek() {
            SyntaxKind::Eq => self.foreign("`=` does not compare", "write `==`"),
            SyntaxKind::Colon => self.foreign(
                "`:` does not compare",
                "write `==~` to compare without regard to case, or `like~` if the value has wildcards",
            ),
            SyntaxKind::Ident if !WORD_OPERATORS.contains(&text.as_str()) => {
                let span = self.here();
                let mut diagnostic = Diagnostic::error(
                    "unknown-operator",
                    format!("there is no operator `{text}`"),
                    span,
                    "not an operator",
                );
                diagnostic = match (foreign_operator(&text), nearest(&text, WORD_OPERATORS.iter().copied())) {
                    (Some(ours), _) => diagnostic.help(format!("write `{ours}`")),
                    (None, Some(near)) => diagnostic.help(format!("did you mean `{near}`?")),
                    (None, None) => diagnostic
                        .help("operators are == != < <= > >= in like regex contains startswith endswith under"),
                };
                self.report(diagnostic);
            }
            _ => {}
        }
        self.bump();
        if self.at(SyntaxKind::Tilde) {
            if !self.nth_is_adjacent(0) {
                let span = self.here();
                self.report(
                    Diagnostic::error(
                        "unexpected-token",
                        "`~` stands right after its operator",
                        span,
                        "a space before it",
                    )
                    .help(format!("write `{text}~`")),
                );
            }
            self.bump();
        }
        text.eq_ignore_ascii_case("in")
    }

    fn default_expr(&mut self) {
        self.chain(SyntaxKind::DefaultExpr, &[SyntaxKind::Default], |parser| {
            parser.chain(SyntaxKind::SumExpr, &[SyntaxKind::Plus, SyntaxKind::Minus], |parser| {
                let operators = [SyntaxKind::Star, SyntaxKind::Slash, SyntaxKind::Percent];
                parser.chain(SyntaxKind::ProductExpr, &operators, Self::unary);
            });
        });
    }

    /// Operands of one precedence level, as one node.
    fn chain(&mut self, node: SyntaxKind, operators: &[SyntaxKind], mut operand: impl FnMut(&mut Self)) {
        let checkpoint = self.checkpoint();
        operand(self);
        let mut open = false;
        while !self.broken && operators.contains(&self.peek()) {
            if !open {
                self.start_at(checkpoint, node);
                open = true;
            }
            self.bump();
            operand(self);
        }
        if open {
            self.finish();
        }
    }

    fn unary(&mut self) {
        if self.at(SyntaxKind::Minus) {
            self.nested(|parser| {
                parser.start(SyntaxKind::NegExpr);
                parser.bump();
                parser.unary();
                parser.finish();
            });
        } else {
            self.primary();
        }
    }

    /// A literal, list, name, call, quantifier or bracketed expression.
    pub(super) fn primary(&mut self) {
        let connective = self.at_word("and") || self.at_word("or");
        if self.at_end_of_expr() || connective && self.nth(1) != SyntaxKind::Dot {
            return self.expected("a condition or value");
        }
        let checkpoint = self.checkpoint();
        match self.peek() {
            SyntaxKind::Number => self.number_literal(),
            SyntaxKind::String | SyntaxKind::RawString => {
                self.start(SyntaxKind::Literal);
                self.bump();
                self.finish();
            }
            SyntaxKind::LBracket => self.list_operand(),
            SyntaxKind::LParen => self.paren(checkpoint),
            SyntaxKind::Ident if self.at_quantifier() => self.quantifier(),
            SyntaxKind::Ident if self.at_nameless_quantifier() => {
                let span = self.here();
                let help = format!("write `{} p in LIST {{ p … }}`", self.text());
                self.error(
                    Diagnostic::error("unexpected-token", "the element has no name here", span, "of which element?")
                        .help(help),
                );
            }
            SyntaxKind::Ident | SyntaxKind::QuotedIdent => {
                self.path("a name");
                if matches!(self.peek(), SyntaxKind::String | SyntaxKind::RawString) && self.nth_is_adjacent(0) {
                    // `bash"`: the quote that closes looks like one that opens.
                    self.start_at(checkpoint, SyntaxKind::Literal);
                    let span = self.here();
                    self.error(
                        Diagnostic::error(
                            "unexpected-token",
                            "a quote right after a name",
                            span,
                            "opens a string here",
                        )
                        .help("strings have a quote at either end; between two values stands an operator"),
                    );
                    self.bump_unchecked();
                    self.finish();
                } else if self.at(SyntaxKind::LParen) && !self.nth_on_new_line(0) {
                    self.start_at(checkpoint, SyntaxKind::CallExpr);
                    self.arguments(SyntaxKind::LParen, SyntaxKind::RParen);
                    self.finish();
                } else if self.at(SyntaxKind::LBracket) && self.nth_is_adjacent(0) {
                    self.start_at(checkpoint, SyntaxKind::IndexExpr);
                    self.arguments(SyntaxKind::LBracket, SyntaxKind::RBracket);
                    self.finish();
                }
            }
            _ => self.expected("a condition or value"),
        }
    }

    /// A number; an address or version without quotes is answered with them.
    fn number_literal(&mut self) {
        let start = self.here().range.start;
        self.start(SyntaxKind::Literal);
        self.bump();
        let mut parts = 1;
        while self.nth_is_adjacent(0)
            && self.at(SyntaxKind::Dot)
            && self.nth(1) == SyntaxKind::Number
            && self.nth_is_adjacent(1)
        {
            self.bump();
            self.bump();
            parts += 1;
        }
        let unit = (parts == 1 && self.at(SyntaxKind::Ident) && !self.nth_on_new_line(0))
            .then(|| unit_of(self.text()))
            .flatten();
        if let Some(unit) = unit {
            let text = self.since(start).range;
            let number = self.source.text.get(text).unwrap_or_default();
            let help = format!("write `{number}{unit}`");
            let span = self.here();
            let message = "a unit stands right after its number";
            self.error(Diagnostic::error("unexpected-token", message, span, "not part of the number").help(help));
            self.bump();
        }
        self.finish();
        if parts > 1 {
            let span = self.since(start);
            let text = self.source.text.get(span.range.clone()).unwrap_or_default().to_owned();
            self.error(
                Diagnostic::error("unexpected-token", "this value stands in quotes", span, "not a number")
                    .help(format!("write \"{text}\"")),
            );
        }
    }

    /// `(e)`, or another language's list `(a, b)`.
    fn paren(&mut self, checkpoint: Checkpoint) {
        let open = self.here();
        self.bump();
        self.expr();
        if !self.broken && self.at(SyntaxKind::Comma) {
            self.start_at(checkpoint, SyntaxKind::ListExpr);
            self.list_items(SyntaxKind::RParen, 1);
            let closed = self.close(SyntaxKind::RParen, &open);
            self.finish();
            if closed {
                self.report_paren_list(&open);
            }
            return;
        }
        self.start_at(checkpoint, SyntaxKind::ParenExpr);
        if !self.broken {
            self.close(SyntaxKind::RParen, &open);
        }
        self.finish();
    }

    fn report_paren_list(&mut self, open: &Span) {
        let span = self.since(open.range.start);
        let inner = self.source.text.get(span.range.start + 1..span.range.end.saturating_sub(1)).unwrap_or_default();
        let inner: String = inner.split_whitespace().collect::<Vec<_>>().join(" ");
        let fixed = if inner.chars().count() > 80 {
            "write `[ … ]`".to_owned()
        } else {
            format!("write `[{}]`", inner.trim())
        };
        self.report(
            Diagnostic::error("foreign-syntax", "lists stand in square brackets", span, "a list in parentheses")
                .help(fixed),
        );
    }

    /// `[a, b]`, or the same in parentheses, which is reported.
    pub(super) fn list_operand(&mut self) {
        self.nested(|parser| {
            let open = parser.here();
            let close = if parser.at(SyntaxKind::LParen) { SyntaxKind::RParen } else { SyntaxKind::RBracket };
            parser.start(SyntaxKind::ListExpr);
            parser.bump();
            parser.list_items(close, 0);
            let closed = !parser.broken && parser.close(close, &open);
            parser.finish();
            if closed && close == SyntaxKind::RParen {
                parser.report_paren_list(&open);
            }
        });
    }

    /// Items up to the closing delimiter, separated by commas; the last may have one too.
    fn list_items(&mut self, close: SyntaxKind, before: usize) {
        let mut count = before;
        let mut after_comma = false;
        while !self.broken && !self.at(close) && !self.at_end_of_expr() {
            if self.at(SyntaxKind::Comma) && after_comma {
                let span = self.here();
                let message = "an element is missing between two commas";
                self.report(
                    Diagnostic::error("unexpected-token", message, span, "one comma too many")
                        .help("leave one of the commas out"),
                );
                self.bump();
                continue;
            }
            // Another language's list, `("a", "b")`, is entered at its first comma.
            if self.at(SyntaxKind::Comma) && count > 0 && !after_comma {
                self.bump();
                after_comma = true;
                continue;
            }
            if count == LIST_ITEMS_MAX {
                let span = self.here();
                let message = format!("a list has at most {LIST_ITEMS_MAX} elements");
                self.report(Diagnostic::error("limit", message, span, "one too many"));
            }
            count += 1;
            self.default_expr();
            if self.broken || self.at(close) {
                break;
            }
            after_comma = self.at(SyntaxKind::Comma);
            if after_comma {
                self.bump();
            } else if matches!(self.peek(), SyntaxKind::String | SyntaxKind::RawString | SyntaxKind::Number) {
                let span = self.here();
                self.report(Diagnostic::error(
                    "unexpected-token",
                    "elements of a list are separated by commas",
                    span,
                    "expected `,` before this",
                ));
            } else {
                break;
            }
        }
    }

    /// The arguments of a call or index, with their brackets.
    fn arguments(&mut self, open_kind: SyntaxKind, close: SyntaxKind) {
        let open = self.here();
        self.expect(open_kind);
        while !self.broken && !self.at(close) && !self.at(SyntaxKind::Eof) {
            self.expr();
            if self.broken || !self.at(SyntaxKind::Comma) {
                break;
            }
            self.bump();
        }
        if !self.broken {
            self.close(close, &open);
        }
    }

    fn at_quantifier(&self) -> bool {
        (self.at_word("any") || self.at_word("all")) && self.nth(1) == SyntaxKind::Ident && self.nth_is_word(2, "in")
    }

    /// `any LIST { … }`, as some languages have it: two names side by side that no operator joins.
    fn at_nameless_quantifier(&self) -> bool {
        let word = self.nth_text(1);
        (self.at_word("any") || self.at_word("all"))
            && self.nth(1) == SyntaxKind::Ident
            && !self.nth_on_new_line(1)
            && !self.at_operator(1)
            && !FOLLOWERS.contains(&word)
            && !["AND", "OR", "NOT"].contains(&word)
    }

    /// `any p in LIST { e }`
    fn quantifier(&mut self) {
        self.start(SyntaxKind::QuantifierExpr);
        self.bump();
        self.name("a name for the element");
        self.bump();
        if self.path("a list field such as `process.ancestors`") {
            if self.at(SyntaxKind::Colon) {
                self.foreign("the condition on an element stands in braces", "write `any p in LIST { … }`");
                self.bump();
                self.comparison();
            } else if self.at(SyntaxKind::LBrace) {
                let open = self.here();
                self.bump();
                self.expr();
                if !self.broken {
                    self.close(SyntaxKind::RBrace, &open);
                }
            } else {
                self.expected("`{` and a condition on the element");
            }
        }
        self.finish();
    }
}
