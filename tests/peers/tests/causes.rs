//! Each cause of a difference in its least form: what the specification says, who differs, and that the cause is found.
//!
//! Trapline agrees with the specification in every case but those where it says so itself: they are listed last.

use std::collections::BTreeSet;

use bytes::Bytes;
use serde_json::{Value, json};
use trapline::source::{Payload, Position, RawEvent, SourceId};
use trapline_peers::cause::Cause;
use trapline_peers::compare::{Engines, Report, Who};
use trapline_peers::engines::Peer;
use trapline_peers::route::Table;

const RSIGMA: Who = Who::Peer(Peer::Rsigma);
const SIGMA_RUST: Who = Who::Peer(Peer::SigmaRust);

const TABLE: &str = "
logsources:
  process: { category: process_creation, product: windows, conditions: { EventID: 1 }, rewrite: { service: sysmon } }
  audit:
    category: process_creation
    product: windows
    conditions: { EventID: 4688 }
    rewrite: { service: security }
    fieldmappings: { Image: NewProcessName, ParentImage: ParentProcessName }
  sysmon: { product: windows, service: sysmon, sources: ['WinEventLog:Microsoft-Windows-Sysmon/Operational'] }
  security: { product: windows, service: security, sources: ['WinEventLog:Security'] }
  application: { product: windows, service: application, sources: ['WinEventLog:Application'] }
";

const PROCESS: &str = "{ product: windows, category: process_creation }";
const APPLICATION: &str = "{ product: windows, service: application }";

fn windows(provider: &str, channel: &str, id: u32, data: &Value) -> Value {
    let system = json!({ "Provider": { "#attributes": { "Name": provider } }, "EventID": id, "Channel": channel });
    json!({ "Event": { "System": system, "EventData": data } })
}

fn sysmon(data: &Value) -> Value {
    windows("Microsoft-Windows-Sysmon", "Microsoft-Windows-Sysmon/Operational", 1, data)
}

fn application(data: &Value) -> Value {
    windows("App", "Application", 7, data)
}

/// Asserts what the specification says, and who differs from it for which causes.
#[track_caller]
fn check(source: &str, detection: &str, event: &Value, wanted: bool, differing: &[(Who, &[Cause])]) {
    let id = "5c2f1f0e-6d5b-4c39-9d5e-0b9f4f6c7d10";
    let rule = format!("title: A rule\nid: {id}\nlevel: low\nlogsource: {source}\ndetection:\n{detection}\n");
    let mut engines = Engines::new(vec![("rule.yml".into(), rule)], Table::read(TABLE).unwrap()).unwrap();
    assert!(engines.open.is_empty(), "{:?}", engines.open);
    let position = Position { file: "events".into(), record: 1 };
    let payload = Payload::Json(Bytes::from(event.to_string()));
    let mut report = Report::default();
    engines.compare_raw(RawEvent { source: SourceId(0), sequence: 0, position, payload }, &mut report);
    assert_eq!(report.bugs, Vec::<String>::new(), "{detection}");
    assert_eq!(report.total(Who::Specification) > 0, wanted, "{detection}\n{event}");
    let found: Vec<(Who, BTreeSet<Cause>)> =
        report.differences.into_keys().map(|difference| (difference.who, difference.causes)).collect();
    let differing: Vec<(Who, BTreeSet<Cause>)> =
        differing.iter().map(|(who, causes)| (*who, causes.iter().cloned().collect())).collect();
    assert_eq!(found, differing, "{detection}\n{event}");
}

#[test]
fn null_and_absent() {
    let filter = "  s: { Image: '*' }\n  f: { ParentImage: null }\n  condition: s and not f";
    let event = sysmon(&json!({ "Image": "a" }));
    check(PROCESS, filter, &event, false, &[(SIGMA_RUST, &[Cause::NullOfAbsent])]);
    let exists = "  s: { ParentImage|exists: false }\n  condition: s";
    check(PROCESS, exists, &event, true, &[]);
    let listed = "  s: { ParentImage: [null, '-'] }\n  condition: s";
    let null: &[Cause] = &[Cause::NullOfAbsent];
    check(PROCESS, listed, &event, true, &[(RSIGMA, null), (SIGMA_RUST, null)]);
    let neq = "  s: { ParentImage|neq: x }\n  condition: s";
    let refused = Cause::Refused("Unknown field modifier 'neq' provided".to_owned());
    check(PROCESS, neq, &event, true, &[(RSIGMA, &[Cause::NeqOfAbsent]), (SIGMA_RUST, &[refused])]);
    // Only the presence counts, not the value.
    let null = sysmon(&json!({ "Extra": null }));
    let there = "  s: { Extra|exists: true }\n  condition: s";
    check(PROCESS, there, &null, true, &[(RSIGMA, &[Cause::NullWritten])]);
    let written = sysmon(&json!({ "Image": "a", "Extra": false }));
    let exists = "  s: { Extra|exists: false }\n  condition: s";
    check(PROCESS, exists, &written, false, &[(SIGMA_RUST, &[Cause::ExistsAsValue])]);
}

