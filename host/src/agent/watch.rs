//! Watches folders of rules and tells when to look at them again.
//!
//! The system tells of changes; in case it does not, or not of all, the folders are swept every now and then: names,
//! lengths and times of their rule files, compared with those of last time. A sign of change is followed by a wait
//! until nothing changes any more, because editors save in many ways: they write in place, write elsewhere and rename,
//! remove and create. What is told is only *that* something may have changed; whoever is told reads the folders, and
//! is told again when they change after that. So a file that is read half-written is soon read whole.
//!
//! A folder that goes is watched again when it comes back. Where the system does not watch (it has limits), sweeping
//! is all there is, more often, and that is told too.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, Metadata};
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

use notify::event::{AccessKind, AccessMode, CreateKind, EventKind, ModifyKind, RemoveKind};
use notify::{Config, Event, RecommendedWatcher, RecursiveMode, Watcher as _};

/// How long the folders must be quiet before a change is told.
pub const QUIET: Duration = Duration::from_millis(150);
/// How long a change waits for quiet at most.
pub const SETTLE_MAX: Duration = Duration::from_secs(2);
/// How often the folders are swept although the system watches them.
pub const SWEEP_EVERY: Duration = Duration::from_secs(3);
/// How often they are swept if it does not, or if one of them is missing.
pub const POLL_EVERY: Duration = Duration::from_secs(1);
/// Files and folders that a sweep looks at; changes of others are seen only if the system tells of them.
pub const ENTRIES_MAX: usize = 65_536;
/// How deep a sweep goes, as deep as rule files are looked for.
pub const DEPTH_MAX: u32 = 32;

/// What a watcher has to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// Rule files have changed, or may have, in these of the folders: read them again.
    Changed(Vec<PathBuf>),
    /// The system does not watch the folders: changes are seen later, by sweeping.
    Polling {
        /// Why.
        reason: String,
    },
}

/// Watches until it is dropped.
#[derive(Debug)]
pub struct Watcher {
    signs: Arc<Signs>,
    thread: Option<JoinHandle<()>>,
}

/// When things are done.
#[derive(Clone, Copy, Debug)]
struct Times {
    quiet: Duration,
    settle_max: Duration,
    sweep_every: Duration,
    poll_every: Duration,
}

impl Watcher {
    /// Begins to watch these folders and all below them. All that changes after this returns is told; so start to
    /// watch, then read the folders. What is told is told on a thread of the watcher, one notice at a time; that
    /// thread must not drop the watcher.
    pub fn start(folders: Vec<PathBuf>, on_notice: Box<dyn FnMut(Notice) + Send>) -> io::Result<Self> {
        let times = Times { quiet: QUIET, settle_max: SETTLE_MAX, sweep_every: SWEEP_EVERY, poll_every: POLL_EVERY };
        Self::start_with(folders, on_notice, times, true)
    }

    fn start_with(
        folders: Vec<PathBuf>,
        on_notice: Box<dyn FnMut(Notice) + Send>,
        times: Times,
        system: bool,
    ) -> io::Result<Self> {
        // The system tells of changes by absolute path; we by that which we were given.
        let names = folders;
        let folders = names.iter().map(std::path::absolute).collect::<io::Result<Vec<_>>>()?;
        let signs = Arc::new(Signs::default());
        let eyes = match system {
            true => Eyes::open(folders.clone(), signs.clone()),
            false => Err("the system was not asked to".to_owned()),
        };
        // Swept last, so that nothing falls between.
        let seen = sweep(&folders);
        let watch = Watch { names, folders, on_notice, times, signs: signs.clone(), seen };
        let thread = thread::Builder::new().name("rule folders".to_owned()).spawn(move || watch.run(eyes))?;
        Ok(Self { signs, thread: Some(thread) })
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.signs.give(|pending| pending.stop = true);
        if let Some(thread) = self.thread.take() {
            // Its panic, if it had one, was reported when it happened.
            drop(thread.join());
        }
    }
}

/// What the system has told and nobody has looked at yet. However much it tells, this does not grow.
#[derive(Debug, Default)]
struct Pending {
    /// To end.
    stop: bool,
    /// Something happened, which may be of no interest.
    woken: bool,
    /// Numbers of folders with a rule file that was changed, even if it looks the same from outside; all of them if
    /// the system has lost count.
    changed: BTreeSet<usize>,
    /// A watched folder itself went away.
    moved: bool,
    /// Why the system does not watch any more.
    failed: Option<String>,
}

