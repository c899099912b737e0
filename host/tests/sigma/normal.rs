//! What is brought into one form at the door, once, before any rule looks at it (`docs/windows.md`).

use serde_json::json;

use super::{each, event, matched, rule, rule_of, security, sysmon};

#[test]
fn numbers_in_hexadecimal_are_numbers() {
    let start = [
        security(4688, &json!({ "NewProcessId": "0x1f4", "ProcessId": "0x4" })),
        sysmon(1, &json!({ "ProcessId": "500", "ParentProcessId": 4 })),
        sysmon(1, &json!({ "ProcessId": 501 })),
    ];
    each(
        rule,
        &start,
        &[
            ("ProcessId: 500", &[true, true, false]),
            ("ProcessId|gt: 500", &[false, false, true]),
            ("ParentProcessId: 4", &[true, true, false]),
            // The text is kept for who asks for it.
            ("ProcessId: '0x1f4'", &[true, false, false]),
        ],
    );
}

#[test]
fn paths_lose_what_only_tells_windows_not_to_look_at_them() {
    let events = [
        r"C:\a.exe",
        r"\??\C:\a.exe",
        r"\\?\c:\a.exe",
        r"\\?\UNC\server\share\a.exe",
        r"\Device\HarddiskVolume2\a.exe",
        r"\\?\GLOBALROOT\Device\a.exe",
        r"\\?\",
        r"\??\C:",
    ]
    .map(|path| sysmon(1, &json!({ "Image": path })));
    each(
        rule,
        &events,
        &[
            (r"Image: 'C:\a.exe'", &[true, true, true, false, false, false, false, false]),
            (r"Image|startswith: 'C:\'", &[true, true, true, false, false, false, false, false]),
            (r"Image|startswith: '\\\\server\'", &[false, false, false, true, false, false, false, false]),
            (r"Image|endswith: '\a.exe'", &[true, true, true, true, true, true, false, false]),
            // Other devices keep their names; nobody knows their letters.
            (r"Image|startswith: '\Device\HarddiskVolume'", &[false, false, false, false, true, false, false, false]),
            // Who looks for the prefix finds it.
            (r"Image|startswith: '\\\\\?\'", &[false, false, true, true, false, true, true, false]),
            (r"Image|startswith: '\\\?\?\'", &[false, true, false, false, false, false, false, true]),
            (r"Image|startswith: '\\?\?\'", &[false, true, true, true, false, true, true, true]),
            (r"Image|re: '^\\\?\?\\C'", &[false, true, false, false, false, false, false, true]),
        ],
    );
}

#[test]
fn channels_and_providers_in_any_case_and_blanks_in_names() {
    let logon = rule_of(
        "  product: windows\n  service: security",
        "  selection:\n    EventID: 4624\n    LogonType: 3\n  condition: selection",
    );
    let data = json!({ "Logon Type": "3" });
    let events = [
        event("Microsoft-Windows-Security-Auditing", "SECURITY", 4624, &data),
        event("MICROSOFT-WINDOWS-SECURITY-AUDITING", "security", 4624, &data),
        event("Microsoft-Windows-Security-Auditing", "Application", 4624, &data),
    ];
    assert_eq!(matched(&logon, &events), [true, true, false]);
    let start = rule("  selection:\n    Image: a\n  condition: selection");
    let upper = event("MICROSOFT-WINDOWS-SYSMON", "microsoft-windows-sysmon/operational", 1, &json!({ "Image": "a" }));
    assert_eq!(matched(&start, &[upper]), [true]);
}

#[test]
fn entries_are_found_wherever_writers_put_them() {
    let shapes = [
        // Elements with names as attributes, in both spellings; the object of names; text beside attributes.
        json!({ "Data": [{ "#attributes": { "Name": "Who" }, "#text": "alice" }] }),
        json!({ "Data": [{ "@Name": "Who", "#text": "alice" }] }),
        json!({ "Data": { "#attributes": { "Name": "Who" }, "#text": "alice" } }),
        json!({ "Who": "alice" }),
        json!({ "Who": { "#text": "alice", "#attributes": { "x": "y" } } }),
    ];
    let mut events: Vec<_> = shapes.iter().map(|data| event("App", "Application", 1, data)).collect();
    let mut user_data = event("App", "Application", 1, &json!(null));
    user_data["Event"]["UserData"] = json!({ "Told": { "#attributes": { "xmlns": "x" }, "Who": "alice" } });
    events.push(user_data);
    events.push(json!({ "winlog": { "event_id": 1, "channel": "Application", "event_data": { "Who": "alice" } } }));
    events.push(json!({ "winlog.event_id": 1, "winlog.channel": "Application", "winlog.event_data.Who": "alice" }));
    events.push(json!({ "EventID": 1, "Channel": "Application", "Who": "alice" }));
    let who =
        rule_of("  product: windows\n  service: application", "  selection:\n    Who: alice\n  condition: selection");
    assert_eq!(matched(&who, &events), vec![true; events.len()]);
}
