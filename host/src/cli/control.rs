//! What `load`, `unload` and `list` have in common: where the agent is, asking it, and how what it answers looks.

use std::collections::HashMap;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;

use anstyle::{AnsiColor, Style};
use clap::Args;
use trapline_programs::catalogue::catalogue;
use trapline_programs::compile::compile;
use trapline_programs::diagnostic::{Diagnostic, Source, render};

use super::console::escape_lines;
use super::summary::grouped;
use super::{Console, Format, Internal, Outcome, OutputError, diagnostics};
use crate::agent::control::client::ask;
use crate::agent::control::place::Place;
use crate::agent::control::{Changed, Refused, Request, Response};
use crate::sink::json;
use crate::sink::terminal::escape;

const NAME: Style = Style::new().bold();
const NEW: Style = Style::new().fg_color(Some(anstyle::Color::Ansi(AnsiColor::Green)));
const REPLACED: Style = Style::new().fg_color(Some(anstyle::Color::Ansi(AnsiColor::Yellow)));
const GONE: Style = Style::new().fg_color(Some(anstyle::Color::Ansi(AnsiColor::Red)));

/// Which agent, and how its answer is printed.
#[derive(Args, Debug)]
pub(super) struct Control {
    /// Socket of the agent, if it was started with `--control PATH` [default: where your own agent listens]
    #[arg(long, value_name = "PATH")]
    control: Option<PathBuf>,

    /// Text for people or JSON for programs
    #[arg(long, default_value = "text")]
    pub(super) format: Format,
}

impl Control {
    /// Asks the agent.
    pub(super) fn ask(&self, request: Request) -> anyhow::Result<Response> {
        let place = Place::choose(self.control.as_deref())?;
        ask(&place, request)
            .map_err(|error| if error.is_ours() { Internal(error.to_string()).into() } else { error.into() })
    }

    /// Asks the agent for a change and prints what came of it. The sources are those that the request is made of, if
    /// any.
    pub(super) fn change(&self, request: Request, sources: &[Arc<Source>]) -> anyhow::Result<Outcome> {
        self.changed(self.ask(request)?, sources)
    }

    /// Prints what a change came to.
    pub(super) fn changed(&self, response: Response, sources: &[Arc<Source>]) -> anyhow::Result<Outcome> {
        if self.format == Format::Json {
            print_json(&response)?;
        }
        match response {
            Response::Changed(changed) => {
                if self.format == Format::Text {
                    let mut out = anstream::stdout().lock();
                    write_changed(&mut out, &changed).and_then(|()| out.flush()).map_err(OutputError)?;
                    let console = Console::new();
                    changed.notes.iter().for_each(|note| console.warning(&escape(note)));
                }
                Ok(Outcome::Done)
            }
            Response::Refused(refused) => Ok(self.refused(&refused, sources)),
            Response::Listing(_) | Response::Busy => Err(unexpected()),
        }
    }

    /// Prints why nothing has changed.
    pub(super) fn refused(&self, refused: &Refused, sources: &[Arc<Source>]) -> Outcome {
        if self.format == Format::Text {
            let console = Console::new();
            print_diagnostics(&console, &refused.diagnostics, sources);
            console.error(&refused.reason);
            match refused.generation {
                0 => console.line("nothing has changed"),
                generation => console.line(&format!("nothing has changed: generation {generation} stays in force")),
            }
        }
        Outcome::Refused
    }
}

/// The answer as one line of JSON.
pub(super) fn print_json(response: &Response) -> Result<(), OutputError> {
    let mut out = io::stdout().lock();
    json::write(&mut out, response)?;
    writeln!(out)?;
    Ok(out.flush()?)
}

/// An answer to something else than what was asked.
pub(super) fn unexpected() -> anyhow::Error {
    Internal("the agent answered something else than what it was asked".to_owned()).into()
}

/// Prints the diagnostics that the agent sent. Those that we would say in the same words of the same text look as
/// they do in `check`; the others, such as those about rules that only the agent knows, are printed as they came.
fn print_diagnostics(console: &Console, sent: &[String], sources: &[Arc<Source>]) {
    if sent.is_empty() {
        return;
    }
    let own = compile(sources, catalogue()).diagnostics;
    let own: HashMap<String, &Diagnostic> =
        own.iter().map(|diagnostic| (render(diagnostic, false), diagnostic)).collect();
    for text in sent {
        match own.get(text) {
            Some(diagnostic) => diagnostics::print_all(console, std::slice::from_ref(*diagnostic)),
            None => console.line(&escape_lines(text)),
        }
    }
}

fn write_changed(out: &mut impl Write, changed: &Changed) -> io::Result<()> {
    let parts =
        [(NEW, "new", &changed.loaded), (REPLACED, "replaced", &changed.replaced), (GONE, "gone", &changed.unloaded)];
    for (style, what, rules) in parts {
        for rule in rules {
            writeln!(out, "{style}{what:<8}{style:#}  {NAME}{}{NAME:#}", escape(rule))?;
        }
    }
    if parts.iter().all(|(_, _, rules)| rules.is_empty()) && changed.notes.is_empty() {
        writeln!(out, "no rule is another than before")?;
    }
    let generation = changed.generation;
    match changed.from_sequence.map(grouped) {
        Some(from) => writeln!(out, "generation {NAME}{generation}{NAME:#} judges from event {NAME}{from}{NAME:#} on"),
        None => writeln!(out, "generation {NAME}{generation}{NAME:#} judges {NAME}nothing yet{NAME:#}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(changed: &Changed) -> String {
        let mut out = anstream::StripStream::new(Vec::new());
        write_changed(&mut out, changed).unwrap();
        String::from_utf8(out.into_inner()).unwrap()
    }

    #[test]
    fn a_change_is_told_rule_by_rule() {
        let changed = Changed {
            generation: 3,
            from_sequence: Some(10_482),
            loaded: vec!["a".into(), "b\x1b[2J".into()],
            replaced: vec!["c".into()],
            unloaded: vec!["d".into()],
            notes: vec![],
        };
        assert_eq!(
            text(&changed),
            "new       a\nnew       b\\x1b[2J\nreplaced  c\ngone      d\ngeneration 3 judges from event 10,482 on\n"
        );
        let same = Changed { generation: 4, from_sequence: Some(1), ..Changed::default() };
        assert_eq!(text(&same), "no rule is another than before\ngeneration 4 judges from event 1 on\n");
        let waits = Changed { generation: 5, unloaded: vec!["d".into()], ..Changed::default() };
        assert_eq!(text(&waits), "gone      d\ngeneration 5 judges nothing yet\n");
    }
}
