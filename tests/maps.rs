//! Maps against a naive model: every kind, called as programs call it, through random operations on few keys so that
//! maps are full most of the time, with times that go back and jump, and with hashing keys and snapshots that must not
//! be noticed.

#[path = "naive/maps.rs"]
mod naive;
mod random;

use naive::NaiveMap;
use random::Random;
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

fn operation(rng: &mut Random, decl: &MapDecl, now: &mut u64) -> Operation {
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
        for seed in 0..8 {
            let mut rng = Random(seed << 32 | u64::from(map.id.0));
            let mut memories = [memory(&maps, 1), memory(&maps, rng.next()), memory(&maps, rng.next())];
            let mut naive = NaiveMap::new(&map.decl);
            let mut values = first_values(&map.decl);
            let mut now = rng.pick(&[0, 1000, 1 << 60]);
            for step in 0..500 {
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

/// Fills the maps with some operations.
fn filled(maps: &[PlacedMap], seed: u64) -> Memory {
    let mut memory = memory(maps, seed);
    let mut rng = Random(seed);
    let mut now = 1000;
    for _ in 0..40 {
        for map in maps {
            run(&mut memory, map, &operation(&mut rng, &map.decl, &mut now));
        }
    }
    memory
}

/// The bytes with a checksum that is right.
fn signed(mut body: Vec<u8>) -> Vec<u8> {
    use sha2::{Digest, Sha256};
    let checksum = Sha256::digest(&body);
    body.extend(checksum.as_slice());
    body
}

/// Whatever is in a snapshot: an error that changes nothing, or a state that all operations work on.
#[test]
fn changed_snapshots_are_refused_or_are_a_state() {
    let maps = place(&decls());
    let whole = filled(&maps, 5).snapshot().as_bytes().to_vec();
    let body = &whole[..whole.len() - 32];
    let mut rng = Random(99);
    let mut target = filled(&maps, 6);
    let (mut refused, mut restored, mut unparsed) = (0, 0, 0);
    for round in 0..2500 {
        let mut changed = body.to_vec();
        match rng.below(8) {
            0 => changed.truncate(rng.below(body.len() as u64) as usize),
            1 => changed.extend((0..rng.below(20)).map(|byte| byte as u8)),
            2 => {
                let at = rng.below(changed.len() as u64 - 8) as usize;
                let number = rng.pick(&[0u64, 1, 255, 256, u64::from(u32::MAX), u64::MAX, 1 << 31, i64::MAX as u64]);
                let len = rng.pick(&[2, 4, 8]);
                changed[at..at + len].copy_from_slice(&number.to_le_bytes()[..len]);
            }
            3 => {
                let (from, to) = (rng.below(body.len() as u64) as usize, rng.below(body.len() as u64) as usize);
                let len = rng.below(40).min((body.len() - from.max(to)) as u64) as usize;
                changed.copy_within(from..from + len, to);
            }
            _ => {
                let at = rng.below(changed.len() as u64) as usize;
                changed[at] ^= 1 << rng.below(8);
            }
        }
        // Without a right checksum nothing passes but what was not changed.
        let mut unsigned = changed.clone();
        unsigned.extend(&whole[whole.len() - 32..]);
        assert_eq!(Snapshot::parse(unsigned).is_ok(), changed == body, "{round}");
        let Ok(snapshot) = Snapshot::parse(signed(changed)) else {
            unparsed += 1;
            continue;
        };
        let before = target.snapshot();
        match target.restore(&snapshot) {
            Err(_) => {
                refused += 1;
                assert!(target.snapshot() == before, "{round}: an error changed something");
            }
            Ok(_) => {
                restored += 1;
                let mut now = 1000;
                for _ in 0..3 {
                    for map in &maps {
                        run(&mut target, map, &operation(&mut rng, &map.decl, &mut now));
                    }
                }
                let again = Snapshot::parse(target.snapshot().as_bytes().to_vec()).unwrap();
                assert!(target.restore(&again).is_ok(), "{round}");
            }
        }
    }
    assert!(refused > 100 && restored > 100 && unparsed > 100, "{refused} {restored} {unparsed}");
}

#[test]
fn bytes_that_are_no_snapshot() {
    let mut rng = Random(1);
    for len in 0..300 {
        let bytes: Vec<u8> = (0..len).map(|_| rng.next() as u8).collect();
        assert!(Snapshot::parse(bytes.clone()).is_err());
        let mut begun = b"TRAPSTAT\x01\0\0\0".to_vec();
        begun.extend(bytes);
        assert!(Snapshot::parse(signed(begun)).is_err() || len == 4);
    }
    let mut empty = b"TRAPSTAT\x01\0\0\0\0\0\0\0".to_vec();
    assert!(Snapshot::parse(signed(empty.clone())).unwrap().is_empty());
    empty[8] = 2;
    let error = Snapshot::parse(signed(empty)).unwrap_err().to_string();
    assert_eq!(error, "the snapshot has version 2, this is version 1");
}

#[test]
fn maps_that_a_snapshot_lacks_begin_anew() {
    let maps = place(&decls());
    let (some, others) = maps.split_at(7);
    let snapshot = filled(some, 3).snapshot();
    let mut all = filled(&maps, 4);
    let report = all.restore(&snapshot).unwrap();
    assert_eq!((report.restored as usize, report.reset as usize), (some.len(), others.len()));
    let mut want = memory(&maps, 8);
    want.restore(&snapshot).unwrap();
    assert!(all.snapshot() == want.snapshot());
    let mut few = memory(others, 8);
    let report = few.restore(&snapshot).unwrap();
    assert_eq!((report.restored, report.reset as usize, report.unknown.len()), (0, others.len(), some.len()));
    assert_eq!(report.unknown[0], "test/array");
}

/// Helpers answer any arguments with a result or a trap, and a trap changes nothing.
#[test]
fn bad_arguments_are_traps_that_change_nothing() {
    let maps = place(&decls());
    let mut memory = filled(&maps, 7);
    let mut rng = Random(3);
    let (mut trapped, mut answered) = (0, 0);
    let buffer_end = KEY + 4096;
    let values = u64::from(Region::MapValues.base());
    for _ in 0..8_000 {
        let helper = rng.pick(&[LOOKUP, UPDATE, DELETE, WINDOW_ADD, DISTINCT_ADD, SEEN]);
        let mut args = [0; 5].map(|_: u8| {
            let near = buffer_end - rng.below(20);
            let random = rng.next();
            rng.pick(&[0, 1, 2, KEY, VALUE, near, buffer_end, values, values + 8, u64::MAX, random, 0x1_0000, 1 << 32])
        });
        args[0] = if rng.below(8) > 0 { rng.below(maps.len() as u64 + 2) } else { args[0] };
        let regions = [Region::Buffer, Region::Constants, Region::MapValues, Region::Stack];
        let (before, state) = (regions.map(|region| memory.contents(region).to_vec()), memory.snapshot());
        match call(&mut memory, helper, args) {
            Ok(_) => answered += 1,
            Err(trap) => {
                assert!(matches!(trap, Trap::HelperArgument | Trap::OutOfRegion), "{trap:?}");
                trapped += 1;
                let after = regions.map(|region| memory.contents(region).to_vec());
                assert!(after == before && memory.snapshot() == state, "{helper} {args:x?}");
            }
        }
    }
    assert!(trapped > 300 && answered > 300, "{trapped} {answered}");
}

/// The most that is allowed of each kind works, from the first entry to the last.
#[test]
fn the_longest_keys_and_values() {
    let decls = [
        decl("hash", MapKind::Hash, 256, 32 << 10, 2),
        decl("lru", MapKind::LruHash, 256, 32 << 10, 2),
        decl("lpm", MapKind::LpmTrie, 256, 32 << 10, 2),
        decl("distinct", MapKind::Distinct { window_ns: u64::MAX, members: 4096 }, 256, 256, 1),
        decl("window", MapKind::Window { window_ns: u64::MAX, panes: 64 }, 256, 0, 2),
        decl("seen", MapKind::Seen { ttl_ns: u64::MAX }, 256, 0, 2),
    ];
    let maps = place(&decls);
    let capacities = Capacities { buffer: 1 << 16, ..Capacities::default() };
    let mut memory = Memory::with_maps(&capacities, &maps).unwrap();
    memory.set_len(Region::Buffer, 1 << 16).unwrap();
    let mut key = vec![0xa5; 256];
    key[..4].copy_from_slice(&2016u32.to_le_bytes());
    let value: Vec<u8> = (0..32 << 10).map(|byte: u32| byte as u8).collect();
    put(&mut memory, &key, &value);
    for map in &maps[..3] {
        let id = map.id.0.into();
        assert_eq!(call(&mut memory, LOOKUP, [id, KEY, 0, 0, 0]), Ok(0));
        assert_eq!(call(&mut memory, UPDATE, [id, KEY, VALUE, 0, 0]), Ok(0));
        let address = call(&mut memory, LOOKUP, [id, KEY, 0, 0, 0]).unwrap();
        assert!(value_at(&memory, address, 32 << 10) == value, "{}", map.decl.name);
        assert_eq!(call(&mut memory, DELETE, [id, KEY, 0, 0, 0]), Ok(0));
    }
    let [distinct, window, seen] = [3, 4, 5].map(|at| u64::from(maps[at].id.0));
    for member in 0..5000u64 {
        memory.contents_mut(Region::Buffer)[1024..1032].copy_from_slice(&member.to_le_bytes());
        let count = call(&mut memory, DISTINCT_ADD, [distinct, KEY, VALUE, u64::MAX, 0]);
        assert_eq!(count, Ok((member + 1).min(4096)));
    }
    assert_eq!(call(&mut memory, WINDOW_ADD, [window, KEY, u64::MAX, u64::MAX, 0]), Ok(i64::MAX as u64));
    assert_eq!(call(&mut memory, WINDOW_ADD, [window, KEY, 0, 1, 0]), Ok(i64::MAX as u64));
    assert_eq!(call(&mut memory, SEEN, [seen, KEY, u64::MAX, 0, 0]), Ok(0));
    assert_eq!(call(&mut memory, SEEN, [seen, KEY, 1, 0, 0]), Ok(1));
}

#[test]
fn maps_have_places_of_their_own() {
    let maps = place(&decls());
    let with = |maps: &[PlacedMap]| Memory::with_maps(&Capacities::default(), maps).map_err(|error| error.to_string());
    with(&maps).unwrap();
    let (hash, other) = (&maps[1], &maps[3]);
    let moved = PlacedMap { base: hash.base, ..other.clone() };
    assert!(with(&[hash.clone(), moved]).unwrap_err().contains("apart from all others"));
    let renumbered = PlacedMap { id: hash.id, ..other.clone() };
    assert!(with(&[hash.clone(), renumbered]).unwrap_err().contains("has number 1"));
    let unaligned = PlacedMap { base: hash.base + 1, ..hash.clone() };
    assert!(with(&[unaligned]).is_err());
    for (number, good) in [(0xfffe, true), (0xffff, true), (0x1_0000, false), (u32::MAX, false)] {
        let far = PlacedMap { id: trapline_vm::map::MapId(number), ..hash.clone() };
        assert_eq!(with(&[far]).is_ok(), good, "{number}");
    }
    let mut memory = with(&maps).unwrap();
    assert!(memory.set_hash_key(HashKey(1, 2)).is_err());
    memory.add_maps(&maps).unwrap();
    assert_eq!(memory.maps().count(), maps.len());
    let mut bad = other.clone();
    bad.decl.key_len = 0;
    bad.id = trapline_vm::map::MapId(500);
    let before = memory.snapshot();
    assert!(memory.add_maps(&[bad]).is_err() && memory.snapshot() == before);
}
