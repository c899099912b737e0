//! Helpers that work on maps: they find the map and the bytes that the arguments name; what they mean is in
//! [`crate::map`].

use super::Arguments;
use crate::map::{
    KEY_LEN_MAX, LPM_PREFIX_LEN, MEMBER_LEN_MAX, MEMBERS_MAX, MapDecl, MapKind, PANES_MAX, VALUE_LEN_MAX,
};
use crate::memory::Memory;
use crate::trap::Trap;

/// Bytes that one level of a trie counts for. A trie has a level for each bit of its longest prefix, and one.
pub const LEVEL_WORK: u32 = 4;
/// Bytes that one pane of a window counts for.
pub const PANE_WORK: u32 = 8;
/// Bytes that one member which a key can have counts for.
pub const MEMBER_WORK: u32 = 16;

/// The operation makes no sense for the map or its flags.
pub(super) const EINVAL: i64 = -22;

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

/// The declaration of the map in `r1`. No memory has maps yet.
pub(super) fn decl<'m>(_: &'m Memory, _: &Arguments) -> Result<&'m MapDecl, Trap> {
    Err(Trap::HelperArgument)
}

pub(super) fn lookup(_: &mut Memory, _: &Arguments) -> Result<u64, Trap> {
    Err(Trap::HelperArgument)
}

pub(super) fn update(_: &mut Memory, _: &Arguments) -> Result<u64, Trap> {
    Err(Trap::HelperArgument)
}

pub(super) fn delete(_: &mut Memory, _: &Arguments) -> Result<u64, Trap> {
    Err(Trap::HelperArgument)
}

pub(super) fn window_add(_: &mut Memory, _: &Arguments) -> Result<u64, Trap> {
    Err(Trap::HelperArgument)
}

pub(super) fn distinct_add(_: &mut Memory, _: &Arguments) -> Result<u64, Trap> {
    Err(Trap::HelperArgument)
}

pub(super) fn seen(_: &mut Memory, _: &Arguments) -> Result<u64, Trap> {
    Err(Trap::HelperArgument)
}
