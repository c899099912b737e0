//! `trapline replay`: recorded events through rules, alerts out.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use trapline_programs::hir::Severity;

use super::Outcome;

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

    /// Worker threads
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

impl Replay {
    pub(super) fn run(self) -> anyhow::Result<Outcome> {
        anyhow::bail!("replay is not wired yet")
    }
}
