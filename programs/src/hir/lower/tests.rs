//! The lowering: limits, and what must never be lost. What rules lower to is in `tests/language`.

use std::fmt::Write as _;

use super::*;
use crate::catalogue::catalogue;
use crate::hir::{Leaf, LeafKind};
use crate::lang::limits::*;

fn lowered(text: &str) -> (Vec<Rule>, Vec<&'static str>) {
    let (rules, found) = lower(&[Source::new("test.trap", text)], catalogue());
    (rules, found.iter().map(|found| found.code).collect())
}

fn rule(name: &str, body: &str) -> String {
    format!("rule {name} {{\n  title: \"T\"\n  severity: low\n  on process.exec\n{body}\n}}\n")
}

/// How much work a text is.
fn work(text: &str) -> Work {
    lower_counting(&[Source::new("test.trap", text)], catalogue()).2
}

/// `limit` is reported of the third alone, and its rule is left out.
fn check_limit(text: impl Fn(usize) -> String, most: usize) {
    for (n, codes) in [(most - 1, &[][..]), (most, &[]), (most + 1, &["limit"])] {
        let (rules, found) = lowered(&text(n));
        assert_eq!(found, codes, "{n}");
        assert_eq!(rules.len(), usize::from(codes.is_empty()), "{n}");
    }
}

#[test]
fn limits_hold_at_their_edges() {
    let tests = |n: usize| rule("r", &format!("  where {}", vec!["process.pid == 1"; n].join(" or ")));
    check_limit(tests, LEAVES_MAX);
    check_limit(|n| rule("r", &format!("  where process.name == \"{}\"", "x".repeat(n))), STRING_LEN_MAX);
    let spliced = |n: usize| {
        let all = vec!["1"; n - 5_000].join(",");
        let some = vec!["2"; 5_000].join(",");
        format!("list some = [{some}]\n{}", rule("r", &format!("  where process.pid in [{all}, some]")))
    };
    check_limit(spliced, LIST_ITEMS_MAX);
    check_limit(|n| rule("r", &format!("  where process.name regex '{}'", "x".repeat(n))), REGEX_LEN_MAX);
    let events = |n: usize| {
        rule("r", &format!("  test \"t\" {{\n{}  expect none\n}}", "    process.exec { process.pid: 1 }\n".repeat(n)))
    };
    check_limit(events, TEST_EVENTS_MAX);
    let lets = |n: usize| {
        let lets: Vec<String> = (0..n).map(|index| format!("  let l{index} = process.pid")).collect();
        rule("r", &lets.join("\n"))
    };
    check_limit(lets, LETS_MAX);
    let params = |n: usize| {
        let params: Vec<String> = (0..n).map(|index| format!("p{index}: int")).collect();
        format!(
            "macro m({}) = process.pid == 1\n{}",
            params.join(", "),
            rule("r", &format!("  where m({})", vec!["1"; n].join(", ")))
        )
    };
    check_limit(params, PARAMS_MAX);
    let fields = |n: usize| {
        let fields: Vec<String> = (0..n).map(|index| format!("winlog.event_data.F{index}: \"x\"")).collect();
        rule("r", &format!("  test \"t\" {{ process.exec {{ {} }} expect none }}", fields.join(", ")))
    };
    check_limit(fields, TEST_FIELDS_MAX);
    let steps = |n: usize| rule("r", &format!("  where process.pid{} > 0", " + 1".repeat(n)));
    check_limit(steps, NESTING_MAX as usize);
    let nested = |n: usize| {
        let mut text = "macro m1 = process.pid == 1\n".to_owned();
        for level in 2..=n {
            writeln!(text, "macro m{level} = m{}", level - 1).expect("to a String");
        }
        text + &rule("r", &format!("  where m{n}"))
    };
    check_limit(nested, EXPANSION_DEPTH_MAX as usize);
}

/// A text in which each name stands for two of the one before is `limit`, and no more work for twice as many names.
fn check_doubling(text: impl Fn(usize) -> String) {
    // Expanded, the shorter one would be a thousand million.
    let (some, many) = (text(30), text(60));
    assert!(lowered(&some).1.contains(&"limit") && lowered(&many).1.contains(&"limit"));
    let (some, many) = (work(&some).steps, work(&many).steps);
    assert!(some <= FILE_EXPANSIONS_MAX + FILE_LEAVES_MAX, "{some}");
    assert!(many <= 2 * some, "{some} {many}");
}

