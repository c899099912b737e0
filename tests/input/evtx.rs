//! Windows event logs: one of our own making, and recorded ones where they lie beside the checkout.

use serde_json::Value;

use crate::log;
use crate::support::{corpus, files, read_all, read_bytes, scan_log};

/// The log of our own making is the events it was made of.
#[test]
fn a_log_of_our_own_making_is_the_events_it_was_made_of() {
    let recorded = log::recorded();
    let (from_json, from_log) = (read_bytes("a.jsonl", recorded.join("\n").as_bytes()), read_all(&[log::write()]));
    assert_eq!((from_json.errors(), from_log.errors()), (vec![], vec![]));
    assert_eq!(recorded.len(), 10);
    assert_eq!((from_json.events.len(), from_log.events.len()), (10, 10));
    for (a, b) in from_json.events.iter().zip(&from_log.events) {
        assert_eq!((&a.class, &a.profile, a.time_ns), (&b.class, &b.profile, b.time_ns));
        assert_eq!(a.ecs, b.ecs);
    }
}

/// As many records as the parser crate finds when it reads the file by itself.
#[test]
fn every_record_is_read() {
    let Some(folder) = corpus("evtx-attack-samples") else { return };
    let files = files(&folder, "evtx");
    assert!(!files.is_empty(), "no case");
    for file in files {
        let mut parser = ::evtx::EvtxParser::from_path(&file).unwrap();
        let expected = parser.records_json().filter(Result::is_ok).count();
        let outcome = read_all(std::slice::from_ref(&file));
        assert_eq!(outcome.events.len(), expected, "{}: {:?}", file.display(), outcome.errors);
        assert_eq!(outcome.counts.events, expected as u64);
        assert!(outcome.errors.is_empty(), "{}: {:?}", file.display(), outcome.errors);
    }
}

/// The same events come as EVTX and as JSON that an earlier version of a dump tool made of it. That tool cut blanks
/// at the end, wrote GUIDs in capitals without braces, and times in whole microseconds.
#[test]
fn an_event_log_and_its_json_copy_are_the_same_events() {
    let Some(folder) = corpus("sigma/regression_data") else { return };
    let mut cases = 0;
    for json in files(&folder, "json") {
        let log = json.with_extension("evtx");
        if !log.exists() {
            continue;
        }
        cases += 1;
        let (from_json, from_log) = (read_all(std::slice::from_ref(&json)), read_all(&[log]));
        assert_eq!((from_json.errors(), from_log.errors()), (vec![], vec![]), "{}", json.display());
        assert_eq!(from_json.events.len(), from_log.events.len(), "{}", json.display());
        for (a, b) in from_json.events.iter().zip(&from_log.events) {
            assert_eq!((&a.class, &a.profile), (&b.class, &b.profile), "{}", json.display());
            assert_eq!(a.time_ns / 1000, b.time_ns / 1000, "{}", json.display());
            assert_eq!(alike(&Value::from(a.ecs.clone())), alike(&Value::from(b.ecs.clone())), "{}", json.display());
        }
    }
    assert!(cases > 0, "no case");
}

/// A value without what the tools write differently.
fn alike(value: &Value) -> Value {
    match value {
        Value::Object(members) => members.iter().map(|(key, value)| (key.clone(), alike(value))).collect(),
        Value::Array(items) => items.iter().map(alike).collect(),
        Value::String(text) => {
            let text = text.trim_end();
            let guid = text.trim_matches(['{', '}']);
            let is_guid = guid.len() == 36 && guid.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit());
            let is_time = text.len() > 20 && text.ends_with('Z') && text.as_bytes()[19] == b'.';
            Value::from(match (is_guid, is_time) {
                (true, _) => guid.to_ascii_lowercase(),
                (_, true) => text[..text.len().min(27) - 1].trim_end_matches('0').to_owned(),
                _ => text.to_owned(),
            })
        }
        other => other.clone(),
    }
}

pub(crate) const FILE_HEADER_LEN: usize = 4096;
pub(crate) const CHUNK_LEN: usize = 65_536;
pub(crate) const CHUNK_HEADER_LEN: usize = 512;
/// A record ends in a copy of its length, which says nothing new.
const SIZE_COPY_LEN: usize = 4;

