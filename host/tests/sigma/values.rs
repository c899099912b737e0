//! Values as events have them: addresses, numbers, times and truth as text and as themselves, and several of them.

use serde_json::json;

use super::{each, event, generic, matched, outcome, rule_of, security, sysmon};

#[test]
fn addresses_are_compared_whatever_field_they_are_in() {
    let logon = |detection: &str| rule_of("  product: windows\n  service: security", detection);
    let events = ["10.1.2.3", "::ffff:10.1.2.3", "11.0.0.1", "fe80::1%7", "-", "LOCAL"]
        .map(|address| security(4624, &json!({ "IpAddress": address })));
    each(
        logon,
        &events,
        &[
            ("IpAddress|cidr: 10.0.0.0/8", &[true, true, false, false, false, false]),
            ("IpAddress|cidr: [10.0.0.0/8, 'fe80::/10']", &[true, true, false, true, false, false]),
            ("IpAddress|cidr|neq: 10.0.0.0/8", &[false, false, true, true, true, true]),
            ("IpAddress|cidr: '::/0'", &[true, true, true, true, false, false]),
        ],
    );
    let events = [json!({ "src": "10.1.2.3" }), json!({ "src": ["x", "10.1.2.3"] }), json!({ "other": "10.1.2.3" })];
    each(
        generic,
        &events,
        &[("src|cidr: 10.0.0.0/8", &[true, true, false]), ("'|cidr': 10.0.0.0/8", &[true, true, true])],
    );
}

#[test]
fn what_only_holds_addresses_is_the_same_as_its_text() {
    let linux = |detection: &str| rule_of("  product: linux\n  category: network_connection", detection);
    let events = ["127.0.0.1", "::ffff:127.0.0.1", "127.0.0.2"].map(
        |address| json!({ "trapline.class": "network.connect", "host.os.type": "linux", "destination.ip": address }),
    );
    each(linux, &events, &[("DestinationIp: 127.0.0.1", &[true, true, false])]);
}

#[test]
fn numbers_are_compared_whatever_form_they_have() {
    let events = [
        json!({ "n": 5 }),
        json!({ "n": "5" }),
        json!({ "n": 5.5 }),
        json!({ "n": "0x6" }),
        json!({ "n": "many" }),
        json!({ "n": "-7" }),
        json!({ "n": true }),
        json!({ "n": 18_446_744_073_709_551_615u64 }),
        json!({}),
    ];
    each(
        generic,
        &events,
        &[
            ("n|gt: 5", &[false, false, true, true, false, false, false, true, false]),
            ("n|gte: '5'", &[true, true, true, true, false, false, false, true, false]),
            ("n|lt: 5.25", &[true, true, false, false, false, true, false, false, false]),
            ("n|lte: -6.5", &[false, false, false, false, false, true, false, false, false]),
            ("n|gt: 18446744073709551614", &[false, false, false, false, false, false, false, true, false]),
            ("n|gt|neq: 5", &[true, true, false, false, true, true, true, false, true]),
            ("n: 5", &[true, true, false, false, false, false, false, false, false]),
            ("n: '5'", &[true, true, false, false, false, false, false, false, false]),
            ("n: 5.50", &[false, false, true, false, false, false, false, false, false]),
            ("n: true", &[false, false, false, false, false, false, true, false, false]),
            ("n: 'TRUE'", &[false, false, false, false, false, false, true, false, false]),
            // A number is its text for all that looks at text.
            ("n|startswith: 5", &[true, true, true, false, false, false, false, false, false]),
            ("n|contains: '.'", &[false, false, true, false, false, false, false, false, false]),
        ],
    );
    // The same of a field that is known as a number.
    let connection = |detection: &str| rule_of("  product: windows\n  category: network_connection", detection);
    let events = ["3389", "33890", "x"].map(|port| sysmon(3, &json!({ "DestinationPort": port })));
    each(
        connection,
        &events,
        &[
            ("DestinationPort|gt: 3388.5", &[true, true, false]),
            ("DestinationPort|gte: 3389.5", &[false, true, false]),
            ("DestinationPort|lt: 3389.5", &[true, false, false]),
            ("DestinationPort|lt: 99999999999999999999", &[true, true, false]),
            ("DestinationPort|gt: -99999999999999999999", &[true, true, false]),
            ("DestinationPort|gt: 99999999999999999999", &[false, false, false]),
            ("DestinationPort|lt: -99999999999999999999", &[false, false, false]),
        ],
    );
}

