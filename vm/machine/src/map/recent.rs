//! Keys with the latest time given for each: what windows, distinct members and seen keys have in common.

use super::MapCounters;
use super::hash::HashKey;
use super::index::{Index, Noted};
use super::snapshot::{Malformed, Reader};

#[derive(Clone, Debug)]
pub(super) struct Recent {
    /// How long a key counts after its latest time.
    span_ns: u64,
    index: Index,
    /// By place.
    latest: Box<[u64]>,
}

impl Recent {
    pub(super) fn new(key_len: u32, entries: u32, span_ns: u64) -> Self {
        Self { span_ns, index: Index::new(key_len, entries), latest: vec![0; entries as usize].into() }
    }

    /// What [`Recent::new`] allocates.
    pub(super) const fn bytes(key_len: u32, entries: u32) -> u64 {
        Index::bytes(key_len, entries) + entries as u64 * 8
    }

    #[cfg(test)]
    pub(super) fn allocated(&self) -> usize {
        self.index.allocated() + self.latest.len() * 8
    }

    pub(super) const fn span_ns(&self) -> u64 {
        self.span_ns
    }

    /// The place of a key, which becomes the newest, and its latest time: that of a new one is this time. A full map
    /// gives up the oldest key for a new one, which is counted if it still counted.
    #[inline]
    pub(super) fn note(
        &mut self,
        key: (HashKey, &[u8]),
        time_ns: u64,
        counters: &mut MapCounters,
    ) -> Option<(Noted, &mut u64)> {
        let Self { span_ns, index, latest } = self;
        let place = index.note(key, counters, |oldest| {
            let latest = latest.get(oldest as usize);
            latest.is_some_and(|latest| time_ns.checked_sub(*latest).is_some_and(|age| age >= *span_ns))
        })?;
        let latest = latest.get_mut(place.number() as usize)?;
        if place.is_new() {
            *latest = time_ns;
        }
        Some((place, latest))
    }

    /// Keys as [`Index::save`] does, their latest times, and what `payload` adds to each.
    pub(super) fn save(&self, out: &mut Vec<u8>, mut payload: impl FnMut(u32, &mut Vec<u8>)) {
        self.index.save(out, |place, out| {
            out.extend(self.latest.get(place as usize).copied().unwrap_or_default().to_le_bytes());
            payload(place, out);
        });
    }

    /// Takes in what [`Recent::save`] wrote, into a fresh one. The payload is told the latest time of its key.
    pub(super) fn load(
        &mut self,
        key: HashKey,
        reader: &mut Reader<'_>,
        mut payload: impl FnMut(u32, u64, &mut Reader<'_>) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        let latest = &mut self.latest;
        let each = |place: u32, reader: &mut Reader<'_>| {
            let time_ns = reader.u64()?;
            let latest = latest.get_mut(place as usize).ok_or(Malformed("a place outside the map"))?;
            *latest = time_ns;
            payload(place, time_ns, reader)
        };
        self.index = self.index.load(|bytes| key.tag(bytes), reader, each)?;
        Ok(())
    }
}
