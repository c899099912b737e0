//! Maps: what programs remember between events.
//!
//! ```text
//! MapDecl   what a program declares: kind, lengths, capacity          (in objects, the same on every host)
//! PlacedMap where a domain put it: owner, id, region, base            (in linked programs; for life)
//! Memory    the map itself: values, keys, bookkeeping                 (one for each thread that runs programs)
//! Snapshot  the state of all maps of a memory, as bytes               (outlives the process)
//! ```
//!
//! A map has a declared capacity, and all its memory from the start: programs can fill it, never grow it, and no
//! operation allocates. Values of arrays, hashes and tries lie in guest memory ([`Region::MapValues`], read-only data
//! in [`Region::Constants`]) at addresses that are stable while the entry lives; keys and bookkeeping are the host's,
//! out of reach of programs. Keys are compared by value; hashing is keyed, and no result and no eviction depends on it.
//!
//! # Places
//!
//! A value lies at the place of its entry, `base + place * stride`. A new key takes the place that was freed last, else
//! the lowest that was never used; a key that pushes out another takes its place.
//!
//! # Order
//!
//! Whom a full map gives up follows from the order of calls alone. Of an LRU hash it is the entry whose last successful
//! look-up or update is longest ago; of windows, distinct members and seen keys the key whose last call is longest ago.
//! If that key no longer counted at the time of the newcomer (its latest time and the window, or time to live, lie
//! before it), nothing is lost and nothing is counted.
//!
//! # Time
//!
//! Times are nanoseconds that the program gives: those of its events, which can go back. Each key has its own latest
//! time, so that one event from the future touches one key. An earlier time than that is taken for what it is; one so
//! early that the window has left it counts as the earliest of the window, and is counted as late.
//!
//! # Bytes
//!
//! What [`MapDecl::state_bytes`] adds up, `e` entries of `k` bytes of key and `v` of value (`v8`: rounded up to eight):
//!
//! | kind | values | keys and bookkeeping |
//! | --- | --- | --- |
//! | array, data | `e * v8` | none |
//! | hash, LRU hash | `e * v8` | an index: `e * (k + 12)` and 8 for each of `2e` buckets, rounded up to a power of two |
//! | window of `p` panes | none | an index, `e * (p + 1) * 8` |
//! | distinct, `m` members | none | an index, `e * (10 + m * (12 + v))` |
//! | seen | none | an index, `e * 8` |
//! | LPM trie | `e * v8` | `e * 8` and `2e * (12 + k - 4)` |

mod check;
mod distinct;
mod hash;
mod index;
mod recent;
mod runtime;
mod seen;
mod snapshot;
mod state;
mod trie;
mod window;

pub use check::MapError;
pub use hash::HashKey;
pub use runtime::MapCounters;
pub use snapshot::{SNAPSHOT_VERSION, Snapshot, SnapshotError};
pub use state::{MapsError, PutBack, Restored};

pub(crate) use runtime::{Maps, ValuePlace};
pub(crate) use state::{MapStamp, Values};

use crate::memory::{PAGE_LEN, Region};

/// The longest name, in bytes.
pub const MAP_NAME_LEN_MAX: usize = 128;
/// The longest key, in bytes.
pub const KEY_LEN_MAX: u32 = 256;
/// The longest value, in bytes.
pub const VALUE_LEN_MAX: u32 = 32 << 10;
/// The longest member of a [`MapKind::Distinct`], in bytes.
pub const MEMBER_LEN_MAX: u32 = 256;
/// Bytes of the number of bits that a key of a [`MapKind::LpmTrie`] begins with.
pub const LPM_PREFIX_LEN: u32 = 4;
/// The most entries of one map.
pub const ENTRIES_MAX: u32 = 1 << 20;
/// The most bytes of one map, as [`MapDecl::state_bytes`] counts them.
pub const MAP_BYTES_MAX: u64 = 64 << 20;
/// The most that a window counts to.
pub const COUNT_MAX: u64 = i64::MAX as u64;
/// The most maps of one memory.
pub const MEMORY_MAPS_MAX: u32 = 1 << 16;
/// The most maps of one program.
pub const PROGRAM_MAPS_MAX: usize = 64;

