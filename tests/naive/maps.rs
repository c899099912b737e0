//! Maps as plainly as can be: a list of entries from the coldest to the hottest, searched from one end to the other,
//! that forgets nothing it could still be asked for. Shares no code with the machine's maps but their declaration.

use std::collections::BTreeMap;

use trapline_vm::map::{MapDecl, MapKind};

/// One key and all that was said of it.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) key: Vec<u8>,
    pub(crate) place: u32,
    /// The latest time given for the key.
    latest: u64,
    /// Amounts by pane.
    amounts: BTreeMap<u64, u128>,
    /// Members and their latest times.
    members: BTreeMap<Vec<u8>, u64>,
}

/// What happened that programs do not see.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) evicted: u64,
    pub(crate) refused: u64,
    pub(crate) saturated: u64,
    pub(crate) late: u64,
}

/// A map. Values lie elsewhere, at the places that it says.
#[derive(Clone, Debug)]
pub(crate) struct NaiveMap {
    pub(crate) decl: MapDecl,
    /// From the coldest to the hottest.
    pub(crate) entries: Vec<Entry>,
    /// Places that were freed, the last one first to be used again.
    freed: Vec<u32>,
    never_used: u32,
    pub(crate) counts: Counts,
}

pub(crate) const E2BIG: i64 = -7;
pub(crate) const EEXIST: i64 = -17;
pub(crate) const ENOENT: i64 = -2;
pub(crate) const EINVAL: i64 = -22;

impl NaiveMap {
    pub(crate) fn new(decl: &MapDecl) -> Self {
        Self { decl: decl.clone(), entries: Vec::new(), freed: Vec::new(), never_used: 0, counts: Counts::default() }
    }

    fn find(&self, key: &[u8]) -> Option<usize> {
        self.entries.iter().position(|entry| entry.key == key)
    }

    fn heat(&mut self, at: usize) {
        let entry = self.entries.remove(at);
        self.entries.push(entry);
    }

    fn take_place(&mut self) -> u32 {
        self.freed.pop().unwrap_or_else(|| {
            self.never_used += 1;
            self.never_used - 1
        })
    }

    fn add(&mut self, key: &[u8]) -> u32 {
        let place = self.take_place();
        let (amounts, members) = (BTreeMap::new(), BTreeMap::new());
        self.entries.push(Entry { key: key.to_vec(), place, latest: 0, amounts, members });
        place
    }

    fn remove(&mut self, at: usize) -> Entry {
        let entry = self.entries.remove(at);
        self.freed.push(entry.place);
        entry
    }

    fn is_full(&self) -> bool {
        self.entries.len() == self.decl.entries as usize
    }

    fn index(&self, key: &[u8]) -> Option<u32> {
        let index = u32::from_le_bytes(key.try_into().unwrap());
        (index < self.decl.entries).then_some(index)
    }

    /// The place of the value under a key.
    pub(crate) fn lookup(&mut self, key: &[u8]) -> Option<u32> {
        match self.decl.kind {
            MapKind::Array | MapKind::Data => self.index(key),
            MapKind::Hash => Some(self.entries[self.find(key)?].place),
            MapKind::LruHash => {
                let at = self.find(key)?;
                self.heat(at);
                Some(self.entries.last()?.place)
            }
            MapKind::LpmTrie => {
                let key = bits(key)?;
                let matching = self.entries.iter().filter(|entry| key.starts_with(&bits(&entry.key).unwrap()));
                Some(matching.max_by_key(|entry| bits(&entry.key).unwrap().len())?.place)
            }
            kind => panic!("no look-ups in {kind:?}"),
        }
    }

    /// The place where the value under a key is to be put.
    pub(crate) fn update(&mut self, key: &[u8], flags: u64) -> Result<u32, i64> {
        if flags > 2 {
            return Err(EINVAL);
        }
        if self.decl.kind == MapKind::Array {
            return match self.index(key) {
                None => Err(E2BIG),
                Some(_) if flags == 1 => Err(EEXIST),
                Some(index) => Ok(index),
            };
        }
        let key = self.normal(key).ok_or(EINVAL)?;
        match (self.find(&key), flags) {
            (Some(_), 1) => Err(EEXIST),
            (None, 2) => Err(ENOENT),
            (Some(at), _) => {
                self.heat(at);
                Ok(self.entries.last().unwrap().place)
            }
            (None, _) => {
                if self.is_full() {
                    if self.decl.kind != MapKind::LruHash {
                        self.counts.refused += 1;
                        return Err(E2BIG);
                    }
                    self.remove(0);
                    self.counts.evicted += 1;
                }
                Ok(self.add(&key))
            }
        }
    }

