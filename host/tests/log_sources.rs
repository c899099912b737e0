//! Log sources of Sigma, end to end: which events the rules of each run on, and which they leave alone.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;

use serde_json::{Value, json};
use tempfile::TempDir;
use trapline::agent::supply::SourceSupply;
use trapline_programs::catalogue::{catalogue, taxonomy};
use trapline_programs::compile::compile;
use trapline_programs::diagnostic::{Diagnostic, Source};
use trapline_vm::record::Os;

fn trapline(arguments: &[&str], folder: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_trapline")).args(arguments).current_dir(folder).output().unwrap()
}

fn rule(logsource: &str, search: &str) -> String {
    format!("title: A rule\nlogsource: {{{logsource}}}\ndetection:\n  s:\n    {search}\n  condition: s\n")
}

/// The lines of events that a rule matches, from 1.
#[track_caller]
fn matched(rule: &str, events: &[Value]) -> Vec<u64> {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("rule.yml"), rule).unwrap();
    let text: String = events.iter().map(|event| format!("{event}\n")).collect();
    fs::write(folder.path().join("events.jsonl"), text).unwrap();
    let output = trapline(&["replay", "--rules", "rule.yml", "--format", "jsonl", "events.jsonl"], folder.path());
    assert!(output.status.success(), "{rule}\n{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let alerts = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    alerts.map(|alert| alert["trapline"]["source"]["record"].as_u64().unwrap()).collect()
}

fn windows(provider: &str, channel: &str, id: u32, data: &Value) -> Value {
    let mut event = json!({ "Event": {
        "System": {
            "Provider": { "#attributes": { "Name": provider } },
            "EventID": id,
            "Channel": channel,
            "Computer": "host",
            "TimeCreated": { "#attributes": { "SystemTime": "2026-03-01T10:00:00Z" } },
        },
        "EventData": data,
    }});
    if channel.is_empty() {
        event["Event"]["System"].as_object_mut().unwrap().remove("Channel");
    }
    event
}

#[test]
fn what_an_event_says_of_where_it_comes_from_decides() {
    // An event that says nothing is told by its fields; one that says so is of the source.
    let with = |key: &str, value: &str, data: &Value| {
        let mut event = data.clone();
        event[key] = json!(value);
        event
    };
    for (logsource, search, data, says) in [
        ("product: okta, service: okta", "eventType: x", json!({ "eventType": "x" }), ["okta", "okta.system"]),
        ("product: aws, service: cloudtrail", "eventName: x", json!({ "eventName": "x" }), ["aws", "aws.cloudtrail"]),
        (
            "product: azure, service: signinlogs",
            "ResultType: 50053",
            json!({ "ResultType": 50053 }),
            ["azure", "azure.signinlogs"],
        ),
        ("product: gcp, service: gcp.audit", "data.x: y", json!({ "data": { "x": "y" } }), ["gcp", "gcp.audit"]),
        ("product: m365, service: audit", "Operation: x", json!({ "Operation": "x" }), ["o365", "o365.audit"]),
        ("product: github, service: audit", "action: x", json!({ "action": "x" }), ["github", "github.audit"]),
        ("category: webserver", "cs-method: GET", json!({ "cs-method": "GET" }), ["nginx", "nginx.access"]),
        ("category: proxy", "c-uri: x", json!({ "c-uri": "x" }), ["squid", "squid.log"]),
        ("product: zeek, service: http", "c-uri: x", json!({ "uri": "x" }), ["zeek", "zeek.http"]),
        ("product: linux, service: auditd", "type: EXECVE", json!({ "type": "EXECVE" }), ["auditd", "auditd.log"]),
        // One that nothing is known of but its names.
        ("product: acme, service: door", "who: x", json!({ "who": "x" }), ["acme", "acme.door"]),
    ] {
        let [module, dataset] = says;
        let events = [
            data.clone(),
            with("event.module", module, &data),
            with("event.dataset", dataset, &data),
            with("event.module", "somebody", &data),
            with("event.dataset", "somebody.else", &data),
            // The data set says more than the module.
            with("event.module", module, &with("event.dataset", "somebody.else", &data)),
        ];
        assert_eq!(matched(&rule(logsource, search), &events), [1, 2, 3], "{logsource}");
    }
}

