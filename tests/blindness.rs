//! Blindness is visible: what a limit of ours keeps a rule from seeing makes it *not evaluable*, and is counted.

use std::path::PathBuf;
use std::sync::Arc;

use trapline::agent::load::{RuleText, load};
use trapline::agent::worker::{Item, Output, Worker};
use trapline::source::{Inputs, Source as _, SourceId};
use trapline_programs::catalogue::catalogue;
use trapline_programs::diagnostic::Source;

/// Alerts and verdicts *not evaluable* of a rule with this condition on one event.
fn judge(condition: &str, event: &str) -> (usize, u64) {
    let text = format!("rule r {{ title: \"t\" severity: low on process.exec where {condition} }}");
    let texts = [RuleText { source: Source::new("r.trap", text), ruleset: "test".to_owned() }];
    let loaded = load(&texts, catalogue()).unwrap();
    assert!(loaded.refused.is_empty(), "{:?}", loaded.diagnostics);
    let mut worker = Worker::new(Arc::new(loaded.ruleset)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path: PathBuf = folder.path().join("events.jsonl");
    std::fs::write(&path, event).unwrap();
    let mut inputs = Inputs::open(SourceId(0), &[path]).unwrap();
    let mut alerts = 0;
    while let Some(raw) = inputs.next() {
        worker.take(Item::Raw(raw.unwrap()), &mut |output| match output {
            Output::Alert(_) => alerts += 1,
            other => panic!("{other:?}"),
        });
    }
    assert_eq!(worker.counts().events, 1);
    (alerts, worker.counts().not_evaluable().values().sum())
}

fn command(line: &str) -> String {
    format!(r#"{{"class":"process.exec","process":{{"name":"sh","command_line":"{line}"}}}}"#)
}

#[test]
fn a_regex_too_large_for_a_long_value() {
    // 2 000 places see 32 KiB of a value.
    let regex = "process.command_line regex 'b[^z]{2000}z'";
    let (short, long) = ("x".repeat(8 << 10), "x".repeat(100 << 10));
    assert_eq!(judge(regex, &command(&short)), (0, 0), "seen whole");
    assert_eq!(judge(regex, &command(&long)), (0, 1), "seen in part");
    assert_eq!(judge(&format!("{regex} and process.name == \"bash\""), &command(&long)), (0, 0), "decided by the rest");
    assert_eq!(judge(&format!("{regex} or process.name == \"sh\""), &command(&long)), (1, 0), "decided by the rest");
    assert_eq!(judge("process.command_line regex 'bx*z'", &command(&long)), (0, 0), "a small one sees all");
}

#[test]
fn entries_beyond_those_kept_of_a_windows_event() {
    let event = |count: usize, image: &str| {
        let filler: Vec<String> = (0..count - 1).map(|number| format!(r#""N{number}":"x""#)).collect();
        let data = format!(r#"{},"{image}":"C:\\a.exe""#, filler.join(","));
        format!(
            r#"{{"winlog":{{"event_id":1,"channel":"Microsoft-Windows-Sysmon/Operational","provider_name":"Microsoft-Windows-Sysmon","event_data":{{{data}}}}}}}"#
        )
    };
    for count in [4095, 4096] {
        assert_eq!(judge("process.name ==~ \"a.exe\"", &event(count, "Image")), (1, 0), "{count}");
        assert_eq!(judge("winlog.event_data.Odd ==~ \"a\"", &event(count, "Image")), (0, 0), "{count}");
    }
    assert_eq!(judge("process.name ==~ \"a.exe\"", &event(4097, "Image")), (0, 1), "the image was left out");
    assert_eq!(judge("winlog.event_data.Odd == \"a\"", &event(4097, "Image")), (0, 1), "it may have been left out");
    assert_eq!(judge("winlog.event_data.N0 == \"y\"", &event(4097, "Image")), (0, 0), "it was not");
}
