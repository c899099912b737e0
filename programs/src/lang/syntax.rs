//! Kinds of tokens and nodes, and the tree types.

use logos::Logos;

/// Kinds of tokens (first half) and nodes (second half) of the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Logos)]
#[repr(u16)]
pub enum SyntaxKind {
    // Tokens. Only these have lexer rules.
    /// Blanks, tabs, line ends, a byte order mark.
    #[regex("[ \t\r\n\u{feff}]+")]
    Whitespace,
    /// `#` to the end of the line.
    #[regex("#[^\n]*", allow_greedy = true)]
    Comment,
    /// A name or keyword: keywords are contextual.
    #[regex("[A-Za-z_][A-Za-z0-9_]*")]
    Ident,
    /// A name in backquotes.
    #[token("`", scan_backquoted)]
    QuotedIdent,
    /// Digits with whatever letters follow: `30s`, `8KiB`, `1_000`, `0x1F`, `1.5`.
    #[regex(r"[0-9][0-9A-Za-z_]*(\.[0-9][0-9A-Za-z_]*)?")]
    Number,
    /// `"…"`, perhaps without its end.
    #[token("\"", scan_string)]
    String,
    /// `'…'`, perhaps without its end.
    #[token("'", scan_raw)]
    RawString,
    /// `==`
    #[token("==")]
    EqEq,
    /// `!=`
    #[token("!=")]
    NotEq,
    /// `<=`
    #[token("<=")]
    LessEq,
    /// `>=`
    #[token(">=")]
    GreaterEq,
    /// `<`
    #[token("<")]
    Less,
    /// `>`
    #[token(">")]
    Greater,
    /// `&&`
    #[token("&&")]
    AndAnd,
    /// `||`
    #[token("||")]
    OrOr,
    /// `??`
    #[token("??")]
    Default,
    /// `..`
    #[token("..")]
    DotDot,
    /// `=`
    #[token("=")]
    Eq,
    /// `!`
    #[token("!")]
    Bang,
    /// `~`
    #[token("~")]
    Tilde,
    /// `:`
    #[token(":")]
    Colon,
    /// `,`
    #[token(",")]
    Comma,
    /// `.`
    #[token(".")]
    Dot,
    /// `(`
    #[token("(")]
    LParen,
    /// `)`
    #[token(")")]
    RParen,
    /// `[`
    #[token("[")]
    LBracket,
    /// `]`
    #[token("]")]
    RBracket,
    /// `{`
    #[token("{")]
    LBrace,
    /// `}`
    #[token("}")]
    RBrace,
    /// `+`
    #[token("+")]
    Plus,
    /// `-`
    #[token("-")]
    Minus,
    /// `*`
    #[token("*")]
    Star,
    /// `/`
    #[token("/")]
    Slash,
    /// `%`
    #[token("%")]
    Percent,
    /// `|`
    #[token("|")]
    Pipe,
    /// Text that is no token: other characters, with the letters and digits beside them, so that a word stays whole.
    #[regex(r"[A-Za-z0-9_]*[^\x00-\x7F\u{feff}][A-Za-z0-9_[^\x00-\x7F\u{feff}]]*")]
    Unknown,
    /// After the last token; never in a tree.
    Eof,

    // Nodes.
    /// A file.
    File,
    /// What recovery skipped.
    Skipped,
    /// `list NAME = [...]`
    ListItem,
    /// `macro NAME(…) = EXPR`
    MacroItem,
    /// `(p: process, …)`
    ParamList,
    /// `p: process`
    Param,
    /// `str`, `list<str>`, `map<cidr, {…}>`
    TypeRef,
    /// `rule NAME { … }`
    RuleItem,
    /// `table NAME: … from …`
    TableItem,
    /// `tune NAME { … }`
    TuneItem,
    /// `import "…"`
    ImportItem,
    /// The name an item defines.
    Name,
    /// `key: value`
    HeaderEntry,
    /// `on CLASS, …`
    OnClause,
    /// `where EXPR`
    WhereClause,
    /// `let NAME = EXPR`
    LetClause,
    /// `unless EXPR`
    UnlessClause,
    /// `output "…"`
    OutputClause,
    /// A construct that is parsed and cannot be compiled yet.
    LaterClause,
    /// `[ CLASS where EXPR ] as NAME`, a step of a sequence.
    Step,
    /// `test "…" { … }`
    TestItem,
    /// `source: …` inside a test
    TestSource,
    /// `+5s CLASS { … }`
    TestEvent,
    /// `+5s from "FILE":3`
    RecordedEvent,
    /// `name: value` inside an event or record
    FieldEntry,
    /// `lost`
    LostValue,
    /// `truncated "…"`
    TruncatedValue,
    /// `{ name: value, … }` as a value
    RecordValue,
    /// `expect …`
    Expect,
    /// `a.b.c`
    Path,
    /// A number or string, perhaps with a sign.
    Literal,
    /// `[a, b]`
    ListExpr,
    /// `(e)`
    ParenExpr,
    /// `a or b or c`
    OrExpr,
    /// `a and b and c`
    AndExpr,
    /// `not e`
    NotExpr,
    /// `a OP b`
    CompareExpr,
    /// `a ?? b ?? c`
    DefaultExpr,
    /// `a + b - c`
    SumExpr,
    /// `a * b / c`
    ProductExpr,
    /// `-e`
    NegExpr,
    /// `f(a, b)`
    CallExpr,
    /// `t[k]`
    IndexExpr,
    /// `any p in LIST { e }`
    QuantifierExpr,
}

