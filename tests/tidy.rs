//! Rules of the repository as tests.

use std::path::{Path, PathBuf};

use trapline_programs::catalogue::catalogue;
use trapline_programs::compile::compile;
use trapline_programs::hir::{Expectation, Rule};
use trapline_programs::stock;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All files below the root that belong to the project, with their text where they are text.
fn files() -> Vec<(PathBuf, Option<String>)> {
    let mut found = Vec::new();
    let mut folders = vec![root().to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                if !name.starts_with("target") && name != ".git" {
                    folders.push(path);
                }
            } else if name != ".git" {
                found.push((path.clone(), std::fs::read_to_string(&path).ok()));
            }
        }
    }
    found
}

fn stock_rules() -> Vec<Rule> {
    let compiled = compile(&stock::sources(), catalogue());
    let errors: Vec<_> = compiled.diagnostics.iter().map(|found| (found.code, &found.message)).collect();
    assert!(errors.is_empty(), "stock rules compile without errors and warnings: {errors:?}");
    compiled.rules.into_iter().map(|compiled| compiled.rule).collect()
}

#[test]
fn the_top_level_is_as_the_map_says() {
    for name in ["Cargo.toml", "vm", "programs", "host", "benches", "tests", "docs", ".ci", "README.md"] {
        assert!(root().join(name).exists(), "{name} is missing");
    }
    assert!(!root().join("src").exists(), "the root package owns tests and benches only");
}

#[test]
fn there_are_stock_rules_for_both_systems_and_several_tactics() {
    let rules = stock_rules();
    assert_eq!(rules.len(), stock::RULES.len(), "one rule a file");
    assert!(rules.len() >= 30, "only {} stock rules", rules.len());
    for system in ["stock/linux/", "stock/windows/"] {
        let count = rules.iter().filter(|rule| rule.source.name.starts_with(system)).count();
        assert!(count >= 15, "only {count} rules below {system}");
    }
    let techniques: std::collections::BTreeSet<&str> =
        rules.iter().flat_map(|rule| &rule.meta.attack).map(|id| id.split('.').next().unwrap_or(id)).collect();
    assert!(techniques.len() >= 20, "only {} techniques", techniques.len());
}

#[test]
fn every_stock_rule_says_what_it_is_and_shows_both_sides() {
    let mut ids = std::collections::BTreeSet::new();
    for rule in stock_rules() {
        let (name, meta) = (&rule.name, &rule.meta);
        assert!(!meta.title.is_empty() && !meta.version.is_empty(), "{name} lacks title or version");
        assert!(ids.insert(meta.id.clone()) && !meta.id.is_empty(), "{name} has no id of its own");
        assert!(!meta.attack.is_empty(), "{name} names no technique");
        assert!(!meta.references.is_empty(), "{name} has no reference");
        assert!(!meta.false_positives.is_empty(), "{name} names no false positives");
        assert!(rule.output.is_some(), "{name} has no message");
        let expects = |wanted: fn(&Expectation) -> bool| rule.tests.iter().any(|test| test.expect.iter().any(wanted));
        assert!(expects(|found| matches!(found, Expectation::Alert { .. })), "{name} has no matching event");
        assert!(expects(|found| matches!(found, Expectation::None)), "{name} has no event that does not match");
        let text = &rule.source.text;
        for heading in ["# Detects:", "# Why it matters:", "# Needs:"] {
            assert!(text.contains(heading), "{name} does not say {heading:?} at its head");
        }
    }
}

/// Unsafe code is forbidden in `vm` and `programs` and denied in `host`.
#[test]
fn crates_forbid_unsafe_code() {
    for lib in ["vm/machine/src/lib.rs", "vm/engine/src/lib.rs", "programs/src/lib.rs"] {
        let text = std::fs::read_to_string(root().join(lib)).unwrap();
        assert!(text.contains("#![forbid(unsafe_code)]"), "{lib}");
    }
    let host = std::fs::read_to_string(root().join("host/src/lib.rs")).unwrap();
    assert!(host.contains("#![deny(unsafe_code)]"));
}

/// Every Rust file says its subject in its first line.
#[test]
fn files_open_with_their_subject() {
    let silent: Vec<PathBuf> = files()
        .into_iter()
        .filter(|(path, _)| path.extension().is_some_and(|extension| extension == "rs"))
        .filter(|(_, text)| !text.as_deref().is_some_and(|text| text.starts_with("//!")))
        .map(|(path, _)| path.strip_prefix(root()).unwrap().to_path_buf())
        .collect();
    assert!(silent.is_empty(), "no module documentation: {silent:?}");
}

/// Every link in the documents leads somewhere.
#[test]
fn links_in_documents_lead_somewhere() {
    let mut checked = 0;
    for (path, text) in files() {
        let Some(text) = text.filter(|_| path.extension().is_some_and(|extension| extension == "md")) else { continue };
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if link.contains("://") || link.starts_with('#') {
                continue;
            }
            let target = link.split('#').next().unwrap_or(link);
            assert!(path.parent().unwrap().join(target).exists(), "{}: {link}", path.display());
            checked += 1;
        }
    }
    assert!(checked > 0);
}

/// The README's example rule is what its tests say.
#[test]
fn the_rule_of_the_readme_compiles() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let rule = readme.split("```").find(|block| block.contains("\nrule download_to_hidden_place {")).unwrap();
    let compiled = compile(&[trapline_programs::diagnostic::Source::new("README.md", rule)], catalogue());
    assert!(compiled.diagnostics.is_empty(), "{:?}", compiled.diagnostics);
    assert_eq!(compiled.rules.len(), 1);
}