#[derive(Debug, Default)]
struct Signs {
    pending: Mutex<Pending>,
    given: Condvar,
}

impl Signs {
    /// A sign cannot be given half, so that a panic elsewhere does no harm here.
    fn lock(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn give(&self, set: impl FnOnce(&mut Pending)) {
        set(&mut self.lock());
        self.given.notify_all();
    }

    /// Waits for a sign, and takes all there are.
    fn take(&self, wait: Duration) -> Pending {
        let quiet = |pending: &mut Pending| !(pending.stop || pending.woken || pending.failed.is_some());
        let waited = self.given.wait_timeout_while(self.lock(), wait, quiet);
        let (mut pending, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let stop = pending.stop;
        // That it ends stays said.
        std::mem::replace(&mut *pending, Pending { stop, ..Pending::default() })
    }
}

/// The thread of a watcher.
struct Watch {
    /// The folders as they were given.
    names: Vec<PathBuf>,
    /// The same by absolute path.
    folders: Vec<PathBuf>,
    on_notice: Box<dyn FnMut(Notice) + Send>,
    times: Times,
    signs: Arc<Signs>,
    seen: Vec<Sweep>,
}

impl Watch {
    fn run(mut self, eyes: Result<Eyes, String>) {
        let mut eyes = eyes.map_err(|reason| (self.on_notice)(Notice::Polling { reason })).ok();
        loop {
            let seeing = eyes.as_ref().is_some_and(Eyes::see_all);
            let wait = if seeing { self.times.sweep_every } else { self.times.poll_every };
            let mut pending = self.signs.take(wait);
            if pending.stop {
                return;
            }
            if let Some(open) = &mut eyes
                && let Some(reason) = pending.failed.take().or_else(|| open.follow(pending.moved).err())
            {
                eyes = None;
                (self.on_notice)(Notice::Polling { reason });
            }
            // Without a sign only a difference counts; with one it is looked for once there is quiet.
            let different = match pending.woken {
                true => None,
                false => Some(sweep(&self.folders)).filter(|now| *now != self.seen),
            };
            if !pending.woken && different.is_none() {
                continue;
            }
            let mut changed = pending.changed;
            let Some(settled) = self.settle(different, &mut changed) else { return };
            let differ = |(number, (now, seen))| (now != seen).then_some(number);
            changed.extend(settled.iter().zip(&self.seen).enumerate().filter_map(differ));
            self.seen = settled;
            let folders: Vec<PathBuf> = changed.iter().filter_map(|number| self.names.get(*number).cloned()).collect();
            if !folders.is_empty() {
                (self.on_notice)(Notice::Changed(folders));
            }
        }
    }

    /// Waits until nothing changes any more, or for long enough; nothing if it is to end.
    fn settle(&self, mut last: Option<Vec<Sweep>>, changed: &mut BTreeSet<usize>) -> Option<Vec<Sweep>> {
        let start = Instant::now();
        loop {
            let told = match self.wait_quietly() {
                Quiet::Stopped => return None,
                Quiet::Moved => return Some(sweep(&self.folders)),
                Quiet::Was(told) => told,
            };
            let quiet = told.is_empty();
            changed.extend(told);
            let now = sweep(&self.folders);
            let same = last.as_ref().is_none_or(|last| *last == now);
            if (quiet && same) || start.elapsed() >= self.times.settle_max {
                return Some(now);
            }
            last = Some(now);
        }
    }

    /// Waits for the time of quiet, whatever happens.
    fn wait_quietly(&self) -> Quiet {
        let end = Instant::now() + self.times.quiet;
        let mut changed = BTreeSet::new();
        while let left = end.saturating_duration_since(Instant::now())
            && !left.is_zero()
        {
            let pending = self.signs.take(left);
            if pending.stop {
                return Quiet::Stopped;
            }
            if pending.moved || pending.failed.is_some() {
                // The next round deals with it.
                self.signs.give(|later| {
                    later.woken = true;
                    later.changed.extend(changed);
                    later.changed.extend(pending.changed);
                    later.moved |= pending.moved;
                    later.failed = later.failed.take().or(pending.failed);
                });
                return Quiet::Moved;
            }
            changed.extend(pending.changed);
        }
        Quiet::Was(changed)
    }
}

/// What a time of quiet was like.
enum Quiet {
    /// In these folders rule files were changed; in none if it was quiet.
    Was(BTreeSet<usize>),
    /// A folder went, or the system stopped to watch: something has to be done first.
    Moved,
    Stopped,
}

/// The system's watch on the folders.
struct Eyes {
    system: RecommendedWatcher,
    /// With the folder that is watched by each name: another one of the same name has to be watched anew.
    folders: Vec<(PathBuf, Option<Identity>)>,
}

impl Eyes {
    /// The error is for people.
    fn open(folders: Vec<PathBuf>, signs: Arc<Signs>) -> Result<Self, String> {
        let roots = folders.clone();
        let tell = move |event: notify::Result<Event>| match event {
            Ok(event) => {
                if let Some(set) = read(&event, &roots) {
                    signs.give(set);
                }
            }
            Err(error) => signs.give(|pending| pending.failed = Some(error.to_string())),
        };
        let config = Config::default().with_follow_symlinks(false);
        let system = RecommendedWatcher::new(tell, config).map_err(|error| error.to_string())?;
        let mut eyes = Self { system, folders: folders.into_iter().map(|folder| (folder, None)).collect() };
        eyes.follow(false)?;
        Ok(eyes)
    }

    /// Whether all folders are watched: none is missing.
    fn see_all(&self) -> bool {
        self.folders.iter().all(|(_, watched)| watched.is_some())
    }

    /// Watches folders that are there and were not watched. `anew` says that a watch may have ended though the folder
    /// seems to be the same: a new folder can get the number of an old one.
    fn follow(&mut self, anew: bool) -> Result<(), String> {
        for (folder, watched) in &mut self.folders {
            let found = fs::metadata(&*folder).ok().map(|metadata| identity(&metadata));
            if found == *watched && !anew {
                continue;
            }
            if watched.take().is_some() {
                // It is an error if the watch has ended by itself.
                drop(self.system.unwatch(folder));
            }
            if found.is_some() {
                match self.system.watch(folder, RecursiveMode::Recursive) {
                    Ok(()) => *watched = found,
                    // It went again, and may come again.
                    Err(_) if fs::metadata(&*folder).is_err() => {}
                    Err(error) => return Err(error.to_string()),
                }
            }
        }
        Ok(())
    }
}

/// What an event of the system means for the folders; nothing if it is only that someone reads.
fn read(event: &Event, roots: &[PathBuf]) -> Option<impl FnOnce(&mut Pending) + use<>> {
    let concerns = |root: &PathBuf| event.need_rescan() || event.paths.iter().any(|path| is_rule_file(path, root));
    let numbers = roots.iter().enumerate().filter_map(|(number, root)| concerns(root).then_some(number));
    let changed: BTreeSet<usize> = numbers.collect();
    match event.kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) if !changed.is_empty() => {}
        // What happens inside of other files is their business.
        EventKind::Access(_) => return None,
        EventKind::Create(CreateKind::File)
        | EventKind::Remove(RemoveKind::File)
        | EventKind::Modify(ModifyKind::Data(_) | ModifyKind::Metadata(_))
            if changed.is_empty() =>
        {
            return None;
        }
        _ => {}
    }
    let goes = matches!(event.kind, EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(_)));
    let moved = goes && event.paths.iter().any(|path| roots.contains(path));
    Some(move |pending: &mut Pending| {
        pending.woken = true;
        pending.moved |= moved;
        pending.changed.extend(changed);
    })
}

