//! Helpers of the naive machine: numbers computed again, maps by the naive model, tests on records by the machine's own.

use crate::generator;
use crate::naive::maps::NaiveMap;
use crate::naive::{Bytes, Helpers};
use trapline_vm::helper::{Helper, HelperTable};
use trapline_vm::map::{MapDecl, MapKind, PlacedMap};
use trapline_vm::memory::{Memory, Region};
use trapline_vm::program::ProgramKind;

/// The maps of a naive run. Their values lie in its regions.
#[derive(Clone, Debug, Default)]
pub(crate) struct NaiveMaps(Vec<(PlacedMap, NaiveMap)>);

impl NaiveMaps {
    /// New maps, and the regions of their values as they are at first.
    pub(crate) fn new(maps: &[PlacedMap], regions: &mut [Bytes]) -> Self {
        for region in [Region::MapValues, Region::Constants] {
            let end =
                maps.iter().filter(|map| map.region == region).map(|map| u64::from(map.base) + map.decl.values_len());
            let bytes = &mut regions[region as usize].bytes;
            bytes.clear();
            bytes.resize(end.max().unwrap_or(0) as usize, 0);
        }
        for map in maps.iter().filter(|map| map.decl.value_len > 0) {
            let values = map.decl.contents.chunks(map.decl.value_len as usize);
            for (number, value) in values.enumerate() {
                let at = map.base as usize + number * map.decl.stride() as usize;
                regions[map.region as usize].bytes[at..at + value.len()].copy_from_slice(value);
            }
        }
        Self(maps.iter().map(|map| (map.clone(), NaiveMap::new(&map.decl))).collect())
    }

    /// What happened to each: its number, keys given up, keys refused, answers at the most, late times.
    pub(crate) fn counts(&self) -> impl Iterator<Item = (&PlacedMap, [u64; 4])> {
        self.0.iter().map(|(map, naive)| {
            let counts = naive.counts;
            (map, [counts.evicted, counts.refused, counts.saturated, counts.late])
        })
    }

    fn get(&mut self, number: u64) -> Result<&mut (PlacedMap, NaiveMap), &'static str> {
        self.0.iter_mut().find(|(map, _)| u64::from(map.id.0) == number).ok_or("helper-argument")
    }
}

/// What a naive run needs beside its regions.
#[derive(Debug)]
pub(crate) struct NaiveHelpers<'a> {
    table: &'static HelperTable,
    /// Has the record that tests on fields look at.
    record: &'a mut Memory,
    maps: &'a mut NaiveMaps,
}

impl<'a> NaiveHelpers<'a> {
    pub(crate) fn new(kind: &ProgramKind, record: &'a mut Memory, maps: &'a mut NaiveMaps) -> Self {
        Self { table: generator::helpers(kind), record, maps }
    }

    fn helper(&self, number: i32) -> &'static Helper {
        self.table.get(number as u32).expect("helpers exist in loaded programs")
    }

    /// A call of one of the helpers on maps.
    fn map_call(&mut self, name: &str, arguments: [u64; 5], regions: &mut [Bytes]) -> Result<u64, &'static str> {
        let [map, key, third, fourth, _] = arguments;
        let (placed, naive) = self.maps.get(map)?;
        let key = &read(regions, key, placed.decl.key_len)?;
        let address = |place: u32| placed.address(0) + u64::from(place) * u64::from(placed.decl.stride());
        Ok(match name {
            "map_lookup_elem" => naive.lookup(key).map_or(0, address),
            "map_update_elem" => match naive.update(key, fourth) {
                Ok(place) => {
                    let value = read(regions, third, placed.decl.value_len)?;
                    let to = address(place) - u64::from(placed.region.base());
                    let to = to as usize..to as usize + value.len();
                    regions[placed.region as usize].bytes[to].copy_from_slice(&value);
                    0
                }
                Err(errno) => errno as u64,
            },
            "map_delete_elem" => naive.delete(key) as u64,
            "window_add" => naive.window_add(key, third, fourth),
            "distinct_add" => {
                let member = read(regions, third, placed.decl.value_len)?;
                naive.distinct_add(key, &member, fourth)
            }
            "seen" => naive.seen(key, third),
            _ => return Err("no such helper"),
        })
    }
}

fn read(regions: &[Bytes], address: u64, len: u32) -> Result<Vec<u8>, &'static str> {
    let found = regions.iter().find_map(|region| {
        let at = usize::try_from(address.checked_sub(region.base)?).ok()?;
        region.bytes.get(at..at.checked_add(len as usize)?)
    });
    found.map(<[u8]>::to_vec).ok_or("out-of-region")
}

fn saturate(value: i128) -> u64 {
    value.clamp(i64::MIN.into(), i64::MAX.into()) as i64 as u64
}

/// Bytes that a helper looks at, as its page says: the key; in a trie each level of it; the value or member that goes
/// in; the panes of a window and the members of a key.
fn map_work(name: &str, decl: &MapDecl) -> u64 {
    let key = u64::from(decl.key_len);
    let levels = if decl.kind == MapKind::LpmTrie { ((key - 4) * 8 + 1) * 4 } else { 0 };
    let value = if matches!(name, "map_update_elem" | "distinct_add") { u64::from(decl.value_len) } else { 0 };
    let kept = match decl.kind {
        MapKind::Window { panes, .. } => u64::from(panes) * 8,
        MapKind::Distinct { members, .. } => u64::from(members) * 16,
        _ => 0,
    };
    key + levels + value + kept
}

const ON_MAPS: [&str; 6] =
    ["map_lookup_elem", "map_update_elem", "map_delete_elem", "window_add", "distinct_add", "seen"];

impl Helpers for NaiveHelpers<'_> {
    fn fuel(&mut self, number: i32, arguments: [u64; 5], _: &[Bytes]) -> Result<u64, &'static str> {
        let helper = self.helper(number);
        if ON_MAPS.contains(&helper.name) {
            let (placed, _) = self.maps.get(arguments[0])?;
            return Ok(map_work(helper.name, &placed.decl).div_ceil(16));
        }
        helper.fuel(self.record, &arguments).map_err(|trap| trap.info().name)
    }

    fn call(&mut self, number: i32, arguments: [u64; 5], regions: &mut [Bytes]) -> Result<u64, &'static str> {
        let (a, b) = (i128::from(arguments[0] as i64), i128::from(arguments[1] as i64));
        let helper = self.helper(number);
        Ok(match helper.name {
            "identity" => arguments[0],
            "sat_add" => saturate(a + b),
            "sat_sub" => saturate(a - b),
            "sat_mul" => saturate(a * b),
            "decimal_mul" => saturate(a * b / 1_000_000),
            "decimal_div" if b == 0 => 0,
            "decimal_div" => saturate(a * 1_000_000 / b),
            name if ON_MAPS.contains(&name) => return self.map_call(name, arguments, regions),
            _ => return helper.call(self.record, &arguments).map_err(|trap| trap.info().name),
        })
    }
}
