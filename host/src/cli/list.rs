//! `trapline list`: what is in force in the agent that is running.

use std::io::{self, Write};

use anstyle::{AnsiColor, Style};
use clap::Args;

use super::control::{Control, print_json, unexpected};
use super::summary::{count, grouped};
use super::{Format, Outcome, OutputError};
use crate::agent::control::{ListedRule, Listing, Request, Response};
use crate::sink::terminal::{escape, escape_cut};

const HEAD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();
const DEV: Style = Style::new().bold().fg_color(Some(anstyle::Color::Ansi(AnsiColor::Yellow)));

/// Characters of a cell; the rest of it is cut. JSON has all of it.
const CELL_CHARS_MAX: usize = 60;
/// Characters of the digest that are shown: enough to tell two sets of rules apart.
const DIGEST_CHARS: usize = 12;

/// Tell what is in force in the agent that is running
#[derive(Args, Debug)]
pub(super) struct List {
    #[command(flatten)]
    control: Control,
}

impl List {
    pub(super) fn run(self) -> anyhow::Result<Outcome> {
        let response = self.control.ask(Request::List)?;
        if self.control.format == Format::Json {
            print_json(&response)?;
        }
        match response {
            Response::Listing(listing) => {
                if self.control.format == Format::Text {
                    let mut out = anstream::stdout().lock();
                    write_listing(&mut out, &listing).and_then(|()| out.flush()).map_err(OutputError)?;
                }
                Ok(Outcome::Done)
            }
            Response::Refused(refused) => Ok(self.control.refused(&refused, &[])),
            Response::Changed(_) | Response::Busy => Err(unexpected()),
        }
    }
}

/// Columns of the table: what stands above them, and whether they hold numbers.
const COLUMNS: [(&str, bool); 9] = [
    ("rule", false),
    ("version", false),
    ("severity", false),
    ("since", true),
    ("alerts", true),
    ("not evaluable", true),
    ("traps", true),
    ("worst fuel", true),
    ("from", false),
];

fn cells(rule: &ListedRule) -> [String; COLUMNS.len()] {
    let cut = |text: &str| escape_cut(text, CELL_CHARS_MAX);
    // The whole path, as `unload` wants it; it stands last, where its length does no harm.
    let from = escape(&rule.from);
    [
        cut(&rule.name),
        cut(&rule.version),
        cut(&rule.severity),
        grouped(rule.since),
        grouped(rule.alerts),
        grouped(rule.not_evaluable),
        grouped(rule.traps),
        grouped(rule.fuel_worst),
        if rule.signed { from.into_owned() } else { format!("{DEV}DEV{DEV:#} {from}") },
    ]
}

fn write_listing(out: &mut impl Write, listing: &Listing) -> io::Result<()> {
    let digest: String = listing.digest.chars().take(DIGEST_CHARS).collect();
    writeln!(
        out,
        "{HEAD}generation {}{HEAD:#} {DIM}{}{DIM:#}, {}, from {}; {} judged, {} lost",
        listing.generation,
        escape(&digest),
        count(listing.rules.len() as u64, "rule", "rules"),
        escape(&listing.source),
        count(listing.events, "event", "events"),
        grouped(listing.lost),
    )?;
    if listing.judging != listing.generation {
        writeln!(out, "generation {} judges until the events are judged that came before the change", listing.judging)?;
    }
    if listing.dev {
        writeln!(out, "{DEV}DEV{DEV:#}: this agent takes rules that nobody signed")?;
    }
    if !listing.rules.is_empty() {
        writeln!(out)?;
        write_table(out, &listing.rules)?;
    }
    if !listing.inert.is_empty() {
        writeln!(out, "\n{HEAD}set aside{HEAD:#}, because {} cannot serve them:", escape(&listing.source))?;
        let rows: Vec<_> = listing.inert.iter().map(|rule| (escape(&rule.name), escape(&rule.lacks))).collect();
        let width = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0).min(CELL_CHARS_MAX);
        for (name, lacks) in rows {
            writeln!(out, "  {name:<width$}  {DIM}{lacks}{DIM:#}")?;
        }
    }
    Ok(())
}

