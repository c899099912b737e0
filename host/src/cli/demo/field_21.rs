//! Act 3: a rule reads field 21, and its source supplies 20.

use std::io::Write;
use std::sync::Arc;

use trapline_engine::{Domain, GenerationBuilder, Instance, LoadError, LoadOptions, MissingReason, Outcome, Supply};
use trapline_programs::catalogue::catalogue;
use trapline_programs::compile::compile;
use trapline_programs::diagnostic::Source;
use trapline_vm::program::{Object, Verdict};
use trapline_vm::record::{ClassId, FamilyId, RecordWriter};

use super::stage::{BAD, GOOD, Stage};
use super::{RECORDING, events, told};
use crate::cli::Internal;
use crate::source::{Decoder, RawEvent};

/// The field that the newer rule reads, and its number among the fields of process events, from 1.
const FIELD: (&str, usize) = ("host.id", 21);

/// The act, with the rules and how many fields the source supplies.
pub(super) struct Field21<'a> {
    running: &'a str,
    newer: &'a str,
    source: u16,
}

impl Default for Field21<'_> {
    fn default() -> Self {
        Self { running: include_str!("data/old_fields.trap"), newer: include_str!("data/field_21.trap"), source: 20 }
    }
}

/// A source that was built when each family had only so many fields.
struct BuiltFor(u16);

impl Supply for BuiltFor {
    fn field_count(&self, _: FamilyId) -> u16 {
        self.0
    }

    fn supplies(&self, class: ClassId, field: &str) -> bool {
        let catalogue = catalogue();
        let slot = catalogue.field_id(field).and_then(|field| catalogue.slot(catalogue.class(class).family, field));
        slot.is_some_and(|slot| slot < self.0)
    }
}

impl Field21<'_> {
    pub(super) fn play(&self, stage: &mut Stage<impl Write>) -> anyhow::Result<()> {
        let source = self.source;
        stage.act(
            3,
            "field 21 of 20",
            &format!(
                "In July 2024 content that read field 21 of 20 took down 8.5 million computers. Here a source supplies \
                 {source} fields of process events, one rule runs on them, and a rule for field 21 arrives:",
            ),
        )?;
        let mut domain = Domain::new(catalogue().clone());
        let running = object(self.running)?;
        let ready = match domain.load(&running, &BuiltFor(source), &LoadOptions::default()) {
            Ok(linked) => linked.verify()?,
            Err(error) => return Err(surprise(format!("the running rule was refused: {error}")).into()),
        };
        let mut builder = GenerationBuilder::new(&domain);
        builder.add(ready);
        let mut instance = Instance::new(Arc::new(builder.build()?))?;
        let Some(event) = events(RECORDING).last() else { return Err(surprise("there is no event".to_owned()).into()) };
        let before = judge(&mut instance, &event, source)?;
        told(before == Verdict::Match, || format!("the running rule said {before:?}"))?;

        stage.source(self.newer)?;
        stage.line("")?;
        let newer = object(self.newer)?;
        let error = match domain.load(&newer, &BuiltFor(source), &LoadOptions::default()) {
            Err(LoadError::Supply(error)) => error,
            other => return Err(surprise(format!("the newer rule was not refused for its field: {other:?}")).into()),
        };
        stage.event("refused", BAD, &error.to_string())?;
        let named: Vec<(&str, usize, usize)> = error
            .fields
            .iter()
            .filter_map(|field| match field.reason {
                MissingReason::NoSlot { number, source, .. } => Some((field.name.as_str(), number, source)),
                MissingReason::NotFilled => None,
            })
            .collect();
        told(named == [(FIELD.0, FIELD.1, usize::from(source))], || error.to_string())?;

        let after = judge(&mut instance, &event, source)?;
        told(after == Verdict::Match, || format!("after the refusal the running rule said {after:?}"))?;
        stage.event("running", GOOD, &format!("rule `{}` still alerts, as before the refusal", running.name))?;
        let with_room = domain.load(&newer, &BuiltFor(source + 1), &LoadOptions::default());
        told(with_room.is_ok(), || format!("refused with {} fields, too", source + 1))?;
        stage.line("")?;
        stage.shown(
            "The mismatch is found when the rule is loaded, before any event, and the field is named. What ran goes on \
             running; from a source with 21 fields, the same bytes load.",
        )?;
        Ok(())
    }
}

fn surprise(what: String) -> Internal {
    Internal(format!("the demo did not go as told: {what}"))
}

/// The one program of a rule.
fn object(text: &str) -> Result<Object, Internal> {
    let compiled = compile(&[Source::new("demo.trap", text)], catalogue());
    let mut objects = compiled.rules.into_iter().flat_map(|rule| rule.objects);
    match (objects.next(), objects.next()) {
        (Some(object), None) => Ok(object),
        _ => Err(surprise(format!("a rule did not become one program: {:?}", compiled.diagnostics))),
    }
}

/// What the one program says of an event whose record has only so many slots.
fn judge(instance: &mut Instance, raw: &RawEvent, slots: u16) -> anyhow::Result<Verdict> {
    let generation = instance.generation().clone();
    let layouts = generation.layouts();
    let mut written = Err(surprise("the event was not decoded".to_owned()));
    Decoder::new(layouts.catalogue().clone()).decode(raw, &mut |event| {
        let Ok(event) = event else { return };
        let header = event.header(layouts);
        if let Some(mut writer) = RecordWriter::new(instance.record_buffer_mut(), slots, &header) {
            event.fill(&mut writer, layouts, |slot| slot.0 < slots);
            written = Ok(writer.finish());
        }
    });
    let judged = instance.run(written?)?;
    match judged.runs().first().map(|run| run.outcome) {
        Some(Outcome::Verdict(verdict)) => Ok(verdict),
        other => Err(surprise(format!("the program did not give a verdict: {other:?}")).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::demo::played;

    #[test]
    fn the_field_is_named_and_what_ran_goes_on() {
        let text = played(|stage| Field21::default().play(stage)).holds();
        let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
        for part in [
            "refused rule `shell_on_build_host` reads `host.id`, field 21 of `process` events",
            "the source supplies 20 running rule `shell_below_implant` still alerts",
        ] {
            assert!(words.contains(part), "{part}\n{text}");
        }
    }

    #[test]
    fn a_rule_that_fits_or_a_neighbour_that_does_not_is_a_failure_of_ours() {
        let play = |source| played(|stage| Field21 { source, ..Field21::default() }.play(stage));
        play(21).surprises_with("the newer rule was not refused for its field");
        play(20).holds();
        // Field 21 is missing here, too, but its neighbour is not it.
        play(19).surprises_with("refused with 20 fields, too");
        // The rule that runs needs field 5.
        play(4).surprises_with("the running rule was refused");
    }

    #[test]
    fn the_demo_tells_of_the_catalogue_that_there_is() {
        let catalogue = catalogue();
        let class = catalogue.class(catalogue.class_id("process.exec").unwrap());
        let slot = catalogue.slot(class.family, catalogue.field_id(FIELD.0).unwrap()).unwrap();
        assert_eq!(usize::from(slot) + 1, FIELD.1);
    }
}
