//! The records of one chunk of a Windows event log, as JSON text in the nested shape.
//!
//! The `evtx` crate reads the records and finds its way past damaged ones. This module decides what is damage, and
//! gives the crate a chunk it can work with: a header that is damaged is replaced by one made from the records.

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
        if !chunk.starts_with(CHUNK_MAGIC) {
            found.push(damage("a chunk is damaged: its header has no signature".to_owned()));
            if let Some(place) = chunk.get_mut(..CHUNK_MAGIC.len()) {
                place.copy_from_slice(CHUNK_MAGIC);
            }
            if !header_is_sound(&chunk) {
                mend_header(&mut chunk);
            }
        } else if !header_is_sound(&chunk) {
            found.push(damage("a chunk is damaged: its header is not what was written".to_owned()));
            mend_header(&mut chunk);
        } else if !records_are_sound(&chunk) {
            found.push(damage("a chunk is damaged: the checksum of its records is wrong".to_owned()));
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

/// The flag of chunks without checksums. Another flag is said to mean that the chunk was not closed, but chunks that
/// Windows exports carry it and have good checksums.
const NO_CRC32: u32 = 4;

fn number(chunk: &[u8], at: usize) -> u32 {
    chunk.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_le_bytes)
}

fn offset(chunk: &[u8], at: usize) -> usize {
    usize::try_from(number(chunk, at)).unwrap_or(usize::MAX)
}

fn id(chunk: &[u8], at: usize) -> u64 {
    chunk.get(at..at + 8).and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_le_bytes)
}

fn header_is_sound(chunk: &[u8]) -> bool {
    if number(chunk, 120) & NO_CRC32 != 0 {
        let (last_at, free_space) = (offset(chunk, 44), offset(chunk, 48));
        return id(chunk, 24) <= id(chunk, 32)
            && last_at <= free_space
            && (HEADER_LEN..=CHUNK_LEN).contains(&free_space);
    }
    let covered = chunk.iter().take(120).chain(chunk.iter().take(HEADER_LEN).skip(TABLES_AT));
    evtx::checksum_ieee(&covered.copied().collect::<Vec<u8>>()) == number(chunk, 124)
}

fn records_are_sound(chunk: &[u8]) -> bool {
    // A chunk that is cut off is reported as such.
    if number(chunk, 120) & NO_CRC32 != 0 || chunk.len() < CHUNK_LEN {
        return true;
    }
    let records = chunk.get(HEADER_LEN..offset(chunk, 48));
    records.is_some_and(|records| evtx::checksum_ieee(records) == number(chunk, 52))
}

/// Makes a damaged header from the records themselves. Where they agree with what it says of them, that stays: only
/// the header tells the records from those of an earlier use of the file.
fn mend_header(chunk: &mut [u8]) {
    clear_tables(chunk);
    let said = chunk.get(..offset(chunk, 48)).map(Extent::of);
    if said.is_some_and(|said| {
        (said.last, said.last_at, said.end) == (id(chunk, 32), offset(chunk, 44), offset(chunk, 48))
    }) {
        return;
    }
    let extent = Extent::of(chunk);
    let mut put = |at: usize, bytes: &[u8]| {
        if let Some(place) = chunk.get_mut(at..at + bytes.len()) {
            place.copy_from_slice(bytes);
        }
    };
    let offset_bytes = |at: usize| u32::try_from(at).unwrap_or(u32::MAX).to_le_bytes();
    put(0, CHUNK_MAGIC);
    put(8, &extent.first.to_le_bytes());
    put(16, &extent.last.to_le_bytes());
    put(24, &extent.first.to_le_bytes());
    put(32, &extent.last.to_le_bytes());
    put(40, &128u32.to_le_bytes());
    put(44, &offset_bytes(extent.last_at));
    put(48, &offset_bytes(extent.end));
}

/// Where the records of a chunk lie, told by their framing alone.
#[derive(Debug, PartialEq, Eq)]
struct Extent {
    first: u64,
    last: u64,
    /// Where the last record begins.
    last_at: usize,
    end: usize,
}

impl Extent {
    /// Ids rise along a chunk. Behind its last record, older ones may be left of an earlier use of the file; ids that
    /// do not rise, or leap, are theirs.
    fn of(chunk: &[u8]) -> Self {
        const MAGIC: &[u8] = b"\x2a\x2a\0\0";
        const RECORD_LEN_MIN: usize = 28;
        const LEAP_MAX: u64 = EVENTS_PER_RAW_MAX;
        let size = |at: usize| chunk.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map(u32::from_le_bytes);
        let record = |at: usize| {
            let len = usize::try_from(size(at + 4)?).ok().filter(|len| *len >= RECORD_LEN_MIN)?;
            let id = u64::from_le_bytes(chunk.get(at + 8..at + 16)?.try_into().ok()?);
            let sound = chunk.get(at..at + 4)? == MAGIC && size(at.checked_add(len)? - 4) == size(at + 4);
            sound.then_some((id, at + len))
        };
        let mut extent: Option<Self> = None;
        let mut at = HEADER_LEN;
        while at < chunk.len() {
            let follows = |id: u64| extent.as_ref().is_none_or(|known| id > known.last && id - known.last <= LEAP_MAX);
            match record(at).filter(|(id, _)| follows(*id)) {
                Some((id, end)) => {
                    let first = extent.map_or(id, |known| known.first);
                    extent = Some(Self { first, last: id, last_at: at, end });
                    at = end;
                }
                // Records begin at multiples of eight.
                None => at = (at + 1).next_multiple_of(8),
            }
        }
        extent.unwrap_or(Self { first: 0, last: 0, last_at: HEADER_LEN, end: HEADER_LEN })
    }
}

fn clear_tables(chunk: &mut [u8]) {
    if let Some(tables) = chunk.get_mut(TABLES_AT..HEADER_LEN) {
        tables.fill(0);
    }
}
