//! Pipelines among Sigma rules, end to end: what each step makes of a rule, seen on events; and what is told of those that
//! cannot be followed.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};
use tempfile::TempDir;
use trapline::agent::control::RuleFile;
use trapline::agent::library::{File, Library, Origin};
use trapline::agent::load::{Loader, RuleText};
use trapline_programs::catalogue::catalogue;
use trapline_programs::diagnostic::Source;

fn trapline(arguments: &[&str], folder: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_trapline")).args(arguments).current_dir(folder).output().unwrap()
}

fn rule(detection: &str) -> String {
    rule_of("product: windows\n  category: process_creation", detection)
}

fn rule_of(logsource: &str, detection: &str) -> String {
    format!("title: A rule\nlevel: high\ntags: [attack.t1059]\nlogsource:\n  {logsource}\ndetection:\n{detection}\n")
}

fn sysmon(data: &Value) -> Value {
    json!({ "Event": {
        "System": {
            "Provider": { "#attributes": { "Name": "Microsoft-Windows-Sysmon" } },
            "EventID": 1,
            "Channel": "Microsoft-Windows-Sysmon/Operational",
            "Computer": "host",
            "TimeCreated": { "#attributes": { "SystemTime": "2026-03-01T10:00:00Z" } },
        },
        "EventData": data,
    }})
}

/// A folder with a rule and pipelines.
fn folder(rule: &str, pipelines: &[&str]) -> TempDir {
    let folder = TempDir::new().unwrap();
    fs::create_dir(folder.path().join("rules")).unwrap();
    fs::write(folder.path().join("rules/rule.yml"), rule).unwrap();
    for (number, pipeline) in pipelines.iter().enumerate() {
        fs::write(folder.path().join(format!("rules/site{number}.yml")), pipeline).unwrap();
    }
    folder
}

/// The lines of events that a rule matches, from 1, or what is told if it is refused.
fn outcome(rule: &str, pipelines: &[&str], events: &[Value]) -> Result<Vec<u64>, String> {
    let folder = folder(rule, pipelines);
    let text: String = events.iter().map(|event| format!("{event}\n")).collect();
    fs::write(folder.path().join("events.jsonl"), text).unwrap();
    let output = trapline(&["replay", "--rules", "rules", "--format", "jsonl", "events.jsonl"], folder.path());
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let text = String::from_utf8(output.stdout).unwrap();
    let alerts = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    Ok(alerts.map(|alert| alert["trapline"]["source"]["record"].as_u64().unwrap()).collect())
}

#[track_caller]
fn matched(rule: &str, pipelines: &[&str], events: &[Value]) -> Vec<u64> {
    outcome(rule, pipelines, events).unwrap_or_else(|told| panic!("{rule}\n{pipelines:?}\n{told}"))
}

#[track_caller]
fn refused(rule: &str, pipelines: &[&str], reason: &str) {
    match outcome(rule, pipelines, &[json!({})]) {
        Ok(_) => panic!("{pipelines:?} is taken"),
        Err(told) => assert!(told.contains(reason), "{told}"),
    }
}

fn step(lines: &str) -> String {
    let lines: Vec<String> = lines.lines().map(|line| format!("    {line}\n")).collect();
    format!("transformations:\n  - id: one\n{}", lines.concat())
}

