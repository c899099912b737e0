//! The tree without what means nothing: what the lowering reads.
//!
//! A piece that is missing because of a mistake is an [`ExprKind::Error`] or is left out; the parser has reported
//! it. Literals keep their text, since what they mean depends on what they are compared with.

use rowan::{NodeOrToken, TextRange};

use super::limits::NAME_LEN_MAX;
use super::literal::{Cooked, cook};
use super::syntax::{SyntaxKind, SyntaxNode, SyntaxToken};

/// A byte range in the source.
pub type Range = std::ops::Range<usize>;

/// A file.
#[derive(Clone, Debug, Default)]
pub struct File {
    /// `list` items.
    pub lists: Vec<List>,
    /// `macro` items.
    pub macros: Vec<Macro>,
    /// `rule` items.
    pub rules: Vec<Rule>,
    /// `table`, `tune` and `import` items: name if they define one, and word with its place.
    pub later: Vec<(Option<Name>, Name)>,
}

/// A name with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// The name.
    pub text: String,
    /// Its place.
    pub range: Range,
}

/// `list NAME = [...]`
#[derive(Clone, Debug)]
pub struct List {
    /// Its name.
    pub name: Name,
    /// Declared type, if any.
    pub ty: Option<Type>,
    /// Its elements.
    pub items: Vec<Expr>,
    /// All of it.
    pub range: Range,
}

/// `macro NAME(…) = EXPR`
#[derive(Clone, Debug)]
pub struct Macro {
    /// Its name.
    pub name: Name,
    /// Its parameters; None: it is used without brackets.
    pub params: Option<Vec<(Name, Type)>>,
    /// What it stands for.
    pub body: Expr,
    /// All of it.
    pub range: Range,
}

/// A type as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Type {
    /// `str`, `list`, `process.parent`.
    pub name: String,
    /// What stands in `<>`.
    pub arguments: Vec<Type>,
    /// Its place.
    pub range: Range,
}

/// `rule NAME { … }`
#[derive(Clone, Debug)]
pub struct Rule {
    /// Its name.
    pub name: Name,
    /// Header entries.
    pub header: Vec<(Name, Expr)>,
    /// `on` clauses: place, classes.
    pub on: Vec<(Range, Vec<Path>)>,
    /// `where` clauses: place of the whole clause, condition.
    pub conditions: Vec<(Range, Expr)>,
    /// `let` clauses.
    pub lets: Vec<(Name, Expr)>,
    /// `unless` clauses.
    pub unless: Vec<Expr>,
    /// `output` clauses.
    pub output: Vec<Expr>,
    /// `test` blocks.
    pub tests: Vec<Test>,
    /// Clauses that cannot be compiled yet: their first word, and a name they define.
    pub later: Vec<(Name, Option<Name>)>,
    /// All of it.
    pub range: Range,
}

/// `a.b.c`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    /// Its parts, without backquotes.
    pub parts: Vec<String>,
    /// Its place.
    pub range: Range,
}

impl Path {
    /// The parts with dots between them.
    pub fn dotted(&self) -> String {
        self.parts.join(".")
    }

    /// The only part, if there is one only.
    pub fn single(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [only] => Some(only),
            _ => None,
        }
    }
}

/// A condition or value.
#[derive(Clone, Debug)]
pub struct Expr {
    /// What it is.
    pub kind: ExprKind,
    /// Its place.
    pub range: Range,
}

/// Kinds of conditions and values.
#[derive(Clone, Debug)]
pub enum ExprKind {
    /// Something missing or mistaken, reported already.
    Error,
    /// A string.
    Str(Box<Cooked>),
    /// A number as written.
    Number(String),
    /// A name.
    Path(Path),
    /// `[a, b]`
    List(Vec<Expr>),
    /// `a or b`
    Or(Vec<Expr>),
    /// `a and b`
    And(Vec<Expr>),
    /// `not a`
    Not(Box<Expr>),
    /// `a OP b`
    Compare(Box<Compare>),
    /// `a ?? b`
    Default(Vec<Expr>),
    /// `a + b - c`, or `a * b / c`
    Arithmetic(Box<Expr>, Vec<(crate::hir::Arithmetic, Expr)>),
    /// `-a`
    Neg(Box<Expr>),
    /// `f(a, b)`
    Call(Path, Vec<Expr>),
    /// `t[k]`
    Index(Path),
    /// `any p in LIST { a }`
    Quantifier(Box<Quantifier>),
}

