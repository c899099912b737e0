//! Guest memory: one flat 32-bit address space of regions, and the only way to turn a guest address into bytes.
//!
//! ```text
//! 0x0000_0000  never valid, 64 KiB
//! 0x0001_0000  Record      read-only   256 KiB at most
//! 0x0006_0000  Predicates  read-only    64 KiB
//! 0x0008_0000  Masks       read-only    64 KiB
//! 0x000a_0000  Stack       writable      4 KiB: frame i at 512 i, growing upwards
//! 0x000c_0000  Output      writable     64 KiB
//! 0x0010_0000  Constants   read-only     1 MiB
//! 0x0022_0000  Buffer      writable      1 MiB
//! 0x0040_0000  MapValues   writable      1 GiB
//! ```
//!
//! A guest address is the index of its byte in one array, so that the interpreter's memory and the linear memory of
//! compiled code are the same thing. Regions begin at fixed addresses and at least 64 KiB of invalid addresses lie
//! between any two: an address that is off by less than that never falls into another region. What a region holds at
//! the moment is its *length*; its *capacity* is declared when the memory is made.
//!
//! A number from a program is a [`GuestAddr`], an allegation. [`Memory::check`] decides about any address,
//! [`Memory::check_predicted`] about one whose region and range the verifier proved; both say which byte it is, or
//! which [`Trap`].

mod maps;

pub use maps::MemoryError;

use crate::helper::Scratch;
use crate::interp::CallStack;
use crate::isa::Size;
use crate::map::Maps;
use crate::trap::Trap;

/// Bytes of a stack frame.
pub const FRAME_LEN: u32 = 512;
/// Frames: the entry and at most seven nested local calls.
pub const FRAMES_MAX: u32 = 8;
/// Bytes of the stack.
pub const STACK_LEN: u32 = FRAME_LEN * FRAMES_MAX;
/// Regions begin at multiples of this, and the first page is never valid.
pub const PAGE_LEN: u32 = 0x1_0000;

/// A kind of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Region {
    /// The event.
    Record = 0,
    /// Two bits a predicate.
    Predicates = 1,
    /// Words of bits for tests on the elements of lists.
    Masks = 2,
    /// The frames.
    Stack = 3,
    /// What a program hands to the host.
    Output = 4,
    /// Read-only data of programs.
    Constants = 5,
    /// The writable buffer of a raw program.
    Buffer = 6,
    /// Values of maps.
    MapValues = 7,
}

/// Number of regions.
pub const REGIONS: usize = 8;

impl Region {
    /// All regions, in the order of their addresses and of their numbers.
    pub const ALL: [Self; REGIONS] = [
        Self::Record,
        Self::Predicates,
        Self::Masks,
        Self::Stack,
        Self::Output,
        Self::Constants,
        Self::Buffer,
        Self::MapValues,
    ];

    /// Where it begins.
    pub const fn base(self) -> u32 {
        match self {
            Self::Record => 0x0001_0000,
            Self::Predicates => 0x0006_0000,
            Self::Masks => 0x0008_0000,
            Self::Stack => 0x000a_0000,
            Self::Output => 0x000c_0000,
            Self::Constants => 0x0010_0000,
            Self::Buffer => 0x0022_0000,
            Self::MapValues => 0x0040_0000,
        }
    }

    /// The largest capacity it can have.
    pub const fn capacity_max(self) -> u32 {
        match self {
            Self::Record => 0x4_0000,
            Self::Predicates | Self::Masks | Self::Output => PAGE_LEN,
            Self::Stack => STACK_LEN,
            Self::Constants | Self::Buffer => 0x10_0000,
            Self::MapValues => 0x4000_0000,
        }
    }

    /// Whether programs may store into it.
    pub const fn writable(self) -> bool {
        matches!(self, Self::Stack | Self::Output | Self::Buffer | Self::MapValues)
    }

    /// The region whose addresses (valid or not) include this one; None for those below the first region.
    pub const fn of(addr: GuestAddr) -> Option<Self> {
        let page = addr.0 >> 16;
        let slot = if page < LOW_PAGES as u64 { page as usize } else { LOW_PAGES - 1 };
        match PAGE_REGION[slot] {
            0 => Some(Self::Record),
            1 => Some(Self::Predicates),
            2 => Some(Self::Masks),
            3 => Some(Self::Stack),
            4 => Some(Self::Output),
            5 => Some(Self::Constants),
            6 => Some(Self::Buffer),
            7 => Some(Self::MapValues),
            _ => None,
        }
    }
}

