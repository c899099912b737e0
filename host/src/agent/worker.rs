//! The worker: one thread's share of the stream.
//!
//! It takes raw events and swaps of the rules in the order of the stream, and is the only place where the bytes of an
//! event are looked into:
//!
//! ```text
//! Item::Raw  ── decode ──► record (wanted slots) ── run ──► verdicts ──┬─ nothing
//!                                                                       └─ match: to_ecs ──► Output::Alert
//! Item::Swap ── the next event is judged by other rules
//! ```
//!
//! What cannot be decoded, and what a trap was, comes out as [`Output`] too: nothing is dropped in silence.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, mpsc};
use std::time::Instant;

use serde_json::Value;
use trapline_engine::{Event as Judged, Instance, Outcome, ProgramIndex};
use trapline_vm::map::{MapCounters, MapId};
use trapline_vm::memory::MemoryError;
use trapline_vm::program::Verdict;
use trapline_vm::record::{Catalogue, RecordWriter};
use trapline_vm::trap::TrapReport;

use super::alert::{Alert, Evidence, Origin, alert_id, value_at, value_shown};
use super::load::{LoadedRule, Ruleset};
use super::message;
use super::summary::{InertRule, Latencies};
use super::supply::{PartlyServed, SourceSupply, system};
use crate::source::sensor::Gap;
use crate::source::{Counts as Decoded, Decoder, Event, FieldError, RawEvent, SourceError};

/// Values that did not fit their fields, of which examples are kept.
const FIELD_ERROR_EXAMPLES_MAX: usize = 5;

/// What a worker takes, in the order of the stream.
#[derive(Debug)]
pub enum Item {
    /// Bytes to judge.
    Raw(RawEvent),
    /// From here on these rules hold.
    Swap {
        /// The rules.
        ruleset: Arc<Ruleset>,
        /// Who wants to know the sequence number of the first raw event that they judge.
        reply: Option<mpsc::Sender<u64>>,
    },
    /// Here events are missing.
    Gap(Gap),
}

/// What came of one rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RuleCounts {
    /// Alerts.
    pub alerts: u64,
    /// Program runs that could not tell.
    pub not_evaluable: u64,
    /// Program runs that were stopped.
    pub traps: u64,
}

/// What a worker has to say.
#[derive(Debug)]
pub enum Output {
    /// A rule matched. The alerts of one event come in the order of rule ids.
    Alert(Box<Alert>),
    /// A piece of input could not be decoded.
    Refused(SourceError),
    /// A program was stopped.
    Trap(Box<TrapReport>),
    /// An event could not be judged: a bug of ours.
    Failed(String),
}

/// What a worker has done.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    /// Events judged.
    pub events: u64,
    /// Fuel used.
    pub fuel: u64,
    /// Events that happened and never arrived.
    pub lost: u64,
    /// Whether `lost` is their number, or more than there can have been.
    pub lost_at_most: bool,
    /// The same by what happened.
    pub lost_by_reason: BTreeMap<&'static str, u64>,
    /// Of each rule of which there is something to tell, by rule id.
    pub rules: BTreeMap<String, RuleCounts>,
    /// Values that did not fit the type of their field and were left out.
    pub field_errors: u64,
    /// The first of those.
    pub field_error_examples: Vec<FieldError>,
    /// From raw bytes to verdicts, per event.
    pub latencies: Latencies,
}

impl Counts {
    /// Runs that could not tell, by rule id.
    pub fn not_evaluable(&self) -> BTreeMap<String, u64> {
        let rules = self.rules.iter().filter(|(_, counts)| counts.not_evaluable > 0);
        rules.map(|(id, counts)| (id.clone(), counts.not_evaluable)).collect()
    }

    fn rule(&mut self, id: &str) -> &mut RuleCounts {
        self.rules.entry(id.to_owned()).or_default()
    }
}

/// Decodes, judges and reports. One a thread.
#[derive(Debug)]
pub struct Worker {
    ruleset: Arc<Ruleset>,
    catalogue: Arc<Catalogue>,
    instance: Instance,
    decoder: Decoder,
    counts: Counts,
    /// What follows the last raw event.
    next_sequence: u64,
    /// Profiles that events were seen of, and the systems they came from.
    seen: BTreeMap<&'static str, BTreeSet<Option<u8>>>,
}