/// `a not OP~ all b`
#[derive(Clone, Debug)]
pub struct Compare {
    /// Left side.
    pub left: Expr,
    /// `not` before the operator.
    pub negated: bool,
    /// The operator.
    pub op: Op,
    /// `~` after it.
    pub fold: bool,
    /// Place of the operator, `not` and `~` included.
    pub op_range: Range,
    /// `all` after it.
    pub all: bool,
    /// Right side.
    pub right: Expr,
}

/// `any p in LIST { a }`
#[derive(Clone, Debug)]
pub struct Quantifier {
    /// Any or all.
    pub kind: crate::hir::Quantifier,
    /// The element.
    pub var: Name,
    /// The list.
    pub list: Path,
    /// Condition on the element.
    pub body: Expr,
}

/// A comparison operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// `==`
    Eq,
    /// `!=`
    Ne,
    /// `<`
    Lt,
    /// `<=`
    Le,
    /// `>`
    Gt,
    /// `>=`
    Ge,
    /// `in`
    In,
    /// `like`
    Like,
    /// `regex`
    Regex,
    /// `contains`
    Contains,
    /// `startswith`
    StartsWith,
    /// `endswith`
    EndsWith,
    /// `under`
    Under,
}

impl Op {
    /// As written.
    pub fn text(self) -> &'static str {
        match self {
            Self::Eq => "==",
            Self::Ne => "!=",
            Self::Lt => "<",
            Self::Le => "<=",
            Self::Gt => ">",
            Self::Ge => ">=",
            Self::In => "in",
            Self::Like => "like",
            Self::Regex => "regex",
            Self::Contains => "contains",
            Self::StartsWith => "startswith",
            Self::EndsWith => "endswith",
            Self::Under => "under",
        }
    }

    fn of(text: &str) -> Option<Self> {
        Some(match text {
            "==" | "=" | ":" => Self::Eq,
            "!=" => Self::Ne,
            "<" => Self::Lt,
            "<=" => Self::Le,
            ">" => Self::Gt,
            ">=" => Self::Ge,
            "in" => Self::In,
            "like" => Self::Like,
            "regex" => Self::Regex,
            "contains" => Self::Contains,
            "startswith" => Self::StartsWith,
            "endswith" => Self::EndsWith,
            "under" => Self::Under,
            _ => return None,
        })
    }
}

/// `test "…" { … }`
#[derive(Clone, Debug)]
pub struct Test {
    /// Its name.
    pub name: Expr,
    /// Its entries in order.
    pub entries: Vec<TestEntry>,
    /// All of it.
    pub range: Range,
}

/// An entry of a test.
#[derive(Clone, Debug)]
pub enum TestEntry {
    /// `source: …`
    Source(Expr),
    /// `+5s CLASS { … }`
    Event {
        /// Time after the event before.
        after: Option<Expr>,
        /// Its class.
        class: Path,
        /// Its fields.
        fields: Vec<(Path, TestValue)>,
        /// All of it.
        range: Range,
    },
    /// `+5s from "FILE":3`
    Recorded {
        /// Time after the event before.
        after: Option<Expr>,
        /// The file.
        file: Expr,
        /// Its line.
        number: Expr,
        /// All of it.
        range: Range,
    },
    /// `expect …`
    Expect {
        /// What is expected.
        what: Name,
        /// `at n`
        at: Option<Expr>,
        /// `{ severity: high }`
        fields: Vec<(Path, TestValue)>,
        /// All of it.
        range: Range,
    },
}

/// A value in a test.
#[derive(Clone, Debug)]
pub struct TestValue {
    /// What it is.
    pub kind: TestValueKind,
    /// Its place.
    pub range: Range,
}

/// Kinds of values in tests.
#[derive(Clone, Debug)]
pub enum TestValueKind {
    /// `lost`
    Lost,
    /// `truncated "…"`
    Truncated(Expr),
    /// A scalar.
    Scalar(Expr),
    /// `[…]`
    List(Vec<TestValue>),
    /// `{ name: value }`
    Record(Vec<(Path, TestValue)>),
}

fn range(range: TextRange) -> Range {
    usize::from(range.start())..usize::from(range.end())
}

fn node(parent: &SyntaxNode, kind: SyntaxKind) -> Option<SyntaxNode> {
    parent.children().find(|child| child.kind() == kind)
}

