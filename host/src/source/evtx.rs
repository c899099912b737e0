//! Windows event log files, cut into chunks.
//!
//! ```text
//! 0     file header, 4 KiB: "ElfFile\0" ... checksum
//! 4096  chunk, 64 KiB: "ElfChnk\0", header of 512 bytes, records, free space
//! ...   more chunks, each complete in itself
//! ```
//!
//! A chunk can be read without the rest of the file, so the file header is only checked: neither its damage nor a
//! count of chunks that is too low (a log that was not closed) hides a record. One that is too high tells that the
//! file was cut off between two chunks. Chunks come in the order of the file; in a log
//! that has wrapped around, the oldest records are not in the first one.

use std::io::{self, Read};

use bytes::{Bytes, BytesMut};

use super::ErrorKind;

/// Bytes of the file header.
const FILE_HEADER_LEN: usize = 4096;
/// Bytes of a chunk.
pub(super) const CHUNK_LEN: usize = 64 * 1024;
/// What a file begins with.
const FILE_MAGIC: &[u8] = b"ElfFile\0";
/// What a chunk begins with.
pub(super) const CHUNK_MAGIC: &[u8] = b"ElfChnk\0";
/// How much of a file must be seen to recognise it.
pub(super) const RECOGNISED_BY_LEN: usize = FILE_HEADER_LEN + CHUNK_MAGIC.len();

/// Whether a file that begins like this is an event log, maybe with a damaged header.
pub(super) fn is_event_log(head: &[u8]) -> bool {
    head.starts_with(FILE_MAGIC) || head.get(FILE_HEADER_LEN..).is_some_and(|rest| rest.starts_with(CHUNK_MAGIC))
}

/// The chunks of an event log.
#[derive(Debug)]
pub(super) struct Chunks<R> {
    reader: R,
    in_header: bool,
    ended: bool,
    /// How many chunks there should be, as far as a sound header tells.
    promised: u64,
    /// How many there were.
    seen: u64,
    /// Why reading ended, if not yet said.
    failed: Option<io::Error>,
}

impl<R: Read> Chunks<R> {
    pub(super) fn new(reader: R) -> Self {
        Self { reader, in_header: true, ended: false, promised: 0, seen: 0, failed: None }
    }

    /// The next chunk with the id of its first record; the last chunk may be shorter than [`CHUNK_LEN`]. Chunks that
    /// were never used (all zero) are passed over.
    pub(super) fn next(&mut self) -> Option<(u64, Result<Bytes, ErrorKind>)> {
        while !self.ended {
            let bytes = self.fill(if self.in_header { FILE_HEADER_LEN } else { CHUNK_LEN });
            if std::mem::take(&mut self.in_header) {
                self.ended = bytes.len() < FILE_HEADER_LEN;
                if let Some(message) = header_damage(&bytes) {
                    return Some((0, Err(ErrorKind::Evtx { message })));
                }
                self.promised = chunk_count(&bytes);
                continue;
            }
            self.ended = bytes.len() < CHUNK_LEN;
            self.seen += 1;
            if self.ended {
                // A chunk that is cut off says so itself.
                self.seen = if bytes.is_empty() { self.seen - 1 } else { self.promised };
            }
            if bytes.iter().any(|byte| *byte != 0) {
                return Some((first_record(&bytes), Ok(bytes)));
            }
        }
        let promised = std::mem::take(&mut self.promised);
        if let Some(error) = self.failed.take() {
            return Some((0, Err(ErrorKind::Read { message: error.to_string() })));
        }
        let message = format!("the file is cut off: {} of {promised} chunks are there", self.seen);
        (self.seen < promised).then_some((0, Err(ErrorKind::Evtx { message })))
    }

    /// Reads this many bytes, or what there is.
    fn fill(&mut self, len: usize) -> Bytes {
        let mut bytes = BytesMut::zeroed(len);
        let mut filled = 0;
        while filled < len && self.failed.is_none() {
            match self.reader.read(&mut bytes[filled..]) {
                Ok(0) => break,
                Ok(got) => filled += got,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => self.failed = Some(error),
            }
        }
        bytes.truncate(filled);
        bytes.freeze()
    }
}

/// The id of the first record, as the chunk's header gives it; 0 where there is none.
fn first_record(chunk: &[u8]) -> u64 {
    let id = chunk.get(24..32).and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_le_bytes);
    if chunk.starts_with(CHUNK_MAGIC) && id != u64::MAX { id } else { 0 }
}

/// The number of chunks, as the file header gives it.
fn chunk_count(header: &[u8]) -> u64 {
    header.get(42..44).and_then(|bytes| bytes.try_into().ok()).map_or(0, u16::from_le_bytes).into()
}

#[cfg(feature = "evtx")]
fn header_damage(header: &[u8]) -> Option<String> {
    /// The flag of logs without checksums.
    const NO_CRC32: u32 = 4;
    if header.is_empty() {
        return None;
    }
    if header.len() < FILE_HEADER_LEN {
        return Some(format!("the file is cut off inside its header, after {} bytes", header.len()));
    }
    if !header.starts_with(FILE_MAGIC) {
        return Some("the file header is damaged: it has no signature".to_owned());
    }
    let number =
        |at: usize| header.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_le_bytes);
    let sum = ::evtx::checksum_ieee(header.get(..120).unwrap_or_default());
    (number(120) & NO_CRC32 == 0 && sum != number(124))
        .then(|| "the file header is damaged: its checksum is wrong".to_owned())
}

#[cfg(not(feature = "evtx"))]
fn header_damage(_header: &[u8]) -> Option<String> {
    None
}