/// Where the string that begins before `rest` ends: bytes of `rest` that belong to it.
fn string_len(rest: &str) -> usize {
    let bytes = rest.as_bytes();
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\n' => return at,
            b'\\' if bytes.get(at + 1..at + 3) == Some(b"\r\n") => at += 3,
            // An escaped character; of a longer one the other bytes are none of ours and pass below.
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    // The last character may have been skipped past the end, or into the middle of a longer one: never cut it.
    bytes.len()
}

fn scan_string(lexer: &mut logos::Lexer<'_, SyntaxKind>) {
    lexer.bump(string_len(lexer.remainder()));
}

fn until(rest: &str, end: u8) -> usize {
    for (at, byte) in rest.bytes().enumerate() {
        if byte == end {
            return at + 1;
        }
        if byte == b'\n' {
            return at;
        }
    }
    rest.len()
}

fn scan_raw(lexer: &mut logos::Lexer<'_, SyntaxKind>) {
    lexer.bump(until(lexer.remainder(), b'\''));
}

fn scan_backquoted(lexer: &mut logos::Lexer<'_, SyntaxKind>) {
    lexer.bump(until(lexer.remainder(), b'`'));
}

impl SyntaxKind {
    /// Whether a token of this kind means nothing.
    pub fn is_trivia(self) -> bool {
        matches!(self, Self::Whitespace | Self::Comment)
    }

    /// A token kind as an author writes it.
    pub fn describe(self) -> &'static str {
        match self {
            Self::Ident => "a name",
            Self::QuotedIdent => "a name in backquotes",
            Self::Number => "a number",
            Self::String | Self::RawString => "a string",
            Self::EqEq => "`==`",
            Self::NotEq => "`!=`",
            Self::LessEq => "`<=`",
            Self::GreaterEq => "`>=`",
            Self::Less => "`<`",
            Self::Greater => "`>`",
            Self::AndAnd => "`&&`",
            Self::OrOr => "`||`",
            Self::Default => "`??`",
            Self::DotDot => "`..`",
            Self::Eq => "`=`",
            Self::Bang => "`!`",
            Self::Tilde => "`~`",
            Self::Colon => "`:`",
            Self::Comma => "`,`",
            Self::Dot => "`.`",
            Self::LParen => "`(`",
            Self::RParen => "`)`",
            Self::LBracket => "`[`",
            Self::RBracket => "`]`",
            Self::LBrace => "`{`",
            Self::RBrace => "`}`",
            Self::Plus => "`+`",
            Self::Minus => "`-`",
            Self::Star => "`*`",
            Self::Slash => "`/`",
            Self::Percent => "`%`",
            Self::Pipe => "`|`",
            Self::Eof => "the end of the file",
            _ => "this text",
        }
    }
}