#[test]
fn fields_have_other_names() {
    let whoami = rule("  selection:\n    Image|endswith: whoami\n  condition: selection");
    let events = [
        sysmon(&json!({ "Image": "whoami", "Tool": "x", "Other": "y" })),
        sysmon(&json!({ "Image": "x", "Tool": "whoami" })),
        sysmon(&json!({ "Image": "x", "Other": "whoami", "CommandLine": "whoami" })),
    ];
    assert_eq!(matched(&whoami, &[], &events), [1]);
    for (lines, expected) in [
        ("type: field_name_mapping\nmapping: {Image: Tool}", vec![2]),
        ("type: field_name_mapping\nmapping: {Image: [Tool, Other]}", vec![2, 3]),
        // A field of the catalogue, and one below an open prefix.
        ("type: field_name_mapping\nmapping: {Image: process.command_line}", vec![3]),
        ("type: field_name_mapping\nmapping: {Image: winlog.event_data.Tool}", vec![2]),
        ("type: field_name_mapping\nmapping: {Other: Tool}", vec![1]),
        ("type: field_name_prefix_mapping\nmapping: {Im: To, X: Y}", vec![]),
        ("type: field_name_prefix_mapping\nmapping: {Image: [Tool, Other]}", vec![2, 3]),
        ("type: field_name_prefix\nprefix: winlog.event_data.", vec![1]),
        ("type: field_name_suffix\nsuffix: x", vec![]),
        (
            "type: field_name_suffix\nsuffix: x\nfield_name_conditions:\n  - {type: exclude_fields, fields: ['I.*'], mode: re}",
            vec![1],
        ),
    ] {
        assert_eq!(matched(&whoami, &[&step(lines)], &events), expected, "{lines}");
    }
    refused(
        &whoami,
        &[&step("type: field_name_mapping\nmapping: {Image: dns.question.name}")],
        "no event of this log source has the field `dns.question.name`",
    );
    // One of two names as a whole: not the one here and the other there.
    let all = rule("  selection:\n    Image|contains|all: [a, b]\n  condition: selection");
    let both = step("type: field_name_mapping\nmapping: {Image: [Tool, Other]}");
    let events = [
        sysmon(&json!({ "Tool": "a", "Other": "b" })),
        sysmon(&json!({ "Tool": "ab", "Other": "" })),
        sysmon(&json!({})),
    ];
    assert_eq!(matched(&all, &[&both], &events), [2]);
    let not = rule("  selection:\n    Image: null\n  condition: selection");
    assert_eq!(matched(&not, &[&both], &events), [3]);
}

#[test]
fn fields_that_are_compared_with_and_searches_without_a_field_too() {
    let same = rule("  selection:\n    Image|fieldref: ParentImage\n  condition: selection");
    let events = [sysmon(&json!({ "Image": "a", "ParentImage": "a" })), sysmon(&json!({ "Image": "a", "Tool": "a" }))];
    let map = step("type: field_name_mapping\nmapping: {ParentImage: Tool}");
    assert_eq!(matched(&same, &[], &events), [1]);
    assert_eq!(matched(&same, &[&map], &events), [2]);
    let only = format!("{map}    field_name_conditions:\n      - {{type: include_fields, fields: [Image]}}\n");
    assert_eq!(matched(&same, &[&only], &events), [1]);
    let keyword = rule("  keywords: [whoami]\n  condition: keywords");
    let events = [sysmon(&json!({ "Image": "x whoami y" })), sysmon(&json!({ "CommandLine": "x whoami y" }))];
    assert_eq!(matched(&keyword, &[], &events), [1, 2]);
    let map = step("type: field_name_mapping\nmapping: {null: CommandLine}");
    assert_eq!(matched(&keyword, &[&map], &events), [2]);
}

