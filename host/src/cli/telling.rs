//! What `replay` and `run` do with what a worker says: alerts go to standard output, the rest to standard error, and
//! everything is counted.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use clap::ValueEnum;
use trapline_programs::hir::Severity;

use super::summary::{RuleLine, count};
use super::{Console, Internal};
use crate::agent::alert::Stage;
use crate::agent::live::Outlet;
use crate::agent::worker::Output;
use crate::sink::Sink;
use crate::sink::json::JsonSink;
use crate::sink::terminal::escape;
use crate::sink::text::TextSink;
use crate::source::sensor::Gap;
use crate::source::{RawEvent, SourceError};

/// Lines about bad input that are printed; the rest is counted.
const INPUT_ERRORS_SHOWN: u64 = 20;
/// Traps that are printed; the rest is counted.
const TRAPS_SHOWN: u64 = 20;

/// How alerts look.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum AlertFormat {
    Text,
    Json,
    Jsonl,
}

impl AlertFormat {
    fn sink(self) -> Box<dyn Sink + Send> {
        match self {
            Self::Text => Box::new(TextSink::new(BufWriter::new(anstream::stdout()))),
            Self::Json => Box::new(JsonSink::array(BufWriter::new(io::stdout()))),
            Self::Jsonl => Box::new(JsonSink::lines(BufWriter::new(io::stdout()))),
        }
    }
}

/// What was told so far.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// Alerts, by rule id.
    pub(super) alerts: BTreeMap<String, u64>,
    /// What the summary says of the rules that alerted, by rule id.
    pub(super) rules: BTreeMap<String, RuleLine>,
    /// The worst severity alerted so far.
    pub(super) worst: Option<Severity>,
    /// Pieces of input that could not be read.
    pub(super) refused: u64,
    /// Programs that were stopped.
    pub(super) traps: u64,
    /// Events that could not be judged.
    broken: u64,
    /// Events that never arrived.
    lost: u64,
    /// Whether that is more than there can have been.
    lost_at_most: bool,
    /// At how many the next word about them is said.
    lost_next: u64,
    /// Why the recording is not whole.
    recording: Option<String>,
}

impl Told {
    /// An error if something of ours went wrong on the way.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        if self.broken > 0 {
            return Err(Internal(format!("{} could not be judged", count(self.broken, "event", "events"))).into());
        }
        match &self.recording {
            Some(reason) => Err(Internal(format!("the recording is not whole: {reason}")).into()),
            None => Ok(()),
        }
    }
}

/// Tells people and programs what a worker says.
pub(super) struct Telling {
    sink: Box<dyn Sink + Send>,
    console: Console,
    told: Arc<Mutex<Told>>,
    recorder: Option<Recorder>,
}

/// Writes every event as a line of JSON, so that it can be replayed.
struct Recorder {
    path: PathBuf,
    out: BufWriter<File>,
}

impl Telling {
    /// On standard output and this console.
    pub(super) fn new(format: AlertFormat, console: Console) -> Self {
        Self { sink: format.sink(), console, told: Arc::default(), recorder: None }
    }

    /// And every event in this file.
    pub(super) fn record(&mut self, path: &Path, file: File) {
        self.recorder = Some(Recorder { path: path.to_owned(), out: BufWriter::new(file) });
    }

    /// What was told so far.
    pub(super) fn told(&self) -> MutexGuard<'_, Told> {
        lock(&self.told)
    }

    /// What was told so far, for another thread.
    pub(super) fn share(&self) -> Arc<Mutex<Told>> {
        self.told.clone()
    }

    /// A piece of input could not be read.
    pub(super) fn refuse(&self, error: &SourceError) {
        let refused = {
            let mut told = self.told();
            told.refused += 1;
            told.refused
        };
        if refused <= INPUT_ERRORS_SHOWN {
            self.console.line(&escape(&error.to_string()));
        } else if refused == INPUT_ERRORS_SHOWN + 1 {
            self.console.line("further input that is refused is counted, not shown");
        }
    }

    /// Detection goes on when recording cannot.
    fn recorded(&mut self, result: io::Result<()>) {
        let Err(error) = result else { return };
        let Some(recorder) = self.recorder.take() else { return };
        let reason = format!("{}: {error}", recorder.path.display());
        self.console.error(&format!("recording has stopped, watching goes on: {reason}"));
        self.told().recording = Some(reason);
    }
}

/// What was told so far.
pub(super) fn lock(told: &Mutex<Told>) -> MutexGuard<'_, Told> {
    told.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Outlet for Telling {
    fn event(&mut self, raw: &RawEvent) -> io::Result<()> {
        if let Some(recorder) = &mut self.recorder {
            let bytes = raw.payload.bytes();
            let written = recorder.out.write_all(bytes).and_then(|()| recorder.out.write_all(b"\n"));
            self.recorded(written);
        }
        Ok(())
    }

    fn gap(&mut self, gap: Gap) {
        let (lost, most, say) = {
            let mut told = self.told();
            told.lost = told.lost.saturating_add(gap.count);
            told.lost_at_most |= !gap.exact;
            let say = told.lost >= told.lost_next;
            if say {
                // Each time there are twice as many: a flood of losses is no flood of words.
                told.lost_next = told.lost.saturating_mul(2);
            }
            (told.lost, told.lost_at_most, say)
        };
        if say {
            let most = if most { "at most " } else { "" };
            let events = count(lost, "event", "events");
            self.console.warning(&format!("{most}{events} lost so far: {}", gap.reason));
        }
    }

    fn output(&mut self, output: Output) -> io::Result<()> {
        match output {
            Output::Alert(alert) => {
                {
                    let mut told = self.told();
                    let rule = &alert.rule;
                    *told.alerts.entry(rule.id.clone()).or_default() += 1;
                    told.worst = told.worst.max(Some(rule.severity));
                    // Several rules may go by one id in a run: if one of them was not signed, that is told.
                    let known = told.rules.get(&rule.id);
                    if known.is_none_or(|known| !known.unsigned && rule.stage == Stage::Dev) {
                        told.rules.insert(rule.id.clone(), RuleLine::of(rule));
                    }
                }
                let Self { console, sink, .. } = self;
                console.aside(|| sink.alert(&alert))?;
            }
            Output::Refused(error) => self.refuse(&error),
            Output::Failed(reason) => {
                self.told().broken += 1;
                self.console.error(&format!("{reason}. This is a bug in Trapline; please report it."));
            }
            Output::Trap(report) => {
                let traps = {
                    let mut told = self.told();
                    told.traps += 1;
                    told.traps
                };
                if traps <= TRAPS_SHOWN {
                    let ours =
                        if report.trap.is_our_bug() { " This is a bug in Trapline; please report it." } else { "" };
                    self.console.warning(&format!("{report}{ours}"));
                }
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        let Self { console, sink, .. } = self;
        console.aside(|| sink.flush())
    }

    fn finish(&mut self) -> io::Result<()> {
        if let Some(recorder) = &mut self.recorder {
            let written = recorder.out.flush();
            self.recorded(written);
        }
        let Self { console, sink, .. } = self;
        console.aside(|| sink.finish())
    }
}
