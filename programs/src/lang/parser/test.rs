//! Tests: events and what is expected of them.

use super::Parser;
use crate::diagnostic::Diagnostic;
use crate::lang::syntax::SyntaxKind;

impl Parser<'_> {
    /// `test "name" { … }`
    pub(super) fn test_item(&mut self) {
        self.start(SyntaxKind::TestItem);
        self.keyword();
        if self.at(SyntaxKind::Ident) {
            let span = self.here();
            let help = format!("write `test \"{}\" {{ … }}`", self.text());
            self.report(
                Diagnostic::error("unexpected-token", "the name of a test stands in quotes", span, "not in quotes")
                    .help(help),
            );
            self.bump();
            self.skip_to_brace();
        } else {
            self.string("the name of the test in quotes");
        }
        if self.at(SyntaxKind::LBrace) {
            let open = self.here();
            self.bump();
            while !matches!(self.peek(), SyntaxKind::RBrace | SyntaxKind::Eof) && !self.at_item() {
                self.clause_of(|parser| {
                    parser.test_entry();
                    if parser.broken {
                        parser.skip_test_entry();
                    }
                });
            }
            self.broken = false;
            self.close(SyntaxKind::RBrace, &open);
        } else {
            self.expected("`{`");
        }
        self.finish();
    }

    /// Skips to the next entry of a test: a line that begins with a name or `+`, or the closing brace.
    fn skip_test_entry(&mut self) {
        self.skip(|parser| {
            parser.nth_on_new_line(0)
                && (parser.at(SyntaxKind::Plus)
                    || parser.at(SyntaxKind::Ident) && parser.nth(1) != SyntaxKind::Colon
                    || parser.at_word("source"))
                && !matches!(parser.nth(1), SyntaxKind::Dot if parser.nth(3) == SyntaxKind::Colon)
        });
    }

    fn test_entry(&mut self) {
        if self.at_word("source") && self.nth(1) == SyntaxKind::Colon {
            self.start(SyntaxKind::TestSource);
            self.bump();
            self.bump();
            if self.at(SyntaxKind::Ident) {
                self.path("a source");
            } else {
                self.string("the name of a source");
            }
            self.finish();
        } else if self.at_word("expect") {
            self.expect_entry();
        } else if self.at(SyntaxKind::Plus) || self.at(SyntaxKind::Ident) {
            self.event();
        } else {
            self.expected("an event (`process.exec { … }`) or `expect …`");
            self.start(SyntaxKind::Skipped);
            self.bump_unchecked();
            self.finish();
        }
    }

    /// `+5s CLASS { … }` or `+5s from "FILE":3`
    fn event(&mut self) {
        let checkpoint = self.checkpoint();
        if self.at(SyntaxKind::Plus) {
            self.bump();
            self.number("a duration such as `5s`");
        }
        if self.at_word("from") && matches!(self.nth(1), SyntaxKind::String | SyntaxKind::RawString) {
            self.start_at(checkpoint, SyntaxKind::RecordedEvent);
            self.bump();
            self.string("a file name");
            if self.expect(SyntaxKind::Colon) {
                self.number("the line of the event");
            }
            self.finish();
            return;
        }
        self.start_at(checkpoint, SyntaxKind::TestEvent);
        if !self.broken && self.path("an event class such as `process.exec`") {
            if self.at(SyntaxKind::LBrace) {
                self.fields();
            } else {
                let span = self.here();
                let message = format!("expected the fields of an event, found {}", self.found());
                self.error(Diagnostic::error("unexpected-token", message, span, "expected `{`").help(
                    "an event is written `process.exec { process.name: \"bash\" }`, an expectation `expect alert`",
                ));
            }
        }
        self.finish();
    }

    /// `{ name: value, … }`, a trailing comma allowed.
    fn fields(&mut self) {
        let open = self.here();
        self.bump();
        while !self.broken && !matches!(self.peek(), SyntaxKind::RBrace | SyntaxKind::Eof) {
            self.start(SyntaxKind::FieldEntry);
            if self.path("a field name") && self.field_colon() {
                self.field_value();
            }
            self.finish();
            if self.at(SyntaxKind::Comma) {
                self.bump();
            } else if self.nth_on_new_line(0) && self.at(SyntaxKind::Ident) && !self.broken && !self.at_word("expect") {
                let span = self.here();
                self.report(Diagnostic::error(
                    "unexpected-token",
                    "fields are separated by commas",
                    span,
                    "expected `,` before this",
                ));
            } else {
                break;
            }
        }
        self.close(SyntaxKind::RBrace, &open);
    }

    fn field_colon(&mut self) -> bool {
        if matches!(self.peek(), SyntaxKind::Eq | SyntaxKind::EqEq) {
            let span = self.here();
            self.report(
                Diagnostic::error(
                    "foreign-syntax",
                    "the value of a field is written after a colon",
                    span,
                    "not a colon",
                )
                .help("write `process.name: \"bash\"`"),
            );
            self.bump();
            return true;
        }
        self.expect(SyntaxKind::Colon)
    }

    fn field_value(&mut self) {
        match self.peek() {
            SyntaxKind::Ident if self.at_word("lost") => {
                self.start(SyntaxKind::LostValue);
                self.bump();
                self.finish();
            }
            SyntaxKind::Ident if self.at_word("truncated") => {
                self.start(SyntaxKind::TruncatedValue);
                self.bump();
                self.string("the part that was kept, in quotes");
                self.finish();
            }
            SyntaxKind::LBrace => self.nested(|parser| {
                parser.start(SyntaxKind::RecordValue);
                parser.fields();
                parser.finish();
            }),
            SyntaxKind::LBracket => self.nested(|parser| {
                parser.start(SyntaxKind::ListExpr);
                let open = parser.here();
                parser.bump();
                while !parser.broken && !matches!(parser.peek(), SyntaxKind::RBracket | SyntaxKind::Eof) {
                    parser.field_value();
                    if !parser.at(SyntaxKind::Comma) {
                        break;
                    }
                    parser.bump();
                }
                parser.close(SyntaxKind::RBracket, &open);
                parser.finish();
            }),
            SyntaxKind::Ident => {
                self.path("a value");
            }
            SyntaxKind::Minus => {
                self.start(SyntaxKind::NegExpr);
                self.bump();
                self.number("a number");
                self.finish();
            }
            SyntaxKind::Number => {
                self.number("a value");
            }
            _ => {
                self.string("a value");
            }
        }
    }

    /// `expect alert at 2 { severity: high }`, `expect none`, …
    fn expect_entry(&mut self) {
        self.start(SyntaxKind::Expect);
        self.bump();
        if self.name("`alert`, `none`, `not_evaluable` or `suppressed`") {
            if self.at_word("at") {
                self.bump();
                self.number("the number of an event, from 1");
            }
            if self.at(SyntaxKind::LBrace) {
                self.fields();
            }
        }
        self.finish();
    }
}
