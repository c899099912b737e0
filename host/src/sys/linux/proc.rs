//! `/proc`, read within bounds and through handles.
//!
//! A [`Handle`] is an open directory of one process. When that process is gone the handle leads nowhere, also when
//! its number has been given to another: what two reads through one handle find is of one process.

use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, CWD, Mode, OFlags, RawDir, StatxFlags, openat, readlinkat_raw, statx};
use rustix::io::Errno;

const PROC: &str = "/proc";
/// Room for entries of the directory that one system call fetches.
const ENTRIES_BYTES: usize = 32 * 1024;

/// The directory of one process.
#[derive(Debug)]
pub(crate) struct Handle {
    directory: OwnedFd,
}

impl Handle {
    /// That of the process with this number now.
    pub(crate) fn open(pid: u32) -> io::Result<Self> {
        let mut path = [0; 24];
        let path = path_of(pid, &mut path);
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self { directory: openat(CWD, path, flags, Mode::empty())? })
    }

    /// What a link in it points at: `exe` or `cwd`. Its bytes stand in `into`, which is to be one byte longer than
    /// the longest path; what does not fit is no answer.
    pub(crate) fn link<'b>(&self, name: &str, into: &'b mut [u8]) -> io::Result<&'b [u8]> {
        let length = readlinkat_raw(&self.directory, name, &mut *into)?;
        if length >= into.len() {
            return Err(Errno::NAMETOOLONG.into());
        }
        Ok(into.get(..length).unwrap_or_default())
    }

    /// Whether what a link in it points at has been removed, as far as this host knows: it may lie with a server, which
    /// is not asked, because it may never answer.
    pub(crate) fn link_is_removed(&self, name: &str) -> io::Result<bool> {
        let flags = AtFlags::STATX_DONT_SYNC | AtFlags::NO_AUTOMOUNT;
        Ok(statx(&self.directory, name, flags, StatxFlags::NLINK)?.stx_nlink == 0)
    }

    /// What a file in it holds, as far as it fits. `/proc` gives all there is in one read.
    pub(crate) fn file<'b>(&self, name: &str, into: &'b mut [u8]) -> io::Result<&'b [u8]> {
        let file = openat(&self.directory, name, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
        read(&file, into)
    }
}

/// What a file below `/proc` holds that is of no process, as far as it fits.
pub(crate) fn file<'b>(path: &str, into: &'b mut [u8]) -> io::Result<&'b [u8]> {
    let file = openat(CWD, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    read(&file, into)
}

/// The numbers of all processes, in no order.
pub(crate) fn pids(on: &mut dyn FnMut(u32)) -> io::Result<()> {
    let directory = openat(CWD, PROC, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let mut buffer = Vec::with_capacity(ENTRIES_BYTES);
    let mut entries = RawDir::new(directory, buffer.spare_capacity_mut());
    while let Some(entry) = entries.next() {
        if let Some(pid) = entry?.file_name().to_str().ok().and_then(|name| name.parse().ok()) {
            on(pid);
        }
    }
    Ok(())
}

fn read<'b>(file: &OwnedFd, into: &'b mut [u8]) -> io::Result<&'b [u8]> {
    let mut length = 0;
    while let Some(rest) = into.get_mut(length..).filter(|rest| !rest.is_empty()) {
        match rustix::io::read(file, &mut *rest) {
            Ok(0) => break,
            Ok(more) => {
                length += more;
                // Less than a page: that was all, and the read that says so can be spared.
                if more < PAGE_BYTES {
                    break;
                }
            }
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(into.get(..length).unwrap_or_default())
}

/// The kernel never gives less than this in one read while there is more.
const PAGE_BYTES: usize = 4096;

/// `/proc/4242`, without an allocation.
fn path_of(pid: u32, into: &mut [u8; 24]) -> &str {
    use std::io::Write as _;
    let mut rest: &mut [u8] = into;
    let all = rest.len();
    // Six bytes and ten digits fit.
    write!(rest, "{PROC}/{pid}").unwrap_or_default();
    let length = all - rest.len();
    into.get(..length).and_then(|path| std::str::from_utf8(path).ok()).unwrap_or_default()
}
