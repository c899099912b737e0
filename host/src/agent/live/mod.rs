//! The running agent: a sensor's thread, a worker's thread, and the queue between them.
//!
//! ```text
//! Sensor ──(thread)──► Queue ──(thread)──► Worker ──► Outlet
//!                        ^ swap                │ published counts
//! request, folder ──► Library (compile, prove, link: off the event path)
//! ```
//!
//! [`start`] sets it going. The [`Agent`] is what others talk to: it carries out requests ([`Handler`]), takes in what
//! a watched folder holds, and tells what is going on. [`Running`] is for the one who started it: it learns when a
//! thread ends, stops the sensor, and waits until the queue is drained.
//!
//! The sensor never waits for the worker: what finds the queue full is lost and counted. A change of rules is made on
//! the thread of whoever asks for it, one at a time, and enters the queue as a marker, so that every event is judged
//! by one generation as a whole, and no event is lost to a change.

use std::collections::BTreeMap;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use trapline_vm::memory::MemoryError;

use super::alert::{Stage, hex, severity_name};
use super::control::{Changed, Handler, InertRule, ListedRule, Listing, Refused, Request, Response};
use super::library::{Change, InForce, Library};
use super::queue::{Queue, QueueCounts, QueueLimits, SwapError};
use super::worker::{Item, Output, RuleCounts, Worker};
use crate::source::RawEvent;
use crate::source::sensor::{Facts, Gap, Sensor, SensorError};

/// How long a sensor may wait for events before it is asked whether it should stop.
const RECEIVE_WAIT: Duration = Duration::from_millis(100);
/// How long a request waits for its change to take effect. A worker whose output is blocked takes longer; the change
/// stands in the queue all the same.
const SWAP_WAIT: Duration = Duration::from_secs(5);
/// Items after which a busy worker publishes its counts; an idle one does at once.
const PUBLISH_EVERY: u32 = 256;

/// Where a worker's findings go. What it does is on the worker's time: a slow outlet fills the queue.
pub trait Outlet: Send {
    /// An event is about to be judged.
    fn event(&mut self, _raw: &RawEvent) -> io::Result<()> {
        Ok(())
    }

    /// Events are missing here.
    fn gap(&mut self, _gap: Gap) {}

    /// The worker has something to say.
    fn output(&mut self, output: Output) -> io::Result<()>;

    /// All is said of one event: who reads along should see it.
    fn flush(&mut self) -> io::Result<()>;

    /// The end of the run.
    fn finish(&mut self) -> io::Result<()>;
}

/// What the worker has done, as it told last.
#[derive(Clone, Debug, Default)]
pub struct Published {
    /// Events judged.
    pub events: u64,
    /// Alerts.
    pub alerts: u64,
    /// Number of the generation that judges; 0 before anything was judged.
    pub judging: u64,
    /// Of each rule of which there is something to tell, by rule id.
    pub rules: BTreeMap<String, RuleCounts>,
}

/// An agent that runs, for those who talk to it.
#[derive(Debug)]
pub struct Agent {
    facts: Facts,
    dev: bool,
    queue: Queue,
    /// Held while a change is made.
    library: Mutex<Library>,
    /// What the library has in force; never held for long.
    in_force: Mutex<InForce>,
    published: Mutex<Published>,
    stop: AtomicBool,
    /// When the sensor last came back.
    sensed: Mutex<Instant>,
}

