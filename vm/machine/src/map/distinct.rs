//! Distinct members by key within a window.
//!
//! Of each key, the members seen last are kept, as many as are declared, each with its latest time. So the answer is
//! exactly the number of distinct members in the window, or the most there can be if there are more.

use super::MapCounters;
use super::hash::HashKey;
use super::recent::Recent;
use super::snapshot::{Malformed, Reader};

#[derive(Clone, Debug)]
pub(super) struct Distinct {
    keys: Recent,
    lists: Lists,
}

/// The members of all keys.
#[derive(Clone, Debug)]
struct Lists {
    /// The most that a key has, and bytes of one.
    most: usize,
    len: usize,
    /// By key: how many there are.
    counts: Box<[u16]>,
    /// By key and member: its latest time, its hash, its bytes.
    times: Box<[u64]>,
    tags: Box<[u32]>,
    bytes: Box<[u8]>,
}

/// The members of one key.
struct Members<'m> {
    len: usize,
    count: &'m mut u16,
    times: &'m mut [u64],
    tags: &'m mut [u32],
    bytes: &'m mut [u8],
}

impl Members<'_> {
    fn bytes(&self, at: usize) -> &[u8] {
        self.bytes.get(at * self.len..(at + 1) * self.len).unwrap_or_default()
    }

    fn find(&self, tag: u32, member: &[u8]) -> Option<usize> {
        let mut tags = self.tags.iter().take(usize::from(*self.count)).enumerate();
        tags.find(|(at, known)| **known == tag && self.bytes(*at) == member).map(|(at, _)| at)
    }

    fn put(&mut self, at: usize, time_ns: u64, tag: u32, member: &[u8]) {
        if let (Some(time), Some(known)) = (self.times.get_mut(at), self.tags.get_mut(at)) {
            (*time, *known) = (time_ns, tag);
        }
        if let Some(bytes) = self.bytes.get_mut(at * self.len..(at + 1) * self.len)
            && bytes.len() == member.len()
        {
            bytes.copy_from_slice(member);
        }
    }

    /// Forgets those that a window which ends at `latest` does not hold.
    fn expire(&mut self, latest: u64, window_ns: u64) {
        let mut at = 0;
        while at < usize::from(*self.count) {
            if self.times.get(at).is_some_and(|time| latest.saturating_sub(*time) < window_ns) {
                at += 1;
                continue;
            }
            // The last one takes its place.
            *self.count -= 1;
            let last = usize::from(*self.count);
            self.times.swap(at, last);
            self.tags.swap(at, last);
            self.bytes.copy_within(last * self.len..(last + 1) * self.len, at * self.len);
        }
    }

    fn oldest(&self) -> Option<(usize, u64)> {
        let times = self.times.iter().take(usize::from(*self.count)).copied().enumerate();
        times.min_by_key(|(_, time)| *time)
    }
}

impl Lists {
    fn of(&mut self, place: u32) -> Option<Members<'_>> {
        let (start, len) = (place as usize * self.most, self.len);
        let end = start + self.most;
        Some(Members {
            len,
            count: self.counts.get_mut(place as usize)?,
            times: self.times.get_mut(start..end)?,
            tags: self.tags.get_mut(start..end)?,
            bytes: self.bytes.get_mut(start * len..end * len)?,
        })
    }

    fn save(&self, place: u32, out: &mut Vec<u8>) {
        let count = self.counts.get(place as usize).copied().unwrap_or_default();
        out.extend(count.to_le_bytes());
        let start = place as usize * self.most;
        for at in start..start + usize::from(count) {
            out.extend(self.times.get(at).copied().unwrap_or_default().to_le_bytes());
            out.extend(self.bytes.get(at * self.len..(at + 1) * self.len).unwrap_or_default());
        }
    }

    /// Takes in what [`Lists::save`] wrote of a key with this latest time.
    fn load(&mut self, place: u32, latest: u64, key: HashKey, reader: &mut Reader<'_>) -> Result<(), Malformed> {
        let (count, most) = (usize::from(reader.u16()?), self.most);
        let mut members = self.of(place).ok_or(Malformed("a place outside the map"))?;
        if count > most {
            return Err(Malformed("more members than a key has"));
        }
        for at in 0..count {
            let time = reader.u64()?;
            let member = reader.take(members.len)?;
            let tag = key.tag(member);
            if time > latest || members.find(tag, member).is_some() {
                return Err(Malformed("a member twice, or after its key's latest time"));
            }
            members.put(at, time, tag, member);
            *members.count += 1;
        }
        Ok(())
    }
}

impl Distinct {
    pub(super) fn new(key_len: u32, entries: u32, member_len: u32, window_ns: u64, members: u16) -> Self {
        let all = entries as usize * usize::from(members);
        let lists = Lists {
            most: usize::from(members),
            len: member_len as usize,
            counts: vec![0; entries as usize].into(),
            times: vec![0; all].into(),
            tags: vec![0; all].into(),
            bytes: vec![0; all * member_len as usize].into(),
        };
        Self { keys: Recent::new(key_len, entries, window_ns), lists }
    }

    /// What [`Distinct::new`] allocates.
    pub(super) const fn bytes(key_len: u32, entries: u32, member_len: u32, members: u16) -> u64 {
        let one = members as u64 * (8 + 4 + member_len as u64);
        Recent::bytes(key_len, entries) + entries as u64 * (2 + one)
    }

    #[cfg(test)]
    pub(super) fn allocated(&self) -> usize {
        let Lists { counts, times, tags, bytes, .. } = &self.lists;
        self.keys.allocated() + counts.len() * 2 + times.len() * 8 + tags.len() * 4 + bytes.len()
    }

    pub(super) fn add(
        &mut self,
        (hash, key): (HashKey, &[u8]),
        member: &[u8],
        time_ns: u64,
        counters: &mut MapCounters,
    ) -> Option<u64> {
        let (window_ns, most) = (self.keys.span_ns(), self.lists.most);
        let (place, latest) = self.keys.note((hash, key), time_ns, counters)?;
        *latest = time_ns.max(*latest);
        let latest = *latest;
        let time_ns = if latest - time_ns >= window_ns {
            counters.late += 1;
            latest - (window_ns - 1)
        } else {
            time_ns
        };
        let mut members = self.lists.of(place.number())?;
        if place.is_new() {
            *members.count = 0;
        }
        members.expire(latest, window_ns);
        let tag = hash.tag(member);
        if let Some(at) = members.find(tag, member) {
            if let Some(time) = members.times.get_mut(at) {
                *time = time_ns.max(*time);
            }
        } else if usize::from(*members.count) < most {
            members.put(usize::from(*members.count), time_ns, tag, member);
            *members.count += 1;
        } else if let Some((at, oldest)) = members.oldest()
            && oldest < time_ns
        {
            members.put(at, time_ns, tag, member);
        }
        let count = usize::from(*members.count);
        counters.saturated += u64::from(count == most);
        Some(count as u64)
    }

    pub(super) fn save(&self, out: &mut Vec<u8>) {
        self.keys.save(out, |place, out| self.lists.save(place, out));
    }

    /// Takes in what [`Distinct::save`] wrote, into a fresh one.
    pub(super) fn load(&mut self, key: HashKey, reader: &mut Reader<'_>) -> Result<(), Malformed> {
        let Self { keys, lists } = self;
        keys.load(key, reader, |place, latest, reader| lists.load(place, latest, key, reader))
    }
}