#[test]
fn items_are_dropped_and_added() {
    let two =
        rule("  selection:\n    Image: a\n    User: b\n  other:\n    Tool: c\n  condition: selection and not other");
    let events = [
        sysmon(&json!({ "Image": "a" })),
        sysmon(&json!({ "Image": "a", "User": "b" })),
        sysmon(&json!({ "Image": "a", "User": "b", "Tool": "c" })),
    ];
    assert_eq!(matched(&two, &[], &events), [2]);
    let drop = |field: &str| {
        step(&format!(
            "type: drop_detection_item\nfield_name_conditions:\n  - {{type: include_fields, fields: [{field}]}}"
        ))
    };
    assert_eq!(matched(&two, &[&drop("User")], &events), [1, 2]);
    // A search of which nothing is left is not in the condition.
    assert_eq!(matched(&two, &[&drop("Tool")], &events), [2, 3]);
    refused(&two, &[&step("type: drop_detection_item")], "the pipelines drop all that this rule looks for");
    let add = "type: add_condition\nconditions:\n  User: b\n  Tool|startswith: [c, d]";
    let image = rule("  selection:\n    Image: a\n  condition: 1 of them");
    assert_eq!(matched(&image, &[&step(add)], &events), [3]);
    assert_eq!(matched(&image, &[&step(&format!("{add}\nnegated: true"))], &events), [1, 2]);
    let template = "type: add_condition\nconditions: {Tool: '${product}/$category'}\ntemplate: true";
    let event = [sysmon(&json!({ "Image": "a", "Tool": "windows/process_creation" }))];
    assert_eq!(matched(&image, &[&step(template)], &event), [1]);
    refused(&image, &[&step(&template.replace("category", "service"))], "the log source has no service");
    refused(&image, &[&step(&format!("{add}\nname: selection"))], "the rule has a search `selection` already");
    // What is added goes through the steps behind it.
    let map = "transformations:\n  - {type: add_condition, conditions: {Who: b}}\n  - {type: field_name_mapping, mapping: {Who: User}}\n";
    assert_eq!(matched(&image, &[map], &events), [2, 3]);
}

#[test]
fn values_are_changed_as_modifiers_leave_them() {
    let contains = rule("  selection:\n    CommandLine|contains: ['/tmp/a', 5]\n  condition: selection");
    let events: Vec<Value> = ["x /tmp/a y", "x C:\\a y", "5", "hit", "x/a", "**"]
        .iter()
        .map(|line| sysmon(&json!({ "CommandLine": line })))
        .collect();
    assert_eq!(matched(&contains, &[], &events), [1, 3]);
    for (lines, expected) in [
        ("type: replace_string\nregex: '/tmp/(\\w)'\nreplacement: 'C:\\\\\\1'", vec![2, 3]),
        ("type: replace_string\nregex: '/tmp/(?P<name>\\w)'\nreplacement: 'x/\\g<name>'", vec![3, 5]),
        // The stars of `contains` are seen, and can be replaced.
        ("type: replace_string\nregex: '^.*tmp.*$'\nreplacement: hit", vec![3, 4]),
        ("type: replace_string\nskip_special: true\nregex: '^.*tmp.*$'\nreplacement: '*'", vec![3, 6]),
        (
            "type: replace_string\nskip_special: true\ninterpret_special: true\nregex: '^.*tmp.*$'\nreplacement: '?*/a'",
            vec![1, 3, 5],
        ),
        ("type: map_string\nmapping: {'*/tmp/a*': [hit, 'x/a']}", vec![3, 4, 5]),
        ("type: map_string\nmapping: {'/tmp/a': hit}", vec![1, 3]),
        ("type: set_value\nvalue: hit", vec![4]),
        ("type: set_value\nvalue: '5'\nforce_type: num", vec![3]),
        ("type: set_value\nvalue: null", vec![]),
    ] {
        assert_eq!(matched(&contains, &[&step(lines)], &events), expected, "{lines}");
    }
    let to_number = step("type: convert_type\ntarget_type: num");
    refused(&contains, &[&to_number], "`*/tmp/a*` is no whole number");
    let five = rule("  selection:\n    CommandLine: '5'\n  condition: selection");
    assert_eq!(matched(&five, &[&to_number], &events), [3]);
    // What is spelled in several ways is left alone.
    let dashes = rule("  selection:\n    CommandLine|windash|contains: ' -a'\n  condition: selection");
    let event = [sysmon(&json!({ "CommandLine": "x /a" }))];
    let map = step("type: replace_string\nregex: a\nreplacement: b");
    assert_eq!(matched(&dashes, &[&map], &event), [1]);
}

