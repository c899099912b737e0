//! The summary of a run, for people: compact, on standard error.

use std::collections::BTreeMap;

use anstyle::{AnsiColor, Style};
use trapline_programs::hir::Severity;
use trapline_vm::map::MapCounters;

use super::telling::Told;
use crate::agent::alert::{RuleInfo, Stage};
use crate::agent::summary::{InertRule, Lacking, RefusedRule, RuleCounts, Seconds, Summary};
use crate::agent::supply::PartlyServed;
use crate::agent::worker::Worker;
use crate::sink::terminal::escape;
use crate::sink::text::{UNSIGNED, severity_style};

/// The most lines of one kind; the rest is counted. The JSON summary has all.
const LINES_MAX: usize = 12;

const NUMBER: Style = Style::new().bold();
const LABEL: Style = Style::new().dimmed();
const BAD: Style = Style::new().bold().fg_color(Some(anstyle::Color::Ansi(AnsiColor::Red)));

/// What the summary says of a rule beside its numbers.
#[derive(Clone, Debug)]
pub(super) struct RuleLine {
    /// Its name.
    pub(super) name: String,
    /// One line.
    pub(super) title: String,
    /// How bad a match is.
    pub(super) severity: Severity,
    /// Whether nobody signed it.
    pub(super) unsigned: bool,
}

impl RuleLine {
    /// For this rule.
    pub(super) fn of(info: &RuleInfo) -> Self {
        Self {
            name: info.name.clone(),
            title: info.title.clone(),
            severity: info.severity,
            unsigned: info.stage == Stage::Dev,
        }
    }
}

/// What was refused in a run.
pub(super) struct Refusals {
    /// Pieces of input.
    pub(super) input: u64,
    /// Rules.
    pub(super) rules: Vec<RefusedRule>,
}

/// What a run of a worker came to.
pub(super) fn of(
    worker: &Worker,
    told: &Told,
    refused: Refusals,
    inert: Vec<InertRule>,
    rules: u64,
    seconds: Seconds,
) -> Summary {
    let counts = worker.counts();
    let not_evaluable_by_rule = counts.not_evaluable();
    let losses = worker.ruleset().rules.iter().map(|rule| (rule.info.id.clone(), worker.map_counters(rule)));
    let losses = losses.filter(|(_, counters)| *counters != MapCounters::default());
    Summary {
        events: counts.events,
        refused: refused.input,
        lost: counts.lost,
        alerts: told.alerts.values().sum(),
        alerts_by_rule: told.alerts.clone(),
        traps: told.traps,
        not_evaluable: not_evaluable_by_rule.values().sum(),
        not_evaluable_by_rule,
        state_bytes: worker.state_bytes(),
        maps_by_rule: losses.map(|(id, counters)| (id, counters.into())).collect(),
        inert,
        fuel: counts.fuel,
        latency_ns: counts.latencies.percentiles(),
        events_per_second: if seconds.run > 0.0 { counts.events as f64 / seconds.run } else { 0.0 },
        seconds,
        rules: RuleCounts { loaded: rules, refused: refused.rules.len() as u64 },
        refused_rules: refused.rules,
    }
}

/// Notes on rules that are served in part: their names, with the fields they do without. What is known of rules of object
/// files is told as what it is.
pub(super) fn part_notes(part: &[PartlyServed], by: &str) -> Vec<String> {
    let note = |by_object: bool, what: &str| {
        let of_kind: Vec<&PartlyServed> = part.iter().filter(|rule| rule.by_object == by_object).collect();
        let shown = of_kind.iter().take(3).map(|rule| format!("{} ({})", rule.name, rule.fields.join(", ")));
        let mut rules: Vec<String> = shown.collect();
        if of_kind.len() > 3 {
            rules.push("…".to_owned());
        }
        let count = count(of_kind.len() as u64, "rule", "rules");
        (!of_kind.is_empty()).then(|| format!("{count} {what}: {}", rules.join(", ")))
    };
    let by_object = format!("of object files, which do not say that they need it, without a field that {by}");
    let of_texts = note(false, &format!("can match without a field that {by}"));
    of_texts.into_iter().chain(note(true, &by_object)).collect()
}

