//! Numbers of the format: kinds of maps and of relocations, and the record of `.maps`.

use crate::map::{MapDecl, MapKind};
use crate::program::RelocationKind;

/// Bytes of a record of `.maps`.
pub(super) const MAP_RECORD_LEN: usize = 32;

/// Linux's numbers (`enum bpf_map_type` in `include/uapi/linux/bpf.h`); ours begin at 1024.
const HASH: u32 = 1;
const ARRAY: u32 = 2;
const LRU_HASH: u32 = 9;
const LPM_TRIE: u32 = 11;
const WINDOW: u32 = 1024;
const DISTINCT: u32 = 1025;
const SEEN: u32 = 1026;

/// The record of a map in `.maps`; None for read-only data, which has none.
pub(super) fn map_record(decl: &MapDecl) -> Option<[u8; MAP_RECORD_LEN]> {
    let (kind, time_ns, parts) = match decl.kind {
        MapKind::Data => return None,
        MapKind::Array => (ARRAY, 0, 0),
        MapKind::Hash => (HASH, 0, 0),
        MapKind::LruHash => (LRU_HASH, 0, 0),
        MapKind::LpmTrie => (LPM_TRIE, 0, 0),
        MapKind::Window { window_ns, panes } => (WINDOW, window_ns, panes),
        MapKind::Distinct { window_ns, members } => (DISTINCT, window_ns, members),
        MapKind::Seen { ttl_ns } => (SEEN, ttl_ns, 0),
    };
    let mut record = Vec::with_capacity(MAP_RECORD_LEN);
    for word in [kind, decl.key_len, decl.value_len, decl.entries] {
        record.extend_from_slice(&word.to_le_bytes());
    }
    record.extend_from_slice(&time_ns.to_le_bytes());
    record.extend_from_slice(&u32::from(parts).to_le_bytes());
    record.extend_from_slice(&0u32.to_le_bytes());
    record.try_into().ok()
}

/// The kind of map that Linux has under a number, as far as we have it.
pub(super) fn linux_kind(number: u32) -> Option<MapKind> {
    match number {
        HASH => Some(MapKind::Hash),
        ARRAY => Some(MapKind::Array),
        LRU_HASH => Some(MapKind::LruHash),
        LPM_TRIE => Some(MapKind::LpmTrie),
        _ => None,
    }
}

/// The map of a record of `.maps`.
pub(super) fn map(name: &str, record: &[u8]) -> Result<MapDecl, &'static str> {
    let word = |at: usize| record.get(at..)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes));
    let words = || Some((word(0)?, word(4)?, word(8)?, word(12)?, word(24)?, word(28)?));
    let time = record.get(16..24).and_then(|bytes| bytes.first_chunk()).map(|bytes| u64::from_le_bytes(*bytes));
    let (kind, key_len, value_len, entries, parts, zero) = words().ok_or("the record is too short")?;
    let time_ns = time.ok_or("the record is too short")?;
    let parts = u16::try_from(parts).map_err(|_| "panes or members do not fit 16 bits")?;
    let kind = match (kind, time_ns, parts) {
        (HASH, 0, 0) => MapKind::Hash,
        (ARRAY, 0, 0) => MapKind::Array,
        (LRU_HASH, 0, 0) => MapKind::LruHash,
        (LPM_TRIE, 0, 0) => MapKind::LpmTrie,
        (WINDOW, window_ns, panes) => MapKind::Window { window_ns, panes },
        (DISTINCT, window_ns, members) => MapKind::Distinct { window_ns, members },
        (SEEN, ttl_ns, 0) => MapKind::Seen { ttl_ns },
        (HASH | ARRAY | LRU_HASH | LPM_TRIE | SEEN, ..) => return Err("a time or parts that its kind does not have"),
        _ => return Err("there is no such kind of map"),
    };
    if zero != 0 {
        return Err("the last word of the record must be zero");
    }
    Ok(MapDecl { name: name.to_owned(), kind, key_len, value_len, entries, contents: Vec::new() })
}

/// The number and the index of a relocation.
pub(super) fn of_kind(kind: RelocationKind) -> (u8, u16) {
    match kind {
        RelocationKind::Slot(index) => (0, index),
        RelocationKind::State(index) => (1, index),
        RelocationKind::SlotNumber(index) => (2, index),
        RelocationKind::PredicateByte(index) => (3, index),
        RelocationKind::PredicateTrue(index) => (4, index),
        RelocationKind::PredicateKnown(index) => (5, index),
        RelocationKind::PredicateBoth(index) => (6, index),
        RelocationKind::Mask(index) => (7, index),
        RelocationKind::SlotOffset(index) => (8, index),
        RelocationKind::StateOffset(index) => (9, index),
        RelocationKind::PredicateOffset(index) => (10, index),
        RelocationKind::MaskOffset(index) => (11, index),
    }
}

/// The relocation of a number.
pub(super) fn kind(number: u8, index: u16) -> Option<RelocationKind> {
    Some(match number {
        0 => RelocationKind::Slot(index),
        1 => RelocationKind::State(index),
        2 => RelocationKind::SlotNumber(index),
        3 => RelocationKind::PredicateByte(index),
        4 => RelocationKind::PredicateTrue(index),
        5 => RelocationKind::PredicateKnown(index),
        6 => RelocationKind::PredicateBoth(index),
        7 => RelocationKind::Mask(index),
        8 => RelocationKind::SlotOffset(index),
        9 => RelocationKind::StateOffset(index),
        10 => RelocationKind::PredicateOffset(index),
        11 => RelocationKind::MaskOffset(index),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_of_relocations_are_read_as_written() {
        let kinds = super::super::table::kinds();
        assert_eq!(kinds.len(), 12);
        for (number, known) in (0..).zip(kinds) {
            assert_eq!(of_kind(known), (number, 7));
        }
    }

    #[test]
    fn maps_are_read_as_written() {
        for kind in [
            MapKind::Array,
            MapKind::Hash,
            MapKind::LruHash,
            MapKind::LpmTrie,
            MapKind::Window { window_ns: u64::MAX, panes: u16::MAX },
            MapKind::Distinct { window_ns: 1, members: 2 },
            MapKind::Seen { ttl_ns: 3 },
        ] {
            let decl = MapDecl { name: "m".into(), kind, key_len: 4, value_len: 5, entries: 6, contents: Vec::new() };
            assert_eq!(map("m", &map_record(&decl).unwrap()), Ok(decl));
        }
        assert_eq!(map("m", &[0; 31]), Err("the record is too short"));
        assert_eq!(map("m", &[0; 32]), Err("there is no such kind of map"));
        let mut hash = [0; 32];
        hash[0] = 1;
        assert!(map("m", &hash).is_ok());
        for (at, reason) in [
            (16, "a time or parts that its kind does not have"),
            (24, "a time or parts that its kind does not have"),
            (26, "panes or members do not fit 16 bits"),
            (28, "the last word of the record must be zero"),
        ] {
            let mut wrong = hash;
            wrong[at] = 1;
            assert_eq!(map("m", &wrong), Err(reason));
        }
    }
}
