//! `trapline run`: watches this host until it is asked to stop.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use clap::{Args, ValueEnum};
use trapline_programs::catalogue::catalogue;

use super::changes::{Announced, Folders};
use super::rules::{RuleFiles, STOCK, refused_outcome, told};
use super::signals::Signals;
use super::summary::{Refusals, RuleLine, grouped};
use super::telling::{self, AlertFormat, Telling, Told};
use super::{Console, Internal, Outcome, OutputError, diagnostics, opening, summary};
use crate::agent::alert::Stage;
use crate::agent::control;
use crate::agent::control::place::Place;
use crate::agent::control::server::Server;
use crate::agent::library::{Library, Opening};
use crate::agent::live::{self, Agent, Notice, Running, WorkerEnd};
use crate::agent::load::Loader;
use crate::agent::queue::QueueLimits;
use crate::agent::summary::{InertRule, RefusedRule, Seconds, Summary};
use crate::agent::supply::SourceSupply;
use crate::sink::json;
use crate::sink::terminal::escape;
use crate::source;
use crate::source::sensor::{Sensor, SensorError};

/// How often the agent looks whether it was asked to stop, and says what is going on.
const TICK: Duration = Duration::from_millis(100);
/// What stands for no control socket.
const CONTROL_OFF: &str = "off";
/// A sensor that has not come back for so long hangs.
const HANGS_AFTER: Duration = Duration::from_secs(10);
/// Over how many ticks events a second are counted.
const RATE_TICKS: u32 = 10;

/// Watch this host: run rules over what happens, now
#[derive(Args, Debug)]
#[command(after_long_help = AFTER_HELP)]
pub(super) struct Run {
    /// Rule files, folders of rules (watched), or `stock` [default: stock]
    #[arg(long, value_name = "PATH|stock")]
    rules: Vec<PathBuf>,

    /// Allow rules that nobody signed: all but the stock rules. Their alerts are marked
    #[arg(long)]
    dev: bool,

    /// What tells of events
    #[arg(long, value_name = "SOURCE", default_value = "auto")]
    source: Choice,

    /// How alerts look: text for people, one JSON array, or one JSON object a line
    #[arg(long, default_value = "text")]
    format: AlertFormat,

    /// Write what the run came to as JSON
    #[arg(long, value_name = "FILE")]
    summary: Option<PathBuf>,

    /// Where `trapline load`, `unload` and `list` reach this agent; `off` for nowhere [default: the user's own place]
    #[arg(long, value_name = "PATH|off")]
    control: Option<PathBuf>,

    /// Write every event as a line of JSON, to be replayed
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,

    /// Refuse to run if any rule is refused
    #[arg(long)]
    strict: bool,

    /// Name every rule that is set aside
    #[arg(long, short)]
    verbose: bool,
}

const AFTER_HELP: &str = "\
Alerts go to standard output; all else goes to standard error. Ctrl-C or SIGTERM stops: what has happened is judged, \
then the summary is printed. One that \
comes a second later or more ends the process at once.

As root, the thread that looks at programs runs before all others (real-time priority), for a third of one processor at \
most: what ends within a millisecond can be looked at only by who is there in time.

Rules that nobody signed need --dev, which allows them for the whole run: those named here and those loaded later.";

/// What tells of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Choice {
    /// The best that this host grants
    Auto,
    /// The kernel's process connector
    Connector,
    /// Watching /proc
    Proc,
}

/// How the run ended, beside its findings.
struct End {
    worker: Option<Box<WorkerEnd>>,
    /// The sensor can tell of nothing any more.
    blind: Option<SensorError>,
    panicked: bool,
}

impl Run {
    pub(super) fn run(self) -> anyhow::Result<Outcome> {
        let sensor = self.open_sensor()?;
        self.watch(sensor, Signals::catch().context("cannot catch signals")?)
    }

    fn open_sensor(&self) -> anyhow::Result<Box<dyn Sensor>> {
        let choice = match self.source {
            Choice::Auto => source::live::Choice::Auto,
            Choice::Connector => source::live::Choice::Connector,
            Choice::Proc => source::live::Choice::Proc,
        };
        Ok(source::live::open(choice)?)
    }