/// How a map keeps its entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MapKind {
    /// Values by index: the key is a `u32` below the capacity, every entry is there from the start, zeroed.
    Array,
    /// Read-only data of a program: an array of one value with given contents, in [`Region::Constants`].
    Data,
    /// Values by key. A full one takes no new key.
    Hash,
    /// Values by key. A full one gives up the least recently used entry for a new key.
    LruHash,
    /// For each key, amounts summed over a sliding window of `panes` equal parts of time. It ends with the part of the
    /// key's latest time, so it holds every amount of the last `window_ns` less one part, none that is older than
    /// the parts together (`window_ns`, rounded up to a multiple of `panes`), and sums are exact for what it holds. A full one gives up the coldest key.
    Window {
        /// Length of the window in nanoseconds of event time.
        window_ns: u64,
        /// Parts that it slides by, 1 to [`PANES_MAX`].
        panes: u16,
    },
    /// For each key, the number of distinct members (of `value_len` bytes each) seen in the `window_ns` that end at
    /// the key's latest time; exact up to `members`, and saturating there. A full one gives up the coldest key.
    Distinct {
        /// Length of the window in nanoseconds of event time.
        window_ns: u64,
        /// Members kept of each key.
        members: u16,
    },
    /// Keys seen in the last `ttl_ns`. A full one gives up the coldest key.
    Seen {
        /// How long a key stays, in nanoseconds of event time.
        ttl_ns: u64,
    },
    /// Values by bit prefix: a key is a `u32` number of bits and then that many bits, most significant first; look-ups
    /// find the longest prefix. A full one takes no new prefix.
    LpmTrie,
}

/// The most parts of a window.
pub const PANES_MAX: u16 = 64;
/// The most members of one key of a [`MapKind::Distinct`].
pub const MEMBERS_MAX: u16 = 4096;

/// A map as a program declares it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MapDecl {
    /// Its name, unique in the program.
    pub name: String,
    /// How it keeps its entries.
    pub kind: MapKind,
    /// Bytes of a key, 1 to [`KEY_LEN_MAX`]; 4 for arrays and data.
    pub key_len: u32,
    /// Bytes of a value (of a member, for [`MapKind::Distinct`]), at most [`VALUE_LEN_MAX`]; 0 where there is none.
    pub value_len: u32,
    /// Capacity, 1 to [`ENTRIES_MAX`].
    pub entries: u32,
    /// What the value of [`MapKind::Data`] holds, `value_len` bytes. For [`MapKind::Array`], what the values hold at
    /// first, or nothing: zeros. Empty for the others.
    pub contents: Vec<u8>,
}

/// A map of one memory, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MapId(pub u32);

/// A map and where its values lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlacedMap {
    /// Whose it is: owner, name and layout say in a snapshot which map is meant.
    pub owner: String,
    /// What it is.
    pub decl: MapDecl,
    /// Its number in the memory; what a wide load of the map yields at run time.
    pub id: MapId,
    /// The region of its values.
    pub region: Region,
    /// Where its values begin, from the start of the region.
    pub base: u32,
}

impl PlacedMap {
    /// Whether it lies within the region of its kind, values at multiples of eight.
    pub(crate) fn is_in_place(&self) -> bool {
        let end = u64::from(self.base) + self.decl.values_len();
        let fits = end <= u64::from(self.region.capacity_max());
        self.region == self.decl.region() && self.base.is_multiple_of(8) && fits
    }

    /// Where its values end, from the start of the region.
    pub(crate) const fn end(&self) -> u32 {
        self.base + self.decl.values_len() as u32
    }

    /// The guest addresses of its values.
    pub(crate) const fn range(&self) -> std::ops::Range<usize> {
        let base = self.region.base();
        (base + self.base) as usize..(base + self.end()) as usize
    }

    /// The guest address of a byte of its first value.
    pub const fn address(&self, offset: u32) -> u64 {
        self.region.base() as u64 + self.base as u64 + offset as u64
    }
}

impl MapKind {
    /// Whether values lie in guest memory, so that a look-up yields an address.
    pub const fn has_values(self) -> bool {
        matches!(self, Self::Array | Self::Data | Self::Hash | Self::LruHash | Self::LpmTrie)
    }

    /// Whether a new entry can push out another.
    pub const fn evicts(self) -> bool {
        matches!(self, Self::LruHash | Self::Window { .. } | Self::Distinct { .. } | Self::Seen { .. })
    }
}

impl MapDecl {
    /// Bytes from one value to the next: values begin at multiples of eight.
    pub const fn stride(&self) -> u32 {
        self.value_len.next_multiple_of(8)
    }

    /// Bytes of guest memory that all its values take.
    pub const fn values_len(&self) -> u64 {
        if self.kind.has_values() { self.stride() as u64 * self.entries as u64 } else { 0 }
    }

