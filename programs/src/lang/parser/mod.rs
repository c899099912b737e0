//! Recursive descent from tokens to a lossless tree.
//!
//! The tree's text is the input, whatever the input. A mistake is reported once, at the place where it is noticed;
//! what follows is skipped in silence up to the next clause at the beginning of a line, the closing brace, or the
//! next item, so that one mistake gives one message and all mistakes of a file are found in one go. Every loop
//! consumes a token or ends, and nesting is bounded by [`NESTING_MAX`], so parsing takes linear time and bounded
//! stack.
//!
//! `item.rs` has what stands at the top of a file, `rule.rs` the clauses of a rule, `later.rs` the constructs that
//! are parsed only, `test.rs` the tests and `expr.rs` conditions.

mod expr;
mod item;
mod later;
mod rule;
mod test;

use std::sync::Arc;

use rowan::{Checkpoint, GreenNode, GreenNodeBuilder, Language as _};

use super::limits::{DIAGNOSTICS_MAX, NAME_LEN_MAX, NESTING_MAX};
use super::literal::cook;
use super::syntax::{Language, SyntaxKind, Token, is_terminated, tokens};
use crate::diagnostic::{Diagnostic, Source, Span};

/// Words that begin an item at the top of a file.
const ITEM_WORDS: &[&str] = &["rule", "list", "macro", "table", "tune", "import"];

/// Keys of a rule's header.
pub(crate) const HEADER_KEYS: &[&str] = &[
    "id",
    "version",
    "title",
    "description",
    "severity",
    "status",
    "os",
    "attack",
    "references",
    "false_positives",
    "author",
    "authors",
    "tags",
];

/// Words that begin a clause in a rule.
const CLAUSE_WORDS: &[&str] = &[
    "on",
    "where",
    "let",
    "unless",
    "output",
    "test",
    "sequence",
    "until",
    "count",
    "distinct",
    "sum",
    "avg",
    "min",
    "max",
    "percentile",
    "median",
    "first_seen",
    "suppress",
    "param",
    "limits",
    "within",
    "by",
    "across",
    "expect",
    "source",
    "from",
];

struct Parser<'a> {
    source: &'a Arc<Source>,
    tokens: Vec<Token>,
    /// Indices into `tokens` of those that mean something.
    significant: Vec<usize>,
    /// Next of `significant`.
    at: usize,
    /// Next of `tokens` to put into the tree.
    emitted: usize,
    builder: GreenNodeBuilder<'static>,
    diagnostics: Vec<Diagnostic>,
    /// Diagnostics beyond the limit.
    unreported: usize,
    /// Set by an error, cleared at the next clause, entry or item: until then, skipping is silent.
    broken: bool,
    depth: u32,
    /// Braces opened in the current clause and not closed.
    braces: u32,
    /// Where the current clause began: `count` there is no sign of a new one.
    opening: usize,
}

/// Parses a whole file.
pub(super) fn parse_file(source: &Arc<Source>) -> (GreenNode, Vec<Diagnostic>) {
    let tokens = tokens(&source.text);
    let significant =
        tokens.iter().enumerate().filter(|(_, token)| !token.kind.is_trivia()).map(|(index, _)| index).collect();
    let mut parser = Parser {
        source,
        tokens,
        significant,
        at: 0,
        emitted: 0,
        builder: GreenNodeBuilder::new(),
        diagnostics: Vec::new(),
        unreported: 0,
        broken: false,
        depth: 0,
        braces: 0,
        opening: usize::MAX,
    };
    parser.builder.start_node(Language::kind_to_raw(SyntaxKind::File));
    parser.items();
    parser.trivia();
    parser.builder.finish_node();
    if parser.unreported > 0 {
        let end = source.text.len();
        let span = Span { source: source.clone(), range: end..end };
        let message = format!("{} more mistakes in this file are not shown", parser.unreported);
        parser.diagnostics.push(Diagnostic::error("limit", message, span, ""));
    }
    (parser.builder.finish(), parser.diagnostics)
}

