//! Answers for people.

use std::fmt::{self, Display, Formatter};

use anstyle::{AnsiColor, Color, Style};

use super::answer::{Answer, Capabilities, Loop, Place, Proved, Refusal};
use crate::sink::terminal::{escape, escape_cut};

const NAME: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();
const GOOD: Style = Style::new().bold().fg_color(Some(Color::Ansi(AnsiColor::Green)));
const BAD: Style = Style::new().bold().fg_color(Some(Color::Ansi(AnsiColor::Red)));

/// Characters shown of a source line.
const SOURCE_CHARS_MAX: usize = 100;
/// Columns of the labels.
const LABEL: usize = 11;

/// An answer as text.
pub(super) struct Shown<'a>(pub(super) &'a Answer);

impl Display for Shown<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let answer = self.0;
        let name = answer.program.as_deref().unwrap_or(&answer.file);
        let (style, verdict) = if answer.is_proved() { (GOOD, "proved") } else { (BAD, "refused") };
        write!(f, "{style}{verdict}{style:#}  {NAME}{}{NAME:#}", escape(name))?;
        if let Some(family) = &answer.family {
            write!(f, " on {}", escape(family))?;
        }
        if answer.kind == Some("raw") {
            f.write_str(", a raw program")?;
        }
        write!(f, "  {DIM}{}", escape(&answer.file))?;
        if let Some(line) = answer.line {
            write!(f, ":{line}")?;
        }
        writeln!(f, "{DIM:#}")?;
        if let Some(proved) = &answer.proved {
            show_proved(f, answer, proved)?;
        }
        match &answer.refused {
            Some(refused) => show_refused(f, answer, refused),
            None => Ok(()),
        }
    }
}

fn fact(f: &mut Formatter<'_>, label: &str, text: impl Display) -> fmt::Result {
    writeln!(f, "  {DIM}{label:<LABEL$}{DIM:#}{text}")
}

/// The first item behind the label, each other one on a line of its own.
fn facts<T: Display>(f: &mut Formatter<'_>, label: &str, items: impl IntoIterator<Item = T>) -> fmt::Result {
    let mut label = label;
    for item in items {
        fact(f, label, item)?;
        label = "";
    }
    if label.is_empty() { Ok(()) } else { fact(f, label, "none") }
}

fn show_proved(f: &mut Formatter<'_>, answer: &Answer, proved: &Proved) -> fmt::Result {
    let Proved { fuel, capabilities, proof, .. } = proved;
    let out = if fuel.can_run_out { ": a run can be stopped for want of it" } else { "" };
    fact(f, "fuel", format_args!("at most {} of {}{out}", fuel.worst, fuel.limit))?;
    let frames = match proved.call_depth {
        0 => String::new(),
        depth => format!(", calls at most {depth} deep"),
    };
    fact(f, "stack", format_args!("{}{frames}", bytes(proved.stack_bytes.into())))?;
    let maps = capabilities.maps.iter().map(|map| {
        let used = if map.used { "" } else { ", never used" };
        let evicts = if map.evicts { ", gives up old entries for new ones" } else { "" };
        let (name, entries) = (escape(&map.name), map.entries);
        format!("{name}: {}, {entries} entries, {}{evicts}{used}", map.kind, bytes(map.state_bytes))
    });
    let total = (capabilities.maps.len() > 1).then(|| format!("{} in all", bytes(proved.state_bytes)));
    facts(f, "state", maps.chain(total))?;
    facts(f, "loops", proved.loops.iter().map(show_loop))?;
    show_capabilities(f, answer, capabilities)?;
    let dead = match proved.dead_instructions {
        0 => String::new(),
        dead => format!(" ({dead} never reached)"),
    };
    let (instructions, accesses) = (proved.instructions, proved.accesses);
    fact(
        f,
        "code",
        format_args!("{instructions} instructions{dead}, {accesses} memory accesses, each within a proved range"),
    )?;
    fact(f, "proof", format_args!("{} steps, {} at a time", proof.steps, bytes(proof.bytes)))
}

/// As in `at most 1000 times, counted by r2: 3: jne %r2, 0, -4  5 | while (n--)`.
fn show_loop(proved: &Loop) -> String {
    let times = if proved.iterations == 1 { "once".to_owned() } else { format!("{} times", proved.iterations) };
    let why = match &proved.counter {
        Some(counter) => format!("{} by {counter}", proved.proof),
        None => proved.proof.to_owned(),
    };
    format!("at most {times}, {why}; to {}", step(&proved.at))
}

