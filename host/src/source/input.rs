//! The inputs of a replay: files, folders and standard input, one after the other, as one stream of raw events.
//!
//! What a file is follows from its first bytes, not from its name: gzip is unpacked, UTF-16 becomes UTF-8, a Windows
//! event log is read in chunks, all else is JSON. Names matter only when a folder is searched ([`EXTENSIONS`]), and
//! for an event log so damaged that its first bytes say nothing.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::read::MultiGzDecoder;

use super::evtx::{self, Chunks};
use super::json::Framer;
use super::utf16::{Endian, Utf16};
use super::{ErrorKind, Payload, Position, RawEvent, Source, SourceError, SourceId};

/// Extensions of files that are read when a folder is searched, each also with `.gz` behind it. Files ending in
/// `.log` are read if they begin as JSON does.
pub const EXTENSIONS: [&str; 5] = ["evtx", "json", "jsonl", "ndjson", "log"];

/// Depth to which folders are searched.
const FOLDER_DEPTH_MAX: usize = 64;

/// An input that cannot be opened at all.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {}: {error}", path.display())]
pub struct InputError {
    /// The path as given.
    pub path: PathBuf,
    /// What the system says.
    pub error: io::Error,
}

/// How far reading has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Bytes read so far (of compressed files: compressed bytes).
    pub bytes_done: u64,
    /// Bytes of all inputs together; None when one of them is a stream.
    pub bytes_total: Option<u64>,
    /// Files that were opened.
    pub files_done: usize,
    /// Files found.
    pub files_total: usize,
}

/// Files, folders (searched recursively, in sorted order) and `-` for standard input.
#[derive(Debug)]
pub struct Inputs {
    source: SourceId,
    waiting: VecDeque<Entry>,
    current: Option<Reading>,
    sequence: u64,
    bytes_done: Arc<AtomicU64>,
    progress: Progress,
}

#[derive(Debug)]
enum Entry {
    Stdin,
    File {
        path: PathBuf,
        /// Found in a folder, not named by the user.
        found: bool,
    },
    /// A folder below a named one that cannot be searched.
    Unsearchable {
        path: PathBuf,
        message: String,
    },
}

#[derive(Debug)]
struct Reading {
    file: Arc<str>,
    content: Content,
}

enum Content {
    Json(Box<Framer<Box<dyn Read + Send>>>),
    Evtx(Chunks<Box<dyn Read + Send>>),
    /// Only this is to be said of it.
    Refused(Option<ErrorKind>),
}

impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Json(_) => "Json",
            Self::Evtx(_) => "Evtx",
            Self::Refused(_) => "Refused",
        })
    }
}

impl Inputs {
    /// Finds the files. Fails for a path that does not exist or cannot be opened; files found in folders that cannot
    /// be opened later are a [`SourceError`] of the stream.
    pub fn open(source: SourceId, paths: &[PathBuf]) -> Result<Self, InputError> {
        let mut waiting = VecDeque::new();
        let mut progress = Progress { bytes_total: Some(0), ..Progress::default() };
        for path in paths {
            let failed = |error| InputError { path: path.clone(), error };
            if path.as_os_str() == "-" {
                waiting.push_back(Entry::Stdin);
                progress.bytes_total = None;
                continue;
            }
            let metadata = std::fs::metadata(path).map_err(failed)?;
            if metadata.is_dir() {
                std::fs::read_dir(path).map_err(failed)?;
                search(path, FOLDER_DEPTH_MAX, &mut waiting);
            } else {
                if metadata.is_file() {
                    // A pipe would lose its writer.
                    File::open(path).map_err(failed)?;
                }
                waiting.push_back(Entry::File { path: path.clone(), found: false });
            }
        }
        for entry in &waiting {
            let Entry::File { path, .. } = entry else { continue };
            // Pipes and the like have no length; a file that went away is reported when its turn comes.
            let len = std::fs::metadata(path).ok().filter(|metadata| metadata.is_file()).map(|metadata| metadata.len());
            progress.bytes_total = progress.bytes_total.zip(len).map(|(total, len)| total.saturating_add(len));
        }
        progress.files_total = waiting.iter().filter(|entry| !matches!(entry, Entry::Unsearchable { .. })).count();
        Ok(Self { source, waiting, current: None, sequence: 0, bytes_done: Arc::default(), progress })
    }

