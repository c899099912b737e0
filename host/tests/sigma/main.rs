//! Sigma rules, end to end: what each means on events, by the specification; the causes by which engines of the field
//! differ, one test each; and, where the corpora lie beside the checkout, every rule and every regression case of them.

mod edges;
mod modifiers;
mod normal;
mod values;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};
use tempfile::TempDir;

fn trapline(arguments: &[&str], folder: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_trapline")).args(arguments).current_dir(folder).output().unwrap()
}

/// A rule of process creation on Windows, from its detection.
fn rule(detection: &str) -> String {
    rule_of("  product: windows\n  category: process_creation", detection)
}

fn rule_of(logsource: &str, detection: &str) -> String {
    format!(
        "title: A rule\nid: 5c2f1f0e-6d5b-4c39-9d5e-0b9f4f6c7d10\nlevel: high\nlogsource:\n{logsource}\ndetection:\n{detection}\n"
    )
}

fn event(provider: &str, channel: &str, id: u32, data: &Value) -> Value {
    json!({ "Event": {
        "System": {
            "Provider": { "#attributes": { "Name": provider } },
            "EventID": id,
            "Channel": channel,
            "Computer": "host",
            "TimeCreated": { "#attributes": { "SystemTime": "2026-03-01T10:00:00Z" } },
        },
        "EventData": data,
    }})
}

fn sysmon(id: u32, data: &Value) -> Value {
    event("Microsoft-Windows-Sysmon", "Microsoft-Windows-Sysmon/Operational", id, data)
}

fn security(id: u32, data: &Value) -> Value {
    event("Microsoft-Windows-Security-Auditing", "Security", id, data)
}

/// A rule on events that no class describes, from its detection.
/// A rule for events of which nothing is known but what they say.
fn generic(detection: &str) -> String {
    rule_of("  product: acme\n  service: door", detection)
}

/// Whether the rule matches each of the events.
#[track_caller]
fn matched(rule: &str, events: &[Value]) -> Vec<bool> {
    outcome(rule, events).0
}

/// Whether the rule matches each of the events, and on how many it could not be evaluated.
#[track_caller]
fn outcome(rule: &str, events: &[Value]) -> (Vec<bool>, u64) {
    let (alerts, not_evaluable) = alerts(rule, events);
    let of = |number: usize| alerts.iter().any(|(_, record)| *record == number);
    ((1..=events.len()).map(of).collect(), not_evaluable)
}

/// The alerts, each by the id of its rule and the number of its event from 1; and how many rules could not be evaluated.
#[track_caller]
fn alerts(rules: &str, events: &[Value]) -> (BTreeSet<(String, usize)>, u64) {
    let folder = TempDir::new().unwrap();
    let text: String = events.iter().map(|event| format!("{event}\n")).collect();
    fs::write(folder.path().join("events.jsonl"), text).unwrap();
    fs::write(folder.path().join("rule.yml"), rules).unwrap();
    let arguments =
        ["replay", "--strict", "--rules", "rule.yml", "--format", "jsonl", "--summary", "summary.json", "events.jsonl"];
    let output = trapline(&arguments, folder.path());
    assert!(output.status.success(), "{rules}\n{}", String::from_utf8_lossy(&output.stderr));
    let summary = fs::read_to_string(folder.path().join("summary.json")).unwrap();
    let summary: Value = serde_json::from_str(&summary).unwrap();
    let mut found = BTreeSet::new();
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        let alert: Value = serde_json::from_str(line).unwrap();
        let record = alert["trapline"]["source"]["record"].as_u64().unwrap();
        found.insert((alert["rule"]["id"].as_str().unwrap().to_owned(), usize::try_from(record).unwrap()));
    }
    (found, summary["not_evaluable"].as_u64().unwrap())
}

/// Whether each of these tests, the one search of a rule, matches the events. All rules run at once.
#[track_caller]
fn each(rule: impl Fn(&str) -> String, events: &[Value], cases: &[(&str, &[bool])]) {
    let id = |number: usize| format!("00000000-0000-4000-8000-{number:012}");
    let rules = cases.iter().enumerate().map(|(number, (test, _))| {
        let rule = rule(&format!("  selection:\n    {test}\n  condition: selection"));
        rule.replace("id: 5c2f1f0e-6d5b-4c39-9d5e-0b9f4f6c7d10", &format!("id: {}\nname: rule_{number}", id(number)))
    });
    let rules: Vec<String> = rules.collect();
    let (alerts, _) = alerts(&rules.join("---\n"), events);
    for (number, (test, expected)) in cases.iter().enumerate() {
        let found: Vec<bool> = (1..=events.len()).map(|record| alerts.contains(&(id(number), record))).collect();
        assert_eq!(found, *expected, "{test}");
    }
}

