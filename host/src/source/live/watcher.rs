//! Watching `/proc` as a sensor: for who may not use the process connector.
//!
//! At each look, [`LOOK_EVERY`] apart, numbers that were not there before are new processes, and numbers that are not
//! there any more are processes that have ended. A process that runs another program keeps its number; what tells is
//! where its stack begins, or its name for who may not know that. Young processes are checked for it at each look,
//! older ones in turn. The work of one look is bounded, and a look that took long is followed by a longer pause.
//!
//! What came and went between two looks was not seen. The kernel counts all processes and threads that it makes; how
//! many of those were not seen is told as the most that can have been missed.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::accounts::Names;
use super::event::{About, Writer};
use super::look::{Look, Looker, blind, boot_id, host, pids};
use super::stat::{self, Stat};
use super::table::{Key, LIVE_MAX, Process, Table};
use super::value::Known;
use crate::source::sensor::{Facts, Gap, Received, Sensor, SensorError};
use crate::source::{Payload, Position, RawEvent, SourceId};
use crate::sys::linux::clock::Offsets;

const PROFILE: &str = "linux-proc";

/// Time between two looks, in milliseconds.
pub(super) const LOOK_EVERY_MS: u64 = 50;
const LOOK_EVERY: Duration = Duration::from_millis(LOOK_EVERY_MS);
/// The pause after a look is at least this many times as long as the look took.
const PAUSE_FACTOR: u32 = 20;
/// Looks after which all numbers are gone through, also when none was given out since the last: some have ended.
const FULL_LOOK_AFTER: u32 = 4;
/// How long a process is young: most that run another program do it at once.
const YOUNG_FOR: Duration = Duration::from_secs(1);
/// Young processes that are checked at a look.
const YOUNG_MAX: usize = 256;
/// New processes that are taken at a look.
const NEW_MAX: usize = 1024;
/// Looks after which processes that had ended are looked at again: their numbers may be of others.
const ENDED_LOOKS: u32 = 256;
/// Older processes that are checked at a look.
const OLD_MAX: usize = 16;
/// How often it is told what may have been missed.
const MISSED_EVERY: Duration = Duration::from_secs(1);
/// How often the files of users and groups are looked at for changes.
const NAMES_EVERY: Duration = Duration::from_secs(1);

/// The sensor.
#[derive(Debug)]
pub(super) struct ProcSensor {
    facts: Facts,
    position: Arc<str>,
    /// Number of the next event.
    sequence: u64,
    table: Table,
    looker: Looker,
    writer: Writer,
    offsets: Offsets,
    watched: HashMap<u32, Watched>,
    young: VecDeque<(u32, Instant)>,
    old: VecDeque<u32>,
    /// Those that had ended when they were first seen, and were not waited for.
    ended: HashSet<u32>,
    next_look: Instant,
    looks: u32,
    /// The number that was given out last.
    last_pid: Option<u32>,
    /// Processes and threads that the kernel had made when that was told last.
    made: Option<u64>,
    /// How many that are now, if it is time to tell.
    made_now: Option<u64>,
    /// New processes seen since, as far as they were not made later.
    seen: u64,
    missed_told: Instant,
    names_looked: Instant,
}

/// What tells whether a process still is the same, and runs the same.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Watched {
    key: Key,
    start_ticks: u64,
    stack: u64,
    comm: Box<str>,
}

