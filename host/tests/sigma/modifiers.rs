//! Modifiers, chains of them, and special values, as the *Sigma rules specification* 2.1 has them.

use serde_json::json;

use super::{each, event, generic, matched, on_command_lines, refused, rule, rule_of, sysmon};

#[test]
fn every_dash_is_any_dash() {
    let lines = ["x -a", "x /a", "x –a", "x —a", "x ―a", "x +a", "x-a", "x - a"];
    for dash in ["-", "/", "–", "—", "―"] {
        let detection = format!("  selection:\n    CommandLine|contains|windash: ' {dash}a'\n  condition: selection");
        let expected = [true, true, true, true, true, false, false, false];
        assert_eq!(on_command_lines(&detection, &lines), expected, "{dash}");
    }
    // All permutations: each dash by itself.
    let both = "  selection:\n    CommandLine|windash|contains|all: [' -a', ' /b ']\n  condition: selection";
    assert_eq!(on_command_lines(both, &["x ―a -b c", "x /b a", "x /b -ac "]), [true, false, true]);
    let mixed = "  selection:\n    CommandLine|windash: 'x -a -b*'\n  condition: selection";
    assert_eq!(on_command_lines(mixed, &["x /a –b", "x -a /bc", "x -a b"]), [true, true, false]);
}

#[test]
fn encodings_apply_in_their_order() {
    let on = |modifiers: &str, value: &str, lines: &[&str]| {
        let detection = format!("  selection:\n    CommandLine|{modifiers}: '{value}'\n  condition: selection");
        on_command_lines(&detection, lines)
    };
    // `cmd` as UTF-16: little end first, big end first, with a mark before it.
    assert_eq!(on("utf16le|base64|contains", "cmd", &["x YwBtAGQA y", "x AGMAbQBk y"]), [true, false]);
    assert_eq!(on("wide|base64|contains", "cmd", &["x YwBtAGQA y", "x AGMAbQBk y"]), [true, false]);
    assert_eq!(on("utf16be|base64|contains", "cmd", &["x YwBtAGQA y", "x AGMAbQBk y"]), [false, true]);
    assert_eq!(on("utf16|base64|contains", "cmd", &["x //5jAG0AZAA= y", "x YwBtAGQA y"]), [true, false]);
    // `foobar` behind no, one and two other bytes.
    let lines = ["Zm9vYmFy", "xZm9vYmFy", "eGZvb2Jhcg==", "eHlmb29iYXI=", "foobar"];
    assert_eq!(on("base64offset|contains", "foobar", &lines), [true, true, true, true, false]);
    // Twice, and a dash that is spelled before it is encoded.
    assert_eq!(on("base64|base64", "foo", &["Wm05dg==", "Zm9v"]), [true, false]);
    assert_eq!(on("windash|base64", "-a", &["LWE=", "L2E=", "4oCTYQ==", "K2E="]), [true, true, true, false]);
    // Text without case only where it is text: what is encoded is compared like any value.
    assert_eq!(on("base64|contains|cased", "foo", &["x Zm9v", "x zm9v"]), [true, false]);
}

#[test]
fn regular_expressions_are_those_of_pcre() {
    let on = |modifiers: &str, value: &str, lines: &[&str]| {
        let detection = format!("  selection:\n    CommandLine|{modifiers}: '{value}'\n  condition: selection");
        on_command_lines(&detection, lines)
    };
    assert_eq!(on("re", "^a.c$", &["abc", "ABC", "abc\n", "a\nc", "xabc"]), [true, false, true, false, false]);
    assert_eq!(on("re|i", "^a.c$", &["abc", "ABC", "a\nc"]), [true, true, false]);
    assert_eq!(on("re|s", "^a.c$", &["abc", "ABC", "a\nc"]), [true, false, true]);
    assert_eq!(on("re|m", "^b$", &["a\nb\nc", "abc"]), [true, false]);
    assert_eq!(on("re|i|m|s", "^B.C$", &["a\nb\nc\nd", "bc"]), [true, false]);
    assert_eq!(on("re", "(curl|wget) [a-z]{3,}", &["curl abc", "wget ab", "curl ABC"]), [true, false, false]);
    let detection = "  selection:\n    CommandLine|re|all: ['a+', 'b{2}']\n  condition: selection";
    assert_eq!(on_command_lines(detection, &["xabb", "xab"]), [true, false]);
    let neq = "  selection:\n    CommandLine|re|neq: '^a'\n  condition: selection";
    assert_eq!(on_command_lines(neq, &["ab", "ba"]), [false, true]);
    for (value, code) in
        [("a(?=b)", "sigma-regex"), ("a++", "sigma-regex"), ("[[a]]", "sigma-regex"), ("(", "sigma-regex")]
    {
        refused(&format!("  selection:\n    CommandLine|re: '{value}'\n  condition: selection"), code);
    }
    refused("  selection:\n    CommandLine|i: 'a'\n  condition: selection", "sigma-modifier");
}

