//! A socket in the file system that belongs to one process at a time, in a folder where nobody else can replace it.
//!
//! The order is what makes it safe. The folder is opened without following a link and looked at through that handle;
//! then a lock file in it is taken for the life of the socket; only who holds the lock looks whether the socket of a
//! dead process lies there and removes it; the new socket gets its permissions before it listens; and it is removed
//! while the lock is still held, if it is still ours. So two that start together cannot both believe that they own
//! it, and none removes the socket of the other.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, RawMode, chmodat, fchmod, fstat, mkdir, open, openat, statat, unlinkat,
};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, connect, listen, socket_with};

use super::peer::own_user;

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 128;

/// What the lock file adds to the name of the socket.
const LOCK_SUFFIX: &str = ".lock";

/// Why there is no socket.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// Another process has it.
    #[error("{}: another agent is running there", .0.display())]
    InUse(PathBuf),
    /// Something else has its name.
    #[error("{}: is not a socket; it is left alone, remove it yourself", .0.display())]
    InTheWay(PathBuf),
    /// The folder is someone else's.
    #[error("{}: this folder belongs to user {owner}, not to us (user {user})", folder.display())]
    Foreign {
        /// The folder.
        folder: PathBuf,
        /// Whose it is.
        owner: u32,
        /// Who we are.
        user: u32,
    },
    /// Others may write in the folder.
    #[error("{}: others may write in this folder (mode {mode:04o}), so they could replace the socket", folder.display())]
    Open {
        /// The folder.
        folder: PathBuf,
        /// Its permissions.
        mode: RawMode,
    },
    /// The folder is a link, or no folder.
    #[error("{}: is a link, or not a folder; the socket needs a folder itself", .0.display())]
    NoFolder(PathBuf),
    /// The path cannot be that of a socket.
    #[error("{}: {reason}", path.display())]
    Path {
        /// The path.
        path: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The system says no.
    #[error("{}: cannot {what}", path.display())]
    System {
        /// What was being done.
        what: &'static str,
        /// With what.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

/// A socket that listens; removed when it is dropped.
#[derive(Debug)]
pub struct Socket {
    listener: UnixListener,
    path: PathBuf,
    folder: OwnedFd,
    name: OsString,
    /// Device and number of the file, by which it is known to be ours still.
    file: (u64, u64),
    _lock: File,
}

/// Whether a folder is kept to ourselves or only looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FolderKind {
    /// Nobody else has business in it: it is given mode 0700.
    Private,
    /// It is taken as it is, if others cannot write in it.
    Given,
}

impl Socket {
    /// Binds and listens. The last folder of the path is made if it is missing.
    pub fn bind(path: &Path, kind: FolderKind) -> Result<Self, SocketError> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(SocketError::Path { path: path.to_owned(), reason: "is not the path of a file" });
        };
        let address = SocketAddrUnix::new(path)
            .map_err(|_| SocketError::Path { path: path.to_owned(), reason: "is too long for the path of a socket" })?;
        let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
        let folder = open_folder(parent, kind)?;
        let lock = lock(&folder, name, path)?;
        remove_stale(&folder, name, path, &address)?;
        let system =
            |what| move |error: Errno| SocketError::System { what, path: path.to_owned(), source: error.into() };
        let socket = new_socket().map_err(system("make a socket"))?;
        bind(&socket, &address).map_err(system("make the socket"))?;
        // Before it listens nobody can connect, so nobody slips in ahead of the permissions.
        chmodat(&folder, name, Mode::RUSR | Mode::WUSR, AtFlags::empty()).map_err(system("set the permissions"))?;
        let file = statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW).map_err(system("look at the socket"))?;
        listen(&socket, BACKLOG).map_err(system("listen"))?;
        Ok(Self {
            listener: UnixListener::from(socket),
            path: path.to_owned(),
            folder,
            name: name.to_owned(),
            file: (file.st_dev, file.st_ino),
            _lock: lock,
        })
    }

    /// To accept from; accepting does not wait.
    pub fn listener(&self) -> &UnixListener {
        &self.listener
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let found = statat(&self.folder, &self.name, AtFlags::SYMLINK_NOFOLLOW);
        if found.is_ok_and(|found| (found.st_dev, found.st_ino) == self.file) {
            // What cannot be removed is removed by the next agent, as nobody answers there.
            let _removed = unlinkat(&self.folder, &self.name, AtFlags::empty());
        }
    }
}

/// Connects without waiting: where nobody accepts, that is an error of kind `WouldBlock`.
pub fn connect_now(path: &Path) -> io::Result<UnixStream> {
    let socket = new_socket()?;
    connect(&socket, &SocketAddrUnix::new(path)?)?;
    Ok(UnixStream::from(socket))
}

fn new_socket() -> Result<OwnedFd, Errno> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)
}

