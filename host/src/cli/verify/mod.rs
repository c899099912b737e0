//! `trapline verify`: proves programs one by one and says all that was proved, or why it could not be.
//!
//! ```text
//! FILE --subject--> programs, each linked in a domain of its own --answer--> facts --text or JSON--> standard output
//! ```
//!
//! Text and JSON are made from the same facts ([`answer::Answer`]); the keys are described in `docs/verify.md`.

mod answer;
pub(super) mod assembly;
pub(super) mod subject;
mod text;

use std::io::Write as _;
use std::path::PathBuf;

use clap::Args;

use super::{Console, Format, Outcome, OutputError};
use crate::sink::json;
use answer::Answer;
use subject::{Found, Options};
use trapline_vm::verifier::VERIFIER_VERSION;

/// Prove programs, and print what was proved of each or why it is refused
///
/// FILE is a rule file (.trap), an object file (.o), assembly (.asm, .s), instruction bytes in hex (.hex), or cases as
/// `debug exec` takes them (.jsonl). Each program is proved by itself: its worst-case fuel, its stack and state, what it
/// may touch, its loops with their bounds. A refusal says what would have to hold where, what is known there, how it is
/// reached, and what would help. With --format json one object a program comes out, one a line.
#[derive(Args, Debug)]
#[command(after_help = "Try `trapline verify stock`, and `trapline explain CODE` on the code of a refusal.")]
pub(super) struct Verify {
    /// Files of programs, folders of rules, or `stock`
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,

    /// Text for people or JSON for programs
    #[arg(long, default_value = "text")]
    format: Format,

    /// Length of the buffer of raw programs, in bytes [default: what the file says, or 0]
    #[arg(long, value_name = "BYTES")]
    memory: Option<u32>,
}

impl Verify {
    pub(super) fn run(self) -> anyhow::Result<Outcome> {
        let console = Console::new();
        let found = subject::find(&self.files, Options { memory_len: self.memory }, &console)?;
        let mut out = anstream::stdout().lock();
        let (mut proved, mut refused) = (0u64, 0u64);
        for (index, found) in found.into_iter().enumerate() {
            let answer = match found {
                Found::Program(subject) => Answer::of(*subject),
                Found::Refused(refused) => {
                    if self.format == Format::Text {
                        super::diagnostics::print_all(&console, &refused.diagnostics);
                    }
                    Answer::unread(refused)
                }
            };
            *(if answer.is_proved() { &mut proved } else { &mut refused }) += 1;
            match self.format {
                Format::Json => {
                    json::write(&mut out, &answer).map_err(OutputError)?;
                    writeln!(out).map_err(OutputError)?;
                }
                Format::Text => {
                    let gap = if index == 0 { "" } else { "\n" };
                    write!(out, "{gap}{}", text::Shown(&answer)).map_err(OutputError)?;
                }
            }
        }
        out.flush().map_err(OutputError)?;
        if proved + refused == 0 {
            console.error("there is no program to prove");
            return Ok(Outcome::Refused);
        }
        if self.format == Format::Text {
            let programs = if proved == 1 { "program" } else { "programs" };
            console
                .line(&format!("{proved} {programs} proved, {refused} refused; verifier version {VERIFIER_VERSION}"));
        }
        Ok(if refused == 0 { Outcome::Done } else { Outcome::Refused })
    }
}
