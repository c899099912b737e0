//! Where events come from: recorded files and streams, cut into raw events, and raw events decoded.
//!
//! ```text
//! files, folders, stdin ── Inputs ──► RawEvent ──────────────► Decoder ──► Event ──► RecordWriter (wanted slots)
//!    gzip, UTF-16            │        (bytes, where from)         │          └─────► to_ecs (the whole event)
//!                            └► SourceError (counted, located)    └► SourceError
//! ```
//!
//! A [`Source`] only cuts: it finds where an event (or a chunk of them) begins and ends, within bounded memory. A
//! [`Decoder`] reads what is inside, on the worker's side. Hostile bytes pass both without a panic: what cannot be
//! read is a [`SourceError`] with a [`Position`], and the events around it are read all the same.
//!
//! This is not where events are judged, and it never drops an event in silence.

mod decode;
mod error;
mod evtx;
mod input;
mod json;
pub mod live;
pub mod sensor;
mod utf16;

use std::sync::Arc;

use bytes::Bytes;

pub use decode::{Counts, Decoder, Event};
pub use error::{ErrorKind, FieldError, SourceError};
pub use input::{EXTENSIONS, InputError, Inputs, Progress};
pub use json::EVENT_BYTES_MAX;

/// Number of a source within one agent or one replay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceId(pub u16);

/// Where an event stands in what was read.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Position {
    /// Path as the user gave it or as it was found below a folder; `-` for standard input.
    pub file: Arc<str>,
    /// EVTX record id, or the line (from 1) where the JSON object starts.
    pub record: u64,
}

impl std::fmt::Display for Position {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.file, self.record)
    }
}

/// The most events one raw event can hold: a chunk of 64 KiB has room for fewer records than this.
pub const EVENTS_PER_RAW_MAX: u64 = 4096;

/// Bytes as they were received, and what is known about them without looking inside.
#[derive(Clone, Debug)]
pub struct RawEvent {
    /// Who received them.
    pub source: SourceId,
    /// Number within the source, from 0, without gaps. The events inside are numbered
    /// `sequence * EVENTS_PER_RAW_MAX + index`.
    pub sequence: u64,
    /// Where the first event stands.
    pub position: Position,
    /// The bytes.
    pub payload: Payload,
}

/// What the bytes of a raw event are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Payload {
    /// One JSON object.
    Json(Bytes),
    /// One chunk of a Windows event log: up to 64 KiB, header included.
    EvtxChunk(Bytes),
}

impl Payload {
    /// The bytes themselves.
    pub fn bytes(&self) -> &Bytes {
        match self {
            Self::Json(bytes) | Self::EvtxChunk(bytes) => bytes,
        }
    }
}

/// A stream of raw events.
pub trait Source {
    /// The next raw event, or what could not be read; None at the end. An error never ends the stream by itself.
    fn next(&mut self) -> Option<Result<RawEvent, SourceError>>;
}
