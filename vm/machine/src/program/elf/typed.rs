//! Maps that are declared by types, as `bpf_helpers.h` of libbpf has it.
//!
//! ```text
//! struct {                                      VAR counts -> STRUCT of pointers; its bytes in `.maps` are zeros
//!     __uint(type, BPF_MAP_TYPE_HASH);          PTR -> ARRAY of so many elements: a number
//!     __uint(max_entries, 1024);
//!     __type(key, u32);                         PTR -> the type itself, of which the size counts
//!     __type(value, struct counts);
//! } counts SEC(".maps");
//! ```
//!
//! Types lie in `.BTF` (the kernel's `Documentation/bpf/btf.rst`), so that such maps need `-g`. Each type is a name, a
//! kind and a number of parts, a size or another type, and parts. What is not understood is refused, never ignored:
//! a map that is pinned, or holds maps, would not do what its author expects.

use std::collections::HashMap;

use crate::map::MapDecl;
use crate::program::btf;

use super::input::File;
use super::number;

/// The most types that a type may be behind (`typedef`, `const`, …), as in libbpf.
pub(super) const DEPTH_MAX: usize = 32;

const INT: u32 = 1;
const PTR: u32 = 2;
const ARRAY: u32 = 3;
const STRUCT: u32 = 4;
const UNION: u32 = 5;
const ENUM: u32 = 6;
const FWD: u32 = 7;
const TYPEDEF: u32 = 8;
const VOLATILE: u32 = 9;
const CONST: u32 = 10;
const RESTRICT: u32 = 11;
const FUNC: u32 = 12;
const FUNC_PROTO: u32 = 13;
const VAR: u32 = 14;
const DATASEC: u32 = 15;
const FLOAT: u32 = 16;
const DECL_TAG: u32 = 17;
const TYPE_TAG: u32 = 18;
const ENUM64: u32 = 19;

/// Bytes of a type without its parts, of a member, and of a pointer of BPF.
const HEAD_LEN: usize = 12;
const MEMBER_LEN: usize = 12;
const POINTER_LEN: u64 = 8;
/// `BPF_F_NO_PREALLOC`: says how the kernel allocates, and nothing about what programs see.
const NO_PREALLOC: u32 = 1;

/// A type.
#[derive(Clone, Copy, Debug)]
struct Type<'d> {
    kind: u32,
    /// A size or a type, by kind.
    number: u32,
    parts: &'d [u8],
}

/// The types of a file.
#[derive(Debug, Default)]
pub(super) struct Types<'d> {
    strings: &'d [u8],
    /// By number, from 1.
    all: Vec<Type<'d>>,
    /// The types of variables, by name.
    variables: HashMap<&'d str, u32>,
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
}

impl<'d> Types<'d> {
    /// The types of a file, up to the first that is not one; none without debug information.
    pub(super) fn of(file: &File<'d>) -> Self {
        let data = file.section(".BTF").map_or(&[][..], |section| section.data);
        let (Ok(strings), Ok(mut rest)) = (btf::strings(data), btf::types(data)) else { return Self::default() };
        let mut types = Self { strings, ..Self::default() };
        while let Some((name, found, after)) = next(rest) {
            types.all.push(found);
            if found.kind == VAR
                && let Some(name) = btf::string(strings, name)
            {
                types.variables.entry(name).or_insert(found.number);
            }
            rest = after;
        }
        types
    }