fn number(bytes: &[u8], at: usize) -> usize {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize
}

/// Id, start and end of every record of a sound log, told by the framing alone.
fn framing(log: &[u8]) -> Vec<(u64, usize, usize)> {
    let mut records = Vec::new();
    for start in (FILE_HEADER_LEN..log.len()).step_by(CHUNK_LEN) {
        let chunk = &log[start..(start + CHUNK_LEN).min(log.len())];
        if !chunk.starts_with(b"ElfChnk\0") {
            continue;
        }
        let mut at = CHUNK_HEADER_LEN;
        while at < number(chunk, 48) {
            let id = u64::from_le_bytes(chunk[at + 8..at + 16].try_into().unwrap());
            let len = number(chunk, at + 4);
            records.push((id, start + at, start + at + len));
            at += len;
        }
    }
    records
}

/// Some small logs whose records can all be read. The first one is our own.
fn samples() -> Vec<(String, Vec<u8>)> {
    let own = log::log();
    let ids: Vec<u64> = framing(&own).iter().map(|(id, ..)| *id).collect();
    assert_eq!(scan_log(&own), (ids, vec![]));
    let mut samples = vec![("our own".to_owned(), own)];
    let Some(folder) = corpus("evtx-attack-samples") else { return samples };
    for file in files(&folder, "evtx") {
        let log = std::fs::read(&file).unwrap();
        if log.len() > FILE_HEADER_LEN + 4 * CHUNK_LEN {
            continue;
        }
        let ids: Vec<u64> = framing(&log).iter().map(|(id, ..)| *id).collect();
        if scan_log(&log).0 == ids {
            samples.push((file.display().to_string(), log));
        }
    }
    assert!(samples.len() >= 10, "{} samples are no test", samples.len());
    samples
}

struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }
}

/// Cut off anywhere: every record that is wholly there is read, and the cut is an error.
#[test]
fn cut_off_at_any_byte() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for (name, log) in samples().iter().step_by(10) {
        let records = framing(log);
        let mut cuts: Vec<usize> =
            (0..log.len()).step_by(4096).chain([1, 7, 8, 100, 4095, 4097, 4104, 4607, 4608, 4609]).collect();
        cuts.extend((0..40).map(|_| random.below(log.len())));
        cuts.extend(
            records.iter().step_by(9).flat_map(|(_, start, end)| [*start, start + 1, start + 24, end - 1, *end]),
        );
        for cut in cuts {
            let (read, errors) = scan_log(&log[..cut]);
            let whole: Vec<u64> =
                records.iter().filter(|(_, _, end)| *end - SIZE_COPY_LEN <= cut).map(|(id, ..)| *id).collect();
            assert_eq!(read, whole, "{name} cut at {cut}: {errors:?}");
            // Between two chunks, the header's count of them tells.
            let chunks = usize::from(log[42]) | usize::from(log[43]) << 8;
            let is_whole =
                cut >= FILE_HEADER_LEN + chunks * CHUNK_LEN && (cut - FILE_HEADER_LEN).is_multiple_of(CHUNK_LEN);
            let at_seam = cut == 0 || is_whole;
            // What is cut off behind the last chunk that was used is no loss.
            let unused = cut > FILE_HEADER_LEN + chunks * CHUNK_LEN
                && log[FILE_HEADER_LEN + (cut - FILE_HEADER_LEN) / CHUNK_LEN * CHUNK_LEN..cut]
                    .iter()
                    .all(|byte| *byte == 0);
            assert_eq!(errors.is_empty(), at_seam || unused, "{name} cut at {cut}: {errors:?}");
            assert!(errors.len() <= 2, "{name} cut at {cut}: {errors:?}");
        }
    }
}

