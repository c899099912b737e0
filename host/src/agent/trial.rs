//! Trials: the tests that rules carry, run through the pipeline that judges real events.
//!
//! All rules run, as in operation; only what the rule under test says counts. Written events become records as
//! [`synthetic`] says, recorded ones go through their source's decoder.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use trapline_engine::{Instance, Outcome};
use trapline_programs::catalogue::{int_text, taxonomy};
use trapline_programs::hir::{Expectation, Literal, Severity, TestCase, TestEvent, TestEventBody, TestValue};
use trapline_vm::memory::MemoryError;
use trapline_vm::predicate::FieldRef;
use trapline_vm::program::Verdict;
use trapline_vm::record::{Catalogue, ClassId, FieldType, RecordHeader, RecordWriter, Scalar};

use super::alert::{hex, rfc3339, severity_name};
use super::load::{LoadedRule, Ruleset};
use super::synthetic;
use crate::source::{Decoder, Event, Inputs, Source as _, SourceId};

/// When the first event of a test happens, unless it is a recorded one: 2026-01-01T00:00:00Z.
const START_NS: i64 = 1_767_225_600_000_000_000;

/// Runs tests.
#[derive(Debug)]
pub struct Trials<'r> {
    ruleset: &'r Ruleset,
    instance: Instance,
}

/// What came of one test.
#[derive(Clone, Debug)]
pub struct Trial {
    /// Name of the rule.
    pub rule: String,
    /// Name of the test.
    pub test: String,
    /// File of the rule.
    pub file: String,
    /// Line of the test.
    pub line: u32,
    /// How it went.
    pub outcome: TrialOutcome,
}

/// What a rule said of the events of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Replayed {
    /// All of them.
    pub events: u64,
    /// Those that it matches.
    pub matches: u64,
    /// Those on which it could not be evaluated.
    pub undecided: u64,
}

/// How a test went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TrialOutcome {
    /// As expected.
    Passed,
    /// Otherwise.
    Failed {
        /// What the test expects.
        expected: String,
        /// What happened.
        got: String,
        /// The events as they were fed in.
        events: Vec<String>,
    },
}

impl Trial {
    /// Whether it went as expected.
    pub fn passed(&self) -> bool {
        self.outcome == TrialOutcome::Passed
    }
}

impl<'r> Trials<'r> {
    /// For the tests of these rules.
    pub fn new(ruleset: &'r Ruleset) -> Result<Self, MemoryError> {
        Ok(Self { ruleset, instance: Instance::new(ruleset.generation.clone())? })
    }

    /// Runs one test of the rule with this number.
    pub fn run(&mut self, rule: &LoadedRule, test: &TestCase) -> Trial {
        let catalogue = self.ruleset.generation.layouts().catalogue().clone();
        let failed = |expected: String, got: String| TrialOutcome::Failed {
            expected,
            got,
            events: (1..).zip(&test.events).map(|(number, event)| event_text(&catalogue, number, event)).collect(),
        };
        // What one test leaves behind is nothing to the next.
        self.instance.reset_state();
        let mut said = Vec::new();
        let mut time_ns = START_NS;
        let mut outcome = TrialOutcome::Passed;
        for (sequence, event) in (0u64..).zip(&test.events) {
            time_ns = time_ns.saturating_add(event.after_ns);
            match self.feed(rule, event, time_ns, sequence) {
                Ok(says) => said.push(says),
                Err(error) => outcome = failed(expected_text(&test.expect), error),
            }
        }
        if outcome == TrialOutcome::Passed
            && let Err((expected, got)) = compare(&test.expect, &said, rule.rule.meta.severity)
        {
            outcome = failed(expected, got);
        }
        Trial {
            rule: rule.rule.name.clone(),
            test: test.name.clone(),
            file: rule.rule.source.name.clone(),
            line: test.line,
            outcome,
        }
    }

    /// Feeds the events of a file to all rules and returns what this one says of them.
    pub fn replay(&mut self, rule: &LoadedRule, path: &Path) -> Result<Replayed, String> {
        let generation = self.ruleset.generation.clone();
        let layouts = generation.layouts();
        self.instance.reset_state();
        let mut replayed = Replayed::default();
        let mut failed = None;
        each_recorded(path, layouts.catalogue(), &mut |_, event| {
            let said = event.and_then(|event| self.judge_event(rule, event));
            replayed.events += 1;
            match said {
                Ok(Said::Nothing) => {}
                Ok(Said::Alert) => replayed.matches += 1,
                Ok(Said::NotEvaluable) => replayed.undecided += 1,
                Ok(Said::Trap(report)) => failed = Some(format!("a trap: {report}")),
                Err(error) => failed = Some(error),
            }
            failed.is_none()
        })?;
        failed.map_or(Ok(replayed), Err)
    }