/// Whether a path is that of a rule file that is not hidden from the folder it is looked for in.
fn is_rule_file(path: &Path, root: &Path) -> bool {
    let hidden = |component: Component<'_>| component.as_os_str().to_string_lossy().starts_with('.');
    has_rules(path) && path.strip_prefix(root).is_ok_and(|below| !below.components().any(hidden))
}

fn has_rules(path: &Path) -> bool {
    path.extension().is_some_and(|extension| ["trap", "yml", "yaml", "o"].iter().any(|known| extension == *known))
}

/// The rule files of a folder as they look from outside; nothing of those that cannot be looked at.
type Sweep = BTreeMap<PathBuf, Option<Stamp>>;

#[derive(Debug, PartialEq, Eq)]
struct Stamp {
    len: u64,
    modified: Option<SystemTime>,
    identity: Identity,
    changed: Option<(i64, i64)>,
}

/// What tells a file or folder from another of the same name.
#[cfg(unix)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Identity(u64, u64);

#[cfg(unix)]
fn identity(metadata: &Metadata) -> Identity {
    use std::os::unix::fs::MetadataExt as _;

    Identity(metadata.dev(), metadata.ino())
}

/// When anything about a file was changed, which no editor sets back.
#[cfg(unix)]
fn changed(metadata: &Metadata) -> Option<(i64, i64)> {
    use std::os::unix::fs::MetadataExt as _;

    Some((metadata.ctime(), metadata.ctime_nsec()))
}