#[test]
fn parts_of_a_time() {
    let events = [
        json!({ "at": "2026-03-01T23:05:10Z" }),
        json!({ "at": "2026-03-02 04:59:59.123+02:00" }),
        json!({ "at": "2026-12-31" }),
        json!({ "at": "yesterday" }),
        json!({}),
    ];
    each(
        generic,
        &events,
        &[
            ("at|hour: [22, 23, 0]", &[true, false, false, false, false]),
            // As it is written: an offset changes nothing.
            ("at|hour|lt: 5", &[false, true, false, false, false]),
            ("at|minute: '5'", &[true, false, false, false, false]),
            ("at|day: 31", &[false, false, true, false, false]),
            ("at|week: 9", &[true, false, false, false, false]),
            ("at|week: 10", &[false, true, false, false, false]),
            ("at|week: 53", &[false, false, true, false, false]),
            ("at|month|gte: 4", &[false, false, true, false, false]),
            ("at|year: 2026", &[true, true, true, false, false]),
            ("at|hour|neq: 23", &[false, true, true, true, true]),
        ],
    );
    let time = |detection: &str| rule_of("  product: windows\n  category: file_change", detection);
    let events = ["2026-03-01 10:00:00.627", "-"].map(|at| sysmon(2, &json!({ "CreationUtcTime": at })));
    each(time, &events, &[("CreationUtcTime|hour: 10", &[true, false])]);
}

#[test]
fn any_of_the_values_of_an_array_counts() {
    let events = [
        json!({ "groups": ["users", "domain admins"], "n": [1, 20] }),
        json!({ "groups": "domain admins", "n": 20 }),
        json!({ "groups": ["users", ["domain", "admins"]], "n": [] }),
        json!({ "groups": [], "n": null }),
        json!({ "groups": null }),
        json!({}),
    ];
    each(
        generic,
        &events,
        &[
            ("groups: domain admins", &[true, true, false, false, false, false]),
            ("groups|startswith: domain", &[true, true, true, false, false, false]),
            ("groups|endswith: admins", &[true, true, true, false, false, false]),
            // Each value by itself.
            ("groups: 'users*admins'", &[false, false, false, false, false, false]),
            ("groups|re: '^users$'", &[true, false, true, false, false, false]),
            ("groups|contains|all: [use, min]", &[true, false, true, false, false, false]),
            ("groups|neq: users", &[false, true, false, true, true, true]),
            ("groups: null", &[false, false, false, true, true, true]),
            // That it is there, whatever it has.
            ("groups|exists: true", &[true, true, true, true, true, false]),
            ("groups|exists: false", &[false, false, false, false, false, true]),
            ("n|gt: 10", &[true, true, false, false, false, false]),
            ("n: 1", &[true, false, false, false, false, false]),
        ],
    );
    let not =
        "  selection:\n    groups|contains: min\n  filter:\n    groups: users\n  condition: selection and not filter";
    assert_eq!(matched(&generic(not), &events), [false, true, false, false, false, false]);
}

#[test]
fn parts_of_the_objects_of_an_array_are_values() {
    let events = [
        json!({ "resources": [{ "type": "user", "arn": "a" }, { "type": "role" }], "a": { "b": ["x", { "c": "y" }] } }),
        json!({ "resources": { "type": "role" }, "a.b": "x" }),
        json!({ "resources": [[{ "type": ["role"] }]], "a": [{ "b": null }] }),
        json!({ "resources": ["type"], "a": ["b"] }),
    ];
    each(
        generic,
        &events,
        &[
            ("resources.type: role", &[true, true, true, false]),
            ("resources.arn: null", &[false, true, true, true]),
            ("resources.arn|exists: true", &[true, false, false, false]),
            ("a.b: x", &[true, true, false, false]),
            ("a.b.c: y", &[true, false, false, false]),
            ("a.b|exists: true", &[true, true, true, false]),
        ],
    );
}

