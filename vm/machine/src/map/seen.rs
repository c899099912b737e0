//! Keys seen within a time to live.

use super::MapCounters;
use super::hash::HashKey;
use super::recent::Recent;
use super::snapshot::{Malformed, Reader};

#[derive(Clone, Debug)]
pub(super) struct Seen {
    keys: Recent,
}

impl Seen {
    pub(super) fn new(key_len: u32, entries: u32, ttl_ns: u64) -> Self {
        Self { keys: Recent::new(key_len, entries, ttl_ns) }
    }

    /// What [`Seen::new`] allocates.
    pub(super) const fn bytes(key_len: u32, entries: u32) -> u64 {
        Recent::bytes(key_len, entries)
    }

    #[cfg(test)]
    pub(super) fn allocated(&self) -> usize {
        self.keys.allocated()
    }

    pub(super) fn see(&mut self, key: (HashKey, &[u8]), time_ns: u64, counters: &mut MapCounters) -> Option<bool> {
        let ttl_ns = self.keys.span_ns();
        let (place, latest) = self.keys.note(key, time_ns, counters)?;
        if place.is_new() {
            return Some(false);
        }
        let before = *latest;
        counters.late += u64::from(before.saturating_sub(time_ns) >= ttl_ns);
        *latest = time_ns.max(before);
        Some(time_ns.saturating_sub(before) < ttl_ns)
    }

    pub(super) fn save(&self, out: &mut Vec<u8>) {
        self.keys.save(out, |_, _| {});
    }

    /// Takes in what [`Seen::save`] wrote, into a fresh one.
    pub(super) fn load(&mut self, key: HashKey, reader: &mut Reader<'_>) -> Result<(), Malformed> {
        self.keys.load(key, reader, |_, _, _| Ok(()))
    }
}
