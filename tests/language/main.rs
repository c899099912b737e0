//! The rule language on files: one file, one named test.
//!
//! ```text
//! diagnostics/CODE.trap   what is said about an example of each diagnostic code
//! mistakes/*.trap         files with several mistakes: all are reported, none twice
//! typed/*.trap            the typed form of rules without mistakes
//! tree/*.trap             the lossless tree
//! meaning/*.trap          what comes of events: rules with tests of their own, one for each statement of the page
//! ```
//!
//! Beside each but the last lies what is expected, `*.expected`, refreshed by `UPDATE_EXPECT=1`: review the difference.

mod catalogue;
mod fuzz;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use libtest_mimic::{Arguments, Failed, Trial};
use trapline::agent::load::{RuleText, load};
use trapline::agent::trial::Trials;
use trapline_programs::compile::compile;
use trapline_programs::diagnostic::{Diagnostic, Level, Source, codes, render};
use trapline_programs::{hir, lang, object, sigma};
use trapline_vm::record::Catalogue;

static CATALOGUE: LazyLock<Catalogue> = LazyLock::new(catalogue::catalogue);

/// Codes of the back end: limits on the programs it makes, with tests of its own.
const BACK_END: &[&str] = &[
    "condition-too-deep",
    "element-outside-quantifier",
    "rule-too-long",
    "too-many-fields",
    "too-many-intermediates",
    "too-many-predicates",
];

fn main() {
    let arguments = Arguments::from_args();
    let mut trials = Vec::new();
    for (folder, check) in [
        ("diagnostics", diagnostics as fn(&Path) -> Result<String, Failed>),
        ("mistakes", mistakes),
        ("typed", typed),
        ("tree", tree),
    ] {
        let files = files(folder);
        assert!(!files.is_empty(), "no file in {folder}");
        for file in files {
            let name = format!("{folder}::{}", stem(&file));
            trials.push(Trial::test(name, move || expect(&file, &check(&file)?)));
        }
    }
    for file in files("meaning") {
        trials.push(Trial::test(format!("meaning::{}", stem(&file)), move || meaning(&file)));
    }
    trials.push(Trial::test("every_code_has_a_page_and_an_example", every_code));
    trials.push(Trial::test("any_text_is_parsed_and_lowered", || fuzz::run(&CATALOGUE)));
    libtest_mimic::run(&arguments, trials).exit();
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/language")
}

fn files(folder: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join(folder)).expect("the folder is part of the project");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("the folder can be read").path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "trap" || extension == "yml"));
    files.sort();
    files
}

fn stem(file: &Path) -> String {
    file.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

fn source(file: &Path) -> Result<Arc<Source>, Failed> {
    let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok(Source::new(name, fs::read_to_string(file)?))
}

fn expect(file: &Path, found: &str) -> Result<(), Failed> {
    let path = file.with_extension("expected");
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        return Ok(fs::write(path, found)?);
    }
    let expected = fs::read_to_string(&path)?;
    if expected == found {
        return Ok(());
    }
    Err(format!("{} differs; found:\n{found}", path.display()).into())
}

fn rendered(found: &[Diagnostic]) -> String {
    found.iter().map(|diagnostic| render(diagnostic, false)).collect::<Vec<_>>().join("\n")
}

/// One mistake: one diagnostic, of the code that the file is named after.
fn diagnostics(file: &Path) -> Result<String, Failed> {
    let source = source(file)?;
    let found = if object::is_object(&source) || sigma::is_sigma(&source.name) {
        compile(&[source], &CATALOGUE).diagnostics
    } else {
        hir::lower(&[source], &CATALOGUE).1
    };
    let code = stem(file);
    let others: Vec<&str> = found.iter().map(|found| found.code).filter(|found| **found != code).collect();
    if found.is_empty() || !others.is_empty() {
        return Err(format!("expected only {code}:\n{}", rendered(&found)).into());
    }
    Ok(rendered(&found))
}

fn mistakes(file: &Path) -> Result<String, Failed> {
    let (rules, found) = hir::lower(&[source(file)?], &CATALOGUE);
    let mut text = rendered(&found);
    for rule in rules {
        text.push_str(&format!("\ncompiled: {}\n", rule.name));
    }
    Ok(text)
}

fn typed(file: &Path) -> Result<String, Failed> {
    let (rules, found) = hir::lower(&[source(file)?], &CATALOGUE);
    if found.iter().any(|found| found.level == Level::Error) {
        return Err(rendered(&found).into());
    }
    Ok(rules.iter().map(|rule| hir::print(rule, &CATALOGUE)).collect::<Vec<_>>().join("\n"))
}

fn tree(file: &Path) -> Result<String, Failed> {
    Ok(lang::print_tree(&lang::parse(&source(file)?)))
}

/// The tests of the rules, with the real catalogue and the pipeline that judges real events.
fn meaning(file: &Path) -> Result<(), Failed> {
    let text = RuleText { source: source(file)?, ruleset: "meaning".into() };
    let loaded = load(&[text], trapline_programs::catalogue::catalogue())?;
    if let Some(found) = loaded.diagnostics.iter().find(|found| found.level == Level::Error) {
        return Err(render(found, false).into());
    }
    let mut trials = Trials::new(&loaded.ruleset)?;
    let mut failed = String::new();
    let mut count = 0;
    for rule in &loaded.ruleset.rules {
        for test in &rule.rule.tests {
            let trial = trials.run(rule, test);
            count += 1;
            if !trial.passed() {
                failed.push_str(&format!("{} {} line {}: {:?}\n", trial.rule, trial.test, trial.line, trial.outcome));
            }
        }
    }
    if count == 0 || !failed.is_empty() {
        return Err(format!("{count} tests\n{failed}").into());
    }
    Ok(())
}

fn every_code() -> Result<(), Failed> {
    let explained: BTreeSet<&str> = codes().iter().map(|page| page.code).collect();
    let examples: BTreeSet<String> = files("diagnostics").iter().map(|file| stem(file)).collect();
    let without: Vec<&str> =
        explained.iter().copied().filter(|code| !examples.contains(*code) && !BACK_END.contains(code)).collect();
    if !without.is_empty() {
        return Err(format!("no example in diagnostics/ of {without:?}").into());
    }
    // Codes are the only hyphenated words in quotes of the front end.
    let mut unexplained = BTreeSet::new();
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("programs/src");
    for part in ["lang", "lang/parser", "hir", "hir/lower", "sigma", "sigma/pipeline"] {
        for entry in fs::read_dir(sources.join(part))? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path)?;
                // Tests come last in a file and have hyphens of their own.
                let text = text.split("#[cfg(test)]").next().unwrap_or_default();
                // Sigma has hyphens in its own words.
                let ours = |word: &&str| !part.starts_with("sigma") || word.starts_with("sigma-");
                let words = quoted(text).filter(ours);
                unexplained.extend(words.filter(|word| !explained.contains(word)).map(str::to_owned));
            }
        }
    }
    if !unexplained.is_empty() {
        return Err(format!("no page in `explain` on {unexplained:?}").into());
    }
    Ok(())
}

/// Words such as `unknown-field` in quotes.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('"').filter(|word| {
        let parts: Vec<&str> = word.split('-').collect();
        parts.len() > 1 && parts.iter().all(|part| part.len() > 1 && part.bytes().all(|byte| byte.is_ascii_lowercase()))
    })
}
