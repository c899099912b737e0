//! Helpers that work on maps: they find the map and the bytes that the arguments name; what they mean is in
//! [`crate::map`].

use super::{ArgType, Arguments};
use crate::map::{
    KEY_LEN_MAX, LPM_PREFIX_LEN, MEMBER_LEN_MAX, MEMBERS_MAX, MapDecl, MapKind, PANES_MAX, Refusal, VALUE_LEN_MAX,
    ValuePlace,
};
use crate::memory::Memory;
use crate::trap::Trap;

/// Bytes that one level of a trie counts for. A trie has a level for each bit of its longest prefix, and one.
pub const LEVEL_WORK: u32 = 4;
/// Bytes that one pane of a window counts for.
pub const PANE_WORK: u32 = 8;
/// Bytes that one member which a key can have counts for.
pub const MEMBER_WORK: u32 = 16;

/// The smallest error number that a map answers.
pub(super) const ERRNO_MIN: i64 = Refusal::Invalid.errno();

pub(super) const LOOKUP_WORK_MAX: u32 = KEY_LEN_MAX + levels_work(KEY_LEN_MAX);
pub(super) const UPDATE_WORK_MAX: u32 = LOOKUP_WORK_MAX + VALUE_LEN_MAX;
pub(super) const DELETE_WORK_MAX: u32 = LOOKUP_WORK_MAX;
pub(super) const WINDOW_ADD_WORK_MAX: u32 = KEY_LEN_MAX + PANES_MAX as u32 * PANE_WORK;
pub(super) const DISTINCT_ADD_WORK_MAX: u32 = KEY_LEN_MAX + MEMBER_LEN_MAX + MEMBERS_MAX as u32 * MEMBER_WORK;
pub(super) const SEEN_WORK_MAX: u32 = KEY_LEN_MAX;

const fn levels_work(key_len: u32) -> u32 {
    (key_len.saturating_sub(LPM_PREFIX_LEN) * 8 + 1) * LEVEL_WORK
}

pub(super) fn lookup_work(decl: &MapDecl) -> u32 {
    decl.key_len + if decl.kind == MapKind::LpmTrie { levels_work(decl.key_len) } else { 0 }
}

pub(super) fn update_work(decl: &MapDecl) -> u32 {
    lookup_work(decl) + decl.value_len
}

pub(super) fn delete_work(decl: &MapDecl) -> u32 {
    lookup_work(decl)
}

pub(super) fn window_add_work(decl: &MapDecl) -> u32 {
    let panes = if let MapKind::Window { panes, .. } = decl.kind { panes } else { 0 };
    decl.key_len + u32::from(panes) * PANE_WORK
}

pub(super) fn distinct_add_work(decl: &MapDecl) -> u32 {
    let members = if let MapKind::Distinct { members, .. } = decl.kind { members } else { 0 };
    decl.key_len + decl.value_len + u32::from(members) * MEMBER_WORK
}

pub(super) fn seen_work(decl: &MapDecl) -> u32 {
    decl.key_len
}

/// The declaration of the map in `r1`, if it is of the kinds that the helper takes.
#[inline]
pub(super) fn decl<'m>(memory: &'m Memory, args: &Arguments, takes: &[ArgType]) -> Result<&'m MapDecl, Trap> {
    let decl = memory.map_decl(args[0]).ok_or(Trap::HelperArgument)?;
    match takes.first() {
        Some(ArgType::Map(kinds)) if kinds.contains(decl.kind) => Ok(decl),
        _ => Err(Trap::HelperArgument),
    }
}

fn key_len(memory: &Memory, args: &Arguments) -> Result<u32, Trap> {
    memory.map_decl(args[0]).map(|decl| decl.key_len).ok_or(Trap::HelperArgument)
}

fn value_len(memory: &Memory, args: &Arguments) -> Result<u32, Trap> {
    memory.map_decl(args[0]).map(|decl| decl.value_len).ok_or(Trap::HelperArgument)
}

fn errno(result: Result<(), Refusal>) -> u64 {
    result.map_or_else(Refusal::errno, |()| 0).cast_unsigned()
}

pub(super) fn lookup(memory: &mut Memory, args: &Arguments) -> Result<u64, Trap> {
    let key_len = key_len(memory, args)?;
    let (key, maps) = memory.bytes_and_maps(args[1], key_len)?;
    Ok(maps.lookup(args[0], key)?.unwrap_or(0))
}

