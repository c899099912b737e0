//! Where the maps of a domain's programs lie.
//!
//! A map is known by its rule, its name and its layout. So the programs of one rule share its maps, whatever family of
//! events each is for; a rule that is loaded again unchanged finds what it had stored; and one whose map has another
//! layout gets a fresh one, while programs of an older generation keep theirs. What was placed once stays where it is
//! for the life of the domain.

use std::collections::{HashMap, HashSet};

use trapline_vm::map::{MapDecl, MapError, NoRoomForMap, PROGRAM_MAPS_MAX, PlacedMap, Placement};

/// Bytes of state of all programs of a domain, unless the embedder says otherwise.
pub const STATE_BYTES_MAX_DEFAULT: u64 = 256 << 20;

/// Why there is no state for a program.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// There can be no such map.
    #[error("map `{map}`: {error}")]
    Map {
        /// Its name.
        map: String,
        /// Why.
        error: MapError,
    },
    /// Two maps of one program have one name.
    #[error("there are two maps of the name `{0}`")]
    Twice(String),
    /// The program has too many.
    #[error("the rule has {0} maps, at most {PROGRAM_MAPS_MAX} are allowed")]
    TooMany(usize),
    /// The address space is used up.
    #[error(transparent)]
    NoRoom(#[from] NoRoomForMap),
    /// The domain's limit is reached.
    #[error("no room for map `{map}`: it takes {needed} bytes, {left} of {max} are left to all rules together")]
    Limit {
        /// The map.
        map: String,
        /// Bytes it takes.
        needed: u64,
        /// Bytes that are left.
        left: u64,
        /// Bytes that all may take.
        max: u64,
    },
}

/// Rule and name.
type Name = (String, String);
/// Rule and name, layout.
type Key = (Name, [u8; 32]);

/// The maps of a domain.
#[derive(Debug)]
pub(crate) struct StateTable {
    placement: Placement,
    maps: HashMap<Key, PlacedMap>,
    names: HashSet<Name>,
    bytes: u64,
    bytes_max: u64,
    changed: u64,
}

/// Maps of one program, the new ones not taken in yet.
#[derive(Debug)]
pub(crate) struct Planned {
    pub(crate) maps: Vec<PlacedMap>,
    new: Vec<(Key, PlacedMap)>,
    placement: Placement,
    bytes: u64,
}

impl StateTable {
    pub(crate) fn new(bytes_max: u64) -> Self {
        Self {
            placement: Placement::default(),
            maps: HashMap::new(),
            names: HashSet::new(),
            bytes: 0,
            bytes_max,
            changed: 0,
        }
    }

    pub(crate) fn set_bytes_max(&mut self, bytes_max: u64) {
        self.bytes_max = bytes_max;
    }

    /// Finds or makes a place for each map of a rule. Nothing is taken until [`StateTable::commit`].
    pub(crate) fn plan(&self, rule: &str, decls: &[MapDecl]) -> Result<Planned, StateError> {
        if decls.len() > PROGRAM_MAPS_MAX {
            return Err(StateError::TooMany(decls.len()));
        }
        let mut planned = Planned {
            maps: Vec::with_capacity(decls.len()),
            new: Vec::new(),
            placement: self.placement.clone(),
            bytes: self.bytes,
        };
        for decl in decls {
            let map = || decl.name.clone();
            decl.check().map_err(|error| StateError::Map { map: map(), error })?;
            if planned.maps.iter().any(|other| other.decl.name == decl.name) {
                return Err(StateError::Twice(map()));
            }
            let key = ((rule.to_owned(), map()), decl.layout_digest());
            if let Some(known) = self.maps.get(&key) {
                planned.maps.push(known.clone());
                continue;
            }
            let needed = decl.state_bytes();
            let left = self.bytes_max.saturating_sub(planned.bytes);
            if needed > left {
                return Err(StateError::Limit { map: map(), needed, left, max: self.bytes_max });
            }
            planned.bytes += needed;
            let placed = planned.placement.place_for(rule, decl.clone())?;
            planned.maps.push(placed.clone());
            planned.new.push((key, placed));
        }
        Ok(planned)
    }

