//! `trapline-peers CORPORA`: the tables of docs/sigma-parity.md.
//!
//! CORPORA holds `sigma` (a checkout of SigmaHQ's rules), and folders of recorded events. Exits with 1 if a difference
//! has no cause.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use trapline_peers::cause::Cause;
use trapline_peers::compare::{Engines, Report, Who, rule_files};
use trapline_peers::engines::Peer;
use trapline_peers::route::Table;

/// Folders of rules in SigmaHQ's repository.
const RULES: [&str; 3] = ["rules", "rules-emerging-threats", "rules-threat-hunting"];
/// Folders of events beside it.
const EVENTS: [&str; 2] = ["evtx-attack-samples", "security-datasets"];

fn main() -> ExitCode {
    let Some(corpora) = std::env::args_os().nth(1).map(PathBuf::from) else {
        eprintln!("usage: trapline-peers CORPORA");
        return ExitCode::from(2);
    };
    match run(&corpora) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}

fn run(corpora: &Path) -> Result<bool, String> {
    let sigma = corpora.join("sigma");
    let table = sigma.join("tests/thor.yml");
    let table = std::fs::read_to_string(&table).map_err(|error| format!("{}: {error}", table.display()))?;
    let files = rule_files(&RULES.map(|folder| sigma.join(folder)))?;
    let mut engines = Engines::new(files, Table::read(&table)?)?;
    println!("{} rules are compared\n", engines.rules.len());
    println!("| engine | rules it runs |\n|---|---|");
    for who in Who::ALL {
        println!("| {} | {} |", who.name(), engines.loaded(who));
    }
    println!();
    for (file, reason) in &engines.open {
        println!("not compared: {} ({reason})", file.strip_prefix(&*corpora.to_string_lossy()).unwrap_or(file));
    }
    for (rule, reason) in &engines.refused {
        println!("refused by Trapline: {} ({reason})", engines.rules[*rule].title);
    }
    for peer in Peer::ALL {
        for (reason, count) in engines.refusals(peer) {
            println!("refused by {}: {count} ({reason})", peer.name());
        }
    }
    let mut ok = true;
    for folder in EVENTS {
        let report = engines.compare(&[corpora.join(folder)])?;
        println!("\n## {folder}\n");
        ok &= print(&engines, &report);
    }
    let folder = sigma.join("regression_data");
    let report = engines.compare(std::slice::from_ref(&folder))?;
    println!("\n## Regression cases\n");
    ok &= print(&engines, &report);
    cases(&engines, &report, &sigma, &folder)?;
    Ok(ok)
}

fn print(engines: &Engines, report: &Report) -> bool {
    println!(
        "{} events, {} of Windows, {} pairs of an event and a rule that is for it, {} inputs unreadable\n",
        report.events, report.compared, report.pairs, report.unreadable
    );
    println!("| engine | hits | missing | too many |\n|---|---|---|---|");
    for who in Who::ALL {
        let of = |extra: bool| -> u64 {
            let those = report.differences.iter().filter(|(known, _)| known.who == who && known.extra == extra);
            those.map(|(_, count)| count).sum()
        };
        println!("| {} | {} | {} | {} |", who.name(), report.total(who), of(false), of(true));
    }
    let mut by_cause: BTreeMap<(Who, bool, String), (u64, BTreeSet<usize>)> = BTreeMap::new();
    for (difference, count) in &report.differences {
        let entry = by_cause.entry((difference.who, difference.extra, names(&difference.causes))).or_default();
        entry.0 += count;
        entry.1.insert(difference.rule);
    }
    println!("\n| engine | | cause | hits | rules |\n|---|---|---|---|---|");
    for ((who, extra, causes), (count, rules)) in &by_cause {
        println!("| {} | {} | {causes} | {count} | {} |", who.name(), sign(*extra), rules.len());
    }
    println!("\n| rule | engine | | hits | cause |\n|---|---|---|---|---|");
    for (difference, count) in &report.differences {
        let rule = &engines.rules[difference.rule];
        let (who, sign, causes) = (difference.who.name(), sign(difference.extra), names(&difference.causes));
        println!("| {} | {who} | {sign} | {count} | {causes} |", rule.title);
    }
    for bug in &report.bugs {
        println!("\nbug: {bug}");
    }
    report.bugs.is_empty() && report.unexplained().is_empty()
}

fn sign(extra: bool) -> &'static str {
    if extra { "too many" } else { "missing" }
}

fn names(causes: &BTreeSet<Cause>) -> String {
    causes.iter().map(Cause::to_string).collect::<Vec<_>>().join(", ")
}

/// Cases of SigmaHQ's own: each rule must match the file recorded for it at least so often.
fn cases(engines: &Engines, report: &Report, sigma: &Path, folder: &Path) -> Result<(), String> {
    let mut found: BTreeMap<Who, [usize; 2]> = BTreeMap::new();
    let (mut count, mut missed) = (0, Vec::new());
    for (name, text) in rule_files(&[folder.to_owned()])? {
        let value = |key: &str| {
            let line = text.lines().find_map(|line| line.trim_start_matches([' ', '-']).strip_prefix(key));
            line.map(|value| value.trim().to_owned())
        };
        let Some(path) = value("path:").filter(|_| name.ends_with("info.yml")) else { continue };
        let id = Path::new(&path).file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        let Some(rule) = engines.rule(&id) else { continue };
        let wanted = value("match_count:").and_then(|count| count.parse().ok()).unwrap_or(1);
        count += 1;
        for (copy, extension) in ["evtx", "json"].into_iter().enumerate() {
            let file = sigma.join(&path).with_extension(extension).display().to_string();
            for who in Who::ALL {
                let entry = found.entry(who).or_default();
                if report.in_file(&file, rule, who) >= wanted {
                    entry[copy] += 1;
                } else {
                    missed.push(format!("{}: {} ({extension})", who.name(), engines.rules[rule].title));
                }
            }
        }
    }
    println!("\n| engine | cases of {count} by EVTX | by JSON |\n|---|---|---|");
    for (who, [evtx, json]) in found {
        println!("| {} | {evtx} | {json} |", who.name());
    }
    for line in missed {
        println!("\nmissed by {line}");
    }
    Ok(())
}
