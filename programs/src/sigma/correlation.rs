//! Correlations of Sigma: checked against *Sigma Correlation Rules Specification* 2.1, and then refused, because nothing
//! here remembers what it saw between events yet.

use std::ops::Range;
use std::sync::Arc;

use super::document::Correlation;
use super::yaml::{Kind, Node};
use crate::diagnostic::{Diagnostic, Source, Span};
use crate::lang::suggest::nearest;

/// Types, and whether their condition names a field.
const TYPES: &[(&str, bool)] = &[
    ("event_count", false),
    ("temporal", false),
    ("temporal_ordered", false),
    ("value_avg", true),
    ("value_count", true),
    ("value_median", true),
    ("value_percentile", true),
    ("value_sum", true),
];
const OPERATORS: &[&str] = &["eq", "gt", "gte", "lt", "lte", "neq"];

/// Checks a correlation. `known` are the names and ids of all rules at hand.
pub(super) fn check(
    source: &Arc<Source>,
    correlation: &Correlation,
    known: &dyn Fn(&str) -> bool,
    diagnostics: &mut Vec<Diagnostic>,
) {
    let before = diagnostics.len();
    let mut tell = |code, range: &Range<usize>, message: String, label: &str, help: &str| {
        let told = Diagnostic::error(code, message, Span { source: source.clone(), range: range.clone() }, label);
        diagnostics.push(if help.is_empty() { told } else { told.help(help) });
    };
    let kind = correlation.kind.text.as_str();
    let Some((_, needs_field)) = TYPES.iter().find(|(name, _)| *name == kind) else {
        let message = format!("`{kind}` is no type of correlation");
        let names: Vec<&str> = TYPES.iter().map(|(name, _)| *name).collect();
        let help = match nearest(kind, names.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("the types are {}", names.join(", ")),
        };
        return tell("sigma-document", &correlation.kind.range, message, "unknown", &help);
    };
    if correlation.rules.is_empty() {
        let help = "a list of names or ids of rules: `rules: [failed_logon]`";
        tell("sigma-document", &correlation.range, "the correlation names no rules".to_owned(), "in this", help);
    }
    for rule in correlation.rules.iter().filter(|rule| !known(&rule.text)) {
        let message = format!("there is no rule `{}` among the files", rule.text);
        tell("sigma-document", &rule.range, message, "neither a name nor an id", "rules are named by `name` or `id`");
    }
    match &correlation.timespan {
        None => {
            let help = "for example `timespan: 5m`";
            tell("sigma-document", &correlation.range, "the correlation has no `timespan`".to_owned(), "in this", help);
        }
        Some(span) if !is_timespan(&span.text) => {
            let message = format!("`{}` is no time span", span.text);
            tell("sigma-type", &span.range, message, "here", "a number and one of s, m, h, d, w, M, y: `90s`, `5m`");
        }
        Some(_) => {}
    }
    let is_temporal = kind.starts_with("temporal");
    match &correlation.condition {
        None if is_temporal => {}
        None => {
            let message = format!("`{kind}` needs a `condition`");
            tell("sigma-document", &correlation.range, message, "in this", "for example `condition: {gte: 10}`");
        }
        Some(condition) => {
            if let Err((range, message)) = check_condition(condition, is_temporal, *needs_field) {
                tell("sigma-type", &range, message, "here", "for example `condition: {gte: 10, field: User}`");
            }
        }
    }
    for alias in &correlation.aliases {
        let is_map = !alias.value.entries().is_empty();
        let all_text = alias.value.entries().iter().all(|entry| entry.value.text().is_some());
        if !(is_map && all_text) {
            let message = format!("the alias `{}` is a map from rules to fields", alias.key);
            tell(
                "sigma-type",
                &alias.key_range,
                message,
                "this one",
                "for example `user: {failed_logon: TargetUserName}`",
            );
        }
    }
    if diagnostics.len() == before {
        let title = &correlation.header.title;
        let over = if correlation.group_by.is_empty() { "" } else { ", by group" };
        let kept =
            if correlation.generate { "" } else { "; the rules that it joins are compiled and alert by themselves" };
        let message = format!("the correlation `{title}` ({kind}{over}) cannot be run yet{kept}");
        let span = Span { source: source.clone(), range: correlation.range.clone() };
        diagnostics.push(
            Diagnostic::error("sigma-unsupported", message, span, "refused")
                .help("it needs what a rule remembers between events, which the language does not have yet"),
        );
    }
}

