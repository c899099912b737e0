//! What is known of a process besides its number: which program it runs, with which arguments, and where.
//!
//! A value that exists and could not be read is [`Known::Lost`], which is not the same as a value that there is none
//! of. Text that is not UTF-8 is kept with a sign in place of what is not; it is not lost for that.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes of a command line that an event carries.
pub(super) const LINE_BYTES_MAX: usize = 128 * 1024;
/// Bytes of a command line that are kept for the events of children.
pub(super) const KEPT_LINE_BYTES_MAX: usize = 4096;
/// Bytes of a path.
pub(super) const PATH_BYTES_MAX: usize = 4096;

/// A value, as far as it is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Known<T> {
    /// This.
    Is(T),
    /// There is none.
    None,
    /// There may be one. It could not be read, or not in time.
    #[default]
    Lost,
}

impl<T> Known<T> {
    pub(super) fn is(&self) -> Option<&T> {
        match self {
            Self::Is(value) => Some(value),
            Self::None | Self::Lost => None,
        }
    }

    pub(super) fn is_lost(&self) -> bool {
        matches!(self, Self::Lost)
    }
}

/// Arguments, the program itself first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CommandLine {
    /// With a NUL between, as the kernel has them: no argument can contain one.
    text: Box<str>,
    /// How many there are in all, if that is known.
    count: Option<usize>,
    /// Whether `text` is only the beginning.
    cut: bool,
}

impl CommandLine {
    /// From what `/proc/PID/cmdline` holds: each argument with a NUL behind it. Nothing if there are none. What is
    /// longer than [`LINE_BYTES_MAX`] is cut.
    pub(super) fn from_raw(raw: &[u8]) -> Option<Self> {
        if raw.is_empty() {
            return None;
        }
        let cut = raw.len() > LINE_BYTES_MAX;
        let raw = raw.get(..LINE_BYTES_MAX).unwrap_or(raw);
        // A process that wrote over its arguments may have left no NUL behind.
        let raw = if cut { raw } else { raw.strip_suffix(&[0]).unwrap_or(raw) };
        let count = (!cut).then(|| memchr::memchr_iter(0, raw).count() + 1);
        Some(Self { text: String::from_utf8_lossy(raw).into(), count, cut })
    }

    /// The same, not longer than this.
    pub(super) fn shortened(&self, bytes_max: usize) -> Self {
        if self.text.len() <= bytes_max {
            return self.clone();
        }
        let end = self.text.floor_char_boundary(bytes_max);
        Self { text: self.text.get(..end).unwrap_or_default().into(), count: self.count, cut: true }
    }

    /// Each argument that is known, the last perhaps only in part.
    pub(super) fn arguments(&self) -> impl Iterator<Item = &str> {
        self.text.split('\0')
    }

    /// In one line: blanks between, as the kernel's own tools show it.
    pub(super) fn line(&self) -> String {
        self.text.replace('\0', " ")
    }

    /// How many arguments there are, if that is known.
    pub(super) fn count(&self) -> Option<usize> {
        self.count
    }

    /// Whether what is known is only the beginning.
    pub(super) fn is_cut(&self) -> bool {
        self.cut
    }
}

/// What a process runs. Processes that one another made share it until one of them runs another program.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Image {
    /// Last component of the executable's path. A thread of the kernel has no executable, but a name.
    pub(super) name: Known<Box<str>>,
    /// Path of the executable.
    pub(super) executable: Known<Box<str>>,
    /// Its arguments.
    pub(super) line: Known<CommandLine>,
}

impl Image {
    /// With the name that follows from the executable.
    pub(super) fn new(executable: Known<Box<str>>, line: Known<CommandLine>) -> Self {
        let name = match &executable {
            Known::Is(path) => path
                .rsplit('/')
                .next()
                .filter(|name| !name.is_empty())
                .map_or(Known::None, |name| Known::Is(name.into())),
            Known::None => Known::None,
            Known::Lost => Known::Lost,
        };
        Self { name, executable, line }
    }

    fn bytes(&self) -> usize {
        let text = |value: &Known<Box<str>>| value.is().map_or(0, |text| text.len());
        text(&self.name) + text(&self.executable) + self.line.is().map_or(0, |line| line.text.len())
    }
}

/// An image that a [`Store`] has room for.
#[derive(Debug)]
pub(super) struct Kept {
    image: Image,
    bytes: usize,
    used: Arc<AtomicUsize>,
}

impl std::ops::Deref for Kept {
    type Target = Image;

