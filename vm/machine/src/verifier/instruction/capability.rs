//! What a program may touch in each region: the manifest of a rule, the buffer of a raw program, frames and values of
//! maps.
//!
//! A pointer leads into one *object*: a region as a whole, one stack frame, one value of a map. An access has to stay
//! within it. Where the object lies in its region is added only then: of a value that a look-up found, anywhere among
//! the values of its map.

use super::assertion::Mode;
use super::context::Context;
use crate::isa::Size;
use crate::memory::{Access, FRAME_LEN, Region, STACK_LEN};
use crate::predicate::MASK_LEN;
use crate::program::{Manifest, ProgramKind};
use crate::record::{GROUP_LEN, GROUP_SLOTS, HEADER_LEN};
use crate::verifier::number::{Bits, Scalar};
use crate::verifier::reason::{Granted, Reason};
use crate::verifier::state::{AbstractState, Bytes, Pointer, Stack};

/// Bytes of a region that a program can rely on; 0 if it has none of it.
///
/// Executors check at entry that the regions are at least that long.
pub(in crate::verifier) fn region_len(context: &Context<'_>, region: Region) -> u32 {
    match (region, context.kind) {
        (Region::Stack, _) => STACK_LEN,
        (Region::MapValues | Region::Constants, _) => {
            let ends = context.maps.iter().filter(|map| map.region == region).map(|map| {
                let end = u64::from(map.base).saturating_add(map.decl.values_len());
                u32::try_from(end).ok().filter(|end| *end <= region.capacity_max()).unwrap_or(0)
            });
            ends.max().unwrap_or(0)
        }
        (Region::Buffer, ProgramKind::Raw { memory_len }) => *memory_len,
        (Region::Record, ProgramKind::Rule(manifest)) => manifest.record_len,
        (Region::Predicates, ProgramKind::Rule(manifest)) => {
            manifest.predicate_bytes.last().map_or(0, |byte| u32::from(*byte) + 1)
        }
        (Region::Masks, ProgramKind::Rule(manifest)) => {
            manifest.masks.last().map_or(0, |mask| (u32::from(*mask) + 1) * MASK_LEN)
        }
        (Region::Record | Region::Predicates | Region::Masks | Region::Buffer | Region::Output, _) => 0,
    }
}

/// Bytes of the object that a pointer leads into, and where in its region it begins: at the earliest and at the
/// latest. None if there is no such object.
fn object_of(context: &Context<'_>, state: &AbstractState, pointer: Pointer) -> Option<(u32, u64, u64)> {
    match pointer.region {
        Region::Stack => {
            state.frame(pointer.object)?;
            let start = u64::from(pointer.object) * u64::from(FRAME_LEN);
            Some((FRAME_LEN, start, start))
        }
        Region::MapValues | Region::Constants => {
            let map = context.map(pointer.object).filter(|map| map.region == pointer.region)?;
            let first = u64::from(map.base);
            let others = u64::from(map.decl.entries.checked_sub(1)?) * u64::from(map.decl.stride());
            Some((map.decl.value_len, first, first + others))
        }
        region => Some((region_len(context, region), 0, 0)),
    }
}

/// The one region and the proved range of an access `offset` bytes past a pointer, if the program may make it.
pub(super) fn access(
    context: &Context<'_>,
    state: &AbstractState,
    pointer: Pointer,
    offset: i32,
    size: Size,
    mode: Mode,
) -> Result<Access, Reason> {
    let region = pointer.region;
    let writes = mode != Mode::Read;
    if writes && !region.writable() {
        return Err(Reason::ReadOnly { region });
    }
    let (lo, hi) = bounds(context, state, pointer, offset, size.bytes())?;
    let access = Access { region, lo, hi, size };
    match (region, context.kind) {
        (Region::Buffer, ProgramKind::Raw { .. }) | (Region::MapValues | Region::Constants, _) => {}
        (Region::Stack, _) => {
            if mode != Mode::Write {
                let (frame, bytes) = frame_bytes(&access).ok_or(Reason::Inconsistent)?;
                let stack = state.frame(frame).ok_or(Reason::Inconsistent)?;
                let whole = mode == Mode::Read && lo == hi && stack.saved(bytes).is_some();
                let start = u32::from(frame) * FRAME_LEN;
                let offset = Scalar::range((lo - start).into(), (hi - start).into(), Bits::B64);
                readable(stack, Pointer { offset, ..pointer }, bytes, whole)?;
            }
        }
        (Region::Record | Region::Predicates | Region::Masks, ProgramKind::Rule(manifest)) => {
            if access.lo != access.hi {
                return Err(Reason::VariableOffset { pointer });
            }
            granted(manifest, &access)?;
        }
        // No program of this kind has such a region. Its length is 0, so this is not reached.
        _ => return Err(Reason::OutOfBounds { region, object: 0, min: 0, max: 0, bytes: size.bytes(), len: 0 }),
    }
    Ok(access)
}

