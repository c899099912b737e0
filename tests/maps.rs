//! Maps against a naive model: every kind, called as programs call it, through random operations on few keys so that
//! maps are full most of the time, with times that go back and jump, and with hashing keys and snapshots that must not
//! be noticed.

#[path = "naive/maps.rs"]
mod naive;

use naive::NaiveMap;
use trapline_vm::helper::RAW_HELPERS;
use trapline_vm::map::{HashKey, MapDecl, MapKind, PlacedMap, Placement, Snapshot};
use trapline_vm::memory::{Capacities, Memory, Region};
use trapline_vm::trap::Trap;

const LOOKUP: u32 = 1;
const UPDATE: u32 = 2;
const DELETE: u32 = 3;
const WINDOW_ADD: u32 = 1032;
const DISTINCT_ADD: u32 = 1033;
const SEEN: u32 = 1034;

/// SplitMix64.
struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize]
    }
}

fn decl(name: &str, kind: MapKind, key_len: u32, value_len: u32, entries: u32) -> MapDecl {
    MapDecl { name: name.to_owned(), kind, key_len, value_len, entries, contents: Vec::new() }
}

/// Small maps of all kinds.
fn decls() -> Vec<MapDecl> {
    let window = |window_ns, panes| MapKind::Window { window_ns, panes };
    let distinct = |window_ns, members| MapKind::Distinct { window_ns, members };
    let mut decls = vec![
        decl("array", MapKind::Array, 4, 12, 5),
        decl("hash", MapKind::Hash, 3, 5, 6),
        decl("hash1", MapKind::Hash, 1, 1, 1),
        decl("lru", MapKind::LruHash, 8, 8, 5),
        decl("lru1", MapKind::LruHash, 1, 3, 1),
        decl("window", window(100, 4), 2, 0, 5),
        decl("window1", window(100, 1), 1, 0, 3),
        decl("uneven", window(101, 8), 16, 0, 4),
        decl("distinct", distinct(100, 3), 4, 2, 4),
        decl("distinct1", distinct(1, 1), 1, 1, 1),
        decl("many", distinct(100_000, 9), 1, 9, 2),
        decl("seen", MapKind::Seen { ttl_ns: 100 }, 5, 0, 6),
        decl("lpm", MapKind::LpmTrie, 6, 7, 6),
        decl("lpm4", MapKind::LpmTrie, 8, 8, 40),
    ];
    decls[0].contents = (0..60).collect();
    decls.push(MapDecl { contents: vec![7; 9], ..decl("data", MapKind::Data, 4, 9, 1) });
    decls
}

fn place(decls: &[MapDecl]) -> Vec<PlacedMap> {
    let mut placement = Placement::default();
    decls.iter().map(|decl| placement.place_for("test", decl.clone()).unwrap()).collect()
}

fn memory(maps: &[PlacedMap], key: u64) -> Memory {
    let mut memory = Memory::new(&Capacities { buffer: 4096, ..Capacities::default() }).unwrap();
    memory.set_len(Region::Buffer, 4096).unwrap();
    memory.set_hash_key(HashKey(key, !key)).unwrap();
    memory.add_maps(maps).unwrap();
    memory
}

/// The buffer holds a key at 0 and a value or member at 1024.
fn call(memory: &mut Memory, helper: u32, args: [u64; 5]) -> Result<u64, Trap> {
    let helper = RAW_HELPERS.get(helper).unwrap();
    helper.fuel(memory, &args)?;
    helper.call(memory, &args)
}

fn put(memory: &mut Memory, key: &[u8], value: &[u8]) {
    let buffer = memory.contents_mut(Region::Buffer);
    buffer[..key.len()].copy_from_slice(key);
    buffer[1024..1024 + value.len()].copy_from_slice(value);
}

const KEY: u64 = Region::Buffer.base() as u64;
const VALUE: u64 = KEY + 1024;