fn check_condition(condition: &Node, is_temporal: bool, needs_field: bool) -> Result<(), (Range<usize>, String)> {
    let Kind::Map(entries) = &condition.kind else {
        if is_temporal && condition.text().is_some() {
            return Ok(());
        }
        return Err((condition.range.clone(), format!("`condition` is a map, not {}", condition.describe())));
    };
    let mut operators = 0;
    let mut has_field = false;
    for entry in entries {
        match entry.key.as_str() {
            "field" | "percentile" => has_field |= entry.key == "field",
            key if OPERATORS.contains(&key) => {
                operators += 1;
                if !matches!(entry.value.kind, Kind::Int(..) | Kind::Float(..)) {
                    let message = format!("`{key}` takes a number, not {}", entry.value.describe());
                    return Err((entry.value.range.clone(), message));
                }
            }
            key => return Err((entry.key_range.clone(), format!("`{key}` is no part of this condition"))),
        }
    }
    if operators == 0 {
        return Err((
            condition.range.clone(),
            format!("the condition compares with nothing: {}", OPERATORS.join(", ")),
        ));
    }
    if needs_field && !has_field {
        return Err((condition.range.clone(), "the condition does not say which `field`".to_owned()));
    }
    Ok(())
}

fn is_timespan(text: &str) -> bool {
    let digits = text.trim_end_matches(['s', 'm', 'h', 'd', 'w', 'M', 'y']);
    digits.len() + 1 == text.len() && digits.parse::<u32>().is_ok_and(|number| number > 0)
}

#[cfg(test)]
mod tests {
    use super::super::lower;
    use super::*;
    use crate::catalogue::catalogue;

    /// What is told of a correlation with these lines.
    fn told(lines: &str) -> Vec<(&'static str, String)> {
        let text = format!(
            "title: Failed\nname: failed_logon\nlogsource: {{product: windows, service: security}}\ndetection:\n  a:\n    EventID: 4625\n  condition: a\n---\ntitle: Many\ncorrelation:\n{lines}"
        );
        let source = Source::new("c.yml", text);
        let (rules, found) = lower(&[source], catalogue());
        assert_eq!(rules.len(), 1);
        found.into_iter().map(|found| (found.code, found.message)).collect()
    }

    #[test]
    fn correlations_are_checked_and_then_refused() {
        let good = "  type: event_count\n  rules: [failed_logon]\n  group-by: [TargetUserName]\n  timespan: 5m\n  condition: {gte: 10}\n";
        let found = told(good);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].0, "sigma-unsupported");
        assert!(
            found[0].1.starts_with("the correlation `Many` (event_count, by group) cannot be run yet"),
            "{}",
            found[0].1
        );
        for (from, to, message) in [
            ("event_count", "event_cont", "`event_cont` is no type of correlation"),
            ("[failed_logon]", "[]", "the correlation names no rules"),
            ("[failed_logon]", "[other]", "there is no rule `other` among the files"),
            ("5m", "5x", "`5x` is no time span"),
            ("5m", "0m", "`0m` is no time span"),
            ("  timespan: 5m\n", "", "the correlation has no `timespan`"),
            ("  condition: {gte: 10}\n", "", "`event_count` needs a `condition`"),
            ("{gte: 10}", "{gte: many}", "`gte` takes a number, not a text"),
            ("{gte: 10}", "{least: 10}", "`least` is no part of this condition"),
            ("{gte: 10}", "{field: a}", "the condition compares with nothing: eq, gt, gte, lt, lte, neq"),
            ("event_count", "value_count", "the condition does not say which `field`"),
        ] {
            let found = told(&good.replace(from, to));
            assert_eq!(found.len(), 1, "{found:?}");
            assert_eq!(found[0].1, message);
        }
        let temporal = "  type: temporal_ordered\n  rules: [failed_logon]\n  timespan: 1h\n";
        assert_eq!(told(temporal)[0].0, "sigma-unsupported");
    }
}
