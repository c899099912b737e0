//! The parity report: what became of each rule, and which sources can supply it.

use std::collections::BTreeMap;
use std::io::{self, Write};

use anstyle::{AnsiColor, Style};
use serde::Serialize;
use trapline_programs::catalogue::{catalogue, taxonomy};
use trapline_programs::hir;
use trapline_vm::record::Os;

use crate::agent::load::LoadedRule;
use crate::agent::summary::RefusedRule;
use crate::agent::supply::SourceSupply;
use crate::cli::summary::grouped;
use crate::sink::json;
use crate::sink::terminal::escape;

const NUMBER: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();
const BAD: Style = Style::new().bold().fg_color(Some(anstyle::Color::Ansi(AnsiColor::Red)));

/// What became of one rule.
#[derive(Debug, Serialize)]
pub(super) struct Parity {
    pub(super) file: String,
    pub(super) line: u32,
    /// The rule's name; of a refused one its title, if it has one.
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    /// Why it is refused; None: it means here exactly what Sigma says.
    pub(super) refused: Option<Refused>,
    #[serde(skip_serializing_if = "Option::is_none")]
    supply: Option<Supply>,
    /// The file that it was written to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) written: Option<String>,
    /// Why it has no words in our language.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) not_written: Option<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct Refused {
    code: String,
    reason: String,
}

/// Which sources a rule can match on.
#[derive(Debug, Serialize)]
struct Supply {
    kind: SupplyKind,
    /// Profiles of sources, and the fields that each never has; none is best.
    sources: BTreeMap<&'static str, Vec<String>>,
}

/// The best that any source does for a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
enum SupplyKind {
    /// A source has all that it reads.
    Evaluable,
    /// It can match on a source that never has some of what it reads.
    Partly,
    /// Only on records that somebody else made and named like the rule does, or like our catalogue.
    Recordings,
    /// On none.
    Inert,
}

impl SupplyKind {
    fn describe(self) -> &'static str {
        match self {
            Self::Evaluable => "on a source that has all it reads",
            Self::Partly => "on a source that never has some of it",
            Self::Recordings => "on recordings with the names of the rule or of ECS only",
            Self::Inert => "inert: on no source that is known",
        }
    }
}

/// The systems of a profile's events.
fn systems(profile: &str) -> [Option<Os>; 1] {
    if profile == taxonomy::ECS {
        [None]
    } else if taxonomy::sensor_profile(profile).is_some() {
        [Some(Os::Linux)]
    } else {
        [Some(Os::Windows)]
    }
}

impl Supply {
    fn of(rule: &hir::Rule) -> Self {
        let mut sources = BTreeMap::new();
        for profile in taxonomy::profiles() {
            let served = SourceSupply::new(catalogue(), [*profile], systems(profile)).serve(rule);
            if let Ok(served) = served {
                sources.insert(*profile, served.never);
            }
        }
        let known = || sources.iter().filter(|(profile, _)| **profile != taxonomy::ECS);
        let kind = if known().any(|(_, never)| never.is_empty()) {
            SupplyKind::Evaluable
        } else if known().next().is_some() {
            SupplyKind::Partly
        } else if sources.is_empty() {
            SupplyKind::Inert
        } else {
            SupplyKind::Recordings
        };
        Self { kind, sources }
    }
}

impl Parity {
    pub(super) fn exact(rule: &LoadedRule) -> Self {
        Self {
            file: rule.rule.source.name.clone(),
            line: rule.rule.line,
            name: Some(rule.rule.name.clone()),
            id: Some(rule.rule.meta.id.clone()).filter(|id| !id.is_empty()),
            refused: None,
            supply: Some(Supply::of(&rule.rule)),
            written: None,
            not_written: None,
        }
    }

    pub(super) fn refused(rule: &RefusedRule) -> Self {
        Self {
            file: rule.file.clone(),
            // Sigma is text, so it has lines.
            line: rule.line.unwrap_or(1),
            name: rule.rule.clone(),
            id: rule.id.clone(),
            refused: Some(Refused { code: rule.code.clone(), reason: rule.reason.clone() }),
            supply: None,
            written: None,
            not_written: None,
        }
    }
}

/// What became of all rules.
#[derive(Debug, Default, Serialize)]
pub(super) struct Report {
    pub(super) rules: Vec<Parity>,
}