impl Worker {
    /// A worker that begins with these rules.
    pub fn new(ruleset: Arc<Ruleset>) -> Result<Self, MemoryError> {
        let catalogue = ruleset.generation.layouts().catalogue().clone();
        Ok(Self {
            instance: Instance::new(ruleset.generation.clone())?,
            decoder: Decoder::new(catalogue.clone()),
            catalogue,
            ruleset,
            counts: Counts::default(),
            next_sequence: 0,
            seen: BTreeMap::new(),
        })
    }

    /// Takes the next item of the stream.
    pub fn take(&mut self, item: Item, on: &mut dyn FnMut(Output)) {
        match item {
            Item::Raw(raw) => {
                self.next_sequence = raw.sequence.saturating_add(1);
                self.judge(&raw, on);
            }
            Item::Swap { ruleset, reply } => {
                // Should maps be missing, the programs that need them trap, which is told.
                let swapped = self.instance.swap(ruleset.generation.clone());
                debug_assert!(swapped.is_ok(), "maps of one domain have places of their own: {swapped:?}");
                self.ruleset = ruleset;
                if let Some(reply) = reply {
                    // Who asked may have stopped waiting.
                    reply.send(self.next_sequence).ok();
                }
            }
            Item::Gap(gap) => {
                let counts = &mut self.counts;
                counts.lost = counts.lost.saturating_add(gap.count);
                counts.lost_at_most |= !gap.exact;
                let of_reason = counts.lost_by_reason.entry(gap.reason).or_default();
                *of_reason = of_reason.saturating_add(gap.count);
            }
        }
    }

    /// The rules in force.
    pub fn ruleset(&self) -> &Arc<Ruleset> {
        &self.ruleset
    }

    /// What was done so far.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    fn judge(&mut self, raw: &RawEvent, on: &mut dyn FnMut(Output)) {
        let Self { ruleset, catalogue, instance, decoder, counts, seen, .. } = self;
        let mut begin = Instant::now();
        decoder.decode(raw, &mut |event| {
            let event = match event {
                Ok(event) => event,
                Err(error) => return on(Output::Refused(error)),
            };
            match run(instance, ruleset, catalogue, &event, counts) {
                Ok(judged) => {
                    counts.latencies.record(begin.elapsed());
                    counts.events += 1;
                    counts.fuel = counts.fuel.saturating_add(judged.fuel_used());
                    report(ruleset, &event, &judged, counts, on);
                }
                Err(reason) => on(Output::Failed(format!("{}: {reason}", event.position))),
            }
            seen.entry(event.profile).or_default().insert(event.os.map(|os| os as u8));
            begin = Instant::now();
        });
    }

    /// What the decoder saw.
    pub fn decoded(&self) -> Decoded {
        self.decoder.counts()
    }

    /// Bytes of state of all rules.
    pub fn state_bytes(&self) -> u64 {
        self.instance.state_bytes()
    }

    /// What happened to the maps of a rule in force that its programs do not see, all together.
    pub fn map_counters(&self, rule: &LoadedRule) -> MapCounters {
        let programs = rule.programs.iter().filter_map(|index| self.ruleset.programs.get(*index));
        let maps: BTreeSet<MapId> =
            programs.flat_map(|program| &program.ready.program().maps).map(|map| map.id).collect();
        let counters = maps.into_iter().filter_map(|map| self.instance.counters_of(map));
        counters.fold(MapCounters::default(), MapCounters::plus)
    }

    /// What the sources seen so far can do for the rules: those that can match nothing, and those that read
    /// something which is never there.
    pub fn supply(&self) -> SupplyReport {
        let mut report = SupplyReport::default();
        let seen: Vec<(&str, SourceSupply)> = self
            .seen
            .iter()
            .map(|(profile, systems)| {
                let systems = systems.iter().map(|number| number.and_then(system));
                (*profile, SourceSupply::new(&self.catalogue, [*profile], systems))
            })
            .collect();
        for rule in &self.ruleset.rules {
            let mut lacks = BTreeMap::new();
            let mut part = BTreeSet::new();
            for (profile, supply) in &seen {
                match supply.serve(&rule.rule) {
                    Ok(served) => part.extend(served.never),
                    Err(lacking) => {
                        lacks.insert((*profile).to_owned(), lacking);
                    }
                }
            }
            if !lacks.is_empty() && lacks.len() == self.seen.len() {
                report.inert.push(InertRule { id: rule.info.id.clone(), name: rule.info.name.clone(), lacks });
            } else if !part.is_empty() {
                let fields = part.into_iter().collect();
                report.part.push(PartlyServed::new(&rule.rule, fields));
            }
        }
        report
    }
}

