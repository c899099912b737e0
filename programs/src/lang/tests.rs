//! The parser: the tree is the text, limits, hostile text.

use super::limits::*;
use super::*;

fn found(text: &str) -> Vec<&'static str> {
    let source = Source::new("test.trap", text);
    let parse = parse(&source);
    assert_eq!(parse.syntax().text().to_string(), text, "the tree is the text");
    parse.diagnostics.iter().map(|diagnostic| diagnostic.code).collect()
}

fn with_where(condition: &str) -> String {
    format!("rule r {{\n  on process.exec\n  where {condition}\n}}\n")
}

/// `limit` is reported of the third alone.
fn check_limit(text: impl Fn(usize) -> String, most: usize) {
    assert_eq!(found(&text(most - 1)), [""; 0], "one less");
    assert_eq!(found(&text(most)), [""; 0], "the most");
    assert_eq!(found(&text(most + 1)), ["limit"], "one more");
}

#[test]
fn kinds_are_numbered_in_order() {
    for (index, kind) in (0u16..).zip(syntax::KINDS) {
        assert_eq!(*kind as u16, index);
    }
}

#[test]
fn limits_hold_at_their_edges() {
    // The condition itself is the first level.
    let brackets = |n: usize| with_where(&format!("{}process.pid == 1{}", "(".repeat(n), ")".repeat(n)));
    check_limit(brackets, NESTING_MAX as usize - 1);
    check_limit(|n| with_where(&format!("{}x", "not ".repeat(n))), NESTING_MAX as usize - 1);
    check_limit(|n| with_where(&format!("a == {}1", "- ".repeat(n))), NESTING_MAX as usize - 1);
    check_limit(|n| with_where(&format!("x in [{}]", vec!["1"; n].join(","))), LIST_ITEMS_MAX);
    check_limit(|n| with_where(&"x".repeat(n)), NAME_LEN_MAX);
    check_limit(|n| with_where(&format!("a.{}", "x".repeat(n - 2))), NAME_LEN_MAX);
    check_limit(|n| format!("macro {} = x", "x".repeat(n)), NAME_LEN_MAX);
    check_limit(|n| "#".repeat(n), FILE_LEN_MAX);
}

#[test]
fn diagnostics_are_counted_beyond_their_limit() {
    let text = |n: usize| format!("rule r {{\n{}}}", "  where ==\n".repeat(n));
    assert_eq!(found(&text(DIAGNOSTICS_MAX - 1)).len(), DIAGNOSTICS_MAX - 1);
    assert_eq!(found(&text(DIAGNOSTICS_MAX)).len(), DIAGNOSTICS_MAX);
    let over = found(&text(DIAGNOSTICS_MAX + 1));
    assert_eq!((over.len(), over.last()), (DIAGNOSTICS_MAX + 1, Some(&"limit")));
}

#[test]
fn hostile_text_ends_soon() {
    let pieces = [
        "(",
        "[",
        "{",
        "not ",
        "- ",
        "!",
        "any p in x {",
        "macro m(p: list<",
        "list l = [",
        "rule r {",
        "test \"t\" {",
        "a.",
        "a and ",
        "a or ",
        "a + ",
        "a * ",
        "a ?? ",
        "1 == ",
        "x[",
        "f(",
        "\"",
        "'",
        "`",
        "\\",
        ",",
        ":",
        "}",
        "]",
        "sequence [",
        "sequence ",
        "by ",
        "count ",
        "table t: map<",
        "tune t {",
        "on ",
        "é",
        "\u{0}",
        "in (",
        "a :",
        "&&",
        "rule r {\nwhere a ==\n",
        "expect ",
        "+5s ",
        "from \"",
        "limits {",
        "param p: {",
    ];
    for prefix in
        ["", "rule r {\n where ", "rule r {\n", "rule r { test \"t\" { process.exec { a: ", "rule r { test \"t\" {\n"]
    {
        for piece in pieces {
            let text = format!("{prefix}{}", piece.repeat(5_000));
            let codes = found(&text);
            assert!(codes.len() <= DIAGNOSTICS_MAX + 1, "{prefix:?} {piece:?}");
        }
    }
}

#[test]
fn keywords_are_names_where_names_are_expected() {
    let text = "list list = [\"rule\"]\nmacro macro(in: str) = in.not == any.all and where.on == 1\nrule rule {\n  on test.on\n  \
                where test.where in list and rule.unless\n  let let = let.let\n}\n";
    assert_eq!(found(text), [""; 0]);
}

#[test]
fn a_condition_goes_on_over_lines_that_begin_like_clauses() {
    let text =
        with_where("a == 1\n    and\n    source.ip == b\n    or\n    test.x in [\n      min.y,\n      on.z\n    ]");
    assert_eq!(found(&text), [""; 0]);
}

#[test]
fn every_prefix_of_a_rule_is_parsed() {
    let text = include_str!("../../../tests/language/typed/reverse_shell.trap");
    for end in (0..=text.len()).filter(|end| text.is_char_boundary(*end)) {
        found(&text[..end]);
    }
}

#[test]
fn printing_the_tree_is_stable() {
    let source = Source::new("test.trap", "list a = [1]");
    let text = print_tree(&parse(&source));
    assert_eq!(
        text,
        "File 0..12\n  ListItem 0..12\n    Ident 0..4 \"list\"\n    Whitespace 4..5 \" \"\n    Name 5..6\n      Ident 5..6 \"a\"\n    \
         Whitespace 6..7 \" \"\n    Eq 7..8 \"=\"\n    Whitespace 8..9 \" \"\n    ListExpr 9..12\n      LBracket 9..10 \"[\"\n      \
         Literal 10..11\n        Number 10..11 \"1\"\n      RBracket 11..12 \"]\"\n"
    );
}

/// What authors wrote is repeated in messages, but never in full when it is endless.
#[test]
fn messages_are_short_whatever_they_repeat() {
    let long = "a".repeat(100_000);
    for text in [
        with_where(&format!("{long} == 1")),
        with_where(&format!("{} == 1", "a.".repeat(50_000) + "b")),
        format!("rule {long} {{ {long}: 1 on {long} where x == \"{long}\" }}"),
        format!("{long} {long}"),
    ] {
        let source = Source::new("long.trap", &text);
        let (_, found) = crate::hir::lower(&[source], crate::catalogue::catalogue());
        assert!(!found.is_empty());
        for diagnostic in found {
            assert!(diagnostic.message.len() < 2000, "{} bytes", diagnostic.message.len());
            assert!(diagnostic.help.iter().all(|help| help.len() < 2000), "{}", diagnostic.message);
        }
    }
}
