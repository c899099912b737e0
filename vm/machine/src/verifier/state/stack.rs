//! What is known of a stack frame: which bytes may be read, and which slots hold a register as it was stored.

use std::fmt;

use super::{RegType, Why};
use crate::memory::FRAME_LEN;

const BYTES: usize = FRAME_LEN as usize;
/// Bytes of a saved register.
const SLOT_LEN: usize = 8;
const WORDS: usize = BYTES / 64;

/// A range of bytes of the frame, from its lowest byte; the end is not included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bytes {
    start: usize,
    end: usize,
}

impl Bytes {
    /// `len` bytes from `start`. None if they do not lie in the frame.
    pub fn new(start: u32, len: u32) -> Option<Self> {
        let (start, len) = (usize::try_from(start).ok()?, usize::try_from(len).ok()?);
        let end = start.checked_add(len)?;
        (end <= BYTES).then_some(Self { start, end })
    }

    /// The slot that these bytes are, all eight of them.
    pub(super) fn as_slot(self) -> Option<u8> {
        let whole = self.start.is_multiple_of(SLOT_LEN) && self.end - self.start == SLOT_LEN;
        if whole { u8::try_from(self.start / SLOT_LEN).ok() } else { None }
    }

    pub(super) fn touches(self, slot: u8) -> bool {
        let start = usize::from(slot) * SLOT_LEN;
        self.start < start + SLOT_LEN && start < self.end
    }

    pub(super) fn of_slot(slot: u8) -> Self {
        let start = usize::from(slot) * SLOT_LEN;
        Self { start, end: start + SLOT_LEN }
    }
}

/// One register saved on the stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Saved {
    slot: u8,
    value: RegType,
}

/// What is known of a stack frame.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Stack {
    initialised: [u64; WORDS],
    /// By slot, ascending. Empty in most programs.
    saved: Vec<Saved>,
}

impl Clone for Stack {
    fn clone(&self) -> Self {
        Self { initialised: self.initialised, saved: self.saved.clone() }
    }

    /// Keeps the allocation, since states are overwritten all the time.
    fn clone_from(&mut self, source: &Self) {
        self.initialised = source.initialised;
        self.saved.clone_from(&source.saved);
    }
}

impl Stack {
    fn is_byte_initialised(&self, byte: usize) -> bool {
        self.initialised.get(byte / 64).is_some_and(|word| word & 1 << (byte % 64) != 0)
    }

    fn mark(&mut self, bytes: Bytes, initialised: bool) {
        for byte in bytes.start..bytes.end {
            if let Some(word) = self.initialised.get_mut(byte / 64) {
                let bit = 1 << (byte % 64);
                *word = if initialised { *word | bit } else { *word & !bit };
            }
        }
    }

    /// The first of these bytes that is not initialised.
    pub fn first_uninitialised(&self, bytes: Bytes) -> Option<u32> {
        (bytes.start..bytes.end).find(|byte| !self.is_byte_initialised(*byte)).and_then(|byte| u32::try_from(byte).ok())
    }

    /// Whether some of these bytes belong to a saved pointer.
    pub fn holds_pointer(&self, bytes: Bytes) -> bool {
        self.saved.iter().any(|saved| bytes.touches(saved.slot) && saved.value.is_address())
    }

    /// The register that was saved in exactly these bytes.
    pub fn saved(&self, bytes: Bytes) -> Option<RegType> {
        self.in_slot(bytes.as_slot()?).map(|saved| saved.value)
    }

    /// Asked a lot: whether copies are still copies, after every instruction.
    fn in_slot(&self, slot: u8) -> Option<&Saved> {
        let at = self.saved.binary_search_by_key(&slot, |saved| saved.slot).ok()?;
        self.saved.get(at)
    }

    /// The saved registers, each with the offset of its slot from the lowest byte of the frame.
    pub fn saved_slots(&self) -> impl Iterator<Item = (u32, RegType)> {
        self.saved.iter().map(|saved| (u32::from(saved.slot) * SLOT_LEN as u32, saved.value))
    }