    /// A type without what only qualifies it.
    fn plain(&self, mut id: u32) -> Option<Type<'d>> {
        for _ in 0..=DEPTH_MAX {
            let found = self.all.get((id as usize).checked_sub(1)?)?;
            match found.kind {
                TYPEDEF | VOLATILE | CONST | RESTRICT | TYPE_TAG => id = found.number,
                _ => return Some(*found),
            }
        }
        None
    }

    fn pointed(&self, id: u32) -> Option<u32> {
        self.plain(id).filter(|found| found.kind == PTR).map(|found| found.number)
    }

    /// The number that `__uint` puts into a type: elements of an array.
    fn uint(&self, id: u32) -> Option<u32> {
        let array = self.plain(self.pointed(id)?).filter(|found| found.kind == ARRAY)?;
        word(array.parts, 8)
    }

    fn size(&self, id: u32) -> Option<u64> {
        let (mut id, mut times) = (id, 1u64);
        for _ in 0..=DEPTH_MAX {
            let found = self.plain(id)?;
            match found.kind {
                INT | STRUCT | UNION | ENUM | FLOAT | ENUM64 => return times.checked_mul(found.number.into()),
                PTR => return times.checked_mul(POINTER_LEN),
                ARRAY => {
                    times = times.checked_mul(word(found.parts, 8)?.into())?;
                    id = word(found.parts, 0)?;
                }
                _ => return None,
            }
        }
        None
    }

    /// The map that a variable declares.
    pub(super) fn map(&self, name: &str) -> Result<MapDecl, String> {
        if self.all.is_empty() {
            return Err("the file has no types (`.BTF`): compile it with `-g`".to_owned());
        }
        let declared = self.variables.get(name).and_then(|id| self.plain(*id)).filter(|found| found.kind == STRUCT);
        let declared = declared.ok_or("`.BTF` has no structure for it")?;
        let (mut kind, mut entries, mut key_len, mut value_len) = (None, None, None, None);
        for member in declared.parts.chunks_exact(MEMBER_LEN) {
            let (Some(name), Some(id)) = (word(member, 0), word(member, 4)) else { continue };
            let name = btf::string(self.strings, name).unwrap_or("");
            let number = || self.uint(id).ok_or_else(|| format!("`{name}` is no number, as `__uint` makes it"));
            let size = || {
                let size = self.pointed(id).and_then(|id| self.size(id)).and_then(|size| u32::try_from(size).ok());
                size.ok_or_else(|| format!("`{name}` is no type with a size, as `__type` makes it"))
            };
            let (place, value) = match name {
                "type" => (&mut kind, number()?),
                "max_entries" => (&mut entries, number()?),
                "key_size" => (&mut key_len, number()?),
                "value_size" => (&mut value_len, number()?),
                "key" => (&mut key_len, size()?),
                "value" => (&mut value_len, size()?),
                "map_flags" if matches!(number()?, 0 | NO_PREALLOC) => continue,
                "map_flags" => {
                    return Err(format!("no flags but BPF_F_NO_PREALLOC are known, it has {:#x}", number()?));
                }
                "numa_node" => continue,
                "pinning" if number()? == 0 => continue,
                "pinning" => return Err("maps are not pinned: programs of one rule share theirs by name".to_owned()),
                "values" => return Err("maps of maps are not supported".to_owned()),
                _ => return Err(format!("`{name}` is not known")),
            };
            if place.replace(value).is_some_and(|before| before != value) {
                return Err(format!("`{name}` contradicts what was said before it"));
            }
        }
        let missing = |what: &str| format!("it has no `{what}`");
        let kind = kind.ok_or_else(|| missing("type"))?;
        let kind = number::linux_kind(kind).ok_or_else(|| {
            format!(
                "of Linux's types of maps there are BPF_MAP_TYPE_HASH (1), ARRAY (2), LRU_HASH (9) and LPM_TRIE (11), \
                 not {kind}"
            )
        })?;
        Ok(MapDecl {
            name: name.to_owned(),
            kind,
            key_len: key_len.ok_or_else(|| missing("key"))?,
            value_len: value_len.ok_or_else(|| missing("value"))?,
            entries: entries.ok_or_else(|| missing("max_entries"))?,
            contents: Vec::new(),
        })
    }
}