/// Pages up to the first of the last region: from there on, every address is taken for one of that region.
const LOW_PAGES: usize = (Region::MapValues.base() / PAGE_LEN) as usize + 1;

/// The number of the region that begins at or before a page.
const PAGE_REGION: [u8; LOW_PAGES] = {
    let mut pages = [u8::MAX; LOW_PAGES];
    let mut region = 0;
    while region < REGIONS {
        let mut page = (Region::ALL[region].base() / PAGE_LEN) as usize;
        while page < LOW_PAGES {
            pages[page] = region as u8;
            page += 1;
        }
        region += 1;
    }
    pages
};

/// Numbers of regions, and some that are none: those of addresses before the first region.
const REGION_NUMBERS: usize = 16;

/// Bases by number.
const BASES: [u32; REGION_NUMBERS] = {
    let mut bases = [0; REGION_NUMBERS];
    let mut region = 0;
    while region < REGIONS {
        bases[region] = Region::ALL[region].base();
        region += 1;
    }
    bases
};

/// A bit for each region that programs may store into.
const WRITABLE: u32 = {
    let mut bits = 0;
    let mut region = 0;
    while region < REGIONS {
        bits |= (Region::ALL[region].writable() as u32) << region;
        region += 1;
    }
    bits
};

/// An address as a program gives it: an allegation, until [`Memory`] has checked it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GuestAddr(pub u64);

/// What the verifier proved of one memory access: it begins at `lo ..= hi` from the start of `region`.
///
/// Executors test each access against it before use. For an instruction that is never reached, say
/// [`Access::NEVER`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Access {
    /// The region.
    pub region: Region,
    /// Smallest offset of its first byte.
    pub lo: u32,
    /// Largest offset of its first byte.
    pub hi: u32,
    /// Bytes accessed.
    pub size: Size,
}

impl Access {
    /// The access of an instruction that is never reached: no address passes.
    pub const NEVER: Self = Self { region: Region::MapValues, lo: u32::MAX, hi: u32::MAX, size: Size::Double };

    /// The end of the range: bytes that the region must have.
    pub const fn end(&self) -> u64 {
        self.hi as u64 + self.size.bytes() as u64
    }
}

/// Capacities of the regions of a memory, in bytes. The stack always has its full size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capacities {
    /// For records.
    pub record: u32,
    /// For predicate bits.
    pub predicates: u32,
    /// For masks.
    pub masks: u32,
    /// For output.
    pub output: u32,
    /// For constants.
    pub constants: u32,
    /// For the buffer of raw programs.
    pub buffer: u32,
    /// For map values.
    pub map_values: u32,
}

/// A capacity that a region cannot have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("region {region:?} cannot hold {asked} bytes, only {max}")]
pub struct NoRoom {
    /// The region.
    pub region: Region,
    /// Bytes asked for.
    pub asked: u32,
    /// Bytes it can have.
    pub max: u32,
}

/// The memory of one thread of execution.
#[derive(Clone, Debug)]
pub struct Memory {
    bytes: Vec<u8>,
    /// Lengths by region; zero for numbers that are none.
    lens: [u32; REGION_NUMBERS],
    capacities: [u32; REGIONS],
    /// Part of the stack that may not be zero, as offsets.
    stack_dirty: (u32, u32),
    scratch: Scratch,
    maps: Maps,
    pub(crate) trap_registers: [u64; 11],
    pub(crate) calls: CallStack,
}

