//! Object files, end to end: ours are ordinary BPF ELF and mean what their rules mean, those of a C compiler run, and
//! broken ones are refused. What needs clang or binutils is skipped, with a line, where they are not.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};
use tempfile::TempDir;
use trapline_engine::{Domain, LinkOptions};
use trapline_programs::catalogue::catalogue;
use trapline_programs::compile::compile;
use trapline_programs::{object, stock};
use trapline_vm::isa::assemble;
use trapline_vm::map::{MapDecl, MapKind};
use trapline_vm::program::{Object, elf};
use trapline_vm::record::OsSet;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn trapline(arguments: &[&str], folder: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_trapline")).args(arguments).current_dir(folder).output().unwrap()
}

#[track_caller]
fn succeeds(arguments: &[&str], folder: &Path) -> String {
    let output = trapline(arguments, folder);
    assert!(output.status.success(), "{arguments:?}\n{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn alerts(lines: &str) -> Vec<Value> {
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A clang that knows the target.
fn clang() -> Option<String> {
    let names = std::iter::once("clang".to_owned()).chain((14..=22).map(|version| format!("clang-{version}")));
    let knows = |name: &String| {
        let output =
            Command::new(name).args(["-target", "bpf", "-x", "c", "-c", "-o", "/dev/null", "/dev/null"]).output();
        output.is_ok_and(|output| output.status.success())
    };
    let found = names.into_iter().find(knows);
    if found.is_none() {
        println!("skipped: there is no clang with the target bpf");
    }
    found
}

const PROCESSORS: [&str; 3] = ["v1", "v2", "v3"];

/// An object file from a C file, for a version of the processor.
#[track_caller]
fn build(clang: &str, source: &Path, processor: &str, folder: &Path) -> PathBuf {
    let object = folder.join(source.file_stem().unwrap()).with_extension("o");
    let output = Command::new(clang)
        .args(["-O2", "-g", "-target", "bpf", "-Wall", "-Wextra", "-Werror", "-c"])
        .arg(format!("-mcpu={processor}"))
        .arg("-I")
        .arg(root().join("docs/c"))
        .arg(source)
        .arg("-o")
        .arg(&object)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}: {}", source.display(), String::from_utf8_lossy(&output.stderr));
    object
}

fn process(command_line: &str) -> Value {
    json!({
        "@timestamp": "2026-03-01T10:00:00Z",
        "event": { "kind": "event", "category": ["process"], "type": ["start"] },
        "process": { "name": "curl", "command_line": command_line },
    })
}

fn logon(second: u32, ip: &str, outcome: &str) -> Value {
    json!({
        "@timestamp": format!("2026-03-01T10:{:02}:{:02}Z", second / 60, second % 60),
        "event": { "kind": "event", "category": ["authentication"], "type": ["start"], "outcome": outcome },
        "source": { "ip": ip },
        "user": { "name": "root" },
    })
}

fn dns(name: &str) -> Value {
    json!({
        "@timestamp": "2026-03-01T10:00:00Z",
        "event": { "kind": "event", "category": ["network"], "type": ["protocol"], "action": "dns_query" },
        "dns": { "question": { "name": name } },
    })
}

/// The events (from 1) on which the rules of an object file alert.
#[track_caller]
fn alerted(object: &Path, events: &[Value]) -> Vec<u64> {
    let folder = TempDir::new().unwrap();
    let text: String = events.iter().map(|event| format!("{event}\n")).collect();
    fs::write(folder.path().join("events.jsonl"), text).unwrap();
    let rules = object.display().to_string();
    let lines = succeeds(&["replay", "--rules", &rules, "--format", "jsonl", "events.jsonl"], folder.path());
    let line = |alert: &Value| alert["trapline"]["source"]["record"].as_u64().unwrap();
    alerts(&lines).iter().map(line).collect()
}

#[test]
fn a_rule_in_c_is_loaded_proved_and_says_who_it_is() {
    let Some(clang) = clang() else { return };
    let folder = TempDir::new().unwrap();
    let source = folder.path().join("netcat.c");
    let text = r#"#include "trapline.h"
TL_RULE(netcat, TL_ID("0a6c0d2e-8f0a-4f0e-9a2b-6d3f6a8f1c01") TL_TITLE("Netcat listens") TL_SEVERITY("high")
    TL_OS("linux") TL_ATTACK("T1059.004") TL_OUTPUT("{process.name} was started: {process.command_line|?}"));
TL_STRING(command, "process.command_line");
TL_INT(pid, "process.pid");
TL_PREDICATE(listens, "process.command_line", contains, " -l", " --listen");
TL_PREDICATE(netcat, "process.name", equals, "nc", "ncat");

static int odd(TL_EVENT)
{
    return tl_int(pid) & 1;
}

TL_PROGRAM("process.exec")
int netcat_(TL_EVENT)
{
    if (tl_lost(command))
        return TL_NOT_EVALUABLE;
    if (!tl_true(listens) || !tl_true(netcat))
        return TL_NO_MATCH;
    return odd(TL_ARGS) ? TL_MATCH : TL_NO_MATCH;
}
"#;
    fs::write(&source, text).unwrap();
    let event = |pid: u64, line: &str| {
        let mut event = process(line);
        event["process"]["name"] = json!("nc");
        event["process"]["pid"] = json!(pid);
        event
    };
    let events = [event(7, "nc -l 4444"), event(8, "nc -l 4444"), event(7, "nc host 80"), event(9, "nc --listen")];
    for processor in PROCESSORS {
        let object = build(&clang, &source, processor, folder.path());
        assert_eq!(alerted(&object, &events), [1, 4], "{processor}");
    }
    let check = trapline(&["check", "netcat.o"], folder.path());
    let fields = "process.command_line, process.name, process.pid";
    assert!(String::from_utf8_lossy(&check.stdout).contains(fields), "{}", String::from_utf8_lossy(&check.stdout));
    let assembly = succeeds(&["debug", "asm", "netcat.o"], folder.path());
    assert!(assembly.contains("# offset of the slot of process.pid") && assembly.contains("# p0 true"), "{assembly}");
    fs::write(folder.path().join("e.jsonl"), format!("{}\n", events[0])).unwrap();
    let alert = succeeds(&["replay", "--rules", "netcat.o", "--format", "jsonl", "e.jsonl"], folder.path());
    let alert = &alerts(&alert)[0];
    assert_eq!(alert["rule"]["id"], "0a6c0d2e-8f0a-4f0e-9a2b-6d3f6a8f1c01");
    assert_eq!(alert["rule"]["name"], "netcat");
    assert_eq!(alert["trapline"]["title"], "Netcat listens");
    assert_eq!(alert["trapline"]["severity"], "high");
    assert_eq!(alert["message"], "nc was started: nc -l 4444");
    assert_eq!(alert["threat"]["technique"][0]["subtechnique"][0]["id"], "T1059.004");
    assert_eq!(alert["trapline"]["evidence"][0]["field"], "process.command_line");
    // Nobody signed it.
    let run = trapline(&["run", "--rules", "netcat.o"], folder.path());
    let said = String::from_utf8_lossy(&run.stderr).into_owned();
    assert!(!run.status.success() && said.contains("--dev"), "{said}");
    // What is refused is shown in C.
    fs::write(
        &source,
        text.replace("return odd(TL_ARGS) ? TL_MATCH : TL_NO_MATCH;", "return odd(TL_ARGS) + (int)tl_int(pid);"),
    )
    .unwrap();
    build(&clang, &source, "v3", folder.path());
    let refused = trapline(&["verify", "netcat.o"], folder.path());
    let said = format!("{}{}", String::from_utf8_lossy(&refused.stdout), String::from_utf8_lossy(&refused.stderr));
    assert!(!refused.status.success() && said.contains("17 | if (tl_lost(command))"), "{said}");
}

#[test]
fn the_worked_detections_detect() {
    let Some(clang) = clang() else { return };
    let folder = TempDir::new().unwrap();
    let urls: Vec<Value> = [
        "curl http://3232235777/x",
        "curl http://192.168.1.1/x",
        "curl http://4294967296/",
        "curl http://16777215/",
        "curl http://16777216",
        "wget https://example.org/ ftp://3232235777",
        "curl http://3232235777.example.org/",
        "curl 3232235777",
        "curl \"http://3232235777:8080\"",
        "curl http://00000000003232235777/",
    ]
    .map(process)
    .to_vec();
    let mut logons = Vec::new();
    // Ten failures and a success; nine and a success; ten, too late; two addresses that do not add up.
    logons.extend((0..10).map(|second| logon(second, "203.0.113.1", "failure")));
    logons.push(logon(20, "203.0.113.1", "success"));
    logons.push(logon(21, "203.0.113.1", "success"));
    logons.extend((0..9).map(|second| logon(30 + second, "2001:db8::1", "failure")));
    logons.push(logon(40, "2001:db8::1", "success"));
    logons.extend((0..10).map(|second| logon(50 + second, "203.0.113.3", "failure")));
    logons.push(logon(700, "203.0.113.3", "success"));
    logons.extend((0..6).map(|second| logon(710 + second, "203.0.113.4", "failure")));
    logons.extend((0..6).map(|second| logon(720 + second, "203.0.113.5", "failure")));
    logons.push(logon(730, "203.0.113.4", "success"));
    let names: Vec<Value> = [
        "xjq7k2bz9w4tr8vd.example.com",
        "www.example.org",
        "internationalization.example.org",
        "a1b2c3d4e5f6g7h8.net",
        "A1B2C3D4E5F6G7H8.NET",
        "a1b2c3d4e5f6g7h8.cloudfront.net",
        "a1b2c3.net",
    ]
    .map(dns)
    .to_vec();
    let expected: BTreeMap<&str, (&[Value], Vec<u64>)> = BTreeMap::from([
        ("url_with_integer_address", (urls.as_slice(), vec![1, 5, 6, 9])),
        ("logon_after_failures", (logons.as_slice(), vec![11])),
        ("generated_domain", (names.as_slice(), vec![1, 4, 5])),
    ]);
    let mut found: Vec<PathBuf> =
        fs::read_dir(root().join("docs/c")).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.retain(|path| path.extension().is_some_and(|extension| extension == "c"));
    assert_eq!(found.len(), expected.len(), "each detection has its events here");
    for source in found {
        let (events, wanted) = &expected[source.file_stem().unwrap().to_str().unwrap()];
        for processor in PROCESSORS {
            let object = build(&clang, &source, processor, folder.path());
            succeeds(&["verify", &object.display().to_string()], folder.path());
            assert_eq!(alerted(&object, events), *wanted, "{} for {processor}", source.display());
        }
    }
}

#[test]
fn compiled_rules_say_what_their_texts_say() {
    let folder = TempDir::new().unwrap();
    succeeds(&["compile", "stock", "-o", "objects"], folder.path());
    let events = root().join("tests/data/intrusion.jsonl").display().to_string();
    let ids = |rules: &str| -> Vec<Value> {
        let lines = succeeds(&["replay", "--rules", rules, "--format", "jsonl", &events], folder.path());
        alerts(&lines)
            .iter()
            .map(|alert| json!([alert["event"]["id"], alert["rule"]["id"], alert["message"]]))
            .collect()
    };
    let of_texts = ids("stock");
    assert!(of_texts.len() > 3, "{of_texts:?}");
    assert_eq!(ids("objects"), of_texts);
    // Nor is it another question which of them the sources cannot serve.
    let inert = |rules: &str| {
        succeeds(&["replay", "--rules", rules, "--summary", "summary.json", &events], folder.path());
        let summary = fs::read_to_string(folder.path().join("summary.json")).unwrap();
        let summary: Value = serde_json::from_str(&summary).unwrap();
        let names = summary["inert"].as_array().unwrap().iter().map(|rule| rule["name"].to_string());
        names.collect::<std::collections::BTreeSet<String>>()
    };
    let of_texts = inert("stock");
    assert!(!of_texts.is_empty());
    assert_eq!(inert("objects"), of_texts);
    // Writing them again changes no byte.
    succeeds(&["compile", "objects", "-o", "again"], folder.path());
    let one = fs::read_dir(folder.path().join("objects")).unwrap().next().unwrap().unwrap();
    let again = fs::read(folder.path().join("again").join(one.file_name())).unwrap();
    let catalogue = catalogue();
    let programs = |bytes: &[u8]| elf::read(bytes, catalogue).unwrap().rules.remove(0).programs;
    assert!(programs(&again) == programs(&fs::read(one.path()).unwrap()));
}

#[test]
fn standard_tools_take_ours_without_a_warning() {
    let folder = TempDir::new().unwrap();
    succeeds(&["compile", "stock", "-o", "objects"], folder.path());
    let objects: Vec<PathBuf> =
        fs::read_dir(folder.path().join("objects")).unwrap().map(|entry| entry.unwrap().path()).collect();
    for (tool, arguments) in [
        ("llvm-objdump", &["-d", "-r"][..]),
        ("llvm-readelf", &["-aW"]),
        ("readelf", &["-aW"]),
        ("llvm-objdump-14", &["-d", "-r"]),
    ] {
        let Ok(output) = Command::new(tool).args(arguments).args(&objects).output() else {
            println!("skipped: there is no {tool}");
            continue;
        };
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.trim().is_empty(), "{tool}: {said}");
        let shown = String::from_utf8_lossy(&output.stdout);
        assert!(shown.contains("rule/process"), "{tool}: {shown}");
    }
}

