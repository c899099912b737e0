//! The agent beside the storm: started, asked, measured, stopped.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::storm::{Blown, Size, blow};

/// How long the agent may take to say that it runs.
const START_MAX: Duration = Duration::from_secs(30);

/// Runs the three storms and prints what came of them; whether all was as it must be.
pub(crate) fn run(binary: &Path, size: Size) -> bool {
    println!("{} processes a second for {:?}\n", size.rate, size.length);
    let alone = blow(size, |_| {});
    let folder = tempfile::tempdir().expect("a temporary folder");

    let Some(mut agent) = Agent::start(binary, folder.path(), &[]) else { return true };
    let beside = blow(size, |_| {});
    let cost = agent.cost();
    let (summary, _) = agent.stop();
    let recorded = recorded(&folder.path().join("record.jsonl"), &beside);
    table(&alone, &beside, &cost, &summary, &recorded);
    let mut good = recorded.missing == 0 && lost(&summary) == 0;

    let Some(agent) = Agent::start(binary, folder.path(), &["--dev"]) else { return false };
    good &= changes(agent, binary, folder.path(), size);
    good
}

/// A running agent.
struct Agent {
    child: Child,
    socket: PathBuf,
    summary: PathBuf,
    alerts: PathBuf,
}

/// What an agent used.
struct Cost {
    processor: Duration,
    memory_peak_kib: u64,
}

impl Agent {
    /// Starts an agent in this folder; None if it has no source that sees every process.
    fn start(binary: &Path, folder: &Path, options: &[&str]) -> Option<Self> {
        let path = |name: &str| folder.join(name);
        let alerts = fs::File::create(path("alerts.jsonl")).expect("the folder can be written");
        let mut command = Command::new(binary);
        command.args(["run", "--source", "connector", "--format", "jsonl"]).args(options);
        command.arg("--summary").arg(path("summary.json")).arg("--control").arg(path("control.sock"));
        command.arg("--record").arg(path("record.jsonl"));
        command.stdin(Stdio::null()).stdout(alerts).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary starts");
        let said = BufReader::new(child.stderr.take().expect("standard error is a pipe"));
        let (sender, lines) = std::sync::mpsc::channel();
        std::thread::spawn(move || said.lines().map_while(Result::ok).for_each(|line| _ = sender.send(line)));
        let begin = Instant::now();
        loop {
            if path("control.sock").exists() {
                std::thread::sleep(Duration::from_millis(300));
                break;
            }
            if let Ok(Some(status)) = child.try_wait() {
                println!("skipped: the agent ended with {status}: {}", lines.iter().collect::<Vec<_>>().join(" "));
                return None;
            }
            assert!(begin.elapsed() < START_MAX, "the agent does not start");
            std::thread::sleep(Duration::from_millis(20));
        }
        let (socket, summary) = (path("control.sock"), path("summary.json"));
        Some(Self { child, socket, summary, alerts: path("alerts.jsonl") })
    }

    fn cost(&mut self) -> Cost {
        let read = |name: &str| fs::read_to_string(format!("/proc/{}/{name}", self.child.id())).expect("it runs");
        let stat = read("stat");
        let after_name = stat.rsplit_once(')').expect("the name is in parentheses").1;
        let fields: Vec<&str> = after_name.split_ascii_whitespace().collect();
        let ticks: u64 = [11, 12].iter().filter_map(|index| fields.get(*index)?.parse::<u64>().ok()).sum();
        let status = read("status");
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
        let memory_peak_kib = peak.trim().trim_end_matches(" kB").parse().unwrap_or(0);
        Cost { processor: Duration::from_millis(ticks * 10), memory_peak_kib }
    }

    /// Asks it to end; its summary and alerts.
    fn stop(mut self) -> (Value, Vec<Value>) {
        let killed = Command::new("kill").arg("-TERM").arg(self.child.id().to_string()).status();
        assert!(killed.is_ok_and(|status| status.success()), "the agent runs until it is stopped");
        let status = self.child.wait().expect("a child of ours");
        assert!(status.success(), "the agent ended with {status}");
        let summary = fs::read_to_string(&self.summary).expect("the summary is written");
        (serde_json::from_str(&summary).expect("the summary is JSON"), json_lines(&self.alerts))
    }
}