/// Something that ended.
#[derive(Debug)]
pub enum Notice {
    /// The sensor, because it was stopped or because it can tell of nothing any more. What it handed over is still
    /// judged.
    Sensor(Result<(), SensorError>),
    /// The worker: nothing is judged any more.
    Worker(Box<WorkerEnd>),
    /// A thread of ours panicked; the reason was printed.
    Panicked(&'static str),
}

/// How a worker ended.
#[derive(Debug)]
pub struct WorkerEnd {
    /// The worker with all its counts.
    pub worker: Worker,
    /// What went wrong with its outlet.
    pub outlet: io::Result<()>,
}

/// Why an agent does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The machine's memory does not fit.
    #[error(transparent)]
    Memory(#[from] MemoryError),
    /// The system gives us no thread.
    #[error("no thread to run on")]
    Thread(#[from] io::Error),
}

/// An agent that runs, for the one who started it.
#[derive(Debug)]
pub struct Running {
    agent: Arc<Agent>,
    notices: mpsc::Receiver<Notice>,
    _threads: [JoinHandle<()>; 2],
}

/// Starts an agent on this sensor with the rules that the library has in force.
pub fn start(
    sensor: Box<dyn Sensor>,
    library: Library,
    outlet: Box<dyn Outlet>,
    limits: QueueLimits,
) -> Result<Running, StartError> {
    let worker = Worker::new(library.current().ruleset.clone())?;
    let agent = Arc::new(Agent {
        facts: sensor.facts().clone(),
        dev: library.dev(),
        queue: Queue::new(limits),
        in_force: Mutex::new(library.current().clone()),
        library: Mutex::new(library),
        published: Mutex::default(),
        stop: AtomicBool::new(false),
        sensed: Mutex::new(Instant::now()),
    });
    let (tell, notices) = mpsc::channel();
    let sensing = spawn("sensor", &agent, &tell, |agent| {
        // What it saw before it failed is judged all the same.
        let ended = catch_unwind(AssertUnwindSafe(|| sense(&agent, sensor))).unwrap_or_else(|_| {
            Err(SensorError { profile: agent.facts.profile, reason: "a bug in Trapline; please report it".to_owned() })
        });
        agent.queue.close();
        Notice::Sensor(ended)
    })?;
    let working = spawn("worker", &agent, &tell, |agent| {
        let end = work(&agent, worker, outlet);
        agent.queue.abandon();
        Notice::Worker(Box::new(end))
    });
    let working = working.inspect_err(|_| agent.stop())?;
    Ok(Running { agent, notices, _threads: [sensing, working] })
}

/// A thread that tells how it ended, however it ends.
fn spawn(
    name: &'static str,
    agent: &Arc<Agent>,
    tell: &mpsc::Sender<Notice>,
    run: impl FnOnce(Arc<Agent>) -> Notice + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    let (agent, tell) = (agent.clone(), tell.clone());
    thread::Builder::new().name(format!("trapline-{name}")).spawn(move || {
        let of_thread = agent.clone();
        let notice = catch_unwind(AssertUnwindSafe(|| run(of_thread))).unwrap_or_else(|_| {
            agent.queue.abandon();
            Notice::Panicked(name)
        });
        // Nobody may listen any more.
        tell.send(notice).ok();
    })
}

fn sense(agent: &Agent, mut sensor: Box<dyn Sensor>) -> Result<(), SensorError> {
    let mut on = |received| agent.queue.push(received);
    while !agent.stop.load(Ordering::Acquire) {
        sensor.receive(RECEIVE_WAIT, &mut on)?;
        *lock(&agent.sensed) = Instant::now();
    }
    // What is there already has happened while we were asked to watch.
    sensor.receive(Duration::ZERO, &mut on)
}

fn work(agent: &Agent, mut worker: Worker, mut outlet: Box<dyn Outlet>) -> WorkerEnd {
    let outlet = &mut *outlet;
    let mut told = 0;
    let mut outputs = Vec::new();
    let mut result = Ok(());
    while result.is_ok()
        && let Some(item) = agent.queue.pop()
    {
        let is_swap = matches!(item, Item::Swap { .. });
        told += 1;
        let judged = judge(&mut worker, item, outlet, &mut outputs);
        // Before it is delivered, which may take as long as a reader likes.
        if is_swap || !outputs.is_empty() || told >= PUBLISH_EVERY || agent.queue.is_empty() {
            agent.publish(&worker);
            told = 0;
        }
        result = judged.and_then(|()| deliver(&mut outputs, outlet));
    }
    agent.publish(&worker);
    let finished = outlet.finish();
    WorkerEnd { worker, outlet: result.and(finished) }
}

fn judge(worker: &mut Worker, item: Item, outlet: &mut dyn Outlet, outputs: &mut Vec<Output>) -> io::Result<()> {
    match &item {
        Item::Raw(raw) => outlet.event(raw)?,
        Item::Gap(gap) => outlet.gap(*gap),
        Item::Swap { .. } => {}
    }
    worker.take(item, &mut |output| outputs.push(output));
    Ok(())
}

fn deliver(outputs: &mut Vec<Output>, outlet: &mut dyn Outlet) -> io::Result<()> {
    if outputs.is_empty() {
        return Ok(());
    }
    outputs.drain(..).try_for_each(|output| outlet.output(output))?;
    outlet.flush()
}

impl Running {
    /// The agent, to be talked to.
    pub fn agent(&self) -> &Arc<Agent> {
        &self.agent
    }

    /// What ended; waits so long for it at most.
    pub fn wait(&self, at_most: Duration) -> Option<Notice> {
        match self.notices.recv_timeout(at_most) {
            Ok(notice) => Some(notice),
            Err(mpsc::RecvTimeoutError::Timeout) => None,
            // Each thread sends before it ends, so there is nothing left to wait for.
            Err(mpsc::RecvTimeoutError::Disconnected) => Some(Notice::Panicked("agent")),
        }
    }
}

impl Agent {
    /// What the sensor is.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Takes no more events than have happened; the worker ends when it has judged them.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Release);
    }

    /// For how long the sensor has not come back: much longer than it may wait for events, if it hangs.
    pub fn silent_for(&self) -> Duration {
        lock(&self.sensed).elapsed()
    }

    /// What went into the queue so far.
    pub fn queue(&self) -> QueueCounts {
        self.queue.counts()
    }

    /// What the worker has done.
    pub fn published(&self) -> Published {
        lock(&self.published).clone()
    }

    /// Events judged and alerts, as the worker told last.
    pub fn progress(&self) -> (u64, u64) {
        let published = lock(&self.published);
        (published.events, published.alerts)
    }

    /// What is in force.
    pub fn in_force(&self) -> InForce {
        lock(&self.in_force).clone()
    }

    /// Takes in what a watched folder holds now: what came into force, if anything did, and the files whose last good
    /// text stays, with the reasons. `unread` names files and folders that are there and could not be read.
    pub fn edit_folder(
        &self,
        folder: &str,
        now: Vec<Arc<trapline_programs::diagnostic::Source>>,
        unread: &[&str],
    ) -> (Option<Changed>, Vec<(String, Refused)>) {
        let mut library = lock(&self.library);
        let edited = library.edit(folder, now, unread);
        let mut refused = edited.refused;
        let changed = edited.change.and_then(|change| match self.bring_into_force(&mut library, change) {
            Ok(changed) => Some(changed),
            Err(refusal) => {
                refused.push((folder.to_owned(), *refusal));
                None
            }
        });
        (changed, refused)
    }

    /// Puts a change that passed into the stream and waits until it holds.
    fn bring_into_force(&self, library: &mut Library, change: Change) -> Result<Changed, Box<Refused>> {
        let (reply, effect) = mpsc::channel();
        if let Err(error) = self.queue.swap(change.ruleset().clone(), reply) {
            let generation = library.current().ruleset.number;
            let full = matches!(error, SwapError::Full(_));
            let reason = if full { format!("{error}; try again later") } else { error.to_string() };
            return Err(Box::new(Refused { reason, diagnostics: Vec::new(), generation }));
        }
        let mut changed = change.changed.clone();
        *lock(&self.in_force) = change.next().clone();
        library.commit(change);
        match effect.recv_timeout(SWAP_WAIT) {
            Ok(sequence) => changed.from_sequence = Some(sequence),
            // The worker ended, and with it the run.
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                return Err(Box::new(Refused::because(SwapError::Closed.to_string())));
            }
            Err(mpsc::RecvTimeoutError::Timeout) => {
                let waiting = self.queue.counts().waiting;
                changed.notes.push(format!(
                    "it takes effect behind {waiting} events that wait to be judged: the agent's output is blocked, or \
                     it cannot keep up"
                ));
            }
        }
        Ok(changed)
    }