    /// How far reading has come.
    pub fn progress(&self) -> Progress {
        Progress { bytes_done: self.bytes_done.load(Ordering::Relaxed), ..self.progress }
    }

    /// Whether this is one of the files that are still to be read, by whatever name.
    pub fn includes(&self, path: &Path) -> bool {
        let Ok(path) = path.canonicalize() else { return false };
        let is_same = |known: &Path| known.canonicalize().is_ok_and(|known| known == path);
        let mut waiting = self.waiting.iter();
        path.is_file() && waiting.any(|entry| matches!(entry, Entry::File { path, .. } if is_same(path)))
    }

    fn start(&mut self, entry: Entry) -> Reading {
        let (path, found) = match &entry {
            Entry::Stdin => (Path::new("-"), false),
            Entry::File { path, found } => (path.as_path(), *found),
            Entry::Unsearchable { path, .. } => (path.as_path(), false),
        };
        let file = Arc::from(path.to_string_lossy());
        let content = match &entry {
            Entry::Unsearchable { message, .. } => Content::Refused(Some(ErrorKind::Read { message: message.clone() })),
            Entry::Stdin => self.recognise(Box::new(io::stdin()), path, found),
            Entry::File { .. } => match File::open(path) {
                Ok(file) => self.recognise(Box::new(file), path, found),
                Err(error) => Content::Refused(Some(ErrorKind::Read { message: error.to_string() })),
            },
        };
        if !matches!(entry, Entry::Unsearchable { .. }) {
            self.progress.files_done += 1;
        }
        Reading { file, content }
    }

    /// Looks at the first bytes.
    fn recognise(&self, reader: Box<dyn Read + Send>, path: &Path, found: bool) -> Content {
        let counted = Counted { reader, bytes: Arc::clone(&self.bytes_done) };
        let mut peeked = Peeked::new(Box::new(counted) as Box<dyn Read + Send>);
        if peeked.head.starts_with(b"\x1f\x8b") {
            peeked = Peeked::new(Box::new(MultiGzDecoder::new(peeked)));
        }
        let head = peeked.head.as_slice();
        let name = path.file_name().map(|name| name.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
        let name = name.strip_suffix(".gz").unwrap_or(&name);
        let text = head.trim_ascii_start();
        let begins_as_json = matches!(text.first(), Some(b'{' | b'['));
        if let Some(format) = foreign(head) {
            return Content::Refused(Some(ErrorKind::Format { format }));
        }
        if evtx::is_event_log(head) || (name.ends_with(".evtx") && !begins_as_json) {
            if !cfg!(feature = "evtx") {
                let format = "a Windows event log (built without the feature `evtx`)";
                return Content::Refused(Some(ErrorKind::Format { format }));
            }
            return Content::Evtx(Chunks::new(Box::new(peeked)));
        }
        if let Some((endian, mark_len)) = Endian::of(head) {
            let reader = Utf16::new(peeked.skip(mark_len), endian);
            return Content::Json(Box::new(Framer::new(Box::new(reader))));
        }
        let with_mark = text.starts_with(b"\xef\xbb\xbf");
        if found && name.ends_with(".log") && !begins_as_json && !with_mark {
            return Content::Refused(None);
        }
        Content::Json(Box::new(Framer::new(Box::new(peeked))))
    }
}

impl Source for Inputs {
    fn next(&mut self) -> Option<Result<RawEvent, SourceError>> {
        loop {
            let Some(reading) = &mut self.current else {
                let entry = self.waiting.pop_front()?;
                self.current = Some(self.start(entry));
                continue;
            };
            let found = match &mut reading.content {
                Content::Json(framer) => framer.next().map(|frame| (frame.line, frame.content.map(Payload::Json))),
                Content::Evtx(chunks) => chunks.next().map(|(record, chunk)| (record, chunk.map(Payload::EvtxChunk))),
                Content::Refused(kind) => kind.take().map(|kind| (0, Err(kind))),
            };
            let Some((record, content)) = found else {
                self.current = None;
                continue;
            };
            let position = Position { file: Arc::clone(&reading.file), record };
            return Some(match content {
                Err(kind) => Err(SourceError { position, kind }),
                Ok(payload) => {
                    let sequence = self.sequence;
                    self.sequence += 1;
                    Ok(RawEvent { source: self.source, sequence, position, payload })
                }
            });
        }
    }
}

/// Finds files by their extension, in sorted order. Links to folders are not followed, so this ends.
fn search(folder: &Path, depth: usize, into: &mut VecDeque<Entry>) {
    let unsearchable = |message: String| Entry::Unsearchable { path: folder.to_owned(), message };
    if depth == 0 {
        into.push_back(unsearchable("folders are nested too deeply".to_owned()));
        return;
    }
    let entries = std::fs::read_dir(folder).and_then(Iterator::collect::<io::Result<Vec<_>>>);
    let mut entries = match entries {
        Ok(entries) => entries,
        Err(error) => {
            into.push_back(unsearchable(error.to_string()));
            return;
        }
    };
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        if entry.file_type().is_ok_and(|ty| ty.is_dir()) {
            search(&path, depth - 1, into);
        } else if has_known_extension(&path) && path.is_file() {
            into.push_back(Entry::File { path, found: true });
        }
    }
}