fn json_lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

fn at<'v>(event: &'v Value, path: &str) -> &'v Value {
    path.split('.').fold(event, |value, name| &value[name])
}

fn lost(summary: &Value) -> u64 {
    summary["lost"].as_u64().unwrap_or(0)
}

/// What the recording says of the storm's processes.
#[derive(Default)]
struct Recorded {
    started: u64,
    ended: u64,
    /// Processes of which no start was recorded.
    missing: usize,
    /// How often a field of a start was lost.
    lost_fields: BTreeMap<String, u64>,
}

fn recorded(path: &Path, blown: &Blown) -> Recorded {
    let mut recorded = Recorded::default();
    // A number may come again: count how often each was given out.
    let mut expected: HashMap<u64, i64> = HashMap::new();
    blown.pids.iter().for_each(|pid| *expected.entry(u64::from(*pid)).or_default() += 1);
    let ours = u64::from(std::process::id());
    for event in json_lines(path) {
        if at(&event, "process.parent.pid").as_u64() != Some(ours) {
            continue;
        }
        let pid = at(&event, "process.pid").as_u64().unwrap_or(0);
        match at(&event, "event.action").as_str() {
            Some("exec") => {
                let Some(count) = expected.get_mut(&pid) else { continue };
                *count -= 1;
                recorded.started += 1;
                for field in at(&event, "trapline.lost").as_array().into_iter().flatten().filter_map(Value::as_str) {
                    *recorded.lost_fields.entry(field.to_owned()).or_default() += 1;
                }
            }
            _ if expected.contains_key(&pid) => recorded.ended += 1,
            _ => {}
        }
    }
    recorded.missing = expected.values().filter(|count| **count > 0).map(|count| *count as usize).sum();
    recorded
}

fn table(alone: &Blown, beside: &Blown, cost: &Cost, summary: &Value, recorded: &Recorded) {
    let performed = beside.pids.len();
    let percent = |part: u64| 100.0 * part as f64 / performed as f64;
    println!("                          alone   with trapline run");
    println!("processes            {:>10}   {:>10}", alone.pids.len(), performed);
    println!("took                 {:>9.1}s   {:>9.1}s", alone.took.as_secs_f64(), beside.took.as_secs_f64());
    println!("its own processor    {:>9.1}s   {:>9.1}s", alone.used.as_secs_f64(), beside.used.as_secs_f64());
    println!("\nstarts seen          {:>10}   ({} missing)", recorded.started, recorded.missing);
    println!("ends seen            {:>10}", recorded.ended);
    println!("lost, by the summary {:>10}", lost(summary));
    for (field, count) in &recorded.lost_fields {
        println!("  {field:<26} not read in time in {count} of them ({:.2} %)", percent(*count));
    }
    println!("not evaluable        {:>10}", summary["not_evaluable"]);
    println!(
        "Trapline, processor  {:>9.1}s   ({:.1} % of one)",
        cost.processor.as_secs_f64(),
        100.0 * cost.processor.as_secs_f64() / beside.took.as_secs_f64()
    );
    println!("Trapline, memory peak {:>7.1}MB", cost.memory_peak_kib as f64 / 1024.0);
    println!("verdict latency      p50 {} ns, p99 {} ns", summary["latency_ns"]["p50"], summary["latency_ns"]["p99"]);
}

/// The rule, in one of its versions.
fn rule(version: &str, ours: u32) -> String {
    format!(
        "rule below_the_storm {{\n  id: \"5702a9c4-5b0e-4b0a-9f43-6a3f2f6f3b10\"\n  version: \"{version}\"\n  title: \"Below the storm\"\n  severity: low\n  on process.exec\n  where process.parent.pid == {ours}\n}}\n"
    )
}