#[test]
fn placeholders_take_their_values_from_pipelines() {
    let site = rule("  selection:\n    User|expand: 'CORP\\\\%admins%'\n  condition: selection");
    let events: Vec<Value> =
        ["CORP\\alice", "CORP\\svc-1", "CORP\\bob"].iter().map(|user| sysmon(&json!({ "User": user }))).collect();
    let vars = "vars:\n  admins: [alice, 'svc-*']\n";
    assert_eq!(matched(&site, &[vars], &events), [1, 2]);
    // The later pipeline says; names in values are not placeholders.
    assert_eq!(matched(&site, &[vars, "name: z\nvars: {admins: bob}\n"], &events), [3]);
    assert!(matched(&site, &["vars: {admins: '%admins%'}"], &events).is_empty());
    let any = step("type: wildcard_placeholders");
    assert_eq!(matched(&site, &[&any], &events), [1, 2, 3]);
    refused(&site, &[&step("type: wildcard_placeholders\nexclude: [admins]")], "placeholder `%admins%` has no values");
    refused(&site, &[], "vars: {admins: [first, second]}");
    // With transformations, one of them has to ask for the values.
    let asked = format!("{vars}{}", step("type: value_placeholders\ninclude: [admins]"));
    assert_eq!(matched(&site, &[&asked], &events), [1, 2]);
    refused(&site, &[&format!("{vars}transformations: []")], "placeholder `%admins%` has no values");
    let regex = rule("  selection:\n    User|re|expand: '^CORP.%admins%$'\n  condition: selection");
    assert_eq!(matched(&regex, &[&any], &events), [1, 2, 3]);
    assert_eq!(matched(&regex, &["vars: {admins: 'b[ox]b'}"], &events), [3]);
}

#[test]
fn steps_are_for_what_their_conditions_say() {
    let two = rule("  selection:\n    Image: a\n    User: ['b', null]\n  condition: selection");
    let events = [sysmon(&json!({ "Image": "a", "User": "b" })), sysmon(&json!({ "Tool": "a", "User": "b" }))];
    let map = "type: field_name_mapping\nmapping: {Image: Tool}\n";
    for (conditions, is_for) in [
        ("rule_conditions:\n  - {type: logsource, product: windows, category: process_creation}", true),
        ("rule_conditions:\n  - {type: logsource, product: windows, service: security}", false),
        ("rule_conditions:\n  - {type: logsource, product: linux}\nrule_cond_not: true", true),
        ("rule_conditions:\n  - {type: contains_field, field: User}\n  - {type: is_sigma_rule}", true),
        (
            "rule_conditions:\n  - {type: contains_field, field: Hashes}\n  - {type: is_sigma_rule}\nrule_cond_op: or",
            true,
        ),
        ("rule_conditions:\n  - {type: is_sigma_correlation_rule}", false),
        ("rule_conditions:\n  - {type: contains_detection_item, field: Image, value: a}", true),
        ("rule_conditions:\n  - {type: contains_detection_item, field: Image, value: b}", false),
        ("rule_conditions:\n  - {type: tag, tag: attack.t1059}", true),
        ("rule_conditions:\n  - {type: rule_attribute, attribute: level, value: medium, op: gte}", true),
        ("rule_conditions:\n  - {type: rule_attribute, attribute: level, value: high, op: gt}", false),
        ("rule_conditions:\n  - {type: rule_attribute, attribute: title, value: A rule}", true),
        ("rule_conditions:\n  - {type: rule_attribute, attribute: tags, value: attack.t1059, op: in}", true),
        ("rule_conditions:\n  - {type: rule_attribute, attribute: author, value: x}", false),
        ("rule_conditions:\n  - {type: processing_item_applied, processing_item_id: one}", false),
        (
            "rule_conditions:\n  w: {type: logsource, product: windows}\n  l: {type: logsource, product: linux}\nrule_cond_expr: w and not (l or l)",
            true,
        ),
        ("detection_item_conditions:\n  - {type: match_string, cond: any, pattern: '[a-c]$'}", true),
        ("detection_item_conditions:\n  - {type: match_string, cond: all, pattern: b}", false),
        ("detection_item_conditions:\n  - {type: match_string, cond: all, pattern: b, negate: true}", true),
        ("detection_item_conditions:\n  - {type: match_value, cond: any, value: a}", true),
        ("detection_item_conditions:\n  - {type: contains_wildcard, cond: any}", false),
        ("detection_item_conditions:\n  - {type: is_null, cond: any}\ndetection_item_cond_not: true", true),
        ("detection_item_conditions:\n  - {type: is_null, cond: any}", false),
        ("field_name_conditions:\n  - {type: include_fields, fields: [Image, User]}", true),
        ("field_name_conditions:\n  - {type: include_fields, fields: ['mage'], mode: re}", false),
        ("field_name_conditions:\n  - {type: exclude_fields, fields: [Image]}", false),
    ] {
        let expected = if is_for { [2] } else { [1] };
        assert_eq!(matched(&two, &[&step(&format!("{map}{conditions}"))], &events), expected, "{conditions}");
    }
}

