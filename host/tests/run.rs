//! `trapline run` as people use it: the real binary, the real `/proc`, no rights. Whatever takes time is waited for
//! until it comes; nothing here measures how long.

#![cfg(target_os = "linux")]

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

/// After this long a test has failed.
const FOREVER: Duration = Duration::from_secs(120);

/// A running agent, killed with its test.
struct Agent {
    child: Child,
    lines: Receiver<String>,
    /// Lines of its output, read one at a time when they are asked for; dropped, nobody reads any more.
    stdout: Option<Receiver<String>>,
    said: String,
}

impl Agent {
    fn start(folder: &Path, args: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_trapline"))
            .arg("run")
            .args(["--source", "proc", "--format", "jsonl"])
            .args(args)
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, lines) = channel();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        thread::spawn(move || stderr.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        let (sender, output) = sync_channel(0);
        let stdout = BufReader::new(child.stdout.take().unwrap());
        thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Self { child, lines, stdout: Some(output), said: String::new() }
    }

    /// An agent that watches.
    fn watching(folder: &Path, args: &[&str]) -> Self {
        let mut agent = Self::start(folder, args);
        agent.says("Ctrl-C");
        agent
    }

    /// Waits until it says this on standard error.
    #[track_caller]
    fn says(&mut self, text: &str) {
        let deadline = Instant::now() + FOREVER;
        while !self.said.contains(text) {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => self.said.push_str(&(line + "\n")),
                Err(_) => panic!("`{text}` was never said:\n{}", self.said),
            }
        }
    }

    /// The next alert of this rule about a command line with this in it.
    #[track_caller]
    fn alert(&mut self, rule: &str, command: &str) -> Value {
        let deadline = Instant::now() + FOREVER;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = self.stdout.as_ref().unwrap().recv_timeout(left).expect("an alert comes");
            let alert: Value = serde_json::from_str(&line).unwrap();
            let of_rule = alert["rule"]["name"] == rule;
            if of_rule && alert["process"]["command_line"].as_str().is_some_and(|line| line.contains(command)) {
                return alert;
            }
        }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for its end; what it said is in `said` then.
    fn ends(&mut self) -> ExitStatus {
        if let Some(stdout) = self.stdout.take() {
            stdout.iter().for_each(drop);
        }
        let status = self.child.wait().unwrap();
        while let Ok(line) = self.lines.recv_timeout(FOREVER) {
            self.said.push_str(&(line + "\n"));
        }
        status
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// A shell that lives long enough to be seen, with this in its command line, again and again until dropped.
struct Shells {
    stop: std::sync::Arc<std::sync::atomic::AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Shells {
    fn run(command: &str) -> Self {
        let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let (asked, command) = (stop.clone(), format!("sleep 0.6; : {command}"));
        let thread = thread::spawn(move || {
            while !asked.load(std::sync::atomic::Ordering::Relaxed) {
                let ended = Command::new("bash").args(["-c", &command]).stdin(Stdio::null()).status();
                assert!(ended.is_ok(), "these tests need bash");
            }
        });
        Self { stop, thread: Some(thread) }
    }
}

impl Drop for Shells {
    fn drop(&mut self) {
        self.stop.store(true, std::sync::atomic::Ordering::Relaxed);
        self.thread.take().map(thread::JoinHandle::join);
    }
}

struct Bench {
    folder: TempDir,
}

impl Bench {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::create_dir_all(self.file(name).parent().unwrap()).unwrap();
        fs::write(self.file(name), text).unwrap();
    }

    fn json(&self, name: &str) -> Value {
        serde_json::from_str(&fs::read_to_string(self.file(name)).unwrap()).unwrap()
    }

    /// The path of a control socket in a folder that only we can enter.
    fn control(&self) -> String {
        self.file("control.sock").display().to_string()
    }

    fn trapline(&self, args: &[&str]) -> (ExitStatus, String, String) {
        let out = Command::new(env!("CARGO_BIN_EXE_trapline")).args(args).current_dir(self.path()).output().unwrap();
        (out.status, String::from_utf8(out.stdout).unwrap(), String::from_utf8(out.stderr).unwrap())
    }
}

fn rule(name: &str, word: &str) -> String {
    format!("rule {name} {{ severity: low on process.exec where process.command_line contains \"{word}\" }}\n")
}

#[test]
fn a_shell_with_a_socket_gives_an_alert_and_sigterm_a_summary() {
    let bench = Bench::new();
    let mut agent =
        Agent::watching(bench.path(), &["--control", "off", "--summary", "s.json", "--record", "events.jsonl"]);
    assert!(agent.said.contains("linux-proc"), "{}", agent.said);
    let shells = Shells::run("/dev/tcp/192.0.2.1/9");
    let alert = agent.alert("reverse_shell_dev_tcp", "/dev/tcp/192.0.2.1/9");
    drop(shells);
    assert_eq!(alert["trapline"]["stage"], "active");
    assert_eq!(alert["trapline"]["generation"], 1);
    assert_eq!(alert["process"]["name"], "bash");
    agent.signal(Signal::TERM);
    assert_eq!(agent.ends().code(), Some(0), "{}", agent.said);
    let summary = bench.json("s.json");
    assert!(summary["alerts"].as_u64().unwrap() >= 1);
    assert!(summary["rules"]["loaded"].as_u64().unwrap() >= 1);
    let aside: Vec<&str> =
        summary["inert"].as_array().unwrap().iter().map(|rule| rule["name"].as_str().unwrap()).collect();
    assert!(aside.contains(&"encoded_powershell"), "{aside:?}");

    // What was recorded gives the same alert again.
    let events = fs::read_to_string(bench.file("events.jsonl")).unwrap();
    let mode = fs::metadata(bench.file("events.jsonl")).unwrap().permissions().mode();
    assert_eq!(mode & 0o077, 0, "nobody else reads what all users ran");
    assert_eq!(events.lines().count() as u64, summary["events"].as_u64().unwrap());
    let (status, alerts, said) = bench.trapline(&["replay", "--format", "jsonl", "events.jsonl"]);
    assert_eq!(status.code(), Some(0), "{said}");
    assert_eq!(alerts.lines().count() as u64, summary["alerts"].as_u64().unwrap(), "{said}");
}

#[test]
fn rules_that_nobody_signed_need_dev_and_are_marked() {
    let bench = Bench::new();
    bench.write("r.trap", &rule("mine", "unsigned_marker"));
    let (status, _, said) = bench.trapline(&["run", "--source", "proc", "--control", "off", "--rules", "r.trap"]);
    assert_eq!(status.code(), Some(2));
    assert!(said.contains("--dev"), "{said}");
    // A folder that holds none yet may hold some later.
    bench.write("later/sigma.yml", "");
    let (status, _, said) =
        bench.trapline(&["run", "--source", "proc", "--control", "off", "--rules", "stock", "--rules", "later"]);
    assert_eq!(status.code(), Some(2));
    assert!(said.contains("--dev"), "{said}");
    let mut agent = Agent::watching(bench.path(), &["--control", "off", "--rules", "r.trap", "--dev"]);
    assert!(agent.said.contains("UNSIGNED RULES"), "{}", agent.said);
    let _shells = Shells::run("unsigned_marker");
    assert_eq!(agent.alert("mine", "unsigned_marker")["trapline"]["stage"], "dev");
    agent.signal(Signal::TERM);
    assert_eq!(agent.ends().code(), Some(0), "{}", agent.said);
    let line = agent.said.lines().rfind(|line| line.contains("mine")).unwrap();
    assert!(line.contains("UNSIGNED RULE"), "the summary marks it: {line}");
}

#[test]
fn the_stock_rules_are_no_folder_that_happens_to_lie_beside_us() {
    let bench = Bench::new();
    bench.write("stock/linux/mine.trap", &rule("mine", "x"));
    let control = bench.control();
    for args in [&["--control", &control][..], &["--control", &control, "--rules", "stock"]] {
        let mut agent = Agent::watching(bench.path(), args);
        assert!(!agent.said.contains("watched"), "{}", agent.said);
        agent.signal(Signal::TERM);
        assert_eq!(agent.ends().code(), Some(0), "{}", agent.said);
    }
}

#[test]
fn a_named_file_that_can_match_nothing_is_refused_by_what_it_lacks() {
    let bench = Bench::new();
    bench.write("r.trap", "rule r { severity: low on file.create where file.name == \"x\" }\n");
    bench.write("w.trap", "rule w { severity: low os: [windows] on process.exec }\n");
    for (file, lacks) in [("r.trap", "file.create"), ("w.trap", "for windows")] {
        let args = ["run", "--source", "proc", "--control", "off", "--dev", "--rules", file];
        let (status, out, said) = bench.trapline(&args);
        assert_eq!((status.code(), out.as_str()), (Some(2), ""), "{said}");
        assert!(said.contains(lacks), "{said}");
    }
}

#[test]
fn a_second_agent_on_the_same_socket_is_refused_and_the_first_goes_on() {
    let bench = Bench::new();
    let control = bench.control();
    let mut first = Agent::watching(bench.path(), &["--control", &control, "--dev"]);
    let (status, _, said) = bench.trapline(&["run", "--source", "proc", "--control", &control]);
    assert_eq!(status.code(), Some(2), "{said}");
    assert!(said.contains("another agent is running there"), "{said}");
    first.signal(Signal::INT);
    assert_eq!(first.ends().code(), Some(0), "{}", first.said);
    assert!(!Path::new(&control).exists());
}

#[test]
fn a_blocked_output_stops_neither_answers_nor_a_later_signal() {
    let bench = Bench::new();
    let control = bench.control();
    // A pipe that nobody reads holds no two alerts with three titles of this length each.
    let blank = "x".repeat(30_000);
    bench.write("r.trap", &rule("every", "sleep").replace("severity", &format!("title: \"{blank}\" severity")));
    let mut agent =
        Agent::watching(bench.path(), &["--control", &control, "--dev", "--rules", "r.trap", "--summary", "s.json"]);
    let _shells = Shells::run("blocked");
    let list = || {
        let (status, out, said) = bench.trapline(&["list", "--control", &control, "--format", "json"]);
        assert_eq!(status.code(), Some(0), "{said}");
        serde_json::from_str::<Value>(&out).unwrap()
    };
    let deadline = Instant::now() + FOREVER;
    while list()["listing"]["rules"][0]["alerts"].as_u64().unwrap() < 2 {
        assert!(Instant::now() < deadline, "{}", list());
        thread::sleep(Duration::from_millis(50));
    }
    agent.signal(Signal::TERM);
    let status = loop {
        thread::sleep(Duration::from_millis(200));
        match agent.child.try_wait().unwrap() {
            Some(status) => break status,
            None => agent.signal(Signal::TERM),
        }
    };
    agent.ends();
    assert_eq!(status.code(), Some(130), "it was not waited for what nobody reads:\n{}", agent.said);
}

#[test]
fn a_reader_who_has_seen_enough_ends_the_run() {
    let bench = Bench::new();
    bench.write("r.trap", &rule("every", "sleep"));
    let mut agent = Agent::watching(bench.path(), &["--control", "off", "--dev", "--rules", "r.trap"]);
    let _shells = Shells::run("again");
    agent.alert("every", "again");
    drop(agent.stdout.take());
    assert_eq!(agent.ends().code(), Some(0), "{}", agent.said);
    assert!(agent.said.contains("alert"), "the summary was printed:\n{}", agent.said);
}

#[test]
fn rules_are_loaded_changed_broken_listed_and_unloaded_while_it_runs() {
    let bench = Bench::new();
    let control = bench.control();
    let mut agent = Agent::watching(bench.path(), &["--control", &control, "--dev", "--summary", "s.json"]);
    let _shells = Shells::run("loaded_while_running");
    let ask = |args: &[&str]| {
        let args = [args, &["--control", &control, "--format", "json"]].concat();
        let (status, out, said) = bench.trapline(&args);
        (status.code(), serde_json::from_str::<Value>(&out).unwrap_or_else(|error| panic!("{error}: {out} {said}")))
    };
    let first = |alert: &Value| alert["trapline"]["source"]["record"].as_u64().unwrap();

    bench.write("r.trap", &rule("mine", "loaded_while_running"));
    let (code, changed) = ask(&["load", "r.trap"]);
    assert_eq!((code, &changed["changed"]["loaded"][0]), (Some(0), &Value::from("mine")), "{changed}");
    let alert = agent.alert("mine", "loaded_while_running");
    assert_eq!((&alert["trapline"]["stage"], &alert["trapline"]["generation"]), (&"dev".into(), &2.into()));
    assert!(first(&alert) >= changed["changed"]["from_sequence"].as_u64().unwrap());

    bench.write("r.trap", "rule mine { severity: low on process.exec where process.nmae == \"x\" }\n");
    let (code, refused) = ask(&["load", "r.trap"]);
    assert_eq!(code, Some(2));
    assert!(refused["refused"]["diagnostics"][0].as_str().unwrap().contains("unknown-field"), "{refused}");
    assert_eq!(refused["refused"]["generation"], 2);
    agent.alert("mine", "loaded_while_running");

    let text = rule("mine", "loaded_while_running").replace("low", "high");
    bench.write("r.trap", &text);
    let (_, changed) = ask(&["load", "r.trap"]);
    assert_eq!(changed["changed"]["replaced"][0], "mine", "{changed}");
    let alert = loop {
        let alert = agent.alert("mine", "loaded_while_running");
        if alert["trapline"]["generation"] == 3 {
            break alert;
        }
    };
    assert_eq!(alert["trapline"]["severity"], "high");

    let (_, list) = ask(&["list"]);
    let rules = list["listing"]["rules"].as_array().unwrap();
    let mine = rules.iter().find(|rule| rule["name"] == "mine").unwrap();
    assert!(mine["alerts"].as_u64().unwrap() >= 3, "{mine}");
    assert_eq!((&mine["signed"], &mine["since"]), (&Value::from(false), &3.into()));
    assert!(list["listing"]["inert"].as_array().unwrap().iter().any(|rule| rule["lacks"] == "for windows"));

    let (code, changed) = ask(&["unload", "mine"]);
    assert_eq!((code, &changed["changed"]["unloaded"][0]), (Some(0), &"mine".into()), "{changed}");
    let (_, list) = ask(&["list"]);
    assert!(list["listing"]["rules"].as_array().unwrap().iter().all(|rule| rule["name"] != "mine"));
    agent.says("gone (mine)");
    agent.signal(Signal::TERM);
    assert_eq!(agent.ends().code(), Some(0), "{}", agent.said);
    assert!(agent.said.contains("mine"), "a rule that is gone keeps its name in the summary:\n{}", agent.said);
}

#[test]
fn a_folder_that_is_edited_is_in_force_as_far_as_it_is_good() {
    let bench = Bench::new();
    bench.write("rules/a.trap", &rule("first", "edited_folder"));
    let mut agent = Agent::watching(bench.path(), &["--control", "off", "--dev", "--rules", "rules"]);
    assert!(agent.said.contains("watched"), "{}", agent.said);
    let _shells = Shells::run("edited_folder");
    agent.alert("first", "edited_folder");

    bench.write("rules/deeper/b.trap", &rule("second", "edited_folder"));
    agent.says("1 new (second)");
    assert_eq!(agent.alert("second", "edited_folder")["rule"]["ruleset"], bench_rules(&bench));

    bench.write("rules/a.trap", "rule first { where }");
    agent.says("a.trap: what was in force stays");
    agent.alert("first", "edited_folder");

    fs::remove_file(bench.file("rules/a.trap")).unwrap();
    agent.says("1 gone (first)");
    bench.write("rules/deeper/b.trap", &format!("\n{}", rule("second", "edited_folder").replace("low", "high")));
    agent.says("1 other (second)");
    loop {
        if agent.alert("second", "edited_folder")["trapline"]["severity"] == "high" {
            break;
        }
    }
    agent.signal(Signal::TERM);
    assert_eq!(agent.ends().code(), Some(0), "{}", agent.said);
}

fn bench_rules(bench: &Bench) -> String {
    bench.file("rules").canonicalize().unwrap().display().to_string()
}