/// Loads, changes, breaks and unloads a rule under a storm, and checks every alert against what was in force.
fn changes(agent: Agent, binary: &Path, folder: &Path, size: Size) -> bool {
    let file = folder.join("below.trap");
    let ours = std::process::id();
    let count = size.count();
    let ask = |arguments: &[&str]| -> Output {
        let mut command = Command::new(binary);
        command.args(arguments).arg("--control").arg(&agent.socket).arg("--format").arg("json");
        command.output().expect("the binary starts")
    };
    let name = file.to_str().expect("temporary folders have plain names");
    // Each step on a thread of its own: the storm goes on while the agent is asked.
    let mut steps: Vec<(u32, &str, Vec<&str>, Option<String>)> = vec![
        (count / 5, "load", vec!["load", name], Some(rule("1.0.0", ours))),
        (count * 2 / 5, "change", vec!["load", name], Some(rule("2.0.0", ours))),
        (count * 3 / 5, "break", vec!["load", name], Some(rule("3.0.0", ours).replace("pid ==", "pdi =="))),
        (count * 4 / 5, "unload", vec!["unload", "below_the_storm"], None),
    ];
    steps.reverse();
    let answers = std::sync::Mutex::new(Vec::new());
    let blown = std::thread::scope(|scope| {
        blow(size, |number| {
            if steps.last().is_some_and(|(at, ..)| *at == number)
                && let Some((_, what, arguments, text)) = steps.pop()
            {
                if let Some(text) = text {
                    fs::write(&file, text).expect("the folder can be written");
                }
                let (ask, answers) = (&ask, &answers);
                scope.spawn(move || {
                    let output = ask(&arguments);
                    let answer: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
                    answers.lock().expect("no thread panics").push((number, what, output.status.code(), answer));
                });
            }
        })
    });
    let (summary, alerts) = agent.stop();
    let mut answers = answers.into_inner().expect("no thread panics");
    answers.sort_by_key(|(number, ..)| *number);

    println!("\nA rule loaded, changed, broken and unloaded under the same storm:");
    let mut good = lost(&summary) == 0;
    let mut from = Vec::new();
    for (number, what, code, answer) in &answers {
        let changed = &answer["changed"];
        let first = changed["from_sequence"].as_u64();
        let wanted = if *what == "break" { Some(2) } else { Some(0) };
        good &= *code == wanted;
        match first {
            Some(first) => {
                println!("  {what:<7} at process {number}: generation {} from event {first}", changed["generation"])
            }
            None => println!("  {what:<7} at process {number}: refused, {}", answer["refused"]["reason"]),
        }
        from.extend(first);
    }
    let [loaded, changed, unloaded] = from[..] else {
        println!("  FAILED: three changes should have been made, and were not");
        return false;
    };
    // What must have raised an alert: every recorded start below us from the first event of the first version to the
    // last event before the rule was gone, with the version in force.
    let mut expected: BTreeMap<u64, &str> = BTreeMap::new();
    for (sequence, event) in (0u64..).zip(json_lines(&folder.join("record.jsonl"))) {
        let below = at(&event, "process.parent.pid").as_u64() == Some(ours.into());
        if below && at(&event, "event.action") == "exec" && (loaded..unloaded).contains(&sequence) {
            expected.insert(sequence, if sequence < changed { "1.0.0" } else { "2.0.0" });
        }
    }
    let mut wrong = 0;
    for alert in alerts.iter().filter(|alert| at(alert, "rule.name") == "below_the_storm") {
        let sequence = at(alert, "trapline.source.record").as_u64().unwrap_or(u64::MAX);
        let version = expected.remove(&sequence);
        wrong += u64::from(version.is_none() || version != at(alert, "rule.version").as_str());
    }
    let missing = expected.len();
    println!(
        "  {} processes, {} events lost, {} alerts missing, {wrong} alerts wrong",
        blown.pids.len(),
        lost(&summary),
        missing
    );
    good && missing == 0 && wrong == 0
}