#[test]
fn rules_that_name_no_field_need_more() {
    let keyword = |logsource: &str| {
        format!("title: A rule\nlogsource: {{{logsource}}}\ndetection:\n  keywords: [needle]\n  condition: keywords\n")
    };
    let events = [
        json!({ "message": "needle" }),
        json!({ "cs-method": "GET", "cs-uri-query": "needle" }),
        json!({ "eventSource": "s3", "awsRegion": "x", "userAgent": "needle" }),
        json!({ "operationName": "needle" }),
        json!({ "event": { "module": "nginx" }, "request": "needle" }),
        json!({ "_path": "smb_files", "name": "needle" }),
    ];
    for (logsource, expected) in [
        ("category: webserver", vec![1, 2, 5]),
        ("product: aws, service: cloudtrail", vec![3]),
        ("product: azure, service: activitylogs", vec![4]),
        ("product: zeek, service: smb_files", vec![6]),
        ("product: zeek, service: dns", vec![]),
        ("service: nginx", vec![1, 5]),
        // Nothing is known of this one that tells its lines from others.
        ("category: application, product: acme", vec![1, 2, 3, 4, 6]),
    ] {
        assert_eq!(matched(&keyword(logsource), &events), expected, "{logsource}");
    }
}

#[test]
fn lines_of_linux_say_their_program() {
    let line = |key: &str, program: &str| json!({ key: program, "message": "needle" });
    let events = [
        line("SYSLOG_IDENTIFIER", "sshd"),
        line("process.name", "sshd-session"),
        line("programname", "CRON"),
        line("ident", "sudo"),
        json!({ "message": "needle" }),
        json!({ "event.dataset": "system.auth", "message": "needle" }),
        json!({ "host.os.type": "windows", "message": "needle" }),
        json!({ "event.module": "okta", "message": "needle" }),
    ];
    for (service, expected) in
        [("sshd", vec![1, 2, 5, 6]), ("cron", vec![3, 5, 6]), ("sudo", vec![4, 5, 6]), ("auth", vec![1, 2, 3, 4, 5, 6])]
    {
        let logsource = format!("product: linux, service: {service}");
        assert_eq!(matched(&rule(&logsource, "message|contains: needle"), &events), expected, "{service}");
    }
    assert_eq!(matched(&rule("product: linux", "message|contains: needle"), &events), [1, 2, 3, 4, 5, 6]);
}

#[test]
fn audit_records_as_the_audit_system_names_them_and_as_auditbeat_does() {
    let execve = rule("product: linux, service: auditd", "{type: EXECVE, a0: tcpdump, a1|startswith: '-c'}");
    let events = [
        json!({ "type": "EXECVE", "a0": "tcpdump", "a1": "-c1" }),
        json!({ "event": { "module": "auditd", "category": ["process"], "type": ["start"] },
            "auditd": { "message_type": "execve", "data": { "a0": "tcpdump", "a1": "-c" } } }),
        json!({ "type": "SYSCALL", "a0": "tcpdump", "a1": "-c" }),
    ];
    assert_eq!(matched(&execve, &events), [1, 2]);
    let syscall = rule("product: linux, service: auditd", "{type: SYSCALL, SYSCALL: memfd_create, exe|endswith: /x}");
    let events = [
        json!({ "type": "SYSCALL", "SYSCALL": "memfd_create", "exe": "/usr/bin/x" }),
        json!({ "event": { "module": "auditd" }, "process": { "executable": "/usr/bin/x" },
            "auditd": { "message_type": "syscall", "data": { "syscall": "memfd_create" } } }),
    ];
    assert_eq!(matched(&syscall, &events), [1, 2]);
}