/// A rule of process creation with this detection is refused with this code.
#[track_caller]
fn refused(detection: &str, code: &str) {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("rule.yml"), rule(detection)).unwrap();
    let output = trapline(&["check", "rule.yml"], folder.path());
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{detection}\n{told}");
    assert!(told.contains(&format!("error[{code}]")) && told.contains("rule.yml:"), "{detection}\n{told}");
}

/// Whether a detection matches command lines.
#[track_caller]
fn on_command_lines(detection: &str, lines: &[&str]) -> Vec<bool> {
    let events: Vec<Value> = lines.iter().map(|line| sysmon(1, &json!({ "CommandLine": line }))).collect();
    matched(&rule(detection), &events)
}

#[test]
fn null_is_true_of_a_field_that_is_absent() {
    let detection = "  selection:\n    ParentImage: null\n  condition: selection";
    let events = [
        sysmon(1, &json!({ "Image": "a" })),
        sysmon(1, &json!({ "Image": "a", "ParentImage": null })),
        sysmon(1, &json!({ "Image": "a", "ParentImage": "b" })),
        // What Windows writes for no value is a value of the event all the same.
        sysmon(1, &json!({ "Image": "a", "ParentImage": "-" })),
        sysmon(1, &json!({ "Image": "a", "ParentImage": "" })),
    ];
    assert_eq!(matched(&rule(detection), &events), [true, true, false, false, false]);
    let empty = detection.replace("null", "''");
    assert_eq!(matched(&rule(&empty), &events), [false, false, false, false, true]);
    let dash = detection.replace("null", "'-'");
    assert_eq!(matched(&rule(&dash), &events), [false, false, false, true, false]);
    let not = "  selection:\n    Image: a\n  filter:\n    ParentImage: b\n  condition: selection and not filter";
    assert_eq!(matched(&rule(not), &events), [true, true, false, true, true]);
}

#[test]
fn any_of_several_values_counts() {
    let source = "  product: windows\n  service: application";
    let data = json!({ "Data": { "#text": ["first", "C:\\temp\\a.exe", "last"] } });
    let events = [event("MsiInstaller", "Application", 1040, &data)];
    for (test, expected) in [
        ("Data: first", true),
        ("Data|endswith: '.exe'", true),
        ("Data|startswith: 'C:\\'", true),
        ("Data: 'first*last'", false),
        ("Data|contains|all: [temp, las]", true),
    ] {
        let rule = rule_of(source, &format!("  selection:\n    {test}\n  condition: selection"));
        assert_eq!(matched(&rule, &events), [expected], "{test}");
    }
}

#[test]
fn numbers_and_truth_are_compared_as_the_data_has_them() {
    let source = "  product: windows\n  category: network_connection";
    let events = [
        sysmon(3, &json!({ "DestinationPort": "3389", "Initiated": "true" })),
        sysmon(3, &json!({ "DestinationPort": 3389, "Initiated": true })),
        sysmon(3, &json!({ "DestinationPort": 33890, "Initiated": false })),
    ];
    for test in ["DestinationPort: 3389", "DestinationPort: '3389'", "Initiated: 'true'", "Initiated: true"] {
        let rule = rule_of(source, &format!("  selection:\n    {test}\n  condition: selection"));
        assert_eq!(matched(&rule, &events), [true, true, false], "{test}");
    }
    let prefix = rule_of(source, "  selection:\n    DestinationPort|startswith: '338'\n  condition: selection");
    assert_eq!(matched(&prefix, &events), [true, true, true]);
    let more = rule_of(source, "  selection:\n    DestinationPort|gt: 3389\n  condition: selection");
    assert_eq!(matched(&more, &events), [false, false, true]);
}

#[test]
fn dashes_of_flags_are_one() {
    let lines = ["x -accepteula", "x /accepteula", "x –accepteula", "x —accepteula", "x ―accepteula", "x +accepteula"];
    for dash in ["-", "/", "―"] {
        let detection =
            format!("  selection:\n    CommandLine|windash|contains: '{dash}accepteula'\n  condition: selection");
        assert_eq!(on_command_lines(&detection, &lines), [true, true, true, true, true, false], "{dash}");
    }
}