/// Tokens that mean something, children of this very node.
fn tokens(node: &SyntaxNode) -> impl Iterator<Item = SyntaxToken> {
    node.children_with_tokens().filter_map(NodeOrToken::into_token).filter(|token| !token.kind().is_trivia())
}

fn first_word(node: &SyntaxNode) -> Name {
    let token =
        node.descendants_with_tokens().filter_map(NodeOrToken::into_token).find(|token| !token.kind().is_trivia());
    match token {
        Some(token) => Name { text: token.text().to_owned(), range: range(token.text_range()) },
        None => Name { text: String::new(), range: range(node.text_range()) },
    }
}

fn name(parent: &SyntaxNode) -> Option<Name> {
    let node = node(parent, SyntaxKind::Name)?;
    Some(Name { text: node.text().to_string().trim_matches('`').to_owned(), range: range(node.text_range()) })
}

fn is_expr(kind: SyntaxKind) -> bool {
    matches!(
        kind,
        SyntaxKind::Path
            | SyntaxKind::Literal
            | SyntaxKind::ListExpr
            | SyntaxKind::ParenExpr
            | SyntaxKind::OrExpr
            | SyntaxKind::AndExpr
            | SyntaxKind::NotExpr
            | SyntaxKind::CompareExpr
            | SyntaxKind::DefaultExpr
            | SyntaxKind::SumExpr
            | SyntaxKind::ProductExpr
            | SyntaxKind::NegExpr
            | SyntaxKind::CallExpr
            | SyntaxKind::IndexExpr
            | SyntaxKind::QuantifierExpr
    )
}

fn exprs(parent: &SyntaxNode) -> impl Iterator<Item = Expr> {
    parent.children().filter(|child| is_expr(child.kind())).map(|child| expr(&child))
}

fn first_expr(parent: &SyntaxNode) -> Expr {
    exprs(parent).next().unwrap_or_else(|| error(parent))
}

fn error(node: &SyntaxNode) -> Expr {
    Expr { kind: ExprKind::Error, range: range(node.text_range()) }
}

fn path(node: &SyntaxNode) -> Path {
    let parts = tokens(node)
        .filter(|token| matches!(token.kind(), SyntaxKind::Ident | SyntaxKind::QuotedIdent))
        .map(|token| token.text().trim_matches('`').to_owned())
        .collect();
    Path { parts, range: range(node.text_range()) }
}

fn is_broken(path: &SyntaxNode) -> bool {
    let name = |kind| matches!(kind, SyntaxKind::Ident | SyntaxKind::QuotedIdent | SyntaxKind::Dot);
    let mut last = SyntaxKind::Dot;
    let foreign = tokens(path).inspect(|token| last = token.kind()).any(|token| !name(token.kind()));
    foreign || last == SyntaxKind::Dot || usize::from(path.text_range().len()) > NAME_LEN_MAX
}

/// The value of a literal, name or list node; `Error` for a broken one.
fn expr(node: &SyntaxNode) -> Expr {
    let kind = match node.kind() {
        // What is no part of a name was reported, or the name is too long.
        SyntaxKind::Path if is_broken(node) => ExprKind::Error,
        SyntaxKind::Path => ExprKind::Path(path(node)),
        SyntaxKind::Literal => {
            let mut all = tokens(node);
            match (all.next(), all.next()) {
                (Some(token), None) if token.kind() == SyntaxKind::Number => ExprKind::Number(token.text().to_owned()),
                (Some(token), None) => ExprKind::Str(Box::new(cook(token.text()))),
                _ => ExprKind::Error,
            }
        }
        SyntaxKind::ListExpr => ExprKind::List(exprs(node).collect()),
        SyntaxKind::ParenExpr => return Expr { range: range(node.text_range()), ..first_expr(node) },
        SyntaxKind::OrExpr => ExprKind::Or(exprs(node).collect()),
        SyntaxKind::AndExpr => ExprKind::And(exprs(node).collect()),
        SyntaxKind::NotExpr => ExprKind::Not(Box::new(first_expr(node))),
        SyntaxKind::CompareExpr => compare(node),
        SyntaxKind::DefaultExpr => ExprKind::Default(exprs(node).collect()),
        SyntaxKind::SumExpr | SyntaxKind::ProductExpr => arithmetic(node),
        SyntaxKind::NegExpr => ExprKind::Neg(Box::new(first_expr(node))),
        SyntaxKind::CallExpr | SyntaxKind::IndexExpr => {
            let mut parts = node.children().filter(|child| is_expr(child.kind()));
            match parts.next().filter(|child| child.kind() == SyntaxKind::Path) {
                Some(callee) if node.kind() == SyntaxKind::CallExpr => {
                    ExprKind::Call(path(&callee), parts.map(|child| expr(&child)).collect())
                }
                Some(table) => ExprKind::Index(path(&table)),
                None => ExprKind::Error,
            }
        }
        SyntaxKind::QuantifierExpr => quantifier(node).unwrap_or(ExprKind::Error),
        _ => ExprKind::Error,
    };
    Expr { kind, range: range(node.text_range()) }
}