/// A generator of numbers: xorshift64*.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % bound.max(1)
    }
}

/// Reads, links and proves what may be anything; how far it came.
fn whole_way(bytes: &[u8]) -> (bool, bool) {
    let Ok(file) = elf::read(bytes, catalogue()) else { return (false, false) };
    let mut proved = false;
    for program in file.rules.iter().flat_map(|rule| &rule.programs) {
        let mut domain = Domain::new(catalogue().clone());
        if let Ok(linked) = domain.link(program, &LinkOptions::default()) {
            proved |= linked.verify().is_ok();
        }
    }
    (true, proved)
}

#[test]
fn whatever_the_file_it_is_refused_or_runs() {
    let compiled = compile(&stock::sources(), catalogue());
    let mut files: Vec<Vec<u8>> = compiled.rules.iter().step_by(9).map(|rule| object::write(rule).unwrap()).collect();
    if let Some(clang) = clang() {
        let folder = TempDir::new().unwrap();
        for name in ["url_with_integer_address", "logon_after_failures", "generated_domain"] {
            let source = root().join("docs/c").join(name).with_extension("c");
            files.push(fs::read(build(&clang, &source, "v3", folder.path())).unwrap());
        }
    }
    let mut random = Random(0x5eed);
    let (mut read, mut proved) = (0, 0);
    const ROUNDS: usize = 600;
    for original in &files {
        for _ in 0..ROUNDS {
            let mut bytes = original.clone();
            for _ in 0..=random.below(4) {
                let at = random.below(bytes.len());
                match random.below(6) {
                    0 => bytes.truncate(at.max(64)),
                    1 => bytes[at] ^= 1 << random.below(8),
                    2 => bytes[at] = [0, 1, 0x7f, 0x80, 0xfe, 0xff][random.below(6)],
                    3 => {
                        // A number of four bytes, where tables have them.
                        let at = at & !3;
                        let number = [0, 1, u32::MAX, 1 << 31, random.below(1 << 16) as u32][random.below(5)];
                        bytes.iter_mut().skip(at).zip(number.to_le_bytes()).for_each(|(to, from)| *to = from);
                    }
                    4 => {
                        let from = random.below(bytes.len());
                        let piece: Vec<u8> = bytes.iter().skip(from).take(16).copied().collect();
                        bytes.iter_mut().skip(at).zip(piece).for_each(|(to, from)| *to = from);
                    }
                    _ => drop(bytes.splice(at..at, [0; 8])),
                }
            }
            let (was_read, was_proved) = whole_way(&bytes);
            read += usize::from(was_read);
            proved += usize::from(was_proved);
        }
    }
    let count = files.len() * ROUNDS;
    println!("{count} files: {read} read, {proved} proved");
    // Else this is about headers alone.
    assert!(read * 10 > count && proved * 20 > count, "{count} files: {read} read, {proved} proved");
}