// Looking at tokens.
impl Parser<'_> {
    fn token(&self, ahead: usize) -> Option<Token> {
        let index = self.significant.get(self.at + ahead)?;
        self.tokens.get(*index).copied()
    }

    fn nth(&self, ahead: usize) -> SyntaxKind {
        self.token(ahead).map_or(SyntaxKind::Eof, |token| token.kind)
    }

    fn peek(&self) -> SyntaxKind {
        self.nth(0)
    }

    fn at(&self, kind: SyntaxKind) -> bool {
        self.peek() == kind
    }

    fn text_of(&self, token: Token) -> &str {
        self.source.text.get(token.start..token.end).unwrap_or_default()
    }

    fn nth_text(&self, ahead: usize) -> &str {
        self.token(ahead).map_or("", |token| self.text_of(token))
    }

    fn text(&self) -> &str {
        self.nth_text(0)
    }

    /// Whether the token is this contextual keyword.
    fn at_word(&self, word: &str) -> bool {
        self.nth_is_word(0, word)
    }

    fn nth_is_word(&self, ahead: usize, word: &str) -> bool {
        self.nth(ahead) == SyntaxKind::Ident && self.nth_text(ahead) == word
    }

    /// Whether the token is the first of its line.
    fn nth_on_new_line(&self, ahead: usize) -> bool {
        let Some(index) = self.significant.get(self.at + ahead).copied() else { return true };
        let before = match (self.at + ahead).checked_sub(1).and_then(|before| self.significant.get(before)) {
            Some(before) => self.tokens.get(before + 1..index).unwrap_or_default(),
            None => return true,
        };
        before.iter().any(|token| token.kind == SyntaxKind::Whitespace && self.text_of(*token).contains('\n'))
    }

    /// Whether nothing stands between the token and the one before it.
    fn nth_is_adjacent(&self, ahead: usize) -> bool {
        let before = (self.at + ahead).checked_sub(1).and_then(|index| self.significant.get(index));
        match (before.and_then(|index| self.tokens.get(*index)), self.token(ahead)) {
            (Some(before), Some(token)) => before.end == token.start,
            _ => false,
        }
    }

    fn here(&self) -> Span {
        let range = match self.token(0) {
            Some(token) => token.start..token.end,
            None => {
                let end = self.tokens.iter().rev().find(|token| !token.kind.is_trivia()).map_or(0, |token| token.end);
                end..end
            }
        };
        Span { source: self.source.clone(), range }
    }

    /// The place just after the token before the current one.
    fn after_last(&self) -> Span {
        let before = self.at.checked_sub(1).and_then(|index| self.significant.get(index));
        let end = before.and_then(|index| self.tokens.get(*index)).map_or(0, |token| token.end);
        Span { source: self.source.clone(), range: end..end }
    }

    /// From the start of one span to the end of the token before the current one.
    fn since(&self, start: usize) -> Span {
        let before = self.at.checked_sub(1).and_then(|index| self.significant.get(index));
        let end = before.and_then(|index| self.tokens.get(*index)).map_or(start, |token| token.end.max(start));
        Span { source: self.source.clone(), range: start..end }
    }

    /// What stands here, for messages.
    fn found(&self) -> String {
        match self.token(0) {
            Some(token) if matches!(token.kind, SyntaxKind::Ident | SyntaxKind::Number | SyntaxKind::Unknown) => {
                let text: String = self.text_of(token).chars().take(40).collect();
                format!("`{text}`")
            }
            Some(token) => token.kind.describe().to_owned(),
            None => SyntaxKind::Eof.describe().to_owned(),
        }
    }
}

