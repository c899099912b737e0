//! Amounts summed by key over a sliding window of panes.
//!
//! Time is cut into panes of `pane_ns` from 0 on; a key's window is the pane of the latest time given for it, and those
//! before it. A pane's sum lies in a ring, at its number modulo their count.

use super::hash::HashKey;
use super::recent::Recent;
use super::snapshot::{Malformed, Reader};
use super::{COUNT_MAX, MapCounters};

#[derive(Clone, Debug)]
pub(super) struct Window {
    pane_ns: u64,
    panes: usize,
    keys: Recent,
    sums: Box<[u64]>,
}

impl Window {
    pub(super) fn new(key_len: u32, entries: u32, window_ns: u64, panes: u16) -> Self {
        Self {
            pane_ns: window_ns.div_ceil(u64::from(panes.max(1))).max(1),
            panes: usize::from(panes.max(1)),
            keys: Recent::new(key_len, entries, window_ns),
            sums: vec![0; entries as usize * usize::from(panes.max(1))].into(),
        }
    }

    /// What [`Window::new`] allocates.
    pub(super) const fn bytes(key_len: u32, entries: u32, panes: u16) -> u64 {
        Recent::bytes(key_len, entries) + entries as u64 * panes as u64 * 8
    }

    #[cfg(test)]
    pub(super) fn allocated(&self) -> usize {
        self.keys.allocated() + self.sums.len() * 8
    }

    pub(super) fn add(
        &mut self,
        key: (HashKey, &[u8]),
        time_ns: u64,
        amount: u64,
        counters: &mut MapCounters,
    ) -> Option<u64> {
        let (place, latest) = self.keys.note(key, time_ns, counters)?;
        let sums = self.sums.get_mut(place.number() as usize * self.panes..)?.get_mut(..self.panes)?;
        if place.is_new() {
            sums.fill(0);
        }
        let panes = self.panes as u64;
        let mut pane = time_ns / self.pane_ns;
        if time_ns > *latest {
            // The panes that the window slides onto begin empty.
            let last = *latest / self.pane_ns;
            for step in 1..=(pane - last).min(panes) {
                if let Some(sum) = sums.get_mut(((last + step) % panes) as usize) {
                    *sum = 0;
                }
            }
            *latest = time_ns;
        }
        let first = (*latest / self.pane_ns).saturating_sub(panes - 1);
        if pane < first {
            counters.late += 1;
            pane = first;
        }
        let sum = sums.get_mut((pane % panes) as usize)?;
        *sum = sum.saturating_add(amount).min(COUNT_MAX);
        let total = sums.iter().fold(0u64, |total, sum| total.saturating_add(*sum)).min(COUNT_MAX);
        counters.saturated += u64::from(total == COUNT_MAX);
        Some(total)
    }

    pub(super) fn save(&self, out: &mut Vec<u8>) {
        self.keys.save(out, |place, out| {
            let sums = self.sums.get(place as usize * self.panes..).and_then(|sums| sums.get(..self.panes));
            sums.unwrap_or_default().iter().for_each(|sum| out.extend(sum.to_le_bytes()));
        });
    }

    /// Takes in what [`Window::save`] wrote, into a fresh one.
    pub(super) fn load(&mut self, key: HashKey, reader: &mut Reader<'_>) -> Result<(), Malformed> {
        let Self { panes, sums, keys, .. } = self;
        keys.load(key, reader, |place, _, reader| {
            let sums = sums.get_mut(place as usize * *panes..).and_then(|sums| sums.get_mut(..*panes));
            for sum in sums.unwrap_or_default() {
                *sum = reader.u64()?;
                if *sum > COUNT_MAX {
                    return Err(Malformed("a sum that cannot be"));
                }
            }
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_stop_at_their_limit() {
        let mut counters = MapCounters::default();
        let mut window = Window::new(1, 2, 100, 4);
        let mut add = |key: u8, time_ns, amount| {
            let total = window.add((HashKey(1, 2), &[key]), time_ns, amount, &mut counters);
            (total, counters.saturated)
        };
        // In one pane.
        assert_eq!(add(0, 0, COUNT_MAX - 1), (Some(COUNT_MAX - 1), 0));
        assert_eq!(add(0, 0, 1), (Some(COUNT_MAX), 1));
        assert_eq!(add(0, 0, 1), (Some(COUNT_MAX), 2));
        // The sum of two, neither of which is there.
        assert_eq!(add(1, 0, COUNT_MAX - 1), (Some(COUNT_MAX - 1), 2));
        assert_eq!(add(1, 25, 1), (Some(COUNT_MAX), 3));
        assert_eq!(add(1, 50, u64::MAX), (Some(COUNT_MAX), 4));
        // The first has left the window: what is beyond the limit was not kept.
        assert_eq!(add(1, 100, 0), (Some(COUNT_MAX), 5));
        assert_eq!(add(1, 150, 7), (Some(7), 5));
    }
}
