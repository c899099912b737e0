//! A trie of bit prefixes: entries, and where two of them part, a node between.
//!
//! ```text
//!             10.0.0.0/8                 nodes 0 .. entries            entries; a value's place is its node
//!            /          \                entries .. 2 * entries        nodes between, each with two children
//!     10.0.0.0/16   (10.128.0.0/9)
//!                   /            \       children: by the first bit after the node's own
//!           10.129.0.0/16    10.200.0.0/16
//! ```
//!
//! As `kernel/bpf/lpm_trie.c` of Linux does it, but that a full trie answers as every full map here does (`-E2BIG`;
//! Linux answers `-ENOSPC`). A way down is no longer than the longest prefix has bits, and one. A
//! node compares what its parent has not compared yet, so a look-up reads the key once.

use super::index::{Places, mark};
use super::snapshot::{Malformed, Reader};
use super::{LPM_PREFIX_LEN, Put, Refusal};

/// No node.
const NONE: u32 = u32::MAX;

/// Where a node hangs: the child of a parent, or the root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hook {
    Root,
    Child(u32, usize),
}

#[derive(Clone, Copy, Debug)]
struct Node {
    /// Bits of its prefix.
    bits: u32,
    children: [u32; 2],
}

/// Prefixes by place.
#[derive(Clone, Debug)]
pub(super) struct Trie {
    /// Bytes of the longest prefix.
    len: usize,
    entries: u32,
    root: u32,
    nodes: Box<[Node]>,
    /// The prefixes of all nodes, bits beyond them zero.
    keys: Box<[u8]>,
    places: Places,
    between: Places,
}

/// A key: how many bits, and the bytes that hold them.
#[derive(Clone, Copy, Debug)]
struct Prefix<'k> {
    bits: u32,
    bytes: &'k [u8],
}

impl<'k> Prefix<'k> {
    /// None if there are fewer bytes than bits.
    fn new(key: &'k [u8]) -> Option<Self> {
        let (bits, bytes) = key.split_first_chunk::<{ LPM_PREFIX_LEN as usize }>()?;
        let bits = u32::from_le_bytes(*bits);
        (u64::from(bits) <= bytes.len() as u64 * 8).then_some(Self { bits, bytes })
    }

    /// The bit at a place; 0 beyond the end.
    fn bit(self, at: u32) -> usize {
        bit(self.bytes, at)
    }
}

fn bit(bytes: &[u8], at: u32) -> usize {
    bytes.get(at as usize / 8).map_or(0, |byte| usize::from(byte >> (7 - at % 8) & 1))
}

/// How many bits two strings have in common, of at most `most`; the first `same` are known to agree.
fn common(a: &[u8], b: &[u8], same: u32, most: u32) -> u32 {
    let start = same as usize / 8;
    let pairs = a.iter().zip(b).enumerate().skip(start);
    for (at, (a, b)) in pairs {
        if at as u32 * 8 >= most {
            break;
        }
        if a != b {
            return (at as u32 * 8 + (a ^ b).leading_zeros()).min(most);
        }
    }
    most
}

impl Trie {
    pub(super) fn new(key_len: u32, entries: u32) -> Self {
        let len = key_len.saturating_sub(LPM_PREFIX_LEN) as usize;
        let nodes = entries as usize * 2;
        Self {
            len,
            entries,
            root: NONE,
            nodes: vec![Node { bits: 0, children: [NONE; 2] }; nodes].into(),
            keys: vec![0; nodes * len].into(),
            places: Places::new(entries),
            between: Places::new(entries),
        }
    }

    /// What [`Trie::new`] allocates.
    pub(super) const fn bytes(key_len: u32, entries: u32) -> u64 {
        2 * Places::bytes(entries)
            + 2 * entries as u64 * (size_of::<Node>() as u64 + key_len.saturating_sub(LPM_PREFIX_LEN) as u64)
    }

    fn node(&self, node: u32) -> Option<&Node> {
        self.nodes.get(node as usize)
    }

    fn bytes_of(&self, node: u32) -> &[u8] {
        let start = node as usize * self.len;
        self.keys.get(start..start + self.len).unwrap_or_default()
    }

    fn at(&self, hook: Hook) -> u32 {
        match hook {
            Hook::Root => self.root,
            Hook::Child(parent, side) => {
                self.node(parent).and_then(|node| node.children.get(side)).copied().unwrap_or(NONE)
            }
        }
    }

