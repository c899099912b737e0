//! The processes of the host: who runs what, and who started whom.
//!
//! Built from what `/proc` shows at the start, then kept by events. A process that was made by another has its
//! program, arguments, user and terminal until an event says otherwise, so that nothing need be read for it. The
//! parent is the process that made it, or in whose place it was made (`CLONE_PARENT`: the kernel tells no difference),
//! also when that one has ended since: ended processes stay as long as one of those they started does, within
//! [`ENDED_MAX`], and ancestors keep their names.
//!
//! A number is used again; a [`Key`] is not. What is known of one process is never told of another that was given its
//! number: a process that is made ends whatever had the number before.
//!
//! The table only keeps: it reads no files and tells of no events. Everything in it has a limit. Processes beyond
//! [`LIVE_MAX`] are not kept; the first ones stay, which are the ancestors of most.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use super::stat::Owner;
use super::value::{Image, Kept, Known, Store};

/// Living processes that are kept.
pub(super) const LIVE_MAX: usize = 65_536;
/// Ended processes that are kept, because processes they started live on.
pub(super) const ENDED_MAX: usize = 16_384;
/// Ancestors of a process that are told.
pub(super) const ANCESTORS_MAX: usize = 16;
/// Bytes of all paths and command lines together.
pub(super) const IMAGE_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Two starts that differ by no more than this many ticks can be of one process: an event is stamped a little later
/// than the process itself.
const SAME_START_TICKS: u64 = 2;

/// One run of one process. Never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Key(u64);

/// When a process started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Start {
    /// Nanoseconds since 1970.
    pub(super) time_ns: i64,
    /// Ticks since the host started, as `/proc` counts them.
    pub(super) ticks: u64,
    /// Whether that is known. If not, the above is the first that was heard of it.
    pub(super) known: bool,
}

/// What is kept of a process.
#[derive(Clone, Debug)]
pub(super) struct Process {
    pub(super) pid: u32,
    pub(super) start: Start,
    /// Told of this run of this process and no other one.
    pub(super) entity: u128,
    /// Who made it; lost if that is not known, none for the first of all.
    pub(super) parent: Known<Key>,
    /// The number of the one who made it.
    pub(super) parent_pid: Known<u32>,
    pub(super) image: Arc<Kept>,
    pub(super) owner: Known<Owner>,
    pub(super) session: Known<u32>,
    /// Number of the terminal.
    pub(super) tty: Known<u32>,
    /// Its threads besides the first.
    threads: u32,
    /// Its first thread has ended, and others have not.
    headless: bool,
    /// The status that it ends with, as far as the threads say that have ended since its first one did.
    status: Option<u32>,
    /// Processes in the table that it made.
    children: u32,
    /// Where it stands among the ended.
    ended: Option<u64>,
}

/// A process as something else than an event shows it.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) pid: u32,
    pub(super) start: Start,
    pub(super) parent_pid: Known<u32>,
    pub(super) image: Image,
    pub(super) owner: Known<Owner>,
    pub(super) session: Known<u32>,
    pub(super) tty: Known<u32>,
    pub(super) threads: u32,
}

/// What an exec changes.
#[derive(Clone, Debug)]
pub(super) struct Executed {
    pub(super) image: Image,
    /// Session and terminal, if they could be looked at.
    pub(super) terminal: Option<(u32, Known<u32>)>,
}

/// What the end of a thread means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// Its process has ended, with this status if that is known. It stays until it is [released](Table::release).
    Process(Key, Option<u32>),
    /// Others of its threads run on; a thread was all that ended.
    Thread,
    /// The process is not in the table.
    Unknown,
}

/// The processes of the host.
#[derive(Debug)]
pub(super) struct Table {
    processes: HashMap<Key, Process>,
    live: HashMap<u32, Key>,
    /// The ended ones by when that was.
    ended: BTreeMap<u64, Key>,
    next: u64,
    images: Store,
    /// Begins the text whose digest is an entity: different for each start of the host.
    boot: Vec<u8>,
    live_max: usize,
    ended_max: usize,
    /// How often a process could not be kept.
    refused: u64,
}

impl Table {
    /// An empty one; `boot` is different for each start of the host.
    pub(super) fn new(boot: &[u8]) -> Self {
        Self::with_limits(boot, LIVE_MAX, ENDED_MAX, IMAGE_BYTES_MAX)
    }