impl ProcSensor {
    /// Opens it; `instead_because` says why it is not the connector, if that was wanted.
    pub(super) fn open(instead_because: Option<String>) -> Result<Self, String> {
        let now = Instant::now();
        let writer = Writer {
            profile: PROFILE,
            host: host(),
            users: Names::new("/etc/passwd"),
            groups: Names::new("/etc/group"),
        };
        let mut sensor = Self {
            facts: Facts { profile: PROFILE, title: "/proc, looked at again and again".to_owned(), blind: Vec::new() },
            position: PROFILE.into(),
            sequence: 0,
            table: Table::new(&boot_id()),
            looker: Looker::new(),
            writer,
            offsets: Offsets::now(),
            watched: HashMap::new(),
            young: VecDeque::new(),
            old: VecDeque::new(),
            ended: HashSet::new(),
            next_look: now + LOOK_EVERY,
            looks: 0,
            last_pid: None,
            made: None,
            made_now: None,
            seen: 0,
            missed_told: now,
            names_looked: now,
        };
        sensor.made = sensor.looker.of_host("/proc/stat", stat::made);
        let mut pids = pids().map_err(|error| error.to_string())?;
        pids.sort_unstable();
        for pid in pids {
            sensor.take(pid);
        }
        // A parent can have a greater number than its child.
        let keys: Vec<Key> = sensor.watched.values().map(|watched| watched.key).collect();
        keys.into_iter().for_each(|key| sensor.table.link_parent(key));
        sensor.young.clear();
        sensor.old = sensor.watched.keys().copied().collect();
        sensor.seen = 0;
        sensor.facts.blind = sensor.blind(instead_because);
        Ok(sensor)
    }

    fn blind(&mut self, instead_because: Option<String>) -> Vec<String> {
        let mut blind = blind(&mut self.looker);
        blind.push(format!(
            "A program that ends within {LOOK_EVERY_MS} ms can be missed altogether; how many that may be is counted."
        ));
        blind.push(
            "The parent of a process that had ended already is not known: who took the process in counts as its parent."
                .to_owned(),
        );
        blind.push(
            "A program that a process starts in its own place is noticed in turn: among 1,000 processes, within some \
             seconds."
                .to_owned(),
        );
        blind.push("Exit codes are not known: the kernel tells them to the parent alone.".to_owned());
        if let Some(reason) = instead_because {
            blind.push(format!("The kernel's process connector sees every program; it is not available: {reason}."));
        }
        blind
    }

    /// Takes a new process into the table. Nothing if it has gone again, or there are too many.
    fn take(&mut self, pid: u32) -> Option<(Key, Look, Watched)> {
        if self.watched.len() >= LIVE_MAX {
            return None;
        }
        let (seen, look) = self.looker.see(pid, self.offsets)?;
        let stat = look.stat.clone()?;
        let key = self.table.see(seen)?;
        let watched = Watched { key, start_ticks: stat.start_ticks, stack: stat.stack, comm: stat.comm };
        self.watched.insert(pid, watched.clone());
        self.young.push_back((pid, Instant::now() + YOUNG_FOR));
        Some((key, look, watched))
    }

    /// Numbers that were not there before.
    fn begin(&mut self, pids: &[u32], on: &mut dyn FnMut(Received)) {
        let mut taken = Vec::new();
        for pid in pids {
            match self.take(*pid) {
                Some(process) => taken.push(process),
                None if self.looker.stat(*pid).is_some_and(|stat| stat.ended) => drop(self.ended.insert(*pid)),
                None => {}
            }
        }
        // A parent can have a greater number than its child.
        taken.iter().for_each(|(key, ..)| self.table.link_parent(*key));
        for (key, look, watched) in taken {
            self.seen = self.seen.saturating_add(1);
            let Some(process) = self.table.get(key) else { continue };
            let time_ns = process.start.time_ns;
            if !self.is_copy(process, &watched) {
                self.tell_exec(key, &look, time_ns, on);
            }
        }
    }

    /// Whether a process is a copy of its parent that runs nothing else yet: the next looks will tell.
    fn is_copy(&self, process: &Process, watched: &Watched) -> bool {
        let Some(parent) = process.parent_pid.is().and_then(|pid| self.watched.get(pid)) else { return false };
        match (parent.stack, watched.stack) {
            (0, _) | (_, 0) => self.table.get(parent.key).is_some_and(|parent| parent.image.line == process.image.line),
            (parent, own) => parent == own,
        }
    }

