//! What is known before an instruction: a type for each register, and what the stack frame holds.
//!
//! ```text
//! RegType   Unusable(why)            nothing may be done with it
//!           Scalar(number)           tnum, unsigned and signed bounds
//!           Pointer(region, offset)  points `offset` bytes past the start of one region
//! Stack     512 initialised bits     may the byte be read?
//!           saved registers          eight-byte slots that still hold a register as it was stored
//! Frame     r6 to r9 and the stack   of each caller, while a function of the program runs
//! Links     same                     which registers and slots hold the same 64 bits
//! ```
//!
//! A byte that was part of a saved pointer, and no longer forms it whole, counts as not initialised: a pointer is
//! never read as a number. A state is over-approximate: every run that reaches the instruction has its registers in
//! it. The tests of soundness check exactly that.

use std::fmt;

use super::bits::Bits;
use super::links::{Held, Holder, Links};
use super::scalar::Scalar;
use super::widen::{self, Thresholds};
use crate::isa::{Decoded, FRAME_POINTER, Kind, REGISTERS, Rmw, Role};
use crate::memory::{FRAME_LEN, Region};

/// What a register may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegType {
    /// Nothing that may be used.
    Unusable(Why),
    /// A number.
    Scalar(Scalar),
    /// An address.
    Pointer(Pointer),
    /// A map of the program, by index; good for helpers only.
    Map(u16),
    /// What a look-up in a map (by index) found: the address of a value, or 0.
    Nullable(u16),
}

/// Why a register is unusable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// No instruction has written it.
    NeverWritten,
    /// A call left it undefined.
    Call,
    /// It belongs to the caller of this function.
    Caller,
    /// Some paths to here write it and some do not.
    SomePaths,
    /// It is a number on one path and a pointer on another, or points into different regions.
    KindsDiffer,
    /// It was an address in a map, and a call may have given up the entry there.
    Invalidated {
        /// The map, by index.
        map: u16,
    },
}

/// An address in one region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pointer {
    /// The region.
    pub region: Region,
    /// Which object of the region: the frame for the stack (0 is the entry's), the index of the map in the program's
    /// list for map values and constants, else 0.
    pub object: u16,
    /// Bytes past the start of the object: of the region, of the frame's lowest byte, of one value of the map.
    pub offset: Scalar,
}

impl RegType {
    /// Any number.
    pub const fn unknown() -> Self {
        Self::Scalar(Scalar::unknown(Bits::B64))
    }

    /// One number.
    pub const fn exact(value: u64) -> Self {
        Self::Scalar(Scalar::exact(value, Bits::B64))
    }

    /// The start of a region, and some bytes.
    pub const fn pointer(region: Region, offset: u64) -> Self {
        Self::Pointer(Pointer { region, object: 0, offset: Scalar::exact(offset, Bits::B64) })
    }

    /// The frame pointer of the frame with this number.
    const fn frame_pointer(frame: u16) -> Self {
        let offset = Scalar::exact(FRAME_LEN as u64, Bits::B64);
        Self::Pointer(Pointer { region: Region::Stack, object: frame, offset })
    }

    /// Whether it is an address in the frame with this number.
    fn is_in_frame(&self, frame: u16) -> bool {
        self.as_pointer().is_some_and(|pointer| pointer.region == Region::Stack && pointer.object == frame)
    }

    /// The number, if it is one.
    pub const fn as_scalar(&self) -> Option<Scalar> {
        if let Self::Scalar(scalar) = self { Some(*scalar) } else { None }
    }

    /// The address, if it is one.
    pub const fn as_pointer(&self) -> Option<Pointer> {
        if let Self::Pointer(pointer) = self { Some(*pointer) } else { None }
    }

    /// Whether it is an address or a map: never to be read as a number.
    pub const fn is_address(&self) -> bool {
        matches!(self, Self::Pointer(_) | Self::Map(_) | Self::Nullable(_))
    }

    /// What holds of either.
    #[must_use]
    pub fn join(self, other: Self) -> Self {
        match (self, other) {
            (a, b) if a == b => a,
            (Self::Scalar(a), Self::Scalar(b)) => Self::Scalar(a.join(b, Bits::B64)),
            (Self::Pointer(a), Self::Pointer(b)) if (a.region, a.object) == (b.region, b.object) => {
                Self::Pointer(Pointer { offset: a.offset.join(b.offset, Bits::B64), ..a })
            }
            (Self::Unusable(Why::KindsDiffer), _) | (_, Self::Unusable(Why::KindsDiffer)) => {
                Self::Unusable(Why::KindsDiffer)
            }
            (Self::Unusable(a), Self::Unusable(_)) => Self::Unusable(a),
            (Self::Unusable(_), _) | (_, Self::Unusable(_)) => Self::Unusable(Why::SomePaths),
            (Self::Scalar(_) | Self::Pointer(_) | Self::Map(_) | Self::Nullable(_), _) => {
                match (self.maybe_value(), other.maybe_value()) {
                    // Null, a value's address, or either: all of them are what a look-up can yield.
                    (Some(Some(a)), Some(Some(b))) if a == b => Self::Nullable(a),
                    (Some(Some(map)), Some(None)) | (Some(None), Some(Some(map))) => Self::Nullable(map),
                    _ => Self::Unusable(Why::KindsDiffer),
                }
            }
        }
    }

