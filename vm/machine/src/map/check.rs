//! What a declaration must be, what it is known by, and what it takes.

use sha2::{Digest, Sha256};

use super::runtime::Store;
use super::{
    ENTRIES_MAX, KEY_LEN_MAX, LPM_PREFIX_LEN, MAP_BYTES_MAX, MAP_NAME_LEN_MAX, MEMBER_LEN_MAX, MEMBERS_MAX, MapDecl,
    MapKind, PANES_MAX, VALUE_LEN_MAX,
};

/// Why there can be no such map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MapError {
    /// The name cannot be shown, or is too long.
    #[error("its name must have 1 to {MAP_NAME_LEN_MAX} characters of ASCII, and no spaces")]
    Name,
    /// A number is too small or too large.
    #[error("its {what} is {is}, must be {min} to {max}")]
    Number {
        /// Which.
        what: &'static str,
        /// What it is.
        is: u64,
        /// The least.
        min: u64,
        /// The most.
        max: u64,
    },
    /// The contents do not fit.
    #[error("it has contents of {is} bytes, where there must be {must}")]
    Contents {
        /// How many there are.
        is: usize,
        /// How many there must be, and whether there may be none.
        must: u64,
    },
    /// All of it is too large.
    #[error("it takes {bytes} bytes, at most {MAP_BYTES_MAX} are allowed")]
    TooLarge {
        /// Bytes of values, keys and bookkeeping.
        bytes: u64,
    },
}

fn within(what: &'static str, is: u64, min: u64, max: u64) -> Result<(), MapError> {
    if (min..=max).contains(&is) { Ok(()) } else { Err(MapError::Number { what, is, min, max }) }
}

