//! The kernel's process connector as a sensor.
//!
//! ```text
//! socket ─ fill ─► inbox ─ look ─► inbox ─ apply ─► table, event
//!                    ▲                │
//!                    └── fill again ──┘   what came meanwhile tells whether the look came too late
//! ```
//!
//! A message says that a process runs another program, and its number. Everything else has to be read before the
//! process ends, so looking goes before all other work: between any two events that are written, new messages are
//! taken in and their processes looked at. A process whose end, or whose next program, is in the inbox already is not
//! looked at: there is nothing to be seen, or something else. The kernel counts its messages, so how many were lost is
//! known; which of them would have been an event is not, so that is the most. Then the table is repaired from `/proc`.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::accounts::Names;
use super::event::{About, Writer};
use super::look::{Look, Looker, blind, boot_id, host, pids};
use super::message::{self, Holes, MESSAGE_BYTES_MAX, Message, Task, What};
use super::silence::Silence;
use super::stat;
use super::table::{ANCESTORS_MAX, Ended, Executed, Key, Seen, Table, same_start};
use super::value::{Image, Known};
use crate::source::sensor::{Facts, Gap, Received, Sensor, SensorError};
use crate::source::{Payload, Position, RawEvent, SourceId};
use crate::sys::linux::clock::Offsets;
use crate::sys::linux::connector::{Arrived, Connector};
use crate::sys::linux::promptness::Promptness;
use crate::sys::linux::{self};

const PROFILE: &str = "linux-connector";

/// How long the kernel may take to answer the request. It answers at once, or never.
const ANSWER_WAIT: Duration = Duration::from_secs(1);
/// Messages that wait in the inbox; more wait with the kernel.
const INBOX_MAX: usize = 8192;
/// Processes that were looked at and not told of yet: each can have a command line of full length.
const LOOKED_MAX: usize = 256;
/// Messages after which [`Sensor::receive`] comes back, also when there are more.
const TURN_MAX: usize = 1024;
/// After a loss the table is repaired, no more often than this.
const REPAIR_EVERY: Duration = Duration::from_secs(1);
/// The pause after a repair is at least this many times as long as the repair took.
const REPAIR_PAUSE_FACTOR: u32 = 20;
/// Processes that a repair looks at before it takes in the messages that came meanwhile.
const REPAIR_STEP: usize = 32;
/// How long a repair waits for a moment without messages.
const REPAIR_WAITS: Duration = Duration::from_secs(5);
/// How long a message about a process may still be on its way when `/proc` says that the process has gone.
const SUSPECT_FOR: Duration = Duration::from_millis(100);
/// Processes that are looked after because they may have ended.
const SUSPECTS_MAX: usize = 4096;
/// How often it is looked whether the files of users and groups have changed, and whether the kernel still tells.
const NAMES_EVERY: Duration = Duration::from_secs(1);
/// The wall clock has been set if its distance from the kernel's clock changed by more than this.
const CLOCK_SET_NS: i64 = 1_000_000;
/// The new program is in place this long before its message at most: a look then may have seen it already.
const EXEC_TAKES_NS: i64 = 200_000;

/// The sensor.
#[derive(Debug)]
pub(super) struct ConnectorSensor {
    facts: Facts,
    position: Arc<str>,
    /// Number of the next event.
    sequence: u64,
    socket: Connector,
    datagram: Vec<u8>,
    inbox: VecDeque<Waiting>,
    /// How many at the front of the inbox need not be looked at any more.
    passed: usize,
    /// How many of these hold what was seen.
    looked: usize,
    holes: Holes,
    /// Whether a message came since that was asked last.
    heard: bool,
    silence: Silence,
    table: Table,
    looker: Looker,
    writer: Writer,
    offsets: Offsets,
    /// Messages from before this moment can be of processes that were never seen.
    ready_ns: u64,
    repair_at: Option<Instant>,
    /// Not before this moment.
    repair_not_before: Instant,
    names_looked: Instant,
    suspects: VecDeque<Suspect>,
    /// Ends that found no room among the suspects and are not counted as lost yet.
    ends_untold: u64,
    promptness: Promptness,
}