#[test]
fn sysmon_for_linux_and_our_own_events() {
    let linux = |id: u32, data: &Value| windows("Linux-Sysmon", "Linux-Sysmon/Operational", id, data);
    let start =
        rule("product: linux, category: process_creation", "{Image|endswith: /bash, CommandLine|contains: ' -c '}");
    let data = json!({ "Image": "/usr/bin/bash", "CommandLine": "bash -c id" });
    let own = json!({ "trapline": { "class": "process.exec" }, "host.os.type": "linux",
        "process": { "executable": "/usr/bin/bash", "command_line": "bash -c id" } });
    let other = windows("Microsoft-Windows-Sysmon", "Microsoft-Windows-Sysmon/Operational", 1, &data);
    assert_eq!(matched(&start, &[linux(1, &data), own.clone(), other.clone(), linux(5, &data)]), [1, 2]);
    let on_windows = rule("product: windows, category: process_creation", "Image|endswith: /bash");
    assert_eq!(matched(&on_windows, &[linux(1, &data), own, other]), [3]);
    // What the catalogue has no field for is in the event as Sysmon names it.
    let hashes = rule("product: linux, category: process_creation", "Hashes|contains: 'SHA256=1'");
    assert_eq!(matched(&hashes, &[linux(1, &json!({ "Hashes": "SHA256=1" }))]), [1]);
    let file = rule("product: linux, category: file_event", "TargetFilename|startswith: /etc/");
    assert_eq!(matched(&file, &[linux(11, &json!({ "TargetFilename": "/etc/x" }))]), [1]);
    let network = rule("product: linux, category: network_connection", "{DestinationPort: 443, Initiated: 'true'}");
    let event = linux(3, &json!({ "DestinationPort": "443", "Initiated": "true" }));
    assert_eq!(matched(&network, &[event]), [1]);
}

#[test]
fn names_of_others_for_queries_and_requests() {
    let query = rule("category: dns", "query|endswith: .example");
    let events = [
        json!({ "query": "x.example" }),
        windows(
            "Microsoft-Windows-Sysmon",
            "Microsoft-Windows-Sysmon/Operational",
            22,
            &json!({ "QueryName": "x.example", "Image": "a" }),
        ),
        json!({ "event": { "category": ["network"], "module": "anybody" }, "dns": { "question": { "name": "x.example" } } }),
        json!({ "event": { "module": "okta" }, "query": "x.example" }),
        json!({ "_path": "dns", "query": "x.example" }),
    ];
    assert_eq!(matched(&query, &events), [1, 2, 3, 5]);
    let request = rule("category: webserver", "{cs-method: POST, cs-uri-query|contains: cmd=, sc-status: 200}");
    let events = [
        json!({ "cs-method": "POST", "cs-uri-query": "a?cmd=x", "sc-status": 200 }),
        json!({ "event": { "module": "nginx" }, "http": { "request": { "method": "POST" }, "response": { "status_code": 200 } },
            "url": { "query": "cmd=x" } }),
    ];
    assert_eq!(matched(&request, &events), [1, 2]);
    let rpc = rule("product: rpc_firewall, category: application", "{EventLog: RPCFW, EventID: 3, OpNum: 1}");
    let events = [
        windows("RPCFW", "RPCFW", 3, &json!({ "OpNum": "1" })),
        windows("RPCFW", "RPCFW", 4, &json!({ "OpNum": "1" })),
        windows("Other", "Application", 3, &json!({ "OpNum": "1" })),
    ];
    assert_eq!(matched(&rpc, &events), [1]);
}

#[test]
fn forwarded_events_are_told_by_who_wrote_them() {
    let auditing = "Microsoft-Windows-Security-Auditing";
    let sysmon = "Microsoft-Windows-Sysmon";
    let none = json!({ "x": "y" });
    let security = rule("product: windows, service: security", "EventID: [4624, 1102]");
    let events = [
        windows(auditing, "Security", 4624, &none),
        windows(auditing, "ForwardedEvents", 4624, &none),
        windows(auditing, "", 4624, &none),
        windows("Microsoft-Windows-Eventlog", "ForwardedEvents", 1102, &none),
        windows("Somebody", "ForwardedEvents", 4624, &none),
        windows(auditing, "Somewhere", 4624, &none),
    ];
    assert_eq!(matched(&security, &events), [1, 2, 3, 4]);
    let start = rule("product: windows, category: process_creation", "Image: a");
    let events = [
        windows(sysmon, "ForwardedEvents", 1, &json!({ "Image": "a" })),
        windows("Somebody", "ForwardedEvents", 1, &json!({ "Image": "a" })),
    ];
    assert_eq!(matched(&start, &events), [1]);
    // Everybody writes to these, but not those who write to others.
    let system = rule("product: windows, service: system", "{Provider_Name: Somebody, EventID: 1}");
    let any = rule("product: windows, service: system", "EventID: 1");
    let events = [windows("Somebody", "ForwardedEvents", 1, &none), windows(sysmon, "ForwardedEvents", 1, &none)];
    assert_eq!(matched(&system, &events), [1]);
    assert_eq!(matched(&any, &events), [1]);
    // Where only the name of the channel says whose it is.
    let bits = rule("product: windows, service: bits-client", "EventID: 3");
    let provider = "Microsoft-Windows-Bits-Client";
    assert_eq!(matched(&bits, &[windows(provider, "ForwardedEvents", 3, &none)]), [1]);
}

