//! Where the control socket is, and what files are called over it. Client and server come to the same answer.

use std::io;
use std::path::{Path, PathBuf};

/// Where an agent of root listens.
pub const SYSTEM: &str = "/run/trapline/control.sock";

/// Where the control socket is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its path.
    pub path: PathBuf,
    /// Whether someone chose it, rather than we.
    pub given: bool,
}

impl Place {
    /// The given path, or else the usual one of this user.
    pub fn choose(given: Option<&Path>) -> io::Result<Self> {
        Ok(match given {
            Some(path) => Self { path: std::path::absolute(path)?, given: true },
            None => Self { path: usual(), given: false },
        })
    }
}

#[cfg(unix)]
fn usual() -> PathBuf {
    use std::os::unix::fs::MetadataExt as _;

    let user = crate::sys::unix::peer::own_user();
    // After `su` the variable may name the folder of another user.
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    let runtime = runtime.filter(|folder| std::fs::metadata(folder).is_ok_and(|found| found.uid() == user));
    usual_of(user, runtime.as_deref())
}

#[cfg(not(unix))]
fn usual() -> PathBuf {
    PathBuf::from(SYSTEM)
}

/// The usual path of a user, whose own folder for sockets is known or not.
#[cfg_attr(not(unix), expect(dead_code, reason = "there are no such sockets"))]
fn usual_of(user: u32, runtime: Option<&Path>) -> PathBuf {
    match runtime.filter(|folder| folder.is_absolute()) {
        _ if user == 0 => PathBuf::from(SYSTEM),
        Some(folder) => folder.join("trapline/control.sock"),
        None => PathBuf::from(format!("/tmp/trapline-{user}/control.sock")),
    }
}

/// What a file of rules is called between client and agent: its absolute path, through no links to folders and without
/// `..`, so that `load` and `unload` mean the same file from wherever they are called. The file itself may be gone.
pub fn file_name(path: &Path) -> io::Result<String> {
    let path = std::path::absolute(path)?;
    let resolved = match (path.parent(), path.file_name()) {
        (Some(folder), Some(name)) => folder.canonicalize().map(|folder| folder.join(name)).unwrap_or(path),
        _ => path,
    };
    Ok(resolved.display().to_string())
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn each_user_has_a_place() {
        let run = Some(Path::new("/run/user/1000"));
        assert_eq!(usual_of(0, run), Path::new(SYSTEM));
        assert_eq!(usual_of(1000, run), Path::new("/run/user/1000/trapline/control.sock"));
        assert_eq!(usual_of(1000, None), Path::new("/tmp/trapline-1000/control.sock"));
        assert_eq!(usual_of(1000, Some(Path::new("relative"))), Path::new("/tmp/trapline-1000/control.sock"));
    }

    #[test]
    fn what_is_given_is_made_absolute() {
        let place = Place::choose(Some(Path::new("x/c.sock"))).unwrap();
        assert!(place.given && place.path.is_absolute() && place.path.ends_with("x/c.sock"));
        assert!(!Place::choose(None).unwrap().given);
    }

    #[test]
    fn a_file_has_one_name_from_everywhere() {
        let root = tempfile::tempdir().unwrap();
        let real = root.path().canonicalize().unwrap();
        std::fs::create_dir_all(real.join("a/b")).unwrap();
        std::os::unix::fs::symlink("a", real.join("link")).unwrap();
        let name = real.join("a/x.trap").display().to_string();
        for path in ["a/x.trap", "a/./x.trap", "a/b/../x.trap", "link/x.trap"] {
            assert_eq!(file_name(&root.path().join(path)).unwrap(), name);
        }
        assert_eq!(file_name(&real.join("gone/x.trap")).unwrap(), real.join("gone/x.trap").display().to_string());
        assert_eq!(file_name(Path::new("/")).unwrap(), "/");
    }
}
