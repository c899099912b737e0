//! What `clang` makes of ordinary C, for each version of the processor and at several levels of optimisation: it is
//! proved, it runs, and it gives what the same written down naively in Rust gives. Skipped, with a line, where there is
//! no clang with the target bpf; a version of the processor that a clang does not know is skipped, too.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;
use trapline_programs::catalogue::catalogue;
use trapline_vm::helper::RAW_HELPERS;
use trapline_vm::interp::Code;
use trapline_vm::map::Placement;
use trapline_vm::memory::Memory;
use trapline_vm::program::{FUEL_LIMIT_DEFAULT, Program, ProgramKind, elf};
use trapline_vm::verifier::{Rejection, Verified, load_and_verify};

/// Bytes of the buffer.
const LEN: usize = 64;
const PROCESSORS: [&str; 3] = ["v1", "v2", "v3"];
const LEVELS: [&str; 3] = ["-O1", "-O2", "-Os"];

/// What may be refused: the file, the level, the reason. `docs/c-detections.md` lists them. Another clang may do better.
const MAY_BE_REFUSED: [(&str, &str, &str); 1] = [
    // The last place is copied before there is one, into a register that nothing reads then. Linux refuses it, too.
    ("string_compare", "-O1", "unusable-register"),
];

type Naive = fn(&[u8; LEN]) -> u32;

/// Each C file and what it computes.
const FUNCTIONS: [(&str, Naive); 15] = [
    ("bit_fields", bit_fields),
    ("bounded_while", bounded_while),
    ("builtins", builtins),
    ("by_pointer", by_pointer),
    ("byte_swaps", byte_swaps),
    ("division", division),
    ("globals", globals),
    ("hash_bytes", hash_bytes),
    ("insertion_sort", insertion_sort),
    ("local_calls", local_calls),
    ("map_table", map_table),
    ("nested_loops", nested_loops),
    ("signed_numbers", signed_numbers),
    ("string_compare", string_compare),
    ("switch_table", switch_table),
];

fn u16_at(b: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(*b[at..].first_chunk().unwrap())
}

fn u32_at(b: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(*b[at..].first_chunk().unwrap())
}

fn u64_at(b: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(*b[at..].first_chunk().unwrap())
}

fn folded(value: i64) -> u32 {
    (value ^ value >> 32) as u32
}

/// Bits of a number that stands in the buffer.
fn bits(b: &[u8], at: usize, from: u32, count: u32) -> u64 {
    u64_at(b, at) >> from & ((1 << count) - 1)
}

fn bit_fields(b: &[u8; LEN]) -> u32 {
    let d = (bits(b, 0, 11, 9) as i32) << 23 >> 23;
    // `e` would cross a word, and begins the next.
    let (a, bb, c, e) = (bits(b, 0, 0, 3), bits(b, 0, 3, 7), bits(b, 0, 10, 1), bits(b, 0, 20, 12));
    let (f, g) = (bits(b, 8, 0, 33), bits(b, 8, 33, 31));
    let sum = (a + bb * 3 + c * 5) as u32;
    let sum = sum.wrapping_add((d as u32).wrapping_mul(7)).wrapping_add(e as u32);
    let sum = sum.wrapping_add(f as u32).wrapping_add(g as u32);
    let first = u32_at(b, 0) & !(0x7f << 3) & !(0x1ff << 11);
    let first = first | (e as u32 & 0x7f) << 3 | (-3i32 as u32 & 0x1ff) << 11;
    let second = g << 33 | g;
    sum.wrapping_add(first ^ second as u32 ^ (second >> 32) as u32)
}

fn bounded_while(b: &[u8; LEN]) -> u32 {
    let at = b.iter().position(|byte| *byte == 7).unwrap_or(LEN);
    let seen: u32 = b[..at].iter().map(|byte| u32::from(byte & 1)).sum();
    (at as u32) << 8 | seen
}

fn builtins(b: &[u8; LEN]) -> u32 {
    0x5a + (u32::from(b[5]) << 8) + (u32::from(b[21]) << 16) + u32::from(b[40] & 1)
}

fn by_pointer(b: &[u8; LEN]) -> u32 {
    let measure = |b: &[u8]| (i64::from(b[0]) - 100) * 3 + i64::from(b[1]) * 2 + (i64::from(b[2]) << 1);
    (measure(b) - measure(&b[4..])) as u32
}

fn byte_swaps(b: &[u8; LEN]) -> u32 {
    let wide = u64_at(b, 8).swap_bytes();
    let half = u32::from(u16_at(b, 0).swap_bytes());
    half ^ u32_at(b, 4).swap_bytes() ^ wide as u32 ^ (wide >> 32) as u32 ^ u32_at(b, 16).swap_bytes()
}

