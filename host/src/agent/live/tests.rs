//! The whole pipeline, driven by a scripted sensor: nothing here depends on how long anything takes.

use std::collections::BTreeSet;
use std::sync::mpsc::{Receiver, Sender, channel};

use bytes::Bytes;
use trapline_programs::catalogue::catalogue;
use trapline_programs::diagnostic::Source;
use trapline_vm::record::Os;

use super::*;
use crate::agent::alert::Alert;
use crate::agent::control::RuleFile;
use crate::agent::library::{File, Origin};
use crate::agent::load::{Loader, RuleText};
use crate::agent::supply::SourceSupply;
use crate::source::sensor::Received;
use crate::source::{Payload, Position, SourceId};

/// How long a test waits for what must come: forever, as far as a person can tell.
const FOREVER: Duration = Duration::from_secs(300);

/// What the sensor does next.
enum Step {
    Give(Received),
    Fail,
    Panic,
    /// Waits for a word.
    Hang(Receiver<()>),
}

/// A sensor that does what a test tells it to.
struct Scripted {
    facts: Facts,
    steps: Receiver<Step>,
}

impl Sensor for Scripted {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn receive(&mut self, wait: Duration, on: &mut dyn FnMut(Received)) -> Result<(), SensorError> {
        let mut next = self.steps.recv_timeout(wait).ok();
        while let Some(step) = next {
            match step {
                Step::Give(received) => on(received),
                Step::Panic => panic!("the script says so"),
                Step::Hang(word) => drop(word.recv()),
                Step::Fail => return Err(SensorError { profile: "ecs", reason: "unplugged".into() }),
            }
            next = self.steps.try_recv().ok();
        }
        Ok(())
    }
}

/// What a test sees of the outlet.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    Alert { rule: String, record: u64, generation: u64, stage: Stage },
    Gap(u64),
}

struct Watched {
    seen: Sender<Seen>,
    /// Output waits until it may go on.
    gate: Option<Receiver<()>>,
    /// The reader is gone.
    closed: bool,
    /// Output makes it panic.
    panics: bool,
}

impl Outlet for Watched {
    fn gap(&mut self, gap: Gap) {
        self.seen.send(Seen::Gap(gap.count)).unwrap();
    }