fn compare(node: &SyntaxNode) -> ExprKind {
    let mut sides = exprs(node);
    let (Some(left), Some(right)) = (sides.next(), sides.next()) else { return ExprKind::Error };
    let mut negated = false;
    let mut op = None;
    let mut colon = false;
    let mut fold = false;
    let mut all = false;
    let mut op_range: Option<Range> = None;
    for token in tokens(node) {
        let place = range(token.text_range());
        match token.text() {
            "not" => negated = true,
            "all" => {
                all = true;
                continue;
            }
            "~" => fold = true,
            text if op.is_none() => {
                colon = text == ":";
                op = Some(Op::of(text));
            }
            // A second operator: comparisons are not chained.
            _ => return ExprKind::Error,
        }
        op_range = Some(op_range.map_or(place.clone(), |range: Range| range.start..place.end));
    }
    let (Some(Some(mut op)), Some(op_range)) = (op, op_range) else { return ExprKind::Error };
    if colon {
        // What `:` means elsewhere, so that the rest of the rule is still checked.
        fold = matches!(right.kind, ExprKind::Str(_) | ExprKind::List(_));
        if matches!(right.kind, ExprKind::List(_)) {
            op = Op::In;
        }
    }
    ExprKind::Compare(Box::new(Compare { left, negated, op, fold, op_range, all, right }))
}

fn arithmetic(node: &SyntaxNode) -> ExprKind {
    use crate::hir::Arithmetic;
    let mut operands = exprs(node);
    let Some(first) = operands.next() else { return ExprKind::Error };
    let operators = tokens(node).map(|token| match token.kind() {
        SyntaxKind::Plus => Arithmetic::Add,
        SyntaxKind::Minus => Arithmetic::Sub,
        SyntaxKind::Star => Arithmetic::Mul,
        SyntaxKind::Slash => Arithmetic::Div,
        _ => Arithmetic::Rem,
    });
    ExprKind::Arithmetic(Box::new(first), operators.zip(operands).collect())
}

fn quantifier(node: &SyntaxNode) -> Option<ExprKind> {
    let kind = match tokens(node).next()?.text() {
        "any" => crate::hir::Quantifier::Any,
        _ => crate::hir::Quantifier::All,
    };
    let var = name(node)?;
    let mut parts = node.children().filter(|child| is_expr(child.kind()));
    let list = path(&parts.next().filter(|child| child.kind() == SyntaxKind::Path)?);
    let body = expr(&parts.next()?);
    Some(ExprKind::Quantifier(Box::new(Quantifier { kind, var, list, body })))
}

fn type_ref(node: &SyntaxNode) -> Type {
    let name = node
        .children()
        .find(|child| child.kind() == SyntaxKind::Path)
        .map_or(String::new(), |node| path(&node).dotted());
    let arguments =
        node.children().filter(|child| child.kind() == SyntaxKind::TypeRef).map(|child| type_ref(&child)).collect();
    Type { name, arguments, range: range(node.text_range()) }
}

fn fields(parent: &SyntaxNode) -> Vec<(Path, TestValue)> {
    let entries = parent.children().filter(|child| child.kind() == SyntaxKind::FieldEntry);
    entries
        .filter_map(|entry| {
            let mut children = entry.children();
            let field = path(&children.next().filter(|child| child.kind() == SyntaxKind::Path)?);
            Some((field, test_value(&children.next()?)))
        })
        .collect()
}

fn test_value(node: &SyntaxNode) -> TestValue {
    let kind = match node.kind() {
        SyntaxKind::LostValue => TestValueKind::Lost,
        SyntaxKind::TruncatedValue => TestValueKind::Truncated(first_expr(node)),
        SyntaxKind::RecordValue => TestValueKind::Record(fields(node)),
        SyntaxKind::ListExpr => TestValueKind::List(node.children().map(|child| test_value(&child)).collect()),
        _ => TestValueKind::Scalar(expr(node)),
    };
    TestValue { kind, range: range(node.text_range()) }
}