#[test]
fn several_values() {
    let event = application(&json!({ "Data": { "#text": ["first", "second"] } }));
    let any = "  s: { Data|endswith: 'cond' }\n  condition: s";
    check(APPLICATION, any, &event, true, &[(SIGMA_RUST, &[Cause::SeveralValues])]);
    let not = "  s: { Channel: Application }\n  f: { Data: first }\n  condition: s and not f";
    check(APPLICATION, not, &event, false, &[(SIGMA_RUST, &[Cause::SeveralValues])]);
    let all = "  s: { Data|contains|all: [first, second] }\n  condition: s";
    check(APPLICATION, all, &event, true, &[(SIGMA_RUST, &[Cause::SeveralValues])]);
}

#[test]
fn numbers_and_truth() {
    let port = "  s: { Port: 3389 }\n  condition: s";
    let event = application(&json!({ "Port": "3389" }));
    check(APPLICATION, port, &event, true, &[(SIGMA_RUST, &[Cause::NumberAndText])]);
    let truth = "  s: { Initiated: true }\n  condition: s";
    let event = application(&json!({ "Initiated": "true" }));
    check(APPLICATION, truth, &event, true, &[(SIGMA_RUST, &[Cause::TruthAndText])]);
}

#[test]
fn dashes() {
    let slash = "  s: { CommandLine|windash|contains: ' /accepteula' }\n  condition: s";
    let event = sysmon(&json!({ "CommandLine": "x -accepteula" }));
    check(PROCESS, slash, &event, true, &[(RSIGMA, &[Cause::Windash])]);
    let two = "  s: { CommandLine|windash|contains: '-a -b' }\n  condition: s";
    let event = sysmon(&json!({ "CommandLine": "x /a \u{2013}b" }));
    check(PROCESS, two, &event, true, &[(SIGMA_RUST, &[Cause::Windash])]);
    // No flag begins inside of a word.
    let within = "  s: { CommandLine|windash: 'a-b' }\n  condition: s";
    let event = sysmon(&json!({ "CommandLine": "a/b" }));
    check(PROCESS, within, &event, false, &[(RSIGMA, &[Cause::Windash])]);
}

#[test]
fn wildcards_and_line_breaks() {
    let lines = "  s: { CommandLine: 'one*two' }\n  condition: s";
    let event = sysmon(&json!({ "CommandLine": "one\ntwo" }));
    check(PROCESS, lines, &event, true, &[(RSIGMA, &[Cause::LineBreaks])]);
    let tail = "  s: { CommandLine: '*ab?b' }\n  condition: s";
    let event = sysmon(&json!({ "CommandLine": "abxabxb" }));
    check(PROCESS, tail, &event, true, &[(SIGMA_RUST, &[Cause::Wildcards])]);
    let letters = "  s: { CommandLine|contains: 'λόγος' }\n  condition: s";
    let event = sysmon(&json!({ "CommandLine": "ΛΌΓΟΣ" }));
    check(PROCESS, letters, &event, true, &[(SIGMA_RUST, &[Cause::CaseBeyondAscii])]);
}

#[test]
fn conditions() {
    let them = "  a: { CommandLine: x }\n  _b: { CommandLine: y }\n  condition: all of them";
    let event = sysmon(&json!({ "CommandLine": "x" }));
    check(PROCESS, them, &event, true, &[(SIGMA_RUST, &[Cause::Condition])]);
    let several = "  a: { CommandLine: x }\n  b: { CommandLine: y }\n  condition: [a, b]";
    let refused = "detection.condition: invalid type: sequence, expected a string".to_owned();
    check(PROCESS, several, &event, true, &[(SIGMA_RUST, &[Cause::Refused(refused)])]);
    let two = "  s1: { CommandLine: x }\n  s2: { CommandLine: '?' }\n  s3: { CommandLine: y }\n  condition: 2 of s*";
    let refused = "Encountered invalid operator 'of' in condition".to_owned();
    check(PROCESS, two, &event, true, &[(SIGMA_RUST, &[Cause::Refused(refused)])]);
}