/// All kinds, in order of their numbers.
pub(super) const KINDS: &[SyntaxKind] = &[
    SyntaxKind::Whitespace,
    SyntaxKind::Comment,
    SyntaxKind::Ident,
    SyntaxKind::QuotedIdent,
    SyntaxKind::Number,
    SyntaxKind::String,
    SyntaxKind::RawString,
    SyntaxKind::EqEq,
    SyntaxKind::NotEq,
    SyntaxKind::LessEq,
    SyntaxKind::GreaterEq,
    SyntaxKind::Less,
    SyntaxKind::Greater,
    SyntaxKind::AndAnd,
    SyntaxKind::OrOr,
    SyntaxKind::Default,
    SyntaxKind::DotDot,
    SyntaxKind::Eq,
    SyntaxKind::Bang,
    SyntaxKind::Tilde,
    SyntaxKind::Colon,
    SyntaxKind::Comma,
    SyntaxKind::Dot,
    SyntaxKind::LParen,
    SyntaxKind::RParen,
    SyntaxKind::LBracket,
    SyntaxKind::RBracket,
    SyntaxKind::LBrace,
    SyntaxKind::RBrace,
    SyntaxKind::Plus,
    SyntaxKind::Minus,
    SyntaxKind::Star,
    SyntaxKind::Slash,
    SyntaxKind::Percent,
    SyntaxKind::Pipe,
    SyntaxKind::Unknown,
    SyntaxKind::Eof,
    SyntaxKind::File,
    SyntaxKind::Skipped,
    SyntaxKind::ListItem,
    SyntaxKind::MacroItem,
    SyntaxKind::ParamList,
    SyntaxKind::Param,
    SyntaxKind::TypeRef,
    SyntaxKind::RuleItem,
    SyntaxKind::TableItem,
    SyntaxKind::TuneItem,
    SyntaxKind::ImportItem,
    SyntaxKind::Name,
    SyntaxKind::HeaderEntry,
    SyntaxKind::OnClause,
    SyntaxKind::WhereClause,
    SyntaxKind::LetClause,
    SyntaxKind::UnlessClause,
    SyntaxKind::OutputClause,
    SyntaxKind::LaterClause,
    SyntaxKind::Step,
    SyntaxKind::TestItem,
    SyntaxKind::TestSource,
    SyntaxKind::TestEvent,
    SyntaxKind::RecordedEvent,
    SyntaxKind::FieldEntry,
    SyntaxKind::LostValue,
    SyntaxKind::TruncatedValue,
    SyntaxKind::RecordValue,
    SyntaxKind::Expect,
    SyntaxKind::Path,
    SyntaxKind::Literal,
    SyntaxKind::ListExpr,
    SyntaxKind::ParenExpr,
    SyntaxKind::OrExpr,
    SyntaxKind::AndExpr,
    SyntaxKind::NotExpr,
    SyntaxKind::CompareExpr,
    SyntaxKind::DefaultExpr,
    SyntaxKind::SumExpr,
    SyntaxKind::ProductExpr,
    SyntaxKind::NegExpr,
    SyntaxKind::CallExpr,
    SyntaxKind::IndexExpr,
    SyntaxKind::QuantifierExpr,
];

/// The language of the tree, for rowan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Language {}

impl rowan::Language for Language {
    type Kind = SyntaxKind;

    fn kind_from_raw(raw: rowan::SyntaxKind) -> SyntaxKind {
        KINDS.get(usize::from(raw.0)).copied().unwrap_or(SyntaxKind::Unknown)
    }

    fn kind_to_raw(kind: SyntaxKind) -> rowan::SyntaxKind {
        rowan::SyntaxKind(kind as u16)
    }
}

/// A node of the tree.
pub type SyntaxNode = rowan::SyntaxNode<Language>;
/// A token of the tree.
pub type SyntaxToken = rowan::SyntaxToken<Language>;

/// One token of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    /// Its kind.
    pub kind: SyntaxKind,
    /// First byte.
    pub start: usize,
    /// Byte after the last.
    pub end: usize,
}

/// Splits text into tokens; together they are the text.
pub fn tokens(text: &str) -> Vec<Token> {
    let mut out: Vec<Token> = Vec::new();
    for (kind, range) in SyntaxKind::lexer(text).spanned() {
        let kind = kind.unwrap_or(SyntaxKind::Unknown);
        match out.last_mut() {
            // A run of nonsense is one mistake.
            Some(last) if kind == SyntaxKind::Unknown && last.kind == kind => last.end = range.end,
            _ => out.push(Token { kind, start: range.start, end: range.end }),
        }
    }
    out
}

/// Whether the token of a string or quoted name has its closing quote.
pub fn is_terminated(kind: SyntaxKind, text: &str) -> bool {
    match kind {
        SyntaxKind::String => {
            let mut chars = text.chars().skip(1);
            while let Some(next) = chars.next() {
                match next {
                    '\\' => {
                        chars.next();
                    }
                    '"' => return true,
                    _ => {}
                }
            }
            false
        }
        SyntaxKind::RawString => text.len() > 1 && text.ends_with('\''),
        SyntaxKind::QuotedIdent => text.len() > 1 && text.ends_with('`'),
        _ => true,
    }
}
