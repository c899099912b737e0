//! `trapline test`: runs the `test` blocks of rules through the pipeline that judges real events.

use std::io::{self, Write};
use std::path::PathBuf;

use anstyle::{AnsiColor, Style};
use clap::Args;
use serde_json::{Value, json};
use trapline_programs::catalogue::catalogue;

use super::rules::RuleFiles;
use super::{Console, Format, Outcome, OutputError, diagnostics};
use crate::agent::load::load;
use crate::agent::trial::{Trial, TrialOutcome, Trials};
use crate::sink::json;
use crate::sink::terminal::escape;

const NAME: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();
const OK: Style = Style::new().fg_color(Some(anstyle::Color::Ansi(AnsiColor::Green)));
const FAILED: Style = Style::new().bold().fg_color(Some(anstyle::Color::Ansi(AnsiColor::Red)));

/// Run the tests that rules carry
#[derive(Args, Debug)]
pub(super) struct Test {
    /// Rule files, folders of rules, or `stock`
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
        let loaded = load(&files.texts(), catalogue())?;
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
        let failed = results.iter().filter(|trial| !trial.passed()).count();
        let passed = results.len() - failed;
        let untested: Vec<&str> = loaded
            .ruleset
            .rules
            .iter()
            .filter(|rule| rule.rule.tests.is_empty())
            .map(|rule| rule.rule.name.as_str())
            .collect();
        match self.format {
            Format::Text => write_end(&mut out, passed, failed, &untested, loaded.refused.len()),
            Format::Json => {
                let page = json!({
                    "passed": passed,
                    "failed": failed,
                    "untested_rules": untested,
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
            console.error("no test ran: these rules have none");
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

fn write_end(out: &mut impl Write, passed: usize, failed: usize, untested: &[&str], refused: usize) -> io::Result<()> {
    let style = if failed > 0 { FAILED } else { OK };
    write!(out, "\n{style}{passed} passed, {failed} failed{style:#}")?;
    if refused > 0 {
        let rules = if refused == 1 { "rule" } else { "rules" };
        write!(out, ", {FAILED}{refused} {rules} refused{FAILED:#}")?;
    }
    writeln!(out)?;
    if !untested.is_empty() {
        writeln!(out, "without a test: {}", escape(&untested.join(", ")))?;
    }
    Ok(())
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