    /// Watches by this sensor until it fails or a signal comes.
    fn watch(self, sensor: Box<dyn Sensor>, signals: Signals) -> anyhow::Result<Outcome> {
        let start = Instant::now();
        let facts = sensor.facts().clone();
        let console = Console::new();
        let paths = if self.rules.is_empty() { vec![PathBuf::from(STOCK)] } else { self.rules.clone() };
        let paths = paths.iter().map(|path| resolved(path)).collect::<anyhow::Result<Vec<_>>>()?;
        // The stock rules are no folder, whatever lies beside us by that name.
        let folders: Vec<PathBuf> =
            paths.iter().filter(|path| path.as_os_str() != STOCK && path.is_dir()).cloned().collect();
        if let Some(folder) = folders.first().filter(|_| !self.dev) {
            // Whatever it holds now: what comes later would not be signed either.
            return Err(unsigned(&folder.display().to_string()));
        }
        let folders = Folders::watch(folders).context("cannot watch folders of rules")?;
        let files = RuleFiles::find(&paths)?;
        if let Some(file) = files.first_unsigned().filter(|_| !self.dev) {
            return Err(unsigned(file));
        }
        let supply = SourceSupply::live(catalogue(), facts.profile);
        let loader = Loader::new(catalogue().clone(), Some(supply));
        let entries = files.entries();
        let (library, opened) = told(entries.len(), || Library::open(loader, self.dev, entries))?;
        diagnostics::print_opened(&console, &opened);
        if let Some(note) = files.skipped_note() {
            console.warning(&note);
        }
        if let Some(outcome) = self.refused(&console, &files, &library, &opened) {
            return Ok(outcome);
        }
        // Before the run, so that a path which cannot be written does not cost one.
        let mut summary_file = create(self.summary.as_deref(), false)?;
        let record_file = create(self.record.as_deref(), true)?;

        console.line(&opening::render(&facts, library.current(), self.dev, self.verbose));
        let console = Console::with_status();
        let mut telling = Telling::new(self.format, console.clone());
        if let (Some(path), Some(file)) = (&self.record, record_file) {
            telling.record(path, file);
        }
        let told = telling.share();
        let load_time = start.elapsed();
        let start = Instant::now();
        let running = live::start(sensor, library, Box::new(telling), QueueLimits::default())
            .map_err(|error| Internal(error.to_string()))?;
        let agent = running.agent();
        let reached = self
            .reach(agent, &console)
            .and_then(|server| Ok((server, folders.take_in(agent.clone(), console.clone())?)));
        if reached.is_err() {
            agent.stop();
        } else {
            console.line(&opening::row("stop", "Ctrl-C"));
        }
        let end = attend(&running, &signals, &console);
        let (server, _watching) = reached?;
        let control = server.map(Server::stop);

        let seconds = Seconds::new(load_time, start.elapsed());
        let summary = end.worker.as_ref().map(|end| sum_up(agent, end, &told, opened.refused, seconds));
        let mut closing = console;
        closing.finish();
        let mut written = Ok(());
        if let (Some(summary), Some(end)) = (&summary, &end.worker) {
            let lines = rule_lines(agent, &told);
            // Why rules are set aside was said at the start; the JSON has it all.
            let shown = Summary { inert: Vec::new(), ..summary.clone() };
            closing.line(&summary::render(&shown, &lines, &notes(end, summary.inert.len(), control)));
            if let (Some(path), Some(file)) = (&self.summary, &mut summary_file) {
                let text = json::to_string(summary).map_err(OutputError)?;
                written = file.write_all((text + "\n").as_bytes()).with_context(|| path.display().to_string());
            }
        }
        // What went wrong with the run itself goes before.
        end.outcome(&told).and_then(|outcome| written.map(|()| outcome))
    }

    /// Opens the control socket, if it is wanted.
    fn reach(&self, agent: &Arc<Agent>, console: &Console) -> anyhow::Result<Option<Server>> {
        if self.control.as_deref() == Some(Path::new(CONTROL_OFF)) {
            return Ok(None);
        }
        let place = Place::choose(self.control.as_deref())?;
        let handler = Announced::new(agent.clone(), console.clone());
        let server = Server::start(&place, Arc::new(handler))
            .context("no control socket: `--control PATH` puts it elsewhere, `--control off` does without")?;
        console.line(&opening::row("control", &escape(&server.path().display().to_string())));
        Ok(Some(server))
    }

    /// Whether what was refused is a reason not to run.
    fn refused(&self, console: &Console, files: &RuleFiles, library: &Library, opened: &Opening) -> Option<Outcome> {
        for aside in &opened.unserved {
            console.error(&format!(
                "{}:{}: `{}` can match nothing here: {}",
                aside.file, aside.line, aside.info.name, aside.lacks
            ));
        }
        if !opened.unserved.is_empty() {
            console.error("a file that is named itself must be of use; rules in folders are set aside instead");
            return Some(Outcome::Refused);
        }
        let any = !library.current().ruleset.rules.is_empty() || !library.current().inert.is_empty();
        refused_outcome(console, self.strict, any, &opened.refused, files)
    }
}

const HANGS: &str = "BLIND: the source hangs; nothing is seen until it answers. The system may be waiting for a server, \
                     or for a process, that does not answer";

