//! Rules at the edges: events of other sensors, rules that grow when they are written out, filters that name nobody,
//! files that are written in another way.

use std::fs;

use serde_json::{Value, json};
use tempfile::TempDir;
use trapline_programs::sigma::{CONDITIONS_MAX, SEARCHES_MAX, TESTS_MAX};

use super::{each, generic, matched, rule, rule_of, security, sysmon, trapline};

/// What `check` says of a rule: whether it is compiled, and the messages.
fn checked(text: &str) -> (bool, String) {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("rule.yml"), text).unwrap();
    let output = trapline(&["check", "rule.yml"], folder.path());
    (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[track_caller]
fn refused(text: &str, reason: &str) {
    let (good, told) = checked(text);
    assert!(!good && told.contains(reason), "{told}");
}

#[test]
fn events_of_other_sensors_have_the_fields_of_the_catalogue_alone() {
    let other = |line: &Value| {
        json!({
            "trapline.class": "process.exec", "host.os.type": "windows", "process.executable": "C:\\a.exe",
            "process.parent.executable": "C:\\A.exe", "process.pid": 5, "process.command_line": line,
        })
    };
    let events = [
        sysmon(1, &json!({ "Image": "C:\\a.exe", "ParentImage": "C:\\A.exe", "ProcessId": 5, "CommandLine": "x" })),
        security(4688, &json!({ "NewProcessName": "C:\\a.exe", "ParentProcessName": "C:\\A.exe", "CommandLine": "x" })),
        other(&json!("x")),
        other(&Value::Null),
        sysmon(1, &json!({ "Image": "C:\\a.exe", "CommandLine": "-" })),
    ];
    each(
        rule,
        &events,
        &[
            ("CommandLine: null", &[false, false, false, true, false]),
            ("CommandLine|neq: null", &[true, true, true, false, true]),
            ("CommandLine|exists: true", &[true, true, true, false, true]),
            ("CommandLine: '*'", &[true, true, true, false, true]),
            ("CommandLine|re: '.'", &[true, true, true, false, true]),
            ("CommandLine: '?'", &[true, true, true, false, true]),
            ("CommandLine: '-'", &[false, false, false, false, true]),
            ("Image|fieldref: ParentImage", &[true, true, true, true, false]),
            ("Image|fieldref|neq: ParentImage", &[false, false, false, false, true]),
            ("ProcessId: 5", &[true, false, true, true, false]),
        ],
    );
}

#[test]
fn what_cannot_be_compared_is_refused() {
    let linux = |test: &str| {
        rule_of(
            "  product: linux\n  category: process_creation",
            &format!("  selection:\n    {test}\n  condition: selection"),
        )
    };
    refused(&linux("Image|fieldref: ProcessId"), "`ProcessId` of this log source is not always a text");
    refused(&linux("ProcessId|startswith: 5"), "cannot be answered on `ProcessId`");
    assert!(checked(&linux("Image|fieldref: ParentImage")).0);
    let foreign = format!("taxonomy: elastic\n{}", linux("Image: x"));
    refused(&foreign, "the names of this document are of the taxonomy `elastic`");
    assert!(checked(&format!("taxonomy: sigma\n{}", linux("Image: x"))).0);
    let pipeline = "---\ntransformations:\n  - type: set_custom_attribute\n    attribute: taxonomy\n    value: sigma\n";
    assert!(checked(&(foreign + pipeline)).0);
}

#[test]
fn rules_that_grow_when_they_are_written_out() {
    let list = |count: usize| (0..count).map(|number| format!("      - value{number}\n")).collect::<String>();
    let of = |searches: usize| {
        (0..searches).map(|number| format!("  s{number}:\n    name: v{number}\n")).collect::<String>()
    };
    // More values than one test of the engine takes.
    let many = generic(&format!("  s:\n    name:\n{}  condition: s", list(20_000)));
    let events = [json!({ "name": "value0" }), json!({ "name": "value19999" }), json!({ "name": "value20000" })];
    assert_eq!(matched(&many, &events), [true, true, false]);
    let values = 16_384;
    for (names, good) in [(TESTS_MAX / values - 1, true), (TESTS_MAX / values, true), (TESTS_MAX / values + 1, false)] {
        let condition = vec!["s"; names].join(" or ");
        let (compiled, told) = checked(&generic(&format!("  s:\n    name:\n{}  condition: {condition}", list(values))));
        assert_eq!(compiled, good, "{names}: {told}");
        assert!(good || told.contains("searches written out"), "{told}");
    }
    for (searches, condition, reason) in [
        (SEARCHES_MAX + 1, "1 of s*", "searches"),
        (SEARCHES_MAX, "1023 of s*", "searches written out"),
        (200, "100 of s*", "searches written out"),
        (2, "[s0, s0, s0, s0, s0, s0, s0, s0, s0, s0, s0, s0, s0, s0, s0, s0, s1]", "conditions"),
    ] {
        let (compiled, told) = checked(&generic(&format!("{}  condition: {condition}", of(searches))));
        assert!(!compiled && told.contains(reason) && told.contains("rule.yml:"), "{searches} {condition}: {told}");
    }
    for (searches, condition) in [
        (SEARCHES_MAX - 1, "1 of s*".to_owned()),
        (SEARCHES_MAX, "1 of s*".to_owned()),
        (90, "2 of s*".to_owned()),
        (12, "11 of s*".to_owned()),
        (2, format!("[{}]", vec!["s0"; CONDITIONS_MAX].join(", "))),
    ] {
        let (compiled, told) = checked(&generic(&format!("{}  condition: {condition}", of(searches))));
        assert!(compiled, "{searches} {condition}: {told}");
    }
}

#[test]
fn filters_that_name_nobody() {
    let filter = |rules: &str, condition: &str| {
        format!(
            "---\ntitle: Fine\nlogsource:\n  product: acme\nfilter:\n  rules: {rules}\n  s:\n    name: x\n  condition: {condition}\n"
        )
    };
    let rule = generic("  s:\n    name: x\n  condition: s")
        .replace("id: 5c2f1f0e-6d5b-4c39-9d5e-0b9f4f6c7d10\n", "name: mine\n");
    let events = [json!({ "name": "x" })];
    assert_eq!(matched(&(rule.clone() + &filter("[mine]", "not s")), &events), [false]);
    assert_eq!(matched(&(rule.clone() + &filter("any", "not s")), &events), [false]);
    // A rule without an id is not the one with an empty id.
    assert_eq!(matched(&(rule.clone() + &filter("['']", "not s")), &events), [true]);
    let (compiled, told) = checked(&(rule.clone() + &filter("[mine, mien]", "not s")));
    assert!(compiled && told.contains("warning[sigma-document]: no rule among the files is called `mien`"), "{told}");
    refused(&(rule + &filter("[mine]", "[not s, s]")), "a filter has one condition");
}

#[test]
fn rules_in_folders_however_they_are_written() {
    let folder = TempDir::new().unwrap();
    let rules = folder.path().join("rules");
    fs::create_dir(&rules).unwrap();
    let indented =
        generic("  s:\n    name: x\n  condition: s").lines().map(|line| format!("  {line}\n")).collect::<String>();
    let one_line =
        r#"{"title": "b", "logsource": {"product": "acme"}, "detection": {"s": {"name": "x"}, "condition": "s"}}"#;
    let blank = "title: c\nlogsource :\n  product: aws\ndetection :\n  s:\n    name: x\n  condition: s\n";
    for (name, text) in [("a.yml", indented.as_str()), ("b.yml", one_line), ("c.yml", blank), ("d.yml", "kind: Pod\n")]
    {
        fs::write(rules.join(name), text).unwrap();
    }
    let output = trapline(&["check", "rules"], folder.path());
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && told.contains("3 rules compiled"), "{told}");
}