    /// What is saved, in the order of the slots.
    pub(super) fn values(&self) -> impl Iterator<Item = RegType> + use<'_> {
        self.saved.iter().map(|saved| saved.value)
    }

    /// What is saved in a slot.
    pub(super) fn slot(&self, slot: u8) -> Option<&RegType> {
        self.in_slot(slot).map(|saved| &saved.value)
    }

    /// What is saved in a slot, to change.
    pub(super) fn slot_mut(&mut self, slot: u8) -> Option<&mut RegType> {
        let at = self.saved.binary_search_by_key(&slot, |saved| saved.slot).ok()?;
        self.saved.get_mut(at).map(|saved| &mut saved.value)
    }

    /// Removes the saved registers that these bytes touch. What is left of a pointer can no longer be read.
    fn forget(&mut self, bytes: Bytes) {
        let mut index = 0;
        while let Some(saved) = self.saved.get(index) {
            if bytes.touches(saved.slot) {
                let saved = self.saved.remove(index);
                if saved.value.is_address() {
                    self.mark(Bytes::of_slot(saved.slot), false);
                }
            } else {
                index += 1;
            }
        }
    }

    /// A store to exactly these bytes. A register stored whole in a slot is kept as it is.
    pub fn store(&mut self, bytes: Bytes, value: RegType) {
        self.forget(bytes);
        self.mark(bytes, true);
        if let Some(slot) = bytes.as_slot() {
            let at = self.saved.partition_point(|saved| saved.slot < slot);
            self.saved.insert(at, Saved { slot, value });
        }
    }

    /// Why a byte that is not initialised cannot be read, if it once held a register.
    pub(in crate::verifier) fn why_unreadable(&self, byte: u32) -> Option<Why> {
        let saved = self.saved.iter().find(|saved| u32::from(saved.slot) == byte / SLOT_LEN as u32)?;
        if let RegType::Unusable(why) = saved.value { Some(why) } else { None }
    }

    /// Makes unreadable what is saved and asked for.
    pub(super) fn invalidate(&mut self, why: impl Fn(&RegType) -> Option<Why>) {
        for index in 0..self.saved.len() {
            let Some(saved) = self.saved.get_mut(index) else { continue };
            if let Some(why) = why(&saved.value) {
                saved.value = RegType::Unusable(why);
                let slot = saved.slot;
                self.mark(Bytes::of_slot(slot), false);
            }
        }
    }

    /// A store of a number somewhere in these bytes: nothing becomes initialised, nothing saved there stays known.
    pub fn store_somewhere(&mut self, bytes: Bytes) {
        self.forget(bytes);
    }

    /// Makes addresses in a frame that is no more unreadable.
    pub(super) fn forget_addresses(&mut self, frame: u16) {
        let mut index = 0;
        while let Some(saved) = self.saved.get(index) {
            if saved.value.is_in_frame(frame) {
                let slot = self.saved.remove(index).slot;
                self.mark(Bytes::of_slot(slot), false);
            } else {
                index += 1;
            }
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.saved.len() * size_of::<Saved>()
    }

    /// Whether the other allows all that this one does: no byte may be read there that may not be here, no register is
    /// known to be saved there that is not here, and no address is taken for mere bytes there.
    pub(super) fn is_within(&self, other: &Self) -> bool {
        let readable = other.initialised.iter().zip(self.initialised).all(|(theirs, ours)| theirs & !ours == 0);
        let is_there = |saved: &Saved| {
            matches!(saved.value, RegType::Unusable(_)) || {
                let ours = self.in_slot(saved.slot);
                ours.is_some_and(|ours| ours.value.is_within(saved.value))
            }
        };
        let stays_address = |saved: &Saved| {
            let theirs = other.in_slot(saved.slot);
            let bytes = Bytes::of_slot(saved.slot);
            !saved.value.is_address()
                || theirs.is_some_and(|theirs| theirs.value.is_address())
                || !(bytes.start..bytes.end).any(|byte| other.is_byte_initialised(byte))
        };
        readable && other.saved.iter().all(is_there) && self.saved.iter().all(stays_address)
    }

    /// Keeps what holds of either; of saved registers what `both` says of the two.
    pub(super) fn join(&mut self, other: &Self, both: impl Fn(RegType, RegType) -> RegType) {
        for (word, other) in self.initialised.iter_mut().zip(other.initialised) {
            *word &= other;
        }
        // A slot stays saved if both hold one kind of value there. A pointer that does not can no longer be read.
        let mut theirs = other.saved.iter().peekable();
        let mut unreadable = Vec::new();
        self.saved.retain_mut(|ours| {
            while let Some(their) = theirs.next_if(|their| their.slot < ours.slot) {
                unreadable.extend(their.value.is_address().then_some(their.slot));
            }
            let their = theirs.next_if(|their| their.slot == ours.slot).map(|their| their.value);
            let pointers = ours.value.is_address() || their.is_some_and(|their| their.is_address());
            match their.map(|their| both(ours.value, their)) {
                Some(joined) if !matches!(joined, RegType::Unusable(_)) => {
                    ours.value = joined;
                    true
                }
                // Unreadable on both sides for one reason.
                Some(joined) if joined == ours.value => true,
                _ => {
                    unreadable.extend(pointers.then_some(ours.slot));
                    false
                }
            }
        });
        unreadable.extend(theirs.filter(|their| their.value.is_address()).map(|their| their.slot));
        for slot in unreadable {
            self.mark(Bytes::of_slot(slot), false);
        }
    }

    pub(super) fn is_consistent(&self) -> bool {
        self.saved.iter().all(|saved| {
            let readable = self.first_uninitialised(Bytes::of_slot(saved.slot)).is_none();
            saved.value.is_consistent() && readable != matches!(saved.value, RegType::Unusable(_))
        }) && self.saved.is_sorted_by(|a, b| a.slot < b.slot)
    }
}