    fn hang(&mut self, hook: Hook, node: u32) {
        let place = match hook {
            Hook::Root => Some(&mut self.root),
            Hook::Child(parent, side) => {
                self.nodes.get_mut(parent as usize).and_then(|parent| parent.children.get_mut(side))
            }
        };
        if let Some(place) = place {
            *place = node;
        }
    }

    /// The place of the longest prefix of the key.
    pub(super) fn lookup(&self, key: &[u8]) -> Option<u32> {
        let key = Prefix::new(key)?;
        let (mut at, mut same, mut found) = (self.root, 0, None);
        while let Some(node) = self.node(at) {
            if node.bits > key.bits || common(self.bytes_of(at), key.bytes, same, node.bits) < node.bits {
                break;
            }
            if at < self.entries {
                found = Some(at);
            }
            same = node.bits;
            if same == key.bits {
                break;
            }
            at = *node.children.get(key.bit(same))?;
        }
        found
    }

    /// The way towards a key: where the first node hangs that is not a shorter prefix of it (or none), where its
    /// parent hangs, and how many bits that node has in common with the key.
    fn walk(&self, key: Prefix<'_>) -> (Hook, Option<Hook>, u32) {
        let (mut hook, mut parent, mut same) = (Hook::Root, None, 0);
        loop {
            let at = self.at(hook);
            let Some(node) = self.node(at) else { return (hook, parent, same) };
            let shared = common(self.bytes_of(at), key.bytes, same, node.bits.min(key.bits));
            if shared < node.bits || node.bits == key.bits {
                return (hook, parent, shared);
            }
            same = node.bits;
            parent = Some(hook);
            hook = Hook::Child(at, key.bit(same));
        }
    }

    /// The place for a key: its own, or a new one.
    pub(super) fn update(&mut self, key: &[u8], put: Put) -> Result<u32, Refusal> {
        let key = Prefix::new(key).ok_or(Refusal::Invalid)?;
        let (hook, _, shared) = self.walk(key);
        let at = self.at(hook);
        let here = self.node(at).copied();
        let exact = here.filter(|node| node.bits == key.bits && shared == key.bits);
        if exact.is_some() && at < self.entries {
            return if put == Put::New { Err(Refusal::Exists) } else { Ok(at) };
        }
        if put == Put::Known {
            return Err(Refusal::Missing);
        }
        let place = self.places.take().ok_or(Refusal::Full)?;
        let mut children = [NONE; 2];
        let mut top = place;
        if let Some(exact) = exact {
            children = exact.children;
            self.between.give(at - self.entries);
        } else if here.is_some() {
            let side = bit(self.bytes_of(at), shared);
            if shared == key.bits {
                if let Some(child) = children.get_mut(side) {
                    *child = at;
                }
            } else {
                // Two ways part here, where no node is yet. There are fewer such places than entries.
                let number = self.between.take().ok_or(Refusal::Full)?;
                let mut ways = [place; 2];
                if let Some(way) = ways.get_mut(side) {
                    *way = at;
                }
                top = self.entries + number;
                self.set(top, Prefix { bits: shared, ..key }, ways);
            }
        }
        self.set(place, key, children);
        self.hang(hook, top);
        Ok(place)
    }

    /// Sets a node, cutting its prefix to its bits.
    fn set(&mut self, node: u32, prefix: Prefix<'_>, children: [u32; 2]) {
        if let Some(node) = self.nodes.get_mut(node as usize) {
            *node = Node { bits: prefix.bits, children };
        }
        let start = node as usize * self.len;
        if let Some(bytes) = self.keys.get_mut(start..start + self.len) {
            bytes.fill(0);
            for (at, (to, from)) in bytes.iter_mut().zip(prefix.bytes).enumerate() {
                let left = u64::from(prefix.bits).saturating_sub(at as u64 * 8).min(8) as u32;
                *to = from & !0xff_u8.checked_shr(left).unwrap_or(0);
            }
        }
    }

    /// Removes a key.
    pub(super) fn delete(&mut self, key: &[u8]) -> Result<(), Refusal> {
        let key = Prefix::new(key).ok_or(Refusal::Invalid)?;
        let (hook, parent, shared) = self.walk(key);
        let at = self.at(hook);
        let node = self.node(at).copied().filter(|node| node.bits == key.bits && shared == key.bits);
        let Some(node) = node.filter(|_| at < self.entries) else { return Err(Refusal::Missing) };
        self.places.give(at);
        match node.children {
            [NONE, NONE] => {
                self.hang(hook, NONE);
                self.straighten(hook, parent);
            }
            [child, NONE] | [NONE, child] => self.hang(hook, child),
            children => {
                // It stays as a node between. There is one for each pair of ways that part, fewer than entries.
                if let Some(number) = self.between.take() {
                    let top = self.entries + number;
                    self.set(top, key, children);
                    self.hang(hook, top);
                }
            }
        }
        Ok(())
    }

