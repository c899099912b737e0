//! Looking at one process in `/proc`: what vanishes first is read first.
//!
//! When a process ends its memory goes before anything else, and with it the executable, the arguments and the
//! directory; `stat` stays until the parent has looked. What cannot be read is lost, whether the process has gone or
//! belongs to somebody else.

use std::io;

use super::event::{Host, System};
use super::stat::{self, Owner, Stat};
use super::table::{Seen, Start};
use super::value::{CommandLine, Image, Known, LINE_BYTES_MAX, PATH_BYTES_MAX};
use crate::sys::linux;
use crate::sys::linux::clock::{self, Offsets};
use crate::sys::linux::proc::{self, Handle};

/// Bytes of `stat` and `status`: they have some hundred, and some thousand where there are many groups.
const STATUS_BYTES_MAX: usize = 32 * 1024;
/// What the kernel writes behind the path of a file that has been removed.
const REMOVED: &[u8] = b" (deleted)";

/// What could be read of a process.
#[derive(Clone, Debug)]
pub(super) struct Look {
    pub(super) image: Image,
    pub(super) directory: Known<Box<str>>,
    pub(super) stat: Option<Stat>,
    pub(super) owner: Option<Owner>,
    /// When the last of it was read, on the clock that stamps events.
    pub(super) done_ns: i64,
}

impl Look {
    /// Nothing was read.
    pub(super) fn nothing() -> Self {
        Self { image: Image::default(), directory: Known::Lost, stat: None, owner: None, done_ns: i64::MAX }
    }

    /// Session and terminal, if they could be read.
    pub(super) fn terminal(&self) -> Option<(u32, Known<u32>)> {
        let stat = self.stat.as_ref()?;
        match stat.tty {
            // What has ended may have lost its terminal on the way.
            0 if stat.ended => None,
            0 => Some((stat.session, Known::None)),
            tty => Some((stat.session, Known::Is(tty))),
        }
    }
}

/// Looks at processes, with room that is used again and again.
#[derive(Debug)]
pub(super) struct Looker {
    path: Vec<u8>,
    line: Vec<u8>,
    status: Vec<u8>,
    tick_ns: i64,
}

impl Looker {
    pub(super) fn new() -> Self {
        Self {
            path: vec![0; PATH_BYTES_MAX + 1],
            line: vec![0; LINE_BYTES_MAX + 1],
            status: vec![0; STATUS_BYTES_MAX],
            tick_ns: clock::tick_ns(),
        }
    }

    /// Looks at the process that has this number now.
    pub(super) fn look(&mut self, pid: u32) -> Look {
        match Handle::open(pid) {
            Ok(handle) => self.look_through(&handle),
            Err(_) => Look::nothing(),
        }
    }

    fn look_through(&mut self, handle: &Handle) -> Look {
        let executable = self.link(handle, "exe");
        let line = handle.file("cmdline", &mut self.line).ok().and_then(CommandLine::from_raw);
        let directory = self.link(handle, "cwd");
        let stat = handle.file("stat", &mut self.status).ok().and_then(stat::stat);
        let owner = handle.file("status", &mut self.status).ok().and_then(stat::owner);
        let image = match &stat {
            Some(stat) if stat.of_kernel => {
                let name = Known::Is(format!("[{}]", stat.comm).into());
                Image { name, executable: Known::None, line: Known::None }
            }
            // Every program has arguments, at least its own name: none means that they are gone.
            _ => Image::new(executable, line.map_or(Known::Lost, Known::Is)),
        };
        Look { image, directory, stat, owner, done_ns: clock::monotonic() }
    }

    /// All that the table keeps of a process; None if it has ended.
    pub(super) fn see(&mut self, pid: u32, offsets: Offsets) -> Option<(Seen, Look)> {
        let handle = Handle::open(pid).ok()?;
        let look = self.look_through(&handle);
        let stat = look.stat.as_ref()?;
        if stat.ended && stat.threads <= 1 {
            return None;
        }
        let (session, tty) =
            look.terminal().map_or((Known::Lost, Known::Lost), |(session, tty)| (Known::Is(session), tty));
        let seen = Seen {
            pid,
            start: self.start(stat, offsets),
            parent_pid: if stat.parent == 0 { Known::None } else { Known::Is(stat.parent) },
            image: look.image.clone(),
            owner: look.owner.map_or(Known::Lost, Known::Is),
            session,
            tty,
            threads: stat.threads,
        };
        Some((seen, look))
    }

