//! Keys of fixed length in places of a fixed number, found by hash and ordered by use.
//!
//! Open addressing with linear probing in a table at most half full; removal moves later entries back, so that nothing
//! is left behind which would make look-ups slower over time. All memory is there from the start.

use super::MapCounters;
use super::hash::HashKey;
use super::snapshot::{Malformed, Reader};

/// Places for entries, some of them taken: what was freed last is taken first, then those never used, in order.
#[derive(Clone, Debug)]
pub(super) struct Places {
    capacity: u32,
    used: u32,
    free: Vec<u32>,
}

impl Places {
    pub(super) fn new(capacity: u32) -> Self {
        Self { capacity, used: 0, free: Vec::with_capacity(capacity as usize) }
    }

    pub(super) fn take(&mut self) -> Option<u32> {
        if let Some(place) = self.free.pop() {
            return Some(place);
        }
        let place = self.used;
        (place < self.capacity).then(|| {
            self.used += 1;
            place
        })
    }

    /// Gives back a place that was taken. The list has room for all of them.
    pub(super) fn give(&mut self, place: u32) {
        debug_assert!(place < self.used);
        self.free.push(place);
    }

    /// Makes a place the next to be taken, whether or not it was ever used.
    pub(super) fn offer(&mut self, place: u32) {
        self.used = self.used.max(place.saturating_add(1));
        self.free.push(place);
    }

    /// How many are taken.
    pub(super) fn len(&self) -> u32 {
        self.used - self.free.len() as u32
    }

    pub(super) fn is_full(&self) -> bool {
        self.len() >= self.capacity
    }

    pub(super) const fn bytes(capacity: u32) -> u64 {
        capacity as u64 * 4
    }

    pub(super) fn save(&self, out: &mut Vec<u8>) {
        out.extend(self.used.to_le_bytes());
        out.extend((self.free.len() as u32).to_le_bytes());
        self.free.iter().for_each(|place| out.extend(place.to_le_bytes()));
    }

    /// Also a mark for each place that is free.
    pub(super) fn load(capacity: u32, reader: &mut Reader<'_>) -> Result<(Self, Vec<bool>), Malformed> {
        let mut places = Self::new(capacity);
        let (used, free) = (reader.u32()?, reader.u32()?);
        if used > capacity || free > used {
            return Err(Malformed("more entries than the map has"));
        }
        let mut marks = vec![false; used as usize];
        for _ in 0..free {
            let place = reader.u32()?;
            mark(&mut marks, place)?;
            places.free.push(place);
        }
        places.used = used;
        Ok((places, marks))
    }
}

/// Marks a place that must not be marked yet.
pub(super) fn mark(marks: &mut [bool], place: u32) -> Result<(), Malformed> {
    match marks.get_mut(place as usize) {
        Some(marked) if !*marked => {
            *marked = true;
            Ok(())
        }
        _ => Err(Malformed("a place that is taken, or does not exist")),
    }
}

/// The place of a key that was looked for and taken in if it was not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Noted {
    /// It was there.
    Known(u32),
    /// It was not.
    New(u32),
}

impl Noted {
    pub(super) const fn number(self) -> u32 {
        match self {
            Self::Known(place) | Self::New(place) => place,
        }
    }

    pub(super) const fn is_new(self) -> bool {
        matches!(self, Self::New(_))
    }
}

/// No entry.
const NONE: u32 = u32::MAX;

#[derive(Clone, Copy, Debug, Default)]
struct Link {
    older: u32,
    newer: u32,
}

/// Keys by place. Hashes come from the caller: they are the tags of [`super::hash::HashKey`].
#[derive(Clone, Debug)]
pub(super) struct Index {
    key_len: usize,
    places: Places,
    keys: Box<[u8]>,
    /// The hash in the high half, the place and one in the low half; 0 if empty.
    buckets: Box<[u64]>,
    links: Box<[Link]>,
    oldest: u32,
    newest: u32,
}

const fn bucket_count(entries: u32) -> u64 {
    (entries as u64 * 2).next_power_of_two()
}

impl Index {
    pub(super) fn new(key_len: u32, entries: u32) -> Self {
        Self {
            key_len: key_len as usize,
            places: Places::new(entries),
            keys: vec![0; key_len as usize * entries as usize].into(),
            buckets: vec![0; bucket_count(entries) as usize].into(),
            links: vec![Link::default(); entries as usize].into(),
            oldest: NONE,
            newest: NONE,
        }
    }

