//! The maps of one memory, as they are while programs run.
//!
//! Nothing here allocates after a map was made, except snapshots. Operations on maps that do not exist, or that are of
//! another kind, are [`Trap::HelperArgument`]: only programs that nobody proved ask for them.

use super::distinct::Distinct;
use super::hash::HashKey;
use super::index::Index;
use super::seen::Seen;
use super::snapshot::{Malformed, Reader};
use super::trie::Trie;
use super::window::Window;
use super::{MapDecl, MapId, MapKind, PlacedMap, Put, Refusal};
use crate::trap::Trap;

/// What happened to a map that its programs cannot see, since it was made. Not part of a snapshot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MapCounters {
    /// Keys given up for a new one; for windows, distinct members and seen keys only while they still counted.
    pub evicted: u64,
    /// New keys refused because the map was full.
    pub refused: u64,
    /// Answers that reached the most that a window or a number of members can be.
    pub saturated: u64,
    /// Times given for a key that lie so far before its latest that they count as the earliest of the window.
    pub late: u64,
    /// Times that the map was put back after a trap.
    pub put_back: u64,
}

impl MapCounters {
    /// Both together.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            evicted: self.evicted.saturating_add(other.evicted),
            refused: self.refused.saturating_add(other.refused),
            saturated: self.saturated.saturating_add(other.saturated),
            late: self.late.saturating_add(other.late),
            put_back: self.put_back.saturating_add(other.put_back),
        }
    }
}

/// Keys and bookkeeping of one map.
#[derive(Clone, Debug)]
pub(super) enum Store {
    Array,
    Data,
    Hash(Index),
    LruHash(Index),
    Window(Window),
    Distinct(Distinct),
    Seen(Seen),
    LpmTrie(Trie),
}

impl Store {
    pub(super) fn new(decl: &MapDecl) -> Self {
        let (key, entries) = (decl.key_len, decl.entries);
        match decl.kind {
            MapKind::Array => Self::Array,
            MapKind::Data => Self::Data,
            MapKind::Hash => Self::Hash(Index::new(key, entries)),
            MapKind::LruHash => Self::LruHash(Index::new(key, entries)),
            MapKind::Window { window_ns, panes } => Self::Window(Window::new(key, entries, window_ns, panes)),
            MapKind::Distinct { window_ns, members } => {
                Self::Distinct(Distinct::new(key, entries, decl.value_len, window_ns, members))
            }
            MapKind::Seen { ttl_ns } => Self::Seen(Seen::new(key, entries, ttl_ns)),
            MapKind::LpmTrie => Self::LpmTrie(Trie::new(key, entries)),
        }
    }

    /// What [`Store::new`] allocates.
    pub(super) const fn bytes(decl: &MapDecl) -> u64 {
        let (key, entries) = (decl.key_len, decl.entries);
        match decl.kind {
            MapKind::Array | MapKind::Data => 0,
            MapKind::Hash | MapKind::LruHash => Index::bytes(key, entries),
            MapKind::Window { panes, .. } => Window::bytes(key, entries, panes),
            MapKind::Distinct { members, .. } => Distinct::bytes(key, entries, decl.value_len, members),
            MapKind::Seen { .. } => Seen::bytes(key, entries),
            MapKind::LpmTrie => Trie::bytes(key, entries),
        }
    }
}

/// One map.
#[derive(Clone, Debug)]
pub(super) struct Map {
    pub(super) placed: PlacedMap,
    pub(super) digest: [u8; 32],
    pub(super) counters: MapCounters,
    pub(super) store: Store,
}

impl Map {
    pub(super) fn new(placed: PlacedMap) -> Self {
        let digest = placed.decl.layout_digest();
        let store = Store::new(&placed.decl);
        Self { placed, digest, counters: MapCounters::default(), store }
    }

    /// The guest address of the value at a place.
    fn address(&self, place: u32) -> u64 {
        self.placed.address(0) + u64::from(place) * u64::from(self.placed.decl.stride())
    }

    /// Values begin as the declaration says.
    pub(super) fn first_values(&self) -> Vec<u8> {
        let decl = &self.placed.decl;
        let mut values = vec![0; decl.values_len() as usize];
        let stride = decl.stride().max(1) as usize;
        let of_each = decl.contents.chunks(decl.value_len.max(1) as usize);
        for (value, contents) in values.chunks_mut(stride).zip(of_each) {
            if let Some(value) = value.get_mut(..contents.len()) {
                value.copy_from_slice(contents);
            }
        }
        values
    }

