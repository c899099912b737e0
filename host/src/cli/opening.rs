//! What `run` says before the first event: what it watches and what it cannot see, which rules run, which do not and
//! why, and which of them nobody signed.

use std::collections::{BTreeMap, BTreeSet};

use anstyle::Style;

use super::summary::{count, part_notes};
use crate::agent::alert::Stage;
use crate::agent::library::InForce;
use crate::agent::load::SetAside;
use crate::agent::summary::Lacking;
use crate::agent::supply::PartlyServed;
use crate::sink::terminal::escape;
use crate::sink::text::UNSIGNED;
use crate::source::sensor::Facts;

/// Names shown of a group of rules; the rest is counted, unless all were asked for.
const NAMES_SHOWN: usize = 3;
/// Columns of a label.
const LABEL_WIDTH: usize = 8;

const LABEL: Style = Style::new().dimmed();
const STRONG: Style = Style::new().bold();
/// The opening as text with colours. `all` names every rule that is set aside.
pub(super) fn render(facts: &Facts, in_force: &InForce, dev: bool, all: bool) -> String {
    let mut page = Page::default();
    let host = format!("this host, by {} {LABEL}({}){LABEL:#}", escape(&facts.title), facts.profile);
    page.row("watching", &host);
    for (index, sentence) in facts.blind.iter().enumerate() {
        page.row(if index == 0 { "blind" } else { "" }, &escape(sentence));
    }
    let rules = &in_force.ruleset.rules;
    let total = rules.len() + in_force.inert.len();
    let mut text = format!("{STRONG}{}{STRONG:#} of {} run", rules.len(), count(total as u64, "rule", "rules"));
    for (systems, asides) in by_system(&in_force.inert) {
        text.push_str(&format!("; {} {} for {systems}", asides.len(), if asides.len() == 1 { "is" } else { "are" }));
    }
    page.row("rules", &text);
    for (index, line) in inert(&in_force.inert, all).iter().enumerate() {
        page.row(if index == 0 { "inert" } else { "" }, line);
    }
    let part: Vec<PartlyServed> = rules
        .iter()
        .filter(|rule| !rule.never.is_empty())
        .map(|rule| PartlyServed::new(&rule.rule, rule.never.clone()))
        .collect();
    for note in part_notes(&part, "this source never has") {
        page.row("note", &escape(&note));
    }
    let dead: Vec<String> = rules
        .iter()
        .filter(|rule| !rule.never_on.is_empty())
        .map(|rule| format!("{} ({})", rule.info.name, rule.never_on.join(", ")))
        .collect();
    if !dead.is_empty() {
        let shown = if all { dead.len() } else { NAMES_SHOWN };
        let more = if dead.len() > shown { format!(", {} more", dead.len() - shown) } else { String::new() };
        let names: Vec<&str> = dead.iter().map(String::as_str).take(shown).collect();
        let count = count(dead.len() as u64, "rule matches", "rules match");
        page.row(
            "note",
            &escape(&format!("{count} nothing on some events that it asks for: {}{more}", names.join(", "))),
        );
    }
    let unsigned = rules.iter().filter(|rule| rule.info.stage == Stage::Dev).count();
    if dev {
        let which = match unsigned {
            0 => "none yet, but whoever may use the control socket can load some".to_owned(),
            1 => "1 rule runs that nobody signed".to_owned(),
            many => format!("{many} rules run that nobody signed"),
        };
        page.row("dev", &format!("{UNSIGNED} UNSIGNED RULES {UNSIGNED:#} {which}; their alerts are marked"));
    }
    page.text
}

/// A line of the opening by itself.
pub(super) fn row(label: &str, text: &str) -> String {
    let mut page = Page::default();
    page.row(label, text);
    page.text
}

#[derive(Default)]
struct Page {
    text: String,
}

impl Page {
    fn row(&mut self, label: &str, text: &str) {
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        self.text.push_str(&format!("{LABEL}{label:<LABEL_WIDTH$}{LABEL:#}  {text}"));
    }
}

/// Rules for other systems, by the systems they are for.
fn by_system(inert: &[SetAside]) -> BTreeMap<String, Vec<&SetAside>> {
    let mut groups: BTreeMap<String, Vec<&SetAside>> = BTreeMap::new();
    for aside in inert {
        if let Lacking::Os(names) = &aside.lacks {
            groups.entry(names.join(", ")).or_default().push(aside);
        }
    }
    groups
}

/// Rules that the source could serve if it saw more: what they lack, and their names.
fn inert(inert: &[SetAside], all: bool) -> Vec<String> {
    let (mut events, mut fields) = (Needs::default(), Needs::default());
    for aside in inert {
        match &aside.lacks {
            Lacking::Os(_) => {}
            Lacking::Classes(names) => {
                // By family: `file.create` and `file.write` both say that files are not seen.
                let families = names.iter().map(|name| format!("{}.*", name.split('.').next().unwrap_or(name)));
                events.add(aside, families.collect());
            }
            Lacking::Fields(names) => fields.add(aside, names.iter().cloned().collect()),
        }
    }
    [events.line("events", all), fields.line("fields", all)].into_iter().flatten().collect()
}