/// Opens the folder of the socket, made if it is missing, and makes sure that nobody else can change what is in it.
fn open_folder(path: &Path, kind: FolderKind) -> Result<OwnedFd, SocketError> {
    let system = |what| move |error: Errno| SocketError::System { what, path: path.to_owned(), source: error.into() };
    match mkdir(path, Mode::RWXU) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(error) => return Err(system("make this folder")(error)),
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let folder = open(path, flags, Mode::empty()).map_err(|error| match error {
        Errno::NOTDIR | Errno::LOOP => SocketError::NoFolder(path.to_owned()),
        error => system("open this folder")(error),
    })?;
    let stat = fstat(&folder).map_err(system("look at this folder"))?;
    check_folder(path, stat.st_uid, stat.st_mode, own_user())?;
    let mode = Mode::from_raw_mode(stat.st_mode);
    if kind == FolderKind::Private && mode != Mode::RWXU {
        fchmod(&folder, Mode::RWXU).map_err(system("set the permissions of this folder"))?;
    }
    Ok(folder)
}

fn check_folder(folder: &Path, owner: u32, mode: RawMode, user: u32) -> Result<(), SocketError> {
    if owner != user {
        return Err(SocketError::Foreign { folder: folder.to_owned(), owner, user });
    }
    if mode & 0o022 != 0 {
        return Err(SocketError::Open { folder: folder.to_owned(), mode: mode & 0o7777 });
    }
    Ok(())
}

/// Takes the lock file beside the socket. It stays when the socket goes: who removes a lock file can remove one that
/// someone else has just locked.
fn lock(folder: &OwnedFd, name: &OsStr, path: &Path) -> Result<File, SocketError> {
    let mut lock_name = name.to_owned();
    lock_name.push(LOCK_SUFFIX);
    let system = |source| SocketError::System { what: "lock", path: path.with_file_name(&lock_name), source };
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = openat(folder, &lock_name, flags, Mode::RUSR | Mode::WUSR).map_err(|error| system(error.into()))?;
    // Whatever our umask took away: the next agent must be able to open it, too.
    fchmod(&file, Mode::RUSR | Mode::WUSR).map_err(|error| system(error.into()))?;
    let file = File::from(file);
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(SocketError::InUse(path.to_owned())),
        Err(std::fs::TryLockError::Error(error)) => Err(system(error)),
    }
}