/// Something in the inbox.
#[derive(Debug)]
enum Waiting {
    Message(Message, Option<Box<Glimpse>>),
    Lost(u64),
}

/// What was seen of a process that runs another program, and of its parent.
#[derive(Debug)]
struct Glimpse {
    look: Look,
    parent: Option<u32>,
    parent_directory: Known<Box<str>>,
}

/// A process that may have ended.
#[derive(Clone, Copy, Debug)]
struct Suspect {
    key: Key,
    pid: u32,
    /// When it was suspected, on the clock that stamps events: messages from before may tell of its end.
    since_ns: i64,
    due: Instant,
    /// When its first thread ended, if its end is told; otherwise that was lost, and counted.
    tell: Option<i64>,
    /// Whether it was seen to live on without its first thread: its status is not that of the first, then.
    lives_on: bool,
}

impl ConnectorSensor {
    /// Opens it, or says why that cannot be.
    pub(super) fn open() -> Result<Self, String> {
        let socket = Connector::open().map_err(|error| format!("it cannot be opened: {error}"))?;
        let mut looker = Looker::new();
        let host = host();
        let now = Instant::now();
        let mut sensor = Self {
            facts: facts(&mut looker),
            position: PROFILE.into(),
            sequence: 0,
            socket,
            datagram: vec![0; MESSAGE_BYTES_MAX],
            inbox: VecDeque::new(),
            passed: 0,
            looked: 0,
            holes: Holes::default(),
            heard: false,
            silence: Silence::default(),
            table: Table::new(&boot_id()),
            looker,
            writer: Writer {
                profile: PROFILE,
                host,
                users: Names::new("/etc/passwd"),
                groups: Names::new("/etc/group"),
            },
            offsets: Offsets::now(),
            ready_ns: 0,
            repair_at: None,
            repair_not_before: now,
            names_looked: now,
            suspects: VecDeque::new(),
            ends_untold: 0,
            promptness: Promptness::new(),
        };
        sensor.subscribe()?;
        sensor.scan().map_err(|error| format!("/proc cannot be read: {error}"))?;
        sensor.ready_ns = u64::try_from(linux::clock::monotonic()).unwrap_or(0);
        Ok(sensor)
    }