    fn deref(&self) -> &Image {
        &self.image
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// Keeps images, with a limit on all of them together.
#[derive(Debug)]
pub(super) struct Store {
    used: Arc<AtomicUsize>,
    bytes_max: usize,
}

impl Store {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { used: Arc::default(), bytes_max }
    }

    /// Keeps an image, its command line not longer than [`KEPT_LINE_BYTES_MAX`]. What there is no room for is lost.
    pub(super) fn keep(&self, image: &Image) -> Arc<Kept> {
        let line = match &image.line {
            Known::Is(line) => Known::Is(line.shortened(KEPT_LINE_BYTES_MAX)),
            Known::None => Known::None,
            Known::Lost => Known::Lost,
        };
        let mut image = Image { name: image.name.clone(), executable: image.executable.clone(), line };
        let room = self.bytes_max.saturating_sub(self.used.load(Ordering::Relaxed));
        if image.bytes() > room && image.line.is().is_some() {
            image.line = Known::Lost;
        }
        if image.bytes() > room {
            image = Image::default();
        }
        let bytes = image.bytes();
        self.used.fetch_add(bytes, Ordering::Relaxed);
        Arc::new(Kept { image, bytes, used: Arc::clone(&self.used) })
    }

    /// Bytes in use.
    #[cfg(test)]
    pub(super) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(raw: &[u8]) -> Option<(Vec<String>, Option<usize>)> {
        let line = CommandLine::from_raw(raw)?;
        Some((line.arguments().map(str::to_owned).collect(), line.count()))
    }

    fn some(words: &[&str]) -> Option<(Vec<String>, Option<usize>)> {
        Some((words.iter().map(|word| (*word).to_owned()).collect(), Some(words.len())))
    }

    #[test]
    fn arguments_of_what_the_kernel_says() {
        assert_eq!(arguments(b""), None);
        assert_eq!(arguments(b"\0"), some(&[""]));
        assert_eq!(arguments(b"sh\0-c\0id; uname -a\0"), some(&["sh", "-c", "id; uname -a"]));
        assert_eq!(arguments(b"x\0\0\0"), some(&["x", "", ""]));
        assert_eq!(arguments(b"sshd: alice [priv]"), some(&["sshd: alice [priv]"]));
        assert_eq!(arguments(b"caf\xe9\0"), some(&["caf\u{fffd}"]));
        assert_eq!(CommandLine::from_raw(b"sh\0-c\0id\0").unwrap().line(), "sh -c id");
    }

    #[test]
    fn a_long_line_is_cut_and_says_so() {
        for (length, cut) in [(LINE_BYTES_MAX - 1, false), (LINE_BYTES_MAX, false), (LINE_BYTES_MAX + 1, true)] {
            let line = CommandLine::from_raw(&vec![b'x'; length]).unwrap();
            assert_eq!((line.is_cut(), line.count()), (cut, (!cut).then_some(1)), "{length}");
            assert_eq!(line.line().len(), length.min(LINE_BYTES_MAX));
        }
        let line = CommandLine::from_raw("caf\u{e9}\0-x\0".as_bytes()).unwrap();
        for (max, text, cut) in [(8, "caf\u{e9} -x", false), (7, "caf\u{e9} -", true), (4, "caf", true), (0, "", true)]
        {
            let short = line.shortened(max);
            assert_eq!((short.line().as_str(), short.is_cut(), short.count()), (text, cut, Some(2)), "{max}");
        }
    }

    #[test]
    fn names_follow_from_paths() {
        let name = |path: &str| Image::new(Known::Is(path.into()), Known::None).name;
        assert_eq!(name("/usr/bin/bash"), Known::Is("bash".into()));
        assert_eq!(name("/memfd:x"), Known::Is("memfd:x".into()));
        assert_eq!(name("/"), Known::None);
        assert_eq!(Image::new(Known::Lost, Known::None).name, Known::Lost);
    }

    #[test]
    fn images_beyond_the_limit_are_lost() {
        let line = CommandLine::from_raw(b"0123456789\0").unwrap();
        let image = Image::new(Known::Is("/bin/x".into()), Known::Is(line));
        let all = 6 + 1 + 10;
        for (limit, line, executable) in
            [(all + 1, true, true), (all, true, true), (all - 1, false, true), (7, false, true), (6, false, false)]
        {
            let store = Store::new(limit);
            let kept = store.keep(&image);
            assert_eq!((!kept.line.is_lost(), !kept.executable.is_lost()), (line, executable), "{limit}");
            assert!(store.used() <= limit);
            drop(kept);
            assert_eq!(store.used(), 0);
        }
        // Of a long line the beginning is kept.
        for (length, cut) in [(KEPT_LINE_BYTES_MAX, false), (KEPT_LINE_BYTES_MAX + 1, true)] {
            let line = CommandLine::from_raw(&vec![b'x'; length]).unwrap();
            let kept = Store::new(1 << 20).keep(&Image::new(Known::None, Known::Is(line)));
            let kept = kept.line.is().unwrap();
            assert_eq!((kept.is_cut(), kept.line().len()), (cut, KEPT_LINE_BYTES_MAX));
        }
    }
}
