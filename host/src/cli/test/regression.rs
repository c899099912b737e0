//! Regression tests in SigmaHQ's layout: recorded events that a rule must match at least so often.
//!
//! They are found as `info.yml` in the folders that are named, and where rules themselves say that they have some
//! (`regression_tests_path`). The events are an event log, and mostly a copy of it as JSON beside it: both are run.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use trapline_programs::diagnostic::{Diagnostic, Source};
use trapline_programs::sigma;
use trapline_programs::sigma::regression::{Regression, candidates, regressions};

use crate::agent::load::{LoadedRule, Ruleset};
use crate::agent::trial::{Replayed, Trial, TrialOutcome, Trials};
use crate::cli::rules::{RuleFiles, read};

/// Regression tests, and what there is to say of them.
#[derive(Debug, Default)]
pub(super) struct Regressions {
    /// Tests, with the descriptions that they are of.
    tests: Vec<(Arc<Source>, Regression)>,
    /// Mistakes in descriptions.
    pub(super) diagnostics: Vec<Diagnostic>,
    /// Rules that say they have tests which are not there.
    pub(super) missing: Vec<String>,
}

/// What came of them.
#[derive(Debug, Default)]
pub(super) struct Results {
    pub(super) trials: Vec<Trial>,
    /// Descriptions of tests whose rules are not among those that were loaded.
    pub(super) skipped: Vec<String>,
}

impl Regressions {
    /// Those of the folders that are named, and those of the rules.
    pub(super) fn find(files: &RuleFiles) -> Self {
        let mut found = Self::default();
        let mut known = HashSet::new();
        for source in files.regressions() {
            known.insert(whole(Path::new(&source.name)));
            found.add(source, |_| true);
        }
        for text in files.texts() {
            if !sigma::is_sigma(&text.source.name) {
                continue;
            }
            for document in sigma::outline(&text.source).into_iter().filter(|document| !document.tests.is_empty()) {
                let places = candidates(Path::new(&text.source.name), Path::new(&document.tests));
                // Not what lies beside the rule by chance.
                let Some(place) = places.into_iter().skip(1).find(|place| place.is_file()) else {
                    found.missing.push(text.source.name.clone());
                    continue;
                };
                if let Some(source) = known.insert(whole(&place)).then(|| read(&place).ok()).flatten() {
                    let id = document.id.to_ascii_lowercase();
                    found.add(&source, |test| test.rules.contains(&id));
                }
            }
        }
        found
    }

    fn add(&mut self, source: &Arc<Source>, wanted: impl Fn(&Regression) -> bool) {
        let (tests, diagnostics) = regressions(source);
        self.diagnostics.extend(diagnostics);
        self.tests.extend(tests.into_iter().filter(wanted).map(|test| (source.clone(), test)));
    }

    /// Runs them; `refused` are the ids of rules that are there and could not be loaded.
    pub(super) fn run(&self, ruleset: &Ruleset, trials: &mut Trials<'_>, refused: &HashSet<String>) -> Results {
        let by_id: BTreeMap<&str, &LoadedRule> =
            ruleset.rules.iter().map(|rule| (rule.rule.meta.id.as_str(), rule)).collect();
        let mut results = Results::default();
        for (source, test) in &self.tests {
            for id in &test.rules {
                match by_id.get(id.as_str()) {
                    Some(rule) => results.trials.extend(run(trials, rule, source, test)),
                    None if refused.contains(id) => {
                        let outcome = failed(test, "its rule was refused");
                        results.trials.push(trial(id, &test.name, source, test, outcome));
                    }
                    None => results.skipped.push(source.name.clone()),
                }
            }
        }
        results
    }
}

fn whole(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

/// The events of a test, and their copy.
fn run(trials: &mut Trials<'_>, rule: &LoadedRule, source: &Source, test: &Regression) -> Vec<Trial> {
    let name = &rule.rule.name;
    let Some(file) = candidates(Path::new(&source.name), &test.path).into_iter().find(|path| path.is_file()) else {
        let outcome = failed(test, &format!("{} is not there", test.path.display()));
        return vec![trial(name, &test.name, source, test, outcome)];
    };
    let copy = file.with_extension("json");
    let copy = Some(copy).filter(|copy| *copy != file && copy.is_file());
    let run_one = |file: PathBuf| {
        let outcome = match trials.replay(rule, &file) {
            Ok(replayed) if replayed.matches >= test.match_count => TrialOutcome::Passed,
            Ok(replayed) => failed(test, &described(replayed)),
            Err(error) => failed(test, &error),
        };
        let kind = file.extension().unwrap_or_default().to_string_lossy();
        trial(name, &format!("{} ({kind})", test.name), source, test, outcome)
    };
    [Some(file), copy].into_iter().flatten().map(run_one).collect()
}

fn described(replayed: Replayed) -> String {
    let Replayed { events, matches, undecided } = replayed;
    let blind = if undecided > 0 { format!(", {undecided} not evaluable") } else { String::new() };
    format!("{matches} among {events} events{blind}")
}

fn failed(test: &Regression, got: &str) -> TrialOutcome {
    let expected = format!("at least {} {}", test.match_count, if test.match_count == 1 { "match" } else { "matches" });
    TrialOutcome::Failed { expected, got: got.to_owned(), events: Vec::new() }
}

fn trial(rule: &str, name: &str, source: &Source, test: &Regression, outcome: TrialOutcome) -> Trial {
    Trial { rule: rule.to_owned(), test: name.to_owned(), file: source.name.clone(), line: test.line, outcome }
}