/// Whether a helper may read this many bytes from a pointer on, as a key or a value: initialised bytes of the stack,
/// a value of a map, data, the buffer.
pub(super) fn readable_bytes(
    context: &Context<'_>,
    state: &AbstractState,
    pointer: Pointer,
    bytes: u32,
) -> Result<(), Reason> {
    match pointer.region {
        Region::Stack | Region::MapValues | Region::Constants | Region::Buffer => {}
        region @ (Region::Record | Region::Predicates | Region::Masks | Region::Output) => {
            return Err(Reason::NotForHelpers { region });
        }
    }
    let (lo, hi) = bounds(context, state, pointer, 0, bytes)?;
    if pointer.region == Region::Stack {
        let (start, len) = (lo % FRAME_LEN, (hi - lo).saturating_add(bytes));
        let bytes = Bytes::new(start, len).ok_or(Reason::Inconsistent)?;
        let stack = state.frame(pointer.object).ok_or(Reason::Inconsistent)?;
        readable(stack, pointer, bytes, false)?;
    }
    Ok(())
}

/// The range of the first byte in the region, proved to lie within the object with all its bytes.
fn bounds(
    context: &Context<'_>,
    state: &AbstractState,
    pointer: Pointer,
    offset: i32,
    bytes: u32,
) -> Result<(u32, u32), Reason> {
    let (len, first, last) = object_of(context, state, pointer).unwrap_or((0, 0, 0));
    // The signed bounds of a sum of two 64-bit numbers, exactly.
    let bounds = pointer.offset.signed();
    let (min, max) = (i128::from(bounds.min) + i128::from(offset), i128::from(bounds.max) + i128::from(offset));
    let Pointer { region, object, .. } = pointer;
    let outside = Reason::OutOfBounds { region, object, min, max, bytes, len };
    let (Ok(lo), Ok(hi)) = (u32::try_from(min), u32::try_from(max)) else { return Err(outside) };
    if lo > hi || u64::from(hi) + u64::from(bytes) > u64::from(len) {
        return Err(outside);
    }
    // Where the object lies is the linker's word; that it lies in the region is not taken on trust.
    let end = last + u64::from(len);
    match (u32::try_from(first + u64::from(lo)), u32::try_from(last + u64::from(hi))) {
        (Ok(lo), Ok(hi)) if end <= u64::from(pointer.region.capacity_max()) => Ok((lo, hi)),
        _ => Err(outside),
    }
}

/// The frame that an access touches, and all bytes of it that it can touch. None if they are not in one frame.
pub(super) fn frame_bytes(access: &Access) -> Option<(u16, Bytes)> {
    let frame = u16::try_from(access.lo / FRAME_LEN).ok()?;
    let len = access.hi.checked_sub(access.lo)?.checked_add(access.size.bytes())?;
    Some((frame, Bytes::new(access.lo % FRAME_LEN, len)?))
}

/// Whether the bytes of a frame are initialised and hold no address, unless it is loaded `whole`.
fn readable(stack: &Stack, pointer: Pointer, bytes: Bytes, whole: bool) -> Result<(), Reason> {
    if let Some(byte) = stack.first_uninitialised(bytes) {
        let offset = byte.cast_signed() - FRAME_LEN.cast_signed();
        return Err(match stack.why_unreadable(byte) {
            Some(why) => Reason::Unreadable { offset, why },
            None => Reason::UninitialisedStack { offset },
        });
    }
    if !whole && stack.holds_pointer(bytes) {
        return Err(Reason::PartOfPointer { pointer });
    }
    Ok(())
}

