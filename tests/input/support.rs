//! Reads inputs to the end and shows what came of them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Map, Value};
use trapline::source::{Counts, Decoder, Event, Inputs, Source, SourceError, SourceId};
use trapline_programs::catalogue::catalogue;

/// One event, taken out of the decoder.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Seen {
    pub(crate) class: String,
    pub(crate) profile: String,
    pub(crate) time_ns: i64,
    pub(crate) sequence: u64,
    pub(crate) file: String,
    pub(crate) record: u64,
    pub(crate) ecs: Map<String, Value>,
}

impl Seen {
    fn new(event: &Event<'_>) -> Self {
        Self {
            class: catalogue().class(event.class).name.clone(),
            profile: event.profile.to_owned(),
            time_ns: event.time_ns,
            sequence: event.sequence,
            file: event.position.file.to_string(),
            record: event.position.record,
            ecs: event.to_ecs(),
        }
    }

    /// The value at a dotted path.
    pub(crate) fn at(&self, path: &str) -> &Value {
        let mut parts = path.split('.');
        let first = self.ecs.get(parts.next().unwrap_or_default()).unwrap_or(&Value::Null);
        parts.fold(first, |value, part| value.get(part).unwrap_or(&Value::Null))
    }
}

/// All that came of some inputs.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) events: Vec<Seen>,
    pub(crate) errors: Vec<SourceError>,
    pub(crate) counts: Counts,
}

impl Outcome {
    /// Records of the events, and lines of the errors with their text.
    pub(crate) fn records(&self) -> Vec<u64> {
        self.events.iter().map(|event| event.record).collect()
    }

    pub(crate) fn errors(&self) -> Vec<(u64, String)> {
        self.errors.iter().map(|error| (error.position.record, error.kind.to_string())).collect()
    }
}

/// Reads inputs, handing on each event and each error.
pub(crate) fn each(paths: &[PathBuf], mut on: impl FnMut(Result<Event<'_>, SourceError>)) -> Counts {
    let mut inputs = Inputs::open(SourceId(0), paths).unwrap();
    let mut decoder = Decoder::new(Arc::clone(catalogue()));
    while let Some(raw) = inputs.next() {
        match raw {
            Ok(raw) => decoder.decode(&raw, &mut on),
            Err(error) => on(Err(error)),
        }
    }
    decoder.counts()
}

pub(crate) fn read_all(paths: &[PathBuf]) -> Outcome {
    let mut outcome = Outcome::default();
    outcome.counts = each(paths, |found| match found {
        Ok(event) => outcome.events.push(Seen::new(&event)),
        Err(error) => outcome.errors.push(error),
    });
    outcome
}

/// Reads bytes as an event log: record ids, and errors with their records.
pub(crate) fn scan_log(bytes: &[u8]) -> (Vec<u64>, Vec<(u64, String)>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.evtx");
    std::fs::write(&path, bytes).unwrap();
    let (mut records, mut errors) = (Vec::new(), Vec::new());
    each(&[path], |found| match found {
        Ok(event) => records.push(event.position.record),
        Err(error) => errors.push((error.position.record, error.kind.to_string())),
    });
    (records, errors)
}

/// Reads bytes as a file of this name.
pub(crate) fn read_bytes(name: &str, bytes: &[u8]) -> Outcome {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    read_all(&[path])
}

/// A folder of recorded events that is not part of the project; None, and a line that says so, where it is missing.
pub(crate) fn corpus(name: &str) -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let candidates = ["../shared/corpora", "../../shared/corpora"];
    let found = candidates.iter().map(|folder| root.join(folder).join(name)).find(|path| path.is_dir());
    if found.is_none() {
        println!("skipped: the corpus {name} is not here");
    }
    found
}

/// Files below a folder with this extension, sorted.
pub(crate) fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|known| known == extension) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}
