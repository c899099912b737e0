//! Copies of a value: made by moves, spills and reloads, ended by writes, and all of them learn what one does.

use super::call::KEPT;
use super::links::{Held, Holder};
use super::{AbstractState, Bytes, RegType};
use crate::verifier::number::Bits;

impl AbstractState {
    /// Copies what a register holds into another.
    pub fn copy(&mut self, to: u8, from: u8) {
        if to != from {
            self.set(to, self.get(from));
            self.link(Holder::register(to), Holder::register(from));
        }
    }

    /// Shifts a register left by 32, which gives it this value, and notes where what it held is held as well.
    pub(in crate::verifier) fn shift_up(&mut self, register: u8, value: RegType) {
        let holder = Holder::register(register);
        let other = self.links.of(holder).find(|other| *other != holder);
        self.set(register, value);
        self.shifted = other.map(|other| (register, other));
    }

    /// Where a value is held that the instruction before shifted left by 32 in this register. Asked by every
    /// instruction, since the next one does not know any more.
    pub(in crate::verifier) fn take_shifted(&mut self) -> Option<(u8, Holder)> {
        self.shifted.take()
    }

    /// Shifts a register right by 32 after it was shifted left: it is again what is held elsewhere, if that fits 32
    /// bits in this reading. False if not, or if that is not known.
    pub(in crate::verifier) fn shift_back(
        &mut self,
        register: u8,
        shifted: Option<(u8, Holder)>,
        signed: bool,
    ) -> bool {
        let Some((_, other)) = shifted.filter(|(same, _)| *same == register) else { return false };
        let Some(RegType::Scalar(number)) = self.held(other).copied() else { return false };
        let narrow = Bits::B32;
        let fits = if signed {
            number.signed().min >= narrow.signed_min() && number.signed().max <= narrow.signed_max()
        } else {
            number.unsigned().max <= narrow.mask()
        };
        if fits {
            self.set(register, RegType::Scalar(number));
            self.link(Holder::register(register), other);
        }
        fits
    }

    /// Saves a register in a slot of a frame, or stores it (as a number) in other bytes there.
    pub fn save(&mut self, frame: u16, bytes: Bytes, register: u8) {
        self.store(frame, bytes, self.get(register));
        if let Some(slot) = bytes.as_slot() {
            self.link(Holder::slot(frame, slot), Holder::register(register));
        }
    }

    /// Loads a register that was saved in exactly these bytes of a frame. False if there is none.
    pub fn restore(&mut self, register: u8, frame: u16, bytes: Bytes) -> bool {
        let saved = self.frame(frame).and_then(|stack| stack.saved(bytes)).zip(bytes.as_slot());
        let Some((value, slot)) = saved else { return false };
        self.set(register, value);
        self.link(Holder::register(register), Holder::slot(frame, slot));
        true
    }

    /// A store to exactly these bytes of a frame.
    pub fn store(&mut self, frame: u16, bytes: Bytes, value: RegType) {
        self.cut_slots(frame, bytes);
        if let Some(stack) = self.frame_mut(frame) {
            stack.store(bytes, value);
        }
    }

    /// A store of a number somewhere in these bytes of a frame.
    pub fn store_somewhere(&mut self, frame: u16, bytes: Bytes) {
        self.cut_slots(frame, bytes);
        if let Some(stack) = self.frame_mut(frame) {
            stack.store_somewhere(bytes);
        }
    }

    fn cut_slots(&mut self, frame: u16, bytes: Bytes) {
        if !self.links.is_empty() {
            self.links.retain(|holder| match holder.held() {
                Held::Slot(number, slot) => number != frame || !bytes.touches(slot),
                Held::Register(_) | Held::Kept(..) => true,
            });
        }
    }

    /// Places that hold the same 64 bits: each with the first of its class.
    pub fn links(&self) -> impl Iterator<Item = (Held, Held)> {
        self.links.iter().map(|(holder, class)| (holder.held(), class.held()))
    }

    fn link(&mut self, copy: Holder, original: Holder) {
        if self.held(original).is_some_and(|value| value.can_be_refined()) {
            self.links.link(copy, original);
        }
    }

    /// What a place holds.
    fn held(&self, holder: Holder) -> Option<&RegType> {
        match holder.held() {
            Held::Register(register) => self.registers.get(usize::from(register)),
            Held::Slot(frame, slot) => self.frame(frame)?.slot(slot),
            Held::Kept(frame, register) => {
                let kept = &self.callers.get(usize::from(frame))?.kept;
                kept.get(usize::from(register).checked_sub(KEPT.start)?)
            }
        }
    }

    fn set_held(&mut self, holder: Holder, value: RegType) {
        let entry = match holder.held() {
            Held::Register(register) => self.registers.get_mut(usize::from(register)),
            Held::Slot(frame, slot) => self.frame_mut(frame).and_then(|stack| stack.slot_mut(slot)),
            Held::Kept(frame, register) => self
                .callers
                .get_mut(usize::from(frame))
                .and_then(|caller| caller.kept.get_mut(usize::from(register).checked_sub(KEPT.start)?)),
        };
        if let Some(entry) = entry {
            *entry = value;
        }
    }

    /// Takes in what was learned of the value that a register holds: it is as before, here and wherever else it is.
    pub fn refine(&mut self, register: u8, value: RegType) {
        let holder = Holder::register(register);
        self.set_held(holder, value);
        if !self.links.is_empty() {
            let links = std::mem::take(&mut self.links);
            for other in links.of(holder) {
                self.set_held(other, value);
            }
            self.links = links;
        }
    }

    /// Whether two registers are known to hold the same.
    pub fn same(&self, a: u8, b: u8) -> bool {
        self.links.same(Holder::register(a), Holder::register(b))
    }

    /// Ends the links of places that hold nothing any more.
    pub(super) fn tidy_links(&mut self) {
        if !self.links.is_empty() {
            let mut links = std::mem::take(&mut self.links);
            links.retain(|holder| !matches!(self.held(holder), None | Some(RegType::Unusable(_))));
            self.links = links;
        }
    }

    /// Whether what a register holds is what its copies hold, if it has any. One of them will do: the others are equal.
    pub(super) fn equals_copies(&self, register: u8) -> bool {
        let holder = Holder::register(register);
        let other = self.links.of(holder).find(|other| *other != holder);
        other.is_none_or(|other| self.held(other) == self.held(holder))
    }

    /// Whether linked places hold equal values.
    pub(super) fn links_hold(&self) -> bool {
        // The class of the link before, and what it holds.
        let mut last = None;
        let mut holds = |(holder, class): (Holder, Holder)| {
            let value = self.held(holder);
            let same = match last {
                _ if holder == class => value,
                Some((before, same)) if before == class => same,
                _ => self.held(class),
            };
            last = Some((class, same));
            value.is_some() && value == same
        };
        self.links.is_empty() || self.links.is_well_formed() && self.links.iter().all(&mut holds)
    }
}