    /// Asks the kernel to be told, and waits for its answer. Events that come meanwhile stay in the inbox.
    fn subscribe(&mut self) -> Result<(), String> {
        let error = |error: std::io::Error| format!("the kernel refuses: {error}");
        // So that the answer to somebody else is not taken for ours. Where the kernel tells another of processes that
        // have other numbers there, it does not answer here, but its messages come.
        let mark = u32::try_from(linux::clock::monotonic() & 0x7fff_ffff).unwrap_or(0);
        self.socket.send(&message::request_to_listen(mark)).map_err(error)?;
        let until = Instant::now() + ANSWER_WAIT;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            self.socket.wait(left).map_err(error)?;
            self.fill().map_err(error)?;
            match self.inbox.iter().find_map(|waiting| match waiting {
                Waiting::Message(Message { what: What::Answer { error, to }, .. }, _) if *to == mark + 1 => {
                    Some(*error)
                }
                _ => None,
            }) {
                Some(0) => return Ok(()),
                Some(number) => return Err(error(std::io::Error::from_raw_os_error(number.cast_signed()))),
                None if left.is_zero() => {
                    return Err("the kernel does not answer: it tells only the first namespace of processes and \
                                users, and containers live in others"
                        .to_owned());
                }
                None => {}
            }
            if self.inbox.len() >= INBOX_MAX {
                return Err("the kernel tells others and does not answer".to_owned());
            }
        }
    }

    /// Takes what the socket has into the inbox.
    fn fill(&mut self) -> std::io::Result<()> {
        // Also what is not for us is looked at no more often than this.
        for _ in self.inbox.len()..INBOX_MAX {
            let length = match self.socket.receive(&mut self.datagram)? {
                Arrived::Nothing => return Ok(()),
                Arrived::Foreign => continue,
                // How much did not fit, the numbers of the messages tell when the next ones come.
                Arrived::Overflow => {
                    self.repair_soon();
                    continue;
                }
                Arrived::Bytes(length) => length,
            };
            let Self { datagram, inbox, holes, heard, .. } = self;
            message::parse(datagram.get(..length).unwrap_or_default(), &mut |message| {
                *heard |= !matches!(message.what, What::Answer { .. });
                match holes.before(&message) {
                    0 => {}
                    lost => inbox.push_back(Waiting::Lost(lost)),
                }
                inbox.push_back(Waiting::Message(message, None));
            });
        }
        Ok(())
    }

    /// Looks at the processes in the inbox that run another program.
    fn look(&mut self) {
        while self.passed < self.inbox.len() && self.looked < LOOKED_MAX {
            let at = self.passed;
            self.passed += 1;
            let Some(Waiting::Message(Message { what: What::Exec(task), .. }, None)) = self.inbox.get(at) else {
                continue;
            };
            let process = task.process;
            if self.inbox.range(at + 1..).any(|later| is_end_of_look(later, process, i64::MAX)) {
                continue;
            }
            let look = self.looker.look(process);
            let parent = self.table.live(process).and_then(|key| self.table.get(key)?.parent_pid.is().copied());
            let parent = parent.or_else(|| look.stat.as_ref().map(|stat| stat.parent)).filter(|pid| *pid != 0);
            let parent_directory = parent.map_or(Known::Lost, |pid| self.looker.directory(pid));
            if let Some(Waiting::Message(_, seen)) = self.inbox.get_mut(at) {
                *seen = Some(Box::new(Glimpse { look, parent, parent_directory }));
                self.looked += 1;
            }
        }
    }

    /// Takes the first of the inbox into the table, and hands over what it tells.
    fn apply_next(&mut self, on: &mut dyn FnMut(Received)) {
        let Some(first) = self.inbox.pop_front() else { return };
        self.passed = self.passed.saturating_sub(1);
        let (message, glimpse) = match first {
            Waiting::Lost(count) => {
                on(Received::Gap(Gap { count, exact: false, reason: "the kernel had no room for more messages" }));
                return self.repair_soon();
            }
            Waiting::Message(message, glimpse) => (message, glimpse),
        };
        self.looked = self.looked.saturating_sub(usize::from(glimpse.is_some()));
        let time_ns = i64::try_from(message.time_ns).unwrap_or(i64::MAX);
        match message.what {
            What::Fork { child, .. } if !child.is_process() => self.table.thread(child.process),
            What::Fork { parent, child } => {
                if self.table.live(parent.process).is_none() {
                    self.find(parent.process);
                }
                let start = self.looker.start_at(time_ns, self.offsets);
                // If it is not kept, what it runs and its end are what is lost.
                self.table.fork(parent.process, child.process, start);
            }
            What::Exec(task) => self.exec(task, time_ns, glimpse, on),
            What::Uid { task, real, effective } if task.is_process() => {
                self.table.uid(task.process, real, effective);
            }
            What::Gid { task, real, effective } if task.is_process() => {
                self.table.gid(task.process, real, effective);
            }
            What::Session(task) => self.table.session(task.process),
            What::Exit { task, status } if task.is_process() => {
                let ended = match self.table.exit(task.process, status) {
                    // Ended before the table was built.
                    Ended::Unknown if message.time_ns <= self.ready_ns => return,
                    Ended::Unknown => {
                        let start = self.looker.start_at(time_ns, self.offsets);
                        self.table.see(unknown(task.process, start.time_ns, start.ticks));
                        self.table.exit(task.process, status)
                    }
                    ended => ended,
                };
                match ended {
                    Ended::Process(key, status) => self.tell_exit(key, time_ns, status, on),
                    Ended::Thread => self.suspect(task.process, Some(time_ns)),
                    Ended::Unknown => on(Received::Gap(TOO_MANY)),
                }
            }
            What::Exit { task, status } => {
                if let Ended::Process(key, status) = self.table.thread_exit(task.process, status) {
                    self.tell_exit(key, time_ns, status, on);
                }
            }
            What::Uid { .. }
            | What::Gid { .. }
            | What::Name { .. }
            | What::CoreDump(_)
            | What::Answer { .. }
            | What::Other(_) => {}
        }
    }

    fn exec(&mut self, task: Task, time_ns: i64, glimpse: Option<Box<Glimpse>>, on: &mut dyn FnMut(Received)) {
        let pid = task.process;
        let nothing = || Glimpse { look: Look::nothing(), parent: None, parent_directory: Known::Lost };
        let mut glimpse = glimpse.map_or_else(nothing, |glimpse| *glimpse);
        let late = glimpse.look.done_ns.saturating_add(EXEC_TAKES_NS);
        let made = self.looker.start_at(time_ns, self.offsets);
        let start = glimpse.look.stat.as_ref().map(|stat| self.looker.start(stat, self.offsets));
        let overtaken = self.inbox.iter().any(|later| is_end_of_look(later, pid, late) && is_exec(later));
        // What was seen is the next program of the process, or another process that was given its number.
        if overtaken || start.is_some_and(|start| start.ticks > made.ticks + 1) {
            glimpse = nothing();
        }
        let known = self.table.live(pid).and_then(|key| self.table.get(key));
        let same = known.is_some_and(|process| {
            let seen = glimpse.look.stat.as_ref();
            // One whose beginning was lost, and with it its user.
            let complete = seen.is_none() || !process.owner.is_lost();
            complete && seen.is_none_or(|seen| same_start(seen.start_ticks, process.start.ticks))
        });
        if !same {
            // Its beginning was lost, or is from before the table.
            self.find(pid);
            let live = self.table.live(pid).and_then(|key| self.table.get(key));
            // It has ended already, and what the table has may be of one that had the number before.
            if live.is_none_or(|live| start.is_some_and(|start| !same_start(start.ticks, live.start.ticks))) {
                let ticks = start.map_or(made.ticks, |start| start.ticks);
                self.table.see(unknown(pid, made.time_ns, ticks));
            }
        }
        let Some(key) = self.table.live(pid) else { return on(Received::Gap(TOO_MANY)) };
        if self.table.get(key).is_none_or(|process| process.start.ticks > made.ticks + 1) {
            return on(Received::Gap(USED_AGAIN));
        }
        // What it acts for now, it acted for then, unless a change is on its way.
        let changes = self.inbox.iter().any(|later| is_change_of_user(later, pid));
        if let Some(owner) = glimpse.look.owner.filter(|_| !changes) {
            self.table.own(key, owner);
        }
        let terminal = glimpse.look.terminal();
        let executed = Executed { image: glimpse.look.image, terminal };
        self.table.exec(key, &executed);
        let parent = self.table.get(key).and_then(|process| process.parent_pid.is().copied());
        let parent_gone = |pid| self.inbox.iter().any(|later| is_end_of(later, pid));
        let mut parent_directory = glimpse.parent_directory;
        if parent != glimpse.parent || parent.is_none_or(parent_gone) || !self.table.parent_lives(key) {
            parent_directory = if parent.is_none() { Known::None } else { Known::Lost };
        }
        let about = About::Exec {
            image: &executed.image,
            directory: &glimpse.look.directory,
            parent_directory: &parent_directory,
        };
        self.tell(key, time_ns, &about, on);
    }

    fn tell_exit(&mut self, key: Key, time_ns: i64, status: Option<u32>, on: &mut dyn FnMut(Received)) {
        self.tell(key, time_ns, &About::Exit { status, told: true }, on);
        self.table.release(key);
    }

    fn tell(&mut self, key: Key, time_ns: i64, about: &About<'_>, on: &mut dyn FnMut(Received)) {
        let time_ns = time_ns.saturating_add(self.offsets.monotonic);
        let Some(json) = self.writer.write(&self.table, key, time_ns, about) else { return };
        let sequence = self.sequence;
        self.sequence = self.sequence.saturating_add(1);
        let position = Position { file: Arc::clone(&self.position), record: sequence };
        // It may wait: no more is kept than is counted.
        let payload = Payload::Json(Bytes::from(json.into_boxed_slice()));
        on(Received::Event(RawEvent { source: SourceId::default(), sequence, position, payload }));
    }

    /// Takes a process into the table that is not there, and those it comes from.
    fn find(&mut self, pid: u32) {
        let mut found = Vec::new();
        let mut next = pid;
        while found.len() <= ANCESTORS_MAX {
            let Some((seen, _)) = self.looker.see(next, self.offsets) else { break };
            let parent = seen.parent_pid;
            found.push(seen);
            match parent {
                Known::Is(parent) if self.table.live(parent).is_none() => next = parent,
                _ => break,
            }
        }
        for seen in found.into_iter().rev() {
            if let Some(key) = self.table.see(seen) {
                self.table.link_parent(key);
            }
        }
    }

    fn repair_soon(&mut self) {
        self.repair_at.get_or_insert(self.repair_not_before.max(Instant::now()));
    }

    /// Makes the table say what `/proc` says.
    fn scan(&mut self) -> std::io::Result<()> {
        let begin = Instant::now();
        // Not at the end: what is lost meanwhile is a reason for another.
        self.repair_at = None;
        let mut keys = Vec::new();
        let mut there = HashSet::new();
        for (index, pid) in pids()?.into_iter().enumerate() {
            if index.is_multiple_of(REPAIR_STEP) {
                self.promptness.tend_long_work();
                self.fill()?;
            }
            if let Some((seen, _)) = self.looker.see(pid, self.offsets) {
                there.insert(pid);
                keys.extend(self.table.see(seen));
            }
        }
        // A parent can have a greater number than its child.
        keys.into_iter().for_each(|key| self.table.link_parent(key));
        self.repair_not_before = Instant::now() + REPAIR_EVERY.max(begin.elapsed() * REPAIR_PAUSE_FACTOR);
        for pid in self.table.pids() {
            if !there.contains(&pid) {
                self.suspect(pid, None);
            }
        }
        Ok(())
    }

    /// Looks after a process that may have ended, when messages about it had time to come.
    fn suspect(&mut self, pid: u32, tell: Option<i64>) {
        let Some(key) = self.table.live(pid) else { return };
        if self.suspects.len() >= SUSPECTS_MAX {
            // They are found again, but their ends are not told then.
            self.ends_untold += u64::from(tell.is_some());
            return self.repair_soon();
        }
        let (since_ns, due) = (linux::clock::monotonic(), Instant::now() + SUSPECT_FOR);
        self.suspects.push_back(Suspect { key, pid, since_ns, due, tell, lives_on: false });
    }

    fn settle_suspects(&mut self, on: &mut dyn FnMut(Received)) {
        if self.ends_untold > 0 {
            let count = std::mem::take(&mut self.ends_untold);
            on(Received::Gap(Gap { count, exact: true, reason: "more processes ended at once than are looked after" }));
        }
        let now = Instant::now();
        let waits = self.inbox.iter().find_map(time_of).unwrap_or(i64::MAX);
        for _ in 0..self.suspects.len() {
            let Some(suspect) = self.suspects.pop_front() else { return };
            if self.table.live(suspect.pid) != Some(suspect.key) {
                continue;
            }
            if suspect.due > now || waits <= suspect.since_ns {
                self.suspects.push_back(suspect);
                continue;
            }
            let start = self.table.get(suspect.key).map(|process| process.start.ticks);
            let stat = self.looker.stat(suspect.pid);
            let stat = stat.filter(|stat| start.is_some_and(|start| same_start(stat.start_ticks, start)));
            match stat {
                Some(stat) if stat.threads > 1 || !stat.ended => {
                    // It lives on, in its other threads; the end of the last of them may not fit what was counted.
                    if self.table.outlives_first_thread(suspect.pid) {
                        self.suspects.push_back(Suspect { due: now + REPAIR_EVERY, lives_on: true, ..suspect });
                    }
                }
                _ => {
                    let Some((key, status)) = self.table.gone(suspect.pid) else { continue };
                    if let Some(at) = suspect.tell {
                        // Without other threads, that was the end.
                        let (at, status) =
                            if suspect.lives_on { (linux::clock::monotonic(), None) } else { (at, status) };
                        self.tell_exit(key, at, status, on);
                    } else {
                        self.table.release(key);
                    }
                }
            }
        }
    }

    /// Asks the kernel once more if it tells of nothing.
    fn listen_again(&mut self, on: &mut dyn FnMut(Received)) -> std::io::Result<()> {
        let heard = std::mem::take(&mut self.heard);
        let made = || self.looker.of_host("/proc/stat", stat::made);
        if let Some(count) = self.silence.look(heard, made) {
            on(Received::Gap(Gap { count, exact: false, reason: "the kernel told of nothing, and was asked again" }));
            self.socket.send(&message::request_to_listen(0))?;
            self.repair_soon();
        }
        Ok(())
    }

    /// What has to be done from time to time.
    fn tend(&mut self, on: &mut dyn FnMut(Received)) -> std::io::Result<()> {
        // Here, because it is a matter of the thread that receives.
        self.promptness.tend();
        let offsets = Offsets::now();
        if offsets.monotonic.abs_diff(self.offsets.monotonic) > CLOCK_SET_NS.unsigned_abs()
            || offsets.boot.abs_diff(self.offsets.boot) > CLOCK_SET_NS.unsigned_abs()
        {
            self.offsets = offsets;
        }
        let now = Instant::now();
        if now.duration_since(self.names_looked) >= NAMES_EVERY {
            self.names_looked = now;
            self.listen_again(on)?;
            self.writer.users.refresh();
            self.writer.groups.refresh();
        }
        let due = |at: Instant| at <= now && (self.inbox.is_empty() || at + REPAIR_WAITS <= now);
        if self.repair_at.is_some_and(due) {
            self.scan()?;
        }
        self.settle_suspects(on);
        Ok(())
    }

    fn receive_within(&mut self, wait: Duration, on: &mut dyn FnMut(Received)) -> std::io::Result<()> {
        self.fill()?;
        self.tend(on)?;
        if self.inbox.is_empty() {
            // What is due meanwhile is not kept waiting by silence.
            let due = self.suspects.iter().map(|suspect| suspect.due).chain(self.repair_at).min();
            let wait = due.map_or(wait, |due| wait.min(due.saturating_duration_since(Instant::now())));
            self.socket.wait(wait)?;
            self.fill()?;
        }
        // Without waiting, it is the last turn: what has happened until now is told, however much waits.
        let until = if wait.is_zero() { linux::clock::monotonic() } else { i64::MAX };
        let mut turn = 0;
        while turn < TURN_MAX || wait.is_zero() {
            turn += 1;
            self.look();
            self.fill()?;
            match self.inbox.front() {
                None => break,
                Some(first) if time_of(first).is_some_and(|at| at > until) => break,
                Some(_) => self.apply_next(on),
            }
        }
        Ok(())
    }
}