    fn with_limits(boot: &[u8], live_max: usize, ended_max: usize, image_bytes_max: usize) -> Self {
        Self {
            processes: HashMap::new(),
            live: HashMap::new(),
            ended: BTreeMap::new(),
            next: 0,
            images: Store::new(image_bytes_max),
            boot: boot.to_owned(),
            live_max,
            ended_max,
            refused: 0,
        }
    }

    /// The process that has this number now.
    pub(super) fn live(&self, pid: u32) -> Option<Key> {
        self.live.get(&pid).copied()
    }

    pub(super) fn get(&self, key: Key) -> Option<&Process> {
        self.processes.get(&key)
    }

    /// The numbers of all that live.
    pub(super) fn pids(&self) -> Vec<u32> {
        self.live.keys().copied().collect()
    }

    /// Whether the one that made a process lives and is in the table: its number is its own then, and not perhaps
    /// that of a later process.
    pub(super) fn parent_lives(&self, key: Key) -> bool {
        let parent = self.get(key).and_then(|process| self.get(*process.parent.is()?));
        parent.is_some_and(|parent| parent.ended.is_none())
    }

    /// How many live.
    #[cfg(test)]
    pub(super) fn live_count(&self) -> usize {
        self.live.len()
    }

    /// The parent, its parent and so on, [`ANCESTORS_MAX`] of them, and whether these are all.
    pub(super) fn ancestors(&self, key: Key) -> (Vec<&Process>, bool) {
        let mut found = Vec::new();
        let mut next = self.get(key).map_or(Known::Lost, |process| process.parent);
        loop {
            match next {
                Known::None => return (found, true),
                Known::Is(_) if found.len() == ANCESTORS_MAX => return (found, false),
                Known::Lost => return (found, false),
                Known::Is(key) => match self.get(key) {
                    // It ended long ago, and had to make room.
                    None => return (found, false),
                    Some(process) => {
                        found.push(process);
                        next = process.parent;
                    }
                },
            }
        }
    }

    /// A process was made. Whether the table has it now; not if the table is full.
    pub(super) fn fork(&mut self, parent_pid: u32, pid: u32, start: Start) -> Option<Key> {
        if let Some(key) = self.live(pid) {
            if self.get(key).is_some_and(|process| same_start(process.start.ticks, start.ticks)) {
                // Seen in `/proc` before its event came. The event knows better who made it, and when.
                if let Some(process) = self.processes.get_mut(&key) {
                    process.parent_pid = Known::Is(parent_pid);
                }
                if let Some(parent) = self.live(parent_pid) {
                    self.set_parent(key, parent);
                }
                return Some(key);
            }
            self.end(key);
            self.release(key);
        }
        let parent = self.live(parent_pid).and_then(|key| Some((key, self.get(key)?.clone())));
        let entity = self.entity(pid, start);
        let process = match parent {
            Some((key, parent)) => Process {
                pid,
                start,
                entity,
                image: self.inherited(&parent.image),
                parent: Known::Is(key),
                parent_pid: Known::Is(parent_pid),
                threads: 0,
                headless: false,
                status: None,
                children: 0,
                ended: None,
                ..parent
            },
            None => Process {
                pid,
                start,
                entity,
                parent: Known::Lost,
                parent_pid: Known::Is(parent_pid),
                image: self.images.keep(&Image::default()),
                owner: Known::Lost,
                session: Known::Lost,
                tty: Known::Lost,
                threads: 0,
                headless: false,
                status: None,
                children: 0,
                ended: None,
            },
        };
        self.insert(process)
    }

    /// What a process runs that one with this image made. Threads of the kernel are all made by the same one, and have
    /// names of their own that no event tells.
    fn inherited(&self, image: &Arc<Kept>) -> Arc<Kept> {
        match image.executable {
            Known::None => self.images.keep(&Image { name: Known::Lost, executable: Known::None, line: Known::None }),
            Known::Is(_) | Known::Lost => Arc::clone(image),
        }
    }