    /// Takes in what was planned last.
    pub(crate) fn commit(&mut self, planned: Planned) -> Vec<PlacedMap> {
        for (key, placed) in planned.new {
            self.changed += u64::from(!self.names.insert(key.0.clone()));
            self.maps.insert(key, placed);
        }
        (self.placement, self.bytes) = (planned.placement, planned.bytes);
        planned.maps
    }

    /// Bytes that all maps take.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// How often a map came with another layout than before, and began anew.
    pub(crate) fn changed(&self) -> u64 {
        self.changed
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.maps.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use trapline_vm::map::{MapKind, VALUE_LEN_MAX};

    fn decl(name: &str, value_len: u32) -> MapDecl {
        let (kind, contents) = (MapKind::Array, Vec::new());
        MapDecl { name: name.to_owned(), kind, key_len: 4, value_len, entries: 1, contents }
    }

    fn place(table: &mut StateTable, rule: &str, decls: &[MapDecl]) -> Result<Vec<PlacedMap>, StateError> {
        let planned = table.plan(rule, decls)?;
        Ok(table.commit(planned))
    }

    #[test]
    fn a_map_is_known_by_rule_name_and_layout() {
        let mut table = StateTable::new(STATE_BYTES_MAX_DEFAULT);
        let first = place(&mut table, "r", &[decl("a", 8), decl("b", 8)]).unwrap();
        assert_ne!(first[0].id, first[1].id);
        assert_eq!(place(&mut table, "r", &[decl("b", 8)]).unwrap()[0], first[1]);
        assert_eq!((table.len(), table.changed()), (2, 0));
        let changed = place(&mut table, "r", &[decl("a", 16)]).unwrap();
        assert!(changed[0].id != first[0].id && changed[0].base != first[0].base);
        assert_eq!((table.len(), table.changed()), (3, 1));
        let other = place(&mut table, "other", &[decl("a", 8)]).unwrap();
        assert!(other[0].id != first[0].id && other[0].owner == "other");
        assert_eq!((table.len(), table.changed()), (4, 1));
        assert_eq!(place(&mut table, "r", &[decl("a", 8)]).unwrap()[0], first[0], "the old layout again");
        assert_eq!(table.bytes(), 8 + 8 + 16 + 8);
    }

    #[test]
    fn a_plan_that_fails_or_is_dropped_takes_nothing() {
        let mut table = StateTable::new(100);
        place(&mut table, "r", &[decl("a", 8)]).unwrap();
        table.plan("r", &[decl("x", 8)]).unwrap();
        assert_eq!(
            place(&mut table, "r", &[decl("x", 48), decl("y", 48)]),
            Err(StateError::Limit { map: "y".to_owned(), needed: 48, left: 44, max: 100 })
        );
        assert_eq!(place(&mut table, "r", &[decl("x", 8), decl("x", 16)]), Err(StateError::Twice("x".to_owned())));
        assert!(matches!(place(&mut table, "r", &[decl("x", 0)]), Err(StateError::Map { .. })));
        assert_eq!((table.len(), table.bytes()), (1, 8));
        let id = |placed: Vec<PlacedMap>| placed[0].id.0;
        assert_eq!(id(place(&mut table, "r", &[decl("z", 8)]).unwrap()), 1, "numbers are not lost either");
    }

    #[test]
    fn limits_at_their_edges() {
        let (a, b) = (decl("a", VALUE_LEN_MAX), decl("b", VALUE_LEN_MAX));
        let two = u64::from(VALUE_LEN_MAX) * 2;
        for (max, good) in [(two - 1, false), (two, true), (two + 1, true)] {
            assert_eq!(StateTable::new(max).plan("r", &[a.clone(), b.clone()]).is_ok(), good, "{max}");
        }
        for (count, good) in [(PROGRAM_MAPS_MAX - 1, true), (PROGRAM_MAPS_MAX, true), (PROGRAM_MAPS_MAX + 1, false)] {
            let decls: Vec<_> = (0..count).map(|number| decl(&format!("m{number}"), 8)).collect();
            assert_eq!(StateTable::new(1 << 20).plan("r", &decls).is_ok(), good, "{count}");
        }
    }
}