    /// A number that is not there any more.
    fn end(&mut self, pid: u32, on: &mut dyn FnMut(Received)) {
        self.watched.remove(&pid);
        let Some((key, _)) = self.table.gone(pid) else { return };
        self.tell(key, self.now(), &About::Exit { status: None, told: false }, on);
        self.table.release(key);
    }

    /// Looks whether a process runs another program now. Whether it is still there.
    fn check(&mut self, pid: u32, on: &mut dyn FnMut(Received)) -> bool {
        let Some(watched) = self.watched.get(&pid).cloned() else { return false };
        let Some(stat) = self.looker.stat(pid) else { return true };
        if stat.start_ticks != watched.start_ticks {
            // Another process was given the number.
            self.end(pid, on);
            self.begin(&[pid], on);
            return false;
        }
        if stat.ended || !has_changed(&watched, &stat) {
            return true;
        }
        let Some((seen, look)) = self.looker.see(pid, self.offsets) else { return true };
        let same = look.stat.as_ref().filter(|now| now.start_ticks == watched.start_ticks);
        let Some(now) = same.cloned() else { return true };
        let line = self.table.get(watched.key).map(|process| process.image.line.clone());
        // For who may not know where the stack begins: a name can change for itself, but hardly with the arguments.
        let exec = now.stack != 0 || line.is_some_and(|line| line != seen.image.line);
        let watched = Watched { stack: now.stack, comm: now.comm, ..watched };
        let key = watched.key;
        self.watched.insert(pid, watched);
        if exec && self.table.see(seen).is_some() {
            self.tell_exec(key, &look, self.now(), on);
        }
        true
    }

    fn tell_exec(&mut self, key: Key, look: &Look, time_ns: i64, on: &mut dyn FnMut(Received)) {
        let parent = self.table.get(key).map_or(Known::Lost, |process| process.parent_pid);
        let parent_directory = match parent {
            Known::Is(pid) if self.table.parent_lives(key) => self.looker.directory(pid),
            Known::None => Known::None,
            Known::Is(_) | Known::Lost => Known::Lost,
        };
        let about = About::Exec { image: &look.image, directory: &look.directory, parent_directory: &parent_directory };
        self.tell(key, time_ns, &about, on);
    }

    fn tell(&mut self, key: Key, time_ns: i64, about: &About<'_>, on: &mut dyn FnMut(Received)) {
        let Some(json) = self.writer.write(&self.table, key, time_ns, about) else { return };
        let sequence = self.sequence;
        self.sequence = self.sequence.saturating_add(1);
        let position = Position { file: Arc::clone(&self.position), record: sequence };
        // It may wait: no more is kept than is counted.
        let payload = Payload::Json(Bytes::from(json.into_boxed_slice()));
        on(Received::Event(RawEvent { source: SourceId::default(), sequence, position, payload }));
    }

    fn now(&self) -> i64 {
        crate::sys::linux::clock::monotonic().saturating_add(self.offsets.monotonic)
    }

    fn look(&mut self, on: &mut dyn FnMut(Received)) -> std::io::Result<()> {
        self.offsets = Offsets::now();
        self.looks = self.looks.wrapping_add(1);
        // Before the numbers are listed: what was made until now is among them, or was missed.
        let now = Instant::now();
        if now.duration_since(self.missed_told) >= MISSED_EVERY {
            self.missed_told = now;
            self.made_now = self.looker.of_host("/proc/stat", stat::made);
        }
        if self.looks.is_multiple_of(ENDED_LOOKS) {
            self.ended.clear();
        }
        let last_pid = self.looker.of_host("/proc/loadavg", stat::last_pid);
        if last_pid.is_none() || last_pid != self.last_pid || self.looks.is_multiple_of(FULL_LOOK_AFTER) {
            self.last_pid = last_pid;
            let mut there = pids()?;
            there.sort_unstable();
            let numbers: HashSet<u32> = there.iter().copied().collect();
            let gone: Vec<u32> = self.watched.keys().filter(|pid| !numbers.contains(pid)).copied().collect();
            self.ended.retain(|pid| numbers.contains(pid));
            // First what is new: the parent of a new process may be among those that have gone.
            there.retain(|pid| !self.watched.contains_key(pid) && !self.ended.contains(pid));
            if there.len() > NEW_MAX {
                there.truncate(NEW_MAX);
                // The others next time.
                self.last_pid = None;
            }
            self.begin(&there, on);
            for pid in gone {
                self.end(pid, on);
            }
        }
        self.check_some(on);
        self.tell_missed(on);
        Ok(())
    }

