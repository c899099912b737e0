//! `trapline replay`: recorded events through rules, alerts out.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, BufWriter, Write as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use trapline_programs::catalogue::catalogue;
use trapline_programs::hir::Severity;

use super::rules::{RuleFiles, STOCK};
use super::summary::RuleLine;
use super::{Console, Internal, Outcome, OutputError, diagnostics, summary};
use crate::agent::load::{Loaded, Ruleset, load};
use crate::agent::summary::{RefusedRule, RuleCounts, Seconds, Summary};
use crate::agent::worker::{Item, Output, SupplyReport, Worker};
use crate::sink::Sink;
use crate::sink::json::{self, JsonSink};
use crate::sink::terminal::escape;
use crate::sink::text::TextSink;
use crate::source::{EXTENSIONS, ErrorKind, Inputs, Source as _, SourceError, SourceId};

/// Run rules over recorded events and print the alerts
#[derive(Args, Debug)]
#[command(after_long_help = AFTER_HELP)]
pub(super) struct Replay {
    /// Files, folders (searched), or - for standard input: JSON as lines, a stream or an array, also gzipped; EVTX
    #[arg(required = true)]
    input: Vec<PathBuf>,

    /// Rule files, folders of rules, or `stock` [default: stock]
    #[arg(long, value_name = "PATH|stock")]
    rules: Vec<PathBuf>,

    /// How alerts look: text for people, one JSON array, or one JSON object a line
    #[arg(long, default_value = "text")]
    format: AlertFormat,

    /// What executes programs
    #[arg(long, default_value = "auto")]
    engine: Engine,

    /// Worker threads (more than 1 come later)
    #[arg(long, value_name = "N")]
    threads: Option<usize>,

    /// Write what the run came to as JSON
    #[arg(long, value_name = "FILE")]
    summary: Option<PathBuf>,

    /// Exit with 1 if there is an alert of this severity or above
    #[arg(long, value_name = "LEVEL")]
    fail_on: Option<Level>,

    /// Refuse to run if any rule is refused
    #[arg(long)]
    strict: bool,

    /// Order in which events are judged: by their time, or as they lie in the files
    #[arg(long, default_value = "file")]
    order: Order,
}

const AFTER_HELP: &str = "\
Alerts go to standard output, in the order of the input and then of rule ids; all else goes to standard error.
`--format jsonl` prints nested ECS with event.kind \"alert\", rule.*, threat.* and trapline.*.";

