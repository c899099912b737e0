//! Machines side by side: what they say differently, and a table of how they did.
//!
//! Two machines *differ* on a case if both took it and one ended with another result than the other, or with a result
//! where the other trapped. Two traps agree: their words are each machine's own. A machine that refuses a case takes no
//! part in it; the table counts that.

use std::io::Write;

use serde_json::{Map, Value, json};

use super::super::OutputError;
use super::{Machine, Report};
use crate::sink::json;

/// What was seen so far.
pub(super) struct Comparison {
    engines: Vec<Seen>,
    cases: u64,
    agreed: u64,
    differed: u64,
}

struct Seen {
    name: &'static str,
    results: u64,
    traps: u64,
    rejected: u64,
}

impl Comparison {
    pub(super) fn new(engines: &[Machine]) -> Self {
        let seen = |engine: &Machine| Seen { name: engine.name(), results: 0, traps: 0, rejected: 0 };
        Self { engines: engines.iter().map(seen).collect(), cases: 0, agreed: 0, differed: 0 }
    }

    /// Takes what each machine said of a case, in their order; writes a line if they differ.
    pub(super) fn add(&mut self, reports: &[Report], out: &mut impl Write) -> Result<(), OutputError> {
        if reports.is_empty() {
            return Ok(());
        }
        self.cases += 1;
        for (seen, report) in self.engines.iter_mut().zip(reports) {
            *(match report.outcome {
                "result" => &mut seen.results,
                "trap" => &mut seen.traps,
                _ => &mut seen.rejected,
            }) += 1;
        }
        let mut took = reports.iter().filter(|report| report.outcome != "rejected");
        let (Some(first), Some(_)) = (took.next(), took.clone().next()) else { return Ok(()) };
        if took.all(|report| (report.outcome, &report.r0) == (first.outcome, &first.r0)) {
            self.agreed += 1;
            return Ok(());
        }
        self.differed += 1;
        let engines: Map<String, Value> = self
            .engines
            .iter()
            .zip(reports)
            .map(|(seen, report)| (seen.name.to_owned(), serde_json::to_value(report).unwrap_or_default()))
            .collect();
        let name = reports.first().map_or("", |report| report.name.as_str());
        json::write(&mut *out, &json!({ "name": name, "engines": engines })).map_err(OutputError)?;
        out.write_all(b"\n").map_err(OutputError)
    }

    /// Whether any case was a difference.
    pub(super) fn differs(&self) -> bool {
        self.differed > 0
    }

    /// How each machine did, and how often they agreed.
    pub(super) fn table(&self) -> String {
        let mut text = format!("{:<14} {:>8} {:>8} {:>8}\n", "engine", "results", "traps", "refused");
        for Seen { name, results, traps, rejected } in &self.engines {
            text += &format!("{name:<14} {results:>8} {traps:>8} {rejected:>8}\n");
        }
        let alone = self.cases - self.agreed - self.differed;
        let Self { cases, agreed, differed, .. } = self;
        text + &format!("{cases} cases: {agreed} agree, {differed} differ, {alone} taken by fewer than two")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traps_agree_results_must_and_refusals_take_no_part() {
        let result = |r0| Report::result("c".to_owned(), r0, None);
        let trap = |why: &str| Report::trap("c".to_owned(), why.to_owned(), None);
        let refused = || Report::rejected("c".to_owned(), "no".to_owned());
        let mut comparison = Comparison::new(&[Machine::Interpreter, Machine::Rbpf]);
        let mut out = Vec::new();
        for pair in [[result(1), result(1)], [trap("a"), trap("b")], [result(1), refused()], [refused(), refused()]] {
            comparison.add(&pair, &mut out).unwrap();
        }
        assert!(out.is_empty() && !comparison.differs());
        comparison.add(&[result(1), result(2)], &mut out).unwrap();
        comparison.add(&[result(1), trap("a")], &mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap().lines().count(), 2);
        assert!(comparison.table().ends_with("6 cases: 2 agree, 2 differ, 2 taken by fewer than two"));
    }
}