/// A file that cannot be read is named, with the place in it; none of its text is shown, which is base 64.
#[test]
fn broken_object_files_are_told_in_plain_words() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("broken.o"), "no ELF").unwrap();
    let why = "not a BPF object file: there is no header of a 64-bit ELF file";
    let refused = |arguments: &[&str]| {
        let output = trapline(arguments, folder.path());
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        let said = [output.stdout, output.stderr].map(|said| String::from_utf8(said).unwrap());
        for said in &said {
            assert!(!said.contains("#!trapline-object") && !said.contains("mistake"), "{arguments:?}: {said}");
        }
        said
    };
    let [said, _] = refused(&["--color", "never", "verify", "broken.o"]);
    assert_eq!(said, format!("refused  broken.o  broken.o\nerror[bad-object]: {why}\n"));
    let [_, said] = refused(&["--color", "never", "check", "broken.o"]);
    assert!(said.starts_with(&format!("error[bad-object]: {why}\n--> broken.o\n")), "{said}");
    let [_, said] = refused(&["--color", "never", "compile", "broken.o", "-o", "objects"]);
    assert!(said.starts_with(&format!("error[bad-object]: {why}\n--> broken.o\n")), "{said}");
    let json = |arguments: &[&str]| serde_json::from_str::<Value>(&refused(arguments)[0]).unwrap();
    let answer = json(&["verify", "--format", "json", "broken.o"]);
    assert_eq!(answer["file"], "broken.o");
    assert_eq!((&answer["refused"]["code"], &answer["refused"]["message"]), (&json!("bad-object"), &json!(why)));
    let answer = json(&["check", "--format", "json", "broken.o"]);
    let told = json!({
        "code": "bad-object", "level": "error", "message": why,
        "labels": [{ "file": "broken.o", "text": "this object file" }], "help": [],
    });
    assert_eq!(answer["diagnostics"], json!([told]));
    // Lines are of text.
    assert_eq!((&answer["refused"][0]["file"], &answer["refused"][0]["line"]), (&json!("broken.o"), &Value::Null));
}