#[test]
fn events_of_the_registry_are_told_by_their_kind() {
    let event = |id: u32, kind: &str| {
        let data = json!({ "EventType": kind, "TargetObject": "HKLM\\x" });
        windows("Microsoft-Windows-Sysmon", "Microsoft-Windows-Sysmon/Operational", id, &data)
    };
    let events = [
        event(12, "CreateKey"),
        event(12, "DeleteKey"),
        event(12, "DeleteValue"),
        event(13, "SetValue"),
        event(14, "RenameKey"),
    ];
    for (category, expected) in [
        ("registry_event", vec![1, 2, 3, 4, 5]),
        ("registry_add", vec![1]),
        ("registry_delete", vec![2, 3]),
        ("registry_set", vec![4]),
        ("registry_rename", vec![5]),
    ] {
        let rule = rule(&format!("product: windows, category: {category}"), "TargetObject|endswith: x");
        assert_eq!(matched(&rule, &events), expected, "{category}");
    }
}

#[test]
fn a_site_adds_a_source_of_its_own() {
    // Rules for a product that is known as another, and events that say it in a field of the site.
    let pipeline = "transformations:\n  - type: change_logsource\n    product: linux\n    service: sudo\n    rule_conditions:\n      - {type: logsource, product: acme}\n  - type: add_condition\n    conditions: {site.kind: door}\n    rule_conditions:\n      - {type: logsource, service: sudo}\n---\n";
    let text = pipeline.to_owned() + &rule("product: acme, service: door", "who: x");
    let events = [json!({ "who": "x", "site": { "kind": "door" } }), json!({ "who": "x" })];
    assert_eq!(matched(&text, &events), [1]);
}

/// Every rule of the corpora has a log source that is known, and some source of events can serve it.
#[test]
fn every_rule_of_the_corpus_has_a_source() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/corpora/sigma");
    if !corpus.is_dir() {
        println!("skipped: there is no corpus of Sigma rules beside the checkout");
        return;
    }
    let folders = ["rules", "rules-emerging-threats", "rules-threat-hunting"];
    let paths = folders.iter().flat_map(|folder| files(&corpus.join(folder)));
    let sources: Vec<Arc<Source>> =
        paths.map(|path| Source::new(path.display().to_string(), fs::read_to_string(&path).unwrap())).collect();
    let compiled = compile(&sources, catalogue());
    let unknown: Vec<&Diagnostic> = compiled.diagnostics.iter().filter(|told| told.code == "sigma-logsource").collect();
    assert!(unknown.is_empty(), "{unknown:#?}");
    assert!(compiled.rules.len() > 1000, "the folder is there, and has no rules");
    // By source of events, how many of the rules it can serve on the systems that it is of. `ecs` is that of any JSON.
    let mut served: BTreeMap<&str, usize> = BTreeMap::new();
    let mut unserved: BTreeSet<&str> = compiled.rules.iter().map(|rule| rule.rule.meta.title.as_str()).collect();
    for profile in taxonomy::profiles() {
        let systems = match *profile {
            taxonomy::ECS => vec![Some(Os::Linux), Some(Os::Windows), Some(Os::MacOs), None],
            "sysmon" => vec![Some(Os::Linux), Some(Os::Windows)],
            profile if taxonomy::sensor_profile(profile).is_some() => vec![Some(Os::Linux)],
            _ => vec![Some(Os::Windows)],
        };
        let supply = SourceSupply::new(catalogue(), [*profile], systems);
        for rule in compiled.rules.iter().filter(|rule| supply.serve(&rule.rule).is_ok()) {
            *served.entry(profile).or_default() += 1;
            unserved.remove(rule.rule.meta.title.as_str());
        }
    }
    println!("{} of {} rules; by source: {served:#?}", compiled.rules.len(), sources.len());
    assert!(served["sysmon"] > 1000 && served["windows-security"] > 1000 && served["linux-connector"] > 50);
    assert!(unserved.is_empty(), "{unserved:#?}");
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|extension| extension == "yml") {
            found.push(path);
        }
    }
    found
}