    /// Whether a look-up could yield this: in the map with this index, or in any if it is null.
    fn maybe_value(&self) -> Option<Option<u16>> {
        match self {
            Self::Nullable(map) => Some(Some(*map)),
            Self::Pointer(Pointer { region: Region::MapValues | Region::Constants, object, offset })
                if offset.as_constant() == Some(0) =>
            {
                Some(Some(*object))
            }
            Self::Scalar(scalar) if scalar.as_constant() == Some(0) => Some(None),
            _ => None,
        }
    }

    /// The map whose value it is the address of, or may be.
    pub(super) fn value_of_map(&self) -> Option<u16> {
        match self {
            Self::Nullable(map) => Some(*map),
            Self::Pointer(Pointer { region: Region::MapValues | Region::Constants, object, .. }) => Some(*object),
            _ => None,
        }
    }

    /// Whether there is something to learn of it, so that it matters where else the same is held.
    fn can_be_refined(&self) -> bool {
        match self {
            Self::Scalar(number) | Self::Pointer(Pointer { offset: number, .. }) => number.as_constant().is_none(),
            Self::Nullable(_) => true,
            Self::Unusable(_) | Self::Map(_) => false,
        }
    }

    /// Whether the other allows all that this one does.
    pub fn is_within(self, other: Self) -> bool {
        match (self, other) {
            (_, Self::Unusable(_)) => true,
            (Self::Scalar(a), Self::Scalar(b)) => a.is_within(b),
            (Self::Pointer(a), Self::Pointer(b)) if (a.region, a.object) == (b.region, b.object) => {
                a.offset.is_within(b.offset)
            }
            (a, b) => a == b || a.join(b) == b,
        }
    }

    /// Whether the invariants of its numbers hold.
    pub fn is_consistent(&self) -> bool {
        match self {
            Self::Unusable(_) | Self::Map(_) | Self::Nullable(_) => true,
            Self::Scalar(scalar) => scalar.is_consistent(Bits::B64),
            Self::Pointer(pointer) => pointer.offset.is_consistent(Bits::B64),
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Invalidated { map } => {
                return write!(f, "an address in map {map} whose entry a call may have given up");
            }
            Self::NeverWritten => "never written",
            Self::Call => "undefined since a call",
            Self::Caller => "the caller's, and no argument",
            Self::SomePaths => "written on some paths only",
            Self::KindsDiffer => "of different kinds on different paths",
        })
    }
}

/// A region in words.
pub(super) const fn region_name(region: Region) -> &'static str {
    match region {
        Region::Record => "record",
        Region::Predicates => "predicate bits",
        Region::Masks => "masks",
        Region::Stack => "stack frame",
        Region::Output => "output",
        Region::Constants => "constants",
        Region::Buffer => "buffer",
        Region::MapValues => "map values",
    }
}

impl Pointer {
    /// Whether it leads into a value of a map.
    const fn is_value(&self) -> bool {
        matches!(self.region, Region::MapValues | Region::Constants)
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let offset = if self.region == Region::Stack {
            // As assembly writes it, from the frame pointer.
            f.write_str("frame")?;
            if self.object != 0 {
                write!(f, "#{}", self.object)?;
            }
            Scalar::alu(crate::isa::AluOp::Sub, self.offset, Scalar::exact(u64::from(FRAME_LEN), Bits::B64), Bits::B64)
        } else {
            match self.region {
                Region::MapValues => write!(f, "a value of map {}", self.object)?,
                Region::Constants => write!(f, "the data of map {}", self.object)?,
                region => f.write_str(region_name(region))?,
            }
            self.offset
        };
        match offset.as_constant().map(u64::cast_signed) {
            Some(0) => Ok(()),
            Some(constant) if self.is_value() => write!(f, " {constant:+}"),
            None if self.is_value() => write!(f, " + ({offset})"),
            Some(constant) => write!(f, "{constant:+}"),
            None => write!(f, "+({offset})"),
        }
    }
}

