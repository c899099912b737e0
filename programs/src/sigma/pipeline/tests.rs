//! Limits, digests, replacements. What steps mean on events is tested end to end.

use regex_automata::meta::Regex;

use super::super::lower;
use super::value::{Part, replacement};
use super::{ITEMS_MAX, MADE_LEN_MAX, STEPS_MAX};
use crate::catalogue::catalogue;
use crate::diagnostic::Source;
use crate::hir::Rule;

const RULE: &str = "title: A\nlogsource: {product: windows, category: process_creation}\ndetection:\n  a:\n    Image: x\n    User|expand: '%v%'\n  condition: a\n";
const VARS: &str = "vars: {v: [alice]}\n";

/// The rules, and the codes of what is told.
fn lowered(texts: &[&str]) -> (Vec<Rule>, Vec<&'static str>) {
    let sources: Vec<_> =
        texts.iter().enumerate().map(|(number, text)| Source::new(format!("{number}.yml"), *text)).collect();
    let (rules, told) = lower(&sources, catalogue());
    (rules, told.into_iter().map(|told| told.code).collect())
}

#[track_caller]
fn digest(texts: &[&str]) -> [u8; 32] {
    let (rules, told) = lowered(texts);
    assert_eq!((rules.len(), told), (1, Vec::new()));
    rules[0].digest
}

#[test]
fn the_digest_covers_the_pipelines_that_changed_something() {
    let plain = digest(&[RULE, VARS]);
    assert_eq!(plain, digest(&[RULE, VARS, "name: other\ntransformations: [{type: map_string, mapping: {y: z}}]\n"]));
    let changed = "name: other\ntransformations: [{type: map_string, mapping: {x: z}}]\n";
    assert_ne!(plain, digest(&[RULE, VARS, changed]));
    assert_ne!(digest(&[RULE, VARS, changed]), digest(&[RULE, VARS, &changed.replace('z', "w")]));
    assert_ne!(plain, digest(&[RULE, &VARS.replace("alice", "bob")]));
    // Values that another pipeline asks for.
    let asks = "name: asks\ntransformations: [{type: value_placeholders}]\n";
    let gives = "name: gives\nvars: {v: [alice]}\ntransformations: []\n";
    assert_ne!(digest(&[RULE, asks, gives]), digest(&[RULE, asks, &gives.replace("alice", "bob")]));
}

#[test]
fn steps_at_and_over_their_number() {
    let steps = |count: usize| format!("transformations:\n{}", "  - {type: set_state, key: a, val: b}\n".repeat(count));
    for (count, good) in [(STEPS_MAX - 1, true), (STEPS_MAX, true), (STEPS_MAX + 1, false)] {
        // One of them is that of the values.
        let (rules, told) = lowered(&[RULE, VARS, &steps(count - 1)]);
        assert_eq!(rules.len(), usize::from(good), "{count} {told:?}");
        assert_eq!(told.contains(&"sigma-too-large"), !good, "{count}");
    }
}

#[test]
fn items_at_and_over_their_number() {
    for (count, good) in [(ITEMS_MAX - 1, true), (ITEMS_MAX, true), (ITEMS_MAX + 1, false)] {
        // One item is not mapped.
        let names: Vec<String> = (0..count - 1).map(|number| format!("f{number}")).collect();
        let map =
            format!("transformations: [{{type: field_name_mapping, mapping: {{Image: [{}]}}}}]\n", names.join(", "));
        let (rules, told) = lowered(&[RULE, VARS, &map]);
        assert_eq!(
            (rules.len(), told.first().copied()),
            (usize::from(good), (!good).then_some("sigma-too-large")),
            "{count}"
        );
    }
    // Again and again of each.
    let map = "transformations:\n".to_owned()
        + &"  - {type: field_name_mapping, mapping: {Image: [Image, Image]}}\n".repeat(64);
    assert_eq!(lowered(&[RULE, VARS, &map]).1, ["sigma-too-large"]);
}

#[test]
fn what_is_made_at_and_over_its_length() {
    for (len, good) in [(MADE_LEN_MAX - 1, true), (MADE_LEN_MAX, true), (MADE_LEN_MAX + 1, false)] {
        let name = format!(
            "transformations: [{{type: field_name_suffix, suffix: {}, field_name_conditions: [{{type: include_fields, fields: [Image]}}]}}]\n",
            "s".repeat(len - "Image".len())
        );
        assert_eq!(lowered(&[RULE, VARS, &name]).0.len(), usize::from(good), "{len}");
        let value =
            format!("transformations: [{{type: replace_string, regex: '^x$', replacement: {}}}]\n", "s".repeat(len));
        assert_eq!(lowered(&[RULE, VARS, &value]).0.len(), usize::from(good), "{len}");
    }
    let twice = "transformations:\n".to_owned()
        + &"  - {type: replace_string, regex: '^(.*)$', replacement: '\\1\\1'}\n".repeat(64);
    assert_eq!(lowered(&[RULE, VARS, &twice]).1, ["sigma-too-large"]);
    let twice = "transformations:\n".to_owned()
        + &"  - {type: replace_string, skip_special: true, regex: '^(.*)$', replacement: '\\1\\1'}\n".repeat(64);
    assert_eq!(lowered(&[RULE, VARS, &twice]).1, ["sigma-too-large"]);
}

#[test]
fn replacements_are_read_as_python_writes_them() {
    let regex = Regex::new("(?P<first>a)(b)").unwrap();
    let text = |text: &str| Part::Text(text.to_owned());
    for (written, parts) in [
        ("x", Ok(vec![text("x")])),
        (r"\1x\2", Ok(vec![Part::Group(1), text("x"), Part::Group(2)])),
        (r"\g<first>\g<2>\g<0>", Ok(vec![Part::Group(1), Part::Group(2), Part::Group(0)])),
        (r"\\1\n", Ok(vec![text("\\1\n")])),
        (r"é\1é", Ok(vec![text("é"), Part::Group(1), text("é")])),
        (r"\3", Err("the expression has no group 3")),
        (r"\g<other>", Err("the expression has no group other")),
    ] {
        assert_eq!(replacement(written, &regex), parts.map_err(str::to_owned), "{written}");
    }
    for written in ["\\", r"\é", r"\g<1"] {
        assert!(replacement(written, &regex).is_err(), "{written}");
    }
}