fn test(node: &SyntaxNode) -> Test {
    let entries = node
        .children()
        .filter_map(|entry| {
            let place = range(entry.text_range());
            // `+5s`: the literal before anything else.
            let after =
                tokens(&entry).next().filter(|token| token.kind() == SyntaxKind::Plus).map(|_| first_expr(&entry));
            Some(match entry.kind() {
                SyntaxKind::TestSource => TestEntry::Source(first_expr(&entry)),
                // Without braces it is a mistake that was reported.
                SyntaxKind::TestEvent if !tokens(&entry).any(|token| token.kind() == SyntaxKind::LBrace) => {
                    return None;
                }
                SyntaxKind::TestEvent => TestEntry::Event {
                    after,
                    class: path(&self::node(&entry, SyntaxKind::Path)?),
                    fields: fields(&entry),
                    range: place,
                },
                SyntaxKind::RecordedEvent => {
                    let mut parts = exprs(&entry).skip(usize::from(after.is_some()));
                    TestEntry::Recorded { after, file: parts.next()?, number: parts.next()?, range: place }
                }
                SyntaxKind::Expect => TestEntry::Expect {
                    what: name(&entry)?,
                    at: exprs(&entry).next(),
                    fields: fields(&entry),
                    range: place,
                },
                _ => return None,
            })
        })
        .collect();
    let title = node.children().find(|child| child.kind() == SyntaxKind::Literal);
    Test { name: title.map_or_else(|| error(node), |title| expr(&title)), entries, range: range(node.text_range()) }
}

fn rule(item: &SyntaxNode) -> Option<Rule> {
    let mut rule = Rule {
        name: name(item)?,
        header: Vec::new(),
        on: Vec::new(),
        conditions: Vec::new(),
        lets: Vec::new(),
        unless: Vec::new(),
        output: Vec::new(),
        tests: Vec::new(),
        later: Vec::new(),
        range: range(item.text_range()),
    };
    for clause in item.children() {
        let place = range(clause.text_range());
        match clause.kind() {
            SyntaxKind::HeaderEntry => rule.header.extend(name(&clause).map(|key| (key, first_expr(&clause)))),
            SyntaxKind::OnClause => {
                let classes = clause.children().filter(|child| child.kind() == SyntaxKind::Path);
                rule.on.push((place, classes.map(|class| path(&class)).collect()));
            }
            SyntaxKind::WhereClause => rule.conditions.push((place, first_expr(&clause))),
            SyntaxKind::LetClause => rule.lets.extend(name(&clause).map(|name| (name, first_expr(&clause)))),
            SyntaxKind::UnlessClause => rule.unless.push(first_expr(&clause)),
            SyntaxKind::OutputClause => rule.output.push(first_expr(&clause)),
            SyntaxKind::TestItem => rule.tests.push(test(&clause)),
            SyntaxKind::LaterClause => rule.later.push((first_word(&clause), name(&clause))),
            _ => {}
        }
    }
    Some(rule)
}

/// Reads a parsed file.
pub fn file(root: &SyntaxNode) -> File {
    let mut file = File::default();
    for item in root.children() {
        let place = range(item.text_range());
        match item.kind() {
            SyntaxKind::ListItem => {
                let items = node(&item, SyntaxKind::ListExpr).map(|list| exprs(&list).collect()).unwrap_or_default();
                let ty = node(&item, SyntaxKind::TypeRef).map(|ty| type_ref(&ty));
                file.lists.extend(name(&item).map(|name| List { name, ty, items, range: place }));
            }
            SyntaxKind::MacroItem => {
                let params = node(&item, SyntaxKind::ParamList).map(|list| {
                    let params = list.children().filter(|child| child.kind() == SyntaxKind::Param);
                    params
                        .filter_map(|param| Some((name(&param)?, type_ref(&node(&param, SyntaxKind::TypeRef)?))))
                        .collect()
                });
                let body = first_expr(&item);
                file.macros.extend(name(&item).map(|name| Macro { name, params, body, range: place }));
            }
            SyntaxKind::RuleItem => file.rules.extend(rule(&item)),
            SyntaxKind::TableItem | SyntaxKind::TuneItem | SyntaxKind::ImportItem => {
                file.later.push((name(&item), first_word(&item)));
            }
            _ => {}
        }
    }
    file
}
