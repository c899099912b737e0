//! The shapes of JSON: the same Windows events from every kind of writer, and what ECS leaves to be derived.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Value, json};
use trapline_programs::catalogue::catalogue;
use trapline_vm::record::{Layouts, RECORD_LEN_MAX, RecordView, RecordWriter, Slot, state};

use crate::support::{Outcome, Seen, each, read_all, read_bytes};

fn shape(name: &str) -> Outcome {
    read_all(&[Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/shapes").join(name)])
}

const SHAPES: [&str; 5] = ["flat.jsonl", "winlog.json", "winlog-dotted.jsonl", "nested.json", "nested-elements.jsonl"];

#[track_caller]
fn check(event: &Seen, expected: &[(&str, Value)]) {
    for (path, value) in expected {
        assert_eq!(event.at(path), value, "{path} of {}:{}", event.file, event.record);
    }
}

#[test]
fn a_process_start_is_the_same_in_every_shape() {
    for name in SHAPES {
        let outcome = shape(name);
        assert_eq!(outcome.errors(), [], "{name}");
        assert_eq!(outcome.events.len(), 2, "{name}");
        let event = &outcome.events[0];
        assert_eq!((event.class.as_str(), event.profile.as_str()), ("process.exec", "sysmon"), "{name}");
        assert_eq!(event.time_ns, 1_773_480_612_345_000_000, "{name}");
        let digits = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
        check(
            event,
            &[
                ("@timestamp", json!("2026-03-14T09:30:12.345Z")),
                ("process.name", json!("whoami.exe")),
                ("process.executable", json!(r"C:\Windows\System32\whoami.exe")),
                ("process.args", json!([r"C:\Windows\System32\whoami.exe", "/priv", "two words"])),
                ("process.pid", json!(4242)),
                ("process.parent.name", json!("cmd.exe")),
                ("process.hash.sha256", json!(digits)),
                ("process.integrity_level", json!("high")),
                ("user.name", json!("ada")),
                ("user.domain", json!("EXAMPLE")),
                ("host.name", json!("WS-014.example.org")),
                ("host.os.type", json!("windows")),
                ("winlog.event_id", json!(1)),
                ("winlog.record_id", json!(771)),
                ("winlog.channel", json!("Microsoft-Windows-Sysmon/Operational")),
                ("winlog.process.pid", json!(3120)),
                ("winlog.event_data.OriginalFileName", json!("whoami.exe")),
                ("winlog.event_data.ProcessId", json!("4242")),
                ("winlog.event_data.RuleName", json!("-")),
            ],
        );
    }
}

#[test]
fn a_logon_is_the_same_in_every_shape() {
    for name in SHAPES {
        let event = &shape(name).events[1];
        assert_eq!(
            (event.class.as_str(), event.profile.as_str()),
            ("authentication.login", "windows-security"),
            "{name}"
        );
        assert_eq!(event.time_ns, 1_773_480_598_500_000_000, "{name}");
        check(
            event,
            &[
                ("event.outcome", json!("success")),
                ("logon.type", json!(10)),
                ("logon.elevated", json!(true)),
                ("source.ip", json!("192.0.2.77")),
                ("source.port", json!(50112)),
                ("process.pid", json!(1234)),
                ("winlog.event_data.LogonProcessName", json!("User32 ")),
                ("winlog.event_data.TargetUserName", json!("ada")),
            ],
        );
        assert!(event.at("winlog.channel").as_str().is_some_and(|channel| channel.eq_ignore_ascii_case("Security")));
    }
}

#[test]
fn positions_are_the_lines_where_objects_begin() {
    assert_eq!(shape("flat.jsonl").records(), [1, 2]);
    let lines = |name: &str, start: &str| -> Vec<u64> {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/shapes").join(name);
        let text = std::fs::read_to_string(path).unwrap();
        (1..).zip(text.lines()).filter(|(_, line)| *line == start).map(|(number, _)| number).collect()
    };
    assert_eq!(shape("nested.json").records(), lines("nested.json", "{"));
    assert_eq!(shape("winlog.json").records(), lines("winlog.json", "  {"));
}

fn one(event: &Value) -> Seen {
    let outcome = read_bytes("one.json", event.to_string().as_bytes());
    assert_eq!(outcome.errors(), []);
    assert_eq!(outcome.events.len(), 1);
    outcome.events.into_iter().next().unwrap()
}

/// A Sysmon event in the flat shape, with this id and data.
fn sysmon(id: u32, data: Value) -> Seen {
    let mut event = json!({"EventID": id, "Channel": "Microsoft-Windows-Sysmon/Operational",
        "SourceName": "Microsoft-Windows-Sysmon", "Hostname": "WS-014.example.org"});
    for (key, value) in data.as_object().unwrap() {
        event[key] = value.clone();
    }
    one(&event)
}

#[test]
fn the_event_type_of_nxlog_does_not_hide_that_of_sysmon() {
    let class = |data: Value| sysmon(12, data).class;
    assert_eq!(class(json!({"EventType": "DeleteKey"})), "registry.delete");
    assert_eq!(
        class(json!({"EventType": "INFO", "Message": "x:\r\nEventType: DeleteKey\r\nUtcTime: -"})),
        "registry.delete"
    );
    assert_eq!(class(json!({"EventType": "INFO", "Message": "x:\r\nEventType: CreateKey"})), "registry.create");
    assert_eq!(sysmon(12, json!({"EventType": "INFO"})).at("winlog.event_data.EventType"), &Value::Null);
}

#[test]
fn channel_and_provider_in_any_case() {
    let event = one(&json!({"EventID": 1, "Channel": "MICROSOFT-WINDOWS-SYSMON/OPERATIONAL",
        "SourceName": "microsoft-windows-sysmon", "Image": "C:\\a.exe"}));
    assert_eq!(event.class, "process.exec");
}

#[test]
fn unknown_windows_events_are_generic_and_readable() {
    let event =
        one(&json!({"Event": {"System": {"Provider": {"#attributes": {"Name": "Example-Vendor"}}, "EventID": 77,
        "Channel": "Example/Log", "Computer": "WS-014.example.org"},
        "EventData": {"Threat Name": "x", "Count": 3, "Flag": true, "Empty": null, "None": ""}}}));
    assert_eq!((event.class.as_str(), event.profile.as_str()), ("generic.log", "windows"));
    check(
        &event,
        &[
            ("winlog.event_data.ThreatName", json!("x")),
            ("winlog.event_data.Count", json!("3")),
            ("winlog.event_data.Flag", json!("true")),
            ("winlog.event_data.Empty", Value::Null),
            ("winlog.event_data.None", json!("")),
            ("winlog.event_id", json!(77)),
        ],
    );
    assert_eq!(event.time_ns, 0);
}

#[test]
fn unnamed_data_are_parameters_and_all_together() {
    let system = json!({"Provider": {"Name": "Example"}, "EventID": 900, "Channel": "Application"});
    for data in [
        json!({"Data": {"#text": ["one", "two words", "3"]}}),
        json!({"Data": ["one", "two words", 3]}),
        json!({"Data": [{"#text": "one"}, {"#text": "two words"}, "3"]}),
    ] {
        let event = one(&json!({"Event": {"System": system, "EventData": data}}));
        check(
            &event,
            &[
                ("winlog.event_data.param1", json!("one")),
                ("winlog.event_data.param2", json!("two words")),
                ("winlog.event_data.param3", json!("3")),
                ("winlog.event_data.Data", json!("one\ntwo words\n3")),
            ],
        );
    }
    let event = one(&json!({"Event": {"System": system, "EventData": {"Data": "alone", "Binary": "00FF"}}}));
    check(&event, &[("winlog.event_data.Data", json!("alone")), ("winlog.event_data.param1", json!("alone"))]);
}

#[test]
fn user_data_is_found_at_any_depth_of_the_first() {
    let event = one(&json!({"Event": {"System": {"Provider": {"#attributes": {"Name": "Microsoft-Windows-Eventlog"}},
        "EventID": 1102, "Channel": "Security", "TimeCreated": {"#attributes": {"SystemTime": "2026-03-14T09:00:00Z"}}},
        "UserData": {"LogFileCleared": {"#attributes": {"xmlns": "x"}, "SubjectUserName": "ada",
            "SubjectDomainName": "EXAMPLE", "Deeper": {"Leaf": "leaf"}}}}}));
    assert_eq!(event.class, "log.cleared");
    check(
        &event,
        &[
            ("user.name", json!("ada")),
            ("winlog.user_data.SubjectUserName", json!("ada")),
            ("winlog.user_data.Leaf", json!("leaf")),
        ],
    );
}

#[test]
fn classes_of_ecs_events() {
    let class = |category: &str, types: &[&str], action: &str| {
        one(&json!({"@timestamp": "2026-03-14T09:00:00Z", "event": {"category": [category], "type": types, "action": action}})).class
    };
    for (category, types, action, expected) in [
        ("process", &["start"][..], "exec", "process.exec"),
        ("process", &["start"], "process_started", "process.exec"),
        ("process", &["start"], "fork", "process.fork"),
        ("process", &["end"], "process_stopped", "process.exit"),
        ("process", &["change"], "", "generic.log"),
        ("file", &["creation"], "creation", "file.create"),
        ("file", &["deletion"], "deletion", "file.delete"),
        ("file", &["change"], "rename", "file.rename"),
        ("file", &["change"], "modification", "file.write"),
        ("file", &["change"], "attributes_modified", "file.attribute"),
        ("file", &["access"], "opened-file", "file.open"),
        ("network", &["connection", "start"], "connection_attempted", "network.connect"),
        ("network", &["start"], "connection_accepted", "network.accept"),
        ("network", &["start"], "bound-socket", "network.listen"),
        ("network", &["end"], "disconnect_received", "generic.log"),
        ("registry", &["change"], "modification", "registry.set"),
        ("registry", &["deletion"], "deletion", "registry.delete"),
        ("library", &["start"], "load", "library.load"),
        ("driver", &["start"], "load", "driver.load"),
        ("authentication", &["start"], "logged-in", "authentication.login"),
        ("authentication", &["end"], "user_logout", "authentication.logout"),
        ("iam", &["user", "creation"], "added-user-account", "account.create"),
        ("iam", &["group", "change"], "added-member-to-group", "account.group_member_added"),
        ("malware", &["info"], "", "malware.alert"),
        ("web", &["access"], "", "generic.log"),
    ] {
        assert_eq!(class(category, types, action), expected, "{category} {types:?} {action}");
    }
    assert_eq!(one(&json!({"class": "script.execute"})).class, "script.execute");
    assert_eq!(one(&json!({"trapline": {"class": "wmi.filter"}, "event.category": "file"})).class, "wmi.filter");
    assert_eq!(one(&json!({"class": "of its own"})).class, "generic.log");
    assert_eq!(one(&json!({"event.category": "network", "dns.question.name": "example.org"})).class, "dns.query");
}

#[test]
fn nested_and_dotted_keys_are_the_same() {
    for event in [
        json!({"class": "process.exec", "process": {"parent": {"name": "sshd"}}}),
        json!({"class": "process.exec", "process.parent": {"name": "sshd"}}),
        json!({"class": "process.exec", "process": {"parent.name": "sshd"}}),
        json!({"class": "process.exec", "process.parent.name": "sshd", "process": {"pid": 1}}),
    ] {
        assert_eq!(one(&event).at("process.parent.name"), "sshd", "{event}");
    }
}

#[test]
fn what_other_fields_imply_is_derived() {
    let event = one(&json!({"class": "process.exec", "host.os.type": "linux", "process": {
        "executable": "/usr/bin/bash", "command_line": "bash -c 'echo a  b' \"c d\" e\\ f", "user": {"name": "EXAMPLE\\ada"},
        "parent": {"executable": "/usr/sbin/sshd", "args": ["sshd:", "ada"]},
        "ancestors": [{"executable": "/usr/sbin/sshd"}, {"name": "init"}]}}));
    check(
        &event,
        &[
            ("process.name", json!("bash")),
            ("process.args", json!(["bash", "-c", "echo a  b", "c d", "e f"])),
            ("process.args_count", json!(5)),
            ("process.parent.name", json!("sshd")),
            ("process.parent.command_line", json!("sshd: ada")),
            ("process.parent.args_count", json!(2)),
            ("process.user.name", json!("ada")),
            ("process.user.domain", json!("EXAMPLE")),
            ("process.ancestors", json!([{"executable": "/usr/sbin/sshd", "name": "sshd"}, {"name": "init"}])),
        ],
    );
    let event = one(&json!({"class": "file.create", "file.path": "/tmp/a\\b.tar.gz"}));
    check(
        &event,
        &[("file.name", json!("a\\b.tar.gz")), ("file.extension", json!("gz")), ("file.directory", json!("/tmp"))],
    );
    let event = one(&json!({"class": "file.create", "file.path": "C:\\Users\\ada\\.profile"}));
    check(
        &event,
        &[
            ("file.name", json!(".profile")),
            ("file.extension", Value::Null),
            ("file.directory", json!("C:\\Users\\ada")),
        ],
    );
    assert_eq!(one(&json!({"class": "file.create", "file.path": "/x"})).at("file.directory"), "/");
}

#[test]
fn values_in_another_dress_are_taken() {
    let event =
        one(&json!({"class": "network.connect", "process": {"pid": "4242", "name": ["curl"], "interactive": "true"},
        "source": {"ip": ["192.0.2.1"], "port": 443.0}, "host": {"ip": "192.0.2.9"}, "user": {"id": 1000},
        "tags": "one", "event": {"code": 7}}));
    check(
        &event,
        &[
            ("process.pid", json!(4242)),
            ("process.name", json!("curl")),
            ("process.interactive", json!(true)),
            ("source.ip", json!("192.0.2.1")),
            ("source.port", json!(443)),
            ("host.ip", json!(["192.0.2.9"])),
            ("user.id", json!("1000")),
            ("tags", json!(["one"])),
            ("event.code", json!("7")),
        ],
    );
}

#[test]
fn times() {
    let time = |value: Value| one(&json!({"class": "process.exec", "@timestamp": value})).time_ns;
    let expected = 1_773_478_800_000_000_000;
    for value in [
        json!("2026-03-14T09:00:00Z"),
        json!("2026-03-14 09:00:00"),
        json!("2026-03-14T09:00:00.000000000Z"),
        json!("2026-03-14T10:00:00+01:00"),
        json!("2026-03-14T10:00:00.000+0100"),
        json!(1_773_478_800),
        json!(1_773_478_800.0),
        json!(1_773_478_800_000u64),
        json!(1_773_478_800_000_000u64),
        json!(1_773_478_800_000_000_000u64),
        json!("1773478800"),
    ] {
        assert_eq!(time(value.clone()), expected, "{value}");
    }
    for value in [json!("yesterday"), json!(null), json!(-5), json!(true), json!("2026-02-30T00:00:00Z"), json!([])] {
        assert_eq!(time(value.clone()), 0, "{value}");
    }
    let outcome = read_bytes("a.jsonl", b"{\"class\":\"process.exec\"}\n{\"@timestamp\":\"2026-03-14T09:00:00Z\"}\n");
    assert_eq!((outcome.counts.events, outcome.counts.without_time), (2, 1));
    // An exporter's local time is the last resort; one with a zone beside it goes before.
    let flat =
        json!({"EventID": 1, "Channel": "x", "EventTime": "2026-03-14 11:00:00", "@timestamp": "2026-03-14T09:00:00Z"});
    assert_eq!(one(&flat).time_ns, expected);
}

#[test]
fn other_json_is_generic_and_read_below_raw() {
    let event = one(&json!({"msg": "hello", "n": 5, "deep": {"er": ["a", "b"]}}));
    assert_eq!((event.class.as_str(), event.profile.as_str()), ("generic.log", "ecs"));
    check(&event, &[("raw.msg", json!("hello")), ("raw.n", json!(5)), ("raw.deep.er", json!(["a", "b"]))]);
}

/// Reads the first event of a text and hands a view of its record, with all slots filled, to `check`.
fn record(text: &str, names: &[&str], check: impl FnOnce(&RecordView<'_>, &[Slot], Vec<String>)) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.json");
    std::fs::write(&path, text).unwrap();
    let mut check = Some(check);
    each(&[path], |found| {
        let event = found.unwrap();
        let mut layouts = Layouts::new(Arc::clone(catalogue()));
        let slots: Vec<Slot> =
            names.iter().map(|name| layouts.find_or_append(event.family(), name).expect(name).0).collect();
        let mut bytes = vec![0xaa; RECORD_LEN_MAX as usize];
        let header = event.header(&layouts);
        let mut writer = RecordWriter::new(&mut bytes, layouts.slot_count(event.family()), &header).unwrap();
        let errors = event.fill(&mut writer, &layouts, |_| true);
        let len = writer.finish() as usize;
        let view = RecordView::new(&bytes[..len]).unwrap();
        let errors =
            errors.iter().map(|error| format!("{}: {}: {}", error.field, error.expected, error.found)).collect();
        check.take().unwrap()(&view, &slots, errors);
    });
}

#[test]
fn records_hold_what_the_event_says() {
    let text =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/shapes/flat.jsonl")).unwrap();
    let names = [
        "process.name",
        "process.pid",
        "process.args",
        "winlog.event_data.Company",
        "winlog.event_data.Nope",
        "process.tty.name",
    ];
    record(text.lines().next().unwrap(), &names, |view, slots, errors| {
        assert_eq!(errors, [""; 0]);
        assert_eq!(view.time_ns(), 1_773_480_612_345_000_000);
        assert_eq!(view.bytes(slots[0]), Some(&b"whoami.exe"[..]));
        assert_eq!(view.raw(slots[1]), 4242);
        assert_eq!(view.list(slots[2], 0).unwrap().bytes(1, 0), Some(&b"/priv"[..]));
        assert_eq!(view.bytes(slots[3]), Some(&b"Microsoft Corporation"[..]));
        assert_eq!((view.state(slots[4]), view.state(slots[5])), (0, 0));
        assert!(!view.impaired());
    });
}

#[test]
fn a_value_of_the_wrong_type_is_absent_and_reported_and_the_event_goes_on() {
    let text = r#"{"class": "network.connect", "process": {"pid": "many", "name": {"a": 1}, "args": [["x", "y"]], "executable": "/a"},
        "source": {"ip": "nowhere", "port": [1, 2]}, "process.start": "noon", "event.outcome": "maybe"}"#;
    let names = [
        "process.pid",
        "process.name",
        "source.ip",
        "source.port",
        "process.start",
        "process.executable",
        "event.outcome",
    ];
    record(text, &names, |view, slots, mut errors| {
        errors.sort();
        let expected = [
            "process.args: a list of texts: [[\"x\",\"y\"]]",
            "process.name: one text: {\"a\":1}",
            "process.pid: a whole number: \"many\"",
            "process.start: a time: \"noon\"",
            "source.ip: an IP address: \"nowhere\"",
            "source.port: a whole number: [1,2]",
        ];
        assert_eq!(errors, expected);
        let states: Vec<u8> = slots.iter().map(|slot| view.state(*slot)).collect();
        assert_eq!(states, [0, 0, 0, 0, 0, state::PRESENT, state::PRESENT]);
        assert_eq!(view.raw(slots[6]), u64::from(u32::MAX));
    });
}

#[test]
fn lost_and_truncated_values_can_be_said() {
    let text = r#"{"class": "process.exec", "process": {"command_line": "curl http://exam", "name": "curl", "pid": 7},
        "trapline": {"lost": ["process.parent.name", "process.pid", "no.such"], "truncated": ["process.command_line", "user.name"]}}"#;
    let names = ["process.parent.name", "process.pid", "process.command_line", "user.name", "process.name"];
    record(text, &names, |view, slots, errors| {
        assert_eq!(errors, [""; 0]);
        let states: Vec<u8> = slots.iter().map(|slot| view.state(*slot)).collect();
        let cut = state::PRESENT | state::TRUNCATED;
        assert_eq!(states, [state::LOST, state::LOST, cut, state::LOST, state::PRESENT]);
        assert!(view.impaired());
    });
}

#[test]
fn only_wanted_slots_are_filled() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.json");
    std::fs::write(&path, r#"{"class": "process.exec", "process": {"name": "curl", "pid": 7}}"#).unwrap();
    each(&[path], |found| {
        let event = found.unwrap();
        let layouts = Layouts::new(Arc::clone(catalogue()));
        let (pid, _) = layouts.find(event.family(), "process.pid").unwrap();
        let mut bytes = vec![0; RECORD_LEN_MAX as usize];
        let slots = layouts.slot_count(event.family());
        let mut writer = RecordWriter::new(&mut bytes, slots, &event.header(&layouts)).unwrap();
        event.fill(&mut writer, &layouts, |slot| slot == pid);
        let len = writer.finish() as usize;
        let view = RecordView::new(&bytes[..len]).unwrap();
        let filled: Vec<Slot> = (0..slots).map(Slot).filter(|slot| view.state(*slot) != 0).collect();
        assert_eq!(filled, [pid]);
    });
}