impl Memory {
    /// A memory of these capacities, zeroed. Record, predicates, masks, constants and buffer have length 0 until
    /// [`Memory::set_len`]; output and map values have their whole capacity as length.
    pub fn new(capacities: &Capacities) -> Result<Self, NoRoom> {
        let mut lens = [0; REGION_NUMBERS];
        let mut known = [0; REGIONS];
        let mut end = 0;
        for (region, (len_now, capacity_now)) in Region::ALL.into_iter().zip(lens.iter_mut().zip(&mut known)) {
            let (len, capacity) = match region {
                Region::Record => (0, capacities.record),
                Region::Predicates => (0, capacities.predicates),
                Region::Masks => (0, capacities.masks),
                Region::Stack => (STACK_LEN, STACK_LEN),
                Region::Output => (capacities.output, capacities.output),
                Region::Constants => (0, capacities.constants),
                Region::Buffer => (0, capacities.buffer),
                Region::MapValues => (capacities.map_values, capacities.map_values),
            };
            if capacity > region.capacity_max() {
                return Err(NoRoom { region, asked: capacity, max: region.capacity_max() });
            }
            (*len_now, *capacity_now) = (len, capacity);
            if capacity > 0 {
                end = region.base() + capacity;
            }
        }
        Ok(Self {
            bytes: vec![0; end as usize],
            lens,
            capacities: known,
            stack_dirty: (STACK_LEN, 0),
            scratch: Scratch::default(),
            maps: Maps::default(),
            trap_registers: [0; 11],
            calls: CallStack::default(),
        })
    }

    /// A memory for a raw program, with these bytes as its buffer.
    pub fn for_raw(buffer: &[u8]) -> Result<Self, NoRoom> {
        let len = u32::try_from(buffer.len()).unwrap_or(u32::MAX);
        let mut memory = Self::new(&Capacities { buffer: len, ..Capacities::default() })?;
        memory.whole_mut(Region::Buffer).copy_from_slice(buffer);
        memory.set_len(Region::Buffer, len)?;
        Ok(memory)
    }

    /// Bytes the region holds now.
    pub fn len(&self, region: Region) -> u32 {
        self.lens[region as usize]
    }

    /// Whether the region holds nothing now.
    pub fn is_empty(&self, region: Region) -> bool {
        self.len(region) == 0
    }

    /// Bytes the region can hold.
    pub fn capacity(&self, region: Region) -> u32 {
        self.capacities[region as usize]
    }

    /// Says how many bytes the region holds; what lies beyond cannot be accessed. The stack's length is fixed.
    pub fn set_len(&mut self, region: Region, len: u32) -> Result<(), NoRoom> {
        let max = self.capacity(region);
        if len > max || region == Region::Stack && len != STACK_LEN {
            return Err(NoRoom { region, asked: len, max });
        }
        self.lens[region as usize] = len;
        Ok(())
    }

    /// Whether each region holds at least as much.
    #[inline]
    pub(crate) fn holds(&self, needs: &[u32; REGIONS]) -> bool {
        // All are compared: without an early end it takes a few vector instructions.
        self.lens.iter().zip(needs).fold(true, |holds, (len, need)| holds & (len >= need))
    }

    /// What the region holds.
    pub fn contents(&self, region: Region) -> &[u8] {
        let base = region.base() as usize;
        self.bytes.get(base..base + self.len(region) as usize).unwrap_or_default()
    }

    /// What the region holds, for the host to change.
    pub fn contents_mut(&mut self, region: Region) -> &mut [u8] {
        self.mark_stack(region, 0, STACK_LEN);
        let (base, len) = (region.base() as usize, self.len(region) as usize);
        self.bytes.get_mut(base..base + len).unwrap_or_default()
    }

    /// The whole capacity of the region, for the host to fill; then say [`Memory::set_len`].
    pub fn whole_mut(&mut self, region: Region) -> &mut [u8] {
        self.mark_stack(region, 0, STACK_LEN);
        let (base, capacity) = (region.base() as usize, self.capacity(region) as usize);
        self.bytes.get_mut(base..base + capacity).unwrap_or_default()
    }

    /// The record and the buffers of helpers.
    pub(crate) fn record_and_scratch(&mut self) -> (&[u8], &mut Scratch) {
        let base = Region::Record.base() as usize;
        let record = self.bytes.get(base..base + self.len(Region::Record) as usize).unwrap_or_default();
        (record, &mut self.scratch)
    }

    /// Registers at the last trap: valid after a run in this memory that ended in one.
    pub fn trap_registers(&self) -> [u64; 11] {
        self.trap_registers
    }