#[test]
fn other_fields_at_the_ends_and_inside() {
    let events = [
        json!({ "a": "Evil.exe", "b": "evil" }),
        json!({ "a": "not EVIL", "b": "evil" }),
        json!({ "a": "an evil one", "b": "evil" }),
        json!({ "a": "evil", "b": "evil" }),
        json!({ "a": "a*c", "b": "a*c" }),
        json!({ "a": "abc", "b": "a*c" }),
        json!({ "a": "5", "b": 5 }),
        json!({ "a": "evil" }),
    ];
    each(
        generic,
        &events,
        &[
            ("a|fieldref: b", &[false, false, false, true, true, false, true, false]),
            ("a|fieldref|startswith: b", &[true, false, false, true, true, false, true, false]),
            ("a|fieldref|endswith: b", &[false, true, false, true, true, false, true, false]),
            ("a|fieldref|contains: b", &[true, true, true, true, true, false, true, false]),
            ("a|fieldref|contains|cased: b", &[false, false, true, true, true, false, true, false]),
            ("a|fieldref|neq: b", &[true, true, true, false, false, true, false, true]),
            ("a|fieldref: [c, b]", &[false, false, false, true, true, false, true, false]),
        ],
    );
}

#[test]
fn different_and_there() {
    let events = [json!({ "a": "x" }), json!({ "a": "X" }), json!({ "a": "y" }), json!({ "a": "" }), json!({})];
    each(
        generic,
        &events,
        &[
            ("a|neq: x", &[false, false, true, true, true]),
            ("a|cased|neq: x", &[false, true, true, true, true]),
            ("a|neq: [x, y]", &[false, false, false, true, true]),
            ("a|neq|contains: x", &[false, false, true, true, true]),
            ("a|neq: null", &[true, true, true, true, false]),
            ("a|exists: true", &[true, true, true, true, false]),
            ("a|exists: false", &[false, false, false, false, true]),
            ("a|cased: X", &[false, true, false, false, false]),
            ("a|cased|startswith: x", &[true, false, false, false, false]),
        ],
    );
}

#[test]
fn nothing_and_the_empty_text_in_lists() {
    let events = [json!({ "a": "" }), json!({ "a": null }), json!({}), json!({ "a": "x" }), json!({ "a": "null" })];
    each(
        generic,
        &events,
        &[
            ("a: ''", &[true, false, false, false, false]),
            ("a: null", &[false, true, true, false, false]),
            ("a:", &[false, true, true, false, false]),
            ("a: ['', null]", &[true, true, true, false, false]),
            ("a: [x, null]", &[false, true, true, true, false]),
            ("a: 'null'", &[false, false, false, false, true]),
            ("a: '*'", &[true, false, false, true, true]),
            ("a: '?*'", &[false, false, false, true, true]),
            ("a|contains: ''", &[true, false, false, true, true]),
        ],
    );
    let either = "  one:\n    a: ''\n  two:\n    a: null\n  condition: 1 of them";
    assert_eq!(matched(&generic(either), &events), [true, true, true, false, false]);
    refused("  selection:\n    CommandLine: []\n  condition: selection", "sigma-document");
    refused("  selection:\n    CommandLine|contains: null\n  condition: selection", "sigma-type");
}

#[test]
fn the_table_of_wildcards_and_escapes() {
    // Value in single quotes, what it matches, what it does not.
    for (value, yes, no) in [
        (r"a\b", r"a\b", r"a\\b"),
        (r"a\\b", r"a\b", r"a\\b"),
        (r"a\\\b", r"a\\b", r"a\b"),
        (r"a\\\\b", r"a\\b", r"a\b"),
        (r"a\*b", "a*b", "axb"),
        (r"a\?b", "a?b", "axb"),
        (r"a\\*b", r"a\xyb", "a*b"),
        (r"a\\?b", r"a\xb", r"a\b"),
        (r"a\\\*b", r"a\*b", r"a\xb"),
        (r"a*b", "ab", "abx"),
        (r"a?b", "aéb", "ab"),
        (r"prog?.exe", "PROGA.EXE", "prog.exe"),
        (r"antivirus_V*.exe", "antivirus_V21.2.1.exe", "antivirus_21.exe"),
        (r"a[b]c", "a[b]c", "abc"),
        (r"100%", "100%", "100"),
    ] {
        let detection = format!("  selection:\n    CommandLine: '{value}'\n  condition: selection");
        assert_eq!(on_command_lines(&detection, &[yes, no]), [true, false], "{value}");
    }
    // Behind a modifier, too.
    let detection = r"  selection:
    CommandLine|endswith: '\\*.exe'
  condition: selection";
    assert_eq!(on_command_lines(detection, &[r"C:\a.exe", r"C:\*.exe", "a.exe"]), [true, true, false]);
}