fn show_capabilities(f: &mut Formatter<'_>, answer: &Answer, capabilities: &Capabilities) -> fmt::Result {
    if let Some(buffer) = capabilities.buffer_bytes {
        fact(f, "buffer", bytes(buffer.into()))?;
    }
    if answer.kind == Some("rule") {
        facts(f, "fields", capabilities.fields.iter().map(|field| escape(&field.name)))?;
        match &capabilities.needs {
            Some(needs) => facts(f, "needs", needs.iter().map(|field| escape(field)))?,
            None => fact(f, "needs", "not said: it counts as able to match with any one of its fields")?,
        }
        facts(f, "tests", capabilities.predicates.iter().map(|text| escape(text)))?;
    }
    let helpers: Vec<String> =
        capabilities.helpers.iter().map(|helper| format!("{} ({})", helper.name, helper.number)).collect();
    fact(f, "helpers", if helpers.is_empty() { "none".to_owned() } else { helpers.join(", ") })
}

fn show_refused(f: &mut Formatter<'_>, answer: &Answer, refused: &Refusal) -> fmt::Result {
    let mut message = refused.message.lines();
    writeln!(f, "{BAD}error[{}]{BAD:#}: {NAME}{}{NAME:#}", refused.code, escape(message.next().unwrap_or_default()))?;
    for line in message {
        writeln!(f, "    {}", escape(line))?;
    }
    if let Some(at) = &refused.at {
        match (at.line, &answer.source) {
            (Some(line), Some(source)) => write!(f, "  {DIM}-->{DIM:#} {}:{line}", escape(source))?,
            (Some(line), None) => write!(f, "  {DIM}-->{DIM:#} {}:{line}", escape(&answer.file))?,
            (None, _) => write!(f, "  {DIM}-->{DIM:#} {}", escape(&answer.file))?,
        }
        writeln!(f, ", instruction {}", at.pc)?;
        let margin = at.line.unwrap_or(0).to_string().len();
        if let (Some(line), Some(text)) = (at.line, &at.text) {
            writeln!(f, " {line} {DIM}|{DIM:#} {}", source(text))?;
        }
        writeln!(f, " {:margin$} {DIM}|{DIM:#} {}: {}", "", at.pc, at.instruction)?;
    }
    if let Some(must_hold) = &refused.must_hold {
        fact(f, "must hold", must_hold)?;
    }
    facts_if_any(f, "known", refused.known.iter().map(|known| format!("r{} = {}", known.register, known.value)))?;
    if let Some(state) = &refused.state {
        fact(f, "state", state)?;
    }
    let skipped = (refused.path_skipped > 0).then(|| format!("{} decisions earlier", refused.path_skipped));
    facts_if_any(
        f,
        "path",
        skipped.into_iter().chain(refused.path.iter().map(|decision| {
            let times = if decision.times > 1 { format!(" (x{})", decision.times) } else { String::new() };
            format!("{}  {}{times}", step(&decision.place), decision.turn)
        })),
    )?;
    if let Some(help) = &refused.help {
        fact(f, "help", help)?;
    }
    Ok(())
}

fn facts_if_any<T: Display>(f: &mut Formatter<'_>, label: &str, items: impl IntoIterator<Item = T>) -> fmt::Result {
    let mut items = items.into_iter().peekable();
    if items.peek().is_some() { facts(f, label, items) } else { Ok(()) }
}

/// A step of a path: the instruction, then the line it comes from.
fn step(place: &Place) -> String {
    let line = match (place.line, &place.text) {
        (Some(line), Some(text)) => format!("  {DIM}{line} | {}{DIM:#}", source(text)),
        (Some(line), None) => format!("  {DIM}line {line}{DIM:#}"),
        (None, _) => String::new(),
    };
    format!("{}: {}{line}", place.pc, place.instruction)
}

fn source(text: &str) -> String {
    escape_cut(text, SOURCE_CHARS_MAX)
}

/// A number of bytes, exactly.
fn bytes(count: u64) -> String {
    if count == 1 { "1 byte".to_owned() } else { format!("{count} bytes") }
}