    /// A node between that has lost a child gives its place to the other.
    fn straighten(&mut self, hook: Hook, parent: Option<Hook>) {
        if let (Hook::Child(above, side), Some(parent)) = (hook, parent)
            && above >= self.entries
        {
            let other = self.at(Hook::Child(above, 1 - side.min(1)));
            self.hang(parent, other);
            self.between.give(above - self.entries);
        }
    }

    /// Places, then each entry's place, bits and bytes, by place, and what `payload` adds to it.
    pub(super) fn save(&self, out: &mut Vec<u8>, mut payload: impl FnMut(u32, &mut Vec<u8>)) {
        self.places.save(out);
        for place in self.taken() {
            out.extend(place.to_le_bytes());
            out.extend(self.node(place).map_or(0, |node| node.bits).to_le_bytes());
            out.extend(self.bytes_of(place));
            payload(place, out);
        }
    }

    /// The places that are taken, ascending.
    fn taken(&self) -> impl Iterator<Item = u32> + use<> {
        let mut taken: Vec<u32> = Vec::with_capacity(self.places.len() as usize);
        let mut pending = vec![self.root];
        while let Some(at) = pending.pop() {
            if let Some(node) = self.node(at) {
                taken.extend((at < self.entries).then_some(at));
                pending.extend(node.children);
            }
        }
        taken.sort_unstable();
        taken.into_iter()
    }

    /// What [`Trie::save`] wrote.
    pub(super) fn load(
        key_len: u32,
        entries: u32,
        reader: &mut Reader<'_>,
        mut payload: impl FnMut(u32, &mut Reader<'_>) -> Result<(), Malformed>,
    ) -> Result<Self, Malformed> {
        let mut trie = Self::new(key_len, entries);
        let (places, mut marks) = Places::load(entries, reader)?;
        for _ in 0..places.len() {
            let place = reader.u32()?;
            mark(&mut marks, place)?;
            let key = reader.take(key_len as usize)?;
            trie.places.offer(place);
            trie.update(key, Put::New).map_err(|_| Malformed("a prefix twice, or too long"))?;
            payload(place, reader)?;
        }
        trie.places = places;
        Ok(trie)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_in_common() {
        for (a, b, most, want) in [
            ([0b1010_0000, 0], [0b1010_0000, 0], 16, 16),
            ([0b1010_0000, 0], [0b1010_0000, 0x80], 16, 8),
            ([0b1010_0000, 0], [0b1011_0000, 0], 16, 3),
            ([0b1010_0000, 0], [0b1011_0000, 0], 2, 2),
            ([0, 0], [0x80, 0], 16, 0),
            ([0, 0], [0x80, 0], 0, 0),
            ([0, 1], [0, 0], 16, 15),
        ] {
            for same in 0..=want {
                assert_eq!(common(&a, &b, same, most), want, "{a:?} {b:?} {same}");
            }
        }
    }

    #[test]
    fn what_it_takes_is_known() {
        for (key_len, entries) in [(5, 1), (8, 100), (20, 33), (256, 7)] {
            let trie = Trie::new(key_len, entries);
            let nodes = trie.nodes.len() * size_of::<Node>() + trie.keys.len();
            assert_eq!(nodes as u64 + 2 * Places::bytes(entries), Trie::bytes(key_len, entries));
        }
    }

    /// A node between is freed when it is not needed: any number of changes goes on.
    #[test]
    fn nodes_between_do_not_run_out() {
        let mut trie = Trie::new(5, 2);
        let key = |bits: u8, byte: u8| [bits, 0, 0, 0, byte];
        for round in 0..1000u32 {
            let (a, b) = (key(8, round as u8), key((round % 9) as u8, 0x55));
            let (first, second) = (trie.update(&a, Put::Any), trie.update(&b, Put::Any));
            assert!(first.is_ok() && second.is_ok(), "{round}");
            assert_eq!(trie.lookup(&a), first.ok());
            trie.delete(&a).unwrap();
            assert_eq!(trie.lookup(&key(8, 0x55)).is_some(), a != b);
            assert_eq!(trie.delete(&b).is_ok(), a != b);
            assert_eq!((trie.root, trie.places.len(), trie.between.len()), (NONE, 0, 0), "{round}");
        }
    }
}