    /// Feeds one event to all rules and returns what this one says.
    fn feed(&mut self, rule: &LoadedRule, event: &TestEvent, time_ns: i64, sequence: u64) -> Result<Said, String> {
        let generation = self.ruleset.generation.clone();
        let layouts = generation.layouts();
        match &event.body {
            TestEventBody::Inline { class, fields } => {
                if let Some(profile) = &event.profile {
                    possible(layouts.catalogue(), profile, *class, fields)?;
                }
                let header = RecordHeader {
                    digest: layouts.catalogue().short_digest(),
                    class: u32::from(class.0),
                    os: synthetic::os(layouts, fields, rule.rule.meta.os),
                    time_ns,
                    sequence,
                };
                let len = synthetic::write(layouts, *class, &header, fields, self.instance.record_buffer_mut())
                    .ok_or("the event does not fit a record")?;
                self.judge(rule, len)
            }
            TestEventBody::Recorded { file, number } => {
                let path = beside(&rule.rule.source.name, file);
                let mut said = None;
                each_recorded(&path, layouts.catalogue(), &mut |record, event| {
                    if record == *number {
                        said = Some(event.and_then(|event| self.judge_event(rule, event)));
                    }
                    said.is_none()
                })?;
                said.unwrap_or_else(|| Err(format!("{} has no record {number}", path.display())))
            }
        }
    }

    fn judge_event(&mut self, rule: &LoadedRule, event: &Event<'_>) -> Result<Said, String> {
        let generation = self.ruleset.generation.clone();
        let layouts = generation.layouts();
        let family = layouts.catalogue().class(event.class).family;
        let (header, slots) = (event.header(layouts), layouts.slot_count(family));
        let Some(mut writer) = RecordWriter::new(self.instance.record_buffer_mut(), slots, &header) else {
            return Err("the event does not fit a record".to_owned());
        };
        event.fill(&mut writer, layouts, |slot| generation.wants(family, slot));
        let len = writer.finish();
        self.judge(rule, len)
    }

    fn judge(&mut self, rule: &LoadedRule, record_len: u32) -> Result<Said, String> {
        let event = self.instance.run(record_len).map_err(|error| error.to_string())?;
        let mut said = Said::Nothing;
        for run in event.runs().iter().filter(|run| rule.programs.contains(&(run.program.0 as usize))) {
            match &run.outcome {
                Outcome::Verdict(Verdict::NoMatch) => {}
                Outcome::Verdict(Verdict::Match) => said = Said::Alert,
                Outcome::Verdict(Verdict::NotEvaluable) => said = Said::NotEvaluable,
                Outcome::Trap(trapped) => {
                    let report = event.generation().trap_report(run.program, trapped);
                    said = Said::Trap(report.map_or_else(String::new, |report| report.to_string()));
                }
            }
        }
        Ok(said)
    }
}

/// Whether a source of this profile could send such an event.
fn possible(
    catalogue: &Catalogue,
    profile: &str,
    class: ClassId,
    fields: &[(FieldRef, TestValue)],
) -> Result<(), String> {
    let profiles = taxonomy::profiles();
    if !profiles.contains(&profile) {
        return Err(format!("there is no source `{profile}`; there are {}", profiles.join(", ")));
    }
    let name = &catalogue.class(class).name;
    if !taxonomy::classes(profile).contains(&class) {
        return Err(format!("an impossible event: {profile} has no {name} events"));
    }
    let supplied = |field: &str| match catalogue.field_id(field) {
        Some(id) => taxonomy::supplies(profile, class, id),
        None => taxonomy::supplies_open(profile, field),
    };
    match fields.iter().find(|(field, _)| !supplied(&field.name)) {
        Some((field, _)) => Err(format!("an impossible event: {profile} never has {} in {name} events", field.name)),
        None => Ok(()),
    }
}

/// A file named in a rule, relative to the rule's own file.
fn beside(rule_file: &str, file: &str) -> PathBuf {
    Path::new(rule_file).parent().unwrap_or(Path::new("")).join(file)
}