#[test]
fn blanks_in_names_do_not_count() {
    let events = [json!({ "Source IP": "a" }), json!({ "SourceIP": "a" }), json!({ "my data": { "Source IP": "a" } })];
    each(
        generic,
        &events,
        &[
            ("Source IP: a", &[true, true, false]),
            ("SourceIP: a", &[true, true, false]),
            ("mydata.SourceIP: a", &[false, false, true]),
        ],
    );
}

#[test]
fn what_pipelines_add_is_not_among_the_searches_of_the_rule() {
    let add = |name: &str| {
        format!("---\ntransformations:\n  - type: add_condition{name}\n    conditions: {{ site: here }}\n")
    };
    let events = [json!({ "name": "x", "site": "here" }), json!({ "site": "here" })];
    for (search, condition, name) in [("_s", "1 of _*", ""), ("s", "1 of them", "\n    name: more")] {
        let rule = generic(&format!("  {search}:\n    name: x\n  condition: {condition}"));
        assert_eq!(matched(&(rule + &add(name)), &events), [true, false], "{condition}");
    }
}

#[test]
fn values_without_a_field_keep_their_ends_in_the_field_they_are_given() {
    let pipeline = "---\ntransformations:\n  - type: field_name_mapping\n    mapping: { null: message }\n";
    let events = [json!({ "message": "xa" }), json!({ "message": "ax" }), json!({ "other": "xa" })];
    for (test, expected) in [("'|startswith': x", [true, false, false]), ("'|contains': x", [true, true, false])] {
        let rule = generic(&format!("  s:\n    {test}\n  condition: s"));
        assert_eq!(matched(&(rule + pipeline), &events), expected, "{test}");
    }
}

#[test]
fn placeholders_without_any_value_are_refused() {
    let rule = generic("  s:\n    name|expand|all: '%nobody%'\n  condition: s");
    refused(&(rule + "---\nvars: { nobody: [] }\n"), "stands for no value at all");
}

#[test]
fn a_name_mapped_to_several_and_not_equal() {
    let pipeline = "---\ntransformations:\n  - type: field_name_mapping\n    mapping:\n      name: [a, b]\n";
    let events = [json!({ "a": "x", "b": "y" }), json!({ "a": "y", "b": "y" }), json!({ "b": "x" })];
    for (test, expected) in [("name: x", [true, false, true]), ("name|neq: x", [false, true, false])] {
        let rule = generic(&format!("  s:\n    {test}\n  condition: s"));
        assert_eq!(matched(&(rule + pipeline), &events), expected, "{test}");
    }
}