/// Notes on what a worker met.
pub(super) fn worker_notes(worker: &Worker) -> Vec<String> {
    let (counts, decoded) = (worker.counts(), worker.decoded());
    let mut notes = Vec::new();
    if counts.field_errors > 0 {
        let count = count(counts.field_errors, "value", "values");
        let examples: Vec<String> = counts
            .field_error_examples
            .iter()
            .map(|error| format!("{} = `{}` is not {}", error.field, error.found, error.expected))
            .collect();
        notes.push(format!("{count} left out for not fitting the type of the field: {}", examples.join(", ")));
    }
    if decoded.without_time > 0 {
        notes.push(format!("{} without a time", count(decoded.without_time, "event", "events")));
    }
    if decoded.duplicate_keys > 0 {
        let count = count(decoded.duplicate_keys, "key", "keys");
        notes.push(format!("{count} twice in one event: the last value holds"));
    }
    if worker.state_bytes() > 0 {
        notes.push(format!("rules remember in {}", count(worker.state_bytes(), "byte", "bytes")));
    }
    let rules = worker.ruleset().rules.iter();
    let lossy: Vec<String> = rules
        .filter_map(|rule| Some(format!("{}: {}", rule.info.name, map_note(&worker.map_counters(rule))?)))
        .collect();
    notes.extend(lossy.iter().take(LINES_MAX).cloned());
    if lossy.len() > LINES_MAX {
        let more = count((lossy.len() - LINES_MAX) as u64, "more rule", "more rules");
        notes.push(format!("{more} whose maps could not hold all"));
    }
    notes
}

/// What the maps of a rule could not do; None if there is nothing of that.
fn map_note(counters: &MapCounters) -> Option<String> {
    let MapCounters { evicted, refused, saturated, late, put_back } = *counters;
    let parts = [
        (evicted, "keys given up for new ones"),
        (refused, "new keys refused, a map was full"),
        (saturated, "answers at the most that can be counted"),
        (late, "times too early for their window"),
        (put_back, "maps put back after traps"),
    ];
    let shown = parts.iter().filter(|(number, _)| *number > 0);
    let text: Vec<String> = shown.map(|(number, what)| format!("{} {what}", grouped(*number))).collect();
    (!text.is_empty()).then(|| text.join(", "))
}

/// The summary as text with colours. `rules` has a line for each rule id; `notes` is what else should be known.
pub(super) fn render(summary: &Summary, rules: &BTreeMap<String, RuleLine>, notes: &[String]) -> String {
    let mut lines = vec![String::new()];
    let numbers = [
        (summary.events, "event", "events"),
        (summary.alerts, "alert", "alerts"),
        (summary.refused, "refused", "refused"),
        (summary.lost, "lost", "lost"),
        (summary.traps, "trap", "traps"),
        (summary.not_evaluable, "not evaluable", "not evaluable"),
    ];
    let shown = numbers.iter().enumerate().filter(|(index, (number, ..))| *index < 2 || *number > 0);
    let head: Vec<String> = shown
        .map(|(index, (number, one, many))| {
            let style = if index == 2 || index == 4 { BAD } else { NUMBER };
            format!("{style}{}{style:#} {}", grouped(*number), if *number == 1 { one } else { many })
        })
        .collect();
    lines.push(head.join(", "));

    let mut by_rule: Vec<(&String, u64)> = summary.alerts_by_rule.iter().map(|(id, count)| (id, *count)).collect();
    let severity = |id: &str| rules.get(id).map(|rule| rule.severity);
    by_rule.sort_by(|a, b| severity(b.0).cmp(&severity(a.0)).then(b.1.cmp(&a.1)).then(a.0.cmp(b.0)));
    for (id, count) in by_rule.iter().take(LINES_MAX) {
        lines.push(match rules.get(*id) {
            Some(rule) => {
                let style = severity_style(rule.severity);
                let (name, title) = (escape(&rule.name), escape(&rule.title));
                let mark =
                    if rule.unsigned { format!("{UNSIGNED} UNSIGNED RULE {UNSIGNED:#} ") } else { String::new() };
                format!("  {:>7}  {style}{name:<40}{style:#} {mark}{LABEL}{title}{LABEL:#}", grouped(*count))
            }
            None => format!("  {:>7}  {}", grouped(*count), escape(id)),
        });
    }
    if by_rule.len() > LINES_MAX {
        let more = count((by_rule.len() - LINES_MAX) as u64, "more rule", "more rules");
        lines.push(format!("           {LABEL}and {more}{LABEL:#}"));
    }
    if !summary.not_evaluable_by_rule.is_empty() {
        let name = |id: &String| rules.get(id).map_or_else(|| escape(id), |rule| escape(&rule.name)).into_owned();
        let each = summary.not_evaluable_by_rule.iter().take(LINES_MAX);
        let each: Vec<String> = each.map(|(id, count)| format!("{} {}", name(id), grouped(*count))).collect();
        row(&mut lines, "blind", &format!("not evaluable, because values were lost or cut: {}", each.join(", ")));
    }
    inert(&mut lines, &summary.inert);
    for note in notes {
        row(&mut lines, "note", &escape(note));
    }

    let counts = &summary.rules;
    let mut text = format!("{} loaded in {}", grouped(counts.loaded), seconds(summary.seconds.load));
    if counts.refused > 0 {
        text.push_str(&format!(", {BAD}{} refused{BAD:#}", grouped(counts.refused)));
    }
    row(&mut lines, "rules", &text);
    let latency = summary.latency_ns;
    row(
        &mut lines,
        "speed",
        &format!(
            "{} in {}, {} events/s, {} fuel",
            grouped(summary.events),
            seconds(summary.seconds.run),
            grouped(summary.events_per_second as u64),
            grouped(summary.fuel)
        ),
    );
    row(
        &mut lines,
        "latency",
        &format!(
            "p50 {}, p99 {}, p99.9 {}, max {} per event",
            nanoseconds(latency.p50),
            nanoseconds(latency.p99),
            nanoseconds(latency.p999),
            nanoseconds(latency.max)
        ),
    );
    lines.join("\n")
}

