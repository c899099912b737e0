//! Verifier cases: programs as text, with what the verifier must say of them.
//!
//! ```text
//! # a comment, between cases
//! == reads a register that nothing wrote
//! -- raw 16
//! mov r0, r3
//! exit
//! -- rejected unusable-register at 0
//! error[unusable-register]: r3 is never written
//! ...
//! ```
//!
//! The kind is `raw LENGTH`, or `rule` with any of `fields=COUNT slots=.. predicates=.. masks=.. helpers=..`
//! (`fields` is how many slots the record has); `map=KIND:KEY_LEN:VALUE_LEN:ENTRIES`, once for each map of the program
//! (`array`, `data`, `hash`, `lru`, `lpm`, `window`, `distinct`, `seen`); `states` after it asks for the state before each instruction. The
//! verdict, `accepted` or `rejected CODE at PC`, is written by hand and never refreshed; the text below it is, by
//! `UPDATE_EXPECT=1`. Review the difference.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use trapline_vm::helper::{HelperTable, RAW_HELPERS, RULE_HELPERS};
use trapline_vm::isa::{assemble, disassemble_at};
use trapline_vm::map::{MapDecl, MapKind, PlacedMap, Placement};
use trapline_vm::program::{FUEL_LIMIT_DEFAULT, Line, Loaded, Manifest, Program, ProgramKind};
use trapline_vm::record::slots_len;
use trapline_vm::verifier::{Limits, VERIFIER_VERSION, load_and_verify, verify_observed};

/// What a program can be refused for. Budgets have their own tests; that the verifier contradicts itself has none.
const CODES: [&str; 34] = [
    "malformed",
    "recursion",
    "call-depth",
    "shared-code",
    "loop-nesting",
    "irreducible-loop",
    "unbounded-loop",
    "frame-returned",
    "regions-differ",
    "state-fuel",
    "unreachable",
    "unusable-register",
    "not-a-number",
    "pointer-arithmetic",
    "comparison",
    "may-be-null",
    "pointer-offset",
    "not-a-pointer",
    "out-of-bounds",
    "read-only",
    "variable-offset",
    "not-granted",
    "straddles",
    "uninitialised-stack",
    "unreadable",
    "part-of-pointer",
    "pointer-stored",
    "helper-not-granted",
    "argument-not-constant",
    "argument",
    "not-for-helpers",
    "not-a-verdict",
    "pointer-returned",
    "accepted",
];

struct Case {
    name: String,
    header: String,
    code: String,
    verdict: String,
    text: String,
}

fn parse(file: &str) -> Vec<Case> {
    let mut cases = Vec::new();
    for part in file.split("\n== ").skip(1) {
        let mut sections = part.split("\n-- ");
        let name = sections.next().unwrap_or_default().trim().to_owned();
        let mut section = || {
            let section = sections.next().unwrap_or_else(|| panic!("`{name}` lacks a section"));
            let (head, body) = section.split_once('\n').unwrap_or((section, ""));
            (head.trim().to_owned(), body.trim_end().to_owned())
        };
        let ((header, code), (verdict, text)) = (section(), section());
        // A comment after the text is about the next case.
        let text = text.split("\n# ").next().unwrap_or_default();
        let text = if text.starts_with("# ") { String::new() } else { text.trim_end().to_owned() };
        cases.push(Case { name, header, code, verdict, text });
    }
    cases
}

fn numbers<T: std::str::FromStr>(list: &str) -> Vec<T> {
    list.split(',').filter(|number| !number.is_empty()).map(|number| number.parse().ok().unwrap()).collect()
}

fn kind(header: &str) -> (ProgramKind, &'static HelperTable) {
    let mut words = header.split_whitespace();
    if words.next() == Some("raw") {
        let memory_len = words.next().and_then(|length| length.parse().ok()).expect("raw has a length");
        return (ProgramKind::Raw { memory_len }, &RAW_HELPERS);
    }
    let mut manifest = Manifest { record_len: slots_len(0), ..Manifest::default() };
    for word in words.filter(|word| *word != "states" && !word.starts_with("map=")) {
        match word.split_once('=').expect("rule settings are NAME=VALUE") {
            ("fields", count) => manifest.record_len = slots_len(count.parse().unwrap()),
            ("slots", list) => manifest.slots = numbers(list),
            ("predicates", list) => manifest.predicate_bytes = numbers(list),
            ("masks", list) => manifest.masks = numbers(list),
            ("helpers", list) => manifest.helpers = numbers(list),
            (other, _) => panic!("unknown setting {other}"),
        }
    }
    (ProgramKind::Rule(manifest), &RULE_HELPERS)
}

/// The maps that a case declares, in order, placed as linking would.
fn maps(header: &str) -> Vec<PlacedMap> {
    let mut placement = Placement::default();
    let declared = header.split_whitespace().filter_map(|word| word.strip_prefix("map="));
    let place = |(index, text): (usize, &str)| {
        let (kind, lengths) = text.split_once(':').expect("maps are KIND:KEY_LEN:VALUE_LEN:ENTRIES");
        let lengths: Vec<u32> = lengths.split(':').map(|length| length.parse().unwrap()).collect();
        let [key_len, value_len, entries] = lengths[..] else { panic!("{text} lacks a length") };
        let kind = match kind {
            "array" => MapKind::Array,
            "data" => MapKind::Data,
            "hash" => MapKind::Hash,
            "lru" => MapKind::LruHash,
            "lpm" => MapKind::LpmTrie,
            "window" => MapKind::Window { window_ns: 1_000_000_000, panes: 10 },
            "distinct" => MapKind::Distinct { window_ns: 1_000_000_000, members: 16 },
            "seen" => MapKind::Seen { ttl_ns: 1_000_000_000 },
            other => panic!("unknown kind of map {other}"),
        };
        let contents = if kind == MapKind::Data { vec![7; value_len as usize] } else { Vec::new() };
        let decl = MapDecl { name: format!("m{index}"), kind, key_len, value_len, entries, contents };
        placement.place(decl).unwrap()
    };
    declared.enumerate().map(place).collect()
}