    fn check_some(&mut self, on: &mut dyn FnMut(Received)) {
        let now = Instant::now();
        for _ in 0..self.young.len().min(YOUNG_MAX) {
            let Some((pid, until)) = self.young.pop_front() else { break };
            if !self.check(pid, on) {
                continue;
            }
            if until > now {
                self.young.push_back((pid, until));
            } else {
                self.old.push_back(pid);
            }
        }
        for _ in 0..self.old.len().min(OLD_MAX) {
            let Some(pid) = self.old.pop_front() else { break };
            if self.check(pid, on) {
                self.old.push_back(pid);
            }
        }
    }

    /// Tells how many processes came and went unseen at most.
    fn tell_missed(&mut self, on: &mut dyn FnMut(Received)) {
        let Some(now) = self.made_now.take() else { return };
        if let Some(before) = self.made.replace(now) {
            let count = missed(now.saturating_sub(before), &mut self.seen);
            if count > 0 {
                on(Received::Gap(Gap { count, exact: false, reason: "processes or threads between two looks" }));
            }
        }
    }
}

/// How many of those that were made are not among those seen. Who was seen, and was made after these were counted, is
/// left for the next time.
fn missed(made: u64, seen: &mut u64) -> u64 {
    let found = made.min(*seen);
    *seen -= found;
    made - found
}

/// Whether a process may run another program than it did.
fn has_changed(watched: &Watched, stat: &Stat) -> bool {
    match (watched.stack, stat.stack) {
        (0, _) | (_, 0) => watched.comm != stat.comm,
        (before, now) => before != now,
    }
}

impl Sensor for ProcSensor {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn receive(&mut self, wait: Duration, on: &mut dyn FnMut(Received)) -> Result<(), SensorError> {
        let begin = Instant::now();
        let pause = self.next_look.saturating_duration_since(begin);
        // Without waiting, it is the last look: what is there now is taken.
        if !pause.is_zero() && !wait.is_zero() {
            std::thread::sleep(pause.min(wait));
            if pause > wait {
                return Ok(());
            }
        }
        let begin = Instant::now();
        if begin.duration_since(self.names_looked) >= NAMES_EVERY {
            self.names_looked = begin;
            self.writer.users.refresh();
            self.writer.groups.refresh();
        }
        let looked = self.look(on);
        let end = Instant::now();
        self.next_look = end + LOOK_EVERY.max(end.duration_since(begin).saturating_mul(PAUSE_FACTOR));
        looked.map_err(|error| SensorError { profile: PROFILE, reason: error.to_string() })
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use serde_json::Value;

    use super::*;
    use crate::source::live::testing::{PATIENCE, events};

    fn of(events: &[Value], action: &str, pid: u32) -> Vec<Value> {
        let is = |event: &&Value| event["event"]["action"] == action && event["process"]["pid"] == pid;
        events.iter().filter(is).cloned().collect()
    }

    #[test]
    fn a_program_is_seen_from_start_to_end() {
        let mut sensor = ProcSensor::open(None).unwrap();
        let mut child = Command::new("sleep").arg("60").current_dir("/").spawn().unwrap();
        let pid = child.id();
        let found = events(&mut sensor, |events| !of(events, "exec", pid).is_empty());
        let exec = of(&found, "exec", pid).pop().unwrap();
        let process = &exec["process"];
        assert_eq!(process["args"], serde_json::json!(["sleep", "60"]), "{exec:#}");
        assert_eq!(process["working_directory"], "/");
        assert_eq!(process["parent"]["pid"], std::process::id());
        assert_eq!((&exec["trapline"]["lost"], &exec["trapline"]["profile"]), (&Value::Null, &Value::from(PROFILE)));
        child.kill().unwrap();
        child.wait().unwrap();
        let found = events(&mut sensor, |events| !of(events, "exit", pid).is_empty());
        let exit = of(&found, "exit", pid).pop().unwrap();
        assert_eq!(exit["process"]["entity_id"], process["entity_id"]);
        assert_eq!((&exit["process"]["exit_code"], &exit["trapline"]["lost"]), (&Value::Null, &Value::Null));
    }

