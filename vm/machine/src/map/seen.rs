//! Keys seen within a time to live.

use super::MapCounters;
use super::hash::HashKey;
use super::index::Index;
use super::snapshot::{Malformed, Reader};

#[derive(Clone, Debug)]
pub(super) struct Seen {
    ttl_ns: u64,
    index: Index,
    /// The latest time given for each key.
    latest: Box<[u64]>,
}

impl Seen {
    pub(super) fn new(key_len: u32, entries: u32, ttl_ns: u64) -> Self {
        Self { ttl_ns, index: Index::new(key_len, entries), latest: vec![0; entries as usize].into() }
    }

    /// What [`Seen::new`] allocates.
    pub(super) const fn bytes(key_len: u32, entries: u32) -> u64 {
        Index::bytes(key_len, entries) + entries as u64 * 8
    }

    #[cfg(test)]
    pub(super) fn allocated(&self) -> usize {
        self.index.allocated() + self.latest.len() * 8
    }

    pub(super) fn see(&mut self, key: (HashKey, &[u8]), time_ns: u64, counters: &mut MapCounters) -> Option<bool> {
        let place = self.index.note(key, counters, |oldest| {
            self.latest
                .get(oldest as usize)
                .is_some_and(|latest| time_ns.checked_sub(*latest).is_some_and(|age| age >= self.ttl_ns))
        })?;
        let latest = self.latest.get_mut(place.number() as usize)?;
        let before = *latest;
        if place.is_new() {
            *latest = time_ns;
            return Some(false);
        }
        counters.late += u64::from(before.saturating_sub(time_ns) >= self.ttl_ns);
        *latest = time_ns.max(before);
        Some(time_ns.saturating_sub(before) < self.ttl_ns)
    }

    pub(super) fn save(&self, out: &mut Vec<u8>) {
        self.index.save(out, |place, out| {
            out.extend(self.latest.get(place as usize).copied().unwrap_or_default().to_le_bytes());
        });
    }

    /// Takes in what [`Seen::save`] wrote, into a fresh one.
    pub(super) fn load(
        &mut self,
        key_len: u32,
        entries: u32,
        key: HashKey,
        reader: &mut Reader<'_>,
    ) -> Result<(), Malformed> {
        let latest = &mut self.latest;
        self.index = Index::load(
            key_len,
            entries,
            |bytes| key.tag(bytes),
            reader,
            |place, reader| {
                if let Some(latest) = latest.get_mut(place as usize) {
                    *latest = reader.u64()?;
                }
                Ok(())
            },
        )?;
        Ok(())
    }
}