impl Sensor for ConnectorSensor {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn receive(&mut self, wait: Duration, on: &mut dyn FnMut(Received)) -> Result<(), SensorError> {
        self.receive_within(wait, on).map_err(|error| SensorError { profile: PROFILE, reason: error.to_string() })
    }
}

const TOO_MANY: Gap = Gap { count: 1, exact: true, reason: "more processes live than are kept" };

fn facts(looker: &mut Looker) -> Facts {
    let mut blind = blind(looker);
    blind.push(
        "What a program is called, its arguments and its directory are lost if it ends within about a millisecond; \
         its event says so."
            .to_owned(),
    );
    Facts { profile: PROFILE, title: "the kernel's process connector".to_owned(), blind }
}

const USED_AGAIN: Gap = Gap { count: 1, exact: true, reason: "the number of a process was used again" };

/// Whether a look at the process after this message, made before that moment, sees something else than before it.
fn is_end_of_look(later: &Waiting, pid: u32, before_ns: i64) -> bool {
    let Waiting::Message(message, _) = later else { return false };
    match message.what {
        What::Exec(task) => task.process == pid && i64::try_from(message.time_ns).is_ok_and(|at| at < before_ns),
        What::Exit { task, .. } => task.is_process() && task.process == pid,
        _ => false,
    }
}