    fn change(&self, make: impl FnOnce(&mut Library) -> Result<Change, Box<Refused>>) -> Response {
        let mut library = lock(&self.library);
        let made = make(&mut library).and_then(|change| self.bring_into_force(&mut library, change));
        match made {
            Ok(changed) => Response::Changed(changed),
            Err(refused) => Response::Refused(*refused),
        }
    }

    fn publish(&self, worker: &Worker) {
        let counts = worker.counts();
        let mut published = lock(&self.published);
        published.events = counts.events;
        published.judging = worker.ruleset().number;
        if published.rules != counts.rules {
            published.alerts = counts.rules.values().map(|rule| rule.alerts).sum();
            published.rules.clone_from(&counts.rules);
        }
    }

    fn list(&self) -> Listing {
        let (in_force, published, queue) = (self.in_force(), self.published(), self.queue());
        let ruleset = &in_force.ruleset;
        let mut rules: Vec<ListedRule> = ruleset
            .rules
            .iter()
            .map(|rule| {
                let info = &rule.info;
                let counts = published.rules.get(&info.id).copied().unwrap_or_default();
                let programs = rule.programs.iter().filter_map(|number| ruleset.programs.get(*number));
                ListedRule {
                    name: info.name.clone(),
                    id: info.id.clone(),
                    version: info.version.clone(),
                    severity: severity_name(info.severity).to_owned(),
                    from: match info.stage {
                        Stage::Active => info.ruleset.clone(),
                        Stage::Dev => rule.rule.source.name.clone(),
                    },
                    signed: info.stage != Stage::Dev,
                    since: in_force.since(&info.name),
                    alerts: counts.alerts,
                    not_evaluable: counts.not_evaluable,
                    traps: counts.traps,
                    fuel_worst: programs.map(|program| program.ready.fuel_bound()).max().unwrap_or(0),
                }
            })
            .collect();
        rules.sort_by(|a, b| a.name.cmp(&b.name));
        let mut inert: Vec<InertRule> = in_force
            .inert
            .iter()
            .map(|aside| InertRule { name: aside.info.name.clone(), lacks: aside.lacks.to_string() })
            .collect();
        inert.sort_by(|a, b| a.name.cmp(&b.name));
        Listing {
            generation: ruleset.number,
            judging: if published.judging == 0 { ruleset.number } else { published.judging },
            digest: hex(&ruleset.generation.digest()),
            source: self.facts.profile.to_owned(),
            events: published.events,
            lost: queue.lost,
            dev: self.dev,
            rules,
            inert,
        }
    }
}

impl Handler for Agent {
    fn handle(&self, request: Request) -> Response {
        match request {
            Request::Load { files } => self.change(|library| library.load(files)),
            Request::Unload { names } => self.change(|library| library.unload(&names)),
            Request::List => Response::Listing(self.list()),
        }
    }
}

/// Nothing that is done under these locks leaves a thing half changed, so that a panic elsewhere does not spoil it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