/// The verdict and the text for a case.
fn judge(case: &Case) -> (String, String) {
    let assembly = assemble(&case.code).unwrap_or_else(|errors| panic!("`{}`: {errors:?}", case.name));
    let (kind, helpers) = kind(&case.header);
    let lines = (0..).zip(&assembly.lines).map(|(pc, line)| Line { pc, line: *line }).collect();
    let name = "case".to_owned();
    let maps = maps(&case.header);
    let program = Program { name, kind, code: assembly.code, lines, maps, fuel_limit: FUEL_LIMIT_DEFAULT };
    let mut states = String::new();
    let wanted = case.header.contains("states");
    let result = match Loaded::new(program.clone(), helpers) {
        Ok(loaded) => verify_observed(loaded, Limits::default(), &mut |pc, state| {
            if wanted {
                let _infallible = writeln!(states, "{pc}: {}  | {state}", disassemble_at(&program.code, pc as usize));
            }
        }),
        Err(_) => load_and_verify(program.clone(), helpers),
    };
    match result {
        Ok(verified) => ("accepted".to_owned(), format!("{states}{}", verified.report())),
        Err(rejection) => {
            let place = rejection.pc.map_or(String::new(), |pc| format!(" at {pc}"));
            (format!("rejected {}{place}", rejection.code()), format!("{states}{rejection}"))
        }
    }
}

fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/verifier");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "txt"));
    files.sort();
    files
}

#[test]
fn cases_get_the_verdict_and_the_words_they_should() {
    let update = std::env::var_os("UPDATE_EXPECT").is_some();
    let (mut count, mut failures, mut seen) = (0, Vec::new(), BTreeSet::new());
    for path in files() {
        let file = std::fs::read_to_string(&path).unwrap();
        let mut updated = file.clone();
        for case in parse(&format!("\n{file}")) {
            count += 1;
            seen.extend(case.verdict.trim_start_matches("rejected ").split_whitespace().next().map(str::to_owned));
            let (verdict, text) = judge(&case);
            if verdict != case.verdict {
                failures.push(format!("{}: should be {}, is {verdict}\n{text}", case.name, case.verdict));
            } else if text != case.text {
                if update {
                    let Case { name, header, code, .. } = &case;
                    let whole = |text: &str| format!("== {name}\n-- {header}\n{code}\n-- {verdict}\n{text}");
                    updated = updated.replacen(whole(&case.text).trim_end(), &whole(&text), 1);
                } else {
                    failures.push(format!("{}: says\n{text}\nwhere it should say\n{}", case.name, case.text));
                }
            }
        }
        if updated != file {
            std::fs::write(&path, updated).unwrap();
        }
    }
    assert!(count > 150, "only {count} cases were found");
    let missing: Vec<_> = CODES.iter().filter(|code| !seen.contains(**code)).collect();
    assert!(missing.is_empty(), "no case is refused for {missing:?}");
    assert!(failures.is_empty(), "{} of {count} cases fail\n\n{}", failures.len(), failures.join("\n\n"));
}

/// A number for a program, the same everywhere: FNV-1a.
fn digest(case: &Case) -> String {
    let bytes = case.header.bytes().chain([0]).chain(case.code.bytes());
    let hash =
        bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    format!("{hash:016x}")
}

/// `tests/verifier/version.list` has the version of the verifier and, of the cases that there were, whether they are
/// accepted. A case that is judged otherwise needs another version; `UPDATE_EXPECT=1` then writes the list anew, and
/// adds new cases to the list of the same version.
#[test]
fn another_verdict_is_another_version() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/verifier/version.list");
    let list = std::fs::read_to_string(&path).unwrap_or_default();
    let mut lines = list.lines();
    let version = lines.next().unwrap_or_default();
    let known: BTreeMap<&str, &str> = lines.filter_map(|line| line.split_once(' ')).collect();
    let is_same = version == format!("version {VERIFIER_VERSION}");
    let (mut now, mut changed, mut found) = (BTreeMap::new(), Vec::new(), 0);
    for path in files() {
        for case in parse(&format!("\n{}", std::fs::read_to_string(&path).unwrap())) {
            let verdict = if judge(&case).0 == "accepted" { "accepted" } else { "refused" };
            let digest = digest(&case);
            if let Some(before) = known.get(digest.as_str()) {
                found += 1;
                if is_same && *before != verdict {
                    changed.push(format!("{}: {before} before, {verdict} now", case.name));
                }
            }
            now.insert(digest, verdict);
        }
    }
    assert!(changed.is_empty(), "raise VERIFIER_VERSION, then refresh with UPDATE_EXPECT=1:\n{}", changed.join("\n"));
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        let cases: String = now.iter().map(|(digest, verdict)| format!("{digest} {verdict}\n")).collect();
        std::fs::write(&path, format!("version {VERIFIER_VERSION}\n{cases}")).unwrap();
        return;
    }
    assert!(is_same, "{version} in version.list, which is {VERIFIER_VERSION} now: refresh it with UPDATE_EXPECT=1");
    assert!(
        found * 2 > now.len(),
        "{found} of {} cases are in version.list: refresh it with UPDATE_EXPECT=1",
        now.len()
    );
}