/// Damage to headers hides no record.
#[test]
fn damaged_headers() {
    let (mut cases, samples) = (0, samples());
    for (name, log) in samples.iter().step_by(2) {
        let ids: Vec<u64> = framing(log).iter().map(|(id, ..)| *id).collect();
        let first = &log[FILE_HEADER_LEN..FILE_HEADER_LEN + CHUNK_LEN];
        // What is left of an earlier use of the file is told from records by the header alone.
        let is_new = !first[number(first, 48)..].windows(4).any(|window| window == b"\x2a\x2a\0\0");
        let damages = [
            ("file signature", 0, 8, "no signature", true),
            ("file header", 8, 120, "checksum is wrong", true),
            ("the whole file header", 0, FILE_HEADER_LEN, "no signature", true),
            ("chunk signature", FILE_HEADER_LEN, FILE_HEADER_LEN + 8, "no signature", true),
            ("record ids", FILE_HEADER_LEN + 8, FILE_HEADER_LEN + 40, "not what was written", is_new),
            ("offsets", FILE_HEADER_LEN + 44, FILE_HEADER_LEN + 52, "not what was written", is_new),
            ("tables", FILE_HEADER_LEN + 128, FILE_HEADER_LEN + 512, "not what was written", true),
            ("checksum", FILE_HEADER_LEN + 52, FILE_HEADER_LEN + 56, "not what was written", true),
        ];
        for (what, from, to, expected, _) in damages.into_iter().filter(|(.., applies)| *applies) {
            for fill in [0x00, 0x5a, 0xff] {
                let mut damaged = log.clone();
                damaged[from..to].fill(fill);
                let (read, errors) = scan_log(&damaged);
                assert_eq!(read, ids, "{name}, {what} {fill:#x}: {errors:?}");
                let told = matches!(&errors[..], [(_, text)] if text.contains(expected));
                assert!(told, "{name}, {what} {fill:#x}: {errors:?}");
                cases += usize::from(from > FILE_HEADER_LEN);
            }
        }
    }
    assert!(cases >= 20, "{cases} cases are no test");
}

/// A damaged record is an error, and the other records are read.
#[test]
fn damaged_records() {
    for (name, log) in samples().iter().step_by(7) {
        let records = framing(log);
        // Records behind the first ones: those hold the templates that others need.
        for (position, (id, start, end)) in records.iter().enumerate().skip(records.len() / 2).step_by(7) {
            for (what, from, to) in
                [("signature", *start, start + 4), ("length", start + 4, start + 8), ("all of it", *start, *end)]
            {
                let mut damaged = log.clone();
                damaged[from..to].fill(0xee);
                let (read, errors) = scan_log(&damaged);
                let mut others: Vec<u64> = records.iter().map(|(id, ..)| *id).collect();
                others.remove(position);
                // Records whose template stood in the damaged one cannot be read, and are errors.
                others
                    .retain(|other| !errors.iter().any(|(record, text)| record == other && text.contains("template")));
                assert_eq!(read, others, "{name}, {what} of {id}: {errors:?}");
                let checksum = errors.iter().filter(|(_, text)| text.contains("checksum of its records")).count();
                assert_eq!(checksum, 1, "{name}: {errors:?}");
                let record =
                    errors.iter().filter(|(record, text)| record == id && text.contains("a record is damaged"));
                assert_eq!(record.count(), 1, "{name}, {what} of {id}: {errors:?}");
                let lost = records.len() - others.len();
                assert_eq!(errors.len(), lost + checksum, "{name}, {what} of {id}: {errors:?}");
            }
        }
    }
}

/// Bytes changed at random, whole stretches overwritten: no panic gets out, chunks without damage are whole.
#[test]
fn random_damage() {
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    for (name, log) in samples().iter().step_by(3) {
        let records = framing(log);
        for _ in 0..15 {
            let mut damaged = log.clone();
            let chunk = FILE_HEADER_LEN + random.below((log.len() - FILE_HEADER_LEN) / CHUNK_LEN) * CHUNK_LEN;
            for _ in 0..=random.below(30) {
                let at = chunk + random.below(CHUNK_LEN);
                let len = [1, 1, 1, 4, 300][random.below(5)].min(chunk + CHUNK_LEN - at);
                let fill = [0, 0xff, random.below(256) as u8][random.below(3)];
                damaged[at..at + len].fill(fill);
            }
            let (read, _) = scan_log(&damaged);
            for (id, start, _) in &records {
                if !(chunk..chunk + CHUNK_LEN).contains(start) {
                    assert!(read.contains(id), "{name}: record {id} outside the damaged chunk is lost");
                }
            }
        }
    }
}
