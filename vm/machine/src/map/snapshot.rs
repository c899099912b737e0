//! Snapshots: the state of maps as bytes.
//!
//! ```text
//! "TRAPSTAT"  version u32  maps u32
//! for each map:  owner (u32, bytes)  name (u32, bytes)  layout digest 32  contents (u64, bytes)
//! SHA-256 of all before
//! ```
//!
//! Little-endian. Contents are those of the kind: the places of entries in the order of their use, keys, values, times,
//! so that what happens after a restore is what would have happened without. Hashes are not in it: the memory that
//! restores has a key of its own. Counters are not in it: they say what this process saw.
//!
//! The checksum finds what storage or a cut-off write did to a snapshot. It is no signature: whoever can write
//! snapshots can write false ones, so everything in one is checked again before anything is changed. SHA-256 because
//! it is here already and a damaged snapshot never passes.

use std::collections::BTreeSet;
use std::ops::Range;

use sha2::{Digest, Sha256};

use super::PlacedMap;

const MAGIC: &[u8; 8] = b"TRAPSTAT";
/// The version of the format that is written, and the only one that is read.
pub const SNAPSHOT_VERSION: u32 = 1;
const CHECKSUM_LEN: usize = 32;

/// Why bytes are no snapshot, or not one for this memory.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// They begin differently, or end too soon.
    #[error("not a snapshot of maps")]
    NotASnapshot,
    /// Another version of the format.
    #[error("the snapshot has version {0}, this is version {SNAPSHOT_VERSION}")]
    Version(u32),
    /// Damaged.
    #[error("the snapshot is damaged: its checksum is wrong")]
    Checksum,
    /// What it says cannot be.
    #[error("the snapshot is malformed at byte {at}: {what}")]
    Malformed {
        /// Where, at the earliest.
        at: usize,
        /// What is wrong.
        what: &'static str,
    },
    /// What it says of one map cannot be.
    #[error("the snapshot's map `{map}` is malformed: {what}")]
    MalformedMap {
        /// The map.
        map: String,
        /// What is wrong.
        what: &'static str,
    },
}

/// What is wrong with the contents of a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed(pub(super) &'static str);

/// Reads what cannot be trusted.
#[derive(Debug)]
pub(super) struct Reader<'b> {
    bytes: &'b [u8],
    at: usize,
}

impl<'b> Reader<'b> {
    pub(super) fn new(bytes: &'b [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    pub(super) fn take(&mut self, len: usize) -> Result<&'b [u8], Malformed> {
        let end = self.at.checked_add(len).ok_or(Malformed("it ends too soon"))?;
        let taken = self.bytes.get(self.at..end).ok_or(Malformed("it ends too soon"))?;
        self.at = end;
        Ok(taken)
    }

    fn array<const LEN: usize>(&mut self) -> Result<[u8; LEN], Malformed> {
        let bytes = self.take(LEN)?;
        bytes.first_chunk().copied().ok_or(Malformed("it ends too soon"))
    }

    pub(super) fn u16(&mut self) -> Result<u16, Malformed> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    pub(super) fn u32(&mut self) -> Result<u32, Malformed> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub(super) fn u64(&mut self) -> Result<u64, Malformed> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    pub(super) fn end(&self) -> Result<(), Malformed> {
        if self.at == self.bytes.len() { Ok(()) } else { Err(Malformed("there is more of it than there should be")) }
    }
}

/// One map of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Saved {
    pub(super) owner: String,
    pub(super) name: String,
    pub(super) digest: [u8; 32],
    pub(super) contents: Range<usize>,
}

/// The state of maps at one moment: undamaged, and sound as far as can be told without the maps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    bytes: Vec<u8>,
    pub(super) maps: Vec<Saved>,
}

impl Snapshot {
    /// The bytes, to be stored.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// How many maps it holds.
    pub fn len(&self) -> usize {
        self.maps.len()
    }

    /// Whether it holds no map.
    pub fn is_empty(&self) -> bool {
        self.maps.is_empty()
    }

    /// The name and the contents of one.
    pub(super) fn get(&self, index: usize) -> Option<(&str, &[u8])> {
        let saved = self.maps.get(index)?;
        Some((&saved.name, self.bytes.get(saved.contents.clone())?))
    }