/// Removes the socket of a process that is gone.
fn remove_stale(folder: &OwnedFd, name: &OsStr, path: &Path, address: &SocketAddrUnix) -> Result<(), SocketError> {
    let system = |what| move |error: Errno| SocketError::System { what, path: path.to_owned(), source: error.into() };
    match statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) => return Ok(()),
        Err(error) => return Err(system("look at the socket")(error)),
        Ok(stat) if FileType::from_raw_mode(stat.st_mode) != FileType::Socket => {
            return Err(SocketError::InTheWay(path.to_owned()));
        }
        Ok(_) => {}
    }
    let probe = new_socket().map_err(system("make a socket"))?;
    match connect(&probe, address) {
        Err(Errno::CONNREFUSED) => unlinkat(folder, name, AtFlags::empty()).map_err(system("remove the old socket")),
        Err(Errno::NOENT) => Ok(()),
        // So many wait there already that ours does not fit: it is in use.
        Ok(()) | Err(Errno::AGAIN) => Err(SocketError::InUse(path.to_owned())),
        Err(error) => Err(system("tell whether this socket is in use")(error)),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _, symlink};
    use std::sync::Barrier;

    use tempfile::TempDir;

    use super::*;

    fn folder() -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        folder
    }

    fn mode(path: &Path) -> u32 {
        fs::symlink_metadata(path).unwrap().mode() & 0o7777
    }

    /// The socket of a process that was killed.
    fn leave_stale(path: &Path) {
        drop(UnixListener::bind(path).unwrap());
    }

    #[test]
    fn the_folder_is_made_and_kept_private() {
        let root = folder();
        let path = root.path().join("trapline/control.sock");
        let socket = Socket::bind(&path, FolderKind::Private).unwrap();
        assert_eq!(mode(path.parent().unwrap()), 0o700);
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(&path.with_file_name("control.sock.lock")), 0o600);
        drop(socket);
        assert!(!path.exists());
        fs::set_permissions(path.parent().unwrap(), fs::Permissions::from_mode(0o755)).unwrap();
        let _socket = Socket::bind(&path, FolderKind::Private).unwrap();
        assert_eq!(mode(path.parent().unwrap()), 0o700);
    }

    #[test]
    fn a_given_folder_is_taken_as_it_is() {
        let root = folder();
        let _socket = Socket::bind(&root.path().join("a.sock"), FolderKind::Given).unwrap();
        assert_eq!(mode(root.path()), 0o755);
    }

    #[test]
    fn folders_that_others_can_change_are_refused() {
        let root = folder();
        for bad in [0o777, 0o1777, 0o770, 0o702, 0o720] {
            fs::set_permissions(root.path(), fs::Permissions::from_mode(bad)).unwrap();
            for kind in [FolderKind::Private, FolderKind::Given] {
                let error = Socket::bind(&root.path().join("a.sock"), kind).unwrap_err();
                assert!(matches!(error, SocketError::Open { mode, .. } if mode == bad), "{error}");
            }
        }
        assert!(fs::read_dir(root.path()).unwrap().next().is_none());
        let error = check_folder(root.path(), 1001, 0o700, 1000).unwrap_err();
        assert!(error.to_string().contains("belongs to user 1001, not to us (user 1000)"), "{error}");
        // Root is no exception: what it finds in the folder of a user is the user's.
        assert!(check_folder(root.path(), 1001, 0o700, 0).is_err());
        assert!(check_folder(root.path(), 1000, 0o755, 1000).is_ok());
    }

    #[test]
    fn links_and_files_are_no_folders() {
        let root = folder();
        fs::create_dir(root.path().join("real")).unwrap();
        fs::write(root.path().join("file"), "").unwrap();
        symlink("real", root.path().join("link")).unwrap();
        symlink("nowhere", root.path().join("dangling")).unwrap();
        for name in ["link", "file", "dangling"] {
            let error = Socket::bind(&root.path().join(name).join("a.sock"), FolderKind::Private).unwrap_err();
            assert!(matches!(error, SocketError::NoFolder(_)), "{name}: {error}");
        }
    }

    #[test]
    fn paths_that_cannot_be_sockets_are_refused() {
        let root = folder();
        // The kernel's `sun_path` holds 108 bytes and needs no zero at its end.
        let fill = |len: usize| root.path().join("x".repeat(len - root.path().as_os_str().len() - 1));
        for (len, good) in [(107, true), (108, true), (109, false)] {
            assert_eq!(Socket::bind(&fill(len), FolderKind::Given).is_ok(), good, "{len}");
        }
        assert!(matches!(Socket::bind(Path::new("/"), FolderKind::Given), Err(SocketError::Path { .. })));
    }

    #[test]
    fn what_a_dead_process_left_is_removed_and_nothing_else() {
        let root = folder();
        let path = root.path().join("a.sock");
        leave_stale(&path);
        let socket = Socket::bind(&path, FolderKind::Given).unwrap();
        connect_now(&path).unwrap();
        drop(socket);
        fs::write(&path, "precious").unwrap();
        assert!(matches!(Socket::bind(&path, FolderKind::Given), Err(SocketError::InTheWay(_))));
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
        fs::remove_file(&path).unwrap();
        symlink("elsewhere.sock", &path).unwrap();
        assert!(matches!(Socket::bind(&path, FolderKind::Given), Err(SocketError::InTheWay(_))));
    }

    #[test]
    fn a_live_socket_is_left_alone() {
        let root = folder();
        let path = root.path().join("a.sock");
        let first = Socket::bind(&path, FolderKind::Given).unwrap();
        let error = Socket::bind(&path, FolderKind::Given).unwrap_err();
        assert!(error.to_string().ends_with("a.sock: another agent is running there"), "{error}");
        connect_now(&path).unwrap();
        drop(first);
        // One that listens without the lock is alive, too.
        let _foreign = UnixListener::bind(&path).unwrap();
        assert!(matches!(Socket::bind(&path, FolderKind::Given), Err(SocketError::InUse(_))));
        assert!(fs::symlink_metadata(&path).unwrap().file_type().is_socket());
    }

    #[test]
    fn only_our_own_file_is_removed_at_the_end() {
        let root = folder();
        let path = root.path().join("a.sock");
        let socket = Socket::bind(&path, FolderKind::Given).unwrap();
        fs::rename(&path, root.path().join("b.sock")).unwrap();
        fs::write(&path, "someone else's").unwrap();
        drop(socket);
        assert_eq!(fs::read_to_string(&path).unwrap(), "someone else's");
    }

    #[test]
    fn of_many_that_start_together_one_wins() {
        const STARTERS: usize = 8;
        for _ in 0..20 {
            let root = folder();
            let path = root.path().join("a.sock");
            leave_stale(&path);
            let barrier = Barrier::new(STARTERS);
            let start = || {
                barrier.wait();
                let socket = Socket::bind(&path, FolderKind::Given);
                barrier.wait();
                socket.is_ok()
            };
            let won = std::thread::scope(|scope| {
                let starters: Vec<_> = (0..STARTERS).map(|_| scope.spawn(start)).collect();
                starters.into_iter().map(|starter| starter.join().unwrap()).filter(|won| *won).count()
            });
            assert_eq!(won, 1);
        }
    }

    #[test]
    fn nobody_to_connect_to_is_an_error() {
        let root = folder();
        let path = root.path().join("a.sock");
        assert_eq!(connect_now(&path).unwrap_err().kind(), io::ErrorKind::NotFound);
        leave_stale(&path);
        assert_eq!(connect_now(&path).unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    }
}
