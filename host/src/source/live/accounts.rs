//! Names of users and groups, from `/etc/passwd` and `/etc/group`.
//!
//! The files are read here and not through the system's name service: that may ask a server, and a sensor that waits
//! for a server misses what happens meanwhile. Users that only a server knows have a number and no name.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read as _;
use std::path::PathBuf;
use std::time::SystemTime;

/// Bytes of a file that are read.
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// The names in one of the two files, which is read again when it has changed.
#[derive(Debug)]
pub(super) struct Names {
    file: PathBuf,
    read: Option<SystemTime>,
    by_id: HashMap<u32, Box<str>>,
}

impl Names {
    /// Those in a file of the form `name:password:number:...`.
    pub(super) fn new(file: impl Into<PathBuf>) -> Self {
        let mut names = Self { file: file.into(), read: None, by_id: HashMap::new() };
        names.refresh();
        names
    }

    pub(super) fn get(&self, id: u32) -> Option<&str> {
        self.by_id.get(&id).map(AsRef::as_ref)
    }

    /// Reads the file again if it has another time than when it was read. A file that cannot be read leaves what is
    /// known.
    pub(super) fn refresh(&mut self) {
        let modified = std::fs::metadata(&self.file).and_then(|file| file.modified()).ok();
        if modified.is_none() || modified == self.read {
            return;
        }
        let mut bytes = Vec::new();
        let file = File::open(&self.file);
        if file.is_ok_and(|file| file.take(FILE_BYTES_MAX).read_to_end(&mut bytes).is_ok()) {
            self.by_id = parse(&bytes);
            self.read = modified;
        }
    }
}

/// The first name of each number.
fn parse(bytes: &[u8]) -> HashMap<u32, Box<str>> {
    let mut names = HashMap::new();
    for line in bytes.split(|byte| *byte == b'\n') {
        let mut fields = line.split(|byte| *byte == b':');
        let (name, id) = (fields.next(), fields.nth(1));
        let id = id.and_then(|id| std::str::from_utf8(id).ok()?.parse().ok());
        if let (Some(name), Some(id)) = (name.filter(|name| !name.is_empty()), id) {
            names.entry(id).or_insert_with(|| String::from_utf8_lossy(name).into());
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_by_number() {
        let names =
            parse(b"root:x:0:0:root:/root:/bin/bash\ntoor:x:0:\n\n#x\n:x:7:\nbad:x:no\nalice:x:1000\nb\xff:x:8:");
        let sorted: std::collections::BTreeMap<_, _> = names.iter().map(|(id, name)| (*id, name.as_ref())).collect();
        assert_eq!(sorted.into_iter().collect::<Vec<_>>(), [(0, "root"), (8, "b\u{fffd}"), (1000, "alice")]);
    }

    #[test]
    fn a_changed_file_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("passwd");
        assert_eq!(Names::new(&path).get(0), None, "no file, no names");
        std::fs::write(&path, "alice:x:1:\n").unwrap();
        let mut names = Names::new(&path);
        assert_eq!(names.get(1), Some("alice"));
        std::fs::write(&path, "bob:x:1:\n").unwrap();
        let later = SystemTime::now() + std::time::Duration::from_secs(5);
        File::options().write(true).open(&path).unwrap().set_modified(later).unwrap();
        names.refresh();
        assert_eq!(names.get(1), Some("bob"));
        std::fs::remove_file(&path).unwrap();
        names.refresh();
        assert_eq!(names.get(1), Some("bob"));
    }
}