/// Here files have no number that is easy to get at; a new one has a new time.
#[cfg(not(unix))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Identity(Option<SystemTime>);

#[cfg(not(unix))]
fn identity(metadata: &Metadata) -> Identity {
    Identity(metadata.created().ok())
}

#[cfg(not(unix))]
fn changed(_: &Metadata) -> Option<(i64, i64)> {
    None
}

/// Looks at all rule files of the folders, as the reading of rules finds them: neither hidden ones nor those behind
/// links to folders.
fn sweep(folders: &[PathBuf]) -> Vec<Sweep> {
    let mut left = ENTRIES_MAX;
    let sweep_one = |folder: &PathBuf| {
        let mut found = Sweep::new();
        match fs::metadata(folder) {
            Ok(metadata) if metadata.is_dir() => look(folder, 0, &mut left, &mut found),
            Ok(_) | Err(_) => stamp(folder.clone(), &mut found),
        }
        found
    };
    folders.iter().map(sweep_one).collect()
}

fn look(folder: &Path, depth: u32, left: &mut usize, found: &mut Sweep) {
    let Ok(entries) = fs::read_dir(folder) else {
        found.insert(folder.to_owned(), None);
        return;
    };
    for entry in entries.flatten() {
        match left.checked_sub(1) {
            Some(less) => *left = less,
            None => return,
        }
        if entry.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            if depth < DEPTH_MAX {
                look(&entry.path(), depth + 1, left, found);
            }
        } else if has_rules(&entry.path()) {
            stamp(entry.path(), found);
        }
    }
}