fn has_known_extension(path: &Path) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    name.rsplit_once('.').is_some_and(|(_, extension)| EXTENSIONS.contains(&extension))
}

/// Formats that are told by their first bytes and not read.
fn foreign(head: &[u8]) -> Option<&'static str> {
    const MAGIC: [(&[u8], &str); 6] = [
        (b"\x28\xb5\x2f\xfd", "zstd compression (unpack it and pipe it in: `zstdcat FILE | trapline replay -`)"),
        (b"\x1f\x8b", "gzip within gzip"),
        (b"BZh", "bzip2 compression (unpack it and pipe it in: `bzcat FILE | trapline replay -`)"),
        (b"\xfd7zXZ\0", "xz compression (unpack it and pipe it in: `xzcat FILE | trapline replay -`)"),
        (b"PK\x03\x04", "a zip archive"),
        (b"\xff\xfe\0\0", "UTF-32"),
    ];
    if let Some((_, format)) = MAGIC.iter().find(|(magic, _)| head.starts_with(magic)) {
        return Some(format);
    }
    let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start();
    (text.starts_with(b"<?xml") || text.starts_with(b"<Event")).then_some("XML")
}

/// Counts what passes.
struct Counted<R> {
    reader: R,
    bytes: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let len = self.reader.read(into)?;
        self.bytes.fetch_add(len as u64, Ordering::Relaxed);
        Ok(len)
    }
}

/// A reader whose first bytes were looked at.
struct Peeked<R> {
    head: Vec<u8>,
    given: usize,
    /// What ended the looking; it comes after the first bytes.
    failed: Option<io::Error>,
    reader: R,
}

impl<R: Read> Peeked<R> {
    fn new(mut reader: R) -> Self {
        let mut head = Vec::new();
        let failed = reader.by_ref().take(evtx::RECOGNISED_BY_LEN as u64).read_to_end(&mut head).err();
        Self { head, given: 0, failed, reader }
    }

    /// Without the first bytes.
    fn skip(mut self, len: usize) -> Self {
        self.given = len.min(self.head.len());
        self
    }
}

impl<R: Read> Read for Peeked<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let rest = self.head.get(self.given..).unwrap_or_default();
        if rest.is_empty() {
            if let Some(error) = self.failed.take() {
                return Err(error);
            }
            return self.reader.read(into);
        }
        let len = rest.len().min(into.len());
        into[..len].copy_from_slice(&rest[..len]);
        self.given += len;
        Ok(len)
    }
}