impl fmt::Display for Stack {
    /// Runs of initialised bytes and saved registers, from the frame pointer down: `[-8]=7 [-16..-12]`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let below = |byte: usize| byte.cast_signed() - BYTES.cast_signed();
        let mut end = BYTES;
        let mut first = true;
        while end > 0 {
            let saved = self.saved.iter().find(|saved| (usize::from(saved.slot) + 1) * SLOT_LEN == end);
            let mut start = end;
            if let Some(saved) = saved {
                start -= SLOT_LEN;
                write!(f, "{}[{}]={}", if first { "" } else { " " }, below(start), saved.value)?;
                first = false;
            } else {
                while start > 0
                    && self.is_byte_initialised(start - 1)
                    && !self.saved.iter().any(|saved| (usize::from(saved.slot) + 1) * SLOT_LEN == start)
                {
                    start -= 1;
                }
                if start < end {
                    write!(f, "{}[{}..{}]", if first { "" } else { " " }, below(start), below(end))?;
                    first = false;
                } else {
                    start -= 1;
                }
            }
            end = start;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::Region;
    use crate::verifier::number::{Bits, Scalar};

    fn bytes(start: u32, len: u32) -> Bytes {
        Bytes::new(start, len).unwrap()
    }

    fn record(offset: u64) -> RegType {
        RegType::pointer(Region::Record, offset)
    }

    #[test]
    fn bytes_outside_the_frame_are_none() {
        assert!(Bytes::new(FRAME_LEN - 8, 8).is_some());
        assert!(Bytes::new(FRAME_LEN - 7, 8).is_none());
        assert!(Bytes::new(FRAME_LEN, 0).is_some());
        assert!(Bytes::new(u32::MAX, 8).is_none());
    }

    #[test]
    fn a_register_saved_whole_comes_back_whole() {
        let mut stack = Stack::default();
        stack.store(bytes(504, 8), record(8));
        assert_eq!(stack.saved(bytes(504, 8)), Some(record(8)));
        assert_eq!(stack.saved(bytes(504, 4)), None);
        assert!(stack.holds_pointer(bytes(511, 1)) && !stack.holds_pointer(bytes(496, 8)));
        assert_eq!(stack.to_string(), "[-8]=pointer to record+8");
        stack.store(bytes(0, 4), RegType::exact(7));
        assert_eq!(stack.to_string(), "[-8]=pointer to record+8 [-512..-508]");
    }

    #[test]
    fn what_is_left_of_a_pointer_cannot_be_read() {
        let mut stack = Stack::default();
        stack.store(bytes(496, 8), record(8));
        stack.store(bytes(500, 1), RegType::exact(0));
        assert_eq!(stack.saved(bytes(496, 8)), None);
        assert_eq!(stack.first_uninitialised(bytes(496, 8)), Some(496));
        assert_eq!(stack.first_uninitialised(bytes(500, 1)), None);
        assert_eq!(stack.first_uninitialised(bytes(500, 2)), Some(501));
        // What is left of a number can.
        stack.store(bytes(504, 8), RegType::exact(5));
        stack.store(bytes(504, 4), RegType::exact(6));
        assert_eq!((stack.saved(bytes(504, 8)), stack.first_uninitialised(bytes(504, 8))), (None, None));
    }

    #[test]
    fn a_store_somewhere_initialises_nothing_and_forgets_what_it_may_hit() {
        let mut stack = Stack::default();
        stack.store(bytes(480, 8), RegType::exact(1));
        stack.store(bytes(488, 8), record(0));
        stack.store(bytes(496, 8), RegType::exact(3));
        stack.store_somewhere(bytes(472, 24));
        assert_eq!(stack.saved(bytes(480, 8)), None);
        assert_eq!(stack.first_uninitialised(bytes(480, 8)), None);
        assert_eq!(stack.first_uninitialised(bytes(488, 8)), Some(488));
        assert_eq!(stack.saved(bytes(496, 8)), Some(RegType::exact(3)));
        assert_eq!(stack.first_uninitialised(bytes(472, 8)), Some(472));
    }

    #[test]
    fn joining_stacks_keeps_what_both_hold() {
        let mut a = Stack::default();
        let mut b = Stack::default();
        for (slot, ours, theirs) in [
            (0, Some(RegType::exact(1)), Some(RegType::exact(2))),
            (1, Some(record(0)), Some(record(0))),
            (2, Some(record(0)), Some(RegType::exact(2))),
            (3, Some(RegType::exact(2)), Some(record(0))),
            (4, Some(RegType::exact(2)), None),
            (5, None, Some(record(0))),
        ] {
            if let Some(value) = ours {
                a.store(bytes(slot * 8, 8), value);
            }
            if let Some(value) = theirs {
                b.store(bytes(slot * 8, 8), value);
            }
        }
        // Initialised on both sides, saved on one only.
        a.store(bytes(48, 8), RegType::exact(2));
        b.store(bytes(48, 4), RegType::exact(2));
        b.store(bytes(52, 4), RegType::exact(2));
        // The same with a pointer.
        a.store(bytes(56, 8), record(0));
        b.store(bytes(56, 4), RegType::exact(2));
        b.store(bytes(60, 4), RegType::exact(2));
        for (mut joined, other) in [(a.clone(), &b), (b.clone(), &a)] {
            joined.join(other, RegType::join);
            assert!(joined.is_consistent());
            assert_eq!(joined.saved(bytes(0, 8)), Some(RegType::exact(1).join(RegType::exact(2))));
            assert_eq!(joined.saved(bytes(8, 8)), Some(record(0)));
            for slot in [2, 3, 4, 5, 7] {
                assert_eq!(joined.saved(bytes(slot * 8, 8)), None);
                assert_eq!(joined.first_uninitialised(bytes(slot * 8, 8)), Some(slot * 8));
            }
            assert_eq!((joined.saved(bytes(48, 8)), joined.first_uninitialised(bytes(48, 8))), (None, None));
        }
    }

    /// The check that the verifier makes of itself.
    #[test]
    fn frames_that_cannot_be_are_noticed() {
        let (number, unusable) = (RegType::exact(7), RegType::Unusable(Why::Invalidated { map: 0 }));
        let frame = |slots: &[(u8, RegType)], readable: &[u8]| {
            let saved = slots.iter().map(|(slot, value)| Saved { slot: *slot, value: *value }).collect();
            let mut stack = Stack { saved, ..Stack::default() };
            readable.iter().for_each(|slot| stack.mark(Bytes::of_slot(*slot), true));
            stack
        };
        let empty = RegType::Scalar(Scalar::range(1, 0, Bits::B64));
        for (slots, readable, good) in [
            (&[][..], &[][..], true),
            (&[(3, number), (4, record(8))], &[3, 4], true),
            (&[(3, unusable)], &[], true),
            (&[(3, number)], &[], false),
            (&[(3, number), (4, number)], &[3], false),
            (&[(3, unusable)], &[3], false),
            (&[(3, empty)], &[3], false),
            (&[(4, number), (3, number)], &[3, 4], false),
            (&[(3, number), (3, number)], &[3], false),
        ] {
            assert_eq!(frame(slots, readable).is_consistent(), good, "{slots:?} {readable:?}");
        }
        let mut partly = frame(&[(3, number)], &[3]);
        partly.mark(bytes(31, 1), false);
        assert!(!partly.is_consistent());
    }

    /// What the budget of bytes counts, and where what is saved lies.
    #[test]
    fn every_saved_register_counts() {
        let mut stack = Stack::default();
        for slot in 0..64 {
            assert_eq!(stack.bytes(), slot as usize * size_of::<Saved>());
            stack.store(bytes(slot * 8, 8), RegType::exact(slot.into()));
        }
        let slots: Vec<_> = stack.saved_slots().collect();
        assert_eq!(slots, (0..64).map(|slot| (slot * 8, RegType::exact(slot.into()))).collect::<Vec<_>>());
    }

    /// If a frame is within another, whatever may be done with the other one may be done with it; and a join, the other
    /// one with less readable or with more saved as what it is, has both within it.
    #[test]
    fn a_frame_within_another_allows_what_that_one_does() {
        let unusable = RegType::Unusable(Why::Invalidated { map: 0 });
        let several = RegType::Scalar(Scalar::range(0, 9, Bits::B64));
        let frames: Vec<Stack> = {
            let contents = |slot: u32| -> Vec<Stack> {
                let at = bytes(slot * 8, 8);
                let with = |value: Option<RegType>, readable: u32| {
                    let mut stack = Stack::default();
                    if readable > 0 {
                        stack.mark(bytes(slot * 8, readable), true);
                    }
                    if let Some(value) = value {
                        stack.store(at, value);
                        if matches!(value, RegType::Unusable(_)) {
                            stack.mark(at, false);
                        }
                    }
                    assert!(stack.is_consistent());
                    stack
                };
                let mut all = vec![with(None, 0), with(None, 1), with(None, 8)];
                all.extend([RegType::exact(7), several, record(0), record(8), unusable].map(|v| with(Some(v), 0)));
                all
            };
            // One slot of each of two words.
            let both = |a: &Stack, b: &Stack| {
                let initialised = std::array::from_fn(|word| a.initialised[word] | b.initialised[word]);
                Stack { initialised, saved: a.saved.iter().chain(&b.saved).copied().collect() }
            };
            contents(3).iter().flat_map(|a| contents(11).iter().map(|b| both(a, b)).collect::<Vec<_>>()).collect()
        };
        for a in &frames {
            for b in &frames {
                let allows = [3, 11].into_iter().all(|slot: u32| {
                    let whole = bytes(slot * 8, 8);
                    let reads = (0..8).map(|byte| bytes(slot * 8 + byte, 1)).chain([whole]);
                    let readable = |stack: &Stack, at| stack.first_uninitialised(at).is_none();
                    let saved = match b.saved(whole) {
                        None | Some(RegType::Unusable(_)) => true,
                        Some(theirs) => a.saved(whole).is_some_and(|ours| ours.is_within(theirs)),
                    };
                    saved
                        && reads.into_iter().all(|at| {
                            // What is read there as mere bytes is mere bytes here.
                            !readable(b, at) || readable(a, at) && (b.holds_pointer(at) || !a.holds_pointer(at))
                        })
                });
                assert_eq!(a.is_within(b), allows, "{a} within {b}");
                let mut joined = a.clone();
                joined.join(b, RegType::join);
                assert!(
                    joined.is_consistent() && a.is_within(&joined) && b.is_within(&joined),
                    "{a} and {b}: {joined}"
                );
            }
        }
    }

    /// For words: why what was saved cannot be read outlives a join with the same.
    #[test]
    fn what_is_unreadable_on_both_sides_keeps_its_reason() {
        let mut stack = Stack::default();
        stack.store(bytes(504, 8), record(8));
        stack.invalidate(|_| Some(Why::Invalidated { map: 3 }));
        let mut joined = stack.clone();
        joined.join(&stack, RegType::join);
        assert_eq!(joined.why_unreadable(504), Some(Why::Invalidated { map: 3 }));
        assert_eq!(joined.why_unreadable(496), None);
    }

    #[test]
    fn runs_of_bytes_end_where_a_register_is_saved() {
        let mut stack = Stack::default();
        for (start, len) in [(496, 8), (504, 4), (492, 4), (0, 8), (8, 2)] {
            stack.store(bytes(start, len), RegType::exact(7));
        }
        stack.store(bytes(30, 2), RegType::exact(0));
        stack.store(bytes(32, 1), RegType::exact(0));
        assert_eq!(stack.to_string(), "[-8..-4] [-16]=7 [-20..-16] [-482..-479] [-504..-502] [-512]=7");
    }
}
