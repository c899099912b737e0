//! What `run` says before the first event: what it watches and what it cannot see, which rules run, which do not and
//! why, and which of them nobody signed.

use std::collections::BTreeMap;

use anstyle::Style;

use super::summary::{count, part_note};
use crate::agent::alert::Stage;
use crate::agent::library::InForce;
use crate::agent::load::SetAside;
use crate::agent::summary::Lacking;
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
    for (index, (lack, names)) in by_lack(&in_force.inert).into_iter().enumerate() {
        let label = if index == 0 { "inert" } else { "" };
        page.row(label, &format!("{}  {LABEL}{}{LABEL:#}", escape(&lack), escape(&shorten(&names, all))));
    }
    let part: Vec<(String, Vec<String>)> = rules
        .iter()
        .filter(|rule| !rule.never.is_empty())
        .map(|rule| (rule.info.name.clone(), rule.never.clone()))
        .collect();
    if let Some(note) = part_note(&part, "this source never has") {
        page.row("note", &escape(&note));
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

/// Rules that the source could serve if it saw more: in a sentence what they lack, with their names.
fn by_lack(inert: &[SetAside]) -> Vec<(String, Vec<&str>)> {
    let mut classes: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    let mut fields: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for aside in inert {
        match &aside.lacks {
            Lacking::Os(_) => {}
            Lacking::Classes(names) => {
                // By family: `file.create` and `file.write` both say that files are not seen.
                let mut families: Vec<String> =
                    names.iter().map(|name| format!("{}.*", name.split('.').next().unwrap_or(name))).collect();
                families.sort();
                families.dedup();
                classes.entry(families.join(", ")).or_default().push(&aside.info.name);
            }
            Lacking::Fields(names) => fields.entry(names.join(", ")).or_default().push(&aside.info.name),
        }
    }
    let sentence = |names: &[&str], what: &str, of: &str| {
        let need = if names.len() == 1 { "needs" } else { "need" };
        format!("{} {need} {what} that this source does not have: {of}", count(names.len() as u64, "rule", "rules"))
    };
    let classes = classes.into_iter().map(|(of, names)| (sentence(&names, "events", &of), names));
    let fields = fields.into_iter().map(|(of, names)| (sentence(&names, "fields", &of), names));
    classes.chain(fields).collect()
}

fn shorten(names: &[&str], all: bool) -> String {
    if all || names.len() <= NAMES_SHOWN {
        return names.join(", ");
    }
    let shown: Vec<&str> = names.iter().copied().take(NAMES_SHOWN).collect();
    format!("{} and {} more", shown.join(", "), names.len() - NAMES_SHOWN)
}