/// A value as a program reads it.
fn value_at(memory: &Memory, address: u64, len: u32) -> Vec<u8> {
    memory.bytes()[address as usize..address as usize + len as usize].to_vec()
}

/// One operation: what it is asked, by number.
struct Operation {
    helper: u32,
    key: Vec<u8>,
    value: Vec<u8>,
    a: u64,
    b: u64,
}

fn operation(rng: &mut Rng, decl: &MapDecl, now: &mut u64) -> Operation {
    let mut key = vec![0; decl.key_len as usize];
    let spread = u64::from(decl.entries) + 3;
    match decl.kind {
        MapKind::Array | MapKind::Data => key = (rng.below(spread) as u32).to_le_bytes().to_vec(),
        MapKind::LpmTrie => {
            let longest = u64::from(decl.key_len - 4) * 8;
            let bits = rng.pick(&[0, 0, 0, 1, 7, 8, 9, 15, 16, longest, longest + 1, u64::from(u32::MAX)]);
            let bits = if bits == 0 { rng.below(longest + 1) } else { bits };
            key[..4].copy_from_slice(&(bits as u32).to_le_bytes());
            for byte in &mut key[4..] {
                *byte = rng.pick(&[0, 0, 0x80, 0x81, 0xff]);
            }
        }
        _ => {
            let at = rng.below(decl.key_len.into()) as usize;
            key[at] = rng.below(spread) as u8;
        }
    }
    // Time goes on, stands still, goes back a little, jumps in either direction.
    let time = match rng.below(20) {
        0 => rng.below(300),
        1 => now.saturating_sub(rng.below(300)),
        2 => {
            *now += rng.below(1000);
            *now
        }
        3..8 => now.saturating_sub(rng.below(120)),
        8..12 => *now,
        _ => {
            *now += rng.below(20);
            *now
        }
    };
    let mut value = vec![0; decl.value_len as usize];
    let members = if matches!(decl.kind, MapKind::Distinct { members: 9, .. }) { 60 } else { 6 };
    match decl.kind {
        MapKind::Distinct { .. } => value[decl.value_len as usize - 1] = rng.below(members) as u8,
        _ => value.iter_mut().for_each(|byte| *byte = rng.next() as u8),
    }
    let (helper, a, b) = match decl.kind {
        MapKind::Window { .. } => {
            let amount = rng.pick(&[0, 1, 1, 1, 5, 1000, u64::MAX, i64::MAX as u64, 1 << 62]);
            (WINDOW_ADD, time, if rng.below(4) > 0 { 1 } else { amount })
        }
        MapKind::Distinct { .. } => (DISTINCT_ADD, time, 0),
        MapKind::Seen { .. } => (SEEN, time, 0),
        MapKind::Data => (LOOKUP, 0, 0),
        _ => (rng.pick(&[LOOKUP, LOOKUP, UPDATE, UPDATE, UPDATE, DELETE]), rng.pick(&[0, 0, 0, 1, 2, 3, u64::MAX]), 0),
    };
    Operation { helper, key, value, a, b }
}

/// What the operation answers, and for a look-up the value found.
fn run(memory: &mut Memory, map: &PlacedMap, operation: &Operation) -> (u64, Option<Vec<u8>>) {
    let Operation { helper, key, value, a, b } = operation;
    put(memory, key, value);
    let id = u64::from(map.id.0);
    let args = match *helper {
        LOOKUP | DELETE => [id, KEY, 0, 0, 0],
        UPDATE | DISTINCT_ADD => [id, KEY, VALUE, *a, 0],
        _ => [id, KEY, *a, *b, 0],
    };
    let answer = call(memory, *helper, args).unwrap();
    let value = (*helper == LOOKUP && answer != 0).then(|| value_at(memory, answer, map.decl.value_len));
    (answer, value)
}