#[test]
fn backslashes_and_wildcards() {
    for (value, lines, expected) in [
        (r"'\\\\host\C$'", [r"\\host\c$", r"\host\C$"], [true, false]),
        (r"'*\\\\*'", [r"a\\b", r"a\b"], [true, false]),
        (r"'what\?'", ["what?", "whatx"], [true, false]),
        (r"'a\*b'", ["a*b", "axb"], [true, false]),
        (r"'C:\*\\*'", [r"C:\*\x", r"C:\a\x"], [true, false]),
        (r"'?'", ["x", "xx"], [true, false]),
        (r"'*'", ["", "-"], [true, true]),
    ] {
        let value = value.replace("C:\\*", "C:\\\\\\*");
        let detection = format!("  selection:\n    CommandLine: {value}\n  condition: selection");
        assert_eq!(on_command_lines(&detection, &lines), expected, "{value}");
    }
    let inner = "  selection:\n    CommandLine|contains: 'tasklist*|*find'\n  condition: selection";
    assert_eq!(on_command_lines(inner, &["x tasklist /v | find y", "find | tasklist"]), [true, false]);
}

#[test]
fn regular_expressions_and_other_fields() {
    let lines = ["POWERSHELL -e", "powershell -e", "pwsh"];
    let exact = "  selection:\n    CommandLine|re: 'powershell\\s'\n  condition: selection";
    assert_eq!(on_command_lines(exact, &lines), [false, true, false]);
    let any_case = exact.replace("|re:", "|re|i:");
    assert_eq!(on_command_lines(&any_case, &lines), [true, true, false]);
    let cased = "  selection:\n    CommandLine|cased|startswith: 'POWER'\n  condition: selection";
    assert_eq!(on_command_lines(cased, &lines), [true, false, false]);
    let same = rule("  selection:\n    Image|fieldref: ParentImage\n  condition: selection");
    let events = [
        sysmon(1, &json!({ "Image": "C:\\A.exe", "ParentImage": "c:\\a.exe" })),
        sysmon(1, &json!({ "Image": "C:\\A.exe", "ParentImage": "c:\\b.exe" })),
        sysmon(1, &json!({ "Image": "C:\\A.exe" })),
    ];
    assert_eq!(matched(&same, &events), [true, false, false]);
    // What Windows writes for no value is a value here, too.
    let events = ["-", ""].map(|nothing| sysmon(1, &json!({ "Image": nothing, "ParentImage": nothing })));
    assert_eq!(matched(&same, &events), [true, true]);
}

/// Found beside other engines on generated events: `tests/peers`.
#[test]
fn values_that_other_engines_stumble_over() {
    let matches = |detection: &str, lines: &[&str]| {
        on_command_lines(&format!("  selection:\n    CommandLine{detection}\n  condition: selection"), lines)
    };
    // A wildcard goes over the ends of lines.
    assert_eq!(matches(": 'one*two'", &["one\ntwo", "two\none"]), [true, false]);
    // What follows a wildcard may begin more than once.
    assert_eq!(matches(": '*ab?b'", &["abxabxb", "abxbx"]), [true, false]);
    // Letters with more than two forms are one.
    assert_eq!(matches("|contains: 'λόγος'", &["ΛΌΓΟΣ", "λόγοσ", "λόγο"]), [true, true, false]);
    // No flag begins inside of a word.
    assert_eq!(matches("|windash: 'a-b'", &["a-b", "a/b"]), [true, false]);
    assert_eq!(matches("|windash|contains: '-a -b'", &["/a \u{2013}b", "/a b"]), [true, false]);
    let application = |detection: &str| rule_of("  product: windows\n  service: application", detection);
    let events = [json!({ "A": 4711 }), json!({ "A": "ran mimi" }), json!({ "A": "mimi", "B": "ran" })];
    let events = events.map(|data| event("App", "Application", 1, &data));
    let number = application("  keywords: ['4711']\n  condition: keywords");
    assert_eq!(matched(&number, &events), [true, false, false]);
    let all = application("  keywords:\n    '|all': [mimi, ran]\n  condition: keywords");
    assert_eq!(matched(&all, &events), [false, true, true]);
}

