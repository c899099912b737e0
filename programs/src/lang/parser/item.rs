//! Lists, macros, and the order of a file.

use super::{ITEM_WORDS, Parser};
use crate::diagnostic::Diagnostic;
use crate::lang::suggest::nearest;
use crate::lang::syntax::SyntaxKind;

impl Parser<'_> {
    /// Everything up to the end of the file.
    pub(super) fn items(&mut self) {
        while !self.at(SyntaxKind::Eof) {
            self.broken = false;
            self.braces = 0;
            let before = self.at;
            match self.text() {
                "rule" if !self.nth_on_new_line(1) => self.rule_item(),
                "list" if self.nth_is_name(1) => self.list_item(),
                "macro" if self.nth_is_name(1) => self.macro_item(),
                "table" if self.nth(1) == SyntaxKind::Ident => self.table_item(),
                "tune" if self.nth(1) != SyntaxKind::Eof => self.tune_item(),
                "import" if self.nth(1) == SyntaxKind::String => self.import_item(),
                _ => {
                    let span = self.here();
                    let message = format!("expected `rule`, `list` or `macro`, found {}", self.found());
                    let mut diagnostic =
                        Diagnostic::error("unexpected-token", message, span, "not the start of an item");
                    if self.at(SyntaxKind::RBrace) {
                        diagnostic = diagnostic.help("there is one `}` too many above");
                    } else if let Some(word) = self.item_word() {
                        diagnostic = diagnostic.help(format!("did you mean `{word}`?"));
                    } else if self.at_clause() || self.at(SyntaxKind::Ident) {
                        diagnostic =
                            diagnostic.help("a rule looks like `rule name { title: \"…\" on process.exec where … }`");
                    }
                    self.error(diagnostic);
                    self.skip_to_item();
                }
            }
            self.ensure_progress(before);
        }
    }

    /// The word of an item that was perhaps meant here.
    fn item_word(&self) -> Option<&'static str> {
        if self.nth(1) != SyntaxKind::Ident {
            return None;
        }
        nearest(self.text(), ITEM_WORDS.iter().copied())
    }

    /// `list NAME = [...]`
    fn list_item(&mut self) {
        self.start(SyntaxKind::ListItem);
        self.bump();
        self.name("a name for the list");
        if self.at(SyntaxKind::Colon) {
            self.bump();
            self.type_ref();
        }
        if self.expect(SyntaxKind::Eq) {
            if self.at(SyntaxKind::LBracket) || self.at(SyntaxKind::LParen) {
                self.list_operand();
            } else {
                self.expected("`[`");
            }
        }
        if self.broken {
            self.skip_to_item();
        }
        self.finish();
    }

    /// `macro NAME(p: process, limit: int) = EXPR`
    fn macro_item(&mut self) {
        self.start(SyntaxKind::MacroItem);
        self.bump();
        self.name("a name for the macro");
        if self.at(SyntaxKind::LParen) {
            self.start(SyntaxKind::ParamList);
            let open = self.here();
            self.bump();
            while !self.broken && !self.at(SyntaxKind::RParen) && !self.at(SyntaxKind::Eof) {
                self.start(SyntaxKind::Param);
                self.name("a parameter");
                if self.at(SyntaxKind::Colon) {
                    self.bump();
                    self.type_ref();
                } else {
                    let span = self.here();
                    self.error(
                        Diagnostic::error(
                            "unexpected-token",
                            "a macro's parameter has a type",
                            span,
                            "expected `:` and a type",
                        )
                        .help("write `p: process` for a group of fields, or `x: str` for a value"),
                    );
                }
                self.finish();
                if !self.at(SyntaxKind::Comma) {
                    break;
                }
                self.bump();
            }
            self.close(SyntaxKind::RParen, &open);
            self.finish();
        }
        if !self.broken && self.expect(SyntaxKind::Eq) {
            self.expr();
        }
        if self.broken {
            self.skip_to_item();
        }
        self.finish();
    }
}