fn stamp(path: PathBuf, found: &mut Sweep) {
    let stamp = fs::metadata(&path).ok().map(|metadata| Stamp {
        len: metadata.len(),
        modified: metadata.modified().ok(),
        identity: identity(&metadata),
        changed: changed(&metadata),
    });
    found.insert(path, stamp);
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use notify::event::{DataChange, MetadataKind, RenameMode};
    use tempfile::TempDir;

    use super::*;

    /// How long something may take that should happen at once, on a busy machine.
    const PATIENCE: Duration = Duration::from_secs(60);
    const NEVER: Duration = Duration::from_secs(3600);
    const TICK: Duration = Duration::from_millis(20);

    /// The ways to see a change: told by the system alone, and by looking alone.
    const TOLD: (Times, bool) =
        (Times { quiet: TICK, settle_max: PATIENCE, sweep_every: NEVER, poll_every: NEVER }, true);
    const LOOKED: (Times, bool) =
        (Times { quiet: TICK, settle_max: PATIENCE, sweep_every: NEVER, poll_every: TICK }, false);

    /// Both ways. Under Wine the system is not asked: it tells nothing of new folders, and may hang when a watch ends.
    fn ways(told: (Times, bool)) -> Vec<(Times, bool)> {
        if cfg!(windows) { vec![LOOKED] } else { vec![told, LOOKED] }
    }

    /// A watched folder, and what it held whenever a change was told.
    struct Bench {
        root: TempDir,
        rules: PathBuf,
        read: Arc<Mutex<Vec<BTreeMap<String, String>>>>,
        polling: Arc<AtomicBool>,
        _watcher: Watcher,
    }

    /// The rule files of a folder, whose content may be anything at the moment.
    fn read_all(folder: &Path) -> BTreeMap<String, String> {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        let files = entries.filter(|entry| has_rules(&entry.path()));
        let text = |path: PathBuf| fs::read_to_string(path).unwrap_or_default();
        files.map(|entry| (entry.file_name().to_string_lossy().into_owned(), text(entry.path()))).collect()
    }

    impl Bench {
        fn new((times, system): (Times, bool)) -> Self {
            let root = tempfile::tempdir().unwrap();
            let rules = root.path().canonicalize().unwrap().join("rules");
            fs::create_dir(&rules).unwrap();
            fs::write(rules.join("a.trap"), "first").unwrap();
            let read = Arc::new(Mutex::new(Vec::new()));
            let polling = Arc::new(AtomicBool::new(false));
            let (to, polls, folder) = (read.clone(), polling.clone(), rules.clone());
            let on_notice = Box::new(move |notice| match notice {
                Notice::Changed(folders) => {
                    assert_eq!(folders, std::slice::from_ref(&folder));
                    to.lock().unwrap().push(read_all(&folder));
                }
                Notice::Polling { .. } => polls.store(true, Ordering::SeqCst),
            });
            let watcher = Watcher::start_with(vec![rules.clone()], on_notice, times, system).unwrap();
            Self { root, rules, read, polling, _watcher: watcher }
        }

        fn path(&self, name: &str) -> PathBuf {
            self.rules.join(name)
        }

        fn write(&self, name: &str, text: &str) {
            fs::write(self.path(name), text).unwrap();
        }

        fn told(&self) -> usize {
            self.read.lock().unwrap().len()
        }

        /// Whoever reads when it is told has read this in the end.
        #[track_caller]
        fn reads(&self, files: &[(&str, &str)]) {
            let files = files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
            let end = Instant::now() + PATIENCE;
            while self.read.lock().unwrap().last() != Some(&files) {
                assert!(Instant::now() < end, "read {:?}, not {files:?}", self.read.lock().unwrap().last());
                thread::sleep(Duration::from_millis(2));
            }
        }
    }

    #[test]
    fn a_file_written_in_place() {
        for way in ways(TOLD) {
            let bench = Bench::new(way);
            bench.write("a.trap", "second, longer");
            bench.reads(&[("a.trap", "second, longer")]);
            // The same length and, on many file systems, the same time.
            bench.write("a.trap", "second, LONGER");
            bench.reads(&[("a.trap", "second, LONGER")]);
        }
    }

    #[test]
    fn a_file_written_elsewhere_and_renamed() {
        for way in ways(TOLD) {
            let bench = Bench::new(way);
            bench.write(".a.trap.swp", "swap");
            bench.write("a.trap~", "backup");
            bench.write("a.trap.new", "second");
            fs::rename(bench.path("a.trap.new"), bench.path("a.trap")).unwrap();
            bench.reads(&[("a.trap", "second")]);
            fs::rename(bench.path("a.trap"), bench.path("b.trap")).unwrap();
            bench.reads(&[("b.trap", "second")]);
        }
    }

    #[test]
    fn a_file_removed_and_created() {
        for way in ways(TOLD) {
            let bench = Bench::new(way);
            fs::remove_file(bench.path("a.trap")).unwrap();
            bench.reads(&[]);
            bench.write("a.trap", "back");
            bench.write("b.trap", "more");
            bench.reads(&[("a.trap", "back"), ("b.trap", "more")]);
        }
    }

    #[test]
    fn a_file_that_was_read_half_written_is_read_whole() {
        for way in ways(TOLD) {
            let bench = Bench::new(way);
            bench.write("a.trap", "rule x {");
            bench.reads(&[("a.trap", "rule x {")]);
            bench.write("a.trap", "rule x { }");
            bench.reads(&[("a.trap", "rule x { }")]);
        }
    }

    #[test]
    fn folders_below_that_come_and_go() {
        for way in ways(TOLD) {
            let bench = Bench::new(way);
            let below = bench.path("deep/er");
            fs::create_dir_all(&below).unwrap();
            fs::write(below.join("x.trap"), "x").unwrap();
            let end = Instant::now() + PATIENCE;
            let await_told = |least: usize| {
                while bench.told() < least {
                    assert!(Instant::now() < end, "not told");
                    thread::sleep(Duration::from_millis(2));
                }
            };
            await_told(1);
            // Into a folder that was not there when the watch began.
            let told = bench.told();
            fs::write(below.join("y.trap"), "y").unwrap();
            await_told(told + 1);
            let told = bench.told();
            fs::rename(bench.path("deep"), bench.root.path().join("away")).unwrap();
            await_told(told + 1);
        }
    }

    #[test]
    fn a_folder_that_goes_is_watched_again_when_it_comes_back() {
        // While it is missing it is looked for; once it is back only the system tells.
        let told = (Times { poll_every: TICK, ..TOLD.0 }, true);
        for way in ways(told) {
            for rename in [false, true] {
                let bench = Bench::new(way);
                if rename {
                    fs::rename(&bench.rules, bench.root.path().join("away")).unwrap();
                } else {
                    fs::remove_dir_all(&bench.rules).unwrap();
                }
                bench.reads(&[]);
                fs::create_dir(&bench.rules).unwrap();
                bench.write("a.trap", "new");
                bench.reads(&[("a.trap", "new")]);
                bench.write("a.trap", "newer");
                bench.reads(&[("a.trap", "newer")]);
            }
        }
    }

    #[test]
    #[cfg_attr(windows, ignore = "a watch of Wine may hang when it ends")]
    fn a_folder_replaced_at_once_is_watched_again() {
        let bench = Bench::new((Times { poll_every: TICK, ..TOLD.0 }, true));
        for text in ["one", "two!", "three"] {
            fs::remove_dir_all(&bench.rules).unwrap();
            fs::create_dir(&bench.rules).unwrap();
            bench.write("a.trap", text);
            bench.reads(&[("a.trap", text)]);
        }
        bench.write("a.trap", "at last");
        bench.reads(&[("a.trap", "at last")]);
    }

    #[test]
    fn what_is_no_rule_file_is_not_told() {
        for way in ways((Times { sweep_every: TICK, ..TOLD.0 }, true)) {
            let bench = Bench::new(way);
            for name in [".a.trap.swp", ".hidden.trap", "a.trap~", "4913", "notes.md"] {
                bench.write(name, "x");
                fs::remove_file(bench.path(name)).unwrap();
            }
            fs::create_dir(bench.path(".git")).unwrap();
            bench.write(".git/x.trap", "x");
            fs::create_dir(bench.path("empty")).unwrap();
            // Those who read do not cause changes.
            (0..10).for_each(|_| drop(read_all(&bench.rules)));
            thread::sleep(TICK * 10);
            assert_eq!(bench.told(), 0, "{:?}", bench.read.lock().unwrap());
            bench.write("b.trap", "b");
            bench.reads(&[("a.trap", "first"), ("b.trap", "b")]);
        }
    }

    #[test]
    #[cfg_attr(windows, ignore = "a watch of Wine may hang when it ends")]
    fn changes_that_do_not_end_are_told_after_a_while() {
        let times = Times { quiet: Duration::from_millis(50), settle_max: Duration::from_millis(100), ..TOLD.0 };
        let bench = Bench::new((times, true));
        let end = Instant::now() + PATIENCE;
        let mut text = String::new();
        while bench.told() == 0 {
            assert!(Instant::now() < end, "not told");
            text.push('x');
            bench.write("a.trap", &text);
            thread::sleep(Duration::from_millis(1));
        }
        bench.reads(&[("a.trap", &text)]);
    }

    #[test]
    fn of_several_folders_those_that_changed_are_named() {
        for (times, system) in ways(TOLD) {
            let root = tempfile::tempdir().unwrap();
            let folders: Vec<PathBuf> = ["a", "b", "c"].iter().map(|name| root.path().join(name)).collect();
            folders.iter().for_each(|folder| fs::create_dir(folder).unwrap());
            let (sent, told) = std::sync::mpsc::channel();
            let on_notice = Box::new(move |notice| match notice {
                Notice::Changed(folders) => sent.send(folders).unwrap(),
                Notice::Polling { .. } => {}
            });
            let _watcher = Watcher::start_with(folders.clone(), on_notice, times, system).unwrap();
            let mut written: Vec<PathBuf> = Vec::new();
            for folder in folders {
                fs::write(folder.join("x.trap"), "x").unwrap();
                written.push(folder.clone());
                // On a busy machine the creation of a file may be told before its content.
                while let changed = told.recv_timeout(PATIENCE).unwrap()
                    && !changed.contains(&folder)
                {
                    assert!(changed.iter().all(|folder| written.contains(folder)), "{changed:?}");
                }
            }
        }
    }

    #[test]
    fn where_the_system_does_not_watch_it_is_said() {
        assert!(cfg!(windows) || !Bench::new(TOLD).polling.load(Ordering::SeqCst));
        let bench = Bench::new(LOOKED);
        bench.write("a.trap", "second");
        bench.reads(&[("a.trap", "second")]);
        assert!(bench.polling.load(Ordering::SeqCst));
    }

    #[test]
    #[cfg_attr(windows, ignore = "a watch of Wine may hang when it ends")]
    fn a_failure_of_the_system_later_is_said_and_made_up_for() {
        let times = Times { poll_every: TICK, ..TOLD.0 };
        let bench = Bench::new((times, true));
        bench._watcher.signs.give(|pending| pending.failed = Some("no more watches".to_owned()));
        bench.write("a.trap", "second");
        bench.reads(&[("a.trap", "second")]);
        bench.write("a.trap", "third");
        bench.reads(&[("a.trap", "third")]);
        assert!(bench.polling.load(Ordering::SeqCst));
    }

    #[test]
    fn a_folder_that_is_not_there_yet_is_no_failure() {
        let root = tempfile::tempdir().unwrap();
        let watcher = Watcher::start(vec![root.path().join("later")], Box::new(|notice| panic!("{notice:?}"))).unwrap();
        drop(watcher);
    }

    #[test]
    fn events_are_read_by_kind_and_name() {
        let roots = [PathBuf::from("/r")];
        let given = |kind, path: &str| {
            let mut pending = Pending::default();
            let set = read(&Event::new(kind).add_path(PathBuf::from(path)), &roots)?;
            set(&mut pending);
            Some((!pending.changed.is_empty(), pending.moved))
        };
        let data = EventKind::Modify(ModifyKind::Data(DataChange::Any));
        let closed = EventKind::Access(AccessKind::Close(AccessMode::Write));
        let renamed = EventKind::Modify(ModifyKind::Name(RenameMode::From));
        assert_eq!(given(data, "/r/a.trap"), Some((true, false)));
        assert_eq!(given(data, "/r/a.md"), None);
        assert_eq!(given(data, "/elsewhere/a.trap"), None);
        assert_eq!(given(closed, "/r/b/a.trap"), Some((true, false)));
        assert_eq!(given(closed, "/r/b/.a.trap"), None);
        assert_eq!(given(EventKind::Access(AccessKind::Open(AccessMode::Any)), "/r/a.trap"), None);
        assert_eq!(given(EventKind::Modify(ModifyKind::Metadata(MetadataKind::Any)), "/r"), None);
        assert_eq!(given(renamed, "/r/folder"), Some((false, false)));
        assert_eq!(given(renamed, "/r"), Some((false, true)));
        assert_eq!(given(EventKind::Remove(RemoveKind::Folder), "/r"), Some((false, true)));
        assert_eq!(given(EventKind::Create(CreateKind::Folder), "/r/b"), Some((false, false)));
        let lost = Event::new(EventKind::Other).set_flag(notify::event::Flag::Rescan);
        let mut pending = Pending::default();
        read(&lost, &roots).unwrap()(&mut pending);
        assert!(pending.changed.len() == 1 && pending.woken);
    }

    #[test]
    fn sweeps_at_below_and_above_their_depth() {
        for (depth, seen) in [(DEPTH_MAX - 1, true), (DEPTH_MAX, true), (DEPTH_MAX + 1, false)] {
            let root = tempfile::tempdir().unwrap();
            let mut folder = root.path().to_owned();
            folder.extend((0..depth).map(|_| "d"));
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("a.trap"), "").unwrap();
            assert_eq!(sweep(&[root.path().to_owned()])[0].len(), usize::from(seen), "{depth}");
        }
    }

    #[test]
    fn sweeps_at_below_and_above_their_entries() {
        let root = tempfile::tempdir().unwrap();
        for name in ["a.trap", "b.trap", "c.md"] {
            fs::write(root.path().join(name), "").unwrap();
        }
        for (entries, whole) in [(2, false), (3, true), (4, true)] {
            let (mut left, mut found) = (entries, Sweep::new());
            look(root.path(), 0, &mut left, &mut found);
            assert_eq!(left, entries.saturating_sub(3));
            assert!(!whole || found.len() == 2);
        }
    }
}