#[test]
fn encodings_are_written_out() {
    let detection = "  selection:\n    CommandLine|wide|base64offset|contains: 'IEX'\n  condition: selection";
    // `IEX` in UTF-16, after zero, one and two other bytes.
    let lines = ["x SQBFAFgA", "x AEkARQBYAA", "x AABJAEUAWAAA", "x SUVY"];
    assert_eq!(on_command_lines(detection, &lines), [true, true, true, false]);
    let plain = "  selection:\n    CommandLine|base64: 'IEX'\n  condition: selection";
    assert_eq!(on_command_lines(plain, &["SUVY", "x SUVY"]), [true, false]);
}

#[test]
fn a_log_source_is_kept_to() {
    let delete = rule_of(
        "  product: windows\n  category: registry_delete",
        "  selection:\n    TargetObject|contains: Run\n  condition: selection",
    );
    let key = |kind: &str| sysmon(12, &json!({ "EventType": kind, "TargetObject": "HKLM\\Run" }));
    assert_eq!(matched(&delete, &[key("DeleteKey"), key("CreateKey"), key("DeleteValue")]), [true, false, true]);
    let start = rule("  selection:\n    Image|endswith: '\\a.exe'\n  condition: selection");
    let events = [
        sysmon(1, &json!({ "Image": "C:\\a.exe" })),
        sysmon(5, &json!({ "Image": "C:\\a.exe" })),
        security(4688, &json!({ "NewProcessName": "C:\\a.exe" })),
        security(4689, &json!({ "ProcessName": "C:\\a.exe" })),
        event("Somebody", "Application", 1, &json!({ "Image": "C:\\a.exe" })),
    ];
    assert_eq!(matched(&start, &events), [true, false, true, false, false]);
    // What the audit calls by the name of another thing is told apart.
    let parent = rule("  selection:\n    ParentProcessId|startswith: '12'\n  condition: selection");
    let events = [
        sysmon(1, &json!({ "ProcessId": 12, "ParentProcessId": 7 })),
        sysmon(1, &json!({ "ProcessId": 7, "ParentProcessId": 12 })),
    ];
    assert_eq!(matched(&parent, &events), [false, true]);
}

#[test]
fn channels_names_with_blanks_and_user_data() {
    let logon = rule_of(
        "  product: windows\n  service: security",
        "  selection:\n    EventID: 4624\n    LogonType: 3\n  condition: selection",
    );
    let data = json!({ "LogonType": "3" });
    let provider = "Microsoft-Windows-Security-Auditing";
    let events = [
        event(provider, "security", 4624, &data),
        event(provider, "Security", 4624, &data),
        event(provider, "System", 4624, &data),
    ];
    assert_eq!(matched(&logon, &events), [true, true, false]);
    let threat = rule_of(
        "  product: windows\n  service: windefend",
        "  selection:\n    ThreatName|contains: Mimi\n  condition: selection",
    );
    let defender = "Microsoft-Windows-Windows Defender";
    let data = json!({ "Threat Name": "HackTool:Mimikatz" });
    let events = [event(defender, "Microsoft-Windows-Windows Defender/Operational", 1116, &data)];
    assert_eq!(matched(&threat, &events), [true]);
    let cleared = rule_of(
        "  product: windows\n  service: security",
        "  selection:\n    EventID: 1102\n    SubjectUserName: alice\n  condition: selection",
    );
    let mut event = event("Microsoft-Windows-Eventlog", "Security", 1102, &Value::Null);
    event["Event"]["UserData"] = json!({ "LogFileCleared": { "SubjectUserName": "alice" } });
    assert_eq!(matched(&cleared, &[event]), [true]);
}

#[test]
fn searches_without_a_field_look_at_all_values() {
    let keywords = rule_of(
        "  product: windows\n  service: application",
        "  keywords:\n    - mimikatz\n    - 'sek*urlsa'\n  condition: keywords",
    );
    let events = [
        event("App", "Application", 1, &json!({ "A": "x", "B": "ran MIMIKATZ now" })),
        event("App", "Application", 1, &json!({ "A": "sek", "B": "urlsa" })),
        event("App", "Application", 1, &json!({ "A": "sek-urlsa" })),
    ];
    assert_eq!(matched(&keywords, &events), [true, false, true]);
    let all = rule_of(
        "  product: windows\n  service: application",
        "  keywords:\n    '|all':\n      - mimi\n      - ran\n  condition: keywords",
    );
    assert_eq!(matched(&all, &events), [true, false, false]);
}