fn write_table(out: &mut impl Write, rules: &[ListedRule]) -> io::Result<()> {
    let mut widths = COLUMNS.map(|(title, _)| title.chars().count());
    let rows: Vec<[String; COLUMNS.len()]> = rules.iter().map(cells).collect();
    for row in &rows {
        widths.iter_mut().zip(row).for_each(|(width, cell)| *width = (*width).max(cell.chars().count()));
    }
    let line = |row: &[String; COLUMNS.len()]| {
        let last = COLUMNS.len() - 1;
        let cells =
            row.iter().zip(widths).zip(COLUMNS).enumerate().map(|(at, ((cell, width), (_, number)))| match number {
                _ if at == last => cell.clone(),
                true => format!("{cell:>width$}"),
                false => format!("{cell:<width$}"),
            });
        cells.collect::<Vec<_>>().join("  ")
    };
    writeln!(out, "{DIM}{}{DIM:#}", line(&COLUMNS.map(|(title, _)| title.to_owned())))?;
    rows.iter().try_for_each(|row| writeln!(out, "{}", line(row)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::control::InertRule;

    fn text(listing: &Listing) -> String {
        let mut out = anstream::StripStream::new(Vec::new());
        write_listing(&mut out, listing).unwrap();
        String::from_utf8(out.into_inner()).unwrap()
    }

    fn sample() -> Listing {
        Listing {
            generation: 3,
            judging: 3,
            digest: "0123456789abcdef".into(),
            source: "linux-proc".into(),
            events: 10_482,
            lost: 7,
            dev: true,
            rules: vec![
                ListedRule {
                    name: "reverse_shell".into(),
                    version: "1.0.0".into(),
                    severity: "critical".into(),
                    from: "stock".into(),
                    signed: true,
                    since: 1,
                    alerts: 12_345,
                    fuel_worst: 80,
                    ..ListedRule::default()
                },
                ListedRule { name: "mine".into(), from: "/r/mine.trap".into(), since: 3, ..ListedRule::default() },
            ],
            inert: vec![
                InertRule { name: "registry_key".into(), lacks: "no registry.set events".into() },
                InertRule { name: "logon".into(), lacks: "for windows".into() },
            ],
        }
    }

    #[test]
    fn a_listing_is_a_table() {
        let expected = "\
generation 3 0123456789ab, 2 rules, from linux-proc; 10,482 events judged, 7 lost
DEV: this agent takes rules that nobody signed

rule           version  severity  since  alerts  not evaluable  traps  worst fuel  from
reverse_shell  1.0.0    critical      1  12,345              0      0          80  stock
mine                                  3       0              0      0           0  DEV /r/mine.trap

set aside, because linux-proc cannot serve them:
  registry_key  no registry.set events
  logon         for windows
";
        assert_eq!(text(&sample()), expected);
    }

    #[test]
    fn an_empty_listing_has_no_table() {
        let source = "linux-proc".to_owned();
        let listing = Listing { generation: 1, judging: 1, digest: "ab".into(), source, ..Listing::default() };
        assert_eq!(text(&listing), "generation 1 ab, 0 rules, from linux-proc; 0 events judged, 0 lost\n");
    }

    #[test]
    fn a_change_that_waits_says_so() {
        let waits = Listing { judging: 2, ..sample() };
        let text = text(&waits);
        let second = text.lines().nth(1).unwrap();
        assert!(second.starts_with("generation 2 judges until"), "{text}");
    }

    #[test]
    fn nothing_in_a_listing_can_write_on_the_terminal() {
        let mut listing = sample();
        let bad = "\x1b[2J\u{202e}\n".to_owned();
        listing.digest.clone_from(&bad);
        listing.source.clone_from(&bad);
        for rule in &mut listing.rules {
            for text in [&mut rule.name, &mut rule.version, &mut rule.severity, &mut rule.from] {
                text.clone_from(&bad);
            }
        }
        listing.inert = vec![InertRule { name: bad.clone(), lacks: bad }];
        let mut out = Vec::new();
        write_listing(&mut out, &listing).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(!text.contains("\x1b[2J") && !text.contains('\u{202e}'), "{text:?}");
        assert_eq!(text.lines().count(), 9, "{text}");
    }

    #[test]
    fn cells_at_below_and_above_their_length() {
        for (len, whole) in [(CELL_CHARS_MAX - 1, true), (CELL_CHARS_MAX, true), (CELL_CHARS_MAX + 1, false)] {
            let mut listing = sample();
            listing.rules[0].name = "n".repeat(len);
            assert_eq!(!text(&listing).contains("more characters"), whole, "{len}");
        }
    }
}
