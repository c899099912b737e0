//! Act 4: bytecode that leaves its record. The verifier refuses it; run without proof, it traps, and nothing else
//! is disturbed.
//!
//! This is the one place of the binary where a program that nobody proved meets an event, in a machine made for it
//! that is dropped behind it.

use std::io::Write;
use std::sync::Arc;

use trapline_engine::{Domain, GenerationBuilder, LinkOptions, Linked, ReadyProgram, VerifyError};
use trapline_programs::catalogue::catalogue;
use trapline_programs::compile::{CompiledRule, compile};
use trapline_programs::stock;
use trapline_vm::isa::assemble;
use trapline_vm::program::{Line, Object};
use trapline_vm::record::OsSet;
use trapline_vm::trap::{Trap, TrapReport};

use super::stage::{BAD, GOOD, Stage};
use super::{RECORDING, events, told};
use crate::agent::alert::{Alert, RuleInfo, severity_name};
use crate::agent::load::{LoadedProgram, LoadedRule, Ruleset};
use crate::agent::worker::{Item, Output, Worker};
use crate::cli::Internal;
use crate::cli::rules::STOCK;

/// What the verifier must say of the program.
const REFUSED_AS: &str = "out-of-bounds";
/// The rule whose alert must come on the event that makes the program trap.
const NEIGHBOUR: &str = "reverse_shell_dev_tcp";

/// The act, with the program.
pub(super) struct Hostile<'a> {
    assembly: &'a str,
}

impl Default for Hostile<'_> {
    fn default() -> Self {
        Self { assembly: include_str!("data/hostile.asm") }
    }
}

impl Hostile<'_> {
    pub(super) fn play(&self, stage: &mut Stage<impl Write>) -> anyhow::Result<()> {
        stage.act(
            4,
            "hostile bytecode",
            "Nobody has to use our compiler: this program was written by hand, and reads far behind its record.",
        )?;
        stage.source(self.assembly)?;
        stage.line("")?;
        let mut domain = Domain::new(catalogue().clone());
        let object = self.object()?;
        let linked = domain.link(&object, &LinkOptions::default())?;
        let rejection = match linked.clone().verify() {
            Err(VerifyError::Rejected(rejection)) => rejection,
            other => return Err(surprise(format!("the verifier said {other:?}")).into()),
        };
        stage.block(&rejection.to_string(), BAD)?;
        told(rejection.code() == REFUSED_AS && rejection.assertion.is_some(), || rejection.to_string())?;

        stage.line("")?;
        stage.remark(
            "Refused, and that is where it ends: no option of Trapline runs a rule without its proof. To show what the \
             machine does if the proof itself were wrong, the demo now runs the same bytes unproved, beside the stock \
             rules, in a machine of their own, on the last event of act 1:",
        )?;
        stage.line("")?;
        let (report, alerts) = beside_stock_rules(&mut domain, object, linked)?;
        show_trap(stage, &report)?;
        told(report.trap == Trap::OutOfRegion, || report.to_string())?;
        for alert in &alerts {
            show_alert(stage, alert)?;
        }
        let names: Vec<&str> = alerts.iter().map(|alert| alert.rule.name.as_str()).collect();
        told(names == [NEIGHBOUR], || format!("beside the trap there were alerts of {names:?}"))?;
        stage.line("")?;
        stage.shown(
            "Two walls: nothing runs without a proof, and the machine checks every access again. A fault is a trap of \
             one program on one event; its neighbours alert on that very event.",
        )?;
        Ok(())
    }

    /// The program as a file would bring it: a rule about started processes that claims to read no field.
    fn object(&self) -> Result<Object, Internal> {
        let assembly = assemble(self.assembly).map_err(|errors| surprise(format!("{errors:?}")))?;
        Ok(Object {
            name: "hostile".to_owned(),
            catalogue_digest: catalogue().digest(),
            family: "process".to_owned(),
            classes: vec!["process.exec".to_owned()],
            os: OsSet::ANY,
            lines: (0..).zip(&assembly.lines).map(|(pc, line)| Line { pc, line: *line }).collect(),
            maps: Vec::new(),
            code: assembly.code,
            fields: vec![],
            predicates: vec![],
            relocations: vec![],
            predicate_texts: vec![],
        })
    }
}