#[test]
fn fields_with_several_values_against_each_other() {
    let events = [
        json!({ "a": ["x", "y"], "b": ["z", "Y"] }),
        json!({ "a": ["x", "y"], "b": "yy" }),
        json!({ "a": "yy", "b": ["z", "y"] }),
        json!({ "a": "x" }),
        json!({ "a": "x", "b": [] }),
    ];
    each(
        generic,
        &events,
        &[
            ("a|fieldref: b", &[true, false, false, false, false]),
            ("a|cased|fieldref: b", &[false, false, false, false, false]),
            ("a|fieldref|startswith: b", &[true, false, true, false, false]),
            ("a|fieldref|endswith: b", &[true, false, true, false, false]),
            ("b|fieldref|contains: a", &[true, true, false, false, false]),
            ("a|fieldref|neq: b", &[false, true, true, true, true]),
        ],
    );
    // As many as there can be on both sides.
    let many = |a: &'static str, b: &'static str, count: usize| {
        let values = |value: &'static str, last: &'static str| [vec![value; count - 1], vec![last]].concat();
        json!({ "a": values("p", a), "b": values("q", b) })
    };
    let rule = generic("  selection:\n    a|fieldref: b\n  condition: selection");
    let events = [many("x", "x", 255), many("x", "x", 256), many("x", "x", 257), many("x", "y", 256)];
    assert_eq!(outcome(&rule, &events), (vec![true, true, false, false], 1));
}

#[test]
fn values_beyond_what_a_list_keeps_are_not_evaluable() {
    let many = |count: usize, last: &str| {
        let values: Vec<&str> = (1..count).map(|_| "other").chain([last]).collect();
        json!({ "a": values })
    };
    let rule = generic("  selection:\n    a: wanted\n  condition: selection");
    let events = [many(255, "wanted"), many(256, "wanted"), many(257, "wanted")];
    assert_eq!(outcome(&rule, &events), (vec![true, true, false], 1));
    assert_eq!(outcome(&rule, &[many(255, "x"), many(256, "x"), many(257, "x")]), (vec![false; 3], 1));
}

#[test]
fn entries_of_one_name_are_values_of_it() {
    let application = |detection: &str| rule_of("  product: windows\n  service: application", detection);
    let named = |values: &[&str]| {
        let data: Vec<_> = values.iter().map(|v| json!({ "#attributes": { "Name": "Who" }, "#text": v })).collect();
        event("App", "Application", 1, &json!({ "Data": data }))
    };
    let mut user_data = event("App", "Application", 1, &json!(null));
    user_data["Event"]["UserData"] = json!({ "Told": { "Who": ["alice", { "#text": "bob" }] } });
    let events = [
        named(&["alice", "bob"]),
        named(&["alice\nbob"]),
        event("App", "Application", 1, &json!({ "Who": ["alice", "bob"] })),
        user_data,
        event("App", "Application", 1, &json!({ "Who": null })),
        event("App", "Application", 1, &json!({ "Data": [{ "#attributes": { "Name": "Who" } }] })),
    ];
    each(
        application,
        &events,
        &[
            ("Who: bob", &[true, false, true, true, false, false]),
            ("Who|startswith: bob", &[true, false, true, true, false, false]),
            ("Who|endswith: alice", &[true, false, true, true, false, false]),
            ("Who: 'alice*bob'", &[false, true, false, false, false, false]),
            ("Who: null", &[false, false, false, false, true, true]),
            ("Who|exists: true", &[true, true, true, true, true, true]),
        ],
    );
    // A field of the catalogue is one value: which of them is not known.
    let start = rule_of(
        "  product: windows\n  category: process_creation",
        "  selection:\n    Image|endswith: 'b.exe'\n  condition: selection",
    );
    let events = [sysmon(1, &json!({ "Image": ["a.exe", "b.exe"] })), sysmon(1, &json!({ "Image": ["b.exe"] }))];
    assert_eq!(outcome(&start, &events), (vec![false, true], 1));
}
