//! Programs that once broke an oracle, or nearly: kept as text, run again by a test.
//!
//! ```text
//! # why it is here
//! kind raw 64                                     or: kind rule
//! map m0 hash key 4 value 8 entries 2             lengths; for arrays and data: contents, in hexadecimal
//! run                                             one run, with what its regions hold
//! buffer 0011223344556677
//! code
//! mov r0, 0
//! exit
//! ```

use crate::generator::{Flavour, Input, kind_of};
use trapline_vm::isa::{assemble, disassemble};
use trapline_vm::map::{MapDecl, MapKind, Placement};
use trapline_vm::memory::Region;
use trapline_vm::program::{FUEL_LIMIT_DEFAULT, Program, ProgramKind};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    let digits = text.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap());
    digits.map(|pair| u8::from_str_radix(pair, 16).expect("hexadecimal")).collect()
}

fn region_named(name: &str) -> Region {
    *Region::ALL.iter().find(|region| format!("{region:?}").to_lowercase() == name).expect("the name of a region")
}

/// The text of a program and its inputs.
pub(crate) fn write(why: &str, program: &Program, inputs: &[Input]) -> String {
    let mut text = String::new();
    for line in why.lines() {
        text += &format!("# {line}\n");
    }
    text += &match &program.kind {
        ProgramKind::Raw { memory_len } => format!("kind raw {memory_len}\n"),
        ProgramKind::Rule(_) => "kind rule\n".to_owned(),
    };
    for map in &program.maps {
        let MapDecl { name, kind, key_len, value_len, entries, contents } = &map.decl;
        let kind = match kind {
            MapKind::Array => "array".to_owned(),
            MapKind::Data => "data".to_owned(),
            MapKind::Hash => "hash".to_owned(),
            MapKind::LruHash => "lru".to_owned(),
            MapKind::LpmTrie => "lpm".to_owned(),
            MapKind::Window { window_ns, panes } => format!("window:{window_ns}:{panes}"),
            MapKind::Distinct { window_ns, members } => format!("distinct:{window_ns}:{members}"),
            MapKind::Seen { ttl_ns } => format!("seen:{ttl_ns}"),
        };
        let contents = hex(contents);
        text += &format!("map {name} {kind} key {key_len} value {value_len} entries {entries} {contents}\n");
    }
    for input in inputs {
        text.push_str("run\n");
        for (region, bytes) in &input.0 {
            text += &format!("{} {}\n", format!("{region:?}").to_lowercase(), hex(bytes));
        }
    }
    text.push_str("code\n");
    text.push_str(&disassemble(&program.code));
    text
}

/// The program and its inputs again.
pub(crate) fn read(text: &str) -> (Program, Vec<Input>) {
    let (head, code) = text.split_once("\ncode\n").expect("a line `code`");
    let mut kind = None;
    let mut placement = Placement::default();
    let mut maps = Vec::new();
    let mut inputs: Vec<Input> = Vec::new();
    for line in head.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        match *words.as_slice() {
            [] | ["#", ..] => {}
            ["kind", "raw", len] => kind = Some(ProgramKind::Raw { memory_len: len.parse().unwrap() }),
            ["kind", "rule"] => kind = Some(kind_of(Flavour::Rule)),
            ["map", name, kind, "key", key, "value", value, "entries", entries, ref rest @ ..] => {
                let decl = MapDecl {
                    name: name.to_owned(),
                    kind: map_kind(kind),
                    key_len: key.parse().unwrap(),
                    value_len: value.parse().unwrap(),
                    entries: entries.parse().unwrap(),
                    contents: rest.first().map(|contents| unhex(contents)).unwrap_or_default(),
                };
                maps.push(placement.place(decl).expect("small maps have room"));
            }
            ["run"] => inputs.push(Input(Vec::new())),
            [region, bytes] => inputs.last_mut().expect("after `run`").0.push((region_named(region), unhex(bytes))),
            [..] => panic!("what is `{line}`?"),
        }
    }
    let code = assemble(code).unwrap_or_else(|errors| panic!("{errors:?}")).code;
    let name = "corpus".to_owned();
    let kind = kind.expect("a line `kind`");
    (Program { name, kind, code, lines: Vec::new(), maps, fuel_limit: FUEL_LIMIT_DEFAULT }, inputs)
}

fn map_kind(text: &str) -> MapKind {
    let words: Vec<&str> = text.split(':').collect();
    match *words.as_slice() {
        ["array"] => MapKind::Array,
        ["data"] => MapKind::Data,
        ["hash"] => MapKind::Hash,
        ["lru"] => MapKind::LruHash,
        ["lpm"] => MapKind::LpmTrie,
        ["window", ns, panes] => MapKind::Window { window_ns: ns.parse().unwrap(), panes: panes.parse().unwrap() },
        ["distinct", ns, members] => {
            MapKind::Distinct { window_ns: ns.parse().unwrap(), members: members.parse().unwrap() }
        }
        ["seen", ns] => MapKind::Seen { ttl_ns: ns.parse().unwrap() },
        _ => panic!("what kind of map is `{text}`?"),
    }
}