// Building the tree.
impl Parser<'_> {
    fn trivia(&mut self) {
        let until = self.significant.get(self.at).copied().unwrap_or(self.tokens.len());
        while self.emitted < until {
            self.emit();
        }
    }

    fn emit(&mut self) {
        if let Some(token) = self.tokens.get(self.emitted).copied() {
            let text = self.source.text.get(token.start..token.end).unwrap_or_default();
            self.builder.token(Language::kind_to_raw(token.kind), text);
        }
        self.emitted += 1;
    }

    fn start(&mut self, kind: SyntaxKind) {
        self.trivia();
        self.builder.start_node(Language::kind_to_raw(kind));
    }

    fn checkpoint(&mut self) -> Checkpoint {
        self.trivia();
        self.builder.checkpoint()
    }

    fn start_at(&mut self, checkpoint: Checkpoint, kind: SyntaxKind) {
        self.builder.start_node_at(checkpoint, Language::kind_to_raw(kind));
    }

    fn finish(&mut self) {
        self.builder.finish_node();
    }

    /// Takes the current token, checking what can be wrong inside it.
    fn bump(&mut self) {
        let Some(token) = self.token(0) else { return };
        self.check_token(token);
        self.bump_unchecked();
    }

    fn bump_unchecked(&mut self) {
        if self.token(0).is_some() {
            match self.peek() {
                SyntaxKind::LBrace => self.braces += 1,
                SyntaxKind::RBrace => self.braces = self.braces.saturating_sub(1),
                _ => {}
            }
            self.trivia();
            self.emit();
            self.at += 1;
        }
    }

    fn check_token(&mut self, token: Token) {
        let text = self.source.text.get(token.start..token.end).unwrap_or_default();
        let at = |range: std::ops::Range<usize>| Span {
            source: self.source.clone(),
            range: token.start + range.start..(token.start + range.end).min(token.end),
        };
        match token.kind {
            SyntaxKind::String | SyntaxKind::RawString | SyntaxKind::QuotedIdent
                if !is_terminated(token.kind, text) =>
            {
                let quote = text.chars().next().unwrap_or('"');
                let mut diagnostic = Diagnostic::error(
                    "unterminated-string",
                    "a string ends on the line it begins on",
                    at(0..text.len()),
                    if quote == '`' { "no closing backquote".to_owned() } else { format!("no closing `{quote}`") },
                );
                if token.kind == SyntaxKind::String && text.ends_with("\\\"") {
                    diagnostic = diagnostic
                        .help("`\\\"` is a quote inside the string: write `\\\\` for a backslash, or use '…', where nothing is escaped");
                }
                self.report(diagnostic);
            }
            // A byte that was no UTF-8 before it was read, here where it would go unnoticed and match nothing.
            SyntaxKind::String | SyntaxKind::RawString | SyntaxKind::QuotedIdent
                if text.contains(char::REPLACEMENT_CHARACTER) =>
            {
                let start = text.find(char::REPLACEMENT_CHARACTER).unwrap_or(0);
                let span = at(start..start + char::REPLACEMENT_CHARACTER.len_utf8());
                self.report(
                    Diagnostic::error("invalid-literal", "this text is not UTF-8", span, "a byte that is no character")
                        .help("save the file as UTF-8; for the character U+FFFD itself, write `\\u{FFFD}`"),
                );
            }
            SyntaxKind::String => {
                for (range, message) in cook(text).errors {
                    let span = at(range);
                    let diagnostic = Diagnostic::error("unknown-escape", message, span, "not an escape").help(
                        "write `\\\\` for a backslash, or use '…', where nothing is escaped; \
                         escapes are \\n \\r \\t \\0 \\\" \\' \\\\ \\x41 \\u{20AC}",
                    );
                    self.report(diagnostic);
                }
            }
            _ => {}
        }
    }
}