/// Calls back with each event of a file and its record number, or why it cannot be read, until there is enough.
fn each_recorded(
    path: &Path,
    catalogue: &Arc<Catalogue>,
    on: &mut dyn FnMut(u64, Result<&Event<'_>, String>) -> bool,
) -> Result<(), String> {
    let mut inputs = Inputs::open(SourceId(0), &[path.to_owned()]).map_err(|error| error.to_string())?;
    let mut decoder = Decoder::new(catalogue.clone());
    let mut more = true;
    while let Some(raw) = inputs.next().filter(|_| more) {
        match raw {
            Ok(raw) => decoder.decode(&raw, &mut |event| {
                if more {
                    more = match event {
                        Ok(event) => on(event.position.record, Ok(&event)),
                        Err(error) => on(error.position.record, Err(error.to_string())),
                    };
                }
            }),
            Err(error) => more = on(error.position.record, Err(error.to_string())),
        }
    }
    Ok(())
}

/// What the rule said of one event.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Said {
    Nothing,
    Alert,
    NotEvaluable,
    Trap(String),
}

/// What is wrong, if anything: expected and got.
fn compare(expect: &[Expectation], said: &[Said], severity: Severity) -> Result<(), (String, String)> {
    let alerts: Vec<usize> =
        (1..).zip(said).filter(|(_, said)| **said == Said::Alert).map(|(number, _)| number).collect();
    let got = || summary(said, severity);
    if let Some(trap) = said.iter().find_map(|said| match said {
        Said::Trap(report) => Some(report),
        _ => None,
    }) {
        return Err((expected_text(expect), format!("a trap: {trap}")));
    }
    for expectation in expect {
        let holds = match expectation {
            Expectation::Alert { at, severity: wanted } => {
                let there = match at {
                    Some(at) => alerts.contains(at),
                    None => !alerts.is_empty(),
                };
                there && wanted.is_none_or(|wanted| wanted == severity)
            }
            Expectation::None => alerts.is_empty(),
            Expectation::NotEvaluable => alerts.is_empty() && said.contains(&Said::NotEvaluable),
        };
        if !holds {
            return Err((text(expectation), got()));
        }
    }
    Ok(())
}

fn expected_text(expect: &[Expectation]) -> String {
    expect.iter().map(text).collect::<Vec<_>>().join(", ")
}

fn text(expectation: &Expectation) -> String {
    match expectation {
        Expectation::Alert { at, severity } => {
            let mut text = "an alert".to_owned();
            if let Some(at) = at {
                text.push_str(&format!(" at event {at}"));
            }
            if let Some(severity) = severity {
                text.push_str(&format!(" of severity {}", severity_name(*severity)));
            }
            text
        }
        Expectation::None => "no alert".to_owned(),
        Expectation::NotEvaluable => "not evaluable, and no alert".to_owned(),
    }
}

fn summary(said: &[Said], severity: Severity) -> String {
    let at = |wanted: &Said| -> Vec<String> {
        (1..).zip(said).filter(|(_, said)| *said == wanted).map(|(number, _): (usize, _)| number.to_string()).collect()
    };
    let (alerts, blind) = (at(&Said::Alert), at(&Said::NotEvaluable));
    let mut parts = Vec::new();
    if !alerts.is_empty() {
        parts.push(format!("an alert of severity {} at event {}", severity_name(severity), alerts.join(", ")));
    }
    if !blind.is_empty() {
        parts.push(format!("not evaluable at event {}", blind.join(", ")));
    }
    if parts.is_empty() { "no alert".to_owned() } else { parts.join("; ") }
}

/// An event of a test as its author would write it.
fn event_text(catalogue: &Catalogue, number: usize, event: &TestEvent) -> String {
    match &event.body {
        TestEventBody::Recorded { file, number: record } => format!("event {number}: from \"{file}\":{record}"),
        TestEventBody::Inline { class, fields } => {
            let fields: Vec<String> = fields
                .iter()
                .map(|(field, value)| format!("{}: {}", field.name, field_text(catalogue, field, value)))
                .collect();
            format!("event {number}: {} {{ {} }}", catalogue.class(*class).name, fields.join(", "))
        }
    }
}

fn field_text(catalogue: &Catalogue, field: &FieldRef, value: &TestValue) -> String {
    match (value, field.ty) {
        (TestValue::Present(Literal::Int(value)), FieldType::Scalar(Scalar::Int)) => int_text(&field.name, *value),
        (value, ty) => value_text(catalogue, ty, value),
    }
}

fn value_text(catalogue: &Catalogue, ty: FieldType, value: &TestValue) -> String {
    match value {
        TestValue::Lost => "lost".to_owned(),
        TestValue::Truncated(text) => format!("truncated {text:?}"),
        TestValue::Present(literal) => literal_text(catalogue, ty, literal),
    }
}