fn row(lines: &mut Vec<String>, label: &str, text: &str) {
    lines.push(format!("  {LABEL}{label:<8}{LABEL:#} {text}"));
}

/// Inert rules, those that lack the same together.
fn inert(lines: &mut Vec<String>, inert: &[InertRule]) {
    let mut groups: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for rule in inert {
        groups.entry(lack_text(&rule.lacks)).or_default().push(&rule.name);
    }
    if groups.is_empty() {
        return;
    }
    row(
        lines,
        "inert",
        &format!("{} cannot match anything in this input:", count(inert.len() as u64, "rule", "rules")),
    );
    for (lack, names) in groups.iter().take(LINES_MAX) {
        let mut text: Vec<&str> = names.iter().copied().take(4).collect();
        let more = format!("{} more", names.len().saturating_sub(4));
        if names.len() > 4 {
            text.push(&more);
        }
        lines.push(format!("           {}  {LABEL}{}{LABEL:#}", escape(&text.join(", ")), escape(lack)));
    }
    if groups.len() > LINES_MAX {
        lines.push(format!("           {LABEL}and more, for {} other reasons{LABEL:#}", groups.len() - LINES_MAX));
    }
}

/// `no file.create from ecs; no process.tty.name from sysmon`
fn lack_text(lacks: &BTreeMap<String, Lacking>) -> String {
    let mut by_lack: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for (profile, lack) in lacks {
        let text = match lack {
            Lacking::Classes(names) | Lacking::Fields(names) => format!("no {}", names.join(", ")),
            // A matter of the hosts, not of the sources.
            Lacking::Os(names) => format!("no events of {}", names.join(", ")),
        };
        let profiles = by_lack.entry(text).or_default();
        if !matches!(lack, Lacking::Os(_)) {
            profiles.push(profile);
        }
    }
    let parts = by_lack.iter().map(|(lack, profiles)| match profiles.as_slice() {
        [] => lack.clone(),
        few @ ([_] | [_, _] | [_, _, _]) => format!("{lack} from {}", few.join(", ")),
        many => format!("{lack} from any of {} sources", many.len()),
    });
    parts.collect::<Vec<_>>().join("; ")
}

/// A number of things.
pub(super) fn count(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", grouped(number), if number == 1 { one } else { many })
}

/// A number with a comma between groups of three digits.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Nanoseconds with the unit that fits.
fn nanoseconds(ns: u64) -> String {
    let tenths = |unit: u64| format!("{}.{}", ns / unit, ns % unit * 10 / unit);
    match ns {
        0..1_000 => format!("{ns} ns"),
        1_000..1_000_000 => format!("{} µs", tenths(1_000)),
        1_000_000..1_000_000_000 => format!("{} ms", tenths(1_000_000)),
        _ => format!("{} s", tenths(1_000_000_000)),
    }
}

