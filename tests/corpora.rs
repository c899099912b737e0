//! The stock rules over recorded events, from bytes to verdicts: no trap, no event that fails, and the alerts of our
//! own recording exactly. The public corpora are read where they lie beside the checkout.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use trapline::agent::load::{RuleText, Ruleset, load};
use trapline::agent::worker::{Item, Output, Worker};
use trapline::source::{Inputs, Source as _, SourceId};
use trapline_programs::catalogue::catalogue;
use trapline_programs::stock;

fn stock_rules() -> Arc<Ruleset> {
    let texts: Vec<RuleText> =
        stock::sources().into_iter().map(|source| RuleText { source, ruleset: "stock".to_owned() }).collect();
    let loaded = load(&texts, catalogue()).unwrap();
    assert!(loaded.refused.is_empty(), "{:?}", loaded.refused);
    Arc::new(loaded.ruleset)
}

#[derive(Debug, Default)]
struct Outcome {
    events: u64,
    refused: Vec<String>,
    alerts: BTreeMap<String, usize>,
    /// Traps and failures: each would be a bug of ours.
    bugs: Vec<String>,
    not_evaluable: u64,
}

fn replay(paths: &[PathBuf]) -> Outcome {
    let mut worker = Worker::new(stock_rules()).unwrap();
    let mut inputs = Inputs::open(SourceId(0), paths).unwrap();
    let mut outcome = Outcome::default();
    while let Some(raw) = inputs.next() {
        match raw {
            Err(error) => outcome.refused.push(error.to_string()),
            Ok(raw) => worker.take(Item::Raw(raw), &mut |output| match output {
                Output::Alert(alert) => *outcome.alerts.entry(alert.rule.name.clone()).or_default() += 1,
                Output::Refused(error) => outcome.refused.push(error.to_string()),
                Output::Trap(report) => outcome.bugs.push(report.to_string()),
                Output::Failed(reason) => outcome.bugs.push(reason),
            }),
        }
    }
    outcome.events = worker.counts().events;
    outcome.not_evaluable = worker.counts().not_evaluable().values().sum();
    outcome
}

#[test]
fn the_recorded_intrusion_gives_its_alerts() {
    let outcome = replay(&[Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/intrusion.jsonl")]);
    assert_eq!(outcome.bugs, Vec::<String>::new());
    assert_eq!(outcome.refused, Vec::<String>::new());
    assert_eq!(outcome.events, 34);
    assert!(outcome.not_evaluable > 0, "one event lost its arguments");
    let alerts: Vec<(&str, usize)> = outcome.alerts.iter().map(|(name, count)| (name.as_str(), *count)).collect();
    let wanted = [
        ("comsvcs_minidump", 1),
        ("cron_persistence", 1),
        ("download_piped_to_shell", 1),
        ("encoded_powershell", 1),
        ("event_log_cleared", 1),
        ("execution_from_shared_memory", 1),
        ("history_tampering", 1),
        ("lsass_memory_access", 1),
        ("office_spawns_interpreter", 1),
        ("reverse_shell_dev_tcp", 1),
        ("run_key_persistence", 1),
        ("shadow_copies_deleted", 1),
        ("shadow_file_read", 1),
        ("ssh_authorized_keys_written", 1),
        ("suspicious_service_installed", 1),
        ("web_server_spawns_shell", 2),
    ];
    assert_eq!(alerts, wanted);
}

/// A folder of the public corpora, or None with a line that says so.
fn corpus(name: &str) -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let found = root.ancestors().map(|dir| dir.join("shared/corpora").join(name)).find(|path| path.exists());
    if found.is_none() {
        println!("skipped: there is no shared/corpora/{name} beside this checkout");
    }
    found
}

fn check_corpus(path: PathBuf, events_min: u64) {
    let outcome = replay(std::slice::from_ref(&path));
    assert!(outcome.events >= events_min, "{}: only {} events", path.display(), outcome.events);
    assert_eq!(outcome.bugs, Vec::<String>::new(), "{}", path.display());
    assert_eq!(outcome.refused, Vec::<String>::new(), "{}", path.display());
    assert!(!outcome.alerts.is_empty(), "{}: attacks without an alert", path.display());
}

#[test]
fn event_logs_of_attacks() {
    if let Some(path) = corpus("evtx-attack-samples") {
        check_corpus(path, 6_000);
    }
}

#[test]
fn recorded_json_events_of_attacks() {
    if let Some(path) = corpus("security-datasets/cmd_dumping_ntds_dit_file_ntdsutil.jsonl.gz") {
        check_corpus(path, 10_000);
    }
}
