//! Regression tests in SigmaHQ's own layout: an `info.yml` names a rule by its id, recorded events beside it, and how
//! often the rule matches them at least.

use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use super::yaml::{self, Node};
use crate::diagnostic::{Diagnostic, Source, Span};

/// The name of the files.
pub const INFO: &str = "info.yml";

/// One test: these events against each of these rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Regression {
    /// Ids of rules, in lower case.
    pub rules: Vec<String>,
    /// Its name.
    pub name: String,
    /// The recorded events: a path without `..`, from the root of the repository.
    pub path: PathBuf,
    /// The fewest matches of each rule.
    pub match_count: u64,
    /// Where it stands, from 1.
    pub line: u32,
}

/// Whether YAML describes regression tests.
pub fn is_regression(source: &Source) -> bool {
    source.text.lines().any(|line| line.starts_with("regression_tests_info:"))
}

/// The tests of a description, and its mistakes.
pub fn regressions(source: &Arc<Source>) -> (Vec<Regression>, Vec<Diagnostic>) {
    let (mut found, mut diagnostics) = (Vec::new(), Vec::new());
    for node in yaml::read(source, &mut diagnostics) {
        let mut mistake = |message: &str, node: &Node| {
            let first = source.text.get(node.range.clone()).and_then(|text| text.lines().next()).map_or(0, str::len);
            let span = Span { source: source.clone(), range: node.range.start..node.range.start + first };
            diagnostics.push(Diagnostic::error("sigma-document", message, span, "in this"));
        };
        let id = |rule: &Node| Some(rule.get("id")?.text()?.to_ascii_lowercase());
        let rules: Vec<String> = items(node.get("rule_metadata")).iter().filter_map(id).collect();
        let tests = items(node.get("regression_tests_info"));
        if rules.is_empty() || tests.is_empty() {
            mistake(
                "a description of regression tests has `rule_metadata` with ids, and `regression_tests_info`",
                &node,
            );
            continue;
        }
        for test in tests {
            let text = |key: &str| test.get(key).and_then(Node::text).unwrap_or_default();
            let path = PathBuf::from(text("path"));
            let is_inside = path.components().all(|part| matches!(part, Component::Normal(_)));
            if !is_inside || path.as_os_str().is_empty() {
                mistake("a regression test has a `path` within the repository", test);
                continue;
            }
            let match_count = match test.get("match_count").map(|count| count.text().and_then(|text| text.parse().ok()))
            {
                None => 1,
                Some(Some(count)) if count > 0 => count,
                Some(_) => {
                    mistake("`match_count` is a number from 1", test);
                    continue;
                }
            };
            let line = source.line_of(test.range.start);
            found.push(Regression { rules: rules.clone(), name: text("name").to_owned(), path, match_count, line });
        }
    }
    (found, diagnostics)
}

fn items(node: Option<&Node>) -> &[Node] {
    match node.map(|node| &node.kind) {
        Some(yaml::Kind::List(items)) => items,
        _ => &[],
    }
}

/// A file that is named from the root of a repository, seen from a file somewhere in it: beside that, or from one of the
/// folders around it.
pub fn candidates(from: &Path, path: &Path) -> Vec<PathBuf> {
    let folder = from.parent().unwrap_or(Path::new(""));
    let beside = path.file_name().map(|name| folder.join(name));
    let around = folder.ancestors().map(|folder| folder.join(path));
    beside.into_iter().chain(around).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "id: x\nrule_metadata:\n  - id: AB-1\n    title: T\nregression_tests_info:\n  - name: One\n    \
                        type: evtx\n    path: regression_data/a/b.evtx\n";

    #[test]
    fn tests_and_mistakes() {
        let read = |text: &str| {
            let source = Source::new(INFO, text);
            assert!(is_regression(&source));
            let (found, diagnostics) = regressions(&source);
            (found, diagnostics.into_iter().map(|diagnostic| diagnostic.message).collect::<Vec<_>>())
        };
        let (found, none) = read(GOOD);
        let path = PathBuf::from("regression_data/a/b.evtx");
        let one = Regression { rules: vec!["ab-1".into()], name: "One".into(), path, match_count: 1, line: 6 };
        assert_eq!((found.as_slice(), none.len()), (std::slice::from_ref(&one), 0));
        let (found, _) = read(&format!("{GOOD}    match_count: 3\n"));
        assert_eq!(found[0].match_count, 3);
        for (text, message) in [
            (format!("{GOOD}    match_count: many\n"), "`match_count` is a number from 1"),
            (GOOD.replace("regression_data/a", "../a"), "a regression test has a `path` within the repository"),
            (GOOD.replace("regression_data/a", "/a"), "a regression test has a `path` within the repository"),
            (
                GOOD.replace("AB-1", ""),
                "a description of regression tests has `rule_metadata` with ids, and `regression_tests_info`",
            ),
        ] {
            assert_eq!(read(&text), (Vec::new(), vec![message.to_owned()]), "{text}");
        }
    }

    #[test]
    fn where_a_file_may_be() {
        let found = candidates(Path::new("repo/regression_data/a/info.yml"), Path::new("regression_data/a/b.evtx"));
        assert!(found.contains(&PathBuf::from("repo/regression_data/a/b.evtx")));
        assert_eq!(found[0], Path::new("repo/regression_data/a/b.evtx"));
        assert_eq!(
            candidates(Path::new("info.yml"), Path::new("x/b.evtx")),
            [Path::new("b.evtx"), Path::new("x/b.evtx")]
        );
    }
}