    /// All bytes by guest address, for executors.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// All bytes by guest address, for executors. They mark what they change of the stack
    /// ([`Memory::will_use_stack`]).
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    /// Decides about any access: the index of its first byte in [`Memory::bytes`].
    #[inline]
    pub fn check(&mut self, addr: GuestAddr, len: u32, write: bool) -> Result<usize, Trap> {
        let page = (addr.0 >> 16).min(LOW_PAGES as u64 - 1) as usize;
        let number = usize::from(PAGE_REGION[page]) % REGION_NUMBERS;
        let offset = addr.0.wrapping_sub(u64::from(BASES[number]));
        let end = offset.saturating_add(u64::from(len));
        if end > u64::from(self.lens[number]) {
            return Err(Trap::OutOfRegion);
        }
        if write {
            if WRITABLE >> number & 1 == 0 {
                return Err(Trap::ReadOnly);
            }
            if number == Region::Stack as usize {
                self.will_use_stack(offset as u32, end as u32);
            }
        }
        Ok(addr.0 as usize)
    }

    /// Decides about an access of which the verifier proved `access`: one compare is region check and enforcement.
    /// That the region is long enough was checked when the program was entered.
    #[inline]
    pub fn check_predicted(access: &Access, addr: GuestAddr) -> Result<usize, Trap> {
        let first = u64::from(access.region.base()) + u64::from(access.lo);
        if addr.0.wrapping_sub(first) <= u64::from(access.hi.saturating_sub(access.lo)) {
            Ok(addr.0 as usize)
        } else {
            Err(Trap::PredictedRange)
        }
    }

    /// Zeroes what earlier runs used of the stack.
    #[inline]
    pub fn clear_stack(&mut self) {
        let (lo, hi) = self.stack_dirty;
        if lo < hi {
            let base = Region::Stack.base() as usize;
            if let Some(dirty) = self.bytes.get_mut(base + lo as usize..base + hi as usize) {
                dirty.fill(0);
            }
            self.stack_dirty = (STACK_LEN, 0);
        }
    }

    /// Says that a program may store between these offsets of the stack.
    #[inline]
    pub fn will_use_stack(&mut self, lo: u32, hi: u32) {
        self.stack_dirty = (self.stack_dirty.0.min(lo), self.stack_dirty.1.max(hi.min(STACK_LEN)));
    }

