//! Which places hold the same 64 bits, so that what is learned of one is learned of all.
//!
//! ```text
//! mov r2, r1            r1 = r2
//! stxdw [r10-8], r1     r1 = r2 = [-8]
//! jgt r2, 7, out        below: all three are 0..=7
//! add r2, 1             r1 = [-8]; what r2 was is known as before
//! ```
//!
//! The links are a partition of the places, a fact about one state and nothing else: there are no numbers for values
//! that could be mistaken for those of another round of a loop. A class is named by the first of its places, and has
//! at least two. So two sets of links are the same if and only if they are written the same.
//!
//! Every write to a place ends its link, whatever the instruction ([`AbstractState::set`](super::AbstractState::set)):
//! those that copy a register whole make a new one afterwards. Linked places always hold equal abstract values, which
//! is checked with the other invariants.

use crate::memory::FRAME_LEN;

/// Places that are linked at most; further copies are not. It bounds what each step of a proof can cost.
pub(super) const LINKS_MAX: usize = 64;

/// Saved registers of one frame.
const SLOTS: u16 = (FRAME_LEN / 8) as u16;
/// Registers get the first numbers, a caller's kept ones those after all slots.
const FIRST_SLOT: u16 = 16;
const FIRST_KEPT: u16 = 1 << 12;

/// A place that holds a value: a register, a register kept for a caller, a saved register on the stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::verifier) struct Holder(u16);

/// A place that holds 64 bits, of which others may be copies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// A register of the function that runs.
    Register(u8),
    /// A slot of a frame.
    Slot(u16, u8),
    /// A register of the caller with this frame.
    Kept(u16, u8),
}

impl Holder {
    /// A register of the function that runs.
    pub(super) const fn register(register: u8) -> Self {
        Self(register as u16)
    }

    /// An aligned slot of eight bytes, counted from the lowest of its frame.
    pub(super) const fn slot(frame: u16, slot: u8) -> Self {
        Self(FIRST_SLOT + frame * SLOTS + slot as u16)
    }

    /// A register that a caller gets back.
    pub(super) const fn kept(frame: u16, register: u8) -> Self {
        Self(FIRST_KEPT + frame * FIRST_SLOT + register as u16)
    }

    /// What it is.
    pub(super) const fn held(self) -> Held {
        match self.0 {
            register @ 0..FIRST_SLOT => Held::Register(register as u8),
            slot @ FIRST_SLOT..FIRST_KEPT => {
                Held::Slot((slot - FIRST_SLOT) / SLOTS, ((slot - FIRST_SLOT) % SLOTS) as u8)
            }
            kept => Held::Kept((kept - FIRST_KEPT) / FIRST_SLOT, ((kept - FIRST_KEPT) % FIRST_SLOT) as u8),
        }
    }
}

/// A linked place, and the first place of its class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Link {
    holder: Holder,
    class: Holder,
}

/// A partition of the places; those alone in their class are left out. Empty in most states, and free of cost then.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Links {
    /// By holder, ascending.
    list: Vec<Link>,
}

impl Clone for Links {
    fn clone(&self) -> Self {
        Self { list: self.list.clone() }
    }

    fn clone_from(&mut self, source: &Self) {
        self.list.clone_from(&source.list);
    }
}

impl Links {
    pub(super) const fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub(super) const fn len(&self) -> usize {
        self.list.len()
    }

    fn class(&self, holder: Holder) -> Option<Holder> {
        let at = self.list.binary_search_by_key(&holder, |link| link.holder).ok()?;
        self.list.get(at).map(|link| link.class)
    }

    /// Whether both are known to hold the same.
    pub(super) fn same(&self, a: Holder, b: Holder) -> bool {
        a == b || !self.is_empty() && self.class(a).is_some_and(|class| self.class(b) == Some(class))
    }

