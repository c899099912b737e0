//! Our own rules over generated events: values made from the rules' own, and from what engines stumble over.

use std::collections::BTreeSet;

use bytes::Bytes;
use serde_json::{Map, Value, json};
use trapline::source::{Payload, Position, RawEvent, SourceId};
use trapline_peers::cause::Cause;
use trapline_peers::compare::{Engines, Report, Who};
use trapline_peers::engines::Peer;
use trapline_peers::judge::plain_texts;
use trapline_peers::route::Table;

const TABLE: &str = "
logsources:
  process: { category: process_creation, product: windows, conditions: { EventID: 1 }, rewrite: { service: sysmon } }
  network: { category: network_connection, product: windows, conditions: { EventID: 3 }, rewrite: { service: sysmon } }
  sysmon: { product: windows, service: sysmon, sources: ['WinEventLog:Microsoft-Windows-Sysmon/Operational'] }
  application: { product: windows, service: application, sources: ['WinEventLog:Application'] }
";

/// Events by kind; a hundred times as many with PEERS_SCALE=100.
const EVENTS: usize = 4000;

struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % bound.max(1)
    }

    fn of<'t, T>(&mut self, items: &'t [T]) -> &'t T {
        &items[self.below(items.len())]
    }
}

/// Every rule of the file, with its category.
fn rules() -> Vec<(String, String, Value)> {
    let file: Value = serde_norway::from_str(include_str!("rules.yml")).unwrap();
    let kinds = file.as_object().unwrap().iter();
    kinds
        .flat_map(|(kind, rules)| {
            let rules = rules.as_object().unwrap().iter();
            rules.map(move |(name, detection)| (kind.clone(), name.clone(), detection.clone()))
        })
        .collect()
}

fn engines() -> Engines {
    let file = |(number, (kind, name, detection)): (usize, (String, String, Value))| {
        let source = match kind.as_str() {
            "none" => json!({ "product": "windows", "service": "application" }),
            category => json!({ "product": "windows", "category": category }),
        };
        let id = format!("00000000-0000-4000-8000-{number:012}");
        let rule = json!({ "title": name, "id": id, "level": "low", "logsource": source, "detection": detection });
        (format!("{number:03}.yml"), rule.to_string())
    };
    Engines::new(rules().into_iter().enumerate().map(file).collect(), Table::read(TABLE).unwrap()).unwrap()
}

/// Values that the rules of a kind ask of each field, keywords under `Data`.
fn asked(kind: &str) -> Vec<(String, Vec<Value>)> {
    fn collect(value: &Value, field: &str, into: &mut Vec<(String, Vec<Value>)>) {
        match value {
            Value::Object(map) => map.iter().for_each(|(key, value)| {
                collect(value, key.split('|').next().filter(|name| !name.is_empty()).unwrap_or("Data"), into);
            }),
            Value::Array(list) => list.iter().for_each(|value| collect(value, field, into)),
            value => match into.iter_mut().find(|(known, _)| known == field) {
                Some((_, values)) => values.push(value.clone()),
                None => into.push((field.to_owned(), vec![value.clone()])),
            },
        }
    }
    let mut into = Vec::new();
    for (_, _, detection) in rules().into_iter().filter(|(known, ..)| known == kind) {
        for search in detection.as_object().unwrap().iter().filter(|(name, _)| *name != "condition") {
            match search.1 {
                Value::Object(_) | Value::Array(_) => collect(search.1, "Data", &mut into),
                _ => {}
            }
        }
    }
    into
}

const OTHERS: [&str; 39] = [
    "",
    "-",
    "?",
    "C:\\A.EXE",
    "C:\\dir\\x",
    "\\??\\C:\\a.exe",
    "\\\\?\\UNC\\host\\C$",
    "C:\\dirx",
    "C:\\Users\\bob\\pwsh.exe",
    "pwsh.exe",
    "one two",
    "one\ntwo",
    "two\none",
    "a\nb",
    "a*b",
    "bce",
    "x aHR0cA==",
    "x //5nAG8A",
    "x AG4AZQB0",
    "cmd /c",
    "two",
    "x?y",
    "q\\*",
    "\\\\share",
    "powershell -enc x",
    "cmd /c x",
    "cmd \u{2013}c x",
    "x \u{2015}accepteula",
    "GRÖSSE größe",
    "ΛΌΓΟΣ",
    "SQBFAFgA aAB0AHQAcAA=",
    "x aWV4 SUVY",
    "aQBlAHgA AGkAZQB4AA",
    "b\u{e9}",
    "10.1.2.3",
    "::ffff:10.1.2.3",
    "fe80::1%7",
    "4711",
    "\\\\host\\C$",
];

const TIMES: [&str; 5] = [
    "2026-02-03T04:05:06Z",
    "2026-02-03T01:45:06.5+02:00",
    "2025-12-31 23:59:59",
    "2025-03-13T23:59:59+09:00",
    "at four",
];