/// Waits until all has ended, and says meanwhile what is going on.
fn attend(running: &Running, signals: &Signals, console: &Console) -> End {
    let agent = running.agent();
    let mut end = End { worker: None, blind: None, panicked: false };
    let mut status = Status::new();
    let mut stopping = false;
    let mut hangs = false;
    while end.worker.is_none() && !end.panicked {
        if signals.asked() && !stopping {
            stopping = true;
            agent.stop();
        }
        match running.wait(TICK) {
            None => {
                if !stopping && hangs != (agent.silent_for() >= HANGS_AFTER) {
                    hangs = !hangs;
                    console.error(if hangs { HANGS } else { "the source answers again" });
                }
                console.status(|| status.line(agent, stopping));
            }
            Some(Notice::Sensor(Ok(()))) => stopping = true,
            Some(Notice::Sensor(Err(error))) => {
                stopping = true;
                console.error(&format!("BLIND: {error}. Nothing more is seen; what was seen is judged."));
                end.blind = Some(error);
            }
            Some(Notice::Worker(worker)) => {
                agent.stop();
                end.worker = Some(worker);
            }
            Some(Notice::Panicked(_)) => {
                agent.stop();
                end.panicked = true;
            }
        }
    }
    end
}

impl End {
    fn outcome(self, told: &Mutex<Told>) -> anyhow::Result<Outcome> {
        if let Some(WorkerEnd { outlet: Err(error), .. }) = self.worker.map(|end| *end) {
            return Err(OutputError(error).into());
        }
        if self.panicked {
            return Err(Internal("a part of the agent failed".to_owned()).into());
        }
        telling::lock(told).check()?;
        match self.blind {
            Some(error) => Err(Internal(format!("blind: {error}")).into()),
            None => Ok(Outcome::Done),
        }
    }
}

/// What the run came to.
fn sum_up(
    agent: &Agent,
    end: &WorkerEnd,
    told: &Mutex<Told>,
    refused_rules: Vec<RefusedRule>,
    seconds: Seconds,
) -> Summary {
    let told = telling::lock(told);
    let in_force = agent.in_force();
    let inert = in_force.inert.iter().map(|aside| InertRule {
        id: aside.info.id.clone(),
        name: aside.info.name.clone(),
        lacks: BTreeMap::from([(agent.facts().profile.to_owned(), aside.lacks.clone())]),
    });
    let refused = Refusals { input: told.refused, rules: refused_rules };
    let rules = in_force.ruleset.rules.len() as u64;
    let mut summary = summary::of(&end.worker, &told, refused, inert.collect(), rules, seconds);
    // What was in the queue when the worker ended before its time is lost, too.
    summary.lost = agent.queue().lost;
    summary
}

/// What the summary says of each rule: of those in force, and of those that alerted and went.
fn rule_lines(agent: &Agent, told: &Mutex<Told>) -> BTreeMap<String, RuleLine> {
    let mut lines = telling::lock(told).rules.clone();
    let in_force = agent.in_force();
    for rule in &in_force.ruleset.rules {
        let line = RuleLine::of(&rule.info);
        // If one that nobody signed has alerted by the same id, that stays told.
        if line.unsigned || lines.get(&rule.info.id).is_none_or(|known| !known.unsigned) {
            lines.insert(rule.info.id.clone(), line);
        }
    }
    lines
}

/// What else a person should know of the run.
fn notes(end: &WorkerEnd, inert: usize, control: Option<control::Counts>) -> Vec<String> {
    let counts = end.worker.counts();
    let mut notes: Vec<String> = counts
        .lost_by_reason
        .iter()
        .map(|(reason, count)| format!("{} lost: {reason}", summary::count(*count, "event", "events")))
        .collect();
    if counts.lost_at_most {
        notes.push("how many were lost is not known exactly: that is the most".to_owned());
    }
    if inert > 0 {
        let rules = summary::count(inert as u64, "rule was", "rules were");
        notes.push(format!("{rules} set aside: what this source supplies cannot match them"));
    }
    notes.extend(summary::worker_notes(&end.worker));
    if let Some(counts) = control.filter(|counts| !counts.is_quiet()) {
        notes.push(format!(
            "control socket: {} handled, {} of strangers refused, {} malformed, {} dropped, {} turned away, {} failed",
            counts.handled, counts.refused_peers, counts.refused_requests, counts.dropped, counts.busy, counts.failures
        ));
    }
    notes
}

/// The line that says what is going on.
struct Status {
    ticks: u32,
    since: Instant,
    before: u64,
    rate: f64,
}

impl Status {
    fn new() -> Self {
        Self { ticks: 0, since: Instant::now(), before: 0, rate: 0.0 }
    }