/// Maps as users of libbpf write them, with its macros, for all kinds that both have.
#[test]
fn maps_declared_by_types_load() {
    let Some(clang) = clang() else { return };
    let folder = TempDir::new().unwrap();
    let source = folder.path().join("typed.c");
    let text = r#"#include "trapline.h"
#define __uint(name, val) int (*name)[val]
#define __type(name, val) typeof(val) *name
struct key { u32 bits; u8 address[16]; };
typedef struct { u64 count; u32 last[3]; } value_t;
struct { __uint(type, 2); __uint(max_entries, 4); __type(key, u32); __type(value, const volatile u64); } counts SEC(".maps");
struct { __uint(type, 1); __uint(max_entries, 100); __uint(key_size, 6); __type(value, value_t); } known SEC(".maps");
struct { __uint(type, 9); __uint(max_entries, 200); __type(key, char[16]); __type(value, void *); } recent SEC(".maps");
struct { __uint(type, 11); __uint(max_entries, 50); __uint(map_flags, 1); __type(key, struct key); __type(value, u8); }
    nets SEC(".maps");

TL_RAW int first(u8 *buffer, u64 len)
{
    u32 index = len & 3;
    u64 *count = tl_lookup(&counts, &index);
    if (count)
        ++*count;
    return (tl_lookup(&known, buffer) != 0) + (tl_lookup(&recent, buffer) != 0) + (tl_lookup(&nets, buffer) != 0);
}
"#;
    fs::write(&source, text).unwrap();
    for processor in PROCESSORS {
        build(&clang, &source, processor, folder.path());
        let said = succeeds(&["verify", "--format", "json", "--memory", "20", "typed.o"], folder.path());
        let answer: Value = serde_json::from_str(&said).unwrap();
        let maps: Vec<Value> =
            answer["proved"]["capabilities"]["maps"].as_array().unwrap_or_else(|| panic!("{answer}")).clone();
        let parts = ["name", "kind", "key_bytes", "value_bytes", "entries"];
        let maps: Vec<Value> = maps.iter().map(|map| json!(parts.map(|part| map[part].clone()))).collect();
        let expected = [
            json!(["counts", "array", 4, 8, 4]),
            json!(["known", "hash", 6, 24, 100]),
            json!(["recent", "lru_hash", 16, 8, 200]),
            json!(["nets", "lpm_trie", 20, 1, 50]),
        ];
        assert_eq!(maps, expected);
    }
    // Without debug information there are no types.
    let bare = Command::new(&clang)
        .args(["-O2", "-target", "bpf", "-c", "typed.c", "-o", "bare.o", "-I"])
        .arg(root().join("docs/c"))
        .current_dir(folder.path())
        .status()
        .unwrap();
    assert!(bare.success());
    let refused = trapline(&["verify", "bare.o"], folder.path());
    assert_eq!(refused.status.code(), Some(2));
    let said = String::from_utf8(refused.stdout).unwrap();
    assert!(said.contains("section `.maps`, symbol `counts`") && said.contains("`-g`"), "{said}");
}

