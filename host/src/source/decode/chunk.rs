//! The records of one chunk of a Windows event log, as JSON text in the nested shape.
//!
//! The `evtx` crate reads the records and finds its way past damaged ones. This module decides what is damage, and
//! gives the crate a chunk it can work with: a header that is damaged is replaced by one that admits every record.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use evtx::{EvtxChunk, EvtxChunkHeader, ParserSettings, err::EvtxError};

use crate::source::EVENTS_PER_RAW_MAX;
use crate::source::evtx::{CHUNK_LEN, CHUNK_MAGIC};

/// Bytes of a chunk's header, tables included.
const HEADER_LEN: usize = 512;
/// Where the tables of strings and templates begin.
const TABLES_AT: usize = 128;

/// Reads chunks.
#[derive(Debug)]
pub(super) struct ChunkReader {
    settings: Arc<ParserSettings>,
}

/// A record, or what could not be read.
#[derive(Debug)]
pub(super) struct Found {
    /// The record's id; for damage, the best guess.
    pub(super) record: u64,
    pub(super) content: Result<Vec<u8>, String>,
}

impl ChunkReader {
    pub(super) fn new() -> Self {
        let settings =
            ParserSettings::default().validate_checksums(false).separate_json_attributes(false).indent(false);
        Self { settings: Arc::new(settings) }
    }

    /// All records of a chunk, and all damage. `first` is the id of its first record, 0 if not known.
    pub(super) fn read(&self, chunk: &[u8], first: u64) -> Vec<Found> {
        let mut found = Vec::new();
        let damage = |message: String| Found { record: first, content: Err(message) };
        if chunk.len() < CHUNK_LEN {
            let message = format!("the file is cut off inside a chunk, after {} of {CHUNK_LEN} bytes", chunk.len());
            found.push(damage(message));
        }
        if chunk.len() <= HEADER_LEN {
            return found;
        }
        let mut chunk = chunk.to_vec();
        match check(&chunk) {
            Health::Good => {}
            Health::Records => {
                found.push(damage("a chunk is damaged: the checksum of its records is wrong".to_owned()));
            }
            Health::Header => {
                let message = "a chunk is damaged: its header has no signature, or its checksum is wrong";
                found.push(damage(message.to_owned()));
                replace_header(&mut chunk);
            }
        }
        if chunk.len() < CHUNK_LEN {
            // The tables may point behind the end. They only save work: strings and templates are found without.
            clear_tables(&mut chunk);
        }
        // A parser of hostile bytes that is not ours: if it has a flaw that panics, the flaw costs what is left of
        // this chunk. It keeps no state between chunks that could be left broken.
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            if !self.records(&chunk, first, &mut found) {
                clear_tables(&mut chunk);
                if !self.records(&chunk, first, &mut found) {
                    found.push(damage("a chunk is damaged: its header cannot be read".to_owned()));
                }
            }
        }));
        if outcome.is_err() {
            let record = found.last().map_or(first, |last| last.record.saturating_add(1));
            let content = Err("the records of a chunk from here on cannot be read: the parser failed".to_owned());
            found.push(Found { record, content });
        }
        found.truncate(EVENTS_PER_RAW_MAX as usize);
        found
    }

    /// Appends the records; false if the chunk as a whole cannot be read.
    fn records(&self, chunk: &[u8], first: u64, found: &mut Vec<Found>) -> bool {
        let Ok(header) = EvtxChunkHeader::from_bytes(chunk) else { return false };
        let Ok(mut chunk) = EvtxChunk::new(chunk, &header, Arc::clone(&self.settings)) else { return false };
        let mut next = first;
        for record in chunk.iter() {
            let read = record.and_then(|record| record.into_json_bytes());
            let (record, content) = match read {
                Ok(record) => (record.event_record_id, Ok(record.data)),
                Err(error) => {
                    let record = match &error {
                        EvtxError::FailedToParseRecord { record_id, .. } => *record_id,
                        _ => next,
                    };
                    (record, Err(format!("a record is damaged: {}", reason(&error))))
                }
            };
            next = record.saturating_add(1);
            found.push(Found { record, content });
        }
        true
    }
}

/// The innermost cause says most.
fn reason(error: &EvtxError) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

enum Health {
    Good,
    Header,
    Records,
}

fn check(chunk: &[u8]) -> Health {
    /// The chunk is being written; its checksums are set when that is done.
    const DIRTY: u32 = 1;
    /// There are no checksums.
    const NO_CRC32: u32 = 4;
    let number =
        |at: usize| chunk.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_le_bytes);
    if !chunk.starts_with(CHUNK_MAGIC) {
        return Health::Header;
    }
    if number(120) & (DIRTY | NO_CRC32) != 0 {
        return Health::Good;
    }
    let header: Vec<u8> =
        chunk.iter().take(120).chain(chunk.iter().take(HEADER_LEN).skip(TABLES_AT)).copied().collect();
    if evtx::checksum_ieee(&header) != number(124) {
        return Health::Header;
    }
    if chunk.len() < CHUNK_LEN {
        // Reported as cut off already.
        return Health::Good;
    }
    let records = usize::try_from(number(48)).ok().and_then(|end| chunk.get(HEADER_LEN..end));
    if records.is_some_and(|records| evtx::checksum_ieee(records) == number(52)) {
        Health::Good
    } else {
        Health::Records
    }
}

/// A header that admits every record up to the end of the chunk.
fn replace_header(chunk: &mut [u8]) {
    let end = u32::try_from(chunk.len()).unwrap_or(u32::MAX).to_le_bytes();
    let mut put = |at: usize, bytes: &[u8]| {
        if let Some(place) = chunk.get_mut(at..at + bytes.len()) {
            place.copy_from_slice(bytes);
        }
    };
    put(0, CHUNK_MAGIC);
    put(8, &0u64.to_le_bytes());
    put(16, &u64::MAX.to_le_bytes());
    put(24, &0u64.to_le_bytes());
    put(32, &u64::MAX.to_le_bytes());
    put(40, &128u32.to_le_bytes());
    put(44, &end);
    put(48, &end);
    clear_tables(chunk);
}

fn clear_tables(chunk: &mut [u8]) {
    if let Some(tables) = chunk.get_mut(TABLES_AT..HEADER_LEN) {
        tables.fill(0);
    }
}
