//! Act 1: a recorded intrusion through the stock rules.

use std::io::Write;
use std::sync::Arc;

use trapline_programs::catalogue::catalogue;
use trapline_programs::stock;

use super::stage::Stage;
use super::{RECORDING, events, told};
use crate::agent::load::{RuleText, load};
use crate::agent::worker::{Item, Output, Worker};
use crate::cli::OutputError;
use crate::cli::rules::STOCK;
use crate::sink::Sink as _;
use crate::sink::text::TextSink;

/// What the recording must lead to: the rule, and the line of the event.
const ALERTS: [(&str, u64); 2] = [("execution_from_shared_memory", 4), ("reverse_shell_dev_tcp", 5)];

/// The act, with the events it is played on.
pub(super) struct Attack<'a> {
    recording: &'a str,
}

impl Default for Attack<'_> {
    fn default() -> Self {
        Self { recording: RECORDING }
    }
}

impl Attack<'_> {
    pub(super) fn play(&self, stage: &mut Stage<impl Write>) -> anyhow::Result<()> {
        let texts = stock::sources().into_iter().map(|source| RuleText { source, ruleset: STOCK.to_owned() });
        let loaded = load(&texts.collect::<Vec<_>>(), catalogue())?;
        told(loaded.refused.is_empty(), || format!("a stock rule was refused: {:?}", loaded.refused))?;
        let rules = loaded.ruleset.rules.len();
        let count = self.recording.lines().count();
        stage.act(
            1,
            "an attack",
            &format!(
                "{count} programs started on a web server, as recorded there. {rules} stock rules, each compiled to \
                 bytecode and proved safe just now, judge them all.",
            ),
        )?;

        let mut worker = Worker::new(Arc::new(loaded.ruleset))?;
        let (mut alerts, mut surprises) = (Vec::new(), Vec::new());
        for event in events(self.recording) {
            worker.take(Item::Raw(event), &mut |output| match output {
                Output::Alert(alert) => alerts.push(alert),
                other => surprises.push(format!("{other:?}")),
            });
        }
        let mut sink = TextSink::new(stage.out());
        for alert in &alerts {
            sink.alert(alert).map_err(OutputError)?;
        }
        told(surprises.is_empty(), || surprises.join(", "))?;
        let got: Vec<(&str, u64)> =
            alerts.iter().map(|alert| (alert.rule.name.as_str(), alert.origin.record)).collect();
        told(got == ALERTS, || format!("the alerts were {got:?}"))?;
        stage.shown(
            "Two of the five were the intruder. Each alert says what ran, below which parents (the web server itself), \
             and because of which tests of its rule.",
        )?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::demo::played;

    #[test]
    fn two_alerts_with_ancestry_and_evidence() {
        let text = played(|stage| Attack::default().play(stage)).holds();
        assert_eq!(text.matches("\n  rule     ").count(), 2, "{text}");
        for line in [
            "  parents  /dev/shm/.x (3016) < /usr/sbin/nginx (812) < /usr/lib/systemd/systemd (1)",
            "  because  process.name in shells                        bash",
            "  source   intrusion.jsonl:5",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
    }

    #[test]
    fn an_attack_that_is_not_seen_is_a_failure_of_ours() {
        played(|stage| Attack { recording: "" }.play(stage)).surprises_with("the alerts were []");
        played(|stage| Attack { recording: "{" }.play(stage)).surprises_with("Refused");
    }
}
