//! What a proof knows beside the state: what the program is and may call, and where its maps lie.

use crate::helper::{Helper, HelperTable, Invalidates};
use crate::map::{MapKind, PlacedMap};
use crate::memory::{FRAME_LEN, Region};
use crate::program::{Loaded, ProgramKind};
use crate::verifier::number::{Bits, Scalar};
use crate::verifier::state::{Pointer, RegType, Why};

/// What assertions are judged against, and transfer functions ask, besides the state.
#[derive(Clone, Copy, Debug)]
pub(in crate::verifier) struct Context<'p> {
    /// What the program is and may touch.
    pub kind: &'p ProgramKind,
    /// The helpers of such programs.
    pub helpers: &'static HelperTable,
    /// Its maps.
    pub maps: &'p [PlacedMap],
}

impl<'p> Context<'p> {
    pub(in crate::verifier) fn new(loaded: &'p Loaded) -> Self {
        let program = loaded.program();
        Self { kind: &program.kind, helpers: loaded.helpers(), maps: &program.maps }
    }

    /// Of a raw program without helpers, for tests.
    #[cfg(test)]
    pub(super) fn of(maps: &'p [PlacedMap]) -> Self {
        let kind = &ProgramKind::Raw { memory_len: 64 };
        Self { kind, helpers: &crate::helper::RAW_HELPERS, maps }
    }

    /// A map by index.
    pub(in crate::verifier) fn map(&self, index: u16) -> Option<&'p PlacedMap> {
        self.maps.get(usize::from(index))
    }

    /// Whether two indices name one map.
    pub(super) fn same_map(&self, a: u16, b: u16) -> bool {
        a == b || self.map(a).zip(self.map(b)).is_some_and(|(a, b)| a.id == b.id)
    }

    /// The address of a byte of a value of a map.
    pub(super) fn value(&self, index: u16, offset: u64) -> RegType {
        match self.map(index) {
            Some(map) if matches!(map.region, Region::MapValues | Region::Constants) => RegType::Pointer(Pointer {
                region: map.region,
                object: index,
                offset: Scalar::exact(offset, Bits::B64),
            }),
            _ => RegType::Unusable(Why::NeverWritten),
        }
    }

    /// Whether a call of the helper can give up entries of the map that it gets. Those of arrays and data are there
    /// for good.
    pub(super) fn gives_up(&self, helper: &Helper, map: u16) -> bool {
        let Some(kind) = self.map(map).map(|map| map.decl.kind) else { return true };
        match helper.invalidates {
            Invalidates::Nothing => false,
            Invalidates::Values => !matches!(kind, MapKind::Array | MapKind::Data),
            Invalidates::ValuesIfEvicting => kind.evicts(),
        }
    }

    /// Least and greatest guest address at which an object can begin: one and the same, but for values of a map that
    /// has many.
    fn starts(&self, pointer: Pointer) -> Option<(u64, u64)> {
        let base = u64::from(pointer.region.base());
        match pointer.region {
            Region::Stack => {
                let start = base + u64::from(FRAME_LEN) * u64::from(pointer.object);
                Some((start, start))
            }
            Region::MapValues | Region::Constants => {
                let map = self.map(pointer.object)?;
                let others = u64::from(map.decl.entries.saturating_sub(1)) * u64::from(map.decl.stride());
                Some((map.address(0), map.address(0) + others))
            }
            _ => Some((base, base)),
        }
    }

    /// The guest address at which an object begins, if that is known.
    pub(super) fn start(&self, pointer: Pointer) -> Option<u64> {
        self.starts(pointer).filter(|(least, most)| least == most).map(|(start, _)| start)
    }

    /// Whether two addresses lead into one object, of which it is known where it begins.
    pub(super) fn same_object(&self, a: Pointer, b: Pointer) -> bool {
        (a.region, a.object) == (b.region, b.object) && self.start(a).is_some()
    }

    /// The address as a number.
    pub(super) fn address(&self, pointer: Pointer) -> Scalar {
        let Some((least, most)) = self.starts(pointer) else { return Scalar::unknown(Bits::B64) };
        let start = Scalar::range(least, most, Bits::B64);
        Scalar::alu(crate::isa::AluOp::Add, pointer.offset, start, Bits::B64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::map::{MapDecl, Placement};

    fn maps() -> [PlacedMap; 3] {
        let mut placement = Placement::default();
        let array = MapDecl {
            name: "a".to_owned(),
            kind: MapKind::Array,
            key_len: 4,
            value_len: 12,
            entries: 5,
            contents: Vec::new(),
        };
        let window = MapDecl { kind: MapKind::Window { window_ns: 9, panes: 3 }, value_len: 0, ..array.clone() };
        let data = MapDecl { kind: MapKind::Data, entries: 1, contents: vec![7; 12], ..array.clone() };
        [("a", array), ("b", data), ("c", window)]
            .map(|(name, decl)| placement.place(MapDecl { name: name.to_owned(), ..decl }).unwrap())
    }

    fn at(region: Region, object: u16, offset: u64) -> Pointer {
        Pointer { region, object, offset: Scalar::exact(offset, Bits::B64) }
    }

    /// The number that an address is holds every address that the machine can make of it.
    #[test]
    fn addresses_are_the_numbers_that_the_machine_has() {
        let maps = maps();
        let context = Context::of(&maps);
        for region in [Region::Record, Region::Buffer, Region::Output] {
            let pointer = at(region, 0, 8);
            assert_eq!(context.start(pointer), Some(region.base().into()));
            assert_eq!(context.address(pointer).as_constant(), Some(u64::from(region.base()) + 8));
        }
        for frame in 0..8 {
            let pointer = at(Region::Stack, frame, 500);
            let start = u64::from(Region::Stack.base()) + u64::from(frame) * u64::from(FRAME_LEN);
            assert_eq!(context.start(pointer), Some(start));
            assert_eq!(context.address(pointer).as_constant(), Some(start + 500));
            assert!(context.same_object(pointer, at(Region::Stack, frame, 0)));
            assert!(!context.same_object(pointer, at(Region::Stack, frame + 1, 500)));
        }
        // One value: it is known where. Of several, the first and the last are where they lie, four bytes in.
        let data = at(Region::Constants, 1, 4);
        assert_eq!(context.address(data).as_constant(), Some(maps[1].address(4)));
        assert!(context.same_object(data, at(Region::Constants, 1, 0)));
        let several = at(Region::MapValues, 0, 4);
        let address = context.address(several).unsigned();
        let last = maps[0].address(4) + 4 * u64::from(maps[0].decl.stride());
        assert_eq!((address.min, address.max), (maps[0].address(4), last));
        assert!(context.start(several).is_none() && !context.same_object(several, several));
        assert!((0..5).all(|entry| context.address(several).contains(maps[0].address(4) + 16 * entry, Bits::B64)));
        assert_eq!(context.address(at(Region::MapValues, 9, 0)), Scalar::unknown(Bits::B64));
    }

    #[test]
    fn maps_by_index_and_by_number() {
        let [first, data, window] = maps();
        // Named twice in the program, it is one map all the same.
        let maps = [first.clone(), data, window, first];
        let context = Context::of(&maps);
        for a in 0..6 {
            for b in 0..6 {
                assert_eq!(context.same_map(a, b), a == b || [(0, 3), (3, 0)].contains(&(a, b)), "{a} {b}");
            }
        }
        for (index, region) in [(0, Some(Region::MapValues)), (1, Some(Region::Constants)), (7, None)] {
            let pointer = context.value(index, 8).as_pointer();
            assert_eq!(pointer, region.map(|region| at(region, index, 8)), "{index}");
        }
    }
}
