//! From raw events to events: what class, when, and which value each field has.

use std::sync::Arc;

use serde_json::{Map, Value as Json};
use trapline_vm::record::{Catalogue, ClassId, Layouts, Os, RecordHeader, RecordWriter, Slot};

use super::{FieldError, Position, RawEvent, SourceError};

/// What a decoder has seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Events decoded.
    pub events: u64,
    /// Raw events, or parts of them, that could not be decoded.
    pub refused: u64,
    /// Events without a time: theirs is 0.
    pub without_time: u64,
    /// Keys that occurred again in the same object; the last one holds.
    pub duplicate_keys: u64,
}

/// Decodes raw events. One a worker.
#[derive(Debug)]
pub struct Decoder {
    _catalogue: Arc<Catalogue>,
    counts: Counts,
}

impl Decoder {
    /// A decoder for events of this catalogue.
    pub fn new(catalogue: Arc<Catalogue>) -> Self {
        Self { _catalogue: catalogue, counts: Counts::default() }
    }

    /// Hands each event inside to `on`, in order, and each part that cannot be read.
    pub fn decode(&mut self, raw: &RawEvent, on: &mut dyn FnMut(Result<Event<'_>, SourceError>)) {
        let (_, _) = (raw, on);
    }

    /// What it has seen so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }
}

/// One decoded event.
#[derive(Debug)]
pub struct Event<'a> {
    /// What happened.
    pub class: ClassId,
    /// The supply profile its fields are checked against: `ecs`, `sysmon`, `windows-security` ...
    pub profile: &'static str,
    /// Operating system of the host it comes from, if known.
    pub os: Option<Os>,
    /// Nanoseconds since 1970; 0 if the event carries no time.
    pub time_ns: i64,
    /// Number in the stream: rises with every event.
    pub sequence: u64,
    /// Where it stands in the input.
    pub position: Position,
    _content: &'a (),
}

impl Event<'_> {
    /// The header of its record.
    pub fn header(&self, layouts: &Layouts) -> RecordHeader {
        RecordHeader {
            digest: layouts.catalogue().short_digest(),
            class: u32::from(self.class.0),
            os: self.os,
            time_ns: self.time_ns,
            sequence: self.sequence,
        }
    }

    /// Writes the wanted slots, those of appended open names included, and returns the values that did not fit
    /// their fields.
    pub fn fill(
        &self,
        writer: &mut RecordWriter<'_>,
        layouts: &Layouts,
        wants: impl Fn(Slot) -> bool,
    ) -> Vec<FieldError> {
        let (_, _, _) = (writer, layouts, wants);
        Vec::new()
    }

    /// The whole event as nested ECS, raw names under `winlog.event_data` and the like.
    pub fn to_ecs(&self) -> Map<String, Json> {
        Map::new()
    }
}