    #[test]
    fn another_program_in_the_same_process_is_seen() {
        let mut sensor = ProcSensor::open(None).unwrap();
        // The first program waits to be seen.
        let mut command = Command::new("sh");
        command.args(["-c", "read line; exec sleep 60"]).stdin(std::process::Stdio::piped());
        let mut child = command.spawn().unwrap();
        let pid = child.id();
        let first = events(&mut sensor, |events| !of(events, "exec", pid).is_empty());
        drop(child.stdin.take());
        let second = events(&mut sensor, |events| !of(events, "exec", pid).is_empty());
        child.kill().unwrap();
        child.wait().unwrap();
        let (first, second) = (of(&first, "exec", pid).pop().unwrap(), of(&second, "exec", pid).pop().unwrap());
        assert_eq!(first["process"]["args"][0], "sh");
        assert_eq!(second["process"]["args"], serde_json::json!(["sleep", "60"]));
        assert_eq!(first["process"]["entity_id"], second["process"]["entity_id"]);
        assert_eq!(second["process"]["parent"]["pid"], std::process::id());
    }

    #[test]
    fn what_was_missed_is_told_as_the_most_it_can_be() {
        let mut sensor = ProcSensor::open(None).unwrap();
        for _ in 0..20 {
            Command::new("true").status().unwrap();
        }
        let until = Instant::now() + PATIENCE;
        let mut gap = None;
        while gap.is_none() && Instant::now() < until {
            let received = sensor.receive(Duration::from_millis(50), &mut |received| {
                if let Received::Gap(found) = received {
                    gap = Some(found);
                }
            });
            received.unwrap();
        }
        let gap = gap.expect("twenty processes came and went");
        assert!(gap.count >= 20 && !gap.exact, "{gap:?}");
    }

    #[test]
    fn who_was_made_and_seen_is_not_missed_whichever_comes_first() {
        let mut seen = 0;
        assert_eq!(missed(3, &mut seen), 3);
        seen = 2;
        assert_eq!((missed(3, &mut seen), seen), (1, 0));
        // Seen, and made after the count: it is in the next.
        seen = 5;
        assert_eq!((missed(4, &mut seen), seen), (0, 1));
        assert_eq!((missed(1, &mut seen), seen), (0, 0));
    }

    #[test]
    fn a_process_that_nobody_waits_for_is_looked_at_once() {
        let mut sensor = ProcSensor::open(None).unwrap();
        let mut child = Command::new("true").spawn().unwrap();
        let pid = child.id();
        let until = Instant::now() + PATIENCE;
        while !sensor.ended.contains(&pid) {
            assert!(Instant::now() < until, "it has ended");
            sensor.receive(Duration::from_millis(50), &mut |_| {}).unwrap();
            if sensor.watched.contains_key(&pid) {
                eprintln!("skipped: it was seen before it ended");
                break;
            }
        }
        child.wait().unwrap();
        while sensor.ended.contains(&pid) {
            assert!(Instant::now() < until, "it is gone");
            sensor.receive(Duration::from_millis(50), &mut |_| {}).unwrap();
        }
    }

    #[test]
    fn it_says_what_it_cannot_see() {
        let facts = ProcSensor::open(Some("the kernel refuses".to_owned())).unwrap().facts;
        let blind = facts.blind.join("\n");
        assert!(blind.contains("50 ms") && blind.contains("Exit codes") && blind.contains("the kernel refuses"));
    }
}