    fn line(&mut self, agent: &Agent, stopping: bool) -> String {
        let (events, alerts) = agent.progress();
        self.ticks += 1;
        if self.ticks >= RATE_TICKS {
            let seconds = self.since.elapsed().as_secs_f64();
            self.rate = if seconds > 0.0 { events.saturating_sub(self.before) as f64 / seconds } else { 0.0 };
            (self.ticks, self.since, self.before) = (0, Instant::now(), events);
        }
        let (queue, in_force) = (agent.queue(), agent.in_force());
        let ruleset = &in_force.ruleset;
        let unsigned = ruleset.rules.iter().any(|rule| rule.info.stage == Stage::Dev);
        let lost = if queue.lost > 0 { format!("  {} LOST", grouped(queue.lost)) } else { String::new() };
        let waiting =
            if queue.waiting > 0 { format!("  {} waiting", grouped(queue.waiting as u64)) } else { String::new() };
        format!(
            "{}{}{}  {}  {}/s  {}{lost}{waiting}  {}  generation {}",
            if stopping { "stopping  " } else { "" },
            if unsigned { "UNSIGNED RULES  " } else { "" },
            agent.facts().profile,
            summary::count(events, "event", "events"),
            grouped(self.rate.round() as u64),
            summary::count(alerts, "alert", "alerts"),
            summary::count(ruleset.rules.len() as u64, "rule", "rules"),
            ruleset.number,
        )
    }
}

/// Why rules are not taken.
fn unsigned(name: &str) -> anyhow::Error {
    anyhow!(
        "{}: nobody signed these rules; --dev allows them, and marks their alerts. `trapline replay` and \
         `trapline test` run them on recorded events",
        escape(name)
    )
}

/// A file to be written, if one was asked for. A private one that is new is for our eyes only.
fn create(path: Option<&Path>, private: bool) -> anyhow::Result<Option<fs::File>> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    if private {
        // Command lines of all users, with whatever secrets stand in them.
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    }
    #[cfg(not(unix))]
    let _ = private;
    path.map(|path| options.open(path).with_context(|| path.display().to_string())).transpose()
}

/// The path that clients of the control socket know a file by: absolute, without links to folders.
fn resolved(path: &Path) -> anyhow::Result<PathBuf> {
    if path.as_os_str() == STOCK {
        return Ok(path.to_owned());
    }
    let shown = || path.display().to_string();
    let path = std::path::absolute(path).with_context(shown)?;
    if path.is_dir() {
        return path.canonicalize().with_context(shown);
    }
    Ok(match (path.parent().map(Path::canonicalize), path.file_name()) {
        (Some(Ok(folder)), Some(name)) => folder.join(name),
        _ => path,
    })
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::agent::load::load;
    use crate::agent::worker::Worker;
    use crate::cli::exit_code;

    fn code(outlet: io::Result<()>, blind: bool, panicked: bool) -> String {
        let worker = Worker::new(Arc::new(load(&[], catalogue()).unwrap().ruleset)).unwrap();
        let blind = blind.then(|| SensorError { profile: "linux-proc", reason: "gone".into() });
        let end = End { worker: Some(Box::new(WorkerEnd { worker, outlet })), blind, panicked };
        format!("{:?}", exit_code(end.outcome(&Mutex::default())))
    }

    #[test]
    fn how_it_ended_is_the_exit_code() {
        let expect = |number: u8| format!("{:?}", std::process::ExitCode::from(number));
        assert_eq!(code(Ok(()), false, false), expect(0));
        assert_eq!(code(Ok(()), true, false), expect(3));
        assert_eq!(code(Ok(()), false, true), expect(3));
        assert_eq!(code(Err(io::ErrorKind::BrokenPipe.into()), false, false), expect(0));
        assert_eq!(code(Err(io::ErrorKind::StorageFull.into()), false, false), expect(3));
    }

    #[test]
    fn a_path_is_the_one_that_clients_know_the_file_by() {
        let root = tempfile::tempdir().unwrap();
        let real = root.path().canonicalize().unwrap();
        fs::create_dir(real.join("rules")).unwrap();
        fs::write(real.join("rules/a.trap"), "").unwrap();
        assert_eq!(resolved(Path::new(STOCK)).unwrap(), Path::new(STOCK));
        assert_eq!(resolved(&real.join("rules/../rules")).unwrap(), real.join("rules"));
        assert_eq!(resolved(&real.join("rules/../rules/a.trap")).unwrap(), real.join("rules/a.trap"));
        let none = real.join("none/b.trap");
        assert_eq!(resolved(&none).unwrap(), none, "it is the one who opens it that complains");
    }
}