    /// Keys, bookkeeping and values. Nothing for read-only data.
    pub(super) fn save(&self, values: &[u8], out: &mut Vec<u8>) {
        let decl = &self.placed.decl;
        let (stride, len) = (decl.stride() as usize, decl.value_len as usize);
        let value = |place: u32, out: &mut Vec<u8>| {
            let at = place as usize * stride;
            out.extend(values.get(at..at + len).unwrap_or_default());
        };
        match &self.store {
            Store::Data => {}
            Store::Array => (0..decl.entries).for_each(|place| value(place, out)),
            Store::Hash(index) | Store::LruHash(index) => index.save(out, value),
            Store::Window(window) => window.save(out),
            Store::Distinct(distinct) => distinct.save(out),
            Store::Seen(seen) => seen.save(out),
            Store::LpmTrie(trie) => trie.save(out, value),
        }
    }

    /// What [`Map::save`] wrote: keys, bookkeeping and values, apart from the map, which stays as it is.
    pub(super) fn load(&self, key: HashKey, reader: &mut Reader<'_>) -> Result<(Store, Vec<u8>), Malformed> {
        let decl = &self.placed.decl;
        let mut values = self.first_values();
        let (stride, len) = (decl.stride() as usize, decl.value_len as usize);
        let mut value = |place: u32, reader: &mut Reader<'_>| {
            let at = place as usize * stride;
            let saved = reader.take(len)?;
            let to = values.get_mut(at..at + len).ok_or(Malformed("a place outside the map"))?;
            to.copy_from_slice(saved);
            Ok(())
        };
        let (key_len, entries) = (decl.key_len, decl.entries);
        let mut store = Store::new(decl);
        match &mut store {
            Store::Data => {}
            Store::Array => {
                for place in 0..entries {
                    value(place, reader)?;
                }
            }
            Store::Hash(index) | Store::LruHash(index) => {
                *index = index.load(|bytes| key.tag(bytes), reader, value)?;
            }
            Store::Window(window) => window.load(key, reader)?,
            Store::Distinct(distinct) => distinct.load(key, reader)?,
            Store::Seen(seen) => seen.load(key, reader)?,
            Store::LpmTrie(trie) => *trie = Trie::load(key_len, entries, reader, value)?,
        }
        Ok((store, values))
    }
}

/// The maps of a memory, by number.
#[derive(Clone, Debug, Default)]
pub(crate) struct Maps {
    pub(super) maps: Vec<Option<Box<Map>>>,
    pub(super) key: Option<HashKey>,
}

/// The bytes of a value, and where they come from, for the memory to copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ValuePlace {
    /// The guest address of the value.
    pub(crate) address: u64,
    /// Its length.
    pub(crate) len: u32,
}

impl Maps {
    fn get_mut(&mut self, number: u64) -> Result<(&mut Map, HashKey), Trap> {
        let key = self.key.ok_or(Trap::HelperArgument)?;
        let map = usize::try_from(number).ok().and_then(|number| self.maps.get_mut(number)?.as_deref_mut());
        Ok((map.ok_or(Trap::HelperArgument)?, key))
    }

    /// The map with this number, as it was declared.
    #[inline]
    pub(crate) fn decl(&self, number: u64) -> Option<&MapDecl> {
        let map = self.maps.get(usize::try_from(number).ok()?)?.as_deref()?;
        Some(&map.placed.decl)
    }

    /// The map with this number.
    pub(super) fn get(&self, id: MapId) -> Option<&Map> {
        self.maps.get(id.0 as usize)?.as_deref()
    }

    /// The address of the value under a key; None if there is none.
    #[inline]
    pub(crate) fn lookup(&mut self, number: u64, key: &[u8]) -> Result<Option<u64>, Trap> {
        let (map, hash_key) = self.get_mut(number)?;
        let place = match &mut map.store {
            Store::Array | Store::Data => array_place(key, map.placed.decl.entries),
            Store::Hash(index) => index.find(hash_key.tag(key), key),
            Store::LruHash(index) => {
                let place = index.find(hash_key.tag(key), key);
                if let Some(place) = place {
                    index.touch(place);
                }
                place
            }
            Store::LpmTrie(trie) => trie.lookup(key),
            Store::Window(_) | Store::Distinct(_) | Store::Seen(_) => return Err(Trap::HelperArgument),
        };
        Ok(place.map(|place| map.address(place)))
    }