    #[inline]
    fn mark_stack(&mut self, region: Region, lo: u32, hi: u32) {
        if region == Region::Stack {
            self.will_use_stack(lo, hi);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory() -> Memory {
        let all = Capacities {
            record: 1000,
            predicates: 16,
            masks: 48,
            output: 64,
            constants: 10,
            buffer: 33,
            map_values: 128,
        };
        let mut memory = Memory::new(&all).unwrap();
        for region in Region::ALL {
            memory.set_len(region, memory.capacity(region)).unwrap();
        }
        memory
    }

    #[test]
    fn regions_lie_apart() {
        for pair in Region::ALL.windows(2) {
            assert!(pair[0].base() + pair[0].capacity_max() + PAGE_LEN <= pair[1].base(), "{pair:?}");
        }
        for (number, region) in Region::ALL.into_iter().enumerate() {
            assert_eq!(region as usize, number);
            assert_eq!(region.base() % PAGE_LEN, 0);
            assert!(region.base() >= PAGE_LEN);
            for offset in [0, region.capacity_max() - 1] {
                assert_eq!(Region::of(GuestAddr(u64::from(region.base() + offset))), Some(region));
            }
        }
        assert_eq!(Region::of(GuestAddr(0xffff)), None);
        // Each page belongs to the last region that begins at or before it, those far beyond the last one too.
        for page in 0..=2 * LOW_PAGES as u64 {
            let addr = page * u64::from(PAGE_LEN);
            let want = Region::ALL.into_iter().rfind(|region| u64::from(region.base()) <= addr);
            assert_eq!(Region::of(GuestAddr(addr)), want, "{addr:#x}");
        }
        assert_eq!(Region::of(GuestAddr(u64::MAX)), Some(Region::MapValues));
    }

    #[test]
    fn check_agrees_with_the_definition() {
        let mut memory = memory();
        let mut addresses = vec![0, 1, 0xffff, 0x1000, u64::MAX, u64::MAX - 7, 1 << 32, i64::MIN.cast_unsigned()];
        for region in Region::ALL {
            let base = u64::from(region.base());
            let end = base + u64::from(memory.len(region));
            for edge in [base, end, base + u64::from(PAGE_LEN), base + (1 << 32)] {
                addresses.extend((0..=9).flat_map(|by| [edge - by, edge + by]));
            }
        }
        for addr in addresses {
            for len in [1, 2, 4, 8] {
                let inside = Region::ALL.into_iter().find(|region| {
                    let base = u64::from(region.base());
                    addr >= base
                        && addr.checked_add(len).is_some_and(|end| end <= base + u64::from(memory.len(*region)))
                });
                let read = memory.check(GuestAddr(addr), len as u32, false);
                assert_eq!(read, inside.map(|_| addr as usize).ok_or(Trap::OutOfRegion), "{addr:#x} {len}");
                let want = match inside {
                    None => Err(Trap::OutOfRegion),
                    Some(region) if region.writable() => Ok(addr as usize),
                    Some(_) => Err(Trap::ReadOnly),
                };
                assert_eq!(memory.check(GuestAddr(addr), len as u32, true), want, "{addr:#x} {len}");
            }
        }
    }

    #[test]
    fn a_predicted_access_is_one_range() {
        let access = Access { region: Region::Record, lo: 48, hi: 56, size: Size::Double };
        let base = u64::from(Region::Record.base());
        for (addr, good) in [
            (base + 47, false),
            (base + 48, true),
            (base + 56, true),
            (base + 57, false),
            (base + 48 + (1 << 32), false),
            (0, false),
            (u64::MAX, false),
        ] {
            assert_eq!(Memory::check_predicted(&access, GuestAddr(addr)).is_ok(), good, "{addr:#x}");
        }
    }

    #[test]
    fn lengths_keep_within_capacities() {
        let mut memory = memory();
        assert!(memory.set_len(Region::Record, 999).is_ok());
        assert_eq!(memory.contents(Region::Record).len(), 999);
        let beyond = GuestAddr(u64::from(Region::Record.base()) + 999);
        assert_eq!(memory.check(beyond, 1, false), Err(Trap::OutOfRegion));
        assert!(memory.set_len(Region::Record, 1000).is_ok());
        assert!(memory.check(beyond, 1, false).is_ok());
        assert!(memory.set_len(Region::Record, 1001).is_err());
        assert!(memory.set_len(Region::Stack, 8).is_err());
        let max = Region::Buffer.capacity_max();
        for (buffer, good) in [(max - 1, true), (max, true), (max + 1, false)] {
            assert_eq!(Memory::new(&Capacities { buffer, ..Capacities::default() }).is_ok(), good);
        }
    }

    #[test]
    fn a_memory_holds_what_is_needed_only_if_every_region_does() {
        let memory = memory();
        let lens = Region::ALL.map(|region| memory.len(region));
        assert!(memory.holds(&lens) && memory.holds(&[0; REGIONS]));
        for (one, first) in lens.iter().enumerate() {
            for (other, second) in lens.iter().enumerate() {
                let mut needs = lens;
                (needs[one], needs[other]) = (first + 1, second + 1);
                assert!(!memory.holds(&needs), "{one} {other}");
            }
        }
    }

    #[test]
    fn a_region_is_empty_until_it_holds_something() {
        let mut memory = Memory::new(&Capacities { record: 8, ..Capacities::default() }).unwrap();
        assert!(memory.is_empty(Region::Record) && !memory.is_empty(Region::Stack));
        memory.set_len(Region::Record, 1).unwrap();
        assert!(!memory.is_empty(Region::Record));
    }

    #[test]
    fn the_stack_is_cleared_where_it_was_used() {
        let mut memory = memory();
        let at = GuestAddr(u64::from(Region::Stack.base()) + 100);
        let index = memory.check(at, 8, true).unwrap();
        memory.bytes_mut()[index..index + 8].fill(7);
        memory.clear_stack();
        assert!(memory.contents(Region::Stack).iter().all(|byte| *byte == 0));
        memory.contents_mut(Region::Stack).fill(9);
        memory.clear_stack();
        assert!(memory.contents(Region::Stack).iter().all(|byte| *byte == 0));
    }
}