impl fmt::Display for RegType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unusable(why) => why.fmt(f),
            Self::Scalar(scalar) => scalar.fmt(f),
            Self::Pointer(pointer) => write!(f, "pointer to {pointer}"),
            Self::Map(index) => write!(f, "map {index}"),
            Self::Nullable(index) => write!(f, "pointer to a value of map {index}, or null"),
        }
    }
}

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
    fn as_slot(self) -> Option<u8> {
        let whole = self.start.is_multiple_of(SLOT_LEN) && self.end - self.start == SLOT_LEN;
        if whole { u8::try_from(self.start / SLOT_LEN).ok() } else { None }
    }

    fn touches(self, slot: u8) -> bool {
        let start = usize::from(slot) * SLOT_LEN;
        self.start < start + SLOT_LEN && start < self.end
    }

    fn of_slot(slot: u8) -> Self {
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
        let slot = bytes.as_slot()?;
        self.saved.iter().find(|saved| saved.slot == slot).map(|saved| saved.value)
    }

    /// The saved registers, each with the offset of its slot from the lowest byte of the frame.
    pub fn saved_slots(&self) -> impl Iterator<Item = (u32, RegType)> {
        self.saved.iter().map(|saved| (u32::from(saved.slot) * SLOT_LEN as u32, saved.value))
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
    pub(super) fn why_unreadable(&self, byte: u32) -> Option<Why> {
        let saved = self.saved.iter().find(|saved| u32::from(saved.slot) == byte / SLOT_LEN as u32)?;
        if let RegType::Unusable(why) = saved.value { Some(why) } else { None }
    }

    /// Makes unreadable what is saved and asked for.
    fn invalidate(&mut self, why: impl Fn(&RegType) -> Option<Why>) {
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
    fn forget_addresses(&mut self, frame: u16) {
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

    fn bytes(&self) -> usize {
        self.saved.len() * size_of::<Saved>()
    }

    /// Whether the other allows all that this one does: no byte may be read there that may not be here, no register is
    /// known to be saved there that is not here, and no address is taken for mere bytes there.
    fn is_within(&self, other: &Self) -> bool {
        let readable = other.initialised.iter().zip(self.initialised).all(|(theirs, ours)| theirs & !ours == 0);
        let is_there = |saved: &Saved| {
            matches!(saved.value, RegType::Unusable(_)) || {
                let ours = self.saved.iter().find(|ours| ours.slot == saved.slot);
                ours.is_some_and(|ours| ours.value.is_within(saved.value))
            }
        };
        let stays_address = |saved: &Saved| {
            let theirs = other.saved.iter().find(|theirs| theirs.slot == saved.slot);
            let bytes = Bytes::of_slot(saved.slot);
            !saved.value.is_address()
                || theirs.is_some_and(|theirs| theirs.value.is_address())
                || !(bytes.start..bytes.end).any(|byte| other.is_byte_initialised(byte))
        };
        readable && other.saved.iter().all(is_there) && self.saved.iter().all(stays_address)
    }

    /// Keeps what holds of either; of saved registers what `both` says of the two.
    fn join(&mut self, other: &Self, both: impl Fn(RegType, RegType) -> RegType) {
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

    fn is_consistent(&self) -> bool {
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

/// Registers that a function gives back as they were.
const KEPT: std::ops::Range<usize> = 6..10;
const KEPT_NUMBERS: std::ops::Range<u8> = KEPT.start as u8..KEPT.end as u8;

/// What a caller gets back when the function that it called ends.
#[derive(Debug, PartialEq, Eq)]
struct Frame {
    /// `r6` to `r9`.
    kept: [RegType; KEPT.end - KEPT.start],
    stack: Stack,
}

impl Clone for Frame {
    fn clone(&self) -> Self {
        Self { kept: self.kept, stack: self.stack.clone() }
    }

    fn clone_from(&mut self, source: &Self) {
        self.kept = source.kept;
        self.stack.clone_from(&source.stack);
    }
}

/// Everything known before an instruction.
#[derive(Debug, PartialEq, Eq)]
pub struct AbstractState {
    registers: [RegType; REGISTERS as usize],
    /// Of the function that runs.
    stack: Stack,
    /// Of its callers, the entry first. Empty in most programs.
    callers: Vec<Frame>,
    /// Which of all these hold the same.
    links: Links,
    /// Set by the instruction before: it shifted this register left by 32, and what that held is still held there.
    shifted: Option<(u8, Holder)>,
}

impl Clone for AbstractState {
    fn clone(&self) -> Self {
        Self {
            registers: self.registers,
            stack: self.stack.clone(),
            callers: self.callers.clone(),
            links: self.links.clone(),
            shifted: self.shifted,
        }
    }

    fn clone_from(&mut self, source: &Self) {
        self.registers = source.registers;
        self.stack.clone_from(&source.stack);
        self.callers.clone_from(&source.callers);
        self.links.clone_from(&source.links);
        self.shifted = source.shifted;
    }
}

impl AbstractState {
    /// At the entry: only the frame pointer, nothing on the stack.
    pub fn entry() -> Self {
        let registers = [RegType::Unusable(Why::NeverWritten); REGISTERS as usize];
        let (stack, links) = (Stack::default(), Links::default());
        let mut state = Self { registers, stack, callers: Vec::new(), links, shifted: None };
        state.set(FRAME_POINTER, RegType::frame_pointer(0));
        state
    }

    /// What a register holds. Registers beyond the last hold nothing.
    pub fn get(&self, register: u8) -> RegType {
        self.registers.get(usize::from(register)).copied().unwrap_or(RegType::Unusable(Why::NeverWritten))
    }

    /// Gives a register another value.
    pub fn set(&mut self, register: u8, value: RegType) {
        if let Some(entry) = self.registers.get_mut(usize::from(register)) {
            *entry = value;
            self.links.cut(Holder::register(register));
        }
    }

    /// Copies what a register holds into another.
    pub fn copy(&mut self, to: u8, from: u8) {
        if to != from {
            self.set(to, self.get(from));
            self.link(Holder::register(to), Holder::register(from));
        }
    }

    /// Shifts a register left by 32, which gives it this value, and notes where what it held is held as well.
    pub(super) fn shift_up(&mut self, register: u8, value: RegType) {
        let holder = Holder::register(register);
        let other = self.links.of(holder).find(|other| *other != holder);
        self.set(register, value);
        self.shifted = other.map(|other| (register, other));
    }

    /// Where a value is held that the instruction before shifted left by 32 in this register. Asked by every
    /// instruction, since the next one does not know any more.
    pub(super) fn take_shifted(&mut self) -> Option<(u8, Holder)> {
        self.shifted.take()
    }

    /// Shifts a register right by 32 after it was shifted left: it is again what is held elsewhere, if that fits 32
    /// bits in this reading. False if not, or if that is not known.
    pub(super) fn shift_back(&mut self, register: u8, shifted: Option<(u8, Holder)>, signed: bool) -> bool {
        let Some((_, other)) = shifted.filter(|(same, _)| *same == register) else { return false };
        let Some(RegType::Scalar(number)) = self.held(other) else { return false };
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
    fn held(&self, holder: Holder) -> Option<RegType> {
        match holder.held() {
            Held::Register(register) => Some(self.get(register)),
            Held::Slot(frame, slot) => self.frame(frame)?.saved(Bytes::of_slot(slot)),
            Held::Kept(frame, register) => {
                let kept = &self.callers.get(usize::from(frame))?.kept;
                kept.get(usize::from(register).checked_sub(KEPT.start)?).copied()
            }
        }
    }

    fn set_held(&mut self, holder: Holder, value: RegType) {
        let entry = match holder.held() {
            Held::Register(register) => self.registers.get_mut(usize::from(register)),
            Held::Slot(frame, slot) => {
                let saved = self.frame_mut(frame).map(|stack| stack.saved.iter_mut());
                saved.and_then(|mut saved| saved.find(|saved| saved.slot == slot)).map(|saved| &mut saved.value)
            }
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

    /// Makes unusable what is asked for, wherever it is.
    pub fn invalidate(&mut self, why: impl Fn(&RegType) -> Option<Why>) {
        let kept = self.callers.iter_mut().flat_map(|caller| &mut caller.kept);
        for register in self.registers.iter_mut().chain(kept) {
            if let Some(why) = why(register) {
                *register = RegType::Unusable(why);
            }
        }
        self.stack.invalidate(&why);
        for caller in &mut self.callers {
            caller.stack.invalidate(&why);
        }
        self.tidy_links();
    }

    /// Ends the links of places that hold nothing any more.
    fn tidy_links(&mut self) {
        if !self.links.is_empty() {
            let mut links = std::mem::take(&mut self.links);
            links.retain(|holder| !matches!(self.held(holder), None | Some(RegType::Unusable(_))));
            self.links = links;
        }
    }

    /// Whether linked places hold equal values.
    fn links_hold(&self) -> bool {
        self.links.is_empty()
            || self.links.is_well_formed()
                && self.links.iter().all(|(holder, class)| {
                    let value = self.held(holder);
                    value.is_some() && (holder == class || value == self.held(class))
                })
    }

    /// The stack frame of the function that runs.
    pub const fn stack(&self) -> &Stack {
        &self.stack
    }

    /// The same, to change.
    pub const fn stack_mut(&mut self) -> &mut Stack {
        &mut self.stack
    }

    /// How many calls of functions of the program are in progress. It is also the number of the frame in use.
    pub const fn depth(&self) -> usize {
        self.callers.len()
    }

    /// A frame by number, 0 being the entry's. None if there is no such frame now.
    pub fn frame(&self, number: u16) -> Option<&Stack> {
        let number = usize::from(number);
        if number == self.depth() { Some(&self.stack) } else { self.callers.get(number).map(|frame| &frame.stack) }
    }

    /// What `r6` to `r9` hold again when control is back in the frame with this number. None if it is not a caller's.
    pub fn kept(&self, number: u16) -> Option<&[RegType]> {
        self.callers.get(usize::from(number)).map(|frame| frame.kept.as_slice())
    }

    /// The same, to change.
    pub fn frame_mut(&mut self, number: u16) -> Option<&mut Stack> {
        let number = usize::from(number);
        if number == self.depth() {
            return Some(&mut self.stack);
        }
        self.callers.get_mut(number).map(|frame| &mut frame.stack)
    }

    /// The number of the frame in use, as pointers have it.
    fn frame_number(&self) -> u16 {
        u16::try_from(self.depth()).unwrap_or(u16::MAX)
    }

    /// From before a local call to the first instruction of the function: `r1` to `r5` as they are, a frame of its
    /// own with nothing in it, and nothing else.
    pub fn enter_call(&mut self) {
        self.shifted = None;
        let caller = self.frame_number();
        if !self.links.is_empty() {
            for register in KEPT_NUMBERS {
                self.links.rename(Holder::register(register), Holder::kept(caller, register));
            }
        }
        let mut kept = [RegType::Unusable(Why::NeverWritten); KEPT.end - KEPT.start];
        if let Some(registers) = self.registers.get_mut(KEPT) {
            kept.copy_from_slice(registers);
            registers.fill(RegType::Unusable(Why::Caller));
        }
        self.set(0, RegType::Unusable(Why::Caller));
        self.callers.push(Frame { kept, stack: std::mem::take(&mut self.stack) });
        self.set(FRAME_POINTER, RegType::frame_pointer(self.frame_number()));
    }

    /// From before the exit of a function to after the call: `r0` as it is, `r6` to `r9` and the frame as the caller
    /// has them. Addresses in the frame that ended can no longer be read, wherever they were saved. False if there is
    /// no caller.
    #[must_use]
    pub fn leave_call(&mut self) -> bool {
        self.shifted = None;
        let ended = self.frame_number();
        let Some(Frame { kept, stack }) = self.callers.pop() else { return false };
        self.stack = stack;
        if let Some(registers) = self.registers.get_mut(KEPT) {
            registers.copy_from_slice(&kept);
        }
        if !self.links.is_empty() {
            for register in KEPT_NUMBERS {
                self.links.rename(Holder::kept(self.frame_number(), register), Holder::register(register));
            }
        }
        for argument in 1..=5 {
            self.set(argument, RegType::Unusable(Why::Call));
        }
        if self.get(0).is_in_frame(ended) {
            self.set(0, RegType::Unusable(Why::Call));
        }
        self.set(FRAME_POINTER, RegType::frame_pointer(self.frame_number()));
        self.stack.forget_addresses(ended);
        for caller in &mut self.callers {
            caller.stack.forget_addresses(ended);
        }
        // Those in the frame that ended, and of addresses in it.
        self.tidy_links();
        true
    }

    /// Keeps what holds of either. Both are states of one call, so their callers are as many.
    pub fn join(&mut self, other: &Self) {
        self.combine(other, RegType::join);
    }

    /// Keeps what holds of either, and less where the other one goes beyond this one, so that few rounds of it come
    /// to an end.
    pub(super) fn widen(&mut self, newer: &Self, thresholds: &Thresholds) {
        self.combine(newer, |ours, theirs| widen::value(ours, theirs, thresholds));
    }

    fn combine(&mut self, other: &Self, both: impl Fn(RegType, RegType) -> RegType) {
        for (ours, theirs) in self.registers.iter_mut().zip(other.registers) {
            *ours = both(*ours, theirs);
        }
        self.stack.join(&other.stack, &both);
        for (ours, theirs) in self.callers.iter_mut().zip(&other.callers) {
            for (ours, theirs) in ours.kept.iter_mut().zip(theirs.kept) {
                *ours = both(*ours, theirs);
            }
            ours.stack.join(&theirs.stack, &both);
        }
        // Equal pairs of values combine to equal ones, so what is linked in both still holds the same.
        self.links.join(&other.links);
        self.tidy_links();
        self.shifted = None;
    }

    /// Whether all that this state allows is allowed by the other.
    pub fn is_within(&self, other: &Self) -> bool {
        let within = |ours: &[RegType], theirs: &[RegType]| ours.iter().zip(theirs).all(|(a, b)| a.is_within(*b));
        within(&self.registers, &other.registers)
            && self.stack.is_within(&other.stack)
            && self.callers.len() == other.callers.len()
            && self
                .callers
                .iter()
                .zip(&other.callers)
                .all(|(ours, theirs)| within(&ours.kept, &theirs.kept) && ours.stack.is_within(&theirs.stack))
            && self.links.includes(&other.links)
            && (other.shifted.is_none() || other.shifted == self.shifted)
    }

    /// The values of registers and of what is saved in the frame of the function that runs.
    pub(super) fn values(&self) -> impl Iterator<Item = RegType> + use<'_> {
        self.registers.iter().copied().chain(self.stack.saved.iter().map(|saved| saved.value))
    }

    /// Whether `r0` is an address in the frame of the function that runs.
    pub(super) fn returns_own_frame(&self) -> bool {
        self.get(0).is_in_frame(self.frame_number())
    }

    /// Whether registers hold the same but for numbers, which is not enough for anything: a
    /// [fault](super::fault::Fault::UnequalReuse) to be planted.
    pub(super) fn is_alike(&self, other: &Self) -> bool {
        let alike = |(a, b): (&RegType, &RegType)| a == b || a.as_scalar().is_some() && b.as_scalar().is_some();
        self.depth() == other.depth() && self.registers.iter().zip(&other.registers).all(alike)
    }

    /// The invariants that hold after every step, whatever the program. False means that the verifier is wrong.
    pub fn is_consistent(&self) -> bool {
        let frame = self.frame_number();
        let consistent = |register: &RegType, deepest: u16| {
            let lives = |pointer: Pointer| pointer.region != Region::Stack || pointer.object <= deepest;
            register.is_consistent() && register.as_pointer().is_none_or(lives)
        };
        let stack = |stack: &Stack| stack.is_consistent() && stack.saved.iter().all(|s| consistent(&s.value, frame));
        self.registers.iter().all(|register| consistent(register, frame))
            && self.get(FRAME_POINTER) == RegType::frame_pointer(frame)
            && stack(&self.stack)
            && (0..).zip(&self.callers).all(|(number, caller)| {
                caller.kept.iter().all(|register| consistent(register, number)) && stack(&caller.stack)
            })
            && self.links_hold()
    }

    /// The same of what an instruction can have changed.
    pub fn is_consistent_after(&self, instruction: &Decoded) -> bool {
        let row = instruction.op.row();
        let writes = |role| matches!(role, Role::Write | Role::Update);
        let writes_r0 = matches!(instruction.kind(), Kind::CallHelper | Kind::Atomic(Rmw::Cmpxchg, ..));
        (!writes(row.dst) || self.get(instruction.dst).is_consistent())
            && (!writes(row.src) || self.get(instruction.src).is_consistent())
            && (!writes_r0 || self.get(0).is_consistent())
            && self.get(FRAME_POINTER) == RegType::frame_pointer(self.frame_number())
            && self.links_hold()
    }

    /// Bytes of what the state holds, for the verifier's own budget; the same on every run.
    pub fn bytes(&self) -> usize {
        let callers = self.callers.iter().map(|caller| size_of::<Frame>() + caller.stack.bytes()).sum::<usize>();
        size_of::<Self>() + self.stack.bytes() + callers + self.links.bytes()
    }
}

impl fmt::Display for AbstractState {
    /// The registers that hold something, then the stack: `r0=0..=2 r1=pointer to record r10=pointer to frame`. Then
    /// the same of each caller, the last one first.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut first = true;
        for (number, register) in self.registers.iter().enumerate() {
            if matches!(register, RegType::Unusable(Why::NeverWritten | Why::Caller)) {
                continue;
            }
            write!(f, "{}r{number}={register}", if first { "" } else { "  " })?;
            first = false;
        }
        if self.stack != Stack::default() {
            write!(f, "  stack {}", self.stack)?;
        }
        for (number, caller) in self.callers.iter().enumerate().rev() {
            write!(f, "  caller {number}:")?;
            for (register, value) in KEPT.zip(&caller.kept) {
                if !matches!(value, RegType::Unusable(Why::NeverWritten | Why::Caller)) {
                    write!(f, " r{register}={value}")?;
                }
            }
            if caller.stack != Stack::default() {
                write!(f, " stack {}", caller.stack)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn joining_registers() {
        let (one, nine) = (RegType::exact(1), RegType::exact(9));
        assert_eq!(one.join(nine).to_string(), "1..=9 (bits 0x1 set, 0x8 unknown)");
        assert_eq!(record(8).join(record(8)), record(8));
        assert_eq!(record(8).join(record(24)).to_string(), "pointer to record+(8..=24 (bits 0x8 set, 0x10 unknown))");
        let unwritten = RegType::Unusable(Why::NeverWritten);
        assert_eq!(one.join(unwritten), RegType::Unusable(Why::SomePaths));
        assert_eq!(one.join(record(0)), RegType::Unusable(Why::KindsDiffer));
        assert_eq!(record(0).join(RegType::pointer(Region::Stack, 0)), RegType::Unusable(Why::KindsDiffer));
        // Once unusable, always unusable, in either order.
        for why in [Why::NeverWritten, Why::Call, Why::SomePaths, Why::KindsDiffer] {
            for other in [one, record(0), unwritten] {
                assert!(matches!(RegType::Unusable(why).join(other), RegType::Unusable(_)));
                assert!(matches!(other.join(RegType::Unusable(why)), RegType::Unusable(_)));
            }
        }
    }

    #[test]
    fn what_a_look_up_can_yield_stays_that_when_it_meets_null() {
        let value = |map, offset| {
            RegType::Pointer(Pointer {
                region: Region::MapValues,
                object: map,
                offset: Scalar::exact(offset, Bits::B64),
            })
        };
        let (null, differ) = (RegType::exact(0), RegType::Unusable(Why::KindsDiffer));
        for (a, b, want) in [
            (RegType::Nullable(1), null, RegType::Nullable(1)),
            (RegType::Nullable(1), value(1, 0), RegType::Nullable(1)),
            (value(1, 0), null, RegType::Nullable(1)),
            (RegType::Nullable(1), RegType::Nullable(1), RegType::Nullable(1)),
            (RegType::Nullable(1), RegType::Nullable(2), differ),
            (RegType::Nullable(1), value(2, 0), differ),
            (RegType::Nullable(1), value(1, 8), differ),
            (RegType::Nullable(1), RegType::exact(1), differ),
            (value(1, 8), null, differ),
            (value(1, 0), value(2, 0), differ),
            (RegType::Map(1), null, differ),
            (RegType::Map(1), RegType::Map(2), differ),
            (RegType::Map(1), RegType::Nullable(1), differ),
            (record(0), null, differ),
        ] {
            assert_eq!((a.join(b), b.join(a)), (want, want), "{a} and {b}");
        }
    }

    #[test]
    fn copies_meet_where_both_paths_have_them() {
        let mut ours = AbstractState::entry();
        ours.set(3, RegType::unknown());
        ours.copy(4, 3);
        ours.save(0, bytes(504, 8), 3);
        ours.copy(6, 3);
        let mut theirs = AbstractState::entry();
        theirs.set(3, RegType::unknown());
        theirs.copy(4, 3);
        theirs.set(6, RegType::unknown());
        theirs.save(0, bytes(504, 8), 6);
        // Written in another order, they are the same all the same.
        let mut again = AbstractState::entry();
        again.set(6, RegType::unknown());
        again.copy(3, 6);
        again.save(0, bytes(504, 8), 6);
        again.copy(4, 6);
        assert_eq!(again, ours);
        let before = ours.clone();
        ours.join(&theirs);
        assert!(ours.same(3, 4) && !ours.same(3, 6) && ours.is_consistent());
        ours.refine(6, RegType::exact(7));
        // Of r6 and the slot it is so in both, as well.
        assert_eq!(ours.stack().saved(bytes(504, 8)), Some(RegType::exact(7)));
        assert_eq!(ours.get(3), RegType::unknown());
        // A slot that is not saved on one path is linked to nothing.
        let mut ours = before.clone();
        let mut theirs = before.clone();
        theirs.store(0, bytes(504, 1), RegType::exact(0));
        ours.join(&theirs);
        assert!(ours.is_consistent() && ours.same(3, 6));
        assert_eq!(ours.stack().saved(bytes(504, 8)), None);
        // A constant has nothing to learn, so its copies cost nothing.
        let mut state = AbstractState::entry();
        state.set(3, RegType::exact(1));
        state.copy(4, 3);
        assert!(!state.same(3, 4) && state.bytes() < before.bytes());
    }

    #[test]
    fn links_that_do_not_hold_are_noticed() {
        let mut state = AbstractState::entry();
        state.set(3, RegType::unknown());
        state.copy(4, 3);
        state.save(0, bytes(504, 8), 3);
        assert!(state.is_consistent());
        // Past the methods that end links.
        state.stack_mut().store(bytes(504, 8), RegType::exact(1));
        assert!(!state.is_consistent());
    }

    #[test]
    fn a_register_saved_whole_comes_back_whole() {
        let mut stack = Stack::default();
        stack.store(bytes(504, 8), record(8));
        assert_eq!(stack.saved(bytes(504, 8)), Some(record(8)));
        assert_eq!(stack.saved(bytes(504, 4)), None);
        assert!(stack.holds_pointer(bytes(511, 1)) && !stack.holds_pointer(bytes(496, 8)));
        assert_eq!(stack.to_string(), "[-8]=pointer to record+8");
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

    #[test]
    fn a_state_reads_well() {
        let mut state = AbstractState::entry();
        state.set(1, record(0));
        state.set(0, RegType::Scalar(Scalar::range(0, 2, Bits::B64)));
        state.set(4, RegType::Unusable(Why::Call));
        state.stack_mut().store(bytes(504, 8), RegType::exact(7));
        state.stack_mut().store(bytes(500, 4), RegType::exact(7));
        state.stack_mut().store(bytes(488, 2), RegType::exact(7));
        assert_eq!(
            state.to_string(),
            "r0=0..=2  r1=pointer to record  r4=undefined since a call  r10=pointer to frame  \
             stack [-8]=7 [-12..-8] [-24..-22]"
        );
        assert!(state.is_consistent());
    }
    #[test]
    fn a_call_has_a_frame_of_its_own_and_gives_back_what_it_must() {
        let mut state = AbstractState::entry();
        for register in 0..10 {
            state.set(register, RegType::exact(u64::from(register)));
        }
        state.set(6, record(8));
        state.stack_mut().store(bytes(504, 8), RegType::exact(7));
        let before = state.clone();
        state.enter_call();
        assert!(state.is_consistent());
        assert_eq!(state.depth(), 1);
        for register in [0, 6, 7, 8, 9] {
            assert_eq!(state.get(register), RegType::Unusable(Why::Caller));
        }
        assert_eq!((state.get(5), state.get(10).to_string()), (RegType::exact(5), "pointer to frame#1".to_owned()));
        assert_eq!(state.stack(), &Stack::default());
        assert_eq!((state.frame(0), state.frame(1)), (Some(before.stack()), Some(state.stack())));
        assert_eq!(state.frame(2), None);
        assert_eq!(
            state.to_string(),
            "r1=1  r2=2  r3=3  r4=4  r5=5  r10=pointer to frame#1  \
             caller 0: r6=pointer to record+8 r7=7 r8=8 r9=9 stack [-8]=7"
        );
        // The callee writes its own frame and the caller's.
        state.stack_mut().store(bytes(504, 8), RegType::exact(1));
        state.frame_mut(0).unwrap().store(bytes(496, 8), RegType::exact(2));
        state.set(0, RegType::exact(9));
        state.set(6, RegType::exact(0));
        assert!(state.leave_call() && state.is_consistent());
        assert_eq!(state.get(0), RegType::exact(9));
        for register in 1..=5 {
            assert_eq!(state.get(register), RegType::Unusable(Why::Call));
        }
        for register in 6..=10 {
            assert_eq!(state.get(register), before.get(register));
        }
        assert_eq!(state.stack().to_string(), "[-8]=7 [-16]=2");
        assert!(!state.leave_call());
    }

    #[test]
    fn addresses_in_a_frame_end_with_it() {
        let mut state = AbstractState::entry();
        state.enter_call();
        state.enter_call();
        let (own, other) = (state.get(10), RegType::frame_pointer(0));
        for frame in [0, 1] {
            state.frame_mut(frame).unwrap().store(bytes(504, 8), own);
            state.frame_mut(frame).unwrap().store(bytes(496, 8), other);
        }
        state.set(0, own);
        assert!(state.is_consistent() && state.leave_call() && state.is_consistent());
        assert_eq!(state.get(0), RegType::Unusable(Why::Call));
        for frame in [0, 1] {
            let stack = state.frame(frame).unwrap();
            assert_eq!((stack.saved(bytes(504, 8)), stack.saved(bytes(496, 8))), (None, Some(other)));
            assert_eq!(stack.first_uninitialised(bytes(496, 16)), Some(504));
        }
        // One that is left over, against the rules, is noticed.
        state.set(3, own);
        assert!(!state.is_consistent());
        state.set(3, RegType::exact(0));
        assert!(state.is_consistent());
        state.stack_mut().store(bytes(488, 8), own);
        assert!(!state.is_consistent());
    }

    #[test]
    fn joining_states_joins_their_callers() {
        let mut ours = AbstractState::entry();
        ours.set(6, RegType::exact(1));
        ours.enter_call();
        let mut theirs = ours.clone();
        ours.frame_mut(0).unwrap().store(bytes(504, 8), RegType::exact(4));
        theirs.frame_mut(0).unwrap().store(bytes(504, 8), RegType::exact(5));
        theirs.frame_mut(0).unwrap().store(bytes(496, 8), RegType::exact(6));
        assert!(theirs.bytes() > ours.bytes());
        ours.join(&theirs);
        assert_eq!(ours.frame(0).unwrap().to_string(), "[-8]=4..=5");
        assert!(ours.is_consistent() && ours.leave_call());
        assert_eq!(ours.get(6), RegType::exact(1));
    }
}