    pub(crate) fn delete(&mut self, key: &[u8]) -> i64 {
        if self.decl.kind == MapKind::Array {
            return EINVAL;
        }
        let Some(key) = self.normal(key) else { return EINVAL };
        match self.find(&key) {
            Some(at) => {
                self.remove(at);
                0
            }
            None => ENOENT,
        }
    }

    /// A prefix without the bits beyond it; None if it is longer than a key. Other keys are as they are.
    fn normal(&self, key: &[u8]) -> Option<Vec<u8>> {
        if self.decl.kind != MapKind::LpmTrie {
            return Some(key.to_vec());
        }
        let bits = bits(key)?;
        let mut normal = (bits.len() as u32).to_le_bytes().to_vec();
        normal.resize(key.len(), 0);
        for (at, bit) in bits.iter().enumerate() {
            normal[4 + at / 8] |= u8::from(*bit) << (7 - at % 8);
        }
        Some(normal)
    }

    /// The entry of a key, the hottest now. The coldest goes if there is no room, and counts if `span` after its latest
    /// time is not over yet.
    fn note(&mut self, key: &[u8], time: u64, span: u64) -> &mut Entry {
        match self.find(key) {
            Some(at) => self.heat(at),
            None => {
                if self.is_full() {
                    let coldest = self.remove(0);
                    if u128::from(coldest.latest) + u128::from(span) > u128::from(time) {
                        self.counts.evicted += 1;
                    }
                }
                self.add(key);
                self.entries.last_mut().unwrap().latest = time;
            }
        }
        self.entries.last_mut().unwrap()
    }

    pub(crate) fn window_add(&mut self, key: &[u8], time: u64, amount: u64) -> u64 {
        let MapKind::Window { window_ns, panes } = self.decl.kind else { panic!() };
        let pane_ns = window_ns.div_ceil(panes.into());
        let entry = self.note(key, time, window_ns);
        entry.latest = entry.latest.max(time);
        let first = (entry.latest / pane_ns).saturating_sub(u64::from(panes) - 1);
        let late = time / pane_ns < first;
        *entry.amounts.entry((time / pane_ns).max(first)).or_default() += u128::from(amount);
        let sum: u128 = entry.amounts.range(first..).map(|(_, amount)| amount).sum();
        let most = i64::MAX as u64;
        let sum = u64::try_from(sum).unwrap_or(most).min(most);
        self.counts.late += u64::from(late);
        self.counts.saturated += u64::from(sum == most);
        sum
    }

    pub(crate) fn distinct_add(&mut self, key: &[u8], member: &[u8], time: u64) -> u64 {
        let MapKind::Distinct { window_ns, members } = self.decl.kind else { panic!() };
        let entry = self.note(key, time, window_ns);
        entry.latest = entry.latest.max(time);
        let latest = entry.latest;
        // One more than the latest time may be more than there are times.
        let first = (u128::from(latest) + 1).saturating_sub(window_ns.into()) as u64;
        let late = time < first;
        let known = entry.members.entry(member.to_vec()).or_default();
        *known = (*known).max(time.max(first));
        let count = entry.members.values().filter(|time| **time >= first).count();
        let count = (count as u64).min(members.into());
        self.counts.late += u64::from(late);
        self.counts.saturated += u64::from(count == u64::from(members));
        count
    }

    pub(crate) fn seen(&mut self, key: &[u8], time: u64) -> u64 {
        let MapKind::Seen { ttl_ns } = self.decl.kind else { panic!() };
        let known = self.find(key).is_some();
        let entry = self.note(key, time, ttl_ns);
        let before = entry.latest;
        entry.latest = before.max(time);
        if !known {
            return 0;
        }
        self.counts.late += u64::from(u128::from(time) + u128::from(ttl_ns) <= u128::from(before));
        u64::from(u128::from(time) < u128::from(before) + u128::from(ttl_ns))
    }
}

/// The bits of a prefix; None if there are fewer than it says.
fn bits(key: &[u8]) -> Option<Vec<bool>> {
    let count = u32::from_le_bytes(key[..4].try_into().unwrap()) as usize;
    let all = key[4..].iter().flat_map(|byte| (0..8).map(move |bit| byte >> (7 - bit) & 1 == 1));
    let bits: Vec<bool> = all.take(count).collect();
    (bits.len() == count).then_some(bits)
}
