//! Constructs whose grammar is settled and which cannot be compiled yet: parsed in full, so that one message says so
//! and nothing else in the file suffers.

use super::Parser;
use crate::lang::syntax::SyntaxKind;

impl Parser<'_> {
    /// `table NAME: map<cidr, {…}> from "FILE" max 500000`
    pub(super) fn table_item(&mut self) {
        self.start(SyntaxKind::TableItem);
        self.bump();
        self.name("a name for the table");
        if self.expect(SyntaxKind::Colon) {
            self.type_ref();
        }
        while !self.broken && self.at(SyntaxKind::Ident) && !self.at_item() {
            match self.text() {
                "from" => {
                    self.bump();
                    self.string("a file name");
                }
                "max" => {
                    self.bump();
                    self.number("a number of entries");
                }
                "reload" => {
                    self.bump();
                    self.path("`live`");
                }
                _ => self.expected("`from \"FILE\"` or `max N`"),
            }
        }
        if self.broken {
            self.skip_to_item();
        }
        self.finish();
    }

    /// `import "FILE"`
    pub(super) fn import_item(&mut self) {
        self.start(SyntaxKind::ImportItem);
        self.bump();
        self.string("a file name");
        self.finish();
    }

    /// `tune NAME | "uuid" | tag(x) { … }`
    pub(super) fn tune_item(&mut self) {
        self.start(SyntaxKind::TuneItem);
        self.bump();
        match self.peek() {
            SyntaxKind::String | SyntaxKind::RawString => {
                self.string("a rule");
            }
            SyntaxKind::Ident if self.at_word("tag") && self.nth(1) == SyntaxKind::LParen => {
                self.bump();
                let open = self.here();
                self.bump();
                self.expr();
                self.close(SyntaxKind::RParen, &open);
            }
            _ => {
                self.path("a rule's name");
            }
        }
        if !self.broken && self.at(SyntaxKind::LBrace) {
            let open = self.here();
            self.bump();
            while !matches!(self.peek(), SyntaxKind::RBrace | SyntaxKind::Eof) && !self.at_item() {
                self.clause_of(|parser| {
                    parser.tuning();
                    if parser.broken {
                        parser.skip_to_clause();
                    }
                });
            }
            self.broken = false;
            self.close(SyntaxKind::RBrace, &open);
        } else {
            self.expected("`{`");
            self.skip_to_item();
        }
        self.finish();
    }

    fn tuning(&mut self) {
        match self.text() {
            "unless" => self.unless_clause(),
            "disable" => self.bump(),
            _ if self.at(SyntaxKind::Ident) && self.nth(1) == SyntaxKind::Colon => self.header_entry(),
            _ if self.at(SyntaxKind::Ident) && self.nth(1) == SyntaxKind::Eq => {
                self.start(SyntaxKind::LetClause);
                self.name("a parameter");
                self.bump();
                self.expr();
                self.finish();
            }
            _ => self.expected("`unless`, a parameter, `severity:` or `disable`"),
        }
    }

    /// `sequence [unordered] [by KEYS] [within 5m] [ CLASS where … ] as NAME …`
    pub(super) fn sequence_clause(&mut self) {
        self.start(SyntaxKind::LaterClause);
        self.keyword();
        if self.at_word("unordered") {
            self.bump();
        }
        self.modifiers();
        while !self.broken && self.at_step() {
            self.step();
            self.modifiers();
        }
        self.finish();
    }

    fn at_step(&self) -> bool {
        self.at(SyntaxKind::LBracket) || (self.at(SyntaxKind::Bang) && self.nth(1) == SyntaxKind::LBracket)
    }

    /// `![ CLASS where EXPR by KEYS ] as NAME runs 5`
    fn step(&mut self) {
        self.nested(|parser| {
            parser.start(SyntaxKind::Step);
            if parser.at(SyntaxKind::Bang) {
                parser.bump();
            }
            let open = parser.here();
            parser.expect(SyntaxKind::LBracket);
            parser.class_list();
            if parser.at_word("where") {
                parser.bump();
                parser.expr();
            }
            parser.modifiers();
            parser.close(SyntaxKind::RBracket, &open);
            while !parser.broken && (parser.at_word("as") || parser.at_word("runs")) {
                let alias = parser.at_word("as");
                parser.bump();
                if alias {
                    parser.name("a name for the step");
                } else {
                    parser.number("a number of repetitions");
                }
            }
            parser.finish();
        });
    }

    /// `by KEYS`, `within 5m`, `across hosts`, `for 1h`, `history 14d`, `learn 7d`, in any order.
    fn modifiers(&mut self) {
        while !self.broken && self.at(SyntaxKind::Ident) {
            match self.text() {
                "by" => {
                    self.bump();
                    while self.path("a field") && self.at(SyntaxKind::Comma) {
                        self.bump();
                    }
                }
                "within" | "for" | "history" | "learn" if self.nth(1) == SyntaxKind::Number => {
                    self.bump();
                    self.number("a duration");
                }
                "within" | "for" | "history" | "learn" => {
                    self.bump();
                    self.expected("a duration such as `5m`");
                }
                "across" => {
                    self.bump();
                    self.path("`hosts`");
                }
                _ => break,
            }
        }
    }

    /// Modifiers that stand alone.
    pub(super) fn modifiers_clause(&mut self) {
        self.start(SyntaxKind::LaterClause);
        self.modifiers();
        self.finish();
    }

    /// `until [ CLASS where … ]`
    pub(super) fn until_clause(&mut self) {
        self.start(SyntaxKind::LaterClause);
        self.keyword();
        if self.at_step() {
            self.step();
        } else {
            self.expected("`[`");
        }
        self.finish();
    }

    /// `count >= 20 and distinct(user.name) >= 5 by source.ip within 5m`
    pub(super) fn count_clause(&mut self) {
        self.start(SyntaxKind::LaterClause);
        self.opening = self.at;
        self.expr();
        self.opening = usize::MAX;
        self.modifiers();
        self.finish();
    }

    /// `first_seen (KEYS) history 14d learn 7d`
    pub(super) fn first_seen_clause(&mut self) {
        self.start(SyntaxKind::LaterClause);
        self.keyword();
        let open = self.here();
        if self.expect(SyntaxKind::LParen) {
            while self.path("a field") && self.at(SyntaxKind::Comma) {
                self.bump();
            }
            self.close(SyntaxKind::RParen, &open);
        }
        self.modifiers();
        self.finish();
    }

    /// `suppress by KEYS for 1h`
    pub(super) fn suppress_clause(&mut self) {
        self.start(SyntaxKind::LaterClause);
        self.keyword();
        self.modifiers();
        self.finish();
    }

    /// `param NAME: int = 20 in 5..1000`
    pub(super) fn param_clause(&mut self) {
        self.start(SyntaxKind::LaterClause);
        self.keyword();
        self.name("a name for the parameter");
        if self.expect(SyntaxKind::Colon) {
            self.type_ref();
        }
        if !self.broken && self.expect(SyntaxKind::Eq) {
            // The range is no operator of conditions: the value is read alone.
            self.primary();
        }
        if !self.broken && self.at_word("in") {
            self.bump();
            self.primary();
            if self.at(SyntaxKind::DotDot) {
                self.bump();
                self.primary();
            }
        }
        self.finish();
    }

    /// `limits { keys: 4096, evict: oldest }`
    pub(super) fn limits_clause(&mut self) {
        self.start(SyntaxKind::LaterClause);
        self.keyword();
        let open = self.here();
        if self.expect(SyntaxKind::LBrace) {
            while !self.broken && !self.at(SyntaxKind::RBrace) && !self.at(SyntaxKind::Eof) {
                self.header_entry();
                if self.at(SyntaxKind::Comma) {
                    self.bump();
                }
            }
            self.close(SyntaxKind::RBrace, &open);
        }
        self.finish();
    }
}