#[test]
fn lists_of_maps_and_of_texts_and_maps() {
    let maps = "  selection:\n    - CommandLine|contains: a\n      Image|endswith: b\n    - CommandLine: [c, d]\n  condition: selection";
    let process = |line: &str, image: &str| sysmon(1, &json!({ "CommandLine": line, "Image": image }));
    let events = [process("xa", "b"), process("xa", "c"), process("c", ""), process("D", ""), process("e", "")];
    assert_eq!(matched(&rule(maps), &events), [true, false, true, true, false]);
    let mixed = "  selection:\n    - whoami\n    - Image|endswith: b\n  condition: selection";
    let events = [process("x whoami y", "c"), process("z", "b"), process("z", "c")];
    assert_eq!(matched(&rule(mixed), &events), [true, true, false]);
    let conditions =
        "  one:\n    Image: b\n  two:\n    Image: c\n  _three:\n    Image: d\n  condition: [one, two and not two]";
    let events = ["b", "c", "d"].map(|image| process("", image));
    assert_eq!(matched(&rule(conditions), &events), [true, false, false]);
    for (condition, expected) in [
        ("1 of them", [true, true, false]),
        ("1 of *", [true, true, false]),
        ("1 of _*", [false, false, true]),
        ("1 of *o*", [true, true, false]),
        ("not all of them", [true, true, true]),
        ("not one and (two or _three)", [false, true, true]),
        ("one or two and _three", [true, false, false]),
    ] {
        let rule = rule(&conditions.replace("[one, two and not two]", condition));
        assert_eq!(matched(&rule, &events), expected, "{condition}");
    }
}

#[test]
fn searches_without_a_field_take_modifiers() {
    let events = [
        json!({ "a": "mimikatz runs", "b": { "c": ["x", "SEKURLSA"] } }),
        json!({ "a": "runs mimikatz" }),
        json!({ "a": 4711, "d": true }),
        json!({ "mimikatz": "x" }),
    ];
    each(
        generic,
        &events,
        &[
            ("- mimikatz", &[true, true, false, false]),
            ("'|all': [mimi, sekurlsa]", &[true, false, false, false]),
            ("'|contains': runs", &[true, true, false, false]),
            ("'|startswith': mimi", &[true, false, false, false]),
            ("'|endswith': mimikatz", &[false, true, false, false]),
            ("'|re': '^runs'", &[false, true, false, false]),
            ("'|re|i': 'sekur(lsa)?'", &[true, false, false, false]),
            ("'|cased': SEKUR", &[true, false, false, false]),
            ("- 'm*z'", &[true, true, false, false]),
            ("- 4711", &[false, false, true, false]),
            ("- 47", &[false, false, true, false]),
            ("- true", &[false, false, true, false]),
            ("'|neq': mimikatz", &[false, false, true, true]),
        ],
    );
    refused("  selection:\n    - null\n  condition: selection", "sigma-type");
    refused("  selection:\n    '|exists': true\n  condition: selection", "sigma-type");
    refused("  selection:\n    '|fieldref': Image\n  condition: selection", "sigma-type");
}

#[test]
fn attributes_of_the_header_have_their_element_before_them() {
    let mut told = event("Service Control Manager", "System", 7045, &json!({ "ServiceName": "evil" }));
    told["Event"]["System"]["Execution"] = json!({ "#attributes": { "ProcessID": 788, "ThreadID": 792 } });
    told["Event"]["System"]["Security"] = json!({ "#attributes": { "UserID": "S-1-5-18" } });
    each(
        |detection| rule_of("  product: windows\n  service: system", detection),
        &[told],
        &[
            ("Provider_Name: 'service control manager'", &[true]),
            ("Execution_ProcessID: 788", &[true]),
            ("Execution_ThreadID: '792'", &[true]),
            ("Execution_ProcessID: 789", &[false]),
            ("Security_UserID: S-1-5-18", &[true]),
        ],
    );
}