impl MapDecl {
    /// Whether there can be such a map.
    pub fn check(&self) -> Result<(), MapError> {
        let Self { name, kind, key_len, value_len, entries, contents } = self;
        if !(1..=MAP_NAME_LEN_MAX).contains(&name.len()) || !name.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(MapError::Name);
        }
        let (key_min, key_max): (u32, u32) = match kind {
            MapKind::Array | MapKind::Data => (4, 4),
            MapKind::LpmTrie => (LPM_PREFIX_LEN + 1, KEY_LEN_MAX),
            _ => (1, KEY_LEN_MAX),
        };
        within("key length", (*key_len).into(), key_min.into(), key_max.into())?;
        let (value_min, value_max): (u32, u32) = match kind {
            MapKind::Window { .. } | MapKind::Seen { .. } => (0, 0),
            MapKind::Distinct { .. } => (1, MEMBER_LEN_MAX),
            _ => (1, VALUE_LEN_MAX),
        };
        within("value length", (*value_len).into(), value_min.into(), value_max.into())?;
        let entries_max = if *kind == MapKind::Data { 1 } else { ENTRIES_MAX };
        within("number of entries", (*entries).into(), 1, entries_max.into())?;
        match *kind {
            MapKind::Window { window_ns, panes } => {
                within("number of panes", panes.into(), 1, PANES_MAX.into())?;
                // No pane is shorter than the clock's step.
                within("window", window_ns, panes.into(), u64::MAX)?;
            }
            MapKind::Distinct { window_ns, members } => {
                within("number of members", members.into(), 1, MEMBERS_MAX.into())?;
                within("window", window_ns, 1, u64::MAX)?;
            }
            MapKind::Seen { ttl_ns } => within("time to live", ttl_ns, 1, u64::MAX)?,
            _ => {}
        }
        let (must, may_be_none) = match kind {
            MapKind::Data => ((*value_len).into(), false),
            MapKind::Array => (u64::from(*value_len) * u64::from(*entries), true),
            _ => (0, true),
        };
        if contents.len() as u64 != must && !(contents.is_empty() && may_be_none) {
            return Err(MapError::Contents { is: contents.len(), must });
        }
        let bytes = self.state_bytes();
        if bytes > MAP_BYTES_MAX { Err(MapError::TooLarge { bytes }) } else { Ok(()) }
    }

    /// Bytes of values, keys and bookkeeping, all of which are there from the start.
    pub const fn state_bytes(&self) -> u64 {
        self.values_len() + Store::bytes(self)
    }

    /// SHA-256 of all that decides what its state looks like: everything but the name. State is kept where it is the
    /// same.
    pub fn layout_digest(&self) -> [u8; 32] {
        let Self { name: _, kind, key_len, value_len, entries, contents } = self;
        let (tag, of_kind) = match *kind {
            MapKind::Array => (0u64, [0; 2]),
            MapKind::Data => (1, [0; 2]),
            MapKind::Hash => (2, [0; 2]),
            MapKind::LruHash => (3, [0; 2]),
            MapKind::Window { window_ns, panes } => (4, [window_ns, panes.into()]),
            MapKind::Distinct { window_ns, members } => (5, [window_ns, members.into()]),
            MapKind::Seen { ttl_ns } => (6, [ttl_ns, 0]),
            MapKind::LpmTrie => (7, [0; 2]),
        };
        let mut hasher = Sha256::new();
        for number in [tag, of_kind[0], of_kind[1], (*key_len).into(), (*value_len).into(), (*entries).into()] {
            hasher.update(number.to_le_bytes());
        }
        hasher.update(contents);
        hasher.finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decl(kind: MapKind) -> MapDecl {
        let value_len = if kind.has_values() || matches!(kind, MapKind::Distinct { .. }) { 8 } else { 0 };
        let contents = if kind == MapKind::Data { vec![1; 8] } else { Vec::new() };
        MapDecl { name: "m".to_owned(), kind, key_len: 4, value_len, entries: 1, contents }
    }

    const WINDOW: MapKind = MapKind::Window { window_ns: 100, panes: 4 };
    const DISTINCT: MapKind = MapKind::Distinct { window_ns: 100, members: 4 };
    const SEEN: MapKind = MapKind::Seen { ttl_ns: 100 };

    /// Each number at its edges.
    #[test]
    fn limits_at_their_edges() {
        let check = |kind, change: &dyn Fn(&mut MapDecl)| {
            let mut decl = decl(kind);
            change(&mut decl);
            decl.check()
        };
        for kind in [MapKind::Hash, MapKind::LruHash, WINDOW, DISTINCT, SEEN] {
            for (key_len, good) in [(0, false), (1, true), (255, true), (256, true), (257, false)] {
                assert_eq!(check(kind, &|decl| decl.key_len = key_len).is_ok(), good, "{kind:?} {key_len}");
            }
        }
        for kind in [MapKind::Array, MapKind::Data] {
            for (key_len, good) in [(3, false), (4, true), (5, false)] {
                assert_eq!(check(kind, &|decl| decl.key_len = key_len).is_ok(), good, "{kind:?} {key_len}");
            }
        }
        for (key_len, good) in [(4, false), (5, true), (6, true), (255, true), (256, true), (257, false)] {
            assert_eq!(check(MapKind::LpmTrie, &|decl| decl.key_len = key_len).is_ok(), good, "{key_len}");
        }
        for kind in [MapKind::Array, MapKind::Hash, MapKind::LruHash] {
            let max = VALUE_LEN_MAX;
            for (value_len, good) in [(0, false), (1, true), (max - 1, true), (max, true), (max + 1, false)] {
                assert_eq!(check(kind, &|decl| decl.value_len = value_len).is_ok(), good, "{kind:?} {value_len}");
            }
        }
        for (value_len, good) in [(0, false), (1, true), (255, true), (256, true), (257, false)] {
            assert_eq!(check(DISTINCT, &|decl| decl.value_len = value_len).is_ok(), good, "{value_len}");
        }
        for kind in [WINDOW, SEEN] {
            assert!(check(kind, &|decl| decl.value_len = 1).is_err());
        }
        for (entries, good) in
            [(0, false), (1, true), (ENTRIES_MAX - 1, true), (ENTRIES_MAX, true), (ENTRIES_MAX + 1, false)]
        {
            assert_eq!(check(MapKind::Array, &|decl| decl.entries = entries).is_ok(), good, "{entries}");
        }
        for (entries, good) in [(0, false), (1, true), (2, false)] {
            assert_eq!(check(MapKind::Data, &|decl| decl.entries = entries).is_ok(), good, "{entries}");
        }
        let window = |window_ns, panes| check(MapKind::Window { window_ns, panes }, &|_| {}).is_ok();
        for (panes, good) in [(0, false), (1, true), (63, true), (64, true), (65, false)] {
            assert_eq!(window(100, panes), good, "{panes}");
        }
        assert_eq!(
            [window(0, 1), window(1, 1), window(3, 4), window(4, 4), window(u64::MAX, 64)],
            [false, true, false, true, true]
        );
        let distinct = |window_ns, members| check(MapKind::Distinct { window_ns, members }, &|_| {}).is_ok();
        for (members, good) in [(0, false), (1, true), (4095, true), (4096, true), (4097, false)] {
            assert_eq!(distinct(1, members), good, "{members}");
        }
        assert!(!distinct(0, 1) && distinct(u64::MAX, 1));
        assert!(check(MapKind::Seen { ttl_ns: 0 }, &|_| {}).is_err());
        for (len, good) in [(0, false), (1, true), (127, true), (128, true), (129, false)] {
            assert_eq!(check(MapKind::Hash, &|decl| decl.name = "x".repeat(len)).is_ok(), good, "{len}");
        }
        for name in ["a b", "a\u{1b}[0m", "ä", "a\n"] {
            assert_eq!(check(MapKind::Hash, &|decl| decl.name = name.to_owned()), Err(MapError::Name));
        }
        assert!(check(MapKind::Hash, &|decl| decl.name = ".rodata.str1.1".to_owned()).is_ok());
    }

    #[test]
    fn contents_are_all_or_none() {
        let check =
            |kind, entries, len: usize| MapDecl { entries, contents: vec![0; len], ..decl(kind) }.check().is_ok();
        assert_eq!([7, 8, 9].map(|len| check(MapKind::Data, 1, len)), [false, true, false]);
        assert!(!check(MapKind::Data, 1, 0));
        assert_eq!([0, 1, 23, 24, 25].map(|len| check(MapKind::Array, 3, len)), [true, false, false, true, false]);
        assert_eq!([0, 1].map(|len| check(MapKind::Hash, 1, len)), [true, false]);
    }

    #[test]
    fn all_of_a_map_has_a_limit() {
        let largest = |value_len: u32| {
            let entries = (MAP_BYTES_MAX / u64::from(value_len)) as u32;
            move |by: i64| MapDecl {
                entries: entries.checked_add_signed(by as i32).unwrap(),
                value_len,
                ..decl(MapKind::Array)
            }
        };
        for value_len in [64, 1024, 32768] {
            let with = largest(value_len);
            assert_eq!(with(0).state_bytes(), MAP_BYTES_MAX);
            assert_eq!([-1, 0, 1].map(|by| with(by).check().is_ok()), [true, true, false], "{value_len}");
        }
        let huge = MapDecl {
            key_len: u32::MAX,
            value_len: u32::MAX,
            entries: u32::MAX,
            ..decl(MapKind::Distinct { window_ns: 1, members: u16::MAX })
        };
        assert!(huge.check().is_err());
    }

    #[test]
    fn layouts_differ_where_state_would() {
        let kinds = [
            MapKind::Array,
            MapKind::Hash,
            MapKind::LruHash,
            MapKind::LpmTrie,
            WINDOW,
            MapKind::Window { window_ns: 101, panes: 4 },
            MapKind::Window { window_ns: 100, panes: 5 },
            DISTINCT,
            MapKind::Distinct { window_ns: 101, members: 4 },
            MapKind::Distinct { window_ns: 100, members: 5 },
            SEEN,
            MapKind::Seen { ttl_ns: 101 },
        ];
        let mut decls = kinds.map(decl).to_vec();
        let array = decl(MapKind::Array);
        decls.push(MapDecl { key_len: 5, ..array.clone() });
        decls.push(MapDecl { value_len: 5, ..array.clone() });
        decls.push(MapDecl { entries: 5, ..array.clone() });
        decls.push(MapDecl { contents: vec![0; 8], ..array.clone() });
        decls.push(MapDecl { contents: vec![1; 8], ..array.clone() });
        decls.push(decl(MapKind::Data));
        let digests: std::collections::BTreeSet<_> = decls.iter().map(MapDecl::layout_digest).collect();
        assert_eq!(digests.len(), decls.len());
        assert_eq!(MapDecl { name: "other".to_owned(), ..array.clone() }.layout_digest(), array.layout_digest());
    }
}