#[test]
fn steps_leave_word_for_those_behind_them() {
    let one = rule("  selection:\n    Image: a\n  condition: selection");
    let events = [sysmon(&json!({ "Image": "a" })), sysmon(&json!({ "Tool": "a" })), sysmon(&json!({ "Other": "a" }))];
    let first = "transformations:\n  - {id: first, type: field_name_mapping, mapping: {Image: Tool}}\n  - {type: set_state, key: k, val: 5}\n  - {type: set_custom_attribute, attribute: site, value: here}\n";
    let then = |kind: &str, condition: &str| {
        format!("{first}  - type: field_name_mapping\n    mapping: {{Tool: Other}}\n    {kind}:\n      - {condition}\n")
    };
    for (kind, condition, is_for) in [
        ("rule_conditions", "{type: processing_item_applied, processing_item_id: first}", true),
        ("rule_conditions", "{type: processing_state, key: k, val: 5}", true),
        ("rule_conditions", "{type: processing_state, key: k, val: 5, op: gt}", false),
        ("rule_conditions", "{type: processing_state, key: other, val: 5, op: ne}", false),
        ("rule_conditions", "{type: rule_attribute, attribute: site, value: here}", true),
        ("detection_item_conditions", "{type: processing_item_applied, processing_item_id: first}", true),
        ("detection_item_conditions", "{type: processing_state, key: k, val: x, op: ne}", true),
        ("field_name_conditions", "{type: processing_item_applied, processing_item_id: other}", false),
        ("field_name_conditions", "{type: processing_state, key: k, val: 4, op: gte}", true),
    ] {
        let expected = if is_for { [3] } else { [2] };
        assert_eq!(matched(&one, &[&then(kind, condition)], &events), expected, "{condition}");
    }
    // By priority, then by name, whatever the files are called.
    let by = |head: &str, from: &str, to: &str| {
        format!("{head}\ntransformations:\n  - {{type: field_name_mapping, mapping: {{{from}: {to}}}}}\n")
    };
    let late = by("name: a\npriority: 20", "Tool", "Other");
    let early = by("name: b\npriority: 10", "Image", "Tool");
    assert_eq!(matched(&one, &[&late, &early], &events), [3]);
    let (z, y) = (by("name: z", "Tool", "Other"), by("name: y", "Image", "Tool"));
    assert_eq!(matched(&one, &[&z, &y], &events), [3]);
}

#[test]
fn log_sources_are_changed() {
    let one =
        rule_of("product: windows\n  category: process_start", "  selection:\n    Image: a\n  condition: selection");
    let events = [sysmon(&json!({ "Image": "a" }))];
    refused(&one, &[], "is no category of Windows");
    let change = "type: change_logsource\nproduct: windows\ncategory: process_creation\n";
    assert_eq!(matched(&one, &[&step(change)], &events), [1]);
    let folder = folder(&one, &[&step("type: change_logsource\nproduct: windows\ncategory: process_creatoin\n")]);
    let told = String::from_utf8(trapline(&["check", "rules"], folder.path()).stderr).unwrap();
    assert!(told.contains("site0.yml:5:15") && told.contains("did you mean `process_creation`?"), "{told}");
}