#[test]
fn macros_that_double_end_soon() {
    let doubling = |first: &str, next: &dyn Fn(usize) -> String, last: &dyn Fn(usize) -> String, levels: usize| {
        let mut text = first.to_owned();
        for level in 1..levels {
            writeln!(text, "macro m{level}{}", next(level - 1)).expect("to a String");
        }
        text + &rule("r", &last(levels - 1))
    };
    check_doubling(|levels| {
        let next = |m: usize| format!("(p: process) = m{m}(p) and m{m}(p)");
        doubling("macro m0(p: process) = p.pid == 1\n", &next, &|m| format!("  where m{m}(process)"), levels)
    });
    // Values double too, without a test of their own.
    check_doubling(|levels| {
        let next = |m: usize| format!("(x: int) = m{m}(x) + m{m}(x)");
        doubling("macro m0(x: int) = x + x\n", &next, &|m| format!("  where m{m}(process.pid) > 1"), levels)
    });
}

#[test]
fn lists_that_double_end_soon() {
    check_doubling(|levels| {
        let mut text = "list l0 = [1, 2]\n".to_owned();
        for level in 1..levels {
            let before = level - 1;
            writeln!(text, "list l{level} = [l{before}, l{before}]").expect("to a String");
        }
        text
    });
}

#[test]
fn files_of_many_rules_are_bounded_too() {
    let list = format!("list l = [{}]\n", vec!["1"; LIST_ITEMS_MAX].join(","));
    let many = |n: usize| {
        list.clone() + &(0..n).map(|n| rule(&format!("r{n}"), "  where process.pid in l")).collect::<String>()
    };
    let most = FILE_LIST_ITEMS_MAX / LIST_ITEMS_MAX;
    assert_eq!(lowered(&many(most)).1, [""; 0]);
    let (rules, found) = lowered(&many(most + 2));
    assert_eq!((rules.len(), found), (most, vec!["limit"; 2]));

    let tests = vec!["process.pid == 1"; 1000].join(" or ");
    let text = format!("macro m = {tests}\n");
    let many = |n: usize| text.clone() + &(0..n).map(|n| rule(&format!("r{n}"), "  where m")).collect::<String>();
    let most = FILE_LEAVES_MAX / 1000;
    assert_eq!(lowered(&many(most)).1, [""; 0]);
    let (rules, found) = lowered(&many(most + 2));
    assert_eq!((rules.len(), found.len()), (most, 1), "the same place in the macro, reported once");
}

/// Lowers a text of one rule as if its file had had so much of something before; `limit` is reported, in these words,
/// when there is one too many with the three of the text.
fn check_file_limit(
    text: &str,
    counted: impl for<'s> Fn(&'s FileScope<'_>) -> &'s Cell<usize>,
    most: usize,
    words: &str,
) {
    let source = Source::new("test.trap", text);
    let parse = crate::lang::parse(&source);
    let tree = ast::file(&parse.syntax());
    for n in [most - 1, most, most + 1] {
        let mut found = Vec::new();
        let file = FileScope::new(&source, &tree, catalogue(), &parse.diagnostics, &mut found);
        counted(&file).set(n - 3);
        let rule = file.rule(&tree.rules[0], false, &mut found);
        assert_eq!(counted(&file).get(), n.min(most), "{n}");
        let messages: Vec<&str> = found.iter().map(|found| found.message.as_str()).collect();
        if n > most {
            assert!(matches!(messages[..], [message] if message.contains(words)), "{n}: {messages:?}");
            assert!(rule.is_none(), "{n}");
        } else {
            assert!(messages.is_empty() && rule.is_some(), "{n}: {messages:?}");
        }
    }
}

#[test]
fn limits_of_a_file_hold_at_their_edges() {
    let tests = rule("r", "  where process.pid == 1 or process.pid == 2 or process.pid == 3");
    check_file_limit(&tests, |file| &file.leaves, FILE_LEAVES_MAX, "tests together");
    let lists = ["a", "b", "c"].map(|name| format!("list {name} = [1]\n")).concat()
        + &rule("r", "  where process.pid in a or process.pid in b or process.pid in c");
    check_file_limit(&lists, |file| &file.list_items, FILE_LIST_ITEMS_MAX, "each use counted");
    // Those within each other count, too.
    let uses = "macro one = process.pid == 1\nmacro two = one\n".to_owned() + &rule("r", "  where two or one");
    check_file_limit(&uses, |file| &file.expansions, FILE_EXPANSIONS_MAX, "are used at most");
}