    /// `stat` alone.
    pub(super) fn stat(&mut self, pid: u32) -> Option<Stat> {
        Handle::open(pid).ok()?.file("stat", &mut self.status).ok().and_then(stat::stat)
    }

    /// The directory alone.
    pub(super) fn directory(&mut self, pid: u32) -> Known<Box<str>> {
        Handle::open(pid).map_or(Known::Lost, |handle| self.link(&handle, "cwd"))
    }

    /// What a file of `/proc` says that is of no process.
    pub(super) fn of_host<T>(&mut self, path: &str, read: impl FnOnce(&[u8]) -> Option<T>) -> Option<T> {
        proc::file(path, &mut self.line).ok().and_then(read)
    }

    /// When the process started that `stat` is of.
    pub(super) fn start(&self, stat: &Stat, offsets: Offsets) -> Start {
        let since_boot = i64::try_from(stat.start_ticks).unwrap_or(i64::MAX).saturating_mul(self.tick_ns);
        Start { time_ns: since_boot.saturating_add(offsets.boot), ticks: stat.start_ticks, known: true }
    }

    /// When a process started that was made at this moment, on the clock that stamps events.
    pub(super) fn start_at(&self, monotonic_ns: i64, offsets: Offsets) -> Start {
        let time_ns = monotonic_ns.saturating_add(offsets.monotonic);
        let ticks = time_ns.saturating_sub(offsets.boot) / self.tick_ns;
        Start { time_ns, ticks: u64::try_from(ticks).unwrap_or(0), known: true }
    }

    /// What a link points at. The kernel marks a file that has been removed behind its path; the mark is taken off,
    /// unless the file is there and is really called so.
    fn link(&mut self, handle: &Handle, name: &str) -> Known<Box<str>> {
        match handle.link(name, &mut self.path) {
            Ok(path) => {
                let unmarked = path.strip_suffix(REMOVED).filter(|_| is_removed(handle, name));
                Known::Is(String::from_utf8_lossy(unmarked.unwrap_or(path)).into())
            }
            Err(_) => Known::Lost,
        }
    }
}

fn is_removed(handle: &Handle, name: &str) -> bool {
    // What cannot be looked at any more is taken by the mark's word.
    handle.link_is_removed(name).unwrap_or(true)
}

/// The numbers of all processes.
pub(super) fn pids() -> io::Result<Vec<u32>> {
    let mut pids = Vec::new();
    proc::pids(&mut |pid| pids.push(pid))?;
    Ok(pids)
}

/// The host as events show it.
pub(super) fn host() -> Host {
    let name = linux::host_name();
    let mut buffer = vec![0; STATUS_BYTES_MAX];
    let release = proc::file("/etc/os-release", &mut buffer).unwrap_or_default();
    Host { hostname: name.clone(), name, os: System::from_os_release(&String::from_utf8_lossy(release)) }
}

/// Different for each start of the host.
pub(super) fn boot_id() -> Vec<u8> {
    let mut buffer = [0; 64];
    proc::file("/proc/sys/kernel/random/boot_id", &mut buffer).unwrap_or_default().to_vec()
}

/// What neither sensor can see.
pub(super) fn blind(looker: &mut Looker) -> Vec<String> {
    let mut blind = vec![
        "It sees programs start and end: no files, no network connections, no libraries, no kernel modules.".to_owned(),
        "It does not read the environment of programs.".to_owned(),
        "Users that are not in /etc/passwd have a number and no name.".to_owned(),
    ];
    if !linux::is_root() {
        blind.push(
            "It is not run as root: the executable and the directory of programs of other users are lost.".to_owned(),
        );
    }
    if looker.stat(1).is_none() {
        blind.push("This /proc hides the processes of other users.".to_owned());
    }
    blind
}
