//! The maps of a memory as a whole: how they come in, what a snapshot takes, what a restore puts back.

use std::collections::HashMap;

use super::runtime::{Map, MapCounters, Maps, Store};
use super::snapshot::{Malformed, Reader, Snapshot, SnapshotError, Writer};
use super::{HashKey, MEMORY_MAPS_MAX, MapError, MapId, PlacedMap};
use crate::memory::Region;

/// Why maps cannot be in a memory.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MapsError {
    /// There can be no such map.
    #[error("map `{map}`: {error}")]
    Declaration {
        /// Its name.
        map: String,
        /// Why.
        error: MapError,
    },
    /// It lies where it cannot be.
    #[error("map `{map}` has no place of its own: it must lie within its region, and apart from all others")]
    Place {
        /// Its name.
        map: String,
    },
    /// Another map has its number.
    #[error("map `{map}` has number {}, as another map of this memory", id.0)]
    Number {
        /// Its name.
        map: String,
        /// The number.
        id: MapId,
    },
    /// Maps have been hashed with another key.
    #[error("the hash key cannot change while there are maps")]
    HashKey,
}

/// What a restore did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    /// Maps that are as they were.
    pub restored: u32,
    /// Maps that the snapshot does not hold: they begin anew.
    pub reset: u32,
    /// Maps of the snapshot that this memory does not have with this layout, as `owner/name`: they are left out.
    pub unknown: Vec<String>,
}

/// What was done to maps after a trap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PutBack {
    /// Maps that went back to the snapshot.
    pub restored: u32,
    /// Maps that began anew, because there was none.
    pub reset: u32,
}

/// What a program was made for: a map that its memory must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MapStamp {
    id: MapId,
    base: u32,
    digest: [u8; 32],
}

impl MapStamp {
    pub(crate) fn new(map: &PlacedMap) -> Self {
        Self { id: map.id, base: map.base, digest: map.decl.layout_digest() }
    }
}

/// The values of a map, where they go.
pub(crate) type Values = (Region, u32, Vec<u8>);

impl Maps {
    /// Sets the key of the hashes; only while there are no maps.
    pub(crate) fn set_hash_key(&mut self, key: HashKey) -> Result<(), MapsError> {
        if self.maps.iter().any(Option::is_some) {
            return Err(MapsError::HashKey);
        }
        self.key = Some(key);
        Ok(())
    }

    /// Whether there is the map that a program was made for.
    #[inline]
    pub(crate) fn fits(&self, stamp: &MapStamp) -> bool {
        self.get(stamp.id).is_some_and(|map| map.placed.base == stamp.base && map.digest == stamp.digest)
    }

    /// All maps, by number.
    pub(crate) fn placed(&self) -> impl Iterator<Item = &PlacedMap> {
        self.all().map(|map| &map.placed)
    }

    fn all(&self) -> impl Iterator<Item = &Map> {
        self.maps.iter().filter_map(Option::as_deref)
    }

