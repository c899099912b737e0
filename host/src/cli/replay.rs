//! `trapline replay`: recorded events through rules, alerts out.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use trapline_programs::hir::Severity;

use super::rules::{RuleFiles, STOCK, load_all, refused_outcome};
use super::summary::{Refusals, RuleLine};
use super::telling::{AlertFormat, Telling};
use super::{Console, Outcome, OutputError, diagnostics, summary};
use crate::agent::live::Outlet as _;
use crate::agent::load::Ruleset;
use crate::agent::summary::{RefusedRule, Seconds, Summary};
use crate::agent::worker::{Item, SupplyReport, Worker};
use crate::sink::json;
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
Alerts go to standard output, in the order of the input and then of rule ids; all else goes to standard error. \
`--format jsonl` prints nested ECS with event.kind \"alert\", rule.*, threat.* and trapline.*.";

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

impl Replay {
    pub(super) fn run(self) -> anyhow::Result<Outcome> {
        self.refuse_what_comes_later()?;
        let start = Instant::now();
        let paths = if self.rules.is_empty() { vec![PathBuf::from(STOCK)] } else { self.rules.clone() };
        let files = RuleFiles::find(&paths)?;
        let loaded = load_all(&files)?;
        let console = Console::new();
        diagnostics::print(&console, &loaded);
        if let Some(note) = files.skipped_note() {
            console.warning(&note);
        }
        let any = !loaded.ruleset.rules.is_empty();
        if let Some(outcome) = refused_outcome(&console, self.strict, any, &loaded.refused, &files) {
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
            telling: Telling::new(self.format, console.clone()),
            console,
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
        run.telling.finish().map_err(OutputError)?;
        let supply = run.worker.supply();
        let summary = run.summary(&ruleset, &supply, loaded.refused, load_time, start.elapsed());
        run.console.finish();
        let lines = ruleset.rules.iter().map(|rule| (rule.info.id.clone(), RuleLine::of(&rule.info))).collect();
        run.console.line(&summary::render(&summary, &lines, &run.notes(&supply)));
        if let Some((path, mut file)) = summary_file {
            let text = json::to_string(&summary).map_err(OutputError)?;
            file.write_all((text + "\n").as_bytes()).with_context(|| path.display().to_string())?;
        }
        run.telling.told().check()?;
        if let Some(path) = self.input.iter().find(|path| run.unreadable.contains(&path.display().to_string())) {
            bail!("{} could not be read", path.display());
        }
        let wanted = self.fail_on.map(Severity::from);
        let found = wanted.is_some_and(|level| run.telling.told().worst.is_some_and(|worst| worst >= level));
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
}

/// A run in progress.
struct Run {
    worker: Worker,
    telling: Telling,
    console: Console,
    /// Files that could not be read, or are of a format that is not supported.
    unreadable: BTreeSet<String>,
}

impl Run {
    fn take(&mut self, item: Item) -> anyhow::Result<()> {
        let Self { worker, telling, .. } = self;
        let (mut any, mut result) = (false, Ok(()));
        worker.take(item, &mut |output| {
            any = true;
            if result.is_ok() {
                result = telling.output(output);
            }
        });
        if any && result.is_ok() {
            // Who watches sees an alert when it happens, not when a buffer is full.
            result = telling.flush();
        }
        result.map_err(|error| OutputError(error).into())
    }

    fn refuse(&mut self, error: &SourceError) {
        if matches!(error.kind, ErrorKind::Read { .. } | ErrorKind::Format { .. }) {
            self.unreadable.insert(error.position.file.to_string());
        }
        self.telling.refuse(error);
    }

    fn show_progress(&self, inputs: &Inputs) {
        let message = || {
            let counts = self.worker.counts();
            format!(
                "{} events, {} alerts",
                summary::grouped(counts.events),
                summary::grouped(self.telling.told().alerts.values().sum())
            )
        };
        self.console.progress(inputs.progress().bytes_done, message);
    }

    /// What else a person should know of the input.
    fn notes(&self, supply: &SupplyReport) -> Vec<String> {
        let mut notes = Vec::new();
        notes.extend(summary::part_notes(&supply.part, "some source never has"));
        notes.extend(summary::worker_notes(&self.worker));
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
        let told = self.telling.told();
        let refused = Refusals { input: told.refused, rules: refused_rules };
        let rules = ruleset.rules.len() as u64;
        summary::of(&self.worker, &told, refused, supply.inert.clone(), rules, Seconds::new(load, run))
    }
}
