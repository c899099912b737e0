//! Regression tests in SigmaHQ's layout, alerts of Sigma rules, and what loading many rules says.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};
use tempfile::TempDir;

fn trapline(arguments: &[&str], folder: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_trapline")).args(arguments).current_dir(folder).output().unwrap()
}

const ID: &str = "5c2f1f0e-6d5b-4c39-9d5e-0b9f4f6c7d10";

fn rule(id: &str, image: &str) -> String {
    format!(
        "title: A rule\nid: {id}\nstatus: test\nlevel: high\ntags:\n  - attack.t1059\n  - mine\nregression_tests_path: \
         regression_data/one/info.yml\nlogsource:\n  product: windows\n  category: process_creation\ndetection:\n  \
         selection:\n    Image|endswith: '{image}'\n  condition: selection\n"
    )
}

fn info(id: &str, count: &str) -> String {
    format!(
        "id: x\nrule_metadata:\n  - id: {id}\n    title: A rule\nregression_tests_info:\n  - name: Found\n    type: \
         evtx\n{count}    path: regression_data/one/{id}.json\n"
    )
}

/// Two events, as `evtx_dump` prints them: objects on several lines, one behind the other.
fn events() -> String {
    let event = |image: &str| {
        let event = json!({ "Event": {
            "System": {
                "Provider": { "#attributes": { "Name": "Microsoft-Windows-Sysmon" } },
                "EventID": 1,
                "Channel": "Microsoft-Windows-Sysmon/Operational",
                "Computer": "host",
                "TimeCreated": { "#attributes": { "SystemTime": "2026-03-01T10:00:00Z" } },
            },
            "EventData": { "Image": image },
        }});
        serde_json::to_string_pretty(&event).unwrap()
    };
    format!("{}\n{}\n", event("C:\\a.exe"), event("C:\\b\\a.exe"))
}

/// A repository with a rule, and a test of it.
fn repository(rule: &str, info: &str) -> TempDir {
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("regression_data/one");
    fs::create_dir_all(&data).unwrap();
    fs::create_dir_all(folder.path().join("rules/windows")).unwrap();
    fs::write(folder.path().join("rules/windows/a.yml"), rule).unwrap();
    fs::write(data.join("info.yml"), info).unwrap();
    fs::write(data.join(format!("{ID}.json")), events()).unwrap();
    folder
}

/// The exit code, and the report.
fn test(folder: &TempDir, paths: &[&str]) -> (i32, Value) {
    let output = trapline(&[&["test", "--format", "json"], paths].concat(), folder.path());
    (output.status.code().unwrap(), serde_json::from_slice(&output.stdout).unwrap_or(Value::Null))
}

#[test]
fn a_rule_matches_its_events_so_often() {
    for (count, good) in [("", true), ("    match_count: 2\n", true), ("    match_count: 3\n", false)] {
        let folder = repository(&rule(ID, "\\a.exe"), &info(ID, count));
        // Named, and found by the rule itself; once either way.
        for paths in [&["rules", "regression_data"][..], &["rules"]] {
            let (code, report) = test(&folder, paths);
            assert_eq!((code == 0, &report["tests"][0]["passed"]), (good, &json!(good)), "{count} {report}");
            assert_eq!(report["tests"].as_array().unwrap().len(), 1);
        }
    }
    let folder = repository(&rule(ID, "\\other.exe"), &info(ID, ""));
    let (code, report) = test(&folder, &["rules"]);
    assert_eq!((code, &report["tests"][0]["got"]), (1, &json!("0 among 2 events")));
}

#[test]
fn tests_of_rules_that_are_not_there_are_counted_and_a_run_of_nothing_fails() {
    let other = ID.replace('0', "1");
    let folder = repository(&rule(&other, "\\a.exe"), &info(ID, ""));
    let (code, report) = test(&folder, &["rules", "regression_data"]);
    assert_eq!((code, &report["skipped"]), (1, &json!(["regression_data/one/info.yml"])));
    // One that is there and refused is no excuse.
    let folder = repository(&rule(ID, "\\a.exe").replace("Image|", "Image|nonsense|"), &info(ID, ""));
    let (code, report) = test(&folder, &["rules", "regression_data"]);
    assert_eq!((code, &report["tests"][0]["got"]), (2, &json!("its rule was refused")));
    let folder = repository(&rule(ID, "\\a.exe"), &info(ID, ""));
    fs::remove_file(folder.path().join(format!("regression_data/one/{ID}.json"))).unwrap();
    assert_eq!(test(&folder, &["rules"]).0, 1);
    fs::write(folder.path().join(format!("regression_data/one/{ID}.json")), "{ \"cut\": ").unwrap();
    assert_eq!(test(&folder, &["rules"]).0, 1);
}

#[test]
fn what_sigma_says_of_a_rule_reaches_its_alerts() {
    let folder = repository(&rule(ID, "\\a.exe"), "");
    let events = format!("regression_data/one/{ID}.json");
    let output = trapline(&["replay", "--rules", "rules", "--format", "jsonl", &events], folder.path());
    let text = String::from_utf8(output.stdout).unwrap();
    let alert: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    assert_eq!(alert["rule"]["id"], ID);
    assert_eq!(alert["event"]["severity"], 73);
    assert_eq!(alert["trapline"]["status"], "test");
    assert_eq!(alert["trapline"]["tags"], json!(["attack.t1059", "mine"]));
    assert!(alert["threat"].to_string().contains("T1059"), "{alert}");
}

#[test]
fn so_many_refusals_are_told_and_more_are_counted() {
    for (count, each) in [(19, true), (20, true), (21, false)] {
        let folder = TempDir::new().unwrap();
        for number in 0..=count {
            let id = format!("5c2f1f0e-6d5b-4c39-9d5e-0b9f4f6c{number:04}");
            let bad = rule(&id, "\\a.exe").replace("A rule", &format!("Rule {number}"));
            let bad = if number == 0 { bad } else { bad.replace("Image|", "Image|nonsense|") };
            fs::write(folder.path().join(format!("{number:02}.yml")), bad).unwrap();
        }
        fs::write(folder.path().join("events.jsonl"), "{}\n").unwrap();
        let told = |arguments: &[&str]| {
            String::from_utf8(trapline(arguments, folder.path()).stderr).unwrap().matches("nonsense").count()
        };
        let replay = told(&["replay", "--rules", ".", "events.jsonl"]);
        assert_eq!(replay > count, each, "{count}: {replay}");
        assert!(each || replay < 5, "{replay}");
        assert!(told(&["check", "."]) > count);
    }
}
