//! Act 2: a rule with four mistakes, and the same rule without them.

use std::collections::BTreeSet;
use std::io::Write;

use trapline_programs::catalogue::catalogue;
use trapline_programs::diagnostic::{Level, Source};

use super::stage::{BAD, GOOD, Stage};
use super::told;
use crate::agent::load::{Loaded, RuleText, load};
use crate::agent::trial::Trials;
use crate::cli::diagnostics;
use crate::sink::terminal::escape;

/// What the rules are called in messages.
const FILE: &str = "my.trap";
/// How many mistakes the rule has, each of another kind.
const MISTAKES: usize = 4;

/// The act, with the rule before and after.
pub(super) struct Mistakes<'a> {
    broken: &'a str,
    corrected: &'a str,
}

impl Default for Mistakes<'_> {
    fn default() -> Self {
        Self { broken: include_str!("data/broken.trap"), corrected: include_str!("data/corrected.trap") }
    }
}

impl Mistakes<'_> {
    pub(super) fn play(&self, stage: &mut Stage<impl Write>) -> anyhow::Result<()> {
        stage.act(
            2,
            "a broken rule",
            "A rule with four mistakes goes to the compiler, which names them all at once, with place and remedy.",
        )?;
        let broken = compiled(self.broken)?;
        let errors = broken.diagnostics.iter().filter(|diagnostic| diagnostic.level == Level::Error);
        let codes: BTreeSet<&str> = errors.map(|diagnostic| diagnostic.code).collect();
        for diagnostic in &broken.diagnostics {
            stage.line(&diagnostics::text(diagnostic))?;
        }
        told(broken.diagnostics.len() == MISTAKES && codes.len() == MISTAKES, || format!("the errors were {codes:?}"))?;
        told(broken.ruleset.rules.is_empty(), || "the broken rule was loaded".to_owned())?;

        stage.remark("The four lines are corrected, and the rule is tried on the tests it carries:")?;
        stage.line("")?;
        for (before, after) in self.broken.lines().zip(self.corrected.lines()).filter(|(before, after)| before != after)
        {
            stage.block(&format!("- {}", before.trim_start()), BAD)?;
            stage.block(&format!("+ {}", after.trim_start()), GOOD)?;
        }
        stage.line("")?;
        let corrected = compiled(self.corrected)?;
        told(corrected.refused.is_empty() && corrected.ruleset.rules.len() == 1, || {
            format!("the corrected rule was refused: {:?}", corrected.refused)
        })?;
        let mut trials = Trials::new(&corrected.ruleset)?;
        let mut passed = 0;
        for rule in &corrected.ruleset.rules {
            for test in &rule.rule.tests {
                let trial = trials.run(rule, test);
                told(trial.passed(), || format!("{:?}", trial.outcome))?;
                stage.line(&format!("    {GOOD}ok{GOOD:#}  {}", escape(&trial.test)))?;
                passed += 1;
            }
        }
        told(passed > 0, || "the corrected rule has no test".to_owned())?;
        stage.line("")?;
        stage.shown(
            "A broken rule never gets as far as running, its author sees every mistake at once, and rules carry their \
             own tests.",
        )?;
        Ok(())
    }
}

fn compiled(text: &str) -> anyhow::Result<Loaded> {
    let text = RuleText { source: Source::new(FILE, text), ruleset: FILE.to_owned() };
    Ok(load(&[text], catalogue())?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::demo::played;

    #[test]
    fn four_different_mistakes_each_with_a_remedy() {
        let text = played(|stage| Mistakes::default().play(stage)).holds();
        for code in ["invalid-value", "unknown-field", "type-mismatch", "unknown-operator"] {
            assert_eq!(text.matches(&format!("error[{code}]: ")).count(), 1, "{text}");
        }
        assert_eq!(text.matches("error[").count(), MISTAKES, "{text}");
        for remedy in ["did you mean `high`?", "did you mean `process.parent.name`?", "without quotes", "write `regex`"]
        {
            assert_eq!(text.matches(remedy).count(), 1, "{text}");
        }
        assert_eq!((text.matches("    - ").count(), text.matches("    + ").count()), (4, 4), "{text}");
        assert_eq!(text.matches("    ok  ").count(), 2, "{text}");
    }

    #[test]
    fn a_rule_that_is_not_as_broken_or_as_good_as_told_is_a_failure_of_ours() {
        let Mistakes { broken, corrected } = Mistakes::default();
        let play = |broken: &str, corrected: &str| played(|stage| Mistakes { broken, corrected }.play(stage));
        play(corrected, corrected).surprises_with("the errors were {}");
        play(broken, broken).surprises_with("the corrected rule was refused");
        play(broken, &corrected.replace("expect none", "expect alert")).surprises_with("no alert");
        play(broken, corrected.split("  test").next().unwrap()).surprises_with("refused");
    }
}