    /// All places that hold the same as this one, with it, ascending. Nothing if there is no other.
    pub(super) fn of(&self, holder: Holder) -> impl Iterator<Item = Holder> + use<'_> {
        let class = if self.is_empty() { None } else { self.class(holder) };
        self.list.iter().filter(move |link| Some(link.class) == class).map(|link| link.holder)
    }

    /// All linked places, ascending, each with the first of its class.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Holder, Holder)> + use<'_> {
        self.list.iter().map(|link| (link.holder, link.class))
    }

    /// The place gets another value.
    pub(super) fn cut(&mut self, holder: Holder) {
        let Ok(at) = self.list.binary_search_by_key(&holder, |link| link.holder) else { return };
        let class = self.list.remove(at).class;
        let mut rest = self.list.iter_mut().filter(|link| link.class == class);
        let Some(first) = rest.next() else { return };
        let name = first.holder;
        let mut alone = true;
        for link in rest {
            link.class = name;
            alone = false;
        }
        if alone {
            self.list.retain(|link| link.holder != name);
        } else if let Ok(at) = self.list.binary_search_by_key(&name, |link| link.holder)
            && let Some(first) = self.list.get_mut(at)
        {
            first.class = name;
        }
    }

    /// The first place gets the value of the second.
    pub(super) fn link(&mut self, copy: Holder, original: Holder) {
        if copy == original {
            return;
        }
        self.cut(copy);
        let class = self.class(original);
        let more = if class.is_none() { 2 } else { 1 };
        if self.list.len() + more > LINKS_MAX {
            return;
        }
        let old = class.unwrap_or(original);
        let name = old.min(copy);
        if class.is_none() {
            self.insert(Link { holder: original, class: name });
        } else if name != old {
            for link in self.list.iter_mut().filter(|link| link.class == old) {
                link.class = name;
            }
        }
        self.insert(Link { holder: copy, class: name });
    }

    fn insert(&mut self, link: Link) {
        let at = self.list.partition_point(|other| other.holder < link.holder);
        self.list.insert(at, link);
    }

    /// The value is henceforth elsewhere.
    pub(super) fn rename(&mut self, from: Holder, to: Holder) {
        let Some(other) = self.of(from).find(|holder| *holder != from) else {
            self.cut(to);
            return;
        };
        self.cut(from);
        self.link(to, other);
    }

    /// Keeps the places that are asked for.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(Holder) -> bool) {
        let mut index = 0;
        while let Some(link) = self.list.get(index).copied() {
            if keep(link.holder) {
                index += 1;
            } else {
                self.cut(link.holder);
                // What is left of a class of two is gone as well, and it may have been before this one.
                index = index.min(self.list.partition_point(|other| other.holder < link.holder));
            }
        }
    }

    /// Keeps what is linked in both.
    pub(super) fn join(&mut self, other: &Self) {
        if self == other {
            return;
        }
        // Places are linked in both if their classes are the same in both: the intersection of two partitions.
        let mut both: Vec<(Holder, Holder, Holder)> =
            self.iter().filter_map(|(holder, ours)| Some((ours, other.class(holder)?, holder))).collect();
        both.sort_unstable();
        self.list.clear();
        for class in both.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1)).filter(|class| class.len() > 1) {
            let Some((_, _, first)) = class.first() else { continue };
            self.list.extend(class.iter().map(|(_, _, holder)| Link { holder: *holder, class: *first }));
        }
        self.list.sort_unstable_by_key(|link| link.holder);
    }

    /// Whether all that is linked there is linked here: then what holds here is no more than what holds there.
    pub(super) fn includes(&self, other: &Self) -> bool {
        other.iter().all(|(holder, class)| self.same(holder, class))
    }

    pub(super) fn bytes(&self) -> usize {
        self.list.len() * size_of::<Link>()
    }

    /// Whether it is written as a partition is: places ascending, classes named by a place of theirs that comes first.
    pub(super) fn is_well_formed(&self) -> bool {
        let mut last = None;
        let mut is_named_right = |link: &Link| {
            let named = link.class == link.holder
                || last == Some(link.class)
                || link.class < link.holder && self.class(link.class) == Some(link.class);
            last = Some(link.class).filter(|_| named);
            named
        };
        self.list.len() <= LINKS_MAX
            && self.list.is_sorted_by(|a, b| a.holder < b.holder)
            && self.list.iter().all(&mut is_named_right)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    const PLACES: u8 = 6;

    fn holders() -> Vec<Holder> {
        let mut all: Vec<_> = (0..PLACES - 2).map(Holder::register).collect();
        all.extend([Holder::slot(0, 3), Holder::kept(1, 6)]);
        all
    }

    /// All pairs that a set of links says are the same: what it means, whatever it looks like.
    fn pairs(links: &Links) -> BTreeSet<(usize, usize)> {
        let all = holders();
        let mut found = BTreeSet::new();
        for (holder, class) in links.iter() {
            assert!(links.of(holder).count() >= 2 && links.of(holder).next() == Some(class), "{links:?}");
        }
        for (i, a) in all.iter().enumerate() {
            for (j, b) in all.iter().enumerate() {
                if i != j && links.same(*a, *b) {
                    found.insert((i, j));
                }
            }
        }
        found
    }

    /// Every partition of the places, each from the class of each place.
    fn partitions() -> Vec<Links> {
        let all = holders();
        let mut found: Vec<Vec<usize>> = vec![Vec::new()];
        for _ in &all {
            found = found
                .into_iter()
                .flat_map(|classes| {
                    let next = classes.iter().max().map_or(0, |most| most + 1);
                    (0..=next).map(move |class| [classes.clone(), vec![class]].concat())
                })
                .collect();
        }
        found
            .into_iter()
            .map(|classes| {
                let mut links = Links::default();
                // Linked from the last on, so that names have to change.
                for (index, class) in classes.iter().enumerate().rev() {
                    let later = classes.iter().enumerate().skip(index + 1).find(|(_, other)| *other == class);
                    if let Some((other, _)) = later {
                        links.link(all[index], all[other]);
                    }
                }
                links
            })
            .collect()
    }

    #[test]
    fn holders_are_what_they_were_made_of() {
        assert_eq!(Holder::register(10).held(), Held::Register(10));
        assert_eq!(Holder::slot(7, 63).held(), Held::Slot(7, 63));
        assert_eq!(Holder::slot(0, 0).held(), Held::Slot(0, 0));
        assert_eq!(Holder::kept(6, 9).held(), Held::Kept(6, 9));
        assert!(Holder::slot(7, 63) < Holder::kept(0, 6));
    }

    #[test]
    fn copying_and_writing_any_place_of_any_partition() {
        let all = holders();
        let partitions = partitions();
        // The sixth Bell number.
        assert_eq!(partitions.len(), 203);
        for links in &partitions {
            assert!(links.is_well_formed());
            let before = pairs(links);
            for (i, a) in all.iter().enumerate() {
                let mut cut = links.clone();
                cut.cut(*a);
                let without: BTreeSet<_> = before.iter().copied().filter(|(x, y)| *x != i && *y != i).collect();
                assert!(cut.is_well_formed());
                assert_eq!(pairs(&cut), without);
                for (j, b) in all.iter().enumerate() {
                    let mut linked = links.clone();
                    linked.link(*a, *b);
                    assert!(linked.is_well_formed());
                    let mut want = without.clone();
                    if i == j {
                        want = before.clone();
                    } else {
                        let class: Vec<_> = (0..all.len()).filter(|k| *k == j || without.contains(&(j, *k))).collect();
                        want.extend(class.iter().flat_map(|k| [(i, *k), (*k, i)]));
                    }
                    assert_eq!(pairs(&linked), want, "{links:?} with {a:?} = {b:?}");
                    if i != j {
                        let mut renamed = links.clone();
                        renamed.rename(*a, *b);
                        let mut want = links.clone();
                        want.link(*b, *a);
                        want.cut(*a);
                        assert_eq!(renamed, want, "{links:?} with {a:?} now {b:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn joining_keeps_what_both_say_and_inclusion_agrees() {
        let partitions = partitions();
        for a in &partitions {
            for b in &partitions {
                let mut joined = a.clone();
                joined.join(b);
                assert!(joined.is_well_formed());
                let (of_a, of_b) = (pairs(a), pairs(b));
                assert_eq!(pairs(&joined), of_a.intersection(&of_b).copied().collect(), "{a:?} and {b:?}");
                assert!(a.includes(&joined) && b.includes(&joined));
                assert_eq!(a.includes(b), of_b.is_subset(&of_a));
                assert_eq!(a == b, of_a == of_b);
            }
        }
    }

    #[test]
    fn links_at_their_limit() {
        // The first two make one class together, so the last of these is the 64th place.
        for (count, want) in [(LINKS_MAX - 1, LINKS_MAX - 1), (LINKS_MAX, LINKS_MAX), (LINKS_MAX + 1, LINKS_MAX)] {
            let mut links = Links::default();
            for slot in 1..count {
                links.link(Holder::slot(slot as u16 / 60, (slot % 60) as u8), Holder::register(3));
            }
            assert_eq!(links.list.len(), want);
            assert!(links.is_well_formed());
        }
        let mut links = Links::default();
        for slot in 0..LINKS_MAX {
            links.link(Holder::slot(0, slot as u8), Holder::slot(1, slot as u8));
        }
        assert_eq!(links.list.len(), LINKS_MAX);
        // A link that ends makes room.
        links.cut(Holder::slot(0, 0));
        links.link(Holder::register(1), Holder::register(2));
        assert!(links.same(Holder::register(1), Holder::register(2)));
    }

    #[test]
    fn keeping_some_places() {
        let all = holders();
        for links in partitions() {
            for kept in 0u32..1 << all.len() {
                let keeps =
                    |holder: Holder| all.iter().position(|h| *h == holder).is_some_and(|at| kept >> at & 1 == 1);
                let mut some = links.clone();
                some.retain(keeps);
                assert!(some.is_well_formed());
                let want = pairs(&links).into_iter().filter(|(x, y)| keeps(all[*x]) && keeps(all[*y])).collect();
                assert_eq!(pairs(&some), want, "{links:?} without some");
            }
        }
    }

    /// The check that the verifier makes of itself.
    #[test]
    fn links_that_are_written_wrong_are_noticed() {
        let of = |list: &[(u8, u8)]| Links {
            list: list
                .iter()
                .map(|(holder, class)| Link { holder: Holder::register(*holder), class: Holder::register(*class) })
                .collect(),
        };
        for (list, good) in [
            (&[][..], true),
            (&[(1, 1), (2, 1)], true),
            (&[(1, 1), (2, 1), (3, 3), (5, 1), (6, 3)], true),
            (&[(2, 1), (1, 1)], false), // not ascending
            (&[(1, 1), (1, 1), (2, 1)], false),
            (&[(2, 1), (3, 1)], false),         // named by a place that is not linked
            (&[(1, 2), (2, 2)], false),         // by one that comes later
            (&[(1, 1), (2, 1), (3, 2)], false), // by one that is in another class
            (&[(1, 1), (2, 2), (3, 1), (4, 2), (5, 3)], false),
        ] {
            assert_eq!(of(list).is_well_formed(), good, "{list:?}");
        }
        for count in [LINKS_MAX, LINKS_MAX + 1] {
            let class = Holder::slot(0, 0);
            let list: Vec<_> =
                (0..count).map(|at| Link { holder: Holder::slot(at as u16 / 60, (at % 60) as u8), class }).collect();
            assert!(list.is_sorted_by_key(|link| link.holder));
            assert_eq!(Links { list }.is_well_formed(), count <= LINKS_MAX, "{count}");
        }
    }

    /// What the budget of bytes counts.
    #[test]
    fn bytes_grow_with_the_places() {
        let mut links = Links::default();
        let mut before = links.bytes();
        assert_eq!(before, 0);
        for register in 1..9 {
            links.link(Holder::register(register), Holder::register(0));
            assert_eq!(links.bytes(), links.len() * size_of::<Link>());
            assert!(links.bytes() > before);
            before = links.bytes();
        }
    }

    #[test]
    fn one_set_of_links_overwrites_another() {
        for from in partitions() {
            let mut to = Links::default();
            to.link(Holder::register(8), Holder::register(9));
            to.clone_from(&from);
            assert_eq!(to, from);
        }
    }
}