#[derive(Clone, Copy, Debug, ValueEnum)]
enum AlertFormat {
    Text,
    Json,
    Jsonl,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Engine {
    /// The best there is
    Auto,
    /// The reference interpreter
    Interpreter,
    /// Native code (comes later)
    Jit,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Order {
    /// By event time (comes later)
    Time,
    /// As they lie in the files
    File,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Level {
    Informational,
    Low,
    Medium,
    High,
    Critical,
}

impl From<Level> for Severity {
    fn from(level: Level) -> Self {
        match level {
            Level::Informational => Self::Informational,
            Level::Low => Self::Low,
            Level::Medium => Self::Medium,
            Level::High => Self::High,
            Level::Critical => Self::Critical,
        }
    }
}

/// Lines about bad input that are printed; the rest is counted.
const INPUT_ERRORS_SHOWN: u64 = 20;
/// Traps that are printed; the rest is counted.
const TRAPS_SHOWN: u64 = 20;

impl Replay {
    pub(super) fn run(self) -> anyhow::Result<Outcome> {
        self.refuse_what_comes_later()?;
        let start = Instant::now();
        let paths = if self.rules.is_empty() { vec![PathBuf::from(STOCK)] } else { self.rules.clone() };
        let files = RuleFiles::find(&paths)?;
        let loaded = load(&files.texts(), catalogue())?;
        let console = Console::new();
        diagnostics::print(&console, &loaded);
        if let Some(note) = files.skipped_note() {
            console.warning(&note);
        }
        if let Some(outcome) = self.refused(&console, &files, &loaded) {
            return Ok(outcome);
        }
        let mut inputs = Inputs::open(SourceId(0), &self.input)?;
        if inputs.progress().files_total == 0 {
            let known = EXTENSIONS.join(", .");
            console
                .warning(&format!("no file to read was found: folders are searched for .{known}, each also with .gz"));
        }
        if let Some(path) = self.summary.as_ref().filter(|path| inputs.includes(path)) {
            bail!("{}: the summary would overwrite this input", path.display());
        }
        // Before the run, so that a path which cannot be written does not cost one.
        let summary_file = match &self.summary {
            Some(path) => Some((path, fs::File::create(path).with_context(|| path.display().to_string())?)),
            None => None,
        };
        let load_time = start.elapsed();

        let console = Console::with_progress(inputs.progress().bytes_total.unwrap_or(0));
        let ruleset = Arc::new(loaded.ruleset);
        let mut run = Run {
            worker: Worker::new(ruleset.clone())?,
            sink: self.format.sink(),
            console,
            alerts: BTreeMap::new(),
            worst: None,
            refused: 0,
            traps: 0,
            broken: 0,
            unreadable: BTreeSet::new(),
        };
        let start = Instant::now();
        while let Some(item) = inputs.next() {
            match item {
                Ok(raw) => run.take(Item::Raw(raw))?,
                Err(error) => run.refuse(&error),
            }
            run.show_progress(&inputs);
        }
        run.sink.finish().map_err(OutputError)?;
        let supply = run.worker.supply();
        let summary = run.summary(&ruleset, &supply, loaded.refused, load_time, start.elapsed());
        run.console.finish();
        let lines = ruleset.rules.iter().map(|rule| (rule.info.id.clone(), RuleLine::of(rule))).collect();
        run.console.line(&summary::render(&summary, &lines, &run.notes(&supply)));
        if let Some((path, mut file)) = summary_file {
            let text = json::to_string(&summary).map_err(OutputError)?;
            file.write_all((text + "\n").as_bytes()).with_context(|| path.display().to_string())?;
        }
        if run.broken > 0 {
            return Err(Internal(format!("{} events could not be judged", run.broken)).into());
        }
        if let Some(path) = self.input.iter().find(|path| run.unreadable.contains(&path.display().to_string())) {
            bail!("{} could not be read", path.display());
        }
        let wanted = self.fail_on.map(Severity::from);
        let found = wanted.is_some_and(|level| run.worst.is_some_and(|worst| worst >= level));
        Ok(if found { Outcome::Findings } else { Outcome::Done })
    }

    /// Options that are fixed already and not built yet say so.
    fn refuse_what_comes_later(&self) -> anyhow::Result<()> {
        if self.engine == Engine::Jit {
            bail!("--engine jit comes in a later version; `auto` and `interpreter` are here");
        }
        match self.threads {
            None | Some(1) => {}
            Some(0) => bail!("--threads must be at least 1"),
            Some(_) => bail!("--threads above 1 comes in a later version"),
        }
        if self.order == Order::Time {
            bail!("--order time comes in a later version; `file` is here");
        }
        Ok(())
    }

    /// Whether refused rules are a reason not to run: with --strict, if the file was named itself, or if none is left.
    fn refused(&self, console: &Console, files: &RuleFiles, loaded: &Loaded) -> Option<Outcome> {
        let refused = &loaded.refused;
        if loaded.ruleset.rules.is_empty() {
            console.error("no rule could be loaded");
            return Some(Outcome::Refused);
        }
        if refused.is_empty() {
            return None;
        }
        let count = if refused.len() == 1 {
            "1 rule was refused".to_owned()
        } else {
            format!("{} rules were refused", refused.len())
        };
        if self.strict {
            console.error(&format!("{count}, and --strict was asked for"));
            return Some(Outcome::Refused);
        }
        if let Some(rule) = refused.iter().find(|rule| files.is_named(&rule.file)) {
            console.error(&format!("{count}: {} was named itself, so its rules must load", rule.file));
            return Some(Outcome::Refused);
        }
        console.warning(&format!("{count}; the others run"));
        None
    }
}

/// A run in progress.
struct Run {
    worker: Worker,
    sink: Box<dyn Sink>,
    console: Console,
    alerts: BTreeMap<String, u64>,
    /// The worst severity alerted so far.
    worst: Option<Severity>,
    refused: u64,
    traps: u64,
    /// Events that could not be judged.
    broken: u64,
    /// Files that could not be read, or are of a format that is not supported.
    unreadable: BTreeSet<String>,
}

impl Run {
    fn take(&mut self, item: Item) -> anyhow::Result<()> {
        let Self { worker, sink, console, alerts, worst, refused, traps, broken, .. } = self;
        let mut failed = None;
        let mut any = false;
        worker.take(item, &mut |output| match output {
            Output::Alert(alert) => {
                any = true;
                *alerts.entry(alert.rule.id.clone()).or_default() += 1;
                *worst = (*worst).max(Some(alert.rule.severity));
                if failed.is_none() {
                    failed = console.aside(|| sink.alert(&alert)).err();
                }
            }
            Output::Refused(error) => refuse(console, refused, &error),
            Output::Failed(reason) => {
                *broken += 1;
                console.error(&format!("{reason}. This is a bug in Trapline; please report it."));
            }
            Output::Trap(report) => {
                *traps += 1;
                if *traps <= TRAPS_SHOWN {
                    let ours =
                        if report.trap.is_our_bug() { " This is a bug in Trapline; please report it." } else { "" };
                    console.warning(&format!("{report}{ours}"));
                }
            }
        });
        if any && failed.is_none() {
            // Who watches sees an alert when it happens, not when a buffer is full.
            failed = console.aside(|| sink.flush()).err();
        }
        match failed {
            None => Ok(()),
            Some(error) => Err(OutputError(error).into()),
        }
    }

    fn refuse(&mut self, error: &SourceError) {
        if matches!(error.kind, ErrorKind::Read { .. } | ErrorKind::Format { .. }) {
            self.unreadable.insert(error.position.file.to_string());
        }
        refuse(&self.console, &mut self.refused, error);
    }

    fn show_progress(&self, inputs: &Inputs) {
        let message = || {
            let counts = self.worker.counts();
            format!(
                "{} events, {} alerts",
                summary::grouped(counts.events),
                summary::grouped(self.alerts.values().sum())
            )
        };
        self.console.progress(inputs.progress().bytes_done, message);
    }

    /// What else a person should know of the input.
    fn notes(&self, supply: &SupplyReport) -> Vec<String> {
        let (counts, decoded) = (self.worker.counts(), self.worker.decoded());
        let mut notes = Vec::new();
        if !supply.part.is_empty() {
            let mut rules: Vec<String> =
                supply.part.iter().take(3).map(|(rule, fields)| format!("{rule} ({})", fields.join(", "))).collect();
            if supply.part.len() > 3 {
                rules.push("…".to_owned());
            }
            let count = summary::count(supply.part.len() as u64, "rule", "rules");
            notes.push(format!("{count} can match without a field that some source never has: {}", rules.join(", ")));
        }
        if counts.field_errors > 0 {
            let count = summary::count(counts.field_errors, "value", "values");
            let examples: Vec<String> = counts
                .field_error_examples
                .iter()
                .map(|error| format!("{} = `{}` is not {}", error.field, error.found, error.expected))
                .collect();
            notes.push(format!("{count} left out for not fitting the type of the field: {}", examples.join(", ")));
        }
        if decoded.without_time > 0 {
            notes.push(format!("{} without a time", summary::count(decoded.without_time, "event", "events")));
        }
        if decoded.duplicate_keys > 0 {
            let count = summary::count(decoded.duplicate_keys, "key", "keys");
            notes.push(format!("{count} twice in one event: the last value holds"));
        }
        notes
    }

    fn summary(
        &self,
        ruleset: &Ruleset,
        supply: &SupplyReport,
        refused_rules: Vec<RefusedRule>,
        load: Duration,
        run: Duration,
    ) -> Summary {
        let counts = self.worker.counts();
        Summary {
            events: counts.events,
            refused: self.refused,
            lost: 0,
            alerts: self.alerts.values().sum(),
            alerts_by_rule: self.alerts.clone(),
            traps: self.traps,
            not_evaluable: counts.not_evaluable.values().sum(),
            not_evaluable_by_rule: counts.not_evaluable.clone(),
            inert: supply.inert.clone(),
            fuel: counts.fuel,
            latency_ns: counts.latencies.percentiles(),
            events_per_second: if run.is_zero() { 0.0 } else { counts.events as f64 / run.as_secs_f64() },
            seconds: Seconds { load: load.as_secs_f64(), run: run.as_secs_f64() },
            rules: RuleCounts { loaded: ruleset.rules.len() as u64, refused: refused_rules.len() as u64 },
            refused_rules,
        }
    }
}

fn refuse(console: &Console, refused: &mut u64, error: &SourceError) {
    *refused += 1;
    if *refused <= INPUT_ERRORS_SHOWN {
        console.line(&escape(&error.to_string()));
    } else if *refused == INPUT_ERRORS_SHOWN + 1 {
        console.line("further input that is refused is counted, not shown");
    }
}

impl AlertFormat {
    fn sink(self) -> Box<dyn Sink> {
        match self {
            Self::Text => Box::new(TextSink::new(BufWriter::new(anstream::stdout()))),
            Self::Json => Box::new(JsonSink::array(BufWriter::new(io::stdout()))),
            Self::Jsonl => Box::new(JsonSink::lines(BufWriter::new(io::stdout()))),
        }
    }
}