/// A rule that remembers the number of every event, in a map with room for two.
#[test]
fn what_maps_could_not_hold_is_in_the_summary() {
    let text = "ldxdw r3, [r1+24]\nstxw [r10-4], r3\nstdw [r10-16], 1\nlddw_map_index r1, 0\nmov r2, r10\nadd r2, -4\n\
                mov r3, r10\nadd r3, -16\nmov r4, 0\ncall 2\nmov r0, 0\nexit";
    let object = |kind| {
        let map = MapDecl { name: "seen".into(), kind, key_len: 4, value_len: 8, entries: 2, contents: Vec::new() };
        let program = Object {
            name: "remembers".into(),
            catalogue_digest: catalogue().digest(),
            family: "process".into(),
            classes: vec!["process.exec".into()],
            os: OsSet::ANY,
            code: assemble(text).unwrap().code,
            fields: Vec::new(),
            predicates: Vec::new(),
            maps: vec![map],
            relocations: Vec::new(),
            lines: Vec::new(),
            predicate_texts: Vec::new(),
        };
        let meta = elf::RuleMeta { name: "remembers".into(), title: "x".into(), ..elf::RuleMeta::default() };
        let rule = elf::RuleObject { meta, programs: vec![program], source: elf::SourceLines::default() };
        elf::write(&[rule], "").unwrap()
    };
    let folder = TempDir::new().unwrap();
    let events: String = (0..5).map(|number| format!("{}\n", process(&number.to_string()))).collect();
    fs::write(folder.path().join("events.jsonl"), events).unwrap();
    for (kind, evicted, refused, told) in
        [(MapKind::LruHash, 3, 0, "3 keys given up for new ones"), (MapKind::Hash, 0, 3, "3 new keys refused")]
    {
        fs::write(folder.path().join("remembers.o"), object(kind)).unwrap();
        let arguments = ["replay", "--rules", "remembers.o", "--summary", "summary.json", "events.jsonl"];
        let output = trapline(&arguments, folder.path());
        assert!(String::from_utf8_lossy(&output.stderr).contains(told), "{output:?}");
        let summary = fs::read_to_string(folder.path().join("summary.json")).unwrap();
        let summary: Value = serde_json::from_str(&summary).unwrap();
        let losses = json!({ "evicted": evicted, "refused": refused, "saturated": 0, "late": 0, "put_back": 0 });
        assert_eq!(summary["maps_by_rule"], json!({ "remembers": losses }));
        assert!(summary["state_bytes"].as_u64().unwrap() >= 16);
    }
}