#[test]
fn keywords() {
    let any = "  s: [mimikatz]\n  condition: s";
    let event = application(&json!({ "A": "ran mimikatz now" }));
    check(APPLICATION, any, &event, true, &[(SIGMA_RUST, &[Cause::KeywordsAnywhere])]);
    let all = "  s: { '|all': [mimi, ran] }\n  condition: s";
    let differing: [(Who, &[Cause]); 2] = [(RSIGMA, &[Cause::KeywordsAnywhere]), (SIGMA_RUST, &[Cause::KeywordsAll])];
    check(APPLICATION, all, &event, true, &differing);
    let number = "  s: ['4711']\n  condition: s";
    let event = application(&json!({ "A": 4711 }));
    check(APPLICATION, number, &event, true, &[(RSIGMA, &[Cause::NumberAndText])]);
}

#[test]
fn other_fields_and_flags() {
    let insensitive = "  s: { CommandLine|re|i: '^POWER' }\n  condition: s";
    let event = sysmon(&json!({ "CommandLine": "powershell" }));
    let refused = Cause::Refused("Unknown field modifier 'i' provided".to_owned());
    // PCRE, which the specification names, lets `$` hold before a line break that ends the text.
    let end = "  s: { CommandLine|re: 'shell$' }\n  condition: s";
    let ended = sysmon(&json!({ "CommandLine": "powershell\n" }));
    check(PROCESS, end, &ended, true, &[(RSIGMA, &[Cause::EndOfText]), (SIGMA_RUST, &[Cause::EndOfText])]);
    check(PROCESS, insensitive, &event, true, &[(SIGMA_RUST, &[refused])]);
}

#[test]
fn times() {
    let hour = "  s: { Time|hour: 1 }\n  condition: s";
    let event = application(&json!({ "Time": "2026-02-03T01:45:06+02:00" }));
    let refused = Cause::Refused("Unknown field modifier 'hour' provided".to_owned());
    check(APPLICATION, hour, &event, true, &[(RSIGMA, &[Cause::TimeOffset]), (SIGMA_RUST, &[refused])]);
}

#[test]
fn names_and_channels() {
    let threat = "  s: { ThreatName|contains: Tool }\n  condition: s";
    let event = application(&json!({ "Threat Name": "HackTool" }));
    let blanks: &[Cause] = &[Cause::BlanksInNames];
    check(APPLICATION, threat, &event, true, &[(RSIGMA, blanks), (SIGMA_RUST, blanks)]);
    let any = "  s: { EventID: 7 }\n  condition: s";
    let event = windows("App", "APPLICATION", 7, &json!({}));
    let spelling: &[Cause] = &[Cause::ChannelSpelling];
    check(APPLICATION, any, &event, true, &[(RSIGMA, spelling), (SIGMA_RUST, spelling)]);
}

/// Where Trapline says more than the text does, by its own documentation.
#[test]
fn what_trapline_reads_into_events() {
    let pid = "  s: { ProcessId: 16 }\n  condition: s";
    let event = sysmon(&json!({ "ProcessId": "0x10" }));
    check(PROCESS, pid, &event, false, &[(Who::Trapline, &[Cause::Normalised])]);
    let path = "  s: { Image: 'C:\\a.exe' }\n  condition: s";
    let event = sysmon(&json!({ "Image": "\\??\\C:\\a.exe" }));
    check(PROCESS, path, &event, false, &[(Who::Trapline, &[Cause::Normalised])]);
    let audit = |data: &Value| windows("Microsoft-Windows-Security-Auditing", "Security", 4688, data);
    let logon = "  s: { LogonId: '0x3e7' }\n  condition: s";
    let event = audit(&json!({ "NewProcessName": "a", "SubjectLogonId": "0x3e7" }));
    check(PROCESS, logon, &event, false, &[(Who::Trapline, &[Cause::AuditAlias])]);
    let image = "  s: { Image: a }\n  condition: s";
    check(PROCESS, image, &event, true, &[]);
}