/// When it happened, on the clock that stamps events.
fn time_of(waiting: &Waiting) -> Option<i64> {
    let Waiting::Message(message, _) = waiting else { return None };
    i64::try_from(message.time_ns).ok()
}

fn is_change_of_user(later: &Waiting, pid: u32) -> bool {
    matches!(later, Waiting::Message(Message { what: What::Uid { task, .. } | What::Gid { task, .. }, .. }, _)
        if task.process == pid)
}

fn is_exec(later: &Waiting) -> bool {
    matches!(later, Waiting::Message(Message { what: What::Exec(_), .. }, _))
}

fn is_end_of(later: &Waiting, pid: u32) -> bool {
    matches!(later, Waiting::Message(Message { what: What::Exit { task, .. }, .. }, _)
        if task.is_process() && task.process == pid)
}

/// A process that something is told of for the first time.
fn unknown(pid: u32, time_ns: i64, ticks: u64) -> Seen {
    Seen {
        pid,
        start: super::table::Start { time_ns, ticks, known: false },
        parent_pid: Known::Lost,
        image: Image::default(),
        owner: Known::Lost,
        session: Known::Lost,
        tty: Known::Lost,
        threads: 1,
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use serde_json::Value;

    use super::*;
    use crate::source::live::table::Start;
    use crate::source::live::testing::{PATIENCE, events};

    /// The sensor, if this kernel grants it to this user.
    fn sensor() -> Option<ConnectorSensor> {
        ConnectorSensor::open().inspect_err(|reason| eprintln!("skipped: {reason}")).ok()
    }

    fn of<'v>(events: &'v [Value], action: &str, pid: u32) -> Option<&'v Value> {
        events.iter().find(|event| event["event"]["action"] == action && event["process"]["pid"] == pid)
    }

    #[test]
    fn a_program_is_seen_from_start_to_end() {
        let Some(mut sensor) = sensor() else { return };
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().canonicalize().unwrap();
        let mut child = Command::new("sh").args(["-c", "sleep 0.3; exit 7"]).current_dir(&folder).spawn().unwrap();
        let pid = child.id();
        let found = events(&mut sensor, |events| of(events, "exit", pid).is_some());
        child.wait().unwrap();
        let exec = &of(&found, "exec", pid).unwrap();
        let (process, trapline) = (&exec["process"], &exec["trapline"]);
        assert_eq!(process["args"], serde_json::json!(["sh", "-c", "sleep 0.3; exit 7"]), "{exec:#}");
        assert_eq!(process["working_directory"], folder.to_str().unwrap());
        assert_eq!(process["parent"]["pid"], std::process::id());
        let own = std::env::current_exe().unwrap();
        assert_eq!(process["parent"]["executable"], own.to_str().unwrap());
        assert_eq!(process["ancestors"][0], {
            let mut parent = process["parent"].clone();
            let own = process["ancestors"][0].as_object().unwrap();
            parent.as_object_mut().unwrap().retain(|name, _| own.contains_key(name));
            parent
        });
        assert_eq!(trapline["profile"], "linux-connector");
        assert_eq!(trapline["lost"], Value::Null, "{exec:#}");
        // Its child, whose parent it is.
        let sleep =
            found.iter().find(|event| event["event"]["action"] == "exec" && event["process"]["parent"]["pid"] == pid);
        let sleep = sleep.unwrap();
        assert_eq!(sleep["process"]["args"], serde_json::json!(["sleep", "0.3"]));
        assert_eq!(sleep["process"]["parent"]["args"], process["args"]);
        assert_eq!(sleep["process"]["parent"]["entity_id"], process["entity_id"]);
        let exit = of(&found, "exit", pid).unwrap();
        assert_eq!((&exit["process"]["exit_code"], &exit["process"]["args"]), (&Value::from(7), &process["args"]));
        assert_eq!(
            (&exit["process"]["entity_id"], &exit["process"]["start"]),
            (&process["entity_id"], &process["start"])
        );
    }

    #[test]
    fn the_last_turn_tells_all_that_has_happened() {
        let Some(mut sensor) = sensor() else { return };
        // Each is made, and ends: more messages than one turn takes.
        let forks = TURN_MAX / 2 + 100;
        let script = format!("i=0; while [ $i -lt {forks} ]; do (exit 77); i=$((i+1)); done");
        let mut shell = Command::new("sh").args(["-c", &script]).spawn().unwrap();
        shell.wait().unwrap();
        let (mut ended, mut lost) = (0, false);
        let received = sensor.receive(Duration::ZERO, &mut |received| match received {
            Received::Event(event) => {
                let event: Value = serde_json::from_slice(event.payload.bytes()).unwrap();
                let ours = event["process"]["parent"]["pid"] == shell.id();
                ended += usize::from(ours && event["process"]["exit_code"] == 77);
            }
            Received::Gap(_) => lost = true,
        });
        received.unwrap();
        assert!(lost || ended == forks, "{ended} of {forks}");
    }

    #[test]
    fn a_repair_finds_out_who_has_ended() {
        let Some(mut sensor) = sensor() else { return };
        // One that ended and that nobody has waited for, one that is gone, one that lives.
        let mut left = Command::new("true").spawn().unwrap();
        let mut gone = Command::new("true").spawn().unwrap();
        gone.wait().unwrap();
        let (left_pid, gone_pid, own) = (left.id(), gone.id(), std::process::id());
        let ended = |pid| std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| stat.contains(") Z "));
        while !ended(left_pid) {
            std::thread::yield_now();
        }
        // As if all that the kernel told of them had been lost.
        while sensor.socket.receive(&mut sensor.datagram).unwrap() != Arrived::Nothing {}
        sensor.inbox.clear();
        for pid in [left_pid, gone_pid] {
            sensor.table.fork(own, pid, Start { time_ns: 1, ticks: 1, known: true }).unwrap();
        }
        sensor.scan().unwrap();
        let until = Instant::now() + PATIENCE;
        while sensor.table.live(left_pid).is_some() || sensor.table.live(gone_pid).is_some() {
            assert!(Instant::now() < until, "they have ended");
            sensor.receive(Duration::from_millis(10), &mut |_| {}).unwrap();
        }
        assert!(sensor.table.live(own).is_some());
        left.wait().unwrap();
    }

    #[test]
    fn a_process_made_in_the_place_of_another_has_its_own_user() {
        let Some(mut sensor) = sensor() else { return };
        // The first process gives up root; the second counts as made by its parent, which is us, and we do not.
        let time = format!("2.{}", std::process::id());
        let script = r#"$) = "65534 65534"; $( = $< = $> = 65534; my $child = syscall(56, 0x8011, 0, 0, 0, 0);
                        if ($child == 0) { exec "sleep", $ARGV[0] } select(undef, undef, undef, 0.5)"#;
        let perl = Command::new("perl").args(["-e", script, time.as_str()]).spawn();
        let (true, true, Ok(mut child)) = (cfg!(target_arch = "x86_64"), linux::is_root(), perl) else {
            return eprintln!("skipped: it needs root, perl, and the number of a system call");
        };
        let is_it = |event: &Value| event["process"]["args"] == serde_json::json!(["sleep", time]);
        let found = events(&mut sensor, |events| events.iter().any(is_it));
        child.wait().unwrap();
        let process = &found.iter().find(|event| is_it(event)).unwrap()["process"];
        assert_eq!(process["parent"]["pid"], std::process::id(), "{process:#}");
        assert_eq!(
            (&process["user"]["id"], &process["real_group"]["id"]),
            (&Value::from("65534"), &Value::from("65534"))
        );
    }

    #[test]
    fn a_process_that_is_killed_says_by_which_signal() {
        let Some(mut sensor) = sensor() else { return };
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let pid = child.id();
        events(&mut sensor, |events| of(events, "exec", pid).is_some());
        child.kill().unwrap();
        let found = events(&mut sensor, |events| of(events, "exit", pid).is_some());
        child.wait().unwrap();
        assert_eq!(of(&found, "exit", pid).unwrap()["process"]["exit_code"], 128 + 9);
    }
}