#[test]
fn expanded_nesting_is_bounded() {
    // A comparison is two levels, itself and its operands; a macro is one, its use; the rest are `not`s, and no macro
    // has more of them than a file may write.
    const EACH: usize = 40;
    let nots = |n: usize, inner: &str| "not ".repeat(n) + inner;
    let text = |n: usize| {
        let macros = n / (EACH + 1);
        let mut text = format!("macro m0 = {}\n", nots(EACH - 2, "process.pid == 1"));
        for level in 1..macros {
            writeln!(text, "macro m{level} = {}", nots(EACH, &format!("m{}", level - 1))).expect("to a String");
        }
        text + &rule("r", &format!("  where {}", nots(n % (EACH + 1), &format!("m{}", macros - 1))))
    };
    check_limit(text, EXPANDED_NESTING_MAX as usize);
}

#[test]
fn nothing_is_compiled_of_a_file_whose_mistakes_are_only_counted() {
    // The last rule's exception is broken, by a mistake beyond those that are kept.
    let broken = rule("a", &"  unless ==\n".repeat(DIAGNOSTICS_MAX));
    let text = format!("{broken}{}", rule("b", "  where process.pid == 1\n  unless == 2"));
    let (rules, found) = lowered(&text);
    assert_eq!((rules.len(), found.len()), (0, DIAGNOSTICS_MAX + 1));
}

#[test]
fn many_mistakes_are_found_soon() {
    let work = |mistakes: usize| {
        let conditions = (0..mistakes).map(|n| format!("process.nmae{n} == 1")).collect::<Vec<_>>().join(" or ");
        let source = Source::new("test.trap", rule("r", &format!("  where {conditions}")));
        let (rules, found, work) = lower_counting(&[source], catalogue());
        let last = found.last().map(|found| found.code);
        assert_eq!((rules.len(), found.len(), last), (0, DIAGNOSTICS_MAX + 1, Some("limit")));
        work
    };
    // More than are kept, too. Each is a few steps, and similar names are looked for only as long as somebody may read
    // them.
    let (some, many) = (work(FOUND_MAX / 2), work(FOUND_MAX + 1000));
    assert!(many.steps <= 3 * some.steps, "{some:?} {many:?}");
    assert_eq!(some.searches, many.searches);
    assert!(many.searches <= 2 * DIAGNOSTICS_MAX + 1, "{many:?}");
}

#[test]
fn the_words_of_a_test_are_cut() {
    let text = rule("r", &format!("  where process.name in [ # all of them\n    \"{}\"]", "x".repeat(500)));
    let (rules, _) = lowered(&text);
    let Expr::Leaf(Leaf { text, kind: LeafKind::Predicate(_), line, .. }) = &rules[0].condition else {
        panic!("{:?}", rules[0].condition)
    };
    assert_eq!(text.chars().count(), LEAF_TEXT_MAX + 1);
    assert!(text.starts_with("process.name in [ \"xxx") && text.ends_with('…'), "{text}");
    assert_eq!(*line, 5);
}

#[test]
fn names_are_unique_over_all_files() {
    let id = "  id: \"0a6c0d2e-8f0a-4f0e-9a2b-6d3f6a8f1c01\"";
    let sources = [
        Source::new("a.trap", rule("r", id)),
        Source::new("b.trap", rule("r", "")),
        Source::new("c.trap", rule("s", &id.to_uppercase().replace("ID:", "id:"))),
        Source::new("d.trap", format!("list l = [1]\n{}", rule("t", "  where process.pid in l"))),
        Source::new("e.trap", format!("list l = [2]\n{}", rule("u", "  where process.pid in l"))),
    ];
    let (rules, found) = lower(&sources, catalogue());
    assert_eq!(rules.iter().map(|rule| rule.name.as_str()).collect::<Vec<_>>(), ["r", "t", "u"]);
    let places: Vec<(&str, &str)> =
        found.iter().map(|found| (found.code, found.labels[0].span.source.name.as_str())).collect();
    assert_eq!(places, [("duplicate-name", "b.trap"), ("duplicate-name", "c.trap")]);
    assert_eq!(found[0].labels[1].span.source.name, "a.trap");
}

#[test]
fn the_digest_is_of_the_rules_own_text() {
    let (one, _) = lowered(&rule("r", ""));
    let (same, _) = lowered(&format!("# a comment\n\n{}", rule("r", "")));
    let (other, _) = lowered(&rule("r", "  where process.pid == 1"));
    assert_eq!(one[0].digest, same[0].digest);
    assert_ne!(one[0].digest, other[0].digest);
    assert_eq!((one[0].line, same[0].line), (1, 3));
}