    /// Makes room for the value under a key.
    #[inline]
    pub(crate) fn update(&mut self, number: u64, key: &[u8], flags: u64) -> Result<Result<ValuePlace, Refusal>, Trap> {
        let (map, hash_key) = self.get_mut(number)?;
        let put = Put::from_flags(flags);
        let counters = &mut map.counters;
        let place = match (&mut map.store, put) {
            (Store::Window(_) | Store::Distinct(_) | Store::Seen(_) | Store::Data, _) => {
                return Err(Trap::HelperArgument);
            }
            (_, None) => Err(Refusal::Invalid),
            (Store::Array, Some(put)) => match array_place(key, map.placed.decl.entries) {
                None => Err(Refusal::Full),
                Some(_) if put == Put::New => Err(Refusal::Exists),
                Some(place) => Ok(place),
            },
            (Store::Hash(index), Some(put)) => {
                let hash = hash_key.tag(key);
                match (index.find(hash, key), put) {
                    (Some(_), Put::New) => Err(Refusal::Exists),
                    (Some(place), _) => Ok(place),
                    (None, Put::Known) => Err(Refusal::Missing),
                    (None, _) => index.insert(hash, key).ok_or(Refusal::Full),
                }
            }
            (Store::LruHash(index), Some(put)) => match (index.find(hash_key.tag(key), key), put) {
                (Some(_), Put::New) => Err(Refusal::Exists),
                (None, Put::Known) => Err(Refusal::Missing),
                _ => index.note((hash_key, key), counters, |_| false).map(|noted| noted.number()).ok_or(Refusal::Full),
            },
            (Store::LpmTrie(trie), Some(put)) => trie.update(key, put),
        };
        if place == Err(Refusal::Full) && !matches!(map.store, Store::Array) {
            map.counters.refused += 1;
        }
        let len = map.placed.decl.value_len;
        Ok(place.map(|place| ValuePlace { address: map.address(place), len }))
    }

    /// Removes a key.
    pub(crate) fn delete(&mut self, number: u64, key: &[u8]) -> Result<Result<(), Refusal>, Trap> {
        let (map, hash_key) = self.get_mut(number)?;
        Ok(match &mut map.store {
            Store::Window(_) | Store::Distinct(_) | Store::Seen(_) | Store::Data => return Err(Trap::HelperArgument),
            Store::Array => Err(Refusal::Invalid),
            Store::Hash(index) | Store::LruHash(index) => {
                let hash = hash_key.tag(key);
                match index.find(hash, key) {
                    Some(place) => {
                        index.remove(place, hash);
                        Ok(())
                    }
                    None => Err(Refusal::Missing),
                }
            }
            Store::LpmTrie(trie) => trie.delete(key),
        })
    }

    /// Adds to a window.
    pub(crate) fn window_add(&mut self, number: u64, key: &[u8], time_ns: u64, amount: u64) -> Result<u64, Trap> {
        let (map, hash_key) = self.get_mut(number)?;
        let Store::Window(window) = &mut map.store else { return Err(Trap::HelperArgument) };
        window.add((hash_key, key), time_ns, amount, &mut map.counters).ok_or(Trap::HelperArgument)
    }

    /// Notes a member.
    pub(crate) fn distinct_add(&mut self, number: u64, key: &[u8], member: &[u8], time_ns: u64) -> Result<u64, Trap> {
        let (map, hash_key) = self.get_mut(number)?;
        let Store::Distinct(distinct) = &mut map.store else { return Err(Trap::HelperArgument) };
        distinct.add((hash_key, key), member, time_ns, &mut map.counters).ok_or(Trap::HelperArgument)
    }

    /// Notes a key.
    pub(crate) fn seen(&mut self, number: u64, key: &[u8], time_ns: u64) -> Result<u64, Trap> {
        let (map, hash_key) = self.get_mut(number)?;
        let Store::Seen(seen) = &mut map.store else { return Err(Trap::HelperArgument) };
        let seen = seen.see((hash_key, key), time_ns, &mut map.counters);
        seen.map(u64::from).ok_or(Trap::HelperArgument)
    }
}

/// The place that the key of an array names.
fn array_place(key: &[u8], entries: u32) -> Option<u32> {
    let place = u32::from_le_bytes(*key.first_chunk()?);
    (place < entries).then_some(place)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decl(kind: MapKind, value_len: u32) -> MapDecl {
        MapDecl { name: "m".to_owned(), kind, key_len: 8, value_len, entries: 33, contents: Vec::new() }
    }

    #[test]
    fn what_stores_take_is_what_reports_say() {
        let allocated = |decl: &MapDecl| match Store::new(decl) {
            Store::Array | Store::Data | Store::LpmTrie(_) => Store::bytes(decl) as usize,
            Store::Hash(index) | Store::LruHash(index) => index.allocated(),
            Store::Window(window) => window.allocated(),
            Store::Distinct(distinct) => distinct.allocated(),
            Store::Seen(seen) => seen.allocated(),
        };
        for decl in [
            decl(MapKind::Hash, 9),
            decl(MapKind::LruHash, 9),
            decl(MapKind::Window { window_ns: 1000, panes: 7 }, 0),
            decl(MapKind::Distinct { window_ns: 1000, members: 5 }, 3),
            decl(MapKind::Seen { ttl_ns: 5 }, 0),
        ] {
            assert_eq!(allocated(&decl) as u64, Store::bytes(&decl), "{decl:?}");
        }
    }
}