    /// Whether all of these can be here: those that are not yet, in the order of their places.
    pub(crate) fn check<'m>(&self, maps: &[&'m PlacedMap]) -> Result<Vec<&'m PlacedMap>, MapsError> {
        let mut new: Vec<&'m PlacedMap> = Vec::new();
        let mut by_id: HashMap<MapId, &'m PlacedMap> = HashMap::new();
        for map in maps {
            let name = || map.decl.name.clone();
            if let Some(here) = self.get(map.id) {
                if here.placed != **map {
                    return Err(MapsError::Number { map: name(), id: map.id });
                }
                continue;
            }
            match by_id.get(&map.id) {
                Some(other) if other == map => continue,
                Some(_) => return Err(MapsError::Number { map: name(), id: map.id }),
                None => {}
            }
            map.decl.check().map_err(|error| MapsError::Declaration { map: name(), error })?;
            if !map.is_in_place() || map.id.0 >= MEMORY_MAPS_MAX {
                return Err(MapsError::Place { map: name() });
            }
            new.push(map);
            by_id.insert(map.id, map);
        }
        // Apart from each other: sorted, none begins before the one before it ends.
        let place = |map: &PlacedMap| (map.region, map.base, u64::from(map.base) + map.decl.values_len());
        let mut places: Vec<_> = self.placed().chain(new.iter().copied()).map(|map| (place(map), map)).collect();
        places.retain(|((_, base, end), _)| u64::from(*base) < *end);
        places.sort_by_key(|(place, _)| *place);
        for pair in places.windows(2) {
            if let [((region, _, end), _), ((next_region, base, _), map)] = pair
                && region == next_region
                && u64::from(*base) < *end
            {
                return Err(MapsError::Place { map: map.decl.name.clone() });
            }
        }
        Ok(new)
    }

    /// Takes in a map that was checked: what its values are at first.
    pub(crate) fn add(&mut self, placed: &PlacedMap) -> Values {
        self.key.get_or_insert_with(HashKey::random);
        let map = Map::new(placed.clone());
        let values = (placed.region, placed.base, map.first_values());
        let at = placed.id.0 as usize;
        if self.maps.len() <= at {
            self.maps.resize_with(at + 1, || None);
        }
        if let Some(place) = self.maps.get_mut(at) {
            *place = Some(Box::new(map));
        }
        values
    }

    /// What happened to a map.
    pub(crate) fn counters(&self, id: MapId) -> Option<MapCounters> {
        self.get(id).map(|map| map.counters)
    }

    /// The state of all maps; `values` says what lies where.
    pub(crate) fn snapshot<'v>(&self, values: impl Fn(&PlacedMap) -> &'v [u8]) -> Snapshot {
        let mut writer = Writer::new();
        for map in self.all() {
            writer.map(&map.placed, map.digest, |out| map.save(values(&map.placed), out));
        }
        writer.finish()
    }

    /// All maps as in the snapshot, those that it does not hold anew. Nothing changes if there is an error.
    pub(crate) fn restore(&mut self, snapshot: &Snapshot) -> Result<(Restored, Vec<Values>), SnapshotError> {
        let (mut report, mut states) = (Restored::default(), Vec::new());
        let mut known = vec![false; snapshot.maps.len()];
        for map in self.all() {
            let saved = snapshot.find(&map.placed, &map.digest);
            match saved.and_then(|saved| known.get_mut(saved)) {
                Some(known) => {
                    *known = true;
                    report.restored += 1;
                }
                None => report.reset += 1,
            }
            let saved = saved.and_then(|saved| snapshot.get(saved));
            states.push((map.placed.id, self.state_of(map, saved)?));
        }
        let unknown = snapshot.maps.iter().zip(known).filter(|(_, known)| !known);
        report.unknown = unknown.map(|(saved, _)| format!("{}/{}", saved.owner, saved.name)).collect();
        let values = states.into_iter().filter_map(|(id, state)| self.replace(id, state)).collect();
        Ok((report, values))
    }

    /// These maps as in the snapshot; anew if there is none, or it does not hold them.
    pub(crate) fn put_back(
        &mut self,
        ids: impl Iterator<Item = MapId>,
        snapshot: Option<&Snapshot>,
    ) -> (PutBack, Vec<Values>) {
        let (mut report, mut values) = (PutBack::default(), Vec::new());
        for id in ids {
            let Some(map) = self.get(id).filter(|map| !matches!(map.store, Store::Data)) else { continue };
            let saved = snapshot.and_then(|snapshot| snapshot.get(snapshot.find(&map.placed, &map.digest)?));
            let state = match saved.map(|saved| self.state_of(map, Some(saved))) {
                Some(Ok(state)) => {
                    report.restored += 1;
                    state
                }
                Some(Err(_)) | None => {
                    report.reset += 1;
                    (Store::new(&map.placed.decl), map.first_values())
                }
            };
            values.extend(self.replace(id, state));
            if let Some(Some(map)) = self.maps.get_mut(id.0 as usize) {
                map.counters.put_back += 1;
            }
        }
        (report, values)
    }

    fn state_of(&self, map: &Map, saved: Option<(&str, &[u8])>) -> Result<(Store, Vec<u8>), SnapshotError> {
        let Some((name, contents)) = saved else { return Ok((Store::new(&map.placed.decl), map.first_values())) };
        let mut reader = Reader::new(contents);
        let key = self.key.unwrap_or(HashKey(0, 0));
        map.load(key, &mut reader)
            .and_then(|state| reader.end().map(|()| state))
            .map_err(|Malformed(what)| SnapshotError::MalformedMap { map: name.to_owned(), what })
    }

    fn replace(&mut self, id: MapId, (store, values): (Store, Vec<u8>)) -> Option<Values> {
        let map = self.maps.get_mut(id.0 as usize)?.as_deref_mut()?;
        map.store = store;
        Some((map.placed.region, map.placed.base, values))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::map::{MapDecl, MapKind, Placement};

    #[test]
    fn numbers_of_maps_at_and_over_their_limit() {
        let kind = MapKind::Seen { ttl_ns: 1 };
        let decl = MapDecl { name: "m".to_owned(), kind, key_len: 1, value_len: 0, entries: 1, contents: Vec::new() };
        let placed = Placement::default().place(decl).unwrap();
        for (id, good) in [(MEMORY_MAPS_MAX - 2, true), (MEMORY_MAPS_MAX - 1, true), (MEMORY_MAPS_MAX, false)] {
            let map = PlacedMap { id: MapId(id), ..placed.clone() };
            let refused = MapsError::Place { map: "m".to_owned() };
            assert_eq!(Maps::default().check(&[&map]).err(), (!good).then_some(refused), "{id}");
        }
    }
}