fn text(random: &mut Random, known: &[Value]) -> String {
    let first = random.below(known.len());
    let mut text = match random.below(3) {
        0 => random.of(&OTHERS).to_string(),
        // What must all occur stands together in the rules, and may do so here.
        _ => {
            let some = known.iter().skip(first).take(1 + random.below(2));
            some.flat_map(plain_texts).collect::<Vec<_>>().join(*random.of(&["", " ", "x"]))
        }
    };
    for _ in 0..random.below(4) {
        let filler = random.of(&["", "x", " ", "\\", "ab", "b", "\n", "-", "é"]).to_string();
        text = match random.below(9) {
            0 => text.to_uppercase(),
            1 => text.to_lowercase(),
            2 => text.replacen('*', &filler, 1),
            3 => text.replacen('?', &filler, 1),
            4 => text.replace('\\', "\\\\"),
            5 => text.replace("\\\\", "\\"),
            6 => text.replacen(
                ['-', '/', '\u{2013}'],
                random.of::<&str>(&["-", "/", "\u{2013}", "\u{2014}", "\u{2015}"]),
                1,
            ),
            7 => format!("{filler}{text}"),
            _ => format!("{text}{filler}"),
        };
    }
    text
}

fn value(random: &mut Random, known: &[Value]) -> Value {
    let text = text(random, known);
    match (random.below(12), text.parse::<i64>()) {
        (0, _) => Value::Null,
        (1, _) => json!(random.below(2) == 0),
        (2..8, Ok(number)) => json!(number),
        _ => json!(text),
    }
}

fn event(random: &mut Random, kind: &str, asked: &[(String, Vec<Value>)]) -> Value {
    let mut data = Map::new();
    for (field, known) in asked {
        if random.below(4) == 0 || ["Channel", "Provider_Name", "EventID"].contains(&field.as_str()) {
            continue;
        }
        // Windows has several values where values have no names; whoever forwards may have them everywhere.
        let value = match random.below(12) {
            0..4 if field == "Data" => json!({ "#text": [text(random, known), text(random, known)] }),
            4..8 if field == "Data" => json!({ "#text": text(random, known) }),
            0..8 if field == "Time" => json!(random.of(&TIMES)),
            8 if kind == "none" => json!([value(random, known), text(random, known)]),
            _ => value(random, known),
        };
        let name = if field == "ThreatName" { "Threat Name" } else { field };
        data.insert(name.to_owned(), value);
    }
    let sysmon = ["Microsoft-Windows-Sysmon", "Microsoft-Windows-Sysmon/Operational"];
    let ([provider, channel], id) = match kind {
        "process_creation" => (sysmon, 1),
        "network_connection" => (sysmon, 3),
        _ => (["App", *random.of(&["Application", "APPLICATION"])], 7),
    };
    json!({ "Event": {
        "System": {
            "Provider": { "#attributes": { "Name": provider } },
            "EventID": id,
            "Channel": channel,
            "Computer": "host",
            "TimeCreated": { "#attributes": { "SystemTime": "2026-03-01T10:00:00Z" } },
        },
        "EventData": data,
    }})
}

#[test]
fn engines_differ_on_generated_events_for_known_causes_only() {
    let scale: usize = std::env::var("PEERS_SCALE").map_or(1, |text| text.parse().unwrap());
    let mut engines = engines();
    assert!(engines.open.is_empty(), "{:?}", engines.open);
    assert!(engines.refused.is_empty(), "{:?}", engines.refused);
    let mut random = Random(0x5eed);
    let mut report = Report::default();
    for kind in ["process_creation", "network_connection", "none"] {
        let asked = asked(kind);
        for number in 0..EVENTS * scale {
            let text = event(&mut random, kind, &asked).to_string();
            let raw = RawEvent {
                source: SourceId(0),
                sequence: number as u64,
                position: Position { file: kind.into(), record: number as u64 },
                payload: Payload::Json(Bytes::from(text)),
            };
            engines.compare_raw(raw, &mut report);
        }
    }
    assert_eq!(report.bugs, Vec::<String>::new());
    // One of each rule and engine.
    let mut unexplained = report.unexplained();
    unexplained.dedup_by_key(|difference| (difference.rule, difference.who, difference.extra));
    let shown = unexplained.into_iter().map(|difference| {
        format!("{}: {} {difference:?}", engines.rules[difference.rule].title, difference.who.name())
    });
    let shown: Vec<String> = shown.collect();
    assert!(shown.is_empty(), "{shown:#?}");
    let found = |who: Who| -> BTreeSet<&Cause> {
        let of = report.differences.keys().filter(|difference| difference.who == who);
        of.flat_map(|difference| &difference.causes).collect()
    };
    for who in Who::ALL {
        println!("{}: {} hits", who.name(), report.total(who));
        for cause in found(who) {
            let of = report.differences.keys().filter(|known| known.who == who && known.causes.contains(cause));
            let rules: BTreeSet<&str> = of.map(|known| engines.rules[known.rule].title.as_str()).collect();
            println!("  {cause}: {rules:?}");
        }
    }
    // Each rule has matched and not matched, or the events are worth nothing.
    let hits = |number: usize| -> u64 {
        let of = report.hits.iter().filter(|((_, rule), _)| *rule == number);
        of.filter_map(|(_, hits)| hits.get(&Who::Specification)).sum()
    };
    let idle = engines.rules.iter().enumerate().filter(|(number, _)| {
        let hits = hits(*number);
        hits == 0 || hits >= (EVENTS * scale) as u64
    });
    let idle: Vec<&str> = idle.map(|(_, rule)| rule.title.as_str()).collect();
    assert!(idle.is_empty(), "{idle:?}");
    assert_eq!(found(Who::Trapline), BTreeSet::from([&Cause::Normalised]));
    assert!(found(Who::Peer(Peer::Rsigma)).len() > 3 && found(Who::Peer(Peer::SigmaRust)).len() > 6);
}