fn division(b: &[u8; LEN]) -> u32 {
    let (wide, by, narrow, other) = (u64_at(b, 0), u64_at(b, 8), u32_at(b, 16), u32_at(b, 20));
    let mut sum = 0u64;
    if let (Some(quotient), Some(rest)) = (wide.checked_div(by), wide.checked_rem(by)) {
        sum = sum.wrapping_add(quotient.wrapping_add(rest));
    }
    if let (Some(quotient), Some(rest)) = (narrow.checked_div(other), narrow.checked_rem(other)) {
        sum = sum.wrapping_add(quotient.wrapping_add(rest).into());
    }
    sum = sum.wrapping_add(wide / 10).wrapping_add(wide % 1_000_000_007);
    sum = sum.wrapping_add(u64::from(narrow / 3) + u64::from(narrow % 7));
    (sum ^ sum >> 32) as u32
}

fn globals(b: &[u8; LEN]) -> u32 {
    let weights = [1, 10, 100, 1000, 3, 30, 300, 3000];
    let counts = |byte: u8| (byte & 1 == 1 && weights[usize::from(byte & 7)] > 50) || byte > 250;
    let value: u32 = (0..8).filter(|at| counts(b[*at])).map(|at| weights[at]).sum();
    let mut sums = [0; 4];
    sums[usize::from(b[8] & 3)] = 5 + value + LEN as u32;
    5 + value + sums[0] + sums[3] * 2
}