/// What some rules need, and which rules those are.
#[derive(Default)]
struct Needs<'a> {
    what: BTreeSet<String>,
    rules: Vec<&'a str>,
}

impl<'a> Needs<'a> {
    fn add(&mut self, aside: &'a SetAside, what: BTreeSet<String>) {
        self.what.extend(what);
        self.rules.push(&aside.info.name);
    }

    fn line(&self, what: &str, all: bool) -> Option<String> {
        if self.rules.is_empty() {
            return None;
        }
        let need = if self.rules.len() == 1 { "needs" } else { "need" };
        let shown = if all { self.rules.len() } else { NAMES_SHOWN };
        let mut names: Vec<&str> = self.rules.iter().copied().take(shown).collect();
        let more = format!("{} more", self.rules.len().saturating_sub(shown));
        if self.rules.len() > shown {
            names.push(&more);
        }
        let of: Vec<&str> = self.what.iter().map(String::as_str).collect();
        let rules = count(self.rules.len() as u64, "rule", "rules");
        let line = format!("{rules} {need} {what} that this source does not have: {}", of.join(", "));
        Some(format!("{}  {LABEL}({}){LABEL:#}", escape(&line), escape(&names.join(", "))))
    }
}

#[cfg(test)]
mod tests {
    use trapline_programs::catalogue::catalogue;
    use trapline_programs::diagnostic::Source;
    use trapline_vm::record::Os;

    use super::*;
    use crate::agent::library::{File, Library, Origin};
    use crate::agent::load::{Loader, RuleText};
    use crate::agent::supply::SourceSupply;

    fn in_force(text: &str, origin: Origin) -> InForce {
        let supply = SourceSupply::new(catalogue(), ["sysmon"], [Some(Os::Windows)]);
        let text = RuleText { source: Source::new("a.trap", text), ruleset: "a.trap".into() };
        let loader = Loader::new(catalogue().clone(), Some(supply));
        let (library, _) = Library::open(loader, true, vec![File::new(text, origin)]).unwrap();
        library.current().clone()
    }

    fn plain(in_force: &InForce, dev: bool, all: bool) -> String {
        let facts = Facts {
            profile: "sysmon",
            title: "a script".into(),
            blind: vec!["No files.".into(), "No\u{1b}[2J.".into()],
        };
        anstream::adapter::strip_str(&render(&facts, in_force, dev, all)).to_string()
    }

    #[test]
    fn it_is_short_and_says_what_is_not_seen() {
        let rule = |name: &str, os: &str, body: &str| format!("rule {name} {{ severity: low {os} {body} }}\n");
        let tty = "on process.exec where process.tty.name == \"x\"";
        let login = "on authentication.login where user.name == \"x\"";
        let text = [
            rule("runs", "", "on process.exec where process.pid == 1"),
            rule("linux_only", "os: [linux]", "on process.exec"),
            rule("tty", "", tty),
            rule("a1", "", login),
            rule("a2", "", login),
            rule("a3", "", login),
        ];
        let in_force = in_force(&text.concat(), Origin::Stock);
        let shown = plain(&in_force, false, false);
        let expected = "\
watching  this host, by a script (sysmon)
blind     No files.
          No\\x1b[2J.
rules     1 of 6 rules run; 1 is for linux
inert     3 rules need events that this source does not have: authentication.*  (a1, a2, a3)
          1 rule needs fields that this source does not have: process.tty.name  (tty)";
        assert_eq!(shown, expected);
    }

    #[test]
    fn so_many_names_and_the_rest_is_counted_unless_all_are_wanted() {
        for (rules, rest) in [(NAMES_SHOWN - 1, false), (NAMES_SHOWN, false), (NAMES_SHOWN + 1, true)] {
            let text: String =
                (0..rules).map(|n| format!("rule r{n} {{ severity: low on authentication.login }}\n")).collect();
            let in_force = in_force(&text, Origin::Stock);
            assert_eq!(plain(&in_force, false, false).contains(", 1 more"), rest, "{rules}");
            assert!(plain(&in_force, false, true).contains(&format!("r{}", rules - 1)));
        }
    }

    #[test]
    fn a_rule_that_is_served_on_some_of_its_events_is_named() {
        let text = "rule r { severity: low on process.exec, authentication.login where user.name == \"x\" }";
        let shown = plain(&in_force(text, Origin::Stock), false, false);
        let expected = "note      1 rule matches nothing on some events that it asks for: r (authentication.login)";
        assert!(shown.lines().any(|line| line == expected), "{shown}");
    }

    #[test]
    fn rules_that_nobody_signed_are_loud() {
        let text = "rule runs { severity: low on process.exec where process.pid == 1 }";
        assert!(!plain(&in_force(text, Origin::Stock), false, false).contains("UNSIGNED"));
        assert!(plain(&in_force(text, Origin::Stock), true, false).contains("UNSIGNED RULES  none yet"));
        assert!(plain(&in_force(text, Origin::Named), true, false).contains("UNSIGNED RULES  1 rule runs"));
    }
}