/// What the sources of a run can do for its rules.
#[derive(Clone, Debug, Default)]
pub struct SupplyReport {
    /// Rules that can match nothing.
    pub inert: Vec<InertRule>,
    /// Names of rules that can match, with the fields they read which some source never has.
    pub part: Vec<PartlyServed>,
}

/// Writes the record of an event and runs the programs over it.
fn run<'i>(
    instance: &'i mut Instance,
    ruleset: &Ruleset,
    catalogue: &Catalogue,
    event: &Event<'_>,
    counts: &mut Counts,
) -> Result<Judged<'i>, String> {
    let generation = &ruleset.generation;
    let layouts = generation.layouts();
    let header = event.header(layouts);
    let family = catalogue.class(event.class).family;
    let wanted = generation.wanted(event.class);
    let mut writer = RecordWriter::new(instance.record_buffer_mut(), layouts.slot_count(family), &header)
        .ok_or("the event does not fit a record")?;
    let errors = event.fill(&mut writer, layouts, |slot| wanted.is_some_and(|wanted| wanted.contains(slot)));
    let len = writer.finish();
    counts.field_errors += errors.len() as u64;
    let room = FIELD_ERROR_EXAMPLES_MAX.saturating_sub(counts.field_error_examples.len());
    counts.field_error_examples.extend(errors.into_iter().take(room));
    instance.run(len).map_err(|error| error.to_string())
}

/// Turns what programs said of an event into outputs.
fn report(ruleset: &Ruleset, event: &Event<'_>, judged: &Judged<'_>, counts: &mut Counts, on: &mut dyn FnMut(Output)) {
    let mut matched: Vec<(usize, ProgramIndex)> = Vec::new();
    for run in judged.runs() {
        let Some(program) = ruleset.programs.get(run.program.0 as usize) else { continue };
        match &run.outcome {
            Outcome::Verdict(Verdict::NoMatch) => {}
            Outcome::Verdict(Verdict::Match) => matched.push((program.rule, run.program)),
            Outcome::Verdict(Verdict::NotEvaluable) => {
                if let Some(rule) = ruleset.rules.get(program.rule) {
                    counts.rule(&rule.info.id).not_evaluable += 1;
                }
            }
            Outcome::Trap(trapped) => {
                if let Some(rule) = ruleset.rules.get(program.rule) {
                    counts.rule(&rule.info.id).traps += 1;
                }
                if let Some(report) = judged.generation().trap_report(run.program, trapped) {
                    on(Output::Trap(Box::new(report)));
                }
            }
        }
    }
    if matched.is_empty() {
        return;
    }
    let ecs = Value::Object(event.to_ecs());
    let rule_of = |number: &usize| ruleset.rules.get(*number);
    matched.sort_by_key(|(rule, _)| rule_of(rule).map(|rule| rule.info.id.as_str()));
    // Several programs of one rule make one alert.
    matched.dedup_by_key(|(rule, _)| *rule);
    for (number, index) in matched {
        let (Some(rule), Some(program)) = (rule_of(&number), ruleset.programs.get(index.0 as usize)) else { continue };
        let digest = program.ready.rule().digest;
        counts.rule(&rule.info.id).alerts += 1;
        on(Output::Alert(Box::new(Alert {
            rule: rule.info.clone(),
            id: alert_id(&digest, &event.position.file, event.sequence, event.time_ns),
            program_digest: digest,
            catalogue_digest: program.object.catalogue_digest,
            time_ns: event.time_ns,
            message: match &rule.rule.output {
                Some(template) => message::render(template, &ecs),
                None => rule.info.title.clone(),
            },
            generation: ruleset.number,
            evidence: evidence(judged, index, &rule.certain, &ecs),
            origin: Origin { file: event.position.file.clone(), record: event.position.record },
            event: ecs.clone(),
        })));
    }
}

/// The tests of the program that held, each once, with the values they looked at.
fn evidence(judged: &Judged<'_>, program: ProgramIndex, certain: &[(String, String)], ecs: &Value) -> Vec<Evidence> {
    let held = judged.evidence(program).map(|held| (held.text, held.field, held.elements));
    let certain = certain.iter().map(|(text, field)| (text.as_str(), field.as_str(), 0));
    let mut all: Vec<Evidence> = Vec::new();
    for (test, field, of) in held.chain(certain) {
        let value = value_at(ecs, field).and_then(|value| value_shown(field, &elements(value, of)));
        let evidence = Evidence { test: test.to_owned(), field: field.to_owned(), value };
        if !all.contains(&evidence) {
            all.push(evidence);
        }
    }
    all
}