/// Runs the unproved program first, then the stock rules, all on the last event of the recording.
fn beside_stock_rules(domain: &mut Domain, object: Object, linked: Linked) -> anyhow::Result<(TrapReport, Vec<Alert>)> {
    let unproved = Arc::new(ReadyProgram::unverified_for_tests(linked)?);
    let (mut rules, mut programs) = (Vec::new(), Vec::new());
    for CompiledRule { rule, objects, .. } in compile(&stock::sources(), catalogue()).rules {
        let first = programs.len();
        for object in objects {
            let ready = Arc::new(domain.link(&object, &LinkOptions::default())?.verify()?);
            programs.push(LoadedProgram { rule: rules.len(), object: object.into(), ready });
        }
        let info = Arc::new(RuleInfo::new(&rule, STOCK.to_owned()));
        rules.push(LoadedRule {
            rule,
            info,
            programs: (first..programs.len()).collect(),
            certain: Vec::new(),
            never: Vec::new(),
            never_on: Vec::new(),
        });
    }
    // It is no rule that could alert: only its trap is of interest.
    programs.insert(0, LoadedProgram { rule: usize::MAX, object: object.into(), ready: unproved });
    let mut builder = GenerationBuilder::new(domain);
    programs.iter().for_each(|program| _ = builder.add(program.ready.clone()));
    let generation = Arc::new(builder.build()?);
    let mut worker = Worker::new(Arc::new(Ruleset { number: 1, generation, rules, programs }))?;

    let Some(event) = events(RECORDING).last() else { return Err(surprise("there is no event".to_owned()).into()) };
    let (mut traps, mut alerts, mut surprises) = (Vec::new(), Vec::new(), Vec::new());
    worker.take(Item::Raw(event), &mut |output| match output {
        Output::Trap(report) => traps.push(*report),
        Output::Alert(alert) => alerts.push(*alert),
        other => surprises.push(format!("{other:?}")),
    });
    told(surprises.is_empty(), || surprises.join(", "))?;
    let mut traps = traps.into_iter();
    match (traps.next(), traps.next()) {
        (Some(report), None) => Ok((report, alerts)),
        _ => Err(surprise("the program did not trap, or another one did".to_owned()).into()),
    }
}

fn surprise(what: String) -> Internal {
    Internal(format!("the demo did not go as told: {what}"))
}

fn show_trap(stage: &mut Stage<impl Write>, report: &TrapReport) -> anyhow::Result<()> {
    let info = report.trap.info();
    let TrapReport { program, pc, instruction, registers, .. } = report;
    let zero = registers.iter().filter(|value| **value == 0).count();
    let set = (0..).zip(registers).filter(|(_, value)| **value != 0);
    let set: Vec<String> = set.map(|(number, value)| format!("r{number}={value:#x}")).collect();
    let text = format!(
        "{program}: {} (code {}, {})\nat pc {pc}: {instruction}\n{}, and {zero} registers are 0",
        info.message,
        info.code,
        info.name,
        set.join(" ")
    );
    Ok(stage.event("TRAP", BAD, &text)?)
}

fn show_alert(stage: &mut Stage<impl Write>, alert: &Alert) -> anyhow::Result<()> {
    let severity = severity_name(alert.rule.severity);
    Ok(stage.event("ALERT", GOOD, &format!("{} ({severity})\n{}", alert.rule.title, alert.message))?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::demo::played;

    #[test]
    fn refused_with_a_reason_then_a_trap_beside_an_alert() {
        let text = played(|stage| Hostile::default().play(stage)).holds();
        for part in ["error[out-of-bounds]: ", "= must hold: reading 8 bytes", "= known: r1 = ", ", instruction 4"] {
            assert!(text.contains(part), "{part}\n{text}");
        }
        assert!(text.contains("(code 2, out-of-region)"), "{text}");
        assert!(text.contains("  at pc 4: ldxdw %r4, [%r1]\n"), "{text}");
        assert!(text.contains("r1=0x25000"), "{text}");
        assert!(text.contains("    ALERT    Shell opens a network socket through /dev/tcp (high)"), "{text}");
    }

    #[test]
    fn a_program_that_is_not_as_bad_as_told_is_a_failure_of_ours() {
        let play = |assembly: &str| played(|stage| Hostile { assembly }.play(stage));
        play("mov r0, 0\nexit").surprises_with("the verifier said Ok");
        // Not proved, for the number is no verdict, and yet within its record.
        play("mov r0, 7\nexit").surprises_with("not-a-verdict");
        play("nonsense").surprises_with("line: 1");
    }
}
