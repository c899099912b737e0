//! Distinct members by key within a window.
//!
//! Of each key, the members seen last are kept, as many as are declared, each with its latest time. So the answer is
//! exactly the number of distinct members in the window, or the most there can be if there are more.

use super::MapCounters;
use super::hash::HashKey;
use super::index::Index;
use super::snapshot::{Malformed, Reader};

#[derive(Clone, Debug)]
pub(super) struct Distinct {
    window_ns: u64,
    members: usize,
    member_len: usize,
    index: Index,
    /// By key: the latest time given for it, and how many members it has.
    latest: Box<[u64]>,
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

impl Distinct {
    pub(super) fn new(key_len: u32, entries: u32, member_len: u32, window_ns: u64, members: u16) -> Self {
        let all = entries as usize * usize::from(members);
        Self {
            window_ns,
            members: usize::from(members),
            member_len: member_len as usize,
            index: Index::new(key_len, entries),
            latest: vec![0; entries as usize].into(),
            counts: vec![0; entries as usize].into(),
            times: vec![0; all].into(),
            tags: vec![0; all].into(),
            bytes: vec![0; all * member_len as usize].into(),
        }
    }

    /// What [`Distinct::new`] allocates.
    pub(super) const fn bytes(key_len: u32, entries: u32, member_len: u32, members: u16) -> u64 {
        let one = members as u64 * (8 + 4 + member_len as u64);
        Index::bytes(key_len, entries) + entries as u64 * (8 + 2 + one)
    }

    #[cfg(test)]
    pub(super) fn allocated(&self) -> usize {
        self.index.allocated()
            + self.latest.len() * 8
            + self.counts.len() * 2
            + self.times.len() * 8
            + self.tags.len() * 4
            + self.bytes.len()
    }

    fn members_of(&mut self, place: u32) -> Option<Members<'_>> {
        let start = place as usize * self.members;
        let len = self.member_len;
        Some(Members {
            len,
            count: self.counts.get_mut(place as usize)?,
            times: self.times.get_mut(start..start + self.members)?,
            tags: self.tags.get_mut(start..start + self.members)?,
            bytes: self.bytes.get_mut(start * len..(start + self.members) * len)?,
        })
    }

    pub(super) fn add(
        &mut self,
        (hash, key): (HashKey, &[u8]),
        member: &[u8],
        time_ns: u64,
        counters: &mut MapCounters,
    ) -> Option<u64> {
        let (window_ns, most) = (self.window_ns, self.members);
        let place = self.index.note((hash, key), counters, |oldest| {
            self.latest
                .get(oldest as usize)
                .is_some_and(|latest| time_ns.checked_sub(*latest).is_some_and(|age| age >= window_ns))
        })?;
        let latest = self.latest.get_mut(place.number() as usize)?;
        *latest = if place.is_new() { time_ns } else { time_ns.max(*latest) };
        let latest = *latest;
        let time_ns = if latest - time_ns >= window_ns {
            counters.late += 1;
            latest - (window_ns - 1)
        } else {
            time_ns
        };
        let mut members = self.members_of(place.number())?;
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
        self.index.save(out, |place, out| {
            let count = self.counts.get(place as usize).copied().unwrap_or_default();
            out.extend(self.latest.get(place as usize).copied().unwrap_or_default().to_le_bytes());
            out.extend(count.to_le_bytes());
            let start = place as usize * self.members;
            for at in start..start + usize::from(count) {
                let bytes = self.bytes.get(at * self.member_len..(at + 1) * self.member_len);
                out.extend(self.times.get(at).copied().unwrap_or_default().to_le_bytes());
                out.extend(bytes.unwrap_or_default());
            }
        });
    }

    /// Takes in what [`Distinct::save`] wrote, into a fresh one.
    pub(super) fn load(
        &mut self,
        key_len: u32,
        entries: u32,
        key: HashKey,
        reader: &mut Reader<'_>,
    ) -> Result<(), Malformed> {
        let index = Index::load(
            key_len,
            entries,
            |bytes| key.tag(bytes),
            reader,
            |place, reader| {
                let latest = reader.u64()?;
                if let Some(known) = self.latest.get_mut(place as usize) {
                    *known = latest;
                }
                let (count, most) = (reader.u16()?, self.members);
                let member_len = self.member_len;
                let Some(mut members) = self.members_of(place) else {
                    return Err(Malformed("a place outside the map"));
                };
                if usize::from(count) > most {
                    return Err(Malformed("more members than a key has"));
                }
                for at in 0..usize::from(count) {
                    let time = reader.u64()?;
                    let member = reader.take(member_len)?;
                    let tag = key.tag(member);
                    if time > latest || members.find(tag, member).is_some() {
                        return Err(Malformed("a member twice, or after its key's latest time"));
                    }
                    members.put(at, time, tag, member);
                    *members.count += 1;
                }
                Ok(())
            },
        )?;
        self.index = index;
        Ok(())
    }
}
