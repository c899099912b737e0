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
        if let Some(len) = self.lens.get_mut(region as usize) {
            *len = capacity;
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