#[test]
fn filters_go_through_the_same_steps() {
    let both = rule("  selection:\n    Image: a\n  condition: selection")
        + "---\ntitle: Not\nlogsource: {product: windows}\nfilter:\n  rules: any\n  selection:\n    Who: b\n  condition: not selection\n";
    let events = [sysmon(&json!({ "Image": "a", "User": "b" })), sysmon(&json!({ "Image": "a", "User": "c" }))];
    assert_eq!(matched(&both, &[], &events), [1, 2]);
    assert_eq!(matched(&both, &[&step("type: field_name_mapping\nmapping: {Who: User}")], &events), [2]);
}

#[test]
fn a_pipeline_with_a_mistake_takes_all_rules_along_and_says_so() {
    let one = rule("  selection:\n    Image: a\n  condition: selection");
    for (pipeline, reason) in [
        ("transformations: {a: b}", "`transformations` is a list, not a map"),
        ("transformations: [", "the rule of Sigma beside this pipeline cannot be compiled"),
        ("transformations: [x]", "a transformation is a map, not a text"),
        ("transformations: [{id: x}]", "`type` is missing"),
        ("transformations: []\npriority: high", "`priority` is a number, not a text"),
        ("transformations: []\nbackend: x", "`backend` is no part of a pipeline"),
        ("vars: [a]", "`vars` is a map from names to values, not a list"),
        ("vars: {a: {b: c}}", "`a` takes texts and numbers, not a map"),
        ("transformations: [{type: nest, items: []}]", "the transformation `nest` is refused"),
        ("transformations: [{type: field_name_mapping}]", "`mapping` is missing"),
        ("transformations: [{type: field_name_mapping, mapping: {a: []}}]", "`a` is mapped to nothing"),
        ("transformations: [{type: drop_detection_item, fields: [a]}]", "`fields` is no part of `drop_detection_item`"),
        ("transformations: [{type: replace_string, regex: '(', replacement: ''}]", "error[sigma-pipeline]"),
        ("transformations: [{type: replace_string, regex: '(?=a)', replacement: ''}]", "look-around"),
        ("transformations: [{type: replace_string, regex: a, replacement: '\\1'}]", "the expression has no group 1"),
        ("transformations: [{type: convert_type, target_type: bool}]", "`bool` is no type of values"),
        ("transformations: [{type: change_logsource}]", "the new log source is empty"),
        ("transformations: [{type: set_value, value: [a]}]", "a value cannot be set to a list"),
        (
            "transformations: [{type: value_placeholders, include: [a], exclude: [b]}]",
            "`include` and `exclude` together",
        ),
        (
            "transformations: [{type: drop_detection_item, rule_cond_op: or}]",
            "`rule_cond_op` without `rule_conditions`",
        ),
        (
            "transformations: [{type: drop_detection_item, rule_conditions: [{type: is_sigma_rle}]}]",
            "there is no condition `is_sigma_rle` in `rule_conditions`",
        ),
        (
            "transformations: [{type: drop_detection_item, rule_conditions: {a: {type: is_sigma_rule}}, rule_cond_expr: a and b}]",
            "b",
        ),
        (
            "transformations: [{type: rule_failure, message: m, field_name_conditions: [{type: include_fields, fields: [a]}]}]",
            "`rule_failure` changes the rule as a whole",
        ),
        (
            "transformations: [{type: drop_detection_item, rule_conditions: [{type: rule_attribute, attribute: level, value: x}]}]",
            "this is no level of a rule",
        ),
        ("transformations: [{type: detection_item_failure, message: not with us}]", "not with us"),
    ] {
        refused(&one, &[pipeline], reason);
    }
    let folder = folder(&one, &["transformations: [x]"]);
    let told = String::from_utf8(trapline(&["check", "rules"], folder.path()).stderr).unwrap();
    assert!(told.contains("the rule of Sigma beside this pipeline cannot be compiled"), "{told}");
    // What concerns queries alone has no effect, and that is said.
    let output =
        "transformations: [{type: add_field, field: a}]\nfinalizers: [{type: concat}]\nallowed_backends: [x]\n";
    assert_eq!(matched(&one, &[output], &[sysmon(&json!({ "Image": "a" }))]), [1]);
    let folder = self::folder(&one, &[output]);
    let told = String::from_utf8(trapline(&["check", "rules"], folder.path()).stderr).unwrap();
    assert_eq!(told.matches("warning[sigma-pipeline]").count(), 3, "{told}");
}