    fn output(&mut self, output: Output) -> io::Result<()> {
        assert!(!self.panics, "the test says so");
        if self.closed {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        if let Some(gate) = &self.gate {
            gate.recv().ok();
        }
        match output {
            Output::Alert(alert) => {
                let Alert { rule, origin, generation, .. } = *alert;
                let (record, stage) = (origin.record, rule.stage);
                self.seen.send(Seen::Alert { rule: rule.name.clone(), record, generation, stage }).unwrap();
            }
            other => panic!("{other:?}"),
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// An agent with its sensor and its outlet in the hands of a test.
struct Bench {
    running: Running,
    script: Sender<Step>,
    seen: Receiver<Seen>,
}

#[derive(Default)]
struct Setup {
    limits: QueueLimits,
    gate: Option<Receiver<()>>,
    closed: bool,
    panics: bool,
}

fn rule(name: &str, pid: u64) -> String {
    format!("rule {name} {{ severity: low on process.exec where process.pid == {pid} }}\n")
}

fn bench(rules: &str, setup: Setup) -> Bench {
    let supply = SourceSupply::new(catalogue(), ["ecs"], [Some(Os::Linux)]);
    let loader = Loader::new(catalogue().clone(), Some(supply));
    let text = RuleText { source: Source::new("stock/a.trap", rules), ruleset: "stock".into() };
    let (library, opened) = Library::open(loader, true, vec![File::new(text, Origin::Stock)]).unwrap();
    assert!(opened.refused.is_empty(), "{:?}", opened.diagnostics);
    let (script, steps) = channel();
    let (sender, seen) = channel();
    let facts = Facts { profile: "ecs", title: "a script".into(), blind: vec![] };
    let outlet = Watched { seen: sender, gate: setup.gate, closed: setup.closed, panics: setup.panics };
    let running = start(Box::new(Scripted { facts, steps }), library, Box::new(outlet), setup.limits).unwrap();
    Bench { running, script, seen }
}

fn event(sequence: u64) -> Step {
    let text = r#"{"event": {"category": ["process"], "type": ["start"]}, "host": {"os": {"type": "linux"}}, "process": {"pid": 7}}"#;
    Step::Give(Received::Event(RawEvent {
        source: SourceId(0),
        sequence,
        position: Position { file: "script".into(), record: sequence },
        payload: Payload::Json(Bytes::from_static(text.as_bytes())),
    }))
}

impl Bench {
    fn agent(&self) -> &Agent {
        self.running.agent()
    }

    fn send(&self, step: Step) {
        self.script.send(step).unwrap();
    }

    fn load(&self, name: &str, text: &str) -> Response {
        self.agent().handle(Request::Load { files: vec![RuleFile { name: name.into(), text: text.into() }] })
    }

    fn unload(&self, name: &str) -> Response {
        self.agent().handle(Request::Unload { names: vec![name.into()] })
    }

    fn listing(&self) -> Listing {
        match self.agent().handle(Request::List) {
            Response::Listing(listing) => listing,
            other => panic!("{other:?}"),
        }
    }

    /// Waits until so many events are judged.
    fn judged(&self, events: u64) {
        while self.agent().progress().0 < events {
            thread::yield_now();
        }
    }

    /// Stops, and gives back the ends of both threads and what came out.
    fn stop(self) -> (Option<SensorError>, WorkerEnd, Vec<Seen>) {
        self.agent().stop();
        self.end()
    }

    fn end(self) -> (Option<SensorError>, WorkerEnd, Vec<Seen>) {
        let (mut error, mut worker) = (None, None);
        for _ in 0..2 {
            match self.running.wait(FOREVER).expect("both threads end") {
                Notice::Sensor(ended) => error = ended.err(),
                Notice::Worker(end) => worker = Some(*end),
                Notice::Panicked(thread) => panic!("{thread}"),
            }
            if worker.is_some() {
                self.agent().stop();
            }
        }
        (error, worker.unwrap(), self.seen.try_iter().collect())
    }
}

fn changed(response: Response) -> Changed {
    match response {
        Response::Changed(changed) => changed,
        other => panic!("{other:?}"),
    }
}

fn refused(response: Response) -> Refused {
    match response {
        Response::Refused(refused) => refused,
        other => panic!("{other:?}"),
    }
}

fn alert(rule: &str, record: u64, generation: u64, stage: Stage) -> Seen {
    Seen::Alert { rule: rule.into(), record, generation, stage }
}

#[test]
fn every_event_is_judged_by_the_rules_that_hold_at_its_place() {
    let bench = bench(&rule("first", 7), Setup::default());
    (0..3).for_each(|sequence| bench.send(event(sequence)));
    bench.judged(3);
    let loaded = changed(bench.load("/r.trap", &rule("second", 7)));
    assert_eq!((loaded.generation, loaded.from_sequence), (2, Some(3)));
    assert_eq!(loaded.loaded, ["second"]);
    bench.send(event(3));
    bench.judged(4);
    let unloaded = changed(bench.unload("first"));
    assert_eq!(
        (unloaded.generation, unloaded.from_sequence, unloaded.unloaded),
        (3, Some(4), vec!["first".to_owned()])
    );
    bench.send(event(4));
    let (_, end, seen) = bench.stop();
    assert_eq!(
        seen,
        [
            alert("first", 0, 1, Stage::Active),
            alert("first", 1, 1, Stage::Active),
            alert("first", 2, 1, Stage::Active),
            alert("first", 3, 2, Stage::Active),
            alert("second", 3, 2, Stage::Dev),
            alert("second", 4, 3, Stage::Dev),
        ]
    );
    assert_eq!((end.worker.counts().events, end.worker.counts().lost), (5, 0));
}

#[test]
fn rules_that_change_in_a_stream_lose_no_event_and_judge_none_twice() {
    const EVENTS: u64 = 4000;
    let bench = bench(&rule("always", 7), Setup::default());
    let script = bench.script.clone();
    let pump = thread::spawn(move || (0..EVENTS).for_each(|sequence| script.send(event(sequence)).unwrap()));
    let mut from = vec![(1, 0)];
    for round in 0..12 {
        let response = match round % 3 {
            0 => bench.load("/r.trap", &rule("other", 7)),
            1 => bench.load("/r.trap", &rule("other", 8)),
            _ => bench.unload("/r.trap"),
        };
        let changed = changed(response);
        from.push((changed.generation, changed.from_sequence.unwrap()));
        assert_eq!(refused(bench.load("/bad.trap", "rule nothing {")).generation, changed.generation);
    }
    pump.join().unwrap();
    let (_, end, seen) = bench.stop();
    assert_eq!((end.worker.counts().events, end.worker.counts().lost), (EVENTS, 0));
    assert!(from.is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1), "{from:?}");
    let generation_of = |record: u64| from.iter().rev().find(|(_, first)| *first <= record).unwrap().0;
    let mut always = BTreeSet::new();
    for seen in seen {
        let Seen::Alert { rule, record, generation, .. } = seen else { panic!("{seen:?}") };
        assert_eq!(generation, generation_of(record), "{rule} {record}");
        match rule.as_str() {
            "always" => assert!(always.insert(record), "{record} was judged twice"),
            // Generations 2, 5, 8 and 11 have the rule that matches.
            _ => assert_eq!(generation % 3, 2, "{record}"),
        }
    }
    assert_eq!(always.len() as u64, EVENTS);
}

#[test]
fn a_refusal_leaves_everything_as_it_was() {
    let bench = bench(&rule("first", 7), Setup::default());
    let before = bench.listing();
    let same_name = refused(bench.load("/r.trap", &rule("first", 7)));
    assert!(same_name.reason.contains("`first`"), "{}", same_name.reason);
    assert_eq!((same_name.generation, same_name.diagnostics.len()), (1, 1));
    assert!(same_name.diagnostics[0].contains("duplicate-name"), "{same_name:?}");
    assert!(refused(bench.unload("nobody")).reason.contains("`nobody`"));
    let windows = "rule w { severity: low os: [windows] on process.exec where process.pid == 7 }";
    assert!(refused(bench.load("/w.trap", windows)).reason.ends_with("for windows"));
    assert_eq!(bench.listing(), before);
    bench.send(event(0));
    let (_, _, seen) = bench.stop();
    assert_eq!(seen, [alert("first", 0, 1, Stage::Active)]);
}

#[test]
fn a_blocked_output_costs_events_that_are_counted_exactly_and_no_change_of_rules() {
    let (gate, blocked) = channel();
    let limits = QueueLimits { events: 10, ..QueueLimits::default() };
    let bench = bench(&rule("first", 7), Setup { limits, gate: Some(blocked), ..Setup::default() });
    bench.send(event(0));
    // The worker has judged the first one and comes to the gate: it takes nothing more.
    bench.judged(1);
    (1..=25).for_each(|sequence| bench.send(event(sequence)));
    while bench.agent().queue().lost < 15 {
        thread::yield_now();
    }
    let listing = bench.listing();
    assert_eq!((listing.events, listing.lost), (1, 15), "it answers while the output is blocked, and is not behind");
    thread::scope(|scope| {
        let agent = bench.agent();
        let files = vec![RuleFile { name: "/r.trap".into(), text: rule("second", 7) }];
        let load = scope.spawn(move || changed(agent.handle(Request::Load { files })));
        (0..11).for_each(|_| gate.send(()).unwrap());
        let loaded = load.join().unwrap();
        assert_eq!((loaded.generation, loaded.from_sequence), (2, Some(11)));
    });
    drop(gate);
    bench.send(event(26));
    let (_, end, seen) = bench.stop();
    let mut expected: Vec<Seen> = (0..=10).map(|record| alert("first", record, 1, Stage::Active)).collect();
    expected.push(Seen::Gap(15));
    expected.extend([alert("first", 26, 2, Stage::Active), alert("second", 26, 2, Stage::Dev)]);
    assert_eq!(seen, expected);
    assert_eq!((end.worker.counts().events, end.worker.counts().lost), (12, 15));
}

#[test]
fn what_has_happened_is_judged_before_the_end() {
    let bench = bench(&rule("first", 7), Setup::default());
    (0..500).for_each(|sequence| bench.send(event(sequence)));
    let (error, end, seen) = bench.stop();
    assert!(error.is_none());
    assert!(end.outlet.is_ok());
    assert_eq!((end.worker.counts().events, seen.len()), (500, 500));
}

#[test]
fn a_sensor_that_fails_is_told_and_what_it_saw_is_judged() {
    let bench = bench(&rule("first", 7), Setup::default());
    bench.send(event(0));
    bench.send(Step::Give(Received::Gap(Gap { count: 3, exact: false, reason: "overrun" })));
    bench.send(Step::Fail);
    let (error, end, seen) = bench.end();
    assert_eq!(error.unwrap().to_string(), "ecs: unplugged");
    assert_eq!(seen, [alert("first", 0, 1, Stage::Active), Seen::Gap(3)]);
    let counts = end.worker.counts();
    assert_eq!((counts.lost, counts.lost_at_most, counts.lost_by_reason["overrun"]), (3, true, 3));
}

#[test]
fn a_sensor_that_hangs_is_noticed() {
    let bench = bench(&rule("first", 7), Setup::default());
    let (word, wait) = channel();
    bench.send(Step::Hang(wait));
    while bench.agent().silent_for() < 3 * RECEIVE_WAIT {
        thread::yield_now();
    }
    word.send(()).unwrap();
    while bench.agent().silent_for() >= 3 * RECEIVE_WAIT {
        thread::yield_now();
    }
    bench.send(Step::Fail);
    bench.end();
}

#[test]
fn a_panic_of_the_sensor_blinds_and_one_of_the_worker_ends_and_neither_is_waited_for() {
    let bench = bench(&rule("first", 7), Setup::default());
    (0..3).for_each(|sequence| bench.send(event(sequence)));
    bench.send(Step::Panic);
    let (error, end, seen) = bench.end();
    assert!(error.unwrap().reason.contains("bug"));
    assert_eq!((end.worker.counts().events, seen.len()), (3, 3));

    let bench = self::bench(&rule("first", 7), Setup { panics: true, ..Setup::default() });
    (0..3).for_each(|sequence| bench.send(event(sequence)));
    let notice = bench.running.wait(FOREVER);
    assert!(matches!(notice, Some(Notice::Panicked("worker"))), "{notice:?}");
    assert_eq!(refused(bench.load("/r.trap", &rule("second", 8))).reason, SwapError::Closed.to_string());
    assert_eq!(bench.listing().judging, 1);
}

#[test]
fn a_closed_output_ends_the_run() {
    let bench = bench(&rule("first", 7), Setup { closed: true, ..Setup::default() });
    bench.send(event(0));
    let (_, end, seen) = bench.end();
    assert_eq!(end.outlet.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    assert!(seen.is_empty());
}

#[test]
fn a_list_has_what_every_rule_did() {
    let bench = bench(&rule("first", 7), Setup::default());
    (0..2).for_each(|sequence| bench.send(event(sequence)));
    bench.judged(2);
    changed(bench.load("/r.trap", &rule("second", 7)));
    bench.send(event(2));
    bench.judged(3);
    let listing = bench.listing();
    assert_eq!((listing.generation, listing.events, listing.lost, listing.dev), (2, 3, 0, true));
    let rules: Vec<(&str, u64, u64, bool, &str)> = listing
        .rules
        .iter()
        .map(|rule| (rule.name.as_str(), rule.alerts, rule.since, rule.signed, rule.from.as_str()))
        .collect();
    assert_eq!(rules, [("first", 3, 1, true, "stock"), ("second", 1, 2, false, "/r.trap")]);
    assert!(listing.rules.iter().all(|rule| rule.fuel_worst > 0));
    bench.stop();
}

#[test]
fn nothing_changes_after_the_end() {
    let bench = bench(&rule("first", 7), Setup::default());
    bench.agent().stop();
    let mut ended = 0;
    while ended < 2 {
        ended += usize::from(bench.running.wait(FOREVER).is_some());
    }
    let refused = refused(bench.load("/r.trap", &rule("second", 7)));
    assert_eq!((refused.reason.as_str(), refused.generation), ("the agent is stopping", 1));
    assert_eq!(bench.listing().generation, 1);
}
