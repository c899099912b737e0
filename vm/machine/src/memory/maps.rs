//! The maps of a memory: how they come in, and how their state goes out and comes back.

use super::{Capacities, GuestAddr, Memory, NoRoom, Region};
use crate::map::{
    HashKey, MapCounters, MapDecl, MapId, MapStamp, Maps, MapsError, PlacedMap, PutBack, Restored, Snapshot,
    SnapshotError, Values,
};
use crate::trap::Trap;

/// Why there is no such memory.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MemoryError {
    /// A region cannot be so large.
    #[error(transparent)]
    NoRoom(#[from] NoRoom),
    /// The maps cannot be in it.
    #[error(transparent)]
    Maps(#[from] MapsError),
}

impl Memory {
    /// A memory of these capacities with these maps, which take what they need besides.
    pub fn with_maps(capacities: &Capacities, maps: &[PlacedMap]) -> Result<Self, MemoryError> {
        let mut memory = Self::new(capacities)?;
        memory.add_maps(maps)?;
        Ok(memory)
    }

    /// Takes in maps, each as it was declared; those that are here already stay as they are. Nothing changes if there
    /// is an error.
    pub fn add_maps<'m>(&mut self, maps: impl IntoIterator<Item = &'m PlacedMap>) -> Result<(), MapsError> {
        let maps: Vec<&PlacedMap> = maps.into_iter().collect();
        let new = self.maps.check(&maps)?;
        for region in [Region::Constants, Region::MapValues] {
            let ends = new.iter().filter(|map| map.region == region).map(|map| map.end());
            if let Some(end) = ends.max() {
                self.grow(region, end);
            }
        }
        for map in new {
            let values = self.maps.add(map);
            self.put_values(values);
        }
        Ok(())
    }

    /// Sets the key that keys of maps are hashed with; a random one is chosen otherwise. It must come before the maps.
    /// What programs do does not depend on it.
    pub fn set_hash_key(&mut self, key: HashKey) -> Result<(), MapsError> {
        self.maps.set_hash_key(key)
    }

    /// Gives up all maps. Their bytes stay, unreachable for proved programs until a map is placed there.
    pub fn remove_maps(&mut self) {
        self.maps = Maps::default();
    }

    /// Begins all maps anew, their counters too.
    pub fn reset_maps(&mut self) {
        let maps: Vec<PlacedMap> = self.maps().cloned().collect();
        for map in maps {
            let values = self.maps.add(&map);
            self.put_values(values);
        }
    }

    /// The maps that are here, by number.
    pub fn maps(&self) -> impl Iterator<Item = &PlacedMap> {
        self.maps.placed()
    }

    /// What happened to a map; None if it is not here.
    pub fn map_counters(&self, id: MapId) -> Option<MapCounters> {
        self.maps.counters(id)
    }

    /// Bytes of all maps: values, keys and bookkeeping.
    pub fn state_bytes(&self) -> u64 {
        self.maps().map(|map| map.decl.state_bytes()).sum()
    }

    /// The state of all maps.
    pub fn snapshot(&self) -> Snapshot {
        self.maps.snapshot(|map| self.bytes.get(map.range()).unwrap_or_default())
    }

    /// All maps as they were at the snapshot. Those that it does not hold begin anew, those of it that are not here, or
    /// have another layout, are left out and told. Nothing changes if there is an error.
    pub fn restore(&mut self, snapshot: &Snapshot) -> Result<Restored, SnapshotError> {
        let (report, values) = self.maps.restore(snapshot)?;
        values.into_iter().for_each(|values| self.put_values(values));
        Ok(report)
    }

    /// Puts maps back that a program may have left half-changed: to the snapshot, or to their beginning if there is
    /// none or it does not hold them. Read-only data stays.
    pub fn put_back(&mut self, maps: impl Iterator<Item = MapId>, snapshot: Option<&Snapshot>) -> PutBack {
        let (report, values) = self.maps.put_back(maps, snapshot);
        values.into_iter().for_each(|values| self.put_values(values));
        report
    }

    fn put_values(&mut self, (region, base, values): Values) {
        let start = region.base() as usize + base as usize;
        if let Some(to) = self.bytes.get_mut(start..start + values.len()) {
            to.copy_from_slice(&values);
        }
    }

    /// Makes a region of maps at least so large, all of it valid.
    fn grow(&mut self, region: Region, capacity: u32) {
        // The length by itself: the host may have given the region room without making any of it valid.
        if let Some(len) = self.lens.get_mut(region as usize) {
            *len = (*len).max(capacity);
        }
        let Some(known) = self.capacities.get_mut(region as usize).filter(|known| **known < capacity) else { return };
        *known = capacity;
        let end = (region.base() + capacity) as usize;
        if end > self.bytes.len() {
            // Fresh zeros take no memory until they are written to; only what is in use is copied.
            let mut grown = vec![0; end];
            for region in Region::ALL {
                let (start, len) = (region.base() as usize, self.capacity(region) as usize);
                let end = (start + len).min(self.bytes.len());
                if let (Some(to), Some(from)) = (grown.get_mut(start..end), self.bytes.get(start..end)) {
                    to.copy_from_slice(from);
                }
            }
            self.bytes = grown;
        }
    }

    /// Whether all maps are here that a program was made for.
    #[inline]
    pub(crate) fn has_maps(&self, stamps: &[MapStamp]) -> bool {
        stamps.iter().all(|stamp| self.maps.fits(stamp))
    }

    /// The declaration of a map by its number.
    #[inline]
    pub(crate) fn map_decl(&self, number: u64) -> Option<&MapDecl> {
        self.maps.decl(number)
    }

    /// Readable bytes that a program names, and the maps.
    #[inline]
    pub(crate) fn bytes_and_maps(&mut self, addr: u64, len: u32) -> Result<(&[u8], &mut Maps), Trap> {
        let at = self.check(GuestAddr(addr), len, false)?;
        let bytes = self.bytes.get(at..at + len as usize).ok_or(Trap::OutOfRegion)?;
        Ok((bytes, &mut self.maps))
    }

    /// The same for two runs of bytes.
    #[inline]
    pub(crate) fn two_and_maps(
        &mut self,
        (addr, len): (u64, u32),
        (other, other_len): (u64, u32),
    ) -> Result<(&[u8], &[u8], &mut Maps), Trap> {
        let at = self.check(GuestAddr(addr), len, false)?;
        let other = self.check(GuestAddr(other), other_len, false)?;
        let bytes = self.bytes.get(at..at + len as usize).ok_or(Trap::OutOfRegion)?;
        let others = self.bytes.get(other..other + other_len as usize).ok_or(Trap::OutOfRegion)?;
        Ok((bytes, others, &mut self.maps))
    }

    /// Copies within guest memory, both ends of which were checked.
    #[inline]
    pub(crate) fn copy(&mut self, from: u64, to: u64, len: u32) -> Result<(), Trap> {
        let (from, to, len) = (from as usize, to as usize, len as usize);
        let most = self.bytes.len().saturating_sub(len);
        if from > most || to > most {
            return Err(Trap::OutOfRegion);
        }
        self.bytes.copy_within(from..from + len, to);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::map::{MapKind, Placement};

    /// Two arrays of values and read-only data.
    fn maps() -> [PlacedMap; 3] {
        let mut placement = Placement::default();
        let array = MapDecl {
            name: "first".to_owned(),
            kind: MapKind::Array,
            key_len: 4,
            value_len: 8,
            entries: 4,
            contents: vec![1; 32],
        };
        let second = MapDecl { name: "second".to_owned(), contents: vec![2; 32], ..array.clone() };
        let data = MapDecl { kind: MapKind::Data, value_len: 32, entries: 1, contents: vec![3; 32], ..array.clone() };
        [array, second, MapDecl { name: "data".to_owned(), ..data }].map(|decl| placement.place(decl).unwrap())
    }

    fn fill(memory: &mut Memory, map: &PlacedMap, byte: u8) {
        memory.bytes_mut()[map.range()].fill(byte);
    }

    fn holds(memory: &Memory, map: &PlacedMap, byte: u8) -> bool {
        memory.bytes()[map.range()].iter().all(|there| *there == byte)
    }

    #[test]
    fn a_map_that_comes_later_leaves_all_other_bytes_as_they_are() {
        let maps = maps();
        let mut memory = Memory::for_raw(&[7; 100]).unwrap();
        memory.contents_mut(Region::Stack).fill(8);
        memory.add_maps([&maps[0]]).unwrap();
        fill(&mut memory, &maps[0], 9);
        memory.add_maps(&maps).unwrap();
        assert_eq!(memory.contents(Region::Buffer), [7; 100]);
        assert!(memory.contents(Region::Stack).iter().all(|byte| *byte == 8));
        assert!(holds(&memory, &maps[0], 9), "a map that was here is not begun anew");
        assert!(holds(&memory, &maps[1], 2) && holds(&memory, &maps[2], 3));
    }

    /// However much room the host gave the regions before.
    #[test]
    fn all_of_every_map_is_valid() {
        let maps = maps();
        let [constants, values] = [Region::Constants, Region::MapValues]
            .map(|region| maps.iter().filter(|map| map.region == region).map(PlacedMap::end).max().unwrap_or(0));
        for more in [-1, 0, 1] {
            let room = |len: u32| len.checked_add_signed(more).unwrap();
            let given = Capacities { constants: room(constants), map_values: room(values), ..Capacities::default() };
            let mut memory = Memory::with_maps(&given, &maps).unwrap();
            for (region, len) in [(Region::Constants, constants), (Region::MapValues, values)] {
                assert_eq!(memory.capacity(region), len.max(room(len)), "{region:?} {more}");
            }
            for map in &maps {
                for addr in map.range() {
                    assert!(memory.check(GuestAddr(addr as u64), 1, false).is_ok(), "{} {more}", map.decl.name);
                }
            }
        }
    }

    #[test]
    fn what_other_regions_hold_stays_when_maps_take_room() {
        let capacities = Capacities { predicates: 1, buffer: 1, ..Capacities::default() };
        let mut memory = Memory::new(&capacities).unwrap();
        for region in [Region::Predicates, Region::Buffer] {
            memory.set_len(region, 1).unwrap();
            memory.contents_mut(region)[0] = 7;
        }
        memory.add_maps(&maps()).unwrap();
        assert_eq!([Region::Predicates, Region::Buffer].map(|region| memory.contents(region).to_vec()), [[7], [7]]);
    }

    #[test]
    fn maps_begin_anew_and_go_back() {
        let maps = maps();
        let mut memory = Memory::with_maps(&Capacities::default(), &maps).unwrap();
        assert_eq!(memory.maps().collect::<Vec<_>>(), maps.iter().collect::<Vec<_>>());
        assert_eq!(memory.state_bytes(), maps.iter().map(|map| map.decl.state_bytes()).sum());
        assert!(memory.state_bytes() >= 96);

        fill(&mut memory, &maps[0], 5);
        let snapshot = memory.snapshot();
        fill(&mut memory, &maps[0], 6);
        fill(&mut memory, &maps[1], 6);
        let ids = || maps[..2].iter().map(|map| map.id);
        assert_eq!(memory.put_back(ids().take(1), Some(&snapshot)), PutBack { restored: 1, reset: 0 });
        assert!(holds(&memory, &maps[0], 5) && holds(&memory, &maps[1], 6), "only those that are named");
        assert_eq!(memory.put_back(ids(), None), PutBack { restored: 0, reset: 2 });
        assert!(holds(&memory, &maps[0], 1) && holds(&memory, &maps[1], 2));

        fill(&mut memory, &maps[1], 6);
        memory.reset_maps();
        assert!(holds(&memory, &maps[1], 2));
        memory.restore(&snapshot).unwrap();
        assert!(holds(&memory, &maps[0], 5) && holds(&memory, &maps[1], 2));
        memory.remove_maps();
        assert_eq!((memory.maps().count(), memory.state_bytes()), (0, 0));
    }

    #[test]
    fn copies_end_where_the_memory_ends() {
        let mut memory = Memory::for_raw(&[1, 2, 3, 4, 0, 0, 0, 0]).unwrap();
        let base = u64::from(Region::Buffer.base());
        memory.copy(base, base + 4, 4).unwrap();
        assert_eq!(memory.contents(Region::Buffer), [1, 2, 3, 4, 1, 2, 3, 4]);
        memory.contents_mut(Region::Buffer).copy_from_slice(&[0, 0, 0, 0, 5, 6, 7, 8]);
        memory.copy(base + 4, base, 4).unwrap();
        assert_eq!(memory.contents(Region::Buffer), [5, 6, 7, 8, 5, 6, 7, 8]);
        for (from, to) in [(5, 0), (0, 5), (5, 5), (6, 0), (0, 6)] {
            assert_eq!(memory.copy(base + from, base + to, 4), Err(Trap::OutOfRegion), "{from} {to}");
        }
    }
}