#[test]
fn the_example_of_the_documentation_is_one() {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/sigma.md")).unwrap();
    let example = text.split("```\n").find(|part| part.starts_with("name: our site")).unwrap();
    let detection = "  selection:\n    eventName: x\n    user|expand: '%administrators%'\n  condition: selection";
    let aws = rule_of("product: aws\n  service: cloudtrail", detection);
    let events = [
        json!({ "eventName": "x", "user": "svc-1" }),
        json!({ "aws": { "cloudtrail": { "event_name": "x" } }, "user": "alice" }),
        json!({ "eventName": "x", "user": "bob" }),
    ];
    assert_eq!(matched(&aws, &[example], &events), [1, 2]);
    let door = rule_of("product: acme\n  service: door", "  selection:\n    who: x\n  condition: selection");
    let events = [json!({ "who": "x" }), json!({ "who": "x", "site": { "kind": "door" } })];
    assert_eq!(matched(&door, &[example], &events), [2]);
}

#[test]
fn a_running_agent_takes_a_pipeline_in_like_a_rule() {
    let whoami = rule("  selection:\n    Image: a\n  condition: selection");
    let text = |name: &str, text: &str| RuleText { source: Source::new(name, text), ruleset: name.to_owned() };
    let files = vec![File::new(text("rule.yml", &whoami), Origin::Named)];
    let (mut library, opening) = Library::open(Loader::new(catalogue().clone(), None), true, files).unwrap();
    assert!(opening.refused.is_empty(), "{:?}", opening.refused);
    let load = |library: &mut Library, text: &str| {
        library.load(vec![RuleFile { name: "site.yml".to_owned(), text: text.to_owned() }])
    };
    let map = step("type: field_name_mapping\nmapping: {Image: Tool}");
    let change = load(&mut library, &map).unwrap();
    assert_eq!(change.changed.replaced, ["a_rule"]);
    library.commit(change);
    // One with a mistake is refused, and the last good one stays.
    let refused = load(&mut library, &map.replace("mapping:", "maping:")).unwrap_err();
    assert!(refused.diagnostics.iter().any(|told| told.contains("did you mean `mapping`?")), "{refused:?}");
    let change = load(&mut library, &map.replace("Tool", "Other")).unwrap();
    assert_eq!((change.changed.replaced.len(), change.changed.unloaded.len()), (1, 0));
    library.commit(change);
    let change = library.unload(&["site.yml".to_owned()]).unwrap();
    assert_eq!(change.changed.replaced, ["a_rule"]);
}

#[test]
fn what_is_proved_is_what_pipelines_made_of_it() {
    let folder = folder(&rule("  one: {User|expand: '%admins%'}\n  condition: one"), &["vars: {admins: [alice]}"]);
    for paths in [&["rules"][..], &["rules/rule.yml", "rules/site0.yml"], &["rules/site0.yml", "rules/rule.yml"]] {
        let output = trapline(&[&["--color", "never", "verify"], paths].concat(), folder.path());
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && said.starts_with("proved  a_rule"), "{paths:?}: {said}");
    }
    let alone = trapline(&["verify", "rules/rule.yml"], folder.path());
    assert_eq!(alone.status.code(), Some(2));
}
