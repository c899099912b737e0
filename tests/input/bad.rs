//! Bad input of every kind: how many events survive, and where each error is.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use trapline::source::{EVENT_BYTES_MAX, Inputs, SourceId};

use crate::support::{each, read_all, read_bytes};

const GOOD: &str = r#"{"@timestamp":"2026-03-14T09:00:00Z","class":"process.exec","process":{"name":"curl"}}"#;

/// Bad input with good events around it: the lines of the events that survive, and of the errors with what they say.
#[track_caller]
fn check(bytes: &[u8], events: &[u64], errors: &[(u64, &str)]) {
    for (name, bytes) in [("a.jsonl", bytes.to_vec()), ("a.jsonl.gz", gzip(bytes))] {
        let outcome = read_bytes(name, &bytes);
        let found = outcome.errors();
        assert_eq!(outcome.records(), events, "{name}: {found:?}");
        assert_eq!(found.len(), errors.len(), "{name}: {found:?}");
        for ((line, text), (expected_line, part)) in found.iter().zip(errors) {
            assert!(
                line == expected_line && text.contains(part),
                "{name}: {line}: {text}; expected {expected_line}: {part}"
            );
        }
        assert!(outcome.events.iter().all(|event| event.at("process.name") == "curl"), "{name}");
        assert!(outcome.events.is_sorted_by(|a, b| a.sequence < b.sequence), "{name}");
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn nothing_is_no_event_and_no_error() {
    check(b"", &[], &[]);
    check(b"\n\r\n  \n", &[], &[]);
    check(b"[]", &[], &[]);
}

#[test]
fn one_bad_line_between_good_ones() {
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(200), "]".repeat(200));
    let cases: Vec<(&[u8], &str)> = vec![
        (b"{\"a\":1", "cut off"),
        (b"{\"a\":\"x", "cut off"),
        (b"{\"a\":[{\"b\":{", "cut off"),
        (b"{", "cut off"),
        (b"{\"a\":}", "not valid JSON: expected value at line 1 column 6"),
        (b"{\"a\":1,}", "not valid JSON: trailing comma"),
        (b"{\"a\" 1}", "not valid JSON: expected `:`"),
        (b"{\"a\":tru}", "not valid JSON"),
        (b"{\"a\":01}", "not valid JSON"),
        (b"{\"a\":1e999}", "not valid JSON: number out of range"),
        (b"{'a':1}", "not valid JSON: key must be a string"),
        (b"{\"a\":\"\\x\"}", "not valid JSON: invalid escape"),
        (b"{\"a\":\"\\ud800\"}", "not valid JSON"),
        (b"{\"a\":\"\0\"}", "not valid JSON: control character"),
        (b"{\"a\":\"\xff\"}", "not valid UTF-8 at byte 6 of the event"),
        (b"{\"a\":\"\xed\xa0\x80\"}", "not valid UTF-8"),
        (b"{\"\xc3\":1}", "not valid UTF-8 at byte 2"),
        (deep.as_bytes(), "not valid JSON: recursion limit exceeded"),
        (b"text", "not a JSON object: `text`"),
        (b"\0\0\0\0", "not a JSON object: `\\0\\0\\0\\0`"),
        (b"\xff\xfe\xfd", "not a JSON object"),
        (b"\"text\"", "not a JSON object"),
        (b"12", "not a JSON object: `12`"),
        (b"null", "not a JSON object: `null`"),
        (b"}", "not a JSON object: `}`"),
        (b"a,b,c", "not a JSON object: `a,b,c`"),
        (b"Mar 14 09:00:00 WS-014 app[7]: {unquoted: 1}", "not a JSON object: `Mar 14"),
        (b"\x1b[31mred\x1b[0m", "not a JSON object: `\\u{1b}[31mred"),
    ];
    for (bad, part) in cases {
        for newline in ["\n", "\r\n"] {
            let mut input = Vec::new();
            for line in [GOOD.as_bytes(), bad, GOOD.as_bytes(), GOOD.as_bytes(), bad, bad, GOOD.as_bytes(), bad] {
                input.extend_from_slice(line);
                input.extend_from_slice(newline.as_bytes());
            }
            check(&input, &[1, 3, 4, 7], &[(2, part), (5, part), (6, part), (8, part)]);
        }
    }
}

#[test]
fn bad_pieces_that_share_a_line_with_good_ones() {
    check(format!("{GOOD} trailing\n{GOOD}").as_bytes(), &[1, 2], &[(1, "`trailing`")]);
    check(format!("<13>app: {GOOD}\n{GOOD}").as_bytes(), &[1, 2], &[(1, "`<13>app:`")]);
    check(format!("{GOOD}{{\"a\":}}{GOOD}").as_bytes(), &[1, 1], &[(1, "not valid JSON")]);
    check(format!("[{GOOD},7,{GOOD}]").as_bytes(), &[1, 1], &[(1, "`7,`")]);
    check(format!("[{GOOD},\n{GOOD}").as_bytes(), &[1, 2], &[(2, "cut off")]);
}

#[test]
fn spread_over_lines() {
    let spread = "{\n  \"class\": \"process.exec\",\n  \"process\": {\n    \"name\": \"curl\"\n  }\n}\n";
    check(spread.repeat(3).as_bytes(), &[1, 7, 13], &[]);
    // Cut off at every byte but the last ones, with good ones behind: one error at its first line.
    for len in 1..spread.trim_end().len() {
        let input = format!("{spread}{}\n{spread}{spread}", &spread[..len]);
        let outcome = read_bytes("a.json", input.as_bytes());
        let errors = outcome.errors();
        assert_eq!(outcome.events.len(), 3, "{len}: {errors:?}");
        assert_eq!(errors.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [7], "{len}: {errors:?}");
    }
}

#[test]
fn long_lines_are_skipped_without_keeping_them() {
    let long = "x".repeat(10 * 1024 * 1024);
    let limit = format!("longer than {EVENT_BYTES_MAX} bytes");
    check(format!("{GOOD}\n{{\"a\":\"{long}\"}}\n{GOOD}\n").as_bytes(), &[1, 3], &[(2, &limit)]);
    check(format!("{GOOD}\n{{\"a\":\"{long}\n{GOOD}\n").as_bytes(), &[1, 3], &[(2, &limit)]);
    check(format!("{GOOD}\n{long}\n{GOOD}\n").as_bytes(), &[1, 3], &[(2, "`xxxxxxxxxx")]);
    let brackets = "[".repeat(10 * 1024 * 1024);
    check(format!("{GOOD}\n{{\"a\":{brackets}\n{GOOD}\n").as_bytes(), &[1, 3], &[(2, &limit)]);
}

#[test]
fn events_at_and_over_the_limit() {
    let padded = |len: usize| {
        let start = r#"{"class":"process.exec","process":{"name":"curl"},"a":""#;
        format!("{start}{}\"}}", "x".repeat(len - start.len() - 2))
    };
    for (len, fits) in [(EVENT_BYTES_MAX - 1, true), (EVENT_BYTES_MAX, true), (EVENT_BYTES_MAX + 1, false)] {
        let outcome = read_bytes("a.jsonl", format!("{GOOD}\n{}\n{GOOD}", padded(len)).as_bytes());
        assert_eq!(outcome.records(), if fits { vec![1, 2, 3] } else { vec![1, 3] }, "{len}");
        assert_eq!(outcome.errors.len(), usize::from(!fits), "{len}");
    }
}

#[test]
fn marks_and_encodings() {
    let lines = format!("{GOOD}\n{GOOD}\n");
    check(format!("\u{feff}{lines}").as_bytes(), &[1, 2], &[]);
    let units: Vec<u16> = lines.encode_utf16().collect();
    let little: Vec<u8> = units.iter().flat_map(|unit| unit.to_le_bytes()).collect();
    let big: Vec<u8> = units.iter().flat_map(|unit| unit.to_be_bytes()).collect();
    check(&little, &[1, 2], &[]);
    check(&big, &[1, 2], &[]);
    check(&[b"\xff\xfe".as_slice(), &little].concat(), &[1, 2], &[]);
    check(&[b"\xfe\xff".as_slice(), &big].concat(), &[1, 2], &[]);
    // Half a character in the first event.
    let mut broken = little.clone();
    broken[21] = 0xd8;
    check(&broken, &[2], &[(1, "not valid UTF-8")]);
    // A unit cut in half at the end.
    check(&little[..little.len() - 1], &[1, 2], &[(2, "not a JSON object")]);
}

#[test]
fn formats_that_are_not_read_are_named() {
    for (bytes, part) in [
        (&b"\x28\xb5\x2f\xfd rest"[..], "zstd"),
        (b"BZh91AY", "bzip2"),
        (b"\xfd7zXZ\0", "xz"),
        (b"PK\x03\x04", "zip"),
        (b"\xff\xfe\0\0{\0\0\0", "UTF-32"),
        (b"<?xml version=\"1.0\"?><Events/>", "XML"),
        (b"<Event xmlns=''/>", "XML"),
    ] {
        let outcome = read_bytes("a.jsonl", bytes);
        let errors = outcome.errors();
        assert!(
            matches!(&errors[..], [(0, text)] if text.contains(part) && text.contains("not supported")),
            "{errors:?}"
        );
    }
}

#[test]
fn gzip_cut_off_at_any_byte() {
    let lines: String = (0..50).fold(String::new(), |mut text, number| {
        writeln!(text, r#"{{"class":"process.exec","process":{{"name":"curl","pid":{number}}}}}"#).unwrap();
        text
    });
    let whole = gzip(lines.as_bytes());
    assert_eq!(read_bytes("a.gz", &whole).events.len(), 50);
    for len in 2..whole.len() {
        let outcome = read_bytes("a.gz", &whole[..len]);
        let errors = outcome.errors();
        assert!(errors.iter().any(|(_, text)| text.contains("cannot be read")), "{len}: {errors:?}");
        assert!(errors.len() <= 2, "{len}: {errors:?}");
        let pids: Vec<u64> = outcome.events.iter().map(|event| event.at("process.pid").as_u64().unwrap()).collect();
        assert!(pids.iter().copied().eq(0..pids.len() as u64), "{len}");
    }
    let two = [whole.clone(), whole].concat();
    assert_eq!(read_bytes("a.gz", &two).events.len(), 100);
}

#[test]
fn a_key_that_occurs_twice_counts_and_the_last_one_holds() {
    let outcome = read_bytes("a.json", br#"{"class":"process.exec","process":{"name":"a","pid":1,"name":"b","name":"c"},"process":{"pid":2,"name":"d"}}"#);
    assert_eq!(outcome.counts.duplicate_keys, 3);
    assert_eq!(outcome.events[0].at("process.name"), "d");
    let many: String = (0..100).map(|number| format!("\"k{number}\":1,")).collect();
    let outcome = read_bytes("a.json", format!("{{{many}{many}\"class\":\"process.exec\"}}").as_bytes());
    assert_eq!(outcome.counts.duplicate_keys, 100);
}

#[test]
fn keys_of_many_parts_and_empty_ones() {
    let many = "a.".repeat(500_000);
    for key in [&many, "", ".", "..", "process.", ".process", "event..x"] {
        let nested = "{\"d\":".repeat(100) + "1" + &"}".repeat(100);
        let text = format!(r#"{{"{key}":1,"class":"process.exec","process":{{"{key}":{nested},"name":"curl"}}}}"#);
        let outcome = read_bytes("a.json", text.as_bytes());
        assert_eq!(outcome.errors(), []);
        assert_eq!(outcome.events[0].at("process.name"), "curl");
    }
    let text = r#"{"process":"a text","process.name":"curl","class":"process.exec"}"#;
    let outcome = read_bytes("a.json", text.as_bytes());
    assert_eq!(outcome.events[0].at("process"), "a text");
}

#[test]
fn files_folders_and_order() {
    let folder = tempfile::tempdir().unwrap();
    let put = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let event = |name: &str| format!("{{\"class\":\"process.exec\",\"process.name\":\"{name}\"}}\n");
    put("b.jsonl", event("b").as_bytes());
    put("a/z.JSON", event("z").as_bytes());
    put("a/y.ndjson.gz", &gzip(event("y").as_bytes()));
    put("c.log", event("c").as_bytes());
    put("d.log", b"Mar 14 09:00:00 plain text\n");
    put("e.txt", event("e").as_bytes());
    let named = put("f.txt", event("f").as_bytes());
    let outcome = read_all(&[named.clone(), folder.path().to_owned()]);
    assert_eq!(outcome.errors(), []);
    let names: Vec<&str> = outcome.events.iter().map(|event| event.at("process.name").as_str().unwrap()).collect();
    assert_eq!(names, ["f", "y", "z", "b", "c"]);
    assert!(Path::new(&outcome.events[1].file).ends_with("a/y.ndjson.gz"));
    assert!(outcome.events.is_sorted_by(|a, b| a.sequence < b.sequence));

    let mut inputs = Inputs::open(SourceId(0), std::slice::from_ref(&named)).unwrap();
    assert_eq!(inputs.progress().bytes_total, Some(std::fs::metadata(&named).unwrap().len()));
    while trapline::source::Source::next(&mut inputs).is_some() {}
    assert_eq!(Some(inputs.progress().bytes_done), inputs.progress().bytes_total);
    assert_eq!((inputs.progress().files_done, inputs.progress().files_total), (1, 1));

    let missing = folder.path().join("missing.json");
    let error = Inputs::open(SourceId(0), &[named, missing]).unwrap_err();
    assert!(error.to_string().contains("missing.json"), "{error}");
}

/// Good input with bytes changed, cut out and put in at random: no panic, and every event behind the last change
/// is read.
#[test]
fn mutated_input() {
    let shapes = ["flat.jsonl", "winlog.json", "winlog-dotted.jsonl", "nested.json", "nested-elements.jsonl"];
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/shapes");
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("a.json");
    let mut random = 0x2545_f491_4f6c_dd1du64;
    let mut next = |bound: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random % bound as u64) as usize
    };
    for shape in shapes {
        let original = std::fs::read(folder.join(shape)).unwrap();
        for _ in 0..150 {
            let mut bytes = original.clone();
            for _ in 0..=next(6) {
                let at = next(bytes.len());
                match next(4) {
                    0 => bytes[at] = next(256) as u8,
                    1 => bytes[at] = b"{}[]\",:\\\n0-"[next(11)],
                    2 => {
                        let end = (at + next(40)).min(bytes.len());
                        bytes.drain(at..end);
                    }
                    _ => bytes.insert(at, b"{}[]\",:\\\n0-"[next(11)]),
                }
            }
            bytes.extend_from_slice(format!("\n{GOOD}\n{GOOD}\n").as_bytes());
            std::fs::write(&path, &bytes).unwrap();
            let (mut good, mut last) = (0, 0);
            each(std::slice::from_ref(&path), |found| {
                if let Ok(event) = found {
                    assert!(event.position.record >= last);
                    last = event.position.record;
                    let ecs = event.to_ecs();
                    good += u64::from(ecs.get("class").is_some());
                }
            });
            assert_eq!(good, 2, "{}", String::from_utf8_lossy(&bytes));
        }
    }
}