fn seconds(seconds: f64) -> String {
    if seconds < 1.0 { format!("{:.0} ms", seconds * 1000.0) } else { format!("{seconds:.1} s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_for_people() {
        let grouping = [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")];
        for (number, text) in grouping {
            assert_eq!(grouped(number), text);
        }
        assert_eq!(nanoseconds(999), "999 ns");
        assert_eq!(nanoseconds(1_000), "1.0 µs");
        assert_eq!(nanoseconds(12_390_000), "12.3 ms");
        assert_eq!(nanoseconds(60_500_000_000), "60.5 s");
        assert_eq!(seconds(0.0123), "12 ms");
        assert_eq!(seconds(1.25), "1.2 s");
    }

    #[test]
    fn what_maps_could_not_hold_is_told() {
        assert_eq!(map_note(&MapCounters::default()), None);
        let counters = MapCounters { evicted: 1200, late: 3, ..MapCounters::default() };
        let text = "1,200 keys given up for new ones, 3 times too early for their window";
        assert_eq!(map_note(&counters).unwrap(), text);
    }

    #[test]
    fn rules_of_object_files_are_told_apart_from_those_whose_condition_is_known() {
        let rule = |name: &str, by_object| PartlyServed { name: name.into(), fields: vec!["a".into()], by_object };
        assert!(part_notes(&[], "x").is_empty());
        let notes = part_notes(&[rule("one", false), rule("two", true), rule("three", true)], "this source never has");
        let of_objects = "2 rules of object files, which do not say that they need it, without a field that this source \
                          never has: two (a), three (a)";
        assert_eq!(notes, ["1 rule can match without a field that this source never has: one (a)", of_objects]);
    }

    #[test]
    fn so_many_rules_have_a_line_and_the_rest_is_counted() {
        for (rules, lines, rest) in [(11, 11, false), (12, 12, false), (13, 12, true)] {
            let alerts_by_rule = (0..rules).map(|number| (format!("rule-{number:02}"), 1)).collect();
            let summary = Summary { alerts_by_rule, ..Summary::default() };
            let text = render(&summary, &BTreeMap::new(), &[]);
            assert_eq!(text.matches("rule-").count(), lines, "{text}");
            assert_eq!(text.contains("and 1 more rule"), rest, "{text}");
        }
    }

    #[test]
    fn names_of_rules_cannot_write_on_the_terminal() {
        let nasty = "x\u{1b}[2J\r\u{202e}".to_owned();
        let mut summary = Summary::default();
        summary.alerts_by_rule.insert(nasty.clone(), 1);
        summary.not_evaluable_by_rule.insert(nasty.clone(), 1);
        let lacks = BTreeMap::from([(nasty.clone(), Lacking::Fields(vec![nasty.clone()]))]);
        summary.inert.push(InertRule { id: nasty.clone(), name: nasty.clone(), lacks });
        let line = RuleLine { name: nasty.clone(), title: nasty.clone(), severity: Severity::Low, unsigned: true };
        for rules in [BTreeMap::new(), BTreeMap::from([(nasty.clone(), line)])] {
            let text = render(&summary, &rules, std::slice::from_ref(&nasty));
            assert!(!text.contains("\u{1b}[2J") && !text.contains('\r') && !text.contains('\u{202e}'), "{text:?}");
        }
    }

    #[test]
    fn profiles_that_lack_the_same_are_named_together() {
        let lacks = BTreeMap::from([
            ("ecs".to_owned(), Lacking::Classes(vec!["file.create".into()])),
            ("nxlog".to_owned(), Lacking::Classes(vec!["file.create".into()])),
            ("sysmon".to_owned(), Lacking::Fields(vec!["process.args".into()])),
        ]);
        assert_eq!(lack_text(&lacks), "no file.create from ecs, nxlog; no process.args from sysmon");
        let linux = BTreeMap::from([("sysmon".to_owned(), Lacking::Os(vec!["linux".into()]))]);
        assert_eq!(lack_text(&linux), "no events of linux");
        let many = (0..4).map(|number| (number.to_string(), Lacking::Fields(vec!["a".into()]))).collect();
        assert_eq!(lack_text(&many), "no a from any of 4 sources");
    }
}