/// The elements of a list for which a test held; any other value as it is.
fn elements(value: &Value, held: u64) -> Value {
    match value {
        Value::Array(items) if held != 0 => {
            let of = items.iter().take(64).enumerate().filter(|(index, _)| held >> index & 1 != 0);
            Value::Array(of.map(|(_, item)| item.clone()).collect())
        }
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use serde_json::json;
    use trapline_programs::catalogue::catalogue;
    use trapline_programs::diagnostic::Source;

    use super::*;
    use crate::agent::load::{RuleText, load};
    use crate::source::{Payload, Position, SourceId};

    fn rules(names: &[&str]) -> Arc<Ruleset> {
        let text: String = names
            .iter()
            .map(|name| format!("rule {name} {{ severity: low on process.exec where process.pid == 7 }}\n"))
            .collect();
        let texts = [RuleText { source: Source::new("r.trap", text), ruleset: "r.trap".into() }];
        let loaded = load(&texts, catalogue()).unwrap();
        assert_eq!(loaded.ruleset.rules.len(), names.len(), "{:?}", loaded.diagnostics);
        Arc::new(loaded.ruleset)
    }

    fn raw(sequence: u64, text: &str) -> Item {
        Item::Raw(RawEvent {
            source: SourceId(0),
            sequence,
            position: Position { file: "e.jsonl".into(), record: sequence + 1 },
            payload: Payload::Json(Bytes::copy_from_slice(text.as_bytes())),
        })
    }

    const EVENT: &str = r#"{"event": {"category": ["process"], "type": ["start"]}, "process": {"pid": 7}}"#;

    #[test]
    fn rules_are_swapped_between_events_in_stream_order() {
        let mut worker = Worker::new(rules(&["first"])).unwrap();
        let mut alerts = Vec::new();
        let stream = [
            raw(0, EVENT),
            Item::Swap { ruleset: rules(&["second", "third"]), reply: None },
            raw(1, EVENT),
            raw(2, EVENT),
        ];
        for item in stream {
            worker.take(item, &mut |output| match output {
                Output::Alert(alert) => alerts.push(format!("{} {}", alert.origin.record, alert.rule.name)),
                other => panic!("{other:?}"),
            });
        }
        assert_eq!(alerts, ["1 first", "2 second", "2 third", "3 second", "3 third"]);
        assert_eq!(worker.counts().events, 3);
    }

    #[test]
    fn what_cannot_be_decoded_comes_out_and_the_stream_goes_on() {
        let mut worker = Worker::new(rules(&["only"])).unwrap();
        let mut seen = Vec::new();
        for item in [raw(0, "{\"a\": "), raw(1, EVENT)] {
            worker.take(item, &mut |output| {
                seen.push(match output {
                    Output::Alert(_) => "alert",
                    Output::Refused(_) => "refused",
                    Output::Trap(_) | Output::Failed(_) => "else",
                });
            });
        }
        assert_eq!(seen, ["refused", "alert"]);
    }

    #[test]
    fn one_id_for_one_event_however_often_it_is_judged() {
        let ids = |names: &[&str]| {
            let mut ids = Vec::new();
            let mut worker = Worker::new(rules(names)).unwrap();
            worker.take(raw(5, EVENT), &mut |output| {
                if let Output::Alert(alert) = output {
                    ids.push(alert.id.clone());
                }
            });
            ids
        };
        let alone = ids(&["b"]);
        assert_eq!(alone, ids(&["b"]));
        // Other rules beside it change nothing.
        assert_eq!(ids(&["a", "b"])[1], alone[0]);
    }

    #[test]
    fn evidence_of_a_list_is_what_held() {
        let list = json!(["a", "b", "c"]);
        assert_eq!(elements(&list, 0b101), json!(["a", "c"]));
        assert_eq!(elements(&list, 0), list);
        assert_eq!(elements(&json!("a"), 1), json!("a"));
        let long: Vec<usize> = (0..100).collect();
        assert_eq!(elements(&json!(long), 1 << 63), json!([63]));
    }
}
