//! `trapline import sigma`: what it writes for Sigma rules of ours (goldens, refreshed by `UPDATE_EXPECT=1`), that it
//! means the same, by decisions ([`decisions`]) and by verdicts on records ([`records`]), and what the report says. Over
//! the corpora, where they lie beside the checkout.

mod decisions;
mod records;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;

use serde_json::Value;
use tempfile::TempDir;
use trapline_programs::catalogue::catalogue;
use trapline_programs::compile::{CompiledRule, compile};
use trapline_programs::diagnostic::Source;
use trapline_programs::sigma::{self, Searches};

fn trapline(arguments: &[&str], folder: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_trapline")).args(arguments).current_dir(folder).output().unwrap()
}

fn here() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/import")
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

const CORPUS: [&str; 3] = ["rules", "rules-emerging-threats", "rules-threat-hunting"];

fn files(folder: &Path, suffix: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, suffix));
        } else if path.extension().is_some_and(|known| known == suffix) {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// A Sigma rule, and the one that was written for it.
struct Pair {
    sigma: CompiledRule,
    written: CompiledRule,
    text: Arc<Source>,
}

/// The rules of some folders with what is written for each.
fn pairs(folders: &[PathBuf]) -> Vec<Pair> {
    let texts = folders.iter().flat_map(|folder| files(folder, "yml"));
    let sources: Vec<Arc<Source>> = texts
        .map(|path| Source::new(path.display().to_string(), fs::read_to_string(path).unwrap()))
        .filter(|source| sigma::has_rules(source))
        .collect();
    let rules = compile(&sources, catalogue()).rules;
    let searches = Searches::of(&sources, catalogue());
    let written = rules.into_iter().map(|rule| {
        let text = sigma::import(&rule.rule, &searches, catalogue())
            .unwrap_or_else(|reason| panic!("{}: {reason}", rule.rule.name));
        let text = Source::new("written.trap", text);
        let mut compiled = compile(std::slice::from_ref(&text), catalogue());
        assert!(compiled.diagnostics.is_empty(), "{}\n{:?}", text.text, compiled.diagnostics);
        Pair { sigma: rule, written: compiled.rules.remove(0), text }
    });
    written.collect()
}

#[test]
fn what_is_written() {
    let folder = TempDir::new().unwrap();
    let out = folder.path().join("out");
    let output = trapline(&["import", "sigma", "sigma", "--out", out.to_str().unwrap()], &here());
    // One of the rules is refused.
    assert_eq!(output.status.code(), Some(2), "{}", String::from_utf8_lossy(&output.stderr));
    let mut shown = BTreeMap::from([(PathBuf::from("report.txt"), String::from_utf8(output.stdout).unwrap())]);
    for path in files(&out, "trap") {
        shown.insert(path.strip_prefix(&out).unwrap().to_owned(), fs::read_to_string(&path).unwrap());
    }
    let expected = here().join("written");
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        for (name, text) in &shown {
            let path = expected.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
    }
    let mut known: BTreeSet<PathBuf> = files(&expected, "trap").into_iter().collect();
    known.insert(expected.join("report.txt"));
    for (name, text) in &shown {
        let expected = fs::read_to_string(expected.join(name)).unwrap_or_default().replace("\r\n", "\n");
        assert!(*text == expected, "UPDATE_EXPECT=1 accepts this as {}:\n{text}", name.display());
    }
    assert_eq!(known.len(), shown.len(), "{known:#?}");
}

#[test]
fn the_report_for_programs() {
    let output = trapline(&["import", "sigma", "sigma", "--format", "json"], &here());
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let rules = report["rules"].as_array().unwrap();
    assert_eq!(rules.len() as u64, report["totals"]["rules"].as_u64().unwrap());
    let of = |name: &str| rules.iter().find(|rule| rule["name"] == name).unwrap();
    let shell = of("shell_below_a_web_server");
    assert_eq!(shell["id"], "3f0c1d7a-8b55-4c5e-9a3a-52c1f3d1a006");
    assert_eq!(shell["supply"]["kind"], "evaluable");
    assert_eq!(shell["refused"], Value::Null);
    let certutil = &of("certutil_fetches_a_file")["supply"]["sources"];
    assert_eq!(certutil["sysmon"], serde_json::json!([]));
    assert_eq!(certutil["windows-security"], serde_json::json!(["process.pe.original_file_name"]));
    assert_eq!(of("Needs A Value")["refused"]["code"], "sigma-placeholder");
    assert_eq!(of("somebody_s_own_log")["supply"]["kind"], "recordings");
}

#[test]
fn what_is_written_decides_the_same() {
    let pairs = pairs(&[here().join("sigma")]);
    assert!(pairs.len() > 5);
    let seen = decisions::compare(&pairs, 2_000);
    assert_eq!((seen.matched, seen.undecided), (pairs.len(), pairs.len()), "of every rule, all verdicts were seen");
}

#[test]
fn what_is_written_says_the_same_of_records() {
    let pairs = pairs(&[here().join("sigma")]);
    let seen = records::compare(&pairs, 1_000);
    assert!(seen.matched > 0 && seen.undecided > 0 && seen.unmatched > 0, "{seen:?}");
}

#[test]
fn every_rule_of_the_corpus_decides_the_same() {
    let Some(corpus) = corpus() else { return };
    let pairs = pairs(&CORPUS.map(|folder| corpus.join(folder)));
    assert!(pairs.len() > 1_000, "{}", pairs.len());
    let seen = decisions::compare(&pairs, 60);
    println!("{} rules, of {} a match was seen, of {} one not evaluable", pairs.len(), seen.matched, seen.undecided);
    assert!(seen.matched * 10 > pairs.len() * 9 && seen.undecided * 10 > pairs.len() * 9);
}

#[test]
fn regression_events_get_the_same_alerts() {
    let Some(corpus) = corpus() else { return };
    let folder = TempDir::new().unwrap();
    let out = folder.path().join("out");
    let out = out.to_str().unwrap();
    trapline(&[&["import", "sigma"], &CORPUS[..], &["--out", out]].concat(), &corpus);
    let alerts = |rules: &[&str]| {
        let rules: Vec<&str> = rules.iter().flat_map(|rules| ["--rules", rules]).collect();
        let arguments = [&["replay"], &rules[..], &["--format", "jsonl", "regression_data"]].concat();
        let output = trapline(&arguments, &corpus);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        let alerts = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let alert = |alert: Value| {
            let source = &alert["trapline"]["source"];
            format!("{} {} {} {}", source["file"], source["record"], alert["rule"]["id"], alert["trapline"]["severity"])
        };
        alerts.map(alert).collect::<BTreeSet<String>>()
    };
    let (sigma, written) = (alerts(&CORPUS), alerts(&[out]));
    assert!(sigma.len() > 100);
    assert_eq!(sigma, written);
}