fn literal_text(catalogue: &Catalogue, ty: FieldType, literal: &Literal) -> String {
    match (literal, ty) {
        (Literal::Bool(value), _) => value.to_string(),
        (Literal::Int(value), FieldType::Scalar(Scalar::Time) | FieldType::List(Scalar::Time)) => {
            format!("\"{}\"", rfc3339(*value))
        }
        (Literal::Int(value), FieldType::Scalar(Scalar::Duration) | FieldType::List(Scalar::Duration)) => {
            format!("{value}ns")
        }
        (Literal::Int(value), FieldType::Scalar(Scalar::Decimal) | FieldType::List(Scalar::Decimal)) => {
            let sign = if *value < 0 { "-" } else { "" };
            format!("{sign}{}.{:06}", value.unsigned_abs() / 1_000_000, value.unsigned_abs() % 1_000_000)
        }
        (Literal::Int(value), _) => value.to_string(),
        (Literal::Enum(Some(index)), FieldType::Scalar(Scalar::Enum(id)) | FieldType::List(Scalar::Enum(id))) => {
            let variant = catalogue.enums.get(usize::from(id.0)).and_then(|kind| kind.variants.get(*index as usize));
            format!("\"{}\"", variant.map_or("?", String::as_str))
        }
        (Literal::Enum(_), _) => "\"(outside the enumeration)\"".to_owned(),
        (Literal::Str(text), _) => format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")),
        (Literal::Bytes(bytes), _) => format!("\"{}\"", hex(bytes)),
        (Literal::Ip(ip), _) => format!("\"{ip}\""),
        (Literal::List(items), ty) => {
            let items: Vec<String> = items.iter().map(|item| literal_text(catalogue, ty, item)).collect();
            format!("[{}]", items.join(", "))
        }
        (Literal::Records(elements), FieldType::Records(id)) => {
            let members = catalogue.elements.get(usize::from(id.0)).map_or(&[][..], |element| &element.members);
            let element = |values: &Vec<Option<TestValue>>| {
                let values = members.iter().zip(values).filter_map(|(member, value)| {
                    Some(format!("{}: {}", member.name, value_text(catalogue, member.ty, value.as_ref()?)))
                });
                format!("{{ {} }}", values.collect::<Vec<_>>().join(", "))
            };
            format!("[{}]", elements.iter().map(element).collect::<Vec<_>>().join(", "))
        }
        (Literal::Records(_), _) => "[…]".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_expected_against_what_is_said() {
        use Said::{Alert, NotEvaluable, Nothing};
        let alert = |at, severity| Expectation::Alert { at, severity };
        let (any, second) = (alert(None, None), alert(Some(2), None));
        let cases: &[(&[Expectation], &[Said], bool)] = &[
            (&[any], &[Nothing, Alert], true),
            (&[alert(None, None)], &[Nothing, NotEvaluable], false),
            (&[second], &[Nothing, Alert], true),
            (&[alert(Some(2), None)], &[Alert, Nothing], false),
            (&[alert(Some(3), None)], &[Alert, Alert], false),
            (&[alert(None, Some(Severity::Low))], &[Alert], true),
            (&[alert(None, Some(Severity::High))], &[Alert], false),
            (&[alert(Some(1), None), alert(Some(2), None)], &[Alert, Alert], true),
            (&[Expectation::None], &[Nothing, NotEvaluable], true),
            (&[Expectation::None], &[Alert], false),
            (&[Expectation::NotEvaluable], &[Nothing, NotEvaluable], true),
            (&[Expectation::NotEvaluable], &[Nothing], false),
            (&[Expectation::NotEvaluable], &[NotEvaluable, Alert], false),
            (&[Expectation::None], &[Said::Trap("boom".into())], false),
        ];
        for (expect, said, holds) in cases {
            assert_eq!(compare(expect, said, Severity::Low).is_ok(), *holds, "{expect:?} {said:?}");
        }
        let (expected, got) = compare(&[alert(Some(2), None)], &[Alert, NotEvaluable], Severity::Low).unwrap_err();
        assert_eq!(expected, "an alert at event 2");
        assert_eq!(got, "an alert of severity low at event 1; not evaluable at event 2");
    }

    #[test]
    fn a_recorded_file_lies_beside_the_rule() {
        assert_eq!(beside("rules/a.trap", "events.jsonl"), Path::new("rules/events.jsonl"));
        assert_eq!(beside("a.trap", "events.jsonl"), Path::new("events.jsonl"));
        assert_eq!(beside("rules/a.trap", "/e.jsonl"), Path::new("/e.jsonl"));
    }
}
