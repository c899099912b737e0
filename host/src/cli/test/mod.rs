//! `trapline test`: runs the tests of rules through the pipeline that judges real events: `test` blocks, and recorded
//! events in SigmaHQ's layout ([`regression`]).

mod regression;

use std::collections::HashSet;
use std::io::{self, Write};
use std::path::PathBuf;

use anstyle::{AnsiColor, Style};
use clap::Args;
use serde_json::{Value, json};

use self::regression::Regressions;
use super::rules::{RuleFiles, load_all};
use super::summary::count;
use super::{Console, Format, Outcome, OutputError, diagnostics};
use crate::agent::trial::{Trial, TrialOutcome, Trials};
use crate::sink::json;
use crate::sink::terminal::escape;

const NAME: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();
const OK: Style = Style::new().fg_color(Some(anstyle::Color::Ansi(AnsiColor::Green)));
const FAILED: Style = Style::new().bold().fg_color(Some(anstyle::Color::Ansi(AnsiColor::Red)));

/// Names of rules without a test that are printed; more of them are counted.
const UNTESTED_SHOWN: usize = 12;

/// Run the tests that rules carry, and regression tests in SigmaHQ's layout
#[derive(Args, Debug)]
pub(super) struct Test {
    /// Rule files, folders of rules and of regression tests (info.yml), or `stock`
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,

    /// Text for people or JSON for programs
    #[arg(long, default_value = "text")]
    format: Format,
}

impl Test {
    pub(super) fn run(self) -> anyhow::Result<Outcome> {
        let console = Console::new();
        let files = RuleFiles::find(&self.paths)?;
        let loaded = load_all(&files)?;
        diagnostics::print(&console, &loaded);
        if let Some(note) = files.skipped_note() {
            console.warning(&note);
        }
        let mut trials = Trials::new(&loaded.ruleset)?;
        let mut out = anstream::stdout().lock();
        let mut results = Vec::new();
        for rule in &loaded.ruleset.rules {
            if self.format == Format::Text && !rule.rule.tests.is_empty() {
                let file = &rule.rule.source.name;
                writeln!(out, "{NAME}{}{NAME:#} {DIM}{}{DIM:#}", escape(&rule.rule.name), escape(file))
                    .map_err(OutputError)?;
            }
            for test in &rule.rule.tests {
                let trial = trials.run(rule, test);
                if self.format == Format::Text {
                    write_trial(&mut out, &trial).map_err(OutputError)?;
                }
                results.push(trial);
            }
        }
        let regressions = Regressions::find(&files);
        diagnostics::print_all(&console, &regressions.diagnostics);
        if !regressions.missing.is_empty() {
            let rules =
                count(regressions.missing.len() as u64, "rule names a regression test", "rules name regression tests");
            console.warning(&format!("{rules} that cannot be found (first: {})", regressions.missing[0]));
        }
        let refused: HashSet<String> = loaded.refused.iter().filter_map(|rule| rule.id.clone()).collect();
        let found = regressions.run(&loaded.ruleset, &mut trials, &refused);
        if self.format == Format::Text {
            let mut last = None;
            for trial in &found.trials {
                let (rule, file) = (escape(&trial.rule), escape(&trial.file));
                if last.replace(&trial.file) != Some(&trial.file) {
                    writeln!(out, "{NAME}{rule}{NAME:#} {DIM}{file}{DIM:#}").map_err(OutputError)?;
                }
                write_trial(&mut out, trial).map_err(OutputError)?;
            }
        }
        results.extend(found.trials);
        let failed = results.iter().filter(|trial| !trial.passed()).count() + regressions.diagnostics.len();
        let passed = results.iter().filter(|trial| trial.passed()).count();
        let tested: HashSet<&str> = results.iter().map(|trial| trial.rule.as_str()).collect();
        let names = loaded.ruleset.rules.iter().map(|rule| rule.rule.name.as_str());
        let untested: Vec<&str> = names.filter(|name| !tested.contains(name)).collect();
        let end = End { passed, failed, untested: &untested, skipped: &found.skipped, refused: loaded.refused.len() };
        match self.format {
            Format::Text => write_end(&mut out, &end),
            Format::Json => {
                let page = json!({
                    "passed": passed,
                    "failed": failed,
                    "untested_rules": untested,
                    "skipped": found.skipped,
                    "refused_rules": loaded.refused,
                    "tests": results.iter().map(to_json).collect::<Vec<_>>(),
                });
                json::write(&mut out, &page).and_then(|()| writeln!(out))
            }
        }
        .and_then(|()| out.flush())
        .map_err(OutputError)?;
        if !loaded.refused.is_empty() {
            return Ok(Outcome::Refused);
        }
        if results.is_empty() {
            console.error("no test ran: there is none for these rules");
        }
        Ok(if failed > 0 || results.is_empty() { Outcome::Findings } else { Outcome::Done })
    }
}

fn write_trial(out: &mut impl Write, trial: &Trial) -> io::Result<()> {
    let name = escape(&trial.test);
    let TrialOutcome::Failed { expected, got, events } = &trial.outcome else {
        return writeln!(out, "  {OK}ok{OK:#}      {name}");
    };
    writeln!(out, "  {FAILED}FAILED{FAILED:#}  {name} {DIM}line {}{DIM:#}", trial.line)?;
    writeln!(out, "          expected {}", escape(expected))?;
    writeln!(out, "          got      {}", escape(got))?;
    for event in events {
        writeln!(out, "          {DIM}{}{DIM:#}", escape(event))?;
    }
    Ok(())
}

/// What all tests came to.
struct End<'e> {
    passed: usize,
    failed: usize,
    /// Names of rules.
    untested: &'e [&'e str],
    /// Descriptions of tests for other rules.
    skipped: &'e [String],
    refused: usize,
}

fn write_end(out: &mut impl Write, end: &End<'_>) -> io::Result<()> {
    let style = if end.failed > 0 { FAILED } else { OK };
    write!(out, "\n{style}{} passed, {} failed{style:#}", end.passed, end.failed)?;
    if end.refused > 0 {
        write!(out, ", {FAILED}{} refused{FAILED:#}", count(end.refused as u64, "rule", "rules"))?;
    }
    writeln!(out)?;
    if let Some(first) = end.skipped.first() {
        let tests = count(end.skipped.len() as u64, "regression test", "regression tests");
        writeln!(out, "skipped {tests} of rules that were not loaded (first: {})", escape(first))?;
    }
    match end.untested.len() {
        0 => Ok(()),
        1..=UNTESTED_SHOWN => writeln!(out, "without a test: {}", escape(&end.untested.join(", "))),
        many => writeln!(out, "{} without a test", count(many as u64, "rule", "rules")),
    }
}

fn to_json(trial: &Trial) -> Value {
    let mut result = json!({
        "rule": trial.rule, "test": trial.test, "file": trial.file, "line": trial.line, "passed": trial.passed(),
    });
    if let (TrialOutcome::Failed { expected, got, events }, Some(result)) = (&trial.outcome, result.as_object_mut()) {
        result.insert("expected".into(), json!(expected));
        result.insert("got".into(), json!(got));
        result.insert("events".into(), json!(events));
    }
    result
}