    /// A process is there, as `/proc` shows it. One that the table has is repaired: with another start it is another
    /// process, otherwise the same with perhaps another program. The parent is looked up by its number, which has to
    /// be in the table already.
    pub(super) fn see(&mut self, seen: Seen) -> Option<Key> {
        let image = self.images.keep(&seen.image);
        if let Some(key) = self.live(seen.pid) {
            if let Some(process) =
                self.processes.get_mut(&key).filter(|process| same_start(process.start.ticks, seen.start.ticks))
            {
                process.image = image;
                process.owner = seen.owner;
                process.session = seen.session;
                process.tty = seen.tty;
                process.threads = seen.threads.saturating_sub(1);
                return Some(key);
            }
            self.end(key);
            self.release(key);
        }
        let entity = self.entity(seen.pid, seen.start);
        self.insert(Process {
            pid: seen.pid,
            start: seen.start,
            entity,
            parent: self.parent_by_pid(seen.parent_pid),
            parent_pid: seen.parent_pid,
            image,
            owner: seen.owner,
            session: seen.session,
            tty: seen.tty,
            threads: seen.threads.saturating_sub(1),
            headless: false,
            status: None,
            children: 0,
            ended: None,
        })
    }

    /// Looks the parent up again, for processes that were seen before their parents.
    pub(super) fn link_parent(&mut self, key: Key) {
        let Some(process) = self.get(key).filter(|process| process.parent.is_lost()) else { return };
        if let Known::Is(parent) = self.parent_by_pid(process.parent_pid) {
            self.set_parent(key, parent);
        }
    }

    /// A process runs another program.
    pub(super) fn exec(&mut self, key: Key, executed: &Executed) {
        let image = self.images.keep(&executed.image);
        let Some(process) = self.processes.get_mut(&key) else { return };
        process.image = image;
        // All other threads are gone, and the one that is left is the first now.
        process.threads = 0;
        (process.headless, process.status) = (false, None);
        if let Known::Is(owner) = &mut process.owner {
            owner.saved_uid = Known::Is(owner.effective_uid);
        }
        match executed.terminal {
            Some((session, tty)) => {
                process.session = Known::Is(session);
                process.tty = tty;
            }
            // One that had none may have got one since, and nothing tells of that.
            None if process.tty.is().is_none() => process.tty = Known::Lost,
            None => {}
        }
    }

    /// Who a process acts for, as `/proc` shows it. It need not be the user of the one that it counts as made by: a
    /// process can make another in the place of its own parent (`CLONE_PARENT`).
    pub(super) fn own(&mut self, key: Key, owner: Owner) {
        if let Some(process) = self.processes.get_mut(&key) {
            process.owner = Known::Is(owner);
        }
    }

    /// A process acts for another user.
    pub(super) fn uid(&mut self, pid: u32, real: u32, effective: u32) {
        if let Some(Known::Is(owner)) = self.live_mut(pid).map(|process| &mut process.owner) {
            (owner.uid, owner.effective_uid, owner.saved_uid) = (real, effective, Known::Lost);
        }
    }

    /// A process acts for another group.
    pub(super) fn gid(&mut self, pid: u32, real: u32, effective: u32) {
        if let Some(Known::Is(owner)) = self.live_mut(pid).map(|process| &mut process.owner) {
            (owner.gid, owner.effective_gid) = (real, effective);
        }
    }

    /// A process began a session of its own, which has no terminal at first.
    pub(super) fn session(&mut self, pid: u32) {
        if let Some(process) = self.live_mut(pid) {
            process.session = Known::Is(pid);
            process.tty = Known::None;
        }
    }

    /// A process has one thread more.
    pub(super) fn thread(&mut self, pid: u32) {
        if let Some(process) = self.live_mut(pid) {
            process.threads = process.threads.saturating_add(1);
        }
    }

    /// A thread that is not the first of its process ended.
    pub(super) fn thread_exit(&mut self, pid: u32, status: u32) -> Ended {
        let Some(key) = self.live(pid) else { return Ended::Unknown };
        let Some(process) = self.processes.get_mut(&key) else { return Ended::Unknown };
        process.threads = process.threads.saturating_sub(1);
        if !process.headless {
            return Ended::Thread;
        }
        process.status = process.status.and_then(|first| status_of_both(first, status));
        if process.threads > 0 {
            return Ended::Thread;
        }
        let status = process.status;
        self.end(key);
        Ended::Process(key, status)
    }

    /// The first thread of a process ended, and with it the process if it was the last.
    pub(super) fn exit(&mut self, pid: u32, status: u32) -> Ended {
        let Some(key) = self.live(pid) else { return Ended::Unknown };
        let Some(process) = self.processes.get_mut(&key) else { return Ended::Unknown };
        (process.headless, process.status) = (true, Some(status));
        if process.threads > 0 {
            return Ended::Thread;
        }
        self.end(key);
        Ended::Process(key, Some(status))
    }