pub(super) fn update(memory: &mut Memory, args: &Arguments) -> Result<u64, Trap> {
    let (key, value) = ((args[1], key_len(memory, args)?), (args[2], value_len(memory, args)?));
    let (key, _, maps) = memory.two_and_maps(key, value)?;
    match maps.update(args[0], key, args[3])? {
        // The value is read after the key was taken in: both may lie in the map itself.
        Ok(ValuePlace { address, len }) => memory.copy(args[2], address, len).map(|()| 0),
        Err(refusal) => Ok(errno(Err(refusal))),
    }
}

pub(super) fn delete(memory: &mut Memory, args: &Arguments) -> Result<u64, Trap> {
    let key_len = key_len(memory, args)?;
    let (key, maps) = memory.bytes_and_maps(args[1], key_len)?;
    maps.delete(args[0], key).map(errno)
}

pub(super) fn window_add(memory: &mut Memory, args: &Arguments) -> Result<u64, Trap> {
    let key_len = key_len(memory, args)?;
    let (key, maps) = memory.bytes_and_maps(args[1], key_len)?;
    maps.window_add(args[0], key, args[2], args[3])
}

pub(super) fn distinct_add(memory: &mut Memory, args: &Arguments) -> Result<u64, Trap> {
    let (key, member) = ((args[1], key_len(memory, args)?), (args[2], value_len(memory, args)?));
    let (key, member, maps) = memory.two_and_maps(key, member)?;
    maps.distinct_add(args[0], key, member, args[3])
}

pub(super) fn seen(memory: &mut Memory, args: &Arguments) -> Result<u64, Trap> {
    let key_len = key_len(memory, args)?;
    let (key, maps) = memory.bytes_and_maps(args[1], key_len)?;
    maps.seen(args[0], key, args[2])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A declaration that says the most in everything that work depends on.
    fn largest(kind: MapKind, key_len: u32, value_len: u32) -> MapDecl {
        let decl = MapDecl { name: "m".to_owned(), kind, key_len, value_len, entries: 1, contents: Vec::new() };
        let decl = if kind == MapKind::Data { MapDecl { contents: vec![0; value_len as usize], ..decl } } else { decl };
        assert_eq!(decl.check(), Ok(()), "{kind:?}");
        decl
    }

    #[test]
    fn the_most_work_is_that_of_the_largest_map() {
        let (window, distinct) = (
            MapKind::Window { window_ns: u64::MAX, panes: PANES_MAX },
            MapKind::Distinct { window_ns: u64::MAX, members: MEMBERS_MAX },
        );
        let decls = [
            largest(MapKind::Array, 4, VALUE_LEN_MAX),
            largest(MapKind::Data, 4, VALUE_LEN_MAX),
            largest(MapKind::Hash, KEY_LEN_MAX, VALUE_LEN_MAX),
            largest(MapKind::LruHash, KEY_LEN_MAX, VALUE_LEN_MAX),
            largest(MapKind::LpmTrie, KEY_LEN_MAX, VALUE_LEN_MAX),
            largest(window, KEY_LEN_MAX, 0),
            largest(distinct, KEY_LEN_MAX, MEMBER_LEN_MAX),
            largest(MapKind::Seen { ttl_ns: 1 }, KEY_LEN_MAX, 0),
        ];
        type Work = fn(&MapDecl) -> u32;
        for (work, most) in [
            (lookup_work as Work, LOOKUP_WORK_MAX),
            (update_work, UPDATE_WORK_MAX),
            (delete_work, DELETE_WORK_MAX),
            (window_add_work, WINDOW_ADD_WORK_MAX),
            (distinct_add_work, DISTINCT_ADD_WORK_MAX),
            (seen_work, SEEN_WORK_MAX),
        ] {
            assert_eq!(decls.iter().map(work).max(), Some(most));
        }
        // One byte of the key, eight levels of the trie.
        let less = MapDecl { key_len: KEY_LEN_MAX - 1, ..decls[4].clone() };
        assert_eq!(LOOKUP_WORK_MAX - lookup_work(&less), 1 + 8 * LEVEL_WORK);
    }
}
