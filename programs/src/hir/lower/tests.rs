//! The lowering: limits, and what must never be lost. What rules lower to is in `tests/language`.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

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

#[test]
fn macros_that_double_end_soon() {
    let mut text = "macro m0(p: process) = p.pid == 1\n".to_owned();
    for level in 1..30 {
        let before = level - 1;
        writeln!(text, "macro m{level}(p: process) = m{before}(p) and m{before}(p)").expect("to a String");
    }
    text += &rule("r", "  where m29(process)");
    let started = Instant::now();
    let (rules, found) = lowered(&text);
    assert_eq!((rules.len(), found), (0, vec!["limit"]));
    assert!(started.elapsed() < Duration::from_secs(5));
    // Values double too, without a test of their own.
    let mut text = "macro v0(x: int) = x + x\n".to_owned();
    for level in 1..30 {
        let before = level - 1;
        writeln!(text, "macro v{level}(x: int) = v{before}(x) + v{before}(x)").expect("to a String");
    }
    text += &rule("r", "  where v29(process.pid) > 1");
    let started = Instant::now();
    let (rules, found) = lowered(&text);
    assert_eq!((rules.len(), found), (0, vec!["limit"]));
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[test]
fn lists_that_double_end_soon() {
    let mut text = "list l0 = [1, 2]\n".to_owned();
    for level in 1..30 {
        let before = level - 1;
        writeln!(text, "list l{level} = [l{before}, l{before}]").expect("to a String");
    }
    let started = Instant::now();
    let (_, found) = lowered(&text);
    assert!(found.contains(&"limit"), "{found:?}");
    assert!(started.elapsed() < Duration::from_secs(5));
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

#[test]
fn expanded_nesting_is_bounded() {
    // Each macro nests a few levels; together they would nest thousands.
    let inner = "(".repeat(20) + "not (process.pid == 1 and " + &"(process.pid == 2 or not ".repeat(20);
    let mut text = String::new();
    for level in 0..30 {
        let next = if level == 29 { "process.pid == 3".to_owned() } else { format!("m{}", level + 1) };
        writeln!(text, "macro m{level} = {inner}{next}{}", ")".repeat(41)).expect("to a String");
    }
    let (rules, found) = lowered(&(text + &rule("r", "  where m0")));
    assert_eq!((rules.len(), found), (0, vec!["limit"]));
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
    let conditions = (0..20_000).map(|n| format!("process.nmae{n} == 1")).collect::<Vec<_>>().join(" or ");
    let started = Instant::now();
    let (rules, found) = lowered(&rule("r", &format!("  where {conditions}")));
    assert_eq!((rules.len(), found.len(), found.last()), (0, DIAGNOSTICS_MAX + 1, Some(&"limit")));
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
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