    /// A process is not there any more, however many threads the table thought it had. What is known of its status.
    pub(super) fn gone(&mut self, pid: u32) -> Option<(Key, Option<u32>)> {
        let key = self.live(pid)?;
        let status = self.get(key)?.status;
        self.end(key);
        Some((key, status))
    }

    /// A process lives: if its first thread ended, that was no end of all, and its status is for the others to say.
    /// Whether that is so.
    pub(super) fn outlives_first_thread(&mut self, pid: u32) -> bool {
        let Some(process) = self.live_mut(pid).filter(|process| process.headless) else { return false };
        process.status = Some(0);
        true
    }

    /// Nothing more is told of a process that has ended: it goes when nobody it started is left.
    pub(super) fn release(&mut self, key: Key) {
        let mut next = Some(key);
        while let Some(key) = next.take() {
            if self.get(key).is_some_and(|process| process.ended.is_some() && process.children == 0) {
                next = self.remove(key);
            }
        }
    }

    fn live_mut(&mut self, pid: u32) -> Option<&mut Process> {
        self.live(pid).and_then(|key| self.processes.get_mut(&key))
    }

    fn parent_by_pid(&self, pid: Known<u32>) -> Known<Key> {
        match pid {
            // The first processes of all have no parent that can be looked at.
            Known::Is(0) | Known::None => Known::None,
            Known::Is(pid) => self.live(pid).map_or(Known::Lost, Known::Is),
            Known::Lost => Known::Lost,
        }
    }

    /// Gives a process another parent, unless it is one of that one's own ancestors.
    fn set_parent(&mut self, key: Key, parent: Key) {
        if self.get(key).is_none_or(|process| process.parent == Known::Is(parent)) {
            return;
        }
        let mut above = Some(parent);
        // The chains of parents have ends, and this keeps it so.
        while let Some(next) = above {
            if next == key {
                return;
            }
            above = self.get(next).and_then(|process| process.parent.is().copied());
        }
        let Some(process) = self.processes.get_mut(&key) else { return };
        let before = std::mem::replace(&mut process.parent, Known::Is(parent));
        if let Some(parent) = self.processes.get_mut(&parent) {
            parent.children = parent.children.saturating_add(1);
        }
        if let Known::Is(before) = before {
            self.orphan(before);
            self.release(before);
        }
    }

    /// One child less.
    fn orphan(&mut self, parent: Key) {
        if let Some(parent) = self.processes.get_mut(&parent) {
            parent.children = parent.children.saturating_sub(1);
        }
    }

    fn insert(&mut self, process: Process) -> Option<Key> {
        if self.live.len() >= self.live_max {
            self.refused = self.refused.saturating_add(1);
            return None;
        }
        let key = Key(self.next);
        self.next = self.next.saturating_add(1);
        if let Known::Is(parent) = process.parent
            && let Some(parent) = self.processes.get_mut(&parent)
        {
            parent.children = parent.children.saturating_add(1);
        }
        self.live.insert(process.pid, key);
        self.processes.insert(key, process);
        Some(key)
    }

    /// Moves a living process among the ended ones. The oldest of these goes if there are too many.
    fn end(&mut self, key: Key) {
        let Some(process) = self.processes.get_mut(&key).filter(|process| process.ended.is_none()) else { return };
        let at = self.next;
        self.next = self.next.saturating_add(1);
        process.ended = Some(at);
        self.live.remove(&process.pid);
        self.ended.insert(at, key);
        while self.ended.len() > self.ended_max {
            let Some((_, oldest)) = self.ended.first_key_value() else { return };
            let parent = self.remove(*oldest);
            if let Some(parent) = parent {
                self.release(parent);
            }
        }
    }

    /// Forgets an ended process and gives back its parent.
    fn remove(&mut self, key: Key) -> Option<Key> {
        let process = self.processes.remove(&key)?;
        if let Some(at) = process.ended {
            self.ended.remove(&at);
        }
        let Known::Is(parent) = process.parent else { return None };
        self.orphan(parent);
        Some(parent)
    }