#[derive(Debug, Default, Serialize)]
struct Totals {
    exact: usize,
    refused: BTreeMap<String, usize>,
    not_written: usize,
    supply: BTreeMap<SupplyKind, usize>,
    /// By profile: rules that it supplies, and those that it supplies in part.
    sources: BTreeMap<&'static str, (usize, usize)>,
}

impl Report {
    fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for rule in &self.rules {
            match &rule.refused {
                Some(refused) => *totals.refused.entry(refused.code.clone()).or_default() += 1,
                None => totals.exact += 1,
            }
            totals.not_written += usize::from(rule.not_written.is_some());
            let Some(supply) = &rule.supply else { continue };
            *totals.supply.entry(supply.kind).or_default() += 1;
            for (profile, never) in &supply.sources {
                let counts = totals.sources.entry(profile).or_default();
                *if never.is_empty() { &mut counts.0 } else { &mut counts.1 } += 1;
            }
        }
        totals
    }

    pub(super) fn write_json(&self, out: &mut impl Write) -> io::Result<()> {
        let totals = self.totals();
        let sources: BTreeMap<_, _> = (totals.sources.iter())
            .map(|(profile, (full, partly))| (*profile, serde_json::json!({ "evaluable": full, "partly": partly })))
            .collect();
        let page = serde_json::json!({
            "rules": self.rules,
            "totals": {
                "rules": self.rules.len(),
                "exact": totals.exact,
                "refused": totals.refused,
                "not_written": totals.not_written,
                "supply": totals.supply,
                "sources": sources,
            },
        });
        json::write(out, &page)?;
        writeln!(out)
    }

    pub(super) fn write_text(&self, out: &mut impl Write) -> io::Result<()> {
        for rule in &self.rules {
            let name = escape(rule.name.as_deref().unwrap_or("(no title)"));
            let place = format!("{DIM}{}:{}{DIM:#}", escape(&rule.file), rule.line);
            if let Some(refused) = &rule.refused {
                writeln!(out, "{BAD}refused{BAD:#}  {name}  {place}")?;
                writeln!(out, "         {}: {}", refused.code, escape(&refused.reason))?;
                continue;
            }
            let sources = rule.supply.iter().flat_map(|supply| &supply.sources);
            let sources = sources.filter(|(profile, _)| **profile != taxonomy::ECS).map(|(profile, never)| {
                let never = never.iter().map(|field| escape(field)).collect::<Vec<_>>().join(", ");
                if never.is_empty() { (*profile).to_owned() } else { format!("{profile} without {never}") }
            });
            let mut sources = sources.collect::<Vec<_>>().join("; ");
            if let (true, Some(supply)) = (sources.is_empty(), &rule.supply) {
                sources = supply.kind.describe().to_owned();
            }
            writeln!(out, "exact    {name}  {place}")?;
            writeln!(out, "         {sources}")?;
            if let Some(reason) = &rule.not_written {
                writeln!(out, "         {BAD}not written{BAD:#}: {}", escape(reason))?;
            }
        }
        self.write_totals(out)
    }

    fn write_totals(&self, out: &mut impl Write) -> io::Result<()> {
        let totals = self.totals();
        let row = |out: &mut dyn Write, number: usize, what: &str| {
            writeln!(out, "{NUMBER}{:>7}{NUMBER:#}  {what}", grouped(number as u64))
        };
        writeln!(out)?;
        row(out, self.rules.len(), if self.rules.len() == 1 { "rule" } else { "rules" })?;
        row(out, totals.exact, "exact")?;
        for (kind, count) in &totals.supply {
            row(out, *count, &format!("  {}", kind.describe()))?;
        }
        if totals.not_written > 0 {
            row(out, totals.not_written, "  have no words in our language")?;
        }
        for (code, count) in &totals.refused {
            row(out, *count, &format!("refused: {code}"))?;
        }
        if totals.sources.is_empty() {
            return Ok(());
        }
        let width = totals.sources.keys().map(|profile| profile.len()).max().unwrap_or(0);
        writeln!(out, "\n  {:<width$}  evaluable  in part", "source")?;
        for (profile, (full, partly)) in &totals.sources {
            writeln!(out, "  {profile:<width$}  {:>9}  {:>7}", grouped(*full as u64), grouped(*partly as u64))?;
        }
        Ok(())
    }
}