    /// The region of its values.
    pub const fn region(&self) -> Region {
        if matches!(self.kind, MapKind::Data) { Region::Constants } else { Region::MapValues }
    }
}

/// Where the next maps go. Append-only: what was placed stays where it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Placement {
    next_id: u32,
    values_len: u32,
    constants_len: u32,
}

/// A region has no room for a map.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no room for map `{name}`: {}", self.why())]
pub struct NoRoomForMap {
    /// The map.
    pub name: String,
    /// Bytes of its values.
    pub needed: u64,
    /// Bytes that are left in its region.
    pub left: u64,
}

impl NoRoomForMap {
    fn why(&self) -> String {
        if self.needed > self.left {
            format!("its values take {} bytes, {} are left", self.needed, self.left)
        } else {
            format!("there are {MEMORY_MAPS_MAX} maps already")
        }
    }
}

impl Placement {
    /// Places a map of nobody in particular.
    pub fn place(&mut self, decl: MapDecl) -> Result<PlacedMap, NoRoomForMap> {
        self.place_for("", decl)
    }

    /// Places a map. Writable values begin at a page of their own; read-only data is packed.
    pub fn place_for(&mut self, owner: &str, decl: MapDecl) -> Result<PlacedMap, NoRoomForMap> {
        let region = decl.region();
        let (used, align) = match region {
            Region::Constants => (&mut self.constants_len, 8),
            _ => (&mut self.values_len, PAGE_LEN),
        };
        let base = used.next_multiple_of(align);
        let left = u64::from(region.capacity_max().saturating_sub(base));
        let needed = decl.values_len();
        if needed > left || self.next_id >= MEMORY_MAPS_MAX {
            return Err(NoRoomForMap { name: decl.name, needed, left });
        }
        *used = base + needed as u32;
        let id = MapId(self.next_id);
        self.next_id += 1;
        Ok(PlacedMap { owner: owner.to_owned(), decl, id, region, base })
    }

    /// Bytes of [`Region::MapValues`] in use.
    pub const fn values_len(&self) -> u32 {
        self.values_len
    }

    /// Bytes of [`Region::Constants`] in use.
    pub const fn constants_len(&self) -> u32 {
        self.constants_len
    }
}

/// Which keys an update is for: its flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Put {
    /// `BPF_ANY`.
    Any,
    /// `BPF_NOEXIST`.
    New,
    /// `BPF_EXIST`.
    Known,
}

impl Put {
    pub(crate) fn from_flags(flags: u64) -> Option<Self> {
        match flags {
            0 => Some(Self::Any),
            1 => Some(Self::New),
            2 => Some(Self::Known),
            _ => None,
        }
    }
}

/// Why a map does not do what it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It is full, or an array has no such index.
    Full,
    /// The key is there.
    Exists,
    /// The key is not there.
    Missing,
    /// The flags, or the operation, make no sense.
    Invalid,
}

impl Refusal {
    /// The error number of Linux, negated.
    pub(crate) const fn errno(self) -> i64 {
        match self {
            Self::Full => -7,
            Self::Exists => -17,
            Self::Missing => -2,
            Self::Invalid => -22,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_maps_at_its_limit() {
        let kind = MapKind::Seen { ttl_ns: 1 };
        let decl = MapDecl { name: "m".to_owned(), kind, key_len: 1, value_len: 0, entries: 1, contents: Vec::new() };
        let mut placement = Placement { next_id: MEMORY_MAPS_MAX - 2, ..Placement::default() };
        for id in [MEMORY_MAPS_MAX - 2, MEMORY_MAPS_MAX - 1] {
            assert_eq!(placement.place(decl.clone()).map(|map| map.id), Ok(MapId(id)));
        }
        let error = placement.place(decl).unwrap_err();
        assert_eq!(error.to_string(), "no room for map `m`: there are 65536 maps already");
    }

    #[test]
    fn the_room_of_values_at_its_limit() {
        let entries = PAGE_LEN / 8;
        for (entries, good) in [(entries - 1, true), (entries, true), (entries + 1, false)] {
            let mut placement =
                Placement { values_len: Region::MapValues.capacity_max() - PAGE_LEN, ..Placement::default() };
            let name = "m".to_owned();
            let decl = MapDecl { name, kind: MapKind::Array, key_len: 4, value_len: 8, entries, contents: Vec::new() };
            let before = placement.clone();
            let placed = placement.place(decl);
            assert_eq!(placed.is_ok(), good, "{entries}");
            assert!(good || placement == before, "what was refused takes no room");
        }
    }
}
