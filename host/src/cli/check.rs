//! `trapline check`: everything that can be said of rules without an event.

use std::io::{self, Write};
use std::path::PathBuf;

use anstyle::Style;
use clap::Args;
use serde_json::{Value, json};
use trapline_programs::diagnostic::report;

use super::rules::{RuleFiles, load_all};
use super::{Console, Format, Outcome, OutputError, diagnostics};
use crate::agent::alert::{hex, severity_name};
use crate::agent::load::{Loaded, LoadedRule, Ruleset};
use crate::sink::json;
use crate::sink::terminal::escape;

const NAME: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();

/// Compile rules, prove them safe, and print what each costs and reads
#[derive(Args, Debug)]
pub(super) struct Check {
    /// Rule files, folders of rules, or `stock`
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,

    /// Text for people or JSON for programs
    #[arg(long, default_value = "text")]
    format: Format,
}

impl Check {
    pub(super) fn run(self) -> anyhow::Result<Outcome> {
        let console = Console::new();
        let files = RuleFiles::find(&self.paths)?;
        let loaded = load_all(&files)?;
        let mut out = anstream::stdout().lock();
        match self.format {
            Format::Text => {
                diagnostics::print_each(&console, &loaded);
                write_text(&mut out, &loaded.ruleset).map_err(OutputError)?;
                if let Some(note) = files.skipped_note() {
                    console.warning(&note);
                }
                let (good, bad) = (loaded.ruleset.rules.len(), loaded.refused.len());
                let rules = if good == 1 { "rule" } else { "rules" };
                console.line(&format!("{NAME}{good}{NAME:#} {rules} compiled and proved, {NAME}{bad}{NAME:#} refused"));
            }
            Format::Json => {
                json::write(&mut out, &to_json(&loaded)).map_err(OutputError)?;
                writeln!(out).map_err(OutputError)?;
            }
        }
        out.flush().map_err(OutputError)?;
        let none = loaded.ruleset.rules.is_empty();
        if none && loaded.refused.is_empty() {
            console.error("there is no rule to check");
        }
        Ok(if loaded.refused.is_empty() && !none { Outcome::Done } else { Outcome::Refused })
    }
}

/// The largest of the rule's programs: an event wakes one of them.
fn worst_fuel(ruleset: &Ruleset, rule: &LoadedRule) -> u64 {
    let programs = rule.programs.iter().filter_map(|index| ruleset.programs.get(*index));
    programs.map(|program| program.ready.fuel_bound()).max().unwrap_or(0)
}

/// The fields that its programs read, by name.
fn fields(ruleset: &Ruleset, rule: &LoadedRule) -> Vec<String> {
    let programs = rule.programs.iter().filter_map(|index| ruleset.programs.get(*index));
    let mut names: Vec<String> = programs
        .flat_map(|program| {
            let tested = program.object.predicates.iter().map(|predicate| &predicate.field);
            program.object.fields.iter().chain(tested).map(|field| field.name.clone())
        })
        .collect();
    names.sort();
    names.dedup();
    names
}

fn predicates(ruleset: &Ruleset, rule: &LoadedRule) -> usize {
    let programs = rule.programs.iter().filter_map(|index| ruleset.programs.get(*index));
    programs.map(|program| program.object.predicates.len()).max().unwrap_or(0)
}

fn write_text(out: &mut impl Write, ruleset: &Ruleset) -> io::Result<()> {
    let width = ruleset.rules.iter().map(|rule| rule.rule.name.chars().count()).max().unwrap_or(0).min(48);
    for rule in &ruleset.rules {
        let fields = fields(ruleset, rule);
        writeln!(
            out,
            "{NAME}{:<width$}{NAME:#}  {:>5} fuel  {:>3} {}  {DIM}{}{DIM:#}",
            escape(&rule.rule.name),
            worst_fuel(ruleset, rule),
            predicates(ruleset, rule),
            if predicates(ruleset, rule) == 1 { "predicate " } else { "predicates" },
            escape(&fields.join(", ")),
        )?;
    }
    Ok(())
}

fn to_json(loaded: &Loaded) -> Value {
    let ruleset = &loaded.ruleset;
    let rules = ruleset.rules.iter().map(|rule| {
        let programs = rule.programs.iter().filter_map(|index| ruleset.programs.get(*index));
        json!({
            "name": rule.rule.name,
            "id": rule.info.id,
            "file": rule.rule.source.name,
            "line": rule.rule.line,
            "severity": severity_name(rule.rule.meta.severity),
            "worst_fuel": worst_fuel(ruleset, rule),
            "fields": fields(ruleset, rule),
            "tests": rule.rule.tests.len(),
            "programs": programs.map(|program| json!({
                "family": program.object.family,
                "classes": program.object.classes,
                "instructions": program.ready.report().map(|report| report.instructions),
                "worst_fuel": program.ready.fuel_bound(),
                "predicates": program.object.predicates.len(),
                "digest": hex(&program.ready.rule().digest),
            })).collect::<Vec<_>>(),
        })
    });
    json!({
        "rules": rules.collect::<Vec<_>>(),
        "refused": loaded.refused,
        "diagnostics": loaded.diagnostics.iter().map(report).collect::<Vec<_>>(),
    })
}