/// What a rule in C needs is what it says; one that says nothing is shown as such.
#[test]
fn what_a_rule_in_c_needs_is_what_it_says() {
    let Some(clang) = clang() else { return };
    let folder = TempDir::new().unwrap();
    let source = folder.path().join("listens.c");
    // Sysmon never says which terminal a process has.
    let events = root().join("tests/data/shapes/winlog-dotted.jsonl").display().to_string();
    for (needs, shown, can_match, note) in [
        ("", Value::Null, true, "1 rule of object files, which do not say that they need it, without a field"),
        (r#"TL_NEEDS("")"#, json!([]), true, "(process.tty.name)"),
        (r#"TL_NEEDS("process.command_line")"#, json!(["process.command_line"]), true, "(process.tty.name)"),
        (r#"TL_NEEDS("process.tty.name")"#, json!(["process.tty.name"]), false, "no process.tty.name from sysmon"),
    ] {
        let text = r#"#include "trapline.h"
TL_RULE(listens, TL_ID("0a6c0d2e-8f0a-4f0e-9a2b-6d3f6a8f1c02") TL_TITLE("x") NEEDS );
TL_STRING(command, "process.command_line");
TL_STRING(tty, "process.tty.name");
TL_PROGRAM("process.exec") int listens(TL_EVENT) { return tl_present(command) | tl_present(tty); }
"#;
        fs::write(&source, text.replace("NEEDS )", &format!("{needs} )"))).unwrap();
        let object = build(&clang, &source, "v3", folder.path());
        let object = object.display().to_string();
        let answer = succeeds(&["verify", "--format", "json", &object], folder.path());
        let answer: Value = serde_json::from_str(&answer).unwrap();
        assert_eq!(answer["proved"]["capabilities"]["needs"], shown);
        let output = trapline(&["--color", "never", "replay", "--rules", &object, &events], folder.path());
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains(note), "{needs}: {said}");
        assert_eq!(said.contains("cannot match anything"), !can_match, "{needs}: {said}");
    }
    fs::write(&source, fs::read_to_string(&source).unwrap().replace("(\"process.tty.name\") ", "(\"no.field\") "))
        .unwrap();
    build(&clang, &source, "v3", folder.path());
    let refused = trapline(&["verify", "listens.o"], folder.path());
    assert!(
        String::from_utf8_lossy(&refused.stdout).contains("rule `listens`: it needs `no.field`, which is no field")
    );
}

/// Raw programs are proved, and lines of refusals are those of the C file.
#[test]
fn raw_programs_of_an_object_file_are_proved() {
    let Some(clang) = clang() else { return };
    let folder = TempDir::new().unwrap();
    let source = folder.path().join("first.c");
    let text =
        "#include \"trapline.h\"\nTL_RAW int first(u8 *buffer, u64 len) {\n\t(void)len;\n\treturn buffer[3];\n}\n";
    fs::write(&source, text).unwrap();
    build(&clang, &source, "v3", folder.path());
    let said = succeeds(&["--color", "never", "verify", "--memory", "4", "first.o"], folder.path());
    assert!(said.starts_with("proved  first, a raw program  first.o\n"), "{said}");
    let refused = trapline(&["--color", "never", "verify", "--memory", "3", "first.o"], folder.path());
    let said = String::from_utf8(refused.stdout).unwrap();
    assert_eq!(refused.status.code(), Some(2));
    assert!(said.contains("error[out-of-bounds]") && said.contains("first.c:4, instruction"), "{said}");
    let json = trapline(&["verify", "--format", "json", "first.o"], folder.path());
    let answer: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(answer["file"], "first.o");
    assert!(answer["source"].as_str().unwrap().ends_with("first.c"), "{answer}");
    // It is no rule.
    let checked = trapline(&["check", "first.o"], folder.path());
    assert_eq!(checked.status.code(), Some(2));
}