    fn entity(&self, pid: u32, start: Start) -> u128 {
        let mut digest = Sha256::new();
        digest.update(&self.boot);
        digest.update(pid.to_le_bytes());
        digest.update(start.ticks.to_le_bytes());
        let digest: [u8; 32] = digest.finalize().into();
        u128::from_be_bytes(std::array::from_fn(|at| digest[at]))
    }
}

/// The status of a process of which two threads ended last. An end of all of them gives both the same status. Threads
/// that end by themselves say 0, in all C libraries: what is not 0 is of the process.
fn status_of_both(first: u32, last: u32) -> Option<u32> {
    match (first, last) {
        (0, status) | (status, 0) => Some(status),
        _ => (first == last).then_some(first),
    }
}

/// Whether these can be of one process.
pub(super) fn same_start(a: u64, b: u64) -> bool {
    a.abs_diff(b) <= SAME_START_TICKS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::live::value::CommandLine;

    fn start(ticks: u64) -> Start {
        Start { time_ns: i64::try_from(ticks).unwrap() * 10_000_000, ticks, known: true }
    }

    fn image(path: &str) -> Image {
        let line = CommandLine::from_raw(format!("{path}\0-x\0").as_bytes()).unwrap();
        Image::new(Known::Is(path.into()), Known::Is(line))
    }

    fn seen(pid: u32, parent: u32, path: &str) -> Seen {
        Seen {
            pid,
            start: start(u64::from(pid) * 100),
            parent_pid: Known::Is(parent),
            image: image(path),
            owner: Known::Is(Owner {
                uid: 1000,
                effective_uid: 1000,
                saved_uid: Known::Is(1000),
                gid: 100,
                effective_gid: 100,
            }),
            session: Known::Is(pid),
            tty: Known::Is(34816),
            threads: 1,
        }
    }

    fn executed(path: &str) -> Executed {
        Executed { image: image(path), terminal: None }
    }

    /// init, and sshd and bash below it.
    fn table() -> Table {
        let mut table = Table::with_limits(b"boot", 8, 4, 1 << 20);
        table.see(seen(1, 0, "/sbin/init")).unwrap();
        table.see(seen(20, 1, "/usr/sbin/sshd")).unwrap();
        table.see(seen(30, 20, "/bin/bash")).unwrap();
        table
    }

    fn name(table: &Table, key: Key) -> String {
        table.get(key).unwrap().image.name.is().map_or("?".to_owned(), ToString::to_string)
    }

    fn names(table: &Table, key: Key) -> (Vec<String>, bool) {
        let (found, all) = table.ancestors(key);
        let name = |process: &&Process| process.image.name.is().map_or("?".to_owned(), ToString::to_string);
        (found.iter().map(name).collect(), all)
    }

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn a_child_is_its_parent_until_it_runs_something() {
        let mut table = table();
        let child = table.fork(30, 31, start(5000)).unwrap();
        let process = table.get(child).unwrap();
        assert_eq!((process.pid, process.parent_pid, process.tty), (31, Known::Is(30), Known::Is(34816)));
        assert_eq!(process.owner.is().unwrap().uid, 1000);
        assert_eq!(name(&table, child), "bash");
        assert_eq!(names(&table, child), (words(&["bash", "sshd", "init"]), true));
        table.exec(child, &executed("/usr/bin/id"));
        assert_eq!(name(&table, child), "id");
        assert_eq!(name(&table, table.live(30).unwrap()), "bash");
        // Of a chain of programs in one process, the parent stays.
        table.exec(child, &executed("/usr/bin/env"));
        assert_eq!(names(&table, child).0, words(&["bash", "sshd", "init"]));
    }

    #[test]
    fn ended_ancestors_keep_their_names() {
        let mut table = table();
        let child = table.fork(30, 31, start(5000)).unwrap();
        table.exec(child, &executed("/bin/launcher"));
        let grandchild = table.fork(31, 32, start(5001)).unwrap();
        table.exec(grandchild, &executed("/bin/daemon"));
        let Ended::Process(key, Some(0x100)) = table.exit(31, 0x100) else { panic!("it has one thread") };
        table.release(key);
        assert_eq!(table.live(31), None);
        assert_eq!(names(&table, grandchild).0, words(&["launcher", "bash", "sshd", "init"]));
        // The last that was started goes, and the ended one with it.
        let Ended::Process(key, Some(0)) = table.exit(32, 0) else { panic!("it has one thread") };
        table.release(key);
        assert_eq!((table.processes.len(), table.ended.len()), (3, 0));
        assert_eq!(table.get(table.live(30).unwrap()).unwrap().children, 0);
    }

    #[test]
    fn a_number_that_is_used_again_is_another_process() {
        let mut table = table();
        let first = table.fork(30, 31, start(5000)).unwrap();
        table.exec(first, &executed("/bin/first"));
        let entity = table.get(first).unwrap().entity;
        table.uid(31, 0, 0);
        // Its end was never told.
        let second = table.fork(20, 31, start(9000)).unwrap();
        assert_ne!(first, second);
        let process = table.get(second).unwrap();
        assert_ne!(process.entity, entity);
        assert_eq!((name(&table, second).as_str(), process.owner.is().unwrap().uid), ("sshd", 1000));
        assert_eq!(table.live(31), Some(second));
        assert!(table.get(first).is_none());
        // The same by what /proc shows.
        let mut other = seen(31, 30, "/bin/third");
        other.start = start(9000 + SAME_START_TICKS + 1);
        let third = table.see(other).unwrap();
        assert_ne!(third, second);
        assert_eq!(names(&table, third).0, words(&["bash", "sshd", "init"]));
    }

    #[test]
    fn a_process_that_was_seen_before_its_event_stays_the_same() {
        let mut table = table();
        let key = table.see(seen(31, 1, "/bin/x")).unwrap();
        let entity = table.get(key).unwrap().entity;
        for ticks in [3100, 3100 - SAME_START_TICKS, 3100 + SAME_START_TICKS] {
            assert_eq!(table.fork(30, 31, start(ticks)), Some(key), "{ticks}");
        }
        assert_eq!(table.get(key).unwrap().entity, entity);
        assert_eq!(name(&table, key), "x", "what it runs was seen later than it was made");
        assert_eq!(names(&table, key).0, words(&["bash", "sshd", "init"]));
        assert_eq!(table.get(table.live(1).unwrap()).unwrap().children, 1);
        assert_ne!(table.fork(30, 31, start(3100 + SAME_START_TICKS + 1)), Some(key));
    }

    #[test]
    fn a_child_of_somebody_unknown_is_known_to_be_unknown() {
        let mut table = table();
        let child = table.fork(777, 778, start(5000)).unwrap();
        let process = table.get(child).unwrap();
        assert!(process.owner.is_lost() && process.image.executable.is_lost() && process.tty.is_lost());
        assert_eq!(process.parent_pid, Known::Is(777));
        assert_eq!(names(&table, child), (vec![], false));
        // What is seen later repairs it.
        let mut parent = seen(777, 30, "/bin/late");
        parent.start = start(4000);
        table.see(parent).unwrap();
        table.link_parent(child);
        assert_eq!(names(&table, child), (words(&["late", "bash", "sshd", "init"]), true));
        let mut again = seen(778, 777, "/bin/x");
        again.start = start(5001);
        assert_eq!(table.see(again), Some(child));
        assert_eq!(name(&table, child), "x");
    }

    #[test]
    fn users_groups_and_sessions_follow_the_events() {
        let mut table = table();
        let child = table.fork(30, 31, start(5000)).unwrap();
        table.uid(31, 1000, 0);
        table.gid(31, 100, 5);
        let owner = *table.get(child).unwrap().owner.is().unwrap();
        let saved_uid = Known::Lost;
        assert_eq!(owner, Owner { uid: 1000, effective_uid: 0, saved_uid, gid: 100, effective_gid: 5 }, "not told");
        table.exec(child, &executed("/bin/su"));
        assert_eq!(
            table.get(child).unwrap().owner.is().unwrap().saved_uid,
            Known::Is(0),
            "a program starts with its effective user"
        );
        assert_eq!(table.get(child).unwrap().tty, Known::Is(34816));
        table.session(31);
        let process = table.get(child).unwrap();
        assert_eq!((process.session, process.tty), (Known::Is(31), Known::None));
        table.exec(child, &executed("/bin/login"));
        assert_eq!(table.get(child).unwrap().tty, Known::Lost, "it may have got one");
        table.exec(child, &Executed { image: image("/bin/x"), terminal: Some((31, Known::Is(5))) });
        assert_eq!(table.get(child).unwrap().tty, Known::Is(5));
        // Nobody in particular.
        table.uid(99, 0, 0);
        table.gid(99, 0, 0);
        table.session(99);
        assert_eq!(table.exit(99, 0), Ended::Unknown);
        assert_eq!(table.thread_exit(99, 0), Ended::Unknown);
        // Made in the place of somebody else: what /proc shows counts.
        let owner = Owner { uid: 7, effective_uid: 7, saved_uid: Known::Is(7), gid: 7, effective_gid: 7 };
        table.own(child, owner);
        assert_eq!(table.get(child).unwrap().owner, Known::Is(owner));
    }

    #[test]
    fn threads_of_the_kernel_do_not_have_the_name_of_the_one_that_makes_them() {
        let mut table = table();
        let mut first = seen(2, 0, "");
        first.image = Image { name: Known::Is("[kthreadd]".into()), executable: Known::None, line: Known::None };
        table.see(first).unwrap();
        let child = table.fork(2, 31, start(5000)).unwrap();
        let image = &table.get(child).unwrap().image;
        assert!(image.name.is_lost() && image.executable == Known::None && image.line == Known::None);
        assert_eq!(names(&table, child).0, words(&["[kthreadd]"]));
    }

    #[test]
    fn a_parent_lives_while_its_number_is_its_own() {
        let mut table = table();
        let parent = table.fork(30, 31, start(5000)).unwrap();
        let child = table.fork(31, 32, start(5001)).unwrap();
        assert!(table.parent_lives(child));
        table.exit(31, 0);
        table.release(parent);
        assert!(!table.parent_lives(child));
        table.fork(30, 31, start(6000)).unwrap();
        assert!(!table.parent_lives(child), "its number is another's now");
        let orphan = table.fork(777, 33, start(6001)).unwrap();
        assert!(!table.parent_lives(orphan), "who knows");
    }

    #[test]
    fn a_process_ends_with_its_last_thread() {
        let mut table = table();
        let child = table.fork(30, 31, start(5000)).unwrap();
        table.thread(31);
        table.thread(31);
        assert_eq!(table.thread_exit(31, 0), Ended::Thread);
        assert_eq!(table.exit(31, 9), Ended::Thread, "another runs on");
        assert_eq!(table.thread_exit(31, 9), Ended::Process(child, Some(9)), "with the status of both");
        table.release(child);
        // The thread that runs another program takes the place of the first, which ends before.
        let child = table.fork(30, 32, start(5001)).unwrap();
        table.thread(32);
        assert_eq!(table.exit(32, 0), Ended::Thread);
        table.exec(child, &executed("/bin/x"));
        assert_eq!(table.exit(32, 7), Ended::Process(child, Some(7)));
        // What is not there any more has ended, whatever was counted.
        let child = table.fork(30, 33, start(5002)).unwrap();
        table.thread(33);
        table.exit(33, 3);
        assert_eq!(table.gone(33), Some((child, Some(3))));
        assert_eq!(table.gone(33), None);
    }

    #[test]
    fn the_status_is_that_of_the_process_and_not_of_a_thread_that_left_early() {
        let mut table = table();
        for (pid, first, then, expected) in [
            (41, 0, [0, 11], Some(11)),
            (42, 0, [0, 0], Some(0)),
            (43, 0x500, [0, 0x500], Some(0x500)),
            (44, 0x500, [0, 0], Some(0x500)),
            (45, 0x500, [0, 9], None),
        ] {
            let child = table.fork(30, pid, start(u64::from(pid))).unwrap();
            table.thread(pid);
            table.thread(pid);
            assert_eq!(table.exit(pid, first), Ended::Thread);
            assert_eq!(table.thread_exit(pid, then[0]), Ended::Thread);
            assert_eq!(table.thread_exit(pid, then[1]), Ended::Process(child, expected), "{pid}");
            table.release(child);
        }
        let child = table.fork(30, 46, start(46)).unwrap();
        table.thread(46);
        assert!(!table.outlives_first_thread(46), "its first thread lives");
        table.exit(46, 0x500);
        assert!(table.outlives_first_thread(46));
        assert_eq!(table.thread_exit(46, 9), Ended::Process(child, Some(9)), "the first has no say");
    }

    #[test]
    fn living_processes_beyond_the_limit_are_not_kept() {
        let mut table = table();
        for pid in 4..=8 {
            assert!(table.fork(30, 100 + pid, start(5000)).is_some(), "{pid}");
        }
        assert_eq!(table.live_count(), 8);
        assert_eq!(table.fork(30, 109, start(5000)), None);
        assert_eq!(table.see(seen(110, 30, "/bin/x")), None);
        assert_eq!(table.refused, 2);
        let Ended::Process(key, _) = table.exit(104, 0) else { panic!("it is kept") };
        table.release(key);
        assert!(table.fork(30, 109, start(5000)).is_some(), "there is room again");
    }

    #[test]
    fn ended_processes_beyond_the_limit_make_room() {
        let mut table = table();
        // Each starts the next and ends: a chain of ended ones that are all ancestors of the last.
        let mut last = 30;
        for (count, pid) in (1usize..).zip(200..206) {
            let key = table.fork(last, pid, start(5000)).unwrap();
            if last != 30 {
                let Ended::Process(ended, _) = table.exit(last, 0) else { panic!("it is kept") };
                table.release(ended);
            }
            let ended = count - 1;
            assert_eq!(table.ended.len(), ended.min(4), "{count}");
            let (ancestors, all) = table.ancestors(key);
            assert_eq!((ancestors.len(), all), if ended <= 4 { (ended + 3, true) } else { (4, false) }, "{count}");
            last = pid;
        }
        assert_eq!(table.processes.len(), 3 + 1 + 4);
    }

    #[test]
    fn ancestors_are_told_to_a_depth() {
        for (above, all) in [(ANCESTORS_MAX - 1, true), (ANCESTORS_MAX, true), (ANCESTORS_MAX + 1, false)] {
            let mut table = Table::with_limits(b"boot", 100, 4, 1 << 20);
            let mut key = table.see(seen(1, 0, "/sbin/init")).unwrap();
            for pid in (1u32..).take(above) {
                key = table.fork(pid, pid + 1, start(5000)).unwrap();
            }
            let (ancestors, whole) = table.ancestors(key);
            assert_eq!((ancestors.len(), whole), (above.min(ANCESTORS_MAX), all), "{above}");
        }
    }

    #[test]
    fn entities_differ_by_host_start_number_and_time() {
        let other_boot = Table::new(b"other");
        let table = Table::new(b"boot");
        let entities = [
            table.entity(1, start(5)),
            table.entity(2, start(5)),
            table.entity(1, start(6)),
            other_boot.entity(1, start(5)),
        ];
        let distinct: std::collections::BTreeSet<u128> = entities.into_iter().collect();
        assert_eq!(distinct.len(), 4);
        assert_eq!(table.entity(1, start(5)), entities[0]);
    }

    proptest::proptest! {
        /// Whatever order events come in, limits hold, counts fit, and no chain of parents goes in a ring.
        #[test]
        fn any_order_of_events(events in proptest::collection::vec((0u8..9, 1u32..12, 1u32..12, 0u64..40), 0..200)) {
            let mut table = table();
            for (kind, a, b, ticks) in events {
                match kind {
                    0..=2 => drop(table.fork(a, b, start(ticks * 4))),
                    3 => drop(table.see(seen(a, b, "/bin/x"))),
                    4 => table.live(a).into_iter().for_each(|key| table.exec(key, &executed("/bin/y"))),
                    5 => table.thread(a),
                    6 => table.live(a).into_iter().for_each(|key| table.link_parent(key)),
                    7 => if let Ended::Process(key, _) = table.thread_exit(a, b) { table.release(key) },
                    _ => if let Ended::Process(key, _) = table.exit(a, b) { table.release(key) },
                }
                proptest::prop_assert!(table.live.len() <= 8 && table.ended.len() <= 4);
                proptest::prop_assert_eq!(table.processes.len(), table.live.len() + table.ended.len());
                for (key, process) in &table.processes {
                    let children = table.processes.values().filter(|child| child.parent == Known::Is(*key)).count();
                    proptest::prop_assert_eq!(process.children as usize, children);
                    proptest::prop_assert!(process.ended.is_none() || children > 0);
                    let mut next = process.parent;
                    let mut steps = 0;
                    while let Known::Is(parent) = next {
                        steps += 1;
                        proptest::prop_assert!(steps <= 20, "a ring");
                        next = table.get(parent).map_or(Known::None, |parent| parent.parent);
                    }
                }
            }
        }
    }
}