/// The type that bytes begin with: its name, itself, and what follows it.
fn next(bytes: &[u8]) -> Option<(u32, Type<'_>, &[u8])> {
    let (name, info, number) = (word(bytes, 0)?, word(bytes, 4)?, word(bytes, 8)?);
    let (kind, count) = (info >> 24 & 0x1f, (info & 0xffff) as usize);
    let parts = match kind {
        PTR | FWD | TYPEDEF | VOLATILE | CONST | RESTRICT | FUNC | FLOAT | TYPE_TAG => 0,
        INT | VAR | DECL_TAG => 4,
        ARRAY => 12,
        STRUCT | UNION | DATASEC | ENUM64 => count * MEMBER_LEN,
        ENUM | FUNC_PROTO => count * 8,
        _ => return None,
    };
    let (parts, rest) = bytes.get(HEAD_LEN..)?.split_at_checked(parts)?;
    Some((name, Type { kind, number, parts }, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Types of a map, as a compiler writes them.
    #[derive(Default)]
    struct Made {
        types: Vec<u8>,
        strings: Vec<u8>,
        count: u32,
    }

    impl Made {
        fn add(&mut self, name: &str, kind: u32, count: u32, number: u32, parts: &[u32]) -> u32 {
            let at = self.text(name);
            for word in [&[at, kind << 24 | count, number], parts].concat() {
                self.types.extend_from_slice(&word.to_le_bytes());
            }
            self.count += 1;
            self.count
        }

        fn text(&mut self, text: &str) -> u32 {
            let at = self.strings.len() as u32;
            self.strings.extend_from_slice(text.as_bytes());
            self.strings.push(0);
            at
        }

        fn uint(&mut self, number: u32) -> u32 {
            let int = self.add("int", INT, 0, 4, &[0]);
            let array = self.add("", ARRAY, 0, 0, &[int, int, number]);
            self.add("", PTR, 0, array, &[])
        }

        fn sized(&mut self, size: u32) -> u32 {
            let structure = self.add("s", STRUCT, 0, size, &[]);
            let name = self.add("alias", TYPEDEF, 0, structure, &[]);
            self.add("", PTR, 0, name, &[])
        }

        fn map(&mut self, members: &[(&str, u32)]) {
            let parts: Vec<u32> = members.iter().flat_map(|(name, id)| [self.text(name), *id, 0]).collect();
            let structure = self.add("", STRUCT, members.len() as u32, 8 * members.len() as u32, &parts);
            self.add("m", VAR, 0, structure, &[1]);
        }

        fn read(&self) -> Result<MapDecl, String> {
            let mut types = Types { strings: &self.strings, ..Types::default() };
            let mut rest = &self.types[..];
            while let Some((name, found, after)) = next(rest) {
                types.all.push(found);
                if found.kind == VAR {
                    types.variables.insert(btf::string(&self.strings, name).unwrap(), found.number);
                }
                rest = after;
            }
            assert_eq!(types.all.len(), self.count as usize);
            types.map("m")
        }
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        let with = |more: &[(&str, u32)], without: &str| {
            let mut made = Made::default();
            let mut members: Vec<(&str, u32)> = Vec::new();
            for (name, number) in [("type", 1), ("max_entries", 9)].iter().chain(more) {
                members.push((name, made.uint(*number)));
            }
            members.push(("key", made.sized(6)));
            members.push(("value", made.sized(40)));
            members.retain(|(name, _)| *name != without);
            made.map(&members);
            made.read()
        };
        let good = with(&[], "").unwrap();
        assert_eq!((good.kind, good.key_len, good.value_len, good.entries), (crate::map::MapKind::Hash, 6, 40, 9));
        assert_eq!(with(&[("map_flags", 1), ("key_size", 6), ("pinning", 0), ("numa_node", 0)], ""), Ok(good));
        for (more, without, what) in [
            (&[("map_flags", 2)][..], "", "no flags but BPF_F_NO_PREALLOC are known, it has 0x2"),
            (&[("pinning", 1)], "", "maps are not pinned: programs of one rule share theirs by name"),
            (&[("values", 1)], "", "maps of maps are not supported"),
            (&[("map_extra", 1)], "", "`map_extra` is not known"),
            (&[("key_size", 5)], "", "`key` contradicts what was said before it"),
            (&[("key", 5)], "key", "it has no `key`"),
            (&[], "type", "it has no `type`"),
            (&[], "max_entries", "it has no `max_entries`"),
            (&[], "value", "it has no `value`"),
        ] {
            assert_eq!(with(more, without).unwrap_err(), what);
        }
        assert_eq!(Types::default().map("m").unwrap_err(), "the file has no types (`.BTF`): compile it with `-g`");
        let mut other = Made::default();
        let percpu = [("type", other.uint(5))];
        other.map(&percpu);
        assert!(other.read().unwrap_err().ends_with("not 5"));
        let mut other = Made::default();
        let not = [("type", other.sized(4))];
        other.map(&not);
        assert_eq!(other.read().unwrap_err(), "`type` is no number, as `__uint` makes it");
    }

    #[test]
    fn types_behind_types_at_and_over_their_number() {
        for (depth, good) in [(DEPTH_MAX - 1, true), (DEPTH_MAX, true), (DEPTH_MAX + 1, false)] {
            for arrays in [false, true] {
                let mut made = Made::default();
                let mut id = made.add("int", INT, 0, 4, &[0]);
                for _ in 0..depth {
                    id = if arrays { made.add("", ARRAY, 0, 0, &[id, 1, 2]) } else { made.add("t", CONST, 0, id, &[]) };
                }
                let numbers = [("type", made.uint(1)), ("max_entries", made.uint(1)), ("key_size", made.uint(4))];
                let value = made.add("", PTR, 0, id, &[]);
                made.map(&[&numbers[..], &[("value", value)]].concat());
                // Arrays of arrays are larger than any number of ours before they are too deep.
                let expected =
                    good && !(arrays && 4u64.checked_shl(depth as u32).is_none_or(|size| size > u64::from(u32::MAX)));
                assert_eq!(made.read().is_ok(), expected, "{depth} {arrays}");
            }
        }
    }

    #[test]
    fn a_type_of_itself_ends() {
        let mut made = Made::default();
        let own = made.add("t", TYPEDEF, 0, 1, &[]);
        let array = made.add("", ARRAY, 0, 0, &[2, 2, 1]);
        for id in [own, array] {
            let pointer = made.add("", PTR, 0, id, &[]);
            let mut made = Made { types: made.types.clone(), strings: made.strings.clone(), count: made.count };
            made.map(&[("key", pointer)]);
            assert_eq!(made.read().unwrap_err(), "`key` is no type with a size, as `__type` makes it");
        }
    }
}
