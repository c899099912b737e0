//! Windows event logs. There is none of our own making, so these tests need recorded ones.

use serde_json::Value;

use crate::support::{corpus, files, read_all};

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
