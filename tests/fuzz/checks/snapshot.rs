//! Any bytes as a snapshot of maps, with the right checksum, so that the reader gets to see them: an answer; nothing
//! changes where it is refused, and where it is taken, the state can be saved again and used.

use sha2::{Digest, Sha256};
use trapline_vm::helper::{RAW_HELPERS, RULE_HELPERS};
use trapline_vm::map::{HashKey, MapDecl, MapKind, PlacedMap, Placement, Snapshot};
use trapline_vm::memory::{Capacities, Memory, Region};

const CHECKSUM_LEN: usize = 32;

pub(crate) fn check(data: &[u8]) {
    let Some((how, data)) = data.split_first() else { return };
    let mut bytes = data.to_vec();
    if how & 1 == 0 {
        bytes.extend(Sha256::digest(data));
    }
    let snapshot = match Snapshot::parse(bytes) {
        Ok(snapshot) => snapshot,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    let mut memory = memory();
    use_maps(&mut memory, 3);
    let before = memory.snapshot();
    if let Err(error) = memory.restore(&snapshot) {
        assert!(!error.to_string().is_empty());
        assert_eq!(memory.snapshot().as_bytes(), before.as_bytes(), "a refused snapshot changed something");
    }
    let saved = memory.snapshot();
    let again = Snapshot::parse(saved.as_bytes().to_vec()).expect("a snapshot of ours");
    memory.restore(&again).expect("a snapshot of these maps");
    assert_eq!(memory.snapshot().as_bytes(), saved.as_bytes(), "what is restored is what was saved");
    use_maps(&mut memory, 40);
    assert!(Snapshot::parse(memory.snapshot().as_bytes().to_vec()).is_ok());
}

/// A snapshot of maps in use, without its checksum, for the fuzzer to begin with.
#[allow(dead_code, reason = "for the tests, which write the fuzzer's first inputs")]
pub(crate) fn sample() -> Vec<u8> {
    let mut memory = memory();
    use_maps(&mut memory, 20);
    let bytes = memory.snapshot().as_bytes().to_vec();
    [&[0], &bytes[..bytes.len() - CHECKSUM_LEN]].concat()
}

/// Updates, look-ups and deletes of some keys, in every map that takes them.
fn use_maps(memory: &mut Memory, keys: u64) {
    let stack = u64::from(Region::Stack.base());
    let numbers: Vec<u64> = memory.maps().map(|map| u64::from(map.id.0)).collect();
    for key in 0..keys {
        let bytes = (key * 7 % 11).to_le_bytes();
        memory.contents_mut(Region::Stack)[..8].copy_from_slice(&bytes);
        for number in &numbers {
            for helper in RAW_HELPERS.iter().chain(RULE_HELPERS.iter()) {
                let maps = helper.args.first().is_some_and(|first| format!("{first:?}").starts_with("Map"));
                if maps && (key % 5 == 0 || helper.name != "map_delete_elem") {
                    // Times in the fourth or third place, amounts small; whatever does not fit is a trap.
                    for time in [key * 10, stack] {
                        let _answer = helper.call(memory, &[*number, stack, time.min(stack), key * 10, 1]);
                    }
                }
            }
        }
    }
}

fn maps() -> Vec<PlacedMap> {
    let mut placement = Placement::default();
    let mut place = |name: &str, kind, key_len, value_len| {
        let decl = MapDecl { name: name.to_owned(), kind, key_len, value_len, entries: 3, contents: Vec::new() };
        placement.place(decl).expect("small maps")
    };
    vec![
        place("array", MapKind::Array, 4, 8),
        place("hash", MapKind::Hash, 8, 8),
        place("lru", MapKind::LruHash, 4, 16),
        place("window", MapKind::Window { window_ns: 60, panes: 4 }, 4, 0),
        place("distinct", MapKind::Distinct { window_ns: 60, members: 3 }, 4, 4),
        place("seen", MapKind::Seen { ttl_ns: 50 }, 8, 0),
        place("trie", MapKind::LpmTrie, 8, 8),
    ]
}

fn memory() -> Memory {
    let capacities = Capacities { map_values: 1 << 20, ..Capacities::default() };
    let mut memory = Memory::new(&capacities).expect("small regions");
    memory.set_hash_key(HashKey(1, 2)).expect("no maps yet");
    memory.add_maps(&maps()).expect("maps fit");
    memory
}