    /// Which state is that of a map with this layout, if it is in here.
    pub(super) fn find(&self, map: &PlacedMap, digest: &[u8; 32]) -> Option<usize> {
        let same = |saved: &Saved| saved.owner == map.owner && saved.name == map.decl.name && saved.digest == *digest;
        self.maps.iter().position(same)
    }

    /// A snapshot that was stored.
    pub fn parse(bytes: Vec<u8>) -> Result<Self, SnapshotError> {
        let body = bytes.len().checked_sub(CHECKSUM_LEN).and_then(|end| bytes.split_at_checked(end));
        let Some((body, checksum)) = body.filter(|(body, _)| body.starts_with(MAGIC)) else {
            return Err(SnapshotError::NotASnapshot);
        };
        let mut reader = Reader::new(body);
        let version = reader.take(MAGIC.len()).and_then(|_| reader.u32()).map_err(|_| SnapshotError::NotASnapshot)?;
        if version != SNAPSHOT_VERSION {
            return Err(SnapshotError::Version(version));
        }
        if Sha256::digest(body).as_slice() != checksum {
            return Err(SnapshotError::Checksum);
        }
        let maps =
            Self::maps(&mut reader).map_err(|Malformed(what)| SnapshotError::Malformed { at: reader.at, what })?;
        Ok(Self { bytes, maps })
    }

    fn maps(reader: &mut Reader<'_>) -> Result<Vec<Saved>, Malformed> {
        let count = reader.u32()?;
        let (mut maps, mut names) = (Vec::new(), BTreeSet::new());
        for _ in 0..count {
            let (owner, name) = (text(reader)?, text(reader)?);
            let digest = reader.array()?;
            let len = usize::try_from(reader.u64()?).map_err(|_| Malformed("it ends too soon"))?;
            let start = reader.at;
            reader.take(len)?;
            if !names.insert((owner.clone(), name.clone(), digest)) {
                return Err(Malformed("a map twice"));
            }
            maps.push(Saved { owner, name, digest, contents: start..start + len });
        }
        reader.end()?;
        Ok(maps)
    }
}

fn text(reader: &mut Reader<'_>) -> Result<String, Malformed> {
    let len = reader.u32()?;
    let bytes = reader.take(len as usize)?;
    String::from_utf8(bytes.to_vec()).map_err(|_| Malformed("a name that is no text"))
}

/// Writes a snapshot.
#[derive(Debug)]
pub(super) struct Writer {
    bytes: Vec<u8>,
    maps: Vec<Saved>,
}

impl Writer {
    pub(super) fn new() -> Self {
        let mut bytes = MAGIC.to_vec();
        bytes.extend(SNAPSHOT_VERSION.to_le_bytes());
        bytes.extend(0u32.to_le_bytes());
        Self { bytes, maps: Vec::new() }
    }

    pub(super) fn map(&mut self, map: &PlacedMap, digest: [u8; 32], contents: impl FnOnce(&mut Vec<u8>)) {
        for text in [&map.owner, &map.decl.name] {
            self.bytes.extend((text.len() as u32).to_le_bytes());
            self.bytes.extend(text.as_bytes());
        }
        self.bytes.extend(digest);
        let len_at = self.bytes.len();
        self.bytes.extend(0u64.to_le_bytes());
        let start = self.bytes.len();
        contents(&mut self.bytes);
        let len = (self.bytes.len() - start) as u64;
        if let Some(place) = self.bytes.get_mut(len_at..start) {
            place.copy_from_slice(&len.to_le_bytes());
        }
        let (owner, name) = (map.owner.clone(), map.decl.name.clone());
        self.maps.push(Saved { owner, name, digest, contents: start..self.bytes.len() });
    }

    pub(super) fn finish(mut self) -> Snapshot {
        let count = self.maps.len() as u32;
        if let Some(place) = self.bytes.get_mut(MAGIC.len() + 4..MAGIC.len() + 8) {
            place.copy_from_slice(&count.to_le_bytes());
        }
        let checksum = Sha256::digest(&self.bytes);
        self.bytes.extend(checksum.as_slice());
        Snapshot { bytes: self.bytes, maps: self.maps }
    }
}