#[test]
fn events_of_windows_are_not_for_other_products() {
    let keywords = |source: &str| rule_of(source, "  keywords:\n    - dir\n  condition: keywords");
    let windows = event("App", "Application", 1, &json!({ "Data": "dir" }));
    let other = json!({ "message": "show dir" });
    for source in ["  product: cisco\n  service: aaa", "  category: proxy", "  product: linux"] {
        assert_eq!(matched(&keywords(source), &[windows.clone(), other.clone()]), [false, true], "{source}");
    }
}

#[test]
fn conditions_and_filters() {
    let detection = "  sel_a:\n    CommandLine|contains: a\n  sel_b:\n    CommandLine|contains: b\n  sel_c:\n    CommandLine|contains: c\n  condition: ";
    for (condition, expected) in [
        ("1 of sel_*", [true, true, true, false]),
        ("2 of sel_*", [false, true, true, false]),
        ("all of them", [false, false, true, false]),
        ("not 1 of them", [false, false, false, true]),
        ("sel_a and not sel_b or sel_c", [true, false, true, false]),
    ] {
        let found = on_command_lines(&format!("{detection}{condition}"), &["a", "ab", "abc", "x"]);
        assert_eq!(found, expected, "{condition}");
    }
    let hidden = detection.replace("sel_c", "_sel_c");
    assert_eq!(on_command_lines(&format!("{hidden}all of them"), &["a", "ab", "abc"]), [false, true, true]);
    assert_eq!(on_command_lines(&format!("{detection}[sel_a, sel_b]"), &["a", "b", "c"]), [true, true, false]);
    let filter = "---\ntitle: Not this one\nlogsource:\n  product: windows\nfilter:\n  rules:\n    - 5c2f1f0e-6d5b-4c39-9d5e-0b9f4f6c7d10\n  selection:\n    CommandLine|contains: fine\n  condition: not selection\n";
    let both = rule("  selection:\n    CommandLine|contains: a\n  condition: selection") + filter;
    let events = ["a", "a fine"].map(|line| sysmon(1, &json!({ "CommandLine": line })));
    assert_eq!(matched(&both, &events), [true, false]);
}

#[test]
fn hostile_yaml_is_refused_with_a_place() {
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..9 {
        let before = format!("*a{}", level - 1);
        bomb += &format!("a{level}: &a{level} [{}]\n", vec![before; 10].join(", "));
    }
    let values: String = (0..100_000).map(|number| format!("      - 'value{number}'\n")).collect();
    let cases = [
        ("detection: 1\n".to_owned() + &bomb, "more than 1000000 values"),
        (format!("detection: {}{}", "[".repeat(100_000), "]".repeat(100_000)), "nested deeper than 32"),
        (format!("detection: {}{}", "{a: ".repeat(100_000), "}".repeat(100_000)), "nested deeper than 32"),
        (
            rule(&format!("  selection:\n    Image: '{}'\n  condition: selection", "x".repeat(1 << 20))),
            "1048576 bytes long",
        ),
        (rule(&format!("  selection:\n    Image:\n{values}  condition: selection")), "more than 65536 values"),
        (rule("  selection:\n    Image: \u{fffd}\n\tx: y\n  condition: selection"), "not YAML"),
        (rule("  selection: 5\n  selection: 6\n  condition: selection"), "occurs twice"),
        (rule("  selection:\n    Image: &a [*a]\n  condition: selection"), "a part of"),
        (rule("  selection:\n    Image: {a: b}\n  condition: selection"), "a value is a text"),
        (rule("  selection:\n    Image: x\n  condition: {a: b}"), "a list of texts"),
        (rule("  selection:\n    ? [a]\n    : b\n  condition: selection"), "sigma-"),
        (rule("").replace("detection:\n", "detection: 5"), "`detection` is a map"),
        (rule("  s: {a: b}\n  condition: s").replace("A rule", "[a]"), "`title` is a text"),
        (rule("  s: {a: b}\n  condition: s").replace("  product", "  - product"), "sigma-"),
    ];
    let mut files: Vec<(Vec<u8>, &str)> = cases.into_iter().map(|(text, reason)| (text.into_bytes(), reason)).collect();
    let latin_1 = |value: &[u8]| {
        let (before, behind) = ("  selection:\n    Image: '", "'\n  condition: selection");
        let text = rule(&format!("{before}VALUE{behind}"));
        let (before, behind) = text.split_once("VALUE").unwrap();
        [before.as_bytes(), value, behind.as_bytes()].concat()
    };
    files.push((latin_1(b"caf\xe9"), "not UTF-8"));
    files.push((latin_1(b"\xff\xfe\xc0\x80"), "not UTF-8"));
    files.push((vec![0xff; 1 << 12], "not UTF-8"));
    for (text, reason) in files {
        let folder = TempDir::new().unwrap();
        fs::write(folder.path().join("rule.yml"), &text).unwrap();
        let output = trapline(&["check", "rule.yml"], folder.path());
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        let shown: String = String::from_utf8_lossy(&text).chars().take(60).collect();
        assert_eq!(output.status.code(), Some(2), "{shown}\n{told}");
        assert!(told.contains(reason) && told.contains("rule.yml:"), "{shown}\n{told}");
        assert!(told.len() < 64 * 1024, "{shown}: {} bytes of messages", told.len());
    }
}