// Mistakes.
impl Parser<'_> {
    /// Reports without condition.
    fn report(&mut self, diagnostic: Diagnostic) {
        if self.diagnostics.len() < DIAGNOSTICS_MAX {
            self.diagnostics.push(diagnostic);
        } else {
            self.unreported += 1;
        }
    }

    /// Reports unless something in this clause was reported already, and marks the clause as broken.
    fn error(&mut self, diagnostic: Diagnostic) {
        if !self.broken {
            self.report(diagnostic);
        }
        self.broken = true;
    }

    /// "expected X, found Y" here.
    fn expected(&mut self, what: &str) {
        // What is missing before the next clause or item is missing here, not there.
        let span = if self.at_clause() || self.at_item() { self.after_last() } else { self.here() };
        let message = format!("expected {what}, found {}", self.found());
        let mut diagnostic = Diagnostic::error("unexpected-token", message, span, format!("expected {what}"));
        if let Some(hint) = self.hint() {
            diagnostic = diagnostic.help(hint);
        }
        self.error(diagnostic);
    }

    /// What the text here was perhaps meant to be, where it is no part of the language.
    fn hint(&self) -> Option<&'static str> {
        let text = self.text();
        if self.at(SyntaxKind::Slash) && self.nth(1) == SyntaxKind::Slash && self.nth_is_adjacent(1) {
            Some("a comment begins with `#`")
        } else if text == ";" {
            Some("nothing stands at the end of a clause: leave the `;` out")
        } else if !self.at(SyntaxKind::Unknown) {
            None
        } else if text.contains(['“', '”', '„', '‘', '’', '«', '»']) {
            Some("strings stand in straight quotes: `\"…\"` or `'…'`")
        } else if text.chars().any(char::is_alphabetic) {
            Some(
                "names have ASCII letters, digits and `_`; a field's name with others stands in backquotes, text in quotes",
            )
        } else {
            None
        }
    }

    fn expect(&mut self, kind: SyntaxKind) -> bool {
        if self.at(kind) {
            self.bump();
            return true;
        }
        self.expected(kind.describe());
        false
    }

    /// Expects the closing delimiter of one that was opened at `open`.
    fn close(&mut self, kind: SyntaxKind, open: &Span) -> bool {
        if self.at(kind) {
            self.bump();
            return true;
        }
        let close = kind.describe();
        let span = self.here();
        let other = matches!(self.peek(), SyntaxKind::RBrace | SyntaxKind::RBracket | SyntaxKind::RParen);
        let diagnostic = if other || self.at(SyntaxKind::Eof) || self.at_clause() || self.at_item() {
            Diagnostic::error("unclosed", format!("{close} is missing"), open.clone(), "opened here, never closed")
        } else {
            let message = format!("expected {close}, found {}", self.found());
            Diagnostic::error("unexpected-token", message, span, format!("expected {close}"))
                .label(open.clone(), "to close this")
        };
        self.error(diagnostic);
        false
    }

    /// Whether an item begins here: its word, then a name, at the beginning of a line.
    fn at_item(&self) -> bool {
        self.nth_is_item(0)
    }

    fn nth_is_item(&self, ahead: usize) -> bool {
        self.nth(ahead) == SyntaxKind::Ident
            && self.nth_on_new_line(ahead)
            && ITEM_WORDS.contains(&self.nth_text(ahead))
            && matches!(self.nth(ahead + 1), SyntaxKind::Ident | SyntaxKind::QuotedIdent | SyntaxKind::String)
    }

    /// Whether a clause or header entry begins here, at the beginning of a line.
    fn at_clause(&self) -> bool {
        self.at(SyntaxKind::Ident)
            && self.at != self.opening
            && self.nth_on_new_line(0)
            // `source.ip` goes on with a condition; `source` alone begins an entry.
            && (CLAUSE_WORDS.contains(&self.text()) && self.nth(1) != SyntaxKind::Dot
                || self.nth(1) == SyntaxKind::Colon)
    }

    /// Takes one token as skipped if nothing was taken since `before`: every loop goes on.
    fn ensure_progress(&mut self, before: usize) {
        if self.at == before && !self.at(SyntaxKind::Eof) {
            self.expected("something else");
            self.start(SyntaxKind::Skipped);
            self.bump_unchecked();
            self.finish();
        }
    }

    /// Skips to the next place where parsing can go on: a closing brace that is not ours to skip, a clause, or an item.
    fn skip_to_clause(&mut self) {
        self.skip(|parser| parser.at_clause());
    }

    /// Skips to the next item.
    fn skip_to_item(&mut self) {
        if self.at(SyntaxKind::RBrace) {
            self.start(SyntaxKind::Skipped);
            self.bump_unchecked();
            self.finish();
        }
        self.skip(|_| false);
    }

    /// Runs `inner`, a clause or entry, with its own count of braces and mistakes.
    fn clause_of(&mut self, inner: impl FnOnce(&mut Self)) {
        let (outer, before) = (self.braces, self.at);
        self.braces = 0;
        self.broken = false;
        inner(self);
        self.ensure_progress(before);
        self.braces = outer;
    }

    /// Skips to where `stop` says, to a closing brace that was not opened in this clause, or to an item.
    fn skip(&mut self, stop: impl Fn(&Self) -> bool) {
        let mut started = false;
        while !self.at(SyntaxKind::Eof) && !self.at_item() && !stop(self) {
            if self.at(SyntaxKind::RBrace) && self.braces == 0 {
                break;
            }
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

    /// Runs `inner` one level deeper; reports and skips the clause when that is too deep.
    fn nested(&mut self, inner: impl FnOnce(&mut Self)) {
        if self.depth >= NESTING_MAX {
            let span = self.here();
            self.error(
                Diagnostic::error(
                    "limit",
                    format!("nested more than {NESTING_MAX} deep"),
                    span,
                    "this is one level too deep",
                )
                .help("name the inner part with `let` or a `macro`"),
            );
            self.skip_to_clause();
            return;
        }
        self.depth += 1;
        inner(self);
        self.depth -= 1;
    }
}

// Small shared pieces.
impl Parser<'_> {
    fn nth_is_name(&self, ahead: usize) -> bool {
        matches!(self.nth(ahead), SyntaxKind::Ident | SyntaxKind::QuotedIdent)
    }

    /// A name that an item defines.
    fn name(&mut self, what: &str) -> bool {
        if !self.nth_is_name(0) {
            self.expected(what);
            return false;
        }
        self.start(SyntaxKind::Name);
        self.check_name_len(self.text().len());
        self.bump();
        self.finish();
        true
    }

    fn check_name_len(&mut self, len: usize) {
        if len > NAME_LEN_MAX {
            let span = self.here();
            let message = format!("a name has at most {NAME_LEN_MAX} bytes");
            self.report(Diagnostic::error("limit", message, span, format!("this one has {len}")));
        }
    }

    /// `a.b.c`, components perhaps in backquotes.
    fn path(&mut self, what: &str) -> bool {
        if !matches!(self.peek(), SyntaxKind::Ident | SyntaxKind::QuotedIdent) {
            self.expected(what);
            return false;
        }
        let start = self.here().range.start;
        self.start(SyntaxKind::Path);
        self.bump();
        while self.at(SyntaxKind::Dot) {
            self.bump();
            match self.peek() {
                SyntaxKind::Ident | SyntaxKind::QuotedIdent => self.bump(),
                SyntaxKind::Number if self.nth_is_adjacent(0) => {
                    let span = self.here();
                    let message = "a part of a name that begins with a digit is written in backquotes";
                    let fixed = format!("write `` `{}` ``", self.text());
                    self.error(Diagnostic::error("unexpected-token", message, span, "expected a name").help(fixed));
                    self.bump();
                }
                SyntaxKind::Unknown if self.nth_is_adjacent(0) => {
                    self.expected("a name after `.`");
                    self.bump();
                }
                _ => {
                    self.expected("a name after `.`");
                    break;
                }
            }
        }
        self.finish();
        let span = self.since(start);
        let len = span.range.len();
        if len > NAME_LEN_MAX {
            let message = format!("a name has at most {NAME_LEN_MAX} bytes");
            self.error(Diagnostic::error("limit", message, span, format!("this one has {len}")));
        }
        true
    }

    /// A string token as a literal.
    fn string(&mut self, what: &str) -> bool {
        if matches!(self.peek(), SyntaxKind::String | SyntaxKind::RawString) {
            self.start(SyntaxKind::Literal);
            self.bump();
            self.finish();
            return true;
        }
        self.expected(what);
        false
    }

    /// A number token as a literal.
    fn number(&mut self, what: &str) -> bool {
        if self.at(SyntaxKind::Number) {
            self.start(SyntaxKind::Literal);
            self.bump();
            self.finish();
            return true;
        }
        self.expected(what);
        false
    }

    /// `str`, `list<str>`, `map<cidr, {feed: str}>`.
    fn type_ref(&mut self) {
        self.nested(|parser| {
            parser.start(SyntaxKind::TypeRef);
            if parser.at(SyntaxKind::LBrace) {
                let open = parser.here();
                parser.bump();
                while !parser.broken && !parser.at(SyntaxKind::RBrace) && !parser.at(SyntaxKind::Eof) {
                    parser.name("a field name");
                    parser.expect(SyntaxKind::Colon);
                    parser.type_ref();
                    if !parser.at(SyntaxKind::Comma) {
                        break;
                    }
                    parser.bump();
                }
                parser.close(SyntaxKind::RBrace, &open);
            } else if parser.path("a type") && parser.at(SyntaxKind::Less) {
                let open = parser.here();
                parser.bump();
                while !parser.broken {
                    parser.type_ref();
                    if !parser.at(SyntaxKind::Comma) {
                        break;
                    }
                    parser.bump();
                }
                parser.close(SyntaxKind::Greater, &open);
            }
            parser.finish();
        });
    }
}