fn hash_bytes(b: &[u8; LEN]) -> u32 {
    let (mut hash, mut mixed) = (0x811c_9dc5_u32, LEN as u64);
    for byte in b {
        hash = (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
        mixed = (mixed.rotate_left(13) ^ u64::from(hash)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
    hash ^ (mixed >> 32) as u32
}

fn insertion_sort(b: &[u8; LEN]) -> u32 {
    let mut sorted = b[..12].to_vec();
    sorted.sort_unstable();
    sorted.iter().fold(0u32, |sum, byte| sum.wrapping_mul(7).wrapping_add((*byte).into()))
}

fn local_calls(b: &[u8; LEN]) -> u32 {
    let inner = |value: u32, add: u32| value.wrapping_mul(31).wrapping_add(add);
    let middle = |bytes: &[u8], start| bytes[..8].iter().fold(start, |value, byte| inner(value, (*byte).into()));
    let first = middle(b, LEN as u32);
    inner(middle(&b[8..], first), first)
}

fn map_table(b: &[u8; LEN]) -> u32 {
    let mut counts = [0u32; 16];
    (0u32..).zip(b).for_each(|(at, byte)| counts[usize::from(byte & 15)] += at);
    let total: u32 = b.iter().map(|byte| u32::from(*byte)).sum();
    let most = (0..16).fold(0, |most, at| if counts[at] > counts[most] { at } else { most });
    (most as u32) << 24 | total
}

fn nested_loops(b: &[u8; LEN]) -> u32 {
    let pairs = (0..8).flat_map(|i| (i..8).map(move |j| (i, j)));
    pairs.map(|(i, j)| u32::from(b[i]) * u32::from(b[8 + j]) + (i ^ j) as u32).sum()
}

fn signed_numbers(b: &[u8; LEN]) -> u32 {
    let (a, bb, c, d) = (b[0] as i8, u16_at(b, 2) as i16, u32_at(b, 4) as i32, u64_at(b, 8) as i64);
    let mut most = i64::from(a).max(bb.into());
    if i64::from(c) < most {
        most += i64::from(c >> 3);
    }
    if d < 0 {
        most -= d >> 40;
    }
    most += i64::from(a) * i64::from(bb) + ((i64::from(c) * i64::from(a)) >> 5);
    folded(most + i64::from(c).abs())
}

fn string_compare(b: &[u8; LEN]) -> u32 {
    (0..60).find(|at| b[*at..].starts_with(b"abc")).map_or(u32::MAX, |at| at as u32)
}

fn switch_table(b: &[u8; LEN]) -> u32 {
    let dense = [31, 7, 255, 12, 99, 1, 64, 5, 77];
    let value: u32 = dense.get(usize::from(b[0] & 15)).copied().unwrap_or(1000);
    match b[1] {
        3 => value + 3,
        200 => value + 2,
        17 => value + u32::from(b[2]),
        _ => value.wrapping_sub(4),
    }
}

fn signed_division(b: &[u8; LEN]) -> u32 {
    let (wide, by) = (u64_at(b, 0) as i64, i64::from(b[8] as i8));
    let (narrow, other) = (u32_at(b, 12) as i32, i32::from(b[16] as i8));
    let mut sum = 0i64;
    if by != 0 {
        sum = sum.wrapping_add(wide.wrapping_div(by).wrapping_sub(wide.wrapping_rem(by)));
    }
    if other != 0 {
        sum = sum.wrapping_add(narrow.wrapping_div(other).wrapping_sub(narrow.wrapping_rem(other)).into());
    }
    folded(sum)
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clang")
}

/// A clang that knows a version of the processor.
fn clang(processor: &str) -> Option<String> {
    let names = std::iter::once("clang".to_owned()).chain((14..=22).map(|version| format!("clang-{version}")));
    let processor = format!("-mcpu={processor}");
    let arguments = ["-target", "bpf", &processor, "-x", "c", "-c", "-o", "/dev/null", "/dev/null"];
    let knows = |name: &String| {
        let output = Command::new(name).args(arguments).output();
        // Older ones know the target only, and say of the version that they ignore it.
        output.is_ok_and(|output| output.status.success() && output.stderr.is_empty())
    };
    let found = names.into_iter().find(knows);
    if found.is_none() {
        println!("skipped: there is no clang with the target bpf and {processor}");
    }
    found
}

/// The raw program of a C file, proved or refused.
fn prove(clang: &str, name: &str, processor: &str, level: &str, into: &Path) -> Result<Verified, Box<Rejection>> {
    let object = into.join(format!("{name}.o"));
    let output = Command::new(clang)
        .args([level, "-g", "-target", "bpf", "-Wall", "-Wextra", "-Werror", "-c"])
        .arg(format!("-mcpu={processor}"))
        .arg("-I")
        .arg(folder().join("../../docs/c"))
        .arg(folder().join(name).with_extension("c"))
        .arg("-o")
        .arg(&object)
        .output()
        .unwrap();
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    let mut file = elf::read(&std::fs::read(&object).unwrap(), catalogue()).unwrap_or_else(|error| panic!("{error}"));
    let raw = file.raw.remove(0);
    let mut placement = Placement::default();
    let program = Program {
        name: raw.name,
        kind: ProgramKind::Raw { memory_len: LEN as u32 },
        code: raw.code,
        lines: raw.lines,
        maps: raw.maps.into_iter().map(|map| placement.place(map).unwrap()).collect(),
        fuel_limit: FUEL_LIMIT_DEFAULT,
    };
    load_and_verify(program, &RAW_HELPERS)
}

/// Buffers to run on: zeros, ones, text, and noise of several kinds.
fn inputs() -> Vec<[u8; LEN]> {
    let mut state = 0x5eed_u64;
    let mut noise = |mask: u8| {
        std::array::from_fn(|_| {
            state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
            (state >> 56) as u8 & mask
        })
    };
    let mut inputs = vec![[0; LEN], [0xff; LEN], [0x80; LEN]];
    inputs.extend((0..24).map(|round| noise([0xff, 0x0f, 0x03, 0xff][round % 4])));
    let mut text = [b'a'; LEN];
    text[20..23].copy_from_slice(b"abc");
    text[40..43].copy_from_slice(b"abc");
    inputs.push(text);
    inputs
}

#[track_caller]
fn agrees(verified: &Verified, naive: Naive, what: &str) {
    let code = Code::proved(verified).unwrap();
    for input in inputs() {
        // A new memory each time: maps and variables of the file begin as they are declared.
        let mut memory = Memory::for_raw(&input).unwrap();
        memory.add_maps(&verified.program().maps).unwrap();
        let outcome = code.run(&mut memory, FUEL_LIMIT_DEFAULT);
        let result = outcome.result.unwrap_or_else(|trap| panic!("{what}: {trap:?}"));
        // Of an `int` the lower half counts.
        assert_eq!(result as u32, naive(&input), "{what} on {input:?}");
        assert!(outcome.fuel_used <= verified.report().worst_fuel, "{what}");
    }
}

#[test]
fn what_clang_makes_of_c_is_proved_and_right() {
    let folder_of_objects = TempDir::new().unwrap();
    for processor in PROCESSORS {
        let Some(clang) = clang(processor) else { continue };
        for (level, (name, naive)) in LEVELS.iter().flat_map(|level| FUNCTIONS.map(|function| (*level, function))) {
            let what = format!("{name} for {processor} at {level}");
            match prove(&clang, name, processor, level, folder_of_objects.path()) {
                Ok(verified) => agrees(&verified, naive, &what),
                Err(rejection) if MAY_BE_REFUSED.contains(&(name, level, rejection.code())) => {
                    println!("{what}: refused, {}", rejection.code());
                }
                Err(rejection) => panic!("{what}\n{rejection}"),
            }
        }
    }
}

#[test]
fn signed_division_is_right_where_clang_has_it() {
    let Some(clang) = clang("v4") else { return };
    let folder_of_objects = TempDir::new().unwrap();
    for (name, naive) in FUNCTIONS.into_iter().chain([("signed_division", signed_division as Naive)]) {
        for level in LEVELS {
            let what = format!("{name} for v4 at {level}");
            match prove(&clang, name, "v4", level, folder_of_objects.path()) {
                Ok(verified) => agrees(&verified, naive, &what),
                Err(rejection) if MAY_BE_REFUSED.contains(&(name, level, rejection.code())) => {}
                Err(rejection) => panic!("{what}\n{rejection}"),
            }
        }
    }
}

#[test]
fn each_c_file_is_built() {
    let files = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let files = files.filter(|path| path.extension().is_some_and(|extension| extension == "c"));
    let names: std::collections::BTreeSet<String> =
        files.map(|path| path.file_stem().unwrap().to_string_lossy().into_owned()).collect();
    let built: std::collections::BTreeSet<String> =
        FUNCTIONS.iter().map(|(name, _)| (*name).to_owned()).chain(["signed_division".to_owned()]).collect();
    assert_eq!(names, built);
}