/// The corpora beside the checkout.
fn corpus() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/corpora/sigma");
    if folder.is_dir() {
        return Some(folder);
    }
    println!("skipped: there is no corpus of Sigma rules beside the checkout");
    None
}

/// Rules that need what a site has to say.
const REFUSED_MAX: usize = 2;

#[test]
fn every_rule_of_the_corpus_loads_or_says_why_and_every_regression_case_is_found() {
    let Some(corpus) = corpus() else { return };
    let arguments = [
        "replay",
        "--rules",
        "rules",
        "--rules",
        "rules-emerging-threats",
        "--rules",
        "rules-threat-hunting",
        "--format",
        "jsonl",
        "regression_data",
    ];
    let folder = TempDir::new().unwrap();
    let summary = folder.path().join("summary.json");
    let summary = summary.to_str().unwrap();
    let output = trapline(&[&arguments[..], &["--summary", summary]].concat(), &corpus);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let summary: Value = serde_json::from_str(&fs::read_to_string(summary).unwrap()).unwrap();
    let loaded = summary["rules"]["loaded"].as_u64().unwrap();
    let refused = summary["refused_rules"].as_array().unwrap();
    println!("{loaded} rules, {} refused: {refused:#?}", refused.len());
    assert!(loaded > 1000 && refused.len() <= REFUSED_MAX, "{refused:#?}");
    let mut found: BTreeMap<(String, String), u64> = BTreeMap::new();
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        let alert: Value = serde_json::from_str(line).unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        *found.entry((text(&alert["trapline"]["source"]["file"]), text(&alert["rule"]["id"]))).or_default() += 1;
    }
    let (mut cases, mut missed) = (0, Vec::new());
    let rules = all_text(&corpus, &["rules", "rules-emerging-threats", "rules-threat-hunting"]);
    for info in files(&corpus.join("regression_data"), "info.yml") {
        let text = fs::read_to_string(&info).unwrap();
        let value = |key: &str| text.lines().find_map(|line| line.trim_start_matches([' ', '-']).strip_prefix(key));
        let path = value("path: ").unwrap().trim();
        let wanted: u64 = value("match_count: ").map_or(1, |count| count.trim().parse().unwrap());
        let id = Path::new(path).file_stem().unwrap().to_str().unwrap();
        if !rules.contains(id) {
            println!("skipped: {path}: its rule is not in the corpus");
            continue;
        }
        for copy in [path.to_owned(), path.replace(".evtx", ".json")] {
            cases += 1;
            let count = found.get(&(copy.clone(), id.to_owned())).copied().unwrap_or_default();
            if count < wanted {
                missed.push(format!("{copy}: {count} of {wanted}"));
            }
        }
    }
    assert!(cases > 0, "the folder is there, and has no case");
    assert!(missed.is_empty(), "{missed:#?}");
}

fn files(folder: &Path, name: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, name));
        } else if path.file_name().is_some_and(|known| name.is_empty() || known == name) {
            found.push(path);
        }
    }
    found
}

fn all_text(corpus: &Path, folders: &[&str]) -> String {
    folders
        .iter()
        .flat_map(|folder| files(&corpus.join(folder), ""))
        .map(|path| fs::read_to_string(path).unwrap())
        .collect()
}
