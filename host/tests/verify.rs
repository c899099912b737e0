//! `trapline verify` against goldens: each file of `tests/verify` has `FILE.txt` and `FILE.json` with what the command
//! prints of it. `UPDATE_EXPECT=1` writes them; review the difference. Numbers of the proof's own cost are masked: they
//! are no promise.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/verify")
}

/// Exit code and standard output.
fn run(args: &[&str]) -> (i32, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_trapline"))
        .args(["--color", "never", "verify"])
        .args(args)
        .current_dir(folder())
        .env_remove("CLICOLOR_FORCE")
        .output()
        .unwrap();
    (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap().replace("\r\n", "\n"))
}

/// Files that are proved or refused.
fn files() -> Vec<String> {
    let entries = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = entries.filter(|name| !name.ends_with(".txt") && !name.ends_with(".json")).collect();
    names.sort();
    names
}

fn check(name: &str, got: &str, wrong: &mut Vec<String>) {
    let path = folder().join(name);
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(&path, got).unwrap();
    } else if fs::read_to_string(&path).unwrap_or_default().replace("\r\n", "\n") != got {
        wrong.push(format!("{name}:\n{got}"));
    }
}

/// The text without the numbers of lines that begin with `proof`.
fn mask(text: &str) -> String {
    let line = |line: &str| match line.strip_prefix("  proof") {
        Some(cost) => format!("  proof{}\n", cost.replace(|c: char| c.is_ascii_digit(), "")),
        None => format!("{line}\n"),
    };
    text.lines().map(line).collect()
}

#[test]
fn answers_are_as_the_goldens_say() {
    let names = files();
    assert!(names.len() >= 8, "{names:?}");
    let mut wrong = Vec::new();
    for name in &names {
        let (code, text) = run(&[name]);
        let (json_code, json) = run(&[name, "--format", "json"]);
        assert_eq!(code, json_code, "{name}");
        check(&format!("{name}.txt"), &format!("{}exit {code}\n", mask(&text)), &mut wrong);
        let mut pretty = String::new();
        for line in json.lines() {
            let mut value: Value = serde_json::from_str(line).unwrap();
            if let Some(proof) = value.pointer_mut("/proved/proof") {
                *proof = "masked".into();
            }
            pretty += &(serde_json::to_string_pretty(&value).unwrap() + "\n");
        }
        check(&format!("{name}.json"), &pretty, &mut wrong);
    }
    assert!(wrong.is_empty(), "UPDATE_EXPECT=1 accepts this:\n{}", wrong.join("\n"));
}

/// Both forms have the same keys for every program, so that scripts need no case distinction.
#[test]
fn every_object_has_every_key_and_the_document_describes_each() {
    let document = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/verify.md")).unwrap();
    let names = files();
    let mut args: Vec<&str> = names.iter().map(String::as_str).collect();
    args.extend(["--format", "json"]);
    let (code, json) = run(&args);
    assert_eq!(code, 2);
    let mut keys: Option<Vec<String>> = None;
    let mut seen = std::collections::BTreeSet::new();
    for line in json.lines() {
        let value: Value = serde_json::from_str(line).unwrap();
        let own: Vec<String> = value.as_object().unwrap().keys().cloned().collect();
        assert_eq!(keys.get_or_insert_with(|| own.clone()), &own);
        assert_eq!(value["proved"].is_null(), value["outcome"] == "refused", "{line}");
        assert_eq!(value["refused"].is_null(), value["outcome"] == "proved", "{line}");
        collect(&value, &mut seen);
    }
    let missing: Vec<&String> = seen.iter().filter(|key| !document.contains(&format!("`{key}`"))).collect();
    assert!(missing.is_empty(), "docs/verify.md does not describe {missing:?}");
}

/// All keys, but those of the compiler's diagnostics, which have a place of their own.
fn collect(value: &Value, seen: &mut std::collections::BTreeSet<String>) {
    match value {
        Value::Object(object) => {
            for (key, value) in object {
                seen.insert(key.clone());
                if key != "diagnostics" {
                    collect(value, seen);
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, seen)),
        _ => {}
    }
}

#[test]
fn the_stock_rules_are_proved() {
    let (code, json) = run(&["stock", "--format", "json"]);
    assert_eq!(code, 0);
    let objects: Vec<Value> = json.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(objects.len() >= 40, "{}", objects.len());
    assert!(objects.iter().all(|object| object["outcome"] == "proved" && object["kind"] == "rule"));
}

#[test]
fn usage_is_told_apart_from_refusals_by_what_is_printed() {
    for args in [&[][..], &["nowhere.trap"], &["../cli.rs"], &["accepted.asm", "--memory", "x"]] {
        assert_eq!(run(args), (2, String::new()), "{args:?}");
    }
    // A shorter buffer than the program needs, and one that no memory has.
    let (code, text) = run(&["accepted.asm", "--memory", "15"]);
    assert!(code == 2 && text.contains("error[out-of-bounds]"), "{text}");
    let (code, text) = run(&["accepted.asm", "--memory", "1048577"]);
    assert!(code == 2 && text.contains("error[malformed]"), "{text}");
}