    /// What [`Index::new`] allocates.
    pub(super) const fn bytes(key_len: u32, entries: u32) -> u64 {
        Places::bytes(entries)
            + key_len as u64 * entries as u64
            + bucket_count(entries) * 8
            + entries as u64 * size_of::<Link>() as u64
    }

    #[cfg(test)]
    pub(super) fn allocated(&self) -> usize {
        self.places.free.capacity() * 4
            + self.keys.len()
            + self.buckets.len() * 8
            + self.links.len() * size_of::<Link>()
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> u32 {
        self.places.len()
    }

    pub(super) fn is_full(&self) -> bool {
        self.places.is_full()
    }

    pub(super) fn key(&self, place: u32) -> &[u8] {
        let start = place as usize * self.key_len;
        self.keys.get(start..start + self.key_len).unwrap_or_default()
    }

    /// Buckets in the order in which a key of this hash is looked for.
    #[inline]
    fn probe(&self, hash: u32) -> impl Iterator<Item = usize> + use<> {
        let mask = self.buckets.len() - 1;
        (0..=mask).map(move |step| (hash as usize).wrapping_add(step) & mask)
    }

    /// The place of a key.
    #[inline]
    pub(super) fn find(&self, hash: u32, key: &[u8]) -> Option<u32> {
        for at in self.probe(hash) {
            let bucket = *self.buckets.get(at)?;
            if bucket == 0 {
                return None;
            }
            let place = (bucket as u32).wrapping_sub(1);
            if (bucket >> 32) as u32 == hash && self.key(place) == key {
                return Some(place);
            }
        }
        None
    }

    /// Takes in a key that is not there, as the newest; None if all places are taken.
    pub(super) fn insert(&mut self, hash: u32, key: &[u8]) -> Option<u32> {
        let place = self.places.take()?;
        self.put(place, hash, key);
        Some(place)
    }

    fn put(&mut self, place: u32, hash: u32, key: &[u8]) {
        let start = place as usize * self.key_len;
        if let Some(bytes) = self.keys.get_mut(start..start + self.key_len)
            && bytes.len() == key.len()
        {
            bytes.copy_from_slice(key);
        }
        for at in self.probe(hash) {
            if let Some(bucket @ 0) = self.buckets.get_mut(at) {
                *bucket = u64::from(hash) << 32 | u64::from(place + 1);
                break;
            }
        }
        self.link_newest(place);
    }

    /// Removes the key of a place that is taken.
    pub(super) fn remove(&mut self, place: u32, hash: u32) {
        self.unlink(place);
        self.places.give(place);
        let Some(mut hole) = self.probe(hash).find(|at| self.buckets.get(*at).is_some_and(|b| *b as u32 == place + 1))
        else {
            return;
        };
        // What follows moves into the hole if it may be found there.
        let mask = self.buckets.len() - 1;
        let mut at = hole;
        for _ in 0..mask {
            at = (at + 1) & mask;
            let Some(bucket) = self.buckets.get(at).copied().filter(|bucket| *bucket != 0) else { break };
            let home = (bucket >> 32) as usize & mask;
            if at.wrapping_sub(home) & mask >= at.wrapping_sub(hole) & mask {
                if let Some(to) = self.buckets.get_mut(hole) {
                    *to = bucket;
                }
                hole = at;
            }
        }
        if let Some(last) = self.buckets.get_mut(hole) {
            *last = 0;
        }
    }

    /// The entry used longest ago.
    pub(super) fn oldest(&self) -> Option<u32> {
        (self.oldest != NONE).then_some(self.oldest)
    }

    /// The place of a key, which becomes the newest; a full map gives up the oldest key for one that is not there.
    /// That is counted unless `is_stale` says of its place that nothing is lost.
    #[inline]
    pub(super) fn note(
        &mut self,
        (hash_key, key): (HashKey, &[u8]),
        counters: &mut MapCounters,
        is_stale: impl FnOnce(u32) -> bool,
    ) -> Option<Noted> {
        let hash = hash_key.tag(key);
        if let Some(place) = self.find(hash, key) {
            self.touch(place);
            return Some(Noted::Known(place));
        }
        if self.is_full()
            && let Some(oldest) = self.oldest()
        {
            counters.evicted += u64::from(!is_stale(oldest));
            let hash = hash_key.tag(self.key(oldest));
            self.remove(oldest, hash);
        }
        self.insert(hash, key).map(Noted::New)
    }

    /// Makes an entry the newest.
    #[inline]
    pub(super) fn touch(&mut self, place: u32) {
        if self.newest != place {
            self.unlink(place);
            self.link_newest(place);
        }
    }

    fn link(&mut self, place: u32) -> Option<&mut Link> {
        self.links.get_mut(place as usize)
    }

    fn link_newest(&mut self, place: u32) {
        let before = self.newest;
        match self.link(before) {
            Some(link) => link.newer = place,
            None => self.oldest = place,
        }
        if let Some(link) = self.link(place) {
            *link = Link { older: before, newer: NONE };
        }
        self.newest = place;
    }

    fn unlink(&mut self, place: u32) {
        let Some(Link { older, newer }) = self.link(place).copied() else { return };
        match self.link(older) {
            Some(link) => link.newer = newer,
            None => self.oldest = newer,
        }
        match self.link(newer) {
            Some(link) => link.older = older,
            None => self.newest = older,
        }
    }

    /// The places that are taken, oldest first.
    pub(super) fn in_order(&self) -> impl Iterator<Item = u32> {
        let next = |place: &u32| self.links.get(*place as usize).map(|link| link.newer).filter(|next| *next != NONE);
        std::iter::successors(self.oldest(), next)
    }

    /// Places, then each entry's place and key, oldest first, and what `payload` adds to it.
    pub(super) fn save(&self, out: &mut Vec<u8>, mut payload: impl FnMut(u32, &mut Vec<u8>)) {
        self.places.save(out);
        for place in self.in_order() {
            out.extend(place.to_le_bytes());
            out.extend(self.key(place));
            payload(place, out);
        }
    }

    /// What [`Index::save`] wrote, as one of this size.
    pub(super) fn load(
        &self,
        hash: impl Fn(&[u8]) -> u32,
        reader: &mut Reader<'_>,
        mut payload: impl FnMut(u32, &mut Reader<'_>) -> Result<(), Malformed>,
    ) -> Result<Self, Malformed> {
        let entries = self.places.capacity;
        let mut index = Self::new(self.key_len as u32, entries);
        let (places, mut marks) = Places::load(entries, reader)?;
        let count = places.len();
        index.places = places;
        for _ in 0..count {
            let place = reader.u32()?;
            mark(&mut marks, place)?;
            let key = reader.take(self.key_len)?;
            let hash = hash(key);
            if index.find(hash, key).is_some() {
                return Err(Malformed("a key twice"));
            }
            index.put(place, hash, key);
            payload(place, reader)?;
        }
        Ok(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Few hashes: nearly everything collides.
    #[test]
    fn colliding_keys_are_found_and_removed() {
        for hashes in [1, 2, 3, 7, u32::MAX] {
            let hash = |key: u8| (u32::from(key).wrapping_mul(0x9e37_79b9) % hashes).wrapping_sub(1);
            let mut index = Index::new(1, 20);
            let mut model: Vec<u8> = Vec::new();
            let mut random = 1u32;
            for _ in 0..5000 {
                random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let key = (random >> 24) as u8 % 40;
                match index.find(hash(key), &[key]) {
                    Some(place) => {
                        assert!(model.contains(&key));
                        index.remove(place, hash(key));
                        model.retain(|other| *other != key);
                    }
                    None => {
                        assert!(!model.contains(&key));
                        let place = index.insert(hash(key), &[key]);
                        assert_eq!(place.is_some(), model.len() < 20);
                        model.extend(place.map(|_| key));
                    }
                }
                assert_eq!(index.in_order().map(|place| index.key(place)[0]).collect::<Vec<_>>(), model);
                assert_eq!(index.len() as usize, model.len());
            }
        }
    }

    #[test]
    fn places_are_reused_in_order() {
        let mut places = Places::new(3);
        assert_eq!([places.take(), places.take()], [Some(0), Some(1)]);
        places.give(0);
        assert_eq!([places.take(), places.take(), places.take()], [Some(0), Some(2), None]);
        places.give(2);
        places.give(1);
        assert_eq!((places.len(), places.is_full()), (1, false));
        assert_eq!([places.take(), places.take()], [Some(1), Some(2)]);
    }

    #[test]
    fn what_it_takes_is_known() {
        for (key_len, entries) in [(1, 1), (4, 3), (8, 64), (256, 65)] {
            assert_eq!(Index::new(key_len, entries).allocated() as u64, Index::bytes(key_len, entries));
        }
    }
}