/// Whether the manifest lets a rule read these bytes.
fn granted(manifest: &Manifest, access: &Access) -> Result<(), Reason> {
    let (region, offset, size) = (access.region, access.lo, access.size);
    let bytes = size.bytes();
    let straddles = Reason::Straddles { region, offset, size };
    let granted = |list: &[u16], what, number: u32| {
        let found = u16::try_from(number).is_ok_and(|number| list.binary_search(&number).is_ok());
        if found { Ok(()) } else { Err(Reason::NotGranted { what, number }) }
    };
    match region {
        Region::Record => {
            let Some(slots) = offset.checked_sub(HEADER_LEN) else {
                return if offset + bytes <= HEADER_LEN { Ok(()) } else { Err(straddles) };
            };
            let (group, within) = (slots / GROUP_LEN, slots % GROUP_LEN);
            // A group begins with a state byte for each of its slots.
            let (entry, ends_within) = match within.checked_sub(GROUP_SLOTS) {
                None => (within, bytes == 1),
                Some(value) => (value / 8, value % 8 + bytes <= 8),
            };
            if !ends_within {
                return Err(straddles);
            }
            granted(&manifest.slots, Granted::Slot, group * GROUP_SLOTS + entry)
        }
        Region::Predicates => (offset..offset + bytes)
            .try_for_each(|byte| granted(&manifest.predicate_bytes, Granted::PredicateByte, byte)),
        Region::Masks => {
            if offset % MASK_LEN + bytes > MASK_LEN {
                return Err(straddles);
            }
            granted(&manifest.masks, Granted::Mask, offset / MASK_LEN)
        }
        Region::Stack | Region::Buffer | Region::Output | Region::Constants | Region::MapValues => Err(straddles),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::map::{MapDecl, MapId, MapKind, PlacedMap};
    use crate::record::{Slot, slots_len};
    use crate::verifier::state::RegType;

    fn rule() -> ProgramKind {
        ProgramKind::Rule(Manifest {
            record_len: slots_len(20),
            slots: vec![0, 7, 8, 19],
            predicate_bytes: vec![0, 1, 5],
            masks: vec![1],
            helpers: Vec::new(),
        })
    }

    fn read(kind: &ProgramKind, region: Region, offset: u64, size: Size) -> Result<Access, &'static str> {
        let pointer = RegType::pointer(region, offset).as_pointer().unwrap();
        let context = Context { kind, ..Context::of(&[]) };
        access(&context, &AbstractState::entry(), pointer, 0, size, Mode::Read).map_err(|reason| reason.code())
    }

    const SIZES: [Size; 4] = [Size::Byte, Size::Half, Size::Word, Size::Double];

    /// A pointer into a value of a map can lead into any of its values; where they lie is believed only within the
    /// region.
    #[test]
    fn values_of_a_map_are_all_its_values() {
        let len = 4 * 16;
        let max = Region::MapValues.capacity_max();
        for (base, good) in [(32, true), (max - len - 1, true), (max - len, true), (max - len + 1, false)] {
            let (name, kind) = ("a".to_owned(), MapKind::Hash);
            let decl = MapDecl { name, kind, key_len: 8, value_len: 16, entries: 4, contents: Vec::new() };
            let owner = "test".to_owned();
            let maps = [PlacedMap { owner, decl, id: MapId(0), region: Region::MapValues, base }];
            let pointer = RegType::pointer(Region::MapValues, 4).as_pointer().unwrap();
            let state = AbstractState::entry();
            let got = access(&Context::of(&maps), &state, pointer, 0, Size::Word, Mode::Read);
            let want = Access { region: Region::MapValues, lo: base + 4, hi: base + 3 * 16 + 4, size: Size::Word };
            assert_eq!(got.ok(), good.then_some(want), "{base}");
        }
    }

    /// Of a saved address that is read in part it is told where it lies in its frame.
    #[test]
    fn part_of_an_address_is_told_by_its_place_in_the_frame() {
        let mut state = AbstractState::entry();
        state.enter_call();
        state.set(1, RegType::pointer(Region::Buffer, 0));
        state.save(1, Bytes::new(504, 8).unwrap(), 1);
        let pointer = state.get(10).as_pointer().unwrap();
        let got = access(&Context::of(&[]), &state, pointer, -8, Size::Word, Mode::Read);
        let at = Pointer { offset: Scalar::exact(504, Bits::B64), ..pointer };
        assert_eq!(got, Err(Reason::PartOfPointer { pointer: at }));
    }

    /// Every offset of a record and every size, against a list of what is granted.
    #[test]
    fn a_rule_reads_the_header_and_its_own_slots_and_nothing_else() {
        let kind = rule();
        let mut readable = vec![false; slots_len(20) as usize + 80];
        let mut entry_of = vec![usize::MAX; readable.len()];
        let mut grant = |start: u32, len: u32| {
            for byte in start..start + len {
                readable[byte as usize] = true;
                entry_of[byte as usize] = start as usize;
            }
        };
        grant(0, HEADER_LEN);
        for slot in [0, 7, 8, 19] {
            grant(Slot(slot).offset(), 8);
            grant(Slot(slot).state_offset(), 1);
        }
        for offset in 0..slots_len(20) + 64 {
            for size in SIZES {
                let range = offset as usize..(offset + size.bytes()) as usize;
                let want = range.clone().all(|byte| readable[byte] && entry_of[byte] == entry_of[range.start]);
                let got = read(&kind, Region::Record, u64::from(offset), size);
                assert_eq!(got.is_ok(), want, "{} bytes at {offset}: {got:?}", size.bytes());
            }
        }
    }

    #[test]
    fn a_record_that_is_too_short_for_its_slots_wins() {
        let ProgramKind::Rule(manifest) = rule() else { unreachable!() };
        let short = ProgramKind::Rule(Manifest { record_len: slots_len(20) - 1, ..manifest });
        assert_eq!(read(&short, Region::Record, Slot(19).offset().into(), Size::Double), Err("out-of-bounds"));
        assert!(read(&short, Region::Record, Slot(19).offset().into(), Size::Word).is_ok());
    }

    #[test]
    fn predicate_bytes_and_masks_are_granted_one_by_one() {
        let kind = rule();
        for (offset, size, want) in [
            (0, Size::Byte, None),
            (1, Size::Byte, None),
            (0, Size::Half, None),
            (1, Size::Half, Some("not-granted")),
            (2, Size::Byte, Some("not-granted")),
            (5, Size::Byte, None),
            (5, Size::Half, Some("out-of-bounds")),
            (6, Size::Byte, Some("out-of-bounds")),
        ] {
            assert_eq!(read(&kind, Region::Predicates, offset, size).err(), want, "{size:?} at {offset}");
        }
        for (offset, size, want) in [
            (24, Size::Double, None),
            (40, Size::Double, None),
            (41, Size::Double, Some("out-of-bounds")),
            (23, Size::Byte, Some("not-granted")),
            (20, Size::Double, Some("straddles")),
            (48, Size::Byte, Some("out-of-bounds")),
        ] {
            assert_eq!(read(&kind, Region::Masks, offset, size).err(), want, "{size:?} at {offset}");
        }
    }

    #[test]
    fn regions_of_the_other_kind_are_empty() {
        let raw = ProgramKind::Raw { memory_len: 64 };
        for (kind, regions) in [
            (&raw, &[Region::Record, Region::Predicates, Region::Masks][..]),
            (&rule(), &[Region::Buffer]),
            (&raw, &[Region::Output, Region::Constants, Region::MapValues]),
        ] {
            for region in regions {
                assert_eq!(read(kind, *region, 0, Size::Byte), Err("out-of-bounds"), "{region:?}");
            }
        }
    }

    #[test]
    fn a_buffer_access_is_in_bounds_at_both_ends_of_its_range() {
        let raw = ProgramKind::Raw { memory_len: 64 };
        let at = |min, max, offset, mode| {
            let pointer =
                Pointer { region: Region::Buffer, object: 0, offset: Scalar::signed_range(min, max, Bits::B64) };
            let context = Context { kind: &raw, ..Context::of(&[]) };
            access(&context, &AbstractState::entry(), pointer, offset, Size::Double, mode)
                .map_err(|reason| reason.code())
        };
        for mode in [Mode::Read, Mode::Write, Mode::Update] {
            let want = Access { region: Region::Buffer, lo: 0, hi: 56, size: Size::Double };
            assert_eq!(at(0, 56, 0, mode), Ok(want));
            assert_eq!(at(8, 64, -8, mode), Ok(want));
            assert_eq!(at(-8, 48, 8, mode), Ok(want));
            for (min, max, offset) in [(0, 57, 0), (-1, 0, 0), (0, 56, 1), (0, 56, -1), (i64::MIN, i64::MAX, 0)] {
                assert_eq!(at(min, max, offset, mode), Err("out-of-bounds"));
            }
            assert_eq!(at(i64::MAX, i64::MAX, i32::MAX, mode), Err("out-of-bounds"));
            assert_eq!(at(i64::MIN, i64::MIN, i32::MIN, mode), Err("out-of-bounds"));
        }
    }

    #[test]
    fn read_only_regions_refuse_writes_before_anything_else() {
        for region in [Region::Record, Region::Predicates, Region::Masks, Region::Constants] {
            for mode in [Mode::Write, Mode::Update] {
                let pointer = RegType::pointer(region, 1 << 40).as_pointer().unwrap();
                let (kind, state) = (rule(), AbstractState::entry());
                let context = Context { kind: &kind, ..Context::of(&[]) };
                let refused = access(&context, &state, pointer, 0, Size::Byte, mode);
                assert_eq!(refused.map_err(|reason| reason.code()), Err("read-only"));
            }
        }
    }
}