/// The same of the model, whose values are `values`.
fn model(naive: &mut NaiveMap, values: &mut [Vec<u8>], map: &PlacedMap, op: &Operation) -> (u64, Option<Vec<u8>>) {
    match op.helper {
        LOOKUP => match naive.lookup(&op.key) {
            Some(place) => {
                let address = map.address(0) + u64::from(place) * u64::from(map.decl.stride());
                (address, Some(values[place as usize].clone()))
            }
            None => (0, None),
        },
        UPDATE => match naive.update(&op.key, op.a) {
            Ok(place) => {
                values[place as usize].clone_from(&op.value);
                (0, None)
            }
            Err(errno) => (errno.cast_unsigned(), None),
        },
        DELETE => (naive.delete(&op.key).cast_unsigned(), None),
        WINDOW_ADD => (naive.window_add(&op.key, op.a, op.b), None),
        DISTINCT_ADD => (naive.distinct_add(&op.key, &op.value, op.a), None),
        _ => (naive.seen(&op.key, op.a), None),
    }
}

fn first_values(decl: &MapDecl) -> Vec<Vec<u8>> {
    let len = decl.value_len as usize;
    let value = |at: usize| decl.contents.get(at * len..(at + 1) * len).map_or(vec![0; len], <[u8]>::to_vec);
    (0..decl.entries as usize).map(value).collect()
}

/// Three memories do the same: one as it is, one with another hash key, and one that is thrown away now and then and
/// made anew from its snapshot.
#[test]
fn every_kind_does_what_the_model_does() {
    let decls = decls();
    let maps = place(&decls);
    for map in &maps {
        let mut operations = 0;
        let mut seen = [0u64; 4];
        for seed in 0..12 {
            let mut rng = Rng(seed << 32 | u64::from(map.id.0));
            let mut memories = [memory(&maps, 1), memory(&maps, rng.next()), memory(&maps, rng.next())];
            let mut naive = NaiveMap::new(&map.decl);
            let mut values = first_values(&map.decl);
            let mut now = rng.pick(&[0, 1000, 1 << 60]);
            for step in 0..700 {
                let operation = operation(&mut rng, &map.decl, &mut now);
                let want = model(&mut naive, &mut values, map, &operation);
                for (which, memory) in memories.iter_mut().enumerate() {
                    let got = run(memory, map, &operation);
                    let at = format!("{} seed {seed} step {step} memory {which}", map.decl.name);
                    assert_eq!(got, want, "{at}: helper {} key {:?}", operation.helper, operation.key);
                }
                if rng.below(50) == 0 {
                    let bytes = memories[2].snapshot().as_bytes().to_vec();
                    let snapshot = Snapshot::parse(bytes).unwrap();
                    assert_eq!(snapshot.as_bytes(), memories[0].snapshot().as_bytes());
                    let mut fresh = memory(&maps, rng.next());
                    let report = fresh.restore(&snapshot).unwrap();
                    assert_eq!((report.restored as usize, report.reset, report.unknown.len()), (maps.len(), 0, 0));
                    memories[2] = fresh;
                }
                operations += 1;
            }
            for memory in &memories[..2] {
                let counters = memory.map_counters(map.id).unwrap();
                let counted = [counters.evicted, counters.refused, counters.saturated, counters.late];
                let counts = naive.counts;
                assert_eq!(counted, [counts.evicted, counts.refused, counts.saturated, counts.late]);
                seen.iter_mut().zip(counted).for_each(|(all, counted)| *all += counted);
            }
        }
        assert!(operations > 0);
        let [evicted, refused, saturated, late] = seen.map(|count| count > 0);
        let timed = matches!(map.decl.kind, MapKind::Window { .. } | MapKind::Distinct { .. } | MapKind::Seen { .. });
        assert_eq!(evicted, map.decl.kind.evicts(), "{}", map.decl.name);
        assert_eq!(refused, matches!(map.decl.kind, MapKind::Hash | MapKind::LpmTrie), "{}", map.decl.name);
        assert_eq!(saturated, timed && !matches!(map.decl.kind, MapKind::Seen { .. }), "{}", map.decl.name);
        assert_eq!(late, timed, "{}", map.decl.name);
    }
}
